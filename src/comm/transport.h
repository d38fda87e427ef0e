/* What carries a comm: a row of functions, called by comm.c with arguments it has checked.
 *
 * comm.c knows what all transports share: validation, groups of one, counting of received bytes. A transport
 * knows how bytes get from rank to rank. A new one is a folder with one yki_transport and a row in
 * yki_transports (comm.c). */
#ifndef YKI_COMM_TRANSPORT_H
#define YKI_COMM_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "comm/comm.h"

/* Of one sum at most. Its request has the doubles' number for `bytes`, and them at `out`; what starts it
 * keeps a copy, so that peers read that while each member writes its own sums. */
enum { YKI_COMM_SCALARS = 16 };

/* yki_request.kind; zero, as in a request never started, is done. */
typedef enum yki_operation {
    YKI_COMM_DONE,
    YKI_COMM_ALL_REDUCE,
    YKI_COMM_ALL_GATHER,
    YKI_COMM_REDUCE_SCATTER,
    YKI_COMM_ALL_TO_ALL,
    YKI_COMM_SHIFT,
    YKI_COMM_BROADCAST,
    YKI_COMM_BARRIER,
    YKI_COMM_SUM_SCALARS,
    YKI_COMM_SEND,
    YKI_COMM_RECEIVE,
    YKI_COMM_COUNT
} yki_operation;

/* Everything here is called by the rank's own thread, abort by any. Requests given to start are filled in;
 * groups have two members or more. A failing start or wait leaves the request to comm.c, which marks it done.
 */
typedef struct yki_transport {
    const char *name;
    bool (*reaches)(int processes); /* whether a world of so many processes is one of its */
    yki_memory memory;              /* that it reads and writes: requests have addresses of no other */
    yoke_status (*world_open)(int nlocal, yki_world **world_out);
    yoke_status (*world_join)(yki_world *world, int local, yki_comm **comm_out);
    void (*world_lose)(yki_world *world, const yoke_error *why);
    void (*world_close)(yki_world *world);
    /* The world's loss, if it is lost: writes the record and returns its status. */
    yoke_status (*check)(yki_comm *comm);
    yoke_status (*split)(yki_comm *comm, int colour, int key, yki_comm **group_out); /* groups of one too */
    void (*destroy)(yki_comm *comm);
    yoke_status (*start)(yki_comm *comm, yki_request *request); /* ALL_REDUCE to SUM_SCALARS */
    yoke_status (*wait)(yki_request *request);                  /* those, SEND and RECEIVE */
    yoke_status (*channel_open)(yki_comm *comm, int peer, int tag, bool sends, yki_channel **channel_out);
    void (*channel_close)(yki_channel *channel);
    yoke_status (*channel_start)(yki_channel *channel, yki_request *request); /* SEND, RECEIVE */
    void (*abort)(yki_comm *comm, const yoke_error *why);
} yki_transport;

extern const yki_transport yki_local_transport, yki_mpi_transport;

/* All transports of this build, ended by NULL; a world is opened by the first that reaches its processes and
 * memory. */
extern const yki_transport *const yki_transports[];

/* The first member of every transport's world. */
struct yki_world {
    const yki_transport *transport;
};

/* The first member of every transport's comm; the transport fills it when it makes one. */
struct yki_comm {
    const yki_transport *transport;
    yki_comm_memory *memory; /* of operations; NULL: the host's, at rest */
    int rank, size;
    _Atomic int64_t received_bytes; /* written by the owner, read by anybody */
};

/* The first member of every transport's channel. */
struct yki_channel {
    const yki_transport *transport;
    yki_comm *comm;
    int peer, tag;
    bool sends;
    bool busy; /* a message is under way: started and not waited for */
};

/* The pieces of an all_reduce. */
static inline const yki_segment *yki_request_segments(const yki_request *request)
{
    return request->nsegments == 1 ? &request->segment : request->segments;
}

/* The pieces of an all_gather or reduce_scatter. */
static inline const yki_piece *yki_request_pieces(const yki_request *request)
{
    return request->npieces == 1 ? &request->piece : request->pieces;
}

/* First of `elems` elements that member `member` of `size` reduces: floor(member * elems / size), without
 * overflow. */
static inline int64_t yki_part_first(int64_t elems, int size, int member)
{
    return elems / size * member + elems % size * member / size;
}

/* A number for all of an operation that must be the same on every member of a group of `size`. */
uint64_t yki_request_sign(const yki_request *op, int size);

/* "all_reduce", ...; static. */
const char *yki_operation_name(int kind);

#endif
