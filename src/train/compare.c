/* compare: one job under several strategies, one after the other, with the same batches and first weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "job/job.h"
#include "train/trainer.h"

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

/* What limits a row, from its idle share, moved bytes and the speed of the others. */
static void explain(const yoke_job *job, const yoke_comparison *c, yoke_compare_row *row,
                    const yoke_run_report *report)
{
    char moved[24];
    yki_size_print(moved, (double)report->moved_bytes_per_step);
    int n = report->ndevices, idle = (int)lround(100 * report->idle_fraction),
        simulated = (int)lround(100 * report->simulated_idle_fraction);
    double rate =
        report->step_ms_median > 0 ? (double)report->moved_bytes_per_step / report->step_ms_median / 1e6 : 0;
    /* what a device computes between two waits */
    double us = report->step_ms_median * 1e3 * (1 - report->idle_fraction) / (2 * row->layout.microbatches);
    char wait[120];
    snprintf(wait, sizeof wait, ", waiting for each other%s",
             us < 200 ? ": there is too little to compute between two messages" : "");
    char layout[180];
    yoke_layout plain = row->layout;
    plain.device_memory_bytes = 0;
    if (row->threads == c->threads) plain.threads = 0;
    if (has_devices(job) && !strcmp(row->strategy, "model")) plain.pp = 1; /* the layers say where */
    yoke_layout_print(&plain, layout, sizeof layout);
    snprintf(row->more, sizeof row->more, "yoke train %.180s --layout %s", job->path,
             layout[0] ? layout : "dp=1");
    if (n == 1)
        snprintf(row->limit, sizeof row->limit,
                 "one device with %d thread%s: nothing moves; the arithmetic of one device is the limit",
                 row->threads, row->threads == 1 ? "" : "s");
    else if (report->moved_pp > 0 && report->simulated_idle_fraction > 0.2) {
        snprintf(row->limit, sizeof row->limit,
                 "devices idle %d %% of the step, %d %% by the schedule alone (its bubble)%s", idle,
                 simulated, idle > simulated + 15 ? wait : "; more micro-batches would fill it");
        snprintf(row->more, sizeof row->more, "yoke schedule %.200s --stages %d --microbatches %d", job->path,
                 row->layout.pp, row->layout.microbatches);
        if (has_devices(job) && !strcmp(row->strategy, "model"))
            snprintf(row->more, sizeof row->more, "yoke schedule %.200s", job->path);
    } else if (report->idle_fraction > 0.1)
        snprintf(row->limit, sizeof row->limit,
                 "devices idle %d %% of the step%s, and %s move (%.2f GB/s over all)", idle, wait, moved,
                 rate);
    else
        snprintf(row->limit, sizeof row->limit,
                 "devices are busy %d %% of the step: arithmetic is the limit; moving %s costs little",
                 100 - idle, moved);
}

/* Largest relative difference of a row's losses from the first row's. */
static double loss_difference(const double *losses, const double *base, int64_t count)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(losses[i] - base[i]) / fmax(fabs(base[i]), 1e-12));
    return worst;
}

