/* Elements one by one. */
#include "backend/cuda/kernels/device.cuh"

static __device__ inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static __device__ inline float gelu_inner(float x)
{
    return 0.797884560802865f * (x + 0.044715f * x * x * x);
}

/* yoke_activation's order, as the host checks. */
enum { RELU, GELU, GELU_TANH, TANH, SIGMOID, SILU };

static __device__ inline float activation(int kind, float x)
{
    switch (kind) {
    case RELU:
        return x > 0 || isnan(x) ? x : 0.0f;
    case GELU:
        return 0.5f * x * (1.0f + erff(x * 0.707106781186548f));
    case GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(gelu_inner(x)));
    case TANH:
        return tanhf(x);
    case SIGMOID:
        return sigmoid(x);
    default:
        return x * sigmoid(x);
    }
}

/* From the result for relu, tanh and sigmoid, from the input for the others. */
static __device__ inline float derivative(int kind, float saved)
{
    switch (kind) {
    case RELU:
        return saved > 0 ? 1.0f : 0.0f;
    case GELU:
        return 0.5f * (1.0f + erff(saved * 0.707106781186548f)) +
               saved * expf(-0.5f * saved * saved) * 0.398942280401433f;
    case GELU_TANH: {
        float t = tanhf(gelu_inner(saved));
        return 0.5f * (1.0f + t) +
               0.5f * saved * (1.0f - t * t) * 0.797884560802865f * (1.0f + 3.0f * 0.044715f * saved * saved);
    }
    case TANH:
        return 1.0f - saved * saved;
    case SIGMOID:
        return saved * (1.0f - saved);
    default: {
        float s = sigmoid(saved);
        return s * (1.0f + saved * (1.0f - s));
    }
    }
}

template <typename T> static __device__ inline void activate(const yki_cuda_each &a)
{
    const T *from = (const T *)a.a;
    T *to = (T *)a.x;
    for_all(a.n, head_of(from, to), [&](int64_t i, auto lot) {
        float x[lot.n];
        fetch(from, i, x);
        for (int k = 0; k < lot.n; k++) x[k] = activation(a.kind, x[k]);
        give(to, i, x);
    });
}
TYPED_KERNEL(activate, each)

/* x = f(a, b). */
template <typename A, typename B, typename X, typename F>
static __device__ inline void of_two(const yki_cuda_each &args, F f)
{
    const A *a = (const A *)args.a;
    const B *b = (const B *)args.b;
    X *to = (X *)args.x;
    for_all(args.n, head_of(a, b, to), [&](int64_t i, auto lot) {
        float x[lot.n], y[lot.n];
        fetch(a, i, x), fetch(b, i, y);
        for (int k = 0; k < lot.n; k++) x[k] = f(x[k], y[k]);
        give(to, i, x);
    });
}

template <typename T> static __device__ inline void activate_grad(const yki_cuda_each &a)
{
    of_two<T, T, T>(a, [&](float dy, float saved) { return dy * derivative(a.kind, saved); });
}
TYPED_KERNEL(activate_grad, each)

template <typename T> static __device__ inline void gate(const yki_cuda_each &a)
{
    of_two<T, T, T>(a, [](float x, float b) { return activation(SILU, x) * b; });
}
TYPED_KERNEL(gate, each)

template <typename T> static __device__ inline void gate_grad(const yki_cuda_each &a)
{
    const T *dy = (const T *)a.a, *of_a = (const T *)a.b, *of_b = (const T *)a.c;
    T *da = (T *)a.x, *db = (T *)a.y;
    for_all(a.n, head_of(dy, of_a, of_b, da, db), [&](int64_t i, auto lot) {
        float g[lot.n], x[lot.n], b[lot.n];
        fetch(dy, i, g), fetch(of_a, i, x), fetch(of_b, i, b);
        for (int k = 0; k < lot.n; k++) {
            b[k] *= g[k] * derivative(SILU, x[k]);
            g[k] *= activation(SILU, x[k]);
        }
        give(da, i, b), give(db, i, g);
    });
}
TYPED_KERNEL(gate_grad, each)

template <typename T> static __device__ inline void add(const yki_cuda_each &a)
{
    of_two<T, T, T>(a, [](float x, float y) { return x + y; });
}
TYPED_KERNEL(add, each)

template <typename T> static __device__ inline void mse_grad(const yki_cuda_each &a)
{
    of_two<T, float, T>(a, [&](float y, float target) { return 2.0f * (y - target) * a.p; });
}
TYPED_KERNEL(mse_grad, each)

