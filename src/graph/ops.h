/* Operators: a row each, in the files of graph/ops. How a tensor-parallel cut passes through, gradient,
 * tokens. */
#ifndef YKI_GRAPH_OPS_H
#define YKI_GRAPH_OPS_H

#include "backend/signature.h"
#include "graph/graph.h"

/* The state of a value along one mesh axis. A sharded dim of `sections` blocks is cut inside each block, in
 * units; where there are fewer units than ranks to cut evenly, `copies` ranks in a row share each share, for
 * divided work like that on a replicated value. A replicated value that is `divided` is what work reads of
 * which each rank does a share: its gradient is partial, where that of any other replicated value is
 * replicated. */
typedef struct yki_spec {
    yki_placement state;
    bool divided;
    int dim, copies; /* copies 0: as 1 */
    int64_t sections, unit;
    yki_reduction reduction; /* partial: what is still to be taken */
} yki_spec;

#define YKI_SPEC_REPLICATED ((yki_spec){.state = YKI_REPLICATED})
#define YKI_SPEC_DIVIDED    ((yki_spec){.state = YKI_REPLICATED, .divided = true})
#define YKI_SPEC_PARTIAL    ((yki_spec){.state = YKI_PARTIAL, .reduction = YKI_SUM})

static inline yki_spec yki_spec_sharded(int dim, int64_t sections, int64_t unit)
{
    return (yki_spec){.state = YKI_SHARDED, .dim = dim, .sections = sections, .unit = unit};
}

static inline int yki_spec_copies(yki_spec spec)
{
    return spec.state == YKI_SHARDED && spec.copies > 1 ? spec.copies : 1;
}

bool yki_spec_equal(yki_spec a, yki_spec b);

/* Samples that are sequences have a row for each position: their first dim, where that is not the last. */
static inline bool yki_has_rows(const yki_value *value)
{
    return value->per_sample && value->ndim > 1;
}
/* Whether it is cut between its rows. */
static inline bool yki_spec_cuts_rows(yki_spec spec, const yki_value *value)
{
    return spec.state == YKI_SHARDED && spec.dim == 0 && yki_has_rows(value);
}

/* n over k: the first n mod k get one more. */
static inline int64_t yki_share(int64_t n, int k, int i)
{
    return n / k + (i < n % k);
}
static inline int64_t yki_share_start(int64_t n, int k, int i)
{
    return n / k * i + (i < n % k ? i : n % k);
}

/* Elements of a dim of `size` that rank i of k holds under a spec, and the first of them (in each section).
 */
int64_t yki_spec_share(yki_spec spec, int64_t size, int k, int i);
int64_t yki_spec_start(yki_spec spec, int64_t size, int k, int i);

/* A question to an operator's rule: given the states of its inputs along an axis of `ranks`, which states
 * does it want (rewritten in place), and which do its outputs have? Parameters not placed yet are `free`.
 * Where an output is sharded, partial or divided, the node is divided work: who asked makes activations that
 * it wants replicated divided ones. */
typedef struct yki_cut_query {
    const yoke_model *model;
    const yki_node *node;
    int ranks;
    bool sp; /* sequence parallelism: what products do not need whole is cut between its rows */
    yki_spec in[YKI_MAX_INPUTS];
    bool free[YKI_MAX_INPUTS];
    yki_spec out[YKI_MAX_OUTPUTS];
} yki_cut_query;

/* Builds the backward pass of one node of a placed graph; implemented by plan/grad.c. Handles are values of
 * that graph; -1 is none. */
