/* Every kernel by name, with the struct it is given. TYPED: two kernels, NAME_f32 and NAME_bf16, by what "x"
 * is. */
#ifndef YKI_BACKEND_CUDA_LIST_H
#define YKI_BACKEND_CUDA_LIST_H

#include "backend/cuda/args.h"

/* clang-format off */
#define YKI_CUDA_KERNEL_LIST(TYPED, PLAIN) \
    TYPED(activate, each) \
    TYPED(activate_grad, each) \
    TYPED(gate, each) \
    TYPED(gate_grad, each) \
    TYPED(add, each) \
    TYPED(mse_grad, each) \
    TYPED(scale, each) \
    PLAIN(cast_to_f32, each) \
    PLAIN(cast_to_bf16, each) \
    PLAIN(zero, each) \
    PLAIN(combine, each) \
    PLAIN(blend, each) \
    TYPED(dropout, dropout) \
    TYPED(slice, slice) \
    PLAIN(join, beside) \
    PLAIN(split, beside) \
    TYPED(rope, rope) \
    TYPED(embed, embed) \
    TYPED(embed_grad, embed) \
    TYPED(position, position) \
    TYPED(position_grad, position) \
    TYPED(layernorm, norm) \
    TYPED(layernorm_dx, norm) \
    TYPED(groupnorm, norm) \
    TYPED(groupnorm_dx, norm) \
    TYPED(rmsnorm, norm) \
    TYPED(rmsnorm_dx, norm) \
    TYPED(groupnorm_dw, channels) \
    TYPED(softmax, softmax) \
    TYPED(softmax_grad, softmax) \
    TYPED(entropy_max, entropy) \
    TYPED(entropy_sum, entropy) \
    TYPED(entropy_grad, entropy) \
    TYPED(columns, columns) \
    PLAIN(columns_end, columns) \
    TYPED(batch_sum, channels) \
    TYPED(batch_squares, channels) \
    TYPED(batchnorm, channels) \
    TYPED(batchnorm_sums, channels) \
    TYPED(batchnorm_dx, channels) \
    PLAIN(batch_stats, statistics) \
    PLAIN(batch_track, statistics) \
    PLAIN(batchnorm_dw, statistics) \
    TYPED(conv, image) \
    TYPED(conv_dx, image) \
    TYPED(conv_dw, image) \
    TYPED(maxpool, image) \
    TYPED(maxpool_grad, image) \
    TYPED(avgpool, image) \
    TYPED(avgpool_grad, image) \
    TYPED(product, product) \
    TYPED(product_to_f32, product) \
    TYPED(rope_at, rope) \
    TYPED(position_at, picked) \
    TYPED(pick, picked) \
    TYPED(recall_store, recall) \
    TYPED(recall, recall) \
    TYPED(attention, attention) \
    TYPED(attention_dq, attention) \
    TYPED(attention_dkv, attention) \
    PLAIN(entropy_loss, total) \
    TYPED(mse_loss, total) \
    PLAIN(squares, total) \
    PLAIN(total_end, total) \
    PLAIN(unit, unit) \
    PLAIN(adam, update) \
    PLAIN(sgd, update) \
    PLAIN(lion, update) \
    PLAIN(momentum, update)
/* clang-format on */

typedef enum yki_cuda_kernel {
#define YKI_CUDA_TYPED(name, args) YKI_CUDA_##name, YKI_CUDA_##name##_bf16,
#define YKI_CUDA_PLAIN(name, args) YKI_CUDA_##name,
    YKI_CUDA_KERNEL_LIST(YKI_CUDA_TYPED, YKI_CUDA_PLAIN)
#undef YKI_CUDA_TYPED
#undef YKI_CUDA_PLAIN
        YKI_CUDA_KERNELS
} yki_cuda_kernel;

#endif
