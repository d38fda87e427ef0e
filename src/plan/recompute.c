/* recompute: trades arithmetic for memory. A value that is made again is not kept from F to B: whoever in the
 * backward pass reads it reads a clone, made in B right before its first reader from what is kept. Clones are
 * made one by one as they are asked for, so what nobody asks for is not run again, and since the backward
 * pass goes through the layers from the last to the first, one layer's values are there at a time.
 *
 * What is kept: parameters, samples and targets, what came from or goes to other parts, the model's output,
 * and the outputs of operators that may run once only (ops.h). Beyond that
 * - full (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016): what one group of layers reads
 * of another; a group is what a pipeline may cut before and has a matrix, with what follows it and has none.
 * - selective (Korthikanti et al., Reducing Activation Recomputation in Large Transformer Models, 2022): all
 * but what the core of attention makes, and what sequence parallelism gathers. */
#include "plan/recompute.h"

#include "base/fail.h"

static yoke_recompute of_stage(const yoke_layout *layout, int stage)
{
    return layout->nrecompute > 0 ? layout->recompute_of[stage] : layout->recompute;
}

yoke_status yki_recompute_check(yki_plan *plan)
{
    yoke_layout *layout = &plan->options.layout;
    int stages = plan->parts.nstages;
    if (!yki_plan_trains(plan)) layout->nrecompute = 0; /* nothing is kept for a backward pass */
    if (layout->nrecompute == 0) return YOKE_OK;
    if (!layout->recompute_of)
        return yki_fail(YOKE_INVALID, "recompute has %d entries, and its list is NULL", layout->nrecompute);
    for (int i = 0; i < stages && layout->nrecompute == stages; i++)
        if ((unsigned)layout->recompute_of[i] > YOKE_RECOMPUTE_FULL)
            return yki_fail(YOKE_INVALID, "recompute of stage %d is %d: it is none, selective or full", i,
                            (int)layout->recompute_of[i]);
    if (layout->nrecompute == stages) {
        layout->recompute_of =
            yki_arena_own(&plan->arena, layout->recompute_of, sizeof *layout->recompute_of * (size_t)stages);
        return layout->recompute_of ? YOKE_OK : yki_fail_memory("a plan");
    }
    return yki_fail(
        YOKE_INVALID, "recompute has %d entr%s, and the layout %d stage%s; give one each, or one for all",
        layout->nrecompute, layout->nrecompute == 1 ? "y" : "ies", stages, stages == 1 ? "" : "s");
}

static int producer_of(const yki_placed *placed, int value)
{
    return value < 0 ? -1 : placed->values[value].producer;
}

/* The group of each layer. A group that had no matrix would keep as much as it saves. */
static int *find_groups(yki_plan *plan)
{
    const yoke_model *model = plan->options.model;
    int *group = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(model->nlayers + 1));
    bool *matrix =
        yki_arena_alloc(&plan->arena, (size_t)model->nlayers + 1); /* of what starts at the layer */
    int *start = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(model->nlayers + 1));
    if (plan->arena.failed) return NULL;
    for (int i = 0; i < model->nlayers; i++) start[i] = i == 0 || model->layers[i].cut ? i : start[i - 1];
    for (int i = 0; i < model->nnodes; i++)
        for (int k = 0; k < model->nodes[i].nin && model->nodes[i].layer >= 0; k++) {
            int value = model->nodes[i].in[k];
            if (value >= 0 && model->values[value].parameter >= 0 && model->values[value].ndim > 1)
                matrix[start[model->nodes[i].layer]] = true;
        }
    for (int i = 1; i < model->nlayers; i++) group[i] = group[i - 1] + (start[i] == i && matrix[i]);
    return group;
}

/* The group of each node; -1: none. A movement that takes a sum belongs to the group whose sum it is: what is
 * kept is the sum, not the summands. */
