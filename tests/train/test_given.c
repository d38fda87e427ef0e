/* What public functions are given: NULL, nothing, numbers that are none. A status with a sentence, or for
 * functions that have no status nothing; never a crash. (Objects that were destroyed cannot be told from
 * others.) */
#include <limits.h>

#include "train/by_hand.h"

/* The call is refused with a sentence that has `needle`. */
#define REFUSED(needle, call)                                                                                \
    do {                                                                                                     \
        if ((call) != YOKE_INVALID) fail_msg("%s was taken", #call);                                         \
        assert_true(nothing_missing(needle));                                                                \
    } while (0)

static yoke_status no_read(void *context, int64_t index, void *input, void *target)
{
    (void)context, (void)index, (void)input, (void)target;
    return YOKE_OK;
}

static void test_models(void **state)
{
    (void)state;
    yoke_model *model = new_model(), *other = new_model(), *none = NULL;
    yoke_tensor x = yoke_input(model, 1, (int64_t[]){4});
    const yoke_tensor xs[] = {x, {0}, {.index = -1}, {.index = INT_MAX}};
    REFUSED("model_out", yoke_model_create(NULL));
    REFUSED("model", yoke_model_status(NULL));
    REFUSED("model", yoke_model_finish(NULL, x, YOKE_MSE));
    yoke_model_on(NULL, 0);
    yoke_model_name(NULL, "x");
    yoke_model_destroy(NULL);
    assert_int_equal(yoke_model_parameters(NULL), 0);
    assert_int_equal(yoke_model_parameters(model), 0);
    assert_int_equal(yoke_model_output_dims(NULL, NULL), 0);
    assert_int_equal(yoke_model_output_dims(model, NULL), 0);
    assert_null(yoke_model_layer(NULL, 0, NULL));
    assert_null(yoke_model_layer(model, -1, NULL));
    for (int i = 0; i < 4; i++) { /* no model, and what another one made */
        yoke_tensor made[] = {yoke_input(none, 1, (int64_t[]){4}),
                              yoke_input_tokens(none, 4),
                              yoke_linear(none, xs[i], 1, true),
                              yoke_conv2d(none, xs[i], 1, 1, 1, 0, true),
                              yoke_maxpool2d(none, xs[i], 1, 1),
                              yoke_avgpool2d(none, xs[i], 1, 1),
                              yoke_flatten(none, xs[i]),
                              yoke_embedding(none, xs[i], 1, 1),
                              yoke_layernorm(none, xs[i], 0),
                              yoke_rmsnorm(none, xs[i], 0),
                              yoke_batchnorm(none, xs[i], 0, 0, true, YOKE_STATISTICS_LOCAL),
                              yoke_groupnorm(none, xs[i], 1, 0, true),
                              yoke_activate(none, xs[i], YOKE_RELU),
                              yoke_softmax(none, xs[i]),
                              yoke_dropout(none, xs[i], 0),
                              yoke_add(none, xs[i], xs[i]),
                              yoke_move(none, xs[i], 0),
                              yoke_gpt2(none, NULL),
                              yoke_llama(none, NULL)};
        for (size_t k = 0; k < sizeof made / sizeof *made; k++) assert_true(made[k].index < 0);
        assert_true(nothing_missing("model is NULL"));
    }
    yoke_input(other, 1, (int64_t[]){4});
    yoke_tensor (*const of_others[])(yoke_model *, yoke_tensor) = {yoke_flatten, yoke_softmax};
    for (int i = 0; i < 2; i++) assert_true(of_others[i](other, x).index < 0);
    REFUSED("tensor that is none of this model's", yoke_model_status(other));
    yoke_model_destroy(other);
    other = new_model();
    yoke_tensor y = yoke_linear(other, yoke_input(other, 1, (int64_t[]){4}), 3, true);
    yoke_linear(model, x, 3, true);
    REFUSED("output", yoke_model_finish(other, (yoke_tensor){.index = y.index, .model = x.model}, YOKE_MSE));
    yoke_model_destroy(other);
    yoke_model_destroy(model);

    static const struct {
        const char *needle;
        int what;
        double value;
    } numbers[] = {{"dimension", 0, 0},  {"dimension", 0, -3},  {"length", 1, 0},     {"out", 2, 0},
                   {"out", 2, -1},       {"eps", 3, -1},        {"eps", 3, NAN},      {"eps", 3, INFINITY},
                   {"eps", 4, -1e-9},    {"eps", 5, NAN},       {"momentum", 6, NAN}, {"statistics", 7, 5},
                   {"name", 8, 0},       {"name", 9, 0},        {"options", 10, 0},   {"options", 11, 0},
                   {"norm_eps", 12, -1}, {"norm_eps", 13, NAN}, {"dims", 14, 0},      {"device", 15, -1},
                   {"groups", 16, 0},    {"groups", 16, -4},    {"eps", 17, NAN}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double v = numbers[i].value;
        char longest[200];
        memset(longest, 'a', sizeof longest);
        longest[199] = '\0';
        model = new_model();
        yoke_gpt2_options gpt2 = {1, 1, 4, 4, 9, 4, 0, v};
        yoke_llama_options llama = {.layers = 1,
                                    .heads = 1,
                                    .width = 4,
                                    .context = 4,
                                    .vocab = 9,
                                    .hidden = 4,
                                    .sequence = 4,
                                    .norm_eps = v};
        bool own = numbers[i].what < 2 || (numbers[i].what >= 10 && numbers[i].what <= 14);
        x = own ? (yoke_tensor){.index = -1} : yoke_input(model, 1, (int64_t[]){4});
        switch (numbers[i].what) {
        case 0:
            yoke_input(model, 2, (int64_t[]){4, (int64_t)v});
            break;
        case 1:
            yoke_input_tokens(model, (int64_t)v);
            break;
        case 2:
            yoke_linear(model, x, (int64_t)v, true);
            break;
        case 3:
            yoke_layernorm(model, x, v);
            break;
        case 4:
            yoke_rmsnorm(model, x, v);
            break;
        case 5:
            yoke_batchnorm(model, x, v, 0.1, true, YOKE_STATISTICS_GLOBAL);
            break;
        case 6:
            yoke_batchnorm(model, x, 0, v, true, YOKE_STATISTICS_GLOBAL);
            break;
        case 7:
            yoke_batchnorm(model, x, 0, 0, true, (yoke_statistics)v);
            break;
        case 16:
            yoke_groupnorm(model, x, (int64_t)v, 0, true);
            break;
        case 17:
            yoke_groupnorm(model, x, 2, v, true);
            break;
        case 8:
            yoke_model_name(model, NULL);
            break;
        case 9:
            yoke_model_name(model, longest);
            break;
        case 10:
            yoke_gpt2(model, NULL);
            break;
        case 11:
            yoke_llama(model, NULL);
            break;
        case 12:
            yoke_gpt2(model, &gpt2);
            break;
        case 13:
            yoke_llama(model, &llama);
            break;
        case 14:
            yoke_input(model, 1, NULL);
            break;
        default:
            yoke_model_on(model, (int)v);
        }
        REFUSED(numbers[i].needle, yoke_model_status(model));
        yoke_model_destroy(model);
    }
    /* a finished model grows no more */
    model = small_model();
    yoke_model_name(model, "late");
    REFUSED("finished", yoke_model_status(model));
    yoke_model_destroy(model);
}

static void test_trainers(void **state)
{
    (void)state;
    yoke_model *model = small_model(), *open = new_model();
    yoke_data *data = small_data();
    yoke_trainer *trainer = NULL, *none = NULL;
    yoke_train_options options = small_options(2);
    yoke_layout layout = small_layout(1, 1, 1);
    yoke_evaluation e;
    yoke_run_report report;
    float out[SAMPLES * CLASSES];
    double x;
    REFUSED("trainer_out", yoke_trainer_create(NULL, model, data, &options, &layout));
    REFUSED("model", yoke_trainer_create(&trainer, NULL, data, &options, &layout));
    REFUSED("data", yoke_trainer_create(&trainer, model, NULL, &options, &layout));
    REFUSED("options", yoke_trainer_create(&trainer, model, data, NULL, &layout));
    REFUSED("layout", yoke_trainer_create(&trainer, model, data, &options, NULL));
    REFUSED("not finished", yoke_trainer_create(&trainer, open, data, &options, &layout));
    REFUSED("job", yoke_trainer_create_from_job(&trainer, NULL));
    assert_null(trainer);
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    REFUSED("trainer", yoke_trainer_run(NULL, 0, NULL, NULL));
    REFUSED("at most", yoke_trainer_run(trainer, -1, NULL, NULL));
    REFUSED("trainer", yoke_trainer_predict(NULL, 1, inputs, out));
    REFUSED("inputs", yoke_trainer_predict(trainer, 1, NULL, out));
    REFUSED("outputs", yoke_trainer_predict(trainer, 1, inputs, NULL));
    REFUSED("-2 samples", yoke_trainer_predict(trainer, -2, inputs, out));
    assert_int_equal(yoke_trainer_predict(trainer, 0, NULL, NULL), YOKE_OK);
    REFUSED("trainer", yoke_trainer_evaluate(NULL, data, 0, &e));
    REFUSED("NULL", yoke_trainer_evaluate(trainer, data, 0, NULL));
    REFUSED("at most", yoke_trainer_evaluate(trainer, data, -1, &e));
    REFUSED("trainer", yoke_trainer_eval(NULL, data, NULL, NULL, NULL));
    REFUSED("trainer", yoke_trainer_save(NULL, "x", NULL));
    REFUSED("dir", yoke_trainer_save(trainer, NULL, NULL));
    REFUSED("trainer", yoke_trainer_resume(NULL, "x"));
    REFUSED("dir", yoke_trainer_resume(trainer, NULL));
    REFUSED("trainer", yoke_trainer_report(NULL, &report));
    REFUSED("report_out", yoke_trainer_report(trainer, NULL));
    REFUSED("name", yoke_trainer_get(trainer, NULL, out));
    REFUSED("values", yoke_trainer_get(trainer, "0.weight", NULL));
    REFUSED("trainer", yoke_trainer_get(NULL, "0.weight", out));
    REFUSED("watcher", yoke_trainer_watch(trainer, NULL));
    REFUSED("trainer", yoke_trainer_watch(NULL, &(yoke_watcher){0}));
    REFUSED("flops", yoke_trainer_measure_peak(trainer, NULL));
    REFUSED("trainer", yoke_trainer_measure_peak(NULL, &x));
    yoke_recorder *recorder = NULL;
    yoke_trace *trace = NULL;
    REFUSED("path", yoke_log_open(&recorder, trainer, NULL));
    REFUSED("recorder_out", yoke_log_open(NULL, trainer, "x"));
    REFUSED("dir", yoke_tensorboard_open(&recorder, trainer, NULL));
    REFUSED("options", yoke_trace_open(&trace, trainer, "x", NULL));
    REFUSED("trainer", yoke_trace_open(&trace, NULL, "x", &(yoke_trace_options)YOKE_TRACE_DEFAULT));
    assert_int_equal(yoke_recorder_close(NULL), YOKE_OK);
    assert_int_equal(yoke_trace_gather(NULL), YOKE_OK);
    assert_int_equal(yoke_trace_close(NULL, NULL), YOKE_OK);
    /* those without a status */
    yoke_trainer_stop(none);
    yoke_trainer_on_notice(none, NULL, NULL);
    yoke_trainer_unwatch(none, NULL);
    yoke_trainer_destroy(none);
    yoke_evaluation_release(NULL);
    assert_null(yoke_trainer_losses(none, NULL, NULL));
    assert_null(yoke_trainer_actions_run(none));
    assert_null(yoke_trainer_ran(none, NULL));
    assert_null(yoke_trainer_schedule(none));
    assert_int_equal(yoke_trainer_held_out(none), 0);
    assert_null(yoke_trainer_evaluations(none, NULL));
    assert_null(yoke_trainer_saved(none, NULL));
    yoke_trainer_evaluations(trainer, NULL);
    yoke_trainer_saved(trainer, NULL);
    assert_int_equal(yoke_trainer_parameters(none), 0);
    assert_null(yoke_trainer_parameter(none, 0, NULL));
    assert_non_null(yoke_trainer_parameter(trainer, 0, NULL));
    assert_true(yoke_devices(NULL, 3) >= 1);
    yoke_trainer_losses(trainer, NULL, NULL);
    yoke_trainer_ran(trainer, NULL);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK); /* and all of it did no harm */
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    yoke_model_destroy(open);
}

