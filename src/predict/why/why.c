/* plan --why: the job's model made complete, strategies, points, sentences. */
#include "predict/why/why.h"

#include <stdlib.h>

#include "base/fail.h"
#include "model/source.h"
#include "predict/of_job.h"

static yoke_status answer(const yki_plan_options *options, void *context)
{
    return yki_why_strategies(context, options);
}

/* The job with all that lies beside its weights, so that it can be changed. */
static yoke_status complete(const yoke_job *job, yki_why *why)
{
    const yoke_layout one = YOKE_LAYOUT_DEFAULT;
    yki_source source;
    yoke_status status = yki_source_read(job, NULL, job->model.vocab > 0 || job->model.from[0], 0, &source);
    yoke_tokenizer_destroy(source.tokenizer);
    YKI_TRY(status);
    why->job = source.job;
    why->job.model.from[0] = '\0';
    why->job.layout = one;
    why->job.layout.threads = job->layout.threads;
    why->job.layout.cp_kind = job->layout.cp_kind;
    why->job.layout.bucket_bytes = job->layout.bucket_bytes;
    why->job.layout.device_memory_bytes = job->layout.device_memory_bytes;
    return YOKE_OK;
}

yoke_status yoke_plan_why(const yoke_job *job, const yoke_machine *machine, int devices,
                          const yoke_planned *planned, yoke_reasons **reasons_out)
{
    YKI_NEED(job, machine, planned, reasons_out);
    int64_t all = machine->ndevices < YOKE_MAX_DEVICES ? machine->ndevices : YOKE_MAX_DEVICES;
    if (devices < 0 || devices > all || planned->nrows < 1)
        return yki_fail(YOKE_INVALID, "%d devices: machine '%s' has %lld, and a plan has at least one row",
                        devices, machine->name, (long long)machine->ndevices);
    yki_why *why = calloc(1, sizeof *why);
    yoke_reasons *out = calloc(1, sizeof *out);
    yoke_status status = why && out ? YOKE_OK : yki_fail_memory("reasons");
    if (status == YOKE_OK) {
        *why = (yki_why){.machine = *machine,
                         .devices = devices ? devices : (int)all,
                         .named = job->layout_named,
                         .planned = planned,
                         .out = out};
        status = complete(job, why);
    }
    if (status == YOKE_OK) status = yki_with_plan_options(&why->job, answer, why);
    if (status == YOKE_OK) status = yki_why_break_even(why);
    if (status == YOKE_OK) yki_why_tell(why);
    free(why);
    if (status == YOKE_OK)
        *reasons_out = out;
    else
        yoke_reasons_destroy(out);
    return status;
}

void yoke_reasons_destroy(yoke_reasons *reasons)
{
    free(reasons);
}
