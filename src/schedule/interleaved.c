/* Interleaved 1F1B (Narayanan et al., SC'21, section 2.2): each stage runs several chunks, dealt out in turn,
 * in groups of as many micro-batches as there are stages. */
#include "base/fail.h"
#include "schedule/schedule.h"

static yoke_status require(const yoke_parts *parts, int microbatches)
{
    int stages = parts->nstages, below = microbatches / stages * stages;
    if (microbatches % stages == 0) return YOKE_OK;
    if (below == 0)
        return yki_fail(YOKE_INVALID,
                        "interleaved needs a multiple of its %d stages as micro-batches, not %d; %d would do",
                        stages, microbatches, stages);
    return yki_fail(
        YOKE_INVALID,
        "interleaved needs a multiple of its %d stages as micro-batches, not %d; %d or %d would do", stages,
        microbatches, below, below + stages);
}

/* The k-th pass of one direction: group after group, and in a group chunk after chunk. */
static void add_pass(yoke_schedule *schedule, int stage, bool is_backward, int k)
{
    int stages = schedule->parts.nstages, chunks = yki_schedule_chunks(schedule, stage);
    int group = k / (stages * chunks), chunk = k % (stages * chunks) / stages;
    int microbatch = group * stages + k % stages;
    if (is_backward)
        yki_schedule_add(schedule, stage, YOKE_ACTION_BW, chunks - 1 - chunk, microbatch);
    else
        yki_schedule_add(schedule, stage, YOKE_ACTION_F, chunk, microbatch);
}

static yoke_status generate(yoke_schedule *schedule)
{
    int stages = schedule->parts.nstages;
    for (int i = 0; i < stages; i++) {
        int chunks = yki_schedule_chunks(schedule, i), passes = chunks * schedule->microbatches;
        /* with one chunk nothing is interleaved, and 1F1B's shorter lead is enough */
        int ahead = chunks == 1 ? stages - 1 - i : 2 * (stages - 1 - i) + (chunks - 1) * stages;
        if (ahead > passes) ahead = passes;
        for (int k = 0; k < passes + ahead; k++) {
            if (k < passes) add_pass(schedule, i, false, k);
            if (k >= ahead) add_pass(schedule, i, true, k - ahead);
        }
    }
    return YOKE_OK;
}

const yki_schedule_family yki_schedule_interleaved = {
    .name = "interleaved",
    .description = "1F1B with several chunks a stage: smaller bubble, more transfers; micro-batches a "
                   "multiple of stages",
    .actions_a_pass = 2,
    .min_chunks = 1,
    .require = require,
    .generate = generate,
};
