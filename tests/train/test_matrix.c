/* Whatever the layout, the same training run: a generated matrix over all that a layout, and what it meets,
 * can be (matrix.h). Rows are drawn so that every pair of values of two factors meets at least once wherever
 * the two can meet at all; then at random, three features and more at once. Each is run on one device and
 * under its layout: the losses of ten steps must agree, the gradient of every tensor of the first step, and
 * the weights at the end; bytes must be as predicted. What is refused is in one table, which
 * docs/strategies.md repeats. */
#include "train/matrix.h"

/* NEVER: pairs of values that no case has, as the rules of matrix.h have it (60 million draws found no
 * other). */
enum { SAMPLES = 200, TRIES = 60, DRAWS = 20000, ROUNDS = 5, FEATURES = 3, NEVER = 164 };

typedef struct trained {
    yoke_job *job;
    yoke_trainer *trainer;
    float *gradients, *weights; /* end to end in logical order */
    outcome outcome;
} trained;

static void train(const char *model, const char *overrides, trained *t)
{
    yki_step_result result;
    assert_int_equal(yki_trainer_step(t->trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    t->gradients = read_values(t->trainer, YKI_TENSOR_GRADIENT);
    if (yoke_trainer_run(t->trainer, 0, NULL, NULL) != YOKE_OK)
        fail_msg("%s [%s]: %s", model, overrides, yoke_error_get()->message);
    t->weights = read_values(t->trainer, YKI_TENSOR_WEIGHT);
    collect(t->trainer, &t->outcome);
    assert_int_equal(t->outcome.count, 10);
}

static void release(trained *t)
{
    free(t->gradients);
    free(t->weights);
    finish_job(t->trainer, t->job);
    t->trainer = NULL, t->job = NULL, t->gradients = t->weights = NULL;
}

/* The same on one device; layers' own devices are not looked at. more: other overrides, or "". */
static void train_alone(const row *r, const char *more, trained *t)
{
    char overrides[640];
    describe(r, true, overrides, sizeof overrides);
    strncat(overrides, more, sizeof overrides - strlen(overrides) - 1);
    t->job = open_job(value(r, MODEL), overrides);
    assert_non_null(t->job);
    t->job->layout.dp = 1;
    yki_trainer_options options = {.job = t->job, .ignore_devices = true};
    assert_int_equal(yki_trainer_create(&t->trainer, &options), YOKE_OK);
    train(value(r, MODEL), overrides, t);
}

/* --- what must agree --- */

/* The largest difference of a tensor, relative as `verify` has it. */
static double difference(const yoke_trainer *trainer, const float *g, const float *r)
{
    double global = 0, worst = 0;
    int64_t all = yoke_model_parameters(trainer->model);
    for (int64_t i = 0; i < all; i++) global += (double)r[i] * (double)r[i];
    for (int p = 0; p < trainer->model->nparameters; p++) {
        int64_t n = yki_trainer_elems(trainer, p);
        double apart = 0, norm = 0;
        for (int64_t i = 0; i < n; i++, g++, r++) {
            apart += ((double)*g - (double)*r) * ((double)*g - (double)*r);
            norm += (double)*r * (double)*r;
        }
        double e = sqrt(apart) / fmax(sqrt(norm), 1e-3 * sqrt(global));
        worst = e > worst || isnan(e) ? e : worst;
    }
    return worst;
}

/* Of all weights together: Adam makes much of gradients that are zero but for rounding. */
static double whole_difference(const trained *a, const trained *b)
{
    double apart = 0, norm = 0;
    for (int64_t i = 0, n = yoke_model_parameters(b->trainer->model); i < n; i++) {
        double d = (double)a->weights[i] - (double)b->weights[i];
        apart += d * d;
        norm += (double)b->weights[i] * (double)b->weights[i];
    }
    return sqrt(apart / norm);
}

/* Elements of what a rank holds that trains. */
static int64_t trained_elems(const trained *t, int rank)
{
    const yki_program *program = yki_plan_program(t->trainer->plan, rank);
    int64_t elems = 0;
    for (int i = 0; i < program->nparameters; i++)
        if (!t->trainer->model->parameters[program->parameters[i].parameter].frozen)
            elems += program->parameters[i].elems;
    return elems;
}

/* Elements of moments and masters of what a rank holds, one for one: of matrices muon has one moment, of what
 * is frozen nothing is kept. */
static int64_t state_elems(const row *r, const trained *t, int rank)
{
    static const int moments[] = {
        [YOKE_SGD] = 1, [YOKE_ADAM] = 2, [YOKE_ADAMW] = 2, [YOKE_LION] = 1, [YOKE_MUON] = 2};
    const yoke_train_options *o = &t->trainer->options;
    const yki_program *program = yki_plan_program(t->trainer->plan, rank);
    int64_t elems = 0;
    bool none = o->optimizer == YOKE_SGD && o->momentum == 0;
    for (int i = 0; i < program->nparameters; i++) {
        const yki_parameter *p = &t->trainer->model->parameters[program->parameters[i].parameter];
        bool one = o->optimizer == YOKE_MUON && p->matrix;
        if (p->frozen) continue;
        elems += program->parameters[i].elems * ((none  ? 0
                                                  : one ? 1
                                                        : moments[o->optimizer]) +
                                                 r->value[PRECISION]);
    }
    return elems;
}

/* What devices hold of parameters, where no replica leaves any to another: each logical element somewhere, no
 * element twice on one device; gradients in f32; moments, and masters under bf16, in f32. NULL: so it is. */
static const char *residents_wrong(const row *r, const trained *t)
{
    int64_t size = r->value[PRECISION] ? 2 : 4, all = yoke_model_parameters(t->trainer->model), held = 0;
    bool shards = r->value[ZERO] > 0 && degree_of(r, DP) > 1;
    for (int i = 0; i < t->outcome.ndevices; i++) {
        const yoke_bytes *b = &t->outcome.devices[i].bytes;
        held += b->weights / size;
        if (b->weights > all * size) return "a device holds more weights than there are";
        if (!shards && b->gradients != 4 * trained_elems(t, t->outcome.devices[i].rank))
            return "gradients are not f32 of each weight that trains";
        if (!shards && b->optimizer != 4 * state_elems(r, t, t->outcome.devices[i].rank))
            return "the optimizer's state is another than its moments and masters";
    }
    return held < all ? "the devices together do not hold all weights" : NULL;
}

typedef enum kind { LOSS, GRADIENT, WEIGHT, KINDS } kind;

typedef struct worst {
    double apart[2][KINDS]; /* f32, bf16 */
    int rows, judged, refused;
} worst;

static void measure(const trained *a, const trained *b, double apart[KINDS])
{
    apart[LOSS] = worst_difference(&a->outcome, &b->outcome);
    apart[GRADIENT] = difference(b->trainer, a->gradients, b->gradients);
    apart[WEIGHT] = whole_difference(a, b);
}

/* f32 and bf16; or, where that is more, three times what one device's differ by when it sums in another
 * order; in bf16, when it rounds to f32 instead. */
static const double limits[2][KINDS] = {{1e-5, 1e-4, 5e-3}, {2e-2, 2e-2, 5e-2}};
static const char *const kind_names[KINDS] = {"losses", "gradients", "weights"};

static bool within(const double apart[KINDS], const double limit[KINDS])
{
    return apart[LOSS] <= limit[LOSS] && apart[GRADIENT] <= limit[GRADIENT] && apart[WEIGHT] <= limit[WEIGHT];
}

static void check_run(const row *r, const char *split, trained *many, worst *seen)
{
    static trained one, other;
    const char *model = value(r, MODEL);
    int bf16 = r->value[PRECISION];
    double apart[KINDS], drift[KINDS] = {0};
    train(model, split, many);
    train_alone(r, "", &one);
    measure(many, &one, apart);
    if (!within(apart, limits[bf16])) {
        train_alone(r, bf16 ? "; train.precision=f32" : "; layout.microbatches=3", &other);
        measure(&other, &one, drift);
        release(&other);
        seen->judged++;
    }
    for (int k = 0; k < KINDS; k++) {
        if (!(apart[k] <= fmax(limits[bf16][k], k == GRADIENT && !bf16 ? 0 : 3 * drift[k])))
            fail_msg("%s [%s]: %s differ by %.3g", model, split, kind_names[k], apart[k]);
        seen->apart[bf16][k] = fmax(seen->apart[bf16][k], apart[k]);
    }
    const char *bytes = bytes_wrong(&many->outcome), *residents = residents_wrong(r, many);
    if (bytes || residents) fail_msg("%s [%s]: %s", model, split, bytes ? bytes : residents);
    seen->rows++;
    release(&one);
}

/* Whether the row ran; it must, unless the table of refusals has it. */
static bool check_row(const row *r, worst *seen)
{
    static trained many;
    char split[1024];
    int rule = refused_by(r, true);
    describe(r, false, split, sizeof split);
    many.job = open_job(value(r, MODEL), split);
    many.trainer = many.job ? make_trainer(many.job) : NULL;
    bool ran = many.trainer != NULL;
    const char *said = yoke_error_get()->message;
    if (ran && rule >= 0) fail_msg("%s [%s]: not refused: %s", value(r, MODEL), split, refusals[rule].what);
    if (ran)
        check_run(r, split, &many, seen);
    else if (rule >= 0 && strstr(said, refusals[rule].words))
        seen->refused++;
    else
        fail_msg("%s [%s]: %s %s", value(r, MODEL), split, yoke_error_get()->key, said);
    release(&many);
    return ran;
}

static void print_worst(const char *what, const worst *seen)
{
    print_message("%d rows %s, %d of them held against rounding; %d refused\n", seen->rows, what,
                  seen->judged, seen->refused);
    for (int p = 0; p < 2; p++)
        print_message("  %s: losses %.2g, gradients %.2g, weights %.2g\n", factors[PRECISION].values[p],
                      seen->apart[p][LOSS], seen->apart[p][GRADIENT], seen->apart[p][WEIGHT]);
}

static bool met[NFACTORS][MOST_VALUES][NFACTORS][MOST_VALUES];

static int new_pairs(const row *r)
{
    int count = 0;
    for (int a = 0; a < NFACTORS; a++)
        for (int b = a + 1; b < NFACTORS; b++) count += !met[a][r->value[a]][b][r->value[b]];
    return count;
}

static void mark(const row *r)
{
    for (int a = 0; a < NFACTORS; a++)
        for (int b = a; b < NFACTORS; b++) met[a][r->value[a]][b][r->value[b]] = true;
}

/* A row with the pair (a, x), (b, y) that is a case, and that has as many other new pairs as a few tries
 * find.
 */
static bool row_with(uint64_t *state, int a, int x, int b, int y, row *best)
{
    int most = -1;
    for (int t = 0, cases = 0; t < DRAWS && cases < TRIES; t++) {
        row r = draw_row(state);
        r.value[a] = x;
        r.value[b] = y;
        if (!is_a_case(&r)) continue;
        cases++;
        if (new_pairs(&r) <= most) continue;
        most = new_pairs(&r);
        *best = r;
    }
    return most >= 0;
}

static void test_pairs(void **state)
{
    (void)state;
    uint64_t seed = 2024;
    worst seen = {0};
    int never = 0;
    bool all = one_in() == 1; /* else each value of each factor: a pair with itself */
    memset(met, 0, sizeof met);
    for (int a = 0; a < NFACTORS; a++)
        for (int b = all ? a + 1 : a; b < (all ? NFACTORS : a + 1); b++)
            for (int x = 0; x < factors[a].count; x++)
                for (int y = all ? 0 : x; y < (all ? factors[b].count : x + 1); y++) {
                    row r;
                    for (int t = 0; t < ROUNDS && !met[a][x][b][y]; t++) {
                        if (!row_with(&seed, a, x, b, y, &r)) break;
                        if (check_row(&r, &seen)) mark(&r);
                    }
                    never += !met[a][x][b][y];
                }
    print_worst(all ? "for all pairs" : "for all values", &seen);
    assert_int_equal(never, all ? NEVER : 0);
}

static void test_samples(void **state)
{
    (void)state;
    uint64_t seed = 7;
    worst seen = {0};
    const char *from = getenv("YOKE_TEST_SEED"), *most = getenv("YOKE_TEST_SAMPLES");
    int count = most ? atoi(most) : SAMPLES;
    if (from) seed = strtoull(from, NULL, 0);
    while (seen.rows < count) {
        row r = draw_row(&seed);
        if (is_a_case(&r) && features(&r) >= FEATURES) check_row(&r, &seen);
    }
    print_worst("at random, of three features and more", &seen);
    assert_true(seen.refused * 50 < seen.rows + seen.refused);
}

/* Rows that one rule alone refuses are refused in its words, before anything runs. */
static void test_refusals(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int rule = 0; rule < NREFUSALS; rule++)
        for (int found = 0; found < 3;) {
            row r = draw_row(&seed);
            int matches = 0;
            for (int i = 0; i < NREFUSALS; i++) matches += refusals[i].is(&r);
            if (matches != 1 || !refusals[rule].is(&r)) continue;
            char split[1024];
            describe(&r, false, split, sizeof split);
            yoke_job *job = open_job(value(&r, MODEL), split);
            yoke_trainer *trainer = job ? make_trainer(job) : NULL;
            const yoke_error *error = yoke_error_get();
            if (trainer) fail_msg("%s [%s]: not refused: %s", value(&r, MODEL), split, refusals[rule].what);
            assert_int_equal(error->status, YOKE_INVALID);
            if (!strstr(error->message, refusals[rule].words))
                fail_msg("%s [%s]: no \"%s\" in: %s", value(&r, MODEL), split, refusals[rule].words,
                         error->message);
            yoke_job_destroy(job);
            found++;
        }
}

static void test_documentation_lists_refusals(void **state)
{
    (void)state;
    char *page = read_page("strategies.md");
    for (int i = 0; i < NREFUSALS; i++)
        if (!strstr(page, refusals[i].what)) fail_msg("docs/strategies.md has no \"%s\"", refusals[i].what);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_documentation_lists_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
