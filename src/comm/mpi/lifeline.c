/* Signs of life: a connection from every process to process 0, and a thread that sends and listens. A process
 * that is killed closes its connection at once; one that is stopped falls silent. Nothing else travels here:
 * what ranks compute goes through MPI. The address and a secret are told over MPI, and the port takes no more
 * connections once all are there. */
#include "comm/mpi/lifeline.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"

static yki_lifeline line = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { TICK_MS = 200 };

static double now(void)
{
    return 1e-9 * yki_now_ns();
}

/* --- frames --- */

/* Whole frames only; a peer that takes none for long has other troubles. Under the lock. */
static void send_frame(yki_peer *peer, const yki_frame *frame)
{
    const char *at = (const char *)frame;
    size_t left = sizeof *frame;
    for (int tries = 0; left > 0 && peer->fd >= 0 && tries < 50;) {
        ssize_t sent = send(peer->fd, at, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            left -= (size_t)sent;
        } else if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (left == sizeof *frame && frame->kind == YKI_FRAME_BEAT) return; /* the next one will do */
            struct pollfd ready = {.fd = peer->fd, .events = POLLOUT};
            poll(&ready, 1, 20);
            tries++;
        } else
            return;
    }
}

static void send_all(const yki_frame *frame, int but)
{
    for (int p = 0; p < line.size; p++)
        if (p != but && line.peers[p].fd >= 0) send_frame(&line.peers[p], frame);
}

/* Asks the run what its ranks do; armed false where there is none. */
static yki_signs own_signs(void)
{
    yki_signs signs = {.ranks = 1};
    if (line.watched) line.watch.signs(line.watch.context, &signs);
    return signs;
}

static int ranks_each(void)
{
    return line.watched ? line.watch.ranks : 1;
}

static double patience(void)
{
    return !line.watched ? 60 : line.watch.seconds > 0 ? line.watch.seconds : 1e30;
}

static yki_frame frame_of(yki_frame_kind kind, const yoke_error *error)
{
    yki_frame frame = {.magic = YKI_FRAME_MAGIC, .kind = kind, .rank = -1};
    if (!error) return frame;
    frame.status = error->status;
    frame.rank = error->rank;
    frame.line = error->line;
    memcpy(frame.text, error->message, sizeof frame.text - 1);
    memcpy(frame.file, error->file, sizeof frame.file - 1);
    memcpy(frame.key, error->key, sizeof frame.key - 1);
    return frame;
}

static yoke_error error_of(const yki_frame *frame)
{
    yoke_error error = {.status = (yoke_status)frame->status, .rank = frame->rank, .line = frame->line};
    memcpy(error.message, frame->text, sizeof error.message - 1);
    memcpy(error.file, frame->file, sizeof error.file - 1);
    memcpy(error.key, frame->key, sizeof error.key - 1);
    return error;
}

/* --- loss --- */

/* From process 0 to whoever waits for that with its end. Under the lock. */
static void release(int process)
{
    yki_frame heard = frame_of(YKI_FRAME_HEARD, NULL);
    if (line.rank == 0) send_frame(&line.peers[process], &heard);
}

/* What this process knows of a loss: to the run, then to whoever asked. Not under the lock. */
static void tell(const yoke_error *why)
{
    pthread_mutex_lock(&line.lock);
    bool first = !line.lost;
    line.lost = true;
    yki_watch watch = line.watch;
    bool watched = line.watched;
    line.telling = true;
    pthread_mutex_unlock(&line.lock);
    if (first && line.hook) line.hook(why, 0); /* at once: a launcher may end this process any moment */
    if (first && watched) watch.lost(watch.context, why);
    pthread_mutex_lock(&line.lock);
    line.telling = false;
    pthread_cond_broadcast(&line.told);
    pthread_mutex_unlock(&line.lock);
    if (first && line.hook) line.hook(why, 1);
}

/* A peer is lost: `how` follows its name. Process 0 tells the others. Under the lock, which it gives up. */
static void lose_peer(int process, const char *how)
{
    yki_signs mine = own_signs();
    char name[YKI_HOST_BYTES + 64];
    yoke_error why = {.status = YOKE_PEER_FAILED, .rank = process * ranks_each()};
    line.peers[process].gone = true;
    yki_cluster_name(process, ranks_each(), name, sizeof name);
    snprintf(why.message, sizeof why.message, "%s %s", name, how);
    if (line.rank == 0) {
        yki_frame frame = frame_of(YKI_FRAME_LOST, &why);
        send_all(&frame, -1);
    }
    size_t said = strlen(why.message);
    snprintf(why.message + said, sizeof why.message - said, "%s%s", mine.where[0] ? "; " : "", mine.where);
    pthread_mutex_unlock(&line.lock);
    tell(&why);
    pthread_mutex_lock(&line.lock);
}

