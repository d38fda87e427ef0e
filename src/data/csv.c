/* CSV (RFC 4180): a header line of column names, then rows. Input columns hold numbers, and so do target
 * columns; but a single target column may hold words: then each different word is a class, in the order of
 * their bytes. Read once, into memory; inputs with all their digits, which a scale may need. Numbers are
 * decimal with a point whatever the locale: no hexadecimal, no nan, no inf. One target column in which all
 * numbers are whole and >= 0 gives classes (i32, no dims); else targets are f32 [ntargets]. Lines are kept,
 * so that what is wrong with a sample later has a place in the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/csv_reader.h"
#include "data/facts.h"
#include "data/gzip.h"

typedef struct csv_data {
    yoke_data base;
    yki_file file;
    double *inputs;
    float *targets;
    int32_t *classes; /* beside targets, as long as all are classes */
    int32_t *lines;
} csv_data;

/* What the rows grow into. `whole` stays true while every number of a single target column may be a class. */
typedef struct csv_rows {
    int64_t count, room;
    double *inputs;
    float *targets;
    int32_t *classes, *lines;
    bool whole;
    int odd_line; /* of the first that may not, and what it is */
    char odd_shown[48];
} csv_rows;

static yoke_status csv_get(yoke_data *base, int64_t index, void *input, void *target)
{
    csv_data *data = (csv_data *)base;
    size_t inputs = (size_t)base->input_elements, targets = (size_t)base->target_elements;
    const double *numbers = data->inputs + (size_t)index * inputs;
    float *narrow = input;
    for (size_t i = 0; narrow && i < inputs; i++) narrow[i] = (float)numbers[i];
    if (target && data->classes)
        memcpy(target, data->classes + index, sizeof(int32_t));
    else if (target)
        memcpy(target, data->targets + (size_t)index * targets, targets * sizeof(float));
    return YOKE_OK;
}

static yoke_status csv_get_real(yoke_data *base, int64_t index, double *input)
{
    size_t inputs = (size_t)base->input_elements;
    memcpy(input, ((csv_data *)base)->inputs + (size_t)index * inputs, inputs * sizeof *input);
    return YOKE_OK;
}

static yoke_status csv_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    csv_data *data = (csv_data *)base;
    int32_t least = INT32_MAX, most = 0;
    (void)inputs;
    if (targets <= 0 || !data->classes) return YOKE_OK;
    for (int64_t i = 0; i < base->samples; i++) {
        least = data->classes[i] < least ? data->classes[i] : least;
        most = data->classes[i] > most ? data->classes[i] : most;
    }
    if (most < targets) return YOKE_OK;
    int64_t bad = 0;
    while (data->classes[bad] < targets) bad++;
    return yki_fail_at(YOKE_INVALID, base->target_file, data->lines[bad], "",
                       "%.100s is %d, and the model knows the classes 0 .. %lld (the file has %d .. %d)%s",
                       base->targets.names[0], data->classes[bad], (long long)targets - 1, least, most,
                       yki_class_advice(targets, least, most));
}

static void csv_release(yoke_data *base)
{
    csv_data *data = (csv_data *)base;
    free(data->inputs);
    free(data->targets);
    free(data->classes);
    free(data->lines);
    yki_file_release(&data->file);
}

static const yki_data_ops csv_ops = {
    .read = csv_get, .read_real = csv_get_real, .check = csv_check, .release = csv_release};

/* ---- the rows ---- */

static bool grow(void *array, int64_t rows, int columns, size_t element_bytes)
{
    size_t bytes;
    void *old;
    memcpy(&old, array, sizeof old);
    if (__builtin_mul_overflow((size_t)rows, (size_t)columns * element_bytes, &bytes)) return false;
    void *fresh = realloc(old, bytes);
    if (fresh) memcpy(array, &fresh, sizeof fresh);
    return fresh;
}

static yoke_status make_room(const yki_csv_reader *reader, csv_rows *rows)
{
    if (rows->count < rows->room) return YOKE_OK;
    int64_t room = rows->room ? 2 * rows->room : 64;
    if (!grow(&rows->inputs, room, reader->ninputs, sizeof(double)) ||
        !grow(&rows->lines, room, 1, sizeof(int32_t)) ||
        (reader->ntargets > 0 && !grow(&rows->targets, room, reader->ntargets, sizeof(float))) ||
        (reader->ntargets == 1 && !grow(&rows->classes, room, 1, sizeof(int32_t))))
        return yki_fail_memory("the rows of a CSV file");
    rows->room = room;
    return YOKE_OK;
}

static yoke_status store_target(yki_csv_reader *reader, csv_rows *rows, int column)
{
    bool word;
    double number = 0;
    YKI_TRY(
        yki_csv_target(reader, column, &word, &number, rows->classes ? &rows->classes[rows->count] : NULL));
    if (word) return YOKE_OK;
    rows->targets[rows->count * reader->ntargets + reader->role[column] - YKI_CSV_TARGET] = (float)number;
    bool whole = number >= 0 && number <= INT32_MAX && number == (double)(int32_t)number;
    if (rows->whole && !whole) {
        rows->odd_line = reader->csv.field_line;
        snprintf(rows->odd_shown, sizeof rows->odd_shown, "%.40s", reader->csv.field.data);
    }
    rows->whole = rows->whole && whole;
    if (rows->whole) rows->classes[rows->count] = (int32_t)number;
    return YOKE_OK;
}

static yoke_status store(yki_csv_reader *reader, csv_rows *rows, int column)
{
    double number = 0;
    int role = reader->role[column];
    if (role == YKI_CSV_PASSED_OVER) return YOKE_OK;
    if (role >= YKI_CSV_TARGET) return store_target(reader, rows, column);
    YKI_TRY(yki_csv_number(reader, column, &number));
    rows->inputs[rows->count * reader->ninputs + role] = number;
    return YOKE_OK;
}

