/* The proof that a schedule runs. First each stage's list is complete: every part runs every micro-batch
 * forward once and backward once. Then the lists are walked; a walk that stops early has found stages that
 * wait for each other, or one that waits for what comes later in its own list, and the sentence says which.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "schedule/walk.h"

enum { MAX_NAMED_STAGES = 6 }; /* of a circle; more would not fit the sentence */

/* Which kinds (bit 1 << kind) of each part and micro-batch are in the lists. */
typedef uint8_t seen_bits;
enum { F = 1 << YOKE_ACTION_F, B = 1 << YOKE_ACTION_B, W = 1 << YOKE_ACTION_W, BW = 1 << YOKE_ACTION_BW };

static yoke_status note_actions(const yoke_schedule *schedule, int stage, seen_bits *seen)
{
    char text[YKI_ACTION_TEXT];
    int count;
    const yoke_action *actions = yoke_schedule_actions(schedule, stage, &count);
    for (int k = 0; k < count; k++) {
        int part = yki_schedule_part(schedule, stage, actions[k]);
        seen_bits *bits = &seen[yki_schedule_slot(schedule, part, actions[k].microbatch)];
        int bit = 1 << actions[k].kind, others = bit == BW ? B | W : bit == F ? 0 : BW;
        if (*bits & bit)
            return yki_fail_at(YOKE_INVALID, schedule->file, schedule->line_of[stage], "",
                               "stage %d: %s appears twice", stage, yki_action_print(text, actions[k]));
        if (*bits & others) {
            char other[YKI_ACTION_TEXT];
            yoke_action twin = actions[k];
            twin.kind = bit != BW ? YOKE_ACTION_BW : *bits & B ? YOKE_ACTION_B : YOKE_ACTION_W;
            return yki_fail_at(
                YOKE_INVALID, schedule->file, schedule->line_of[stage], "",
                "stage %d: %s appears beside %s; a micro-batch runs backward as BW, or as B and W", stage,
                yki_action_print(text, actions[k]), yki_action_print(other, twin));
        }
        *bits |= (seen_bits)bit;
    }
    return YOKE_OK;
}

/* The kind that is missing, or -1. A stage that runs nothing split is told of BW. */
static int missing_kind(seen_bits bits, bool splits)
{
    if (!(bits & F)) return YOKE_ACTION_F;
    if (bits & BW) return -1;
    if (!(bits & B)) return bits & W || splits ? YOKE_ACTION_B : YOKE_ACTION_BW;
    return bits & W ? -1 : YOKE_ACTION_W;
}

static yoke_status find_missing(const yoke_schedule *schedule, int stage, const seen_bits *seen)
{
    bool splits = false;
    int count;
    const yoke_action *actions = yoke_schedule_actions(schedule, stage, &count);
    for (int k = 0; k < count && !splits; k++)
        splits = actions[k].kind == YOKE_ACTION_B || actions[k].kind == YOKE_ACTION_W;
    for (int chunk = 0; chunk < yki_schedule_chunks(schedule, stage); chunk++)
        for (int m = 0; m < schedule->microbatches; m++) {
            int part = schedule->part_at[schedule->first_part[stage] + chunk];
            int kind = missing_kind(seen[yki_schedule_slot(schedule, part, m)], splits);
            if (kind < 0) continue;
            char text[YKI_ACTION_TEXT];
            yki_action_print(text, (yoke_action){(uint8_t)kind, (int16_t)chunk, m});
            return yki_fail_at(YOKE_INVALID, schedule->file, schedule->line_of[stage], "",
                               "stage %d: %s is missing", stage, text);
        }
    return YOKE_OK;
}

/* What a stage of a stopped walk waits for: at which action, for which action of which stage. */
typedef struct waiting {
    char at[YKI_ACTION_TEXT], on[YKI_ACTION_TEXT];
    int stage;
} waiting;

static waiting find_wait(const yki_walk *walk, int stage, const seen_bits *seen)
{
    const yoke_schedule *schedule = walk->schedule;
    yoke_action at = schedule->actions[schedule->first_action[stage] + walk->position[stage]];
    yki_need need = {0};
    yki_walk_missing(walk, stage, &need);
    int kind = !need.is_backward                                                  ? YOKE_ACTION_F
               : seen[yki_schedule_slot(schedule, need.part, at.microbatch)] & BW ? YOKE_ACTION_BW
                                                                                  : YOKE_ACTION_B;
    waiting result = {.stage = schedule->parts.stage_of[need.part]};
    yki_action_print(result.at, at);
    yki_action_print(
        result.on, (yoke_action){(uint8_t)kind, (int16_t)schedule->parts.chunk_of[need.part], at.microbatch});
    return result;
}

/* A stage that is on a circle of waiting stages: the lowest of the circle that the lowest waiting stage leads
 * to. */
static int find_circle(const yki_walk *walk, const seen_bits *seen, int *length_out)
{
    const yoke_schedule *schedule = walk->schedule;
    int stage = 0;
    while (walk->position[stage] == schedule->filled[stage]) stage++;
    for (int k = 0; k < schedule->parts.nstages; k++) stage = find_wait(walk, stage, seen).stage;
    int lowest = stage, length = 1;
    for (int s = find_wait(walk, stage, seen).stage; s != stage; s = find_wait(walk, s, seen).stage) {
        lowest = s < lowest ? s : lowest;
        length++;
    }
    *length_out = length;
    return lowest;
}

static yoke_status refuse_deadlock(const yki_walk *walk, const seen_bits *seen)
{
    const yoke_schedule *schedule = walk->schedule;
    int length, stage = find_circle(walk, seen, &length), line = schedule->line_of[stage];
    waiting first = find_wait(walk, stage, seen);
    if (length == 1)
        return yki_fail_at(YOKE_INVALID, schedule->file, line, "",
                           "stage %d: %s comes before %s, which it needs", stage, first.at, first.on);
    char others[768] = "";
    int used = 0, named = 1;
    for (int s = first.stage; s != stage && named < MAX_NAMED_STAGES; named++) {
        waiting next = find_wait(walk, s, seen);
        used += snprintf(others + used, sizeof others - (size_t)used,
                         ", which waits at %s for %s of stage %d", next.at, next.on, next.stage);
        s = next.stage;
    }
    if (named < length)
        snprintf(others + used, sizeof others - (size_t)used, ", and so on around %d stages", length);
    return yki_fail_at(YOKE_INVALID, schedule->file, line, "",
                       "stage %d would wait forever at %s: it needs %s of stage %d%s", stage, first.at,
                       first.on, first.stage, others);
}

yoke_status yoke_schedule_check(const yoke_schedule *schedule)
{
    YKI_NEED(schedule);
    seen_bits *seen = calloc(yki_schedule_slot(schedule, schedule->parts.nparts, 0), sizeof *seen);
    if (!seen) return yki_fail_memory("checking a schedule");
    yoke_status status = YOKE_OK;
    for (int s = 0; s < schedule->parts.nstages && status == YOKE_OK; s++) {
        status = note_actions(schedule, s, seen);
        if (status == YOKE_OK) status = find_missing(schedule, s, seen);
    }
    yki_walk walk = {0};
    if (status == YOKE_OK) status = yki_walk_init(&walk, schedule);
    if (status == YOKE_OK) {
        int stage, index;
        while (yki_walk_next(&walk, &stage, &index)) continue;
        if (walk.left > 0) status = refuse_deadlock(&walk, seen);
        yki_walk_release(&walk);
    }
    free(seen);
    return status;
}
