/* Random numbers without state: the parts too large to inline. */
#include "base/rng.h"

#include <math.h>

uint64_t yki_rng_key(uint64_t seed, const char *name, uint64_t step)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a: Fowler, Noll, Vo */
    for (const unsigned char *byte = (const unsigned char *)name; *byte; byte++)
        hash = (hash ^ *byte) * UINT64_C(0x100000001B3);
    /* Each line is a bijection of the value that it takes in, so that no two seeds or steps can meet. */
    uint64_t key = yki_rng_mix(seed + UINT64_C(0x9E3779B97F4A7C15));
    key = yki_rng_mix(key ^ hash);
    return yki_rng_mix(key + yki_rng_mix(step + UINT64_C(0x6A09E667F3BCC909)));
}

float yki_rng_normal(uint64_t key, uint64_t counter)
{
    double above_zero = 1.0 - yki_rng_uniform(key, 2 * counter); /* in (0, 1]: its logarithm is finite */
    double turn = 6.283185307179586476925286766559 * yki_rng_uniform(key, 2 * counter + 1);
    return (float)(sqrt(-2.0 * log(above_zero)) * cos(turn));
}
