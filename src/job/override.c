/* Overrides: what the command line says over the file, put into the tree before it is read, so that both are
 * checked by the same table. Values are YAML in one line, but for paths and schedules, which are taken as
 * they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/read.h"

static yoke_status fail(const yki_reader *reader, int origin, const char *key, const char *what)
{
    return yki_fail_at(YOKE_INVALID, "", 0, key, "%s: %s", reader->shown[origin - 1], what);
}

static void mark(yki_yaml *node, int origin)
{
    node->origin = origin;
    node->line = 0;
    for (int i = 0; i < node->count; i++) mark(node->items[i], origin);
}

/* Whether `path` is a key of the table (*key_out, if it is one of its own), or leads to one. */
static bool known(const char *path, const yki_key **key_out)
{
    size_t length = strlen(path);
    bool found = false;
    for (int i = 0; i < yki_job_nkeys; i++) {
        const char *other = yki_job_keys[i].path;
        if (strcmp(other, path) == 0) *key_out = &yki_job_keys[i];
        found = found || (strncmp(other, path, length) == 0 && (other[length] == '.' || !other[length]));
    }
    return found;
}

/* "adamw" where a mapping with a name may stand becomes {name: adamw}. */
static yoke_status expand_names(yki_reader *reader)
{
    static const char *const sections[] = {"optimizer", "schedule"};
    yki_yaml *train = yki_yaml_get(reader->root, "train");
    for (int i = 0; train && i < 2; i++) {
        yki_yaml *node = yki_yaml_get(train, sections[i]);
        if (!node || node->kind != YKI_YAML_SCALAR || yki_yaml_is_null(node)) continue;
        yki_yaml *mapping = yki_yaml_create(YKI_YAML_MAPPING, NULL, 0, node->line);
        yki_yaml *name = yki_yaml_create(YKI_YAML_SCALAR, node->text, strlen(node->text), node->line);
        if (!mapping || !name) {
            yki_yaml_destroy(mapping);
            yki_yaml_destroy(name);
            return yki_fail_memory("a job");
        }
        mapping->origin = name->origin = node->origin;
        yoke_status status = yki_yaml_put(mapping, "name", name);
        if (status != YOKE_OK) {
            yki_yaml_destroy(mapping);
            return status;
        }
        YKI_TRY(yki_yaml_put(train, sections[i], mapping));
    }
    return YOKE_OK;
}

/* The node that holds the last name of `path`, made if it is not there; *name_out is that name. */
static yoke_status descend(yki_reader *reader, const char *path, int origin, yki_yaml **parent_out,
                           const char **name_out)
{
    yki_yaml *node = reader->root;
    const char *rest = path;
    for (const char *dot; (dot = strchr(rest, '.')); rest = dot + 1) {
        char above[128];
        snprintf(above, sizeof above, "%.*s", (int)(dot - path), path);
        yki_yaml *next = yki_yaml_find(reader->root, above);
        if (next && yki_yaml_is_null(next)) {
            free(next->text);
            next->text = NULL;
            next->kind = YKI_YAML_MAPPING;
        }
        if (!next && node->kind == YKI_YAML_MAPPING) {
            next = yki_yaml_create(YKI_YAML_MAPPING, NULL, 0, 0);
            if (next) next->origin = origin;
            YKI_TRY(yki_yaml_put(node, strrchr(above, '.') ? strrchr(above, '.') + 1 : above, next));
        }
        char what[256];
        if (!next || next->kind == YKI_YAML_SCALAR) {
            snprintf(what, sizeof what, next ? "%s is a single value, nothing is below it" : "there is no %s",
                     above);
            return fail(reader, origin, path, what);
        }
        node = next;
    }
    *parent_out = node;
    *name_out = rest;
    return YOKE_OK;
}

static yoke_status put(yki_reader *reader, const char *path, yki_yaml *value, int origin)
{
    yki_yaml *parent = NULL;
    const char *name = NULL;
    yoke_status status = expand_names(reader);
    if (status == YOKE_OK) status = descend(reader, path, origin, &parent, &name);
    if (status != YOKE_OK) {
        yki_yaml_destroy(value);
        return status;
    }
    if (parent->kind == YKI_YAML_MAPPING) return yki_yaml_put(parent, name, value);
    yki_yaml *there = yki_yaml_find(parent, name);
    for (int i = 0; there && i < parent->count; i++) {
        if (parent->items[i] == there) {
            parent->items[i] = value;
            yki_yaml_destroy(there);
            return YOKE_OK;
        }
    }
    yki_yaml_destroy(value);
    char what[256];
    snprintf(what, sizeof what, "there is no %s: the list has %d items, counted from 0", path, parent->count);
    return fail(reader, origin, path, what);
}

/* Takes a key out again: it is as if the file did not say it. */
static void take_out(yki_reader *reader, const char *path)
{
    char above[128];
    snprintf(above, sizeof above, "%s", path);
    char *dot = strrchr(above, '.');
    if (dot) *dot = '\0';
    yki_yaml *parent = dot ? yki_yaml_find(reader->root, above) : reader->root;
    if (parent && parent->kind == YKI_YAML_MAPPING) yki_yaml_remove(parent, dot ? dot + 1 : above);
}

