/* Channels of local ranks: a mailbox per (source, target, tag), made by whichever end opens first.
 *
 * Whoever waits first after both sides have started copies the message, sender or receiver; so two ranks that
 * send to each other and wait in any order do not hold each other up. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/local/local.h"

enum { SENDER = 1, RECEIVER = 2 };

static unsigned end_of(bool sends)
{
    return sends ? SENDER : RECEIVER;
}

/* The box, with one more end; NULL with `taken` if that end is open already, without if memory is out. Under
 * the lock. */
static yki_local_box *find_box(yki_local_group *group, int source, int target, int tag, unsigned end,
                               bool *taken)
{
    yki_local_box *box = group->boxes;
    while (box && (box->source != source || box->target != target || box->tag != tag)) box = box->next;
    *taken = box && (box->ends & end);
    if (*taken) return NULL;
    if (!box) {
        box = aligned_alloc(YKI_LOCAL_LINE, sizeof *box);
        if (!box) return NULL;
        memset(box, 0, sizeof *box);
        box->source = source;
        box->target = target;
        box->tag = tag;
        box->next = group->boxes;
        group->boxes = box;
    }
    box->ends |= end;
    return box;
}

yoke_status yki_local_channel_open(yki_comm *base, int peer, int tag, bool sends, yki_channel **channel_out)
{
    yki_local_comm *comm = (yki_local_comm *)base;
    yki_local_group *group = comm->group;
    yki_local_channel *channel = calloc(1, sizeof *channel);
    if (!channel) return yki_fail_memory("a channel");
    bool taken = false;
    pthread_mutex_lock(&group->lock);
    channel->box =
        find_box(group, sends ? base->rank : peer, sends ? peer : base->rank, tag, end_of(sends), &taken);
    pthread_mutex_unlock(&group->lock);
    if (!channel->box) {
        free(channel);
        return taken ? yki_fail(YOKE_INVALID, "rank %d opens channel %d with rank %d twice", base->rank, tag,
                                peer)
                     : yki_fail_memory("a channel");
    }
    channel->base = (yki_channel){
        .transport = &yki_local_transport, .comm = base, .peer = peer, .tag = tag, .sends = sends};
    channel->messages = atomic_load(sends ? &channel->box->sent : &channel->box->posted);
    channel->next = comm->owner->channels;
    comm->owner->channels = channel;
    *channel_out = &channel->base;
    return YOKE_OK;
}

void yki_local_channel_close(yki_channel *base)
{
    yki_local_channel *channel = (yki_local_channel *)base;
    yki_local_comm *comm = (yki_local_comm *)base->comm;
    yki_local_group *group = comm->group;
    yki_local_channel **own = &comm->owner->channels;
    while (*own != channel) own = &(*own)->next;
    *own = channel->next;
    pthread_mutex_lock(&group->lock);
    yki_local_box *box = channel->box;
    box->ends &= ~end_of(base->sends);
    if (box->ends == 0) {
        yki_local_box **link = &group->boxes;
        while (*link != box) link = &(*link)->next;
        *link = box->next;
        free(box);
    }
    pthread_mutex_unlock(&group->lock);
    free(channel);
}

void yki_local_boxes_release(yki_local_group *group)
{
    while (group->boxes) {
        yki_local_box *box = group->boxes;
        group->boxes = box->next;
        free(box);
    }
}

static void ring_peer(yki_local_channel *channel)
{
    yki_local_group *group = ((yki_local_comm *)channel->base.comm)->group;
    yki_bell_ring(&group->world->ranks[group->members[channel->base.peer].world_rank].bell);
}

yoke_status yki_local_channel_start(yki_channel *base, yki_request *request)
{
    yki_local_channel *channel = (yki_local_channel *)base;
    yki_local_box *box = channel->box;
    channel->messages++;
    if (base->sends) {
        box->from = request->in;
        box->from_bytes = request->bytes;
        atomic_store(&box->sent, channel->messages);
    } else {
        box->to = request->out;
        box->to_bytes = request->bytes;
        atomic_store(&box->posted, channel->messages);
    }
    ring_peer(channel);
    return YOKE_OK;
}

/* Ends the world where the two sides disagree on the bytes of their message. */
static void lose_message(yki_local_rank *owner, const yki_local_box *box)
{
    yoke_error saved = *yoke_error_get(); /* this may run in a wait for something else */
    yki_fail(YOKE_INVALID,
             "a message of %zu bytes on channel %d from rank %d met a receive of %zu bytes on rank %d",
             box->from_bytes, box->tag, box->source, box->to_bytes, box->target);
    yoke_error why = *yoke_error_get();
    yki_error_set(&saved);
    yki_local_lose(owner->world, owner->rank, &why);
}

bool yki_local_transfer(yki_local_channel *channel)
{
    yki_local_rank *owner = ((yki_local_comm *)channel->base.comm)->owner;
    yki_local_box *box = channel->box;
    uint64_t message = atomic_load(&box->moved);
    if (atomic_load(&box->sent) <= message || atomic_load(&box->posted) <= message) return false;
    if (!atomic_compare_exchange_strong(&box->claimed, &message, message + 1)) return false;
    if (!yki_local_enter(owner)) return true;
    bool agree = box->from_bytes == box->to_bytes;
    if (agree && box->to_bytes > 0) memcpy(box->to, box->from, box->to_bytes);
    yki_local_leave(owner);
    if (agree) {
        atomic_store(&box->moved, message + 1);
        ring_peer(channel);
    } else
        lose_message(owner, box);
    return true;
}

static bool message_moved(void *of)
{
    yki_local_channel *channel = of;
    if (atomic_load(&channel->box->moved) >= channel->messages) return true;
    return yki_local_transfer(channel) && atomic_load(&channel->box->moved) >= channel->messages;
}

yoke_status yki_local_channel_wait(yki_channel *base)
{
    yki_local_channel *channel = (yki_local_channel *)base;
    return yki_local_await(((yki_local_comm *)base->comm)->owner, message_moved, channel);
}
