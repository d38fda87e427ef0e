/* compare's verdict, of comparisons made by hand. */
#include "cmocka_all.h"
#include "predict/explain.h"

#include <stdio.h>
#include <string.h>

static yoke_compare_row row(const char *strategy, double ms, int64_t bytes, double speedup)
{
    yoke_compare_row r = {.status = YOKE_ROW_OK,
                          .step_ms = ms,
                          .step_ms_min = 0.99 * ms,
                          .step_ms_max = 1.01 * ms,
                          .speedup = speedup,
                          .measured_peak_bytes = bytes};
    snprintf(r.strategy, sizeof r.strategy, "%s", strategy);
    snprintf(r.limit, sizeof r.limit, "%s is limited by itself", strategy);
    return r;
}

static const char *verdict(yoke_comparison *c, yoke_compare_row *rows, int count)
{
    static yoke_job job = {.path = "/somewhere/gpt.yaml"};
    c->rows = rows, c->nrows = count, c->devices = 2, c->trusted = 1;
    yki_compare_verdict(&job, c);
    return c->verdict;
}

static void test_fastest_and_smaller(void **state)
{
    (void)state;
    yoke_comparison c = {0};
    yoke_compare_row rows[] = {row("single", 200, 80 << 20, 1), row("data", 100, 50 << 20, 2),
                               row("model", 190, 49 << 20, 1.05), row("pipeline", 120, 16 << 20, 1.67),
                               row("tensor", 101, 54 << 20, 1.98)};
    assert_string_equal(verdict(&c, rows, 5), "take data (100 ms a step, 2.00 times as fast as single); as "
                                              "fast within the rounds' spread: tensor, because data is "
                                              "limited by itself; where a device may hold less than 50.00 "
                                              "MiB, take pipeline (16.00 MiB, 120 ms); at which "
                                              "batch, model, links or number of devices the answer changes, "
                                              "`yoke plan gpt.yaml --devices 2 --why` says");
    /* nothing smaller; one that did not run does not count */
    rows[1].status = YOKE_ROW_DOES_NOT_FIT;
    rows[3].status = YOKE_ROW_REFUSED;
    rows[2].status = YOKE_ROW_FAILED;
    assert_string_equal(
        verdict(&c, rows, 5),
        "take tensor (101 ms a step, 1.98 times as fast as single), because tensor is limited by itself; at "
        "which batch, model, links or number of devices the answer changes, `yoke plan gpt.yaml "
        "--devices 2 --why` says");
}

static void test_one_device_is_best(void **state)
{
    (void)state;
    yoke_comparison c = {0};
    yoke_compare_row rows[] = {row("single", 1, 1000, 1), row("data", 3, 900, 0.33)};
    assert_non_null(strstr(verdict(&c, rows, 2), "take single (1 ms a step), because single"));
    assert_non_null(
        strstr(c.verdict, "where a device may hold less than 1000 bytes, take data (900 bytes, 3 ms)"));
}

static void test_no_trust_and_none(void **state)
{
    (void)state;
    yoke_comparison c = {0};
    yoke_job job = {.path = "gpt.yaml"};
    yoke_compare_row rows[] = {row("single", 1, 1000, 1)};
    c.rows = rows, c.nrows = 1, c.devices = 2;
    yki_compare_verdict(&job, &c);
    assert_int_equal(strncmp(c.verdict, "as far as these times can be trusted, take single", 49), 0);
    rows[0].status = YOKE_ROW_FAILED;
    assert_string_equal(verdict(&c, rows, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fastest_and_smaller),
                                       cmocka_unit_test(test_one_device_is_best),
                                       cmocka_unit_test(test_no_trust_and_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
