/* Bodies: the instructions of each part and action kind, their operands, and where movements are waited for:
 * along an axis as late as what needs them allows, so that others compute meanwhile; copies before all else.
 */
#include <string.h>

#include "plan/builder.h"

/* How a kernel is to see a value. */
yki_operand yki_make_operand(yki_builder *b, const yki_placed *placed, const yki_placed_node *node, int index,
                             yki_body body, const yki_part_storage *storage)
{
    const yki_placed_value *value = &placed->values[index];
    yki_rank_view form = yki_op(node->op)->view;
    yki_operand operand = {.dtype = yki_placed_dtype(b->plan, value),
                           .per_sample = value->per_sample,
                           .ndim = value->ndim,
                           .form = value->per_row && form == YKI_VIEW_ROWS ? YKI_VIEW_FLAT : form};
    memcpy(operand.dims, value->dims, sizeof operand.dims);
    if (value->parameter >= 0) {
        operand.space = value->is_gradient ? YKI_SPACE_GRADIENT : YKI_SPACE_WEIGHT;
        operand.index = b->program->local_of[value->parameter];
        return operand;
    }
    const yki_storage *it = &storage->storages[value->storage];
    operand.space = it->space;
    operand.index = it->edge;
    operand.offset = it->space == YKI_SPACE_TEMP ? it->offset[body] : it->offset[0];
    return operand;
}

/* attention sees qkv as [n,T,3,H,d] and y as [n,T,H,d], grouped attention and rope heads as [n,T,H,d]; a
 * slice is [n*outer, size, inner] */
static void reshape_operands(const yki_placed *placed, const yki_placed_node *node, yki_instruction *in)
{
    if (node->op == YKI_KERNEL_ATTENTION || node->op == YKI_KERNEL_ATTENTION_GRAD) {
        bool gradient = node->op == YKI_KERNEL_ATTENTION_GRAD;
        const yki_placed_value *lse = &placed->values[gradient ? node->in[3] : node->out[1]];
        int64_t heads = lse->dims[0];
        for (int i = 0; i < in->noperands; i++) {
            yki_operand *o = &in->operands[i];
            int value = i < node->nin ? node->in[i] : node->out[i - node->nin];
            const yki_placed_value *v = &placed->values[value];
            bool qkv = gradient ? i == 1 || i == 4 : i == 0;
            if (v->role == YKI_ROLE_STATISTIC) continue;
            int64_t d = v->dims[1] / heads / (qkv ? 3 : 1);
            o->ndim = qkv ? 4 : 3;
            int64_t dims[4] = {v->dims[0], qkv ? 3 : heads, qkv ? heads : d, d};
            memcpy(o->dims, dims, sizeof dims);
        }
    }
    bool heads = node->op == YKI_KERNEL_ROPE || node->op == YKI_KERNEL_GQA || node->op == YKI_KERNEL_GQA_GRAD;
    for (int i = 0; i < in->noperands && heads; i++) {
        int value = i < node->nin ? node->in[i] : node->out[i - node->nin];
        yki_operand *o = &in->operands[i];
        if (placed->values[value].role == YKI_ROLE_STATISTIC) continue;
        o->ndim = 3;
        o->dims[2] = node->attr.width;
        o->dims[1] = placed->values[value].dims[1] / node->attr.width;
    }
    if (node->op == YKI_KERNEL_COPY_SLICE)
        for (int i = 0; i < 2; i++) {
            yki_operand *o = &in->operands[i];
            o->form = YKI_VIEW_WHOLE;
            o->ndim = 2;
            o->dims[0] = i == 0 ? node->attr.global : node->attr.local;
            o->dims[1] = node->attr.inner;
        }
}

static void make_instruction(yki_builder *b, const yki_placed *placed, const yki_placed_node *node,
                             yki_body body, const yki_part_storage *storage, yki_instruction *in)
{
    const yki_op_info *info = yki_op(node->op);
    yki_attr *attr = yki_arena_alloc(&b->plan->arena, sizeof *attr);
    if (!attr) return;
    *attr = node->attr;
    *in = (yki_instruction){.op = node->op,
                            .layer = node->layer,
                            .attr = attr,
                            .gradient = {-1, -1},
                            .edge = node->edge,
                            .sends = node->sends,
                            .gradient_copy = node->gradient_copy,
                            .counts_loss = node->counts_loss,
                            .axis = node->axis,
                            .request = -1,
                            .cut = node->cut,
                            .reduction = node->reduction,
                            .number = -1};
    int kernel_inputs = info->kernel_inputs ? info->kernel_inputs : node->nin;
    for (int i = 0; i < kernel_inputs; i++) {
        bool absent = node->in[i] < 0 || (node->skip_bias && i == 2);
        in->operands[in->noperands++] =
            absent ? (yki_operand){0} : yki_make_operand(b, placed, node, node->in[i], body, storage);
    }
    in->ninputs = in->noperands;
    for (int i = 0; i < node->nout; i++) {
        const yki_placed_value *value = &placed->values[node->out[i]];
        if (value->is_gradient && i < 2) in->gradient[i] = value->parameter;
        in->operands[in->noperands++] = yki_make_operand(b, placed, node, node->out[i], body, storage);
    }
    reshape_operands(placed, node, in);
    if (node->op < YKI_KERNEL_COUNT) in->number = b->program->nkernels++;
}

