/* Products: linear layers and convolutions. A linear layer on whole rows is cut by its outputs
 * (column-parallel, after Shoeybi et al., Megatron-LM, 2019); on rows that are cut already it is cut by its
 * inputs (row-parallel), and leaves a sum to be taken. */
#include "base/fail.h"
#include "graph/ops/rules.h"

/* Units that do not divide into equal shares: several ranks make each, or every rank all of them. */
static yoke_status cut_fewer(yki_cut_query *query)
{
    const yki_node *node = query->node;
    int64_t units = yki_cut_input(query, 1)->dims[0] / node->unit;
    yki_cut_nothing(query);
    query->out[0] = YKI_SPEC_DIVIDED;
    if (query->ranks % units) return YOKE_OK;
    query->out[0] = yki_spec_sharded(yki_cut_input(query, 0)->ndim - 1, 1, node->unit);
    query->in[1] = query->in[2] = yki_spec_sharded(0, 1, node->unit);
    query->out[0].copies = query->in[1].copies = query->in[2].copies = (int)(query->ranks / units);
    return YOKE_OK;
}

/* An adapter's first product: what its second one makes is cut as the base's product is, so that each rank
 * needs all of the few columns, and gives a part of their gradient. */
static yoke_status cut_low_rank(yki_cut_query *query)
{
    yki_cut_nothing(query);
    query->out[0] = YKI_SPEC_DIVIDED;
    return YOKE_OK;
}

static yoke_status cut_linear(yki_cut_query *query)
{
    const yki_node *node = query->node;
    if (node->even && yki_cut_input(query, 1)->dims[0] / node->unit % query->ranks) return cut_fewer(query);
    int last = yki_cut_input(query, 0)->ndim - 1;
    bool row = yki_cuts_last(query, 0) && query->in[0].sections == 1 &&
               (query->free[1] || (query->in[1].state == YKI_SHARDED && query->in[1].dim == 1 &&
                                   query->in[1].unit == query->in[0].unit));
    if (row) {
        query->in[1] = yki_spec_sharded(1, 1, query->in[0].unit);
        query->in[2] = YKI_SPEC_REPLICATED; /* added by the first rank alone */
        query->out[0] = YKI_SPEC_PARTIAL;
        return YOKE_OK;
    }
    if (node->attr.low_rank) return cut_low_rank(query);
    if (!query->free[1] && query->in[1].state != YKI_SHARDED) {
        yki_cut_nothing(query);
        return YOKE_OK;
    }
    if (!query->free[1] && query->in[1].dim != 0)
        return yki_fail(YOKE_INVALID,
                        "layer '%s' shares a weight that is cut by its inputs elsewhere: tensor parallelism "
                        "cannot cut it both ways",
                        yki_cut_layer(query));
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = yki_spec_sharded(0, node->sections, node->unit);
    query->in[2] = yki_spec_sharded(0, node->sections, node->unit);
    query->out[0] = yki_spec_sharded(last, node->sections, node->unit);
    return YOKE_OK;
}

static void gradient_linear(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), w = c->in(c, 1), known = c->attr->low_rank ? c->taken(c, 0) : -1;
    if (known >= 0)
        c->give(c, 0, yki_emit(c, YKI_KERNEL_LINEAR_DX_ADD, 3, (int[]){known, dy, w}, x));
    else if (c->wanted(c, 0))
        c->give(c, 0, yki_emit(c, YKI_KERNEL_LINEAR_DX, 2, (int[]){dy, w}, x));
    c->emit_parameter(c, YKI_KERNEL_LINEAR_DW, 2, (int[]){x, dy}, 1, -1);
    if (c->in(c, 2) >= 0) c->emit_parameter(c, YKI_KERNEL_BIAS_GRAD, 1, (int[]){dy}, 2, -1);
}

static void localise_linear(yki_locality *l)
{
    l->skip_bias = l->query->out[0].state == YKI_PARTIAL && l->rank != 0;
}

YKI_OPERATOR(LINEAR) = {.tokens = YKI_TOKENS_APART,
                        .cut = cut_linear,
                        .gradient = gradient_linear,
                        .localise = localise_linear,
                        .matrix = 1};

/* b + x w^T: as b is cut, where that is by columns, or between rows; the columns of x are few, and every rank
 * has all of them. */
static yoke_status cut_linear_add(yki_cut_query *query)
{
    yki_spec base = query->in[0];
    bool divided = base.divided;
    if (yki_cuts_last(query, 0)) {
        yki_spec w = base;
        w.dim = 0;
        query->in[1] = YKI_SPEC_REPLICATED;
        query->in[2] = w;
        query->out[0] = base;
        return YOKE_OK;
    }
    yki_cut_nothing(query);
    if (divided)
        query->in[0] = query->out[0] = YKI_SPEC_DIVIDED;
    else if (query->sp && yki_has_rows(yki_cut_input(query, 0)))
        query->in[0] = query->in[1] = query->out[0] = YKI_SPEC_ROWS;
    return YOKE_OK;
}

static void gradient_linear_add(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 1);
    c->give(c, 0, dy);
    if (c->wanted(c, 1)) c->give(c, 1, yki_emit(c, YKI_KERNEL_LINEAR_DX, 2, (int[]){dy, c->in(c, 2)}, x));
    c->emit_parameter(c, YKI_KERNEL_LINEAR_DW, 2, (int[]){x, dy}, 2, -1);
}

YKI_OPERATOR(LINEAR_ADD) = {
    .tokens = YKI_TOKENS_APART, .cut = cut_linear_add, .gradient = gradient_linear_add, .matrix = 2};

static yoke_status cut_conv2d(yki_cut_query *query)
{
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = query->in[2] = query->out[0] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

static void gradient_conv2d(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), w = c->in(c, 1);
    if (c->wanted(c, 0)) c->give(c, 0, yki_emit(c, YKI_KERNEL_CONV2D_DX, 2, (int[]){dy, w}, x));
    c->emit_parameter(c, YKI_KERNEL_CONV2D_DW, 2, (int[]){x, dy}, 1, -1);
    if (c->in(c, 2) >= 0) c->emit_parameter(c, YKI_KERNEL_CONV2D_BIAS_GRAD, 1, (int[]){dy}, 2, -1);
}

YKI_OPERATOR(CONV2D) = {.tokens = YKI_TOKENS_MIXED, .cut = cut_conv2d, .gradient = gradient_conv2d};