/* A record that another process sent: of a peer's loss, or of its own failure. */
static void take_loss(int from, const yki_frame *frame)
{
    yoke_error why = error_of(frame);
    if (line.rank == 0) send_all(frame, from);
    if (frame->world > line.world) {
        line.pending = *frame;
        return;
    }
    if (frame->world && frame->world < line.world) { /* nobody waits in that one any more */
        release(from);
        return;
    }
    if (why.status == YOKE_PEER_FAILED) {
        yki_signs mine = own_signs();
        size_t said = strlen(why.message);
        snprintf(why.message + said, sizeof why.message - said, "%s%s", mine.where[0] ? "; " : "",
                 mine.where);
    }
    if (frame->kind == YKI_FRAME_FAILED) line.peers[from].gone = true;
    pthread_mutex_unlock(&line.lock);
    tell(&why);
    pthread_mutex_lock(&line.lock);
}

/* --- the thread --- */

static void take_frame(int from, const yki_frame *frame)
{
    yki_peer *peer = &line.peers[from];
    peer->silent = 0;
    if (frame->magic != YKI_FRAME_MAGIC) return;
    if (frame->kind == YKI_FRAME_BYE) peer->gone = true;
    if (frame->kind == YKI_FRAME_HEARD) {
        line.heard = true;
        pthread_cond_broadcast(&line.told);
    }
    if (frame->kind == YKI_FRAME_LOST || frame->kind == YKI_FRAME_FAILED) take_loss(from, frame);
    if (frame->kind != YKI_FRAME_BEAT) return;
    if (frame->signs.progress != peer->signs.progress) peer->still = 0;
    peer->signs = frame->signs;
}

static void listen_to(int from)
{
    yki_peer *peer = &line.peers[from];
    while (peer->fd >= 0) {
        ssize_t count =
            recv(peer->fd, (char *)&peer->frame + peer->have, sizeof peer->frame - peer->have, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count <= 0) {
            close(peer->fd);
            peer->fd = -1;
            pthread_cond_broadcast(&line.told);
            if (!peer->gone && !line.lost) lose_peer(from, "is gone: its process ended");
            return;
        }
        peer->have += (size_t)count;
        if (peer->have < sizeof peer->frame) continue;
        peer->have = 0;
        yki_frame frame = peer->frame;
        take_frame(from, &frame);
    }
}

/* Nobody goes on, and somebody waits: whoever does not wait is to blame. On process 0. */
static void find_stall(double limit)
{
    bool waits = false;
    int blamed = -1;
    for (int p = 0; p < line.size; p++) {
        const yki_peer *peer = &line.peers[p];
        if (peer->still < limit) return;
        waits |= peer->signs.armed && peer->signs.waiting > 0;
        if (blamed < 0 && (!peer->signs.armed || peer->signs.waiting < peer->signs.ranks)) blamed = p;
    }
    if (!waits) return;
    char how[600];
    const yki_signs *signs = &line.peers[blamed < 0 ? 0 : blamed].signs;
    snprintf(how, sizeof how, "has not gone on for %.0f s (train.timeout)%s%.390s", limit,
             signs->where[0] ? ": " : "", signs->where);
    lose_peer(blamed < 0 ? 0 : blamed, how);
}

/* Time that passed with this process awake: a machine that slept has heard nobody, and lost nobody. */
static void pass(double seconds)
{
    double limit = patience();
    yki_signs mine = own_signs();
    yki_frame frame = frame_of(YKI_FRAME_BEAT, NULL);
    yki_peer *self = &line.peers[line.rank];
    if (mine.progress != self->signs.progress) self->still = 0;
    self->signs = mine;
    frame.signs = mine;
    send_all(&frame, -1);
    for (int p = 0; p < line.size; p++) {
        yki_peer *peer = &line.peers[p];
        peer->still += seconds;
        if (p == line.rank || peer->fd < 0 || peer->gone) continue;
        peer->silent += seconds;
        char how[100];
        snprintf(how, sizeof how, "gave no sign of life for %.0f s (train.timeout)", limit);
        if (peer->silent > limit && !line.lost) lose_peer(p, how);
    }
    if (line.rank == 0 && !line.lost) find_stall(limit + 1);
}

