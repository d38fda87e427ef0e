/* Norms of rows. */
#include "graph/ops/rules.h"

static void gradient_layernorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), mean = c->out(c, 1), rstd = c->out(c, 2);
    if (c->wanted(c, 0))
        c->give(c, 0, yki_emit(c, YKI_KERNEL_LAYERNORM_DX, 5, (int[]){dy, x, c->in(c, 1), mean, rstd}, x));
    c->emit_parameter(c, YKI_KERNEL_LAYERNORM_DW, 4, (int[]){dy, x, mean, rstd}, 1, 2);
}

YKI_OPERATOR(LAYERNORM) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_rows, .gradient = gradient_layernorm};

static void gradient_rmsnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), rstd = c->out(c, 1);
    if (c->wanted(c, 0))
        c->give(c, 0, yki_emit(c, YKI_KERNEL_RMSNORM_DX, 4, (int[]){dy, x, c->in(c, 1), rstd}, x));
    c->emit_parameter(c, YKI_KERNEL_RMSNORM_DW, 3, (int[]){dy, x, rstd}, 1, -1);
}

YKI_OPERATOR(RMSNORM) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_rows, .gradient = gradient_rmsnorm};
