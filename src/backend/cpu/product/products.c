/* Our own products: which copy serves which instruction set, and their places in the table. */
#include "backend/cpu/product/products.h"

static const yki_products *products_for(yki_isa isa)
{
#if defined __x86_64__
    static const yki_products *const sets[YKI_ISA_COUNT] = {
        [YKI_ISA_BASE] = &yki_products_base,
        [YKI_ISA_AVX2] = &yki_products_avx2,
        [YKI_ISA_AVX512] = &yki_products_avx512,
    };
    return sets[isa];
#else
    (void)isa;
    return &yki_products_base;
#endif
}

yki_gemm yki_gemm_get(yki_isa isa)
{
    return products_for(isa)->gemm;
}

void yki_cpu_register_products(yki_cpu_table *table, yki_isa isa)
{
    const yki_products *set = products_for(isa);
    yki_cpu_register(table, YKI_KERNEL_LINEAR, set->linear);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_DX, set->linear);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_DW, set->linear);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_ADD, set->linear);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_DX_ADD, set->linear);
    yki_cpu_register(table, YKI_KERNEL_CONV2D, set->conv);
    yki_cpu_register(table, YKI_KERNEL_CONV2D_DX, set->conv);
    yki_cpu_register(table, YKI_KERNEL_CONV2D_DW, set->conv);
    yki_cpu_register(table, YKI_KERNEL_ATTENTION, set->attention);
    yki_cpu_register(table, YKI_KERNEL_ATTENTION_GRAD, set->attention_grad);
    yki_cpu_register(table, YKI_KERNEL_GQA, set->attention);
    yki_cpu_register(table, YKI_KERNEL_GQA_GRAD, set->attention_grad);
    yki_cpu_register(table, YKI_KERNEL_ATTEND, set->attention);
    yki_cpu_register(table, YKI_KERNEL_ATTEND_GRAD, set->attention_grad);
    yki_cpu_register(table, YKI_KERNEL_RECALL, set->recall);
    yki_cpu_register(table, YKI_KERNEL_RECALL_GQA, set->recall);
}
