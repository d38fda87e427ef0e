/* CSV (RFC 4180): a header line of column names, then rows. Input columns hold numbers, and so do target
 * columns; but a single target column may hold words: then each different word is a class, in the order of
 * their bytes. Read once, into memory, as f32. Numbers are decimal with a point whatever the locale: no
 * hexadecimal, no nan, no inf. One target column in which all numbers are whole and >= 0 gives classes (i32,
 * no dims); else targets are f32 [ntargets]. Lines are kept, so that what is wrong with a sample later has a
 * place in the file. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "data/csv_fields.h"
#include "data/csv_words.h"
#include "data/facts.h"

typedef struct csv_data {
    yoke_data base;
    yki_file file;
    float *inputs, *targets;
    int32_t *classes; /* beside targets, as long as all are classes */
    int32_t *lines;
} csv_data;

/* What a column is, where it is neither the input of that number nor the target. */
enum { PASSED_OVER = -1, TARGET = 1 << 30 };

/* A file being read. */
typedef struct csv_reader {
    yki_csv csv;
    const char *path;
    yki_names names; /* of the columns */
    int *role;       /* column -> input, TARGET + target, or PASSED_OVER */
    int ncolumns, ninputs, ntargets;
    yki_words words;
    enum { NOT_KNOWN, NUMBERS, WORDS } kind; /* of a single target column */
    int kind_line;                           /* 0: training says */
    char kind_shown[YKI_QUOTE_BYTES];
    locale_t c_locale;
} csv_reader;

/* What the rows grow into. `whole` stays true while every number of a single target column may be a class. */
typedef struct csv_rows {
    int64_t count, room;
    float *inputs, *targets;
    int32_t *classes, *lines;
    bool whole;
    int odd_line; /* of the first that may not, and what it is */
    char odd_shown[48];
} csv_rows;

static yoke_status csv_get(yoke_data *base, int64_t index, void *input, void *target)
{
    csv_data *data = (csv_data *)base;
    size_t inputs = (size_t)base->input_elements, targets = (size_t)base->target_elements;
    if (input) memcpy(input, data->inputs + (size_t)index * inputs, inputs * sizeof(float));
    if (target && data->classes)
        memcpy(target, data->classes + index, sizeof(int32_t));
    else if (target)
        memcpy(target, data->targets + (size_t)index * targets, targets * sizeof(float));
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

static const yki_data_ops csv_ops = {.read = csv_get, .check = csv_check, .release = csv_release};

/* ---- the header ---- */

static yoke_status fail(const csv_reader *reader, int line, const char *message)
{
    return yki_fail_at(YOKE_INVALID, reader->path, line, "", "%s", message);
}

static yoke_status check_name(const csv_reader *reader)
{
    const yki_csv *csv = &reader->csv;
    int column = reader->names.count;
    if (csv->field.length == 0)
        return yki_fail_at(
            YOKE_INVALID, reader->path, csv->field_line, "", "column %d has no name%s", column + 1,
            column == 0 ? "; pandas writes its index so, and to_csv(index=False) leaves it out" : "");
    if (strlen(csv->field.data) != csv->field.length)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "the name of column %d holds a zero byte: it is no text%s", column + 1,
                           memchr("\xff\xfe", csv->field.data[0], 2) ? "; save the file as UTF-8" : "");
    if (yki_utf8_prefix(csv->field.data, csv->field.length) != csv->field.length)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "the name of column %d is not UTF-8; save the file as UTF-8", column + 1);
    return YOKE_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static yoke_status check_duplicates(const csv_reader *reader)
{
    size_t count = (size_t)reader->names.count;
    char **sorted = malloc(count * sizeof *sorted);
    if (!sorted) return yki_fail_memory("the columns of a CSV file");
    memcpy(sorted, reader->names.names, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_names);
    const char *twice = NULL;
    for (size_t i = 1; i < count && !twice; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0) twice = sorted[i];
    free(sorted);
    if (twice)
        return yki_fail_at(YOKE_INVALID, reader->path, 1, "", "two columns are named \"%.200s\"", twice);
    return YOKE_OK;
}

/* A header without a comma that another separator would divide. */
static yoke_status check_separator(const csv_reader *reader)
{
    static const struct {
        char character;
        const char *shown;
    } others[] = {{';', "';'"}, {'\t', "tabs"}, {'|', "'|'"}};
    for (size_t i = 0; i < sizeof others / sizeof *others && reader->names.count == 1; i++)
        if (strchr(reader->names.names[0], others[i].character))
            return yki_fail_at(
                YOKE_INVALID, reader->path, 1, "",
                "the line has one column, \"%.80s\"; is the file separated by %s? Commas are read, and "
                "a point in numbers",
                reader->names.names[0], others[i].shown);
    return YOKE_OK;
}

