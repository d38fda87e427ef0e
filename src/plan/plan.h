/* The compiler: a model under a layout becomes programs. Passes in their order: parts (which layer runs
 * where), place (states and movements), grad (the backward pass), schedule, memory (an offset for every
 * buffer), check.
 *
 * A program has one body of instructions per part and action kind, shared by all micro-batches: operands name
 * a space and an offset, and an action's slot says where that space lies for its micro-batch. Shapes count
 * samples by a symbol, n, so that full, uneven and ragged micro-batches run the same body; memory is planned
 * for the largest n. */
#ifndef YKI_PLAN_PLAN_H
#define YKI_PLAN_PLAN_H

#include <string.h>

#include "backend/backend.h"
#include "graph/ops.h"
#include "yoke/job.h"
#include "yoke/layout.h"
#include "yoke/schedule.h"
#include "yoke/train.h"

/* --- the mesh --- */

typedef enum yki_axis { YKI_AXIS_TP, YKI_AXIS_CP, YKI_AXIS_DP, YKI_AXIS_PP, YKI_AXIS_COUNT } yki_axis;

typedef struct yki_mesh {
    int degree[YKI_AXIS_COUNT];
    int nranks;
} yki_mesh;

yki_mesh yki_mesh_of(const yoke_layout *layout);
/* Coordinates of a rank; tp runs fastest. */
void yki_mesh_place(const yki_mesh *mesh, int rank, int place[YKI_AXIS_COUNT]);
int yki_mesh_rank(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT]);

/* Ranks that differ in tp or cp see other shares of the model and its samples: each such pair of places is a
 * lane, tp fastest. What a lane runs is the same in every replica. */
int yki_mesh_lanes(const yki_mesh *mesh);
int yki_mesh_lane(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT]);

/* --- placed graphs: one a part and lane --- */

typedef enum yki_body { YKI_BODY_F, YKI_BODY_B, YKI_BODY_W, YKI_BODY_BW, YKI_BODY_COUNT } yki_body;

typedef struct yki_placed_value {
    yki_role role;
    bool per_sample, per_row;
    bool moved;  /* received from another device: counts as movement */
    bool kept;   /* not to be overwritten in its body: others read it */
    bool flat;   /* of a parameter's gradient */
    bool wants;  /* a gradient flows to it */
    bool summed; /* an activation that is still being summed: f32 in every precision */
    int ndim;
    int64_t dims[YOKE_MAX_DIMS]; /* local */
    int parameter;               /* of the weight, or of the weight whose gradient it is; -1 */
    int gathered;                /* zero 3: the parameter that this is a whole copy of, for a body; -1 */
    bool is_gradient;            /* of a parameter */
    int producer;                /* node; -1 */
    int storage;                 /* filled by the memory pass */
} yki_placed_value;

typedef struct yki_placed_node {
    int op;
    yki_attr attr;
    int nin, in[YKI_MAX_INPUTS], nout, out[YKI_MAX_OUTPUTS];
    int layer;
    yki_body body; /* F, B or W */
    double order;  /* in the body */
    int edge;      /* copy, its gradient */
    bool sends, gradient_copy;
    bool skip_bias;        /* row-parallel: the first rank adds it */
    bool counts_loss;      /* this rank's loss is part of the global one */
    bool adds;             /* to what its outputs have */
    bool shards;           /* a gather of a parameter, or a scatter of its gradient, over zero's shards */
    yki_axis axis;         /* of a movement that is no copy */
    bool back;             /* a copy along it: to the member before */
    yki_cut cut;           /* copies, gathers, scatters and shards along it; shares in the arena */
    yki_exchange exchange; /* all_to_all */
    yki_reduction reduction;
    yki_state gradient_state; /* of a movement that is no copy: of its output's gradient, along the axis */
} yki_placed_node;

typedef struct yki_placed {
    yki_placed_value *values;
    int nvalues, cvalues;
    yki_placed_node *nodes;
    int nnodes, cnodes;
    int output; /* the model's output here; -1: in another part */
    yki_spec output_spec;
} yki_placed;

/* Nodes that compute nothing and move nothing: their output is their input. */
static inline bool yki_is_alias(int op)
{
    return op == YKI_OP_RESHAPE || op == YKI_OP_MOVE + YKI_MOVE_BROADCAST;
}

