/* The fields of a CSV file (RFC 4180), one after the other: quoted ones may hold commas, quotes ("") and line
 * ends. A UTF-8 byte order mark and blank lines are skipped, spaces around an unquoted field too. */
#ifndef YKI_DATA_CSV_FIELDS_H
#define YKI_DATA_CSV_FIELDS_H

#include <stdbool.h>

#include "base/text.h"
#include "data/file.h"

/* Where the reader is, and what it read last. */
typedef struct yki_csv {
    const char *path;     /* borrowed, for messages */
    const char *at, *end; /* of the file's text, borrowed */
    int line, field_line; /* of `at`; of the field's beginning */
    yki_text field;       /* ends with '\0'; may hold others */
    bool quoted;          /* the field was */
    bool last;            /* it was the last of its line */
} yki_csv;

/* Begins to read `size` bytes. Released by yki_csv_end, which accepts a zeroed reader. */
void yki_csv_begin(yki_csv *csv, const char *path, const char *text, size_t size);
void yki_csv_end(yki_csv *csv);

/* Reads one field and what ends it. YOKE_INVALID names file and line. */
yoke_status yki_csv_field(yki_csv *csv);
void yki_csv_skip_blank_lines(yki_csv *csv);

/* The last field as it can be shown, shortened. Returns buffer. */
char *yki_csv_shown(const yki_csv *csv, char buffer[YKI_QUOTE_BYTES]);

#endif
