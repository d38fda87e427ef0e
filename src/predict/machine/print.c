/* A machine as YAML, by the tables of keys: what reads back as the same machine. */
#include <string.h>

#include "base/text.h"
#include "predict/machine/keys.h"

static int64_t whole_of(const yki_machine_key *key, const char *field)
{
    int narrow;
    int64_t wide;
    if (key->size == sizeof narrow) {
        memcpy(&narrow, field, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, field, sizeof wide);
    return wide;
}

static double real_of(const char *field)
{
    double value;
    memcpy(&value, field, sizeof value);
    return value;
}

static bool is_standard(const yki_machine_key *key, const char *field)
{
    switch (key->kind) {
    case YKI_MACHINE_INNER:
        return true; /* printed by who knows what is inside */
    case YKI_MACHINE_TEXT:
    case YKI_MACHINE_DATE:
        return !*field;
    case YKI_MACHINE_COUNT:
    case YKI_MACHINE_BYTES:
        return !key->needed && whole_of(key, field) == 0;
    default:
        return !key->needed && real_of(field) == key->standard;
    }
}

static void print_value(yki_text *text, const yki_machine_key *key, const char *field)
{
    switch (key->kind) {
    case YKI_MACHINE_TEXT:
    case YKI_MACHINE_DATE:
        yki_value_print_text(text, field);
        return;
    case YKI_MACHINE_COUNT:
        yki_text_append(text, "%lld", (long long)whole_of(key, field));
        return;
    case YKI_MACHINE_NUMBER:
        yki_value_print_double(text, real_of(field));
        return;
    case YKI_MACHINE_BYTES:
        yki_value_print_quantity(text, yki_machine_units(key->kind), (double)whole_of(key, field));
        return;
    default:
        yki_value_print_quantity(text, yki_machine_units(key->kind), real_of(field));
    }
}

void yki_machine_print_section(yki_text *text, const yki_machine_section *section, const void *base,
                               const char *before, const char *between)
{
    const char *lead = before;
    for (const yki_machine_key *key = section->keys; key->name; key++) {
        const char *field = (const char *)base + key->offset;
        if (is_standard(key, field)) continue;
        yki_text_append(text, "%s%s: ", lead, key->name);
        print_value(text, key, field);
        lead = between;
    }
}

/* "{a: 1, b: 2}" */
static void print_flow(yki_text *text, const yki_machine_section *section, const void *base)
{
    yki_machine_print_section(text, section, base, "{", ", ");
    yki_text_append(text, "}");
}

static void print_device(yki_text *text, const yoke_machine_device *device)
{
    yki_text_append(text, "device:");
    yki_machine_print_section(text, &yki_machine_device_keys, device, "\n  ", "\n  ");
    yki_text_append(text, "\n  rates: ");
    print_flow(text, &yki_machine_rate_keys, device->rates);
    for (int i = 0; i < device->nshared; i++) {
        yki_text_append(text, "%s%lld: ", i ? ", " : "\n  shared_rate: {",
                        (long long)device->shared[i].devices);
        yki_value_print_double(text, device->shared[i].rate);
    }
    yki_text_append(text, device->nshared ? "}" : "");
    for (int i = 0; i < device->npoints; i++) {
        yki_text_append(text, "%s\n    - ", i ? "" : "\n  efficiency:");
        print_flow(text, &yki_machine_point_keys, &device->points[i]);
    }
    yki_text_append(text, "\n");
}

static void print_exceptions(yki_text *text, const yoke_machine *machine)
{
    if (machine->nstragglers + machine->nlinks > 0) yki_text_append(text, "exceptions:\n");
    for (int i = 0; i < machine->nstragglers; i++) {
        yki_text_append(text, "  - ");
        print_flow(text, &yki_machine_straggler_keys, &machine->stragglers[i]);
        yki_text_append(text, "\n");
    }
    for (int i = 0; i < machine->nlinks; i++) {
        yki_text_append(text, "  - {level: ");
        yki_value_print_text(text, machine->levels[machine->links[i].level].name);
        yki_machine_print_section(text, &yki_machine_link_keys, &machine->links[i], ", ", ", ");
        yki_text_append(text, "}\n");
    }
}

char *yoke_machine_print(const yoke_machine *machine)
{
    if (!machine) return NULL;
    yki_text text = {0};
    yki_text_append(&text, "name: ");
    yki_value_print_text(&text, machine->name);
    yki_text_append(&text, "\n");
    print_device(&text, &machine->device);
    for (int i = 0; i < machine->nlevels; i++) {
        yki_text_append(&text, "%s  - ", i ? "" : "levels:\n");
        print_flow(&text, &yki_machine_level_keys, &machine->levels[i]);
        yki_text_append(&text, "\n");
    }
    if (machine->contention != 0) {
        yki_text_append(&text, "contention: ");
        yki_value_print_double(&text, machine->contention);
        yki_text_append(&text, "\n");
    }
    print_exceptions(&text, machine);
    yki_machine_print_tables(&text, machine);
    if (machine->measured_on[0]) {
        yki_text_append(&text, "measured: ");
        print_flow(&text, &yki_machine_measured_keys, machine);
        yki_text_append(&text, "\n");
    }
    return yki_text_take(&text);
}
