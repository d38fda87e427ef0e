/* Limits of control groups, read from a folder of files that looks like a machine. */
#include "base/limits.h"

#include "cmocka_all.h"
#include "folder.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Writes a file and the folders above it. */
static void put(const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", folder, path);
    for (char *slash = strchr(full + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void without_groups_nothing_is_limited(void **state)
{
    (void)state;
    assert_int_equal(yki_limit_cores(folder), INT_MAX);
    assert_true(yki_limit_memory_bytes(folder) == INT64_MAX);
    put("/proc/self/cgroup", "4:cpu,cpuacct:/a/b\n3:memory:/m\n0::/c\n");
    assert_int_equal(yki_limit_cores(folder), INT_MAX);
    assert_true(yki_limit_memory_bytes(folder) == INT64_MAX);
    assert_int_equal(yki_limit_throttled_ns(folder), 0);
}

static void version_2(void **state)
{
    (void)state;
    static const struct {
        const char *max;
        int cores;
    } cases[] = {{"max 100000", INT_MAX}, {"100000 100000", 1}, {"100001 100000", 2}, {"250000 100000", 3},
                 {"50000 100000", 1},     {"1 1000000", 1},     {"8000 1000", 8},     {"", INT_MAX},
                 {"0 100000", INT_MAX},   {"200000", INT_MAX},  {"5 0", INT_MAX},     {"-1 100000", INT_MAX}};
    put("/proc/self/cgroup", "0::/user/job\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("/sys/fs/cgroup/user/job/cpu.max", cases[i].max);
        assert_int_equal(yki_limit_cores(folder), cases[i].cores);
    }
    put("/sys/fs/cgroup/user/job/cpu.max", "max 100000"); /* what stands above holds too */
    put("/sys/fs/cgroup/user/cpu.max", "400000 100000");
    assert_int_equal(yki_limit_cores(folder), 4);
    put("/sys/fs/cgroup/user/job/cpu.max", "600000 100000");
    assert_int_equal(yki_limit_cores(folder), 4);
    put("/sys/fs/cgroup/cpu.max", "150000 100000"); /* a container sees its group as the root */
    assert_int_equal(yki_limit_cores(folder), 2);
    put("/proc/self/cgroup", "0::/not/here\n");
    assert_int_equal(yki_limit_cores(folder), 2);
    put("/sys/fs/cgroup/not/here/memory.max", "max");
    put("/sys/fs/cgroup/not/memory.max", "1048576");
    assert_true(yki_limit_memory_bytes(folder) == 1048576);
    put("/sys/fs/cgroup/not/cpu.stat", "usage_usec 5\nnr_throttled 2\nthrottled_usec 7\n");
    assert_int_equal(yki_limit_throttled_ns(folder), 7000);
}

static void version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n2:cpuset:/docker/1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu.max", "100000 100000"); /* of another hierarchy */
    assert_int_equal(yki_limit_cores(folder), INT_MAX);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(yki_limit_cores(folder), 4);
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "50000\n"); /* at its own name, and above */
    put("/sys/fs/cgroup/cpu/docker/cpu.cfs_period_us", "50000\n");
    assert_int_equal(yki_limit_cores(folder), 1);
    put("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "4096\n");
    assert_true(yki_limit_memory_bytes(folder) == 4096);
    put("/sys/fs/cgroup/cpu/docker/1/cpu.stat", "nr_periods 9\nnr_throttled 2\nthrottled_time 12345\n");
    assert_int_equal(yki_limit_throttled_ns(folder), 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_groups_nothing_is_limited, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(version_2, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(version_1, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
