/* Making schedules by playing them: every stage that is free starts the best action it can. */
#ifndef YKI_SCHEDULE_GREEDY_H
#define YKI_SCHEDULE_GREEDY_H

#include "schedule/schedule.h"

typedef struct yki_greedy_rules {
    bool backward_after_all_forward; /* a stage starts backward once all its forwards are done (GPipe) */
    bool limit_in_flight; /* part c holds at most nparts - c micro-batches between their F and their BW (1F1B)
                           */
} yki_greedy_rules;

/* Fills an empty schedule of F and BW, over any map of parts. The clock: F takes one tick, BW two, transfers
 * none. O(actions * chunks of the stage). */
yoke_status yki_schedule_play(yoke_schedule *schedule, yki_greedy_rules rules);

#endif
