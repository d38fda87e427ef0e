/* The walk over the tree: unknown keys, keys that mean nothing here, missing keys, and the table's rows in
 * order. */
#include "job/read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/words.h"

yoke_status yki_reader_fail(const yki_reader *reader, const yki_yaml *node, const char *key,
                            const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    char above[128];
    snprintf(above, sizeof above, "%s", key);
    while (!node) { /* of a missing key, the nearest node around it */
        char *dot = strrchr(above, '.');
        *(dot ? dot : above) = '\0';
        node = yki_yaml_find(reader->root, above);
        if (!*above) break;
    }
    if (node && node->origin > 0)
        return yki_fail_at(YOKE_INVALID, "", 0, key, "%s: %s", reader->shown[node->origin - 1], message);
    return yki_fail_at(YOKE_INVALID, reader->file, node && *reader->file ? node->line : 0, key, "%s",
                       message);
}

static const char *last_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* What of a key's path is left below `prefix` ("" is the root), or NULL if it is not below it. */
static const char *below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);
    if (length == 0) return path;
    return strncmp(path, prefix, length) == 0 && path[length] == '.' ? path + length + 1 : NULL;
}

/* The known key that a person most likely meant by `name` in the section `prefix`; NULL: none is near. A key
 * of that very name elsewhere goes before a similar one here. */
static const char *suggestion(const char *prefix, const char *name, char buffer[128])
{
    const char *siblings[128] = {NULL}, *deeper[128] = {NULL};
    char names[128][32];
    int nsiblings = 0, ndeeper = 0;
    for (int i = 0; i < yki_job_nkeys; i++) {
        const char *rest = below(yki_job_keys[i].path, prefix);
        if (rest && strchr(rest, '.') && strcmp(last_name(rest), name) == 0) return rest;
    }
    const char *found = NULL;
    for (int i = 0; i < yki_job_nkeys; i++) {
        const char *path = yki_job_keys[i].path;
        if (strcmp(last_name(path), name) != 0) continue;
        if (!found || yki_key_depth(path) < yki_key_depth(found)) found = path;
    }
    if (found) return found;
    const char *usual = yki_key_of_word(name);
    if (usual) return below(usual, prefix) ? below(usual, prefix) : usual;
    for (int i = 0; i < yki_job_nkeys && nsiblings < 128; i++) {
        const char *rest = below(yki_job_keys[i].path, prefix);
        if (!rest) continue;
        snprintf(names[nsiblings], sizeof names[0], "%.*s", (int)strcspn(rest, "."), rest);
        siblings[nsiblings] = names[nsiblings];
        nsiblings++;
        deeper[ndeeper++] = last_name(rest);
    }
    if (strlen(name) < 3) return NULL; /* everything is near to two letters */
    const char *near = yki_nearest(name, siblings, nsiblings);
    if (near) {
        snprintf(buffer, 128, "%s", near);
        return buffer;
    }
    near = yki_nearest(name, deeper, ndeeper);
    for (int i = 0; near && i < yki_job_nkeys; i++) {
        const char *rest = below(yki_job_keys[i].path, prefix);
        if (rest && strcmp(last_name(rest), near) == 0) return rest;
    }
    return NULL;
}

static yoke_status fail_unknown(const yki_reader *reader, const yki_yaml *node, const char *prefix,
                                const char *path)
{
    char buffer[128], shown[96];
    const char *near = suggestion(prefix, node->key, buffer);
    const char *where = *prefix ? prefix : "a job";
    yki_yaml_shown(shown, node->key);
    if (near)
        return yki_reader_fail(reader, node, path, "unknown key '%s' in %s; did you mean '%s'?", shown, where,
                               near);
    return yki_reader_fail(reader, node, path, "unknown key '%s' in %s", shown, where);
}

