/* Jobs read back from a checkpoint's folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "job/job.h"
#include "model/source.h"
#include "train/trainer.h"

yoke_status yki_job_of_folder(const char *folder, yoke_job **job_out)
{
    char path[1300];
    struct stat info;
    snprintf(path, sizeof path, "%s/job.yaml", folder);
    static const char *const without[] = {"layout=", "checkpoint="}; /* which may name files that are gone */
    if (stat(path, &info) == 0) return yoke_job_load(path, 2, without, job_out);
    char type[64];
    yoke_family family;
    YKI_TRY(yki_config_type(folder, type));
    if (!yki_config_family(type, &family))
        return yki_fail(YOKE_INVALID, "%s holds a model of type '%s' and no job.yaml to build it from",
                        folder, type);
    yoke_job *job = calloc(1, sizeof *job);
    if (!job) return yki_fail_memory("a job");
    *job = (yoke_job){
        .model = yki_spec_absent(family), .train = YOKE_TRAIN_DEFAULT, .layout = YOKE_LAYOUT_DEFAULT};
    snprintf(job->path, sizeof job->path, "%.1000s/config.json", folder);
    *job_out = job;
    return YOKE_OK;
}