/* A value that goes from one part to another, and its gradient back. */
typedef struct yki_edge {
    int from, to;        /* parts */
    int value, imported; /* placed values: in `from`, in `to`; -1: a token of no bytes, for order only */
    int gradient_sent, gradient_received; /* in `to`, in `from`; -1: no bytes */
    int64_t bytes_per_sample;             /* of the value */
    bool pads;                            /* made for order only */
} yki_edge;

/* Where a parameter lies. */
typedef struct yki_param_place {
    yki_spec spec; /* over tp */
    bool placed;
    int gradient_parts; /* 1; or how many ranks in a row along tp have the same of it, but use it for divided
                           work: each one's gradient is a part of a sum, which is taken when the step ends */
    bool *held;         /* by stage */
    int nheld, first_stage;
    int tie; /* which set of several stages shares it; -1: one stage has it alone */
} yki_param_place;

/* --- programs --- */

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

enum { YKI_GROUPS = 3 }; /* stash, stash_w, hold */

typedef struct yki_operand {
    yki_space space;
    int index; /* weight, gradient: the program's parameter; send: the edge */
    int64_t offset;
    yki_rank_view form;
    yki_dtype dtype;
    bool per_sample;
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
    int64_t group_offset[YKI_GROUPS], group_bytes[YKI_GROUPS]; /* of one slot */
    int group_slots[YKI_GROUPS];
    const int *slot[YKI_GROUPS]; /* of each micro-batch */
    int last_weight;             /* the action after which its gradients are complete; -1: none is */
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
    int64_t weight, master, gradient, moment1, moment2;
} yki_kept;

