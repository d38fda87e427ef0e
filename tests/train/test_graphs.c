/* Random models, built by hand: values used twice and far away, parts that no gradient reaches, sums over
 * devices, samples that several parts take. Built without a device and run on one, each must be the same run
 * as built over devices, or split by the layout. */
#include "train/by_hand.h"

enum { POOL = 40, ROWS = 3, WIDTH = 5, MOST_DEVICES = 4, COUNT = 26 };

typedef struct node {
    yoke_tensor tensor;
    int64_t width;
    bool used;
} node;

typedef struct builder {
    yoke_model *model;
    int devices, device; /* devices 0: none is named */
    uint64_t seed;
    node pool[POOL];
    int count, layers;
} builder;

/* The part of the next layer; the first layers meet every device once. */
static void choose_device(builder *b)
{
    uint64_t changes = draw(&b->seed) % 10,
             to = draw(&b->seed); /* drawn in any case: both models are alike */
    if (b->devices == 0) return;
    if (b->layers < b->devices)
        b->device = b->layers;
    else if (changes < 4)
        b->device = (int)(to % (uint64_t)b->devices);
    b->layers++;
    yoke_model_on(b->model, b->device);
}

static yoke_tensor here(const builder *b, node *of)
{
    of->used = true;
    return b->devices ? yoke_move(b->model, of->tensor, b->device) : of->tensor;
}

static void add_node(builder *b, yoke_tensor tensor, int64_t width)
{
    assert_true(b->count < POOL);
    b->pool[b->count++] = (node){tensor, width, false};
}

static void grow(builder *b)
{
    static const int64_t widths[] = {1, 3, 5, 5, 8};
    int kind = (int)(draw(&b->seed) % 12), a = (int)(draw(&b->seed) % (uint64_t)b->count),
        c = (int)(draw(&b->seed) % (uint64_t)b->count), more = (int)(draw(&b->seed) % 30);
    if (draw(&b->seed) % 3) a = b->count - 1; /* mostly a chain */
    node *x = &b->pool[a], *y = &b->pool[c];
    if (kind >= 9 && (a == c || x->width != y->width)) kind = 0;
    choose_device(b);
    yoke_tensor t = here(b, x);
    int64_t width = x->width;
    if (kind < 4) {
        width = widths[more % 5];
        t = yoke_linear(b->model, t, width, more % 2);
    } else if (kind == 4)
        t = yoke_activate(b->model, t, (yoke_activation)(more % 6));
    else if (kind == 5)
        t = yoke_layernorm(b->model, t, 0.1);
    else if (kind == 6)
        t = yoke_rmsnorm(b->model, t, 0.1);
    else if (kind == 7)
        t = yoke_softmax(b->model, t);
    else if (kind == 8)
        t = yoke_dropout(b->model, t, 0.2);
    else
        t = yoke_add(b->model, t, here(b, y));
    add_node(b, t, width);
}

/* Everything that nobody uses goes into one sum, and a last layer ends it. */
static yoke_model *random_model(uint64_t seed, int devices)
{
    builder b = {.model = new_model(), .devices = devices, .seed = seed};
    if (devices) yoke_model_on(b.model, 0);
    add_node(&b, input_of(b.model, 2, ROWS, WIDTH, 0), WIDTH);
    int layers = MOST_DEVICES + (int)(draw(&b.seed) % 9), sum = -1;
    for (int i = 0; i < layers; i++) grow(&b);
    for (int i = 0, last = b.count; i < last; i++) {
        if (b.pool[i].used) continue;
        choose_device(&b);
        add_node(&b, yoke_linear(b.model, here(&b, &b.pool[i]), 4, true), 4);
        if (sum >= 0) {
            choose_device(&b);
            yoke_tensor left = here(&b, &b.pool[sum]), right = here(&b, &b.pool[b.count - 1]);
            add_node(&b, yoke_add(b.model, left, right), 4);
        }
        sum = b.count - 1;
    }
    yoke_loss loss = draw(&b.seed) % 2 ? YOKE_CROSS_ENTROPY : YOKE_MSE;
    if (yoke_model_finish(b.model, b.pool[sum].tensor, loss) != YOKE_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, yoke_error_get()->message);
    return b.model;
}

static yoke_data *data_of(const yoke_model *model)
{
    yoke_row input = {.type = YOKE_F32, .ndim = 2, .dims = {ROWS, WIDTH}}, target = {.type = YOKE_F32};
    yoke_data *data;
    target.ndim = yoke_model_output_dims(model, target.dims);
    if (model->loss == YOKE_CROSS_ENTROPY) {
        target.type = YOKE_I32;
        target.ndim--;
    }
    assert_int_equal(yoke_data_random(&data, COUNT, &input, 0, &target, 4, 5), YOKE_OK);
    return data;
}

