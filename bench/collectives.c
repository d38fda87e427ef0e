/* Time of each collective between local ranks, over 1 KiB to 256 MiB.
 *
 * usage: bench_collectives [RANKS [OP [MAX_BYTES]]]; RANKS 0 or absent: 2, and 4.
 *
 * bytes: of the tensor that every rank has before or after (all_to_all: of a rank's cut; send: of the
 * message, one way). us: median over rounds of the mean time of one operation, start and wait, on rank 0.
 * Ranks are bound to cores where there are enough. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "comm/comm.h"
#include "comm/worlds.h"

enum { ROUNDS = 7, MAX_RANKS = 64 };

typedef struct run {
    const struct operation *operation;
    int ranks;
    int64_t bytes;
    int repeats;
    double us[ROUNDS];
    yoke_status status;
    yki_local_world *world;
} run;

/* One rank's memory and what to do with it. */
typedef struct end {
    yki_comm *comm;
    yki_channel *channel;
    void *in, *out;
    int64_t bytes;
    int64_t shares[MAX_RANKS];
} end;

static yoke_status all_reduce(end *e, yki_request *request)
{
    yki_segment segment = {e->out, e->bytes / 4};
    return yki_all_reduce_start(e->comm, &segment, 1, YKI_F32, YKI_SUM, request);
}

static yoke_status all_reduce_bf16(end *e, yki_request *request)
{
    yki_segment segment = {e->out, e->bytes / 2};
    return yki_all_reduce_start(e->comm, &segment, 1, YKI_BF16, YKI_SUM, request);
}

static yki_cut cut_of(const end *e)
{
    return (yki_cut){1, 1, e->shares};
}

static yoke_status all_gather(end *e, yki_request *request)
{
    yki_cut cut = cut_of(e);
    return yki_all_gather_start(e->comm, &(yki_piece){e->in, e->out, cut, 0}, 1, YKI_F32, request);
}

static yoke_status reduce_scatter(end *e, yki_request *request)
{
    yki_cut cut = cut_of(e);
    return yki_reduce_scatter_start(e->comm, &(yki_piece){e->out, e->in, cut, 0}, 1, YKI_F32, request);
}

static yoke_status all_to_all(end *e, yki_request *request)
{
    static const int64_t ones[MAX_RANKS] = {[0 ... MAX_RANKS - 1] = 1};
    yki_exchange exchange = {1, 1, e->shares[0] > 0 ? e->shares[0] : 1, ones, ones, 0};
    return yki_all_to_all_start(e->comm, e->in, e->out, YKI_F32, &exchange, request);
}

static yoke_status broadcast(end *e, yki_request *request)
{
    return yki_broadcast_start(e->comm, e->out, (size_t)e->bytes, 0, request);
}

static yoke_status message(end *e, yki_request *request)
{
    if (yki_comm_rank(e->comm) > 1) {
        *request = (yki_request){0};
        return YOKE_OK;
    }
    if (yki_comm_rank(e->comm) == 0) return yki_send_start(e->channel, e->in, (size_t)e->bytes, request);
    return yki_receive_start(e->channel, e->out, (size_t)e->bytes, request);
}

typedef struct operation {
    const char *name;
    yoke_status (*start)(end *e, yki_request *request);
} operation;

static const operation operations[] = {
    {"all_reduce", all_reduce}, {"all_reduce_bf16", all_reduce_bf16},
    {"all_gather", all_gather}, {"reduce_scatter", reduce_scatter},
    {"all_to_all", all_to_all}, {"broadcast", broadcast},
    {"send", message},
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void bind_to_core(int rank, int ranks)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < ranks) return;
    int core = -1;
    for (int left = rank; left >= 0; left--) do
            core++;
        while (!CPU_ISSET(core, &all));
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* The mean time of one operation over `times`, on this rank. Every rank writes its buffers before each
 * operation, untimed: else each would find its share of them in its own cache from the operation before. */
static yoke_status repeat(const run *r, end *e, int times, double *mean_us)
{
    double sum = 0;
    for (int i = 0; i < times; i++) {
        yki_request request;
        memset(e->in, i & 1, (size_t)e->bytes);
        memset(e->out, i & 1, (size_t)e->bytes);
        YKI_TRY(yki_barrier(e->comm));
        double start = now_us();
        YKI_TRY(r->operation->start(e, &request));
        YKI_TRY(yki_wait(&request));
        sum += now_us() - start;
    }
    *mean_us = sum / times;
    return YOKE_OK;
}

