/* What all datasets have in common: rows, views, reading by number, and the table of formats. */
#include "data/data.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/text.h"
#include "data/files.h"

yoke_status yki_row_check(const yoke_row *row, const char *what, int64_t *elements_out)
{
    if (row->type != YOKE_F32 && row->type != YOKE_I32)
        return yki_fail(YOKE_INVALID, "the %s row has an unknown element type %d", what, (int)row->type);
    if (row->ndim < 0 || row->ndim > YOKE_MAX_DIMS)
        return yki_fail(YOKE_INVALID, "the %s row has %d dims; 0 to %d are possible", what, row->ndim,
                        YOKE_MAX_DIMS);
    int64_t elements = 1, bytes;
    for (int dim = 0; dim < row->ndim; dim++) {
        if (row->dims[dim] <= 0)
            return yki_fail(YOKE_INVALID, "dim %d of the %s row is %lld; it must be at least 1", dim, what,
                            (long long)row->dims[dim]);
        if (__builtin_mul_overflow(elements, row->dims[dim], &elements))
            return yki_fail(YOKE_INVALID, "the %s row has more elements than can be counted", what);
    }
    if (__builtin_mul_overflow(elements, (int64_t)4, &bytes) || (uint64_t)bytes > (uint64_t)(SIZE_MAX / 2))
        return yki_fail(YOKE_INVALID, "the %s row has more bytes than can be counted", what);
    *elements_out = elements;
    return YOKE_OK;
}

char *yki_row_print(char buffer[192], const yoke_row *row)
{
    int length = snprintf(buffer, 192, "%s [", row->type == YOKE_F32 ? "f32" : "i32");
    for (int dim = 0; dim < row->ndim && dim < YOKE_MAX_DIMS; dim++)
        length += snprintf(buffer + length, (size_t)(192 - length), dim ? ", %lld" : "%lld",
                           (long long)row->dims[dim]);
    snprintf(buffer + length, (size_t)(192 - length), "]");
    return buffer;
}

yoke_status yki_data_create(void *data_out, size_t size, const yki_data_ops *ops)
{
    yoke_data *data = calloc(1, size);
    if (!data) return yki_fail_memory("a dataset");
    data->ops = ops;
    memcpy(data_out, &data, sizeof data);
    return YOKE_OK;
}

static yoke_status finish(yoke_data *data, int64_t samples, const yoke_row *input, const yoke_row *target)
{
    if (samples <= 0)
        return yki_fail(YOKE_INVALID, "a dataset has %lld samples; it needs at least one",
                        (long long)samples);
    YKI_TRY(yki_row_check(input, "input", &data->input_elements));
    YKI_TRY(yki_row_check(target, "target", &data->target_elements));
    data->samples = samples;
    data->native_input = data->input = *input;
    data->native_target = data->target = *target;
    return YOKE_OK;
}

yoke_status yki_data_finish(yoke_data *data, int64_t samples, const yoke_row *input, const yoke_row *target,
                            yoke_data **data_out)
{
    yoke_status status = finish(data, samples, input, target);
    if (status != YOKE_OK) {
        yoke_data_destroy(data);
        return status;
    }
    *data_out = data;
    return YOKE_OK;
}

/* The dims that are not 1. */
static int squeeze(const yoke_row *row, int64_t dims[YOKE_MAX_DIMS])
{
    int count = 0;
    for (int i = 0; i < row->ndim; i++)
        if (row->dims[i] != 1) dims[count++] = row->dims[i];
    return count;
}

bool yki_row_fits(const yoke_row *has, const yoke_row *wanted, bool flattens)
{
    int64_t a[YOKE_MAX_DIMS], b[YOKE_MAX_DIMS], in_a = 1, in_b = 1;
    int na = squeeze(has, a), nb = squeeze(wanted, b);
    if (has->type != wanted->type && wanted->type != YOKE_F32) return false;
    bool same = na == nb;
    for (int i = 0; same && i < na; i++) same = a[i] == b[i];
    for (int i = 0; i < na; i++) in_a *= a[i];
    for (int i = 0; i < nb; i++) in_b *= b[i];
    return same || (flattens && in_a == in_b && (nb <= 1 || (na <= 1 && nb == 2)));
}