static void *watch_thread(void *unused)
{
    struct pollfd *fds = calloc((size_t)line.size + 1, sizeof *fds);
    double last = now();
    pthread_mutex_lock(&line.lock);
    while (fds && !line.quit) {
        for (int p = 0; p < line.size; p++) fds[p] = (struct pollfd){line.peers[p].fd, POLLIN, 0};
        fds[line.size] = (struct pollfd){line.wake[0], POLLIN, 0};
        pthread_mutex_unlock(&line.lock);
        poll(fds, (nfds_t)line.size + 1, TICK_MS);
        pthread_mutex_lock(&line.lock);
        for (int p = 0; p < line.size; p++)
            if (fds[p].revents && line.peers[p].fd >= 0) listen_to(p);
        double t = now();
        if (t - last < TICK_MS * 1e-3) continue;
        pass(t - last < 2 * TICK_MS * 1e-3 ? t - last : 2 * TICK_MS * 1e-3);
        last = t;
    }
    pthread_mutex_unlock(&line.lock);
    free(fds);
    return unused;
}

yoke_status yki_lifeline_open(yki_cluster *cluster, yki_loss_hook hook)
{
    line.hook = hook;
    line.rank = cluster->rank;
    line.size = cluster->size;
    pthread_cond_init(&line.told, NULL);
    line.peers = calloc((size_t)line.size, sizeof *line.peers);
    if (!line.peers || pipe(line.wake) != 0) return yki_fail_memory("the lifeline");
    for (int p = 0; p < line.size; p++) line.peers[p].fd = -1;
    YKI_TRY(yki_lifeline_connect(cluster, line.peers));
    if (pthread_create(&line.thread, NULL, watch_thread, NULL) != 0)
        return yki_fail(YOKE_SYSTEM, "the system gives no thread for the lifeline");
    return YOKE_OK;
}

/* Until process 0 has said what it was told, and has taken away a save that was under way: the launcher may
 * end it as soon as this process exits. A process 0 that is stopped never does. Under the lock. */
static void wait_until_heard(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 2;
    while (!line.heard && line.peers[0].fd >= 0)
        if (pthread_cond_timedwait(&line.told, &line.lock, &limit) != 0) return;
}

void yki_lifeline_close(const yoke_error *why)
{
    yki_frame frame = frame_of(why ? YKI_FRAME_FAILED : YKI_FRAME_BYE, why);
    pthread_mutex_lock(&line.lock);
    if (!why || !line.lost) send_all(&frame, -1);
    for (int p = 0; why && p < line.size; p++) release(p);
    line.quit = !why;
    line.lost = true; /* the rest is an end, not a loss */
    bool told = why && why->status != YOKE_PEER_FAILED && !pthread_equal(pthread_self(), line.thread);
    if (told && line.rank > 0) wait_until_heard();
    pthread_mutex_unlock(&line.lock);
    if (why) return; /* the connection closes with the process */
    if (write(line.wake[1], "", 1) == 1) pthread_join(line.thread, NULL);
    for (int p = 0; p < line.size; p++)
        if (line.peers[p].fd >= 0) close(line.peers[p].fd);
    close(line.wake[0]);
    close(line.wake[1]);
    free(line.peers);
    line.size = 0;
}

void yki_cluster_watch(const yki_watch *watch)
{
    pthread_mutex_lock(&line.lock);
    while (line.telling && !pthread_equal(pthread_self(), line.thread))
        pthread_cond_wait(&line.told, &line.lock);
    line.watched = watch != NULL;
    bool gone = false;
    for (int p = 0; p < line.size; p++) {
        line.peers[p].still = 0;
        gone |= line.peers[p].gone;
    }
    if (watch) {
        line.watch = *watch;
        line.world++;
        if (!gone) line.lost = line.heard = false;
    }
    bool told = watch && line.pending.magic && line.pending.world == line.world;
    yki_frame pending = line.pending;
    if (told) line.pending.magic = 0;
    pthread_mutex_unlock(&line.lock);
    if (!told) return;
    yoke_error why = error_of(&pending);
    tell(&why);
}

void yki_cluster_lose(const yoke_error *why)
{
    yki_frame frame = frame_of(YKI_FRAME_LOST, why);
    pthread_mutex_lock(&line.lock);
    frame.world = line.world;
    if (!line.lost && line.size > 0) send_all(&frame, -1);
    line.lost = true;
    pthread_mutex_unlock(&line.lock);
}

void yki_lifeline_await_loss(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 1;
    pthread_mutex_lock(&line.lock);
    while (!line.lost || line.telling)
        if (pthread_cond_timedwait(&line.told, &line.lock, &limit) != 0) break;
    pthread_mutex_unlock(&line.lock);
}
