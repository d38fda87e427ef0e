/* What a member does of a collective once all have started it. It reads its peers' memory, and for all_reduce
 * writes it: the two phases are one pass, in which a member reduces its share of the elements and puts the
 * sums into everybody's buffer while they are in its cache. So each element is read once and written once in
 * each buffer, and one barrier at the end is enough. No two members touch the same element of any buffer. */
#include <string.h>

#include "comm/local/local.h"
#include "comm/local/reduce.h"

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* memory + elems, where memory may be NULL if nothing is there. */
static void *at(const void *memory, int64_t elems, size_t size)
{
    return memory ? (char *)(uintptr_t)memory + elems * (int64_t)size : NULL;
}

/* Copies `rows` rows of `bytes`, each a stride after the last. */
static void copy_rows(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t bytes,
                      int64_t rows)
{
    if (bytes == 0 || rows == 0) return;
    if (to_stride == bytes && from_stride == bytes) {
        bytes *= rows;
        rows = 1;
    }
    for (int64_t i = 0; i < rows; i++) memcpy(to + i * to_stride, from + i * from_stride, (size_t)bytes);
}

static void all_reduce(yki_local_comm *comm, uint64_t sequence)
{
    int size = comm->base.size, rank = comm->base.rank;
    const yki_request *op = &yki_local_slot_of(comm, rank, sequence)->op;
    const yki_segment *segments = yki_request_segments(op);
    int64_t elems = 0, before = 0;
    for (int i = 0; i < op->nsegments; i++) elems += segments[i].elems;
    int64_t first = yki_part_first(elems, size, rank), end = yki_part_first(elems, size, rank + 1);
    for (int i = 0; i < op->nsegments && before < end; before += segments[i].elems, i++) {
        int64_t low = max_of(first - before, 0), high = min_of(end - before, segments[i].elems);
        if (low >= high) continue;
        for (int m = 0; m < size; m++) {
            const yki_request *theirs = &yki_local_slot_of(comm, m, sequence)->op;
            comm->pieces[m] = at(yki_request_segments(theirs)[i].data, low, yki_dtype_bytes(op->dtype));
        }
        yki_reduce_to_all(op->dtype, op->reduction, comm->pieces, size, high - low);
    }
}

static void scatter_piece(yki_local_comm *comm, uint64_t sequence, int index)
{
    int size = comm->base.size, rank = comm->base.rank;
    const yki_request *op = &yki_local_slot_of(comm, rank, sequence)->op;
    const yki_piece *piece = &yki_request_pieces(op)[index];
    const yki_cut *cut = &piece->cut;
    size_t elem = yki_dtype_bytes(op->dtype);
    int64_t whole = yki_shares_before(cut->share, size) * cut->inner, mine = cut->share[rank] * cut->inner;
    int64_t first = yki_shares_before(cut->share, rank) * cut->inner;
    if (mine == 0) return;
    for (int64_t o = 0; o < cut->outer; o++) {
        void *out = at(piece->mine, o * mine, elem);
        int count = 0;
        if (piece->adds) comm->pieces[count++] = out;
        for (int m = 0; m < size; m++) {
            const yki_request *theirs = &yki_local_slot_of(comm, m, sequence)->op;
            comm->pieces[count++] = at(yki_request_pieces(theirs)[index].all, o * whole + first, elem);
        }
        /* in place: nobody else reads this member's cut of its own part */
        if (piece->mine == piece->all) out = comm->pieces[rank];
        yki_reduce_to_one(op->dtype, op->reduction, comm->pieces, count, out, mine);
    }
}

static void reduce_scatter(yki_local_comm *comm, uint64_t sequence)
{
    int npieces = yki_local_slot_of(comm, comm->base.rank, sequence)->op.npieces;
    for (int i = 0; i < npieces; i++) scatter_piece(comm, sequence, i);
}

static void gather_piece(yki_local_comm *comm, uint64_t sequence, int index)
{
    int size = comm->base.size, rank = comm->base.rank;
    const yki_request *op = &yki_local_slot_of(comm, rank, sequence)->op;
    const yki_piece *piece = &yki_request_pieces(op)[index];
    const yki_cut *cut = &piece->cut;
    int64_t unit = cut->inner * (int64_t)yki_dtype_bytes(op->dtype);
    int64_t whole = yki_shares_before(cut->share, size) * unit;
    for (int i = piece->mine == piece->all; i < size; i++) { /* not everybody reads the same member first */
        int m = (rank + i) % size;
        int64_t share = cut->share[m] * unit, first = yki_shares_before(cut->share, m) * unit;
        const yki_piece *theirs = &yki_request_pieces(&yki_local_slot_of(comm, m, sequence)->op)[index];
        bool in_place = theirs->mine == theirs->all;
        copy_rows(at(piece->all, first, 1), whole, at(theirs->mine, in_place ? first : 0, 1),
                  in_place ? whole : share, share, cut->outer);
    }
}

