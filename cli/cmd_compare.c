/* yoke compare: one job under every strategy, side by side. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "page.h"
#include "progress.h"
#include "report.h"
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
               .least = 1, .most = YOKE_MAX_LOCAL_DEVICES),
        OPTION("layouts", "'A; B'", OPTION_TEXT, "more rows, e.g. 'dp=2,zero=1; tp=2'",
               .target = &given.layouts),
        OPTION("steps", "N", OPTION_COUNT, "steps of each row in each of the rounds (the job's, kept short)",
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

typedef struct rounds {
    progress shown;
    int round; /* from 1 */
} rounds;

/* A pipe is told of the first round alone. */
static void on_row(void *context, const char *strategy)
{
    rounds *r = context;
    if (strcmp(strategy, "single") == 0) r->round++;
    if (r->round > 1 && !r->shown.run->error_terminal) return;
    if (r->round > 1)
        progress_say(&r->shown, "running %s, round %d", strategy, r->round);
    else
        progress_say(&r->shown, "running %s", strategy);
}

/* At once, as the rows may take long. */
static void say_sharing(cli *run, int devices)
{
    yoke_device_info info;
    if (yoke_devices(&info, 1) < 1 || devices <= info.cores) return;
    cli_notice(run,
               "%d devices share %d core%s: they wait for a core, and times say nothing about %d devices",
               devices, info.cores, info.cores == 1 ? "" : "s", devices);
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

/* The row's command that shows more, for this command line: its words, and nothing of a layout that the row
 * replaced. NULL: there is none. Freed by the caller. */
static char *more_of(const cli *run, const yoke_job *job, const yoke_compare_row *row)
{
    char *command_line = NULL, layout[512];
    size_t size = 0;
    const char *path = strstr(row->more, job->path);
    if (!row->more[0]) return NULL;
    FILE *out = open_memstream(&command_line, &size);
    if (!out) return NULL;
    yoke_layout replaced = job->layout;
    replaced.device_memory_bytes = 0;
    yoke_layout_print(&replaced, layout, sizeof layout);
    if (path) {
        bool trains = !strncmp(row->more, "yoke train ", 11);
        fprintf(out, "%.*s", (int)(path - row->more), row->more);
        text_shell_word(out, run->arguments.positional[0]);
        arguments_print(out, &run->arguments, trains ? "" : "--set ", layout[0]);
        if (layout[0]) fputs(" --set layout=", out);
        if (layout[0] && trains && job->layout.device_memory_bytes > 0)
            fprintf(out, " --device-memory %lld", (long long)job->layout.device_memory_bytes);
    }
    fputs(path ? path + strlen(job->path) : row->more, out);
    if (fclose(out) == 0) return command_line;
    free(command_line);
    return NULL;
}

/* What only rows that ran have. */
static void write_course(json *j, const yoke_compare_row *row)
{
    put_begin_object(j, "bytes");
    report_write_bytes(j, &row->bytes);
    put_end_object(j);
    put_begin_array(j, "losses");
    for (int64_t i = 0; i < row->nlosses; i++) put_number(j, NULL, row->losses[i]);
    put_end_array(j);
    report_write_timeline(j, "cpu:", row->timeline, row->ntimeline);
}

static void write_row(json *j, const yoke_compare_row *row, const char *more)
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
    put_number(j, "predicted_ms", ok ? row->predicted_ms : NAN);
    put_boolean(j, "calibrated", ok && row->calibrated);
    put_number(j, "step_ms_min", ok ? row->step_ms_min : NAN);
    put_number(j, "step_ms_max", ok ? row->step_ms_max : NAN);
    put_number(j, "cores_taken", ok ? row->cores_taken : NAN);
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
    put_string(j, "more", more);
    if (row->limit_bytes > 0)
        put_integer(j, "limit_bytes", row->limit_bytes);
    else
        put_null(j, "limit_bytes");
    if (ok) write_course(j, row);
    put_end_object(j);
}

