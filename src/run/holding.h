/* Holdings: which logical elements of a parameter's tensor a rank has, and where in its memory. Rows and
 * columns are those of the tensor as files have it, all dims but the first taken together as columns; a
 * holding is some rows of some columns. What a rank does with its holding needs no other rank's memory. */
#ifndef YKI_RUN_HOLDING_H
#define YKI_RUN_HOLDING_H

#include "run/rank.h"

/* Rows or columns one after the other, in the logical tensor and among those that the rank keeps. */
typedef struct yki_stretch {
    int64_t first, local, count;
} yki_stretch;

typedef struct yki_holding {
    int64_t row_elems; /* of a logical row */
    int nrows, ncolumns;
    yki_stretch *rows, *columns; /* none: the rank has nothing of it */
    int64_t kept_columns;
    int64_t row_step, column_step; /* elements from one to the next in memory */
    yki_view tensor;               /* the device's */
    const yki_rank *rank;
    char *data, *fetched; /* where the host finds the tensor, once it is fetched; and a buffer for that */
} yki_holding;

/* What the rank holds of a tensor or, with `own`, what of that is its own: each logical element is one rank's
 * own, whoever else has it too. YOKE_SYSTEM: memory. Released either way. */
yoke_status yki_holding_init(const yki_rank *rank, yki_tensor_kind kind, int parameter, bool own,
                             yki_holding *held);
void yki_holding_release(yki_holding *held);
/* Makes the tensor readable and writable to the host: in its place, or in a copy. The device is at rest. */
yoke_status yki_holding_fetch(yki_holding *held);
/* What was unpacked since then is the device's. */
yoke_status yki_holding_flush(yki_holding *held);
/* Gives back a copy. */
void yki_holding_forget(yki_holding *held);

/* Whether one rank owns all of the tensor. */
bool yki_owned_whole(const yki_plan *plan, yki_tensor_kind kind, int parameter);

/* A part of a holding: `rows` times `columns` elements. Row i is logical elements first + i * row_elems and
 * on; in memory it begins at element at + i * row_step. */
typedef struct yki_block {
    int64_t first, rows, columns, at;
} yki_block;

/* The blocks of a holding, one after the other, each of at most `most` elements; begins with all zeros. */
typedef struct yki_holding_walk {
    int row, column; /* stretches */
    int64_t row_offset, rows_taken, column_offset;
} yki_holding_walk;
bool yki_holding_next(const yki_holding *held, yki_holding_walk *walk, int64_t most, yki_block *block);

/* Of a fetched holding. Whether memory has the elements of each row of a block as files have them: f32, one
 * after the other. */
bool yki_holding_plain(const yki_holding *held);
/* A block's elements as f32, its rows `step` elements apart; and back, row after row. */
void yki_holding_pack(const yki_holding *held, const yki_block *block, float *values, int64_t step);
void yki_holding_unpack(const yki_holding *held, const yki_block *block, const float *values);

/* The kind that has what people call a weight: the f32 master where there is one. */
yki_tensor_kind yki_logical_kind(const yki_plan *plan, yki_tensor_kind kind, int parameter);

#endif
