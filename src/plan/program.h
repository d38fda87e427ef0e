/* Programs: what ranks run. A program has one body of instructions per part and action kind, shared by all
 * micro-batches: operands name a space and an offset, and an action's slot says where that space lies for its
 * micro-batch. Shapes count samples by a symbol, n, so that full, uneven and ragged micro-batches run the
 * same body; memory is planned for the largest n. */
#ifndef YKI_PLAN_PROGRAM_H
#define YKI_PLAN_PROGRAM_H

#include "backend/backend.h"
#include "comm/comm.h"
#include "graph/ops.h"
#include "optim/optimizer.h"
#include "plan/mesh.h"
#include "yoke/schedule.h"
#include "yoke/train.h"

typedef enum yki_body { YKI_BODY_F, YKI_BODY_B, YKI_BODY_W, YKI_BODY_BW, YKI_BODY_COUNT } yki_body;

typedef enum yki_space {
    YKI_SPACE_NONE,
    YKI_SPACE_WEIGHT,   /* in the precision of compute; each rank's states say where */
    YKI_SPACE_GRADIENT, /* f32; the same */
    YKI_SPACE_STASH,    /* one slot a micro-batch, from F to B */
    YKI_SPACE_STASH_W,  /* from F to W */
    YKI_SPACE_HOLD,     /* from B to W */
    YKI_SPACE_SEND,     /* gradients on their way; one slot a micro-batch, an area an edge */
    YKI_SPACE_TEMP,     /* within one body */
    YKI_SPACE_CACHE,    /* from step to step: keys and values of the tokens so far, of all micro-batches */
} yki_space;

enum { YKI_AREAS = 3 }; /* of slots: stash, stash_w, hold */

typedef struct yki_operand {
    yki_space space;
    int index; /* weight, gradient: the program's parameter; send: the edge */
    int value; /* which tensor it is: the part's placed value; at a step's end, the program's made one */
    int64_t offset;
    yki_dtype dtype;
    bool per_sample; /* dims are those of one sample: dims[0] is to be multiplied */
    int ndim;
    int64_t dims[YOKE_MAX_DIMS];
} yki_operand;

/* What is kept of a parameter between steps. Of a buffer there are a weight and a gradient: what the step
 * adds to it. */
typedef enum yki_tensor_kind {
    YKI_TENSOR_WEIGHT, /* what computes */
    YKI_TENSOR_MASTER, /* under bf16, in f32 */
    YKI_TENSOR_GRADIENT,
    YKI_TENSOR_MOMENT, /* the first; the next ones follow it */
    YKI_TENSOR_KINDS = YKI_TENSOR_MOMENT + YKI_MAX_MOMENTS,
    YKI_TENSOR_NONE = YKI_TENSOR_KINDS /* as a kernel's view: it is given none */
} yki_tensor_kind;

/* A parameter's tensor in a movement of states: the rank's own elements of it, and the whole that they are
 * gathered to or scattered from. */
typedef struct yki_state_piece {
    int parameter;   /* the program's */
    bool begins;     /* a gradient: this is the step's first that is written to it; others add */
    yki_operand all; /* in temporary memory; of no space: the whole that the rank keeps, in place */
} yki_state_piece;

/* A movement is two instructions: its start, and a wait before what needs it; between them others compute.
 * WHOLE is both in one; of a send, a start whose wait is the next use of its channel, or the step's end. */
typedef enum yki_phase { YKI_PHASE_WHOLE, YKI_PHASE_START, YKI_PHASE_WAIT } yki_phase;

typedef enum yki_instruction_kind {
    YKI_DO_KERNEL,      /* launch a kernel */
    YKI_DO_LOAD,        /* samples or targets of the batch into a buffer */
    YKI_DO_COPY,        /* send to another stage, or receive from it */
    YKI_DO_MOVE,        /* move a micro-batch's tensor along a group: operands are from, to */
    YKI_DO_MOVE_STATES, /* move what ranks keep of parameters, several at once */
    YKI_DO_STATES,      /* launch a kernel on the rank's own elements of parameters, one after the other */
    YKI_DO_DRAIN,       /* wait until all that was sent is taken */
    YKI_DO_AGREE,       /* sum loss, norm and verdict over all ranks */
} yki_instruction_kind;

