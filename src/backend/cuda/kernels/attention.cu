/* Attention of any kind, width and positions: whole, grouped, part by part, with yoke's own dropout. A block
 * for a query, or for a key; the others pass by in tiles of a block's threads. Weights are exponentials less
 * the largest so far (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). */
#include "backend/cuda/kernels/device.cuh"

enum { THREADS = 64, MOST = 1024 }; /* a block's, and the widest head */

/* Of a block for row `row` of head `head` of sample `s`. */
struct place {
    int64_t s, head, row;
};

static __device__ inline place place_of(int64_t heads, int64_t rows)
{
    int64_t at = blockIdx.x;
    return {at / rows / heads, at / rows % heads, at % rows};
}

static __device__ inline int64_t start_of(const yki_cuda_heads &o, int64_t s, int64_t t, int64_t h, int64_t d)
{
    return (s * o.rows + t) * o.step + o.first + h * d;
}

/* The head of k and v that a query head reads. */
static __device__ inline int64_t read_by(const yki_cuda_attention &a, int64_t h)
{
    return a.group > 0 ? (a.offset + h) / a.group - a.first_group : h;
}

static __device__ inline bool sees(const yki_cuda_attention &a, int64_t t, int64_t u)
{
    if (!a.causal) return true;
    int64_t query = position_of(&a.queries, t), key = position_of(&a.keys, u);
    return key <= query && (a.window == 0 || key > query - a.window);
}

/* What dropout multiplies a weight with. */
static __device__ inline float kept(const yki_cuda_attention &a, int64_t s, int64_t h, int64_t t, int64_t u)
{
    if (a.p == 0) return 1;
    int64_t head = (s + a.sample) * a.global + a.offset + h;
    int64_t element = (head * a.length + position_of(&a.queries, t)) * a.length + position_of(&a.keys, u);
    return yki_rng_uniformf(a.key, (uint64_t)element) >= a.p ? (float)(1.0 / (1.0 - a.p)) : 0.0f;
}

template <typename T>
static __device__ inline float dot(const T *x, int64_t x0, const T *y, int64_t y0, int64_t d)
{
    float sum = 0;
    for (int64_t i = 0; i < d; i++) sum += load(x, x0 + i) * load(y, y0 + i);
    return sum;
}

template <typename T> static __device__ inline void attention(const yki_cuda_attention &a)
{
    YKI_SHARED(float, weight, THREADS);
    YKI_SHARED(float, sum, MOST);
    place at = place_of(a.H, a.T);
    int64_t h = at.head, t = at.row, other = read_by(a, h), row = blockIdx.x;
    int64_t q0 = start_of(a.q, at.s, t, h, a.d), y0 = start_of(a.y, at.s, t, h, a.d);
    float most = a.before.data ? a.lse_before[row] : -INFINITY, total = most > -INFINITY ? 1.0f : 0.0f;
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
        sum[i] = total > 0 ? load_either(a.before.data, a.half_before, y0 + i) : 0.0f;
    for (int64_t u0 = 0; u0 < a.S; u0 += THREADS) {
        int64_t u = u0 + threadIdx.x;
        bool seen = u < a.S && sees(a, t, u);
        float score = -INFINITY;
        if (seen)
            score = a.scale * dot((const T *)a.q.data, q0, (const T *)a.k.data,
                                  start_of(a.k, at.s, u, other, a.d), a.d);
        float now = fmaxf(most, block_max(score));
        if (now == -INFINITY) continue; /* for the whole block alike */
        float p = seen ? expf(score - now) : 0.0f, fade = most > -INFINITY ? expf(most - now) : 0.0f;
        total = total * fade + block_sum(p);
        weight[threadIdx.x] = seen ? p * kept(a, at.s, h, t, u) : 0.0f;
        most = now;
        __syncthreads();
        for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) {
            float more = sum[i] * fade;
            for (int64_t j = 0; j < THREADS && u0 + j < a.S; j++)
                if (weight[j] != 0)
                    more +=
                        weight[j] * load((const T *)a.v.data, start_of(a.v, at.s, u0 + j, other, a.d) + i);
            sum[i] = more;
        }
        __syncthreads();
    }
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
        store_either(a.y.data, a.half_out, y0 + i, total > 0 ? sum[i] / total : 0.0f);
    if (threadIdx.x == 0) a.lse[row] = total > 0 ? most + logf(total) : -INFINITY;
}
TYPED_KERNEL(attention, attention)

