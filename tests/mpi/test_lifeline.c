/* The lifeline alone: a process whose ranks compute on and on while all others wait is named, everywhere; one
 * that goes on is not; and a loss that one process tells is told to all. */
#include "cmocka_all.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/cluster.h"

/* What this process's rank pretends to do. */
static atomic_int waits, goes_on, lost;
static char said[1100];

static void signs(void *unused, yki_signs *out)
{
    static uint64_t progress;
    (void)unused;
    if (atomic_load(&goes_on)) progress++;
    *out = (yki_signs){.progress = progress, .ranks = 1, .waiting = atomic_load(&waits), .armed = true};
    snprintf(out->where, sizeof out->where, "rank %d %s in step 3", yki_cluster_rank(),
             out->waiting ? "waits" : "computes");
}

static void note(void *unused, const yoke_error *why)
{
    (void)unused;
    snprintf(said, sizeof said, "%s", why->message);
    atomic_store(&lost, 1);
}

/* Until a loss, or for some seconds; whether there was one. */
static int watch_for(double seconds)
{
    yki_watch watch = {1, 1, signs, note, NULL};
    atomic_store(&lost, 0);
    yki_cluster_watch(&watch);
    for (int i = 0; i < seconds * 20 && !atomic_load(&lost); i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    int found = atomic_load(&lost);
    yki_cluster_watch(NULL);
    return found;
}

static int setup(void **state)
{
    (void)state;
    return yki_cluster_join(NULL) == YOKE_OK && yki_cluster_size() > 1 ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    yki_cluster_leave(NULL);
    return 0;
}

static void who_goes_on_is_not_lost(void **state)
{
    (void)state;
    atomic_store(&waits, yki_cluster_rank() != 1);
    atomic_store(&goes_on, yki_cluster_rank() == 1);
    assert_int_equal(watch_for(4), 0);
}

static void a_loss_is_told_to_all(void **state)
{
    (void)state;
    int last = yki_cluster_size() - 1, rank = yki_cluster_rank();
    atomic_store(&goes_on, 1);
    yoke_error why = {.status = YOKE_SYSTEM, .message = "out of luck", .rank = last};
    yki_watch watch = {1, 1, signs, note, NULL};
    atomic_store(&lost, 0);
    yki_cluster_watch(&watch);
    if (rank == last)
        yki_cluster_lose(&why);
    else
        for (int i = 0; i < 100 && !atomic_load(&lost); i++)
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    yki_cluster_watch(NULL);
    if (rank != last && strcmp(said, "out of luck") != 0) fail_msg("%s", said);
}

static void who_computes_on_and_on_is_named(void **state)
{
    (void)state;
    atomic_store(&waits, yki_cluster_rank() != 1);
    atomic_store(&goes_on, 0);
    assert_int_equal(watch_for(10), 1);
    if (!strstr(said, "rank 1 on ") || !strstr(said, "has not gone on") ||
        !strstr(said, "computes in step 3"))
        fail_msg("%s", said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_goes_on_is_not_lost), cmocka_unit_test(a_loss_is_told_to_all),
        cmocka_unit_test(who_computes_on_and_on_is_named), /* the last: a lost process stays lost */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
