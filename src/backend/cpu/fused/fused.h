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

/* The kernels of an instruction set, static; the list ends with run == NULL. Only call where the CPU has it.
 */
const yki_fused *yki_fused_base(void);
const yki_fused *yki_fused_avx2(void);
const yki_fused *yki_fused_avx512(void);

#endif
