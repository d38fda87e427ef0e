/* The plain reference: every kernel in obvious loops, one thread, each value computed in double from the
 * operands as stored and rounded once when it is stored. Slow on purpose: it is the oracle, and it serves
 * what nothing faster takes.
 *
 * Operands of any floating type mix freely. Tests may also use doubles (YKI_REFERENCE_F64), so that gradients
 * can be compared with finite differences; no other code knows that type. */
#ifndef YKI_BACKEND_CPU_REFERENCE_H
#define YKI_BACKEND_CPU_REFERENCE_H

#include "backend/cpu/cpu.h"
#include "base/bf16.h"

#define YKI_REFERENCE_F64 ((yki_dtype)100)

static inline double yki_get(const yki_view *view, int64_t i)
{
    switch ((int)view->dtype) {
    case YKI_F32:
        return ((const float *)view->data)[i];
    case YKI_BF16:
        return yki_bf16_to_f32(((const uint16_t *)view->data)[i]);
    case YKI_I32:
        return ((const int32_t *)view->data)[i];
    default:
        return ((const double *)view->data)[i];
    }
}

static inline void yki_set(const yki_view *view, int64_t i, double value)
{
    switch ((int)view->dtype) {
    case YKI_F32:
        ((float *)view->data)[i] = (float)value;
        break;
    case YKI_BF16:
        ((uint16_t *)view->data)[i] = yki_bf16_from_f32((float)value);
        break;
    case YKI_I32:
        ((int32_t *)view->data)[i] = (int32_t)value;
        break;
    default:
        ((double *)view->data)[i] = value;
    }
}

/* Stores a gradient of weights: added where the launch accumulates. */
static inline void yki_set_gradient(const yki_launch *launch, const yki_view *view, int64_t i, double value)
{
    yki_set(view, i, value + (launch->accumulate ? yki_get(view, i) : 0.0));
}

static inline bool yki_is_absent(const yki_view *view)
{
    return view->data == NULL && view->ndim == 0;
}

/* The last dim, and the product of the others: 0 rows where there is nothing. */
static inline int64_t yki_width(const yki_view *view)
{
    return view->ndim > 0 ? view->dims[view->ndim - 1] : 1;
}
static inline int64_t yki_rows(const yki_view *view)
{
    int64_t rows = 1;
    for (int i = 0; i < view->ndim - 1; i++) rows *= view->dims[i];
    return rows;
}

/* A topic's kernels; each function fills its slots. */
void yki_reference_register_products(yki_cpu_table *table);
void yki_reference_register_conv(yki_cpu_table *table);
void yki_reference_register_pools(yki_cpu_table *table);
void yki_reference_register_embeddings(yki_cpu_table *table);
void yki_reference_register_norms(yki_cpu_table *table);
void yki_reference_register_batchnorm(yki_cpu_table *table);
void yki_reference_register_pointwise(yki_cpu_table *table);
void yki_reference_register_rope(yki_cpu_table *table);
void yki_reference_register_attention(yki_cpu_table *table);
void yki_reference_register_cached(yki_cpu_table *table);
void yki_reference_register_losses(yki_cpu_table *table);
void yki_reference_register_optimizers(yki_cpu_table *table);

static inline void yki_reference_add(yki_cpu_table *table, yki_kernel kernel,
                                     void (*run)(const yki_launch *launch, void *state, int threads))
{
    yki_cpu_register(table, kernel, (yki_cpu_kernel){.source = "reference", .run = run});
}

#endif
