/* Sums and maxima over several arrays, in the order of the arrays. bf16 is reduced in f32 and rounded once
 * (to nearest, ties to even). The same bits on every CPU, whichever of the variants below runs. */
#ifndef YKI_COMM_LOCAL_REDUCE_H
#define YKI_COMM_LOCAL_REDUCE_H

#include "comm/comm.h"

/* Every one of the `count` (2 or more) arrays becomes the reduction over all. */
void yki_reduce_to_all(yki_dtype dtype, yki_reduction reduction, void *const *arrays, int count,
                       int64_t elems);
/* `out`, which may be one of the arrays, becomes it. */
void yki_reduce_to_one(yki_dtype dtype, yki_reduction reduction, void *const *arrays, int count, void *out,
                       int64_t elems);

/* Loops over one block of elements, for a dtype and a reduction. acc: f32 for f32 and bf16, else as the
 * operands. */
typedef struct yki_reduce_loops {
    void (*both)(void *restrict a, void *restrict b, int64_t elems);               /* a = b = a op b */
    void (*pair)(void *restrict acc, const void *a, const void *b, int64_t elems); /* acc = a op b */
    void (*fold)(void *restrict acc, const void *restrict a, int64_t elems);       /* acc = acc op a */
    void (*round)(void *restrict out, const void *restrict acc, int64_t elems); /* out = acc, in its dtype */
} yki_reduce_loops;

/* By dtype and reduction; the loops for any CPU, and those for AVX2. */
extern const yki_reduce_loops yki_reduce_plain[3][2];
extern const yki_reduce_loops yki_reduce_avx2[3][2];

#endif
