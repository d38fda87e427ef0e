/* LINEAR, LINEAR_DX and LINEAR_DW as oneDNN's matmul on row-major tensors as they lie; a transposed operand
 * is one with its strides exchanged. */
#include "backend/cpu/onednn/onednn.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/onednn/api.h"
#include "backend/cpu/onednn/cache.h"
#include "base/fail.h"

/* Multiply-adds below which our own product is faster (measured: docs/performance-products.md); 0 is among
 * them. */
enum { FEW_F32 = 1 << 19, FEW_BF16 = 1 << 14 };
/* Rows of x up to which our own forward product, which then reads w once and as it lies, is faster. */
enum { FEW_ROWS = 4 };

typedef struct linear_state {
    yki_dnnl_op op[2]; /* overwriting, adding (LINEAR_DW alone) */
    bool has_bias;
} linear_state;

static yki_dnnl_key key_of(const yki_launch *shapes, int threads)
{
    const yki_view *v = shapes->views, *w = &v[shapes->kernel == YKI_KERNEL_LINEAR_DW ? 2 : 1];
    yki_dnnl_key key = {.kernel = shapes->kernel, .dtype = v[0].dtype, .threads = threads};
    if (shapes->kernel == YKI_KERNEL_LINEAR && v[2].ndim > 0) key.bias = 1 + v[2].dtype;
    int64_t rows = 1;
    for (int i = 0; i < v[0].ndim - 1; i++) rows *= v[0].dims[i];
    key.dims[0] = rows;
    key.dims[1] = w->dims[1]; /* K */
    key.dims[2] = w->dims[0]; /* N */
    return key;
}

/* The description of the product; `adding` for the gradient of weights. */
static dnnl_status_t describe(const yki_dnnl_key *key, bool adding, dnnl_primitive_desc_t *pd_out)
{
    int64_t R = key->dims[0], K = key->dims[1], N = key->dims[2];
    yki_dtype type = (yki_dtype)key->dtype;
    yki_dnnl_tensor x = yki_dnnl_dense(type, 2, (int64_t[]){R, K}),
                    y = yki_dnnl_dense(type, 2, (int64_t[]){R, N});
    yki_dnnl_tensor w = yki_dnnl_dense(type, 2, (int64_t[]){N, K});
    if (key->kernel == YKI_KERNEL_LINEAR_DX) return yki_dnnl_matmul(&y, &w, NULL, &x, false, pd_out);
    if (key->kernel == YKI_KERNEL_LINEAR_DW) {
        yki_dnnl_tensor dy_t = {.dtype = type, .ndim = 2, .dims = {N, R}, .strides = {1, N}};
        w.dtype = YKI_F32;
        return yki_dnnl_matmul(&dy_t, &x, NULL, &w, adding, pd_out);
    }
    yki_dnnl_tensor w_t = {.dtype = type, .ndim = 2, .dims = {K, N}, .strides = {1, K}};
    yki_dnnl_tensor bias = yki_dnnl_dense((yki_dtype)(key->bias - 1), 2, (int64_t[]){1, N});
    return yki_dnnl_matmul(&x, &w_t, key->bias ? &bias : NULL, &y, false, pd_out);
}

static yki_dnnl_answer ask(const yki_dnnl_key *key)
{
    yki_dnnl_answer answer = {.takes = true};
    for (int adding = 0; adding <= (key->kernel == YKI_KERNEL_LINEAR_DW); adding++) {
        dnnl_primitive_desc_t pd;
        if (describe(key, adding, &pd) != dnnl_success) return (yki_dnnl_answer){0};
        size_t bytes = yki_dnnl_bytes(pd, dnnl_query_scratchpad_md);
        if (bytes > answer.scratch_bytes) answer.scratch_bytes = bytes;
        dnnl_primitive_desc_destroy(pd);
    }
    return answer;
}

