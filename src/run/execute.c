/* The interpreter: one action is one body of instructions, with the slots of its micro-batch. */
#include <string.h>

#include "base/bf16.h"
#include "base/fail.h"
#include "run/rank.h"

void *yki_frame_address(const yki_frame *f, const yki_operand *operand)
{
    char *memory = f->rank->memory;
    const yki_program *program = f->rank->program;
    switch (operand->space) {
    case YKI_SPACE_NONE:
        return NULL;
    case YKI_SPACE_WEIGHT:
        return memory + f->rank->states->kept[operand->index].offset[YKI_TENSOR_WEIGHT];
    case YKI_SPACE_GRADIENT:
        return memory + f->rank->states->kept[operand->index].offset[YKI_TENSOR_GRADIENT];
    case YKI_SPACE_STASH:
        return f->area[0] + operand->offset;
    case YKI_SPACE_STASH_W:
        return f->area[1] + operand->offset;
    case YKI_SPACE_HOLD:
        return f->area[2] + operand->offset;
    case YKI_SPACE_SEND:
        return memory + program->send_offset[operand->index] +
               program->send_slot[operand->index][f->microbatch] * program->send_bytes[operand->index];
    case YKI_SPACE_CACHE:
        return memory + operand->offset;
    case YKI_SPACE_TEMP:
        return memory + program->temp_offset + operand->offset;
    }
    return NULL;
}

int64_t yki_rank_samples(const yki_rank *rank, int microbatch, int64_t *first_out)
{
    const yki_step *step = rank->run->step;
    int dp = rank->place[YKI_AXIS_DP];
    if (step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS)
        return yki_plan_samples(rank->plan, step->samples, dp, microbatch, first_out);
    int degree = rank->plan->mesh.degree[YKI_AXIS_DP]; /* forward only: one micro-batch a replica */
    if (step->shares) {
        *first_out = 0;
        for (int d = 0; d < dp; d++) *first_out += step->shares[d];
        return step->shares[dp];
    }
    *first_out = yki_share_start(step->samples, degree, dp);
    return yki_share(step->samples, degree, dp);
}

/* Samples of micro-batch m that statistics of `replica` are of: all replicas', or its own. */
static int64_t group_samples(const yki_rank *rank, const yki_attr *attr, int replica, int m)
{
    const yki_step *step = rank->run->step;
    int64_t first, samples = 0;
    for (int d = 0; d < rank->plan->mesh.degree[YKI_AXIS_DP]; d++)
        if (!attr->own_statistics || d == replica)
            samples += yki_plan_samples(rank->plan, step->samples, d, m, &first);
    return samples;
}

int64_t yki_rank_tracked(const yki_rank *rank, const yki_attr *attr, int replica, int first)
{
    int64_t count = 0;
    for (int m = first; m < rank->plan->microbatches; m++)
        count += group_samples(rank, attr, replica, m) * attr->inner >= 2;
    return count;
}

static yoke_status launch(const yki_frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    const yki_step *step = rank->run->step;
    const struct yki_do_kernel *kernel = &in->as.kernel;
    yki_launch launch;
    yki_instruction_shapes(in, f->samples, &launch);
    yki_rank_localise(rank, in, &launch);
    for (int i = 0; i < in->noperands; i++) launch.views[i].data = yki_frame_address(f, &in->operands[i]);
    launch.training = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    launch.scale = (float)(1.0 / yki_run_counted(rank->run));
    launch.step = (uint64_t)step->step;
    launch.sample_offset = f->first;
    if (launch.training && yki_op(in->op)->of_group) {
        int replica = rank->place[YKI_AXIS_DP];
        launch.group_samples = group_samples(rank, kernel->attr, replica, f->microbatch);
        if (yki_op(in->op)->keeps_state)
            launch.later = yki_rank_tracked(rank, kernel->attr, replica, f->microbatch + 1);
    }
    launch.loss = yki_rank_total(rank, kernel->counts_loss ? YKI_TOTAL_LOSS : YKI_TOTAL_OTHERS_LOSS);
    launch.workspace = rank->workspace;
    launch.workspace_bytes = (size_t)rank->workspace_bytes;
    launch.accumulate = kernel->adds || (kernel->writes_gradients && !(kernel->begins && f->begins));
    rank->backend->launch(rank->queue, f->variant->prepared[kernel->number], &launch);
    yki_post_progress(rank);
    return YOKE_OK;
}

