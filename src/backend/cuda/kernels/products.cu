/* Products, convolutions and pools, each output gathered by one thread: plain, for any shape and type. */
#include "backend/cuda/kernels/device.cuh"

/* Tiles of c, of which each of 16 x 16 threads has 4 x 4; both operands pass through shared memory, DEPTH of
 * K at a time. */
enum { TILE = 64, DEPTH = 16, SIDE = 16, OWN = 4 };

template <typename T, typename Out> static __device__ inline void multiply(const yki_cuda_product &p)
{
    YKI_SHARED(float, a_tile, DEPTH *(TILE + 1));
    YKI_SHARED(float, b_tile, DEPTH *(TILE + 1));
    int64_t m0 = (int64_t)blockIdx.x * TILE, n0 = (int64_t)blockIdx.y * TILE;
    int row = threadIdx.x / SIDE, column = threadIdx.x % SIDE;
    float sum[OWN][OWN] = {};
    for (int64_t k0 = 0; k0 < p.K; k0 += DEPTH) {
        for (int e = threadIdx.x; e < TILE * DEPTH; e += blockDim.x) {
            /* along whichever dim lies in a row of memory */
            int k_a = p.a_k == 1 ? e % DEPTH : e / TILE, m = p.a_k == 1 ? e / DEPTH : e % TILE;
            int k_b = p.b_k == 1 ? e % DEPTH : e / TILE, n = p.b_k == 1 ? e / DEPTH : e % TILE;
            bool in_a = m0 + m < p.M && k0 + k_a < p.K, in_b = n0 + n < p.N && k0 + k_b < p.K;
            a_tile[k_a * (TILE + 1) + m] =
                in_a ? load((const T *)p.a, (m0 + m) * p.a_m + (k0 + k_a) * p.a_k) : 0.0f;
            b_tile[k_b * (TILE + 1) + n] =
                in_b ? load((const T *)p.b, (k0 + k_b) * p.b_k + (n0 + n) * p.b_n) : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++)
            for (int i = 0; i < OWN; i++)
                for (int j = 0; j < OWN; j++)
                    sum[i][j] +=
                        a_tile[k * (TILE + 1) + row + i * SIDE] * b_tile[k * (TILE + 1) + column + j * SIDE];
        __syncthreads();
    }
    for (int i = 0; i < OWN; i++)
        for (int j = 0; j < OWN; j++) {
            int64_t m = m0 + row + i * SIDE, n = n0 + column + j * SIDE;
            if (m >= p.M || n >= p.N) continue;
            float value = sum[i][j] + (p.bias ? load((const T *)p.bias, n) : 0.0f);
            if (p.added) value += load((const Out *)p.added, m * p.N + n);
            if (p.accumulate) value += load((const Out *)p.c, m * p.N + n);
            store((Out *)p.c, m * p.N + n, value);
        }
}

template <typename T> static __device__ inline void product(const yki_cuda_product &a)
{
    multiply<T, T>(a);
}
TYPED_KERNEL(product, product)

template <typename T> static __device__ inline void product_to_f32(const yki_cuda_product &a)
{
    multiply<T, float>(a);
}
TYPED_KERNEL(product_to_f32, product)

/* Where element (n, c, row, column) of [n,C,H,W] lies. */
static __device__ inline int64_t at(int64_t n, int64_t C, int64_t c, int64_t H, int64_t row, int64_t W,
                                    int64_t column)
{
    return ((n * C + c) * H + row) * W + column;
}

template <typename T> static __device__ inline void conv(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.O * a.P * a.Q; e += thread_count()) {
        int64_t q = e % a.Q, p = e / a.Q % a.P, o = e / a.Q / a.P % a.O, n = e / a.Q / a.P / a.O;
        float sum = a.bias ? load((const T *)a.bias, o) : 0.0f;
        for (int64_t c = 0; c < a.C; c++)
            for (int64_t i = 0; i < a.k; i++)
                for (int64_t j = 0; j < a.k; j++) {
                    int64_t row = p * a.s + i - a.p, column = q * a.s + j - a.p;
                    if (row < 0 || row >= a.H || column < 0 || column >= a.W) continue;
                    sum += load((const T *)a.x, at(n, a.C, c, a.H, row, a.W, column)) *
                           load((const T *)a.w, at(o, a.C, c, a.k, i, a.k, j));
                }
        store((T *)a.out, e, sum);
    }
}
TYPED_KERNEL(conv, image)

