/* Counter-based random numbers: known answers (SplitMix64's published first outputs; the rest computed by a
 * second implementation, in Python's integers) and the statistics that users of them rely on. */
#include "cmocka_all.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

static void mixing_is_that_of_splitmix64(void **state)
{
    (void)state;
    const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);
    assert_true(yki_rng_mix(golden) == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(yki_rng_mix(2 * golden) == UINT64_C(0x6E789E6AA1B965F4));
    assert_true(yki_rng_mix(3 * golden) == UINT64_C(0x06C45D188009454F));
}

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        const char *name;
        uint64_t step, key, bits[4]; /* of counters 0, 1, 2^40, 2^64 - 1 */
    } cases[] = {
        {0,
         "",
         0,
         0x158857C43049FF27,
         {0x56CB89D13E15ECEE, 0xCCD892C3D49695EA, 0xEC8E205E916BBB74, 0xB37B18D9433EF526}},
        {1,
         "wte.weight",
         0,
         0xB66D8A0AD0654854,
         {0xE3E63FC7B6A4D3C8, 0xBABEFB17C2C1FEA9, 0xECA1C5B532FFD0D8, 0xBDAE238239CDF887}},
        {1,
         "wte.weight",
         1,
         0xE381AFEF1247E760,
         {0x282A089215DA61EE, 0x70F8688A8373C1D4, 0xA1017B98B906F126, 0x9E621ADC49F993C5}},
        {UINT64_MAX,
         "dropout",
         1000000000000,
         0xD71B16036B5ABE63,
         {0xDF623CF612EFEC64, 0x851BB99A0B878F90, 0x374BE6D835F2C86D, 0xB768059C5A2DCE04}},
    };
    static const uint64_t counters[] = {0, 1, UINT64_C(1) << 40, UINT64_MAX};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t key = yki_rng_key(cases[i].seed, cases[i].name, cases[i].step);
        assert_true(key == cases[i].key);
        for (int c = 0; c < 4; c++) assert_true(yki_rng_bits(key, counters[c]) == cases[i].bits[c]);
    }
    uint64_t key = cases[1].key;
    assert_true(yki_rng_uniform(key, 0) == 0.8902320730764075);
    assert_true(yki_rng_uniform(key, 1) == 0.7294766362199495);
    assert_true(fabs(yki_rng_normal(key, 0) - -0.27031802589396453) < 1e-7);
    assert_true(fabs(yki_rng_normal(key, 1) - -0.556820197206495) < 1e-7);
    assert_true(fabs(yki_rng_normal(key, 5) - -0.4369813322937642) < 1e-7);
}

enum { DRAWS = 1 << 18 };

/* Mean, variance and correlation with the next draw, each within five standard errors. */
static void uniform_numbers_are_uniform(void **state)
{
    (void)state;
    for (uint64_t stream = 0; stream < 4; stream++) {
        /* Raw small keys too: nothing may rest on the key being well mixed. */
        uint64_t key = stream < 2 ? stream : yki_rng_key(stream, "x", stream);
        double sum = 0, squares = 0, products = 0, previous = yki_rng_uniform(key, DRAWS);
        int64_t buckets[64] = {0};
        for (uint64_t i = 0; i < DRAWS; i++) {
            double u = yki_rng_uniform(key, i);
            float f = yki_rng_uniformf(key, i);
            assert_true(u >= 0 && u < 1 && f >= 0 && f < 1 && f <= u && u - f < 0x1p-24);
            sum += u - 0.5;
            squares += (u - 0.5) * (u - 0.5);
            products += (u - 0.5) * (previous - 0.5);
            previous = u;
            buckets[(int)(u * 64)]++;
        }
        double n = DRAWS;
        assert_true(fabs(sum / n) < 5 * sqrt(1 / 12.0 / n));
        assert_true(fabs(squares / n - 1 / 12.0) < 5 * sqrt(1 / 180.0 / n));
        assert_true(fabs(products / n) < 5 * (1 / 12.0) / sqrt(n));
        double chi = 0; /* 63 degrees of freedom: mean 63, deviation 11.2 */
        for (int b = 0; b < 64; b++) chi += (buckets[b] - n / 64) * (buckets[b] - n / 64) / (n / 64);
        assert_true(chi > 63 - 5 * 11.2 && chi < 63 + 6 * 11.2);
    }
}

