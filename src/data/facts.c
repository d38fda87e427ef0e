/* Facts of the data: made from samples, applied to them, written and read. */
#include "data/facts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"

static const char *const scales[] = {
    [YOKE_SCALE_NONE] = "none", [YOKE_SCALE_STANDARD] = "standard", [YOKE_SCALE_MINMAX] = "minmax"};
enum { NSCALES = sizeof scales / sizeof *scales };

const char *yki_scale_name(yoke_scale scale)
{
    return scales[scale];
}

void yki_facts_release(yki_facts *facts)
{
    yki_names_release(&facts->columns);
    yki_names_release(&facts->targets);
    yki_names_release(&facts->classes);
    free(facts->shift);
    free(facts->factor);
    *facts = (yki_facts){0};
}

/* ---- made from data ---- */

/* Of a column so far; by B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares", 1962.
 */
typedef struct running {
    double count, mean, squares, least, most;
} running;

static void add(running *r, double x)
{
    double before = x - r->mean;
    r->least = r->count == 0 || x < r->least ? x : r->least;
    r->most = r->count == 0 || x > r->most ? x : r->most;
    r->count++;
    r->mean += before / r->count;
    r->squares += before * (x - r->mean);
}

static int64_t columns_of(const yoke_row *input)
{
    return input->ndim > 0 ? input->dims[0] : 1;
}

static yoke_status add_samples(running *columns, int64_t ncolumns, yoke_data *data, const yki_order *order,
                               float *input, void *target, double *real)
{
    int64_t each = data->input_elements / ncolumns;
    for (int64_t p = 0; p < order->samples; p++) {
        int64_t sample = yki_order_place(order, p);
        YKI_TRY(yki_data_get_real(data, sample, input, target, real));
        for (int64_t c = 0; c < ncolumns; c++)
            for (int64_t i = 0; i < each; i++) {
                double x = real[c * each + i];
                if (!isfinite(x))
                    return yki_fail(YOKE_INVALID, "sample %lld has an input that is not finite",
                                    (long long)sample);
                add(&columns[c], x);
            }
    }
    return YOKE_OK;
}

static yoke_status make_room(yki_facts *facts, int64_t columns)
{
    facts->shift = calloc((size_t)columns, sizeof *facts->shift);
    facts->factor = calloc((size_t)columns, sizeof *facts->factor);
    facts->nscaled = columns;
    return facts->shift && facts->factor ? YOKE_OK : yki_fail_memory("the scales of columns");
}

/* Says it where a column's numbers are so large beside what they differ by that the bits that the data have
 * when they are scaled leave little or nothing of it: times since 1970 in f32, as an example. */
static yoke_status look_at_digits(const yki_facts *facts, yoke_data *data, int64_t column, const running *r,
                                  double spread)
{
    const double levels = 100, /* to a spread; below `whole` each whole number is one of its own */
        whole = data->real ? 0x1p53 : 0x1p24;
    double size = fmax(fabs(r->least), fabs(r->most)), step = size * 2 / whole;
    if (spread > 0 ? step * levels <= spread : size < whole) return YOKE_OK;
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)column);
    return yki_data_note(
        data,
        "column %.60s has numbers about %.4g, of which %d bits hold steps of %.3g, and they differ "
        "by %.3g: little of that is left; subtract a constant before they are saved",
        facts->columns.count > column ? facts->columns.names[column] : number, size, data->real ? 64 : 32,
        step, spread);
}

static yoke_status fit(yki_facts *facts, yoke_data *data, const yki_order *order)
{
    if (data->input.type != YOKE_F32)
        return yki_fail_at(YOKE_INVALID, "", 0, "data.scale",
                           "is %s, but the inputs are token ids, which have no scale; leave it out",
                           scales[facts->scale]);
    int64_t ncolumns = columns_of(&data->input);
    YKI_TRY(make_room(facts, ncolumns));
    running *columns = calloc((size_t)ncolumns, sizeof *columns);
    float *input = malloc(sizeof *input * (size_t)data->input_elements);
    void *target = malloc(sizeof(float) * (size_t)data->target_elements);
    double *real = malloc(sizeof *real * (size_t)data->input_elements);
    yoke_status status = columns && input && target && real
                             ? add_samples(columns, ncolumns, data, order, input, target, real)
                             : yki_fail_memory("the scales of columns");
    for (int64_t c = 0; c < ncolumns && status == YOKE_OK; c++) {
        const running *r = &columns[c];
        bool standard = facts->scale == YOKE_SCALE_STANDARD;
        double spread = standard ? sqrt(r->squares / r->count) : r->most - r->least;
        facts->shift[c] = standard ? r->mean : r->least;
        facts->factor[c] = spread > 0 && isfinite(1 / spread) ? 1 / spread : 1;
        status = look_at_digits(facts, data, c, r, spread);
    }
    free(columns);
    free(input);
    free(target);
    free(real);
    return status;
}

