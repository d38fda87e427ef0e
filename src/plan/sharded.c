/* Sharded data parallelism (ZeRO; Rajbhandari et al. 2020) in placed graphs: parameters gathered for a body,
 * a layer ahead of their use (stage 3), and gradients scattered as soon as their layer is done (from stage 2
 * on). What is gathered or scattered lives in a body's temporary memory, and no longer than it is needed. */
#include "plan/placed.h"

/* The list of shares of so many rows; NULL: out of memory. */
static const int64_t *deal(yki_plan *plan, int64_t rows)
{
    for (int i = 0; i < plan->ndeals; i++)
        if (plan->deals[i].rows == rows) return plan->deals[i].share;
    int64_t *share = yki_arena_alloc(&plan->arena, sizeof *share * (size_t)plan->shards);
    yki_deal *made = share ? YKI_APPEND(&plan->arena, plan, deals) : NULL;
    if (!made) return NULL;
    for (int s = 0; s < plan->shards; s++) share[s] = yki_share(rows, plan->shards, s);
    *made = (yki_deal){rows, share};
    return share;
}

/* A transposed tensor has its logical rows in its second dim. */
bool yki_shards_cut(yki_plan *plan, int parameter, const int64_t *dims, yki_cut *cut_out)
{
    const yki_parameter *p = &plan->options.model->parameters[parameter];
    int dim = p->transposed ? 1 : 0, ndim = plan->options.model->values[p->value].ndim;
    const int64_t *share = deal(plan, ndim > 0 ? dims[dim] : 1);
    if (!share) return false;
    *cut_out = (yki_cut){.outer = 1, .inner = 1, .share = share};
    for (int i = 0; i < dim; i++) cut_out->outer *= dims[i];
    for (int i = dim + 1; i < ndim; i++) cut_out->inner *= dims[i];
    return true;
}

static yki_placed_node *add_movement(yki_plan *plan, yki_placed *placed, yki_move kind, yki_body body,
                                     int layer, int in, int out)
{
    yki_placed_node *node = yki_placed_node_add(plan, placed, YKI_OP_MOVE + (int)kind, body, layer);
    if (!node) return NULL;
    node->axis = YKI_AXIS_DP;
    node->shards = true;
    node->nin = node->nout = 1;
    node->in[0] = in;
    node->out[0] = out;
    placed->values[out].producer = placed->nnodes - 1;
    return node;
}

int yki_gather_parameter(yki_plan *plan, yki_placed *placed, int shard, yki_body body, int layer)
{
    yki_placed_value whole = placed->values[shard];
    whole.gathered = whole.parameter;
    whole.parameter = -1;
    whole.moved = true;
    int value = yki_placed_value_add(plan, placed, &whole);
    if (value < 0) return -1;
    yki_placed_node *node = add_movement(plan, placed, YKI_MOVE_ALL_GATHER, body, layer, shard, value);
    return node && yki_shards_cut(plan, whole.gathered, whole.dims, &node->cut) ? value : -1;
}

/* Whether a node of a pass is layer work: no movement of shards, and no copy, which has its own order. */
static bool works(const yki_placed_node *node)
{
    return !node->shards && node->edge < 0;
}

void yki_start_gathers(yki_placed *placed, int first, int end)
{
    for (int i = first; i < end; i++) {
        yki_placed_node *gather = &placed->nodes[i];
        if (!gather->shards) continue;
        int at = first, before = -1; /* the first node of the layer; that of the layer before it */
        while (at < end && (!works(&placed->nodes[at]) || placed->nodes[at].layer != gather->layer)) at++;
        if (at == end) continue;
        for (int k = at - 1; k >= first; k--) {
            if (!works(&placed->nodes[k])) continue;
            if (before >= 0 && placed->nodes[k].layer != placed->nodes[before].layer) break;
            before = k;
        }
        gather->order = placed->nodes[before >= 0 ? before : at].order - 0.5;
    }
}

bool yki_scatter_gradients(yki_plan *plan, yki_placed *placed, const int *whole)
{
    int nnodes = placed->nnodes;
    for (int i = 0; i < plan->options.model->nparameters; i++) {
        if (whole[i] < 0) continue;
        yki_placed_value shard = placed->values[whole[i]];
        int layer = placed->nodes[shard.producer].layer;
        shard.role = YKI_ROLE_PARAMETER;
        shard.is_gradient = true;
        shard.moved = false;
        shard.parameter = i;
        int value = yki_placed_value_add(plan, placed, &shard);
        if (value < 0) return false;
        yki_placed_node *node =
            add_movement(plan, placed, YKI_MOVE_REDUCE_SCATTER, YKI_BODY_W, layer, whole[i], value);
        if (!node || !yki_shards_cut(plan, i, shard.dims, &node->cut)) return false;
        node->order = -1;
        for (int k = 0; k < nnodes; k++) {
            const yki_placed_node *other = &placed->nodes[k];
            if (other->body == YKI_BODY_W && other->layer == layer && works(other) &&
                other->order + 0.25 > node->order)
                node->order = other->order + 0.25;
        }
    }
    return true;
}
