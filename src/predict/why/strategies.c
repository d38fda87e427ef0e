/* Each strategy by itself, over as many of the devices as it can use, in the cheapest way that fits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "predict/why/why.h"

/* What all devices are given to. */
typedef struct strategy {
    const char *name;
    size_t degree; /* of yoke_layout */
    int zero;
    bool stages, alone; /* pipelines want micro-batches; one device is not all */
} strategy;

#define DEGREE(axis) offsetof(yoke_layout, axis)
static const strategy strategies[] = {
    {.name = "one device", .degree = DEGREE(dp), .alone = true},
    {.name = "data", .degree = DEGREE(dp)},
    {.name = "sharded data", .degree = DEGREE(dp), .zero = 3},
    {.name = "pipeline", .degree = DEGREE(pp), .stages = true},
    {.name = "tensor", .degree = DEGREE(tp)},
};
enum { NSTRATEGIES = sizeof strategies / sizeof *strategies };

typedef struct finder {
    yki_why *why;
    const yki_plan_options *options;
    yoke_machine roomy; /* with memory for all */
} finder;

/* Over at most so many devices. */
static yoke_status try_layout(finder *f, const yoke_machine *machine, const yoke_layout *layout, int most)
{
    yki_plan_options other = *f->options;
    yki_step step;
    other.layout = *layout;
    if (machine == &f->roomy) other.layout.device_memory_bytes = 0;
    int ranks = yki_plan_ranks(other.model, layout, other.one_part);
    if (ranks > most) return yki_fail(YOKE_INVALID, "it takes %d devices, since layers name theirs", ranks);
    if ((int64_t)layout->dp * layout->microbatches > other.batch)
        return yki_fail(YOKE_INVALID, "a batch of %lld samples is too small for dp %d",
                        (long long)other.batch, layout->dp);
    f->why->out->simulated++;
    return yki_simulated_step(&other, machine, &step);
}

/* As many as a pipeline wants to be filled: up to four a stage. */
static int filling(const finder *f, int stages)
{
    int64_t m = 4 * (int64_t)stages < f->options->batch ? 4 * (int64_t)stages : f->options->batch;
    while (f->options->batch % m) m--;
    return (int)m;
}

/* The strategy over the most devices it can use; false where it can use no more than one, and the record says
 * why. */
static bool spread(finder *f, const strategy *s, yoke_layout *layout)
{
    yoke_error why = {0};
    for (int n = s->alone ? 1 : f->why->devices; n >= (s->alone ? 1 : 2); n--) {
        if (f->why->devices % n) continue;
        *(int *)((char *)layout + s->degree) = n;
        layout->zero = s->zero;
        layout->microbatches = s->stages ? filling(f, n) : 1;
        yoke_status status = try_layout(f, &f->roomy, layout, s->alone ? 1 : f->why->devices);
        if (status == YOKE_OK) return true;
        if (why.status == YOKE_OK) why = *yoke_error_get();
    }
    yki_error_set(&why);
    return false;
}

/* More micro-batches until it fits, at last of one sample each and with all made a second time; where that is
 * not enough either, it stays so. */
static bool shrink(finder *f, yoke_layout *layout)
{
    const yoke_machine *machine = &f->why->machine;
    int64_t most = f->options->batch / layout->dp;
    for (;; layout->microbatches =
                (int)(2 * (int64_t)layout->microbatches < most ? 2 * layout->microbatches : most)) {
        if (try_layout(f, machine, layout, f->why->devices) == YOKE_OK) return true;
        if (layout->microbatches >= most) break;
    }
    layout->recompute = YOKE_RECOMPUTE_FULL;
    return try_layout(f, machine, layout, f->why->devices) == YOKE_OK;
}

static yoke_status describe(finder *f, yoke_strategy *out)
{
    yki_plan_options options = *f->options;
    yoke_simulation s = {0};
    int most = 0;
    options.layout = out->layout;
    if (!out->fits) options.layout.device_memory_bytes = 0;
    yoke_status status =
        yki_simulate_job(&options, &f->why->job, out->fits ? &f->why->machine : &f->roomy, &s);
    if (status != YOKE_OK) {
        yki_simulation_release(&s);
        return status;
    }
    out->step_s = s.step_s;
    out->devices = s.devices;
    for (int axis = 0; axis < 4; axis++) out->moved_bytes += s.moved_bytes[axis];
    for (int i = 0; i < s.nstages; i++)
        if (s.stages[i].peak_bytes > out->peak_bytes) {
            out->peak_bytes = s.stages[i].peak_bytes;
            out->bytes = s.stages[i].bytes;
        }
    for (int i = 0; i < YOKE_SHARES; i++)
        if (s.shares[i] > s.shares[most]) most = i;
    snprintf(out->limit, sizeof out->limit, "%s, %.0f %% of the step", yoke_share_name(most),
             100 * s.shares[most]);
    yki_simulation_release(&s);
    return YOKE_OK;
}

