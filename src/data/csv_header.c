/* The header line of a CSV file: columns by name, and what each of them is: a target by the job, an input by
 * the names of training, or, where the data are new, whatever is no target. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/csv_reader.h"
#include "data/facts.h"

/* A name that is no text: of a file that is something else, or of another encoding. */
static yoke_status no_name(const yki_csv_reader *reader, const char *why)
{
    const char *kind = yki_file_is(reader->file, false);
    return yki_fail_at(YOKE_INVALID, reader->path, reader->csv.field_line, "",
                       "the name of column %d %s; %s%s", reader->names.count + 1, why,
                       kind ? "the file looks like " : "save the file as UTF-8", kind ? kind : "");
}

static yoke_status check_name(const yki_csv_reader *reader)
{
    const yki_csv *csv = &reader->csv;
    int column = reader->names.count;
    if (csv->field.length == 0)
        return yki_fail_at(
            YOKE_INVALID, reader->path, csv->field_line, "", "column %d has no name%s", column + 1,
            column == 0 ? "; pandas writes its index so, and to_csv(index=False) leaves it out" : "");
    if (strlen(csv->field.data) != csv->field.length)
        return no_name(reader, "holds a zero byte: it is no text");
    if (yki_utf8_prefix(csv->field.data, csv->field.length) != csv->field.length)
        return no_name(reader, "is not UTF-8");
    return YOKE_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static yoke_status check_duplicates(const yki_csv_reader *reader)
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
static yoke_status check_separator(const yki_csv_reader *reader)
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

static yoke_status no_such_column(const yki_csv_reader *reader, const char *name, bool trained)
{
    const char *nearest = yki_nearest(name, (const char *const *)reader->names.names, reader->names.count);
    return yki_fail_at(YOKE_INVALID, reader->path, 1, "", "no column is named \"%.200s\"%s%s%.200s%s", name,
                       trained ? ", an input that the model was trained on" : "",
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static yoke_status place_targets(yki_csv_reader *reader, const yki_data_spec *spec)
{
    int ntargets = 0;
    for (int t = 0; t < spec->ncolumns; t++) {
        int column = yki_names_find(&reader->names, spec->columns[t]);
        if (column < 0 && spec->no_targets) continue;
        if (column < 0) return no_such_column(reader, spec->columns[t], false);
        if (reader->role[column] >= YKI_CSV_TARGET)
            return yki_fail(YOKE_INVALID, "the target column \"%s\" is named twice", spec->columns[t]);
        reader->role[column] = spec->no_targets ? YKI_CSV_PASSED_OVER : YKI_CSV_TARGET + t;
        ntargets++;
    }
    reader->ntargets = spec->no_targets ? 0 : ntargets;
    if (ntargets == reader->ncolumns)
        return yki_fail_at(YOKE_INVALID, reader->path, 1, "",
                           "all %d columns are targets: none is left as input", ntargets);
    return YOKE_OK;
}

/* All columns that are no targets, in the file's order; or those of training, in its order. */
static yoke_status place_inputs(yki_csv_reader *reader, const yki_data_spec *spec, yoke_data *data)
{
    const yki_names *trained = spec->facts && spec->facts->columns.count ? &spec->facts->columns : NULL;
    yki_text passed = {0};
    int npassed = 0;
    for (int i = 0; trained && i < trained->count; i++)
        if (yki_names_find(&reader->names, trained->names[i]) < 0)
            return no_such_column(reader, trained->names[i], true);
    for (int c = 0; c < reader->ncolumns; c++) {
        bool target = reader->role[c] >= YKI_CSV_TARGET;
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
        if (reader->role[c] >= 0 && reader->role[c] < YKI_CSV_TARGET)
            status =
                yki_names_add(&data->columns, reader->names.names[c], (int)strlen(reader->names.names[c]));
    if (status == YOKE_OK && npassed)
        status = yki_data_note(data, "%s: the model was not trained on %s %.300s: %s passed over",
                               reader->path, npassed > 1 ? "columns" : "column",
                               passed.data ? passed.data : "", npassed > 1 ? "they are" : "it is");
    yki_text_release(&passed);
    return status;
}

yoke_status yki_csv_read_header(yki_csv_reader *reader, const yki_data_spec *spec, yoke_data *data)
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
    for (int c = 0; c < reader->ncolumns; c++) reader->role[c] = YKI_CSV_PASSED_OVER;
    YKI_TRY(place_targets(reader, spec));
    return place_inputs(reader, spec, data);
}
