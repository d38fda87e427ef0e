/* From a part's "type" to its loader, by a table; and what loaders read of a part. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

enum { MOST_DEPTH = 8 }; /* of Sequences within Sequences */

static yoke_status refuse_type(const yoke_tokenizer *t, const yki_part_table *table, const char *key,
                               const char *type)
{
    char quoted[YKI_QUOTE_BYTES];
    yki_text known = {0};
    for (int i = 0; i < table->ntypes; i++) yki_text_append(&known, "%s, ", table->types[i].name);
    yoke_status status =
        yki_tokenizer_fail(t, key, "is of type %s, which is not supported; %sand Sequence are",
                           yki_quote(quoted, type), known.data ? known.data : "");
    yki_text_release(&known);
    return status;
}

static yoke_status load_part(yoke_tokenizer *t, const json_t *part, const yki_part_table *table,
                             const char *key, int depth)
{
    if (!json_is_object(part)) return yki_tokenizer_fail(t, key, "is no object");
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type) return yki_tokenizer_fail(t, key, "has no type");
    for (int i = 0; i < table->ntypes; i++)
        if (strcmp(table->types[i].name, type) == 0) return table->types[i].load(t, part, key);
    if (strcmp(type, "Sequence") != 0) return refuse_type(t, table, key, type);
    if (depth == MOST_DEPTH)
        return yki_tokenizer_fail(t, key, "is a Sequence within %d others, and no more are supported",
                                  MOST_DEPTH);
    const json_t *list = json_object_get(part, table->list);
    char within[256];
    snprintf(within, sizeof within, "%s.%s", key, table->list);
    if (!json_is_array(list)) return yki_tokenizer_fail(t, within, "is missing or no list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        snprintf(within, sizeof within, "%s.%s.%zu", key, table->list, i);
        YKI_TRY(load_part(t, json_array_get(list, i), table, within, depth + 1));
    }
    return YOKE_OK;
}

yoke_status yki_parts_load(yoke_tokenizer *t, const json_t *root, const yki_part_table *table)
{
    const json_t *part = json_object_get(root, table->key);
    return !part || json_is_null(part) ? YOKE_OK : load_part(t, part, table, table->key, 0);
}

yoke_status yki_part_add(const yoke_tokenizer *t, yki_parts *parts, const char *key,
                         yki_tokenizer_part **part_out)
{
    if (parts->count == YKI_MOST_PARTS)
        return yki_tokenizer_fail(t, key, "is one part too many: at most %d are supported", YKI_MOST_PARTS);
    *part_out = &parts->items[parts->count++];
    return YOKE_OK;
}

void yki_parts_release(yki_parts *parts)
{
    for (int i = 0; i < parts->count; i++) {
        if (parts->items[i].pattern) yki_pattern_destroy(parts->items[i].pattern);
        free(parts->items[i].from);
        free(parts->items[i].to);
    }
}

yoke_status yki_part_flag(const yoke_tokenizer *t, const json_t *part, const char *key, const char *name,
                          bool standard, bool *value_out)
{
    const json_t *value = json_object_get(part, name);
    if (value && !json_is_boolean(value))
        return yki_tokenizer_fail(t, key, "has a %s that is neither true nor false", name);
    *value_out = value ? json_is_true(value) : standard;
    return YOKE_OK;
}

yoke_status yki_part_text(const yoke_tokenizer *t, const json_t *part, const char *key, const char *name,
                          char **text_out, size_t *count_out)
{
    const char *text = json_string_value(json_object_get(part, name));
    if (!text) return yki_tokenizer_fail(t, key, "has no text as its %s", name);
    *text_out = strdup(text);
    *count_out = strlen(text);
    return *text_out ? YOKE_OK : yki_fail_memory("a tokenizer's part");
}

yoke_status yki_part_count(const yoke_tokenizer *t, const json_t *part, const char *key, const char *name,
                           int *value_out)
{
    const json_t *value = json_object_get(part, name);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > INT_MAX)
        return yki_tokenizer_fail(t, key, "has a %s that is no whole number of at least 0", name);
    *value_out = (int)number;
    return YOKE_OK;
}

yoke_status yki_part_pattern(const yoke_tokenizer *t, const json_t *part, const char *key,
                             const char **literal_out, const char **regex_out)
{
    const json_t *pattern = json_object_get(part, "pattern");
    *literal_out = json_string_value(json_object_get(pattern, "String"));
    *regex_out = *literal_out ? NULL : json_string_value(json_object_get(pattern, "Regex"));
    const char *text = *literal_out ? *literal_out : *regex_out;
    if (!text) return yki_tokenizer_fail(t, key, "has no pattern: {\"String\": ...} or {\"Regex\": ...}");
    if (!*text)
        return yki_tokenizer_fail(t, key, "the pattern can match nothing at all, which is not supported");
    return YOKE_OK;
}
