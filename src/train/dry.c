/* A dry run: a job compiled as a trainer would, and what its devices would take. */
#include <stdlib.h>

#include "base/fail.h"
#include "train/trainer.h"

yoke_status yoke_job_dry_run(const yoke_job *job, yoke_dry_run **dry_run_out)
{
    if (!job || !dry_run_out) return yki_fail(YOKE_INVALID, "a dry run needs a job, not NULL");
    yki_trainer_options options = {.job = job, .dry = true};
    yoke_trainer *trainer;
    YKI_TRY(yki_trainer_create(&trainer, &options));
    int n = trainer->plan->mesh.nranks;
    yoke_dry_run *dry = calloc(1, sizeof *dry);
    yoke_device_report *devices = calloc((size_t)n, sizeof *devices);
    yoke_status status = dry && devices ? YOKE_OK : yki_fail_memory("a dry run");
    for (int r = 0; r < n && status == YOKE_OK; r++) devices[r] = yki_device_report(trainer, r);
    if (status == YOKE_OK)
        *dry = (yoke_dry_run){.steps = trainer->steps,
                              .samples = trainer->order.samples,
                              .parameters = yoke_model_parameters(trainer->model),
                              .total_bytes = yki_plan_total_bytes(trainer->plan),
                              .all_bytes = yki_machines_memory(trainer->alone),
                              .ndevices = n,
                              .devices = devices};
    yoke_trainer_destroy(trainer);
    if (status != YOKE_OK) {
        free(devices);
        free(dry);
        return status;
    }
    *dry_run_out = dry;
    return YOKE_OK;
}

void yoke_dry_run_destroy(yoke_dry_run *dry_run)
{
    if (!dry_run) return;
    free(dry_run->devices);
    free(dry_run);
}
