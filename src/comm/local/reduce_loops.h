/* The loops of reduce.h, for the CPU that the including file is compiled for. YKI_REDUCE_TABLE: the table's
 * name. */
#include "base/bf16.h"
#include "comm/local/reduce.h"

#define KEEP(x)            (x)
#define ADD(x, y)          ((x) + (y))
#define ADD_WRAPPING(x, y) ((int32_t)((uint32_t)(x) + (uint32_t)(y)))
/* A NaN stays and wins. */
#define LARGER(x, y) ((y) > (x) || (y) != (y) ? (y) : (x))

#define DEFINE_LOOPS(NAME, TYPE, ACC, WIDEN, NARROW, OP)                                                     \
    static void NAME##_both(void *restrict a_, void *restrict b_, int64_t elems)                             \
    {                                                                                                        \
        TYPE *restrict a = a_, *restrict b = b_;                                                             \
        for (int64_t i = 0; i < elems; i++) {                                                                \
            ACC x = WIDEN(a[i]), y = WIDEN(b[i]);                                                            \
            a[i] = b[i] = NARROW(OP(x, y));                                                                  \
        }                                                                                                    \
    }                                                                                                        \
    static void NAME##_pair(void *restrict acc_, const void *a_, const void *b_, int64_t elems)              \
    {                                                                                                        \
        ACC *restrict acc = acc_;                                                                            \
        const TYPE *a = a_, *b = b_;                                                                         \
        for (int64_t i = 0; i < elems; i++) {                                                                \
            ACC x = WIDEN(a[i]), y = WIDEN(b[i]);                                                            \
            acc[i] = OP(x, y);                                                                               \
        }                                                                                                    \
    }                                                                                                        \
    static void NAME##_fold(void *restrict acc_, const void *restrict a_, int64_t elems)                     \
    {                                                                                                        \
        ACC *restrict acc = acc_;                                                                            \
        const TYPE *restrict a = a_;                                                                         \
        for (int64_t i = 0; i < elems; i++) {                                                                \
            ACC x = acc[i], y = WIDEN(a[i]);                                                                 \
            acc[i] = OP(x, y);                                                                               \
        }                                                                                                    \
    }                                                                                                        \
    static void NAME##_round(void *restrict out_, const void *restrict acc_, int64_t elems)                  \
    {                                                                                                        \
        TYPE *restrict out = out_;                                                                           \
        const ACC *restrict acc = acc_;                                                                      \
        for (int64_t i = 0; i < elems; i++) out[i] = NARROW(acc[i]);                                         \
    }

DEFINE_LOOPS(f32_sum, float, float, KEEP, KEEP, ADD)
DEFINE_LOOPS(f32_max, float, float, KEEP, KEEP, LARGER)
DEFINE_LOOPS(bf16_sum, uint16_t, float, yki_bf16_to_f32, yki_bf16_from_f32, ADD)
DEFINE_LOOPS(bf16_max, uint16_t, float, yki_bf16_to_f32, yki_bf16_from_f32, LARGER)
DEFINE_LOOPS(i32_sum, int32_t, int32_t, KEEP, KEEP, ADD_WRAPPING)
DEFINE_LOOPS(i32_max, int32_t, int32_t, KEEP, KEEP, LARGER)

#define ROW(NAME)                                                                                            \
    {                                                                                                        \
        NAME##_both, NAME##_pair, NAME##_fold, NAME##_round                                                  \
    }

const yki_reduce_loops YKI_REDUCE_TABLE[3][2] = {
    [YKI_F32] = {[YKI_SUM] = ROW(f32_sum), [YKI_MAX] = ROW(f32_max)},
    [YKI_BF16] = {[YKI_SUM] = ROW(bf16_sum), [YKI_MAX] = ROW(bf16_max)},
    [YKI_I32] = {[YKI_SUM] = ROW(i32_sum), [YKI_MAX] = ROW(i32_max)},
};
