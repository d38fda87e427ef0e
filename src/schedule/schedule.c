/* Storage of schedules: parts, and one array of actions cut into a list per stage. */
#include "schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

static yoke_status check_numbers(const yoke_parts *parts, int microbatches)
{
    if (microbatches < 1)
        return yki_fail(YOKE_INVALID, "a schedule needs at least 1 micro-batch, not %d", microbatches);
    if (parts->nstages < 1)
        return yki_fail(YOKE_INVALID, "a schedule needs at least 1 stage, not %d", parts->nstages);
    if (parts->nparts < parts->nstages)
        return yki_fail(YOKE_INVALID, "%d stages need at least %d parts of the model, not %d", parts->nstages,
                        parts->nstages, parts->nparts);
    if (parts->nparts > YKI_SCHEDULE_MAX_ACTIONS / 3 / microbatches)
        return yki_fail(YOKE_INVALID,
                        "%d parts times %d micro-batches are more than the %d that a schedule can hold",
                        parts->nparts, microbatches, YKI_SCHEDULE_MAX_ACTIONS / 3);
    return YOKE_OK;
}

static yoke_status check_map(const yoke_parts *parts, int *chunks, int *part_at)
{
    for (int c = 0; c < parts->nparts; c++) {
        int stage = parts->stage_of[c];
        if (stage < 0 || stage >= parts->nstages)
            return yki_fail(YOKE_INVALID, "part %d is placed on stage %d, but stages are 0 to %d", c, stage,
                            parts->nstages - 1);
        if (++chunks[stage] > INT16_MAX)
            return yki_fail(YOKE_INVALID, "stage %d has more than %d chunks", stage, INT16_MAX);
    }
    for (int s = 0, first = 0; s < parts->nstages; s++) {
        if (chunks[s] == 0) return yki_fail(YOKE_INVALID, "stage %d has no part of the model", s);
        int count = chunks[s];
        chunks[s] = first; /* from here on: where the stage begins in part_at */
        first += count;
    }
    for (int c = 0; c < parts->nparts; c++) {
        int stage = parts->stage_of[c], chunk = parts->chunk_of[c];
        int end = stage + 1 < parts->nstages ? chunks[stage + 1] : parts->nparts;
        if (chunk < 0 || chunk >= end - chunks[stage] || part_at[chunks[stage] + chunk])
            return yki_fail(
                YOKE_INVALID,
                "part %d is chunk %d of stage %d, but the %d chunks of that stage must be 0 to %d, "
                "each once",
                c, chunk, stage, end - chunks[stage], end - chunks[stage] - 1);
        part_at[chunks[stage] + chunk] = 1;
    }
    return YOKE_OK;
}

yoke_status yki_parts_check(const yoke_parts *parts, int microbatches)
{
    YKI_TRY(check_numbers(parts, microbatches));
    YKI_NEED(parts->stage_of, parts->chunk_of);
    int *scratch = calloc((size_t)parts->nstages + (size_t)parts->nparts, sizeof *scratch);
    if (!scratch) return yki_fail_memory("the parts of a schedule");
    yoke_status status = check_map(parts, scratch, scratch + parts->nstages);
    free(scratch);
    return status;
}

/* Cuts one block of ints into the schedule's index arrays. */
static bool allocate_arrays(yoke_schedule *schedule, const yoke_parts *parts)
{
    size_t nstages = (size_t)parts->nstages, nparts = (size_t)parts->nparts;
    int *next = schedule->storage = calloc(3 * nparts + 4 * nstages + 2, sizeof *next);
    if (!next) return false;
    int *stage_of = next, *chunk_of = next + nparts;
    schedule->part_at = next + 2 * nparts;
    schedule->first_part = next + 3 * nparts;
    schedule->first_action = schedule->first_part + nstages + 1;
    schedule->filled = schedule->first_action + nstages + 1;
    schedule->line_of = schedule->filled + nstages;
    memcpy(stage_of, parts->stage_of, nparts * sizeof *stage_of);
    memcpy(chunk_of, parts->chunk_of, nparts * sizeof *chunk_of);
    schedule->parts = (yoke_parts){parts->nstages, parts->nparts, stage_of, chunk_of};
    return true;
}

yoke_status yki_schedule_new(yoke_schedule **schedule_out, const yoke_parts *parts, int microbatches,
                             const int *counts, const char *file)
{
    yoke_schedule *schedule = calloc(1, sizeof *schedule);
    if (!schedule || !allocate_arrays(schedule, parts)) goto no_memory;
    schedule->microbatches = microbatches;
    schedule->file = strdup(file);
    for (int c = 0; c < parts->nparts; c++) schedule->first_part[parts->stage_of[c] + 1]++;
    for (int s = 0; s < parts->nstages; s++) {
        schedule->first_part[s + 1] += schedule->first_part[s];
        schedule->first_action[s + 1] = schedule->first_action[s] + counts[s];
    }
    for (int c = 0; c < parts->nparts; c++)
        schedule->part_at[schedule->first_part[parts->stage_of[c]] + parts->chunk_of[c]] = c;
    size_t total = (size_t)schedule->first_action[parts->nstages];
    schedule->actions = calloc(total ? total : 1, sizeof *schedule->actions);
    if (!schedule->file || !schedule->actions) goto no_memory;
    *schedule_out = schedule;
    return YOKE_OK;
no_memory:
    yoke_schedule_destroy(schedule);
    return yki_fail_memory("a schedule");
}

void yki_schedule_add(yoke_schedule *schedule, int stage, yoke_action_kind kind, int chunk, int microbatch)
{
    int at = schedule->first_action[stage] + schedule->filled[stage]++;
    schedule->actions[at] = (yoke_action){(uint8_t)kind, (int16_t)chunk, microbatch};
}

void yoke_schedule_destroy(yoke_schedule *schedule)
{
    if (!schedule) return;
    free(schedule->storage);
    free(schedule->actions);
    free(schedule->file);
    free(schedule);
}

int yoke_schedule_stages(const yoke_schedule *schedule)
{
    if (!schedule) return 0;
    return schedule->parts.nstages;
}

int yoke_schedule_microbatches(const yoke_schedule *schedule)
{
    if (!schedule) return 0;
    return schedule->microbatches;
}

const yoke_parts *yoke_schedule_parts(const yoke_schedule *schedule)
{
    if (!schedule) return NULL;
    return &schedule->parts;
}

const yoke_action *yoke_schedule_actions(const yoke_schedule *schedule, int stage, int *count_out)
{
    if (count_out) *count_out = 0;
    if (!schedule || stage < 0 || stage >= yoke_schedule_stages(schedule)) return NULL;
    if (count_out) *count_out = schedule->filled[stage];
    return schedule->actions + schedule->first_action[stage];
}
