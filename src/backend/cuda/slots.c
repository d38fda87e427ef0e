/* The table of slots. */
#include "backend/cuda/slots.h"

#include <assert.h>

const yki_cuda_slot yki_cuda_slots[YKI_KERNEL_COUNT] = {
    [YKI_KERNEL_LINEAR] = {yki_cuda_run_linear, NULL},
    [YKI_KERNEL_LINEAR_DX] = {yki_cuda_run_linear_dx, NULL},
    [YKI_KERNEL_LINEAR_DW] = {yki_cuda_run_linear_dw, NULL},
    [YKI_KERNEL_LINEAR_ADD] = {yki_cuda_run_linear, NULL},
    [YKI_KERNEL_LINEAR_DX_ADD] = {yki_cuda_run_linear_dx, NULL},
    [YKI_KERNEL_BIAS_GRAD] = {yki_cuda_run_bias_grad, yki_cuda_columns_bytes},
    [YKI_KERNEL_CONV2D] = {yki_cuda_run_conv, NULL},
    [YKI_KERNEL_CONV2D_DX] = {yki_cuda_run_conv, NULL},
    [YKI_KERNEL_CONV2D_DW] = {yki_cuda_run_conv, NULL},
    [YKI_KERNEL_CONV2D_BIAS_GRAD] = {yki_cuda_run_conv_bias_grad, NULL},
    [YKI_KERNEL_MAXPOOL2D] = {yki_cuda_run_pool, NULL},
    [YKI_KERNEL_MAXPOOL2D_GRAD] = {yki_cuda_run_pool, NULL},
    [YKI_KERNEL_AVGPOOL2D] = {yki_cuda_run_pool, NULL},
    [YKI_KERNEL_AVGPOOL2D_GRAD] = {yki_cuda_run_pool, NULL},
    [YKI_KERNEL_EMBED] = {yki_cuda_run_embed, NULL},
    [YKI_KERNEL_EMBED_GRAD] = {yki_cuda_run_embed_grad, NULL},
    [YKI_KERNEL_POSITION] = {yki_cuda_run_position, NULL},
    [YKI_KERNEL_POSITION_GRAD] = {yki_cuda_run_position_grad, NULL},
    [YKI_KERNEL_LAYERNORM] = {yki_cuda_run_layernorm, NULL},
    [YKI_KERNEL_LAYERNORM_DX] = {yki_cuda_run_layernorm_dx, NULL},
    [YKI_KERNEL_LAYERNORM_DW] = {yki_cuda_run_layernorm_dw, yki_cuda_columns_bytes},
    [YKI_KERNEL_RMSNORM] = {yki_cuda_run_rmsnorm, NULL},
    [YKI_KERNEL_RMSNORM_DX] = {yki_cuda_run_rmsnorm_dx, NULL},
    [YKI_KERNEL_RMSNORM_DW] = {yki_cuda_run_rmsnorm_dw, yki_cuda_columns_bytes},
    [YKI_KERNEL_HEADNORM] = {yki_cuda_run_rmsnorm, NULL},
    [YKI_KERNEL_HEADNORM_DX] = {yki_cuda_run_rmsnorm_dx, NULL},
    [YKI_KERNEL_HEADNORM_DW] = {yki_cuda_run_rmsnorm_dw, yki_cuda_columns_bytes},
    [YKI_KERNEL_GROUPNORM] = {yki_cuda_run_groupnorm, NULL},
    [YKI_KERNEL_GROUPNORM_DX] = {yki_cuda_run_groupnorm_dx, NULL},
    [YKI_KERNEL_GROUPNORM_DW] = {yki_cuda_run_groupnorm_dw, NULL},
    [YKI_KERNEL_BATCH_SUM] = {yki_cuda_run_batch_sums, NULL},
    [YKI_KERNEL_BATCH_SQUARES] = {yki_cuda_run_batch_sums, NULL},
    [YKI_KERNEL_BATCHNORM_SUMS] = {yki_cuda_run_batch_sums, NULL},
    [YKI_KERNEL_BATCH_STATS] = {yki_cuda_run_batch_stats, NULL},
    [YKI_KERNEL_BATCH_TRACK] = {yki_cuda_run_batch_track, NULL},
    [YKI_KERNEL_BATCHNORM] = {yki_cuda_run_batchnorm, NULL},
    [YKI_KERNEL_BATCHNORM_DX] = {yki_cuda_run_batchnorm, NULL},
    [YKI_KERNEL_BATCHNORM_DW] = {yki_cuda_run_batchnorm_dw, NULL},
    [YKI_KERNEL_ACTIVATE] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_ACTIVATE_GRAD] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_GATE] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_GATE_GRAD] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_ADD] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_CAST] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_ZERO] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_SCALE] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_MSE_GRAD] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_COMBINE] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_BLEND] = {yki_cuda_run_each, NULL},
    [YKI_KERNEL_SOFTMAX] = {yki_cuda_run_softmax, NULL},
    [YKI_KERNEL_SOFTMAX_GRAD] = {yki_cuda_run_softmax, NULL},
    [YKI_KERNEL_DROPOUT] = {yki_cuda_run_dropout, NULL},
    [YKI_KERNEL_COPY_SLICE] = {yki_cuda_run_slice, NULL},
    [YKI_KERNEL_JOIN] = {yki_cuda_run_beside, NULL},
    [YKI_KERNEL_SPLIT] = {yki_cuda_run_beside, NULL},
    [YKI_KERNEL_ROPE] = {yki_cuda_run_rope, NULL},
    [YKI_KERNEL_ATTENTION] = {yki_cuda_run_attention, NULL},
    [YKI_KERNEL_GQA] = {yki_cuda_run_attention, NULL},
    [YKI_KERNEL_ATTEND] = {yki_cuda_run_attention, NULL},
    [YKI_KERNEL_ATTENTION_GRAD] = {yki_cuda_run_attention_grad, yki_cuda_dots_bytes},
    [YKI_KERNEL_GQA_GRAD] = {yki_cuda_run_attention_grad, yki_cuda_dots_bytes},
    [YKI_KERNEL_ATTEND_GRAD] = {yki_cuda_run_attention_grad, yki_cuda_dots_bytes},
    [YKI_KERNEL_POSITION_AT] = {yki_cuda_run_position_at, NULL},
    [YKI_KERNEL_ROPE_AT] = {yki_cuda_run_rope_at, NULL},
    [YKI_KERNEL_PICK] = {yki_cuda_run_pick, NULL},
    [YKI_KERNEL_RECALL] = {yki_cuda_run_recall, NULL},
    [YKI_KERNEL_RECALL_GQA] = {yki_cuda_run_recall, NULL},
    [YKI_KERNEL_XENT_MAX] = {yki_cuda_run_entropy, NULL},
    [YKI_KERNEL_XENT_SUM] = {yki_cuda_run_entropy, NULL},
    [YKI_KERNEL_XENT_GRAD] = {yki_cuda_run_entropy, NULL},
    [YKI_KERNEL_XENT_LOSS] = {yki_cuda_run_total, yki_cuda_total_bytes},
    [YKI_KERNEL_MSE_LOSS] = {yki_cuda_run_total, yki_cuda_total_bytes},
    [YKI_KERNEL_SUM_SQUARES] = {yki_cuda_run_total, yki_cuda_total_bytes},
    [YKI_KERNEL_UNIT] = {yki_cuda_run_unit, yki_cuda_total_bytes},
    [YKI_KERNEL_ADAM] = {yki_cuda_run_update, NULL},
    [YKI_KERNEL_SGD] = {yki_cuda_run_update, NULL},
    [YKI_KERNEL_LION] = {yki_cuda_run_update, NULL},
    [YKI_KERNEL_MOMENTUM] = {yki_cuda_run_update, NULL},
};

static const struct {
    const char *name;
    size_t bytes;
} kernels[YKI_CUDA_KERNELS] = {
#define TYPED(name, args)                                                                                    \
    {"yki_gpu_" #name "_f32", sizeof(yki_cuda_##args)}, {"yki_gpu_" #name "_bf16", sizeof(yki_cuda_##args)},
#define PLAIN(name, args) {"yki_gpu_" #name, sizeof(yki_cuda_##args)},
    YKI_CUDA_KERNEL_LIST(TYPED, PLAIN)
#undef TYPED
#undef PLAIN
};

const char *yki_cuda_kernel_name(yki_cuda_kernel kernel)
{
    return kernels[kernel].name;
}

size_t yki_cuda_args_bytes(yki_cuda_kernel kernel)
{
    return kernels[kernel].bytes;
}

void yki_cuda_put(yki_cuda_sink *sink, yki_cuda_kernel kernel, yki_cuda_shape shape, const void *args)
{
    assert(shape.x >= 0 && shape.x <= INT32_MAX && shape.y <= UINT16_MAX);
    if (shape.x > 0 && shape.y > 0) sink->put(sink, kernel, shape, args);
}
