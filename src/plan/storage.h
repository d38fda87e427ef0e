/* Storage: which values of a placed part share memory, how long each piece of memory lives, and where it lies
 * in its space. */
#ifndef YKI_PLAN_STORAGE_H
#define YKI_PLAN_STORAGE_H

#include "plan/placed.h"

typedef struct yki_storage {
    yki_space space;
    int64_t bytes; /* at the largest n */
    bool moved, kept;
    int edge; /* SPACE_SEND: the edge; else -1 */
    yki_body first_body, last_body;
    int last_read;   /* position of the last node that reads it; `last` counts movements under way too */
    int first, last; /* positions in the sequence: forward, then backward */
    int64_t offset[YKI_BODY_COUNT]; /* TEMP: in each body where it lives; others: [0] */
} yki_storage;

typedef struct yki_part_storage {
    yki_storage *storages;
    int nstorages, cstorages;
    /* Nodes of each body in order. */
    int *order[YKI_BODY_COUNT], count[YKI_BODY_COUNT];
    bool split; /* B and W apart somewhere in the schedule */
    int64_t area_bytes[YKI_AREAS], area_own[YKI_AREAS], area_moved[YKI_AREAS];
    int64_t temp_bytes, temp_own,
        temp_moved; /* of the hungriest body: region, and what tensors need of it at once */
    int peak_layer; /* where the hungriest body is hungriest */
} yki_part_storage;

/* Plans part `part` as lanes of class `class` see it, for micro-batches of up to `largest` samples.
 */
yoke_status yki_storage_plan(yki_plan *plan, int class, int part, bool split, yki_part_storage *storage_out);

static inline bool yki_scatters_gradient(const yki_placed_node *node)
{
    return node->shards && node->op == YKI_OP_MOVE + YKI_MOVE_REDUCE_SCATTER;
}

#define YKI_ALIGN 64
static inline int64_t yki_align(int64_t bytes)
{
    return (bytes + YKI_ALIGN - 1) / YKI_ALIGN * YKI_ALIGN;
}

/* Intervals [start, end] (positions, inclusive) of so many bytes: an offset for each, so that no two alive at
 * once overlap. Returns the bytes of the region. First fit, larger first. */
typedef struct yki_interval {
    int start, end;
    int64_t bytes, offset;
} yki_interval;
int64_t yki_pack(yki_interval *intervals, int count);

#endif
