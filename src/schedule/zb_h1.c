/* ZB-H1: zero bubble within 1F1B's memory (Qi et al., ICLR 2024, section 2.1). */
#include "schedule/zb_h.h"

static yoke_status generate(yoke_schedule *schedule)
{
    int p = schedule->parts.nstages;
    for (int i = 0; i < p; i++) yki_schedule_add_zb_stage(schedule, i, p - 1 - i, i);
    return YOKE_OK;
}

const yki_schedule_family yki_schedule_zb_h1 = {
    .name = "zb-h1",
    .description = "1F1B with split backward: a third of its bubble, in its memory",
    .actions_a_pass = 3,
    .min_chunks = 1,
    .max_chunks = 1,
    .generate = generate,
};
