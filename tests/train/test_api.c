/* The library used by hand: data from memory and from functions that fail, predictions, values that are not
 * finite, classes that are none. Nothing is lost by what goes wrong. */
#include "train/by_hand.h"

/* Predictions are the forward pass of training: with dropout off, their loss is the loss of a step on the
 * same weights, whatever the layout and however many are asked for at once. */
static void test_predict(void **state)
{
    (void)state;
    yoke_model *model = small_model();
    yoke_data *data = small_data();
    static float alone[SAMPLES * CLASSES], out[SAMPLES * CLASSES];
    static const int shapes[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 3, 1}, {1, 1, 2}, {2, 2, 1}};
    for (int k = 0; k < 5; k++) {
        yoke_trainer *trainer =
            small_trainer(model, data, 3, small_layout(shapes[k][0], shapes[k][1], shapes[k][2]));
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        memset(out, 0, sizeof out);
        for (int n = 0; n <= SAMPLES; n += n < 3 ? 1 : 9) /* 0, 1, 2, 3, 12, 21, 30 */
            assert_int_equal(yoke_trainer_predict(trainer, n, inputs, k ? out : alone), YOKE_OK);
        assert_int_equal(yoke_trainer_predict(trainer, 0, NULL, NULL), YOKE_OK);
        double loss = 0, eval_loss, accuracy;
        int64_t samples, right = 0;
        for (int i = 0; i < SAMPLES; i++) {
            const float *row = (k ? out : alone) + i * CLASSES;
            double sum = 0;
            int best = 0;
            for (int c = 0; c < CLASSES; c++) {
                sum += exp((double)row[c]);
                if (row[c] > row[best]) best = c;
            }
            loss += (log(sum) - (double)row[classes[i]]) / SAMPLES;
            right += best == classes[i];
        }
        assert_int_equal(yoke_trainer_eval(trainer, data, &eval_loss, &accuracy, &samples), YOKE_OK);
        assert_int_equal(samples, SAMPLES);
        assert_true(fabs(loss - eval_loss) <= 1e-5 * loss);
        assert_true(fabs(accuracy - (double)right / SAMPLES) < 1e-12);
        for (int i = 0; k && i < SAMPLES * CLASSES; i++) assert_true(fabsf(out[i] - alone[i]) <= 1e-5f);
        /* none are held out */
        assert_int_equal(yoke_trainer_eval(trainer, NULL, &eval_loss, &accuracy, &samples), YOKE_INVALID);
        /* other rows than the model's */
        yoke_row wide = {.type = YOKE_F32, .ndim = 1, .dims = {4000}}, target = {.type = YOKE_I32};
        yoke_data *other;
        assert_int_equal(yoke_data_random(&other, 9, &wide, 0, &target, CLASSES, 1), YOKE_OK);
        assert_int_equal(yoke_trainer_eval(trainer, other, &eval_loss, &accuracy, &samples), YOKE_INVALID);
        assert_true(nothing_missing("inputs are [4000]"));
        yoke_data_destroy(other);
        yoke_trainer_destroy(trainer);
    }
    /* a step's own loss: one step over all samples that changes nothing */
    yoke_train_options options = small_options(1);
    options.batch = SAMPLES;
    options.lr = 1e-30;
    yoke_layout layout = small_layout(1, 1, 1);
    yoke_trainer *trainer;
    double eval_loss, accuracy;
    int64_t samples, first, count;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_eval(trainer, data, &eval_loss, &accuracy, &samples), YOKE_OK);
    assert_true(fabs(yoke_trainer_losses(trainer, &first, &count)[0] - eval_loss) <= 1e-6);
    yoke_trainer_destroy(trainer);
    yoke_model_destroy(model);
    yoke_data_destroy(data);
}

/* Forward passes use no dropout. */
static void test_predict_without_dropout(void **state)
{
    (void)state;
    yoke_model *model = new_model();
    yoke_tensor x = input_of(model, 1, 40, 0, 0);
    x = yoke_dropout(model, yoke_activate(model, x, YOKE_TANH), 0.5);
    assert_int_equal(yoke_model_finish(model, x, YOKE_MSE), YOKE_OK);
    yoke_row row = {.type = YOKE_F32, .ndim = 1, .dims = {40}};
    yoke_data *data;
    float values[40], out[40];
    for (int i = 0; i < 40; i++) values[i] = (float)(i - 20) / 10;
    assert_int_equal(yoke_data_from_memory(&data, 1, &row, values, &row, values), YOKE_OK);
    yoke_train_options options = small_options(1);
    options.batch = 1;
    yoke_layout layout = small_layout(1, 1, 1);
    yoke_trainer *trainer;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    /* a model without a parameter trains too */
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_predict(trainer, 1, values, out), YOKE_OK);
    for (int i = 0; i < 40; i++) assert_true(fabsf(out[i] - tanhf(values[i])) < 1e-5f);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* Token ids that the table does not have must not be read. */
