/* Our own matrix product: for what is too small for oneDNN's call, inside attention, and where oneDNN is not
 * built in. */
#ifndef YKI_BACKEND_CPU_GEMM_H
#define YKI_BACKEND_CPU_GEMM_H

#include <stdint.h>

#include "backend/cpu/cpu.h"

/* C[M,N] = alpha * op(A)[M,K] * op(B)[K,N] + beta * C, row-major f32, one thread. ta: A is stored [K,M]; tb:
 * B is stored [N,K]. ld*: elements between rows as stored. beta 0 does not read C. Any of M, N, K may be 0.
 */
typedef void (*yki_gemm)(int ta, int tb, int64_t M, int64_t N, int64_t K, float alpha, const float *A,
                         int64_t lda, const float *B, int64_t ldb, float beta, float *C, int64_t ldc);

/* The product for an instruction set. It allocates nothing: packing uses up to 126 KiB of stack. The sum
 * over K of an element runs in the same order wherever the element lies: splitting C does not change bits. */
yki_gemm yki_gemm_get(yki_isa isa);

#endif
