/* Slots of rows, columns, channels and totals. */
#include <math.h>

#include "backend/cuda/slots.h"

void yki_cuda_run_layernorm(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = {.R = yki_cuda_height(&v[0]),
                          .D = yki_cuda_width(&v[0]),
                          .x = v[0].data,
                          .w = v[1].data,
                          .b = v[2].data,
                          .y = v[3].data,
                          .mean = v[4].data,
                          .rstd = v[5].data,
                          .eps = (float)launch->attr->eps};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_layernorm, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

void yki_cuda_run_layernorm_dx(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = {.R = yki_cuda_height(&v[1]),
                          .D = yki_cuda_width(&v[1]),
                          .dy = v[0].data,
                          .x = v[1].data,
                          .w = v[2].data,
                          .mean = v[3].data,
                          .rstd = v[4].data,
                          .y = v[5].data};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_layernorm_dx, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

void yki_cuda_run_rmsnorm(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = {.R = yki_cuda_height(&v[0]),
                          .D = yki_cuda_width(&v[0]),
                          .x = v[0].data,
                          .w = v[1].data,
                          .y = v[2].data,
                          .rstd = v[3].data,
                          .eps = (float)launch->attr->eps};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_rmsnorm, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

void yki_cuda_run_rmsnorm_dx(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = {.R = yki_cuda_height(&v[1]),
                          .D = yki_cuda_width(&v[1]),
                          .dy = v[0].data,
                          .x = v[1].data,
                          .w = v[2].data,
                          .rstd = v[3].data,
                          .y = v[4].data};
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_rmsnorm_dx, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

/* x[n,C,i] as a row for each group of channels. */
static yki_cuda_norm groups(const yki_view *x, const yki_view *mean)
{
    yki_cuda_norm args = {.R = yki_view_elems(mean), .groups = mean->dims[1], .places = x->dims[2]};
    args.D = args.groups > 0 ? x->dims[1] / args.groups * args.places : 0;
    return args;
}

void yki_cuda_run_groupnorm(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = groups(&v[0], &v[4]);
    args.x = v[0].data, args.w = v[1].data, args.b = v[2].data, args.y = v[3].data;
    args.mean = v[4].data, args.rstd = v[5].data, args.eps = (float)launch->attr->eps;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_groupnorm, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

void yki_cuda_run_groupnorm_dx(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_norm args = groups(&v[1], &v[3]);
    args.dy = v[0].data, args.x = v[1].data, args.w = v[2].data;
    args.mean = v[3].data, args.rstd = v[4].data, args.y = v[5].data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_groupnorm_dx, &v[0]), yki_cuda_rows(args.R, args.D), &args);
}

/* x[n,C,...] as samples of channels of places. */
static yki_cuda_channels channels(const yki_launch *launch, const yki_view *x)
{
    yki_cuda_channels args = {.n = x->dims[0],
                              .C = x->dims[1],
                              .inner = 1,
                              .training = launch->training,
                              .accumulate = launch->accumulate};
    for (int i = 2; i < x->ndim; i++) args.inner *= x->dims[i];
    return args;
}

/* N of statistics, as a divisor. */
static double count_of(const yki_launch *launch)
{
    return fmax((double)(launch->group_samples * launch->attr->inner), 1);
}

void yki_cuda_run_groupnorm_dw(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_channels args = channels(launch, &v[1]);
    args.dy = v[0].data, args.x = v[1].data, args.mean = v[2].data, args.rstd = v[3].data;
    args.groups = v[2].dims[1], args.out = v[4].data, args.out2 = v[5].data;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_groupnorm_dw, &v[0]),
                 yki_cuda_rows(args.C, args.n * args.inner), &args);
}

void yki_cuda_run_conv_bias_grad(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_channels args = channels(launch, &v[0]);
    args.x = v[0].data, args.out = v[1].data, args.training = true;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_batch_sum, &v[0]), yki_cuda_rows(args.C, args.n * args.inner),
                 &args);
}

void yki_cuda_run_batch_sums(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_channels args = channels(launch, &v[0]);
    yki_cuda_kernel kernel = YKI_CUDA_batch_sum;
    args.x = v[0].data, args.out = v[launch->nviews - 1].data, args.accumulate = false;
    args.count = (float)count_of(launch);
    if (launch->kernel == YKI_KERNEL_BATCH_SQUARES) {
        kernel = YKI_CUDA_batch_squares;
        args.sums = v[1].data;
    } else if (launch->kernel == YKI_KERNEL_BATCHNORM_SUMS) {
        kernel = YKI_CUDA_batchnorm_sums;
        args.dy = v[0].data, args.x = v[1].data, args.stats = v[2].data;
    }
    yki_cuda_put(sink, yki_cuda_typed(kernel, &v[0]), yki_cuda_rows(args.C, args.n * args.inner), &args);
}

