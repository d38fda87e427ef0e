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
    FINALISTS = 400, /* layouts that are simulated, at most */
    ROWS = 48,       /* that can be shown */
    REFUSALS = 160,  /* that need too much when compiled, at most */
    SHOWN = 5,       /* rows, unless more are asked for */
    GROWTHS = 3,     /* where nothing fits, up to 2^3 times the devices are tried */
};

/* What a search may take on an average core, by what it does, not by a clock: its answer is the same each
 * time. And about what compiling takes of a unit and lane, simulating of an action and unit, and classes of a
 * device. */
static const double EFFORT_S = 0.7, EFFORT_DEVICE_S = 20e-6, COMPILE_S = 100e-6, ACTION_S = 3e-6,
                    DEVICE_S = 2e-6;

typedef struct finalist {
    yki_step step;
    yki_candidate candidate;
    bool looked_beside;
} finalist;

typedef struct search {
    const yoke_job *job;
    const yoke_machine *machine;
    uint32_t named; /* of the layout, by the job */
    int devices, top;
    yoke_planned *out;
    yki_plan_options options; /* of any layout on the machine */
    yki_listing listing;
    yki_references references;
    yki_bounds bounds;
    yki_candidates meshes, of_mesh, found;
    yki_candidate refused[REFUSALS];
    finalist best[FINALISTS];
    int nrefused, nbest;
    double fastest, effort, most_effort;
    bool gave_up; /* on something that may be faster */
} search;

static int by_mesh(const void *a, const void *b)
{
    const yki_candidate *x = a, *y = b;
    if (x->least_s != y->least_s) return x->least_s < y->least_s ? -1 : 1;
    int64_t wide = (int64_t)x->tp * x->cp - (int64_t)y->tp * y->cp;
    return wide != 0 ? (wide > 0) - (wide < 0) : x->pp != y->pp ? x->pp - y->pp : x->cp - y->cp;
}

/* Of equals, what is simpler. */
static int by_guess(const void *a, const void *b)
{
    const yki_candidate *x = a, *y = b;
    if (x->guess_s != y->guess_s) return x->guess_s < y->guess_s ? -1 : 1;
    const int64_t axes[][2] = {{x->zero, y->zero},
                               {x->recompute, y->recompute},
                               {x->shard, y->shard},
                               {x->microbatches, y->microbatches},
                               {x->schedule, y->schedule},
                               {x->pp, y->pp},
                               {x->tp, y->tp},
                               {x->cp, y->cp}};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        if (axes[i][0] != axes[i][1]) return axes[i][0] < axes[i][1] ? -1 : 1;
    return 0;
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
    double x = ((const finalist *)a)->step.seconds, y = ((const finalist *)b)->step.seconds;
    return (x > y) - (x < y);
}

static void sort(yki_candidates *list, int (*order)(const void *, const void *))
{
    if (list->count > 0) qsort(list->list, (size_t)list->count, sizeof *list->list, order);
}

static yoke_status list_meshes(search *s, int devices)
{
    int64_t first = s->meshes.count;
    YKI_TRY(yki_candidates_over(&s->listing, devices, &s->meshes));
    for (int64_t i = first; i < s->meshes.count; i++)
        if (!yki_bound_mesh(&s->bounds, &s->meshes.list[i])) return yki_fail_memory("layouts");
    return YOKE_OK;
}

/* Adds what a mesh can be run as, may be the fastest, and holds no more than a device has. */
static yoke_status list_mesh(search *s, const yki_candidate *mesh)
{
    s->of_mesh.count = 0;
    YKI_TRY(yki_candidates_of(&s->listing, mesh, &s->of_mesh));
    for (int64_t i = 0; i < s->of_mesh.count; i++) {
        yki_candidate *c = &s->of_mesh.list[i];
        yki_bound(&s->bounds, c, (double)s->options.device_memory_bytes);
        if (c->least_s < s->fastest) YKI_TRY(yki_candidate_add(&s->found, c));
    }
    return YOKE_OK;
}

