/* One value: a node of YAML into a field of a job or a layer, by the kind of its key; and back to text. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/fail.h"
#include "base/kept.h"
#include "job/job.h"
#include "job/read.h"
#include "job/value.h"

enum { PATH_BYTES = 1024 };

/* What a kind's reader needs to say where it stands. */
typedef struct place {
    const yki_reader *reader;
    const yki_key *key;
    const yki_yaml *node;
    const char *path;
} place;

#define FAIL(at, ...) yki_reader_fail((at)->reader, (at)->node, (at)->path, __VA_ARGS__)

/* `node` is a single value; else says what was expected. */
static yoke_status need_scalar(const place *at, const yki_yaml *node, const char *expected)
{
    if (node->kind == YKI_YAML_SCALAR) return YOKE_OK;
    return FAIL(at, "must be %s, not a %s", expected, node->kind == YKI_YAML_SEQUENCE ? "list" : "mapping");
}

static yoke_status fail_number(const place *at, const yki_yaml *node, const char *expected,
                               yki_value_fault fault)
{
    char shown[96];
    yki_yaml_shown(shown, node->text);
    if (node->quoted) return FAIL(at, "must be %s, not the text \"%s\"", expected, shown);
    if (fault == YKI_VALUE_TOO_LARGE) return FAIL(at, "is out of range: %s", shown);
    return FAIL(at, "must be %s, not '%s'", expected, shown);
}

/* Says the range that `value` is out of, if it is. */
static yoke_status check_range(const place *at, double value, const char *text)
{
    const yki_key *key = at->key;
    bool low = key->above ? value > key->least : value >= key->least;
    bool high = key->most == 0 || (key->below ? value < key->most : value <= key->most);
    if (low && high) return YOKE_OK;
    char shown[96];
    yki_yaml_shown(shown, text);
    if (key->below)
        return FAIL(at, "must be at least %.16g and below %.16g, not %s", key->least, key->most, shown);
    if (!low)
        return FAIL(at, "must be %s %.16g, not %s", key->above ? "above" : "at least", key->least, shown);
    return FAIL(at, "must be at most %.16g, not %s", key->most, shown);
}

static yoke_status read_int(const place *at, void *field)
{
    const char *const expected =
        strcmp(at->key->path, "device") == 0
            ? "a whole number, 0 for the first of a replica's devices (layout.devices names them)"
            : "a whole number";
    YKI_TRY(need_scalar(at, at->node,
                        at->key->kind == YKI_KEY_INT && strcmp(at->key->path, "model.layers") == 0
                            ? "a count of layers (a list of layers belongs to family layers)"
                            : expected));
    int64_t value = 0;
    yki_value_fault fault = at->node->quoted ? YKI_VALUE_NOT_A_NUMBER : yki_value_int(at->node->text, &value);
    if (fault != YKI_VALUE_OK) return fail_number(at, at->node, expected, fault);
    YKI_TRY(check_range(at, (double)value, at->node->text));
    if (at->key->size == sizeof(int)) {
        int narrow = (int)value; /* every range of an int ends before it does */
        memcpy(field, &narrow, sizeof narrow);
    } else {
        memcpy(field, &value, sizeof value);
    }
    return YOKE_OK;
}

static yoke_status read_seed(const place *at, void *field)
{
    const char *const expected = "a whole number of at least 0";
    YKI_TRY(need_scalar(at, at->node, expected));
    uint64_t value = 0;
    yki_value_fault fault =
        at->node->quoted ? YKI_VALUE_NOT_A_NUMBER : yki_value_uint(at->node->text, &value);
    if (fault != YKI_VALUE_OK) return fail_number(at, at->node, expected, fault);
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_number(const place *at, const yki_yaml *node, double *value_out)
{
    const char *const expected = "a number";
    YKI_TRY(need_scalar(at, node, expected));
    yki_value_fault fault = node->quoted ? YKI_VALUE_NOT_A_NUMBER : yki_value_double(node->text, value_out);
    if (fault != YKI_VALUE_OK) return fail_number(at, node, expected, fault);
    return check_range(at, *value_out, node->text);
}

static yoke_status read_double(const place *at, void *field)
{
    double value;
    YKI_TRY(read_number(at, at->node, &value));
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_flag(const place *at, bool *value_out)
{
    YKI_TRY(need_scalar(at, at->node, "true or false"));
    const char *text = at->node->text;
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0;
    if (at->node->quoted || !(yes || no))
        return fail_number(at, at->node, "true or false", YKI_VALUE_NOT_A_NUMBER);
    *value_out = yes;
    return YOKE_OK;
}

static yoke_status read_bool(const place *at, void *field)
{
    return read_flag(at, field);
}

static yoke_status read_switch(const place *at, void *field)
{
    bool value;
    YKI_TRY(read_flag(at, &value));
    int wide = value;
    memcpy(field, &wide, sizeof wide);
    return YOKE_OK;
}

static void list_names(char *out, size_t size, const char *const *names)
{
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; names[i] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s",
                              i == 0         ? ""
                              : names[i + 1] ? ", "
                                             : " or ",
                              names[i]);
}

static int index_of(const char *const *names, const char *text)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0) return i;
    return -1;
}

