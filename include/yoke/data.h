/* Datasets: numbered samples, each a row of inputs and a row of targets. */
#ifndef YOKE_DATA_H
#define YOKE_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_data yoke_data;

typedef enum yoke_type { YOKE_F32, YOKE_I32 } yoke_type;

/* What one row is: an element type and the shape of one sample's part. */
typedef struct yoke_row {
    yoke_type type;
    int ndim; /* 0: one element */
    int64_t dims[YOKE_MAX_DIMS];
} yoke_row;

/* Writes sample `index` to `input` and `target`, in the types and shapes promised. Called on the thread that trains,
 * never by two at once. Anything but YOKE_OK ends the run with that status. */
typedef yoke_status (*yoke_data_read)(void *context, int64_t index, void *input, void *target);

/* `samples` rows in memory; both arrays are borrowed until the dataset is destroyed. */
YOKE_API yoke_status yoke_data_from_memory(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                           const void *inputs, const yoke_row *target, const void *targets);
/* Rows from a function. */
YOKE_API yoke_status yoke_data_from_callback(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                             const yoke_row *target, yoke_data_read read, void *context);

/* Files. Each is validated before anything is allocated for it; YOKE_INVALID names file and fault. */
/* Sample i is tokens i*sequence ... and the targets are the next tokens; the last incomplete one is dropped. */
YOKE_API yoke_status yoke_data_from_text(yoke_data **data_out, const char *path, int64_t sequence);
/* llm.c (with header) or nanoGPT (bare uint16) token files, mapped; ids must be below `vocab`. */
YOKE_API yoke_status yoke_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence, int64_t vocab);
/* targets: int64 [n] (classes) or float [n, ...]. inputs: f4, f8, or integers for token ids. */
YOKE_API yoke_status yoke_data_from_npy(yoke_data **data_out, const char *inputs, const char *targets);
/* MNIST's format, .gz too; images become f32 [1, rows, columns] in 0..1. */
YOKE_API yoke_status yoke_data_from_idx(yoke_data **data_out, const char *inputs, const char *targets);
/* A header line of column names; `targets` the names of the target columns. One target column of whole numbers that
 * are all >= 0 may serve as classes. */
YOKE_API yoke_status yoke_data_from_csv(yoke_data **data_out, const char *path, int ntargets,
                                        const char *const *targets);
/* A fixed synthetic set that fits the shapes: f32 uniform in [-1, 1), i32 uniform in [0, limit). */
YOKE_API yoke_status yoke_data_random(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                      int64_t input_limit, const yoke_row *target, int64_t target_limit,
                                      uint64_t seed);

YOKE_API int64_t yoke_data_samples(const yoke_data *data);
YOKE_API void yoke_data_rows(const yoke_data *data, yoke_row *input, yoke_row *target);
/* Reads one sample; buffers hold a row each. */
YOKE_API yoke_status yoke_data_get(yoke_data *data, int64_t index, void *input, void *target);
YOKE_API void yoke_data_destroy(yoke_data *data);

#ifdef __cplusplus
}
#endif
#endif
