/* Rules against arithmetic of our own: gradients against differences of the loss, learning rates, optimizers,
 * clipping, accumulation, what bf16 costs. */
#include "train/jobs.h"

static void write_weights(yoke_trainer *trainer, const float *values)
{
    for (int i = 0; i < trainer->model->nparameters; i++) {
        yki_run_write(trainer->run, YKI_TENSOR_WEIGHT, i, 0, yki_trainer_elems(trainer, i), values);
        values += yki_trainer_elems(trainer, i);
    }
}

static double loss_at(yoke_trainer *trainer, const float *weights)
{
    yki_step_result result;
    write_weights(trainer, weights);
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    return result.loss;
}

/* The slope of the loss along a direction of the weights, twice: the gradient's, and by central differences
 * of the loss (Richardson: two steps, the error of second order taken out). */
static double slope_error(yoke_trainer *trainer, uint64_t *seed, int only, double tolerance)
{
    int64_t n = yoke_model_parameters(trainer->model), at = 0;
    float *weights = read_values(trainer, YKI_TENSOR_WEIGHT), *moved = malloc(sizeof(float) * (size_t)n);
    double *direction = calloc((size_t)n, sizeof(double));
    assert_true(moved && direction);
    for (int p = 0; p < trainer->model->nparameters; p++)
        for (int64_t i = 0; i < yki_trainer_elems(trainer, p); i++, at++)
            if (only < 0 || only == p) direction[at] = (double)(draw(seed) >> 11) / (double)(1ull << 52) - 1;
    double loss = loss_at(trainer, weights);
    float *gradient = read_values(trainer, YKI_TENSOR_GRADIENT);
    double slope = 0, size = 0, gradient_size = 0, found[2];
    for (int64_t i = 0; i < n; i++) {
        slope += (double)gradient[i] * direction[i];
        size += direction[i] * direction[i];
        gradient_size += direction[i] != 0 ? (double)gradient[i] * (double)gradient[i] : 0;
    }
    for (int k = 0; k < 2; k++) {
        double h = (k == 0 ? 0.04 : 0.02) / sqrt(size), ends[2], width = 0;
        for (int sign = 0; sign < 2; sign++) {
            for (int64_t i = 0; i < n; i++)
                moved[i] = (float)((double)weights[i] + (sign ? -h : h) * direction[i]);
            ends[sign] = loss_at(trainer, moved);
        }
        width = 2 * h;
        found[k] = (ends[0] - ends[1]) / width;
    }
    double differences = (4 * found[1] - found[0]) / 3;
    write_weights(trainer, weights);
    free(weights);
    free(moved);
    free(direction);
    free(gradient);
    /* relative to what a direction of that length sees of a gradient of that size; a loss has an ulp or two
     * of noise */
    double seen = sqrt(gradient_size * size / (double)(only < 0 ? n : yki_trainer_elems(trainer, only)));
    return fabs(differences - slope) / (tolerance * seen + 1e-5 * loss * sqrt(size));
}

/* relu and maxpool have kinks: their models are met in directions that cross few of them. */
static void test_slopes(void **state)
{
    (void)state;
    static const struct {
        const char *model, *overrides;
        double tolerance;
    } cases[] = {
        {"regress", "train.batch=5", 2e-3},
        {"regress", "train.batch=6; layout.tp=3; layout.microbatches=2", 2e-3},
        {"tokens", "train.batch=4", 2e-3},
        {"tokens", "train.batch=4; train.loss=mse; model.layers.4.out=3", 2e-3},
        {"gpt2", "train.batch=4", 2e-3},
        {"gpt2", "train.batch=6; layout.pp=2; layout.tp=2; layout.microbatches=3", 2e-3},
        {"llama", "train.batch=4", 2e-3},
        {"llama", "train.batch=4; layout.tp=4; layout.dp=2", 2e-3},
        {"llama_tied", "train.batch=6; layout.pp=2; layout.tp=2; layout.microbatches=3", 2e-3},
        {"mlp", "train.batch=5; model.layers.1.type=silu", 2e-3},
        {"mlp", "train.batch=5", 6e-2},
        {"conv", "train.batch=5", 6e-2},
        {"devices", "train.batch=5; model.layers.1.type=tanh", 2e-3},
    };
    uint64_t seed = 17;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_job *job;
        double worst = 0;
        yoke_trainer *trainer = start_job(cases[i].model, cases[i].overrides, &job);
        for (int d = 0; d < 4; d++) worst = fmax(worst, slope_error(trainer, &seed, -1, cases[i].tolerance));
        for (int p = 0; p < trainer->model->nparameters; p++) {
            double e = slope_error(trainer, &seed, p, 2 * cases[i].tolerance);
            if (!(e <= 1))
                fail_msg("%s [%s]: along %s the slope is off by %.2g of what is allowed", cases[i].model,
                         cases[i].overrides, trainer->model->parameters[p].name, e);
        }
        if (!(worst <= 1))
            fail_msg("%s [%s]: slopes are off by %.2g of what is allowed", cases[i].model, cases[i].overrides,
                     worst);
        finish_job(trainer, job);
    }
}

