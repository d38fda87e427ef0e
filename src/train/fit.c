/* What would fit: other layouts of the same job, tried by planning each, cheapest first: no more devices than
 * asked for before more, fewer micro-batches before more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

typedef struct candidate {
    int dp, tp, pp, microbatches, cost;
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
    layout->ndevices = 0;
    if (c->pp == 1 || strchr(layout->schedule, '.') || strchr(layout->schedule, '/'))
        snprintf(layout->schedule, sizeof layout->schedule, "1f1b");
    layout->chunks = 1;
    yki_plan *plan;
    if (yki_plan_create(&other, &plan) != YOKE_OK) return false;
    *layout_out = *layout;
    yki_plan_destroy(plan);
    return true;
}

void yki_suggest_fits(const yki_plan_options *options)
{
    enum { MOST = 512, TRIES = 64, WANTED = 5 };
    yoke_error error = *yoke_error_get();
    candidate *list = malloc(sizeof *list * MOST);
    int count = 0, asked = yki_mesh_of(&options->layout).nranks;
    static const int degrees[] = {1, 2, 3, 4, 6, 8}, parts[] = {1, 2, 4, 8, 16};
    bool placed = false;
    for (int i = 0; i < options->model->nlayers; i++)
        placed |= options->model->layers[i].device >= 0 && !options->one_part;
    for (int a = 0; a < 6 && list; a++)
        for (int b = 0; b < 6; b++)
            for (int c = 0; c < 6; c++)
                for (int m = 0; m < 5 && count < MOST; m++) {
                    int dp = degrees[a], tp = degrees[b], pp = degrees[c], n = dp * tp * pp;
                    if (n > 8 || (int64_t)dp * parts[m] > options->batch || (placed && (tp > 1 || pp > 1)))
                        continue;
                    int more = n > asked   ? 64 * n
                               : n < asked ? 2 * (asked - n)
                                           : 0; /* idle devices before new ones */
                    list[count++] =
                        (candidate){dp, tp, pp, parts[m], more + 4 * (pp - 1) + 8 * (tp - 1) + 2 * m};
                }
    if (list) qsort(list, (size_t)count, sizeof *list, by_cost);
    for (int i = 0; i < count && i < TRIES && error.nwould_fit < WANTED; i++) {
        yoke_layout layout;
        if (fits(options, &list[i], &layout))
            yoke_layout_flags(&layout, error.would_fit[error.nwould_fit++], sizeof error.would_fit[0]);
    }
    free(list);
    yki_error_set(&error);
}
