/* Described machines: what one is made of, a table of its levels, and what departs from the rule. */
#include "machine.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "text.h"

enum { SHOWN_EXCEPTIONS = 8 };

/* A line of text that grows; what is too long is left out. */
typedef struct words {
    char text[4096];
} words;

static void say(words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(words *w, const char *format, ...)
{
    size_t used = strlen(w->text);
    va_list rest;
    va_start(rest, format);
    vsnprintf(w->text + used, sizeof w->text - used, format, rest);
    va_end(rest);
}

static void print_line(const cli *run, const char *name, const words *w)
{
    enum { INDENT = 14 };
    if (!w->text[0]) return;
    fprintf(run->out, "  %-*s", INDENT - 2, name);
    text_wrap(run->out, w->text, INDENT, run->columns);
}

static void print_rates(const cli *run, const yoke_machine_device *d)
{
    char size[32];
    words rates = {""}, shares = {""};
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++)
        if (d->rates[i])
            say(&rates, "%s%s %s", rates.text[0] ? ", " : "", yoke_machine_precision(i),
                text_si(size, d->rates[i], "FLOP/s"));
    print_line(run, "rates", &rates);
    for (int i = 0; i < d->npoints; i++)
        say(&shares, "%s%.4g of the rate %s %s", i ? ", " : "", d->points[i].share,
            i ? "of" : "by products of", text_si(size, d->points[i].work, "FLOP"));
    print_line(run, "reached", &shares);
}

static void print_device(const cli *run, const yoke_machine *machine)
{
    const yoke_machine_device *d = &machine->device;
    char size[32];
    words memory = {""}, launch = {""}, cores = {""}, contention = {""};
    say(&memory, "%s", text_si(size, (double)(d->memory_bytes - d->reserve_bytes), "B"));
    if (d->reserve_bytes) say(&memory, " usable of %s", text_si(size, (double)d->memory_bytes, "B"));
    say(&memory, ", %s", text_si(size, d->bandwidth, "B/s"));
    print_line(run, "memory", &memory);
    print_rates(run, d);
    if (d->launch_s > 0) say(&launch, "%s a kernel", text_si(size, d->launch_s, "s"));
    print_line(run, "launch", &launch);
    if (d->cores > 0) say(&cores, "%d, which devices share", d->cores);
    for (int i = 0; i < d->nshared; i++)
        say(&cores, "%s%.4g of its rate where %lld work", i ? ", " : ": each has ", d->shared[i].rate,
            (long long)d->shared[i].devices);
    print_line(run, "cores", &cores);
    if (machine->contention > 0)
        say(&contention, "%.4g of a product's rate is lost while data move", machine->contention);
    print_line(run, "contention", &contention);
}

static void print_levels(const cli *run, const yoke_machine *machine)
{
    static const char *const titles[] = {"<level", "joins",   "<",        "devices", "bandwidth",
                                         "<",      "latency", "adapters", NULL};
    char size[32];
    int64_t devices = 1;
    table *t = table_create(titles);
    const char *below = "devices";
    char *names[YOKE_MACHINE_LEVELS];
    for (int i = 0; i < machine->nlevels; i++) {
        const yoke_machine_level *level = &machine->levels[i];
        devices *= level->count;
        names[i] = text_escaped(level->name, false);
        table_cell(t, "%s", names[i] ? names[i] : "");
        table_cell(t, "%lld", (long long)level->count);
        table_cell(t, "%s", below);
        table_cell(t, "%lld", (long long)devices);
        table_cell(t, "%s", text_si(size, level->bandwidth, "B/s"));
        table_cell(t, "%s", level->adapters ? "an adapter" : "a device");
        table_cell(t, "%s", text_si(size, level->latency_s, "s"));
        if (level->adapters)
            table_cell(t, "%lld", (long long)level->adapters);
        else
            table_cell(t, "%s", "");
        if (level->oversubscription > 1) {
            words note = {""};
            say(&note, "oversubscribed %.4g to 1", level->oversubscription);
            table_note(t, note.text);
        }
        below = names[i] ? names[i] : "";
    }
    if (machine->nlevels) fputc('\n', run->out);
    if (machine->nlevels) table_print(t, run->out, run->width, run->out_colour);
    for (int i = 0; i < machine->nlevels; i++) free(names[i]);
    table_destroy(t);
}

