/* Pools: each channel by itself. */
#include "graph/ops/rules.h"

/* As x is cut, where that is between channels. */
static yoke_status cut_pool(yki_cut_query *query)
{
    if (query->in[0].state == YKI_SHARDED && query->in[0].dim != 0) query->in[0] = YKI_SPEC_REPLICATED;
    return yki_cut_follow(query);
}

static void gradient_maxpool2d(yki_grad_context *c)
{
    c->give(c, 0,
            yki_emit(c, YKI_KERNEL_MAXPOOL2D_GRAD, 2, (int[]){c->dout(c, 0), c->out(c, 1)}, c->in(c, 0)));
}

YKI_OPERATOR(MAXPOOL2D) = {.tokens = YKI_TOKENS_MIXED, .cut = cut_pool, .gradient = gradient_maxpool2d};

static void gradient_avgpool2d(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_KERNEL_AVGPOOL2D_GRAD, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

YKI_OPERATOR(AVGPOOL2D) = {.tokens = YKI_TOKENS_MIXED, .cut = cut_pool, .gradient = gradient_avgpool2d};
