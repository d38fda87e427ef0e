/* Schedules as text: round trip, hostile input, and what the checker says of schedules that cannot run. */
#include "folder.h"
#include "yoke/schedule.h"

static const yoke_parts plain2 = {2, 2, (const int[]){0, 1}, (const int[]){0, 0}};
static const yoke_parts plain3 = {3, 3, (const int[]){0, 1, 2}, (const int[]){0, 0, 0}};
static const yoke_parts fold2 = {2, 3, (const int[]){0, 1, 0}, (const int[]){0, 0, 1}};
static const yoke_parts ring3 = {3, 4, (const int[]){0, 1, 2, 0}, (const int[]){0, 0, 0, 1}};
static const yoke_parts ring8 = {8, 9, (const int[]){0, 1, 2, 3, 4, 5, 6, 7, 0},
                                 (const int[]){0, 0, 0, 0, 0, 0, 0, 0, 1}};

static void must(yoke_status status)
{
    if (status != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
}

static void must_say(const char *words)
{
    if (!strstr(yoke_error_get()->message, words))
        fail_msg("\"%s\" does not say \"%s\"", yoke_error_get()->message, words);
}

static void printing_then_reading_gives_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int chunks;
    } cases[] = {{"gpipe", 1},       {"gpipe", 3}, {"1f1b", 1},  {"1f1b", 2},
                 {"interleaved", 3}, {"zb-h1", 1}, {"zb-h2", 1}, {"zb-v", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int m = 4; m <= 12; m += 4) {
            yoke_schedule *schedule, *again;
            must(yoke_schedule_create(&schedule, cases[i].name, 4, m, cases[i].chunks));
            char *text = yoke_schedule_print(schedule);
            must(yoke_schedule_parse(&again, text, "x", yoke_schedule_parts(schedule), m));
            must(yoke_schedule_check(again));
            char *text_again = yoke_schedule_print(again);
            assert_string_equal(text, text_again);
            for (int s = 0; s < 4; s++) {
                int count, count_again;
                const yoke_action *a = yoke_schedule_actions(schedule, s, &count);
                const yoke_action *b = yoke_schedule_actions(again, s, &count_again);
                assert_int_equal(count, count_again);
                for (int k = 0; k < count; k++)
                    assert_true(a[k].kind == b[k].kind && a[k].chunk == b[k].chunk &&
                                a[k].microbatch == b[k].microbatch);
            }
            free(text);
            free(text_again);
            yoke_schedule_destroy(schedule);
            yoke_schedule_destroy(again);
        }
}

static void the_text_is_what_the_design_says(void **state)
{
    (void)state;
    yoke_schedule *schedule;
    must(yoke_schedule_create(&schedule, "1f1b", 2, 3, 1));
    char *text = yoke_schedule_print(schedule);
    assert_string_equal(text, "F0 F1 BW0 F2 BW1 BW2\nF0 BW0 F1 BW1 F2 BW2\n");
    free(text);
    yoke_schedule_destroy(schedule);
    must(yoke_schedule_create(&schedule, "zb-v", 1, 1, 2));
    text = yoke_schedule_print(schedule);
    assert_string_equal(text, "F0 F0.1 B0.1 W0.1 B0 W0\n");
    free(text);
    yoke_schedule_destroy(schedule);
}

static void schedules_by_hand_are_read(void **state)
{
    (void)state;
    static const char good[] = "F0 F1 F2 F3 BW1 BW0 BW3 BW2\nF0 F1 BW1 BW0 F2 F3 BW3 BW2\n";
    yoke_schedule *schedule;
    must(yoke_schedule_parse(&schedule, good, "good.txt", &plain2, 4));
    must(yoke_schedule_check(schedule));
    char *text = yoke_schedule_print(schedule);
    assert_string_equal(text, good);
    free(text);
    yoke_schedule_destroy(schedule);
    /* comments, blanks, line ends, the chunk 0 written out, split beside fused */
    must(yoke_schedule_parse(
        &schedule, "# mine\r\n\n  F0.0\tF0.1 BW0.1   BW0 # stage 0\r\n \t\n#F0\nF0 B0 W0", "x", &fold2, 1));
    must(yoke_schedule_check(schedule));
    text = yoke_schedule_print(schedule);
    assert_string_equal(text, "F0 F0.1 BW0.1 BW0\nF0 B0 W0\n");
    free(text);
    yoke_schedule_destroy(schedule);
}