static void test_data(void **state)
{
    (void)state;
    yoke_data *data = NULL;
    yoke_row row = {YOKE_F32, 1, {2}}, wrong[] = {{YOKE_F32, 1, {0}},
                                                  {YOKE_F32, -1, {0}},
                                                  {YOKE_F32, 99, {1}},
                                                  {(yoke_type)7, 1, {2}},
                                                  {YOKE_F32, 2, {INT64_MAX, 8}}};
    float values[8] = {0};
    REFUSED("data_out", yoke_data_from_memory(NULL, 4, &row, values, &row, values));
    REFUSED("input", yoke_data_from_memory(&data, 4, NULL, values, &row, values));
    REFUSED("inputs", yoke_data_from_memory(&data, 4, &row, NULL, &row, values));
    REFUSED("target", yoke_data_from_memory(&data, 4, &row, values, NULL, values));
    REFUSED("targets", yoke_data_from_memory(&data, 4, &row, values, &row, NULL));
    for (int i = 0; i < 5; i++) {
        REFUSED("", yoke_data_from_memory(&data, 4, &wrong[i], values, &row, values));
        REFUSED("", yoke_data_from_memory(&data, 4, &row, values, &wrong[i], values));
        REFUSED("", yoke_data_from_callback(&data, 4, &wrong[i], &row, no_read, NULL));
        REFUSED("", yoke_data_random(&data, 4, &wrong[i], 0, &row, 0, 1));
    }
    REFUSED("samples", yoke_data_from_memory(&data, 0, &row, values, &row, values));
    REFUSED("samples", yoke_data_from_memory(&data, -5, &row, values, &row, values));
    REFUSED("read", yoke_data_from_callback(&data, 4, &row, &row, NULL, NULL));
    REFUSED("input", yoke_data_from_callback(&data, 4, NULL, &row, no_read, NULL));
    REFUSED("path", yoke_data_from_text(&data, NULL, 4));
    REFUSED("path", yoke_data_from_tokens(&data, NULL, 4, 9));
    REFUSED("tokenizer", yoke_data_from_tokenized(&data, "x", 4, NULL));
    REFUSED("inputs", yoke_data_from_npy(&data, NULL, "y"));
    REFUSED("targets", yoke_data_from_npy(&data, "x", NULL));
    REFUSED("inputs", yoke_data_from_idx(&data, NULL, "y"));
    REFUSED("path", yoke_data_from_csv(&data, NULL, 1, (const char *const[]){"a"}));
    REFUSED("target column", yoke_data_from_csv(&data, "x.csv", 1, NULL));
    REFUSED("target column", yoke_data_from_csv(&data, "x.csv", 0, (const char *const[]){"a"}));
    REFUSED("input", yoke_data_random(&data, 4, NULL, 0, &row, 0, 1));
    REFUSED("data", yoke_data_get(NULL, 0, values, values));
    assert_null(data);
    assert_int_equal(yoke_data_from_memory(&data, 4, &row, values, &row, values), YOKE_OK);
    REFUSED("input", yoke_data_get(data, 0, NULL, values));
    assert_int_equal(yoke_data_get(data, 0, values, NULL), YOKE_OK);
    REFUSED("", yoke_data_get(data, 4, values, values));
    assert_int_equal(yoke_data_samples(NULL), 0);
    yoke_data_rows(NULL, &row, &row);
    yoke_data_rows(data, NULL, NULL);
    yoke_data_destroy(NULL);
    yoke_data_destroy(data);
}

