/* CONV2D, CONV2D_DX and CONV2D_DW of every implementation, against loops in double. */
#include "products.h"

typedef struct shape {
    int64_t n, C, h, w, O, kernel, stride, padding;
} shape;

typedef struct operands {
    yki_view x, w, bias, y, dw;
    shape s;
    int64_t out_h, out_w;
} operands;

typedef struct sums {
    double *value, *magnitude;
} sums;

static void add(sums *to, int64_t at, double x)
{
    to->value[at] += x;
    to->magnitude[at] += fabs(x);
}

/* One pass over all products x w dy of a convolution, each added where the kernel's output needs it. */
static sums expected(const operands *o, yki_kernel kernel, int64_t elems)
{
    sums out = {calloc((size_t)elems + 1, 8), calloc((size_t)elems + 1, 8)};
    const shape *s = &o->s;
    int64_t k = s->kernel;
    for (int64_t image = 0; image < s->n; image++)
        for (int64_t f = 0; f < s->O; f++)
            for (int64_t oy = 0; oy < o->out_h; oy++)
                for (int64_t ox = 0; ox < o->out_w; ox++)
                    for (int64_t tap = 0; tap < s->C * k * k; tap++) {
                        int64_t iy = oy * s->stride + tap / k % k - s->padding,
                                ix = ox * s->stride + tap % k - s->padding;
                        if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                        int64_t at_x = ((image * s->C + tap / (k * k)) * s->h + iy) * s->w + ix;
                        int64_t at_w = f * s->C * k * k + tap,
                                at_y = ((image * s->O + f) * o->out_h + oy) * o->out_w + ox;
                        if (kernel == YKI_KERNEL_CONV2D)
                            add(&out, at_y, value_at(&o->x, at_x) * value_at(&o->w, at_w));
                        else if (kernel == YKI_KERNEL_CONV2D_DX)
                            add(&out, at_x, value_at(&o->y, at_y) * value_at(&o->w, at_w));
                        else
                            add(&out, at_w, value_at(&o->y, at_y) * value_at(&o->x, at_x));
                    }
    return out;
}

static bool check(int source, const operands *o, yki_kernel kernel, bool flag, int threads, const sums *want)
{
    const shape *s = &o->s;
    yki_attr attr = {.kernel = s->kernel, .stride = s->stride, .padding = s->padding};
    yki_launch first = {.kernel = kernel, .attr = &attr, .nviews = kernel == YKI_KERNEL_CONV2D ? 4 : 3};
    bool forward = kernel == YKI_KERNEL_CONV2D, weights = kernel == YKI_KERNEL_CONV2D_DW;
    first.accumulate = flag && weights;
    first.views[0] = kernel == YKI_KERNEL_CONV2D_DX ? o->y : o->x;
    first.views[1] = weights ? o->y : o->w;
    first.views[2] = forward ? flag ? o->bias : (yki_view){.dtype = o->bias.dtype} : weights ? o->dw : o->x;
    if (forward) first.views[3] = o->y;
    yki_view *out = &first.views[first.nviews - 1], before = *out;
    *out = view_copy(&before);
    if (!first.accumulate) memset(out->data, 0xff, view_bytes(out));
    bool taken = launch_run(source, &first, threads);
    if (taken) {
        yki_launch second = first;
        yki_view *again = &second.views[second.nviews - 1];
        *again = view_copy(&before);
        assert_true(launch_run(source, &second, threads));
        assert_memory_equal(out->data, again->data, view_bytes(out));
        free(again->data);
        int64_t plane = o->out_h * o->out_w;
        for (int64_t i = 0; i < yki_view_elems(out); i++) {
            double extra = first.accumulate ? value_at(&before, i) : 0;
            if (forward && flag) extra = value_at(&o->bias, i / plane % s->O);
            assert_close(out, i, want->value[i] + extra, want->magnitude[i] + 1, 1e-6);
        }
    }
    free(out->data);
    return taken;
}

static void conv_matches_loops(void **unused)
{
    (void)unused;
    static const shape shapes[] = {{0, 2, 5, 5, 3, 3, 1, 1},     {1, 1, 1, 1, 1, 1, 1, 0},
                                   {2, 1, 28, 28, 4, 3, 1, 1},   {3, 3, 7, 9, 5, 3, 2, 1},
                                   {2, 2, 6, 5, 3, 5, 1, 2},     {5, 4, 4, 4, 7, 1, 1, 0},
                                   {2, 3, 11, 8, 17, 2, 3, 0},   {1, 2, 3, 3, 2, 3, 2, 3},
                                   {4, 16, 14, 13, 33, 3, 1, 1}, {2, 40, 30, 30, 5, 3, 1, 1}};
    int taken = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int type = YKI_F32; type <= YKI_BF16; type++) {
            const shape *s = &shapes[i];
            yki_dtype t = (yki_dtype)type;
            operands o = {.s = *s};
            o.out_h = (s->h + 2 * s->padding - s->kernel) / s->stride + 1;
            o.out_w = (s->w + 2 * s->padding - s->kernel) / s->stride + 1;
            o.x = VIEW(1, t, s->n, s->C, s->h, s->w);
            o.w = VIEW(2, t, s->O, s->C, s->kernel, s->kernel);
            o.bias = VIEW(3, t, s->O);
            o.y = VIEW(4, t, s->n, s->O, o.out_h, o.out_w);
            o.dw = VIEW(5, YKI_F32, s->O, s->C, s->kernel, s->kernel);
            for (int kernel = YKI_KERNEL_CONV2D; kernel <= YKI_KERNEL_CONV2D_DW; kernel++) {
                const yki_view *out = kernel == YKI_KERNEL_CONV2D      ? &o.y
                                      : kernel == YKI_KERNEL_CONV2D_DX ? &o.x
                                                                       : &o.dw;
                sums want = expected(&o, (yki_kernel)kernel, yki_view_elems(out));
                for (int source = 0; source < sources(); source++)
                    for (int threads = 1; threads <= 3; threads++)
                        for (int flag = 0; flag < 2; flag++) {
                            bool ran = check(source, &o, (yki_kernel)kernel, flag, threads, &want);
                            assert_true(ran || source > (int)yki_isa_get());
                            taken += ran && source > (int)yki_isa_get();
                        }
                free(want.value), free(want.magnitude);
            }
            free(o.x.data), free(o.w.data), free(o.bias.data), free(o.y.data), free(o.dw.data);
        }
#ifdef YOKE_HAVE_ONEDNN
    assert_true(taken > 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conv_matches_loops)};
    return cmocka_run_group_tests_name("products: convolution", tests, NULL, NULL);
}
