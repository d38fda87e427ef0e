/* Training: a model, data and options under a layout. Making a trainer compiles the run and proves it: what
 * cannot work is refused before anything is allocated on a device, and the bytes of every device are known.
 */
#ifndef YOKE_TRAIN_H
#define YOKE_TRAIN_H

#include "yoke/data.h"
#include "yoke/job.h"
#include "yoke/layout.h"
#include "yoke/model.h"
#include "yoke/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_trainer yoke_trainer;

/* Bytes of a device by what they hold: the tensors' own bytes; alignment counts as workspace. cache: keys and
 * values of what is generated; 0 elsewhere. */
typedef struct yoke_bytes {
    int64_t weights, gradients, optimizer, activations, movement, cache, workspace;
} yoke_bytes;

typedef struct yoke_device_report {
    char name[24];            /* cpu:0 */
    int rank, dp, tp, pp, cp; /* the rank and its place in the mesh */
    int64_t predicted_peak_bytes, measured_peak_bytes;
    yoke_bytes bytes;
    double idle_fraction; /* 1 - time inside compute / (step * 1), over the steps measured */
    char layers[96];      /* which layers it holds, for people: "layers 0-3", "h.0 .. h.5" */
} yoke_device_report;

typedef enum yoke_ran_kind {
    YOKE_RAN_ACTION,  /* of the schedule; with the movements that were waited for in it */
    YOKE_RAN_REDUCE,  /* after the last action: gradients are summed, and their norm agreed on; likewise */
    YOKE_RAN_UPDATE,  /* of the weights; likewise */
    YOKE_RAN_MOVEMENT /* within one of these the device moved data, or waited for them, and computed nothing
                       */
} yoke_ran_kind;

/* What one device did in the last step. Times in seconds from the step's start. */
typedef struct yoke_ran {
    yoke_ran_kind kind;
    yoke_action action; /* zeroed where it is of none: reduce, update, and movements in them */
    int rank, device, stage, dp;
    int part;        /* of the model, in the order of the forward pass; -1: of none, as its action */
    int64_t samples; /* of the micro-batch that this rank ran */
    double start, end;
} yoke_ran;

typedef struct yoke_step_report {
    int64_t step;  /* from 0 */
    int64_t steps; /* the total */
    double loss;   /* of this step's batch, before the update */
    double lr, gradient_norm;
    double seconds;                     /* of this step */
    double samples_per_s, tokens_per_s; /* tokens_per_s 0 where samples are not sequences */
    double seconds_left;
    int64_t samples;     /* in this step's batch */
    bool skipped;        /* it was left out: loss or gradient are not finite (skip_nonfinite), or no target is
                            counted */
    int64_t moved_bytes; /* received by ranks from others, over all ranks */
    double flops;        /* the model's: three times the products of its forward pass */
    double share_of_peak; /* flops / seconds over what yoke_trainer_measure_peak found; NaN: it was not called
                           */
} yoke_step_report;

/* An evaluation of the samples held out, on the way (eval_every). */
typedef struct yoke_held_out {
    int64_t step;    /* as many steps were done before it */
    int64_t samples; /* that it is over */
    double loss;
    double accuracy;   /* share of classes or tokens that are right; NaN: none are asked for */
    double perplexity; /* of tokens: e to the loss; else NaN */
    bool least;        /* of this run's evaluations so far, those before a resume too */
} yoke_held_out;

/* What a run was, over the steps it did so far. */
typedef struct yoke_run_report {
    int64_t steps_done; /* updates the weights have seen, of earlier runs too */
    double step_ms_median, samples_per_s, tokens_per_s; /* after the warm-up steps */
    double idle_fraction;                               /* over all devices */
    double simulated_idle_fraction; /* what the event simulator says of the same actions */
    int64_t saves, failed_saves;    /* that the job asked for */
    int64_t staging_bytes;          /* of this process's memory that checkpoint.async takes; no device's */
    double save_seconds;            /* that steps waited for saves */
    int64_t moved_bytes_per_step, moved_dp, moved_tp, moved_pp, moved_cp;
    int ndevices;
    const yoke_device_report *devices; /* borrowed until the trainer's next call */
    int64_t steps_total;               /* that the whole run has */
    int64_t skipped;                   /* steps of this run that were left out */
    double first_loss, recent_loss;    /* of this run: its first step's; the mean of the last `recent` */
    int64_t recent;
    bool diverged;      /* recent_loss is clearly above first_loss: the run has learnt nothing */
    bool stopped_early; /* by patience */
    int64_t best_step;  /* the step of the least held-out loss, of earlier parts of the run too; -1: none */
    double best_loss;
    double evaluation_seconds; /* of evaluations on the way */
    int64_t limit_bytes;       /* that one device may take; 0: no limit */
    double predicted_ms;       /* of a step, by yoke_trainer_simulate; NaN: nobody has asked */
    bool calibrated;           /* by figures that were measured on the machine */
} yoke_run_report;