typedef enum yki_tensor_kind {
    YKI_TENSOR_WEIGHT, /* what computes */
    YKI_TENSOR_MASTER, /* under bf16, in f32 */
    YKI_TENSOR_GRADIENT,
    YKI_TENSOR_MOMENT1,
    YKI_TENSOR_MOMENT2
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

/* Micro-batches of one device that are those of `dp` replicas: all replicas' m-th together, or (apart) each
 * replica's in turn. dp 0: its own. */
typedef struct yki_like {
    int dp;
    bool apart;
} yki_like;

typedef struct yki_plan_options {
    const yoke_model *model;
    yoke_layout layout;
    yoke_precision precision;
    yoke_optimizer optimizer;
    bool momentum, decay_matrices;
    uint64_t seed;
    int64_t batch;     /* samples of a full step */
    int64_t ragged;    /* of an epoch's last step, where it has fewer; 0: none has */
    int64_t evaluated; /* samples of an evaluation between steps; 0: there are none */
    bool inference;    /* forward only */
    bool no_loss;      /* inference without targets */
    bool one_part;     /* the layers' own devices are not looked at */
    yki_like like;
    int threads; /* a device's */
    const yki_backend_ops *backend;
    int64_t device_memory_bytes; /* 0: no limit */
    int64_t all_memory_bytes;    /* of all devices together, where they share a machine's; 0: no limit */
} yki_plan_options;

typedef struct yki_plan {
    yki_arena arena;
    yki_plan_options options;
    yki_mesh mesh;
    int nparts;
    int *stage_of, *chunk_of, *part_of_layer; /* parts and layers */
    yoke_parts parts;
    yoke_schedule *schedule;
    int microbatches;
    int64_t largest; /* samples of the largest micro-batch */
    yki_param_place *param_places;
    int nsums, *sums; /* the values above 1 that gradient_parts has */
    int nties;
    const bool **ties; /* each a different set of stages that share parameters */
    int nlanes;
    yki_placed **placed; /* [lane][part] */
    int nedges, cedges;
    yki_edge *edges;       /* placed values differ between lanes in size alone */
    int64_t **edge_bytes;  /* [lane][edge], of one sample */
    yki_program *programs; /* [stage * lanes + lane] */
    int zero, shards;      /* the stage of sharded data parallelism that has anything to do, and over how many
                              neighbours along dp; 0 and 1: none */
    yki_states *states;    /* [program * shards + shard] */
} yki_plan;

/* Bytes that all ranks need together. */
int64_t yki_plan_total_bytes(const yki_plan *plan);

/* Compiles. YOKE_INVALID: what cannot work, named; YOKE_DOES_NOT_FIT: device, layers, bytes. The result holds
 * a copy of the options and borrows the model. */
yoke_status yki_plan_create(const yki_plan_options *options, yki_plan **plan_out);
void yki_plan_destroy(yki_plan *plan);
/* Degrees, micro-batches and chunks of at least 1, and no more devices than there can be: what yki_mesh_of
 * needs. YOKE_INVALID. */
yoke_status yki_degrees_check(const yoke_layout *layout);
const yki_program *yki_plan_program(const yki_plan *plan, int rank);
const yki_states *yki_rank_states(const yki_plan *plan, int rank);
/* Whether zero deals tensors of a kind over shards. */
bool yki_states_sharded(const yki_plan *plan, yki_tensor_kind kind);
/* Samples of micro-batch m of dp rank d in a step of `batch` samples, and the position of the first in the
 * batch. */
int64_t yki_plan_samples(const yki_plan *plan, int64_t batch, int d, int m, int64_t *first_out);
/* The same of any dp and micro-batches. */
int64_t yki_part_samples(int64_t batch, int dp, int microbatches, int d, int m, int64_t *first_out);
/* "layers 0 .. 3", "h.0 .. h.5": what a stage holds, for people. */
void yki_plan_stage_layers(const yki_plan *plan, int stage, char *text, int size);
/* Which tokens of a sequence a rank of axis cp has; how many. */
yki_positions yki_context_positions(const yki_plan *plan, int rank, int64_t *count_out);
/* The view that a kernel is given of an operand, n samples of it; data NULL. */
yki_view yki_operand_view(const yki_operand *operand, int64_t n);
/* A launch's shapes for n samples. */
void yki_instruction_shapes(const yki_instruction *instruction, int64_t n, yki_launch *launch);

/* --- passes, in order --- */
yoke_status yki_plan_parts(yki_plan *plan);    /* parts.c: layers to parts, parts to stages */
yoke_status yki_plan_place(yki_plan *plan);    /* place.c */
yoke_status yki_plan_grad(yki_plan *plan);     /* grad.c */
yoke_status yki_plan_schedule(yki_plan *plan); /* parts.c: makes or reads the schedule, and checks it */
yoke_status yki_plan_memory(yki_plan *plan);   /* memory.c: programs with offsets */
yoke_status yki_plan_states(yki_plan *plan);   /* states.c: what each rank keeps between steps */
yoke_status yki_plan_check(yki_plan *plan);    /* check.c: what devices hold */

/* How zero's shards cut a tensor that a lane keeps with these dims; false: out of memory. */
bool yki_shards_cut(yki_plan *plan, int parameter, const int64_t *dims, yki_cut *cut_out);
/* A gather of the parameter whose shard is value `shard`; its whole, or -1: out of memory. */
int yki_gather_parameter(yki_plan *plan, yki_placed *placed, int shard, yki_body body, int layer);
/* Orders the gathers among nodes [first, end) of a pass: each a layer ahead of its own. */
void yki_start_gathers(yki_placed *placed, int first, int end);
/* Adds the scatters of whole gradients, whole[parameter] or -1. False: out of memory. */
bool yki_scatter_gradients(yki_plan *plan, yki_placed *placed, const int *whole);
/* Adds a value to a placed graph; returns it, or -1 with the arena failed. */
int yki_placed_value_add(yki_plan *plan, yki_placed *placed, const yki_placed_value *value);
yki_placed_node *yki_placed_node_add(yki_plan *plan, yki_placed *placed, int op, yki_body body, int layer);
int64_t yki_placed_elems(const yki_placed_value *value);

/* replicas.c */
/* The sum of a value over dp, made in `body`: the value itself where there is one replica; -1 with the arena
 * failed. */
int yki_placed_sum(yki_plan *plan, yki_placed *placed, int value, yki_body body, int layer);
/* Along dp samples are cut: an output of `node` that is no sample's own, but made of samples, is a part of a
 * sum that all replicas need. Returns what its readers read. */
int yki_placed_over_replicas(yki_plan *plan, yki_placed *placed, const yki_node *node, int value);
/* Outputs of a node that keeps state, as those of a weight's gradient: the buffers among its inputs. */
bool yki_placed_write_buffers(yki_plan *plan, yki_placed *placed, int at);
yki_dtype yki_placed_dtype(const yki_plan *plan, const yki_placed_value *value);

#endif
