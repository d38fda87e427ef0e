/* Vectors of floats as wide as the instruction set of this compilation: VL lanes, in the vector types of GCC
 * and Clang, with intrinsics only for what those cannot say. Everything is static: each instruction set
 * includes its own copy.
 *
 * Loads and stores take `bf16`, a constant in every call, that says how floats lie in memory, and a count, VL
 * except at the end of a row: the lanes past it read as zeros and are not written. */
#ifndef YKI_BACKEND_CPU_SIMD_H
#define YKI_BACKEND_CPU_SIMD_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>

#include "base/bf16.h"
#endif

#if defined(__AVX512F__)
enum { VL = 16 };
#elif defined(__AVX2__)
enum { VL = 8 };
#else
enum { VL = 4 };
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint16_t vh __attribute__((vector_size(VL * 2)));
/* Half as many lanes, twice as wide. */
typedef double vd __attribute__((vector_size(VL * 4)));
typedef uint64_t vq __attribute__((vector_size(VL * 4)));
typedef float vf_half __attribute__((vector_size(VL * 2)));
typedef uint32_t vu_half __attribute__((vector_size(VL * 2)));
typedef union vf_pair {
    vf full;
    vf_half half[2];
} vf_pair;
typedef union vu_pair {
    vu full;
    vi full_signed;
    vu_half half[2];
} vu_pair;

#define INLINE static inline __attribute__((always_inline))

/* Runs a statement for each vector of elements begin .. end-1, with its first element `i` and its `count`.
 * The statement is compiled twice, so that in full vectors the count is a constant. */
#define FOR_VECTORS(begin, end, ...)                                                                         \
    do {                                                                                                     \
        int64_t i = (begin);                                                                                 \
        for (; i + VL <= (end); i += VL) {                                                                   \
            const int64_t count = VL;                                                                        \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
        if (i < (end)) {                                                                                     \
            const int64_t count = (end)-i;                                                                   \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    } while (0)

/* The same for sums: four vectors at a time, k = 0 .. 3, each with an accumulator of its own, so that
 * additions need not wait for each other. The rest go to accumulator 0. */
#define FOR_VECTORS_BY4(begin, end, ...)                                                                     \
    do {                                                                                                     \
        int64_t first_ = (begin);                                                                            \
        for (; first_ + 4 * VL <= (end); first_ += 4 * VL)                                                   \
            for (int k = 0; k < 4; k++) {                                                                    \
                const int64_t i = first_ + k * VL, count = VL;                                               \
                __VA_ARGS__                                                                                  \
            }                                                                                                \
        const int k = 0;                                                                                     \
        FOR_VECTORS(first_, end, __VA_ARGS__);                                                               \
    } while (0)

INLINE vf v_set(float x)
{
    return x - (vf){0};
}

/* bf16 to f32 and back for a whole vector, by the instructions that GCC 12 does not find from
 * __builtin_convertvector. */
INLINE vf v_from_bf16(vh half)
{
#if defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)half), 16);
#elif defined(__AVX2__)
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)half), 16);
#elif defined(__x86_64__)
    __m128i low = {0};
    memcpy(&low, &half, sizeof half);
    return (vf)_mm_unpacklo_epi16(_mm_setzero_si128(), low);
#else
    return (vf)(__builtin_convertvector(half, vu) << 16);
#endif
}

INLINE vh v_to_bf16(vf x)
{
#if defined(__AVX512BF16__)
    return (vh)_mm512_cvtneps_pbh((__m512)x);
#else
    vu bits = (vu)x, rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
#if defined(__AVX512F__)
    __mmask16 is_nan = _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    __m512i safe =
        _mm512_mask_or_epi32((__m512i)rounded, is_nan, (__m512i)(bits >> 16), _mm512_set1_epi32(0x40));
    return (vh)_mm512_cvtepi32_epi16(safe);
#else
    vu is_nan = (vu)(x != x), safe = (is_nan & ((bits >> 16) | 0x40u)) | (~is_nan & rounded);
#if defined(__AVX2__)
    __m256i packed = _mm256_packus_epi32((__m256i)safe, (__m256i)safe); /* within each half of the register */
    return (vh)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x8));
