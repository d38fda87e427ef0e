/* Attention (Vaswani et al. 2017): y = dropout(softmax(q k^T / sqrt(d))) v per head, with one row, or for
 * gradients one head, of weights in the workspace as doubles. Grouped (Ainslie et al. 2023): several query
 * heads read one head of k and v. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "base/rng.h"

/* Heads of one operand, in [n, T, ...] rows of `step` elements: the first lies at element `first` of a row.
 */
typedef struct operand {
    const yki_view *view;
    int64_t step, first;
} operand;

typedef struct heads {
    const yki_launch *launch;
    operand q, k, v, y; /* y: its gradient too */
    int64_t n, T, H, G, d;
    uint64_t key;
} heads;

/* The operands from views[at]: qkv, or q, k and v; then the output. */
static heads read_heads(const yki_launch *launch, int at)
{
    const yki_view *q = &launch->views[at];
    heads g = {.launch = launch, .n = q->dims[0], .T = q->dims[1]};
    g.key = yki_rng_bits(launch->attr->key, launch->step);
    if (launch->kernel == YKI_KERNEL_ATTENTION || launch->kernel == YKI_KERNEL_ATTENTION_GRAD) {
        g.H = g.G = q->dims[3], g.d = q->dims[4];
        int64_t width = g.H * g.d;
        g.q = (operand){q, 3 * width, 0}, g.k = (operand){q, 3 * width, width};
        g.v = (operand){q, 3 * width, 2 * width}, g.y = (operand){q + 1, width, 0};
        return g;
    }
    g.H = q->dims[2], g.d = q->dims[3], g.G = q[1].dims[2];
    g.q = (operand){q, g.H * g.d, 0}, g.k = (operand){q + 1, g.G * g.d, 0};
    g.v = (operand){q + 2, g.G * g.d, 0}, g.y = (operand){q + 3, g.H * g.d, 0};
    return g;
}

/* Element i of a head at a time step. */
static int64_t place(const heads *g, operand o, int64_t s, int64_t t, int64_t h, int64_t i)
{
    return (s * g->T + t) * o.step + o.first + h * g->d + i;
}

static double get(const heads *g, operand o, int64_t s, int64_t t, int64_t h, int64_t i)
{
    return yki_get(o.view, place(g, o, s, t, h, i));
}

/* The head of k and v that query head h reads. */
static int64_t read_by(const heads *g, int64_t h)
{
    const yki_attr *attr = g->launch->attr;
    return attr->group > 0 ? (attr->offset + h) / attr->group - attr->first_group : h;
}

/* How many steps t sees. */
static int64_t seen(const heads *g, int64_t t)
{
    return g->launch->attr->causal ? t + 1 : g->T;
}

