/* What processes of a cluster tell each other between steps: what their ranks measured, faults of files, and
 * parts of arrays. Alone, all of it is here already. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

typedef struct yki_figures {
    int64_t peak_bytes;
    double idle;
    int nran;
} yki_figures;

void yki_rank_moved(const yki_rank *rank, int64_t moved[YKI_AXIS_COUNT])
{
    for (int g = 0; g < rank->plan->ngroups && rank->groups; g++)
        if (rank->groups[g]) moved[rank->plan->groups[g].axis] += yki_comm_received_bytes(rank->groups[g]);
    moved[YKI_AXIS_PP] += yki_comm_received_bytes(rank->world); /* its channels are between stages */
}

static yki_figures figures_of(const yki_run *run, int rank)
{
    const yki_rank *r = yki_run_rank(run, rank);
    if (!r) return run->figures ? run->figures[rank] : (yki_figures){0};
    return (yki_figures){.peak_bytes = run->backend->peak_bytes(r->device),
                         .idle = r->stepping_ns > 0 ? 1 - r->computing_ns / r->stepping_ns : 0,
                         .nran = r->nran};
}

/* Lists of what ran, of ranks elsewhere: each process's as long as the longest. */
static yoke_status collect_ran(yki_run *run)
{
    int most = 1;
    for (int r = 0; r < run->nranks; r++) most = run->figures[r].nran > most ? run->figures[r].nran : most;
    size_t each = (size_t)most * (size_t)run->nlocal;
    yoke_ran *mine = calloc(each, sizeof *mine),
             *all = calloc(each * (size_t)yki_cluster_size(), sizeof *all);
    yoke_status status = mine && all ? YOKE_OK : yki_fail_memory("the actions of a step");
    for (int i = 0; i < run->nlocal && status == YOKE_OK; i++)
        memcpy(mine + i * most, run->ranks[i].ran, sizeof *mine * (size_t)run->ranks[i].nran);
    if (status == YOKE_OK) status = yki_cluster_gather(mine, all, each * sizeof *mine);
    for (int r = 0; r < run->nranks && status == YOKE_OK; r++) {
        yoke_ran *list = realloc(run->ran[r], sizeof *list * (size_t)most);
        if (list)
            run->ran[r] = memcpy(list, all + (size_t)r * (size_t)most, sizeof *list * (size_t)most);
        else
            status = yki_fail_memory("the actions of a step");
    }
    free(mine);
    free(all);
    return status;
}

yoke_status yki_run_collect(yki_run *run)
{
    if (!run->clustered) return YOKE_OK;
    yki_figures *mine = calloc((size_t)run->nlocal, sizeof *mine);
    if (!run->figures) run->figures = calloc((size_t)run->nranks, sizeof *run->figures);
    if (!run->ran) run->ran = calloc((size_t)run->nranks, sizeof *run->ran);
    yoke_status status = mine && run->figures && run->ran ? YOKE_OK : yki_fail_memory("what ranks measured");
    for (int i = 0; i < run->nlocal && status == YOKE_OK; i++) mine[i] = figures_of(run, run->first + i);
    if (status == YOKE_OK)
        status = yki_cluster_gather(mine, run->figures, sizeof *mine * (size_t)run->nlocal);
    if (status == YOKE_OK) status = collect_ran(run);
    free(mine);
    return status;
}

int64_t yki_run_measured_bytes(const yki_run *run, int rank)
{
    return figures_of(run, rank).peak_bytes;
}

double yki_run_idle(const yki_run *run, int rank)
{
    return figures_of(run, rank).idle;
}

const yoke_ran *yki_run_ran(const yki_run *run, int rank, int *count_out)
{
    const yki_rank *r = yki_run_rank(run, rank);
    *count_out = figures_of(run, rank).nran;
    return r ? r->ran : run->ran ? run->ran[rank] : NULL;
}

/* What is wrong, and in another process than the first where. */
static yoke_status tell(const yoke_error *fault, int process)
{
    yki_error_set(fault);
    if (process == 0) return fault->status;
    yki_fail_at(fault->status, fault->file, fault->line, fault->key, "rank %d on %s: %s", fault->rank,
                yki_cluster_host(process), fault->message);
    yki_error_edit()->rank = fault->rank;
    return fault->status;
}

/* The first fault in the order of tensors, then of ranks. */
yoke_status yki_run_first_fault(yki_run *run)
{
    typedef struct fault {
        int at;
        yoke_error error;
    } fault;
    int processes = run->clustered ? yki_cluster_size() : 1, found = -1;
    fault *mine = calloc((size_t)processes + 1, sizeof *mine), *all = mine + 1;
    if (!mine) return yki_fail_memory("a fault");
    for (int i = 0; i < run->nlocal; i++) {
        const yki_rank *rank = &run->ranks[i];
        bool none = mine->error.status == YOKE_OK;
        if (rank->fault.status != YOKE_OK && (none || rank->fault_at < mine->at))
            *mine = (fault){rank->fault_at, rank->fault};
    }
    yoke_status status = YOKE_OK;
    all[0] = *mine;
    if (run->clustered) status = yki_cluster_gather(mine, all, sizeof *mine);
    for (int p = 0; p < processes && status == YOKE_OK; p++)
        if (all[p].error.status != YOKE_OK && (found < 0 || all[p].at < all[found].at)) found = p;
    if (found >= 0) status = tell(&all[found].error, found);
    free(mine);
    return status;
}

yoke_status yki_rank_share(yki_rank *rank, float *values, int64_t count)
{
    yki_request request = {0};
    YKI_TRY(yki_barrier(rank->world));
    if (!rank->processes) return YOKE_OK;
    yki_segment segment = {values, count};
    YKI_TRY(yki_all_reduce_start(rank->processes, &segment, 1, YKI_F32, YKI_SUM, &request));
    return yki_wait(&request);
}
