/* The sentences of compare: what limits a row, and what is called impossible instead of explained; and its
 * rounds. */
#include "train/jobs.h"

#include "predict/explain.h"
#include "yoke/compare.h"

enum { SINGLE, DATA, MODEL, WHOLE, ROWS };

typedef struct table {
    yoke_job *job;
    yoke_comparison c;
    yoke_compare_row rows[ROWS];
    yki_measured measured[ROWS];
} table;

/* Two devices of one thread on two cores, as they should be: single 100 ms, data 52, model 101, whole 55. */
static void fill(table *t)
{
    static const struct {
        const char *name;
        int devices, threads;
        double ms, idle, simulated;
    } rows[ROWS] = {{"single", 1, 1, 100, 0, 0},
                    {"data", 2, 1, 52, 0.02, 0},
                    {"model", 2, 1, 101, 0.5, 0.5},
                    {"whole", 1, 2, 55, 0, 0}};
    memset(t->rows, 0, sizeof t->rows);
    memset(t->measured, 0, sizeof t->measured);
    t->c = (yoke_comparison){
        .nrows = ROWS, .rows = t->rows, .devices = 2, .threads = 1, .cores = 2, .rounds = 3};
    for (int i = 0; i < ROWS; i++) {
        yoke_compare_row *row = &t->rows[i];
        snprintf(row->strategy, sizeof row->strategy, "%s", rows[i].name);
        row->layout = (yoke_layout)YOKE_LAYOUT_DEFAULT;
        if (i == DATA) row->layout.dp = 2;
        if (i == MODEL) row->layout.pp = 2;
        row->threads = row->layout.threads = rows[i].threads;
        row->step_ms = row->step_ms_min = row->step_ms_max = rows[i].ms;
        row->speedup = rows[SINGLE].ms / rows[i].ms;
        row->idle_fraction = rows[i].idle;
        row->moved_bytes_per_step = rows[i].devices > 1 ? 1 << 20 : 0;
        t->measured[i] = (yki_measured){.rounds = 3,
                                        .devices = rows[i].devices,
                                        .idle = rows[i].idle,
                                        .simulated_idle = rows[i].simulated,
                                        .moved_pp = i == MODEL ? 1 << 20 : 0,
                                        .used = {.cores = 2, .wall_ns = 1000000000}};
    }
}

static void set_ms(table *t, int row, double ms)
{
    yoke_compare_row *r = &t->rows[row];
    r->step_ms = r->step_ms_min = r->step_ms_max = ms;
    for (int i = 0; i < ROWS; i++) t->rows[i].speedup = t->rows[SINGLE].step_ms / t->rows[i].step_ms;
}

static void says(table *t, int row, const char *words)
{
    for (int i = 0; i < ROWS; i++) {
        t->rows[i].cores_taken = yki_usage_taken(&t->measured[i].used);
        t->rows[i].limit[0] = '\0';
    }
    t->c.notice[0] = '\0';
    yki_compare_explain(t->job, &t->c, t->measured);
    if (!strstr(t->rows[row].limit, words)) fail_msg("'%s' is not in: %s", words, t->rows[row].limit);
}

static void what_can_be_is_explained(void **state)
{
    table *t = *state;
    fill(t);
    says(t, SINGLE, "one device with 1 thread: nothing moves; the arithmetic of one device is the limit");
    says(t, DATA, "devices are busy 98 % of the step: arithmetic is the limit; moving 1.00 MiB costs little");
    says(t, MODEL,
         "devices idle 50 % of the step, 50 % by the schedule alone (its bubble); more micro-batches");
    says(t, WHOLE, "one device with 2 threads: nothing moves");
    assert_true(t->c.trusted);
    assert_string_equal(t->c.notice, "");
    assert_non_null(strstr(t->rows[DATA].more, "--layout dp=2"));
    assert_non_null(strstr(t->rows[WHOLE].more, "--layout threads=2"));
}