/* Writes "prefix.key", cut where it is too long: no known key is. */
static void join(char out[128], const char *prefix, const char *key)
{
    const char *const parts[] = {prefix, *prefix ? "." : "", key};
    size_t n = 0;
    bool cut = false;
    for (int i = 0; i < 3; i++)
        for (const char *p = parts[i]; *p && !(cut = n == 127); p++) out[n++] = *p;
    while (cut && n > 0 && (unsigned char)out[n - 1] >= 0x80) n--; /* no half of a character */
    out[n] = '\0';
}

static yoke_status check_section(const yki_reader *reader, const yki_yaml *section, const char *prefix)
{
    for (int i = 0; i < section->count; i++) {
        const yki_yaml *node = section->items[i];
        char path[128];
        bool fits = !strchr(node->key, '.'), leaf = false, inner = false;
        join(path, prefix, node->key);
        for (int k = 0; fits && k < yki_job_nkeys; k++) {
            leaf = leaf || strcmp(yki_job_keys[k].path, path) == 0;
            inner = inner || below(yki_job_keys[k].path, path);
        }
        if (!leaf && !inner) return fail_unknown(reader, node, prefix, path);
        if (leaf || yki_yaml_is_null(node)) continue;
        if (node->kind != YKI_YAML_MAPPING)
            return yki_reader_fail(reader, node, path, "must be a mapping of keys, not a %s",
                                   node->kind == YKI_YAML_SEQUENCE ? "list" : "single value");
        YKI_TRY(check_section(reader, node, path));
    }
    return YOKE_OK;
}

yoke_status yki_reader_check_root(const yki_reader *reader)
{
    if (reader->root->kind != YKI_YAML_MAPPING)
        return yki_reader_fail(reader, reader->root, "",
                               "must be a mapping with model, data and train, not a %s",
                               reader->root->kind == YKI_YAML_SEQUENCE ? "list" : "single value");
    return YOKE_OK;
}

yoke_status yki_reader_check_keys(const yki_reader *reader)
{
    YKI_TRY(yki_reader_check_root(reader));
    return check_section(reader, reader->root, "");
}

static yoke_status fail_misplaced(const yki_reader *reader, const yki_key *keys, int nkeys,
                                  const yki_key *key, const yki_yaml *node, const char *path, int variant)
{
    unsigned of = 0;
    for (int i = 0; i < nkeys; i++)
        if (strcmp(keys[i].path, key->path) == 0) of |= keys[i].of;
    char owners[160];
    const char *const *names = yki_selector_names(key->by);
    yki_names_list(owners, sizeof owners, names, of);
    return yki_reader_fail(reader, node, path, "'%s' is a key of %s %s, not of %s", last_name(key->path),
                           yki_selector_word(key->by), owners, names[variant]);
}

static bool another_fits(const yki_key *keys, int nkeys, const yki_key *key, int variant)
{
    for (int i = 0; i < nkeys; i++)
        if (strcmp(keys[i].path, key->path) == 0 && yki_key_fits(&keys[i], variant)) return true;
    return false;
}

static yoke_status fail_missing(const yki_reader *reader, const yki_key *key, const char *path, int variant)
{
    if (key->kind == YKI_KEY_NAME && key->by == YKI_BY_NONE) {
        char values[160];
        yki_names_list(values, sizeof values, key->names, ~0u);
        return yki_reader_fail(reader, NULL, path, "'%s' is missing: one of %s", last_name(key->path),
                               values);
    }
    const yki_yaml *chosen =
        key->by == YKI_BY_LAYER ? NULL : yki_yaml_find(reader->root, yki_selector_path(key->by));
    const yki_yaml *blamed = chosen && chosen->origin > 0 ? chosen : NULL;
    return yki_reader_fail(reader, blamed, path, "'%s' is missing: %s %s needs it%s", last_name(key->path),
                           yki_selector_word(key->by), yki_selector_names(key->by)[variant],
                           key->from_gives ? ", or a folder to read it from in model.from" : "");
}

static yoke_status read_standard(const yki_reader *reader, const yki_key *key, const char *path, void *base)
{
    yki_yaml node = {.kind = YKI_YAML_SCALAR, .text = (char *)key->standard};
    return key->standard ? yki_reader_value(reader, key, &node, path, base) : YOKE_OK;
}

