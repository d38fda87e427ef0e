/* CONV2D, CONV2D_DX and CONV2D_DW on our own product, included by each isa_*.c.
 *
 * A block of output rows of one image is unfolded to columns [C k k, positions] in the workspace, f32
 * whatever the type, and multiplied with the weights [O, C k k]. Blocks are sized to stay in the second-level
 * cache. Threads share the images; the gradient of the weights is summed per part and the parts are added in
 * order, so that its bits depend on the number of threads but never on timing. Source: Chellapilla, Puri,
 * Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006. */
enum {
    CONV_COLUMNS = 64 * 1024
}; /* floats of a block of columns, where one output row is not already more */

typedef struct conv {
    int64_t n, C, h, w, O, out_h, out_w, kernel, stride, padding;
    int64_t taps;                                       /* C k k */
    int64_t block_rows;                                 /* output rows unfolded together */
    int parts;                                          /* threads that share the images */
    size_t columns_floats, sums_floats, weights_floats; /* of one part's workspace */
    yki_dtype type;
} conv;

static conv conv_shape(const yki_launch *launch, int threads)
{
    const yki_view *v = launch->views;
    bool forward = launch->kernel == YKI_KERNEL_CONV2D, weights = launch->kernel == YKI_KERNEL_CONV2D_DW;
    const yki_view *y = forward ? &v[3] : weights ? &v[1] : &v[0];
    const yki_view *x = forward || weights ? &v[0] : &v[2];
    conv s = {.n = x->dims[0], .C = x->dims[1], .h = x->dims[2], .w = x->dims[3], .O = y->dims[1]};
    s.out_h = y->dims[2];
    s.out_w = y->dims[3];
    s.kernel = launch->attr->kernel;
    s.stride = launch->attr->stride;
    s.padding = launch->attr->padding;
    s.taps = s.C * s.kernel * s.kernel;
    s.type = x->dtype;
    int64_t row = s.taps * s.out_w;
    s.block_rows = row > 0 ? CONV_COLUMNS / row : 1;
    if (s.block_rows < 1) s.block_rows = 1;
    if (s.block_rows > s.out_h) s.block_rows = s.out_h;
    s.parts = threads < s.n ? threads : s.n > 0 ? (int)s.n : 1;
    int64_t positions = s.block_rows * s.out_w;
    s.columns_floats = ((size_t)(s.taps * positions) + 15) / 16 * 16;
    if (forward && s.type == YKI_BF16) s.sums_floats = ((size_t)(s.O * positions) + 15) / 16 * 16 + 16;
    if (launch->kernel == YKI_KERNEL_CONV2D_DX && s.type == YKI_BF16)
        s.sums_floats = ((size_t)(s.C * s.h * s.w) + 15) / 16 * 16;
    if (forward) s.sums_floats += ((size_t)s.O + 15) / 16 * 16; /* the bias in f32 */
    if (weights) s.weights_floats = ((size_t)(s.O * s.taps) + 15) / 16 * 16;
    return s;
}

static size_t conv_part_floats(const conv *s)
{
    return s->columns_floats + s->sums_floats + s->weights_floats;
}

static size_t conv_workspace_bytes(const yki_launch *shapes, int threads)
{
    conv s = conv_shape(shapes, threads);
    return conv_part_floats(&s) * sizeof(float) * (size_t)s.parts;
}

/* The outputs of a row whose input column ox * stride + shift lies in the image: first..last-1. */
INLINE void conv_inside(const conv *s, int64_t shift, int64_t *first_out, int64_t *last_out)
{
    int64_t first = shift < 0 ? (-shift + s->stride - 1) / s->stride : 0;
    int64_t last = s->w > shift ? (s->w - shift + s->stride - 1) / s->stride : 0;
    *last_out = last < s->out_w ? last : s->out_w;
    *first_out = first < *last_out ? first : *last_out;
}

