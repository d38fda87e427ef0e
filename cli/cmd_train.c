/* yoke train: runs a job, shows its progress, saves what a signal or --stop-after leaves, and reports. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "auto.h"
#include "cli.h"
#include "cluster.h"
#include "commands.h"
#include "course.h"
#include "page.h"
#include "progress.h"
#include "records.h"
#include "report.h"
#include "rescue.h"
#include "scores.h"
#include "signs.h"
#include "text.h"
#include "yoke/checkpoint.h"
#include "yoke/cluster.h"
#include "yoke/planning.h"
#include "yoke/train.h"

static struct {
    int64_t stop_after;
    const char *resume, *changed, *name;
    bool overwrite, take_over, dry_run;
} given;

static const option_group group_run = {
    "Run",
    (const option[]){
        OPTION("stop-after", "N", OPTION_COUNT, "save and stop after N steps of this run",
               .target = &given.stop_after, .least = 1),
        OPTION("resume", "DIR|auto", OPTION_TEXT,
               "go on from a checkpoint: its newest step, or one step's folder; without a value, from "
               "checkpoint.dir; auto: from there, or from the beginning where no step is there",
               .target = &given.resume, .bare = ""),
        OPTION("resume-changed", "KEYS", OPTION_TEXT,
               "go on though these have changed since: data, data.holdout, train.batch, model, ...",
               .target = &given.changed),
        OPTION("overwrite", NULL, OPTION_SWITCH,
               "remove another run's steps from checkpoint.dir, and later ones of this run, once a new one "
               "is saved",
               .target = &given.overwrite),
        OPTION("take-over", NULL, OPTION_SWITCH,
               "checkpoint.dir may be locked yet by an earlier part of this run, on a host that is gone",
               .target = &given.take_over),
        OPTION("run", "ID", OPTION_TEXT,
               "what a run that begins is called, 32 hexadecimal digits; yoke launch gives it",
               .target = &given.name),
        OPTION("dry-run", NULL, OPTION_SWITCH,
               "plan the run and say what each device would hold; begin nothing, write nothing",
               .target = &given.dry_run),
        OPTION("signs", "FILE", OPTION_TEXT,
               "append that the run has begun, and the code with which it ended; yoke launch asks for it",
               .target = &signs_path),
        {0},
    },
};

int train_find_job(cli *run)
{
    static char job[YOKE_PATH_BYTES + 16]; /* of the step; the command line still names none */
    yoke_inspection *found;
    if (run->arguments.npositional > 0) return 0;
    if (!given.resume || !given.resume[0] || strcmp(given.resume, "auto") == 0)
        return cli_fail(run, 2, run->command->operand,
                        "%s is missing; usage: yoke %s %s; with --resume DIR it may be left out",
                        run->command->operand, run->command->name, run->command->usage);
    if (yoke_inspect(given.resume, &found) != YOKE_OK) return cli_fail_library(run);
    snprintf(job, sizeof job, "%s/job.yaml", found->path);
    yoke_inspection_destroy(found);
    run->arguments.positional[0] = job;
    return 0;
}

/* The trainer that a signal stops. A signal before there is one is kept for it. */
static yoke_trainer *volatile stoppable;
static volatile sig_atomic_t signalled;

/* What asks for an end; a terminal that closes does too, unless nohup has said that it does not. Schedulers
 * send some of them twice, or to every process of a job: only a person's second interrupt ends the program
 * before it has saved. */
