/* LINEAR, LINEAR_DX, LINEAR_DW and what adds the first two to a tensor, on our own product, included by each
 * isa_*.c.
 *
 * The output is cut into one part a thread, by columns where that leaves each thread's panels of B its own,
 * by rows otherwise; never along the sum, so that the result does not depend on the number of threads.
 * Outputs in bf16 are summed in f32 in the workspace, a block of columns at a time, and rounded once. */
enum { LINEAR_ROWS = 256 };           /* rows of a block of f32 sums */
enum { LINEAR_ALONE = 96 * 96 * 96 }; /* multiply-adds below which one thread is faster than a team's start */
enum { LINEAR_FEW = 4 };              /* rows of x up to which reading w decides */

/* A launch seen as one product; the views of its operands. */
static product linear_product(const yki_launch *launch, yki_view *y_out)
{
    bool adds = launch->kernel == YKI_KERNEL_LINEAR_ADD || launch->kernel == YKI_KERNEL_LINEAR_DX_ADD;
    const yki_view *v = launch->views + adds, *y = &launch->views[launch->nviews - 1];
    bool forward = launch->kernel == YKI_KERNEL_LINEAR || launch->kernel == YKI_KERNEL_LINEAR_ADD,
         weights = launch->kernel == YKI_KERNEL_LINEAR_DW;
    *y_out = *y;
    product p = {.alpha = 1, .beta = 1, .A = v[0].data, .B = v[1].data};
    p.type_a = v[0].dtype;
    p.type_b = v[1].dtype;
    p.lda = v[0].dims[v[0].ndim - 1];
    p.ldb = v[1].dims[v[1].ndim - 1];
    int64_t rows = 1;
    for (int i = 0; i < v[0].ndim - 1; i++) rows *= v[0].dims[i];
    p.M = rows;
    p.N = y->dims[y->ndim - 1];
    p.K = p.lda;
    p.tb = forward;
    p.C = y->data;
    p.ldc = p.N;
    if (adds) p.ld_init = p.N;
    if (weights) { /* dw[N,K] = dy^T x: A is dy, the second operand */
        p.A = v[1].data;
        p.B = v[0].data;
        p.ta = true;
        p.M = y->dims[0];
        p.K = rows;
        p.lda = p.M;
        p.ldb = p.N;
        p.init = launch->accumulate ? y->data : NULL;
        p.ld_init = p.N;
    }
    return p;
}

/* How a product is cut for a team. */
typedef struct linear_cut {
    int parts;
    bool by_columns;
} linear_cut;

/* Depends on the whole product alone, so that every part is summed in the same order. */
INLINE bool linear_by_dots(const product *p)
{
    return p->tb && !p->ld_init && p->M > 0 && p->M <= LINEAR_FEW && p->K >= 4 * VL;
}

static linear_cut linear_cut_for(const product *p, int threads)
{
    linear_cut cut = {1, false};
    if (threads < 2 || p->M * p->N <= 1 || p->M * p->N * (p->K > 0 ? p->K : 1) < LINEAR_ALONE) return cut;
    cut.parts = threads;
    cut.by_columns = p->N >= (int64_t)threads * NC || p->N >= p->M || linear_by_dots(p);
    return cut;
}

/* Part `part` of `parts` of `count` in steps of `step`. */
INLINE void linear_share(int64_t count, int64_t step, int part, int parts, int64_t *from_out, int64_t *to_out)
{
    int64_t steps = (count + step - 1) / step;
    int64_t from = steps * part / parts * step, to = steps * (part + 1) / parts * step;
    *from_out = from < count ? from : count;
    *to_out = to < count ? to : count;
}

INLINE const void *linear_at(const void *data, yki_dtype dtype, int64_t index)
{
    return (const char *)data + index * (int64_t)yki_dtype_bytes(dtype);
}

/* The rows i0..i1 and columns j0..j1 of a product. */
static product linear_part(const product *whole, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    product p = *whole;
    p.M = i1 - i0;
    p.N = j1 - j0;
    p.A = linear_at(p.A, p.type_a, p.ta ? i0 : i0 * p.lda);
    p.B = linear_at(p.B, p.type_b, p.tb ? j0 * p.ldb : j0);
    if (p.init) p.init += i0 * p.ld_init + j0;
    return p;
}

