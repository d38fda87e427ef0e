/* The fused kernels for AVX2 with FMA; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_avx2
#include "backend/cpu/fused/kernels.inc"
