/* How a cut along an axis passes through each operator: which states it wants of its inputs, which its
 * outputs have. A linear layer on whole rows is cut by its outputs (column-parallel, after Shoeybi et al.,
 * Megatron-LM, 2019); on rows that are cut already it is cut by its inputs (row-parallel), and leaves a sum
 * to be taken. */
#include <stdio.h>

#include "base/fail.h"
#include "graph/op_rules.h"

static const yki_value *input(const yki_cut_query *query, int i)
{
    return &query->model->values[query->node->in[i]];
}

static const char *layer_name(const yki_cut_query *query)
{
    int layer = query->node->layer;
    return layer >= 0 ? query->model->layers[layer].name : "input";
}

static bool sharded_last(const yki_cut_query *query, int i)
{
    return query->in[i].state == YKI_SHARDED && query->in[i].dim == input(query, i)->ndim - 1;
}

/* Cut between rows, under sequence parallelism. */
#define ROWS yki_spec_sharded(0, 1, 1)

static bool cuts_rows(const yki_cut_query *query, int i)
{
    return query->sp && yki_spec_cuts_rows(query->in[i], input(query, i));
}

static void replicate(yki_cut_query *query)
{
    for (int i = 0; i < query->node->nin; i++) query->in[i] = YKI_SPEC_REPLICATED;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = YKI_SPEC_REPLICATED;
}

/* Units that do not divide into equal shares: several ranks make each, or every rank all of them. */
static yoke_status cut_fewer(yki_cut_query *query)
{
    const yki_node *node = query->node;
    int64_t units = input(query, 1)->dims[0] / node->unit;
    replicate(query);
    query->out[0] = YKI_SPEC_DIVIDED;
    if (query->ranks % units) return YOKE_OK;
    query->out[0] = yki_spec_sharded(input(query, 0)->ndim - 1, 1, node->unit);
    query->in[1] = query->in[2] = yki_spec_sharded(0, 1, node->unit);
    query->out[0].copies = query->in[1].copies = query->in[2].copies = (int)(query->ranks / units);
    return YOKE_OK;
}

yoke_status yki_cut_linear(yki_cut_query *query)
{
    const yki_node *node = query->node;
    if (node->even && input(query, 1)->dims[0] / node->unit % query->ranks) return cut_fewer(query);
    int last = input(query, 0)->ndim - 1;
    bool row = sharded_last(query, 0) && query->in[0].sections == 1 &&
               (query->free[1] || (query->in[1].state == YKI_SHARDED && query->in[1].dim == 1 &&
                                   query->in[1].unit == query->in[0].unit));
    if (row) {
        query->in[1] = yki_spec_sharded(1, 1, query->in[0].unit);
        query->in[2] = YKI_SPEC_REPLICATED; /* added by the first rank alone */
        query->out[0] = YKI_SPEC_PARTIAL;
        return YOKE_OK;
    }
    if (!query->free[1] && query->in[1].state != YKI_SHARDED) {
        replicate(query);
        return YOKE_OK;
    }
    if (!query->free[1] && query->in[1].dim != 0)
        return yki_fail(YOKE_INVALID,
                        "layer '%s' shares a weight that is cut by its inputs elsewhere: tensor parallelism "
                        "cannot cut it both ways",
                        layer_name(query));
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = yki_spec_sharded(0, node->sections, node->unit);
    query->in[2] = yki_spec_sharded(0, node->sections, node->unit);
    query->out[0] = yki_spec_sharded(last, node->sections, node->unit);
    return YOKE_OK;
}

