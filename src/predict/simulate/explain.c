/* explain: a simulated step, what it loses, and layouts of as many devices that would lose less, each of them
 * simulated. They differ from the job's layout in one thing, or in degrees and what goes with them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "predict/of_job.h"
#include "predict/simulate/findings.h"

enum { TRIES = 160, KEPT = 5 };

typedef struct advising {
    const yki_plan_options *options;
    const yoke_machine *machine;
    uint32_t named;
    yoke_explanation *out;
    int ntried;
    yoke_layout tried[TRIES];
} advising;

static bool is_same_layout(const yoke_layout *a, const yoke_layout *b)
{
    return a->dp == b->dp && a->tp == b->tp && a->pp == b->pp && a->cp == b->cp &&
           a->microbatches == b->microbatches && a->zero == b->zero && a->recompute == b->recompute &&
           a->chunks == b->chunks && a->sp == b->sp && strcmp(a->schedule, b->schedule) == 0;
}

/* Where it belongs among those that were kept. */
static void keep(advising *a, const yoke_layout *layout, double seconds)
{
    yoke_explanation *out = a->out;
    double now = out->simulation->step_s;
    yoke_change change = {.step_s = seconds, .gain = now / seconds};
    if (seconds > 0.99 * now) return;
    int at = out->nchanges;
    while (at > 0 && out->changes[at - 1].step_s > seconds) at--;
    if (at >= KEPT) return;
    yki_layout_flags(layout, a->named, change.flags, sizeof change.flags);
    snprintf(change.sentence, sizeof change.sentence,
             "%s: a step of %.4g ms instead of %.4g, %.2f times as fast", change.flags, 1e3 * seconds,
             1e3 * now, change.gain);
    int last = out->nchanges < KEPT ? out->nchanges++ : KEPT - 1;
    memmove(&out->changes[at + 1], &out->changes[at], sizeof change * (size_t)(last - at));
    out->changes[at] = change;
}

/* What cannot be planned is passed over, unless memory is out. */
static yoke_status try_layout(advising *a, const yoke_layout *layout)
{
    yki_step step;
    yki_plan_options other = *a->options;
    if ((int64_t)layout->dp * layout->microbatches > other.batch || a->ntried == TRIES) return YOKE_OK;
    for (int i = 0; i < a->ntried; i++)
        if (is_same_layout(&a->tried[i], layout)) return YOKE_OK;
    a->tried[a->ntried++] = *layout;
    other.layout = *layout;
    yoke_status status = yki_simulated_step(&other, a->machine, &step);
    if (status == YOKE_OK) keep(a, layout, step.seconds);
    return status == YOKE_SYSTEM ? status : YOKE_OK;
}

/* One thing other than in `from`. */
static yoke_status try_one_change(advising *a, const yoke_layout *from)
{
    static const char *const schedules[] = {"1f1b", "zb-h1", "gpipe"};
    yoke_layout l = *from;
    YKI_TRY(try_layout(a, &l));
    for (int m = 1; m <= 64; m *= 2) {
        l.microbatches = m;
        YKI_TRY(try_layout(a, &l));
    }
    l = *from;
    for (l.zero = 0; l.zero <= 3 && l.dp > 1; l.zero++) YKI_TRY(try_layout(a, &l));
    l = *from;
    for (int r = YOKE_RECOMPUTE_NONE; r <= YOKE_RECOMPUTE_FULL; r++) {
        l.recompute = (yoke_recompute)r;
        YKI_TRY(try_layout(a, &l));
    }
    l = *from;
    l.sp = from->tp > 1;
    YKI_TRY(try_layout(a, &l));
    l = *from;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules && l.pp > 1 && l.chunks == 1; i++) {
        snprintf(l.schedule, sizeof l.schedule, "%s", schedules[i]);
        YKI_TRY(try_layout(a, &l));
    }
    return YOKE_OK;
}

