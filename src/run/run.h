/* run: the one place where program, backend and comm meet. A run has a rank for each device; each interprets
 * its program on a thread of its own (a run of one rank on its caller's thread, whose teams and binding stay
 * as they are).
 *
 * In a cluster (comm/cluster.h) each process has as many of the ranks. All processes then make the same run
 * and call the same functions in the same order. */
#ifndef YKI_RUN_RUN_H
#define YKI_RUN_RUN_H

#include <stdatomic.h>

#include "base/clock.h"
#include "checkpoint/safetensors.h"
#include "comm/comm.h"
#include "plan/plan.h"
#include "run/trace.h"

/* What a rank's steps went to. */
enum {
    YKI_SPENT_BODIES, /* computing in actions */
    YKI_SPENT_ENDS,   /* and at steps' ends */
    YKI_SPENT_AGREE,  /* where all meet */
    YKI_SPENT_WAITS,  /* along each axis */
    YKI_SPENT_COUNT = YKI_SPENT_WAITS + YKI_AXIS_COUNT
};

typedef struct yki_run yki_run;

typedef enum yki_run_mode {
    YKI_RUN_TRAIN,     /* forward, backward, reduce, update */
    YKI_RUN_GRADIENTS, /* all but the update */
    YKI_RUN_EVAL,      /* the first micro-batch of each replica forward, with the loss */
    YKI_RUN_PREDICT,   /* the same, with the output; of a model that generates too, whose samples are rows */
} yki_run_mode;

/* One step's work. Rows lie one after the other; batch position i is row i. */
typedef struct yki_step {
    yki_run_mode mode;
    int64_t samples; /* EVAL, PREDICT: at most yki_run_forward_samples */
    const void *inputs, *targets;
    /* of a model that generates: of each row its slot of the replica's cache and position; of each replica's
     * slots, the row among the replica's whose output is wanted; and how many rows each replica has */
    const int32_t *places, *picked;
    const int64_t *shares;
    int64_t step;                 /* keys dropout */
    yki_update update[YKI_RULES]; /* by rule; grad_scale is filled in by the run */
    double clip;                  /* 0: none */
    float *outputs; /* PREDICT: [samples, output dims], or [replicas, slots, classes]; the same on all
                       processes */
    bool stop;      /* this process was asked to stop */
    bool failed;    /* its inputs are none: nothing is to be updated */
    const atomic_bool *ended; /* this process's work beside the steps has; NULL: there is none */
} yki_step;

typedef struct yki_step_result {
    double loss;     /* mean over the step's rows that are counted; 0 where none is */
    int64_t counted; /* rows: samples, or tokens, without those whose target is YOKE_UNCOUNTED */
    int64_t right;   /* of them: whose target no class is likelier than; 0 where targets are no classes */
    double gradient_norm; /* global, before clipping */
    bool finite;          /* false: nothing was updated */
    bool failed;          /* some process's inputs were none, and nothing was updated: the same on all */
    bool stop;            /* some process was asked to stop: the same on all of them */
    int ended;            /* of how many processes the work beside the steps has: the same too */
    double seconds, idle; /* idle: over all ranks of this process */
    /* TRAIN, where finite: bytes received over all ranks of all processes, by axis */
    int64_t moved[YKI_AXIS_COUNT];
} yki_step_result;

typedef struct yki_run_options {
    int64_t ragged; /* samples of a ragged step; 0: none */
    bool alone;     /* all ranks are here, whatever the cluster */
    double timeout; /* seconds without progress of anybody in a step, before a rank is lost; 0: any time */
} yki_run_options;

/* Makes devices, arenas, groups and channels. plan is borrowed. Kernels are made ready for full steps of
 * plan's batch and for ragged ones, so that those allocate nothing. YOKE_SYSTEM: memory, threads.
 * YOKE_INVALID: the processes cannot have as many ranks each. */
yoke_status yki_run_create(const yki_plan *plan, const yki_run_options *options, yki_run **run_out);
void yki_run_destroy(yki_run *run);
yoke_status yki_run_step(yki_run *run, const yki_step *step, yki_step_result *result);
/* Why every call fails from now on; status YOKE_OK: none of the ranks here has failed. */
const yoke_error *yki_run_lost(const yki_run *run);
/* Samples that one EVAL or PREDICT step takes at most. */
int64_t yki_run_forward_samples(const yki_run *run);

/* Elements [first, first + count) of a parameter's tensor, in its logical order, gathered from the ranks that
 * hold them, or given to all that do (weights: the f32 master, and the copy that computes). Between steps
 * only. YOKE_SYSTEM: memory. */
yoke_status yki_run_read(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                         float *values);
yoke_status yki_run_write(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                          const float *values);
/* How many micro-batches of the last training step the buffers of a node with these constants tracked. */
int64_t yki_run_tracked(const yki_run *run, const yki_attr *buffer);

/* Files of a save, made and reserved by the caller; and where in them tensors lie, in f32. */
typedef struct yki_stored_file {
    const char *path; /* as it is opened */
    const char *name; /* as people know it */
    size_t bytes;     /* of it all */
} yki_stored_file;

