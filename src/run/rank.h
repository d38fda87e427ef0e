/* A rank: one device's thread, memory, groups and channels. */
#ifndef YKI_RUN_RANK_H
#define YKI_RUN_RANK_H

#include <pthread.h>
#include <stdatomic.h>

#include "comm/cluster.h"
#include "run/run.h"
#include "run/trace.h"

typedef struct yki_variant {
    int64_t samples;         /* of a micro-batch */
    yki_prepared **prepared; /* [nkernels] */
} yki_variant;

enum { YKI_MAX_VARIANTS = 16 };

/* When the device was in an action or an end of the step, or in a movement of one. */
typedef struct yki_span {
    double start_ns, end_ns;
    int ran;     /* the action, as told; -1: none */
    bool moves;  /* it did not compute */
    int waits;   /* and was one of YKI_SPENT */
    yki_end end; /* where it is neither */
} yki_span;

/* What a rank does, for others to see: written by it alone. */
typedef struct yki_post {
    _Atomic uint64_t progress;
    _Atomic(const yki_instruction *) moving; /* a movement of a body */
    _Atomic(const char *) waiting;           /* another one; NULL beside that one: it computes */
    _Atomic int64_t step;                    /* -1: none */
    _Atomic uint32_t action;                 /* 1 + kind + 8 * micro-batch; 0: none */
} yki_post;

/* How far this process's clock is ahead of the first one's, at a time of its own. */
typedef struct yki_clock {
    double at_ns, ahead_ns;
} yki_clock;

/* The watch over a run of several ranks. */
typedef struct yki_guard {
    double timeout;
    bool ready, watches; /* watches: the cluster's lifeline asks */
    bool started;        /* a thread looks */
    bool quit;           /* under lock, as `ended` */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t thread;
} yki_guard;

/* What all ranks do at once, each on its thread. */
typedef yoke_status yki_command(yki_rank *rank, void *argument);

struct yki_rank {
    yki_run *run;
    const yki_plan *plan;
    const yki_program *program;
    const yki_states *states;
    const yki_attr *
        *attrs;          /* by kernel: the lane's own constants; NULL: the program's. NULL: of all kernels */
    yki_attr *own_attrs; /* what they point to */
    int shard;           /* which of its class (yki_own_first) */
    const yki_backend_ops *backend;
    int rank, place[YKI_AXIS_COUNT];
    yki_device *device;
    yki_queue *queue; /* what it computes */
    char *memory;     /* the arena: the device's */
    char *workspace; /* kernels' scratch memory: the arena's, or a block of its own where a forward pass of an
                        odd size needs more than steps do */
    int64_t workspace_bytes;
    yki_comm_memory *reached;  /* the arena, as its comms reach it */
    uint16_t *halves;          /* of inputs that are loaded as bf16, where they lie until they are uploaded */
    yki_event *uploaded;       /* they are */
    yki_comm *world, **groups; /* by the plan's rows; NULL: none of them has this rank */
    yki_channel **channels;    /* [edge][gradient][micro-batch]; NULL: not this rank's, or its own */
    yki_request *sends;        /* under way, by the same index */
    yki_request *requests;     /* other movements under way in the body that runs */
    const void **handed;       /* between two parts of this rank, by the same index */
    yki_variant variants[YKI_MAX_VARIANTS];
    int nvariants;
    yki_segment *segments; /* of movements of states, as their instructions number them */
    yki_piece *pieces;
    double norm;     /* of all gradients, where all have agreed on it */
    bool updates;    /* so have they on updating */
    yki_span *spans; /* of the step under way */
    int nspans;
    double computing_ns, stepping_ns;
    double spent_ns[YKI_SPENT_COUNT], spent_all_ns; /* of `spent` steps */
    int64_t spent;
    bool warm;                     /* the first steps are forgotten */
    int64_t moved[YKI_AXIS_COUNT]; /* received when the step began */
    yoke_ran *ran; /* of the last step that trained: its actions, and then what else took time */
    int nran;
    yki_trace *trace;           /* NULL: nothing is recorded */
    yki_traced_step *recording; /* the step under way; NULL: not recorded */
    pthread_t thread;
    bool started;
    yki_comm *processes; /* of the first rank of each process; NULL: another rank, or one process */
    yki_post post;
    yoke_status status;
    yoke_error error;
    yoke_error fault;    /* in a file, which loses no rank; status YOKE_OK: none */
    int fault_at;        /* the tensor */
    double stored_bytes; /* of all ranks, in the last save; -1: one of them failed */
    bool stored_not_finite;
};

