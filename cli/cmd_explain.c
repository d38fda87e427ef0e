/* yoke explain: where a step's time goes, worst first, and what would make it shorter. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "page.h"
#include "simulation.h"
#include "text.h"
#include "yoke/checkpoint.h"
#include "yoke/planning.h"
#include "yoke/simulate.h"

static void put_place(json *j, const char *key, int number)
{
    if (number < 0)
        put_null(j, key);
    else
        put_integer(j, key, number);
}

static void write_result(json *j, const yoke_machine *machine, const yoke_explanation *e)
{
    simulation_write(j, machine, e->simulation);
    put_begin_array(j, "findings");
    for (int i = 0; i < e->nfindings; i++) {
        const yoke_finding *f = &e->findings[i];
        put_begin_object(j, NULL);
        put_string(j, "cause", f->cause);
        put_begin_object(j, "where");
        put_place(j, "stage", f->stage);
        put_place(j, "device", f->device);
        put_string(j, "layers", f->layers[0] ? f->layers : NULL);
        put_string(j, "level", f->level[0] ? f->level : NULL);
        put_end_object(j);
        put_number(j, "share", f->share);
        put_string(j, "sentence", f->sentence);
        put_end_object(j);
    }
    put_end_array(j);
    put_begin_array(j, "changes");
    for (int i = 0; i < e->nchanges; i++) {
        const yoke_change *c = &e->changes[i];
        put_begin_object(j, NULL);
        put_string(j, "flags", c->flags);
        put_number(j, "step_ms", 1e3 * c->step_s);
        put_number(j, "gain", c->gain);
        put_string(j, "sentence", c->sentence);
        put_end_object(j);
    }
    put_end_array(j);
    put_integer(j, "tried", e->tried);
}

static void print_result(cli *run, const yoke_machine *machine, const yoke_explanation *e)
{
    simulation_print_head(run->out, machine, e->simulation);
    fputs("\nwhere the step goes\n", run->out);
    for (int i = 0; i < e->nfindings; i++) {
        fprintf(run->out, "  %5.1f %%  ", 100 * e->findings[i].share);
        text_wrap(run->out, e->findings[i].sentence, 11, run->width);
    }
    fputs("\nwhat would be faster\n", run->out);
    for (int i = 0; i < e->nchanges; i++) {
        fputs("  ", run->out);
        text_wrap(run->out, e->changes[i].sentence, 2, run->width);
    }
    if (e->nchanges == 0) fprintf(run->out, "  none of %d other layouts of these devices\n", e->tried - 1);
}

/* What the run at hand measured, where it is one. */
static yoke_measured measured;
static bool of_run;

static void write_measured(json *j, bool ran, bool shares)
{
    if (!ran) {
        put_null(j, "measured");
        return;
    }
    put_begin_object(j, "measured");
    put_number(j, "step_ms", 1e3 * measured.step_s);
    if (shares) {
        put_begin_object(j, "shares");
        for (int i = 0; i < YOKE_SHARES; i++) put_number(j, yoke_share_name(i), measured.shares[i]);
        put_end_object(j);
    } else {
        put_null(j, "shares");
    }
    put_end_object(j);
}

static yoke_status explain(cli *run, const yoke_job *job, const yoke_machine *machine)
{
    yoke_explanation *e;
    bool ran = measured.step_s > 0, shares = ran && measured.shares[YOKE_SHARE_COMPUTE] > 0;
    yoke_status status = yoke_explain_run(job, machine, shares ? &measured : NULL, &e);
    if (status != YOKE_OK) return status;
    if (run->json) {
        write_result(run->json, machine, e);
        if (of_run) write_measured(run->json, ran, shares);
    }
    if (ran)
        fprintf(run->out, "measured: a step took %.4g ms%s\npredicted: ", 1e3 * measured.step_s,
                shares ? "" : "; where it went is not in the record, so that is of the predicted step");
    else if (of_run)
        fputs("a run's folder has no times, so all of this is predicted; its log or trace has them\n",
              run->out);
    print_result(run, machine, e);
    yoke_explanation_destroy(e);
    return YOKE_OK;
}

/* The job of a run's folder, log or trace in place of its path. */
static int find_run(cli *run)
{
    static char path[YOKE_PATH_BYTES + 16];
    const char *given = run->arguments.positional[0];
    struct stat info = {.st_mode = 0};
    char *job = NULL;
    if (stat(given, &info) == 0 && S_ISDIR(info.st_mode)) {
        yoke_inspection *found;
        if (yoke_inspect(given, &found) != YOKE_OK) return cli_fail_library(run);
        snprintf(path, sizeof path, "%s/job.yaml", found->path);
        yoke_inspection_destroy(found);
        if (stat(path, &info) != 0)
            return cli_fail(run, 2, run->command->operand,
                            "%s has no job.yaml: a folder to be explained is one that yoke train has saved",
                            given);
        of_run = true;
        run->arguments.positional[0] = path;
        return 0;
    }
    if (!S_ISREG(info.st_mode) || access(given, R_OK) != 0)
        return 0; /* reading it as a job says what is wrong */
    if (yoke_run_read(given, &job, &measured) != YOKE_OK) return cli_fail_library(run);
    if (!job) return 0;
    int file = memfd_create("job.yaml", 0); /* read once, by its path */
    bool written = file >= 0 && write(file, job, strlen(job)) == (ssize_t)strlen(job);
    free(job);
    if (!written) return cli_fail(run, 1, "", "no memory for the job of %s", given);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    of_run = true;
    run->arguments.positional[0] = path;
    return 0;
}

static yoke_status this_host(const yoke_job *job, yoke_machine **machine_out)
{
    return yoke_machine_of_host(job, yoke_job_devices(job, &job->layout), machine_out);
}

static int command_run(cli *run)
{
    int code = find_run(run);
    return code ? code : simulation_run(run, this_host, explain);
}

const command command_explain = {
    .name = "explain",
    .summary = "where a step's time goes on a described machine, and what would make it shorter",
    .usage = "JOB|RUN [--machine FILE|NAME] [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Simulates one step, as simulate does, and says what it loses, worst first: where, and to what. "
             "Then other "
             "layouts of as many devices are simulated, one thing changed or other degrees, and those that "
             "are faster "
             "are listed with what they gain. RUN is a folder, a log or a trace of train: then the findings "
             "are of what was "
             "measured. Without --machine it is this one.",
    .groups = (const option_group *const[]){&options_machine, &options_layout, &options_training,
                                            &options_page, &options_job, &options_general, NULL},
    .examples = "yoke explain run.jsonl\n"
                "yoke explain gpt.yaml --machine h100-sxm --pp 4 --microbatches 4\n"
                "yoke explain gpt.yaml --machine h100-sxm --pp 4 --html page.html\n"
                "yoke explain gpt.yaml --machine cluster.yaml --dp 64 --json -",
    .codes = "0   done\n2   bad usage, job, layout or machine file\n3   does not fit: memory, or devices",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