typedef struct yki_instruction {
    yki_instruction_kind kind;
    int op;           /* the operator, kernel or movement, as the graph counts them; -1: DRAIN, AGREE */
    int layer;        /* -1: of none */
    const char *what; /* its name for people, where that of `op` does not do; NULL */
    int noperands;
    yki_operand *operands; /* of a kernel as its list says; inputs, then outputs */
    yki_phase phase;       /* movements */
    int request;           /* START, WAIT: which of the movements under way; -1 */
    union {
        struct yki_do_kernel {
            const yki_attr *attr; /* of the class's first lane (yki_lane_attr) */
            int node;             /* of the part's placed graph */
            int number;           /* among the program's: where its prepared kernel stands */
            int ninputs;
            bool counts_loss;      /* this rank's loss is part of the global one */
            bool adds;             /* to what its outputs have */
            bool again;            /* a second time: what it makes was not kept */
            bool writes_gradients; /* outputs are gradients of parameters, or what is added to buffers: it
                                      adds to them, unless */
            bool begins;           /* it is the step's first that writes them, in the body's first action */
        } kernel;
        struct yki_do_copy {
            int edge;
            bool sends, gradient;
        } copy;
        struct yki_do_move {
            int group;
            bool back; /* copy: to the member before */
            yki_cut cut;
            yki_exchange exchange;
            yki_reduction reduction;
        } move;
        struct yki_do_move_states {
            int group;
            bool once; /* in W or BW: run only when the part's last micro-batch has added its gradients. Its
                          request is one of the step's: what waits for it may be in another body */
            yki_tensor_kind tensor;
            yki_dtype dtype;
            int npieces;
            yki_state_piece *pieces;
            int first_piece, first_segment; /* where the rank has room for their addresses */
        } move_states;
        struct yki_do_states {
            int ntensors;
            yki_tensor_kind tensors[YKI_MAX_VIEWS]; /* views, in the order of the kernel's list */
            int nparameters;
            const int *parameters; /* the program's */
            bool first_alone;      /* by the first of REPLICAS alone: what the others have is the same */
            bool scaled;           /* gradients are orthogonal updates: times each one's scale, not clipped */
            const yki_attr *tracked; /* BLEND: constants of the node that tracks the buffer */
        } states;
    } as;
} yki_instruction;

/* Whether an instruction of a body is left out but for the part's last weight gradients. */
static inline bool yki_runs_once(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE_STATES && in->as.move_states.once;
}

/* Whether it moves data between ranks, or waits for them; else it computes. */
static inline bool yki_moves(const yki_instruction *in)
{
    return in->kind != YKI_DO_KERNEL && in->kind != YKI_DO_LOAD && in->kind != YKI_DO_STATES;
}

/* The row of the plan's groups along which an instruction moves data; -1: along none. */
static inline int yki_group_of(const yki_instruction *in)
{
    return in->kind == YKI_DO_MOVE          ? in->as.move.group
           : in->kind == YKI_DO_MOVE_STATES ? in->as.move_states.group
                                            : -1;
}

/* Buckets of gradients that may be under way at once: a comm holds one more. */
enum { YKI_BUCKETS_UNDER_WAY = YKI_COMM_OUTSTANDING - 1 };

typedef struct yki_code {
    int count;
    yki_instruction *instructions;
} yki_code;

typedef struct yki_part_program {
    int part;
    bool present[YKI_BODY_COUNT];
    yki_code body[YKI_BODY_COUNT];
    int64_t area_offset[YKI_AREAS], area_bytes[YKI_AREAS]; /* of one slot */
    int area_slots[YKI_AREAS];
    const int *slot[YKI_AREAS];       /* of each micro-batch */
    int first_action[YKI_BODY_COUNT]; /* that runs the body; -1: none does */
    int last_weight;                  /* the action after which its gradients are complete; -1: none is */
} yki_part_program;

/* What a lane holds of a parameter, or of a buffer: those are whole on every replica. */
typedef struct yki_local_parameter {
    int parameter;
    int64_t elems, dims[YOKE_MAX_DIMS];
    yki_cut cut;   /* over zero's shards */
    bool bucketed; /* its gradient is reduced along dp while the backward pass runs; else when it has ended */
    bool frozen;   /* it has a weight, and nothing else */
    bool decays;
    bool counts;  /* in the global norm: each logical element once, dp aside */
    double scale; /* of what its update is when that was made orthogonal: of its learning rate */
} yki_local_parameter;

