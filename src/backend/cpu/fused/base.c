/* The fused kernels for the least that this architecture has; flags in CMakeLists.txt. */
#define YKI_FUSED_LIST yki_fused_base
#include "backend/cpu/fused/kernels.inc"
