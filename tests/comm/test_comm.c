/* What surrounds collectives of local ranks: outstanding operations, loss of the world, groups, channels, bad
 * arguments, more ranks than cores; how long processes may take to meet. */
#include <string.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "comm/local/local.h"
#include "comm/ranks.h"

/* --- several operations under way --- */

typedef struct batch {
    float reduced[YKI_COMM_OUTSTANDING][33];
    yki_request requests[YKI_COMM_OUTSTANDING];
} batch;

static void start_batch(yki_comm *comm, batch *b, int round)
{
    for (int k = 0; k < YKI_COMM_OUTSTANDING; k++) {
        for (int i = 0; i < 33; i++) b->reduced[k][i] = (float)(yki_comm_rank(comm) + k * i + round);
        yki_segment segment = {b->reduced[k], 33};
        EXPECT(yki_all_reduce_start(comm, &segment, 1, YKI_F32, YKI_SUM, &b->requests[k]) == YOKE_OK);
    }
}

static void many_under_way(yki_comm *comm, void *shared)
{
    int n = yki_comm_size(comm), order = *(int *)shared;
    batch *b = calloc(1, sizeof *b);
    for (int round = 0; round < 20; round++) {
        start_batch(comm, b, round);
        if (n > 1) {
            yki_request ninth;
            EXPECT(yki_broadcast_start(comm, NULL, 0, 0, &ninth) == YOKE_INVALID);
            EXPECT(yki_wait(&ninth) == YOKE_OK); /* never started: done */
        }
        for (int w = 0; w < YKI_COMM_OUTSTANDING; w++) {
            int k = order == 0   ? w
                    : order == 1 ? YKI_COMM_OUTSTANDING - 1 - w
                                 : (w * 3 + yki_comm_rank(comm)) % 8;
            EXPECT(yki_wait(&b->requests[k]) == YOKE_OK);
            for (int i = 0; i < 33; i++)
                EXPECT(b->reduced[k][i] == (float)(n * (n - 1) / 2 + n * (k * i + round)));
        }
    }
    free(b);
}

static void operations_overlap_in_any_order_of_waits(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++)
        for (int n = 1; n <= 4; n++) ranks_run(n, n % 2 ? -1 : 0, many_under_way, &order);
}

/* Two groups of the same ranks, waited for in different orders, and messages both ways beside them. */
static void crossed_waits(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), peer = 1 - rank;
    yki_comm *other = NULL;
    yki_channel *out = NULL, *in = NULL;
    EXPECT(yki_comm_split(comm, 0, 0, &other) == YOKE_OK);
    EXPECT(yki_channel_open(comm, peer, 1, 1, &out) == YOKE_OK);
    EXPECT(yki_channel_open(comm, peer, 1, 0, &in) == YOKE_OK);
    for (int round = 0; round < 200; round++) {
        float a = (float)rank, b = (float)rank + 10, sent = (float)(rank + round), got = -1;
        yki_segment as = {&a, 1}, bs = {&b, 1};
        yki_request r[4];
        EXPECT(yki_all_reduce_start(comm, &as, 1, YKI_F32, YKI_SUM, &r[0]) == YOKE_OK);
        EXPECT(yki_all_reduce_start(other, &bs, 1, YKI_F32, YKI_SUM, &r[1]) == YOKE_OK);
        EXPECT(yki_send_start(out, &sent, sizeof sent, &r[2]) == YOKE_OK);
        EXPECT(yki_receive_start(in, &got, sizeof got, &r[3]) == YOKE_OK);
        for (int w = 0; w < 4; w++) EXPECT(yki_wait(&r[rank ? w : 3 - w]) == YOKE_OK);
        EXPECT(a == 1 && b == 21 && got == (float)(peer + round));
    }
    yki_channel_close(out);
    yki_channel_close(in);
    yki_comm_destroy(other);
}

static void waits_may_cross(void **state)
{
    (void)state;
    ranks_run(2, -1, crossed_waits, NULL);
    ranks_run(2, 0, crossed_waits, NULL);
}

