/* The tokenizer.json that a run's steps have: of its data, or kept for those who read its text. */
#include <stdio.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"
#include "model/source.h"
#include "train/trainer.h"

yoke_status yki_tokenizer_keep(yoke_trainer *trainer, const char *weights, const char *from)
{
    char path[1300];
    if (trainer->tokenizer || trainer->job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    yki_tokenizer_find(trainer->job, weights, from, path);
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
