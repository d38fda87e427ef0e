/* Layer norm (Ba, Kiros, Hinton 2016; biased variance, as in PyTorch) and RMS norm (Zhang, Sennrich 2019),
 * over the last dim; group norm (Wu, He 2018), over groups of channels and all their places. */
#include <math.h>

#include "backend/cpu/reference/reference.h"

static void layernorm(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *b = &launch->views[2],
                   *y = &launch->views[3];
    const yki_view *mean_out = &launch->views[4], *rstd_out = &launch->views[5];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t r = 0; r < R; r++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < D; i++) mean += yki_get(x, r * D + i) / (double)D;
        for (int64_t i = 0; i < D; i++) {
            double off = yki_get(x, r * D + i) - mean;
            variance += off * off / (double)D;
        }
        double rstd = 1.0 / sqrt(variance + launch->attr->eps);
        for (int64_t i = 0; i < D; i++)
            yki_set(y, r * D + i, (yki_get(x, r * D + i) - mean) * rstd * yki_get(w, i) + yki_get(b, i));
        yki_set(mean_out, r, mean);
        yki_set(rstd_out, r, rstd);
    }
}

/* With h = (x - mean) rstd and g = dy w: dx = rstd (g - avg(g) - h avg(g h)). */
static void layernorm_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *w = &launch->views[2];
    const yki_view *mean = &launch->views[3], *rstd = &launch->views[4], *dx = &launch->views[5];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t r = 0; r < R; r++) {
        double avg_g = 0, avg_gh = 0, m = yki_get(mean, r), s = yki_get(rstd, r);
        for (int64_t i = 0; i < D; i++) {
            double g = yki_get(dy, r * D + i) * yki_get(w, i), h = (yki_get(x, r * D + i) - m) * s;
            avg_g += g / (double)D;
            avg_gh += g * h / (double)D;
        }
        for (int64_t i = 0; i < D; i++) {
            double g = yki_get(dy, r * D + i) * yki_get(w, i), h = (yki_get(x, r * D + i) - m) * s;
            yki_set(dx, r * D + i, s * (g - avg_g - h * avg_gh));
        }
    }
}

static void layernorm_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *mean = &launch->views[2],
                   *rstd = &launch->views[3];
    const yki_view *dw = &launch->views[4], *db = &launch->views[5];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t i = 0; i < D; i++) {
        double sum_w = 0, sum_b = 0;
        for (int64_t r = 0; r < R; r++) {
            double g = yki_get(dy, r * D + i);
            sum_w += g * (yki_get(x, r * D + i) - yki_get(mean, r)) * yki_get(rstd, r);
            sum_b += g;
        }
        yki_set_gradient(launch, dw, i, sum_w);
        yki_set_gradient(launch, db, i, sum_b);
    }
}

static void rmsnorm(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *y = &launch->views[2],
                   *rstd_out = &launch->views[3];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t r = 0; r < R; r++) {
        double square = 0;
        for (int64_t i = 0; i < D; i++) square += yki_get(x, r * D + i) * yki_get(x, r * D + i) / (double)D;
        double rstd = 1.0 / sqrt(square + launch->attr->eps);
        for (int64_t i = 0; i < D; i++) yki_set(y, r * D + i, yki_get(x, r * D + i) * rstd * yki_get(w, i));
        yki_set(rstd_out, r, rstd);
    }
}

/* With h = x rstd and g = dy w: dx = rstd (g - h avg(g h)). */
static void rmsnorm_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *w = &launch->views[2],
                   *rstd = &launch->views[3];
    const yki_view *dx = &launch->views[4];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t r = 0; r < R; r++) {
        double avg_gh = 0, s = yki_get(rstd, r);
        for (int64_t i = 0; i < D; i++)
            avg_gh += yki_get(dy, r * D + i) * yki_get(w, i) * yki_get(x, r * D + i) * s / (double)D;
        for (int64_t i = 0; i < D; i++) {
            double g = yki_get(dy, r * D + i) * yki_get(w, i);
            yki_set(dx, r * D + i, s * (g - yki_get(x, r * D + i) * s * avg_gh));
        }
    }
}

static void rmsnorm_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *rstd = &launch->views[2],
                   *dw = &launch->views[3];
    int64_t R = yki_rows(x), D = yki_width(x);
    for (int64_t i = 0; i < D; i++) {
        double sum = 0;
        for (int64_t r = 0; r < R; r++)
            sum += yki_get(dy, r * D + i) * yki_get(x, r * D + i) * yki_get(rstd, r);
        yki_set_gradient(launch, dw, i, sum);
    }
}

/* x[n, C, places]: a group's channels lie one after the other, so that it is a row of `elems`. */
typedef struct groups {
    int64_t count, of_sample, elems, places, C;
} groups;

