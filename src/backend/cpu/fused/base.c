/* The fused kernels for base; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_base
#include "backend/cpu/fused/kernels.inc"
