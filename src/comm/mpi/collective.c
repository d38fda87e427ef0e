/* Collectives of ranks in several processes: publishing, waiting, and the rounds of the operation whose turn
 * it is. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/mpi/mpi.h"

int yki_mpi_round_bytes = 1 << 20;

static yki_mpi_op *op_of(yki_mpi_group *g, uint64_t sequence)
{
    return &g->ops[sequence % YKI_COMM_OUTSTANDING];
}

static bool all_started(const yki_mpi_group *g, uint64_t sequence)
{
    for (int i = 0; i < g->nlocal; i++)
        if (g->started[i] <= sequence) return false;
    return true;
}

/* --- an operation's turn --- */

static bool agree(yki_mpi_group *g, const yki_mpi_op *op)
{
    for (int i = 1; i < g->nlocal; i++) {
        if (op->signatures[i] == op->signatures[0]) continue;
        yki_mpi_lose(g->world, YOKE_INVALID,
                     "ranks disagree on operation %llu of their group: rank %d started %s, rank %d %s%s; all "
                     "members start the same operations of the same shapes in the same order",
                     (unsigned long long)atomic_load(&g->completed), g->members[g->first[g->me]],
                     yki_operation_name(op->requests[0].kind), g->members[g->first[g->me] + i],
                     yki_operation_name(op->requests[i].kind),
                     op->requests[i].kind == op->requests[0].kind ? " of another shape" : "");
        return false;
    }
    return true;
}

/* Everybody reduces all of it, in the order of sums that rounds have too: one round, without segments. */
static bool measure_small(const yki_mpi_group *g, yki_mpi_op *op)
{
    const yki_segment *segments = yki_request_segments(&op->requests[0]);
    int64_t most = YKI_MPI_SMALL_BYTES / 4 / g->nprocesses, all = 0;
    if (op->kind != YKI_COMM_ALL_REDUCE || g->nprocesses > YKI_MPI_SMALL_PROCESSES ||
        (g->nmachines > 1 && g->largest > 1))
        return false;
    for (int i = 0; i < op->requests[0].nsegments && all <= most; i++) all += segments[i].elems;
    if (all > most) return false;
    op->chunk = all;
    op->rounds = all > 0;
    return true;
}

static size_t elem_of(const yki_request *request)
{
    bool bytes = request->kind == YKI_COMM_BROADCAST || request->kind == YKI_COMM_BARRIER ||
                 request->kind == YKI_COMM_SUM_SCALARS;
    return bytes ? 1 : yki_dtype_bytes(request->dtype);
}

/* Works out the segments and the rounds of any other. */
static void measure_segments(const yki_mpi_group *g, yki_mpi_op *op)
{
    bool exchanges = op->kind == YKI_COMM_ALL_TO_ALL || op->kind == YKI_COMM_SHIFT,
         reduces = op->kind == YKI_COMM_ALL_REDUCE || op->kind == YKI_COMM_REDUCE_SCATTER;
    int64_t most = 0, full = 0;
    for (int p = 0; p < g->nprocesses; p++) {
        op->out[p] = yki_mpi_elems(g, op, YKI_MPI_GIVES, p);
        op->in[p] = exchanges ? yki_mpi_elems(g, op, YKI_MPI_TAKES, p) : reduces ? p : full;
        full += op->out[p] > 0;
        if (op->out[p] > most) most = op->out[p];
        if (exchanges && op->in[p] > most) most = op->in[p];
    }
    int64_t share = reduces || exchanges ? g->nprocesses : full > 0 ? full : 1;
    op->chunk = yki_mpi_round_bytes / (int64_t)(reduces ? 4 : op->elem) / share;
    if (op->chunk < 1) op->chunk = 1;
    op->rounds = (most + op->chunk - 1) / op->chunk;
}

