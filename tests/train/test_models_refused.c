/* Models built wrong: refused with a sentence, never a crash; nor is a small buffer made for a shape that
 * overflows. */
#include <limits.h>

#include "train/by_hand.h"

/* Refused by the first wrong call; later calls are harmless, and finishing says what the first one was. */
static void refused_model(yoke_model *model, yoke_tensor last, const char *needle)
{
    yoke_status status = yoke_model_finish(model, last, YOKE_MSE);
    if (status != YOKE_INVALID) fail_msg("a model that \"%s\" is about was taken", needle);
    assert_true(nothing_missing(needle));
    yoke_trainer *trainer = NULL;
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    assert_int_not_equal(yoke_trainer_create(&trainer, model, NULL, &options, &layout), YOKE_OK);
    assert_null(trainer);
    yoke_model_destroy(model);
}

static void test_wrong_devices(void **state)
{
    (void)state;
    yoke_model *model = new_model();
    yoke_model_on(model, 0);
    yoke_tensor x = input_of(model, 1, 4, 0, 0);
    yoke_model_name(model, "left");
    x = yoke_linear(model, x, 5, true);
    yoke_model_on(model, 1);
    yoke_model_name(model, "right");
    yoke_tensor y = yoke_linear(model, x, 3, true);
    assert_true(y.index < 0);
    assert_int_equal(yoke_model_status(model), YOKE_INVALID);
    assert_true(nothing_missing("'right'") && nothing_missing("'left'") && nothing_missing("yoke_move") &&
                nothing_missing("device 1") && nothing_missing("device 0"));
    refused_model(model, y, "'right'");
    /* and moved: taken */
    model = new_model();
    yoke_model_on(model, 0);
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 5, true);
    yoke_model_on(model, 1);
    x = yoke_linear(model, yoke_move(model, x, 1), 3, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_MSE), YOKE_OK);
    int device;
    assert_string_equal(yoke_model_layer(model, 1, &device), "1");
    assert_int_equal(device, 1);
    assert_null(yoke_model_layer(model, 2, &device));
    yoke_model_destroy(model);
    /* a device that is none */
    static const int devices[] = {-1, -2, YOKE_MAX_DEVICES, INT_MAX, INT_MIN};
    for (int i = 0; i < 5; i++) {
        model = new_model();
        yoke_model_on(model, devices[i]);
        refused_model(model, (yoke_tensor){0}, "device");
        model = new_model();
        x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 5, true);
        x = yoke_move(model, x, devices[i]);
        assert_true(x.index < 0);
        refused_model(model, x, "device");
    }
    /* a sum over two devices */
    model = new_model();
    yoke_model_on(model, 0);
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 4, true);
    yoke_model_on(model, 1);
    y = yoke_linear(model, yoke_move(model, x, 1), 4, true);
    refused_model(model, yoke_add(model, y, x), "sum");
    /* a gap in the devices */
    model = new_model();
    yoke_model_on(model, 0);
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 4, true);
    x = yoke_linear(model, yoke_move(model, x, 2), 4, true);
    yoke_model_destroy(model);
}

enum { HUGE_COUNT = 4 };
static const int64_t huge[HUGE_COUNT] = {INT64_MAX, INT64_C(1) << 40, INT64_C(1) << 32,
                                         (INT64_C(1) << 62) + 1};

/* Whatever the shape, an answer: refused with a sentence where it cannot be, at the latest when a trainer is
 * made of it; never a crash and never a small buffer for a product that overflowed. */
static void huge_answer(yoke_model *model, yoke_tensor last)
{
    if (yoke_model_finish(model, last, YOKE_MSE) == YOKE_OK) {
        yoke_trainer *trainer = NULL;
        yoke_data *data = NULL;
        yoke_train_options options = YOKE_TRAIN_DEFAULT;
        yoke_layout layout = YOKE_LAYOUT_DEFAULT;
        yoke_row row = {.type = YOKE_F32, .ndim = 1, .dims = {4}}, target = {.type = YOKE_F32};
        target.ndim = yoke_model_output_dims(model, target.dims);
        layout.device_memory_bytes = INT64_C(1) << 30;
        (void)yoke_model_parameters(model);
        if (yoke_data_random(&data, 2, &row, 0, &target, 0, 1) == YOKE_OK) {
            assert_int_not_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
            assert_null(trainer);
        }
        yoke_data_destroy(data);
    }
    assert_true(strlen(yoke_error_get()->message) > 10);
    yoke_model_destroy(model);
}

