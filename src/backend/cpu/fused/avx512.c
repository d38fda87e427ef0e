/* The fused kernels for AVX-512; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_avx512
#include "backend/cpu/fused/kernels.inc"