template <typename T> static __device__ inline void scale(const yki_cuda_each &a)
{
    const T *from = (const T *)a.a;
    T *to = (T *)a.x;
    for_all(a.n, head_of(from, to), [&](int64_t i, auto lot) {
        float x[lot.n];
        fetch(from, i, x);
        for (int k = 0; k < lot.n; k++) x[k] *= a.p;
        give(to, i, x);
    });
}
TYPED_KERNEL(scale, each)

template <typename From, typename To> static __device__ inline void cast(const yki_cuda_each &a)
{
    const From *from = (const From *)a.a;
    To *to = (To *)a.x;
    for_all(a.n, head_of(from, to), [&](int64_t i, auto lot) {
        float x[lot.n];
        fetch(from, i, x);
        give(to, i, x);
    });
}

PLAIN_KERNEL(cast_to_f32, each)
{
    cast<half16, float>(a);
}

PLAIN_KERNEL(cast_to_bf16, each)
{
    cast<float, half16>(a);
}

PLAIN_KERNEL(zero, each) /* of halves of words */
{
    half16 *to = (half16 *)a.x;
    for_all(a.n, head_of(to), [&](int64_t i, auto lot) {
        const float x[lot.n] = {};
        give(to, i, x);
    });
}

PLAIN_KERNEL(combine, each)
{
    of_two<float, float, float>(a, [&](float x, float y) { return a.p * x + a.q * y; });
}

PLAIN_KERNEL(blend, each) /* b is x */
{
    of_two<float, float, float>(a, [&](float g, float w) { return a.p * w + g; });
}

template <typename T> static __device__ inline void dropout(const yki_cuda_dropout &a)
{
    for (int64_t e = thread_at(); e < a.n; e += thread_count()) {
        int64_t i = e % a.inner, l = e / a.inner % a.local, o = e / a.inner / a.local % a.outer;
        int64_t row = (e / a.inner / a.local / a.outer + a.first) * a.length + position_of(&a.rows, o);
        int64_t element = (row * a.global + a.offset + l) * a.inner + i;
        bool kept = a.p == 0 || yki_rng_uniformf(a.key, (uint64_t)element) >= a.p;
        store((T *)a.y, e, kept ? load((const T *)a.x, e) * a.scale : 0.0f);
    }
}
TYPED_KERNEL(dropout, dropout)

template <typename T> static __device__ inline void slice(const yki_cuda_slice &a)
{
    for (int64_t e = thread_at(); e < a.n; e += thread_count()) {
        int64_t i = e % a.inner, l = e / a.inner % a.local, o = e / a.inner / a.local;
        ((T *)a.y)[e] = ((const T *)a.x)[(o * a.global + a.offset + l) * a.inner + i];
    }
}
TYPED_KERNEL(slice, slice)

PLAIN_KERNEL(join, beside)
{
    int64_t C = a.A + a.B;
    for (int64_t e = thread_at(); e < a.R * C; e += thread_count()) {
        int64_t r = e / C, i = e % C;
        float value =
            i < a.A ? load_either(a.a, a.half_a, r * a.A + i) : load_either(a.b, a.half_b, r * a.B + i - a.A);
        store_either(a.both, a.half_both, e, value);
    }
}

PLAIN_KERNEL(split, beside)
{
    int64_t C = a.A + a.B;
    for (int64_t e = thread_at(); e < a.R * C; e += thread_count()) {
        int64_t r = e / C, i = e % C;
        float value = load_either(a.both, a.half_both, e);
        if (i < a.A)
            store_either(a.a, a.half_a, r * a.A + i, value);
        else
            store_either(a.b, a.half_b, r * a.B + i - a.A, value);
    }
}

/* yki_rope_frequency (backend/rope.h). */
static __device__ inline double frequency(const yki_cuda_rope &a, int64_t i)
{
    double plain = pow(a.theta, -2.0 * (double)i / (double)a.d);
    if (a.factor == 0) return plain;
    if (a.context == 0) return plain / a.factor;
    double turns = a.context * plain / (2 * 3.14159265358979323846);
    if (turns < a.low) return plain / a.factor;
    if (turns > a.high) return plain;
    double share = (turns - a.low) / (a.high - a.low);
    return (1 - share) * plain / a.factor + share * plain;
}

template <typename T> static __device__ inline void turn(const yki_cuda_rope &a, int64_t at, float c, float s)
{
    float u = load((const T *)a.x, at), v = load((const T *)a.x, at + a.d / 2);
    store((T *)a.y, at, u * c - v * s);
    store((T *)a.y, at + a.d / 2, v * c + u * s);
}