static void test_predict_wrong_tokens(void **state)
{
    (void)state;
    yoke_model *model = new_model();
    yoke_gpt2_options gpt2 = {.layers = 1, .heads = 2, .width = 8, .context = 6, .vocab = 11, .sequence = 4};
    yoke_tensor x = yoke_gpt2(model, &gpt2);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    yoke_row row = {.type = YOKE_I32, .ndim = 1, .dims = {4}};
    yoke_data *data;
    assert_int_equal(yoke_data_random(&data, 8, &row, 11, &row, 11, 1), YOKE_OK);
    for (int tp = 1; tp <= 2; tp++) {
        yoke_trainer *trainer = small_trainer(model, data, 2, small_layout(1, tp, 1));
        static float out[4 * 11];
        static const int32_t wrong[] = {-1, 11, INT32_MAX, INT32_MIN};
        for (int i = 0; i < 4; i++) {
            int32_t ids[4] = {1, 2, wrong[i], 3};
            assert_int_equal(yoke_trainer_predict(trainer, 1, ids, out), YOKE_INVALID);
            assert_true(nothing_missing("0 .. 10"));
        }
        int32_t right[4] = {0, 10, 5, 3};
        assert_int_equal(yoke_trainer_predict(trainer, 1, right, out), YOKE_OK);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        yoke_trainer_destroy(trainer);
    }
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* What the function that reads samples does at call number fail_at: it fails, or writes something else. */
typedef struct source {
    int64_t calls, fail_at;
    yoke_status status;
    float spoil;   /* over an input; 0: not */
    int32_t class; /* over a target; 0: not */
} source;

static yoke_status read_sample(void *context, int64_t index, void *input, void *target)
{
    source *s = context;
    bool now = ++s->calls == s->fail_at;
    if (now && s->status != YOKE_OK) return s->status;
    memcpy(input, inputs + index * IN, sizeof(float) * IN);
    memcpy(target, classes + index, sizeof(int32_t));
    if (now && s->spoil != 0) memcpy(input, &s->spoil, sizeof(float));
    if (now && s->class != 0) memcpy(target, &s->class, sizeof(int32_t));
    return YOKE_OK;
}

static yoke_data *callback_data(source *s)
{
    yoke_data *data;
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {IN}}, target = {.type = YOKE_I32};
    yoke_data_destroy(small_data()); /* fills the arrays */
    assert_int_equal(yoke_data_from_callback(&data, SAMPLES, &input, &target, read_sample, s), YOKE_OK);
    return data;
}

enum { WEIGHTS = (IN + 1) * 8 + 9 * CLASSES };

/* All weights, in one of two places in turn. */
static float *weights_of(yoke_trainer *trainer)
{
    static float all[2][WEIGHTS];
    static int turn;
    float *values = all[turn = !turn];
    int64_t elems, at = 0;
    for (int i = 0; i < yoke_trainer_parameters(trainer); i++) {
        const char *name = yoke_trainer_parameter(trainer, i, &elems);
        assert_true(at + elems <= WEIGHTS);
        assert_int_equal(yoke_trainer_get(trainer, name, values + at), YOKE_OK);
        at += elems;
    }
    assert_int_equal(at, WEIGHTS);
    return values;
}

/* From memory and from a function that reads the same memory: the same run. */
static void test_sources(void **state)
{
    (void)state;
    source s = {0};
    yoke_model *model = small_model();
    yoke_data *memory = small_data(), *calls = callback_data(&s);
    yoke_trainer *a = small_trainer(model, memory, 9, small_layout(1, 1, 1)),
                 *b = small_trainer(model, calls, 9, small_layout(1, 1, 1));
    static outcome x, y;
    assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
    collect(a, &x);
    collect(b, &y);
    same_bits(&x, &y);
    assert_int_equal(s.calls, 8 + 8 + 8 + 6 + 8 + 8 + 8 + 6 + 8);
    assert_memory_equal(weights_of(a), weights_of(b), sizeof(float) * WEIGHTS);
    yoke_trainer_destroy(a);
    yoke_trainer_destroy(b);
    yoke_data_destroy(memory);
    yoke_data_destroy(calls);
    yoke_model_destroy(model);
}

