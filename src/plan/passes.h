/* The compiler's passes, in the order in which plan.c runs them. Each takes what it keeps from the plan's
 * arena. */
#ifndef YKI_PLAN_PASSES_H
#define YKI_PLAN_PASSES_H

#include "plan/plan.h"

yoke_status yki_plan_parts(yki_plan *plan);    /* parts.c: layers to parts, parts to stages */
yoke_status yki_plan_place(yki_plan *plan);    /* place.c */
yoke_status yki_plan_groups(yki_plan *plan);   /* groups.c: who moves data together */
yoke_status yki_plan_grad(yki_plan *plan);     /* grad.c */
yoke_status yki_plan_schedule(yki_plan *plan); /* parts.c: makes or reads the schedule, and checks it */
yoke_status yki_plan_memory(yki_plan *plan);   /* memory.c: programs with offsets */
yoke_status yki_plan_states(yki_plan *plan);   /* states.c: what each rank keeps between steps */
yoke_status yki_plan_check(yki_plan *plan);    /* check.c: what devices hold */
yoke_status yki_plan_prove(yki_plan *plan);    /* prove/: that the programs hold */

#endif
