/* Which samples form a step: bijections, epochs, ragged and dropped batches, the held-out share. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/order.h"

static yki_order order_of(int64_t samples, int64_t batch, bool shuffle, bool drop_last, uint64_t seed)
{
    yki_order order;
    assert_int_equal(yki_order_init(&order, samples, 0, YOKE_HOLDOUT_END, batch, shuffle, drop_last, seed),
                     YOKE_OK);
    return order;
}

static void every_epoch_is_a_bijection(void **state)
{
    (void)state;
    static unsigned char seen[2001];
    for (int64_t n = 1; n <= 2000; n++) {
        yki_order order = order_of(n, 1, true, false, (uint64_t)n);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            memset(seen, 0, sizeof seen);
            for (int64_t i = 0; i < n; i++) {
                int64_t sample = yki_order_sample(&order, epoch, i);
                assert_in_range(sample, 0, n - 1);
                assert_false(seen[sample]++);
            }
        }
    }
}

/* Every arrangement of few samples comes up about equally often over the epochs. */
static void few_samples_are_arranged_evenly(void **state)
{
    (void)state;
    static const int factorial[] = {1, 1, 2, 6, 24, 120};
    enum { EPOCHS = 12000 };
    for (int n = 2; n <= 5; n++) {
        int counts[120] = {0};
        yki_order order = order_of(n, 1, true, false, 99);
        for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
            int64_t at[5];
            int rank = 0;
            for (int i = 0; i < n; i++) at[i] = yki_order_sample(&order, epoch, i);
            for (int i = 0; i < n; i++) {
                int smaller = 0;
                for (int j = i + 1; j < n; j++) smaller += at[j] < at[i];
                rank += smaller * factorial[n - 1 - i];
            }
            counts[rank]++;
        }
        double expected = (double)EPOCHS / factorial[n], chi = 0, freedom = factorial[n] - 1;
        for (int r = 0; r < factorial[n]; r++)
            chi += (counts[r] - expected) * (counts[r] - expected) / expected;
        assert_true(chi < freedom + 5 * sqrt(2 * freedom) + 5);
    }
}

static void permutations_look_shuffled(void **state)
{
    (void)state;
    for (int64_t n = 1000; n <= 1100; n += 24) { /* just below, at and above a power of two */
        yki_order order = order_of(n, 1, true, false, 1), other = order_of(n, 1, true, false, 2);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            double correlation = 0, middle = (double)(n - 1) / 2, variance = ((double)n * (double)n - 1) / 12;
            int fixed = 0, neighbours = 0, like_next_epoch = 0, like_other_seed = 0, displaced = 0;
            for (int64_t i = 0; i < n; i++) {
                int64_t sample = yki_order_sample(&order, epoch, i);
                correlation += ((double)i - middle) * ((double)sample - middle) / variance / (double)n;
                fixed += sample == i;
                neighbours += i > 0 && llabs(sample - yki_order_sample(&order, epoch, i - 1)) == 1;
                like_next_epoch += sample == yki_order_sample(&order, epoch + 1, i);
                like_other_seed += sample == yki_order_sample(&other, epoch, i);
                displaced += llabs(sample - i) > n / 4;
            }
            assert_true(fabs(correlation) < 5 / sqrt((double)n));
            assert_true(fixed < 9 && like_next_epoch < 9 && like_other_seed < 9 && neighbours < 13);
            assert_true(fabs(displaced / (double)n - 0.5625) <
                        0.1); /* (3/4)^2 of all pairs are farther apart */
        }
    }
}

static void without_shuffle_steps_follow_the_file(void **state)
{
    (void)state;
    int64_t got[4];
    yki_order order = order_of(10, 4, false, false, 0);
    assert_int_equal(yki_order_steps_per_epoch(&order), 3);
    static const int64_t counts[] = {4, 4, 2, 4, 4, 2, 4}, first[] = {0, 4, 8, 0, 4, 8, 0};
    for (int step = 0; step < 7; step++) {
        assert_int_equal(yki_order_batch_count(&order, step), counts[step]);
        assert_int_equal(yki_order_batch(&order, step, got), counts[step]);
        for (int64_t i = 0; i < counts[step]; i++) assert_int_equal(got[i], first[step] + i);
    }
    order = order_of(10, 4, false, true, 0);
    assert_int_equal(yki_order_steps_per_epoch(&order), 2);
    for (int step = 0; step < 4; step++) {
        assert_int_equal(yki_order_batch(&order, step, got), 4);
        assert_int_equal(got[0], step % 2 * 4);
    }
    order = order_of(8, 4, false, false, 0); /* nothing ragged */
    assert_int_equal(yki_order_steps_per_epoch(&order), 2);
    assert_int_equal(yki_order_batch(&order, 3, got), 4);
    order = order_of(3, 4, false, false, 0); /* always ragged */
    assert_int_equal(yki_order_steps_per_epoch(&order), 1);
    assert_int_equal(yki_order_batch(&order, 5, got), 3);
}

