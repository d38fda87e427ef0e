/* A step of one rank: its actions, then reduce, global norm and non-finite flag, clip, update. Every rank
 * computes the same norm and the same verdict; a step that is not finite changes nothing. */
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

static yki_view flat(yki_dtype dtype, char *memory, int64_t offset, int64_t elems)
{
    return offset < 0 ? (yki_view){0}
                      : (yki_view){.data = memory + offset, .dtype = dtype, .ndim = 1, .dims = {elems}};
}

static void launch_flat(yki_rank *rank, yki_launch *launch)
{
    static const yki_attr none;
    launch->attr = &none;
    rank->backend->launch(rank->device, NULL, launch);
}

/* Gradients that no micro-batch of this rank touched are zero. */
static void zero_unwritten(yki_rank *rank)
{
    const yki_program *program = rank->program;
    for (int i = 0; i < program->nparameters; i++) {
        if (rank->written[i]) continue;
        yki_launch zero = {.kernel = YKI_KERNEL_ZERO, .nviews = 1};
        zero.views[0] =
            flat(YKI_F32, rank->memory, program->parameters[i].gradient, program->parameters[i].elems);
        launch_flat(rank, &zero);
    }
}

static yoke_status all_reduce(yki_rank *rank, yki_comm *comm, int count)
{
    yki_move_launch move = {
        .comm = comm, .dtype = YKI_F32, .segments = rank->segments, .nsegments = count, .reduction = YKI_SUM};
    yki_request request = {0};
    YKI_TRY(yki_movements[YKI_MOVE_ALL_REDUCE].start(&move, &request));
    return yki_wait(&request);
}

/* Along tp, of parameters that several ranks have and use for divided work. */
static yoke_status reduce_parts(yki_rank *rank)
{
    const yki_program *program = rank->program;
    for (int k = 0; k < rank->plan->nsums; k++) {
        int count = 0;
        for (int i = 0; i < program->nparameters; i++)
            if (rank->plan->param_places[program->parameters[i].parameter].gradient_parts ==
                rank->plan->sums[k])
                rank->segments[count++] = (yki_segment){rank->memory + program->parameters[i].gradient,
                                                        program->parameters[i].elems};
        if (count > 0) YKI_TRY(all_reduce(rank, rank->sums[k], count));
    }
    return YOKE_OK;
}

/* The adjoints of the parameters' broadcasts: over tp, over stages that share a tied one, then over dp. */
static yoke_status reduce_gradients(yki_rank *rank)
{
    const yki_program *program = rank->program;
    YKI_TRY(reduce_parts(rank));
    for (int t = 0; t < rank->plan->nties; t++) {
        int count = 0;
        for (int i = 0; i < program->nparameters && rank->ties[t]; i++)
            if (rank->plan->param_places[program->parameters[i].parameter].tie == t)
                rank->segments[count++] = (yki_segment){rank->memory + program->parameters[i].gradient,
                                                        program->parameters[i].elems};
        if (count > 0) YKI_TRY(all_reduce(rank, rank->ties[t], count));
    }
    if (rank->plan->mesh.degree[YKI_AXIS_DP] == 1) return YOKE_OK;
    for (int i = 0; i < program->nparameters; i++)
        rank->segments[i] =
            (yki_segment){rank->memory + program->parameters[i].gradient, program->parameters[i].elems};
    return all_reduce(rank, rank->axis[YKI_AXIS_DP], program->nparameters);
}

static void sum_squares(yki_rank *rank)
{
    rank->sum_squares = 0;
    for (int i = 0; i < rank->program->nparameters && rank->place[YKI_AXIS_DP] == 0; i++) {
        const yki_local_parameter *p = &rank->program->parameters[i];
        if (!p->counts) continue;
        yki_launch squares = {.kernel = YKI_KERNEL_SUM_SQUARES, .nviews = 1, .loss = &rank->sum_squares};
        squares.views[0] = flat(YKI_F32, rank->memory, p->gradient, p->elems);
        launch_flat(rank, &squares);
    }
}

