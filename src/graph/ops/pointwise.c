/* What takes elements one by one; softmax; and reshaping. */
#include "graph/ops/rules.h"

static void gradient_activate(yki_grad_context *c)
{
    yoke_activation kind = c->attr->activation;
    bool by_output = kind == YOKE_RELU || kind == YOKE_TANH || kind == YOKE_SIGMOID;
    int saved = by_output ? c->out(c, 0) : c->in(c, 0);
    c->give(c, 0, yki_emit(c, YKI_KERNEL_ACTIVATE_GRAD, 2, (int[]){c->dout(c, 0), saved}, c->in(c, 0)));
}

YKI_OPERATOR(ACTIVATE) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_follow, .gradient = gradient_activate};

static void gradient_softmax(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_KERNEL_SOFTMAX_GRAD, 2, (int[]){c->dout(c, 0), c->out(c, 0)}, c->in(c, 0)));
}

YKI_OPERATOR(SOFTMAX) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_rows, .gradient = gradient_softmax};

static void gradient_dropout(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_KERNEL_DROPOUT, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

static void set_columns(yki_locality *l, yki_spec spec, int64_t size)
{
    yki_attr *attr = l->attr;
    attr->global = size;
    attr->local = yki_spec_share(spec, size, l->query->ranks, l->rank);
    attr->offset = yki_local_start(l, spec, size);
}

/* Each element's number in the whole value, which keys its random number. */
static void localise_dropout(yki_locality *l)
{
    const yki_value *x = yki_cut_input(l->query, 0);
    yki_spec spec = l->query->in[0];
    yki_attr *attr = l->attr;
    int dim = spec.state == YKI_SHARDED ? spec.dim : 0;
    attr->outer = attr->inner = 1;
    if (l->tokens >= 0) { /* [tokens, width] */
        attr->length = x->dims[0];
        attr->rows = yki_local_positions(l);
        attr->outer = yki_local_rows(l);
        if (dim == 0) attr->outer = yki_spec_share(spec, attr->outer, l->query->ranks, l->rank);
        set_columns(l, dim == 0 ? YKI_SPEC_REPLICATED : spec, x->dims[1]);
        for (int i = 2; i < x->ndim; i++) attr->inner *= x->dims[i];
        return;
    }
    for (int i = 0; i < dim; i++) attr->outer *= x->dims[i];
    for (int i = dim + 1; i < x->ndim; i++) attr->inner *= x->dims[i];
    set_columns(l, spec, x->dims[dim]);
}

YKI_OPERATOR(DROPOUT) = {.tokens = YKI_TOKENS_APART,
                         .cut = yki_cut_follow,
                         .gradient = gradient_dropout,
                         .localise = localise_dropout};

static void gradient_scale(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_KERNEL_SCALE, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

YKI_OPERATOR(SCALE) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_follow, .gradient = gradient_scale};

static void gradient_add(yki_grad_context *c)
{
    c->give(c, 0, c->dout(c, 0));
    c->give(c, 1, c->dout(c, 0));
}

YKI_OPERATOR(ADD) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_alike, .gradient = gradient_add};

static void gradient_gate(yki_grad_context *c)
{
    int in[3] = {c->dout(c, 0), c->in(c, 0), c->in(c, 1)}, out[2];
    c->emit_several(c, YKI_KERNEL_GATE_GRAD, c->attr, 3, in, 2, in + 1, out);
    for (int i = 0; i < 2; i++) c->give(c, i, out[i]);
}

YKI_OPERATOR(GATE) = {.tokens = YKI_TOKENS_APART, .cut = yki_cut_alike, .gradient = gradient_gate};

static yoke_status cut_flatten(yki_cut_query *query)
{
    const yki_value *x = yki_cut_input(query, 0);
    yki_spec spec = query->in[0];
    if (spec.state != YKI_SHARDED || spec.dim != 0 || spec.sections != 1) {
        yki_cut_nothing(query);
        return YOKE_OK;
    }
    int64_t inner = 1;
    for (int i = 1; i < x->ndim; i++) inner *= x->dims[i];
    query->out[0] = yki_spec_sharded(0, 1, spec.unit * inner);
    return YOKE_OK;
}

static void gradient_reshape(yki_grad_context *c)
{
    c->give(c, 0, yki_emit(c, YKI_OP_RESHAPE, 1, (int[]){c->dout(c, 0)}, c->in(c, 0)));
}

static void infer_reshape(yoke_model *model, yki_node *node)
{
    int64_t elems = yki_value_elems(&model->values[node->in[0]]);
    node->out[node->nout++] = yki_graph_value(model, YKI_ROLE_ACTIVATION, true, 1, &elems);
}

YKI_OPERATOR(RESHAPE) = {
    .tokens = YKI_TOKENS_MIXED, .infer = infer_reshape, .cut = cut_flatten, .gradient = gradient_reshape};

static void infer_copy(yoke_model *model, yki_node *node)
{
    yki_value x = model->values[node->in[0]];
    node->out[node->nout++] = yki_graph_value(model, x.role, true, x.ndim, x.dims);
}

YKI_OPERATOR(COPY) = {.tokens = YKI_TOKENS_APART, .infer = infer_copy, .cut = yki_cut_follow};