static yoke_status check_view(const yoke_row *has, const yoke_row *wanted, bool flattens, const char *what)
{
    int64_t elements = 0;
    YKI_TRY(yki_row_check(wanted, what, &elements));
    if (yki_row_fits(has, wanted, flattens)) return YOKE_OK;
    char has_text[192], wanted_text[192];
    return yki_fail(YOKE_INVALID, "each sample's %s in the data is %s; the model needs %s", what,
                    yki_row_print(has_text, has), yki_row_print(wanted_text, wanted));
}

yoke_status yki_data_view(yoke_data *data, const yoke_row *input, const yoke_row *target)
{
    if (!input) input = &data->native_input;
    if (!target) target = &data->native_target;
    YKI_TRY(check_view(&data->native_input, input, true, "input"));
    YKI_TRY(check_view(&data->native_target, target, false, "target"));
    if (target->type == YOKE_F32 && data->uncounted > 0)
        return yki_fail_at(
            YOKE_INVALID, data->target_file ? data->target_file : "", 0, "",
            "%lld of its targets are -100, which marks classes and tokens that are not counted; "
            "the model is to predict numbers, of which none is left out",
            (long long)data->uncounted);
    data->input = *input;
    data->target = *target;
    return YOKE_OK;
}

int64_t yoke_data_samples(const yoke_data *data)
{
    if (!data) return 0;
    return data->samples;
}

void yoke_data_rows(const yoke_data *data, yoke_row *input, yoke_row *target)
{
    if (!data) return;
    if (input) *input = data->input;
    if (target) *target = data->target;
}

int64_t yoke_data_length(yoke_data *data, int64_t index)
{
    if (!data || index < 0 || index >= data->samples) return 0;
    return data->ops->length ? data->ops->length(data, index) : data->input_elements;
}

/* Through bytes: the caller's buffer holds i32 before and f32 after. */
static void become_float(void *buffer, int64_t elements)
{
    unsigned char *bytes = buffer;
    for (int64_t i = 0; i < elements; i++) {
        int32_t integer;
        memcpy(&integer, bytes + 4 * i, 4);
        float real = (float)integer;
        memcpy(bytes + 4 * i, &real, 4);
    }
}

/* Either may be NULL. */
static yoke_status get(yoke_data *data, int64_t index, void *input, void *target)
{
    if (index < 0 || index >= data->samples)
        return yki_fail(YOKE_INVALID, "sample %lld was asked for; the dataset has samples 0 to %lld",
                        (long long)index, (long long)data->samples - 1);
    if (data->no_targets && target)
        return yki_fail(YOKE_INVALID, "a target was asked for; the dataset was opened for its inputs alone");
    YKI_TRY(data->ops->read(data, index, input, target));
    if (input && data->input.type != data->native_input.type) become_float(input, data->input_elements);
    if (target && data->target.type != data->native_target.type) become_float(target, data->target_elements);
    return YOKE_OK;
}

yoke_status yoke_data_get(yoke_data *data, int64_t index, void *input, void *target)
{
    YKI_NEED(data, input);
    return get(data, index, input, target);
}

yoke_status yki_data_get_inputs(yoke_data *data, int64_t index, void *input)
{
    return get(data, index, input, NULL);
}

yoke_status yki_data_get_real(yoke_data *data, int64_t index, float *input, void *target, double *real)
{
    YKI_TRY(get(data, index, input, target));
    if (data->real) return data->ops->read_real(data, index, real);
    for (int64_t i = 0; i < data->input_elements; i++) real[i] = (double)input[i];
    return YOKE_OK;
}

yoke_status yki_data_get_target(yoke_data *data, int64_t index, void *target)
{
    return get(data, index, NULL, target);
}

