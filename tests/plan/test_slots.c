/* No buffer is used again before its readers are done, whatever the timing: proved for each schedule by the
 * order that messages alone enforce, worked out here as the closure of a relation between all actions. An
 * action receives first, then writes, then sends; so what an action received is taken before anything that
 * a message from it reaches. */
#include "folder.h"
#include "plan/slots.h"
#include "plan/storage.h"
#include "train/random_schedule.h"

/* Actions of all stages, numbered one after the other; before[a * n + b]: a's receives are over when b
 * writes. */
typedef struct order {
    int n, *first;
    unsigned char *before;
    int *forward, *input; /* [part * microbatches + m]: the action */
} order;

static void order_init(order *o, const yki_plan *plan)
{
    int M = plan->microbatches;
    *o = (order){.first = calloc((size_t)plan->parts.nstages + 1, sizeof(int)),
                 .forward = calloc((size_t)(plan->nparts * M), sizeof(int)),
                 .input = calloc((size_t)(plan->nparts * M), sizeof(int))};
    for (int s = 0; s < plan->parts.nstages; s++) {
        int count;
        yoke_schedule_actions(plan->schedule, s, &count);
        o->first[s + 1] = o->first[s] + count;
    }
    o->n = o->first[plan->parts.nstages];
    size_t n = (size_t)o->n;
    o->before = calloc(n * n, 1);
    assert_true(o->first && o->forward && o->input && o->before);
    for (int s = 0; s < plan->parts.nstages; s++) {
        int count;
        const yoke_action *actions = yoke_schedule_actions(plan->schedule, s, &count);
        for (int i = 0; i < count; i++) {
            int part = 0;
            while (plan->stage_of[part] != s || plan->chunk_of[part] != actions[i].chunk) part++;
            int at = part * M + actions[i].microbatch;
            if (actions[i].kind == YOKE_ACTION_F) o->forward[at] = o->first[s] + i;
            if (actions[i].kind == YOKE_ACTION_B || actions[i].kind == YOKE_ACTION_BW)
                o->input[at] = o->first[s] + i;
            if (i > 0) o->before[(size_t)(o->first[s] + i - 1) * n + (size_t)(o->first[s] + i)] = 1;
        }
    }
    for (int part = 0; part + 1 < plan->nparts; part++)
        for (int m = 0; m < M; m++) {
            o->before[(size_t)o->forward[part * M + m] * n + (size_t)o->forward[(part + 1) * M + m]] = 1;
            o->before[(size_t)o->input[(part + 1) * M + m] * n + (size_t)o->input[part * M + m]] = 1;
        }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n && o->before[i * n + k]; j++)
                o->before[i * n + j] |= o->before[k * n + j];
    for (size_t i = 0; i < n; i++) assert_false(o->before[i * n + i]);
}

static void order_release(order *o)
{
    free(o->first);
    free(o->before);
    free(o->forward);
    free(o->input);
}

static bool is_before(const order *o, int a, int b)
{
    return o->before[(size_t)a * (size_t)o->n + (size_t)b];
}

/* Two micro-batches share a slot: one's is done with before the other's begins. */
static void check_shared(const order *o, const char *what, int part, int a, int b, int a_start, int a_done,
                         int b_start, int b_done)
{
    if (!is_before(o, a_done, b_start) && !is_before(o, b_done, a_start))
        fail_msg("%s of part %d: micro-batches %d and %d share a buffer, and no message keeps them apart",
                 what, part, a, b);
}

static void check_plan(const yki_plan *plan, int *shared)
{
    order o;
    order_init(&o, plan);
    int M = plan->microbatches;
    for (int p = 0; p < yki_plan_programs(plan); p++) {
        const yki_program *program = &plan->programs[p];
        for (int c = 0; c < program->nparts; c++) {
            const yki_part_program *part = &program->parts[c];
            for (int a = 0; a < M; a++)
                for (int b = a + 1; b < M; b++) {
                    int *f = o.forward + part->part * M, *i = o.input + part->part * M;
                    if (part->slot[0][a] != part->slot[0][b]) continue;
                    ++*shared;
                    check_shared(&o, "what is kept", part->part, a, b, f[a], i[a], f[b], i[b]);
                }
        }
        for (int e = 0; e < plan->nedges; e++) {
            const yki_edge *edge = &plan->edges[e];
            int *from = o.input + edge->from * M, *to = o.input + edge->to * M;
            /* a forward value lies in the sender's slot till its backward action: its reader is done by then
             */
            for (int m = 0; m < M; m++) assert_true(is_before(&o, o.forward[edge->to * M + m], from[m]));
            if (program->send_offset[e] < 0) continue;
            for (int a = 0; a < M; a++)
                for (int b = a + 1; b < M; b++) {
                    if (program->send_slot[e][a] != program->send_slot[e][b]) continue;
                    ++*shared;
                    check_shared(&o, "a gradient on its way", edge->to, a, b, to[a], from[a], to[b], from[b]);
                }
        }
    }
    order_release(&o);
}

