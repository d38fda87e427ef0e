/* The table of operators: one row each. Kernels of the backward pass have rows too, for how they see memory.
 */
#include "graph/ops.h"

#include "graph/op_rules.h"

/* rows of x and y times the weight, twice */
static double product_flops(const yki_launch *launch)
{
    const yki_view *weight = &launch->views[launch->kernel == YKI_KERNEL_LINEAR_DW ? 2 : 1];
    return 2.0 * (double)launch->views[0].dims[0] * (double)yki_view_elems(weight);
}

static double conv_flops(const yki_launch *launch)
{
    bool dw = launch->kernel == YKI_KERNEL_CONV2D_DW, dx = launch->kernel == YKI_KERNEL_CONV2D_DX;
    const yki_view *weight = &launch->views[dw ? 2 : 1];
    const yki_view *y = &launch->views[dw ? 1 : dx ? 0 : 3];
    return 2.0 * (double)(y->dims[0] * y->dims[2] * y->dims[3]) * (double)yki_view_elems(weight);
}

/* two products of T x T x d a head, half of it masked; the gradient does five */
static double attention_flops(const yki_launch *launch)
{
    bool gradient = launch->kernel == YKI_KERNEL_ATTENTION_GRAD;
    const yki_view *qkv = &launch->views[gradient ? 1 : 0];
    double n = (double)qkv->dims[0], T = (double)qkv->dims[1], width = (double)(qkv->dims[3] * qkv->dims[4]);
    return (gradient ? 5.0 : 2.0) * 2.0 * n * T * T * width * (launch->attr->causal ? 0.5 : 1.0);
}

/* the same for each query head, in whatever form the views are */
static double gqa_flops(const yki_launch *launch)
{
    bool gradient = launch->kernel == YKI_KERNEL_GQA_GRAD;
    const yki_view *q = &launch->views[gradient ? 1 : 0];
    return (gradient ? 5.0 : 2.0) * 2.0 * (double)q->dims[1] * (double)yki_view_elems(q) *
           (launch->attr->causal ? 0.5 : 1.0);
}

#define ROWS  .view = YKI_VIEW_ROWS
#define WHOLE .view = YKI_VIEW_WHOLE
#define FLAT  .view = YKI_VIEW_FLAT