static void update(yki_rank *rank, double norm)
{
    const yki_step *step = rank->run->step;
    bool sgd = rank->plan->options.optimizer == YOKE_SGD,
         bf16 = rank->plan->options.precision == YOKE_PRECISION_BF16;
    double scale = step->clip > 0 ? step->clip / (norm + 1e-6) : 1; /* PyTorch's clip_grad_norm_ */
    for (int i = 0; i < rank->program->nparameters; i++) {
        const yki_local_parameter *p = &rank->program->parameters[i];
        yki_update rule = step->update;
        rule.grad_scale = scale < 1 ? scale : 1;
        rule.weight_decay = p->decays ? rule.weight_decay : 0;
        yki_launch launch = {.kernel = sgd ? YKI_KERNEL_SGD : YKI_KERNEL_ADAM, .update = &rule};
        yki_view *v = launch.views;
        *v++ = flat(YKI_F32, rank->memory, p->gradient, p->elems);
        *v++ = flat(YKI_F32, rank->memory, bf16 ? p->master : p->weight, p->elems);
        *v++ = flat(YKI_F32, rank->memory, p->moment1, p->elems);
        if (!sgd) *v++ = flat(YKI_F32, rank->memory, p->moment2, p->elems);
        *v++ = bf16 ? flat(YKI_BF16, rank->memory, p->weight, p->elems) : (yki_view){0};
        launch.nviews = (int)(v - launch.views);
        launch_flat(rank, &launch);
    }
}

/* Buffers take what the step's micro-batches add to them. Replicas whose statistics are their own take the
 * first one's, as PyTorch's DistributedDataParallel does. */
static yoke_status update_buffers(yki_rank *rank)
{
    const yki_program *program = rank->program;
    const yoke_model *model = rank->plan->options.model;
    for (int i = program->nparameters; i < program->nparameters + program->nbuffers; i++) {
        const yki_local_parameter *p = &program->parameters[i];
        const yki_attr *of = model->parameters[p->parameter].buffer;
        if (of->own_statistics) {
            yki_request request = {0};
            YKI_TRY(yki_broadcast_start(rank->axis[YKI_AXIS_DP], rank->memory + p->gradient,
                                        (size_t)p->elems * sizeof(float), 0, &request));
            YKI_TRY(yki_wait(&request));
        }
        yki_attr keep = {.p = pow(1 - of->momentum, (double)yki_rank_tracked(rank, of, 0, 0))};
        yki_launch blend = {.kernel = YKI_KERNEL_BLEND, .attr = &keep, .nviews = 2};
        blend.views[0] = flat(YKI_F32, rank->memory, p->gradient, p->elems);
        blend.views[1] = flat(YKI_F32, rank->memory, p->weight, p->elems);
        rank->backend->launch(rank->device, NULL, &blend);
    }
    return YOKE_OK;
}

/* Forward only: each part's first micro-batch, in order; the sum of the losses ends it for everybody. */
static yoke_status run_forward(yki_rank *rank)
{
    for (int chunk = 0; chunk < rank->program->nparts; chunk++) {
        yoke_action action = {.kind = YOKE_ACTION_F, .chunk = (int16_t)chunk};
        YKI_TRY(yki_rank_action(rank, &action));
    }
    return YOKE_OK;
}

static yoke_status finish_sends(yki_rank *rank)
{
    size_t count = yki_channel_index(rank->plan, rank->plan->nedges, false, 0);
    for (size_t i = 0; i < count; i++) YKI_TRY(yki_wait(&rank->sends[i]));
    return YOKE_OK;
}

static yoke_status end_step(yki_rank *rank)
{
    double scalars[2] = {rank->loss, rank->sum_squares};
    YKI_TRY(yki_sum_scalars(rank->world, scalars, 2));
    if (rank->rank == 0) memcpy(rank->run->scalars, scalars, sizeof scalars);
    rank->sum_squares = scalars[1];
    rank->loss = scalars[0];
    return YOKE_OK;
}

yoke_status yki_rank_step(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    bool backward = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    rank->loss = rank->ignored_loss = rank->sum_squares = 0;
    rank->nran = 0;
    if (!backward) {
        YKI_TRY(run_forward(rank));
        if (step->mode == YKI_RUN_PREDICT) yki_rank_output(rank);
        YKI_TRY(finish_sends(rank));
        return end_step(rank);
    }
    memset(rank->written, 0, (size_t)rank->program->nparameters + (size_t)rank->program->nbuffers);
    for (int i = 0; i < rank->program->nactions; i++)
        YKI_TRY(yki_rank_action(rank, &rank->program->actions[i]));
    double start = yki_now_ns();
    zero_unwritten(rank);
    double moving = yki_now_ns();
    rank->computing_ns += moving - start;
    YKI_TRY(reduce_gradients(rank));
    start = yki_now_ns();
    sum_squares(rank);
    rank->computing_ns += yki_now_ns() - start;
    YKI_TRY(finish_sends(rank));
    YKI_TRY(end_step(rank));
    if (step->mode == YKI_RUN_TRAIN && isfinite(rank->loss) && isfinite(rank->sum_squares)) {
        start = yki_now_ns();
        update(rank, sqrt(rank->sum_squares));
        rank->computing_ns += yki_now_ns() - start;
        YKI_TRY(update_buffers(rank));
    }
    return rank->backend->synchronize(rank->device);
}
