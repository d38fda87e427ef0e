/* A run: the ranks' threads, and handing work over to them. */
#include "run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

static yoke_status guarded(yki_rank *rank, yoke_status (*command)(yki_rank *))
{
    rank->status = command(rank);
    if (rank->status != YOKE_OK) {
        rank->error = *yoke_error_get();
        if (rank->error.rank < 0) rank->error.rank = rank->rank;
        if (rank->world) yki_comm_abort(rank->world, &rank->error);
    }
    return rank->status;
}

static void *rank_thread(void *argument)
{
    yki_rank *rank = argument;
    yki_run *run = rank->run;
    uint64_t seen = 0;
    pthread_mutex_lock(&run->lock);
    for (;;) {
        while (run->turn == seen && !run->quit) pthread_cond_wait(&run->go, &run->lock);
        if (run->quit) break;
        seen = run->turn;
        yoke_status (*command)(yki_rank *) = run->command;
        pthread_mutex_unlock(&run->lock);
        guarded(rank, command);
        pthread_mutex_lock(&run->lock);
        if (--run->running == 0) pthread_cond_signal(&run->done);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* The record of the rank that failed first in meaning: not of one that merely lost its peer. */
static yoke_status verdict(yki_run *run)
{
    const yki_rank *worst = NULL;
    for (int i = 0; i < run->nranks; i++) {
        const yki_rank *rank = &run->ranks[i];
        if (rank->status != YOKE_OK && (!worst || worst->status == YOKE_PEER_FAILED)) worst = rank;
    }
    if (!worst) return YOKE_OK;
    run->lost = worst->error;
    yki_error_set(&worst->error);
    return worst->status;
}

yoke_status yki_run_command(yki_run *run, yoke_status (*command)(yki_rank *))
{
    if (run->lost.status != YOKE_OK) {
        yki_error_set(&run->lost);
        return run->lost.status;
    }
    if (run->nranks == 1) {
        guarded(&run->ranks[0], command);
    } else {
        pthread_mutex_lock(&run->lock);
        run->command = command;
        run->running = run->nranks;
        run->turn++;
        pthread_cond_broadcast(&run->go);
        while (run->running > 0) pthread_cond_wait(&run->done, &run->lock);
        pthread_mutex_unlock(&run->lock);
    }
    return verdict(run);
}

static yoke_status start_threads(yki_run *run)
{
    for (int i = 0; i < run->nranks && run->nranks > 1; i++) {
        yki_rank *rank = &run->ranks[i];
        if (pthread_create(&rank->thread, NULL, rank_thread, rank) != 0)
            return yki_fail(YOKE_SYSTEM, "the system gives no thread for rank %d of %d", i, run->nranks);
        rank->started = true;
    }
    return YOKE_OK;
}

yoke_status yki_run_create(const yki_plan *plan, int64_t ragged, yki_run **run_out)
{
    yki_run *run = calloc(1, sizeof *run);
    if (!run) return yki_fail_memory("a run");
    run->plan = plan;
    run->backend = plan->options.backend;
    run->nranks = plan->mesh.nranks;
    run->ragged = ragged;
    const yoke_model *model = plan->options.model;
    const yki_value *output = &model->values[model->output];
    int64_t elems = yki_value_elems(output);
    run->rows_per_sample = model->loss == YOKE_MSE ? elems : elems / output->dims[output->ndim - 1];
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->go, NULL);
    pthread_cond_init(&run->done, NULL);
    run->ranks = calloc((size_t)run->nranks, sizeof *run->ranks);
    for (int i = 0; i < run->nranks && run->ranks; i++) { /* first of all: what is destroyed knows its plan */
        yki_rank *rank = &run->ranks[i];
        *rank = (yki_rank){.run = run,
                           .plan = plan,
                           .program = yki_plan_program(plan, i),
                           .states = yki_rank_states(plan, i),
                           .backend = run->backend,
                           .rank = i};
        yki_mesh_place(&plan->mesh, i, rank->place);
    }
    yoke_status status =
        run->ranks ? yki_local_world_create(run->nranks, -1, &run->world) : yki_fail_memory("a run");
    /* before any of them runs: a rank that fails tells the others through its end of the world */
    for (int i = 0; i < run->nranks && status == YOKE_OK; i++)
        status = yki_local_world_join(run->world, i, &run->ranks[i].world);
    if (status == YOKE_OK) status = start_threads(run);
    if (status == YOKE_OK) status = yki_run_command(run, yki_rank_open);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yki_run_destroy(run);
        yki_error_set(&error);
        return status;
    }
    *run_out = run;
    return YOKE_OK;
}