static void check_job(const char *model, const char *overrides, int *shared, int *refused)
{
    yoke_job *job = open_job(model, overrides);
    yoke_trainer *trainer = job ? make_trainer(job) : NULL;
    if (trainer)
        check_plan(trainer->plan, shared);
    else
        ++*refused;
    finish_job(trainer, job);
}

static void test_named_schedules(void **state)
{
    (void)state;
    static const char *const names[] = {"gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v"};
    int shared = 0, refused = 0, tried = 0;
    for (int s = 0; s < 6; s++)
        for (int pp = 1; pp <= 5; pp++)
            for (int m = 1; m <= 12; m += s == 2 ? pp : 3)
                for (int chunks = 1; chunks <= 2; chunks++) {
                    char overrides[256];
                    snprintf(overrides, sizeof overrides,
                             "train.batch=12; layout.schedule=%s; layout.pp=%d; layout.microbatches=%d; "
                             "layout.chunks=%d",
                             names[s], pp, m, chunks);
                    check_job("mlp", overrides, &shared, &refused);
                    tried++;
                }
    for (int m = 1; m <= 12; m++) {
        char overrides[64];
        snprintf(overrides, sizeof overrides, "layout.microbatches=%d; layout.schedule=%s", m,
                 m % 2 ? "1f1b" : "gpipe");
        check_job("devices", overrides, &shared, &refused);
        tried++;
    }
    print_message("%d plans, %d refused, %d pairs of micro-batches share a buffer\n", tried, refused, shared);
    assert_true(shared > 100 && refused < tried / 2);
}

static void test_random_schedules(void **state)
{
    (void)state;
    static const char *const layouts[][2] = {
        {"mlp", "train.batch=24; layout.pp=4; layout.microbatches=8"},
        {"mlp", "train.batch=24; layout.pp=3; layout.chunks=3; layout.microbatches=6"},
        {"gpt2", "train.batch=24; layout.pp=5; layout.microbatches=8"},
        {"regress", "train.batch=24; layout.pp=2; layout.chunks=3; layout.microbatches=8"},
        {"devices", "train.batch=24; layout.microbatches=8"}};
    uint64_t seed = 5;
    int shared = 0, refused = 0;
    const char *path = in_folder("schedule.txt");
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job(layouts[k][0], layouts[k][1], &job);
        const yoke_schedule *schedule = yoke_trainer_schedule(trainer);
        for (int i = 0; i < 25; i++) {
            char overrides[256];
            char *text = random_schedule(yoke_schedule_parts(schedule), yoke_schedule_microbatches(schedule),
                                         (int)(draw(&seed) % 101), (int)(draw(&seed) % 101), &seed);
            write_text(path, text);
            snprintf(overrides, sizeof overrides, "%s; layout.schedule=%s", layouts[k][1], path);
            check_job(layouts[k][0], overrides, &shared, &refused);
            free(text);
        }
        finish_job(trainer, job);
    }
    print_message("%d pairs of micro-batches share a buffer\n", shared);
    assert_int_equal(refused, 0);
    assert_true(shared > 100);
}

/* Intervals to slots: none of a slot's overlap, and there are as few slots as intervals alive at once. */
static void test_assign(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int count = 0; count <= 40; count++) {
        int start[40], end[40], slot[40], most = 0;
        yki_arena arena = {0};
        for (int i = 0; i < count; i++) {
            start[i] = (int)(draw(&seed) % 30);
            end[i] = start[i] + (int)(draw(&seed) % 10);
        }
        int slots = yki_slots_assign(&arena, start, end, count, slot);
        for (int t = 0; t < 60; t++) {
            int alive = 0;
            for (int i = 0; i < count; i++) alive += start[i] <= t && t <= end[i];
            most = alive > most ? alive : most;
        }
        assert_int_equal(slots, most);
        for (int i = 0; i < count; i++) {
            assert_in_range(slot[i], 0, slots - 1);
            for (int k = 0; k < i; k++)
                assert_true(slot[i] != slot[k] || end[i] < start[k] || end[k] < start[i]);
        }
        yki_arena_release(&arena);
    }
}

/* Packing: none alive at once overlap, all is aligned, and the region holds them. */
static void test_pack(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int round = 0; round < 300; round++) {
        yki_interval v[60];
        int count = (int)(draw(&seed) % 60);
        for (int i = 0; i < count; i++) {
            int start = (int)(draw(&seed) % 40);
            int64_t bytes = draw(&seed) % 5 == 0 ? 0 : (int64_t)(draw(&seed) % 1000);
            v[i] = (yki_interval){start, start + (int)(draw(&seed) % 12), bytes, -1};
        }
        int64_t region = yki_pack(v, count);
        assert_true(region >= 0 && region % YKI_ALIGN == 0);
        for (int i = 0; i < count; i++) {
            assert_true(v[i].offset >= 0 && v[i].offset % YKI_ALIGN == 0 &&
                        v[i].offset + v[i].bytes <= region);
            for (int k = 0; k < i; k++)
                if (v[i].bytes && v[k].bytes && v[i].start <= v[k].end && v[k].start <= v[i].end)
                    assert_true(v[i].offset + v[i].bytes <= v[k].offset ||
                                v[k].offset + v[k].bytes <= v[i].offset);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assign),
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_named_schedules),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
