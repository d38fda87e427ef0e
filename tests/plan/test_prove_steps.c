/* A step that is damaged, in each of the ways there are, is refused with a sentence that names the place: its
 * gradients and what becomes of them, its slots, its arena. */
#include "plan/proved.h"

/* Gradients. */
static void gradient_of_nobody(yki_plan *plan)
{
    take_out(find_first(plan, 0, YKI_BODY_BW, writes_norm));
}
static void reduce_too_early(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, is_bucket);
    yki_instruction in = *s.in;
    take_out(s);
    spot first = find_first(plan, 0, YKI_BODY_BW, writes_gradient);
    put_in(first, first.at, in);
}
static void reduce_twice(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, is_bucket);
    yki_program *program = &plan->programs[0];
    put_in(s, s.at + 1, *s.in);
    struct yki_do_move_states *again = &s.code->instructions[s.at + 1].as.move_states;
    again->first_piece = program->npieces;
    again->first_segment = program->nsegments;
    program->npieces += again->npieces;
    program->nsegments += again->npieces;
    s.code->instructions[s.at + 1].request++;
}
static void complete_too_early(yki_plan *plan)
{
    plan->programs[0].parts[0].last_weight--;
}
static void another_parameter(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_pieces).in->as.move_states.pieces[0].parameter++;
}
static void pieces_of_another(yki_plan *plan)
{
    find_nth(plan, 0, YKI_BODY_F, is_pieces, 1).in->as.move_states.first_piece--;
}
static void read_while_gathered(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_wait);
    yki_instruction in = *s.in;
    take_out(s);
    put_in(s, s.code->count, in);
}
static void number_of_another(yki_plan *plan)
{
    find_nth(plan, 0, YKI_BODY_F, is_kernel, 1).in->as.kernel.number =
        find_nth(plan, 0, YKI_BODY_F, is_kernel, 0).in->as.kernel.number;
}

/* The step's end. */
static spot find_end(yki_plan *plan, int program, yki_end end, chooses *is)
{
    spot s = {plan, &plan->programs[program], &plan->programs[program].ends[end], 0, NULL};
    for (; s.at < s.code->count; s.at++) {
        s.in = &s.code->instructions[s.at];
        if (is(s.in)) return s;
    }
    fail_msg("there is no such instruction to damage");
    return s;
}
static bool moves_states(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE_STATES && in->phase == YKI_PHASE_WHOLE;
}
static bool reduces_own(const yki_instruction *in)
{
    return moves_states(in) && in->op == YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE;
}
static bool is_bucket_wait(const yki_instruction *in)
{
    return yki_runs_once(in) && in->phase == YKI_PHASE_WAIT;
}
static bool computes_states(const yki_instruction *in)
{
    return in->kind == YKI_DO_STATES;
}
static bool drains(const yki_instruction *in)
{
    return in->kind == YKI_DO_DRAIN;
}
static bool agrees(const yki_instruction *in)
{
    return in->kind == YKI_DO_AGREE;
}
static bool begins_gradient(const yki_instruction *in)
{
    return writes_gradient(in) && in->as.kernel.begins;
}
static bool adds_gradient(const yki_instruction *in)
{
    return writes_gradient(in) && !in->as.kernel.begins;
}