/* Called after every step on the thread that runs the trainer. */
typedef void (*yoke_progress)(void *context, const yoke_step_report *report);

/* Makes a trainer. model and data are borrowed until it is destroyed. Refusals: YOKE_INVALID (the layer or
 * number at fault), YOKE_DOES_NOT_FIT (device, layers, bytes short, flags that would fit). */
YOKE_API yoke_status yoke_trainer_create(yoke_trainer **trainer_out, const yoke_model *model, yoke_data *data,
                                         const yoke_train_options *options, const yoke_layout *layout);
/* The same from a job file: model and data are made, weights loaded; owned by the trainer. */
YOKE_API yoke_status yoke_trainer_create_from_job(yoke_trainer **trainer_out, const yoke_job *job);
/* How a run of a job begins; zeroed, it begins anew. */
typedef struct yoke_start {
    const char *resume;  /* a saved folder, or a DIR of them, to go on from; NULL: none */
    bool or_anew;        /* where DIR has no complete step, or is not there, the run begins anew */
    const char *changed; /* what may have changed since though it changes what was learnt:
                            "data.holdout,model", sections or keys of the job; NULL: nothing */
    bool overwrite;  /* steps of other runs in checkpoint.dir, and later ones of this, may be removed, once
                        the first new one is saved */
    const char *run; /* what a run that begins is called, 32 hexadecimal digits; NULL: drawn at random */
    bool take_over;  /* an earlier part of this run may have the lock of checkpoint.dir yet, on a host that is
                        gone: it is taken from it */
} yoke_start;

/* The same for a run that begins so. With `resume` the model's shape and tokenizer are those of the step, and
 * model.from is not read: yoke_trainer_start has to follow before any step. Strings are
 * copied. */
YOKE_API yoke_status yoke_trainer_create_to_start(yoke_trainer **trainer_out, const yoke_job *job,
                                                  const yoke_start *start);
/* Goes on from what the trainer was made to start from, as yoke_trainer_resume; nothing where it begins anew.
 */
YOKE_API yoke_status yoke_trainer_start(yoke_trainer *trainer);
/* A name for a run that begins, 32 random hexadecimal digits, for several trainers that are to be the same
 * run's. YOKE_SYSTEM: the system has no random numbers. */
YOKE_API yoke_status yoke_run_name(char run_out[33]);
/* Takes the job's checkpoint.dir for this run until the trainer is destroyed; yoke_trainer_run does it before
 * its first step. Nothing where the job has none, or no steps are left. YOKE_INVALID: another run that is
 * under way holds it, or it has steps that this run did not make (see yoke_start.overwrite); it cannot be
 * made or written; another process sees another folder. YOKE_SYSTEM: there is no room for one save. */
YOKE_API yoke_status yoke_trainer_claim(yoke_trainer *trainer);
YOKE_API void yoke_trainer_destroy(yoke_trainer *trainer);

/* What a run would take, compiled but not begun. */
typedef struct yoke_dry_run {
    int64_t steps, samples; /* in all; of one epoch, without those held out */
    int64_t parameters;     /* elements */
    int64_t total_bytes;    /* of all devices together */
    int64_t all_bytes;      /* that there are for them; less, and training here would be refused */
    int ndevices;
    yoke_device_report *devices; /* as predicted: measured_peak_bytes 0, idle_fraction NaN */
} yoke_dry_run;

/* All that making a trainer from the job does before anything is allocated on a device: the data are opened
 * and checked, the run is compiled and proved. No weights are read or made, no file or folder is written.
 * Refusals as of yoke_trainer_create_from_job. Owns: the caller; yoke_dry_run_destroy. */
YOKE_API yoke_status yoke_job_dry_run(const yoke_job *job, yoke_dry_run **dry_run_out);
/* NULL is allowed. */
YOKE_API void yoke_dry_run_destroy(yoke_dry_run *dry_run);

/* The schedule that a job would run: compiled, but nothing is allocated on a device and no data are read.
 * Owns: the caller; yoke_schedule_destroy. */
YOKE_API yoke_status yoke_job_schedule(const yoke_job *job, yoke_schedule **schedule_out);

/* Layouts of exactly `devices` devices under which the job fits in its devices' memory, those that cost least
 * first, at most `most` and five. The job's own cp, sp and stage of zero (or a higher one) are kept.
 * Compiled, but nothing is allocated on a device. *count_out 0: none. YOKE_INVALID: the model cannot be made.
 */
