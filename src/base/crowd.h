/* Whether the cores that this process computes on are wanted by others too. Waiting by polling is the fastest
 * there is while every thread has a core; where somebody else computes it takes away the very core that the
 * awaited thread stands in line for, and a step becomes several times as long. So threads that wait ask here
 * how to. */
#ifndef YKI_BASE_CROWD_H
#define YKI_BASE_CROWD_H

#include <stdbool.h>
#include <stdint.h>

/* Begins and ends a watch: while there is one, a thread of its own looks some 20 times a second for how long
 * the process's threads stood in line for a core (Linux; elsewhere, and where the system gives no thread,
 * nothing is ever crowded). While it is crowded the teams of GNU's OpenMP wait for some microseconds only,
 * instead of milliseconds: it does so by itself when it has more threads than there are cores, and the watch
 * keeps as many asleep. Watches are counted; any thread may call. */
void yki_crowd_begin(void);
void yki_crowd_end(void);

/* Whether waiting threads should sleep at once. One load; false without a watch. */
bool yki_crowded(void);

/* Whether the calling thread is one of the watch's, which allocate as they like. */
bool yki_crowd_is_beside(void);

/* What the watch concludes from its looks. A share of the time is enough to begin, since one thread that
 * stands in line holds up all that wait for it; it ends when for a while hardly anybody did. */
typedef struct yki_crowd {
    bool crowded;
    int64_t quiet_ns; /* since when hardly any thread has stood in line */
} yki_crowd;
/* Threads stood in line for waited_ns, all together, in wall_ns. */
void yki_crowd_judge(yki_crowd *crowd, int64_t waited_ns, int64_t wall_ns);

#endif
