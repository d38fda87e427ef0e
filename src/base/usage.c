/* See usage.h. The system counts in ticks of some milliseconds, so short stretches are to be added up. */
#include "base/usage.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

static int64_t own_ns(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0) return 0;
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000000) +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * INT64_C(1000);
}

/* Ticks that the cores of this thread's affinity were not idle, and how many those are. */
static bool read_busy(const char *root, int64_t *ticks_out, int *cores_out)
{
    char path[600], line[512];
    snprintf(path, sizeof path, "%.500s/proc/stat", root);
    FILE *file = fopen(path, "re");
    *ticks_out = *cores_out = 0;
    if (file == NULL) return false;
#ifdef __linux__
    cpu_set_t ours;
    bool known = sched_getaffinity(0, sizeof ours, &ours) == 0;
#endif
    while (fgets(line, sizeof line, file) != NULL) {
        int core;
        long long user, nice, system, interrupts, soft,
            stolen = 0; /* between them: idle, waiting for a disk */
        if (strncmp(line, "cpu ", 4) == 0 ||
            sscanf(line, "cpu%d %lld %lld %lld %*d %*d %lld %lld %lld", &core, &user, &nice, &system,
                   &interrupts, &soft, &stolen) < 6)
            continue;
#ifdef __linux__
        if (known && (core >= CPU_SETSIZE || !CPU_ISSET(core, &ours))) continue;
#endif
        *ticks_out += user + nice + system + interrupts + soft + stolen;
        ++*cores_out;
    }
    fclose(file);
    return *cores_out > 0;
}

bool yki_usage_get(const char *root, yki_usage *out)
{
    int64_t ticks, per_second = sysconf(_SC_CLK_TCK);
    *out = (yki_usage){0};
    if (per_second <= 0 || !read_busy(root, &ticks, &out->cores)) return false;
    out->wall_ns = (int64_t)yki_now_ns();
    out->busy_ns = ticks * (INT64_C(1000000000) / per_second);
    out->own_ns = own_ns();
    out->throttled_ns = yki_limit_throttled_ns(root);
    return true;
}

void yki_usage_add(yki_usage *sum, const yki_usage *begin, const yki_usage *end)
{
    sum->cores = end->cores;
    sum->wall_ns += end->wall_ns - begin->wall_ns;
    sum->busy_ns += end->busy_ns - begin->busy_ns;
    sum->own_ns += end->own_ns - begin->own_ns;
    sum->throttled_ns += end->throttled_ns - begin->throttled_ns;
}

double yki_usage_taken(const yki_usage *sum)
{
    enum { LEAST_MS = 100 };
    if (sum->wall_ns < LEAST_MS * INT64_C(1000000) || sum->cores <= 0) return NAN;
    double taken = (double)(sum->busy_ns - sum->own_ns) / ((double)sum->wall_ns * sum->cores);
    return taken < 0 ? 0 : taken > 1 ? 1 : taken;
}
