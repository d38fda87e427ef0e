/* A model that generates. Its layers are those that were trained, and what was a sample is a row: one token
 * of any sequence. A prompt is rows, a token that was just drawn is one, and several sequences are rows
 * together: so one program does all of it (docs/decisions). What must know more of a row than itself is
 * another operator, which is given each row's slot in the cache and position (yki_op_info: recalls). */
#include <string.h>

#include "base/fail.h"
#include "graph/ops.h"

typedef struct rebuild {
    yoke_model *model;
    const yki_node *before; /* its nodes */
    int nbefore, *now;      /* now: by value before, what stands for it */
    int last;               /* the value before of which single rows go on to the output */
    int picked;             /* those rows; -1: not made yet */
} rebuild;

/* The only input that is no parameter; -1: there are several. */
static int only_input(const yoke_model *model, const yki_node *node)
{
    int found = -1;
    for (int i = 0; i < node->nin; i++) {
        if (node->in[i] < 0 || model->values[node->in[i]].parameter >= 0) continue;
        if (found >= 0) return -1;
        found = node->in[i];
    }
    return found;
}

/* From the output back as long as each row is worked on by itself, and nothing else is read: of what stands
 * there, the rows that nobody asks for need not go on. */
static int last_of_all_rows(const yoke_model *model)
{
    int value = model->output;
    for (;;) {
        const yki_node *node = &model->nodes[model->values[value].producer];
        int input = only_input(model, node);
        if (input < 0 || input == model->input || yki_op(node->op)->tokens != YKI_TOKENS_APART ||
            yki_op(node->op)->recalls)
            return value;
        value = input;
    }
}

static int source(yoke_model *model, int op, bool per_sample, int64_t dim)
{
    yki_graph_node(model, op, NULL, 0, NULL);
    if (model->error.status != YOKE_OK) return -1;
    int value = yki_graph_value(model, YKI_ROLE_INDEX, per_sample, 1, &dim);
    yki_node *node = &model->nodes[model->nnodes - 1];
    node->out[node->nout++] = value;
    node->layer = -1;
    return value;
}

/* What stands for an input of a node. */
static int input_of(rebuild *r, const yki_node *node, int i)
{
    int value = node->in[i];
    if (value < 0 || r->model->values[value].parameter >= 0) return value;
    if (value != r->last) return r->now[value];
    if (r->picked < 0) {
        r->picked =
            yki_graph_node(r->model, YKI_KERNEL_PICK, NULL, 2, (int[]){r->now[value], r->model->picked});
        r->model->nodes[r->model->nnodes - 1].layer = node->layer;
    }
    return r->picked;
}

static void take_node(rebuild *r, const yki_node *node)
{
    const yki_op_info *info = yki_op(node->op);
    int in[YKI_MAX_INPUTS], nin = node->nin;
    if (node->op == YKI_OP_MOVE + YKI_MOVE_COPY) {
        r->now[node->out[0]] = input_of(r, node, 0);
        return;
    }
    for (int i = 0; i < nin; i++) in[i] = input_of(r, node, i);
    if (info->recalls) in[nin++] = r->model->places;
    yki_graph_node_cut(r->model, info->recalls ? info->recalls : node->op, &node->attr, nin, in,
                       node->sections, node->unit);
    if (r->model->error.status != YOKE_OK) return;
    yki_node *made = &r->model->nodes[r->model->nnodes - 1];
    made->layer = node->layer;
    made->even = node->even;
    for (int i = 0; i < node->nout && i < made->nout; i++) r->now[node->out[i]] = made->out[i];
}

static yoke_status check_nodes(const yoke_model *model)
{
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        const yki_op_info *info = yki_op(node->op);
        bool mixes = info->tokens == YKI_TOKENS_MIXED || info->tokens == YKI_TOKENS_KEPT;
        if (!info->of_loss && (mixes || (info->attends && (!node->attr.causal || !info->recalls))))
            return yki_fail(YOKE_INVALID,
                            "layer '%s' looks at tokens that come later, so the model cannot go on from a "
                            "text token by token",
                            node->layer >= 0 ? model->layers[node->layer].name : "input");
    }
    return YOKE_OK;
}

yoke_status yki_graph_recall(yoke_model *model, int64_t slots, int64_t room)
{
    if (!model->is_sequence || model->loss != YOKE_CROSS_ENTROPY)
        return yki_fail(YOKE_INVALID, "the model does not go on from tokens with tokens");
    YKI_TRY(check_nodes(model));
    rebuild r = {.model = model, .before = model->nodes, .nbefore = model->nnodes, .picked = -1};
    r.last = last_of_all_rows(model);
    r.now = yki_arena_alloc(&model->arena, sizeof *r.now * (size_t)model->nvalues);
    if (!r.now) return yki_fail_memory("a model");
    model->nodes = NULL, model->nnodes = model->cnodes = 0;
    model->finished = false;
    model->slots = slots, model->room = room;
    model->places = source(model, YKI_OP_PLACES, true, 2);
    model->picked = source(model, YKI_OP_PICKED, false, slots);
    for (int i = 0; i < r.nbefore && model->error.status == YOKE_OK; i++) {
        const yki_node *node = &r.before[i];
        if (node->op == YKI_OP_INPUT) {
            yki_node *same = YKI_APPEND(&model->arena, model, nodes);
            if (!same) return yki_fail_memory("a model");
            *same = *node;
            r.now[model->input] = model->input;
            model->values[model->input].producer = model->nnodes - 1;
        } else if (node->op != YKI_OP_TARGET && !yki_op(node->op)->of_loss) {
            take_node(&r, node);
        }
    }
    YKI_TRY(yoke_model_status(model));
    model->output = r.now[model->output];
    model->target = -1;
    model->finished = true;
    return YOKE_OK;
}