/* The learning rate that a run reports for each step, against the formulas of the job file. */
typedef struct rates {
    int64_t count;
    double lr[64], norm[64];
} rates;

static void note_rate(void *context, const yoke_step_report *report)
{
    rates *r = context;
    r->norm[r->count] = report->gradient_norm;
    r->lr[r->count++] = report->lr;
}

static double moved(double lr, double last, double share)
{
    return last + (lr - last) * share; /* of the way from `last` */
}

static double constant_rate(double x)
{
    (void)x;
    return 1;
}
static double linear_rate(double x)
{
    return 1 - x;
}
static double cosine_rate(double x)
{
    return (1 + cos(M_PI * x)) / 2;
}
static double square_rate(double x)
{
    return (1 - x) * (1 - x);
}
static double root_rate(double x)
{
    return sqrt(1 - x);
}

static double wsd_rate(double x, double decay, double (*shape)(double x)) /* the last `decay` of the way */
{
    return x < 1 - decay ? 1 : shape((x - (1 - decay)) / decay);
}
static double one_less_root(double x)
{
    return 1 - sqrt(x);
}

static void test_rates(void **state)
{
    (void)state;
    enum { STEPS = 20 };
    static const struct {
        const char *text;
        double (*share)(double x); /* of lr - final_lr that is left */
        int decay;                 /* steps; 0: all */
    } schedules[] = {{"name: constant", constant_rate, 0},
                     {"name: linear, final_lr: 0.001", linear_rate, 0},
                     {"name: cosine, final_lr: 0.001", cosine_rate, 0},
                     {"name: polynomial, final_lr: 0.001", linear_rate, 0},
                     {"name: polynomial, final_lr: 0.001, power: 2", square_rate, 0},
                     {"name: polynomial, final_lr: 0.001, power: 0.5", root_rate, 0},
                     {"name: wsd, final_lr: 0.001, decay_steps: 6", cosine_rate, 6},
                     {"name: wsd, final_lr: 0.001, decay_steps: 6, decay_shape: linear", linear_rate, 6},
                     {"name: wsd, final_lr: 0.001, decay_steps: 6, decay_shape: 1-sqrt", one_less_root, 6},
                     {"name: wsd, final_lr: 0.001, decay_steps: 90, decay_shape: linear", linear_rate, 90}};
    static const int warmups[] = {0, 1, 5, 19, 20, 30};
    const double lr = 0.01, last = 0.001;
    for (size_t k = 0; k < sizeof schedules / sizeof *schedules; k++)
        for (int w = 0; w < 6; w++) {
            char overrides[256];
            rates seen = {0};
            yoke_job *job;
            snprintf(overrides, sizeof overrides,
                     "train.optimizer={name: sgd, lr: 0.01}; train.schedule={%s, warmup: %d}",
                     schedules[k].text, warmups[w]);
            yoke_trainer *trainer = start_job("mlp", overrides, &job);
            assert_int_equal(yoke_trainer_run(trainer, 0, note_rate, &seen), YOKE_OK);
            assert_int_equal(seen.count, STEPS);
            for (int s = 0; s < STEPS; s++) {
                double x = (double)(s - warmups[w]) / (STEPS - warmups[w]);
                double decay = fmin(1, schedules[k].decay / (double)(STEPS - warmups[w]));
                double share = decay > 0 ? wsd_rate(x, decay, schedules[k].share) : schedules[k].share(x);
                double wanted = s < warmups[w] ? lr * (s + 1) / warmups[w] : moved(lr, last, share);
                if (fabs(seen.lr[s] - wanted) > 1e-12)
                    fail_msg("[%s] step %d: rate %.12g, not %.12g", overrides, s, seen.lr[s], wanted);
            }
            finish_job(trainer, job);
        }
}

/* One optimizer on one number, in double. */
typedef struct rule {
    const char *text;
    int kind; /* 0 sgd, 1 adam, 2 adamw, 3 lion */
    double lr, momentum, decay_rate, beta1, beta2, eps;
    bool nesterov, matrices;
} rule;

