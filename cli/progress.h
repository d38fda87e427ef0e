/* Progress on standard error: one line redrawn in a terminal; in a pipe plain lines, about twenty for a long
 * run, and one a minute at least. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "yoke/record.h"

typedef struct progress {
    cli *run;
    int64_t first, last_printed; /* steps; -1: none yet */
    int64_t end;                 /* the step after the last of this run; 0: the total of all steps */
    double last_drawn;           /* seconds of a steady clock */
    bool finished;               /* the step reported last was the last of all */
    double held_out;             /* loss of the newest evaluation; NaN: none yet */
    bool on_screen;              /* a line stands in the terminal that must be ended */
} progress;

/* stop_after: steps that this run may do; 0: all. */
void progress_start(progress *p, cli *run, int64_t stop_after);
/* A yoke_progress; context: the progress. */
void progress_step(void *context, const yoke_step_report *report);
/* Shows evaluations on the way too, until the trainer is destroyed. */
yoke_status progress_watch(progress *p, yoke_trainer *trainer);
/* Leaves the terminal on a fresh line below it. */
void progress_end(progress *p);
/* Wipes it from the terminal. */
void progress_clear(progress *p);

/* A line about what is being done now, redrawn in a terminal: "compare: data". */
void progress_say(progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
