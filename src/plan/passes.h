/* The compiler's passes, in the order in which plan.c runs them. Each takes what it keeps from the plan's
 * arena. */
#ifndef YKI_PLAN_PASSES_H
#define YKI_PLAN_PASSES_H

#include "plan/plan.h"

yoke_status yki_plan_parts(yki_plan *plan);    /* parts.c: layers to parts, parts to stages */
yoke_status yki_plan_lanes(yki_plan *plan);    /* lanes.c: placed graphs of every class of lanes */
yoke_status yki_plan_groups(yki_plan *plan);   /* groups.c: who moves data together */
yoke_status yki_plan_schedule(yki_plan *plan); /* parts.c: makes or reads the schedule, and checks it */
yoke_status yki_plan_memory(yki_plan *plan);   /* memory.c: programs with offsets */
yoke_status yki_plan_states(yki_plan *plan);   /* states.c: what each rank keeps between steps */
yoke_status yki_plan_check(yki_plan *plan);    /* check.c: what devices hold */
yoke_status yki_plan_prove(yki_plan *plan);    /* prove/: that the programs hold */

/* Tables for every lane, none of them placed. */
yoke_status yki_lanes_begin(yki_plan *plan);
/* Of one lane, as class number `class`: its parts with their movements (place.c), and with their backward
 * pass (grad.c). */
yoke_status yki_place_lane(yki_plan *plan, int lane, int class);
yoke_status yki_grad_lane(yki_plan *plan, int lane, int class);

#endif
