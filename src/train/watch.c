/* Who is told what becomes of a run. */
#include <math.h>

#include "base/fail.h"
#include "predict/predict.h"
#include "train/trainer.h"

yoke_status yoke_trainer_watch(yoke_trainer *trainer, const yoke_watcher *watcher)
{
    YKI_NEED(trainer, watcher);
    if (trainer->nwatchers == YKI_MAX_WATCHERS)
        return yki_fail(YOKE_INVALID, "a trainer has at most %d watchers", YKI_MAX_WATCHERS);
    trainer->watchers[trainer->nwatchers++] = *watcher;
    return YOKE_OK;
}

void yoke_trainer_unwatch(yoke_trainer *trainer, const void *context)
{
    if (!trainer) return;
    int kept = 0;
    for (int i = 0; i < trainer->nwatchers; i++)
        if (trainer->watchers[i].context != context) trainer->watchers[kept++] = trainer->watchers[i];
    trainer->nwatchers = kept;
}

yoke_status yoke_trainer_measure_peak(yoke_trainer *trainer, double *flops_per_s_out)
{
    YKI_NEED(trainer, flops_per_s_out);
    YKI_TRY(yki_measure_peak(trainer->plan, &trainer->peak));
    *flops_per_s_out = trainer->peak;
    return YOKE_OK;
}

void yki_trainer_event(yoke_trainer *trainer, yoke_run_event_kind kind, const char *path)
{
    yki_trainer_event_at(trainer, kind, trainer->next_step, path);
}

void yki_trainer_event_at(yoke_trainer *trainer, yoke_run_event_kind kind, int64_t step, const char *path)
{
    if (trainer->nwatchers == 0) return;
    yoke_error record = *yoke_error_get(); /* what a watcher fails at is not what the run failed at */
    bool fails = kind == YOKE_RUN_STOPPED || kind == YOKE_RUN_NON_FINITE || kind == YOKE_RUN_FAILED ||
                 kind == YOKE_RUN_NOT_SAVED || kind == YOKE_RUN_STOPPED_EARLY;
    yoke_run_event event = {.kind = kind, .step = step, .path = path, .message = fails ? record.message : ""};
    for (int i = 0; i < trainer->nwatchers; i++)
        if (trainer->watchers[i].event) trainer->watchers[i].event(trainer->watchers[i].context, &event);
    yki_error_set(&record);
}

void yki_trainer_evaluated(yoke_trainer *trainer, const yoke_held_out *evaluation)
{
    yoke_run_event event = {.kind = YOKE_RUN_EVALUATED,
                            .step = evaluation->step,
                            .path = "",
                            .message = "",
                            .evaluation = evaluation};
    for (int i = 0; i < trainer->nwatchers; i++)
        if (trainer->watchers[i].event) trainer->watchers[i].event(trainer->watchers[i].context, &event);
}

void yki_trainer_tell(yoke_trainer *trainer, yoke_step_report *report)
{
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) report->moved_bytes += trainer->moved[axis];
    report->flops = trainer->flops * (double)report->samples;
    report->share_of_peak = trainer->peak > 0 ? report->flops / (report->seconds * trainer->peak) : NAN;
    for (int i = 0; i < trainer->nwatchers; i++)
        if (trainer->watchers[i].step) trainer->watchers[i].step(trainer->watchers[i].context, report);
}