/* Whether two names are one but for case and marks: "Qwen2.5" and "qwen25". */
static bool is_alike(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && strchr(" -_.", *a)) a++;
        while (*b && strchr(" -_.", *b)) b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

/* Of a key that has synonyms: which of its names a text means; -1: none. */
static int meant(const yki_key *key, const char *text)
{
    for (int i = 0; key->synonyms && key->names[i]; i++)
        if (is_alike(key->names[i], text)) return i;
    for (int i = 0; key->synonyms && key->synonyms[i]; i += 2)
        if (is_alike(key->synonyms[i], text)) return index_of(key->names, key->synonyms[i + 1]);
    return -1;
}

static yoke_status read_name(const place *at, void *field)
{
    char names[128], shown[96];
    list_names(names, sizeof names, at->key->names);
    YKI_TRY(need_scalar(at, at->node, names));
    int value = index_of(at->key->names, at->node->text);
    if (value < 0) value = meant(at->key, at->node->text);
    if (value < 0) return FAIL(at, "must be %s, not '%s'", names, yki_yaml_shown(shown, at->node->text));
    value += at->key->first;
    if (at->key->size == sizeof(bool))
        *(bool *)field = value;
    else
        memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

bool yki_path_resolve(char *out, size_t size, const char *folder, const char *path)
{
    size_t n = 0;
    const char *parts[2] = {path[0] == '/' ? "" : folder, path};
    for (int i = 0; i < 2; i++) {
        const char *p = parts[i];
        while (*p) {
            p += strspn(p, "/");
            size_t length = strcspn(p, "/");
            bool nothing = length == 0 || (length == 1 && p[0] == '.');
            if (!nothing) { /* ".." stays: what it means depends on links */
                if (n + length + 2 > size) return false;
                out[n++] = '/';
                memcpy(out + n, p, length);
                n += length;
            }
            p += length;
        }
    }
    if (n == 0) out[n++] = '/';
    out[n] = '\0';
    return true;
}

static yoke_status resolve(const place *at, char *field, size_t size)
{
    const yki_reader *r = at->reader;
    if (!yki_path_resolve(field, size, at->node->origin ? r->current : r->folder, at->node->text))
        return FAIL(at, "is a path of more than %zu bytes", size - 1);
    return YOKE_OK;
}

static yoke_status resolve_path(const place *at, char *field, size_t size)
{
    YKI_TRY(need_scalar(at, at->node, "a path"));
    const char *text = at->node->text;
    char shown[96];
    if (!*text) return FAIL(at, "must be a path, not an empty text");
    yki_yaml_shown(shown, text);
    if (text[0] == '~' && (text[1] == '/' || !text[1])) /* a folder of that name is ./~ */
        return FAIL(at, "is '%s': '~' means a home folder to the shell alone; write the path in full", shown);
    return resolve(at, field, size);
}

static yoke_status read_path(const place *at, void *field)
{
    return resolve_path(at, field, at->key->size);
}

static yoke_status read_paths(const place *at, void *field)
{
    yoke_texts *paths = field;
    const yki_yaml *node = at->node;
    bool list = node->kind == YKI_YAML_SEQUENCE;
    int count = list ? node->count : 1;
    char path[PATH_BYTES];
    if (node->kind == YKI_YAML_MAPPING || count == 0)
        return FAIL(at, "must be a path, or a list of paths like [a, b]");
    paths->list = calloc((size_t)count, sizeof *paths->list);
    if (!paths->list) return yki_fail_memory("a list of paths");
    paths->line = node->line;
    for (int i = 0; i < count; i++) {
        const place item = {at->reader, at->key, list ? node->items[i] : node, at->path};
        YKI_TRY(resolve_path(&item, path, sizeof path));
        paths->list[i] = strdup(path);
        if (!paths->list[i]) return yki_fail_memory("a list of paths");
        paths->count = i + 1;
    }
    return YOKE_OK;
}

static yoke_status read_bytes(const place *at, void *field)
{
    YKI_TRY(need_scalar(at, at->node, "a size in bytes"));
    int64_t value;
    yki_value_fault fault = yki_value_bytes(at->node->text, &value);
    char shown[96];
    yki_yaml_shown(shown, at->node->text);
    if (fault == YKI_VALUE_AMBIGUOUS)
        return FAIL(at, "is ambiguous: '%s'; write %sB (thousands) or %siB (1024s)", shown, shown, shown);
    if (fault == YKI_VALUE_TOO_LARGE) return FAIL(at, "is out of range: %s", shown);
    if (fault != YKI_VALUE_OK)
        return FAIL(at, "must be a size like 512MiB, 2GB or a number of bytes, not '%s'", shown);
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_schedule(const place *at, void *field)
{
    char names[128], shown[96];
    list_names(names, sizeof names, at->key->names);
    YKI_TRY(need_scalar(at, at->node, names));
    if (index_of(at->key->names, at->node->text) >= 0) {
        snprintf(field, at->key->size, "%s", at->node->text);
        return YOKE_OK;
    }
    if (*at->node->text) YKI_TRY(resolve(at, field, at->key->size));
    struct stat about;
    if (!*at->node->text || access(field, R_OK) != 0 || stat(field, &about) != 0 || S_ISDIR(about.st_mode))
        return FAIL(at, "unknown schedule '%s': neither %s, nor a file that can be read",
                    yki_yaml_shown(shown, at->node->text), names);
    return YOKE_OK;
}

/* Devices that a list names, while it is read. */
typedef struct named_devices {
    int *list, count, room;
    unsigned char *seen; /* by number: whether it is in the list */
    yoke_device_kind kind;
} named_devices;

/* "cpu:3": its kind and number; false: it is no device's name. */
static bool read_device(const char *name, yoke_device_kind *kind_out, int64_t *number_out)
{
    for (int kind = YOKE_CPU; kind <= YOKE_CUDA; kind++) {
        const char *prefix = yki_device_kind_name((yoke_device_kind)kind);
        size_t length = strlen(prefix);
        if (strncmp(name, prefix, length) != 0 || name[length] != ':') continue;
        *kind_out = (yoke_device_kind)kind;
        return name[length + 1] >= '0' && name[length + 1] <= '9' &&
               yki_value_int(name + length + 1, number_out) == YKI_VALUE_OK;
    }
    return false;
}

static yoke_status add_device(const place *at, const char *text, size_t length, named_devices *named)
{
    char name[64], shown[96];
    int64_t number = 0;
    yoke_device_kind kind;
    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), text);
    yki_yaml_shown(shown, name);
    if (!read_device(name, &kind, &number))
        return FAIL(at, "must be a number of devices or a list like [cpu:0, cpu:1], not '%s'", shown);
    if (!yki_backend_get(yki_device_kind_name(kind)))
        return FAIL(at, "names %s, but this build has no CUDA: devices are cpu:0, cpu:1, ...", shown);
    if (number >= YOKE_MAX_DEVICES)
        return FAIL(at, "is out of range: %s, the last one is %s:%d", shown, yki_device_kind_name(kind),
                    YOKE_MAX_DEVICES - 1);
    if (named->count > 0 && kind != named->kind)
        return FAIL(at, "names %s beside %s:%d: a layout's devices are all of one kind", shown,
                    yki_device_kind_name(named->kind), named->list[0]);
    if (named->seen[number] && kind == YOKE_CPU) return FAIL(at, "names %s twice", shown);
    if (named->count == named->room) {
        int room = 2 * named->room + 16, *list = realloc(named->list, sizeof *list * (size_t)room);
        if (!list) return yki_fail_memory("a list of devices");
        named->list = list;
        named->room = room;
    }
    named->seen[number] = 1;
    named->kind = kind;
    named->list[named->count++] = (int)number;
    return YOKE_OK;
}