static const yki_op_info ops[YKI_OP_COUNT] = {
    [YKI_KERNEL_LINEAR] = {"linear", yki_infer_linear, yki_cut_linear, yki_gradient_linear, product_flops,
                           ROWS},
    [YKI_KERNEL_LINEAR_DX] = {"linear.dx", .flops = product_flops, ROWS},
    [YKI_KERNEL_LINEAR_DW] = {"linear.dw", .flops = product_flops, ROWS},
    [YKI_KERNEL_BIAS_GRAD] = {"bias.grad", ROWS},
    [YKI_KERNEL_CONV2D] = {"conv2d", yki_infer_conv2d, yki_cut_conv2d, yki_gradient_conv2d, conv_flops,
                           WHOLE},
    [YKI_KERNEL_CONV2D_DX] = {"conv2d.dx", .flops = conv_flops, WHOLE},
    [YKI_KERNEL_CONV2D_DW] = {"conv2d.dw", .flops = conv_flops, WHOLE},
    [YKI_KERNEL_CONV2D_BIAS_GRAD] = {"conv2d.bias.grad", WHOLE},
    [YKI_KERNEL_MAXPOOL2D] = {"maxpool2d", yki_infer_maxpool2d, yki_cut_follow, yki_gradient_maxpool2d, NULL,
                              WHOLE},
    [YKI_KERNEL_MAXPOOL2D_GRAD] = {"maxpool2d.grad", WHOLE},
    [YKI_KERNEL_AVGPOOL2D] = {"avgpool2d", yki_infer_avgpool2d, yki_cut_follow, yki_gradient_avgpool2d,
                              WHOLE},
    [YKI_KERNEL_AVGPOOL2D_GRAD] = {"avgpool2d.grad", WHOLE},
    [YKI_KERNEL_EMBED] = {"embedding", yki_infer_embed, yki_cut_embed, yki_gradient_embed, ROWS},
    [YKI_KERNEL_EMBED_GRAD] = {"embedding.grad", ROWS},
    [YKI_KERNEL_POSITION] = {"position", yki_infer_same, yki_cut_rows, yki_gradient_position, WHOLE,
                             .in_place = true},
    [YKI_KERNEL_POSITION_GRAD] = {"position.grad", WHOLE},
    [YKI_KERNEL_LAYERNORM] = {"layernorm", yki_infer_layernorm, yki_cut_rows, yki_gradient_layernorm, ROWS},
    [YKI_KERNEL_LAYERNORM_DX] = {"layernorm.dx", ROWS},
    [YKI_KERNEL_LAYERNORM_DW] = {"layernorm.dw", ROWS},
    [YKI_KERNEL_RMSNORM] = {"rmsnorm", yki_infer_rmsnorm, yki_cut_rows, yki_gradient_rmsnorm, ROWS},
    [YKI_KERNEL_RMSNORM_DX] = {"rmsnorm.dx", ROWS},
    [YKI_KERNEL_RMSNORM_DW] = {"rmsnorm.dw", ROWS},
    [YKI_KERNEL_ACTIVATE] = {"activation", yki_infer_same, yki_cut_follow, yki_gradient_activate, FLAT,
                             .in_place = true},
    [YKI_KERNEL_ACTIVATE_GRAD] = {"activation.grad", FLAT, .in_place = true},
    [YKI_KERNEL_SOFTMAX] = {"softmax", yki_infer_same, yki_cut_rows, yki_gradient_softmax, ROWS,
                            .in_place = true},
    [YKI_KERNEL_SOFTMAX_GRAD] = {"softmax.grad", ROWS, .in_place = true},
    [YKI_KERNEL_DROPOUT] = {"dropout", yki_infer_same, yki_cut_follow, yki_gradient_dropout, FLAT,
                            .in_place = true},
    [YKI_KERNEL_ADD] = {"add", yki_infer_same, yki_cut_add, yki_gradient_add, FLAT, .in_place = true},
    [YKI_KERNEL_CAST] = {"cast", FLAT},
    [YKI_KERNEL_COPY_SLICE] = {"slice", FLAT},
    [YKI_KERNEL_ATTENTION] = {"attention", yki_infer_attention, yki_cut_attention, yki_gradient_attention,
                              attention_flops, WHOLE, .attends = true},
    [YKI_KERNEL_ATTENTION_GRAD] = {"attention.grad", .flops = attention_flops, WHOLE},
    [YKI_KERNEL_ROPE] = {"rope", yki_infer_same, yki_cut_rope, yki_gradient_rope, WHOLE, .in_place = true},
    [YKI_KERNEL_GATE] = {"gate", yki_infer_same, yki_cut_add, yki_gradient_gate, FLAT, .in_place = true},
    [YKI_KERNEL_GATE_GRAD] = {"gate.grad", FLAT, .in_place = true},
    [YKI_KERNEL_GQA] = {"grouped_attention", yki_infer_gqa, yki_cut_gqa, yki_gradient_gqa, gqa_flops, WHOLE,
                        .attends = true},
    [YKI_KERNEL_GQA_GRAD] = {"grouped_attention.grad", .flops = gqa_flops, WHOLE},
    [YKI_KERNEL_XENT_MAX] = {"cross_entropy.max", yki_infer_row_statistic, yki_cut_xent_max, ROWS},
    [YKI_KERNEL_XENT_SUM] = {"cross_entropy.sum", yki_infer_xent_sum, yki_cut_xent_sum, ROWS},
    [YKI_KERNEL_XENT_LOSS] = {"cross_entropy", yki_infer_xent_loss, yki_cut_xent_loss, yki_gradient_xent_loss,
                              ROWS, .kernel_inputs = 2, .root = true, .once = true},
    [YKI_KERNEL_XENT_GRAD] = {"cross_entropy.grad", ROWS, .in_place = true},
    [YKI_KERNEL_MSE_LOSS] = {"mse", yki_infer_nothing, yki_cut_mse, yki_gradient_mse, FLAT, .root = true,
                             .once = true},
    [YKI_KERNEL_MSE_GRAD] = {"mse.grad", FLAT, .in_place = true},
    [YKI_KERNEL_ZERO] = {"zero", FLAT},
    [YKI_KERNEL_SUM_SQUARES] = {"sum.squares", FLAT},
    [YKI_KERNEL_ADAM] = {"adam", FLAT},
    [YKI_KERNEL_SGD] = {"sgd", FLAT},
    [YKI_OP_INPUT] = {"input", yki_infer_input, FLAT},
    [YKI_OP_TARGET] = {"target", yki_infer_input, FLAT},
    [YKI_OP_RESHAPE] = {"reshape", yki_infer_flatten, yki_cut_flatten, yki_gradient_reshape, FLAT},
    [YKI_OP_MOVE + YKI_MOVE_COPY] = {"copy", yki_infer_same, yki_cut_follow, FLAT},
    [YKI_OP_MOVE + YKI_MOVE_BROADCAST] = {"broadcast", FLAT},
    [YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE] = {"all_reduce", FLAT},
    [YKI_OP_MOVE + YKI_MOVE_SHARD] = {"shard", FLAT},
    [YKI_OP_MOVE + YKI_MOVE_ALL_GATHER] = {"all_gather", FLAT},
    [YKI_OP_MOVE + YKI_MOVE_REDUCE_SCATTER] = {"reduce_scatter", FLAT},
    [YKI_OP_MOVE + YKI_MOVE_ALL_TO_ALL] = {"all_to_all", FLAT},
};

const yki_op_info *yki_op(int op)
{
    return &ops[op];
}
