/* The table of schedule families, and making a schedule by name. A new family is a file and a row. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "schedule/schedule.h"

static const yki_schedule_family *const families[] = {
    &yki_schedule_gpipe, &yki_schedule_1f1b,  &yki_schedule_interleaved,
    &yki_schedule_zb_h1, &yki_schedule_zb_h2, &yki_schedule_zb_v,
};
enum { NFAMILIES = sizeof families / sizeof families[0] };

const yki_schedule_family *yki_schedule_family_get(int index)
{
    return index >= 0 && index < NFAMILIES ? families[index] : NULL;
}

const char *yoke_schedule_name(int index, const char **description_out)
{
    const yki_schedule_family *family = yki_schedule_family_get(index);
    if (description_out) *description_out = family ? family->description : NULL;
    return family ? family->name : NULL;
}

static yoke_status find_family(const yki_schedule_family **family_out, const char *name)
{
    char known[256] = "";
    for (int i = 0; i < NFAMILIES; i++) {
        if (strcmp(families[i]->name, name) == 0) {
            *family_out = families[i];
            return YOKE_OK;
        }
        if (i > 0) strcat(known, i + 1 < NFAMILIES ? ", " : " and ");
        strcat(known, families[i]->name);
    }
    return yki_fail(YOKE_INVALID, "there is no schedule \"%.64s\"; the schedules are %s", name, known);
}

static int shape_stage(yki_shape shape, int stages, int part)
{
    int stage = part % stages;
    return shape == YKI_SHAPE_VEE && part / stages % 2 ? stages - 1 - stage : stage;
}

/* Whether `parts` is what yoke_schedule_create would lay out for the family. */
static bool fits_family(const yki_schedule_family *family, const yoke_parts *parts)
{
    int chunks = parts->nparts / parts->nstages;
    if (parts->nparts % parts->nstages || chunks < family->min_chunks ||
        (family->max_chunks && chunks > family->max_chunks))
        return false;
    for (int c = 0; c < parts->nparts; c++)
        if (parts->stage_of[c] != shape_stage(family->shape, parts->nstages, c) ||
            parts->chunk_of[c] != c / parts->nstages)
            return false;
    return true;
}

static yoke_status refuse_map(const yki_schedule_family *family, const yoke_parts *parts)
{
    const char *needed = family->shape == YKI_SHAPE_VEE ? "two parts a stage, in the shape of a V"
                         : family->max_chunks == 1      ? "one part a stage, in the order of the stages"
                                                        : "as many parts on each stage, dealt out in turn";
    return yki_fail(
        YOKE_INVALID,
        "%s needs %s, which the %d parts of the model on %d stages are not; gpipe and 1f1b run over any "
        "placement",
        family->name, needed, parts->nparts, parts->nstages);
}

static yoke_status create(yoke_schedule **schedule_out, const yki_schedule_family *family,
                          const yoke_parts *parts, int microbatches)
{
    YKI_TRY(yki_parts_check(parts, microbatches));
    if (!family->any_map && !fits_family(family, parts)) return refuse_map(family, parts);
    if (family->require) YKI_TRY(family->require(parts, microbatches));
    int *counts = calloc((size_t)parts->nstages, sizeof *counts);
    if (!counts) return yki_fail_memory("a schedule");
    for (int c = 0; c < parts->nparts; c++)
        counts[parts->stage_of[c]] += family->actions_a_pass * microbatches;
    yoke_schedule *schedule = NULL;
    yoke_status status = yki_schedule_new(&schedule, parts, microbatches, counts, "");
    free(counts);
    if (status == YOKE_OK) status = family->generate(schedule);
    for (int s = 0; status == YOKE_OK && s < parts->nstages; s++)
        assert(schedule->filled[s] == schedule->first_action[s + 1] - schedule->first_action[s]);
    if (status == YOKE_OK)
        *schedule_out = schedule;
    else
        yoke_schedule_destroy(schedule);
    return status;
}

yoke_status yoke_schedule_create_over(yoke_schedule **schedule_out, const char *name, const yoke_parts *parts,
                                      int microbatches)
{
    YKI_NEED(schedule_out, name, parts);
    const yki_schedule_family *family;
    YKI_TRY(find_family(&family, name));
    return create(schedule_out, family, parts, microbatches);
}

yoke_status yoke_schedule_create(yoke_schedule **schedule_out, const char *name, int stages, int microbatches,
                                 int chunks)
{
    YKI_NEED(schedule_out, name);
    const yki_schedule_family *family;
    YKI_TRY(find_family(&family, name));
    if (stages < 1) return yki_fail(YOKE_INVALID, "a schedule needs at least 1 stage, not %d", stages);
    if (chunks < 1) return yki_fail(YOKE_INVALID, "a stage needs at least 1 chunk, not %d", chunks);
    if (family->max_chunks && chunks > family->max_chunks)
        return yki_fail(YOKE_INVALID, "%s runs %d chunk%s a stage, not %d", name, family->max_chunks,
                        family->max_chunks == 1 ? "" : "s", chunks);
    if (chunks < family->min_chunks) /* 1 is what callers say who were told nothing of chunks */
        chunks = family->min_chunks;
    if (chunks > INT16_MAX || stages > YKI_SCHEDULE_MAX_ACTIONS / chunks)
        return yki_fail(YOKE_INVALID, "%d stages of %d chunks are more than a schedule can hold", stages,
                        chunks);
    int nparts = stages * chunks;
    int *map = malloc(2 * (size_t)nparts * sizeof *map);
    if (!map) return yki_fail_memory("the parts of a schedule");
    for (int c = 0; c < nparts; c++) {
        map[c] = shape_stage(family->shape, stages, c);
        map[nparts + c] = c / stages;
    }
    yoke_parts parts = {stages, nparts, map, map + nparts};
    yoke_status status = create(schedule_out, family, &parts, microbatches);
    free(map);
    return status;
}
