/* yoke eval: loss and accuracy of a saved model or of a job on held-out samples. */
#include <math.h>

#include "cli.h"
#include "yoke/compare.h"

static struct {
    const char *data;
} given;

static const option_group group_eval = {
    "Evaluation",
    (const option[]){
        OPTION("data", "FILE", OPTION_TEXT, "evaluate on this file, in the format of the job's data",
               .target = &given.data),
        OPTION("precision", "NAME", OPTION_KEY, "f32 | bf16", .key = "train.precision"),
        {0},
    },
};

static int command_run(cli *run)
{
    double loss, accuracy;
    int64_t samples;
    if (yoke_eval(run->arguments.positional[0], run->arguments.noverrides,
                  (const char *const *)run->arguments.overrides, given.data, &loss, &accuracy,
                  &samples) != YOKE_OK)
        return cli_fail_library(run);
    if (run->json) {
        put_number(run->json, "loss", loss);
        put_number(run->json, "accuracy", accuracy);
        put_integer(run->json, "samples", samples);
    }
    fprintf(run->out, "loss      %.6g\n", loss);
    if (isfinite(accuracy)) fprintf(run->out, "accuracy  %.2f %%\n", 100 * accuracy);
    fprintf(run->out, "samples   %lld\n", (long long)samples);
    return 0;
}

const command command_eval = {
    .name = "eval",
    .summary = "loss and accuracy on the held-out share",
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
