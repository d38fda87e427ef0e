/* Traces: rings of rows while a run goes on (run/trace.h), and a file at its end (events.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "report/trace.h"

struct yoke_trace {
    yoke_trainer *trainer;
    char path[1200]; /* of what this process writes */
    FILE *file;
    bool written;  /* it has a file at its end; else it is only looked at */
    bool gathered; /* the file is written, of all ranks */
    bool apart;    /* it is written, of this process's */
    int why;       /* errno, where that failed */
    yoke_trace_summary summary;
};

static const yoke_trace_summary NOTHING = {.first_step = -1, .last_step = -1};

/* What this process recorded itself. */
static void put_own(yoke_trace *trace)
{
    yki_trace_writer w = {.out = trace->file, .plan = trace->trainer->plan, .trainer = trace->trainer};
    yki_trace_put_head(&w);
    for (int r = 0; r < w.plan->mesh.nranks; r++) {
        const yki_trace *ring = yki_run_traced(trace->trainer->run, r, &w.origin_ns);
        if (ring) yki_trace_put_ring(&w, trace->trainer, r, ring, &trace->summary);
    }
    yki_trace_put_tail(&w, &trace->summary);
}

static yoke_status cannot_write(const yoke_trace *trace, int why)
{
    return yki_fail_at(YOKE_SYSTEM, trace->path, 0, "", "cannot write the trace to it: %s",
                       strerror(why ? why : EIO));
}

const yoke_trainer *yki_trace_trainer(const yoke_trace *trace)
{
    return trace->trainer;
}

void yoke_trace_options_default(yoke_trace_options *options)
{
    if (options) *options = (yoke_trace_options)YOKE_TRACE_DEFAULT;
}

yoke_status yoke_trace_open(yoke_trace **trace_out, yoke_trainer *trainer, const char *path,
                            const yoke_trace_options *options)
{
    YKI_NEED(trace_out, trainer, options);
    int64_t last = options->last_step < 0 ? INT64_MAX - 1 : options->last_step,
            left = trainer->steps - trainer->next_step;
    if (options->first_step < 0 || options->first_step > last)
        return yki_fail(YOKE_INVALID, "a trace of steps %lld to %lld has none; steps count from 0",
                        (long long)options->first_step, (long long)last);
    if (trainer->traced)
        return yki_fail(YOKE_INVALID, "a trace of this trainer is open already; close it first");
    yoke_trace *trace = calloc(1, sizeof *trace);
    if (!trace) return yki_fail_memory("a trace");
    *trace = (yoke_trace){.trainer = trainer, .summary = NOTHING};
    yoke_status status = YOKE_OK;
    trace->written = path != NULL;
    if (path && yki_trainer_leads(trainer)) { /* a path that is none is told now */
        snprintf(trace->path, sizeof trace->path, "%s", path);
        trace->file = fopen(trace->path, "we");
        if (!trace->file) status = yki_fail_errno("write the trace to", path);
    } else if (path) { /* a file of its own, made where it is needed; an older run's goes */
        snprintf(trace->path, sizeof trace->path, "%.1180s.%d", path, yki_cluster_rank());
        remove(trace->path);
    }
    if (status == YOKE_OK)
        status = yki_run_trace(trainer->run, options->first_step, last, left > 0 ? left : 1,
                               options->bytes_per_rank);
    if (status != YOKE_OK) {
        if (trace->file) fclose(trace->file);
        free(trace);
        return status;
    }
    trainer->traced = true;
    *trace_out = trace;
    return YOKE_OK;
}

/* What this process has itself, in a file of its own. */
static void write_apart(yoke_trace *trace)
{
    errno = 0;
    trace->apart = true;
    if (!trace->file) trace->file = fopen(trace->path, "we");
    if (trace->file) put_own(trace);
    if (trace->file && fflush(trace->file) == 0 && !ferror(trace->file)) return;
    trace->why = errno ? errno : EIO;
}

/* Every rank's ring, one after the other, by way of the first process; only that one has a file.
 * *together_out: if it failed, then for all processes. */
static yoke_status gather(yoke_trace *trace, bool *together_out)
{
    const yoke_trainer *trainer = trace->trainer;
    yki_trace_writer w = {.out = trace->file, .plan = trainer->plan, .trainer = trainer};
    YKI_TRY(yki_run_trace_clock(trainer->run));
    if (w.out) yki_trace_put_head(&w);
    for (int r = 0; r < w.plan->mesh.nranks; r++) {
        yki_trace *brought;
        YKI_TRY(yki_run_trace_bring(trainer->run, r, &brought));
        const yki_trace *own = yki_run_traced(trainer->run, r, &w.origin_ns);
        if (w.out) yki_trace_put_ring(&w, trainer, r, brought ? brought : own, &trace->summary);
        yki_trace_destroy(brought);
    }
    errno = 0;
    if (w.out) yki_trace_put_tail(&w, &trace->summary);
    bool failed = w.out && (fflush(w.out) != 0 || ferror(w.out));
    yoke_status status = yki_trainer_agree(trainer, failed ? cannot_write(trace, errno) : YOKE_OK, "", 0);
    *together_out = status != YOKE_PEER_FAILED;
    return status;
}

yoke_status yoke_trace_gather(yoke_trace *trace)
{
    if (!trace || !trace->written || yki_trainer_alone(trace->trainer)) return YOKE_OK;
    bool together = false;
    yoke_status status = gather(trace, &together);
    trace->gathered = status == YOKE_OK;
    if (trace->gathered) return YOKE_OK;
    yoke_error first = *yoke_error_get();
    trace->summary = NOTHING;
    if (trace->file) {
        clearerr(trace->file);
        rewind(trace->file);
        if (ftruncate(fileno(trace->file), 0) != 0) clearerr(trace->file); /* no file of a disk */
    }
    if (together) { /* the first to fail may be the end of all, by the launcher: so nobody leaves unwritten */
        write_apart(trace);
        yki_trainer_agree(trace->trainer, YOKE_OK, "", 0);
    }
    yki_error_set(&first);
    return status;
}

yoke_status yoke_trace_close(yoke_trace *trace, yoke_trace_summary *summary_out)
{
    if (!trace) return YOKE_OK;
    if (trace->written && !trace->gathered && !trace->apart) write_apart(trace);
    errno = 0;
    if (trace->file && fclose(trace->file) != 0 && !trace->why) trace->why = errno ? errno : EIO;
    yki_run_trace_end(trace->trainer->run);
    trace->trainer->traced = false;
    yoke_status status = trace->why ? cannot_write(trace, trace->why) : YOKE_OK;
    if (status == YOKE_OK && summary_out) *summary_out = trace->summary;
    free(trace);
    return status;
}
