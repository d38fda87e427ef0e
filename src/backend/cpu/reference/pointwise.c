/* Kernels that take elements one by one, and softmax. */
#include <math.h>

#include "backend/cpu/reference/reference.h"
#include "base/rng.h"

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Hendrycks and Gimpel 2016: x Phi(x) = gelu, and its approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715
 * x^3))). */
static double gelu_inner(double x)
{
    return sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
}

static double activation(yoke_activation kind, double x)
{
    switch (kind) {
    case YOKE_RELU:
        return x > 0 || isnan(x) ? x : 0.0;
    case YOKE_GELU:
        return 0.5 * x * (1.0 + erf(x * M_SQRT1_2));
    case YOKE_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(gelu_inner(x)));
    case YOKE_TANH:
        return tanh(x);
    case YOKE_SIGMOID:
        return sigmoid(x);
    case YOKE_SILU:
        return x * sigmoid(x);
    }
    return x;
}

/* The derivative, from the result for relu, tanh and sigmoid, from the input for the others. */
static double derivative(yoke_activation kind, double saved)
{
    double s = sigmoid(saved), t = tanh(gelu_inner(saved));
    switch (kind) {
    case YOKE_RELU:
        return saved > 0 ? 1.0 : 0.0;
    case YOKE_GELU:
        return 0.5 * (1.0 + erf(saved * M_SQRT1_2)) + saved * exp(-0.5 * saved * saved) / sqrt(2.0 * M_PI);
    case YOKE_GELU_TANH:
        return 0.5 * (1.0 + t) +
               0.5 * saved * (1.0 - t * t) * sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * saved * saved);
    case YOKE_TANH:
        return 1.0 - saved * saved;
    case YOKE_SIGMOID:
        return saved * (1.0 - saved);
    case YOKE_SILU:
        return s * (1.0 + saved * (1.0 - s));
    }
    return 1.0;
}

static void activate(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    int64_t elems = yki_view_elems(x);
    for (int64_t i = 0; i < elems; i++) yki_set(y, i, activation(launch->attr->activation, yki_get(x, i)));
}

static void activate_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *saved = &launch->views[1], *dx = &launch->views[2];
    int64_t elems = yki_view_elems(dy);
    for (int64_t i = 0; i < elems; i++)
        yki_set(dx, i, yki_get(dy, i) * derivative(launch->attr->activation, yki_get(saved, i)));
}

/* Shazeer 2020: the gate of a gated linear unit. */
static void gate(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *a = &launch->views[0], *b = &launch->views[1], *y = &launch->views[2];
    int64_t elems = yki_view_elems(y);
    for (int64_t i = 0; i < elems; i++) yki_set(y, i, activation(YOKE_SILU, yki_get(a, i)) * yki_get(b, i));
}

static void gate_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *a = &launch->views[1], *b = &launch->views[2];
    const yki_view *da = &launch->views[3], *db = &launch->views[4];
    int64_t elems = yki_view_elems(dy);
    for (int64_t i = 0; i < elems; i++) {
        double g = yki_get(dy, i), x = yki_get(a, i);
        yki_set(da, i, g * yki_get(b, i) * derivative(YOKE_SILU, x));
        yki_set(db, i, g * activation(YOKE_SILU, x));
    }
}

static void softmax(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t r = 0; r < R; r++) {
        double largest = -INFINITY, sum = 0;
        for (int64_t i = 0; i < D; i++) largest = fmax(largest, yki_get(x, r * D + i));
        for (int64_t i = 0; i < D; i++) sum += exp(yki_get(x, r * D + i) - largest);
        for (int64_t i = 0; i < D; i++) yki_set(y, r * D + i, exp(yki_get(x, r * D + i) - largest) / sum);
    }
}

/* dx = y (dy - sum(dy y)). */
static void softmax_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *y = &launch->views[1], *dx = &launch->views[2];
    int64_t R = yki_rows(y), D = yki_width(y);
    for (int64_t r = 0; r < R; r++) {
        double dot = 0;
        for (int64_t i = 0; i < D; i++) dot += yki_get(dy, r * D + i) * yki_get(y, r * D + i);
        for (int64_t i = 0; i < D; i++)
            yki_set(dx, r * D + i, yki_get(y, r * D + i) * (yki_get(dy, r * D + i) - dot));
    }
}