static void write_comparison(json *j, const yoke_comparison *c, char *const *more)
{
    put_integer(j, "devices", c->devices);
    put_integer(j, "threads", c->threads);
    put_integer(j, "cores", c->cores);
    put_integer(j, "steps", c->steps);
    put_integer(j, "warmup", c->warmup);
    put_integer(j, "rounds", c->rounds);
    put_number(j, "cores_taken", c->cores_taken);
    put_number(j, "throttled", c->throttled);
    put_boolean(j, "trusted", c->trusted);
    put_string(j, "verdict", c->verdict[0] ? c->verdict : NULL);
    put_begin_array(j, "rows");
    for (int i = 0; i < c->nrows; i++) write_row(j, &c->rows[i], more[i]);
    put_end_array(j);
}

/* Milliseconds with four figures, without an exponent. */
static const char *figures(char text[32], double ms)
{
    snprintf(text, 32, ms < 9999.5 ? "%.4g" : "%.0f", ms);
    return text;
}

static void print_ok(table *t, const yoke_compare_row *row)
{
    char size[32], most[32];
    table_cell(t, "%s", figures(size, row->step_ms));
    table_cell(t, "%s .. %s", figures(size, row->step_ms_min), figures(most, row->step_ms_max));
    table_cell(t, "%s", text_count(size, row->samples_per_s));
    table_cell(t, isfinite(row->speedup) ? "%.2fx" : "-", row->speedup);
    table_cell(t, isfinite(row->idle_fraction) ? "%.0f %%" : "-", 100 * row->idle_fraction);
    table_cell(t, "%s", row->moved_bytes_per_step ? text_size(size, (double)row->moved_bytes_per_step) : "-");
    table_cell(t, "%s", text_size(size, (double)row->predicted_peak_bytes));
    table_cell(t, "%s", text_size(size, (double)row->measured_peak_bytes));
    table_cell(t,
               !isfinite(row->max_loss_rel_diff) ? "-"
               : row->max_loss_rel_diff > 0      ? "%.1e"
                                                 : "%.0f",
               row->max_loss_rel_diff);
}

/* Notes stand under their row: why it did not run, or what limits it, and the command that shows more. */
static void print_notes(table *t, const yoke_compare_row *row, const char *command_line)
{
    char *reason = text_escaped(row->status == YOKE_ROW_OK ? row->limit : row->reason, false);
    char *more = command_line ? text_escaped(command_line, false) : NULL, *note = NULL;
    const char *said = row->status == YOKE_ROW_DOES_NOT_FIT ? "does not fit: "
                       : row->status == YOKE_ROW_FAILED     ? "failed: "
                       : row->status == YOKE_ROW_REFUSED    ? "refused: "
                                                            : "";
    if (reason && asprintf(&note, "%s%s", said, reason) >= 0) {
        if (note[0]) table_note(t, note);
        free(note);
    }
    if (more && asprintf(&note, "more: %s", more) >= 0) {
        table_command(t, note);
        free(note);
    }
    free(reason);
    free(more);
}

/* What was measured, and whether it means something. */
static void print_head(const cli *run, const yoke_comparison *c)
{
    char *head = NULL;
    if (asprintf(&head,
                 "%d device%s of %d thread%s each, %d core%s; %d rounds of %lld steps, the first %lld of "
                 "each not timed; "
                 "whole: one device with all cores",
                 c->devices, c->devices == 1 ? "" : "s", c->threads, c->threads == 1 ? "" : "s", c->cores,
                 c->cores == 1 ? "" : "s", c->rounds, (long long)c->steps, (long long)c->warmup) < 0)
        return;
    text_wrap(run->out, head, 0, run->width);
    free(head);
    for (const char *line = c->notice; *line;) {
        int length = (int)strcspn(line, "\n");
        char text[sizeof c->notice];
        snprintf(text, sizeof text, "%.*s", length, line);
        text_wrap(run->out, text, 0, run->width);
        line += length + (line[length] == '\n');
    }
    fputc('\n', run->out);
}

