/* What memory holds while one micro-batch passes a part: F, then B and W, or BW. Every write says which
 * tensor lies there from then on, and every read must find the tensor that it is of, whole and at rest. So
 * what is read was written before, and nobody has overwritten it. Movements hold what they read and write
 * from start to wait; a copy to another stage what it sends until the gradient comes back, and it has
 * arrived. */
#include <string.h>

#include "base/fail.h"
#include "plan/prove/prove.h"
#include "plan/prove/uses.h"

/* A tensor of the part, and where it lies. Instructions are counted over all bodies, from 1. */
typedef struct tensor {
    int64_t elems; /* of one sample, where it is per sample */
    int64_t bytes; /* at the largest n */
    int64_t start;
    yki_dtype dtype;
    int part;           /* what is known of it is of this part, by number; of another: nothing is */
    int root;           /* of several names for one tensor, the first, which alone has the rest */
    int written;        /* when; 0: never, or something lies there now */
    int reader, number; /* the last instruction that read it, and as which of its inputs */
    int request;        /* the movement that is still writing it; -1 */
    int held;           /* how many movements read it */
    bool per_sample;
    uint8_t space;
} tensor;

/* Memory of one space that a tensor was written to: by start, and none overlaps another. */
typedef struct place {
    int64_t start, end;
    int root;
} place;

typedef struct places {
    place *list;
    int nlist, clist;
} places;

/* A copy between stages, as one end of it has it. */
typedef struct message {
    bool known, per_sample;
    yki_dtype dtype;
    int64_t elems; /* -1: it has no bytes */
} message;

/* A movement under way, by its request; what has one of the step's may be so in any body. */
typedef enum owner { NOBODYS, A_BODYS, THE_STEPS } owner;

typedef struct flight {
    owner of;
    int start, number; /* the instruction that began it, -1: none; which one it is among its group's */
} flight;

enum { SPACES = YKI_SPACE_CACHE + 1 };

typedef struct walk {
    yki_prover *p;
    int time;                 /* the instruction, counted over all bodies */
    const yki_placed *placed; /* the part's */
    tensor *tensors;
    int ntensors, part;
    int from[SPACES];       /* since when what was written to a space is there */
    int64_t limits[SPACES]; /* bytes of each space, where it has one size */
    places in[SPACES];
    bool dealt[2];      /* whether devices keep shards alone of weights, and of gradients */
    yki_dtype computes; /* the type of weights */
    flight *flights;
    int cflights;
    int under_way, receiving; /* how many */
    bool works;               /* the body has done something else than to receive */
    int *begun;               /* movements of each group */
    unsigned *outstanding;    /* by group, bits: numbers modulo YKI_COMM_OUTSTANDING */
    int *met, body, copies;   /* by edge: the body that has copied over it; this one, and how often */
    int *degree;              /* by part: its edges */
    message *messages;        /* by edge and direction, of the lane */
    int *sent;                /* by edge: the tensor that is held for it; -1 */
} walk;

/* --- what there is to know of a part --- */

static void begin_tensors(walk *w)
{
    w->placed = yki_prover_placed(w->p);
    w->ntensors = w->placed->nvalues;
    w->part++;
}

static tensor *know(walk *w, int value)
{
    const yki_placed_value *of = &w->placed->values[value];
    tensor *t = &w->tensors[value];
    yki_dtype dtype = yki_placed_dtype(w->p->plan, of);
    int64_t elems = yki_elems_of(of->ndim, of->dims);
    t->elems = elems;
    t->bytes = elems * (of->per_sample ? w->p->plan->largest : 1) * (int64_t)yki_dtype_bytes(dtype);
    t->dtype = dtype;
    t->part = w->part;
    t->root = value;
    t->written = 0; /* what else there is to know is known of those that were written */
    t->per_sample = of->per_sample;
    return t;
}

static inline tensor *tensor_of(walk *w, int value)
{
    tensor *t = &w->tensors[value];
    return t->part == w->part ? t : know(w, value);
}

/* What nobody writes may be another name of what somebody has written. */
static tensor *resolve(walk *w, int value)
{
    const yki_placed *placed = w->placed;
    int root = value, at = placed->values[value].producer;
    for (; at >= 0 && yki_is_alias(placed->nodes[at].op); at = placed->values[root].producer)
        root = placed->nodes[at].in[0];
    tensor_of(w, value)->root = root;
    return tensor_of(w, root);
}

static inline tensor *root_of(walk *w, int value)
{
    tensor *t = tensor_of(w, value);
    return t->root != value ? &w->tensors[t->root] : t->written ? t : resolve(w, value);
}

static const yki_instruction *now(const walk *w)
{
    return &yki_prover_code(w->p)->instructions[w->p->at];
}

