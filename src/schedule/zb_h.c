/* Handcrafted zero-bubble schedules (Qi et al., ICLR 2024, section 2): the backward pass is split, and weight
 * gradients, which nothing waits for, fill what would be idle. */
#include "schedule/zb_h.h"

void yki_schedule_add_zb_stage(yoke_schedule *schedule, int stage, int ahead, int delayed)
{
    int m = schedule->microbatches, weights = 0;
    if (ahead > m) ahead = m;
    for (int k = 0; k < m + ahead; k++) {
        if (k < m) yki_schedule_add(schedule, stage, YOKE_ACTION_F, 0, k);
        if (k < ahead) continue;
        yki_schedule_add(schedule, stage, YOKE_ACTION_B, 0, k - ahead);
        if (k - ahead + 1 - weights > delayed) yki_schedule_add(schedule, stage, YOKE_ACTION_W, 0, weights++);
    }
    while (weights < m) yki_schedule_add(schedule, stage, YOKE_ACTION_W, 0, weights++);
}
