/* Threads of the test's own process. */
#ifndef YKI_TESTS_THREADS_H
#define YKI_TESTS_THREADS_H

#include <dirent.h>

#include "cmocka_all.h"

/* How many there are. */
static inline int threads_here(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

#endif
