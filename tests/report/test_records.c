/* Watchers, logs, event files and traces through the C API: what they are told, what they hold, and that a
 * run is the same with and without them. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "folder.h"
#include "run/rank.h"
#include "train/jobs.h"

/* --- watchers --- */

typedef struct seen {
    char text[400];
    yoke_step_report last;
} seen;

static void see_step(void *context, const yoke_step_report *report)
{
    seen *s = context;
    snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%lld ", (long long)report->step);
    s->last = *report;
}

static void see_event(void *context, const yoke_run_event *event)
{
    static const char *const names[] = {"start", "resume", "save", "stop", "nan", "fail", "end"};
    seen *s = context;
    snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%s@%lld%s%s ", names[event->kind],
             (long long)event->step, event->path[0] ? "/" : "", event->message[0] ? "!" : "");
    yki_fail(YOKE_SYSTEM, "a watcher's own failure");
}

static void test_watchers_are_told_in_order(void **state)
{
    (void)state;
    yoke_job *job;
    seen s = {.text = ""}, other = {.text = ""};
    yoke_trainer *trainer = start_job("mlp", "train.steps=6; layout.dp=2", &job);
    const yoke_watcher watcher = {&s, see_step, see_event}, second = {&other, see_step, NULL};
    assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
    assert_int_equal(yoke_trainer_watch(trainer, &second), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_save(trainer, in_folder("watched"), NULL), YOKE_OK);
    yoke_trainer_unwatch(trainer, &other);
    yoke_trainer_stop(trainer);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_STOPPED);
    assert_non_null(strstr(yoke_error_get()->message, "stopped")); /* not the watcher's */
    assert_int_equal(yoke_trainer_run(trainer, 3, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_resume(trainer, in_folder("watched")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_string_equal(s.text, "start@0 0 1 end@2 save@2/ start@2 stop@2! start@2 2 3 4 end@5 resume@2/ "
                                "start@2 2 3 4 5 end@6 ");
    assert_string_equal(other.text, "0 1 ");
    finish_job(trainer, job);
}

static void test_watchers_are_few(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("mlp", "train.steps=1", &job);
    const yoke_watcher watcher = {.context = trainer};
    for (int i = 0; i < YKI_MAX_WATCHERS; i++)
        assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
    assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_INVALID);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_trainer_unwatch(trainer, trainer);
    assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
    finish_job(trainer, job);
}

static void test_a_value_that_is_no_number_is_told(void **state)
{
    (void)state;
    yoke_job *job;
    seen s = {.text = ""};
    yoke_trainer *trainer = start_job("regress", "train.steps=9; train.optimizer.lr=1e30", &job);
    const yoke_watcher watcher = {&s, NULL, see_event};
    assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_NON_FINITE);
    assert_non_null(strstr(s.text, "nan@"));
    assert_non_null(strstr(s.text, "!"));
    finish_job(trainer, job);
}

/* --- work --- */

static void test_share_of_peak(void **state)
{
    (void)state;
    yoke_job *job;
    double peak;
    seen s = {.text = ""};
    yoke_run_report report;
    yoke_trainer *trainer = start_job("mlp", "train.steps=2; layout.dp=2", &job);
    const yoke_watcher watcher = {&s, see_step, NULL};
    assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    assert_true(s.last.flops == 3 * 2 * 12.0 * (13 * 31 + 31 * 17 + 17 * 11 + 11 * 3));
    assert_true(isnan(s.last.share_of_peak));
    assert_int_equal(yoke_trainer_measure_peak(trainer, &peak), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    assert_true(peak > 1e8 && peak < 1e15);
    assert_true(fabs(s.last.share_of_peak - s.last.flops / s.last.seconds / peak) < 1e-12);
    assert_int_equal(yoke_trainer_report(trainer, &report), YOKE_OK);
    assert_true(s.last.moved_bytes > 0 && s.last.moved_bytes == report.moved_bytes_per_step);
    finish_job(trainer, job);
}

/* What a step moves is summed before all of it has moved; it is what ranks' groups have counted after it. */
static void test_moved_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *model, *overrides;
    } runs[] = {
        {"mlp", "layout.dp=3"},
        {"mlp", "layout.dp=3; layout.zero=1; layout.microbatches=2"},
        {"gpt2", "layout.dp=4; layout.zero=2; layout.dp_shard=2; train.precision=bf16"},
        {"gpt2", "layout.dp=2; layout.zero=1; layout.tp=2; layout.pp=2; layout.microbatches=2"},
        {"llama_tied", "layout.dp=2; layout.zero=3; layout.pp=2; layout.microbatches=2"},
        {"llama", "layout.cp=2; layout.tp=2; train.sequence=8"},
        {"batchnorm", "layout.dp=3; layout.microbatches=2; model.layers.1.statistics=local;"
                      " model.layers.4.layers.1.statistics=local; model.layers.6.statistics=local;"
                      " model.layers.9.statistics=local"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        yoke_job *job;
        seen s = {.text = ""};
        yoke_trainer *trainer = start_job(runs[i].model, runs[i].overrides, &job);
        const yoke_watcher watcher = {&s, see_step, NULL};
        assert_int_equal(yoke_trainer_watch(trainer, &watcher), YOKE_OK);
        for (int step = 0; step < 4; step++) { /* the last one is ragged */
            int64_t before[YKI_AXIS_COUNT] = {0}, after[YKI_AXIS_COUNT] = {0}, all = 0;
            for (int r = 0; r < trainer->run->nranks; r++) yki_rank_moved(&trainer->run->ranks[r], before);
            assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
            for (int r = 0; r < trainer->run->nranks; r++) yki_rank_moved(&trainer->run->ranks[r], after);
            for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) {
                assert_int_equal(trainer->moved[axis], after[axis] - before[axis]);
                all += after[axis] - before[axis];
            }
            assert_true(all > 0);
            assert_int_equal(s.last.moved_bytes, all);
        }
        finish_job(trainer, job);
    }
}

