/* lanes: every lane is placed and differentiated, one after the other. Lanes whose shares are as large, and
 * who do the same with them, come to the same placed graphs but for constants that say where their shares
 * begin: they are a class. Its graphs are kept once, those of its first lane, and of each other lane those
 * constants. Along tp the first rank has duties of its own (biases, the loss), along cp the first one counts
 * in norms, and uneven shares differ by one: so there are a few classes, however many lanes there are.
 * Nothing is concluded from a layout: graphs are compared, value by value and node by node. */
#include <string.h>

#include "base/fail.h"
#include "plan/context.h"
#include "plan/passes.h"
#include "plan/placed.h"
#include "plan/recompute.h"

/* --- what lanes are compared by --- */

static bool is_same_value(const yki_placed_value *a, const yki_placed_value *b)
{
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return a->role == b->role && a->per_sample == b->per_sample && a->moved == b->moved &&
           a->kept == b->kept && a->flat == b->flat && a->wants == b->wants && a->summed == b->summed &&
           a->ndim == b->ndim && a->parameter == b->parameter && a->gathered == b->gathered &&
           a->is_gradient == b->is_gradient && a->cached == b->cached && a->producer == b->producer;
}

static bool is_same_position(const yki_positions *a, const yki_positions *b)
{
    return a->first == b->first && a->split == b->split && a->jump == b->jump;
}

static bool begins_alike(const yki_attr *a, const yki_attr *b)
{
    return a->offset == b->offset && a->first_group == b->first_group &&
           is_same_position(&a->rows, &b->rows) && is_same_position(&a->keys, &b->keys);
}

/* Constants but for those of begins_alike. */
static bool is_same_attr(const yki_attr *a, const yki_attr *b)
{
    yki_attr x = *a;
    x.offset = b->offset, x.first_group = b->first_group;
    x.rows = b->rows, x.keys = b->keys;
    return memcmp(&x, b, sizeof x) == 0; /* both are copies of one node's, padding and all */
}

static bool is_same_list(const int64_t *a, const int64_t *b, int count)
{
    for (int i = 0; i < count && a && b && a != b; i++)
        if (a[i] != b[i]) return false;
    return !a == !b;
}

static bool is_same_movement(const yki_plan *plan, const yki_placed_node *a, const yki_placed_node *b)
{
    const yki_exchange *x = &a->exchange, *y = &b->exchange;
    int members = a->shards ? plan->shards : plan->mesh.degree[a->axis];
    return a->axis == b->axis && a->back == b->back && a->reduction == b->reduction &&
           a->gradient_state == b->gradient_state && a->cut.outer == b->cut.outer &&
           a->cut.inner == b->cut.inner && is_same_list(a->cut.share, b->cut.share, members) &&
           x->outer == y->outer && x->mid == y->mid && x->inner == y->inner && x->back == y->back &&
           is_same_list(x->share_a, y->share_a, members) && is_same_list(x->share_b, y->share_b, members);
}

static bool is_same_node(const yki_plan *plan, const yki_placed_node *a, const yki_placed_node *b)
{
    if (a->op != b->op || a->nin != b->nin || a->nout != b->nout || a->shards != b->shards) return false;
    for (int i = 0; i < a->nin; i++)
        if (a->in[i] != b->in[i]) return false;
    for (int i = 0; i < a->nout; i++)
        if (a->out[i] != b->out[i]) return false;
    return a->layer == b->layer && a->body == b->body && a->order == b->order && a->edge == b->edge &&
           a->sends == b->sends && a->gradient_copy == b->gradient_copy && a->skip_bias == b->skip_bias &&
           a->counts_loss == b->counts_loss && a->adds == b->adds && is_same_attr(&a->attr, &b->attr) &&
           is_same_movement(plan, a, b);
}

static bool is_same_part(const yki_plan *plan, const yki_placed *a, const yki_placed *b)
{
    if (a->nvalues != b->nvalues || a->nnodes != b->nnodes || a->output != b->output ||
        (a->output >= 0 && !yki_spec_equal(a->output_spec, b->output_spec)))
        return false;
    for (int i = 0; i < a->nvalues; i++)
        if (!is_same_value(&a->values[i], &b->values[i])) return false;
    for (int i = 0; i < a->nnodes; i++)
        if (!is_same_node(plan, &a->nodes[i], &b->nodes[i])) return false;
    return true;
}

/* Whether two lanes keep as much of every parameter, and count the same in norms (states.c). */
static bool keep_alike(const yki_plan *plan, int lane, int other)
{
    const yoke_model *model = plan->options.model;
    int tp = plan->mesh.degree[YKI_AXIS_TP];
    for (int i = 0; i < model->nparameters; i++) {
        yki_spec spec = plan->param_places[i].spec;
        const yki_value *value = &model->values[model->parameters[i].value];
        if (yki_lane_counts(plan, i, lane) != yki_lane_counts(plan, i, other) ||
            (spec.state == YKI_SHARDED && yki_spec_share(spec, value->dims[spec.dim], tp, lane % tp) !=
                                              yki_spec_share(spec, value->dims[spec.dim], tp, other % tp)))
            return false;
    }
    return true;
}

