/* yoke plan: the layout to train a job under. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "emit.h"
#include "page.h"
#include "simulation.h"
#include "table.h"
#include "text.h"
#include "why.h"
#include "yoke/planning.h"

static struct {
    int64_t devices, top;
    const char *emit;
    bool why;
} given;

static const option_group group_plan = {
    "Devices",
    (const option[]){
        OPTION("devices", "N", OPTION_COUNT,
               "up to N devices: of this host where there is no --machine, else of the machine's",
               .target = &given.devices, .least = 1, .most = 1 << 20),
        OPTION("device-memory", "SIZE", OPTION_KEY, "bytes that one device may use, e.g. 512MiB or 2GB",
               .key = "layout.device_memory"),
        OPTION("top", "K", OPTION_COUNT, "layouts to show, the choice among them (5)", .target = &given.top,
               .least = 1, .most = 48),
        OPTION(
            "why", NULL, OPTION_SWITCH,
            "also say what one device cannot take, what each strategy alone would hold, move and take, and "
            "where the choice would change",
            .target = &given.why),
        OPTION("emit", "PROGRAM", OPTION_TEXT,
               "also the flags of torchtitan or megatron that mean the layout chosen, and what has no "
               "counterpart there",
               .target = &given.emit),
        {0},
    },
};

static void write_row(json *j, const char *name, const yoke_planned_row *row)
{
    static const char *const recompute[] = {"none", "selective", "full"};
    const yoke_layout *l = &row->layout;
    put_begin_object(j, name);
    put_string(j, "layout", row->text);
    put_begin_object(j, "mesh");
    put_integer(j, "dp", l->dp);
    put_integer(j, "tp", l->tp);
    put_integer(j, "pp", l->pp);
    put_integer(j, "cp", l->cp);
    put_end_object(j);
    put_integer(j, "zero", l->zero);
    put_string(j, "schedule", l->schedule);
    put_integer(j, "chunks", l->chunks);
    put_integer(j, "microbatches", l->microbatches);
    put_string(j, "recompute", recompute[l->recompute]);
    put_boolean(j, "sp", l->sp);
    put_number(j, "step_ms", row->step_s * 1e3);
    put_integer(j, "peak_bytes", row->peak_bytes);
    put_begin_object(j, "bytes");
    simulation_write_bytes(j, &row->bytes);
    put_end_object(j);
    put_boolean(j, "fits", row->fits);
    put_string(j, "limit", row->limit);
    put_end_object(j);
}

static void write_result(json *j, const yoke_machine *machine, const yoke_planned *p)
{
    put_string(j, "machine", machine->name);
    write_row(j, "chosen", &p->rows[0]);
    put_begin_array(j, "candidates");
    for (int i = 0; i < p->nrows; i++) write_row(j, NULL, &p->rows[i]);
    put_end_array(j);
    put_integer(j, "considered", p->considered);
    put_integer(j, "simulated", p->simulated);
    put_boolean(j, "proved", p->proved);
    put_integer(j, "limit_bytes", p->limit_bytes);
    put_number(j, "search_ms", p->search_s * 1e3);
    put_boolean(j, "calibrated", p->measured);
    put_number(j, "error_bound", p->error_bound);
}

static void print_result(cli *run, const yoke_machine *machine, const yoke_planned *p)
{
    const yoke_planned_row *best = &p->rows[0];
    fprintf(run->out, "%s on %s: a step takes %.4g ms\n", best->text[0] ? best->text : "one device",
            machine->name, best->step_s * 1e3);
    char searched[192];
    snprintf(searched, sizeof searched, "%lld layouts considered, %d simulated, in %.3g s; %s",
             (long long)p->considered, p->simulated, p->search_s,
             p->proved ? "none of the others can be faster"
                       : "the others promised less, but may be faster than simulated ones");
    text_wrap(run->out, searched, 0, run->width);
    fputc('\n', run->out);
    table *t = table_create((const char *const[]){"<layout", "step", "peak", "<limit", "weights", "gradients",
                                                  "optimizer", "activations", NULL});
    for (int i = 0; i < p->nrows; i++) {
        const yoke_planned_row *row = &p->rows[i];
        const int64_t sizes[] = {row->bytes.weights, row->bytes.gradients, row->bytes.optimizer,
                                 row->bytes.activations};
        char size[32];
        table_cell(t, "%s", row->text[0] ? row->text : "one device");
        table_cell(t, "%.4g ms", row->step_s * 1e3);
        table_cell(t, "%s", text_size(size, (double)row->peak_bytes));
        table_cell(t, "%s", row->limit);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            table_cell(t, "%s", text_size(size, (double)sizes[k]));
    }
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    if (!p->measured)
        fputs("\nthe machine's figures were not measured on it: times may be off by a fifth\n", run->out);
}

static yoke_status plan(cli *run, const yoke_job *job, const yoke_machine *machine)
{
    yoke_planned *planned;
    yoke_status status = yoke_plan_job(job, machine, (int)given.devices, (int)given.top, &planned);
    if (status != YOKE_OK) return status;
    if (run->json) write_result(run->json, machine, planned);
    print_result(run, machine, planned);
    if (given.why) status = why_show(run, job, machine, (int)given.devices, planned);
    if (given.emit && status == YOKE_OK) emit_show(run, given.emit, job, &planned->rows[0].layout);
    yoke_planned_destroy(planned);
    return status;
}

static yoke_status this_host(const yoke_job *job, yoke_machine **machine_out)
{
    return yoke_machine_of_host(job, (int)given.devices, machine_out);
}

static int command_run(cli *run)
{
    int known = 0;
    while (given.emit && emit_name(known) && strcmp(emit_name(known), given.emit) != 0) known++;
    if (given.emit && !emit_name(known))
        return cli_fail(run, 2, "--emit", "--emit %s: flags are those of %s or %s", given.emit, emit_name(0),
                        emit_name(1));
    if (!simulation_machine() && !given.devices)
        return cli_fail(run, 2, "--machine",
                        "say for what: --devices N of this host, or --machine with a file, here, or a preset "
                        "like h100-sxm:8x4");
    return simulation_run(run, this_host, plan);
}

const command command_plan = {
    .name = "plan",
    .summary = "choose the layout to train a job under",
    .usage = "JOB --machine FILE|NAME | --devices N [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about =
        "Bounds every layout over the devices, or over a divisor of their number, compiles and simulates "
        "the best ones, and prints them, fastest first: the first is the one to take. Nothing runs, and "
        "no data is read. The job's own degrees are not looked at.",
    .groups = (const option_group *const[]){&options_machine, &group_plan, &options_training, &options_page,
                                            &options_job, &options_general, NULL},
    .examples = "yoke plan gpt.yaml --devices 2\n"
                "yoke plan gpt.yaml --machine h100-sxm:8x2 --why\n"
                "yoke plan gpt.yaml --machine h100-sxm:8x2 --emit megatron\n"
                "yoke plan gpt.yaml --machine h100-sxm:8x2 --html page.html\n"
                "yoke plan gpt.yaml --machine cluster.yaml --device-memory 64GB --top 10 --json -",
    .codes = "0   done\n2   bad usage, job or machine file\n3   no layout fits",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
