/* Shapes: what each operator makes of its inputs', and the sentence where they do not go together. */
#include <stdio.h>

#include "graph/op_rules.h"

static const yki_value *input(const yoke_model *model, const yki_node *node, int i)
{
    return &model->values[node->in[i]];
}

static void give(yoke_model *model, yki_node *node, yki_role role, int ndim, const int64_t *dims)
{
    int64_t copy[YOKE_MAX_DIMS];
    for (int i = 0; i < ndim; i++) copy[i] = dims[i];
    node->out[node->nout++] = yki_graph_value(model, role, true, ndim, copy);
}

/* one f32 for each row of x, where rows are all dims but the last */
static void give_per_row(yoke_model *model, yki_node *node, const yki_value *x)
{
    give(model, node, YKI_ROLE_STATISTIC, x->ndim - 1, x->dims);
}

void yki_infer_input(yoke_model *model, yki_node *node)
{
    (void)model, (void)node;
}
void yki_infer_nothing(yoke_model *model, yki_node *node)
{
    (void)model, (void)node;
}

void yki_infer_linear(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    x.dims[x.ndim - 1] = input(model, node, 1)->dims[0];
    give(model, node, YKI_ROLE_ACTIVATION, x.ndim, x.dims);
}

void yki_infer_conv2d(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    const yki_attr *a = &node->attr;
    int64_t out = input(model, node, 1)->dims[0];
    int64_t dims[3] = {out, (x.dims[1] + 2 * a->padding - a->kernel) / a->stride + 1,
                       (x.dims[2] + 2 * a->padding - a->kernel) / a->stride + 1};
    give(model, node, YKI_ROLE_ACTIVATION, 3, dims);
}

static void pooled(const yki_value *x, const yki_attr *a, int64_t dims[3])
{
    dims[0] = x->dims[0];
    for (int i = 1; i < 3; i++) dims[i] = (x->dims[i] - a->kernel) / a->stride + 1;
}

void yki_infer_maxpool2d(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    int64_t dims[3];
    pooled(&x, &node->attr, dims);
    give(model, node, YKI_ROLE_ACTIVATION, 3, dims);
    give(model, node, YKI_ROLE_INDEX, 3, dims);
}

void yki_infer_avgpool2d(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    int64_t dims[3];
    pooled(&x, &node->attr, dims);
    give(model, node, YKI_ROLE_ACTIVATION, 3, dims);
}

void yki_infer_flatten(yoke_model *model, yki_node *node)
{
    int64_t elems = yki_value_elems(input(model, node, 0));
    give(model, node, YKI_ROLE_ACTIVATION, 1, &elems);
}

void yki_infer_embed(yoke_model *model, yki_node *node)
{
    yki_value ids = *input(model, node, 0);
    ids.dims[ids.ndim] = input(model, node, 1)->dims[1];
    give(model, node, YKI_ROLE_ACTIVATION, ids.ndim + 1, ids.dims);
}

void yki_infer_same(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    give(model, node, x.role, x.ndim, x.dims);
}

void yki_infer_layernorm(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    give(model, node, YKI_ROLE_ACTIVATION, x.ndim, x.dims);
    give_per_row(model, node, &x);
    give_per_row(model, node, &x);
}

void yki_infer_rmsnorm(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    give(model, node, YKI_ROLE_ACTIVATION, x.ndim, x.dims);
    give_per_row(model, node, &x);
}

/* one f32 for each channel, over all samples of a micro-batch */
void yki_infer_batch_sum(yoke_model *model, yki_node *node)
{
    int64_t channels = input(model, node, 0)->dims[0];
    node->out[node->nout++] = yki_graph_value(model, YKI_ROLE_STATISTIC, false, 1, &channels);
}

/* mean and rstd */
void yki_infer_batch_stats(yoke_model *model, yki_node *node)
{
    int64_t dims[2] = {2, input(model, node, 0)->dims[0]};
    node->out[node->nout++] = yki_graph_value(model, YKI_ROLE_STATISTIC, false, 2, dims);
}

/* qkv [T, 3 H d] -> y [T, H d], lse [H, T] */
void yki_infer_attention(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    int64_t heads = node->attr.global, T = x.dims[0];
    int64_t dims[2] = {T, x.dims[1] / 3}, statistic[2] = {heads, T};
    give(model, node, YKI_ROLE_ACTIVATION, 2, dims);
    give(model, node, YKI_ROLE_STATISTIC, 2, statistic);
}

/* q [T, H d], k and v [T, G d] -> y [T, H d], lse [H, T] */
void yki_infer_gqa(yoke_model *model, yki_node *node)
{
    yki_value q = *input(model, node, 0);
    int64_t statistic[2] = {node->attr.global, q.dims[0]};
    give(model, node, YKI_ROLE_ACTIVATION, 2, q.dims);
    give(model, node, YKI_ROLE_STATISTIC, 2, statistic);
}

void yki_infer_row_statistic(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    give_per_row(model, node, &x);
}

void yki_infer_xent_sum(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    x.dims[x.ndim - 1] = 2;
    give(model, node, YKI_ROLE_STATISTIC, x.ndim, x.dims);
}

void yki_infer_xent_loss(yoke_model *model, yki_node *node)
{
    yki_value x = *input(model, node, 0);
    give(model, node, YKI_ROLE_STATISTIC, x.ndim, x.dims);
}
