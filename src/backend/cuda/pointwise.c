/* Slots of elements one by one, of tables and of updates. */
#include <math.h>

#include "backend/cuda/slots.h"
#include "base/rng.h"

void yki_cuda_run_each(const yki_launch *launch, yki_cuda_sink *sink)
{
    static const struct {
        int kernel, from_type, first_out; /* from_type: whether the first operand's type picks the kernel */
    } rows[YKI_KERNEL_COUNT] = {
        [YKI_KERNEL_ACTIVATE] = {YKI_CUDA_activate, 1, 1},
        [YKI_KERNEL_ACTIVATE_GRAD] = {YKI_CUDA_activate_grad, 1, 2},
        [YKI_KERNEL_GATE] = {YKI_CUDA_gate, 1, 2},
        [YKI_KERNEL_GATE_GRAD] = {YKI_CUDA_gate_grad, 1, 3},
        [YKI_KERNEL_ADD] = {YKI_CUDA_add, 1, 2},
        [YKI_KERNEL_SCALE] = {YKI_CUDA_scale, 1, 1},
        [YKI_KERNEL_MSE_GRAD] = {YKI_CUDA_mse_grad, 1, 2},
        [YKI_KERNEL_CAST] = {YKI_CUDA_cast_to_bf16, 0, 1},
        [YKI_KERNEL_ZERO] = {YKI_CUDA_zero, 0, 0},
        [YKI_KERNEL_COMBINE] = {YKI_CUDA_combine, 0, 2},
        [YKI_KERNEL_BLEND] = {YKI_CUDA_blend, 0, 1},
    };
    yki_kernel slot = launch->kernel;
    const yki_view *views = launch->views;
    int first = rows[slot].first_out;
    yki_cuda_kernel kernel = (yki_cuda_kernel)rows[slot].kernel;
    yki_cuda_each args = {.n = yki_view_elems(&views[0]), .x = views[first].data};
    if (first > 0) args.a = views[0].data;
    if (first > 1) args.b = views[1].data;
    if (first > 2) args.c = views[2].data;
    if (launch->nviews > first + 1) args.y = views[first + 1].data;
    if (launch->attr) args.kind = (int)launch->attr->activation;
    if (slot == YKI_KERNEL_MSE_GRAD) args.p = launch->scale;
    if (slot == YKI_KERNEL_BLEND) args.p = (float)launch->attr->p, args.b = args.x;
    if (slot == YKI_KERNEL_SCALE) args.p = (float)launch->attr->of_a;
    if (slot == YKI_KERNEL_COMBINE) args.p = (float)launch->attr->of_a, args.q = (float)launch->attr->of_b;
    if (slot == YKI_KERNEL_ZERO) args.n *= (int64_t)yki_dtype_bytes(views[0].dtype) / 2;
    if (slot == YKI_KERNEL_CAST && views[0].dtype == YKI_BF16) kernel = YKI_CUDA_cast_to_f32;
    yki_cuda_put(sink, rows[slot].from_type ? yki_cuda_typed(kernel, &views[0]) : kernel,
                 yki_cuda_over(args.n), &args);
}

void yki_cuda_run_dropout(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_attr *attr = launch->attr;
    const yki_view *x = &launch->views[0];
    yki_cuda_dropout args = {.n = yki_view_elems(x),
                             .x = x->data,
                             .y = launch->views[1].data,
                             .outer = attr->outer,
                             .local = attr->local,
                             .inner = attr->inner,
                             .global = attr->global,
                             .offset = attr->offset,
                             .length = attr->length > 0 ? attr->length : attr->outer,
                             .first = launch->sample_offset,
                             .rows = yki_cuda_positions_of(&attr->rows),
                             .key = yki_rng_bits(attr->key, launch->step),
                             .p = launch->training ? attr->p : 0,
                             .scale = launch->training ? (float)(1.0 / (1.0 - attr->p)) : 1};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_dropout, x), yki_cuda_over(args.n), &args);
}

void yki_cuda_run_slice(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_attr *attr = launch->attr;
    const yki_view *y = &launch->views[1];
    yki_cuda_slice args = {.n = yki_view_elems(y),
                           .x = launch->views[0].data,
                           .y = y->data,
                           .local = attr->local,
                           .inner = attr->inner,
                           .global = attr->global,
                           .offset = attr->offset};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_slice, y), yki_cuda_over(args.n), &args);
}

void yki_cuda_run_beside(const yki_launch *launch, yki_cuda_sink *sink)
{
    bool join = launch->kernel == YKI_KERNEL_JOIN;
    const yki_view *a = &launch->views[join ? 0 : 1], *b = a + 1, *both = &launch->views[join ? 2 : 0];
    yki_cuda_beside args = {.R = yki_cuda_height(both),
                            .A = yki_cuda_width(a),
                            .B = yki_cuda_width(b),
                            .a = a->data,
                            .b = b->data,
                            .both = both->data,
                            .half_a = a->dtype == YKI_BF16,
                            .half_b = b->dtype == YKI_BF16,
                            .half_both = both->dtype == YKI_BF16};
    yki_cuda_put(sink, join ? YKI_CUDA_join : YKI_CUDA_split, yki_cuda_over(yki_view_elems(both)), &args);
}