static void what_is_no_schedule_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *says;
    } cases[] = {
        {"", 0, "0 lines"},
        {"F0 BW0\n", 0, "1 line of actions, but the layout has 2 stages"},
        {"F0\nF0\nF0\n", 0, "3 lines of actions, but the layout has 2 stages"},
        {"F0 X0\nF0\n", 1, "stage 0: \"X0\""},
        {"F0\n\nf0\n", 3, "stage 1: \"f0\""},
        {"F0\nF\n", 2, "stage 1: \"F\""},
        {"F0\n7\n", 2, "stage 1: \"7\""},
        {"F0\nF0.\n", 2, "\"F0.\""},
        {"F0\nF0.0.0\n", 2, "\"F0.0.0\""},
        {"F0\nF-1\n", 2, "\"F-1\""},
        {"F0\nF0BW0\n", 2, "\"F0BW0\""},
        {"F0\nFBW0\n", 2, "\"FBW0\""},
        {"F0\nF0\x01\xff\n", 2, "\"F0\\x01\\xff\""},
        {"F0\nF4\n", 2,
         "stage 1: F4 is of a micro-batch that does not exist; the 4 micro-batches are 0 to 3"},
        {"F0\nF2147483647\n", 2, "F2147483647"},
        {"F0\nF2147483648\n", 2, "F2147483648"},
        {"F0\nBW99999999999999999999999999999999999999999999\n", 2, "BW9999999999999999999999..."},
        {"F0\nF0.99999999999999999999\n", 2, "chunk"},
        {"F0\nF0.1\n", 2, "stage 1: F0.1 is of a chunk that does not exist; the stage has 1 chunk"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yoke_schedule *schedule = NULL;
        assert_int_equal(yoke_schedule_parse(&schedule, cases[i].text, "bad.txt", &plain2, 4), YOKE_INVALID);
        assert_null(schedule);
        must_say(cases[i].says);
        assert_string_equal(yoke_error_get()->file, "bad.txt");
        assert_int_equal(yoke_error_get()->line, cases[i].line);
    }
}