/* Sums that are small, and gathers of which each process gives little. */
static bool measure_board(const yki_mpi_group *g, yki_mpi_op *op)
{
    bool gathers = op->kind == YKI_COMM_ALL_GATHER || op->kind == YKI_COMM_BROADCAST ||
                   op->kind == YKI_COMM_BARRIER || op->kind == YKI_COMM_SUM_SCALARS;
    if (op->small) return yki_mpi_board_fits(g, op->chunk * 4);
    int64_t most = 0;
    for (int p = 0; p < g->nprocesses && gathers; p++)
        if (op->out[p] > most) most = op->out[p];
    if (!gathers || !yki_mpi_board_fits(g, most * (int64_t)op->elem)) return false;
    op->chunk = most;
    op->rounds = most > 0;
    return true;
}

static void measure(yki_mpi_group *g, yki_mpi_op *op)
{
    op->sign = op->signatures[0] % g->world->signs;
    op->kind = op->requests[0].kind;
    op->elem = elem_of(&op->requests[0]);
    op->small = measure_small(g, op);
    if (!op->small) measure_segments(g, op);
    op->on_board = measure_board(g, op);
    op->started = op->ended = 0;
    op->begun = true;
}

static void sum_scalars(const yki_mpi_group *g, yki_mpi_op *op)
{
    int count = (int)op->requests[0].bytes;
    for (int k = 0; k < count; k++) {
        double sum = 0;
        for (int m = 0; m < g->size; m++) {
            double value = op->all_scalars[(size_t)g->position[m] * YKI_COMM_SCALARS + (size_t)k];
            sum = m == 0 ? value : sum + value;
        }
        for (int i = 0; i < g->nlocal; i++) ((double *)op->requests[i].out)[k] = sum;
    }
}

static void lose_to_another(yki_mpi_group *g, const yki_mpi_op *op, int process)
{
    yki_mpi_lose(g->world, YOKE_INVALID,
                 "ranks disagree on operation %llu of their group: rank %d started %s, and rank %d "
                 "something else; all members start the same operations of the same shapes in the same "
                 "order",
                 (unsigned long long)atomic_load(&g->completed), g->members[g->first[g->me]],
                 yki_operation_name(op->kind), g->members[g->first[process]]);
}

static bool all_posted(yki_mpi_group *g, const yki_mpi_op *op)
{
    for (int p = 0; p < g->nprocesses; p++) {
        yki_mpi_posted posted = p == g->me ? YKI_MPI_THIS : yki_mpi_board_look(g, op, p);
        if (posted == YKI_MPI_THIS) continue;
        if (posted == YKI_MPI_ANOTHER) lose_to_another(g, op, p);
        return false;
    }
    return true;
}

/* Whether all messages of a round's phase have ended. */
static bool messages_ended(yki_mpi_group *g, yki_mpi_round *round)
{
    const yki_mpi_module *mpi = g->world->cluster->mpi;
    bool all = true;
    for (int i = 0; i < round->nmessages; i++) {
        yki_mpi_message *m = &round->messages[i];
        size_t came = m->bytes;
        if (!m->active) continue;
        int ended = mpi->test(&m->request, m->receives ? &came : NULL);
        if (ended == 0) {
            all = false;
            continue;
        }
        m->active = false;
        if (ended < 0 || came != m->bytes) {
            yki_mpi_lose(g->world, YOKE_INVALID,
                         "ranks disagree on operation %llu of their group, %s: %zu bytes were expected of "
                         "another process, and others came",
                         (unsigned long long)atomic_load(&g->completed),
                         yki_operation_name(op_of(g, g->completed)->kind), m->bytes);
            return false;
        }
    }
    return all;
}

static bool advance_rounds(yki_mpi_group *g, yki_mpi_op *op)
{
    bool moved = false;
    for (int r = 0; r < YKI_MPI_ROUNDS; r++) {
        yki_mpi_round *round = &g->rounds[r];
        /* round numbers go through the places in turn: peers' do too */
        if (!round->active && op->started < op->rounds && op->started % YKI_MPI_ROUNDS == r) {
            yki_mpi_round_start(g, op, round, op->started++);
            moved = true;
        }
        while (round->active && (op->on_board ? all_posted(g, op) : messages_ended(g, round))) {
            moved = true;
            yki_mpi_round_go_on(g, op, round);
            if (round->phase != YKI_MPI_ENDED) continue;
            round->active = false;
            op->ended++;
        }
        if (atomic_load(&g->world->local->lost)) return true;
    }
    return moved;
}