/* Whether one that needs no more was refused for its memory. */
static bool is_hopeless(const search *s, const yki_candidate *c)
{
    for (int i = 0; i < s->nrefused; i++) {
        const yki_candidate *r = &s->refused[i];
        bool same = r->dp == c->dp && r->tp == c->tp && r->cp == c->cp && r->pp == c->pp &&
                    r->schedule == c->schedule && r->cp_kind == c->cp_kind && r->shard == c->shard;
        if (same && r->sp >= c->sp && r->zero >= c->zero && r->recompute >= c->recompute &&
            r->microbatches >= c->microbatches)
            return true;
    }
    return false;
}

static double effort_of(const search *s, const yki_candidate *c)
{
    double lanes = (double)c->tp * c->cp, units = s->references.units.count,
           devices = lanes * c->dp * c->pp * s->listing.each;
    return COMPILE_S * lanes * units + ACTION_S * c->microbatches * units + DEVICE_S * devices;
}

static bool may_go_on(const search *s, double effort)
{
    return s->effort + s->references.effort + effort <= s->most_effort || s->nbest == 0;
}

static yoke_status try_candidate(search *s, const yki_candidate *c)
{
    yki_plan_options options = s->options;
    yki_step step;
    options.layout = yki_candidate_layout(c, &s->options.layout);
    s->effort += effort_of(s, c);
    yoke_status status = yki_simulated_step(&options, s->machine, &step);
    if (status == YOKE_SYSTEM) return status;
    if (status == YOKE_DOES_NOT_FIT) s->refused[s->nrefused++] = *c;
    if (status != YOKE_OK) return YOKE_OK;
    s->best[s->nbest++] = (finalist){step, *c, false};
    s->fastest = fmin(s->fastest, step.seconds);
    return YOKE_OK;
}

static bool same_mesh(const yki_candidate *a, const yki_candidate *b)
{
    return a->dp == b->dp && a->tp == b->tp && a->cp == b->cp && a->pp == b->pp;
}

/* In how many ways two layouts differ; what is of a mesh's degrees changes with them. */
static int ways_apart(const yki_candidate *a, const yki_candidate *b)
{
    int mesh = same_mesh(a, b) ? (a->sp != b->sp) + (a->cp_kind != b->cp_kind) : 1;
    return mesh + (a->microbatches != b->microbatches) + (a->schedule != b->schedule) +
           (a->recompute != b->recompute) + (a->zero != b->zero || a->shard != b->shard);
}

/* Which of what was found are simulated. */
typedef struct choice {
    const yki_candidate *beside; /* they differ from it in one way at most; NULL: all */
    bool meshes;                 /* the first of each mesh alone */
    int most;                    /* that are simulated in all */
} choice;

static bool is_chosen(const search *s, const choice *of, const yki_candidate *c)
{
    for (int i = 0; i < s->nbest && of->meshes; i++)
        if (same_mesh(&s->best[i].candidate, c)) return false;
    return (!of->beside || ways_apart(c, of->beside) <= 1) && s->nbest < of->most && s->nrefused < REFUSALS &&
           may_go_on(s, effort_of(s, c));
}

/* Simulates those of what was found that are chosen, in the order of guesses; what may yet be faster is left
 * in the list. */
static yoke_status try_found(search *s, const choice *of)
{
    int64_t left = 0;
    sort(&s->found, by_guess);
    for (int64_t i = 0; i < s->found.count; i++) {
        const yki_candidate c = s->found.list[i];
        if (c.least_s >= s->fastest || is_hopeless(s, &c)) continue;
        if (is_chosen(s, of, &c))
            YKI_TRY(try_candidate(s, &c));
        else
            s->found.list[left++] = c;
    }
    s->found.count = left;
    return YOKE_OK;
}

/* Guesses err most for what computes and moves at once: what differs from the best in one way is tried, a few
 * at a time; then what differs from the next best. */
static yoke_status try_beside_best(search *s, int most)
{
    enum { AT_ONCE = 12 };
    for (;;) {
        finalist *best = NULL;
        for (int i = 0; i < s->nbest; i++)
            if (!s->best[i].looked_beside && (!best || s->best[i].step.seconds < best->step.seconds))
                best = &s->best[i];
        if (!best || !may_go_on(s, effort_of(s, &best->candidate)) || s->nbest >= most) return YOKE_OK;
        best->looked_beside = true;
        const yki_candidate from = best->candidate;
        int some = s->nbest + AT_ONCE < most ? s->nbest + AT_ONCE : most;
        YKI_TRY(try_found(s, &(choice){.beside = &from, .most = some}));
    }
}

