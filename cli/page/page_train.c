/* The page of `yoke train`: how the loss went, what devices held, and where a step's time went. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "kinds.h"
#include "page.h"
#include "spans.h"

static void title(FILE *out, const json_t *data)
{
    double done = json_number_of(data, "steps_done"), total = json_number_of(data, "steps_total");
    size_t devices = json_array_size(json_object_get(data, "devices"));
    if (!isfinite(done)) {
        html_format(out, "A run that ended early");
        return;
    }
    html_format(out, "%.0f of %.0f steps on %d device%s", done, total, (int)devices, devices == 1 ? "" : "s");
}

static void print_summary(FILE *out, const json_t *data)
{
    html_word word;
    const json_t *held = json_object_get(data, "held_out");
    double tokens = json_number_of(data, "tokens_per_s"), perplexity = json_number_of(held, "perplexity"),
           accuracy = json_number_of(held, "accuracy"), predicted = json_number_of(data, "predicted_ms");
    html_figures(out);
    html_figure(out, "final loss", "%s", word_number(word, json_number_of(data, "final_loss")));
    if (held) html_figure(out, "held-out loss", "%s", word_number(word, json_number_of(held, "loss")));
    if (isfinite(perplexity)) html_figure(out, "held-out perplexity", "%s", word_number(word, perplexity));
    if (isfinite(accuracy)) html_figure(out, "held-out accuracy", "%s", word_share(word, accuracy));
    html_figure(out, "step (median)", "%s", word_ms(word, json_number_of(data, "step_ms_median")));
    if (isfinite(predicted)) html_figure(out, "step, predicted", "%s", word_ms(word, predicted));
    if (isfinite(tokens))
        html_figure(out, "tokens/s", "%s", word_number(word, tokens));
    else
        html_figure(out, "samples/s", "%s", word_number(word, json_number_of(data, "samples_per_s")));
    html_figure(out, "idle", "%s", word_share(word, json_number_of(data, "idle_fraction")));
    html_figure(out, "moved a step", "%s", word_bytes(word, json_number_of(data, "moved_bytes_per_step")));
    html_figures_end(out);
    if (json_truth_of(data, "diverged"))
        html_paragraph(out, "bad", "The loss has risen: nothing was learnt.");
}

/* --- curves --- */

/* One member of a list's objects over another; its points are freed by the caller. */
static chart_curve curve_of(const json_t *list, const char *x, const char *y, const char *name, int series)
{
    size_t i, count = json_array_size(list);
    const json_t *item;
    double *points = calloc(2 * count + 1, sizeof *points);
    json_array_foreach(list, i, item)
    {
        if (!points) break;
        points[i] = json_number_of(item, x);
        points[count + i] = json_number_of(item, y);
    }
    return (chart_curve){.name = name,
                         .series = series,
                         .count = points ? (int)count : 0,
                         .x = points,
                         .y = points ? points + count : NULL};
}

static bool knows(const chart_curve *c)
{
    for (int i = 0; i < c->count; i++)
        if (isfinite(c->y[i])) return true;
    return false;
}

static void print_loss(FILE *out, const json_t *data)
{
    chart_curve curves[2] = {
        curve_of(json_object_get(data, "steps"), "step", "loss", "loss of the step's batch", 0),
        curve_of(json_object_get(data, "evals"), "step", "loss", "held-out loss", 1)};
    curves[1].dots = true;
    html_section(out, "Loss", NULL);
    if (knows(&curves[0]))
        chart_curves(out, curves, knows(&curves[1]) ? 2 : 1, "step", "loss", "The loss over the steps");
    else
        html_paragraph(out, "note", "No step of this run had a finite loss.");
    html_section_end(out);
    free((void *)curves[0].x);
    free((void *)curves[1].x);
}

static void print_course(FILE *out, const json_t *data)
{
    static const struct {
        const char *key, *name, *unit, *about;
    } shown[] = {
        {"lr", "Learning rate", "rate", "The learning rate over the steps"},
        {"gradient_norm", "Gradient norm", "norm, before clipping", "The gradient's norm over the steps"},
        {"tokens_per_s", "Speed", "tokens/s", "Tokens per second over the steps"},
        {"samples_per_s", "Speed", "samples/s", "Samples per second over the steps"}};
    bool speed = false;
    fputs("<div class=\"pair\">\n", out);
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
        chart_curve c = curve_of(json_object_get(data, "course"), "step", shown[k].key, shown[k].name, 0);
        bool again = speed && strcmp(shown[k].name, "Speed") == 0; /* in tokens, where there are some */
        if (knows(&c) && !again) {
            html_section(out, shown[k].name, NULL);
            chart_curves(out, &c, 1, "step", shown[k].unit, shown[k].about);
            html_section_end(out);
            speed = strcmp(shown[k].name, "Speed") == 0;
        }
        free((void *)c.x);
    }
    fputs("</div>\n", out);
}

