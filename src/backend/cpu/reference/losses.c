/* Losses. Cross-entropy comes in pieces, so that classes may be split over ranks: the largest logit, the sum
 * of exponentials and the target's logit are combined over ranks between the pieces. A row whose target is
 * negative is not counted: its statistic at the target is infinite, which no logit less the largest is, so
 * its log-sum is too, and every p = exp(l - lse) of its gradient 0. */
#include <math.h>

#include "backend/cpu/reference/reference.h"

static void xent_max(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *logits = &launch->views[0], *max = &launch->views[1];
    int64_t R = yki_rows(logits), V = yki_width(logits);
    for (int64_t r = 0; r < R; r++) {
        double largest = -INFINITY;
        for (int64_t v = 0; v < V; v++) largest = fmax(largest, yki_get(logits, r * V + v));
        yki_set(max, r, largest);
    }
}

static void xent_sum(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *logits = &launch->views[0], *targets = &launch->views[1], *max = &launch->views[2];
    const yki_view *stats = &launch->views[3];
    int64_t R = yki_rows(logits), V = yki_width(logits);
    for (int64_t r = 0; r < R; r++) {
        double sum = 0, at_target = 0;
        for (int64_t v = 0; v < V; v++) {
            double less = yki_get(logits, r * V + v) - yki_get(max, r);
            sum += exp(less);
            if (v + launch->attr->offset == (int64_t)yki_get(targets, r)) at_target = less;
        }
        if (yki_get(targets, r) < 0) at_target = INFINITY;
        yki_set(stats, 2 * r, sum);
        yki_set(stats, 2 * r + 1, at_target);
    }
}

static void xent_loss(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *max = &launch->views[0], *stats = &launch->views[1], *lse = &launch->views[2];
    int64_t R = yki_view_elems(max);
    double loss = 0, right = 0;
    for (int64_t r = 0; r < R; r++) {
        double log_sum = log(yki_get(stats, 2 * r)), at_target = yki_get(stats, 2 * r + 1);
        bool counted = at_target != INFINITY;
        yki_set(lse, r, counted ? yki_get(max, r) + log_sum : INFINITY);
        loss += counted ? log_sum - at_target : 0;
        right += at_target >= 0 && counted;
    }
    launch->loss[0] += loss;
    launch->loss[1] += right;
}

static void xent_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *logits = &launch->views[0], *targets = &launch->views[1], *lse = &launch->views[2];
    const yki_view *dlogits = &launch->views[3];
    int64_t R = yki_rows(logits), V = yki_width(logits);
    for (int64_t r = 0; r < R; r++)
        for (int64_t v = 0; v < V; v++) {
            double is_target = v + launch->attr->offset == (int64_t)yki_get(targets, r) ? 1.0 : 0.0;
            double p = exp(yki_get(logits, r * V + v) - yki_get(lse, r));
            yki_set(dlogits, r * V + v, (p - is_target) * launch->scale);
        }
}

static void mse_loss(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *y = &launch->views[0], *target = &launch->views[1];
    int64_t elems = yki_view_elems(y);
    double loss = 0;
    for (int64_t i = 0; i < elems; i++) {
        double off = yki_get(y, i) - yki_get(target, i);
        loss += off * off;
    }
    *launch->loss += loss;
}

static void mse_grad(const yki_launch *launch, void *state, int threads)
{
    (void)state, (void)threads;
    const yki_view *y = &launch->views[0], *target = &launch->views[1], *dy = &launch->views[2];
    int64_t elems = yki_view_elems(y);
    for (int64_t i = 0; i < elems; i++)
        yki_set(dy, i, 2.0 * (yki_get(y, i) - yki_get(target, i)) * launch->scale);
}

void yki_reference_register_losses(yki_cpu_table *table)
{
    yki_reference_add(table, YKI_KERNEL_XENT_MAX, xent_max);
    yki_reference_add(table, YKI_KERNEL_XENT_SUM, xent_sum);
    yki_reference_add(table, YKI_KERNEL_XENT_LOSS, xent_loss);
    yki_reference_add(table, YKI_KERNEL_XENT_GRAD, xent_grad);
    yki_reference_add(table, YKI_KERNEL_MSE_LOSS, mse_loss);
    yki_reference_add(table, YKI_KERNEL_MSE_GRAD, mse_grad);
}
