/* What becomes of gradients in a step: micro-batches write them, whoever has parts of a sum adds them up, and
 * what is complete is read, for the norm and for the update. Where that is of whole matrices, gradients
 * become directions, are brought together, computed with, and given back. */
#include <string.h>

#include "base/fail.h"
#include "plan/prove/prove.h"
#include "plan/prove/uses.h"

/* What has been done to a parameter since the step began. */
enum {
    OVER_SHARDS = 1 << 0, /* its gradient was summed over zero's shards, for each its own elements */
    OVER_REPLICAS = 1 << 1,
    OVER_PARTS = 1 << 2, /* over neighbours along tp that share it */
    OVER_TIE = 1 << 3,   /* over the stages that share it */
    OVER_CONTEXT = 1 << 4,
    SUMS = OVER_SHARDS | OVER_REPLICAS | OVER_PARTS | OVER_TIE | OVER_CONTEXT,
    FROM_FIRST = 1 << 5, /* what is added to a buffer is the first replica's */
    NORMED = 1 << 6,
    UPDATED = 1 << 7,
    GATHERED = 1 << 8,
    /* of a matrix whose update is made orthogonal: */
    DIRECTED = 1 << 9,   /* its gradient's memory has the update's direction */
    BROUGHT = 1 << 10,   /* and all shards' elements of it */
    ORTHOGONAL = 1 << 11 /* and then what was made of it */
};

typedef struct sums {
    yki_prover *p;
    int *needs, *done;                                       /* by parameter and buffer */
    bool *moving;                                            /* by parameter: its gradient is */
    const yki_instruction *under_way[YKI_BUCKETS_UNDER_WAY]; /* by request: begun once in the step */
    int drained, agreed;
} sums;

static const yki_param_place *place_of(const sums *s, int index)
{
    return &s->p->plan->param_places[s->p->program->parameters[index].parameter];
}

/* The sums that the gradients of a program's parameters need. */
static void find_needs(sums *s)
{
    const yki_plan *plan = s->p->plan;
    int all = 0;
    if (plan->shards > 1) all |= OVER_SHARDS;
    if (plan->groups[YKI_GROUP_REPLICAS].size > 1) all |= OVER_REPLICAS;
    if (plan->mesh.degree[YKI_AXIS_CP] > 1) all |= OVER_CONTEXT;
    for (int i = 0; i < s->p->program->nparameters; i++) {
        const yki_param_place *place = place_of(s, i);
        s->needs[i] = all;
        if (place->sum_group >= 0 && plan->groups[place->sum_group].size > 1) s->needs[i] |= OVER_PARTS;
        if (place->tie_group >= 0 && plan->groups[place->tie_group].size > 1) s->needs[i] |= OVER_TIE;
    }
}

/* The sum over a group's members, as a bit; 0: they have no parts of this parameter's gradient. */
static int sum_over(const sums *s, int index, int group)
{
    const yki_param_place *place = place_of(s, index);
    int bit = group == YKI_GROUP_SHARDS     ? OVER_SHARDS
              : group == YKI_GROUP_REPLICAS ? OVER_REPLICAS
              : group == YKI_AXIS_CP        ? OVER_CONTEXT
              : group == place->sum_group   ? OVER_PARTS
              : group == place->tie_group   ? OVER_TIE
                                            : 0;
    return bit & s->needs[index];
}

/* A gradient is summed over a group: its whole, each member getting its own elements, or its own elements. */
static yoke_status sum_one(sums *s, int index, int group, bool scatters)
{
    int bit = sum_over(s, index, group);
    if (bit == 0) return yki_gradient_fault(s->p, index, "it is summed over ranks that have no parts of it");
    if (s->moving[index])
        return yki_gradient_fault(s->p, index, "it is summed while another movement reduces it");
    if (s->done[index] & bit) return yki_gradient_fault(s->p, index, "it is summed twice");
    if (scatters != (bit == OVER_SHARDS))
        return yki_gradient_fault(s->p, index, "it is summed in another way");
    if (bit != OVER_SHARDS && (s->needs[index] & OVER_SHARDS & ~s->done[index]))
        return yki_gradient_fault(s->p, index, "its own elements are summed before its shards are");
    s->done[index] |= bit;
    return YOKE_OK;
}

static const yki_rule *rule_of(const sums *s, int index)
{
    return yki_plan_rule(s->p->plan, s->p->program->parameters[index].parameter);
}