/* What a step sums over all ranks. Bytes are whole numbers below 2^53, which doubles add exactly. */
enum {
    YKI_SCALAR_LOSS,
    YKI_SCALAR_RIGHT,
    YKI_SCALAR_SQUARES,
    YKI_SCALAR_STOPS,
    YKI_SCALAR_ENDED,
    YKI_SCALAR_FAILED,
    YKI_SCALAR_MOVED,
    YKI_SCALARS = YKI_SCALAR_MOVED + YKI_AXIS_COUNT
};

struct yki_run {
    const yki_plan *plan;
    const yki_backend_ops *backend;
    int nranks;        /* in all processes */
    int first, nlocal; /* this process's */
    yki_rank *ranks;   /* this process's */
    yki_world *world;
    bool clustered; /* there are ranks in other processes */
    bool waits;     /* threads of it wait for each other */
    int64_t ragged;
    /* what all ranks measured, collected; NULL in one process */
    struct yki_figures *figures;
    yoke_ran **ran;
    yki_guard guard;
    /* the step under way */
    const yki_step *step;
    double step_start_ns, scalars[YKI_SCALARS]; /* the same on every rank */
    int64_t rows_per_sample;                    /* elements of the loss's mean */
    int64_t counted;                            /* of the step's rows */
    double trace_origin_ns;
    yki_clock clocks[2]; /* when rings were made, and when they are brought together */
    int nclocks;
    /* hand-over to the threads */
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    yki_command *command;
    void *argument;
    uint64_t turn;
    int running;
    bool quit;
    yoke_error lost; /* after a failure: every later call fails with it */
};

/* What sums over the step's rows are divided by: where none is counted they are 0, and stay so. */
static inline double yki_run_counted(const yki_run *run)
{
    return run->counted > 0 ? (double)run->counted : 1;
}

/* rank.c: life of a rank, on its own thread. */
yki_command yki_rank_open;
void yki_rank_close(yki_rank *rank);
/* A launch of an instruction, with the constants that are the lane's own. */
static inline void yki_rank_localise(const yki_rank *rank, const yki_instruction *in, yki_launch *launch)
{
    if (rank->attrs && in->kind == YKI_DO_KERNEL && rank->attrs[in->as.kernel.number])
        launch->attr = rank->attrs[in->as.kernel.number];
}
/* Kernels made ready for micro-batches of so many samples. */
yoke_status yki_rank_prepare(yki_rank *rank, int64_t samples, const yki_variant **variant_out);

/* What an instruction's operands are relative to. */
typedef struct yki_frame {
    yki_rank *rank;
    char *area[YKI_AREAS];
    int microbatch;
    int64_t samples, first;
    const yki_variant *variant;
    bool begins; /* the action is the step's first of its body */
    bool last;   /* the part's gradients are complete with it */
} yki_frame;

/* execute.c */
/* Spans of a step at most. */
int yki_rank_most_spans(const yki_program *program);
/* Movements that are told of take a share of the step, so that they are not many. */
enum { YKI_MOST_TOLD = 1000 };
void *yki_frame_address(const yki_frame *frame, const yki_operand *operand);
/* Runs an action; `at` is its place in the program's list, -1 in a forward pass alone. */
yoke_status yki_rank_action(yki_rank *rank, const yoke_action *action, int at);
/* Runs what follows the actions. */
yoke_status yki_rank_end(yki_rank *rank, yki_end end);
/* Micro-batches of the step, from `first` on, that a replica's buffers of a node with these constants track:
 * those with two values at least, of which a variance can be told. */