static void apply(const rule *r, int step, bool matrix, double gradient, double *weight, double state[2])
{
    double g = gradient, decay = r->matrices && !matrix ? 0 : r->decay_rate;
    if (r->kind < 2) g += decay * *weight;
    if (r->kind == 3) {
        double c = r->beta1 * state[0] + (1 - r->beta1) * g;
        *weight -= r->lr * ((c > 0) - (c < 0) + decay * *weight);
        state[0] = r->beta2 * state[0] + (1 - r->beta2) * g;
        return;
    }
    if (r->kind == 0) {
        if (r->momentum != 0) {
            state[0] = step == 0 ? g : r->momentum * state[0] + g;
            g = r->nesterov ? g + r->momentum * state[0] : state[0];
        }
        *weight -= r->lr * g;
        return;
    }
    if (r->kind == 2) *weight -= r->lr * decay * *weight;
    state[0] = r->beta1 * state[0] + (1 - r->beta1) * g;
    state[1] = r->beta2 * state[1] + (1 - r->beta2) * g * g;
    double m = state[0] / (1 - pow(r->beta1, step + 1)), v = state[1] / (1 - pow(r->beta2, step + 1));
    *weight -= r->lr * m / (sqrt(v) + r->eps);
}

/* Ten steps of each optimizer, clipped or not: every weight against the rule applied to the gradients that
 * the run itself had. */
static void test_optimizers(void **state)
{
    (void)state;
    static const rule rules[] = {
        {"{name: sgd, lr: 0.05}", 0, 0.05, 0, 0, 0, 0, 0, false, false},
        {"{name: sgd, lr: 0.05, weight_decay: 0.1}", 0, 0.05, 0, 0.1, 0, 0, 0, false, false},
        {"{name: sgd, lr: 0.05, momentum: 0.9}", 0, 0.05, 0.9, 0, 0, 0, 0, false, false},
        {"{name: sgd, lr: 0.05, momentum: 0.8, nesterov: true, weight_decay: 0.01, decay: matrices}", 0, 0.05,
         0.8, 0.01, 0, 0, 0, true, true},
        {"{name: adam, lr: 3e-3}", 1, 3e-3, 0, 0, 0.9, 0.999, 1e-8, false, false},
        {"{name: adam, lr: 3e-3, weight_decay: 0.1, betas: [0.8, 0.95], eps: 1e-6}", 1, 3e-3, 0, 0.1, 0.8,
         0.95, 1e-6, false, false},
        {"{name: adamw, lr: 3e-3}", 2, 3e-3, 0, 0.01, 0.9, 0.999, 1e-8, false, false},
        {"{name: adamw, lr: 3e-3, weight_decay: 0.3, decay: matrices}", 2, 3e-3, 0, 0.3, 0.9, 0.999, 1e-8,
         false, true},
        {"{name: lion, lr: 1e-3}", 3, 1e-3, 0, 0, 0.9, 0.99, 0, false, false},
        {"{name: lion, lr: 1e-3, betas: [0.95, 0.98], weight_decay: 0.3, decay: matrices}", 3, 1e-3, 0, 0.3,
         0.95, 0.98, 0, false, true},
    };
    static const char *const layouts[] = {"", "layout.dp=2; layout.microbatches=2", "layout.tp=3",
                                          "layout.pp=2; train.clip=0.05"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (int l = 0; l < 4; l++) {
            char overrides[384];
            yoke_job *job;
            double clip = l == 3 ? 0.05 : 0;
            snprintf(overrides, sizeof overrides, "train.optimizer=%s; %s", rules[i].text, layouts[l]);
            yoke_trainer *trainer = start_job("mlp", overrides, &job);
            int64_t n = yoke_model_parameters(trainer->model);
            double *weights = malloc(sizeof(double) * (size_t)n),
                   (*states)[2] = calloc((size_t)n, sizeof *states);
            float *now = read_values(trainer, YKI_TENSOR_WEIGHT);
            for (int64_t e = 0; e < n; e++) weights[e] = now[e];
            free(now);
            for (int step = 0; step < 10; step++) {
                yki_step_result result;
                assert_int_equal(yki_trainer_step(trainer, YKI_RUN_TRAIN, &result), YOKE_OK);
                trainer->next_step++;
                float *g = read_values(trainer, YKI_TENSOR_GRADIENT);
                double squares = 0;
                for (int64_t e = 0; e < n; e++) squares += (double)g[e] * (double)g[e];
                assert_true(fabs(result.gradient_norm - sqrt(squares)) <= 1e-5 * sqrt(squares));
                double scale = clip > 0 && sqrt(squares) + 1e-6 > clip ? clip / (sqrt(squares) + 1e-6) : 1;
                int64_t at = 0;
                for (int p = 0; p < trainer->model->nparameters; p++)
                    for (int64_t e = 0; e < yki_trainer_elems(trainer, p); e++, at++)
                        apply(&rules[i], step, trainer->model->parameters[p].ndim >= 2, scale * (double)g[at],
                              &weights[at], states[at]);
                free(g);
            }
            now = read_values(trainer, YKI_TENSOR_WEIGHT);
            /* where Adam's gradient is noise, so is its step: a weight may be off by a share of ten steps */
            double worst = 0, allowed = rules[i].kind == 0 || rules[i].kind == 3 ? 2e-6 : 2e-5;
            for (int64_t e = 0; e < n; e++) worst = fmax(worst, fabs(weights[e] - (double)now[e]));
            if (!(worst <= allowed))
                fail_msg("[%s]: a weight is off by %.2g after ten steps", overrides, worst);
            free(now);
            free(weights);
            free(states);
            finish_job(trainer, job);
        }
}

/* Clipping changes the run, and not what it reports as the norm. */
static void test_clip(void **state)
{
    (void)state;
    outcome with, without, wide;
    assert_int_equal(run_job("mlp", "", &without), YOKE_OK);
    assert_int_equal(run_job("mlp", "train.clip=0.01", &with), YOKE_OK);
    assert_int_equal(run_job("mlp", "train.clip=1e6", &wide), YOKE_OK);
    assert_true(worst_difference(&with, &without) > 1e-3);
    same_bits(&wide, &without);
}

/* bf16: within one per cent of f32, and its layouts within one per cent of each other. */
static void test_bf16(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp",  "regress", "conv",  "tokens",
                                         "gpt2", "devices", "llama", "llama_tied"};
    static const char *const layouts[] = {"",
                                          "layout.dp=2",
                                          "layout.dp=3; layout.microbatches=2",
                                          "layout.tp=2",
                                          "layout.tp=4",
                                          "layout.pp=2; layout.microbatches=4",
                                          "layout.pp=3; layout.microbatches=3; layout.schedule=zb-h1",
                                          "layout.dp=2; layout.tp=2",
                                          "layout.tp=2; layout.pp=2; layout.microbatches=2"};
    static outcome f32, bf16;
    double worst = 0;
    for (int m = 0; m < 8; m++) {
        assert_int_equal(run_job(models[m], "", &f32), YOKE_OK);
        for (int l = 0; l < 9; l++) {
            char overrides[256];
            if (m == 5 && l > 1) continue;
            snprintf(overrides, sizeof overrides, "train.precision=bf16; %s", layouts[l]);
            if (run_job(models[m], overrides, &bf16) != YOKE_OK)
                fail_msg("%s [%s]: %s", models[m], overrides, bf16.message);
            double d = worst_difference(&bf16, &f32);
            if (!(d <= 0.01)) fail_msg("%s [%s]: losses differ by %.2g from f32's", models[m], overrides, d);
            if (bytes_wrong(&bf16)) fail_msg("%s [%s]: %s", models[m], overrides, bytes_wrong(&bf16));
            worst = fmax(worst, d);
        }
    }
    assert_true(worst > 1e-6); /* it is another precision */
}

