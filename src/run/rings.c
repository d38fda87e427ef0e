/* Rings of ranks elsewhere, brought to the first process of a cluster: in the order of steps, with numbers
 * for what pointers point to, since all processes have the same programs; and their times in that process's
 * clock. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

/* ---- clocks ---- */

/* What a process says of a round: its time just before it, and just after the one before. */
typedef struct times {
    double before_ns, after_ns;
} times;

/* No process can be through a round before all have entered it: what the first one read before a round was
 * read before this one's end of it, and the other way round. Each round bounds the difference from both
 * sides, by the time that it took; the bounds of all hold. Clocks that may be the same one (as those of a
 * machine are) are taken to be it. */
static yoke_status compare_clocks(double *ahead_out)
{
    enum { ROUNDS = 8 };
    times mine = {0}, *all = calloc((size_t)yki_cluster_size(), sizeof *all);
    if (!all) return yki_fail_memory("a comparison of clocks");
    double least = -INFINITY, most = INFINITY;
    yoke_status status = YOKE_OK;
    for (int round = 0; round < ROUNDS && status == YOKE_OK; round++) {
        double before = mine.before_ns;
        mine.before_ns = yki_now_ns();
        status = yki_cluster_gather(&mine, all, sizeof mine);
        mine.after_ns = yki_now_ns();
        if (round > 0) least = fmax(least, before - all[0].after_ns);
        most = fmin(most, mine.after_ns - all[0].before_ns);
    }
    free(all);
    *ahead_out = least <= 0 && most >= 0 ? 0 : (least + most) / 2;
    return status;
}

yoke_status yki_run_trace_clock(yki_run *run)
{
    yki_clock *clock = &run->clocks[run->nclocks > 0];
    if (!run->clustered) return YOKE_OK;
    YKI_TRY(compare_clocks(&clock->ahead_ns));
    clock->at_ns = yki_now_ns();
    run->nclocks = run->nclocks > 0 ? 2 : 1;
    return YOKE_OK;
}

/* A time in the first process's clock; 0, which is none, stays. Clocks drift evenly from one comparison to
 * the next. */
static double first_ones(const yki_run *run, double ns)
{
    const yki_clock *a = &run->clocks[0], *b = &run->clocks[1];
    double ahead = a->ahead_ns;
    if (run->nclocks > 1)
        ahead += (b->ahead_ns - a->ahead_ns) * (ns - a->at_ns) / fmax(b->at_ns - a->at_ns, 1);
    return ns > 0 ? ns - ahead : ns;
}

/* ---- packing ---- */

typedef struct packed {
    int64_t recorded, lost_rows, nsteps, nrows;
} packed;

static size_t packed_bytes(const packed *p)
{
    return (size_t)p->nsteps * sizeof(yki_traced_step) + (size_t)p->nrows * sizeof(yki_traced);
}

static packed count(const yki_trace *trace)
{
    packed p = {.recorded = trace->recorded, .lost_rows = trace->lost_rows};
    for (const yki_traced_step *step; (step = yki_trace_step(trace, p.nsteps)); p.nsteps++)
        p.nrows += step->count;
    return p;
}

/* Instructions' numbers for their addresses, or the other way round. */
static void number_rows(const yki_program *program, yki_traced *rows, int nrows, bool numbers)
{
    const yki_code *code = NULL;
    for (yki_traced *row = rows; row < rows + nrows; row++) {
        if (row->kind == YKI_TRACED_ACTION) {
            const yoke_action *action = numbers ? row->of.action : &program->actions[row->of.number];
            code = yki_action_code(program, action);
            if (numbers)
                row->of.number = action - program->actions;
            else
                row->of.action = action;
        } else if (row->kind == YKI_TRACED_END) {
            code = &program->ends[row->of.number];
        } else if (row->kind == YKI_TRACED_INSTRUCTION && numbers)
            row->of.number = row->of.instruction - code->instructions;
        else if (row->kind == YKI_TRACED_INSTRUCTION)
            row->of.instruction = &code->instructions[row->of.number];
    }
}

