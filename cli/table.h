/* Tables for people: aligned columns, with notes under rows. Cells are copied; memory that runs out leaves
 * cells empty. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct table table;

/* titles: the columns, NULL-terminated; a title that starts with '<' is left-aligned (without the '<'),
 * others right. */
table *table_create(const char *const *titles);
void table_destroy(table *t);
/* Appends a cell; after the last column the next row begins. */
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fills the row under way with empty cells and begins the next. */
void table_end_row(table *t);
/* A line under the last row, indented by two and wrapped. */
void table_note(table *t, const char *text);
/* The same of a command, to be copied: where it is wrapped its lines end in a backslash. */
void table_command(table *t, const char *text);
/* Prints it, each line starting with two spaces, notes wrapped before column `width`; the last columns, where
 * there is no room for them, as a note below each row. bold: the titles stand out. */
void table_print(const table *t, FILE *out, int width, bool bold);

#endif
