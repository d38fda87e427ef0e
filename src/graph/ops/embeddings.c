/* Tables of tokens and positions. */
#include "graph/ops/rules.h"

static yoke_status cut_embed(yki_cut_query *query)
{
    bool rows = query->node->sections == 0 || query->sp; /* a sum can be cut between its rows */
    if (!query->free[1]) rows = query->in[1].dim == 0;
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = yki_spec_sharded(rows ? 0 : 1, 1, 1);
    query->out[0] = rows ? YKI_SPEC_PARTIAL : yki_spec_sharded(yki_cut_input(query, 0)->ndim, 1, 1);
    return YOKE_OK;
}

static void gradient_embed(yki_grad_context *c)
{
    c->emit_parameter(c, YKI_KERNEL_EMBED_GRAD, 2, (int[]){c->in(c, 0), c->dout(c, 0)}, 1, -1);
}

static void localise_embed(yki_locality *l)
{
    yki_spec table = l->query->in[1];
    if (table.state == YKI_SHARDED && table.dim == 0)
        l->attr->offset = yki_local_start(l, table, yki_cut_input(l->query, 1)->dims[0]);
}

YKI_OPERATOR(EMBED) = {
    .tokens = YKI_TOKENS_APART, .cut = cut_embed, .gradient = gradient_embed, .localise = localise_embed};

static void gradient_position(yki_grad_context *c)
{
    c->give(c, 0, c->dout(c, 0));
    c->emit_parameter(c, YKI_KERNEL_POSITION_GRAD, 1, (int[]){c->dout(c, 0)}, 1, -1);
}

YKI_OPERATOR(POSITION) = {.tokens = YKI_TOKENS_APART,
                          .cut = yki_cut_rows,
                          .gradient = gradient_position,
                          .localise = yki_localise_rows,
                          .recalls = YKI_KERNEL_POSITION_AT};

/* Of rows of several sequences there is no run to cut. */
YKI_OPERATOR(POSITION_AT) = {.tokens = YKI_TOKENS_APART};
YKI_OPERATOR(PICK) = {.tokens = YKI_TOKENS_MIXED};
