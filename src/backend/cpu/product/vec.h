/* Vectors of the instruction set that the including file is compiled for: loads and stores of whole and
 * partial vectors of f32 and bf16, a transposition, and exp2. GCC's vector extensions throughout; intrinsics
 * where a partial vector needs a mask, and where GCC widens bf16 badly. Everything is static: each isa_*.c
 * gets its own copy. */
#ifndef YKI_PRODUCT_VEC_H
#define YKI_PRODUCT_VEC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "backend/kernel.h"

#if defined __AVX2__
#include <immintrin.h>
#endif

#if defined __AVX512F__
enum { VL = 16 }; /* floats in a vector */
#elif defined __AVX2__
enum { VL = 8 };
#else
enum { VL = 4 };
#endif

typedef float vf __attribute__((vector_size(VL * 4), may_alias));
typedef float vf_unaligned __attribute__((vector_size(VL * 4), may_alias, aligned(4)));
typedef int32_t vi __attribute__((vector_size(VL * 4), may_alias));
typedef uint32_t vu __attribute__((vector_size(VL * 4), may_alias));
typedef uint16_t vh __attribute__((vector_size(VL * 2), may_alias));
typedef uint16_t vh_unaligned __attribute__((vector_size(VL * 2), may_alias, aligned(2)));

#define INLINE static inline __attribute__((always_inline, unused))
/* Full unrolling of the short constant loops keeps their arrays in registers. */
#define UNROLL _Pragma("GCC unroll 16")

INLINE vf vf_set(float x)
{
    return x - (vf){0};
}
INLINE vf vf_load(const float *p)
{
    return *(const vf_unaligned *)p;
}
INLINE void vf_store(float *p, vf x)
{
    *(vf_unaligned *)p = x;
}

/* The first `count` (1..VL) floats at p, zeros behind them; touches nothing else. */
INLINE vf vf_load_part(const float *p, int count)
{
#if defined __AVX512F__
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif defined __AVX2__
    static const int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return (vf)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(mask + 8 - count)));
#else
    vf x = {0};
    for (int i = 0; i < count; i++) x[i] = p[i];
    return x;
#endif
}

INLINE void vf_store_part(float *p, vf x, int count)
{
#if defined __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)x);
#elif defined __AVX2__
    static const int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    _mm256_maskstore_ps(p, _mm256_loadu_si256((const __m256i *)(mask + 8 - count)), (__m256)x);
#else
    for (int i = 0; i < count; i++) p[i] = x[i];
#endif
}

INLINE vf vf_of_bf16(vh x)
{
#if defined __AVX512F__
    return (vf)((vu)_mm512_cvtepu16_epi32((__m256i)x) << 16);
#elif defined __AVX2__
    return (vf)((vu)_mm256_cvtepu16_epi32((__m128i)x) << 16); /* GCC widens it by halves */
#else
    return (vf)(__builtin_convertvector(x, vu) << 16);
#endif
}

/* Rounded to the nearest, ties to even; NaN stays NaN. */
INLINE vh vf_to_bf16(vf x)
{
    vu bits = (vu)x;
    vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
    vu nan = (bits >> 16) | 0x40u;
    vu is_nan = (vu)(x != x);
    return __builtin_convertvector((is_nan & nan) | (~is_nan & rounded), vh);
}

/* `count` elements from index `at` of f32 or bf16 storage as f32, zeros behind them. */
INLINE vf vf_read(const void *data, yki_dtype dtype, int64_t at, int count)
{
    if (dtype == YKI_F32) {
        const float *p = (const float *)data + at;
        return count >= VL ? vf_load(p) : vf_load_part(p, count);
    }
    const uint16_t *p = (const uint16_t *)data + at;
    if (count >= VL) return vf_of_bf16(*(const vh_unaligned *)p);
    vh x = {0};
    memcpy(&x, p, (size_t)count * 2);
    return vf_of_bf16(x);
}

INLINE void vf_write(void *data, yki_dtype dtype, int64_t at, vf x, int count)
{
    if (dtype == YKI_F32) {
        float *p = (float *)data + at;
        if (count >= VL)
            vf_store(p, x);
        else
            vf_store_part(p, x, count);
        return;
    }
    vh h = vf_to_bf16(x);
    memcpy((uint16_t *)data + at, &h, 2 * (size_t)(count < VL ? count : VL));
}

/* Lane by lane a where the mask is -1, b where it is 0. */
INLINE vf vf_select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

INLINE vf vf_max(vf a, vf b)
{
#if defined __AVX512F__
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined __AVX2__
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vf_select((vi)(a > b), a, b);
#endif
}

/* The two halves of a and b interleaved: a0 b0 a1 b1 ... */
#if defined __AVX512F__
#define LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined __AVX2__
#define LOW  0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW  0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#endif

/* Transposes VL vectors: each round of perfect shuffles moves one bit of the row number into the column
 * number. */
INLINE void vf_transpose(vf row[VL])
{
    vf next[VL];
    UNROLL for (int round = 1; round < VL; round *= 2)
    {
        UNROLL for (int i = 0; i < VL / 2; i++)
        {
            next[2 * i] = __builtin_shufflevector(row[i], row[i + VL / 2], LOW);
            next[2 * i + 1] = __builtin_shufflevector(row[i], row[i + VL / 2], HIGH);
        }
        UNROLL for (int i = 0; i < VL; i++) row[i] = next[i];
    }
}

/* 2^x to about one unit in the last place; 0 below -126, not a number where x is not; x must be below 128. x
 * = n + f with |f| <= 1/2, and the series of 2^f to f^7 (remainder 5e-9). */
INLINE vf vf_exp2(vf x)
{
    const float magic = 12582912.0f;   /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    vf y = vf_max(vf_set(-126.0f), x); /* the second operand where one is not a number */
    vf shifted = y + magic;
    vf f = y - (shifted - magic);
    vf p = f * 1.5252734e-5f + 1.5403530e-4f;
    p = p * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    vf scaled = (vf)((vi)p + ((vi)shifted << 23));
    return (vf)((vi)scaled & ~(vi)(x < vf_set(-126.0f)));
}

INLINE float f32_read(const void *data, yki_dtype dtype, int64_t at)
{
    if (dtype == YKI_F32) return ((const float *)data)[at];
    uint32_t bits = (uint32_t)((const uint16_t *)data)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE float vf_sum(vf x)
{
    float sum = 0;
    for (int i = 0; i < VL; i++) sum += x[i];
    return sum;
}

/* Copies `count` elements between f32 and bf16 storage, multiplied by `scale`. */
INLINE void vf_copy(void *to, yki_dtype to_type, int64_t to_at, const void *from, yki_dtype from_type,
                    int64_t from_at, int64_t count, float scale)
{
    for (int64_t i = 0; i < count; i += VL) {
        int part = count - i < VL ? (int)(count - i) : VL;
        vf_write(to, to_type, to_at + i, vf_read(from, from_type, from_at + i, part) * scale, part);
    }
}

#endif