static bool are_alike(const yki_plan *plan, int class, int lane, const yki_placed *parts)
{
    if (!keep_alike(plan, lane, plan->lane_classes[class].first)) return false;
    for (int part = 0; part < plan->nparts; part++)
        if (!is_same_part(plan, &plan->placed[class][part], &parts[part])) return false;
    return true;
}

/* --- what is kept of a lane --- */

/* Of its own arena: what the lane's graphs took from the plan's is given back. */
static void keep_begins(yki_plan *plan, yki_lane *lane, const yki_placed *parts)
{
    lane->begins = yki_arena_alloc(&plan->lane_arena, sizeof *lane->begins * (size_t)plan->nparts);
    for (int part = 0; part < plan->nparts; part++) {
        const yki_placed *first = &plan->placed[lane->class][part], *own = &parts[part];
        yki_begins *of = &lane->begins[part];
        int count = 0;
        for (int i = 0; i < own->nnodes; i++)
            count += !begins_alike(&own->nodes[i].attr, &first->nodes[i].attr);
        of->list = yki_arena_alloc(&plan->lane_arena, sizeof *of->list * (size_t)(count + 1));
        for (int i = 0; i < own->nnodes; i++) {
            const yki_attr *attr = &own->nodes[i].attr;
            if (begins_alike(attr, &first->nodes[i].attr)) continue;
            of->list[of->count++] = (yki_begin){i, attr->offset, attr->first_group, attr->rows, attr->keys};
        }
    }
}

bool yki_lane_attr(const yki_plan *plan, int lane, int part, const yki_instruction *in, yki_attr *attr_out)
{
    const yki_begins *of = plan->lanes[lane].begins ? &plan->lanes[lane].begins[part] : NULL;
    int from = 0, end = of ? of->count : 0, node = in->as.kernel.node;
    while (from < end) {
        int middle = from + (end - from) / 2;
        if (of->list[middle].node < node)
            from = middle + 1;
        else
            end = middle;
    }
    if (!of || from == of->count || of->list[from].node != node) return false;
    const yki_begin *begin = &of->list[from];
    *attr_out = *in->as.kernel.attr;
    attr_out->offset = begin->offset, attr_out->first_group = begin->first_group;
    attr_out->rows = begin->rows, attr_out->keys = begin->keys;
    return true;
}

/* --- the pass --- */

static yoke_status take_lane(yki_plan *plan, int lane)
{
    yki_arena_mark mark = yki_arena_mark_of(&plan->arena);
    int class = 0, last = plan->nlane_classes;
    YKI_TRY(yki_place_lane(plan, lane, last));
    if (lane == 0) YKI_TRY(yki_recompute_check(plan));
    YKI_TRY(yki_grad_lane(plan, lane, last));
    while (class < last && !are_alike(plan, class, lane, plan->placed[last])) class ++;
    plan->lanes[lane].class = class;
    if (class == last) {
        plan->lane_classes[plan->nlane_classes++].first = lane;
    } else {
        keep_begins(plan, &plan->lanes[lane], plan->placed[last]);
        yki_arena_rewind(&plan->arena, mark);
    }
    plan->lane_classes[class].count++;
    return plan->arena.failed || plan->lane_arena.failed ? yki_fail_memory("a plan") : YOKE_OK;
}

yoke_status yki_lanes_begin(yki_plan *plan)
{
    const yoke_model *model = plan->options.model;
    YKI_TRY(yki_context_check(plan));
    plan->nlanes = yki_mesh_lanes(&plan->mesh);
    size_t n = (size_t)plan->nlanes;
    plan->lanes = yki_arena_alloc(&plan->arena, sizeof *plan->lanes * n);
    plan->lane_classes = yki_arena_alloc(&plan->arena, sizeof *plan->lane_classes * n);
    plan->placed = yki_arena_alloc(&plan->arena, sizeof *plan->placed * n);
    plan->edge_bytes = yki_arena_alloc(&plan->arena, sizeof *plan->edge_bytes * n);
    plan->param_places =
        yki_arena_alloc(&plan->arena, sizeof *plan->param_places * (size_t)(model->nparameters + 1));
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int i = 0; i < model->nparameters; i++) {
        plan->param_places[i].spec = YKI_SPEC_REPLICATED;
        plan->param_places[i].held = yki_arena_alloc(&plan->arena, (size_t)plan->parts.nstages);
        if (!plan->param_places[i].held) return yki_fail_memory("a plan");
    }
    return YOKE_OK;
}

yoke_status yki_plan_lanes(yki_plan *plan)
{
    YKI_TRY(yki_lanes_begin(plan));
    for (int lane = 0; lane < plan->nlanes; lane++) YKI_TRY(take_lane(plan, lane));
    return YOKE_OK;
}