static yoke_status no_such_column(const csv_reader *reader, const char *name, bool trained)
{
    const char *nearest = yki_nearest(name, (const char *const *)reader->names.names, reader->names.count);
    return yki_fail_at(YOKE_INVALID, reader->path, 1, "", "no column is named \"%.200s\"%s%s%.200s%s", name,
                       trained ? ", an input that the model was trained on" : "",
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static yoke_status place_targets(csv_reader *reader, const yki_data_spec *spec)
{
    int ntargets = 0;
    for (int t = 0; t < spec->ncolumns; t++) {
        int column = yki_names_find(&reader->names, spec->columns[t]);
        if (column < 0 && spec->no_targets) continue;
        if (column < 0) return no_such_column(reader, spec->columns[t], false);
        if (reader->role[column] >= TARGET)
            return yki_fail(YOKE_INVALID, "the target column \"%s\" is named twice", spec->columns[t]);
        reader->role[column] = spec->no_targets ? PASSED_OVER : TARGET + t;
        ntargets++;
    }
    reader->ntargets = spec->no_targets ? 0 : ntargets;
    if (ntargets == reader->ncolumns)
        return yki_fail_at(YOKE_INVALID, reader->path, 1, "",
                           "all %d columns are targets: none is left as input", ntargets);
    return YOKE_OK;
}

/* All columns that are no targets, in the file's order; or those of training, in its order. */
static yoke_status place_inputs(csv_reader *reader, const yki_data_spec *spec, yoke_data *data)
{
    const yki_names *trained = spec->facts && spec->facts->columns.count ? &spec->facts->columns : NULL;
    yki_text passed = {0};
    int npassed = 0;
    for (int i = 0; trained && i < trained->count; i++)
        if (yki_names_find(&reader->names, trained->names[i]) < 0)
            return no_such_column(reader, trained->names[i], true);
    for (int c = 0; c < reader->ncolumns; c++) {
        bool target = reader->role[c] >= TARGET;
        for (int t = 0; spec->no_targets && t < spec->ncolumns; t++)
            target = target || strcmp(spec->columns[t], reader->names.names[c]) == 0;
        if (target) continue;
        reader->role[c] = trained ? yki_names_find(trained, reader->names.names[c]) : reader->ninputs;
        reader->ninputs += reader->role[c] >= 0;
        if (reader->role[c] < 0)
            yki_text_append(&passed, "%s\"%.60s\"", npassed++ ? ", " : "", reader->names.names[c]);
    }
    yoke_status status = trained ? yki_names_copy(&data->columns, trained) : YOKE_OK;
    for (int c = 0; !trained && status == YOKE_OK && c < reader->ncolumns; c++)
        if (reader->role[c] >= 0 && reader->role[c] < TARGET)
            status =
                yki_names_add(&data->columns, reader->names.names[c], (int)strlen(reader->names.names[c]));
    if (status == YOKE_OK && npassed)
        status = yki_data_note(data, "%s: the model was not trained on %s %.300s: %s passed over",
                               reader->path, npassed > 1 ? "columns" : "column",
                               passed.data ? passed.data : "", npassed > 1 ? "they are" : "it is");
    yki_text_release(&passed);
    return status;
}

static yoke_status read_header(csv_reader *reader, const yki_data_spec *spec, yoke_data *data)
{
    do {
        YKI_TRY(yki_csv_field(&reader->csv));
        YKI_TRY(check_name(reader));
        YKI_TRY(yki_names_add(&reader->names, reader->csv.field.data, (int)reader->csv.field.length));
    } while (!reader->csv.last);
    reader->ncolumns = reader->names.count;
    YKI_TRY(check_separator(reader));
    YKI_TRY(check_duplicates(reader));
    reader->role = malloc((size_t)reader->ncolumns * sizeof *reader->role);
    if (!reader->role) return yki_fail_memory("the columns of a CSV file");
    for (int c = 0; c < reader->ncolumns; c++) reader->role[c] = PASSED_OVER;
    YKI_TRY(place_targets(reader, spec));
    return place_inputs(reader, spec, data);
}

/* ---- fields ---- */

static bool names_non_finite(const char *text)
{
    text += *text == '-' || *text == '+';
    return strcasecmp(text, "nan") == 0 || strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0;
}

/* The field's number. Only what a decimal number is made of comes to strtod, which reads more than that. */
static bool is_number(const csv_reader *reader, double *number)
{
    const char *text = reader->csv.field.data;
    size_t length = reader->csv.field.length;
    char *end = NULL;
    if (length == 0 || strspn(text, "0123456789+-.eE") != length) return false;
    *number = strtod(text, &end);
    return end == text + length;
}

/* What may be meant by a field that is no number. */
static const char *advice(const csv_reader *reader, int column)
{
    const char *text = reader->csv.field.data;
    if (strspn(text, "0123456789+-,") == reader->csv.field.length && strchr(text, ','))
        return "; numbers have a point, and no comma";
    if (strchr(text, ';')) return "; columns are separated by commas";
    if (reader->role[column] < TARGET && !names_non_finite(text))
        return "; inputs are numbers: write words as numbers, or leave the column out";
    return "";
}

static yoke_status parse_number(const csv_reader *reader, int column, double *number)
{
    const yki_csv *csv = &reader->csv;
    const char *text = csv->field.data, *name = reader->names.names[column];
    size_t length = csv->field.length, i = 0;
    if (length == 0)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "column \"%.200s\" is empty: a number is missing", name);
    if (is_number(reader, number)) {
        float single = (float)*number;
        if (single - single == 0) return YOKE_OK;
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "column \"%.200s\": %.40s is larger than 32 bits hold", name, text);
    }
    char shown[33];
    for (; i < length && i < sizeof shown - 1; i++)
        shown[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
    shown[i] = '\0';
    return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                       "column \"%.200s\": \"%s%s\" is not a %snumber%s", name, shown,
                       i < length ? "..." : "", names_non_finite(text) ? "finite " : "",
                       advice(reader, column));
}

