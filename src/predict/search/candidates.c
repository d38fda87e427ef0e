/* What there is to choose from: every way to deal out devices, and on each mesh every value of every axis. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "predict/search/search.h"

const yki_tried_schedule yki_tried_schedules[] = {
    {"1f1b", 1, false, false, 1},        {"gpipe", 1, false, false, 0},
    {"interleaved", 2, false, false, 1}, {"interleaved", 4, false, false, 1},
    {"zb-h1", 1, true, false, 1},        {"zb-h2", 1, true, false, 1},
    {"zb-v", 1, true, true, -1},         {0},
};

enum { MICROBATCHES = 1024 /* at most */ };

/* --- axes: the k-th value that a candidate may take, in *c; false: there are no more --- */

/* For each size that the largest micro-batch may have, the fewest: more would be smaller for nothing. */
static bool more_microbatches(const yki_listing *l, yki_candidate *c, int k)
{
    int64_t batch = l->options->batch, share = yki_share(batch, c->dp, 0), largest = share;
    if (k > 0) largest = (share + c->microbatches - 1) / c->microbatches - 1;
    if (largest == 0) return false;
    int64_t count = (share + largest - 1) / largest;
    c->microbatches = (int)count;
    return count <= batch / c->dp && count <= MICROBATCHES;
}

static bool fits_schedule(const yki_listing *l, const yki_candidate *c, const yki_tried_schedule *s)
{
    int chunks = s->returns ? 2 : s->chunks;
    return c->pp * chunks <= l->units && (s->chunks == 1 || c->microbatches % c->pp == 0);
}

static bool more_schedules(const yki_listing *l, yki_candidate *c, int k)
{
    if (k > 0 && c->pp == 1) return false;
    for (int i = k == 0 ? 0 : c->schedule + 1; yki_tried_schedules[i].name; i++)
        if (c->pp == 1 || fits_schedule(l, c, &yki_tried_schedules[i])) {
            c->schedule = (int8_t)i;
            return true;
        }
    return false;
}

static bool more_recompute(const yki_listing *l, yki_candidate *c, int k)
{
    static const int8_t kinds[] = {YOKE_RECOMPUTE_NONE, YOKE_RECOMPUTE_FULL, YOKE_RECOMPUTE_SELECTIVE};
    if (k >= 2 + l->attends) return false;
    c->recompute = kinds[k];
    return true;
}

static bool more_sp(const yki_listing *l, yki_candidate *c, int k)
{
    c->sp = k == 1;
    return k == 0 || (k == 1 && c->tp > 1 && l->options->model->is_sequence);
}

static bool more_cp_kinds(const yki_listing *l, yki_candidate *c, int k)
{
    (void)l;
    c->cp_kind = (int8_t)k;
    return k == 0 || (k == 1 && c->cp > 1);
}

static bool more_zero(const yki_listing *l, yki_candidate *c, int k)
{
    (void)l;
    c->zero = (int8_t)k;
    return k == 0 || (k <= 3 && c->dp > 1);
}

/* Over all replicas, or over those that are together in a group of one of the machine's levels. */
static bool more_shards(const yki_listing *l, yki_candidate *c, int k)
{
    int64_t devices = 1;
    int last = c->shard, lane = c->tp * c->cp;
    c->shard = 0;
    if (k == 0) return true;
    for (int i = 0; i < l->machine->nlevels && c->zero > 0 && !l->placed; i++) {
        devices *= l->machine->levels[i].count;
        int64_t together = devices / lane;
        if (devices % lane != 0 || together <= (last > 1 ? last : 1) || together >= c->dp ||
            c->dp % together != 0)
            continue;
        c->shard = (int)together;
        return true;
    }
    return false;
}

/* The order is that of the search's loops: what a program's shapes depend on comes first. */
static bool (*const axes[])(const yki_listing *listing, yki_candidate *candidate, int k) = {
    more_microbatches, more_schedules, more_recompute, more_sp, more_cp_kinds, more_zero, more_shards,
};
enum { AXES = sizeof axes / sizeof *axes };

