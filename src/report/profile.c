/* What each kernel took in the steps that a trace has, beside the least that it could have taken: its
 * arithmetic at the rate of a large product, or its operands at that of memory of their size. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "predict/predict.h"
#include "report/trace.h"

/* Sums over this process's ranks. */
typedef struct kernel {
    int op;
    double *ms; /* by step */
    double calls, bound_s, bound_bytes_s;
} kernel;

typedef struct profiling {
    const yki_plan *plan;
    yki_roof roof;
    int64_t skip, nsteps; /* of those recorded: from where on, and how many */
    int nranks, nkernels, ckernels;
    kernel *kernels;
    double *steps_ms;
} profiling;

/* NULL: memory. */
static kernel *find(profiling *p, int op)
{
    for (int i = 0; i < p->nkernels; i++)
        if (p->kernels[i].op == op) return &p->kernels[i];
    if (p->nkernels == p->ckernels) {
        int room = 2 * p->ckernels + 32;
        kernel *more = realloc(p->kernels, sizeof *more * (size_t)room);
        if (!more) return NULL;
        p->kernels = more, p->ckernels = room;
    }
    kernel *made = &p->kernels[p->nkernels];
    *made = (kernel){.op = op, .ms = calloc((size_t)p->nsteps, sizeof *made->ms)};
    if (!made->ms) return NULL;
    p->nkernels++;
    return made;
}

/* Where a rank is in a step. */
typedef struct reading {
    profiling *p;
    int rank, place[YKI_AXIS_COUNT];
    const yki_program *program;
    const yoke_action *action; /* NULL: the step's end */
    int64_t samples;
} reading;

static double bound_of(const reading *r, const yki_instruction *in, bool *of_bytes)
{
    const yki_plan *plan = r->p->plan;
    yki_launch launch;
    yki_attr own;
    if (in->kind == YKI_DO_STATES) {
        const yki_group *replicas = &plan->groups[YKI_GROUP_REPLICAS];
        *of_bytes = true;
        if (in->as.states.first_alone && yki_group_first(&plan->mesh, replicas, r->place) != r->rank)
            return 0;
        const yki_states *states = yki_rank_states(plan, r->rank);
        return yki_roof_seconds(&r->p->roof, 0, yki_states_bytes(plan, r->program, states, in, NULL),
                                of_bytes);
    }
    if (in->kind == YKI_DO_LOAD) {
        yki_view view = yki_operand_view(&in->operands[0], r->samples);
        double bytes = 2.0 * (double)yki_view_elems(&view) * (double)yki_dtype_bytes(view.dtype);
        return yki_roof_seconds(&r->p->roof, 0, bytes, of_bytes);
    }
    yki_instruction_shapes(in, r->samples, &launch);
    if (r->action && yki_lane_attr(plan, yki_mesh_lane(&plan->mesh, r->place),
                                   r->program->parts[r->action->chunk].part, in, &own))
        launch.attr = &own;
    return yki_roof_seconds(&r->p->roof, yki_launch_flops(&launch), yki_launch_bytes(&launch), of_bytes);
}

static yoke_status add_row(reading *r, const yki_traced *row, int64_t step)
{
    bool of_bytes;
    if (row->kind == YKI_TRACED_ACTION) r->action = row->of.action, r->samples = row->amount;
    if (row->kind == YKI_TRACED_END) r->action = NULL, r->samples = 0;
    if (row->kind != YKI_TRACED_INSTRUCTION || yki_moves(row->of.instruction)) return YOKE_OK;
    bool loads = row->of.instruction->kind == YKI_DO_LOAD;
    kernel *k = find(r->p, loads ? YKI_OP_INPUT : row->of.instruction->op);
    if (!k) return yki_fail_memory("a profile");
    double bound = bound_of(r, row->of.instruction, &of_bytes);
    k->ms[step] += (row->end_ns - row->start_ns) * 1e-6;
    k->calls++;
    k->bound_s += bound;
    if (of_bytes) k->bound_bytes_s += bound;
    return YOKE_OK;
}

