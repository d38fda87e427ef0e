/* Walking a schedule's actions in an order in which each comes after what it needs. The checker and the
 * simulator walk; a walk that ends with actions left has met a deadlock. Linear in the number of actions. */
#ifndef YKI_SCHEDULE_WALK_H
#define YKI_SCHEDULE_WALK_H

#include "schedule/schedule.h"

/* What an action needs done: the forward of a part, or its gradient of the input (B or BW), of the same
 * micro-batch. */
typedef struct yki_need {
    int part;
    bool is_backward;
} yki_need;

/* Writes what an action of `part` needs and returns how many that is, at most 2. */
int yki_action_needs(const yoke_schedule *schedule, int part, int kind, yki_need needs[2]);

typedef struct yki_walk {
    const yoke_schedule *schedule;
    int *position; /* [nstages]: actions done */
    int *ready;    /* stages that may be able to go on */
    int nready;
    int *is_waiting;  /* [nstages] */
    uint8_t *done[2]; /* by is_backward, [nparts * microbatches] */
    int left;
} yki_walk;

yoke_status yki_walk_init(yki_walk *walk, const yoke_schedule *schedule);
/* Takes the next action: number `index_out` of stage `stage_out`. false when no stage can go on. */
bool yki_walk_next(yki_walk *walk, int *stage_out, int *index_out);
/* The first thing that the next action of a stage needs and that is not done; false: there is none. */
bool yki_walk_missing(const yki_walk *walk, int stage, yki_need *need_out);
void yki_walk_release(yki_walk *walk);

#endif