/* Ragged steps count their own samples only, even where most micro-batches are empty: the loss of a step of
 * one sample is that sample's. */
static void test_ragged(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2", "llama"};
    static const char *const layouts[] = {
        "layout.dp=3; layout.microbatches=4",
        "layout.dp=4; layout.microbatches=3",
        "layout.pp=2; layout.microbatches=12",
        "layout.tp=2; layout.dp=2; layout.microbatches=6",
        "layout.pp=3; layout.dp=2; layout.microbatches=5; layout.schedule=zb-h1",
        "layout.microbatches=12"};
    static outcome one, many;
    for (int samples = 13; samples <= 23; samples += 5) /* 1, 6 and 11 in the last batch of 12 */
        for (int m = 0; m < 6; m++)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                char alone[160], overrides[320];
                /* a small rate: a run that swings amplifies rounding */
                snprintf(alone, sizeof alone, "data.samples=%d; train.optimizer={name: sgd, lr: 0.02}%s",
                         samples, bf16 ? "; train.precision=bf16" : "");
                assert_int_equal(run_job(models[m], alone, &one), YOKE_OK);
                for (int l = 0; l < 6; l++) {
                    snprintf(overrides, sizeof overrides, "%s; %s", alone, layouts[l]);
                    if (run_job(models[m], overrides, &many) != YOKE_OK)
                        fail_msg("%s [%s]: %s", models[m], overrides, many.message);
                    double d = worst_difference(&many, &one);
                    if (!(d <= (bf16 ? 1e-2 : 1e-5)))
                        fail_msg("%s [%s]: losses differ by %.2g", models[m], overrides, d);
                    if (bytes_wrong(&many)) fail_msg("%s [%s]: %s", models[m], overrides, bytes_wrong(&many));
                }
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slopes), cmocka_unit_test(test_rates), cmocka_unit_test(test_optimizers),
        cmocka_unit_test(test_clip),   cmocka_unit_test(test_bf16),  cmocka_unit_test(test_ragged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
