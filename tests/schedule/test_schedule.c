/* Generators, the checker's approval of them, and the simulator against published tables and invariants. */
#include "cmocka_all.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/schedule.h"

static const char *const names[] = {"gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v"};

static void must(yoke_status status)
{
    if (status != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
}

static yoke_schedule *make(const char *name, int stages, int microbatches, int chunks)
{
    yoke_schedule *schedule = NULL;
    must(yoke_schedule_create(&schedule, name, stages, microbatches, chunks));
    must(yoke_schedule_check(schedule));
    return schedule;
}

static yoke_timeline simulate(const yoke_schedule *schedule, double f, double b, double w, double transfer)
{
    yoke_times times = {f, b, w, transfer};
    yoke_timeline timeline;
    must(yoke_schedule_simulate(schedule, &times, 1, &timeline));
    return timeline;
}

static double bubble(const char *name, int stages, int microbatches, int chunks, double f, double b, double w,
                     double transfer)
{
    yoke_schedule *schedule = make(name, stages, microbatches, chunks);
    yoke_timeline timeline = simulate(schedule, f / chunks, b / chunks, w / chunks, transfer);
    double rate = timeline.bubble_rate;
    yoke_timeline_release(&timeline);
    yoke_schedule_destroy(schedule);
    return rate;
}

/* Qi et al., ICLR 2024: pass times of table 9, bubble rates of table 5. Chunks: one layer each, two layers'
 * worth of stages missing at the ends. */
static const struct published {
    int stages, microbatches, chunks;
    double f, b, w, transfer, b_1f1b, b_interleaved, b_h1, b_h2;
} published[] = {
    {8, 24, 3, 18.522, 18.086, 9.337, 0.601, 0.2431, 0.1055, 0.1585, 0.1083},
    {8, 32, 3, 18.513, 18.086, 9.331, 0.626, 0.1985, 0.0818, 0.1242, 0.0837},
    {8, 64, 3, 18.546, 18.097, 9.321, 0.762, 0.1240, 0.0443, 0.0674, 0.0444},
    {16, 48, 3, 11.347, 11.248, 8.132, 0.377, 0.2552, 0.1104, 0.1397, 0.0672},
    {16, 64, 3, 11.307, 11.254, 8.101, 0.379, 0.2082, 0.0852, 0.1088, 0.0516},
    {16, 128, 3, 11.325, 11.308, 8.109, 0.378, 0.1251, 0.0445, 0.0576, 0.0266},
};
enum { NPUBLISHED = sizeof published / sizeof published[0] };

static void published_bubbles_are_reproduced(void **state)
{
    (void)state;
    for (int i = 0; i < NPUBLISHED; i++) {
        const struct published *r = &published[i];
        int p = r->stages, m = r->microbatches;
        assert_float_equal(bubble("1f1b", p, m, 1, r->f, r->b, r->w, r->transfer), r->b_1f1b, 5.1e-5);
        assert_float_equal(bubble("zb-h1", p, m, 1, r->f, r->b, r->w, r->transfer), r->b_h1, 5.1e-5);
        assert_float_equal(bubble("zb-h2", p, m, 1, r->f, r->b, r->w, r->transfer), r->b_h2, 5.1e-5);
    }
}

/* The paper's accounting of interleaving hides as many transfers as there are stages: with them taken off the
 * cost, the rates agree to 0.0004, without to 0.004. */
static void published_interleaved_bubbles_are_near(void **state)
{
    (void)state;
    for (int i = 0; i < NPUBLISHED; i++) {
        const struct published *r = &published[i];
        int p = r->stages, m = r->microbatches;
        double rate = bubble("interleaved", p, m, r->chunks, r->f, r->b, r->w, r->transfer);
        assert_float_equal(rate, r->b_interleaved, 0.004);
        double work = m * (r->f + r->b + r->w), cost = work / (1 - rate) - p * r->transfer;
        assert_float_equal((cost - work) / cost, r->b_interleaved, 0.0004);
    }
}

static void bubbles_of_even_passes_follow_the_formulas(void **state)
{
    (void)state;
    for (int p = 1; p <= 8; p++)
        for (int m = p; m <= 3 * p; m += p) {
            double plain = (p - 1.0) / (m + p - 1);
            assert_float_equal(bubble("1f1b", p, m, 1, 1, 1, 1, 0), plain, 1e-12);
            assert_float_equal(bubble("gpipe", p, m, 1, 1, 1, 1, 0), plain, 1e-12);
            double v = 2, ideal = (p - 1.0) / (v * m);
            assert_float_equal(bubble("interleaved", p, m, 2, 1, 1, 1, 0), ideal / (1 + ideal), 1e-12);
            double third = (p - 1.0) / (3.0 * m + p - 1);
            assert_float_equal(bubble("zb-h1", p, m, 1, 1, 1, 1, 0), third, 1e-12);
            if (m >= 2 * p) {
                assert_float_equal(bubble("zb-h2", p, m, 1, 1, 1, 1, 0), 0, 1e-12);
                assert_float_equal(bubble("zb-v", p, m, 2, 1, 1, 1, 0), 0, 1e-12);
            }
        }
}

/* Micro-batches that a stage holds activations of at once, in units of a whole stage's. */
static double peak_activations(const yoke_schedule *schedule, int stage)
{
    int count, held = 0, peak = 0;
    const yoke_action *actions = yoke_schedule_actions(schedule, stage, &count);
    for (int k = 0; k < count; k++) {
        if (actions[k].kind == YOKE_ACTION_F)
            held++;
        else if (actions[k].kind != YOKE_ACTION_B)
            held--;
        peak = held > peak ? held : peak;
    }
    const yoke_parts *parts = yoke_schedule_parts(schedule);
    return peak / ((double)parts->nparts / parts->nstages);
}

static void activations_stay_within_the_published_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double of_1f1b;
        int chunks;
    } bounds[] = {{"1f1b", 1, 1}, {"zb-h1", 1, 1}, {"zb-h2", 2, 1}, {"zb-v", 1, 2}};
    for (int p = 1; p <= 9; p++)
        for (int m = 1; m <= 24; m++)
            for (int i = 0; i < 4; i++) {
                yoke_schedule *schedule = make(bounds[i].name, p, m, bounds[i].chunks);
                for (int s = 0; s < p; s++)
                    assert_true(peak_activations(schedule, s) <= bounds[i].of_1f1b * p);
                yoke_schedule_destroy(schedule);
            }
}