bool yki_mpi_advance(yki_mpi_group *g)
{
    bool moved = false;
    for (;;) {
        uint64_t sequence = atomic_load(&g->completed);
        yki_mpi_op *op = op_of(g, sequence);
        if (atomic_load(&g->world->local->lost)) return true;
        if (!op->begun) {
            if (!all_started(g, sequence)) return moved;
            if (!agree(g, op)) return true;
            measure(g, op);
        }
        moved |= advance_rounds(g, op);
        if (op->ended < op->rounds) return moved;
        if (op->kind == YKI_COMM_SUM_SCALARS) sum_scalars(g, op);
        op->begun = false;
        atomic_store_explicit(&g->completed, sequence + 1, memory_order_release);
        yki_mpi_count(g->world, -1);
        moved = true;
    }
}

bool yki_mpi_differs(yki_mpi_group *g)
{
    uint64_t sequence = atomic_load(&g->completed);
    const yki_mpi_op *op = op_of(g, sequence);
    if (!op->begun) return false;
    int mine = yki_mpi_tag(g, op, 0, YKI_MPI_TO_RELAYS) / 16;
    for (int p = 0; p < g->nprocesses; p++) {
        int tag;
        size_t bytes;
        if (p == g->me) continue;
        if (yki_mpi_board_fits(g, 0) && yki_mpi_board_look(g, op, p) == YKI_MPI_ANOTHER) {
            lose_to_another(g, op, p);
            return true;
        }
        if (!g->world->cluster->mpi->waiting(g->world->mpi, g->processes[p], &tag, &bytes)) continue;
        bool same_group = tag <= g->world->cluster->tag_limit / 2 &&
                          tag / 16 % (8 * YKI_MPI_GROUPS) == mine % (8 * YKI_MPI_GROUPS);
        if (!same_group || tag / 16 == mine) continue;
        lose_to_another(g, op, p);
        return true;
    }
    return false;
}

/* --- a member's part --- */

yoke_status yki_mpi_start(yki_comm *base, yki_request *request)
{
    yki_mpi_comm *comm = (yki_mpi_comm *)base;
    yki_mpi_group *g = comm->group;
    unsigned bit = 1u << comm->started % YKI_COMM_OUTSTANDING;
    if (comm->unwaited & bit)
        return yki_fail(YOKE_INVALID, "a %s was started before the operation %d starts ago was waited for",
                        yki_operation_name(request->kind), YKI_COMM_OUTSTANDING);
    comm->unwaited |= bit;
    request->sequence = comm->started++;
    yki_mpi_op *op = op_of(g, request->sequence);
    pthread_mutex_lock(&g->world->cluster->lock);
    op->requests[comm->here] = *request;
    op->signatures[comm->here] = yki_request_sign(request, g->size);
    if (request->kind == YKI_COMM_SUM_SCALARS)
        memcpy(op->scalars + comm->here * YKI_COMM_SCALARS, request->out, sizeof(double) * request->bytes);
    g->started[comm->here] = comm->started;
    if (all_started(g, request->sequence)) {
        yki_mpi_count(g->world, 1);
        yki_mpi_advance(g);
    }
    pthread_mutex_unlock(&g->world->cluster->lock);
    return YOKE_OK;
}

typedef struct awaited {
    yki_mpi_group *group;
    uint64_t sequence;
} awaited;

static bool complete(void *of)
{
    awaited *a = of;
    return atomic_load(&a->group->completed) > a->sequence;
}

yoke_status yki_mpi_wait(yki_request *request)
{
    if (request->channel) return yki_mpi_channel_wait(request->channel);
    yki_mpi_comm *comm = (yki_mpi_comm *)request->comm;
    awaited a = {comm->group, request->sequence};
    YKI_TRY(yki_mpi_await(comm->group->world, complete, &a));
    comm->unwaited &= ~(1u << a.sequence % YKI_COMM_OUTSTANDING);
    return YOKE_OK;
}
