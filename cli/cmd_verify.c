/* yoke verify: loss and gradients of a layout against one device's, or against a file made elsewhere. */
#include <math.h>
#include <stdlib.h>

#include "auto.h"
#include "cli.h"
#include "cluster.h"
#include "table.h"
#include "text.h"
#include "yoke/compare.h"

static struct {
    const char *against, *write_gradients;
    double tolerance;
} given;

static const option_group group_verify = {
    "Check",
    (const option[]){
        OPTION("against", "FILE", OPTION_TEXT,
               "compare with gradients in a safetensors file instead of one device's",
               .target = &given.against),
        OPTION("write-gradients", "FILE", OPTION_TEXT, "write the layout's gradients to a safetensors file",
               .target = &given.write_gradients),
        OPTION("tolerance", "X", OPTION_NUMBER, "largest relative error allowed (1e-4; bf16 2e-2)",
               .target = &given.tolerance),
        {0},
    },
};

static void write_result(json *j, const yoke_verification *v)
{
    put_boolean(j, "passed", v->passed);
    put_number(j, "loss", v->loss);
    put_number(j, "reference_loss", v->reference_loss);
    put_number(j, "loss_rel_err", v->loss_rel_err);
    put_number(j, "max_rel_err", v->max_rel_err);
    put_number(j, "tolerance", v->tolerance);
    put_begin_array(j, "tensors");
    for (int i = 0; i < v->ntensors; i++) {
        put_begin_object(j, NULL);
        put_string(j, "name", v->tensors[i].name);
        put_number(j, "rel_err", v->tensors[i].rel_err);
        put_end_object(j);
    }
    put_end_array(j);
}

static void print_result(const cli *run, const yoke_verification *v)
{
    static const char *const titles[] = {"<tensor", "relative error", "<", NULL};
    enum { SHOWN = 10 };
    table *t = table_create(titles);
    for (int i = 0; i < v->ntensors && i < SHOWN; i++) {
        char *name = text_escaped(v->tensors[i].name, false);
        table_cell(t, "%s", name ? name : "?");
        table_cell(t, "%.3g", v->tensors[i].rel_err);
        table_cell(t, "%s", v->tensors[i].rel_err <= v->tolerance ? "" : "too far");
        free(name);
    }
    fprintf(run->out, "loss           %.9g, reference %.9g: relative error %.3g\n", v->loss,
            v->reference_loss, v->loss_rel_err);
    fprintf(run->out, "gradients      %d tensors, worst relative error %.3g, tolerance %.3g\n\n", v->ntensors,
            v->max_rel_err, v->tolerance);
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
    if (v->ntensors > SHOWN) fprintf(run->out, "  and %d more, nearer\n", v->ntensors - SHOWN);
    if (v->passed) fputs("\npassed: the layout's gradients are the reference's\n", run->out);
}

static int command_run(cli *run)
{
    int code = 0;
    yoke_verification *v = NULL;
    yoke_job *job = cluster_load_job(run, &code);
    if (!job) return code;
    code = auto_choose(run, job, NULL);
    if (code != 0) {
        yoke_job_destroy(job);
        return code;
    }
    if (yoke_verify(job, given.against, given.write_gradients, given.tolerance, &v) != YOKE_OK)
        code = cli_fail_library(run);
    else {
        if (run->json) write_result(run->json, v);
        print_result(run, v);
        bool loss = !(v->loss_rel_err <= v->tolerance);
        if (!v->passed)
            code = cli_fail(run, 1, "", "verify failed: %s differs by %.3g, more than %.3g",
                            loss || v->ntensors == 0 ? "the loss" : v->tensors[0].name,
                            loss || v->ntensors == 0 ? v->loss_rel_err : v->tensors[0].rel_err, v->tolerance);
    }
    yoke_verification_destroy(v);
    yoke_job_destroy(job);
    return code;
}

const command command_verify = {
    .name = "verify",
    .summary = "check a layout's loss and gradients against one device's",
    .usage = "JOB [options]",
    .operand = "JOB",
    .least = 1,
    .most = 1,
    .about = "Computes the first step's loss and every gradient under the job's layout, and again on one "
             "device, and "
             "compares them tensor by tensor, worst first. With --against the reference is a safetensors "
             "file made "
             "elsewhere, for instance by PyTorch.",
    .groups = (const option_group *const[]){&group_verify, &options_layout, &options_training, &options_job,
                                            &options_general, NULL},
    .examples = "yoke verify gpt.yaml --dp 2 --tp 2\n"
                "yoke verify gpt.yaml --against gradients.safetensors\n"
                "yoke verify gpt.yaml --pp 2 --microbatches 4 --write-gradients g.safetensors",
    .codes = "0   everything within the tolerance\n"
             "1   a tensor or the loss is further off\n"
             "2   bad usage, job file, data or layout\n"
             "3   does not fit in a device's memory",
    .processes = ALL_PROCESSES,
    .run = command_run,
};