static void all_gather(yki_local_comm *comm, uint64_t sequence)
{
    int npieces = yki_local_slot_of(comm, comm->base.rank, sequence)->op.npieces;
    for (int i = 0; i < npieces; i++) gather_piece(comm, sequence, i);
}

/* The block of a and b that goes from one member to another, as it lies on one side: [outer, a, mid, b,
 * inner] with the block's first a and b. */
typedef struct side {
    char *data;
    int64_t a, a_first, b, b_first;
} side;

static void copy_block(const yki_exchange *x, size_t elem, side to, side from, int64_t a, int64_t b)
{
    int64_t unit = x->inner * (int64_t)elem;
    if (a == 0 || b == 0 || unit == 0) return;
    for (int64_t o = 0; o < x->outer; o++) {
        char *t = to.data + ((o * to.a + to.a_first) * x->mid * to.b + to.b_first) * unit;
        const char *f = from.data + ((o * from.a + from.a_first) * x->mid * from.b + from.b_first) * unit;
        copy_rows(t, to.b * unit, f, from.b * unit, b * unit, a * x->mid);
    }
}

static void all_to_all(yki_local_comm *comm, uint64_t sequence)
{
    int size = comm->base.size, rank = comm->base.rank;
    const yki_request *op = &yki_local_slot_of(comm, rank, sequence)->op;
    const yki_exchange *x = &op->exchange;
    int64_t whole_a = yki_shares_before(x->share_a, size), whole_b = yki_shares_before(x->share_b, size);
    for (int i = 0; i < size; i++) {
        int m = (rank + i) % size;
        int cuts_a = x->back ? rank : m, cuts_b = x->back ? m : rank; /* who holds a share of which dim */
        int64_t a = x->share_a[cuts_a], b = x->share_b[cuts_b];
        int64_t a_first = yki_shares_before(x->share_a, cuts_a),
                b_first = yki_shares_before(x->share_b, cuts_b);
        side has_a = {.a = a, .a_first = 0, .b = whole_b, .b_first = b_first};
        side has_b = {.a = whole_a, .a_first = a_first, .b = b, .b_first = 0};
        side to = x->back ? has_a : has_b, from = x->back ? has_b : has_a;
        to.data = op->out;
        from.data = at(yki_local_slot_of(comm, m, sequence)->op.in, 0, 1);
        copy_block(x, yki_dtype_bytes(op->dtype), to, from, a, b);
    }
}

static void shift(yki_local_comm *comm, uint64_t sequence)
{
    const yki_request *op = &yki_local_slot_of(comm, comm->base.rank, sequence)->op;
    const yki_request *theirs = &yki_local_slot_of(comm, op->from, sequence)->op;
    if (op->received_bytes > 0) memcpy(op->out, theirs->in, (size_t)op->received_bytes);
}

static void broadcast(yki_local_comm *comm, uint64_t sequence)
{
    const yki_request *op = &yki_local_slot_of(comm, comm->base.rank, sequence)->op;
    const yki_request *root = &yki_local_slot_of(comm, op->root, sequence)->op;
    if (op->bytes > 0 && op->out != root->out) memcpy(op->out, root->out, op->bytes);
}

static void sum_scalars(yki_local_comm *comm, uint64_t sequence)
{
    const yki_request *op = &yki_local_slot_of(comm, comm->base.rank, sequence)->op;
    double *sums = op->out;
    for (size_t i = 0; i < op->bytes; i++) {
        double sum = yki_local_slot_of(comm, 0, sequence)->scalars[i];
        for (int m = 1; m < comm->base.size; m++) sum += yki_local_slot_of(comm, m, sequence)->scalars[i];
        sums[i] = sum;
    }
}

void yki_local_work(yki_local_comm *comm, uint64_t sequence)
{
    static void (*const work[YKI_COMM_COUNT])(yki_local_comm *, uint64_t) = {
        [YKI_COMM_ALL_REDUCE] = all_reduce,
        [YKI_COMM_ALL_GATHER] = all_gather,
        [YKI_COMM_REDUCE_SCATTER] = reduce_scatter,
        [YKI_COMM_ALL_TO_ALL] = all_to_all,
        [YKI_COMM_SHIFT] = shift,
        [YKI_COMM_BROADCAST] = broadcast,
        [YKI_COMM_SUM_SCALARS] = sum_scalars,
    };
    int kind = yki_local_slot_of(comm, comm->base.rank, sequence)->op.kind;
    if (work[kind]) work[kind](comm, sequence); /* a barrier has none */
}
