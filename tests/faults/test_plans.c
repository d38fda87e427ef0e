/* The n-th allocation fails while a model is made and its plan compiled, for every n and under layouts of all
 * kinds: a status with a sentence, and all memory given back. The arena takes a block for each piece here, so
 * that memory runs out wherever a pass takes any. No step is run and no thread started.
 *
 *     test_plans [STRIDE]    every so many-th: 7, unless said; 1 is all */
#include "inject.h"
#include "train/jobs.h"

static int stride = 7;

static const struct row {
    const char *model, *overrides;
} rows[] = {
    {"mlp", ""},
    {"mlp", "layout.dp=2; layout.zero=1; layout.microbatches=2"},
    {"gpt2", "layout.tp=3; layout.sp=true; layout.recompute=selective"},
    {"gpt2", "layout.dp=4; layout.zero=2; layout.dp_shard=2; layout.tp=2; layout.microbatches=3"},
    {"gpt2", "layout.dp=2; layout.zero=3; layout.pp=2; layout.microbatches=2; layout.recompute=full"},
    {"gpt2", "layout.pp=3; layout.microbatches=3; layout.schedule=zb-h1; layout.tp=2"},
    {"gpt2", "layout.pp=2; layout.microbatches=4; layout.schedule=interleaved; layout.chunks=2"},
    {"gpt2", "layout.cp=2; layout.pp=2; layout.microbatches=4; layout.schedule=zb-v"},
    {"llama",
     "layout.tp=4; layout.pp=2; layout.microbatches=4; layout.schedule=zb-h2; layout.recompute=full"},
    {"llama", "layout.cp=3; layout.tp=2; layout.cp_kind=ulysses; layout.dp=2; layout.zero=3"},
    {"llama_tied", "layout.pp=2; layout.tp=2; layout.microbatches=3; layout.dp=2; train.precision=bf16"},
    {"conv", "layout.tp=2; layout.pp=2; layout.microbatches=3; layout.schedule=gpipe"},
    {"conv", "layout.dp=3; layout.zero=3; layout.recompute=full"},
    {"batchnorm", "layout.dp=2; layout.tp=2; layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1"},
    {"batchnorm_tokens", "layout.dp=2; layout.tp=3; layout.zero=2; layout.microbatches=2"},
    {"devices", "layout.dp=2; layout.microbatches=3"},
    {"llama", "layout.tp=6; layout.dp=2; layout.zero=2; train.optimizer=muon"},
    {"regress", "layout.tp=2; layout.pp=2; layout.microbatches=2; layout.schedule=zb-h1"},
};

static yoke_status compile(const yoke_job *job)
{
    yoke_schedule *schedule = NULL;
    yoke_status status = yoke_job_schedule(job, &schedule);
    yoke_schedule_destroy(schedule);
    return status;
}

/* Many plans, until some fit. */
static yoke_status suggest(const yoke_job *job)
{
    static yoke_layout layouts[2];
    int count;
    yoke_status status = yoke_job_layouts(job, 4, layouts, 2, &count);
    if (status == YOKE_OK) assert_int_equal(count, 2);
    return status;
}

static void fail_each(const struct row *row, yoke_status (*run)(const yoke_job *job))
{
    bool failed = true;
    const char *what;
    int n = 1;
    yoke_job *job = open_job(row->model, row->overrides);
    if (!job || run(job) != YOKE_OK)
        fail_msg("%s [%s]: %s %s", row->model, row->overrides, yoke_error_get()->key,
                 yoke_error_get()->message);
    for (; failed; n += stride) {
        inject_begin(INJECT_MEMORY, n);
        yoke_status status = run(job);
        int calls = inject_end(&failed, &what);
        const yoke_error *error = yoke_error_get();
        if (status != (failed ? YOKE_SYSTEM : YOKE_OK) || (failed && !error->message[0]))
            fail_msg("%s [%s]: call %d (%s): %s '%s'", row->model, row->overrides, n, what ? what : "none",
                     yoke_status_name(status), error->message);
        if (inject_live() != 0)
            fail_msg("%s [%s]: call %d (%s, '%s') leaves %d blocks", row->model, row->overrides, n,
                     what ? what : "none", failed ? error->message : "", inject_live());
        if (!failed) print_message("%s [%s]: %d calls\n", row->model, row->overrides, calls);
    }
    yoke_job_destroy(job);
}

static void test_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) fail_each(&rows[i], compile);
}

static void test_layouts(void **state)
{
    (void)state;
    fail_each(&rows[0], suggest);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_layouts)};
    if (argc > 1 && atoi(argv[1]) > 0) stride = atoi(argv[1]);
    inject_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
