/* yoke bench: measures this machine, and writes it as a machine file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "table.h"
#include "text.h"
#include "yoke/bench.h"
#include "yoke/cluster.h"

static struct {
    const char *job, *only, *out;
    bool quick;
} given;

static const option_group group_bench = {
    "Measuring",
    (const option[]){
        OPTION("job", "JOB", OPTION_TEXT,
               "measure the shapes of this job's kernels too, so that its steps are predicted by what was "
               "measured and not by what is near",
               .target = &given.job),
        OPTION("quick", NULL, OPTION_SWITCH, "under 10 seconds instead of a minute: fewer shapes and repeats",
               .target = &given.quick),
        OPTION("only", "PART", OPTION_TEXT,
               "measure products, memory, kernels or collectives alone; the rest stays as the machine file "
               "has it, and where there is none nothing is written",
               .target = &given.only),
        OPTION("out", "FILE", OPTION_TEXT,
               "the machine file (default: yoke/machine.yaml in $XDG_DATA_HOME or ~/.local/share, where "
               "--machine here finds it)",
               .target = &given.out),
        {0},
    },
};

static const struct {
    const char *name;
    int part;
} parts[] = {{"products", YOKE_BENCH_PRODUCTS},
             {"memory", YOKE_BENCH_MEMORY},
             {"kernels", YOKE_BENCH_KERNELS},
             {"collectives", YOKE_BENCH_COLLECTIVES}};
enum { NPARTS = sizeof parts / sizeof *parts };

/* --- JSON --- */

static void write_kernels(json *j, const yoke_machine *m, bool products)
{
    for (int i = 0; i < m->nkernels; i++) {
        const yoke_machine_kernel *row = &m->kernels[i];
        int64_t mnk[3];
        double flops = yoke_machine_kernel_flops(row, mnk);
        if (products ? mnk[0] == 0 : flops > 0 && mnk[0] > 0) continue;
        put_begin_object(j, NULL);
        put_string(j, "name", yoke_machine_kernel_name(row->kernel));
        put_string(j, "dtype", yoke_machine_precision(row->precision));
        if (products) {
            put_integer(j, "m", mnk[0]);
            put_integer(j, "n", mnk[1]);
            put_integer(j, "k", mnk[2]);
        }
        put_integer(j, "threads", row->threads);
        put_number(j, "us", row->seconds * 1e6);
        if (flops > 0) put_number(j, "flop_s", flops / row->seconds);
        if (!products) put_number(j, "bytes_s", yoke_machine_kernel_bytes(row) / row->seconds);
        put_end_object(j);
    }
}

static void write_noise(json *j, const yoke_bench_noise *noise)
{
    put_begin_object(j, "noise");
    put_number(j, "spread", noise->spread);
    put_number(j, "cores_taken", noise->cores_taken);
    put_boolean(j, "noisy", noise->noisy);
    put_end_object(j);
}

static void write_result(json *j, const yoke_machine *m, int measured, const yoke_bench_noise *noise)
{
    const yoke_machine_device *device = &m->device;
    put_begin_array(j, "products");
    if (measured & YOKE_BENCH_PRODUCTS) write_kernels(j, m, true);
    put_end_array(j);
    put_begin_object(j, "memory");
    if (measured & YOKE_BENCH_MEMORY) put_number(j, "bytes_s", device->bandwidth);
    put_end_object(j);
    put_begin_array(j, "kernels");
    if (measured & YOKE_BENCH_KERNELS) write_kernels(j, m, false);
    put_end_array(j);
    put_begin_array(j, "collectives");
    for (int i = 0; i < m->nmoves && (measured & YOKE_BENCH_COLLECTIVES); i++) {
        put_begin_object(j, NULL);
        put_string(j, "op", yoke_machine_move_name(m->moves[i].op));
        put_string(j, "level", m->levels[m->moves[i].level].name);
        put_integer(j, "ranks", m->moves[i].ranks);
        put_integer(j, "bytes", m->moves[i].bytes);
        put_number(j, "us", m->moves[i].seconds * 1e6);
        put_end_object(j);
    }
    put_end_array(j);
    put_number(j, "contention", m->contention);
    put_begin_object(j, "shared_rate");
    for (int i = 0; i < device->nshared; i++) {
        char devices[24];
        snprintf(devices, sizeof devices, "%lld", (long long)device->shared[i].devices);
        put_number(j, devices, device->shared[i].rate);
    }
    put_end_object(j);
    put_number(j, "launch_us", device->launch_s * 1e6);
    put_number(j, "step_us", device->step_s * 1e6);
    put_number(j, "seconds", noise->seconds);
    write_noise(j, noise);
}

/* --- text --- */

static void print_steps(FILE *out, const yoke_machine *m)
{
    char a[32], b[32];
    const yoke_machine_device *device = &m->device;
    for (int i = 0; i < YOKE_MACHINE_PRECISIONS; i++)
        if (device->rates[i] > 0)
            fprintf(out, "  products    %s in %s at best, %d thread%s\n",
                    text_si(a, device->rates[i], "FLOP/s"), yoke_machine_precision(i), device->cores,
                    device->cores == 1 ? "" : "s");
    fprintf(out, "  kernels     %d shapes; %s a launch and %s a step beside them\n", m->nkernels,
            text_si(a, device->launch_s, "s"), text_si(b, device->step_s, "s"));
    for (int i = 0; i < device->nshared; i++)
        fprintf(out, "  sharing     each of %lld devices does %.0f %% of what it does alone\n",
                (long long)device->shared[i].devices, 100 * device->shared[i].rate);
}

