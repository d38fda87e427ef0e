/* Tables: cells row by row in one array, notes as cells of a row that has only one. */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { COLUMNS_MAX = 24 };

typedef struct row {
    char *cells[COLUMNS_MAX];
    bool note, command; /* a command is a note, whose lines a shell reads as one */
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

static void add_note(table *t, const char *text, bool command)
{
    row *note = t ? new_row(t) : NULL;
    if (!note) return;
    note->note = true;
    note->command = command;
    note->cells[0] = strdup(text);
    t->at = 0;
}

void table_note(table *t, const char *text)
{
    add_note(t, text, false);
}

void table_command(table *t, const char *text)
{
    add_note(t, text, true);
}

static const char *title_of(const table *t, int column)
{
    return t->titles[column][0] == '<' ? t->titles[column] + 1 : t->titles[column];
}

static const char *cell_of(const row *r, int column)
{
    return r->cells[column] ? r->cells[column] : "";
}

/* Cells of one line, the first `shown` columns; of the titles where r is NULL. */
static void print_row(const table *t, const row *r, int shown, const int *widths, FILE *out)
{
    int last = shown;
    while (last > 0 && r && !cell_of(r, last - 1)[0]) last--;
    for (int c = 0; c < last; c++) {
        const char *cell = r ? cell_of(r, c) : title_of(t, c);
        int pad = widths[c] - text_columns(cell);
        if (t->titles[c][0] != '<')
            fprintf(out, "  %*s%s", pad, "", cell);
        else
            fprintf(out, "  %s%*s", cell, c + 1 < last ? pad : 0, "");
    }
    fputc('\n', out);
}

static void print_note(const char *text, const char *end, int width, FILE *out)
{
    fputs("      ", out);
    text_wrap_with(out, text, 6, 6, width, end);
}

/* The columns that have no room, below their row: "moved 6.43 MiB, idle 2 %". Nothing where memory is out. */
static void print_rest(const table *t, const row *r, int shown, int width, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *rest = shown < t->ncolumns ? open_memstream(&text, &size) : NULL;
    if (!rest) return;
    for (int c = shown, first = 1; c < t->ncolumns; c++) {
        const char *cell = cell_of(r, c), *title = title_of(t, c);
        if (!cell[0] || strcmp(cell, "-") == 0) continue;
        fprintf(rest, "%s%s%s%s", first ? "" : ", ", title, title[0] ? " " : "", cell);
        first = 0;
    }
    if (fclose(rest) == 0 && text && text[0]) print_note(text, "", width, out);
    free(text);
}

void table_print(const table *t, FILE *out, int width, bool bold)
{
    if (!t) return;
    int widths[COLUMNS_MAX], shown = 0, all = 0;
    for (int c = 0; c < t->ncolumns; c++) {
        widths[c] = text_columns(title_of(t, c));
        for (int r = 0; r < t->nrows; r++)
            if (!t->rows[r].note && text_columns(cell_of(&t->rows[r], c)) > widths[c])
                widths[c] = text_columns(cell_of(&t->rows[r], c));
        all += 2 + widths[c];
        if (shown == c && (all <= width || c == 0)) shown = c + 1;
    }
    fputs(bold ? "\033[1m" : "", out);
    print_row(t, NULL, shown, widths, out);
    fputs(bold ? "\033[0m" : "", out);
    for (int r = 0; r < t->nrows; r++) {
        if (t->rows[r].note) {
            if (t->rows[r].cells[0])
                print_note(t->rows[r].cells[0], t->rows[r].command ? " \\" : "", width, out);
            continue;
        }
        print_row(t, &t->rows[r], shown, widths, out);
        print_rest(t, &t->rows[r], shown, width, out);
    }
}
