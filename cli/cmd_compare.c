/* yoke compare: one job under every strategy, side by side. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"
#include "table.h"
#include "text.h"
#include "yoke/compare.h"

static struct {
    int64_t devices, steps;
    const char *layouts;
} given;

static const option_group group_compare = {
    "Comparison",
    (const option[]){
        OPTION("devices", "N", OPTION_COUNT, "devices of each strategy (2)", .target = &given.devices,
               .least = 1, .most = YOKE_MAX_DEVICES),
        OPTION("layouts", "'A; B'", OPTION_TEXT, "more rows, e.g. 'dp=2,zero=1; tp=2'",
               .target = &given.layouts),
        OPTION("steps", "N", OPTION_COUNT, "steps that each row is timed over (the job's, kept short)",
               .target = &given.steps, .least = 1),
        OPTION("precision", "NAME", OPTION_KEY, "f32 | bf16", .key = "train.precision"),
        OPTION("device-memory", "SIZE", OPTION_KEY, "bytes that one device may use",
               .key = "layout.device_memory"),
        {0},
    },
};

static const char *const status_names[] = {"ok", "refused", "does_not_fit", "failed"};
static const char *const recompute_names[] = {"none", "selective", "full"};

enum { LAYOUTS_MAX = 32 };

/* Splits "a; b" in place; returns how many, -1: too many. */
static int split(char *text, const char *layouts[LAYOUTS_MAX])
{
    int count = 0;
    for (char *part = strtok(text, ";"); part; part = strtok(NULL, ";")) {
        while (isspace((unsigned char)*part)) part++;
        char *end = part + strlen(part);
        while (end > part && isspace((unsigned char)end[-1])) *--end = '\0';
        if (!*part) continue;
        if (count == LAYOUTS_MAX) return -1;
        layouts[count++] = part;
    }
    return count;
}

static void on_row(void *context, const char *strategy)
{
    progress_say(context, "running %s", strategy);
}

/* As in a job: a name, or a list with an entry for each stage. */
static void put_recompute(json *j, const yoke_layout *layout)
{
    if (layout->nrecompute == 0) {
        put_string(j, "recompute", recompute_names[layout->recompute]);
        return;
    }
    put_begin_array(j, "recompute");
    for (int i = 0; i < layout->nrecompute; i++)
        put_string(j, NULL, recompute_names[layout->recompute_of[i]]);
    put_end_array(j);
}

static void write_row(json *j, const yoke_compare_row *row)
{
    bool ok = row->status == YOKE_ROW_OK;
    put_begin_object(j, NULL);
    put_string(j, "strategy", row->strategy);
    put_begin_object(j, "mesh");
    put_integer(j, "dp", row->layout.dp);
    put_integer(j, "tp", row->layout.tp);
    put_integer(j, "pp", row->layout.pp);
    put_integer(j, "cp", row->layout.cp);
    put_end_object(j);
    put_integer(j, "zero", row->layout.zero);
    put_string(j, "schedule", row->layout.schedule);
    put_integer(j, "microbatches", row->layout.microbatches);
    put_recompute(j, &row->layout);
    put_integer(j, "threads", row->threads);
    put_string(j, "status", status_names[row->status]);
    put_string(j, "reason", row->reason[0] ? row->reason : NULL);
    put_number(j, "step_ms", ok ? row->step_ms : NAN);
    put_number(j, "samples_per_s", ok ? row->samples_per_s : NAN);
    put_number(j, "speedup", ok ? row->speedup : NAN);
    if (ok || row->predicted_peak_bytes > 0)
        put_integer(j, "predicted_peak_bytes", row->predicted_peak_bytes);
    else
        put_null(j, "predicted_peak_bytes");
    if (ok) {
        put_integer(j, "measured_peak_bytes", row->measured_peak_bytes);
        put_integer(j, "moved_bytes_per_step", row->moved_bytes_per_step);
    } else {
        put_null(j, "measured_peak_bytes");
        put_null(j, "moved_bytes_per_step");
    }
    put_number(j, "idle_fraction", ok ? row->idle_fraction : NAN);
    put_number(j, "max_loss_rel_diff", ok ? row->max_loss_rel_diff : NAN);
    put_string(j, "limit", row->limit[0] ? row->limit : NULL);
    put_string(j, "more", row->more[0] ? row->more : NULL);
    put_end_object(j);
}

static void write_comparison(json *j, const yoke_comparison *c)
{
    put_integer(j, "devices", c->devices);
    put_integer(j, "threads", c->threads);
    put_integer(j, "cores", c->cores);
    put_integer(j, "steps", c->steps);
    put_integer(j, "warmup", c->warmup);
    put_begin_array(j, "rows");
    for (int i = 0; i < c->nrows; i++) write_row(j, &c->rows[i]);
    put_end_array(j);
}