static void what_cannot_be_is_not(void **state)
{
    table *t = *state;
    fill(t);
    set_ms(t, DATA, 40); /* 2.5 times */
    says(t, DATA,
         "2.50x on 2 times the cores of single cannot be so; not to be trusted: rounds took 40 to 40 ms");
    fill(t);
    set_ms(t, SINGLE, 190); /* something else ran beside it */
    t->measured[SINGLE].used.busy_ns = 800000000;
    says(t, MODEL,
         "idle for 50 % of the step, its devices did the same arithmetic in 53 % of single's time for it, "
         "which "
         "cannot be so; not to be trusted: other programs took 0 % of the cores while it was timed, and 40 % "
         "for "
         "single");
    fill(t);
    set_ms(t, WHOLE, 900);
    t->measured[WHOLE].used.busy_ns = 1000000000;
    says(t, WHOLE,
         "2 threads cannot be slower than 1 by their arithmetic; not to be trusted: a team waits for its "
         "slowest "
         "thread, and other programs took 50 % of the cores");
    t->measured[WHOLE].used.busy_ns = 0;
    says(t, WHOLE,
         "one device with 2 threads is slower than with 1: there is too little to compute between two waits");
}

static void what_others_took_is_said(void **state)
{
    table *t = *state;
    fill(t);
    for (int i = 0; i < ROWS; i++) t->measured[i].used.busy_ns = 800000000;
    says(t, SINGLE, "one device");
    assert_false(t->c.trusted);
    assert_string_equal(t->c.notice,
                        "other programs took 40 % of these cores while steps were timed: times are not to be "
                        "trusted\n");
    fill(t);
    for (int i = 0; i < ROWS; i++) t->measured[i].used.throttled_ns = 300000000;
    says(t, SINGLE, "one device");
    assert_non_null(strstr(t->c.notice, "kept the program waiting for 30 % of the time"));
    fill(t);
    t->rows[DATA].step_ms_max = 2 * t->rows[DATA].step_ms_min;
    says(t, SINGLE, "one device");
    assert_non_null(strstr(t->c.notice, "a round took up to 2.0 times as long as another of the same row"));
    assert_false(t->c.trusted);
}

static void devices_that_share_cores_say_so(void **state)
{
    table *t = *state;
    fill(t);
    t->measured[DATA].devices = 8;
    says(t, DATA,
         "8 devices share 2 cores: idle counts the wait for a core too, and times say nothing about 8 "
         "devices");
    assert_string_equal(t->c.notice,
                        "8 devices share 2 cores: they wait for a core; times say nothing about 8 devices\n");
    assert_false(t->c.trusted);
}

static int runs;

static void on_row(void *context, const char *strategy)
{
    (void)context, (void)strategy;
    runs++;
}

/* All rows in every round, but those that cannot run; each with the same losses every time. */
static void rows_run_in_rounds(void **state)
{
    table *t = *state;
    const char *const layouts[] = {"tp=2", "dp=2,microbatches=1000"};
    yoke_comparison *c;
    runs = 0;
    assert_int_equal(yoke_compare(t->job, 2, 2, layouts, 3, on_row, NULL, &c), YOKE_OK);
    assert_int_equal(c->rounds, 3);
    assert_int_equal(c->nrows, 8);
    int ok = 0;
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        ok += row->status == YOKE_ROW_OK;
        if (row->status != YOKE_ROW_OK) continue;
        assert_true(row->step_ms_min > 0 && row->step_ms_min <= row->step_ms &&
                    row->step_ms <= row->step_ms_max);
        assert_true(row->max_loss_rel_diff < 1e-5);
        assert_true(row->limit[0] && row->more[0]);
    }
    assert_int_equal(c->rows[7].status, YOKE_ROW_REFUSED);
    assert_int_equal(runs, 3 * ok + (c->nrows - ok));
    assert_true(c->rows[0].speedup == 1);
    yoke_comparison_destroy(c);
}

static int open_table(void **state)
{
    table *t = calloc(1, sizeof *t);
    *state = t;
    return t && (t->job = open_job("mlp", "train.steps=3")) ? 0 : -1;
}

static int close_table(void **state)
{
    table *t = *state;
    yoke_job_destroy(t->job);
    free(t);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_is_explained), cmocka_unit_test(what_cannot_be_is_not),
        cmocka_unit_test(what_others_took_is_said), cmocka_unit_test(devices_that_share_cores_say_so),
        cmocka_unit_test(rows_run_in_rounds),
    };
    return cmocka_run_group_tests(tests, open_table, close_table);
}
