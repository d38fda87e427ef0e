/* The bell in its portable form, which Linux builds do not use. */
#define YKI_WAKE_PTHREAD 1
#include "cmocka_all.h"

#include <pthread.h>

#include "comm/local/wake.h"

typedef struct table {
    yki_bell bells[2];
    _Atomic int turn;
} table;

enum { TURNS = 2000 };

static void await_turn(table *t, int me)
{
    while (atomic_load(&t->turn) % 2 != me) {
        uint32_t armed = yki_bell_arm(&t->bells[me]);
        if (atomic_load(&t->turn) % 2 != me) yki_bell_sleep(&t->bells[me], armed);
        yki_bell_disarm(&t->bells[me]);
    }
}

static void play(table *t, int me)
{
    for (int i = 0; i < TURNS; i++) {
        await_turn(t, me);
        atomic_fetch_add(&t->turn, 1);
        yki_bell_ring(&t->bells[1 - me]);
    }
}

static void *second(void *of)
{
    play(of, 1);
    return NULL;
}

static void no_ring_is_missed(void **state)
{
    (void)state;
    table t = {.turn = 0};
    yki_bell_init(&t.bells[0]);
    yki_bell_init(&t.bells[1]);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, second, &t), 0);
    play(&t, 0);
    pthread_join(thread, NULL);
    assert_int_equal(t.turn, 2 * TURNS);
    assert_int_equal(t.bells[0].sleepers + t.bells[1].sleepers, 0);
    yki_bell_release(&t.bells[0]);
    yki_bell_release(&t.bells[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_ring_is_missed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
