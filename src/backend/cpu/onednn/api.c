/* See api.h. What differs between oneDNN 2 and 3: descriptions of memory are values in 2 and objects in 3;
 * operations are described in two steps in 2 and in one in 3. */
#include "backend/cpu/onednn/api.h"

#include <pthread.h>
#include <string.h>
#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "base/fail.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;

static void start(void)
{
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = NULL;
}

dnnl_engine_t yki_dnnl_engine(void)
{
    pthread_once(&once, start);
    return engine;
}

int yki_dnnl_team(int threads)
{
#ifdef YOKE_HAVE_OPENMP
    int before = omp_get_max_threads();
    if (before != threads) omp_set_num_threads(threads);
    return before;
#else
    return threads;
#endif
}

yki_dnnl_tensor yki_dnnl_dense(yki_dtype dtype, int ndim, const int64_t *dims)
{
    yki_dnnl_tensor t = {.dtype = dtype, .ndim = ndim};
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t.dims[i] = dims[i];
        t.strides[i] = stride;
        stride *= dims[i];
    }
    return t;
}

yki_dnnl_tensor yki_dnnl_any(yki_dnnl_tensor tensor)
{
    memset(tensor.strides, 0, sizeof tensor.strides);
    return tensor;
}

static dnnl_data_type_t type_of(yki_dtype dtype)
{
    return dtype == YKI_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Descriptions of the tensors of one primitive, made and released together. */
enum { X, W, BIAS, Y, NMEMORY };
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
typedef const_dnnl_memory_desc_t memory_desc_ref;
static memory_desc_ref ref(const memory_desc *desc)
{
    return *desc;
}
static void desc_release(memory_desc *desc)
{
    if (*desc) dnnl_memory_desc_destroy(*desc);
}
#else
typedef dnnl_memory_desc_t memory_desc;
typedef const dnnl_memory_desc_t *memory_desc_ref;
static memory_desc_ref ref(const memory_desc *desc)
{
    return desc->ndims ? desc : NULL;
}
static void desc_release(memory_desc *desc)
{
    (void)desc;
}
#endif

static dnnl_status_t desc_init(memory_desc *desc, const yki_dnnl_tensor *t)
{
    memset(desc, 0, sizeof *desc);
    if (t == NULL) return dnnl_success;
    dnnl_dims_t dims = {0}, strides = {0};
    bool any = true;
    for (int i = 0; i < t->ndim; i++) {
        dims[i] = t->dims[i];
        strides[i] = t->strides[i];
        any = any && t->strides[i] == 0;
    }
#if DNNL_VERSION_MAJOR >= 3
    return any ? dnnl_memory_desc_create_with_tag(desc, t->ndim, dims, type_of(t->dtype), dnnl_format_tag_any)
               : dnnl_memory_desc_create_with_strides(desc, t->ndim, dims, type_of(t->dtype), strides);
#else
    return any ? dnnl_memory_desc_init_by_tag(desc, t->ndim, dims, type_of(t->dtype), dnnl_format_tag_any)
               : dnnl_memory_desc_init_by_strides(desc, t->ndim, dims, type_of(t->dtype), strides);
#endif
}

static dnnl_status_t descs_init(memory_desc desc[NMEMORY], const yki_dnnl_tensor *x, const yki_dnnl_tensor *w,
                                const yki_dnnl_tensor *bias, const yki_dnnl_tensor *y)
{
    const yki_dnnl_tensor *tensors[NMEMORY] = {x, w, bias, y};
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < NMEMORY; i++) {
        dnnl_status_t each = desc_init(&desc[i], tensors[i]);
        if (each != dnnl_success) status = each;
    }
    return status;
}

static void descs_release(memory_desc desc[NMEMORY])
{
    for (int i = 0; i < NMEMORY; i++) desc_release(&desc[i]);
}

static dnnl_status_t attr_create(bool accumulate, dnnl_primitive_attr_t *attr_out)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t sum = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status != dnnl_success) return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && accumulate) {
        status = dnnl_post_ops_create(&sum);
#if DNNL_VERSION_MAJOR >= 3
        if (status == dnnl_success) status = dnnl_post_ops_append_sum(sum, 1, 0, dnnl_data_type_undef);
#else
        if (status == dnnl_success) status = dnnl_post_ops_append_sum(sum, 1);
#endif
        if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, sum);
        if (sum) dnnl_post_ops_destroy(sum);
    }
    if (status != dnnl_success)
        dnnl_primitive_attr_destroy(attr);
    else
        *attr_out = attr;
    return status;
}