/* A thread for a pair at a position, which turns those of all samples and heads. */
template <typename T> static __device__ inline void rope(const yki_cuda_rope &a)
{
    int64_t half = a.d / 2;
    for (int64_t e = thread_at(); e < a.T * half; e += thread_count()) {
        int64_t t = e / half, i = e % half;
        double angle = (double)(a.offset + position_of(&a.rows, t)) * frequency(a, i);
        float c = (float)cos(angle), s = (float)sin(angle) * a.sign;
        for (int64_t head = 0; head < a.n * a.H; head++)
            turn<T>(a, ((head / a.H * a.T + t) * a.H + head % a.H) * a.d + i, c, s);
    }
}
TYPED_KERNEL(rope, rope)

/* A thread for a pair of a row, which turns those of all heads. */
template <typename T> static __device__ inline void rope_at(const yki_cuda_rope &a)
{
    int64_t half = a.d / 2;
    for (int64_t e = thread_at(); e < a.n * half; e += thread_count()) {
        int64_t row = e / half, i = e % half;
        double angle = (double)a.at[2 * row + 1] * frequency(a, i);
        float c = (float)cos(angle), s = (float)sin(angle);
        for (int64_t h = 0; h < a.H; h++) turn<T>(a, (row * a.H + h) * a.d + i, c, s);
    }
}
TYPED_KERNEL(rope_at, rope)

template <typename T> static __device__ inline void position_at(const yki_cuda_picked &a)
{
    for (int64_t e = thread_at(); e < a.n * a.D; e += thread_count()) {
        int64_t row = a.at[2 * (e / a.D) + 1];
        float p = row >= 0 && row < a.P ? load((const T *)a.p, row * a.D + e % a.D) : 0.0f;
        store((T *)a.y, e, load((const T *)a.x, e) + p);
    }
}
TYPED_KERNEL(position_at, picked)

template <typename T> static __device__ inline void pick(const yki_cuda_picked &a)
{
    for (int64_t e = thread_at(); e < a.n * a.D; e += thread_count()) {
        int64_t row = a.at[e / a.D];
        store((T *)a.y, e, row >= 0 && row < a.P ? load((const T *)a.x, row * a.D + e % a.D) : 0.0f);
    }
}
TYPED_KERNEL(pick, picked)

template <typename T> static __device__ inline void embed(const yki_cuda_embed &a)
{
    for (int64_t e = thread_at(); e < a.R * a.D; e += thread_count()) {
        int64_t row = (int64_t)a.ids[e / a.D] - a.offset;
        bool here = row >= 0 && row < a.V;
        store((T *)a.to, e, here ? load((const T *)a.from, row * a.D + e % a.D) : 0.0f);
    }
}
TYPED_KERNEL(embed, embed)

/* A block for a row of the table: it looks for its id among all, in order. */
template <typename T> static __device__ inline void embed_grad(const yki_cuda_embed &a)
{
    YKI_SHARED(int32_t, ids, 256);
    int64_t row = blockIdx.x;
    for (int64_t first = 0; first < a.D; first += blockDim.x) {
        int64_t i = first + threadIdx.x;
        float sum = 0;
        for (int64_t r = 0; r < a.R; r += blockDim.x) {
            __syncthreads();
            if (r + threadIdx.x < a.R) ids[threadIdx.x] = a.ids[r + threadIdx.x];
            __syncthreads();
            for (int64_t k = 0; k < blockDim.x && r + k < a.R && i < a.D; k++)
                if ((int64_t)ids[k] - a.offset == row) sum += load((const T *)a.from, (r + k) * a.D + i);
        }
        if (i < a.D) store_gradient((float *)a.to, row * a.D + i, sum, a.accumulate);
    }
}
TYPED_KERNEL(embed_grad, embed)

template <typename T> static __device__ inline void position(const yki_cuda_position &a)
{
    for (int64_t e = thread_at(); e < a.n * a.T * a.D; e += thread_count()) {
        int64_t i = e % a.D, t = e / a.D % a.T;
        float p = load((const T *)a.p, (a.offset + position_of(&a.rows, t)) * a.D + i);
        store((T *)a.y, e, load((const T *)a.x, e) + p);
    }
}
TYPED_KERNEL(position, position)

/* A thread for an element of the table: the rows that stand at its position, if any do. */
template <typename T> static __device__ inline void position_grad(const yki_cuda_position &a)
{
    for (int64_t e = thread_at(); e < a.P * a.D; e += thread_count()) {
        int64_t before = e / a.D - a.offset - a.rows.first, behind = before - a.rows.jump;
        bool is_before = before >= 0 && before < a.T && before < a.rows.split;
        bool is_behind = behind >= 0 && behind < a.T && behind >= a.rows.split;
        int64_t t = is_before ? before : behind;
        float sum = 0;
        for (int64_t s = 0; s < a.n && (is_before || is_behind); s++)
            sum += load((const T *)a.x, (s * a.T + t) * a.D + e % a.D);
        store_gradient((float *)a.y, e, sum, a.accumulate);
    }
}
TYPED_KERNEL(position_grad, position)
