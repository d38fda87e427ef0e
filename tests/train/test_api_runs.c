/* Runs that are stopped, many at once, of odd lengths; and options that are refused. */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "train/by_hand.h"

typedef struct stopper {
    yoke_trainer *trainer;
    atomic_llong seen;
} stopper;

static void note_step(void *context, const yoke_step_report *report)
{
    stopper *s = context;
    atomic_store(&s->seen, report->step + 1);
}

static void *stop_later(void *context)
{
    stopper *s = context;
    while (atomic_load(&s->seen) < 5) sched_yield();
    yoke_trainer_stop(s->trainer);
    return NULL;
}

static void test_stop(void **state)
{
    (void)state;
    for (int k = 0; k < NMESHES; k++) {
        yoke_model *model = small_model();
        yoke_data *data = small_data();
        stopper s = {.trainer = small_trainer(model, data, 100000000,
                                              small_layout(meshes[k][0], meshes[k][1], meshes[k][2]))};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_later, &s), 0);
        assert_int_equal(yoke_trainer_run(s.trainer, 10000000, note_step, &s), YOKE_STOPPED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        int64_t first, count;
        yoke_trainer_losses(s.trainer, &first, &count);
        assert_int_equal(count, atomic_load(&s.seen));
        assert_true(count >= 5);
        assert_int_equal(yoke_trainer_run(s.trainer, 3, NULL, NULL), YOKE_OK); /* and goes on */
        yoke_trainer_losses(s.trainer, &first, &count);
        assert_int_equal(count, atomic_load(&s.seen) + 3);
        /* asked for while it does not run: the next run stops at once */
        yoke_trainer_stop(s.trainer);
        assert_int_equal(yoke_trainer_run(s.trainer, 3, NULL, NULL), YOKE_STOPPED);
        yoke_trainer_destroy(s.trainer);
        yoke_data_destroy(data);
        yoke_model_destroy(model);
    }
}

typedef struct one_run {
    const char *model, *overrides;
    outcome out;
    double alone[MOST_STEPS];
} one_run;

static void *run_one(void *context)
{
    one_run *r = context;
    run_job(r->model, r->overrides, &r->out);
    return NULL;
}

/* Trainers at once in one process, each of several ranks: each is the run that it is alone. */
static void test_at_once(void **state)
{
    (void)state;
    static one_run runs[] = {{.model = "mlp", .overrides = "layout.dp=2"},
                             {.model = "gpt2", .overrides = "layout.pp=2; layout.microbatches=3"},
                             {.model = "regress", .overrides = "layout.tp=2"},
                             {.model = "tokens", .overrides = ""}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run_job(runs[i].model, runs[i].overrides, &runs[i].out), YOKE_OK);
        memcpy(runs[i].alone, runs[i].out.losses, sizeof runs[i].alone);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_one, &runs[i]), 0);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(runs[i].out.status, YOKE_OK);
            assert_memory_equal(runs[i].alone, runs[i].out.losses, sizeof(double) * 20);
        }
    }
}

static void refused_trainer(const yoke_model *model, yoke_data *data, yoke_train_options options,
                            yoke_layout layout, const char *needle)
{
    yoke_trainer *trainer = NULL;
    yoke_status status = yoke_trainer_create(&trainer, model, data, &options, &layout);
    if (status == YOKE_OK) fail_msg("a trainer that \"%s\" is about was made", needle);
    assert_null(trainer);
    assert_true(nothing_missing(needle));
}

