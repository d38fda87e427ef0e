/* A run: the ranks' threads, and handing work over to them. */
#include "run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crowd.h"
#include "base/fail.h"
#include "run/rank.h"

static yoke_status guarded(yki_rank *rank, yki_command *command, void *argument)
{
    rank->status = command(rank, argument);
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
        yki_command *command = run->command;
        void *given = run->argument;
        pthread_mutex_unlock(&run->lock);
        guarded(rank, command, given);
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
    for (int i = 0; i < run->nlocal; i++) {
        const yki_rank *rank = &run->ranks[i];
        if (rank->status != YOKE_OK && (!worst || worst->status == YOKE_PEER_FAILED)) worst = rank;
    }
    if (!worst) return YOKE_OK;
    run->lost = worst->error;
    yki_error_set(&worst->error);
    return worst->status;
}

yoke_status yki_run_command(yki_run *run, yki_command *command, void *argument)
{
    if (run->lost.status != YOKE_OK) {
        yki_error_set(&run->lost);
        return run->lost.status;
    }
    if (!run->ranks[0].started) {
        guarded(&run->ranks[0], command, argument);
    } else {
        pthread_mutex_lock(&run->lock);
        run->command = command;
        run->argument = argument;
        run->running = run->nlocal;
        run->turn++;
        pthread_cond_broadcast(&run->go);
        while (run->running > 0) pthread_cond_wait(&run->done, &run->lock);
        pthread_mutex_unlock(&run->lock);
    }
    return verdict(run);
}

/* One rank alone needs no thread; among others it is bound to its cores, and so has one: its caller's is the
 * program's. */
static yoke_status start_threads(yki_run *run)
{
    for (int i = 0; i < run->nlocal && run->nranks > 1; i++) {
        yki_rank *rank = &run->ranks[i];
        if (pthread_create(&rank->thread, NULL, rank_thread, rank) != 0)
            return yki_fail(YOKE_SYSTEM, "the system gives no thread for rank %d of %d", rank->rank,
                            run->nranks);
        rank->started = true;
    }
    return YOKE_OK;
}

/* The ranks of this process: all, or its share of them. */
static yoke_status deal_ranks(yki_run *run, bool alone)
{
    int processes = alone ? 1 : yki_cluster_size();
    if (run->nranks % processes != 0)
        return run->nranks == 1
                   ? yki_fail(
                         YOKE_INVALID,
                         "the layout has 1 device, and %d processes were started; add --dp %d (or another "
                         "layout of %d devices), or start one process",
                         processes, processes, processes)
                   : yki_fail(
                         YOKE_INVALID,
                         "the layout has %d devices, which cannot be dealt evenly to %d processes; start "
                         "as many processes as devices, or a divisor of that",
                         run->nranks, processes);
    run->nlocal = run->nranks / processes;
    if (run->nlocal > YOKE_MAX_LOCAL_DEVICES)
        return yki_fail(YOKE_INVALID,
                        "%d devices in one process: each is a thread, and %d are the most; share them among "
                        "more processes (mpirun, srun, yoke launch), or plan only, with --dry-run",
                        run->nlocal, YOKE_MAX_LOCAL_DEVICES);
    run->first = alone ? 0 : yki_cluster_rank() * run->nlocal;
    run->ranks = calloc((size_t)run->nlocal, sizeof *run->ranks);
    if (!run->ranks) return yki_fail_memory("a run");
    for (int i = 0; i < run->nlocal; i++) {
        yki_rank *rank = &run->ranks[i];
        *rank = (yki_rank){.run = run,
                           .plan = run->plan,
                           .program = yki_plan_program(run->plan, run->first + i),
                           .states = yki_rank_states(run->plan, run->first + i),
                           .backend = run->backend,
                           .rank = run->first + i};
        int of_shards;
        rank->shard = yki_rank_shard(run->plan, rank->rank, &of_shards);
        atomic_store(&rank->post.step, -1);
        yki_mesh_place(&run->plan->mesh, rank->rank, rank->place);
    }
    run->clustered = processes > 1;
    YKI_TRY(yki_world_open(processes, run->nlocal, run->backend->memory, &run->world));
    /* before any of them runs: a rank that fails tells the others through its end of the world */
    for (int i = 0; i < run->nlocal; i++) YKI_TRY(yki_world_join(run->world, i, &run->ranks[i].world));
    return YOKE_OK;
}

yoke_status yki_run_create(const yki_plan *plan, const yki_run_options *options, yki_run **run_out)
{
    yki_run *run = calloc(1, sizeof *run);
    if (!run) return yki_fail_memory("a run");
    run->plan = plan;
    run->backend = plan->options.backend;
    run->nranks = plan->mesh.nranks;
    run->ragged = options->ragged;
    const yoke_model *model = plan->options.model;
    const yki_value *output = &model->values[model->output];
    int64_t elems = yki_value_elems(output);
    run->rows_per_sample = model->loss == YOKE_MSE ? elems : elems / output->dims[output->ndim - 1];
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->go, NULL);
    pthread_cond_init(&run->done, NULL);
    yoke_status status = deal_ranks(run, options->alone);
    run->waits = status == YOKE_OK && (run->nranks > 1 || plan->options.threads > 1);
    if (run->waits) yki_crowd_begin();
    if (status == YOKE_OK) status = start_threads(run);
    if (status == YOKE_OK) status = yki_guard_start(run, options->timeout);
    if (status == YOKE_OK) status = yki_run_command(run, yki_rank_open, NULL);
    if (status != YOKE_OK) {
        yki_run_destroy(run);
        return status;
    }
    *run_out = run;
    return YOKE_OK;
}

