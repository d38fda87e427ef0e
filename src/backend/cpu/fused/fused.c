/* Which launches the fused kernels take, and their entry into the table. */
#include "backend/cpu/fused/fused.h"

/* Types of operands in order. x: the activation type, f32 or bf16, the same for all of a launch; f: f32; i:
 * i32; h: bf16; a: any. A capital may be absent, or missing at the end. */
static const char *const operands[YKI_KERNEL_COUNT] = {
    [YKI_KERNEL_BIAS_GRAD] = "xf",
    [YKI_KERNEL_CONV2D_BIAS_GRAD] = "xf",
    [YKI_KERNEL_MAXPOOL2D] = "xxi",
    [YKI_KERNEL_MAXPOOL2D_GRAD] = "xix",
    [YKI_KERNEL_AVGPOOL2D] = "xx",
    [YKI_KERNEL_AVGPOOL2D_GRAD] = "xx",
    [YKI_KERNEL_EMBED] = "ixx",
    [YKI_KERNEL_EMBED_GRAD] = "ixf",
    [YKI_KERNEL_POSITION] = "xxx",
    [YKI_KERNEL_POSITION_GRAD] = "xf",
    [YKI_KERNEL_LAYERNORM] = "xxxxff",
    [YKI_KERNEL_LAYERNORM_DX] = "xxxffx",
    [YKI_KERNEL_LAYERNORM_DW] = "xxffff",
    [YKI_KERNEL_RMSNORM] = "xxxf",
    [YKI_KERNEL_RMSNORM_DX] = "xxxfx",
    [YKI_KERNEL_RMSNORM_DW] = "xxff",
    [YKI_KERNEL_BATCH_SUM] = "xf",
    [YKI_KERNEL_BATCH_SQUARES] = "xff",
    [YKI_KERNEL_BATCHNORM] = "xfXXx",
    [YKI_KERNEL_BATCHNORM_SUMS] = "xxff",
    [YKI_KERNEL_BATCHNORM_DX] = "xxffXx",
    [YKI_KERNEL_ACTIVATE] = "xx",
    [YKI_KERNEL_ACTIVATE_GRAD] = "xxx",
    [YKI_KERNEL_SOFTMAX] = "xx",
    [YKI_KERNEL_SOFTMAX_GRAD] = "xxx",
    [YKI_KERNEL_DROPOUT] = "xx",
    [YKI_KERNEL_ADD] = "xxx",
    [YKI_KERNEL_CAST] = "aa",
    [YKI_KERNEL_COPY_SLICE] = "aa",
    [YKI_KERNEL_JOIN] = "aaa",
    [YKI_KERNEL_SPLIT] = "aaa",
    [YKI_KERNEL_ROPE] = "xx",
    [YKI_KERNEL_GATE] = "xxx",
    [YKI_KERNEL_GATE_GRAD] = "xxxxx",
    [YKI_KERNEL_XENT_MAX] = "xf",
    [YKI_KERNEL_XENT_SUM] = "xiff",
    [YKI_KERNEL_XENT_GRAD] = "xifx",
    [YKI_KERNEL_MSE_LOSS] = "xf",
    [YKI_KERNEL_MSE_GRAD] = "xfx",
    [YKI_KERNEL_ZERO] = "a",
    [YKI_KERNEL_SUM_SQUARES] = "f",
    [YKI_KERNEL_ADAM] = "ffffH",
    [YKI_KERNEL_SGD] = "ffFH",
};

static bool fits(char operand, const yki_view *view, yki_dtype *activation, bool *has_activation)
{
    switch (operand) {
    case 'F':
        return view->data == NULL || view->dtype == YKI_F32;
    case 'H':
        return view->data == NULL || view->dtype == YKI_BF16;
    case 'f':
        return view->dtype == YKI_F32;
    case 'i':
        return view->dtype == YKI_I32;
    case 'a':
        return view->dtype == YKI_F32 || view->dtype == YKI_BF16 || view->dtype == YKI_I32;
    case 'X':
        if (view->ndim == 0) return true;
        __attribute__((fallthrough));
    default:
        if (!*has_activation) *activation = view->dtype;
        *has_activation = true;
        return view->dtype == *activation && (view->dtype == YKI_F32 || view->dtype == YKI_BF16);
    }
}

static bool accepts(const yki_launch *shapes, int threads)
{
    (void)threads;
    const char *operand = operands[shapes->kernel];
    yki_dtype activation = YKI_F32;
    bool has_activation = false;
    int i = 0;
    for (; i < shapes->nviews && operand[i] != '\0'; i++)
        if (!fits(operand[i], &shapes->views[i], &activation, &has_activation)) return false;
    if (i < shapes->nviews) return false;
    for (; operand[i] != '\0'; i++)
        if (operand[i] != 'F' && operand[i] != 'H') return false;
    const yki_view *views = shapes->views;
    switch (shapes->kernel) {
    case YKI_KERNEL_CAST: /* between the two floating types */
        return views[0].dtype != views[1].dtype && views[0].dtype != YKI_I32 && views[1].dtype != YKI_I32;
    case YKI_KERNEL_COPY_SLICE:
        return views[0].dtype == views[1].dtype;
    case YKI_KERNEL_JOIN:
    case YKI_KERNEL_SPLIT: /* floating types */
        return views[0].dtype != YKI_I32 && views[1].dtype != YKI_I32 && views[2].dtype != YKI_I32;
    case YKI_KERNEL_EMBED_GRAD:
        return yki_view_elems(&views[0]) < INT32_MAX && views[2].dims[0] < INT32_MAX;
    default:
        return true;
    }
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
