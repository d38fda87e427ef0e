/* Losses. Cross-entropy is three nodes, so that maxima and sums can be taken over shares of the classes
 * between them. */
#include "graph/ops/rules.h"

/* Of logits cut over their classes, where this rank's begin. */
static void localise_classes(yki_locality *l, int logits)
{
    const yki_value *value = yki_cut_input(l->query, logits);
    if (!yki_spec_cuts_rows(l->query->in[logits], value))
        l->attr->offset = yki_local_start(l, l->query->in[logits], value->dims[value->ndim - 1]);
}

static yoke_status cut_xent_max(yki_cut_query *query)
{
    if (yki_cuts_last(query, 0)) {
        query->out[0] = (yki_spec){.state = YKI_PARTIAL, .reduction = YKI_MAX};
        return YOKE_OK;
    }
    if (yki_cuts_rows(query, 0))
        query->out[0] = YKI_SPEC_ROWS;
    else
        yki_cut_nothing(query);
    return YOKE_OK;
}

YKI_OPERATOR(XENT_MAX) = {.tokens = YKI_TOKENS_APART, .cut = cut_xent_max, .of_loss = true};

static yoke_status cut_xent_sum(yki_cut_query *query)
{
    bool cut = yki_cuts_last(query, 0);
    yki_spec logits = query->in[0];
    if (yki_cuts_rows(query, 0)) {
        query->in[1] = query->in[2] = query->out[0] = YKI_SPEC_ROWS;
        return YOKE_OK;
    }
    yki_cut_nothing(query);
    if (cut) {
        query->in[0] = logits;
        query->out[0] = YKI_SPEC_PARTIAL;
    }
    return YOKE_OK;
}

static void localise_xent_sum(yki_locality *l)
{
    localise_classes(l, 0);
}

YKI_OPERATOR(XENT_SUM) = {
    .tokens = YKI_TOKENS_APART, .cut = cut_xent_sum, .localise = localise_xent_sum, .of_loss = true};

/* inputs: max, stats, then logits and targets for the gradient */
static yoke_status cut_xent_loss(yki_cut_query *query)
{
    yki_spec logits = query->in[2];
    bool cut = yki_cuts_last(query, 2);
    if (yki_cuts_rows(query, 2)) {
        query->in[0] = query->in[1] = query->in[3] = query->out[0] = YKI_SPEC_ROWS;
        return YOKE_OK;
    }
    yki_cut_nothing(query);
    if (cut) query->in[2] = logits;
    return YOKE_OK;
}

static void gradient_xent_loss(yki_grad_context *c)
{
    int in[3] = {c->in(c, 2), c->in(c, 3), c->out(c, 0)};
    c->give(c, 2, yki_emit(c, YKI_KERNEL_XENT_GRAD, 3, in, c->in(c, 2)));
}

static void localise_xent_loss(yki_locality *l)
{
    localise_classes(l, 2);
    l->counts_loss |= yki_spec_cuts_rows(l->query->in[2], yki_cut_input(l->query, 2));
}

YKI_OPERATOR(XENT_LOSS) = {.tokens = YKI_TOKENS_APART,
                           .cut = cut_xent_loss,
                           .gradient = gradient_xent_loss,
                           .localise = localise_xent_loss,
                           .of_loss = true,
                           .root = true,
                           .once = true};

static yoke_status cut_mse(yki_cut_query *query)
{
    if (query->in[0].state == YKI_SHARDED && query->in[0].sections == 1)
        query->in[1] = query->in[0];
    else
        yki_cut_nothing(query);
    return YOKE_OK;
}

static void gradient_mse(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_KERNEL_MSE_GRAD, 2, (int[]){c->in(c, 0), c->in(c, 1)}, c->in(c, 0)));
}

static void localise_mse(yki_locality *l)
{
    l->counts_loss |= l->query->in[0].state == YKI_SHARDED;
}

YKI_OPERATOR(MSE_LOSS) = {.tokens = YKI_TOKENS_APART,
                          .cut = cut_mse,
                          .gradient = gradient_mse,
                          .localise = localise_mse,
                          .of_loss = true,
                          .root = true,
                          .once = true};