YOKE_API yoke_status yoke_job_layouts(const yoke_job *job, int devices, yoke_layout *layouts, int most,
                                      int *count_out);

/* The layout to go on with where only so many processes are left, each with `per_process` devices: the first
 * of the job's launch.fallbacks that they can hold, else the cheapest that fits on the most of them. Of
 * threads, device_memory and bucket a fallback has what the job has where it names none. *processes_out: how
 * many of them take part, each with as many devices. YOKE_DOES_NOT_FIT: nothing fits. YOKE_INVALID: the model
 * cannot be made. */
YOKE_API yoke_status yoke_job_fallback(const yoke_job *job, int processes, int per_process,
                                       yoke_layout *layout_out, int *processes_out);

/* Runs until the options' steps are done, `at_most` steps of this call are done (0: no bound), or somebody
 * stops it (YOKE_STOPPED). Saves where the job says so, with checkpoint.async by a thread that the trainer
 * owns from then on; none is under way when this returns. A save that fails ends the run with its status
 * (YOKE_SYSTEM, YOKE_INVALID), or is a notice where checkpoint.on_error is `continue` and steps are left.
 * YOKE_NON_FINITE: a loss or gradient is not finite; nothing was updated.
 *
 * With eval_every the samples held out are evaluated on the way, which changes nothing of the training; with
 * patience too the run may end early (YOKE_OK; the report says so). After a failure that is not a rank's own
 * (YOKE_PEER_FAILED) the trainer stands as after its last complete step, and yoke_trainer_save saves it. */
YOKE_API yoke_status yoke_trainer_run(yoke_trainer *trainer, int64_t at_most, yoke_progress progress,
                                      void *context);
/* Asks the run to stop after the step under way, or the next one at once where none is. A request in the last
 * step of all changes nothing, and no later run stops for it. Any thread, and signal handlers. */
YOKE_API void yoke_trainer_stop(yoke_trainer *trainer);

/* What a run's owner should know though nothing failed: which step a resume took and what it passed over, a
 * save that failed where the job says to go on. `notice` is as the record of a failure, with its status and
 * sentence. Called on the thread that runs, saves or resumes; NULL: nobody. */
typedef void (*yoke_notice)(void *context, const yoke_error *notice);
YOKE_API void yoke_trainer_on_notice(yoke_trainer *trainer, yoke_notice notice, void *context);

/* Forward only: n samples' inputs (rows as the data has them) to n outputs (f32, the model's output shape).
 */
YOKE_API yoke_status yoke_trainer_predict(yoke_trainer *trainer, int64_t n, const void *inputs,
                                          float *outputs);

/* The most classes that a confusion is counted of. */
#define YOKE_MOST_CONFUSED 1024

/* Which samples were scored. */
typedef enum yoke_scored {
    YOKE_SCORED_HELD_OUT, /* those that training does not see */
    YOKE_SCORED_ALL,      /* all that the run's data have: nothing is held out */
    YOKE_SCORED_GIVEN     /* other data */
} yoke_scored;

/* What a model is worth on samples; ended by yoke_evaluation_release. A target is a sample's, or, where the
 * outputs have dims before the classes, each of them. */
typedef struct yoke_evaluation {
    yoke_scored scored;
    bool other_data; /* yoke_eval: not the data that the weights' run was trained on, by its step's folder */
    int64_t samples;
    int64_t tokens; /* of sequences: targets that are counted; else 0 */
    double loss;    /* the mean over all targets that are counted, or elements */
    double
        accuracy; /* of classes and tokens: the share of counted targets that are the likeliest; else NaN */
    double perplexity;  /* of tokens: exp(loss); else NaN */
    int64_t nclasses;   /* 0: the targets are no classes, or tokens */
    int64_t *confusion; /* [nclasses, nclasses]: how many targets of a row's class were taken for the
                           column's; NULL without classes or with more than YOKE_MOST_CONFUSED */
    char **classes;     /* their names, [nclasses]; NULL: they are numbers */
    char weights[YOKE_PATH_BYTES]; /* where they came from; "": first values, or a trainer as it is */
    char trained[YOKE_PATH_BYTES]; /* yoke_eval of a job's first values: the newest step of its
                                      checkpoint.dir, which was not scored; "" none */
} yoke_evaluation;

/* Scores the samples held out, or those of `data` where that is not NULL; no more than the first `at_most` of
 * them (0: all). YOKE_INVALID: nothing is held out, or the data are not of the model's shapes. */
YOKE_API yoke_status yoke_trainer_evaluate(yoke_trainer *trainer, yoke_data *data, int64_t at_most,
                                           yoke_evaluation *evaluation_out);