static void print_links(FILE *out, const yoke_machine *m)
{
    char a[32], b[32];
    for (int l = 0; l < m->nlevels; l++)
        fprintf(out, "  %-10s  %s, %s a message, by all_reduce\n", m->levels[l].name,
                text_si(a, m->levels[l].bandwidth, "B/s"), text_si(b, m->levels[l].latency_s, "s"));
    fprintf(out, "  contention  %.2f of a product's rate is lost while data move\n", m->contention);
}

static void print_result(cli *run, const yoke_machine *m, int measured, const yoke_bench_noise *noise)
{
    char a[32];
    fprintf(run->out, "%s, measured in %.1f s\n", m->device.name, noise->seconds);
    if (measured & (YOKE_BENCH_PRODUCTS | YOKE_BENCH_KERNELS)) print_steps(run->out, m);
    if (measured & YOKE_BENCH_MEMORY)
        fprintf(run->out, "  memory      %s, read and written by one thread\n",
                text_si(a, m->device.bandwidth, "B/s"));
    if (measured & YOKE_BENCH_COLLECTIVES) print_links(run->out, m);
    if (noise->noisy)
        cli_notice(
            run,
            "the machine was not quiet: half of all steps lay within %.0f %% of the median, and others "
            "took %.0f %% of the cores; measure again when it is",
            100 * noise->spread, isfinite(noise->cores_taken) ? 100 * noise->cores_taken : 0);
}

/* --- the command --- */

static void show(void *context, double share, const char *what)
{
    cli *run = context;
    if (run->error_terminal) fprintf(stderr, "\r\033[Kmeasuring %s, %.0f %%", what, 100 * share);
}

/* What stays as it was, where a part is measured alone; NULL: nothing is known. */
static int find_known(cli *run, int measured, yoke_machine **known_out)
{
    if (measured == YOKE_BENCH_ALL) return 0;
    const char *from = given.out ? given.out : "here";
    FILE *file = given.out ? fopen(given.out, "r") : NULL;
    if (given.out && !file) return 0;
    if (file) fclose(file);
    yoke_status status = given.out ? yoke_machine_load(from, known_out) : yoke_machine_find(from, known_out);
    if (status != YOKE_OK && given.out) return cli_fail_library(run);
    return 0;
}

static int save(cli *run, const yoke_machine *machine, bool whole)
{
    char path[1200];
    if (!whole) {
        if (run->json) put_null(run->json, "file");
        fputs("nothing was written: there is no machine file that the rest could stay in\n", run->out);
        return 0;
    }
    if (yoke_cluster_rank() == 0) {
        if (yoke_bench_write(machine, given.out, path) != YOKE_OK) return cli_fail_library(run);
        if (run->json) put_string(run->json, "file", path);
        fputs("written to ", run->out);
        text_escape(run->out, path, false);
        fputs("\n", run->out);
    }
    return 0;
}

static int command_run(cli *run)
{
    int measured = given.only ? 0 : YOKE_BENCH_ALL;
    for (int i = 0; i < NPARTS && given.only; i++)
        if (strcmp(parts[i].name, given.only) == 0) measured = parts[i].part;
    if (measured == 0)
        return cli_fail(run, 2, "--only", "--only takes products, memory, kernels or collectives, not '%s'",
                        given.only);
    yoke_machine *known = NULL, *machine = NULL;
    yoke_bench_noise noise;
    int code = find_known(run, measured, &known);
    if (code != 0) return code;
    yoke_bench_options options = {.job = given.job,
                                  .quick = given.quick,
                                  .parts = measured,
                                  .known = known,
                                  .progress = show,
                                  .context = run};
    yoke_status status = yoke_bench(&options, &machine, &noise);
    if (run->error_terminal) fputs("\r\033[K", stderr);
    if (status != YOKE_OK) {
        code = cli_fail_library(run);
    } else {
        if (run->json) write_result(run->json, machine, measured, &noise);
        print_result(run, machine, measured, &noise);
        code = save(run, machine, known || measured == YOKE_BENCH_ALL);
    }
    yoke_machine_destroy(machine);
    yoke_machine_destroy(known);
    return code;
}

const command command_bench = {
    .name = "bench",
    .summary = "measure this machine, for what plan and simulate say of it",
    .usage = "[options]",
    .operand = "",
    .least = 0,
    .most = 0,
    .about =
        "Measures this machine as programs use it: kernels and products inside steps of small jobs (or "
        "of yours), memory, movements between ranks, what devices that share cores take from each other, "
        "and what the host costs. Under mpirun, movements between its processes. Writes a machine file, "
        "which --machine here names afterwards, and which you may read and edit.",
    .groups = (const option_group *const[]){&group_bench, &options_general, NULL},
    .examples = "yoke bench\nyoke bench --quick\nyoke bench --job gpt.yaml --out gpt-machine.yaml\n"
                "yoke simulate gpt.yaml --machine here --dp 2",
    .codes = "0   done\n1   the system refused\n2   bad usage or job, or the file cannot be written",
    .processes = ALL_PROCESSES,
    .run = command_run,
};
