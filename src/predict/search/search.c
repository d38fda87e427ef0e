/* The search: candidates in the order of what they take at least are compiled, which proves their memory, and
 * simulated, until none that is left can be faster than the best. */
#include "predict/search/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "job/job.h"
#include "predict/of_job.h"
#include "predict/simulate/simulate.h"
#include "yoke/planning.h"

enum {
    FINALISTS = 48, /* layouts that are simulated, at most */
    REFUSALS = 160, /* that need too much when compiled, at most */
    TRIES = 320,    /* that are compiled, at most */
    SHOWN = 5,      /* rows, unless more are asked for */
    GROWTHS = 3,    /* where nothing fits, up to 2^3 times the devices are tried */
};

typedef struct finalist {
    double seconds;
    yki_candidate candidate;
} finalist;

typedef struct search {
    const yoke_job *job;
    const yoke_machine *machine;
    uint32_t named; /* of the layout, by the job */
    int devices, top;
    yoke_planned *out;
    yki_plan_options options; /* of any layout on the machine */
    yki_bounds bounds;
    yki_candidates found;
    yki_candidate refused[REFUSALS];
    finalist best[FINALISTS];
    int nrefused, nbest;
} search;

static int by_time(const void *a, const void *b)
{
    const yki_candidate *x = a, *y = b;
    if (x->least_s != y->least_s) return x->least_s < y->least_s ? -1 : 1;
    if (x->zero != y->zero) return x->zero - y->zero;
    return x->recompute != y->recompute ? x->recompute - y->recompute : x->microbatches - y->microbatches;
}

static int by_memory(const void *a, const void *b)
{
    const yki_candidate *x = a, *y = b;
    if (x->least_bytes != y->least_bytes) return x->least_bytes < y->least_bytes ? -1 : 1;
    if (x->recompute != y->recompute) return y->recompute - x->recompute;
    return y->microbatches - x->microbatches;
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const finalist *)a)->seconds, y = ((const finalist *)b)->seconds;
    return (x > y) - (x < y);
}

/* Bounds all, drops what cannot be, and sorts. */
static void bound_all(search *s, int (*order)(const void *, const void *))
{
    int kept = 0;
    for (int i = 0; i < s->found.count; i++)
        if (yki_bound(&s->bounds, &s->found.list[i])) s->found.list[kept++] = s->found.list[i];
    s->found.count = kept;
    if (kept > 0) qsort(s->found.list, (size_t)kept, sizeof *s->found.list, order);
}

/* Whether one that needs no more was refused for its memory. */
static bool is_hopeless(const search *s, const yki_candidate *c)
{
    for (int i = 0; i < s->nrefused; i++) {
        const yki_candidate *r = &s->refused[i];
        bool same = r->dp == c->dp && r->tp == c->tp && r->cp == c->cp && r->pp == c->pp &&
                    r->schedule == c->schedule;
        if (same && r->sp >= c->sp && r->zero >= c->zero && r->recompute >= c->recompute &&
            r->microbatches >= c->microbatches)
            return true;
    }
    return false;
}

static yoke_status try_in_order(search *s)
{
    double fastest = INFINITY, seconds;
    int tried = 0;
    for (int i = 0; i < s->found.count; i++) {
        const yki_candidate *c = &s->found.list[i];
        if (c->least_s >= fastest) break;
        if (c->least_bytes > s->options.device_memory_bytes || is_hopeless(s, c)) continue;
        if (s->nbest == FINALISTS || s->nrefused == REFUSALS || tried++ == TRIES) return YOKE_OK;
        yki_plan_options options = s->options;
        options.layout = yki_candidate_layout(c, &s->options.layout);
        yoke_status status = yki_simulated_step(&options, s->machine, &seconds);
        if (status == YOKE_SYSTEM) return status;
        if (status == YOKE_DOES_NOT_FIT) s->refused[s->nrefused++] = *c;
        if (status != YOKE_OK) continue;
        s->best[s->nbest++] = (finalist){seconds, *c};
        fastest = fmin(fastest, seconds);
    }
    s->out->proved = true;
    return YOKE_OK;
}

