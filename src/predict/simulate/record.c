/* What one device of each class did in a simulated step, as a run tells it of its own
 * (yoke_trainer_timeline). */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "predict/simulate/simulate.h"

enum { CLASSES_MOST = 16, MOST_TOLD = 1000 };

/* Of many classes one of each stage is told, that which computes longest. */
static bool choose(yki_record *record, const yki_works *works)
{
    const yki_classes *classes = works->classes;
    int *longest = malloc(sizeof *longest * (size_t)works->plan->parts.nstages);
    record->open = malloc(sizeof *record->open * (size_t)classes->count);
    for (int s = 0; longest && s < works->plan->parts.nstages; s++) longest[s] = -1;
    for (int c = 0; longest && record->open && c < classes->count; c++) {
        int *most = &longest[yki_plan_program(works->plan, classes->list[c].first)->stage];
        double own = works->busy[c].bodies * classes->list[c].slower;
        if (*most < 0 || own > works->busy[*most].bodies * classes->list[*most].slower) *most = c;
    }
    for (int c = 0; longest && record->open && c < classes->count; c++) {
        int stage = yki_plan_program(works->plan, classes->list[c].first)->stage;
        record->open[c] =
            classes->count <= CLASSES_MOST || longest[stage] == c ? YKI_RECORD_NOTHING : YKI_RECORD_LEFT_OUT;
    }
    bool made = longest && record->open;
    free(longest);
    return made;
}

bool yki_record_begin(yki_record *record, const yki_works *works)
{
    *record = (yki_record){.works = works};
    return choose(record, works);
}

static yoke_ran *add(yki_record *record, int class)
{
    if (record->count == record->room) {
        int room = record->room * 2 + 256;
        yoke_ran *more = realloc(record->ran, sizeof *more * (size_t)room);
        if (!more) {
            record->failed = true;
            return NULL;
        }
        record->ran = more, record->room = room;
    }
    const yki_plan *plan = record->works->plan;
    int rank = record->works->classes->list[class].first, place[YKI_AXIS_COUNT];
    yki_mesh_place(&plan->mesh, rank, place);
    yoke_ran *ran = &record->ran[record->count++];
    *ran = (yoke_ran){
        .rank = rank, .device = rank, .stage = place[YKI_AXIS_PP], .dp = place[YKI_AXIS_DP], .part = -1};
    return ran;
}

void yki_record_turn(yki_record *record, int class, int action, double now)
{
    static const yoke_ran_kind ends[] = {YOKE_RAN_REDUCE, YOKE_RAN_UPDATE};
    if (!record || record->open[class] == YKI_RECORD_LEFT_OUT) return;
    if (record->open[class] >= 0) record->ran[record->open[class]].end = now;
    const yki_plan *plan = record->works->plan;
    const yki_program *program = yki_plan_program(plan, record->works->classes->list[class].first);
    int end = action - program->nactions;
    record->open[class] = YKI_RECORD_NOTHING;
    yoke_ran *ran = end < (int)(sizeof ends / sizeof *ends) ? add(record, class) : NULL;
    if (!ran) return;
    ran->start = ran->end = now;
    record->open[class] = record->count - 1;
    if (end >= 0) {
        ran->kind = ends[end];
        return;
    }
    int64_t first;
    ran->kind = YOKE_RAN_ACTION;
    ran->action = program->actions[action];
    ran->part = program->parts[ran->action.chunk].part;
    ran->samples = yki_plan_samples(plan, plan->options.batch, ran->dp, ran->action.microbatch, &first);
}

void yki_record_wait(yki_record *record, int class, double from, double now)
{
    int open = record && now > from ? record->open[class] : YKI_RECORD_NOTHING;
    yoke_ran *ran = open >= 0 ? add(record, class) : NULL;
    if (!ran) return;
    const yoke_ran *within = &record->ran[open];
    *ran = *within;
    ran->kind = YOKE_RAN_MOVEMENT;
    ran->start = from;
    ran->end = now;
}

static int by_start(const void *a, const void *b)
{
    const yoke_ran *x = a, *y = b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    return x->device != y->device ? x->device - y->device : (int)x->kind - (int)y->kind;
}

yoke_ran *yki_record_end(yki_record *record, double seconds, int *count_out)
{
    yoke_ran *ran = record->ran;
    int kept = 0;
    for (int i = 0; i < record->count; i++)
        if (ran[i].kind != YOKE_RAN_MOVEMENT || ran[i].end - ran[i].start >= seconds / MOST_TOLD)
            ran[kept++] = ran[i];
    if (kept > 0) qsort(ran, (size_t)kept, sizeof *ran, by_start);
    free(record->open);
    *record = (yki_record){0};
    *count_out = kept;
    return ran;
}
