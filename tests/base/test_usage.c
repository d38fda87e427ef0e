/* Who used the cores, from a folder of files that looks like a machine. */
#include "base/usage.h"

#include "cmocka_all.h"
#include "folder.h"

#include <math.h>
#include <sched.h>
#include <sys/stat.h>

enum { MS = 1000000 };

static void busy_time_is_that_of_our_cores(void **state)
{
    (void)state;
    cpu_set_t before, one;
    yki_usage a, b, sum = {0};
    assert_false(yki_usage_get(folder, &a)); /* there is nothing */
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int first = 0;
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    char text[600];
    assert_int_equal(mkdir(in_folder("proc"), 0777), 0);
    for (int k = 0; k < 2; k++) {
        snprintf(text, sizeof text,
                 "cpu  9 9 9 9 9 9 9 9 0 0\ncpu%d %d 20 30 4000 500 60 70 80 5 5\ncpu%d 1 1 1 1 1 1 1 "
                 "%d\nintr 5 6\n",
                 first, 10 + 25 * k, first + 1, 1 + 1000 * k);
        write_text(in_folder("proc/stat"), text);
        assert_true(yki_usage_get(folder, k ? &b : &a));
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(a.cores, 1);
    int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
    assert_true(a.busy_ns == 270 * tick);
    assert_true(b.busy_ns == 295 * tick);
    assert_true(b.wall_ns >= a.wall_ns && b.own_ns >= a.own_ns);
    yki_usage_add(&sum, &a, &b);
    assert_true(sum.busy_ns == 25 * tick && sum.cores == 1);
}

static void what_others_took_is_a_share(void **state)
{
    (void)state;
    assert_true(isnan(yki_usage_taken(&(yki_usage){0})));
    yki_usage sum = {.cores = 2, .wall_ns = 100 * MS, .busy_ns = 180 * MS, .own_ns = 100 * MS};
    assert_true(fabs(yki_usage_taken(&sum) - 0.4) < 1e-12);
    sum.own_ns = 190 * MS; /* ticks are coarse */
    assert_true(yki_usage_taken(&sum) == 0);
    sum = (yki_usage){.cores = 1, .wall_ns = 99 * MS, .busy_ns = 20 * MS};
    assert_true(isnan(yki_usage_taken(&sum)));
    sum = (yki_usage){.cores = 1, .wall_ns = 100 * MS, .busy_ns = 200 * MS};
    assert_true(yki_usage_taken(&sum) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(busy_time_is_that_of_our_cores, make_folder, remove_folder),
        cmocka_unit_test(what_others_took_is_a_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