/* Measured (docs/performance-products.md). In f32, a row-major second operand whose rows fill whole 4 KiB is
 * read from few cache sets, which halves the library's rate on some CPUs; our own product copies it to panels
 * first. */
static bool ours_is_faster(const yki_dnnl_key *key)
{
    int64_t R = key->dims[0], K = key->dims[1], N = key->dims[2];
    if (R * K * N < (key->dtype == YKI_F32 ? FEW_F32 : FEW_BF16)) return true;
    if (yki_isa_get() == YKI_ISA_BASE) return false;
    if (key->kernel == YKI_KERNEL_LINEAR) return R <= FEW_ROWS;
    return key->dtype == YKI_F32 && K % 1024 == 0;
}

static bool accepts(const yki_launch *shapes, int threads)
{
    yki_dnnl_key key = key_of(shapes, threads);
    return !ours_is_faster(&key) && yki_dnnl_ask(&key, ask).takes;
}

static size_t workspace_bytes(const yki_launch *shapes, int threads)
{
    yki_dnnl_key key = key_of(shapes, threads);
    return yki_dnnl_ask(&key, ask).scratch_bytes;
}

static void discard(void *state)
{
    linear_state *s = state;
    if (s == NULL) return;
    yki_dnnl_op_release(&s->op[0]);
    yki_dnnl_op_release(&s->op[1]);
    free(s);
}

static yoke_status make_op(const yki_dnnl_key *key, bool adding, yki_dnnl_op *op)
{
    static const yki_dnnl_arg args[] = {{DNNL_ARG_SRC, dnnl_query_src_md},
                                        {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
                                        {DNNL_ARG_DST, dnnl_query_dst_md},
                                        {DNNL_ARG_BIAS, dnnl_query_weights_md}};
    dnnl_primitive_desc_t pd;
    if (describe(key, adding, &pd) != dnnl_success)
        return yki_fail(YOKE_SYSTEM, "oneDNN no longer takes a product of %lld x %lld x %lld",
                        (long long)key->dims[0], (long long)key->dims[1], (long long)key->dims[2]);
    return yki_dnnl_op_init(op, pd, args, key->bias ? 4 : 3);
}

static yoke_status prepare(const yki_launch *shapes, int threads, void **state_out)
{
    yki_dnnl_key key = key_of(shapes, threads);
    linear_state *s = calloc(1, sizeof *s);
    if (s == NULL) return yki_fail_memory("a product");
    int team = yki_dnnl_team(threads);
    s->has_bias = key.bias != 0;
    yoke_status status = make_op(&key, false, &s->op[0]);
    if (status == YOKE_OK && key.kernel == YKI_KERNEL_LINEAR_DW) status = make_op(&key, true, &s->op[1]);
    yki_dnnl_team(team);
    if (status == YOKE_OK)
        *state_out = s;
    else
        discard(s);
    return status;
}

static void run(const yki_launch *launch, void *state, int threads)
{
    (void)threads;
    linear_state *s = state;
    const yki_view *v = launch->views, *out = &v[launch->nviews - 1];
    bool adding = launch->kernel == YKI_KERNEL_LINEAR_DW && launch->accumulate;
    void *data[4] = {v[0].data, v[1].data, out->data, s->has_bias ? v[2].data : NULL};
    if (launch->kernel == YKI_KERNEL_LINEAR_DW) {
        data[0] = v[1].data;
        data[1] = v[0].data;
    }
    if (!yki_dnnl_op_run(&s->op[adding], data, launch->workspace)) yki_onednn_spoil(out);
}

void yki_onednn_register_linear(yki_cpu_table *table)
{
    yki_cpu_kernel kernel = {"onednn", run, workspace_bytes, prepare, discard, accepts};
    yki_cpu_register(table, YKI_KERNEL_LINEAR, kernel);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_DX, kernel);
    yki_cpu_register(table, YKI_KERNEL_LINEAR_DW, kernel);
}
