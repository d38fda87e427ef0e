/* From a tree of YAML to a machine, by the tables of keys. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "predict/machine/keys.h"
#include "predict/machine/machine.h"
#include "predict/machine/place.h"

yoke_status yki_place_fail(const yki_place *at, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yki_fail_at(YOKE_INVALID, at->file, *at->file ? at->node->line : 0, at->path, "%s", message);
}

yki_place yki_place_inner(const yki_place *at, const char *key, char *path)
{
    snprintf(path, YKI_PLACE_PATH, "%.40s%s%.70s", at->path, *at->path ? "." : "", key);
    return (yki_place){at->file, yki_yaml_get(at->node, key), path};
}

yki_place yki_place_item(const yki_place *at, int i, char *path)
{
    snprintf(path, YKI_PLACE_PATH, "%.40s.%d", at->path, i);
    return (yki_place){at->file, at->node->items[i], path};
}

/* ---- one value ---- */

static const char *kind_of(const yki_yaml *node)
{
    return node->kind == YKI_YAML_SEQUENCE  ? "a list"
           : node->kind == YKI_YAML_MAPPING ? "a mapping"
                                            : "a single value";
}

yoke_status yki_place_fail_value(const yki_place *at, const char *expected)
{
    char shown[96];
    if (at->node->kind != YKI_YAML_SCALAR)
        return yki_place_fail(at, "must be %s, not %s", expected, kind_of(at->node));
    return yki_place_fail(at, "must be %s, not '%s'", expected, yki_yaml_shown(shown, at->node->text));
}

static yoke_status check_range(const yki_place *at, const yki_machine_key *key, double value)
{
    bool low = key->above ? value > key->least : value >= key->least;
    bool high = key->most == 0 || (key->below ? value < key->most : value <= key->most);
    char shown[96];
    if (low && high) return YOKE_OK;
    yki_yaml_shown(shown, at->node->text);
    if (!low)
        return yki_place_fail(at, "must be %s %.16g, not %s", key->above ? "above" : "at least", key->least,
                              shown);
    return yki_place_fail(at, "must be %s %.16g, not %s", key->below ? "below" : "at most", key->most, shown);
}

static bool has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 32 || *p == 127 || (*p == 0xc2 && p[1] < 0xa0)) return true;
    return false;
}

static yoke_status read_text(const yki_place *at, const yki_machine_key *key, void *field)
{
    if (at->node->kind != YKI_YAML_SCALAR) return yki_place_fail_value(at, "a text");
    const char *text = at->node->text;
    if (!*text) return yki_place_fail(at, "must be a text, not an empty one");
    if (has_control(text)) return yki_place_fail(at, "must be plain text, without control characters");
    if (strlen(text) >= key->size)
        return yki_place_fail(at, "is a text of more than %zu bytes", key->size - 1);
    memcpy(field, text, strlen(text) + 1);
    return YOKE_OK;
}

