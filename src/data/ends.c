/* The ids that end a text: from the files beside a model, else by the names that they have most often. */
#include "data/ends.h"

#include <stdlib.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"

static const char key[] = "eos_token_id";
enum { MOST_ENDS = 4096 };

bool yki_ends_have(const yki_ends *ends, int32_t id)
{
    for (size_t i = 0; i < ends->count; i++)
        if (ends->ids[i] == id) return true;
    return false;
}

void yki_ends_free(yki_ends *ends)
{
    free(ends->ids);
    *ends = (yki_ends){0};
}

static yoke_status add(const char *path, const json_t *value, yki_ends *ends)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id > INT32_MAX)
        return yki_fail_at(YOKE_INVALID, path, 0, key,
                           "must be the number of a token, or a list of them, or null");
    if (!yki_ends_have(ends, (int32_t)id)) ends->ids[ends->count++] = (int32_t)id;
    return YOKE_OK;
}

static yoke_status add_all(const char *path, const json_t *value, yki_ends *ends)
{
    bool list = json_is_array(value);
    size_t count = list ? json_array_size(value) : value && !json_is_null(value);
    if (count > MOST_ENDS)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "has %zu tokens; %d are possible", count, MOST_ENDS);
    ends->ids = count ? calloc(count, sizeof *ends->ids) : NULL;
    if (count && !ends->ids) return yki_fail_memory("the tokens that end a text");
    for (size_t i = 0; i < count; i++) YKI_TRY(add(path, list ? json_array_get(value, i) : value, ends));
    return YOKE_OK;
}

static yoke_status read_file(const char *folder, const char *name, yki_ends *ends)
{
    char path[1300];
    json_t *root = NULL;
    YKI_TRY(yki_path_join(path, sizeof path, folder, name));
    if (!yki_path_exists(path)) return YOKE_OK;
    YKI_TRY(yki_json_load(path, &root));
    yoke_status status = add_all(path, json_object_get(root, key), ends);
    json_decref(root);
    return status;
}

static yoke_status find_added(const yoke_tokenizer *tokenizer, yki_ends *ends)
{
    static const char *const names[] = {"<|endoftext|>", "</s>"};
    int32_t id = -1;
    for (size_t i = 0; i < sizeof names / sizeof *names && id < 0; i++)
        id = yoke_tokenizer_added(tokenizer, names[i]);
    if (id < 0) return YOKE_OK;
    ends->ids = malloc(sizeof *ends->ids);
    if (!ends->ids) return yki_fail_memory("the tokens that end a text");
    ends->ids[ends->count++] = id;
    return YOKE_OK;
}

yoke_status yki_ends_read(const char *folder, const yoke_tokenizer *tokenizer, yki_ends *ends)
{
    static const char *const files[] = {"generation_config.json", "config.json"};
    yoke_status status = YOKE_OK;
    *ends = (yki_ends){0};
    for (int i = 0; i < 2 && folder && folder[0] && status == YOKE_OK && !ends->count; i++)
        status = read_file(folder, files[i], ends);
    if (status == YOKE_OK && !ends->count && tokenizer) status = find_added(tokenizer, ends);
    if (status != YOKE_OK) yki_ends_free(ends);
    return status;
}
