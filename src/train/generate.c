/* Jobs read back from a checkpoint's folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
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
    YKI_TRY(yki_config_type(folder, type));
    yoke_job *job = calloc(1, sizeof *job);
    if (!job) return yki_fail_memory("a job");
    *job = (yoke_job){
        .model = {.family = !strcmp(type, "llama") ? YOKE_FAMILY_LLAMA : YOKE_FAMILY_GPT2, .tied = -1},
        .train = YOKE_TRAIN_DEFAULT,
        .layout = YOKE_LAYOUT_DEFAULT};
    if (strcmp(type, "gpt2") != 0 && strcmp(type, "llama") != 0) {
        free(job);
        return yki_fail(YOKE_INVALID, "%s holds a model of type '%s' and no job.yaml to build it from",
                        folder, type);
    }
    snprintf(job->path, sizeof job->path, "%.1000s/config.json", folder);
    *job_out = job;
    return YOKE_OK;
}
