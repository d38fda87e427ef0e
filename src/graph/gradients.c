/* Gradients: what each operator of the forward pass puts into the backward pass. Where an operator has
 * weights, the gradient of its input is emitted first: it is what the stage before waits for. */
#include "graph/op_rules.h"

static int emit(yki_grad_context *c, int op, int nin, const int *in, int like)
{
    return c->emit(c, op, c->attr, nin, in, like);
}

void yki_gradient_linear(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), w = c->in(c, 1);
    if (c->wanted(c, 0)) c->give(c, 0, emit(c, YKI_KERNEL_LINEAR_DX, 2, (int[]){dy, w}, x));
    c->emit_parameter(c, YKI_KERNEL_LINEAR_DW, 2, (int[]){x, dy}, 1, -1);
    if (c->in(c, 2) >= 0) c->emit_parameter(c, YKI_KERNEL_BIAS_GRAD, 1, (int[]){dy}, 2, -1);
}

void yki_gradient_conv2d(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), w = c->in(c, 1);
    if (c->wanted(c, 0)) c->give(c, 0, emit(c, YKI_KERNEL_CONV2D_DX, 2, (int[]){dy, w}, x));
    c->emit_parameter(c, YKI_KERNEL_CONV2D_DW, 2, (int[]){x, dy}, 1, -1);
    if (c->in(c, 2) >= 0) c->emit_parameter(c, YKI_KERNEL_CONV2D_BIAS_GRAD, 1, (int[]){dy}, 2, -1);
}

void yki_gradient_maxpool2d(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_KERNEL_MAXPOOL2D_GRAD, 2, (int[]){c->dout(c, 0), c->out(c, 1)}, c->in(c, 0)));
}

void yki_gradient_avgpool2d(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_KERNEL_AVGPOOL2D_GRAD, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

void yki_gradient_reshape(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_OP_RESHAPE, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

void yki_gradient_embed(yki_grad_context *c)
{
    c->emit_parameter(c, YKI_KERNEL_EMBED_GRAD, 2, (int[]){c->in(c, 0), c->dout(c, 0)}, 1, -1);
}

void yki_gradient_position(yki_grad_context *c)
{
    c->give(c, 0, c->dout(c, 0));
    c->emit_parameter(c, YKI_KERNEL_POSITION_GRAD, 1, (int[]){c->dout(c, 0)}, 1, -1);
}

void yki_gradient_layernorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), mean = c->out(c, 1), rstd = c->out(c, 2);
    if (c->wanted(c, 0))
        c->give(c, 0, emit(c, YKI_KERNEL_LAYERNORM_DX, 5, (int[]){dy, x, c->in(c, 1), mean, rstd}, x));
    c->emit_parameter(c, YKI_KERNEL_LAYERNORM_DW, 4, (int[]){dy, x, mean, rstd}, 1, 2);
}

/* The gradient of weight and bias is of this rank's samples, as any weight's; that of x needs the sums of
 * all. */
void yki_gradient_batchnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), stats = c->in(c, 1), w = c->in(c, 2);
    int sums = emit(c, YKI_KERNEL_BATCHNORM_SUMS, 3, (int[]){dy, x, stats}, stats);
    if (c->wanted(c, 0)) {
        int all = c->attr->own_statistics ? sums : c->over_replicas(c, sums);
        c->give(c, 0, emit(c, YKI_KERNEL_BATCHNORM_DX, 5, (int[]){dy, x, stats, all, w}, x));
    }
    if (w >= 0) c->emit_parameter(c, YKI_KERNEL_BATCHNORM_DW, 1, &sums, 2, 3);
}

void yki_gradient_rmsnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), rstd = c->out(c, 1);
    if (c->wanted(c, 0))
        c->give(c, 0, emit(c, YKI_KERNEL_RMSNORM_DX, 4, (int[]){dy, x, c->in(c, 1), rstd}, x));
    c->emit_parameter(c, YKI_KERNEL_RMSNORM_DW, 3, (int[]){dy, x, rstd}, 1, -1);
}

void yki_gradient_activate(yki_grad_context *c)
{
    yoke_activation kind = c->attr->activation;
    bool by_output = kind == YOKE_RELU || kind == YOKE_TANH || kind == YOKE_SIGMOID;
    int saved = by_output ? c->out(c, 0) : c->in(c, 0);
    c->give(c, 0, emit(c, YKI_KERNEL_ACTIVATE_GRAD, 2, (int[]){c->dout(c, 0), saved}, c->in(c, 0)));
}

void yki_gradient_softmax(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_KERNEL_SOFTMAX_GRAD, 2, (int[]){c->dout(c, 0), c->out(c, 0)}, c->in(c, 0)));
}

void yki_gradient_dropout(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_KERNEL_DROPOUT, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

void yki_gradient_add(yki_grad_context *c)
{
    c->give(c, 0, c->dout(c, 0));
    c->give(c, 1, c->dout(c, 0));
}

void yki_gradient_attention(yki_grad_context *c)
{
    int in[4] = {c->dout(c, 0), c->in(c, 0), c->out(c, 0), c->out(c, 1)};
    c->give(c, 0, emit(c, YKI_KERNEL_ATTENTION_GRAD, 4, in, c->in(c, 0)));
}

void yki_gradient_rope(yki_grad_context *c)
{
    yki_attr back = *c->attr;
    back.inverse = !back.inverse;
    c->give(c, 0, c->emit(c, YKI_KERNEL_ROPE, &back, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

void yki_gradient_gate(yki_grad_context *c)
{
    int in[3] = {c->dout(c, 0), c->in(c, 0), c->in(c, 1)}, out[2];
    c->emit_several(c, YKI_KERNEL_GATE_GRAD, c->attr, 3, in, 2, in + 1, out);
    for (int i = 0; i < 2; i++) c->give(c, i, out[i]);
}

void yki_gradient_gqa(yki_grad_context *c)
{
    int in[6] = {c->dout(c, 0), c->in(c, 0), c->in(c, 1), c->in(c, 2), c->out(c, 0), c->out(c, 1)}, out[3];
    c->emit_several(c, YKI_KERNEL_GQA_GRAD, c->attr, 6, in, 3, in + 1, out);
    for (int i = 0; i < 3; i++) c->give(c, i, out[i]);
}

void yki_gradient_join(yki_grad_context *c)
{
    int dy = c->dout(c, 0), like[2] = {c->in(c, 0), c->in(c, 1)}, out[2];
    c->emit_several(c, YKI_KERNEL_SPLIT, c->attr, 1, &dy, 2, like, out);
    for (int i = 0; i < 2; i++) c->give(c, i, out[i]);
}

void yki_gradient_split(yki_grad_context *c)
{
    int in[2] = {c->dout(c, 0), c->dout(c, 1)};
    c->give(c, 0, emit(c, YKI_KERNEL_JOIN, 2, in, c->in(c, 0)));
}

void yki_gradient_xent_loss(yki_grad_context *c)
{
    int in[3] = {c->in(c, 2), c->in(c, 3), c->out(c, 0)};
    c->give(c, 2, emit(c, YKI_KERNEL_XENT_GRAD, 3, in, c->in(c, 2)));
}

void yki_gradient_mse(yki_grad_context *c)
{
    c->give(c, 0, emit(c, YKI_KERNEL_MSE_GRAD, 2, (int[]){c->in(c, 0), c->in(c, 1)}, c->in(c, 0)));
}
