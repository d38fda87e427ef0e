/* state.json: where a run stood. Counts are JSON integers; a seed past 2^63 is a string of digits, because
 * JSON readers keep no such integer; a loss that is not finite is null. Unknown keys are ignored, a newer
 * "version" is refused. Version 2 names the run and its facts; where they are not known, version 1 is
 * written, so that what it says and its hash stay what they were. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/hashes.h"

enum { VERSION = 2 };

/* A string as JSON has it; what is not UTF-8 ends it. */
static void print_string(yki_text *out, const char *value)
{
    json_t *string = json_stringn(value, yki_utf8_prefix(value, strlen(value)));
    char *quoted = string ? yki_json_dump(string, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        yki_text_append_bytes(out, quoted, strlen(quoted));
    else
        out->failed = true;
    free(quoted);
    json_decref(string);
}

static void print_identity(yki_text *out, const yki_identity *identity)
{
    yki_text_append(out, ",\n  \"run\": \"%s\",\n  \"identity\": {", identity->run);
    for (int i = 0; i < identity->nfacts; i++) {
        yki_text_append(out, i ? ",\n    " : "\n    ");
        print_string(out, identity->facts[i].key);
        yki_text_append(out, ": ");
        print_string(out, identity->facts[i].value);
    }
    yki_text_append(out, identity->nfacts > 0 ? "\n  }" : "}");
}

/* Where each evaluation's figures stand; older folders have none of them, and a run without evaluations and
 * steps left out says nothing of them. */
static const struct {
    const char *loss, *step;
    size_t loss_at, step_at;
} evaluated[] = {
    {"least_loss", "least_step", offsetof(yki_saved_state, least_loss),
     offsetof(yki_saved_state, least_step)},
    {"best_loss", "best_step", offsetof(yki_saved_state, best_loss), offsetof(yki_saved_state, best_step)}};
static const struct {
    const char *key;
    size_t at;
} counted[] = {{"skipped", offsetof(yki_saved_state, skipped)},
               {"skipped_in_a_row", offsetof(yki_saved_state, skipped_in_a_row)},
               {"no_better", offsetof(yki_saved_state, no_better)}};

#define FIELD(type, state, at) (*(type *)((char *)(state) + (at)))

static void print_standing(const yki_saved_state *state, yki_text *out)
{
    yki_saved_state s = *state;
    char digits[32];
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (FIELD(int64_t, &s, counted[i].at) > 0)
            yki_text_append(out, ",\n  \"%s\": %lld", counted[i].key,
                            (long long)FIELD(int64_t, &s, counted[i].at));
    for (size_t i = 0; i < sizeof evaluated / sizeof *evaluated; i++)
        if (FIELD(int64_t, &s, evaluated[i].step_at) > 0)
            yki_text_append(out, ",\n  \"%s\": %s,\n  \"%s\": %lld", evaluated[i].loss,
                            yki_json_real(digits, FIELD(double, &s, evaluated[i].loss_at)), evaluated[i].step,
                            (long long)FIELD(int64_t, &s, evaluated[i].step_at));
}

/* All but the last key, which has the hash of it. */
static void print(const yki_saved_state *state, yki_text *out)
{
    char loss[32];
    const char *mark = state->seed > INT64_MAX ? "\"" : "";
    const struct {
        const char *key, *value;
    } strings[] = {
        {"layout", state->layout}, {"optimizer", state->optimizer}, {"precision", state->precision}};
    yki_text_append(out, "{\n  \"version\": %d,\n  \"step\": %lld,\n  \"seed\": %s%llu%s,\n  \"batch\": %lld",
                    state->identity.run[0] ? VERSION : 1, (long long)state->step, mark,
                    (unsigned long long)state->seed, mark, (long long)state->batch);
    yki_text_append(out, ",\n  \"last_loss\": %s", yki_json_real(loss, state->last_loss));
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        yki_text_append(out, ",\n  \"%s\": ", strings[i].key);
        print_string(out, strings[i].value);
    }
    print_standing(state, out);
    yki_text_append(out, ",\n  \"finite\": %s,\n  \"hashed\": %s", state->not_finite ? "false" : "true",
                    state->hashed ? "true" : "false");
    if (state->identity.run[0]) print_identity(out, &state->identity);
}

