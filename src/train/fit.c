/* What would fit: other layouts of the same job, tried by planning each, cheapest first: no more devices than
 * asked for before more, fewer micro-batches before more. Recomputing attention's core costs about what four
 * times the micro-batches cost, recomputing all of it (a third more arithmetic) more than any of them. Zero's
 * first two stages move what plain data parallelism moves, the third half as much again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

typedef struct candidate {
    int dp, tp, pp, microbatches, zero, cost;
    yoke_recompute recompute;
} candidate;

static int by_cost(const void *a, const void *b)
{
    return ((const candidate *)a)->cost - ((const candidate *)b)->cost;
}

static bool fits(const yki_plan_options *options, const candidate *c, yoke_layout *layout_out)
{
    yki_plan_options other = *options;
    yoke_layout *layout = &other.layout;
    layout->dp = c->dp, layout->tp = c->tp, layout->pp = c->pp, layout->microbatches = c->microbatches;
    layout->zero = c->zero;
    if (c->dp != options->layout.dp) layout->dp_shard = layout->dp_replicate = 0;
    layout->ndevices = layout->nrecompute = 0;
    layout->recompute = c->recompute;
    if (c->pp == 1 || strchr(layout->schedule, '.') || strchr(layout->schedule, '/'))
        snprintf(layout->schedule, sizeof layout->schedule, "1f1b");
    layout->chunks = 1;
    yki_plan *plan;
    if (yki_plan_create(&other, &plan) != YOKE_OK) return false;
    *layout_out = *layout;
    yki_plan_destroy(plan);
    return true;
}

/* Every layout of up to eight devices that the batch and the model allow, with each kind of recomputation
 * and, over data-parallel ranks, the job's stage of zero and those above it. */
static int list_candidates(const yki_plan_options *options, candidate *list, int most)
{
    static const int degrees[] = {1, 2, 3, 4, 6, 8}, parts[] = {1, 2, 4, 8, 16}, costs[] = {0, 3, 9},
                     zeros[] = {0, 1, 1, 4};
    int count = 0, asked = yki_mesh_of(&options->layout).nranks;
    bool placed = false, attends = false;
    for (int i = 0; i < options->model->nlayers; i++)
        placed |= options->model->layers[i].device >= 0 && !options->one_part;
    for (int i = 0; i < options->model->nnodes; i++) attends |= yki_op(options->model->nodes[i].op)->attends;
    for (int at = 0; at < 6 * 6 * 6 * 5 * 3 * 4 && count < most; at++) {
        int m = at % 5, kind = at / 5 % 3, zero = at / 15 % 4, dp = degrees[at / 60 % 6],
            tp = degrees[at / 360 % 6], pp = degrees[at / 2160], n = dp * tp * pp;
        if (n > 8 || (dp == 1 ? zero > 0 : zero < options->layout.zero) ||
            (int64_t)dp * parts[m] > options->batch || (placed && (tp > 1 || pp > 1)) ||
            (kind == YOKE_RECOMPUTE_SELECTIVE && !attends))
            continue;
        int more = n > asked ? 64 * n : n < asked ? 2 * (asked - n) : 0; /* idle devices before new ones */
        list[count++] =
            (candidate){.dp = dp,
                        .tp = tp,
                        .pp = pp,
                        .microbatches = parts[m],
                        .zero = zero,
                        .recompute = (yoke_recompute)kind,
                        .cost = more + 4 * (pp - 1) + 8 * (tp - 1) + 2 * m + costs[kind] + zeros[zero]};
    }
    return count;
}

/* Whether one that fits, and costs less, differs from `c` in one thing alone: in the micro-batches, or in how
 * much is recomputed or dealt out. */
static bool is_needless(const candidate *c, candidate *const *fitting, int count)
{
    for (int i = 0; i < count; i++) {
        const candidate *f = fitting[i];
        bool same_mesh = f->dp == c->dp && f->tp == c->tp && f->pp == c->pp;
        bool same_states = f->zero == c->zero && f->recompute == c->recompute;
        if (same_mesh && (same_states || f->microbatches == c->microbatches)) return true;
    }
    return false;
}

void yki_suggest_fits(const yki_plan_options *options)
{
    enum { MOST = 2048, TRIES = 1000, WANTED = 5 };
    yoke_error error = *yoke_error_get();
    candidate *list = malloc(sizeof *list * MOST), *fitting[WANTED];
    int count = list ? list_candidates(options, list, MOST) : 0, tries = 0;
    if (list) qsort(list, (size_t)count, sizeof *list, by_cost);
    for (int i = 0; i < count && tries < TRIES && error.nwould_fit < WANTED; i++) {
        yoke_layout layout;
        if (is_needless(&list[i], fitting, error.nwould_fit)) continue;
        tries++;
        if (!fits(options, &list[i], &layout)) continue;
        fitting[error.nwould_fit] = &list[i];
        yoke_layout_flags(&layout, error.would_fit[error.nwould_fit++], sizeof error.would_fit[0]);
    }
    free(list);
    yki_error_set(&error);
}