static yoke_status add_devices(const place *at, named_devices *named)
{
    if (at->node->kind == YKI_YAML_SCALAR) { /* cpu:0,cpu:1 */
        for (const char *p = at->node->text;;) {
            size_t length = strcspn(p, ",");
            YKI_TRY(add_device(at, p, length, named));
            if (!p[length]) return YOKE_OK;
            p += length + 1;
            p += strspn(p, " ");
        }
    }
    if (at->node->count == 0) return FAIL(at, "must name at least one device");
    for (int i = 0; i < at->node->count; i++) {
        YKI_TRY(need_scalar(at, at->node->items[i], "a list like [cpu:0, cpu:1]"));
        YKI_TRY(add_device(at, at->node->items[i]->text, strlen(at->node->items[i]->text), named));
    }
    return YOKE_OK;
}

/* Devices in order, from 0, need no list; those of the CPU are the same as their number. */
static yoke_status set_devices(yoke_layout *layout, const named_devices *named)
{
    bool counted = true;
    for (int i = 0; i < named->count; i++) counted = counted && named->list[i] == i;
    const int *kept = counted ? NULL : yki_keep(named->list, sizeof(int) * (size_t)named->count);
    if (!counted && !kept) return yki_fail_memory("a list of devices");
    layout->ndevices = named->count;
    layout->devices = kept;
    layout->device_kind = named->kind;
    return YOKE_OK;
}

