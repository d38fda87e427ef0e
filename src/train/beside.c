/* What lies beside a model's weights and belongs to it: its config.json, how it generates, its tokenizer's
 * files. A run reads them when it begins, as they are then, and each of its steps has them again, so that
 * other tools open a step as what the model was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"
#include "model/source.h"
#include "train/trainer.h"

static const struct {
    const char *name;
    bool of_tokenizer; /* lies beside the tokenizer, wherever that is */
} files[] = {
    [YKI_BESIDE_CONFIG] = {"config.json", false},
    [YKI_BESIDE_TOKENIZER] = {"tokenizer.json", true},
    [YKI_BESIDE_GENERATION] = {"generation_config.json", false},
    {"tokenizer_config.json", true},
    {"special_tokens_map.json", true},
    {"added_tokens.json", true},
    {"vocab.json", true},
    {"merges.txt", true},
    {"tokenizer.model", true},
    {"chat_template.jinja", true},
    {"chat_template.json", true},
};
_Static_assert(sizeof files / sizeof *files == YKI_BESIDE_COUNT, "a place for each file");

static yoke_status keep(yoke_trainer *trainer, int file, const char *folder)
{
    char path[1400];
    if (!folder[0] || !yki_folder_has(folder, files[file].name)) return YOKE_OK;
    YKI_TRY(yki_path_join(path, sizeof path, folder, files[file].name));
    yki_beside *kept = &trainer->beside[file];
    return yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &kept->bytes, &kept->count);
}

yoke_status yki_beside_keep(yoke_trainer *trainer, const char *weights, const char *from)
{
    char path[1300], folder[1300];
    if (trainer->job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    yki_tokenizer_find(trainer->job, weights, from, path);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash && strcmp(slash + 1, files[YKI_BESIDE_TOKENIZER].name) == 0) {
        *slash = '\0';
    } else { /* none, or one by itself */
        snprintf(folder, sizeof folder, "%s", path[0] ? "" : from);
        yki_beside *kept = &trainer->beside[YKI_BESIDE_TOKENIZER];
        if (path[0]) YKI_TRY(yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &kept->bytes, &kept->count));
    }
    for (int i = 0; i < YKI_BESIDE_COUNT; i++)
        YKI_TRY(keep(trainer, i, files[i].of_tokenizer ? folder : from));
    return YOKE_OK;
}

const char *yki_beside_name(int file)
{
    return files[file].name;
}

const char *yki_beside_config(const yoke_trainer *trainer)
{
    return trainer->beside[YKI_BESIDE_CONFIG].bytes;
}

/* Of a model that came with nothing: what ends the texts that it was trained on, so that those it writes end.
 */
static yoke_status save_eos(const yoke_trainer *trainer, const yki_save *save)
{
    char to[YKI_FOLDER_BYTES + 64], text[64];
    bool came = trainer->beside[YKI_BESIDE_CONFIG].bytes || trainer->beside[YKI_BESIDE_GENERATION].bytes;
    if (came || trainer->eos < 0 || trainer->job->model.family == YOKE_FAMILY_LAYERS) return YOKE_OK;
    int count = snprintf(text, sizeof text, "{\n  \"eos_token_id\": %d\n}\n", trainer->eos);
    YKI_TRY(yki_path_join(to, sizeof to, save->temporary, files[YKI_BESIDE_GENERATION].name));
    return yki_disk_create(to, text, (size_t)count);
}

yoke_status yki_beside_save(const yoke_trainer *trainer, const yki_save *save)
{
    char to[YKI_FOLDER_BYTES + 64];
    for (int i = 0; i < YKI_BESIDE_COUNT; i++) {
        const char *bytes = trainer->beside[i].bytes;
        size_t count = trainer->beside[i].count;
        if (i == YKI_BESIDE_TOKENIZER && trainer->tokenizer)
            bytes = yki_tokenizer_source(trainer->tokenizer, &count);
        if (!bytes || i == YKI_BESIDE_CONFIG) continue; /* that one is made anew, of what it was */
        YKI_TRY(yki_path_join(to, sizeof to, save->temporary, files[i].name));
        YKI_TRY(yki_disk_create(to, bytes, count));
    }
    return trainer->job ? save_eos(trainer, save) : YOKE_OK;
}

void yki_beside_release(yoke_trainer *trainer)
{
    for (int i = 0; i < YKI_BESIDE_COUNT; i++) free(trainer->beside[i].bytes);
}
