/* Steps of a job, recorded as traces record them: what each kernel took, by its shape. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/signature.h"
#include "base/fail.h"
#include "bench/bench.h"
#include "job/job.h"
#include "predict/measured.h"
#include "train/trainer.h"

enum { MOST_OVERRIDES = 64, WARM = 2, LEAST_STEPS = 5, MOST_STEPS = 100 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One launch that was timed, or one instruction that is several: their mean. */
typedef struct sample {
    yoke_machine_kernel shape;
    double ns;
    int launches;
} sample;

typedef struct recording {
    const yki_plan *plan;
    sample *samples;
    int count, room;
    double *gaps; /* between a launch and the next, ns */
    int ngaps, gap_room;
    bool failed;
} recording;

static int by_shape(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    int order = memcmp(&x->shape, &y->shape, sizeof x->shape);
    return order ? order : (x->ns > y->ns) - (x->ns < y->ns);
}

static void add(recording *r, const yki_launch *launch, double ns, int launches)
{
    if (r->count == r->room) {
        int room = 2 * r->room + 1024;
        sample *more = realloc(r->samples, sizeof *more * (size_t)room);
        if (!more) {
            r->failed = true;
            return;
        }
        r->samples = more, r->room = room;
    }
    sample *s = &r->samples[r->count++];
    memset(s, 0, sizeof *s);
    s->shape.kernel = (int)launch->kernel;
    s->shape.threads = r->plan->options.threads;
    s->shape.precision = yki_precision_of(yki_launch_is_half(launch));
    yki_launch_dims(launch, s->shape.dims);
    s->ns = ns, s->launches = launches;
}

/* A kernel on what a rank keeps, run after run: one launch of their mean. */
static void add_states(recording *r, const yki_program *program, const yki_states *states,
                       const yki_instruction *in, double ns)
{
    const struct yki_do_states *of = &in->as.states;
    yki_launch launch = {.kernel = (yki_kernel)in->op, .nviews = of->ntensors};
    int64_t launches = 0, elems = 0;
    for (int i = 0; i < of->nparameters; i++) {
        const yki_kept *kept = &states->kept[of->parameters[i]];
        launches += kept->runs, elems += kept->runs * kept->run_elems;
    }
    for (int v = 0; v < of->ntensors && launches > 0; v++)
        if (of->tensors[v] != YKI_TENSOR_NONE)
            launch.views[v] =
                (yki_view){.dtype = yki_tensor_dtype(r->plan, program, of->tensors[v], of->parameters[0]),
                           .ndim = 1,
                           .dims = {elems / launches}};
    if (elems > 0) add(r, &launch, ns / (double)launches, (int)launches);
}

/* From one row's end to the next one's start: what the host takes to get from one to the other. */
static void add_gap(recording *r, double ns)
{
    if (r->ngaps == r->gap_room) {
        int room = 2 * r->gap_room + 1024;
        double *more = realloc(r->gaps, sizeof *more * (size_t)room);
        if (!more) {
            r->failed = true;
            return;
        }
        r->gaps = more, r->gap_room = room;
    }
    r->gaps[r->ngaps++] = ns;
}

static void add_rows(recording *r, int rank, const yki_traced_step *step)
{
    const yki_program *program = yki_plan_program(r->plan, rank);
    int64_t samples = 0;
    for (int i = 0; i < step->count; i++) {
        const yki_traced *row = &step->rows[i];
        bool follows = i > 0 && row->kind == YKI_TRACED_INSTRUCTION && row[-1].kind == YKI_TRACED_INSTRUCTION;
        if (follows) add_gap(r, row->start_ns - row[-1].end_ns);
        if (row->kind == YKI_TRACED_ACTION) samples = row->amount;
        if (row->kind != YKI_TRACED_INSTRUCTION) continue;
        const yki_instruction *in = row->of.instruction;
        double ns = row->end_ns - row->start_ns;
        if (in->kind == YKI_DO_STATES) {
            add_states(r, program, yki_rank_states(r->plan, rank), in, ns);
            continue;
        }
        if (in->kind != YKI_DO_KERNEL) continue;
        yki_launch launch;
        yki_instruction_shapes(in, samples, &launch);
        add(r, &launch, ns, 1);
    }
}

/* Samples of the same shape become a row. */
static yoke_status sum_up(recording *r, int steps, int ranks, yki_bench_steps *out)
{
    if (r->failed || r->count == 0) return yki_fail_memory("times of kernels");
    qsort(r->samples, (size_t)r->count, sizeof *r->samples, by_shape);
    out->rows = calloc((size_t)r->count, sizeof *out->rows);
    if (!out->rows) return yki_fail_memory("times of kernels");
    for (int i = 0, end; i < r->count; i = end) {
        const sample *first = &r->samples[i];
        double sum = 0, launches = 0;
        for (end = i; end < r->count; end++) {
            if (memcmp(&r->samples[end].shape, &first->shape, sizeof first->shape) != 0) break;
            sum += r->samples[end].ns * r->samples[end].launches;
            launches += r->samples[end].launches;
        }
        yki_bench_row *row = &out->rows[out->nrows++];
        *row = (yki_bench_row){.shape = first->shape, .ns = r->samples[(i + end) / 2].ns};
        row->each = launches / steps;
        out->kernel_s += row->ns * 1e-9 * row->each / ranks;
        out->kernel_mean_s += sum * 1e-9 / steps / ranks;
    }
    return YOKE_OK;
}

