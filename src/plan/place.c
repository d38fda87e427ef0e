/* place: the graph under the layout. Every operator says which states it wants of its inputs along tp; where
 * a value has another, a movement is inserted, once for all who want it. Values that another part needs
 * become edges between parts. Along dp samples are sharded and parameters replicated: the broadcast of each
 * parameter moves nothing forward, and its adjoint, an all-reduce, commutes with the sum over micro-batches
 * and is done once, when the step ends (run/step.c). So it is along tp for a parameter that every rank has
 * whole and work uses that is divided. */
#include <string.h>

#include "base/fail.h"
#include "plan/context.h"
#include "plan/passes.h"
#include "plan/placer.h"

/* A source (samples, targets) is loaded by every part that uses it. */
static yki_form *load(yki_placer *p, int part, int logical)
{
    const yki_node *source = &p->model->nodes[p->model->values[logical].producer];
    yki_placed *placed = &p->parts[part];
    yki_placed_value local = yki_placer_value(p, logical, YKI_SPEC_REPLICATED);
    int value = yki_placed_value_add(p->plan, placed, &local);
    yki_placed_node *node =
        value >= 0 ? yki_placed_node_add(p->plan, placed, source->op, YKI_BODY_F, source->layer) : NULL;
    if (!node) return NULL;
    node->nout = 1;
    node->out[0] = value;
    placed->values[value].producer = placed->nnodes - 1;
    return yki_form_add(p, part, logical, value, YKI_SPEC_REPLICATED, true);
}

static yki_edge *next_edge(yki_placer *p, int from, int to)
{
    if (p->lane == 0) {
        yki_edge *edge = YKI_APPEND(&p->plan->arena, p->plan, edges);
        if (edge)
            *edge = (yki_edge){.from = from,
                               .to = to,
                               .value = -1,
                               .imported = -1,
                               .gradient_sent = -1,
                               .gradient_received = -1};
    }
    return p->plan->arena.failed ? NULL : &p->plan->edges[p->edge++];
}

/* Brings a value from the part that makes it: an edge. */
static yki_form *import(yki_placer *p, int part, int logical)
{
    int from = p->part_of[logical];
    yki_form *made = yki_form_find(p, from, logical);
    if (made && made->spec.state == YKI_PARTIAL)
        made = yki_form_convert(p, from, made, yki_form_summed(p, logical),
                                p->model->nodes[p->model->values[logical].producer].layer);
    yki_edge *edge = made ? next_edge(p, from, part) : NULL;
    if (!edge) return NULL;
    yki_placed_value *sent = &p->parts[from].values[made->value];
    sent->kept = true;
    yki_placed_value local = yki_placer_value(p, logical, made->spec);
    local.moved = true;
    local.wants = sent->wants;
    yki_placed *placed = &p->parts[part];
    edge->value = made->value;
    edge->imported = yki_placed_value_add(p->plan, placed, &local);
    if (edge->imported < 0) return NULL;
    return yki_form_add(p, part, logical, edge->imported, made->spec, true);
}

/* The form of a node's input that the node is asked about. */
static yki_form *present(yki_placer *p, int part, int logical)
{
    yki_form *f = yki_form_find(p, part, logical);
    if (f) return f;
    const yki_value *value = &p->model->values[logical];
    if (value->parameter >= 0) {
        yki_param_place *place = &p->plan->param_places[value->parameter];
        yki_placed_value local = yki_placer_value(p, logical, place->spec);
        const yki_parameter *of = &p->model->parameters[value->parameter];
        local.wants = !of->buffer && !of->frozen;
        int index = yki_placed_value_add(p->plan, &p->parts[part], &local);
        return index < 0 ? NULL : yki_form_add(p, part, logical, index, place->spec, true);
    }
    return p->part_of[logical] < 0 ? load(p, part, logical) : import(p, part, logical);
}

/* Zero 3: a parameter as its operators see it, gathered once for this body. */
static int gathered(yki_placer *p, int part, int parameter, int shard, int layer)
{
    const yki_placed *placed = &p->parts[part];
    for (int i = 0; i < placed->nvalues; i++)
        if (placed->values[i].gathered == parameter) return i;
    return yki_gather_parameter(p->plan, &p->parts[part], shard, YKI_BODY_F, layer);
}

static void hold_parameter(yki_plan *plan, int parameter, int stage)
{
    yki_param_place *place = &plan->param_places[parameter];
    if (place->held[stage]) return;
    place->held[stage] = true;
    if (place->nheld++ == 0 || stage < place->first_stage) place->first_stage = stage;
}

/* A parameter's state, from the first operator that uses it; and whether its gradient is partial, in which
 * all must agree. */
