/* The fused kernels for avx2; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_avx2
#include "backend/cpu/fused/kernels.inc"
