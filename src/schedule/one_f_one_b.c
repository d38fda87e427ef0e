/* 1F1B (PipeDream-Flush; Narayanan et al., 2021): stage i of p runs p - 1 - i forwards ahead, then one
 * forward and one backward in turn. Played rather than written down, so that it runs over any map of parts;
 * over one part a stage the result is that order exactly, as a test says. */
#include "schedule/greedy.h"

static yoke_status generate(yoke_schedule *schedule)
{
    return yki_schedule_play(schedule, (yki_greedy_rules){.limit_in_flight = true});
}

const yki_schedule_family yki_schedule_1f1b = {
    .name = "1f1b",
    .description = "one forward, one backward in turn; at most as many micro-batches in flight as stages",
    .actions_a_pass = 2,
    .min_chunks = 1,
    .any_map = true,
    .generate = generate,
};