/* Of what is left, whether one may be faster than the best. */
static bool may_be_faster(const search *s)
{
    for (int64_t i = 0; i < s->found.count; i++)
        if (s->found.list[i].least_s < s->fastest) return true;
    return false;
}

/* --- what is told of the best --- */

/* What most of a step goes to: what computes, or else it is found out, of the choice always, of others as far
 * as the search may go on. */
static yoke_status tell_limit(search *s, int i, yoke_planned_row *row)
{
    const yki_step *step = &s->best[i].step;
    yki_plan_options options = s->options;
    yoke_simulation of = {0};
    const double again = 8; /* about so many simulations */
    double share = step->computing, effort = again * effort_of(s, &s->best[i].candidate);
    bool computes = share >= fmax(step->waiting, 1 - share - step->waiting);
    yoke_status status = YOKE_OK;
    const char *name = yoke_share_name(YOKE_SHARE_COMPUTE);
    options.layout = row->layout;
    if (!computes && (i == 0 || may_go_on(s, effort))) {
        int most = YOKE_SHARE_COMPUTE;
        s->effort += effort;
        status = yki_simulate_job(&options, s->job, s->machine, &of);
        for (int k = 0; k < YOKE_SHARES; k++)
            if (of.shares[k] > of.shares[most]) most = k;
        share = of.shares[most], name = yoke_share_name(most);
        yki_simulation_release(&of);
    } else if (!computes) {
        share = step->waiting, name = "waiting";
    }
    snprintf(row->limit, sizeof row->limit, "%s, %.0f %% of the step", name, 100 * share);
    return status;
}

static yoke_status tell_rows(search *s)
{
    yoke_planned *out = s->out;
    int count = s->nbest < s->top ? s->nbest : s->top;
    qsort(s->best, (size_t)s->nbest, sizeof *s->best, by_seconds);
    out->simulated = s->nbest;
    out->proved = !s->gave_up;
    out->rows = calloc((size_t)count, sizeof *out->rows);
    if (!out->rows) return yki_fail_memory("a plan");
    for (; out->nrows < count; out->nrows++) {
        yoke_planned_row *row = &out->rows[out->nrows];
        const finalist *of = &s->best[out->nrows];
        row->fits = true;
        row->step_s = of->step.seconds, row->peak_bytes = of->step.peak_bytes, row->bytes = of->step.bytes;
        row->layout = yki_candidate_layout(&of->candidate, &s->job->layout);
        if (s->named) /* what the job says of its own is to be overruled */
            yoke_layout_print_whole(&row->layout, row->text, sizeof row->text);
        else
            YKI_TRY(yki_layout_text(&row->layout, row->text, sizeof row->text));
        YKI_TRY(tell_limit(s, out->nrows, row));
    }
    return YOKE_OK;
}

/* --- where nothing fits --- */

enum { WIDEST = 8 /* devices that share a layer, where nothing fits */ };

/* Of what a mesh can be run as, what needs least: all is dealt out and made again. */
static yoke_status list_least(search *s, const yki_candidate *mesh)
{
    const yki_candidate *least = NULL;
    s->of_mesh.count = 0;
    YKI_TRY(yki_candidates_of(&s->listing, mesh, &s->of_mesh));
    int most = s->of_mesh.count > 0 ? s->of_mesh.list[s->of_mesh.count - 1].microbatches : 0;
    for (int64_t i = 0; i < s->of_mesh.count; i++) {
        yki_candidate *c = &s->of_mesh.list[i];
        if (c->recompute != YOKE_RECOMPUTE_FULL || c->shard > 0 || (c->dp > 1 && c->zero < 3) ||
            c->microbatches <= most / 2 || yki_tried_schedules[c->schedule].held < 0)
            continue;
        yki_bound(&s->bounds, c, INFINITY);
        if (isfinite(c->least_s) && (!least || by_memory(c, least) < 0)) least = c;
    }
    return least ? yki_candidate_add(&s->found, least) : YOKE_OK;
}

/* Of the layouts over so many devices that need least, the first that fits; else the record is the first's.
 */
