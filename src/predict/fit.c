/* What would fit: other layouts of the same job, tried by planning each, cheapest first: no more devices than
 * asked for before more, fewer micro-batches before more. Recomputing attention's core costs about what four
 * times the micro-batches cost, recomputing all of it (a third more arithmetic) more than any of them. Zero's
 * first two stages move what plain data parallelism moves, the third half as much again. */
#include "predict/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "job/job.h"

enum { WANTED = 5 };

typedef struct candidate {
    int dp, tp, pp, microbatches, zero, cost;
    yoke_recompute recompute;
} candidate;

static int by_cost(const void *a, const void *b)
{
    return ((const candidate *)a)->cost - ((const candidate *)b)->cost;
}

/* What such a layout would be run with: a team's size is the workspace's too. In a cluster the same as asked
 * for. */
static int threads_of(const yki_plan_options *options, const yoke_layout *layout)
{
    if (layout->threads > 0 || yki_cluster_size() > 1) return options->threads;
    int threads = yki_backend_get("cpu")->count() / yki_plan_ranks(options->model, layout, options->one_part);
    return threads < 1 ? 1 : threads;
}

static yoke_status plan_for(const yki_plan_options *options, const candidate *c, yoke_layout *layout_out)
{
    yki_plan_options other = *options;
    yoke_layout *layout = &other.layout;
    layout->dp = c->dp, layout->tp = c->tp, layout->pp = c->pp, layout->microbatches = c->microbatches;
    layout->zero = c->zero;
    other.threads = threads_of(options, layout);
    if (c->dp != options->layout.dp) layout->dp_shard = layout->dp_replicate = 0;
    layout->ndevices = layout->nrecompute = 0;
    layout->devices = NULL;
    layout->recompute_of = NULL;
    layout->recompute = c->recompute;
    if (c->pp == 1 || strchr(layout->schedule, '.') || strchr(layout->schedule, '/'))
        snprintf(layout->schedule, sizeof layout->schedule, "1f1b");
    layout->chunks = 1;
    yki_plan *plan;
    YKI_TRY(yki_plan_create(&other, &plan));
    *layout_out = *layout;
    yki_plan_destroy(plan);
    return YOKE_OK;
}

typedef struct candidates {
    candidate *list;
    int count, room;
} candidates;

/* What layouts are listed for. */
typedef struct wanted {
    const yki_plan_options *options;
    int devices, more; /* and what as many cost beside those asked for */
    bool placed, attends;
} wanted;

/* Adds the layouts of a mesh that the batch and the model allow, with each kind of recomputation and, over
 * data-parallel ranks, the job's stage of zero and those above it. False: out of memory. */
static bool list_mesh(const wanted *w, int tp, int pp, candidates *found)
{
    static const int parts[] = {1, 2, 4, 8, 16}, costs[] = {0, 3, 9}, zeros[] = {0, 1, 1, 4};
    enum { PARTS = 5, KINDS = 3, ZEROS = 4 };
    int dp = w->devices / (tp * pp), room = found->count + PARTS * KINDS * ZEROS;
    if (w->placed && (tp > 1 || pp > 1)) return true;
    candidate *list = room <= found->room ? found->list : realloc(found->list, sizeof *list * (size_t)room);
    if (!list) return false;
    found->list = list;
    found->room = room > found->room ? room : found->room;
    for (int k = 0; k < PARTS * KINDS * ZEROS; k++) {
        int m = k % PARTS, kind = k / PARTS % KINDS, zero = k / (PARTS * KINDS);
        if ((dp == 1 ? zero > 0 : zero < w->options->layout.zero) ||
            (int64_t)dp * parts[m] > w->options->batch || (kind == YOKE_RECOMPUTE_SELECTIVE && !w->attends))
            continue;
        int cost = w->more + 4 * (pp - 1) + 8 * (tp - 1) + 2 * m + costs[kind] + zeros[zero];
        found->list[found->count++] = (candidate){dp, tp, pp, parts[m], zero, cost, (yoke_recompute)kind};
    }
    return true;
}

/* Adds every layout of n devices. More devices than `asked` cost much, idle ones little. False: out of
 * memory. */
static bool list_over(const yki_plan_options *options, int n, int asked, candidates *found)
{
    wanted w = {.options = options,
                .devices = n,
                .more = n > asked   ? 64 * n
                        : n < asked ? 2 * (asked - n)
                                    : 0};
    for (int i = 0; i < options->model->nlayers; i++)
        w.placed |= options->model->layers[i].device >= 0 && !options->one_part;
    for (int i = 0; i < options->model->nnodes; i++)
        w.attends |= yki_op(options->model->nodes[i].op)->attends;
    for (int pp = 1; pp <= n; pp++)
        for (int tp = 1; n % pp == 0 && tp <= n / pp; tp++)
            if (n / pp % tp == 0 && !list_mesh(&w, tp, pp, found)) return false;
    return true;
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

/* The first `most` that fit, cheapest first, which must be no more than WANTED. What cannot be planned is
 * passed over, unless that is the system's fault. */
static yoke_status try_all(const yki_plan_options *options, candidates *found, yoke_layout *layouts, int most,
                           int *count_out)
{
    enum { TRIES = 1000 };
    candidate *fitting[WANTED];
    yoke_status status = YOKE_OK;
    int count = 0, tries = 0;
    if (found->list) qsort(found->list, (size_t)found->count, sizeof *found->list, by_cost);
    for (int i = 0; i < found->count && tries < TRIES && count < most && status != YOKE_SYSTEM; i++) {
        if (is_needless(&found->list[i], fitting, count)) continue;
        tries++;
        status = plan_for(options, &found->list[i], &layouts[count]);
        if (status == YOKE_OK) fitting[count++] = &found->list[i];
    }
    free(found->list);
    *count_out = count;
    return status == YOKE_SYSTEM ? status : YOKE_OK;
}

void yki_suggest_fits(const yki_plan_options *options, uint32_t named)
{
    static const int devices[] = {1, 2, 3, 4, 6, 8};
    enum { NDEVICES = sizeof devices / sizeof *devices };
    yoke_error error = *yoke_error_get();
    candidates found = {0};
    yoke_layout *layouts = calloc(WANTED, sizeof *layouts);
    const yoke_layout *l = &options->layout;
    bool listed = layouts != NULL;
    for (int i = 0; i < NDEVICES && listed; i++)
        listed = list_over(options, devices[i], l->dp * l->tp * l->pp, &found);
    int count;
    try_all(options, &found, layouts, layouts ? WANTED : 0, &count); /* without memory: those found so far */
    for (int i = 0; i < count; i++)
        yki_layout_flags(&layouts[i], named, error.would_fit[error.nwould_fit++], sizeof error.would_fit[0]);
    if (count == 0) {
        size_t said = strlen(error.message);
        snprintf(error.message + said, sizeof error.message - said,
                 "; no layout over up to %d devices that was tried fits", devices[NDEVICES - 1]);
    }
    free(layouts);
    yki_error_set(&error);
}

yoke_status yki_layouts_over(const yki_plan_options *options, int devices, yoke_layout *layouts, int most,
                             int *count_out)
{
    const yoke_layout one = YOKE_LAYOUT_DEFAULT;
    candidates found = {0};
    int each = yki_plan_ranks(options->model, &one, options->one_part) * options->layout.cp;
    *count_out = 0;
    if (devices % each == 0 && !list_over(options, devices / each, devices / each, &found)) {
        free(found.list);
        return yki_fail_memory("layouts");
    }
    return try_all(options, &found, layouts, most < WANTED ? most : WANTED, count_out);
}
