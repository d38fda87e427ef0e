/* The tail: what follows a step's actions. The broadcasts of parameters to replicas, to neighbours along tp
 * that share a tensor, to the stages of a tie and to the tokens' shares along cp move nothing forward; their
 * adjoints are sums of gradients, which commute with the sum over micro-batches and so are taken once, here,
 * but for what buckets.c reduces earlier and sharded.c scatters. */
#include "plan/tail.h"

#include "plan/matrices.h"

typedef struct tail {
    yki_builder *b;
    yki_code *code;
} tail;

static yki_code *begin(yki_builder *b, yki_end end, int most)
{
    yki_code *code = &b->program->ends[end];
    code->instructions = yki_arena_alloc(&b->plan->arena, sizeof *code->instructions * (size_t)most);
    return code;
}

static yki_instruction *append(yki_code *code, yki_instruction in)
{
    code->instructions[code->count] = in;
    return &code->instructions[code->count++];
}

/* A movement of what the rank keeps of parameters, in place: of all_reduce, of the rank's own elements. */
static yki_instruction move_states(yki_builder *b, yki_move move, int group, yki_tensor_kind tensor,
                                   const int *list, int count)
{
    yki_program *program = b->program;
    yki_instruction in = {.kind = YKI_DO_MOVE_STATES,
                          .op = YKI_OP_MOVE + (int)move,
                          .layer = -1,
                          .request = -1,
                          .as.move_states = {.group = group,
                                             .tensor = tensor,
                                             .dtype = yki_tensor_dtype(b->plan, program, tensor, list[0]),
                                             .npieces = count,
                                             .first_piece = program->npieces,
                                             .first_segment = program->nsegments}};
    yki_state_piece *pieces = yki_arena_alloc(&b->plan->arena, sizeof *pieces * (size_t)(count + 1));
    in.as.move_states.pieces = pieces;
    for (int i = 0; i < count; i++) {
        pieces[i] = (yki_state_piece){.parameter = list[i]};
        if (move == YKI_MOVE_ALL_REDUCE)
            program->nsegments += (int)yki_own_runs(b->plan, &program->parameters[list[i]]);
    }
    program->npieces += count;
    return in;
}

bool yki_reduces_whole(const yki_plan *plan)
{
    return plan->mesh.degree[YKI_AXIS_DP] > 1 && plan->zero <= 1 && yki_plan_trains(plan);
}

int yki_step_requests(const yki_plan *plan)
{
    return yki_reduces_whole(plan) ? YKI_BUCKETS_UNDER_WAY : 0;
}

yki_instruction yki_reduce_whole(yki_builder *b, const int *list, int count)
{
    bool scatters = b->plan->zero == 1;
    yki_instruction in =
        move_states(b, scatters ? YKI_MOVE_REDUCE_SCATTER : YKI_MOVE_ALL_REDUCE,
                    scatters ? YKI_GROUP_SHARDS : YKI_GROUP_REPLICAS, YKI_TENSOR_GRADIENT, list, count);
    in.what = "reduce over dp";
    return in;
}

yki_instruction yki_bucket_wait(const yki_builder *b, int request)
{
    bool scatters = b->plan->zero == 1;
    return (yki_instruction){.kind = YKI_DO_MOVE_STATES,
                             .op = YKI_OP_MOVE +
                                   (int)(scatters ? YKI_MOVE_REDUCE_SCATTER : YKI_MOVE_ALL_REDUCE),
                             .layer = -1,
                             .phase = YKI_PHASE_WAIT,
                             .request = request,
                             .as.move_states = {.group = scatters ? YKI_GROUP_SHARDS : YKI_GROUP_REPLICAS,
                                                .once = true,
                                                .tensor = YKI_TENSOR_GRADIENT}};
}

/* ---- reducing ---- */

/* Which of a program's parameters an instruction is of. */
typedef bool of_parameter(const yki_builder *b, const yki_local_parameter *p, int group);

static bool every(const yki_builder *b, const yki_local_parameter *p, int group)
{
    (void)b, (void)p, (void)group;
    return true;
}

static bool in_no_bucket(const yki_builder *b, const yki_local_parameter *p, int group)
{
    (void)b, (void)group;
    return !p->bucketed;
}

static bool counts_in_norm(const yki_builder *b, const yki_local_parameter *p, int group)
{
    (void)b, (void)group;
    return p->counts;
}

static bool is_of_group(const yki_builder *b, const yki_local_parameter *p, int group)
{
    const yki_param_place *place = &b->plan->param_places[p->parameter];
    return place->sum_group == group || place->tie_group == group;
}

static bool is_of_rest(const yki_builder *b, const yki_local_parameter *p, int group)
{
    (void)group;
    return yki_plan_rule_of(b->plan, p->parameter) == YKI_RULE_REST;
}

static bool is_of_matrices(const yki_builder *b, const yki_local_parameter *p, int group)
{
    return !is_of_rest(b, p, group);
}