yoke_status yki_facts_make(yki_facts *facts, yoke_data *data, yoke_scale scale, const yki_order *order)
{
    yki_facts_release(facts);
    facts->scale = scale;
    yoke_status status = yki_names_copy(&facts->columns, &data->columns);
    if (status == YOKE_OK) status = yki_names_copy(&facts->targets, &data->targets);
    if (status == YOKE_OK) status = yki_names_copy(&facts->classes, &data->classes);
    if (!yki_row_fits(&data->native_input, &data->input, false)) {
        facts->ndim = data->native_input.ndim;
        memcpy(facts->dims, data->native_input.dims, sizeof facts->dims);
    }
    if (status == YOKE_OK && scale != YOKE_SCALE_NONE) status = fit(facts, data, order);
    if (status != YOKE_OK) yki_facts_release(facts);
    return status;
}

/* ---- used ---- */

yoke_status yki_facts_check(const yki_facts *facts, const yoke_row *input, const char *folder)
{
    char shown[192];
    if (facts->columns.count && (input->ndim != 1 || input->dims[0] != facts->columns.count))
        return yki_fail(YOKE_INVALID,
                        "%s/config.json names %d columns, and the model's input is %s: they belong to "
                        "different models",
                        folder, facts->columns.count, yki_row_print(shown, input));
    if (facts->scale != YOKE_SCALE_NONE && (input->type != YOKE_F32 || facts->nscaled != columns_of(input)))
        return yki_fail(YOKE_INVALID,
                        "%s/config.json has the scale of %lld columns, and the model's input is %s: they "
                        "belong to different models",
                        folder, (long long)facts->nscaled, yki_row_print(shown, input));
    return YOKE_OK;
}

/* One row means one order alone where it is a picture of one channel. */
static bool same_order(const yoke_row *a, const yoke_row *b)
{
    int64_t wide = 1;
    int dims = 0;
    for (int i = 0; i < a->ndim; i++) dims += a->dims[i] != 1;
    for (int i = 0; i < a->ndim; i++) wide *= a->dims[i];
    yoke_row row = {.type = b->type, .ndim = 1, .dims = {wide}};
    return yki_row_fits(a, b, false) || (dims <= 2 && yki_row_fits(&row, b, false));
}

yoke_status yki_facts_check_data(const yki_facts *facts, const yoke_data *data)
{
    char has[192], had[192];
    yoke_row now = data->native_input, then = {.type = YOKE_F32, .ndim = facts->ndim};
    memcpy(then.dims, facts->dims, sizeof then.dims);
    now.type = YOKE_F32;
    if (facts->ndim == 0) then = data->input;
    then.type = YOKE_F32;
    if (data->input.type != YOKE_F32 || same_order(&now, &then) || same_order(&then, &now)) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, data->input_file ? data->input_file : "", 0, "",
        "a sample's inputs are %s, and the model was trained on %s: its weights belong to elements in "
        "that order",
        yki_row_print(has, &now) + 4, yki_row_print(had, &then) + 4);
}

yoke_status yki_facts_apply(const yki_facts *facts, int64_t sample, const double *real, float *inputs,
                            int64_t elements)
{
    if (facts->scale == YOKE_SCALE_NONE) return YOKE_OK;
    int64_t each = elements / facts->nscaled;
    for (int64_t c = 0; c < facts->nscaled; c++)
        for (int64_t i = c * each; i < (c + 1) * each; i++) {
            double x = real ? real[i] : (double)inputs[i];
            inputs[i] = (float)((x - facts->shift[c]) * facts->factor[c]);
            if (!isfinite(inputs[i]))
                return yki_fail(
                    YOKE_INVALID,
                    "sample %lld: column %s%lld%s%s is %g, which scaled is larger than 32 bits hold",
                    (long long)sample, facts->columns.count ? "" : "number ", (long long)c,
                    facts->columns.count ? ", " : "", facts->columns.count ? facts->columns.names[c] : "", x);
        }
    return YOKE_OK;
}

/* ---- in config.json ---- */

static void print_names(yki_text *text, const char *key, const yki_names *names)
{
    if (names->count == 0) return;
    yki_text_append(text, ",\n  \"%s\": [", key);
    for (int i = 0; i < names->count; i++) {
        json_t *string = json_string(names->names[i]);
        char *quoted = string ? yki_json_dump(string, JSON_ENCODE_ANY) : NULL;
        if (quoted)
            yki_text_append(text, "%s%s", i ? ", " : "", quoted);
        else
            text->failed = true;
        free(quoted);
        json_decref(string);
    }
    yki_text_append(text, "]");
}