/* --- what is told of the best --- */

static yoke_status tell_simulated(const search *s, const yki_plan_options *options, yoke_planned_row *row)
{
    yoke_simulation of = {0};
    int most = 0;
    yoke_status status = yki_simulate_job(options, s->job, s->machine, &of);
    row->step_s = of.step_s;
    for (int i = 0; i < of.nstages; i++) {
        if (of.stages[i].peak_bytes <= row->peak_bytes) continue;
        row->peak_bytes = of.stages[i].peak_bytes;
        row->bytes = of.stages[i].bytes;
    }
    for (int i = 0; i < YOKE_SHARES; i++)
        if (of.shares[i] > of.shares[most]) most = i;
    snprintf(row->limit, sizeof row->limit, "%s, %.0f %% of the step", yoke_share_name(most),
             100 * of.shares[most]);
    yki_simulation_release(&of);
    return status;
}

static yoke_status tell_rows(search *s)
{
    yoke_planned *out = s->out;
    int count = s->nbest < s->top ? s->nbest : s->top;
    qsort(s->best, (size_t)s->nbest, sizeof *s->best, by_seconds);
    out->simulated = s->nbest;
    out->rows = calloc((size_t)count, sizeof *out->rows);
    if (!out->rows) return yki_fail_memory("a plan");
    for (; out->nrows < count; out->nrows++) {
        yoke_planned_row *row = &out->rows[out->nrows];
        yki_plan_options options = s->options;
        row->fits = true;
        row->layout = yki_candidate_layout(&s->best[out->nrows].candidate, &s->job->layout);
        options.layout = row->layout;
        if (s->named) /* what the job says of its own is to be overruled */
            yoke_layout_print_whole(&row->layout, row->text, sizeof row->text);
        else
            YKI_TRY(yki_layout_text(&row->layout, row->text, sizeof row->text));
        YKI_TRY(tell_simulated(s, &options, row));
    }
    return YOKE_OK;
}

/* --- where nothing fits --- */

/* Drops what shares a layer among more devices than a node has: each width is a plan of its own to bound. */
static void keep_narrow(search *s)
{
    enum { WIDEST = 8 };
    int kept = 0;
    for (int i = 0; i < s->found.count; i++)
        if (s->found.list[i].tp * s->found.list[i].cp <= WIDEST) s->found.list[kept++] = s->found.list[i];
    s->found.count = kept;
}

/* Of the layouts over so many devices that need least, the first that fits; else the record is the first's.
 */
static yoke_status try_least(search *s, int devices, yoke_layout *layout_out)
{
    enum { FEW = 12, REFUSED = 400 };
    yoke_error least = {0};
    s->found.count = s->bounds.count = 0;
    YKI_TRY(yki_candidates_over(&s->options, devices, &s->found));
    keep_narrow(s);
    bound_all(s, by_memory);
    for (int i = 0, few = 0; i < s->found.count && i < REFUSED && few < FEW; i++) {
        yki_plan_options options = s->options;
        yki_plan *plan;
        /* bounds ascend: the rest fits no more, and of one the record is enough */
        if (least.status != YOKE_OK && s->found.list[i].least_bytes > options.device_memory_bytes) break;
        options.layout = yki_candidate_layout(&s->found.list[i], &s->options.layout);
        yoke_status status = yki_plan_create(&options, &plan);
        if (status == YOKE_OK) yki_plan_destroy(plan);
        few += status == YOKE_DOES_NOT_FIT;
        bool first = status == YOKE_DOES_NOT_FIT && least.status == YOKE_OK;
        if (first) least = *yoke_error_get();
        if (first || status == YOKE_OK) *layout_out = options.layout;
        if (status == YOKE_OK || status == YOKE_SYSTEM) return status;
    }
    if (least.status == YOKE_OK)
        return yki_fail(YOKE_INVALID, "no layout of this job over %d device%s can be planned", devices,
                        devices == 1 ? "" : "s");
    yki_error_set(&least);
    return YOKE_DOES_NOT_FIT;
}

