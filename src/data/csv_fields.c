/* Reading the fields of a CSV file. */
#include "data/csv_fields.h"

#include <string.h>

void yki_csv_begin(yki_csv *csv, const char *path, const char *text, size_t size)
{
    *csv = (yki_csv){.path = path, .at = text, .end = text + size, .line = 1};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) csv->at += 3;
}

void yki_csv_end(yki_csv *csv)
{
    yki_text_release(&csv->field);
}

static yoke_status read_quoted(yki_csv *csv)
{
    csv->at++;
    for (;;) {
        const char *quote = memchr(csv->at, '"', (size_t)(csv->end - csv->at));
        if (!quote)
            return yki_fail_at(YOKE_INVALID, csv->path, csv->field_line, "",
                               "a quote is opened and never closed");
        for (const char *c = csv->at; c < quote; c++) csv->line += *c == '\n';
        yki_text_append_bytes(&csv->field, csv->at, (size_t)(quote - csv->at));
        csv->at = quote + 1;
        if (csv->at == csv->end || *csv->at != '"') return YOKE_OK;
        yki_text_append_bytes(&csv->field, csv->at++, 1); /* "" is a quote */
    }
}

static yoke_status read_unquoted(yki_csv *csv)
{
    const char *from = csv->at;
    while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n') {
        if (*csv->at == '"')
            return yki_fail_at(YOKE_INVALID, csv->path, csv->line, "",
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

yoke_status yki_csv_field(yki_csv *csv)
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
        return yki_fail_at(YOKE_INVALID, csv->path, csv->line, "", "something follows a closing quote");
    if (csv->at < csv->end) {
        csv->line += *csv->at == '\n';
        csv->at++;
        /* A comma at the very end of the file has an empty field after it. */
    }
    return YOKE_OK;
}

void yki_csv_skip_blank_lines(yki_csv *csv)
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

char *yki_csv_shown(const yki_csv *csv, char buffer[YKI_QUOTE_BYTES])
{
    return yki_quote(buffer, csv->field.data);
}
