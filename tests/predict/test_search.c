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
    const yoke_job *job;
    const yoke_machine *machine;
    int devices, simulated;
    int64_t considered;
    double fastest;
} all;

/* Nothing is faster than its bound, nor holds less. */
static void check_bounds(const yki_candidate *c, const yki_plan_options *options, const yki_step *step)
{
    char text[300];
    yoke_layout_print(&options->layout, text, sizeof text);
    if (c->least_s > step->seconds * (1 + 1e-9))
        fail_msg("%s takes %g s, and is said to take %g at least", text, step->seconds, c->least_s);
    if (c->least_bytes > step->peak_bytes)
        fail_msg("%s holds %lld bytes, and is said to hold %lld at least", text, (long long)step->peak_bytes,
                 (long long)c->least_bytes);
}

static void simulate_mesh(all *a, const yki_plan_options *options, yki_bounds *bounds, yki_candidate *mesh)
{
    yki_candidates found = {0};
    assert_true(yki_bound_mesh(bounds, mesh));
    assert_int_equal(yki_candidates_of(bounds->listing, mesh, &found), YOKE_OK);
    assert_int_equal(found.count, yki_candidates_count(bounds->listing, mesh));
    a->considered += found.count;
    for (int64_t i = 0; i < found.count; i++) {
        yki_plan_options one = *options;
        yki_step step;
        one.layout = yki_candidate_layout(&found.list[i], &options->layout);
        yki_bound(bounds, &found.list[i], INFINITY);
        if (yki_simulated_step(&one, a->machine, &step) != YOKE_OK) continue;
        check_bounds(&found.list[i], &one, &step);
        check_bounds(mesh, &one, &step);
        a->simulated++;
        a->fastest = fmin(a->fastest, step.seconds);
    }
    free(found.list);
}

static yoke_status simulate_all(const yki_plan_options *options, void *context)
{
    all *a = context;
    yki_candidates meshes = {0};
    yki_references references;
    yoke_model *shorter;
    assert_int_equal(yki_shorter_model(a->job, 3, &shorter), YOKE_OK);
    assert_int_equal(yki_references_make(&references, options, a->machine, shorter), YOKE_OK);
    assert_int_equal(references.model == shorter, shorter != NULL); /* its units are like the whole one's */
    yki_listing listing = yki_listing_of(options, a->machine, references.units.count);
    yki_bounds bounds = {.listing = &listing, .references = &references};
    for (int n = 1; n <= a->devices; n++)
        if (a->devices % n == 0) assert_int_equal(yki_candidates_over(&listing, n, &meshes), YOKE_OK);
    for (int64_t i = 0; i < meshes.count; i++) simulate_mesh(a, options, &bounds, &meshes.list[i]);
    free(meshes.list);
    yki_references_release(&references);
    yoke_model_destroy(shorter);
    return YOKE_OK;
}

typedef struct space {
    const char *overrides;
    int near, far; /* devices of a node, nodes */
    double memory, bandwidth, latency;
    bool points; /* small products are slow */
} space;

static yoke_machine machine_of(const space *of)
{
    yoke_machine m = {.name = "m", .nlevels = 2, .ndevices = of->near * of->far};
    m.device.memory_bytes = (int64_t)of->memory;
    m.device.bandwidth = 1e10;
    m.device.launch_s = 1e-7;
    for (int p = 0; p < YOKE_MACHINE_PRECISIONS; p++) m.device.rates[p] = 1e10;
    if (of->points) {
        m.device.npoints = 2;
        m.device.points[0] = (yoke_machine_point){1e4, 0.1};
        m.device.points[1] = (yoke_machine_point){1e7, 0.9};
    }
    m.levels[0] = (yoke_machine_level){.name = "near",
                                       .count = of->near,
                                       .bandwidth = of->bandwidth,
                                       .latency_s = of->latency,
                                       .oversubscription = 1};
    m.levels[1] = m.levels[0];
    m.levels[1].count = of->far, m.levels[1].bandwidth /= 4;
    return m;
}

static void check_space(const space *of)
{
    static const char model[] = YKI_SEARCH_FILES "/gpt.yaml";
    yoke_machine machine = machine_of(of);
    yoke_planned *planned = NULL;
    yoke_job *job = NULL;
    const char *overrides[] = {of->overrides};
    assert_int_equal(yoke_job_load(model, of->overrides ? 1 : 0, overrides, &job), YOKE_OK);
    all a = {.job = job, .machine = &machine, .devices = (int)machine.ndevices, .fastest = INFINITY};
    assert_int_equal(yki_with_plan_options(job, simulate_all, &a), YOKE_OK);
    assert_true(a.simulated > 0);
    assert_int_equal(yoke_plan_job(job, &machine, 0, 0, &planned), YOKE_OK);
    assert_int_equal(planned->considered, a.considered);
    assert_true(planned->rows[0].fits && planned->rows[0].peak_bytes <= machine.device.memory_bytes);
    print_message("%d x %d: %d of %lld fit; %d simulated, %s\n", of->near, of->far, a.simulated,
                  (long long)a.considered, planned->simulated, planned->proved ? "proved" : "not proved");
    if (planned->rows[0].step_s > a.fastest * (planned->proved ? 1 + 1e-9 : 1.001))
        fail_msg("%d x %d: %s takes %g s, the fastest of %d %g s, proved %d", of->near, of->far,
                 planned->rows[0].text, planned->rows[0].step_s, a.simulated, a.fastest, planned->proved);
    yoke_planned_destroy(planned);
    yoke_job_destroy(job);
}

static void test_none_is_faster(void **state)
{
    (void)state;
    static const space spaces[] = {
        {NULL, 1, 1, 1e9, 1e10, 1e-6, false},
        {NULL, 2, 1, 1e9, 1e10, 1e-6, false},
        {NULL, 4, 1, 1e9, 1e8, 1e-5, false},
        {NULL, 4, 1, 4e5, 1e9, 1e-6, false},
        {NULL, 2, 2, 1e9, 1e11, 1e-7, true},
        {NULL, 2, 2, 1e9, 1e7, 1e-7, false}, /* links so slow that fewer devices are faster */
        {"train.batch=6", 4, 1, 1e9, 1e10, 1e-6, true},
        {"train.precision=bf16", 2, 2, 3e5, 1e9, 1e-6, false},
        {"train.optimizer.name=sgd", 4, 1, 1e9, 1e10, 1e-7, false},
    };
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) check_space(&spaces[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_none_is_faster)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
