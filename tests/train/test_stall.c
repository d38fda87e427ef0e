/* A rank that does not go on: the run ends after train.timeout, and a sentence says who, where, and what for.
 */
#include "train/jobs.h"

#include <time.h>

#include "base/fail.h"
#include "run/rank.h"

/* Rank 1 computes for long in a step; all others wait for it. */
static yoke_status stall(yki_rank *rank, void *unused)
{
    (void)unused;
    atomic_store(&rank->post.step, 7);
    if (rank->rank == 1) {
        nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
        return yki_barrier(rank->world);
    }
    yki_post_waiting(rank, "a barrier");
    return yki_barrier(rank->world);
}

/* Rank 1 works for as long, and shows it. */
static yoke_status slow(yki_rank *rank, void *unused)
{
    (void)unused;
    atomic_store(&rank->post.step, 7);
    for (int i = 0; i < 30 && rank->rank == 1; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        yki_post_progress(rank);
    }
    if (rank->rank != 1) yki_post_waiting(rank, "a barrier");
    YKI_TRY(yki_barrier(rank->world));
    yki_post_waiting(rank, NULL);
    atomic_store(&rank->post.step, -1);
    return YOKE_OK;
}

static void a_rank_that_stalls_is_named(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("gpt2", "layout.dp=2; train.timeout=1", &job);
    assert_int_equal(yki_run_command(trainer->run, stall, NULL), YOKE_PEER_FAILED);
    const char *said = yoke_error_get()->message;
    if (!strstr(said, "rank 1 computes in step 7") || !strstr(said, "train.timeout")) fail_msg("%s", said);
    finish_job(trainer, job);
}

/* Whatever a thread was told in between: every later call says why the run was lost. */
static void a_lost_run_says_so_for_good(void **state)
{
    (void)state;
    yoke_job *job;
    char why[sizeof yoke_error_get()->message];
    yoke_trainer *trainer = start_job("gpt2", "layout.dp=2; train.timeout=1", &job);
    assert_int_equal(yki_run_command(trainer->run, stall, NULL), YOKE_PEER_FAILED);
    snprintf(why, sizeof why, "%s", yoke_error_get()->message);
    for (int call = 0; call < 2; call++) {
        assert_int_equal(yoke_trainer_predict(trainer, -1, NULL, NULL), YOKE_INVALID);
        assert_string_not_equal(yoke_error_get()->message, why);
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_PEER_FAILED);
        assert_string_equal(yoke_error_get()->message, why);
        assert_int_equal(yoke_error_get()->status, YOKE_PEER_FAILED);
    }
    finish_job(trainer, job);
}

static void a_rank_that_is_slow_is_not(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("gpt2", "layout.dp=2; train.timeout=1", &job);
    assert_int_equal(yki_run_command(trainer->run, slow, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
    finish_job(trainer, job);
}

static void any_time_is_allowed(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("gpt2", "layout.dp=2; train.timeout=0", &job);
    assert_int_equal(yki_run_command(trainer->run, stall, NULL), YOKE_OK);
    finish_job(trainer, job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_that_stalls_is_named),
        cmocka_unit_test(a_lost_run_says_so_for_good),
        cmocka_unit_test(a_rank_that_is_slow_is_not),
        cmocka_unit_test(any_time_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
