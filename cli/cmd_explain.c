/* yoke explain: where a step's time goes, worst first, and what would make it shorter. */
#include <math.h>

#include "cli.h"
#include "page.h"
#include "simulation.h"
#include "text.h"
#include "yoke/simulate.h"

static void put_place(json *j, const char *key, int number)
{
    if (number < 0)
        put_null(j, key);
    else
        put_integer(j, key, number);
}

static void write_result(json *j, const yoke_machine *machine, const yoke_explanation *e)
{
    simulation_write(j, machine, e->simulation);
    put_begin_array(j, "findings");
    for (int i = 0; i < e->nfindings; i++) {
        const yoke_finding *f = &e->findings[i];
        put_begin_object(j, NULL);
        put_string(j, "cause", f->cause);
        put_begin_object(j, "where");
        put_place(j, "stage", f->stage);
        put_place(j, "device", f->device);
        put_string(j, "layers", f->layers[0] ? f->layers : NULL);
        put_string(j, "level", f->level[0] ? f->level : NULL);
        put_end_object(j);
        put_number(j, "share", f->share);
        put_string(j, "sentence", f->sentence);
        put_end_object(j);
    }
    put_end_array(j);
    put_begin_array(j, "changes");
    for (int i = 0; i < e->nchanges; i++) {
        const yoke_change *c = &e->changes[i];
        put_begin_object(j, NULL);
        put_string(j, "flags", c->flags);
        put_number(j, "step_ms", 1e3 * c->step_s);
        put_number(j, "gain", c->gain);
        put_string(j, "sentence", c->sentence);
        put_end_object(j);
    }
    put_end_array(j);
    put_integer(j, "tried", e->tried);
}

static void print_result(cli *run, const yoke_machine *machine, const yoke_explanation *e)
{
    simulation_print_head(run->out, machine, e->simulation);
    fputs("\nwhere the step goes\n", run->out);
    for (int i = 0; i < e->nfindings; i++) {
        fprintf(run->out, "  %5.1f %%  ", 100 * e->findings[i].share);
        text_wrap(run->out, e->findings[i].sentence, 11, run->width);
    }
    fputs("\nwhat would be faster\n", run->out);
    for (int i = 0; i < e->nchanges; i++) {
        fputs("  ", run->out);
        text_wrap(run->out, e->changes[i].sentence, 2, run->width);
    }
    if (e->nchanges == 0) fprintf(run->out, "  none of %d other layouts of these devices\n", e->tried - 1);
}

static yoke_status explain(cli *run, const yoke_job *job, const yoke_machine *machine)
{
    yoke_explanation *e;
    yoke_status status = yoke_explain(job, machine, &e);
    if (status != YOKE_OK) return status;
    if (run->json) write_result(run->json, machine, e);
    print_result(run, machine, e);
    yoke_explanation_destroy(e);
    return YOKE_OK;
}

static int command_run(cli *run)
{
    return simulation_run(run, NULL, explain);
}

const command command_explain = {
    .name = "explain",
    .summary = "where a step's time goes on a described machine, and what would make it shorter",
    .usage = "JOB --machine FILE|NAME [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Simulates one step, as simulate does, and says what it loses, worst first: where, and to what. "
             "Then other "
             "layouts of as many devices are simulated, one thing changed or other degrees, and those that "
             "are faster "
             "are listed with what they gain.",
    .groups = (const option_group *const[]){&options_machine, &options_layout, &options_training,
                                            &options_page, &options_job, &options_general, NULL},
    .examples = "yoke explain gpt.yaml --machine h100-sxm --pp 4 --microbatches 4\n"
                "yoke explain gpt.yaml --machine h100-sxm --pp 4 --html page.html\n"
                "yoke explain gpt.yaml --machine cluster.yaml --dp 64 --json -",
    .codes = "0   done\n2   bad usage, job, layout or machine file\n3   does not fit: memory, or devices",
    .processes = FIRST_PROCESS,
    .run = command_run,
};