/* --- loss --- */

#ifndef YKI_TEST_MPI

typedef struct loss_case {
    yki_local_world *world;
    yoke_status status;
    int on_channel;
    _Atomic int returned;
} loss_case;

/* The last rank ends the world once all others sleep. */
static void lose_sleepers(yki_comm *comm, void *shared)
{
    loss_case *c = shared;
    int rank = yki_comm_rank(comm), n = yki_comm_size(comm);
    if (rank == n - 1) {
        for (int r = 0; r < n - 1; r++)
            while (atomic_load(&c->world->ranks[r].bell.sleepers) == 0) sched_yield();
        yoke_error why = {.status = c->status, .message = "rank out of luck", .rank = -1};
        yki_comm_abort(comm, &why);
        yoke_error late = {.status = YOKE_SYSTEM, .message = "too late", .rank = 0};
        yki_comm_abort(comm, &late);
    }
    yoke_status expected = c->status == YOKE_OK ? YOKE_PEER_FAILED : c->status, status;
    char *data = malloc(1000); /* freed at once: asan sees who still touches it */
    yki_request request;
    yki_channel *channel = NULL;
    if (c->on_channel && rank < n - 1) {
        EXPECT(yki_channel_open(comm, n - 1, rank, 0, &channel) == YOKE_OK);
        EXPECT(yki_receive_start(channel, data, 1000, &request) == YOKE_OK);
        status = yki_wait(&request);
    } else {
        yki_segment segment = {data, 250};
        status = yki_all_reduce_start(comm, &segment, 1, YKI_I32, YKI_SUM, &request);
        if (status == YOKE_OK) status = yki_wait(&request);
    }
    free(data);
    EXPECT(status == expected);
    EXPECT(strcmp(yoke_error_get()->message, "rank out of luck") == 0);
    EXPECT(yoke_error_get()->rank == n - 1);
    EXPECT(yoke_error_get()->status == expected);
    EXPECT(yki_barrier(comm) == expected); /* and later ones at once */
    double x = 0;
    EXPECT(yki_sum_scalars(comm, &x, 1) == expected);
    yki_comm *group = NULL;
    EXPECT(yki_comm_split(comm, 0, 0, &group) == expected && group == NULL);
    EXPECT(yki_wait(&request) == YOKE_OK); /* done, if not well */
    yki_channel_close(channel);
    atomic_fetch_add(&c->returned, 1);
}

static void a_loss_wakes_sleepers(void **state)
{
    (void)state;
    const yoke_status statuses[] = {YOKE_OK, YOKE_PEER_FAILED, YOKE_NON_FINITE, YOKE_STOPPED};
    for (int k = 0; k < 16; k++) {
        int n = k % 2 ? 2 : 5;
        loss_case c = {.status = statuses[k / 4], .on_channel = k / 2 % 2};
        assert_int_equal(yki_local_world_create(n, 0, &c.world), YOKE_OK);
        ranks_run_in(c.world, n, lose_sleepers, &c);
        assert_int_equal(c.returned, n);
        yki_local_world_destroy(c.world);
    }
}

#endif

/* Ranks give their buffers back while peers may be in the middle of a reduction over them. */
static void lose_amid_work(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm);
    yki_comm *group = NULL;
    yoke_status status = yki_comm_split(comm, 0, 0, &group);
    for (int round = 0; status == YOKE_OK && round < 40; round++) {
        if (rank == 0 && round == 30) yki_comm_abort(group, NULL);
        float *data = calloc(20000, sizeof *data);
        yki_segment segment = {data, 20000};
        yki_request request;
        status = yki_all_reduce_start(group, &segment, 1, YKI_F32, YKI_SUM, &request);
        if (status == YOKE_OK && rank == 2 && round == 25) { /* started, and given up */
            yki_comm_abort(comm, NULL);
            status = YOKE_PEER_FAILED;
        }
        if (status == YOKE_OK) status = yki_wait(&request);
        free(data);
    }
    EXPECT(status == YOKE_PEER_FAILED);
    yki_comm_destroy(group);
}

