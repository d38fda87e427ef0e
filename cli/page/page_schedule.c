/* The page of `yoke schedule`: the schedule as a time line, and what each stage does and waits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "page.h"
#include "spans.h"

static int stages_of(const json_t *data)
{
    return (int)json_number_of(data, "stages");
}

static void title(FILE *out, const json_t *data)
{
    int stages = stages_of(data), microbatches = (int)json_number_of(data, "microbatches");
    html_format(out, "%d stage%s, %d micro-batch%s", stages, stages == 1 ? "" : "s", microbatches,
                microbatches == 1 ? "" : "es");
}

/* Each stage's row of the table: how many actions, when, how long idle. */
static void print_stages(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<stage", "actions", "first start", "last end",
                                         "busy",   "idle",    "idle share",  NULL};
    int stages = stages_of(data);
    double makespan = json_number_of(data, "makespan");
    size_t i;
    const json_t *action;
    struct {
        double first, last, busy;
        int count;
    } *of = calloc((size_t)stages + 1, sizeof *of);
    if (!of) return;
    json_array_foreach(json_object_get(data, "actions"), i, action)
    {
        int s = (int)json_number_of(action, "stage");
        double start = json_number_of(action, "start"), end = json_number_of(action, "end");
        if (s < 0 || s >= stages) continue;
        if (of[s].count++ == 0) of[s].first = start;
        of[s].last = fmax(of[s].last, end);
        of[s].busy += end - start;
    }
    html_table t;
    html_section(out, "Stages",
                 "Times are in the unit of --times, where a stage's forward pass usually takes 1.");
    html_table_begin(&t, out, titles);
    for (int s = 0; s < stages && s < 256; s++) {
        html_word word;
        html_cell(&t, "%d", s);
        html_cell(&t, "%d", of[s].count);
        html_cell(&t, "%s", word_number(word, of[s].first));
        html_cell(&t, "%s", word_number(word, of[s].last));
        html_cell(&t, "%s", word_number(word, of[s].busy));
        html_cell(&t, "%s", word_number(word, makespan - of[s].busy));
        html_cell(&t, "%s", word_share(word, makespan > 0 ? 1 - of[s].busy / makespan : NAN));
    }
    html_table_end(&t);
    if (stages > 256) html_paragraph(out, "note", "The first 256 of %d stages.", stages);
    html_section_end(out);
    free(of);
}

static void body(FILE *out, const json_t *data)
{
    html_word word;
    double makespan = json_number_of(data, "makespan");
    html_paragraph(
        out, "lead",
        "A batch takes %s; of all stages' time %s is idle, because a stage waits for another. More "
        "micro-batches make that share smaller.",
        word_number(word, makespan), word_share((html_word){0}, json_number_of(data, "idle_share")));
    html_figures(out);
    html_figure(out, "makespan", "%s", word_number(word, makespan));
    html_figure(out, "bubble rate", "%s", word_share(word, json_number_of(data, "bubble_rate")));
    html_figure(out, "idle share", "%s", word_share(word, json_number_of(data, "idle_share")));
    html_figure(out, "actions", "%d", (int)json_array_size(json_object_get(data, "actions")));
    html_figures_end(out);
    html_section(out, "Which micro-batch is on which stage when",
                 "A number is a micro-batch, and behind a dot a chunk; empty is idle.");
    spans_of_stages(out, data);
    html_section_end(out);
    print_stages(out, data);
}

const page_kind page_schedule = {.command = "schedule", .shows = "actions", .title = title, .body = body};
