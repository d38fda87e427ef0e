/* Attention (Vaswani et al. 2017): y = dropout(softmax(q k^T / sqrt(d))) v per head, with one row, or for
 * gradients one head, of weights in the workspace as doubles. Grouped (Ainslie et al. 2023): several query
 * heads read one head of k and v. Part by part (Liu et al., "Ring Attention", 2023): some queries over some
 * keys, put together with what they saw before by the logarithms of the sums. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "base/rng.h"

/* Heads of one operand, in [n, rows, ...] rows of `step` elements: the first lies at element `first` of a
 * row. */
typedef struct operand {
    const yki_view *view;
    int64_t rows, step, first;
} operand;

typedef struct heads {
    const yki_launch *launch;
    operand q, k, v, y; /* y: its gradient too */
    const yki_view *lse;
    int64_t n, T, S, H, G, d; /* T queries, S keys */
    uint64_t key;
} heads;

/* The operands from views[at]: qkv; q, k and v; or q and kv. Then the output. */
static heads read_heads(const yki_launch *launch, int at)
{
    yki_kernel kernel = launch->kernel;
    const yki_view *q = &launch->views[at];
    heads g = {.launch = launch, .n = q->dims[0], .T = q->dims[1], .S = q->dims[1]};
    int64_t H = q->dims[q->ndim - 2], d = q->dims[q->ndim - 1], G = H, T = g.T;
    g.key = yki_rng_bits(launch->attr->key, launch->step);
    if (kernel == YKI_KERNEL_ATTENTION || kernel == YKI_KERNEL_ATTENTION_GRAD) {
        g.q = (operand){q, T, 3 * H * d, 0}, g.k = (operand){q, T, 3 * H * d, H * d};
        g.v = (operand){q, T, 3 * H * d, 2 * H * d}, g.y = (operand){q + 1, T, H * d, 0};
    } else if (kernel == YKI_KERNEL_GQA || kernel == YKI_KERNEL_GQA_GRAD) {
        G = q[1].dims[2];
        g.q = (operand){q, T, H * d, 0}, g.k = (operand){q + 1, T, G * d, 0};
        g.v = (operand){q + 2, T, G * d, 0}, g.y = (operand){q + 3, T, H * d, 0};
    } else {
        G = q[1].dims[3], g.S = q[1].dims[1];
        g.q = (operand){q, T, H * d, 0}, g.k = (operand){q + 1, g.S, 2 * G * d, 0};
        g.v = (operand){q + 1, g.S, 2 * G * d, G * d}, g.y = (operand){q + 2, T, H * d, 0};
    }
    g.H = H, g.G = G, g.d = d, g.lse = g.y.view + 1;
    return g;
}

/* Element i of a head at a time step. */
static int64_t place(const heads *g, operand o, int64_t s, int64_t t, int64_t h, int64_t i)
{
    return (s * o.rows + t) * o.step + o.first + h * g->d + i;
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

/* Whether query t sees key u. */
static bool sees(const heads *g, int64_t t, int64_t u)
{
    const yki_attr *attr = g->launch->attr;
    int64_t back = yki_position(&attr->rows, t) - yki_position(&attr->keys, u);
    return !attr->causal || (back >= 0 && (attr->window == 0 || back < attr->window));
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
    int64_t length = attr->length > 0 ? attr->length : g->T;
    int64_t row = head * length + yki_position(&attr->rows, t);
    int64_t element = row * length + yki_position(&attr->keys, u);
    return yki_rng_uniformf(g->key, (uint64_t)element) >= attr->p ? 1.0 / (1.0 - attr->p) : 0.0;
}

/* Weights over all keys, before them exp(before - the result) of what was seen before: 0 where nothing was.
 */
static double attend_row(const heads *g, double *weights, double before, int64_t s, int64_t h, int64_t t)
{
    double largest = before, sum = 0;
    for (int64_t u = 0; u < g->S; u++) {
        weights[u] = sees(g, t, u) ? score(g, s, h, t, u) : -INFINITY;
        largest = fmax(largest, weights[u]);
    }
    if (largest == -INFINITY) {
        for (int64_t u = 0; u < g->S; u++) weights[u] = 0;
        return -INFINITY;
    }
    for (int64_t u = 0; u < g->S; u++) sum += exp(weights[u] - largest);
    sum += exp(before - largest);
    for (int64_t u = 0; u < g->S; u++)
        weights[u] = sees(g, t, u) ? exp(weights[u] - largest) / sum * kept(g, s, h, t, u) : 0;
    return largest + log(sum);
}

static void attention(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    bool part = launch->kernel == YKI_KERNEL_ATTEND, continues = part && !yki_is_absent(&launch->views[0]);
    heads g = read_heads(launch, part ? 2 : 0);
    operand before = g.y;
    before.view = &launch->views[0];
    double *weights = launch->workspace;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t h = 0; h < g.H; h++)
            for (int64_t t = 0; t < g.T; t++) {
                int64_t at = (s * g.H + h) * g.T + t;
                double old = continues ? yki_get(&launch->views[1], at) : -INFINITY;
                double lse = attend_row(&g, weights, old, s, h, t),
                       share = lse > -INFINITY ? exp(old - lse) : 0;
                yki_set(g.lse, at, lse);
                for (int64_t i = 0; i < g.d; i++) {
                    double sum = 0;
                    for (int64_t u = 0; u < g.S; u++)
                        if (sees(&g, t, u)) sum += weights[u] * get(&g, g.v, s, u, read_by(&g, h), i);
                    if (share > 0) sum += share * get(&g, before, s, t, h, i);
                    yki_set(g.y.view, place(&g, g.y, s, t, h, i), sum);
                }
            }
}