static void print_exceptions(FILE *out, const yoke_machine *machine)
{
    int left = machine->nstragglers + machine->nlinks, room = SHOWN_EXCEPTIONS;
    char size[32];
    if (left > 0) fputs("\nbut", out);
    for (int i = 0; i < machine->nstragglers && room > 0; i++, room--, left--)
        fprintf(out, "\n  device %lld takes %.4g times as long", (long long)machine->stragglers[i].device,
                machine->stragglers[i].slower);
    for (int i = 0; i < machine->nlinks && room > 0; i++, room--, left--) {
        const yoke_machine_link *link = &machine->links[i];
        fputs("\n  level ", out);
        text_escape(out, machine->levels[link->level].name, false);
        fprintf(out, ", group %lld has %s", (long long)link->group, text_si(size, link->bandwidth, "B/s"));
    }
    if (left > 0) fprintf(out, "\n  and %d more", left);
    if (room < SHOWN_EXCEPTIONS) fputc('\n', out);
}

void machine_print(const cli *run, const yoke_machine *machine)
{
    char count[32];
    fputc('\n', run->out);
    text_escape(run->out, machine->name, false);
    fprintf(run->out, ": %s device%s ", text_thousands(count, machine->ndevices),
            machine->ndevices == 1 ? "" : "s");
    text_escape(run->out, machine->device.name, false);
    if (machine->measured_on[0]) {
        fprintf(run->out, ", measured %s by ", machine->measured_on);
        text_escape(run->out, machine->measured_by, false);
        fputc('\n', run->out);
    } else
        fputs(", described and not measured\n", run->out);
    print_device(run, machine);
    print_levels(run, machine);
    print_exceptions(run->out, machine);
}

static void write_device(json *j, const yoke_machine_device *d)
{
    put_begin_object(j, "device");
    put_string(j, "name", d->name);
    put_integer(j, "memory_bytes", d->memory_bytes);
    put_integer(j, "reserve_bytes", d->reserve_bytes);
    put_begin_object(j, "rates");
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++)
        if (d->rates[i]) put_number(j, yoke_machine_precision(i), d->rates[i]);
    put_end_object(j);
    put_number(j, "bandwidth_bytes_s", d->bandwidth);
    put_number(j, "launch_s", d->launch_s);
    put_integer(j, "cores", d->cores);
    put_begin_array(j, "shared_rate");
    for (int i = 0; i < d->nshared; i++) {
        put_begin_object(j, NULL);
        put_integer(j, "devices", d->shared[i].devices);
        put_number(j, "rate", d->shared[i].rate);
        put_end_object(j);
    }
    put_end_array(j);
    put_begin_array(j, "efficiency");
    for (int i = 0; i < d->npoints; i++) {
        put_begin_object(j, NULL);
        put_number(j, "work", d->points[i].work);
        put_number(j, "share", d->points[i].share);
        put_end_object(j);
    }
    put_end_array(j);
    put_end_object(j);
}

static void write_levels(json *j, const yoke_machine *machine)
{
    put_begin_array(j, "levels");
    for (int i = 0; i < machine->nlevels; i++) {
        const yoke_machine_level *level = &machine->levels[i];
        put_begin_object(j, NULL);
        put_string(j, "name", level->name);
        put_integer(j, "count", level->count);
        put_number(j, "bandwidth_bytes_s", level->bandwidth);
        put_number(j, "latency_s", level->latency_s);
        put_integer(j, "adapters", level->adapters);
        put_number(j, "oversubscription", level->oversubscription);
        put_end_object(j);
    }
    put_end_array(j);
}

static void write_exceptions(json *j, const yoke_machine *machine)
{
    put_begin_array(j, "exceptions");
    for (int i = 0; i < machine->nstragglers; i++) {
        put_begin_object(j, NULL);
        put_integer(j, "device", machine->stragglers[i].device);
        put_number(j, "slower", machine->stragglers[i].slower);
        put_end_object(j);
    }
    for (int i = 0; i < machine->nlinks; i++) {
        put_begin_object(j, NULL);
        put_string(j, "level", machine->levels[machine->links[i].level].name);
        put_integer(j, "group", machine->links[i].group);
        put_number(j, "bandwidth_bytes_s", machine->links[i].bandwidth);
        put_end_object(j);
    }
    put_end_array(j);
}

void machine_write(json *j, const yoke_machine *machine)
{
    put_begin_object(j, "machine");
    put_string(j, "name", machine->name);
    put_integer(j, "devices", machine->ndevices);
    write_device(j, &machine->device);
    write_levels(j, machine);
    put_number(j, "contention", machine->contention);
    write_exceptions(j, machine);
    if (machine->measured_on[0]) {
        put_begin_object(j, "measured");
        put_string(j, "on", machine->measured_on);
        put_string(j, "by", machine->measured_by);
        put_string(j, "command", machine->measured_command[0] ? machine->measured_command : NULL);
        put_end_object(j);
    } else
        put_null(j, "measured");
    put_end_object(j);
}
