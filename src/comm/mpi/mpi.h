/* Ranks in several processes: what the files of this folder share.
 *
 * A group has members in some processes, several in each. Its members in one process publish their requests
 * in a ring, as local ranks do; once all of them have, whoever holds the cluster's lock works for the
 * process: it reads and writes the memory of all its members, and exchanges chunks with the other processes.
 * Each operation goes in rounds of bounded size, a few of them under way, so that all memory is there from
 * the start; a round is phases of messages, each begun when all messages of the one before have ended.
 *
 * Reductions and gathers cut an operation's elements into segments, one owned by each process. To be reduced,
 * a segment's parts go to one process of each machine, its relay there, which sums them; the sums go to the
 * owner. Gathered, it goes from the owner to the relays, and from them to the others of their machines. So
 * each byte passes between two machines once, and all processes of a machine share that work. What is small,
 * in a group on one machine, goes over boards. */
#ifndef YKI_COMM_MPI_MPI_H
#define YKI_COMM_MPI_MPI_H

#include <pthread.h>

#include "comm/local/local.h"
#include "comm/mpi/cluster.h"
#include "comm/transport.h"

enum {
    YKI_MPI_ROUNDS = 3,            /* under way */
    YKI_MPI_SMALL_BYTES = 1 << 17, /* of all processes: reduced by everybody, after one exchange */
    YKI_MPI_SMALL_PROCESSES = 4,
    YKI_MPI_GROUPS = 512 /* that a process can be in at a time */
};

/* Of all segments, in a round; tests make it small. */
extern int yki_mpi_round_bytes;
/* Of a process, in an operation that goes over boards; tests make it small, or 0: none does. */
extern int yki_mpi_board_bytes;

/* A message under way. */
typedef struct yki_mpi_message {
    yki_mpi_request request;
    size_t bytes;
    bool active, receives;
} yki_mpi_message;

typedef enum yki_mpi_phase {
    YKI_MPI_TO_RELAYS, /* or, of what is exchanged or small, all there is */
    YKI_MPI_TO_OWNER,
    YKI_MPI_FROM_OWNER,
    YKI_MPI_FROM_RELAYS,
    YKI_MPI_ON_BOARD, /* the only phase of its operation */
    YKI_MPI_ENDED
} yki_mpi_phase;

typedef struct yki_mpi_round {
    bool active;
    int64_t first; /* of each segment */
    yki_mpi_phase phase;
    yki_mpi_message *messages;
    int nmessages;
    /* memory for messages; at segment s: s * chunk elements */
    char *sent, *parts, *sums, *from_machines, *result, *gathered;
    const void **own; /* by segment: this process's part of it */
} yki_mpi_round;

/* One operation, as all members in this process published it. */
typedef struct yki_mpi_op {
    yki_request *requests; /* by member in this process, as the others below */
    uint64_t *signatures;
    double *scalars, *all_scalars; /* of members of this process; of all, process by process */
    /* when it has begun */
    bool begun, small, on_board;
    int kind;
    uint64_t sign;          /* as much of the signature as tags have room for */
    size_t elem;            /* bytes */
    int64_t *out, *in;      /* exchanges: elements to and from each process; else the elements of its segment,
                               and its number among those that are not empty */
    int64_t chunk, rounds;  /* elements of a segment in a round */
    int64_t started, ended; /* rounds */
} yki_mpi_op;

typedef struct yki_mpi_group {
    yki_mpi_world *world;
    struct yki_mpi_group *next; /* of the world; under the cluster's lock, as all of it but `completed` */
    int id;                     /* no other group of its processes has it: tags tell groups apart by it */
    int users;
    int size, nprocesses, me, nlocal;
    int *processes;                  /* their numbers in the cluster */
    int *members, *first;            /* process p's are members[first[p]] to members[first[p + 1]] */
    int *world_ranks, *position;     /* by member; position: in `members` */
    int nmachines, largest;          /* largest: most processes in one machine */
    int *machine, *index;            /* of each process: its machine, and its place there */
    int *machine_first, *neighbours; /* machine n's processes, as members above */
    uint64_t *started;               /* by member in this process */
    _Atomic uint64_t completed;
    uint32_t generation; /* groups of its processes that had the same id have lower ones */
    uint64_t posted;     /* operations that went over boards */
    yki_mpi_op ops[YKI_COMM_OUTSTANDING];
    yki_mpi_round rounds[YKI_MPI_ROUNDS];
    void **arrays;             /* scratch: pointers, as many as parts can be summed */
    char *widened;             /* scratch: a chunk of each member in this process */
    struct yki_mpi_made *made; /* groups of the split under way, and how many members have yet to leave it */
    int made_for;
} yki_mpi_group;

/* One rank's end. */
typedef struct yki_mpi_comm {
    yki_comm base;
    yki_mpi_group *group;
    yki_comm *local; /* of the members in this process */
    int here;        /* place among them */
    uint64_t started;
    unsigned unwaited;
} yki_mpi_comm;

typedef struct yki_mpi_channel {
    yki_channel base;
    yki_channel *local; /* to a rank of this process; NULL: a message */
    struct yki_mpi_channel *next;
    int peer, tag;
    yki_mpi_message message;
    size_t came;
    _Atomic int moved;
} yki_mpi_channel;

struct yki_mpi_world {
    yki_world base;
    yki_cluster *cluster;
    void *mpi;
    uint64_t ids[YKI_MPI_GROUPS / 64]; /* of groups that this process is in */
    yki_local_world *local;            /* its loss is the world's */
    yki_mpi_group *groups, *all;
    yki_mpi_channel *channels;
    char **boards; /* by process, of this machine; NULL: not to be had */
    int nlocal;
    uint64_t signs;      /* that tags tell apart */
    uint32_t generation; /* the highest of a group */
    bool crowded, given_up;
    _Atomic int told;                  /* the others know of the loss */
    _Atomic int active, waiting, quit; /* operations under way; ranks that wait, and move all on */
    _Atomic unsigned waits;            /* begun so far */
    pthread_t mover;
    bool moving;
};

