/* The tokenizer that belongs to a model: of the folder its weights come from, or of the job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
static void find(const yoke_job *job, const char *weights, const char *from, char path[1300])
{
    beside(path, weights ? weights : "");
    if (!path[0]) snprintf(path, 1300, "%s", job->data.tokenizer);
    if (!path[0]) beside(path, from);
}

yoke_status yki_tokenizer_check(const yoke_job *job, const char *weights)
{
    char *texts[2] = {NULL, NULL}, saved[1300];
    const char *named = job->data.tokenizer;
    size_t counts[2];
    beside(saved, weights);
    if (!saved[0] || !named[0] || strcmp(saved, named) == 0 || !yki_path_exists(named)) return YOKE_OK;
    yoke_status status = yki_disk_read(saved, YKI_JSON_LIMIT_BYTES, &texts[0], &counts[0]);
    if (status == YOKE_OK) status = yki_disk_read(named, YKI_JSON_LIMIT_BYTES, &texts[1], &counts[1]);
    if (status == YOKE_OK && (counts[0] != counts[1] || memcmp(texts[0], texts[1], counts[0]) != 0))
        status = yki_fail_at(
            YOKE_INVALID, named, 0, "data.tokenizer",
            "is another tokenizer than the one that was saved with the weights, %s; leave the key "
            "away (--set data.tokenizer=null) to use that one",
            saved);
    free(texts[0]);
    free(texts[1]);
    return status;
}

yoke_status yki_tokenizer_open(const yoke_job *job, const char *weights, const char *from,
                               yoke_tokenizer **tokenizer_out)
{
    char path[1300];
    find(job, weights, from, path);
    *tokenizer_out = NULL;
    return path[0] ? yoke_tokenizer_create(tokenizer_out, path) : YOKE_OK;
}

yoke_status yki_tokenizer_keep(yoke_trainer *trainer, const char *weights, const char *from)
{
    char path[1300];
    if (trainer->tokenizer || trainer->job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    find(trainer->job, weights, from, path);
    if (!path[0]) return YOKE_OK;
    return yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &trainer->kept_tokenizer, &trainer->kept_bytes);
}

yoke_status yki_tokenizer_save(const yoke_trainer *trainer, const yki_save *save)
{
    char to[1300];
    size_t count = trainer->kept_bytes;
    const char *source = trainer->kept_tokenizer;
    if (trainer->tokenizer) source = yki_tokenizer_source(trainer->tokenizer, &count);
    if (!source) return YOKE_OK;
    YKI_TRY(yki_path_join(to, sizeof to, save->temporary, "tokenizer.json"));
    return yki_disk_create(to, source, count);
}
