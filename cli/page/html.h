/* Pieces of a page: text made safe, values of the JSON document that the page shows, sections and tables.
 * Whatever is missing from the document, or null, is NaN, NULL or an empty list, and shown as a dash. */
#ifndef CLI_PAGE_HTML_H
#define CLI_PAGE_HTML_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A number (NaN: there is none), a text (NULL), a truth (false) of an object. */
double json_number_of(const json_t *object, const char *key);
const char *json_text_of(const json_t *object, const char *key);
bool json_truth_of(const json_t *object, const char *key);

/* Text as a page has it: no byte of it is markup, or breaks the page. */
void html_text(FILE *out, const char *text);
void html_format(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A part of the page under a heading; note: a sentence below that, NULL: none. */
void html_section(FILE *out, const char *title, const char *note);
void html_section_end(FILE *out);
/* A paragraph, of the class `kind` (NULL: none). */
void html_paragraph(FILE *out, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Lines to be copied, as they stand. */
void html_lines(FILE *out, const char *text);

/* Figures that stand out, side by side: begun, one after the other, ended. */
void html_figures(FILE *out);
void html_figure(FILE *out, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
void html_figures_end(FILE *out);

/* A table: its titles (NULL-terminated; one that begins with '<' stands left, without it), then cells, row by
 * row. Cells of a row after the last title begin the next. */
typedef struct html_table {
    FILE *out;
    const char *const *titles;
    int columns, at;
} html_table;
void html_table_begin(html_table *t, FILE *out, const char *const *titles);
void html_cell(html_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Empty cells to the end of the row. */
void html_row_end(html_table *t);
/* A line over all columns, between two rows. */
void html_table_note(html_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void html_table_end(html_table *t);

/* Figures for people, "-" where they are NaN: bytes, milliseconds, a share, a number of four digits. */
typedef char html_word[40];
const char *word_bytes(html_word word, double bytes);
const char *word_ms(html_word word, double ms);
const char *word_share(html_word word, double share);
const char *word_number(html_word word, double number);

#endif