static yoke_status place_parameter(yki_placer *p, const yki_node *node, int parameter, yki_spec spec,
                                   bool divided)
{
    yki_param_place *place = &p->plan->param_places[parameter];
    int parts = !divided ? 1 : spec.state == YKI_REPLICATED ? p->tp : yki_spec_copies(spec);
    if (place->placed && place->gradient_parts != parts && !p->model->parameters[parameter].frozen)
        return yki_fail(YOKE_INVALID,
                        "layer '%s' shares '%s', of which it needs the gradient in another way than the "
                        "layer before it: tensor parallelism cannot add the two up",
                        p->model->layers[node->layer].name, p->model->parameters[parameter].name);
    if (!place->placed) {
        place->spec = spec;
        place->gradient_parts = parts;
        place->placed = true;
    }
    return YOKE_OK;
}

/* What an operator's gradient makes of the parameters that it reads whole: each rank its part of a sum, if
 * the gradient that comes back is of a share or is a part itself. (What a partial output's gradient is, every
 * rank knows.) */
static bool parts_gradients(const yki_cut_query *query)
{
    for (int i = 0; i < query->node->nout; i++)
        if (query->out[i].state == YKI_SHARDED || query->out[i].divided) return true;
    return false;
}

/* Asks the operator, and puts every input into the state it wants. */
static yoke_status place_inputs(yki_placer *p, const yki_node *node, int part, yki_cut_query *query,
                                int in[YKI_MAX_INPUTS])
{
    yki_param_place *places = p->plan->param_places;
    for (int i = 0; i < node->nin; i++) {
        in[i] = -1;
        query->in[i] = YKI_SPEC_REPLICATED;
        if (node->in[i] < 0) continue;
        int logical = p->root[node->in[i]], parameter = p->model->values[logical].parameter;
        if (parameter >= 0) {
            hold_parameter(p->plan, parameter, p->plan->stage_of[part]);
            query->free[i] = !places[parameter].placed;
            query->in[i] = places[parameter].spec;
            continue;
        }
        yki_form *f = present(p, part, logical);
        if (f && query->sp && f->spec.state == YKI_PARTIAL)
            f = yki_form_convert(p, part, f, yki_form_summed(p, logical), node->layer);
        if (!f) return yki_fail_memory("a plan");
        query->in[i] = f->spec;
    }
    const yki_op_info *info = yki_op(node->op);
    if (p->tp > 1 && info->cut)
        YKI_TRY(info->cut(query));
    else
        for (int i = 0; i < node->nin; i++) query->in[i] = YKI_SPEC_REPLICATED;
    bool divided = parts_gradients(query);
    for (int i = 0; i < node->nout; i++) divided |= query->out[i].state == YKI_PARTIAL;
    for (int i = 0; i < node->nin; i++) {
        if (node->in[i] < 0) continue;
        int logical = p->root[node->in[i]], parameter = p->model->values[logical].parameter;
        if (parameter >= 0)
            YKI_TRY(place_parameter(p, node, parameter, query->in[i], parts_gradients(query)));
        yki_form *f = present(p, part, logical);
        if (f && parameter < 0) {
            yki_spec want = query->in[i];
            if (divided && want.state == YKI_REPLICATED &&
                p->model->values[logical].role == YKI_ROLE_ACTIVATION &&
                (p->parts[part].values[f->value].wants || f->spec.divided))
                want.divided = true;
            f = yki_form_convert(p, part, f, want, node->layer);
        }
        if (!f) return yki_fail_memory("a plan");
        in[i] = f->value;
        if (parameter >= 0 && p->plan->zero == 3 && !p->model->parameters[parameter].buffer)
            in[i] = gathered(p, part, parameter, f->value, node->layer);
        if (in[i] < 0) return yki_fail_memory("a plan");
    }
    return YOKE_OK;
}

/* Attention over tokens of which this lane has a share. */
static yoke_status place_attention(yki_placer *p, const yki_node *node, int part, const yki_cut_query *query,
                                   const int in[YKI_MAX_INPUTS])
{
    yki_placed_node whole = {.op = node->op, .attr = node->attr, .nin = node->nin, .layer = node->layer};
    int out[2];
    memcpy(whole.in, in, sizeof whole.in);
    yki_localise(p, node, query, &whole);
    YKI_TRY(yki_context_attend(p->plan, &p->parts[part], p->lane, &whole, &out[0], &out[1]));
    for (int i = 0; i < 2; i++) {
        if (!yki_form_add(p, part, node->out[i], out[i], query->out[i], true))
            return yki_fail_memory("a plan");
        p->part_of[node->out[i]] = part;
    }
    return YOKE_OK;
}

