/* Kernels: what a backend can compute, by name, operand for operand. A backend knows no graph and no plan: it
 * sees views of memory, constants of the node, and what changes from launch to launch.
 *
 * Shapes use this legend: n samples of a micro-batch (0 is legal everywhere: nothing is read), R rows = all
 * leading dims together, T sequence, D width, K inputs and N outputs of a product, V classes, H heads, d
 * width of a head. "x" is the activation type (f32 or bf16); weights have it too. Statistics (mean, rstd,
 * lse, ...), losses and gradients of weights are f32. Views are contiguous and row-major. An absent optional
 * operand has data NULL and ndim 0. Gradients of weights are added to where launch->accumulate is set and
 * overwritten (every element, n = 0 too) where it is not. Sums run in a fixed order: the same launch gives
 * the same bits whatever the timing. */
#ifndef YKI_BACKEND_KERNEL_H
#define YKI_BACKEND_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/model.h"

/* Tables, a row each: wider than the rest of the house. */
/* clang-format off */

/* kernel, operands: inputs -> outputs */
#define YKI_KERNEL_LIST(X)                                                                                                \
    X(LINEAR, "linear")                   /* x[R,K] w[N,K] bias?[N] -> y[R,N]: y = x w^T + b */                           \
    X(LINEAR_DX, "linear.dx")             /* dy[R,N] w[N,K] -> dx[R,K] */                                                 \
    X(LINEAR_DW, "linear.dw")             /* x[R,K] dy[R,N] -> dw[N,K] f32 */                                             \
    X(BIAS_GRAD, "bias.grad")             /* dy[R,N] -> db[N] f32 */                                                      \
    X(CONV2D, "conv2d")                   /* x[n,C,h,w] w[O,C,k,k] bias?[O] -> y[n,O,h',w'] */                            \
    X(CONV2D_DX, "conv2d.dx")             /* dy[n,O,h',w'] w -> dx[n,C,h,w] */                                            \
    X(CONV2D_DW, "conv2d.dw")             /* x dy -> dw[O,C,k,k] f32 */                                                   \
    X(CONV2D_BIAS_GRAD, "conv2d.bias.grad") /* dy[n,O,h',w'] -> db[O] f32 */                                              \
    X(MAXPOOL2D, "maxpool2d")             /* x[n,C,h,w] -> y[n,C,h',w'] argmax[n,C,h',w'] i32 (offset in the h x w plane) */ \
    X(MAXPOOL2D_GRAD, "maxpool2d.grad")   /* dy argmax -> dx[n,C,h,w] */                                                  \
    X(AVGPOOL2D, "avgpool2d")             /* x -> y */                                                                    \
    X(AVGPOOL2D_GRAD, "avgpool2d.grad")   /* dy -> dx */                                                                  \
    X(EMBED, "embed")                     /* ids[R] i32 table[V,D] -> y[R,D]; ids outside offset..offset+V-1 give zeros */ \
    X(EMBED_GRAD, "embed.grad")           /* ids dy[R,D] -> dtable[V,D] f32 */                                            \
    X(POSITION, "position")               /* x[n,T,D] p[P,D] -> y[n,T,D]: y = x + p[offset + position of t]; may be in place */ \
    X(POSITION_GRAD, "position.grad")     /* dy[n,T,D] -> dp[P,D] f32 */                                                  \
    X(LAYERNORM, "layernorm")             /* x[R,D] w[D] b[D] -> y mean[R] rstd[R] */                                     \
    X(LAYERNORM_DX, "layernorm.dx")       /* dy x w mean rstd -> dx */                                                    \
    X(LAYERNORM_DW, "layernorm.dw")       /* dy x mean rstd -> dw[D] db[D] f32 */                                         \
    X(RMSNORM, "rmsnorm")                 /* x[R,D] w[D] -> y rstd[R] */                                                  \
    X(RMSNORM_DX, "rmsnorm.dx")           /* dy x w rstd -> dx */                                                         \
    X(RMSNORM_DW, "rmsnorm.dw")           /* dy x rstd -> dw[D] f32 */                                                    \
    X(BATCH_SUM, "batch.sum")             /* x[n,C,...] -> sum[C] f32, over samples and places; zeros where nothing trains */\
    X(BATCH_SQUARES, "batch.squares")     /* x[n,C,...] sum[C] -> squares[C] f32: sum of (x - mean)^2, mean = sum / N; zeros where nothing trains */\
    X(BATCH_STATS, "batch.stats")         /* sum[C] squares[C] running_mean[C] running_var[C], all f32 -> stats[2,C] f32: mean and rstd, of the running ones where nothing trains */\
    X(BATCH_TRACK, "batch.track")         /* sum[C] squares[C] -> mean[C] var[C] f32: what this micro-batch adds to the running ones, like gradients of weights; see attr.momentum */\
    X(BATCHNORM, "batchnorm")             /* x[n,C,...] stats[2,C] f32 w?[C] b?[C] -> y = (x - mean) rstd w + b; may be in place */\
    X(BATCHNORM_SUMS, "batchnorm.sums")   /* dy x stats -> sums[2,C] f32: of dy, and of dy (x - mean) rstd */             \
    X(BATCHNORM_DX, "batchnorm.dx")       /* dy x stats sums w?[C] -> dx; may be in place of dy */                        \
    X(BATCHNORM_DW, "batchnorm.dw")       /* sums[2,C] -> dw[C] db[C] f32 */                                              \
    X(ACTIVATE, "activate")               /* x -> y: attr.activation; may be in place */                                  \
    X(ACTIVATE_GRAD, "activate.grad")     /* dy saved -> dx: saved is y for relu, tanh, sigmoid, x for the others; may be in place of dy */ \
    X(SOFTMAX, "softmax")                 /* x[R,D] -> y; may be in place */                                              \
    X(SOFTMAX_GRAD, "softmax.grad")       /* dy y -> dx; may be in place of dy */                                         \
    X(DROPOUT, "dropout")                 /* x -> y: kept with 1-p and scaled by 1/(1-p); the gradient is the same on dy; may be in place */ \
    X(ADD, "add")                         /* a b -> y; may be in place of a */                                            \
    X(CAST, "cast")                       /* x -> y of another type */                                                    \
    X(COPY_SLICE, "copy.slice")           /* x[n*outer, global, inner] -> y[n*outer, local, inner] at attr.offset of dim `global` */ \
    X(ATTENTION, "attention")             /* qkv[n,T,3,H,d] -> y[n,T,H,d] lse[n,H,T] f32: causal where attr.causal, scale 1/sqrt(d) */ \
    X(ATTENTION_GRAD, "attention.grad")   /* dy qkv y lse -> dqkv[n,T,3,H,d] */                                           \
    X(ROPE, "rope")                       /* x[n,T,H,d], d even -> y: each head turned by its position (backend/rope.h), back where attr.inverse; may be in place */ \
    X(GATE, "gate")                       /* a b -> y = silu(a) b; may be in place of a */                                \
    X(GATE_GRAD, "gate.grad")             /* dy a b -> da db; da may be in place of dy */                                 \
    X(GQA, "gqa")                         /* q[n,T,H,d] k[n,T,G,d] v[n,T,G,d] -> y[n,T,H,d] lse[n,H,T] f32: as ATTENTION; query head h reads head (offset + h) / group - first_group of k and v */ \
    X(GQA_GRAD, "gqa.grad")               /* dy q k v y lse -> dq dk dv; a head of k that no query head here reads gets zeros */ \
    X(ATTEND, "attend")                   /* y?[n,T,H,d] lse?[n,H,T] f32 q[n,T,H,d] kv[n,S,2,G,d] -> y lse: as GQA over these keys and those that y? and lse? saw; where none is seen y is 0 and lse -inf. y? and y may be f32, and y in place of y? */ \
    X(ATTEND_GRAD, "attend.grad")         /* dq?[n,T,H,d] dy q kv y lse -> dq dkv[n,S,2,G,d]: y and lse over all keys; dq is added to dq?. These three may be f32, and dq in place of dq? */ \
    X(JOIN, "join")                       /* a[R,A] b[R,B] -> y[R,A+B] of any floating types */                           \
    X(SPLIT, "split")                     /* x[R,A+B] -> a[R,A] b[R,B] of any floating types */                           \
    X(XENT_MAX, "xent.max")               /* logits[R,V] -> max[R] f32 */                                                 \
    X(XENT_SUM, "xent.sum")               /* logits[R,V] targets[R] i32 max[R] -> stats[R,2] f32: sum of exp(l - max), and l - max at the target (0 if not here) */ \
    X(XENT_LOSS, "xent.loss")             /* max[R] stats[R,2] -> lse[R] f32; *launch->loss += sum over rows of lse - l[target] */ \
    X(XENT_GRAD, "xent.grad")             /* logits[R,V] targets lse -> dlogits = (exp(l - lse) - [v is target]) * scale; may be in place */ \
    X(MSE_LOSS, "mse.loss")               /* y target f32 -> (none); *launch->loss += sum (y - t)^2 */                    \
    X(MSE_GRAD, "mse.grad")               /* y target f32 -> dy = 2 (y - t) * scale; may be in place */                   \
    X(ZERO, "zero")                       /* -> y of any type */                                                          \
    X(SUM_SQUARES, "sum.squares")         /* g f32 -> (none); *launch->loss += sum g^2 (double; not finite if any g is not) */ \
    X(ADAM, "adam")                       /* g f32 -> w f32, m f32, v f32, w16? bf16 copy of w */                         \
    X(SGD, "sgd")                         /* g f32 -> w f32, momentum? f32, w16? bf16 copy of w */                        \
    X(BLEND, "blend")                     /* g f32 -> w f32: w = attr.p w + g */