/* A key that is said although the job's family, format, ... gives it no meaning. */
static yoke_status check_misplaced(const yki_reader *reader, const yki_key *key, const yki_yaml *node,
                                   int variant)
{
    if (!node || another_fits(yki_job_keys, yki_job_nkeys, key, variant)) return YOKE_OK;
    const yki_yaml *chosen = yki_yaml_find(reader->root, yki_selector_path(key->by));
    if (chosen && chosen->origin > 0 && node->origin == 0)
        return YOKE_OK; /* an override chose another variant over the file's: what was of the old one is void
                         */
    return fail_misplaced(reader, yki_job_keys, yki_job_nkeys, key, node, key->path, variant);
}

yoke_status yki_reader_read(const yki_reader *reader, const char *section, bool needed)
{
    const yki_key *missing = NULL; /* the first; said only if nothing that is there is wrong */
    for (int i = 0; i < yki_job_nkeys; i++) {
        const yki_key *key = &yki_job_keys[i];
        if (!below(key->path, section)) continue;
        const yki_yaml *node = yki_yaml_find(reader->root, key->path);
        int variant = yki_selector_value(reader->job, key->by);
        bool lacks = needed && !node && yki_key_needed(key, variant, reader->job->model.from[0]);
        if (!yki_key_fits(key, variant)) {
            YKI_TRY(check_misplaced(reader, key, node, variant));
        } else if (node) {
            YKI_TRY(yki_reader_value(reader, key, node, key->path, reader->job));
        } else if (lacks && key->by == YKI_BY_NONE) {
            return fail_missing(reader, key, key->path, variant); /* later keys hang on it */
        } else {
            YKI_TRY(read_standard(reader, key, key->path, reader->job));
            missing = lacks && !missing ? key : missing;
        }
    }
    if (missing)
        return fail_missing(reader, missing, missing->path, yki_selector_value(reader->job, missing->by));
    return YOKE_OK;
}

/* ---- layers ---- */

static yoke_status check_layer_keys(const yki_reader *reader, const yki_yaml *item, const char *path,
                                    int variant)
{
    for (int i = 0; i < item->count; i++) {
        const yki_yaml *node = item->items[i];
        const char *names[32];
        const yki_key *known = NULL;
        int count = 0;
        bool fits = strcmp(node->key, "type") == 0;
        names[count++] = "type";
        for (int k = 0; k < yki_layer_nkeys; k++) {
            const yki_key *key = &yki_layer_keys[k];
            bool same = strcmp(key->path, node->key) == 0;
            if (yki_key_fits(key, variant)) names[count++] = key->path;
            fits = fits || (same && yki_key_fits(key, variant));
            known = same ? key : known;
        }
        char full[128], shown[96];
        if (fits) continue;
        join(full, path, node->key);
        if (known) return fail_misplaced(reader, yki_layer_keys, yki_layer_nkeys, known, node, full, variant);
        yki_yaml_shown(shown, node->key);
        const char *usual = yki_layer_key_of_word(node->key), *near = NULL;
        if (usual && !*usual)
            return yki_reader_fail(reader, node, full,
                                   "unknown key '%s' in a layer of type %s: a layer takes it from what comes "
                                   "before it; leave it out",
                                   shown, yki_layer_names[variant]);
        for (int k = 0; usual && k < count; k++) near = strcmp(names[k], usual) == 0 ? names[k] : near;
        if (!near) near = yki_nearest(node->key, names, count);
        return yki_reader_fail(reader, node, full,
                               near ? "unknown key '%s' in a layer of type %s; did you mean '%s'?"
                                    : "unknown key '%s' in a layer of type %s",
                               shown, yki_layer_names[variant], near);
    }
    return YOKE_OK;
}

