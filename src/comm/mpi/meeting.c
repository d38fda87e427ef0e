/* A limit on how long processes take to meet: MPI waits for ever for one that never starts, and over a
 * network that lets its connections through and nothing else. The lifeline sees neither: it begins after
 * that. */
#include "comm/mpi/meeting.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"

enum { START_S = 60, PROCESSES_A_SECOND = 16, FIRST_S = 2 };

yoke_status yki_start_limit(int processes, double *limit_out)
{
    const char *given = getenv("YOKE_START_TIMEOUT");
    char *end;
    *limit_out = START_S + processes / PROCESSES_A_SECOND;
    if (!given || !given[0]) return YOKE_OK;
    *limit_out = strtod(given, &end);
    if (*end || !(*limit_out >= 0) || *limit_out > 1e9)
        return yki_fail(YOKE_INVALID,
                        "YOKE_START_TIMEOUT is '%.40s'; it takes seconds, e.g. 300, or 0 for no limit",
                        given);
    return YOKE_OK;
}

static void say(const yki_meeting *m, const char *where)
{
    char host[64] = "?";
    yoke_error why = {.status = YOKE_PEER_FAILED, .rank = m->launch->rank};
    gethostname(host, sizeof host - 1);
    snprintf(why.message, sizeof why.message,
             "rank %d on %s has waited %g s for the other processes of %d, %s: one has not started, or MPI "
             "finds no way to it; YOKE_START_TIMEOUT gives more seconds, or with 0 no limit",
             m->launch->rank, host, m->limit, m->launch->size, where);
    m->late(&why, 0);
    m->late(&why, 1);
}

static void *wait_for_end(void *of)
{
    yki_meeting *m = of;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    /* process 0 is the first to speak, and its end is the others' */
    double seconds = m->limit + (m->launch->rank ? FIRST_S : 0);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)(1e9 * (seconds - floor(seconds)));
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&m->lock);
    while (!m->over && pthread_cond_timedwait(&m->ended, &m->lock, &until) != ETIMEDOUT) continue;
    bool late = !m->over;
    const char *where = m->where;
    pthread_mutex_unlock(&m->lock);
    if (late) say(m, where);
    return NULL;
}

yoke_status yki_meeting_begin(yki_meeting *m, const yki_launched *launch, yki_loss_hook late)
{
    pthread_condattr_t clock;
    *m = (yki_meeting){.launch = launch, .late = late, .where = "in MPI_Init"};
    YKI_TRY(yki_start_limit(launch->size, &m->limit));
    if (!late || m->limit <= 0) return YOKE_OK;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&m->ended, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&m->thread, NULL, wait_for_end, m) != 0)
        return yki_fail(YOKE_SYSTEM, "the system gives no thread to watch over MPI's start");
    m->watched = true;
    return YOKE_OK;
}

void yki_meeting_at(yki_meeting *m, const char *where)
{
    if (!m->watched) return;
    pthread_mutex_lock(&m->lock);
    m->where = where;
    pthread_mutex_unlock(&m->lock);
}

void yki_meeting_end(yki_meeting *m)
{
    if (!m->watched) return;
    pthread_mutex_lock(&m->lock);
    m->over = true;
    pthread_cond_signal(&m->ended);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    pthread_cond_destroy(&m->ended);
    pthread_mutex_destroy(&m->lock);
}
