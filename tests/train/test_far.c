/* What runs on the backend that is far away gives the CPU's bits: losses, norms and weights of layouts, saves
 * that are read back, outputs. */
#include <unistd.h>

#include "folder.h"
#include "train/jobs.h"

static const struct {
    const char *job, *overrides;
} runs[] = {
    {"mlp", ""},
    {"mlp", "layout.dp=2; layout.zero=1"},
    {"mlp", "layout.pp=3; layout.microbatches=3; train.precision=bf16"},
    {"conv", "layout.dp=2; layout.microbatches=2"},
    {"batchnorm", "layout.dp=3; layout.zero=1"},
    {"gpt2", "layout.pp=2; layout.dp=2; layout.zero=1; layout.microbatches=4; layout.schedule=zb-h1"},
    {"gpt2", "layout.tp=2; layout.sp=true; layout.zero=3; layout.dp=2"},
    {"gpt2", "layout.tp=2; layout.dp=2; layout.zero=2; train.optimizer=muon"},
    {"llama", "layout.tp=6; layout.dp=2; layout.zero=1; train.optimizer=muon"},
    {"gpt2", "train.sequence=8; layout.cp=2; layout.cp_kind=ulysses"},
    {"llama", "train.sequence=9; layout.cp=3"},
    /* rows become bf16 in one place, while those of the micro-batch before may still be on their way */
    {"regress", "train.precision=bf16; layout.microbatches=2; layout.schedule=gpipe"},
    {"regress", "train.precision=bf16; layout.microbatches=4; layout.dp=2"},
};

static void test_the_bits_of_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        if (!is_taken(i)) continue;
        outcome here, there;
        unsetenv("YOKE_BACKEND");
        run_job(runs[i].job, runs[i].overrides, &here);
        setenv("YOKE_BACKEND", "far", 1);
        run_job(runs[i].job, runs[i].overrides, &there);
        assert_int_equal(here.status, YOKE_OK);
        assert_int_equal(there.status, YOKE_OK);
        assert_true(here.count > 1);
        assert_int_equal(here.count, there.count);
        assert_memory_equal(here.losses, there.losses, sizeof *here.losses * (size_t)here.count);
    }
}

static void test_another_name_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"null", "cuda", "Far"};
    for (int i = 0; i < 3; i++) {
        outcome out;
        setenv("YOKE_BACKEND", names[i], 1);
        run_job("mlp", "", &out);
        assert_int_equal(out.status, YOKE_INVALID);
        assert_non_null(strstr(out.message, names[i]));
        assert_non_null(strstr(out.message, "YOKE_BACKEND"));
        yoke_job *job = open_job("mlp", "");
        yoke_dry_run *dry = NULL; /* nor is anything told of a run that there cannot be */
        assert_int_equal(yoke_job_dry_run(job, &dry), YOKE_INVALID);
        yoke_job_destroy(job);
    }
    unsetenv("YOKE_BACKEND");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_bits_of_the_cpu),
                                       cmocka_unit_test(test_another_name_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