static void print_ok(table *t, const yoke_compare_row *row)
{
    char size[32];
    table_cell(t, "%.4g", row->step_ms);
    table_cell(t, "%s", text_count(size, row->samples_per_s));
    table_cell(t, isfinite(row->speedup) ? "%.2fx" : "-", row->speedup);
    table_cell(t, "%s", text_size(size, (double)row->predicted_peak_bytes));
    table_cell(t, "%s", text_size(size, (double)row->measured_peak_bytes));
    table_cell(t, "%s", row->moved_bytes_per_step ? text_size(size, (double)row->moved_bytes_per_step) : "-");
    table_cell(t, isfinite(row->idle_fraction) ? "%.0f %%" : "-", 100 * row->idle_fraction);
    table_cell(t,
               !isfinite(row->max_loss_rel_diff) ? "-"
               : row->max_loss_rel_diff > 0      ? "%.1e"
                                                 : "%.0f",
               row->max_loss_rel_diff);
}

/* Notes stand under their row: why it did not run, or what limits it, and the command that shows more. */
static void print_notes(table *t, const yoke_compare_row *row)
{
    char *reason = text_escaped(row->status == YOKE_ROW_OK ? row->limit : row->reason, false);
    char *more = text_escaped(row->more, false), *note = NULL;
    const char *said = row->status == YOKE_ROW_DOES_NOT_FIT ? "does not fit: "
                       : row->status == YOKE_ROW_FAILED     ? "failed: "
                       : row->status == YOKE_ROW_REFUSED    ? "refused: "
                                                            : "";
    if (reason && asprintf(&note, "%s%s", said, reason) >= 0) {
        if (note[0]) table_note(t, note);
        free(note);
    }
    if (more && more[0] && asprintf(&note, "more: %s", more) >= 0) {
        table_note(t, note);
        free(note);
    }
    free(reason);
    free(more);
}

static void print_comparison(const cli *run, const yoke_comparison *c)
{
    static const char *const titles[] = {"<strategy", "step ms", "samples/s", "speed-up",  "predicted",
                                         "measured",  "moved",   "idle",      "loss diff", NULL};
    table *t = table_create(titles);
    fprintf(
        run->out,
        "%d device%s of %d thread%s each, %d core%s; %lld steps, the first %lld not timed; whole: one device "
        "with "
        "all cores\n\n",
        c->devices, c->devices == 1 ? "" : "s", c->threads, c->threads == 1 ? "" : "s", c->cores,
        c->cores == 1 ? "" : "s", (long long)c->steps, (long long)c->warmup);
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        char name[32];
        snprintf(name, sizeof name, "%.28s%s", row->strategy, strlen(row->strategy) > 28 ? "..." : "");
        table_cell(t, "%s", name);
        if (row->status == YOKE_ROW_OK)
            print_ok(t, row);
        else
            table_end_row(t);
        if (strlen(row->strategy) > 28) table_note(t, row->strategy);
        print_notes(t, row);
    }
    table_print(t, run->out, 110, run->out_colour);
    table_destroy(t);
    fputs("\nbytes are those of the device that holds most; speed-up is over single; loss diff is the "
          "largest over the\n"
          "steps, relative to one device\n",
          run->out);
}

static int command_run(cli *run)
{
    const char *layouts[LAYOUTS_MAX] = {0};
    char *text = strdup(given.layouts ? given.layouts : "");
    int nlayouts = text ? split(text, layouts) : 0, code = 0;
    yoke_comparison *comparison = NULL;
    progress shown;
    if (nlayouts < 0) {
        free(text);
        return cli_fail(run, 2, "--layouts", "--layouts takes at most %d layouts", LAYOUTS_MAX);
    }
    yoke_job *job = cli_load_job(run, &code);
    if (job) {
        progress_start(&shown, run, 0);
        yoke_status status = yoke_compare(job, given.devices ? (int)given.devices : 2, nlayouts, layouts,
                                          given.steps, on_row, &shown, &comparison);
        progress_clear(&shown);
        if (status != YOKE_OK)
            code = cli_fail_library(run);
        else {
            if (run->json) write_comparison(run->json, comparison);
            print_comparison(run, comparison);
        }
    }
    yoke_comparison_destroy(comparison);
    yoke_job_destroy(job);
    free(text);
    return code;
}

const command command_compare = {
    .name = "compare",
    .summary = "the same job under several strategies, in one table",
    .usage = "JOB [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Runs a job on one device, and data parallel, model parallel, as a pipeline and tensor parallel "
             "on N, all from "
             "the same weights and batches, and puts them side by side: step time, throughput, speed-up over "
             "one device, "
             "bytes per device predicted and measured, bytes moved, idle share, and how far the losses "
             "differ. A strategy "
             "that cannot run has a row that says why. No checkpoint is written.",
    .groups = (const option_group *const[]){&group_compare, &options_job, &options_general, NULL},
    .examples =
        "yoke compare gpt.yaml\n"
        "yoke compare gpt.yaml --devices 4 --layouts 'dp=2,tp=2; pp=2,microbatches=4' --json table.json",
    .codes = "0   compared, rows that could not run included\n"
             "1   the system refused\n"
             "2   bad usage, job file or data",
    .run = command_run,
};
