/* Batch norm (Ioffe, Szegedy 2015; biased variance in the result, unbiased in what is tracked, as in
 * PyTorch): each channel by its mean and variance over samples and places. The statistics are found in two
 * passes, sums first and then squares about the mean that all ranks agreed on, so that shares of samples may
 * have any sizes. */
#include <math.h>

#include "backend/cpu/reference/reference.h"

/* x[n, C, ...] as n samples of C channels of `inner` places. */
typedef struct channels {
    int64_t n, C, inner;
} channels;

static channels channels_of(const yki_view *x)
{
    channels c = {x->dims[0], x->dims[1], 1};
    for (int i = 2; i < x->ndim; i++) c.inner *= x->dims[i];
    return c;
}

/* N, as a divisor. */
static double count_of(const yki_launch *launch)
{
    return fmax((double)(launch->group_samples * launch->attr->inner), 1);
}

static void batch_sum(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *out = &launch->views[1];
    channels k = channels_of(x);
    for (int64_t c = 0; c < k.C; c++) {
        double sum = 0;
        for (int64_t s = 0; s < k.n && launch->training; s++)
            for (int64_t i = 0; i < k.inner; i++) sum += yki_get(x, (s * k.C + c) * k.inner + i);
        yki_set(out, c, sum);
    }
}

static void batch_squares(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *sum = &launch->views[1], *out = &launch->views[2];
    channels k = channels_of(x);
    for (int64_t c = 0; c < k.C; c++) {
        double mean = yki_get(sum, c) / count_of(launch), squares = 0;
        for (int64_t s = 0; s < k.n && launch->training; s++)
            for (int64_t i = 0; i < k.inner; i++) {
                double off = yki_get(x, (s * k.C + c) * k.inner + i) - mean;
                squares += off * off;
            }
        yki_set(out, c, squares);
    }
}

static void batch_stats(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *v = launch->views, *out = &launch->views[4];
    int64_t C = v[0].dims[0];
    for (int64_t c = 0; c < C; c++) {
        double mean = yki_get(&v[2], c), variance = yki_get(&v[3], c);
        if (launch->training) {
            mean = yki_get(&v[0], c) / count_of(launch);
            variance = yki_get(&v[1], c) / count_of(launch);
        }
        yki_set(out, c, mean);
        yki_set(out, C + c, 1.0 / sqrt(variance + launch->attr->eps));
    }
}

/* running = (1 - momentum) running + momentum now, once for each micro-batch, is a sum of what each adds: in
 * that form a step can be taken back, and the order in which a schedule runs micro-batches does not matter.
 */
static void batch_track(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *sum = &launch->views[0], *squares = &launch->views[1];
    double N = count_of(launch), momentum = launch->attr->momentum;
    double share = N < 2 ? 0 : momentum * pow(1 - momentum, (double)launch->later);
    for (int64_t c = 0; c < sum->dims[0] && launch->training; c++) {
        yki_set_gradient(launch, &launch->views[2], c, share * yki_get(sum, c) / N);
        yki_set_gradient(launch, &launch->views[3], c, N < 2 ? 0 : share * yki_get(squares, c) / (N - 1));
    }
}

static double weight_of(const yki_view *w, int64_t c)
{
    return yki_is_absent(w) ? 1 : yki_get(w, c);
}

static void batchnorm(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *stats = &launch->views[1], *w = &launch->views[2],
                   *b = &launch->views[3], *y = &launch->views[4];
    channels k = channels_of(x);
    for (int64_t s = 0; s < k.n; s++)
        for (int64_t c = 0; c < k.C; c++)
            for (int64_t i = 0; i < k.inner; i++) {
                int64_t at = (s * k.C + c) * k.inner + i;
                double h = (yki_get(x, at) - yki_get(stats, c)) * yki_get(stats, k.C + c);
                yki_set(y, at, h * weight_of(w, c) + (yki_is_absent(b) ? 0 : yki_get(b, c)));
            }
}

static void batchnorm_sums(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *stats = &launch->views[2],
                   *out = &launch->views[3];
    channels k = channels_of(x);
    for (int64_t c = 0; c < k.C; c++) {
        double sum = 0, sum_h = 0;
        for (int64_t s = 0; s < k.n; s++)
            for (int64_t i = 0; i < k.inner; i++) {
                int64_t at = (s * k.C + c) * k.inner + i;
                sum += yki_get(dy, at);
                sum_h += yki_get(dy, at) * (yki_get(x, at) - yki_get(stats, c)) * yki_get(stats, k.C + c);
            }
        yki_set(out, c, sum);
        yki_set(out, k.C + c, sum_h);
    }
}

/* With h = (x - mean) rstd: dx = w rstd (dy - (sum dy + h sum dy h) / N), the sums over all ranks. */
static void batchnorm_dx(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *x = &launch->views[1], *stats = &launch->views[2],
                   *sums = &launch->views[3], *w = &launch->views[4], *dx = &launch->views[5];
    channels k = channels_of(x);
    for (int64_t s = 0; s < k.n; s++)
        for (int64_t c = 0; c < k.C; c++)
            for (int64_t i = 0; i < k.inner; i++) {
                int64_t at = (s * k.C + c) * k.inner + i;
                double rstd = yki_get(stats, k.C + c), h = (yki_get(x, at) - yki_get(stats, c)) * rstd;
                double mean = (yki_get(sums, c) + h * yki_get(sums, k.C + c)) / count_of(launch);
                yki_set(dx, at, weight_of(w, c) * rstd * (yki_get(dy, at) - mean));
            }
}

static void batchnorm_dw(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *sums = &launch->views[0], *dw = &launch->views[1], *db = &launch->views[2];
    int64_t C = sums->dims[1];
    for (int64_t c = 0; c < C; c++) {
        yki_set_gradient(launch, dw, c, yki_get(sums, C + c));
        yki_set_gradient(launch, db, c, yki_get(sums, c));
    }
}

void yki_reference_register_batchnorm(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_BATCH_SUM, batch_sum);
    yki_reference_add(table, YKI_KERNEL_BATCH_SQUARES, batch_squares);
    yki_reference_add(table, YKI_KERNEL_BATCH_STATS, batch_stats);
    yki_reference_add(table, YKI_KERNEL_BATCH_TRACK, batch_track);
    yki_reference_add(table, YKI_KERNEL_BATCHNORM, batchnorm);
    yki_reference_add(table, YKI_KERNEL_BATCHNORM_SUMS, batchnorm_sums);
    yki_reference_add(table, YKI_KERNEL_BATCHNORM_DX, batchnorm_dx);
    yki_reference_add(table, YKI_KERNEL_BATCHNORM_DW, batchnorm_dw);
}