static void print_hash(char digits[17], const yki_text *text)
{
    uint64_t hash = text->data ? yki_hash(text->data, text->length) : 0;
    snprintf(digits, 17, "%016llx", (unsigned long long)hash);
}

char *yki_state_print(const yki_saved_state *state)
{
    char digits[17];
    yki_text text = {0};
    print(state, &text);
    print_hash(digits, &text);
    yki_text_append(&text, ",\n  \"hash\": \"%s\"\n}\n", digits);
    return yki_text_take(&text);
}

/* That the file says what was saved; white space and the order of keys do not matter. Older files have no
 * hash. */
static yoke_status check_hash(const char *path, json_t *object, const yki_saved_state *state)
{
    char digits[17];
    json_t *hash = json_object_get(object, "hash");
    yki_text text = {0};
    if (!hash) return YOKE_OK;
    print(state, &text);
    print_hash(digits, &text);
    bool failed = text.failed;
    yki_text_release(&text);
    if (failed) return yki_fail_memory("state.json");
    if (json_is_string(hash) && strcmp(json_string_value(hash), digits) == 0) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, path, 0, "hash",
        "is not that of what the file says, which was changed after it was saved; without this key the "
        "file is taken as it is");
}

bool yki_is_run(const char *text)
{
    return strlen(text) == YKI_RUN_BYTES - 1 && strspn(text, "0123456789abcdef") == YKI_RUN_BYTES - 1;
}

const char *yki_identity_find(const yki_identity *identity, const char *key)
{
    for (int i = 0; i < identity->nfacts; i++)
        if (strcmp(identity->facts[i].key, key) == 0) return identity->facts[i].value;
    return NULL;
}

void yki_identity_add(yki_identity *identity, const char *key, const char *format, ...)
{
    int at = identity->nfacts;
    yki_fact fact = {.key = ""};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fact.value, sizeof fact.value, format, arguments);
    va_end(arguments);
    fact.value[yki_utf8_prefix(fact.value, strlen(fact.value))] = '\0';
    snprintf(fact.key, sizeof fact.key, "%s", key);
    assert(at < YKI_MOST_FACTS && !yki_identity_find(identity, key));
    for (; at > 0 && strcmp(identity->facts[at - 1].key, key) > 0; at--)
        identity->facts[at] = identity->facts[at - 1];
    identity->facts[at] = fact;
    identity->nfacts++;
}

static yoke_status read_count(const char *path, json_t *object, const char *key, int64_t least, int64_t *out)
{
    json_t *value = json_object_get(object, key);
    if (!value) return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing");
    if (!json_is_integer(value) || json_integer_value(value) < least)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is not a whole number from %lld", (long long)least);
    *out = json_integer_value(value);
    return YOKE_OK;
}

static yoke_status read_string(const char *path, json_t *object, const char *key, char *out, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value) return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing or no string");
    if (strlen(value) >= size)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is longer than %zu bytes", size - 1);
    strcpy(out, value);
    return YOKE_OK;
}

/* Folders of older versions have none: *out stays. */
static yoke_status read_flag(const char *path, json_t *object, const char *key, bool *out)
{
    json_t *value = json_object_get(object, key);
    if (value && !json_is_boolean(value))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is neither true nor false");
    if (value) *out = json_is_true(value);
    return YOKE_OK;
}

static yoke_status read_seed(const char *path, json_t *object, uint64_t *out)
{
    const char *digits = json_string_value(json_object_get(object, "seed"));
    if (!digits) {
        int64_t seed = 0;
        YKI_TRY(read_count(path, object, "seed", 0, &seed));
        *out = (uint64_t)seed;
        return YOKE_OK;
    }
    errno = 0;
    char *end;
    unsigned long long seed = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno)
        return yki_fail_at(YOKE_INVALID, path, 0, "seed", "is not a whole number below 2^64");
    *out = seed;
    return YOKE_OK;
}

