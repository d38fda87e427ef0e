/* What lies beside a job's weights, and what of the job's model it says. */
#include "model/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/ends.h"
#include "data/tokenizer/tokenizer.h"
#include "job/job.h"

/* ---- what model.from means ---- */

bool yki_folder_has(const char *folder, const char *name)
{
    char path[YKI_FOLDER_BYTES + 64];
    return yki_path_join(path, sizeof path, folder, name) == YOKE_OK && yki_path_exists(path);
}

static yoke_status check_whole(const yki_source *s, const char *folder)
{
    if (!yki_is_adapter(folder) || yki_folder_has(folder, "model.safetensors")) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, s->job.path, 0, "model.from",
        "%s holds adapters, and no whole model: model.adapter.from takes them, and model.from the "
        "base that they were trained beside",
        folder);
}

/* A folder of one model, a DIR of steps (its newest), or one file. */
static yoke_status find_weights(yki_source *s)
{
    const char *from = s->job.model.from;
    int is_step;
    if (!from[0]) return YOKE_OK;
    if (!yki_path_exists(from))
        return yki_fail_at(
            YOKE_INVALID, s->job.path, 0, "model.from",
            "there is no %s: weights are read from a local folder or file, and nothing is fetched", from);
    snprintf(s->folder, sizeof s->folder, "%s", from);
    if (!yki_path_is_folder(from)) {
        char *slash = strrchr(s->folder, '/');
        if (slash) *slash = '\0';
        if (!yki_folder_has(s->folder, "config.json")) s->folder[0] = '\0';
        snprintf(s->from, sizeof s->from, "%s", from);
        return YOKE_OK;
    }
    YKI_TRY(check_whole(s, from));
    if (!yki_folder_has(from, "config.json") && !yki_folder_has(from, "model.safetensors") &&
        !yki_folder_has(from, "model.safetensors.index.json"))
        YKI_TRY(yki_checkpoint_find(from, s->folder, &is_step, s->passed_over));
    snprintf(s->from, sizeof s->from, "%s", s->folder);
    return check_whole(s, s->folder);
}

/* The job's adapters: those of `weights`, a step; of model.adapter.from, a folder or a DIR of steps; or new
 * ones. */
static yoke_status find_adapter(yki_source *s, const char *weights)
{
    yoke_adapter_spec *adapter = &s->job.model.adapter;
    const char *from = weights ? weights : adapter->from;
    char path[YKI_FOLDER_BYTES + 64];
    int is_step;
    if (weights && adapter->kind == YOKE_ADAPTER_NONE)
        return yki_fail_at(YOKE_INVALID, s->job.path, 0, "model.adapter",
                           "is missing: %s holds adapters, and no whole model", weights);
    if (adapter->kind == YOKE_ADAPTER_NONE) return YOKE_OK;
    if (from[0] && !yki_path_exists(from))
        return yki_fail_at(YOKE_INVALID, s->job.path, 0, "model.adapter.from",
                           "there is no %s: adapters are read from a local folder", from);
    if (from[0] && strlen(from) >= sizeof s->adapter)
        return yki_fail_at(YOKE_INVALID, s->job.path, 0, "model.adapter.from", "the path is too long");
    snprintf(s->adapter, sizeof s->adapter, "%s", from);
    if (from[0] && !yki_is_adapter(from) && yki_path_is_folder(from) && !yki_folder_has(from, "config.json"))
        YKI_TRY(yki_checkpoint_find(from, s->adapter, &is_step, s->passed_over));
    if (from[0] && !yki_is_adapter(s->adapter))
        return yki_fail_at(YOKE_INVALID, s->job.path, 0, "model.adapter.from",
                           "%s holds no adapters: " YKI_ADAPTER_CONFIG " is missing there", s->adapter);
    if (from[0]) YKI_TRY(yki_adapter_read(s->adapter, adapter));
    if (from[0]) YKI_TRY(yki_adapter_file(s->adapter, path));
    return yki_adapter_settle(adapter, s->job.model.family == YOKE_FAMILY_GPT2);
}

/* Where there is no config.json: that the job has all that one would say. */
static yoke_status check_complete(const yki_source *s)
{
    const yoke_model_spec *m = &s->job.model;
    const struct {
        const char *key;
        int64_t value;
    } keys[] = {{"model.layers", m->depth},
                {"model.heads", m->heads},
                {"model.width", m->width},
                {"model.context", m->context},
                {"model.hidden", yki_families[m->family].as_llama ? m->hidden : 1}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && m->family != YOKE_FAMILY_LAYERS; i++)
        if (keys[i].value == 0)
            return yki_fail_at(YOKE_INVALID, s->job.path, 0, keys[i].key,
                               "is missing, and no config.json lies beside %.500s to say it", s->from);
    return YOKE_OK;
}

