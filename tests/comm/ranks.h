/* Ranks as threads, for tests. cmocka's asserts leave by longjmp, which a thread may not; EXPECT notes the
 * first failure of any rank, and ranks_run asserts in the main thread that there was none. */
#ifndef YKI_TESTS_COMM_RANKS_H
#define YKI_TESTS_COMM_RANKS_H

#include "cmocka_all.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "comm/comm.h"
#include "comm/worlds.h"

typedef void (*ranks_body)(yki_comm *comm, void *shared);

/* Over how many ranks of a process, and processes of a machine, sums are taken first. */
__attribute__((unused)) static int ranks_each = 1;
__attribute__((unused)) static int ranks_machine = 1;

#ifdef YKI_TEST_MPI
#include "comm/cluster.h"
#include "comm/mpi/mpi.h"
enum { ranks_over_mpi = 1 };
typedef yki_mpi_world ranks_world;
#define ranks_join yki_mpi_world_join
#else
enum { ranks_over_mpi = 0 };
typedef yki_local_world ranks_world;
#define ranks_join yki_local_world_join
#endif

typedef struct ranks_thread {
    pthread_t thread;
    ranks_world *world;
    int rank;
    ranks_body body;
    void *shared;
} ranks_thread;

static _Atomic int ranks_failures;
static char ranks_message[2200];

static inline void ranks_fail(const char *file, int line, const char *what)
{
    if (atomic_fetch_add(&ranks_failures, 1) == 0)
        snprintf(ranks_message, sizeof ranks_message, "%s:%d: %s (record: %s)", file, line, what,
                 yoke_error_get()->message);
}

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) ranks_fail(__FILE__, __LINE__, #condition);                                        \
    } while (0)

static void *ranks_start(void *of)
{
    ranks_thread *t = of;
    yki_comm *comm = NULL;
    EXPECT(ranks_join(t->world, t->rank, &comm) == YOKE_OK);
    if (comm) t->body(comm, t->shared);
    yki_comm_destroy(comm);
    return NULL;
}

/* Runs body on `size` ranks of a world that is given. */
static inline void ranks_run_in(ranks_world *world, int size, ranks_body body, void *shared)
{
    ranks_thread *threads = calloc((size_t)size, sizeof *threads);
    atomic_store(&ranks_failures, 0);
    for (int r = 0; r < size; r++) {
        threads[r] = (ranks_thread){.world = world, .rank = r, .body = body, .shared = shared};
        assert_int_equal(pthread_create(&threads[r].thread, NULL, ranks_start, &threads[r]), 0);
    }
    for (int r = 0; r < size; r++) pthread_join(threads[r].thread, NULL);
    free(threads);
    if (atomic_load(&ranks_failures)) fail_msg("%s", ranks_message);
}

#ifdef YKI_TEST_MPI

static bool ranks_ran;

/* What a count over the ranks of all processes must be, where the last run was one. */
static inline void ranks_check_sum(int64_t here, int64_t expected)
{
    int64_t all[64], sum = 0;
    if (!ranks_ran) return;
    assert_int_equal(yki_cluster_gather(&here, all, sizeof here), YOKE_OK);
    for (int p = 0; p < yki_cluster_size(); p++) sum += all[p];
    assert_int_equal(sum, expected);
}

static inline int ranks_here(int size)
{
    return size / yki_cluster_size();
}

static inline void ranks_signs(void *world, yki_signs *out)
{
    (void)world;
    *out = (yki_signs){.ranks = 1};
}

static inline void ranks_lost(void *world, const yoke_error *why)
{
    yki_mpi_world_lose(world, why);
}

/* Ranks dealt to the processes, where that can be even; else nothing is run. */
static inline void ranks_run(int size, int spin, ranks_body body, void *shared)
{
    (void)spin;
    yki_mpi_world *world = NULL;
    ranks_ran = size % yki_cluster_size() == 0;
    if (!ranks_ran) return;
    ranks_each = size / yki_cluster_size();
    assert_int_equal(yki_mpi_world_create(ranks_each, &world), YOKE_OK);
    assert_true(world->boards || yki_mpi_board_bytes == 0); /* processes of one machine see each other's */
    yki_watch watch = {ranks_each, 60, ranks_signs, ranks_lost, world};
    yki_cluster_watch(&watch);
    ranks_run_in(world, ranks_each, body, shared);
    yki_cluster_watch(NULL);
    yki_mpi_world_destroy(world);
}

/* Around all tests of a program. With YKI_TEST_MACHINES, machines are taken to have so many processes. */
static inline int ranks_group_setup(void **state)
{
    (void)state;
    const char *machines = getenv("YKI_TEST_MACHINES"), *bytes = getenv("YKI_TEST_ROUND_BYTES"),
               *board = getenv("YKI_TEST_BOARD_BYTES");
    if (bytes) yki_mpi_round_bytes = atoi(bytes);
    if (board) yki_mpi_board_bytes = atoi(board);
    if (yki_cluster_join(NULL) != YOKE_OK) {
        fprintf(stderr, "%s\n", yoke_error_get()->message);
        return 1;
    }
    ranks_machine = machines ? atoi(machines) : yki_cluster_size();
    if (machines) yki_cluster_pretend(ranks_machine);
    return yki_cluster_get() ? 0 : 1;
}

static inline int ranks_group_teardown(void **state)
{
    (void)state;
    yki_cluster_leave(NULL);
    return 0;
}

#else

static inline void ranks_check_sum(int64_t here, int64_t expected)
{
    assert_int_equal(here, expected);
}

static inline int ranks_here(int size)
{
    return size;
}

#define ranks_group_setup    NULL
#define ranks_group_teardown NULL

/* The same in a fresh world. spin: as yki_local_world_create's. */
static inline void ranks_run(int size, int spin, ranks_body body, void *shared)
{
    yki_local_world *world = NULL;
    assert_int_equal(yki_local_world_create(size, spin, &world), YOKE_OK);
    ranks_run_in(world, size, body, shared);
    yki_local_world_destroy(world);
}

#endif

/* Whether a case of a product is run, of whose factors' indices `sum` is the sum. Over MPI each takes a world
 * of its own, which is slow: one of `part`, and still every pair of values of two factors if every factor's
 * count is at least `part`. */
static inline bool ranks_take(int sum, int part)
{
    return !ranks_over_mpi || sum % part == 0;
}

/* A value of element `i` on rank `r`, between -1 and 1, of few enough bits that bf16 holds it. */
static inline float ranks_value(int r, int64_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u + (uint32_t)r * 40503u + 12345u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return (float)((int)(x % 255u) - 127) / 128.0f;
}

#endif
