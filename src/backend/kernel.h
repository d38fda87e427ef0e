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

/* A kernel's row: name, signature, work, and what it does. OPERATOR: something that a graph may hold, which has
 * a row there too (graph/ops.h); KERNEL: what gradients and steps launch.
 *
 * The signature has a word for each operand, inputs > outputs, from which follow what a launch is held to, the
 * views that a plan makes, the shapes that a graph infers and the cases that tests draw (signature.h). A word
 * starts with the operand's type:
 *   x       what computes, f32 or bf16, the same throughout a launch       X  the other of the two
 *   f p     f32; above 0                                                   h  bf16
 *   v       f32 or bf16, whatever others have                              s  f32 or as x: what is still summed
 *   z       any, the same throughout a launch
 *   i t a j i32: ids, targets, offsets in a plane to be read, to be written
 * and goes on with a letter or digit for each dim of the view; a letter is the same number throughout. R is all
 * leading dims together, samples included, E all elements, n the samples, i at the end whatever dims are left.
 * Parentheses hold what the kernel sees of one dim of a tensor, "(3Hd)" of its heads; at the start, of all of
 * it. Letters that attr names there, and in outputs where no input has them, are d width, o outer, g global, l local,
 * i inner; y and z are what its window (kernel, stride, padding) leaves of h and w.
 * A word ends with ? where the operand may be absent, and begins with = where an output may have the memory of
 * the first input; == where it may though another input is there too.
 *
 * Work is FLOPs, a number and letters to be multiplied: c is a half where attr.causal, less with a window,
 * P the pairs of a query and a key that it sees. "": as many as the operands have elements. */