/* Whether a matrix's gradient is between its direction and what is made of it. */
static bool is_directed(const sums *s, int index)
{
    return index >= 0 && index < s->p->program->nparameters &&
           (s->done[index] & (DIRECTED | ORTHOGONAL)) == DIRECTED;
}

/* Own elements of a direction are brought to all shards, or those of what was made of it are kept. */
static yoke_status move_direction(sums *s, const yki_instruction *in, const yki_state_piece *piece)
{
    const yki_program *program = s->p->program;
    int index = piece->parameter;
    bool gathers = yki_gathers(in), apart = yki_states_sharded(s->p->plan, YKI_TENSOR_GRADIENT), raw = true;
    if (!is_directed(s, index) || in->as.move_states.group != YKI_GROUP_SHARDS || s->p->plan->zero == 0 ||
        (s->done[index] & BROUGHT) != (gathers || !apart ? 0 : BROUGHT) ||
        apart != (piece->all.space != YKI_SPACE_NONE))
        return yki_gradient_fault(s->p, index, "its direction is moved where that is not needed");
    s->done[index] |= BROUGHT;
    if (!apart) return gathers ? YOKE_OK : yki_gradient_fault(s->p, index, "it is kept already");
    if (gathers)
        YKI_TRY(yki_made_write(s->p, in, &piece->all, raw));
    else
        YKI_TRY(yki_made_read(s->p, &piece->all, &raw));
    if (program->made[piece->all.value].parameter != index ||
        program->made[piece->all.value].elems != program->parameters[index].elems || raw != gathers)
        return yki_fault(s->p, &piece->all, "it is not what is to be moved");
    if (!gathers) s->done[index] |= ORTHOGONAL;
    return YOKE_OK;
}

static yoke_status gather_one(sums *s, int index, int group)
{
    if (group != YKI_GROUP_SHARDS || !(s->done[index] & UPDATED) || (s->done[index] & GATHERED))
        return yki_fault(s->p, NULL,
                         "it gathers parameter %d before its update, twice, or over others than its shards",
                         s->p->program->parameters[index].parameter);
    s->done[index] |= GATHERED;
    return YOKE_OK;
}

/* One parameter, or buffer, of a movement of what ranks keep. */
static yoke_status move_one(sums *s, const yki_instruction *in, const yki_state_piece *piece)
{
    int group = in->as.move_states.group, index = piece->parameter, op = in->op - YKI_OP_MOVE;
    yki_tensor_kind tensor = in->as.move_states.tensor;
    bool buffer = index >= s->p->program->nparameters;
    if (tensor == YKI_TENSOR_GRADIENT && (op == YKI_MOVE_ALL_GATHER || op == YKI_MOVE_SHARD))
        return move_direction(s, in, piece);
    if (piece->all.space != YKI_SPACE_NONE)
        return yki_fault(s->p, NULL, "it uses a body's temporary memory outside of the body");
    if (tensor == YKI_TENSOR_GRADIENT && !buffer &&
        (op == YKI_MOVE_ALL_REDUCE || op == YKI_MOVE_REDUCE_SCATTER))
        return sum_one(s, index, group, op == YKI_MOVE_REDUCE_SCATTER);
    if (tensor == YKI_TENSOR_GRADIENT && buffer && op == YKI_MOVE_FROM_FIRST && group == YKI_AXIS_DP) {
        s->done[index] |= FROM_FIRST;
        return YOKE_OK;
    }
    if (tensor == YKI_TENSOR_WEIGHT && !buffer && op == YKI_MOVE_ALL_GATHER)
        return gather_one(s, index, group);
    return yki_fault(s->p, NULL, "it moves what needs no such movement");
}

/* Each run of a parameter's own elements that is reduced takes the room of an address. */
static yoke_status check_numbers(sums *s, const yki_instruction *in)
{
    const yki_program *program = s->p->program;
    const struct yki_do_move_states *move = &in->as.move_states;
    const yki_states *states =
        &s->p->plan->states[(program - s->p->plan->programs) * s->p->plan->nshard_classes];
    int64_t segments = 0;
    for (int i = 0; i < move->npieces; i++) {
        int index = move->pieces[i].parameter;
        if (index < 0 || index >= yki_kept_count(program))
            return yki_fault(s->p, NULL, "it names parameter %d of %d", index, yki_kept_count(program));
        segments += states->kept[index].runs;
    }
    if (s->p->end && !yki_claim(s->p, &s->p->pieces, move->first_piece, move->npieces, program->npieces))
        return yki_fault(s->p, NULL, "its %d pieces from %d on are others' too", move->npieces,
                         move->first_piece);
    if (in->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE &&
        (segments > program->nsegments ||
         !yki_claim(s->p, &s->p->segments, move->first_segment, (int)segments, program->nsegments)))
        return yki_fault(s->p, NULL, "its %lld segments from %d on are others' too", (long long)segments,
                         move->first_segment);
    return YOKE_OK;
}

