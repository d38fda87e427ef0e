/* Sums over rows, over samples and places of channels, and over everything; and batch norm. */
#include "backend/cuda/kernels/device.cuh"

/* A thread for a column of a slice of the rows. */
template <typename T> static __device__ inline void columns(const yki_cuda_columns &a)
{
    int64_t i = thread_at(), slice = blockIdx.y;
    if (i >= a.N) return;
    int64_t last = a.R * (slice + 1) / a.slices, width = a.x && a.out2 ? 2 * a.N : a.N;
    float sum = 0, sum_h = 0;
    for (int64_t r = a.R * slice / a.slices; r < last; r++) {
        float dy = load((const T *)a.dy, r * a.N + i);
        sum += dy;
        if (a.x) sum_h += dy * (load((const T *)a.x, r * a.N + i) - (a.mean ? a.mean[r] : 0.0f)) * a.rstd[r];
    }
    a.partial[slice * width + i] = a.x ? sum_h : sum;
    if (width > a.N) a.partial[slice * width + a.N + i] = sum;
}
TYPED_KERNEL(columns, columns)

PLAIN_KERNEL(columns_end, columns)
{
    int64_t i = thread_at(), width = a.out2 ? 2 * a.N : a.N;
    if (i >= width) return;
    float sum = 0;
    for (int64_t slice = 0; slice < a.slices; slice++) sum += a.partial[slice * width + i];
    store_gradient(i < a.N ? a.out : a.out2, i % a.N, sum, a.accumulate);
}

/* A block for a channel. */
template <typename T, typename F>
static __device__ inline void each_of_channel(const yki_cuda_channels &a, F f)
{
    int64_t c = blockIdx.x;
    for (int64_t e = threadIdx.x; e < a.n * a.inner; e += blockDim.x)
        f((e / a.inner * a.C + c) * a.inner + e % a.inner);
}

template <typename T> static __device__ inline void batch_sum(const yki_cuda_channels &a)
{
    float sum = 0;
    if (a.training) each_of_channel<T>(a, [&](int64_t at) { sum += load((const T *)a.x, at); });
    sum = block_sum(sum);
    if (threadIdx.x == 0) store_gradient(a.out, blockIdx.x, sum, a.accumulate);
}
TYPED_KERNEL(batch_sum, channels)

template <typename T> static __device__ inline void batch_squares(const yki_cuda_channels &a)
{
    float mean = a.sums[blockIdx.x] / a.count, sum = 0;
    if (a.training)
        each_of_channel<T>(a, [&](int64_t at) {
            float off = load((const T *)a.x, at) - mean;
            sum += off * off;
        });
    sum = block_sum(sum);
    if (threadIdx.x == 0) a.out[blockIdx.x] = sum;
}
TYPED_KERNEL(batch_squares, channels)

template <typename T> static __device__ inline void batchnorm_sums(const yki_cuda_channels &a)
{
    int64_t c = blockIdx.x;
    float mean = a.stats[c], rstd = a.stats[a.C + c], sum = 0, sum_h = 0;
    each_of_channel<T>(a, [&](int64_t at) {
        float dy = load((const T *)a.dy, at);
        sum += dy;
        sum_h += dy * (load((const T *)a.x, at) - mean) * rstd;
    });
    sum = block_sum(sum);
    sum_h = block_sum(sum_h);
    if (threadIdx.x == 0) a.out[c] = sum, a.out[a.C + c] = sum_h;
}
TYPED_KERNEL(batchnorm_sums, channels)

/* mean and rstd are of a sample's groups of channels. */
template <typename T> static __device__ inline void groupnorm_dw(const yki_cuda_channels &a)
{
    int64_t c = blockIdx.x;
    float sum = 0, sum_h = 0;
    each_of_channel<T>(a, [&](int64_t at) {
        int64_t group = at / (a.C / a.groups * a.inner);
        float dy = load((const T *)a.dy, at);
        sum += dy;
        sum_h += dy * (load((const T *)a.x, at) - a.mean[group]) * a.rstd[group];
    });
    sum = block_sum(sum);
    sum_h = block_sum(sum_h);
    if (threadIdx.x != 0) return;
    store_gradient(a.out, c, sum_h, a.accumulate);
    store_gradient(a.out2, c, sum, a.accumulate);
}
TYPED_KERNEL(groupnorm_dw, channels)

template <typename T> static __device__ inline float of_channel(const void *w, int64_t c, float other)
{
    return w ? load((const T *)w, c) : other;
}

