/* The page of `yoke plan`: what there is to choose from, which is taken, and why. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "kinds.h"
#include "page.h"

enum { CHOSEN, FITS, LACKS, BARS_MOST = 24 };

static const char *layout_of(const json_t *row)
{
    const char *text = json_text_of(row, "layout");
    return text && text[0] ? text : "one device";
}

static const json_t *rows_of(const json_t *data)
{
    return json_object_get(data, "candidates");
}

static double devices_of(const json_t *row)
{
    static const char *const axes[] = {"dp", "tp", "pp", "cp"};
    double devices = 1;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        double degree = json_number_of(json_object_get(row, "mesh"), axes[i]);
        if (degree > 0) devices *= degree;
    }
    return devices;
}

static void title(FILE *out, const json_t *data)
{
    html_format(out, "The layout to take on %s", json_text_of(data, "machine"));
}

static void print_choice(FILE *out, const json_t *data)
{
    const json_t *chosen = json_object_get(data, "chosen");
    html_word word;
    double devices = devices_of(chosen), considered = json_number_of(data, "considered");
    html_paragraph(out, "lead", "Take %s: a step is predicted to take %s on %.0f device%s.",
                   layout_of(chosen), word_ms(word, json_number_of(chosen, "step_ms")), devices,
                   devices == 1 ? "" : "s");
    html_paragraph(out, NULL, "Its time goes most to this: %s.", json_text_of(chosen, "limit"));
    html_figures(out);
    html_figure(out, "step", "%s", word_ms(word, json_number_of(chosen, "step_ms")));
    html_figure(out, "fullest device", "%s", word_bytes(word, json_number_of(chosen, "peak_bytes")));
    html_figure(out, "it may hold", "%s", word_bytes(word, json_number_of(data, "limit_bytes")));
    html_figure(out, "devices", "%.0f", devices);
    html_figure(out, "considered", "%s", word_number(word, considered));
    html_figure(out, "simulated", "%s", word_number(word, json_number_of(data, "simulated")));
    html_figure(out, "search took", "%s", word_ms(word, json_number_of(data, "search_ms")));
    html_figures_end(out);
    html_paragraph(out, "note", "%s Predicted times may be off by %.0f\u00a0%%%s.",
                   json_truth_of(data, "proved")
                       ? "None of the layouts that were considered can be faster: their bounds say so."
                       : "Other layouts promised less, but may be faster than those that were simulated.",
                   100 * json_number_of(data, "error_bound"),
                   json_truth_of(data, "calibrated") ? ""
                                                     : ": the machine's figures were not measured on it");
}

/* --- why --- */

/* Of each strategy how long a step takes, and what the fullest device holds. */
static void print_strategies(FILE *out, const json_t *data)
{
    enum { MOST = 16 };
    const json_t *strategies = json_object_get(data, "strategies"), *strategy;
    chart_bar times[MOST], held[MOST];
    html_word ms[MOST], bytes[MOST];
    size_t i;
    int n = 0;
    json_array_foreach(strategies, i, strategy)
    {
        const char *limit = json_text_of(strategy, "limit");
        if (n == MOST) break;
        times[n] =
            (chart_bar){.label = json_text_of(strategy, "strategy"), .value = "not possible", .note = limit};
        held[n] = (chart_bar){.label = json_text_of(strategy, "strategy"), .value = "not possible"};
        if (json_truth_of(strategy, "possible")) {
            double step = json_number_of(strategy, "step_ms");
            bool fits = json_truth_of(strategy, "fits");
            times[n].nparts = 1;
            times[n].parts[0] = step;
            times[n].value = word_ms(ms[n], step);
            kinds_of_bytes(&held[n], json_object_get(strategy, "bytes"));
            held[n].value = word_bytes(bytes[n], json_number_of(strategy, "peak_bytes"));
            if (!fits) times[n].value = "does not fit";
            held[n].note = fits ? NULL : "does not fit";
        }
        n++;
    }
    if (n == 0) return;
    fputs("<div class=\"pair\">\n", out);
    html_section(out, "Each strategy by itself: time of a step",
                 "Below each what limits it. One that does not fit is as fast as it would be with memory.");
    chart_bars(out, times, n, 0, "");
    html_section_end(out);
    html_section(out, "Each strategy by itself: memory", "Of the device that holds most, by kind.");
    kinds_legend(out);
    kinds_bars(out, held, n, json_number_of(data, "limit_bytes"));
    html_section_end(out);
    fputs("</div>\n", out);
}

static void print_break_even(FILE *out, const json_t *points)
{
    static const char *const titles[] = {"<what", "now", "changes at", "<instead of", "<take", NULL};
    html_table t;
    const json_t *point;
    size_t i;
    html_section(out, "When the answer changes", NULL);
    html_table_begin(&t, out, titles);
    json_array_foreach(points, i, point)
    {
        const char *sentence = json_text_of(point, "sentence");
        html_cell(&t, "%s", json_text_of(point, "parameter"));
        html_cell(&t, "%.6g", json_number_of(point, "now"));
        html_cell(&t, "%.6g", json_number_of(point, "value"));
        html_cell(&t, "%s", json_text_of(point, "from"));
        html_cell(&t, "%s", json_text_of(point, "to"));
        if (sentence) html_table_note(&t, "%s", sentence);
    }
    html_table_end(&t);
    html_section_end(out);
}