static yoke_status move_states(sums *s, const yki_instruction *in)
{
    const struct yki_do_move_states *move = &in->as.move_states;
    if (move->group < 0 || move->group >= s->p->plan->ngroups)
        return yki_fault(s->p, NULL, "it names group %d", move->group);
    YKI_TRY(check_numbers(s, in));
    for (int i = 0; i < move->npieces; i++) YKI_TRY(move_one(s, in, &move->pieces[i]));
    return YOKE_OK;
}

/* --- what bodies begin once --- */

static void set_moving(sums *s, const yki_instruction *start, bool moving)
{
    for (int i = 0; i < start->as.move_states.npieces; i++)
        s->moving[start->as.move_states.pieces[i].parameter] = moving;
}

static yoke_status begin_once(sums *s, const yki_instruction *in)
{
    if (in->request < 0 || in->request >= YKI_BUCKETS_UNDER_WAY)
        return yki_fault(s->p, NULL, "its request is %d of %d", in->request, YKI_BUCKETS_UNDER_WAY);
    if (s->under_way[in->request])
        return yki_fault(s->p, NULL, "it begins a movement under a request that is another's");
    YKI_TRY(move_states(s, in));
    for (int i = 0; i < in->as.move_states.npieces; i++)
        if (s->p->gradients[in->as.move_states.pieces[i].parameter].chunk != s->p->chunk)
            return yki_gradient_fault(s->p, in->as.move_states.pieces[i].parameter,
                                      "it is reduced by a part that is not alone to write it");
    s->under_way[in->request] = in;
    set_moving(s, in, true);
    return YOKE_OK;
}

static yoke_status end_once(sums *s, const yki_instruction *in)
{
    bool known = in->request >= 0 && in->request < YKI_BUCKETS_UNDER_WAY;
    const yki_instruction *start = known ? s->under_way[in->request] : NULL;
    if (!start) return yki_fault(s->p, NULL, "it waits for a movement that is not under way");
    if (!yki_is_end_of(in, start))
        return yki_fault(s->p, NULL, "it waits for another movement than is under way");
    set_moving(s, start, false);
    s->under_way[in->request] = NULL;
    return YOKE_OK;
}

/* The part whose gradients are complete next after action `last`; -1: there is none. */
static int next_complete(const yki_program *program, int last)
{
    int next = -1;
    for (int c = 0; c < program->nparts; c++) {
        int at = program->parts[c].last_weight;
        if (at > last && (next < 0 || at < program->parts[next].last_weight)) next = c;
    }
    return next;
}

static yoke_status run_of_part(sums *s, int chunk)
{
    yki_prover *p = s->p;
    for (int k = 0; k < p->nonce; k++) {
        if (p->once[k].chunk != chunk) continue;
        p->chunk = chunk;
        p->body = p->once[k].body;
        p->at = p->once[k].at;
        const yki_instruction *in = &yki_prover_code(p)->instructions[p->at];
        if (in->phase == YKI_PHASE_WHOLE)
            return yki_fault(p, NULL, "it is a movement that nobody can wait for");
        YKI_TRY(in->phase == YKI_PHASE_START ? begin_once(s, in) : end_once(s, in));
    }
    return YOKE_OK;
}

/* In the order of the actions with which parts' gradients are complete. */
static yoke_status run_once(sums *s)
{
    const yki_program *program = s->p->program;
    for (int chunk = next_complete(program, -1); chunk >= 0;
         chunk = next_complete(program, program->parts[chunk].last_weight))
        YKI_TRY(run_of_part(s, chunk));
    return YOKE_OK;
}

/* --- the step's end --- */