static yoke_status run_row(const yoke_job *job, yoke_comparison *c, yoke_compare_row *row, double *base)
{
    yoke_job quiet = *job; /* shallow: no checkpoints */
    quiet.checkpoint.dir[0] = '\0';
    quiet.layout = row->layout;
    bool by_device = has_devices(job) && !strcmp(row->strategy, "model");
    yki_trainer_options options = {
        .job = &quiet, .layout = &row->layout, .steps = c->steps, .ignore_devices = !by_device};
    yoke_trainer *trainer;
    yoke_status status = yki_trainer_create(&trainer, &options);
    if (status != YOKE_OK) return status;
    status = yoke_trainer_run(trainer, c->steps, NULL, NULL);
    yoke_run_report report;
    if (status == YOKE_OK) status = yoke_trainer_report(trainer, &report);
    if (status == YOKE_OK) {
        int64_t first, count;
        const double *losses = yoke_trainer_losses(trainer, &first, &count);
        row->step_ms = report.step_ms_median;
        row->samples_per_s = report.samples_per_s;
        row->idle_fraction = report.idle_fraction;
        row->moved_bytes_per_step = report.moved_bytes_per_step;
        for (int i = 0; i < report.ndevices; i++)
            if (report.devices[i].predicted_peak_bytes > row->predicted_peak_bytes) {
                row->predicted_peak_bytes = report.devices[i].predicted_peak_bytes;
                row->measured_peak_bytes = report.devices[i].measured_peak_bytes;
            }
        if (by_device) row->layout.pp = yki_job_parts(job);
        if (row == c->rows) memcpy(base, losses, sizeof *base * (size_t)count);
        row->max_loss_rel_diff =
            c->rows[0].status == YOKE_ROW_OK ? loss_difference(losses, base, count) : NAN;
        row->speedup = c->rows[0].status == YOKE_ROW_OK && c->rows[0].step_ms > 0
                           ? c->rows[0].step_ms / row->step_ms
                           : NAN;
        explain(job, c, row, &report);
    }
    yoke_error error = *yoke_error_get();
    yoke_trainer_destroy(trainer);
    if (status != YOKE_OK) yki_error_set(&error);
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

/* Whether the job itself is at fault: its model or its data cannot be made. */
static yoke_status check_job(const yoke_job *job)
{
    yki_trainer_options options = {.job = job, .steps = 1, .inference = true, .ignore_devices = true};
    yoke_layout one = YOKE_LAYOUT_DEFAULT;
    options.layout = &one;
    yoke_trainer *trainer;
    YKI_TRY(yki_trainer_create(&trainer, &options));
    yoke_trainer_destroy(trainer);
    return YOKE_OK;
}

yoke_status yoke_compare(const yoke_job *job, int devices, int nlayouts, const char *const *layouts,
                         int64_t steps, void (*progress)(void *context, const char *strategy), void *context,
                         yoke_comparison **comparison_out)
{
    YKI_NEED(job, comparison_out);
    if (nlayouts < 0 || (nlayouts > 0 && !layouts))
        return yki_fail(YOKE_INVALID, "yoke_compare: %d layouts, and they are NULL", nlayouts);
    enum { LONGEST = 20 };
    if (devices < 1 || devices > YOKE_MAX_DEVICES)
        return yki_fail(YOKE_INVALID, "--devices %d: must be 1 to %d", devices, YOKE_MAX_DEVICES);
    YKI_TRY(check_job(job));
    yoke_comparison *c = calloc(1, sizeof *c);
    double *base = NULL;
    yoke_status status = c ? YOKE_OK : yki_fail_memory("a comparison");
    if (status == YOKE_OK) {
        c->cores = yki_backend_get("cpu")->count();
        c->devices = devices;
        c->threads = c->cores / devices > 1 ? c->cores / devices : 1;
        c->steps = steps > 0                                            ? steps
                   : job->train.steps > 0 && job->train.steps < LONGEST ? job->train.steps
                                                                        : LONGEST;
        c->warmup = c->steps > 4 ? 2 : c->steps > 1 ? 1 : 0;
        c->rows = calloc((size_t)(6 + nlayouts), sizeof *c->rows);
        base = calloc((size_t)c->steps, sizeof *base);
        status = c->rows && base ? plan_rows(job, c, nlayouts, layouts) : yki_fail_memory("a comparison");
    }
    for (int i = 0; status == YOKE_OK && i < c->nrows; i++) {
        if (progress) progress(context, c->rows[i].strategy);
        yoke_status row = run_row(job, c, &c->rows[i], base);
        if (row != YOKE_OK) refuse(&c->rows[i], row);
    }
    free(base);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yoke_comparison_destroy(c);
        yki_error_set(&error);
        return status;
    }
    *comparison_out = c;
    return YOKE_OK;
}

void yoke_comparison_destroy(yoke_comparison *comparison)
{
    if (!comparison) return;
    free(comparison->rows);
    free(comparison);
}
