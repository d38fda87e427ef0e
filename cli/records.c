/* Logs, events and traces of a run, as the options ask for them. */
#include "records.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "cluster.h"
#include "page.h"
#include "table.h"
#include "text.h"
#include "yoke/cluster.h"

static struct {
    const char *log, *tensorboard, *trace, *trace_steps;
    bool profile;
} given;

const option_group options_records = {
    "Records",
    (const option[]){
        OPTION("log", "FILE", OPTION_TEXT,
               "append a line of JSON for each step and event: loss, rate, speed, bytes moved",
               .target = &given.log),
        OPTION("tensorboard", "DIR", OPTION_TEXT, "the same as scalars in an event file of TensorBoard",
               .target = &given.tensorboard),
        OPTION("trace", "FILE", OPTION_TEXT,
               "write when every rank did what, as JSON that Perfetto opens; the last steps that fit in 16 "
               "MiB a rank",
               .target = &given.trace),
        OPTION("profile", NULL, OPTION_SWITCH,
               "say how long each kernel took, beside the least that it could have taken here",
               .target = &given.profile),
        OPTION("trace-steps", "A..B", OPTION_TEXT, "of trace and profile: only these steps, from 0",
               .target = &given.trace_steps),
        {0},
    },
};

int records_open(cli *run, yoke_trainer *trainer, records *r)
{
    double peak;
    *r = (records){0};
    if (given.trace_steps && !given.trace && !given.profile)
        return cli_fail(run, 2, "--trace-steps",
                        "--trace-steps chooses steps of a trace; name its file: --trace FILE");
    if (yoke_cluster_rank() > 0) return 0; /* the first process keeps them */
    if ((given.log || given.tensorboard) && yoke_trainer_measure_peak(trainer, &peak) != YOKE_OK)
        return cli_fail_library(run);
    if ((given.log && yoke_log_open(&r->log, trainer, given.log) != YOKE_OK) ||
        (given.tensorboard && yoke_tensorboard_open(&r->tensorboard, trainer, given.tensorboard) != YOKE_OK))
        return cli_fail_library(run);
    return 0;
}

const char *records_kept(int i, const char **value_out)
{
    const struct {
        const char *flag, *value;
    } kept[] = {{"--log", given.log}, {"--tensorboard", given.tensorboard}, {"--html", page_path()}};
    if (i < 0 || (size_t)i >= sizeof kept / sizeof *kept) return NULL;
    *value_out = kept[i].value;
    return kept[i].flag;
}

/* "A..B" */
static bool read_steps(const char *text, yoke_trace_options *options)
{
    char *end;
    errno = 0;
    options->first_step = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || end[0] != '.' || end[1] != '.' || !isdigit((unsigned char)end[2]))
        return false;
    options->last_step = strtoll(end + 2, &end, 10);
    return !*end && !errno && options->first_step <= options->last_step;
}

int records_open_trace(cli *run, yoke_trainer *trainer, records *r)
{
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    if (given.trace_steps && !read_steps(given.trace_steps, &options))
        return cli_fail(run, 2, "--trace-steps",
                        "--trace-steps takes the first and the last step, from 0, e.g. 10..19, not '%s'",
                        given.trace_steps);
    if ((given.trace || given.profile) &&
        yoke_trace_open(&r->trace, trainer, given.trace, &options) != YOKE_OK)
        return cli_fail_library(run);
    return 0;
}

static void tell_trace(cli *run, const yoke_trace_summary *s, bool apart)
{
    fputs("trace          ", run->out);
    text_escape(run->out, given.trace, false);
    if (s->steps == 0)
        fputs(": no step was run that it was to be of\n", run->out);
    else
        fprintf(run->out, ": steps %lld .. %lld, %lld events\n", (long long)s->first_step,
                (long long)s->last_step, (long long)s->events);
    if (s->dropped_steps > 0)
        fprintf(run->out,
                "               %lld steps before them (%lld events) had no room and are not in it; "
                "--trace-steps A..B chooses\n",
                (long long)s->dropped_steps, (long long)s->dropped_events);
    if (apart)
        fputs(
            "               of the first process's ranks; what process N has is in the file of that name and "
            ".N\n",
            run->out);
    if (!run->json) return;
    put_begin_object(run->json, "trace");
    put_string(run->json, "file", given.trace);
    put_integer(run->json, "ranks", s->ranks);
    put_integer(run->json, "steps", s->steps);
    put_integer(run->json, "events", s->events);
    put_integer(run->json, "dropped_steps", s->dropped_steps);
    put_integer(run->json, "dropped_events", s->dropped_events);
    put_end_object(run->json);
}

