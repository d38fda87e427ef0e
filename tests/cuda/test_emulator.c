/* The emulator finds what it is there to find: threads that do not wait for each other, and those that wait
 * in vain. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cuda/emulator.h"

enum { THREADS = 64 };

typedef struct wrong_args {
    float *x;
} wrong_args;

#define KERNEL(name)                                                                                         \
    extern void name(const wrong_args a);                                                                    \
    static void run_##name(const void *args)                                                                 \
    {                                                                                                        \
        name(*(const wrong_args *)args);                                                                     \
    }                                                                                                        \
    static const yki_emulated kernel_##name = {#name, run_##name, sizeof(wrong_args)};
KERNEL(wrong_no_barrier)
KERNEL(right_barrier)
KERNEL(wrong_not_all_at_barrier)
KERNEL(wrong_not_all_in_shuffle)

static const char *run(const yki_emulated *kernel, yki_emulated_order order, float x[THREADS])
{
    wrong_args args = {x};
    return yki_emulate(&(yki_emulated_launch){.kernel = kernel,
                                              .args = &args,
                                              .blocks_x = 1,
                                              .blocks_y = 1,
                                              .threads = THREADS,
                                              .order = order,
                                              .seed = 5});
}

static void a_barrier_makes_orders_agree(void **state)
{
    (void)state;
    float x[3][THREADS];
    for (int order = 0; order < 3; order++) {
        assert_null(run(&kernel_right_barrier, (yki_emulated_order)order, x[order]));
        for (int i = 0; i < THREADS; i++) assert_true(x[order][i] == (float)(THREADS - 1 - i + THREADS));
    }
}

static void without_one_they_do_not(void **state)
{
    (void)state;
    float x[3][THREADS];
    for (int order = 0; order < 3; order++)
        assert_null(run(&kernel_wrong_no_barrier, (yki_emulated_order)order, x[order]));
    assert_true(isnan(x[0][0])); /* nobody had written there yet */
    assert_false(memcmp(x[0], x[1], sizeof x[0]) == 0);
    assert_false(memcmp(x[0], x[2], sizeof x[0]) == 0);
}

static void who_waits_in_vain_is_told(void **state)
{
    (void)state;
    float x[THREADS];
    for (int order = 0; order < 3; order++) {
        const char *said = run(&kernel_wrong_not_all_at_barrier, (yki_emulated_order)order, x);
        assert_non_null(said);
        assert_non_null(
            strstr(said, "32 of 64 threads wait for others that never come: 32 are at the block's barrier"));
        said = run(&kernel_wrong_not_all_in_shuffle, (yki_emulated_order)order, x);
        assert_non_null(said);
        assert_non_null(strstr(said, "8 of 64 threads wait"));
        assert_null(run(&kernel_right_barrier, (yki_emulated_order)order, x)); /* it goes on */
    }
}

static void shapes_are_checked(void **state)
{
    (void)state;
    float x[THREADS];
    wrong_args args = {x};
    yki_emulated_launch launch = {
        .kernel = &kernel_right_barrier, .args = &args, .blocks_x = 1, .blocks_y = 1, .threads = 48};
    assert_non_null(yki_emulate(&launch));
    launch.threads = 2048;
    assert_non_null(yki_emulate(&launch));
    launch.threads = THREADS, launch.blocks_y = 65536;
    assert_non_null(yki_emulate(&launch));
    launch.blocks_y = 1;
    assert_null(yki_emulate(&launch));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_barrier_makes_orders_agree), cmocka_unit_test(without_one_they_do_not),
        cmocka_unit_test(who_waits_in_vain_is_told), cmocka_unit_test(shapes_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