#elif defined(__x86_64__)
    __m128i sign_extended =
        _mm_srai_epi32(_mm_slli_epi32((__m128i)safe, 16), 16); /* so that packing does not saturate */
    __m128i packed = _mm_packs_epi32(sign_extended, sign_extended);
    vh half;
    memcpy(&half, &packed, sizeof half);
    return half;
#else
    return __builtin_convertvector(safe, vh);
#endif
#endif
#endif
}

#if defined(__AVX512F__)
#define FIRST_LANES(count) ((__mmask16)((1u << (count)) - 1u))
#elif defined(__AVX2__)
#define FIRST_LANES(count)                                                                                   \
    _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#endif

INLINE vf v_load(const void *data, int64_t i, int64_t count, bool bf16)
{
    const float *singles = (const float *)data + i;
    const uint16_t *halves = (const uint16_t *)data + i;
    vf x = {0};
    vh half = {0};
    if (count == VL) {
        if (!bf16) memcpy(&x, singles, sizeof x);
        if (bf16) memcpy(&half, halves, sizeof half);
    } else {
#if defined(__AVX512F__)
        if (!bf16) x = (vf)_mm512_maskz_loadu_ps(FIRST_LANES(count), singles);
        if (bf16) half = (vh)_mm256_maskz_loadu_epi16(FIRST_LANES(count), halves);
#else
#if defined(__AVX2__)
        if (!bf16) x = (vf)_mm256_maskload_ps(singles, FIRST_LANES(count));
#else
        if (!bf16) memcpy(&x, singles, (size_t)count * 4);
#endif
        if (bf16) memcpy(&half, halves, (size_t)count * 2);
#endif
    }
    return bf16 ? v_from_bf16(half) : x;
}

INLINE void v_store(void *data, int64_t i, int64_t count, vf x, bool bf16)
{
    float *singles = (float *)data + i;
    uint16_t *halves = (uint16_t *)data + i;
    vh half = bf16 ? v_to_bf16(x) : (vh){0};
    if (count == VL) {
        if (!bf16) memcpy(singles, &x, sizeof x);
        if (bf16) memcpy(halves, &half, sizeof half);
    } else {
#if defined(__AVX512F__)
        if (!bf16) _mm512_mask_storeu_ps(singles, FIRST_LANES(count), (__m512)x);
        if (bf16) _mm256_mask_storeu_epi16(halves, FIRST_LANES(count), (__m256i)half);
#else
#if defined(__AVX2__)
        if (!bf16) _mm256_maskstore_ps(singles, FIRST_LANES(count), (__m256)x);
#else
        if (!bf16) memcpy(singles, &x, (size_t)count * 4);
#endif
        if (bf16) memcpy(halves, &half, (size_t)count * 2);
#endif
    }
}

/* One element. */
INLINE float s_load(const void *data, int64_t i, bool bf16)
{
    return bf16 ? yki_bf16_to_f32(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

INLINE void s_store(void *data, int64_t i, float x, bool bf16)
{
    if (bf16)
        ((uint16_t *)data)[i] = yki_bf16_from_f32(x);
    else
        ((float *)data)[i] = x;
}

/* a < b ? x : y; y where a or b is not a number. */
INLINE vf v_if_less(vf a, vf b, vf x, vf y)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ), (__m512)y,
                                    (__m512)x);
#else
    vi less = a < b;
    return (vf)((less & (vi)x) | (~less & (vi)y));
#endif
}

/* The lesser, the greater; `b` where either is not a number. */
INLINE vf v_min(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return v_if_less(a, b, a, b);
#endif
}

INLINE vf v_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return v_if_less(b, a, a, b);
#endif
}

INLINE vf v_sqrt(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
    return (vf)_mm_sqrt_ps((__m128)x);
#else
    for (int lane = 0; lane < VL; lane++) x[lane] = sqrtf(x[lane]);
    return x;
#endif
}

