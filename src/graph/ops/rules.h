/* What the files of operators share. Each has the rules of some operators, static, and under them their rows:
 *
 *     YKI_OPERATOR(LAYERNORM) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_rows, .gradient =
 * gradient_layernorm};
 *
 * A rule for cuts says which states along an axis an operator wants of its inputs, and which its outputs
 * have; one for gradients puts into the backward pass what it needs there, the gradient of its input first
 * where it has weights: it is what the stage before waits for. */
#ifndef YKI_GRAPH_OPS_RULES_H
#define YKI_GRAPH_OPS_RULES_H

#include "graph/ops.h"

/* Cut between rows, under sequence parallelism. */
#define YKI_SPEC_ROWS yki_spec_sharded(0, 1, 1)

static inline const yki_value *yki_cut_input(const yki_cut_query *query, int i)
{
    return &query->model->values[query->node->in[i]];
}

static inline const char *yki_cut_layer(const yki_cut_query *query)
{
    int layer = query->node->layer;
    return layer >= 0 ? query->model->layers[layer].name : "input";
}

static inline bool yki_cuts_last(const yki_cut_query *query, int i)
{
    return query->in[i].state == YKI_SHARDED && query->in[i].dim == yki_cut_input(query, i)->ndim - 1;
}

static inline bool yki_cuts_rows(const yki_cut_query *query, int i)
{
    return query->sp && yki_spec_cuts_rows(query->in[i], yki_cut_input(query, i));
}

/* Whether input i is cut between heads, and not inside one. */
static inline bool yki_cuts_heads(const yki_cut_query *query, int i)
{
    return yki_cuts_last(query, i) && query->in[i].sections == 1 &&
           query->in[i].unit % query->node->attr.width == 0;
}

/* rules.c */
void yki_cut_nothing(yki_cut_query *query);
yoke_status yki_cut_rows(yki_cut_query *query);
yoke_status yki_cut_follow(yki_cut_query *query);
yoke_status yki_cut_alike(yki_cut_query *query);

/* Emits a node with the constants of the one whose gradient it is of. */
static inline int yki_emit(yki_grad_context *c, int op, int nin, const int *in, int like)
{
    return c->emit(c, op, c->attr, nin, in, like);
}

/* Where this rank's share of a dim of `size` begins. */
static inline int64_t yki_local_start(const yki_locality *l, yki_spec spec, int64_t size)
{
    return yki_spec_start(spec, size, l->query->ranks, l->rank);
}

/* Rows of the first input that the ranks of the axis have together. */
static inline int64_t yki_local_rows(const yki_locality *l)
{
    const yki_value *x = yki_cut_input(l->query, 0);
    return l->tokens >= 0 && x->per_sample ? l->tokens : x->dims[0];
}

yki_positions yki_local_positions(const yki_locality *l);
void yki_localise_rows(yki_locality *l);

#endif
