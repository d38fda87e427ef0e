/* What each unit of the model takes and holds under one way to share layers and to keep what they make: the
 * model is compiled with each unit as a stage of its own, in as few blocks as tell all its units apart, and
 * its bodies are lowered for as many samples as are asked for. No layout of the same tp, cp, sp and
 * recomputation computes less in a stage than the sum over its units. */
#include <math.h>
#include <stdio.h>

#include "base/fail.h"
#include "predict/search/search.h"

enum { SAMPLES = 16 /* that memory is measured with */ };

/* About what compiling takes, of a unit and lane. */
static const double COMPILE_S = 60e-6;

/* Units of the whole model and of what is compiled: the first ones and the last ones are each other's, and
 * those between are all like the middle one. */
static int compiled_unit(const yki_references *all, int unit)
{
    int middle = all->compiled_units / 2, from_end = all->units.count - unit;
    if (unit <= middle) return unit;
    return from_end < all->compiled_units - middle ? all->compiled_units - from_end : middle;
}

yoke_status yki_references_make(yki_references *out, const yki_plan_options *options,
                                const yoke_machine *machine, const yoke_model *shorter)
{
    *out = (yki_references){.options = options, .machine = machine, .model = options->model};
    yki_units few;
    if (!yki_units_of(&out->arena, options->model, &out->units)) return yki_fail_memory("layouts");
    out->compiled_units = out->units.count;
    if (!shorter) return YOKE_OK;
    if (!yki_units_of(&out->arena, shorter, &few)) return yki_fail_memory("layouts");
    bool alike = few.count >= 3 && few.count <= out->units.count;
    out->compiled_units = few.count;
    for (int i = 0; i < out->units.count && alike; i++)
        alike = out->units.cost[i] == few.cost[compiled_unit(out, i)];
    if (alike)
        out->model = shorter;
    else
        out->compiled_units = out->units.count;
    return YOKE_OK;
}

static void release(yki_reference *r)
{
    if (r->prepared) yki_prepared_release(&r->of);
    yki_plan_destroy(r->plan);
}

void yki_references_release(yki_references *all)
{
    for (int i = 0; i < all->count; i++) release(all->list[i]);
    yki_arena_release(&all->arena);
    *all = (yki_references){0};
}

static int class_of(const yki_reference *r, int unit)
{
    return r->of.classes.of[unit * r->tp * r->cp];
}

/* Of the parameters that no unit before it holds. */
static yki_unit_bytes bytes_of(yki_reference *r, int unit)
{
    const yki_plan *plan = r->plan;
    int rank = unit * r->tp * r->cp;
    const yki_program *program = yki_plan_program(plan, rank);
    const yki_kept *kept = yki_rank_states(plan, rank)->kept;
    const yki_part_program *part = &program->parts[0];
    double own = 0, all = 0;
    yki_unit_bytes bytes = {0};
    for (int i = 0; i < program->nparameters; i++) {
        const yki_local_parameter *p = &program->parameters[i];
        all += (double)p->elems;
        if (plan->param_places[p->parameter].first_stage != unit) continue;
        own += (double)p->elems;
        for (yki_tensor_kind kind = YKI_TENSOR_WEIGHT; kind < YKI_TENSOR_KINDS; kind++) {
            int64_t size = p->elems * (int64_t)yki_dtype_bytes(yki_tensor_dtype(plan, program, kind, i));
            if (kept[i].offset[kind] < 0) continue;
            *(kind == YKI_TENSOR_WEIGHT     ? &bytes.weights
              : kind == YKI_TENSOR_GRADIENT ? &bytes.gradients
                                            : &bytes.optimizer) += size;
        }
    }
    const yki_lowered *update = yki_work_of_end(&r->of.works, class_of(r, unit), YKI_END_UPDATE);
    bytes.update_s = update && all > 0 ? update->busy.ends * own / all : 0;
    /* what is no part of what is kept at least: alignment, and copies of what the unit before has too */
    const yki_code *forward = &part->body[YKI_BODY_F];
    double slack = 0;
    for (int i = 0; i < forward->count; i++) slack += 64.0 * forward->instructions[i].noperands;
    for (int e = 0; e < plan->nedges; e++)
        if (plan->edges[e].to == unit) slack += SAMPLES * (double)plan->edge_bytes[program->lane_class][e];
    bytes.kept = fmax((double)part->area_bytes[0] + (double)part->area_bytes[1] - slack, 0) / SAMPLES;
    return bytes;
}

static bool sum_bytes(yki_references *all, yki_reference *r)
{
    r->bytes = yki_arena_alloc(&all->arena, sizeof *r->bytes * (size_t)(all->units.count + 1));
    if (!r->bytes) return false;
    for (int i = 0; i < all->units.count; i++) {
        yki_unit_bytes one = bytes_of(r, compiled_unit(all, i)), *sum = &r->bytes[i + 1];
        *sum = r->bytes[i];
        sum->weights += one.weights, sum->gradients += one.gradients, sum->optimizer += one.optimizer;
        sum->kept += one.kept, sum->update_s += one.update_s;
    }
    for (int e = 0; e < r->plan->nedges; e++)
        if (r->plan->edges[e].to == r->plan->edges[e].from + 1)
            r->edge_bytes = fmax(r->edge_bytes, (double)r->plan->edge_bytes[0][e]);
    return true;
}