/* --- devices --- */

static void print_memory(FILE *out, const json_t *data)
{
    enum { MOST = 64 };
    static const char *const titles[] = {"<device", "predicted", "measured", "idle", "<layers", NULL};
    const json_t *devices = json_object_get(data, "devices"), *device;
    size_t i, count = json_array_size(devices);
    chart_bar bars[MOST];
    html_word words[MOST], word;
    html_table t;
    if (count == 0) return;
    size_t shown = count < MOST ? count : MOST;
    html_section(out, "Memory by kind",
                 "As predicted before the run, kind by kind; the number beside a bar was measured.");
    for (i = 0; i < shown; i++) {
        device = json_array_get(devices, i);
        double measured = json_number_of(device, "measured_peak_bytes");
        bars[i] = (chart_bar){.label = json_text_of(device, "name"), .value = word_bytes(words[i], measured)};
        kinds_of_bytes(&bars[i], json_object_get(device, "bytes"));
    }
    kinds_legend(out);
    kinds_bars(out, bars, (int)shown, json_number_of(data, "limit_bytes"));
    html_table_begin(&t, out, titles);
    for (i = 0; i < shown; i++) {
        device = json_array_get(devices, i);
        html_cell(&t, "%s", json_text_of(device, "name"));
        html_cell(&t, "%s", word_bytes(word, json_number_of(device, "predicted_peak_bytes")));
        html_cell(&t, "%s", word_bytes(word, json_number_of(device, "measured_peak_bytes")));
        html_cell(&t, "%s", word_share(word, json_number_of(device, "idle_fraction")));
        html_cell(&t, "%s", json_text_of(device, "layers"));
    }
    html_table_end(&t);
    if (shown < count) html_paragraph(out, "note", "The first %d devices of %d.", (int)shown, (int)count);
    html_section_end(out);
}

static void print_time(FILE *out, const json_t *data)
{
    const json_t *timeline = json_object_get(data, "timeline");
    if (json_array_size(timeline) == 0) return;
    html_section(
        out, "The last step, as it ran",
        "A number is a micro-batch; empty is idle. Low bars are times in which a device moved data, or "
        "waited for them, and computed nothing.");
    spans_of_devices(out, timeline, "What each device did in the last step");
    html_section_end(out);
    html_section(out, "Where the last step's time went",
                 "Shares of the time from the step's start to its last end.");
    spans_shares(out, timeline);
    html_section_end(out);
}

/* Of --profile: each kernel, and the least that it could have taken. */
static void print_profile(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<kernel", "calls",       "took", "could take",
                                         "of that", "<limited by", NULL};
    const json_t *kernels = json_object_get(data, "profile"), *kernel;
    html_table t;
    html_word word;
    size_t i;
    if (json_array_size(kernels) == 0) return;
    html_section(out, "Kernels",
                 "Of a step: what each took, and the least that this machine could take for it.");
    html_paragraph(out, NULL, "A step's kernels could have been done in %s of its time.",
                   word_share(word, json_number_of(data, "roofline_share")));
    html_table_begin(&t, out, titles);
    json_array_foreach(kernels, i, kernel)
    {
        double ms = json_number_of(kernel, "ms"), bound = json_number_of(kernel, "bound_ms");
        html_cell(&t, "%s", json_text_of(kernel, "kernel"));
        html_cell(&t, "%s", word_number(word, json_number_of(kernel, "calls")));
        html_cell(&t, "%s", word_ms(word, ms));
        html_cell(&t, "%s", word_ms(word, bound));
        html_cell(&t, "%s", word_share(word, ms > 0 ? bound / ms : NAN));
        html_cell(&t, "%s", json_text_of(kernel, "bound"));
    }
    html_table_end(&t);
    html_section_end(out);
}

static void body(FILE *out, const json_t *data)
{
    print_summary(out, data);
    print_loss(out, data);
    print_course(out, data);
    print_memory(out, data);
    print_time(out, data);
    print_profile(out, data);
}

const page_kind page_train = {.command = "train", .shows = "steps", .title = title, .body = body};
