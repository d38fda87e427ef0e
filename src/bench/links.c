/* Memory, movements and what both take from each other, measured through the interfaces that runs use. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bench/bench.h"
#include "comm/cluster.h"
#include "comm/comm.h"
#include "move/move.h"

enum { MOST_RANKS = 64, MOST_ROUNDS = 200, LEAST_ROUNDS = 7, MOST_SIZES = 16 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* --- one rank's end --- */

typedef struct end {
    yki_comm *comm;
    yki_channel *channel;
    char *in, *out;
    int64_t bytes; /* of the whole tensor, or of a message */
    int64_t shares[MOST_RANKS];
} end;

typedef struct operation {
    yki_move op;
    yoke_status (*start)(end *e, yki_request *request);
    /* Bytes that a member receives, on average, of `bytes`: times over / under. */
    int (*received)(int ranks); /* in ranks-ths */
} operation;

static int others(int ranks)
{
    return ranks - 1;
}

static int twice_others(int ranks)
{
    return 2 * (ranks - 1);
}

static int all(int ranks)
{
    return ranks;
}

static yoke_status all_reduce(end *e, yki_request *request)
{
    yki_segment segment = {e->out, e->bytes / 4};
    return yki_all_reduce_start(e->comm, &segment, 1, YKI_F32, YKI_SUM, request);
}

static yoke_status all_gather(end *e, yki_request *request)
{
    yki_piece piece = {e->in, e->out, {1, 1, e->shares}, 0};
    return yki_all_gather_start(e->comm, &piece, 1, YKI_F32, request);
}

static yoke_status reduce_scatter(end *e, yki_request *request)
{
    yki_piece piece = {e->out, e->in, {1, 1, e->shares}, 0};
    return yki_reduce_scatter_start(e->comm, &piece, 1, YKI_F32, request);
}

static yoke_status all_to_all(end *e, yki_request *request)
{
    static int64_t ones[MOST_RANKS];
    for (int i = 0; i < MOST_RANKS; i++) ones[i] = 1;
    int64_t each = e->bytes / 4 / yki_comm_size(e->comm);
    yki_exchange exchange = {1, 1, each > 0 ? each : 1, ones, ones, 0};
    return yki_all_to_all_start(e->comm, e->in, e->out, YKI_F32, &exchange, request);
}

static yoke_status from_first(end *e, yki_request *request)
{
    return yki_broadcast_start(e->comm, e->out, (size_t)e->bytes, 0, request);
}

static yoke_status copy(end *e, yki_request *request)
{
    *request = (yki_request){0};
    if (yki_comm_rank(e->comm) > 1) return YOKE_OK;
    if (yki_comm_rank(e->comm) == 0) return yki_send_start(e->channel, e->in, (size_t)e->bytes, request);
    return yki_receive_start(e->channel, e->out, (size_t)e->bytes, request);
}

static const operation operations[] = {
    {YKI_MOVE_ALL_REDUCE, all_reduce, twice_others},   {YKI_MOVE_ALL_GATHER, all_gather, others},
    {YKI_MOVE_REDUCE_SCATTER, reduce_scatter, others}, {YKI_MOVE_ALL_TO_ALL, all_to_all, others},
    {YKI_MOVE_FROM_FIRST, from_first, others},         {YKI_MOVE_COPY, copy, all},
};
enum { NOPERATIONS = sizeof operations / sizeof *operations };

/* --- a world of them --- */

typedef struct world {
    yki_world *world;
    int local, ranks;
    int64_t most;
    double seconds; /* for all */
    double measured[NOPERATIONS][MOST_SIZES];
    yoke_status (*body)(struct world *w, end *e);
    double value;
    yoke_status status[MOST_RANKS];
    yoke_error error;
} world;

typedef struct thread {
    pthread_t id;
    world *world;
    int local;
} thread;

static int sizes_of(const world *w)
{
    int count = 0;
    for (int64_t bytes = 1024; bytes <= w->most && count < MOST_SIZES; bytes *= 4) count++;
    return count;
}

