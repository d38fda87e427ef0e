/* yoke simulate: one step of a job on a described machine, as events. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "simulation.h"
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
    simulation_print_head(run->out, machine, s);
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
        if (run->json) simulation_write(run->json, machine, simulation);
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