/* Columns of output rows y0..y0+rows of the image at element `at` of x. */
static void conv_unfold(const conv *s, const void *x, int64_t at, int64_t y0, int64_t rows, float *columns)
{
    for (int64_t tap = 0; tap < s->taps; tap++) {
        int64_t channel = tap / (s->kernel * s->kernel), ky = tap / s->kernel % s->kernel,
                kx = tap % s->kernel;
        int64_t shift = kx - s->padding, first, last;
        conv_inside(s, shift, &first, &last);
        for (int64_t oy = y0; oy < y0 + rows; oy++) {
            float *to = columns + (tap * rows + oy - y0) * s->out_w;
            int64_t iy = oy * s->stride + ky - s->padding;
            if (iy < 0 || iy >= s->h) {
                memset(to, 0, (size_t)s->out_w * sizeof(float));
                continue;
            }
            int64_t line = at + (channel * s->h + iy) * s->w + shift;
            for (int64_t i = 0; i < first; i++) to[i] = 0;
            if (s->stride == 1)
                vf_copy(to, YKI_F32, first, x, s->type, line + first, last - first, 1);
            else
                for (int64_t i = first; i < last; i++) to[i] = f32_read(x, s->type, line + i * s->stride);
            for (int64_t i = last; i < s->out_w; i++) to[i] = 0;
        }
    }
}

/* The adjoint: adds columns to the image dx. */
static void conv_fold(const conv *s, const float *columns, int64_t y0, int64_t rows, float *dx)
{
    for (int64_t tap = 0; tap < s->taps; tap++) {
        int64_t channel = tap / (s->kernel * s->kernel), ky = tap / s->kernel % s->kernel,
                kx = tap % s->kernel;
        int64_t shift = kx - s->padding, first, last;
        conv_inside(s, shift, &first, &last);
        for (int64_t oy = y0; oy < y0 + rows; oy++) {
            const float *from = columns + (tap * rows + oy - y0) * s->out_w;
            int64_t iy = oy * s->stride + ky - s->padding;
            if (iy < 0 || iy >= s->h) continue;
            float *line = dx + (channel * s->h + iy) * s->w + shift;
            if (s->stride == 1)
                for (int64_t i = first; i < last; i++) line[i] += from[i];
            else
                for (int64_t i = first; i < last; i++) line[i * s->stride] += from[i];
        }
    }
}

static void conv_forward_image(const conv *s, const yki_launch *launch, int64_t image, float *columns,
                               float *sums)
{
    const yki_view *x = &launch->views[0], *w = &launch->views[1], *bias = &launch->views[2],
                   *y = &launch->views[3];
    int64_t plane = s->out_h * s->out_w;
    float *bias_f32 = sums + s->sums_floats - ((size_t)s->O + 15) / 16 * 16;
    if (bias->data) vf_copy(bias_f32, YKI_F32, 0, bias->data, bias->dtype, 0, s->O, 1);
    for (int64_t y0 = 0; y0 < s->out_h; y0 += s->block_rows) {
        int64_t rows = s->out_h - y0 < s->block_rows ? s->out_h - y0 : s->block_rows, count = rows * s->out_w;
        conv_unfold(s, x->data, image * s->C * s->h * s->w, y0, rows, columns);
        int64_t at = image * s->O * plane + y0 * s->out_w;
        product p = {.M = s->O, .N = count, .K = s->taps, .A = w->data, .type_a = w->dtype, .lda = s->taps};
        p.B = columns;
        p.ldb = count;
        p.alpha = p.beta = 1;
        p.C = s->type == YKI_F32 ? (float *)y->data + at : sums;
        p.ldc = s->type == YKI_F32 ? plane : count;
        if (bias->data) {
            for (int64_t o = 0; o < s->O; o++)
                for (int64_t i = 0; i < count; i++) p.C[o * p.ldc + i] = bias_f32[o];
            p.init = p.C;
            p.ld_init = p.ldc;
        }
        product_run(&p);
        if (s->type != YKI_F32)
            for (int64_t o = 0; o < s->O; o++)
                vf_copy(y->data, s->type, at + o * plane, sums, YKI_F32, o * count, count, 1);
    }
}