/* A function that fails ends the run with its status; steps done stay done, and the run can go on. */
static void test_failing_callback(void **state)
{
    (void)state;
    static const yoke_status statuses[] = {YOKE_SYSTEM, YOKE_INVALID, YOKE_STOPPED, YOKE_PEER_FAILED,
                                           YOKE_CHECK_FAILED};
    for (int k = 0; k < 5; k++) {
        source s = {.fail_at = 8 + 8 + 3, .status = statuses[k]}, none = {0};
        yoke_model *model = small_model();
        yoke_data *data = callback_data(&s), *whole = callback_data(&none);
        yoke_layout layout = small_layout(meshes[k][0], meshes[k][1], meshes[k][2]);
        yoke_trainer *trainer = small_trainer(model, data, 9, layout),
                     *reference = small_trainer(model, whole, 9, layout);
        int64_t first, count;
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), statuses[k]);
        yoke_trainer_losses(trainer, &first, &count);
        assert_int_equal(count, 2);
        assert_int_equal(yoke_trainer_run(reference, 2, NULL, NULL), YOKE_OK);
        assert_memory_equal(weights_of(trainer), weights_of(reference), sizeof(float) * WEIGHTS);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_run(reference, 0, NULL, NULL), YOKE_OK);
        static outcome x, y;
        collect(trainer, &x);
        collect(reference, &y);
        assert_int_equal(x.count, 9);
        same_bits(&x, &y);
        yoke_trainer_destroy(trainer);
        yoke_trainer_destroy(reference);
        yoke_data_destroy(data);
        yoke_data_destroy(whole);
        yoke_model_destroy(model);
    }
}

/* A value that is no number, an infinite one, one that overflows: not finite, and no weight has changed.
 */
static void test_not_finite(void **state)
{
    (void)state;
    static const float spoils[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < NMESHES; k++)
        for (int v = 0; v < 3; v++)
            for (int bf16 = 0; bf16 < 2; bf16++)
                for (int adam = 0; adam < 2; adam++) {
                    source s = {.fail_at = 8 + 8 + 2, .spoil = spoils[v]};
                    yoke_model *model = new_model();
                    yoke_tensor x = yoke_linear(model, input_of(model, 1, IN, 0, 0), 8,
                                                true); /* no tanh: infinity passes */
                    x = yoke_linear(model, x, CLASSES, true);
                    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
                    yoke_data *data = callback_data(&s);
                    yoke_layout layout = small_layout(meshes[k][0], meshes[k][1], meshes[k][2]);
                    yoke_train_options options = small_options(9);
                    options.precision = bf16 ? YOKE_PRECISION_BF16 : YOKE_PRECISION_F32;
                    options.optimizer = adam ? YOKE_ADAMW : YOKE_SGD;
                    if (adam) options.momentum = 0;
                    options.clip = v == 1 ? 1 : 0;
                    yoke_trainer *trainer;
                    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
                    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
                    float before[WEIGHTS];
                    memcpy(before, weights_of(trainer), sizeof before);
                    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_NON_FINITE);
                    assert_true(nothing_missing("step 2"));
                    assert_memory_equal(weights_of(trainer), before, sizeof before);
                    /* the sample is sound when it is read again: the step is taken now */
                    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
                    int64_t first, count;
                    yoke_trainer_losses(trainer, &first, &count);
                    assert_int_equal(count, 3);
                    yoke_trainer_destroy(trainer);
                    yoke_data_destroy(data);
                    yoke_model_destroy(model);
                }
}

static void test_wrong_classes(void **state)
{
    (void)state;
    static const int32_t wrong[] = {CLASSES, -1, INT32_MAX, INT32_MIN, -101};
    for (int k = 0; k < NMESHES; k++) {
        source s = {.fail_at = 8 + 5, .class = wrong[k]};
        yoke_model *model = small_model();
        yoke_data *data = callback_data(&s);
        yoke_trainer *trainer =
            small_trainer(model, data, 4, small_layout(meshes[k][0], meshes[k][1], meshes[k][2]));
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_INVALID);
        assert_true(nothing_missing("class") && nothing_missing("0 .. 3"));
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        yoke_trainer_destroy(trainer);
        yoke_data_destroy(data);
        yoke_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predict),
        cmocka_unit_test(test_predict_without_dropout),
        cmocka_unit_test(test_predict_wrong_tokens),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_failing_callback),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_wrong_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