/* A kernel reads the gradient of a parameter, or of a buffer. */
static yoke_status read_gradient(sums *s, int index)
{
    const yki_program *program = s->p->program;
    if (index < program->nparameters) {
        if (s->moving[index])
            return yki_gradient_fault(s->p, index, "it is read while a movement reduces it");
        if ((s->done[index] & SUMS) != s->needs[index])
            return yki_gradient_fault(s->p, index, "it is read before its sum is complete");
        return YOKE_OK;
    }
    const yki_attr *of = s->p->plan->options.model->parameters[program->parameters[index].parameter].buffer;
    if (of->own_statistics && s->p->plan->mesh.degree[YKI_AXIS_DP] > 1 && !(s->done[index] & FROM_FIRST))
        return yki_gradient_fault(s->p, index, "it is read before it is the first replica's");
    return YOKE_OK;
}

/* Whether devices keep a kind of tensor, or a kernel can do without, as with momentum. */
static bool is_there(const sums *s, yki_tensor_kind kind)
{
    const yki_plan_options *options = &s->p->plan->options;
    return kind != YKI_TENSOR_MASTER || options->precision == YOKE_PRECISION_BF16;
}

/* Whether a kernel may do to a parameter what `bit` says. */
static yoke_status check_rule(const sums *s, const struct yki_do_states *states, int index, int bit)
{
    if (s->done[index] & bit) return yki_gradient_fault(s->p, index, "it is used twice");
    if (index >= s->p->program->nparameters) return YOKE_OK;
    bool orthogonal = rule_of(s, index)->orthogonal;
    int ready = bit == UPDATED && orthogonal ? DIRECTED | ORTHOGONAL : 0;
    if ((s->done[index] & (DIRECTED | ORTHOGONAL)) != ready || (bit == DIRECTED && !orthogonal) ||
        states->scaled != (bit == UPDATED && orthogonal))
        return yki_gradient_fault(s->p, index, "it is used otherwise than the optimizer's rule for it says");
    return YOKE_OK;
}

/* Whether devices keep what a kernel cannot do without of each parameter. */
static yoke_status check_kept(const sums *s, yki_kernel kernel, const struct yki_do_states *states)
{
    const yki_plan *plan = s->p->plan;
    const yki_kept *kept = plan->states[(s->p->program - plan->programs) * plan->nshard_classes].kept;
    const yki_signature *signature = yki_kernel_signature(kernel);
    for (int v = 0; v < states->ntensors && v < signature->nwords; v++) {
        yki_tensor_kind kind = states->tensors[v];
        for (int i = 0; i < states->nparameters && !signature->words[v].optional; i++)
            if (kind == YKI_TENSOR_NONE || kept[states->parameters[i]].offset[kind] < 0)
                return yki_gradient_fault(s->p, states->parameters[i],
                                          "its update asks for what devices do not keep");
    }
    return YOKE_OK;
}

/* A kernel on parameters' own elements. */
static yoke_status compute(sums *s, yki_kernel kernel, const struct yki_do_states *states)
{
    int bit = NORMED;
    bool reads = false;
    for (int v = 0; v < states->ntensors; v++) {
        yki_tensor_kind kind = states->tensors[v];
        if (!is_there(s, kind))
            return yki_fault(s->p, NULL, "it asks for master copies, which devices do not keep");
        reads |= kind == YKI_TENSOR_GRADIENT;
        if (kind == YKI_TENSOR_WEIGHT || kind == YKI_TENSOR_MASTER) bit = UPDATED;
        if (kind >= YKI_TENSOR_MOMENT && kind < YKI_TENSOR_NONE && bit == NORMED) bit = DIRECTED;
    }
    for (int i = 0; i < states->nparameters; i++) {
        int index = states->parameters[i];
        if (index < 0 || index >= yki_kept_count(s->p->program))
            return yki_fault(s->p, NULL, "it names parameter %d of %d", index, yki_kept_count(s->p->program));
        if (reads) YKI_TRY(read_gradient(s, index));
        YKI_TRY(check_rule(s, states, index, bit));
        s->done[index] |= bit;
    }
    return check_kept(s, kernel, states);
}

/* ---- matrices ---- */

/* The parameter that an operand is of; -1: none. */
static int owner_of(const sums *s, const yki_operand *operand)
{
    const yki_program *program = s->p->program;
    if (operand->space == YKI_SPACE_GRADIENT) return operand->index;
    bool known = operand->space == YKI_SPACE_TEMP && operand->value >= 0 && operand->value < program->nmade;
    return known ? program->made[operand->value].parameter : -1;
}

