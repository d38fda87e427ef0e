/* Records of a run: what becomes of it, step by step (watchers, logs, TensorBoard), and what every rank did
 * when (traces). A recorder or trace belongs to one trainer: it is closed before the trainer is destroyed,
 * and by the thread that uses the trainer. In a run of several processes each has a trainer: its
 * watchers are told of the whole run, in its own time, and traces are made in all of them. */
#ifndef YOKE_RECORD_H
#define YOKE_RECORD_H

#include "yoke/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- watchers --- */

typedef enum yoke_run_event_kind {
    YOKE_RUN_STARTED, /* a call of yoke_trainer_run begins */
    YOKE_RUN_RESUMED,
    YOKE_RUN_SAVED,
    YOKE_RUN_STOPPED, /* somebody stopped it */
    YOKE_RUN_NON_FINITE,
    YOKE_RUN_FAILED,       /* anything else that ends a call of yoke_trainer_run */
    YOKE_RUN_ENDED,        /* the call has done all its steps */
    YOKE_RUN_NOT_SAVED,    /* a save failed, and the run goes on (checkpoint.on_error) */
    YOKE_RUN_EVALUATED,    /* the samples held out were evaluated on the way (eval.every) */
    YOKE_RUN_STOPPED_EARLY /* the call has ended, because evaluations got no better (stop.patience) */
} yoke_run_event_kind;

typedef struct yoke_run_event {
    yoke_run_event_kind kind;
    int64_t step;        /* the step that is next: as many updates are done; saved or not: of the save */
    const char *path;    /* resumed, saved: the step's folder; else "" */
    const char *message; /* stopped, stopped early, non-finite, failed, not saved: one sentence; else "" */
    const yoke_held_out *evaluation; /* evaluated: what was found; else NULL */
} yoke_run_event;

typedef struct yoke_watcher {
    void *context;
    void (*step)(void *context, const yoke_step_report *report); /* after every step; may be NULL */
    void (*event)(void *context, const yoke_run_event *event);   /* may be NULL */
} yoke_watcher;

/* Adds a watcher (copied); at most 8 at a time. Both functions are called on the thread that uses the
 * trainer, in the order in which watchers were added, and may not use the trainer but for yoke_trainer_stop.
 * YOKE_INVALID: there are 8. */
YOKE_API yoke_status yoke_trainer_watch(yoke_trainer *trainer, const yoke_watcher *watcher);
/* Takes away the watchers with this context. */
YOKE_API void yoke_trainer_unwatch(yoke_trainer *trainer, const void *context);

/* Measures what this machine's cores do at most, in FLOP/s: the rate of one in a large product in the run's
 * precision (a few tenths of a second), times as many as the run's devices have threads. Reports of later
 * steps tell their share of it. YOKE_SYSTEM: memory. */
YOKE_API yoke_status yoke_trainer_measure_peak(yoke_trainer *trainer, double *flops_per_s_out);

/* --- run logs --- */

typedef struct yoke_recorder yoke_recorder;

/* Appends to `path`, which is made where it is missing, a line of JSON for each step and each event of the
 * trainer, each in one write, so that a run that is killed leaves whole lines (docs/traces.md has the keys).
 * YOKE_INVALID, YOKE_SYSTEM: the file cannot be opened. Owns: the caller; yoke_recorder_close. */
YOKE_API yoke_status yoke_log_open(yoke_recorder **recorder_out, yoke_trainer *trainer, const char *path);
/* The same as scalars in a new event file of TensorBoard in the folder `dir`, which is made where it is
 * missing: loss, lr, gradient_norm, samples_per_s, and where they are known tokens_per_s and share_of_peak.
 */
YOKE_API yoke_status yoke_tensorboard_open(yoke_recorder **recorder_out, yoke_trainer *trainer,
                                           const char *dir);
/* Ends it. A recorder that cannot write any more (a full disk) stops writing and the run goes on: this tells
 * then, YOKE_SYSTEM. NULL is legal. */
YOKE_API yoke_status yoke_recorder_close(yoke_recorder *recorder);

/* --- traces --- */

typedef struct yoke_trace yoke_trace;