static void put_again(spot s)
{
    yki_instruction in = *s.in;
    struct yki_do_move_states *again = &in.as.move_states;
    if (moves_states(s.in)) {
        again->first_piece = s.program->npieces;
        again->first_segment = s.program->nsegments;
        s.program->npieces += again->npieces;
        s.program->nsegments += 64 * again->npieces;
    }
    put_in(s, s.at + 1, in);
}
static void drop_sum(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_REDUCE, reduces_own));
}
static void sum_twice(yki_plan *plan)
{
    put_again(find_end(plan, 0, YKI_END_REDUCE, reduces_own));
}
static void sum_over_others(yki_plan *plan)
{
    find_end(plan, 0, YKI_END_REDUCE, reduces_own).in->as.move_states.group = YKI_AXIS_PP;
}
static void sum_after_norm(yki_plan *plan)
{
    spot s = find_end(plan, 0, YKI_END_REDUCE, reduces_own);
    yki_instruction in = *s.in;
    take_out(s);
    put_in(s, s.code->count, in);
}
static void drop_scatter(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_REDUCE, moves_states));
}
static void sum_of_one_lost(yki_plan *plan)
{
    find_end(plan, 0, YKI_END_REDUCE, reduces_own).in->as.move_states.npieces--;
}
static void sum_in_another_order(yki_plan *plan)
{
    yki_state_piece *pieces = find_end(plan, 1, YKI_END_REDUCE, reduces_own).in->as.move_states.pieces;
    int parameter = pieces[0].parameter;
    pieces[0].parameter = pieces[1].parameter;
    pieces[1].parameter = parameter;
}
static void drop_bucket_wait(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_REDUCE, is_bucket_wait));
}
static void wait_for_bucket_twice(yki_plan *plan)
{
    put_again(find_end(plan, 0, YKI_END_REDUCE, is_bucket_wait));
}
static void request_of_another_bucket(yki_plan *plan)
{
    find_nth(plan, 0, YKI_BODY_BW, is_bucket, 1).in->request = 0;
}
static void request_of_the_step(yki_plan *plan)
{
    /* a movement of a body has one that a bucket has */
    int request = find_first(plan, 0, YKI_BODY_BW, is_bucket).in->request;
    spot s = find_first(plan, 0, YKI_BODY_BW, is_axis_start);
    find_first(plan, 0, YKI_BODY_BW, is_axis_wait).in->request = request;
    s.in->request = request;
}
static void bucket_of_another_part(yki_plan *plan)
{
    /* a part that has nothing to do with it reduces it too */
    spot s = {plan, &plan->programs[0], code_of(plan, 0, 1, YKI_BODY_BW), 0, NULL};
    while (!is_bucket(&s.code->instructions[s.at])) s.at++;
    s.in = &s.code->instructions[s.at];
    s.in->as.move_states.pieces[0] = find_first(plan, 0, YKI_BODY_BW, is_bucket).in->as.move_states.pieces[0];
}
static void drop_update(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_UPDATE, computes_states));
}
static void update_twice(yki_plan *plan)
{
    put_again(find_end(plan, 0, YKI_END_UPDATE, computes_states));
}
static void gather_before_update(yki_plan *plan)
{
    swap_with_next(find_end(plan, 0, YKI_END_UPDATE, computes_states));
}
static void drop_gather(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_UPDATE, moves_states));
}
static void own_elements_of_another(yki_plan *plan)
{
    assert_true(plan->nshard_classes > 1 && plan->shard_classes[1].first == 1);
    plan->states[1].kept[0].first = 0;
}
static void class_of_unlike_shards(yki_plan *plan)
{
    plan->shard_classes[0].count += plan->shard_classes[1].count;
    plan->nshard_classes = 1;
}
/* Of 101 rows over three lanes the last has one less, and of 8 tokens. */
static void unlike_lane_in_class(yki_plan *plan)
{
    assert_true(plan->nlane_classes == 3 && plan->lanes[2].class == 2);
    plan->lanes[2].class = 1;
    plan->lane_classes[1].count++;
    plan->nlane_classes--;
    for (int stage = 0; stage < plan->parts.nstages; stage++)
        for (int class = 0; class < 2; class ++)
            plan->programs[2 * stage + class] = plan->programs[3 * stage + class];
}
static void lanes_miscounted(yki_plan *plan)
{
    plan->lane_classes[1].count++;
}
static void shard_in_no_class(yki_plan *plan)
{
    plan->nshard_classes--;
}
static void drop_drain(yki_plan *plan)
{
    take_out(find_end(plan, 0, YKI_END_REDUCE, drains));
}
static void agree_twice(yki_plan *plan)
{
    put_again(find_end(plan, 0, YKI_END_FORWARD, agrees));
}
static void begin_nothing(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_BW, begins_gradient).in->as.kernel.begins = false;
}
static void begin_twice(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_BW, adds_gradient).in->as.kernel.begins = true;
}
static void end_in_a_body(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_kernel);
    put_in(s, 0, *find_end(plan, 0, YKI_END_REDUCE, drains).in);
}
static void body_in_an_end(yki_plan *plan)
{
    spot s = find_end(plan, 0, YKI_END_REDUCE, drains);
    put_in(s, 0, *find_first(plan, 0, YKI_BODY_F, is_kernel).in);
}

