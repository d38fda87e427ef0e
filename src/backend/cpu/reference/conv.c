/* Convolutions over images, cross-correlation as everywhere in this trade: y[o,r,c] = sum w[o,i,a,b] x[i, r s
 * + a - p, c s + b - p]. */
#include "backend/cpu/reference/reference.h"

typedef struct geometry {
    int64_t n, C, H, W; /* image */
    int64_t O, Ho, Wo;  /* result */
    int64_t k, s, p;    /* kernel, stride, padding */
} geometry;

static geometry read_geometry(const yki_launch *launch, const yki_view *image, const yki_view *result)
{
    const yki_attr *attr = launch->attr;
    return (geometry){.n = image->dims[0],
                      .C = image->dims[1],
                      .H = image->dims[2],
                      .W = image->dims[3],
                      .O = result->dims[1],
                      .Ho = result->dims[2],
                      .Wo = result->dims[3],
                      .k = attr->kernel,
                      .s = attr->stride,
                      .p = attr->padding};
}

static int64_t image_at(const geometry *g, int64_t n, int64_t i, int64_t row, int64_t col)
{
    return ((n * g->C + i) * g->H + row) * g->W + col;
}

static int64_t result_at(const geometry *g, int64_t n, int64_t o, int64_t r, int64_t c)
{
    return ((n * g->O + o) * g->Ho + r) * g->Wo + c;
}

static int64_t weight_at(const geometry *g, int64_t o, int64_t i, int64_t a, int64_t b)
{
    return ((o * g->C + i) * g->k + a) * g->k + b;
}

static bool inside(const geometry *g, int64_t row, int64_t col)
{
    return row >= 0 && row < g->H && col >= 0 && col < g->W;
}

static double window(const geometry *g, const yki_view *x, const yki_view *w, int64_t n, int64_t o, int64_t r,
                     int64_t c)
{
    double sum = 0;
    for (int64_t i = 0; i < g->C; i++)
        for (int64_t a = 0; a < g->k; a++)
            for (int64_t b = 0; b < g->k; b++) {
                int64_t row = r * g->s + a - g->p, col = c * g->s + b - g->p;
                if (inside(g, row, col))
                    sum += yki_get(x, image_at(g, n, i, row, col)) * yki_get(w, weight_at(g, o, i, a, b));
            }
    return sum;
}

static void conv2d(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *bias = &launch->views[2],
                   *y = &launch->views[3];
    geometry g = read_geometry(launch, x, y);
    for (int64_t n = 0; n < g.n; n++)
        for (int64_t o = 0; o < g.O; o++)
            for (int64_t r = 0; r < g.Ho; r++)
                for (int64_t c = 0; c < g.Wo; c++)
                    yki_set(y, result_at(&g, n, o, r, c),
                            window(&g, x, w, n, o, r, c) + (yki_is_absent(bias) ? 0.0 : yki_get(bias, o)));
}

/* What pixel (row, col) of channel i receives: from every window that it lies in. */
static double pixel_gradient(const geometry *g, const yki_view *dy, const yki_view *w, int64_t n, int64_t i,
                             int64_t row, int64_t col)
{
    double sum = 0;
    for (int64_t a = 0; a < g->k; a++)
        for (int64_t b = 0; b < g->k; b++) {
            int64_t r = row + g->p - a, c = col + g->p - b;
            if (r < 0 || c < 0 || r % g->s != 0 || c % g->s != 0 || r / g->s >= g->Ho || c / g->s >= g->Wo)
                continue;
            for (int64_t o = 0; o < g->O; o++)
                sum += yki_get(dy, result_at(g, n, o, r / g->s, c / g->s)) *
                       yki_get(w, weight_at(g, o, i, a, b));
        }
    return sum;
}

static void conv2d_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *w = &launch->views[1], *dx = &launch->views[2];
    geometry g = read_geometry(launch, dx, dy);
    for (int64_t n = 0; n < g.n; n++)
        for (int64_t i = 0; i < g.C; i++)
            for (int64_t row = 0; row < g.H; row++)
                for (int64_t col = 0; col < g.W; col++)
                    yki_set(dx, image_at(&g, n, i, row, col), pixel_gradient(&g, dy, w, n, i, row, col));
}

static double weight_gradient(const geometry *g, const yki_view *x, const yki_view *dy, int64_t o, int64_t i,
                              int64_t a, int64_t b)
{
    double sum = 0;
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t r = 0; r < g->Ho; r++)
            for (int64_t c = 0; c < g->Wo; c++) {
                int64_t row = r * g->s + a - g->p, col = c * g->s + b - g->p;
                if (inside(g, row, col))
                    sum += yki_get(dy, result_at(g, n, o, r, c)) * yki_get(x, image_at(g, n, i, row, col));
            }
    return sum;
}

static void conv2d_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *dy = &launch->views[1], *dw = &launch->views[2];
    geometry g = read_geometry(launch, x, dy);
    for (int64_t o = 0; o < g.O; o++)
        for (int64_t i = 0; i < g.C; i++)
            for (int64_t a = 0; a < g.k; a++)
                for (int64_t b = 0; b < g.k; b++)
                    yki_set_gradient(launch, dw, weight_at(&g, o, i, a, b),
                                     weight_gradient(&g, x, dy, o, i, a, b));
}

static void conv2d_bias_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *db = &launch->views[1];
    int64_t n = dy->dims[0], O = dy->dims[1], plane = dy->dims[2] * dy->dims[3];
    for (int64_t o = 0; o < O; o++) {
        double sum = 0;
        for (int64_t s = 0; s < n; s++)
            for (int64_t i = 0; i < plane; i++) sum += yki_get(dy, (s * O + o) * plane + i);
        yki_set_gradient(launch, db, o, sum);
    }
}

void yki_reference_register_conv(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_CONV2D, conv2d);
    yki_reference_add(table, YKI_KERNEL_CONV2D_DX, conv2d_dx);
    yki_reference_add(table, YKI_KERNEL_CONV2D_DW, conv2d_dw);
    yki_reference_add(table, YKI_KERNEL_CONV2D_BIAS_GRAD, conv2d_bias_grad);
}
