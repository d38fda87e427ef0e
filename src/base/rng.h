/* Random numbers without state: a number is a pure function of a key and a counter, so that it doesn't depend
 * on which rank asks for it, in which order, or on how many threads. A key stands for (seed, name, step); the
 * counter is the global index of the element.
 *
 * Source: the mixing function is variant 13 of D. Stafford's 64-bit finalisers ("Better Bit Mixing", 2011),
 * as used by SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
 * Two rounds of it with key material added before each (the construction of Even and Mansour, "A Construction
 * of a Cipher from a Single Pseudorandom Permutation", 1997) keep the streams of two keys from being shifted
 * copies of one sequence, which those of one round would be. Not for cryptography. All functions may be
 * called by any thread. */
#ifndef YKI_BASE_RNG_H
#define YKI_BASE_RNG_H

#include <stdint.h>

#ifdef __CUDACC__ /* kernels draw the same */
#define YKI_RNG static inline __host__ __device__
#else
#define YKI_RNG static inline
#endif

/* Bijective on 64 bits; 0 stays 0. */
YKI_RNG uint64_t yki_rng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

/* 64 random bits. For one key, different counters give different values. */
YKI_RNG uint64_t yki_rng_bits(uint64_t key, uint64_t counter)
{
    /* The multiplier is 2^64 over the golden ratio; the addend the fraction of the square root of 2: neither
     * is special. */
    uint64_t first = key, second = ((key << 32) | (key >> 32)) + UINT64_C(0x6A09E667F3BCC908);
    uint64_t x = yki_rng_mix(((counter + 1) * UINT64_C(0x9E3779B97F4A7C15)) ^ first);
    return yki_rng_mix(x ^ second);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double yki_rng_uniform(uint64_t key, uint64_t counter)
{
    return (double)(yki_rng_bits(key, counter) >> 11) * 0x1p-53;
}

/* Uniform in [0, 1), a multiple of 2^-24: yki_rng_uniform of the same counter, rounded down. */
YKI_RNG float yki_rng_uniformf(uint64_t key, uint64_t counter)
{
    return (float)(yki_rng_bits(key, counter) >> 40) * 0x1p-24f;
}

/* Uniform in 0..limit-1; limit > 0. Multiply and shift (Lemire, "Fast Random Integer Generation in an
 * Interval", 2019) without its rejection step: the bias of one value is below limit / 2^64. */
static inline uint64_t yki_rng_below(uint64_t key, uint64_t counter, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)yki_rng_bits(key, counter) * limit) >> 64);
}

/* The key of the stream (seed, name, step). Two streams that differ in seed alone, or in step alone, always
 * have different keys; others with probability 1 - 2^-64. */
uint64_t yki_rng_key(uint64_t seed, const char *name, uint64_t step);

/* Normal with mean 0 and variance 1, from the counters 2*counter and 2*counter + 1 of the key (Box and
 * Muller, "A Note on the Generation of Random Normal Deviates", 1958), computed in double. |result| < 8.6. */
float yki_rng_normal(uint64_t key, uint64_t counter);

#endif
