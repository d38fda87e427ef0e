/* What there is to choose from: every way to deal out devices, batch and pipeline that divides. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "predict/search/search.h"

/* Filling waits for the forward passes of the stages before; draining too where the backward pass is whole.
 * Where it is split, weights' gradients fill the drain. */
const yki_tried_schedule yki_tried_schedules[] = {
    {"1f1b", 1, 1},     {"interleaved", 2, 0.5}, {"interleaved", 4, 0.25},
    {"zb-h1", 1, 0.25}, {"zb-v", 1, 0.1},        {0},
};

typedef struct lister {
    const yki_plan_options *options;
    yki_candidates *found;
    bool attends, placed;
    int each; /* devices of a replica whose layers name them */
} lister;

static yoke_status add(lister *l, const yki_candidate *one)
{
    yki_candidates *found = l->found;
    if (found->count == found->room) {
        int room = found->room ? 2 * found->room : 256;
        yki_candidate *list = realloc(found->list, sizeof *list * (size_t)room);
        if (!list) return yki_fail_memory("layouts");
        found->list = list, found->room = room;
    }
    found->list[found->count++] = *one;
    return YOKE_OK;
}

/* With each way to keep states and activations. */
static yoke_status add_kinds(lister *l, yki_candidate one)
{
    for (int zero = 0; zero <= (one.dp > 1 ? 3 : 0); zero++)
        for (int recompute = YOKE_RECOMPUTE_NONE; recompute <= YOKE_RECOMPUTE_FULL; recompute++)
            for (int sp = 0; sp <= (one.tp > 1 && l->options->model->is_sequence); sp++) {
                if (recompute == YOKE_RECOMPUTE_SELECTIVE && !l->attends) continue;
                one.zero = (int8_t)zero, one.recompute = (int8_t)recompute, one.sp = sp;
                YKI_TRY(add(l, &one));
            }
    return YOKE_OK;
}

static yoke_status add_schedules(lister *l, yki_candidate one)
{
    for (int i = 0; yki_tried_schedules[i].name && (i == 0 || one.pp > 1); i++) {
        bool looped = yki_tried_schedules[i].chunks > 1;
        if (looped && one.microbatches % one.pp) continue;
        one.schedule = (int8_t)i;
        YKI_TRY(add_kinds(l, one));
    }
    return YOKE_OK;
}

static yoke_status add_mesh(lister *l, yki_candidate one)
{
    int64_t share = l->options->batch / one.dp;
    bool even = l->options->batch % one.dp == 0;
    enum { MOST = 1024 };
    for (int m = 1; m <= share && m <= MOST; m++) {
        if (m > 1 && (!even || share % m)) continue;
        one.microbatches = m;
        YKI_TRY(add_schedules(l, one));
    }
    return YOKE_OK;
}

yoke_status yki_candidates_over(const yki_plan_options *options, int devices, yki_candidates *found)
{
    const yoke_layout single = YOKE_LAYOUT_DEFAULT;
    lister l = {.options = options, .found = found};
    const yoke_model *model = options->model;
    for (int i = 0; i < model->nnodes; i++) l.attends |= yki_op(model->nodes[i].op)->attends;
    l.each = yki_plan_ranks(model, &single, options->one_part);
    l.placed = l.each > 1;
    if (devices % l.each) return YOKE_OK;
    int n = devices / l.each;
    for (int pp = 1; pp <= (l.placed ? 1 : n); pp++)
        for (int tp = 1; n % pp == 0 && tp <= (l.placed ? 1 : n / pp); tp++)
            for (int cp = 1; n / pp % tp == 0 && cp <= (l.attends && !l.placed ? n / pp / tp : 1); cp++) {
                if (n / pp / tp % cp) continue;
                yki_candidate one = {.dp = n / pp / tp / cp, .tp = tp, .cp = cp, .pp = pp};
                YKI_TRY(add_mesh(&l, one));
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
    layout.nrecompute = 0, layout.recompute_of = NULL;
    layout.ndevices = 0, layout.devices = NULL;
    layout.dp_shard = layout.dp_replicate = 0;
    return layout;
}
