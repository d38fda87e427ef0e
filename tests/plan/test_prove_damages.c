/* A body that is damaged, in each of the ways there are, is refused with a sentence that names the place: its
 * movements, its copies between stages, its memory. */
#include "plan/proved.h"

/* All that a program does with one of its tensors. */
static void change(yki_plan *plan, int program, int value, void (*how)(yki_operand *operand, int64_t to),
                   int64_t to)
{
    for (int body = 0; body < YKI_BODY_COUNT; body++)
        for (int i = 0; i < code_of(plan, program, 0, (yki_body)body)->count; i++) {
            yki_instruction *in = &code_of(plan, program, 0, (yki_body)body)->instructions[i];
            for (int k = 0; k < in->noperands; k++)
                if (in->operands[k].space != YKI_SPACE_NONE && in->operands[k].value == value)
                    how(&in->operands[k], to);
        }
}
static void move_to(yki_operand *operand, int64_t offset)
{
    operand->offset = offset;
}
static void one_row_less(yki_operand *operand, int64_t unused)
{
    (void)unused;
    operand->dims[0]--;
}
static void to_temporary(yki_operand *operand, int64_t offset)
{
    operand->space = YKI_SPACE_TEMP;
    operand->offset = offset;
}

/* More temporary memory in the first program; returns how much there was. */
static int64_t grow_temporary(yki_plan *plan, int64_t bytes)
{
    yki_program *program = &plan->programs[0];
    int64_t had = program->workspace_offset - program->temp_offset;
    program->workspace_offset += bytes;
    program->totals_offset += bytes;
    program->states_offset += bytes;
    plan->states[0].total_bytes += bytes;
    for (int i = 0; i < program->nparameters; i++)
        for (int kind = 0; kind < YKI_TENSOR_KINDS; kind++) plan->states[0].kept[i].offset[kind] += bytes;
    return had;
}

/* Movements. */
static void drop_wait(yki_plan *plan)
{
    take_out(find_first(plan, 0, YKI_BODY_F, is_axis_wait));
}
static void drop_last_wait(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, is_pieces);
    for (int i = 0; i < s.code->count; i++)
        if (is_wait(&s.code->instructions[i])) s.at = i, s.in = &s.code->instructions[i];
    take_out(s);
}
static void wait_twice(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_BW, is_axis_wait);
    put_in(s, s.at + 1, *s.in);
}
static void wait_for_another(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_axis_wait);
    own_operands(plan, s.in)[0].offset += 64;
}
static void start_twice(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_axis_start);
    put_in(s, s.at + 1, *s.in);
}
static void drop_start(yki_plan *plan)
{
    take_out(find_first(plan, 0, YKI_BODY_F, is_axis_start));
}
static void start_as_a_whole(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_axis_start).in->phase = YKI_PHASE_WHOLE;
}
static void request_of_nobody(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_axis_start).in->request = plan->programs[0].nrequests;
}
static void too_many_under_way(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_gather);
    for (int i = 0; i < YKI_COMM_OUTSTANDING; i++) {
        put_in(s, s.at + 1, *s.in);
        s.code->instructions[s.at + 1].request = plan->programs[0].nrequests++;
        to_temporary(&own_operands(plan, &s.code->instructions[s.at + 1])[1], INT64_C(1) << 20 << i);
    }
    grow_temporary(plan, INT64_C(1) << 40);
}
static void exchange_two(yki_plan *plan)
{
    /* of what is exchanged for one attention, so that none needs the other */
    spot a = find_first(plan, 1, YKI_BODY_F, is_exchange);
    for (int i = a.at + 1; i < a.code->count; i++) {
        yki_instruction *b = &a.code->instructions[i], in = *b;
        if (!is_exchange(b) || b->as.move.exchange.share_b[0] == a.in->as.move.exchange.share_b[0]) continue;
        take_out((spot){plan, a.program, a.code, i, b});
        put_in(a, a.at, in);
        return;
    }
    fail_msg("there are no two movements to exchange");
}
static void another_reduction(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_reduce);
    s.in->as.move.reduction = s.in->as.move.reduction == YKI_SUM ? YKI_MAX : YKI_SUM;
}
static void another_share(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_gather);
    int64_t *share = yki_arena_alloc(&plan->arena, sizeof *share * 2);
    share[0] = s.in->as.move.cut.share[0] + 1, share[1] = s.in->as.move.cut.share[1] - 1;
    s.in->as.move.cut.share = share;
}
static void another_exchange(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_axis_start);
    s.in->as.move.exchange.inner *= 2;
}
static void other_bytes(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_reduce);
    s.in->operands[0].dims[0]++, s.in->operands[1].dims[0]++;
}
static void another_type(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_reduce);
    s.in->operands[0].dtype = s.in->operands[1].dtype = YKI_BF16;
}
static void fewer_movements(yki_plan *plan)
{
    /* the last of a body, whose result is then another name for what it was of */
    spot s = find_first(plan, 1, YKI_BODY_BW, is_reduce), last = s;
    for (; s.at < s.code->count; s.at++, s.in++)
        if (is_reduce(s.in)) last = s;
    int request = last.in->request;
    yki_placed *placed = &plan->placed[1][0];
    placed->nodes[placed->values[last.in->operands[1].value].producer].op = YKI_OP_RESHAPE;
    take_out(last);
    for (; !is_wait(last.in) || last.in->request != request; last.at++) last.in++;
    take_out(last);
}
static void samples_over_replicas(yki_plan *plan)
{
    for (int lane = 0; lane < 2; lane++) {
        yki_instruction *in = find_first(plan, lane, YKI_BODY_F, is_reduce).in;
        int request = in->request;
        for (; !is_wait(in) || in->request != request; in++)
            if (in->request == request) in->as.move.group = YKI_AXIS_DP;
        in->as.move.group = YKI_AXIS_DP;
    }
}

