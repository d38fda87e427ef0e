/* grad: reverse mode over each placed part, movements included. A value with several uses has its gradients
 * added in the order met; a value that went to other parts has theirs added too. Nodes are tagged B (needed
 * for the gradient of the part's input, and all that leads to a weight's) or W (weights' gradients
 * themselves). */
#include <assert.h>
#include <string.h>

#include "base/fail.h"
#include "plan/context.h"
#include "plan/passes.h"
#include "plan/recompute.h"

typedef struct part_grad {
    yki_grad_context context; /* first: callbacks get its address */
    yki_plan *plan;
    yki_placed *placed;
    int lane;
    int *gradient;           /* of each value of the forward pass; -1 */
    int *whole;              /* zero 2: by parameter, its gradient before it is scattered; -1 */
    yki_recompute recompute; /* what is made, or gathered, again */
    yki_placed_node current; /* a copy: the array of nodes may move */
} part_grad;

static part_grad *self(yki_grad_context *context)
{
    return (part_grad *)context;
}
static int node_in(yki_grad_context *c, int i)
{
    return self(c)->current.in[i];
}
static int node_out(yki_grad_context *c, int i)
{
    return self(c)->current.out[i];
}
static int node_dout(yki_grad_context *c, int i)
{
    return self(c)->gradient[self(c)->current.out[i]];
}

static bool wanted(yki_grad_context *c, int i)
{
    int value = self(c)->current.in[i];
    return value >= 0 && self(c)->placed->values[value].wants;
}

static int new_value(part_grad *g, int like)
{
    yki_placed_value value = g->placed->values[like];
    value.parameter = value.gathered = -1;
    value.moved = value.kept = value.wants = false;
    value.producer = -1;
    return yki_placed_value_add(g->plan, g->placed, &value);
}

/* A value as the backward pass reads it. */
static int in_backward(part_grad *g, int value)
{
    return yki_recompute_value(g->plan, g->placed, &g->recompute, value, g->current.layer);
}

static void emit_several(yki_grad_context *c, int op, const yki_attr *attr, int nin, const int *in, int nout,
                         const int *like, int *out)
{
    part_grad *g = self(c);
    int read[YKI_MAX_INPUTS];
    for (int i = 0; i < nout; i++) out[i] = -1;
    for (int i = 0; i < nin; i++) read[i] = in_backward(g, in[i]);
    yki_placed_node *node = yki_placed_node_add(g->plan, g->placed, op, YKI_BODY_B, g->current.layer);
    if (!node) return;
    node->attr = *attr;
    node->nin = nin;
    memcpy(node->in, read, sizeof(int) * (size_t)nin);
    for (int i = 0; i < nout; i++) {
        int value = new_value(g, like[i]);
        if (value < 0) return;
        g->placed->values[value].producer = g->placed->nnodes - 1;
        node->out[node->nout++] = out[i] = value;
    }
}

static int emit(yki_grad_context *c, int op, const yki_attr *attr, int nin, const int *in, int like)
{
    int value;
    emit_several(c, op, attr, nin, in, 1, &like, &value);
    return value;
}

/* Whether the node has a parameter at an input that trains. */
static bool trains(const part_grad *g, int input)
{
    int value = input >= 0 ? g->current.in[input] : -1;
    return value >= 0 && g->placed->values[value].wants;
}

/* What a node makes beside the gradient that is asked for, of a parameter that does not train. */
static int no_gradient(part_grad *g, int input)
{
    yki_placed_value value = g->placed->values[g->current.in[input]];
    value.role = YKI_ROLE_STATISTIC;
    value.gathered = value.parameter = -1;
    value.moved = false;
    return yki_placed_value_add(g->plan, g->placed, &value);
}

/* The gradient of the parameter at an input, to be written by a node. From zero 2 on, that is the whole
 * tensor for this body alone, which is scattered when all have added to it. */
static int parameter_gradient(part_grad *g, int input)
{
    yki_placed_value value = g->placed->values[g->current.in[input]];
    int parameter = value.gathered >= 0 ? value.gathered : value.parameter;
    value.gathered = value.parameter = -1;
    value.moved = value.wants = false;
    if (g->plan->zero < 2) {
        value.is_gradient = true;
        value.role = YKI_ROLE_PARAMETER;
        value.parameter = parameter;
        return yki_placed_value_add(g->plan, g->placed, &value);
    }
    if (g->whole[parameter] >= 0) return g->whole[parameter];
    value.role = YKI_ROLE_STATISTIC;
    value.moved = true;
    return g->whole[parameter] = yki_placed_value_add(g->plan, g->placed, &value);
}

static bool has_gradient(const part_grad *g, int input)
{
    const yki_placed_value *value = &g->placed->values[g->current.in[input]];
    return g->plan->zero >= 2 && value->wants &&
           g->whole[value->gathered >= 0 ? value->gathered : value->parameter] >= 0;
}

