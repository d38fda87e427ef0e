/* Ranks as threads of one process: what the files of this folder share.
 *
 * A group is shared memory: for each member a ring of published operations and two counters, `started` and
 * `finished`, that only the member writes. An operation of sequence number s can be worked on by a member
 * once all have started more than s, and is complete once all have finished more than s; in between each
 * member reads and writes memory of its peers, no two the same element. Everything that is waited for is such
 * a counter, so one wait loop (yki_local_await) serves all.
 *
 * A rank touches its peers' memory only between yki_local_enter and yki_local_leave. Who finds the world lost
 * waits until nobody is in there before it gives its buffers back to its caller. */
#ifndef YKI_COMM_LOCAL_LOCAL_H
#define YKI_COMM_LOCAL_LOCAL_H

#include <pthread.h>
#include <stdalign.h>

#include "comm/local/wake.h"
#include "comm/transport.h"
#include "comm/worlds.h"

enum { YKI_LOCAL_LINE = 128 }; /* two cache lines: the neighbour is fetched too */

typedef struct yki_local_slot {
    uint64_t signature; /* equal on all members, or they disagree on what they do */
    yki_request op;
    double scalars[YKI_COMM_SCALARS];
} yki_local_slot;

/* A member of a group as its peers see it; written by its owner. */
typedef struct yki_local_member {
    alignas(YKI_LOCAL_LINE) _Atomic uint64_t started;
    _Atomic uint64_t finished;
    int world_rank;
    alignas(YKI_LOCAL_LINE) yki_local_slot slots[YKI_COMM_OUTSTANDING];
} yki_local_member;

typedef struct yki_local_box yki_local_box;

typedef struct yki_local_group {
    yki_local_world *world;
    struct yki_local_group *next; /* of the world; under its lock */
    int size;
    _Atomic int users; /* comms, and the world for the group of all; the last one frees */
    pthread_mutex_t lock;
    yki_local_box *boxes; /* under lock */
    yki_local_member members[];
} yki_local_group;

/* One rank's end of a group. */
typedef struct yki_local_comm {
    yki_comm base;
    yki_local_group *group;
    struct yki_local_rank *owner;
    struct yki_local_comm *next; /* of the same rank */
    uint64_t started, finished;  /* as the member's, without the atomics */
    unsigned unwaited;           /* a bit a slot */
    void **pieces;               /* scratch: a pointer for each member, and one more */
} yki_local_comm;

/* A link between two ranks: the memory both sides look at. Messages are counted from 0; message m is moved
 * once both counts are above m, by whichever side claims it. */
struct yki_local_box {
    yki_local_box *next;
    int source, target, tag; /* ranks in the group */
    unsigned ends;           /* 1: the sender has it open, 2: the receiver; under the group's lock */
    alignas(YKI_LOCAL_LINE) _Atomic uint64_t sent;
    const void *from;
    size_t from_bytes;
    alignas(YKI_LOCAL_LINE) _Atomic uint64_t posted;
    void *to;
    size_t to_bytes;
    alignas(YKI_LOCAL_LINE) _Atomic uint64_t claimed;
    _Atomic uint64_t moved;
};

typedef struct yki_local_channel {
    yki_channel base;
    yki_local_box *box;
    struct yki_local_channel *next; /* of the same rank */
    uint64_t messages;              /* started on this end */
} yki_local_channel;

typedef struct yki_local_rank {
    alignas(YKI_LOCAL_LINE) yki_bell bell;
    alignas(YKI_LOCAL_LINE) _Atomic int working; /* between enter and leave */
    _Atomic int joined;
    yki_local_world *world;
    int rank;
    yki_local_comm *comms; /* these two: of the rank's thread */
    yki_local_channel *channels;
} yki_local_rank;

struct yki_local_world {
    yki_world base;
    int size, spin;
    _Atomic int lost; /* 0: no, 1: somebody is writing why, 2: yes */
    yoke_error why;
    pthread_mutex_t lock;
    yki_local_group *groups; /* all there are, so that none is lost with the world */
    yki_local_group *all;
    yki_local_rank *ranks;
};

/* --- world.c --- */

/* A group with room for `size` members, whose world ranks are set by the caller. NULL: out of memory. */
yki_local_group *yki_local_group_create(yki_local_world *world, int size, int users);
void yki_local_group_drop(yki_local_group *group);
/* A rank's end; NULL: out of memory. */
yki_local_comm *yki_local_comm_create(yki_local_group *group, int member);
void yki_local_comm_destroy(yki_comm *comm);

/* --- wait.c --- */

/* Marks the world as lost and returns its status, when nobody touches peers' memory any more. why: as
 * yki_comm_abort's. */
yoke_status yki_local_lose(yki_local_world *world, int rank, const yoke_error *why);
yoke_status yki_local_check(yki_local_world *world);
/* False: the world is lost, and memory of peers is not to be touched. Leave follows only a true one. */
bool yki_local_enter(yki_local_rank *rank);
void yki_local_leave(yki_local_rank *rank);
/* Polls, then sleeps, until ready(of) or the world is lost; moves on all the rank has under way meanwhile. */
yoke_status yki_local_await(yki_local_rank *rank, bool (*ready)(void *of), void *of);

/* --- collective.c --- */

yoke_status yki_local_start(yki_comm *comm, yki_request *request);
yoke_status yki_local_wait(yki_request *request);
/* Does the rank's part of what all members of a group have started. Returns whether there was any. */
bool yki_local_advance(yki_local_comm *comm);

/* --- work.c --- */

/* The member's part of operation `sequence`, which all have started; of equal signature. */
void yki_local_work(yki_local_comm *comm, uint64_t sequence);

static inline yki_local_slot *yki_local_slot_of(yki_local_comm *comm, int member, uint64_t sequence)
{
    return &comm->group->members[member].slots[sequence % YKI_COMM_OUTSTANDING];
}

/* --- channel.c --- */

yoke_status yki_local_channel_open(yki_comm *comm, int peer, int tag, bool sends, yki_channel **channel_out);
void yki_local_channel_close(yki_channel *channel);
yoke_status yki_local_channel_start(yki_channel *channel, yki_request *request);
yoke_status yki_local_channel_wait(yki_channel *channel);
/* Moves the message that both sides have started, if there is one. */
bool yki_local_transfer(yki_local_channel *channel);
void yki_local_boxes_release(yki_local_group *group);

#endif
