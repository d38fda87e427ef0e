/* Placed graphs, one a part and lane: a model's graph as one rank holds it, with the movements that its
 * layout needs, and its backward pass. The compiler's own: what runs reads programs. */
#ifndef YKI_PLAN_PLACED_H
#define YKI_PLAN_PLACED_H

#include "plan/plan.h"

typedef struct yki_placed_value {
    yki_role role;
    bool per_sample;
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
    bool cached; /* kept from step to step, at an offset of the arena: of the memory pass too */
    int64_t offset;
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
    bool again;            /* made a second time, for the backward pass */
    bool shards;           /* a gather of a parameter, or a scatter of its gradient, over zero's shards */
    yki_axis axis;         /* of a movement that is no copy */
    bool back;             /* a copy along it: to the member before */
    yki_cut cut;           /* copies, gathers, scatters and shards along it; shares in the arena */
    yki_exchange exchange; /* all_to_all */
    yki_reduction reduction;
    yki_placement
        gradient_state; /* of a movement that is no copy: of its output's gradient, along the axis */
} yki_placed_node;

struct yki_placed {
    yki_placed_value *values;
    int nvalues, cvalues;
    yki_placed_node *nodes;
    int nnodes, cnodes;
    int output; /* the model's output here; -1: in another part */
    yki_spec output_spec;
};

/* Nodes that compute nothing and move nothing: their output is their input. */
static inline bool yki_is_alias(int op)
{
    return op == YKI_OP_RESHAPE || op == YKI_OP_MOVE + YKI_MOVE_BROADCAST;
}

/* Adds a value to a placed graph; returns it, or -1 with the arena failed. */
int yki_placed_value_add(yki_plan *plan, yki_placed *placed, const yki_placed_value *value);
/* Adds a node; NULL with the arena failed. */
yki_placed_node *yki_placed_node_add(yki_plan *plan, yki_placed *placed, int op, yki_body body, int layer);
int64_t yki_placed_elems(const yki_placed_value *value);
yki_dtype yki_placed_dtype(const yki_plan *plan, const yki_placed_value *value);

/* --- replicas.c: along dp --- */

/* The sum of a value over dp, made in `body`: the value itself where there is one replica; -1 with the arena
 * failed. */
int yki_placed_sum(yki_plan *plan, yki_placed *placed, int value, yki_body body, int layer);
/* Along dp samples are cut: an output of `node` that is no sample's own, but made of samples, is a part of a
 * sum that all replicas need. Returns what its readers read. */
int yki_placed_over_replicas(yki_plan *plan, yki_placed *placed, const yki_node *node, int value);
/* Outputs of a node that keeps state, as those of a weight's gradient: the buffers among its inputs. */
bool yki_placed_write_buffers(yki_plan *plan, yki_placed *placed, int at);

/* --- sharded.c: zero --- */

/* How zero's shards cut a tensor that a lane keeps with these dims; false: out of memory. */
bool yki_shards_cut(yki_plan *plan, int parameter, const int64_t *dims, yki_cut *cut_out);
/* A gather of the parameter whose shard is value `shard`; its whole, or -1: out of memory. */
int yki_gather_parameter(yki_plan *plan, yki_placed *placed, int shard, yki_body body, int layer);
/* Orders the gathers among nodes [first, end) of a pass: each a layer ahead of its own. */
void yki_start_gathers(yki_placed *placed, int first, int end);
/* Adds the scatters of whole gradients, whole[parameter] or -1. False: out of memory. */
bool yki_scatter_gradients(yki_plan *plan, yki_placed *placed, const int *whole);

#endif
