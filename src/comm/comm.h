/* Movement between ranks. A comm is one rank's end of a group of ranks; it knows no graph and no plan.
 *
 * Every operation is a start and a wait. All members of a group start the same collectives in the same order;
 * buffers belong to the operation from its start to its wait. Up to YKI_COMM_OUTSTANDING collectives of a
 * group may be under way: each is waited for before the YKI_COMM_OUTSTANDING-th start after it, else that
 * start is YOKE_INVALID. Waits may come in any order: a rank that waits for one operation moves all its
 * others on. Reductions sum in rank order, in f32 for bf16 operands (rounded once), so the same inputs give
 * the same bits whatever the timing; over mpi, ranks of a process first, then those of a machine, then
 * machines. Nothing is allocated after a group or channel is made. A rank that fails
 * calls yki_comm_abort; everybody's waits, now and later, then return with that status. Members that start
 * different operations lose the group with YOKE_INVALID; bad arguments are YOKE_INVALID at the start, and
 * leave a request that is done.
 *
 * Threads: a rank's comms, channels and requests are used by one thread at a time, but for yki_comm_abort,
 * which any thread may call. */
#ifndef YKI_COMM_COMM_H
#define YKI_COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "yoke/status.h"

enum { YKI_COMM_OUTSTANDING = 8 };

typedef struct yki_comm yki_comm;
typedef struct yki_channel yki_channel; /* one end of a one-way link between two ranks */

typedef enum yki_reduction { YKI_SUM, YKI_MAX } yki_reduction;

/* A piece of memory; collectives over several pieces move no padding between them. */
typedef struct yki_segment {
    void *data;
    int64_t elems;
} yki_segment;

/* How a dim is cut over the members of a group: a tensor is [outer, sum of share, inner] elements, and member
 * r holds [outer, share[r], inner] of it. share has an entry per member and may hold zeros. */
typedef struct yki_cut {
    int64_t outer, inner;
    const int64_t *share;
} yki_cut;

/* A tensor of an all_gather or reduce_scatter, and the member's cut of it: `mine` by itself, or, where it is
 * `all`, at its place in the whole. A reduce_scatter may add to what `mine` has, where it is no part of
 * `all`.
 */
typedef struct yki_piece {
    void *mine, *all;
    yki_cut cut;
    int adds;
} yki_piece;

/* all_to_all: a tensor [outer, A, mid, B, inner] cut over dim A becomes one cut over dim B; with `back`, one
 * cut over B becomes one cut over A (the adjoint and the inverse). */
typedef struct yki_exchange {
    int64_t outer, mid, inner;
    const int64_t *share_a, *share_b;
    int back;
} yki_exchange;

/* Elements of a dim that members before `member` hold; with the group's size, the whole dim. */
static inline int64_t yki_shares_before(const int64_t *share, int member)
{
    int64_t sum = 0;
    for (int i = 0; i < member; i++) sum += share[i];
    return sum;
}

/* An operation under way; storage of the caller, contents of the comm. Shares that a cut or an exchange
 * points to are borrowed until the wait, as are several segments or pieces, whose addresses may be others
 * meanwhile; a single one is copied. */
typedef struct yki_request {
    yki_comm *comm;
    yki_channel *channel;
    int kind;
    yki_dtype dtype;
    yki_reduction reduction;
    yki_segment *segments; /* all_reduce, where nsegments > 1 */
    yki_segment segment;   /* all_reduce, where nsegments == 1 */
    int nsegments, root;
    yki_piece *pieces; /* all_gather, reduce_scatter, where npieces > 1 */
    yki_piece piece;   /* where npieces == 1, and of a shift */
    int npieces;
    const void *in;
    void *out;
    size_t in_bytes, out_bytes; /* of a member's memory that is read, written: of sends, receives, broadcasts,
                                   shifts and all_to_all */
    yki_exchange exchange;
    uint64_t sequence;
    int from;               /* shift: whose cut */
    size_t bytes;           /* broadcast, send, receive */
    int64_t received_bytes; /* what the wait adds to the comm's count */
} yki_request;

int yki_comm_rank(const yki_comm *comm);
int yki_comm_size(const yki_comm *comm);

/* Groups: members of `comm` with the same colour form one, in the order of key (then of rank in `comm`); a
 * negative colour is in none and gets NULL. Collective over `comm`. Owns: the caller. */
yoke_status yki_comm_split(yki_comm *comm, int colour, int key, yki_comm **group_out);
/* Local; nothing may be under way and channels are closed first, unless the world is lost. NULL is legal. */
void yki_comm_destroy(yki_comm *comm);

/* In place: every member ends with the reduction over all members. Two phases (each member reduces its share
 * of the elements, then collects the others'), so a member receives 2(n-1)/n of the bytes. Member r's share
 * of the E elements of all segments, end to end, is [floor(rE/n), floor((r+1)E/n)). i32 sums wrap; a NaN is
 * the max of anything. */