static yoke_status try_least(search *s, int devices, yoke_layout *layout_out)
{
    enum { FEW = 4 };
    yoke_error least = {0};
    s->found.count = s->meshes.count = 0;
    YKI_TRY(list_meshes(s, devices));
    for (int64_t i = 0; i < s->meshes.count; i++)
        if (s->meshes.list[i].tp * s->meshes.list[i].cp <= WIDEST) YKI_TRY(list_least(s, &s->meshes.list[i]));
    sort(&s->found, by_memory);
    for (int64_t i = 0, few = 0; i < s->found.count && few < FEW; i++) {

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
        return yki_fail(YOKE_SYSTEM, "the search gave up after %d layouts, none of which fits", REFUSALS);
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

/* First what is over all devices and shares no layer past a node: where the best are, as a rule. */
static bool is_likely(const search *s, const yki_candidate *mesh)
{
    int64_t node = s->machine->nlevels > 0 ? s->machine->levels[0].count : 1;
    int64_t devices = (int64_t)mesh->dp * mesh->tp * mesh->cp * mesh->pp * s->listing.each;
    return devices == s->devices && (int64_t)mesh->tp * mesh->cp <= (node < 8 ? node : 8);
}

static yoke_status try_meshes(search *s, bool likely)
{
    for (int64_t i = 0; i < s->meshes.count; i++) {
        const yki_candidate *mesh = &s->meshes.list[i];
        double effort = 6 * COMPILE_S * mesh->tp * mesh->cp * s->references.compiled_units;
        if (is_likely(s, mesh) != likely || mesh->least_s >= s->fastest ||
            mesh->least_bytes > s->options.device_memory_bytes)
            continue;
        if (!likely && !may_go_on(s, effort))
            s->gave_up = true;
        else
            YKI_TRY(list_mesh(s, mesh));
    }
    return YOKE_OK;
}

static yoke_status try_all(search *s)
{
    const double all = EFFORT_S + EFFORT_DEVICE_S * s->devices;
    /* of the effort what is likely gets most, and each part leaves some to those after it */
    for (int likely = 1; likely >= 0; likely--) {
        int most = likely ? FINALISTS / 2 : FINALISTS;
        s->most_effort = (likely ? 0.5 : 0.9) * all;
        YKI_TRY(try_meshes(s, likely));
        YKI_TRY(try_found(s, &(choice){.meshes = true, .most = 3 * most / 4}));
        s->most_effort = (likely ? 0.8 : 1) * all;
        YKI_TRY(try_beside_best(s, most));
    }
    YKI_TRY(try_found(s, &(choice){.most = FINALISTS}));
    s->gave_up |= may_be_faster(s);
    return s->nbest == 0 ? fail_nothing_fits(s) : tell_rows(s);
}

static yoke_status search_with(const yki_plan_options *options, void *context)
{
    enum { BLOCKS = 3 };
    search *s = context;
    yoke_model *shorter;
    s->options = yki_options_there(options, s->machine);
    s->out->limit_bytes = s->options.device_memory_bytes;
    YKI_TRY(yki_shorter_model(s->job, BLOCKS, &shorter));
    yoke_status status = yki_references_make(&s->references, &s->options, s->machine, shorter);
    s->listing = yki_listing_of(&s->options, s->machine, s->references.units.count);
    s->bounds = (yki_bounds){.listing = &s->listing, .references = &s->references};
    for (int n = s->devices; n >= 1 && status == YOKE_OK; n--)
        if (s->devices % n == 0) status = list_meshes(s, n);
    for (int64_t i = 0; i < s->meshes.count; i++)
        s->out->considered += yki_candidates_count(&s->listing, &s->meshes.list[i]);
    sort(&s->meshes, by_mesh);
    if (status == YOKE_OK) status = try_all(s);
    yki_references_release(&s->references);
    yoke_model_destroy(shorter);
    return status;
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
                  .fastest = INFINITY,
                  .out = out};
    yoke_status status = yki_with_plan_options(&any, search_with, s);
    out->measured = machine->measured_on[0] != 0;
    out->error_bound = out->measured ? 0.05 : 0.2;
    out->search_s = (yki_now_ns() - start) * 1e-9;
    free(s->found.list);
    free(s->of_mesh.list);
    free(s->meshes.list);
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
    if (top < 0 || top > ROWS) return yki_fail(YOKE_INVALID, "%d rows: 1 to %d can be shown", top, ROWS);
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
