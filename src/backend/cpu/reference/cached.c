/* Rows of several sequences together, each with a slot of the cache and a position; and attention over what
 * the cache keeps of them. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "backend/rope.h"

static void position_at(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *p = &launch->views[1], *at = &launch->views[2],
                   *y = &launch->views[3];
    int64_t n = x->dims[0], D = x->dims[2], P = p->dims[0];
    for (int64_t r = 0; r < n; r++) {
        int64_t row = (int64_t)yki_get(at, 2 * r + 1);
        for (int64_t i = 0; i < D; i++)
            yki_set(y, r * D + i,
                    yki_get(x, r * D + i) + (row >= 0 && row < P ? yki_get(p, row * D + i) : 0));
    }
}

static void rope_at(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *at = &launch->views[1], *y = &launch->views[2];
    int64_t n = x->dims[0], H = x->dims[2], d = x->dims[3], half = d / 2;
    for (int64_t row = 0; row < n * H; row++)
        for (int64_t i = 0; i < half; i++) {
            double angle = yki_get(at, row / H * 2 + 1) * yki_rope_frequency(launch->attr, i, d);
            double c = cos(angle), s = sin(angle);
            double a = yki_get(x, row * d + i), b = yki_get(x, row * d + half + i);
            yki_set(y, row * d + i, a * c - b * s);
            yki_set(y, row * d + half + i, b * c + a * s);
        }
}

static void pick(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *rows = &launch->views[1], *y = &launch->views[2];
    int64_t n = x->dims[0], D = x->dims[2], S = rows->dims[0];
    for (int64_t s = 0; s < S; s++) {
        int64_t row = (int64_t)yki_get(rows, s);
        for (int64_t i = 0; i < D; i++)
            yki_set(y, s * D + i, row >= 0 && row < n ? yki_get(x, row * D + i) : 0);
    }
}

/* Heads in rows of `step` elements, the first at element `first` of a row. */
typedef struct operand {
    const yki_view *view;
    int64_t step, first;
} operand;

typedef struct recall {
    operand q, k, v;
    const yki_view *at, *y, *keys, *values;
    int64_t n, H, S, G, C, d; /* S slots of C tokens, G heads of k and v */
} recall;

static recall read_recall(const yki_launch *launch)
{
    const yki_view *views = launch->views, *q = &views[0];
    bool packed = launch->kernel == YKI_KERNEL_RECALL;
    recall r = {.at = &views[packed ? 1 : 3], .n = q->dims[0]};
    r.y = r.at + 1, r.keys = r.at + 2, r.values = r.at + 3;
    r.S = r.keys->dims[0], r.G = r.keys->dims[1], r.C = r.keys->dims[2], r.d = r.keys->dims[3];
    r.H = r.y->dims[2];
    int64_t width = r.H * r.d, other = r.G * r.d;
    r.q = (operand){q, packed ? 3 * width : width, 0};
    r.k = packed ? (operand){q, 3 * width, width} : (operand){&views[1], other, 0};
    r.v = packed ? (operand){q, 3 * width, 2 * width} : (operand){&views[2], other, 0};
    return r;
}

/* A row's slot and position; false: it has none. */
static bool place_of(const recall *r, int64_t row, int64_t *slot_out, int64_t *position_out)
{
    *slot_out = (int64_t)yki_get(r->at, 2 * row), *position_out = (int64_t)yki_get(r->at, 2 * row + 1);
    return *slot_out >= 0 && *slot_out < r->S && *position_out >= 0 && *position_out < r->C;
}

static double get(operand o, int64_t row, int64_t i)
{
    return yki_get(o.view, row * o.step + o.first + i);
}

static void store(const recall *r, int64_t row)
{
    int64_t slot, position;
    if (!place_of(r, row, &slot, &position)) return;
    for (int64_t g = 0; g < r->G; g++)
        for (int64_t i = 0; i < r->d; i++) {
            int64_t to = ((slot * r->G + g) * r->C + position) * r->d + i;
            yki_set(r->keys, to, get(r->k, row, g * r->d + i));
            yki_set(r->values, to, get(r->v, row, g * r->d + i));
        }
}

/* One head of one row over keys low .. position of its slot. */
static void attend(const recall *r, int64_t row, int64_t h, int64_t g, int64_t window, double *weights)
{
    int64_t slot, position;
    bool there = place_of(r, row, &slot, &position);
    int64_t from = (slot * r->G + g) * r->C;
    int64_t low = window > 0 && window <= position ? position - window + 1 : 0;
    double largest = -INFINITY, sum = 0;
    for (int64_t u = low; there && u <= position; u++) {
        double dot = 0;
        for (int64_t i = 0; i < r->d; i++)
            dot += get(r->q, row, h * r->d + i) * yki_get(r->keys, (from + u) * r->d + i);
        weights[u] = dot / sqrt((double)r->d);
        largest = fmax(largest, weights[u]);
    }
    for (int64_t u = low; there && u <= position; u++) sum += weights[u] = exp(weights[u] - largest);
    for (int64_t i = 0; i < r->d; i++) {
        double y = 0;
        for (int64_t u = low; there && u <= position; u++)
            y += weights[u] / sum * yki_get(r->values, (from + u) * r->d + i);
        yki_set(r->y, (row * r->H + h) * r->d + i, y);
    }
}

static size_t recall_bytes(const yki_launch *shapes, int threads)
{
    (void)threads;
    return (size_t)read_recall(shapes).C * sizeof(double);
}

static void recall_run(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_attr *attr = launch->attr;
    recall r = read_recall(launch);
    for (int64_t row = 0; row < r.n; row++) store(&r, row);
    for (int64_t row = 0; row < r.n; row++)
        for (int64_t h = 0; h < r.H; h++) {
            bool grouped = launch->kernel == YKI_KERNEL_RECALL_GQA;
            int64_t g = grouped ? (attr->offset + h) / attr->group - attr->first_group : h;
            attend(&r, row, h, g, attr->window, launch->workspace);
        }
}

void yki_reference_register_cached(yki_cpu_table *table)
{
    yki_cpu_kernel recalls = {.source = "reference", .run = recall_run, .workspace_bytes = recall_bytes};
    yki_reference_add(table, YKI_KERNEL_POSITION_AT, position_at);
    yki_reference_add(table, YKI_KERNEL_ROPE_AT, rope_at);
    yki_reference_add(table, YKI_KERNEL_PICK, pick);
    yki_cpu_register(table, YKI_KERNEL_RECALL, recalls);
    yki_cpu_register(table, YKI_KERNEL_RECALL_GQA, recalls);
}
