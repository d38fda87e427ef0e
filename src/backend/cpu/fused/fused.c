/* Which launches the fused kernels take, and their entry into the table. */
#include "backend/cpu/fused/fused.h"

#include "backend/signature.h"

static bool accepts(const yki_launch *shapes, int threads)
{
    (void)threads;
    if (yki_launch_misfit(shapes) >= 0) return false;
    if (shapes->kernel != YKI_KERNEL_EMBED_GRAD) return true;
    /* rows and ids are sorted as halves of one number */
    return yki_view_elems(&shapes->views[0]) < INT32_MAX && shapes->views[2].dims[0] < INT32_MAX;
}

static const yki_fused_set sets[] = {
    {"fused base", YKI_ISA_BASE, yki_fused_base},
#ifdef __x86_64__
    {"fused avx2", YKI_ISA_AVX2, yki_fused_avx2},
    {"fused avx512", YKI_ISA_AVX512, yki_fused_avx512},
    {"fused avx512 bf16", YKI_ISA_AVX512, yki_fused_avx512_bf16},
#endif
};
enum { SETS = sizeof sets / sizeof sets[0] };

static bool runs_here(const yki_fused_set *set)
{
#ifdef __x86_64__
    if (set->kernels == yki_fused_avx512_bf16 && !__builtin_cpu_supports("avx512bf16")) return false;
#endif
    return set->isa <= yki_isa_native();
}

const yki_fused_set *yki_fused_variant(int index)
{
    for (int i = 0; i < SETS; i++)
        if (runs_here(&sets[i]) && index-- == 0) return &sets[i];
    return NULL;
}

void yki_fused_register(yki_cpu_table *table, const yki_fused_set *set)
{
    for (const yki_fused *kernel = set->kernels(); kernel->run != NULL; kernel++)
        yki_cpu_register(table, kernel->kernel,
                         (yki_cpu_kernel){.source = set->source,
                                          .run = kernel->run,
                                          .accepts = accepts,
                                          .workspace_bytes = kernel->workspace_bytes});
}

void yki_cpu_register_fused(yki_cpu_table *table, yki_isa isa)
{
    const yki_fused_set *best = &sets[0];
    for (int i = 0; i < SETS; i++)
        if (sets[i].isa <= isa && runs_here(&sets[i])) best = &sets[i];
    yki_fused_register(table, best);
}
