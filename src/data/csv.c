/* CSV (RFC 4180): a header line of column names, then rows of numbers. Quoted fields may hold commas, quotes
 * ("") and line ends. Read once, into memory, as f32; a UTF-8 byte order mark and blank lines are skipped,
 * spaces around a number and an unquoted name too. Numbers are decimal with a point whatever the locale: no
 * hexadecimal, no nan, no inf. One target column in which all numbers are whole and >= 0 gives classes (i32,
 * no dims); else targets are f32 [ntargets]. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/data.h"
#include "data/file.h"

typedef struct csv_data {
    yoke_data base;
    float *inputs, *targets;
    int32_t *classes; /* beside targets, as long as all are classes */
} csv_data;

/* Where the reader is, and what it read last. */
typedef struct csv_parser {
    yki_map map;
    const char *at, *end;
    int line, field_line; /* of `at`; of the field's beginning */
    yki_text field;
    bool quoted;   /* the field was */
    bool last;     /* it was the last of its line */
    char **names;  /* of the columns */
    int *position; /* column -> place among the targets, or -1 */
    int ncolumns, ntargets;
    locale_t c_locale;
} csv_parser;

static yoke_status csv_read(yoke_data *base, int64_t index, void *input, void *target)
{
    csv_data *data = (csv_data *)base;
    size_t inputs = (size_t)base->input_elements, targets = (size_t)base->target_elements;
    memcpy(input, data->inputs + (size_t)index * inputs, inputs * sizeof(float));
    if (data->classes)
        memcpy(target, data->classes + index, sizeof(int32_t));
    else
        memcpy(target, data->targets + (size_t)index * targets, targets * sizeof(float));
    return YOKE_OK;
}

static void csv_release(yoke_data *base)
{
    csv_data *data = (csv_data *)base;
    free(data->inputs);
    free(data->targets);
    free(data->classes);
}

static const yki_data_ops csv_ops = {.read = csv_read, .release = csv_release};

/* ---- fields ---- */

static yoke_status read_quoted(csv_parser *csv)
{
    csv->at++;
    for (;;) {
        const char *quote = memchr(csv->at, '"', (size_t)(csv->end - csv->at));
        if (!quote)
            return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "",
                               "a quote is opened and never closed");
        for (const char *c = csv->at; c < quote; c++) csv->line += *c == '\n';
        yki_text_append_bytes(&csv->field, csv->at, (size_t)(quote - csv->at));
        csv->at = quote + 1;
        if (csv->at == csv->end || *csv->at != '"') return YOKE_OK;
        yki_text_append_bytes(&csv->field, csv->at++, 1); /* "" is a quote */
    }
}

static yoke_status read_unquoted(csv_parser *csv)
{
    const char *from = csv->at;
    while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n') {
        if (*csv->at == '"')
            return yki_fail_at(YOKE_INVALID, csv->map.path, csv->line, "",
                               "a quote inside a field that doesn't begin with one");
        csv->at++;
    }
    const char *to = csv->at;
    if (to > from && to[-1] == '\r' && (csv->at == csv->end || *csv->at == '\n')) to--;
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    yki_text_append_bytes(&csv->field, from, (size_t)(to - from));
    return YOKE_OK;
}

/* Reads one field and what ends it. */
static yoke_status read_field(csv_parser *csv)
{
    csv->field.length = 0;
    csv->field_line = csv->line;
    csv->quoted = csv->at < csv->end && *csv->at == '"';
    YKI_TRY(csv->quoted ? read_quoted(csv) : read_unquoted(csv));
    yki_text_append_bytes(&csv->field, "", 0);
    if (csv->field.failed) return yki_fail_memory("a field of a CSV file");
    if (csv->quoted && csv->end - csv->at >= 2 && csv->at[0] == '\r' && csv->at[1] == '\n') csv->at++;
    csv->last = csv->at == csv->end || *csv->at == '\n';
    if (!csv->last && *csv->at != ',')
        return yki_fail_at(YOKE_INVALID, csv->map.path, csv->line, "", "something follows a closing quote");
    if (csv->at < csv->end) {
        csv->line += *csv->at == '\n';
        csv->at++;
        /* A comma at the very end of the file has an empty field after it. */
    }
    return YOKE_OK;
}

static void skip_blank_lines(csv_parser *csv)
{
    for (;;) {
        const char *c = csv->at;
        while (c < csv->end && (*c == ' ' || *c == '\t' || *c == '\r')) c++;
        if (c < csv->end && *c != '\n') return;
        csv->at = c < csv->end ? c + 1 : c;
        csv->line += c < csv->end;
        if (csv->at == csv->end) return;
    }
}

/* ---- the header ---- */