/* Elements of 4 bytes to element `at` of a view, in the type that computes. */
static void load_run(const yki_frame *f, const yki_view *to, int64_t at, const char *from, int64_t elems)
{
    yki_rank *rank = f->rank;
    size_t size = yki_dtype_bytes(to->dtype);
    const void *rows = from;
    if (to->dtype == YKI_BF16) {
        const float *values = (const float *)(const void *)from;
        for (int64_t i = 0; i < elems; i++) rank->halves[at + i] = yki_bf16_from_f32(values[i]);
        rows = rank->halves + at;
    }
    yki_queue_transfer(rank->queue, YKI_UPLOAD, (char *)to->data + (size_t)at * size, rows,
                       (size_t)elems * size);
}

/* The micro-batch's samples, of all that the step has. */
static void load_rows(const yki_frame *f, const yki_view *to, const yki_value *value, const char *rows)
{
    int64_t whole = yki_value_elems(value), count;
    if (!value->per_sample) { /* each replica's own */
        load_run(f, to, 0, rows + f->rank->place[YKI_AXIS_DP] * whole * 4, whole);
        return;
    }
    if (f->rank->plan->mesh.degree[YKI_AXIS_CP] == 1) {
        load_run(f, to, 0, rows + f->first * whole * 4, yki_view_elems(to));
        return;
    }
    yki_positions at = yki_context_positions(f->rank->plan, f->rank->place[YKI_AXIS_CP], &count);
    int64_t token = whole / value->dims[0];
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t t = 0, end; t < count; t = end) { /* one run of positions, then another */
            end = t < at.split ? at.split : count;
            load_run(f, to, (s * count + t) * token,
                     rows + ((f->first + s) * whole + yki_position(&at, t) * token) * 4, (end - t) * token);
        }
}

/* Rows of the step's batch into this micro-batch's buffer. */
static yoke_status load(const yki_frame *f, const yki_instruction *in)
{
    const yki_step *step = f->rank->run->step;
    const void *const loaded[] = {step->inputs, step->targets, step->places, step->picked};
    const char *rows = loaded[in->op - YKI_OP_INPUT];
    const yoke_model *model = f->rank->plan->options.model;
    const yki_value *value = &model->values[yki_source_value(model, in->op)];
    yki_view to = yki_operand_view(&in->operands[0], f->samples);
    if (!rows || yki_view_elems(&to) == 0) return YOKE_OK;
    to.data = yki_frame_address(f, &in->operands[0]);
    if (to.dtype == YKI_BF16) YKI_TRY(f->rank->backend->reach(f->rank->uploaded));
    load_rows(f, &to, value, rows);
    f->rank->backend->record(f->rank->queue, f->rank->uploaded);
    return YOKE_OK;
}

/* Starts a copy between parts: over a channel, or within this rank by handing over the pointer. */
static yoke_status start_copy(const yki_frame *f, const yki_instruction *in, yki_request *request)
{
    yki_rank *rank = f->rank;
    const struct yki_do_copy *copy = &in->as.copy;
    size_t index = yki_channel_index(rank->plan, copy->edge, copy->gradient, f->microbatch);
    yki_channel *channel = rank->channels[index];
    yki_view view = in->noperands > 0 ? yki_operand_view(&in->operands[0], f->samples) : (yki_view){0};
    yki_move_launch move = {.channel = channel, .sends = copy->sends, .dtype = view.dtype};
    if (in->noperands > 0) {
        move.in = move.out = yki_frame_address(f, &in->operands[0]);
        move.elems = yki_view_elems(&view);
    }
    if (channel)
        return yki_movements[YKI_MOVE_COPY].start(&move, copy->sends ? &rank->sends[index] : request);
    if (copy->sends)
        rank->handed[index] = move.in;
    else
        yki_queue_transfer(rank->queue, YKI_COPY, move.out, rank->handed[index],
                           (size_t)move.elems * yki_dtype_bytes(move.dtype));
    return YOKE_OK;
}