static yoke_status read_device_list(const place *at, yoke_layout *layout)
{
    named_devices named = {.seen = calloc(YOKE_MAX_DEVICES, 1)};
    yoke_status status = named.seen ? add_devices(at, &named) : yki_fail_memory("a list of devices");
    if (status == YOKE_OK) status = set_devices(layout, &named);
    free(named.list);
    free(named.seen);
    return status;
}

static yoke_status read_devices(const place *at, void *field)
{
    yoke_layout *layout = (yoke_layout *)((char *)field - offsetof(yoke_layout, ndevices));
    int64_t count;
    if (at->node->kind == YKI_YAML_MAPPING)
        return need_scalar(at, at->node, "a number of devices or a list like [cpu:0, cpu:1]");
    if (at->node->kind != YKI_YAML_SCALAR) return read_device_list(at, layout);
    yki_value_fault fault = yki_value_int(at->node->text, &count);
    if (fault == YKI_VALUE_NOT_A_NUMBER) return read_device_list(at, layout);
    if (fault != YKI_VALUE_OK || count < 1 || count > YOKE_MAX_DEVICES)
        return FAIL(at, "must be a whole number of devices from 1 to %d", YOKE_MAX_DEVICES);
    layout->ndevices = (int)count;
    layout->devices = NULL;
    layout->device_kind = YOKE_CPU;
    return YOKE_OK;
}

/* Entries of a list of kinds of recomputation, written [full, none] or full,none. */
static yoke_status read_kinds(const place *at, int count, yoke_recompute *kinds)
{
    const yki_yaml *node = at->node;
    const char *rest = node->kind == YKI_YAML_SCALAR ? node->text : "";
    char names[128], word[32], shown[96];
    list_names(names, sizeof names, at->key->names);
    for (int i = 0; i < count; i++) {
        size_t length = strcspn(rest, ","), end = length;
        while (end > 0 && rest[end - 1] == ' ') end--;
        snprintf(word, sizeof word, "%.*s", (int)(end < 31 ? end : 31), rest);
        rest += length + (rest[length] == ',');
        rest += strspn(rest, " ");
        if (node->kind == YKI_YAML_SEQUENCE) YKI_TRY(need_scalar(at, node->items[i], names));
        const char *text = node->kind == YKI_YAML_SEQUENCE ? node->items[i]->text : word;
        int value = index_of(at->key->names, text);
        if (value < 0)
            return FAIL(at, "must be %s for each stage, not '%s'", names, yki_yaml_shown(shown, text));
        kinds[i] = (yoke_recompute)value;
    }
    return YOKE_OK;
}