static yoke_status read_standing(const char *path, json_t *object, yki_saved_state *state)
{
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (json_object_get(object, counted[i].key))
            YKI_TRY(read_count(path, object, counted[i].key, 1, &FIELD(int64_t, state, counted[i].at)));
    for (size_t i = 0; i < sizeof evaluated / sizeof *evaluated; i++) {
        json_t *loss = json_object_get(object, evaluated[i].loss);
        if (!loss) continue;
        if (!json_is_number(loss))
            return yki_fail_at(YOKE_INVALID, path, 0, evaluated[i].loss, "is no number");
        FIELD(double, state, evaluated[i].loss_at) = json_number_value(loss);
        YKI_TRY(read_count(path, object, evaluated[i].step, 1, &FIELD(int64_t, state, evaluated[i].step_at)));
    }
    return YOKE_OK;
}

static yoke_status read_identity(const char *path, json_t *object, yki_identity *identity)
{
    json_t *facts = json_object_get(object, "identity"), *value;
    const char *key;
    char quoted[YKI_QUOTE_BYTES];
    if (!json_object_get(object, "run")) return YOKE_OK;
    YKI_TRY(read_string(path, object, "run", identity->run, sizeof identity->run));
    if (!yki_is_run(identity->run))
        return yki_fail_at(YOKE_INVALID, path, 0, "run", "is %s, and not 32 hexadecimal digits",
                           yki_quote(quoted, identity->run));
    if (!json_is_object(facts) || json_object_size(facts) > YKI_MOST_FACTS)
        return yki_fail_at(YOKE_INVALID, path, 0, "identity",
                           "is missing, no JSON object, or one of more than %d keys", YKI_MOST_FACTS);
    json_object_foreach(facts, key, value)
    {
        const char *text = json_string_value(value);
        if (!text || strlen(text) >= YKI_FACT_BYTES || strlen(key) >= sizeof identity->facts->key)
            return yki_fail_at(YOKE_INVALID, path, 0, "identity", "has at %s no string, or too long a one",
                               yki_quote(quoted, key));
        yki_identity_add(identity, key, "%s", text);
    }
    return YOKE_OK;
}

static yoke_status read_state(const char *path, json_t *object, yki_saved_state *state)
{
    int64_t version = VERSION;
    if (json_object_get(object, "version")) YKI_TRY(read_count(path, object, "version", 1, &version));
    if (version > VERSION)
        return yki_fail_at(YOKE_INVALID, path, 0, "version",
                           "is %lld, made by a newer yoke; this one reads %d", (long long)version, VERSION);
    YKI_TRY(read_count(path, object, "step", 0, &state->step));
    YKI_TRY(read_seed(path, object, &state->seed));
    YKI_TRY(read_count(path, object, "batch", 1, &state->batch));
    json_t *loss = json_object_get(object, "last_loss");
    if (!json_is_number(loss) && !json_is_null(loss))
        return yki_fail_at(YOKE_INVALID, path, 0, "last_loss", "is missing or neither a number nor null");
    state->last_loss = json_is_null(loss) ? (double)NAN : json_number_value(loss);
    YKI_TRY(read_string(path, object, "layout", state->layout, sizeof state->layout));
    YKI_TRY(read_string(path, object, "optimizer", state->optimizer, sizeof state->optimizer));
    YKI_TRY(read_string(path, object, "precision", state->precision, sizeof state->precision));
    YKI_TRY(read_standing(path, object, state));
    bool finite = true;
    YKI_TRY(read_flag(path, object, "finite", &finite));
    state->not_finite = !finite;
    YKI_TRY(read_flag(path, object, "hashed", &state->hashed));
    return read_identity(path, object, &state->identity);
}

yoke_status yki_checkpoint_state(const char *folder, yki_saved_state *state_out)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *object;
    yki_saved_state state = {0};
    YKI_TRY(yki_path_join(path, sizeof path, folder, "state.json"));
    YKI_TRY(yki_json_load(path, &object));
    yoke_status status = read_state(path, object, &state);
    if (status == YOKE_OK) status = check_hash(path, object, &state);
    json_decref(object);
    if (status == YOKE_OK) *state_out = state;
    return status;
}
