/* What all transports share: checks of arguments, groups of one, the count of received bytes. Moves no bytes
 * between ranks itself, and never synchronises in a group of one. */
#include "comm/comm.h"

#include "base/fail.h"
#include "comm/memory.h"
#include "comm/transport.h"

const yki_transport *const yki_transports[] = {&yki_local_transport, &yki_mpi_transport, NULL};

yoke_status yki_world_open(int processes, int nlocal, yki_memory memory, yki_world **world_out)
{
    *world_out = NULL;
    for (int any = 0; any < 2; any++)
        for (const yki_transport *const *t = yki_transports; *t; t++)
            if ((*t)->reaches(processes) && (any || (*t)->memory == memory))
                return (*t)->world_open(nlocal, world_out);
    return yki_fail(YOKE_INVALID, "nothing reaches the ranks of %d processes", processes);
}

yoke_status yki_world_join(yki_world *world, int local, yki_comm **comm_out)
{
    return world->transport->world_join(world, local, comm_out);
}

void yki_world_lose(yki_world *world, const yoke_error *why)
{
    world->transport->world_lose(world, why);
}

void yki_world_close(yki_world *world)
{
    if (world) world->transport->world_close(world);
}

const char *yki_operation_name(int kind)
{
    static const char *const names[YKI_COMM_COUNT] = {
        [YKI_COMM_DONE] = "nothing",
        [YKI_COMM_ALL_REDUCE] = "all_reduce",
        [YKI_COMM_ALL_GATHER] = "all_gather",
        [YKI_COMM_REDUCE_SCATTER] = "reduce_scatter",
        [YKI_COMM_ALL_TO_ALL] = "all_to_all",
        [YKI_COMM_SHIFT] = "shift",
        [YKI_COMM_BROADCAST] = "broadcast",
        [YKI_COMM_BARRIER] = "barrier",
        [YKI_COMM_SUM_SCALARS] = "sum of scalars",
        [YKI_COMM_SEND] = "send",
        [YKI_COMM_RECEIVE] = "receive",
    };
    return kind >= 0 && kind < YKI_COMM_COUNT ? names[kind] : "unknown";
}

int yki_comm_rank(const yki_comm *comm)
{
    return comm->rank;
}

int yki_comm_size(const yki_comm *comm)
{
    return comm->size;
}

int64_t yki_comm_received_bytes(const yki_comm *comm)
{
    return atomic_load_explicit(&comm->received_bytes, memory_order_relaxed);
}

yoke_status yki_comm_split(yki_comm *comm, int colour, int key, yki_comm **group_out)
{
    *group_out = NULL;
    YKI_TRY(comm->transport->check(comm));
    YKI_TRY(comm->transport->split(comm, colour, key, group_out));
    if (*group_out) (*group_out)->memory = comm->memory;
    return YOKE_OK;
}

void yki_comm_destroy(yki_comm *comm)
{
    if (comm) comm->transport->destroy(comm);
}

void yki_comm_abort(yki_comm *comm, const yoke_error *why)
{
    comm->transport->abort(comm, why);
}

/* --- arguments --- */

/* Multiplies `product` by a count, which may not be negative; the product of bytes must be one of an object.
 */
static bool multiply(int64_t *product, int64_t count)
{
    return count >= 0 && !__builtin_mul_overflow(*product, count, product);
}

static bool sum_shares(const int64_t *share, int size, int64_t *sum)
{
    *sum = 0;
    if (!share) return false;
    for (int i = 0; i < size; i++)
        if (share[i] < 0 || __builtin_add_overflow(*sum, share[i], sum)) return false;
    return true;
}

static yoke_status check_dtype(yki_dtype dtype)
{
    if (dtype == YKI_F32 || dtype == YKI_BF16 || dtype == YKI_I32) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "a collective was given dtype %d, which is none", (int)dtype);
}

static yoke_status check_memory(const char *what, const void *data, int64_t bytes)
{
    if (data || bytes == 0) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "%s was given no memory for %lld bytes", what, (long long)bytes);
}

/* Checks a cut; gives its bytes and those of the member. */
static yoke_status measure_cut(const yki_comm *comm, const yki_cut *cut, yki_dtype dtype, int64_t *all_bytes,
                               int64_t *mine_bytes)
{
    int64_t sum = 0, all = (int64_t)yki_dtype_bytes(dtype);
    if (!sum_shares(cut->share, comm->size, &sum) || !multiply(&all, cut->outer) ||
        !multiply(&all, cut->inner))
        return yki_fail(YOKE_INVALID, "the cut of a dim over %d ranks has no, negative or too large extents",
                        comm->size);
    *mine_bytes = all;
    if (!multiply(&all, sum) || !multiply(mine_bytes, cut->share[comm->rank]))
        return yki_fail(YOKE_INVALID, "the cut of a dim over %d ranks is too large", comm->size);
    *all_bytes = all;
    return YOKE_OK;
}

