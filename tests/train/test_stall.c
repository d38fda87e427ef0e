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

/* The action that rank 1 stalls in before its first instruction, where its backend is asked for the time. */
static struct {
    yki_rank *rank;
    void (*stamp)(yki_queue *queue, double *ns_out);
    yoke_action_kind kind;
    int microbatch;
    bool stalled;
} stalling;

static void stamp_or_stall(yki_queue *queue, double *ns_out)
{
    const yki_rank *rank = stalling.rank;
    /* by its place in the program: nothing that the rank says of itself */
    if (!stalling.stalled && rank->nran < rank->program->nactions) {
        const yoke_action *action = &rank->program->actions[rank->nran];
        stalling.stalled = action->kind == stalling.kind && action->microbatch == stalling.microbatch;
        if (stalling.stalled) nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    }
    stalling.stamp(queue, ns_out);
}

static void the_action_of_a_rank_that_stalls_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *schedule;
        yoke_action_kind kind;
        int microbatch;
        const char *says;
    } cases[] = {
        {"zb-h1", YOKE_ACTION_F, 1, "rank 1 computes in step 0, action F1"},
        {"zb-h1", YOKE_ACTION_B, 0, "rank 1 computes in step 0, action B0"},
        {"zb-h1", YOKE_ACTION_W, 1, "rank 1 computes in step 0, action W1"},
        {"1f1b", YOKE_ACTION_BW, 1, "rank 1 computes in step 0, action BW1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_job *job;
        char overrides[128];
        snprintf(overrides, sizeof overrides,
                 "layout.pp=2; layout.microbatches=2; layout.schedule=%s; train.timeout=1",
                 cases[i].schedule);
        yoke_trainer *trainer = start_job("gpt2", overrides, &job);
        yki_rank *rank = yki_run_rank(trainer->run, 1);
        yki_backend_ops slow = *rank->backend;
        stalling.rank = rank;
        stalling.stamp = slow.stamp;
        stalling.kind = cases[i].kind;
        stalling.microbatch = cases[i].microbatch;
        stalling.stalled = false;
        slow.stamp = stamp_or_stall;
        const yki_backend_ops *own = rank->backend;
        rank->backend = &slow;
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_PEER_FAILED);
        const char *said = yoke_error_get()->message, *from = strstr(said, "rank 1 ");
        assert_true(stalling.stalled);
        if (!from || strcmp(from, cases[i].says) != 0) fail_msg("%s, and not %s", said, cases[i].says);
        rank->backend = own;
        finish_job(trainer, job);
    }
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
        cmocka_unit_test(the_action_of_a_rank_that_stalls_is_told),
        cmocka_unit_test(a_lost_run_says_so_for_good),
        cmocka_unit_test(a_rank_that_is_slow_is_not),
        cmocka_unit_test(any_time_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
