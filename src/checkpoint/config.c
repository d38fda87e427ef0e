/* config.json: the shape of a model, in the spellings of Hugging Face's tools, older and newer.
 *
 * A model_type is a row (config.h), with one table that says which key means which field, its range and what
 * is assumed where it is absent, and another that lists the keys whose other values would change what the
 * model computes, so that nothing is read and then quietly not done. What a model came with is kept when it
 * is saved, keys that mean nothing here included. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "job/job.h"

#define LAYERS_TYPE "yoke-layers"

static const yki_config_row *const types[] = {&yki_config_gpt2,  &yki_config_llama, &yki_config_mistral,
                                              &yki_config_qwen2, &yki_config_qwen3, &yki_config_own};
enum { NTYPES = sizeof types / sizeof *types };

static const yki_config_row *find_type(const char *name)
{
    for (int i = 0; i < NTYPES; i++)
        if (strcmp(types[i]->name, name) == 0) return types[i];
    return NULL;
}

bool yki_config_family(const char *type, yoke_family *family_out)
{
    const yki_config_row *found = find_type(type);
    if (found) *family_out = found->family;
    return found != NULL;
}

/* "'gpt2', 'llama' and 'mistral'": what the table has. */
static void list_types(char *list, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < NTYPES && n < size; i++)
        n += (size_t)snprintf(list + n, size - n, "%s'%s'",
                              i == 0            ? ""
                              : i == NTYPES - 1 ? " and "
                                                : ", ",
                              types[i]->name);
}

static yoke_status read_config(const char *path, json_t *config, yoke_model_spec *model)
{
    char shown[YKI_QUOTE_BYTES], list[160];
    json_t *said = json_object_get(config, "model_type");
    if (!json_is_string(said))
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is missing or no string");
    const yki_config_row *type = find_type(json_string_value(said));
    list_types(list, sizeof list);
    if (!type && !yki_config_is(said, LAYERS_TYPE))
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is %s; yoke reads %s",
                           yki_config_shown(shown, said), list);
    bool alike = type && (type->family == model->family ||
                          (yki_families[type->family].as_llama && yki_families[model->family].as_llama));
    if (!alike)
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is %s, but the job's model.family is %s",
                           yki_config_shown(shown, said), yki_families[model->family].name);
    YKI_TRY(yki_config_check_fixed(path, config, type->fixed));
    YKI_TRY(yki_config_read_counts(path, config, type->counts, model));
    model->family = type->family;
    return type->read(type, path, config, model);
}

static yoke_status load(const char *folder, char path[YKI_FOLDER_BYTES + 64], json_t **config_out)
{
    YKI_TRY(yki_path_join(path, YKI_FOLDER_BYTES + 64, folder, "config.json"));
    return yki_json_load(path, config_out);
}

yoke_status yki_config_read(const char *folder, yoke_model_spec *model)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    yoke_model_spec read = *model;
    yoke_status status = read_config(path, config, &read);
    json_decref(config);
    if (status == YOKE_OK) *model = read;
    return status;
}

yoke_status yki_config_dropout(const char *folder, double *most_out)
{
    static const char *const keys[] = {"attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout"};
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    *most_out = 0;
    YKI_TRY(load(folder, path, &config));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double p = json_number_value(json_object_get(config, keys[i]));
        if (p > *most_out) *most_out = p;
    }
    json_decref(config);
    return YOKE_OK;
}

yoke_status yki_config_type(const char *folder, char type_out[64])
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    snprintf(type_out, 64, "%.63s", type ? type : "");
    type_out[yki_utf8_prefix(type_out, strlen(type_out))] = '\0';
    json_decref(config);
    return YOKE_OK;
}

yoke_status yki_config_job(const char *folder, char **job_text_out)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    const char *job = json_string_value(json_object_get(json_object_get(config, "yoke"), "job"));
    yoke_status status = YOKE_OK;
    char *copy = NULL;
    if (!job)
        status =
            yki_fail_at(YOKE_INVALID, path, 0, "yoke.job", "is missing: no `layers` model was saved here");
    else if (!(copy = strdup(job)))
        status = yki_fail_memory("a job's text");
    json_decref(config);
    if (status == YOKE_OK) *job_text_out = copy;
    return status;
}

yoke_status yki_config_facts(const char *folder, yki_facts *facts)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    yoke_status status = yki_facts_read(path, config, facts);
    json_decref(config);
    return status;
}