template <typename T> static __device__ inline void batchnorm(const yki_cuda_channels &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.inner; e += thread_count()) {
        int64_t c = e / a.inner % a.C;
        float h = (load((const T *)a.x, e) - a.stats[c]) * a.stats[a.C + c];
        store((T *)a.y, e, h * of_channel<T>(a.w, c, 1) + of_channel<T>(a.b, c, 0));
    }
}
TYPED_KERNEL(batchnorm, channels)

/* With h = (x - mean) rstd: dx = w rstd (dy - (sum dy + h sum dy h) / N). */
template <typename T> static __device__ inline void batchnorm_dx(const yki_cuda_channels &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.inner; e += thread_count()) {
        int64_t c = e / a.inner % a.C;
        float rstd = a.stats[a.C + c], h = (load((const T *)a.x, e) - a.stats[c]) * rstd;
        float mean = (a.sums[c] + h * a.sums[a.C + c]) / a.count;
        store((T *)a.y, e, of_channel<T>(a.w, c, 1) * rstd * (load((const T *)a.dy, e) - mean));
    }
}
TYPED_KERNEL(batchnorm_dx, channels)

PLAIN_KERNEL(batch_stats, statistics)
{
    int64_t c = thread_at();
    if (c >= a.C) return;
    double mean = a.training ? a.sum[c] / a.count : a.mean[c];
    double variance = a.training ? a.squares[c] / a.count : a.variance[c];
    a.out[c] = (float)mean;
    a.out[a.C + c] = (float)(1.0 / sqrt(variance + a.eps));
}

PLAIN_KERNEL(batch_track, statistics)
{
    int64_t c = thread_at();
    if (c >= a.C) return;
    store_gradient(a.out, c, (float)(a.share * a.sum[c] / a.count), a.accumulate);
    store_gradient(a.out2, c, a.count < 2 ? 0.0f : (float)(a.share * a.squares[c] / (a.count - 1)),
                   a.accumulate);
}

PLAIN_KERNEL(batchnorm_dw, statistics) /* sum: of dy, then of dy h */
{
    int64_t c = thread_at();
    if (c >= a.C) return;
    store_gradient(a.out, c, a.sum[a.C + c], a.accumulate);
    store_gradient(a.out2, c, a.sum[c], a.accumulate);
}

/* Each block leaves its sum. */
static __device__ inline void leave_total(const yki_cuda_total &a, int which, double sum)
{
    sum = block_sum(sum);
    if (threadIdx.x == 0) a.partial[which * a.blocks + blockIdx.x] = sum;
}

PLAIN_KERNEL(squares, total)
{
    const float *x = (const float *)a.a;
    double sum = 0;
    for_all(a.n, head_of(x), [&](int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) sum += (double)v[k] * v[k];
    });
    leave_total(a, 0, sum);
}

template <typename T> static __device__ inline void mse_loss(const yki_cuda_total &a)
{
    const T *y = (const T *)a.a;
    const float *target = (const float *)a.b;
    double sum = 0;
    for_all(a.n, head_of(y, target), [&](int64_t i, auto lot) {
        float v[lot.n], t[lot.n];
        fetch(y, i, v), fetch(target, i, t);
        for (int k = 0; k < lot.n; k++) sum += ((double)v[k] - t[k]) * ((double)v[k] - t[k]);
    });
    leave_total(a, 0, sum);
}
TYPED_KERNEL(mse_loss, total)

/* a: max, b: stats of each row. */
PLAIN_KERNEL(entropy_loss, total)
{
    double loss = 0, right = 0;
    for (int64_t r = thread_at(); r < a.n; r += thread_count()) {
        double log_sum = log((double)((const float *)a.b)[2 * r]);
        float at_target = ((const float *)a.b)[2 * r + 1];
        bool counted = at_target != INFINITY;
        a.lse[r] = counted ? (float)(((const float *)a.a)[r] + log_sum) : INFINITY;
        loss += counted ? log_sum - at_target : 0;
        right += at_target >= 0 && counted;
    }
    leave_total(a, 0, loss);
    leave_total(a, 1, right);
}

/* One block: adds what the others left. */
PLAIN_KERNEL(total_end, total)
{
    for (int which = 0; which < a.count; which++) {
        double sum = 0;
        for (int64_t i = threadIdx.x; i < a.blocks; i += blockDim.x) sum += a.partial[which * a.blocks + i];
        sum = block_sum(sum);
        if (threadIdx.x == 0) a.loss[which] += sum;
    }
}

PLAIN_KERNEL(unit, unit)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < a.blocks; i += blockDim.x) sum += a.partial[i];
    float divisor = (float)fmax(a.eps, sqrt(block_sum(sum)));
    for (int64_t i = thread_at(); i < a.n; i += thread_count()) a.y[i] = a.x[i] / divisor;
}
