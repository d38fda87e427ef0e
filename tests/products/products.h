/* What the tests of products share: views filled with reproducible numbers, every implementation in turn, and
 * a run with guarded workspace. Comparisons are against loops in double over the very values that the kernels
 * read. */
#ifndef YKI_TEST_PRODUCTS_H
#define YKI_TEST_PRODUCTS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "backend/cpu/cpu.h"
#include "backend/cpu/gemm.h"
#include "cmocka_all.h"

/* Implementations: our own for each instruction set that this CPU runs, then oneDNN (an empty table where
 * absent). */
static inline int sources(void)
{
    return (int)yki_isa_get() + 2;
}

static inline void source_table(int source, yki_cpu_table *table)
{
    memset(table, 0, sizeof *table);
    if (source <= (int)yki_isa_get())
        yki_cpu_register_products(table, (yki_isa)source);
    else
        yki_cpu_register_onednn(table);
}

static inline double value_at(const yki_view *v, int64_t i)
{
    if (v->dtype == YKI_F32) return ((const float *)v->data)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)v->data)[i] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void value_set(yki_view *v, int64_t i, float x)
{
    if (v->dtype == YKI_F32) {
        ((float *)v->data)[i] = x;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    ((uint16_t *)v->data)[i] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline size_t view_bytes(const yki_view *v)
{
    return (size_t)yki_view_elems(v) * yki_dtype_bytes(v->dtype);
}

/* Exactly as large as its elements, so that the address sanitizer sees a read behind them. */
static inline yki_view view_make(yki_dtype dtype, int ndim, const int64_t *dims, uint32_t seed)
{
    yki_view v = {.dtype = dtype, .ndim = ndim};
    memcpy(v.dims, dims, (size_t)ndim * sizeof *dims);
    v.data = malloc(view_bytes(&v) + (view_bytes(&v) == 0));
    assert_non_null(v.data);
    seed = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < yki_view_elems(&v); i++) {
        seed = seed * 1664525 + 1013904223;
        value_set(&v, i, (float)((int32_t)seed >> 8) * 0x1p-23f);
    }
    return v;
}

#define VIEW(seed, dtype, ...)                                                                               \
    view_make(dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__},    \
              seed)

static inline yki_view view_copy(const yki_view *v)
{
    yki_view copy = *v;
    copy.data = malloc(view_bytes(v) + (view_bytes(v) == 0));
    assert_non_null(copy.data);
    memcpy(copy.data, v->data, view_bytes(v));
    return copy;
}

/* Runs a launch with its own workspace, behind which nothing may be written. False where the source has no
 * kernel that takes it. The shapes are planned without data, as a plan does. */
static inline bool launch_run(int source, yki_launch *launch, int threads)
{
    yki_cpu_table table;
    source_table(source, &table);
    if (table.count[launch->kernel] == 0) return false;
    const yki_cpu_kernel *kernel = &table.kernel[launch->kernel][0];
    yki_launch shapes = *launch;
    for (int i = 0; i < shapes.nviews; i++) shapes.views[i].data = NULL;
    shapes.workspace = NULL;
    if (kernel->accepts && !kernel->accepts(&shapes, threads)) return false;
    size_t bytes = kernel->workspace_bytes ? kernel->workspace_bytes(&shapes, threads) : 0;
#ifdef YOKE_HAVE_OPENMP
    omp_set_num_threads(threads);
#endif
    void *state = NULL;
    if (kernel->prepare) assert_int_equal(kernel->prepare(&shapes, threads, &state), YOKE_OK);
    assert_true(bytes == (kernel->workspace_bytes ? kernel->workspace_bytes(launch, threads) : 0));
    char *workspace = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(workspace);
    memset(workspace, 0xff, (bytes + 127) / 64 * 64); /* not numbers, as f32 and as bf16 */
    launch->workspace = bytes ? workspace : NULL;
    launch->workspace_bytes = bytes;
    kernel->run(launch, state, threads);
    for (size_t i = bytes; i < (bytes + 127) / 64 * 64; i++) assert_true(workspace[i] == (char)0xff);
    free(workspace);
    if (kernel->discard) kernel->discard(state);
    return true;
}

/* |got - want| within `relative` of the sum of magnitudes that went into want, plus the output type's
 * rounding. */
static inline void assert_close(const yki_view *got, int64_t i, double want, double magnitude,
                                double relative)
{
    double rounding = got->dtype == YKI_BF16 ? fabs(want) * 0x1p-8 : 0;
    double difference = fabs(value_at(got, i) - want);
    if (!(difference <= relative * magnitude + rounding + 1e-30))
        fail_msg("element %ld: got %.9g, want %.9g, difference %.3g", (long)i, value_at(got, i), want,
                 difference);
}

#endif
