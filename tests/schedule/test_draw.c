/* Drawings: a small one letter by letter, widths, colours, and that the SVG is balanced and complete. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "yoke/schedule.h"

static void setup(const char *name, int stages, int microbatches, int chunks, yoke_times times,
                  yoke_schedule **schedule, yoke_timeline *timeline)
{
    if (yoke_schedule_create(schedule, name, stages, microbatches, chunks) != YOKE_OK ||
        yoke_schedule_simulate(*schedule, &times, 1, timeline) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
}

static char *draw(const char *name, int stages, int microbatches, int chunks, yoke_times times, int columns,
                  int colour)
{
    yoke_schedule *schedule;
    yoke_timeline timeline;
    setup(name, stages, microbatches, chunks, times, &schedule, &timeline);
    char *text = yoke_timeline_draw(schedule, &timeline, columns, colour);
    yoke_timeline_release(&timeline);
    yoke_schedule_destroy(schedule);
    return text;
}

static char *draw_svg(const char *name, int stages, int microbatches, int chunks, yoke_times times)
{
    yoke_schedule *schedule;
    yoke_timeline timeline;
    setup(name, stages, microbatches, chunks, times, &schedule, &timeline);
    char *svg = yoke_timeline_svg(schedule, &timeline);
    yoke_timeline_release(&timeline);
    yoke_schedule_destroy(schedule);
    return svg;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) n++;
    return n;
}

static void a_small_drawing_is_exact(void **state)
{
    (void)state;
    char *text = draw("1f1b", 2, 2, 1, (yoke_times){1, 1, 1, 0}, 29, 0);
    assert_string_equal(text, "stage 0  F0F1....B0--..B1--\n"
                              "stage 1  ..F0B0--F1B1--....\n"
                              "F forward  B backward  . idle\n"
                              "numbers are micro-batches\n"
                              "makespan 9   bubble 33.33 %   idle 33.33 %\n");
    free(text);
    text = draw("zb-v", 1, 1, 2, (yoke_times){1, 1, 1, 0}, 30, 0);
    assert_string_equal(
        text, "stage 0  F0-f0-b0-w0-B0-W0-\n"
              "F forward  B input gradient  W weight gradient  . idle  small letters: chunks above 0\n"
              "numbers are micro-batches\n"
              "makespan 6   bubble 0.00 %   idle 0.00 %\n");
    free(text);
}

static void rows_keep_to_their_columns(void **state)
{
    (void)state;
    static const int widths[] = {-5, 0, 24, 40, 80, 133, 5000};
    for (int i = 0; i < 7; i++)
        for (int m = 1; m <= 100; m += 11) {
            int most = widths[i] < 24 ? 24 : widths[i];
            char *text = draw("zb-h2", 11, m, 1, (yoke_times){1, 0.7, 0.3, 0.11}, widths[i], 0);
            int rows = 0, first = -1;
            for (const char *line = text; strncmp(line, "stage", 5) == 0;
                 line = strchr(line, '\n') + 1, rows++) {
                int length = (int)strcspn(line, "\n");
                assert_true(length <= most);
                assert_true(first < 0 || length == first);
                first = length;
            }
            assert_int_equal(rows, 11);
            free(text);
        }
}

static void colours_are_only_there_when_asked_for(void **state)
{
    (void)state;
    char *plain = draw("1f1b", 4, 8, 1, (yoke_times){1, 1, 1, 0}, 80, 0);
    char *coloured = draw("1f1b", 4, 8, 1, (yoke_times){1, 1, 1, 0}, 80, 1);
    assert_null(strchr(plain, '\033'));
    assert_int_equal(count(plain, "F7"), 4);
    assert_int_equal(count(plain, "B7--"), 4);
    int starts = count(coloured, "\033["), ends = count(coloured, "\033[0m");
    assert_true(ends > 0);
    assert_int_equal(starts, 2 * ends);
    free(plain);
    free(coloured);
}

static void nothing_lasts_and_nothing_breaks(void **state)
{
    (void)state;
    char *text = draw("1f1b", 2, 2, 1, (yoke_times){0, 0, 0, 0}, 80, 1),
         *svg = draw_svg("1f1b", 2, 2, 1, (yoke_times){0});
    assert_non_null(strstr(text, "makespan 0 "));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(text);
    free(svg);
    text = draw("zb-h1", 2, 2, 1, (yoke_times){1e-9, 1e9, 0, 0}, 80, 0);
    svg = draw_svg("zb-h1", 2, 2, 1, (yoke_times){1e-9, 1e9, 0, 0});
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(text);
    free(svg);
}

/* Tags open and close in order; attributes are quoted. Enough of XML for what is written here. */
static void check_xml(const char *svg)
{
    const char *open[16];
    size_t length[16];
    int depth = 0;
    assert_memory_equal(svg, "<?xml", 5);
    for (const char *at = strchr(svg + 1, '<'); at; at = strchr(at + 1, '<')) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        int quotes = 0;
        for (const char *c = at; c < end; c++) quotes += *c == '"';
        assert_int_equal(quotes % 2, 0);
        size_t name = strcspn(at + 1 + (at[1] == '/'), " />");
        if (at[1] == '/') {
            assert_true(depth > 0);
            depth--;
            assert_true(name == length[depth] && strncmp(at + 2, open[depth], name) == 0);
        } else if (end[-1] != '/') {
            assert_true(depth < 16);
            open[depth] = at + 1;
            length[depth++] = name;
        }
    }
    assert_int_equal(depth, 0);
    assert_null(strchr(svg, '&'));
}

static void the_svg_holds_every_action(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int chunks;
    } cases[] = {{"gpipe", 2}, {"1f1b", 1}, {"interleaved", 6}, {"zb-h1", 1}, {"zb-h2", 1}, {"zb-v", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *svg = draw_svg(cases[i].name, 4, 8, cases[i].chunks, (yoke_times){1, 1, 0.5, 0.05});
        check_xml(svg);
        int a_pass = i < 3 ? 2 : 3;
        assert_int_equal(count(svg, "class=\"a "), 4 * 8 * cases[i].chunks * a_pass);
        assert_int_equal(count(svg, "<title>"), 4 * 8 * cases[i].chunks * a_pass);
        assert_non_null(strstr(svg, ">stage 3</text>"));
        assert_non_null(strstr(svg, ">forward (F)</text>"));
        free(svg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_drawing_is_exact),
        cmocka_unit_test(rows_keep_to_their_columns),
        cmocka_unit_test(colours_are_only_there_when_asked_for),
        cmocka_unit_test(nothing_lasts_and_nothing_breaks),
        cmocka_unit_test(the_svg_holds_every_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
