/* A round of an operation: what is sent, received and summed in each phase. */
#include <string.h>

#include "base/fail.h"
#include "comm/local/reduce.h"
#include "comm/mpi/mpi.h"

enum { SUMMED = 4 }; /* bytes of an element that is summed: f32 or i32 */

/* What the functions here are about. */
typedef struct work {
    yki_mpi_group *g;
    yki_mpi_op *op;
    yki_mpi_round *round;
} work;

static bool reduces(const yki_mpi_op *op)
{
    return op->kind == YKI_COMM_ALL_REDUCE || op->kind == YKI_COMM_REDUCE_SCATTER;
}

static bool exchanges(const yki_mpi_op *op)
{
    return op->kind == YKI_COMM_ALL_TO_ALL || op->kind == YKI_COMM_SHIFT;
}

/* Elements of a segment, of `elems` in all, that the round moves. */
static int64_t in_round(const work *w, int64_t elems)
{
    int64_t left = elems - w->round->first;
    return left < 0 ? 0 : left < w->op->chunk ? left : w->op->chunk;
}

static char *chunk_at(const work *w, char *memory, int64_t number, size_t elem)
{
    return memory + number * w->op->chunk * (int64_t)elem;
}

static yki_mpi_range range_of(const work *w, yki_mpi_use use, int here, int process, int64_t count)
{
    return (yki_mpi_range){w->g, w->op, use, here, process, w->round->first, count};
}

static int machine_size(const yki_mpi_group *g, int machine)
{
    return g->machine_first[machine + 1] - g->machine_first[machine];
}

/* --- messages --- */

int yki_mpi_tag(const yki_mpi_group *group, const yki_mpi_op *op, int round, yki_mpi_phase phase)
{
    uint64_t of_group = op->sign * YKI_MPI_GROUPS + (uint64_t)group->id;
    uint64_t sequence = atomic_load(&group->completed); /* operations move one after another */
    return (int)(((of_group * 8 + sequence % 8) * 4 + (uint64_t)round) * 4 + phase);
}

static void post(work *w, bool receives, void *data, int64_t elems, size_t elem, int process)
{
    if (elems == 0) return;
    const yki_mpi_module *mpi = w->g->world->cluster->mpi;
    yki_mpi_message *m = &w->round->messages[w->round->nmessages++];
    int tag = yki_mpi_tag(w->g, w->op, (int)(w->round - w->g->rounds), w->round->phase);
    *m = (yki_mpi_message){.bytes = (size_t)elems * elem, .active = true, .receives = receives};
    int at = w->g->processes[process];
    int error = receives ? mpi->receive(w->g->world->mpi, data, m->bytes, at, tag, &m->request)
                         : mpi->send(w->g->world->mpi, data, m->bytes, at, tag, 0, &m->request);
    if (!error) return;
    m->active = false;
    if (!atomic_load(&w->g->world->local->lost)) yki_lifeline_await_loss();
    yki_mpi_lose(w->g->world, YOKE_PEER_FAILED, "%s gave error %d for a message of %zu bytes", mpi->name,
                 error, m->bytes);
}

/* --- sums --- */

static void sum(const work *w, int count, void *out, int64_t elems)
{
    const yki_request *request = &w->op->requests[0];
    yki_dtype dtype = request->dtype == YKI_I32 ? YKI_I32 : YKI_F32;
    if (count > 1)
        yki_reduce_to_one(dtype, request->reduction, w->g->arrays, count, out, elems);
    else if (out != w->g->arrays[0])
        memcpy(out, w->g->arrays[0], (size_t)elems * SUMMED);
}

/* This process's part of a segment: the sum over its members, or the only one's memory itself. */
static const void *own_part(const work *w, int segment, int64_t elems)
{
    char *to = chunk_at(w, w->round->sent, segment, SUMMED);
    bool plain = w->op->elem == SUMMED;
    for (int i = 0; i < w->g->nlocal; i++) {
        yki_mpi_range range = range_of(w, YKI_MPI_GIVES, i, segment, elems);
        void *direct = plain ? yki_mpi_direct(&range) : NULL;
        char *packed = w->g->nlocal == 1 ? to : chunk_at(w, w->g->widened, i, SUMMED);
        if (!direct) yki_mpi_widen(&range, packed);
        w->g->arrays[i] = direct ? direct : packed;
        if (w->g->nlocal == 1) return w->g->arrays[0];
    }
    sum(w, w->g->nlocal, to, elems);
    return to;
}

