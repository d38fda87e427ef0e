/* yoke devices: what there is to train on here, and, with --machine, what another machine is made of. */
#include <stdlib.h>

#include "cli.h"
#include "machine.h"
#include "table.h"
#include "text.h"
#include "yoke/train.h"

static struct {
    const char *machine;
} given;

static const option_group group_devices = {
    "Machine",
    (const option[]){
        OPTION("machine", "M", OPTION_TEXT,
               "also describe this machine: a file, `here` (what was measured here), or a preset, as "
               "h100-sxm or, with "
               "devices per node and nodes, h100-sxm:8x16",
               .target = &given.machine),
        {0},
    },
};

/* Of which kinds there is none, and why. */
static void print_missing(cli *run)
{
    yoke_missing_devices missing[8];
    int count = yoke_devices_missing(missing, 8);
    if (run->json) put_begin_array(run->json, "missing");
    for (int i = 0; i < count && i < 8; i++) {
        char *reason = text_escaped(missing[i].reason, false), line[1200];
        snprintf(line, sizeof line, "No %s: %s.", missing[i].backend, reason ? reason : "");
        text_wrap(run->out, line, 0, run->columns);
        free(reason);
        if (!run->json) continue;
        put_begin_object(run->json, NULL);
        put_string(run->json, "backend", missing[i].backend);
        put_string(run->json, "reason", missing[i].reason);
        put_end_object(run->json);
    }
    if (run->json) put_end_array(run->json);
}

static int print_here(cli *run)
{
    static const char *const titles[] = {"<device", "cores", "memory", "<instructions", "<model", NULL};
    int most = yoke_devices(NULL, 0);
    yoke_device_info *infos = calloc((size_t)(most > 0 ? most : 1), sizeof *infos);
    if (!infos) return cli_fail(run, 1, "", "out of memory");
    int count = yoke_devices(infos, most);
    table *t = table_create(titles);
    char size[32];
    if (run->json) put_begin_array(run->json, "devices");
    for (int i = 0; i < count && i < most; i++) {
        const yoke_device_info *d = &infos[i];
        char *model = text_escaped(d->model, false);
        table_cell(t, "%s", d->name);
        if (d->cores > 0)
            table_cell(t, "%d", d->cores);
        else
            table_cell(t, "-");
        table_cell(t, "%s", text_size(size, (double)d->memory_bytes));
        table_cell(t, "%s", d->instructions);
        table_cell(t, "%s", model ? model : "");
        free(model);
        if (!run->json) continue;
        put_begin_object(run->json, NULL);
        put_string(run->json, "name", d->name);
        put_string(run->json, "model", d->model);
        put_string(run->json, "instructions", d->instructions);
        put_integer(run->json, "memory_bytes", d->memory_bytes);
        put_integer(run->json, "cores", d->cores);
        put_end_object(run->json);
    }
    if (run->json) put_end_array(run->json);
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    fputs("\nDevices of the CPU share its cores and memory: cpu:i exists for every i.\n", run->out);
    print_missing(run);
    free(infos);
    return 0;
}

static int command_run(cli *run)
{
    yoke_machine *machine = NULL;
    if (given.machine && yoke_machine_find(given.machine, &machine) != YOKE_OK) return cli_fail_library(run);
    int code = print_here(run);
    if (machine && code == 0) {
        machine_print(run, machine);
        if (run->json) machine_write(run->json, machine);
    }
    yoke_machine_destroy(machine);
    return code;
}

const command command_devices = {
    .name = "devices",
    .summary = "what there is to train on here",
    .usage = "[options]",
    .operand = "",
    .least = 0,
    .most = 0,
    .about = "Lists the devices of this machine with their cores, memory and vector instructions; with "
             "--machine, what a described machine has, too.",
    .groups = (const option_group *const[]){&group_devices, &options_general, NULL},
    .examples =
        "yoke devices\nyoke devices --json -\nyoke devices --machine h100-sxm:8x16\nyoke devices --machine "
        "cluster.yaml",
    .codes = "0   done\n1   the system refused\n2   bad usage, or a bad machine file",
    .run = command_run,
};
