/* Bodies: the instructions of each part and action kind, their operands, and where movements are waited for:
 * along an axis as late as what needs them allows, so that others compute meanwhile; copies before all else.
 */
#include <string.h>

#include "plan/builder.h"

yki_operand yki_make_operand(yki_builder *b, const yki_placed *placed, int index, const yki_word *word,
                             const yki_attr *attr, yki_body body, const yki_part_storage *storage)
{
    const yki_placed_value *value = &placed->values[index];
    yki_view view = yki_word_view(word, attr, yki_placed_dtype(b->plan, value), value->per_sample,
                                  value->ndim, value->dims);
    yki_operand operand = {.dtype = view.dtype, .per_sample = value->per_sample, .ndim = view.ndim};
    memcpy(operand.dims, view.dims, sizeof operand.dims);
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

static void make_instruction(yki_builder *b, const yki_placed *placed, const yki_placed_node *node,
                             yki_body body, const yki_part_storage *storage, yki_instruction *in)
{
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
                            .adds = node->adds,
                            .axis = node->axis,
                            .request = -1,
                            .back = node->back,
                            .cut = node->cut,
                            .exchange = node->exchange,
                            .reduction = node->reduction,
                            .number = -1};
    in->ninputs = yki_op_inputs(node->op, node->nin);
    in->noperands = in->ninputs + node->nout;
    for (int i = 0; i < in->noperands; i++) {
        int value = i < in->ninputs ? node->in[i] : node->out[i - in->ninputs];
        if (value < 0 || (node->skip_bias && i == 2)) continue; /* absent */
        in->operands[i] = yki_make_operand(b, placed, value, yki_op_word(node->op, i), attr, body, storage);
    }
    for (int i = 0; i < node->nout && i < 2; i++)
        if (placed->values[node->out[i]].is_gradient)
            in->gradient[i] = placed->values[node->out[i]].parameter;
    if (node->op < YKI_KERNEL_COUNT) in->number = b->program->nkernels++;
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

/* The tensors of an instruction that moves shards. */
static void make_pieces(body_maker *m, const int *nodes, int count, yki_instruction *in)
{
    in->pieces = yki_arena_alloc(&m->b->plan->arena, sizeof *in->pieces * (size_t)count);
    in->npieces = count;
    in->first_piece = m->b->program->npieces;
    m->b->program->npieces += count;
    for (int i = 0; i < count && in->pieces; i++) {
        const yki_placed_node *node = &m->placed->nodes[nodes[i]];
        bool scatters = yki_scatters_gradient(node);
        int mine = scatters ? node->out[0] : node->in[0], all = scatters ? node->in[0] : node->out[0];
        in->pieces[i] = (yki_moved_piece){
            yki_make_operand(m->b, m->placed, mine, NULL, NULL, m->body, m->storage),
            yki_make_operand(m->b, m->placed, all, NULL, NULL, m->body, m->storage), node->cut};
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
    if (node->shards) make_pieces(m, nodes, count, in);
    in->phase = YKI_PHASE_START;
    in->request = m->f.requests;
    m->f.list[m->f.count++] = (struct flight){nodes, count, m->code->count - 1, m->f.requests++};
}

/* The gradients that a body completes, in buckets: each is reduced along dp while the backward pass goes on.
 */
typedef struct buckets {
    int *last; /* by the program's parameter: the last node of the body that writes its gradient, if it is to
                  be in a bucket; -1 */
    int *list; /* of the bucket under way */
    int count;
    int64_t bytes;
} buckets;

enum { USUAL_BUCKET_BYTES = 4 << 20 };

/* Whether a part of the stage other than `part` writes to a parameter's gradient too. */
static bool written_elsewhere(const yki_builder *b, int part, int parameter)
{
    for (int c = 0; c < b->program->nparts; c++) {
        const yki_placed *placed = &b->plan->placed[b->program->lane][b->program->parts[c].part];
        for (int v = 0; v < placed->nvalues && b->program->parts[c].part != part; v++)
            if (placed->values[v].is_gradient && placed->values[v].parameter == parameter) return true;
    }
    return false;
}

static bool find_buckets(const body_maker *m, int part, buckets *k)
{
    yki_plan *plan = m->b->plan;
    yki_program *program = m->b->program;
    bool writes = m->body == YKI_BODY_W || m->body == YKI_BODY_BW;
    k->last = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(program->nparameters + 1));
    k->list = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(program->nparameters + 1));
    if (!k->last || !k->list) return false;
    for (int i = 0; i < program->nparameters; i++) k->last[i] = -1;
    if (!writes || plan->mesh.degree[YKI_AXIS_DP] == 1 || plan->zero > 1) return true;
    for (int i = 0; i < m->storage->count[m->body]; i++) {
        const yki_placed_node *node = &m->placed->nodes[m->storage->order[m->body][i]];
        for (int o = 0; o < node->nout; o++) {
            const yki_placed_value *value = &m->placed->values[node->out[o]];
            if (value->is_gradient && !written_elsewhere(m->b, part, value->parameter))
                k->last[program->local_of[value->parameter]] = i;
        }
    }
    return true;
}