void yki_run_destroy(yki_run *run)
{
    if (!run) return;
    pthread_mutex_lock(&run->lock);
    run->quit = true;
    pthread_cond_broadcast(&run->go);
    pthread_mutex_unlock(&run->lock);
    for (int i = 0; i < run->nranks && run->ranks; i++)
        if (run->ranks[i].started) pthread_join(run->ranks[i].thread, NULL);
    for (int i = 0; i < run->nranks && run->ranks; i++) yki_rank_close(&run->ranks[i]);
    yki_run_trace_end(run);
    if (run->world) yki_local_world_destroy(run->world);
    pthread_cond_destroy(&run->go);
    pthread_cond_destroy(&run->done);
    pthread_mutex_destroy(&run->lock);
    free(run->ranks);
    free(run);
}

int64_t yki_run_forward_samples(const yki_run *run)
{
    return run->plan->largest * run->plan->mesh.degree[YKI_AXIS_DP];
}

yoke_status yki_run_step(yki_run *run, const yki_step *step, yki_step_result *result)
{
    double computing = 0, before = 0;
    for (int i = 0; i < run->nranks; i++) before += run->ranks[i].computing_ns;
    run->step = step;
    run->step_start_ns = yki_now_ns();
    YKI_TRY(yki_run_command(run, yki_rank_step));
    double ns = yki_now_ns() - run->step_start_ns;
    for (int i = 0; i < run->nranks; i++) {
        run->ranks[i].stepping_ns += ns;
        computing += run->ranks[i].computing_ns;
    }
    result->loss = run->scalars[0] / ((double)step->samples * (double)run->rows_per_sample);
    result->gradient_norm = sqrt(run->scalars[1]);
    result->finite = isfinite(result->loss) && isfinite(result->gradient_norm);
    result->seconds = ns * 1e-9;
    result->idle = 1 - (computing - before) / (ns * run->nranks);
    return YOKE_OK;
}

int64_t yki_run_tracked(const yki_run *run, const yki_attr *buffer)
{
    return yki_rank_tracked(&run->ranks[0], buffer, 0, 0);
}

int64_t yki_run_measured_bytes(const yki_run *run, int rank)
{
    return run->backend->peak_bytes(run->ranks[rank].device);
}

double yki_run_idle(const yki_run *run, int rank)
{
    const yki_rank *r = &run->ranks[rank];
    return r->stepping_ns > 0 ? 1 - r->computing_ns / r->stepping_ns : 0;
}

void yki_run_reset_idle(yki_run *run)
{
    for (int i = 0; i < run->nranks; i++)
        run->ranks[i].computing_ns = run->ranks[i].stepping_ns = run->ranks[i].moving_ns = 0;
}

void yki_rank_moved(const yki_rank *rank, int64_t moved[YKI_AXIS_COUNT])
{
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        moved[axis] += yki_comm_received_bytes(rank->axis[axis]);
    moved[YKI_AXIS_DP] += yki_comm_received_bytes(rank->shards) + yki_comm_received_bytes(rank->replicas);
    for (int k = 0; k < rank->plan->nsums && rank->sums; k++)
        moved[YKI_AXIS_TP] += yki_comm_received_bytes(rank->sums[k]);
    for (int t = 0; t < rank->plan->nties && rank->ties; t++)
        if (rank->ties[t]) moved[YKI_AXIS_PP] += yki_comm_received_bytes(rank->ties[t]);
    moved[YKI_AXIS_PP] += yki_comm_received_bytes(rank->world); /* its channels are between stages */
}

void yki_run_moved(const yki_run *run, int64_t moved[YKI_AXIS_COUNT])
{
    memset(moved, 0, sizeof(int64_t) * YKI_AXIS_COUNT);
    for (int i = 0; i < run->nranks; i++) yki_rank_moved(&run->ranks[i], moved);
}

const yoke_ran *yki_run_ran(const yki_run *run, int rank, int *count_out)
{
    *count_out = run->ranks[rank].nran;
    return run->ranks[rank].ran;
}
