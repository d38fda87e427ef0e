/* Every collective of local ranks against values that each rank works out alone, bit for bit: ranks x sizes x
 * dtypes, uneven shares, several segments, and the count of received bytes. */
#include <math.h>
#include <string.h>

#include "comm/ranks.h"

static const int sizes_of_groups[] = {1, 2, 3, 4, 7, 8};
enum { NGROUPS = sizeof sizes_of_groups / sizeof *sizes_of_groups };

/* --- the oracle: elements as doubles, stored and rounded by other means than the library's --- */

static double bf16_value(uint16_t half)
{
    int exponent = half >> 7 & 0xff, mantissa = half & 0x7f;
    double magnitude = exponent == 0 ? ldexp(mantissa, -133) : ldexp(128 + mantissa, exponent - 134);
    return half >> 15 ? -magnitude : magnitude;
}

/* Nearest bf16 of a finite float, by looking at both neighbours. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1);
    double below = fabs((double)value - bf16_value(low)), above = fabs((double)value - bf16_value(high));
    if (below != above) return below < above ? low : high;
    return low % 2 == 0 ? low : high;
}

static void put(yki_dtype dtype, void *array, int64_t i, float value)
{
    if (dtype == YKI_F32)
        ((float *)array)[i] = value;
    else if (dtype == YKI_BF16)
        ((uint16_t *)array)[i] = bf16_of(value);
    else
        ((int32_t *)array)[i] = (int32_t)(value * 128);
}

/* f32 gets values of a full mantissa, so that the order of a sum shows in its bits. */
static float source(yki_dtype dtype, int rank, int64_t i)
{
    return ranks_value(rank, i) * (dtype == YKI_F32 ? 1.2345678f / (float)(rank + 3) : 1);
}

/* Element i of the reduction over ranks first .. end: of those of a process, then of a machine, then all. */
static float reduced(yki_dtype dtype, yki_reduction reduction, int first, int end, int level, int64_t i)
{
    if (level == 0 && end - first == 1) return source(dtype, first, i);
    int step = level == 2 ? ranks_each * ranks_machine : level == 1 ? ranks_each : 1;
    float acc = 0;
    for (int r = first; r < end; r += step) {
        int next = r + step < end ? r + step : end;
        float v = level == 0 ? source(dtype, r, i) : reduced(dtype, reduction, r, next, level - 1, i);
        acc = r == first ? v : reduction == YKI_SUM ? acc + v : fmaxf(acc, v);
    }
    return acc;
}

/* Element i of the reduction over `size` ranks, to expected[at]. */
static void put_reduced(yki_dtype dtype, yki_reduction reduction, int size, int64_t i, void *expected,
                        int64_t at)
{
    if (dtype == YKI_I32) {
        int32_t acc = (int32_t)(source(dtype, 0, i) * 128);
        for (int r = 1; r < size; r++) {
            int32_t v = (int32_t)(source(dtype, r, i) * 128);
            acc = reduction == YKI_SUM ? acc + v : acc > v ? acc : v;
        }
        ((int32_t *)expected)[at] = acc;
        return;
    }
    put(dtype, expected, at, reduced(dtype, reduction, 0, size, 2, i));
}

/* As many elements, and one byte more that must stay what it is. */
static char *allocate(yki_dtype dtype, int64_t elems)
{
    size_t bytes = (size_t)elems * yki_dtype_bytes(dtype);
    char *memory = malloc(bytes + 1);
    memset(memory, 0x5a, bytes + 1);
    return memory;
}

static void check_and_free(yki_dtype dtype, char *memory, char *expected, int64_t elems)
{
    size_t bytes = (size_t)elems * yki_dtype_bytes(dtype);
    EXPECT(memcmp(memory, expected, bytes) == 0);
    EXPECT(memory[bytes] == 0x5a);
    free(memory);
    free(expected);
}

/* --- all_reduce --- */