/* ---- tokenizers ---- */

/* The tokenizer.json beside a model's weights: "" where there is none. */
static void beside(char path[1300], const char *folder)
{
    snprintf(path, 1300, "%.1200s/tokenizer.json", folder);
    if (!folder[0] || !yki_path_exists(path)) path[0] = '\0';
}

void yki_tokenizer_find(const yoke_job *job, const char *weights, const char *from, char path[1300])
{
    beside(path, weights ? weights : "");
    if (!path[0]) snprintf(path, 1300, "%s", job->data.tokenizer);
    if (!path[0]) beside(path, from);
}

yoke_status yki_tokenizer_open(const yoke_job *job, const char *weights, const char *from,
                               yoke_tokenizer **tokenizer_out)
{
    char path[1300];
    yki_tokenizer_find(job, weights, from, path);
    *tokenizer_out = NULL;
    return path[0] ? yoke_tokenizer_create(tokenizer_out, path) : YOKE_OK;
}

/* YOKE_INVALID: the tokenizer beside `weights` and the one that the job names are both there, and differ. */
static yoke_status check_tokenizer(const yoke_job *job, const char *weights)
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

/* ---- the whole ---- */

/* What ends a text, and how messages become one: as the folder of the weights says, or else where the job's
 * model and tokenizer came from. */
static yoke_status read_language(yki_source *s)
{
    char beside_it[sizeof s->job.data.tokenizer];
    snprintf(beside_it, sizeof beside_it, "%s", s->job.data.tokenizer);
    char *slash = strrchr(beside_it, '/');
    if (slash) *slash = '\0';
    const char *const folders[] = {s->folder, s->job.model.from, beside_it};
    yki_ends ends = {0};
    for (int i = 0; i < 4 && ends.count == 0; i++)
        YKI_TRY(yki_ends_read(i < 3 ? folders[i] : NULL, i < 3 ? NULL : s->tokenizer, &ends));
    if (ends.count > 0) s->eos = ends.ids[0];
    yki_ends_free(&ends);
    s->chat.kind = s->job.data.chat;
    for (int i = 0; i < 3 && !s->chat.file[0]; i++)
        if (yki_path_is_folder(folders[i])) YKI_TRY(yki_chat_find(folders[i], s->job.data.chat, &s->chat));
    return YOKE_OK;
}

static bool has_rows(const yoke_job *job)
{
    return yki_job_is_written(job) || job->data.format == YOKE_DATA_RANDOM;
}

/* Tokens of a sample where neither the job nor its model.context says: what model.from was made for, as far
 * as one sample is not very long. */
static void take_sequence(yki_source *s, int64_t sequence)
{
    enum { LONG = 1024 };
    int64_t context = s->job.model.context;
    if (sequence > 0) s->job.train.sequence = sequence;
    if (s->job.train.sequence != 0) return;
    s->natural = has_rows(&s->job) && context > 0;
    s->job.train.sequence = has_rows(&s->job) && context > LONG ? LONG : context;
}

yoke_status yki_source_read(const yoke_job *job, const char *weights, bool no_data, int64_t sequence,
                            yki_source *source_out)
{
    yki_source *s = source_out;
    *s = (yki_source){.job = *job, .eos = -1};
    bool family = job->model.family != YOKE_FAMILY_LAYERS;
    bool adapters = weights && yki_is_adapter(weights);
    if (weights && !adapters)
        snprintf(s->folder, sizeof s->folder, "%s", weights);
    else
        YKI_TRY(find_weights(s));
    if (s->folder[0] && family) YKI_TRY(yki_config_read(s->folder, &s->job.model));
    if (!s->folder[0] && s->from[0]) YKI_TRY(check_complete(s));
    YKI_TRY(find_adapter(s, adapters ? weights : NULL));
    if (weights && !no_data) YKI_TRY(check_tokenizer(job, weights));
    bool jsonl = job->data.format == YOKE_DATA_JSONL;
    if ((job->data.format == YOKE_DATA_TEXT || jsonl || job->data.tokenizer[0]) && !no_data)
        YKI_TRY(yki_tokenizer_open(job, weights, s->folder, &s->tokenizer));
    if (jsonl && !no_data) YKI_TRY(read_language(s));
    if (!s->job.model.vocab && s->tokenizer && family) s->job.model.vocab = yoke_tokenizer_size(s->tokenizer);
    take_sequence(s, sequence);
    return YOKE_OK;
}
