/* What is allowed and yet teaches nothing, or not what was meant: found in the data before the first step,
 * and said. Nothing here refuses; a dataset that is read by a callback is not looked at. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

enum {
    LOOKED_AT = 1000,       /* samples whose inputs are looked at, evenly over all, */
    MOST_NUMBERS = 1 << 24, /* of not many more numbers than these */
    MOST_SAMPLES = 1 << 22, /* whose classes are */
    MOST_CLASSES = 1 << 20,
    MUCH_LARGER = 1000,
    LARGE_PIXEL = 100
};

/* ---- classes ---- */

/* Which classes are trained on (1) and held out (2). false: they cannot be told. */
static bool find_classes(yoke_trainer *trainer, unsigned char *seen)
{
    int64_t classes = yki_model_classes(trainer->model);
    const yki_order *order = &trainer->order;
    int32_t class;
    for (int64_t p = 0; p < order->samples + order->held; p++) {
        if (yki_data_get_target(trainer->data, yki_order_place(order, p), &class) != YOKE_OK) return false;
        if (class == YOKE_UNCOUNTED) continue;
        if (class < 0 || class >= classes) return false;
        seen[class] |= p < order->samples ? 1 : 2;
    }
    return true;
}

/* "8, 9": the classes that were seen so, by their words where they have some. Returns how many. */
static int64_t list(const yoke_trainer *trainer, const unsigned char *seen, unsigned char how, char *out,
                    size_t size)
{
    int64_t count = 0, classes = yki_model_classes(trainer->model);
    size_t n = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (seen[c] != how) continue;
        if (n + 64 > size) {
            if (n + 6 < size) snprintf(out + n, size - n, ", ...");
            n = size;
        } else if (trainer->facts.classes.count > c) {
            n += (size_t)snprintf(out + n, size - n, "%s%.40s", count ? ", " : "",
                                  trainer->facts.classes.names[c]);
        } else {
            n += (size_t)snprintf(out + n, size - n, "%s%lld", count ? ", " : "", (long long)c);
        }
        count++;
    }
    return count;
}

static void say_classes(yoke_trainer *trainer, const unsigned char *seen)
{
    char names[240] = "", all[240] = "";
    int64_t held_alone = list(trainer, seen, 2, names, sizeof names), trained = 0;
    int64_t classes = yki_model_classes(trainer->model);
    for (int64_t c = 0; c < classes; c++) trained += seen[c] & 1;
    if (held_alone > 0)
        yki_trainer_note(
            trainer,
            "class%s %s: in the share held out alone, and in none of the %lld samples trained on, so it "
            "cannot be learnt; %s",
            held_alone > 1 ? "es" : "", names, (long long)trainer->order.samples,
            trainer->order.drawn ? "more samples of it are needed"
                                 : "if the file is sorted, data.holdout_by: draw takes the share from all "
                                   "of it");
    if (trained == 1) {
        for (int64_t c = 0; c < classes; c++)
            if (seen[c] & 1) list(trainer, seen, seen[c], all, sizeof all);
        yki_trainer_note(trainer, "all samples trained on are of one class, %s: nothing is to be told apart",
                         all);
    }
}

static void look_at_classes(yoke_trainer *trainer)
{
    const yki_order *order = &trainer->order;
    const yki_value *target = &trainer->model->values[trainer->model->target];
    int64_t classes = yki_model_classes(trainer->model);
    if (classes == 1)
        yki_trainer_note(
            trainer, "the model has one output, and cross_entropy over one class is always 0: for numbers "
                     "train.loss: mse");
    if (classes < 2 || classes > MOST_CLASSES || yki_value_elems(target) != 1 ||
        order->samples + order->held > MOST_SAMPLES)
        return;
    unsigned char *seen = calloc((size_t)classes, 1);
    if (seen && find_classes(trainer, seen)) say_classes(trainer, seen);
    free(seen);
}

/* ---- tokens ---- */

/* Targets that are their inputs, of a model that sees them: it learns to copy. */
static void look_at_tokens(yoke_trainer *trainer)
{
    enum { SOME = 64 };
    const yki_order *order = &trainer->order;
    const yoke_data *data = trainer->data;
    if (!trainer->model->is_sequence || data->input.type != YOKE_I32 || data->target.type != YOKE_I32 ||
        data->input_elements != data->target_elements)
        return;
    size_t bytes = sizeof(int32_t) * (size_t)data->input_elements;
    int32_t *inputs = malloc(bytes), *targets = malloc(bytes);
    bool same = inputs && targets, varied = false;
    for (int64_t p = 0; same && p < order->samples && p < SOME; p++) {
        same = yoke_data_get(trainer->data, yki_order_place(order, p), inputs, targets) == YOKE_OK &&
               memcmp(inputs, targets, bytes) == 0;
        for (int64_t i = 1; same && i < data->input_elements; i++) varied |= inputs[i] != inputs[0];
    }
    if (same && varied)
        yki_trainer_note(
            trainer, "the targets are the inputs themselves, which the model sees: it learns to copy; the "
                     "target at each place is the next token, which nothing here shifts");
    free(inputs);
    free(targets);
}