/* Every rank writes its buffers before each operation, as kernels do; times are those of rank 0, until all
 * have waited. */
static yoke_status time_one(end *e, const operation *o, double *seconds_out)
{
    yki_request request;
    memset(e->in, 0, (size_t)e->bytes);
    memset(e->out, 0, (size_t)e->bytes);
    YKI_TRY(yki_barrier(e->comm));
    double start = yki_now_ns();
    YKI_TRY(o->start(e, &request));
    YKI_TRY(yki_wait(&request));
    *seconds_out = (yki_now_ns() - start) * 1e-9;
    return YOKE_OK;
}

static yoke_status measure_all(world *w, end *e)
{
    double times[MOST_ROUNDS], each = w->seconds / NOPERATIONS / sizes_of(w), first;
    for (int o = 0; o < NOPERATIONS; o++)
        for (int size = 0; size < sizes_of(w); size++) {
            e->bytes = INT64_C(1024) << (2 * size);
            for (int m = 0; m < w->ranks; m++) e->shares[m] = e->bytes / 4 / w->ranks;
            YKI_TRY(time_one(e, &operations[o], &first));
            YKI_TRY(time_one(e, &operations[o], &first));
            double agreed[1] = {yki_comm_rank(e->comm) == 0 ? each / (4 * first + 1e-5) : 0};
            YKI_TRY(yki_sum_scalars(e->comm, agreed, 1));
            int rounds = agreed[0] < LEAST_ROUNDS  ? LEAST_ROUNDS
                         : agreed[0] > MOST_ROUNDS ? MOST_ROUNDS
                                                   : (int)agreed[0];
            for (int i = 0; i < rounds; i++) YKI_TRY(time_one(e, &operations[o], &times[i]));
            qsort(times, (size_t)rounds, sizeof *times, by_value);
            first = yki_comm_rank(e->comm) == 0 ? times[rounds / 2] : 0;
            YKI_TRY(yki_sum_scalars(e->comm, &first, 1));
            if (yki_comm_rank(e->comm) == 0 || w->local == 1) w->measured[o][size] = first;
        }
    return YOKE_OK;
}

static yoke_status run_end(world *w, int local, end *e)
{
    YKI_TRY(yki_world_join(w->world, local, &e->comm));
    yoke_status status = YOKE_OK;
    e->in = aligned_alloc(4096, (size_t)w->most + 4096);
    e->out = aligned_alloc(4096, (size_t)w->most + 4096);
    int rank = yki_comm_rank(e->comm);
    if (!e->in || !e->out) status = yki_fail_memory("buffers to move");
    if (status == YOKE_OK && rank < 2)
        status = yki_channel_open(e->comm, 1 - rank, 0, rank == 0, &e->channel);
    if (status == YOKE_OK) status = w->body(w, e);
    if (status != YOKE_OK) yki_comm_abort(e->comm, yoke_error_get());
    return status;
}

static void *thread_body(void *of)
{
    thread *t = of;
    end e = {0};
    yki_device *device = NULL;
    const yki_backend_ops *backend = yki_backend_of_runs();
    if (t->world->local > 1 && backend->device_create(t->local, 1, &device) == YOKE_OK)
        backend->device_bind(device, t->local, t->world->local); /* as ranks are */
    t->world->status[t->local] = run_end(t->world, t->local, &e);
    if (t->world->status[t->local] != YOKE_OK && t->local == 0) t->world->error = *yoke_error_get();
    yki_channel_close(e.channel);
    yki_comm_destroy(e.comm);
    free(e.in);
    free(e.out);
    if (device) backend->device_destroy(device);
    return NULL;
}