static void test_huge_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < HUGE_COUNT; i++)
        for (int k = 0; k < HUGE_COUNT; k++) {
            int64_t a = huge[i], b = huge[k];
            yoke_model *model = new_model();
            huge_answer(model, yoke_linear(model, yoke_linear(model, input_of(model, 1, 4, 0, 0), a, true), b,
                                           false));
            model = new_model();
            huge_answer(model, yoke_linear(model, yoke_flatten(model, input_of(model, 3, a, b, 4)), 2, true));
            model = new_model();
            huge_answer(model, yoke_linear(model, input_of(model, 2, a, b, 0), 2, true));
            model = new_model();
            huge_answer(model, yoke_embedding(model, yoke_input_tokens(model, 4), a, b));
            model = new_model();
            huge_answer(model, yoke_embedding(model, yoke_input_tokens(model, a), 3, b));
            model = new_model();
            huge_answer(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), a, 2, 1, b, true));
            model = new_model();
            huge_answer(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), 3, a, b, a, true));
            model = new_model();
            huge_answer(model, yoke_conv2d(model, input_of(model, 3, a, b, b), 3, 2, 1, 1, true));
            model = new_model();
            huge_answer(model, yoke_maxpool2d(model, input_of(model, 3, 2, a, a), b, a));
            model = new_model();
            huge_answer(model, yoke_avgpool2d(model, input_of(model, 3, a, b, b), 1, 1));
            model = new_model();
            huge_answer(model, yoke_layernorm(model, input_of(model, 3, a, b, a), 0));
            yoke_gpt2_options gpt2 = {
                .layers = 1, .heads = 1, .width = a, .context = b, .vocab = a, .sequence = b};
            model = new_model();
            huge_answer(model, yoke_gpt2(model, &gpt2));
            gpt2 = (yoke_gpt2_options){.layers = 1,
                                       .heads = 1,
                                       .width = 1 << 28,
                                       .context = 1 << 28,
                                       .vocab = 1 << 28,
                                       .sequence = 1 << 28};
            model = new_model();
            huge_answer(model, yoke_gpt2(model, &gpt2));
        }
}

static void test_empty_shapes(void **state)
{
    (void)state;
    static const int64_t bad[] = {0, -1, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        int64_t n = bad[i];
        yoke_model *model = new_model();
        refused_model(model, input_of(model, 1, n, 0, 0), "");
        model = new_model();
        refused_model(model, yoke_input_tokens(model, n), "");
        model = new_model();
        refused_model(model, yoke_linear(model, input_of(model, 1, 4, 0, 0), n, true), "out");
        model = new_model();
        refused_model(model, yoke_embedding(model, yoke_input_tokens(model, 4), n, 2), "rows");
        model = new_model();
        refused_model(model, yoke_embedding(model, yoke_input_tokens(model, 4), 2, n), "out");
        model = new_model();
        refused_model(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), n, 2, 1, 0, true), "out");
        model = new_model();
        refused_model(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), 2, n, 1, 0, true), "kernel");
        model = new_model();
        refused_model(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), 2, 2, n, 0, true), "stride");
        model = new_model();
        refused_model(model, yoke_maxpool2d(model, input_of(model, 3, 2, 5, 5), n, 1), "kernel");
        model = new_model();
        refused_model(model, yoke_avgpool2d(model, input_of(model, 3, 2, 5, 5), 2, n), "stride");
    }
    yoke_model *model = new_model();
    refused_model(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), 2, 2, 1, -1, true), "padding");
    model = new_model();
    refused_model(model, yoke_conv2d(model, input_of(model, 3, 2, 5, 5), 2, 6, 1, 0, true), "kernel");
    model = new_model();
    refused_model(model, yoke_maxpool2d(model, input_of(model, 3, 2, 5, 5), 6, 1), "kernel");
    static const int ndims[] = {0, -1, 5, 100};
    for (int i = 0; i < 4; i++) {
        int64_t dims[128] = {1, 1, 1, 1, 1, 1};
        model = new_model();
        refused_model(model, yoke_input(model, ndims[i], dims), "dimension");
    }
    static const double p[] = {1, 1.5, -0.1, NAN, INFINITY};
    for (int i = 0; i < 5; i++) {
        model = new_model();
        refused_model(model, yoke_dropout(model, input_of(model, 1, 4, 0, 0), p[i]), "p is");
    }
}

