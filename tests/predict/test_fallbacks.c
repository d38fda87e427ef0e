/* Layouts for fewer devices than a job asks for: what it lists itself, else what fits. */
#include "train/jobs.h"

typedef struct left {
    const char *model, *overrides;
    int processes, per_process;
    const char *layout; /* "": none */
    int used;
} left;

static void test_what_is_left(void **state)
{
    (void)state;
    static const char listed[] = "layout.dp=4; layout.zero=1; layout.bucket=64KiB; layout.threads=2; "
                                 "launch.fallbacks=[dp=3, 'pp=2,recompute=[full,none]', 'tp=2,threads=1']";
    static const left cases[] = {
        {"mlp", listed, 3, 1, "dp=3,bucket=64KiB,threads=2", 3},
        {"mlp", listed, 2, 1, "pp=2,bucket=64KiB,recompute=[full,none],threads=2", 2},
        {"mlp", listed, 1, 2, "pp=2,bucket=64KiB,recompute=[full,none],threads=2", 1},
        {"mlp", listed, 2, 2, "pp=2,bucket=64KiB,recompute=[full,none],threads=2", 2}, /* 3 on 2 x 2: no */
        {"mlp", listed, 1, 3, "dp=3,bucket=64KiB,threads=2", 1},
        /* no fallback is for one device: what fits, with all else as the job has it */
        {"mlp", listed, 1, 1, "bucket=64KiB,threads=2", 1},
        {"mlp", "layout.dp=4; launch.fallbacks=tp=2,dp=2; layout.threads=2", 2, 1, "dp=2,threads=2", 2},
        /* cp stays: over one device there is none */
        {"gpt2", "layout.cp=2; layout.dp=2; layout.threads=2", 3, 1, "cp=2,threads=2", 2},
        {"gpt2", "layout.cp=2; layout.dp=2", 1, 1, "", 0},
        /* three devices a replica, by hand */
        {"devices", "layout.dp=2; layout.threads=2", 5, 1, "threads=2", 3},
        {"devices", "layout.dp=4; layout.threads=2; launch.fallbacks=[dp=3, dp=2]", 2, 3, "dp=2,threads=2",
         2},
        {"devices", "layout.dp=2", 2, 1, "", 0},
        {"mlp", "layout.dp=2; layout.device_memory=1KiB", 1, 1, "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const left *c = &cases[i];
        yoke_layout layout;
        char text[512] = "";
        int used = 0;
        yoke_job *job = open_job(c->model, c->overrides);
        if (!job) fail_msg("%s [%s]: %s", c->model, c->overrides, yoke_error_get()->message);
        yoke_status status = yoke_job_fallback(job, c->processes, c->per_process, &layout, &used);
        if (status == YOKE_OK) yoke_layout_print(&layout, text, sizeof text);
        if ((status != YOKE_OK && status != YOKE_DOES_NOT_FIT) || (status == YOKE_OK) != (c->used > 0) ||
            strcmp(text, c->layout) != 0 || (status == YOKE_OK && used != c->used))
            fail_msg("%s [%s] on %d x %d: status %d, '%s' on %d (%s)", c->model, c->overrides, c->processes,
                     c->per_process, status, text, used, yoke_error_get()->message);
        yoke_job_destroy(job);
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    yoke_job *job = open_job("mlp", "");
    yoke_layout layout;
    int used;
    assert_int_equal(yoke_job_fallback(NULL, 1, 1, &layout, &used), YOKE_INVALID);
    assert_int_equal(yoke_job_fallback(job, 0, 1, &layout, &used), YOKE_INVALID);
    assert_int_equal(yoke_job_fallback(job, 1, -1, &layout, &used), YOKE_INVALID);
    assert_int_equal(yoke_job_fallback(job, 1, 1, NULL, &used), YOKE_INVALID);
    assert_int_equal(yoke_job_devices(NULL, NULL), 0);
    assert_int_equal(yoke_job_devices(job, NULL), 1);
    yoke_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_left), cmocka_unit_test(test_nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