/* This process's segment is summed; into the memory of all who take it. */
static void deliver(const work *w, int count, int64_t elems)
{
    int takers = yki_mpi_takers(w->g, w->op);
    yki_mpi_range range = range_of(w, YKI_MPI_TAKES, 0, w->g->me, elems);
    void *direct = takers == 1 && w->op->elem == SUMMED ? yki_mpi_direct(&range) : NULL;
    sum(w, count, direct ? direct : w->round->result, elems);
    for (int i = 0; i < takers && !direct; i++) {
        range.here = i;
        yki_mpi_narrow(&range, w->round->result);
    }
}

/* --- phases: to_relays --- */

static void start_to_relays(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me], mates = machine_size(g, machine), relayed = 0;
    for (int s = 0; s < g->nprocesses; s++) {
        int64_t elems = in_round(w, w->op->out[s]);
        int relay = yki_mpi_relay(g, machine, s);
        if (elems > 0) w->round->own[s] = own_part(w, s, elems);
        if (relay != g->me) {
            post(w, false, (void *)(uintptr_t)w->round->own[s], elems, SUMMED, relay);
            continue;
        }
        for (int i = 0; i < mates; i++) {
            int from = g->neighbours[g->machine_first[machine] + i];
            if (from != g->me)
                post(w, true, chunk_at(w, w->round->parts, relayed * mates + i, SUMMED), elems, SUMMED, from);
        }
        relayed++;
    }
}

static void end_to_relays(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me], mates = machine_size(g, machine), relayed = 0;
    for (int s = 0; s < g->nprocesses; s++) {
        int64_t elems = in_round(w, w->op->out[s]);
        if (yki_mpi_relay(g, machine, s) != g->me) continue;
        for (int i = 0; i < mates; i++)
            g->arrays[i] = i == g->index[g->me] ? (void *)(uintptr_t)w->round->own[s]
                                                : chunk_at(w, w->round->parts, relayed * mates + i, SUMMED);
        if (elems > 0 && g->nmachines > 1)
            sum(w, mates, chunk_at(w, w->round->sums, relayed, SUMMED), elems);
        else if (elems > 0)
            deliver(w, mates, elems);
        relayed++;
    }
}

/* --- to_owner --- */

static void start_to_owner(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me], relayed = 0;
    int64_t mine = in_round(w, w->op->out[g->me]);
    for (int s = 0; s < g->nprocesses; s++) {
        if (yki_mpi_relay(g, machine, s) != g->me) continue;
        if (s != g->me)
            post(w, false, chunk_at(w, w->round->sums, relayed, SUMMED), in_round(w, w->op->out[s]), SUMMED,
                 s);
        relayed++;
    }
    for (int n = 0; n < g->nmachines; n++)
        if (n != machine)
            post(w, true, chunk_at(w, w->round->from_machines, n, SUMMED), mine, SUMMED,
                 yki_mpi_relay(g, n, g->me));
}

static void end_to_owner(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me], relayed = 0;
    int64_t mine = in_round(w, w->op->out[g->me]);
    if (mine == 0) return;
    for (int s = 0; s < g->me; s++) relayed += yki_mpi_relay(g, machine, s) == g->me;
    for (int n = 0; n < g->nmachines; n++)
        g->arrays[n] = n == machine ? chunk_at(w, w->round->sums, relayed, SUMMED)
                                    : chunk_at(w, w->round->from_machines, n, SUMMED);
    deliver(w, g->nmachines, mine);
}

/* --- from_owner, from_relays --- */

/* Where a segment comes in: its place with the only one who takes it, or memory that it is unpacked from. */
static void *room_for(const work *w, int segment, int64_t elems)
{
    yki_mpi_range range = range_of(w, YKI_MPI_TAKES, 0, segment, elems);
    void *direct = yki_mpi_takers(w->g, w->op) == 1 ? yki_mpi_direct(&range) : NULL;
    return direct ? direct : chunk_at(w, w->round->gathered, w->op->in[segment], w->op->elem);
}