/* Ranks are threads of their own, but that of a process among others. */
static yoke_status run_world(world *w)
{
    thread threads[MOST_RANKS];
    int started = 0;
    YKI_TRY(yki_world_open(w->ranks / w->local, w->local, YKI_MEMORY_HOST, &w->world));
    for (; started < w->local; started++) {
        threads[started] = (thread){.world = w, .local = started};
        if (pthread_create(&threads[started].id, NULL, thread_body, &threads[started]) != 0) break;
    }
    if (started < w->local) {
        yki_fail(YOKE_SYSTEM, "the system gives no thread to measure movements with");
        w->error = *yoke_error_get();
        yki_world_lose(w->world, &w->error);
    }
    for (int i = 0; i < started; i++) pthread_join(threads[i].id, NULL);
    yki_world_close(w->world);
    yoke_status status = started < w->local ? YOKE_SYSTEM : w->status[0];
    if (status != YOKE_OK) *yki_error_edit() = w->error;
    return status;
}

yoke_status yki_bench_moves(yoke_machine *machine, int ranks, int64_t most, double seconds)
{
    world w = {.local = ranks > 0 ? ranks : 1,
               .ranks = ranks > 0 ? ranks : yki_cluster_size(),
               .most = most,
               .seconds = seconds,
               .body = measure_all};
    if (w.ranks > MOST_RANKS)
        return yki_fail(YOKE_INVALID, "movements are measured between %d ranks at most, not %d", MOST_RANKS,
                        w.ranks);
    YKI_TRY(run_world(&w));
    int sizes = sizes_of(&w);
    yoke_machine_move *moves =
        realloc(machine->moves, sizeof *moves * (size_t)(machine->nmoves + NOPERATIONS * sizes));
    if (!moves) return yki_fail_memory("times of movements");
    machine->moves = moves;
    for (int o = 0; o < NOPERATIONS; o++)
        for (int size = 0; size < sizes; size++) {
            if (operations[o].op == YKI_MOVE_COPY && w.ranks > 2 && ranks > 0) continue; /* of two anyway */
            machine->moves[machine->nmoves++] = (yoke_machine_move){
                .op = (int)operations[o].op,
                .ranks = operations[o].op == YKI_MOVE_COPY ? 2 : w.ranks,
                .bytes = (INT64_C(1024) << (2 * size)) * operations[o].received(w.ranks) / w.ranks,
                .seconds = w.measured[o][size]};
        }
    return YOKE_OK;
}

/* --- memory --- */

enum { COPY_BYTES = 64 << 20, COPY_ROUNDS = 8 };

static yoke_status time_copies(yki_queue *queue, double *bytes_s_out)
{
    const yki_backend_ops *backend = queue->backend;
    void *from, *to;
    double best = INFINITY;
    YKI_TRY(backend->alloc(queue->device, COPY_BYTES, &from));
    yoke_status status = backend->alloc(queue->device, COPY_BYTES, &to);
    for (int i = 0; i < COPY_ROUNDS && status == YOKE_OK; i++) {
        double start = yki_now_ns();
        yki_queue_transfer(queue, YKI_COPY, to, from, COPY_BYTES);
        status = backend->synchronize(queue);
        best = fmin(best, (yki_now_ns() - start) * 1e-9);
    }
    *bytes_s_out = 2.0 * COPY_BYTES / best;
    if (status == YOKE_OK) backend->free(queue->device, to);
    backend->free(queue->device, from);
    return status;
}

static yoke_status with_queue(yoke_status (*body)(yki_queue *queue, double *value), double *value_out)
{
    const yki_backend_ops *backend = yki_backend_of_runs();
    yki_device *device;
    yki_queue *queue = NULL;
    YKI_TRY(backend->device_create(0, 1, &device));
    yoke_status status = backend->queue_create(device, &queue);
    if (status == YOKE_OK) status = body(queue, value_out);
    backend->queue_destroy(queue);
    backend->device_destroy(device);
    return status;
}

yoke_status yki_bench_memory(double *bytes_s_out)
{
    return with_queue(time_copies, bytes_s_out);
}

/* --- contention --- */

enum { WIDTH = 256, MOVED_BYTES = 4 << 20, CONTENTION_ROUNDS = 9 };

typedef struct product {
    yki_launch launch;
    yki_prepared *prepared;
    yki_queue *queue;
} product;

