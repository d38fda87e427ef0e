/* yoke predict: a saved model's outputs for the samples of a file, a row each. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "rows.h"
#include "yoke/predict.h"

static struct {
    const char *data, *out;
    bool all;
} given;

static const option_group group_predict = {
    "Prediction",
    (const option[]){
        OPTION("data", "FILE", OPTION_TEXT,
               "the samples: csv, by the names of its columns, npy or idx; targets may be absent",
               .target = &given.data),
        OPTION("out", "FILE", OPTION_TEXT,
               "write the rows here: .csv, .npy or .jsonl; -, or without it: csv to standard output",
               .target = &given.out),
        OPTION("all", NULL, OPTION_SWITCH, "of classes: every probability, not the likeliest alone",
               .target = &given.all),
        {0},
    },
};

static void on_notice(void *context, const yoke_error *notice)
{
    char text[YOKE_SENTENCE_BYTES];
    cli_notice(context, "%s", yoke_error_print(notice, text, sizeof text));
}

static const char *class_name(void *of, int64_t i)
{
    return yoke_predictor_class(of, i);
}

static const char *target_name(void *of, int64_t i)
{
    return yoke_predictor_target(of, i);
}

/* Values become probabilities. False: they are not finite. */
static bool soften(float *values, int64_t count)
{
    float most = values[0];
    double sum = 0;
    for (int64_t i = 1; i < count; i++) most = values[i] > most ? values[i] : most;
    for (int64_t i = 0; i < count; i++) sum += exp((double)values[i] - most);
    for (int64_t i = 0; i < count; i++) values[i] = (float)(exp((double)values[i] - most) / sum);
    return isfinite(sum);
}

/* All samples, some at a time: *odd_out of them gave a value that is not finite. */
static yoke_status predict_all(yoke_predictor *p, yoke_data *data, rows *to, const rows_shape *shape,
                               int64_t *odd_out)
{
    enum { AT_ONCE = 64 };
    float *outputs = malloc(sizeof *outputs * (size_t)shape->numbers * AT_ONCE);
    yoke_status status = outputs ? YOKE_OK : YOKE_SYSTEM;
    for (int64_t first = 0; first < shape->samples && status == YOKE_OK; first += AT_ONCE) {
        int64_t count = shape->samples - first < AT_ONCE ? shape->samples - first : AT_ONCE;
        status = yoke_predictor_run_data(p, data, first, count, outputs);
        for (int64_t i = 0; i < count && status == YOKE_OK; i++) {
            float *row = outputs + i * shape->numbers;
            bool finite = true;
            for (int64_t k = 0; k < shape->numbers; k++) finite = finite && isfinite(row[k]);
            if (shape->classes) finite = soften(row, shape->numbers) && finite;
            *odd_out += !finite;
            rows_add(to, row);
        }
    }
    free(outputs);
    return status;
}

static int write_rows(cli *run, yoke_predictor *p, yoke_data *data)
{
    yoke_row out;
    int code = 0;
    int64_t odd = 0, elems = 1, classes = yoke_predictor_classes(p);
    yoke_predictor_rows(p, NULL, &out);
    for (int i = 0; i < out.ndim; i++) elems *= out.dims[i];
    bool one = classes > 0 && elems == classes; /* else a class at each place: their values, as they are */
    if (given.all && !one)
        return cli_fail(run, 2, "--all", "--all is for one class a sample, and this model's outputs are %s",
                        classes ? "classes at many places" : "numbers");
    rows_shape shape = {.samples = yoke_data_samples(data),
                        .numbers = elems,
                        .classes = one,
                        .all = given.all,
                        .name = one ? class_name : target_name,
                        .of = p};
    rows *to = rows_open(run, given.out, &shape, &code);
    if (!to) return code;
    const char *format = rows_format(to);
    if (predict_all(p, data, to, &shape, &odd) != YOKE_OK) {
        rows_close(run, to, false);
        return cli_fail_library(run);
    }
    code = rows_close(run, to, true);
    if (code == 0 && odd > 0)
        cli_notice(run, "the outputs of %lld of %lld samples are not finite", (long long)odd,
                   (long long)shape.samples);
    if (run->json) {
        put_integer(run->json, "samples", shape.samples);
        put_integer(run->json, "classes", one ? classes : 0);
        put_integer(run->json, "not_finite", odd);
        put_string(run->json, "out", given.out);
        put_string(run->json, "format", format);
        put_string(run->json, "from", yoke_predictor_folder(p));
    }
    if (code == 0 && given.out)
        fprintf(run->out, "%lld rows written to %s\n", (long long)shape.samples, given.out);
    return code;
}

/* Whether both are one file, under whatever names. */
static bool is_one_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int command_run(cli *run)
{
    yoke_predictor *p = NULL;
    yoke_data *data = NULL;
    if (!given.data) return cli_fail(run, 2, "--data", "--data FILE is missing: the samples to predict for");
    if (given.out && strcmp(given.out, "-") == 0) given.out = NULL;
    if (run->json_file == STDOUT_FILENO && !given.out)
        return cli_fail(run, 2, "--out", "--json - takes standard output; --out FILE says where the rows go");
    if (given.out && is_one_file(given.out, given.data))
        return cli_fail(run, 2, "--out", "--out %s is the file of --data, which the rows would replace",
                        given.out);
    int code = 0;
    if (yoke_predictor_open(run->arguments.positional[0], &p) != YOKE_OK) return cli_fail_library(run);
    yoke_predictor_on_notice(p, on_notice, run);
    if (yoke_predictor_data(p, given.data, &data) != YOKE_OK)
        code = cli_fail_library(run);
    else
        code = write_rows(run, p, data);
    yoke_data_destroy(data);
    yoke_predictor_close(p);
    return code;
}

const command command_predict = {
    .name = "predict",
    .summary = "a saved model's answer for every sample of a file",
    .usage = "DIR --data FILE [options]",
    .operand = "DIR",
    .least = 1,
    .most = 1,
    .about =
        "Writes a row for every sample, in their order: the model's outputs, or for classes the likeliest "
        "class and its probability. DIR is a checkpoint (its newest step), one step's folder, or DIR/best. "
        "Columns are found by the names of training, and scaled as they were there; nothing of the training "
        "data is needed.",
    .groups = (const option_group *const[]){&group_predict, &options_general, NULL},
    .examples = "yoke predict runs/iris --data new.csv\n"
                "yoke predict runs/iris/best --data new.csv --out new-classes.csv --all\n"
                "yoke predict runs/digits --data images-idx3-ubyte.gz --out digits.jsonl",
    .codes = "0   done\n1   the system refused: disk full, no memory\n2   bad usage, folder or data\n"
             "3   does not fit in memory",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
