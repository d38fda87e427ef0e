/* What the tests of the library by hand share: a small model, its data, trainers of them. */
#ifndef YKI_TESTS_TRAIN_BY_HAND_H
#define YKI_TESTS_TRAIN_BY_HAND_H

#include "train/jobs.h"

static inline int nothing_missing(const char *needle)
{
    const yoke_error *error = yoke_error_get();
    if (strstr(error->message, needle)) return 1;
    print_message("\"%s\" is not in: %s\n", needle, error->message);
    return 0;
}

static inline yoke_model *new_model(void)
{
    yoke_model *model;
    assert_int_equal(yoke_model_create(&model), YOKE_OK);
    return model;
}

static inline yoke_tensor input_of(yoke_model *model, int ndim, int64_t a, int64_t b, int64_t c)
{
    int64_t dims[4] = {a, b, c, 1};
    return yoke_input(model, ndim, dims);
}

enum { SAMPLES = 30, IN = 5, CLASSES = 4 };
static float inputs[SAMPLES * IN];
static int32_t classes[SAMPLES];

static inline yoke_model *small_model(void)
{
    yoke_model *model = new_model();
    yoke_tensor x = input_of(model, 1, IN, 0, 0);
    x = yoke_activate(model, yoke_linear(model, x, 8, true), YOKE_TANH);
    x = yoke_dropout(model, x, 0);
    x = yoke_linear(model, x, CLASSES, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    return model;
}

static inline yoke_data *small_data(void)
{
    uint64_t seed = 3;
    yoke_data *data;
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {IN}}, target = {.type = YOKE_I32};
    for (int i = 0; i < SAMPLES * IN; i++) inputs[i] = (float)(draw(&seed) % 1000) / 500 - 1;
    for (int i = 0; i < SAMPLES; i++) classes[i] = (int32_t)(draw(&seed) % CLASSES);
    assert_int_equal(yoke_data_from_memory(&data, SAMPLES, &input, inputs, &target, classes), YOKE_OK);
    return data;
}

static inline yoke_train_options small_options(int64_t steps)
{
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = steps;
    options.batch = 8;
    options.lr = 0.1;
    options.momentum = 0.9;
    return options;
}

static inline yoke_layout small_layout(int dp, int tp, int pp)
{
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.dp = dp, layout.tp = tp, layout.pp = pp;
    layout.threads = 1;
    return layout;
}

static inline yoke_trainer *small_trainer(const yoke_model *model, yoke_data *data, int64_t steps,
                                          yoke_layout layout)
{
    yoke_trainer *trainer = NULL;
    yoke_train_options options = small_options(steps);
    if (yoke_trainer_create(&trainer, model, data, &options, &layout) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    return trainer;
}

static const int meshes[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 2, 1}, {1, 1, 2}, {2, 2, 2}};
enum { NMESHES = 5 };

#endif
