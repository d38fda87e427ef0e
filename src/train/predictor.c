/* A predictor: a trainer that has a model's weights and nothing else, and the job it was saved with. */
#include "yoke/predict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "job/job.h"
#include "train/trainer.h"

struct yoke_predictor {
    yoke_job *job;
    yoke_trainer *trainer;
    yoke_row input, output;
    int64_t classes;
    char folder[YKI_FOLDER_BYTES];
};

static yoke_row row_of(const yki_value *value)
{
    yoke_row row = {.type = value->role == YKI_ROLE_INDEX ? YOKE_I32 : YOKE_F32, .ndim = value->ndim};
    memcpy(row.dims, value->dims, sizeof row.dims);
    return row;
}

static yoke_status open_in(yoke_predictor *p, const char *dir)
{
    int is_step;
    char passed_over[256];
    YKI_TRY(yki_checkpoint_find(dir, p->folder, &is_step, passed_over));
    YKI_TRY(yki_job_of_folder(p->folder, &p->job));
    yoke_layout one;
    yki_trainer_options options = yki_inference_options(p->job, p->folder, &one);
    options.purpose = YKI_PURPOSE_PREDICT;
    options.no_data = options.alone = true;
    YKI_TRY(yki_trainer_create(&p->trainer, &options));
    if (passed_over[0]) yki_trainer_note(p->trainer, "%s", passed_over);
    const yoke_model *model = p->trainer->model;
    p->input = row_of(&model->values[model->input]);
    p->output = row_of(&model->values[model->output]);
    p->classes = model->loss == YOKE_CROSS_ENTROPY ? p->output.dims[p->output.ndim - 1] : 0;
    return YOKE_OK;
}

yoke_status yoke_predictor_open(const char *dir, yoke_predictor **predictor_out)
{
    if (!dir || !predictor_out) return yki_fail(YOKE_INVALID, "a predictor needs a folder, not NULL");
    yoke_predictor *p = calloc(1, sizeof *p);
    if (!p) return yki_fail_memory("a predictor");
    yoke_status status = open_in(p, dir);
    if (status != YOKE_OK) {
        yoke_predictor_close(p);
        return status;
    }
    *predictor_out = p;
    return YOKE_OK;
}

void yoke_predictor_close(yoke_predictor *predictor)
{
    if (!predictor) return;
    yoke_trainer_destroy(predictor->trainer);
    yoke_job_destroy(predictor->job);
    free(predictor);
}

/* What a file's name says of its format; false: nothing. */
static bool format_of_name(const char *path, yoke_data_format *format_out)
{
    static const struct {
        const char *end;
        yoke_data_format format;
    } ends[] = {{".csv", YOKE_DATA_CSV},   {".csv.gz", YOKE_DATA_CSV},   {".npy", YOKE_DATA_NPY},
                {"-ubyte", YOKE_DATA_IDX}, {"-ubyte.gz", YOKE_DATA_IDX}, {".idx", YOKE_DATA_IDX},
                {".idx.gz", YOKE_DATA_IDX}};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i].end);
        if (length < end || strcasecmp(path + length - end, ends[i].end) != 0) continue;
        *format_out = ends[i].format;
        return true;
    }
    return false;
}

yoke_status yoke_predictor_data(yoke_predictor *predictor, const char *path, yoke_data **data_out)
{
    YKI_NEED(predictor, path, data_out);
    yoke_data_spec *spec = &predictor->job->data;
    bool text = yki_job_is_written(predictor->job);
    if (text && predictor->input.type == YOKE_I32)
        return yki_fail(YOKE_INVALID,
                        "the model of %s goes on from text, and has no prediction for a row of data: yoke "
                        "generate DIR --prompt TEXT lets it, yoke eval DIR --data FILE scores it",
                        predictor->folder);
    if (strlen(path) >= sizeof spec->inputs)
        return yki_fail(YOKE_INVALID, "a path of more than %zu bytes", sizeof spec->inputs - 1);
    if (!format_of_name(path, &spec->format) && (text || spec->format == YOKE_DATA_RANDOM))
        return yki_fail_at(YOKE_INVALID, path, 0, "",
                           "its name says no format: .csv, .npy or an idx file's -ubyte is needed");
    return yki_trainer_open_inputs(predictor->trainer, path, data_out);
}