static void test_work_is_the_models(void **state)
{
    (void)state;
    static const char *const layouts[] = {"",
                                          "layout.tp=2",
                                          "layout.pp=3; layout.microbatches=4",
                                          "layout.recompute=full",
                                          "layout.dp=2; layout.zero=3",
                                          "layout.tp=3; layout.sp=true"};
    double flops = 0;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job("gpt2", layouts[i], &job);
        if (i == 0) flops = trainer->flops;
        if (trainer->flops != flops || flops <= 0)
            fail_msg("%s: %g and %g", layouts[i], trainer->flops, flops);
        finish_job(trainer, job);
    }
}

/* --- traces --- */

static json_t *read_trace(const char *name)
{
    json_t *trace;
    if (yki_json_load(in_folder(name), &trace) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    return trace;
}

/* Events of a phase ("X") in a step, all ranks'. */
static int count_events(const json_t *trace, const char *phase, int64_t step)
{
    const json_t *events = json_object_get(trace, "traceEvents");
    int count = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i),
                     *of = json_object_get(json_object_get(e, "args"), "step");
        count += !strcmp(json_string_value(json_object_get(e, "ph")), phase) &&
                 (step < 0 || json_integer_value(of) == step);
    }
    return count;
}

/* Steps `from` .. `to` of nine, in rings with room for so many (0: the usual), give `first` .. `last`. */
static void trace_steps(int64_t from, int64_t to, int64_t room, int64_t first, int64_t last, int64_t dropped)
{
    yoke_job *job;
    yoke_trace *trace;
    yoke_trace_summary s;
    yoke_trainer *trainer = start_job("mlp", "train.steps=9; layout.pp=2; layout.microbatches=3", &job);
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    double origin;
    int64_t rows = 0;
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("t.json"), &options), YOKE_OK);
    for (int r = 0; r < 2; r++) {
        int64_t of = yki_run_traced(trainer->run, r, &origin)->nrows;
        rows = of > rows ? of : rows;
    }
    assert_int_equal(yoke_trace_close(trace, &s), YOKE_OK);
    options.first_step = from, options.last_step = to;
    if (room > 0) options.bytes_per_rank = room * rows * (int64_t)sizeof(yki_traced) + 1;
    if (yoke_trace_open(&trace, trainer, in_folder("t.json"), &options) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trace_close(trace, &s), YOKE_OK);
    finish_job(trainer, job);
    assert_int_equal(s.steps, first < 0 ? 0 : last - first + 1);
    assert_int_equal(s.first_step, first);
    assert_int_equal(s.last_step, last);
    assert_int_equal(s.dropped_steps, dropped);
    assert_int_equal(s.dropped_events * (s.steps ? s.steps : 1),
                     s.events * dropped); /* all steps are alike */
    json_t *read = read_trace("t.json");
    for (int64_t step = 0; step < 9; step++)
        assert_int_equal(count_events(read, "X", step) > 0, step >= first && step <= last);
    assert_int_equal(count_events(read, "X", -1), s.events + 2 * s.steps);
    json_decref(read);
}

static void test_rings_keep_the_last_steps(void **state)
{
    (void)state;
    trace_steps(0, -1, 0, 0, 8, 0);
    trace_steps(0, -1, 1, 8, 8, 8);
    trace_steps(0, -1, 4, 5, 8, 5);
    trace_steps(2, 4, 0, 2, 4, 0);
    trace_steps(2, 6, 1, 6, 6, 4);
    trace_steps(7, 70, 0, 7, 8, 0);
    trace_steps(9, 70, 0, -1, -1, 0);
}