/* --- collectives --- */

static void finish(yki_request *request)
{
    request->kind = YKI_COMM_DONE;
}

/* A group of one: copies at once. */
static yoke_status copy_alone(yki_comm *comm, const void *in, void *out, int64_t bytes, yki_request *request)
{
    finish(request);
    YKI_TRY(comm->transport->check(comm));
    if (bytes > 0 && in != out)
        yki_comm_copy(comm, &(yki_rect){.to = out, .from = in, .width = (size_t)bytes, .rows = 1});
    return YOKE_OK;
}

static yoke_status start(yki_request *request)
{
    yki_comm *comm = request->comm;
    yoke_status status = comm->transport->check(comm);
    if (status == YOKE_OK) status = yki_memory_begin(comm->memory, request);
    if (status == YOKE_OK) status = comm->transport->start(comm, request);
    if (status != YOKE_OK) finish(request);
    return status;
}

yoke_status yki_all_reduce_start(yki_comm *comm, yki_segment *segments, int nsegments, yki_dtype dtype,
                                 yki_reduction reduction, yki_request *request)
{
    finish(request);
    YKI_TRY(check_dtype(dtype));
    if (reduction != YKI_SUM && reduction != YKI_MAX)
        return yki_fail(YOKE_INVALID, "all_reduce was given reduction %d, which is none", (int)reduction);
    if (nsegments < 0 || (nsegments > 0 && !segments))
        return yki_fail(YOKE_INVALID, "all_reduce was given %d segments", nsegments);
    int64_t elems = 0, size = (int64_t)yki_dtype_bytes(dtype), bytes = 2 * size;
    for (int i = 0; i < nsegments; i++) {
        if (segments[i].elems < 0 || __builtin_add_overflow(elems, segments[i].elems, &elems))
            return yki_fail(YOKE_INVALID, "all_reduce was given segments of a negative or too large size");
        YKI_TRY(check_memory("all_reduce", segments[i].data, segments[i].elems));
    }
    if (!multiply(&bytes, elems) || !multiply(&bytes, comm->size))
        return yki_fail(YOKE_INVALID, "all_reduce was given %lld elements, which is too large",
                        (long long)elems);
    if (comm->size == 1) return copy_alone(comm, NULL, NULL, 0, request);
    int64_t mine =
        yki_part_first(elems, comm->size, comm->rank + 1) - yki_part_first(elems, comm->size, comm->rank);
    *request = (yki_request){.comm = comm,
                             .kind = YKI_COMM_ALL_REDUCE,
                             .dtype = dtype,
                             .reduction = reduction,
                             .segments = segments,
                             .nsegments = nsegments,
                             .received_bytes = ((comm->size - 1) * mine + elems - mine) * size};
    if (nsegments == 1) {
        request->segment = segments[0];
        request->segments = NULL;
    }
    return start(request);
}

/* Starts a gather or a scatter of pieces that measure well. */
static yoke_status start_pieces(yki_comm *comm, yki_piece *pieces, int npieces, yki_dtype dtype,
                                yki_request whole, yki_request *request)
{
    int64_t received = 0;
    bool gathers = whole.kind == YKI_COMM_ALL_GATHER;
    const char *name = yki_operation_name(whole.kind);
    finish(request);
    YKI_TRY(check_dtype(dtype));
    if (npieces < 0 || (npieces > 0 && !pieces))
        return yki_fail(YOKE_INVALID, "%s was given %d pieces", name, npieces);
    for (int i = 0; i < npieces; i++) {
        int64_t all_bytes = 0, mine_bytes = 0;
        YKI_TRY(measure_cut(comm, &pieces[i].cut, dtype, &all_bytes, &mine_bytes));
        YKI_TRY(check_memory(name, pieces[i].all, all_bytes));
        YKI_TRY(check_memory(name, pieces[i].mine, mine_bytes));
        int64_t more = gathers ? all_bytes - mine_bytes : mine_bytes;
        if ((!gathers && !multiply(&more, comm->size - 1)) ||
            __builtin_add_overflow(received, more, &received))
            return yki_fail(YOKE_INVALID, "%s was given pieces that are too large", name);
        if (comm->size > 1) continue;
        const yki_piece *p = &pieces[i];
        YKI_TRY(gathers ? copy_alone(comm, p->mine, p->all, all_bytes, request)
                        : copy_alone(comm, p->all, p->mine, all_bytes, request));
    }
    if (comm->size == 1) return comm->transport->check(comm);
    *request = whole;
    request->comm = comm;
    request->dtype = dtype;
    request->pieces = pieces;
    request->npieces = npieces;
    request->received_bytes = received;
    if (npieces == 1) {
        request->piece = pieces[0];
        request->pieces = NULL;
    }
    return start(request);
}