static yoke_status read_date(const yki_place *at, const yki_machine_key *key, void *field)
{
    static const char form[] = "0000-00-00";
    const char *text = at->node->kind == YKI_YAML_SCALAR ? at->node->text : "";
    bool fits = strlen(text) == strlen(form);
    for (int i = 0; fits && form[i]; i++)
        fits = form[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == form[i];
    int month = fits ? atoi(text + 5) : 0, day = fits ? atoi(text + 8) : 0;
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return yki_place_fail_value(at, "a date like 2026-01-31");
    return read_text(at, key, field);
}

static yoke_status read_count(const yki_place *at, const yki_machine_key *key, void *field)
{
    int64_t value = 0;
    yki_value_fault fault = YKI_VALUE_NOT_A_NUMBER;
    if (at->node->kind == YKI_YAML_SCALAR && !at->node->quoted) fault = yki_value_int(at->node->text, &value);
    if (fault == YKI_VALUE_TOO_LARGE) return yki_place_fail(at, "is out of range: %s", at->node->text);
    if (fault != YKI_VALUE_OK) return yki_place_fail_value(at, "a whole number");
    YKI_TRY(check_range(at, key, (double)value));
    int narrow = (int)value; /* every range of an int ends before it does */
    if (key->size == sizeof narrow)
        memcpy(field, &narrow, sizeof narrow);
    else
        memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_number(const yki_place *at, const yki_machine_key *key, void *field)
{
    double value = 0;
    yki_value_fault fault = YKI_VALUE_NOT_A_NUMBER;
    if (at->node->kind == YKI_YAML_SCALAR && !at->node->quoted)
        fault = yki_value_double(at->node->text, &value);
    if (fault == YKI_VALUE_TOO_LARGE) return yki_place_fail(at, "is out of range: %s", at->node->text);
    if (fault != YKI_VALUE_OK) return yki_place_fail_value(at, "a number");
    YKI_TRY(check_range(at, key, value));
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

/* A number with its unit. */
static yoke_status read_quantity(const yki_place *at, const yki_machine_key *key, void *field)
{
    const char *such = yki_machine_such(key->kind);
    if (at->node->kind != YKI_YAML_SCALAR) return yki_place_fail_value(at, such);
    double value = 0;
    yki_value_fault fault = yki_value_quantity(at->node->text, yki_machine_units(key->kind), &value);
    if (fault == YKI_VALUE_NOT_A_NUMBER && key->kind == YKI_MACHINE_BANDWIDTH)
        fault = yki_value_quantity(at->node->text, yki_machine_bits, &value);
    char shown[96];
    yki_yaml_shown(shown, at->node->text);
    if (fault == YKI_VALUE_TOO_LARGE) return yki_place_fail(at, "is out of range: %s", shown);
    if (fault == YKI_VALUE_NO_UNIT) return yki_place_fail(at, "must be %s: %s has no unit", such, shown);
    if (fault != YKI_VALUE_OK) return yki_place_fail_value(at, such);
    YKI_TRY(check_range(at, key, value));
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_bytes(const yki_place *at, const yki_machine_key *key, void *field)
{
    const char *such = yki_machine_such(key->kind);
    if (at->node->kind != YKI_YAML_SCALAR) return yki_place_fail_value(at, such);
    int64_t value = 0;
    yki_value_fault fault = yki_value_bytes(at->node->text, &value);
    char shown[96];
    yki_yaml_shown(shown, at->node->text);
    if (fault == YKI_VALUE_AMBIGUOUS)
        return yki_place_fail(at, "is ambiguous: '%s'; write %sB (thousands) or %siB (1024s)", shown, shown,
                              shown);
    if (fault == YKI_VALUE_TOO_LARGE) return yki_place_fail(at, "is out of range: %s", shown);
    if (fault != YKI_VALUE_OK) return yki_place_fail_value(at, such);
    YKI_TRY(check_range(at, key, (double)value));
    memcpy(field, &value, sizeof value);
    return YOKE_OK;
}

static yoke_status read_value(const yki_place *at, const yki_machine_key *key, void *base)
{
    static yoke_status (*const readers[])(const yki_place *, const yki_machine_key *, void *) = {
        [YKI_MACHINE_TEXT] = read_text,        [YKI_MACHINE_DATE] = read_date,
        [YKI_MACHINE_COUNT] = read_count,      [YKI_MACHINE_NUMBER] = read_number,
        [YKI_MACHINE_BYTES] = read_bytes,      [YKI_MACHINE_RATE] = read_quantity,
        [YKI_MACHINE_SECONDS] = read_quantity, [YKI_MACHINE_BANDWIDTH] = read_quantity,
    };
    return readers[key->kind](at, key, (char *)base + key->offset);
}

/* ---- one mapping ---- */

static const yki_machine_key *key_of(const yki_machine_section *section, const char *name)
{
    for (const yki_machine_key *key = section->keys; key->name; key++)
        if (strcmp(key->name, name) == 0) return key;
    return NULL;
}

static yoke_status fail_unknown(const yki_place *at, const yki_machine_section *section, const yki_yaml *node)
{
    static const yki_machine_section *const all[] = {&yki_machine_root,       &yki_machine_device_keys,
                                                     &yki_machine_level_keys, &yki_machine_kernel_keys,
                                                     &yki_machine_move_keys,  &yki_machine_measured_keys};
    const char *names[16];
    char path[YKI_PLACE_PATH], shown[96];
    int count = 0;
    for (const yki_machine_key *key = section->keys; key->name; key++) names[count++] = key->name;
    const char *near = yki_nearest(node->key, names, count);
    yki_yaml_shown(shown, node->key);
    yki_place here = yki_place_inner(at, shown, path);
    here.node = node;
    if (near)
        return yki_place_fail(&here, "unknown key '%s' in %s; did you mean '%s'?", shown, section->what,
                              near);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (key_of(all[i], node->key))
            return yki_place_fail(&here, "unknown key '%s' in %s; it is a key of %s", shown, section->what,
                                  all[i]->what);
    return yki_place_fail(&here, "unknown key '%s' in %s", shown, section->what);
}

static void set_standard(const yki_machine_key *key, void *base)
{
    if (key->standard != 0) memcpy((char *)base + key->offset, &key->standard, sizeof key->standard);
}

/* Reads the keys of a mapping into `base`, but for those with others inside, of which only says what is
 * missing. */
yoke_status yki_place_read(const yki_place *at, const yki_machine_section *section, void *base)
{
    const yki_yaml *node = at->node;
    char path[YKI_PLACE_PATH];
    if (node->kind != YKI_YAML_MAPPING) return yki_place_fail_value(at, section->such);
    for (int i = 0; i < node->count; i++)
        if (!key_of(section, node->items[i]->key)) return fail_unknown(at, section, node->items[i]);
    for (const yki_machine_key *key = section->keys; key->name; key++) {
        yki_place value = yki_place_inner(at, key->name, path);
        if (value.node && yki_yaml_is_null(value.node)) return yki_place_fail(&value, "has no value");
        if (value.node && key->kind != YKI_MACHINE_INNER) YKI_TRY(read_value(&value, key, base));
        if (!value.node) set_standard(key, base);
    }
    for (const yki_machine_key *key = section->keys; key->name; key++) {
        yki_place value = yki_place_inner(at, key->name, path);
        value.node = value.node ? value.node : node;
        if (key->needed && value.node == node) return yki_place_fail(&value, "'%s' is missing", key->name);
    }
    return YOKE_OK;
}

yoke_status yki_place_need_list(const yki_place *at, const char *what, int most)
{
    if (at->node->kind != YKI_YAML_SEQUENCE) return yki_place_fail_value(at, what);
    if (at->node->count > most) return yki_place_fail(at, "has more than %d entries", most);
    return YOKE_OK;
}

/* ---- the device ---- */

static yoke_status read_rates(const yki_place *at, yoke_machine_device *device)
{
    if (at->node->kind == YKI_YAML_MAPPING && at->node->count == 0)
        return yki_place_fail(at, "must have a rate of at least one precision");
    return yki_place_read(at, &yki_machine_rate_keys, device->rates);
}

static yoke_status read_efficiency(const yki_place *at, yoke_machine_device *device)
{
    char path[YKI_PLACE_PATH], key[YKI_PLACE_PATH];
    YKI_TRY(yki_place_need_list(at, "a list of points like {work: 1e9, share: 0.35}", YOKE_MACHINE_POINTS));
    for (int i = 0; i < at->node->count; i++) {
        yki_place here = yki_place_item(at, i, path);
        yoke_machine_point point = {0};
        YKI_TRY(yki_place_read(&here, &yki_machine_point_keys, &point));
        int k = device->npoints;
        for (; k > 0 && device->points[k - 1].work >= point.work; k--) {
            yki_place work = yki_place_inner(&here, "work", key);
            if (device->points[k - 1].work == point.work)
                return yki_place_fail(&work, "%s is given twice", work.node->text);
            device->points[k] = device->points[k - 1];
        }
        device->points[k] = point;
        device->npoints++;
    }
    return YOKE_OK;
}

/* {2: 0.65, 4: 0.3} */
static yoke_status read_shared(const yki_place *at, yoke_machine_device *device)
{
    static const yki_machine_key rate = {.above = true, .most = 1};
    if (at->node->kind != YKI_YAML_MAPPING)
        return yki_place_fail_value(at, "rates by how many devices work, like {2: 0.65}");
    if (at->node->count > YOKE_MACHINE_POINTS)
        return yki_place_fail(at, "has more than %d entries", YOKE_MACHINE_POINTS);
    if (!device->cores) return yki_place_fail(at, "needs cores: how many the devices share");
    for (int i = 0; i < at->node->count; i++) {
        char path[YKI_PLACE_PATH], shown[96];
        int64_t devices = 0;
        yki_place here = {at->file, at->node->items[i], path};
        snprintf(path, YKI_PLACE_PATH, "%.40s.%.70s", at->path, yki_yaml_shown(shown, here.node->key));
        if (yki_value_int(here.node->key, &devices) != YKI_VALUE_OK || devices < 2 || devices > 65536)
            return yki_place_fail(
                &here, "must be a number of devices that work at a time, from 2 to 65536, not '%s'", shown);
        yoke_machine_shared shared = {.devices = devices};
        YKI_TRY(read_number(&here, &rate, &shared.rate));
        int k = device->nshared;
        for (; k > 0 && device->shared[k - 1].devices >= devices; k--) {
            if (device->shared[k - 1].devices == devices)
                return yki_place_fail(&here, "%s is given twice", shown);
            device->shared[k] = device->shared[k - 1];
        }
        device->shared[k] = shared;
        device->nshared++;
    }
    return YOKE_OK;
}

static yoke_status read_device(const yki_place *at, yoke_machine_device *device)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_read(at, &yki_machine_device_keys, device));
    yki_place here = yki_place_inner(at, "reserve", path);
    if (device->reserve_bytes >= device->memory_bytes)
        return yki_place_fail(&here, "leaves nothing of the memory");
    here = yki_place_inner(at, "rates", path);
    YKI_TRY(read_rates(&here, device));
    here = yki_place_inner(at, "shared_rate", path);
    if (here.node) YKI_TRY(read_shared(&here, device));
    here = yki_place_inner(at, "efficiency", path);
    return here.node ? read_efficiency(&here, device) : YOKE_OK;
}

/* ---- levels and exceptions ---- */

int yki_level_named(const yoke_machine *machine, const char *name)
{
    for (int i = 0; i < machine->nlevels; i++)
        if (strcmp(machine->levels[i].name, name) == 0) return i;
    return -1;
}

static yoke_status read_levels(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH], key[YKI_PLACE_PATH];
    YKI_TRY(yki_place_need_list(at, "a list of levels, innermost first", YOKE_MACHINE_LEVELS));
    for (int i = 0; i < at->node->count; i++) {
        yki_place here = yki_place_item(at, i, path);
        yoke_machine_level level = {0};
        YKI_TRY(yki_place_read(&here, &yki_machine_level_keys, &level));
        yki_place name = yki_place_inner(&here, "name", key);
        if (yki_level_named(machine, level.name) >= 0)
            return yki_place_fail(&name, "another level has the name '%s'", level.name);
        machine->ndevices *= level.count; /* below 2^48 */
        yki_place count = yki_place_inner(&here, "count", key);
        if (machine->ndevices > YOKE_MACHINE_DEVICES)
            return yki_place_fail(&count, "makes %lld devices, more than %d", (long long)machine->ndevices,
                                  YOKE_MACHINE_DEVICES);
        machine->levels[machine->nlevels++] = level;
    }
    return YOKE_OK;
}

static yoke_status read_straggler(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    yoke_machine_straggler made = {0};
    YKI_TRY(yki_place_read(at, &yki_machine_straggler_keys, &made));
    yki_place device = yki_place_inner(at, "device", path);
    if (made.device >= machine->ndevices)
        return yki_place_fail(&device, "there is no device %lld: the last one is %lld",
                              (long long)made.device, (long long)machine->ndevices - 1);
    int k = machine->nstragglers;
    for (; k > 0 && machine->stragglers[k - 1].device >= made.device; k--) {
        if (machine->stragglers[k - 1].device == made.device)
            return yki_place_fail(&device, "device %lld has another exception", (long long)made.device);
        machine->stragglers[k] = machine->stragglers[k - 1];
    }
    machine->stragglers[k] = made;
    machine->nstragglers++;
    return YOKE_OK;
}

yoke_status yki_place_fail_level(const yki_place *at, const yoke_machine *machine)
{
    const char *names[YOKE_MACHINE_LEVELS];
    char expected[YOKE_MACHINE_LEVELS * sizeof machine->levels->name + 32] = "the name of a level: ";
    for (int i = 0; i < machine->nlevels; i++) {
        names[i] = machine->levels[i].name;
        if (i) strcat(expected, " or ");
        strcat(expected, names[i]);
    }
    if (machine->nlevels == 0) return yki_place_fail(at, "there are no levels");
    return yki_place_fail_value(at, expected);
}

/* A member of a level is a device, or a group of the level below. */
static int64_t members(const yoke_machine *machine, int level)
{
    int64_t count = machine->ndevices;
    for (int i = 0; i < level; i++) count /= machine->levels[i].count;
    return count;
}

static yoke_status read_link(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    yoke_machine_link made = {0};
    YKI_TRY(yki_place_read(at, &yki_machine_link_keys, &made));
    yki_place level = yki_place_inner(at, "level", path);
    made.level = level.node->kind == YKI_YAML_SCALAR ? yki_level_named(machine, level.node->text) : -1;
    if (made.level < 0) return yki_place_fail_level(&level, machine);
    yki_place group = yki_place_inner(at, "group", path);
    int64_t count = members(machine, made.level);
    if (made.group >= count)
        return yki_place_fail(&group, "there is no group %lld at level %s: the last one is %lld",
                              (long long)made.group, machine->levels[made.level].name, (long long)count - 1);
    int k = machine->nlinks;
    for (; k > 0; k--) {
        const yoke_machine_link *other = &machine->links[k - 1];
        if (other->level < made.level || (other->level == made.level && other->group < made.group)) break;
        if (other->level == made.level && other->group == made.group)
            return yki_place_fail(&group, "group %lld of level %s has another exception",
                                  (long long)made.group, machine->levels[made.level].name);
        machine->links[k] = *other;
    }
    machine->links[k] = made;
    machine->nlinks++;
    return YOKE_OK;
}

static yoke_status read_exceptions(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_need_list(at, "a list of exceptions like {device: 7, slower: 1.3}",
                                YOKE_MACHINE_EXCEPTIONS));
    if (at->node->count == 0) return YOKE_OK;
    machine->stragglers = calloc((size_t)at->node->count, sizeof *machine->stragglers);
    machine->links = calloc((size_t)at->node->count, sizeof *machine->links);
    if (!machine->stragglers || !machine->links) return yki_fail_memory("a machine");
    for (int i = 0; i < at->node->count; i++) {
        yki_place here = yki_place_item(at, i, path);
        bool device = yki_yaml_get(here.node, "device"), level = yki_yaml_get(here.node, "level");
        if (device == level)
            return yki_place_fail(
                &here, "must say either of a device how much slower it is, {device: 7, slower: 1.3}, "
                       "or of a level's group its bandwidth, "
                       "{level: infiniband, group: 3, bandwidth: 12 GB/s}");
        YKI_TRY(device ? read_straggler(&here, machine) : read_link(&here, machine));
    }
    return YOKE_OK;
}