static size_t attention_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    bool part = shapes->kernel == YKI_KERNEL_ATTEND;
    return (size_t)read_heads(shapes, part ? 2 : 0).S * sizeof(double);
}

/* Fills, for one head, the dropped weights and the gradients of the scaled scores, both [T,S]. */
static void score_gradients(const heads *g, operand dy, double *weights, double *dscores, int64_t s,
                            int64_t h)
{
    for (int64_t t = 0; t < g->T; t++) {
        double dot = 0;
        for (int64_t i = 0; i < g->d; i++) dot += get(g, dy, s, t, h, i) * get(g, g->y, s, t, h, i);
        for (int64_t u = 0; u < g->S; u++) {
            weights[t * g->S + u] = dscores[t * g->S + u] = 0;
            if (!sees(g, t, u)) continue;
            double p = exp(score(g, s, h, t, u) - yki_get(g->lse, (s * g->H + h) * g->T + t)), dp = 0,
                   keep = kept(g, s, h, t, u);
            for (int64_t i = 0; i < g->d; i++)
                dp += get(g, dy, s, t, h, i) * get(g, g->v, s, u, read_by(g, h), i);
            weights[t * g->S + u] = p * keep;
            dscores[t * g->S + u] = p * (dp * keep - dot) / sqrt((double)g->d);
        }
    }
}

/* What a gradient works in, as doubles: [T,S] [T,S] [S,d] [S,d]. */
typedef struct scratch {
    double *weights, *dscores, *dk, *dv;
} scratch;

/* Gradients' operands; dq0: what dq is added to, view NULL: nothing. */
typedef struct gradients {
    operand dy, dq0, dq, dk, dv;
} gradients;

static gradients read_gradients(const heads *g)
{
    const yki_view *views = g->launch->views, *out = g->lse + 1;
    bool part = g->launch->kernel == YKI_KERNEL_ATTEND_GRAD,
         grouped = g->launch->kernel == YKI_KERNEL_GQA_GRAD;
    gradients to = {.dy = g->y, .dq0 = g->q, .dq = g->q, .dk = g->k, .dv = g->v};
    to.dy.view = &views[part ? 1 : 0];
    to.dq0.view = part && !yki_is_absent(&views[0]) ? &views[0] : NULL;
    to.dq.view = out;
    to.dk.view = part || grouped ? out + 1 : out;
    to.dv.view = grouped ? out + 2 : to.dk.view;
    return to;
}

/* Writes one query head's dq, and adds to dk and dv. */
static void head_gradients(const heads *g, const gradients *to, scratch w, int64_t s, int64_t h)
{
    int64_t other = read_by(g, h);
    score_gradients(g, to->dy, w.weights, w.dscores, s, h);
    for (int64_t i = 0; i < g->d; i++) {
        for (int64_t t = 0; t < g->T; t++) {
            double sum = to->dq0.view ? get(g, to->dq0, s, t, h, i) : 0;
            for (int64_t u = 0; u < g->S; u++) sum += w.dscores[t * g->S + u] * get(g, g->k, s, u, other, i);
            yki_set(to->dq.view, place(g, to->dq, s, t, h, i), sum);
        }
        for (int64_t u = 0; u < g->S; u++)
            for (int64_t t = 0; t < g->T; t++) {
                w.dk[u * g->d + i] += w.dscores[t * g->S + u] * get(g, g->q, s, t, h, i);
                w.dv[u * g->d + i] += w.weights[t * g->S + u] * get(g, to->dy, s, t, h, i);
            }
    }
}

static void attention_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    heads g = read_heads(launch, launch->kernel == YKI_KERNEL_ATTEND_GRAD ? 2 : 1);
    gradients to = read_gradients(&g);
    scratch w = {.weights = launch->workspace};
    w.dscores = w.weights + g.T * g.S, w.dk = w.dscores + g.T * g.S, w.dv = w.dk + g.S * g.d;
    for (int64_t s = 0; s < g.n; s++)
        for (int64_t other = 0; other < g.G; other++) {
            for (int64_t i = 0; i < 2 * g.S * g.d; i++) w.dk[i] = 0;
            for (int64_t h = 0; h < g.H; h++)
                if (read_by(&g, h) == other) head_gradients(&g, &to, w, s, h);
            for (int64_t u = 0; u < g.S; u++)
                for (int64_t i = 0; i < g.d; i++) {
                    yki_set(to.dk.view, place(&g, to.dk, s, u, other, i), w.dk[u * g.d + i]);
                    yki_set(to.dv.view, place(&g, to.dv, s, u, other, i), w.dv[u * g.d + i]);
                }
        }
}

static size_t attention_grad_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    heads g = read_heads(shapes, shapes->kernel == YKI_KERNEL_ATTEND_GRAD ? 2 : 1);
    return (size_t)(2 * g.T * g.S + 2 * g.S * g.d) * sizeof(double);
}

void yki_reference_register_attention(yki_cpu_table *table)
{
    static const yki_kernel forward[] = {YKI_KERNEL_ATTENTION, YKI_KERNEL_GQA, YKI_KERNEL_ATTEND},
                            backward[] = {YKI_KERNEL_ATTENTION_GRAD, YKI_KERNEL_GQA_GRAD,
                                          YKI_KERNEL_ATTEND_GRAD};
    for (int i = 0; i < 3; i++) {
        yki_cpu_register(
            table, forward[i],
            (yki_cpu_kernel){.source = "reference", .run = attention, .workspace_bytes = attention_bytes});
        yki_cpu_register(table, backward[i],
                         (yki_cpu_kernel){.source = "reference",
                                          .run = attention_grad,
                                          .workspace_bytes = attention_grad_bytes});
    }
}
