/* Traces: whose they are, and how rows are written. */
#ifndef YKI_REPORT_TRACE_H
#define YKI_REPORT_TRACE_H

#include <stdio.h>

#include "train/trainer.h"
#include "yoke/simulate.h"

/* --- recorded.c --- */

enum { YKI_MEASURED_BYTES = 1024 };
/* As an object of JSON. */
void yki_measured_print(const yoke_measured *measured, char text[YKI_MEASURED_BYTES]);

/* The trainer whose steps it records; its rings are the run's (run/trace.h). */
const yoke_trainer *yki_trace_trainer(const yoke_trace *trace);

/* --- events.c --- */

/* Where the writing stands: a rank, a step of it, an action of that. */
typedef struct yki_trace_writer {
    int like; /* simulated ranks that do what this one does; 0: it ran */
    FILE *out;
    const yki_plan *plan;
    const yoke_trainer *trainer; /* NULL: nothing ran */
    const yki_program *program;
    double origin_ns;
    int rank, place[YKI_AXIS_COUNT];
    bool begun, arrows; /* arrows: all ranks came to the end of this step */
    const yki_traced_step *step;
    int64_t number; /* of the step among those recorded: the same on all ranks */
    const yoke_action *action;
    const char *end; /* or what follows the actions; NULL */
    int64_t samples;
    int node; /* of the action's body, or the end */
    int64_t received;
} yki_trace_writer;

void yki_trace_put_head(yki_trace_writer *w);
/* A rank's ring; trainer NULL: it is simulated, and w->arrows says whether all ranks are there. What is
 * brought from other processes is complete: a run that failed brings nothing. */
void yki_trace_put_ring(yki_trace_writer *w, const yoke_trainer *trainer, int rank, const yki_trace *trace,
                        yoke_trace_summary *summary);
void yki_trace_put_tail(yki_trace_writer *w, const yoke_trace_summary *summary);

#endif