static groups groups_of(const yki_view *x, const yki_view *mean)
{
    groups g = {
        .count = yki_view_elems(mean), .of_sample = mean->dims[1], .places = x->dims[2], .C = x->dims[1]};
    g.elems = g.of_sample > 0 ? g.C / g.of_sample * g.places : 0;
    return g;
}

/* The channel of element i of group r. */
static int64_t channel_of(const groups *g, int64_t r, int64_t i)
{
    return r % g->of_sample * (g->C / g->of_sample) + i / g->places;
}

static double weight_of(const yki_view *w, int64_t c)
{
    return yki_is_absent(w) ? 1 : yki_get(w, c);
}

static void groupnorm(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *b = &launch->views[2],
                   *y = &launch->views[3];
    const yki_view *mean_out = &launch->views[4], *rstd_out = &launch->views[5];
    groups g = groups_of(x, mean_out);
    for (int64_t r = 0; r < g.count; r++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < g.elems; i++) mean += yki_get(x, r * g.elems + i) / (double)g.elems;
        for (int64_t i = 0; i < g.elems; i++) {
            double off = yki_get(x, r * g.elems + i) - mean;
            variance += off * off / (double)g.elems;
        }
        double rstd = 1.0 / sqrt(variance + launch->attr->eps);
        for (int64_t i = 0; i < g.elems; i++) {
            int64_t c = channel_of(&g, r, i);
            double h = (yki_get(x, r * g.elems + i) - mean) * rstd;
            yki_set(y, r * g.elems + i, h * weight_of(w, c) + (yki_is_absent(b) ? 0 : yki_get(b, c)));
        }
        yki_set(mean_out, r, mean);
        yki_set(rstd_out, r, rstd);
    }
}

/* As layer norm's. */
static void groupnorm_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *w = &launch->views[2];
    const yki_view *mean = &launch->views[3], *rstd = &launch->views[4], *dx = &launch->views[5];
    groups g = groups_of(x, mean);
    for (int64_t r = 0; r < g.count; r++) {
        double avg_g = 0, avg_gh = 0, m = yki_get(mean, r), s = yki_get(rstd, r);
        for (int64_t i = 0, at = r * g.elems; i < g.elems; i++, at++) {
            double gy = yki_get(dy, at) * weight_of(w, channel_of(&g, r, i)), h = (yki_get(x, at) - m) * s;
            avg_g += gy / (double)g.elems;
            avg_gh += gy * h / (double)g.elems;
        }
        for (int64_t i = 0, at = r * g.elems; i < g.elems; i++, at++) {
            double gy = yki_get(dy, at) * weight_of(w, channel_of(&g, r, i)), h = (yki_get(x, at) - m) * s;
            yki_set(dx, at, s * (gy - avg_g - h * avg_gh));
        }
    }
}

static void groupnorm_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *mean = &launch->views[2],
                   *rstd = &launch->views[3];
    groups g = groups_of(x, mean);
    for (int64_t c = 0; c < g.C; c++) {
        double sum_w = 0, sum_b = 0;
        for (int64_t s = 0; s < x->dims[0]; s++)
            for (int64_t i = 0; i < g.places; i++) {
                int64_t at = (s * g.C + c) * g.places + i, r = at / g.elems;
                sum_w += yki_get(dy, at) * (yki_get(x, at) - yki_get(mean, r)) * yki_get(rstd, r);
                sum_b += yki_get(dy, at);
            }
        yki_set_gradient(launch, &launch->views[4], c, sum_w);
        yki_set_gradient(launch, &launch->views[5], c, sum_b);
    }
}

void yki_reference_register_norms(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_LAYERNORM, layernorm);
    yki_reference_add(table, YKI_KERNEL_LAYERNORM_DX, layernorm_dx);
    yki_reference_add(table, YKI_KERNEL_LAYERNORM_DW, layernorm_dw);
    yki_reference_add(table, YKI_KERNEL_RMSNORM, rmsnorm);
    yki_reference_add(table, YKI_KERNEL_RMSNORM_DX, rmsnorm_dx);
    yki_reference_add(table, YKI_KERNEL_RMSNORM_DW, rmsnorm_dw);
    /* a head is a row like any other */
    yki_reference_add(table, YKI_KERNEL_HEADNORM, rmsnorm);
    yki_reference_add(table, YKI_KERNEL_HEADNORM_DX, rmsnorm_dx);
    yki_reference_add(table, YKI_KERNEL_HEADNORM_DW, rmsnorm_dw);
    yki_reference_add(table, YKI_KERNEL_GROUPNORM, groupnorm);
    yki_reference_add(table, YKI_KERNEL_GROUPNORM_DX, groupnorm_dx);
    yki_reference_add(table, YKI_KERNEL_GROUPNORM_DW, groupnorm_dw);
}