/* Copies between stages. */
static void drop_send(yki_plan *plan)
{
    take_out(find_first(plan, 0, YKI_BODY_F, is_send));
}
static void send_twice(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_send);
    put_in(s, s.at + 1, *s.in);
}
static void send_over_another_edge(yki_plan *plan)
{
    find_first(plan, 1, YKI_BODY_F, is_send).in->as.copy.edge = 0;
}
static void send_before_it_is_made(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_send);
    yki_instruction in = *s.in;
    take_out(s);
    put_in(s, 0, in);
}
static void send_another(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_send);
    s.in->operands[0] = find_first(plan, 0, YKI_BODY_F, writes_stash).in->operands[0];
}
static void send_from_temporary(yki_plan *plan)
{
    change(plan, 0, find_first(plan, 0, YKI_BODY_F, is_send).in->operands[0].value, to_temporary,
           grow_temporary(plan, 1 << 20));
}
static void receive_other_bytes(yki_plan *plan)
{
    plan->placed[0][1].values[plan->edges[0].imported].dims[0]--;
    change(plan, 1, plan->edges[0].imported, one_row_less, 0);
}
static void receive_late(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_pieces);
    yki_instruction in = *s.in;
    take_out(s);
    put_in(s, 0, in);
}
static void compute_while_receiving(yki_plan *plan)
{
    spot s = find_first(plan, 1, YKI_BODY_F, is_receive);
    s.at++, s.in++;
    swap_with_next(s);
}
static void write_over_what_is_sent(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, is_send);
    put_in(s, s.at + 1, s.in[-1]);
    s.code->instructions[s.at + 1].as.kernel.number = plan->programs[0].nkernels++;
}

