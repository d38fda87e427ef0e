/* Who waits beside others sleeps; who has a core for each thread may poll. */
#include "base/crowd.h"

#include "cmocka_all.h"
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static const int64_t ms = 1000000;

static void a_share_of_the_time_makes_a_crowd(void **state)
{
    (void)state;
    yki_crowd crowd = {0};
    yki_crowd_judge(&crowd, 0, 40 * ms);
    yki_crowd_judge(&crowd, 1 * ms, 40 * ms); /* something small ran beside it */
    assert_false(crowd.crowded);
    yki_crowd_judge(&crowd, 20 * ms, 40 * ms); /* one of the threads shares its core */
    assert_true(crowd.crowded);
    for (int i = 0; i < 12; i++) { /* not over before it has been quiet for a while */
        yki_crowd_judge(&crowd, 0, 40 * ms);
        assert_true(crowd.crowded);
    }
    yki_crowd_judge(&crowd, 5 * ms, 40 * ms); /* it was not */
    for (int i = 0; i < 12; i++) yki_crowd_judge(&crowd, 0, 40 * ms);
    assert_true(crowd.crowded);
    yki_crowd_judge(&crowd, 0, 40 * ms);
    assert_false(crowd.crowded);
}

static atomic_bool enough;

static void *compute(void *unused)
{
    while (!atomic_load(&enough)) continue;
    return unused;
}

/* More threads that compute than one core has room for: each stands in line. */
static void who_shares_a_core_is_crowded(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    cpu_set_t all, one;
    int before = threads_here();
    assert_false(yki_crowded());
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &all)) CPU_SET(c, &one);
    yki_crowd_begin();
    yki_crowd_begin();
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, compute, NULL), 0);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    while (!yki_crowded()) sched_yield();
    yki_crowd_end();
    assert_true(yki_crowded()); /* another still watches */
    atomic_store(&enough, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    yki_crowd_end();
    assert_false(yki_crowded());
    while (threads_here() > before) sched_yield(); /* nobody is kept asleep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_the_time_makes_a_crowd),
        cmocka_unit_test(who_shares_a_core_is_crowded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