/* Matrices that are updated whole. */
static bool is_made(const yki_instruction *in)
{
    return in->kind == YKI_DO_KERNEL;
}
static bool makes_unit(const yki_instruction *in)
{
    return in->op == YKI_KERNEL_UNIT;
}
static bool combines(const yki_instruction *in)
{
    return in->op == YKI_KERNEL_COMBINE;
}
static bool moves_lanes(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE;
}
static bool cuts_lanes(const yki_instruction *in)
{
    return in->op == YKI_OP_MOVE + YKI_MOVE_SHARD && in->kind == YKI_DO_MOVE;
}
static bool keeps_shards(const yki_instruction *in)
{
    return in->op == YKI_OP_MOVE + YKI_MOVE_SHARD && in->kind == YKI_DO_MOVE_STATES;
}
static bool is_directed(const yki_instruction *in)
{
    return in->op == YKI_KERNEL_MOMENTUM;
}
static bool is_scaled(const yki_instruction *in)
{
    return in->kind == YKI_DO_STATES && in->as.states.scaled;
}
static spot find_made(yki_plan *plan, chooses *is)
{
    return find_end(plan, 0, YKI_END_UPDATE, is);
}
static void drop_direction(yki_plan *plan)
{
    take_out(find_made(plan, is_directed));
}
static void direct_twice(yki_plan *plan)
{
    put_again(find_made(plan, is_directed));
}
static void direct_the_rest(yki_plan *plan)
{
    /* a bias and its kind have no such rule */
    find_made(plan, is_directed).in->as.states.parameters =
        find_end(plan, 0, YKI_END_UPDATE, computes_states).in->as.states.parameters;
}
static void update_unscaled(yki_plan *plan)
{
    find_made(plan, is_scaled).in->as.states.scaled = false;
}
static void update_by_the_rest(yki_plan *plan)
{
    struct yki_do_states *rest = &find_end(plan, 0, YKI_END_UPDATE, computes_states).in->as.states;
    rest->parameters = find_made(plan, is_scaled).in->as.states.parameters;
    rest->nparameters = 1;
}
static void update_before_made(yki_plan *plan)
{
    spot s = find_made(plan, is_scaled);
    yki_instruction in = *s.in;
    take_out(s);
    put_in(s, find_made(plan, is_directed).at + 1, in);
}
static void read_not_whole(yki_plan *plan)
{
    /* what one lane has, for a matrix */
    spot s = find_made(plan, moves_lanes);
    yki_operand lane = s.in->operands[0];
    take_out(s);
    lane.ndim = 1;
    lane.dims[0] *= lane.dims[1];
    spot unit = find_made(plan, makes_unit);
    yki_operand *own = own_operands(plan, unit.in);
    own[0] = lane;
    own[1].dims[0] = lane.dims[0];
    plan->programs[0].made[own[1].value].elems = lane.dims[0];
}
static void drop_shards(yki_plan *plan)
{
    take_out(find_made(plan, moves_states));
}
static void drop_keeping(yki_plan *plan)
{
    take_out(find_made(plan, keeps_shards));
}
static void shards_of_another(yki_plan *plan)
{
    find_made(plan, moves_states).in->as.move_states.pieces[0].parameter =
        find_made(plan, is_directed).in->as.states.parameters[1];
}
static void cut_what_is_raw(yki_plan *plan)
{
    /* given back as it was brought */
    own_operands(plan, find_made(plan, cuts_lanes).in)[0] = find_made(plan, moves_lanes).in->operands[1];
}
static void drop_kernel(yki_plan *plan)
{
    spot s = find_made(plan, combines);
    take_out(s);
}
static void made_number_of_another(yki_plan *plan)
{
    find_made(plan, combines).in->as.kernel.number = find_made(plan, is_made).in->as.kernel.number;
}
static void combine_over_the_other(yki_plan *plan)
{
    /* the output where the second operand is */
    yki_operand *own = own_operands(plan, find_made(plan, combines).in);
    own[2].offset = own[1].offset;
}
static void make_past_the_end(yki_plan *plan)
{
    yki_operand *own = own_operands(plan, find_made(plan, makes_unit).in);
    own[1].offset = plan->programs[0].workspace_offset;
}
static void make_other_elements(yki_plan *plan)
{
    plan->programs[0].made[find_made(plan, makes_unit).in->operands[1].value].elems++;
}
static void matrices_in_another_order(yki_plan *plan)
{
    spot s = find_end(plan, 1, YKI_END_UPDATE, moves_lanes);
    s.in->as.move.cut.outer *= 2;
}
static void moment_of_nobody(yki_plan *plan)
{
    const struct yki_do_states *of = &find_made(plan, is_directed).in->as.states;
    plan->states[0].kept[of->parameters[0]].offset[YKI_TENSOR_MOMENT] = -1;
}