yoke_status yki_all_gather_start(yki_comm *comm, yki_piece *pieces, int npieces, yki_dtype dtype,
                                 yki_request *request)
{
    return start_pieces(comm, pieces, npieces, dtype, (yki_request){.kind = YKI_COMM_ALL_GATHER}, request);
}

yoke_status yki_reduce_scatter_start(yki_comm *comm, yki_piece *pieces, int npieces, yki_dtype dtype,
                                     yki_request *request)
{
    return start_pieces(comm, pieces, npieces, dtype, (yki_request){.kind = YKI_COMM_REDUCE_SCATTER},
                        request);
}

yoke_status yki_all_to_all_start(yki_comm *comm, const void *in, void *out, yki_dtype dtype,
                                 const yki_exchange *exchange, yki_request *request)
{
    finish(request);
    YKI_TRY(check_dtype(dtype));
    const yki_exchange *x = exchange;
    int64_t whole_a = 0, whole_b = 0, rest = (int64_t)yki_dtype_bytes(dtype);
    bool fits = sum_shares(x->share_a, comm->size, &whole_a) &&
                sum_shares(x->share_b, comm->size, &whole_b) && multiply(&rest, x->outer) &&
                multiply(&rest, x->mid) && multiply(&rest, x->inner);
    int64_t whole = rest;
    if (!fits || !multiply(&whole, whole_a) || !multiply(&whole, whole_b))
        return yki_fail(YOKE_INVALID, "all_to_all over %d ranks has no, negative or too large extents",
                        comm->size);
    int64_t cut_a = rest * x->share_a[comm->rank] * whole_b, cut_b = rest * whole_a * x->share_b[comm->rank];
    int64_t both = rest * x->share_a[comm->rank] * x->share_b[comm->rank];
    int64_t in_bytes = x->back ? cut_b : cut_a, out_bytes = x->back ? cut_a : cut_b;
    YKI_TRY(check_memory("all_to_all", in, in_bytes));
    YKI_TRY(check_memory("all_to_all", out, out_bytes));
    if (comm->size == 1) return copy_alone(comm, in, out, out_bytes, request);
    *request = (yki_request){.comm = comm,
                             .kind = YKI_COMM_ALL_TO_ALL,
                             .dtype = dtype,
                             .in = in,
                             .out = out,
                             .in_bytes = (size_t)in_bytes,
                             .out_bytes = (size_t)out_bytes,
                             .exchange = *exchange,
                             .received_bytes = out_bytes - both};
    return start(request);
}

yoke_status yki_shift_start(yki_comm *comm, const void *in, void *out, yki_dtype dtype, const yki_cut *cut,
                            int back, yki_request *request)
{
    finish(request);
    YKI_TRY(check_dtype(dtype));
    int64_t all_bytes = 0, mine_bytes = 0;
    YKI_TRY(measure_cut(comm, cut, dtype, &all_bytes, &mine_bytes));
    int from = (comm->rank + (back ? 1 : comm->size - 1)) % comm->size;
    int64_t out_bytes = cut->outer * cut->share[from] * cut->inner * (int64_t)yki_dtype_bytes(dtype);
    YKI_TRY(check_memory("shift", in, mine_bytes));
    YKI_TRY(check_memory("shift", out, out_bytes));
    if (comm->size == 1) return copy_alone(comm, in, out, out_bytes, request);
    *request = (yki_request){.comm = comm,
                             .kind = YKI_COMM_SHIFT,
                             .dtype = dtype,
                             .in = in,
                             .out = out,
                             .in_bytes = (size_t)mine_bytes,
                             .out_bytes = (size_t)out_bytes,
                             .npieces = 1,
                             .piece = {.cut = *cut},
                             .exchange.back = back,
                             .from = from,
                             .received_bytes = out_bytes};
    return start(request);
}