static void a_loss_gives_buffers_back(void **state)
{
    (void)state;
    for (int k = 0; k < 20; k++) ranks_run(4, k % 2 ? -1 : 0, lose_amid_work, NULL);
}

enum { DISAGREEMENTS = 6, MANY = 40000 };

static yoke_status start_odd(yki_comm *comm, int kind, float *data, yki_request *request)
{
    yki_segment segment = {data, kind == 0 ? 7 : kind == 3 ? MANY : 8};
    switch (kind) {
    case 1: /* as small as theirs */
    case 4: /* larger: nothing comes from rank 1 */
        return yki_broadcast_start(comm, data, kind == 1 ? 32 : 4 * MANY, 0, request);
    case 5:
        return yki_broadcast_start(comm, data, 4 * MANY, 1, request);
    default:
        return yki_all_reduce_start(comm, &segment, 1, YKI_F32, kind == 2 ? YKI_MAX : YKI_SUM, request);
    }
}

static void disagree(yki_comm *comm, void *shared)
{
    static float data[3][MANY];
    int kind = *(int *)shared, rank = yki_comm_rank(comm);
    yki_segment segment = {data[rank], 8};
    yki_request request;
    yoke_status status = rank == 1 ? start_odd(comm, kind, data[rank], &request)
                                   : yki_all_reduce_start(comm, &segment, 1, YKI_F32, YKI_SUM, &request);
    /* where two others have found out already, this one cannot start any more */
    EXPECT(status == YOKE_OK ? yki_wait(&request) == YOKE_INVALID : status == YOKE_INVALID);
    EXPECT(strstr(yoke_error_get()->message, "disagree") != NULL);
    /* one process does not know what another started */
    EXPECT(ranks_over_mpi || strstr(yoke_error_get()->message, "all_reduce") != NULL);
}

static void members_that_disagree_are_told(void **state)
{
    (void)state;
    for (int kind = 0; kind < DISAGREEMENTS; kind++) ranks_run(3, -1, disagree, &kind);
}

/* --- groups --- */

static void split_twice(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), n = yki_comm_size(comm);
    yki_comm *half = NULL, *none = NULL, *again = NULL;
    EXPECT(yki_comm_split(comm, rank % 2, -rank, &half) == YOKE_OK); /* in reverse order */
    int members = (n + 1 - rank % 2) / 2;
    EXPECT(yki_comm_size(half) == members);
    EXPECT(yki_comm_rank(half) == members - 1 - rank / 2);
    double sum = rank, expected = 0;
    for (int r = rank % 2; r < n; r += 2) expected += r;
    EXPECT(yki_sum_scalars(half, &sum, 1) == YOKE_OK);
    EXPECT(sum == expected);
    EXPECT(yki_comm_split(comm, rank == 0 ? 7 : -1, 0, &none) == YOKE_OK);
    EXPECT((none != NULL) == (rank == 0));
    EXPECT(yki_comm_split(half, 3, 0, &again) == YOKE_OK);
    EXPECT(yki_comm_rank(again) == yki_comm_rank(half));
    float x = (float)rank;
    yki_segment segment = {&x, 1};
    yki_request request;
    EXPECT(yki_all_reduce_start(again, &segment, 1, YKI_F32, YKI_MAX, &request) == YOKE_OK);
    EXPECT(yki_wait(&request) == YOKE_OK);
    EXPECT(x == (float)(rank % 2 + 2 * (members - 1)));
    EXPECT(yki_comm_received_bytes(comm) == 0 &&
           yki_comm_received_bytes(half) == 0); /* each counts its own */
    yki_comm_destroy(half);
    EXPECT(yki_barrier(again) == YOKE_OK);
    yki_comm_destroy(again);
    yki_comm_destroy(none);
}

