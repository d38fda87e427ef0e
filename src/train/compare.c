/* compare: one job under several strategies, in rounds of one after the other, with the same batches and
 * first weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/fail.h"
#include "job/job.h"
#include "predict/explain.h"
#include "train/trainer.h"
#include "yoke/planning.h"

static bool has_devices(const yoke_job *job)
{
    return yki_job_parts(job) > 0;
}

/* The most micro-batches up to 4N whose number divides the batch. */
static int most_microbatches(int64_t batch, int n)
{
    for (int m = 4 * n; m > 1; m--)
        if (batch % m == 0) return m;
    return 1;
}

static yoke_compare_row *add_row(yoke_comparison *c, const char *name)
{
    yoke_layout one = YOKE_LAYOUT_DEFAULT;
    yoke_compare_row *row = &c->rows[c->nrows++];
    snprintf(row->strategy, sizeof row->strategy, "%s", name);
    row->layout = one;
    row->layout.threads = row->threads = c->threads;
    return row;
}

static yoke_status plan_rows(const yoke_job *job, yoke_comparison *c, int nlayouts,
                             const char *const *layouts)
{
    int n = c->devices;
    add_row(c, "single");
    add_row(c, "data")->layout.dp = n;
    yoke_compare_row *model = add_row(c, "model");
    if (!has_devices(job)) model->layout.pp = n;
    yoke_compare_row *pipeline = add_row(c, "pipeline");
    pipeline->layout.pp = n;
    pipeline->layout.microbatches = most_microbatches(job->train.batch, n);
    add_row(c, "tensor")->layout.tp = n;
    yoke_compare_row *whole = add_row(c, "whole");
    whole->layout.threads = whole->threads = c->cores;
    for (int i = 0; i < c->nrows; i++)
        c->rows[i].layout.device_memory_bytes = job->layout.device_memory_bytes;
    for (int i = 0; i < nlayouts; i++) {
        yoke_compare_row *row = add_row(c, layouts[i]);
        row->layout.threads = 0;
        YKI_TRY(yoke_layout_parse(&row->layout, layouts[i]));
        if (row->layout.threads == 0) row->layout.threads = c->threads;
        row->threads = row->layout.threads;
    }
    return YOKE_OK;
}

/* Largest relative difference of a row's losses from the first row's. */
static double loss_difference(const double *losses, const double *base, int64_t count)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(losses[i] - base[i]) / fmax(fabs(base[i]), 1e-12));
    return worst;
}

/* The timed steps of a trainer, those after the first two not among them. */
static yoke_status time_steps(yoke_trainer *trainer, const yoke_comparison *c, yki_measured *m)
{
    yki_usage begin, end;
    if (c->warmup > 0) YKI_TRY(yoke_trainer_run(trainer, c->warmup, NULL, NULL));
    yki_run_reset_idle(trainer->run);
    bool known = yki_usage_get("", &begin);
    YKI_TRY(yoke_trainer_run(trainer, c->steps - c->warmup, NULL, NULL));
    if (known && yki_usage_get("", &end)) yki_usage_add(&m->used, &begin, &end);
    int64_t timed = c->steps - c->warmup;
    memcpy(m->seconds + timed * m->rounds, trainer->step_seconds + c->warmup, sizeof(double) * (size_t)timed);
    return YOKE_OK;
}

/* What does not change from round to round. */
static void note_run(const yoke_job *job, yoke_compare_row *row, const yoke_run_report *report,
                     bool by_device)
{
    row->moved_bytes_per_step = report->moved_bytes_per_step;
    for (int i = 0; i < report->ndevices; i++)
        if (report->devices[i].predicted_peak_bytes > row->predicted_peak_bytes) {
            row->predicted_peak_bytes = report->devices[i].predicted_peak_bytes;
            row->measured_peak_bytes = report->devices[i].measured_peak_bytes;
            row->bytes = report->devices[i].bytes;
        }
    if (by_device) row->layout.pp = yki_job_parts(job);
}

/* A copy of `count` things of `size` in place of what was there; false: out of memory. */
static bool keep(void **kept, const void *things, int64_t count, size_t size)
{
    void *copy = realloc(*kept, (size_t)(count + 1) * size);
    if (!copy) return false;
    *kept = copy;
    if (count > 0) memcpy(copy, things, (size_t)count * size);
    return true;
}

/* What a round's last step was, and the first round's losses. */
static yoke_status note_course(yoke_compare_row *row, const yoke_trainer *trainer, int round)
{
    int64_t first, count;
    int nran;
    const double *losses = yoke_trainer_losses(trainer, &first, &count);
    const yoke_ran *ran = yoke_trainer_timeline(trainer, &nran);
    if (!ran || !keep((void **)&row->timeline, ran, nran, sizeof *ran) ||
        (round == 0 && !keep((void **)&row->losses, losses, count, sizeof *losses)))
        return yki_fail_memory("a comparison");
    row->ntimeline = nran;
    row->nlosses = count;
    for (int i = 0; i < nran; i++)
        row->timeline[i].device = yoke_layout_device(&trainer->plan->options.layout, ran[i].rank);
    return YOKE_OK;
}