typedef struct yki_stored_tensor {
    yki_tensor_kind kind;
    int parameter, file;
    size_t place, bytes; /* place: byte of the file where it begins */
    uint64_t *hashes;    /* one a block; filled in by a store */
} yki_stored_tensor;

typedef struct yki_stored {
    const yki_stored_file *files;
    const yki_stored_tensor *tensors;
    int nfiles, ntensors;
} yki_stored;

/* Every rank writes what is its own of these tensors, all at the same time, and flushes it: each byte of them
 * is written once. Then all hash what was written, and see whether it is finite. YOKE_SYSTEM, with the first
 * rank that failed: the disk is full, a write or flush failed; the run may go on. */
yoke_status yki_run_store(yki_run *run, const yki_stored *stored, bool *finite_out);

/* The same in parts, so that threads beside the steps can do most of it: a copy of what this process's ranks
 * own of tensors, as large as that, is taken between steps, and written and hashed by any thread. */
typedef struct yki_staging yki_staging;
/* YOKE_SYSTEM: memory. The run is borrowed. */
yoke_status yki_staging_create(const yki_run *run, const yki_stored_tensor *tensors, int ntensors,
                               yki_staging **stage_out);
void yki_staging_destroy(yki_staging *stage);
size_t yki_staging_bytes(const yki_staging *stage);
/* All ranks copy what they own; between steps, by all processes. */
yoke_status yki_run_stage(yki_run *run, yki_staging *stage);
/* Whether this process has all of all tensors. */
bool yki_staging_whole(const yki_staging *stage);
/* Writes the copy to the tensors' places, the same tensors as it was made for, and flushes it. Where it is
 * whole, also fills in the tensors' hashes and *finite_out, whether all elements are; else both are for
 * yki_stored_hash when all processes have written. YOKE_STOPPED: *quit has become true. */
yoke_status yki_staging_write(const yki_staging *stage, const yki_stored *stored, const atomic_bool *quit,
                              bool *finite_out);
/* Blocks of hashes of all tensors; and the hashes of those from `first` until before `end`, as the files have
 * them, into hashes[first] and on. *finite_out: whether all their elements are. */
int64_t yki_stored_blocks(const yki_stored *stored);
yoke_status yki_stored_hash(const yki_stored *stored, int64_t first, int64_t end, const atomic_bool *quit,
                            uint64_t *hashes, bool *finite_out);

/* A tensor of an open file, in the parameter's logical shape, to take a parameter's from. */
typedef struct yki_taken_tensor {
    yki_tensor_kind kind;
    int parameter;
    const yki_safetensors *file;
    const yki_safetensor *tensor;
    const uint64_t *hashes; /* one a block; NULL: not known */
} yki_taken_tensor;

/* Every rank reads what it holds of these tensors, all at the same time, after all of them together saw that
 * every element is finite and every block has its hash. YOKE_INVALID: one is not, or has a dtype that is not
 * read; nothing was taken. */
yoke_status yki_run_take(yki_run *run, const yki_taken_tensor *tensors, int ntensors);

/* First values by the model's rules, keyed by seed and name; adapters: of adapters' weights alone. */
yoke_status yki_run_init_weights(yki_run *run, uint64_t seed, bool adapters);

/* What ranks measured; of ranks of other processes, at the last time they were collected, by all processes
 * together. */
yoke_status yki_run_collect(yki_run *run);
int64_t yki_run_measured_bytes(const yki_run *run, int rank);
double yki_run_idle(const yki_run *run,
                    int rank); /* Seconds of a step of this process's rank on average, without the first two
                                * where there are more; false: it is another process's, or has done none. */
bool yki_run_spent(const yki_run *run, int rank, double spent_s[YKI_SPENT_COUNT], double *step_s);
/* over the steps since the last reset */
void yki_run_reset_idle(yki_run *run);
/* What one rank did in the last step: its actions, in order, and then what else took time. */
const yoke_ran *yki_run_ran(const yki_run *run, int rank, int *count_out);

/* The number of a copy between parts among all of a step's; with edge nedges, how many there are. */
static inline size_t yki_channel_index(const yki_plan *plan, int edge, bool gradient, int microbatch)
{
    return ((size_t)edge * 2 + gradient) * (size_t)plan->microbatches + (size_t)microbatch;
}

/* Records the training steps first .. last from now on, at most `most_steps` of them: the last ones that fit
 * in rings of `bytes` a rank, and one at least. Every process of a run records its own ranks, and they all
 * must call: their clocks start together. YOKE_SYSTEM: memory; the run may go on. */
yoke_status yki_run_trace(yki_run *run, int64_t first, int64_t last, int64_t most_steps, int64_t bytes);
void yki_run_trace_end(yki_run *run);
/* Compares the clocks of a cluster's processes, as making the rings does; what is brought after it is told in
 * the first process's time. By all processes together, as the next. */
yoke_status yki_run_trace_clock(yki_run *run);
/* A rank's ring, to the first process, which destroys it; NULL in the others, and where the rank is the first
 * process's own. */
yoke_status yki_run_trace_bring(yki_run *run, int rank, yki_trace **trace_out);
/* A rank's ring between steps, NULL where nothing is recorded; and the time that is its clock's 0. */
const yki_trace *yki_run_traced(const yki_run *run, int rank, double *origin_ns_out);

#endif