/* Slots. */
static void slot_too_few(yki_plan *plan)
{
    plan->programs[0].parts[0].area_slots[0]--;
}
static void slot_shared(yki_plan *plan)
{
    yki_part_program *part = &plan->programs[0].parts[0];
    int *slot = own_slots(plan, part->slot[0]);
    slot[1] = slot[0];
    part->slot[0] = slot;
}
static void slot_shared_till_w(yki_plan *plan)
{
    yki_part_program *part = &plan->programs[0].parts[0];
    for (int g = 1; g < YKI_AREAS; g++) {
        if (part->area_bytes[g] == 0 || part->area_slots[g] < 2) continue;
        int *slot = own_slots(plan, part->slot[g]);
        for (int m = 0; m < plan->microbatches; m++) slot[m] = 0;
        part->slot[g] = slot;
        return;
    }
    fail_msg("nothing is kept from B to W");
}
static void send_slot_shared(yki_plan *plan)
{
    yki_program *program = &plan->programs[1];
    for (int e = 0; e < plan->nedges; e++) {
        if (program->send_offset[e] < 0) continue;
        int *slot = own_slots(plan, program->send_slot[e]);
        for (int m = 0; m < plan->microbatches; m++) slot[m] = 0;
        ((const int **)(uintptr_t)program->send_slot)[e] = slot;
        return;
    }
    fail_msg("no gradient is sent");
}
static void another_list(yki_plan *plan)
{
    plan->programs[0].actions = plan->programs[1].actions;
}
static void body_is_gone(yki_plan *plan)
{
    plan->programs[0].parts[0].present[YKI_BODY_BW] = false;
}

/* The arena. */
static void temporary_over_slots(yki_plan *plan)
{
    plan->programs[0].temp_offset -= 64;
}
static void scratch_past_the_end(yki_plan *plan)
{
    plan->programs[0].workspace_bytes = plan->programs[0].states_offset;
}
static void states_overlap(yki_plan *plan)
{
    plan->states[0].kept[1].offset[0] = plan->states[0].kept[0].offset[0];
}
static void states_past_the_end(yki_plan *plan)
{
    plan->states[0].total_bytes -= 64;
}
static void slots_overlap(yki_plan *plan)
{
    yki_part_program *parts = plan->programs[0].parts;
    parts[1].area_offset[0] = parts[0].area_offset[0];
}

