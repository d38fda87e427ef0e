/* The graph: logical tensors and operators of a model's forward pass. Shapes are global; nothing here knows a
 * layout. Operators are named by the kernel that computes them, so that one table (ops.h) describes both.
 *
 * Invariants: nodes stand in the order in which they were made, which is a topological one; a value has one
 * producer; parameters have none. Everything lives in the model's arena. */
#ifndef YKI_GRAPH_GRAPH_H
#define YKI_GRAPH_GRAPH_H

#include "backend/kernel.h"
#include "base/arena.h"
#include "move/move.h"
#include "yoke/model.h"

/* What a node does: a kernel, or one of these. A movement m is YKI_OP_MOVE + m. */
enum {
    YKI_OP_INPUT = YKI_KERNEL_COUNT, /* -> the samples */
    YKI_OP_TARGET,                   /* -> what the loss compares with */
    YKI_OP_PLACES,                   /* -> of each row a slot of the cache, and a position in its sequence */
    YKI_OP_PICKED,                   /* -> of each slot the row whose output is wanted; -1: none is */
    YKI_OP_RESHAPE,                  /* x -> y: the same elements in another shape */
    YKI_OP_MOVE,
    YKI_OP_COUNT = YKI_OP_MOVE + YKI_MOVE_COUNT,
};

enum { YKI_MAX_INPUTS = 6, YKI_MAX_OUTPUTS = 3 };

/* Of one tensor, and of one sample's part of a tensor. */
#define YKI_MOST_ELEMS (INT64_C(1) << 40)

typedef enum yki_role {
    YKI_ROLE_ACTIVATION, /* in the precision of the run */
    YKI_ROLE_STATISTIC,  /* always f32 */
    YKI_ROLE_INDEX,      /* i32 */
    YKI_ROLE_PARAMETER,
} yki_role;

typedef struct yki_value {
    yki_role role;
    bool per_sample; /* dims are those of one sample, and there are as many as the micro-batch has */
    int ndim;
    int64_t dims[YOKE_MAX_DIMS];
    int producer;  /* node; -1: a parameter */
    int parameter; /* -1: none */
    int device;
    bool cached; /* kept from step to step: the keys or values of the tokens so far */
} yki_value;

typedef enum yki_init { YKI_INIT_ZERO, YKI_INIT_ONE, YKI_INIT_UNIFORM, YKI_INIT_NORMAL } yki_init;

/* A parameter: logical name and shape, as files have it. */
typedef struct yki_parameter {
    const char *name;
    int ndim;
    int64_t dims[YOKE_MAX_DIMS]; /* as in files */
    bool transposed;             /* kept as [dims[1], dims[0]] in memory: products read rows of one output
                                    (docs/performance.md) */
    yki_init init;
    double init_scale; /* uniform: +-scale; normal: standard deviation */
    int value;
    /* A hidden matrix: two dims, of a product of rows, and no other use; the model's last product, which
     * makes its output, has none. Known when the model is finished. */
    bool matrix;
    bool of_adapter;  /* in its files, not in the base's */
    bool frozen;      /* it does not train: no gradient, moment, norm or decay knows it */
    const char *also; /* its other name, where two tensors of files are one; NULL */
    /* A buffer: state that training tracks (a running mean), and no gradient, moment, norm or decay knows;
     * kept in f32. The constants of the node that tracks it; NULL: a weight. */
    const yki_attr *buffer;
} yki_parameter;

/* How many micro-batches a buffer has seen; files have it as an integer. */
typedef struct yki_counter {
    const char *name;
    const yki_attr *of; /* as its buffers' */
} yki_counter;

typedef struct yki_node {
    int op;
    yki_attr attr;
    int nin, in[YKI_MAX_INPUTS]; /* values; -1: an absent operand */
    int nout, out[YKI_MAX_OUTPUTS];
    int layer;
    /* LINEAR: how its outputs may be cut: `sections` blocks of units of `unit` elements (q, k, v of whole
     * heads). EMBED: sections 0 where the table is cut by rows. */
    int64_t sections, unit;
    bool even; /* LINEAR: cut into equal shares alone (heads of k and v). Where the units divide the ranks
                  instead, several ranks make the same share; else every rank makes them all */
} yki_node;

/* A layer: what a person wrote down, and where a pipeline may cut before. */
typedef struct yki_layer {
    const char *name;
    int device; /* -1: the layout decides */
    bool cut;   /* a pipeline may cut before it */
} yki_layer;

