/* Bodies: the instructions of each part and action kind, their operands, and where movements are waited for:
 * along an axis as late as what needs them allows, so that others compute meanwhile; copies before all else.
 */
#include <string.h>

#include "plan/buckets.h"
#include "plan/tail.h"

yki_operand yki_make_operand(yki_builder *b, const yki_placed *placed, int index, const yki_word *word,
                             const yki_attr *attr, yki_body body, const yki_part_storage *storage)
{
    const yki_placed_value *value = &placed->values[index];
    yki_view view = yki_word_view(word, attr, yki_placed_dtype(b->plan, value), value->per_sample,
                                  value->ndim, value->dims);
    yki_operand operand = {
        .value = index, .dtype = view.dtype, .per_sample = value->per_sample, .ndim = view.ndim};
    memcpy(operand.dims, view.dims, sizeof operand.dims);
    if (value->parameter >= 0) {
        operand.space = value->is_gradient ? YKI_SPACE_GRADIENT : YKI_SPACE_WEIGHT;
        operand.index = b->program->local_of[value->parameter];
        return operand;
    }
    if (value->cached) {
        operand.space = YKI_SPACE_CACHE;
        operand.offset = value->offset;
        return operand;
    }
    const yki_storage *it = &storage->storages[value->storage];
    operand.space = it->space;
    operand.index = it->edge;
    operand.offset = it->space == YKI_SPACE_TEMP ? it->offset[body] : it->offset[0];
    return operand;
}

/* What is particular to the instruction's kind; operands are there. */
static void make_particulars(yki_builder *b, const yki_placed *placed, const yki_placed_node *node,
                             const yki_attr *attr, int ninputs, yki_instruction *in)
{
    if (node->op < YKI_KERNEL_COUNT) {
        in->kind = YKI_DO_KERNEL;
        in->as.kernel = (struct yki_do_kernel){.attr = attr,
                                               .node = (int)(node - placed->nodes),
                                               .number = b->program->nkernels++,
                                               .ninputs = ninputs,
                                               .counts_loss = node->counts_loss,
                                               .again = node->again,
                                               .adds = node->adds};
        for (int i = 0; i < node->nout; i++)
            in->as.kernel.writes_gradients |= placed->values[node->out[i]].is_gradient;
    } else if (node->op < YKI_OP_MOVE) {
        in->kind = YKI_DO_LOAD;
    } else if (node->edge >= 0) {
        in->kind = YKI_DO_COPY;
        in->as.copy = (struct yki_do_copy){node->edge, node->sends, node->gradient_copy};
    } else if (!node->shards) {
        in->kind = YKI_DO_MOVE;
        in->as.move = (struct yki_do_move){.group = (int)node->axis,
                                           .back = node->back,
                                           .cut = node->cut,
                                           .exchange = node->exchange,
                                           .reduction = node->reduction};
    } else {
        in->kind = YKI_DO_MOVE_STATES;
        in->as.move_states = (struct yki_do_move_states){.group = YKI_GROUP_SHARDS};
    }
}

static void make_instruction(yki_builder *b, const yki_placed *placed, const yki_placed_node *node,
                             yki_body body, const yki_part_storage *storage, yki_instruction *in)
{
    int ninputs = yki_op_inputs(node->op, node->nin);
    yki_attr *attr = yki_arena_alloc(&b->plan->arena, sizeof *attr);
    *attr = node->attr;
    *in = (yki_instruction){.op = node->op, .layer = node->layer, .request = -1};
    if (!node->shards) {
        in->noperands = ninputs + node->nout;
        in->operands = yki_arena_alloc(&b->plan->arena, sizeof *in->operands * (size_t)(in->noperands + 1));
    }
    for (int i = 0; i < in->noperands; i++) {
        int value = i < ninputs ? node->in[i] : node->out[i - ninputs];
        if (value < 0 || (node->skip_bias && i == 2)) continue; /* absent */
        in->operands[i] = yki_make_operand(b, placed, value, yki_op_word(node->op, i), attr, body, storage);
    }
    make_particulars(b, placed, node, attr, ninputs, in);
}

/* Movements of the body that are under way. */
typedef struct flights {
    struct flight {
        const int *nodes; /* what it moves; several are parameters of one layer, or their gradients */
        int count;
        int at;      /* the instruction that started it */
        int request; /* its number in the body */
    } * list;
    int count, requests;
} flights;

