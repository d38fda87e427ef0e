/* The table of operators: one row each. */
#include "graph/ops.h"

#include "graph/op_rules.h"

static const yki_op_info ops[YKI_OP_COUNT] = {
    [YKI_KERNEL_LINEAR] = {NULL, yki_cut_linear, yki_gradient_linear},
    [YKI_KERNEL_CONV2D] = {NULL, yki_cut_conv2d, yki_gradient_conv2d},
    [YKI_KERNEL_MAXPOOL2D] = {NULL, yki_cut_follow, yki_gradient_maxpool2d},
    [YKI_KERNEL_AVGPOOL2D] = {NULL, yki_cut_follow, yki_gradient_avgpool2d},
    [YKI_KERNEL_EMBED] = {NULL, yki_cut_embed, yki_gradient_embed},
    [YKI_KERNEL_POSITION] = {NULL, yki_cut_rows, yki_gradient_position},
    [YKI_KERNEL_LAYERNORM] = {NULL, yki_cut_rows, yki_gradient_layernorm},
    [YKI_KERNEL_RMSNORM] = {NULL, yki_cut_rows, yki_gradient_rmsnorm},
    [YKI_KERNEL_BATCH_SUM] = {NULL, yki_cut_channels},
    [YKI_KERNEL_BATCH_SQUARES] = {NULL, yki_cut_channels, .of_group = true},
    [YKI_KERNEL_BATCH_STATS] = {NULL, yki_cut_channels, .of_group = true},
    [YKI_KERNEL_BATCH_TRACK] = {NULL, yki_cut_channels, .of_group = true, .once = true, .keeps_state = true},
    [YKI_KERNEL_BATCHNORM] = {NULL, yki_cut_channels, yki_gradient_batchnorm},
    [YKI_KERNEL_BATCHNORM_DX] = {.of_group = true},
    [YKI_KERNEL_ACTIVATE] = {NULL, yki_cut_follow, yki_gradient_activate},
    [YKI_KERNEL_SOFTMAX] = {NULL, yki_cut_rows, yki_gradient_softmax},
    [YKI_KERNEL_DROPOUT] = {NULL, yki_cut_follow, yki_gradient_dropout},
    [YKI_KERNEL_ADD] = {NULL, yki_cut_add, yki_gradient_add},
    [YKI_KERNEL_ATTENTION] = {NULL, yki_cut_attention, yki_gradient_attention, .attends = true},
    [YKI_KERNEL_ROPE] = {NULL, yki_cut_rope, yki_gradient_rope},
    [YKI_KERNEL_GATE] = {NULL, yki_cut_add, yki_gradient_gate},
    [YKI_KERNEL_GQA] = {NULL, yki_cut_gqa, yki_gradient_gqa, .attends = true},
    [YKI_KERNEL_ATTEND] = {.attends = true},
    [YKI_KERNEL_JOIN] = {.gradient = yki_gradient_join},
    [YKI_KERNEL_SPLIT] = {.gradient = yki_gradient_split},
    [YKI_KERNEL_XENT_MAX] = {NULL, yki_cut_xent_max},
    [YKI_KERNEL_XENT_SUM] = {NULL, yki_cut_xent_sum},
    [YKI_KERNEL_XENT_LOSS] = {NULL, yki_cut_xent_loss, yki_gradient_xent_loss, .root = true, .once = true},
    [YKI_KERNEL_MSE_LOSS] = {NULL, yki_cut_mse, yki_gradient_mse, .root = true, .once = true},
    [YKI_OP_RESHAPE] = {yki_infer_flat, yki_cut_flatten, yki_gradient_reshape},
    [YKI_OP_MOVE + YKI_MOVE_COPY] = {yki_infer_same, yki_cut_follow},
};

const yki_op_info *yki_op(int op)
{
    return &ops[op];
}

const char *yki_op_name(int op)
{
    static const char *const others[] = {"input", "target", "reshape"};
    if (op < YKI_KERNEL_COUNT) return yki_kernel_name((yki_kernel)op);
    return op < YKI_OP_MOVE ? others[op - YKI_OP_INPUT] : yki_movements[op - YKI_OP_MOVE].name;
}

const yki_word *yki_op_word(int op, int i)
{
    return op < YKI_KERNEL_COUNT ? &yki_kernel_signature((yki_kernel)op)->words[i] : NULL;
}

int yki_op_inputs(int op, int nin)
{
    return op < YKI_KERNEL_COUNT ? yki_kernel_signature((yki_kernel)op)->ninputs : nin;
}

yki_in_place yki_op_in_place(int op)
{
    return op < YKI_KERNEL_COUNT ? yki_op_word(op, yki_op_inputs(op, 0))->in_place : YKI_IN_PLACE_NO;
}