yoke_status yki_all_reduce_start(yki_comm *comm, yki_segment *segments, int nsegments, yki_dtype dtype,
                                 yki_reduction reduction, yki_request *request);
/* Of every piece, `mine` is the member's cut, `all` the whole; they are the same or do not overlap. In place,
 * a member's own cut is there already. */
yoke_status yki_all_gather_start(yki_comm *comm, yki_piece *pieces, int npieces, yki_dtype dtype,
                                 yki_request *request);
/* Of every piece, `all` is each member's part of a sum, `mine` the member's cut of that sum. In place, the
 * rest of `all` is left as it was. */
yoke_status yki_reduce_scatter_start(yki_comm *comm, yki_piece *pieces, int npieces, yki_dtype dtype,
                                     yki_request *request);
yoke_status yki_all_to_all_start(yki_comm *comm, const void *in, void *out, yki_dtype dtype,
                                 const yki_exchange *exchange, yki_request *request);
/* Round a ring: of a tensor cut over the members, `out` becomes the cut that the member before holds in `in`
 * (before the first is the last); with `back`, the member behind. They do not overlap. */
yoke_status yki_shift_start(yki_comm *comm, const void *in, void *out, yki_dtype dtype, const yki_cut *cut,
                            int back, yki_request *request);
/* root's bytes to all. */
yoke_status yki_broadcast_start(yki_comm *comm, void *data, size_t bytes, int root, yki_request *request);
yoke_status yki_barrier(yki_comm *comm);
/* Sums of a few doubles over all members, in rank order; start and wait in one. Not counted as moved bytes.
 */
yoke_status yki_sum_scalars(yki_comm *comm, double *values, int count);

/* Channels: `tag` tells apart the channels between the same two ranks. Opening is local; the ends open in any
 * order, and a rank may open both ends of a channel to itself. Both ends open an end once (a second time is
 * YOKE_INVALID). One message may be under way on a channel; the sender's wait returns when the receiver has
 * taken it. Messages of 0 bytes are legal. */
yoke_status yki_channel_open(yki_comm *comm, int peer, int tag, int sends, yki_channel **channel_out);
void yki_channel_close(yki_channel *channel);
yoke_status yki_send_start(yki_channel *channel, const void *data, size_t bytes, yki_request *request);
yoke_status yki_receive_start(yki_channel *channel, void *data, size_t bytes, yki_request *request);

/* Ends an operation. YOKE_PEER_FAILED (or the aborting rank's status): the group is lost, the record says who
 * and why. A request that was never started (all zero) or has been waited for is done. */
yoke_status yki_wait(yki_request *request);

/* Marks the whole world that `comm` was split from as lost; `why` is handed to everybody who waits, with this
 * rank if it names none and YOKE_PEER_FAILED if its status is YOKE_OK. NULL: a rank failed. The first one
 * wins. When this returns, or a wait with that status, no other rank touches buffers of the caller any more.
 */
void yki_comm_abort(yki_comm *comm, const yoke_error *why);

/* Payload bytes that this member has received from others over this group (and its channels) since it was
 * made. */
int64_t yki_comm_received_bytes(const yki_comm *comm);

/* --- memory: a device's, on which operations work --- */

typedef struct yki_comm_memory yki_comm_memory;

/* From now on, operations of `comm`, of groups that are split off it later, and of their channels may be
 * given addresses of the `bytes` bytes at `data` on the queue's device. They begin behind what was put into
 * the queue before their start; what is put into it after their wait comes behind them. Where the transport
 * does not reach the memory, it is handed the same bytes of a copy in the host's, of which only what
 * operations touch takes room: downloads and uploads, on a queue of their own, see to that. What lies
 * elsewhere is the host's. queue and data are borrowed. YOKE_SYSTEM: memory. */
yoke_status yki_comm_use(yki_comm *comm, yki_queue *queue, void *data, size_t bytes,
                         yki_comm_memory **memory_out);
/* After the comms that use it. NULL is legal. */
void yki_comm_memory_destroy(yki_comm_memory *memory);
/* From one place of the member's memory to another, behind what its queue has to do. */
void yki_comm_copy(yki_comm *comm, const yki_rect *rect);

/* --- worlds: all ranks of a run, of which this process has some --- */

typedef struct yki_world yki_world;

/* Opens the world of `processes` processes that have `nlocal` ranks each, numbered process by process, by the
 * first transport that reaches them all and their devices' memory, or else them alone; by all processes
 * together, one world at a time in a cluster. Owns: the caller. YOKE_INVALID: no transport reaches so many.
 */
yoke_status yki_world_open(int processes, int nlocal, yki_memory memory, yki_world **world_out);
/* The end that this process's rank number `local`, from 0, has of the group of all; each once. Owned by the
 * caller, destroyed before the world. */
yoke_status yki_world_join(yki_world *world, int local, yki_comm **comm_out);
/* The world is lost to the ranks here, as by yki_comm_abort, but by no rank, and others are not told. */
void yki_world_lose(yki_world *world, const yoke_error *why);
/* NULL is legal. */
void yki_world_close(yki_world *world);

#endif
