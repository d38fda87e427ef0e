/* What limits a row: see explain.h. A figure that cannot be so is called that, and not explained. */
#include "predict/explain.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "job/job.h"

/* Shares of the cores' time; what is below them changes no figure by more than its spread. */
static const double MANY_TAKEN = 0.10, MUCH_THROTTLED = 0.02;
static const double FAR_APART = 1.5; /* a row's slowest round over its fastest */
/* Speed-ups beyond what cores give by so much, and arithmetic that is done in so small a part of its time. */
static const double BEYOND = 1.05, TOO_LITTLE = 0.8;

typedef struct row_view {
    const yoke_job *job;
    const yoke_comparison *c;
    const yki_measured *m;
    yoke_compare_row *row;
} row_view;

static int percent(double share)
{
    return isfinite(share) ? (int)lround(100 * share) : 0;
}

static void say(const row_view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const row_view *v, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    vsnprintf(v->row->limit, sizeof v->row->limit, format, rest);
    va_end(rest);
}

static const char *threads_of(int n)
{
    return n == 1 ? "thread" : "threads";
}

/* How many times the cores of single a row has. */
static double cores_over(const yoke_comparison *c, const yki_measured *m, const yoke_compare_row *row)
{
    double used = m->devices * row->threads < c->cores ? m->devices * row->threads : c->cores;
    return used / (c->threads < c->cores ? c->threads : c->cores);
}

/* What might have gone wrong with a row's times. */
static void why_not_trusted(const row_view *v, char *text, size_t size)
{
    const yoke_compare_row *row = v->row, *single = &v->c->rows[0];
    double here = row->cores_taken, there = single->cores_taken;
    if (here > MANY_TAKEN || there > MANY_TAKEN)
        snprintf(text, size,
                 "other programs took %d %% of the cores while it was timed, and %d %% for single",
                 percent(here), percent(there));
    else
        snprintf(text, size, "rounds took %.4g to %.4g ms, and %.4g to %.4g for single", row->step_ms_min,
                 row->step_ms_max, single->step_ms_min, single->step_ms_max);
}

/* Whether the row's figures contradict each other or one device's; says so. */
static bool is_impossible(const row_view *v)
{
    const yoke_compare_row *row = v->row, *single = &v->c->rows[0];
    char why[200];
    if (!isfinite(row->speedup) || row == single) return false;
    double cores = cores_over(v->c, v->m, row), arithmetic = cores * (1 - row->idle_fraction) / row->speedup;
    why_not_trusted(v, why, sizeof why);
    if (row->speedup > cores * BEYOND)
        say(v, "%.2fx on %.3g times the cores of single cannot be so; not to be trusted: %s", row->speedup,
            cores, why);
    else if (arithmetic < TOO_LITTLE && v->m->devices > 1)
        say(v,
            "idle for %d %% of the step, its devices did the same arithmetic in %d %% of single's time for "
            "it, which "
            "cannot be so; not to be trusted: %s",
            percent(row->idle_fraction), percent(arithmetic), why);
    else if (v->m->devices == 1 && row->threads > single->threads && row->speedup < 1 / BEYOND &&
             row->cores_taken > MANY_TAKEN)
        say(v,
            "%d threads cannot be slower than %d by their arithmetic; not to be trusted: a team waits for "
            "its slowest "
            "thread, and %s",
            row->threads, single->threads, why);
    else
        return false;
    return true;
}

static void explain_pipeline(const row_view *v, int idle, const char *wait)
{
    const yoke_job *job = v->job;
    yoke_compare_row *row = v->row;
    int simulated = percent(v->m->simulated_idle);
    say(v, "devices idle %d %% of the step, %d %% by the schedule alone (its bubble)%s", idle, simulated,
        idle > simulated + 15 ? wait : "; more micro-batches would fill it");
    snprintf(row->more, sizeof row->more, "yoke schedule %.200s --stages %d --microbatches %d", job->path,
             row->layout.pp, row->layout.microbatches);
    if (yki_job_parts(job) > 0 && !strcmp(row->strategy, "model"))
        snprintf(row->more, sizeof row->more, "yoke schedule %.200s", job->path);
}

static void explain_one(const row_view *v)
{
    const yoke_compare_row *row = v->row, *single = &v->c->rows[0];
    if (row->threads > single->threads && row->speedup < 1 / BEYOND)
        say(v,
            "one device with %d threads is slower than with %d: there is too little to compute between two "
            "waits of "
            "its threads for each other",
            row->threads, single->threads);
    else
        say(v, "one device with %d %s: nothing moves; the arithmetic of one device is the limit",
            row->threads, threads_of(row->threads));
}