yoke_status yki_broadcast_start(yki_comm *comm, void *data, size_t bytes, int root, yki_request *request)
{
    finish(request);
    if (root < 0 || root >= comm->size)
        return yki_fail(YOKE_INVALID, "broadcast from rank %d in a group of %d", root, comm->size);
    if (bytes > INT64_MAX) return yki_fail(YOKE_INVALID, "broadcast of too many bytes");
    YKI_TRY(check_memory("broadcast", data, (int64_t)bytes));
    if (comm->size == 1) return copy_alone(comm, NULL, NULL, 0, request);
    *request = (yki_request){.comm = comm,
                             .kind = YKI_COMM_BROADCAST,
                             .out = data,
                             .out_bytes = bytes,
                             .bytes = bytes,
                             .root = root,
                             .received_bytes = comm->rank == root ? 0 : (int64_t)bytes};
    return start(request);
}

yoke_status yki_barrier(yki_comm *comm)
{
    YKI_TRY(comm->transport->check(comm));
    if (comm->size == 1) return YOKE_OK;
    yki_request request = {.comm = comm, .kind = YKI_COMM_BARRIER};
    YKI_TRY(start(&request));
    return yki_wait(&request);
}

yoke_status yki_sum_scalars(yki_comm *comm, double *values, int count)
{
    if (count < 0 || (count > 0 && !values)) return yki_fail(YOKE_INVALID, "a sum of %d scalars", count);
    YKI_TRY(comm->transport->check(comm));
    for (int done = 0; done < count && comm->size > 1; done += YKI_COMM_SCALARS) {
        int few = count - done < YKI_COMM_SCALARS ? count - done : YKI_COMM_SCALARS;
        yki_request request = {
            .comm = comm, .kind = YKI_COMM_SUM_SCALARS, .out = values + done, .bytes = (size_t)few};
        YKI_TRY(start(&request));
        YKI_TRY(yki_wait(&request));
    }
    return YOKE_OK;
}

/* --- channels --- */

yoke_status yki_channel_open(yki_comm *comm, int peer, int tag, int sends, yki_channel **channel_out)
{
    *channel_out = NULL;
    if (peer < 0 || peer >= comm->size)
        return yki_fail(YOKE_INVALID, "a channel to rank %d in a group of %d", peer, comm->size);
    YKI_TRY(comm->transport->check(comm));
    return comm->transport->channel_open(comm, peer, tag, sends != 0, channel_out);
}

void yki_channel_close(yki_channel *channel)
{
    YKI_KEEP_RECORD;
    if (channel) channel->transport->channel_close(channel);
}

static yoke_status message_start(yki_channel *channel, yki_request message, yki_request *request)
{
    yki_comm *comm = channel->comm;
    bool sends = message.kind == YKI_COMM_SEND;
    finish(request);
    if (channel->sends != sends)
        return yki_fail(YOKE_INVALID, "a %s on the end of a channel that %s",
                        yki_operation_name(message.kind), channel->sends ? "sends" : "receives");
    if (channel->busy)
        return yki_fail(YOKE_INVALID,
                        "a second %s on channel %d with rank %d before the first was waited for",
                        yki_operation_name(message.kind), channel->tag, channel->peer);
    if (message.bytes > INT64_MAX) return yki_fail(YOKE_INVALID, "a message of too many bytes");
    YKI_TRY(check_memory("a channel", sends ? message.in : message.out, (int64_t)message.bytes));
    YKI_TRY(comm->transport->check(comm));
    message.comm = comm;
    message.channel = channel;
    message.in_bytes = sends ? message.bytes : 0;
    message.out_bytes = sends ? 0 : message.bytes;
    message.received_bytes = sends || channel->peer == comm->rank ? 0 : (int64_t)message.bytes;
    *request = message;
    yoke_status status = yki_memory_begin(comm->memory, request);
    if (status == YOKE_OK) status = comm->transport->channel_start(channel, request);
    channel->busy = status == YOKE_OK;
    if (status != YOKE_OK) finish(request);
    return status;
}

yoke_status yki_send_start(yki_channel *channel, const void *data, size_t bytes, yki_request *request)
{
    return message_start(channel, (yki_request){.kind = YKI_COMM_SEND, .in = data, .bytes = bytes}, request);
}

yoke_status yki_receive_start(yki_channel *channel, void *data, size_t bytes, yki_request *request)
{
    return message_start(channel, (yki_request){.kind = YKI_COMM_RECEIVE, .out = data, .bytes = bytes},
                         request);
}

yoke_status yki_wait(yki_request *request)
{
    if (request->kind == YKI_COMM_DONE) return YOKE_OK;
    yki_comm *comm = request->comm;
    yoke_status status = comm->transport->wait(request);
    if (request->channel) request->channel->busy = false;
    if (status == YOKE_OK) yki_memory_end(comm->memory, request);
    if (status == YOKE_OK)
        atomic_fetch_add_explicit(&comm->received_bytes, request->received_bytes, memory_order_relaxed);
    finish(request);
    return status;
}
