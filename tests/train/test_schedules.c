/* Any schedule that the checker lets pass gives the same losses: named ones, hand-written ones, and random
 * orders. Random orders hunt buffers that are used again too early, so each runs more than once. */
#include "folder.h"
#include "train/random_schedule.h"

#define WRITTEN in_folder("schedule.txt")

static void must_run(const char *model, const char *overrides, outcome *out)
{
    if (run_job(model, overrides, out) != YOKE_OK) fail_msg("%s [%s]: %s", model, overrides, out->message);
}

static void must_agree(const char *model, const char *what, const outcome *out, const outcome *one)
{
    double difference = worst_difference(out, one);
    if (!(difference <= 1e-5)) fail_msg("%s [%s]: losses differ by %.3g", model, what, difference);
    if (bytes_wrong(out)) fail_msg("%s [%s]: %s", model, what, bytes_wrong(out));
}

/* Hand-written: B and W far apart, last in first out, one part mixing both kinds, comments, chunks. */
static void test_written(void **state)
{
    (void)state;
    static const struct {
        const char *layout, *text;
    } cases[] = {
        {"layout.pp=2; layout.microbatches=2", "F0 F1 B1 W1 B0 W0\nF0 F1 B1 B0 W0 W1\n"},
        {"layout.pp=2; layout.microbatches=3", "# stage by stage\nF0 F1 F2 B2 B1 B0 W0 W1 W2\n\nF2\n"},
        {"layout.pp=2; layout.microbatches=3", "F2 F1 F0 BW1 B0 W0 BW2\nF2 F1 B1 F0 BW0 W1 B2 W2 # end\n"},
        {"layout.pp=3; layout.microbatches=4", "F3 F1 F2 F0 B2 B0 B3 W0 W2 B1 W3 W1\nF3 F1 F2 B2 F0 B0 W2 B3 "
                                               "W3 W0 BW1\nF3 F1 F2 BW2 F0 B0 B3 W3 W0 BW1\n"},
        {"layout.pp=2; layout.chunks=2; layout.microbatches=2",
         "F0 F1 F1.1 F0.1 B0.1 B1.1 W0.1 BW1 W1.1 BW0\nF1 F0 F1.1 F0.1 BW0.1 B1.1 BW1 W1.1 BW0\n"},
        {"layout.pp=1; layout.microbatches=3", "F0 F1 B1 F2 W1 BW0 B2 W2\n"},
    };
    static outcome one, many;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char overrides[256];
        write_text(WRITTEN, cases[i].text);
        snprintf(overrides, sizeof overrides, "%s; layout.schedule=%s", cases[i].layout, WRITTEN);
        if (i == 1) { /* the second stage's list is not whole */
            assert_int_equal(run_job("gpt2", overrides, &many), YOKE_INVALID);
            assert_non_null(strstr(many.message, "missing"));
            continue;
        }
        must_run("gpt2", "", &one);
        must_run("gpt2", overrides, &many);
        must_agree("gpt2", cases[i].text, &many, &one);
    }
}

/* The actions that ran, in order, are those of the file. */
static void test_actions_run(void **state)
{
    (void)state;
    const char *text = "F0 F1 B1 W1 BW0\nF0 F1 BW1 B0 W0\n";
    char overrides[160];
    write_text(WRITTEN, text);
    snprintf(overrides, sizeof overrides,
             "train.steps=2; layout.pp=2; layout.microbatches=2; layout.schedule=%s", WRITTEN);
    yoke_job *job;
    yoke_trainer *trainer = start_job("mlp", overrides, &job);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    char *ran = yoke_trainer_actions_run(trainer);
    assert_string_equal(ran, text);
    free(ran);
    finish_job(trainer, job);
}

static void random_case(const char *model, const char *layout, int orders, int repeats, uint64_t *seed)
{
    static outcome one, many;
    char overrides[512];
    yoke_job *job;
    bool placed = !strcmp(model, "devices");
    yoke_trainer *trainer = start_job(model, layout, &job);
    const yoke_schedule *named = yoke_trainer_schedule(trainer);
    if (placed) {
        yki_trainer_options options = {.job = job, .ignore_devices = true};
        yoke_layout alone = YOKE_LAYOUT_DEFAULT;
        yoke_trainer *single;
        alone.threads = 1;
        options.layout = &alone;
        assert_int_equal(yki_trainer_create(&single, &options), YOKE_OK);
        assert_int_equal(yoke_trainer_run(single, 0, NULL, NULL), YOKE_OK);
        collect(single, &one);
        yoke_trainer_destroy(single);
    } else
        must_run(model, "train.steps=6; train.batch=13", &one);
    for (int k = 0; k < orders; k++) {
        int split = (int)(draw(seed) % 5) * 25, haste = (int)(draw(seed) % 4) * 30;
        char *text = random_schedule(yoke_schedule_parts(named), yoke_schedule_microbatches(named), split,
                                     haste, seed);
        yoke_schedule *checked;
        write_text(WRITTEN, text);
        assert_int_equal(yoke_schedule_read(&checked, WRITTEN, yoke_schedule_parts(named),
                                            yoke_schedule_microbatches(named)),
                         YOKE_OK);
        if (yoke_schedule_check(checked) != YOKE_OK) fail_msg("%s\n%s", yoke_error_get()->message, text);
        yoke_schedule_destroy(checked);
        snprintf(overrides, sizeof overrides, "%s; layout.schedule=%s", layout, WRITTEN);
        for (int r = 0; r < repeats; r++) {
            static outcome first;
            must_run(model, overrides, &many);
            must_agree(model, text, &many, &one);
            if (r == 0) first = many;
            same_bits(&many, &first);
        }
        free(text);
    }
    finish_job(trainer, job);
}

static void test_random(void **state)
{
    (void)state;
    static const struct {
        const char *model, *layout;
    } cases[] = {
        {"mlp", "layout.pp=2; layout.microbatches=6"},
        {"mlp", "layout.pp=4; layout.microbatches=6"},
        {"mlp", "layout.pp=3; layout.chunks=3; layout.microbatches=4"},
        {"regress", "layout.pp=3; layout.chunks=2; layout.microbatches=5"},
        {"conv", "layout.pp=4; layout.chunks=2; layout.microbatches=5"},
        {"tokens", "layout.pp=2; layout.chunks=2; layout.microbatches=6"},
        {"gpt2", "layout.pp=2; layout.chunks=2; layout.microbatches=6"},
        {"gpt2", "layout.pp=3; layout.tp=2; layout.microbatches=4"},
        {"gpt2", "layout.pp=4; layout.dp=2; layout.microbatches=4"},
        {"devices", "layout.microbatches=6"},
        {"devices", "layout.microbatches=5; layout.dp=2"},
    };
    uint64_t seed = 99;
    const char *from = getenv("YOKE_TEST_SEED"), *times = getenv("YOKE_TEST_ORDERS");
    if (from) seed = strtoull(from, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char layout[256];
        snprintf(layout, sizeof layout, "train.steps=6; train.batch=13; %s", cases[i].layout);
        random_case(cases[i].model, layout, times ? atoi(times) : one_in() > 1 ? 2 : 5, 3, &seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_actions_run),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