typedef struct body_maker {
    yki_builder *b;
    const yki_placed *placed;
    const yki_part_storage *storage;
    yki_body body;
    yki_code *code;
    flights f;
} body_maker;

static int storage_of(const yki_placed *placed, int value)
{
    return value < 0 ? -1 : placed->values[value].storage;
}

static void wait_for(body_maker *m, int i)
{
    flights *f = &m->f;
    const yki_instruction *start = &m->code->instructions[f->list[i].at];
    m->code->instructions[m->code->count] = *start;
    m->code->instructions[m->code->count++].phase = YKI_PHASE_WAIT;
    f->count--;
    for (; i < f->count; i++) f->list[i] = f->list[i + 1];
}

/* A movement that others may compute beside: not a send (its wait is the next use of its channel). */
static bool flies(const yki_placed_node *node)
{
    return node->op >= YKI_OP_MOVE && !node->sends;
}

/* Whether a node reads or writes what a movement writes, or writes what it reads. */
static bool meets(const yki_placed *placed, const yki_placed_node *node, const yki_placed_node *moves)
{
    int in = moves->nin > 0 ? storage_of(placed, moves->in[0]) : -1,
        out = moves->nout > 0 ? storage_of(placed, moves->out[0]) : -1;
    for (int k = 0; k < node->nin + node->nout; k++) {
        int storage = storage_of(placed, k < node->nin ? node->in[k] : node->out[k - node->nin]);
        if (storage >= 0 && (storage == out || (k >= node->nin && storage == in))) return true;
    }
    return false;
}

/* Whether a movement must have ended before a node. */
static bool must_end(const body_maker *m, const yki_placed_node *node, const struct flight *flight)
{
    const yki_placed_node *first = &m->placed->nodes[flight->nodes[0]];
    /* All copies are received before the first instruction that is none: that a message came is what proves
       the buffers free that the body writes, and the ones it took from others (slots.c). */
    if (first->edge >= 0 && !(flies(node) && node->edge >= 0)) return true;
    if (yki_scatters_gradient(first) && yki_scatters_gradient(node))
        return true; /* storage.c: first_reader */
    for (int i = 0; i < flight->count; i++)
        if (meets(m->placed, node, &m->placed->nodes[flight->nodes[i]])) return true;
    return false;
}

/* Waits, in the order of the starts, for every movement that a node must not get ahead of; NULL: for all. */
static void wait_before(body_maker *m, const yki_placed_node *node)
{
    for (int i = 0; i < m->f.count;)
        if (!node || must_end(m, node, &m->f.list[i]))
            wait_for(m, i);
        else
            i++;
}

/* How many nodes from order[at] on are moved as one: a layer's parameters. */
static int together(const body_maker *m, int at)
{
    const int *order = m->storage->order[m->body];
    const yki_placed_node *first = &m->placed->nodes[order[at]];
    int end = at + 1;
    while (first->shards && end < m->storage->count[m->body]) {
        const yki_placed_node *node = &m->placed->nodes[order[end]];
        if (!node->shards || node->op != first->op || node->layer != first->layer) break;
        end++;
    }
    return end - at;
}

/* The parameters of an instruction that moves shards: between what the rank keeps and temporary memory. */
static void make_pieces(body_maker *m, const int *nodes, int count, struct yki_do_move_states *move)
{
    const yki_placed *placed = m->placed;
    yki_program *program = m->b->program;
    move->pieces = yki_arena_alloc(&m->b->plan->arena, sizeof *move->pieces * (size_t)count);
    move->npieces = count;
    move->first_piece = program->npieces;
    program->npieces += count;
    for (int i = 0; i < count; i++) {
        const yki_placed_node *node = &placed->nodes[nodes[i]];
        bool scatters = yki_scatters_gradient(node);
        int mine = scatters ? node->out[0] : node->in[0], all = scatters ? node->in[0] : node->out[0];
        move->tensor = scatters ? YKI_TENSOR_GRADIENT : YKI_TENSOR_WEIGHT;
        move->dtype = yki_placed_dtype(m->b->plan, &placed->values[mine]);
        move->pieces[i] =
            (yki_state_piece){.parameter = program->local_of[placed->values[mine].parameter],
                              .all = yki_make_operand(m->b, placed, all, NULL, NULL, m->body, m->storage)};
    }
}