/* The steps of an epoch hold each sample once; the same step asked for again, out of turn, is the same. */
static void shuffled_steps_make_up_the_epoch(void **state)
{
    (void)state;
    for (int drop = 0; drop < 2; drop++) {
        yki_order order = order_of(23, 5, true, drop, 11);
        int64_t steps = yki_order_steps_per_epoch(&order), first_epoch[5], got[5], again[5];
        assert_int_equal(steps, drop ? 4 : 5);
        yki_order_batch(&order, 0, first_epoch);
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            int seen[23] = {0}, total = 0;
            for (int64_t step = 0; step < steps; step++) {
                int64_t count = yki_order_batch(&order, epoch * steps + step, got);
                assert_int_equal(count, yki_order_batch_count(&order, epoch * steps + step));
                yki_order_batch(&order, 7, again);
                assert_int_equal(yki_order_batch(&order, epoch * steps + step, again), count);
                assert_memory_equal(got, again, (size_t)count * sizeof *got);
                for (int64_t i = 0; i < count; i++, total++) {
                    assert_int_equal(got[i], yki_order_sample(&order, epoch, step * order.batch + i));
                    assert_int_equal(seen[got[i]]++, 0);
                }
                if (epoch > 0 && step == 0) assert_memory_not_equal(got, first_epoch, sizeof got);
            }
            assert_int_equal(total, drop ? 20 : 23);
        }
    }
}

static void large_datasets_take_no_memory_and_stay_in_range(void **state)
{
    (void)state;
    static int64_t got[4096];
    yki_order order = order_of(INT64_C(1) << 40 | 1, 4096, true, false, 3);
    int64_t count = yki_order_batch(&order, 123456789012, got);
    assert_int_equal(count, 4096);
    double mean = 0;
    for (int i = 0; i < 4096; i++) {
        assert_true(got[i] >= 0 && got[i] < order.samples);
        mean += (double)got[i] / (double)order.samples / 4096;
    }
    assert_true(fabs(mean - 0.5) < 5 * sqrt(1 / 12.0 / 4096));
    order = order_of(INT64_MAX, 2, true, true, 3);
    assert_int_equal(yki_order_batch(&order, INT64_MAX / 2 - 1, got), 2);
    assert_true(got[0] >= 0 && got[1] >= 0 && got[0] != got[1]);
}

static void the_holdout_is_the_floor_of_the_decimal(void **state)
{
    (void)state;
    for (int per_mille = 0; per_mille <= 1000; per_mille++)
        for (int64_t n = 0; n < 1200; n += 1 + n / 40) {
            char text[16];
            snprintf(text, sizeof text, "%d.%03d", per_mille / 1000, per_mille % 1000);
            assert_int_equal(yki_holdout_count(strtod(text, NULL), n), per_mille * n / 1000);
        }
    assert_int_equal(yki_holdout_count(0.1, 30), 3);
    assert_int_equal(yki_holdout_count(0.29, 100), 29); /* in doubles 28.999999999999996 */
    assert_int_equal(yki_holdout_count(0.1, INT64_C(999999999999)), INT64_C(99999999999));
    assert_int_equal(yki_holdout_count(1.0 / 3, 3000), 1000);
    assert_int_equal(yki_holdout_count(0.9999999, 3), 2);
    assert_int_equal(yki_holdout_count(-0.5, 10), 0);
    assert_int_equal(yki_holdout_count(NAN, 10), 0);
    assert_int_equal(yki_holdout_count(2, 10), 10);
}

static void what_leaves_nothing_to_do_is_refused(void **state)
{
    (void)state;
    yki_order order;
    assert_int_equal(yki_order_init(&order, 5, 1.0, YOKE_HOLDOUT_END, 2, true, false, 0), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "no samples are left"));
    assert_int_equal(yki_order_init(&order, 0, 0, YOKE_HOLDOUT_END, 2, true, false, 0), YOKE_INVALID);
    assert_int_equal(yki_order_init(&order, 5, 0, YOKE_HOLDOUT_END, 0, true, false, 0), YOKE_INVALID);
    assert_int_equal(yki_order_init(&order, 5, 0, YOKE_HOLDOUT_END, 6, true, true, 0), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "drop_last"));
    assert_int_equal(yki_order_init(&order, 5, 0, YOKE_HOLDOUT_END, 6, true, false, 0), YOKE_OK);
    assert_int_equal(yki_order_init(&order, 10, 0.5, YOKE_HOLDOUT_END, 5, true, true, 0), YOKE_OK);
    assert_int_equal(order.samples, 5);
    assert_int_equal(yki_order_init(&order, 10, 0.5, YOKE_HOLDOUT_END, 6, true, true, 0), YOKE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_is_a_bijection),
        cmocka_unit_test(few_samples_are_arranged_evenly),
        cmocka_unit_test(permutations_look_shuffled),
        cmocka_unit_test(without_shuffle_steps_follow_the_file),
        cmocka_unit_test(shuffled_steps_make_up_the_epoch),
        cmocka_unit_test(large_datasets_take_no_memory_and_stay_in_range),
        cmocka_unit_test(the_holdout_is_the_floor_of_the_decimal),
        cmocka_unit_test(what_leaves_nothing_to_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
