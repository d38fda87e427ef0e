/* Of a job, without a trainer and without its data: the schedule that it would run, layouts that it would fit
 * under, and the one to go on with where devices are lost. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "model/model.h"
#include "model/source.h"
#include "predict/fit.h"
#include "predict/of_job.h"
#include "yoke/train.h"

yoke_status yki_with_plan_options(const yoke_job *job,
                                  yoke_status (*use)(const yki_plan_options *options, void *context),
                                  void *context)
{
    yki_plan_use purpose = {.alone = true, .copies = job->checkpoint.async && job->checkpoint.dir[0]};
    yki_source source;
    yoke_model *model = NULL;
    YKI_TRY(yki_degrees_check(&job->layout));
    /* a tokenizer is read only where it says the vocabulary */
    yoke_status status = yki_source_read(job, NULL, job->model.vocab > 0 || job->model.from[0], 0, &source);
    if (status == YOKE_OK) status = yki_model_from_job(&source.job, &model);
    if (status == YOKE_OK) {
        yki_plan_options options = yki_plan_options_of(model, &source.job.train, &job->layout, &purpose);
        options.backend = yki_backend_get("null");
        status = use(&options, context);
    }
    yoke_model_destroy(model);
    yoke_tokenizer_destroy(source.tokenizer);
    return status;
}

yoke_status yki_shorter_model(const yoke_job *job, int blocks, yoke_model **model_out)
{
    yki_source source;
    *model_out = NULL;
    if (job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    yoke_status status = yki_source_read(job, NULL, job->model.vocab > 0 || job->model.from[0], 0, &source);
    if (status == YOKE_OK && source.job.model.depth > blocks) {
        source.job.model.depth = blocks;
        status = yki_model_from_job(&source.job, model_out);
    }
    yoke_tokenizer_destroy(source.tokenizer);
    return status;
}

static yoke_status take_schedule(const yki_plan_options *options, void *schedule_out)
{
    yki_plan_options anywhere = *options;
    yki_plan *plan;
    anywhere.device_memory_bytes = 0;
    YKI_TRY(yki_plan_create(&anywhere, &plan));
    *(yoke_schedule **)schedule_out = plan->schedule;
    plan->schedule = NULL;
    yki_plan_destroy(plan);
    return YOKE_OK;
}

yoke_status yoke_job_schedule(const yoke_job *job, yoke_schedule **schedule_out)
{
    YKI_NEED(job, schedule_out);
    return yki_with_plan_options(job, take_schedule, schedule_out);
}

typedef struct wanted_layouts {
    int devices, most, *count_out;
    yoke_layout *layouts;
} wanted_layouts;

static yoke_status find_layouts(const yki_plan_options *options, void *context)
{
    const wanted_layouts *wanted = context;
    return yki_layouts_over(options, wanted->devices, wanted->layouts, wanted->most, wanted->count_out);
}

yoke_status yoke_job_layouts(const yoke_job *job, int devices, yoke_layout *layouts, int most, int *count_out)
{
    YKI_NEED(job, layouts, count_out);
    if (most < 0) return yki_fail(YOKE_INVALID, "at most %d layouts: it must be at least 0", most);
    wanted_layouts wanted = {devices, most, count_out, layouts};
    *count_out = 0;
    if (devices < 1 || devices > YOKE_MAX_DEVICES)
        return yki_fail(YOKE_INVALID, "%d devices: layouts are over 1 to %d", devices, YOKE_MAX_DEVICES);
    return yki_with_plan_options(job, find_layouts, &wanted);
}

/* The first of the job's fallbacks that the processes can hold, over *used of them, as many devices on each.
 */
static bool take_listed(const yoke_job *job, int processes, int per_process, yoke_layout *layout, int *used)
{
    const char *text = job->launch.fallbacks;
    char piece[sizeof job->launch.fallbacks];
    for (; *text; text += strspn(text, "; ")) {
        size_t length = strcspn(text, ";");
        snprintf(piece, sizeof piece, "%.*s", (int)length, text);
        text += length;
        *layout = (yoke_layout)YOKE_LAYOUT_DEFAULT;
        layout->threads = job->layout.threads;
        layout->device_memory_bytes = job->layout.device_memory_bytes;
        layout->bucket_bytes = job->layout.bucket_bytes;
        if (yoke_layout_parse(layout, piece) != YOKE_OK) continue;
        int devices = yoke_job_devices(job, layout);
        for (*used = processes; *used > 1 && devices % *used; --*used) continue;
        if (devices / *used <= per_process) return true;
    }
    return false;
}

yoke_status yoke_job_fallback(const yoke_job *job, int processes, int per_process, yoke_layout *layout_out,
                              int *processes_out)
{
    YKI_NEED(job, layout_out, processes_out);
    if (processes < 1 || per_process < 1)
        return yki_fail(YOKE_INVALID, "%d processes of %d devices: each must be at least 1", processes,
                        per_process);
    if (take_listed(job, processes, per_process, layout_out, processes_out)) return YOKE_OK;
    for (int k = processes; k > 0; k--) {
        int count = 0;
        if (k > YOKE_MAX_DEVICES / per_process) continue;
        YKI_TRY(yoke_job_layouts(job, k * per_process, layout_out, 1, &count));
        *processes_out = k;
        if (count > 0) return YOKE_OK;
    }
    return yki_fail(YOKE_DOES_NOT_FIT, "nothing fits on %d processes of %d devices", processes, per_process);
}