yoke_status yki_cut_conv2d(yki_cut_query *query)
{
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = query->in[2] = query->out[0] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

/* Every row is worked on alone: between the rows any cut will do. (Sequence parallelism: Korthikanti et al.,
 * Reducing Activation Recomputation in Large Transformer Models, 2022.) */
yoke_status yki_cut_rows(yki_cut_query *query)
{
    replicate(query);
    if (!query->sp || !yki_has_rows(input(query, 0))) return YOKE_OK;
    query->in[0] = ROWS;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = ROWS;
    return YOKE_OK;
}

/* the output is cut as the first input is */
yoke_status yki_cut_follow(yki_cut_query *query)
{
    if (query->in[0].state == YKI_PARTIAL) query->in[0] = YKI_SPEC_REPLICATED;
    bool image = query->node->op == YKI_KERNEL_MAXPOOL2D || query->node->op == YKI_KERNEL_AVGPOOL2D;
    if (image && query->in[0].state == YKI_SHARDED && query->in[0].dim != 0)
        query->in[0] = YKI_SPEC_REPLICATED;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = query->in[0];
    return YOKE_OK;
}

yoke_status yki_cut_flatten(yki_cut_query *query)
{
    const yki_value *x = input(query, 0);
    yki_spec spec = query->in[0];
    if (spec.state != YKI_SHARDED || spec.dim != 0 || spec.sections != 1) {
        replicate(query);
        return YOKE_OK;
    }
    int64_t inner = 1;
    for (int i = 1; i < x->ndim; i++) inner *= x->dims[i];
    query->out[0] = yki_spec_sharded(0, 1, spec.unit * inner);
    return YOKE_OK;
}

/* Batch norm works channel by channel: cut as x is, where that is between channels, and so are its
 * statistics, weights and buffers. */
yoke_status yki_cut_channels(yki_cut_query *query)
{
    yki_spec x = query->in[0];
    bool cut = x.state == YKI_SHARDED && x.dim == 0 && x.sections == 1 && yki_spec_copies(x) == 1;
    replicate(query);
    for (int i = 0; i < query->node->nin + query->node->nout && cut; i++) {
        int value = i < query->node->nin ? query->node->in[i] : query->node->out[i - query->node->nin];
        if (value < 0) continue;
        const yki_value *v = &query->model->values[value];
        bool stats = v->role == YKI_ROLE_STATISTIC && v->ndim == 2;
        *(i < query->node->nin ? &query->in[i] : &query->out[i - query->node->nin]) =
            yki_spec_sharded(stats ? 1 : 0, 1, x.unit);
    }
    return YOKE_OK;
}

yoke_status yki_cut_embed(yki_cut_query *query)
{
    bool rows = query->node->sections == 0 || query->sp; /* a sum can be cut between its rows */
    if (!query->free[1]) rows = query->in[1].dim == 0;
    query->in[0] = YKI_SPEC_REPLICATED;
    query->in[1] = yki_spec_sharded(rows ? 0 : 1, 1, 1);
    query->out[0] = rows ? YKI_SPEC_PARTIAL : yki_spec_sharded(input(query, 0)->ndim, 1, 1);
    return YOKE_OK;
}

yoke_status yki_cut_add(yki_cut_query *query)
{
    if (query->in[0].state == YKI_SHARDED && yki_spec_equal(query->in[0], query->in[1]))
        query->out[0] = query->in[0];
    else if (query->sp && yki_has_rows(input(query, 0)))
        query->in[0] = query->in[1] = query->out[0] = ROWS;
    else
        replicate(query);
    return YOKE_OK;
}

static yoke_status check_heads(const yki_cut_query *query)
{
    int64_t heads = query->node->attr.global;
    if (heads % query->ranks)
        return yki_fail(YOKE_INVALID,
                        "layer '%s' has %lld attention heads, which tensor parallelism over %d devices "
                        "cannot divide; choose a tp that divides the heads",
                        layer_name(query), (long long)heads, query->ranks);
    return YOKE_OK;
}

yoke_status yki_cut_attention(yki_cut_query *query)
{
    int64_t width = query->node->attr.width;
    YKI_TRY(check_heads(query));
    if (!sharded_last(query, 0) || query->in[0].sections != 3 || query->in[0].unit != width) {
        replicate(query);
        return YOKE_OK;
    }
    query->out[0] = yki_spec_sharded(1, 1, width);
    query->out[1] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

/* Whether input i is cut between heads, and not inside one. */
static bool whole_heads(const yki_cut_query *query, int i)
{
    return sharded_last(query, i) && query->in[i].sections == 1 &&
           query->in[i].unit % query->node->attr.width == 0;
}

/* Heads are turned one by one, whoever has them. */
yoke_status yki_cut_rope(yki_cut_query *query)
{
    if (!whole_heads(query, 0) && !query->in[0].divided) query->in[0] = YKI_SPEC_REPLICATED;
    query->out[0] = query->in[0];
    return YOKE_OK;
}

/* Query heads are divided; k and v are where their heads divide too, or are where they are read, and else
 * read whole. */
yoke_status yki_cut_gqa(yki_cut_query *query)
{
    int64_t width = query->node->attr.width;
    YKI_TRY(check_heads(query));
    if (!whole_heads(query, 0)) {
        replicate(query);
        return YOKE_OK;
    }
    int64_t shares = query->ranks / yki_spec_copies(query->in[1]);
    bool cut = whole_heads(query, 1) && yki_spec_equal(query->in[1], query->in[2]) &&
               input(query, 1)->dims[1] / width % shares == 0;
    query->in[0] = query->out[0] = yki_spec_sharded(1, 1, width);
    if (!cut) query->in[1] = query->in[2] = YKI_SPEC_REPLICATED;
    query->out[1] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

yoke_status yki_cut_xent_max(yki_cut_query *query)
{
    if (sharded_last(query, 0)) {
        query->out[0] = (yki_spec){.state = YKI_PARTIAL, .reduction = YKI_MAX};
        return YOKE_OK;
    }
    if (cuts_rows(query, 0))
        query->out[0] = ROWS;
    else
        replicate(query);
    return YOKE_OK;
}

yoke_status yki_cut_xent_sum(yki_cut_query *query)
{
    bool cut = sharded_last(query, 0);
    yki_spec logits = query->in[0];
    if (cuts_rows(query, 0)) {
        query->in[1] = query->in[2] = query->out[0] = ROWS;
        return YOKE_OK;
    }
    replicate(query);
    if (cut) {
        query->in[0] = logits;
        query->out[0] = YKI_SPEC_PARTIAL;
    }
    return YOKE_OK;
}

/* inputs: max, stats, then logits and targets for the gradient */
yoke_status yki_cut_xent_loss(yki_cut_query *query)
{
    yki_spec logits = query->in[2];
    bool cut = sharded_last(query, 2);
    if (cuts_rows(query, 2)) {
        query->in[0] = query->in[1] = query->in[3] = query->out[0] = ROWS;
        return YOKE_OK;
    }
    replicate(query);
    if (cut) query->in[2] = logits;
    return YOKE_OK;
}

yoke_status yki_cut_mse(yki_cut_query *query)
{
    if (query->in[0].state == YKI_SHARDED && query->in[0].sections == 1)
        query->in[1] = query->in[0];
    else
        replicate(query);
    return YOKE_OK;
}
