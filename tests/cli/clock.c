/* Preloaded: the steady clock runs a hundred million times as fast, so that a minute passes in every step of
 * a program. Waits have the system's own clock. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static long long origin;
    if (syscall(SYS_clock_gettime, clock, out) != 0) return -1;
    if (clock != CLOCK_MONOTONIC) return 0;
    long long ns = (long long)out->tv_sec * 1000000000 + out->tv_nsec;
    if (!origin) origin = ns;
    long long fast_us = (ns - origin) * 100000;
    out->tv_sec = fast_us / 1000000;
    out->tv_nsec = fast_us % 1000000 * 1000;
    return 0;
}