yoke_status yki_data_look(yoke_data *data)
{
    enum { OFTEN_NS = 20000000 };
    if (!data->files[0] && !data->list) return YOKE_OK;
    int64_t ns = (int64_t)yki_now_ns();
    if (ns - data->looked_ns < OFTEN_NS) return YOKE_OK;
    data->looked_ns = ns;
    for (int i = 0; i < 2 && data->files[i]; i++) YKI_TRY(yki_file_look(data->files[i]));
    if (data->list) YKI_TRY(yki_files_look(data->list));
    return YOKE_OK;
}

/* ---- checking ids ---- */

yoke_status yki_fail_token(const char *file, int64_t sample, int64_t token, int64_t limit)
{
    return yki_fail_at(YOKE_INVALID, file ? file : "", 0, "",
                       "sample %lld has token %lld, and the model knows 0 .. %lld", (long long)sample,
                       (long long)token, (long long)limit - 1);
}

const char *yki_class_advice(int64_t limit, int64_t least, int64_t most)
{
    return limit == 1                    ? ": one output tells nothing apart; for numbers train.loss: mse"
           : least == 1 && most == limit ? ": classes count from 0"
                                         : "";
}

yoke_status yki_fail_class(const char *file, int64_t sample, int64_t value, int64_t limit, int64_t least,
                           int64_t most)
{
    return yki_fail_at(YOKE_INVALID, file ? file : "", 0, "",
                       "sample %lld has class %lld, and the model knows 0 .. %lld (the data have %lld .. "
                       "%lld)%s",
                       (long long)sample, (long long)value, (long long)limit - 1, (long long)least,
                       (long long)most, yki_class_advice(limit, least, most));
}

/* The first id of a row that is none, in *bad; false: there is none. `mark` is none of them, and no fault. */
static bool find_bad(const int32_t *ids, int64_t count, int64_t limit, int32_t mark, int64_t *bad)
{
    for (int64_t i = 0; i < count && limit > 0; i++)
        if ((ids[i] < 0 && ids[i] != mark) || ids[i] >= limit) {
            *bad = ids[i];
            return true;
        }
    return false;
}

static yoke_status check_rows(yoke_data *data, int64_t inputs, int64_t targets, int32_t *input,
                              int32_t *target)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < data->samples; i++) {
        YKI_TRY(yoke_data_get(data, i, input, target));
        if (find_bad(input, data->input_elements, inputs, 0, &bad))
            return yki_fail_token(data->input_file, i, bad, inputs);
        if (target && find_bad(target, data->target_elements, targets, YOKE_UNCOUNTED, &bad))
            return yki_fail(YOKE_INVALID, "sample %lld has class %lld, and the model knows 0 .. %lld",
                            (long long)i, (long long)bad, (long long)targets - 1);
    }
    return YOKE_OK;
}

yoke_status yki_data_check(yoke_data *data, int64_t inputs, int64_t targets)
{
    if (data->input.type != YOKE_I32) inputs = 0;
    if (data->target.type != YOKE_I32 || data->no_targets) targets = 0;
    if (inputs == 0 && targets == 0) return YOKE_OK;
    if (data->ops->check) return data->ops->check(data, inputs, targets);
    int32_t *input = malloc(sizeof *input * (size_t)data->input_elements);
    int32_t *target = malloc(sizeof *target * (size_t)data->target_elements);
    yoke_status status = input && target
                             ? check_rows(data, inputs, targets, input, data->no_targets ? NULL : target)
                             : yki_fail_memory("a sample");
    free(input);
    free(target);
    return status;
}

