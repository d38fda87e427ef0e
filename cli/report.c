/* The report of a training run. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "text.h"

static const struct {
    const char *title, *key;
    size_t offset;
} kinds[] = {
    {"weights", "weights", offsetof(yoke_bytes, weights)},
    {"gradients", "gradients", offsetof(yoke_bytes, gradients)},
    {"optimizer", "optimizer", offsetof(yoke_bytes, optimizer)},
    {"activations", "activations", offsetof(yoke_bytes, activations)},
    {"movement", "movement", offsetof(yoke_bytes, movement)},
    {"workspace", "workspace", offsetof(yoke_bytes, workspace)},
};
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

static int64_t bytes_of(const yoke_bytes *bytes, int kind)
{
    return *(const int64_t *)((const char *)bytes + kinds[kind].offset);
}

double report_losses(cli *run, const yoke_trainer *trainer)
{
    int64_t first = 0, count = 0;
    const double *losses = yoke_trainer_losses(trainer, &first, &count);
    double last = NAN;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(losses[i])) last = losses[i]; /* steps that were left out have none */
    if (!run->json) return last;
    put_begin_array(run->json, "steps");
    for (int64_t i = 0; i < count; i++) {
        put_begin_object(run->json, NULL);
        put_integer(run->json, "step", first + i);
        put_number(run->json, "loss", losses[i]);
        put_end_object(run->json);
    }
    put_end_array(run->json);
    put_number(run->json, "final_loss", last);
    return last;
}

void report_write_bytes(json *j, const yoke_bytes *bytes)
{
    for (int k = 0; k < NKINDS; k++) put_integer(j, kinds[k].key, bytes_of(bytes, k));
}

void report_write_timeline(json *j, const char *device, const yoke_ran *ran, int count)
{
    static const char *const actions[] = {
        [YOKE_ACTION_F] = "F", [YOKE_ACTION_B] = "B", [YOKE_ACTION_W] = "W", [YOKE_ACTION_BW] = "BW"};
    static const char *const others[] = {
        [YOKE_RAN_REDUCE] = "reduce", [YOKE_RAN_UPDATE] = "update", [YOKE_RAN_MOVEMENT] = "move"};
    char name[40];
    put_begin_array(j, "timeline");
    for (int i = 0; i < count; i++) {
        bool of_action = ran[i].part >= 0;
        snprintf(name, sizeof name, "%s%d", device, ran[i].device);
        put_begin_object(j, NULL);
        put_string(j, "device", name);
        put_string(j, "kind",
                   ran[i].kind == YOKE_RAN_ACTION ? actions[ran[i].action.kind] : others[ran[i].kind]);
        if (of_action) put_integer(j, "microbatch", ran[i].action.microbatch);
        if (of_action) put_integer(j, "chunk", ran[i].action.chunk);
        put_number(j, "start_ms", 1e3 * ran[i].start);
        put_number(j, "end_ms", 1e3 * ran[i].end);
        put_end_object(j);
    }
    put_end_array(j);
}

/* dry: nothing was measured. */
static void write_devices(json *j, const yoke_device_report *devices, int count, bool dry)
{
    put_begin_array(j, "devices");
    for (int i = 0; i < count; i++) {
        const yoke_device_report *d = &devices[i];
        put_begin_object(j, NULL);
        put_string(j, "name", d->name);
        put_integer(j, "rank", d->rank);
        put_begin_object(j, "place");
        put_integer(j, "dp", d->dp);
        put_integer(j, "tp", d->tp);
        put_integer(j, "pp", d->pp);
        put_integer(j, "cp", d->cp);
        put_end_object(j);
        put_string(j, "layers", d->layers);
        put_integer(j, "predicted_peak_bytes", d->predicted_peak_bytes);
        if (dry)
            put_null(j, "measured_peak_bytes");
        else
            put_integer(j, "measured_peak_bytes", d->measured_peak_bytes);
        put_number(j, "idle_fraction", d->idle_fraction);
        put_begin_object(j, "bytes");
        report_write_bytes(j, &d->bytes);
        put_end_object(j);
        put_end_object(j);
    }
    put_end_array(j);
}

