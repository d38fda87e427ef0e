/* ZB-H2: no bubble, for about twice 1F1B's memory (Qi et al., ICLR 2024, section 2.2). */
#include "schedule/zb_h.h"

static yoke_status generate(yoke_schedule *schedule)
{
    int p = schedule->parts.nstages;
    for (int i = 0; i < p; i++) yki_schedule_add_zb_stage(schedule, i, 2 * (p - 1 - i), 2 * i);
    return YOKE_OK;
}

const yki_schedule_family yki_schedule_zb_h2 = {
    .name = "zb-h2",
    .description =
        "split backward and twice the forwards ahead: no bubble where passes are even, twice the memory",
    .actions_a_pass = 3,
    .min_chunks = 1,
    .max_chunks = 1,
    .generate = generate,
};