static void emit_parameter(yki_grad_context *c, int op, int nin, const int *in, int a, int b)
{
    part_grad *g = self(c);
    int read[YKI_MAX_INPUTS], inputs[2] = {a, b}, out[2], nout = 0;
    if (!trains(g, a) && !trains(g, b)) return;
    for (int i = 0; i < nin; i++) read[i] = in_backward(g, in[i]);
    bool adds = has_gradient(g, a) || (b >= 0 && has_gradient(g, b));
    for (int k = 0; k < 2; k++) {
        if (inputs[k] < 0) continue;
        bool fresh = adds && !has_gradient(g, inputs[k]);
        out[nout] = trains(g, inputs[k]) ? parameter_gradient(g, inputs[k]) : no_gradient(g, inputs[k]);
        if (fresh) { /* its node adds, for the other one's sake */
            yki_placed_node *zero =
                yki_placed_node_add(g->plan, g->placed, YKI_KERNEL_ZERO, YKI_BODY_W, g->current.layer);
            if (zero) zero->out[zero->nout++] = out[nout];
        }
        nout++;
    }
    yki_placed_node *node = yki_placed_node_add(g->plan, g->placed, op, YKI_BODY_W, g->current.layer);
    if (!node) return;
    node->attr = g->current.attr;
    node->adds = adds;
    node->nin = nin;
    memcpy(node->in, read, sizeof(int) * (size_t)nin);
    node->nout = nout;
    memcpy(node->out, out, sizeof(int) * (size_t)nout);
    for (int k = 0; k < nout; k++) g->placed->values[out[k]].producer = g->placed->nnodes - 1;
}

/* Adds `value` to what is known of the gradient of `of`. */
static void accumulate(part_grad *g, int of, int value)
{
    if (value < 0 || !g->placed->values[of].wants) return;
    if (g->gradient[of] < 0) {
        g->gradient[of] = value;
        return;
    }
    yki_attr none = {0};
    g->gradient[of] = emit(&g->context, YKI_KERNEL_ADD, &none, 2, (int[]){g->gradient[of], value}, of);
}

static void give(yki_grad_context *c, int i, int value)
{
    accumulate(self(c), self(c)->current.in[i], value);
}

static int taken(yki_grad_context *c, int i)
{
    part_grad *g = self(c);
    int of = g->current.in[i], value = g->gradient[of];
    g->gradient[of] = -1;
    return value;
}

static int over_replicas(yki_grad_context *c, int value)
{
    part_grad *g = self(c);
    return value < 0 ? -1 : yki_placed_sum(g->plan, g->placed, value, YKI_BODY_B, g->current.layer);
}

static void attend_back(yki_grad_context *c)
{
    yki_context_gradient(self(c)->plan, self(c)->placed, self(c)->lane, c);
}

/* The adjoint of a movement along an axis, for the state that its output's gradient has. */
static void adjoint(part_grad *g)
{
    yki_move kind = (yki_move)(g->current.op - YKI_OP_MOVE);
    int dy = g->gradient[g->current.out[0]], x = g->current.in[0];
    if (dy < 0 || !g->placed->values[x].wants) return;
    yki_move back = yki_movements[kind].adjoint[g->current.gradient_state];
    if (back == YKI_MOVE_NONE) {
        accumulate(g, x, dy);
        return;
    }
    yki_attr none = {0};
    int value = emit(&g->context, YKI_OP_MOVE + (int)back, &none, 1, &dy, x);
    if (value < 0) return;
    yki_placed_node *node = &g->placed->nodes[g->placed->nnodes - 1];
    node->axis = g->current.axis;
    node->cut = g->current.cut;
    node->exchange = g->current.exchange;
    node->exchange.back = !node->exchange.back;
    node->reduction = YKI_SUM;
    accumulate(g, x, value);
}

/* A copy's receiving end, before all else in the body; `value` -1: no bytes. */
static void receive(part_grad *g, yki_body body, int edge, int value, bool gradient)
{
    yki_placed_node *node = yki_placed_node_add(g->plan, g->placed, YKI_OP_MOVE + YKI_MOVE_COPY, body, -1);
    if (!node) return;
    node->edge = edge;
    node->gradient_copy = gradient;
    node->order = -1e9 + edge;
    if (value >= 0) {
        node->nout = 1;
        node->out[0] = value;
        g->placed->values[value].producer = g->placed->nnodes - 1;
    }
}

/* Its sending end, as soon as the value is there. */
static void send(part_grad *g, yki_body body, int edge, int value, bool gradient)
{
    yki_placed_node *node = yki_placed_node_add(g->plan, g->placed, YKI_OP_MOVE + YKI_MOVE_COPY, body, -1);
    if (!node) return;
    node->edge = edge;
    node->sends = true;
    node->gradient_copy = gradient;
    node->order = 1e9;
    if (value >= 0) {
        node->nin = 1;
        node->in[0] = value;
        int producer = g->placed->values[value].producer;
        if (producer >= 0 && g->placed->nodes[producer].body == body &&
            g->placed->nodes[producer].order > -1e8)
            node->order = g->placed->nodes[producer].order + 0.5;
    }
}

