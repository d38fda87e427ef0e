/* A CSV file while it is read: its columns, by the header, and what its fields mean. */
#ifndef YKI_DATA_CSV_READER_H
#define YKI_DATA_CSV_READER_H

#include <locale.h>

#include "data/csv_fields.h"
#include "data/csv_words.h"
#include "data/data.h"

/* What a column is, where it is neither the input of that number nor the target. */
enum { YKI_CSV_PASSED_OVER = -1, YKI_CSV_TARGET = 1 << 30 };

typedef struct yki_csv_reader {
    yki_csv csv;
    const char *path;
    const yki_file *file; /* for sentences */
    yki_names names;      /* of the columns */
    int *role;            /* column -> input, YKI_CSV_TARGET + target, or YKI_CSV_PASSED_OVER */
    int ncolumns, ninputs, ntargets;
    yki_words words;
    enum { YKI_CSV_NOT_KNOWN, YKI_CSV_NUMBERS, YKI_CSV_WORDS } kind; /* of a single target column */
    int kind_line;                                                   /* 0: training says */
    char kind_shown[YKI_QUOTE_BYTES];
    locale_t c_locale; /* in which numbers are read */
} yki_csv_reader;

/* csv_header.c: the first line: which column is what, by the names that the job and training have.
 * YOKE_INVALID names line and column. Input columns passed over are a note of `data`. */
yoke_status yki_csv_read_header(yki_csv_reader *reader, const yki_data_spec *spec, yoke_data *data);

/* csv_values.c: the last field's number, in a column of numbers. */
yoke_status yki_csv_number(const yki_csv_reader *reader, int column, double *number);
/* The last field, in a target column: a number, or the number of a word in their list (`word` says which). A
 * single target column is of one kind, which its first field says, or training. */
yoke_status yki_csv_target(yki_csv_reader *reader, int column, bool *word, double *number, int32_t *place);

#endif
