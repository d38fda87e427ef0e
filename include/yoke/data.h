/* Datasets: numbered samples, each a row of inputs and a row of targets.
 *
 * A dataset belongs to its creator, who destroys it with yoke_data_destroy, and is used by one thread at a
 * time. On failure a function that creates one leaves *data_out as it was; the status is YOKE_INVALID where
 * the arguments or a file are at fault, and the record names the file (and for CSV the line) and what would
 * be right; YOKE_SYSTEM where memory or the system is. Files are validated before anything is allocated for
 * what they claim to hold; samples of text, tokens, npy and plain IDX are read from the file when they are
 * asked for, and one that was cut short meanwhile is YOKE_INVALID then. */
#ifndef YOKE_DATA_H
#define YOKE_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/job.h"
#include "yoke/model.h"
#include "yoke/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_data yoke_data;

/* A target, of classes or tokens, that is not counted: it has no part in the loss, nor in its mean. */
enum { YOKE_UNCOUNTED = -100 };

typedef enum yoke_type { YOKE_F32, YOKE_I32 } yoke_type;

/* What one row is: an element type and the shape of one sample's part. */
typedef struct yoke_row {
    yoke_type type;
    int ndim; /* 0: one element */
    int64_t dims[YOKE_MAX_DIMS];
} yoke_row;

/* Writes sample `index` to `input` and `target`, in the types and shapes promised. Called on the thread that
 * trains, never by two at once. Anything but YOKE_OK ends the run with that status. */
typedef yoke_status (*yoke_data_read)(void *context, int64_t index, void *input, void *target);

/* `samples` rows in memory; both arrays are borrowed until the dataset is destroyed. Their values are not
 * checked. */
YOKE_API yoke_status yoke_data_from_memory(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                           const void *inputs, const yoke_row *target, const void *targets);
/* Rows from a function. What it writes is not checked. */
YOKE_API yoke_status yoke_data_from_callback(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                             const yoke_row *target, yoke_data_read read, void *context);

/* A text file as bytes: ids 0..255. Sample i is tokens i*sequence ... and the targets are the next tokens;
 * the last incomplete one is dropped. Both rows: i32 [sequence]. */
YOKE_API yoke_status yoke_data_from_text(yoke_data **data_out, const char *path, int64_t sequence);
/* A text file as a tokenizer's tokens, all encoded here and kept (4 bytes each, in memory up to 256 MiB, past
 * that in a file without a name in $TMPDIR); samples as of text. Bytes that are no UTF-8 are encoded too, see
 * yoke_tokenizer_encode. The tokenizer is borrowed for the call. */
YOKE_API yoke_status yoke_data_from_tokenized(yoke_data **data_out, const char *path, int64_t sequence,
                                              const yoke_tokenizer *tokenizer);
/* llm.c (with header: GPT-2's uint16, Llama-3's uint32) or nanoGPT (bare: uint16, or uint32 where vocab is
 * above 65536) token files. Samples as of text. Every id must be below `vocab`: checked here. */
YOKE_API yoke_status yoke_data_from_tokens(yoke_data **data_out, const char *path, int64_t sequence,
                                           int64_t vocab);
/* Rows of JSON, an object a line: {"text"}, {"prompt", "completion"} or {"messages"}; docs/formats.md says
 * what their tokens are, and which are counted (the other targets are YOKE_UNCOUNTED). All are read and
 * encoded here, a line at a time. */
typedef struct yoke_jsonl {
    int npaths; /* files and patterns of them, read in order as one */
    const char *const *paths;
    int64_t sequence; /* tokens of a sample */
    const yoke_tokenizer *tokenizer;
    int32_t eos;     /* the token that ends a text */
    yoke_chat chat;  /* how messages become text; YOKE_CHAT_AUTO: there are none */
    const char *bos; /* what llama3 begins with; NULL: <|begin_of_text|> */
    int pack;        /* 1: one behind the other, 0: each row a sample, -1: packed where all are texts */
    bool skip_long;  /* rows of which nothing would be counted in a sample are left out */
} yoke_jsonl;
/* All of `rows` is borrowed for the call. YOKE_INVALID names file and line. */
YOKE_API yoke_status yoke_data_from_jsonl(yoke_data **data_out, const yoke_jsonl *rows);
/* Two .npy files (versions 1 to 3, little-endian, C order) whose first dim counts the samples; f2, f4, f8, i1
 * to i8, u1 to u8, b1. Inputs: integers [n, T] are token ids (i32), bytes (u1) [n, h, w, ...] pictures, f32
 * in 0..1, all else becomes f32. Targets: integers [n] are classes and [n, T] token ids (i32), floats [n,
 * ...] become f32. NaN, infinities, negative ids (but for targets that are YOKE_UNCOUNTED) and ids beyond 32
 * bits are refused here. */
YOKE_API yoke_status yoke_data_from_npy(yoke_data **data_out, const char *inputs, const char *targets);
/* MNIST's format, gzip too; images of bytes become f32 [1, rows, columns] in 0..1, labels i32. */
YOKE_API yoke_status yoke_data_from_idx(yoke_data **data_out, const char *inputs, const char *targets);
/* A header line of column names, then rows of decimal numbers (RFC 4180); `targets` the names of the target
 * columns, all others are inputs in the file's order: f32 [columns]. One target column of whole numbers that
 * are all >= 0, or of words, gives classes (i32, no dims; words in the order of their bytes), else targets
 * are f32 [ntargets] in the order named. Read into memory. */
YOKE_API yoke_status yoke_data_from_csv(yoke_data **data_out, const char *path, int ntargets,
                                        const char *const *targets);
/* A fixed synthetic set that fits the shapes: f32 uniform in [-1, 1), i32 uniform in [0, limit). */
YOKE_API yoke_status yoke_data_random(yoke_data **data_out, int64_t samples, const yoke_row *input,
                                      int64_t input_limit, const yoke_row *target, int64_t target_limit,
                                      uint64_t seed);

/* At least 1. */
YOKE_API int64_t yoke_data_samples(const yoke_data *data);
/* What a sample is; either may be NULL. */
YOKE_API void yoke_data_rows(const yoke_data *data, yoke_row *input, yoke_row *target);
/* How many of a sample's inputs are no padding; padding, which fills rows of jsonl up, stands behind them and
 * is not counted. 0 for an index that is none. */
YOKE_API int64_t yoke_data_length(yoke_data *data, int64_t index);
/* Reads one sample; buffers hold a row each, aligned to 4 bytes. target may be NULL where no callback reads:
 * its inputs alone. YOKE_INVALID for an index that is none, or a sample that is malformed; or what the
 * callback returned. */
YOKE_API yoke_status yoke_data_get(yoke_data *data, int64_t index, void *input, void *target);
/* NULL is allowed. */
YOKE_API void yoke_data_destroy(yoke_data *data);

#ifdef __cplusplus
}
#endif
#endif
