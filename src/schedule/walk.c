/* The walk: a stage runs on until it must wait; an action that ends wakes the one stage that may wait for it.
 */
#include "schedule/walk.h"

#include <stdlib.h>

#include "base/fail.h"

int yki_action_needs(const yoke_schedule *schedule, int part, int kind, yki_need needs[2])
{
    int n = 0;
    if (kind == YOKE_ACTION_F) {
        if (part > 0) needs[n++] = (yki_need){part - 1, false};
        return n;
    }
    if (kind == YOKE_ACTION_W) {
        needs[n++] = (yki_need){part, true};
        return n;
    }
    needs[n++] = (yki_need){part, false};
    if (part + 1 < schedule->parts.nparts) needs[n++] = (yki_need){part + 1, true};
    return n;
}

yoke_status yki_walk_init(yki_walk *walk, const yoke_schedule *schedule)
{
    size_t nstages = (size_t)schedule->parts.nstages;
    size_t slots = yki_schedule_slot(schedule, schedule->parts.nparts, 0);
    *walk = (yki_walk){.schedule = schedule};
    walk->position = calloc(3 * nstages, sizeof *walk->position);
    walk->done[0] = calloc(2 * slots, 1);
    if (!walk->position || !walk->done[0]) {
        yki_walk_release(walk);
        return yki_fail_memory("following a schedule");
    }
    walk->ready = walk->position + nstages;
    walk->is_waiting = walk->ready + nstages;
    walk->done[1] = walk->done[0] + slots;
    for (int s = schedule->parts.nstages - 1; s >= 0; s--) walk->ready[walk->nready++] = s;
    for (int s = 0; s < schedule->parts.nstages; s++) walk->left += schedule->filled[s];
    return YOKE_OK;
}

bool yki_walk_missing(const yki_walk *walk, int stage, yki_need *need_out)
{
    const yoke_schedule *schedule = walk->schedule;
    yoke_action action = schedule->actions[schedule->first_action[stage] + walk->position[stage]];
    yki_need needs[2];
    int n = yki_action_needs(schedule, yki_schedule_part(schedule, stage, action), action.kind, needs);
    for (int i = 0; i < n; i++)
        if (!walk->done[needs[i].is_backward]
                       [yki_schedule_slot(schedule, needs[i].part, action.microbatch)]) {
            *need_out = needs[i];
            return true;
        }
    return false;
}

/* Whether all that yki_action_needs says is done, of an action with its slot: it is asked once or twice of
 * each action there is. */
static inline bool may_run(const yki_walk *walk, yoke_action action, int part, size_t slot)
{
    size_t next = (size_t)walk->schedule->microbatches; /* part */
    const uint8_t *forward = walk->done[0] + slot, *backward = walk->done[1] + slot;
    if (action.kind == YOKE_ACTION_F) return part == 0 || *(forward - next);
    if (action.kind == YOKE_ACTION_W) return *backward;
    return *forward && (part + 1 == walk->schedule->parts.nparts || backward[next]);
}

/* Notes an action as done and wakes the stage of the part it hands its result to. */
static inline void finish(yki_walk *walk, yoke_action action, int part, size_t slot)
{
    if (action.kind == YOKE_ACTION_W) return;
    const yoke_schedule *schedule = walk->schedule;
    bool is_backward = action.kind != YOKE_ACTION_F;
    walk->done[is_backward][slot] = 1;
    int to = is_backward ? part - 1 : part + 1;
    if (to < 0 || to >= schedule->parts.nparts) return;
    int stage = schedule->parts.stage_of[to];
    if (walk->is_waiting[stage]) {
        walk->is_waiting[stage] = 0;
        walk->ready[walk->nready++] =
            stage; /* at most once a stage: it is in `ready` or waiting, never both */
    }
}

bool yki_walk_next(yki_walk *walk, int *stage_out, int *index_out)
{
    const yoke_schedule *schedule = walk->schedule;
    while (walk->nready > 0) {
        int stage = walk->ready[walk->nready - 1], index = walk->position[stage];
        if (index == schedule->filled[stage]) {
            walk->nready--;
            continue;
        }
        yoke_action action = schedule->actions[schedule->first_action[stage] + index];
        int part = yki_schedule_part(schedule, stage, action);
        size_t slot = yki_schedule_slot(schedule, part, action.microbatch);
        if (may_run(walk, action, part, slot)) {
            walk->position[stage]++;
            walk->left--;
            finish(walk, action, part, slot);
            *stage_out = stage;
            *index_out = index;
            return true;
        }
        walk->is_waiting[stage] = 1;
        walk->nready--;
    }
    return false;
}

void yki_walk_release(yki_walk *walk)
{
    free(walk->position);
    free(walk->done[0]);
    *walk = (yki_walk){0};
}
