/* The search against all that there is to choose from: every candidate of a small job simulated, none is
 * faster than the choice. */
#include "cmocka_all.h"
#include "predict/of_job.h"
#include "predict/search/search.h"
#include "predict/simulate/simulate.h"
#include "yoke/planning.h"

#include <math.h>
#include <stdlib.h>

typedef struct all {
    const yoke_machine *machine;
    int devices, simulated;
    int64_t considered;
    double fastest;
} all;

static yoke_status simulate_all(const yki_plan_options *options, void *context)
{
    all *a = context;
    yki_candidates found = {0};
    for (int n = 1; n <= a->devices; n++)
        if (a->devices % n == 0) assert_int_equal(yki_candidates_over(options, n, &found), YOKE_OK);
    a->considered = found.count;
    for (int i = 0; i < found.count; i++) {
        yki_plan_options one = *options;
        double seconds;
        one.layout = yki_candidate_layout(&found.list[i], &options->layout);
        if (yki_simulated_step(&one, a->machine, &seconds) != YOKE_OK) continue;
        a->simulated++;
        a->fastest = fmin(a->fastest, seconds);
    }
    free(found.list);
    return YOKE_OK;
}

static void test_none_is_faster(void **state)
{
    (void)state;
    static const char model[] = YKI_SEARCH_FILES "/gpt.yaml";
    static const struct {
        int devices;
        double memory, bandwidth, latency;
    } cases[] = {{1, 1e9, 1e10, 1e-6},
                 {2, 1e9, 1e10, 1e-6},
                 {4, 1e9, 1e8, 1e-5},
                 {4, 4e5, 1e9, 1e-6},
                 {4, 1e9, 1e11, 1e-7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_machine machine = {.name = "m", .nlevels = 1, .ndevices = cases[i].devices};
        yoke_planned *planned = NULL;
        yoke_job *job = NULL;
        machine.device.memory_bytes = (int64_t)cases[i].memory;
        machine.device.bandwidth = 1e10;
        for (int p = 0; p < YOKE_MACHINE_PRECISIONS; p++) machine.device.rates[p] = 1e10;
        machine.levels[0] = (yoke_machine_level){.name = "near",
                                                 .count = cases[i].devices,
                                                 .bandwidth = cases[i].bandwidth,
                                                 .latency_s = cases[i].latency,
                                                 .oversubscription = 1};
        assert_int_equal(yoke_job_load(model, 0, NULL, &job), YOKE_OK);
        all a = {.machine = &machine, .devices = cases[i].devices, .fastest = INFINITY};
        assert_int_equal(yki_with_plan_options(job, simulate_all, &a), YOKE_OK);
        assert_true(a.simulated > 0);
        assert_int_equal(yoke_plan_job(job, &machine, 0, 0, &planned), YOKE_OK);
        assert_int_equal(planned->considered, a.considered);
        assert_true(planned->rows[0].fits && planned->rows[0].peak_bytes <= machine.device.memory_bytes);
        if (planned->rows[0].step_s > a.fastest * 1.001)
            fail_msg("case %zu: %s takes %g s, the fastest of %d %g s", i, planned->rows[0].text,
                     planned->rows[0].step_s, a.simulated, a.fastest);
        yoke_planned_destroy(planned);
        yoke_job_destroy(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_none_is_faster)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
