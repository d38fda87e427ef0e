/* Context parallelism: every rank of axis cp has a share of every sequence. What works on tokens by
 * themselves does so on its own; attention, which sees them all, becomes several nodes and movements. */
#ifndef YKI_PLAN_CONTEXT_H
#define YKI_PLAN_CONTEXT_H

#include "plan/placed.h"

/* YOKE_INVALID where the model has no sequences, or something besides attention sees several tokens. */
yoke_status yki_context_check(const yki_plan *plan);

/* Attention as a lane runs it: `node` is the operator as it would be on one device, its inputs placed, its
 * constants those of the lane's heads; *y_out and *lse_out become its results. */
yoke_status yki_context_attend(yki_plan *plan, yki_placed *placed, int lane, const yki_placed_node *node,
                               int *y_out, int *lse_out);

/* The gradient of what yki_context_attend made for a ring, at its last node. */
void yki_context_gradient(yki_plan *plan, yki_placed *placed, int lane, yki_grad_context *context);

#endif