/* Where a rank keeps it, and which elements are its own: what it updates, and what its gradient is summed
 * for. They are `runs` stretches of `run_elems`; the k-th begins at element first + k * stride of a tensor
 * that is kept whole, and at k * run_elems of one that zero deals out. `first` is that of the class's first
 * shard (plan.h): of 10 rows over 4 shards, 3 3 2 2, the classes' begin at rows 0 and 6, and the others' one
 * run later each (yki_own_first). stride 0: each shard has all of it, or nothing but its own. */
typedef struct yki_kept {
    int64_t offset[YKI_TENSOR_KINDS]; /* from the arena's start; -1: nowhere */
    int64_t runs, run_elems, first, stride;
} yki_kept;

/* A rank's states: one for each program and class of shards. */
typedef struct yki_states {
    yki_kept *kept;      /* by the program's parameters and buffers */
    yoke_bytes bytes;    /* of all kinds */
    int64_t total_bytes; /* of the arena */
} yki_states;

/* What follows a step's actions. */
typedef enum yki_end {
    YKI_END_FORWARD, /* of a forward pass alone */
    YKI_END_REDUCE,  /* gradients over all who have parts of their sums; the norm; and what all agree on */
    YKI_END_UPDATE,  /* where all agreed to update: weights, buffers, and who needs them gathered */
    YKI_END_COUNT
} yki_end;

/* What kernels add to over a step, on the device: doubles, from totals_offset on. */
typedef enum yki_total {
    YKI_TOTAL_LOSS,
    YKI_TOTAL_RIGHT,       /* rows whose target is the likeliest class; always after a loss */
    YKI_TOTAL_OTHERS_LOSS, /* that another rank counts: it has the same */
    YKI_TOTAL_OTHERS_RIGHT,
    YKI_TOTAL_SQUARES, /* of gradients: for the norm */
    YKI_TOTALS
} yki_total;

/* What a step's update makes of a matrix, in temporary memory, f32: instructions name it by its number. */
typedef struct yki_made {
    int parameter; /* the program's */
    int64_t elems;
} yki_made;

/* One rank's program but for its place along dp, and where its shares begin: one for each stage and class of
 * lanes. */
typedef struct yki_program {
    int stage, lane_class;
    int lane, tp_rank; /* of the class's first lane */
    int nparts;
    yki_part_program *parts; /* by local chunk */
    int nactions;
    const yoke_action *actions;
    yki_code ends[YKI_END_COUNT];
    int nmade; /* in the ends; by their operands' values */
    yki_made *made;
    int nparameters, nbuffers;
    yki_local_parameter *parameters; /* then the buffers */
    const int *local_of;             /* by parameter: its place in `parameters`, or -1 */
    int nkernels;                    /* kernel instructions, for prepared kernels */
    int nrequests;                   /* under way at once: those of the step, then those of one body */
    int npieces, nsegments;          /* of all movements of states */
    int nbuckets;                    /* started in a step */
    int64_t temp_offset, workspace_offset, workspace_bytes, totals_offset;
    int64_t states_offset; /* the end of what the program itself needs */
    yoke_bytes bytes;      /* activations, movement and cache */
    int output_chunk;      /* the chunk that makes the model's output; -1: another stage's */
    yki_operand output;
    yki_spec output_spec;
    /* edges of this stage's parts: area of gradients on their way */
    int64_t *send_offset;        /* by edge; -1 */
    int64_t *send_bytes;         /* of one slot */
    const int *const *send_slot; /* by edge: by micro-batch */
} yki_program;

/* What an action runs. */
static inline yki_body yki_action_body(const yoke_action *action)
{
    static const yki_body bodies[] = {[YOKE_ACTION_F] = YKI_BODY_F,
                                      [YOKE_ACTION_B] = YKI_BODY_B,
                                      [YOKE_ACTION_W] = YKI_BODY_W,
                                      [YOKE_ACTION_BW] = YKI_BODY_BW};
    return bodies[action->kind];
}
static inline const yki_code *yki_action_code(const yki_program *program, const yoke_action *action)
{
    return &program->parts[action->chunk].body[yki_action_body(action)];
}

/* The view that a kernel is given of an operand, n samples of it; data NULL. */
yki_view yki_operand_view(const yki_operand *operand, int64_t n);
/* A launch's shapes for n samples. */
void yki_instruction_shapes(const yki_instruction *instruction, int64_t n, yki_launch *launch);

#endif