static void pack(const yki_rank *rank, const packed *p, yki_traced_step *steps)
{
    yki_traced *rows = (yki_traced *)(void *)(steps + p->nsteps);
    for (int64_t i = 0; i < p->nsteps; i++) {
        const yki_traced_step *step = yki_trace_step(rank->trace, i);
        steps[i] = *step;
        steps[i].rows = NULL;
        steps[i].start_ns = first_ones(rank->run, step->start_ns);
        steps[i].end_ns = first_ones(rank->run, step->end_ns);
        memcpy(rows, step->rows, sizeof *rows * (size_t)step->count);
        number_rows(rank->program, rows, step->count, true);
        for (int k = 0; k < step->count; k++, rows++) {
            rows->start_ns = first_ones(rank->run, rows->start_ns);
            rows->end_ns = first_ones(rank->run, rows->end_ns);
        }
    }
}

static yki_trace *unpack(const yki_program *program, const packed *p, const yki_traced_step *steps)
{
    yki_trace *trace = yki_trace_create(p->nsteps > 0 ? p->nsteps : 1, p->nrows + 1);
    if (!trace) return NULL;
    yki_traced *rows = memcpy(trace->rows, steps + p->nsteps, sizeof *rows * (size_t)p->nrows);
    trace->recorded = p->recorded;
    trace->lost_rows = p->lost_rows;
    for (int64_t i = 0; i < p->nsteps; i++) {
        yki_traced_step *step = &trace->steps[(p->recorded - p->nsteps + i) % trace->nsteps];
        *step = steps[i];
        step->rows = rows;
        number_rows(program, rows, step->count, false);
        rows += step->count;
    }
    return trace;
}

/* ---- the way ---- */

static yoke_status pass(yki_channel *channel, bool sends, void *data, size_t bytes)
{
    enum { AT_ONCE = 64 << 20 }; /* MPI counts in ints */
    for (size_t done = 0, few; done < bytes; done += few) {
        yki_request request = {0};
        few = bytes - done < AT_ONCE ? bytes - done : AT_ONCE;
        YKI_TRY(sends ? yki_send_start(channel, (char *)data + done, few, &request)
                      : yki_receive_start(channel, (char *)data + done, few, &request));
        YKI_TRY(yki_wait(&request));
    }
    return YOKE_OK;
}

/* Whose ring is brought to the first process, and what it becomes there. */
typedef struct bringing {
    int rank;
    yki_trace *trace;
} bringing;

static yoke_status pass_ring(yki_rank *rank, yki_channel *channel, bringing *of)
{
    packed p = {0};
    bool sends = rank->rank == of->rank;
    if (sends) p = count(rank->trace);
    YKI_TRY(pass(channel, sends, &p, sizeof p));
    yki_traced_step *steps = malloc(packed_bytes(&p) + 1);
    if (!steps) return yki_fail_memory("a trace on its way");
    if (sends) pack(rank, &p, steps);
    yoke_status status = pass(channel, sends, steps, packed_bytes(&p));
    if (status == YOKE_OK && !sends) {
        of->trace = unpack(yki_plan_program(rank->plan, of->rank), &p, steps);
        if (!of->trace) status = yki_fail_memory("a trace");
    }
    free(steps);
    return status;
}

static yoke_status bring(yki_rank *rank, void *argument)
{
    bringing *of = argument;
    bool sends = rank->rank == of->rank;
    int tag = (int)yki_channel_index(rank->plan, rank->plan->nedges, false, 0); /* after all copies' */
    yki_channel *channel;
    if (!sends && rank->rank != 0) return YOKE_OK;
    YKI_TRY(yki_channel_open(rank->world, sends ? 0 : of->rank, tag, sends, &channel));
    yoke_status status = pass_ring(rank, channel, of);
    yki_channel_close(channel);
    return status;
}

yoke_status yki_run_trace_bring(yki_run *run, int rank, yki_trace **trace_out)
{
    bringing of = {.rank = rank};
    *trace_out = NULL;
    if (rank < run->nlocal) return YOKE_OK; /* as many in each process: the first one's */
    YKI_TRY(yki_run_command(run, bring, &of));
    *trace_out = of.trace;
    return YOKE_OK;
}
