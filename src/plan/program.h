/* Programs: what ranks run. A program has one body of instructions per part and action kind, shared by all
 * micro-batches: operands name a space and an offset, and an action's slot says where that space lies for its
 * micro-batch. Shapes count samples by a symbol, n, so that full, uneven and ragged micro-batches run the
 * same body; memory is planned for the largest n. */
#ifndef YKI_PLAN_PROGRAM_H
#define YKI_PLAN_PROGRAM_H

#include "backend/backend.h"
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
} yki_space;

enum { YKI_AREAS = 3 }; /* of slots: stash, stash_w, hold */

typedef struct yki_operand {
    yki_space space;
    int index; /* weight, gradient: the program's parameter; send: the edge */
    int64_t offset;
    yki_dtype dtype;
    bool per_sample; /* dims are those of one sample: dims[0] is to be multiplied */
    int ndim;
    int64_t dims[YOKE_MAX_DIMS];
} yki_operand;

/* A parameter's shard, weight or gradient, and the whole tensor that is gathered or scattered. */
typedef struct yki_moved_piece {
    yki_operand mine, all;
    yki_cut cut;
} yki_moved_piece;

/* A movement is two instructions: its start, and a wait before what needs it; between them others compute. */
typedef enum yki_phase { YKI_PHASE_WHOLE, YKI_PHASE_START, YKI_PHASE_WAIT } yki_phase;

typedef struct yki_instruction {
    int op, layer;
    yki_phase phase;
    int request; /* which of the body's movements under way; -1 */
    const yki_attr *attr;
    int noperands;
    yki_operand operands[YKI_MAX_VIEWS];
    int ninputs;
    int gradient[2]; /* parameters whose gradient operands [ninputs], [ninputs + 1] are; -1 */
    int edge;
    bool sends, gradient_copy, counts_loss, adds;
    yki_axis axis;
    bool back;
    yki_cut cut;
    yki_exchange exchange;
    yki_reduction reduction;
    int nbucket,
        first_bucketed;       /* parameters whose gradients are reduced along dp, once the part's last
                                 micro-batch has added to them; where the rank has room for their addresses */
    const int *bucket;        /* the program's numbers of them */
    int npieces, first_piece; /* parameters, or their gradients, moved over zero's shards together; where the
                                 rank has room for their addresses */
    yki_moved_piece *pieces;
    int number; /* among the program's kernel instructions: where its prepared kernel stands; -1 */
} yki_instruction;

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
    const int *slot[YKI_AREAS]; /* of each micro-batch */
    int last_weight;            /* the action after which its gradients are complete; -1: none is */
} yki_part_program;

/* What a lane holds of a parameter, or of a buffer: those are whole on every replica. */
typedef struct yki_local_parameter {
    int parameter;
    int64_t elems, dims[YOKE_MAX_DIMS];
    yki_cut cut;   /* over zero's shards */
    bool bucketed; /* its gradient is reduced along dp while the backward pass runs; else when it has ended */
    bool decays;
    bool counts; /* in the global norm: each logical element once, dp aside */
} yki_local_parameter;

/* Where a rank keeps it: offsets from the arena's start; -1: nowhere. A buffer's gradient is what the step
 * adds to it. */
typedef struct yki_kept {
    int64_t weight, master, gradient, moment[YKI_MAX_MOMENTS];
} yki_kept;

typedef enum yki_tensor_kind {
    YKI_TENSOR_WEIGHT, /* what computes */
    YKI_TENSOR_MASTER, /* under bf16, in f32 */
    YKI_TENSOR_GRADIENT,
    YKI_TENSOR_MOMENT /* the first; the next ones follow it */
} yki_tensor_kind;

/* A rank's states: one for each program and shard. */
typedef struct yki_states {
    yki_kept *kept;      /* by the program's parameters and buffers */
    yoke_bytes bytes;    /* of all kinds */
    int64_t total_bytes; /* of the arena */
} yki_states;

/* One rank's program but for its place along dp: one for each stage and lane. */
typedef struct yki_program {
    int stage, lane, tp_rank;
    int nparts;
    yki_part_program *parts; /* by local chunk */
    int nactions;
    const yoke_action *actions;
    int nparameters, nbuffers;
    yki_local_parameter *parameters; /* then the buffers */
    const int *local_of;             /* by parameter: its place in `parameters`, or -1 */
    int nkernels;                    /* kernel instructions, for prepared kernels */
    int nrequests;                   /* movements of one body, at most */
    int npieces;                     /* of all instructions */
    int nbucketed;                   /* the same, of buckets */
    int64_t temp_offset, workspace_offset, workspace_bytes;
    int64_t states_offset; /* the end of what the program itself needs */
    yoke_bytes bytes;      /* activations and movement */
    int output_chunk;      /* the chunk that makes the model's output; -1: another stage's */
    yki_operand output;
    yki_spec output_spec;
    /* edges of this stage's parts: area of gradients on their way */
    int64_t *send_offset;        /* by edge; -1 */
    int64_t *send_bytes;         /* of one slot */
    const int *const *send_slot; /* by edge: by micro-batch */
} yki_program;

/* What an action runs. */
static inline const yki_code *yki_action_code(const yki_program *program, const yoke_action *action)
{
    static const yki_body bodies[] = {[YOKE_ACTION_F] = YKI_BODY_F,
                                      [YOKE_ACTION_B] = YKI_BODY_B,
                                      [YOKE_ACTION_W] = YKI_BODY_W,
                                      [YOKE_ACTION_BW] = YKI_BODY_BW};
    return &program->parts[action->chunk].body[bodies[action->kind]];
}

/* The view that a kernel is given of an operand, n samples of it; data NULL. */
yki_view yki_operand_view(const yki_operand *operand, int64_t n);
/* A launch's shapes for n samples. */
void yki_instruction_shapes(const yki_instruction *instruction, int64_t n, yki_launch *launch);

#endif
