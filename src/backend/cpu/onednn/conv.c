/* CONV2D, CONV2D_DX and CONV2D_DW by oneDNN. Each tensor lies plainly (nchw, oihw); where the library's best
 * implementation wants another format, the tensor is reordered to or from a buffer in the workspace: on
 * tensors as they lie, oneDNN 2.6 unfolds them and loses a factor of 2 to 10.
 *
 * The workspace holds the scratch memory that all steps share, then the buffers. The gradient of the weights
 * always goes through one, and is then moved or added to dw: the library's gradient cannot add. */
#include "backend/cpu/onednn/onednn.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/onednn/api.h"
#include "backend/cpu/onednn/cache.h"
#include "base/fail.h"

enum { FEW_PRODUCTS = 1 << 17 };
enum { X, W, Y, TENSORS };
enum { N_, C_, H_, W_, O_, OUT_H, OUT_W, KERNEL, STRIDE, PADDING }; /* dims of the key */

typedef struct conv_plan {
    dnnl_primitive_desc_t core;
    bool moved[TENSORS];
    size_t scratch_bytes, buffer_bytes[TENSORS];
    yki_dnnl_tensor plain[TENSORS];
    int out; /* the tensor that is written */
} conv_plan;

typedef struct conv_state {
    yki_dnnl_op core, move[TENSORS], add; /* add: the output's move, adding to what is there */
    bool moved[TENSORS], has_bias;
    size_t at[TENSORS]; /* offsets of the buffers in the workspace */
    int out;
} conv_state;

