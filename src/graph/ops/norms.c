/* Norms of rows, and of groups of channels. */
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

/* Heads are normed one by one, whoever has them; the weight is of all. */
static yoke_status cut_headnorm(yki_cut_query *query)
{
    int64_t width = query->node->attr.width;
    yki_spec x = yki_cuts_heads(query, 0) || query->in[0].divided ? query->in[0] : YKI_SPEC_REPLICATED;
    yki_cut_nothing(query);
    query->in[0] = query->out[0] = query->out[1] = x;
    if (x.state == YKI_SHARDED) query->out[1].unit = x.unit / width;
    return YOKE_OK;
}

static void gradient_headnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), rstd = c->out(c, 1);
    if (c->wanted(c, 0))
        c->give(c, 0, yki_emit(c, YKI_KERNEL_HEADNORM_DX, 4, (int[]){dy, x, c->in(c, 1), rstd}, x));
    c->emit_parameter(c, YKI_KERNEL_HEADNORM_DW, 3, (int[]){dy, x, rstd}, 1, -1);
}

YKI_OPERATOR(HEADNORM) = {.tokens = YKI_TOKENS_APART, .cut = cut_headnorm, .gradient = gradient_headnorm};

/* As x is cut, where that is between groups; else on all of it. Its channels are the first dim. */
static yoke_status cut_groupnorm(yki_cut_query *query)
{
    yki_spec x = query->in[0];
    int64_t channels = yki_cut_input(query, 0)->dims[0], each = channels / query->node->attr.global;
    bool cut = x.state == YKI_SHARDED && x.dim == 0 && x.sections == 1 && yki_spec_copies(x) == 1;
    for (int r = 0; r < query->ranks && cut; r++)
        cut = yki_spec_start(x, channels, query->ranks, r) % each == 0;
    yki_cut_nothing(query);
    if (!cut) return YOKE_OK;
    query->in[0] = query->in[1] = query->in[2] = query->out[0] = x;
    query->out[1] = query->out[2] = yki_spec_sharded(0, 1, x.unit % each == 0 ? x.unit / each : 1);
    return YOKE_OK;
}

static void gradient_groupnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), w = c->in(c, 1), mean = c->out(c, 1), rstd = c->out(c, 2);
    if (c->wanted(c, 0))
        c->give(c, 0, yki_emit(c, YKI_KERNEL_GROUPNORM_DX, 5, (int[]){dy, x, w, mean, rstd}, x));
    if (w >= 0) c->emit_parameter(c, YKI_KERNEL_GROUPNORM_DW, 4, (int[]){dy, x, mean, rstd}, 1, 2);
}

YKI_OPERATOR(GROUPNORM) = {.tokens = YKI_TOKENS_MIXED, .cut = cut_groupnorm, .gradient = gradient_groupnorm};