/* A value whose memory nobody else in the body reads or writes: what an edge sends must be its own. */
static int own_copy(part_grad *g, int value)
{
    yki_attr attr = {0};
    int copy = emit(&g->context, YKI_KERNEL_COPY_SLICE, &attr, 1, &value, value);
    if (copy >= 0) {
        yki_placed_node *node = &g->placed->nodes[g->placed->nnodes - 1];
        node->attr.outer = 1;
        node->attr.inner = 1;
        node->attr.global = node->attr.local = yki_placed_elems(&g->placed->values[value]);
    }
    return copy;
}

/* Whether it has memory of its own already: made by a kernel that writes nobody else's, and not sent
 * elsewhere. */
static bool is_own(const part_grad *g, int value)
{
    int producer = g->placed->values[value].producer;
    if (producer < 0 || g->placed->values[value].kept) return false;
    int op = g->placed->nodes[producer].op;
    return op < YKI_KERNEL_COUNT && !yki_op_in_place(op);
}

static void forward_copies(part_grad *g, int part)
{
    yki_plan *plan = g->plan;
    for (int e = 0; e < plan->nedges; e++) {
        if (plan->edges[e].to == part) receive(g, YKI_BODY_F, e, plan->edges[e].imported, false);
        if (plan->edges[e].from == part) send(g, YKI_BODY_F, e, plan->edges[e].value, false);
    }
}

static void backward(part_grad *g, int part, int nforward)
{
    yki_plan *plan = g->plan;
    for (int e = 0; e < plan->nedges; e++) { /* gradients of what other parts took */
        yki_edge *edge = &plan->edges[e];
        if (edge->from != part) continue;
        bool flows = edge->value >= 0 && g->placed->values[edge->value].wants;
        edge->gradient_received = flows ? new_value(g, edge->value) : -1;
        if (flows && edge->gradient_received >= 0) g->placed->values[edge->gradient_received].moved = true;
        receive(g, YKI_BODY_B, e, edge->gradient_received, true);
        if (flows) accumulate(g, edge->value, edge->gradient_received);
    }
    for (int i = nforward - 1; i >= 0; i--) {
        g->current = g->placed->nodes[i];
        g->context.attr = &g->current.attr;
        if (g->current.op >= YKI_OP_MOVE) {
            if (g->current.edge < 0) adjoint(g);
            continue;
        }
        const yki_op_info *info = yki_op(g->current.op);
        if (info->gradient && (info->root || (g->current.nout > 0 && g->gradient[g->current.out[0]] >= 0)))
            info->gradient(&g->context);
    }
    for (int e = 0; e < plan->nedges; e++) {
        yki_edge *edge = &plan->edges[e];
        if (edge->to != part) continue;
        bool flows = edge->imported >= 0 && g->placed->values[edge->imported].wants;
        int value = flows ? g->gradient[edge->imported] : -1;
        assert(!flows ||
               value >= 0); /* of a model without a loss that depends on its layers there is no plan */
        if (value >= 0 && !is_own(g, value)) value = own_copy(g, value);
        edge->gradient_sent = value;
        if (value >= 0) g->placed->values[value].moved = g->placed->values[value].kept = true;
        send(g, YKI_BODY_B, e, value, true);
    }
}

yoke_status yki_grad_lane(yki_plan *plan, int lane, int class)
{
    int nparameters = plan->options.model->nparameters;
    for (int part = 0; part < plan->nparts; part++) {
        yki_placed *placed = &plan->placed[class][part];
        part_grad g = {.plan = plan, .placed = placed, .lane = lane};
        g.context = (yki_grad_context){.in = node_in,
                                       .out = node_out,
                                       .dout = node_dout,
                                       .wanted = wanted,
                                       .emit = emit,
                                       .emit_several = emit_several,
                                       .emit_parameter = emit_parameter,
                                       .taken = taken,
                                       .over_replicas = over_replicas,
                                       .attend_back = attend_back,
                                       .give = give};
        int nforward = placed->nnodes;
        YKI_TRY(yki_recompute_find(plan, part, placed, &g.recompute));
        forward_copies(&g, part);
        g.gradient = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(placed->nvalues + 1));
        g.whole = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(nparameters + 1));
        if (plan->arena.failed) return yki_fail_memory("a plan");
        for (int i = 0; i < placed->nvalues; i++) g.gradient[i] = -1;
        for (int i = 0; i < nparameters; i++) g.whole[i] = -1;
        int first = placed->nnodes;
        if (yki_plan_trains(plan)) backward(&g, part, nforward);
        yki_start_gathers(placed, first, placed->nnodes);
        if (plan->zero >= 2 && !yki_scatter_gradients(plan, placed, g.whole))
            return yki_fail_memory("a plan");
        if (plan->arena.failed) return yki_fail_memory("a plan");
    }
    return YOKE_OK;
}
