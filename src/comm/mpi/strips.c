/* Which memory an operation's elements are: strips, in the order in which sender and receiver both count. */
#include <string.h>

#include "comm/local/reduce.h"
#include "comm/mpi/mpi.h"

/* Rows of elements at equal distances, `outer` times. */
typedef struct strip {
    char *data;
    int64_t outer, outer_stride, rows, row_stride, length;
    bool adds;
} strip;

/* Two members of a group, by their place in it. */
static int member_of(const yki_mpi_group *g, int process, int i)
{
    return g->members[g->first[process] + i];
}

static char *place(const void *memory, int64_t elems, size_t elem)
{
    return memory ? (char *)(uintptr_t)memory + elems * (int64_t)elem : NULL;
}

/* A member's cut of a piece: in the whole, or by itself. */
static strip cut_strip(const yki_mpi_group *g, const yki_mpi_op *op, const yki_piece *piece, int member,
                       bool whole)
{
    const yki_cut *cut = &piece->cut;
    int64_t all = yki_shares_before(cut->share, g->size) * cut->inner,
            length = cut->share[member] * cut->inner,
            before = yki_shares_before(cut->share, member) * cut->inner;
    bool in_whole = whole || piece->mine == piece->all;
    return (strip){.data = in_whole ? place(piece->all, before, op->elem) : piece->mine,
                   .outer = 1,
                   .rows = cut->outer,
                   .row_stride = in_whole ? all : length,
                   .length = length,
                   .adds = !whole && piece->adds};
}

/* The block that goes from one member to another, as it lies on one side. */
static strip block_strip(const yki_mpi_group *g, const yki_request *request, bool at_source, int source,
                         int target, void *data, size_t elem)
{
    const yki_exchange *x = &request->exchange;
    int of_a = x->back ? target : source, of_b = x->back ? source : target;
    int64_t a = x->share_a[of_a], b = x->share_b[of_b];
    bool cut_over_a = at_source != (x->back != 0); /* this side has some of a, and all of b */
    int64_t has_a = cut_over_a ? a : yki_shares_before(x->share_a, g->size),
            has_b = cut_over_a ? yki_shares_before(x->share_b, g->size) : b,
            a_first = cut_over_a ? 0 : yki_shares_before(x->share_a, of_a),
            b_first = cut_over_a ? yki_shares_before(x->share_b, of_b) : 0;
    return (strip){.data = place(data, (a_first * x->mid * has_b + b_first) * x->inner, elem),
                   .outer = x->outer,
                   .outer_stride = has_a * x->mid * has_b * x->inner,
                   .rows = a * x->mid,
                   .row_stride = has_b * x->inner,
                   .length = b * x->inner};
}

static strip plain(void *data, int64_t elems)
{
    return (strip){.data = data, .outer = 1, .rows = 1, .length = elems};
}

static strip shift_strip(const yki_mpi_group *g, const yki_mpi_op *op, const yki_request *request, bool gives,
                         int source, int target)
{
    int step = request->exchange.back ? g->size - 1 : 1;
    const yki_cut *cut = &request->piece.cut;
    if ((source + step) % g->size != target) return plain(NULL, 0);
    (void)op;
    return plain(gives ? (void *)(uintptr_t)request->in : request->out,
                 cut->outer * cut->share[source] * cut->inner);
}

/* Between a member of this process and one of another, by number: this process's come first in counting
 * where they are the source. */
static bool pair_strip(const yki_mpi_range *range, int index, strip *out)
{
    const yki_mpi_group *g = range->group;
    bool gives = range->use == YKI_MPI_GIVES;
    int source_process = gives ? g->me : range->process, target_process = gives ? range->process : g->me;
    int targets = yki_mpi_members(g, target_process);
    if (index >= yki_mpi_members(g, source_process) * targets) return false;
    int source = member_of(g, source_process, index / targets),
        target = member_of(g, target_process, index % targets);
    const yki_request *request = &range->op->requests[gives ? index / targets : index % targets];
    if (range->op->kind == YKI_COMM_SHIFT)
        *out = shift_strip(g, range->op, request, gives, source, target);
    else
        *out = block_strip(g, request, gives, source, target,
                           gives ? (void *)(uintptr_t)request->in : request->out, range->op->elem);
    return true;
}