static double score(const heads *g, int64_t s, int64_t h, int64_t t, int64_t u)
{
    double dot = 0;
    for (int64_t i = 0; i < g->d; i++) dot += get(g, g->q, s, t, h, i) * get(g, g->k, s, u, read_by(g, h), i);
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
    heads g = read_heads(launch, 0);
    const yki_view *lse = g.y.view + 1;
    double *weights = launch->workspace;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t h = 0; h < g.H; h++)
            for (int64_t t = 0; t < g.T; t++) {
                yki_set(lse, (s * g.H + h) * g.T + t, attend_row(&g, weights, s, h, t));
                for (int64_t i = 0; i < g.d; i++) {
                    double sum = 0;
                    for (int64_t u = 0; u < seen(&g, t); u++)
                        sum += weights[u] * get(&g, g.v, s, u, read_by(&g, h), i);
                    yki_set(g.y.view, place(&g, g.y, s, t, h, i), sum);
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
    const yki_view *lse = g->y.view + 1;
    operand dy = {&g->launch->views[0], g->y.step, 0};
    for (int64_t t = 0; t < g->T; t++) {
        double dot = 0;
        for (int64_t i = 0; i < g->d; i++) dot += get(g, dy, s, t, h, i) * get(g, g->y, s, t, h, i);
        for (int64_t u = 0; u < seen(g, t); u++) {
            double p = exp(score(g, s, h, t, u) - yki_get(lse, (s * g->H + h) * g->T + t)), dp = 0,
                   keep = kept(g, s, h, t, u);
            for (int64_t i = 0; i < g->d; i++)
                dp += get(g, dy, s, t, h, i) * get(g, g->v, s, u, read_by(g, h), i);
            weights[t * g->T + u] = p * keep;
            dscores[t * g->T + u] = p * (dp * keep - dot) / sqrt((double)g->d);
        }
    }
}

/* What a gradient works in, as doubles: [T,T] [T,T] [T,d] [T,d]. */
typedef struct scratch {
    double *weights, *dscores, *dk, *dv;
} scratch;

/* Writes one query head's dq, and adds to dk and dv. */
static void head_gradients(const heads *g, scratch w, int64_t s, int64_t h, operand dq)
{
    operand dy = {&g->launch->views[0], g->y.step, 0};
    int64_t other = read_by(g, h);
    score_gradients(g, w.weights, w.dscores, s, h);
    for (int64_t t = 0; t < g->T; t++)
        for (int64_t i = 0; i < g->d; i++) {
            double sum = 0;
            for (int64_t u = 0; u < seen(g, t); u++)
                sum += w.dscores[t * g->T + u] * get(g, g->k, s, u, other, i);
            yki_set(dq.view, place(g, dq, s, t, h, i), sum);
            for (int64_t u = g->launch->attr->causal ? t : 0; u < g->T; u++) { /* the steps that see t */
                w.dk[t * g->d + i] += w.dscores[u * g->T + t] * get(g, g->q, s, u, h, i);
                w.dv[t * g->d + i] += w.weights[u * g->T + t] * get(g, dy, s, u, h, i);
            }
        }
}

static void attention_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    heads g = read_heads(launch, 1);
    bool packed = launch->kernel == YKI_KERNEL_ATTENTION_GRAD;
    const yki_view *out = g.y.view + 2;
    operand dq = g.q, dk = g.k, dv = g.v;
    dq.view = out, dk.view = packed ? out : out + 1, dv.view = packed ? out : out + 2;
    scratch w = {.weights = launch->workspace};
    w.dscores = w.weights + g.T * g.T, w.dk = w.dscores + g.T * g.T, w.dv = w.dk + g.T * g.d;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t other = 0; other < g.G; other++) {
            for (int64_t i = 0; i < 2 * g.T * g.d; i++) w.dk[i] = 0;
            for (int64_t h = 0; h < g.H; h++)
                if (read_by(&g, h) == other) head_gradients(&g, w, s, h, dq);
            for (int64_t t = 0; t < g.T; t++)
                for (int64_t i = 0; i < g.d; i++) {
                    yki_set(dk.view, place(&g, dk, s, t, other, i), w.dk[t * g.d + i]);
                    yki_set(dv.view, place(&g, dv, s, t, other, i), w.dv[t * g.d + i]);
                }
        }
}

static size_t attention_grad_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    const yki_view *q = &shapes->views[1];
    int64_t T = q->dims[1], d = q->dims[q->ndim - 1];
    return (size_t)(2 * T * T + 2 * T * d) * sizeof(double);
}

void yki_reference_register_attention(yki_cpu_table *table)
{
    yki_cpu_kernel forward = {.source = "reference", .run = attention, .workspace_bytes = attention_bytes};
    yki_cpu_kernel backward = {
        .source = "reference", .run = attention_grad, .workspace_bytes = attention_grad_bytes};
    yki_cpu_register(table, YKI_KERNEL_ATTENTION, forward);
    yki_cpu_register(table, YKI_KERNEL_GQA, forward);
    yki_cpu_register(table, YKI_KERNEL_ATTENTION_GRAD, backward);
    yki_cpu_register(table, YKI_KERNEL_GQA_GRAD, backward);
}