typedef struct reduction_case {
    yki_dtype dtype;
    yki_reduction reduction;
    int64_t elems;
    int nsegments;
    _Atomic int64_t received;
} reduction_case;

static void all_reduce(yki_comm *comm, void *shared)
{
    reduction_case *c = shared;
    size_t size = yki_dtype_bytes(c->dtype);
    char *data = allocate(c->dtype, c->elems), *expected = allocate(c->dtype, c->elems);
    for (int64_t i = 0; i < c->elems; i++) {
        put(c->dtype, data, i, source(c->dtype, yki_comm_rank(comm), i));
        put_reduced(c->dtype, c->reduction, yki_comm_size(comm), i, expected, i);
    }
    yki_segment segments[5];
    for (int s = 0; s < c->nsegments; s++) { /* of very different sizes, some empty */
        int64_t first = c->elems * s * s / (c->nsegments * c->nsegments);
        int64_t end = c->elems * (s + 1) * (s + 1) / (c->nsegments * c->nsegments);
        segments[s] = (yki_segment){data + (size_t)first * size, end - first};
    }
    yki_request request;
    EXPECT(yki_all_reduce_start(comm, segments, c->nsegments, c->dtype, c->reduction, &request) == YOKE_OK);
    if (c->nsegments == 1) segments[0] = (yki_segment){NULL, -1}; /* a single one has been copied */
    EXPECT(yki_wait(&request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK); /* of a done request: done */
    check_and_free(c->dtype, data, expected, c->elems);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
}

static void all_reduce_is_the_sum_in_rank_order(void **state)
{
    (void)state;
    const int64_t elems[] = {0, 1, 3, 17, 4099, 50021};
    const int segments[] = {1, 5};
    for (int g = 0; g < NGROUPS; g++)
        for (int e = 0; e < 6; e++)
            for (int dtype = 0; dtype < 3; dtype++)
                for (int k = 0; k < 4; k++) {
                    if (!ranks_take(e + dtype + k, 3)) continue;
                    reduction_case c = {(yki_dtype)dtype, (yki_reduction)(k / 2), elems[e], segments[k % 2],
                                        0};
                    int n = sizes_of_groups[g];
                    ranks_run(n, -1, all_reduce, &c);
                    ranks_check_sum(c.received, 2 * (n - 1) * elems[e] * (int64_t)yki_dtype_bytes(c.dtype));
                }
}

static void max_keeps_nan(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    float x[8] = {0};
    uint16_t h[8] = {0};
    x[rank] = NAN;
    h[rank] = 0x7fa0; /* a signalling one */
    yki_segment xs = {x, 8}, hs = {h, 8};
    yki_request a, b;
    EXPECT(yki_all_reduce_start(comm, &xs, 1, YKI_F32, YKI_MAX, &a) == YOKE_OK);
    EXPECT(yki_all_reduce_start(comm, &hs, 1, YKI_BF16, YKI_MAX, &b) == YOKE_OK);
    EXPECT(yki_wait(&a) == YOKE_OK);
    EXPECT(yki_wait(&b) == YOKE_OK);
    for (int i = 0; i < 8; i++) {
        EXPECT(!!isnan(x[i]) == (i < size));
        EXPECT(((h[i] & 0x7fff) > 0x7f80) == (i < size));
    }
}

static void a_nan_is_the_max(void **state)
{
    (void)state;
    for (int n = 2; n <= 5; n++) ranks_run(n, -1, max_keeps_nan, NULL);
}

/* --- cuts --- */

typedef struct cut_case {
    yki_dtype dtype;
    int64_t outer, inner;
    int64_t share[8], share_b[8];
    int64_t mid;
    int back;
    _Atomic int64_t received;
} cut_case;

static void all_gather(yki_comm *comm, void *shared)
{
    cut_case *c = shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    int64_t whole = yki_shares_before(c->share, size), mine = c->share[rank];
    char *in = allocate(c->dtype, c->outer * mine * c->inner),
         *out = allocate(c->dtype, c->outer * whole * c->inner);
    char *expected = allocate(c->dtype, c->outer * whole * c->inner);
    char *place = allocate(c->dtype, c->outer * whole * c->inner); /* a second piece, in place */
    for (int64_t o = 0; o < c->outer; o++)
        for (int m = 0, d = 0; m < size; m++)
            for (int64_t k = 0; k < c->share[m]; k++, d++)
                for (int64_t i = 0; i < c->inner; i++) {
                    int64_t at = (o * whole + d) * c->inner + i;
                    put(c->dtype, expected, at, source(c->dtype, 0, at));
                    if (m != rank) continue;
                    put(c->dtype, in, (o * mine + k) * c->inner + i, source(c->dtype, 0, at));
                    put(c->dtype, place, at, source(c->dtype, 0, at));
                }
    yki_cut cut = {c->outer, c->inner, c->share};
    yki_piece pieces[2] = {{in, out, cut, 0}, {place, place, cut, 0}};
    yki_request request;
    EXPECT(yki_all_gather_start(comm, pieces, 2, c->dtype, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    free(in);
    EXPECT(memcmp(place, expected, (size_t)(c->outer * whole * c->inner) * yki_dtype_bytes(c->dtype)) == 0);
    free(place);
    check_and_free(c->dtype, out, expected, c->outer * whole * c->inner);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
}

static void reduce_scatter(yki_comm *comm, void *shared)
{
    cut_case *c = shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    int64_t whole = yki_shares_before(c->share, size), mine = c->share[rank];
    int64_t before = yki_shares_before(c->share, rank);
    char *in = allocate(c->dtype, c->outer * whole * c->inner),
         *out = allocate(c->dtype, c->outer * mine * c->inner);
    char *expected = allocate(c->dtype, c->outer * mine * c->inner);
    for (int64_t i = 0; i < c->outer * whole * c->inner; i++) put(c->dtype, in, i, source(c->dtype, rank, i));
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t i = 0; i < mine * c->inner; i++)
            put_reduced(c->dtype, YKI_SUM, size, (o * whole + before) * c->inner + i, expected,
                        o * mine * c->inner + i);
    char *place = allocate(c->dtype, c->outer * whole * c->inner), *found; /* a second piece, in place */
    found = allocate(c->dtype, c->outer * mine * c->inner);
    size_t unit = (size_t)c->inner * yki_dtype_bytes(c->dtype);
    memcpy(place, in, (size_t)(c->outer * whole) * unit);
    yki_cut cut = {c->outer, c->inner, c->share};
    yki_piece pieces[2] = {{out, in, cut, 0}, {place, place, cut, 0}};
    yki_request request;
    EXPECT(yki_reduce_scatter_start(comm, pieces, 2, c->dtype, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    for (int64_t o = 0; o < c->outer; o++) {
        memcpy(found + (size_t)(o * mine) * unit, place + (size_t)(o * whole + before) * unit,
               (size_t)mine * unit);
        memcpy(place + (size_t)(o * whole + before) * unit, in + (size_t)(o * whole + before) * unit,
               (size_t)mine * unit);
    }
    EXPECT(memcmp(place, in, (size_t)(c->outer * whole) * unit) == 0);
    free(in);
    free(place);
    check_and_free(c->dtype, found, expected, c->outer * mine * c->inner);
    expected = allocate(c->dtype, c->outer * mine * c->inner);
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t i = 0; i < mine * c->inner; i++)
            put_reduced(c->dtype, YKI_SUM, size, (o * whole + before) * c->inner + i, expected,
                        o * mine * c->inner + i);
    check_and_free(c->dtype, out, expected, c->outer * mine * c->inner);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
}

static void cuts_gather_and_scatter(void **state)
{
    (void)state;
    const int64_t shapes[][4] = {{1, 1, 0, 0},    {1, 1, 1, 0},  {3, 5, 1, 3},
                                 {1, 4099, 2, 3}, {67, 3, 2, 2}, {0, 2, 3, 1}};
    for (int g = 0; g < NGROUPS; g++)
        for (int s = 0; s < 6; s++)
            for (int dtype = 0; dtype < 3; dtype++) {
                cut_case c = {.dtype = (yki_dtype)dtype, .outer = shapes[s][0], .inner = shapes[s][1]};
                int n = sizes_of_groups[g];
                int64_t whole = 0;
                for (int m = 0; m < n; m++) {
                    c.share[m] = shapes[s][2] * (m % 3) + (shapes[s][3] ? (m + 1) % shapes[s][3] : 0);
                    whole += c.share[m];
                }
                int64_t bytes = c.outer * whole * c.inner * (int64_t)yki_dtype_bytes(c.dtype);
                ranks_run(n, -1, all_gather, &c);
                ranks_check_sum(c.received, 2 * (n - 1) * bytes);
                c.received = 0;
                ranks_run(n, -1, reduce_scatter, &c);
                ranks_check_sum(c.received, 2 * (n - 1) * bytes);
            }
}

/* Visits the elements of a cut of [outer, A, mid, B, inner], in order, with the element's place in the whole.
 */
typedef struct ranges {
    int64_t a_first, a, b_first, b;
} ranges;

static void fill_cut(const cut_case *c, ranges cut, int64_t whole_a, int64_t whole_b, char *memory)
{
    int64_t at = 0;
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t a = cut.a_first; a < cut.a_first + cut.a; a++)
            for (int64_t m = 0; m < c->mid; m++)
                for (int64_t b = cut.b_first; b < cut.b_first + cut.b; b++)
                    for (int64_t i = 0; i < c->inner; i++) {
                        int64_t global = (((o * whole_a + a) * c->mid + m) * whole_b + b) * c->inner + i;
                        put(c->dtype, memory, at++, source(c->dtype, 0, global));
                    }
}

static void all_to_all(yki_comm *comm, void *shared)
{
    cut_case *c = shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    int64_t whole_a = yki_shares_before(c->share, size), whole_b = yki_shares_before(c->share_b, size);
    ranges by_a = {yki_shares_before(c->share, rank), c->share[rank], 0, whole_b};
    ranges by_b = {0, whole_a, yki_shares_before(c->share_b, rank), c->share_b[rank]};
    int64_t rest = c->outer * c->mid * c->inner, elems_a = rest * by_a.a * by_a.b,
            elems_b = rest * by_b.a * by_b.b;
    int64_t in_elems = c->back ? elems_b : elems_a, out_elems = c->back ? elems_a : elems_b;
    char *in = allocate(c->dtype, in_elems), *out = allocate(c->dtype, out_elems);
    char *expected = allocate(c->dtype, out_elems);
    fill_cut(c, c->back ? by_b : by_a, whole_a, whole_b, in);
    fill_cut(c, c->back ? by_a : by_b, whole_a, whole_b, expected);
    yki_exchange exchange = {c->outer, c->mid, c->inner, c->share, c->share_b, c->back};
    yki_request request;
    EXPECT(yki_all_to_all_start(comm, in, out, c->dtype, &exchange, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    free(in);
    check_and_free(c->dtype, out, expected, out_elems);
    atomic_fetch_add(&c->received, yki_comm_received_bytes(comm));
}

static void cuts_change_their_dim(void **state)
{
    (void)state;
    const int64_t shapes[][5] = {
        {1, 1, 1, 1, 1}, {2, 3, 5, 2, 3}, {1, 2, 64, 3, 1}, {3, 1, 1, 4, 2}, {1, 1, 1, 0, 1}};
    for (int g = 0; g < NGROUPS; g++)
        for (int s = 0; s < 5; s++)
            for (int k = 0; k < 6; k++) {
                if (!ranks_take(s + k / 2 + k % 2, 2)) continue;
                cut_case c = {.dtype = (yki_dtype)(k / 2),
                              .outer = shapes[s][0],
                              .mid = shapes[s][1],
                              .inner = shapes[s][2],
                              .back = k % 2};
                int n = sizes_of_groups[g];
                int64_t moved = 0;
                for (int m = 0; m < n; m++) {
                    c.share[m] = shapes[s][3] * ((m + 1) % 3);
                    c.share_b[m] = shapes[s][4] + m % 2 - (m == 3);
                }
                for (int from = 0; from < n; from++)
                    for (int to = 0; to < n; to++) moved += from != to ? c.share[from] * c.share_b[to] : 0;
                ranks_run(n, -1, all_to_all, &c);
                ranks_check_sum(c.received,
                                moved * c.outer * c.mid * c.inner * (int64_t)yki_dtype_bytes(c.dtype));
            }
}

/* --- broadcast, barrier, scalars --- */

static void broadcast_from_each(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    const size_t bytes[] = {0, 1, 7, 100003};
    int64_t expected = 0;
    for (int root = 0; root < size; root++)
        for (int b = 0; b < 4; b++) {
            unsigned char *data = malloc(bytes[b] + 1);
            memset(data, rank == root ? root + 1 : 0xee, bytes[b] + 1);
            yki_request request;
            EXPECT(yki_broadcast_start(comm, data, bytes[b], root, &request) == YOKE_OK);
            EXPECT(yki_wait(&request) == YOKE_OK);
            bool same = true;
            for (size_t i = 0; i < bytes[b]; i++) same &= data[i] == root + 1;
            EXPECT(same && data[bytes[b]] == (rank == root ? root + 1 : 0xee));
            expected += rank == root ? 0 : (int64_t)bytes[b];
            free(data);
        }
    EXPECT(yki_comm_received_bytes(comm) == expected);
}

static void scalars_and_barriers(yki_comm *comm, void *shared)
{
    _Atomic int *arrived = shared;
    int rank = yki_comm_rank(comm), size = yki_comm_size(comm);
    for (int round = 1; round <= 20; round++) {
        atomic_fetch_add(arrived, 1);
        EXPECT(yki_barrier(comm) == YOKE_OK);
        EXPECT(atomic_load(arrived) >= round * ranks_here(size));
        EXPECT(yki_barrier(comm) == YOKE_OK);
    }
    for (int count = 0; count <= 37; count += 37 / 2) { /* more than go at once */
        double values[37], expected[37];
        for (int i = 0; i < count; i++) {
            values[i] = 1.0 / (rank + 3 + i);
            expected[i] = 1.0 / (3 + i);
            for (int r = 1; r < size; r++) expected[i] += 1.0 / (r + 3 + i);
        }
        EXPECT(yki_sum_scalars(comm, values, count) == YOKE_OK);
        EXPECT(memcmp(values, expected, (size_t)count * sizeof *values) == 0);
    }
    EXPECT(yki_comm_received_bytes(comm) == 0);
}

static void the_rest_too(void **state)
{
    (void)state;
    for (int g = 0; g < NGROUPS; g++) {
        ranks_run(sizes_of_groups[g], -1, broadcast_from_each, NULL);
        _Atomic int arrived = 0;
        ranks_run(sizes_of_groups[g], g % 2 ? -1 : 0, scalars_and_barriers, &arrived);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_reduce_is_the_sum_in_rank_order),
        cmocka_unit_test(a_nan_is_the_max),
        cmocka_unit_test(cuts_gather_and_scatter),
        cmocka_unit_test(cuts_change_their_dim),
        cmocka_unit_test(the_rest_too),
    };
    return cmocka_run_group_tests(tests, ranks_group_setup, ranks_group_teardown);
}
