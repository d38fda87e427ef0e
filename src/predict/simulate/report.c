/* A simulated step, and what its time goes to: the step is simulated again without each cause of waiting in
 * turn, and what it is shorter then is that cause's share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "predict/fit.h"
#include "predict/of_job.h"
#include "predict/predict.h"
#include "predict/simulate/simulate.h"
#include "yoke/simulate.h"

static const char *const names[YOKE_SHARES] = {
    [YOKE_SHARE_COMPUTE] = "compute",
    [YOKE_SHARE_RECOMPUTE] = "recompute",
    [YOKE_SHARE_OPTIMIZER] = "optimizer",
    [YOKE_SHARE_LAUNCH] = "launch",
    [YOKE_SHARE_OTHER] = "other",
    [YOKE_SHARE_FILL_DRAIN] = "fill_drain",
    [YOKE_SHARE_IMBALANCE] = "imbalance",
    [YOKE_SHARE_EXPOSED_PP] = "exposed_pp",
    [YOKE_SHARE_EXPOSED_CP] = "exposed_cp",
    [YOKE_SHARE_EXPOSED_TP] = "exposed_tp",
    [YOKE_SHARE_EXPOSED_DP] = "exposed_dp",
    [YOKE_SHARE_STRAGGLER] = "straggler",
    [YOKE_SHARE_DATA] = "data",
};

const char *yoke_share_name(int share)
{
    return share >= 0 && share < YOKE_SHARES ? names[share] : NULL;
}

/* In the order in which they are taken away. */
static const struct {
    yki_axis axis;
    yoke_share share;
} exposed[] = {{YKI_AXIS_DP, YOKE_SHARE_EXPOSED_DP},
               {YKI_AXIS_TP, YOKE_SHARE_EXPOSED_TP},
               {YKI_AXIS_CP, YOKE_SHARE_EXPOSED_CP},
               {YKI_AXIS_PP, YOKE_SHARE_EXPOSED_PP}};

typedef struct telling {
    const yki_plan *plan;
    const yoke_machine *machine;
    yki_prepared *of;
    yki_simulated whole; /* as it is */
    double before;       /* seconds, with what was taken away so far */
    yoke_simulation *out;
} telling;

static void give(telling *t, yoke_share share, double seconds)
{
    t->out->shares[share] = fmax(t->before - seconds, 0) / t->whole.seconds;
    t->before = fmin(t->before, seconds);
}

static yoke_status take_away(telling *t, yki_what_if *what_if)
{
    yki_simulated without;
    for (size_t i = 0; i < sizeof exposed / sizeof *exposed; i++) {
        if (t->whole.moved[exposed[i].axis] == 0) continue;
        what_if->free_axis[exposed[i].axis] = true;
        YKI_TRY(yki_simulate(&t->of->works, what_if, &without));
        give(t, exposed[i].share, without.seconds);
    }
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) what_if->free_axis[axis] = true;
    YKI_TRY(yki_simulate(&t->of->works, what_if, &without));
    give(t, YOKE_SHARE_OTHER, without.seconds); /* what all agree on */
    what_if->balanced = true;
    YKI_TRY(yki_simulate(&t->of->works, what_if, &without));
    give(t, YOKE_SHARE_IMBALANCE, without.seconds);
    double computing = without.computing / t->plan->mesh.nranks;
    double *rest = &t->out->shares[t->plan->parts.nstages > 1 ? YOKE_SHARE_FILL_DRAIN : YOKE_SHARE_OTHER];
    *rest += fmax(t->before - computing, 0) / t->whole.seconds;
    t->before = fmin(t->before, computing);
    return YOKE_OK;
}

/* What is left is computed. */
static void tell_computing(telling *t)
{
    const yki_busy *mean = &t->whole.mean;
    double *shares = t->out->shares, all = mean->bodies + mean->ends;
    double left = t->before / t->whole.seconds, scale = all > 0 ? left / all : 0;
    shares[YOKE_SHARE_RECOMPUTE] = scale * mean->again;
    shares[YOKE_SHARE_LAUNCH] = scale * (mean->launches[0] + mean->launches[1]);
    shares[YOKE_SHARE_OPTIMIZER] = scale * (mean->ends - mean->launches[1]);
    shares[YOKE_SHARE_COMPUTE] = scale * (mean->bodies - mean->again - mean->launches[0]);
}

