/* Attention, whole and part by part, and what stands around it. */
#include "base/fail.h"
#include "graph/ops/rules.h"

static yoke_status check_heads(const yki_cut_query *query)
{
    int64_t heads = query->node->attr.global;
    if (heads % query->ranks)
        return yki_fail(YOKE_INVALID,
                        "layer '%s' has %lld attention heads, which tensor parallelism over %d devices "
                        "cannot divide; choose a tp that divides the heads",
                        yki_cut_layer(query), (long long)heads, query->ranks);
    return YOKE_OK;
}

static yoke_status cut_attention(yki_cut_query *query)
{
    int64_t width = query->node->attr.width;
    YKI_TRY(check_heads(query));
    if (!yki_cuts_last(query, 0) || query->in[0].sections != 3 || query->in[0].unit != width) {
        yki_cut_nothing(query);
        return YOKE_OK;
    }
    query->out[0] = yki_spec_sharded(1, 1, width);
    query->out[1] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

static void gradient_attention(yki_grad_context *c)
{
    int in[4] = {c->dout(c, 0), c->in(c, 0), c->out(c, 0), c->out(c, 1)};
    c->give(c, 0, yki_emit(c, YKI_KERNEL_ATTENTION_GRAD, 4, in, c->in(c, 0)));
}

static void localise_attention(yki_locality *l)
{
    yki_attr *attr = l->attr;
    attr->offset = yki_local_start(l, l->query->out[1], attr->global);
}

YKI_OPERATOR(ATTENTION) = {.tokens = YKI_TOKENS_ATTENDED,
                           .cut = cut_attention,
                           .gradient = gradient_attention,
                           .localise = localise_attention,
                           .recalls = YKI_KERNEL_RECALL,
                           .attends = true};

/* Heads are turned one by one, whoever has them. */
static yoke_status cut_rope(yki_cut_query *query)
{
    if (!yki_cuts_heads(query, 0) && !query->in[0].divided) query->in[0] = YKI_SPEC_REPLICATED;
    query->out[0] = query->in[0];
    return YOKE_OK;
}

static void gradient_rope(yki_grad_context *c)
{
    yki_attr back = *c->attr;
    back.inverse = !back.inverse;
    c->give(c, 0, c->emit(c, YKI_KERNEL_ROPE, &back, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

YKI_OPERATOR(ROPE) = {.tokens = YKI_TOKENS_APART,
                      .cut = cut_rope,
                      .gradient = gradient_rope,
                      .localise = yki_localise_rows,
                      .recalls = YKI_KERNEL_ROPE_AT};

YKI_OPERATOR(ROPE_AT) = {.tokens = YKI_TOKENS_APART, .cut = cut_rope};

/* Query heads are divided; k and v are where their heads divide too, or are where they are read, and else
 * read whole. */
static yoke_status cut_gqa(yki_cut_query *query)
{
    int64_t width = query->node->attr.width;
    YKI_TRY(check_heads(query));
    if (!yki_cuts_heads(query, 0)) {
        yki_cut_nothing(query);
        return YOKE_OK;
    }
    int64_t shares = query->ranks / yki_spec_copies(query->in[1]);
    bool cut = yki_cuts_heads(query, 1) && yki_spec_equal(query->in[1], query->in[2]) &&
               yki_cut_input(query, 1)->dims[1] / width % shares == 0;
    query->in[0] = query->out[0] = yki_spec_sharded(1, 1, width);
    if (!cut) query->in[1] = query->in[2] = YKI_SPEC_REPLICATED;
    query->out[1] = yki_spec_sharded(0, 1, 1);
    return YOKE_OK;
}

static void gradient_gqa(yki_grad_context *c)
{
    int in[6] = {c->dout(c, 0), c->in(c, 0), c->in(c, 1), c->in(c, 2), c->out(c, 0), c->out(c, 1)}, out[3];
    c->emit_several(c, YKI_KERNEL_GQA_GRAD, c->attr, 6, in, 3, in + 1, out);
    for (int i = 0; i < 3; i++) c->give(c, i, out[i]);
}

static void localise_gqa(yki_locality *l)
{
    yki_attr *attr = l->attr;
    attr->offset = yki_local_start(l, l->query->out[1], attr->global);
    attr->first_group =
        yki_local_start(l, l->query->in[1], yki_cut_input(l->query, 1)->dims[1]) / attr->width;
}

YKI_OPERATOR(GQA) = {.tokens = YKI_TOKENS_ATTENDED,
                     .cut = cut_gqa,
                     .gradient = gradient_gqa,
                     .localise = localise_gqa,
                     .recalls = YKI_KERNEL_RECALL_GQA,
                     .attends = true};

static void gradient_attend(yki_grad_context *c)
{
    c->attend_back(c);
}

YKI_OPERATOR(ATTEND) = {.tokens = YKI_TOKENS_ATTENDED, .gradient = gradient_attend, .attends = true};

static void gradient_join(yki_grad_context *c)
{
    int dy = c->dout(c, 0), like[2] = {c->in(c, 0), c->in(c, 1)}, out[2];
    c->emit_several(c, YKI_KERNEL_SPLIT, c->attr, 1, &dy, 2, like, out);
    for (int i = 0; i < 2; i++) c->give(c, i, out[i]);
}

YKI_OPERATOR(JOIN) = {.tokens = YKI_TOKENS_APART, .gradient = gradient_join};

static void gradient_split(yki_grad_context *c)
{
    int in[2] = {c->dout(c, 0), c->dout(c, 1)};
    c->give(c, 0, yki_emit(c, YKI_KERNEL_JOIN, 2, in, c->in(c, 0)));
}

YKI_OPERATOR(SPLIT) = {.tokens = YKI_TOKENS_APART, .gradient = gradient_split};

/* Keys and values so far: a slot for each sequence, of one more head than a row has tokens. */
static int cache_of(yoke_model *model, int64_t heads, int64_t width)
{
    int value = yki_graph_value(model, YKI_ROLE_ACTIVATION, false, 4,
                                (int64_t[]){model->slots, heads, model->room, width});
    if (value >= 0) model->values[value].cached = true;
    return value;
}

static void infer_recall(yoke_model *model, yki_node *node)
{
    int64_t width = node->attr.width, last = model->values[node->in[node->nin - 2]].dims[1] / width;
    int64_t heads = node->nin == 2 ? last / 3 : last, dims[2] = {1, node->attr.global * width};
    node->out[node->nout++] = yki_graph_value(model, YKI_ROLE_ACTIVATION, true, 2, dims);
    for (int i = 0; i < 2; i++) node->out[node->nout++] = cache_of(model, heads, width);
}

/* Heads are cut, and the cache with them. */
static yoke_status cut_recall(yki_cut_query *query)
{
    YKI_TRY(cut_attention(query));
    query->out[1] = query->out[2] = query->out[0];
    query->out[1].unit = query->out[2].unit = 1;
    return YOKE_OK;
}

static void localise_recall(yki_locality *l)
{
    l->attr->offset = yki_local_start(l, l->query->out[1], l->attr->global);
}

YKI_OPERATOR(RECALL) = {
    .tokens = YKI_TOKENS_MIXED, .infer = infer_recall, .cut = cut_recall, .localise = localise_recall};

/* A rank's cache has the heads of k and v that it has. */
static yoke_status cut_recall_gqa(yki_cut_query *query)
{
    YKI_TRY(cut_gqa(query));
    query->out[1] = query->out[2] = query->in[1];
    query->out[1].unit = query->out[2].unit = 1;
    return YOKE_OK;
}

static void localise_recall_gqa(yki_locality *l)
{
    yki_attr *attr = l->attr;
    attr->offset = yki_local_start(l, l->query->out[0], attr->global * attr->width) / attr->width;
    attr->first_group =
        yki_local_start(l, l->query->in[1], yki_cut_input(l->query, 1)->dims[1]) / attr->width;
}

YKI_OPERATOR(RECALL_GQA) = {.tokens = YKI_TOKENS_MIXED,
                            .infer = infer_recall,
                            .cut = cut_recall_gqa,
                            .localise = localise_recall_gqa};