/* Starts a movement of a micro-batch's tensor along a group. */
static yoke_status start_move(const yki_frame *f, const yki_instruction *in, yki_request *request)
{
    const struct yki_do_move *move = &in->as.move;
    yki_view to = yki_operand_view(&in->operands[1], f->samples);
    yki_move_launch launch = {.comm = f->rank->groups[move->group],
                              .dtype = to.dtype,
                              .elems = yki_view_elems(&to),
                              .back = move->back,
                              .cut = move->cut,
                              .exchange = move->exchange,
                              .reduction = move->reduction,
                              .in = yki_frame_address(f, &in->operands[0]),
                              .out = yki_frame_address(f, &in->operands[1])};
    if (in->operands[1].per_sample) {
        launch.cut.outer *= f->samples;
        launch.exchange.outer *= f->samples;
    }
    return yki_movements[in->op - YKI_OP_MOVE].start(&launch, request);
}

static yoke_status start_states(const yki_frame *f, const yki_instruction *in, yki_request *request)
{
    return yki_rank_start_states(f->rank, in, f, request);
}

static yoke_status run_states(const yki_frame *f, const yki_instruction *in)
{
    yki_rank_run_states(f->rank, in);
    return YOKE_OK;
}

static yoke_status drain(const yki_frame *f, const yki_instruction *in)
{
    (void)in;
    return yki_rank_drain(f->rank);
}

static yoke_status agree(const yki_frame *f, const yki_instruction *in)
{
    (void)in;
    return yki_rank_agree(f->rank);
}

/* How instructions run, by their kind: what computes by `compute`; what moves by `start` and the wait on its
 * request, or by `meet`, which is both. */
static const struct {
    yoke_status (*compute)(const yki_frame *f, const yki_instruction *in);
    yoke_status (*start)(const yki_frame *f, const yki_instruction *in, yki_request *request);
    yoke_status (*meet)(const yki_frame *f, const yki_instruction *in);
} kinds[] = {
    [YKI_DO_KERNEL] = {.compute = launch},
    [YKI_DO_LOAD] = {.compute = load},
    [YKI_DO_COPY] = {.start = start_copy},
    [YKI_DO_MOVE] = {.start = start_move},
    [YKI_DO_MOVE_STATES] = {.start = start_states},
    [YKI_DO_STATES] = {.compute = run_states},
    [YKI_DO_DRAIN] = {.meet = drain},
    [YKI_DO_AGREE] = {.meet = agree},
};

static yoke_status run_phase(const yki_frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    yki_request whole = {0};
    yki_request *request = in->request < 0 ? &whole : &rank->requests[in->request];
    if (in->phase != YKI_PHASE_WAIT) {
        *request = (yki_request){0};
        YKI_TRY(kinds[in->kind].start(f, in, request));
    }
    return in->phase == YKI_PHASE_START ? YOKE_OK : yki_wait(request);
}

/* A span of the step, from where the queue is now. */
static yki_span *begin_span(yki_rank *rank, bool moves)
{
    yki_span *span = &rank->spans[rank->nspans++];
    *span = (yki_span){.ran = -1, .moves = moves};
    rank->backend->stamp(rank->queue, &span->start_ns);
    return span;
}

