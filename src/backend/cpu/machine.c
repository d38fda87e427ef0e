/* Cores, binding, memory. The topology is read once a process and kept: loading it takes milliseconds. */
#include "backend/cpu/machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

#ifdef YOKE_HAVE_HWLOC
#include <hwloc.h>
static hwloc_topology_t topology;
static hwloc_cpuset_t *core_sets; /* cores[] in logical order, each cut to what the process may use */
#endif

static pthread_once_t cores_once = PTHREAD_ONCE_INIT;
static int present = 1, cores = 1; /* those that the process may run on; those that it has the time of */

static int affinity_cpus(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int count = online > 0 ? (int)online : 1;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) count = CPU_COUNT(&set);
#endif
    return count;
}

#ifdef YOKE_HAVE_HWLOC
/* The cores that have a CPU in the process's mask; false where hwloc can't say. */
static bool find_core_sets(void)
{
    if (hwloc_topology_init(&topology) != 0) return false;
    if (hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return false;
    }
    hwloc_cpuset_t allowed = hwloc_bitmap_alloc();
    int total = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE), count = 0;
    core_sets = total > 0 ? calloc((size_t)total, sizeof *core_sets) : NULL;
    if (allowed == NULL || core_sets == NULL) total = 0;
    if (total > 0 && hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) != 0)
        hwloc_bitmap_copy(allowed, hwloc_topology_get_allowed_cpuset(topology));
    for (int i = 0; i < total; i++) {
        hwloc_cpuset_t set =
            hwloc_bitmap_dup(hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, (unsigned)i)->cpuset);
        if (set != NULL) hwloc_bitmap_and(set, set, allowed);
        if (set != NULL && !hwloc_bitmap_iszero(set))
            core_sets[count++] = set;
        else
            hwloc_bitmap_free(set);
    }
    hwloc_bitmap_free(allowed);
    present = count;
    return count > 0;
}
#endif

static void find_cores(void)
{
    bool found = false;
#ifdef YOKE_HAVE_HWLOC
    found = find_core_sets();
#endif
    if (!found) present = affinity_cpus();
    int limit = yki_limit_cores("");
    cores = limit < present ? limit : present;
}

int yki_machine_cores(void)
{
    pthread_once(&cores_once, find_cores);
    return cores;
}

void yki_machine_bind(int first, int count)
{
    /* who has some cores' time has it on any: bound, processes in groups of their own would share the first
     * ones */
    if (yki_machine_cores() < present) return;
#ifdef YOKE_HAVE_HWLOC
    hwloc_cpuset_t set = core_sets != NULL ? hwloc_bitmap_alloc() : NULL;
    if (set == NULL) return;
    for (int i = first; i < first + count && i < present; i++)
        if (core_sets[i] != NULL) hwloc_bitmap_or(set, set, core_sets[i]);
    if (!hwloc_bitmap_iszero(set)) hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(set);
#else
    (void)first, (void)count;
#endif
}

int64_t yki_machine_memory_bytes(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
            limit = yki_limit_memory_bytes("");
    return limit < bytes ? limit : bytes;
}