/* ---- words ---- */

static yoke_status parse_word(csv_reader *reader, int column, int32_t *word)
{
    enum { MOST_WORDS = 1 << 16 };
    const yki_csv *csv = &reader->csv;
    const char *text = csv->field.data, *name = reader->names.names[column];
    char shown[YKI_QUOTE_BYTES], classes[300];
    bool found;
    if (strlen(text) != csv->field.length || yki_utf8_prefix(text, csv->field.length) != csv->field.length)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "column \"%.200s\" holds a word that is not UTF-8; save the file as UTF-8", name);
    int place = yki_words_place(&reader->words, text, &found);
    if (found) {
        *word = reader->words.sorted[place];
        return YOKE_OK;
    }
    if (reader->words.known)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "%.100s is %s, and the model was trained on %s", name, yki_csv_shown(csv, shown),
                           yki_words_some(&reader->words, classes, sizeof classes));
    if (reader->words.names.count == MOST_WORDS)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "column \"%.200s\" has more than %d different words: they are no classes", name,
                           MOST_WORDS);
    *word = reader->words.names.count;
    return yki_words_add(&reader->words, text, place);
}

static yoke_status mixed(const csv_reader *reader, int column)
{
    char shown[YKI_QUOTE_BYTES];
    return yki_fail_at(
        YOKE_INVALID, reader->path, reader->csv.field_line, "",
        "%.100s is %s, %s, and in line %d it is %s: a target column has numbers or words, not both",
        reader->names.names[column], yki_csv_shown(&reader->csv, shown),
        reader->kind == WORDS ? "a number" : "no number", reader->kind_line, reader->kind_shown);
}

/* A single target column is of the kind that its first field is, or that the model was trained on. */
static yoke_status find_kind(csv_reader *reader, int column, bool *word)
{
    double number;
    char shown[YKI_QUOTE_BYTES];
    const yki_csv *csv = &reader->csv;
    *word = reader->words.known;
    if (reader->ntargets != 1 || reader->words.known || csv->field.length == 0) return YOKE_OK;
    bool is_word = !is_number(reader, &number);
    if (is_word && names_non_finite(csv->field.data)) return YOKE_OK; /* refused as a number */
    if (reader->kind == NOT_KNOWN) {
        reader->kind = is_word ? WORDS : NUMBERS;
        reader->kind_line = csv->field_line;
        yki_csv_shown(csv, reader->kind_shown);
    }
    if (is_word && reader->kind == NUMBERS && reader->kind_line == 0)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "%.100s is %s, and the model was trained on numbers there",
                           reader->names.names[column], yki_csv_shown(csv, shown));
    if (is_word != (reader->kind == WORDS)) return mixed(reader, column);
    *word = is_word;
    return YOKE_OK;
}

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