static void write_evaluations(json *j, const yoke_trainer *trainer, const yoke_run_report *report)
{
    int64_t count;
    const yoke_held_out *all = yoke_trainer_evaluations(trainer, &count);
    if (report->best_step < 0) return;
    put_begin_array(j, "evals");
    for (int64_t i = 0; i < count; i++) {
        put_begin_object(j, NULL);
        put_integer(j, "step", all[i].step);
        put_number(j, "loss", all[i].loss);
        put_number(j, "accuracy", all[i].accuracy);
        put_number(j, "perplexity", all[i].perplexity);
        put_integer(j, "samples", all[i].samples);
        put_end_object(j);
    }
    put_end_array(j);
    put_begin_object(j, "best");
    put_integer(j, "step", report->best_step);
    put_number(j, "loss", report->best_loss);
    put_end_object(j);
}

static void write_run(json *j, const yoke_trainer *trainer, const yoke_run_report *report)
{
    bool none = !(report->step_ms_median > 0);
    put_integer(j, "steps_done", report->steps_done);
    put_integer(j, "steps_total", report->steps_total);
    put_integer(j, "skipped", report->skipped);
    put_boolean(j, "stopped_early", report->stopped_early);
    put_boolean(j, "diverged", report->diverged);
    put_number(j, "recent_loss", report->recent_loss);
    put_integer(j, "recent_steps", report->recent);
    write_evaluations(j, trainer, report);
    put_number(j, "step_ms_median", none ? NAN : report->step_ms_median);
    put_number(j, "predicted_ms", report->predicted_ms);
    put_boolean(j, "calibrated", report->calibrated);
    put_number(j, "samples_per_s", none ? NAN : report->samples_per_s);
    put_number(j, "tokens_per_s", report->tokens_per_s > 0 ? report->tokens_per_s : NAN);
    put_number(j, "idle_fraction", report->idle_fraction);
    put_number(j, "simulated_idle_fraction", report->simulated_idle_fraction);
    write_devices(j, report->devices, report->ndevices, false);
    put_integer(j, "moved_bytes_per_step", report->moved_bytes_per_step);
    put_begin_object(j, "moved_by_axis");
    put_integer(j, "dp", report->moved_dp);
    put_integer(j, "tp", report->moved_tp);
    put_integer(j, "pp", report->moved_pp);
    put_integer(j, "cp", report->moved_cp);
    put_end_object(j);
    put_begin_object(j, "checkpoint");
    put_integer(j, "saves", report->saves);
    put_integer(j, "failed", report->failed_saves);
    put_number(j, "seconds", report->save_seconds);
    put_integer(j, "staging_bytes", report->staging_bytes);
    put_end_object(j);
    char *actions = yoke_trainer_actions_run(trainer);
    put_string(j, "actions_run", actions);
    free(actions);
    int count;
    const yoke_ran *ran = yoke_trainer_timeline(trainer, &count);
    char kind[sizeof report->devices->name] = "cpu:";
    if (report->ndevices > 0)
        snprintf(kind, strcspn(report->devices[0].name, ":") + 2, "%s", report->devices[0].name);
    report_write_timeline(j, kind, ran, ran ? count : 0);
    if (report->limit_bytes > 0)
        put_integer(j, "limit_bytes", report->limit_bytes);
    else
        put_null(j, "limit_bytes");
}

/* A device, and how many of its stage it stands for. */
typedef struct shown_device {
    const yoke_device_report *device;
    int count;
} shown_device;

