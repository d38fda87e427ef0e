/* One training step of a job on a described machine, as events: nothing runs, no data is read, and the
 * machine may be imagined. What is walked are the programs that would run there. */
#ifndef YOKE_SIMULATE_H
#define YOKE_SIMULATE_H

#include "yoke/job.h"
#include "yoke/machine.h"
#include "yoke/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a step's time goes to. Causes of waiting are found one after the other, in the order below from the
 * last: each one's share is what the step would be shorter without it, when those after it are gone already.
 */
typedef enum yoke_share {
    YOKE_SHARE_COMPUTE,    /* kernels of the forward and backward pass */
    YOKE_SHARE_RECOMPUTE,  /* what is computed a second time, since it was not kept */
    YOKE_SHARE_OPTIMIZER,  /* kernels at the step's end */
    YOKE_SHARE_LAUNCH,     /* launching kernels */
    YOKE_SHARE_OTHER,      /* nothing of all this */
    YOKE_SHARE_FILL_DRAIN, /* stages that wait at a pipeline's ends, where all stages are equal */
    YOKE_SHARE_IMBALANCE,  /* devices that have less to compute than others */
    YOKE_SHARE_EXPOSED_PP, /* moving along an axis, as far as nothing is computed meanwhile, or more slowly */
    YOKE_SHARE_EXPOSED_CP,
    YOKE_SHARE_EXPOSED_TP,
    YOKE_SHARE_EXPOSED_DP,
    YOKE_SHARE_STRAGGLER, /* devices that are slower than the machine's others */
    YOKE_SHARE_DATA,      /* waiting for samples; nothing, in a simulation */
    YOKE_SHARES
} yoke_share;

/* "compute", "exposed_tp", ...; NULL past the last. Static storage. */
YOKE_API const char *yoke_share_name(int share);

typedef struct yoke_stage_report {
    int64_t peak_bytes; /* of the device that holds most */
    yoke_bytes bytes;   /* of that device, by kind */
    double compute_s;   /* in kernels, of a step, as if alone: of the device that has most */
    char layers[96];
} yoke_stage_report;

/* Devices that do the same at the same time. */
typedef struct yoke_alike {
    int device, stage; /* the first of them */
    int devices;       /* how many they are */
    double slower;     /* what they compute takes so many times as long as on the machine's others */
    bool told;         /* what the first of them does is in the time line */
} yoke_alike;

typedef struct yoke_simulation {
    char layout[512]; /* as text, which yoke_layout_parse reads; "": one device */
    int devices;
    double step_s, samples_per_s, tokens_per_s; /* tokens: NaN where the job has none */
    double model_flops_per_device_s;            /* three times the forward pass's products */
    double hardware_flops_per_device_s;         /* and what is computed a second time */
    double idle_fraction;                       /* 1 - time inside kernels / (step * devices) */
    double shares[YOKE_SHARES];                 /* of the step; they sum to 1 */
    int64_t moved_bytes[4]; /* by axis: tp, cp, dp, pp; what devices receive, all together */
    int64_t limit_bytes;    /* what a device may hold */
    int nstages;
    yoke_stage_report *stages; /* owned */
    int classes;
    yoke_alike *alike; /* owned; `classes` of them */
    int nran;
    yoke_ran *ran; /* owned; what the first of each class does, by start, as yoke_trainer_timeline tells it of
                      a run; of more than 16 classes, of one of each stage, that which computes longest */
    bool measured; /* the machine's figures were measured */
} yoke_simulation;

/* Simulates one full step. The layout is the job's; a device may hold what the machine's memory leaves beside
 * its reserve, or layout.device_memory where that is less. YOKE_INVALID: the job, its layout, or a rate that
 * the machine does not say; YOKE_DOES_NOT_FIT: memory, or more devices than the machine has. Owns: the
 * caller; yoke_simulation_destroy. */
YOKE_API yoke_status yoke_simulate(const yoke_job *job, const yoke_machine *machine,
                                   yoke_simulation **simulation_out);

/* Writes a simulated step to `path`, as yoke_trace_close writes those of a run: a process for each device of
 * up to 64, else one for each class of devices that do the same. As yoke_simulate; YOKE_INVALID,
 * YOKE_SYSTEM: the file. */
YOKE_API yoke_status yoke_simulate_trace(const yoke_job *job, const yoke_machine *machine, const char *path);

/* The same of the programs that a trainer runs. What is predicted is told beside what is measured from then
 * on: by yoke_trainer_report, and by logs where a run begins. As yoke_simulate. Owns: the caller;
 * yoke_simulation_destroy. */
YOKE_API yoke_status yoke_trainer_simulate(yoke_trainer *trainer, const yoke_machine *machine,
                                           yoke_simulation **simulation_out);

/* Where the steps of a run went. */
typedef struct yoke_measured {
    double step_s;              /* on average, reading its samples too; 0: not known */
    double shares[YOKE_SHARES]; /* of it; they sum to 1, or are 0: not known. What is computed again, and
                                   launching, are compute */
    int slow_device;            /* one that computes clearly longer than others of its stage; -1: none */
    double slower;              /* so many times */
} yoke_measured;

/* Of a trainer's steps so far but for the first two, over this process's ranks. In a group the rank that
 * waits least comes last: what it waits is the movement's, what others wait beyond that is for those who
 * computed longer. YOKE_SYSTEM: memory. */
YOKE_API yoke_status yoke_trainer_measured(const yoke_trainer *trainer, yoke_measured *measured_out);
/* Reads a log or trace that a run of a job wrote: the job's text as YAML, freed by the caller with free(),
 * and where its steps went. *job_out NULL, and YOKE_OK: the file is neither. YOKE_INVALID: it does not have
 * its job, or cannot be read. */
YOKE_API yoke_status yoke_run_read(const char *path, char **job_out, yoke_measured *measured_out);

/* Why a step takes as long as it does. */
typedef struct yoke_finding {
    const char *cause; /* a name of shares; static */
    double share;      /* of the step */
    int stage, device; /* where; -1: no one in particular */
    char layers[96], level[64];
    char sentence[400];
} yoke_finding;

/* A layout of the same devices that is predicted to be faster, or something that no layout does. */
typedef struct yoke_change {
    char flags[256];     /* of `train`, the whole layout; "": none does it, and the figures are NaN */
    double step_s, gain; /* the step now / then */
    char sentence[400];
} yoke_change;

typedef struct yoke_explanation {
    yoke_simulation *simulation;
    int nfindings, nchanges;
    yoke_finding findings[YOKE_SHARES]; /* worst first, of time that is lost; what computes is last, or first
                                           where all that is lost together is under 5 % */
    yoke_change changes[8];             /* best first */
    int tried;                          /* layouts that were simulated for them */
} yoke_explanation;

/* Simulates one step, says where its time goes, and simulates other layouts of as many devices: more
 * micro-batches, other schedules, zero, less recomputation, other degrees. As yoke_simulate. Owns: the
 * caller; yoke_explanation_destroy. */
YOKE_API yoke_status yoke_explain(const yoke_job *job, const yoke_machine *machine,
                                  yoke_explanation **explanation_out);

/* The same, with findings of what a run of the job measured. */
YOKE_API yoke_status yoke_explain_run(const yoke_job *job, const yoke_machine *machine,
                                      const yoke_measured *measured, yoke_explanation **explanation_out);

/* NULL is nothing. */
YOKE_API void yoke_explanation_destroy(yoke_explanation *explanation);

/* NULL is nothing. */
YOKE_API void yoke_simulation_destroy(yoke_simulation *simulation);

#ifdef __cplusplus
}
#endif
#endif