static yoke_status place_node(yki_placer *p, const yki_node *node)
{
    int part = p->plan->part_of_layer[node->layer];
    yki_placed *placed = &p->parts[part];
    yki_cut_query query = {.model = p->model, .node = node, .ranks = p->tp, .sp = p->plan->options.layout.sp};
    int in[YKI_MAX_INPUTS];
    YKI_TRY(place_inputs(p, node, part, &query, in));
    if (p->tokens >= 0 && yki_op(node->op)->tokens == YKI_TOKENS_ATTENDED)
        return place_attention(p, node, part, &query, in);
    yki_placed_node *added = yki_placed_node_add(p->plan, placed, node->op, YKI_BODY_F, node->layer);
    if (!added) return yki_fail_memory("a plan");
    int at = placed->nnodes - 1;
    added->attr = node->attr;
    added->nin = node->nin;
    memcpy(added->in, in, sizeof in);
    added->nout = node->nout;
    yki_localise(p, node, &query, added);
    bool wants = false;
    for (int i = 0; i < node->nin; i++) wants |= in[i] >= 0 && placed->values[in[i]].wants;
    for (int i = 0; i < node->nout; i++) {
        yki_placed_value local = yki_placer_value(p, node->out[i], query.out[i]);
        local.producer = at;
        local.wants = wants && local.role == YKI_ROLE_ACTIVATION;
        int value = yki_placed_value_add(p->plan, placed, &local);
        if (value < 0) return yki_fail_memory("a plan");
        placed->nodes[at].out[i] = value;
        value = yki_placed_over_replicas(p->plan, placed, node, value);
        if (value < 0 || !yki_form_add(p, part, node->out[i], value, query.out[i], true))
            return yki_fail_memory("a plan");
        p->part_of[node->out[i]] = part;
    }
    if (yki_op(node->op)->keeps_state && !yki_placed_write_buffers(p->plan, placed, at))
        return yki_fail_memory("a plan");
    return YOKE_OK;
}

/* Parts follow each other in every schedule; where no value goes from one to the next, a message of no bytes
 * does. */
static yoke_status pad_edges(yki_placer *p)
{
    int met = p->edge;
    for (int part = 0; part + 1 < p->plan->nparts; part++) {
        bool linked = false;
        for (int e = 0; e < met && !linked; e++)
            linked = p->plan->edges[e].from == part && p->plan->edges[e].to == part + 1;
        if (linked) continue;
        yki_edge *edge = next_edge(p, part, part + 1);
        if (!edge) return yki_fail_memory("a plan");
        edge->pads = true;
    }
    return YOKE_OK;
}

yoke_status yki_place_lane(yki_plan *plan, int lane, int class)
{
    const yoke_model *model = plan->options.model;
    int tp = plan->mesh.degree[YKI_AXIS_TP];
    yki_placer p = {.plan = plan, .model = model, .lane = lane, .tp = tp, .tp_rank = lane % tp, .tokens = -1};
    if (plan->mesh.degree[YKI_AXIS_CP] > 1) p.positions = yki_context_positions(plan, lane / tp, &p.tokens);
    p.parts = plan->placed[class] = yki_arena_alloc(&plan->arena, sizeof(yki_placed) * (size_t)plan->nparts);
    p.forms = yki_arena_alloc(&plan->arena, sizeof(yki_form *) * (size_t)plan->nparts);
    p.root = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)model->nvalues);
    p.part_of = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)model->nvalues);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int i = 0; i < model->nvalues; i++) {
        p.root[i] = i;
        p.part_of[i] = -1;
    }
    for (int part = 0; part < plan->nparts; part++) p.parts[part].output = -1;
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (yki_is_source(node->op)) continue;
        if (plan->options.purpose >= YKI_PURPOSE_PREDICT && yki_op(node->op)->of_loss) continue;
        if (!yki_plan_trains(plan) && yki_op(node->op)->keeps_state) continue;
        if (node->op == YKI_OP_MOVE + YKI_MOVE_COPY)
            p.root[node->out[0]] = p.root[node->in[0]];
        else
            YKI_TRY(place_node(&p, node));
    }
    int output = p.root[model->output], last = p.part_of[output];
    yki_form *f = yki_form_find(&p, last, output);
    if (f && f->spec.state == YKI_PARTIAL)
        f = yki_form_convert(&p, last, f, yki_form_summed(&p, output), model->nlayers - 1);
    if (!f) return yki_fail_memory("a plan");
    p.parts[last].output = f->value;
    p.parts[last].output_spec = f->spec;
    p.parts[last].values[f->value].kept = true;
    for (int part = 0; part < plan->nparts; part++)
        yki_start_gathers(&p.parts[part], 0, p.parts[part].nnodes);
    YKI_TRY(pad_edges(&p));
    plan->edge_bytes[class] = yki_arena_alloc(&plan->arena, sizeof(int64_t) * (size_t)(plan->nedges + 1));
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int e = 0; e < plan->nedges; e++) {
        const yki_edge *edge = &plan->edges[e];
        if (edge->imported >= 0) {
            const yki_placed_value *value = &p.parts[edge->to].values[edge->imported];
            plan->edge_bytes[class][e] =
                yki_placed_elems(value) * (int64_t)yki_dtype_bytes(yki_placed_dtype(plan, value));
        }
    }
    return YOKE_OK;
}
