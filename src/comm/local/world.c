/* Worlds, groups and a rank's ends of them. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/limits.h"
#include "comm/local/local.h"

/* Polls before a sleep where every rank has a core: some 100 us, about what a sleep and a wake cost twice. */
enum { SPIN = 2000 };

static int usable_cores(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int cores = online > 0 ? (int)online : 1, limit = yki_limit_cores("");
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
#endif
    return limit < cores ? limit : cores;
}

/* Zeroed, on cache lines of its own. */
static void *allocate_lines(size_t bytes)
{
    size_t rounded = (bytes + YKI_LOCAL_LINE - 1) / YKI_LOCAL_LINE * YKI_LOCAL_LINE;
    void *memory = aligned_alloc(YKI_LOCAL_LINE, rounded);
    if (memory) memset(memory, 0, rounded);
    return memory;
}

yki_local_group *yki_local_group_create(yki_local_world *world, int size, int users)
{
    yki_local_group *group = allocate_lines(sizeof *group + (size_t)size * sizeof group->members[0]);
    if (!group) return NULL;
    group->world = world;
    group->size = size;
    atomic_init(&group->users, users);
    pthread_mutex_init(&group->lock, NULL);
    pthread_mutex_lock(&world->lock);
    group->next = world->groups;
    world->groups = group;
    pthread_mutex_unlock(&world->lock);
    return group;
}

static void release_group(yki_local_group *group)
{
    yki_local_boxes_release(group);
    pthread_mutex_destroy(&group->lock);
    free(group);
}

void yki_local_group_drop(yki_local_group *group)
{
    if (atomic_fetch_sub(&group->users, 1) != 1) return;
    yki_local_world *world = group->world;
    pthread_mutex_lock(&world->lock);
    yki_local_group **link = &world->groups;
    while (*link != group) link = &(*link)->next;
    *link = group->next;
    pthread_mutex_unlock(&world->lock);
    release_group(group);
}

yki_local_comm *yki_local_comm_create(yki_local_group *group, int member)
{
    yki_local_comm *comm = calloc(1, sizeof *comm);
    if (!comm) return NULL;
    comm->pieces = calloc((size_t)group->size + 1, sizeof *comm->pieces);
    if (!comm->pieces) {
        free(comm);
        return NULL;
    }
    yki_local_member *me = &group->members[member];
    comm->base.transport = &yki_local_transport;
    comm->base.rank = member;
    comm->base.size = group->size;
    comm->group = group;
    comm->owner = &group->world->ranks[me->world_rank];
    comm->started = atomic_load(&me->started);
    comm->finished = atomic_load(&me->finished);
    comm->next = comm->owner->comms;
    comm->owner->comms = comm;
    return comm;
}

void yki_local_comm_destroy(yki_comm *base)
{
    yki_local_comm *comm = (yki_local_comm *)base;
    yki_local_comm **link = &comm->owner->comms;
    while (*link != comm) link = &(*link)->next;
    *link = comm->next;
    if (comm->group == comm->owner->world->all) atomic_store(&comm->owner->joined, 0);
    yki_local_group_drop(comm->group);
    free(comm->pieces);
    free(comm);
}

static void release_world(yki_local_world *world)
{
    while (world->groups) {
        yki_local_group *group = world->groups;
        world->groups = group->next;
        release_group(group);
    }
    pthread_mutex_destroy(&world->lock);
    free(world->ranks);
    free(world);
}

yoke_status yki_local_world_create(int size, int spin, yki_local_world **world_out)
{
    *world_out = NULL;
    if (size < 1 || size > 65536) return yki_fail(YOKE_INVALID, "a world of %d ranks in one process", size);
    yki_local_world *world = calloc(1, sizeof *world);
    if (!world) return yki_fail_memory("a world of ranks");
    world->base.transport = &yki_local_transport;
    world->size = size;
    pthread_mutex_init(&world->lock, NULL);
    world->spin = spin >= 0 ? spin : size <= usable_cores() ? SPIN : 0;
    world->ranks = allocate_lines((size_t)size * sizeof *world->ranks);
    world->all = yki_local_group_create(world, size, 1);
    if (!world->ranks || !world->all) {
        release_world(world);
        return yki_fail_memory("a world of ranks");
    }
    for (int r = 0; r < size; r++) {
        yki_bell_init(&world->ranks[r].bell);
        world->ranks[r].world = world;
        world->ranks[r].rank = r;
        world->all->members[r].world_rank = r;
    }
    *world_out = world;
    return YOKE_OK;
}

yoke_status yki_local_world_join(yki_local_world *world, int rank, yki_comm **comm_out)
{
    *comm_out = NULL;
    if (rank < 0 || rank >= world->size)
        return yki_fail(YOKE_INVALID, "rank %d joins a world of %d", rank, world->size);
    if (atomic_exchange(&world->ranks[rank].joined, 1))
        return yki_fail(YOKE_INVALID, "rank %d joins its world twice", rank);
    atomic_fetch_add(&world->all->users, 1);
    yki_local_comm *comm = yki_local_comm_create(world->all, rank);
    if (!comm) {
        yki_local_group_drop(world->all);
        atomic_store(&world->ranks[rank].joined, 0);
        return yki_fail_memory("a rank's end of its world");
    }
    *comm_out = &comm->base;
    return YOKE_OK;
}

