/* The fused kernels for AVX-512 with bf16; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_avx512_bf16
#include "backend/cpu/fused/kernels.inc"