static void test_jobs_and_files(void **state)
{
    (void)state;
    yoke_job *job = NULL;
    yoke_layout layout;
    yoke_comparison *comparison = NULL;
    yoke_verification *verification = NULL;
    yoke_generation *generation = NULL;
    yoke_inspection *inspection = NULL;
    yoke_predictor *predictor = NULL;
    yoke_evaluation e;
    yoke_dry_run *dry = NULL;
    yoke_machine *machine = NULL;
    yoke_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    int64_t count;
    int found;
    char text[16], *made = NULL;
    double x;
    yoke_layout_default(&layout);
    REFUSED("path", yoke_job_load(NULL, 0, NULL, &job));
    REFUSED("job_out", yoke_job_load("x", 0, NULL, NULL));
    REFUSED("overrides", yoke_job_load("x", 1, NULL, &job));
    REFUSED("overrides", yoke_job_load("x", -1, NULL, &job));
    REFUSED("overrides", yoke_job_load("x", 1, (const char *const[]){NULL}, &job));
    REFUSED("layout", yoke_layout_parse(NULL, "dp=2"));
    REFUSED("text", yoke_layout_parse(&layout, NULL));
    REFUSED("job", yoke_compare(NULL, 2, 0, NULL, 0, NULL, NULL, &comparison));
    REFUSED("job", yoke_verify(NULL, NULL, NULL, 0, &verification));
    REFUSED("dir", yoke_generate(NULL, "x", 1, 0, 0, 0, &generation));
    REFUSED("prompt", yoke_generate("x", NULL, 1, 0, 0, 0, &generation));
    REFUSED("generation_out", yoke_generate("x", "x", 1, 0, 0, 0, NULL));
    REFUSED("NULL", yoke_eval(NULL, 0, NULL, NULL, NULL, NULL, NULL, &e));
    REFUSED("NULL", yoke_eval("x", 0, NULL, NULL, NULL, NULL, NULL, NULL));
    REFUSED("NULL", yoke_job_dry_run(NULL, &dry));
    REFUSED("job", yoke_job_schedule(NULL, &(yoke_schedule *){0}));
    REFUSED("job", yoke_job_layouts(NULL, 1, &layout, 1, &found));
    REFUSED("path", yoke_inspect(NULL, &inspection));
    REFUSED("inspection_out", yoke_inspect("x", NULL));
    REFUSED("NULL", yoke_predictor_open(NULL, &predictor));
    REFUSED("NULL", yoke_predictor_open("x", NULL));
    REFUSED("NULL", yoke_predictor_run(NULL, 1, text, (float *)&x));
    REFUSED("NULL", yoke_predictor_classify(NULL, 1, text, (int32_t *)text, NULL));
    REFUSED("path", yoke_machine_load(NULL, &machine));
    REFUSED("text", yoke_machine_find(NULL, &machine));
    REFUSED("machine", yoke_machine_rate(NULL, "f32", &x));
    REFUSED("path", yoke_tokenizer_create(&tokenizer, NULL));
    REFUSED("tokenizer", yoke_tokenizer_encode(NULL, "x", 1, &ids, &count));
    REFUSED("tokenizer", yoke_tokenizer_decode(NULL, NULL, 0, &made, NULL));
    REFUSED("seconds_out", yoke_start_limit(1, NULL));
    assert_null(yoke_job_print(NULL));
    assert_null(yoke_job_key_of(NULL));
    assert_null(yoke_job_key_values(NULL));
    assert_null(yoke_job_key_values("train.lr"));
    assert_null(yoke_machine_print(NULL));
    assert_null(yoke_machine_preset(-1));
    assert_null(yoke_machine_precision(-1));
    assert_true(isnan(yoke_machine_efficiency(NULL, 1)) && isnan(yoke_machine_shared_rate(NULL, 1)));
    assert_int_equal(yoke_tokenizer_size(NULL), 0);
    assert_int_equal(yoke_tokenizer_added(NULL, "x"), -1);
    assert_null(yoke_tokenizer_token(NULL, 0, NULL));
    assert_int_equal(yoke_launched(NULL), 0);
    assert_int_equal(yoke_predictor_classes(NULL), 0);
    yoke_predictor_rows(NULL, NULL, NULL);
    yoke_layout_print(NULL, text, sizeof text);
    assert_string_equal(text, "");
    yoke_layout_print(&layout, NULL, 16);
    yoke_layout_flags(NULL, text, 0);
    yoke_train_options_default(NULL);
    yoke_layout_default(NULL);
    yoke_trace_options_default(NULL);
    yoke_job_destroy(NULL), yoke_comparison_destroy(NULL), yoke_verification_destroy(NULL);
    yoke_generation_destroy(NULL), yoke_inspection_destroy(NULL), yoke_predictor_close(NULL);
    yoke_dry_run_destroy(NULL), yoke_machine_destroy(NULL), yoke_tokenizer_destroy(NULL);
}

