/* Constants that depend on which share of a value this rank has: where its rows, columns, heads or classes
 * begin. */
#include "base/rng.h"
#include "plan/placer.h"

typedef struct local_node {
    const yki_placer *placer;
    const yki_node *node;
    const yki_cut_query *query;
    const yki_value *x; /* the first input */
    yki_placed_node *placed;
} local_node;

/* An input as the model has it. */
static const yki_value *input(const local_node *n, int i)
{
    return &n->placer->model->values[n->placer->root[n->node->in[i]]];
}

static int64_t start_of(const local_node *n, yki_spec spec, int64_t size)
{
    return yki_spec_start(spec, size, n->placer->tp, n->placer->tp_rank);
}

/* Positions of the first input's rows, of which this rank may have a share of the lane's. */
static yki_positions positions(const local_node *n)
{
    const yki_placer *p = n->placer;
    yki_spec spec = n->query->in[0];
    bool cut = spec.state == YKI_SHARDED && spec.dim == 0;
    int64_t start = cut ? start_of(n, spec, yki_placer_extent(p, p->root[n->node->in[0]], 0)) : 0;
    return yki_positions_from(p->positions, start);
}

static void linear(const local_node *n)
{
    n->placed->skip_bias = n->query->out[0].state == YKI_PARTIAL && n->placer->tp_rank != 0;
}

static void embed(const local_node *n)
{
    yki_spec table = n->query->in[1];
    if (table.state == YKI_SHARDED && table.dim == 0)
        n->placed->attr.offset = start_of(n, table, input(n, 1)->dims[0]);
}

static void rows(const local_node *n)
{
    n->placed->attr.rows = positions(n);
}

static void attention(const local_node *n)
{
    yki_attr *attr = &n->placed->attr;
    attr->offset = start_of(n, n->query->out[1], attr->global);
}

static void grouped_attention(const local_node *n)
{
    yki_attr *attr = &n->placed->attr;
    attr->offset = start_of(n, n->query->out[1], attr->global);
    attr->first_group = start_of(n, n->query->in[1], input(n, 1)->dims[1]) / attr->width;
}

/* Of logits cut over their classes, where this rank's begin. */
static void classes(const local_node *n, int logits)
{
    const yki_value *value = input(n, logits);
    if (!yki_spec_cuts_rows(n->query->in[logits], value))
        n->placed->attr.offset = start_of(n, n->query->in[logits], value->dims[value->ndim - 1]);
}

static void cross_entropy_sum(const local_node *n)
{
    classes(n, 0);
}

static void cross_entropy_loss(const local_node *n)
{
    classes(n, 2);
    n->placed->counts_loss |= yki_spec_cuts_rows(n->query->in[2], input(n, 2));
}

static void squared_error(const local_node *n)
{
    n->placed->counts_loss |= n->query->in[0].state == YKI_SHARDED;
}

static void set_columns(const local_node *n, yki_spec spec, int64_t size)
{
    yki_attr *attr = &n->placed->attr;
    attr->global = size;
    attr->local = yki_spec_share(spec, size, n->placer->tp, n->placer->tp_rank);
    attr->offset = start_of(n, spec, size);
}

/* Each element's number in the whole value, which keys its random number. */
static void dropout(const local_node *n)
{
    const yki_placer *p = n->placer;
    yki_spec spec = n->query->in[0];
    yki_attr *attr = &n->placed->attr;
    int dim = spec.state == YKI_SHARDED ? spec.dim : 0;
    attr->outer = attr->inner = 1;
    if (p->tokens >= 0) { /* [tokens, width] */
        attr->length = n->x->dims[0];
        attr->rows = positions(n);
        attr->outer = yki_placer_extent(p, p->root[n->node->in[0]], 0);
        if (dim == 0) attr->outer = yki_spec_share(spec, attr->outer, p->tp, p->tp_rank);
        set_columns(n, dim == 0 ? YKI_SPEC_REPLICATED : spec, n->x->dims[1]);
        for (int i = 2; i < n->x->ndim; i++) attr->inner *= n->x->dims[i];
        return;
    }
    for (int i = 0; i < dim; i++) attr->outer *= n->x->dims[i];
    for (int i = dim + 1; i < n->x->ndim; i++) attr->inner *= n->x->dims[i];
    set_columns(n, spec, n->x->dims[dim]);
}

static const struct {
    int op;
    void (*localise)(const local_node *n);
} rules[] = {
    {YKI_KERNEL_LINEAR, linear},
    {YKI_KERNEL_EMBED, embed},
    {YKI_KERNEL_POSITION, rows},
    {YKI_KERNEL_ROPE, rows},
    {YKI_KERNEL_ATTENTION, attention},
    {YKI_KERNEL_GQA, grouped_attention},
    {YKI_KERNEL_XENT_SUM, cross_entropy_sum},
    {YKI_KERNEL_XENT_LOSS, cross_entropy_loss},
    {YKI_KERNEL_MSE_LOSS, squared_error},
    {YKI_KERNEL_DROPOUT, dropout},
};

void yki_localise(const yki_placer *p, const yki_node *node, const yki_cut_query *query,
                  yki_placed_node *placed)
{
    local_node n = {.placer = p, .node = node, .query = query, .placed = placed};
    if (node->nin > 0) n.x = input(&n, 0);
    if (placed->attr.key) placed->attr.key = yki_rng_bits(placed->attr.key, p->plan->options.seed);
    placed->counts_loss = p->tp_rank == 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].op == node->op) rules[i].localise(&n);
}