/* The weight of key u for query t, dropped, and the gradient of the scaled score. */
struct pair {
    float weight, dscore;
};

template <typename T>
static __device__ inline pair pair_of(const yki_cuda_attention &a, int64_t s, int64_t h, int64_t t, int64_t u,
                                      float dots)
{
    if (!sees(a, t, u)) return {0, 0};
    int64_t other = read_by(a, h), dy0 = start_of(a.dy, s, t, h, a.d);
    float score = a.scale * dot((const T *)a.q.data, start_of(a.q, s, t, h, a.d), (const T *)a.k.data,
                                start_of(a.k, s, u, other, a.d), a.d);
    float p = expf(score - a.lse[(s * a.H + h) * a.T + t]), keep = kept(a, s, h, t, u);
    float dp = dot((const T *)a.dy.data, dy0, (const T *)a.v.data, start_of(a.v, s, u, other, a.d), a.d);
    return {p * keep, p * (dp * keep - dots) * a.scale};
}

template <typename T> static __device__ inline void attention_dq(const yki_cuda_attention &a)
{
    YKI_SHARED(float, dscore, THREADS);
    YKI_SHARED(float, sum, MOST);
    place at = place_of(a.H, a.T);
    int64_t h = at.head, t = at.row, other = read_by(a, h), y0 = start_of(a.y, at.s, t, h, a.d),
            q0 = start_of(a.dq, at.s, t, h, a.d);
    float dots = 0;
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) {
        dots += load((const T *)a.dy.data, y0 + i) * load((const T *)a.y.data, y0 + i);
        sum[i] = a.before.data ? load_either(a.before.data, a.half_before, q0 + i) : 0.0f;
    }
    dots = block_sum(dots);
    for (int64_t u0 = 0; u0 < a.S; u0 += THREADS) {
        int64_t u = u0 + threadIdx.x;
        dscore[threadIdx.x] = u < a.S ? pair_of<T>(a, at.s, h, t, u, dots).dscore : 0.0f;
        __syncthreads();
        for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
            for (int64_t j = 0; j < THREADS && u0 + j < a.S; j++)
                sum[i] += dscore[j] * load((const T *)a.k.data, start_of(a.k, at.s, u0 + j, other, a.d) + i);
        __syncthreads();
    }
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
        store_either(a.dq.data, a.half_out, q0 + i, sum[i]);
    if (threadIdx.x == 0) a.dots[blockIdx.x] = dots;
}
TYPED_KERNEL(attention_dq, attention)

/* Behind attention_dq, which leaves dots. */
template <typename T> static __device__ inline void attention_dkv(const yki_cuda_attention &a)
{
    YKI_SHARED(float, weight, THREADS);
    YKI_SHARED(float, dscore, THREADS);
    YKI_SHARED(float, dk, MOST);
    YKI_SHARED(float, dv, MOST);
    place at = place_of(a.G, a.S);
    int64_t u = at.row;
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) dk[i] = dv[i] = 0;
    for (int64_t h = 0; h < a.H; h++) {
        if (read_by(a, h) != at.head) continue;
        for (int64_t t0 = 0; t0 < a.T; t0 += THREADS) {
            int64_t t = t0 + threadIdx.x;
            pair mine = {0, 0};
            if (t < a.T) mine = pair_of<T>(a, at.s, h, t, u, a.dots[(at.s * a.H + h) * a.T + t]);
            weight[threadIdx.x] = mine.weight;
            dscore[threadIdx.x] = mine.dscore;
            __syncthreads();
            for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
                for (int64_t j = 0; j < THREADS && t0 + j < a.T; j++) {
                    dk[i] += dscore[j] * load((const T *)a.q.data, start_of(a.q, at.s, t0 + j, h, a.d) + i);
                    dv[i] += weight[j] * load((const T *)a.dy.data, start_of(a.dy, at.s, t0 + j, h, a.d) + i);
                }
            __syncthreads();
        }
    }
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) {
        store_either(a.dk.data, a.half_kv, start_of(a.dk, at.s, u, at.head, a.d) + i, dk[i]);
        store_either(a.dv.data, a.half_kv, start_of(a.dv, at.s, u, at.head, a.d) + i, dv[i]);
    }
}
TYPED_KERNEL(attention_dkv, attention)

