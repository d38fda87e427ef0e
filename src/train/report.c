/* What a run was: times, bytes, idle shares, actions; and the devices of this machine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/machine.h"
#include "base/fail.h"
#include "predict/predict.h"
#include "train/trainer.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Steps that no time is measured of. */
static int64_t warm_up(int64_t count)
{
    return count > 4 ? 2 : count > 1 ? 1 : 0;
}

/* Median of the steps after the first two, of all where there are no more. */
static double median_seconds(const yoke_trainer *trainer)
{
    int64_t count = trainer->next_step - trainer->first_step, skip = warm_up(count);
    if (count == 0) return 0;
    size_t n = (size_t)(count - skip);
    double *sorted = malloc(sizeof *sorted * n);
    if (!sorted) return trainer->step_seconds[count - 1];
    memcpy(sorted, trainer->step_seconds + skip, sizeof *sorted * n);
    qsort(sorted, n, sizeof *sorted, by_value);
    double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    free(sorted);
    return median;
}

yoke_device_report yki_device_report(const yoke_trainer *trainer, int rank)
{
    const yki_plan *plan = trainer->plan;
    const yoke_layout *layout = &plan->options.layout;
    int place[YKI_AXIS_COUNT];
    yki_mesh_place(&plan->mesh, rank, place);
    yoke_device_report d = {.rank = rank,
                            .dp = place[YKI_AXIS_DP],
                            .tp = place[YKI_AXIS_TP],
                            .pp = place[YKI_AXIS_PP],
                            .cp = place[YKI_AXIS_CP],
                            .predicted_peak_bytes = yki_rank_states(plan, rank)->total_bytes,
                            .measured_peak_bytes =
                                trainer->run ? yki_run_measured_bytes(trainer->run, rank) : 0,
                            .bytes = yki_rank_states(plan, rank)->bytes,
                            .idle_fraction = trainer->run ? yki_run_idle(trainer->run, rank) : NAN};
    yoke_layout_device_name(layout, rank, d.name);
    yki_plan_stage_layers(plan, yki_plan_program(plan, rank)->stage, d.layers, sizeof d.layers);
    return d;
}

/* Of a step's batch, over those that the median is of: an epoch's last one may have fewer. */
static double mean_samples(const yoke_trainer *trainer)
{
    int64_t count = trainer->next_step - trainer->first_step, sum = 0, skip = warm_up(count);
    for (int64_t i = skip; i < count; i++)
        sum += yki_order_batch_count(&trainer->order, trainer->first_step + i);
    return (double)sum / (double)(count - skip);
}

/* How the losses of this run went: its first step's, and the mean of its last ones, a tenth of them. */
static void tell_losses(const yoke_trainer *trainer, yoke_run_report *report)
{
    enum { MOST = 100, FEW = 5 };
    const double clearly = 1.1; /* batches differ */
    int64_t count = trainer->next_step - trainer->first_step, last = (count + 9) / 10;
    double sum = 0;
    report->first_loss = report->recent_loss = NAN;
    for (int64_t i = 0; i < count && isnan(report->first_loss); i++) report->first_loss = trainer->losses[i];
    last = last > MOST ? MOST : last;
    for (int64_t i = count - last; i < count; i++)
        if (!isnan(trainer->losses[i])) sum += trainer->losses[i], report->recent++;
    if (report->recent > 0) report->recent_loss = sum / (double)report->recent;
    double before = report->first_loss;
    for (int64_t i = 0; i < FEW && i < count && trainer->first_step > 0; i++)
        before = fmax(before, trainer->losses[i]); /* what has learnt may meet an easy batch first */
    int64_t needed = trainer->first_step > 0 ? 2 * FEW : FEW;
    report->diverged = count >= needed && report->recent_loss > clearly * before;
}

yoke_status yoke_trainer_report(yoke_trainer *trainer, yoke_run_report *report_out)
{
    YKI_NEED(trainer, report_out);
    const yki_plan *plan = trainer->plan;
    double seconds = median_seconds(trainer), idle = 0;
    const int64_t *moved = trainer->moved;
    YKI_TRY(yki_run_collect(trainer->run));
    for (int r = 0; r < plan->mesh.nranks; r++) {
        trainer->devices[r] = yki_device_report(trainer, r);
        idle += trainer->devices[r].idle_fraction / plan->mesh.nranks;
    }
    double samples = seconds > 0 ? mean_samples(trainer) / seconds : 0;
    *report_out = (yoke_run_report){
        .saves = trainer->saves,
        .failed_saves = trainer->failed_saves,
        .staging_bytes = yki_trainer_staging_bytes(trainer),
        .save_seconds = trainer->save_seconds,
        .steps_done = trainer->next_step,
        .step_ms_median = seconds * 1e3,
        .samples_per_s = samples,
        .tokens_per_s = trainer->model->is_sequence ? samples * (double)trainer->input_bytes / 4 : 0,
        .idle_fraction = idle,
        .simulated_idle_fraction = yki_predict_idle(trainer->plan),
        .moved_dp = moved[YKI_AXIS_DP],
        .moved_tp = moved[YKI_AXIS_TP],
        .moved_pp = moved[YKI_AXIS_PP],
        .moved_cp = moved[YKI_AXIS_CP],
        .moved_bytes_per_step =
            moved[YKI_AXIS_DP] + moved[YKI_AXIS_TP] + moved[YKI_AXIS_PP] + moved[YKI_AXIS_CP],
        .ndevices = plan->mesh.nranks,
        .devices = trainer->devices,
        .steps_total = trainer->steps,
        .skipped = trainer->skipped - trainer->skipped_before,
        .stopped_early = trainer->stopped_early,
        .best_step = trainer->standing.least_step > 0 ? trainer->standing.least_step : -1,
        .best_loss = trainer->standing.least_loss,
        .evaluation_seconds = trainer->evaluation_seconds,
        .limit_bytes = plan->options.device_memory_bytes,
        .predicted_ms = trainer->predicted_s > 0 ? 1e3 * trainer->predicted_s : NAN,
        .calibrated = trainer->calibrated};
    tell_losses(trainer, report_out);
    return YOKE_OK;
}

