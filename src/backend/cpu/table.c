/* The tables of kernels, and which implementation serves a launch. */
#include <assert.h>
#include <pthread.h>

#include "backend/cpu/cpu.h"

void yki_cpu_register(yki_cpu_table *table, yki_kernel kernel, yki_cpu_kernel implementation)
{
    int count = table->count[kernel];
    assert(count < YKI_CPU_DEPTH);
    table->kernel[kernel][count] = implementation;
    table->count[kernel] = count + 1;
}

const yki_cpu_kernel *yki_cpu_select(const yki_cpu_table *table, const yki_launch *shapes, int threads)
{
    assert(table->count[shapes->kernel] > 0);
    for (int i = table->count[shapes->kernel] - 1; i > 0; i--) {
        const yki_cpu_kernel *candidate = &table->kernel[shapes->kernel][i];
        if (candidate->accepts == NULL || candidate->accepts(shapes, threads)) return candidate;
    }
    return &table->kernel[shapes->kernel][0]; /* the reference takes everything */
}

static pthread_once_t reference_once = PTHREAD_ONCE_INIT, best_once = PTHREAD_ONCE_INIT;
static yki_cpu_table reference_table, best_table;

static void fill_reference(void)
{
    yki_cpu_register_reference(&reference_table);
}

static void fill_best(void)
{
    yki_cpu_register_reference(&best_table);
    yki_cpu_register_fused(&best_table, yki_isa_get());
    yki_cpu_register_products(&best_table, yki_isa_get());
    yki_cpu_register_onednn(&best_table);
}

const yki_cpu_table *yki_cpu_reference(void)
{
    pthread_once(&reference_once, fill_reference);
    return &reference_table;
}

const yki_cpu_table *yki_cpu_best(void)
{
    pthread_once(&best_once, fill_best);
    return &best_table;
}