/* Turns a description that only the reference implementation would run into a refusal. */
static dnnl_status_t refuse_reference(dnnl_status_t status, dnnl_primitive_desc_t *pd)
{
    const char *implementation = NULL;
    if (status != dnnl_success) return status;
    status = dnnl_primitive_desc_query(*pd, dnnl_query_impl_info_str, 0, &implementation);
    if (status == dnnl_success && strncmp(implementation, "ref", 3) != 0) return dnnl_success;
    dnnl_primitive_desc_destroy(*pd);
    *pd = NULL;
    return dnnl_unimplemented;
}

dnnl_status_t yki_dnnl_matmul(const yki_dnnl_tensor *src, const yki_dnnl_tensor *weights,
                              const yki_dnnl_tensor *bias, const yki_dnnl_tensor *dst, bool accumulate,
                              dnnl_primitive_desc_t *pd_out)
{
    memory_desc desc[NMEMORY];
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = descs_init(desc, src, weights, bias, dst);
    if (status == dnnl_success) status = attr_create(accumulate, &attr);
    if (status == dnnl_success) {
#if DNNL_VERSION_MAJOR >= 3
        status = dnnl_matmul_primitive_desc_create(pd_out, yki_dnnl_engine(), ref(&desc[X]), ref(&desc[W]),
                                                   ref(&desc[BIAS]), ref(&desc[Y]), attr);
#else
        dnnl_matmul_desc_t operation;
        status =
            dnnl_matmul_desc_init(&operation, ref(&desc[X]), ref(&desc[W]), ref(&desc[BIAS]), ref(&desc[Y]));
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(pd_out, &operation, attr, yki_dnnl_engine(), NULL);
#endif
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    descs_release(desc);
    return refuse_reference(status, pd_out);
}

/* The description of one convolution; `hint` is that of its forward pass, for the gradients. */
static dnnl_status_t conv_create(yki_kernel kernel, const memory_desc *desc, int64_t stride, int64_t padding,
                                 const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr,
                                 dnnl_primitive_desc_t *pd_out)
{
    dnnl_dims_t strides = {stride, stride}, pads = {padding, padding};
    memory_desc_ref x = ref(&desc[X]), w = ref(&desc[W]), bias = ref(&desc[BIAS]), y = ref(&desc[Y]);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_dims_t dilates = {0, 0};
    dnnl_engine_t on = yki_dnnl_engine();
    if (kernel == YKI_KERNEL_CONV2D_DX)
        return dnnl_convolution_backward_data_primitive_desc_create(
            pd_out, on, dnnl_convolution_direct, x, w, y, strides, dilates, pads, pads, hint, attr);
    if (kernel == YKI_KERNEL_CONV2D_DW)
        return dnnl_convolution_backward_weights_primitive_desc_create(
            pd_out, on, dnnl_convolution_direct, x, w, NULL, y, strides, dilates, pads, pads, hint, attr);
    return dnnl_convolution_forward_primitive_desc_create(pd_out, on, dnnl_forward_training,
                                                          dnnl_convolution_direct, x, w, bias, y, strides,
                                                          dilates, pads, pads, attr);
#else
    dnnl_convolution_desc_t operation;
    dnnl_status_t status;
    if (kernel == YKI_KERNEL_CONV2D_DX)
        status = dnnl_convolution_backward_data_desc_init(&operation, dnnl_convolution_direct, x, w, y,
                                                          strides, pads, pads);
    else if (kernel == YKI_KERNEL_CONV2D_DW)
        status = dnnl_convolution_backward_weights_desc_init(&operation, dnnl_convolution_direct, x, w, NULL,
                                                             y, strides, pads, pads);
    else
        status = dnnl_convolution_forward_desc_init(
            &operation, dnnl_forward_training, dnnl_convolution_direct, x, w, bias, y, strides, pads, pads);
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(pd_out, &operation, attr, yki_dnnl_engine(), hint);
#endif
}

/* The same; of a gradient, from that of its forward pass, which `forward` describes. */
static dnnl_status_t conv_create_hinted(yki_kernel kernel, const memory_desc *desc,
                                        const memory_desc *forward, int64_t stride, int64_t padding,
                                        const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd_out)
{
    dnnl_primitive_desc_t hint;
    if (kernel == YKI_KERNEL_CONV2D) return conv_create(kernel, desc, stride, padding, NULL, attr, pd_out);
    dnnl_status_t status = conv_create(YKI_KERNEL_CONV2D, forward, stride, padding, NULL, attr, &hint);
    if (status != dnnl_success) return status;
    status = conv_create(kernel, desc, stride, padding, hint, attr, pd_out);
    dnnl_primitive_desc_destroy(hint);
    return status;
}

dnnl_status_t yki_dnnl_conv(yki_kernel kernel, const yki_dnnl_tensor *x, const yki_dnnl_tensor *w,
                            const yki_dnnl_tensor *bias, const yki_dnnl_tensor *y, int64_t stride,
                            int64_t padding, dnnl_primitive_desc_t *pd_out)
{
    memory_desc desc[NMEMORY], forward[NMEMORY];
    dnnl_primitive_attr_t attr = NULL;
    yki_dnnl_tensor any_x = yki_dnnl_any(*x), any_w = yki_dnnl_any(*w), any_y = yki_dnnl_any(*y);
    any_w.dtype = x->dtype; /* the hint's weights are the forward pass's, not their gradient */
    dnnl_status_t status = descs_init(desc, x, w, bias, y);
    dnnl_status_t status_forward = descs_init(forward, &any_x, &any_w, NULL, &any_y);
    if (status == dnnl_success) status = status_forward;
    if (status == dnnl_success) status = attr_create(false, &attr);
    if (status == dnnl_success)
        status = conv_create_hinted(kernel, desc, forward, stride, padding, attr, pd_out);
    if (attr) dnnl_primitive_attr_destroy(attr);
    descs_release(desc);
    descs_release(forward);
    return refuse_reference(status, pd_out);
}

dnnl_status_t yki_dnnl_reorder(const yki_dnnl_tensor *plain, const_dnnl_primitive_desc_t pd,
                               dnnl_query_t query, bool back, bool accumulate, dnnl_primitive_desc_t *pd_out)
{
    memory_desc desc;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = desc_init(&desc, plain);
    if (status == dnnl_success) status = attr_create(accumulate, &attr);
    memory_desc_ref other = dnnl_primitive_desc_query_md(pd, query, 0), mine = ref(&desc);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(pd_out, back ? other : mine, yki_dnnl_engine(),
                                                    back ? mine : other, yki_dnnl_engine(), attr);
    if (attr) dnnl_primitive_attr_destroy(attr);
    desc_release(&desc);
    return status;
}

bool yki_dnnl_is_plain(const yki_dnnl_tensor *plain, const_dnnl_primitive_desc_t pd, dnnl_query_t query)
{
    memory_desc desc;
    bool same = desc_init(&desc, plain) == dnnl_success &&
                dnnl_memory_desc_equal(ref(&desc), dnnl_primitive_desc_query_md(pd, query, 0));
    desc_release(&desc);
    return same;
}

size_t yki_dnnl_bytes(const_dnnl_primitive_desc_t pd, dnnl_query_t query)
{
    memory_desc_ref desc = dnnl_primitive_desc_query_md(pd, query, 0);
    return desc ? (dnnl_memory_desc_get_size(desc) + 63) / 64 * 64 : 0;
}

static dnnl_status_t op_make(yki_dnnl_op *op, dnnl_primitive_desc_t pd, const yki_dnnl_arg *args, int nargs)
{
    dnnl_status_t status = dnnl_primitive_create(&op->primitive, pd);
    if (status == dnnl_success)
        status = dnnl_stream_create(&op->stream, yki_dnnl_engine(), dnnl_stream_default_flags);
    op->nargs = nargs;
    for (int i = 0; i <= nargs && status == dnnl_success; i++) {
        dnnl_query_t query = i < nargs ? args[i].query : dnnl_query_scratchpad_md;
        op->args[i].arg = i < nargs ? args[i].arg : DNNL_ARG_SCRATCHPAD;
        status = dnnl_memory_create(&op->args[i].memory, dnnl_primitive_desc_query_md(pd, query, 0),
                                    yki_dnnl_engine(), DNNL_MEMORY_NONE);
    }
    return status;
}

yoke_status yki_dnnl_op_init(yki_dnnl_op *op, dnnl_primitive_desc_t pd, const yki_dnnl_arg *args, int nargs)
{
    dnnl_status_t status = op_make(op, pd, args, nargs);
    dnnl_primitive_desc_destroy(pd);
    if (status == dnnl_success) return YOKE_OK;
    yki_dnnl_op_release(op);
    return yki_fail(YOKE_SYSTEM, "oneDNN cannot make a primitive (its status %d)", (int)status);
}

void yki_dnnl_op_release(yki_dnnl_op *op)
{
    for (int i = 0; i < YKI_DNNL_ARGS; i++)
        if (op->args[i].memory) dnnl_memory_destroy(op->args[i].memory);
    if (op->primitive) dnnl_primitive_destroy(op->primitive);
    if (op->stream) dnnl_stream_destroy(op->stream);
    memset(op, 0, sizeof *op);
}

bool yki_dnnl_op_run(yki_dnnl_op *op, void *const *data, void *scratch)
{
    for (int i = 0; i <= op->nargs; i++)
        if (dnnl_memory_set_data_handle(op->args[i].memory, i < op->nargs ? data[i] : scratch) !=
            dnnl_success)
            return false;
    return dnnl_primitive_execute(op->primitive, op->stream, op->nargs + 1, op->args) == dnnl_success;
}