/* ---- how large inputs are ---- */

/* The largest of each column, of samples taken evenly. false: they cannot be told. */
static bool find_sizes(yoke_trainer *trainer, float *input, float *largest, int64_t columns)
{
    const yki_order *order = &trainer->order;
    int64_t elements = trainer->data->input_elements;
    int64_t most_samples = MOST_NUMBERS / elements < LOOKED_AT ? MOST_NUMBERS / elements + 1 : LOOKED_AT;
    int64_t stride = order->samples / most_samples + 1;
    for (int64_t p = 0; p < order->samples; p += stride) {
        if (yki_data_get_inputs(trainer->data, yki_order_place(order, p), input) != YOKE_OK) return false;
        for (int64_t i = 0; i < elements; i++) {
            float size = fabsf(input[i]), *most = &largest[columns == elements ? i : 0];
            *most = size > *most ? size : *most;
        }
    }
    return true;
}

static char *column_name(const yoke_trainer *trainer, int64_t column, char out[64])
{
    if (trainer->facts.columns.count > column)
        snprintf(out, 64, "%.60s", trainer->facts.columns.names[column]);
    else
        snprintf(out, 64, "%lld", (long long)column);
    return out;
}

static void say_sizes(yoke_trainer *trainer, const float *largest, int64_t columns)
{
    int64_t most = 0, least = -1;
    char large[64], small[64];
    for (int64_t c = 0; c < columns; c++) {
        if (largest[c] > largest[most]) most = c;
        if (largest[c] > 0 && (least < 0 || largest[c] < largest[least])) least = c;
    }
    if (least < 0) return;
    double top = (double)largest[most], times = top / (double)largest[least];
    if (columns > 1 && times >= MUCH_LARGER)
        yki_trainer_note(
            trainer,
            "column %s reaches %.4g, and column %s %.4g: it is %.3g times larger, and without scaling this "
            "rarely trains; data.scale: standard",
            column_name(trainer, most, large), top, column_name(trainer, least, small),
            (double)largest[least], times);
    else if (top >= MUCH_LARGER || (trainer->data->input.ndim > 1 && top >= LARGE_PIXEL))
        yki_trainer_note(trainer, "the inputs reach %.4g: without scaling this rarely trains; data.scale: %s",
                         top, trainer->data->input.ndim > 1 ? "minmax" : "standard");
}

/* Whether the model's own first layer brings its inputs to one size. */
static bool normalises_first(const yoke_model *model)
{
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (yki_is_source(node->op) || node->op == YKI_OP_RESHAPE) continue;
        return node->op != YKI_KERNEL_LINEAR && node->op != YKI_KERNEL_CONV2D;
    }
    return true;
}

static void look_at_inputs(yoke_trainer *trainer)
{
    const yoke_data *data = trainer->data;
    if (data->input.type != YOKE_F32 || trainer->facts.scale != YOKE_SCALE_NONE ||
        normalises_first(trainer->model))
        return;
    int64_t columns = data->input.ndim == 1 ? data->input_elements : 1;
    float *input = malloc(sizeof *input * (size_t)data->input_elements);
    float *largest = calloc((size_t)columns, sizeof *largest);
    if (input && largest && find_sizes(trainer, input, largest, columns))
        say_sizes(trainer, largest, columns);
    free(input);
    free(largest);
}

/* ---- counts ---- */

static void look_at_counts(yoke_trainer *trainer)
{
    const yoke_train_options *t = &trainer->options;
    const yki_order *order = &trainer->order;
    if (t->holdout > 0 && order->held == 0)
        yki_trainer_note(trainer,
                         "a holdout of %g of %lld samples keeps none apart: nothing will be evaluated",
                         t->holdout, (long long)order->samples);
    if (t->batch > order->samples)
        yki_trainer_note(
            trainer, "a batch of %lld is more than the %lld samples to train on: each step takes all of them",
            (long long)t->batch, (long long)order->samples);
}

/* Of weights that do not train, how many do. */
static void look_at_frozen(yoke_trainer *trainer)
{
    int64_t all = yoke_model_parameters(trainer->model), frozen = 0;
    for (int i = 0; i < trainer->model->nparameters; i++)
        if (trainer->model->parameters[i].frozen) frozen += yki_trainer_elems(trainer, i);
    if (frozen > 0)
        yki_trainer_note(trainer, "%lld of %lld weights train (%.2g %%), the others are frozen",
                         (long long)(all - frozen), (long long)all,
                         100.0 * (double)(all - frozen) / (double)all);
}

void yki_trainer_look_at_data(yoke_trainer *trainer)
{
    yoke_error before = *yoke_error_get();
    look_at_frozen(trainer);
    look_at_counts(trainer);
    if (!trainer->data->made_up) {
        look_at_classes(trainer);
        look_at_tokens(trainer);
        look_at_inputs(trainer);
    }
    yki_error_set(&before);
}
