/* The interpreter: one action is one body of instructions, with the slots of its micro-batch. */
#include <string.h>

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
    for (int i = 0; i < in->noperands; i++) launch.views[i].data = yki_frame_address(f, &in->operands[i]);
    launch.training = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    launch.scale = (float)(1.0 / ((double)step->samples * (double)rank->run->rows_per_sample));
    launch.step = (uint64_t)step->step;
    launch.sample_offset = f->first;
    if (launch.training && yki_op(in->op)->of_group) {
        int replica = rank->place[YKI_AXIS_DP];
        launch.group_samples = group_samples(rank, kernel->attr, replica, f->microbatch);
        if (yki_op(in->op)->keeps_state)
            launch.later = yki_rank_tracked(rank, kernel->attr, replica, f->microbatch + 1);
    }
    launch.loss = kernel->counts_loss ? &rank->loss : &rank->ignored_loss;
    launch.workspace = rank->workspace;
    launch.workspace_bytes = (size_t)rank->workspace_bytes;
    launch.accumulate = kernel->adds || (kernel->writes_gradients && !(kernel->begins && f->begins));
    rank->backend->launch(rank->device, f->variant->prepared[kernel->number], &launch);
    yki_post_progress(rank);
    return YOKE_OK;
}

/* Elements of 4 bytes to element `at` of a view, in the type that computes. */
static void load_run(const yki_frame *f, const yki_view *to, int64_t at, const char *from, int64_t elems)
{
    char *data = (char *)to->data + at * (int64_t)yki_dtype_bytes(to->dtype);
    if (to->dtype != YKI_BF16) {
        memcpy(data, from, (size_t)elems * 4);
        return;
    }
    yki_attr none = {0};
    yki_launch cast = {.kernel = YKI_KERNEL_CAST, .attr = &none, .nviews = 2};
    cast.views[0] = cast.views[1] = (yki_view){.ndim = 1, .dims = {elems}, .dtype = YKI_BF16, .data = data};
    cast.views[0].dtype = YKI_F32;
    cast.views[0].data = (void *)(uintptr_t)from;
    f->rank->backend->launch(f->rank->device, NULL, &cast);
}

/* Rows of the step's batch into this micro-batch's buffer. */
static yoke_status load(const yki_frame *f, const yki_instruction *in)
{
    const yki_step *step = f->rank->run->step;
    const char *rows = in->op == YKI_OP_INPUT ? step->inputs : step->targets;
    const yoke_model *model = f->rank->plan->options.model;
    const yki_value *value = &model->values[in->op == YKI_OP_INPUT ? model->input : model->target];
    yki_view to = yki_operand_view(&in->operands[0], f->samples);
    int64_t elems = yki_view_elems(&to), whole = yki_value_elems(value);
    if (!rows || elems == 0) return YOKE_OK;
    to.data = yki_frame_address(f, &in->operands[0]);
    if (f->rank->plan->mesh.degree[YKI_AXIS_CP] == 1) {
        load_run(f, &to, 0, rows + f->first * whole * 4, elems);
        return YOKE_OK;
    }
    int64_t count, token = whole / value->dims[0];
    yki_positions at = yki_context_positions(f->rank->plan, f->rank->place[YKI_AXIS_CP], &count);
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t t = 0, end; t < count; t = end) { /* one run of positions, then another */
            end = t < at.split ? at.split : count;
            load_run(f, &to, (s * count + t) * token,
                     rows + ((f->first + s) * whole + yki_position(&at, t) * token) * 4, (end - t) * token);
        }
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
    else if (move.elems > 0)
        memcpy(move.out, rank->handed[index], (size_t)move.elems * yki_dtype_bytes(move.dtype));
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
    launch.cut.outer *= f->samples;
    launch.exchange.outer *= f->samples;
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

static yoke_status run_movement(const yki_frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    YKI_TRY(rank->backend->synchronize(rank->device));
    double start = yki_now_ns();
    atomic_store_explicit(&rank->post.moving, in, memory_order_relaxed);
    YKI_TRY(kinds[in->kind].meet ? kinds[in->kind].meet(f, in) : run_phase(f, in));
    atomic_store_explicit(&rank->post.moving, NULL, memory_order_relaxed);
    yki_post_progress(rank);
    rank->moving_ns += yki_now_ns() - start;
    return YOKE_OK;
}