static void tell_stage_times(telling *t)
{
    for (int c = 0; c < t->of->classes.count; c++) {
        const yki_rank_class *class = &t->of->classes.list[c];
        double *seconds = &t->out->stages[yki_plan_program(t->plan, class->first)->stage].compute_s;
        *seconds = fmax(*seconds, t->of->works.busy[c].bodies + t->of->works.busy[c].ends);
    }
}

static yoke_status tell_alike(telling *t)
{
    const yki_classes *classes = &t->of->classes;
    t->out->alike = calloc((size_t)classes->count, sizeof *t->out->alike);
    if (!t->out->alike) return yki_fail_memory("a simulation");
    t->out->classes = classes->count;
    for (int c = 0; c < classes->count; c++) {
        const yki_rank_class *class = &classes->list[c];
        t->out->alike[c] = (yoke_alike){.device = class->first,
                                        .devices = class->count,
                                        .stage = yki_plan_program(t->plan, class->first)->stage,
                                        .slower = class->slower};
    }
    return YOKE_OK;
}

/* The step as it is, and what its devices do. */
static yoke_status simulate_whole(telling *t, const yki_what_if *what_if)
{
    yki_record record;
    bool begun = yki_record_begin(&record, &t->of->works);
    yoke_status status = begun ? yki_simulate_recorded(&t->of->works, what_if, &record, &t->whole)
                               : yki_fail_memory("a simulation");
    for (int c = 0; c < t->out->classes && begun; c++)
        t->out->alike[c].told = record.open[c] != YKI_RECORD_LEFT_OUT;
    t->out->ran = yki_record_end(&record, t->whole.seconds, &t->out->nran);
    return status;
}

static yoke_status tell_without_stragglers(telling *t, const yki_what_if *what_if)
{
    yki_simulated without;
    if (t->machine->nstragglers == 0) return YOKE_OK;
    yki_prepared_release(t->of);
    YKI_TRY(yki_prepare(t->machine, t->plan, false, false, t->of));
    YKI_TRY(yki_simulate(&t->of->works, what_if, &without));
    give(t, YOKE_SHARE_STRAGGLER, without.seconds);
    t->whole.mean = without.mean;
    return YOKE_OK;
}

static yoke_status tell(telling *t)
{
    yki_what_if what_if = {0};
    yki_prepared prepared;
    t->of = &prepared;
    YKI_TRY(yki_prepare(t->machine, t->plan, true, false, &prepared));
    tell_stage_times(t);
    yoke_status status = tell_alike(t);
    if (status == YOKE_OK) status = simulate_whole(t, &what_if);
    t->before = t->whole.seconds;
    if (status == YOKE_OK) status = tell_without_stragglers(t, &what_if);
    if (status == YOKE_OK) status = take_away(t, &what_if);
    if (status == YOKE_OK) tell_computing(t);
    yki_prepared_release(&prepared);
    return status;
}

/* Of the device that holds most. */
static void tell_fullest(const yki_plan *plan, int first, int count, int64_t *peak, yoke_bytes *bytes)
{
    for (int i = first; i < first + count; i++) {
        if (plan->states[i].total_bytes <= *peak) continue;
        *peak = plan->states[i].total_bytes;
        *bytes = plan->states[i].bytes;
    }
}

static int states_per_stage(const yki_plan *plan)
{
    return plan->nlane_classes * plan->nshard_classes;
}