static const int asking[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
enum { NASKING = sizeof asking / sizeof *asking };

static void on_signal(int number)
{
    signalled = 1;
    if (number == SIGINT) signal(SIGINT, SIG_DFL);
    if (stoppable) yoke_trainer_stop(stoppable);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < NASKING; i++) sigaddset(&action.sa_mask, asking[i]);
    for (int i = 0; i < NASKING; i++) {
        struct sigaction before;
        bool ignored = sigaction(asking[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
        if (asking[i] != SIGHUP || !ignored) sigaction(asking[i], &action, NULL);
    }
}

static void on_notice(void *context, const yoke_error *notice)
{
    progress *shown = context;
    if (yoke_cluster_rank() > 0) return; /* all processes hear of it */
    progress_clear(shown);
    char text[CLI_SENTENCE];
    cli_sentence(notice, text, sizeof text);
    cli_notice(shown->run, "%s", text);
}

static course steps; /* of this run */

static void on_step(void *context, const yoke_step_report *report)
{
    course_note(context, report);
}

/* Loss over the samples held out, where there are any. */
static int evaluate(cli *run, yoke_trainer *trainer)
{
    yoke_evaluation e;
    if (yoke_trainer_held_out(trainer) == 0) return 0; /* said before the first step */
    yoke_status status = yoke_trainer_evaluate(trainer, NULL, 0, &e);
    if (status != YOKE_OK) {
        int code = cli_fail_library(run);
        rescue_after(run, trainer);
        return code;
    }
    fputs("held-out loss  ", run->out);
    scores_line(run->out, &e);
    fprintf(run->out, " (%lld samples)\n", (long long)e.samples);
    if (run->json) {
        put_begin_object(run->json, "held_out");
        scores_write(run->json, &e);
        put_end_object(run->json);
    }
    yoke_evaluation_release(&e);
    return 0;
}

/* What follows a run that has not failed. */
static int conclude(cli *run, const yoke_job *job, yoke_trainer *trainer, const progress *shown, bool stopped)
{
    bool early = stopped || (given.stop_after && shown->first >= 0 && !shown->finished);
    char *said = NULL;
    int code = early ? rescue_save(run, trainer, &said) : 0; /* before all else */
    if (code == 0) code = report_run(run, trainer, &steps);
    if (code == 0 && !stopped && job->train.holdout > 0) code = evaluate(run, trainer);
    if (code == 0 && stopped)
        code = cli_fail(run, yoke_status_exit_code(YOKE_STOPPED), "", "stopped by a signal; %s",
                        said ? said : "saved");
    else if (code == 0 && said) {
        text_escape(run->out, said, false);
        fputc('\n', run->out);
    }
    free(said);
    return code;
}

/* What a step is going to take, as far as that can be said of this machine. */
static void predict(const yoke_job *job, yoke_trainer *trainer)
{
    yoke_machine *machine = NULL;
    yoke_simulation *simulation = NULL;
    if (yoke_cluster_rank() > 0) return; /* the first process tells it */
    if (yoke_machine_of_host(job, yoke_job_devices(job, &job->layout), &machine) == YOKE_OK &&
        yoke_trainer_simulate(trainer, machine, &simulation) == YOKE_OK)
        yoke_simulation_destroy(simulation);
    yoke_machine_destroy(machine);
}

/* Whether and how the job would fit. */
static int dry_run(cli *run, const yoke_job *job)
{
    yoke_dry_run *dry;
    if (yoke_job_dry_run(job, &dry) != YOKE_OK) return cli_fail_library(run);
    report_dry_run(run, dry);
    yoke_dry_run_destroy(dry);
    return 0;
}

/* Runs the steps and what follows them; the job is loaded and the trainer stands. */
static int train(cli *run, const yoke_job *job, yoke_trainer *trainer, records *kept)
{
    progress shown;
    yoke_status status = YOKE_STOPPED;
    progress_start(&shown, run, given.stop_after);
    if (progress_watch(&shown, trainer) != YOKE_OK ||
        yoke_trainer_watch(trainer, &(yoke_watcher){.context = &steps, .step = on_step}) != YOKE_OK)
        return cli_fail_library(run);
    yoke_trainer_on_notice(trainer, on_notice, &shown);
    if (yoke_trainer_start(trainer) != YOKE_OK) return cli_fail_library(run);
    int code = records_open_trace(run, trainer, kept);
    if (code != 0) return code;
    rescue_check(run, job);
    /* with others, a signal ends the first step: they have to hear of it */
    if (!signalled || yoke_cluster_size() > 1)
        status = yoke_trainer_run(trainer, given.stop_after, progress_step, &shown);
    progress_end(&shown);
    if (status == YOKE_OK || status == YOKE_STOPPED)
        return conclude(run, job, trainer, &shown, status == YOKE_STOPPED);
    code = cli_fail_library(run);
    rescue_after(run, trainer);
    report_losses(run, trainer);
    if (run->json) course_write(&steps, run->json);
    return code;
}

/* How the command line says that the run begins. */
static int read_start(cli *run, const yoke_job *job, yoke_start *start)
{
    bool by_itself = given.resume && strcmp(given.resume, "auto") == 0,
         from_dir = by_itself || (given.resume && !given.resume[0]);
    *start =
        (yoke_start){given.resume, by_itself, given.changed, given.overwrite, given.name, given.take_over};
    if (from_dir && !job->checkpoint.dir[0])
        return cli_fail(run, 2, "--resume",
                        "--resume%s goes on from checkpoint.dir, and the job has none; give --resume DIR",
                        by_itself ? " auto" : " without a folder");
    if (from_dir) start->resume = job->checkpoint.dir;
    return 0;
}

static int command_run(cli *run)
{
    yoke_trainer *trainer = NULL;
    yoke_start start;
    if (given.dry_run && page_path())
        return cli_fail(run, 2, "--html", "--html shows what a run did, and --dry-run begins none");
    catch_signals();
    int code = train_find_job(run);
    yoke_job *job = code == 0 ? cluster_load_job(run, &code) : NULL;
    if (!job) return code;
    code = auto_choose(run, job, NULL);
    page_put_job(run, job);
    if (given.dry_run || code != 0) {
        if (code == 0) code = dry_run(run, job);
        yoke_job_destroy(job);
        return code;
    }
    code = read_start(run, job, &start);
    if (code == 0 && (yoke_trainer_create_to_start(&trainer, job, &start) != YOKE_OK ||
                      yoke_trainer_claim(trainer) != YOKE_OK))
        code = cli_fail_library(run);
    if (code == 0) {
        stoppable = trainer;
        if (signalled) yoke_trainer_stop(trainer);
        records kept;
        predict(job, trainer);
        code = records_open(run, trainer, &kept);
        if (code == 0) code = train(run, job, trainer, &kept);
        code = records_close(run, &kept, code);
        stoppable = NULL;
    }
    yoke_trainer_destroy(trainer); /* gives the folder back: until then what asks for an end finds it done */
    for (int i = 0; i < NASKING; i++)
        if (asking[i] == SIGINT || (asking[i] != SIGHUP && yoke_cluster_size() == 1))
            signal(asking[i], SIG_DFL);
    yoke_job_destroy(job);
    return code;
}

const command command_train = {
    .name = "train",
    .summary = "train a job, on one device or many",
    .usage = "JOB [options]",
    .operand = "JOB",
    .least = 0, /* with --resume DIR */
    .most = 1,
    .about = "Trains the model of a job file. The layout, from the file or from the flags below, says how "
             "data and model "
             "are split over devices; whatever it is, the losses are those of one device. A layout that "
             "cannot run, or "
             "that does not fit, is refused before anything starts.",
    .groups = (const option_group *const[]){&options_layout, &options_training, &group_run, &options_records,
                                            &options_page, &options_job, &options_general, NULL},
    .examples = "yoke train gpt.yaml\n"
                "yoke train gpt.yaml --dp 2 --steps 500\n"
                "yoke train gpt.yaml --dp 8 --zero 3 --device-memory 16GiB --dry-run\n"
                "yoke train gpt.yaml --pp 4 --microbatches 8 --schedule zb-h1 --json result.json\n"
                "yoke train gpt.yaml --set checkpoint.dir=runs/gpt --stop-after 100\n"
                "yoke train gpt.yaml --resume runs/gpt\n"
                "yoke train gpt.yaml --set checkpoint.dir=runs/gpt --resume auto\n"
                "yoke train gpt.yaml --pp 2 --microbatches 4 --trace trace.json --trace-steps 10..12\n"
                "yoke train gpt.yaml --dp 2 --html page.html\n"
                "yoke train gpt.yaml --log run.jsonl --tensorboard runs/gpt",
    .codes = "0   all steps done, or --stop-after reached\n"
             "1   the system refused: disk full, no memory\n"
             "2   bad usage, job file, data or layout\n"
             "3   does not fit in a device's memory; what would fit is said\n"
             "4   a rank or peer failed\n"
             "5   a loss or gradient was not finite\n"
             "75  stopped by SIGINT, SIGTERM, SIGUSR1 or SIGHUP; state saved, run again with --resume",
    .processes = ALL_PROCESSES,
    .run = command_run,
};