static yoke_status run_movement(const yki_frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    yki_span *span = begin_span(rank, true);
    int group = in->kind == YKI_DO_MOVE || in->kind == YKI_DO_MOVE_STATES ? yki_group_of(in) : -1;
    span->waits = in->kind == YKI_DO_AGREE
                      ? YKI_SPENT_AGREE
                      : YKI_SPENT_WAITS + (int)(group < 0 ? YKI_AXIS_PP : rank->plan->groups[group].axis);
    atomic_store_explicit(&rank->post.moving, in, memory_order_relaxed);
    YKI_TRY(kinds[in->kind].meet ? kinds[in->kind].meet(f, in) : run_phase(f, in));
    atomic_store_explicit(&rank->post.moving, NULL, memory_order_relaxed);
    yki_post_progress(rank);
    rank->backend->stamp(rank->queue, &span->end_ns);
    return YOKE_OK;
}

static yoke_status run_code(const yki_frame *f, const yki_code *code)
{
    yki_rank *rank = f->rank;
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        yki_traced *row = rank->recording ? yki_trace_instruction(rank, in) : NULL;
        if (kinds[in->kind].compute)
            YKI_TRY(kinds[in->kind].compute(f, in));
        else if (f->last || !yki_runs_once(in))
            YKI_TRY(run_movement(f, in));
        if (row) yki_trace_end_row(rank, row);
    }
    return YOKE_OK;
}

int yki_rank_most_spans(const yki_program *program)
{
    int count = YKI_END_COUNT;
    for (int end = 0; end < YKI_END_COUNT; end++) count += program->ends[end].count;
    for (int i = 0; i < program->nactions; i++) {
        const yki_code *code = yki_action_code(program, &program->actions[i]);
        count++;
        for (int k = 0; k < code->count; k++) count += yki_moves(&code->instructions[k]);
    }
    return count;
}

yoke_status yki_rank_action(yki_rank *rank, const yoke_action *action, int at)
{
    const yki_program *program = rank->program;
    const yki_part_program *part = &program->parts[action->chunk];
    yki_frame f = {.rank = rank,
                   .microbatch = action->microbatch,
                   .begins = at >= 0 && at == part->first_action[yki_action_body(action)],
                   .last = at >= 0 && at == part->last_weight};
    for (int g = 0; g < YKI_AREAS; g++)
        f.area[g] =
            rank->memory + part->area_offset[g] + part->slot[g][action->microbatch] * part->area_bytes[g];
    f.samples = yki_rank_samples(rank, action->microbatch, &f.first);
    YKI_TRY(yki_rank_prepare(rank, f.samples, &f.variant));
    atomic_store_explicit(&rank->post.action, 1 + (uint32_t)action->kind + 8 * (uint32_t)action->microbatch,
                          memory_order_relaxed);
    yki_traced *traced = rank->recording ? yki_trace_add(rank, YKI_TRACED_ACTION) : NULL;
    if (traced) traced->of.action = action, traced->amount = f.samples;
    yki_span *span = begin_span(rank, false);
    YKI_TRY(run_code(&f, yki_action_code(program, action)));
    rank->backend->stamp(rank->queue, &span->end_ns);
    if (traced) rank->backend->stamp(rank->queue, &traced->end_ns);
    span->ran = rank->nran;
    rank->ran[rank->nran++] = (yoke_ran){.action = *action,
                                         .rank = rank->rank,
                                         .device = rank->rank,
                                         .stage = rank->place[YKI_AXIS_PP],
                                         .dp = rank->place[YKI_AXIS_DP],
                                         .part = part->part,
                                         .samples = f.samples};
    return YOKE_OK;
}

yoke_status yki_rank_end(yki_rank *rank, yki_end end)
{
    /* kernels of ends see no samples: any variant has them ready */
    yki_frame f = {.rank = rank, .last = true, .variant = rank->variants};
    atomic_store_explicit(&rank->post.action, 0, memory_order_relaxed);
    yki_traced *traced = rank->recording ? yki_trace_add(rank, YKI_TRACED_END) : NULL;
    if (traced) traced->of.number = end;
    yki_span *span = begin_span(rank, false);
    span->end = end;
    YKI_TRY(run_code(&f, &rank->program->ends[end]));
    rank->backend->stamp(rank->queue, &span->end_ns);
    if (traced) rank->backend->stamp(rank->queue, &traced->end_ns);
    return YOKE_OK;
}