/* Nodes that compute nothing and move nothing: their output is their input. */
static bool is_nothing(const yki_placed_node *node)
{
    return node->op == YKI_OP_RESHAPE || node->op == YKI_OP_MOVE + YKI_MOVE_BROADCAST;
}

/* Movements of the body that are under way. */
typedef struct flights {
    struct flight {
        int in, out; /* storages; -1 */
        int at;      /* the instruction that started it */
        int request; /* its number in the body */
        bool copies; /* from another part */
    } * list;
    int count, requests;
} flights;

static int storage_of(const yki_placed *placed, int value)
{
    return value < 0 ? -1 : placed->values[value].storage;
}

static void wait_for(yki_code *code, flights *f, int i)
{
    const yki_instruction *start = &code->instructions[f->list[i].at];
    code->instructions[code->count] = *start;
    code->instructions[code->count++].phase = YKI_PHASE_WAIT;
    f->count--;
    for (; i < f->count; i++) f->list[i] = f->list[i + 1];
}

/* A movement that others may compute beside: not a send (its wait is the next use of its channel). */
static bool flies(const yki_placed_node *node)
{
    return node->op >= YKI_OP_MOVE && !node->sends;
}

/* Waits, in the order of the starts, for every movement that a node must not get ahead of; NULL: for all. */
static void wait_before(yki_code *code, const yki_placed *placed, const yki_placed_node *node, flights *f)
{
    for (int i = 0; i < f->count;) {
        /* All copies are received before the first instruction that is none: that a message came is what
           proves the buffers free that the body writes, and the ones it took from others (slots.c). */
        bool receives = node && flies(node) && node->edge >= 0;
        bool touched = !node || (f->list[i].copies && !receives);
        for (int k = 0; node && k < node->nin + node->nout; k++) {
            int storage = storage_of(placed, k < node->nin ? node->in[k] : node->out[k - node->nin]);
            touched |=
                storage >= 0 && (storage == f->list[i].out || (k >= node->nin && storage == f->list[i].in));
        }
        if (touched)
            wait_for(code, f, i);
        else
            i++;
    }
}

static bool make_body(yki_builder *b, yki_part_program *part, const yki_part_storage *storage, yki_body body)
{
    const yki_placed *placed = &b->plan->placed[b->program->lane][part->part];
    yki_code *code = &part->body[body];
    size_t most = 2 * (size_t)storage->count[body] + 1;
    flights f = {.list = yki_arena_alloc(&b->plan->arena, sizeof *f.list * most)};
    code->instructions = yki_arena_alloc(&b->plan->arena, sizeof *code->instructions * most);
    if (!code->instructions || !f.list) return false;
    for (int i = 0; i < storage->count[body]; i++) {
        const yki_placed_node *node = &placed->nodes[storage->order[body][i]];
        if (is_nothing(node)) continue;
        wait_before(code, placed, node, &f);
        /* a comm holds the last few operations, counted from their starts */
        while (flies(node) && f.count > 0 && f.requests - f.list[0].request >= YKI_COMM_OUTSTANDING - 1)
            wait_for(code, &f, 0);
        yki_instruction *in = &code->instructions[code->count++];
        make_instruction(b, placed, node, body, storage, in);
        if (!flies(node)) continue;
        in->phase = YKI_PHASE_START;
        in->request = f.requests;
        f.list[f.count++] = (struct flight){node->nin > 0 ? storage_of(placed, node->in[0]) : -1,
                                            node->nout > 0 ? storage_of(placed, node->out[0]) : -1,
                                            code->count - 1, f.requests++, node->edge >= 0};
    }
    wait_before(code, placed, NULL, &f);
    if (f.requests > b->program->nrequests) b->program->nrequests = f.requests;
    return true;
}

bool yki_make_bodies(yki_builder *b, yki_part_program *part, const yki_part_storage *storage)
{
    static const yki_body bodies[] = {[YOKE_ACTION_F] = YKI_BODY_F,
                                      [YOKE_ACTION_B] = YKI_BODY_B,
                                      [YOKE_ACTION_W] = YKI_BODY_W,
                                      [YOKE_ACTION_BW] = YKI_BODY_BW};
    int count;
    const yoke_action *actions = yoke_schedule_actions(b->plan->schedule, b->program->stage, &count);
    for (int i = 0; i < count; i++)
        if (actions[i].chunk == b->plan->chunk_of[part->part]) part->present[bodies[actions[i].kind]] = true;
    for (int body = 0; body < YKI_BODY_COUNT; body++)
        if (part->present[body] && !make_body(b, part, storage, (yki_body)body)) return false;
    return !b->plan->arena.failed;
}

yki_view yki_operand_view(const yki_operand *operand, int64_t n)
{
    if (operand->space == YKI_SPACE_NONE) return (yki_view){0};
    return yki_view_of(operand->form, operand->dtype, operand->per_sample, n, operand->ndim, operand->dims);
}

void yki_instruction_shapes(const yki_instruction *in, int64_t n, yki_launch *launch)
{
    *launch = (yki_launch){.kernel = (yki_kernel)in->op, .attr = in->attr, .nviews = in->noperands};
    for (int i = 0; i < in->noperands; i++) launch->views[i] = yki_operand_view(&in->operands[i], n);
}