void yki_run_destroy(yki_run *run)
{
    YKI_KEEP_RECORD;
    if (!run) return;
    yki_guard_stop(run);
    pthread_mutex_lock(&run->lock);
    run->quit = true;
    pthread_cond_broadcast(&run->go);
    pthread_mutex_unlock(&run->lock);
    for (int i = 0; i < run->nlocal && run->ranks; i++)
        if (run->ranks[i].started) pthread_join(run->ranks[i].thread, NULL);
    for (int i = 0; i < run->nlocal && run->ranks; i++) yki_rank_close(&run->ranks[i]);
    if (run->waits) yki_crowd_end();
    yki_run_trace_end(run);
    yki_world_close(run->world);
    for (int r = 0; r < run->nranks && run->ran; r++) free(run->ran[r]);
    free(run->ran);
    free(run->figures);
    pthread_cond_destroy(&run->go);
    pthread_cond_destroy(&run->done);
    pthread_mutex_destroy(&run->lock);
    free(run->ranks);
    free(run);
}

const yoke_error *yki_run_lost(const yki_run *run)
{
    return &run->lost;
}

int64_t yki_run_forward_samples(const yki_run *run)
{
    return run->plan->largest * run->plan->mesh.degree[YKI_AXIS_DP];
}

/* The step's rows that are counted, micro-batches and replicas all together: every process has all targets.
 */
static int64_t count_rows(const yki_run *run, const yki_step *step)
{
    const yoke_model *model = run->plan->options.model;
    int64_t rows = step->samples * run->rows_per_sample, counted = 0;
    if (model->loss == YOKE_MSE || !step->targets) return rows;
    const int32_t *targets = step->targets;
    for (int64_t r = 0; r < rows; r++) counted += targets[r] >= 0;
    return counted;
}

yoke_status yki_run_step(yki_run *run, const yki_step *step, yki_step_result *result)
{
    double computing = 0, before = 0;
    for (int i = 0; i < run->nlocal; i++) before += run->ranks[i].computing_ns;
    if (step->mode == YKI_RUN_PREDICT && run->clustered) { /* each writes what it has */
        const yoke_model *model = run->plan->options.model;
        memset(step->outputs, 0,
               sizeof(float) * (size_t)(step->samples * yki_value_elems(&model->values[model->output])));
    }
    run->step = step;
    run->counted = count_rows(run, step);
    run->step_start_ns = yki_now_ns();
    YKI_TRY(yki_run_command(run, yki_rank_step, NULL));
    double ns = yki_now_ns() - run->step_start_ns;
    for (int i = 0; i < run->nlocal; i++) {
        if (step->mode == YKI_RUN_TRAIN || step->mode == YKI_RUN_GRADIENTS) run->ranks[i].stepping_ns += ns;
        computing += run->ranks[i].computing_ns;
    }
    result->loss = run->scalars[YKI_SCALAR_LOSS] / yki_run_counted(run);
    result->counted = run->counted;
    result->right = (int64_t)run->scalars[YKI_SCALAR_RIGHT];
    result->gradient_norm = sqrt(run->scalars[YKI_SCALAR_SQUARES]);
    result->finite = isfinite(result->loss) && isfinite(result->gradient_norm);
    result->stop = run->scalars[YKI_SCALAR_STOPS] > 0;
    result->failed = run->scalars[YKI_SCALAR_FAILED] > 0;
    result->ended = (int)run->scalars[YKI_SCALAR_ENDED];
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        result->moved[axis] = (int64_t)run->scalars[YKI_SCALAR_MOVED + axis];
    result->seconds = ns * 1e-9;
    result->idle = 1 - (computing - before) / (ns * run->nlocal);
    return YOKE_OK;
}

int64_t yki_run_tracked(const yki_run *run, const yki_attr *buffer)
{
    return yki_rank_tracked(&run->ranks[0], buffer, 0, 0);
}

void yki_run_reset_idle(yki_run *run)
{
    for (int i = 0; i < run->nlocal; i++) run->ranks[i].computing_ns = run->ranks[i].stepping_ns = 0;
}

bool yki_run_spent(const yki_run *run, int rank, double spent_s[YKI_SPENT_COUNT], double *step_s)
{
    const yki_rank *r = yki_run_rank(run, rank);
    if (!r || r->spent == 0) return false;
    for (int i = 0; i < YKI_SPENT_COUNT; i++) spent_s[i] = 1e-9 * r->spent_ns[i] / (double)r->spent;
    *step_s = 1e-9 * r->spent_all_ns / (double)r->spent;
    return true;
}
