/* Schedule files, over several maps of parts to stages; what reads: it prints, reads back, and, where the
 * checker proves it, runs and can be drawn. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/input.h"
#include "yoke/schedule.h"

static void draw(const yoke_schedule *schedule)
{
    static const yoke_times times = {1, 1, 0.5, 0.25};
    yoke_timeline timeline;
    fuzz_require(yoke_schedule_simulate(schedule, &times, 1, &timeline) == YOKE_OK,
                 "a schedule that was proved can be simulated");
    char *text = yoke_timeline_draw(schedule, &timeline, 80, 1),
         *svg = yoke_timeline_svg(schedule, &timeline);
    fuzz_require(text && svg, "a timeline can be drawn");
    free(text);
    free(svg);
    yoke_timeline_release(&timeline);
}

static void print_and_read(const yoke_schedule *schedule, const yoke_parts *parts, int microbatches)
{
    char *text = yoke_schedule_print(schedule);
    fuzz_require(text != NULL, "a schedule prints");
    yoke_schedule *again;
    fuzz_require(yoke_schedule_parse(&again, text, "", parts, microbatches) == YOKE_OK,
                 "what a schedule prints reads back");
    char *same = yoke_schedule_print(again);
    fuzz_require(same && strcmp(text, same) == 0, "what was read back prints the same");
    yoke_schedule_destroy(again);
    free(same);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int line[] = {0, 1, 2}, zero[] = {0, 0, 0}, there_and_back[] = {0, 1, 1, 0},
                     second[] = {0, 0, 1, 1};
    static const struct {
        yoke_parts parts;
        int microbatches;
    } maps[] = {{{1, 1, line, zero}, 2},
                {{2, 2, line, zero}, 3},
                {{2, 4, there_and_back, second}, 2},
                {{3, 3, line, zero}, 70000}};
    const char *path = fuzz_file(0, data, size);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        yoke_schedule *schedule;
        if (!fuzz_accepted(yoke_schedule_read(&schedule, path, &maps[i].parts, maps[i].microbatches)))
            continue;
        print_and_read(schedule, &maps[i].parts, maps[i].microbatches);
        if (fuzz_accepted(yoke_schedule_check(schedule))) draw(schedule);
        yoke_schedule_destroy(schedule);
    }
    return 0;
}