yoke_status yki_data_note(yoke_data *data, const char *format, ...)
{
    char note[sizeof((yoke_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(note, sizeof note, format, arguments);
    va_end(arguments);
    for (int i = 0; i < data->notes.count; i++)
        if (strcmp(data->notes.names[i], note) == 0) return YOKE_OK; /* it is said once */
    return yki_names_add(&data->notes, note, (int)strlen(note));
}

void yoke_data_destroy(yoke_data *data)
{
    YKI_KEEP_RECORD;
    if (!data) return;
    if (data->ops->release) data->ops->release(data);
    yki_names_release(&data->columns);
    yki_names_release(&data->targets);
    yki_names_release(&data->classes);
    yki_names_release(&data->notes);
    free(data);
}

static yoke_status open_text(yoke_data **out, const yki_data_spec *spec)
{
    return spec->tokenizer ? yki_data_from_tokenized(out, spec) : yki_data_from_text(out, spec);
}

static yoke_status open_npy(yoke_data **out, const yki_data_spec *spec)
{
    return yki_data_from_npy(out, spec->inputs, spec->no_targets ? NULL : spec->targets);
}

static yoke_status open_idx(yoke_data **out, const yki_data_spec *spec)
{
    return yki_data_from_idx(out, spec->inputs, spec->no_targets ? NULL : spec->targets);
}

static yoke_status open_random(yoke_data **out, const yki_data_spec *spec)
{
    return yoke_data_random(out, spec->samples, &spec->input, spec->input_limit, &spec->target,
                            spec->target_limit, spec->seed);
}

enum { NEEDS_PATH = 1, NEEDS_PAIR = 2 };

static const struct {
    const char *name;
    int needs;
    yoke_status (*open)(yoke_data **out, const yki_data_spec *spec);
} formats[] = {
    {"text", NEEDS_PATH, open_text},
    {"tokens", NEEDS_PATH, yki_data_from_tokens},
    {"npy", NEEDS_PAIR, open_npy},
    {"idx", NEEDS_PAIR, open_idx},
    {"csv", NEEDS_PATH, yki_data_from_csv},
    {"random", 0, open_random},
    {"jsonl", NEEDS_PATH, yki_data_from_jsonl},
};
enum { NFORMATS = sizeof formats / sizeof *formats };

const char *yki_data_format(int i)
{
    return i >= 0 && i < NFORMATS ? formats[i].name : NULL;
}

static yoke_status need(const char *value, const char *format, const char *key, const char *name)
{
    if (value && *value) return YOKE_OK;
    return yki_fail_at(YOKE_INVALID, "", 0, key, "is missing: data of format %s needs its %s", format, name);
}

static yoke_status unknown_format(const char *format)
{
    const char *names[NFORMATS];
    for (int i = 0; i < NFORMATS; i++) names[i] = formats[i].name;
    const char *nearest = yki_nearest(format, names, NFORMATS);
    if (nearest)
        return yki_fail_at(YOKE_INVALID, "", 0, "data.format",
                           "\"%s\" is no format of data; did you mean \"%s\"?", format, nearest);
    yki_text known = {0};
    for (int i = 0; i < NFORMATS; i++) yki_text_append(&known, i ? ", %s" : "%s", names[i]);
    char *list = yki_text_take(&known);
    yki_fail_at(YOKE_INVALID, "", 0, "data.format", "\"%s\" is no format of data; there are %s", format,
                list ? list : "others");
    free(list);
    return YOKE_INVALID;
}

yoke_status yki_data_open(yoke_data **data_out, const yki_data_spec *spec)
{
    const char *format = spec->format;
    if (!format) return yki_fail_at(YOKE_INVALID, "", 0, "data.format", "is missing");
    for (int i = 0; i < NFORMATS; i++) {
        if (strcmp(format, formats[i].name) != 0) continue;
        if (formats[i].needs == NEEDS_PATH)
            YKI_TRY(need(spec->npaths ? spec->paths[0] : NULL, format, "data.path", "file"));
        if (formats[i].needs == NEEDS_PAIR) {
            YKI_TRY(need(spec->inputs, format, "data.inputs", "file of samples"));
            if (!spec->no_targets) YKI_TRY(need(spec->targets, format, "data.targets", "file of targets"));
        }
        return formats[i].open(data_out, spec);
    }
    return unknown_format(format);
}
