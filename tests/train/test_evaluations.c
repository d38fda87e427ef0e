/* Evaluations on the way, early stops, the best step, steps left out, and data that fail: what they change
 * (the least that they can), and that a run which resumes is the run that was not interrupted. */
#include "folder.h"

#include "jobs.h"

static const struct {
    const char *model, *layout;
} cases[] = {
    {"mlp", ""},
    {"mlp", "layout.dp=2; layout.microbatches=2"},
    {"batchnorm", "layout.dp=3"},
    {"batchnorm", "layout.pp=2; layout.microbatches=3; layout.tp=2"},
    {"conv", "layout.tp=2; layout.dp=2; layout.zero=1"},
    {"regress", "layout.pp=3; layout.microbatches=4; layout.schedule=zb-h1"},
    {"tokens", "layout.dp=2; layout.zero=3"},
    {"gpt2", "layout.dp=2; layout.tp=2"},
    {"gpt2", "layout.cp=3; train.precision=bf16"},
};
enum { NCASES = sizeof cases / sizeof *cases };

/* A folder that no other run has saved in. */
static const char *fresh_folder(void)
{
    static int count;
    char name[32];
    snprintf(name, sizeof name, "fresh-%d", count++);
    return in_folder(name);
}

static const char *with(char text[400], int i, const char *more)
{
    snprintf(text, 400, "train.steps=7; data.holdout=0.3; %s; %s", cases[i].layout, more);
    return text;
}

/* All weights, and what batch norms have seen; freed by the caller. */
static float *weights(const yoke_trainer *trainer, size_t *bytes_out)
{
    int64_t elems = 0, at = 0;
    for (int i = 0; i < trainer->model->nparameters; i++) elems += yki_trainer_elems(trainer, i);
    float *values = malloc(*bytes_out = sizeof(float) * (size_t)elems);
    assert_non_null(values);
    for (int i = 0; i < trainer->model->nparameters; at += yki_trainer_elems(trainer, i++))
        yki_run_read(trainer->run, YKI_TENSOR_WEIGHT, i, 0, yki_trainer_elems(trainer, i), values + at);
    return values;
}

static void same_weights(const yoke_trainer *a, const yoke_trainer *b)
{
    size_t bytes, again;
    float *x = weights(a, &bytes), *y = weights(b, &again);
    assert_int_equal(bytes, again);
    assert_memory_equal(x, y, bytes);
    free(x);
    free(y);
}

/* The same losses and weights, batch norm's statistics among them, with and without; memory as predicted; the
 * actions told are those of steps; and at the end what an evaluation by hand finds. */
static void test_they_change_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < NCASES; i++) {
        static outcome plain, judged;
        char text[400];
        yoke_job *jobs[2];
        int64_t count;
        yoke_trainer *a = start_job(cases[i].model, with(text, i, ""), &jobs[0]);
        yoke_trainer *b = start_job(cases[i].model, with(text, i, "eval.every=2"), &jobs[1]);
        assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
        collect(a, &plain);
        collect(b, &judged);
        same_bits(&judged, &plain);
        if (bytes_wrong(&judged)) fail_msg("%s [%s]: %s", cases[i].model, text, bytes_wrong(&judged));
        same_weights(a, b);
        char *ran = yoke_trainer_actions_run(a), *again = yoke_trainer_actions_run(b);
        assert_string_equal(ran, again);
        const yoke_held_out *all = yoke_trainer_evaluations(b, &count);
        assert_int_equal(count, 4);
        yoke_evaluation e;
        assert_int_equal(yoke_trainer_evaluate(b, NULL, 0, &e), YOKE_OK);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(all[k].step, k < 3 ? 2 * k + 2 : 7);
            assert_int_equal(all[k].samples, e.samples);
        }
        assert_memory_equal(&all[3].loss, &e.loss, sizeof e.loss);
        assert_true(all[3].accuracy == e.accuracy || isnan(e.accuracy));
        assert_true(judged.report.best_step >= 2 && plain.report.best_step == -1);
        yoke_evaluation_release(&e);
        free(ran);
        free(again);
        finish_job(a, jobs[0]);
        finish_job(b, jobs[1]);
    }
}