/* A row's place in the cache; false: it has none. */
static __device__ inline bool place_in_cache(const yki_cuda_recall &a, int64_t row, int64_t *slot,
                                             int64_t *position)
{
    *slot = a.at[2 * row], *position = a.at[2 * row + 1];
    return *slot >= 0 && *slot < a.slots && *position >= 0 && *position < a.context;
}

/* A block for a row, which puts its keys and values at its place, unless a later row has the same. */
template <typename T> static __device__ inline void recall_store(const yki_cuda_recall &a)
{
    int64_t row = blockIdx.x, slot, position;
    float taken = 0;
    bool there = place_in_cache(a, row, &slot, &position);
    for (int64_t other = row + 1 + threadIdx.x; other < a.n; other += blockDim.x)
        if (a.at[2 * other] == slot && a.at[2 * other + 1] == position) taken = 1;
    if (block_max(taken) > 0 || !there) return;
    for (int64_t e = threadIdx.x; e < a.G * a.d; e += blockDim.x) {
        int64_t i = e % a.d, g = e / a.d, from = row * a.step_kv + e;
        int64_t to = ((slot * a.G + g) * a.context + position) * a.d + i;
        store((T *)a.keys, to, load((const T *)a.k, from));
        store((T *)a.values, to, load((const T *)a.v, from));
    }
}
TYPED_KERNEL(recall_store, recall)

/* A block for a head of a row, over what its slot has up to its position. Behind recall_store. */
template <typename T> static __device__ inline void recall(const yki_cuda_recall &a)
{
    YKI_SHARED(float, weight, THREADS);
    YKI_SHARED(float, sum, MOST);
    int64_t row = blockIdx.x / a.H, h = blockIdx.x % a.H, slot, position;
    int64_t g = a.group > 0 ? (a.offset + h) / a.group - a.first_group : h;
    bool there = place_in_cache(a, row, &slot, &position);
    int64_t from = (slot * a.G + g) * a.context, last = there ? position + 1 : 0;
    int64_t low = a.window > 0 && last > a.window ? last - a.window : 0;
    float most = -INFINITY, total = 0;
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) sum[i] = 0;
    for (int64_t u0 = low; u0 < last; u0 += THREADS) {
        int64_t u = u0 + threadIdx.x;
        float score = -INFINITY;
        if (u < last)
            score = a.scale *
                    dot((const T *)a.q, row * a.step_q + h * a.d, (const T *)a.keys, (from + u) * a.d, a.d);
        float now = fmaxf(most, block_max(score)), fade = most > -INFINITY ? expf(most - now) : 0.0f;
        float p = u < last ? expf(score - now) : 0.0f;
        total = total * fade + block_sum(p);
        weight[threadIdx.x] = p;
        most = now;
        __syncthreads();
        for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x) {
            float more = sum[i] * fade;
            for (int64_t j = 0; j < THREADS && u0 + j < last; j++)
                more += weight[j] * load((const T *)a.values, (from + u0 + j) * a.d + i);
            sum[i] = more;
        }
        __syncthreads();
    }
    for (int64_t i = threadIdx.x; i < a.d; i += blockDim.x)
        store((T *)a.y, (row * a.H + h) * a.d + i, total > 0 ? sum[i] / total : 0.0f);
}
TYPED_KERNEL(recall, recall)
