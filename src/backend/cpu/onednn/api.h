/* oneDNN's C API, the little of it that products need, the same for its versions 2 and 3. Only api.c knows
 * the version.
 *
 * Primitives take scratch memory from the caller; their team is the one they are made for, so make them
 * between yki_dnnl_team(threads) and yki_dnnl_team(what that returned). */
#ifndef YKI_BACKEND_CPU_ONEDNN_API_H
#define YKI_BACKEND_CPU_ONEDNN_API_H

#include <oneapi/dnnl/dnnl.h>

#include "backend/kernel.h"
#include "yoke/status.h"

/* A tensor as a primitive sees it: strides in elements; all strides 0: in whatever format the library likes
 * best. */
typedef struct yki_dnnl_tensor {
    yki_dtype dtype;
    int ndim;
    int64_t dims[4], strides[4];
} yki_dnnl_tensor;

/* A tensor with row-major strides. */
yki_dnnl_tensor yki_dnnl_dense(yki_dtype dtype, int ndim, const int64_t *dims);
/* The same dims and type in the format that the library chooses. */
yki_dnnl_tensor yki_dnnl_any(yki_dnnl_tensor tensor);

/* The one engine of this process, NULL where the library refuses. */
dnnl_engine_t yki_dnnl_engine(void);

/* Sets the team of this thread's following primitives; returns the team it had. */
int yki_dnnl_team(int threads);

/* Descriptions of primitives; *pd_out is the caller's, to destroy with dnnl_primitive_desc_destroy. They
 * return oneDNN's status and write no record: a refusal sends the launch to another implementation. A
 * description that only the library's unoptimised reference would run counts as refused. */
dnnl_status_t yki_dnnl_matmul(const yki_dnnl_tensor *src, const yki_dnnl_tensor *weights,
                              const yki_dnnl_tensor *bias, const yki_dnnl_tensor *dst, bool accumulate,
                              dnnl_primitive_desc_t *pd_out);
/* kernel: CONV2D (bias may be NULL), CONV2D_DX or CONV2D_DW, where x, w and y stand for their gradients as
 * needed. */
dnnl_status_t yki_dnnl_conv(yki_kernel kernel, const yki_dnnl_tensor *x, const yki_dnnl_tensor *w,
                            const yki_dnnl_tensor *bias, const yki_dnnl_tensor *y, int64_t stride,
                            int64_t padding, dnnl_primitive_desc_t *pd_out);
/* Copies from a plain tensor to the format of `pd`'s tensor `query`, or, where `back`, from it to the plain
 * tensor, adding to it where `accumulate`. */
dnnl_status_t yki_dnnl_reorder(const yki_dnnl_tensor *plain, const_dnnl_primitive_desc_t pd,
                               dnnl_query_t query, bool back, bool accumulate, dnnl_primitive_desc_t *pd_out);

/* Whether pd's tensor `query` lies exactly as `plain` does. */
bool yki_dnnl_is_plain(const yki_dnnl_tensor *plain, const_dnnl_primitive_desc_t pd, dnnl_query_t query);
/* Bytes of pd's tensor `query` (dnnl_query_scratchpad_md: of its scratch memory), rounded up to 64. */
size_t yki_dnnl_bytes(const_dnnl_primitive_desc_t pd, dnnl_query_t query);

/* A primitive with a stream of its own and memory objects for its arguments: at most 5, the scratch memory
 * last. Used by one thread at a time. */
enum { YKI_DNNL_ARGS = 5 };
typedef struct yki_dnnl_op {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    int nargs; /* scratch not counted */
    dnnl_exec_arg_t args[YKI_DNNL_ARGS];
} yki_dnnl_op;

/* One argument: DNNL_ARG_* and the query that gives its description. */
typedef struct yki_dnnl_arg {
    int arg;
    dnnl_query_t query;
} yki_dnnl_arg;

/* Makes a primitive from its description, which it destroys in any case. op: zeroed by the caller.
 * YOKE_SYSTEM. */
yoke_status yki_dnnl_op_init(yki_dnnl_op *op, dnnl_primitive_desc_t pd, const yki_dnnl_arg *args, int nargs);
void yki_dnnl_op_release(yki_dnnl_op *op);
/* Runs it on data in the order of its arguments. False where the library fails. */
bool yki_dnnl_op_run(yki_dnnl_op *op, void *const *data, void *scratch);

#endif
