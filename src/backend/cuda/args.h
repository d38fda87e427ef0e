/* What each kernel is given: one struct, by value. Shared by the host's C, which fills them in, and by the
 * kernels' CUDA. Names of dims are those of backend/kernel.h; absent operands are NULL. Which type "x" is,
 * the kernel's name says. */
#ifndef YKI_BACKEND_CUDA_ARGS_H
#define YKI_BACKEND_CUDA_ARGS_H

#include <stdint.h>

/* As yki_positions. */
typedef struct yki_cuda_positions {
    int64_t first, split, jump;
} yki_cuda_positions;

/* Elements one by one. */
typedef struct yki_cuda_each {
    int64_t n;
    const void *a, *b, *c;
    void *x, *y;
    float p, q;
    int kind; /* yoke_activation */
} yki_cuda_each;

typedef struct yki_cuda_dropout {
    int64_t n;
    const void *x;
    void *y;
    int64_t outer, local, inner, global, offset, length, first; /* first: sample_offset */
    yki_cuda_positions rows;
    uint64_t key;
    double p;
    float scale;
} yki_cuda_dropout;

typedef struct yki_cuda_slice {
    int64_t n;
    const void *x;
    void *y;
    int64_t local, inner, global, offset;
} yki_cuda_slice;

/* [R,A] and [R,B] beside each other in [R,A+B]; each f32, or bf16 where its half_ says so. */
typedef struct yki_cuda_beside {
    int64_t R, A, B;
    void *a, *b, *both;
    int half_a, half_b, half_both;
} yki_cuda_beside;

typedef struct yki_cuda_rope {
    const void *x;
    void *y;
    int64_t n, T, H, d, offset;
    yki_cuda_positions rows;
    double theta, factor, context, low, high;
    const int32_t *at; /* [n,2]: each row's own position is the second; T is 1. NULL: none has */
    float sign;
} yki_cuda_rope;

typedef struct yki_cuda_embed {
    int64_t R, V, D, offset;
    const int32_t *ids;
    const void *from; /* the table; of the gradient, dy */
    void *to;
    int accumulate;
} yki_cuda_embed;

typedef struct yki_cuda_position {
    int64_t n, T, D, P, offset;
    yki_cuda_positions rows;
    const void *x, *p; /* of the gradient, dy and NULL */
    void *y;
    int accumulate;
} yki_cuda_position;

/* Rows of D elements that are normalised. Element i of row r has channel r % groups * (D / places) + i /
 * places. */
typedef struct yki_cuda_norm {
    int64_t R, D, places, groups;
    const void *x, *w, *b, *dy;
    void *y; /* of gradients, dx */
    float *mean, *rstd;
    float eps;
} yki_cuda_norm;

typedef struct yki_cuda_softmax {
    int64_t R, D;
    const void *x, *dy; /* of the gradient, x is y */
    void *y;
} yki_cuda_softmax;

typedef struct yki_cuda_entropy {
    int64_t R, V, offset;
    const void *logits;
    const int32_t *targets;
    const float *max, *lse;
    float *out; /* max, or stats */
    void *dlogits;
    float scale;
} yki_cuda_entropy;

/* Sums over rows, in two stages: each of `slices` shares of the rows leaves a row of `sums` (N, or 2N where
 * there are two) in `partial`; then those are added, in their order. */
typedef struct yki_cuda_columns {
    int64_t R, N, slices;
    const void *dy, *x;
    const float *mean, *rstd; /* of dy (x - mean) rstd; mean NULL: 0; x NULL: of dy alone */
    float *partial, *out, *out2;
    int accumulate;
} yki_cuda_columns;

/* Sums over samples and places of a channel, of [n,C,inner]. */
typedef struct yki_cuda_channels {
    int64_t n, C, inner;
    const void *x, *dy, *w, *b;
    const float *stats, *sums, *mean, *rstd; /* mean and rstd: of groups of samples (GROUPNORM) */
    void *y;
    float *out, *out2;
    int64_t groups;
    float count; /* N of the statistics */
    int accumulate, training;
} yki_cuda_channels;

typedef struct yki_cuda_statistics {
    int64_t C;
    const float *sum, *squares, *mean, *variance;
    float *out, *out2;
    double count, eps, share;
    int accumulate, training;
} yki_cuda_statistics;

/* Images x[n,C,H,W], results y[n,O,P,Q], windows of k by k. */
typedef struct yki_cuda_image {
    int64_t n, C, H, W, O, P, Q, k, s, p;
    const void *x, *w, *bias, *dy;
    void *out; /* y, dx or dw */
    int32_t *argmax;
    int accumulate;
} yki_cuda_image;

/* c[M,N] = a b + bias + added[M,N], where they are: element (m,k) of a is a[m a_m + k a_k], (k,n) of b is b[k
 * b_k + n b_n]. */
typedef struct yki_cuda_product {
    int64_t M, N, K, a_m, a_k, b_k, b_n;
    const void *a, *b, *bias, *added;
    void *c;
    int accumulate;
} yki_cuda_product;

/* A head's elements lie one after the other: of sample s, row t, head h from (s rows + t) step + first + h d
 * on. */
typedef struct yki_cuda_heads {
    void *data;
    int64_t rows, step, first;
} yki_cuda_heads;

typedef struct yki_cuda_attention {
    int64_t n, T, S, H, G, d;                          /* T queries of H heads, S keys of G */
    yki_cuda_heads q, k, v, y, before, dy, dq, dk, dv; /* before.data: y or dq so far, or NULL */
    const float *lse_before;
    float *lse, *dots; /* dots [n,H,T]: dy y */
    yki_cuda_positions queries, keys;
    int64_t window;                                             /* 0: all */
    int64_t offset, group, first_group, global, length, sample; /* group 0: head h reads head h */
    uint64_t key;
    double p; /* 0: nothing is dropped */
    float scale;
    int causal;
    int half_before, half_out, half_kv; /* before; y or dq; dk and dv: are bf16 */
} yki_cuda_attention;

/* A row of one sequence each, with a slot of the cache and a position there (at: pairs), one out of the cache
 * being nobody's; the cache is [slots, G, context, d]. */
typedef struct yki_cuda_recall {
    int64_t n, H, G, d, slots, context, window;
    int64_t offset, group, first_group; /* as in yki_cuda_attention */
    int64_t step_q, step_kv;            /* from row to row */
    const void *q, *k, *v;
    const int32_t *at;
    void *y, *keys, *values;
    float scale;
} yki_cuda_recall;

/* Rows that say where they stand (at), or which rows of x they are (rows). */
typedef struct yki_cuda_picked {
    int64_t n, D, P; /* n rows of y; P rows of p or x */
    const void *x, *p;
    void *y;
    const int32_t *at;
} yki_cuda_picked;

/* Sums into doubles, in two stages. */
typedef struct yki_cuda_total {
    int64_t n, blocks;
    const void *a, *b;
    float *lse;
    double *partial, *loss;
    int count; /* of sums: loss[0], loss[1] */
} yki_cuda_total;

/* x over the larger of eps and the root of the partial sums' sum. */
typedef struct yki_cuda_unit {
    int64_t n, blocks;
    const float *x;
    float *y;
    const double *partial;
    double eps;
} yki_cuda_unit;

typedef struct yki_cuda_update {
    int64_t n;
    const float *g;
    float *w, *m, *v;
    uint16_t *w16;
    float lr, scale, decay, beta1, beta2, rest1, rest2, eps, rate, root2, momentum;
    int decoupled, nesterov;
} yki_cuda_update;

#endif