static yoke_status run_code(const yki_frame *f, const yki_code *code)
{
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        double start = f->rank->recording ? yki_now_ns() : 0;
        if (kinds[in->kind].compute)
            YKI_TRY(kinds[in->kind].compute(f, in));
        else if (f->last || !yki_runs_once(in))
            YKI_TRY(run_movement(f, in));
        if (f->rank->recording) yki_trace_instruction(f->rank, in, start);
    }
    return f->rank->backend->synchronize(f->rank->device);
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
    double start = yki_now_ns(), moving = rank->moving_ns;
    yki_traced *traced = rank->recording ? yki_trace_add(rank, YKI_TRACED_ACTION, start) : NULL;
    if (traced) traced->of.action = action, traced->amount = f.samples;
    YKI_TRY(run_code(&f, yki_action_code(program, action)));
    double end = yki_now_ns();
    if (traced) traced->end_ns = end;
    rank->computing_ns += end - start - (rank->moving_ns - moving);
    rank->ran[rank->nran++] = (yoke_ran){.action = *action,
                                         .rank = rank->rank,
                                         .device = rank->rank,
                                         .stage = rank->place[YKI_AXIS_PP],
                                         .dp = rank->place[YKI_AXIS_DP],
                                         .part = part->part,
                                         .samples = f.samples,
                                         .start = (start - rank->run->step_start_ns) * 1e-9,
                                         .end = (end - rank->run->step_start_ns) * 1e-9};
    return YOKE_OK;
}

yoke_status yki_rank_end(yki_rank *rank, yki_end end)
{
    yki_frame f = {.rank = rank, .last = true};
    double start = yki_now_ns(), moving = rank->moving_ns;
    atomic_store_explicit(&rank->post.action, 0, memory_order_relaxed);
    yki_traced *traced = rank->recording ? yki_trace_add(rank, YKI_TRACED_END, start) : NULL;
    if (traced) traced->of.number = end;
    YKI_TRY(run_code(&f, &rank->program->ends[end]));
    double now = yki_now_ns();
    if (traced) traced->end_ns = now;
    rank->computing_ns += now - start - (rank->moving_ns - moving);
    return YOKE_OK;
}

/* Elements of the output from `at` on, as f32. */
static void put(yki_dtype dtype, const char *from, int64_t at, int64_t count, float *to)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = dtype == YKI_BF16 ? (uint32_t)((const uint16_t *)from)[at + i] << 16
                                          : ((const uint32_t *)from)[at + i];
        memcpy(&to[i], &bits, sizeof bits);
    }
}

/* Where the output has a share of every sequence: [tokens, width], each token to its place. */
static void put_tokens(const yki_frame *f, const yki_value *value, float *to)
{
    const yki_rank *rank = f->rank;
    yki_spec spec = rank->program->output_spec;
    int tp = rank->plan->mesh.degree[YKI_AXIS_TP], here = rank->place[YKI_AXIS_TP];
    int64_t tokens, first = 0, width = value->dims[1], mine = width;
    yki_positions at = yki_context_positions(rank->plan, rank->place[YKI_AXIS_CP], &tokens);
    if (spec.state == YKI_SHARDED && spec.dim == 0) {
        at = yki_positions_from(at, yki_spec_start(spec, tokens, tp, here));
        tokens = yki_spec_share(spec, tokens, tp, here);
    } else {
        mine = yki_spec_share(spec, width, tp, here);
        first = yki_spec_start(spec, width, tp, here);
    }
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t t = 0; t < tokens; t++)
            put(rank->program->output.dtype, yki_frame_address(f, &rank->program->output),
                (s * tokens + t) * mine, mine,
                to + (s * value->dims[0] + yki_position(&at, t)) * width + first);
}

/* This rank's share of the model's output, as f32, to its place among all samples' outputs. */
void yki_rank_output(yki_rank *rank)
{
    const yki_program *program = rank->program;
    const yki_step *step = rank->run->step;
    const yoke_model *model = rank->plan->options.model;
    if (program->output_chunk < 0) return;
    yki_frame f = {.rank = rank};
    const yki_part_program *part = &program->parts[program->output_chunk];
    for (int g = 0; g < YKI_AREAS; g++)
        f.area[g] = rank->memory + part->area_offset[g] + part->slot[g][0] * part->area_bytes[g];
    f.samples = yki_rank_samples(rank, 0, &f.first);
    const yki_value *value = &model->values[model->output];
    yki_spec spec = program->output_spec;
    int dim = spec.state == YKI_SHARDED ? spec.dim : 0, tp = rank->plan->mesh.degree[YKI_AXIS_TP];
    if (spec.state != YKI_SHARDED && rank->place[YKI_AXIS_TP] != 0) return;
    float *to = step->outputs + f.first * yki_value_elems(value);
    if (rank->plan->mesh.degree[YKI_AXIS_CP] > 1) {
        put_tokens(&f, value, to);
        return;
    }
    int64_t outer = f.samples, inner = 1, size = value->dims[dim],
            local = yki_spec_share(spec, size, tp, rank->place[YKI_AXIS_TP]);
    int64_t start = yki_spec_start(spec, size, tp, rank->place[YKI_AXIS_TP]);
    for (int i = 0; i < dim; i++) outer *= value->dims[i];
    for (int i = dim + 1; i < value->ndim; i++) inner *= value->dims[i];
    for (int64_t o = 0; o < outer; o++)
        put(program->output.dtype, yki_frame_address(&f, &program->output), o * local * inner, local * inner,
            to + (o * size + start) * inner);
}