/* Memory. */
static void swap_operands(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, reads_two);
    s.in->operands[0].space = YKI_SPACE_STASH;
    s.in->operands[0].offset = s.in->operands[1].offset;
}
static void swap_offsets(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, has_output);
    int64_t offset = s.in->operands[0].offset;
    s.in->operands[0].offset = s.in->operands[s.in->as.kernel.ninputs].offset;
    s.in->operands[s.in->as.kernel.ninputs].offset = offset;
}
static void read_before_write(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, writes_stash);
    swap_with_next(s);
}
static void nobody_writes(yki_plan *plan)
{
    take_out(find_first(plan, 0, YKI_BODY_F, writes_stash));
}
static void past_its_space(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, has_output);
    s.in->operands[s.in->as.kernel.ninputs].offset =
        plan->programs[0].workspace_offset - plan->programs[0].temp_offset;
}
static void before_its_space(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_BW, has_output).in->operands[0].offset = -64;
}
static void space_is_small(yki_plan *plan)
{
    plan->programs[0].parts[0].area_bytes[0] -= 64;
}
static void write_over_live(yki_plan *plan)
{
    /* the second output where the first lies */
    spot s = find_first(plan, 0, YKI_BODY_F, writes_two);
    s.in->operands[s.in->as.kernel.ninputs + 1].offset = s.in->operands[s.in->as.kernel.ninputs].offset;
}
static void write_over_input(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_BW, has_output);
    s.in->operands[s.in->as.kernel.ninputs].offset = s.in->operands[0].offset;
}
static void write_over_stash(yki_plan *plan)
{
    /* the second norm's statistics where the first one's lie */
    spot a = find_nth(plan, 0, YKI_BODY_F, writes_two, 0), b = find_nth(plan, 0, YKI_BODY_F, writes_two, 2);
    const yki_operand *moved = &b.in->operands[b.in->as.kernel.ninputs + 1];
    change(plan, 0, moved->value, move_to, a.in->operands[a.in->as.kernel.ninputs + 1].offset);
}
static void read_what_is_gone(yki_plan *plan)
{
    /* W reads what was B's alone */
    spot s = find_first(plan, 0, YKI_BODY_W, reads_stash_w);
    const yki_operand *wanted = &s.in->operands[0];
    for (int i = 0; i < code_of(plan, 0, 0, YKI_BODY_F)->count; i++) {
        const yki_instruction *in = &code_of(plan, 0, 0, YKI_BODY_F)->instructions[i];
        const yki_operand *made = &in->operands[in->as.kernel.ninputs];
        if (!writes_stash(in) || made->dtype != wanted->dtype || made->ndim != wanted->ndim ||
            memcmp(made->dims, wanted->dims, sizeof made->dims) != 0)
            continue;
        s.in->operands[0] = *made;
        return;
    }
    fail_msg("there is no such tensor");
}
static void another_size(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, reads_weight).in->operands[0].dims[0]++;
}
static void turn_a_weight(yki_plan *plan)
{
    yki_operand *weight = &find_first(plan, 0, YKI_BODY_F, is_product).in->operands[1];
    int64_t rows = weight->dims[0];
    assert_int_not_equal(rows, weight->dims[1]);
    weight->dims[0] = weight->dims[1], weight->dims[1] = rows;
}
static void forget_a_weight(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_product).in->operands[1] = (yki_operand){0};
}
static void another_shape(yki_plan *plan)
{
    /* of as many elements */
    int64_t *dims = find_first(plan, 0, YKI_BODY_F, reads_weight).in->operands[1].dims, rows = dims[0];
    dims[0] = dims[1];
    dims[1] = rows;
}
static void kernel_of_nobody(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_kernel).in->op = YKI_OP_COUNT;
}
static void movement_of_nobody(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, is_axis_start).in->op = YKI_OP_COUNT;
}
static void tensor_of_nobody(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, reads_weight).in->operands[0].value = plan->placed[0][0].nvalues;
}
static void write_a_weight(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, reads_weight);
    spot t = find_first(plan, 0, YKI_BODY_F, writes_stash);
    t.in->operands[t.in->as.kernel.ninputs] = s.in->operands[1];
}
static void another_weight(yki_plan *plan)
{
    spot s = find_first(plan, 0, YKI_BODY_F, reads_weight);
    s.in->operands[1].index = 1;
}
static void weight_of_nobody(yki_plan *plan)
{
    find_first(plan, 0, YKI_BODY_F, reads_weight).in->operands[1].index = plan->programs[0].nparameters;
}
static void output_is_gone(yki_plan *plan)
{
    plan->programs[0].output.offset = 0;
}