static void end_bucket(body_maker *m, buckets *k)
{
    yki_program *program = m->b->program;
    int *list = yki_arena_alloc(&m->b->plan->arena, sizeof(int) * (size_t)(k->count + 1));
    if (k->count == 0 || !list) return;
    memcpy(list, k->list, sizeof(int) * (size_t)k->count);
    yki_move kind = m->b->plan->zero == 1 ? YKI_MOVE_REDUCE_SCATTER : YKI_MOVE_ALL_REDUCE;
    m->code->instructions[m->code->count++] = (yki_instruction){.op = YKI_OP_MOVE + (int)kind,
                                                                .layer = -1,
                                                                .gradient = {-1, -1},
                                                                .edge = -1,
                                                                .axis = YKI_AXIS_DP,
                                                                .request = -1,
                                                                .number = -1,
                                                                .nbucket = k->count,
                                                                .bucket = list,
                                                                .first_bucketed = program->nbucketed};
    program->nbucketed += k->count;
    for (int i = 0; i < k->count; i++) program->parameters[list[i]].bucketed = true;
    k->count = 0;
    k->bytes = 0;
}

/* After node `at` of the body: what it completes goes into the bucket. */
static void fill_bucket(body_maker *m, int at, buckets *k)
{
    const yki_program *program = m->b->program;
    const yki_placed_node *node = &m->placed->nodes[m->storage->order[m->body][at]];
    for (int o = 0; o < node->nout; o++) {
        const yki_placed_value *value = &m->placed->values[node->out[o]];
        int local = value->is_gradient ? program->local_of[value->parameter] : -1;
        if (local < 0 || local >= program->nparameters || k->last[local] != at) continue;
        k->list[k->count++] = local;
        k->bytes += 4 * program->parameters[local].elems;
    }
    int64_t enough = m->b->plan->options.layout.bucket_bytes;
    if (k->bytes >= (enough > 0 ? enough : USUAL_BUCKET_BYTES)) end_bucket(m, k);
}

static bool make_body(yki_builder *b, yki_part_program *part, const yki_part_storage *storage, yki_body body)
{
    body_maker m = {.b = b,
                    .placed = &b->plan->placed[b->program->lane][part->part],
                    .storage = storage,
                    .body = body,
                    .code = &part->body[body]};
    buckets k = {0};
    size_t most = 3 * (size_t)storage->count[body] + 2;
    m.f.list = yki_arena_alloc(&b->plan->arena, sizeof *m.f.list * most);
    m.code->instructions = yki_arena_alloc(&b->plan->arena, sizeof *m.code->instructions * most);
    if (!m.code->instructions || !m.f.list || !find_buckets(&m, part->part, &k)) return false;
    for (int i = 0, count; i < storage->count[body]; i += count) {
        count = together(&m, i);
        if (!yki_is_alias(m.placed->nodes[storage->order[body][i]].op))
            add_instruction(&m, &storage->order[body][i], count);
        fill_bucket(&m, i, &k);
    }
    end_bucket(&m, &k);
    wait_before(&m, NULL);
    if (m.f.requests > b->program->nrequests) b->program->nrequests = m.f.requests;
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
    part->last_weight = -1;
    for (int i = 0; i < count; i++) {
        if (actions[i].chunk != b->plan->chunk_of[part->part]) continue;
        part->present[bodies[actions[i].kind]] = true;
        if (actions[i].kind == YOKE_ACTION_W || actions[i].kind == YOKE_ACTION_BW) part->last_weight = i;
    }
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
    *launch = (yki_launch){.kernel = (yki_kernel)in->op, .attr = in->attr, .nviews = in->noperands};
    for (int i = 0; i < in->noperands; i++) launch->views[i] = yki_operand_view(&in->operands[i], n);
}
