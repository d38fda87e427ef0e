/* Job files; a line "#--set KEY=VALUE" (or another flag, "#--dp 2") of one is an override too. What reads: it
 * prints and reads back as the same job, so does its layout, and where its numbers are small it becomes a
 * graph and a schedule. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/input.h"
#include "model/model.h"
#include "yoke/job.h"
#include "yoke/schedule.h"
#include "yoke/train.h"

enum { MOST_OVERRIDES = 8, MOST_LINE = 200 };

static int find_overrides(fuzz_part text, char lines[][MOST_LINE], const char **overrides)
{
    int count = 0;
    for (size_t at = 0, end; at < text.size && count < MOST_OVERRIDES; at = end + 1) {
        end = at;
        while (end < text.size && text.data[end] != '\n') end++;
        if (end - at < 3 || end - at >= MOST_LINE || memcmp(text.data + at, "#--", 3) != 0) continue;
        char *line = lines[count];
        snprintf(line, MOST_LINE, "%.*s", (int)(end - at - 1), (const char *)text.data + at + 1);
        char *space = strchr(line, ' ');
        bool set = strncmp(line, "--set ", 6) == 0;
        if (space && !set) *space = '=';
        overrides[count++] = set ? line + 6 : line;
    }
    return count;
}

static void print_and_read(const yoke_job *job)
{
    char *text = yoke_job_print(job), *same;
    yoke_job *again;
    fuzz_require(text != NULL, "a job prints");
    if (strlen(text) > 1 << 20) { /* no job file is read that is so long */
        free(text);
        return;
    }
    const char *path = fuzz_file(1, text, strlen(text));
    yoke_status status = yoke_job_load(path, 0, NULL, &again);
    if (status != YOKE_OK)
        fprintf(stderr, "%s\n%s: %s\n", text, yoke_error_get()->key, yoke_error_get()->message);
    fuzz_require(status == YOKE_OK, "what a job prints reads back");
    same = yoke_job_print(again);
    if (same && strcmp(text, same) != 0) fprintf(stderr, "%s\n%s\n", text, same);
    fuzz_require(same && strcmp(text, same) == 0, "a job that was read back prints the same");
    yoke_job_destroy(again);
    free(same);
    free(text);
}

static void print_layout(const yoke_layout *layout)
{
    static char text[1 << 15], same[1 << 15];
    yoke_layout again = YOKE_LAYOUT_DEFAULT;
    yoke_layout_print(layout, text, sizeof text);
    yoke_status status = yoke_layout_parse(&again, text);
    if (status != YOKE_OK) fprintf(stderr, "%s: %s\n", text, yoke_error_get()->message);
    fuzz_require(status == YOKE_OK, "what a layout prints reads back");
    yoke_layout_print(&again, same, sizeof same);
    if (strcmp(text, same) != 0) fprintf(stderr, "%s\n%s\n", text, same);
    fuzz_require(strcmp(text, same) == 0, "a layout that was read back prints the same");
    yoke_layout_flags(layout, text, sizeof text);
}

/* Graphs grow with the layers, plans with ranks and micro-batches. */
static bool is_small(const yoke_job *job)
{
    const yoke_layout *l = &job->layout;
    int64_t layers = job->model.depth + job->model.nlayers;
    return layers <= 8 && l->dp <= 4 && l->tp <= 4 && l->pp <= 4 && l->cp <= 4 && l->chunks <= 4 &&
           l->dp * l->tp * l->pp * l->cp <= 8 && l->microbatches <= 8 && job->model.input_ndim <= 4;
}

static void build(const yoke_job *job)
{
    yoke_model *model;
    yoke_schedule *schedule;
    if (!is_small(job) || job->model.from[0] || job->data.tokenizer[0]) return;
    if (!fuzz_accepted(yki_model_from_job(job, &model))) return;
    yoke_model_destroy(model);
    if (fuzz_judge(yoke_job_schedule(job, &schedule))) yoke_schedule_destroy(schedule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char lines[MOST_OVERRIDES][MOST_LINE];
    const char *overrides[MOST_OVERRIDES];
    int count = find_overrides((fuzz_part){data, size}, lines, overrides);
    yoke_job *job;
    if (!fuzz_accepted(yoke_job_load(fuzz_file(0, data, size), count, overrides, &job))) return 0;
    print_and_read(job);
    print_layout(&job->layout);
    build(job);
    yoke_job_destroy(job);
    return 0;
}