/* A direction in its gradient's memory is read, or what was made of it is written there. */
static yoke_status use_direction(sums *s, const yki_operand *operand, bool writes)
{
    const yki_plan *plan = s->p->plan;
    int index = operand->index, needs = plan->zero > 0 ? BROUGHT : 0;
    if (yki_states_sharded(plan, YKI_TENSOR_GRADIENT) || operand->dtype != YKI_F32 || operand->per_sample ||
        yki_operand_elems(operand) != s->p->program->parameters[index].elems)
        return yki_fault(s->p, operand, "it is taken for other elements than the device keeps");
    if ((s->done[index] & BROUGHT) != needs)
        return yki_fault(s->p, operand, "it is used before all shards' elements are there");
    if (writes) s->done[index] |= ORTHOGONAL;
    return YOKE_OK;
}

/* A whole matrix is made of lanes' shares, or cut into them: of `from`, which is raw or not, `to`. */
static yoke_status check_lanes(sums *s, const yki_instruction *in, int index, bool raw)
{
    const yki_plan *plan = s->p->plan;
    const yki_program *program = s->p->program;
    int tp = plan->mesh.degree[YKI_AXIS_TP], group = in->as.move.group;
    int at[YKI_AXIS_COUNT] = {[YKI_AXIS_TP] = program->lane % tp,
                              [YKI_AXIS_CP] = program->lane / tp,
                              [YKI_AXIS_PP] = program->stage};
    if (in->phase != YKI_PHASE_WHOLE || group != place_of(s, index)->whole_group || in->noperands != 2 ||
        (in->op != YKI_OP_MOVE + YKI_MOVE_SHARD && !yki_gathers(in)) || raw != yki_gathers(in))
        return yki_fault(s->p, NULL, "it moves what needs no such movement");
    if (!yki_fits_cut(in, yki_group_member(&plan->groups[group], at), plan->groups[group].size))
        return yki_fault(s->p, &in->operands[1], "it is of another size than the movement's cut says");
    return YOKE_OK;
}

static yoke_status check_kernel(sums *s, const yki_instruction *in)
{
    int number = in->as.kernel.number;
    if (in->op < 0 || in->op >= YKI_KERNEL_COUNT)
        return yki_fault(s->p, NULL, "its kernel is number %d of %d", in->op, YKI_KERNEL_COUNT);
    if (!yki_claim(s->p, &s->p->kernels, number, 1, s->p->program->nkernels))
        return yki_fault(s->p, NULL, "its kernel's number %d is none, or another's", number);
    return yki_prove_signature(s->p, in);
}

/* An instruction on what is brought and made of one matrix. Kernels read nothing raw but the whole of it. */
static yoke_status make(sums *s, const yki_instruction *in)
{
    const yki_program *program = s->p->program;
    const yoke_model *model = s->p->plan->options.model;
    bool moves = in->kind == YKI_DO_MOVE, raw = false;
    int inputs = yki_inputs(in), index = in->noperands > 0 ? owner_of(s, &in->operands[0]) : -1;
    if (!is_directed(s, index))
        return yki_fault(s->p, NULL,
                         "it is no instruction of a step's end, or of another matrix than is updated");
    int64_t whole =
        yki_value_elems(&model->values[model->parameters[program->parameters[index].parameter].value]);
    for (int k = 0; k < in->noperands; k++) {
        const yki_operand *operand = &in->operands[k];
        bool kept = operand->space == YKI_SPACE_GRADIENT, fresh = kept;
        if (operand->space == YKI_SPACE_NONE) continue;
        if (owner_of(s, operand) != index) return yki_fault(s->p, operand, "it is of another matrix");
        if (kept) YKI_TRY(use_direction(s, operand, k >= inputs));
        if (!kept && k < inputs) YKI_TRY(yki_made_read(s->p, operand, &fresh));
        if (!kept && k >= inputs) YKI_TRY(yki_made_write(s->p, in, operand, moves && yki_gathers(in)));
        if (k < inputs) raw |= fresh;
        if (!moves && fresh && yki_operand_elems(operand) != whole)
            return yki_fault(s->p, operand, "it is a part of a matrix that is to be whole");
    }
    return moves ? check_lanes(s, in, index, raw) : check_kernel(s, in);
}

