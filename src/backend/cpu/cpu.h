/* Inside the CPU backend: a table of kernels, filled with the plain reference first and then overridden slot
 * by slot by what is faster on the CPU found at run time. The reference table is complete and stays the
 * oracle. */
#ifndef YKI_BACKEND_CPU_CPU_H
#define YKI_BACKEND_CPU_CPU_H

#include "backend/backend.h"

/* The backend "cpu". prepare never gives NULL; a launch without it serves kernels that prepare nothing. */
extern const yki_backend_ops yki_backend_cpu;

typedef struct yki_cpu_kernel {
    const char *source; /* "reference", "fused avx512", "onednn", ...: which implementation this is */
    /* Runs on the calling thread and its team of `threads`. state: what prepare made, or NULL. */
    void (*run)(const yki_launch *launch, void *state, int threads);
    size_t (*workspace_bytes)(const yki_launch *shapes, int threads); /* NULL: none */
    yoke_status (*prepare)(const yki_launch *shapes, int threads,
                           void **state_out); /* NULL: nothing to prepare */
    void (*discard)(void *state);
    /* Whether it takes these shapes and types; where not, the slot's earlier entry serves. NULL: always. */
    bool (*accepts)(const yki_launch *shapes, int threads);
} yki_cpu_kernel;

/* Up to 4 implementations a kernel; the last registered that accepts is used. */
enum { YKI_CPU_DEPTH = 4 };
typedef struct yki_cpu_table {
    yki_cpu_kernel kernel[YKI_KERNEL_COUNT][YKI_CPU_DEPTH];
    int count[YKI_KERNEL_COUNT];
} yki_cpu_table;

void yki_cpu_register(yki_cpu_table *table, yki_kernel kernel, yki_cpu_kernel implementation);
/* The implementation that serves a launch. */
const yki_cpu_kernel *yki_cpu_select(const yki_cpu_table *table, const yki_launch *shapes, int threads);

/* The tables: the reference alone, and the one that runs. Made once, thread-safely. */
const yki_cpu_table *yki_cpu_reference(void);
const yki_cpu_table *yki_cpu_best(void);

/* Instruction sets that the fused kernels and our own products are compiled for. */
typedef enum yki_isa { YKI_ISA_BASE, YKI_ISA_AVX2, YKI_ISA_AVX512, YKI_ISA_COUNT } yki_isa;
/* The best one that this CPU and system run; the environment variable YOKE_ISA=base|avx2|avx512 lowers it. */
yki_isa yki_isa_get(void);
/* YOKE_INVALID where the variable asks for what there is not: no name, or more than the CPU has. Such a wish
 * changes nothing in yki_isa_get. */
yoke_status yki_isa_check(void);
/* The same without the environment; and the name of one, static. */
yki_isa yki_isa_native(void);
const char *yki_isa_name(yki_isa isa);

/* Fills of the table, in the order in which yki_cpu_best calls them. */
void yki_cpu_register_reference(yki_cpu_table *table); /* every kernel, plain C, obvious loops, double sums */
void yki_cpu_register_fused(yki_cpu_table *table,
                            yki_isa isa); /* memory-bound kernels, vectorised, f32 and bf16 */
void yki_cpu_register_products(yki_cpu_table *table,
                               yki_isa isa);        /* LINEAR*, CONV2D*, ATTENTION* on our own product */
void yki_cpu_register_onednn(yki_cpu_table *table); /* LINEAR*, CONV2D* by oneDNN where it is built in */

#endif