static void groups_split(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n++) ranks_run(n, -1, split_twice, NULL);
}

/* A group takes the number that another had; what that one left behind is not taken for its own, by those
 * who start before a late one. */
static void come_and_go(yki_comm *comm, void *shared)
{
    (void)shared;
    int n = yki_comm_size(comm), rank = yki_comm_rank(comm);
    for (int round = 0; round < 12; round++) {
        yki_comm *group = NULL;
        EXPECT(yki_comm_split(comm, 0, 0, &group) == YOKE_OK);
        for (int k = 0; k <= round % 4; k++) {
            float sum = (float)(100 * round + 10 * k + rank);
            yki_segment segment = {&sum, 1};
            yki_request request;
            if (rank == round % n) EXPECT(yki_barrier(comm) == YOKE_OK);
            EXPECT(yki_all_reduce_start(group, &segment, 1, YKI_F32, YKI_SUM, &request) == YOKE_OK);
            if (rank != round % n) EXPECT(yki_barrier(comm) == YOKE_OK);
            EXPECT(yki_wait(&request) == YOKE_OK);
            EXPECT((int)sum == n * (100 * round + 10 * k) + n * (n - 1) / 2);
        }
        yki_comm_destroy(group);
    }
}

static void groups_come_and_go(void **state)
{
    (void)state;
    ranks_run(4, -1, come_and_go, NULL);
    ranks_run(3, -1, come_and_go, NULL);
}

/* Nobody waits for those who take longer to read. */
static void one_after_another(yki_comm *comm, void *shared)
{
    (void)shared;
    int n = yki_comm_size(comm), rank = yki_comm_rank(comm);
    for (int round = 0; round < 3000; round++) {
        double sum = round + rank;
        EXPECT(yki_sum_scalars(comm, &sum, 1) == YOKE_OK && sum == n * round + n * (n - 1) / 2);
    }
}

static void sums_follow_each_other(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++) ranks_run(n, -1, one_after_another, NULL);
}

#ifndef YKI_TEST_MPI

static void a_world_is_joined_once_at_a_time(void **state)
{
    (void)state;
    yki_local_world *world = NULL;
    yki_comm *first = NULL, *second = NULL;
    assert_int_equal(yki_local_world_create(0, -1, &world), YOKE_INVALID);
    assert_null(world);
    assert_int_equal(yki_local_world_create(2, -1, &world), YOKE_OK);
    assert_int_equal(yki_local_world_join(world, 2, &first), YOKE_INVALID);
    assert_int_equal(yki_local_world_join(world, 1, &first), YOKE_OK);
    assert_int_equal(yki_local_world_join(world, 1, &second), YOKE_INVALID);
    yki_comm_destroy(first);
    assert_int_equal(yki_local_world_join(world, 1, &second), YOKE_OK);
    yki_comm_destroy(second);
    for (int round = 0; round < 3; round++) { /* a world serves several runs */
        _Atomic int unused = 0;
        ranks_run_in(world, 2, split_twice, &unused);
    }
    yki_local_world_destroy(world);
}

/* A minute, and a second more for each 16; or what the environment says. */
static void the_more_processes_the_longer_they_may_take_to_meet(void **state)
{
    (void)state;
    static const struct {
        int processes;
        double seconds;
    } many[] = {{1, 60}, {15, 60}, {16, 61}, {100, 66}, {4096, 316}};
    static const struct {
        const char *given;
        double seconds; /* below 0: refused */
    } said[] = {{"", 60},   {"300", 300},  {"1.5", 1.5}, {"0", 0},     {"1e9", 1e9},
                {"-1", -1}, {"1 min", -1}, {"nan", -1},  {"1.1e9", -1}};
    const char *name = "YOKE_START_TIMEOUT", *before = getenv(name);
    char *kept = before ? strdup(before) : NULL;
    double seconds;
    unsetenv(name);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        assert_int_equal(yki_start_limit(many[i].processes, &seconds), YOKE_OK);
        assert_true(seconds == many[i].seconds);
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        setenv(name, said[i].given, 1);
        assert_int_equal(yki_start_limit(2, &seconds), said[i].seconds < 0 ? YOKE_INVALID : YOKE_OK);
        assert_true(said[i].seconds < 0 || seconds == said[i].seconds);
    }
    unsetenv(name);
    if (kept) setenv(name, kept, 1);
    free(kept);
}

