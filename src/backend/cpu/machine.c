/* Cores, binding, memory. The topology is read once a process and kept: loading it takes milliseconds. */
#include "backend/cpu/machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef YOKE_HAVE_HWLOC
#include <hwloc.h>
static hwloc_topology_t topology;
static hwloc_cpuset_t *core_sets; /* cores[] in logical order, each cut to what the process may use */
#endif

static pthread_once_t cores_once = PTHREAD_ONCE_INIT;
static int cores = 1;

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
    cores = count;
    return count > 0;
}
#endif

static void find_cores(void)
{
#ifdef YOKE_HAVE_HWLOC
    if (find_core_sets()) return;
#endif
    cores = affinity_cpus();
}

int yki_machine_cores(void)
{
    pthread_once(&cores_once, find_cores);
    return cores;
}

void yki_machine_bind(int first, int count)
{
    int known = yki_machine_cores();
    (void)known;
#ifdef YOKE_HAVE_HWLOC
    hwloc_cpuset_t set = core_sets != NULL ? hwloc_bitmap_alloc() : NULL;
    if (set == NULL) return;
    for (int i = first; i < first + count && i < known; i++)
        if (core_sets[i] != NULL) hwloc_bitmap_or(set, set, core_sets[i]);
    if (!hwloc_bitmap_iszero(set)) hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(set);
#else
    (void)first, (void)count;
#endif
}

/* The number in a control file, or INT64_MAX where there is none ("max", no such file). */
static int64_t read_limit(const char *path)
{
    FILE *file = fopen(path, "re");
    long long value = 0;
    if (file == NULL) return INT64_MAX;
    int got = fscanf(file, "%lld", &value);
    fclose(file);
    return got == 1 && value > 0 ? value : INT64_MAX;
}

/* The smallest limit on the way from a group up to its root. `group` is cut as it goes. */
static int64_t group_limit(const char *root, char *group, const char *control)
{
    int64_t least = INT64_MAX;
    for (;;) {
        char path[1400];
        snprintf(path, sizeof path, "%s%s/%s", root, group, control);
        int64_t limit = read_limit(path);
        if (limit < least) least = limit;
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

int64_t yki_machine_memory_bytes(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) return bytes;
    char line[1200];
    while (fgets(line, sizeof line, file) != NULL) { /* ID:controllers:/path */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) continue;
        *controllers++ = *group++ = '\0';
        int64_t limit = INT64_MAX;
        if (*controllers == '\0')
            limit = group_limit("/sys/fs/cgroup", group, "memory.max");
        else if (strcmp(controllers, "memory") == 0)
            limit = group_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        if (limit < bytes) bytes = limit;
    }
    fclose(file);
    return bytes;
}
