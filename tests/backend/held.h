/* Tables of kernels that test_kernels.c holds against the reference: the CPU's (held_cpu.c), or what the
 * emulator runs of CUDA's (cuda/held_cuda.c). */
#ifndef YKI_TESTS_BACKEND_HELD_H
#define YKI_TESTS_BACKEND_HELD_H

#include "backend/cpu/cpu.h"

enum { HELD_MOST = 8, HELD_TEAMS = 3 };

typedef struct held_table {
    const yki_cpu_table *table; /* of each slot, what is held is behind the first */
    int teams[HELD_TEAMS];      /* as many threads; ends with 0, or full */
    bool same_bits;             /* whatever the team */
    bool complete;              /* every launch of every slot is taken by something */
    size_t most_bytes;          /* of the first table: launches of more have one variant; 0: all have all */
} held_table;

/* How many there are; the last may take nothing. */
int held_tables(held_table tables[HELD_MOST]);

#endif