#define SP      "gpt2", "layout.tp=2; layout.sp=true"
#define PP      "gpt2", "layout.pp=3; layout.microbatches=4"
#define BUCKETS "gpt2", "layout.dp=2; layout.bucket=1KiB"
#define ZERO    "gpt2", "layout.dp=2; layout.zero=3"
#define MUON    "gpt2", "train.optimizer={name: muon}; layout.tp=2; layout.dp=2"
static const struct damage damages[] = {
    {"a gradient that nobody writes", "gpt2", "", gradient_of_nobody, {"gradient of '", "nobody writes it"}},
    {"a bucket too early",
     "gpt2",
     "layout.dp=2",
     reduce_too_early,
     {"gradient of '", "before all of it is written"}},
    {"a bucket twice", "gpt2", "layout.dp=2", reduce_twice, {"gradient of '", "or twice"}},
    {"gradients complete too early", PP, complete_too_early, {"are called complete after action"}},
    {"another parameter gathered",
     ZERO,
     another_parameter,
     {"body F, instruction", "another whole than of '"}},
    {"pieces of another movement", ZERO, pieces_of_another, {"are others' too"}},
    {"a gather that is read too early", ZERO, read_while_gathered, {"still brings it"}},
    {"a kernel's number twice", "gpt2", "", number_of_another, {"kernel's number"}},

    {"a sum left out",
     "gpt2",
     "layout.cp=2",
     drop_sum,
     {"reductions, instruction", "gradient of '", "before its sum is complete"}},
    {"a sum taken twice",
     "gpt2",
     "layout.cp=2",
     sum_twice,
     {"reductions, instruction", "gradient of '", "summed twice"}},
    {"a sum over others", "gpt2", "layout.cp=2", sum_over_others, {"no parts of it"}},
    {"a sum after the norm",
     "gpt2",
     "layout.cp=2",
     sum_after_norm,
     {"gradient norm", "before its sum is complete"}},
    {"a sum before the shards'",
     "gpt2",
     "layout.dp=2; layout.zero=1; layout.cp=2; layout.pp=2; layout.microbatches=4; layout.schedule=zb-v",
     drop_scatter,
     {"before its shards are"}},
    {"a sum without one", "gpt2", "layout.cp=2", sum_of_one_lost, {"before its sum is complete"}},
    {"a sum in another order",
     SP,
     sum_in_another_order,
     {"lane 1, the step's reductions", "begins another movement"}},
    {"a sum over stages in another order",
     "gpt2",
     "layout.pp=2",
     drop_sum,
     {"stage 0", "gradient of 'wte.weight'", "before its sum is complete"}},
    {"a bucket without a wait", "gpt2", "layout.dp=2", drop_bucket_wait, {"while a movement reduces it"}},
    {"a bucket with two waits", "gpt2", "layout.dp=2", wait_for_bucket_twice, {"not under way"}},
    {"two buckets of one request",
     BUCKETS,
     request_of_another_bucket,
     {"body BW, instruction", "that is another's"}},
    {"a request of the step's",
     "gpt2",
     "layout.dp=2; layout.tp=2",
     request_of_the_step,
     {"body BW, instruction", "one of the step's, and a body's"}},
    {"a bucket of another part",
     "gpt2",
     "layout.pp=2; layout.chunks=2; layout.microbatches=2; layout.schedule=interleaved; layout.dp=2",
     bucket_of_another_part,
     {"gradient of '", "before all of it is written"}},
    {"an update left out", "gpt2", "", drop_update, {"gradient of '", "is not updated"}},
    {"two updates", "gpt2", "", update_twice, {"the step's update, instruction", "used twice"}},
    {"a gather before its update",
     "gpt2",
     "layout.dp=2; layout.zero=1",
     gather_before_update,
     {"the step's update, instruction", "before its update"}},
    {"a gather left out", "gpt2", "layout.dp=2; layout.zero=2", drop_gather, {"not gathered"}},
    {"own elements of another shard",
     "gpt2",
     "model.vocab=33; layout.dp=2; layout.zero=1",
     own_elements_of_another,
     {"shard 1's own elements of parameter 0"}},
    {"unlike shards in a class",
     "gpt2",
     "model.vocab=33; layout.dp=2; layout.zero=3",
     class_of_unlike_shards,
     {"shards 0 .. 1 are not dealt as many of 33 rows"}},
    {"an unlike lane in a class",
     "gpt2",
     "layout.tp=3",
     unlike_lane_in_class,
     {"lane 2 has another share of parameter 0 than its class"}},
    {"a lane with fewer tokens in a class",
     "gpt2",
     "layout.cp=3; train.sequence=8",
     unlike_lane_in_class,
     {"it is of another size than the movement's cut says for lane 2"}},
    {"lanes that are not there", "gpt2", "layout.tp=3", lanes_miscounted, {"is said to have 2 lanes"}},
    {"a shard in no class",
     "gpt2",
     "model.vocab=33; layout.dp=2; layout.zero=2",
     shard_in_no_class,
     {"1 of 2 shards are in no class"}},
    {"sends that nobody waits for", PP, drop_drain, {"the step's reductions", "0 times for what was sent"}},
    {"two agreements", PP, agree_twice, {"the end of a forward pass", "agrees 2 times"}},
    {"a gradient that nobody begins",
     "gpt2",
     "",
     begin_nothing,
     {"gradient of '", "before anything is written"}},
    {"a gradient begun twice", "llama_tied", "", begin_twice, {"gradient of '", "overwrites what"}},
    {"a step's end in a body",
     "gpt2",
     "",
     end_in_a_body,
     {"body F, instruction 0", "no instruction of a micro-batch"}},
    {"a kernel in a step's end",
     "gpt2",
     "",
     body_in_an_end,
     {"the step's reductions, instruction 0", "no instruction of a step's end"}},

    {"a direction left out", MUON, drop_direction, {"update, instruction", "of another matrix"}},
    {"a direction twice", MUON, direct_twice, {"gradient of '", "used twice"}},
    {"a direction of what has no such rule", MUON, direct_the_rest, {"gradient of '", "rule for it"}},
    {"an update that is not scaled", MUON, update_unscaled, {"gradient of '", "rule for it"}},
    {"an update by another rule", MUON, update_by_the_rest, {"gradient of '", "rule for it"}},
    {"an update before it is made", MUON, update_before_made, {"gradient of '", "rule for it"}},
    {"a matrix that is not whole", MUON, read_not_whole, {"gradient of '", "that is to be whole"}},
    {"a direction not brought together", MUON "; layout.zero=1", drop_shards, {"before all shards'"}},
    {"a direction that is not there",
     MUON "; layout.zero=2",
     drop_shards,
     {"tensor ", "where it does not lie"}},
    {"an update not given back", MUON "; layout.zero=3", drop_keeping, {"gradient of '", "rule for it"}},
    {"shards of another matrix", MUON "; layout.zero=2", shards_of_another, {"not what is to be moved"}},
    {"a direction given back", MUON, cut_what_is_raw, {"tensor ", "where it does not lie"}},
    {"a product's result left out", MUON, drop_kernel, {"tensor ", "where it does not lie"}},
    {"a number of another kernel", MUON, made_number_of_another, {"kernel's number"}},
    {"an output over the other operand", MUON, combine_over_the_other, {"which the same instruction reads"}},
    {"a matrix past the end", MUON, make_past_the_end, {"tensor ", "of a space of"}},
    {"a matrix of other elements", MUON, make_other_elements, {"it is taken for"}},
    {"another cut of a matrix", MUON, matrices_in_another_order, {"lane 1", "the movement's cut says"}},
    {"a moment that nobody keeps", MUON, moment_of_nobody, {"moment of parameter"}},

    {"a slot too few", PP, slot_too_few, {"stage 0", "body F", "has slot"}},
    {"a slot for two", PP, slot_shared, {"action F1 takes slot 0, which micro-batch 0 has"}},
    {"a slot for two until W",
     "gpt2",
     "layout.pp=3; layout.microbatches=4; layout.schedule=zb-h1",
     slot_shared_till_w,
     {"stage 0", "takes slot 0, which micro-batch 0 has"}},
    {"a gradient sent over another",
     PP,
     send_slot_shared,
     {"stage 1", "nothing says that stage 0 has taken"}},
    {"another stage's list", PP, another_list, {"its stage's list of actions"}},
    {"a body that is missing", "gpt2", "", body_is_gone, {"bodies that a micro-batch needs"}},

    {"temporary memory over slots", "gpt2", "", temporary_over_slots, {"and temporary memory overlap"}},
    {"scratch memory over states", "gpt2", "", scratch_past_the_end, {"scratch memory lies at"}},
    {"two weights at one place",
     "gpt2",
     "",
     states_overlap,
     {"weight of parameter 0 and weight of parameter 1"}},
    {"states past the end", "gpt2", "", states_past_the_end, {"outside of"}},
    {"two parts' slots at one place",
     "gpt2",
     "layout.pp=2; layout.chunks=2; layout.microbatches=2; "
     "layout.schedule=interleaved",
     slots_overlap,
     {"slots from F to B of part 0 and slots from F to B of part 2 overlap"}},
};

static void test_damages(void **state)
{
    (void)state;
    all_are_refused(damages, sizeof damages / sizeof *damages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