typedef enum yki_kernel {
#define YKI_KERNEL_ENUM(id, name) YKI_KERNEL_##id,
    YKI_KERNEL_LIST(YKI_KERNEL_ENUM)
#undef YKI_KERNEL_ENUM
        YKI_KERNEL_COUNT
} yki_kernel;

typedef enum yki_dtype { YKI_F32, YKI_BF16, YKI_I32 } yki_dtype;

static inline size_t yki_dtype_bytes(yki_dtype dtype) { return dtype == YKI_BF16 ? 2 : 4; }

typedef struct yki_view {
    void *data;
    yki_dtype dtype;
    int ndim;
    int64_t dims[YOKE_MAX_DIMS];
} yki_view;

static inline int64_t yki_view_elems(const yki_view *view)
{
    int64_t elems = 1;
    for (int i = 0; i < view->ndim; i++) elems *= view->dims[i];
    return elems;
}

/* Where the rows of a part of a sequence stand in the whole: row t at position first + t, from row `split` on at
 * first + jump + t. Zeros: it is the whole, or begins as it does. */
typedef struct yki_positions {
    int64_t first, split, jump; /* jump >= 0 */
} yki_positions;

static inline int64_t yki_position(const yki_positions *rows, int64_t t)
{
    return rows->first + t + (t >= rows->split ? rows->jump : 0);
}