static void print_numbers(yki_text *text, const char *key, const double *numbers, int64_t count)
{
    char shown[32];
    yki_text_append(text, "\"%s\": [", key);
    for (int64_t i = 0; i < count; i++)
        yki_text_append(text, "%s%s", i ? ", " : "", yki_json_real(shown, numbers[i]));
    yki_text_append(text, "]");
}

void yki_facts_print(yki_text *text, const yki_facts *facts)
{
    print_names(text, "columns", &facts->columns);
    print_names(text, "targets", &facts->targets);
    print_names(text, "classes", &facts->classes);
    for (int i = 0; i < facts->ndim; i++)
        yki_text_append(text, "%s%lld%s", i ? ", " : ",\n  \"shape\": [", (long long)facts->dims[i],
                        i == facts->ndim - 1 ? "]" : "");
    if (facts->scale == YOKE_SCALE_NONE) return;
    yki_text_append(text, ",\n  \"scale\": {\"kind\": \"%s\", ", scales[facts->scale]);
    print_numbers(text, "shift", facts->shift, facts->nscaled);
    yki_text_append(text, ", ");
    print_numbers(text, "factor", facts->factor, facts->nscaled);
    yki_text_append(text, "}");
}

static yoke_status read_names(const char *path, json_t *config, const char *key, yki_names *names)
{
    json_t *list = json_object_get(config, key);
    if (!list || json_is_null(list)) return YOKE_OK;
    if (!json_is_array(list)) return yki_fail_at(YOKE_INVALID, path, 0, key, "is no list of names");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t length = json_string_length(json_array_get(list, i));
        if (!name || length == 0 || length > INT32_MAX)
            return yki_fail_at(YOKE_INVALID, path, 0, key, "is no list of names: entry %zu is none", i);
        YKI_TRY(yki_names_add(names, name, (int)length));
    }
    return YOKE_OK;
}

static yoke_status read_shape(const char *path, json_t *config, yki_facts *facts)
{
    json_t *shape = json_object_get(config, "shape");
    if (!shape || json_is_null(shape)) return YOKE_OK;
    size_t count = json_array_size(shape);
    if (count == 0 || count > YOKE_MAX_DIMS)
        return yki_fail_at(YOKE_INVALID, path, 0, "shape", "is no list of 1 to %d counts", YOKE_MAX_DIMS);
    for (size_t i = 0; i < count; i++) {
        json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 1)
            return yki_fail_at(YOKE_INVALID, path, 0, "shape", "has no count at place %zu", i);
        facts->dims[i] = json_integer_value(dim);
    }
    facts->ndim = (int)count;
    return YOKE_OK;
}

static yoke_status read_numbers(const char *path, json_t *list, const char *key, int64_t count,
                                double *numbers)
{
    for (int64_t i = 0; i < count; i++) {
        json_t *value = json_array_get(list, (size_t)i);
        numbers[i] = json_number_value(value);
        if (!json_is_number(value) || !isfinite(numbers[i]))
            return yki_fail_at(YOKE_INVALID, path, 0, key, "has no number at place %lld", (long long)i);
    }
    return YOKE_OK;
}

static yoke_status read_scale(const char *path, json_t *config, yki_facts *facts)
{
    json_t *scale = json_object_get(config, "scale");
    if (!scale || json_is_null(scale)) return YOKE_OK;
    const char *kind = json_string_value(json_object_get(scale, "kind"));
    json_t *shift = json_object_get(scale, "shift"), *factor = json_object_get(scale, "factor");
    int known = 0;
    while (kind && known < NSCALES && strcmp(scales[known], kind) != 0) known++;
    if (!kind || known == NSCALES)
        return yki_fail_at(YOKE_INVALID, path, 0, "scale.kind", "is none of 'none', 'standard' and 'minmax'");
    if (known == YOKE_SCALE_NONE) return YOKE_OK;
    size_t count = json_array_size(shift);
    if (count == 0 || json_array_size(factor) != count)
        return yki_fail_at(YOKE_INVALID, path, 0, "scale",
                           "needs a shift and a factor for each column: two lists of one length");
    YKI_TRY(make_room(facts, (int64_t)count));
    facts->scale = (yoke_scale)known;
    YKI_TRY(read_numbers(path, shift, "scale.shift", facts->nscaled, facts->shift));
    return read_numbers(path, factor, "scale.factor", facts->nscaled, facts->factor);
}

yoke_status yki_facts_read(const char *path, json_t *config, yki_facts *facts)
{
    yki_facts_release(facts);
    yoke_status status = read_names(path, config, "columns", &facts->columns);
    if (status == YOKE_OK) status = read_names(path, config, "targets", &facts->targets);
    if (status == YOKE_OK) status = read_names(path, config, "classes", &facts->classes);
    if (status == YOKE_OK) status = read_shape(path, config, facts);
    if (status == YOKE_OK) status = read_scale(path, config, facts);
    if (status != YOKE_OK) yki_facts_release(facts);
    return status;
}