static yoke_status make_product(product *p)
{
    static const yki_attr none;
    const yki_backend_ops *backend = p->queue->backend;
    const int operands[] = {0, 1, 3}; /* no bias */
    p->launch = (yki_launch){.kernel = YKI_KERNEL_LINEAR, .attr = &none, .nviews = 4};
    for (int i = 0; i < 3; i++) {
        yki_view *view = &p->launch.views[operands[i]];
        *view = (yki_view){.dtype = YKI_F32, .ndim = 2, .dims = {WIDTH, WIDTH}};
        YKI_TRY(backend->alloc(p->queue->device, 4 * WIDTH * WIDTH, &view->data));
    }
    p->launch.workspace_bytes = backend->workspace_bytes(&p->launch, 1);
    YKI_TRY(backend->alloc(p->queue->device, p->launch.workspace_bytes + 1, &p->launch.workspace));
    return backend->prepare(p->queue->device, &p->launch, &p->prepared);
}

static void release_product(product *p)
{
    const yki_backend_ops *backend = p->queue->backend;
    for (int i = 0; i < 4; i++)
        if (p->launch.views[i].data) backend->free(p->queue->device, p->launch.views[i].data);
    if (p->launch.workspace) backend->free(p->queue->device, p->launch.workspace);
}

/* Seconds of products, of a movement, or of products while one is under way, by all ranks. */
static yoke_status time_both(end *e, product *p, int products, bool moves, double *seconds_out)
{
    yki_request request = {0};
    memset(e->out, 0, (size_t)e->bytes);
    YKI_TRY(yki_barrier(e->comm));
    double start = yki_now_ns();
    if (moves) YKI_TRY(all_reduce(e, &request));
    for (int i = 0; i < products; i++) p->queue->backend->launch(p->queue, p->prepared, &p->launch);
    YKI_TRY(p->queue->backend->synchronize(p->queue));
    YKI_TRY(yki_wait(&request));
    *seconds_out = (yki_now_ns() - start) * 1e-9;
    return YOKE_OK;
}

static yoke_status compare(world *w, end *e, product *p)
{
    double times[3][CONTENTION_ROUNDS], one, moved;
    e->bytes = MOVED_BYTES;
    YKI_TRY(time_both(e, p, 2, true, &one));
    YKI_TRY(time_both(e, p, 1, false, &one));
    YKI_TRY(time_both(e, p, 0, true, &moved));
    double count[1] = {yki_comm_rank(e->comm) == 0 ? fmin(2 * moved / one, 1000) + 1 : 0};
    YKI_TRY(yki_sum_scalars(e->comm, count, 1));
    for (int i = 0; i < CONTENTION_ROUNDS; i++) {
        YKI_TRY(time_both(e, p, (int)count[0], false, &times[0][i]));
        YKI_TRY(time_both(e, p, 0, true, &times[1][i]));
        YKI_TRY(time_both(e, p, (int)count[0], true, &times[2][i]));
    }
    for (int k = 0; k < 3; k++) qsort(times[k], CONTENTION_ROUNDS, sizeof times[k][0], by_value);
    const int at = CONTENTION_ROUNDS / 2;
    if (yki_comm_rank(e->comm) == 0) w->value = (times[2][at] - times[0][at]) / times[1][at];
    return YOKE_OK;
}

static yoke_status measure_contention(world *w, end *e)
{
    product p = {0};
    const yki_backend_ops *backend = yki_backend_of_runs();
    yki_device *device;
    YKI_TRY(backend->device_create(yki_comm_rank(e->comm), 1, &device));
    yoke_status status = backend->queue_create(device, &p.queue);
    if (status == YOKE_OK) status = make_product(&p);
    if (status == YOKE_OK) status = compare(w, e, &p);
    if (p.queue) release_product(&p);
    backend->queue_destroy(p.queue);
    backend->device_destroy(device);
    return status;
}

yoke_status yki_bench_contention(double *share_out)
{
    world w = {.local = 2, .ranks = 2, .most = MOVED_BYTES, .body = measure_contention};
    YKI_TRY(run_world(&w));
    *share_out = fmin(fmax(w.value, 0), 0.95);
    return YOKE_OK;
}
