/* Waiting, and the loss of the world. */
#include <sched.h>
#include <string.h>

#include "base/crowd.h"
#include "base/fail.h"
#include "comm/local/local.h"

/* Polls between looks at what else the rank has under way. */
enum { POLLS_PER_ROUND = 64 };

/* Until no rank touches memory of others. Nobody enters any more, and work is finite, so this ends. */
static void settle(yki_local_world *world)
{
    for (int r = 0; r < world->size; r++)
        while (atomic_load(&world->ranks[r].working)) sched_yield();
}

/* The loss as the calling thread's record. */
static yoke_status hand_over(yki_local_world *world)
{
    while (atomic_load(&world->lost) != 2) sched_yield(); /* a record is being copied */
    settle(world);
    yki_error_set(&world->why);
    return world->why.status;
}

yoke_status yki_local_check(yki_local_world *world)
{
    return atomic_load(&world->lost) ? hand_over(world) : YOKE_OK;
}

yoke_status yki_local_lose(yki_local_world *world, int rank, const yoke_error *why)
{
    int none = 0;
    if (atomic_compare_exchange_strong(&world->lost, &none, 1)) {
        world->why = why ? *why : (yoke_error){.message = "a rank failed", .rank = -1};
        if (world->why.status == YOKE_OK) world->why.status = YOKE_PEER_FAILED;
        if (world->why.rank < 0) world->why.rank = rank;
        atomic_store(&world->lost, 2);
        for (int r = 0; r < world->size; r++) yki_bell_ring(&world->ranks[r].bell);
    }
    while (atomic_load(&world->lost) != 2) sched_yield();
    settle(world);
    return world->why.status;
}

/* The store comes before the load in one order of all such accesses: either this sees the loss, or settle
 * sees this. */
bool yki_local_enter(yki_local_rank *rank)
{
    atomic_store(&rank->working, 1);
    if (!atomic_load(&rank->world->lost)) return true;
    atomic_store(&rank->working, 0);
    return false;
}

void yki_local_leave(yki_local_rank *rank)
{
    atomic_store_explicit(&rank->working, 0, memory_order_release);
}

static bool advance_all(yki_local_rank *rank)
{
    bool moved = false;
    for (yki_local_comm *comm = rank->comms; comm; comm = comm->next)
        if (comm->started != comm->finished) moved |= yki_local_advance(comm);
    for (yki_local_channel *channel = rank->channels; channel; channel = channel->next)
        if (channel->base.busy) moved |= yki_local_transfer(channel);
    return moved;
}

yoke_status yki_local_await(yki_local_rank *rank, bool (*ready)(void *of), void *of)
{
    yki_local_world *world = rank->world;
    for (int polls = 0;; polls++) {
        if (atomic_load(&world->lost)) return hand_over(world);
        if (ready(of)) return YOKE_OK;
        if (polls < world->spin && !yki_crowded()) {
            if (polls % POLLS_PER_ROUND == POLLS_PER_ROUND - 1 && advance_all(rank)) polls = -1;
            yki_pause();
            continue;
        }
        uint32_t armed = yki_bell_arm(&rank->bell);
        if (!atomic_load(&world->lost) && !ready(of) && !advance_all(rank))
            yki_bell_sleep(&rank->bell, armed);
        yki_bell_disarm(&rank->bell);
        polls = -1; /* something has happened: the rest is likely to follow soon */
    }
}