static void test_wrong_options(void **state)
{
    (void)state;
    yoke_model *model = small_model();
    yoke_data *data = small_data();
    yoke_train_options good = small_options(4), o;
    yoke_layout fine = small_layout(1, 1, 1), l;
#define WRONG(needle, ...)                                                                                   \
    do {                                                                                                     \
        o = good, l = fine;                                                                                  \
        __VA_ARGS__;                                                                                         \
        refused_trainer(model, data, o, l, needle);                                                          \
    } while (0)
    WRONG("batch", o.batch = 0);
    WRONG("batch", o.batch = -3);
    WRONG("steps", o.steps = -1);
    WRONG("lr", o.lr = NAN);
    WRONG("lr", o.lr = -1);
    WRONG("lr", o.lr = INFINITY);
    WRONG("momentum", o.momentum = NAN);
    WRONG("momentum", o.momentum = -0.5);
    WRONG("beta", o.optimizer = YOKE_ADAM, o.beta1 = 1);
    WRONG("beta", o.optimizer = YOKE_ADAM, o.beta2 = -0.1);
    WRONG("beta", o.optimizer = YOKE_ADAM, o.beta2 = NAN);
    WRONG("eps", o.optimizer = YOKE_ADAM, o.eps = -1);
    WRONG("eps", o.optimizer = YOKE_ADAM, o.eps = NAN);
    WRONG("weight_decay", o.weight_decay = NAN);
    WRONG("weight_decay", o.weight_decay = -1);
    WRONG("final_lr", o.rate = YOKE_RATE_COSINE, o.final_lr = NAN);
    WRONG("warmup", o.warmup = -1);
    WRONG("clip", o.clip = NAN);
    WRONG("clip", o.clip = -1);
    WRONG("holdout", o.holdout = 1);
    WRONG("holdout", o.holdout = -0.5);
    WRONG("holdout", o.holdout = NAN);
    WRONG("holdout_by is draw", o.holdout_by = YOKE_HOLDOUT_DRAW);
    WRONG("epochs", o.steps = 0, o.epochs = NAN);
    WRONG("epochs", o.steps = 0, o.epochs = -1);
    WRONG("epochs", o.steps = 0, o.epochs = 1e300);
    WRONG("optimizer", o.optimizer = (yoke_optimizer)9);
    WRONG("precision", o.precision = (yoke_precision)9);
    WRONG("schedule", o.rate = (yoke_rate_schedule)9);
    WRONG("drop_last", o.drop_last = true, o.batch = 31);
    WRONG("dp", l.dp = 0);
    WRONG("tp", l.tp = -1);
    WRONG("pp", l.pp = 0);
    WRONG("microbatches", l.microbatches = 0);
    WRONG("chunks", l.chunks = 0);
    WRONG("chunks", l.chunks = INT_MAX);
    WRONG("pp", l.pp = 5);
    WRONG("pp", l.pp = INT_MAX);
    WRONG("dp", l.dp = INT_MAX, l.tp = INT_MAX);
    WRONG("batch", l.dp = 9);
    WRONG("batch", l.microbatches = 9);
    WRONG("batch", l.microbatches = INT_MAX, l.dp = 1);
    WRONG("threads", l.threads = -1);
    WRONG("device", l.dp = 2, l.ndevices = 1);
    WRONG("device", l.ndevices = 5);
    WRONG("device", l.ndevices = 1, l.devices = (const int[]){-4});
    WRONG("is more than 1048576 devices", l.dp = 1 << 20, l.tp = 2);
    WRONG("is more than 1048576 devices", l.dp = 1 << 20, l.tp = 1 << 20, l.pp = 1 << 20, l.cp = 1 << 20);
    WRONG("nope", l.pp = 2, snprintf(l.schedule, sizeof l.schedule, "nope"));
    WRONG("zero", l.dp = 2, l.zero = 7);
    WRONG("cp", l.cp = 2);
    WRONG("recompute", l.recompute = (yoke_recompute)5);
    WRONG("memory", l.device_memory_bytes = -1);
#undef WRONG
    /* what the data is for */
    yoke_row row = {.type = YOKE_F32, .ndim = 1, .dims = {IN + 1}}, target = {.type = YOKE_I32};
    yoke_data *other;
    assert_int_equal(yoke_data_random(&other, 10, &row, 0, &target, 4, 1), YOKE_OK);
    refused_trainer(model, other, good, fine, "inputs are [6]");
    yoke_data_destroy(other);
    refused_trainer(model, NULL, good, fine, "data");
    /* every class and token in memory is looked at, those held out too */
    static float zeros[20 * IN];
    static int32_t labels[20];
    labels[19] = CLASSES;
    yoke_row in_row = {.type = YOKE_F32, .ndim = 1, .dims = {IN}};
    assert_int_equal(yoke_data_from_memory(&other, 20, &in_row, zeros, &target, labels), YOKE_OK);
    good.holdout = 0.2;
    refused_trainer(model, other, good, fine, "sample 19 has class");
    labels[19] = -1;
    refused_trainer(model, other, good, fine, "sample 19 has class -1");
    good.holdout = 0;
    yoke_data_destroy(other);
    /* a gap in the devices, and degrees beside them */
    yoke_model *placed = new_model();
    yoke_model_on(placed, 0);
    yoke_tensor x = yoke_linear(placed, input_of(placed, 1, IN, 0, 0), 4, true);
    x = yoke_move(placed, x, 2);
    yoke_model_on(placed, 2);
    x = yoke_linear(placed, x, CLASSES, true);
    assert_int_equal(yoke_model_finish(placed, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    refused_trainer(placed, data, good, fine, "device 1");
    yoke_model_destroy(placed);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

static void stop_soon(void *context, const yoke_step_report *report)
{
    (void)report;
    yoke_trainer_stop(context);
}

/* More samples in a batch than there are: a ragged step each; a run of no steps; more steps than memory. */
static void test_odd_runs(void **state)
{
    (void)state;
    yoke_model *model = small_model();
    yoke_data *data = small_data();
    yoke_train_options options = small_options(3);
    yoke_layout layout = small_layout(2, 1, 2);
    yoke_trainer *trainer;
    int64_t first, count;
    options.batch = 1000;
    layout.microbatches = 400;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    const double *losses = yoke_trainer_losses(trainer, &first, &count);
    assert_int_equal(count, 3);
    assert_true(losses[2] < losses[0]);
    yoke_trainer_destroy(trainer);
    options = small_options(0);
    layout = small_layout(1, 1, 1);
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_run_report report;
    assert_int_equal(yoke_trainer_report(trainer, &report), YOKE_OK);
    assert_int_equal(report.steps_done, 0);
    yoke_trainer_losses(trainer, &first, &count);
    assert_int_equal(count, 0);
    free(yoke_trainer_actions_run(trainer));
    assert_non_null(yoke_trainer_ran(trainer, (int[]){0}));
    float none[1];
    assert_int_equal(yoke_trainer_get(trainer, "no such tensor", none), YOKE_INVALID);
    assert_null(yoke_trainer_parameter(trainer, 99, &count));
    assert_null(yoke_trainer_parameter(trainer, -1, &count));
    yoke_trainer_destroy(trainer);
    options = small_options(1000000000000000); /* the most */
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, stop_soon, trainer), YOKE_STOPPED);
    assert_int_equal(yoke_trainer_run(trainer, INT64_MAX, stop_soon, trainer), YOKE_STOPPED);
    yoke_trainer_losses(trainer, &first, &count);
    assert_int_equal(count, 4);
    yoke_trainer_destroy(trainer);
    options = small_options(0);
    options.epochs = 1.5; /* 4 steps an epoch */
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_trainer_losses(trainer, &first, &count);
    assert_int_equal(count, 6);
    yoke_trainer_destroy(trainer);
    yoke_trainer_destroy(NULL);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

static void note_notice(void *context, const yoke_error *notice)
{
    int *heard = context;
    *heard += strstr(notice->message, "class 1: in the share held out alone") != NULL;
}

/* A class that is held out alone is said of 4 Mi samples; of more the classes are not looked at. */
static void test_classes_of_many_samples(void **state)
{
    (void)state;
    enum { MOST = 1 << 22 };
    float *x = calloc(MOST + 1, sizeof *x);
    int32_t *y = calloc(MOST + 1, sizeof *y);
    assert_true(x && y);
    yoke_model *model = new_model();
    yoke_tensor out = yoke_linear(model, input_of(model, 1, 1, 0, 0), 2, true);
    assert_int_equal(yoke_model_finish(model, out, YOKE_CROSS_ENTROPY), YOKE_OK);
    const yoke_row input = {YOKE_F32, 1, {1}}, target = {YOKE_I32, 0, {0}};
    for (int64_t n = MOST; n <= MOST + 1; n++) {
        yoke_data *data;
        yoke_trainer *trainer;
        yoke_train_options options = small_options(1);
        yoke_layout layout = small_layout(1, 1, 1);
        int heard = 0;
        options.holdout = 0.1;
        for (int64_t i = 0; i < n; i++) y[i] = i >= n - n / 20;
        assert_int_equal(yoke_data_from_memory(&data, n, &input, x, &target, y), YOKE_OK);
        assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
        yoke_trainer_on_notice(trainer, note_notice, &heard);
        assert_int_equal(heard, n == MOST);
        yoke_trainer_destroy(trainer);
        yoke_data_destroy(data);
    }
    yoke_model_destroy(model);
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_odd_runs),
        cmocka_unit_test(test_classes_of_many_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
