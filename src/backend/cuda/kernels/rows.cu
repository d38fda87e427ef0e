/* A block for a row: norms, softmax, and the rows of cross-entropy. */
#include "backend/cuda/kernels/device.cuh"

/* Element i of row r has this channel; in rows of one channel each, i. */
template <bool grouped>
static __device__ inline int64_t channel_of(const yki_cuda_norm &a, int64_t r, int64_t i)
{
    return grouped ? r % a.groups * (a.D / a.places) + i / a.places : i;
}

/* Those of w, or another number where there is none. */
template <bool grouped, typename T, int n>
static __device__ inline void fetch_weights(const yki_cuda_norm &a, const T *w, int64_t r, int64_t i,
                                            float other, float (&x)[n])
{
    if (w && !grouped)
        fetch(w, i, x);
    else
        for (int k = 0; k < n; k++) x[k] = w ? load(w, channel_of<grouped>(a, r, i + k)) : other;
}

/* The sum over a row of f(element's lot). */
template <typename F> static __device__ inline float sum_row(int64_t n, int head, F f)
{
    float sum = 0;
    for_row(n, head, [&](int64_t i, auto lot) { f(sum, i, lot); });
    return block_sum(sum);
}

/* The mean of what a sum is of. */
static __device__ inline float mean_of(float sum, int64_t D)
{
    return D > 0 ? sum / (float)D : 0.0f;
}

template <bool grouped, typename T> static __device__ inline void layernorm_rows(const yki_cuda_norm &a)
{
    int64_t r = blockIdx.x;
    const T *x = (const T *)a.x + r * a.D, *w = (const T *)a.w, *b = (const T *)a.b;
    T *y = (T *)a.y + r * a.D;
    int head = grouped ? head_of(x, y) : head_of(x, y, w, b);
    float mean = mean_of(sum_row(a.D, head,
                                 [&](float &sum, int64_t i, auto lot) {
                                     float v[lot.n];
                                     fetch(x, i, v);
                                     for (int k = 0; k < lot.n; k++) sum += v[k];
                                 }),
                         a.D);
    float squares = sum_row(a.D, head, [&](float &sum, int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) sum += (v[k] - mean) * (v[k] - mean);
    });
    float rstd = 1.0f / sqrtf(mean_of(squares, a.D) + a.eps);
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float v[lot.n], scale[lot.n], shift[lot.n];
        fetch(x, i, v);
        fetch_weights<grouped>(a, w, r, i, 1, scale), fetch_weights<grouped>(a, b, r, i, 0, shift);
        for (int k = 0; k < lot.n; k++) v[k] = (v[k] - mean) * rstd * scale[k] + shift[k];
        give(y, i, v);
    });
    if (threadIdx.x == 0) a.mean[r] = mean, a.rstd[r] = rstd;
}

template <typename T> static __device__ inline void layernorm(const yki_cuda_norm &a)
{
    layernorm_rows<false, T>(a);
}
TYPED_KERNEL(layernorm, norm)

template <typename T> static __device__ inline void groupnorm(const yki_cuda_norm &a)
{
    layernorm_rows<true, T>(a);
}
TYPED_KERNEL(groupnorm, norm)

/* With h = (x - mean) rstd and g = dy w: dx = rstd (g - avg(g) - h avg(g h)); of RMS norm, mean and avg(g)
 * are 0. */
template <bool grouped, bool centred, typename T>
static __device__ inline void norm_rows_dx(const yki_cuda_norm &a)
{
    int64_t r = blockIdx.x;
    const T *x = (const T *)a.x + r * a.D, *dy = (const T *)a.dy + r * a.D, *w = (const T *)a.w;
    T *dx = (T *)a.y + r * a.D;
    int head = grouped ? head_of(x, dy, dx) : head_of(x, dy, dx, w);
    float mean = centred ? a.mean[r] : 0.0f, rstd = a.rstd[r], sum = 0, sum_h = 0;
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float h[lot.n], g[lot.n], scale[lot.n];
        fetch(x, i, h), fetch(dy, i, g), fetch_weights<grouped>(a, w, r, i, 1, scale);
        for (int k = 0; k < lot.n; k++) {
            sum += g[k] * scale[k];
            sum_h += g[k] * scale[k] * (h[k] - mean) * rstd;
        }
    });
    float avg = centred ? mean_of(block_sum(sum), a.D) : 0.0f, avg_h = mean_of(block_sum(sum_h), a.D);
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float h[lot.n], g[lot.n], scale[lot.n];
        fetch(x, i, h), fetch(dy, i, g), fetch_weights<grouped>(a, w, r, i, 1, scale);
        for (int k = 0; k < lot.n; k++) g[k] = rstd * (g[k] * scale[k] - avg - (h[k] - mean) * rstd * avg_h);
        give(dx, i, g);
    });
}

template <typename T> static __device__ inline void layernorm_dx(const yki_cuda_norm &a)
{
    norm_rows_dx<false, true, T>(a);
}
TYPED_KERNEL(layernorm_dx, norm)