static void add_instruction(body_maker *m, const int *nodes, int count)
{
    const yki_placed_node *node = &m->placed->nodes[nodes[0]];
    wait_before(m, node);
    /* a comm holds the last few operations, counted from their starts */
    while (flies(node) && m->f.count > 0 && m->f.requests - m->f.list[0].request >= YKI_COMM_OUTSTANDING - 1)
        wait_for(m, 0);
    yki_instruction *in = &m->code->instructions[m->code->count++];
    make_instruction(m->b, m->placed, node, m->body, m->storage, in);
    if (!flies(node)) return;
    if (node->shards) make_pieces(m, nodes, count, &in->as.move_states);
    in->phase = YKI_PHASE_START;
    in->request = m->f.requests;
    m->f.list[m->f.count++] = (struct flight){nodes, count, m->code->count - 1, m->f.requests++};
}

static bool make_body(yki_builder *b, yki_part_program *part, const yki_part_storage *storage, yki_body body)
{
    body_maker m = {.b = b,
                    .placed = &b->plan->placed[b->program->lane_class][part->part],
                    .storage = storage,
                    .body = body,
                    .code = &part->body[body],
                    .f.requests = yki_step_requests(b->plan)};
    yki_buckets k;
    size_t most = 3 * (size_t)storage->count[body] + 2 * (size_t)b->program->nparameters + 2;
    m.f.list = yki_arena_alloc(&b->plan->arena, sizeof *m.f.list * most);
    m.code->instructions = yki_arena_alloc(&b->plan->arena, sizeof *m.code->instructions * most);
    if (!m.code->instructions || !m.f.list) return false;
    yki_buckets_begin(b, part, storage, body, &k);
    for (int i = 0, count; i < storage->count[body]; i += count) {
        count = together(&m, i);
        if (!yki_is_alias(m.placed->nodes[storage->order[body][i]].op))
            add_instruction(&m, &storage->order[body][i], count);
        yki_buckets_fill(&k, m.storage->order[body][i], m.code);
    }
    yki_buckets_end(&k, m.code);
    wait_before(&m, NULL);
    if (m.f.requests > b->program->nrequests) b->program->nrequests = m.f.requests;
    return true;
}

/* What the part's actions run, and when. */
void yki_find_bodies(yki_builder *b, yki_part_program *part)
{
    const yki_program *program = b->program;
    part->last_weight = -1;
    for (int body = 0; body < YKI_BODY_COUNT; body++) part->first_action[body] = -1;
    for (int i = 0; i < program->nactions; i++) {
        const yoke_action *action = &program->actions[i];
        yki_body body = yki_action_body(action);
        if (action->chunk != b->plan->chunk_of[part->part]) continue;
        if (part->first_action[body] < 0) part->first_action[body] = i;
        part->present[body] = true;
        if (body == YKI_BODY_W || body == YKI_BODY_BW) part->last_weight = i;
    }
}

bool yki_make_bodies(yki_builder *b, yki_part_program *part, const yki_part_storage *storage)
{
    for (int body = 0; body < YKI_BODY_COUNT; body++)
        if (part->present[body] && !make_body(b, part, storage, (yki_body)body)) return false;
    return !b->plan->arena.failed;
}

yki_view yki_operand_view(const yki_operand *operand, int64_t n)
{
    yki_view view = {.dtype = operand->dtype, .ndim = operand->ndim};
    if (operand->space == YKI_SPACE_NONE) return (yki_view){0};
    memcpy(view.dims, operand->dims, sizeof view.dims);
    if (operand->per_sample) view.dims[0] *= n;
    return view;
}

void yki_instruction_shapes(const yki_instruction *in, int64_t n, yki_launch *launch)
{
    static const yki_attr none;
    *launch = (yki_launch){.kernel = (yki_kernel)in->op,
                           .attr = in->kind == YKI_DO_KERNEL ? in->as.kernel.attr : &none,
                           .nviews = in->noperands};
    for (int i = 0; i < in->noperands; i++) launch->views[i] = yki_operand_view(&in->operands[i], n);
}