static yoke_status check_name(const csv_parser *csv)
{
    int column = csv->ncolumns;
    if (csv->field.length == 0)
        return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "", "column %d has no name",
                           column + 1);
    if (strlen(csv->field.data) != csv->field.length)
        return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "",
                           "the name of column %d holds a zero byte: it is no text", column + 1);
    return YOKE_OK;
}

static yoke_status add_column(csv_parser *csv)
{
    YKI_TRY(check_name(csv));
    if ((csv->ncolumns & (csv->ncolumns - 1)) == 0) { /* 0, or a power of two: full */
        size_t room = csv->ncolumns ? 2 * (size_t)csv->ncolumns : 1;
        char **names = realloc(csv->names, room * sizeof *names);
        if (!names) return yki_fail_memory("the columns of a CSV file");
        csv->names = names;
    }
    char *name = strdup(csv->field.data);
    if (!name) return yki_fail_memory("the columns of a CSV file");
    csv->names[csv->ncolumns++] = name;
    return YOKE_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static yoke_status check_duplicates(const csv_parser *csv)
{
    char **sorted = malloc((size_t)csv->ncolumns * sizeof *sorted);
    if (!sorted) return yki_fail_memory("the columns of a CSV file");
    memcpy(sorted, csv->names, (size_t)csv->ncolumns * sizeof *sorted);
    qsort(sorted, (size_t)csv->ncolumns, sizeof *sorted, compare_names);
    const char *twice = NULL;
    for (int i = 1; i < csv->ncolumns && !twice; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0) twice = sorted[i];
    free(sorted);
    if (twice) return yki_fail_at(YOKE_INVALID, csv->map.path, 1, "", "two columns are named \"%s\"", twice);
    return YOKE_OK;
}

static yoke_status no_such_column(const csv_parser *csv, const char *name)
{
    const char *nearest = yki_nearest(name, (const char *const *)csv->names, csv->ncolumns);
    return yki_fail_at(YOKE_INVALID, csv->map.path, 1, "", "no column is named \"%s\"%s%s%s", name,
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static yoke_status place_targets(csv_parser *csv, int ntargets, const char *const *targets)
{
    csv->ntargets = ntargets;
    csv->position = malloc((size_t)csv->ncolumns * sizeof *csv->position);
    if (!csv->position) return yki_fail_memory("the columns of a CSV file");
    for (int c = 0; c < csv->ncolumns; c++) csv->position[c] = -1;
    for (int t = 0; t < ntargets; t++) {
        int column = 0;
        while (column < csv->ncolumns && strcmp(csv->names[column], targets[t]) != 0) column++;
        if (column == csv->ncolumns) return no_such_column(csv, targets[t]);
        if (csv->position[column] >= 0)
            return yki_fail(YOKE_INVALID, "the target column \"%s\" is named twice", targets[t]);
        csv->position[column] = t;
    }
    if (ntargets == csv->ncolumns)
        return yki_fail_at(YOKE_INVALID, csv->map.path, 1, "",
                           "all %d columns are targets: none is left as input", ntargets);
    return YOKE_OK;
}

static yoke_status read_header(csv_parser *csv, int ntargets, const char *const *targets)
{
    if (csv->map.size >= 3 && memcmp(csv->at, "\xEF\xBB\xBF", 3) == 0) csv->at += 3;
    do {
        YKI_TRY(read_field(csv));
        YKI_TRY(add_column(csv));
    } while (!csv->last);
    YKI_TRY(check_duplicates(csv));
    return place_targets(csv, ntargets, targets);
}

/* ---- the rows ---- */

static bool names_non_finite(const char *text)
{
    text += *text == '-' || *text == '+';
    return strcasecmp(text, "nan") == 0 || strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0;
}

/* The field as a number. Only what a decimal number is made of comes to strtod, which reads more than that.
 */
static yoke_status parse_number(const csv_parser *csv, int column, double *number)
{
    const char *text = csv->field.data;
    size_t length = csv->field.length;
    char *end = NULL;
    if (length == 0)
        return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "",
                           "column \"%s\" is empty: a number is missing", csv->names[column]);
    if (strspn(text, "0123456789+-.eE") == length) {
        *number = strtod(text, &end);
        float single = (float)*number;
        if (end == text + length && single - single != 0)
            return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "",
                               "column \"%s\": %.40s is larger than 32 bits hold", csv->names[column], text);
    }
    if (end && end == text + length) return YOKE_OK;
    char shown[33];
    size_t i = 0;
    for (; i < length && i < sizeof shown - 1; i++)
        shown[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
    shown[i] = '\0';
    return yki_fail_at(YOKE_INVALID, csv->map.path, csv->field_line, "",
                       "column \"%s\": \"%s%s\" is not a %snumber", csv->names[column], shown,
                       i < length ? "..." : "", names_non_finite(text) ? "finite " : "");
}

/* What the rows grow into. `whole` stays true while every number of a single target column may be a class. */
typedef struct csv_rows {
    int64_t count, room;
    float *inputs, *targets;
    int32_t *classes;
    bool whole;
} csv_rows;

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

static yoke_status make_room(const csv_parser *csv, csv_rows *rows)
{
    if (rows->count < rows->room) return YOKE_OK;
    int64_t room = rows->room ? 2 * rows->room : 64;
    if (!grow(&rows->inputs, room, csv->ncolumns - csv->ntargets, sizeof(float)) ||
        !grow(&rows->targets, room, csv->ntargets, sizeof(float)) ||
        (csv->ntargets == 1 && !grow(&rows->classes, room, 1, sizeof(int32_t))))
        return yki_fail_memory("the rows of a CSV file");
    rows->room = room;
    return YOKE_OK;
}

static void store(const csv_parser *csv, csv_rows *rows, int column, int input, double number)
{
    int ninputs = csv->ncolumns - csv->ntargets, target = csv->position[column];
    if (target < 0) {
        rows->inputs[rows->count * ninputs + input] = (float)number;
        return;
    }
    rows->targets[rows->count * csv->ntargets + target] = (float)number;
    rows->whole = rows->whole && number >= 0 && number <= INT32_MAX && number == (double)(int32_t)number;
    if (rows->whole) rows->classes[rows->count] = (int32_t)number;
}

static yoke_status read_row(csv_parser *csv, csv_rows *rows)
{
    int column = 0, input = 0, line = csv->line;
    YKI_TRY(make_room(csv, rows));
    do {
        double number = 0;
        YKI_TRY(read_field(csv));
        if (column < csv->ncolumns) {
            YKI_TRY(parse_number(csv, column, &number));
            store(csv, rows, column, input, number);
            input += csv->position[column] < 0;
        }
        column++;
    } while (!csv->last && column <= csv->ncolumns);
    if (column > csv->ncolumns)
        return yki_fail_at(YOKE_INVALID, csv->map.path, line, "",
                           "has more fields than the header, which has %d", csv->ncolumns);
    if (column < csv->ncolumns)
        return yki_fail_at(YOKE_INVALID, csv->map.path, line, "", "has %d fields; the header has %d", column,
                           csv->ncolumns);
    rows->count++;
    return YOKE_OK;
}

static yoke_status read_rows(csv_parser *csv, csv_rows *rows)
{
    locale_t before = uselocale(csv->c_locale);
    yoke_status status = YOKE_OK;
    skip_blank_lines(csv);
    while (status == YOKE_OK && csv->at < csv->end) {
        status = read_row(csv, rows);
        skip_blank_lines(csv);
    }
    uselocale(before);
    if (status == YOKE_OK && rows->count == 0)
        return yki_map_fail(&csv->map, "has a header line and no rows");
    return status;
}

/* ---- the file ---- */

static yoke_status csv_open(csv_parser *csv, csv_rows *rows, const char *path, int ntargets,
                            const char *const *targets)
{
    if (ntargets < 1 || !targets)
        return yki_fail(YOKE_INVALID, "data of format csv needs the name of at least one target column");
    YKI_TRY(yki_map_open(&csv->map, path));
    csv->at = (const char *)csv->map.bytes;
    csv->end = csv->at + csv->map.size;
    csv->line = 1;
    csv->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!csv->c_locale) return yki_fail_memory("a locale");
    YKI_TRY(read_header(csv, ntargets, targets));
    rows->whole = ntargets == 1;
    return read_rows(csv, rows);
}

static void parser_release(csv_parser *csv)
{
    for (int c = 0; c < csv->ncolumns; c++) free(csv->names[c]);
    free(csv->names);
    free(csv->position);
    yki_text_release(&csv->field);
    yki_map_release(&csv->map);
    if (csv->c_locale) freelocale(csv->c_locale);
}

yoke_status yoke_data_from_csv(yoke_data **data_out, const char *path, int ntargets,
                               const char *const *targets)
{
    csv_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &csv_ops));
    csv_parser csv = {0};
    csv_rows rows = {0};
    yoke_status status = csv_open(&csv, &rows, path, ntargets, targets);
    int ninputs = csv.ncolumns - csv.ntargets;
    parser_release(&csv);
    data->inputs = rows.inputs;
    data->targets = rows.targets;
    data->classes = rows.classes;
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    if (!rows.whole) {
        free(data->classes);
        data->classes = NULL;
    }
    yoke_row input = {.type = YOKE_F32, .ndim = 1, .dims = {ninputs}};
    yoke_row target = {
        .type = rows.whole ? YOKE_I32 : YOKE_F32, .ndim = rows.whole ? 0 : 1, .dims = {ntargets}};
    return yki_data_finish(&data->base, rows.count, &input, &target, data_out);
}
