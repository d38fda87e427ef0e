/* Targets that are not counted (YOKE_UNCOUNTED): every layout gives one device's run, the mean is over those
 * that are counted, and a batch without any updates nothing. */
#include "train/by_hand.h"

enum { ROWS = 22, BATCH = 8, T = 9, VOCAB = 19, CHANGES = 5 };

static const char *const layouts[] = {
    "",
    "dp=2",
    "dp=3,microbatches=2",
    "tp=2",
    "tp=2,sp=true",
    "pp=2,microbatches=3",
    "pp=3,microbatches=4,schedule=zb-h1",
    "cp=2",
    "cp=3,dp=2",
    "dp=2,zero=3",
    "dp=2,tp=2,pp=2,microbatches=2,zero=1",
};
enum { NLAYOUTS = sizeof layouts / sizeof *layouts };

static int32_t ids[ROWS * T], next[ROWS * T];

/* One row in five has no target that is counted, others begin with some. The last batches are ragged. */
static yoke_data *some_tokens(void)
{
    uint64_t seed = 5;
    yoke_data *data;
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {T}};
    for (int r = 0; r < ROWS; r++) {
        int begins = r % 5 == 3 ? T : (int)(draw(&seed) % T);
        for (int t = 0; t < T; t++) {
            ids[r * T + t] = (int32_t)(draw(&seed) % VOCAB);
            int32_t target = (int32_t)(draw(&seed) % VOCAB);
            next[r * T + t] = t < begins ? YOKE_UNCOUNTED : target;
        }
    }
    assert_int_equal(yoke_data_from_memory(&data, ROWS, &row, ids, &row, next), YOKE_OK);
    return data;
}

static yoke_model *some_gpt2(void)
{
    yoke_model *model = new_model();
    yoke_gpt2_options shape = {
        .layers = 3, .heads = 6, .width = 12, .context = T, .vocab = VOCAB, .sequence = T, .dropout = 0.1};
    assert_int_equal(yoke_model_finish(model, yoke_gpt2(model, &shape), YOKE_CROSS_ENTROPY), YOKE_OK);
    return model;
}

static yoke_trainer *trainer_of(const yoke_model *model, yoke_data *data, const char *text,
                                const yoke_train_options *options)
{
    yoke_trainer *trainer = NULL;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    assert_int_equal(yoke_layout_parse(&layout, text), YOKE_OK);
    layout.threads = 1;
    if (yoke_trainer_create(&trainer, model, data, options, &layout) != YOKE_OK)
        fail_msg("%s: %s", text, yoke_error_get()->message);
    return trainer;
}

static void near_values(const yoke_model *model, const float *got, const float *want, double most,
                        const char *what)
{
    for (int64_t i = 0; i < yoke_model_parameters(model); i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= most))
            fail_msg("%s: weight %lld is %.9g, not %.9g", what, (long long)i, (double)got[i],
                     (double)want[i]);
}