yoke_status yoke_trainer_simulate(yoke_trainer *trainer, const yoke_machine *machine,
                                  yoke_simulation **simulation_out)
{
    YKI_NEED(trainer, machine, simulation_out);
    yoke_simulation *out = calloc(1, sizeof *out);
    if (!out) return yki_fail_memory("a simulation");
    int64_t tokens = trainer->model->is_sequence ? (int64_t)trainer->input_bytes / 4 : 0;
    yoke_status status = yki_simulate_plan(trainer->plan, tokens, machine, out);
    if (status != YOKE_OK) {
        yoke_simulation_destroy(out);
        return status;
    }
    trainer->predicted_s = out->step_s;
    trainer->calibrated = out->measured;
    *simulation_out = out;
    return YOKE_OK;
}

const double *yoke_trainer_losses(const yoke_trainer *trainer, int64_t *first_step_out, int64_t *count_out)
{
    if (first_step_out) *first_step_out = trainer ? trainer->first_step : 0;
    if (count_out) *count_out = trainer ? trainer->next_step - trainer->first_step : 0;
    return trainer ? trainer->losses : NULL;
}

static int by_start(const void *a, const void *b)
{
    double x = ((const yoke_ran *)a)->start, y = ((const yoke_ran *)b)->start;
    return x < y ? -1 : x > y;
}

/* Of all ranks, by start: what is of a kind up to `last`. */
static const yoke_ran *list_ran(const yoke_trainer *trainer_in, yoke_ran_kind last, int *count_out)
{
    yoke_trainer *trainer =
        (yoke_trainer *)(uintptr_t)trainer_in; /* the list is a cache of what ranks recorded */
    int total = 0, count, unused;
    if (!count_out) count_out = &unused;
    *count_out = 0;
    if (!trainer) return NULL;
    for (int r = 0; r < trainer->plan->mesh.nranks; r++) {
        yki_run_ran(trainer->run, r, &count);
        total += count;
    }
    yoke_ran *ran = realloc(trainer->ran, sizeof *ran * (size_t)(total + 1));
    if (!ran) return NULL;
    trainer->ran = ran;
    for (int r = 0; r < trainer->plan->mesh.nranks; r++) {
        const yoke_ran *of = yki_run_ran(trainer->run, r, &count);
        for (int i = 0; i < count; i++)
            if (of[i].kind <= last) ran[(*count_out)++] = of[i];
    }
    qsort(ran, (size_t)*count_out, sizeof *ran, by_start);
    return ran;
}

const yoke_ran *yoke_trainer_ran(const yoke_trainer *trainer, int *count_out)
{
    return list_ran(trainer, YOKE_RAN_ACTION, count_out);
}

const yoke_ran *yoke_trainer_timeline(const yoke_trainer *trainer, int *count_out)
{
    return list_ran(trainer, YOKE_RAN_MOVEMENT, count_out);
}

char *yoke_trainer_actions_run(const yoke_trainer *trainer)
{
    if (!trainer) return NULL;
    const yki_plan *plan = trainer->plan;
    static const char *const names[] = {
        [YOKE_ACTION_F] = "F", [YOKE_ACTION_B] = "B", [YOKE_ACTION_W] = "W", [YOKE_ACTION_BW] = "BW"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    for (int stage = 0; stage < plan->parts.nstages; stage++) {
        int place[YKI_AXIS_COUNT] = {0}, count;
        place[YKI_AXIS_PP] = stage;
        const yoke_ran *ran = yki_run_ran(trainer->run, yki_mesh_rank(&plan->mesh, place), &count);
        for (int i = 0; i < count && ran[i].kind == YOKE_RAN_ACTION; i++) {
            fprintf(out, "%s%s%d", i ? " " : "", names[ran[i].action.kind], ran[i].action.microbatch);
            if (ran[i].action.chunk > 0) fprintf(out, ".%d", ran[i].action.chunk);
        }
        fputc('\n', out);
    }
    fclose(out);
    return text;
}

const yoke_schedule *yoke_trainer_schedule(const yoke_trainer *trainer)
{
    if (!trainer) return NULL;
    return trainer->plan->schedule;
}

int yoke_trainer_parameters(const yoke_trainer *trainer)
{
    if (!trainer) return 0;
    return trainer->model->nparameters;
}

int64_t yki_trainer_elems(const yoke_trainer *trainer, int parameter)
{
    return yki_value_elems(&trainer->model->values[trainer->model->parameters[parameter].value]);
}

const char *yoke_trainer_parameter(const yoke_trainer *trainer, int i, int64_t *elems_out)
{
    if (!trainer || i < 0 || i >= trainer->model->nparameters) return NULL;
    if (elems_out) *elems_out = yki_trainer_elems(trainer, i);
    return trainer->model->parameters[i].name;
}

yoke_status yoke_trainer_get(yoke_trainer *trainer, const char *name, float *values)
{
    YKI_NEED(trainer, name, values);
    for (int i = 0; i < trainer->model->nparameters; i++)
        if (!strcmp(trainer->model->parameters[i].name, name))
            return yki_run_read(trainer->run, YKI_TENSOR_WEIGHT, i, 0, yki_trainer_elems(trainer, i), values);
    return yki_fail(YOKE_INVALID, "the model has no parameter '%s'", name);
}