static void schedules_that_cannot_run_are_refused_by_stage_and_action(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *says;
    } cases[] = {
        {"F0 BW0 F1 BW1 F2 BW2 F3 BW3\nF0 F1 BW0 BW1 F2 BW2 F3 BW3\n", 1,
         "stage 0 would wait forever at BW0: it needs BW0 of stage 1, which waits at F1 for F1 of stage 0"},
        {"F0 F1 F2 F3 BW0 BW1 BW2\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1, "stage 0: BW3 is missing"},
        {"F0 F1 F2 F3 BW0 BW1 BW2 BW3\nF0 BW0 F1 BW1 F2 BW2 BW3 F3\n", 2,
         "stage 1: BW3 comes before F3, which it needs"},
        {"F0 F1 F2 F3 BW0 BW1 BW2 BW3\nF0 BW0 F1 BW1 F2 F2 BW2 F3 BW3\n", 2, "stage 1: F2 appears twice"},
        {"F0 F1 F3 BW0 BW1 BW2 BW3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1, "stage 0: F2 is missing"},
        {"F0 F1 F2 F3 B0 W0 B1 W1 B2 B3 W3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1, "stage 0: W2 is missing"},
        {"F0 F1 F2 F3 B0 W0 W1 B2 W2 B3 W3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1, "stage 0: B1 is missing"},
        {"F0 F1 F2 F3 B0 W0 BW1 B1 BW2 BW3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1,
         "stage 0: B1 appears beside BW1"},
        {"F0 F1 F2 F3 BW0 W1 BW1 BW2 BW3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1,
         "stage 0: BW1 appears beside W1"},
        {"F0 F1 F2 F3 W0 B0 BW1 BW2 BW3\nF0 BW0 F1 BW1 F2 BW2 F3 BW3\n", 1,
         "stage 0: W0 comes before B0, which it needs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yoke_schedule *schedule;
        must(yoke_schedule_parse(&schedule, cases[i].text, "bad.txt", &plain2, 4));
        assert_int_equal(yoke_schedule_check(schedule), YOKE_INVALID);
        must_say(cases[i].says);
        assert_string_equal(yoke_error_get()->file, "bad.txt");
        assert_int_equal(yoke_error_get()->line, cases[i].line);
        /* the simulator doesn't hang or read what was never written either */
        yoke_timeline timeline = {0};
        if (yoke_schedule_simulate(schedule, &(yoke_times){1, 1, 1, 1}, 1, &timeline) == YOKE_OK)
            yoke_timeline_release(&timeline);
        yoke_schedule_destroy(schedule);
    }
}

static void circles_and_own_chunks_are_found(void **state)
{
    (void)state;
    static const struct {
        const yoke_parts *parts;
        int microbatches;
        const char *text, *says;
    } cases[] = {
        /* the circle is between 0 and 1; 2 is only stuck behind it */
        {&plain3, 2, "F0 BW0 F1 BW1\nF0 F1 BW0 BW1\nF0 BW0 F1 BW1\n",
         "stage 0 would wait forever at BW0: it needs BW0 of stage 1, which waits at F1 for F1 of stage 0"},
        /* between 1 and 2; 0 is only stuck behind it */
        {&plain3, 2, "F0 BW0 F1 BW1\nF0 B0 W0 F1 BW1\nF0 F1 BW0 BW1\n",
         "stage 1 would wait forever at B0: it needs BW0 of stage 2, which waits at F1 for F1 of stage 1"},
        {&fold2, 1, "F0.1 F0 BW0.1 BW0\nF0 BW0\n",
         "stage 0 would wait forever at F0.1: it needs F0 of stage 1, which waits at F0 for F0 of stage 0"},
        {&ring3, 1, "F0.1 F0 BW0.1 BW0\nF0 BW0\nF0 BW0\n",
         "stage 0 would wait forever at F0.1: it needs F0 of stage 2, which waits at F0 for F0 of stage 1, "
         "which waits "
         "at F0 for F0 of stage 0"},
        {&ring8, 1, "F0.1 F0 BW0.1 BW0\nF0 BW0\nF0 BW0\nF0 BW0\nF0 BW0\nF0 BW0\nF0 BW0\nF0 BW0\n",
         "for F0 of stage 2, and so on around 8 stages"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yoke_schedule *schedule;
        must(yoke_schedule_parse(&schedule, cases[i].text, "x", cases[i].parts, cases[i].microbatches));
        assert_int_equal(yoke_schedule_check(schedule), YOKE_INVALID);
        must_say(cases[i].says);
        yoke_schedule_destroy(schedule);
    }
}

/* Writes a file, reads it as a schedule of plain2 with 4 micro-batches, expects a refusal. */
static void refuse_file(const char *bytes, size_t count, const char *says, int line)
{
    const char *path = in_folder("schedule.txt");
    write_file(path, bytes, count);
    yoke_schedule *schedule = NULL;
    assert_int_equal(yoke_schedule_read(&schedule, path, &plain2, 4), YOKE_INVALID);
    must_say(says);
    assert_string_equal(yoke_error_get()->file, path);
    assert_int_equal(yoke_error_get()->line, line);
    assert_null(schedule);
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    refuse_file("F0 BW0\nF0\0BW0\n", 14, "NUL", 2);
    refuse_file("\0", 1, "NUL", 1);
    refuse_file("", 0, "0 lines", 0);
    refuse_file("F0 BW0\nF9 BW0", 13, "F9", 2);
    size_t size = (65u << 20);
    char *large = malloc(size);
    memset(large, ' ', size);
    refuse_file(large, size, "64 MiB", 0);
    memset(large, '\n', size);
    refuse_file(large, size - (2u << 20), "0 lines", 0);
    free(large);
    yoke_schedule *schedule = NULL;
    assert_int_equal(yoke_schedule_read(&schedule, "/tmp/there/is/no/such/file", &plain2, 4), YOKE_INVALID);
    assert_int_equal(yoke_schedule_read(&schedule, "/tmp", &plain2, 4), YOKE_INVALID);
    assert_int_equal(yoke_schedule_read(&schedule, "/dev/zero", &plain2, 4), YOKE_INVALID);
}

static void files_are_read(void **state)
{
    (void)state;
    const char *path = in_folder("schedule.txt");
    yoke_schedule *schedule, *again;
    must(yoke_schedule_create(&schedule, "zb-v", 16, 200, 2));
    char *text = yoke_schedule_print(schedule);
    write_text(path, text);
    must(yoke_schedule_read(&again, path, yoke_schedule_parts(schedule), 200));
    must(yoke_schedule_check(again));
    char *text_again = yoke_schedule_print(again);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    yoke_schedule_destroy(schedule);
    yoke_schedule_destroy(again);
}

/* Random damage to a good schedule: whatever is read can be checked and simulated without harm. */
static void damaged_text_does_no_harm(void **state)
{
    (void)state;
    yoke_schedule *schedule;
    must(yoke_schedule_create(&schedule, "zb-h1", 3, 5, 1));
    char *text = yoke_schedule_print(schedule);
    size_t length = strlen(text);
    uint32_t random = 1;
    int read = 0;
    for (int i = 0; i < 20000; i++) {
        char damaged[512];
        assert_true(length < sizeof damaged);
        memcpy(damaged, text, length + 1);
        for (int k = 0; k < 1 + i % 3; k++) {
            random = random * 1664525 + 1013904223;
            damaged[(random >> 8) % length] = "FBW0123459. \n#\x80"[(random >> 24) % 15];
        }
        yoke_schedule *copy;
        if (yoke_schedule_parse(&copy, damaged, "x", yoke_schedule_parts(schedule), 5) != YOKE_OK) continue;
        read++;
        yoke_timeline timeline;
        if (yoke_schedule_check(copy) == YOKE_OK) {
            must(yoke_schedule_simulate(copy, &(yoke_times){1, 1, 1, 0}, 1, &timeline));
            yoke_timeline_release(&timeline);
        } else if (yoke_schedule_simulate(copy, &(yoke_times){1, 1, 1, 0}, 1, &timeline) == YOKE_OK) {
            yoke_timeline_release(&timeline);
        }
        yoke_schedule_destroy(copy);
    }
    assert_true(read > 100);
    free(text);
    yoke_schedule_destroy(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_then_reading_gives_the_same),
        cmocka_unit_test(the_text_is_what_the_design_says),
        cmocka_unit_test(schedules_by_hand_are_read),
        cmocka_unit_test(what_is_no_schedule_is_refused),
        cmocka_unit_test(schedules_that_cannot_run_are_refused_by_stage_and_action),
        cmocka_unit_test(circles_and_own_chunks_are_found),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(damaged_text_does_no_harm),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
