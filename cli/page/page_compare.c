/* The page of `yoke compare`: who was fastest, by how much, what each strategy takes, and what its devices
 * did.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "kinds.h"
#include "page.h"
#include "spans.h"

static const json_t *rows_of(const json_t *data)
{
    return json_object_get(data, "rows");
}

static bool ran(const json_t *row)
{
    const char *status = json_text_of(row, "status");
    return status && strcmp(status, "ok") == 0;
}

static void title(FILE *out, const json_t *data)
{
    int devices = (int)json_number_of(data, "devices");
    html_format(out, "One job on %d device%s, under %d strategies", devices, devices == 1 ? "" : "s",
                (int)json_array_size(rows_of(data)));
}

/* Of those that ran, the row with the least of `key`; NULL: none ran. */
static const json_t *least(const json_t *data, const char *key)
{
    const json_t *row, *best = NULL;
    size_t i;
    json_array_foreach(rows_of(data), i,
                       row) if (ran(row) && (!best || json_number_of(row, key) < json_number_of(best, key)))
        best = row;
    return best;
}

static void print_verdict(FILE *out, const json_t *data)
{
    const json_t *fast = least(data, "step_ms"), *small = least(data, "measured_peak_bytes");
    html_word time, bytes, other;
    if (!fast) {
        html_paragraph(out, "lead", "No strategy ran; the table says why.");
        return;
    }
    double speedup = json_number_of(fast, "speedup");
    char over[64] = "";
    if (isfinite(speedup) && strcmp(json_text_of(fast, "strategy"), "single") != 0)
        snprintf(over, sizeof over, ", %.2f times as fast as single", speedup);
    html_paragraph(
        out, "lead", "%s is fastest: %s a step%s. %s holds least on a device: %s, where %s has %s.",
        json_text_of(fast, "strategy"), word_ms(time, json_number_of(fast, "step_ms")), over,
        json_text_of(small, "strategy"), word_bytes(bytes, json_number_of(small, "measured_peak_bytes")),
        json_text_of(fast, "strategy"), word_bytes(other, json_number_of(fast, "measured_peak_bytes")));
    if (json_text_of(data, "verdict")) html_paragraph(out, "pick", "%s", json_text_of(data, "verdict"));
    if (json_is_false(json_object_get(data, "trusted")))
        html_paragraph(out, "bad",
                       "Times are not to be trusted: other programs took the cores while steps were timed.");
    html_paragraph(
        out, "note",
        "%.0f devices of %.0f thread%s each, on %.0f cores; %.0f rounds of %.0f steps, the first %.0f "
        "of each not timed.",
        json_number_of(data, "devices"), json_number_of(data, "threads"),
        json_number_of(data, "threads") == 1 ? "" : "s", json_number_of(data, "cores"),
        json_number_of(data, "rounds"), json_number_of(data, "steps"), json_number_of(data, "warmup"));
}

/* --- bars --- */

static chart_bar bar_of(const json_t *row)
{
    const char *status = json_text_of(row, "status");
    return (chart_bar){.label = json_text_of(row, "strategy"),
                       .value = ran(row)                                    ? ""
                                : status && !strcmp(status, "does_not_fit") ? "does not fit"
                                                                            : status};
}

static void fill_time(chart_bar *bar, const json_t *row, html_word word)
{
    bar->nparts = 1;
    bar->parts[0] = json_number_of(row, "step_ms");
    bar->low = json_number_of(row, "step_ms_min");
    bar->high = json_number_of(row, "step_ms_max");
    bar->value = word_ms(word, bar->parts[0]);
}

static void fill_memory(chart_bar *bar, const json_t *row, html_word word)
{
    kinds_of_bytes(bar, json_object_get(row, "bytes"));
    bar->value = word_bytes(word, json_number_of(row, "measured_peak_bytes"));
}

/* A bar for each row, of those that ran with what `fill` makes of it. */
static void fill_bars(const json_t *data, chart_bar *bars, html_word *words,
                      void (*fill)(chart_bar *bar, const json_t *row, html_word word))
{
    const json_t *row;
    size_t i;
    json_array_foreach(rows_of(data), i, row)
    {
        bars[i] = bar_of(row);
        if (ran(row)) fill(&bars[i], row, words[i]);
    }
}

static void print_times(FILE *out, const json_t *data, chart_bar *bars, html_word *words)
{
    fill_bars(data, bars, words, fill_time);
    html_section(
        out, "Time of a step",
        "The median of all timed steps; the line across its end is from the least to the largest of the "
        "rounds' medians. Shorter is better.");
    chart_bars(out, bars, (int)json_array_size(rows_of(data)), 0, "");
    html_section_end(out);
}

/* What one device might take, of all rows the least; 0: no row knows. */
static double limit_of(const json_t *data)
{
    const json_t *row;
    double limit = 0;
    size_t i;
    json_array_foreach(rows_of(data), i, row)
    {
        double bytes = json_number_of(row, "limit_bytes");
        if (bytes > 0 && (limit <= 0 || bytes < limit)) limit = bytes;
    }
    return limit;
}

static void print_memory(FILE *out, const json_t *data, chart_bar *bars, html_word *words)
{
    fill_bars(data, bars, words, fill_memory);
    html_section(
        out, "Memory by kind",
        "Of the device that holds most; the number is what was measured. What was predicted stands in the "
        "table.");
    kinds_legend(out);
    kinds_bars(out, bars, (int)json_array_size(rows_of(data)), limit_of(data));
    html_section_end(out);
}