/* Of pieces: all cuts of the process's members, as the giver or taker has them. */
static bool piece_strip(const yki_mpi_range *range, int index, strip *out)
{
    const yki_mpi_group *g = range->group;
    const yki_mpi_op *op = range->op;
    int members = yki_mpi_members(g, range->process);
    if (index >= op->requests[0].npieces * members) return false;
    bool dealt = (op->kind == YKI_COMM_ALL_GATHER) == (range->use == YKI_MPI_GIVES);
    int i = index % members;
    const yki_request *request = &op->requests[dealt ? i : range->here];
    *out = cut_strip(g, op, &yki_request_pieces(request)[index / members], member_of(g, range->process, i),
                     !dealt);
    return true;
}

static bool strip_at(const yki_mpi_range *range, int index, strip *out)
{
    const yki_mpi_group *g = range->group;
    const yki_mpi_op *op = range->op;
    const yki_request *request = &op->requests[range->here];
    int root;
    switch (op->kind) {
    case YKI_COMM_ALL_REDUCE:
        if (index >= request->nsegments) return false;
        *out = plain(yki_request_segments(request)[index].data, yki_request_segments(request)[index].elems);
        return true;
    case YKI_COMM_REDUCE_SCATTER:
    case YKI_COMM_ALL_GATHER:
        return piece_strip(range, index, out);
    case YKI_COMM_ALL_TO_ALL:
    case YKI_COMM_SHIFT:
        return pair_strip(range, index, out);
    case YKI_COMM_BROADCAST:
        for (root = 0; range->use == YKI_MPI_GIVES && member_of(g, g->me, root) != request->root;) root++;
        *out = plain(op->requests[range->use == YKI_MPI_GIVES ? root : range->here].out,
                     (int64_t)request->bytes);
        return index == 0;
    default: /* scalars, or a byte of a barrier */
        *out = plain(range->use == YKI_MPI_GIVES
                         ? op->scalars
                         : op->all_scalars + (size_t)g->first[range->process] * YKI_COMM_SCALARS,
                     yki_mpi_elems(g, op, range->use, range->process));
        return index == 0;
    }
}

static int64_t strip_elems(const strip *s)
{
    return s->outer * s->rows * s->length;
}

int yki_mpi_takers(const yki_mpi_group *group, const yki_mpi_op *op)
{
    bool each =
        op->kind == YKI_COMM_ALL_REDUCE || op->kind == YKI_COMM_ALL_GATHER || op->kind == YKI_COMM_BROADCAST;
    return each ? group->nlocal : 1;
}

static bool has_root(const yki_mpi_group *g, const yki_mpi_op *op, int process)
{
    for (int i = 0; i < yki_mpi_members(g, process); i++)
        if (member_of(g, process, i) == op->requests[0].root) return true;
    return false;
}

int64_t yki_mpi_elems(const yki_mpi_group *group, const yki_mpi_op *op, yki_mpi_use use, int process)
{
    const yki_request *request = &op->requests[0];
    int64_t elems = 0;
    switch (op->kind) {
    case YKI_COMM_BARRIER:
        return 1;
    case YKI_COMM_SUM_SCALARS: /* whole slots: so each process's begin at its place */
        return (int64_t)sizeof(double) * YKI_COMM_SCALARS * yki_mpi_members(group, process);
    case YKI_COMM_BROADCAST:
        return has_root(group, op, process) ? (int64_t)request->bytes : 0;
    case YKI_COMM_ALL_REDUCE:
        for (int i = 0; i < request->nsegments; i++) elems += yki_request_segments(request)[i].elems;
        return yki_part_first(elems, group->nprocesses, process + 1) -
               yki_part_first(elems, group->nprocesses, process);
    default:
        break;
    }
    bool pieces = op->kind == YKI_COMM_ALL_GATHER || op->kind == YKI_COMM_REDUCE_SCATTER;
    for (int k = 0; pieces && k < request->npieces; k++)
        for (int i = 0; i < yki_mpi_members(group, process); i++) {
            const yki_cut *cut = &yki_request_pieces(request)[k].cut;
            elems += cut->outer * cut->share[member_of(group, process, i)] * cut->inner;
        }
    yki_mpi_range range = {.group = group, .op = op, .use = use, .process = process};
    strip s;
    for (int i = 0; !pieces && pair_strip(&range, i, &s); i++) elems += strip_elems(&s);
    return elems;
}

/* Calls run() for each run of a range, in order, with what was run before. */
typedef struct walk {
    char *other;
    size_t elem, other_elem;
    yki_dtype dtype;
    char *found; /* the only run */
    int runs;
    void (*run)(struct walk *walk, char *data, int64_t elems, bool adds);
} walk;

