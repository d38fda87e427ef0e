/* The compiler: a model under a layout becomes programs. Passes in their order: parts (which layer runs
 * where), place (states and movements), grad (the backward pass), schedule, memory (an offset for every
 * buffer), check. */
#ifndef YKI_PLAN_PLAN_H
#define YKI_PLAN_PLAN_H

#include <string.h>

#include "plan/program.h"
#include "yoke/job.h"

typedef struct yki_placed yki_placed; /* placed.h */

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
    /* rows of the plan's groups: of those parts' sum, of the stages that share it, and of the ranks whose
     * shares along tp make a whole matrix, which its update needs; -1: none */
    int sum_group, tie_group, whole_group;
} yki_param_place;
/* Micro-batches of one device that are those of `dp` replicas: all replicas' m-th together, or (apart) each
 * replica's in turn. dp 0: its own. */
typedef struct yki_like {
    int dp;
    bool apart;
} yki_like;

/* What a program is for. One that generates takes prompts and single tokens alike (graph/cached.c). */
typedef enum yki_purpose {
    YKI_PURPOSE_TRAIN,
    YKI_PURPOSE_EVAL,     /* forward, with a loss */
    YKI_PURPOSE_PREDICT,  /* forward, without targets */
    YKI_PURPOSE_GENERATE, /* the same, of a model that has a cache */
} yki_purpose;

typedef struct yki_plan_options {
    const yoke_model *model;
    yoke_layout layout;
    yoke_precision precision;
    yoke_optimizer optimizer;
    int moments[YKI_RULES];    /* that are kept of each weight, by its rule */
    yki_orthogonal orthogonal; /* of weights whose rule it is */
    bool decay_matrices;
    uint64_t seed;
    int64_t batch;     /* samples of a full step */
    int64_t ragged;    /* of an epoch's last step, where it has fewer; 0: none has */
    int64_t evaluated; /* samples of an evaluation between steps; 0: there are none */
    yki_purpose purpose;
    bool one_part; /* the layers' own devices are not looked at */
    yki_like like;
    int threads; /* a device's */
    const yki_backend_ops *backend;
    int64_t device_memory_bytes; /* 0: no limit */
    int64_t all_memory_bytes;    /* of all devices together, where they share a machine's; 0: no limit */
    bool described;              /* devices are a described machine's: they have numbers alone */
} yki_plan_options;

/* What a plan is for, beside model, options and layout. */
typedef struct yki_plan_use {
    yki_purpose purpose;
    bool one_part;
    yki_like like;
    bool alone;  /* not over the processes of a cluster */
    bool copies; /* hosts keep a copy of weights and moments beside the devices */
} yki_plan_use;

/* What a run is planned with on this machine: its own threads and memory where the layout does not say,
 * shared out among all ranks that are here. Batches are full, and there are no limits for all devices
 * together. */
yki_plan_options yki_plan_options_of(const yoke_model *model, const yoke_train_options *train,
                                     const yoke_layout *layout, const yki_plan_use *use);
/* Ranks that a layout has: by its degrees, or where layers are placed by hand, unless one_part, by those too.
 */
int yki_plan_ranks(const yoke_model *model, const yoke_layout *layout, bool one_part);
/* Bytes for the devices of all machines together, each of which is taken to be like this one: a layout's
 * device_memory may promise more. alone: this one's. */
int64_t yki_machines_memory(bool alone);
/* What a layout's devices are of; NULL: this build does not have them. */
const yki_backend_ops *yki_layout_backend(const yoke_layout *layout);
/* YOKE_INVALID: a device that one of so many ranks is to be on is not there, and why. */
yoke_status yki_layout_check_devices(const yoke_layout *layout, int nranks);

/* Constants of a placed node that say where a lane's share begins; and those of a part's nodes. */
typedef struct yki_begin {
    int node;
    int64_t offset, first_group;
    yki_positions rows, keys;
} yki_begin;
typedef struct yki_begins {
    int count;
    yki_begin *list; /* by node */
} yki_begins;
/* Lanes that differ in nothing but where their shares begin are a class (lanes.c), and run one program. */
typedef struct yki_lane {
    int class;
    yki_begins *begins; /* by part: where they begin elsewhere than those of the class's first lane; NULL:
                           that is it */
} yki_lane;
typedef struct yki_lane_class {
    int first, count;
} yki_lane_class;