/* This process's segment as it is sent out. */
static void *own_segment(work *w, int64_t elems)
{
    bool all_reduce = w->op->kind == YKI_COMM_ALL_REDUCE;
    yki_mpi_range range = range_of(w, all_reduce ? YKI_MPI_TAKES : YKI_MPI_GIVES, 0, w->g->me, elems);
    void *direct = yki_mpi_direct(&range);
    if (!direct) yki_mpi_pack(&range, w->round->result);
    return direct ? direct : w->round->result;
}

static void start_from_owner(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me];
    int64_t mine = in_round(w, w->op->out[g->me]);
    void *own = mine > 0 ? own_segment(w, mine) : NULL;
    w->round->own[g->me] = own;
    for (int p = 0; p < g->nprocesses; p++) {
        bool near = g->machine[p] == machine;
        if (p == g->me) continue;
        if (near || yki_mpi_relay(g, g->machine[p], g->me) == p) post(w, false, own, mine, w->op->elem, p);
        int64_t theirs = in_round(w, w->op->out[p]);
        if (theirs > 0 && (near || yki_mpi_relay(g, machine, p) == g->me))
            post(w, true, room_for(w, p, theirs), theirs, w->op->elem, p);
    }
}

static void start_from_relays(work *w)
{
    const yki_mpi_group *g = w->g;
    int machine = g->machine[g->me], mates = machine_size(g, machine);
    for (int s = 0; s < g->nprocesses; s++) {
        int64_t elems = in_round(w, w->op->out[s]);
        int relay = yki_mpi_relay(g, machine, s);
        if (elems == 0 || g->machine[s] == machine) continue;
        if (relay != g->me) {
            post(w, true, room_for(w, s, elems), elems, w->op->elem, relay);
            continue;
        }
        for (int i = 0; i < mates; i++) {
            int to = g->neighbours[g->machine_first[machine] + i];
            if (to != g->me) post(w, false, room_for(w, s, elems), elems, w->op->elem, to);
        }
    }
}

static void unpack_gathered(work *w)
{
    int takers = yki_mpi_takers(w->g, w->op);
    for (int s = 0; s < w->g->nprocesses; s++) {
        int64_t elems = in_round(w, w->op->out[s]);
        bool own = s == w->g->me;
        if (elems == 0 || (own && w->op->kind == YKI_COMM_ALL_REDUCE)) continue;
        const void *from = own               ? w->round->own[s]
                           : w->op->on_board ? yki_mpi_board_read(w->g, s)
                                             : room_for(w, s, elems);
        for (int i = 0; i < takers; i++) {
            yki_mpi_range range = range_of(w, YKI_MPI_TAKES, i, s, elems);
            yki_mpi_unpack(&range, from);
        }
    }
}

/* --- exchanges, and small reductions, of which everybody gets everything --- */

static void start_exchange(work *w)
{
    for (int p = 0; p < w->g->nprocesses; p++) {
        int64_t out = in_round(w, w->op->out[p]), in = in_round(w, w->op->in[p]);
        yki_mpi_range range = range_of(w, YKI_MPI_GIVES, 0, p, out);
        char *sent = chunk_at(w, w->round->sent, p, w->op->elem);
        if (out > 0) yki_mpi_pack(&range, sent);
        if (p == w->g->me) continue;
        post(w, false, sent, out, w->op->elem, p);
        post(w, true, chunk_at(w, w->round->gathered, p, w->op->elem), in, w->op->elem, p);
    }
}

static void end_exchange(work *w)
{
    for (int p = 0; p < w->g->nprocesses; p++) {
        char *from = p == w->g->me ? w->round->sent : w->round->gathered;
        yki_mpi_range range = range_of(w, YKI_MPI_TAKES, 0, p, in_round(w, w->op->in[p]));
        if (range.count > 0) yki_mpi_unpack(&range, chunk_at(w, from, p, w->op->elem));
    }
}

