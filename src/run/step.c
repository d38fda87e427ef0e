/* A step of one rank: its actions, then reduce, global norm and non-finite flag, clip, update. Every rank
 * computes the same norm and the same verdict; a step that is not finite changes nothing. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

static void launch_flat(yki_rank *rank, yki_launch *launch)
{
    static const yki_attr none;
    launch->attr = &none;
    rank->backend->launch(rank->device, NULL, launch);
}

/* The plan writes every gradient, zeros too: on a rank without samples, or where nothing comes back. */
static void check_written(const yki_rank *rank)
{
    for (int i = 0; i < rank->program->nparameters; i++) assert(rank->written[i]);
    (void)rank;
}

static void sum_squares(yki_rank *rank)
{
    rank->sum_squares = 0;
    if (rank->place[YKI_AXIS_DP] >= rank->plan->shards) return; /* another replica's are the same */
    for (int i = 0; i < rank->program->nparameters; i++) {
        const yki_local_parameter *p = &rank->program->parameters[i];
        for (int64_t k = 0; k < yki_rank_pieces(rank, i) && p->counts; k++) {
            yki_launch squares = {.kernel = YKI_KERNEL_SUM_SQUARES, .nviews = 1, .loss = &rank->sum_squares};
            squares.views[0] = yki_rank_piece(rank, YKI_TENSOR_GRADIENT, i, k);
            launch_flat(rank, &squares);
        }
    }
}

static void update_piece(yki_rank *rank, const yki_update *rule, int parameter, int64_t k)
{
    const yki_optimizer *optimizer = &yki_optimizers[rank->plan->options.optimizer];
    bool bf16 = rank->plan->options.precision == YOKE_PRECISION_BF16;
    yki_view weight = yki_rank_piece(rank, YKI_TENSOR_WEIGHT, parameter, k);
    yki_launch launch = {.kernel = optimizer->kernel, .update = rule};
    yki_view *v = launch.views;
    *v++ = yki_rank_piece(rank, YKI_TENSOR_GRADIENT, parameter, k);
    *v++ = bf16 ? yki_rank_piece(rank, YKI_TENSOR_MASTER, parameter, k) : weight;
    for (int m = 0; m < YKI_MAX_MOMENTS && optimizer->moments[m]; m++)
        *v++ = yki_rank_piece(rank, (yki_tensor_kind)(YKI_TENSOR_MOMENT + m), parameter, k);
    *v++ = bf16 ? weight : (yki_view){0};
    launch.nviews = (int)(v - launch.views);
    launch_flat(rank, &launch);
}

/* Each rank updates its own pieces. */
static void update(yki_rank *rank, double norm)
{
    const yki_step *step = rank->run->step;
    double scale = step->clip > 0 ? step->clip / (norm + 1e-6) : 1; /* PyTorch's clip_grad_norm_ */
    for (int i = 0; i < rank->program->nparameters; i++) {
        yki_update rule = step->update;
        rule.grad_scale = scale < 1 ? scale : 1;
        rule.weight_decay = rank->program->parameters[i].decays ? rule.weight_decay : 0;
        for (int64_t k = 0; k < yki_rank_pieces(rank, i); k++) update_piece(rank, &rule, i, k);
    }
}

static const yki_attr *buffer_of(const yki_rank *rank, int i)
{
    return rank->plan->options.model->parameters[rank->program->parameters[i].parameter].buffer;
}

/* Bytes that updating buffers brings this rank. */
static int64_t shared_buffer_bytes(const yki_rank *rank)
{
    const yki_program *program = rank->program;
    int64_t bytes = 0;
    for (int i = program->nparameters; i < program->nparameters + program->nbuffers; i++)
        if (buffer_of(rank, i)->own_statistics && yki_comm_rank(rank->axis[YKI_AXIS_DP]) > 0)
            bytes += program->parameters[i].elems * (int64_t)sizeof(float);
    return bytes;
}

/* Buffers take what the step's micro-batches add to them. Replicas whose statistics are their own take the
 * first one's, as PyTorch's DistributedDataParallel does. */
static yoke_status update_buffers(yki_rank *rank)
{
    const yki_program *program = rank->program;
    for (int i = program->nparameters; i < program->nparameters + program->nbuffers; i++) {
        const yki_attr *of = buffer_of(rank, i);
        int64_t elems = program->parameters[i].elems;
        void *added = rank->memory + rank->states->kept[i].gradient;
        if (of->own_statistics) {
            yki_request request = {0};
            YKI_TRY(yki_broadcast_start(rank->axis[YKI_AXIS_DP], added, (size_t)elems * sizeof(float), 0,
                                        &request));
            YKI_TRY(yki_wait(&request));
        }
        yki_attr keep = {.p = pow(1 - of->momentum, (double)yki_rank_tracked(rank, of, 0, 0))};
        yki_launch blend = {.kernel = YKI_KERNEL_BLEND, .attr = &keep, .nviews = 2};
        blend.views[0] = (yki_view){.data = added, .dtype = YKI_F32, .ndim = 1, .dims = {elems}};
        blend.views[1] = blend.views[0];
        blend.views[1].data = rank->memory + rank->states->kept[i].weight;
        rank->backend->launch(rank->device, NULL, &blend);
    }
    return YOKE_OK;
}

static yoke_status finish_sends(yki_rank *rank)
{
    size_t count = yki_channel_index(rank->plan, rank->plan->nedges, false, 0);
    yki_post_waiting(rank, "its copies to other stages");
    for (size_t i = 0; i < count; i++) YKI_TRY(yki_wait(&rank->sends[i]));
    yki_post_waiting(rank, NULL);
    return YOKE_OK;
}