/* --- lists --- */

yoke_status yki_candidate_add(yki_candidates *found, const yki_candidate *one)
{
    if (found->count == found->room) {
        int64_t room = found->room ? 2 * found->room : 256;
        yki_candidate *list = realloc(found->list, sizeof *list * (size_t)room);
        if (!list) return yki_fail_memory("layouts");
        found->list = list, found->room = room;
    }
    found->list[found->count++] = *one;
    return YOKE_OK;
}

/* Goes through all values of the axes from `axis` on; found NULL: counts alone. */
static yoke_status go_through(const yki_listing *l, int axis, yki_candidate one, yki_candidates *found,
                              int64_t *count)
{
    if (axis == AXES) {
        ++*count;
        return found ? yki_candidate_add(found, &one) : YOKE_OK;
    }
    for (int k = 0; axes[axis](l, &one, k); k++) YKI_TRY(go_through(l, axis + 1, one, found, count));
    return YOKE_OK;
}

yoke_status yki_candidates_of(const yki_listing *listing, const yki_candidate *mesh, yki_candidates *found)
{
    int64_t count = 0;
    return go_through(listing, 0, *mesh, found, &count);
}

int64_t yki_candidates_count(const yki_listing *listing, const yki_candidate *mesh)
{
    int64_t schedules = 0, kinds = 0;
    yki_candidate one = *mesh;
    for (int m = 0; more_microbatches(listing, &one, m); m++)
        for (int k = 0; more_schedules(listing, &one, k); k++) schedules++;
    go_through(listing, 2, one, NULL, &kinds); /* what else there is depends on neither */
    return schedules * kinds;
}

yki_listing yki_listing_of(const yki_plan_options *options, const yoke_machine *machine, int units)
{
    const yoke_layout single = YOKE_LAYOUT_DEFAULT;
    yki_listing l = {.options = options, .machine = machine, .units = units};
    const yoke_model *model = options->model;
    for (int i = 0; i < model->nnodes; i++) l.attends |= yki_op(model->nodes[i].op)->attends;
    l.each = yki_plan_ranks(model, &single, options->one_part);
    l.placed = l.each > 1;
    return l;
}

yoke_status yki_candidates_over(const yki_listing *l, int devices, yki_candidates *found)
{
    if (devices % l->each) return YOKE_OK;
    int n = devices / l->each, stages = l->placed ? 1 : l->units;
    for (int pp = 1; pp <= n && pp <= stages; pp++)
        for (int tp = 1; n % pp == 0 && tp <= (l->placed ? 1 : n / pp); tp++)
            for (int cp = 1; n / pp % tp == 0 && cp <= (l->attends && !l->placed ? n / pp / tp : 1); cp++) {
                if (n / pp / tp % cp) continue;
                yki_candidate one = {.dp = n / pp / tp / cp, .tp = tp, .cp = cp, .pp = pp, .microbatches = 1};
                if (one.dp <= l->options->batch) YKI_TRY(yki_candidate_add(found, &one));
            }
    return YOKE_OK;
}

yoke_layout yki_candidate_layout(const yki_candidate *c, const yoke_layout *like)
{
    const yki_tried_schedule *schedule = &yki_tried_schedules[c->schedule];
    yoke_layout layout = *like;
    layout.dp = c->dp, layout.tp = c->tp, layout.cp = c->cp, layout.pp = c->pp;
    layout.microbatches = c->microbatches, layout.zero = c->zero, layout.sp = c->sp;
    layout.chunks = schedule->chunks;
    snprintf(layout.schedule, sizeof layout.schedule, "%s", schedule->name);
    layout.recompute = (yoke_recompute)c->recompute;
    layout.cp_kind = (yoke_cp_kind)c->cp_kind;
    layout.nrecompute = 0, layout.recompute_of = NULL;
    layout.ndevices = 0, layout.devices = NULL;
    layout.dp_shard = c->shard, layout.dp_replicate = 0;
    return layout;
}