/* How zero deals so many rows over shards. Tensors of as many rows have one list of shares. */
typedef struct yki_deal {
    int64_t rows;
    const int64_t *share;
} yki_deal;
/* Shards in a row that are dealt as much of every tensor: they keep the same at the same places, and differ
 * in where their own elements begin in the whole. There are few classes, however many shards there are. */
typedef struct yki_shard_class {
    int first, count;
} yki_shard_class;

typedef struct yki_plan {
    yki_arena arena, lane_arena;
    yki_plan_options options;
    yki_mesh mesh;
    int nparts;
    int *stage_of, *chunk_of, *part_of_layer; /* parts and layers */
    yoke_parts parts;
    yoke_schedule *schedule;
    int microbatches;
    int64_t largest; /* samples of the largest micro-batch */
    yki_param_place *param_places;
    int ngroups;
    yki_group *groups; /* mesh.h */
    int nlanes, nlane_classes;
    yki_lane *lanes;
    yki_lane_class *lane_classes;
    yki_placed **placed; /* [lane class][part] */
    int nedges, cedges;
    yki_edge *edges;       /* placed values differ between lanes in size alone */
    int64_t **edge_bytes;  /* [lane class][edge], of one sample */
    yki_program *programs; /* [stage * lane classes + class] */
    int zero, shards;      /* the stage of sharded data parallelism that has anything to do, and over how many
                              neighbours along dp; 0 and 1: none */
    int ndeals, cdeals;
    yki_deal *deals;
    int nshard_classes, cshard_classes;
    yki_shard_class *shard_classes; /* in the order of shards */
    yki_states *states;             /* [program * shard classes + class] */
} yki_plan;

static inline int yki_plan_programs(const yki_plan *plan)
{
    return plan->parts.nstages * plan->nlane_classes;
}
static inline bool yki_plan_trains(const yki_plan *plan)
{
    return plan->options.purpose == YKI_PURPOSE_TRAIN;
}
/* Whether a kernel of a part has constants of its own on a lane: then they are written. */
bool yki_lane_attr(const yki_plan *plan, int lane, int part, const yki_instruction *in, yki_attr *attr_out);
/* Whether what a lane holds of a parameter counts in the global norm, where its first stage does. */
bool yki_lane_counts(const yki_plan *plan, int parameter, int lane);

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
/* Whose rule a parameter of the model is updated by, and that rule. */
yki_rule_of yki_plan_rule_of(const yki_plan *plan, int parameter);
const yki_rule *yki_plan_rule(const yki_plan *plan, int parameter);
/* Which of its class a rank's shard is, from 0; *class_out: the class. */
int yki_rank_shard(const yki_plan *plan, int rank, int *class_out);
/* Where that shard's own elements begin in a tensor that is kept whole. */
static inline int64_t yki_own_first(const yki_kept *kept, int number)
{
    return kept->stride > 0 ? kept->first + number * kept->run_elems : kept->first;
}
/* The type that a program's parameter or buffer is kept in. */
yki_dtype yki_tensor_dtype(const yki_plan *plan, const yki_program *program, yki_tensor_kind kind,
                           int parameter);
/* Whether zero deals tensors of a kind over shards. */
bool yki_states_sharded(const yki_plan *plan, yki_tensor_kind kind);
/* Samples of micro-batch m of dp rank d in a step of `batch` samples, and the position of the first in the
 * batch. */
int64_t yki_plan_samples(const yki_plan *plan, int64_t batch, int d, int m, int64_t *first_out);
/* The same of any dp and micro-batches. */
int64_t yki_part_samples(int64_t batch, int dp, int microbatches, int d, int m, int64_t *first_out);
/* "layers 0 .. 3", "h.0 .. h.5": what a stage holds, for people. */
void yki_plan_stage_layers(const yki_plan *plan, int stage, char *text, int size);
/* What a pipeline may be cut between: runs of layers, FLOPs of one sample's forward pass of each, and which
 * one each layer is in. Arrays are of the arena. */
typedef struct yki_units {
    int count;
    double *cost;
    int *of_layer;
} yki_units;
/* False: no memory. */
bool yki_units_of(yki_arena *arena, const yoke_model *model, yki_units *units_out);
/* Cuts units of cost[0..n) into k <= n runs of at least one, so that the largest is as small as can be; of
 * equals the first get more. Writes each unit's run. False: no memory. */
bool yki_cut_evenly(yki_arena *arena, const double *cost, int n, int k, int *run);
/* Which tokens of a sequence a rank of axis cp has; how many. */
yki_positions yki_context_positions(const yki_plan *plan, int rank, int64_t *count_out);

#endif