template <typename T> static __device__ inline void groupnorm_dx(const yki_cuda_norm &a)
{
    norm_rows_dx<true, true, T>(a);
}
TYPED_KERNEL(groupnorm_dx, norm)

template <typename T> static __device__ inline void rmsnorm_dx(const yki_cuda_norm &a)
{
    norm_rows_dx<false, false, T>(a);
}
TYPED_KERNEL(rmsnorm_dx, norm)

template <typename T> static __device__ inline void rmsnorm(const yki_cuda_norm &a)
{
    int64_t r = blockIdx.x;
    const T *x = (const T *)a.x + r * a.D, *w = (const T *)a.w;
    T *y = (T *)a.y + r * a.D;
    int head = head_of(x, y, w);
    float squares = sum_row(a.D, head, [&](float &sum, int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) sum += v[k] * v[k];
    });
    float rstd = 1.0f / sqrtf(mean_of(squares, a.D) + a.eps);
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float v[lot.n], scale[lot.n];
        fetch(x, i, v), fetch(w, i, scale);
        for (int k = 0; k < lot.n; k++) v[k] *= rstd * scale[k];
        give(y, i, v);
    });
    if (threadIdx.x == 0) a.rstd[r] = rstd;
}
TYPED_KERNEL(rmsnorm, norm)

template <typename T> static __device__ inline float row_max(const T *x, int64_t n, int head)
{
    float most = -INFINITY;
    for_row(n, head, [&](int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) most = fmaxf(most, v[k]);
    });
    return block_max(most);
}

template <typename T>
static __device__ inline float row_exponentials(const T *x, int64_t n, int head, float less)
{
    return sum_row(n, head, [&](float &sum, int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) sum += expf(v[k] - less);
    });
}

template <typename T> static __device__ inline void softmax(const yki_cuda_softmax &a)
{
    int64_t r = blockIdx.x;
    const T *x = (const T *)a.x + r * a.D;
    T *y = (T *)a.y + r * a.D;
    int head = head_of(x, y);
    float most = row_max(x, a.D, head), sum = row_exponentials(x, a.D, head, most);
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float v[lot.n];
        fetch(x, i, v);
        for (int k = 0; k < lot.n; k++) v[k] = expf(v[k] - most) / sum;
        give(y, i, v);
    });
}
TYPED_KERNEL(softmax, softmax)

/* dx = y (dy - sum(dy y)). */
template <typename T> static __device__ inline void softmax_grad(const yki_cuda_softmax &a)
{
    int64_t r = blockIdx.x;
    const T *y = (const T *)a.x + r * a.D, *dy = (const T *)a.dy + r * a.D;
    T *dx = (T *)a.y + r * a.D;
    int head = head_of(y, dy, dx);
    float dot = sum_row(a.D, head, [&](float &sum, int64_t i, auto lot) {
        float v[lot.n], g[lot.n];
        fetch(y, i, v), fetch(dy, i, g);
        for (int k = 0; k < lot.n; k++) sum += g[k] * v[k];
    });
    for_row(a.D, head, [&](int64_t i, auto lot) {
        float v[lot.n], g[lot.n];
        fetch(y, i, v), fetch(dy, i, g);
        for (int k = 0; k < lot.n; k++) v[k] *= g[k] - dot;
        give(dx, i, v);
    });
}
TYPED_KERNEL(softmax_grad, softmax)

template <typename T> static __device__ inline void entropy_max(const yki_cuda_entropy &a)
{
    int64_t r = blockIdx.x;
    const T *logits = (const T *)a.logits + r * a.V;
    float most = row_max(logits, a.V, head_of(logits));
    if (threadIdx.x == 0) a.out[r] = most;
}
TYPED_KERNEL(entropy_max, entropy)

template <typename T> static __device__ inline void entropy_sum(const yki_cuda_entropy &a)
{
    int64_t r = blockIdx.x;
    const T *logits = (const T *)a.logits + r * a.V;
    float most = a.max[r], sum = row_exponentials(logits, a.V, head_of(logits), most);
    if (threadIdx.x != 0) return;
    int64_t target = a.targets[r], here = target - a.offset;
    a.out[2 * r] = sum;
    a.out[2 * r + 1] = target < 0 ? INFINITY : here >= 0 && here < a.V ? load(logits, here) - most : 0.0f;
}
TYPED_KERNEL(entropy_sum, entropy)

template <typename T> static __device__ inline void entropy_grad(const yki_cuda_entropy &a)
{
    int64_t r = blockIdx.x, target = (int64_t)a.targets[r] - a.offset;
    const T *logits = (const T *)a.logits + r * a.V;
    T *dlogits = (T *)a.dlogits + r * a.V;
    float lse = a.lse[r];
    for_row(a.V, head_of(logits, dlogits), [&](int64_t i, auto lot) {
        float v[lot.n];
        fetch(logits, i, v);
        for (int k = 0; k < lot.n; k++) v[k] = (expf(v[k] - lse) - (i + k == target ? 1.0f : 0.0f)) * a.scale;
        give(dlogits, i, v);
    });
}
TYPED_KERNEL(entropy_grad, entropy)
