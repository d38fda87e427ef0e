/* A machine: loading it, and what it answers. */
#include "predict/machine/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

void yoke_machine_destroy(yoke_machine *machine)
{
    if (!machine) return;
    free(machine->stragglers);
    free(machine->links);
    free(machine->kernels);
    free(machine->moves);
    free(machine);
}

yoke_status yoke_machine_load(const char *path, yoke_machine **machine_out)
{
    YKI_NEED(path, machine_out);
    yki_yaml *root = NULL;
    YKI_TRY(yki_yaml_read(path, &root));
    yoke_status status = yki_machine_read(root, path, machine_out);
    yki_yaml_destroy(root);
    return status;
}

yoke_status yoke_machine_rate(const yoke_machine *machine, const char *precision, double *flops_per_s_out)
{
    YKI_NEED(machine, precision, flops_per_s_out);
    char has[64] = "";
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++) {
        if (!machine->device.rates[i]) continue;
        if (strcmp(yoke_machine_precision(i), precision) == 0) {
            *flops_per_s_out = machine->device.rates[i];
            return YOKE_OK;
        }
        size_t used = strlen(has);
        snprintf(has + used, sizeof has - used, "%s%s", used ? ", " : "", yoke_machine_precision(i));
    }
    return yki_fail(YOKE_INVALID, "machine '%s' says no rate of %s for %s products: its device.rates has %s",
                    machine->name, machine->device.name, precision, has);
}

double yoke_machine_efficiency(const yoke_machine *machine, double work)
{
    if (!machine) return NAN;
    const yoke_machine_point *points = machine->device.points;
    int count = machine->device.npoints, i = 0;
    if (count == 0) return 1;
    while (i < count && points[i].work < work) i++;
    if (i == 0) return points[0].share;
    if (i == count) return points[count - 1].share;
    double whole = log(points[i].work) - log(points[i - 1].work);
    double part = whole > 0 ? (log(work) - log(points[i - 1].work)) / whole : 1;
    return points[i - 1].share + part * (points[i].share - points[i - 1].share);
}

double yoke_machine_shared_rate(const yoke_machine *machine, int devices)
{
    if (!machine) return NAN;
    yoke_machine_shared before = {1, 1};
    if (devices <= 1) return 1;
    for (int i = 0; i < machine->device.nshared; i++) {
        const yoke_machine_shared *next = &machine->device.shared[i];
        if (devices <= next->devices)
            return before.rate + (next->rate - before.rate) * (double)(devices - before.devices) /
                                     (double)(next->devices - before.devices);
        before = *next;
    }
    return machine->device.nshared ? before.rate * (double)before.devices / devices : 1;
}
