#include "simulation.h"

#include <math.h>

#include "auto.h"
#include "page.h"
#include "report.h"

static const char *machine_text;

const option_group options_machine = {
    "Machine",
    (const option[]){
        OPTION("machine", "FILE|NAME", OPTION_TEXT,
               "a machine file, here (what yoke bench wrote), or a preset: h100-sxm is one node, "
               "h100-sxm:8x128 is 128 nodes of 8 devices",
               .target = &machine_text),
        {0},
    },
};

const char *simulation_machine(void)
{
    return machine_text;
}

int simulation_run(cli *run, yoke_status (*found)(const yoke_job *job, yoke_machine **machine_out),
                   yoke_status (*body)(cli *run, const yoke_job *job, const yoke_machine *machine))
{
    int code = 0;
    yoke_machine *machine = NULL;
    if (!machine_text && !found)
        return cli_fail(run, 2, "--machine",
                        "--machine is missing: a machine file, here, or a preset like h100-sxm:8x4");
    yoke_job *job = cli_load_job(run, &code);
    if (!job) return code;
    yoke_status status = machine_text ? yoke_machine_find(machine_text, &machine) : found(job, &machine);
    page_put_job(run, job);
    if (status == YOKE_OK) page_put_machine(run, machine);
    if (status == YOKE_OK) code = auto_choose(run, job, machine);
    if (status == YOKE_OK && code == 0) status = body(run, job, machine);
    if (status != YOKE_OK) code = cli_fail_library(run);
    yoke_machine_destroy(machine);
    yoke_job_destroy(job);
    return code;
}

void simulation_write_bytes(json *j, const yoke_bytes *bytes)
{
    report_write_bytes(j, bytes);
}

/* What devices do, which is long: for the page alone. */
static void write_timeline(json *j, const yoke_simulation *s)
{
    char name[40];
    put_begin_array(j, "alike");
    for (int i = 0; i < s->classes; i++) {
        if (!s->alike[i].told) continue;
        snprintf(name, sizeof name, "device %d", s->alike[i].device);
        put_begin_object(j, NULL);
        put_string(j, "device", name);
        put_integer(j, "stage", s->alike[i].stage);
        put_integer(j, "devices", s->alike[i].devices);
        put_number(j, "slower", s->alike[i].slower);
        put_end_object(j);
    }
    put_end_array(j);
    report_write_timeline(j, "device ", s->ran, s->nran);
}

void simulation_write(json *j, const yoke_machine *machine, const yoke_simulation *s)
{
    static const char *const axes[] = {"tp", "cp", "dp", "pp"};
    int64_t moved = 0;
    put_string(j, "machine", machine->name);
    put_string(j, "layout", s->layout);
    put_number(j, "step_ms", s->step_s * 1e3);
    put_integer(j, "devices", s->devices);
    put_integer(j, "classes", s->classes);
    put_number(j, "samples_per_s", s->samples_per_s);
    put_number(j, "tokens_per_s", s->tokens_per_s);
    put_number(j, "model_flops_per_device_s", s->model_flops_per_device_s);
    put_number(j, "hardware_flops_per_device_s", s->hardware_flops_per_device_s);
    put_number(j, "idle_fraction", s->idle_fraction);
    put_boolean(j, "calibrated", s->measured);
    put_begin_object(j, "shares");
    for (int i = 0; i < YOKE_SHARES; i++) put_number(j, yoke_share_name(i), s->shares[i]);
    put_end_object(j);
    put_begin_object(j, "moved_by_axis");
    for (int i = 0; i < 4; i++) put_integer(j, axes[i], s->moved_bytes[i]), moved += s->moved_bytes[i];
    put_end_object(j);
    put_integer(j, "moved_bytes_per_step", moved);
    put_integer(j, "limit_bytes", s->limit_bytes);
    if (page_path()) write_timeline(j, s);
    put_begin_array(j, "stages");
    for (int i = 0; i < s->nstages; i++) {
        put_begin_object(j, NULL);
        put_integer(j, "stage", i);
        put_string(j, "layers", s->stages[i].layers);
        put_number(j, "compute_ms", 1e3 * s->stages[i].compute_s);
        put_integer(j, "peak_bytes", s->stages[i].peak_bytes);
        simulation_write_bytes(j, &s->stages[i].bytes);
        put_end_object(j);
    }
    put_end_array(j);
}

void simulation_print_head(FILE *out, const yoke_machine *machine, const yoke_simulation *s)
{
    fprintf(out, "%s on %s, %d device%s: a step takes %.4g ms\n", s->layout[0] ? s->layout : "one device",
            machine->name, s->devices, s->devices == 1 ? "" : "s", s->step_s * 1e3);
    fprintf(out, "%.4g samples/s", s->samples_per_s);
    if (isfinite(s->tokens_per_s)) fprintf(out, ", %.4g tokens/s", s->tokens_per_s);
    fprintf(out, ", %.4g TFLOP/s a device, idle %.1f %%\n", s->model_flops_per_device_s / 1e12,
            100 * s->idle_fraction);
    if (!s->measured)
        fputs("the machine's figures were not measured on it: times may be off by a fifth\n", out);
}