static void print_device(table *t, const shown_device *shown)
{
    char size[32];
    const yoke_device_report *d = shown->device;
    if (shown->count > 1)
        table_cell(t, "%s (of %d)", d->name, shown->count);
    else
        table_cell(t, "%s", d->name);
    table_cell(t, "%s", text_size(size, (double)d->predicted_peak_bytes));
    table_cell(t, "%s", d->measured_peak_bytes ? text_size(size, (double)d->measured_peak_bytes) : "-");
    table_cell(t, isfinite(d->idle_fraction) ? "%.0f %%" : "-", 100 * d->idle_fraction);
    for (int k = 0; k < NKINDS; k++) {
        int64_t bytes = bytes_of(&d->bytes, k);
        table_cell(t, "%s", bytes ? text_size(size, (double)bytes) : "-");
    }
}

enum { SHOWN_MAX = 64 };

/* One a device; where they are many, the one of each stage that holds most. Returns how many; *left_out:
 * devices of further stages. */
static int choose_devices(const yoke_device_report *devices, int count, shown_device shown[SHOWN_MAX],
                          int *left_out)
{
    int n = 0;
    *left_out = 0;
    for (int i = 0; i < count; i++) {
        shown_device *last = n > 0 ? &shown[n - 1] : NULL; /* stages are the slowest axis */
        bool more = count > SHOWN_MAX && last && last->device->pp == devices[i].pp;
        if (more) {
            last->count++;
            if (devices[i].predicted_peak_bytes > last->device->predicted_peak_bytes)
                last->device = &devices[i];
        } else if (n < SHOWN_MAX && *left_out == 0) {
            shown[n++] = (shown_device){&devices[i], 1};
        } else {
            ++*left_out;
        }
    }
    return n;
}

/* A row each; a narrow terminal gets the kinds of bytes below the row. */
static void print_devices(const cli *run, const yoke_device_report *devices, int count)
{
    static const char *const titles[] = {"<device",  "predicted", "measured",  "idle",
                                         "weights",  "gradients", "optimizer", "activations",
                                         "movement", "workspace", NULL};
    shown_device shown[SHOWN_MAX];
    int left_out, n = choose_devices(devices, count, shown, &left_out);
    table *t = table_create(titles);
    for (int i = 0; i < n; i++) {
        const char *layers = shown[i].device->layers;
        char note[sizeof devices->layers + 8];
        print_device(t, &shown[i]);
        snprintf(note, sizeof note, "layers %s", layers);
        if (count > 1 && layers[0]) table_note(t, note);
    }
    fputc('\n', run->out);
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    if (left_out > 0) fprintf(run->out, "  and %d more\n", left_out);
    if (count > SHOWN_MAX)
        fprintf(run->out, "  %d devices: a row is the one of its stage that holds most\n", count);
}

static void print_moved(const cli *run, const yoke_run_report *report)
{
    const struct {
        const char *axis;
        int64_t bytes;
    } axes[] = {{"data", report->moved_dp},
                {"tensor", report->moved_tp},
                {"pipeline", report->moved_pp},
                {"context", report->moved_cp}};
    char size[32];
    fprintf(run->out, "\nmoved per step %s", text_size(size, (double)report->moved_bytes_per_step));
    const char *before = " (";
    for (int i = 0; i < 4; i++)
        if (axes[i].bytes > 0) {
            fprintf(run->out, "%s%s %s", before, axes[i].axis, text_size(size, (double)axes[i].bytes));
            before = ", ";
        }
    fputs(before[0] == ',' ? ")\n" : "\n", run->out);
}

void report_dry_run(cli *run, const yoke_dry_run *dry)
{
    char count[32], total[32], there[32];
    if (run->json) {
        put_boolean(run->json, "dry_run", true);
        put_integer(run->json, "parameters", dry->parameters);
        put_integer(run->json, "total_steps", dry->steps);
        put_integer(run->json, "samples", dry->samples);
        put_integer(run->json, "total_bytes", dry->total_bytes);
        write_devices(run->json, dry->devices, dry->ndevices, true);
    }
    fprintf(run->out, "would train    %s parameters, %lld steps over %lld samples\n",
            text_thousands(count, dry->parameters), (long long)dry->steps, (long long)dry->samples);
    print_devices(run, dry->devices, dry->ndevices);
    if (dry->total_bytes > dry->all_bytes)
        cli_notice(run,
                   "the devices take %s together, and there are %s here: training would be refused on this "
                   "machine",
                   text_size(total, (double)dry->total_bytes), text_size(there, (double)dry->all_bytes));
}