static void test_layouts(void **state)
{
    (void)state;
    yoke_model *model = some_gpt2();
    yoke_data *data = some_tokens();
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = CHANGES, options.batch = BATCH, options.lr = 0.05, options.momentum = 0.9,
    options.clip = 1;
    static outcome want, got;
    float *weights = NULL;
    yoke_evaluation first, e;
    for (int i = 0; i < NLAYOUTS; i++) {
        yoke_trainer *trainer = trainer_of(model, data, layouts[i], &options);
        if (yoke_trainer_run(trainer, 0, NULL, NULL) != YOKE_OK)
            fail_msg("%s: %s", layouts[i], yoke_error_get()->message);
        collect(trainer, i ? &got : &want);
        assert_int_equal(yoke_trainer_evaluate(trainer, data, 0, i ? &e : &first), YOKE_OK);
        float *values = read_values(trainer, YKI_TENSOR_WEIGHT);
        if (i > 0) {
            if (!(worst_difference(&got, &want) <= 1e-5)) fail_msg("%s: other losses", layouts[i]);
            near_values(model, values, weights, 1e-4, layouts[i]);
            assert_true(fabs(e.loss - first.loss) <= 1e-5 * first.loss && e.tokens == first.tokens);
            assert_true(fabs(e.accuracy - first.accuracy) < 1.5 / (double)first.tokens);
            free(values);
        } else {
            weights = values;
        }
        yoke_trainer_destroy(trainer);
    }
    free(weights);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* What the outputs say by hand. */
static void test_evaluation(void **state)
{
    (void)state;
    static float outputs[ROWS * T * VOCAB];
    yoke_model *model = some_gpt2();
    yoke_data *data = some_tokens();
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = CHANGES, options.batch = BATCH, options.lr = 0.5;
    yoke_trainer *trainer = trainer_of(model, data, "tp=2,pp=2,microbatches=2", &options);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_predict(trainer, ROWS, ids, outputs), YOKE_OK);
    double loss = 0;
    int64_t counted = 0, right = 0;
    for (int r = 0; r < ROWS * T; r++) {
        const float *row = outputs + (ptrdiff_t)r * VOCAB;
        double sum = 0;
        int best = 0;
        for (int v = 0; v < VOCAB; v++) {
            sum += exp((double)row[v]);
            best = row[v] > row[best] ? v : best;
        }
        if (next[r] < 0) continue;
        loss += log(sum) - (double)row[next[r]];
        right += best == next[r];
        counted++;
    }
    yoke_evaluation e;
    assert_int_equal(yoke_trainer_evaluate(trainer, data, 0, &e), YOKE_OK);
    assert_true(right > 0 && right < counted);
    assert_int_equal(e.tokens, counted);
    assert_true(fabs(e.loss - loss / (double)counted) < 1e-5 * e.loss);
    assert_true(fabs(e.accuracy - (double)right / (double)counted) < 1e-12);
    assert_true(fabs(e.perplexity - exp(e.loss)) < 1e-9 * e.perplexity);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* Rows that are not counted may as well not be there: classes, each row a sample. */
static void test_as_if_not_there(void **state)
{
    (void)state;
    enum { MANY = 12 };
    float all[MANY * IN], some[MANY * IN];
    int32_t marked[MANY], kept[MANY];
    uint64_t seed = 8;
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        for (int k = 0; k < IN; k++) all[i * IN + k] = (float)(draw(&seed) % 1000) / 500 - 1;
        marked[i] = i % 3 == 1 ? YOKE_UNCOUNTED : (int32_t)(draw(&seed) % CLASSES);
        if (marked[i] < 0) continue;
        memcpy(some + (ptrdiff_t)n * IN, all + (ptrdiff_t)i * IN, sizeof *all * IN);
        kept[n++] = marked[i];
    }
    yoke_model *model = small_model();
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {IN}}, target = {.type = YOKE_I32};
    yoke_data *with, *without;
    assert_int_equal(yoke_data_from_memory(&with, MANY, &input, all, &target, marked), YOKE_OK);
    assert_int_equal(yoke_data_from_memory(&without, n, &input, some, &target, kept), YOKE_OK);
    yoke_train_options options = small_options(CHANGES);
    options.batch = MANY;
    yoke_trainer *a = trainer_of(model, with, "dp=2", &options);
    options.batch = n;
    yoke_trainer *b = trainer_of(model, without, "", &options);
    assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
    static outcome x, y;
    collect(a, &x);
    collect(b, &y);
    assert_true(worst_difference(&x, &y) <= 1e-5);
    float *got = read_values(a, YKI_TENSOR_WEIGHT), *want = read_values(b, YKI_TENSOR_WEIGHT);
    near_values(model, got, want, 1e-6, "without them");
    yoke_evaluation e;
    assert_int_equal(yoke_trainer_evaluate(a, with, 0, &e), YOKE_OK);
    int64_t confused = 0;
    for (int c = 0; c < CLASSES * CLASSES; c++) confused += e.confusion[c];
    assert_int_equal(confused, n);
    yoke_evaluation_release(&e);
    free(got);
    free(want);
    yoke_trainer_destroy(a);
    yoke_trainer_destroy(b);
    yoke_data_destroy(with);
    yoke_data_destroy(without);
    yoke_model_destroy(model);
}