void yoke_predictor_on_notice(yoke_predictor *predictor, yoke_notice notice, void *context)
{
    if (predictor) yoke_trainer_on_notice(predictor->trainer, notice, context);
}

yoke_status yoke_predictor_run(yoke_predictor *predictor, int64_t n, const void *inputs, float *outputs)
{
    if (!predictor) return yki_fail(YOKE_INVALID, "the predictor is NULL");
    return yoke_trainer_predict(predictor->trainer, n, inputs, outputs);
}

yoke_status yoke_predictor_run_data(yoke_predictor *predictor, yoke_data *data, int64_t first, int64_t n,
                                    float *outputs)
{
    YKI_NEED(predictor, data);
    if (n > 0) YKI_NEED(outputs);
    int64_t samples = yoke_data_samples(data);
    if (first < 0 || n < 0 || n > samples || first > samples - n)
        return yki_fail(YOKE_INVALID, "samples %lld and the %lld from there are not all of the data's %lld",
                        (long long)first, (long long)n, (long long)samples);
    YKI_TRY(yki_data_view(data, &predictor->input, NULL));
    return yki_trainer_predict_data(predictor->trainer, data, first, n, outputs);
}

/* The likeliest of `count` values, and its share in their softmax. */
static int32_t likeliest(const float *values, int64_t count, float *share_out)
{
    int64_t best = 0;
    for (int64_t c = 1; c < count; c++)
        if (values[c] > values[best]) best = c;
    double sum = 0;
    for (int64_t c = 0; c < count && share_out; c++) sum += exp((double)values[c] - values[best]);
    if (share_out) *share_out = (float)(1 / sum);
    return (int32_t)best;
}

yoke_status yoke_predictor_classify(yoke_predictor *predictor, int64_t n, const void *inputs,
                                    int32_t *classes, float *probabilities)
{
    if (!predictor || !inputs || !classes || n < 0)
        return yki_fail(YOKE_INVALID, "predictions need a predictor, inputs and room for classes, not NULL");
    if (predictor->classes == 0)
        return yki_fail(YOKE_INVALID, "the outputs of %s are numbers, not classes", predictor->folder);
    const yoke_model *model = predictor->trainer->model;
    int64_t most = yki_run_forward_samples(predictor->trainer->run),
            elems = yki_value_elems(&model->values[model->output]), rows = elems / predictor->classes;
    float *outputs = malloc(sizeof *outputs * (size_t)(most * elems));
    yoke_status status = outputs ? YOKE_OK : yki_fail_memory("predictions");
    for (int64_t first = 0; first < n && status == YOKE_OK; first += most) {
        int64_t count = n - first < most ? n - first : most;
        status = yoke_trainer_predict(predictor->trainer, count,
                                      (const char *)inputs + (size_t)first * predictor->trainer->input_bytes,
                                      outputs);
        for (int64_t r = 0; r < count * rows && status == YOKE_OK; r++)
            classes[first * rows + r] = likeliest(outputs + r * predictor->classes, predictor->classes,
                                                  probabilities ? &probabilities[first * rows + r] : NULL);
    }
    free(outputs);
    return status;
}

void yoke_predictor_rows(const yoke_predictor *predictor, yoke_row *input, yoke_row *output)
{
    if (predictor && input) *input = predictor->input;
    if (predictor && output) *output = predictor->output;
}

int64_t yoke_predictor_classes(const yoke_predictor *predictor)
{
    return predictor ? predictor->classes : 0;
}

int64_t yoke_predictor_bytes(const yoke_predictor *predictor)
{
    return predictor ? yki_plan_total_bytes(predictor->trainer->plan) : 0;
}

const char *yoke_predictor_folder(const yoke_predictor *predictor)
{
    return predictor ? predictor->folder : "";
}

static const char *name_of(const yki_names *names, int64_t i)
{
    return i >= 0 && i < names->count ? names->names[i] : NULL;
}

const char *yoke_predictor_class(const yoke_predictor *predictor, int64_t i)
{
    return predictor ? name_of(&predictor->trainer->facts.classes, i) : NULL;
}

const char *yoke_predictor_column(const yoke_predictor *predictor, int64_t i)
{
    return predictor ? name_of(&predictor->trainer->facts.columns, i) : NULL;
}

const char *yoke_predictor_target(const yoke_predictor *predictor, int64_t i)
{
    return predictor ? name_of(&predictor->trainer->facts.targets, i) : NULL;
}