/* What products are adapted, while a model is built; rank 0: none. */
enum { YKI_MOST_SEEN = 16 };
typedef struct yki_model_adapter {
    int64_t rank;
    double scale, dropout;
    struct {
        const char *name;
        bool matched;
    } * targets;
    int ntargets, nseen;
    const char *seen[YKI_MOST_SEEN]; /* last parts of names of products, for sentences */
    const char *above;               /* of all modules, in files of whole models; NULL: nothing */
    bool making;                     /* parameters are an adapter's */
} yki_model_adapter;

struct yoke_model {
    yki_arena arena;
    yki_value *values;
    int nvalues, cvalues;
    yki_node *nodes;
    int nnodes, cnodes;
    yki_parameter *parameters;
    int nparameters, cparameters;
    int *named, cnamed; /* a hash of the parameters by name: their numbers from 1; 0: an empty slot */
    yki_counter *counters;
    int ncounters, ccounters;
    yki_layer *layers;
    int nlayers, clayers;
    int input, target, output; /* values; -1: none */
    int places, picked;        /* of a model that generates; -1: it does not */
    int64_t slots, room;       /* of its cache: sequences, and tokens of each */
    yoke_loss loss;
    yki_model_adapter adapter;
    bool finished;
    bool is_sequence; /* samples are sequences of tokens */
    uint32_t serial;  /* of all models of this process, which tensors carry; from 1 */
    /* the builder */
    yoke_error error; /* the first; status YOKE_OK: none */
    int device;       /* -1: none named */
    char prefix[96];
    char name[96]; /* of the next layer; "" its number */
    int number;    /* of the next layer without a name */
};

/* Elements of a value: of one sample where it is per sample. */
int64_t yki_value_elems(const yki_value *value);

/* Building, without layers and names: a node with its inputs; outputs are inferred by the operator's
 * descriptor. Returns the first output's value, or -1 with the model's error set. */
int yki_graph_node(yoke_model *model, int op, const yki_attr *attr, int nin, const int *in);
/* As above, with how outputs may be cut. */
int yki_graph_node_cut(yoke_model *model, int op, const yki_attr *attr, int nin, const int *in,
                       int64_t sections, int64_t unit);
/* The number of a parameter; -1: the model has none of that name. */
int yki_graph_find(const yoke_model *model, const char *name);
/* A parameter's value. dims as in files. */
int yki_graph_parameter(yoke_model *model, const char *name, int ndim, const int64_t *dims, bool transposed,
                        yki_init init, double init_scale);
/* The last parameter's other name. */
void yki_graph_also(yoke_model *model, const char *name);
/* A buffer's value; `of` is copied. */
int yki_graph_buffer(yoke_model *model, const char *name, int64_t elems, yki_init init, const yki_attr *of);
/* A new value produced by the node under construction. */
int yki_graph_value(yoke_model *model, yki_role role, bool per_sample, int ndim, const int64_t *dims);
/* Starts a layer: its name is prefix + name, or prefix + number. Nodes made until the next one belong to it.
 */
const char *yki_graph_layer(yoke_model *model, bool cut);
/* Sets the model's error unless it has one. */
void yki_graph_fail(yoke_model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));
void yki_graph_fail_memory(yoke_model *model);

/* What a step loads from the host: the value of INPUT, TARGET, PLACES or PICKED. */
static inline bool yki_is_source(int op)
{
    return op >= YKI_OP_INPUT && op < YKI_OP_RESHAPE;
}
static inline int yki_source_value(const yoke_model *model, int op)
{
    const int values[] = {model->input, model->target, model->places, model->picked};
    return values[op - YKI_OP_INPUT];
}

/* Makes a finished model of sequences of one token one that generates (cached.c): what was a sample is a row,
 * a token of any of `slots` sequences, whose keys and values so far, up to `room` tokens, are kept in a
 * cache; and the output is of one row of each slot. The loss is left out. YOKE_INVALID: the model attends to
 * what comes later. */
yoke_status yki_graph_recall(yoke_model *model, int64_t slots, int64_t room);

/* Finds the parameters that are hidden matrices. */
void yki_graph_find_matrices(yoke_model *model);
/* Layers whose output reaches no loss, or which the input does not reach: YOKE_INVALID names the first. */
yoke_status yki_graph_check_connected(const yoke_model *model);

#endif