/* sum += x w for elements k..k+part of a few rows of x and DOTS rows of w. */
enum { DOTS = 4 };
INLINE void linear_dots_step(const product *p, const yki_dtype type, const int rows, const int64_t *row,
                             int64_t k, int part, vf sum[LINEAR_FEW][DOTS])
{
    vf w[DOTS];
    /* the rows of w after these: in bf16 they are so short that each is over before the CPU follows it */
    for (int c = 0; c < DOTS && type == YKI_BF16; c++)
        __builtin_prefetch((const uint16_t *)p->B + (row[c] + DOTS) * p->ldb + k);
    UNROLL for (int c = 0; c < DOTS; c++) w[c] = vf_read(p->B, type, row[c] * p->ldb + k, part);
    UNROLL for (int i = 0; i < rows; i++)
    {
        vf x = vf_read(p->A, type, i * p->lda + k, part);
        UNROLL for (int c = 0; c < DOTS; c++) sum[i][c] += x * w[c];
    }
}

/* y = x w^T + b for so few rows that w is read once for all of them, as it lies: each element is one long dot
 * product. Columns j0..j1. */
INLINE void linear_dots_rows(const product *p, const yki_view *y, const yki_view *bias, int64_t j0,
                             int64_t j1, const yki_dtype type, const int rows)
{
    for (int64_t j = j0; j < j1; j += DOTS) {
        int64_t last = j1 - 1, row[DOTS]; /* columns behind the last repeat it and are not written */
        for (int c = 0; c < DOTS; c++) row[c] = j + c < last ? j + c : last;
        vf sum[LINEAR_FEW][DOTS];
        UNROLL for (int i = 0; i < LINEAR_FEW; i++) UNROLL for (int c = 0; c < DOTS; c++) sum[i][c] =
            vf_set(0);
        int64_t k = 0;
        for (; k + VL <= p->K; k += VL) linear_dots_step(p, type, rows, row, k, VL, sum);
        if (k < p->K) linear_dots_step(p, type, rows, row, k, (int)(p->K - k), sum);
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < DOTS; c++)
        {
            if (j + c >= j1) continue;
            float x = vf_sum(sum[i][c]) + (bias ? f32_read(bias->data, bias->dtype, j + c) : 0);
            vf_write(y->data, y->dtype, i * p->ldc + j + c, vf_set(x), 1);
        }
    }
}

/* One function for each number of rows and each type. */
typedef void (*linear_dots_function)(const product *p, const yki_view *y, const yki_view *bias, int64_t j0,
                                     int64_t j1);
#define LINEAR_DOTS(rows, name, type)                                                                        \
    static void linear_dots_##name##_##rows(const product *p, const yki_view *y, const yki_view *bias,       \
                                            int64_t j0, int64_t j1)                                          \
    {                                                                                                        \
        linear_dots_rows(p, y, bias, j0, j1, type, rows);                                                    \
    }
#define LINEAR_DOTS_BOTH(rows) LINEAR_DOTS(rows, f32, YKI_F32) LINEAR_DOTS(rows, bf16, YKI_BF16)
LINEAR_DOTS_BOTH(1)
LINEAR_DOTS_BOTH(2)
LINEAR_DOTS_BOTH(3)
LINEAR_DOTS_BOTH(4)
static const linear_dots_function linear_dots[2][LINEAR_FEW] = {
    [YKI_F32] = {linear_dots_f32_1, linear_dots_f32_2, linear_dots_f32_3, linear_dots_f32_4},
    [YKI_BF16] = {linear_dots_bf16_1, linear_dots_bf16_2, linear_dots_bf16_3, linear_dots_bf16_4},
};

/* What a product is added to: a row (bias), or a tensor like y. */
typedef struct linear_base {
    const yki_view *bias, *tensor; /* NULL: none */
} linear_base;