/* Every event by the definition, from the others of the timeline. */
static void check_events(const yoke_schedule *schedule, const yoke_timeline *timeline,
                         const yoke_times *times)
{
    const yoke_parts *parts = yoke_schedule_parts(schedule);
    int m = yoke_schedule_microbatches(schedule), slots = parts->nparts * m;
    double *end = malloc(2 * (size_t)slots * sizeof *end);
    const yoke_event *e = timeline->events;
    int part_of[64][8];
    for (int c = 0; c < parts->nparts; c++) part_of[parts->stage_of[c]][parts->chunk_of[c]] = c;
    for (int i = 0; i < timeline->nevents; i++) {
        int part = part_of[e[i].stage][e[i].action.chunk];
        if (e[i].action.kind != YOKE_ACTION_W)
            end[(e[i].action.kind != YOKE_ACTION_F) * slots + part * m + e[i].action.microbatch] = e[i].end;
    }
    double busy = 0, last = 0;
    for (int i = 0; i < timeline->nevents; i++) {
        int part = part_of[e[i].stage][e[i].action.chunk], kind = e[i].action.kind,
            batch = e[i].action.microbatch;
        double ready = i > 0 && e[i - 1].stage == e[i].stage ? e[i - 1].end : 0;
        const struct {
            int part;
            bool applies, backward;
        } needs[] = {
            {part - 1, kind == YOKE_ACTION_F && part > 0, false},
            {part, kind == YOKE_ACTION_B || kind == YOKE_ACTION_BW, false},
            {part, kind == YOKE_ACTION_W, true},
            {part + 1, (kind == YOKE_ACTION_B || kind == YOKE_ACTION_BW) && part + 1 < parts->nparts, true}};
        for (int k = 0; k < 4; k++) {
            if (!needs[k].applies) continue;
            double come = end[needs[k].backward * slots + needs[k].part * m + batch];
            ready = fmax(ready, come + (parts->stage_of[needs[k].part] != e[i].stage ? times->transfer : 0));
        }
        assert_float_equal(e[i].start, ready, 1e-9);
        double durations[] = {times->forward, times->input_gradient, times->weight_gradient,
                              times->input_gradient + times->weight_gradient};
        assert_float_equal(e[i].end - e[i].start, durations[kind], 1e-9);
        busy += e[i].end - e[i].start;
        last = fmax(last, e[i].end);
    }
    assert_float_equal(timeline->makespan, last, 1e-9);
    assert_float_equal(timeline->idle_share, 1 - busy / last / parts->nstages, 1e-9);
    free(end);
}

