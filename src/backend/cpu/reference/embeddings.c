/* Tables of tokens and of positions. */
#include "backend/cpu/reference/reference.h"

static void embed(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *ids = &launch->views[0], *weight = &launch->views[1], *y = &launch->views[2];
    int64_t R = yki_view_elems(ids), V = weight->dims[0], D = weight->dims[1];
    for (int64_t r = 0; r < R; r++) {
        int64_t row = (int64_t)yki_get(ids, r) - launch->attr->offset;
        for (int64_t i = 0; i < D; i++)
            yki_set(y, r * D + i, row >= 0 && row < V ? yki_get(weight, row * D + i) : 0.0);
    }
}

static void embed_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *ids = &launch->views[0], *dy = &launch->views[1], *dtable = &launch->views[2];
    int64_t R = yki_view_elems(ids), V = dtable->dims[0], D = dtable->dims[1];
    for (int64_t row = 0; row < V; row++)
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;
            for (int64_t r = 0; r < R; r++)
                if ((int64_t)yki_get(ids, r) - launch->attr->offset == row) sum += yki_get(dy, r * D + i);
            yki_set_gradient(launch, dtable, row * D + i, sum);
        }
}

static void position(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *x = &launch->views[0], *p = &launch->views[1], *y = &launch->views[2];
    int64_t n = y->dims[0], T = y->dims[1], D = y->dims[2];
    for (int64_t s = 0; s < n; s++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t i = 0; i < D; i++) {
                int64_t at = (s * T + t) * D + i, at_row = yki_position(&launch->attr->rows, t);
                yki_set(y, at, yki_get(x, at) + yki_get(p, (launch->attr->offset + at_row) * D + i));
            }
}

static void position_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *dy = &launch->views[0], *dp = &launch->views[1];
    int64_t n = dy->dims[0], T = dy->dims[1], D = dy->dims[2], P = dp->dims[0];
    for (int64_t i = 0; i < P * D && !launch->accumulate; i++) yki_set(dp, i, 0);
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < D; i++) {
            int64_t at = (launch->attr->offset + yki_position(&launch->attr->rows, t)) * D + i;
            double sum = 0;
            for (int64_t s = 0; s < n; s++) sum += yki_get(dy, (s * T + t) * D + i);
            yki_set(dp, at, yki_get(dp, at) + sum);
        }
}

void yki_reference_register_embeddings(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_EMBED, embed);
    yki_reference_add(table, YKI_KERNEL_EMBED_GRAD, embed_grad);
    yki_reference_add(table, YKI_KERNEL_POSITION, position);
    yki_reference_add(table, YKI_KERNEL_POSITION_GRAD, position_grad);
}
