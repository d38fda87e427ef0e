/* Updates of weights, and the square of a norm. */
#include <math.h>

#include "backend/cpu/reference/reference.h"

static void sum_squares(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    int64_t elems = yki_view_elems(&launch->views[0]);
    double sum = 0;
    for (int64_t i = 0; i < elems; i++) sum += yki_get(&launch->views[0], i) * yki_get(&launch->views[0], i);
    *launch->loss += sum;
}

/* Kingma and Ba 2015; decoupled decay by Loshchilov and Hutter 2019. In the order of PyTorch's Adam and
 * AdamW. */
static void adam(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *g_in = &launch->views[0], *w_io = &launch->views[1], *m_io = &launch->views[2];
    const yki_view *v_io = &launch->views[3], *w16 = &launch->views[4];
    const yki_update *u = launch->update;
    int64_t elems = yki_view_elems(g_in);
    bool copies = launch->nviews > 4 && !yki_is_absent(w16);
    for (int64_t i = 0; i < elems; i++) {
        double g = yki_get(g_in, i) * u->grad_scale, w = yki_get(w_io, i);
        if (u->decoupled)
            w -= u->lr * u->weight_decay * w;
        else
            g += u->weight_decay * w;
        double m = u->beta1 * yki_get(m_io, i) + (1.0 - u->beta1) * g;
        double v = u->beta2 * yki_get(v_io, i) + (1.0 - u->beta2) * g * g;
        w -= u->lr / u->bias1 * m / (sqrt(v) / sqrt(u->bias2) + u->eps);
        yki_set(w_io, i, w);
        yki_set(m_io, i, m);
        yki_set(v_io, i, v);
        if (copies) yki_set(w16, i, yki_get(w_io, i));
    }
}

/* As torch.optim.SGD with dampening 0; momentum starts from zeros, so that its first value is g. */
static void sgd(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *g_in = &launch->views[0], *w_io = &launch->views[1], *b_io = &launch->views[2],
                   *w16 = &launch->views[3];
    const yki_update *u = launch->update;
    int64_t elems = yki_view_elems(g_in);
    bool keeps = launch->nviews > 2 && !yki_is_absent(b_io),
         copies = launch->nviews > 3 && !yki_is_absent(w16);
    for (int64_t i = 0; i < elems; i++) {
        double w = yki_get(w_io, i), g = yki_get(g_in, i) * u->grad_scale + u->weight_decay * w;
        if (keeps) {
            double b = u->momentum * yki_get(b_io, i) + g;
            yki_set(b_io, i, b);
            g = u->nesterov ? g + u->momentum * b : b;
        }
        yki_set(w_io, i, w - u->lr * g);
        if (copies) yki_set(w16, i, yki_get(w_io, i));
    }
}

/* Chen et al. 2023 (arXiv:2302.06675): the sign of a blend of momentum and gradient, and decoupled decay. */
static void lion(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *g_in = &launch->views[0], *w_io = &launch->views[1], *m_io = &launch->views[2],
                   *w16 = &launch->views[3];
    const yki_update *u = launch->update;
    int64_t elems = yki_view_elems(g_in);
    bool copies = launch->nviews > 3 && !yki_is_absent(w16);
    for (int64_t i = 0; i < elems; i++) {
        double g = yki_get(g_in, i) * u->grad_scale, w = yki_get(w_io, i), m = yki_get(m_io, i);
        double c = u->beta1 * m + (1.0 - u->beta1) * g;
        double sign = (c > 0) - (c < 0); /* 0 of 0 */
        yki_set(w_io, i, w - u->lr * (sign + u->weight_decay * w));
        yki_set(m_io, i, u->beta2 * m + (1.0 - u->beta2) * g);
        if (copies) yki_set(w16, i, yki_get(w_io, i));
    }
}

/* As torch.optim.Muon: a running mean of gradients, and one step of it ahead. */
static void momentum(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *g_in = &launch->views[0], *u_out = &launch->views[1], *m_io = &launch->views[2];
    const yki_update *u = launch->update;
    for (int64_t i = 0; i < yki_view_elems(g_in); i++) {
        double g = yki_get(g_in, i) * u->grad_scale;
        double m = u->momentum * yki_get(m_io, i) + (1.0 - u->momentum) * g;
        yki_set(m_io, i, m);
        yki_set(u_out, i, u->nesterov ? u->momentum * m + (1.0 - u->momentum) * g : m);
    }
}

static void unit(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    int64_t elems = yki_view_elems(x);
    double sum = 0;
    for (int64_t i = 0; i < elems; i++) sum += yki_get(x, i) * yki_get(x, i);
    for (int64_t i = 0; i < elems; i++) yki_set(y, i, yki_get(x, i) / fmax(launch->attr->eps, sqrt(sum)));
}

static void combine(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *a = &launch->views[0], *b = &launch->views[1], *y = &launch->views[2];
    for (int64_t i = 0; i < yki_view_elems(y); i++)
        yki_set(y, i, launch->attr->of_a * yki_get(a, i) + launch->attr->of_b * yki_get(b, i));
}

static void blend(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *g = &launch->views[0], *w = &launch->views[1];
    for (int64_t i = 0; i < yki_view_elems(g); i++)
        yki_set(w, i, launch->attr->p * yki_get(w, i) + yki_get(g, i));
}

void yki_reference_register_optimizers(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_SUM_SQUARES, sum_squares);
    yki_reference_add(table, YKI_KERNEL_ADAM, adam);
    yki_reference_add(table, YKI_KERNEL_SGD, sgd);
    yki_reference_add(table, YKI_KERNEL_LION, lion);
    yki_reference_add(table, YKI_KERNEL_MOMENTUM, momentum);
    yki_reference_add(table, YKI_KERNEL_UNIT, unit);
    yki_reference_add(table, YKI_KERNEL_COMBINE, combine);
    yki_reference_add(table, YKI_KERNEL_BLEND, blend);
}
