/* A thread is a thread: a device computes on as many as its layout says, whatever the program around it has
 * told OpenMP, and the caller's thread is given back as it came: its teams, and the cores that it may run on.
 */
#include <sched.h>
#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "threads.h"
#include "train/jobs.h"

enum { SIDE = 384, ROWS = 96, SAMPLES = 192 }; /* products that oneDNN takes, and memory worth a team */

typedef struct state_of_caller {
    int threads, dynamic;
    cpu_set_t cores;
} state_of_caller;

static state_of_caller caller(void)
{
    state_of_caller s;
    memset(&s, 0, sizeof s);
#ifdef YOKE_HAVE_OPENMP
    s.threads = omp_get_max_threads();
    s.dynamic = omp_get_dynamic();
#endif
    assert_int_equal(sched_getaffinity(0, sizeof s.cores, &s.cores), 0);
    return s;
}

static void assert_untouched(const state_of_caller *before)
{
    state_of_caller now = caller();
    assert_int_equal(now.threads, before->threads);
    assert_int_equal(now.dynamic, before->dynamic);
    assert_true(CPU_EQUAL(&now.cores, &before->cores));
}

static void set_teams(int threads, bool adjusts)
{
#ifdef YOKE_HAVE_OPENMP
    omp_set_num_threads(threads);
    omp_set_dynamic(adjusts);
#else
    (void)threads, (void)adjusts;
#endif
}

typedef struct watch {
    state_of_caller before;
    int most; /* threads seen */
} watch;

static void on_step(void *context, const yoke_step_report *report)
{
    watch *w = context;
    int here = threads_here();
    (void)report;
    if (here > w->most) w->most = here;
    assert_untouched(&w->before);
}

/* Makes, trains, evaluates, predicts with and takes away a trainer; returns the most threads that there were.
 */
static int use(yoke_layout layout)
{
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
    yoke_row row = {YOKE_F32, 1, {SIDE}};
    static float values[SAMPLES * SIDE], out[SAMPLES * SIDE];
    watch w = {.before = caller(), .most = threads_here()};
    double loss, accuracy;
    int64_t samples;
    assert_int_equal(yoke_model_create(&model), YOKE_OK);
    yoke_tensor x = yoke_linear(model, yoke_input(model, 1, row.dims), SIDE, true);
    x = yoke_linear(model, yoke_activate(model, x, YOKE_RELU), SIDE, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_MSE), YOKE_OK);
    assert_int_equal(yoke_data_random(&data, SAMPLES, &row, 0, &row, 0, 1), YOKE_OK);
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 4, options.batch = ROWS, options.loss = YOKE_MSE;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    assert_untouched(&w.before);
    assert_int_equal(yoke_trainer_run(trainer, 0, on_step, &w), YOKE_OK);
    assert_untouched(&w.before);
    assert_int_equal(yoke_trainer_eval(trainer, data, &loss, &accuracy, &samples), YOKE_OK);
    assert_untouched(&w.before);
    assert_int_equal(yoke_trainer_predict(trainer, SAMPLES, values, out), YOKE_OK);
    assert_untouched(&w.before);
    if (threads_here() > w.most) w.most = threads_here();
    yoke_trainer_destroy(trainer);
    assert_untouched(&w.before);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return w.most;
}

/* First: OpenMP keeps the threads that it has made once. */
static void one_thread_is_one(void **state)
{
    (void)state;
    int before = threads_here();
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.threads = 1;
    assert_int_equal(use(layout), before); /* with whatever team the program has by default: the machine's */
    set_teams(3, false);
    assert_int_equal(use(layout), before);
    set_teams(4, true);
    assert_int_equal(use(layout), before);
}

/* The same through a job, as the program does: verify's reference, an evaluation, first weights. */
static void jobs_have_one_thread(void **state)
{
    (void)state;
    set_teams(3, false);
    state_of_caller s = caller();
    int before = threads_here();
    yoke_job *job;
    yoke_trainer *trainer = start_job("mlp", "train.steps=3", &job);
    watch w = {.before = s, .most = before};
    assert_int_equal(yoke_trainer_run(trainer, 3, on_step, &w), YOKE_OK);
    finish_job(trainer, job);
    assert_int_equal(w.most, before);
    assert_untouched(&s);
}

/* Several devices have threads of their own, which are bound and take teams; the caller's is not touched. */
static void the_callers_thread_is_its_own(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        yoke_layout layout = YOKE_LAYOUT_DEFAULT;
        set_teams(k % 2 ? 1 : 3, k > 1);
        layout.threads = 1 + k % 2;
        layout.dp = 1 + k / 2;
        use(layout);
    }
    /* one core of those that there are: as a host program that has bound its thread */
    state_of_caller s = caller();
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &s.cores)) CPU_SET(c, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.dp = 2;
    use(layout);
    assert_int_equal(sched_setaffinity(0, sizeof s.cores, &s.cores), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_is_one),
        cmocka_unit_test(jobs_have_one_thread),
        cmocka_unit_test(the_callers_thread_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
