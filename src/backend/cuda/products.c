/* Slots of products, convolutions and pools. */
#include "backend/cuda/slots.h"

static void put_product(yki_cuda_sink *sink, yki_cuda_kernel kernel, const yki_view *x,
                        const yki_cuda_product *args)
{
    enum { TILE = 64, THREADS = 256 };
    yki_cuda_shape shape = {(args->M + TILE - 1) / TILE, (args->N + TILE - 1) / TILE, THREADS};
    yki_cuda_put(sink, yki_cuda_typed(kernel, x), shape, args);
}

/* x w bias? -> y; or b x w -> y. */
void yki_cuda_run_linear(const yki_launch *launch, yki_cuda_sink *sink)
{
    bool adds = launch->kernel == YKI_KERNEL_LINEAR_ADD;
    const yki_view *x = &launch->views[adds ? 1 : 0], *w = x + 1, *y = &launch->views[3];
    int64_t K = yki_cuda_width(x);
    yki_cuda_product args = {.M = yki_cuda_height(y),
                             .N = yki_cuda_width(y),
                             .K = K,
                             .a = x->data,
                             .a_m = K,
                             .a_k = 1,
                             .b = w->data,
                             .b_k = 1,
                             .b_n = K,
                             .bias = adds ? NULL : launch->views[2].data,
                             .added = adds ? launch->views[0].data : NULL,
                             .c = y->data};
    put_product(sink, YKI_CUDA_product, x, &args);
}

/* dy w -> dx; or b dy w -> dx. */
void yki_cuda_run_linear_dx(const yki_launch *launch, yki_cuda_sink *sink)
{
    bool adds = launch->kernel == YKI_KERNEL_LINEAR_DX_ADD;
    const yki_view *dy = &launch->views[adds ? 1 : 0], *w = dy + 1, *dx = dy + 2;
    int64_t N = yki_cuda_width(dy), K = yki_cuda_width(dx);
    yki_cuda_product args = {.M = yki_cuda_height(dx),
                             .N = K,
                             .K = N,
                             .a = dy->data,
                             .a_m = N,
                             .a_k = 1,
                             .b = w->data,
                             .b_k = K,
                             .b_n = 1,
                             .added = adds ? launch->views[0].data : NULL,
                             .c = dx->data};
    put_product(sink, YKI_CUDA_product, dy, &args);
}

void yki_cuda_run_linear_dw(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *x = &launch->views[0], *dy = &launch->views[1], *dw = &launch->views[2];
    int64_t N = yki_cuda_width(dy), K = yki_cuda_width(x);
    yki_cuda_product args = {.M = N,
                             .N = K,
                             .K = yki_cuda_height(x),
                             .a = dy->data,
                             .a_m = 1,
                             .a_k = N,
                             .b = x->data,
                             .b_k = K,
                             .b_n = 1,
                             .c = dw->data,
                             .accumulate = launch->accumulate};
    put_product(sink, YKI_CUDA_product_to_f32, x, &args);
}

static yki_cuda_image image(const yki_launch *launch, const yki_view *x, const yki_view *y)
{
    return (yki_cuda_image){.n = x->dims[0],
                            .C = x->dims[1],
                            .H = x->dims[2],
                            .W = x->dims[3],
                            .O = y->dims[1],
                            .P = y->dims[2],
                            .Q = y->dims[3],
                            .k = launch->attr->kernel,
                            .s = launch->attr->stride,
                            .p = launch->attr->padding,
                            .accumulate = launch->accumulate};
}

void yki_cuda_run_conv(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    if (launch->kernel == YKI_KERNEL_CONV2D) {
        yki_cuda_image args = image(launch, &v[0], &v[3]);
        args.x = v[0].data, args.w = v[1].data, args.bias = v[2].data, args.out = v[3].data;
        yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_conv, &v[0]), yki_cuda_over(yki_view_elems(&v[3])), &args);
    } else if (launch->kernel == YKI_KERNEL_CONV2D_DX) {
        yki_cuda_image args = image(launch, &v[2], &v[0]);
        args.dy = v[0].data, args.w = v[1].data, args.out = v[2].data;
        yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_conv_dx, &v[0]), yki_cuda_over(yki_view_elems(&v[2])),
                     &args);
    } else {
        yki_cuda_image args = image(launch, &v[0], &v[1]);
        args.x = v[0].data, args.dy = v[1].data, args.out = v[2].data;
        yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_conv_dw, &v[0]),
                     yki_cuda_rows(yki_view_elems(&v[2]), args.n * args.P * args.Q), &args);
    }
}

void yki_cuda_run_pool(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    bool most = launch->kernel == YKI_KERNEL_MAXPOOL2D || launch->kernel == YKI_KERNEL_MAXPOOL2D_GRAD;
    bool back = launch->kernel == YKI_KERNEL_MAXPOOL2D_GRAD || launch->kernel == YKI_KERNEL_AVGPOOL2D_GRAD;
    yki_cuda_kernel kernel = most   ? back ? YKI_CUDA_maxpool_grad : YKI_CUDA_maxpool
                             : back ? YKI_CUDA_avgpool_grad
                                    : YKI_CUDA_avgpool;
    const yki_view *out = &v[back && most ? 2 : 1];
    yki_cuda_image args = back ? image(launch, out, &v[0]) : image(launch, &v[0], out);
    if (back)
        args.dy = v[0].data, args.argmax = most ? v[1].data : NULL;
    else
        args.x = v[0].data, args.argmax = most ? v[2].data : NULL;
    args.out = out->data;
    yki_cuda_put(sink, yki_cuda_typed(kernel, &v[0]), yki_cuda_over(yki_view_elems(out)), &args);
}
