/* Stands in for CUDA's built-ins where src/backend/cuda/kernels/ is compiled by a C++ compiler for the CPU:
 * included ahead of each .cu. What a kernel may use is here; a kernel that uses more does not compile.
 * emulator.h runs them. */
#ifndef YKI_TESTS_CUDA_EMULATE_H
#define YKI_TESTS_CUDA_EMULATE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define YKI_EMULATED 1
#define __global__
#define __device__
#define __host__

extern "C" {
struct yki_emulated_dim {
    unsigned x, y, z;
};
extern const yki_emulated_dim *yki_emulated_thread; /* of the thread that runs */
extern yki_emulated_dim yki_emulated_block, yki_emulated_blocks, yki_emulated_threads;
void yki_emulated_barrier(void);
void yki_emulated_exchange(void *value, size_t bytes, unsigned lane_bits);
void *yki_emulated_shared(const void *key, size_t bytes);
}

#define threadIdx (*yki_emulated_thread)
#define blockIdx  yki_emulated_block
#define gridDim   yki_emulated_blocks
#define blockDim  yki_emulated_threads

/* The block's, and nobody's before: NaNs. */
#define YKI_SHARED(type, name, count)                                                                        \
    static char name##_key;                                                                                  \
    type *name = (type *)yki_emulated_shared(&name##_key, sizeof(type) * (count))

/* What 16 bytes at once are read from, or written to. */
#define YKI_CHECK_ALIGNED(p) ((uintptr_t)(p) % 16 == 0 ? (void)0 : __builtin_trap())

static inline void __syncthreads()
{
    yki_emulated_barrier();
}

/* By all lanes of a warp. */
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int lane_bits)
{
    if (mask != 0xffffffffu) __builtin_trap();
    yki_emulated_exchange(&value, sizeof value, (unsigned)lane_bits);
    return value;
}

#endif