static void test_some_batches(void **state)
{
    (void)state;
    yoke_job *job;
    int64_t count;
    double loss;
    yoke_trainer *t = start_job(
        "mlp", "train.steps=4; train.batch=5; data.holdout=0.3; eval.every=2; eval.batches=2", &job);
    assert_int_equal(yoke_trainer_run(t, 0, NULL, NULL), YOKE_OK);
    const yoke_held_out *all = yoke_trainer_evaluations(t, &count);
    assert_int_equal(count, 2);
    assert_int_equal(all[1].samples, 10); /* of 13 */
    yoke_evaluation e;
    assert_int_equal(yoke_trainer_evaluate(t, NULL, 10, &e), YOKE_OK);
    loss = e.loss;
    assert_memory_equal(&loss, &all[1].loss, sizeof loss);
    yoke_evaluation_release(&e);
    finish_job(t, job);
    t = start_job("mlp", "train.steps=4; data.holdout=0.3; eval.every=4; eval.batches=9", &job);
    assert_int_equal(yoke_trainer_run(t, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_evaluations(t, &count)->samples, 13);
    assert_int_equal(yoke_trainer_held_out(t), 13);
    finish_job(t, job);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *overrides, *says;
    } refused[] = {{"eval.every=2", "needs data.holdout"},
                   {"eval.batches=2; data.holdout=0.5", "eval.batches=2: needs eval.every"},
                   {"stop.patience=2; data.holdout=0.5", "stop.patience=2: needs eval.every"},
                   {"checkpoint.best=true; data.holdout=0.5", "checkpoint.best=true: needs checkpoint.dir"},
                   {"checkpoint.best=true; data.holdout=0.5; checkpoint.dir=ck",
                    "checkpoint.best=true: needs eval.every"},
                   {"eval.every=2; data.holdout=0.01", " of 45 samples that is none"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        static outcome out;
        assert_int_equal(run_job("mlp", refused[i].overrides, &out), YOKE_INVALID);
        if (!strstr(out.message, refused[i].says)) fail_msg("%s: %s", refused[i].overrides, out.message);
    }
}

/* Evaluations that get no better end a run early: there, whatever part of it a process does; not in the
 * middle of something better. */
static void test_patience(void **state)
{
    (void)state;
    const char *overrides = "train.steps=60; data.holdout=0.3; eval.every=1; stop.patience=3; "
                            "train.optimizer.lr=3; layout.dp=2";
    static outcome whole, part;
    yoke_job *jobs[2];
    int64_t count;
    yoke_trainer *a = start_job("mlp", overrides, &jobs[0]);
    assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
    collect(a, &whole);
    assert_true(whole.report.stopped_early && whole.count < 60);
    const yoke_held_out *all = yoke_trainer_evaluations(a, &count);
    assert_int_equal(count, whole.count);
    int64_t best = whole.report.best_step;
    assert_int_equal(best, count - 3);
    assert_true(all[best - 1].least && all[best - 1].loss == whole.report.best_loss);
    for (int64_t k = best; k < count; k++)
        assert_true(!all[k].least && all[k].loss >= whole.report.best_loss);
    for (int64_t stop = count - 2; stop <= count; stop++) { /* among those that were no better */
        const char *dir = fresh_folder();
        yoke_trainer *b = start_job("mlp", overrides, &jobs[1]);
        assert_int_equal(yoke_trainer_run(b, stop, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(b, dir, NULL), YOKE_OK);
        finish_job(b, jobs[1]);
        b = start_job("mlp", overrides, &jobs[1]);
        assert_int_equal(yoke_trainer_resume(b, dir), YOKE_OK);
        assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
        collect(b, &part);
        assert_int_equal(part.report.steps_done, whole.count);
        assert_true(part.report.stopped_early);
        assert_int_equal(part.report.best_step, best);
        finish_job(b, jobs[1]);
    }
    finish_job(a, jobs[0]);
}

/* DIR/best names the step with the least loss at any time, and it stays where only the newest is kept. */
static void check_best(void *context, const yoke_run_event *event)
{
    const yoke_trainer *trainer = context;
    if (event->kind != YOKE_RUN_SAVED || trainer->standing.best_step == 0) return;
    char path[1200], link[64] = "", want[32];
    snprintf(path, sizeof path, "%s/best", trainer->job->checkpoint.dir);
    snprintf(want, sizeof want, "step-%08lld", (long long)trainer->standing.best_step);
    assert_true(readlink(path, link, sizeof link - 1) > 0);
    if (!trainer->job->checkpoint.async) assert_string_equal(link, want); /* else the steps are ahead */
    strcat(path, "/model.safetensors");
    assert_true(yki_path_exists(path));
}

static void test_best(void **state)
{
    (void)state;
    static const char *const ways[] = {"checkpoint.every=3", "layout.dp=2; checkpoint.async=true", ""};
    for (int i = 0; i < 3; i++) {
        char overrides[600];
        yoke_job *job;
        yoke_run_report report;
        snprintf(
            overrides, sizeof overrides,
            "train.steps=20; data.holdout=0.3; eval.every=2; train.optimizer.lr=0.4; checkpoint.best=true; "
            "checkpoint.keep=1; checkpoint.dir=%s/best-%d; %s",
            folder, i, ways[i]);
        yoke_trainer *t = start_job("mlp", overrides, &job);
        yoke_trainer_watch(t, &(yoke_watcher){.context = t, .event = check_best});
        assert_int_equal(yoke_trainer_run(t, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_report(t, &report), YOKE_OK);
        yki_step_entry *steps;
        int count;
        assert_int_equal(yki_steps_list(job->checkpoint.dir, &steps, &count), YOKE_OK);
        assert_int_equal(steps[0].step, 20);
        assert_int_equal(count, report.best_step == 20 ? 1 : 2);
        assert_int_equal(steps[count - 1].step, report.best_step);
        assert_int_equal(yki_best_step(job->checkpoint.dir), report.best_step);
        free(steps);
        char best[1200];
        snprintf(best, sizeof best, "%s/best", job->checkpoint.dir);
        yoke_trainer *again = make_trainer(job);
        assert_int_equal(yoke_trainer_resume(again, best), YOKE_OK);
        assert_int_equal(again->next_step, report.best_step);
        yoke_evaluation e;
        assert_int_equal(yoke_trainer_evaluate(again, NULL, 0, &e), YOKE_OK);
        assert_memory_equal(&e.loss, &report.best_loss, sizeof e.loss);
        yoke_evaluation_release(&e);
        yoke_trainer_destroy(again);
        finish_job(t, job);
    }
}

/* A run that goes on in another folder holds steps against its best one, wherever that is: `best` is there
 * once a step is better. Its weights are far off, and then either stay so or are drawn to where no class is
 * likelier than another. */
static void test_best_in_another_folder(void **state)
{
    (void)state;
    static const char rule[] = "train.steps=%d; data.holdout=0.3; eval.every=2; checkpoint.best=true; "
                               "train.optimizer={name: sgd, %s}; checkpoint.dir=%s/%s";
    static const struct {
        const char *optimizer, *dir;
        bool better;
    } more[] = {{"lr: 1e-12", "stands", false}, {"lr: 0.1, weight_decay: 5", "decays", true}};
    char overrides[600];
    yoke_job *job;
    yoke_run_report first, report;
    snprintf(overrides, sizeof overrides, rule, 4, "lr: 4", folder, "first");
    yoke_trainer *t = start_job("mlp", overrides, &job);
    assert_int_equal(yoke_trainer_run(t, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_report(t, &first), YOKE_OK);
    assert_int_equal(yki_best_step(in_folder("first")), first.best_step);
    finish_job(t, job);
    for (int i = 0; i < 2; i++) {
        snprintf(overrides, sizeof overrides, rule, 12, more[i].optimizer, folder, more[i].dir);
        t = start_job("mlp", overrides, &job);
        assert_int_equal(yoke_trainer_resume(t, in_folder("first")), YOKE_OK);
        assert_int_equal(yoke_trainer_run(t, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_report(t, &report), YOKE_OK);
        assert_true(more[i].better ? report.best_step > 4 : report.best_step == first.best_step);
        assert_true(more[i].better ? report.best_loss < first.best_loss
                                   : report.best_loss == first.best_loss);
        assert_int_equal(yki_best_step(in_folder(more[i].dir)), more[i].better ? report.best_step : -1);
        finish_job(t, job);
    }
}

/* What stands where the link belongs is not taken away. */
static void test_best_is_no_link(void **state)
{
    (void)state;
    assert_int_equal(yki_disk_make_folders(in_folder("taken/best")), YOKE_OK);
    assert_int_equal(yki_best_set(in_folder("taken"), 3), YOKE_INVALID);
    assert_true(yki_path_is_folder(in_folder("taken/best")));
    assert_int_equal(yki_best_step(in_folder("taken")), -1);
}

/* --- samples that are bad --- */

enum { SAMPLES = 40, BATCH = 4 };
static bool huge[SAMPLES]; /* a loss of such a sample has no finite gradient */
static int64_t missing;    /* this one cannot be read; -1: all can */

static yoke_status give(void *context, int64_t index, void *inputs, void *targets)
{
    (void)context;
    float *x = inputs, *y = targets;
    if (index == missing) return YOKE_INVALID;
    for (int i = 0; i < 3; i++) x[i] = huge[index] ? NAN : (float)((index * 7 + i * 3) % 11) / 11;
    y[0] = huge[index] ? 0 : x[0] - x[2];
    return 0;
}

typedef struct bench {
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
} bench;

static bench start(int64_t skip, const char *layout_text)
{
    bench b = {0};
    yoke_row in = {YOKE_F32, 1, {3}}, out = {YOKE_F32, 1, {1}};
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    options.steps = 20, options.batch = BATCH, options.loss = YOKE_MSE, options.optimizer = YOKE_ADAM;
    options.lr = 0.01, options.shuffle = false, options.skip_nonfinite = skip;
    layout.threads = 1;
    assert_int_equal(yoke_layout_parse(&layout, layout_text), YOKE_OK);
    assert_int_equal(yoke_model_create(&b.model), YOKE_OK);
    yoke_tensor x = yoke_linear(b.model, yoke_input(b.model, 1, in.dims), 5, true);
    x = yoke_linear(b.model, yoke_activate(b.model, x, YOKE_TANH), 1, true);
    assert_int_equal(yoke_model_finish(b.model, x, YOKE_MSE), YOKE_OK);
    assert_int_equal(yoke_data_from_callback(&b.data, SAMPLES, &in, &out, give, NULL), YOKE_OK);
    if (yoke_trainer_create(&b.trainer, b.model, b.data, &options, &layout) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    return b;
}

static void end(bench *b)
{
    yoke_trainer_destroy(b->trainer);
    yoke_data_destroy(b->data);
    yoke_model_destroy(b->model);
}

static void spoil(const int *steps, int count)
{
    memset(huge, 0, sizeof huge);
    missing = -1;
    for (int i = 0; i < count; i++) huge[steps[i] * BATCH + 1] = true;
}

/* Steps 3, 4 and 8 of each ten (an epoch) are not finite. */
static const int bad[] = {3, 4, 8};

static bool is_bad(int64_t step)
{
    return step % 10 == 3 || step % 10 == 4 || step % 10 == 8;
}

/* A step's report says that it was left out where it was, and nowhere else. */
static void see_step(void *context, const yoke_step_report *report)
{
    int *seen = context;
    assert_int_equal(report->step, (*seen)++);
    assert_int_equal(report->skipped, is_bad(report->step));
    assert_int_equal(isfinite(report->loss) && isfinite(report->gradient_norm), !report->skipped);
}

static void test_left_out(void **state)
{
    (void)state;
    static const char *const layouts[] = {"dp=1", "dp=2,zero=1"};
    for (int l = 0; l < 2; l++) {
        yoke_run_report report;
        int64_t first, count;
        int seen = 0;
        spoil(bad, 3);
        bench a = start(2, layouts[l]);
        assert_int_equal(yoke_trainer_run(a.trainer, 3, see_step, &seen), YOKE_OK);
        size_t bytes;
        float *before = weights(a.trainer, &bytes);
        assert_int_equal(yoke_trainer_run(a.trainer, 2, see_step, &seen), YOKE_OK);
        float *after = weights(a.trainer, &bytes);
        assert_memory_equal(before, after, bytes);
        free(before);
        free(after);
        assert_int_equal(yoke_trainer_run(a.trainer, 0, see_step, &seen), YOKE_OK);
        assert_int_equal(seen, 20);
        assert_int_equal(yoke_trainer_report(a.trainer, &report), YOKE_OK);
        assert_int_equal(report.skipped, 6);
        assert_int_equal(report.steps_done, 20);
        const double *losses = yoke_trainer_losses(a.trainer, &first, &count);
        for (int k = 0; k < 20; k++) assert_int_equal(isnan(losses[k]) != 0, is_bad(k));
        for (int at = 3; at <= 9; at++) { /* in a row of them, after it, between */
            bench b = start(2, layouts[l]), c = start(2, layouts[l]);
            assert_int_equal(yoke_trainer_run(b.trainer, at, NULL, NULL), YOKE_OK);
            const char *dir = fresh_folder();
            assert_int_equal(yoke_trainer_save(b.trainer, dir, NULL), YOKE_OK);
            assert_int_equal(yoke_trainer_resume(c.trainer, dir), YOKE_OK);
            assert_int_equal(yoke_trainer_run(c.trainer, 0, NULL, NULL), YOKE_OK);
            same_weights(a.trainer, c.trainer);
            end(&b);
            end(&c);
        }
        end(&a);
    }
}

/* The third in a row ends the run where two may be left out, whether it resumed between them or not; and what
 * is saved then is the finite state before. */
static void test_too_many_in_a_row(void **state)
{
    (void)state;
    static const int rows[] = {3, 4, 5};
    spoil(rows, 3);
    bench a = start(2, "dp=2"), b = start(2, "dp=2"), c = start(3, "dp=2"), none = start(0, "dp=2");
    assert_int_equal(yoke_trainer_run(a.trainer, 0, NULL, NULL), YOKE_NON_FINITE);
    assert_non_null(strstr(yoke_error_get()->message, "after 2 steps in a row"));
    assert_int_equal(yoke_trainer_save(a.trainer, in_folder("row"), NULL), YOKE_OK);
    assert_int_equal(a.trainer->next_step, 5);
    assert_int_equal(yoke_trainer_resume(b.trainer, in_folder("row")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(b.trainer, 0, NULL, NULL), YOKE_NON_FINITE);
    assert_int_equal(b.trainer->next_step, 5);
    assert_int_equal(yoke_trainer_resume(c.trainer, in_folder("row")), YOKE_OK);
    assert_int_equal(yoke_trainer_run(c.trainer, 10, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_run(none.trainer, 0, NULL, NULL), YOKE_NON_FINITE);
    assert_non_null(strstr(yoke_error_get()->message, "train.skip_nonfinite"));
    assert_int_equal(none.trainer->next_step, 3);
    end(&a);
    end(&b);
    end(&c);
    end(&none);
}

/* A sample that cannot be read ends the run before its step, with everything that was done at hand. */
static void test_a_bad_sample(void **state)
{
    (void)state;
    static const char *const layouts[] = {"dp=1", "dp=2"};
    for (int l = 0; l < 2; l++) {
        spoil(NULL, 0);
        bench whole = start(0, layouts[l]);
        assert_int_equal(yoke_trainer_run(whole.trainer, 0, NULL, NULL), YOKE_OK);
        missing = 6 * BATCH + 2;
        bench a = start(0, layouts[l]), b = start(0, layouts[l]);
        assert_int_not_equal(yoke_trainer_run(a.trainer, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(a.trainer->next_step, 6);
        const char *dir = fresh_folder();
        assert_int_equal(yoke_trainer_save(a.trainer, dir, NULL), YOKE_OK);
        missing = -1;
        assert_int_equal(yoke_trainer_resume(b.trainer, dir), YOKE_OK);
        assert_int_equal(yoke_trainer_run(b.trainer, 0, NULL, NULL), YOKE_OK);
        same_weights(whole.trainer, b.trainer);
        end(&whole);
        end(&a);
        end(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_change_nothing),
        cmocka_unit_test(test_some_batches),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_best_in_another_folder),
        cmocka_unit_test(test_best_is_no_link),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_too_many_in_a_row),
        cmocka_unit_test(test_a_bad_sample),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
