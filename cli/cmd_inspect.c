/* yoke inspect: what is in a checkpoint, without loading it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "table.h"
#include "text.h"
#include "yoke/checkpoint.h"

static void write_tensor(json *j, const yoke_inspected_tensor *tensor)
{
    put_begin_object(j, NULL);
    put_string(j, "name", tensor->name);
    put_string(j, "dtype", tensor->dtype);
    put_begin_array(j, "shape");
    for (int d = 0; d < tensor->ndim; d++) put_integer(j, NULL, tensor->dims[d]);
    put_end_array(j);
    put_integer(j, "bytes", tensor->bytes);
    put_string(j, "from", tensor->from);
    put_end_object(j);
}

static void write_inspection(json *j, const yoke_inspection *found)
{
    put_string(j, "path", found->path);
    put_string(j, "note", found->note[0] ? found->note : NULL);
    put_string(j, "model_type", found->model_type[0] ? found->model_type : NULL);
    if (found->is_step) {
        put_integer(j, "step", found->step);
        put_integer(j, "batch", found->batch);
        put_unsigned(j, "seed", found->seed);
        put_number(j, "loss", found->loss);
        put_string(j, "layout", found->layout);
        put_string(j, "optimizer", found->optimizer);
        put_string(j, "precision", found->precision);
    } else
        put_null(j, "step");
    put_integer(j, "parameters", found->parameters);
    put_integer(j, "model_bytes", found->model_bytes);
    put_integer(j, "optimizer_bytes", found->optimizer_bytes < 0 ? 0 : found->optimizer_bytes);
    put_begin_array(j, "tensors");
    for (int i = 0; i < found->ntensors; i++) write_tensor(j, &found->tensors[i]);
    put_end_array(j);
}

static void line(const cli *run, const char *name, const char *text)
{
    fprintf(run->out, "%-11s ", name);
    text_escape(run->out, text, false);
    fputc('\n', run->out);
}

static void print_head(const cli *run, const yoke_inspection *found)
{
    char text[400], a[32], b[32];
    line(run, "folder", found->path);
    if (found->note[0]) line(run, "note", found->note);
    if (found->model_type[0]) line(run, "model", found->model_type);
    if (found->is_step) {
        snprintf(text, sizeof text, "%lld updates done, batches of %lld, seed %llu", (long long)found->step,
                 (long long)found->batch, (unsigned long long)found->seed);
        line(run, "step", text);
        if (isfinite(found->loss)) {
            snprintf(text, sizeof text, "%.6g in the last step", found->loss);
            line(run, "loss", text);
        }
        line(run, "saved under", found->layout[0] ? found->layout : "one device");
        snprintf(text, sizeof text, "%s, %s", found->optimizer, found->precision);
        line(run, "trained by", text);
    }
    snprintf(text, sizeof text, "%s in %s", text_thousands(a, found->parameters),
             text_size(b, (double)found->model_bytes));
    line(run, "parameters", text);
    if (found->optimizer_bytes > 0) line(run, "optimizer", text_size(a, (double)found->optimizer_bytes));
}

/* "[2, 3]", at most 8 dims. */
static char *shape(char buffer[256], const yoke_inspected_tensor *tensor)
{
    int at = snprintf(buffer, 256, "[");
    for (int d = 0; d < tensor->ndim; d++)
        at += snprintf(buffer + at, 256 - (size_t)at, d ? ", %lld" : "%lld", (long long)tensor->dims[d]);
    snprintf(buffer + at, 256 - (size_t)at, "]");
    return buffer;
}

static void print_tensors(const cli *run, const yoke_inspection *found)
{
    static const char *const titles[] = {"<tensor", "<shape", "<type", "bytes", NULL};
    table *t = table_create(titles);
    for (int i = 0; i < found->ntensors; i++) {
        const yoke_inspected_tensor *tensor = &found->tensors[i];
        char *name = text_escaped(tensor->name, false), dims[256], size[32];
        if (strcmp(tensor->from, "model") == 0) { /* the optimizer's follow the model's; the JSON has them */
            table_cell(t, "%s", name ? name : "?");
            table_cell(t, "%s", shape(dims, tensor));
            table_cell(t, "%s", tensor->dtype);
            table_cell(t, "%s", text_size(size, (double)tensor->bytes));
        }
        free(name);
    }
    fputc('\n', run->out);
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
}

static int command_run(cli *run)
{
    yoke_inspection *found = NULL;
    if (yoke_inspect(run->arguments.positional[0], &found) != YOKE_OK) return cli_fail_library(run);
    if (run->json) write_inspection(run->json, found);
    print_head(run, found);
    print_tensors(run, found);
    yoke_inspection_destroy(found);
    return 0;
}

const command command_inspect = {
    .name = "inspect",
    .summary = "what is in a checkpoint",
    .usage = "DIR [options]",
    .operand = "DIR",
    .least = 1,
    .most = 1,
    .about = "Lists what a checkpoint holds, without loading it: the step, the layout it was saved under, "
             "and every tensor "
             "with its shape and type. DIR is a folder of steps (the newest complete one is read), one "
             "step's folder, a "
             "folder as Hugging Face lays it out, or a .safetensors file.",
    .groups = (const option_group *const[]){&options_general, NULL},
    .examples = "yoke inspect runs/gpt\nyoke inspect runs/gpt/step-00000100 --json -",
    .codes = "0   done\n1   the system refused\n2   bad usage, or no readable checkpoint there",
    .run = command_run,
};