static yoke_status run_end(sums *s, const yki_instruction *in)
{
    switch (in->kind) {
    case YKI_DO_MOVE_STATES:
        if (in->phase == YKI_PHASE_WAIT && yki_runs_once(in)) return end_once(s, in);
        if (in->phase != YKI_PHASE_WHOLE)
            return yki_fault(s->p, NULL, "it is a movement that nobody can wait for");
        return move_states(s, in);
    case YKI_DO_STATES:
        if (in->op < 0 || in->op >= YKI_KERNEL_COUNT)
            return yki_fault(s->p, NULL, "its kernel is number %d of %d", in->op, YKI_KERNEL_COUNT);
        return compute(s, (yki_kernel)in->op, &in->as.states);
    case YKI_DO_KERNEL:
    case YKI_DO_MOVE:
        return make(s, in);
    case YKI_DO_DRAIN:
        s->drained++;
        return YOKE_OK;
    case YKI_DO_AGREE:
        s->agreed++;
        return YOKE_OK;
    default:
        return yki_fault(s->p, NULL, "it is no instruction of a step's end");
    }
}

/* All sends are waited for, and all ranks agree, where a pass ends. */
static yoke_status prove_end(sums *s, yki_end end)
{
    yki_prover *p = s->p;
    int times = end == YKI_END_UPDATE ? 0 : 1;
    p->chunk = -1;
    p->body = YKI_BODY_COUNT;
    p->end = &p->program->ends[end];
    s->drained = s->agreed = 0;
    yki_made_begin(s->p);
    for (p->at = 0; p->at < p->end->count; p->at++) YKI_TRY(run_end(s, &p->end->instructions[p->at]));
    p->at = -1;
    if (s->drained != times || s->agreed != times)
        return yki_fault(p, NULL, "it waits %d times for what was sent, and agrees %d times", s->drained,
                         s->agreed);
    return YOKE_OK;
}

/* That bodies write each gradient, and the first of them does not add. */
static yoke_status check_writers(sums *s)
{
    yki_prover *p = s->p;
    for (int i = 0; i < yki_kept_count(p->program); i++) {
        const yki_gradient_use *g = &p->gradients[i];
        bool frozen = p->program->parameters[i].frozen;
        if (frozen && g->first >= 0) return yki_gradient_fault(p, i, "it is written, and it does not train");
        if (frozen) continue;
        if (g->first < 0) return yki_gradient_fault(p, i, "nobody writes it");
        if (g->begins != g->first)
            return yki_gradient_fault(p, i, "it is added to before anything is written there");
        if (p->plan->zero >= 2 && i < p->program->nparameters)
            s->done[i] |= OVER_SHARDS; /* bodies scatter it */
    }
    return YOKE_OK;
}

/* That each parameter and buffer was updated, once, and is whole where it must be. */
static yoke_status check_updates(sums *s)
{
    yki_prover *p = s->p;
    int gathers = p->plan->zero == 1 || p->plan->zero == 2 ? GATHERED : 0;
    for (int i = 0; i < p->program->nparameters; i++) {
        bool frozen = p->program->parameters[i].frozen;
        if (frozen && s->done[i] != 0)
            return yki_gradient_fault(p, i, "it is summed or used, and it does not train");
        if (!frozen && (s->done[i] & (UPDATED | GATHERED)) != (UPDATED | gathers))
            return yki_gradient_fault(p, i,
                                      "nothing comes of it: its weight is not updated, or not gathered");
    }
    for (int r = 0; r < YKI_BUCKETS_UNDER_WAY; r++)
        if (s->under_way[r]) return yki_fault(p, NULL, "request %d of the step is waited for by nobody", r);
    return YOKE_OK;
}

yoke_status yki_prove_sums(yki_prover *p)
{
    sums s = {.p = p};
    const yki_program *program = p->program;
    yki_prover_leave(p);
    p->program = program;
    if (!yki_plan_trains(p->plan)) return prove_end(&s, YKI_END_FORWARD);
    yki_prover_renew(p, &p->done, &p->cdone, yki_kept_count(program), sizeof *p->done);
    yki_prover_renew(p, &p->moving, &p->cmoving, yki_kept_count(program), sizeof *p->moving);
    yki_prover_renew(p, &p->needs, &p->cneeds, yki_kept_count(program), sizeof *p->needs);
    s.needs = p->needs, s.done = p->done, s.moving = p->moving;
    find_needs(&s);
    YKI_TRY(check_writers(&s));
    YKI_TRY(run_once(&s));
    for (int end = 0; end < YKI_END_COUNT; end++) YKI_TRY(prove_end(&s, (yki_end)end));
    p->end = NULL;
    return check_updates(&s);
}