static yoke_status tell_stages(const yki_plan *plan, yoke_simulation *out)
{
    int per_stage = states_per_stage(plan);
    out->nstages = plan->parts.nstages;
    out->stages = calloc((size_t)out->nstages, sizeof *out->stages);
    if (!out->stages) return yki_fail_memory("a simulation");
    for (int stage = 0; stage < out->nstages; stage++) {
        yoke_stage_report *report = &out->stages[stage];
        tell_fullest(plan, stage * per_stage, per_stage, &report->peak_bytes, &report->bytes);
        yki_plan_stage_layers(plan, stage, report->layers, sizeof report->layers);
    }
    return YOKE_OK;
}

static yoke_status tell_rates(telling *t, int64_t tokens)
{
    yoke_simulation *out = t->out;
    const yki_plan *plan = t->plan;
    double batch = (double)plan->options.batch, flops = yki_predict_flops(plan) * batch,
           device_seconds = t->whole.seconds * plan->mesh.nranks;
    YKI_TRY(yki_layout_text(&plan->options.layout, out->layout, sizeof out->layout));
    out->step_s = t->whole.seconds;
    out->devices = plan->mesh.nranks;
    out->samples_per_s = batch / out->step_s;
    out->tokens_per_s = tokens > 0 ? out->samples_per_s * (double)tokens : NAN;
    out->model_flops_per_device_s = flops / device_seconds;
    out->hardware_flops_per_device_s =
        out->model_flops_per_device_s + t->whole.mean.flops_again / t->whole.seconds;
    out->idle_fraction = fmax(1 - t->whole.computing / device_seconds, 0);
    memcpy(out->moved_bytes, t->whole.moved, sizeof out->moved_bytes);
    return YOKE_OK;
}

yki_plan_options yki_options_there(const yki_plan_options *options, const yoke_machine *machine)
{
    yki_plan_options there = *options;
    int64_t memory = machine->device.memory_bytes - machine->device.reserve_bytes;
    int64_t own = options->layout.device_memory_bytes; /* else the options have what is here */
    there.device_memory_bytes = own > 0 && own < memory ? own : memory;
    there.all_memory_bytes = 0;
    there.described = true;
    return there;
}

yoke_status yki_simulated_step(const yki_plan_options *options, const yoke_machine *machine,
                               yki_step *step_out)
{
    yki_plan_options there = yki_options_there(options, machine);
    yki_prepared prepared;
    yki_what_if what_if = {0};
    yki_simulated whole;
    yki_plan *plan;
    YKI_TRY(yki_plan_create(&there, &plan));
    yoke_status status = yki_prepare(machine, plan, true, false, &prepared);
    if (status == YOKE_OK) {
        status = yki_simulate(&prepared.works, &what_if, &whole);
        yki_prepared_release(&prepared);
    }
    if (status == YOKE_OK) {
        double passes = whole.mean.bodies - whole.mean.again - whole.mean.launches[0];
        *step_out = (yki_step){.seconds = whole.seconds, .computing = passes / whole.seconds};
        step_out->waiting = 1 - (whole.mean.bodies + whole.mean.ends) / whole.seconds;
        tell_fullest(plan, 0, plan->parts.nstages * states_per_stage(plan), &step_out->peak_bytes,
                     &step_out->bytes);
    }
    yki_plan_destroy(plan);
    return status;
}

static yoke_status has_devices(const yoke_machine *machine, int ranks)
{
    if (ranks <= machine->ndevices) return YOKE_OK;
    return yki_fail(YOKE_DOES_NOT_FIT, "the layout is over %d devices, and machine '%s' has %lld", ranks,
                    machine->name, (long long)machine->ndevices);
}

yoke_status yki_simulate_plan(const yki_plan *plan, int64_t sequence, const yoke_machine *machine,
                              yoke_simulation *out)
{
    telling t = {.plan = plan, .machine = machine, .out = out};
    YKI_TRY(has_devices(machine, plan->mesh.nranks));
    out->measured = machine->measured_on[0] != 0;
    out->limit_bytes = plan->options.device_memory_bytes;
    YKI_TRY(tell_stages(plan, out));
    YKI_TRY(tell(&t));
    return tell_rates(&t, sequence);
}

