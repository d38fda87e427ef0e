/* A world of ranks in several processes: its loss, waiting in it, and the thread that moves on what is under
 * way while ranks compute. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crowd.h"
#include "base/fail.h"
#include "comm/mpi/mpi.h"

enum {
    LOOKS = 8,      /* at messages, in a poll of a process's only rank, which nobody waits behind */
    SPINS = 3000,   /* polls of a wait where every rank has a core */
    YIELDS = 200,   /* then turns given to other ranks; after that it naps, as it does beside other programs:
                     * those would take a turn of milliseconds */
    NAP_NS = 30000, /* of a wait */
    MOVER_NS = 100000,  /* of the thread beside the ranks, when something is under way */
    IDLE_NS = 1000000,  /* when nothing is, or a rank waits and so does its work */
    SUSPECT_NAPS = 1000 /* without any progress, before a wait asks whether peers do something else */
};

static void nap(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* --- loss --- */

/* Messages under way are given up, once, so that none comes into memory that ranks take back. */
static void give_up(yki_mpi_world *world)
{
    const yki_mpi_module *mpi = world->cluster->mpi;
    if (world->given_up) return;
    world->given_up = true;
    for (yki_mpi_group *g = world->groups; g; g = g->next)
        for (int r = 0; r < YKI_MPI_ROUNDS; r++)
            for (int i = 0; i < g->rounds[r].nmessages; i++) {
                yki_mpi_message *m = &g->rounds[r].messages[i];
                if (m->active) mpi->give_up(&m->request, m->receives);
                m->active = false;
            }
    for (yki_mpi_channel *c = world->channels; c; c = c->next) {
        if (c->message.active) mpi->give_up(&c->message.request, c->message.receives);
        c->message.active = false;
    }
}

static void tell_others(yki_mpi_world *world)
{
    if (atomic_exchange(&world->told, 1)) return;
    yki_cluster_lose(&world->local->why);
}

void yki_mpi_lose(yki_mpi_world *world, yoke_status status, const char *format, ...)
{
    yoke_error why = {.status = status, .rank = world->cluster->rank * world->nlocal};
    va_list rest;
    va_start(rest, format);
    vsnprintf(why.message, sizeof why.message, format, rest);
    va_end(rest);
    yki_local_lose(world->local, 0, &why);
}

static void lose(yki_comm *base, const yoke_error *why)
{
    yki_mpi_comm *comm = (yki_mpi_comm *)base;
    yki_mpi_world *world = comm->group->world;
    yoke_error named = why ? *why : (yoke_error){.message = "a rank failed", .rank = -1};
    if (named.rank < 0) named.rank = comm->group->world_ranks[base->rank];
    yki_local_lose(world->local, 0, &named);
    tell_others(world);
    pthread_mutex_lock(&world->cluster->lock);
    give_up(world);
    pthread_mutex_unlock(&world->cluster->lock);
}

void yki_mpi_world_lose(yki_mpi_world *world, const yoke_error *why)
{
    atomic_store(&world->told, 1);
    yki_local_lose(world->local, 0, why);
}

/* The loss as the calling thread's record, when nobody is at work any more. */
static yoke_status hand_over(yki_mpi_world *world)
{
    pthread_mutex_lock(&world->cluster->lock);
    give_up(world);
    pthread_mutex_unlock(&world->cluster->lock);
    yoke_status status = yki_local_check(world->local);
    tell_others(world);
    return status;
}

yoke_status yki_mpi_check(yki_comm *base)
{
    yki_mpi_world *world = ((yki_mpi_comm *)base)->group->world;
    return atomic_load(&world->local->lost) ? hand_over(world) : YOKE_OK;
}

/* --- waiting --- */

/* Under the lock. */
static bool advance_all(yki_mpi_world *world)
{
    bool moved = false;
    for (yki_mpi_group *g = world->groups; g; g = g->next) moved |= yki_mpi_advance(g);
    for (yki_mpi_channel *c = world->channels; c; c = c->next) moved |= yki_mpi_transfer(c);
    return moved;
}

static void suspect(yki_mpi_world *world)
{
    pthread_mutex_lock(&world->cluster->lock);
    bool differs = false;
    for (yki_mpi_group *g = world->groups; g && !differs; g = g->next)
        differs = !atomic_load(&world->local->lost) && yki_mpi_differs(g);
    pthread_mutex_unlock(&world->cluster->lock);
}

static yoke_status await(yki_mpi_world *world, bool (*ready)(void *of), void *of)
{
    pthread_mutex_t *lock = &world->cluster->lock;
    int polls = 0, naps = 0;
    for (;;) {
        bool others = world->crowded || yki_crowded();
        int spins = others ? 0 : SPINS, looks = world->nlocal == 1 && !others ? LOOKS : 1;
        int yields = yki_crowded() && !world->crowded ? 0 : YIELDS;
        if (atomic_load(&world->local->lost)) return hand_over(world);
        if (ready(of)) return YOKE_OK;
        if (pthread_mutex_trylock(lock) == 0) {
            bool moved = false;
            for (int i = 0; i < looks && !moved && !atomic_load(&world->local->lost); i++)
                moved = advance_all(world);
            pthread_mutex_unlock(lock);
            if (moved) {
                polls = naps = 0;
                continue;
            }
        }
        if (polls++ < spins)
            yki_pause();
        else if (polls < spins + yields)
            sched_yield();
        else {
            nap(NAP_NS);
            if (++naps % SUSPECT_NAPS == 0) suspect(world);
        }
    }
}

yoke_status yki_mpi_await(yki_mpi_world *world, bool (*ready)(void *of), void *of)
{
    atomic_fetch_add(&world->waits, 1);
    atomic_fetch_add(&world->waiting, 1);
    yoke_status status = await(world, ready, of);
    atomic_fetch_sub(&world->waiting, 1);
    return status;
}

/* A thread that looks after what is under way while all ranks compute, or wait for each other. Where one has
 * waited since the last look, the next wait is not far, and moves things on without a change of threads. */
static void *move_on(void *of)
{
    yki_mpi_world *world = of;
    unsigned before = 0;
    while (!atomic_load(&world->quit)) {
        unsigned waits = atomic_load(&world->waits);
        bool busy = atomic_load(&world->active) > 0 && atomic_load(&world->waiting) == 0 && waits == before;
        before = waits;
        nap(busy ? MOVER_NS : IDLE_NS);
        if (atomic_load(&world->local->lost) == 2) {
            tell_others(world);
            nap(IDLE_NS);
        } else if (busy && pthread_mutex_trylock(&world->cluster->lock) == 0) {
            if (!atomic_load(&world->local->lost)) advance_all(world);
            pthread_mutex_unlock(&world->cluster->lock);
        }
    }
    return NULL;
}

/* --- life --- */

yoke_status yki_mpi_world_create(int size, yki_mpi_world **world_out)
{
    yki_cluster *cluster = yki_cluster_get();
    *world_out = NULL;
    if (!cluster) return yki_fail(YOKE_INVALID, "a world of processes before they have joined");
    if (size < 1 || size > 65536) return yki_fail(YOKE_INVALID, "a world of %d ranks in one process", size);
    yki_mpi_world *world = calloc(1, sizeof *world);
    int ranks = size * cluster->size, *all = calloc((size_t)ranks, sizeof *all), place;
    yoke_status status = world && all ? YOKE_OK : yki_fail_memory("a world of ranks");
    if (status == YOKE_OK) {
        world->base.transport = &yki_mpi_transport;
        world->cluster = cluster;
        world->nlocal = size;
        /* half of all tags are channels' */
        uint64_t signs = ((uint64_t)cluster->tag_limit + 1) / 2 / (128 * YKI_MPI_GROUPS);
        world->signs = signs > 0 ? signs : 1;
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        world->crowded = yki_cluster_neighbours(&place) * size > cores;
        for (int r = 0; r < ranks; r++) all[r] = r;
        status = yki_local_world_create(size, world->crowded ? 0 : -1, &world->local);
    }
    if (status == YOKE_OK) {
        pthread_mutex_lock(&cluster->lock);
        status = yki_mpi_boards_open(world);
        if (status == YOKE_OK) status = yki_mpi_group_create(world, ranks, all, 0, &world->all);
        if (status == YOKE_OK && cluster->mpi->world(&world->mpi))
            status = yki_fail(YOKE_PEER_FAILED, "%s gives no communicator", cluster->mpi->name);
        pthread_mutex_unlock(&cluster->lock);
    }
    free(all);
    if (status == YOKE_OK) world->all->users++; /* the world's own */
    world->moving = status == YOKE_OK && pthread_create(&world->mover, NULL, move_on, world) == 0;
    if (status == YOKE_OK && !world->moving)
        status = yki_fail(YOKE_SYSTEM, "the system gives no thread to move messages on");
    if (status != YOKE_OK) {
        yki_mpi_world_destroy(world);
        return status;
    }
    *world_out = world;
    return YOKE_OK;
}

yoke_status yki_mpi_world_join(yki_mpi_world *world, int local, yki_comm **comm_out)
{
    yki_comm *end = NULL;
    *comm_out = NULL;
    YKI_TRY(yki_local_world_join(world->local, local, &end));
    pthread_mutex_lock(&world->cluster->lock);
    yoke_status status =
        yki_mpi_comm_create(world->all, world->cluster->rank * world->nlocal + local, end, comm_out);
    if (status == YOKE_OK) world->all->users++;
    pthread_mutex_unlock(&world->cluster->lock);
    if (status != YOKE_OK) yki_comm_destroy(end);
    return status;
}

void yki_mpi_world_destroy(yki_mpi_world *world)
{
    YKI_KEEP_RECORD;
    if (!world) return;
    atomic_store(&world->quit, 1);
    if (world->moving) pthread_join(world->mover, NULL);
    if (world->all) {
        pthread_mutex_lock(&world->cluster->lock);
        while (world->groups) {
            world->groups->users = 1;
            yki_mpi_group_drop(world->groups);
        }
        /* a lost one stays: freeing it may wait for the others */
        if (world->mpi && !atomic_load(&world->local->lost)) world->cluster->mpi->world_free(world->mpi);
        pthread_mutex_unlock(&world->cluster->lock);
    }
    yki_mpi_boards_close(world);
    yki_local_world_destroy(world->local);
    free(world);
}

static bool reaches(int processes)
{
    return yki_cluster_get() && processes == yki_cluster_size();
}

static yoke_status world_open(int nlocal, yki_world **world_out)
{
    yki_mpi_world *world;
    yoke_status status = yki_mpi_world_create(nlocal, &world);
    *world_out = world ? &world->base : NULL;
    return status;
}

static yoke_status world_join(yki_world *world, int local, yki_comm **comm_out)
{
    return yki_mpi_world_join((yki_mpi_world *)world, local, comm_out);
}

static void world_lose(yki_world *world, const yoke_error *why)
{
    yki_mpi_world_lose((yki_mpi_world *)world, why);
}

static void world_close(yki_world *world)
{
    yki_mpi_world_destroy((yki_mpi_world *)world);
}

const yki_transport yki_mpi_transport = {
    .name = "mpi",
    .reaches = reaches,
    .memory = YKI_MEMORY_HOST,
    .world_open = world_open,
    .world_join = world_join,
    .world_lose = world_lose,
    .world_close = world_close,
    .check = yki_mpi_check,
    .split = yki_mpi_split,
    .destroy = yki_mpi_comm_destroy,
    .start = yki_mpi_start,
    .wait = yki_mpi_wait,
    .channel_open = yki_mpi_channel_open,
    .channel_close = yki_mpi_channel_close,
    .channel_start = yki_mpi_channel_start,
    .abort = lose,
};