static yoke_status add_ring(profiling *p, int rank, const yki_trace *ring)
{
    reading r = {.p = p, .rank = rank, .program = yki_plan_program(p->plan, rank)};
    const yki_traced_step *step;
    yki_mesh_place(&p->plan->mesh, rank, r.place);
    for (int64_t i = 0; i < p->nsteps && (step = yki_trace_step(ring, p->skip + i)); i++) {
        p->steps_ms[i] += (step->end_ns - step->start_ns) * 1e-6;
        for (int k = 0; k < step->count; k++) YKI_TRY(add_row(&r, &step->rows[k], i));
    }
    p->nranks++;
    return YOKE_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

static int by_ms(const void *a, const void *b)
{
    double x = ((const yoke_profile_row *)a)->ms, y = ((const yoke_profile_row *)b)->ms;
    return (y > x) - (y < x);
}

static yoke_status tell(profiling *p, yoke_profile *out)
{
    double of = (double)p->nranks * (double)p->nsteps, bound = 0;
    out->rows = calloc((size_t)p->nkernels + 1, sizeof *out->rows);
    if (!out->rows) return yki_fail_memory("a profile");
    for (int i = 0; i < p->nkernels; i++) {
        kernel *k = &p->kernels[i];
        yoke_profile_row *row = &out->rows[out->nrows++];
        snprintf(row->kernel, sizeof row->kernel, "%s", k->op == YKI_OP_INPUT ? "load" : yki_op_name(k->op));
        row->calls = k->calls / of;
        row->ms = median(k->ms, p->nsteps) / p->nranks;
        row->bound_ms = 1e3 * k->bound_s / of;
        row->of_bytes = 2 * k->bound_bytes_s > k->bound_s;
        bound += row->bound_ms;
    }
    qsort(out->rows, (size_t)out->nrows, sizeof *out->rows, by_ms);
    out->steps = p->nsteps;
    out->ranks = p->nranks;
    out->step_ms = median(p->steps_ms, p->nsteps) / p->nranks;
    out->roofline_share = out->step_ms > 0 ? bound / out->step_ms : NAN;
    return YOKE_OK;
}

/* The steps that all rings have whole, without those in which all is touched for the first time. */
static int64_t choose_steps(profiling *p, const yoke_trainer *trainer)
{
    double unused;
    int64_t least = INT64_MAX, count;
    const yki_traced_step *first = NULL;
    for (int r = 0; r < p->plan->mesh.nranks; r++) {
        const yki_trace *ring = yki_run_traced(trainer->run, r, &unused);
        if (!ring) continue;
        const yki_traced_step *step;
        for (count = 0; (step = yki_trace_step(ring, count)) && step->complete; count++) continue;
        least = count < least ? count : least;
        first = yki_trace_step(ring, 0);
    }
    if (!first || least == 0) return 0;
    if (first->step == trainer->first_step) p->skip = least > 4 ? 2 : least > 1 ? 1 : 0;
    p->nsteps = least - p->skip;
    return p->nsteps;
}

static yoke_status profile(profiling *p, const yoke_trainer *trainer, yoke_profile *out)
{
    double unused;
    YKI_TRY(yki_measure_roof(p->plan, &p->roof));
    p->steps_ms = calloc((size_t)p->nsteps, sizeof *p->steps_ms);
    if (!p->steps_ms) return yki_fail_memory("a profile");
    for (int r = 0; r < p->plan->mesh.nranks; r++) {
        const yki_trace *ring = yki_run_traced(trainer->run, r, &unused);
        if (ring) YKI_TRY(add_ring(p, r, ring));
    }
    return tell(p, out);
}

yoke_status yoke_trace_profile(const yoke_trace *trace, yoke_profile **profile_out)
{
    YKI_NEED(trace, profile_out);
    const yoke_trainer *trainer = yki_trace_trainer(trace);
    profiling p = {.plan = trainer->plan};
    yoke_profile *out = calloc(1, sizeof *out);
    if (!out) return yki_fail_memory("a profile");
    out->roofline_share = NAN;
    yoke_status status = choose_steps(&p, trainer) > 0 ? profile(&p, trainer, out) : YOKE_OK;
    for (int i = 0; i < p.nkernels; i++) free(p.kernels[i].ms);
    free(p.kernels);
    free(p.steps_ms);
    if (status == YOKE_OK)
        *profile_out = out;
    else
        yoke_profile_destroy(out);
    return status;
}

void yoke_profile_destroy(yoke_profile *profile)
{
    if (!profile) return;
    free(profile->rows);
    free(profile);
}