typedef struct yki_grad_context yki_grad_context;
struct yki_grad_context {
    int (*in)(yki_grad_context *context, int i);      /* the node's input */
    int (*out)(yki_grad_context *context, int i);     /* its output */
    int (*dout)(yki_grad_context *context, int i);    /* the gradient of its output; -1: none */
    bool (*wanted)(yki_grad_context *context, int i); /* does input i need a gradient? */
    const yki_attr *attr;
    /* Emits a node: op over inputs; the new value has the shape and role of value `like`. */
    int (*emit)(yki_grad_context *context, int op, const yki_attr *attr, int nin, const int *in, int like);
    /* The same with an output for each of `like`; -1 in out[0] where memory is out. */
    void (*emit_several)(yki_grad_context *context, int op, const yki_attr *attr, int nin, const int *in,
                         int nout, const int *like, int *out);
    /* Emits a node whose outputs are gradients of the parameters at inputs a and b (-1: none) of the node. */
    void (*emit_parameter)(yki_grad_context *context, int op, int nin, const int *in, int a, int b);
    /* What is known of the gradient of input i, which from here on is not: who takes it gives more. -1: none.
     */
    int (*taken)(yki_grad_context *context, int i);
    /* The sum of a value that is not per sample over all ranks that have samples of the micro-batch. */
    int (*over_replicas)(yki_grad_context *context, int value);
    /* The gradient of attention part by part, whose keys go round the ranks of a sequence. */
    void (*attend_back)(yki_grad_context *context);
    /* Says that `value` is (part of) the gradient of input i. */
    void (*give)(yki_grad_context *context, int i, int value);
};

/* What a rank has of an operator's values, from which constants of its node follow. */
typedef struct yki_locality {
    const yki_cut_query *query; /* answered */
    int rank;                   /* along its axis */
    int64_t tokens;             /* of each sequence that the axis has; -1: all, whatever a sample is */
    yki_positions positions;    /* theirs */
    yki_attr *attr;             /* the node's, to be completed */
    bool skip_bias;             /* what it adds once, another rank adds */
    bool counts_loss; /* this rank's loss is part of the global one; unless a rule says so, that of the first
                       */
} yki_locality;

/* How an operator sees the tokens of a sequence, [T, ...], of which context parallelism gives ranks shares.
 */
typedef enum yki_tokens {
    YKI_TOKENS_MIXED,    /* several at once: refused */
    YKI_TOKENS_KEPT,     /* it has a weight or statistics for each: refused */
    YKI_TOKENS_APART,    /* each by itself */
    YKI_TOKENS_ATTENDED, /* all, as attention (plan/context.c) */
} yki_tokens;

/* A row: what the graph and the compiler know of an operator beside the signature of its kernel. */
typedef struct yki_op_info {
    yki_tokens tokens;
    void (*infer)(yoke_model *model,
                  yki_node *node);               /* makes the outputs; NULL: as its kernel's signature says */
    yoke_status (*cut)(yki_cut_query *query);    /* NULL: every input replicated */
    void (*localise)(yki_locality *locality);    /* NULL: its constants are the same on every rank */
    void (*gradient)(yki_grad_context *context); /* NULL: nothing flows back */
    bool of_loss;                                /* it is left out where there are no targets */
    bool root;                                   /* its gradient needs no gradient of its outputs */
    bool of_group;    /* its kernel counts the samples of the micro-batch on all ranks */
    bool keeps_state; /* writes buffers of the model, in training alone; goes with `once` */
    bool once;        /* it does more than make its outputs: never run again for a micro-batch */
    int recalls;  /* the operator that stands in its place where rows are of several sequences, and is given
                     their places too; 0: itself */
    bool attends; /* it is of attention's core, which recompute: selective makes again */
    int matrix;   /* which input is a matrix that multiplies rows of the first one; 0: none */
} yki_op_info;

/* Defines the row of an operator: of one that kernel.h calls so, of RESHAPE, or of COPY. */
#define YKI_OPERATOR(id) const yki_op_info yki_op_##id

/* The row of an operator; an empty one of what is none. */
const yki_op_info *yki_op(int op);
/* Makes a node's outputs; sets the model's error. */
void yki_infer(yoke_model *model, yki_node *node);
/* The name of an operator, a kernel or a movement; static. */
const char *yki_op_name(int op);
/* How its kernel sees operand i, inputs and then outputs; NULL: it has no kernel. */
const yki_word *yki_op_word(int op, int i);
/* How many of its inputs its kernel is given; the rest is for the gradient. nin: of the node. */
int yki_op_inputs(int op, int nin);
/* Where its first output may lie. */
yki_in_place yki_op_in_place(int op);

#endif
