/* A job as YAML: the table's rows in order, those at their default left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/job.h"
#include "job/read.h"
#include "job/value.h"
#include "optim/optimizer.h"

static void print_devices(yki_text *text, const yoke_layout *layout)
{
    char name[YOKE_DEVICE_NAME_BYTES];
    if (yki_layout_is_counted(layout)) {
        yki_text_append(text, "%d", layout->ndevices);
        return;
    }
    for (int i = 0; i < layout->ndevices; i++) {
        yoke_layout_device_name(layout, i, name);
        yki_text_append(text, "%s%s", i ? "," : "[", name);
    }
    yki_text_append(text, "]");
}

static void print_name(yki_text *text, const yki_key *key, const char *field)
{
    int value = 0;
    if (key->size == sizeof(bool))
        value = *(const bool *)field;
    else
        memcpy(&value, field, sizeof value);
    yki_text_append(text, "%s", key->names[value - key->first]);
}

static void print_whole(yki_text *text, const yki_key *key, const char *field)
{
    int64_t wide;
    int narrow;
    if (key->size == sizeof narrow) {
        memcpy(&narrow, field, sizeof narrow);
        wide = narrow;
    } else {
        memcpy(&wide, field, sizeof wide);
    }
    if (key->kind == YKI_KEY_SWITCH)
        yki_text_append(text, wide > 0 ? "true" : wide == 0 ? "false" : "null");
    else
        yki_text_append(text, "%lld", (long long)wide);
}

static void print_recompute(yki_text *text, const yki_key *key, const yoke_layout *layout)
{
    for (int i = 0; i < layout->nrecompute; i++)
        yki_text_append(text, "%s%s", i ? "," : "[", key->names[layout->recompute_of[i]]);
    yki_text_append(text, "%s", layout->nrecompute ? "]" : key->names[layout->recompute]);
}

static void print_shape(yki_text *text, const yoke_model_spec *model)
{
    for (int i = 0; i < model->input_ndim; i++)
        yki_text_append(text, "%s%lld", i ? ", " : "[", (long long)model->input[i]);
    yki_text_append(text, model->input_ndim ? "]" : "[]");
}

static void print_texts(yki_text *text, char *const *list, int count)
{
    yki_text_append(text, "[");
    for (int i = 0; i < count; i++) {
        yki_text_append(text, i ? ", " : "");
        yki_value_print_text(text, list[i]);
    }
    yki_text_append(text, "]");
}

/* One as a text, as a job has it most often. */
static void print_paths(yki_text *text, const yoke_data_spec *data)
{
    if (data->paths.count <= 1)
        yki_value_print_text(text, data->paths.count ? data->paths.list[0] : "");
    else
        print_texts(text, data->paths.list, data->paths.count);
}

static void print_schedule(yki_text *text, const yki_key *key, const char *field)
{
    for (int i = 0; key->names[i]; i++) {
        if (strcmp(key->names[i], field) == 0) {
            yki_text_append(text, "%s", field);
            return;
        }
    }
    yki_value_print_text(text, field);
}

static void print_layers(yki_text *text, const yoke_layer *layers, int nlayers, const char *before)
{
    for (int i = 0; i < nlayers; i++) {
        yki_text_append(text, "%s", i || *before == '\n' ? before : "");
        yki_layer_print(text, &layers[i]);
    }
}

static void print_numbers(yki_text *text, const yki_key *key, const char *field)
{
    double number;
    for (size_t at = 0; at < key->size; at += sizeof number) {
        memcpy(&number, field + at, sizeof number);
        yki_text_append(text, "%s", at > 0 ? ", " : "[");
        yki_value_print_double(text, number);
    }
    yki_text_append(text, "]");
}

void yki_key_print(yki_text *text, const yki_key *key, const void *base)
{
    const char *field = (const char *)base + key->offset;
    const yoke_job *job = base; /* where the key is one of a job's own kinds */
    double number;
    int64_t wide;
    switch (key->kind) {
    case YKI_KEY_INT:
    case YKI_KEY_SWITCH:
        print_whole(text, key, field);
        break;
    case YKI_KEY_SEED: {
        uint64_t seed;
        memcpy(&seed, field, sizeof seed);
        yki_text_append(text, "%llu", (unsigned long long)seed);
        break;
    }
    case YKI_KEY_DOUBLE:
        memcpy(&number, field, sizeof number);
        yki_value_print_double(text, number);
        break;
    case YKI_KEY_BOOL:
        yki_text_append(text, *(const bool *)field ? "true" : "false");
        break;
    case YKI_KEY_NAME:
        print_name(text, key, field);
        break;
    case YKI_KEY_PATH:
        yki_value_print_text(text, field);
        break;
    case YKI_KEY_BYTES:
        memcpy(&wide, field, sizeof wide);
        yki_value_print_bytes(text, wide);
        break;
    case YKI_KEY_SCHEDULE:
        print_schedule(text, key, field);
        break;
    case YKI_KEY_DEVICES:
        print_devices(text, &job->layout);
        break;
    case YKI_KEY_STAGES:
        print_recompute(text, key, &job->layout);
        break;
    case YKI_KEY_SHAPE:
        print_shape(text, &job->model);
        break;
    case YKI_KEY_NUMBERS:
        print_numbers(text, key, field);
        break;
    case YKI_KEY_LAYOUTS:
        yki_value_print_text(text, (const char *)field);
        break;
    case YKI_KEY_PATHS:
        print_paths(text, &job->data);
        break;
    case YKI_KEY_COLUMNS:
        print_texts(text, job->data.target_columns, job->data.ntarget_columns);
        break;
    case YKI_KEY_TEXTS:
        print_texts(text, ((const yoke_texts *)(const void *)field)->list,
                    ((const yoke_texts *)(const void *)field)->count);
        break;
    case YKI_KEY_LAYERS:
        print_layers(text, job->model.layers, job->model.nlayers, "\n    - ");
        break;
    }
}

