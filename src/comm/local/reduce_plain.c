/* The reduction's loops for any CPU of the architecture. */
#define YKI_REDUCE_TABLE yki_reduce_plain
#include "comm/local/reduce_loops.h"