static void test_wrong_order(void **state)
{
    (void)state;
    yoke_model *model = new_model(), *other = new_model();
    refused_model(model, yoke_linear(model, (yoke_tensor){0}, 4, true), "tensor"); /* before any input */
    model = new_model();
    refused_model(model, yoke_linear(model, (yoke_tensor){.index = -1}, 4, true), "tensor");
    model = new_model();
    refused_model(model, yoke_add(model, (yoke_tensor){.index = 7}, (yoke_tensor){.index = 1 << 30}),
                  "tensor");
    model = new_model();
    input_of(model, 1, 4, 0, 0);
    refused_model(model, input_of(model, 1, 4, 0, 0), "one input");
    model = new_model();
    input_of(model, 1, 4, 0, 0);
    refused_model(model, yoke_input_tokens(model, 4), "one input");
    model = new_model();
    refused_model(model, (yoke_tensor){0}, ""); /* finished with nothing in it */
    model = new_model();
    refused_model(model, input_of(model, 1, 4, 0, 0), ""); /* an input is no model */
    model = new_model();
    refused_model(model, yoke_embedding(model, input_of(model, 1, 4, 0, 0), 3, 2), "token");
    model = new_model();
    refused_model(model, yoke_linear(model, yoke_input_tokens(model, 4), 3, true),
                  ""); /* ids are no numbers */
    model = new_model();
    refused_model(model, yoke_activate(model, yoke_input_tokens(model, 4), YOKE_RELU), "");
    model = new_model();
    refused_model(model, yoke_softmax(model, yoke_input_tokens(model, 4)), "");
    model = new_model();
    refused_model(model, yoke_layernorm(model, yoke_flatten(model, yoke_input_tokens(model, 4)), 0), "");
    model = new_model();
    refused_model(model, yoke_conv2d(model, input_of(model, 1, 4, 0, 0), 3, 1, 1, 0, true), "channels");
    const int64_t four[] = {2, 3, 9, 8}; /* and no film */
    model = new_model();
    refused_model(model, yoke_conv2d(model, yoke_input(model, 4, four), 3, 1, 1, 0, true),
                  "given 4 dimensions");
    model = new_model();
    refused_model(model, yoke_maxpool2d(model, yoke_input(model, 4, four), 2, 2), "given 4 dimensions");
    model = new_model();
    refused_model(model,
                  yoke_batchnorm(model, yoke_input(model, 4, four), 0, 0.1, true, YOKE_STATISTICS_GLOBAL),
                  "given 4 dimensions");
    model = new_model();
    yoke_tensor x = input_of(model, 1, 4, 0, 0);
    refused_model(model, yoke_add(model, yoke_linear(model, x, 3, true), yoke_linear(model, x, 4, true)),
                  "shapes");
    /* a layer whose output nobody uses */
    model = new_model();
    x = input_of(model, 1, 4, 0, 0);
    yoke_linear(model, x, 3, true);
    refused_model(model, yoke_linear(model, x, 4, true), "not connected");
    /* an unknown activation */
    model = new_model();
    refused_model(model, yoke_activate(model, input_of(model, 1, 4, 0, 0), (yoke_activation)99),
                  "activation");
    /* an unknown loss */
    model = new_model();
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 3, true);
    assert_int_equal(yoke_model_finish(model, x, (yoke_loss)7), YOKE_INVALID);
    yoke_model_destroy(model);
    /* finished twice, and added to after the end */
    model = new_model();
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 3, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_INVALID);
    assert_true(nothing_missing("finished"));
    yoke_linear(model, x, 3, true);
    assert_int_equal(yoke_model_status(model), YOKE_INVALID);
    yoke_model_destroy(model);
    /* layers of one name have parameters of one name: a checkpoint could not tell them apart */
    model = new_model();
    yoke_model_name(model, "a");
    x = yoke_linear(model, input_of(model, 1, 4, 0, 0), 4, true);
    yoke_model_name(model, "a");
    x = yoke_linear(model, x, 4, true);
    refused_model(model, x, "'a");
    yoke_model_destroy(other);
    yoke_model_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_devices),
        cmocka_unit_test(test_huge_shapes),
        cmocka_unit_test(test_empty_shapes),
        cmocka_unit_test(test_wrong_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