static yoke_status read_row(yki_csv_reader *reader, csv_rows *rows)
{
    int column = 0, line = reader->csv.line;
    YKI_TRY(make_room(reader, rows));
    do {
        YKI_TRY(yki_csv_field(&reader->csv));
        if (column < reader->ncolumns) YKI_TRY(store(reader, rows, column));
        column++;
    } while (!reader->csv.last && column <= reader->ncolumns);
    if (column > reader->ncolumns)
        return yki_fail_at(YOKE_INVALID, reader->path, line, "",
                           "has more fields than the header, which has %d", reader->ncolumns);
    if (column < reader->ncolumns)
        return yki_fail_at(YOKE_INVALID, reader->path, line, "", "has %d fields; the header has %d", column,
                           reader->ncolumns);
    rows->lines[rows->count++] = line;
    return YOKE_OK;
}

static yoke_status read_rows(yki_csv_reader *reader, csv_rows *rows)
{
    locale_t before = uselocale(reader->c_locale);
    yoke_status status = YOKE_OK;
    yki_csv_skip_blank_lines(&reader->csv);
    while (status == YOKE_OK && reader->csv.at < reader->csv.end) {
        status = read_row(reader, rows);
        yki_csv_skip_blank_lines(&reader->csv);
    }
    uselocale(before);
    if (status == YOKE_OK && rows->count == 0)
        return yki_fail_at(YOKE_INVALID, reader->path, 0, "", "has a header line and no rows");
    return status;
}

/* ---- the file ---- */

/* Training says what the words of a target column are, or that it holds numbers. */
static yoke_status take_classes(yki_csv_reader *reader, const yki_facts *facts)
{
    if (!facts || reader->ntargets != 1) return YOKE_OK;
    if (facts->targets.count && !facts->classes.count) reader->kind = YKI_CSV_NUMBERS;
    return yki_words_take(&reader->words, &facts->classes);
}

static yoke_status csv_open(yki_csv_reader *reader, csv_rows *rows, const yki_data_spec *spec, csv_data *data,
                            const char *text, size_t size)
{
    yki_csv_begin(&reader->csv, reader->path, text, size);
    reader->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!reader->c_locale) return yki_fail_memory("a locale");
    YKI_TRY(yki_csv_read_header(reader, spec, &data->base));
    YKI_TRY(take_classes(reader, spec->facts));
    rows->whole = reader->ntargets == 1;
    YKI_TRY(read_rows(reader, rows));
    for (int t = 0; t < reader->ntargets; t++)
        YKI_TRY(yki_names_add(&data->base.targets, spec->columns[t], (int)strlen(spec->columns[t])));
    if (!reader->words.names.count) return YOKE_OK;
    return yki_words_finish(&reader->words, rows->classes, rows->count, &data->base.classes);
}

static void reader_release(yki_csv_reader *reader)
{
    yki_csv_end(&reader->csv);
    yki_names_release(&reader->names);
    yki_words_release(&reader->words);
    free(reader->role);
    if (reader->c_locale) freelocale(reader->c_locale);
}

static yoke_status read_file(csv_data *data, const yki_data_spec *spec, csv_rows *rows, int *ninputs)
{
    unsigned char *text;
    if (!spec->no_targets && (spec->ncolumns < 1 || !spec->columns))
        return yki_fail(YOKE_INVALID, "data of format csv needs the name of at least one target column");
    YKI_TRY(yki_file_open(&data->file, spec->paths[0]));
    data->base.input_file = data->base.target_file = data->file.path;
    yki_csv_reader reader = {.path = data->file.path, .file = &data->file};
    int64_t size = data->file.size;
    YKI_TRY(yki_file_is_gzip(&data->file) ? yki_gzip_load(&data->file, &text, &size)
                                          : yki_file_load(&data->file, &text));
    yoke_status status = csv_open(&reader, rows, spec, data, (const char *)text, (size_t)size);
    *ninputs = reader.ninputs;
    reader_release(&reader);
    free(text);
    return status;
}

yoke_status yki_data_from_csv(yoke_data **data_out, const yki_data_spec *spec)
{
    csv_data *data;
    csv_rows rows = {0};
    int ninputs = 0;
    YKI_TRY(yki_data_create(&data, sizeof *data, &csv_ops));
    yoke_status status = read_file(data, spec, &rows, &ninputs);
    data->base.real = true;
    data->inputs = rows.inputs;
    data->targets = rows.targets;
    data->classes = rows.classes;
    data->lines = rows.lines;
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    bool classes = spec->no_targets || rows.whole;
    if (!classes) {
        free(data->classes);
        data->classes = NULL;
    }
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {ninputs}};
    yoke_row target = {
        .type = classes ? YOKE_I32 : YOKE_F32, .ndim = classes ? 0 : 1, .dims = {spec->ncolumns}};
    data->base.no_targets = spec->no_targets;
    data->base.odd_line = rows.odd_line;
    memcpy(data->base.odd_shown, rows.odd_shown, sizeof rows.odd_shown);
    return yki_data_finish(&data->base, rows.count, &input, &target, data_out);
}

yoke_status yoke_data_from_csv(yoke_data **data_out, const char *path, int ntargets,
                               const char *const *targets)
{
    YKI_NEED(data_out, path);
    if (ntargets < 1 || !targets)
        return yki_fail(YOKE_INVALID, "yoke_data_from_csv: no target column is named");
    yki_data_spec spec = {.npaths = 1, .paths = &path, .ncolumns = ntargets, .columns = targets};
    return yki_data_from_csv(data_out, &spec);
}