/* The value as text if it is to be printed: it is not what `standard` has, or is shown all the same. Sets
 * *failed where memory is out. */
static char *value_text(const yki_key *key, const void *base, const void *standard, bool shown, bool *failed)
{
    yki_text value = {0}, usual = {0};
    yki_text_append_bytes(&value, "", 0); /* so that nothing is an empty text, not NULL */
    yki_text_append_bytes(&usual, "", 0);
    yki_key_print(&value, key, base);
    yki_key_print(&usual, key, standard);
    bool lost = value.failed || usual.failed, same = !lost && strcmp(value.data, usual.data) == 0;
    *failed |= lost;
    yki_text_release(&usual);
    if (lost || (same && !shown)) {
        yki_text_release(&value);
        return NULL;
    }
    return yki_text_take(&value);
}

void yki_layer_print(yki_text *text, const yoke_layer *layer)
{
    int variant = yki_layer_variant(layer);
    const yki_reader reader = {.file = ""};
    yoke_layer standard;
    yki_layer_init(&standard, variant);
    yki_text_append(text, "{type: %s", yki_layer_names[variant]);
    for (int k = 0; k < yki_layer_nkeys; k++) {
        const yki_key *key = &yki_layer_keys[k];
        if (!yki_key_fits(key, variant)) continue;
        if (key->kind == YKI_KEY_LAYERS) {
            yki_text_append(text, ", layers: [");
            print_layers(text, layer->layers, layer->nlayers, ", ");
            yki_text_append(text, "]");
            continue;
        }
        const yki_yaml node = {.kind = YKI_YAML_SCALAR, .text = (char *)key->standard};
        if (key->standard)
            yki_reader_value(&reader, key, &node, key->path, &standard);
        else if (strcmp(key->path, "stride") == 0)
            standard.stride = layer->kernel;
        char *value = value_text(key, layer, &standard, yki_key_needed(key, variant, false), &text->failed);
        if (value) yki_text_append(text, ", %s: %s", key->path, value);
        free(value);
    }
    yki_text_append(text, "}");
}

/* A job that says only what decides about `job`'s defaults. */
static void fill_standard(yoke_job *standard, const yoke_job *job)
{
    yki_yaml root = {.kind = YKI_YAML_MAPPING};
    yki_job_init(standard);
    standard->model.family = job->model.family;
    standard->data.format = job->data.format;
    standard->train.optimizer = job->train.optimizer;
    standard->train.rate = job->train.rate;
    const yki_reader reader = {.file = "", .root = &root, .job = standard};
    yki_reader_read(&reader, "", false);
    yki_optimizer_settle(&standard->train);
    standard->layout.dp = 1;
    standard->train.steps = job->train.epochs > 0 ? 0 : -1; /* steps are always said where epochs are not */
    standard->train.rate = YOKE_RATE_CONSTANT;
}

/* Opens the sections of `path` that those of `before` do not share: "train.optimizer.lr" after "train.steps".
 */
static void open_sections(yki_text *text, const char *path, const char *before)
{
    int depth = 0;
    bool shared = true;
    for (const char *start = path, *dot; (dot = strchr(start, '.')); start = dot + 1, depth++) {
        size_t length = (size_t)(dot - path) + 1;
        shared = shared && strncmp(path, before, length) == 0;
        if (!shared) yki_text_append(text, "%*s%.*s:\n", 2 * depth, "", (int)(dot - start), start);
    }
    yki_text_append(text, "%*s%s:", 2 * depth, "", path + (strrchr(path, '.') - path) + 1);
}

char *yoke_job_print(const yoke_job *job)
{
    if (!job) return NULL;
    yki_text text = {0};
    yoke_job *standard = malloc(sizeof *standard);
    const char *before = "";
    bool layout = false;
    if (!standard) return NULL;
    fill_standard(standard, job);
    for (int i = 0; i < yki_job_nkeys; i++) {
        const yki_key *key = &yki_job_keys[i];
        int variant = yki_selector_value(job, key->by);
        bool shown = key->always || yki_key_needed(key, variant, job->model.from[0]);
        if (!yki_key_fits(key, variant)) continue;
        char *value = value_text(key, job, standard, shown, &text.failed);
        if (!value) continue;
        open_sections(&text, key->path, before);
        yki_text_append(&text, "%s%s\n", *value == '\n' ? "" : " ", value);
        free(value);
        layout = layout || strncmp(key->path, "layout.", 7) == 0;
        before = key->path;
    }
    if (job->has_layout && !layout) yki_text_append(&text, "layout: {}\n");
    free(standard);
    return yki_text_take(&text);
}
