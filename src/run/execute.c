/* The interpreter: one action is one body of instructions, with the slots of its micro-batch. */
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "run/rank.h"

double yki_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What an action's operands are relative to. */
typedef struct frame {
    yki_rank *rank;
    char *area[YKI_AREAS];
    int microbatch;
    int64_t samples, first;
    const yki_variant *variant;
    bool last; /* the part's gradients are complete with this action */
} frame;

static void *address(const frame *f, const yki_operand *operand)
{
    char *memory = f->rank->memory;
    const yki_program *program = f->rank->program;
    switch (operand->space) {
    case YKI_SPACE_NONE:
        return NULL;
    case YKI_SPACE_WEIGHT:
        return memory + f->rank->states->kept[operand->index].weight;
    case YKI_SPACE_GRADIENT:
        return memory + f->rank->states->kept[operand->index].gradient;
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

static void launch(const frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    const yki_step *step = rank->run->step;
    yki_launch launch;
    yki_instruction_shapes(in, f->samples, &launch);
    for (int i = 0; i < in->noperands; i++) launch.views[i].data = address(f, &in->operands[i]);
    launch.training = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    launch.scale = (float)(1.0 / ((double)step->samples * (double)rank->run->rows_per_sample));
    launch.step = (uint64_t)step->step;
    launch.sample_offset = f->first;
    if (launch.training && yki_op(in->op)->of_group) {
        int replica = rank->place[YKI_AXIS_DP];
        launch.group_samples = group_samples(rank, in->attr, replica, f->microbatch);
        if (yki_op(in->op)->keeps_state)
            launch.later = yki_rank_tracked(rank, in->attr, replica, f->microbatch + 1);
    }
    launch.loss = in->counts_loss ? &rank->loss : &rank->ignored_loss;
    launch.workspace = rank->workspace;
    launch.workspace_bytes = (size_t)rank->workspace_bytes;
    launch.accumulate = in->adds;
    if (in->gradient[0] >= 0) {
        bool *written = &rank->written[rank->program->local_of[in->gradient[0]]];
        launch.accumulate = *written;
        *written = true;
        if (in->gradient[1] >= 0) rank->written[rank->program->local_of[in->gradient[1]]] = true;
    }
    rank->backend->launch(rank->device, f->variant->prepared[in->number], &launch);
    yki_post_progress(rank);
}

/* Elements of 4 bytes to element `at` of a view, in the type that computes. */
static void load_run(const frame *f, const yki_view *to, int64_t at, const char *from, int64_t elems)
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
static void load(const frame *f, const yki_instruction *in)
{
    const yki_step *step = f->rank->run->step;
    const char *rows = in->op == YKI_OP_INPUT ? step->inputs : step->targets;
    const yoke_model *model = f->rank->plan->options.model;
    const yki_value *value = &model->values[in->op == YKI_OP_INPUT ? model->input : model->target];
    yki_view to = yki_operand_view(&in->operands[0], f->samples);
    int64_t elems = yki_view_elems(&to), whole = yki_value_elems(value);
    if (!rows || elems == 0) return;
    to.data = address(f, &in->operands[0]);
    if (f->rank->plan->mesh.degree[YKI_AXIS_CP] == 1) {
        load_run(f, &to, 0, rows + f->first * whole * 4, elems);
        return;
    }
    int64_t count, token = whole / value->dims[0];
    yki_positions at = yki_context_positions(f->rank->plan, f->rank->place[YKI_AXIS_CP], &count);
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t t = 0, end; t < count; t = end) { /* one run of positions, then another */
            end = t < at.split ? at.split : count;
            load_run(f, &to, (s * count + t) * token,
                     rows + ((f->first + s) * whole + yki_position(&at, t) * token) * 4, (end - t) * token);
        }
}

/* Starts a copy between parts: over a channel, or within this rank by handing over the pointer. */
static yoke_status start_copy(const frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    size_t index = yki_channel_index(rank->plan, in->edge, in->gradient_copy, f->microbatch);
    yki_channel *channel = rank->channels[index];
    yki_view view = in->noperands > 0 ? yki_operand_view(&in->operands[0], f->samples) : (yki_view){0};
    yki_move_launch move = {.channel = channel, .sends = in->sends, .dtype = view.dtype};
    if (in->noperands > 0) {
        move.in = move.out = address(f, &in->operands[0]);
        move.elems = yki_view_elems(&view);
    }
    if (channel) {
        yki_request *request = in->sends ? &rank->sends[index] : &rank->requests[in->request];
        return yki_movements[YKI_MOVE_COPY].start(&move, request);
    }
    if (in->sends)
        rank->handed[index] = move.in;
    else if (move.elems > 0)
        memcpy(move.out, rank->handed[index], (size_t)move.elems * yki_dtype_bytes(move.dtype));
    return YOKE_OK;
}

/* Starts a gather of parameters, or a scatter of their gradients, over zero's shards. */
static yoke_status start_shards(const frame *f, const yki_instruction *in)
{
    yki_rank *rank = f->rank;
    yki_piece *pieces = &rank->pieces[in->first_piece];
    for (int i = 0; i < in->npieces; i++) {
        const yki_moved_piece *piece = &in->pieces[i];
        pieces[i] = (yki_piece){address(f, &piece->mine), address(f, &piece->all), piece->cut, 0};
        if (piece->mine.space != YKI_SPACE_GRADIENT) continue;
        bool *written = &rank->written[piece->mine.index];
        pieces[i].adds = *written;
        *written = true;
    }
    yki_move_launch launch = {.comm = rank->shards,
                              .dtype = in->pieces[0].mine.dtype,
                              .reduction = in->reduction,
                              .pieces = pieces,
                              .npieces = in->npieces};
    return yki_movements[in->op - YKI_OP_MOVE].start(&launch, &rank->requests[in->request]);
}

/* Starts a movement along an axis. */
static yoke_status start_move(const frame *f, const yki_instruction *in)
{
    const yki_movement *movement = &yki_movements[in->op - YKI_OP_MOVE];
    yki_view to = yki_operand_view(&in->operands[1], f->samples);
    yki_move_launch launch = {.comm = f->rank->axis[in->axis],
                              .dtype = to.dtype,
                              .elems = yki_view_elems(&to),
                              .back = in->back,
                              .cut = in->cut,
                              .exchange = in->exchange,
                              .reduction = in->reduction,
                              .in = address(f, &in->operands[0]),
                              .out = address(f, &in->operands[1])};
    launch.cut.outer *= f->samples;
    launch.exchange.outer *= f->samples;
    return movement->start(&launch, &f->rank->requests[in->request]);
}

static yoke_status run_movement(const frame *f, const yki_instruction *in)
{
    if (in->nbucket > 0 && !f->last) return YOKE_OK;
    YKI_TRY(f->rank->backend->synchronize(f->rank->device));
    double start = yki_now_ns();
    atomic_store_explicit(&f->rank->post.moving, in, memory_order_relaxed);
    if (in->nbucket > 0) {
        YKI_TRY(yki_rank_start_bucket(f->rank, in));
    } else if (in->phase == YKI_PHASE_WAIT) {
        YKI_TRY(yki_wait(&f->rank->requests[in->request]));
    } else {
        if (in->request >= 0) f->rank->requests[in->request] = (yki_request){0};
        YKI_TRY(in->edge >= 0     ? start_copy(f, in)
                : in->npieces > 0 ? start_shards(f, in)
                                  : start_move(f, in));
    }
    atomic_store_explicit(&f->rank->post.moving, NULL, memory_order_relaxed);
    yki_post_progress(f->rank);
    f->rank->moving_ns += yki_now_ns() - start;
    return YOKE_OK;
}

static yoke_status run_body(frame *f, const yki_code *code)
{
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        double start = f->rank->recording ? yki_now_ns() : 0;
        if (in->op < YKI_KERNEL_COUNT)
            launch(f, in);
        else if (in->op < YKI_OP_MOVE)
            load(f, in);
        else
            YKI_TRY(run_movement(f, in));
        if (f->rank->recording) yki_trace_instruction(f->rank, in, start);
    }
    return f->rank->backend->synchronize(f->rank->device);
}

yoke_status yki_rank_action(yki_rank *rank, const yoke_action *action)
{
    const yki_part_program *part = &rank->program->parts[action->chunk];
    frame f = {.rank = rank,
               .microbatch = action->microbatch,
               .last = part->last_weight >= 0 && action == &rank->program->actions[part->last_weight]};
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
    YKI_TRY(run_body(&f, yki_action_code(rank->program, action)));
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
static void put_tokens(const frame *f, const yki_value *value, float *to)
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
            put(rank->program->output.dtype, address(f, &rank->program->output), (s * tokens + t) * mine,
                mine, to + (s * value->dims[0] + yki_position(&at, t)) * width + first);
}

/* This rank's share of the model's output, as f32, to its place among all samples' outputs. */
void yki_rank_output(yki_rank *rank)
{
    const yki_program *program = rank->program;
    const yki_step *step = rank->run->step;
    const yoke_model *model = rank->plan->options.model;
    if (program->output_chunk < 0) return;
    frame f = {.rank = rank};
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
        put(program->output.dtype, address(&f, &program->output), o * local * inner, local * inner,
            to + (o * size + start) * inner);
}
