/* The page of `yoke explain`: what a step loses, worst first, and what would make it shorter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "page.h"
#include "shares.h"
#include "simulated.h"

enum { FINDINGS_MOST = 32 };

static void title(FILE *out, const json_t *data)
{
    simulated_title(out, data, "Where a step goes");
}

static void print_lead(FILE *out, const json_t *data)
{
    const json_t *worst = json_array_get(json_object_get(data, "findings"), 0),
                 *best = json_array_get(json_object_get(data, "changes"), 0),
                 *measured = json_object_get(data, "measured");
    html_word word;
    simulated_lead(out, data);
    if (worst)
        html_paragraph(out, NULL, "%s of it: %s.", word_share(word, json_number_of(worst, "share")),
                       json_text_of(worst, "sentence"));
    if (best) html_paragraph(out, "pick", "%s", json_text_of(best, "sentence"));
    simulated_figures(out, data);
    double ms = json_number_of(measured, "step_ms");
    if (isfinite(ms))
        html_paragraph(out, NULL, "The run's own steps took %s, %.2f times what is predicted.",
                       word_ms(word, ms), ms / json_number_of(data, "step_ms"));
}

static void print_findings(FILE *out, const json_t *data)
{
    static const char *const names[] = {"computing", "lost"};
    const json_t *findings = json_object_get(data, "findings");
    chart_bar bars[FINDINGS_MOST];
    html_word words[FINDINGS_MOST];
    int n = 0;
    for (; n < FINDINGS_MOST && n < (int)json_array_size(findings); n++) {
        const json_t *f = json_array_get(findings, (size_t)n);
        const char *cause = json_text_of(f, "cause");
        double share = json_number_of(f, "share");
        bars[n] = (chart_bar){.label = share_name(cause),
                              .value = word_share(words[n], share),
                              .first = cause && share_computes(cause) ? 0 : 1,
                              .nparts = 1,
                              .parts = {share},
                              .note = json_text_of(f, "sentence")};
    }
    html_section(out, "What the step goes to, worst first",
                 "Shares of the step. What is lost is found by simulating the step again without its cause.");
    chart_legend(out, names, 2);
    chart_bars(out, bars, n, 0, "");
    html_section_end(out);
}

/* --- what would be faster --- */

/* Changes that were simulated, against the step as it is. */
static void print_layouts(FILE *out, const json_t *changes, double now)
{
    chart_bar bars[FINDINGS_MOST];
    html_word words[FINDINGS_MOST], labels[FINDINGS_MOST], word;
    const json_t *change;
    size_t i;
    int n = 1;
    bars[0] = (chart_bar){.label = "as it is", .value = word_ms(words[0], now), .nparts = 1, .parts = {now}};
    json_array_foreach(changes, i, change)
    {
        double ms = json_number_of(change, "step_ms");
        if (n == FINDINGS_MOST || !isfinite(ms)) continue;
        snprintf(labels[n], sizeof labels[n], "change %d", n);
        snprintf(words[n], sizeof words[n], "%s, %.2fx", word_ms(word, ms), json_number_of(change, "gain"));
        bars[n] = (chart_bar){.label = labels[n],
                              .value = words[n],
                              .first = 2,
                              .nparts = 1,
                              .parts = {ms},
                              .note = json_text_of(change, "sentence")};
        n++;
    }
    if (n > 1) chart_bars(out, bars, n, 0, "");
}

static void print_changes(FILE *out, const json_t *data)
{
    const json_t *changes = json_object_get(data, "changes"), *change;
    size_t i;
    double tried = json_number_of(data, "tried");
    html_section(
        out, "What would be faster",
        "Other layouts of as many devices, each one simulated; flags are those of train, simulate and "
        "explain, and say the whole layout.");
    print_layouts(out, changes, json_number_of(data, "step_ms"));
    if (json_array_size(changes) == 0)
        html_paragraph(out, NULL,
                       tried > 1 ? "Nothing: of %.0f other layouts that were simulated none is faster."
                                 : "Nothing: there is no other layout of these devices.",
                       tried - 1);
    json_array_foreach(changes, i, change) if (!isfinite(json_number_of(change, "step_ms")))
        html_paragraph(out, NULL, "No layout does this: %s.", json_text_of(change, "sentence"));
    html_section_end(out);
}

static void print_measured(FILE *out, const json_t *data)
{
    const json_t *measured = json_object_get(json_object_get(data, "measured"), "shares");
    if (!json_is_object(measured)) return; /* a run without marks of its devices has none */
    html_section(out, "Predicted and measured",
                 "Shares of the step that was simulated, and of the run's own.");
    shares_bars(out, json_object_get(data, "shares"), measured);
    html_section_end(out);
}

static void body(FILE *out, const json_t *data)
{
    print_lead(out, data);
    fputs("<div class=\"pair\">\n", out);
    print_findings(out, data);
    print_changes(out, data);
    fputs("</div>\n", out);
    print_measured(out, data);
    simulated_time(out, data);
    simulated_memory(out, data);
    simulated_table(out, data);
}

const page_kind page_explain = {.command = "explain", .shows = "findings", .title = title, .body = body};