/* NULL is allowed. */
YOKE_API void yoke_evaluation_release(yoke_evaluation *evaluation);
/* The same in short. Any of the outputs may be NULL. */
YOKE_API yoke_status yoke_trainer_eval(yoke_trainer *trainer, yoke_data *data, double *loss_out,
                                       double *accuracy_out, int64_t *samples_out);

/* How many samples are held out. */
YOKE_API int64_t yoke_trainer_held_out(const yoke_trainer *trainer);
/* The evaluations on the way of this run so far; borrowed until the next run. */
YOKE_API const yoke_held_out *yoke_trainer_evaluations(const yoke_trainer *trainer, int64_t *count_out);

/* Saves weights, optimizer state and position to DIR/step-N; folder (may be NULL) receives the name.
 * YOKE_INVALID: DIR has steps of another run, or later ones of this (see yoke_start.overwrite).
 * YOKE_NON_FINITE, after a step that was not finite: nor are the weights, which then are not saved. */
YOKE_API yoke_status yoke_trainer_save(yoke_trainer *trainer, const char *dir, char folder[YOKE_PATH_BYTES]);
/* The same for a run that ends early, to the job's checkpoint.dir; where there is none, to a folder
 * yoke-interrupted (or yoke-interrupted-2, ...) of the current one or, where that cannot be written, of
 * $TMPDIR or /tmp. */
YOKE_API yoke_status yoke_trainer_rescue(yoke_trainer *trainer, char folder[YOKE_PATH_BYTES]);
/* The folder of the newest step that this trainer has saved or was resumed from; "" none. */
YOKE_API const char *yoke_trainer_saved(const yoke_trainer *trainer, int64_t *step_out);
/* Goes on from a saved folder or the newest complete step of DIR, which is only read; which one, and why no
 * newer, is a notice, and so is what has changed since. YOKE_INVALID: nothing to resume from; a change since
 * that run that would make what was learnt mean something else (its data, batch, seed, held-out share, order,
 * optimizer's state, model; see yoke_start.changed); a tensor that is not what was saved, by file, name and
 * block; on any failure the trainer is as it was. */
YOKE_API yoke_status yoke_trainer_resume(yoke_trainer *trainer, const char *dir);

YOKE_API yoke_status yoke_trainer_report(yoke_trainer *trainer, yoke_run_report *report_out);
/* The losses of this run's steps so far; borrowed. */
YOKE_API const double *yoke_trainer_losses(const yoke_trainer *trainer, int64_t *first_step_out,
                                           int64_t *count_out);
/* The schedule's text as the last step ran it, stage by stage (of the first replica); freed by the caller. */
YOKE_API char *yoke_trainer_actions_run(const yoke_trainer *trainer);
/* Every action of the last step, by start time; borrowed until the next run, or call of this or of
 * yoke_trainer_timeline. */
YOKE_API const yoke_ran *yoke_trainer_ran(const yoke_trainer *trainer, int *count_out);
/* The same with all else that took the last step's time: reduce, update, and the movements of a thousandth of
 * the step or more. */
YOKE_API const yoke_ran *yoke_trainer_timeline(const yoke_trainer *trainer, int *count_out);
/* The schedule that the trainer runs; borrowed. */
YOKE_API const yoke_schedule *yoke_trainer_schedule(const yoke_trainer *trainer);

/* Parameters by name, running statistics of batch norm among them: gathered from the ranks into `values`
 * (elements, as documented by the model), f32. */
YOKE_API int yoke_trainer_parameters(const yoke_trainer *trainer);
YOKE_API const char *yoke_trainer_parameter(const yoke_trainer *trainer, int i, int64_t *elems_out);
YOKE_API yoke_status yoke_trainer_get(yoke_trainer *trainer, const char *name, float *values);

/* Devices of this machine: name "cpu:0" ..., "cuda:0" ..., memory in bytes, cores (0: they are not the
 * CPU's). Returns how many (at most `most` are written). */
typedef struct yoke_device_info {
    char name[YOKE_DEVICE_NAME_BYTES], model[96], instructions[32];
    int64_t memory_bytes;
    int cores;
} yoke_device_info;
YOKE_API int yoke_devices(yoke_device_info *infos, int most);
/* Kinds of devices of which this machine, or this build, has none, and why. Returns how many (at most `most`
 * are written). */
typedef struct yoke_missing_devices {
    char backend[16]; /* "cuda" */
    char reason[256];
} yoke_missing_devices;
YOKE_API int yoke_devices_missing(yoke_missing_devices *infos, int most);

#ifdef __cplusplus
}
#endif
#endif
