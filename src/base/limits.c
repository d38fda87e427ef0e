/* Control groups: /proc/self/cgroup names the group in each hierarchy, files in the group's folder say the
 * limits. A container may see its own group as the root, so every folder on the way up is looked at and none
 * has to be there. */
#include "base/limits.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a folder of a hierarchy says; INT64_MAX: nothing. */
typedef int64_t reader(const char *folder, bool version_2);

static FILE *open_in(const char *folder, const char *name)
{
    char path[2600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "re");
}

/* The positive number that a file begins with, or INT64_MAX where there is none ("max", -1, no such file). */
static int64_t read_number(const char *folder, const char *name)
{
    FILE *file = open_in(folder, name);
    long long value = 0;
    if (file == NULL) return INT64_MAX;
    int got = fscanf(file, "%lld", &value);
    fclose(file);
    return got == 1 && value > 0 ? value : INT64_MAX;
}

static int64_t memory_of(const char *folder, bool version_2)
{
    return read_number(folder, version_2 ? "memory.max" : "memory.limit_in_bytes");
}

static int64_t cores_of(const char *folder, bool version_2)
{
    long long quota = 0, period = 0;
    if (version_2) { /* "max 100000" or "150000 100000" */
        FILE *file = open_in(folder, "cpu.max");
        if (file == NULL) return INT64_MAX;
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = 0;
        fclose(file);
    } else {
        quota = read_number(folder, "cpu.cfs_quota_us");
        period = read_number(folder, "cpu.cfs_period_us");
    }
    if (quota <= 0 || quota == INT64_MAX || period <= 0 || period == INT64_MAX) return INT64_MAX;
    return (quota - 1) / period + 1;
}

/* As its negative: the least is sought. */
static int64_t throttled_of(const char *folder, bool version_2)
{
    FILE *file = open_in(folder, "cpu.stat");
    char key[64];
    long long value, found = 0;
    if (file == NULL) return INT64_MAX;
    while (fscanf(file, "%63s %lld", key, &value) == 2) {
        if (version_2 && strcmp(key, "throttled_usec") == 0) found = value * 1000;
        if (!version_2 && strcmp(key, "throttled_time") == 0) found = value;
    }
    fclose(file);
    return found > 0 ? -found : INT64_MAX;
}

/* `group` is cut as it goes. */
static int64_t least_up(const char *hierarchy, char *group, reader *read, bool version_2)
{
    int64_t least = INT64_MAX;
    for (;;) {
        char folder[2500];
        snprintf(folder, sizeof folder, "%s%s", hierarchy, group);
        int64_t limit = read(folder, version_2);
        if (limit < least) least = limit;
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* Whether a list "cpu,cpuacct" has it. */
static bool has(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    return false;
}

static int64_t least(const char *root, const char *controller, reader *read)
{
    char path[600], line[1200], group[1200], hierarchy[1200];
    int64_t found = INT64_MAX;
    snprintf(path, sizeof path, "%.500s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) return found;
    while (fgets(line, sizeof line, file) != NULL) { /* ID:controllers:/path */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *place = controllers ? strchr(controllers + 1, ':') : NULL;
        if (place == NULL) continue;
        *controllers++ = *place++ = '\0';
        bool version_2 = *controllers == '\0';
        if (!version_2 && !has(controllers, controller)) continue;
        /* a hierarchy of several controllers is at their names, and mostly at each one's too */
        const char *const names[] = {version_2 ? "" : controller, version_2 ? NULL : controllers};
        for (int i = 0; i < 2 && names[i]; i++) {
            snprintf(hierarchy, sizeof hierarchy, "%.500s/sys/fs/cgroup%s%.600s", root,
                     names[i][0] ? "/" : "", names[i]);
            snprintf(group, sizeof group, "%s", place);
            int64_t limit = least_up(hierarchy, group, read, version_2);
            if (limit < found) found = limit;
        }
    }
    fclose(file);
    return found;
}

int64_t yki_limit_memory_bytes(const char *root)
{
    return least(root, "memory", memory_of);
}

int yki_limit_cores(const char *root)
{
    int64_t cores = least(root, "cpu", cores_of);
    return cores < INT_MAX ? (int)cores : INT_MAX;
}

int64_t yki_limit_throttled_ns(const char *root)
{
    int64_t negative = least(root, "cpu", throttled_of);
    return negative < 0 ? -negative : 0;
}