#endif

/* --- channels --- */

enum { TAGS = 9 };

static void ping_pong(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), n = yki_comm_size(comm), next = (rank + 1) % n, last = (rank + n - 1) % n;
    yki_channel *to_next[TAGS], *from_last[TAGS];
    for (int k = 0; k < TAGS; k++) { /* half of the ranks open the other end first */
        int tag = rank % 2 ? k : TAGS - 1 - k;
        if (rank % 2) EXPECT(yki_channel_open(comm, last, tag, 0, &from_last[tag]) == YOKE_OK);
        EXPECT(yki_channel_open(comm, next, tag, 1, &to_next[tag]) == YOKE_OK);
        if (rank % 2 == 0) EXPECT(yki_channel_open(comm, last, tag, 0, &from_last[tag]) == YOKE_OK);
    }
    yki_channel *twice = NULL;
    EXPECT(yki_channel_open(comm, next, 0, 1, &twice) == YOKE_INVALID && twice == NULL);
    int64_t received = 0;
    for (int round = 0; round < 30; round++) {
        yki_request sends[TAGS], receives[TAGS], extra;
        int32_t *out = malloc(TAGS * 100 * sizeof *out), *in = calloc(TAGS * 100, sizeof *in);
        for (int tag = 0; tag < TAGS; tag++) {
            size_t bytes = (size_t)(tag * 12) * sizeof *out; /* 0 is legal */
            for (int i = 0; i < tag * 12; i++)
                out[tag * 100 + i] = rank * 1000000 + round * 1000 + tag * 100 + i;
            EXPECT(yki_receive_start(from_last[tag], in + tag * 100, bytes, &receives[tag]) == YOKE_OK);
            EXPECT(yki_send_start(to_next[tag], out + tag * 100, bytes, &sends[tag]) == YOKE_OK);
            EXPECT(yki_send_start(to_next[tag], out, bytes, &extra) == YOKE_INVALID); /* one at a time */
            received += last == rank ? 0 : (int64_t)bytes;
        }
        for (int k = 0; k < TAGS; k++) {
            int tag = (k * 4 + rank) % TAGS;
            EXPECT(yki_wait(&sends[tag]) == YOKE_OK);
            EXPECT(yki_wait(&receives[TAGS - 1 - tag]) == YOKE_OK);
        }
        for (int tag = 0; tag < TAGS; tag++)
            for (int i = 0; i < tag * 12; i++)
                EXPECT(in[tag * 100 + i] == last * 1000000 + round * 1000 + tag * 100 + i);
        free(out);
        free(in);
    }
    EXPECT(yki_comm_received_bytes(comm) == received);
    for (int tag = 0; tag < TAGS; tag++) {
        yki_channel_close(to_next[tag]);
        yki_channel_close(from_last[tag]);
    }
}

static void channels_carry_messages(void **state)
{
    (void)state;
    for (int n = 1; n <= 7; n += 1 + n / 3) {
        ranks_run(n, -1, ping_pong, NULL);
        ranks_run(n, 0, ping_pong, NULL);
    }
}

#ifdef YKI_TEST_MPI