/* The median step, how far half of them are from it, and what a step takes before its first row and behind
 * its last. */
static yoke_status judge_steps(const yoke_trainer *trainer, const yki_trace *trace, int64_t steps,
                               yki_bench_steps *out)
{
    double *of = trainer->step_seconds + (trainer->next_step - trainer->first_step) - steps;
    double *beside = malloc(sizeof *beside * (size_t)steps);
    if (!beside) return yki_fail_memory("times of steps");
    for (int64_t i = 0; i < steps; i++) {
        const yki_traced_step *step = yki_trace_step(trace, i);
        double first = step->rows[0].start_ns, last = step->rows[step->count - 1].end_ns;
        beside[i] = of[i] - (last - first) * 1e-9;
    }
    qsort(beside, (size_t)steps, sizeof *beside, by_value);
    qsort(of, (size_t)steps, sizeof *of, by_value);
    out->beside_s = fmax(beside[steps / 2], 0);
    out->step_s = of[steps / 2];
    out->spread = (of[3 * steps / 4] - of[steps / 4]) / of[steps / 2];
    free(beside);
    return YOKE_OK;
}

static yoke_status sum_up_all(const yoke_trainer *trainer, recording *r, yki_bench_steps *out)
{
    int ranks = trainer->plan->mesh.nranks;
    double origin;
    const yki_trace *first = yki_run_traced(trainer->run, 0, &origin);
    int64_t held = first->recorded < first->nsteps ? first->recorded : first->nsteps;
    for (int rank = 0; rank < ranks; rank++)
        for (int64_t i = 0; i < held; i++)
            add_rows(r, rank, yki_trace_step(yki_run_traced(trainer->run, rank, &origin), i));
    YKI_TRY(sum_up(r, (int)held, ranks, out));
    if (r->ngaps > 0) {
        qsort(r->gaps, (size_t)r->ngaps, sizeof *r->gaps, by_value);
        out->launch_s = fmax(r->gaps[r->ngaps / 2] * 1e-9, 0);
    }
    return judge_steps(trainer, first, held, out);
}

static yoke_status run_steps(yoke_trainer *trainer, double seconds, yki_bench_steps *out)
{
    YKI_TRY(yoke_trainer_run(trainer, WARM, NULL, NULL));
    int64_t first = trainer->next_step, steps = (int64_t)(seconds / trainer->step_seconds[WARM - 1]);
    recording r = {.plan = trainer->plan};
    steps = steps < LEAST_STEPS ? LEAST_STEPS : steps > MOST_STEPS ? MOST_STEPS : steps;
    YKI_TRY(yki_run_trace(trainer->run, first, first + steps - 1, steps, 256 << 20));
    yoke_status status = yoke_trainer_run(trainer, steps, NULL, NULL);
    if (status == YOKE_OK) status = sum_up_all(trainer, &r, out);
    yki_run_trace_end(trainer->run);
    free(r.samples);
    free(r.gaps);
    return status;
}

static yoke_status load(const yki_bench_job *of, const char *layout, int threads, int batch_times,
                        yoke_job **job_out)
{
    const char *all[MOST_OVERRIDES];
    char steps[64];
    int n = 0;
    for (; n < of->noverrides && n < MOST_OVERRIDES - 8; n++) all[n] = of->overrides[n];
    snprintf(steps, sizeof steps, "train.steps=%d", WARM + MOST_STEPS);
    all[n++] = steps;
    yoke_status (*const read)(const char *, int, const char *const *, yoke_job **) =
        of->text ? yki_job_of_text : yoke_job_load;
    YKI_TRY(read(of->text ? of->text : of->path, n, all, job_out));
    yoke_job *job = *job_out;
    job->train.batch *= batch_times;
    job->checkpoint.dir[0] = '\0'; /* its steps alone */
    job->train.eval_every = 0;
    yoke_layout_default(&job->layout);
    job->layout.threads = threads;
    yoke_status status = *layout ? yoke_layout_parse(&job->layout, layout) : YOKE_OK;
    if (status == YOKE_OK) status = yki_job_resolve_devices(job);
    if (status == YOKE_OK) status = yki_job_check_batch(job);
    if (status != YOKE_OK) yoke_job_destroy(job);
    return status;
}

yoke_status yki_bench_run(const yki_bench_job *job, const char *layout, int threads, int batch_times,
                          double seconds, yki_bench_steps *out)
{
    yoke_job *made = NULL;
    yoke_trainer *trainer = NULL;
    *out = (yki_bench_steps){0};
    YKI_TRY(load(job, layout, threads, batch_times, &made));
    yki_trainer_options options = {.job = made, .ignore_devices = true, .alone = true};
    yoke_status status = yki_trainer_create(&trainer, &options);
    if (status == YOKE_OK) status = run_steps(trainer, seconds, out);
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(made);
    if (status != YOKE_OK) yki_bench_steps_release(out);
    return status;
}

void yki_bench_steps_release(yki_bench_steps *steps)
{
    free(steps->rows);
    *steps = (yki_bench_steps){0};
}
