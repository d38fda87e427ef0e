/* What --machine names: a preset, what `bench` measured here, or a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/text.h"
#include "job/value.h"
#include "predict/machine/machine.h"
#include "predict/measured.h"

static const struct {
    const char *name, *text;
} presets[] = {
#include "presets.inc"
};
enum { NPRESETS = sizeof presets / sizeof *presets };

const char *yoke_machine_preset(int i)
{
    return i >= 0 && i < NPRESETS ? presets[i].name : NULL;
}

const char *yki_machine_preset_text(int i)
{
    return presets[i].text;
}

/* "8x1280", both at least 1. */
static bool read_shape(const char *text, int64_t *per_node_out, int64_t *nodes_out)
{
    char first[24];
    const char *x = strchr(text, 'x');
    if (!x || x - text >= (int)sizeof first) return false;
    memcpy(first, text, (size_t)(x - text));
    first[x - text] = '\0';
    return yki_value_int(first, per_node_out) == YKI_VALUE_OK && *per_node_out > 0 &&
           yki_value_int(x + 1, nodes_out) == YKI_VALUE_OK && *nodes_out > 0;
}

/* Makes one node of a preset into `nodes` of `per_node` devices. Adapters stay in proportion to devices; a
 * single node has no level of nodes. */
static yoke_status shape(yoke_machine *machine, const char *text, int64_t per_node, int64_t nodes)
{
    yoke_machine_level *inside = &machine->levels[0], *between = &machine->levels[1];
    if (per_node > YOKE_MACHINE_DEVICES || nodes > YOKE_MACHINE_DEVICES / per_node)
        return yki_fail(YOKE_INVALID, "machine '%s' has more than %d devices", text, YOKE_MACHINE_DEVICES);
    between->adapters = (between->adapters * per_node + inside->count - 1) / inside->count;
    inside->count = per_node;
    between->count = nodes;
    machine->ndevices = per_node * nodes;
    if (nodes == 1) {
        *between = (yoke_machine_level){0};
        machine->nlevels = 1;
    }
    return YOKE_OK;
}

static yoke_status make_preset(int i, const char *text, yoke_machine **machine_out)
{
    const char *given = text + strlen(presets[i].name);
    yki_yaml *root = NULL;
    yoke_machine *made = NULL;
    char name[64];
    snprintf(name, sizeof name, "preset %s", presets[i].name);
    yoke_status status = yki_yaml_parse(presets[i].text, strlen(presets[i].text), name, &root);
    if (status == YOKE_OK) status = yki_machine_read(root, name, &made);
    yki_yaml_destroy(root);
    int64_t per_node = made ? made->levels[0].count : 0, nodes = 1;
    if (status == YOKE_OK && *given && !read_shape(given + 1, &per_node, &nodes))
        status =
            yki_fail(YOKE_INVALID, "machine '%s': after the name there must be PERNODExNODES, like %s:8x16",
                     text, presets[i].name);
    if (status == YOKE_OK) status = shape(made, text, per_node, nodes);
    if (status != YOKE_OK) {
        yoke_machine_destroy(made);
        return status;
    }
    snprintf(made->name, sizeof made->name, "%s", text);
    *machine_out = made;
    return YOKE_OK;
}

/* Where `yoke bench` writes (XDG Base Directory Specification 0.8: an XDG_DATA_HOME that is not absolute
 * counts as none). */
yoke_status yki_machine_here(char path[1200])
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/') return yki_path_join(path, 1200, data, "yoke/machine.yaml");
    if (home && *home) return yki_path_join(path, 1200, home, ".local/share/yoke/machine.yaml");
    return yki_fail(YOKE_INVALID,
                    "machine 'here' cannot be looked for: neither XDG_DATA_HOME nor HOME is set");
}

static yoke_status load_here(yoke_machine **machine_out)
{
    char path[1200];
    YKI_TRY(yki_machine_here(path));
    if (!yki_path_exists(path))
        return yki_fail_at(
            YOKE_INVALID, path, 0, "",
            "there is no such file: this machine has not been measured; `yoke bench` does, and writes it");
    return yoke_machine_load(path, machine_out);
}

static yoke_status fail_unknown(const char *text, size_t length)
{
    const char *names[NPRESETS];
    char word[64], list[256] = "";
    snprintf(word, sizeof word, "%.*s", (int)(length < 63 ? length : 63), text);
    for (int i = 0; i < NPRESETS; i++) {
        names[i] = presets[i].name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = yki_nearest(word, names, NPRESETS);
    char shown[96], guess[96] = "";
    if (near) snprintf(guess, sizeof guess, " did you mean '%s'?", near);
    return yki_fail(YOKE_INVALID, "there is no machine '%s': it is no file, and no preset;%s presets are %s",
                    yki_yaml_shown(shown, text), guess, list);
}

yoke_status yoke_machine_find(const char *text, yoke_machine **machine_out)
{
    YKI_NEED(text, machine_out);
    size_t length = strcspn(text, ":");
    if (strcmp(text, "here") == 0) return load_here(machine_out);
    for (int i = 0; i < NPRESETS; i++)
        if (strlen(presets[i].name) == length && strncmp(presets[i].name, text, length) == 0)
            return make_preset(i, text, machine_out);
    if (!yki_path_exists(text)) return fail_unknown(text, length);
    return yoke_machine_load(text, machine_out);
}