/* A step that a fault cut short on one rank is written as far as it went, without arrows. */
static void test_a_step_that_was_cut_short(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trace *trace;
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    yoke_trainer *trainer = start_job("mlp", "train.steps=2; layout.pp=2; layout.microbatches=3", &job);
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("cut.json"), &options), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    double origin;
    yki_traced_step *cut = &yki_run_traced(trainer->run, 1, &origin)->steps[1];
    int all = cut->count, kept = 0;
    while (cut->rows[kept + 1].kind != YKI_TRACED_ACTION || kept < all / 3) kept++;
    cut->complete = false;
    cut->count = kept + 2; /* the action that it is in has not ended */
    cut->rows[kept + 1].end_ns = cut->end_ns = 0;
    assert_int_equal(yoke_trace_close(trace, NULL), YOKE_OK);
    json_t *read = read_trace("cut.json");
    assert_int_equal(count_events(read, "X", 0) - count_events(read, "X", 1), all - kept - 2);
    assert_int_equal(count_events(read, "s", -1), count_events(read, "f", -1));
    assert_true(count_events(read, "s", -1) > 0);
    const json_t *events = json_object_get(read, "traceEvents");
    for (size_t i = 0; i < json_array_size(events); i++)
        assert_true(json_number_value(json_object_get(json_array_get(events, i), "dur")) >= 0);
    json_decref(read);
    finish_job(trainer, job);
}

/* Steps that are done twice, after a resume, have arrows of their own. */
static void test_steps_done_twice(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trace *trace;
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    yoke_trainer *trainer = start_job("mlp", "train.steps=6; layout.pp=2; layout.microbatches=2", &job);
    assert_int_equal(yoke_trainer_save(trainer, in_folder("twice"), NULL), YOKE_OK);
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("twice.json"), &options), YOKE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_resume(trainer, in_folder("twice")), YOKE_OK);
    }
    assert_int_equal(yoke_trace_close(trace, NULL), YOKE_OK);
    json_t *read = read_trace("twice.json");
    const json_t *events = json_object_get(read, "traceEvents");
    bool drawn[4096] = {false};
    int count = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        json_int_t id = json_integer_value(json_object_get(e, "id"));
        if (strcmp(json_string_value(json_object_get(e, "ph")), "s") != 0) continue;
        assert_true(id < 4096 && !drawn[id]);
        drawn[id] = true;
        count++;
    }
    assert_int_equal(count, 4 * 2 * 2); /* steps, micro-batches, there and back */
    json_decref(read);
    finish_job(trainer, job);
}

static void test_bad_traces(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trace *trace = NULL;
    yoke_trainer *trainer = start_job("mlp", "train.steps=3", &job);
    yoke_trace_options options = {.first_step = 3, .last_step = 2};
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("bad.json"), &options), YOKE_INVALID);
    options = (yoke_trace_options){.first_step = -1, .last_step = -1};
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("bad.json"), &options), YOKE_INVALID);
    options = (yoke_trace_options)YOKE_TRACE_DEFAULT;
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("none/t.json"), &options), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->file, "none/t.json"));
    assert_null(trace);
    assert_int_equal(yoke_trace_open(&trace, trainer, "/dev/full", &options), YOKE_OK);
    yoke_trace *second = NULL;
    assert_int_equal(yoke_trace_open(&second, trainer, in_folder("second.json"), &options), YOKE_INVALID);
    assert_null(second);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trace_close(trace, NULL), YOKE_SYSTEM);
    assert_non_null(strstr(yoke_error_get()->message, "cannot write the trace to it: No space left"));
    assert_string_equal(yoke_error_get()->file, "/dev/full");
    assert_int_equal(yoke_trace_close(NULL, NULL), YOKE_OK);
    finish_job(trainer, job);
}

/* --- recorders --- */

static void test_bad_recorders(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_recorder *log = NULL;
    int64_t first, count;
    yoke_trainer *trainer = start_job("mlp", "train.steps=3", &job);
    assert_int_equal(yoke_log_open(&log, trainer, in_folder("none/run.jsonl")), YOKE_INVALID);
    assert_int_equal(yoke_tensorboard_open(&log, trainer, "/dev/null/tb"), YOKE_INVALID);
    assert_null(log);
    assert_int_equal(trainer->nwatchers, 0);
    assert_int_equal(yoke_log_open(&log, trainer, "/dev/full"), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK); /* the run goes on */
    yoke_trainer_losses(trainer, &first, &count);
    assert_int_equal(count, 3);
    assert_int_equal(yoke_recorder_close(log), YOKE_SYSTEM);
    assert_non_null(strstr(yoke_error_get()->message, "cannot write the log to it: No space left"));
    assert_string_equal(yoke_error_get()->file, "/dev/full");
    assert_int_equal(trainer->nwatchers, 0);
    assert_int_equal(yoke_recorder_close(NULL), YOKE_OK);
    finish_job(trainer, job);
}