/* Bytes of the spaces that have one size in the part. */
static void find_limits(walk *w)
{
    w->limits[YKI_SPACE_TEMP] = w->p->program->workspace_offset - w->p->program->temp_offset;
    w->limits[YKI_SPACE_CACHE] = w->p->program->states_offset;
    for (int g = 0; g < YKI_AREAS; g++) w->limits[YKI_SPACE_STASH + g] = yki_prover_part(w->p)->area_bytes[g];
}

/* Weights, and gradients of weights; no operand is asked about that is none. */
static inline bool is_kept(const yki_operand *operand)
{
    return operand->space <= YKI_SPACE_GRADIENT;
}

/* Where it lies in its space; areas of edges lie far apart. */
static inline int64_t start_of(const yki_operand *operand)
{
    return operand->space == YKI_SPACE_SEND ? (int64_t)operand->index << 44 : operand->offset;
}

static inline int64_t limit_of(const walk *w, const yki_operand *operand)
{
    if (operand->space != YKI_SPACE_SEND) return w->limits[operand->space];
    const yki_program *program = w->p->program;
    int edge = operand->index;
    bool has = edge >= 0 && edge < w->p->plan->nedges && program->send_offset[edge] >= 0;
    return has && operand->offset == 0 ? program->send_bytes[edge] : -1;
}

/* Whether a device keeps it, all of it, in its type. */
static inline bool fits_kept(const walk *w, const yki_operand *operand)
{
    const yki_program *program = w->p->program;
    int index = operand->index;
    bool gradient = operand->space == YKI_SPACE_GRADIENT;
    if (index < 0 || index >= yki_kept_count(program)) return false;
    bool buffer = index >= program->nparameters;
    return program->parameters[index].elems == yki_operand_elems(operand) && !operand->per_sample &&
           operand->dtype == (gradient || buffer ? YKI_F32 : w->computes) && (buffer || !w->dealt[gradient]);
}

/* The tensor that an operand names, if it is that one and lies within its space; NULL: it does not fit. */
static inline tensor *fitting(walk *w, const yki_operand *operand)
{
    if ((unsigned)operand->value >= (unsigned)w->ntensors) return NULL;
    tensor *t = tensor_of(w, operand->value);
    const yki_placed_value *of = &w->placed->values[operand->value];
    bool fits = of->cached == (operand->space == YKI_SPACE_CACHE) &&
                (!of->cached || of->offset == operand->offset) && operand->dtype == t->dtype &&
                operand->per_sample == t->per_sample && yki_operand_elems(operand) == t->elems &&
                operand->offset >= 0 && t->bytes <= limit_of(w, operand) - operand->offset;
    return fits ? t : NULL;
}

static inline bool fits(walk *w, const yki_operand *operand)
{
    return is_kept(operand) ? fits_kept(w, operand) : fitting(w, operand) != NULL;
}

static const char *const types[] = {"f32", "bf16", "i32"};

static yoke_status refuse_kept(walk *w, const yki_operand *operand)
{
    const yki_program *program = w->p->program;
    int index = operand->index, all = yki_kept_count(program);
    if (index < 0 || index >= all) return yki_fault(w->p, NULL, "it names parameter %d of %d", index, all);
    return yki_fault(w->p, operand,
                     "it is taken for %lld elements of %s, and the device keeps others than those of %lld",
                     (long long)yki_operand_elems(operand), types[operand->dtype],
                     (long long)program->parameters[index].elems);
}

/* Why an operand does not fit. */
static yoke_status refuse_operand(walk *w, const yki_operand *operand)
{
    if (is_kept(operand)) return refuse_kept(w, operand);
    if (operand->value < 0 || operand->value >= w->ntensors)
        return yki_fault(w->p, NULL, "it names tensor %d, which its part has not", operand->value);
    const tensor *t = tensor_of(w, operand->value);
    if (operand->dtype != t->dtype || operand->per_sample != t->per_sample ||
        yki_operand_elems(operand) != t->elems)
        return yki_fault(w->p, operand, "it is taken for %lld elements of %s%s, and is %lld of %s%s",
                         (long long)yki_operand_elems(operand), types[operand->dtype],
                         operand->per_sample ? " a sample" : "", (long long)t->elems, types[t->dtype],
                         t->per_sample ? " a sample" : "");
    return yki_fault(w->p, operand, "it lies at %lld .. %lld of a space of %lld bytes",
                     (long long)operand->offset, (long long)(operand->offset + t->bytes),
                     (long long)limit_of(w, operand));
}

/* --- reads and writes --- */

