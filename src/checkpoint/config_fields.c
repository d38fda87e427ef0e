/* The fields of config.json that are read alike whatever the model: counts, numbers, switches, and keys whose
 * other values are not computed. Bounds keep every product of two fields far inside 63 bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "checkpoint/config.h"

char *yki_config_shown(char buffer[YKI_QUOTE_BYTES], json_t *value)
{
    char *text = yki_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (json_is_string(value))
        yki_quote(buffer, json_string_value(value));
    else
        snprintf(buffer, YKI_QUOTE_BYTES, "%.80s", json_is_object(value) ? "an object" : text ? text : "?");
    free(text);
    return buffer;
}

bool yki_config_is(json_t *value, const char *text)
{
    if (json_is_string(value)) return strcmp(json_string_value(value), text) == 0;
    return strcmp(text, "true") == 0 ? json_is_true(value)
                                     : strcmp(text, "false") == 0 && json_is_false(value);
}

/* The value of the first of a field's keys that is there; two that are there must agree. */
static yoke_status read_count(const char *path, json_t *config, const yki_config_count *field, int64_t *out)
{
    char shown[YKI_QUOTE_BYTES];
    *out = 0;
    const char *first = NULL;
    for (int i = 0; i < 3 && field->keys[i]; i++) {
        json_t *value = json_object_get(config, field->keys[i]);
        if (!value || json_is_null(value)) continue;
        if (!json_is_integer(value) || json_integer_value(value) < 1 ||
            json_integer_value(value) > field->most)
            return yki_fail_at(YOKE_INVALID, path, 0, field->keys[i],
                               "is %s; it must be a whole number from 1 to %lld",
                               yki_config_shown(shown, value), (long long)field->most);
        if (first && *out != json_integer_value(value))
            return yki_fail_at(YOKE_INVALID, path, 0, field->keys[i],
                               "is %lld, but %s, which means the same, is %lld",
                               (long long)json_integer_value(value), first, (long long)*out);
        if (!first) first = field->keys[i];
        *out = json_integer_value(value);
    }
    return YOKE_OK;
}

static yoke_status merge_count(const char *path, json_t *config, const yki_config_count *field,
                               yoke_model_spec *model)
{
    int64_t value, given;
    memcpy(&given, (char *)model + field->place, sizeof given);
    YKI_TRY(read_count(path, config, field, &value));
    if (value == 0 && given == 0 && !field->optional)
        return yki_fail_at(YOKE_INVALID, path, 0, field->keys[0], "is missing, and the job has no %s",
                           field->job_key);
    if (value != 0 && given != 0 && value != given)
        return yki_fail_at(YOKE_INVALID, path, 0, field->keys[0], "is %lld, but the job's %s is %lld",
                           (long long)value, field->job_key, (long long)given);
    if (value != 0) memcpy((char *)model + field->place, &value, sizeof value);
    return YOKE_OK;
}

yoke_status yki_config_read_counts(const char *path, json_t *config, const yki_config_count *counts,
                                   yoke_model_spec *model)
{
    for (; counts->job_key; counts++) YKI_TRY(merge_count(path, config, counts, model));
    return YOKE_OK;
}

yoke_status yki_config_real(const char *path, const char *key, json_t *value, double fallback, double most,
                            const char *job_key, double *field)
{
    char shown[YKI_QUOTE_BYTES], given[32];
    if (!value || json_is_null(value)) {
        if (*field == 0) *field = fallback;
        return YOKE_OK;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 && number <= most))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s; it must be a number above 0 and at most %g",
                           yki_config_shown(shown, value), most);
    if (*field != 0 && *field != number)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s, but the job's %s is %s",
                           yki_config_shown(shown, value), job_key, yki_json_real(given, *field));
    *field = number;
    return YOKE_OK;
}

yoke_status yki_config_check_fixed(const char *path, json_t *config, const yki_config_fixed *fixed)
{
    char shown[YKI_QUOTE_BYTES];
    for (; fixed->key; fixed++) {
        json_t *value = json_object_get(config, fixed->key);
        bool known = !value || json_is_null(value);
        for (int i = 0; i < 3 && fixed->values[i]; i++) known |= yki_config_is(value, fixed->values[i]);
        if (!known)
            return yki_fail_at(YOKE_INVALID, path, 0, fixed->key, "is %s, which yoke does not compute%s%s",
                               yki_config_shown(shown, value), fixed->values[0] ? "; it computes " : "",
                               fixed->values[0] ? fixed->values[0] : "");
    }
    return YOKE_OK;
}

static const char *word_of(int value)
{
    return value ? "true" : "false";
}

yoke_status yki_config_switch(const char *path, json_t *config, const char *key, int fallback,
                              const char *job_key, int *field)
{
    char shown[YKI_QUOTE_BYTES];
    json_t *value = json_object_get(config, key);
    if (!value || json_is_null(value)) {
        if (!job_key || *field < 0) *field = fallback;
        return YOKE_OK;
    }
    if (!json_is_boolean(value))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s; it must be true or false",
                           yki_config_shown(shown, value));
    int read = json_is_true(value);
    if (job_key && *field >= 0 && *field != read)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s, but the job's %s is %s", word_of(read),
                           job_key, word_of(*field));
    *field = read;
    return YOKE_OK;
}