/* Those of the rows from `start` on. */
static inline yki_positions yki_positions_from(yki_positions rows, int64_t start)
{
    if (start >= rows.split) return (yki_positions){.first = rows.first + start + rows.jump};
    return (yki_positions){rows.first + start, rows.split - start, rows.jump};
}

/* How many of `count` rows stand at `position` or before. */
static inline int64_t yki_positions_until(const yki_positions *rows, int64_t count, int64_t position)
{
    int64_t split = rows->split < count ? rows->split : count, at = position + 1 - rows->first;
    if (at - rows->jump > split) return at - rows->jump < count ? at - rows->jump : count;
    return at < 0 ? 0 : at < split ? at : split;
}

/* Constants of a node, fixed when it is planned. Fields that a kernel does not name are 0. */
typedef struct yki_attr {
    yoke_activation activation;       /* ACTIVATE* */
    double eps;                       /* norms */
    double p;                         /* DROPOUT, ATTENTION*, GQA*: probability of dropping; BLEND: see there */
    double momentum;                  /* BATCH_TRACK: adds momentum (1 - momentum)^launch->later times the mean and the unbiased variance, nothing where N < 2 */
    bool own_statistics;              /* BATCH*: of the samples of one data-parallel rank, not of all */
    uint64_t key;                     /* dropout's name as a number: yki_rng_key(seed, name, 0) */
    int64_t kernel, stride, padding;  /* CONV2D*, pools */
    bool causal;                      /* ATTENTION*, GQA*, ATTEND* */
    bool inverse;                     /* ROPE: turns back */
    double theta;                     /* ROPE: the base of its frequencies */
    yoke_rope_scaling scaling;        /* ROPE */
    int64_t width;                    /* ROPE, GQA*, ATTEND*: of a head */
    int64_t group, first_group;       /* GQA*, ATTEND*: query heads to a head of k and v; the first global head of k and v here */
    int64_t offset;                   /* first global row (EMBED*, POSITION*, ROPE), class (XENT_*), head (ATTENTION*, GQA*, ATTEND*) or element of `global` here */
    int64_t global;                   /* heads (ATTENTION*, GQA*, ATTEND*) over all shards; DROPOUT, COPY_SLICE: see below */
    yki_positions rows;                    /* of x (POSITION*, ROPE), queries (ATTEND*), the outer dim (DROPOUT) */
    yki_positions keys;                    /* ATTEND* */
    int64_t length;                   /* tokens of a whole sequence (ATTEND*), of the whole outer dim (DROPOUT; 0: outer) */
    int64_t outer, local, inner;      /* DROPOUT: element (s, o, l, i) of [n, outer, local, inner] is global element
                                         ((s + launch->sample_offset) * length + position of o) * global * inner + (offset + l) * inner + i.
                                         BATCH*: values of a channel in a sample are `inner`, so N = launch->group_samples * inner.
                                         ATTENTION*, GQA* and ATTEND* drop the weight of u for t in head h of sample s, which is global element
                                         (((s + launch->sample_offset) * global + offset + h) * T + t) * T + u, by positions in whole sequences of T */
} yki_attr;