void yki_cuda_run_batch_stats(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_statistics args = {.C = v[0].dims[0],
                                .sum = v[0].data,
                                .squares = v[1].data,
                                .mean = v[2].data,
                                .variance = v[3].data,
                                .out = v[4].data,
                                .count = count_of(launch),
                                .eps = launch->attr->eps,
                                .training = launch->training};
    yki_cuda_put(sink, YKI_CUDA_batch_stats, yki_cuda_over(args.C), &args);
}

void yki_cuda_run_batch_track(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    double count = count_of(launch), momentum = launch->attr->momentum;
    yki_cuda_statistics args = {.C = launch->training ? v[0].dims[0] : 0,
                                .sum = v[0].data,
                                .squares = v[1].data,
                                .out = v[2].data,
                                .out2 = v[3].data,
                                .count = count,
                                .share = count < 2 ? 0 : momentum * pow(1 - momentum, (double)launch->later),
                                .accumulate = launch->accumulate};
    yki_cuda_put(sink, YKI_CUDA_batch_track, yki_cuda_over(args.C), &args);
}

void yki_cuda_run_batchnorm(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    bool back = launch->kernel == YKI_KERNEL_BATCHNORM_DX;
    yki_cuda_channels args = channels(launch, &v[0]);
    args.count = (float)count_of(launch);
    if (back) {
        args.dy = v[0].data, args.x = v[1].data, args.stats = v[2].data, args.sums = v[3].data;
        args.w = v[4].data, args.y = v[5].data;
    } else {
        args.x = v[0].data, args.stats = v[1].data, args.w = v[2].data, args.b = v[3].data;
        args.y = v[4].data;
    }
    yki_cuda_put(sink, yki_cuda_typed(back ? YKI_CUDA_batchnorm_dx : YKI_CUDA_batchnorm, &v[0]),
                 yki_cuda_over(yki_view_elems(&v[0])), &args);
}

void yki_cuda_run_batchnorm_dw(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_statistics args = {.C = v[0].dims[1],
                                .sum = v[0].data,
                                .out = v[1].data,
                                .out2 = v[2].data,
                                .accumulate = launch->accumulate};
    yki_cuda_put(sink, YKI_CUDA_batchnorm_dw, yki_cuda_over(args.C), &args);
}

void yki_cuda_run_softmax(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    bool back = launch->kernel == YKI_KERNEL_SOFTMAX_GRAD;
    yki_cuda_softmax args = {.R = yki_cuda_height(&v[0]),
                             .D = yki_cuda_width(&v[0]),
                             .x = v[back ? 1 : 0].data,
                             .dy = back ? v[0].data : NULL,
                             .y = v[back ? 2 : 1].data};
    yki_cuda_put(sink, yki_cuda_typed(back ? YKI_CUDA_softmax_grad : YKI_CUDA_softmax, &v[0]),
                 yki_cuda_rows(args.R, args.D), &args);
}

void yki_cuda_run_entropy(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_kernel kernel = YKI_CUDA_entropy_max;
    yki_cuda_entropy args = {.R = yki_cuda_height(&v[0]),
                             .V = yki_cuda_width(&v[0]),
                             .offset = launch->attr->offset,
                             .logits = v[0].data,
                             .targets = v[1].data,
                             .scale = launch->scale};
    if (launch->kernel == YKI_KERNEL_XENT_MAX) {
        args.targets = NULL, args.out = v[1].data;
    } else if (launch->kernel == YKI_KERNEL_XENT_SUM) {
        kernel = YKI_CUDA_entropy_sum;
        args.max = v[2].data, args.out = v[3].data;
    } else {
        kernel = YKI_CUDA_entropy_grad;
        args.lse = v[2].data, args.dlogits = v[3].data;
    }
    yki_cuda_put(sink, yki_cuda_typed(kernel, &v[0]), yki_cuda_rows(args.R, args.V), &args);
}

/* Shares of the rows that a sum over them is made of. */
static int64_t slices_of(int64_t rows)
{
    enum { LEAST_ROWS = 32, MOST = 64 };
    int64_t slices = rows / LEAST_ROWS;
    return slices < 1 ? 1 : slices < MOST ? slices : MOST;
}