typedef struct yoke_trace_options {
    int64_t first_step, last_step; /* training steps, from 0, both recorded; last_step -1: all that come */
    int64_t bytes_per_rank;        /* of memory, for the last of these steps that fit; one always does */
} yoke_trace_options;

YOKE_API void yoke_trace_options_default(yoke_trace_options *options);
#ifdef __cplusplus
static inline yoke_trace_options yoke_trace_options_made()
{
    yoke_trace_options made;
    yoke_trace_options_default(&made);
    return made;
}
#define YOKE_TRACE_DEFAULT yoke_trace_options_made()
#else
#define YOKE_TRACE_DEFAULT                                                                                   \
    {                                                                                                        \
        .first_step = 0, .last_step = -1, .bytes_per_rank = 16 << 20                                         \
    }
#endif

typedef struct yoke_trace_summary {
    int ranks;                             /* in the file; 0: another process has written it */
    int64_t steps, first_step, last_step;  /* in the file; where steps is 0, the others are -1 */
    int64_t events;                        /* actions, instructions and phases of steps, over all ranks */
    int64_t dropped_steps, dropped_events; /* recorded, and overwritten by later ones */
} yoke_trace_summary;

/* Records what every rank does in the training steps to come, in memory that is reserved now: host memory,
 * none of a device's arena. The file is opened now and written when the trace is closed. In a run of several
 * processes all of them open a trace of the same path; what is not gathered the first process writes there,
 * and process p to path.p (an older file of that name goes). path NULL, in all of them: no file is made, and
 * what was recorded is there for yoke_trace_profile. YOKE_INVALID: the file cannot be opened, the
 * steps are none, or a trace of this trainer is open; YOKE_SYSTEM: memory. Owns: the caller;
 * yoke_trace_close. */
YOKE_API yoke_status yoke_trace_open(yoke_trace **trace_out, yoke_trainer *trainer, const char *path,
                                     const yoke_trace_options *options);
/* In a run of several processes, by all of them together after its last step: what all ranks did becomes one
 * file, the first process's, in that one's time; the others write none. Where it fails, each process has a
 * file of its own: written before this returns, or, in a run that has lost a process, by the close.
 * In one process, and of NULL, nothing. YOKE_SYSTEM: memory, the disk is full; YOKE_PEER_FAILED. */
YOKE_API yoke_status yoke_trace_gather(yoke_trace *trace);
/* Writes the file, unless it was gathered, Chrome trace JSON that Perfetto opens (docs/traces.md), after a
 * failure of the trainer too, and ends the trace. *summary_out may be NULL. YOKE_SYSTEM: the disk is full.
 * NULL is legal. */
YOKE_API yoke_status yoke_trace_close(yoke_trace *trace, yoke_trace_summary *summary_out);

/* --- profiles --- */

/* All calls of a kernel, of a step and of one rank on average. */
typedef struct yoke_profile_row {
    char kernel[32]; /* as docs/traces.md has them; "load": the batch's rows */
    double calls;
    double ms;       /* that they took; the median of steps */
    double bound_ms; /* the least that they could have taken */
    bool of_bytes;   /* by what they read and write, more than by what they compute */
} yoke_profile_row;

typedef struct yoke_profile {
    int nrows;
    yoke_profile_row *rows; /* owned; what took longest first; movements are none */
    int64_t steps;          /* that it is of */
    int ranks;              /* this process's */
    double step_ms;         /* from a rank's begin of a step to its end; the median */
    double roofline_share;  /* all bounds / step_ms; NaN: no step was recorded whole */
} yoke_profile;

/* What kernels took in the steps recorded so far, those that touched all for the first time not among them,
 * beside what they could not have been faster than: the rate of a large product, and of memory or the cache
 * that holds operands of that size, both measured now (some tenths of a second). YOKE_SYSTEM: memory. Owns:
 * the caller; yoke_profile_destroy. */
YOKE_API yoke_status yoke_trace_profile(const yoke_trace *trace, yoke_profile **profile_out);
/* NULL is nothing. */
YOKE_API void yoke_profile_destroy(yoke_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
