/* Rows of predictions into a file: csv, npy or JSON lines, by the file's name; or csv on standard output. A
 * file is written under another name and takes its own when all is in it; what is no plain file is simply
 * written to. */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include <stdint.h>

#include "cli.h"

/* What a row is. Classes: the likeliest and its probability, and with `all` every probability; else numbers.
 */
typedef struct rows_shape {
    int64_t samples, numbers;               /* in all; of a row: classes, or outputs */
    bool classes, all;                      /* all: of classes */
    const char *(*name)(void *of, int64_t); /* of a class or an output; may give NULL */
    void *of;
} rows_shape;

typedef struct rows rows;

/* path NULL: csv to the run's standard output. NULL: said, and *code_out is the exit code. */
rows *rows_open(cli *run, const char *path, const rows_shape *shape, int *code_out);
/* Adds a row. values: `numbers` outputs, or the probabilities of classes. */
void rows_add(rows *r, const float *values);
/* Ends it: `keep` the file, or take it away. Returns the exit code. */
int rows_close(cli *run, rows *r, bool keep);
/* "csv", "npy", "jsonl". */
const char *rows_format(const rows *r);

#endif