static yki_cuda_rope turns(const yki_launch *launch, const yki_view *y)
{
    const yki_attr *attr = launch->attr;
    const yki_view *x = &launch->views[0];
    return (yki_cuda_rope){.x = x->data,
                           .y = y->data,
                           .n = x->dims[0],
                           .T = x->dims[1],
                           .H = x->dims[2],
                           .d = x->dims[3],
                           .offset = attr->offset,
                           .rows = yki_cuda_positions_of(&attr->rows),
                           .theta = attr->theta,
                           .factor = attr->scaling.factor,
                           .context = attr->scaling.context,
                           .low = attr->scaling.low,
                           .high = attr->scaling.high,
                           .sign = attr->inverse ? -1.0f : 1.0f};
}

void yki_cuda_run_rope(const yki_launch *launch, yki_cuda_sink *sink)
{
    yki_cuda_rope args = turns(launch, &launch->views[1]);
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_rope, &launch->views[0]), yki_cuda_over(args.T * (args.d / 2)),
                 &args);
}

void yki_cuda_run_rope_at(const yki_launch *launch, yki_cuda_sink *sink)
{
    yki_cuda_rope args = turns(launch, &launch->views[2]);
    args.at = launch->views[1].data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_rope_at, &launch->views[0]),
                 yki_cuda_over(args.n * (args.d / 2)), &args);
}

void yki_cuda_run_position_at(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *x = &launch->views[0], *p = &launch->views[1];
    yki_cuda_picked args = {.n = x->dims[0],
                            .D = x->dims[2],
                            .P = p->dims[0],
                            .x = x->data,
                            .p = p->data,
                            .y = launch->views[3].data,
                            .at = launch->views[2].data};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_position_at, x), yki_cuda_over(args.n * args.D), &args);
}

void yki_cuda_run_pick(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *x = &launch->views[0], *rows = &launch->views[1];
    yki_cuda_picked args = {.n = rows->dims[0],
                            .D = x->dims[2],
                            .P = x->dims[0],
                            .x = x->data,
                            .y = launch->views[2].data,
                            .at = rows->data};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_pick, x), yki_cuda_over(args.n * args.D), &args);
}

void yki_cuda_run_embed(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *ids = &launch->views[0], *table = &launch->views[1], *y = &launch->views[2];
    yki_cuda_embed args = {.R = yki_view_elems(ids),
                           .V = table->dims[0],
                           .D = table->dims[1],
                           .offset = launch->attr->offset,
                           .ids = ids->data,
                           .from = table->data,
                           .to = y->data};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_embed, table), yki_cuda_over(args.R * args.D), &args);
}

void yki_cuda_run_embed_grad(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *ids = &launch->views[0], *dy = &launch->views[1], *table = &launch->views[2];
    yki_cuda_embed args = {.R = yki_view_elems(ids),
                           .V = table->dims[0],
                           .D = table->dims[1],
                           .offset = launch->attr->offset,
                           .ids = ids->data,
                           .from = dy->data,
                           .to = table->data,
                           .accumulate = launch->accumulate};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_embed_grad, dy), yki_cuda_rows(args.V, args.D), &args);
}

static yki_cuda_position positions(const yki_launch *launch, const yki_view *x, const yki_view *table)
{
    return (yki_cuda_position){.n = x->dims[0],
                               .T = x->dims[1],
                               .D = x->dims[2],
                               .P = table->dims[0],
                               .offset = launch->attr->offset,
                               .rows = yki_cuda_positions_of(&launch->attr->rows),
                               .x = x->data,
                               .accumulate = launch->accumulate};
}

void yki_cuda_run_position(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *x = &launch->views[0], *p = &launch->views[1];
    yki_cuda_position args = positions(launch, x, p);
    args.p = p->data, args.y = launch->views[2].data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_position, x), yki_cuda_over(yki_view_elems(x)), &args);
}

void yki_cuda_run_position_grad(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *dy = &launch->views[0], *dp = &launch->views[1];
    yki_cuda_position args = positions(launch, dy, dp);
    args.y = dp->data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_position_grad, dy), yki_cuda_over(args.P * args.D), &args);
}

/* The view's memory, where the launch has it. */
static void *data_of(const yki_launch *launch, int view)
{
    return view < launch->nviews ? launch->views[view].data : NULL;
}

void yki_cuda_run_update(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_update *u = launch->update;
    yki_cuda_update args = {.n = yki_view_elems(&launch->views[0]),
                            .g = launch->views[0].data,
                            .w = launch->views[1].data,
                            .m = data_of(launch, 2),
                            .lr = (float)u->lr,
                            .scale = (float)u->grad_scale,
                            .decay = (float)u->weight_decay,
                            .beta1 = (float)u->beta1,
                            .beta2 = (float)u->beta2,
                            .rest1 = (float)(1 - u->beta1),
                            .rest2 = (float)(1 - u->beta2),
                            .eps = (float)u->eps,
                            .momentum = (float)u->momentum,
                            .decoupled = u->decoupled,
                            .nesterov = u->nesterov};
    yki_cuda_kernel kernel = YKI_CUDA_sgd;
    if (launch->kernel == YKI_KERNEL_ADAM) {
        kernel = YKI_CUDA_adam;
        args.v = launch->views[3].data, args.w16 = data_of(launch, 4);
        args.rate = (float)(u->lr / u->bias1), args.root2 = (float)sqrt(u->bias2);
    } else if (launch->kernel == YKI_KERNEL_MOMENTUM) {
        kernel = YKI_CUDA_momentum;
        args.rest1 = (float)(1 - u->momentum);
    } else {
        if (launch->kernel == YKI_KERNEL_LION) kernel = YKI_CUDA_lion;
        args.w16 = data_of(launch, 3);
    }
    yki_cuda_put(sink, kernel, yki_cuda_over(args.n), &args);
}