template <typename T> static __device__ inline void conv_dx(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.H * a.W; e += thread_count()) {
        int64_t column = e % a.W, row = e / a.W % a.H, c = e / a.W / a.H % a.C, n = e / a.W / a.H / a.C;
        float sum = 0;
        for (int64_t i = 0; i < a.k; i++)
            for (int64_t j = 0; j < a.k; j++) {
                int64_t p = row + a.p - i, q = column + a.p - j;
                if (p < 0 || q < 0 || p % a.s || q % a.s || p / a.s >= a.P || q / a.s >= a.Q) continue;
                for (int64_t o = 0; o < a.O; o++)
                    sum += load((const T *)a.dy, at(n, a.O, o, a.P, p / a.s, a.Q, q / a.s)) *
                           load((const T *)a.w, at(o, a.C, c, a.k, i, a.k, j));
            }
        store((T *)a.out, e, sum);
    }
}
TYPED_KERNEL(conv_dx, image)

/* A block for a weight. */
template <typename T> static __device__ inline void conv_dw(const yki_cuda_image &a)
{
    int64_t e = blockIdx.x, j = e % a.k, i = e / a.k % a.k, c = e / a.k / a.k % a.C, o = e / a.k / a.k / a.C;
    float sum = 0;
    for (int64_t r = threadIdx.x; r < a.n * a.P * a.Q; r += blockDim.x) {
        int64_t q = r % a.Q, p = r / a.Q % a.P, n = r / a.Q / a.P;
        int64_t row = p * a.s + i - a.p, column = q * a.s + j - a.p;
        if (row < 0 || row >= a.H || column < 0 || column >= a.W) continue;
        sum += load((const T *)a.dy, at(n, a.O, o, a.P, p, a.Q, q)) *
               load((const T *)a.x, at(n, a.C, c, a.H, row, a.W, column));
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) store_gradient((float *)a.out, e, sum, a.accumulate);
}
TYPED_KERNEL(conv_dw, image)

/* The first of the largest; any NaN wins. */
template <typename T> static __device__ inline void maxpool(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.P * a.Q; e += thread_count()) {
        int64_t q = e % a.Q, p = e / a.Q % a.P, plane = e / a.Q / a.P * a.H * a.W;
        int64_t best = p * a.s * a.W + q * a.s;
        float most = load((const T *)a.x, plane + best);
        for (int64_t i = 0; i < a.k; i++)
            for (int64_t j = 0; j < a.k; j++) {
                int64_t pixel = (p * a.s + i) * a.W + q * a.s + j;
                float value = load((const T *)a.x, plane + pixel);
                if (value > most || isnan(value)) most = value, best = pixel;
            }
        store((T *)a.out, e, most);
        a.argmax[e] = (int32_t)best;
    }
}
TYPED_KERNEL(maxpool, image)

template <typename T> static __device__ inline void avgpool(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.P * a.Q; e += thread_count()) {
        int64_t q = e % a.Q, p = e / a.Q % a.P, plane = e / a.Q / a.P * a.H * a.W;
        float sum = 0;
        for (int64_t i = 0; i < a.k; i++)
            for (int64_t j = 0; j < a.k; j++)
                sum += load((const T *)a.x, plane + (p * a.s + i) * a.W + q * a.s + j);
        store((T *)a.out, e, sum / (float)(a.k * a.k));
    }
}
TYPED_KERNEL(avgpool, image)

/* The sum of dy over the windows that a pixel lies in; by argmax, where it was the largest. */
template <typename T> static __device__ inline float pixel_gradient(const yki_cuda_image &a, int64_t e)
{
    int64_t column = e % a.W, row = e / a.W % a.H, plane = e / a.W / a.H;
    float sum = 0;
    int64_t p0 = row < a.k ? 0 : (row - a.k) / a.s + 1, q0 = column < a.k ? 0 : (column - a.k) / a.s + 1;
    for (int64_t p = p0; p < a.P && p * a.s <= row; p++)
        for (int64_t q = q0; q < a.Q && q * a.s <= column; q++) {
            int64_t from = (plane * a.P + p) * a.Q + q;
            if (!a.argmax || a.argmax[from] == row * a.W + column) sum += load((const T *)a.dy, from);
        }
    return sum;
}

template <typename T> static __device__ inline void maxpool_grad(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.H * a.W; e += thread_count())
        store((T *)a.out, e, pixel_gradient<T>(a, e));
}
TYPED_KERNEL(maxpool_grad, image)

template <typename T> static __device__ inline void avgpool_grad(const yki_cuda_image &a)
{
    for (int64_t e = thread_at(); e < a.n * a.C * a.H * a.W; e += thread_count())
        store((T *)a.out, e, pixel_gradient<T>(a, e) / (float)(a.k * a.k));
}
TYPED_KERNEL(avgpool_grad, image)