static void group_nodes(const yki_placed *placed, const int *group_of_layer, int *group)
{
    for (int i = 0; i < placed->nnodes; i++) {
        const yki_placed_node *node = &placed->nodes[i];
        int producer = node->nin > 0 ? producer_of(placed, node->in[0]) : -1;
        bool sums = node->op >= YKI_OP_MOVE && yki_movements[node->op - YKI_OP_MOVE].from == YKI_PARTIAL;
        group[i] = node->layer < 0 ? -1 : group_of_layer[node->layer];
        if (sums && producer >= 0) group[i] = group[producer];
    }
}

/* What one group reads of another stays. */
static void keep_between_groups(const yki_placed *placed, const int *group, bool *again)
{
    for (int i = 0; i < placed->nnodes; i++)
        for (int k = 0; k < placed->nodes[i].nin; k++) {
            int value = placed->nodes[i].in[k], producer = producer_of(placed, value);
            if (producer >= 0 && group[producer] != group[i]) again[value] = false;
        }
}

/* Nodes of attention's core: the operators that are it, and movements and aliases that they alone read. */
static void find_core(const yki_placed *placed, bool *core, bool *outside)
{
    for (int i = placed->nnodes - 1; i >= 0; i--) {
        const yki_placed_node *node = &placed->nodes[i];
        bool passes = node->op >= YKI_OP_MOVE || yki_is_alias(node->op);
        core[i] = yki_op(node->op)->attends || (passes && !outside[node->out[0]]);
        for (int k = 0; k < node->nin && !core[i]; k++)
            if (node->in[k] >= 0) outside[node->in[k]] = true;
    }
}

static yoke_status find_full(yki_plan *plan, const yki_placed *placed, bool *again)
{
    int *group_of_layer = find_groups(plan);
    int *group = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(placed->nnodes + 1));
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int i = 0; i < placed->nnodes; i++)
        for (int k = 0; k < placed->nodes[i].nout; k++) again[placed->nodes[i].out[k]] = true;
    group_nodes(placed, group_of_layer, group);
    keep_between_groups(placed, group, again);
    return YOKE_OK;
}

static yoke_status find_selective(yki_plan *plan, const yki_placed *placed, bool *again)
{
    bool *core = yki_arena_alloc(&plan->arena, (size_t)placed->nnodes + 1);
    bool *outside = yki_arena_alloc(&plan->arena, (size_t)placed->nvalues + 1);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    find_core(placed, core, outside);
    for (int i = 0; i < placed->nnodes; i++) {
        const yki_placed_node *node = &placed->nodes[i];
        bool gathers = plan->options.layout.sp && node->op == YKI_OP_MOVE + YKI_MOVE_ALL_GATHER &&
                       node->axis == YKI_AXIS_TP;
        bool made = core[i] || gathers || (yki_is_alias(node->op) && again[node->in[0]]);
        for (int k = 0; k < node->nout; k++) again[node->out[k]] = made;
    }
    return YOKE_OK;
}

/* Statistics are small: a node whose other outputs all stay is not run again for them. */
static void keep_statistics(const yki_placed *placed, bool *again)
{
    for (int i = 0; i < placed->nnodes; i++) {
        const yki_placed_node *node = &placed->nodes[i];
        bool runs = false;
        for (int k = 0; k < node->nout; k++)
            runs |= again[node->out[k]] && placed->values[node->out[k]].role != YKI_ROLE_STATISTIC;
        for (int k = 0; k < node->nout && !runs; k++) again[node->out[k]] = false;
    }
}

/* What stays whatever is asked for. */
static void keep_always(const yki_plan *plan, int part, const yki_placed *placed, bool *again)
{
    for (int e = 0; e < plan->nedges; e++)
        if (plan->edges[e].from == part && plan->edges[e].value >= 0) again[plan->edges[e].value] = false;
    if (placed->output >= 0) again[placed->output] = false;
    for (int i = placed->nnodes - 1; i >= 0; i--) {
        const yki_placed_node *node = &placed->nodes[i];
        bool stays = yki_is_source(node->op) || yki_op(node->op)->once ||
                     node->shards; /* which has its own way: gather_again */
        for (int k = 0; k < node->nout && stays; k++) again[node->out[k]] = false;
        /* of one memory all stays */
        if (yki_is_alias(node->op) && !again[node->out[0]]) again[node->in[0]] = false;
    }
    keep_statistics(placed, again);
}