static void each_bit_is_fair_and_flips_with_every_bit_of_the_counter(void **state)
{
    (void)state;
    enum { TRIALS = 4096 };
    uint64_t key = yki_rng_key(7, "bits", 0);
    int ones[64] = {0};
    for (uint64_t i = 0; i < TRIALS; i++)
        for (int bit = 0; bit < 64; bit++) ones[bit] += (int)(yki_rng_bits(key, i) >> bit & 1);
    for (int bit = 0; bit < 64; bit++) assert_true(abs(ones[bit] - TRIALS / 2) < 5 * 32);
    for (int changed = 0; changed < 64; changed++) {
        int64_t flips_by_counter = 0, flips_by_key = 0;
        for (uint64_t i = 0; i < TRIALS; i++) {
            uint64_t bits = yki_rng_bits(key, i), mask = UINT64_C(1) << changed;
            flips_by_counter += __builtin_popcountll(bits ^ yki_rng_bits(key, i ^ mask));
            flips_by_key += __builtin_popcountll(bits ^ yki_rng_bits(key ^ mask, i));
        }
        assert_true(fabs(flips_by_counter / (double)TRIALS - 32) < 5 * 4 / sqrt(TRIALS));
        assert_true(fabs(flips_by_key / (double)TRIALS - 32) < 5 * 4 / sqrt(TRIALS));
    }
}

static void normal_numbers_are_normal(void **state)
{
    (void)state;
    uint64_t key = yki_rng_key(3, "h.0.attn.c_attn.weight", 0);
    double moments[5] = {0}, products = 0, previous = 0, n = DRAWS, within = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = yki_rng_normal(key, i), power = 1;
        assert_true(fabs(x) < 8.6);
        for (int m = 0; m < 5; m++, power *= x) moments[m] += power / n;
        products += x * previous / n;
        previous = x;
        within += fabs(x) < 1;
    }
    /* deviations of the first four sample moments: 1, sqrt 2, sqrt 15, sqrt 96, over sqrt n */
    assert_true(fabs(moments[1]) < 5 / sqrt(n));
    assert_true(fabs(moments[2] - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(moments[3]) < 5 * sqrt(15 / n));
    assert_true(fabs(moments[4] - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(products) < 5 / sqrt(n));
    assert_true(fabs(within / n - 0.6826894921) < 5 * sqrt(0.2166 / n));
}

static void streams_of_other_names_seeds_and_steps_are_unrelated(void **state)
{
    (void)state;
    uint64_t key = yki_rng_key(1, "a", 0);
    const uint64_t others[] = {yki_rng_key(1, "b", 0), yki_rng_key(2, "a", 0), yki_rng_key(1, "a", 1),
                               yki_rng_key(0, "a", 1), yki_rng_key(1, "", 0),  yki_rng_key(1, "aa", 0)};
    for (size_t o = 0; o < sizeof others / sizeof *others; o++) {
        assert_true(key != others[o]);
        double correlation = 0;
        int same = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            correlation += (yki_rng_uniform(key, i) - 0.5) * (yki_rng_uniform(others[o], i) - 0.5);
            same += yki_rng_bits(key, i) == yki_rng_bits(others[o], i);
        }
        assert_true(fabs(correlation / DRAWS) < 5 * (1 / 12.0) / sqrt(DRAWS));
        assert_int_equal(same, 0);
    }
}

static void below_stays_below_and_is_even(void **state)
{
    (void)state;
    uint64_t key = yki_rng_key(5, "below", 0);
    int counts[7] = {0};
    for (uint64_t i = 0; i < 70000; i++) {
        uint64_t value = yki_rng_below(key, i, 7);
        assert_true(value < 7);
        counts[value]++;
        assert_true(yki_rng_below(key, i, 1) == 0);
    }
    for (int v = 0; v < 7; v++) assert_true(abs(counts[v] - 10000) < 5 * 93);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixing_is_that_of_splitmix64),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(each_bit_is_fair_and_flips_with_every_bit_of_the_counter),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(streams_of_other_names_seeds_and_steps_are_unrelated),
        cmocka_unit_test(below_stays_below_and_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