static void every_generator_makes_what_the_checker_proves(void **state)
{
    (void)state;
    const yoke_times times = {1, 1.25, 0.5, 0.125};
    for (int name = 0; name < 6; name++)
        for (int p = 1; p <= 9; p++)
            for (int m = 1; m <= 17; m++)
                for (int chunks = 1; chunks <= 3; chunks++) {
                    if ((chunks > 1 && name >= 3) || (name == 2 && m % p)) continue;
                    yoke_schedule *schedule = make(names[name], p, m, chunks);
                    yoke_timeline timeline = simulate(schedule, 1, 1.25, 0.5, 0.125);
                    int nparts = yoke_schedule_parts(schedule)->nparts;
                    assert_int_equal(nparts, p * (name == 5 ? 2 : chunks));
                    assert_int_equal(timeline.nevents, nparts * m * (name < 3 ? 2 : 3));
                    check_events(schedule, &timeline, &times);
                    yoke_timeline_release(&timeline);
                    yoke_schedule_destroy(schedule);
                }
}

/* 1F1B as it is written down: the warm-up, pairs, the rest. */
static void played_1f1b_is_the_canonical_one(void **state)
{
    (void)state;
    for (int p = 1; p <= 12; p++)
        for (int m = 1; m <= 30; m++) {
            yoke_schedule *schedule = make("1f1b", p, m, 1);
            for (int i = 0; i < p; i++) {
                int count, at = 0, ahead = m < p - 1 - i ? m : p - 1 - i;
                const yoke_action *a = yoke_schedule_actions(schedule, i, &count);
                assert_int_equal(count, 2 * m);
                for (int k = 0; k < m + ahead; k++) {
                    if (k < m) {
                        assert_int_equal(a[at].kind, YOKE_ACTION_F);
                        assert_int_equal(a[at++].microbatch, k);
                    }
                    if (k >= ahead) {
                        assert_int_equal(a[at].kind, YOKE_ACTION_BW);
                        assert_int_equal(a[at++].microbatch, k - ahead);
                    }
                }
            }
            yoke_schedule_destroy(schedule);
        }
}

static void gpipe_runs_all_forwards_first(void **state)
{
    (void)state;
    yoke_schedule *schedule = make("gpipe", 3, 5, 2);
    for (int s = 0; s < 3; s++) {
        int count;
        const yoke_action *a = yoke_schedule_actions(schedule, s, &count);
        for (int k = 0; k < count; k++) assert_int_equal(a[k].kind, k < 10 ? YOKE_ACTION_F : YOKE_ACTION_BW);
    }
    yoke_schedule_destroy(schedule);
}

/* Chunks of a stage numbered in the order of the parts. */
static yoke_parts number_chunks(int nstages, int nparts, const int *stage_of, int *chunk_of)
{
    int next[64] = {0};
    for (int c = 0; c < nparts; c++) chunk_of[c] = next[stage_of[c]]++;
    return (yoke_parts){nstages, nparts, stage_of, chunk_of};
}

static void any_map_of_parts_runs(void **state)
{
    (void)state;
    static const struct {
        int nstages, nparts, stage_of[12];
    } maps[] = {
        {2, 3, {0, 1, 0}},
        {2, 2, {1, 0}},
        {1, 3, {0, 0, 0}},
        {2, 4, {0, 1, 1, 0}},
        {2, 7, {0, 1, 0, 1, 0, 1, 0}},
        {3, 5, {0, 1, 2, 1, 0}},
        {3, 5, {2, 0, 1, 0, 0}},
        {4, 6, {0, 0, 0, 1, 2, 3}},
        {3, 8, {0, 2, 0, 2, 1, 1, 2, 0}},
        {2, 12, {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}},
    };
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        for (int m = 1; m <= 9; m++)
            for (int name = 0; name < 2; name++) {
                int chunk_of[12];
                yoke_parts parts = number_chunks(maps[i].nstages, maps[i].nparts, maps[i].stage_of, chunk_of);
                yoke_schedule *schedule = NULL;
                must(yoke_schedule_create_over(&schedule, names[name], &parts, m));
                must(yoke_schedule_check(schedule));
                yoke_timeline timeline = simulate(schedule, 1, 1, 1, 0);
                assert_int_equal(timeline.nevents, 2 * m * parts.nparts);
                if (name == 1) /* the limit of 1F1B: part c holds nparts - c at most */
                    for (int s = 0; s < parts.nstages; s++) {
                        int limit = 0;
                        for (int c = 0; c < parts.nparts; c++)
                            limit += parts.stage_of[c] == s ? parts.nparts - c : 0;
                        assert_true(peak_activations(schedule, s) * parts.nparts / parts.nstages <=
                                    limit + 1e-9);
                    }
                yoke_timeline_release(&timeline);
                yoke_schedule_destroy(schedule);
            }
}

