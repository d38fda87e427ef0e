/* Channels between processes are messages of MPI; within a process, local channels. */
#include <stdlib.h>

#include "base/fail.h"
#include "comm/mpi/mpi.h"

/* A tag of its own for each channel between two processes, in the upper half. */
static yoke_status tag_of(yki_mpi_group *g, int source, int target, int tag, int *tag_out)
{
    int64_t half = ((int64_t)g->world->cluster->tag_limit + 1) / 2, each = g->world->nlocal;
    if (g != g->world->all) /* its tags would need a group's number too, of which there are too few */
        return yki_fail(YOKE_INVALID, "a channel between processes in a group that is not the world's");
    int from = g->world_ranks[source] % g->world->nlocal, to = g->world_ranks[target] % g->world->nlocal;
    int64_t most = half / each / each; /* of any two ranks; what is left over, of some only, is nobody's */
    if (tag < 0 || tag >= most)
        return yki_fail(YOKE_INVALID, "channel %d: %s has tags for %lld channels between processes", tag,
                        g->world->cluster->mpi->name, (long long)most);
    *tag_out = (int)(half + (tag * each + from) * each + to);
    return YOKE_OK;
}

static int process_of_member(const yki_mpi_group *g, int member)
{
    int p = 0;
    while (g->position[member] >= g->first[p + 1]) p++;
    return p;
}

static bool is_open(const yki_mpi_world *world, const yki_mpi_channel *like)
{
    for (const yki_mpi_channel *c = world->channels; c; c = c->next)
        if (c->base.comm == like->base.comm && c->base.peer == like->base.peer &&
            c->base.tag == like->base.tag && c->base.sends == like->base.sends)
            return true;
    return false;
}

yoke_status yki_mpi_channel_open(yki_comm *base, int peer, int tag, bool sends, yki_channel **channel_out)
{
    yki_mpi_comm *comm = (yki_mpi_comm *)base;
    yki_mpi_group *g = comm->group;
    yki_mpi_channel *channel = calloc(1, sizeof *channel);
    if (!channel) return yki_fail_memory("a channel");
    channel->base = (yki_channel){
        .transport = &yki_mpi_transport, .comm = base, .peer = peer, .tag = tag, .sends = sends};
    int process = process_of_member(g, peer);
    channel->peer = g->processes[process];
    yoke_status status;
    if (process == g->me)
        status =
            yki_channel_open(comm->local, g->position[peer] - g->first[g->me], tag, sends, &channel->local);
    else
        status = tag_of(g, sends ? base->rank : peer, sends ? peer : base->rank, tag, &channel->tag);
    pthread_mutex_lock(&g->world->cluster->lock);
    if (status == YOKE_OK && !channel->local && is_open(g->world, channel))
        status = yki_fail(YOKE_INVALID, "rank %d opens channel %d with rank %d twice", base->rank, tag, peer);
    if (status == YOKE_OK) {
        channel->next = g->world->channels;
        g->world->channels = channel;
        *channel_out = &channel->base;
    }
    pthread_mutex_unlock(&g->world->cluster->lock);
    if (status != YOKE_OK) free(channel);
    return status;
}

void yki_mpi_channel_close(yki_channel *base)
{
    yki_mpi_channel *channel = (yki_mpi_channel *)base;
    yki_mpi_world *world = ((yki_mpi_comm *)base->comm)->group->world;
    pthread_mutex_lock(&world->cluster->lock);
    yki_mpi_channel **link = &world->channels;
    while (*link != channel) link = &(*link)->next;
    *link = channel->next;
    pthread_mutex_unlock(&world->cluster->lock);
    yki_channel_close(channel->local);
    free(channel);
}

yoke_status yki_mpi_channel_start(yki_channel *base, yki_request *request)
{
    yki_mpi_channel *channel = (yki_mpi_channel *)base;
    yki_mpi_group *g = ((yki_mpi_comm *)base->comm)->group;
    const yki_mpi_module *mpi = g->world->cluster->mpi;
    if (channel->local) {
        request->channel = channel->local;
        yoke_status status = channel->local->transport->channel_start(channel->local, request);
        channel->local->busy = status == YOKE_OK;
        request->channel = base;
        return status;
    }
    yki_mpi_message *m = &channel->message;
    pthread_mutex_lock(&g->world->cluster->lock);
    *m = (yki_mpi_message){.bytes = request->bytes, .receives = !base->sends};
    atomic_store(&channel->moved, 0);
    int error =
        base->sends
            ? mpi->send(g->world->mpi, request->in, m->bytes, channel->peer, channel->tag, 1, &m->request)
            : mpi->receive(g->world->mpi, request->out, m->bytes, channel->peer, channel->tag, &m->request);
    m->active = !error;
    if (!error) yki_mpi_count(g->world, 1);
    pthread_mutex_unlock(&g->world->cluster->lock);
    if (!error) return YOKE_OK;
    yki_lifeline_await_loss();
    return yki_fail(YOKE_PEER_FAILED, "%s gave error %d for a message of %zu bytes", mpi->name, error,
                    m->bytes);
}

bool yki_mpi_transfer(yki_mpi_channel *channel)
{
    yki_mpi_group *g = ((yki_mpi_comm *)channel->base.comm)->group;
    yki_mpi_message *m = &channel->message;
    size_t came = m->bytes;
    if (!m->active) return false;
    int ended = g->world->cluster->mpi->test(&m->request, m->receives ? &came : NULL);
    if (ended == 0) return false;
    m->active = false;
    yki_mpi_count(g->world, -1);
    if (ended < 0 || came != m->bytes)
        yki_mpi_lose(g->world, YOKE_INVALID,
                     "a receive of %zu bytes on channel %d from rank %d met a message of another size",
                     m->bytes, channel->base.tag, channel->base.peer);
    else
        atomic_store(&channel->moved, 1);
    return true;
}

static bool message_moved(void *of)
{
    return atomic_load(&((yki_mpi_channel *)of)->moved);
}

yoke_status yki_mpi_channel_wait(yki_channel *base)
{
    yki_mpi_channel *channel = (yki_mpi_channel *)base;
    if (channel->local) {
        yki_request inner = {.comm = channel->local->comm, .channel = channel->local, .kind = YKI_COMM_SEND};
        yoke_status status = channel->local->transport->wait(&inner);
        channel->local->busy = false;
        return status;
    }
    return yki_mpi_await(((yki_mpi_comm *)base->comm)->group->world, message_moved, channel);
}