static yoke_status measure(run *r, end *e)
{
    double us = 0;
    YKI_TRY(repeat(r, e, 1 + r->repeats / 4, &us));
    for (int k = 0; k < ROUNDS; k++) {
        YKI_TRY(repeat(r, e, r->repeats, &us));
        if (yki_comm_rank(e->comm) == 0) r->us[k] = us;
    }
    return YOKE_OK;
}

typedef struct thread {
    pthread_t id;
    run *run;
    int rank;
} thread;

static void *body(void *of)
{
    thread *t = of;
    run *r = t->run;
    end e = {.bytes = r->bytes};
    bind_to_core(t->rank, r->ranks);
    yoke_status status = yki_local_world_join(r->world, t->rank, &e.comm);
    if (status != YOKE_OK) return NULL;
    e.in = aligned_alloc(4096, ((size_t)r->bytes / 4096 + 1) * 4096);
    e.out = aligned_alloc(4096, ((size_t)r->bytes / 4096 + 1) * 4096);
    for (int m = 0; m < r->ranks; m++) e.shares[m] = r->bytes / 4 / r->ranks;
    if (!e.in || !e.out)
        status = YOKE_SYSTEM;
    else {
        memset(e.in, 0, (size_t)r->bytes);
        memset(e.out, 0, (size_t)r->bytes);
        if (t->rank < 2) status = yki_channel_open(e.comm, 1 - t->rank, 0, t->rank == 0, &e.channel);
        if (status == YOKE_OK) status = measure(r, &e);
    }
    if (status != YOKE_OK) yki_comm_abort(e.comm, NULL);
    if (t->rank == 0) r->status = status;
    yki_channel_close(e.channel);
    yki_comm_destroy(e.comm);
    free(e.in);
    free(e.out);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure_and_print(run *r)
{
    thread threads[MAX_RANKS];
    r->status = YOKE_SYSTEM;
    if (yki_local_world_create(r->ranks, -1, &r->world) != YOKE_OK) return 1;
    for (int i = 0; i < r->ranks; i++) {
        threads[i] = (thread){.run = r, .rank = i};
        if (pthread_create(&threads[i].id, NULL, body, &threads[i]) != 0) {
            fprintf(stderr, "cannot start a thread for rank %d\n", i);
            exit(1); /* the others wait for it */
        }
    }
    for (int i = 0; i < r->ranks; i++) pthread_join(threads[i].id, NULL);
    yki_local_world_destroy(r->world);
    if (r->status != YOKE_OK) return 1;
    qsort(r->us, ROUNDS, sizeof r->us[0], by_value);
    double us = r->us[ROUNDS / 2];
    printf("%-16s %5d %10lld %12.2f %12.2f %8.2f\n", r->operation->name, r->ranks, (long long)r->bytes, us,
           r->us[0], (double)r->bytes / us * 1e-3);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    int only_ranks = argc > 1 ? atoi(argv[1]) : 0;
    int64_t largest = argc > 3 ? atoll(argv[3]) : (int64_t)256 << 20;
    if (only_ranks < 0 || only_ranks == 1 || only_ranks > MAX_RANKS) {
        fprintf(stderr, "usage: bench_collectives [RANKS (2 to %d, 0: 2 and 4) [OP [MAX_BYTES]]]\n",
                MAX_RANKS);
        return 2;
    }
    int failures = 0;
    printf("%-16s %5s %10s %12s %12s %8s\n", "op", "ranks", "bytes", "us", "best us", "GB/s");
    for (int ranks = only_ranks ? only_ranks : 2; ranks <= (only_ranks ? only_ranks : 4); ranks += 2)
        for (size_t o = 0; o < sizeof operations / sizeof *operations; o++) {
            if (argc > 2 && strcmp(argv[2], operations[o].name) != 0) continue;
            for (int64_t bytes = 1024; bytes <= largest; bytes *= 4) {
                int repeats = bytes <= 65536 ? 200 : bytes <= 1 << 20 ? 20 : bytes <= 16 << 20 ? 3 : 1;
                run r = {.operation = &operations[o], .ranks = ranks, .bytes = bytes, .repeats = repeats};
                failures += measure_and_print(&r);
            }
        }
    return failures > 0;
}
