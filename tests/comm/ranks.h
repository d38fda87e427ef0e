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

typedef void (*ranks_body)(yki_comm *comm, void *shared);

typedef struct ranks_thread {
    pthread_t thread;
    yki_local_world *world;
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
    EXPECT(yki_local_world_join(t->world, t->rank, &comm) == YOKE_OK);
    if (comm) t->body(comm, t->shared);
    yki_comm_destroy(comm);
    return NULL;
}

/* Runs body on `size` ranks of a world that is given. */
static inline void ranks_run_in(yki_local_world *world, int size, ranks_body body, void *shared)
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

/* The same in a fresh world. spin: as yki_local_world_create's. */
static inline void ranks_run(int size, int spin, ranks_body body, void *shared)
{
    yki_local_world *world = NULL;
    assert_int_equal(yki_local_world_create(size, spin, &world), YOKE_OK);
    ranks_run_in(world, size, body, shared);
    yki_local_world_destroy(world);
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