static void print_bars(FILE *out, const json_t *data)
{
    size_t count = json_array_size(rows_of(data));
    chart_bar *bars = calloc(count + 1, sizeof *bars);
    html_word *words = calloc(count + 1, sizeof *words);
    if (bars && words) {
        fputs("<div class=\"pair\">\n", out);
        print_times(out, data, bars, words);
        print_memory(out, data, bars, words);
        fputs("</div>\n", out);
    }
    free(bars);
    free(words);
}

/* --- what ran --- */

static void print_timelines(FILE *out, const json_t *data)
{
    const json_t *row;
    size_t i;
    html_section(
        out, "Who computed, waited and moved, when",
        "The last step of each strategy, as it ran. A number is a micro-batch; empty is idle. Low bars are "
        "times in which a device moved data, or waited for them, and computed nothing. Each picture is as "
        "wide as its own step.");
    json_array_foreach(rows_of(data), i, row)
    {
        html_word ms;
        fputs("<h3>", out);
        html_text(out, json_text_of(row, "strategy"));
        if (ran(row)) html_format(out, ": %s a step", word_ms(ms, json_number_of(row, "step_ms")));
        fputs("</h3>\n", out);
        const char *said = json_text_of(row, ran(row) ? "limit" : "reason");
        if (said) html_paragraph(out, "note", "%s", said);
        spans_of_devices(out, json_object_get(row, "timeline"), "What each device did in the last step");
    }
    html_section_end(out);
}

static void print_losses(FILE *out, const json_t *data)
{
    const json_t *row, *loss;
    size_t i, k, count = json_array_size(rows_of(data));
    chart_curve *curves = calloc(count + 1, sizeof *curves);
    double *points = NULL;
    size_t most = 0;
    int n = 0;
    json_array_foreach(rows_of(data), i, row)
    {
        size_t steps = json_array_size(json_object_get(row, "losses"));
        most = steps > most ? steps : most;
    }
    if (curves && most > 0) points = calloc((count + 1) * most, sizeof *points);
    for (k = 0; points && k < most; k++) points[count * most + k] = (double)k;
    json_array_foreach(rows_of(data), i, row)
    {
        const json_t *losses = json_object_get(row, "losses");
        if (!points || json_array_size(losses) == 0) continue;
        json_array_foreach(losses, k, loss) points[i * most + k] =
            json_is_number(loss) ? json_number_value(loss) : NAN;
        curves[n] = (chart_curve){.name = json_text_of(row, "strategy"),
                                  .series = n,
                                  .count = (int)json_array_size(losses),
                                  .x = points + count * most,
                                  .y = points + i * most};
        n++;
    }
    if (n > 0) {
        html_section(
            out, "Loss",
            "One batch a step, the same for all. Curves that lie on each other are drawn ever thinner, so "
            "that each can be seen: where all do, all strategies trained the same.");
        chart_curves(out, curves, n, "step", "loss", "The loss of each strategy over the steps");
        html_section_end(out);
    }
    free(points);
    free(curves);
}

/* --- the table --- */

static void print_row(html_table *t, const json_t *row)
{
    html_word word;
    html_cell(t, "%s", json_text_of(row, "strategy"));
    if (!ran(row)) {
        const char *status = json_text_of(row, "status");
        html_table_note(t, "%s: %s", status && !strcmp(status, "does_not_fit") ? "does not fit" : status,
                        json_text_of(row, "reason"));
        return;
    }
    double speedup = json_number_of(row, "speedup"), difference = json_number_of(row, "max_loss_rel_diff");
    html_cell(t, "%s", word_ms(word, json_number_of(row, "step_ms")));
    html_cell(t, "%s", word_ms(word, json_number_of(row, "predicted_ms")));
    html_cell(t, "%s", word_number(word, json_number_of(row, "samples_per_s")));
    html_cell(t, isfinite(speedup) ? "%.2fx" : "-", speedup);
    html_cell(t, "%s", word_share(word, json_number_of(row, "idle_fraction")));
    html_cell(t, "%s", word_bytes(word, json_number_of(row, "moved_bytes_per_step")));
    html_cell(t, "%s", word_bytes(word, json_number_of(row, "predicted_peak_bytes")));
    html_cell(t, "%s", word_bytes(word, json_number_of(row, "measured_peak_bytes")));
    html_cell(t, isfinite(difference) ? difference > 0 ? "%.1e" : "%.0f" : "-", difference);
}

static void print_table(FILE *out, const json_t *data)
{
    static const char *const titles[] = {"<strategy", "step",  "predicted step",  "samples/s", "speed-up",
                                         "idle",      "moved", "predicted bytes", "bytes",     "loss diff",
                                         NULL};
    html_table t;
    const json_t *row;
    size_t i;
    html_section(
        out, "All figures",
        "Speed-up is over single; bytes are those of the device that holds most; loss diff is the largest "
        "over the steps, relative to one device.");
    html_table_begin(&t, out, titles);
    json_array_foreach(rows_of(data), i, row) print_row(&t, row);
    html_table_end(&t);
    html_section_end(out);
}

static void print_commands(FILE *out, const json_t *data)
{
    const json_t *row;
    size_t i;
    html_section(out, "More of each strategy", "Commands that show one of them alone.");
    json_array_foreach(rows_of(data), i, row)
    {
        const char *more = json_text_of(row, "more");
        if (!more) continue;
        html_paragraph(out, NULL, "%s", json_text_of(row, "strategy"));
        fputs("<pre class=\"w\">", out);
        html_text(out, more);
        fputs("</pre>\n", out);
    }
    html_section_end(out);
}

static void body(FILE *out, const json_t *data)
{
    print_verdict(out, data);
    print_bars(out, data);
    print_timelines(out, data);
    print_losses(out, data);
    print_table(out, data);
    print_commands(out, data);
}

const page_kind page_compare = {.command = "compare", .shows = "rows", .title = title, .body = body};
