/* yoke train: runs a job, shows its progress, saves what a signal or --stop-after leaves, and reports. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include "yoke/train.h"

static struct {
    int64_t stop_after;
    const char *resume;
} given;

static const option_group group_run = {
    "Run",
    (const option[]){
        OPTION("stop-after", "N", OPTION_COUNT, "save and stop after N steps of this run",
               .target = &given.stop_after, .least = 1),
        OPTION("resume", "DIR", OPTION_TEXT,
               "go on from a checkpoint: its newest step, or one step's folder; only read",
               .target = &given.resume),
        {0},
    },
};

/* The trainer that a signal stops. A signal before there is one is kept for it. */
static yoke_trainer *volatile stoppable;
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    (void)number;
    signalled = 1;
    signal(SIGINT, SIG_DFL); /* the second one ends the program as usual */
    signal(SIGTERM, SIG_DFL);
    if (stoppable) yoke_trainer_stop(stoppable);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Saves what a run that ended early has, and says where it is and how to go on. */
static int save(cli *run, yoke_trainer *trainer, const char *dir, int code)
{
    char folder[1200] = "", message[3000];
    if (yoke_trainer_save(trainer, dir, folder) != YOKE_OK) return cli_fail_library(run);
    snprintf(message, sizeof message, "saved in %s; go on with: yoke train %s --resume %s", folder,
             run->arguments.positional[0], dir);
    if (run->json) json_string(run->json, "saved", folder);
    if (code != 0) return cli_fail(run, code, "", "stopped by a signal; %s", message);
    text_escape(run->out, message, false);
    fputc('\n', run->out);
    return 0;
}

/* Loss over the samples held out, where there are any. */
static int evaluate(cli *run, yoke_trainer *trainer)
{
    double loss, accuracy;
    int64_t samples;
    yoke_status status = yoke_trainer_eval(trainer, NULL, &loss, &accuracy, &samples);
    if (status == YOKE_INVALID) /* a share so small that no sample is in it */
        return 0;
    if (status != YOKE_OK) return cli_fail_library(run);
    fprintf(run->out, "held-out loss  %.6g", loss);
    if (isfinite(accuracy)) fprintf(run->out, ", accuracy %.2f %%", 100 * accuracy);
    fprintf(run->out, " (%lld samples)\n", (long long)samples);
    if (run->json) {
        json_begin_object(run->json, "held_out");
        json_number(run->json, "loss", loss);
        json_number(run->json, "accuracy", accuracy);
        json_integer(run->json, "samples", samples);
        json_end_object(run->json);
    }
    return 0;
}

/* Runs the steps and what follows them; the job is loaded and the trainer stands. */
static int train(cli *run, const yoke_job *job, yoke_trainer *trainer)
{
    progress shown;
    const char *dir = job->checkpoint.dir;
    yoke_status status = YOKE_STOPPED;
    if (given.resume && yoke_trainer_resume(trainer, given.resume) != YOKE_OK) return cli_fail_library(run);
    progress_start(&shown, run, given.stop_after);
    if (!signalled) status = yoke_trainer_run(trainer, given.stop_after, progress_step, &shown);
    progress_end(&shown);
    if (status != YOKE_OK && status != YOKE_STOPPED) {
        int code = cli_fail_library(run);
        report_losses(run, trainer);
        return code;
    }
    int code = report_run(run, trainer, job->train.steps);
    if (code != 0) return code;
    if (status == YOKE_STOPPED)
        return save(run, trainer, dir[0] ? dir : "yoke-interrupted", yoke_status_exit_code(YOKE_STOPPED));
    if (job->train.holdout > 0 || job->data.holdout > 0) code = evaluate(run, trainer);
    if (code == 0 && given.stop_after && dir[0]) code = save(run, trainer, dir, 0);
    return code;
}

static int command_run(cli *run)
{
    int code = 0;
    yoke_trainer *trainer = NULL;
    catch_signals();
    yoke_job *job = cli_load_job(run, &code);
    if (!job) return code;
    if (yoke_trainer_create_from_job(&trainer, job) != YOKE_OK)
        code = cli_fail_library(run);
    else {
        stoppable = trainer;
        code = train(run, job, trainer);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        stoppable = NULL;
    }
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    return code;
}

const command command_train = {
    .name = "train",
    .summary = "train a job, on one device or many",
    .usage = "JOB [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Trains the model of a job file. The layout, from the file or from the flags below, says how "
             "data and model "
             "are split over devices; whatever it is, the losses are those of one device. A layout that "
             "cannot run, or "
             "that does not fit, is refused before anything starts.",
    .groups = (const option_group *const[]){&options_layout, &options_training, &group_run, &options_job,
                                            &options_general, NULL},
    .examples = "yoke train gpt.yaml\n"
                "yoke train gpt.yaml --dp 2 --steps 500\n"
                "yoke train gpt.yaml --pp 4 --microbatches 8 --schedule zb-h1 --json result.json\n"
                "yoke train gpt.yaml --set checkpoint.dir=runs/gpt --stop-after 100\n"
                "yoke train gpt.yaml --resume runs/gpt",
    .codes = "0   all steps done, or --stop-after reached\n"
             "1   the system refused: disk full, no memory\n"
             "2   bad usage, job file, data or layout\n"
             "3   does not fit in a device's memory; what would fit is said\n"
             "4   a rank or peer failed\n"
             "5   a loss or gradient was not finite\n"
             "75  stopped by SIGINT or SIGTERM; state saved, run again with --resume",
    .run = command_run,
};
