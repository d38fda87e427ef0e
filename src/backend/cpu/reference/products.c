/* LINEAR, its gradients, and sums over rows. */
#include "backend/cpu/reference/reference.h"

static void linear(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *bias = &launch->views[2],
                   *y = &launch->views[3];
    int64_t R = yki_rows(y), N = yki_width(y), K = yki_width(x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t n = 0; n < N; n++) {
            double sum = yki_is_absent(bias) ? 0.0 : yki_get(bias, n);
            for (int64_t k = 0; k < K; k++) sum += yki_get(x, r * K + k) * yki_get(w, n * K + k);
            yki_set(y, r * N + n, sum);
        }
}

static void linear_add(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *base = &launch->views[0], *x = &launch->views[1], *w = &launch->views[2],
                   *y = &launch->views[3];
    int64_t R = yki_rows(y), N = yki_width(y), K = yki_width(x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t n = 0; n < N; n++) {
            double sum = yki_get(base, r * N + n);
            for (int64_t k = 0; k < K; k++) sum += yki_get(x, r * K + k) * yki_get(w, n * K + k);
            yki_set(y, r * N + n, sum);
        }
}

static void linear_dx_add(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *base = &launch->views[0], *dy = &launch->views[1], *w = &launch->views[2],
                   *dx = &launch->views[3];
    int64_t R = yki_rows(dx), N = yki_width(dy), K = yki_width(dx);
    for (int64_t r = 0; r < R; r++)
        for (int64_t k = 0; k < K; k++) {
            double sum = yki_get(base, r * K + k);
            for (int64_t n = 0; n < N; n++) sum += yki_get(dy, r * N + n) * yki_get(w, n * K + k);
            yki_set(dx, r * K + k, sum);
        }
}

static void linear_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *w = &launch->views[1], *dx = &launch->views[2];
    int64_t R = yki_rows(dx), N = yki_width(dy), K = yki_width(dx);
    for (int64_t r = 0; r < R; r++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t n = 0; n < N; n++) sum += yki_get(dy, r * N + n) * yki_get(w, n * K + k);
            yki_set(dx, r * K + k, sum);
        }
}

static void linear_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *dy = &launch->views[1], *dw = &launch->views[2];
    int64_t R = yki_rows(x), N = yki_width(dy), K = yki_width(x);
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t r = 0; r < R; r++) sum += yki_get(dy, r * N + n) * yki_get(x, r * K + k);
            yki_set_gradient(launch, dw, n * K + k, sum);
        }
}

static void bias_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *db = &launch->views[1];
    int64_t R = yki_rows(dy), N = yki_width(dy);
    for (int64_t n = 0; n < N; n++) {
        double sum = 0;
        for (int64_t r = 0; r < R; r++) sum += yki_get(dy, r * N + n);
        yki_set_gradient(launch, db, n, sum);
    }
}

void yki_reference_register_products(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_LINEAR, linear);
    yki_reference_add(table, YKI_KERNEL_LINEAR_DX, linear_dx);
    yki_reference_add(table, YKI_KERNEL_LINEAR_DW, linear_dw);
    yki_reference_add(table, YKI_KERNEL_LINEAR_ADD, linear_add);
    yki_reference_add(table, YKI_KERNEL_LINEAR_DX_ADD, linear_dx_add);
    yki_reference_add(table, YKI_KERNEL_BIAS_GRAD, bias_grad);
}
