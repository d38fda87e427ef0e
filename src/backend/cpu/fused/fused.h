/* The fused kernels: one pass over memory each, written once in vectors of the compiler (simd.h) and compiled
 * once per instruction set. What they take is in fused.c; every other launch is left to the reference. */
#ifndef YKI_BACKEND_CPU_FUSED_H
#define YKI_BACKEND_CPU_FUSED_H

#include "backend/cpu/cpu.h"

typedef struct yki_fused {
    yki_kernel kernel;
    void (*run)(const yki_launch *launch, void *state, int threads);
    size_t (*workspace_bytes)(const yki_launch *shapes, int threads);
} yki_fused;

/* The kernels of a compilation, static; the list ends with run == NULL. Only call where the CPU has its
 * instructions. */
const yki_fused *yki_fused_base(void);
const yki_fused *yki_fused_avx2(void);
const yki_fused *yki_fused_avx512(void);
const yki_fused *yki_fused_avx512_bf16(void); /* AVX-512 with its instruction that rounds to bf16 */

typedef struct yki_fused_set {
    const char *source; /* "fused avx2" */
    yki_isa isa;        /* what it needs */
    const yki_fused *(*kernels)(void);
} yki_fused_set;

/* The compilations that this CPU runs, slowest first; NULL past the last. For tests and benchmarks. */
const yki_fused_set *yki_fused_variant(int index);
void yki_fused_register(yki_cpu_table *table, const yki_fused_set *set);

#endif