/* A stage with three of four parts is never idle; a fold over two costs little. */
static void back_and_forth_maps_pipeline_well(void **state)
{
    (void)state;
    static const struct {
        int nparts, stage_of[4];
        double most_idle;
    } maps[] = {{3, {0, 1, 0}, 0.2501}, {4, {0, 1, 1, 0}, 0.13}, {4, {0, 0, 1, 1}, 0.13}};
    for (int i = 0; i < 3; i++)
        for (int name = 0; name < 2; name++) {
            int chunk_of[4];
            yoke_parts parts = number_chunks(2, maps[i].nparts, maps[i].stage_of, chunk_of);
            yoke_schedule *schedule = NULL;
            must(yoke_schedule_create_over(&schedule, names[name], &parts, 8));
            yoke_timeline timeline = simulate(schedule, 1, 1, 1, 0);
            assert_true(timeline.idle_share <= maps[i].most_idle);
            yoke_timeline_release(&timeline);
            yoke_schedule_destroy(schedule);
        }
}

static void over_its_own_map_a_schedule_is_the_same(void **state)
{
    (void)state;
    static const int chunks[] = {1, 1, 2, 1, 1, 2};
    for (int name = 0; name < 6; name++) {
        yoke_schedule *schedule = make(names[name], 3, 6, chunks[name]), *again = NULL;
        must(yoke_schedule_create_over(&again, names[name], yoke_schedule_parts(schedule), 6));
        char *text = yoke_schedule_print(schedule), *text_again = yoke_schedule_print(again);
        assert_string_equal(text, text_again);
        free(text);
        free(text_again);
        yoke_schedule_destroy(schedule);
        yoke_schedule_destroy(again);
    }
}

static void a_time_per_part_is_that_parts(void **state)
{
    (void)state;
    yoke_schedule *schedule = make("1f1b", 2, 1, 1);
    const yoke_times times[] = {{1, 2, 3, 10}, {100, 200, 300, 1000}};
    yoke_timeline timeline;
    must(yoke_schedule_simulate(schedule, times, 2, &timeline));
    assert_float_equal(timeline.events[2].start, 11, 0);   /* F0 of stage 1 */
    assert_float_equal(timeline.events[3].end, 611, 0);    /* BW0 of stage 1 */
    assert_float_equal(timeline.events[1].start, 1611, 0); /* BW0 of stage 0 */
    assert_float_equal(timeline.makespan, 1616, 0);
    assert_float_equal(timeline.bubble_rate, 1610.0 / 1616, 1e-15); /* of stage 0 */
    assert_float_equal(timeline.idle_share, 1 - 606.0 / 3232, 1e-15);
    yoke_timeline_release(&timeline);
    assert_int_equal(yoke_schedule_simulate(schedule, times, 3, &timeline), YOKE_INVALID);
    for (int i = 0; i < 3; i++) {
        const yoke_times bad = {1, i == 0 ? -1 : i == 1 ? NAN : INFINITY, 1, 0};
        assert_int_equal(yoke_schedule_simulate(schedule, &bad, 1, &timeline), YOKE_INVALID);
    }
    timeline = simulate(schedule, 0, 0, 0, 0);
    assert_float_equal(timeline.makespan, 0, 0);
    assert_float_equal(timeline.bubble_rate, 0, 0);
    assert_float_equal(timeline.idle_share, 0, 0);
    yoke_timeline_release(&timeline);
    yoke_schedule_destroy(schedule);
}

static void expect_refusal(yoke_status status, const char *const *words)
{
    assert_int_equal(status, YOKE_INVALID);
    for (; *words; words++)
        if (!strstr(yoke_error_get()->message, *words))
            fail_msg("\"%s\" does not say \"%s\"", yoke_error_get()->message, *words);
}
#define REFUSED(call, ...) expect_refusal(call, (const char *const[]){__VA_ARGS__, NULL})

