/* Whether samples are the model's: rows by type and whole shape, classes by number, and every id below what
 * the model knows, before anything runs. The sentences are for people who wrote a job: they name the file,
 * what it has, and what would go together. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

enum { SHAPE = 160, LARGE_BYTE = 100 };

static yoke_row row_of(const yki_value *value)
{
    yoke_row row = {.type = value->role == YKI_ROLE_INDEX ? YOKE_I32 : YOKE_F32, .ndim = value->ndim};
    memcpy(row.dims, value->dims, sizeof row.dims);
    return row;
}

/* "[3, 8, 8]", with what stands before the first. */
static char *shape(char buffer[SHAPE], const yoke_row *row, const char *before)
{
    int n = snprintf(buffer, SHAPE, "[%s", before);
    for (int i = 0; i < row->ndim; i++)
        n += snprintf(buffer + n, (size_t)(SHAPE - n), "%s%lld", i || before[0] ? ", " : "",
                      (long long)row->dims[i]);
    snprintf(buffer + n, (size_t)(SHAPE - n), "]");
    return buffer;
}

static const char *file_of(const char *file)
{
    return file ? file : "";
}

/* How the data's dims become the model's by another order of them, as numpy's transpose takes it; false: they
 * do not. */
static bool find_order(const yoke_row *has, const yoke_row *wants, char order[SHAPE])
{
    bool taken[YOKE_MAX_DIMS] = {false};
    int n = snprintf(order, SHAPE, "0");
    if (has->ndim != wants->ndim) return false;
    for (int i = 0; i < wants->ndim; i++) {
        int from = 0;
        while (from < has->ndim && (taken[from] || has->dims[from] != wants->dims[i])) from++;
        if (from == has->ndim) return false;
        taken[from] = true;
        n += snprintf(order + n, (size_t)(SHAPE - n), ", %d", from + 1);
    }
    return true;
}

/* What to do about dims that differ: `array` is what people call it; `key` takes what the data have. */
static void advise(char advice[2 * SHAPE], const yoke_row *has, const yoke_row *wants, const char *array,
                   const char *key)
{
    char text[SHAPE];
    int64_t has_elements = 1, wants_elements = 1;
    for (int i = 0; i < has->ndim; i++) has_elements *= has->dims[i];
    for (int i = 0; i < wants->ndim; i++) wants_elements *= wants->dims[i];
    advice[0] = '\0';
    if (find_order(has, wants, text))
        snprintf(advice, 2 * SHAPE, "; save numpy.ascontiguousarray(%s.transpose(%s))", array, text);
    else if (has_elements == wants_elements)
        snprintf(advice, 2 * SHAPE, "; if their order is the model's, save %s.reshape(%s)", array,
                 shape(text, wants, "-1"));
    else if (key)
        snprintf(advice, 2 * SHAPE, "; the data have %s: %s", key, shape(text, has, ""));
}

/* ---- inputs ---- */

static yoke_status refuse_inputs(const yoke_data *data, const yoke_model *model, const yoke_row *wants)
{
    const yoke_row *has = &data->native_input;
    char a[SHAPE], b[SHAPE], advice[2 * SHAPE];
    const char *file = file_of(data->input_file);
    if (wants->type == YOKE_F32 && data->tokens)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "its samples are token ids, and the model's input is numbers, %s; a model of tokens "
            "begins with an embedding",
            shape(b, wants, ""));
    if (wants->type == YOKE_I32 && has->type == YOKE_F32)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "its samples are numbers, %s, and the model's input is token ids, %s: integers, saved "
            "as such",
            shape(a, has, ""), shape(b, wants, ""));
    if (data->columns.count)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "has %d input columns, and the model's input is %s: give it model.input: [%d], or the "
            "file other columns",
            data->columns.count, shape(b, wants, ""), data->columns.count);
    bool tokens = wants->type == YOKE_I32 && has->ndim == 1 && model->is_sequence;
    advise(advice, has, wants, "x", has->ndim == 0 || tokens ? NULL : "model.input");
    if (tokens)
        snprintf(advice, sizeof advice, "; the data have train.sequence: %lld", (long long)has->dims[0]);
    return yki_fail_at(YOKE_INVALID, file, 0, "", "a sample's inputs are %s, and the model's input is %s%s",
                       shape(a, has, ""), shape(b, wants, ""), advice);
}

/* ---- targets ---- */

/* The first layer that makes outputs for each of several places; NULL: none. */
static const char *layer_of_places(const yoke_model *model)
{
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (node->op == YKI_KERNEL_LINEAR && node->layer >= 0 && model->values[node->in[0]].ndim > 1)
            return model->layers[node->layer].name;
    }
    return NULL;
}

static yoke_status refuse_numbers(const yoke_data *data)
{
    const char *file = file_of(data->target_file);
    if (data->targets.count == 1)
        return yki_fail_at(
            YOKE_INVALID, file, data->odd_line, "",
            "%.100s is %s, and cross_entropy wants classes, whole numbers from 0 or words: for "
            "numbers train.loss: mse",
            data->targets.names[0], data->odd_shown);
    if (data->targets.count > 1)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "%d target columns are numbers, and cross_entropy wants one column of classes: for "
            "numbers train.loss: mse",
            data->targets.count);
    return yki_fail_at(
        YOKE_INVALID, file, 0, "",
        "the targets are saved as numbers with fractions, and cross_entropy wants classes: save "
        "y.astype('int64') if they are, and for numbers train.loss: mse");
}

