/* A step of one rank: its actions, then the ends that its program has. What all ranks agree on in between is
 * the same on each: the norm, and the verdict that a step which is not finite changes nothing. */
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

yoke_status yki_rank_drain(yki_rank *rank)
{
    size_t count = yki_channel_index(rank->plan, rank->plan->nedges, false, 0);
    for (size_t i = 0; i < count; i++) YKI_TRY(yki_wait(&rank->sends[i]));
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
    yki_rank_will_move(rank, moved);
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        moved_out[axis] = (double)(moved[axis] - rank->moved[axis]);
}

yoke_status yki_rank_agree(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    bool speaks = rank == rank->run->ranks; /* for its process */
    double totals[YKI_TOTALS] = {0};
    yki_queue_transfer(rank->queue, YKI_DOWNLOAD, totals, yki_rank_total(rank, 0), sizeof totals);
    YKI_TRY(rank->backend->synchronize(rank->queue));
    double scalars[YKI_SCALARS] = {[YKI_SCALAR_LOSS] = totals[YKI_TOTAL_LOSS],
                                   [YKI_SCALAR_RIGHT] = totals[YKI_TOTAL_RIGHT],
                                   [YKI_SCALAR_SQUARES] = totals[YKI_TOTAL_SQUARES],
                                   [YKI_SCALAR_STOPS] = speaks && step->stop,
                                   [YKI_SCALAR_FAILED] = speaks && step->failed,
                                   [YKI_SCALAR_ENDED] = speaks && step->ended && atomic_load(step->ended)};
    count_moved(rank, &scalars[YKI_SCALAR_MOVED]);
    YKI_TRY(yki_sum_scalars(rank->world, scalars, YKI_SCALARS));
    if (speaks) memcpy(rank->run->scalars, scalars, sizeof scalars);
    rank->norm = sqrt(scalars[YKI_SCALAR_SQUARES]);
    rank->updates = step->mode == YKI_RUN_TRAIN && rank->run->counted > 0 &&
                    isfinite(scalars[YKI_SCALAR_LOSS]) && isfinite(scalars[YKI_SCALAR_SQUARES]) &&
                    scalars[YKI_SCALAR_FAILED] <= 0;
    return YOKE_OK;
}

/* Forward only: each part's first micro-batch, in order; the sum of the losses ends it for everybody. What is
 * told of steps (actions, idle time) stays that of steps that train. */
static yoke_status run_forward(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    int nran = rank->nran;
    for (int chunk = 0; chunk < rank->program->nparts; chunk++) {
        yoke_action action = {.kind = YOKE_ACTION_F, .chunk = (int16_t)chunk};
        YKI_TRY(yki_rank_action(rank, &action, -1));
    }
    if (step->mode == YKI_RUN_PREDICT) {
        YKI_TRY(yki_rank_output(rank));
        YKI_TRY(yki_rank_drain(rank));
        if (rank->run->clustered) YKI_TRY(share_outputs(rank));
    }
    YKI_TRY(yki_rank_end(rank, YKI_END_FORWARD));
    rank->nran = nran;
    return rank->backend->synchronize(rank->queue);
}

/* Adds to the actions what else took the step's time, of movements those that are no trifle. */
static void tell_rest(yki_rank *rank, double origin)
{
    static const yoke_ran_kind kinds[YKI_END_COUNT] = {
        [YKI_END_REDUCE] = YOKE_RAN_REDUCE, [YKI_END_UPDATE] = YOKE_RAN_UPDATE};
    const yoke_ran none = {.rank = rank->rank,
                           .device = rank->rank,
                           .stage = rank->place[YKI_AXIS_PP],
                           .dp = rank->place[YKI_AXIS_DP],
                           .part = -1};
    yoke_ran in = none;
    double last = origin;
    int told_of = 0;
    for (int i = 0; i < rank->nspans; i++) last = fmax(last, rank->spans[i].end_ns);
    for (int i = 0; i < rank->nspans; i++) {
        const yki_span *span = &rank->spans[i];
        if (!span->moves) in = span->ran >= 0 ? rank->ran[span->ran] : none;
        if (span->ran >= 0) continue;
        if (span->moves && (span->end_ns - span->start_ns < (last - origin) / YKI_MOST_TOLD ||
                            told_of++ >= YKI_MOST_TOLD)) /* they follow each other: so many are a step */
            continue;
        yoke_ran *told = &rank->ran[rank->nran++];
        *told = in;
        told->kind = span->moves ? YOKE_RAN_MOVEMENT : kinds[span->end];
        told->start = (span->start_ns - origin) * 1e-9;
        told->end = (span->end_ns - origin) * 1e-9;
    }
}

/* What the device took for what it did, once it is at rest. */
static void measure(yki_rank *rank)
{
    double origin = rank->run->step_start_ns, last = origin;
    int within = YKI_SPENT_BODIES;
    enum { FIRST = 2 }; /* steps touch all for the first time */
    if (rank->spent++ == FIRST && !rank->warm) {
        rank->warm = true;
        memset(rank->spent_ns, 0, sizeof rank->spent_ns);
        rank->spent_all_ns = 0;
        rank->spent = 1;
    }
    for (int i = 0; i < rank->nspans; i++) {
        const yki_span *span = &rank->spans[i];
        double ns = span->end_ns - span->start_ns;
        rank->computing_ns += span->moves ? -ns : ns;
        if (!span->moves) within = span->ran >= 0 ? YKI_SPENT_BODIES : YKI_SPENT_ENDS;
        rank->spent_ns[within] += span->moves ? -ns : ns;
        if (span->moves) rank->spent_ns[span->waits] += ns;
        last = fmax(last, span->end_ns);
        if (span->ran < 0) continue;
        rank->ran[span->ran].start = (span->start_ns - origin) * 1e-9;
        rank->ran[span->ran].end = (span->end_ns - origin) * 1e-9;
    }
    rank->spent_all_ns += last - origin;
    tell_rest(rank, origin);
}

static yoke_status take_step(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    bool backward = step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS;
    rank->backend->fill(rank->queue, yki_rank_total(rank, 0), 0, YKI_TOTALS * sizeof(double));
    rank->nspans = 0;
    memset(rank->moved, 0, sizeof rank->moved);
    yki_rank_moved(rank, rank->moved);
    yki_trace_begin_step(rank);
    if (!backward) return run_forward(rank);
    rank->nran = 0;
    for (int i = 0; i < rank->program->nactions; i++)
        YKI_TRY(yki_rank_action(rank, &rank->program->actions[i], i));
    YKI_TRY(yki_rank_end(rank, YKI_END_REDUCE));
    if (rank->updates) YKI_TRY(yki_rank_end(rank, YKI_END_UPDATE));
    YKI_TRY(rank->backend->synchronize(rank->queue));
    measure(rank);
    yki_trace_end_step(rank);
    return YOKE_OK;
}

yoke_status yki_rank_step(yki_rank *rank, void *unused)
{
    (void)unused;
    atomic_store(&rank->post.step, rank->run->step->step);
    yoke_status status = take_step(rank);
    if (status == YOKE_OK) { /* a rank that is lost says until the end where it was */
        atomic_store(&rank->post.action, 0);
        atomic_store(&rank->post.step, -1);
        yki_post_progress(rank);
    }
    return status;
}
