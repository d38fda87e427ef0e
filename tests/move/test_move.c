/* The movements as operators: <Mx, y> = <x, M* y> in the inner product of logical tensors, for every row of
 * the table and every state that a gradient may have; the bytes of the table against those the comm counts.
 *
 * Logical tensors are built by this file's own rules (collect), from what every rank holds; adjoints come
 * from the table alone. */
#include <math.h>
#include <string.h>

#include "comm/ranks.h"
#include "move/move.h"

/* A tensor [outer, A, mid, B, inner]. What is cut is A, or B for the far side of all_to_all. */
typedef struct shape {
    int64_t outer, mid, inner;
    int64_t share_a[8], share_b[8];
} shape;

typedef enum cut_dim { CUT_NONE, CUT_A, CUT_B } cut_dim;

/* What all ranks hold of one logical tensor. */
typedef struct held {
    yki_placement state;
    cut_dim cut; /* where state is YKI_SHARDED */
    float *of[8];
} held;

typedef struct adjoint_case {
    yki_move move;
    yki_placement gradient_state;
    shape shape;
    int n;
    held x, mx, y, my;
    int64_t moved, moved_back; /* as the table says */
    _Atomic int64_t received, received_back;
} adjoint_case;

static int64_t whole_a(const adjoint_case *c)
{
    return yki_shares_before(c->shape.share_a, c->n);
}
static int64_t whole_b(const adjoint_case *c)
{
    return yki_shares_before(c->shape.share_b, c->n);
}

static int64_t elems_held(const adjoint_case *c, const held *h, int rank)
{
    const shape *s = &c->shape;
    int64_t a = h->cut == CUT_A ? s->share_a[rank] : whole_a(c),
            b = h->cut == CUT_B ? s->share_b[rank] : whole_b(c);
    return s->outer * a * s->mid * b * s->inner;
}

/* The logical tensor, in doubles: a replicated value once, a partial one as its sum, a sharded one put
 * together. */
static double *collect(const adjoint_case *c, const held *h)
{
    const shape *s = &c->shape;
    int64_t elems = s->outer * whole_a(c) * s->mid * whole_b(c) * s->inner;
    double *logical = calloc((size_t)elems + 1, sizeof *logical);
    for (int r = 0; r < c->n; r++) {
        if (h->state == YKI_REPLICATED && r > 0) break;
        int64_t a0 = h->cut == CUT_A ? yki_shares_before(s->share_a, r) : 0, at = 0;
        int64_t b0 = h->cut == CUT_B ? yki_shares_before(s->share_b, r) : 0;
        int64_t a1 = a0 + (h->cut == CUT_A ? s->share_a[r] : whole_a(c));
        int64_t b1 = b0 + (h->cut == CUT_B ? s->share_b[r] : whole_b(c));
        for (int64_t o = 0; o < s->outer; o++)
            for (int64_t a = a0; a < a1; a++)
                for (int64_t m = 0; m < s->mid; m++)
                    for (int64_t b = b0; b < b1; b++)
                        for (int64_t i = 0; i < s->inner; i++)
                            logical[(((o * whole_a(c) + a) * s->mid + m) * whole_b(c) + b) * s->inner + i] +=
                                (double)h->of[r][at++];
    }
    return logical;
}

static double dot(const adjoint_case *c, const held *left, const held *right, double *norm)
{
    const shape *s = &c->shape;
    int64_t elems = s->outer * whole_a(c) * s->mid * whole_b(c) * s->inner;
    double *a = collect(c, left), *b = collect(c, right), sum = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < elems; i++) {
        sum += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    *norm = sqrt(aa * bb);
    free(a);
    free(b);
    return sum;
}

/* Random values; the same on every rank where replicated. */
static void fill(const adjoint_case *c, held *h, yki_placement state, cut_dim cut, int seed)
{
    *h = (held){.state = state, .cut = state == YKI_SHARDED ? cut : CUT_NONE};
    for (int r = 0; r < c->n; r++) {
        int64_t elems = elems_held(c, h, r);
        h->of[r] = malloc(((size_t)elems + 1) * sizeof(float));
        for (int64_t i = 0; i < elems; i++)
            h->of[r][i] = 1.1f * ranks_value(seed + (state == YKI_REPLICATED ? 0 : r), i);
    }
}

static void drop(held *h)
{
    for (int r = 0; r < 8; r++) free(h->of[r]);
}

/* The launch of a movement of this case on `rank`; all_to_all goes back where `back` is set. */
static yki_move_launch launch_of(const adjoint_case *c, yki_comm *comm, int back)
{
    const shape *s = &c->shape;
    return (yki_move_launch){
        .comm = comm,
        .dtype = YKI_F32,
        .cut = {s->outer, s->mid * whole_b(c) * s->inner, s->share_a},
        .exchange = {s->outer, s->mid, s->inner, s->share_a, s->share_b, back},
        .elems = s->outer * whole_a(c) * s->mid * whole_b(c) * s->inner,
        .reduction = YKI_SUM,
    };
}