/* "full", or an entry for each stage. How many there must be, the plan knows. */
static yoke_status read_recompute(const place *at, void *field)
{
    yoke_layout *layout = (yoke_layout *)((char *)field - offsetof(yoke_layout, recompute));
    const yki_yaml *node = at->node;
    char names[128];
    layout->nrecompute = 0;
    layout->recompute_of = NULL;
    if (node->kind == YKI_YAML_SCALAR && !strchr(node->text, ',')) return read_name(at, field);
    layout->recompute = YOKE_RECOMPUTE_NONE;
    int count = node->kind == YKI_YAML_SEQUENCE ? node->count : 1;
    for (const char *p = node->kind == YKI_YAML_SCALAR ? node->text : ""; *p; p++) count += *p == ',';
    list_names(names, sizeof names, at->key->names);
    if (node->kind == YKI_YAML_MAPPING || count < 1)
        return FAIL(at, "must be %s, or a list of them like [full, none], one for each stage", names);
    if (count > YOKE_MAX_DEVICES)
        return FAIL(at, "has %d entries, one for each stage, and there are %d at most", count,
                    YOKE_MAX_DEVICES);
    yoke_recompute *kinds = calloc((size_t)count, sizeof *kinds);
    yoke_status status = kinds ? read_kinds(at, count, kinds) : yki_fail_memory("a list of stages");
    if (status == YOKE_OK) {
        layout->recompute_of = yki_keep(kinds, sizeof *kinds * (size_t)count);
        layout->nrecompute = count;
        if (!layout->recompute_of) status = yki_fail_memory("a list of stages");
    }
    free(kinds);
    return status;
}

static yoke_status read_shape(const place *at, void *field)
{
    yoke_model_spec *model = (yoke_model_spec *)((char *)field - offsetof(yoke_model_spec, input));
    const yki_yaml *node = at->node;
    if (node->kind != YKI_YAML_SEQUENCE || node->count < 1 || node->count > YOKE_MAX_DIMS)
        return FAIL(at, "must be the shape of one sample, a list of 1 to %d sizes like [3, 32, 32]",
                    YOKE_MAX_DIMS);
    double elements = 1;
    for (int i = 0; i < node->count; i++) {
        const yki_key size = {
            .kind = YKI_KEY_INT, .path = "", .size = sizeof(int64_t), .least = 1, .most = 2147483647};
        const place item = {at->reader, &size, node->items[i], at->path};
        YKI_TRY(read_int(&item, &model->input[i]));
        elements *= (double)model->input[i];
    }
    if (elements > 0x1p40) return FAIL(at, "is out of range: a sample of more than 2^40 elements");
    model->input_ndim = node->count;
    return YOKE_OK;
}

static yoke_status read_numbers(const place *at, void *field)
{
    double *numbers = field;
    int count = (int)(at->key->size / sizeof *numbers);
    if (at->node->kind != YKI_YAML_SEQUENCE || at->node->count != count)
        return FAIL(at, "must be a list of %s",
                    count == 2 ? "two numbers, like [0.9, 0.999]" : "three numbers");
    for (int i = 0; i < count; i++) YKI_TRY(read_number(at, at->node->items[i], &numbers[i]));
    return YOKE_OK;
}

static yoke_status read_columns(const place *at, void *field)
{
    yoke_data_spec *data = (yoke_data_spec *)((char *)field - offsetof(yoke_data_spec, target_columns));
    const yki_yaml *node = at->node;
    bool one = node->kind == YKI_YAML_SCALAR;
    int count = one ? 1 : node->count;
    enum { MOST_COLUMNS = 4096 }; /* each is compared to all others */
    if (node->kind == YKI_YAML_MAPPING || count == 0)
        return FAIL(at, "must be the name of a column, or a list of names like [a, b]");
    if (count > MOST_COLUMNS) return FAIL(at, "names more than %d columns", MOST_COLUMNS);
    data->target_columns = calloc((size_t)count, sizeof(char *));
    if (!data->target_columns) return yki_fail_memory("names of columns");
    for (int i = 0; i < count; i++) {
        const yki_yaml *item = one ? node : node->items[i];
        if (item->kind != YKI_YAML_SCALAR || !*item->text)
            return FAIL(at, "must be a list of names like [a, b]");
        char shown[96];
        for (int j = 0; j < i; j++)
            if (strcmp(data->target_columns[j], item->text) == 0)
                return FAIL(at, "names column '%s' twice", yki_yaml_shown(shown, item->text));
        data->target_columns[i] = strdup(item->text);
        if (!data->target_columns[i]) return yki_fail_memory("names of columns");
        data->ntarget_columns = i + 1;
    }
    return YOKE_OK;
}