#define YKI_KERNEL_LIST(OPERATOR, KERNEL) \
    OPERATOR(LINEAR, "linear", "xRK xNK xN? > xRN", "2RNK")                            /* x w bias? -> y = x w^T + b */ \
    KERNEL(LINEAR_DX, "linear.dx", "xRN xNK > xRK", "2RNK")                            /* dy w -> dx */ \
    KERNEL(LINEAR_DW, "linear.dw", "xRK xRN > fNK", "2RNK")                            /* x dy -> dw */ \
    OPERATOR(LINEAR_ADD, "linear.add", "xRN xRK xNK > =xRN", "2RNK")                   /* b x w -> y = b + x w^T */ \
    KERNEL(LINEAR_DX_ADD, "linear.dx.add", "xRK xRN xNK > =xRK", "2RNK")               /* b dy w -> dx = b + dy w */ \
    KERNEL(BIAS_GRAD, "bias.grad", "xRN > fN", "")                                     /* dy -> db */ \
    OPERATOR(CONV2D, "conv2d", "xnChw xOCkk xO? > xnOyz", "2nOyzCkk")                  /* x w bias? -> y */ \
    KERNEL(CONV2D_DX, "conv2d.dx", "xnOyz xOCkk > xnChw", "2nOyzCkk")                  /* dy w -> dx */ \
    KERNEL(CONV2D_DW, "conv2d.dw", "xnChw xnOyz > fOCkk", "2nOyzCkk")                  /* x dy -> dw */ \
    KERNEL(CONV2D_BIAS_GRAD, "conv2d.bias.grad", "xnOyz > fO", "")                     /* dy -> db */ \
    OPERATOR(MAXPOOL2D, "maxpool2d", "xnChw > xnCyz jnCyz", "")                        /* x -> y argmax (offset in the h x w plane) */ \
    KERNEL(MAXPOOL2D_GRAD, "maxpool2d.grad", "xnCyz anCyz > xnChw", "")                /* dy argmax -> dx */ \
    OPERATOR(AVGPOOL2D, "avgpool2d", "xnChw > xnCyz", "")                              /* x -> y */ \
    KERNEL(AVGPOOL2D_GRAD, "avgpool2d.grad", "xnCyz > xnChw", "")                      /* dy -> dx */ \
    OPERATOR(EMBED, "embedding", "iR xVD > xRD", "")                                   /* ids table -> y; ids outside offset..offset+V-1 give zeros */ \
    KERNEL(EMBED_GRAD, "embedding.grad", "iR xRD > fVD", "")                           /* ids dy -> dtable */ \
    OPERATOR(POSITION, "position", "xnTD xPD > =xnTD", "")                             /* x p -> y = x + p[offset + position of t] */ \
    KERNEL(POSITION_GRAD, "position.grad", "xnTD > fPD", "")                           /* dy -> dp */ \
    OPERATOR(LAYERNORM, "layernorm", "xRD xD xD > xRD fR fR", "")                      /* x w b -> y mean rstd */ \
    KERNEL(LAYERNORM_DX, "layernorm.dx", "xRD xRD xD fR pR > xRD", "")                 /* dy x w mean rstd -> dx */ \
    KERNEL(LAYERNORM_DW, "layernorm.dw", "xRD xRD fR pR > fD fD", "")                  /* dy x mean rstd -> dw db */ \
    OPERATOR(RMSNORM, "rmsnorm", "xRD xD > xRD fR", "")                                /* x w -> y rstd */ \
    KERNEL(RMSNORM_DX, "rmsnorm.dx", "xRD xRD xD pR > xRD", "")                        /* dy x w rstd -> dx */ \
    KERNEL(RMSNORM_DW, "rmsnorm.dw", "xRD xRD pR > fD", "")                            /* dy x rstd -> dw */ \
    OPERATOR(HEADNORM, "rmsnorm.heads", "xnT(Hd) xd > xnT(Hd) fnTH", "")               /* x w -> y rstd: RMSNORM of each head */ \
    KERNEL(HEADNORM_DX, "rmsnorm.heads.dx", "xnT(Hd) xnT(Hd) xd pnTH > xnT(Hd)", "")   /* dy x w rstd -> dx */ \
    KERNEL(HEADNORM_DW, "rmsnorm.heads.dw", "xnT(Hd) xnT(Hd) pnTH > fd", "")           /* dy x rstd -> dw */ \
    OPERATOR(GROUPNORM, "groupnorm", "xnCi xC? xC? > xnCi fng fng", "")                /* x w? b? -> y mean rstd: of g groups of channels, each over its channels and places */ \
    KERNEL(GROUPNORM_DX, "groupnorm.dx", "xnCi xnCi xC? fng png > xnCi", "")           /* dy x w? mean rstd -> dx */ \
    KERNEL(GROUPNORM_DW, "groupnorm.dw", "xnCi xnCi fng png > fC fC", "")              /* dy x mean rstd -> dw db */ \
    OPERATOR(BATCH_SUM, "batch.sum", "xnCi > fC", "")                                  /* x -> sum over samples and places; zeros where nothing trains */ \
    OPERATOR(BATCH_SQUARES, "batch.squares", "xnCi fC > fC", "")                       /* x sum -> squares: sum of (x - mean)^2, mean = sum / N; zeros where nothing trains */ \
    OPERATOR(BATCH_STATS, "batch.stats", "fC pC fC pC > f2C", "")                      /* sum squares running_mean running_var -> stats: mean and rstd, of the running ones where nothing trains */ \
    OPERATOR(BATCH_TRACK, "batch.track", "fC pC > fC fC", "")                          /* sum squares -> mean var: what this micro-batch adds to the running ones, like gradients of weights; see attr.momentum */ \
    OPERATOR(BATCHNORM, "batchnorm", "xnCi f2C xC? xC? > =xnCi", "")                   /* x stats w? b? -> y = (x - mean) rstd w + b */ \
    KERNEL(BATCHNORM_SUMS, "batchnorm.sums", "xnCi xnCi f2C > f2C", "")                /* dy x stats -> sums: of dy, and of dy (x - mean) rstd */ \
    OPERATOR(BATCHNORM_DX, "batchnorm.dx", "xnCi xnCi f2C f2C xC? > =xnCi", "")        /* dy x stats sums w? -> dx */ \
    KERNEL(BATCHNORM_DW, "batchnorm.dw", "f2C > fC fC", "")                            /* sums -> dw db */ \
    OPERATOR(ACTIVATE, "activation", "xE > =xE", "")                                   /* x -> y: attr.activation */ \
    KERNEL(ACTIVATE_GRAD, "activation.grad", "xE xE > =xE", "")                        /* dy saved -> dx: saved is y for relu, tanh, sigmoid, x for the others */ \
    OPERATOR(SOFTMAX, "softmax", "xRD > =xRD", "")                                     /* x -> y */ \
    KERNEL(SOFTMAX_GRAD, "softmax.grad", "xRD xRD > =xRD", "")                         /* dy y -> dx */ \
    OPERATOR(DROPOUT, "dropout", "x(noli) > =x(noli)", "")                             /* x -> y: kept with 1-p and scaled by 1/(1-p); the gradient is the same on dy */ \
    OPERATOR(SCALE, "scale", "xE > =xE", "")                                           /* x -> y = attr.of_a x; the gradient is the same on dy */ \
    OPERATOR(ADD, "add", "xE xE > ==xE", "")                                           /* a b -> y */ \
    KERNEL(CAST, "cast", "xE > XE", "")                                                /* x -> y of another type */ \
    KERNEL(COPY_SLICE, "slice", "z(nogi) > z(noli)", "")                               /* x -> y: `local` elements of dim `global` from attr.offset on */ \
    OPERATOR(ATTENTION, "attention", "xnT(3Hd) > xnT(Hd) fnHT", "4nTTHdc")             /* qkv -> y lse: causal where attr.causal, scale 1/sqrt(d) */ \
    KERNEL(ATTENTION_GRAD, "attention.grad", "xnT(Hd) xnT(3Hd) xnT(Hd) fnHT > xnT(3Hd)", "10nTTHdc") /* dy qkv y lse -> dqkv */ \
    OPERATOR(ROPE, "rope", "xnT(Hd) > =xnT(Hd)", "")                                   /* x -> y, d even: each head turned by its position (backend/rope.h), back where attr.inverse */ \
    OPERATOR(GATE, "gate", "xE xE > =xE", "")                                          /* a b -> y = silu(a) b */ \
    KERNEL(GATE_GRAD, "gate.grad", "xE xE xE > =xE xE", "")                            /* dy a b -> da db */ \
    OPERATOR(GQA, "grouped_attention", "xnT(Hd) xnT(Gd) xnT(Gd) > xnT(Hd) fnHT", "4nTTHdc") /* q k v -> y lse: as ATTENTION; query head h reads head (offset + h) / group - first_group of k and v */ \
    KERNEL(GQA_GRAD, "grouped_attention.grad", "xnT(Hd) xnT(Hd) xnT(Gd) xnT(Gd) xnT(Hd) fnHT > xnT(Hd) xnT(Gd) xnT(Gd)", "10nTTHdc") /* dy q k v y lse -> dq dk dv; a head of k that no query head here reads gets zeros */ \
    OPERATOR(ATTEND, "attention_part", "snT(Hd)? fnHT? xnT(Hd) xnS(2Gd) > =snT(Hd) fnHT", "4nPHd") /* y? lse? q kv -> y lse: as GQA over these keys and those that y? and lse? saw; where none is seen y is 0 and lse -inf */ \
    KERNEL(ATTEND_GRAD, "attention_part.grad", "snT(Hd)? xnT(Hd) xnT(Hd) xnS(2Gd) xnT(Hd) fnHT > =snT(Hd) snS(2Gd)", "10nPHd") /* dq? dy q kv y lse -> dq dkv: y and lse over all keys; dq is added to dq? */ \
    OPERATOR(POSITION_AT, "position_at", "xn1D xPD in2 > =xn1D", "")                   /* x p at -> y = x + p[position], at: a slot of the cache and a position in its sequence; as x where p has no such row */ \
    OPERATOR(ROPE_AT, "rope_at", "xn1(Hd) in2 > =xn1(Hd)", "")                         /* x at -> y: as ROPE, at the row's own position */ \
    OPERATOR(PICK, "pick", "xn1D iS > xSD", "")                                        /* x rows -> y = those of x; zeros where x has no such row */ \
    OPERATOR(RECALL, "cached_attention", "xn1(3Hd) in2 > xn1(Hd) xSHCd xSHCd", "4nHCd") /* qkv at -> y keys values: puts each row's k and v at its place in the cache [slots, heads, context, d], then attends as ATTENTION, causal, to what its slot has up to there; a place out of the cache is nobody's: y is 0 */ \
    OPERATOR(RECALL_GQA, "cached_grouped_attention", "xn1(Hd) xn1(Gd) xn1(Gd) in2 > xn1(Hd) xSGCd xSGCd", "4nHCd") /* q k v at -> y keys values: as RECALL, heads as GQA */ \
    OPERATOR(JOIN, "join", "vRA vRB > vRC", "")                                        /* a b -> y, C = A + B */ \
    OPERATOR(SPLIT, "split", "vRC > vRA vRB", "")                                      /* x -> a b, C = A + B */ \
    OPERATOR(XENT_MAX, "cross_entropy.max", "xRV > fR", "")                            /* logits -> max */ \
    OPERATOR(XENT_SUM, "cross_entropy.sum", "xRV tR fR > fR2", "")                     /* logits targets max -> stats: sum of exp(l - max), and l - max at the target (0 if not here) */ \
    OPERATOR(XENT_LOSS, "cross_entropy", "fR pR2 > fR", "")                            /* max stats -> lse; loss[0] += sum over rows of lse - l[target], loss[1] += rows with l[target] = max */ \
    KERNEL(XENT_GRAD, "cross_entropy.grad", "xRV tR fR > =xRV", "")                    /* logits targets lse -> dlogits = (exp(l - lse) - [v is target]) * scale */ \
    OPERATOR(MSE_LOSS, "mse", "xE fE >", "")                                           /* y target -> (none); *launch->loss += sum (y - t)^2 */ \
    KERNEL(MSE_GRAD, "mse.grad", "xE fE > =xE", "")                                    /* y target -> dy = 2 (y - t) * scale */ \
    KERNEL(ZERO, "zero", "> zE", "")                                                   /* -> y */ \
    KERNEL(SUM_SQUARES, "sum.squares", "fE >", "")                                     /* g -> (none); *launch->loss += sum g^2 (double; not finite if any g is not) */ \
    KERNEL(ADAM, "adam", "fE > fE fE pE hE?", "")                                      /* g -> w m v w16?, a bf16 copy of w */ \
    KERNEL(SGD, "sgd", "fE > fE fE? hE?", "")                                          /* g -> w momentum? w16?, a bf16 copy of w */ \
    KERNEL(LION, "lion", "fE > fE fE hE?", "")                                         /* g -> w m w16?, a bf16 copy of w */ \
    KERNEL(MOMENTUM, "momentum", "fE > =fE fE", "")                                    /* g -> u m: m = momentum m + (1 - momentum) g, u = m; or with nesterov the same blend of m and g */ \
    KERNEL(UNIT, "unit", "fE > =fE", "")                                               /* x -> y = x / max(attr.eps, the root of the sum of x^2) */ \
    KERNEL(COMBINE, "combine", "fE fE > ==fE", "")                                     /* a b -> y = attr.of_a a + attr.of_b b */ \
    KERNEL(BLEND, "blend", "fE > fE", "")                                              /* g -> w = attr.p w + g */