/* The last channel that MPI has tags for carries a message; the next is refused, in words that count them. */
static void last_channel(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm), n = yki_comm_size(comm), next = (rank + ranks_each) % n,
        last = (rank + n - ranks_each) % n;
    int64_t count = ((int64_t)yki_cluster_get()->tag_limit + 1) / 2 / ranks_each / ranks_each;
    char words[64];
    yki_channel *to_next = NULL, *from_last = NULL, *none = NULL;
    yki_request send, receive;
    int out = rank, in = -1;
    snprintf(words, sizeof words, "has tags for %lld channels", (long long)count);
    EXPECT(yki_channel_open(comm, next, (int)count - 1, 1, &to_next) == YOKE_OK);
    EXPECT(yki_channel_open(comm, last, (int)count - 1, 0, &from_last) == YOKE_OK);
    EXPECT(yki_channel_open(comm, next, (int)count, 1, &none) == YOKE_INVALID && none == NULL);
    EXPECT(strstr(yoke_error_get()->message, words) != NULL);
    if (to_next && from_last) {
        EXPECT(yki_receive_start(from_last, &in, sizeof in, &receive) == YOKE_OK);
        EXPECT(yki_send_start(to_next, &out, sizeof out, &send) == YOKE_OK);
        EXPECT(yki_wait(&send) == YOKE_OK && yki_wait(&receive) == YOKE_OK);
        EXPECT(in == last);
    }
    yki_channel_close(to_next);
    yki_channel_close(from_last);
}

static void every_tag_is_a_channel(void **state)
{
    (void)state;
    for (int each = 1; each <= 3; each++) ranks_run(each * yki_cluster_size(), -1, last_channel, NULL);
}

#endif

static void mismatched_message(yki_comm *comm, void *shared)
{
    (void)shared;
    int rank = yki_comm_rank(comm);
    yki_channel *channel = NULL;
    char data[8] = {0};
    yki_request request;
    EXPECT(yki_channel_open(comm, 1 - rank, 5, rank == 0, &channel) == YOKE_OK);
    if (rank == 0) {
        EXPECT(yki_receive_start(channel, data, 8, &request) == YOKE_INVALID);
        EXPECT(yki_send_start(channel, data, 8, &request) == YOKE_OK);
    } else
        EXPECT(yki_receive_start(channel, data, 7, &request) == YOKE_OK);
    yoke_status status = yki_wait(&request);
    if (ranks_over_mpi) { /* the receiver finds it, and does not see how long the message was */
        EXPECT(status == YOKE_INVALID || (rank == 0 && status == YOKE_OK));
        EXPECT(status == YOKE_OK || strstr(yoke_error_get()->message, "7 bytes") != NULL);
    } else {
        EXPECT(status == YOKE_INVALID);
        EXPECT(strstr(yoke_error_get()->message, "8 bytes") != NULL);
    }
    yki_channel_close(channel);
}

static void both_sides_agree_on_the_bytes(void **state)
{
    (void)state;
    ranks_run(2, -1, mismatched_message, NULL);
}

/* --- the rest --- */

