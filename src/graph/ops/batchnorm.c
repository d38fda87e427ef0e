/* Batch norm: several nodes, since its sums are taken over all replicas between them. Its channels are the
 * first dim, which of a sequence are the tokens. */
#include "graph/ops/rules.h"

/* Batch norm works channel by channel: cut as x is, where that is between channels, and so are its
 * statistics, weights and buffers. */
static yoke_status cut_channels(yki_cut_query *query)
{
    yki_spec x = query->in[0];
    bool cut = x.state == YKI_SHARDED && x.dim == 0 && x.sections == 1 && yki_spec_copies(x) == 1;
    yki_cut_nothing(query);
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

YKI_OPERATOR(BATCH_SUM) = {.tokens = YKI_TOKENS_KEPT, .cut = cut_channels};

YKI_OPERATOR(BATCH_SQUARES) = {.tokens = YKI_TOKENS_KEPT, .cut = cut_channels, .of_group = true};

YKI_OPERATOR(BATCH_STATS) = {.tokens = YKI_TOKENS_KEPT, .cut = cut_channels, .of_group = true};

YKI_OPERATOR(BATCH_TRACK) = {
    .tokens = YKI_TOKENS_KEPT, .cut = cut_channels, .of_group = true, .once = true, .keeps_state = true};

/* The gradient of weight and bias is of this rank's samples, as any weight's; that of x needs the sums of
 * all. */
static void gradient_batchnorm(yki_grad_context *c)
{
    int dy = c->dout(c, 0), x = c->in(c, 0), stats = c->in(c, 1), w = c->in(c, 2);
    int sums = yki_emit(c, YKI_KERNEL_BATCHNORM_SUMS, 3, (int[]){dy, x, stats}, stats);
    if (c->wanted(c, 0)) {
        int all = c->attr->own_statistics ? sums : c->over_replicas(c, sums);
        c->give(c, 0, yki_emit(c, YKI_KERNEL_BATCHNORM_DX, 5, (int[]){dy, x, stats, all, w}, x));
    }
    if (w >= 0) c->emit_parameter(c, YKI_KERNEL_BATCHNORM_DW, 1, &sums, 2, 3);
}

YKI_OPERATOR(BATCHNORM) = {.tokens = YKI_TOKENS_KEPT, .cut = cut_channels, .gradient = gradient_batchnorm};

YKI_OPERATOR(BATCHNORM_DX) = {.of_group = true};