/* Of those that train. */
static int *list_of(yki_builder *b, of_parameter *takes, int group, int *count_out)
{
    const yki_program *program = b->program;
    int *list = yki_arena_alloc(&b->plan->arena, sizeof *list * (size_t)(program->nparameters + 1));
    *count_out = 0;
    for (int i = 0; i < program->nparameters; i++)
        if (!program->parameters[i].frozen && takes(b, &program->parameters[i], group))
            list[(*count_out)++] = i;
    return list;
}

/* Over a group, of the ranks' own elements. */
static void reduce_own(tail *t, int group, of_parameter *takes)
{
    static const char *const names[YKI_AXIS_COUNT] = {[YKI_AXIS_TP] = "reduce over tp",
                                                      [YKI_AXIS_CP] = "reduce over cp",
                                                      [YKI_AXIS_DP] = "reduce over dp",
                                                      [YKI_AXIS_PP] = "reduce over pp"};
    const yki_group *of = &t->b->plan->groups[group];
    int count, *list = list_of(t->b, takes, group, &count);
    if (of->size == 1 || count == 0) return;
    append(t->code, move_states(t->b, YKI_MOVE_ALL_REDUCE, group, YKI_TENSOR_GRADIENT, list, count))->what =
        names[of->axis];
}

static void reduce_replicas(tail *t)
{
    const yki_plan *plan = t->b->plan;
    int count, *list = list_of(t->b, in_no_bucket, 0, &count);
    int under_way = t->b->program->nbuckets;
    if (under_way > YKI_BUCKETS_UNDER_WAY) under_way = YKI_BUCKETS_UNDER_WAY;
    if (yki_reduces_whole(plan) && count > 0) append(t->code, yki_reduce_whole(t->b, list, count));
    for (int i = 0; i < under_way; i++) append(t->code, yki_bucket_wait(t->b, i));
    if (plan->zero > 0) reduce_own(t, YKI_GROUP_REPLICAS, every);
}

static yki_instruction *states_kernel(tail *t, yki_kernel kernel, const char *what)
{
    return append(t->code,
                  (yki_instruction){
                      .kind = YKI_DO_STATES, .op = (int)kernel, .layer = -1, .what = what, .request = -1});
}

/* A replica's squares are another's: the first one's count. */
static void add_norm(tail *t)
{
    int count, *list = list_of(t->b, counts_in_norm, 0, &count);
    states_kernel(t, YKI_KERNEL_SUM_SQUARES, "gradient norm")->as.states =
        (struct yki_do_states){.ntensors = 1,
                               .tensors = {YKI_TENSOR_GRADIENT},
                               .nparameters = count,
                               .parameters = list,
                               .first_alone = true};
}

static void agree(tail *t)
{
    append(t->code,
           (yki_instruction){
               .kind = YKI_DO_DRAIN, .op = -1, .layer = -1, .what = "wait for sends", .request = -1});
    append(t->code,
           (yki_instruction){
               .kind = YKI_DO_AGREE, .op = -1, .layer = -1, .what = "sum loss and norm", .request = -1});
}

static void make_reduce(yki_builder *b)
{
    const yki_plan *plan = b->plan;
    tail t = {b, begin(b, YKI_END_REDUCE, YKI_BUCKETS_UNDER_WAY + plan->ngroups + 6)};
    reduce_replicas(&t);
    for (int g = YKI_GROUP_FIRST_MADE; g < plan->ngroups; g++)
        if (plan->groups[g].axis == YKI_AXIS_TP) reduce_own(&t, g, is_of_group);
    for (int g = YKI_GROUP_FIRST_MADE; g < plan->ngroups; g++)
        if (plan->groups[g].stages && plan->groups[g].stages[b->program->stage])
            reduce_own(&t, g, is_of_group);
    reduce_own(&t, YKI_AXIS_CP, every);
    add_norm(&t);
    agree(&t);
}

/* ---- updating ---- */

/* Gradients become directions of updates, in place, and those orthogonal. */
static void add_directions(tail *t, const yki_rule *rule, const int *list, int count)
{
    struct yki_do_states *s = &states_kernel(t, rule->direction, "direction of updates")->as.states;
    *s = (struct yki_do_states){.nparameters = count, .parameters = list};
    s->tensors[s->ntensors++] = YKI_TENSOR_GRADIENT;
    s->tensors[s->ntensors++] = YKI_TENSOR_GRADIENT;
    for (int m = 0; m < YKI_MAX_MOMENTS && rule->moments[m]; m++)
        s->tensors[s->ntensors++] = (yki_tensor_kind)(YKI_TENSOR_MOMENT + m);
    yki_add_matrices(t->b, t->code);
}