/* Operations that have begun or ended; under the cluster's lock. */
static inline void yki_mpi_count(yki_mpi_world *world, int more)
{
    int active = atomic_load_explicit(&world->active, memory_order_relaxed);
    atomic_store_explicit(&world->active, active + more, memory_order_relaxed);
}

/* --- world.c --- */
yoke_status yki_mpi_check(yki_comm *comm);
/* Under the cluster's lock: the world is lost by what this process found. */
void yki_mpi_lose(yki_mpi_world *world, yoke_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Moves on all that is under way, until ready(of) or the world is lost. */
yoke_status yki_mpi_await(yki_mpi_world *world, bool (*ready)(void *of), void *of);

/* --- group.c --- */
/* The part of a group that this process has; processes, their members and machines are worked out. */
yoke_status yki_mpi_group_create(yki_mpi_world *world, int size, const int *world_ranks, int id,
                                 yki_mpi_group **group_out);
void yki_mpi_group_drop(yki_mpi_group *group);
yoke_status yki_mpi_comm_create(yki_mpi_group *group, int member, yki_comm *local, yki_comm **comm_out);
void yki_mpi_comm_destroy(yki_comm *comm);

/* --- split.c --- */
yoke_status yki_mpi_split(yki_comm *comm, int colour, int key, yki_comm **group_out);

/* Of segment `segment`, who sums and hands it on in a machine. */
static inline int yki_mpi_relay(const yki_mpi_group *g, int machine, int segment)
{
    int first = g->machine_first[machine], count = g->machine_first[machine + 1] - first;
    return g->neighbours[first + g->index[segment] % count];
}
static inline int yki_mpi_members(const yki_mpi_group *g, int process)
{
    return g->first[process + 1] - g->first[process];
}

/* --- collective.c --- */
yoke_status yki_mpi_start(yki_comm *comm, yki_request *request);
yoke_status yki_mpi_wait(yki_request *request);
/* Moves the group's first operation on; under the lock. Whether anything happened. */
bool yki_mpi_advance(yki_mpi_group *group);
/* Whether a peer has started something else than this process did; then the world is lost. Under the lock. */
bool yki_mpi_differs(yki_mpi_group *group);

/* --- rounds.c --- */
void yki_mpi_round_start(yki_mpi_group *group, yki_mpi_op *op, yki_mpi_round *round, int64_t number);
/* When all messages of its phase have ended: takes what came, and begins the next. */
void yki_mpi_round_go_on(yki_mpi_group *group, yki_mpi_op *op, yki_mpi_round *round);
int yki_mpi_tag(const yki_mpi_group *group, const yki_mpi_op *op, int round, yki_mpi_phase phase);

/* --- board.c --- */
/* By all processes together, under the lock. */
yoke_status yki_mpi_boards_open(yki_mpi_world *world);
void yki_mpi_boards_close(yki_mpi_world *world);
/* Whether an operation, of so many bytes of each process, goes over boards. */
bool yki_mpi_board_fits(const yki_mpi_group *group, int64_t bytes);
/* The group's first operation, of which this process gives `bytes`. */
void yki_mpi_board_post(const yki_mpi_group *group, const yki_mpi_op *op, const void *data, size_t bytes);
typedef enum yki_mpi_posted { YKI_MPI_NOTHING, YKI_MPI_THIS, YKI_MPI_ANOTHER } yki_mpi_posted;
/* What a process has posted for the group's first operation. */
yki_mpi_posted yki_mpi_board_look(const yki_mpi_group *group, const yki_mpi_op *op, int process);
/* What it gives. */
const void *yki_mpi_board_read(const yki_mpi_group *group, int process);

/* --- strips.c: which memory of members an operation's elements are --- */

typedef enum yki_mpi_use { YKI_MPI_GIVES, YKI_MPI_TAKES } yki_mpi_use;

/* Elements between this process and another, or of its segment. */
int64_t yki_mpi_elems(const yki_mpi_group *group, const yki_mpi_op *op, yki_mpi_use use, int process);
/* A stretch of what member `here` (or, where it is dealt to them, all) gives to or takes from a process. */
typedef struct yki_mpi_range {
    const yki_mpi_group *group;
    const yki_mpi_op *op;
    yki_mpi_use use;
    int here, process;
    int64_t first, count;
} yki_mpi_range;
/* Its memory, if it lies in one piece; else NULL. */
void *yki_mpi_direct(const yki_mpi_range *range);
void yki_mpi_pack(const yki_mpi_range *range, void *to);
void yki_mpi_unpack(const yki_mpi_range *range, const void *from);
/* The same with bf16 as f32 on the other side; unpacking adds where a piece does. */
void yki_mpi_widen(const yki_mpi_range *range, void *to);
void yki_mpi_narrow(const yki_mpi_range *range, const void *from);
/* Members of a process that each take all of it, or to whom it is dealt out (1). */
int yki_mpi_takers(const yki_mpi_group *group, const yki_mpi_op *op);

/* --- channel.c --- */
yoke_status yki_mpi_channel_open(yki_comm *comm, int peer, int tag, bool sends, yki_channel **channel_out);
void yki_mpi_channel_close(yki_channel *channel);
yoke_status yki_mpi_channel_start(yki_channel *channel, yki_request *request);
yoke_status yki_mpi_channel_wait(yki_channel *channel);
/* Under the lock. */
bool yki_mpi_transfer(yki_mpi_channel *channel);

#endif
