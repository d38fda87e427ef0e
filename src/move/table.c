/* The table of movements. The adjoint of M is found by the inner product of logical tensors, <Mx, y> = <x, M*
 * y>, in which a replicated value counts once, a partial one as its sum and a sharded one over its shards
 * (Hewett and Grady, "A Linear Algebraic Approach to Model Parallelism in Deep Learning", 2020). A sharded
 * value has a sharded gradient; that of a replicated one is replicated, where all ranks did the same with it,
 * or partial. */
#include "move/movements.h"

#define ROW(name_) .name = #name_, .start = yki_##name_##_move, .moved_bytes = yki_##name_##_bytes
#define ADJOINTS(replicated_, sharded_, partial_)                                                            \
    .adjoint = {[YKI_REPLICATED] = YKI_MOVE_##replicated_,                                                   \
                [YKI_SHARDED] = YKI_MOVE_##sharded_,                                                         \
                [YKI_PARTIAL] = YKI_MOVE_##partial_}

const yki_movement yki_movements[YKI_MOVE_COUNT] = {
    /* Looks at no state: what it moves may have any along the other axes, or shards go round. */
    [YKI_MOVE_COPY] = {ROW(copy), .from = YKI_REPLICATED, .to = YKI_REPLICATED, ADJOINTS(COPY, COPY, COPY)},
    [YKI_MOVE_BROADCAST] = {ROW(broadcast), .from = YKI_REPLICATED, .to = YKI_REPLICATED, .in_place = 1,
                            ADJOINTS(NONE, IMPOSSIBLE, ALL_REDUCE)},
    [YKI_MOVE_ALL_REDUCE] = {ROW(all_reduce), .from = YKI_PARTIAL, .to = YKI_REPLICATED, .in_place = 1,
                             ADJOINTS(NONE, IMPOSSIBLE, ALL_REDUCE)},
    [YKI_MOVE_SHARD] = {ROW(shard), .from = YKI_REPLICATED, .to = YKI_SHARDED,
                        ADJOINTS(IMPOSSIBLE, ALL_GATHER, IMPOSSIBLE)},
    [YKI_MOVE_ALL_GATHER] = {ROW(all_gather), .from = YKI_SHARDED, .to = YKI_REPLICATED,
                             ADJOINTS(SHARD, IMPOSSIBLE, REDUCE_SCATTER)},
    [YKI_MOVE_REDUCE_SCATTER] = {ROW(reduce_scatter), .from = YKI_PARTIAL, .to = YKI_SHARDED,
                                 ADJOINTS(IMPOSSIBLE, ALL_GATHER, IMPOSSIBLE)},
    [YKI_MOVE_ALL_TO_ALL] = {ROW(all_to_all), .from = YKI_SHARDED, .to = YKI_SHARDED,
                             ADJOINTS(IMPOSSIBLE, ALL_TO_ALL, IMPOSSIBLE)},
    /* Of what no gradient flows through. */
    [YKI_MOVE_FROM_FIRST] = {ROW(from_first), .from = YKI_REPLICATED, .to = YKI_REPLICATED, .in_place = 1,
                             ADJOINTS(IMPOSSIBLE, IMPOSSIBLE, IMPOSSIBLE)},
};
