/* eval: a saved model, or a job with the weights it starts from, scored on data; and what was scored. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "job/job.h"
#include "train/trainer.h"

/* A job given as a file, or by the folder it was saved to. */
static yoke_status job_of_path(const char *path, int noverrides, const char *const *overrides,
                               char folder[YKI_FOLDER_BYTES], char passed_over[256], yoke_job **job_out)
{
    struct stat info;
    folder[0] = passed_over[0] = '\0';
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return yoke_job_load(path, noverrides, overrides, job_out);
    int is_step;
    char job[1300];
    YKI_TRY(yki_checkpoint_find(path, folder, &is_step, passed_over));
    snprintf(job, sizeof job, "%s/job.yaml", folder);
    if (stat(job, &info) != 0)
        return yki_fail(YOKE_INVALID, "%s has no job.yaml that says which data to evaluate on", folder);
    return yoke_job_load(job, noverrides, overrides, job_out);
}

yoke_status yki_job_take_adapter(yoke_job *job, const char *adapter, const char **weights)
{
    yoke_adapter_spec *spec = &job->model.adapter;
    struct stat info;
    if (stat(adapter, &info) != 0 || !S_ISDIR(info.st_mode) || strlen(adapter) >= sizeof spec->from)
        return yki_fail_at(YOKE_INVALID, adapter, 0, "", "is no folder of adapters (--adapter)");
    if (job->model.family == YOKE_FAMILY_LAYERS)
        return yki_fail(YOKE_INVALID, "--adapter %s: a model of layers takes no adapters", adapter);
    if (!job->model.from[0] && (!*weights || yki_is_adapter(*weights)))
        return yki_fail(YOKE_INVALID, "--adapter %s: the job has no model.from to apply it to", adapter);
    for (int i = 0; i < spec->targets.count; i++) free(spec->targets.list[i]);
    free(spec->targets.list);
    *spec = (yoke_adapter_spec){.kind = YOKE_ADAPTER_LORA, .dropout = -1};
    snprintf(spec->from, sizeof spec->from, "%s", adapter);
    if (*weights && yki_is_adapter(*weights)) *weights = NULL;
    return YOKE_OK;
}

/* Where the weights are from, and of first values, whether the job has trained ones. */
static void name_weights(const yoke_job *job, const char *folder, yoke_evaluation *e)
{
    const char *from = folder[0] ? folder : job->model.from;
    int is_step;
    char newest[YKI_FOLDER_BYTES];
    snprintf(e->weights, sizeof e->weights, "%s", from);
    if (from[0] || !job->checkpoint.dir[0]) return;
    if (yki_checkpoint_find(job->checkpoint.dir, newest, &is_step, NULL) == YOKE_OK && is_step)
        memcpy(e->trained, newest, sizeof e->trained);
}

/* `given`: the data are a file that the caller named, and all of them are scored. weights: the step's folder
 * that they are of; NULL: model.from's. */
static yoke_status eval_job(const yoke_job *job, const char *folder, const char *weights,
                            const char *passed_over, bool given, yoke_notice notice, void *context,
                            yoke_evaluation *evaluation_out)
{
    bool other_data = false;
    yoke_layout one;
    yki_trainer_options options = yki_inference_options(job, weights, &one);
    yoke_trainer *trainer;
    YKI_TRY(yki_trainer_create(&trainer, &options));
    if (passed_over[0]) yki_trainer_note(trainer, "%s", passed_over);
    int64_t held = trainer->order.held;
    const char *saved = folder[0] ? folder : trainer->from;
    yoke_status status =
        given || !saved[0] ? YOKE_OK : yki_trainer_look_at_scored(trainer, saved, &other_data);
    yoke_trainer_on_notice(trainer, notice, context);
    if (held == 0) /* all of them, then */
        trainer->order = (yki_order){.held = yoke_data_samples(trainer->data)};
    if (status == YOKE_OK) status = yoke_trainer_evaluate(trainer, NULL, 0, evaluation_out);
    if (status == YOKE_OK) {
        evaluation_out->other_data = given || other_data;
        evaluation_out->scored = held > 0 ? YOKE_SCORED_HELD_OUT : YOKE_SCORED_ALL;
        name_weights(job, folder, evaluation_out);
    }
    yoke_trainer_destroy(trainer);
    return status;
}

/* Two files, with the first comma between them. */
static yoke_status take_pair(yoke_data_spec *spec, const char *data)
{
    const char *comma = strchr(data, ',');
    size_t length = comma ? (size_t)(comma - data) : 0;
    if (length == 0 || !comma[1])
        return yki_fail(YOKE_INVALID,
                        "--data %s names one file, and this job's data are two: --data INPUTS,TARGETS", data);
    if (length >= sizeof spec->inputs || strlen(comma + 1) >= sizeof spec->targets)
        return yki_fail(YOKE_INVALID, "--data has a path of more than %zu bytes", sizeof spec->inputs - 1);
    snprintf(spec->inputs, sizeof spec->inputs, "%.*s", (int)length, data);
    snprintf(spec->targets, sizeof spec->targets, "%s", comma + 1);
    return YOKE_OK;
}

/* The job's data are those of other files instead, all of them. */
static yoke_status take_files(yoke_job *job, const char *data)
{
    if (job->data.format == YOKE_DATA_RANDOM)
        return yki_fail(YOKE_INVALID, "--data names a file, and this job's data are made up: data.format "
                                      "says what to read files as");
    if (job->data.format == YOKE_DATA_NPY || job->data.format == YOKE_DATA_IDX)
        YKI_TRY(take_pair(&job->data, data));
    else
        YKI_TRY(yki_job_take_path(job, data));
    job->data.holdout = job->train.holdout = 0;
    return YOKE_OK;
}

yoke_status yoke_eval(const char *dir_or_job, int noverrides, const char *const *overrides,
                      const char *adapter, const char *data, yoke_notice notice, void *context,
                      yoke_evaluation *evaluation_out)
{
    char folder[YKI_FOLDER_BYTES], passed_over[256];
    yoke_job *job;
    if (!dir_or_job || !evaluation_out)
        return yki_fail(YOKE_INVALID, "an evaluation needs a folder or a job, not NULL");
    YKI_TRY(job_of_path(dir_or_job, noverrides, overrides, folder, passed_over, &job));
    const char *weights = folder[0] ? folder : NULL;
    yoke_status status = data ? take_files(job, data) : YOKE_OK;
    if (status == YOKE_OK && adapter) status = yki_job_take_adapter(job, adapter, &weights);
    if (status == YOKE_OK)
        status = eval_job(job, folder, weights, passed_over, data != NULL, notice, context, evaluation_out);
    if (status == YOKE_OK && data) evaluation_out->scored = YOKE_SCORED_GIVEN;
    yoke_job_destroy(job);
    return status;
}
