/* From a launch to the kernels that do it: each slot of backend/kernel.h puts one or several into a sink,
 * which is a queue of a device, or in tests the emulator. No slot asks a device anything, so that a launch is
 * the same kernels everywhere. */
#ifndef YKI_BACKEND_CUDA_SLOTS_H
#define YKI_BACKEND_CUDA_SLOTS_H

#include "backend/cuda/list.h"
#include "backend/kernel.h"

/* How many threads: blocks along x and y of so many threads, whole warps. */
typedef struct yki_cuda_shape {
    int64_t x, y;
    int threads;
} yki_cuda_shape;

typedef struct yki_cuda_sink yki_cuda_sink;
struct yki_cuda_sink {
    /* args: the kernel's struct, read before this returns. */
    void (*put)(yki_cuda_sink *sink, yki_cuda_kernel kernel, yki_cuda_shape shape, const void *args);
};

typedef struct yki_cuda_slot {
    void (*run)(const yki_launch *launch, yki_cuda_sink *sink);
    size_t (*workspace_bytes)(const yki_launch *shapes); /* NULL: none */
} yki_cuda_slot;

/* By kernel; run NULL: there is none yet. */
extern const yki_cuda_slot yki_cuda_slots[YKI_KERNEL_COUNT];

/* The name of a kernel in the modules, and the size of its struct. */
const char *yki_cuda_kernel_name(yki_cuda_kernel kernel);
size_t yki_cuda_args_bytes(yki_cuda_kernel kernel);

/* --- for slots --- */

/* Puts a kernel in; nothing where it has no block. */
void yki_cuda_put(yki_cuda_sink *sink, yki_cuda_kernel kernel, yki_cuda_shape shape, const void *args);

/* The kernel of an operand's type. */
static inline yki_cuda_kernel yki_cuda_typed(yki_cuda_kernel kernel, const yki_view *x)
{
    return (yki_cuda_kernel)(kernel + (x->dtype == YKI_BF16));
}

/* Threads that take `n` elements, each several where there are many. */
static inline yki_cuda_shape yki_cuda_over(int64_t n)
{
    enum { THREADS = 256, MOST = 4096 };
    int64_t blocks = n / THREADS + (n % THREADS > 0);
    return (yki_cuda_shape){blocks < MOST ? blocks : MOST, 1, THREADS};
}

/* A block for each of `rows` rows of `width` elements. */
static inline yki_cuda_shape yki_cuda_rows(int64_t rows, int64_t width)
{
    return (yki_cuda_shape){rows, 1, width <= 64 ? 32 : width <= 512 ? 64 : width <= 4096 ? 128 : 256};
}

static inline yki_cuda_positions yki_cuda_positions_of(const yki_positions *rows)
{
    return (yki_cuda_positions){rows->first, rows->split, rows->jump};
}

static inline int64_t yki_cuda_width(const yki_view *view)
{
    return view->ndim > 0 ? view->dims[view->ndim - 1] : 1;
}

static inline int64_t yki_cuda_height(const yki_view *view)
{
    int64_t rows = 1;
    for (int i = 0; i < view->ndim - 1; i++) rows *= view->dims[i];
    return rows;
}

/* clang-format off */
#define YKI_CUDA_SLOT(name) void yki_cuda_run_##name(const yki_launch *launch, yki_cuda_sink *sink);
#define YKI_CUDA_SLOT_LIST(X) \
    X(linear) X(linear_dx) X(linear_dw) X(bias_grad) X(conv) X(conv_bias_grad) X(pool) X(embed) X(embed_grad) \
    X(position) X(position_grad) X(layernorm) X(layernorm_dx) X(layernorm_dw) X(rmsnorm) X(rmsnorm_dx) X(rmsnorm_dw) \
    X(groupnorm) X(groupnorm_dx) X(groupnorm_dw) X(batch_sums) X(batch_stats) X(batch_track) X(batchnorm) X(batchnorm_dw) \
    X(each) X(softmax) X(dropout) X(slice) X(beside) X(rope) X(attention) X(attention_grad) X(entropy) X(total) X(unit) \
    X(update) X(position_at) X(rope_at) X(pick) X(recall)
/* clang-format on */
YKI_CUDA_SLOT_LIST(YKI_CUDA_SLOT)
#undef YKI_CUDA_SLOT

size_t yki_cuda_columns_bytes(const yki_launch *shapes);
size_t yki_cuda_total_bytes(const yki_launch *shapes);
size_t yki_cuda_dots_bytes(const yki_launch *shapes);

#endif
