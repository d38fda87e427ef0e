/* GPipe: all micro-batches forward, then all backward (Huang et al., NeurIPS 2019). Backward runs in the
 * order of the micro-batches, as 1F1B does, so that gradients are summed in the same order. */
#include "schedule/greedy.h"

static yoke_status generate(yoke_schedule *schedule)
{
    return yki_schedule_play(schedule, (yki_greedy_rules){.backward_after_all_forward = true});
}

const yki_schedule_family yki_schedule_gpipe = {
    .name = "gpipe",
    .description = "all micro-batches forward, then all backward; holds every activation",
    .actions_a_pass = 2,
    .min_chunks = 1,
    .any_map = true,
    .generate = generate,
};