/* Of the parameters that have a rule. */
static void add_rule(tail *t, yki_rule_of of)
{
    const yki_plan_options *options = &t->b->plan->options;
    const yki_rule *rule = &yki_optimizers[options->optimizer].rules[of];
    bool bf16 = options->precision == YOKE_PRECISION_BF16;
    int count, *list = list_of(t->b, of == YKI_RULE_REST ? is_of_rest : is_of_matrices, 0, &count);
    if (count == 0) return;
    if (rule->orthogonal) add_directions(t, rule, list, count);
    struct yki_do_states *s = &states_kernel(t, rule->kernel, "update")->as.states;
    *s = (struct yki_do_states){.nparameters = count, .parameters = list, .scaled = rule->orthogonal};
    s->tensors[s->ntensors++] = YKI_TENSOR_GRADIENT;
    s->tensors[s->ntensors++] = bf16 ? YKI_TENSOR_MASTER : YKI_TENSOR_WEIGHT;
    for (int m = 0; m < YKI_MAX_MOMENTS && rule->moments[m]; m++)
        s->tensors[s->ntensors++] =
            rule->orthogonal ? YKI_TENSOR_NONE : (yki_tensor_kind)(YKI_TENSOR_MOMENT + m);
    s->tensors[s->ntensors++] = bf16 ? YKI_TENSOR_WEIGHT : YKI_TENSOR_NONE;
}

/* Buffers take what the step's micro-batches add to them. Replicas whose statistics are their own take the
 * first one's, as PyTorch's DistributedDataParallel does. */
static void add_buffers(tail *t)
{
    yki_program *program = t->b->program;
    int *list = yki_arena_alloc(&t->b->plan->arena, sizeof *list * (size_t)(program->nbuffers + 1));
    for (int i = 0; i < program->nbuffers; i++) {
        list[i] = program->nparameters + i;
        const yki_attr *of =
            t->b->plan->options.model->parameters[program->parameters[list[i]].parameter].buffer;
        if (of->own_statistics && t->b->plan->mesh.degree[YKI_AXIS_DP] > 1)
            append(t->code,
                   move_states(t->b, YKI_MOVE_FROM_FIRST, YKI_AXIS_DP, YKI_TENSOR_GRADIENT, &list[i], 1))
                ->what = "share buffers";
        states_kernel(t, YKI_KERNEL_BLEND, "update buffers")->as.states =
            (struct yki_do_states){.ntensors = 2,
                                   .tensors = {YKI_TENSOR_GRADIENT, YKI_TENSOR_WEIGHT},
                                   .nparameters = 1,
                                   .parameters = &list[i],
                                   .tracked = of};
    }
}

static void make_update(yki_builder *b)
{
    tail t = {b, begin(b, YKI_END_UPDATE, 2 * b->program->nbuffers + 5 + yki_matrices_instructions(b))};
    for (int rule = 0; rule < YKI_RULES; rule++) add_rule(&t, (yki_rule_of)rule);
    add_buffers(&t);
    if (b->plan->zero != 1 && b->plan->zero != 2)
        return; /* each has all that it computes with, or zero 3 gathers */
    int count, *list = list_of(b, every, 0, &count);
    if (count == 0) return;
    append(t.code, move_states(b, YKI_MOVE_ALL_GATHER, YKI_GROUP_SHARDS, YKI_TENSOR_WEIGHT, list, count))
        ->what = "gather weights";
}

void yki_make_ends(yki_builder *b)
{
    tail forward = {b, begin(b, YKI_END_FORWARD, 2)};
    agree(&forward);
    if (!yki_plan_trains(b->plan)) return;
    make_reduce(b);
    make_update(b);
}

/* ---- who overwrites a gradient ---- */

/* Marks an instruction where nothing has written its gradients yet. One that writes two has a mark for both;
 * that it fits both is proved with everything else. */
static void mark(yki_instruction *in, bool *written)
{
    if (in->kind == YKI_DO_MOVE_STATES && !in->as.move_states.once &&
        in->as.move_states.tensor == YKI_TENSOR_GRADIENT && in->phase == YKI_PHASE_START)
        for (int i = 0; i < in->as.move_states.npieces; i++) {
            yki_state_piece *piece = &in->as.move_states.pieces[i];
            piece->begins = !written[piece->parameter];
            written[piece->parameter] = true;
        }
    if (in->kind != YKI_DO_KERNEL || !in->as.kernel.writes_gradients) return;
    for (int i = in->noperands - 1; i >= in->as.kernel.ninputs; i--) {
        if (in->operands[i].space != YKI_SPACE_GRADIENT) continue;
        in->as.kernel.begins = !written[in->operands[i].index];
        written[in->operands[i].index] = true;
    }
}

void yki_find_first_writers(yki_builder *b)
{
    const yki_program *program = b->program;
    bool *written =
        yki_arena_alloc(&b->plan->arena, (size_t)program->nparameters + (size_t)program->nbuffers + 1);
    for (int i = 0; i < program->nactions; i++) {
        const yoke_action *action = &program->actions[i];
        const yki_code *code = yki_action_code(program, action);
        if (program->parts[action->chunk].first_action[yki_action_body(action)] != i) continue;
        for (int k = 0; k < code->count; k++) mark(&code->instructions[k], written);
    }
}