int64_t yki_rank_tracked(const yki_rank *rank, const yki_attr *attr, int replica, int first);
int64_t yki_rank_samples(const yki_rank *rank, int microbatch, int64_t *first_out);

/* prediction.c: this rank's share of the model's output, as f32, to its place in the step's. */
yoke_status yki_rank_output(yki_rank *rank);

/* step.c */
yki_command yki_rank_step;
/* Waits until all that was sent to other stages is taken. */
yoke_status yki_rank_drain(yki_rank *rank);
/* Sums what a step measured over all ranks, and decides whether it updates. */
yoke_status yki_rank_agree(yki_rank *rank);

/* states.c: instructions on what a rank keeps. */
yoke_status yki_rank_start_states(yki_rank *rank, const yki_instruction *in, const yki_frame *frame,
                                  yki_request *request);
void yki_rank_run_states(yki_rank *rank, const yki_instruction *in);
/* Adds the bytes that updating is going to bring this rank, by axis. */
void yki_rank_will_move(const yki_rank *rank, int64_t moved[YKI_AXIS_COUNT]);

/* hash.c: the rank's share of hashing what all of them stored, but for what the only owner has hashed:
 * `hashes` has one for every block of all tensors, 0 where they are not this rank's. `finite`: whether those
 * elements are. */
yoke_status yki_rank_hash(yki_rank *rank, const yki_stored *stored, uint64_t *hashes, bool finite);
/* Whether f32 values are neither infinite nor NaN. */
bool yki_all_finite(const void *values, size_t bytes);

/* tensors.c */
static inline double *yki_rank_total(const yki_rank *rank, yki_total total)
{
    return (double *)(void *)(rank->memory + rank->program->totals_offset) + total;
}
/* All that the rank has of a parameter (by the program's number); data NULL: nothing. */
yki_view yki_rank_tensor(const yki_rank *rank, yki_tensor_kind kind, int parameter);
/* The k-th stretch of its own elements (yki_kept). */
yki_view yki_rank_run(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t k);

/* watch.c: ranks tell what they do, and who does nothing is found. */
yoke_status yki_guard_start(yki_run *run, double timeout);
void yki_guard_stop(yki_run *run);
static inline void yki_post_progress(yki_rank *rank)
{
    uint64_t now = atomic_load_explicit(&rank->post.progress, memory_order_relaxed);
    atomic_store_explicit(&rank->post.progress, now + 1, memory_order_relaxed);
}
/* NULL: it is over. */
static inline void yki_post_waiting(yki_rank *rank, const char *for_what)
{
    atomic_store_explicit(&rank->post.waiting, for_what, memory_order_relaxed);
    yki_post_progress(rank);
}

/* others.c: the first of the faults that ranks of all processes noted in a command. */
yoke_status yki_run_first_fault(yki_run *run);
/* Of a host's array that ranks of all processes have written parts of, and zeros elsewhere: whole in all. */
yoke_status yki_rank_share(yki_rank *rank, float *values, int64_t count);

/* run.c: this process's rank of that number; NULL: another's. */
static inline yki_rank *yki_run_rank(const yki_run *run, int rank)
{
    return rank >= run->first && rank < run->first + run->nlocal ? &run->ranks[rank - run->first] : NULL;
}
/* run.c: runs a command on every rank of this process, with the same argument, and waits. */
yoke_status yki_run_command(yki_run *run, yki_command *command, void *argument);
/* Adds the bytes that a rank has received since it was made, by axis. */
void yki_rank_moved(const yki_rank *rank, int64_t moved[YKI_AXIS_COUNT]);

#endif