size_t yki_cuda_columns_bytes(const yki_launch *shapes)
{
    const yki_view *dy = &shapes->views[0];
    int64_t sums = shapes->kernel == YKI_KERNEL_LAYERNORM_DW ? 2 : 1;
    return (size_t)(slices_of(yki_cuda_height(dy)) * sums * yki_cuda_width(dy)) * sizeof(float);
}

static void put_columns(const yki_launch *launch, yki_cuda_sink *sink, yki_cuda_columns args)
{
    enum { THREADS = 128 };
    const yki_view *dy = &launch->views[0];
    args.R = yki_cuda_height(dy), args.N = yki_cuda_width(dy), args.slices = slices_of(args.R);
    args.dy = dy->data, args.partial = launch->workspace, args.accumulate = launch->accumulate;
    int64_t sums = args.out2 ? 2 : 1;
    yki_cuda_put(sink, yki_cuda_typed(YKI_CUDA_columns, dy),
                 (yki_cuda_shape){(args.N + THREADS - 1) / THREADS, args.slices, THREADS}, &args);
    yki_cuda_put(sink, YKI_CUDA_columns_end,
                 (yki_cuda_shape){(sums * args.N + THREADS - 1) / THREADS, 1, THREADS}, &args);
}

void yki_cuda_run_bias_grad(const yki_launch *launch, yki_cuda_sink *sink)
{
    put_columns(launch, sink, (yki_cuda_columns){.out = launch->views[1].data});
}

void yki_cuda_run_layernorm_dw(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    put_columns(
        launch, sink,
        (yki_cuda_columns){
            .x = v[1].data, .mean = v[2].data, .rstd = v[3].data, .out = v[4].data, .out2 = v[5].data});
}

void yki_cuda_run_rmsnorm_dw(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    put_columns(launch, sink, (yki_cuda_columns){.x = v[1].data, .rstd = v[2].data, .out = v[3].data});
}

/* Blocks that a sum over everything is made of. */
static int64_t blocks_of(int64_t n)
{
    enum { LEAST = 2048, MOST = 512 };
    int64_t blocks = n / LEAST + 1;
    return blocks < MOST ? blocks : MOST;
}

size_t yki_cuda_total_bytes(const yki_launch *shapes)
{
    int64_t sums = shapes->kernel == YKI_KERNEL_XENT_LOSS ? 2 : 1;
    return (size_t)(sums * blocks_of(yki_view_elems(&shapes->views[0]))) * sizeof(double);
}

enum { TOTAL_THREADS = 256 };

void yki_cuda_run_total(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *v = launch->views;
    yki_cuda_total args = {.n = yki_view_elems(&v[0]),
                           .a = v[0].data,
                           .partial = launch->workspace,
                           .loss = launch->loss,
                           .count = 1};
    yki_cuda_kernel kernel = YKI_CUDA_squares;
    args.blocks = blocks_of(args.n);
    if (launch->kernel == YKI_KERNEL_MSE_LOSS) {
        kernel = yki_cuda_typed(YKI_CUDA_mse_loss, &v[0]);
        args.b = v[1].data;
    } else if (launch->kernel == YKI_KERNEL_XENT_LOSS) {
        kernel = YKI_CUDA_entropy_loss;
        args.b = v[1].data, args.lse = v[2].data, args.count = 2;
    }
    yki_cuda_put(sink, kernel, (yki_cuda_shape){args.blocks, 1, TOTAL_THREADS}, &args);
    yki_cuda_put(sink, YKI_CUDA_total_end, (yki_cuda_shape){1, 1, TOTAL_THREADS}, &args);
}

void yki_cuda_run_unit(const yki_launch *launch, yki_cuda_sink *sink)
{
    const yki_view *x = &launch->views[0];
    yki_cuda_total sum = {.n = yki_view_elems(x), .a = x->data, .partial = launch->workspace, .count = 1};
    sum.blocks = blocks_of(sum.n);
    yki_cuda_unit args = {sum.n, sum.blocks, x->data, launch->views[1].data, sum.partial, launch->attr->eps};
    yki_cuda_put(sink, YKI_CUDA_squares, (yki_cuda_shape){sum.blocks, 1, TOTAL_THREADS}, &sum);
    yki_cuda_put(sink, YKI_CUDA_unit, yki_cuda_over(args.n), &args);
}