/* One optimizer update, the same for all elements of a segment. Gradients are multiplied by grad_scale first. */
typedef struct yki_update {
    double lr, grad_scale, weight_decay;    /* doubles: in f32 alone 1 - 0.999 is wrong in its fifth digit */
    double beta1, beta2, eps, bias1, bias2; /* ADAM: bias1 = 1 - beta1^t, bias2 = 1 - beta2^t at update t = 1, 2, ... */
    bool decoupled;                         /* ADAM: w -= lr * weight_decay * w first (AdamW); else decay is added to g */
    double momentum;                        /* SGD: momentum = momentum * before + g, and w -= lr * momentum */
    bool nesterov;                          /* SGD: w -= lr * (g + momentum * new momentum) instead */
} yki_update;

/* One launch: views in the order of the list above, inputs then outputs. */
#define YKI_MAX_VIEWS 9
typedef struct yki_launch {
    yki_kernel kernel;
    const yki_attr *attr;
    int nviews;
    yki_view views[YKI_MAX_VIEWS];
    bool accumulate;           /* gradients of weights: add to what is there */
    bool training;             /* dropout drops */
    float scale;               /* losses: 1 / global count of what is averaged */
    uint64_t step;             /* dropout: element i stays where yki_rng_uniformf(yki_rng_bits(attr->key, step), i) >= p */
    int64_t sample_offset;     /* dropout: position of the first sample in the step's batch */
    int64_t group_samples;     /* BATCH*: samples that the statistics are of, on all ranks that have some */
    int64_t later;             /* BATCH_TRACK: micro-batches of the step that come later and are tracked too */
    double *loss;              /* XENT_LOSS, MSE_LOSS, SUM_SQUARES */
    const yki_update *update;  /* ADAM, SGD */
    void *workspace;           /* as many bytes as the backend asked for, 64-byte aligned */
    size_t workspace_bytes;
} yki_launch;

/* clang-format on */

/* The name of a kernel, static. */
const char *yki_kernel_name(yki_kernel kernel);

#endif