static void numbers_that_cannot_run_are_refused(void **state)
{
    (void)state;
    yoke_schedule *s = NULL;
    REFUSED(yoke_schedule_create(&s, "nope", 4, 8, 1), "nope", "gpipe", "1f1b", "interleaved", "zb-h1",
            "zb-h2", "zb-v");
    REFUSED(yoke_schedule_create(&s, "interleaved", 4, 6, 2), "4", "6", "8");
    REFUSED(yoke_schedule_create(&s, "interleaved", 4, 3, 2), "4", "3");
    REFUSED(yoke_schedule_create(&s, "1f1b", 0, 8, 1), "stage", "0");
    REFUSED(yoke_schedule_create(&s, "1f1b", -1, 8, 1), "stage", "-1");
    REFUSED(yoke_schedule_create(&s, "1f1b", 4, 0, 1), "micro-batch", "0");
    REFUSED(yoke_schedule_create(&s, "1f1b", 4, 8, 0), "chunk", "0");
    REFUSED(yoke_schedule_create(&s, "zb-h1", 4, 8, 2), "zb-h1", "1 chunk", "2");
    REFUSED(yoke_schedule_create(&s, "zb-v", 4, 8, 3), "zb-v", "2 chunks", "3");
    REFUSED(yoke_schedule_create(&s, "1f1b", INT32_MAX, INT32_MAX, INT32_MAX), "more than");
    REFUSED(yoke_schedule_create(&s, "1f1b", 1000, INT32_MAX, 1), "more than");
    REFUSED(yoke_schedule_create(&s, "1f1b", 1, 1, INT32_MAX), "more than");
    assert_null(s);
}

static void maps_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    yoke_schedule *s = NULL;
    const int back_and_forth[] = {0, 1, 0}, chunks[] = {0, 0, 1}, twice[] = {0, 0, 0}, gap[] = {0, 0, 2};
    const int outside[] = {0, 2, 0}, negative[] = {0, -1, 0};
    REFUSED(yoke_schedule_create_over(&s, "zb-h1", &(yoke_parts){2, 3, back_and_forth, chunks}, 4), "zb-h1",
            "3", "2");
    REFUSED(yoke_schedule_create_over(&s, "zb-v", &(yoke_parts){2, 3, back_and_forth, chunks}, 4), "zb-v");
    REFUSED(yoke_schedule_create_over(&s, "interleaved", &(yoke_parts){2, 3, back_and_forth, chunks}, 4),
            "interleaved");
    REFUSED(yoke_schedule_create_over(&s, "1f1b", &(yoke_parts){2, 3, back_and_forth, twice}, 4), "part 2",
            "stage 0");
    REFUSED(yoke_schedule_create_over(&s, "1f1b", &(yoke_parts){2, 3, back_and_forth, gap}, 4), "part 2",
            "stage 0");
    REFUSED(yoke_schedule_create_over(&s, "1f1b", &(yoke_parts){2, 3, outside, chunks}, 4), "part 1",
            "stage 2");
    REFUSED(yoke_schedule_create_over(&s, "1f1b", &(yoke_parts){2, 3, negative, chunks}, 4), "part 1",
            "stage -1");
    REFUSED(yoke_schedule_create_over(&s, "1f1b", &(yoke_parts){3, 3, back_and_forth, chunks}, 4), "stage 2");
    assert_null(s);
}

static void the_families_are_listed(void **state)
{
    (void)state;
    const char *description;
    for (int i = 0; i < 6; i++) {
        assert_string_equal(yoke_schedule_name(i, &description), names[i]);
        assert_true(strlen(description) > 10);
    }
    assert_null(yoke_schedule_name(6, &description));
    assert_null(yoke_schedule_name(-1, NULL));
}

/* Half a million actions and more: generated, checked, simulated. A quadratic scan would take minutes. */
static void large_schedules_are_no_trouble(void **state)
{
    (void)state;
    for (int name = 0; name < 6; name++) {
        yoke_schedule *schedule = make(names[name], 128, 2048, 1);
        yoke_timeline timeline = simulate(schedule, 1, 1, 1, 0.1);
        assert_true(timeline.nevents >= 524288);
        yoke_timeline_release(&timeline);
        yoke_schedule_destroy(schedule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_bubbles_are_reproduced),
        cmocka_unit_test(published_interleaved_bubbles_are_near),
        cmocka_unit_test(bubbles_of_even_passes_follow_the_formulas),
        cmocka_unit_test(activations_stay_within_the_published_bounds),
        cmocka_unit_test(every_generator_makes_what_the_checker_proves),
        cmocka_unit_test(played_1f1b_is_the_canonical_one),
        cmocka_unit_test(gpipe_runs_all_forwards_first),
        cmocka_unit_test(any_map_of_parts_runs),
        cmocka_unit_test(back_and_forth_maps_pipeline_well),
        cmocka_unit_test(over_its_own_map_a_schedule_is_the_same),
        cmocka_unit_test(a_time_per_part_is_that_parts),
        cmocka_unit_test(numbers_that_cannot_run_are_refused),
        cmocka_unit_test(maps_that_are_not_whole_are_refused),
        cmocka_unit_test(the_families_are_listed),
        cmocka_unit_test(large_schedules_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