static void explain(const row_view *v)
{
    yoke_compare_row *row = v->row;
    const yki_measured *m = v->m;
    char moved[24], wait[120];
    int idle = percent(row->idle_fraction);
    double rate = row->step_ms > 0 ? (double)row->moved_bytes_per_step / row->step_ms / 1e6 : 0;
    /* what a device computes between two waits */
    double us = row->step_ms * 1e3 * (1 - row->idle_fraction) / (2 * row->layout.microbatches);
    yki_size_print(moved, (double)row->moved_bytes_per_step);
    snprintf(wait, sizeof wait, ", waiting for each other%s",
             us < 200 ? ": there is too little to compute between two messages" : "");
    if (m->devices > 1 && m->devices * row->threads > v->c->cores)
        say(v,
            "%d devices share %d core%s: idle counts the wait for a core too, and times say nothing about %d "
            "devices",
            m->devices, v->c->cores, v->c->cores == 1 ? "" : "s", m->devices);
    else if (is_impossible(v))
        return;
    else if (m->devices == 1)
        explain_one(v);
    else if (m->moved_pp > 0 && m->simulated_idle > 0.2)
        explain_pipeline(v, idle, wait);
    else if (row->idle_fraction > 0.1)
        say(v, "devices idle %d %% of the step%s, and %s move (%.2f GB/s over all)", idle, wait, moved, rate);
    else
        say(v, "devices are busy %d %% of the step: arithmetic is the limit; moving %s costs little",
            100 - idle, moved);
}

/* The command that shows more. */
static void show_more(const row_view *v)
{
    yoke_compare_row *row = v->row;
    char layout[180];
    yoke_layout plain = row->layout;
    plain.device_memory_bytes = 0;
    if (row->threads == v->c->threads) plain.threads = 0;
    if (yki_job_parts(v->job) > 0 && !strcmp(row->strategy, "model")) plain.pp = 1; /* the layers say where */
    yoke_layout_print(&plain, layout, sizeof layout);
    snprintf(row->more, sizeof row->more, "yoke train %.180s --layout %s", v->job->path,
             layout[0] ? layout : "dp=1");
}

static void note(yoke_comparison *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(yoke_comparison *c, const char *format, ...)
{
    size_t said = strlen(c->notice);
    va_list rest;
    va_start(rest, format);
    vsnprintf(c->notice + said, sizeof c->notice - said, format, rest);
    va_end(rest);
}

/* Why times say little. */
static void note_trust(yoke_comparison *c, const yki_measured *measured)
{
    yki_usage all = {0};
    const yki_usage none = {0};
    int most = 0;
    double apart = 1;
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        if (row->status != YOKE_ROW_OK) continue;
        if (measured[i].used.cores > 0) yki_usage_add(&all, &none, &measured[i].used);
        if (row->step_ms_min > 0) apart = fmax(apart, row->step_ms_max / row->step_ms_min);
        if (measured[i].devices * row->threads > c->cores && measured[i].devices > most)
            most = measured[i].devices;
    }
    c->cores_taken = yki_usage_taken(&all);
    c->throttled = all.wall_ns > 0 ? (double)all.throttled_ns / (double)all.wall_ns : 0;
    if (c->cores_taken > MANY_TAKEN)
        note(c,
             "other programs took %d %% of these cores while steps were timed: times are not to be trusted\n",
             percent(c->cores_taken));
    else if (c->throttled > MUCH_THROTTLED)
        note(c,
             "its control group kept the program waiting for %d %% of the time that was measured: times are "
             "not to be "
             "trusted\n",
             percent(c->throttled));
    else if (apart > FAR_APART)
        note(
            c,
            "a round took up to %.1f times as long as another of the same row: times are not to be trusted\n",
            apart);
    if (most > 0)
        note(c, "%d devices share %d core%s: they wait for a core; times say nothing about %d devices\n",
             most, c->cores, c->cores == 1 ? "" : "s", most);
    c->trusted = c->notice[0] == '\0';
}

void yki_compare_explain(const yoke_job *job, yoke_comparison *c, const yki_measured *measured)
{
    for (int i = 0; i < c->nrows; i++) {
        row_view v = {job, c, &measured[i], &c->rows[i]};
        if (v.row->status != YOKE_ROW_OK) continue;
        show_more(&v);
        explain(&v);
    }
    note_trust(c, measured);
    yki_compare_verdict(job, c);
}