/* What a step of the row is to take here. */
static void predict(const yoke_job *job, yoke_compare_row *row, yoke_trainer *trainer)
{
    yoke_machine *machine = NULL;
    yoke_simulation *simulation = NULL;
    row->predicted_ms = NAN;
    if (yoke_machine_of_host(job, trainer->plan->mesh.nranks, &machine) == YOKE_OK &&
        yoke_trainer_simulate(trainer, machine, &simulation) == YOKE_OK) {
        row->predicted_ms = 1e3 * simulation->step_s;
        row->calibrated = simulation->measured;
    }
    yoke_simulation_destroy(simulation);
    yoke_machine_destroy(machine);
}

/* One row in one round: a trainer of its own, so that no more than one row's memory is taken at a time. */
static yoke_status run_row(const yoke_job *job, yoke_comparison *c, yoke_compare_row *row, yki_measured *m,
                           double *base)
{
    yoke_job quiet = *job; /* shallow: no checkpoints */
    quiet.checkpoint.dir[0] = '\0';
    bool by_device = has_devices(job) && !strcmp(row->strategy, "model");
    yoke_layout layout = row->layout;
    if (by_device) layout.pp = 1; /* the layers say where */
    quiet.layout = layout;
    yki_trainer_options options = {
        .job = &quiet, .layout = &layout, .steps = c->steps, .ignore_devices = !by_device};
    yoke_trainer *trainer;
    YKI_TRY(yki_trainer_create(&trainer, &options));
    yoke_run_report report;
    if (m->rounds == 0) predict(&quiet, row, trainer);
    yoke_status status = time_steps(trainer, c, m);
    if (status == YOKE_OK) status = yoke_trainer_report(trainer, &report);
    if (status == YOKE_OK) status = note_course(row, trainer, m->rounds);
    row->limit_bytes = trainer->plan->options.device_memory_bytes;
    if (status == YOKE_OK) {
        int64_t first, count;
        const double *losses = yoke_trainer_losses(trainer, &first, &count);
        if (row == c->rows && m->rounds == 0) memcpy(base, losses, sizeof *base * (size_t)count);
        if (m->rounds == 0) row->max_loss_rel_diff = loss_difference(losses, base, count);
        note_run(job, row, &report, by_device);
        m->idle += (report.idle_fraction - m->idle) / (m->rounds + 1);
        m->simulated_idle = report.simulated_idle_fraction;
        m->moved_pp = report.moved_pp;
        m->devices = report.ndevices;
        m->rounds++;
    }
    yoke_trainer_destroy(trainer);
    return status;
}

