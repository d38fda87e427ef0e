/* The watch over ranks: what each does, as others see it, and the loss of a run in which nobody goes on. It
 * looks from a thread of its own: in a cluster the lifeline's, else one of the run's. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "run/rank.h"

/* "rank 0 waits in step 12, action F3, for all_reduce over dp". */
static void describe(const yki_rank *rank, char *text, size_t size)
{
    static const char *const kinds[] = {
        [YOKE_ACTION_F] = "F", [YOKE_ACTION_B] = "B", [YOKE_ACTION_W] = "W", [YOKE_ACTION_BW] = "BW"};
    const yki_instruction *in = atomic_load(&rank->post.moving);
    const char *waiting = atomic_load(&rank->post.waiting);
    int64_t step = atomic_load(&rank->post.step);
    uint32_t action = atomic_load(&rank->post.action);
    size_t said =
        (size_t)snprintf(text, size, "rank %d %s", rank->rank, in || waiting ? "waits" : "computes");
    if (step < 0) {
        snprintf(text, size, "rank %d is between steps", rank->rank);
        return;
    }
    said += (size_t)snprintf(text + said, size - said, " in step %lld", (long long)step);
    if (action > 0)
        said += (size_t)snprintf(text + said, size - said, ", action %s%u", kinds[(action - 1) % 8],
                                 (action - 1) / 8);
    if (in && in->kind == YKI_DO_COPY)
        snprintf(text + said, size - said, ", for a copy %s another stage",
                 in->as.copy.sends ? "to" : "from");
    else if (in && in->kind == YKI_DO_DRAIN)
        snprintf(text + said, size - said, ", for its copies to other stages");
    else if (in && in->kind == YKI_DO_AGREE)
        snprintf(text + said, size - said, ", for the sum of losses over all ranks");
    else if (in)
        snprintf(text + said, size - said, ", for %s over %s", yki_op_name(in->op),
                 yki_axis_names[rank->plan->groups[yki_group_of(in)].axis]);
    else if (waiting)
        snprintf(text + said, size - said, ", for %s", waiting);
}

static bool waits(const yki_rank *rank)
{
    return atomic_load(&rank->post.moving) || atomic_load(&rank->post.waiting);
}

/* What this process's ranks do; `where` is about the one to blame: who does not wait, or else the first. */
static void signs_of(const yki_run *run, bool blames, yki_signs *out)
{
    const yki_rank *about = NULL;
    *out = (yki_signs){.ranks = run->nlocal};
    for (int i = 0; i < run->nlocal; i++) {
        const yki_rank *rank = &run->ranks[i];
        bool waiting = waits(rank);
        out->progress += atomic_load_explicit(&rank->post.progress, memory_order_relaxed);
        out->waiting += waiting;
        out->armed |= atomic_load(&rank->post.step) >= 0;
        if (!about || (waiting != blames && waits(about) == blames)) about = rank;
    }
    describe(about, out->where, sizeof out->where);
}

static void signs(void *run, yki_signs *out)
{
    signs_of(run, false, out);
}

static void lost(void *of, const yoke_error *why)
{
    yki_world_lose(((yki_run *)of)->world, why);
}

/* Until a tick has passed; false: the run ends. */
static bool tick(yki_guard *guard, int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + ms * INT64_C(1000000);
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&guard->lock);
    while (!guard->quit && pthread_cond_timedwait(&guard->ended, &guard->lock, &t) == 0) continue;
    bool goes_on = !guard->quit;
    pthread_mutex_unlock(&guard->lock);
    return goes_on;
}

/* Ranks of one process. */
static void *look(void *of)
{
    enum { TICK_MS = 200 };
    yki_run *run = of;
    yki_signs last = {0}, now;
    double still = 0;
    while (tick(&run->guard, TICK_MS)) {
        signs_of(run, true, &now);
        /* ticks, not time: a process that was stopped, or a machine that slept, has lost nobody */
        still = now.armed && now.waiting > 0 && now.progress == last.progress ? still + TICK_MS * 1e-3 : 0;
        last = now;
        if (still < run->guard.timeout) continue;
        yki_fail(YOKE_PEER_FAILED, "no rank has gone on for %.0f s (train.timeout): %s", still, now.where);
        yki_world_lose(run->world, yoke_error_get());
        return NULL;
    }
    return NULL;
}

yoke_status yki_guard_start(yki_run *run, double timeout)
{
    run->guard.timeout = timeout;
    pthread_mutex_init(&run->guard.lock, NULL);
    pthread_cond_init(&run->guard.ended, NULL);
    run->guard.ready = true;
    if (run->clustered) {
        yki_watch watch = {run->nlocal, timeout, signs, lost, run};
        run->guard.watches = true;
        yki_cluster_watch(&watch);
    } else if (run->nlocal > 1 && timeout > 0) {
        if (pthread_create(&run->guard.thread, NULL, look, run) != 0)
            return yki_fail(YOKE_SYSTEM, "the system gives no thread to watch the ranks");
        run->guard.started = true;
    }
    return YOKE_OK;
}

void yki_guard_stop(yki_run *run)
{
    yki_guard *guard = &run->guard;
    if (!guard->ready) return;
    if (guard->watches) yki_cluster_watch(NULL);
    pthread_mutex_lock(&guard->lock);
    guard->quit = true;
    pthread_cond_signal(&guard->ended);
    pthread_mutex_unlock(&guard->lock);
    if (guard->started) pthread_join(guard->thread, NULL);
    pthread_mutex_destroy(&guard->lock);
    pthread_cond_destroy(&guard->ended);
    guard->ready = false;
}
