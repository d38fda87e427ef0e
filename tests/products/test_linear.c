/* Our product and LINEAR, LINEAR_DX, LINEAR_DW of every implementation, against loops in double. */
#include "products.h"

static void gemm_matches_loops(void **unused)
{
    (void)unused;
    static const int64_t sizes[][3] = {
        {0, 3, 2},    {3, 0, 2},    {3, 2, 0},    {1, 1, 1},      {1, 5, 3},      {5, 1, 7},     {7, 64, 9},
        {8, 65, 130}, {15, 33, 17}, {16, 16, 16}, {57, 193, 129}, {113, 31, 260}, {30, 200, 128}};
    for (int isa = 0; isa <= (int)yki_isa_get(); isa++)
        for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
            for (int bits = 0; bits < 16; bits++) {
                int64_t M = sizes[size][0], N = sizes[size][1], K = sizes[size][2];
                int ta = bits & 1, tb = bits >> 1 & 1;
                int64_t extra = bits & 4 ? 300 : 0; /* far rows take the way that copies */
                float beta = bits & 8 ? 0.5f : 0;
                int64_t lda = (ta ? M : K) + extra, ldb = (tb ? K : N) + extra, ldc = N + extra % 7;
                yki_view A = VIEW(1, YKI_F32, (ta ? K : M) * lda + 1),
                         B = VIEW(2, YKI_F32, (tb ? N : K) * ldb + 1);
                yki_view C = VIEW(3, YKI_F32, M * ldc + 1), before = view_copy(&C);
                if (beta == 0)
                    for (int64_t i = 0; i < M; i++)
                        for (int64_t j = 0; j < N; j++)
                            value_set(&C, i * ldc + j, NAN); /* must not be read */
                yki_gemm_get((yki_isa)isa)(ta, tb, M, N, K, 1.5f, A.data, lda, B.data, ldb, beta, C.data,
                                           ldc);
                for (int64_t i = 0; i < M; i++)
                    for (int64_t j = 0; j < ldc; j++) {
                        double sum = 0, magnitude = 0;
                        for (int64_t k = 0; k < K && j < N; k++) {
                            double x = value_at(&A, ta ? k * lda + i : i * lda + k) *
                                       value_at(&B, tb ? j * ldb + k : k * ldb + j);
                            sum += x;
                            magnitude += fabs(x);
                        }
                        double old = value_at(&before, i * ldc + j);
                        double want = j < N ? 1.5 * sum + (beta != 0 ? beta * old : 0) : old;
                        assert_close(&C, i * ldc + j, want, 1.5 * magnitude + fabs(old), j < N ? 1e-6 : 0);
                    }
                free(A.data), free(B.data), free(C.data), free(before.data);
            }
}

typedef struct operands {
    yki_view x, w, bias, dy, dw;
} operands;

/* Each kernel's output as sums over the operands, without bias, and the sums of magnitudes. */
typedef struct sums {
    double *value, *magnitude;
} sums;

static sums expected(const operands *o, yki_kernel kernel, const int64_t size[3])
{
    int64_t R = size[0], K = size[1], N = size[2];
    int64_t rows = kernel == YKI_KERNEL_LINEAR_DW ? N : R, columns = kernel == YKI_KERNEL_LINEAR ? N : K;
    int64_t count = kernel == YKI_KERNEL_LINEAR ? K : kernel == YKI_KERNEL_LINEAR_DX ? N : R;
    sums out = {calloc((size_t)(rows * columns) + 1, 8), calloc((size_t)(rows * columns) + 1, 8)};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            for (int64_t k = 0; k < count; k++) {
                double x = kernel == YKI_KERNEL_LINEAR
                               ? value_at(&o->x, i * K + k) * value_at(&o->w, j * K + k)
                           : kernel == YKI_KERNEL_LINEAR_DX
                               ? value_at(&o->dy, i * N + k) * value_at(&o->w, k * K + j)
                               : value_at(&o->dy, k * N + i) * value_at(&o->x, k * K + j);
                out.value[i * columns + j] += x;
                out.magnitude[i * columns + j] += fabs(x);
            }
    return out;
}

static yki_launch launch_of(const operands *o, yki_kernel kernel, yki_dtype type, bool bias, bool accumulate,
                            int64_t outer)
{
    yki_launch l = {.kernel = kernel, .nviews = 3, .accumulate = accumulate};
    if (kernel == YKI_KERNEL_LINEAR) {
        l.nviews = 4;
        l.views[0] = o->x, l.views[1] = o->w, l.views[3] = o->dy; /* dy's storage takes y */
        l.views[2] = bias ? o->bias : (yki_view){.dtype = type};
    } else if (kernel == YKI_KERNEL_LINEAR_DX) {
        l.views[0] = o->dy, l.views[1] = o->w, l.views[2] = o->x;
    } else {
        l.views[0] = o->x, l.views[1] = o->dy, l.views[2] = o->dw;
    }
    if (outer > 0) /* [R,K] as [outer, R / outer, K] */
        for (int i = 0; i < l.nviews; i++) {
            yki_view *v = &l.views[i];
            if (v->ndim != 2 || v->dims[0] % outer || v->data == o->w.data || v->data == o->dw.data) continue;
            v->ndim = 3;
            v->dims[2] = v->dims[1];
            v->dims[1] = v->dims[0] / outer;
            v->dims[0] = outer;
        }
    return l;
}

