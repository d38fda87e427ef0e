/* A simulated step as a trace of a run is written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "predict/predict.h"
#include "report/trace.h"

/* A simulated class's rows as a ring of one step. NULL: memory. */
static yki_trace *ring_of(const yki_seen_step *step, const yki_seen_class *class)
{
    yki_trace *ring = yki_trace_create(1, class->count);
    if (!ring) return NULL;
    ring->recorded = 1;
    ring->steps[0] = (yki_traced_step){
        .end_ns = 1e9 * step->seconds, .count = class->count, .complete = true, .rows = ring->rows};
    for (int i = 0; i < class->count; i++) {
        const yki_seen *row = &class->rows[i];
        yki_traced *to = &ring->rows[i];
        *to = (yki_traced){.start_ns = 1e9 * row->start, .end_ns = 1e9 * row->end};
        to->amount = row->action ? row->samples : row->received;
        to->kind = row->in ? YKI_TRACED_INSTRUCTION : row->action ? YKI_TRACED_ACTION : YKI_TRACED_END;
        if (row->in)
            to->of.instruction = row->in;
        else if (row->action)
            to->of.action = row->action;
        else
            to->of.number = row->ends;
    }
    return ring;
}

/* A process for each device where they are few, else one for each class. */
static yoke_status put_seen(const yki_seen_step *step, void *context)
{
    enum { FEW = 64 };
    yki_trace_writer w = {.out = context, .plan = step->plan, .arrows = step->plan->mesh.nranks <= FEW};
    yoke_trace_summary summary = {.first_step = -1, .last_step = -1};
    yki_trace_put_head(&w);
    for (int c = 0; c < step->nclasses; c++) {
        yki_trace *ring = ring_of(step, &step->classes[c]);
        if (!ring) return yki_fail_memory("a trace");
        w.like = w.arrows ? 1 : step->classes[c].ranks;
        for (int r = step->classes[c].first; r < step->plan->mesh.nranks; r++) {
            if (step->class_of[r] == c) yki_trace_put_ring(&w, NULL, r, ring, &summary);
            if (!w.arrows) break;
        }
        yki_trace_destroy(ring);
    }
    summary.steps = 1;
    yki_trace_put_tail(&w, &summary);
    return YOKE_OK;
}

yoke_status yoke_simulate_trace(const yoke_job *job, const yoke_machine *machine, const char *path)
{
    YKI_NEED(job, machine, path);
    FILE *file = fopen(path, "we");
    if (!file) return yki_fail_errno("write the trace to", path);
    yoke_status status = yki_see_step(job, machine, put_seen, file);
    errno = 0;
    bool failed = fflush(file) != 0 || ferror(file);
    int why = errno;
    failed |= fclose(file) != 0;
    if (status == YOKE_OK && failed)
        return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot write the trace to it: %s",
                           strerror(why ? why : EIO));
    return status;
}
