/* Pools over images [n,C,h,w]: no padding; windows that would cross the edge are left out. */
#include <math.h>

#include "backend/cpu/reference/reference.h"

typedef struct pool {
    int64_t planes, H, W, Ho, Wo, k, s;
} pool;

static pool read_pool(const yki_launch *launch, const yki_view *image, const yki_view *result)
{
    return (pool){.planes = image->dims[0] * image->dims[1],
                  .H = image->dims[2],
                  .W = image->dims[3],
                  .Ho = result->dims[2],
                  .Wo = result->dims[3],
                  .k = launch->attr->kernel,
                  .s = launch->attr->stride};
}

/* The first of the largest, as an offset in the plane; any NaN wins, as in PyTorch. */
static int64_t window_argmax(const pool *g, const yki_view *x, int64_t plane, int64_t r, int64_t c)
{
    int64_t best = r * g->s * g->W + c * g->s;
    double largest = yki_get(x, plane * g->H * g->W + best);
    for (int64_t a = 0; a < g->k; a++)
        for (int64_t b = 0; b < g->k; b++) {
            int64_t at = (r * g->s + a) * g->W + c * g->s + b;
            double value = yki_get(x, plane * g->H * g->W + at);
            if (value > largest || isnan(value)) largest = value, best = at;
        }
    return best;
}

static void maxpool2d(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1], *argmax = &launch->views[2];
    pool g = read_pool(launch, x, y);
    for (int64_t plane = 0; plane < g.planes; plane++)
        for (int64_t r = 0; r < g.Ho; r++)
            for (int64_t c = 0; c < g.Wo; c++) {
                int64_t best = window_argmax(&g, x, plane, r, c), at = (plane * g.Ho + r) * g.Wo + c;
                yki_set(y, at, yki_get(x, plane * g.H * g.W + best));
                yki_set(argmax, at, (double)best);
            }
}

static void avgpool2d(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *y = &launch->views[1];
    pool g = read_pool(launch, x, y);
    for (int64_t plane = 0; plane < g.planes; plane++)
        for (int64_t r = 0; r < g.Ho; r++)
            for (int64_t c = 0; c < g.Wo; c++) {
                double sum = 0;
                for (int64_t a = 0; a < g.k; a++)
                    for (int64_t b = 0; b < g.k; b++)
                        sum += yki_get(x, (plane * g.H + r * g.s + a) * g.W + c * g.s + b);
                yki_set(y, (plane * g.Ho + r) * g.Wo + c, sum / (double)(g.k * g.k));
            }
}

/* The sum of dy over the windows that pixel (row, col) lies in, where argmax, if given, names that pixel. */
static double pixel_gradient(const pool *g, const yki_view *dy, const yki_view *argmax, int64_t plane,
                             int64_t row, int64_t col)
{
    double sum = 0;
    for (int64_t r = 0; r < g->Ho; r++)
        for (int64_t c = 0; c < g->Wo; c++) {
            if (row < r * g->s || row >= r * g->s + g->k || col < c * g->s || col >= c * g->s + g->k)
                continue;
            int64_t at = (plane * g->Ho + r) * g->Wo + c;
            if (argmax == NULL || (int64_t)yki_get(argmax, at) == row * g->W + col) sum += yki_get(dy, at);
        }
    return sum;
}

static void maxpool2d_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *argmax = &launch->views[1], *dx = &launch->views[2];
    pool g = read_pool(launch, dx, dy);
    for (int64_t plane = 0; plane < g.planes; plane++)
        for (int64_t row = 0; row < g.H; row++)
            for (int64_t col = 0; col < g.W; col++)
                yki_set(dx, (plane * g.H + row) * g.W + col, pixel_gradient(&g, dy, argmax, plane, row, col));
}

static void avgpool2d_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *dx = &launch->views[1];
    pool g = read_pool(launch, dx, dy);
    for (int64_t plane = 0; plane < g.planes; plane++)
        for (int64_t row = 0; row < g.H; row++)
            for (int64_t col = 0; col < g.W; col++)
                yki_set(dx, (plane * g.H + row) * g.W + col,
                        pixel_gradient(&g, dy, NULL, plane, row, col) / (double)(g.k * g.k));
}

void yki_reference_register_pools(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_MAXPOOL2D, maxpool2d);
    yki_reference_add(table, YKI_KERNEL_MAXPOOL2D_GRAD, maxpool2d_grad);
    yki_reference_add(table, YKI_KERNEL_AVGPOOL2D, avgpool2d);
    yki_reference_add(table, YKI_KERNEL_AVGPOOL2D_GRAD, avgpool2d_grad);
}
