/* What the readers of datasets share. A format is a file that fills a struct beginning with a yoke_data, and
 * a row in the table of data.c. Invariants of a dataset that was handed out: samples > 0, both rows valid,
 * and every sample that its `read` accepts is finite (f32) or in 0..INT32_MAX (i32); memory and callbacks are
 * the caller's own and are not checked. */
#ifndef YKI_DATA_DATA_H
#define YKI_DATA_DATA_H

#include "yoke/data.h"

typedef struct yki_data_ops {
    /* Writes sample `index`, which is in range, in the format's own types. */
    yoke_status (*read)(yoke_data *data, int64_t index, void *input, void *target);
    /* Gives back what the dataset holds, but not the struct itself. May be NULL. */
    void (*release)(yoke_data *data);
} yki_data_ops;

struct yoke_data {
    const yki_data_ops *ops;
    int64_t samples;
    yoke_row native_input, native_target; /* what `read` writes */
    yoke_row input, target; /* what yoke_data_get promises: the same, or a view (yki_data_view) */
    int64_t input_elements, target_elements;
};

/* Elements of one row (1 when ndim is 0); YOKE_INVALID, naming `what`, unless 0 <= ndim <= YOKE_MAX_DIMS,
 * every dim is positive, and the row's bytes can be counted. */
yoke_status yki_row_check(const yoke_row *row, const char *what, int64_t *elements_out);

/* A zeroed dataset of `size` bytes (a struct that begins with a yoke_data); the caller fills it in, then
 * calls yki_data_finish. Destroyed by yoke_data_destroy at any stage: so `release` accepts a struct that is
 * still zero. */
yoke_status yki_data_create(void *data_out, size_t size, const yki_data_ops *ops);

/* Checks samples and rows, which the reader has set in `native_*`, and hands the dataset out; destroys it on
 * failure. */
yoke_status yki_data_finish(yoke_data *data, int64_t samples, const yoke_row *input, const yoke_row *target,
                            yoke_data **data_out);

/* Presents the rows as a model wants them: the same number of elements in another shape; i32 may become f32
 * (never the other way round). NULL leaves a row as the file has it. YOKE_INVALID, naming both shapes, where
 * they don't agree. A later view starts from the file's own rows again. */
yoke_status yki_data_view(yoke_data *data, const yoke_row *input, const yoke_row *target);

/* "f32 [3, 8, 8]": a row for people. Returns buffer. */
char *yki_row_print(char buffer[192], const yoke_row *row);

/* The data of a job: which fields count depends on the format. Everything is borrowed for the call. */
typedef struct yki_data_spec {
    const char *format;              /* data.format */
    const char *path;                /* data.path: text, tokens, csv */
    const char *inputs;              /* data.inputs: npy, idx */
    const char *targets;             /* data.targets: npy, idx */
    int ncolumns;                    /* csv: */
    const char *const *columns;      /*   data.targets, the names of the target columns */
    int64_t sequence;                /* text, tokens: tokens per sample */
    const yoke_tokenizer *tokenizer; /* text: NULL: its bytes are the tokens */
    int64_t vocab;                   /* tokens: ids are below it */
    int64_t samples;                 /* random: */
    yoke_row input, target;          /*   what fits the model */
    int64_t input_limit, target_limit;
    uint64_t seed;
} yki_data_spec;

/* Opens the dataset that a job describes. An unknown format is YOKE_INVALID and names the nearest one; so is
 * a key that the format needs and that is missing. Owns: the caller, who destroys it. */
yoke_status yki_data_open(yoke_data **data_out, const yki_data_spec *spec);

/* Name of the i-th format in the table, NULL past the last. */
const char *yki_data_format(int i);

#endif
