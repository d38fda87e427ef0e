/* Collectives of local ranks: publishing, waiting, completing. The work itself is in work.c. */
#include <string.h>

#include "base/fail.h"
#include "comm/local/local.h"

static uint64_t mix(uint64_t hash, int64_t value)
{
    return (hash ^ (uint64_t)value) * 0x100000001b3u;
}

static uint64_t mix_shares(uint64_t hash, const int64_t *share, int count)
{
    for (int i = 0; share && i < count; i++) hash = mix(hash, share[i]);
    return hash;
}

/* FNV-1a over words. */
uint64_t yki_request_sign(const yki_request *op, int size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    hash = mix(hash, op->kind);
    hash = mix(hash, op->dtype);
    hash = mix(hash, op->reduction);
    hash = mix(hash, op->root);
    hash = mix(hash, (int64_t)op->bytes);
    const yki_segment *segments = yki_request_segments(op);
    for (int i = 0; i < op->nsegments; i++) hash = mix(hash, segments[i].elems);
    const yki_piece *pieces = yki_request_pieces(op);
    for (int i = 0; i < op->npieces; i++) {
        hash = mix(mix(hash, pieces[i].cut.outer), pieces[i].cut.inner);
        hash = mix_shares(hash, pieces[i].cut.share, size);
    }
    hash =
        mix(mix(mix(mix(hash, op->exchange.outer), op->exchange.mid), op->exchange.inner), op->exchange.back);
    hash = mix_shares(hash, op->exchange.share_a, size);
    return mix_shares(hash, op->exchange.share_b, size);
}

static bool all_started(yki_local_comm *comm, uint64_t sequence)
{
    yki_local_group *group = comm->group;
    for (int m = 0; m < group->size; m++)
        if (atomic_load(&group->members[m].started) <= sequence) return false;
    return true;
}

static bool all_finished(yki_local_comm *comm, uint64_t sequence)
{
    yki_local_group *group = comm->group;
    for (int m = 0; m < group->size; m++)
        if (atomic_load(&group->members[m].finished) <= sequence) return false;
    return true;
}

/* Called by the last member to start or to finish an operation: before that there is nothing to wake up for.
 * If two are last at once, each having stored its count before it looks at the other's, at least one of them
 * sees both. */
static void ring_peers(yki_local_comm *comm)
{
    yki_local_group *group = comm->group;
    for (int m = 0; m < group->size; m++)
        if (m != comm->base.rank) yki_bell_ring(&group->world->ranks[group->members[m].world_rank].bell);
}

/* The group is lost if a member has started something else than this one. */
static bool all_agree(yki_local_comm *comm, uint64_t sequence)
{
    const yki_local_slot *mine = yki_local_slot_of(comm, comm->base.rank, sequence);
    for (int m = 0; m < comm->base.size; m++) {
        const yki_local_slot *theirs = yki_local_slot_of(comm, m, sequence);
        if (theirs->signature == mine->signature) continue;
        yoke_error saved = *yoke_error_get(); /* this may run in a wait that ends well */
        yki_fail(YOKE_INVALID,
                 "ranks disagree on operation %llu of their group: rank %d started %s, rank %d %s%s; all "
                 "members start the "
                 "same operations of the same shapes in the same order",
                 (unsigned long long)sequence, comm->base.rank, yki_operation_name(mine->op.kind), m,
                 yki_operation_name(theirs->op.kind),
                 theirs->op.kind == mine->op.kind ? " of another shape" : "");
        yoke_error why = *yoke_error_get();
        yki_error_set(&saved);
        yki_local_leave(comm->owner);
        yki_local_lose(comm->group->world, comm->owner->rank, &why);
        return false;
    }
    return true;
}

bool yki_local_advance(yki_local_comm *comm)
{
    yki_local_member *me = &comm->group->members[comm->base.rank];
    bool moved = false;
    while (comm->finished < comm->started && all_started(comm, comm->finished)) {
        if (!yki_local_enter(comm->owner)) return true;
        if (!all_agree(comm, comm->finished)) return true;
        yki_local_work(comm, comm->finished);
        yki_local_leave(comm->owner);
        atomic_store(&me->finished, ++comm->finished);
        if (all_finished(comm, comm->finished - 1)) ring_peers(comm);
        moved = true;
    }
    return moved;
}

yoke_status yki_local_start(yki_comm *base, yki_request *request)
{
    yki_local_comm *comm = (yki_local_comm *)base;
    yki_local_member *me = &comm->group->members[comm->base.rank];
    unsigned bit = 1u << comm->started % YKI_COMM_OUTSTANDING;
    if (comm->unwaited & bit)
        return yki_fail(YOKE_INVALID, "a %s was started before the operation %d starts ago was waited for",
                        yki_operation_name(request->kind), YKI_COMM_OUTSTANDING);
    request->sequence = comm->started;
    yki_local_slot *slot = yki_local_slot_of(comm, comm->base.rank, comm->started);
    slot->op = *request;
    slot->signature = yki_request_sign(request, comm->base.size);
    if (request->kind == YKI_COMM_SUM_SCALARS)
        memcpy(slot->scalars, request->out, sizeof(double) * request->bytes);
    comm->unwaited |= bit;
    atomic_store(&me->started, ++comm->started);
    if (all_started(comm, comm->started - 1)) ring_peers(comm);
    return YOKE_OK;
}

typedef struct awaited {
    yki_local_comm *comm;
    uint64_t sequence;
} awaited;

static bool complete(void *of)
{
    awaited *a = of;
    if (a->comm->finished <= a->sequence) yki_local_advance(a->comm);
    return a->comm->finished > a->sequence && all_finished(a->comm, a->sequence);
}

yoke_status yki_local_wait(yki_request *request)
{
    if (request->channel) return yki_local_channel_wait(request->channel);
    awaited a = {(yki_local_comm *)request->comm, request->sequence};
    YKI_TRY(yki_local_await(a.comm->owner, complete, &a));
    a.comm->unwaited &= ~(1u << a.sequence % YKI_COMM_OUTSTANDING);
    return YOKE_OK;
}
