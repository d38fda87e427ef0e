/* The watch over the cores. See crowd.h. */
#include "base/crowd.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "base/clock.h"

enum {
    LOOK_MS = 40,
    DEARER = 500,       /* a look takes less than this part of the time: there may be many threads */
    BEGIN_PERCENT = 20, /* of the time, by one thread */
    QUIET_PERCENT = 10,
    QUIET_MS = 500,
    PARKED_MOST = 64 /* cores, beyond which no threads are kept asleep */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of beginning and ending */
static int watches;
static bool watching;
static pthread_t watch;
static DIR *tasks; /* this process's threads */

static pthread_mutex_t news_lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static bool over, leave;

static atomic_bool crowded;
static _Thread_local bool beside;

bool yki_crowd_is_beside(void)
{
    return beside;
}

bool yki_crowded(void)
{
    return atomic_load_explicit(&crowded, memory_order_relaxed);
}

void yki_crowd_judge(yki_crowd *crowd, int64_t waited_ns, int64_t wall_ns)
{
    if (waited_ns * 100 >= wall_ns * BEGIN_PERCENT) *crowd = (yki_crowd){.crowded = true};
    crowd->quiet_ns = waited_ns * 100 >= wall_ns * QUIET_PERCENT ? 0 : crowd->quiet_ns + wall_ns;
    if (crowd->quiet_ns >= QUIET_MS * INT64_C(1000000)) crowd->crowded = false;
}

/* How long the threads that there are have stood in line for a core, since each began: a look allocates
 * nothing. */
static int64_t in_line_ns(void)
{
    int64_t sum = 0;
    rewinddir(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[280], text[100]; /* nanoseconds on a core, in line for one, ... */
        long long waited = 0;
        snprintf(path, sizeof path, "%s/schedstat", entry->d_name);
        int file = entry->d_name[0] != '.' ? openat(dirfd(tasks), path, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0) continue;
        ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        text[length > 0 ? length : 0] = '\0';
        if (sscanf(text, "%*d %lld", &waited) == 1) sum += waited;
    }
    return sum;
}

/* --- threads asleep --- */

/* GNU's OpenMP gives each thread that begins teams threads of its own and keeps them until that thread ends;
 * they sleep, but are counted. */
static void *park(void *unused)
{
    beside = true;
#ifdef YOKE_HAVE_OPENMP
    int cores = omp_get_num_procs();
    omp_set_dynamic(0);
    if (cores <= PARKED_MOST) {
#pragma omp parallel num_threads(cores + 1)
        atomic_signal_fence(memory_order_seq_cst);
    }
#endif
    pthread_mutex_lock(&news_lock);
    while (!leave) pthread_cond_wait(&news, &news_lock);
    pthread_mutex_unlock(&news_lock);
    return unused;
}

typedef struct parked {
    bool are;
    pthread_t by;
} parked;

static void set_parked(parked *p, bool wanted)
{
    if (wanted == p->are) return;
    if (wanted) {
        leave = false;
        p->are = pthread_create(&p->by, NULL, park, NULL) == 0;
        return;
    }
    pthread_mutex_lock(&news_lock);
    leave = true;
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&news_lock);
    pthread_join(p->by, NULL);
    p->are = false;
}

/* --- the watch --- */

/* Until so many nanoseconds have passed; false: the watch is over. */
static bool pass(int64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    ns += t.tv_nsec;
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&news_lock);
    while (!over && pthread_cond_timedwait(&news, &news_lock, &t) == 0) continue;
    bool goes_on = !over;
    pthread_mutex_unlock(&news_lock);
    return goes_on;
}

static void *look(void *unused)
{
    yki_crowd crowd = {0};
    parked asleep = {0};
    int64_t at = (int64_t)yki_now_ns(), waited = in_line_ns(), dear = 0;
    beside = true;
    while (pass(dear > LOOK_MS * INT64_C(1000000) ? dear : LOOK_MS * INT64_C(1000000))) {
        int64_t begin = (int64_t)yki_now_ns(), sum = in_line_ns();
        dear = ((int64_t)yki_now_ns() - begin) * DEARER;
        if (sum >= waited) yki_crowd_judge(&crowd, sum - waited, begin - at); /* less: a thread has ended */
        at = begin, waited = sum;
        atomic_store_explicit(&crowded, crowd.crowded, memory_order_relaxed);
        set_parked(&asleep, crowd.crowded);
    }
    set_parked(&asleep, false);
    atomic_store_explicit(&crowded, false, memory_order_relaxed);
    return unused;
}

void yki_crowd_begin(void)
{
    pthread_mutex_lock(&lock);
    if (watches++ == 0) {
        over = false;
        tasks = opendir("/proc/self/task");
        watching = tasks && pthread_create(&watch, NULL, look, NULL) == 0;
    }
    pthread_mutex_unlock(&lock);
}

void yki_crowd_end(void)
{
    pthread_mutex_lock(&lock);
    if (--watches == 0 && watching) {
        pthread_mutex_lock(&news_lock);
        over = true;
        pthread_cond_broadcast(&news);
        pthread_mutex_unlock(&news_lock);
        pthread_join(watch, NULL);
        watching = false;
    }
    if (watches == 0 && tasks) {
        closedir(tasks);
        tasks = NULL;
    }
    pthread_mutex_unlock(&lock);
}