void yki_why_text(const yki_why *why, const yoke_layout *layout, char text[512])
{
    if (why->named)
        yoke_layout_print_whole(layout, text, 512);
    else
        yoke_layout_print(layout, text, 512);
    if (!text[0]) strcpy(text, "dp=1");
}

void yki_why_compete(yki_why *why, const yoke_layout *layout)
{
    int kind = why->ncontestants;
    for (int i = why->ncontestants - 1; i >= 0; i--) {
        const yoke_layout *l = &why->contestants[i].layout;
        if (l->dp != layout->dp || l->tp != layout->tp || l->pp != layout->pp || l->cp != layout->cp)
            continue;
        kind = why->contestants[i].kind;
        if (l->zero == layout->zero && l->microbatches == layout->microbatches && l->sp == layout->sp &&
            l->chunks == layout->chunks && l->recompute == layout->recompute &&
            strcmp(l->schedule, layout->schedule) == 0)
            return;
    }
    if (why->ncontestants < YKI_CONTESTANTS)
        why->contestants[why->ncontestants++] = (yki_contestant){*layout, kind};
}

/* The choice with less in each device, so that what memory alone wants is no other kind. */
static void compete_smaller(yki_why *why, const yoke_layout *layout, int64_t batch)
{
    yoke_layout l = *layout;
    for (l.zero = 0; l.dp > 1 && l.zero <= 3; l.zero += l.zero == 0 ? 1 : 2) yki_why_compete(why, &l);
    l.zero = l.dp > 1 ? 3 : 0;
    for (int i = 0; i < 2 && (int64_t)l.dp * l.microbatches * 4 <= batch * 16; i++) {
        l.microbatches *= 4;
        yki_why_compete(why, &l);
    }
    l.recompute = YOKE_RECOMPUTE_FULL;
    yki_why_compete(why, &l);
}

/* Two axes at a time: tensors or stages inside of groups of two and of a node, data across. */
static void compete_mixed(yki_why *why, const finder *f)
{
    int node = why->machine.nlevels > 0 ? (int)why->machine.levels[0].count : 1, n = why->devices;
    const int groups[] = {2, node};
    for (int i = 0; i < 2; i++) {
        int k = groups[i];
        if (k < 2 || n % k || n == k) continue;
        yoke_layout l = f->options->layout;
        l.tp = k, l.dp = n / k, l.zero = 1;
        yki_why_compete(why, &l);
        l.tp = 1, l.pp = k, l.microbatches = (int)(f->options->batch / l.dp < 4 * k ? 1 : 4 * k);
        yki_why_compete(why, &l);
        l.dp = 1, l.zero = 0, l.tp = k, l.pp = n / k;
        l.microbatches = filling(f, l.pp);
        yki_why_compete(why, &l);
    }
}

yoke_status yki_why_strategies(yki_why *why, const yki_plan_options *options)
{
    finder f = {.why = why, .options = options, .roomy = why->machine};
    const yoke_planned *planned = why->planned;
    f.roomy.device.memory_bytes = INT64_MAX / 4, f.roomy.device.reserve_bytes = 0;
    for (int i = 0; i < planned->nrows; i++) {
        const yoke_layout *l = &planned->rows[i].layout;
        if (i == 0 || l->dp != planned->rows[0].layout.dp || l->tp != planned->rows[0].layout.tp)
            yki_why_compete(why, l);
        if (i == 0) compete_smaller(why, l, options->batch);
    }
    for (int i = 0; i < NSTRATEGIES; i++) {
        const strategy *s = &strategies[i];
        yoke_strategy *out = &why->out->strategies[why->out->nstrategies];
        if (!s->alone && why->devices == 1) break;
        why->out->nstrategies++;
        out->name = s->name;
        out->layout = options->layout;
        out->possible = spread(&f, s, &out->layout);
        if (!out->possible) {
            snprintf(out->limit, sizeof out->limit, "%.255s", yoke_error_get()->message);
            continue;
        }
        out->fits = shrink(&f, &out->layout);
        yki_why_text(why, &out->layout, out->text);
        YKI_TRY(describe(&f, out));
        yki_why_compete(why, &out->layout);
    }
    compete_mixed(why, &f);
    return YOKE_OK;
}
