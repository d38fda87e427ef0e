/* This host as a machine: measured by `yoke bench`, or made of what is known without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "predict/of_job.h"
#include "predict/predict.h"
#include "yoke/planning.h"

/* Where nothing was measured: what a desktop's memory gives, and threads that pass data on through it. */
static const double MEMORY_BYTES_S = 10e9, LINK_BYTES_S = 4e9, LINK_LATENCY_S = 10e-6, LAUNCH_S = 2e-6;

typedef struct wanted {
    int devices;
    yoke_machine *machine;
} wanted;

static yoke_status describe(const yki_plan_options *options, void *context)
{
    const wanted *w = context;
    yoke_machine *m = w->machine;
    const yki_backend_ops *cpu = yki_backend_of_runs();
    int cores = cpu->count() > 0 ? cpu->count() : 1, own = options->layout.threads;
    int threads = own > 0 ? own : cores > w->devices ? cores / w->devices : 1;
    yki_plan one = {.options = *options, .mesh = {.nranks = 1}}; /* of which a rate is all that is asked */
    double rate, crowd = cores < w->devices * threads ? (double)cores / (w->devices * threads) : 1;
    one.options.backend = cpu;
    one.options.threads = threads;
    YKI_TRY(yki_guess_peak(&one, &rate));
    snprintf(m->name, sizeof m->name, "this host, not measured");
    snprintf(m->device.name, sizeof m->device.name, "%d threads of the CPU", threads);
    m->device.memory_bytes = cpu->memory_bytes(0) / w->devices;
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++) {
        const char *name = yoke_machine_precision(i);
        bool used = options->precision == YOKE_PRECISION_BF16 && strcmp(name, "bf16") == 0;
        if (used || strcmp(name, "f32") == 0) m->device.rates[i] = rate * crowd;
    }
    m->device.bandwidth = MEMORY_BYTES_S / w->devices;
    m->device.launch_s = LAUNCH_S;
    m->device.cores = cores;
    m->ndevices = w->devices;
    m->nlevels = w->devices > 1;
    m->levels[0] = (yoke_machine_level){.name = "host",
                                        .count = w->devices,
                                        .bandwidth = LINK_BYTES_S,
                                        .latency_s = LINK_LATENCY_S,
                                        .oversubscription = 1};
    return YOKE_OK;
}

yoke_status yoke_machine_of_host(const yoke_job *job, int devices, yoke_machine **machine_out)
{
    YKI_NEED(job, machine_out);
    yoke_machine *found;
    if (devices < 1 || devices > YOKE_MAX_LOCAL_DEVICES)
        return yki_fail(YOKE_INVALID, "%d devices: a host has 1 to %d", devices, YOKE_MAX_LOCAL_DEVICES);
    if (yoke_machine_find("here", &found) == YOKE_OK) {
        if (found->ndevices >= devices) {
            *machine_out = found;
            return YOKE_OK;
        }
        yoke_machine_destroy(found); /* it was measured with fewer */
    }
    wanted w = {devices, calloc(1, sizeof *w.machine)};
    if (!w.machine) return yki_fail_memory("a machine");
    yoke_job any = *job;
    yoke_layout_default(&any.layout);
    any.layout.threads = job->layout.threads;
    yoke_status status = yki_with_plan_options(&any, describe, &w);
    if (status == YOKE_OK)
        *machine_out = w.machine;
    else
        yoke_machine_destroy(w.machine);
    return status;
}
