/* Of a job, without a trainer and without its data: the schedule that it would run, and layouts that it would
 * fit under. */
#include "base/fail.h"
#include "model/model.h"
#include "model/source.h"
#include "predict/fit.h"
#include "yoke/train.h"

/* What a plan of the job needs: `use` gets it, with the layout to plan for. */
static yoke_status with_plan_options(const yoke_job *job,
                                     yoke_status (*use)(const yki_plan_options *options, void *context),
                                     void *context)
{
    yki_plan_purpose purpose = {.alone = true, .copies = job->checkpoint.async && job->checkpoint.dir[0]};
    yki_source source;
    yoke_model *model = NULL;
    /* a tokenizer is read only where it says the vocabulary */
    yoke_status status = yki_source_read(job, NULL, job->model.vocab > 0 || job->model.from[0], 0, &source);
    if (status == YOKE_OK) status = yki_model_from_job(&source.job, &model);
    if (status == YOKE_OK) {
        yki_plan_options options = yki_plan_options_of(model, &source.job.train, &job->layout, &purpose);
        options.backend = yki_backend_get("null");
        status = use(&options, context);
    }
    yoke_error error = *yoke_error_get();
    yoke_model_destroy(model);
    yoke_tokenizer_destroy(source.tokenizer);
    if (status != YOKE_OK) yki_error_set(&error);
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
    return with_plan_options(job, take_schedule, schedule_out);
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
    return with_plan_options(job, find_layouts, &wanted);
}