static void print_comparison(const cli *run, const yoke_comparison *c, char *const *more)
{
    static const char *const titles[] = {"<strategy", "step ms",   "rounds", "samples/s",
                                         "speed-up",  "idle",      "moved",  "predicted",
                                         "measured",  "loss diff", NULL};
    int longest = run->width < 100 ? 14 : 28; /* of a strategy's name in its row */
    table *t = table_create(titles);
    print_head(run, c);
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        bool fits = (int)strlen(row->strategy) <= longest;
        table_cell(t, "%.*s%s", fits ? longest : longest - 3, row->strategy, fits ? "" : "...");
        if (row->status == YOKE_ROW_OK)
            print_ok(t, row);
        else
            table_end_row(t);
        if (!fits) table_note(t, row->strategy);
        print_notes(t, row, more[i]);
    }
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    fputc('\n', run->out);
    text_wrap(run->out,
              "step ms is the median of all timed steps, rounds the least and the largest of the rounds' "
              "medians; bytes are "
              "those of the device that holds most; speed-up is over single; loss diff is the largest over "
              "the steps, "
              "relative to one device",
              0, run->width);
}

/* Steps as they were predicted, in the order of the rows. */
static void print_predicted(const cli *run, const yoke_comparison *c)
{
    char *said = NULL, ms[32];
    size_t size = 0;
    bool calibrated = true;
    int count = 0;
    FILE *out = open_memstream(&said, &size);
    if (!out) return;
    fputs("predicted step ms: ", out);
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        if (row->status != YOKE_ROW_OK || !isfinite(row->predicted_ms)) continue;
        fprintf(out, "%s%s %s", count++ ? ", " : "", row->strategy, figures(ms, row->predicted_ms));
        calibrated &= row->calibrated;
    }
    if (!calibrated) fputs("; uncalibrated: yoke bench measures this machine", out);
    fclose(out);
    if (said && count > 0) text_wrap(run->out, said, 0, run->width);
    free(said);
}

static int show(const cli *run, const yoke_job *job, const yoke_comparison *c)
{
    char **more = calloc((size_t)c->nrows + 1, sizeof *more);
    if (!more) return 1;
    for (int i = 0; i < c->nrows; i++) more[i] = more_of(run, job, &c->rows[i]);
    if (run->json) write_comparison(run->json, c, more);
    print_comparison(run, c, more);
    print_predicted(run, c);
    if (c->verdict[0]) {
        char *verdict = text_escaped(c->verdict, false);
        fputc('\n', run->out);
        if (verdict) text_wrap(run->out, verdict, 0, run->width);
        free(verdict);
    }
    for (int i = 0; i < c->nrows; i++) free(more[i]);
    free(more);
    return 0;
}

static int command_run(cli *run)
{
    const char *layouts[LAYOUTS_MAX] = {0};
    char *text = strdup(given.layouts ? given.layouts : "");
    int nlayouts = text ? split(text, layouts) : 0, code = 0;
    yoke_comparison *comparison = NULL;
    rounds shown = {.round = 0};
    if (nlayouts < 0) {
        free(text);
        return cli_fail(run, 2, "--layouts", "--layouts takes at most %d layouts", LAYOUTS_MAX);
    }
    yoke_job *job = cli_load_job(run, &code);
    if (job) {
        page_put_job(run, job);
        int devices = given.devices ? (int)given.devices : 2;
        say_sharing(run, devices);
        progress_start(&shown.shown, run, 0);
        yoke_status status =
            yoke_compare(job, devices, nlayouts, layouts, given.steps, on_row, &shown, &comparison);
        progress_clear(&shown.shown);
        if (status != YOKE_OK)
            code = cli_fail_library(run);
        else if ((code = show(run, job, comparison)) != 0)
            cli_say(run, "out of memory");
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
    .groups =
        (const option_group *const[]){&group_compare, &options_page, &options_job, &options_general, NULL},
    .examples =
        "yoke compare gpt.yaml\n"
        "yoke compare gpt.yaml --devices 4 --layouts 'dp=2,tp=2; pp=2,microbatches=4' --json table.json\n"
        "yoke compare gpt.yaml --html page.html",
    .codes = "0   compared, rows that could not run included\n"
             "1   the system refused\n"
             "2   bad usage, job file or data",
    .run = command_run,
};