static void print_profile(cli *run, const yoke_profile *p)
{
    double kernels = 0;
    table *t = table_create(
        (const char *const[]){"<kernel", "calls", "ms", "share", "least ms", "reached", "<bound by", NULL});
    for (int i = 0; i < p->nrows; i++) {
        const yoke_profile_row *row = &p->rows[i];
        kernels += row->ms;
        table_cell(t, "%s", row->kernel);
        table_cell(t, "%.4g", row->calls);
        table_cell(t, "%.3g", row->ms);
        table_cell(t, "%.1f %%", 100 * row->ms / p->step_ms);
        table_cell(t, "%.3g", row->bound_ms);
        table_cell(t, "%.0f %%", 100 * row->bound_ms / row->ms);
        table_cell(t, "%s", row->of_bytes ? "bytes" : "flops");
    }
    fprintf(run->out, "\nkernels of a step, over %lld step%s\n", (long long)p->steps,
            p->steps == 1 ? "" : "s");
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    fprintf(run->out, "  a step of %.4g ms: %.0f %% in kernels, which could have taken %.0f %% of it\n",
            p->step_ms, 100 * kernels / p->step_ms, 100 * p->roofline_share);
}

static void write_profile(json *j, const yoke_profile *p)
{
    put_begin_array(j, "profile");
    for (int i = 0; i < p->nrows; i++) {
        const yoke_profile_row *row = &p->rows[i];
        put_begin_object(j, NULL);
        put_string(j, "kernel", row->kernel);
        put_number(j, "calls", row->calls);
        put_number(j, "ms", row->ms);
        put_number(j, "bound_ms", row->bound_ms);
        put_string(j, "bound", row->of_bytes ? "bytes" : "flops");
        put_end_object(j);
    }
    put_end_array(j);
    put_integer(j, "profile_steps", p->steps);
    put_number(j, "roofline_share", p->roofline_share);
}

static int tell_profile(cli *run, const yoke_trace *trace)
{
    yoke_profile *profile;
    if (!given.profile || yoke_cluster_rank() > 0) return 0;
    if (yoke_trace_profile(trace, &profile) != YOKE_OK) return cli_fail_library(run);
    if (run->json) write_profile(run->json, profile);
    if (profile->steps > 0)
        print_profile(run, profile);
    else
        fputs("profile        of no step: none was run whole that it was to be of\n", run->out);
    yoke_profile_destroy(profile);
    return 0;
}

int records_close(cli *run, records *r, int code)
{
    yoke_trace_summary summary;
    bool traces = r->trace && given.trace, apart = yoke_cluster_size() > 1;
    int failed = r->trace ? tell_profile(run, r->trace) : 0;
    if (cluster_together(code)) {
        yoke_status status = yoke_trace_gather(r->trace);
        apart &= status != YOKE_OK;
        /* what the first process cannot write it says itself: the others wait for its end, not it for theirs
         */
        if (status != YOKE_OK && (yoke_cluster_rank() == 0 || status == YOKE_PEER_FAILED))
            failed = cli_fail_library(run);
    }
    if (yoke_trace_close(r->trace, &summary) != YOKE_OK)
        failed = cli_fail_library(run);
    else if (traces)
        tell_trace(run, &summary, apart);
    if (yoke_recorder_close(r->log) != YOKE_OK) failed = cli_fail_library(run);
    if (yoke_recorder_close(r->tensorboard) != YOKE_OK) failed = cli_fail_library(run);
    return code ? code : failed;
}
