/* Findings: each share of the step in a sentence that says where, and what it comes from. */
#include "predict/simulate/findings.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { SMALL = 1000 }; /* shares under a thousandth are not told */

typedef struct finder {
    const yki_plan_options *options;
    const yoke_machine *machine;
    const yoke_simulation *simulation;
} finder;

static void tell_straggler(const finder *f, yoke_finding *to)
{
    const yoke_machine_straggler *worst = NULL;
    for (int i = 0; i < f->machine->nstragglers; i++) {
        const yoke_machine_straggler *s = &f->machine->stragglers[i];
        if (s->device < f->simulation->devices && (!worst || s->slower > worst->slower)) worst = s;
    }
    if (!worst) return;
    to->device = (int)worst->device;
    snprintf(to->sentence, sizeof to->sentence,
             "device %d computes %.3g times as slowly as the others, which wait for it", to->device,
             worst->slower);
}

/* The outermost level that groups of so many devices in a row, or that far apart, cross. */
static const char *level_of(const finder *f, int stride, int size)
{
    int64_t devices = 1, far = (int64_t)stride * (size - 1) + 1;
    for (int l = 0; l < f->machine->nlevels; l++) {
        devices *= f->machine->levels[l].count;
        if (far <= devices) return f->machine->levels[l].name;
    }
    return f->machine->nlevels > 0 ? f->machine->levels[f->machine->nlevels - 1].name : "";
}

static void tell_exposed(const finder *f, yoke_finding *to, yki_axis axis, const char *what)
{
    static const char *const names[] = {"tp", "cp", "dp", "pp"};
    yki_mesh mesh = yki_mesh_of(&f->options->layout);
    int stride = 1;
    char moved[32];
    for (int a = 0; a < (int)axis; a++) stride *= mesh.degree[a];
    snprintf(to->level, sizeof to->level, "%s", level_of(f, stride, mesh.degree[axis]));
    yki_size_print(moved, (double)f->simulation->moved_bytes[axis] / f->simulation->devices);
    snprintf(to->sentence, sizeof to->sentence,
             "devices wait for %s along %s: each receives %s a step over %s, and not all of it behind what "
             "it computes",
             what, names[axis], moved, to->level);
}

static void tell_imbalance(const finder *f, yoke_finding *to)
{
    const yoke_simulation *s = f->simulation;
    double mean = 0;
    int most = 0;
    for (int i = 0; i < s->nstages; i++) {
        mean += s->stages[i].compute_s / s->nstages;
        if (s->stages[i].compute_s > s->stages[most].compute_s) most = i;
    }
    if (s->nstages == 1) {
        snprintf(to->sentence, sizeof to->sentence, "devices wait for those that have more to compute");
        return;
    }
    to->stage = most;
    snprintf(to->layers, sizeof to->layers, "%s", s->stages[most].layers);
    snprintf(to->sentence, sizeof to->sentence,
             "stage %d (%s) computes longest, %.4g ms a step where stages have %.4g on average: others wait "
             "for it",
             most, to->layers, 1e3 * s->stages[most].compute_s, 1e3 * mean);
}

static void tell_fill_drain(const finder *f, yoke_finding *to)
{
    const yoke_layout *l = &f->options->layout;
    snprintf(to->sentence, sizeof to->sentence,
             "a pipeline of %d stages fills and drains, with %d micro-batch%s under %s",
             f->simulation->nstages, l->microbatches, l->microbatches == 1 ? "" : "es", l->schedule);
}

/* What a share comes from: its own function where numbers make the sentence, else the sentence. */
static const struct cause {
    void (*tell)(const finder *f, yoke_finding *to);
    const char *sentence;
    yki_axis axis;
    const char *moved; /* what is waited for along the axis */
} causes[YOKE_SHARES] = {
    [YOKE_SHARE_COMPUTE] = {.sentence = "the forward and backward pass"},
    [YOKE_SHARE_RECOMPUTE] = {.sentence = "what was not kept, to save memory, is computed a second time"},
    [YOKE_SHARE_OPTIMIZER] = {.sentence = "updating weights"},
    [YOKE_SHARE_LAUNCH] = {.sentence = "launching kernels: they are small"},
    [YOKE_SHARE_OTHER] = {.sentence = "all devices agree on the norm of the gradients and that they are "
                                      "finite, before any weight is updated"},
    [YOKE_SHARE_FILL_DRAIN] = {tell_fill_drain},
    [YOKE_SHARE_IMBALANCE] = {tell_imbalance},
    [YOKE_SHARE_EXPOSED_PP] = {.axis = YKI_AXIS_PP, .moved = "what stages hand on"},
    [YOKE_SHARE_EXPOSED_CP] = {.axis = YKI_AXIS_CP, .moved = "keys and values"},
    [YOKE_SHARE_EXPOSED_TP] = {.axis = YKI_AXIS_TP, .moved = "parts of activations"},
    [YOKE_SHARE_EXPOSED_DP] = {.axis = YKI_AXIS_DP, .moved = "gradients"},
    [YOKE_SHARE_STRAGGLER] = {tell_straggler},
    [YOKE_SHARE_DATA] =
        {.sentence =
             "devices wait for samples: reading a batch takes longer than what they have to compute hides"},
};

static void tell(const finder *f, yoke_share share, yoke_finding *to)
{
    const struct cause *cause = &causes[share];
    bool gathers = share == YOKE_SHARE_EXPOSED_DP && f->options->layout.zero > 2;
    if (cause->tell)
        cause->tell(f, to);
    else if (cause->moved)
        tell_exposed(f, to, cause->axis, gathers ? "weights and gradients" : cause->moved);
    else
        snprintf(to->sentence, sizeof to->sentence, "%s", cause->sentence);
}

static bool is_work(const yoke_finding *f)
{
    return f->cause == yoke_share_name(YOKE_SHARE_COMPUTE) ||
           f->cause == yoke_share_name(YOKE_SHARE_OPTIMIZER);
}

static int by_share(const void *a, const void *b)
{
    double x = ((const yoke_finding *)a)->share, y = ((const yoke_finding *)b)->share;
    return (y > x) - (y < x);
}

void yki_find_causes(const yki_plan_options *options, const yoke_machine *machine, yoke_explanation *out)
{
    finder f = {options, machine, out->simulation};
    double lost = 0;
    int works = 0;
    yoke_finding work[2];
    for (int share = 0; share < YOKE_SHARES; share++) {
        yoke_finding found = {
            .cause = yoke_share_name(share), .share = f.simulation->shares[share], .stage = -1, .device = -1};
        if (found.share * SMALL < 1) continue;
        tell(&f, (yoke_share)share, &found);
        if (is_work(&found))
            work[works++] = found;
        else
            out->findings[out->nfindings++] = found, lost += found.share;
    }
    qsort(out->findings, (size_t)out->nfindings, sizeof *out->findings, by_share);
    qsort(work, (size_t)works, sizeof *work, by_share);
    int at = lost < 0.05 ? 0 : out->nfindings;
    memmove(&out->findings[at + works], &out->findings[at], sizeof *work * (size_t)(out->nfindings - at));
    memcpy(&out->findings[at], work, sizeof *work * (size_t)works);
    out->nfindings += works;
}