/* Outputs of all processes to all of them. */
static yoke_status share_outputs(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    const yoke_model *model = rank->plan->options.model;
    yki_post_waiting(rank, "the others' outputs");
    YKI_TRY(
        yki_rank_share(rank, step->outputs, step->samples * yki_value_elems(&model->values[model->output])));
    yki_post_waiting(rank, NULL);
    return YOKE_OK;
}

/* What this rank receives in a step that trains: so far, and in what follows the update. */
static void count_moved(yki_rank *rank, double moved_out[YKI_AXIS_COUNT])
{
    int64_t moved[YKI_AXIS_COUNT] = {0};
    yki_rank_moved(rank, moved);
    moved[YKI_AXIS_DP] += yki_rank_gathered_bytes(rank) + shared_buffer_bytes(rank);
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        moved_out[axis] = (double)(moved[axis] - rank->moved[axis]);
}

static yoke_status end_step(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    bool speaks = rank == rank->run->ranks; /* for its process */
    double scalars[YKI_SCALARS] = {[YKI_SCALAR_LOSS] = rank->loss,
                                   [YKI_SCALAR_SQUARES] = rank->sum_squares,
                                   [YKI_SCALAR_STOPS] = speaks && step->stop,
                                   [YKI_SCALAR_FAILED] = speaks && step->failed,
                                   [YKI_SCALAR_ENDED] = speaks && step->ended && atomic_load(step->ended)};
    count_moved(rank, &scalars[YKI_SCALAR_MOVED]);
    yki_post_waiting(rank, "the sum of losses over all ranks");
    YKI_TRY(yki_sum_scalars(rank->world, scalars, YKI_SCALARS));
    yki_post_waiting(rank, NULL);
    if (speaks) memcpy(rank->run->scalars, scalars, sizeof scalars);
    rank->sum_squares = scalars[YKI_SCALAR_SQUARES];
    rank->loss = scalars[YKI_SCALAR_LOSS];
    rank->is_void = scalars[YKI_SCALAR_FAILED] > 0;
    return YOKE_OK;
}

/* Forward only: each part's first micro-batch, in order; the sum of the losses ends it for everybody. What is
 * told of steps (actions, idle time) stays that of steps that train. */
static yoke_status run_forward(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    double computing = rank->computing_ns, moving = rank->moving_ns;
    int nran = rank->nran;
    for (int chunk = 0; chunk < rank->program->nparts; chunk++) {
        yoke_action action = {.kind = YOKE_ACTION_F, .chunk = (int16_t)chunk};
        YKI_TRY(yki_rank_action(rank, &action));
    }
    rank->nran = nran;
    rank->computing_ns = computing;
    rank->moving_ns = moving;
    if (step->mode == YKI_RUN_PREDICT) yki_rank_output(rank);
    YKI_TRY(finish_sends(rank));
    if (step->mode == YKI_RUN_PREDICT && rank->run->processes) YKI_TRY(share_outputs(rank));
    return end_step(rank);
}

static yoke_status take_step(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    bool backward = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    rank->loss = rank->ignored_loss = rank->sum_squares = 0;
    memset(rank->moved, 0, sizeof rank->moved);
    yki_rank_moved(rank, rank->moved);
    yki_trace_begin_step(rank);
    if (!backward) return run_forward(rank);
    rank->nran = 0;
    memset(rank->written, 0, (size_t)rank->program->nparameters + (size_t)rank->program->nbuffers);
    for (int i = 0; i < rank->program->nactions; i++)
        YKI_TRY(yki_rank_action(rank, &rank->program->actions[i]));
    check_written(rank);
    yki_post_waiting(rank, "reduce_scatter of gradients over dp");
    YKI_TRY(yki_rank_reduce(rank));
    yki_post_waiting(rank, NULL);
    double start = yki_now_ns();
    sum_squares(rank);
    double summed = yki_trace_span(rank, YKI_SPAN_NORM, start);
    rank->computing_ns += summed - start;
    YKI_TRY(finish_sends(rank));
    start = yki_trace_span(rank, YKI_SPAN_SENDS, summed);
    YKI_TRY(end_step(rank));
    start = yki_trace_span(rank, YKI_SPAN_SCALARS, start);
    bool finite = isfinite(rank->loss) && isfinite(rank->sum_squares);
    if (step->mode == YKI_RUN_TRAIN && finite && !rank->is_void) {
        update(rank, sqrt(rank->sum_squares));
        double updated = yki_trace_span(rank, YKI_SPAN_UPDATE, start);
        rank->computing_ns += updated - start;
        yki_post_waiting(rank, "all_gather of weights over dp");
        YKI_TRY(update_buffers(rank));
        start = yki_trace_span(rank, YKI_SPAN_STATISTICS, updated);
        YKI_TRY(yki_rank_gather_weights(rank));
        yki_trace_span(rank, YKI_SPAN_GATHER, start);
        yki_post_waiting(rank, NULL);
    }
    YKI_TRY(rank->backend->synchronize(rank->device));
    yki_trace_end_step(rank);
    return YOKE_OK;
}

yoke_status yki_rank_step(yki_rank *rank)
{
    atomic_store(&rank->post.step, rank->run->step->step);
    yoke_status status = take_step(rank);
    if (status == YOKE_OK) { /* a rank that is lost says until the end where it was */
        atomic_store(&rank->post.action, 0);
        atomic_store(&rank->post.step, -1);
        yki_post_progress(rank);
    }
    return status;
}