/* Runs twice on copies of the output: same bits; then checks against the loops. Returns whether the source
 * took it. */
static bool check(int source, const operands *o, yki_kernel kernel, yki_dtype type, const int64_t size[3],
                  int flags, int threads, const sums *want)
{
    int64_t R = size[0], N = size[2];
    bool bias = flags & 1 && kernel == YKI_KERNEL_LINEAR,
         accumulate = flags & 1 && kernel == YKI_KERNEL_LINEAR_DW;
    yki_launch first =
        launch_of(o, kernel, type, bias, accumulate, flags & 2 ? R > 0 && R % 2 == 0 ? 2 : 1 : 0);
    yki_view *out = &first.views[first.nviews - 1], before = *out;
    *out = view_copy(&before);
    if (!accumulate) memset(out->data, 0xff, view_bytes(out));
    bool taken = launch_run(source, &first, threads);
    if (taken) {
        yki_launch second = first;
        yki_view *again = &second.views[second.nviews - 1];
        *again = view_copy(&before);
        assert_true(launch_run(source, &second, threads));
        assert_memory_equal(out->data, again->data, view_bytes(out));
        free(again->data);
        for (int64_t i = 0; i < yki_view_elems(out); i++) {
            double extra = accumulate ? value_at(&before, i) : bias ? value_at(&o->bias, i % N) : 0;
            assert_close(out, i, want->value[i] + extra, want->magnitude[i] + 1, 1e-6);
        }
    }
    free(out->data);
    return taken;
}

static void linear_matches_loops(void **unused)
{
    (void)unused;
    static const int64_t sizes[][3] = {{0, 3, 2},     {0, 300, 200},  {1, 1, 1},       {1, 3, 5},
                                       {10, 10, 5},   {3, 1, 70},     {1, 200, 33},    {2, 64, 6},
                                       {3, 97, 9},    {4, 300, 131},  {2, 7, 1},       {17, 33, 65},
                                       {64, 129, 40}, {130, 100, 97}, {257, 200, 193}, {300, 64, 260}};
    int taken = 0;
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
        for (int type = YKI_F32; type <= YKI_BF16; type++) {
            int64_t R = sizes[size][0], K = sizes[size][1], N = sizes[size][2];
            yki_dtype t = (yki_dtype)type;
            operands o = {VIEW(1, t, R, K), VIEW(2, t, N, K), VIEW(3, t, N), VIEW(4, t, R, N),
                          VIEW(5, YKI_F32, N, K)};
            for (int kernel = YKI_KERNEL_LINEAR; kernel <= YKI_KERNEL_LINEAR_DW; kernel++) {
                sums want = expected(&o, (yki_kernel)kernel, sizes[size]);
                for (int source = 0; source < sources(); source++)
                    for (int threads = 1; threads <= 3; threads++)
                        for (int flags = 0; flags < 4; flags++) {
                            bool ran =
                                check(source, &o, (yki_kernel)kernel, t, sizes[size], flags, threads, &want);
                            assert_true(ran || source > (int)yki_isa_get());
                            taken += ran && source > (int)yki_isa_get();
                        }
                free(want.value), free(want.magnitude);
            }
            free(o.x.data), free(o.w.data), free(o.bias.data), free(o.dy.data), free(o.dw.data);
        }
#ifdef YOKE_HAVE_ONEDNN
    assert_true(taken > 0); /* oneDNN is built in: some of these shapes are its */
#endif
}

/* Our own product gives the same bits for any number of threads. */
static void threads_do_not_change_bits(void **unused)
{
    (void)unused;
    operands o = {VIEW(1, YKI_F32, 150, 140), VIEW(2, YKI_F32, 170, 140), VIEW(3, YKI_F32, 170),
                  VIEW(4, YKI_F32, 150, 170), VIEW(5, YKI_F32, 170, 140)};
    for (int kernel = YKI_KERNEL_LINEAR; kernel <= YKI_KERNEL_LINEAR_DW; kernel++) {
        yki_launch one = launch_of(&o, (yki_kernel)kernel, YKI_F32, true, false, 0), three = one;
        yki_view *a = &one.views[one.nviews - 1], *b = &three.views[three.nviews - 1];
        *a = view_copy(a), *b = view_copy(b);
        assert_true(launch_run((int)yki_isa_get(), &one, 1));
        assert_true(launch_run((int)yki_isa_get(), &three, 3));
        assert_memory_equal(a->data, b->data, view_bytes(a));
        free(a->data), free(b->data);
    }
    free(o.x.data), free(o.w.data), free(o.bias.data), free(o.dy.data), free(o.dw.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_matches_loops),
        cmocka_unit_test(linear_matches_loops),
        cmocka_unit_test(threads_do_not_change_bits),
    };
    return cmocka_run_group_tests_name("products: linear", tests, NULL, NULL);
}
