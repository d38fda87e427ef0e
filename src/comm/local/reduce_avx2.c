/* The reduction's loops for x86 with AVX2; compiled with -mavx2, called only where the CPU has it. */
#define YKI_REDUCE_TABLE yki_reduce_avx2
#include "comm/local/reduce_loops.h"