static void conv_dx_image(const conv *s, const yki_launch *launch, int64_t image, float *columns, float *sums)
{
    const yki_view *dy = &launch->views[0], *w = &launch->views[1], *dx = &launch->views[2];
    int64_t plane = s->out_h * s->out_w, size = s->C * s->h * s->w;
    float *to = s->type == YKI_F32 ? (float *)dx->data + image * size : sums;
    memset(to, 0, (size_t)size * sizeof(float));
    for (int64_t y0 = 0; y0 < s->out_h; y0 += s->block_rows) {
        int64_t rows = s->out_h - y0 < s->block_rows ? s->out_h - y0 : s->block_rows, count = rows * s->out_w;
        product p = {.M = s->taps,
                     .N = count,
                     .K = s->O,
                     .A = w->data,
                     .type_a = w->dtype,
                     .lda = s->taps,
                     .ta = true};
        p.B = linear_at(dy->data, dy->dtype, image * s->O * plane + y0 * s->out_w);
        p.type_b = dy->dtype;
        p.ldb = plane;
        p.alpha = 1;
        p.C = columns;
        p.ldc = count;
        product_run(&p);
        conv_fold(s, columns, y0, rows, to);
    }
    if (s->type != YKI_F32) vf_copy(dx->data, s->type, image * size, sums, YKI_F32, 0, size, 1);
}

static void conv_dw_image(const conv *s, const yki_launch *launch, int64_t image, float *columns,
                          float *weights)
{
    const yki_view *x = &launch->views[0], *dy = &launch->views[1];
    int64_t plane = s->out_h * s->out_w;
    for (int64_t y0 = 0; y0 < s->out_h; y0 += s->block_rows) {
        int64_t rows = s->out_h - y0 < s->block_rows ? s->out_h - y0 : s->block_rows, count = rows * s->out_w;
        conv_unfold(s, x->data, image * s->C * s->h * s->w, y0, rows, columns);
        product p = {.M = s->O, .N = s->taps, .K = count, .type_a = dy->dtype, .lda = plane, .tb = true};
        p.A = linear_at(dy->data, dy->dtype, image * s->O * plane + y0 * s->out_w);
        p.B = columns;
        p.ldb = count;
        p.alpha = p.beta = 1;
        p.init = p.C = weights;
        p.ld_init = p.ldc = s->taps;
        product_run(&p);
    }
}

static void conv_run_part(const conv *s, const yki_launch *launch, int part)
{
    float *columns = (float *)launch->workspace + conv_part_floats(s) * (size_t)part;
    float *sums = columns + s->columns_floats, *weights = sums + s->sums_floats;
    int64_t from = s->n * part / s->parts, to = s->n * (part + 1) / s->parts;
    if (launch->kernel == YKI_KERNEL_CONV2D_DW) memset(weights, 0, s->weights_floats * sizeof(float));
    for (int64_t image = from; image < to; image++) {
        if (launch->kernel == YKI_KERNEL_CONV2D)
            conv_forward_image(s, launch, image, columns, sums);
        else if (launch->kernel == YKI_KERNEL_CONV2D_DX)
            conv_dx_image(s, launch, image, columns, sums);
        else
            conv_dw_image(s, launch, image, columns, weights);
    }
}

static void conv_run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    conv s = conv_shape(launch, threads);
    if (s.parts == 1) {
        conv_run_part(&s, launch, 0);
    } else {
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(s.parts)
#endif
        for (int part = 0; part < s.parts; part++) conv_run_part(&s, launch, part);
    }
    if (launch->kernel != YKI_KERNEL_CONV2D_DW) return;
    float *dw = launch->views[2].data, *first = (float *)launch->workspace + s.columns_floats + s.sums_floats;
    for (int64_t i = 0; i < s.O * s.taps; i++) {
        float sum = launch->accumulate ? dw[i] : 0;
        for (int part = 0; part < s.parts; part++)
            sum += first[conv_part_floats(&s) * (size_t)part + (size_t)i];
        dw[i] = sum;
    }
}
