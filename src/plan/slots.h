/* Slots: which copy of a part's buffers each micro-batch uses, from the action lists alone. */
#ifndef YKI_PLAN_SLOTS_H
#define YKI_PLAN_SLOTS_H

#include "plan/plan.h"

/* Where each action of each micro-batch stands in its stage's list. [part][micro-batch] */
typedef struct yki_action_times {
    int **forward, **input, **weight; /* F; B or BW; W or BW */
    bool *split;                      /* [part] B and W apart somewhere */
} yki_action_times;

yoke_status yki_action_times_find(yki_plan *plan, yki_action_times *times_out);

/* Assigns slots to intervals (first free slot, by start); returns how many there are. start and end by
 * micro-batch. */
int yki_slots_assign(yki_arena *arena, const int *start, const int *end, int count, int *slot);

/* free_at[m]: position in the list of edge->to's stage from which the gradient that its part sent for
 * micro-batch m is known to have been taken, by the order of messages alone; the list's length where nothing
 * says so before the step's end. */
yoke_status yki_gradient_release(yki_plan *plan, const yki_action_times *times, const yki_edge *edge,
                                 int *free_at);

#endif