/* The first place that ends after `start`. */
static int find(const places *c, int64_t start)
{
    int low = 0, high = c->nlist;
    while (low < high) {
        int middle = (low + high) / 2;
        if (c->list[middle].end > start)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Whether a tensor lies where an operand looks for it. */
static inline bool lies(const walk *w, const tensor *t, const yki_operand *operand)
{
    return t->space == operand->space && t->written > w->from[operand->space] &&
           t->start == start_of(operand);
}

/* Why a read does not find its tensor. */
static yoke_status refuse_read(walk *w, const yki_operand *operand)
{
    if (operand->space == YKI_SPACE_GRADIENT)
        return yki_fault(w->p, operand, "it is read before its sum is complete");
    const places *c = &w->in[operand->space];
    const tensor *t = root_of(w, operand->value);
    int64_t start = start_of(operand);
    int at = find(c, start);
    if (lies(w, t, operand)) return yki_fault(w->p, operand, "it is read while a movement still brings it");
    if (at == c->nlist || c->list[at].start >= start + t->bytes)
        return yki_fault(w->p, operand, "it is read before anything is written there");
    if (&w->tensors[c->list[at].root] != t)
        return yki_fault(w->p, operand, "it is read where tensor %d lies", c->list[at].root);
    return yki_fault(w->p, operand, "it is read where a part of it lies");
}

/* Whether an instruction's k-th input is where it looks for it. */
static inline bool finds(walk *w, const yki_operand *operand, int k)
{
    if (operand->space == YKI_SPACE_NONE) return true;
    if (is_kept(operand)) return operand->space == YKI_SPACE_WEIGHT && fits_kept(w, operand);
    tensor *t = fitting(w, operand);
    if (!t) return false;
    if (t->root != operand->value || !t->written) t = root_of(w, operand->value);
    if (!lies(w, t, operand) || t->request >= 0) return false;
    t->reader = w->time;
    t->number = k;
    return true;
}

static yoke_status refuse(walk *w, const yki_operand *operand)
{
    return fits(w, operand) ? refuse_read(w, operand) : refuse_operand(w, operand);
}

/* The gradient of a parameter is written, by a movement or at once; begins: what was there is overwritten. */
static yoke_status write_gradient(walk *w, int parameter, bool begins, bool moves)
{
    yki_prover *p = w->p;
    yki_gradient_use *g = &p->gradients[parameter];
    int action = yki_prover_part(p)->first_action[p->body];
    if (g->body == w->body) {
        if (!g->at_rest) return yki_gradient_fault(p, parameter, "it is written while a movement reduces it");
        if (begins) return yki_gradient_fault(p, parameter, "it overwrites what the body has written");
    } else {
        if (begins && g->begins >= 0 && g->begins != action)
            return yki_gradient_fault(p, parameter, "it overwrites what another body has written");
        g->chunk = g->chunk == -1 || g->chunk == p->chunk ? p->chunk : -2;
        if (g->first < 0 || action < g->first) g->first = action;
        if (begins) g->begins = action;
        g->body = w->body;
    }
    g->at_rest = !moves;
    return YOKE_OK;
}

/* Whether an instruction may write its k-th output over a tensor that is there. */
static yoke_status check_over(walk *w, const yki_operand *operand, int k, const place *at)
{
    const tensor *t = &w->tensors[at->root], *mine = &w->tensors[operand->value];
    if (t->space != operand->space || t->written <= w->from[t->space] || t->start != at->start)
        return YOKE_OK;
    if (t->request >= 0 || t->held > 0)
        return yki_fault(w->p, operand, "it is written over tensor %d, which is still being moved", at->root);
    if (t->written == w->time)
        return yki_fault(w->p, operand, "it is written over tensor %d of the same instruction", at->root);
    if (t->reader != w->time || at->root == operand->value) return YOKE_OK;
    bool same = k == 0 && t->start == start_of(operand) && t->bytes == mine->bytes;
    const yki_operand *input = &now(w)->operands[0]; /* in place is where the first input is */
    if (same && input->space == t->space && root_of(w, input->value) == t &&
        yki_works_in_place(now(w), t->number))
        return YOKE_OK;
    return yki_fault(w->p, operand, "it is written over tensor %d, which the same instruction reads",
                     at->root);
}

/* Makes room for what an operand's k-th output is, where others are or were: number `first` of the places. */
static yoke_status make_room(walk *w, const yki_operand *operand, int k, int64_t start, int64_t end,
                             int *first_out)
{
    places *c = &w->in[operand->space];
    int first = find(c, start), last = first;
    for (; last < c->nlist && c->list[last].start < end; last++) {
        YKI_TRY(check_over(w, operand, k, &c->list[last]));
        w->tensors[c->list[last].root].written = 0;
    }
    int rest = c->nlist - last;
    if (c->nlist == c->clist) yki_arena_grow(w->p->arena, &c->list, &c->clist, c->nlist + 1, sizeof *c->list);
    if (last != first + 1 && rest > 0)
        memmove(&c->list[first + 1], &c->list[last], sizeof *c->list * (size_t)rest);
    c->nlist = first + 1 + rest;
    *first_out = first;
    return YOKE_OK;
}

/* A tensor lies from `start` on, and nothing else. */
static inline yoke_status take_place(walk *w, const yki_operand *operand, int k, int64_t start, int64_t end)
{
    places *c = &w->in[operand->space];
    int at = c->nlist;
    if (start == end) return YOKE_OK;
    if (at < c->clist && (at == 0 || c->list[at - 1].end <= start)) /* as slots are filled */
        c->nlist++;
    else
        YKI_TRY(make_room(w, operand, k, start, end, &at));
    c->list[at] = (place){start, end, operand->value};
    return YOKE_OK;
}

static yoke_status write_kept(walk *w, const yki_instruction *in, const yki_operand *operand, int request)
{
    if (!fits_kept(w, operand)) return refuse_operand(w, operand);
    if (operand->space == YKI_SPACE_WEIGHT)
        return yki_fault(w->p, operand, "it is written while micro-batches need it");
    return write_gradient(w, operand->index, in->kind == YKI_DO_KERNEL && in->as.kernel.begins, request >= 0);
}

static inline yoke_status write_operand(walk *w, const yki_instruction *in, const yki_operand *operand, int k,
                                        int request)
{
    if (operand->space == YKI_SPACE_NONE) return YOKE_OK;
    if (is_kept(operand)) return write_kept(w, in, operand, request);
    tensor *t = fitting(w, operand);
    if (!t) return refuse_operand(w, operand);
    if (t->written && operand->space == YKI_SPACE_CACHE)
        return yki_fault(w->p, operand, "it is kept, and written twice in a step");
    int64_t start = start_of(operand);
    YKI_TRY(take_place(w, operand, k, start, start + t->bytes));
    t->root = operand->value;
    t->space = (uint8_t)operand->space;
    t->start = start;
    t->written = w->time;
    t->reader = t->held = 0;
    t->request = request;
    return YOKE_OK;
}

/* --- movements --- */

/* What a movement reads is held until it ends; what it reduces in place it writes. */
static void hold_reads(walk *w, const yki_instruction *in, int by)
{
    for (int k = 0; k < yki_reads(in); k++) {
        const yki_operand *operand = yki_read(in, k);
        tensor *t = root_of(w, operand->value);
        if (lies(w, t, operand)) t->held += by;
    }
}

/* What a parameter's movement needs besides its memory. */
static yoke_status check_pieces(walk *w, const yki_instruction *in)
{
    const yki_program *program = w->p->program;
    const struct yki_do_move_states *move = &in->as.move_states;
    bool gathers = yki_gathers(in);
    if (move->group != YKI_GROUP_SHARDS ||
        move->tensor != (gathers ? YKI_TENSOR_WEIGHT : YKI_TENSOR_GRADIENT) || !w->dealt[!gathers])
        return yki_fault(w->p, NULL, "it moves what devices do not keep shards of");
    for (int i = 0; i < move->npieces; i++) {
        const yki_operand *all = &move->pieces[i].all;
        int index = move->pieces[i].parameter;
        if (index < 0 || index >= program->nparameters)
            return yki_fault(w->p, NULL, "it names parameter %d of %d", index, program->nparameters);
        if (!fits(w, all)) return refuse_operand(w, all);
        if (all->space != YKI_SPACE_TEMP || all->dtype != move->dtype ||
            tensor_of(w, all->value)->elems != program->parameters[index].elems)
            return yki_fault(
                w->p, all, "it is another whole than of '%s', or of another type",
                w->p->plan->options.model->parameters[program->parameters[index].parameter].name);
        if (!gathers) YKI_TRY(write_gradient(w, index, move->pieces[i].begins, true));
    }
    return YOKE_OK;
}

/* A movement of a micro-batch's tensor. */
static yoke_status check_move(walk *w, const yki_instruction *in)
{
    const yki_plan *plan = w->p->plan;
    const yki_program *program = w->p->program;
    const yki_group *group = &plan->groups[in->as.move.group];
    if (in->noperands != 2) return yki_fault(w->p, NULL, "it moves %d operands", in->noperands);
    if (group->axis == YKI_AXIS_PP)
        return yki_fault(w->p, NULL, "stages run other actions, and are to move together");
    if (group->axis == YKI_AXIS_DP && in->operands[1].per_sample)
        return yki_fault(w->p, &in->operands[1],
                         "it is moved over dp, and every replica has its own number of samples");
    uint64_t right = 0; /* bits: members, of the first 64, that it fits */
    for (int lane = program->lane, left = plan->lane_classes[program->lane_class].count; left > 0; lane++) {
        int at[YKI_AXIS_COUNT];
        if (plan->lanes[lane].class != program->lane_class) continue;
        left--;
        yki_lane_place(plan, lane, program->stage, at);
        int member = yki_group_member(group, at);
        uint64_t bit = (unsigned)member < 64 ? UINT64_C(1) << member : 0;
        if (right & bit) continue;
        if (!yki_fits_cut(in, member, group->size))
            return yki_fault(w->p, &in->operands[1],
                             "it is of another size than the movement's cut says for lane %d", lane);
        right |= bit;
    }
    return YOKE_OK;
}

/* A request that a body's own movement, or one of the step, has. */
static yoke_status take_request(walk *w, int request, owner of)
{
    if (request < 0 || request >= w->p->program->nrequests)
        return yki_fault(w->p, NULL, "its request is %d of %d", request, w->p->program->nrequests);
    if (w->flights[request].of != NOBODYS && w->flights[request].of != of)
        return yki_fault(w->p, NULL, "its request %d is one of the step's, and a body's", request);
    w->flights[request].of = of;
    return YOKE_OK;
}

static yoke_status begin(walk *w, const yki_instruction *in)
{
    int group = yki_group_of(in);
    YKI_TRY(take_request(w, in->request, A_BODYS));
    flight *f = &w->flights[in->request];
    if (f->start >= 0)
        return yki_fault(w->p, NULL, "it begins a movement that instruction %d has begun", f->start);
    f->start = w->p->at;
    w->under_way++;
    if (in->kind == YKI_DO_COPY) return YOKE_OK;
    if (group < 0 || group >= w->p->plan->ngroups) return yki_fault(w->p, NULL, "it names group %d", group);
    YKI_TRY(in->kind == YKI_DO_MOVE ? check_move(w, in) : check_pieces(w, in));
    f->number = w->begun[group]++;
    unsigned bit = 1u << f->number % YKI_COMM_OUTSTANDING;
    if (w->outstanding[group] & bit)
        return yki_fault(w->p, NULL, "its group has %d movements under way", YKI_COMM_OUTSTANDING);
    w->outstanding[group] |= bit;
    return YOKE_OK;
}

static yoke_status end(walk *w, const yki_instruction *in)
{
    int request = in->request, group = yki_group_of(in);
    flight *f = request >= 0 && request < w->p->program->nrequests ? &w->flights[request] : NULL;
    if (!f || f->start < 0) return yki_fault(w->p, NULL, "it waits for a movement that is not under way");
    const yki_instruction *start = &yki_prover_code(w->p)->instructions[f->start];
    if (!yki_is_end_of(in, start))
        return yki_fault(w->p, NULL, "it waits for another movement than instruction %d has begun", f->start);
    f->start = -1;
    w->under_way--;
    if (group >= 0) w->outstanding[group] &= ~(1u << f->number % YKI_COMM_OUTSTANDING);
    hold_reads(w, in, -1);
    for (int k = 0; k < yki_writes(in); k++) root_of(w, yki_written(in, k)->value)->request = -1;
    if (in->kind == YKI_DO_MOVE_STATES)
        for (int i = 0; i < yki_reads(in); i++)
            w->p->gradients[in->as.move_states.pieces[i].parameter].at_rest = true;
    if (!yki_receives(in)) return YOKE_OK;
    w->receiving--;
    int edge = in->as.copy.edge;
    if (!in->as.copy.gradient || w->sent[edge] < 0) return YOKE_OK;
    w->tensors[w->sent[edge]].held--; /* it has arrived */
    w->sent[edge] = -1;
    return YOKE_OK;
}

/* --- copies between stages --- */

/* The tensor that an end of an edge has; -1: the message has no bytes. */
static int value_of(const yki_edge *edge, bool gradient, bool sends)
{
    if (gradient) return sends ? edge->gradient_sent : edge->gradient_received;
    return sends ? edge->value : edge->imported;
}

/* Both ends of an edge must have the same in mind. */
static yoke_status check_message(walk *w, const struct yki_do_copy *copy, const yki_operand *operand)
{
    message *other = &w->messages[2 * copy->edge + copy->gradient], mine = {.known = true, .elems = -1};
    if (operand) mine = (message){true, operand->per_sample, operand->dtype, yki_operand_elems(operand)};
    if (!other->known) *other = mine;
    if (other->elems != mine.elems || other->dtype != mine.dtype || other->per_sample != mine.per_sample)
        return yki_fault(w->p, operand,
                         "it copies %lld elements over edge %d, and the other end %lld, or of another type",
                         (long long)mine.elems, copy->edge, (long long)other->elems);
    return YOKE_OK;
}

static yoke_status check_copy(walk *w, const yki_instruction *in)
{
    const struct yki_do_copy *copy = &in->as.copy;
    bool known = copy->edge >= 0 && copy->edge < w->p->plan->nedges, backward = w->p->body != YKI_BODY_F;
    const yki_edge *edge = known ? &w->p->plan->edges[copy->edge] : NULL;
    if (!edge || (copy->sends == copy->gradient ? edge->to : edge->from) != yki_prover_part(w->p)->part ||
        copy->gradient != backward || w->p->body == YKI_BODY_W)
        return yki_fault(w->p, NULL, "its part does not copy over edge %d there", copy->edge);
    if (w->met[copy->edge] == w->body)
        return yki_fault(w->p, NULL, "it copies over edge %d a second time", copy->edge);
    w->met[copy->edge] = w->body;
    w->copies++;
    int value = value_of(edge, copy->gradient, copy->sends);
    const yki_operand *operand = in->noperands > 0 ? in->operands : NULL;
    if (in->noperands != (value >= 0) || (operand && operand->value != value))
        return yki_fault(w->p, operand, "edge %d carries another tensor", copy->edge);
    return check_message(w, copy, operand);
}

/* What is sent stays until it has arrived: a value until its gradient is back, a gradient in its slot
 * (turns.c). */
static yoke_status hold_sent(walk *w, const yki_instruction *in)
{
    const struct yki_do_copy *copy = &in->as.copy;
    if (in->noperands == 0) return YOKE_OK;
    const yki_operand *operand = in->operands;
    bool stays = copy->gradient ? operand->space == YKI_SPACE_SEND && operand->index == copy->edge
                                : operand->space == YKI_SPACE_STASH || operand->space == YKI_SPACE_STASH_W;
    if (!stays)
        return yki_fault(w->p, operand, "it is sent from memory that does not wait until it has arrived");
    hold_reads(w, in, 1);
    if (!copy->gradient) w->sent[copy->edge] = (int)(root_of(w, operand->value) - w->tensors);
    return YOKE_OK;
}

/* --- instructions --- */

/* What is moved once in a step, where it is begun; what comes of it, sums.c knows. */
static yoke_status run_once(walk *w, const yki_instruction *in)
{
    yki_prover *p = w->p;
    const yki_part_program *part = yki_prover_part(p);
    const struct yki_do_move_states *move = &in->as.move_states;
    if (part->last_weight < 0 || yki_action_body(&p->program->actions[part->last_weight]) != p->body)
        return yki_fault(p, NULL, "it is to run once, and the part's last action has another body");
    YKI_TRY(take_request(w, in->request, THE_STEPS));
    *YKI_APPEND(p->arena, p, once) = (yki_once){p->chunk, p->at, p->body};
    for (int i = 0; i < move->npieces && in->phase != YKI_PHASE_WAIT; i++) {
        int index = move->pieces[i].parameter;
        if (index < 0 || index >= p->program->nparameters)
            return yki_fault(p, NULL, "it names parameter %d of %d", index, p->program->nparameters);
        yki_gradient_use *g = &p->gradients[index];
        if (g->body != w->body || !g->at_rest)
            return yki_gradient_fault(p, index, "it is reduced before all of it is written, or twice");
        g->at_rest = false;
    }
    return YOKE_OK;
}

/* A body is gone through twice where both B and BW follow it: its numbers are taken the first time. */
static inline yoke_status check_numbers(walk *w, const yki_instruction *in)
{
    const yki_program *program = w->p->program;
    if (in->kind == YKI_DO_KERNEL &&
        !yki_claim(w->p, &w->p->kernels, in->as.kernel.number, 1, program->nkernels))
        return yki_fault(w->p, NULL, "its kernel's number %d is none, or another's", in->as.kernel.number);
    if (in->kind == YKI_DO_MOVE_STATES && in->phase != YKI_PHASE_WAIT &&
        !yki_claim(w->p, &w->p->pieces, in->as.move_states.first_piece, in->as.move_states.npieces,
                   program->npieces))
        return yki_fault(w->p, NULL, "its %d pieces from %d on are others' too", in->as.move_states.npieces,
                         in->as.move_states.first_piece);
    return YOKE_OK;
}

static yoke_status run_operands(walk *w, const yki_instruction *in, int inputs, int reads, int request)
{
    const yki_operand *all = in->operands;
    for (int k = 0; k < reads; k++)
        if (!finds(w, &all[k], k)) return refuse(w, &all[k]);
    for (int k = inputs; k < in->noperands; k++) YKI_TRY(write_operand(w, in, &all[k], k - inputs, request));
    return YOKE_OK;
}

static yoke_status run_pieces(walk *w, const yki_instruction *in)
{
    for (int k = 0; k < yki_reads(in); k++)
        if (!finds(w, yki_read(in, k), k)) return refuse(w, yki_read(in, k));
    for (int k = 0; k < yki_writes(in); k++)
        YKI_TRY(write_operand(w, in, yki_written(in, k), k, in->request));
    return YOKE_OK;
}

static yoke_status run_other(walk *w, const yki_instruction *in, int request)
{
    if (in->kind == YKI_DO_MOVE_STATES) return run_pieces(w, in);
    return run_operands(w, in, yki_inputs(in), yki_inputs(in), request);
}

static yoke_status run_movement(walk *w, const yki_instruction *in)
{
    if (in->op < YKI_OP_MOVE || in->op >= YKI_OP_COUNT)
        return yki_fault(w->p, NULL, "its movement is number %d of %d", in->op - YKI_OP_MOVE, YKI_MOVE_COUNT);
    if (yki_runs_once(in)) return run_once(w, in);
    if (in->phase == YKI_PHASE_WAIT) return end(w, in);
    if (in->kind == YKI_DO_COPY) YKI_TRY(check_copy(w, in));
    bool sends = yki_sends(in);
    if ((in->phase != YKI_PHASE_START) != sends)
        return yki_fault(w->p, NULL, "it is a movement that nobody can wait for");
    if (!sends) YKI_TRY(begin(w, in));
    w->receiving += yki_receives(in);
    YKI_TRY(run_other(w, in, sends ? -1 : in->request));
    if (sends) return hold_sent(w, in);
    hold_reads(w, in, 1);
    return YOKE_OK;
}

static inline yoke_status run_instruction(walk *w, const yki_instruction *in, bool again)
{
    w->time++;
    if (!again) YKI_TRY(check_numbers(w, in));
    if (yki_receives(in)) {
        if (w->works && in->phase != YKI_PHASE_WAIT)
            return yki_fault(w->p, NULL, "it receives after others have begun");
        return run_movement(w, in);
    }
    if (w->receiving > 0) return yki_fault(w->p, NULL, "it goes ahead of what is still being received");
    w->works = true;
    switch (in->kind) {
    case YKI_DO_KERNEL:
        if (in->op < 0 || in->op >= YKI_KERNEL_COUNT)
            return yki_fault(w->p, NULL, "its kernel is number %d of %d", in->op, YKI_KERNEL_COUNT);
        YKI_TRY(run_operands(w, in, in->as.kernel.ninputs, yki_reads(in), -1));
        return again ? YOKE_OK : yki_prove_signature(w->p, in);
    case YKI_DO_LOAD:
        return run_other(w, in, -1);
    case YKI_DO_COPY:
    case YKI_DO_MOVE:
    case YKI_DO_MOVE_STATES:
        return run_movement(w, in);
    default:
        return yki_fault(w->p, NULL, "it is no instruction of a micro-batch");
    }
}

/* --- bodies --- */

/* What must be true when a body has ended. */
static yoke_status check_end(walk *w)
{
    yki_prover *p = w->p;
    int copies = p->body == YKI_BODY_W ? 0 : w->degree[yki_prover_part(p)->part];
    for (int r = 0; r < p->program->nrequests && w->under_way > 0; r++) {
        if (w->flights[r].start < 0) continue;
        p->at = w->flights[r].start;
        return yki_fault(p, NULL, "it begins a movement that nobody waits for");
    }
    p->at = -1;
    if (w->copies != copies) return yki_fault(p, NULL, "it copies over %d edges of %d", w->copies, copies);
    return YOKE_OK;
}

/* What was in a space may be overwritten by others from now on. */
static void forget(walk *w, yki_space space)
{
    w->in[space].nlist = 0;
    w->from[space] = w->time;
}

static yoke_status run_body(walk *w, yki_body body, bool again)
{
    yki_prover *p = w->p;
    const yki_code *code = &yki_prover_part(p)->body[body];
    p->body = body;
    forget(w, YKI_SPACE_TEMP);
    w->works = false;
    w->copies = 0;
    w->body++;
    for (p->at = 0; p->at < code->count; p->at++)
        YKI_TRY(run_instruction(w, &code->instructions[p->at], again));
    return check_end(w);
}

/* Where the model's output is looked for after F. */
static yoke_status check_output(walk *w)
{
    yki_prover *p = w->p;
    const yki_operand *output = &p->program->output;
    if (p->program->output_chunk != p->chunk) return YOKE_OK;
    if (output->space != YKI_SPACE_STASH && output->space != YKI_SPACE_STASH_W)
        return yki_fault(p, output, "the model's output lies in memory that others use");
    return finds(w, output, 0) ? YOKE_OK : refuse(w, output);
}

/* A micro-batch whose backward pass is B and W, or BW; again: after another one of the part. */
static yoke_status run_micro_batch(walk *w, bool split, bool again)
{
    for (int space = YKI_SPACE_STASH; space <= YKI_SPACE_CACHE; space++) forget(w, (yki_space)space);
    YKI_TRY(run_body(w, YKI_BODY_F, again));
    YKI_TRY(check_output(w));
    if (!yki_plan_trains(w->p->plan)) return YOKE_OK;
    YKI_TRY(run_body(w, split ? YKI_BODY_B : YKI_BODY_BW, false));
    if (!split) return YOKE_OK;
    forget(w, YKI_SPACE_STASH);
    forget(w, YKI_SPACE_SEND);
    return run_body(w, YKI_BODY_W, false);
}

static yoke_status run_part(walk *w)
{
    yki_prover *p = w->p;
    const bool *present = yki_prover_part(p)->present;
    if (!present[YKI_BODY_F] || present[YKI_BODY_B] != present[YKI_BODY_W] ||
        !(present[YKI_BODY_B] || present[YKI_BODY_BW]))
        return yki_fault(p, NULL, "it has not the bodies that a micro-batch needs");
    begin_tensors(w);
    find_limits(w);
    if (present[YKI_BODY_B]) YKI_TRY(run_micro_batch(w, true, false));
    return present[YKI_BODY_BW] ? run_micro_batch(w, false, present[YKI_BODY_B]) : YOKE_OK;
}

static yoke_status run_program(walk *w)
{
    yki_prover *p = w->p;
    const yki_program *program = p->program;
    p->kernels.nlist = p->pieces.nlist = p->segments.nlist = 0;
    yki_prover_renew(p, &p->gradients, &p->cgradients, yki_kept_count(program), sizeof *p->gradients);
    for (int i = 0; i < yki_kept_count(program); i++)
        p->gradients[i] = (yki_gradient_use){.chunk = -1, .first = -1, .begins = -1};
    yki_prover_renew(p, &w->flights, &w->cflights, program->nrequests, sizeof *w->flights);
    for (int i = 0; i < program->nrequests; i++) w->flights[i].start = -1;
    p->nonce = 0;
    for (int chunk = 0; chunk < program->nparts; chunk++) {
        yki_prover_leave(p);
        p->program = program;
        p->chunk = chunk;
        YKI_TRY(run_part(w));
    }
    return yki_prove_sums(p);
}

yoke_status yki_prove_contents(yki_prover *p)
{
    const yki_plan *plan = p->plan;
    size_t edges = (size_t)plan->nedges + 1, groups = (size_t)plan->ngroups;
    int most = 0; /* tensors of a part */
    for (int class = 0; class < plan->nlane_classes; class ++)
        for (int part = 0; part < plan->nparts; part++)
            if (plan->placed[class][part].nvalues > most) most = plan->placed[class][part].nvalues;
    bool bf16 = plan->options.precision == YOKE_PRECISION_BF16;
    walk w = {
        .p = p,
        .computes = bf16 ? YKI_BF16 : YKI_F32,
        .tensors = yki_arena_alloc(p->arena, sizeof *w.tensors * ((size_t)most + 1)),
        .dealt = {yki_states_sharded(plan, YKI_TENSOR_WEIGHT), yki_states_sharded(plan, YKI_TENSOR_GRADIENT)},
        .begun = yki_arena_alloc(p->arena, sizeof *w.begun * groups),
        .outstanding = yki_arena_alloc(p->arena, sizeof *w.outstanding * groups),
        .met = yki_arena_alloc(p->arena, sizeof *w.met * edges),
        .degree = yki_arena_alloc(p->arena, sizeof *w.degree * ((size_t)plan->nparts + 1)),
        .messages = yki_arena_alloc(p->arena, sizeof *w.messages * 2 * edges),
        .sent = yki_arena_alloc(p->arena, sizeof *w.sent * edges)};
    for (int e = 0; e < plan->nedges; e++) {
        w.degree[plan->edges[e].from]++, w.degree[plan->edges[e].to]++;
        w.sent[e] = -1;
    }
    for (int class = 0; class < plan->nlane_classes; class ++) {
        memset(w.messages, 0, sizeof *w.messages * 2 * edges);
        for (int stage = 0; stage < plan->parts.nstages; stage++) {
            p->program = &plan->programs[stage * plan->nlane_classes + class];
            YKI_TRY(run_program(&w));
        }
    }
    yki_prover_leave(p);
    return YOKE_OK;
}