typedef enum yki_kernel {
#define YKI_KERNEL_ENUM(id, name, signature, work) YKI_KERNEL_##id,
    YKI_KERNEL_LIST(YKI_KERNEL_ENUM, YKI_KERNEL_ENUM)
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
    double eps;                       /* norms, UNIT */
    double p;                         /* DROPOUT, ATTENTION*, GQA*: probability of dropping; BLEND: see there */
    double of_a, of_b;                /* COMBINE, SCALE */
    bool low_rank;                    /* LINEAR: an adapter's first product, to a few columns (graph/ops/products.c) */
    double momentum;                  /* BATCH_TRACK: adds momentum (1 - momentum)^launch->later times the mean and the unbiased variance, nothing where N < 2 */
    bool own_statistics;              /* BATCH*: of the samples of one data-parallel rank, not of all */
    uint64_t key;                     /* dropout's name as a number: yki_rng_key(seed, name, 0) */
    int64_t kernel, stride, padding;  /* CONV2D*, pools */
    bool causal;                      /* ATTENTION*, GQA*, ATTEND* */
    int64_t window;                   /* of those, where causal: a query sees the last `window` positions, its own one included; 0: all */
    bool inverse;                     /* ROPE: turns back */
    double theta;                     /* ROPE: the base of its frequencies */
    yoke_rope_scaling scaling;        /* ROPE */
    int64_t width;                    /* ROPE, HEADNORM*, GQA*, ATTEND*: of a head */
    int64_t group, first_group;       /* GQA*, ATTEND*: query heads to a head of k and v; the first global head of k and v here */
    int64_t offset;                   /* first global row (EMBED*, POSITION*, ROPE), class (XENT_*), head (ATTENTION*, GQA*, ATTEND*) or element of `global` here */
    int64_t global;                   /* heads (ATTENTION*, GQA*, ATTEND*) and groups (GROUPNORM) over all shards; DROPOUT, COPY_SLICE: see below */
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
    double beta1, beta2;                    /* ADAM, LION */
    double eps, bias1, bias2;               /* ADAM: bias1 = 1 - beta1^t, bias2 = 1 - beta2^t at update t = 1, 2, ... */
    bool decoupled;                         /* ADAM: w -= lr * weight_decay * w first (AdamW); else decay is added to g */
    double momentum;                        /* SGD: momentum = momentum * before + g, and w -= lr * momentum; MOMENTUM: see there */
    bool nesterov;                          /* SGD: w -= lr * (g + momentum * new momentum) instead; MOMENTUM: see there */
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
    double *loss;              /* XENT_LOSS: two, and rows whose target is likeliest; MSE_LOSS, SUM_SQUARES */
    const yki_update *update;  /* ADAM, SGD, LION, MOMENTUM */
    void *workspace;           /* as many bytes as the backend asked for, 64-byte aligned */
    size_t workspace_bytes;
} yki_launch;

/* clang-format on */

/* The name of a kernel, static. */
const char *yki_kernel_name(yki_kernel kernel);

#endif