static void print_why(FILE *out, const json_t *data)
{
    const json_t *why = json_object_get(data, "why"), *points = json_object_get(data, "break_even"),
                 *sentence;
    size_t i;
    if (json_array_size(why) == 0) return;
    html_section(out, "Why", NULL);
    fputs("<ul class=\"why\">\n", out);
    json_array_foreach(why, i, sentence)
    {
        fputs("<li>", out);
        html_text(out, json_string_value(sentence));
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
    html_section_end(out);
    print_strategies(out, data);
    if (json_array_size(points) > 0) print_break_even(out, points);
}

/* --- what there is to choose from --- */

static chart_point point_of(const json_t *row, bool chosen, double unit)
{
    html_word ms, bytes;
    bool fits = json_truth_of(row, "fits");
    double held = json_number_of(row, "peak_bytes");
    chart_point p = {.x = held > 0 ? held / unit : NAN,
                     .y = json_number_of(row, "step_ms"),
                     .kind = !fits    ? LACKS
                             : chosen ? CHOSEN
                                      : FITS};
    snprintf(p.title, sizeof p.title, "%.250s: %s, %s", layout_of(row), word_ms(ms, p.y),
             word_bytes(bytes, held));
    return p;
}

static void print_points(FILE *out, const json_t *data)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    const double far = 4;
    const char *names[CHART_MARKS] = {NULL};
    size_t i, count = json_array_size(rows_of(data));
    const json_t *row;
    chart_point *points = calloc(count + 1, sizeof *points);
    double most = 0, limit = json_number_of(data, "limit_bytes"), unit = 1;
    char x_name[80], limit_text[80];
    html_word word;
    int power = 0;
    if (!points) return;
    json_array_foreach(rows_of(data), i, row) most = fmax(most, json_number_of(row, "peak_bytes"));
    for (; power < 4 && most / unit >= 1024; power++) unit *= 1024;
    json_array_foreach(rows_of(data), i, row)
    {
        points[i] = point_of(row, i == 0, unit);
        names[points[i].kind] = points[i].kind == CHOSEN ? "to be taken"
                                : points[i].kind == FITS ? "fits too"
                                                         : "does not fit";
    }
    bool draws = limit > 0 && limit <= far * most;
    snprintf(x_name, sizeof x_name, "held by the fullest device, %s", units[power]);
    snprintf(limit_text, sizeof limit_text, "a device may hold %s", word_bytes(word, limit));
    html_section(out, "Time against memory",
                 "Each mark is a layout, by its number in the table below; further down is faster, further "
                 "left holds less.");
    chart_points(out, points, (int)count, names, draws ? limit / unit : 0, limit_text, x_name,
                 "a step's time, ms", "Layouts by the time of a step and by what their fullest device holds");
    if (limit > 0 && !draws) html_paragraph(out, "note", "The limit is beyond the picture: %s.", limit_text);
    html_section_end(out);
    free(points);
}

static void print_memory(FILE *out, const json_t *data)
{
    size_t i, count = json_array_size(rows_of(data));
    const json_t *row;
    chart_bar *bars = calloc(count + 1, sizeof *bars);
    html_word *words = calloc(count + 1, sizeof *words), *labels = calloc(count + 1, sizeof *labels);
    int n = 0;
    json_array_foreach(rows_of(data), i, row)
    {
        if (!bars || !words || !labels) break;
        if (!(json_number_of(row, "peak_bytes") > 0) || n == BARS_MOST) continue;
        snprintf(labels[n], sizeof labels[n], "%d", (int)i + 1);
        bars[n] =
            (chart_bar){.label = labels[n], .value = word_bytes(words[n], json_number_of(row, "peak_bytes"))};
        kinds_of_bytes(&bars[n++], json_object_get(row, "bytes"));
    }
    if (n > 0) {
        html_section(out, "What the fullest device holds", "By layout, as numbered in the table; by kind.");
        kinds_legend(out);
        kinds_bars(out, bars, n, json_number_of(data, "limit_bytes"));
        html_section_end(out);
    }
    free(labels);
    free(words);
    free(bars);
}

static void print_table(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<no.",  "<layout", "devices", "step", "times the choice's",
                                         "holds", NULL};
    html_table t;
    html_word word;
    const json_t *row;
    size_t i;
    double best = json_number_of(json_object_get(data, "chosen"), "step_ms");
    html_section(out, "All figures", "Below each layout what its time goes to most, or what it lacks.");
    html_table_begin(&t, out, titles);
    json_array_foreach(rows_of(data), i, row)
    {
        double ms = json_number_of(row, "step_ms"), held = json_number_of(row, "peak_bytes");
        html_cell(&t, "%d", (int)i + 1);
        html_cell(&t, "%s", layout_of(row));
        html_cell(&t, "%.0f", devices_of(row));
        html_cell(&t, "%s", word_ms(word, ms));
        html_cell(&t, isfinite(ms / best) ? "%.3f" : "-", ms / best);
        html_cell(&t, "%s", word_bytes(word, held > 0 ? held : NAN));
        const char *limit = json_text_of(row, "limit");
        if (limit) html_table_note(&t, "%s", limit);
    }
    html_table_end(&t);
    html_section_end(out);
}

static void body(FILE *out, const json_t *data)
{
    print_choice(out, data);
    fputs("<div class=\"pair\">\n", out);
    print_points(out, data);
    print_memory(out, data);
    fputs("</div>\n", out);
    print_why(out, data);
    print_table(out, data);
}

const page_kind page_plan = {.command = "plan", .shows = "candidates", .title = title, .body = body};
