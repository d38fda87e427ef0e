/* yoke simulate: one step of a job on a described machine, as events. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "page.h"
#include "simulation.h"
#include "table.h"
#include "text.h"
#include "yoke/simulate.h"

static const char *trace_path;

static const option_group group_trace = {
    "Records",
    (const option[]){
        OPTION("trace", "FILE", OPTION_TEXT,
               "write when every device, or class of devices, does what, as JSON that Perfetto opens",
               .target = &trace_path),
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

static yoke_status simulate(cli *run, const yoke_job *job, const yoke_machine *machine)
{
    yoke_simulation *simulation;
    yoke_status status = yoke_simulate(job, machine, &simulation);
    if (status != YOKE_OK) return status;
    if (run->json) simulation_write(run->json, machine, simulation);
    print_result(run, machine, simulation);
    yoke_simulation_destroy(simulation);
    if (!trace_path) return YOKE_OK;
    status = yoke_simulate_trace(job, machine, trace_path);
    if (status != YOKE_OK) return status;
    fputs("\ntrace          ", run->out);
    text_escape(run->out, trace_path, false);
    fputc('\n', run->out);
    if (run->json) put_string(run->json, "trace", trace_path);
    return YOKE_OK;
}

static int command_run(cli *run)
{
    return simulation_run(run, NULL, simulate);
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
    .groups =
        (const option_group *const[]){&options_machine, &group_trace, &options_layout, &options_training,
                                      &options_page, &options_job, &options_general, NULL},
    .examples =
        "yoke simulate gpt.yaml --machine h100-sxm --dp 8\n"
        "yoke simulate gpt.yaml --machine h100-sxm:8x4 --tp 8 --pp 4 --microbatches 16 --html page.html\n"
        "yoke simulate gpt.yaml --machine cluster.yaml --layout 'dp=16,zero=3' --json -",
    .codes = "0   done\n2   bad usage, job, layout or machine file\n3   does not fit: memory, or devices",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