/* A disk that fills up in the middle of a line ends the log there; the next run's lines are whole again. */
static void test_a_disk_that_fills_up(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_recorder *log;
    struct rlimit all, little;
    struct stat info;
    yoke_trainer *trainer = start_job("mlp", "train.steps=20", &job);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(yoke_log_open(&log, trainer, in_folder("full.jsonl")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 6, NULL, NULL), YOKE_OK);
    assert_int_equal(stat(in_folder("full.jsonl"), &info), 0);
    little = (struct rlimit){(rlim_t)info.st_size + 30, all.rlim_max}; /* no line is as short */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(yoke_trainer_run(trainer, 9, NULL, NULL), YOKE_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    signal(SIGXFSZ, before);
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK); /* room again: no line in the gap */
    assert_int_equal(yoke_recorder_close(log), YOKE_SYSTEM);
    assert_int_equal(yoke_log_open(&log, trainer, in_folder("full.jsonl")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 4, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_recorder_close(log), YOKE_OK);
    char *text, *save = NULL;
    size_t bytes;
    int whole = 0, cut = 0;
    assert_int_equal(yki_disk_read(in_folder("full.jsonl"), 1 << 20, &text, &bytes), YOKE_OK);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *read = json_loads(line, 0, NULL);
        *(read ? &whole : &cut) += 1;
        json_decref(read);
    }
    assert_int_equal(cut, 1);
    assert_int_equal(whole, 8 + 6); /* a start, six steps, an end; a start, four steps, an end */
    free(text);
    finish_job(trainer, job);
}

/* The same bits with everything recorded as with nothing. */
static void test_records_change_nothing(void **state)
{
    (void)state;
    outcome plain, recorded = {0};
    const char *overrides = "train.steps=6; layout.dp=2; layout.pp=2; layout.microbatches=2";
    assert_int_equal(run_job("gpt2", overrides, &plain), YOKE_OK);
    yoke_job *job;
    yoke_trace *trace;
    yoke_recorder *log, *events;
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    yoke_trainer *trainer = start_job("gpt2", overrides, &job);
    assert_int_equal(yoke_trace_open(&trace, trainer, in_folder("all.json"), &options), YOKE_OK);
    assert_int_equal(yoke_log_open(&log, trainer, in_folder("all.jsonl")), YOKE_OK);
    assert_int_equal(yoke_tensorboard_open(&events, trainer, in_folder("tb/deep")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trace_close(trace, NULL), YOKE_OK);
    assert_int_equal(yoke_recorder_close(events), YOKE_OK);
    assert_int_equal(yoke_recorder_close(log), YOKE_OK);
    collect(trainer, &recorded);
    same_bits(&plain, &recorded);
    assert_null(bytes_wrong(&recorded)); /* nothing of it lies on a device */
    finish_job(trainer, job);
}

static void test_json_strings(void **state)
{
    (void)state;
    char text[40];
    assert_string_equal(yki_json_string(text, sizeof text, "h.0 \"q\" \\ \n"),
                        "\"h.0 \\u0022q\\u0022 \\u005c \\u000a\"");
    assert_string_equal(yki_json_string(text, sizeof text, "\xc3\xa9\xff\xe2\x82"), "\"\xc3\xa9???\"");
    assert_string_equal(yki_json_string(text, 6, "abcdef"), "\"abc\"");
    assert_string_equal(yki_json_string(text, 6, "ab\xc3\xa9"), "\"ab\"");
    assert_string_equal(yki_json_string(text, 8, "a\n"), "\"a\"");
    assert_string_equal(yki_json_string(text, sizeof text, ""), "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watchers_are_told_in_order),
        cmocka_unit_test(test_watchers_are_few),
        cmocka_unit_test(test_a_value_that_is_no_number_is_told),
        cmocka_unit_test(test_share_of_peak),
        cmocka_unit_test(test_moved_bytes),
        cmocka_unit_test(test_work_is_the_models),
        cmocka_unit_test(test_rings_keep_the_last_steps),
        cmocka_unit_test(test_a_step_that_was_cut_short),
        cmocka_unit_test(test_steps_done_twice),
        cmocka_unit_test(test_bad_traces),
        cmocka_unit_test(test_bad_recorders),
        cmocka_unit_test(test_a_disk_that_fills_up),
        cmocka_unit_test(test_records_change_nothing),
        cmocka_unit_test(test_json_strings),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
