/* Sleeping until something has happened: a bell that a rank sleeps on and its peers ring.
 *
 * The sleeper arms the bell, looks once more whether there is something to do, and only then sleeps; who
 * changes what it looks at rings afterwards. Both sides use sequentially consistent atomics, so either the
 * sleeper sees the change or the ringer sees the sleeper. Ringing for nobody costs one load. On Linux this is
 * a futex; elsewhere, or with YKI_WAKE_PTHREAD, a condition variable. All of it is here, so that a test can
 * include either form. */
#ifndef YKI_COMM_LOCAL_WAKE_H
#define YKI_COMM_LOCAL_WAKE_H

#include <stdatomic.h>
#include <stdint.h>

#if !defined(__linux__) && !defined(YKI_WAKE_PTHREAD)
#define YKI_WAKE_PTHREAD 1
#endif

#ifdef YKI_WAKE_PTHREAD
#include <pthread.h>
#else
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct yki_bell {
    _Atomic uint32_t rings;
    _Atomic uint32_t sleepers; /* armed, not necessarily asleep yet */
#ifdef YKI_WAKE_PTHREAD
    pthread_mutex_t mutex;
    pthread_cond_t rung;
#endif
} yki_bell;

/* Tells the core that this is a polling loop. */
static inline void yki_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void yki_bell_init(yki_bell *bell)
{
    atomic_init(&bell->rings, 0);
    atomic_init(&bell->sleepers, 0);
#ifdef YKI_WAKE_PTHREAD
    pthread_mutex_init(&bell->mutex, NULL);
    pthread_cond_init(&bell->rung, NULL);
#endif
}

static inline void yki_bell_release(yki_bell *bell)
{
#ifdef YKI_WAKE_PTHREAD
    pthread_cond_destroy(&bell->rung);
    pthread_mutex_destroy(&bell->mutex);
#else
    (void)bell;
#endif
}

/* Announces that the caller will sleep. Returns what to pass to sleep; followed by disarm, slept or not. */
static inline uint32_t yki_bell_arm(yki_bell *bell)
{
    atomic_fetch_add(&bell->sleepers, 1);
    return atomic_load(&bell->rings);
}

static inline void yki_bell_disarm(yki_bell *bell)
{
    atomic_fetch_sub(&bell->sleepers, 1);
}

/* Sleeps unless the bell was rung since `armed`. May return early. */
static inline void yki_bell_sleep(yki_bell *bell, uint32_t armed)
{
#ifdef YKI_WAKE_PTHREAD
    pthread_mutex_lock(&bell->mutex);
    while (atomic_load(&bell->rings) == armed) pthread_cond_wait(&bell->rung, &bell->mutex);
    pthread_mutex_unlock(&bell->mutex);
#else
    syscall(SYS_futex, (uint32_t *)&bell->rings, FUTEX_WAIT_PRIVATE, armed, NULL, NULL, 0);
#endif
}

/* Wakes who sleeps. Called after the change that the sleeper looks for, which was a sequentially consistent
 * store. */
static inline void yki_bell_ring(yki_bell *bell)
{
    if (atomic_load(&bell->sleepers) == 0) return;
#ifdef YKI_WAKE_PTHREAD
    pthread_mutex_lock(&bell->mutex);
    atomic_fetch_add(&bell->rings, 1);
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->mutex);
#else
    atomic_fetch_add(&bell->rings, 1);
    syscall(SYS_futex, (uint32_t *)&bell->rings, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#endif
}

#endif