/* What each tensor is to the primitive, by kernel. */
static const yki_dnnl_arg roles[3][TENSORS] = {
    {{DNNL_ARG_SRC, dnnl_query_src_md},
     {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
     {DNNL_ARG_DST, dnnl_query_dst_md}},
    {{DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md},
     {DNNL_ARG_WEIGHTS, dnnl_query_weights_md},
     {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md}},
    {{DNNL_ARG_SRC, dnnl_query_src_md},
     {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md},
     {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md}},
};
/* Which view of the launch each tensor is. */
static const int view_of[3][TENSORS] = {{0, 1, 3}, {2, 1, 0}, {0, 2, 1}};
static const int written[3] = {Y, X, W};

static yki_dnnl_key key_of(const yki_launch *shapes, int threads)
{
    int kind = shapes->kernel - YKI_KERNEL_CONV2D;
    const yki_view *v = shapes->views, *x = &v[view_of[kind][X]], *y = &v[view_of[kind][Y]];
    yki_dnnl_key key = {.kernel = shapes->kernel, .dtype = x->dtype, .threads = threads};
    if (shapes->kernel == YKI_KERNEL_CONV2D && v[2].ndim > 0) key.bias = 1 + v[2].dtype;
    for (int i = 0; i < 4; i++) key.dims[N_ + i] = x->dims[i];
    for (int i = 0; i < 3; i++) key.dims[O_ + i] = y->dims[1 + i];
    key.dims[KERNEL] = shapes->attr->kernel;
    key.dims[STRIDE] = shapes->attr->stride;
    key.dims[PADDING] = shapes->attr->padding;
    return key;
}

static dnnl_status_t plan_moves(const yki_dnnl_key *key, conv_plan *plan)
{
    int kind = (int)key->kernel - YKI_KERNEL_CONV2D;
    plan->scratch_bytes = yki_dnnl_bytes(plan->core, dnnl_query_scratchpad_md);
    for (int i = 0; i < TENSORS; i++) {
        dnnl_query_t query = roles[kind][i].query;
        bool weights_gradient = i == W && key->kernel == YKI_KERNEL_CONV2D_DW;
        plan->moved[i] = weights_gradient || !yki_dnnl_is_plain(&plan->plain[i], plan->core, query);
        if (!plan->moved[i]) continue;
        plan->buffer_bytes[i] = yki_dnnl_bytes(plan->core, query);
        for (int adding = 0; adding <= weights_gradient; adding++) {
            dnnl_primitive_desc_t pd;
            dnnl_status_t status =
                yki_dnnl_reorder(&plan->plain[i], plan->core, query, i == plan->out, adding, &pd);
            if (status != dnnl_success) return status;
            size_t bytes = yki_dnnl_bytes(pd, dnnl_query_scratchpad_md);
            if (bytes > plan->scratch_bytes) plan->scratch_bytes = bytes;
            dnnl_primitive_desc_destroy(pd);
        }
    }
    return dnnl_success;
}

/* Describes the convolution; on success plan->core is the caller's. */
static dnnl_status_t plan_conv(const yki_dnnl_key *key, conv_plan *plan)
{
    const int64_t *d = key->dims;
    yki_dtype type = (yki_dtype)key->dtype;
    *plan = (conv_plan){.out = written[key->kernel - YKI_KERNEL_CONV2D]};
    plan->plain[X] = yki_dnnl_dense(type, 4, (int64_t[]){d[N_], d[C_], d[H_], d[W_]});
    plan->plain[W] = yki_dnnl_dense(key->kernel == YKI_KERNEL_CONV2D_DW ? YKI_F32 : type, 4,
                                    (int64_t[]){d[O_], d[C_], d[KERNEL], d[KERNEL]});
    plan->plain[Y] = yki_dnnl_dense(type, 4, (int64_t[]){d[N_], d[O_], d[OUT_H], d[OUT_W]});
    yki_dnnl_tensor bias = yki_dnnl_dense((yki_dtype)(key->bias - 1), 1, &d[O_]), t[TENSORS];
    for (int i = 0; i < TENSORS; i++) t[i] = yki_dnnl_any(plan->plain[i]);
    dnnl_status_t status = yki_dnnl_conv((yki_kernel)key->kernel, &t[X], &t[W], key->bias ? &bias : NULL,
                                         &t[Y], d[STRIDE], d[PADDING], &plan->core);
    if (status != dnnl_success) return status;
    status = plan_moves(key, plan);
    if (status != dnnl_success) dnnl_primitive_desc_destroy(plan->core);
    return status;
}

static size_t plan_bytes(const conv_plan *plan)
{
    return plan->scratch_bytes + plan->buffer_bytes[X] + plan->buffer_bytes[W] + plan->buffer_bytes[Y];
}

static yki_dnnl_answer ask(const yki_dnnl_key *key)
{
    conv_plan plan;
    if (plan_conv(key, &plan) != dnnl_success) return (yki_dnnl_answer){0};
    dnnl_primitive_desc_destroy(plan.core);
    return (yki_dnnl_answer){true, plan_bytes(&plan)};
}

/* Measured (docs/performance-products.md): reordering does not pay for little work, for the gradient of few
 * input channels (which the library pads to its vectors), and in f32 where unfolding is free or its product
 * large and whole. */
static bool ours_is_faster(const yki_dnnl_key *key)
{
    const int64_t *d = key->dims, taps = d[C_] * d[KERNEL] * d[KERNEL];
    if (d[N_] * d[O_] * d[OUT_H] * d[OUT_W] * taps < FEW_PRODUCTS) return true;
    if (key->kernel == YKI_KERNEL_CONV2D_DX && d[C_] < 8) return true;
    return key->dtype == YKI_F32 && (d[KERNEL] == 1 || (taps >= 256 && d[OUT_W] >= 32));
}

static bool accepts(const yki_launch *shapes, int threads)
{
    yki_dnnl_key key = key_of(shapes, threads);
    if (ours_is_faster(&key)) return false;
    return yki_dnnl_ask(&key, ask).takes;
}

static size_t workspace_bytes(const yki_launch *shapes, int threads)
{
    yki_dnnl_key key = key_of(shapes, threads);
    return yki_dnnl_ask(&key, ask).scratch_bytes;
}

static void discard(void *state)
{
    conv_state *s = state;
    if (s == NULL) return;
    yki_dnnl_op_release(&s->core);
    yki_dnnl_op_release(&s->add);
    for (int i = 0; i < TENSORS; i++) yki_dnnl_op_release(&s->move[i]);
    free(s);
}

static const yki_dnnl_arg reorder_args[] = {{DNNL_ARG_FROM, dnnl_query_src_md},
                                            {DNNL_ARG_TO, dnnl_query_dst_md}};

static yoke_status make_move(const yki_dnnl_key *key, const conv_plan *plan, int tensor, bool adding,
                             yki_dnnl_op *op)
{
    dnnl_primitive_desc_t pd;
    dnnl_query_t query = roles[key->kernel - YKI_KERNEL_CONV2D][tensor].query;
    if (yki_dnnl_reorder(&plan->plain[tensor], plan->core, query, tensor == plan->out, adding, &pd) !=
        dnnl_success)
        return yki_fail(YOKE_SYSTEM, "oneDNN no longer reorders a tensor that it reordered before");
    return yki_dnnl_op_init(op, pd, reorder_args, 2);
}

/* The moves first, then the convolution, which takes plan->core with it. */
static yoke_status make_ops(const yki_dnnl_key *key, conv_plan *plan, conv_state *s)
{
    yoke_status status = YOKE_OK;
    size_t at = plan->scratch_bytes;
    for (int i = 0; i < TENSORS; i++) {
        s->moved[i] = plan->moved[i];
        s->at[i] = at;
        at += plan->buffer_bytes[i];
        if (status == YOKE_OK && plan->moved[i]) status = make_move(key, plan, i, false, &s->move[i]);
    }
    if (status == YOKE_OK && key->kernel == YKI_KERNEL_CONV2D_DW)
        status = make_move(key, plan, W, true, &s->add);
    if (status != YOKE_OK) {
        dnnl_primitive_desc_destroy(plan->core);
        return status;
    }
    yki_dnnl_arg args[4] = {{0, dnnl_query_undef}};
    memcpy(args, roles[key->kernel - YKI_KERNEL_CONV2D], TENSORS * sizeof *args);
    args[3] = (yki_dnnl_arg){DNNL_ARG_BIAS, dnnl_query_weights_md};
    return yki_dnnl_op_init(&s->core, plan->core, args, key->bias ? 4 : 3);
}

static yoke_status prepare(const yki_launch *shapes, int threads, void **state_out)
{
    yki_dnnl_key key = key_of(shapes, threads);
    conv_plan plan;
    conv_state *s = calloc(1, sizeof *s);
    if (s == NULL) return yki_fail_memory("a convolution");
    s->out = written[key.kernel - YKI_KERNEL_CONV2D];
    s->has_bias = key.bias != 0;
    int team = yki_dnnl_team(threads);
    yoke_status status =
        plan_conv(&key, &plan) == dnnl_success
            ? make_ops(&key, &plan, s)
            : yki_fail(YOKE_SYSTEM, "oneDNN no longer takes a convolution that it took before");
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
    conv_state *s = state;
    const int *view = view_of[launch->kernel - YKI_KERNEL_CONV2D];
    void *data[4] = {0}, *scratch = launch->workspace;
    bool fine = true;
    for (int i = 0; i < TENSORS; i++) {
        void *plain = launch->views[view[i]].data;
        data[i] = s->moved[i] ? (char *)launch->workspace + s->at[i] : plain;
        if (s->moved[i] && i != s->out)
            fine = fine && yki_dnnl_op_run(&s->move[i], (void *[]){plain, data[i]}, scratch);
    }
    if (s->has_bias) data[3] = launch->views[2].data;
    fine = fine && yki_dnnl_op_run(&s->core, data, scratch);
    const yki_view *out = &launch->views[view[s->out]];
    if (s->moved[s->out]) {
        bool adding = launch->kernel == YKI_KERNEL_CONV2D_DW && launch->accumulate;
        fine = fine && yki_dnnl_op_run(adding ? &s->add : &s->move[s->out],
                                       (void *[]){data[s->out], out->data}, scratch);
    }
    if (!fine) yki_onednn_spoil(out);
}

void yki_onednn_register_conv(yki_cpu_table *table)
{
    yki_cpu_kernel kernel = {"onednn", run, workspace_bytes, prepare, discard, accepts};
    yki_cpu_register(table, YKI_KERNEL_CONV2D, kernel);
    yki_cpu_register(table, YKI_KERNEL_CONV2D_DX, kernel);
    yki_cpu_register(table, YKI_KERNEL_CONV2D_DW, kernel);
}
