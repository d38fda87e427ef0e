/* The movements: linear maps between states of a tensor over one mesh axis, each with its adjoint. A
 * file each; this header is their table. Movements know comms and memory, no graph and no plan. */
#ifndef YKI_MOVE_MOVE_H
#define YKI_MOVE_MOVE_H

#include "comm/comm.h"

/* The state of a logical tensor along one axis. */
typedef enum yki_placement { YKI_REPLICATED, YKI_SHARDED, YKI_PARTIAL } yki_placement;

typedef enum yki_move {
    YKI_MOVE_COPY,           /* to another device: the next stage's, or round an axis to the next member */
    YKI_MOVE_BROADCAST,      /* one replicated value, used by all ranks of an axis: nothing moves forward */
    YKI_MOVE_ALL_REDUCE,     /* partial -> replicated */
    YKI_MOVE_SHARD,          /* replicated -> sharded: keep my slice */
    YKI_MOVE_ALL_GATHER,     /* sharded -> replicated */
    YKI_MOVE_REDUCE_SCATTER, /* partial -> sharded */
    YKI_MOVE_ALL_TO_ALL,     /* sharded(a) -> sharded(b) */
    YKI_MOVE_FROM_FIRST,     /* each its own -> the first member's, for all */
    YKI_MOVE_COUNT,
    YKI_MOVE_NONE = YKI_MOVE_COUNT, /* the identity */
    YKI_MOVE_IMPOSSIBLE,            /* as an adjoint: the gradient cannot have that state */
} yki_move;

/* What a movement works on. in and out may be the same memory where in_place says so. */
typedef struct yki_move_launch {
    yki_comm *comm;       /* the axis group; unused by copies to another stage */
    yki_channel *channel; /* copy to another stage; NULL: along the axis, of the cut */
    int sends;            /* copy to another stage: 1 on the sending side */
    int back;             /* copy along the axis: to the member before */
    yki_dtype dtype;
    yki_cut cut;       /* shard, all_gather, reduce_scatter, copy along the axis; outer * sum(share) * inner
                          elements in all */
    yki_piece *pieces; /* all_gather, reduce_scatter, shard of several tensors at once; NULL: the one
                          of `in`, `out` and `cut` */
    int npieces;
    yki_exchange exchange; /* all_to_all */
    int64_t elems;         /* copy, broadcast, all_reduce */
    yki_segment *segments; /* all_reduce over several pieces; NULL: the one piece `out` */
    int nsegments;
    yki_reduction reduction; /* all_reduce; max has no adjoint */
    const void *in;
    void *out;
} yki_move_launch;

typedef struct yki_movement {
    const char *name;
    yki_placement from, to;
    /* The adjoint for a gradient (of the output) that is replicated, sharded, partial along the axis;
     * YKI_MOVE_IMPOSSIBLE where that state cannot be. The adjoint's launch has the forward's cut and
     * elements; copy's turns `sends` round (and takes the channel of the other direction) or `back`,
     * all_to_all's exchange.back. */
    yki_move adjoint[3];
    int in_place; /* out may be in */
    /* Bytes that the ranks of the group receive from others in one launch, all together; n ranks. */
    int64_t (*moved_bytes)(const yki_move_launch *launch, int n);
    /* Starts; the end is yki_wait on the request. A movement that is local finishes at once and leaves a done
     * request. */
    yoke_status (*start)(const yki_move_launch *launch, yki_request *request);
} yki_movement;

/* Indexed by yki_move. */
extern const yki_movement yki_movements[YKI_MOVE_COUNT];

#endif