static void bad_arguments(yki_comm *comm, void *shared)
{
    (void)shared;
    yki_request r;
    float x[4] = {0};
    int64_t shares[] = {2, -1}, huge[] = {INT64_MAX, 1}, fine[] = {1, 1};
    yki_segment negative = {x, -1}, nowhere = {NULL, 1}, large = {x, INT64_MAX / 4};
    yki_cut cut = {1, 1, shares}, huge_cut = {1, 1, huge}, wide = {INT64_MAX / 2, 2, fine},
            none = {1, 1, NULL};
    yki_exchange exchange = {1, 1, 1, shares, fine, 0};
    EXPECT(yki_all_reduce_start(comm, &negative, 1, YKI_F32, YKI_SUM, &r) == YOKE_INVALID);
    EXPECT(yki_all_reduce_start(comm, &nowhere, 1, YKI_F32, YKI_SUM, &r) == YOKE_INVALID);
    EXPECT(yki_all_reduce_start(comm, &large, 1, YKI_F32, YKI_SUM, &r) == YOKE_INVALID);
    EXPECT(yki_all_reduce_start(comm, NULL, 1, YKI_F32, YKI_SUM, &r) == YOKE_INVALID);
    EXPECT(yki_all_reduce_start(comm, NULL, 0, (yki_dtype)9, YKI_SUM, &r) == YOKE_INVALID);
    EXPECT(yki_all_gather_start(comm, &(yki_piece){x, x + 1, cut, 0}, 1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_all_gather_start(comm, &(yki_piece){x, x + 1, huge_cut, 0}, 1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_all_gather_start(comm, &(yki_piece){x, x + 1, none, 0}, 1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_reduce_scatter_start(comm, &(yki_piece){x + 1, x, wide, 0}, 1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_reduce_scatter_start(comm, NULL, 1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_all_gather_start(comm, NULL, -1, YKI_F32, &r) == YOKE_INVALID);
    EXPECT(yki_all_to_all_start(comm, x, x + 1, YKI_F32, &exchange, &r) == YOKE_INVALID);
    EXPECT(yki_broadcast_start(comm, x, 4, 2, &r) == YOKE_INVALID);
    EXPECT(yki_broadcast_start(comm, x, 4, -1, &r) == YOKE_INVALID);
    EXPECT(yki_sum_scalars(comm, NULL, 1) == YOKE_INVALID);
    yki_channel *channel = NULL;
    EXPECT(yki_channel_open(comm, 2, 0, 1, &channel) == YOKE_INVALID);
    EXPECT(yki_wait(&r) == YOKE_OK); /* what did not start is done */
    EXPECT(yki_barrier(comm) == YOKE_OK);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    ranks_run(2, -1, bad_arguments, NULL);
}

static void long_run(yki_comm *comm, void *shared)
{
    (void)shared;
    int n = yki_comm_size(comm);
    float first[65], x[65];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 65; i++) x[i] = ranks_value(yki_comm_rank(comm), i) / 3.0f;
        yki_segment segment = {x, 65};
        yki_request request;
        EXPECT(yki_all_reduce_start(comm, &segment, 1, YKI_F32, YKI_SUM, &request) == YOKE_OK);
        EXPECT(yki_wait(&request) == YOKE_OK);
        if (round == 0) memcpy(first, x, sizeof x);
        EXPECT(memcmp(first, x, sizeof x) == 0); /* the same bits each time */
        double one = 1;
        EXPECT(yki_sum_scalars(comm, &one, 1) == YOKE_OK && one == n);
    }
}

static void more_ranks_than_cores(void **state)
{
    (void)state;
    ranks_run(24, -1, long_run, NULL);
    ranks_run(24, 100, long_run, NULL);
}

static void transports_are_complete(void **state)
{
    (void)state;
    int count = 0;
    for (; yki_transports[count]; count++) {
        const yki_transport *t = yki_transports[count];
        assert_non_null(t->name);
        assert_true(t->reaches && t->world_open && t->world_join && t->world_lose && t->world_close);
        assert_true(t->check && t->split && t->destroy && t->start && t->wait);
        assert_true(t->channel_open && t->channel_close && t->channel_start && t->abort);
    }
    assert_true(count >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_overlap_in_any_order_of_waits),
        cmocka_unit_test(waits_may_cross),
#ifndef YKI_TEST_MPI
        cmocka_unit_test(a_loss_wakes_sleepers),
        cmocka_unit_test(a_world_is_joined_once_at_a_time),
        cmocka_unit_test(the_more_processes_the_longer_they_may_take_to_meet),
#endif
        cmocka_unit_test(a_loss_gives_buffers_back),
        cmocka_unit_test(members_that_disagree_are_told),
        cmocka_unit_test(groups_come_and_go),
        cmocka_unit_test(sums_follow_each_other),
        cmocka_unit_test(groups_split),
        cmocka_unit_test(channels_carry_messages),
#ifdef YKI_TEST_MPI
        cmocka_unit_test(every_tag_is_a_channel),
#endif
        cmocka_unit_test(both_sides_agree_on_the_bytes),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(more_ranks_than_cores),
        cmocka_unit_test(transports_are_complete),
    };
    return cmocka_run_group_tests(tests, ranks_group_setup, ranks_group_teardown);
}
