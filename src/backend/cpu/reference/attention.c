/* Attention (Vaswani et al. 2017): y = dropout(softmax(q k^T / sqrt(d))) v per head, with one row, or for
 * gradients one head, of weights in the workspace as doubles. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "base/rng.h"

typedef struct heads {
    const yki_launch *launch;
    const yki_view *qkv;
    int64_t n, T, H, d;
    uint64_t key;
} heads;

static heads read_heads(const yki_launch *launch, const yki_view *qkv)
{
    return (heads){.launch = launch,
                   .qkv = qkv,
                   .n = qkv->dims[0],
                   .T = qkv->dims[1],
                   .H = qkv->dims[3],
                   .d = qkv->dims[4],
                   .key = yki_rng_bits(launch->attr->key, launch->step)};
}

/* Element 0 of q (which = 0), k (1) or v (2) of a head at a time step; and of y. */
static int64_t qkv_at(const heads *g, int64_t s, int64_t t, int which, int64_t h)
{
    return (((s * g->T + t) * 3 + which) * g->H + h) * g->d;
}

static int64_t y_at(const heads *g, int64_t s, int64_t t, int64_t h)
{
    return ((s * g->T + t) * g->H + h) * g->d;
}

/* How many steps t sees. */
static int64_t seen(const heads *g, int64_t t)
{
    return g->launch->attr->causal ? t + 1 : g->T;
}

static double score(const heads *g, int64_t s, int64_t h, int64_t t, int64_t u)
{
    double dot = 0;
    for (int64_t i = 0; i < g->d; i++)
        dot += yki_get(g->qkv, qkv_at(g, s, t, 0, h) + i) * yki_get(g->qkv, qkv_at(g, s, u, 1, h) + i);
    return dot / sqrt((double)g->d);
}

/* What dropout multiplies a weight with. */
static double kept(const heads *g, int64_t s, int64_t h, int64_t t, int64_t u)
{
    const yki_attr *attr = g->launch->attr;
    if (!g->launch->training || attr->p == 0) return 1.0;
    int64_t head = (s + g->launch->sample_offset) * attr->global + attr->offset + h;
    return yki_rng_uniformf(g->key, (uint64_t)((head * g->T + t) * g->T + u)) >= attr->p
               ? 1.0 / (1.0 - attr->p)
               : 0.0;
}

static double attend_row(const heads *g, double *weights, int64_t s, int64_t h, int64_t t)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t u = 0; u < seen(g, t); u++) {
        weights[u] = score(g, s, h, t, u);
        largest = fmax(largest, weights[u]);
    }
    for (int64_t u = 0; u < seen(g, t); u++) sum += exp(weights[u] - largest);
    for (int64_t u = 0; u < seen(g, t); u++)
        weights[u] = exp(weights[u] - largest) / sum * kept(g, s, h, t, u);
    return largest + log(sum);
}

static void attention(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    heads g = read_heads(launch, &launch->views[0]);
    const yki_view *y = &launch->views[1], *lse = &launch->views[2];
    double *weights = launch->workspace;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t h = 0; h < g.H; h++)
            for (int64_t t = 0; t < g.T; t++) {
                yki_set(lse, (s * g.H + h) * g.T + t, attend_row(&g, weights, s, h, t));
                for (int64_t i = 0; i < g.d; i++) {
                    double sum = 0;
                    for (int64_t u = 0; u < seen(&g, t); u++)
                        sum += weights[u] * yki_get(g.qkv, qkv_at(&g, s, u, 2, h) + i);
                    yki_set(y, y_at(&g, s, t, h) + i, sum);
                }
            }
}

static size_t attention_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    return (size_t)shapes->views[0].dims[1] * sizeof(double);
}

/* Fills, for one head, the dropped weights and the gradients of the scaled scores, both [T,T]. */
static void score_gradients(const heads *g, double *weights, double *dscores, int64_t s, int64_t h)
{
    const yki_view *dy = &g->launch->views[0], *y = &g->launch->views[2], *lse = &g->launch->views[3];
    for (int64_t t = 0; t < g->T; t++) {
        double dot = 0;
        for (int64_t i = 0; i < g->d; i++)
            dot += yki_get(dy, y_at(g, s, t, h) + i) * yki_get(y, y_at(g, s, t, h) + i);
        for (int64_t u = 0; u < seen(g, t); u++) {
            double p = exp(score(g, s, h, t, u) - yki_get(lse, (s * g->H + h) * g->T + t)), dp = 0,
                   keep = kept(g, s, h, t, u);
            for (int64_t i = 0; i < g->d; i++)
                dp += yki_get(dy, y_at(g, s, t, h) + i) * yki_get(g->qkv, qkv_at(g, s, u, 2, h) + i);
            weights[t * g->T + u] = p * keep;
            dscores[t * g->T + u] = p * (dp * keep - dot) / sqrt((double)g->d);
        }
    }
}

static void attention_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    heads g = read_heads(launch, &launch->views[1]);
    const yki_view *dy = &launch->views[0], *dqkv = &launch->views[4];
    double *weights = launch->workspace, *dscores = weights + g.T * g.T;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t h = 0; h < g.H; h++) {
            score_gradients(&g, weights, dscores, s, h);
            for (int64_t t = 0; t < g.T; t++)
                for (int64_t i = 0; i < g.d; i++) {
                    double dq = 0, dk = 0, dv = 0;
                    for (int64_t u = 0; u < seen(&g, t); u++)
                        dq += dscores[t * g.T + u] * yki_get(g.qkv, qkv_at(&g, s, u, 1, h) + i);
                    for (int64_t u = launch->attr->causal ? t : 0; u < g.T; u++) { /* the steps that see t */
                        dk += dscores[u * g.T + t] * yki_get(g.qkv, qkv_at(&g, s, u, 0, h) + i);
                        dv += weights[u * g.T + t] * yki_get(dy, y_at(&g, s, u, h) + i);
                    }
                    yki_set(dqkv, qkv_at(&g, s, t, 0, h) + i, dq);
                    yki_set(dqkv, qkv_at(&g, s, t, 1, h) + i, dk);
                    yki_set(dqkv, qkv_at(&g, s, t, 2, h) + i, dv);
                }
        }
}

static size_t attention_grad_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    int64_t T = shapes->views[1].dims[1];
    return (size_t)(2 * T * T) * sizeof(double);
}

void yki_reference_register_attention(yki_cpu_table *table)
{
    yki_cpu_register(
        table, YKI_KERNEL_ATTENTION,
        (yki_cpu_kernel){.source = "reference", .run = attention, .workspace_bytes = attention_bytes});
    yki_cpu_register(table, YKI_KERNEL_ATTENTION_GRAD,
                     (yki_cpu_kernel){.source = "reference",
                                      .run = attention_grad,
                                      .workspace_bytes = attention_grad_bytes});
}