static void test_schedules(void **state)
{
    (void)state;
    yoke_schedule *schedule = NULL;
    yoke_timeline line;
    yoke_times times = {1, 1, 1, 0};
    const int map[] = {0, 0};
    yoke_parts parts = {1, 1, map, map}, holes = {1, 1, NULL, NULL};
    REFUSED("schedule_out", yoke_schedule_create(NULL, "1f1b", 1, 1, 1));
    REFUSED("name", yoke_schedule_create(&schedule, NULL, 1, 1, 1));
    for (int i = 0; i < 3; i++) {
        int n[] = {0, -1, INT_MIN};
        REFUSED("", yoke_schedule_create(&schedule, "1f1b", n[i], 1, 1));
        REFUSED("", yoke_schedule_create(&schedule, "1f1b", 1, n[i], 1));
        REFUSED("", yoke_schedule_create(&schedule, "1f1b", 1, 1, n[i]));
        REFUSED("", yoke_schedule_create_over(&schedule, "1f1b", &parts, n[i]));
    }
    REFUSED("parts", yoke_schedule_create_over(&schedule, "1f1b", NULL, 1));
    REFUSED("", yoke_schedule_create_over(&schedule, "1f1b", &holes, 1));
    REFUSED("text", yoke_schedule_parse(&schedule, NULL, "x", &parts, 1));
    REFUSED("parts", yoke_schedule_parse(&schedule, "F0 BW0", "x", NULL, 1));
    REFUSED("", yoke_schedule_parse(&schedule, "F0 BW0", "x", &holes, 1));
    REFUSED("path", yoke_schedule_read(&schedule, NULL, &parts, 1));
    REFUSED("schedule", yoke_schedule_check(NULL));
    REFUSED("schedule", yoke_schedule_simulate(NULL, &times, 1, &line));
    assert_null(schedule);
    assert_int_equal(yoke_schedule_create(&schedule, "1f1b", 2, 2, 1), YOKE_OK);
    REFUSED("times", yoke_schedule_simulate(schedule, NULL, 1, &line));
    REFUSED("", yoke_schedule_simulate(schedule, &times, 0, &line));
    REFUSED("", yoke_schedule_simulate(schedule, &times, -1, &line));
    assert_null(yoke_schedule_actions(schedule, -1, NULL));
    assert_null(yoke_schedule_actions(schedule, 2, NULL));
    assert_non_null(yoke_schedule_actions(schedule, 0, NULL));
    assert_null(yoke_schedule_actions(NULL, 0, NULL));
    assert_null(yoke_schedule_print(NULL));
    assert_int_equal(yoke_schedule_stages(NULL) + yoke_schedule_microbatches(NULL), 0);
    assert_null(yoke_schedule_parts(NULL));
    assert_null(yoke_timeline_draw(NULL, NULL, 80, 0));
    assert_null(yoke_timeline_svg(NULL, NULL));
    assert_null(yoke_schedule_name(-1, NULL));
    yoke_timeline_release(NULL);
    yoke_schedule_destroy(NULL);
    yoke_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),    cmocka_unit_test(test_trainers),       cmocka_unit_test(test_data),
        cmocka_unit_test(test_schedules), cmocka_unit_test(test_jobs_and_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