static yoke_status read_texts(const place *at, void *field)
{
    yoke_texts *texts = field;
    const yki_yaml *node = at->node;
    bool one = node->kind == YKI_YAML_SCALAR;
    int count = one ? 1 : node->count;
    enum { MOST_TEXTS = 4096 };
    if (node->kind == YKI_YAML_MAPPING || count > MOST_TEXTS)
        return FAIL(at, "must be a text, or a list of %d texts at most, like [a, b]", MOST_TEXTS);
    texts->list = calloc((size_t)count + 1, sizeof(char *));
    if (!texts->list) return yki_fail_memory("a list of texts");
    texts->line = node->line;
    for (int i = 0; i < count; i++) {
        const yki_yaml *item = one ? node : node->items[i];
        if (item->kind != YKI_YAML_SCALAR || !*item->text)
            return FAIL(at, "must be a text, or a list of texts like [a, b]");
        texts->list[i] = strdup(item->text);
        if (!texts->list[i]) return yki_fail_memory("a list of texts");
        texts->count = i + 1;
    }
    return YOKE_OK;
}

/* One layout of a list, checked by itself; appended to the text. */
static yoke_status add_layout(const place *at, const char *text, size_t length, char *list)
{
    char piece[256];
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    while (length > 0 && strchr(" \t", *text)) text++, length--;
    while (length > 0 && strchr(" \t", text[length - 1])) length--;
    snprintf(piece, sizeof piece, "%.*s", (int)(length < 255 ? length : 255), text);
    if (!*piece || length > 255 || yoke_layout_parse(&layout, piece) != YOKE_OK) {
        char shown[96], why[256];
        snprintf(why, sizeof why, "%.250s",
                 *piece && length < 256 ? yoke_error_get()->message : "empty or too long");
        return FAIL(at, "has a layout '%s' that cannot be read: %s", yki_yaml_shown(shown, piece), why);
    }
    size_t used = strlen(list);
    if (used + length + 3 > at->key->size) return FAIL(at, "is too long");
    snprintf(list + used, at->key->size - used, "%s%s", used ? "; " : "", piece);
    return YOKE_OK;
}

static yoke_status read_layouts(const place *at, void *field)
{
    char *list = field;
    const yki_yaml *node = at->node;
    *list = '\0';
    if (node->kind == YKI_YAML_MAPPING)
        return FAIL(at, "must be layouts like 'dp=2,zero=1; dp=1', or a list of them");
    for (int i = 0; node->kind == YKI_YAML_SEQUENCE && i < node->count; i++) {
        YKI_TRY(need_scalar(at, node->items[i], "a list of layouts like dp=2"));
        YKI_TRY(add_layout(at, node->items[i]->text, strlen(node->items[i]->text), list));
    }
    for (const char *text = node->kind == YKI_YAML_SCALAR ? node->text : NULL; text && *text;) {
        size_t length = strcspn(text, ";");
        YKI_TRY(add_layout(at, text, length, list));
        text += length + (text[length] == ';');
    }
    return YOKE_OK;
}

static yoke_status read_layers(const place *at, void *field)
{
    yoke_model_spec *model = (yoke_model_spec *)((char *)field - offsetof(yoke_model_spec, layers));
    return yki_reader_layers(at->reader, at->node, at->path, 0, &model->layers, &model->nlayers);
}

yoke_status yki_reader_value(const yki_reader *reader, const yki_key *key, const yki_yaml *node,
                             const char *path, void *base)
{
    static yoke_status (*const readers[])(const place *, void *) = {
        [YKI_KEY_INT] = read_int,         [YKI_KEY_SEED] = read_seed,     [YKI_KEY_DOUBLE] = read_double,
        [YKI_KEY_BOOL] = read_bool,       [YKI_KEY_SWITCH] = read_switch, [YKI_KEY_NAME] = read_name,
        [YKI_KEY_PATH] = read_path,       [YKI_KEY_BYTES] = read_bytes,   [YKI_KEY_SCHEDULE] = read_schedule,
        [YKI_KEY_DEVICES] = read_devices, [YKI_KEY_SHAPE] = read_shape,   [YKI_KEY_NUMBERS] = read_numbers,
        [YKI_KEY_COLUMNS] = read_columns, [YKI_KEY_LAYERS] = read_layers, [YKI_KEY_STAGES] = read_recompute,
        [YKI_KEY_LAYOUTS] = read_layouts, [YKI_KEY_TEXTS] = read_texts,   [YKI_KEY_PATHS] = read_paths,
    };
    const place at = {reader, key, node, path};
    if (yki_yaml_is_null(node)) return FAIL(&at, "has no value");
    return readers[key->kind](&at, (char *)base + key->offset);
}
