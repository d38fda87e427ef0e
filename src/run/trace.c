/* The rings of traces, and what is written into them. */
#include "run/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

/* Payload bytes that a rank has received since it was made. */
static int64_t received(const yki_rank *rank)
{
    int64_t moved[YKI_AXIS_COUNT] = {0}, bytes = 0;
    yki_rank_moved(rank, moved);
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) bytes += moved[axis];
    return bytes;
}

/* Rows of a step at most: actions and ends, and their instructions. */
static int64_t rows_of(const yki_program *program)
{
    int64_t rows = 0;
    for (int end = YKI_END_REDUCE; end < YKI_END_COUNT; end++) rows += 1 + program->ends[end].count;
    for (int i = 0; i < program->nactions; i++)
        rows += 1 + yki_action_code(program, &program->actions[i])->count;
    return rows;
}

void yki_trace_destroy(yki_trace *trace)
{
    if (!trace) return;
    free(trace->steps);
    free(trace->rows);
    free(trace);
}

static void release(yki_rank *rank)
{
    rank->recording = NULL;
    yki_trace_destroy(rank->trace);
    rank->trace = NULL;
}

yki_trace *yki_trace_create(int64_t nsteps, int64_t rows)
{
    yki_trace *trace = calloc(1, sizeof *trace);
    if (!trace) return NULL;
    *trace = (yki_trace){.nsteps = (int)nsteps,
                         .steps = calloc((size_t)nsteps, sizeof *trace->steps),
                         .rows = calloc((size_t)rows, sizeof *trace->rows)};
    if (trace->steps && trace->rows) return trace;
    yki_trace_destroy(trace);
    return NULL;
}

static yoke_status make_ring(yki_rank *rank, int64_t nsteps, int64_t first, int64_t last)
{
    int64_t rows = rows_of(rank->program);
    rank->trace = yki_trace_create(nsteps, nsteps * rows);
    if (!rank->trace) return yki_fail_memory("a trace");
    rank->trace->nrows = (int)rows;
    rank->trace->first = first;
    rank->trace->last = last;
    for (int64_t i = 0; i < nsteps; i++) rank->trace->steps[i].rows = &rank->trace->rows[i * rows];
    return YOKE_OK;
}

/* The clock of this process's ranks starts when all ranks of the run are there. */
static yoke_status start_clock(yki_rank *rank, void *unused)
{
    (void)unused;
    YKI_TRY(yki_barrier(rank->world));
    if (rank == &rank->run->ranks[0]) rank->run->trace_origin_ns = yki_now_ns();
    return YOKE_OK;
}

yoke_status yki_run_trace(yki_run *run, int64_t first, int64_t last, int64_t most_steps, int64_t bytes)
{
    int64_t longest = 1, window = last - first < most_steps ? last - first + 1 : most_steps;
    yki_run_trace_end(run);
    for (int i = 0; i < yki_plan_programs(run->plan); i++) {
        int64_t rows = rows_of(&run->plan->programs[i]);
        longest = rows > longest ? rows : longest;
    }
    /* All ranks keep the same steps, so that what one sends another receives in the trace too. */
    int64_t nsteps = bytes / (longest * (int64_t)sizeof(yki_traced));
    if (nsteps > window) nsteps = window;
    if (nsteps > INT32_MAX) nsteps = INT32_MAX;
    if (nsteps < 1) nsteps = 1;
    yoke_status status = YOKE_OK;
    for (int i = 0; i < run->nlocal && status == YOKE_OK; i++)
        status = make_ring(&run->ranks[i], nsteps, first, last);
    run->nclocks = 0;
    if (status == YOKE_OK) status = yki_run_trace_clock(run);
    if (status == YOKE_OK) return yki_run_command(run, start_clock, NULL);
    yki_run_trace_end(run);
    return status;
}

void yki_run_trace_end(yki_run *run)
{
    for (int i = 0; i < run->nlocal && run->ranks; i++) release(&run->ranks[i]);
}

const yki_trace *yki_run_traced(const yki_run *run, int rank, double *origin_ns_out)
{
    *origin_ns_out = run->trace_origin_ns;
    const yki_rank *r = yki_run_rank(run, rank);
    return r ? r->trace : NULL;
}

const yki_traced_step *yki_trace_step(const yki_trace *trace, int64_t i)
{
    int64_t held = trace->recorded < trace->nsteps ? trace->recorded : trace->nsteps;
    return i < held ? &trace->steps[(trace->recorded - held + i) % trace->nsteps] : NULL;
}

void yki_trace_begin_step(yki_rank *rank)
{
    const yki_step *step = rank->run->step;
    yki_trace *trace = rank->trace;
    rank->recording = NULL;
    if (!trace || (step->mode != YKI_RUN_TRAIN && step->mode != YKI_RUN_GRADIENTS) ||
        step->step < trace->first || step->step > trace->last)
        return;
    yki_traced_step *slot = &trace->steps[trace->recorded % trace->nsteps];
    if (trace->recorded++ >= trace->nsteps) trace->lost_rows += slot->count;
    slot->step = step->step;
    slot->start_ns = yki_now_ns();
    slot->end_ns = 0;
    slot->received = received(rank);
    slot->count = 0;
    slot->complete = false;
    rank->recording = slot;
}

void yki_trace_end_step(yki_rank *rank)
{
    if (!rank->recording) return;
    rank->recording->end_ns = yki_now_ns();
    rank->recording->complete = true;
    rank->recording = NULL;
}

static yki_traced *begin_row(yki_rank *rank, yki_traced_kind kind)
{
    yki_traced *row = &rank->recording->rows[rank->recording->count];
    *row = (yki_traced){.kind = kind};
    rank->backend->stamp(rank->queue, &row->start_ns);
    return row;
}

yki_traced *yki_trace_add(yki_rank *rank, yki_traced_kind kind)
{
    yki_traced *row = begin_row(rank, kind);
    rank->recording->count++;
    return row;
}

yki_traced *yki_trace_instruction(yki_rank *rank, const yki_instruction *in)
{
    yki_traced *row = begin_row(rank, YKI_TRACED_INSTRUCTION);
    row->of.instruction = in;
    return row;
}

void yki_trace_end_row(yki_rank *rank, yki_traced *row)
{
    if (yki_moves(row->of.instruction)) row->amount = received(rank);
    rank->recording->count++;
    rank->backend->stamp(rank->queue, &row->end_ns);
}