static linear_base linear_base_of(const yki_launch *launch)
{
    const yki_view *v = launch->views;
    if (launch->kernel == YKI_KERNEL_LINEAR) return (linear_base){.bias = v[2].data ? &v[2] : NULL};
    bool adds = launch->kernel == YKI_KERNEL_LINEAR_ADD || launch->kernel == YKI_KERNEL_LINEAR_DX_ADD;
    return (linear_base){.tensor = adds ? &v[0] : NULL};
}

/* One thread's part. Where y is bf16, or the bias is, blocks go through `sums` (LINEAR_ROWS x NC) and a bias
 * in f32 behind it (NC). */
static void linear_run_part(const product *whole, const yki_view *y, const linear_base *base, int64_t i0,
                            int64_t i1, int64_t j0, int64_t j1, float *sums)
{
    const yki_view *bias = base->bias, *tensor = base->tensor;
    if (linear_by_dots(whole)) {
        linear_dots[whole->type_b][whole->M - 1](whole, y, bias, j0, j1);
        return;
    }
    if (y->dtype == YKI_F32 && (bias == NULL || bias->dtype == YKI_F32)) {
        product p = linear_part(whole, i0, i1, j0, j1);
        if (bias) p.init = (const float *)bias->data + j0;
        if (tensor) p.init = (const float *)tensor->data + i0 * whole->ld_init + j0;
        p.C = (float *)y->data + i0 * whole->ldc + j0;
        product_run(&p);
        return;
    }
    float *bias_f32 = sums + (int64_t)LINEAR_ROWS * NC;
    for (int64_t i = i0; i < i1; i += LINEAR_ROWS)
        for (int64_t j = j0; j < j1; j += NC) {
            product p = linear_part(whole, i, i + LINEAR_ROWS < i1 ? i + LINEAR_ROWS : i1, j,
                                    j + NC < j1 ? j + NC : j1);
            if (bias) {
                vf_copy(bias_f32, YKI_F32, 0, bias->data, bias->dtype, j, p.N, 1);
                p.init = bias_f32;
            }
            for (int64_t row = 0; tensor && row < p.M; row++)
                vf_copy(sums, YKI_F32, row * NC, tensor->data, tensor->dtype, (i + row) * whole->ldc + j, p.N,
                        1);
            if (tensor) {
                p.init = sums;
                p.ld_init = NC;
            }
            p.C = sums;
            p.ldc = NC;
            product_run(&p);
            for (int64_t row = 0; row < p.M; row++)
                vf_copy(y->data, y->dtype, (i + row) * whole->ldc + j, sums, YKI_F32, row * NC, p.N, 1);
        }
}

static size_t linear_sums(void)
{
    return ((size_t)LINEAR_ROWS * NC + NC) * sizeof(float);
}

static size_t linear_workspace_bytes(const yki_launch *shapes, int threads)
{
    yki_view y;
    product p = linear_product(shapes, &y);
    bool has_bias = shapes->kernel == YKI_KERNEL_LINEAR && shapes->views[2].ndim > 0;
    if (y.dtype == YKI_F32 && (!has_bias || shapes->views[2].dtype == YKI_F32)) return 0;
    return linear_sums() * (size_t)linear_cut_for(&p, threads).parts;
}

static void linear_run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    yki_view y;
    product p = linear_product(launch, &y);
    linear_base base = linear_base_of(launch);
    linear_cut cut = linear_cut_for(&p, threads);
    if (cut.parts == 1) {
        linear_run_part(&p, &y, &base, 0, p.M, 0, p.N, launch->workspace);
        return;
    }
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(cut.parts)
#endif
    for (int part = 0; part < cut.parts; part++) {
        int64_t i0 = 0, i1 = p.M, j0 = 0, j1 = p.N;
        if (cut.by_columns)
            linear_share(p.N, NR, part, cut.parts, &j0, &j1);
        else
            linear_share(p.M, MR, part, cut.parts, &i0, &i1);
        float *sums =
            launch->workspace ? (float *)((char *)launch->workspace + linear_sums() * (size_t)part) : NULL;
        linear_run_part(&p, &y, &base, i0, i1, j0, j1, sums);
    }
}
