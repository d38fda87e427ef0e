/* Tables: cells row by row in one array, notes as cells of a row that has only one. */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { COLUMNS_MAX = 24 };

typedef struct row {
    char *cells[COLUMNS_MAX];
    bool note;
} row;

struct table {
    const char *const *titles;
    int ncolumns, nrows, at; /* at: the next column of the row under way, 0: none is */
    row *rows;
};

table *table_create(const char *const *titles)
{
    table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->titles = titles;
    while (t->ncolumns < COLUMNS_MAX && titles[t->ncolumns]) t->ncolumns++;
    return t;
}

void table_destroy(table *t)
{
    if (!t) return;
    for (int r = 0; r < t->nrows; r++)
        for (int c = 0; c < COLUMNS_MAX; c++) free(t->rows[r].cells[c]);
    free(t->rows);
    free(t);
}

static row *new_row(table *t)
{
    row *rows = realloc(t->rows, sizeof *rows * (size_t)(t->nrows + 1));
    if (!rows) return NULL;
    t->rows = rows;
    rows[t->nrows] = (row){0};
    return &rows[t->nrows++];
}

void table_cell(table *t, const char *format, ...)
{
    if (!t || (t->at == 0 && !new_row(t))) return;
    va_list rest;
    va_start(rest, format);
    if (vasprintf(&t->rows[t->nrows - 1].cells[t->at], format, rest) < 0)
        t->rows[t->nrows - 1].cells[t->at] = NULL;
    va_end(rest);
    t->at = (t->at + 1) % t->ncolumns;
}

void table_end_row(table *t)
{
    if (t) t->at = 0;
}

void table_note(table *t, const char *text)
{
    row *note = t ? new_row(t) : NULL;
    if (!note) return;
    note->note = true;
    note->cells[0] = strdup(text);
    t->at = 0;
}

static void print_row(const table *t, char *const *cells, const int *widths, FILE *out)
{
    int last = t->ncolumns;
    while (last > 0 && !(cells[last - 1] && cells[last - 1][0])) last--;
    for (int c = 0; c < last; c++) {
        const char *cell = cells[c] ? cells[c] : "";
        int pad = widths[c] - text_columns(cell);
        if (t->titles[c][0] != '<')
            fprintf(out, "  %*s%s", pad, "", cell);
        else
            fprintf(out, "  %s%*s", cell, c + 1 < last ? pad : 0, "");
    }
    fputc('\n', out);
}

void table_print(const table *t, FILE *out, int width, bool bold)
{
    if (!t) return;
    int widths[COLUMNS_MAX];
    char *titles[COLUMNS_MAX];
    for (int c = 0; c < t->ncolumns; c++) {
        titles[c] = (char *)(t->titles[c][0] == '<' ? t->titles[c] + 1 : t->titles[c]);
        widths[c] = text_columns(titles[c]);
        for (int r = 0; r < t->nrows; r++)
            if (!t->rows[r].note && t->rows[r].cells[c] && text_columns(t->rows[r].cells[c]) > widths[c])
                widths[c] = text_columns(t->rows[r].cells[c]);
    }
    fputs(bold ? "\033[1m" : "", out);
    print_row(t, titles, widths, out);
    fputs(bold ? "\033[0m" : "", out);
    for (int r = 0; r < t->nrows; r++) {
        if (!t->rows[r].note)
            print_row(t, t->rows[r].cells, widths, out);
        else if (t->rows[r].cells[0]) {
            fputs("      ", out);
            text_wrap(out, t->rows[r].cells[0], 6, width);
        }
    }
}