/* Other degrees of the same devices, with as many micro-batches as a pipeline wants. */
static yoke_status try_degrees(advising *a)
{
    const yoke_layout *now = &a->options->layout;
    int devices = now->dp * now->tp * now->pp;
    for (int pp = 1; pp <= devices; pp++)
        for (int tp = 1; devices % pp == 0 && tp <= devices / pp; tp++) {
            if (devices / pp % tp != 0) continue;
            yoke_layout l = *now;
            l.dp = devices / pp / tp, l.tp = tp, l.pp = pp;
            l.dp_shard = l.dp_replicate = 0;
            l.sp = now->sp && tp > 1;
            l.chunks = 1;
            if (l.dp == 1) l.zero = 0;
            snprintf(l.schedule, sizeof l.schedule, "1f1b");
            for (int times = pp > 1 ? 1 : 0; times <= (pp > 1 ? 8 : 0); times *= 2) {
                l.microbatches = times > 0 ? times * pp : 1;
                YKI_TRY(try_layout(a, &l));
                if (times == 0) break;
            }
        }
    return YOKE_OK;
}

/* What no layout does. */
static void add_sentences(advising *a)
{
    yoke_explanation *out = a->out;
    for (int i = 0; i < out->nfindings && i < 2; i++) {
        const yoke_finding *f = &out->findings[i];
        yoke_change *change = &out->changes[out->nchanges];
        *change = (yoke_change){.step_s = NAN, .gain = NAN};
        if (f->device >= 0)
            snprintf(change->sentence, sizeof change->sentence,
                     "leave device %d out, or mend it: the others wait for it", f->device);
        else if (f->stage >= 0)
            snprintf(change->sentence, sizeof change->sentence,
                     "give stage %d fewer layers, by the layers' own `device:`: it has most to compute",
                     f->stage);
        else
            continue;
        out->nchanges++;
    }
}

typedef struct asked {
    const yoke_job *job;
    const yoke_machine *machine;
    const yoke_measured *measured; /* NULL: of no run */
    yoke_explanation *out;
} asked;

/* Findings of what was measured, in the words that simulated ones have. */
static void find_measured(const yki_plan_options *options, asked *of)
{
    yoke_simulation *simulated = of->out->simulation, ran = *simulated;
    yoke_machine there = *of->machine;
    yoke_machine_straggler slow = {.device = of->measured->slow_device, .slower = of->measured->slower};
    memcpy(ran.shares, of->measured->shares, sizeof ran.shares);
    ran.step_s = of->measured->step_s;
    there.nstragglers = slow.device >= 0;
    there.stragglers = &slow;
    of->out->simulation = &ran;
    yki_find_causes(options, &there, of->out);
    of->out->simulation = simulated;
}

static yoke_status explain_asked(const yki_plan_options *options, void *context)
{
    asked *of = context;
    YKI_TRY(yki_simulate_job(options, of->job, of->machine, of->out->simulation));
    if (of->measured)
        find_measured(options, of);
    else
        yki_find_causes(options, of->machine, of->out);
    advising *a = calloc(1, sizeof *a);
    if (!a) return yki_fail_memory("layouts");
    a->options = options, a->machine = of->machine, a->named = of->job->layout_named, a->out = of->out;
    yoke_layout now = options->layout;
    yoke_status status = YOKE_OK;
    bool by_hand =
        yki_plan_ranks(options->model, &now, options->one_part) != now.dp * now.tp * now.pp * now.cp;
    if (now.nrecompute == 0 && !by_hand) {
        a->tried[a->ntried++] = now;
        status = try_one_change(a, &now);
        if (status == YOKE_OK) status = try_degrees(a);
    }
    of->out->tried = a->ntried;
    add_sentences(a);
    free(a);
    return status;
}

yoke_status yoke_explain(const yoke_job *job, const yoke_machine *machine, yoke_explanation **explanation_out)
{
    return yoke_explain_run(job, machine, NULL, explanation_out);
}

yoke_status yoke_explain_run(const yoke_job *job, const yoke_machine *machine, const yoke_measured *measured,
                             yoke_explanation **explanation_out)
{
    YKI_NEED(job, machine, explanation_out);
    yoke_explanation *out = calloc(1, sizeof *out);
    if (out) out->simulation = calloc(1, sizeof *out->simulation);
    asked of = {job, machine, measured, out};
    yoke_status status = out && out->simulation ? yki_with_plan_options(job, explain_asked, &of)
                                                : yki_fail_memory("an explanation");
    if (status == YOKE_OK)
        *explanation_out = out;
    else
        yoke_explanation_destroy(out);
    return status;
}

void yoke_explanation_destroy(yoke_explanation *explanation)
{
    if (!explanation) return;
    yoke_simulation_destroy(explanation->simulation);
    free(explanation);
}
