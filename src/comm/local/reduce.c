/* Reductions over arrays, block by block: a block of every array is read, reduced in the first cache, and
 * written. */
#include "comm/local/reduce.h"

#include <stdbool.h>
#include <string.h>

/* 8 KiB of sums, beside the blocks read, stay in a first cache of 32 KiB. */
enum { BLOCK = 2048 };

static const yki_reduce_loops *choose(yki_dtype dtype, yki_reduction reduction)
{
#ifdef YKI_REDUCE_HAS_AVX2
    if (__builtin_cpu_supports("avx2")) return &yki_reduce_avx2[dtype][reduction];
#endif
    return &yki_reduce_plain[dtype][reduction];
}

static int64_t block_at(int64_t first, int64_t elems)
{
    return elems - first < BLOCK ? elems - first : BLOCK;
}

/* Sums under way: i32, or f32 for the others. */
typedef union sums {
    _Alignas(64) float f32[BLOCK];
    int32_t i32[BLOCK];
} sums;

/* The reduction of one block, in acc. */
static void reduce_block(const yki_reduce_loops *loops, void *const *arrays, int count, size_t offset_bytes,
                         void *acc, int64_t elems)
{
    loops->pair(acc, (const char *)arrays[0] + offset_bytes, (const char *)arrays[1] + offset_bytes, elems);
    for (int i = 2; i < count; i++) loops->fold(acc, (const char *)arrays[i] + offset_bytes, elems);
}

void yki_reduce_to_all(yki_dtype dtype, yki_reduction reduction, void *const *arrays, int count,
                       int64_t elems)
{
    const yki_reduce_loops *loops = choose(dtype, reduction);
    if (count == 2) {
        loops->both(arrays[0], arrays[1], elems);
        return;
    }
    size_t size = yki_dtype_bytes(dtype);
    sums acc;
    for (int64_t first = 0; first < elems; first += BLOCK) {
        int64_t block = block_at(first, elems);
        size_t offset = (size_t)first * size;
        reduce_block(loops, arrays, count, offset, &acc, block);
        char *rounded = (char *)arrays[0] + offset;
        loops->round(rounded, &acc, block);
        for (int i = 1; i < count; i++) memcpy((char *)arrays[i] + offset, rounded, (size_t)block * size);
    }
}

/* Whether `out` itself can be what the others are folded into: the first array, or either of two numbers'. */
static bool folds_in_place(yki_dtype dtype, yki_reduction reduction, void *const *arrays, int count,
                           const void *out)
{
    if (dtype == YKI_BF16) return false; /* sums have another form */
    return arrays[0] == out || (count == 2 && reduction == YKI_SUM && arrays[1] == out);
}

void yki_reduce_to_one(yki_dtype dtype, yki_reduction reduction, void *const *arrays, int count, void *out,
                       int64_t elems)
{
    const yki_reduce_loops *loops = choose(dtype, reduction);
    size_t size = yki_dtype_bytes(dtype);
    sums acc;
    bool in_place = folds_in_place(dtype, reduction, arrays, count, out),
         apart = dtype == YKI_BF16; /* else the sums have the output's form */
    for (int i = 0; i < count; i++) apart |= arrays[i] == out;
    for (int64_t first = 0; first < elems; first += BLOCK) {
        int64_t block = block_at(first, elems);
        size_t offset = (size_t)first * size;
        void *to = (char *)out + offset, *into = apart ? (void *)&acc : to;
        for (int i = 0; i < count && in_place; i++)
            if (arrays[i] != out) loops->fold(to, (const char *)arrays[i] + offset, block);
        if (in_place) continue;
        reduce_block(loops, arrays, count, offset, into, block);
        if (into != to) loops->round(to, &acc, block);
    }
}