static void each_run(const yki_mpi_range *range, walk *w)
{
    int64_t first = range->first, count = range->count;
    strip s;
    if (range->op->kind == YKI_COMM_ALL_REDUCE && !range->op->small) {
        int64_t elems = 0;
        for (int i = 0; strip_at(range, i, &s); i++) elems += s.length;
        first += yki_part_first(elems, range->group->nprocesses, range->process);
    }
    for (int i = 0; count > 0 && strip_at(range, i, &s); i++) {
        int64_t elems = strip_elems(&s);
        if (first >= elems) {
            first -= elems;
            continue;
        }
        if (s.rows == 1 || s.row_stride == s.length) {
            s.length *= s.rows;
            s.rows = 1;
        }
        if (s.outer == 1 || (s.rows == 1 && s.outer_stride == s.length)) {
            s.length *= s.rows == 1 ? s.outer : 1;
            s.outer = s.rows == 1 ? 1 : s.outer;
        }
        while (first < elems && count > 0) {
            int64_t before = 0, column = first;
            if (elems > s.length) {
                int64_t row = first / s.length;
                column = first % s.length;
                before = row / s.rows * s.outer_stride + row % s.rows * s.row_stride;
            }
            int64_t run = s.length - column < count ? s.length - column : count;
            w->run(w, s.data + (before + column) * (int64_t)w->elem, run, s.adds);
            w->other += run * (int64_t)w->other_elem;
            first += run;
            count -= run;
        }
        first = 0;
    }
}

static void note_run(walk *w, char *data, int64_t elems, bool adds)
{
    (void)elems;
    w->found = data;
    w->runs += adds ? 2 : 1;
}

void *yki_mpi_direct(const yki_mpi_range *range)
{
    walk w = {.elem = range->op->elem, .run = note_run};
    each_run(range, &w);
    return w.runs == 1 ? w.found : NULL;
}

static void pack_run(walk *w, char *data, int64_t elems, bool adds)
{
    (void)adds;
    memcpy(w->other, data, (size_t)elems * w->elem);
}

void yki_mpi_pack(const yki_mpi_range *range, void *to)
{
    walk w = {.other = to, .elem = range->op->elem, .other_elem = range->op->elem, .run = pack_run};
    each_run(range, &w);
}

static void unpack_run(walk *w, char *data, int64_t elems, bool adds)
{
    (void)adds;
    if (data != w->other) memcpy(data, w->other, (size_t)elems * w->elem);
}

void yki_mpi_unpack(const yki_mpi_range *range, const void *from)
{
    walk w = {.other = (char *)(uintptr_t)from,
              .elem = range->op->elem,
              .other_elem = range->op->elem,
              .run = unpack_run};
    each_run(range, &w);
}

static void widen_run(walk *w, char *data, int64_t elems, bool adds)
{
    (void)adds;
    if (w->elem == sizeof(float)) {
        memcpy(w->other, data, (size_t)elems * sizeof(float));
        return;
    }
    const uint16_t *from = (const uint16_t *)(void *)data;
    for (int64_t i = 0; i < elems; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(w->other + i * 4, &bits, sizeof bits);
    }
}

void yki_mpi_widen(const yki_mpi_range *range, void *to)
{
    walk w = {.other = to, .elem = range->op->elem, .other_elem = sizeof(float), .run = widen_run};
    each_run(range, &w);
}

static void narrow_run(walk *w, char *data, int64_t elems, bool adds)
{
    if (w->elem == sizeof(float)) {
        void *arrays[] = {data, w->other};
        if (adds)
            yki_reduce_to_one(w->dtype, YKI_SUM, arrays, 2, data, elems);
        else if (data != w->other)
            memcpy(data, w->other, (size_t)elems * sizeof(float));
        return;
    }
    float *sums = (float *)(void *)w->other;
    if (adds) yki_reduce_plain[YKI_BF16][YKI_SUM].fold(sums, data, elems);
    yki_reduce_plain[YKI_BF16][YKI_SUM].round(data, sums, elems);
}

void yki_mpi_narrow(const yki_mpi_range *range, const void *from)
{
    walk w = {.other = (char *)(uintptr_t)from,
              .elem = range->op->elem,
              .other_elem = sizeof(float),
              .dtype = range->op->requests[0].dtype,
              .run = narrow_run};
    each_run(range, &w);
}
