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

/* Of each edge whose gradient is sent, by micro-batch, its slot in the sender's area of gradients on their
 * way, of `count`. A slot is taken again only by an action that, by the order of messages alone, comes after
 * what it held was taken. The same for all lanes. */
typedef struct yki_send_slots {
    const int **slot;
    int *count;
} yki_send_slots;

yoke_status yki_gradient_slots(yki_plan *plan, const yki_action_times *times, yki_send_slots *out);

#endif