static yoke_status set(yki_reader *reader, const char *path, const char *text, size_t length, int origin)
{
    const yki_key *key = NULL;
    bool is_known = known(path, &key);
    bool as_is =
        key && (key->kind == YKI_KEY_PATH || key->kind == YKI_KEY_PATHS || key->kind == YKI_KEY_SCHEDULE ||
                key->kind == YKI_KEY_COLUMNS || key->kind == YKI_KEY_TEXTS || key->kind == YKI_KEY_LAYOUTS);
    yki_yaml *value = NULL;
    yoke_status status;
    if (length == 0 || (as_is && !strchr("\"'[{", text[0]))) {
        status = yki_yaml_check_characters(text, length, "");
        value = status == YOKE_OK ? yki_yaml_create(YKI_YAML_SCALAR, text, length, 0) : NULL;
        if (status == YOKE_OK && !value) return yki_fail_memory("a job");
    } else {
        status = yki_yaml_parse(text, length, "", &value);
    }
    if (status == YOKE_INVALID)
        return yki_fail_at(YOKE_INVALID, "", 0, path, "%s: the value %s", reader->shown[origin - 1],
                           yoke_error_get()->message);
    YKI_TRY(status);
    mark(value, origin);
    if (yki_yaml_is_null(value) && (is_known || yki_yaml_find(reader->root, path))) {
        yki_yaml_destroy(value);
        take_out(reader, path);
        return YOKE_OK;
    }
    return put(reader, path, value, origin);
}

/* The end of the first entry of "a=1,b=[2,3],c": a comma outside quotes and brackets, followed by another
 * key. */
static size_t entry_length(const char *text)
{
    int depth = 0;
    char quote = '\0';
    size_t i = 0;
    for (; text[i]; i++) {
        char c = text[i];
        if (quote) {
            i += quote == '"' && c == '\\' && text[i + 1];
            quote = c == quote ? '\0' : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == ',' && depth <= 0) {
            const char *rest = text + i + 1 + strspn(text + i + 1, " ,");
            if (!*rest || rest[strcspn(rest, ",=")] == '=') /* else a list goes on: devices=cpu:0,cpu:1 */
                break;
        }
    }
    return i;
}

static bool is_key(const char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t length = strlen(path);
    return length > 0 && length < 128 && strspn(path, letters) == length && path[0] != '.' &&
           path[length - 1] != '.' && !strstr(path, "..");
}

yoke_status yki_reader_override_layout(yki_reader *reader, const char *text, int origin)
{
    for (text += strspn(text, " ,"); *text; text += strspn(text, " ,")) {
        size_t length = entry_length(text), name = strcspn(text, "=");
        if (name >= length) return fail(reader, origin, "layout", "must be like dp=2,zero=1");
        size_t end = length;
        while (end > name + 1 && text[end - 1] == ' ') end--;
        char path[128];
        int n = snprintf(path, sizeof path, "layout.%.*s", (int)(name < 100 ? name : 100), text);
        while (n > 0 && path[n - 1] == ' ') path[--n] = '\0';
        if (!is_key(path) || name > 100) return fail(reader, origin, "layout", "must be like dp=2,zero=1");
        YKI_TRY(set(reader, path, text + name + 1, end - name - 1, origin));
        text += length;
    }
    return YOKE_OK;
}

/* "--dp=2": the flags of yoke train are short names of keys. */
static yoke_status override_flag(yki_reader *reader, const char *text, int origin)
{
    const char *names[32];
    int count = 0;
    size_t length = strcspn(text + 2, "=");
    const char *value = text[2 + length] ? text + 3 + length : "";
    char flag[64], what[160], shown[96];
    snprintf(flag, sizeof flag, "%.*s", (int)(length < 63 ? length : 63), text + 2);
    if (strcmp(flag, "layout") == 0) return yki_reader_override_layout(reader, value, origin);
    for (int i = 0; i < yki_job_nkeys; i++) {
        if (!yki_job_keys[i].flag) continue;
        names[count++] = yki_job_keys[i].flag;
        if (strcmp(yki_job_keys[i].flag, flag) == 0 && *value)
            return set(reader, yki_job_keys[i].path, value, strlen(value), origin);
        if (strcmp(yki_job_keys[i].flag, flag) == 0)
            return fail(reader, origin, yki_job_keys[i].path, "needs a value");
    }
    const char *near = yki_nearest(flag, names, count);
    yki_yaml_shown(shown, flag);
    snprintf(what, sizeof what, near ? "unknown flag; did you mean --%s?" : "unknown flag", near);
    return fail(reader, origin, "", what);
}

yoke_status yki_reader_override(yki_reader *reader, const char *text, int origin)
{
    if (strncmp(text, "--", 2) == 0) return override_flag(reader, text, origin);
    size_t length = strcspn(text, "=");
    char path[128];
    snprintf(path, sizeof path, "%.*s", (int)(length < 127 ? length : 127), text);
    if (!text[length] || length > 127 || !is_key(path))
        return fail(reader, origin, "", "must be KEY=VALUE, like train.steps=20");
    const char *value = text + length + 1;
    if (strcmp(path, "layout") == 0 && *value && *value != '{')
        return yki_reader_override_layout(reader, value, origin);
    return set(reader, path, value, strlen(value), origin);
}

static bool overridden(const yki_reader *reader, const char *path)
{
    const yki_yaml *node = yki_yaml_find(reader->root, path);
    return node && node->origin > 0;
}

yoke_status yki_reader_settle(yki_reader *reader)
{
    static const char *const degrees[] = {"layout.dp", "layout.tp", "layout.pp", "layout.cp"};
    YKI_TRY(expand_names(reader));
    for (int i = 0; i < 4; i++)
        if (overridden(reader, degrees[i]) && !overridden(reader, "layout.devices"))
            take_out(reader, "layout.devices");
    bool steps = overridden(reader, "train.steps"), epochs = overridden(reader, "train.epochs");
    if (steps != epochs) take_out(reader, steps ? "train.epochs" : "train.steps");
    return YOKE_OK;
}