/* Applies a movement to what the rank holds. NONE is the identity. */
static void apply(const adjoint_case *c, yki_comm *comm, yki_move move, const held *in, held *out, int back,
                  _Atomic int64_t *received)
{
    int rank = yki_comm_rank(comm);
    int64_t before = yki_comm_received_bytes(comm);
    if (move == YKI_MOVE_NONE) {
        memcpy(out->of[rank], in->of[rank], (size_t)elems_held(c, out, rank) * sizeof(float));
        return;
    }
    const yki_movement *m = &yki_movements[move];
    yki_move_launch launch = launch_of(c, comm, back);
    launch.in = in->of[rank];
    launch.out = out->of[rank];
    if (m->in_place && rank % 2) { /* both ways */
        memcpy(launch.out, launch.in, (size_t)elems_held(c, in, rank) * sizeof(float));
        launch.in = launch.out;
    }
    yki_request request;
    EXPECT(m->start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    atomic_fetch_add(received, yki_comm_received_bytes(comm) - before);
}

static void both_ways(yki_comm *comm, void *shared)
{
    adjoint_case *c = shared;
    yki_move adjoint = yki_movements[c->move].adjoint[c->gradient_state];
    apply(c, comm, c->move, &c->x, &c->mx, 0, &c->received);
    apply(c, comm, adjoint, &c->y, &c->my, 1, &c->received_back);
}

/* A gradient's state after the adjoint; the identity keeps it. */
static yki_placement state_after(yki_move adjoint, yki_placement state)
{
    return adjoint == YKI_MOVE_NONE ? state : yki_movements[adjoint].to;
}

static void check_adjoint(adjoint_case *c)
{
    const yki_movement *m = &yki_movements[c->move];
    yki_move adjoint = m->adjoint[c->gradient_state];
    cut_dim far = c->move == YKI_MOVE_ALL_TO_ALL ? CUT_B : CUT_A;
    fill(c, &c->x, m->from, CUT_A, 1);
    fill(c, &c->mx, m->to, far, 100);
    fill(c, &c->y, c->gradient_state, far, 200);
    fill(c, &c->my, state_after(adjoint, c->gradient_state), CUT_A, 300);
    ranks_run(c->n, -1, both_ways, c);
    double scale, unused, left = dot(c, &c->mx, &c->y, &scale), right = dot(c, &c->x, &c->my, &unused);
    if (!(fabs(left - right) <= 1e-6 * scale))
        fail_msg("%s, gradient in state %d, %d ranks: %.9g is not %.9g", m->name, (int)c->gradient_state,
                 c->n, left, right);
    /* What is called replicated is the same on all ranks. */
    for (int k = 0; k < 2; k++) {
        const held *h = k ? &c->my : &c->mx;
        for (int r = 1; h->state == YKI_REPLICATED && r < c->n; r++)
            assert_memory_equal(h->of[0], h->of[r], (size_t)elems_held(c, h, r) * sizeof(float));
    }
    yki_move_launch forward = launch_of(c, NULL, 0), backward = launch_of(c, NULL, 1);
    assert_int_equal(c->received, m->moved_bytes(&forward, c->n));
    assert_int_equal(c->received_back,
                     adjoint == YKI_MOVE_NONE ? 0 : yki_movements[adjoint].moved_bytes(&backward, c->n));
    drop(&c->x);
    drop(&c->mx);
    drop(&c->y);
    drop(&c->my);
}

/* Odd shapes; shares that are even, uneven, and partly zero. */
static shape shape_of(int which, int n)
{
    const int64_t dims[][3] = {{1, 1, 1}, {3, 5, 7}, {2, 1, 129}, {1, 3, 1}, {0, 2, 3}};
    shape s = {.outer = dims[which][0], .mid = dims[which][1], .inner = dims[which][2]};
    for (int r = 0; r < n; r++) {
        s.share_a[r] = which == 0 ? 1 : (r * 5 + which) % 4; /* zeros among them */
        s.share_b[r] = which == 0 ? 2 : (r * 3 + which + 1) % 3 + (which == 1);
    }
    return s;
}

static void adjoints_are_adjoint(void **state)
{
    (void)state;
    const int groups[] = {1, 2, 3, 4, 7};
    int checked = 0;
    for (int move = 0; move < YKI_MOVE_COUNT; move++) {
        if (move == YKI_MOVE_COPY) continue; /* below: its ends are different ranks */
        for (int gradient = 0; gradient < 3; gradient++) {
            if (yki_movements[move].adjoint[gradient] == YKI_MOVE_IMPOSSIBLE) continue;
            for (int g = 0; g < 5; g++)
                for (int s = 0; s < 5; s++) {
                    adjoint_case c = {.move = (yki_move)move,
                                      .gradient_state = (yki_placement)gradient,
                                      .shape = shape_of(s, groups[g]),
                                      .n = groups[g]};
                    check_adjoint(&c);
                    checked++;
                }
        }
    }
    assert_int_equal(checked, 9 * 25);
}

/* What makes a table of movements one: adjoints fit the states they are for. */
static void the_table_is_closed(void **state)
{
    (void)state;
    for (int move = 0; move < YKI_MOVE_COUNT; move++) {
        const yki_movement *m = &yki_movements[move];
        assert_non_null(m->name);
        assert_true(m->start && m->moved_bytes);
        int possible = 0;
        for (int gradient = 0; gradient < 3; gradient++) {
            yki_move adjoint = m->adjoint[gradient];
            if (adjoint == YKI_MOVE_IMPOSSIBLE) continue;
            possible++;
            if (adjoint == YKI_MOVE_NONE || move == YKI_MOVE_COPY) continue;
            assert_int_equal(yki_movements[adjoint].from, gradient);
            assert_int_not_equal(yki_movements[adjoint].to, YKI_PARTIAL);
            assert_int_equal(yki_movements[adjoint].to == YKI_SHARDED, m->from == YKI_SHARDED);
        }
        assert_int_equal(possible > 0, move != YKI_MOVE_FROM_FIRST);
    }
}

/* --- from_first: all have what the first has --- */

static void take_the_first(yki_comm *comm, void *shared)
{
    _Atomic int64_t *received = shared;
    float values[5];
    int rank = yki_comm_rank(comm);
    for (int i = 0; i < 5; i++) values[i] = (float)(10 * rank + i);
    yki_request request;
    yki_move_launch launch = {.comm = comm, .dtype = YKI_F32, .elems = 5, .out = values};
    EXPECT(yki_movements[YKI_MOVE_FROM_FIRST].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    for (int i = 0; i < 5; i++) EXPECT(values[i] == (float)i);
    atomic_fetch_add(received, yki_comm_received_bytes(comm));
}

static void from_first_is_the_first_ones(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        _Atomic int64_t received = 0;
        yki_move_launch launch = {.dtype = YKI_F32, .elems = 5};
        ranks_run(n, -1, take_the_first, &received);
        assert_int_equal(received, yki_movements[YKI_MOVE_FROM_FIRST].moved_bytes(&launch, n));
    }
}

/* --- copy: rank 0 has x, the last rank gets Mx; y goes the other way --- */

typedef struct copy_case {
    int64_t elems;
    float *x, *mx, *y, *my;
    _Atomic int64_t received;
} copy_case;

static void copy_both_ways(yki_comm *comm, void *shared)
{
    copy_case *c = shared;
    int rank = yki_comm_rank(comm), last = yki_comm_size(comm) - 1;
    yki_channel *there = NULL, *back = NULL;
    yki_request request;
    yki_move_launch launch = {.dtype = YKI_F32, .elems = c->elems, .sends = rank == 0};
    if (rank != 0 && rank != last) return;
    EXPECT(yki_channel_open(comm, last - rank, 0, rank == 0, &there) == YOKE_OK);
    EXPECT(yki_channel_open(comm, last - rank, 0, rank != 0, &back) == YOKE_OK);
    launch.channel = there;
    launch.in = c->x;
    launch.out = c->mx;
    EXPECT(yki_movements[YKI_MOVE_COPY].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    yki_move adjoint = yki_movements[YKI_MOVE_COPY].adjoint[YKI_REPLICATED];
    launch.channel = back;
    launch.sends = !launch.sends;
    launch.in = c->y;
    launch.out = c->my;
    EXPECT(yki_movements[adjoint].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
    yki_channel_close(there);
    yki_channel_close(back);
}

static void copy_is_adjoint_to_copy_back(void **state)
{
    (void)state;
    const int64_t elems[] = {0, 1, 3, 1001};
    for (int n = 2; n <= 7; n += 1 + n / 3)
        for (int e = 0; e < 4; e++) {
            copy_case c = {.elems = elems[e]};
            float *memory = calloc((size_t)(4 * elems[e] + 1), sizeof *memory);
            c.x = memory;
            c.mx = memory + elems[e];
            c.y = memory + 2 * elems[e];
            c.my = memory + 3 * elems[e];
            for (int64_t i = 0; i < elems[e]; i++) {
                c.x[i] = ranks_value(0, i);
                c.y[i] = ranks_value(1, i);
            }
            ranks_run(n, -1, copy_both_ways, &c);
            double left = 0, right = 0, scale = 0;
            for (int64_t i = 0; i < elems[e]; i++) {
                left += (double)c.mx[i] * (double)c.y[i];
                right += (double)c.x[i] * (double)c.my[i];
                scale += fabs((double)c.x[i] * (double)c.y[i]);
            }
            assert_true(fabs(left - right) <= 1e-6 * scale);
            yki_move_launch launch = {.dtype = YKI_F32, .elems = elems[e]};
            assert_int_equal(c.received, 2 * yki_movements[YKI_MOVE_COPY].moved_bytes(&launch, n));
            free(memory);
        }
}

/* --- copy along an axis: every rank has an x, the next one gets it; y goes the other way --- */

typedef struct ring_case {
    int64_t share[8];
    float *x[8], *mx[8], *y[8], *my[8]; /* mx and y: of the next rank's cut */
    _Atomic int64_t received;
} ring_case;

static void ring_both_ways(yki_comm *comm, void *shared)
{
    ring_case *c = shared;
    int rank = yki_comm_rank(comm), n = yki_comm_size(comm);
    int64_t turned[8];
    for (int r = 0; r < n; r++) turned[r] = c->share[(r + n - 1) % n];
    yki_request request;
    yki_move_launch launch = {.comm = comm, .dtype = YKI_F32, .cut = {3, 5, c->share}};
    launch.in = c->x[rank], launch.out = c->mx[rank];
    EXPECT(yki_movements[YKI_MOVE_COPY].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    launch.in = c->y[rank], launch.out = c->my[rank], launch.back = 1, launch.cut.share = turned;
    EXPECT(yki_movements[YKI_MOVE_COPY].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
}

static void copies_go_round_a_ring(void **state)
{
    (void)state;
    for (int n = 1; n <= 7; n++) {
        ring_case c = {.received = 0};
        float **sets[4] = {c.x, c.mx, c.y, c.my};
        for (int r = 0; r < n; r++) c.share[r] = (r * 5 + n) % 4; /* zeros among them */
        for (int r = 0; r < n; r++)
            for (int k = 0; k < 4; k++) {
                int64_t elems = 15 * c.share[k == 1 || k == 2 ? (r + n - 1) % n : r];
                sets[k][r] = calloc((size_t)elems + 1, sizeof(float));
                for (int64_t i = 0; i < elems; i++) sets[k][r][i] = ranks_value(10 * k + r, i);
            }
        ranks_run(n, -1, ring_both_ways, &c);
        double left = 0, right = 0;
        for (int r = 0; r < n; r++) {
            int next = (r + 1) % n;
            assert_memory_equal(c.mx[next], c.x[r], (size_t)(15 * c.share[r]) * sizeof(float));
            for (int64_t i = 0; i < 15 * c.share[r]; i++) {
                left += (double)c.mx[next][i] * (double)c.y[next][i];
                right += (double)c.x[r][i] * (double)c.my[r][i];
            }
        }
        assert_true(fabs(left - right) <= 1e-9 * fabs(left));
        yki_move_launch launch = {.dtype = YKI_F32, .cut = {3, 5, c.share}};
        assert_int_equal(c.received, 2 * yki_movements[YKI_MOVE_COPY].moved_bytes(&launch, n));
        for (int r = 0; r < n; r++)
            for (int k = 0; k < 4; k++) free(sets[k][r]);
    }
}

/* --- all_reduce over pieces --- */

static void reduce_pieces(yki_comm *comm, void *shared)
{
    int64_t expected = *(int64_t *)shared;
    int n = yki_comm_size(comm);
    float data[30];
    for (int i = 0; i < 30; i++) data[i] = (float)i;
    yki_segment segments[] = {{data, 7}, {data + 10, 0}, {data + 20, 10}};
    yki_move_launch launch = {.comm = comm, .dtype = YKI_F32, .segments = segments, .nsegments = 3};
    EXPECT(yki_movements[YKI_MOVE_ALL_REDUCE].moved_bytes(&launch, n) == expected);
    yki_request request;
    EXPECT(yki_movements[YKI_MOVE_ALL_REDUCE].start(&launch, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    for (int i = 0; i < 30; i++)
        EXPECT(data[i] == (float)(i < 7 || i >= 20 ? n * i : i)); /* no padding moved */
    double bytes = (double)yki_comm_received_bytes(comm);
    EXPECT(yki_sum_scalars(comm, &bytes, 1) == YOKE_OK && bytes == (double)expected);
}

static void pieces_move_no_padding(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        int64_t expected = 2 * (n - 1) * 17 * 4;
        ranks_run(n, -1, reduce_pieces, &expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjoints_are_adjoint),   cmocka_unit_test(from_first_is_the_first_ones),
        cmocka_unit_test(the_table_is_closed),    cmocka_unit_test(copy_is_adjoint_to_copy_back),
        cmocka_unit_test(copies_go_round_a_ring), cmocka_unit_test(pieces_move_no_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