static yoke_status fail_nothing_fits(search *s)
{
    yoke_layout layout;
    yoke_status status = try_least(s, s->devices, &layout);
    if (status == YOKE_OK)
        return yki_fail(YOKE_SYSTEM, "the search gave up after %d layouts, none of which fits", TRIES);
    if (status != YOKE_DOES_NOT_FIT) return status;
    yoke_error error = *yoke_error_get();
    char text[200], said[700];
    yoke_layout_print(&layout, text, sizeof text);
    snprintf(said, sizeof said, "%.690s", error.message);
    snprintf(error.message, sizeof error.message, "no layout over %d device%s fits; with least, %s, %s",
             s->devices, s->devices == 1 ? "" : "s", text[0] ? text : "one device", said);
    error.nwould_fit = 0;
    for (int i = 1; i <= GROWTHS && error.nwould_fit == 0; i++)
        if (s->devices <= YOKE_MAX_DEVICES >> i && try_least(s, s->devices << i, &layout) == YOKE_OK)
            yki_layout_flags(&layout, s->named, error.would_fit[error.nwould_fit++],
                             sizeof error.would_fit[0]);
    yki_error_set(&error);
    return YOKE_DOES_NOT_FIT;
}

/* --- all of it --- */

static yoke_status search_with(const yki_plan_options *options, void *context)
{
    search *s = context;
    s->options = yki_options_there(options, s->machine);
    s->out->limit_bytes = s->options.device_memory_bytes;
    s->bounds = (yki_bounds){.options = &s->options, .machine = s->machine};
    for (int n = s->devices; n >= 1; n--)
        if (s->devices % n == 0) YKI_TRY(yki_candidates_over(&s->options, n, &s->found));
    s->out->considered = s->found.count;
    bound_all(s, by_time);
    YKI_TRY(try_in_order(s));
    return s->nbest == 0 ? fail_nothing_fits(s) : tell_rows(s);
}

static yoke_status search_for(const yoke_job *job, const yoke_machine *machine, int devices, int top,
                              yoke_planned *out)
{
    const yki_candidate single = {.dp = 1, .tp = 1, .cp = 1, .pp = 1, .microbatches = 1};
    double start = yki_now_ns();
    yoke_job any = *job; /* its degrees are not looked at */
    search *s = calloc(1, sizeof *s);
    if (!s) return yki_fail_memory("a plan");
    any.layout = yki_candidate_layout(&single, &job->layout);
    *s = (search){.job = &any,
                  .machine = machine,
                  .named = job->layout_named,
                  .devices = devices,
                  .top = top,
                  .out = out};
    yoke_status status = yki_with_plan_options(&any, search_with, s);
    out->measured = machine->measured_on[0] != 0;
    out->error_bound = out->measured ? 0.05 : 0.2;
    out->search_s = (yki_now_ns() - start) * 1e-9;
    free(s->found.list);
    free(s);
    return status;
}

yoke_status yoke_plan_job(const yoke_job *job, const yoke_machine *machine, int devices, int top,
                          yoke_planned **planned_out)
{
    YKI_NEED(job, machine, planned_out);
    int64_t all = machine->ndevices < YOKE_MAX_DEVICES ? machine->ndevices : YOKE_MAX_DEVICES;
    double rate;
    if (devices < 0 || devices > all)
        return yki_fail(YOKE_INVALID, "%d devices: machine '%s' has %lld", devices, machine->name,
                        (long long)machine->ndevices);
    if (top < 0 || top > FINALISTS)
        return yki_fail(YOKE_INVALID, "%d rows: 1 to %d can be shown", top, FINALISTS);
    YKI_TRY(yoke_machine_rate(machine, job->train.precision == YOKE_PRECISION_BF16 ? "bf16" : "f32", &rate));
    yoke_planned *out = calloc(1, sizeof *out);
    if (!out) return yki_fail_memory("a plan");
    yoke_status status = search_for(job, machine, devices ? devices : (int)all, top ? top : SHOWN, out);
    if (status == YOKE_OK)
        *planned_out = out;
    else
        yoke_planned_destroy(out);
    return status;
}

void yoke_planned_destroy(yoke_planned *planned)
{
    if (!planned) return;
    free(planned->rows);
    free(planned);
}