typedef struct figures {
    outcome out;
    double gradient_norm;
    float *gradients;
} figures;

/* Gradients of the first step, then six steps. false: refused. */
static bool train(const yoke_model *model, yoke_layout layout, uint64_t seed, figures *f)
{
    yoke_data *data = data_of(model);
    yoke_train_options options = small_options(6);
    yoke_trainer *trainer;
    yki_step_result result;
    options.lr = 0.02;
    options.batch = 8 + (int64_t)(seed % 3);
    f->gradients = NULL;
    if (yoke_trainer_create(&trainer, model, data, &options, &layout) != YOKE_OK) {
        assert_int_equal(yoke_error_get()->status, YOKE_INVALID);
        yoke_data_destroy(data);
        return false;
    }
    f->gradients = malloc(sizeof(float) * (size_t)(yoke_model_parameters(model) + 1));
    assert_non_null(f->gradients);
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    for (int64_t i = 0, at = 0; i < model->nparameters; at += yki_trainer_elems(trainer, (int)i), i++)
        yki_run_read(trainer->run, YKI_TENSOR_GRADIENT, (int)i, 0, yki_trainer_elems(trainer, (int)i),
                     f->gradients + at);
    f->gradient_norm = result.gradient_norm;
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    collect(trainer, &f->out);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    return true;
}

static void must_agree(const yoke_model *model, const figures *one, const figures *many, uint64_t seed,
                       const yoke_layout *l, int devices)
{
    double difference = 0, loss = worst_difference(&many->out, &one->out);
    for (int64_t i = 0; i < yoke_model_parameters(model); i++) {
        double d = (double)one->gradients[i] - (double)many->gradients[i];
        difference += d * d;
    }
    const char *bytes = bytes_wrong(&many->out);
    if (!(loss <= 1e-5) || !(sqrt(difference) <= 1e-5 * one->gradient_norm + 1e-9) || bytes)
        fail_msg("seed %llu, %d devices, dp %d, tp %d%s, pp %d, %d micro-batches, %s: losses differ by %.2g, "
                 "gradients by %.2g of %.2g; %s",
                 (unsigned long long)seed, devices, l->dp, l->tp, l->sp ? " sp" : "", l->pp, l->microbatches,
                 l->schedule, loss, sqrt(difference), one->gradient_norm, bytes ? bytes : "");
}

static void test_random_models(void **state)
{
    (void)state;
    static const char *const schedules[] = {"1f1b", "gpipe", "zb-h1", "zb-h2", "zb-v", "interleaved"};
    static figures one, many;
    int ran = 0, refused = 0;
    uint64_t from = 1, count = 60 / (uint64_t)one_in();
    const char *given = getenv("YOKE_TEST_SEED"), *most = getenv("YOKE_TEST_ORDERS");
    if (given) from = strtoull(given, NULL, 0);
    if (most) count = strtoull(most, NULL, 0);
    for (uint64_t seed = from; seed < from + count; seed++) {
        yoke_model *whole = random_model(seed, 0);
        uint64_t choice = seed * 977;
        assert_true(train(whole, small_layout(1, 1, 1), seed, &one));
        for (int k = 0; k < 6; k++) {
            int devices = k < 3 ? 2 + k : 0;
            yoke_model *model = devices ? random_model(seed, devices) : whole;
            yoke_layout layout = small_layout(1 + (int)(draw(&choice) % 2), 1, 1);
            layout.microbatches = 1 + (int)(draw(&choice) % 4);
            int schedule = (int)(draw(&choice) % (devices ? 2 : 6));
            if (!devices) {
                layout.tp = 1 + (int)(draw(&choice) % 4);
                layout.pp = 1 + (int)(draw(&choice) % 3);
                layout.sp = k % 2;
                if (schedule == 5) layout.chunks = 2;
            }
            snprintf(layout.schedule, sizeof layout.schedule, "%s", schedules[schedule]);
            assert_int_equal(yoke_model_parameters(model), yoke_model_parameters(whole));
            if (train(model, layout, seed, &many)) {
                must_agree(model, &one, &many, seed, &layout, devices);
                ran++;
            } else
                refused++;
            free(many.gradients);
            if (devices) yoke_model_destroy(model);
        }
        free(one.gradients);
        yoke_model_destroy(whole);
    }
    print_message("%d runs agree, %d layouts were refused\n", ran, refused);
    assert_true(refused * 4 < ran);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