static yoke_status make_room(const csv_reader *reader, csv_rows *rows)
{
    if (rows->count < rows->room) return YOKE_OK;
    int64_t room = rows->room ? 2 * rows->room : 64;
    if (!grow(&rows->inputs, room, reader->ninputs, sizeof(float)) ||
        !grow(&rows->lines, room, 1, sizeof(int32_t)) ||
        (reader->ntargets > 0 && !grow(&rows->targets, room, reader->ntargets, sizeof(float))) ||
        (reader->ntargets == 1 && !grow(&rows->classes, room, 1, sizeof(int32_t))))
        return yki_fail_memory("the rows of a CSV file");
    rows->room = room;
    return YOKE_OK;
}

static yoke_status store_target(csv_reader *reader, csv_rows *rows, int column)
{
    bool word;
    double number = 0;
    YKI_TRY(find_kind(reader, column, &word));
    if (word) {
        if (reader->csv.field.length == 0)
            return yki_fail_at(YOKE_INVALID, reader->path, reader->csv.field_line, "",
                               "column \"%.200s\" is empty: a class is missing", reader->names.names[column]);
        return parse_word(reader, column, &rows->classes[rows->count]);
    }
    YKI_TRY(parse_number(reader, column, &number));
    rows->targets[rows->count * reader->ntargets + reader->role[column] - TARGET] = (float)number;
    bool whole = number >= 0 && number <= INT32_MAX && number == (double)(int32_t)number;
    if (rows->whole && !whole) {
        rows->odd_line = reader->csv.field_line;
        snprintf(rows->odd_shown, sizeof rows->odd_shown, "%.40s", reader->csv.field.data);
    }
    rows->whole = rows->whole && whole;
    if (rows->whole) rows->classes[rows->count] = (int32_t)number;
    return YOKE_OK;
}

static yoke_status store(csv_reader *reader, csv_rows *rows, int column)
{
    double number = 0;
    int role = reader->role[column];
    if (role == PASSED_OVER) return YOKE_OK;
    if (role >= TARGET) return store_target(reader, rows, column);
    YKI_TRY(parse_number(reader, column, &number));
    rows->inputs[rows->count * reader->ninputs + role] = (float)number;
    return YOKE_OK;
}

static yoke_status read_row(csv_reader *reader, csv_rows *rows)
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

static yoke_status read_rows(csv_reader *reader, csv_rows *rows)
{
    locale_t before = uselocale(reader->c_locale);
    yoke_status status = YOKE_OK;
    yki_csv_skip_blank_lines(&reader->csv);
    while (status == YOKE_OK && reader->csv.at < reader->csv.end) {
        status = read_row(reader, rows);
        yki_csv_skip_blank_lines(&reader->csv);
    }
    uselocale(before);
    if (status == YOKE_OK && rows->count == 0) return fail(reader, 0, "has a header line and no rows");
    return status;
}

/* ---- the file ---- */

/* Training says what the words of a target column are, or that it holds numbers. */
static yoke_status take_classes(csv_reader *reader, const yki_facts *facts)
{
    if (!facts || reader->ntargets != 1) return YOKE_OK;
    if (facts->targets.count && !facts->classes.count) reader->kind = NUMBERS;
    return yki_words_take(&reader->words, &facts->classes);
}

static yoke_status csv_open(csv_reader *reader, csv_rows *rows, const yki_data_spec *spec, csv_data *data,
                            const char *text)
{
    yki_csv_begin(&reader->csv, reader->path, text, (size_t)data->file.size);
    reader->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!reader->c_locale) return yki_fail_memory("a locale");
    YKI_TRY(read_header(reader, spec, &data->base));
    YKI_TRY(take_classes(reader, spec->facts));
    rows->whole = reader->ntargets == 1;
    YKI_TRY(read_rows(reader, rows));
    for (int t = 0; t < reader->ntargets; t++)
        YKI_TRY(yki_names_add(&data->base.targets, spec->columns[t], (int)strlen(spec->columns[t])));
    if (!reader->words.names.count) return YOKE_OK;
    return yki_words_finish(&reader->words, rows->classes, rows->count, &data->base.classes);
}

static void reader_release(csv_reader *reader)
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
    YKI_TRY(yki_file_open(&data->file, spec->path));
    data->base.input_file = data->base.target_file = data->file.path;
    YKI_TRY(yki_file_load(&data->file, &text));
    csv_reader reader = {.path = data->file.path};
    yoke_status status = csv_open(&reader, rows, spec, data, (const char *)text);
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
    yki_data_spec spec = {.path = path, .ncolumns = ntargets, .columns = targets};
    return yki_data_from_csv(data_out, &spec);
}