/* "times", of how often. */
static const char *times(int64_t count)
{
    return count == 1 ? "time" : "times";
}

static void print_course(cli *run, const yoke_run_report *report, double last)
{
    if (isnan(last))
        fputs("final loss     none: no step was finite", run->out);
    else
        fprintf(run->out, "final loss     %.6g", last);
    fprintf(run->out, " after %lld of %lld steps\n", (long long)report->steps_done,
            (long long)report->steps_total);
    if (report->recent > 1)
        fprintf(run->out, "mean loss      %.6g over the last %lld steps; the final one is of one batch\n",
                report->recent_loss, (long long)report->recent);
    if (report->skipped > 0)
        fprintf(run->out, "left out       %lld %s: not finite, or no target in them is counted\n",
                (long long)report->skipped, report->skipped == 1 ? "step" : "steps");
    if (report->best_step >= 0)
        fprintf(run->out, "best           held-out loss %.6g after step %lld\n", report->best_loss,
                (long long)report->best_step);
    if (report->stopped_early)
        fputs("stopped early  by stop.patience: no evaluation since was better\n", run->out);
    if (report->diverged)
        cli_notice(run,
                   "the loss has risen, from %.6g in the first step to %.6g (mean of the last %lld): nothing "
                   "was learnt; a smaller learning rate, or train.clip, may help",
                   report->first_loss, report->recent_loss, (long long)report->recent);
}

static void print_times(const cli *run, const yoke_run_report *report)
{
    char rate[32];
    fprintf(run->out, "step time      %s (median)\n", text_milliseconds(rate, report->step_ms_median));
    if (isfinite(report->predicted_ms))
        fprintf(run->out, "predicted      %s%s\n", text_milliseconds(rate, report->predicted_ms),
                report->calibrated ? "" : ", uncalibrated: yoke bench measures this machine");
    fprintf(run->out, "throughput     %s samples/s", text_count(rate, report->samples_per_s));
    if (report->tokens_per_s > 0) fprintf(run->out, ", %s tokens/s", text_count(rate, report->tokens_per_s));
    fputc('\n', run->out);
    if (report->evaluation_seconds > 0)
        fprintf(run->out, "evaluated      on the way, in %s\n",
                text_milliseconds(rate, 1e3 * report->evaluation_seconds));
    if (report->saves > 0)
        fprintf(run->out, "saved          %lld %s, for which steps waited %s\n", (long long)report->saves,
                times(report->saves), text_milliseconds(rate, 1e3 * report->save_seconds));
    if (report->failed_saves > 0)
        fprintf(run->out, "not saved      %lld %s\n", (long long)report->failed_saves,
                times(report->failed_saves));
    if (report->staging_bytes > 0)
        fprintf(run->out, "staging        %s of host memory, for checkpoint.async\n",
                text_size(rate, (double)report->staging_bytes));
}

int report_run(cli *run, yoke_trainer *trainer, const course *steps)
{
    yoke_run_report report;
    int64_t first, count;
    if (yoke_trainer_report(trainer, &report) != YOKE_OK) return cli_fail_library(run);
    double last = report_losses(run, trainer);
    yoke_trainer_losses(trainer, &first, &count);
    if (run->json) {
        write_run(run->json, trainer, &report);
        course_write(steps, run->json);
    }
    if (count == 0) {
        if (report.steps_done > 0)
            fprintf(run->out, "nothing to do: %lld steps were done before\n", (long long)report.steps_done);
        else
            fputs("no steps to do: train.steps is 0\n", run->out);
        print_devices(run, report.devices, report.ndevices);
        return 0;
    }
    print_course(run, &report, last);
    print_times(run, &report);
    print_devices(run, report.devices, report.ndevices);
    print_moved(run, &report);
    return 0;
}
