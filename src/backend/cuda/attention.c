/* Slots of attention: where heads lie, by kind. */
#include <math.h>

#include "backend/cuda/slots.h"
#include "base/rng.h"

static yki_cuda_heads heads(const yki_view *view, int64_t rows, int64_t step, int64_t first)
{
    return (yki_cuda_heads){view->data, rows, step, first};
}

/* The operands from views[at]: qkv; q, k and v; or q and kv. Then y and lse. */
static yki_cuda_attention read_heads(const yki_launch *launch, int at)
{
    yki_kernel kernel = launch->kernel;
    const yki_attr *attr = launch->attr;
    const yki_view *q = &launch->views[at], *y;
    yki_cuda_attention a = {.n = q->dims[0], .T = q->dims[1], .S = q->dims[1]};
    int64_t H = q->dims[q->ndim - 2], d = q->dims[q->ndim - 1], G = H, T = a.T;
    if (kernel == YKI_KERNEL_ATTENTION || kernel == YKI_KERNEL_ATTENTION_GRAD) {
        a.q = heads(q, T, 3 * H * d, 0), a.k = heads(q, T, 3 * H * d, H * d);
        a.v = heads(q, T, 3 * H * d, 2 * H * d), y = q + 1;
    } else if (kernel == YKI_KERNEL_GQA || kernel == YKI_KERNEL_GQA_GRAD) {
        G = q[1].dims[2];
        a.q = heads(q, T, H * d, 0), a.k = heads(q + 1, T, G * d, 0);
        a.v = heads(q + 2, T, G * d, 0), y = q + 3;
    } else {
        G = q[1].dims[3], a.S = q[1].dims[1];
        a.q = heads(q, T, H * d, 0), a.k = heads(q + 1, a.S, 2 * G * d, 0);
        a.v = heads(q + 1, a.S, 2 * G * d, G * d), y = q + 2;
    }
    a.y = heads(y, T, H * d, 0), a.lse = y[1].data;
    a.H = H, a.G = G, a.d = d, a.scale = d > 0 ? (float)(1 / sqrt((double)d)) : 0;
    a.queries = yki_cuda_positions_of(&attr->rows), a.keys = yki_cuda_positions_of(&attr->keys);
    a.offset = attr->offset, a.group = attr->group, a.first_group = attr->first_group;
    a.global = attr->global, a.length = attr->length > 0 ? attr->length : T;
    a.sample = launch->sample_offset, a.key = yki_rng_bits(attr->key, launch->step);
    a.p = launch->training ? attr->p : 0, a.causal = attr->causal, a.window = attr->window;
    a.half_before = launch->views[0].dtype == YKI_BF16, a.half_out = y->dtype == YKI_BF16;
    return a;
}

enum { THREADS = 64 };

void yki_cuda_run_attention(const yki_launch *launch, yki_cuda_sink *sink)
{
    bool part = launch->kernel == YKI_KERNEL_ATTEND;
    int at = part ? 2 : 0;
    yki_cuda_attention args = read_heads(launch, at);
    if (part && launch->views[0].data)
        args.before = heads(&launch->views[0], args.y.rows, args.y.step, 0),
        args.lse_before = launch->views[1].data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_attention, &launch->views[at]),
                 (yki_cuda_shape){args.n * args.H * args.T, 1, THREADS}, &args);
}

size_t yki_cuda_dots_bytes(const yki_launch *shapes)
{
    yki_cuda_attention a = read_heads(shapes, shapes->kernel == YKI_KERNEL_ATTEND_GRAD ? 2 : 1);
    return (size_t)(a.n * a.H * a.T) * sizeof(float);
}

void yki_cuda_run_attention_grad(const yki_launch *launch, yki_cuda_sink *sink)
{
    bool part = launch->kernel == YKI_KERNEL_ATTEND_GRAD, grouped = launch->kernel == YKI_KERNEL_GQA_GRAD;
    const yki_view *v = launch->views, *out = &v[part ? 6 : grouped ? 6 : 4];
    yki_cuda_attention args = read_heads(launch, part ? 2 : 1);
    args.dy = args.y, args.dy.data = v[part ? 1 : 0].data;
    args.dq = args.q, args.dk = args.k, args.dv = args.v;
    args.dq.data = out->data;
    args.dk.data = part || grouped ? out[1].data : out->data;
    args.dv.data = grouped ? out[2].data : args.dk.data;
    if (part && v[0].data) args.before = args.dq, args.before.data = v[0].data;
    args.half_out = out->dtype == YKI_BF16;
    args.half_kv = out[part || grouped ? 1 : 0].dtype == YKI_BF16;
    args.dots = launch->workspace;
    const yki_view *typed = &v[part ? 1 : 0];
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_attention_dq, typed),
                 (yki_cuda_shape){args.n * args.H * args.T, 1, THREADS}, &args);
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_attention_dkv, typed),
                 (yki_cuda_shape){args.n * args.G * args.S, 1, THREADS}, &args);
}

void yki_cuda_run_recall(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_attr *attr = launch->attr;
    bool packed = launch->kernel == YKI_KERNEL_RECALL;
    const yki_view *q = &launch->views[0], *at = &launch->views[packed ? 1 : 3], *y = at + 1, *keys = at + 2;
    yki_cuda_recall args = {.n = q->dims[0],
                            .H = y->dims[2],
                            .slots = keys->dims[0],
                            .G = keys->dims[1],
                            .context = keys->dims[2],
                            .d = keys->dims[3],
                            .window = attr->window,
                            .q = q->data,
                            .at = at->data,
                            .y = y->data,
                            .keys = keys->data,
                            .values = at[3].data};
    size_t width = (size_t)(args.H * args.d) * yki_dtype_bytes(q->dtype);
    args.step_q = (packed ? 3 : 1) * args.H * args.d, args.step_kv = packed ? args.step_q : args.G * args.d;
    args.k = packed ? (const char *)q->data + width : launch->views[1].data;
    args.v = packed ? (const char *)q->data + 2 * width : launch->views[2].data;
    args.scale = args.d > 0 ? (float)(1 / sqrt((double)args.d)) : 0;
    if (!packed) args.offset = attr->offset, args.group = attr->group, args.first_group = attr->first_group;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_recall_store, q), yki_cuda_rows(args.n, args.G * args.d),
                 &args);
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_recall, q), (yki_cuda_shape){args.n * args.H, 1, THREADS},
                 &args);
}