static void start_small(work *w)
{
    const void *own = w->round->own[w->g->me] = own_part(w, 0, w->op->chunk);
    for (int p = 0; p < w->g->nprocesses; p++) {
        if (p == w->g->me) continue;
        post(w, true, chunk_at(w, w->round->parts, p, SUMMED), w->op->chunk, SUMMED, p);
        post(w, false, (void *)(uintptr_t)own, w->op->chunk, SUMMED, p);
    }
}

static void end_small(work *w)
{
    for (int p = 0; p < w->g->nprocesses; p++) {
        const void *part = p == w->g->me     ? w->round->own[p]
                           : w->op->on_board ? yki_mpi_board_read(w->g, p)
                                             : chunk_at(w, w->round->parts, p, SUMMED);
        w->g->arrays[p] = (void *)(uintptr_t)part;
    }
    deliver(w, w->g->nprocesses, w->op->chunk);
}

/* --- over boards --- */

static void start_on_board(work *w)
{
    int me = w->g->me;
    int64_t elems = w->op->small ? w->op->chunk : in_round(w, w->op->out[me]);
    const void *own = w->op->small ? own_part(w, 0, elems) : elems > 0 ? own_segment(w, elems) : NULL;
    w->round->own[me] = own;
    yki_mpi_board_post(w->g, w->op, own, (size_t)elems * (w->op->small ? SUMMED : w->op->elem));
}

static void end_on_board(work *w)
{
    if (w->op->small)
        end_small(w);
    else
        unpack_gathered(w);
    w->g->posted++;
}

/* --- from phase to phase --- */

static void start_first(work *w)
{
    if (w->op->small)
        start_small(w);
    else if (exchanges(w->op))
        start_exchange(w);
    else
        start_to_relays(w);
}

static void end_first(work *w)
{
    if (w->op->small)
        end_small(w);
    else if (exchanges(w->op))
        end_exchange(w);
    else
        end_to_relays(w);
}

static void end_from_owner(work *w)
{
    if (w->g->nmachines == 1) unpack_gathered(w);
}

static const struct {
    void (*start)(work *w), (*end)(work *w);
} phases[YKI_MPI_ENDED] = {
    [YKI_MPI_TO_RELAYS] = {start_first, end_first},
    [YKI_MPI_TO_OWNER] = {start_to_owner, end_to_owner},
    [YKI_MPI_FROM_OWNER] = {start_from_owner, end_from_owner},
    [YKI_MPI_FROM_RELAYS] = {start_from_relays, unpack_gathered},
    [YKI_MPI_ON_BOARD] = {start_on_board, end_on_board},
};

static yki_mpi_phase phase_after(const yki_mpi_group *g, const yki_mpi_op *op, yki_mpi_phase phase)
{
    bool gathers = op->kind != YKI_COMM_REDUCE_SCATTER;
    switch (phase) {
    case YKI_MPI_TO_RELAYS:
        if (op->small || exchanges(op)) return YKI_MPI_ENDED;
        return g->nmachines > 1 ? YKI_MPI_TO_OWNER : gathers ? YKI_MPI_FROM_OWNER : YKI_MPI_ENDED;
    case YKI_MPI_TO_OWNER:
        return gathers ? YKI_MPI_FROM_OWNER : YKI_MPI_ENDED;
    case YKI_MPI_FROM_OWNER:
        return g->nmachines > 1 ? YKI_MPI_FROM_RELAYS : YKI_MPI_ENDED;
    default:
        return YKI_MPI_ENDED;
    }
}

void yki_mpi_round_start(yki_mpi_group *group, yki_mpi_op *op, yki_mpi_round *round, int64_t number)
{
    work w = {group, op, round};
    round->active = true;
    round->first = number * op->chunk;
    round->nmessages = 0;
    round->phase = op->on_board                   ? YKI_MPI_ON_BOARD
                   : reduces(op) || exchanges(op) ? YKI_MPI_TO_RELAYS
                                                  : YKI_MPI_FROM_OWNER;
    phases[round->phase].start(&w);
}

void yki_mpi_round_go_on(yki_mpi_group *group, yki_mpi_op *op, yki_mpi_round *round)
{
    work w = {group, op, round};
    phases[round->phase].end(&w);
    round->nmessages = 0;
    round->phase = phase_after(group, op, round->phase);
    if (round->phase != YKI_MPI_ENDED) phases[round->phase].start(&w);
}
