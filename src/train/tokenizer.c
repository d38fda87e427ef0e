/* The tokenizer that belongs to a model: of the folder its weights come from, or of the job. */
#include <stdio.h>
#include <stdlib.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"
#include "train/trainer.h"

/* The tokenizer.json beside a model's weights: "" where there is none. */
static void beside(char path[1300], const char *folder)
{
    snprintf(path, 1300, "%.1200s/tokenizer.json", folder);
    if (!folder[0] || !yki_path_exists(path)) path[0] = '\0';
}

/* A file that the job names goes before the one beside the weights it starts from; one saved with the weights
 * that are to be used instead goes before both. */
static void find(const yoke_job *job, const char *weights, char path[1300])
{
    beside(path, weights ? weights : "");
    if (!path[0]) snprintf(path, 1300, "%s", job->data.tokenizer);
    if (!path[0]) beside(path, job->model.from);
}

yoke_status yki_tokenizer_open(const yoke_job *job, const char *weights, yoke_tokenizer **tokenizer_out)
{
    char path[1300];
    find(job, weights, path);
    *tokenizer_out = NULL;
    return path[0] ? yoke_tokenizer_create(tokenizer_out, path) : YOKE_OK;
}

/* The file as it was when the run began; one that the run had no use for is copied as it is, of any kind. */
yoke_status yki_tokenizer_save(const yoke_trainer *trainer, const yki_save *save)
{
    char from[1300], to[1300];
    size_t count = 0;
    YKI_TRY(yki_path_join(to, sizeof to, save->temporary, "tokenizer.json"));
    if (trainer->tokenizer) {
        const char *source = yki_tokenizer_source(trainer->tokenizer, &count);
        return yki_disk_create(to, source, count);
    }
    if (!trainer->job || trainer->job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    find(trainer->job, NULL, from);
    if (!from[0]) return YOKE_OK;
    char *bytes = NULL;
    YKI_TRY(yki_disk_read(from, YKI_JSON_LIMIT_BYTES, &bytes, &count));
    yoke_status status = yki_disk_create(to, bytes, count);
    free(bytes);
    return status;
}