INLINE vf v_abs(vf x)
{
    return (vf)((vi)x & 0x7FFFFFFF);
}
INLINE vf v_copy_sign(vf x, vf sign)
{
    return (vf)(((vi)x & 0x7FFFFFFF) | ((vi)sign & (vi)v_set(-0.0f)));
}

/* Of the 2 VL lanes of low and high: those with even, those with odd numbers. */
#if defined(__AVX512F__)
#define LANES(first, step)                                                                                   \
    (first), (first) + (step), (first) + 2 * (step), (first) + 3 * (step), (first) + 4 * (step),             \
        (first) + 5 * (step), (first) + 6 * (step), (first) + 7 * (step), (first) + 8 * (step),              \
        (first) + 9 * (step), (first) + 10 * (step), (first) + 11 * (step), (first) + 12 * (step),           \
        (first) + 13 * (step), (first) + 14 * (step), (first) + 15 * (step)
#define TWICE(first)                                                                                         \
    (first), (first), (first) + 1, (first) + 1, (first) + 2, (first) + 2, (first) + 3, (first) + 3,          \
        (first) + 4, (first) + 4, (first) + 5, (first) + 5, (first) + 6, (first) + 6, (first) + 7,           \
        (first) + 7
#elif defined(__AVX2__)
#define LANES(first, step)                                                                                   \
    (first), (first) + (step), (first) + 2 * (step), (first) + 3 * (step), (first) + 4 * (step),             \
        (first) + 5 * (step), (first) + 6 * (step), (first) + 7 * (step)
#define TWICE(first)                                                                                         \
    (first), (first), (first) + 1, (first) + 1, (first) + 2, (first) + 2, (first) + 3, (first) + 3
#else
#define LANES(first, step) (first), (first) + (step), (first) + 2 * (step), (first) + 3 * (step)
#define TWICE(first)       (first), (first), (first) + 1, (first) + 1
#endif
INLINE vf v_even(vf low, vf high)
{
    return __builtin_shufflevector(low, high, LANES(0, 2));
}
INLINE vf v_odd(vf low, vf high)
{
    return __builtin_shufflevector(low, high, LANES(1, 2));
}
/* Each lane of the lower half, of the upper half, twice. */
INLINE vf v_twice_low(vf x)
{
    return __builtin_shufflevector(x, x, TWICE(0));
}
INLINE vf v_twice_high(vf x)
{
    return __builtin_shufflevector(x, x, TWICE(VL / 2));
}

/* The first `count` lanes, zeros in the others. */
INLINE vf v_keep(vf x, int64_t count)
{
    if (count == VL) return x;
    vi lane;
    for (int k = 0; k < VL; k++) lane[k] = k;
    return (vf)((vi)x & (lane < (int32_t)count));
}

/* The first `count` lanes, `other` in the others. */
INLINE vf v_keep_or(vf x, int64_t count, float other)
{
    for (int64_t k = count; k < VL; k++) x[k] = other;
    return x;
}

/* Over the lanes in double, in a fixed order. */
INLINE double v_sum_double(vd x)
{
    for (int half = VL / 4; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) x[lane] += x[lane + half];
    return x[0];
}

INLINE double v_sum(vf x)
{
    vf_pair pair = {.full = x};
    return v_sum_double(__builtin_convertvector(pair.half[0], vd) +
                        __builtin_convertvector(pair.half[1], vd));
}

/* Over four accumulators. */
INLINE double v_sum4(const vf x[4])
{
    return v_sum((x[0] + x[1]) + (x[2] + x[3]));
}

/* x^2 in double, the two halves added: exact for all finite x. */
INLINE vd v_square_double(vf x)
{
    vf_pair pair = {.full = x};
    vd low = __builtin_convertvector(pair.half[0], vd), high = __builtin_convertvector(pair.half[1], vd);
    return low * low + high * high;
}

#endif