static yoke_status compile(yki_references *all, yki_reference *r)
{
    const yki_candidate alone = {.dp = 1,
                                 .tp = r->tp,
                                 .cp = r->cp,
                                 .pp = all->compiled_units,
                                 .microbatches = 1,
                                 .recompute = r->recompute,
                                 .cp_kind = r->cp_kind,
                                 .sp = r->sp};
    yki_plan_options options = *all->options;
    options.model = all->model;
    options.layout = yki_candidate_layout(&alone, &all->options->layout);
    snprintf(options.layout.schedule, sizeof options.layout.schedule, "zb-h1"); /* B and W apart */
    options.batch = SAMPLES, options.ragged = options.evaluated = 0;
    options.one_part = true;
    options.device_memory_bytes = options.all_memory_bytes = 0;
    YKI_TRY(yki_plan_create(&options, &r->plan));
    YKI_TRY(yki_prepare(all->machine, r->plan, false, false, &r->of));
    r->prepared = true;
    return sum_bytes(all, r) ? YOKE_OK : yki_fail_memory("layouts");
}

yki_reference *yki_reference_of(yki_references *all, const yki_candidate *c)
{
    for (int i = 0; i < all->count; i++) {
        yki_reference *r = all->list[i];
        if (r->tp == c->tp && r->cp == c->cp && r->sp == c->sp && r->cp_kind == c->cp_kind &&
            r->recompute == c->recompute)
            return r->possible ? r : NULL;
    }
    if (all->count == YKI_REFERENCES) return NULL;
    yki_reference *r = yki_arena_alloc(&all->arena, sizeof *r);
    if (!r) return NULL;
    *r = (yki_reference){
        .tp = c->tp, .cp = c->cp, .cp_kind = c->cp_kind, .recompute = c->recompute, .sp = c->sp};
    all->list[all->count++] = r;
    r->possible = compile(all, r) == YOKE_OK;
    all->effort += COMPILE_S * all->compiled_units * c->tp * c->cp;
    return r->possible ? r : NULL;
}

/* Of a movement along a group, where its links carry nothing else: of the groups that the compiled stages
 * have, those whose members lie worst. */
static double worst_seconds(const yki_reference *r, const yki_timed *step)
{
    double worst = 0;
    for (int i = 0; i < r->of.classes.nmeetings; i++)
        if (r->of.classes.meetings[i].group == step->at)
            worst = fmax(worst, yki_movement_seconds(&r->of.costs, &r->of.classes.meetings[i], step));
    return worst;
}

/* Of a body that is alone: kernels, and waiting for movements. */
static double walk(const yki_reference *r, const yki_lowered *code)
{
    enum { UNDER_WAY = 64 };
    double now = 0, last = 0, ends[UNDER_WAY] = {0};
    for (int i = 0; i < code->count; i++) {
        const yki_timed *step = &code->steps[i];
        if (step->kind == YKI_STEP_COMPUTE) now += step->seconds;
        if (step->kind == YKI_STEP_START) {
            last = now + worst_seconds(r, step);
            if (step->request >= 0) ends[step->request % UNDER_WAY] = last;
        }
        if (step->kind == YKI_STEP_WAIT)
            now = fmax(now, step->request >= 0 ? ends[step->request % UNDER_WAY] : last);
    }
    return now;
}

typedef struct times_of {
    double kernels[3], walked; /* of F, B, W; of all three */
    double walked_forward;
} times_of;

static bool time_unit(yki_reference *r, int unit, int64_t samples, times_of *out)
{
    static const yki_body bodies[] = {YKI_BODY_F, YKI_BODY_B, YKI_BODY_W};
    int class = class_of(r, unit);
    *out = (times_of){.walked = 0};
    for (int k = 0; k < 3; k++) {
        const yki_lowered *code = yki_work_of_body(&r->of.works, class, 0, bodies[k], samples);
        if (!code) return false;
        double walked = walk(r, code);
        out->kernels[k] = code->busy.bodies;
        out->walked += walked;
        if (k == 0) out->walked_forward = walked;
    }
    return true;
}

const yki_unit_times *yki_reference_times(yki_references *all, yki_reference *r, int64_t samples)
{
    for (yki_unit_times *t = r->times; t; t = t->next)
        if (t->samples == samples) return t;
    int few = all->compiled_units;
    size_t n = (size_t)all->units.count + 1;
    yki_unit_times *t = yki_arena_alloc(&all->arena, sizeof *t);
    double *sums = yki_arena_alloc(&all->arena, sizeof *sums * 5 * n);
    times_of *own = yki_arena_alloc(&all->arena, sizeof *own * (size_t)few);
    if (!t || !sums || !own) return NULL;
    for (int i = 0; i < few; i++)
        if (!time_unit(r, i, samples, &own[i])) return NULL;
    *t = (yki_unit_times){samples, sums, sums + n, sums + 2 * n, sums + 3 * n, sums + 4 * n, r->times};
    for (int i = 0; i < all->units.count; i++) {
        const times_of *of = &own[compiled_unit(all, i)];
        t->forward[i + 1] = t->forward[i] + of->kernels[0];
        t->input[i + 1] = t->input[i] + of->kernels[1];
        t->weight[i + 1] = t->weight[i] + of->kernels[2];
        t->with_forward[i + 1] = t->with_forward[i] + of->walked_forward;
        t->with_backward[i + 1] = t->with_backward[i] + of->walked - of->walked_forward;
    }
    return r->times = t;
}