/* The step in the middle has nothing to learn from: the run is that of the others, bit for bit, Adam's count
 * of steps included. */
static void test_empty_batch(void **state)
{
    (void)state;
    enum { EACH = 4 };
    static const char *const ways[] = {"", "dp=2", "pp=2,microbatches=2", "dp=2,zero=1"};
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {IN}}, target = {.type = YOKE_I32};
    yoke_data_destroy(small_data()); /* fills inputs and classes */
    for (int way = 0; way < 4; way++) {
        int32_t marked[3 * EACH];
        float two[2 * EACH * IN];
        int32_t both[2 * EACH];
        for (int i = 0; i < 3 * EACH; i++) marked[i] = i / EACH == 1 ? YOKE_UNCOUNTED : classes[i];
        for (int i = 0; i < 2 * EACH; i++) {
            int from = i < EACH ? i : i + EACH;
            both[i] = classes[from];
            memcpy(two + (ptrdiff_t)i * IN, inputs + (ptrdiff_t)from * IN, sizeof *two * IN);
        }
        yoke_model *model = small_model();
        yoke_data *three, *rest;
        assert_int_equal(yoke_data_from_memory(&three, 3 * EACH, &input, inputs, &target, marked), YOKE_OK);
        assert_int_equal(yoke_data_from_memory(&rest, 2 * EACH, &input, two, &target, both), YOKE_OK);
        yoke_train_options options = YOKE_TRAIN_DEFAULT;
        options.batch = EACH, options.shuffle = false, options.optimizer = YOKE_ADAM, options.lr = 0.01;
        options.steps = 3;
        yoke_trainer *a = trainer_of(model, three, ways[way], &options);
        options.steps = 2;
        yoke_trainer *b = trainer_of(model, rest, ways[way], &options);
        assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
        static outcome x, y;
        collect(a, &x);
        collect(b, &y);
        assert_true(x.losses[0] == y.losses[0] && x.losses[1] == 0 && x.losses[2] == y.losses[1]);
        assert_int_equal(x.report.skipped, 1);
        float *got = read_values(a, YKI_TENSOR_WEIGHT), *want = read_values(b, YKI_TENSOR_WEIGHT);
        assert_memory_equal(got, want, sizeof *got * (size_t)yoke_model_parameters(model));
        free(got);
        free(want);
        yoke_trainer_destroy(a);
        yoke_trainer_destroy(b);
        yoke_data_destroy(three);
        yoke_data_destroy(rest);
        yoke_model_destroy(model);
    }
}

/* Held-out samples none of which counts. */
static void test_nothing_to_evaluate(void **state)
{
    (void)state;
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {IN}}, target = {.type = YOKE_I32};
    yoke_data *sound = small_data(), *empty;
    int32_t none[3] = {YOKE_UNCOUNTED, YOKE_UNCOUNTED, YOKE_UNCOUNTED};
    yoke_model *model = small_model();
    assert_int_equal(yoke_data_from_memory(&empty, 3, &input, inputs, &target, none), YOKE_OK);
    yoke_trainer *trainer = small_trainer(model, sound, 1, small_layout(1, 1, 1));
    yoke_evaluation e;
    assert_int_equal(yoke_trainer_evaluate(trainer, empty, 0, &e), YOKE_INVALID);
    assert_true(nothing_missing("-100"));
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(sound);
    yoke_data_destroy(empty);
    yoke_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_as_if_not_there),
        cmocka_unit_test(test_empty_batch),
        cmocka_unit_test(test_nothing_to_evaluate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
