/* Layer norm (Ba, Kiros, Hinton 2016; biased variance, as in PyTorch) and RMS norm (Zhang, Sennrich 2019),
 * over the last dim. */
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

void yki_reference_register_norms(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_LAYERNORM, layernorm);
    yki_reference_add(table, YKI_KERNEL_LAYERNORM_DX, layernorm_dx);
    yki_reference_add(table, YKI_KERNEL_LAYERNORM_DW, layernorm_dw);
    yki_reference_add(table, YKI_KERNEL_RMSNORM, rmsnorm);
    yki_reference_add(table, YKI_KERNEL_RMSNORM_DX, rmsnorm_dx);
    yki_reference_add(table, YKI_KERNEL_RMSNORM_DW, rmsnorm_dw);
}