static yoke_status read_type(const yki_reader *reader, const yki_yaml *item, const char *path,
                             int *variant_out)
{
    char key[128], values[200];
    join(key, path, "type");
    const yki_yaml *type = yki_yaml_get(item, "type");
    yki_names_list(values, sizeof values, yki_layer_names, ~0u);
    if (!type) return yki_reader_fail(reader, item, key, "'type' is missing: one of %s", values);
    int count = 0;
    for (; yki_layer_names[count]; count++) {
        *variant_out = count;
        if (type->kind == YKI_YAML_SCALAR && strcmp(type->text, yki_layer_names[count]) == 0) return YOKE_OK;
    }
    if (type->kind != YKI_YAML_SCALAR)
        return yki_reader_fail(reader, type, key, "must be one word: %s", values);
    char shown[96];
    const char *near = yki_layer_type_of_word(type->text);
    if (!near) near = yki_nearest(type->text, yki_layer_names, count);
    yki_yaml_shown(shown, type->text);
    if (near)
        return yki_reader_fail(reader, type, key, "unknown layer type '%s'; did you mean '%s'? There are %s",
                               shown, near, values);
    return yki_reader_fail(reader, type, key, "unknown layer type '%s'; there are %s", shown, values);
}

static yoke_status read_layer(const yki_reader *reader, const yki_yaml *item, const char *path, int depth,
                              yoke_layer *layer)
{
    int variant = 0;
    if (item->kind != YKI_YAML_MAPPING)
        return yki_reader_fail(reader, item, path, "must be a layer, like {type: linear, out: 10}");
    YKI_TRY(read_type(reader, item, path, &variant));
    YKI_TRY(check_layer_keys(reader, item, path, variant));
    yki_layer_init(layer, variant);
    layer->line = item->line;
    for (int k = 0; k < yki_layer_nkeys; k++) {
        const yki_key *key = &yki_layer_keys[k];
        if (!yki_key_fits(key, variant)) continue;
        char full[128];
        join(full, path, key->path);
        const yki_yaml *node = yki_yaml_get(item, key->path);
        if (!node && yki_key_needed(key, variant, false)) return fail_missing(reader, key, full, variant);
        if (!node)
            YKI_TRY(read_standard(reader, key, full, layer));
        else if (key->kind == YKI_KEY_LAYERS)
            YKI_TRY(yki_reader_layers(reader, node, full, depth + 1, &layer->layers, &layer->nlayers));
        else
            YKI_TRY(yki_reader_value(reader, key, node, full, layer));
    }
    if (layer->kernel && !layer->stride) layer->stride = layer->kernel;
    return YOKE_OK;
}

yoke_status yki_reader_layers(const yki_reader *reader, const yki_yaml *node, const char *path, int depth,
                              yoke_layer **layers_out, int *nlayers_out)
{
    enum { DEEPEST = 8 };
    if (node->kind != YKI_YAML_SEQUENCE)
        return yki_reader_fail(
            reader, node, path, "must be a list of layers, like [{type: linear, out: 10}]%s",
            depth == 0 && node->kind == YKI_YAML_SCALAR ? ": a count of layers belongs to the other families"
                                                        : "");
    if (node->count == 0)
        return yki_reader_fail(reader, node, path, "is empty: at least one layer is needed");
    if (depth > DEEPEST)
        return yki_reader_fail(reader, node, path, "residuals are nested more than %d deep", DEEPEST);
    *layers_out = calloc((size_t)node->count, sizeof(yoke_layer));
    if (!*layers_out) return yki_fail_memory("layers");
    *nlayers_out = node->count;
    for (int i = 0; i < node->count; i++) {
        char item[128];
        snprintf(item, sizeof item, "%.110s.%d", path, i);
        YKI_TRY(read_layer(reader, node->items[i], item, depth, *layers_out + i));
    }
    return YOKE_OK;
}

void yki_layers_free(yoke_layer *layers, int nlayers)
{
    for (int i = 0; i < nlayers; i++) yki_layers_free(layers[i].layers, layers[i].nlayers);
    free(layers);
}