static yoke_status refuse_places(const yoke_data *data, const yoke_model *model, const yoke_row *wants,
                                 const yoke_row *output)
{
    char a[SHAPE], b[SHAPE], places[SHAPE];
    const char *file = file_of(data->target_file), *layer = layer_of_places(model);
    const yoke_row *has = &data->native_target;
    int64_t classes = output->dims[output->ndim - 1];
    if (wants->ndim > 0 && has->ndim == 0) {
        int n = 0;
        for (int i = 0; i < wants->ndim; i++)
            n += snprintf(places + n, (size_t)(SHAPE - n), "%s%lld", i ? " x " : "",
                          (long long)wants->dims[i]);
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "a sample has one class, and the model's output is %s: a class for each of %s places; is "
            "a flatten missing%s%s?",
            shape(a, output, ""), places, layer ? " before layer " : "", layer ? layer : "");
    }
    if (wants->ndim == 0 && has->ndim == 1 && has->dims[0] == classes)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "a sample has %lld whole numbers, and cross_entropy wants the number of one of %lld "
            "classes: if one of them is 1 and the others 0, save y.argmax(1)",
            (long long)classes, (long long)classes);
    return yki_fail_at(YOKE_INVALID, file, 0, "",
                       "a sample's classes are %s, and the model's output is %s, which makes classes %s",
                       shape(a, has, ""), shape(b, output, ""), shape(places, wants, ""));
}

static yoke_status refuse_targets(const yoke_data *data, const yoke_model *model, const yoke_row *wants)
{
    const yoke_row *has = &data->native_target, output = row_of(&model->values[model->output]);
    char a[SHAPE], b[SHAPE], advice[2 * SHAPE];
    const char *file = file_of(data->target_file);
    if (wants->type == YOKE_I32 && has->type == YOKE_F32) return refuse_numbers(data);
    if (wants->type == YOKE_I32) return refuse_places(data, model, wants, &output);
    if (has->type == YOKE_I32 && (data->classes.count || data->tokens || has->ndim == 0))
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "a sample's target is %s, and mse compares numbers with the model's output, %s: for "
            "classes train.loss: cross_entropy",
            data->classes.count ? "a word, which is a class"
            : data->tokens      ? "token ids"
                                : "one whole number",
            shape(b, &output, ""));
    if (data->targets.count)
        return yki_fail_at(
            YOKE_INVALID, file, 0, "",
            "has %d target column%s, and the model's output is %s: a number for each is compared",
            data->targets.count, data->targets.count > 1 ? "s" : "", shape(b, &output, ""));
    advise(advice, has, wants, "y", NULL);
    return yki_fail_at(YOKE_INVALID, file, 0, "", "a sample's targets are %s, and the model's output is %s%s",
                       shape(a, has, ""), shape(b, &output, ""), advice);
}

/* Words are one a class, and the model has an output for each. */
static yoke_status check_words(const yoke_data *data, int64_t outputs)
{
    char words[300] = "";
    size_t n = 0;
    if (!data->classes.count || outputs == 0 || data->classes.count == outputs) return YOKE_OK;
    for (int i = 0; i < data->classes.count && n < sizeof words - 60; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%.40s", i ? ", " : "",
                              n < sizeof words - 110 ? data->classes.names[i] : "...");
    return yki_fail_at(
        YOKE_INVALID, file_of(data->target_file), 0, "",
        "%.100s has %d different words (%s), and the model has %lld outputs: one for each class "
        "is needed",
        data->targets.names[0], data->classes.count, words, (long long)outputs);
}

/* ---- all ---- */

int64_t yki_model_tokens(const yoke_model *model)
{
    int64_t limit = 256;
    bool found = false;
    for (int i = 0; i < model->nnodes; i++)
        if (model->nodes[i].op == YKI_KERNEL_EMBED) {
            int64_t rows = model->values[model->nodes[i].in[1]].dims[0];
            limit = !found || rows < limit ? rows : limit;
            found = true;
        }
    return limit;
}

int64_t yki_model_classes(const yoke_model *model)
{
    const yki_value *output = &model->values[model->output];
    return model->loss == YOKE_CROSS_ENTROPY ? output->dims[output->ndim - 1] : 0;
}

yoke_status yki_model_view(const yoke_model *model, yoke_data *data)
{
    yoke_row input = row_of(&model->values[model->input]), target = row_of(&model->values[model->target]);
    bool fits = yki_row_fits(&data->native_input, &input, true) && !(input.type == YOKE_F32 && data->tokens);
    if (!fits) return refuse_inputs(data, model, &input);
    if (input.type == YOKE_F32 && data->byte_most >= LARGE_BYTE)
        YKI_TRY(yki_data_note(
            data,
            "%s: bytes in one row are taken as the numbers they are, 0 .. %d; those of pictures, "
            "[n, height, width], are divided by 255",
            file_of(data->input_file), data->byte_most));
    if (data->no_targets) return yki_data_view(data, &input, NULL);
    fits = yki_row_fits(&data->native_target, &target, false) &&
           !(target.type == YOKE_F32 && (data->classes.count || data->tokens));
    if (!fits) return refuse_targets(data, model, &target);
    YKI_TRY(check_words(data, yki_model_classes(model)));
    return yki_data_view(data, &input, &target);
}

yoke_status yki_trainer_check_data(const yoke_trainer *trainer, yoke_data *data)
{
    const yoke_model *model = trainer->model;
    YKI_TRY(yki_model_view(model, data));
    return yki_data_check(data, yki_model_tokens(model), yki_model_classes(model));
}