yoke_status yki_simulate_job(const yki_plan_options *options, const yoke_job *job,
                             const yoke_machine *machine, yoke_simulation *out)
{
    yki_plan_options there = yki_options_there(options, machine);
    YKI_TRY(has_devices(machine, yki_plan_ranks(options->model, &options->layout, options->one_part)));
    yki_plan *plan;
    yoke_status status = yki_plan_create(&there, &plan);
    if (status == YOKE_DOES_NOT_FIT) yki_suggest_fits(&there, job->layout_named);
    if (status != YOKE_OK) return status;
    status = yki_simulate_plan(plan, job->train.sequence, machine, out);
    yki_plan_destroy(plan);
    return status;
}

typedef struct seeing {
    const yoke_machine *machine;
    yoke_status (*use)(const yki_seen_step *step, void *context);
    void *context;
} seeing;

static yoke_status show(const seeing *s, const yki_plan *plan, const yki_classes *classes,
                        const yki_tape *tapes, double seconds)
{
    yki_seen_class *seen = calloc((size_t)classes->count, sizeof *seen);
    if (!seen) return yki_fail_memory("a step's events");
    for (int c = 0; c < classes->count; c++)
        seen[c] =
            (yki_seen_class){classes->list[c].first, classes->list[c].count, tapes[c].count, tapes[c].rows};
    yoke_status status =
        s->use(&(yki_seen_step){plan, seconds, classes->count, seen, classes->of}, s->context);
    free(seen);
    return status;
}

static yoke_status see(const seeing *s, const yki_plan *plan)
{
    yki_what_if what_if = {0};
    yki_prepared prepared;
    yki_simulated whole;
    YKI_TRY(yki_prepare(s->machine, plan, true, true, &prepared));
    yki_tape *tapes = yki_tapes_create(prepared.classes.count);
    yoke_status status = tapes ? yki_simulate_taped(&prepared.works, &what_if, tapes, &whole)
                               : yki_fail_memory("a step's events");
    if (status == YOKE_OK) status = show(s, plan, &prepared.classes, tapes, whole.seconds);
    yki_tapes_destroy(tapes, prepared.classes.count);
    yki_prepared_release(&prepared);
    return status;
}

static yoke_status see_asked(const yki_plan_options *options, void *context)
{
    const seeing *s = context;
    yki_plan_options there = yki_options_there(options, s->machine);
    yki_plan *plan;
    YKI_TRY(has_devices(s->machine, yki_plan_ranks(options->model, &options->layout, options->one_part)));
    YKI_TRY(yki_plan_create(&there, &plan));
    yoke_status status = see(s, plan);
    yki_plan_destroy(plan);
    return status;
}

yoke_status yki_see_step(const yoke_job *job, const yoke_machine *machine,
                         yoke_status (*use)(const yki_seen_step *step, void *context), void *context)
{
    seeing s = {machine, use, context};
    return yki_with_plan_options(job, see_asked, &s);
}

typedef struct asked {
    const yoke_job *job;
    const yoke_machine *machine;
    yoke_simulation *out;
} asked;

static yoke_status simulate_asked(const yki_plan_options *options, void *context)
{
    asked *a = context;
    return yki_simulate_job(options, a->job, a->machine, a->out);
}

yoke_status yoke_simulate(const yoke_job *job, const yoke_machine *machine, yoke_simulation **simulation_out)
{
    YKI_NEED(job, machine, simulation_out);
    yoke_simulation *out = calloc(1, sizeof *out);
    if (!out) return yki_fail_memory("a simulation");
    asked a = {job, machine, out};
    yoke_status status = yki_with_plan_options(job, simulate_asked, &a);
    if (status == YOKE_OK)
        *simulation_out = out;
    else
        yoke_simulation_destroy(out);
    return status;
}

void yki_simulation_release(yoke_simulation *simulation)
{
    free(simulation->stages);
    free(simulation->alike);
    free(simulation->ran);
}

void yoke_simulation_destroy(yoke_simulation *simulation)
{
    if (simulation) yki_simulation_release(simulation);
    free(simulation);
}