#define TP   "gpt2", "layout.tp=2"
#define SP   "gpt2", "layout.tp=2; layout.sp=true"
#define PP   "gpt2", "layout.pp=3; layout.microbatches=4"
#define ZERO "gpt2", "layout.dp=2; layout.zero=3"
static const struct damage damages[] = {
    {"a dropped wait", TP, drop_wait, {"body F, instruction", "is read while a movement still brings it"}},
    {"the last wait dropped", ZERO, drop_last_wait, {"body BW, instruction", "nobody waits for"}},
    {"a doubled wait", TP, wait_twice, {"lane 1, part 0, body BW, instruction", "not under way"}},
    {"a wait for something else", TP, wait_for_another, {"waits for another movement than instruction"}},
    {"a doubled start", TP, start_twice, {"begins a movement that instruction"}},
    {"a dropped start", TP, drop_start, {"not under way"}},
    {"a start without a wait", TP, start_as_a_whole, {"nobody can wait for"}},
    {"a request that is none", TP, request_of_nobody, {"its request is"}},
    {"too many under way",
     SP,
     too_many_under_way,
     {"body F, instruction", "all_gather", "movements under way"}},
    {"two movements exchanged",
     "llama",
     "layout.cp=3; layout.cp_kind=ulysses",
     exchange_two,
     {"lane 1", "all_to_all", "begins another movement"}},
    {"another reduction", TP, another_reduction, {"lane 1", "all_reduce", "begins another movement"}},
    {"another share", SP, another_share, {"lane 1", "all_gather", "size than the movement's cut"}},
    {"another exchange",
     "gpt2",
     "layout.cp=2; layout.cp_kind=ulysses",
     another_exchange,
     {"lane 1", "all_to_all", "size than the movement's cut"}},
    {"other bytes", TP, other_bytes, {"lane 1", "all_reduce", "is taken for"}},
    {"another type", TP, another_type, {"lane 1", "all_reduce", "of bf16 a sample"}},
    {"fewer movements", TP, fewer_movements, {"lane 1", "body BW", "fewer movements over tp"}},
    {"samples over replicas",
     "gpt2",
     "layout.dp=2; layout.tp=2",
     samples_over_replicas,
     {"own number of samples"}},

    {"a dropped send", PP, drop_send, {"stage 0", "body F", "copies over 0 edges of 1"}},
    {"a doubled send", PP, send_twice, {"a second time"}},
    {"a send over another edge", PP, send_over_another_edge, {"stage 1", "does not copy over edge 0"}},
    {"a send before it is made",
     PP,
     send_before_it_is_made,
     {"stage 0", "(copy)", "before anything is written"}},
    {"another tensor sent", PP, send_another, {"carries another tensor"}},
    {"a send of temporary memory", PP, send_from_temporary, {"memory that does not wait"}},
    {"other bytes received", PP, receive_other_bytes, {"stage 1", "the other end"}},
    {"a receive after something else",
     "gpt2",
     "layout.pp=2; layout.dp=2; layout.zero=3",
     receive_late,
     {"receives after others"}},
    {"a kernel while receiving", PP, compute_while_receiving, {"ahead of what is still being received"}},
    {"what is sent written over", PP, write_over_what_is_sent, {"still being moved"}},

    {"a read elsewhere", "gpt2", "", swap_operands, {"body BW, instruction", "is read where tensor"}},
    {"two offsets swapped", "gpt2", "", swap_offsets, {"body BW, instruction", "is read"}},
    {"a read before its write", "gpt2", "", read_before_write, {"before anything is written there"}},
    {"a write that is not there", "gpt2", "", nobody_writes, {"before anything is written there"}},
    {"an operand past its space", "gpt2", "", past_its_space, {"of a space of"}},
    {"an operand before its space", "gpt2", "", before_its_space, {"-64", "of a space of"}},
    {"a space that is small", "gpt2", "", space_is_small, {"of a space of"}},
    {"two outputs at one place", "gpt2", "", write_over_live, {"of the same instruction"}},
    {"an output over an input",
     "gpt2",
     "",
     write_over_input,
     {"layernorm.dx", "which the same instruction reads"}},
    {"two live tensors at one place", "gpt2", "", write_over_stash, {"is read"}},
    {"a read after its slot is given back",
     "gpt2",
     "layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1",
     read_what_is_gone,
     {"body W, instruction", "is read before anything"}},
    {"another size", "gpt2", "", another_size, {"is taken for"}},
    {"a weight the other way round",
     "gpt2",
     "",
     turn_a_weight,
     {"weight of '", "operand 1 is none that linear takes"}},
    {"a forgotten weight", "gpt2", "", forget_a_weight, {"operand 1 is none that linear takes"}},
    {"another shape",
     "gpt2",
     "",
     another_shape,
     {"body F, instruction", "is none that embedding takes there"}},
    {"a kernel that is none",
     "gpt2",
     "",
     kernel_of_nobody,
     {"body F, instruction 1 (none)", "its kernel is number"}},
    {"a movement that is none", TP, movement_of_nobody, {"body F, instruction", "its movement is number"}},
    {"a tensor that is none", "gpt2", "", tensor_of_nobody, {"which its part has not"}},
    {"a weight written", "gpt2", "", write_a_weight, {"weight of '", "while micro-batches need it"}},
    {"another weight", "gpt2", "", another_weight, {"weight of '", "the device keeps others"}},
    {"a weight that is none", "gpt2", "", weight_of_nobody, {"it names parameter"}},
    {"an output elsewhere", "gpt2", "", output_is_gone, {"body F", "is read"}},
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