void yki_local_world_lose(yki_local_world *world, const yoke_error *why)
{
    yki_local_lose(world, -1, why);
}

void yki_local_world_destroy(yki_local_world *world)
{
    if (!world) return;
    for (int r = 0; r < world->size; r++) yki_bell_release(&world->ranks[r].bell);
    release_world(world);
}

/* --- groups of a group --- */

typedef struct wish {
    int32_t colour, key;
} wish;

/* Members of my colour in the order of (key, rank), to `members`; returns how many. */
static int sort_members(const wish *wishes, int size, int rank, int *members)
{
    int count = 0;
    for (int r = 0; r < size; r++) {
        if (wishes[r].colour != wishes[rank].colour) continue;
        int at = count++;
        for (; at > 0 && wishes[members[at - 1]].key > wishes[r].key; at--) members[at] = members[at - 1];
        members[at] = r;
    }
    return count;
}

/* Gathers one T of `bytes` from every member of the comm, uncounted. */
static yoke_status gather(yki_comm *comm, const void *mine, void *all, int64_t bytes, const int64_t *shares)
{
    yki_request request = {.comm = comm,
                           .kind = YKI_COMM_ALL_GATHER,
                           .dtype = YKI_I32,
                           .npieces = 1,
                           .piece = {.mine = (void *)(uintptr_t)mine,
                                     .all = all,
                                     .cut = {.outer = 1, .inner = bytes / 4, .share = shares}}};
    if (comm->size == 1) {
        memcpy(all, mine, (size_t)bytes);
        return YOKE_OK;
    }
    YKI_TRY(yki_local_start(comm, &request));
    return yki_local_wait(&request);
}

/* Everybody learns everybody's wish; the first member of each new group makes it and shows its address to
 * all. */
static yoke_status split_with(yki_local_comm *comm, wish mine, wish *wishes, int *members, int64_t *shares,
                              yki_local_group **made, yki_comm **group_out)
{
    int size = comm->base.size, rank = comm->base.rank;
    for (int r = 0; r < size; r++) shares[r] = 1;
    YKI_TRY(gather(&comm->base, &mine, wishes, sizeof mine, shares));
    int count = sort_members(wishes, size, rank, members);
    yki_local_group *group = NULL;
    if (mine.colour >= 0 && members[0] == rank) {
        group = yki_local_group_create(comm->group->world, count, count);
        for (int m = 0; group && m < count; m++)
            group->members[m].world_rank = comm->group->members[members[m]].world_rank;
    }
    YKI_TRY(gather(&comm->base, &group, made, sizeof group, shares));
    if (mine.colour < 0) return YOKE_OK;
    group = made[members[0]];
    if (!group) return yki_fail_memory("a group of ranks");
    int place = 0;
    while (members[place] != rank) place++;
    yki_local_comm *end = yki_local_comm_create(group, place);
    if (!end) {
        yki_local_group_drop(group);
        return yki_fail_memory("a rank's end of a group");
    }
    *group_out = &end->base;
    return YOKE_OK;
}

static yoke_status split(yki_comm *base, int colour, int key, yki_comm **group_out)
{
    size_t size = (size_t)base->size;
    wish *wishes = calloc(size, sizeof *wishes);
    int *members = calloc(size, sizeof *members);
    int64_t *shares = calloc(size, sizeof *shares);
    yki_local_group **made = calloc(size, sizeof *made);
    yoke_status status;
    if (!wishes || !members || !shares || !made)
        status = yki_fail_memory("a group of ranks");
    else
        status = split_with((yki_local_comm *)base, (wish){colour < 0 ? -1 : colour, key}, wishes, members,
                            shares, made, group_out);
    free(wishes);
    free(members);
    free(shares);
    free(made);
    return status;
}

static yoke_status check(yki_comm *base)
{
    return yki_local_check(((yki_local_comm *)base)->group->world);
}

static void lose(yki_comm *base, const yoke_error *why)
{
    yki_local_comm *comm = (yki_local_comm *)base;
    yki_local_lose(comm->group->world, comm->owner->rank, why);
}

static bool reaches(int processes)
{
    return processes == 1;
}

static yoke_status world_open(int nlocal, yki_world **world_out)
{
    yki_local_world *world;
    yoke_status status = yki_local_world_create(nlocal, -1, &world);
    *world_out = world ? &world->base : NULL;
    return status;
}

static yoke_status world_join(yki_world *world, int local, yki_comm **comm_out)
{
    return yki_local_world_join((yki_local_world *)world, local, comm_out);
}

static void world_lose(yki_world *world, const yoke_error *why)
{
    yki_local_world_lose((yki_local_world *)world, why);
}

static void world_close(yki_world *world)
{
    yki_local_world_destroy((yki_local_world *)world);
}

const yki_transport yki_local_transport = {
    .name = "local",
    .reaches = reaches,
    .memory = YKI_MEMORY_HOST,
    .world_open = world_open,
    .world_join = world_join,
    .world_lose = world_lose,
    .world_close = world_close,
    .check = check,
    .split = split,
    .destroy = yki_local_comm_destroy,
    .start = yki_local_start,
    .wait = yki_local_wait,
    .channel_open = yki_local_channel_open,
    .channel_close = yki_local_channel_close,
    .channel_start = yki_local_channel_start,
    .abort = lose,
};