yoke_status yki_recompute_find(yki_plan *plan, int part, const yki_placed *placed, yki_recompute *out)
{
    yoke_recompute kind = of_stage(&plan->options.layout, plan->stage_of[part]);
    int nparameters = plan->options.model->nparameters;
    *out = (yki_recompute){.nvalues = placed->nvalues};
    out->gathered = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(nparameters + 1));
    out->again = yki_arena_alloc(&plan->arena, (size_t)placed->nvalues + 1);
    out->clone = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(placed->nvalues + 1));
    out->needed = yki_arena_alloc(&plan->arena, (size_t)placed->nnodes + 1);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int i = 0; i < placed->nvalues; i++) out->clone[i] = -1;
    for (int i = 0; i < nparameters; i++) out->gathered[i] = -1;
    if (kind == YOKE_RECOMPUTE_FULL) YKI_TRY(find_full(plan, placed, out->again));
    if (kind == YOKE_RECOMPUTE_SELECTIVE) YKI_TRY(find_selective(plan, placed, out->again));
    keep_always(plan, part, placed, out->again);
    return YOKE_OK;
}

static bool is_missing(const yki_recompute *r, int value)
{
    return value >= 0 && value < r->nvalues && r->again[value] && r->clone[value] < 0;
}

/* One gather for a body, a layer ahead of its first reader's (sharded.c). */
static int gather_again(yki_plan *plan, yki_placed *placed, yki_recompute *r, int value, int layer)
{
    int *again = &r->gathered[placed->values[value].gathered];
    if (*again < 0) {
        const yki_placed_node *forward = &placed->nodes[placed->values[value].producer];
        *again = yki_gather_parameter(plan, placed, forward->in[0], YKI_BODY_B, layer);
    }
    return *again;
}

/* What a node of the backward pass reads of what is not missing. */
static int present(yki_plan *plan, yki_placed *placed, yki_recompute *r, int value, int layer)
{
    if (value < 0 || value >= r->nvalues) return value;
    if (placed->values[value].gathered >= 0) return gather_again(plan, placed, r, value, layer);
    return r->again[value] ? r->clone[value] : value;
}

/* A node once more, in B: same constants, so the same numbers, dropout's among them. */
static bool clone_node(yki_plan *plan, yki_placed *placed, yki_recompute *r, int from)
{
    yki_placed_node copy = placed->nodes[from];
    for (int k = 0; k < copy.nin; k++) copy.in[k] = present(plan, placed, r, copy.in[k], copy.layer);
    yki_placed_node *node = yki_placed_node_add(plan, placed, copy.op, YKI_BODY_B, copy.layer);
    if (!node) return false;
    copy.body = YKI_BODY_B;
    copy.again = true;
    copy.order = node->order;
    *node = copy;
    int at = placed->nnodes - 1;
    for (int k = 0; k < copy.nout; k++) {
        yki_placed_value value = placed->values[copy.out[k]];
        value.producer = at;
        value.kept = value.wants = false;
        int clone = yki_placed_value_add(plan, placed, &value);
        if (clone < 0) return false;
        placed->nodes[at].out[k] = r->clone[copy.out[k]] = clone;
    }
    return true;
}

int yki_recompute_value(yki_plan *plan, yki_placed *placed, yki_recompute *r, int value, int layer)
{
    if (!is_missing(r, value)) return present(plan, placed, r, value, layer);
    int last = placed->values[value].producer, first = last;
    r->needed[last] = true;
    for (int i = last; i >= first; i--)
        for (int k = 0; k < placed->nodes[i].nin && r->needed[i]; k++)
            if (is_missing(r, placed->nodes[i].in[k])) {
                int producer = placed->values[placed->nodes[i].in[k]].producer;
                r->needed[producer] = true;
                first = producer < first ? producer : first;
            }
    for (int i = first; i <= last; i++) {
        if (r->needed[i] && !clone_node(plan, placed, r, i)) return -1;
        r->needed[i] = false;
    }
    return r->clone[value];
}
