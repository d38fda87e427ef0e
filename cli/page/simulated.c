/* Sections of a simulated step. */
#include "simulated.h"

#include <math.h>
#include <stdlib.h>

#include "chart.h"
#include "html.h"
#include "kinds.h"
#include "spans.h"

enum { ROWS_MOST = 64 };

static const json_t *stages_of(const json_t *data)
{
    return json_object_get(data, "stages");
}

void simulated_title(FILE *out, const json_t *data, const char *what)
{
    double devices = json_number_of(data, "devices");
    html_format(out, "%s: %.0f device%s of %s", what, devices, devices == 1 ? "" : "s",
                json_text_of(data, "machine"));
}

void simulated_lead(FILE *out, const json_t *data)
{
    const char *layout = json_text_of(data, "layout");
    double devices = json_number_of(data, "devices");
    html_word word;
    html_paragraph(out, "lead", "%s on %s, %.0f device%s: a step takes %s.",
                   layout && layout[0] ? layout : "One device", json_text_of(data, "machine"), devices,
                   devices == 1 ? "" : "s", word_ms(word, json_number_of(data, "step_ms")));
    if (json_is_false(json_object_get(data, "calibrated")))
        html_paragraph(out, "note",
                       "The machine's figures were not measured on it: times may be off by a fifth.");
}

void simulated_figures(FILE *out, const json_t *data)
{
    html_word word;
    double tokens = json_number_of(data, "tokens_per_s");
    html_figures(out);
    html_figure(out, "step", "%s", word_ms(word, json_number_of(data, "step_ms")));
    html_figure(out, "samples/s", "%s", word_number(word, json_number_of(data, "samples_per_s")));
    if (isfinite(tokens)) html_figure(out, "tokens/s", "%s", word_number(word, tokens));
    html_figure(out, "TFLOP/s a device", "%s",
                word_number(word, json_number_of(data, "model_flops_per_device_s") / 1e12));
    html_figure(out, "idle", "%s", word_share(word, json_number_of(data, "idle_fraction")));
    html_figure(out, "moved a step", "%s", word_bytes(word, json_number_of(data, "moved_bytes_per_step")));
    html_figures_end(out);
}

void simulated_memory(FILE *out, const json_t *data)
{
    chart_bar bars[ROWS_MOST];
    html_word labels[ROWS_MOST], words[ROWS_MOST];
    size_t i, count = json_array_size(stages_of(data)), shown = count < ROWS_MOST ? count : ROWS_MOST;
    for (i = 0; i < shown; i++) {
        const json_t *stage = json_array_get(stages_of(data), i);
        snprintf(labels[i], sizeof labels[i], "stage %d", (int)i);
        bars[i] = (chart_bar){.label = labels[i],
                              .value = word_bytes(words[i], json_number_of(stage, "peak_bytes"))};
        kinds_of_bytes(&bars[i], stage);
    }
    html_section(out, "Memory by kind", "Of the device of each stage that holds most.");
    kinds_legend(out);
    kinds_bars(out, bars, (int)shown, json_number_of(data, "limit_bytes"));
    if (shown < count) html_paragraph(out, "note", "The first %d stages of %d.", (int)shown, (int)count);
    html_section_end(out);
}

void simulated_time(FILE *out, const json_t *data)
{
    const json_t *timeline = json_object_get(data, "timeline");
    if (json_array_size(timeline) == 0) return;
    html_section(
        out, "Who computes, waits and moves, when",
        "A row is a device that stands for all that do the same. A number is a micro-batch; low bars "
        "are times in which a device waits for a movement, and computes nothing.");
    spans_of_devices(out, timeline, "What devices do in the simulated step");
    html_section_end(out);
    if (json_object_get(json_object_get(data, "left_out"), "timeline")) return;
    html_section(out, "Where each device's time goes",
                 "Shares of the time from the step's start to its last end.");
    spans_shares(out, timeline);
    html_section_end(out);
}

/* Where rows of the time line stand for more than themselves. */
static void print_alike(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<device", "<stage", "do the same", "times as slow", NULL};
    const json_t *alike = json_object_get(data, "alike");
    html_table t;
    html_word word;
    size_t i, count = json_array_size(alike);
    double classes = json_number_of(data, "classes");
    if (count == 0 || (double)count == json_number_of(data, "devices")) return;
    html_paragraph(out, "note", "Devices that do the same at the same time, by the first of them%s:",
                   classes > (double)count ? "; of each stage those that compute longest" : "");
    html_table_begin(&t, out, titles);
    for (i = 0; i < count && i < ROWS_MOST; i++) {
        const json_t *of = json_array_get(alike, i);
        html_cell(&t, "%s", json_text_of(of, "device"));
        html_cell(&t, "stage %.0f", json_number_of(of, "stage"));
        html_cell(&t, "%s", word_number(word, json_number_of(of, "devices")));
        html_cell(&t, "%s", word_number(word, json_number_of(of, "slower")));
    }
    html_table_end(&t);
    if (count > ROWS_MOST) html_paragraph(out, "note", "The first %d kinds of %d.", ROWS_MOST, (int)count);
}

void simulated_table(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<stage",    "computes",  "holds",       "weights",
                                         "gradients", "optimizer", "activations", "movement",
                                         "workspace", "<layers",   NULL};
    static const char *const kinds[] = {"peak_bytes",  "weights",  "gradients", "optimizer",
                                        "activations", "movement", "workspace"};
    html_table t;
    html_word word;
    size_t i, count = json_array_size(stages_of(data));
    html_section(out, "Stages",
                 "What each computes in a step, as if alone, and what its fullest device holds.");
    html_table_begin(&t, out, titles);
    for (i = 0; i < count && i < ROWS_MOST; i++) {
        const json_t *stage = json_array_get(stages_of(data), i);
        html_cell(&t, "%d", (int)i);
        html_cell(&t, "%s", word_ms(word, json_number_of(stage, "compute_ms")));
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            html_cell(&t, "%s", word_bytes(word, json_number_of(stage, kinds[k])));
        html_cell(&t, "%s", json_text_of(stage, "layers"));
    }
    html_table_end(&t);
    if (count > ROWS_MOST) html_paragraph(out, "note", "The first %d stages of %d.", ROWS_MOST, (int)count);
    print_alike(out, data);
    html_section_end(out);
}