static void dropout(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    const yki_attr *a = launch->attr;
    uint64_t key = yki_rng_bits(a->key, launch->step);
    int64_t elems = yki_view_elems(x);
    for (int64_t e = 0; e < elems; e++) {
        int64_t i = e % a->inner, l = e / a->inner % a->local, o = e / a->inner / a->local % a->outer;
        int64_t s = e / a->inner / a->local / a->outer;
        int64_t length = a->length > 0 ? a->length : a->outer;
        int64_t row = (s + launch->sample_offset) * length + yki_position(&a->rows, o);
        int64_t element = (row * a->global + a->offset + l) * a->inner + i;
        bool kept = !launch->training || yki_rng_uniformf(key, (uint64_t)element) >= a->p;
        double scale = launch->training ? 1.0 / (1.0 - a->p) : 1.0;
        yki_set(y, e, kept ? yki_get(x, e) * scale : 0.0);
    }
}

static void add(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *a = &launch->views[0], *b = &launch->views[1], *y = &launch->views[2];
    int64_t elems = yki_view_elems(y);
    for (int64_t i = 0; i < elems; i++) yki_set(y, i, yki_get(a, i) + yki_get(b, i));
}

static void cast(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    int64_t elems = yki_view_elems(&launch->views[0]);
    for (int64_t i = 0; i < elems; i++) yki_set(&launch->views[1], i, yki_get(&launch->views[0], i));
}

static void copy_slice(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    const yki_attr *a = launch->attr;
    int64_t elems = yki_view_elems(y);
    for (int64_t e = 0; e < elems; e++) {
        int64_t i = e % a->inner, l = e / a->inner % a->local, o = e / a->inner / a->local;
        yki_set(y, e, yki_get(x, (o * a->global + a->offset + l) * a->inner + i));
    }
}

/* [R,A] and [R,B] side by side, to or from [R,A+B]. */
static void side_by_side(const yki_view *a, const yki_view *b, const yki_view *both, bool join)
{
    int64_t A = yki_width(a), B = yki_width(b);
    for (int64_t r = 0; r < yki_rows(both); r++)
        for (int64_t i = 0; i < A + B; i++) {
            const yki_view *part = i < A ? a : b;
            int64_t at = i < A ? r * A + i : r * B + i - A;
            if (join)
                yki_set(both, r * (A + B) + i, yki_get(part, at));
            else
                yki_set(part, at, yki_get(both, r * (A + B) + i));
        }
}

static void join(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    side_by_side(&launch->views[0], &launch->views[1], &launch->views[2], true);
}

static void split(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    side_by_side(&launch->views[1], &launch->views[2], &launch->views[0], false);
}

static void scale(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    int64_t elems = yki_view_elems(x);
    for (int64_t i = 0; i < elems; i++) yki_set(y, i, launch->attr->of_a * yki_get(x, i));
}

static void zero(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    int64_t elems = yki_view_elems(&launch->views[0]);
    for (int64_t i = 0; i < elems; i++) yki_set(&launch->views[0], i, 0.0);
}

void yki_reference_register_pointwise(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_ACTIVATE, activate);
    yki_reference_add(table, YKI_KERNEL_ACTIVATE_GRAD, activate_grad);
    yki_reference_add(table, YKI_KERNEL_GATE, gate);
    yki_reference_add(table, YKI_KERNEL_GATE_GRAD, gate_grad);
    yki_reference_add(table, YKI_KERNEL_SOFTMAX, softmax);
    yki_reference_add(table, YKI_KERNEL_SOFTMAX_GRAD, softmax_grad);
    yki_reference_add(table, YKI_KERNEL_DROPOUT, dropout);
    yki_reference_add(table, YKI_KERNEL_SCALE, scale);
    yki_reference_add(table, YKI_KERNEL_ADD, add);
    yki_reference_add(table, YKI_KERNEL_CAST, cast);
    yki_reference_add(table, YKI_KERNEL_COPY_SLICE, copy_slice);
    yki_reference_add(table, YKI_KERNEL_JOIN, join);
    yki_reference_add(table, YKI_KERNEL_SPLIT, split);
    yki_reference_add(table, YKI_KERNEL_ZERO, zero);
}
