/* yoke simulate: one step of a job on a described machine, as events. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "table.h"
#include "text.h"
#include "yoke/simulate.h"

static struct {
    const char *machine;
} given;

static const option_group group_simulate = {
    "Machine",
    (const option[]){
        OPTION("machine", "FILE|NAME", OPTION_TEXT,
               "a machine file, here (what yoke bench wrote), or a preset: h100-sxm is one node, "
               "h100-sxm:8x128 is 128 "
               "nodes of 8 devices",
               .target = &given.machine),
        {0},
    },
};

static void write_bytes(json *j, const yoke_bytes *bytes)
{
    put_integer(j, "weights", bytes->weights);
    put_integer(j, "gradients", bytes->gradients);
    put_integer(j, "optimizer", bytes->optimizer);
    put_integer(j, "activations", bytes->activations);
    put_integer(j, "movement", bytes->movement);
    put_integer(j, "workspace", bytes->workspace);
}

static void write_result(json *j, const yoke_machine *machine, const yoke_simulation *s)
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
    put_begin_array(j, "stages");
    for (int i = 0; i < s->nstages; i++) {
        put_begin_object(j, NULL);
        put_integer(j, "stage", i);
        put_string(j, "layers", s->stages[i].layers);
        put_integer(j, "peak_bytes", s->stages[i].peak_bytes);
        write_bytes(j, &s->stages[i].bytes);
        put_end_object(j);
    }
    put_end_array(j);
}

static void print_shares(FILE *out, const yoke_simulation *s)
{
    bool told[YOKE_SHARES] = {false};
    fputs("\nwhere the step goes\n", out);
    for (;;) {
        int most = -1;
        for (int i = 0; i < YOKE_SHARES; i++)
            if (!told[i] && s->shares[i] >= 0.0005 && (most < 0 || s->shares[i] > s->shares[most])) most = i;
        if (most < 0) return;
        told[most] = true;
        fprintf(out, "  %-12s %5.1f %%\n", yoke_share_name(most), 100 * s->shares[most]);
    }
}

static void print_result(cli *run, const yoke_machine *machine, const yoke_simulation *s)
{
    char a[32], b[32], c[32], d[32];
    fprintf(run->out, "%s on %s, %d device%s: a step takes %.4g ms\n",
            s->layout[0] ? s->layout : "one device", machine->name, s->devices, s->devices == 1 ? "" : "s",
            s->step_s * 1e3);
    fprintf(run->out, "%.4g samples/s", s->samples_per_s);
    if (isfinite(s->tokens_per_s)) fprintf(run->out, ", %.4g tokens/s", s->tokens_per_s);
    fprintf(run->out, ", %.4g TFLOP/s a device, idle %.1f %%\n", s->model_flops_per_device_s / 1e12,
            100 * s->idle_fraction);
    if (!s->measured)
        fputs("the machine's figures were not measured on it: times may be off by a fifth\n", run->out);
    print_shares(run->out, s);
    fputs("\nbytes of each stage's fullest device\n", run->out);
    table *t = table_create((const char *const[]){"stage", "<layers", "peak", "weights", "gradients",
                                                  "optimizer", "activations", NULL});
    for (int i = 0; i < s->nstages; i++) {
        const yoke_stage_report *of = &s->stages[i];
        char peak[32];
        table_cell(t, "%d", i);
        table_cell(t, "%s", of->layers);
        table_cell(t, "%s", text_size(peak, (double)of->peak_bytes));
        table_cell(t, "%s", text_size(a, (double)of->bytes.weights));
        table_cell(t, "%s", text_size(b, (double)of->bytes.gradients));
        table_cell(t, "%s", text_size(c, (double)of->bytes.optimizer));
        table_cell(t, "%s", text_size(d, (double)of->bytes.activations));
    }
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
}

static int command_run(cli *run)
{
    int code = 0;
    yoke_machine *machine = NULL;
    yoke_simulation *simulation = NULL;
    if (!given.machine)
        return cli_fail(run, 2, "--machine",
                        "--machine is missing: a machine file, here, or a preset like h100-sxm:8x4");
    yoke_job *job = cli_load_job(run, &code);
    if (!job) return code;
    if (yoke_machine_find(given.machine, &machine) != YOKE_OK ||
        yoke_simulate(job, machine, &simulation) != YOKE_OK) {
        code = cli_fail_library(run);
    } else {
        if (run->json) write_result(run->json, machine, simulation);
        print_result(run, machine, simulation);
    }
    yoke_simulation_destroy(simulation);
    yoke_machine_destroy(machine);
    yoke_job_destroy(job);
    return code;
}

const command command_simulate = {
    .name = "simulate",
    .summary = "predict one step of a job on a described machine",
    .usage = "JOB --machine FILE|NAME [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Compiles the job's step for the machine, as train would, and goes through the programs as "
             "events: what "
             "every device computes and moves, when, and who waits for whom. Nothing runs, and no data is "
             "read. Prints "
             "the step's time, what it goes to, and the bytes of each stage.",
    .groups = (const option_group *const[]){&group_simulate, &options_layout, &options_training, &options_job,
                                            &options_general, NULL},
    .examples = "yoke simulate gpt.yaml --machine h100-sxm --dp 8\n"
                "yoke simulate gpt.yaml --machine h100-sxm:8x4 --tp 8 --pp 4 --microbatches 16\n"
                "yoke simulate gpt.yaml --machine cluster.yaml --layout 'dp=16,zero=3' --json -",
    .codes = "0   done\n2   bad usage, job, layout or machine file\n3   does not fit: memory, or devices",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