/* The job's text with whatever is not UTF-8 (paths can be) replaced: JSON can hold nothing else. */
static void append_utf8(yki_text *text, const char *bytes)
{
    size_t left = strlen(bytes);
    while (left > 0) {
        size_t valid = yki_utf8_prefix(bytes, left);
        yki_text_append_bytes(text, bytes, valid);
        bytes += valid;
        left -= valid;
        if (left > 0) {
            yki_text_append(text, "\xef\xbf\xbd");
            bytes++;
            left--;
        }
    }
}

static void print_layers(yki_text *text, const char *job_text)
{
    yki_text clean = {0};
    append_utf8(&clean, job_text ? job_text : "");
    char *bytes = yki_text_take(&clean);
    json_t *string = bytes ? json_string(bytes) : NULL;
    char *quoted = string ? yki_json_dump(string, JSON_ENCODE_ANY) : NULL;
    if (!quoted)
        text->failed = true;
    else if (job_text)
        yki_text_append(text, "{\n  \"model_type\": \"" LAYERS_TYPE "\",\n  \"yoke\": {\n    \"job\": ");
    else
        yki_text_append(text, "{\n  \"model_type\": \"" LAYERS_TYPE "\",\n  \"yoke\": {}");
    if (quoted && job_text) {
        yki_text_append_bytes(text, quoted, strlen(quoted));
        yki_text_append(text, "\n  }");
    }
    free(quoted);
    json_decref(string);
    free(bytes);
}

/* What a model is saved as: as its family's, or as the first that can be it; NULL: a `layers` model. */
static const yki_config_row *type_of(const yoke_model_spec *model)
{
    for (int i = 0; i < NTYPES; i++)
        if (types[i]->family == model->family && types[i] != &yki_config_own &&
            types[i]->has(types[i], model))
            return types[i];
    for (int i = 0; i < NTYPES; i++)
        if (types[i]->has(types[i], model)) return types[i];
    return NULL;
}

static char *print(const yoke_model_spec *model, const char *job_text, const yki_facts *facts)
{
    yki_text text = {0};
    const yki_config_row *type = type_of(model);
    if (type)
        type->print(type, &text, model);
    else
        print_layers(&text, job_text);
    if (facts) yki_facts_print(&text, facts);
    yki_text_append(&text, "\n}\n");
    return yki_text_take(&text);
}

/* ---- what a model came with ---- */

/* Whether an object describes that model: what it is read as is printed alike. */
static bool describes(json_t *object, const yoke_model_spec *model, const char *printed)
{
    yoke_model_spec read = yki_spec_absent(model->family);
    yoke_error before = *yoke_error_get();
    bool same = read_config("", object, &read) == YOKE_OK && read.family == model->family;
    read.dropout = model->dropout;
    char *text = same ? print(&read, NULL, NULL) : NULL;
    same = same && text && strcmp(text, printed) == 0;
    free(text);
    yki_error_set(&before);
    return same;
}

/* `came`, and in it what the model's config.json must have beside it: what it does not say of the model, and
 * facts, which `made` has and `plain` has not. NULL: memory is out. */
static char *merge(json_t *came, json_t *made, json_t *plain, const yoke_model_spec *model,
                   const char *printed)
{
    const char *key;
    json_t *value;
    if (!came || !made || !plain) return NULL;
    if (!describes(came, model, printed) && json_object_update_missing(came, plain) != 0) return NULL;
    if (!describes(came, model, printed) && json_object_update(came, plain) != 0) return NULL;
    json_object_foreach(made, key, value)
    {
        if (!json_object_get(plain, key) && json_object_set(came, key, value) != 0) return NULL;
    }
    char *text = yki_json_pretty(came);
    yki_text line = {.failed = text == NULL};
    yki_text_append(&line, "%s\n", text ? text : "");
    free(text);
    return yki_text_take(&line);
}

char *yki_config_print(const yoke_model_spec *model, const char *job_text, const yki_facts *facts,
                       const char *came_with)
{
    char *text = print(model, job_text, facts);
    if (!text || !came_with || model->family == YOKE_FAMILY_LAYERS) return text;
    char *printed = print(model, NULL, NULL), *merged = NULL;
    json_t *made = json_loads(text, 0, NULL), *came = json_loads(came_with, 0, NULL);
    json_t *plain = printed ? json_loads(printed, 0, NULL) : NULL;
    merged = merge(came, made, plain, model, printed);
    json_decref(plain);
    json_decref(made);
    json_decref(came);
    free(printed);
    free(text);
    return merged;
}