static void refuse(yoke_compare_row *row, yoke_status status)
{
    const yoke_error *error = yoke_error_get();
    row->status = status == YOKE_INVALID        ? YOKE_ROW_REFUSED
                  : status == YOKE_DOES_NOT_FIT ? YOKE_ROW_DOES_NOT_FIT
                                                : YOKE_ROW_FAILED;
    snprintf(row->reason, sizeof row->reason, "%s%s%.890s", error->key, error->key[0] ? " " : "",
             error->message);
    row->step_ms = row->samples_per_s = row->speedup = row->idle_fraction = row->max_loss_rel_diff = NAN;
    if (error->nwould_fit > 0) snprintf(row->limit, sizeof row->limit, "would fit: %s", error->would_fit[0]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int64_t count)
{
    if (count == 0) return 0;
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The figures of a row, once all rounds are over. */
static void summarise(const yoke_job *job, yoke_comparison *c, yoke_compare_row *row, yki_measured *m)
{
    int64_t timed = c->steps - c->warmup;
    for (int r = 0; r < m->rounds; r++) {
        double ms = 1e3 * median(m->seconds + r * timed, timed);
        row->step_ms_min = r == 0 || ms < row->step_ms_min ? ms : row->step_ms_min;
        row->step_ms_max = r == 0 || ms > row->step_ms_max ? ms : row->step_ms_max;
    }
    row->step_ms = 1e3 * median(m->seconds, timed * m->rounds);
    row->samples_per_s = row->step_ms > 0 ? 1e3 * (double)job->train.batch / row->step_ms : 0;
    row->idle_fraction = m->idle;
    row->cores_taken = yki_usage_taken(&m->used);
    bool based = c->rows[0].status == YOKE_ROW_OK;
    row->speedup = based && row->step_ms > 0 ? c->rows[0].step_ms / row->step_ms : NAN;
    if (!based) row->max_loss_rel_diff = NAN;
}

/* Whether the job itself is at fault: its model, its data or its weights cannot be had. What does not fit is
 * for the rows to say, and weights that are drawn are always there. */
static yoke_status check_job(const yoke_job *job)
{
    yoke_layout one = YOKE_LAYOUT_DEFAULT;
    yki_trainer_options options = {.job = job,
                                   .layout = &one,
                                   .steps = 1,
                                   .purpose = YKI_PURPOSE_EVAL,
                                   .ignore_devices = true,
                                   .dry = true};
    for (int i = 0; i < (job->model.from[0] ? 2 : 1); i++, options.dry = false) {
        yoke_trainer *trainer;
        yoke_status status = yki_trainer_create(&trainer, &options);
        if (status == YOKE_DOES_NOT_FIT) return YOKE_OK;
        YKI_TRY(status);
        yoke_trainer_destroy(trainer);
    }
    return YOKE_OK;
}

static yoke_status measure(const yoke_job *job, yoke_comparison *c, yki_measured *measured, double *base,
                           void (*progress)(void *context, const char *strategy), void *context)
{
    int64_t timed = c->steps - c->warmup;
    for (int i = 0; i < c->nrows; i++) {
        measured[i].seconds = calloc((size_t)(timed * c->rounds), sizeof(double));
        if (!measured[i].seconds) return yki_fail_memory("a comparison");
    }
    for (int round = 0; round < c->rounds; round++)
        for (int i = 0; i < c->nrows; i++) {
            if (c->rows[i].status != YOKE_ROW_OK) continue;
            if (progress) progress(context, c->rows[i].strategy);
            yoke_status row = run_row(job, c, &c->rows[i], &measured[i], base);
            if (row != YOKE_OK) refuse(&c->rows[i], row);
        }
    for (int i = 0; i < c->nrows; i++)
        if (c->rows[i].status == YOKE_ROW_OK) summarise(job, c, &c->rows[i], &measured[i]);
    yki_compare_explain(job, c, measured);
    return YOKE_OK;
}

yoke_status yoke_compare(const yoke_job *job, int devices, int nlayouts, const char *const *layouts,
                         int64_t steps, void (*progress)(void *context, const char *strategy), void *context,
                         yoke_comparison **comparison_out)
{
    YKI_NEED(job, comparison_out);
    if (nlayouts < 0 || (nlayouts > 0 && !layouts))
        return yki_fail(YOKE_INVALID, "yoke_compare: %d layouts, and they are NULL", nlayouts);
    enum { ROUNDS = 3, LONGEST = 8 };
    if (devices < 1 || devices > YOKE_MAX_LOCAL_DEVICES)
        return yki_fail(YOKE_INVALID, "--devices %d: must be 1 to %d", devices, YOKE_MAX_LOCAL_DEVICES);
    YKI_TRY(check_job(job));
    YKI_TRY(yki_isa_check()); /* no row could run */
    yoke_comparison *c = calloc(1, sizeof *c);
    double *base = NULL;
    yki_measured *measured = NULL;
    yoke_status status = c ? YOKE_OK : yki_fail_memory("a comparison");
    if (status == YOKE_OK) {
        c->cores = yki_backend_get("cpu")->count();
        c->devices = devices;
        c->threads = c->cores / devices > 1 ? c->cores / devices : 1;
        c->rounds = ROUNDS;
        c->steps = steps > 0                                            ? steps
                   : job->train.steps > 0 && job->train.steps < LONGEST ? job->train.steps
                                                                        : LONGEST;
        c->warmup = c->steps > 4 ? 2 : c->steps > 1 ? 1 : 0;
        c->rows = calloc((size_t)(6 + nlayouts), sizeof *c->rows);
        measured = calloc((size_t)(6 + nlayouts), sizeof *measured);
        base = calloc((size_t)c->steps, sizeof *base);
        status = c->rows && measured && base ? plan_rows(job, c, nlayouts, layouts)
                                             : yki_fail_memory("a comparison");
    }
    if (status == YOKE_OK) status = measure(job, c, measured, base, progress, context);
    for (int i = 0; measured && i < 6 + nlayouts; i++) free(measured[i].seconds);
    free(measured);
    free(base);
    if (status != YOKE_OK) {
        yoke_comparison_destroy(c);
        return status;
    }
    *comparison_out = c;
    return YOKE_OK;
}

void yoke_comparison_destroy(yoke_comparison *comparison)
{
    if (!comparison) return;
    for (int i = 0; comparison->rows && i < comparison->nrows; i++) {
        free(comparison->rows[i].losses);
        free(comparison->rows[i].timeline);
    }
    free(comparison->rows);
    free(comparison);
}
