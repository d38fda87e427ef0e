/* What kernels share. They are CUDA C++ to nvcc, and plain C++ to the tests' emulator (tests/cuda/emulate.h),
 * which stands in for the few built-ins used here: so none but these, full masks in shuffles, no talk between
 * blocks, no float atomics. Sums run in an order that the shapes alone fix. */
#ifndef YKI_BACKEND_CUDA_DEVICE_CUH
#define YKI_BACKEND_CUDA_DEVICE_CUH

#include "backend/cuda/args.h"
#include "base/rng.h"

#ifndef YKI_EMULATED
#define YKI_SHARED(type, name, count) __shared__ type name[count]
#define YKI_CHECK_ALIGNED(p)
#endif

enum { WARP = 32 };

/* bf16 as it is stored. */
struct half16 {
    uint16_t bits;
};

static __device__ inline float load(const float *p, int64_t i)
{
    return p[i];
}

static __device__ inline float load(const half16 *p, int64_t i)
{
    union {
        uint32_t bits;
        float value;
    } whole = {(uint32_t)p[i].bits << 16};
    return whole.value;
}

/* To nearest, ties to even; NaNs stay NaNs (base/bf16.h). */
static __device__ inline uint16_t rounded(float value)
{
    union {
        float value;
        uint32_t bits;
    } whole = {value};
    uint32_t up = (whole.bits + 0x7fffu + (whole.bits >> 16 & 1u)) >> 16, quiet = whole.bits >> 16 | 0x40u;
    return (uint16_t)((whole.bits & 0x7fffffffu) > 0x7f800000u ? quiet : up);
}

static __device__ inline void store(float *p, int64_t i, float value)
{
    p[i] = value;
}

static __device__ inline void store(half16 *p, int64_t i, float value)
{
    p[i].bits = rounded(value);
}

/* Of a type that is known when it runs. */
static __device__ inline float load_either(const void *p, int half, int64_t i)
{
    return half ? load((const half16 *)p, i) : load((const float *)p, i);
}

static __device__ inline void store_either(void *p, int half, int64_t i, float value)
{
    if (half)
        store((half16 *)p, i, value);
    else
        store((float *)p, i, value);
}

/* A gradient of weights. */
static __device__ inline void store_gradient(float *p, int64_t i, float value, int accumulate)
{
    p[i] = accumulate ? p[i] + value : value;
}

static __device__ inline int64_t position_of(const yki_cuda_positions *rows, int64_t t)
{
    return rows->first + t + (t >= rows->split ? rows->jump : 0);
}

/* This thread among all of a launch, and how many there are: loops over elements go from one in steps of the
 * other. */
static __device__ inline int64_t thread_at()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ inline int64_t thread_count()
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* Elements are taken LOT at a time where every operand lies so that 16 bytes can be read or written at once;
 * those before the first such place and behind the last are taken one by one. */
enum { LOT = 8 };
template <int count> struct lot_of {
    static constexpr int n = count;
};
struct alignas(16) sixteen {
    uint32_t words[4];
};

/* Whether element `i` of an operand lies so; of one that is absent, always. */
template <typename T> static __device__ inline bool lies_well(const T *p, int64_t i)
{
    return !p || ((uintptr_t)p + (uintptr_t)i * sizeof(T)) % sizeof(sixteen) == 0;
}

/* The first element at which all operands lie so; -1: there is none. */
template <typename... Ts> static __device__ inline int head_of(const Ts *...p)
{
    int head = -1;
    for (int i = LOT - 1; i >= 0; i--)
        if ((lies_well(p, i) && ...)) head = i;
    return head;
}

/* Calls f(i, lot_of<N>) for elements i .. i + N - 1, N being LOT or 1, of `n`; `first` of those that share
 * them out in steps of `step`. */
template <typename F>
static __device__ inline void for_lots(int64_t n, int head, int64_t first, int64_t step, F f)
{
    int64_t lots = head >= 0 && n > head ? (n - head) / LOT : 0;
    for (int64_t lot = first; lot < lots; lot += step) f(head + lot * LOT, lot_of<LOT>());
    for (int64_t e = first; e < n - lots * LOT; e += step)
        f(lots == 0 || e < head ? e : e + lots * LOT, lot_of<1>());
}

/* By all threads of a launch; of a block. */
template <typename F> static __device__ inline void for_all(int64_t n, int head, F f)
{
    for_lots(n, head, thread_at(), thread_count(), f);
}

template <typename F> static __device__ inline void for_row(int64_t n, int head, F f)
{
    for_lots(n, head, threadIdx.x, blockDim.x, f);
}

template <typename T> static __device__ inline void fetch(const T *p, int64_t i, float (&x)[1])
{
    x[0] = load(p, i);
}

template <typename T> union lot_bits {
    sixteen parts[LOT * sizeof(T) / sizeof(sixteen)];
    T values[LOT];
};

template <typename T> static __device__ inline void fetch(const T *p, int64_t i, float (&x)[LOT])
{
    lot_bits<T> bits;
    const sixteen *from = (const sixteen *)(p + i);
    YKI_CHECK_ALIGNED(from);
    for (int k = 0; k < (int)(sizeof bits / sizeof *from); k++) bits.parts[k] = from[k];
    for (int k = 0; k < LOT; k++) x[k] = load(bits.values, k);
}

template <typename T> static __device__ inline void give(T *p, int64_t i, const float (&x)[1])
{
    store(p, i, x[0]);
}

template <typename T> static __device__ inline void give(T *p, int64_t i, const float (&x)[LOT])
{
    lot_bits<T> bits;
    sixteen *to = (sixteen *)(p + i);
    YKI_CHECK_ALIGNED(to);
    for (int k = 0; k < LOT; k++) store(bits.values, k, x[k]);
    for (int k = 0; k < (int)(sizeof bits / sizeof *to); k++) to[k] = bits.parts[k];
}

struct plus {
    template <typename T> static __device__ inline T of(T a, T b) { return a + b; }
    template <typename T> static __device__ inline T none() { return 0; }
};

struct larger {
    template <typename T> static __device__ inline T of(T a, T b) { return fmaxf(a, b); }
    template <typename T> static __device__ inline T none() { return -INFINITY; }
};

/* Over all threads of a block, of whole warps; everybody gets the result. */
template <typename How, typename T> static __device__ inline T block_all(T value)
{
    YKI_SHARED(T, of_warp, WARP);
    for (int step = WARP / 2; step > 0; step /= 2)
        value = How::of(value, __shfl_xor_sync(0xffffffffu, value, step));
    __syncthreads(); /* of_warp may still be read, of a call before */
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = value;
    __syncthreads();
    T all = How::template none<T>();
    for (int warp = 0; warp < (int)blockDim.x / WARP; warp++) all = How::of(all, of_warp[warp]);
    return all;
}

template <typename T> static __device__ inline T block_sum(T value)
{
    return block_all<plus>(value);
}

static __device__ inline float block_max(float value)
{
    return block_all<larger>(value);
}

/* The kernels NAME_f32 and NAME_bf16 of a template NAME. */
#define TYPED_KERNEL(name, args)                                                                             \
    extern "C" __global__ void yki_gpu_##name##_f32(const yki_cuda_##args a)                                 \
    {                                                                                                        \
        name<float>(a);                                                                                      \
    }                                                                                                        \
    extern "C" __global__ void yki_gpu_##name##_bf16(const yki_cuda_##args a)                                \
    {                                                                                                        \
        name<half16>(a);                                                                                     \
    }
#define PLAIN_KERNEL(name, args) extern "C" __global__ void yki_gpu_##name(const yki_cuda_##args a)

#endif