static yoke_status read_machine(const yki_place *at, yoke_machine *machine)
{
    char path[YKI_PLACE_PATH];
    YKI_TRY(yki_place_read(at, &yki_machine_root, machine));
    yki_place here = yki_place_inner(at, "device", path);
    YKI_TRY(read_device(&here, &machine->device));
    here = yki_place_inner(at, "levels", path);
    if (here.node) YKI_TRY(read_levels(&here, machine));
    here = yki_place_inner(at, "exceptions", path);
    if (here.node) YKI_TRY(read_exceptions(&here, machine));
    YKI_TRY(yki_machine_read_tables(at, machine));
    here = yki_place_inner(at, "measured", path);
    return here.node ? yki_place_read(&here, &yki_machine_measured_keys, machine) : YOKE_OK;
}

yoke_status yki_machine_read(const yki_yaml *root, const char *file, yoke_machine **machine_out)
{
    const yki_place at = {file, root, ""};
    yoke_machine *made = calloc(1, sizeof *made);
    if (!made) return yki_fail_memory("a machine");
    made->ndevices = 1;
    yoke_status status = read_machine(&at, made);
    if (status != YOKE_OK) {
        yoke_machine_destroy(made);
        return status;
    }
    *machine_out = made;
    return YOKE_OK;
}
