/* What the fields of a CSV file mean: numbers, decimal with a point whatever the locale; and words, which are
 * classes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "data/csv_reader.h"

static bool names_non_finite(const char *text)
{
    text += *text == '-' || *text == '+';
    return strcasecmp(text, "nan") == 0 || strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0;
}

/* The field's number. Only what a decimal number is made of comes to strtod, which reads more than that. */
static bool is_number(const yki_csv_reader *reader, double *number)
{
    const char *text = reader->csv.field.data;
    size_t length = reader->csv.field.length;
    char *end = NULL;
    if (length == 0 || strspn(text, "0123456789+-.eE") != length) return false;
    *number = strtod(text, &end);
    return end == text + length;
}

/* What may be meant by a field that is no number. */
static const char *advice(const yki_csv_reader *reader, int column)
{
    const char *text = reader->csv.field.data;
    if (strspn(text, "0123456789+-,") == reader->csv.field.length && strchr(text, ','))
        return "; numbers have a point, and no comma";
    if (strchr(text, ';')) return "; columns are separated by commas";
    if (reader->role[column] < YKI_CSV_TARGET && !names_non_finite(text))
        return "; inputs are numbers: write words as numbers, or leave the column out";
    return "";
}

yoke_status yki_csv_number(const yki_csv_reader *reader, int column, double *number)
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

static yoke_status parse_word(yki_csv_reader *reader, int column, int32_t *word)
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

static yoke_status mixed(const yki_csv_reader *reader, int column)
{
    char shown[YKI_QUOTE_BYTES];
    return yki_fail_at(
        YOKE_INVALID, reader->path, reader->csv.field_line, "",
        "%.100s is %s, %s, and in line %d it is %s: a target column has numbers or words, not both",
        reader->names.names[column], yki_csv_shown(&reader->csv, shown),
        reader->kind == YKI_CSV_WORDS ? "a number" : "no number", reader->kind_line, reader->kind_shown);
}

/* A single target column is of the kind that its first field is, or that the model was trained on. */
static yoke_status find_kind(yki_csv_reader *reader, int column, bool *word)
{
    double number;
    char shown[YKI_QUOTE_BYTES];
    const yki_csv *csv = &reader->csv;
    *word = reader->words.known;
    if (reader->ntargets != 1 || reader->words.known || csv->field.length == 0) return YOKE_OK;
    bool is_word = !is_number(reader, &number);
    if (is_word && names_non_finite(csv->field.data)) return YOKE_OK; /* refused as a number */
    if (reader->kind == YKI_CSV_NOT_KNOWN) {
        reader->kind = is_word ? YKI_CSV_WORDS : YKI_CSV_NUMBERS;
        reader->kind_line = csv->field_line;
        yki_csv_shown(csv, reader->kind_shown);
    }
    if (is_word && reader->kind == YKI_CSV_NUMBERS && reader->kind_line == 0)
        return yki_fail_at(YOKE_INVALID, reader->path, csv->field_line, "",
                           "%.100s is %s, and the model was trained on numbers there",
                           reader->names.names[column], yki_csv_shown(csv, shown));
    if (is_word != (reader->kind == YKI_CSV_WORDS)) return mixed(reader, column);
    *word = is_word;
    return YOKE_OK;
}

yoke_status yki_csv_target(yki_csv_reader *reader, int column, bool *word, double *number, int32_t *place)
{
    YKI_TRY(find_kind(reader, column, word));
    if (!*word) return yki_csv_number(reader, column, number);
    if (reader->csv.field.length == 0)
        return yki_fail_at(YOKE_INVALID, reader->path, reader->csv.field_line, "",
                           "column \"%.200s\" is empty: a class is missing", reader->names.names[column]);
    return parse_word(reader, column, place);
}
