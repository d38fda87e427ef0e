/* A run as lines of JSON: one a step, and one for each event, which has the key `event`. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "report/recorder.h"
#include "report/trace.h"
#include "train/trainer.h"

/* A line under construction. Steps write theirs on the stack: they allocate nothing. */
typedef struct line {
    char text[4096];
    size_t length;
} line;

static void put_key(line *l, const char *key)
{
    l->length += (size_t)snprintf(l->text + l->length, sizeof l->text - l->length,
                                  "%s\"%s\":", l->length ? "," : "{", key);
}

static void put_integer(line *l, const char *key, int64_t value)
{
    put_key(l, key);
    l->length += (size_t)snprintf(l->text + l->length, sizeof l->text - l->length, "%lld", (long long)value);
}

static void put_number(line *l, const char *key, double value)
{
    char digits[32];
    put_key(l, key);
    yki_json_real(digits, value);
    memcpy(l->text + l->length, digits, strlen(digits) + 1);
    l->length += strlen(digits);
}

static void put_string(line *l, const char *key, const char *text)
{
    enum { LONGEST = 1400 };
    put_key(l, key);
    yki_json_string(l->text + l->length, LONGEST, text);
    l->length += strlen(l->text + l->length);
}

static void put_boolean(line *l, const char *key, bool value)
{
    put_key(l, key);
    l->length += (size_t)snprintf(l->text + l->length, sizeof l->text - l->length, value ? "true" : "false");
}

static void end(yoke_recorder *log, line *l)
{
    put_number(l, "time", yki_wall_seconds());
    memcpy(l->text + l->length, "}\n", 2);
    yki_recorder_write(log, l->text, l->length + 2);
}

static void step(void *context, const yoke_step_report *r)
{
    line l = {.length = 0};
    put_integer(&l, "step", r->step);
    put_number(&l, "loss", r->loss);
    put_number(&l, "lr", r->lr);
    put_number(&l, "gradient_norm", r->gradient_norm);
    put_number(&l, "samples_per_s", r->samples_per_s);
    put_number(&l, "tokens_per_s", r->tokens_per_s > 0 ? r->tokens_per_s : NAN);
    put_number(&l, "share_of_peak", r->share_of_peak);
    put_integer(&l, "moved_bytes", r->moved_bytes);
    put_number(&l, "seconds", r->seconds);
    put_integer(&l, "samples", r->samples);
    if (r->skipped) put_boolean(&l, "skipped", true);
    end(context, &l);
}

/* What the run is, where it begins. */
static void put_run(line *l, const yoke_trainer *trainer)
{
    char layout[256];
    yoke_layout_print(&trainer->plan->options.layout, layout, sizeof layout);
    put_integer(l, "steps", trainer->steps);
    put_string(l, "layout", layout);
    put_integer(l, "devices", trainer->plan->mesh.nranks);
    put_number(l, "flops_per_sample", trainer->flops);
    put_number(l, "peak_flops_per_s", trainer->peak > 0 ? trainer->peak : NAN);
    put_number(l, "predicted_ms", trainer->predicted_s > 0 ? 1e3 * trainer->predicted_s : NAN);
    put_boolean(l, "calibrated", trainer->calibrated);
}

/* The line with the run's job, which may be longer than a line has room for. */
static void end_with_job(yoke_recorder *log, line *l)
{
    char *job = log->trainer->job ? yoke_job_print(log->trainer->job) : NULL;
    size_t room = job ? 6 * strlen(job) + 8 : 0; /* a byte is six characters at most */
    char *text = job ? malloc(l->length + room + 128) : NULL;
    if (text) {
        line last = {.length = 0};
        memcpy(text, l->text, l->length);
        size_t at = l->length + (size_t)sprintf(text + l->length, ",\"job\":");
        yki_json_string(text + at, room, job);
        at += strlen(text + at);
        put_number(&last, "time", yki_wall_seconds());
        at += (size_t)sprintf(text + at, ",%s}\n", last.text + 1);
        yki_recorder_write(log, text, at);
    } else {
        end(log, l);
    }
    free(text);
    free(job);
}

/* Where the steps of the run went, at its end. */
static void put_measured(line *l, const yoke_trainer *trainer)
{
    yoke_measured measured;
    char text[YKI_MEASURED_BYTES];
    if (yoke_trainer_measured(trainer, &measured) != YOKE_OK || !(measured.step_s > 0)) return;
    yki_measured_print(&measured, text);
    put_key(l, "measured");
    l->length += (size_t)snprintf(l->text + l->length, sizeof l->text - l->length, "%s", text);
}

static void event(void *context, const yoke_run_event *e)
{
    static const char *const names[] = {
        [YOKE_RUN_STARTED] = "start",
        [YOKE_RUN_RESUMED] = "resume",
        [YOKE_RUN_SAVED] = "save",
        [YOKE_RUN_STOPPED] = "stop",
        [YOKE_RUN_ENDED] = "end",
        [YOKE_RUN_FAILED] = "failure",
        [YOKE_RUN_NON_FINITE] = "non-finite",
        [YOKE_RUN_NOT_SAVED] = "save failed",
        [YOKE_RUN_EVALUATED] = "eval",
        [YOKE_RUN_STOPPED_EARLY] = "stop",
    };
    yoke_recorder *log = context;
    line l = {.length = 0};
    if (log->anew && e->kind == YOKE_RUN_STARTED && e->step == 0)
        yki_trainer_note(
            log->trainer,
            "%s has lines of an earlier run: this run's begin below them, with an event `start` at "
            "step 0",
            log->path);
    log->anew &= e->kind != YOKE_RUN_STARTED;
    bool early = e->kind == YOKE_RUN_ENDED && e->step < log->trainer->steps; /* as it was asked to */
    put_string(&l, "event", early ? "stop" : names[e->kind]);
    put_integer(&l, "step", e->step);
    if (e->path[0]) put_string(&l, "path", e->path);
    if (e->message[0]) put_string(&l, "message", e->message);
    if (e->kind == YOKE_RUN_STARTED) put_run(&l, log->trainer);
    if (e->evaluation) {
        put_number(&l, "held_out_loss", e->evaluation->loss);
        put_number(&l, "held_out_accuracy", e->evaluation->accuracy);
        put_number(&l, "held_out_perplexity", e->evaluation->perplexity);
        put_integer(&l, "held_out_samples", e->evaluation->samples);
    }
    bool ends = e->kind == YOKE_RUN_ENDED || e->kind == YOKE_RUN_STOPPED ||
                e->kind == YOKE_RUN_STOPPED_EARLY || e->kind == YOKE_RUN_NON_FINITE;
    if (ends) put_measured(&l, log->trainer);
    if (e->kind == YOKE_RUN_STARTED)
        end_with_job(log, &l);
    else
        end(log, &l);
}

yoke_status yoke_log_open(yoke_recorder **recorder_out, yoke_trainer *trainer, const char *path)
{
    YKI_NEED(recorder_out, trainer, path);
    const yoke_watcher watcher = {.step = step, .event = event};
    struct stat info;
    char last = '\n';
    YKI_TRY(yki_recorder_open(recorder_out, trainer, "the log", path, &watcher));
    /* a line that a full disk cut short is ended, so that those to come are whole */
    yoke_recorder *log = *recorder_out;
    if (fstat(log->file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return YOKE_OK;
    log->anew = true;
    if (pread(log->file, &last, 1, info.st_size - 1) == 1 && last != '\n') yki_recorder_write(log, "\n", 1);
    return YOKE_OK;
}
