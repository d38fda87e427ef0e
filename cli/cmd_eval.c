/* yoke eval: a saved model, or a job, scored on held-out samples; and what it was that was scored. */
#include <math.h>

#include "cli.h"
#include "scores.h"
#include "yoke/compare.h"

static struct {
    const char *data, *adapter;
} given;

static const option_group group_eval = {
    "Evaluation",
    (const option[]){
        OPTION("data", "FILE", OPTION_TEXT,
               "evaluate on this file, in the format of the job's data; of npy and idx INPUTS,TARGETS",
               .target = &given.data),
        OPTION("adapter", "DIR", OPTION_TEXT,
               "score the model with these adapters, without merging them into it", .target = &given.adapter),
        OPTION("precision", "NAME", OPTION_KEY, "f32 | bf16", .key = "train.precision"),
        {0},
    },
};

/* What was scored, where that is not what a person may think. */
static void say(cli *run, const yoke_evaluation *e)
{
    if (e->scored == YOKE_SCORED_ALL && e->other_data)
        cli_notice(run, "nothing is held out: all samples are scored (data.holdout keeps some apart)");
    else if (e->scored == YOKE_SCORED_ALL)
        cli_notice(run, "nothing is held out: these are the training data (data.holdout keeps some apart)");
    if (!e->weights[0] && e->trained[0])
        cli_notice(run, "the weights are first values, nothing was trained; what was is in %s: yoke eval %s",
                   e->trained, e->trained);
    else if (!e->weights[0])
        cli_notice(run, "the weights are first values: nothing was trained");
}

static void on_notice(void *context, const yoke_error *notice)
{
    char text[YOKE_SENTENCE_BYTES];
    cli_notice(context, "%s", yoke_error_print(notice, text, sizeof text));
}

static int command_run(cli *run)
{
    static const char *const scored[] = {"held out", "all", "given"};
    yoke_evaluation e;
    if (yoke_eval(run->arguments.positional[0], run->arguments.noverrides,
                  (const char *const *)run->arguments.overrides, given.adapter, given.data, on_notice, run,
                  &e) != YOKE_OK)
        return cli_fail_library(run);
    say(run, &e);
    if (run->json) {
        scores_write(run->json, &e);
        put_string(run->json, "scored", scored[e.scored]);
        put_string(run->json, "weights", e.weights[0] ? e.weights : NULL);
    }
    fprintf(run->out, "loss        %.6g\n", e.loss);
    if (isfinite(e.accuracy)) fprintf(run->out, "accuracy    %.2f %%\n", 100 * e.accuracy);
    if (isfinite(e.perplexity)) fprintf(run->out, "perplexity  %.6g\n", e.perplexity);
    fprintf(run->out, "samples     %lld\n", (long long)e.samples);
    if (e.tokens > 0) fprintf(run->out, "tokens      %lld\n", (long long)e.tokens);
    scores_print_confusion(run, &e);
    yoke_evaluation_release(&e);
    return 0;
}

const command command_eval = {
    .name = "eval",
    .summary = "loss, accuracy and confusion on the held-out share",
    .usage = "DIR|JOB [options]",
    .operand = "DIR|JOB",
    .least = 1,
    .most = 1,
    .about = "Evaluates a saved model, or a job with the weights it starts from, on the share of the data "
             "that the job "
             "holds out; on all of the data where nothing is held out; or on a file.",
    .groups = (const option_group *const[]){&group_eval, &options_job, &options_general, NULL},
    .examples =
        "yoke eval runs/gpt\nyoke eval runs/gpt --data other.txt\nyoke eval job.yaml --set model.from=./gpt2",
    .codes =
        "0   done\n1   the system refused\n2   bad usage, job, folder or data\n3   does not fit in memory",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
