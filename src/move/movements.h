/* The functions that the rows of table.c name, a movement a file. start and moved_bytes: see move.h. */
#ifndef YKI_MOVE_MOVEMENTS_H
#define YKI_MOVE_MOVEMENTS_H

#include "move/move.h"

#define YKI_DECLARE_MOVEMENT(name)                                                                           \
    yoke_status yki_##name##_move(const yki_move_launch *launch, yki_request *request);                      \
    int64_t yki_##name##_bytes(const yki_move_launch *launch, int n);

YKI_DECLARE_MOVEMENT(copy)
YKI_DECLARE_MOVEMENT(broadcast)
YKI_DECLARE_MOVEMENT(all_reduce)
YKI_DECLARE_MOVEMENT(shard)
YKI_DECLARE_MOVEMENT(all_gather)
YKI_DECLARE_MOVEMENT(reduce_scatter)
YKI_DECLARE_MOVEMENT(all_to_all)
YKI_DECLARE_MOVEMENT(from_first)
#undef YKI_DECLARE_MOVEMENT

/* Bytes of the whole tensor that a cut over n ranks cuts. */
static inline int64_t yki_cut_bytes(const yki_cut *cut, int n, yki_dtype dtype)
{
    return cut->outer * yki_shares_before(cut->share, n) * cut->inner * (int64_t)yki_dtype_bytes(dtype);
}

/* A member's `in` to its `out`. */
static inline void yki_copy_here(const yki_move_launch *launch)
{
    size_t bytes = (size_t)launch->elems * yki_dtype_bytes(launch->dtype);
    yki_comm_copy(launch->comm,
                  &(yki_rect){.to = launch->out, .from = launch->in, .width = bytes, .rows = 1});
}

#endif
