/* What was measured, asked for what was not: shapes that were measured are met, others lie where their
 * neighbours say, and a machine without tables is reckoned as before. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "bench/jobs.h"
#include "folder.h"
#include "predict/simulate/cost.h"
#include "yoke/yoke.h"

enum { ROWS = 12 };

static int linear(void)
{
    int i = 0;
    while (strcmp(yoke_machine_kernel_name(i), "linear") != 0) i++;
    return i;
}

/* A product at 10 GFLOP/s for R 64, and a tenth faster with each doubling of R. */
static double seconds_of(int64_t rows, int64_t inputs, int64_t outputs)
{
    return 2.0 * (double)(rows * inputs * outputs) / 1e10 / pow(1.1, log2((double)rows / 64));
}

typedef struct bench_fixture {
    yoke_machine machine;
    yoke_machine_kernel kernels[ROWS];
    yoke_machine_move moves[4];
    yki_costs costs;
} bench_fixture;

static void make(bench_fixture *f)
{
    memset(f, 0, sizeof *f);
    int at = 0;
    for (int64_t rows = 64; rows <= 1024; rows *= 4)
        for (int64_t width = 64; width <= 512; width *= 2)
            f->kernels[at++] = (yoke_machine_kernel){.kernel = linear(),
                                                     .precision = yki_precision_of(false),
                                                     .threads = 1,
                                                     .dims = {rows, width, width},
                                                     .seconds = seconds_of(rows, width, width)};
    assert_int_equal(at, ROWS);
    f->machine.nkernels = ROWS, f->machine.kernels = f->kernels;
    const double seconds[] = {10e-6, 10e-6, 40e-6, 20e-6};
    const int ranks[] = {2, 2, 2, 4};
    const int64_t bytes[] = {1024, 4096, 65536, 1024};
    for (int i = 0; i < 4; i++)
        f->moves[i] = (yoke_machine_move){
            .op = YKI_MOVE_ALL_REDUCE, .ranks = ranks[i], .bytes = bytes[i], .seconds = seconds[i]};
    f->machine.nmoves = 4, f->machine.moves = f->moves;
    f->costs = (yki_costs){
        .machine = &f->machine, .threads = 1, .precision = {yki_precision_of(false), yki_precision_of(true)}};
    for (int k = 0; k <= YKI_KERNEL_COUNT; k++) f->costs.first[k] = k > linear() ? ROWS : 0;
}

static double ask(const bench_fixture *f, int64_t rows, int64_t inputs, int64_t outputs)
{
    const int64_t dims[YOKE_MACHINE_DIMS] = {rows, inputs, outputs};
    return yki_measured_kernel(&f->costs, (yki_kernel)linear(), false, dims);
}

static void a_measured_shape_is_met(void **state)
{
    (void)state;
    bench_fixture f;
    make(&f);
    assert_true(ask(&f, 256, 128, 128) == seconds_of(256, 128, 128));
    assert_true(ask(&f, 64, 64, 64) == seconds_of(64, 64, 64));
}

static void others_lie_where_their_neighbours_say(void **state)
{
    (void)state;
    bench_fixture f;
    make(&f);
    const int64_t shapes[][3] = {{128, 128, 128}, {512, 256, 256}, {256, 96, 96},
                                 {256, 128, 512}, {256, 64, 32},   {2048, 512, 512}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double said = ask(&f, shapes[i][0], shapes[i][1], shapes[i][2]);
        double is = seconds_of(shapes[i][0], shapes[i][1], shapes[i][2]);
        if (fabs(said / is - 1) > 0.06)
            fail_msg("%lld x %lld x %lld: %g s, not %g", (long long)shapes[i][0], (long long)shapes[i][1],
                     (long long)shapes[i][2], said, is);
    }
}

static void what_was_not_measured_is_not_said(void **state)
{
    (void)state;
    bench_fixture f;
    make(&f);
    const int64_t dims[YOKE_MACHINE_DIMS] = {256, 128, 128};
    assert_true(yki_measured_kernel(&f.costs, (yki_kernel)linear(), true, dims) == 0); /* bf16 */
    f.machine.nkernels = 0;
    memset(f.costs.first, 0, sizeof f.costs.first);
    assert_true(ask(&f, 256, 128, 128) == 0);
}

static void movements_lie_between_sizes_and_ranks(void **state)
{
    (void)state;
    bench_fixture f;
    make(&f);
    const yki_route route = {.level = 0, .nlevels = 1}, further = {.level = 0, .nlevels = 2};
    assert_true(yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 2, 100) == 10e-6);
    assert_true(yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 2, 65536) == 40e-6);
    double between = yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 2, 16384);
    assert_true(fabs(between - 20e-6) < 1e-9);
    double larger = yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 2, 2 * 65536);
    assert_true(fabs(larger - 80e-6) < 1e-9);
    double three = yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 3, 1024);
    assert_true(three > 10e-6 && three < 20e-6);
    assert_true(yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &route, 8, 1024) == 20e-6);
    assert_true(yki_measured_move(&f.costs, YKI_MOVE_ALL_GATHER, &route, 2, 1024) == 0);
    assert_true(yki_measured_move(&f.costs, YKI_MOVE_ALL_REDUCE, &further, 2, 1024) == 0);
}

/* Each of the jobs that are measured runs a step: bench leaves out those for which the time is short. */
static void every_sample_runs(void **state)
{
    (void)state;
    const char *path = in_folder("sample.yaml");
    for (int i = 0; yki_bench_samples[i].text; i++) {
        yoke_job *job;
        yoke_trainer *trainer;
        write_file(path, yki_bench_samples[i].text, strlen(yki_bench_samples[i].text));
        if (yoke_job_load(path, 0, NULL, &job) != YOKE_OK ||
            yoke_trainer_create_from_job(&trainer, job) != YOKE_OK)
            fail_msg("sample %d: %s %s", i, yoke_error_get()->key, yoke_error_get()->message);
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
        yoke_trainer_destroy(trainer);
        yoke_job_destroy(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_runs),
        cmocka_unit_test(a_measured_shape_is_met),
        cmocka_unit_test(others_lie_where_their_neighbours_say),
        cmocka_unit_test(what_was_not_measured_is_not_said),
        cmocka_unit_test(movements_lie_between_sizes_and_ranks),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
