/* Each compilation of the fused kernels by itself, then the table that runs. */
#include "backend/held.h"

#include "backend/cpu/fused/fused.h"

int held_tables(held_table tables[HELD_MOST])
{
    static yki_cpu_table fused[HELD_MOST];
    int count = 0;
    for (; yki_fused_variant(count) != NULL; count++) {
        yki_cpu_register_reference(&fused[count]);
        yki_fused_register(&fused[count], yki_fused_variant(count));
        tables[count] = (held_table){.table = &fused[count], .teams = {1, 3}};
    }
    tables[count++] = (held_table){.table = yki_cpu_best(), .teams = {1, 3}};
    return count;
}
