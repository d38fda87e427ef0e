/* Bars, legends and time lines. Curves are in curves.c. */
#include "chart.h"

#include <math.h>
#include <stdio.h>

#include "html.h"

enum { ROWS_MOST = 48, SPANS_MOST = 3000, ROW_HEIGHT = 26 };

/* Each filling: its colour, and what is drawn over it. */
static const struct {
    const char *colour, *over;
} series[CHART_SERIES] = {
    {"#7fb0ff", ""},
    {"#ffb070", "M-2 2L2 -2M0 8L8 0M6 10L10 6"},
    {"#74d190", "M2 2h2v2h-2zM6 6h2v2h-2z"},
    {"#ff9a9a", "M-2 6L2 10M0 0L8 8M6 -2L10 2"},
    {"#cbaaff", "M0 2H8M0 6H8"},
    {"#d9d36a", "M2 0V8M6 0V8"},
    {"#c3cad2", "M0 4H8M4 0V8"},
    {"#7ed6d6", "M0 0L4 4L8 0M0 8L4 4L8 8"},
};

void chart_patterns(FILE *out)
{
    fputs("<svg class=\"patterns\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n", out);
    for (int i = 0; i < CHART_SERIES; i++)
        fprintf(
            out,
            "<pattern id=\"p%d\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><rect width=\"8\" "
            "height=\"8\" fill=\"%s\"/><path d=\"%s\" stroke=\"#000\" stroke-opacity=\".3\" "
            "fill=\"none\"/></pattern>\n",
            i, series[i].colour, series[i].over);
    fputs("</defs></svg>\n", out);
}

void chart_legend(FILE *out, const char *const *names, int count)
{
    fputs("<ul class=\"legend\">", out);
    for (int i = 0; i < count; i++) {
        if (!names[i]) continue;
        fprintf(out,
                "<li><svg width=\"18\" height=\"14\" aria-hidden=\"true\"><rect class=\"f\" width=\"18\" "
                "height=\"14\" fill=\"url(#p%d)\"/></svg>",
                i % CHART_SERIES);
        html_text(out, names[i]);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

double chart_step(double range, int most)
{
    if (!(range > 0) || !isfinite(range)) return 1;
    double least = range / most, power = pow(10, floor(log10(least))), factor = least / power;
    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

static double length_of(const chart_bar *bar)
{
    double sum = 0;
    for (int k = 0; k < bar->nparts; k++) sum += bar->parts[k] > 0 ? bar->parts[k] : 0;
    return sum;
}

static void draw_bar(FILE *out, const chart_bar *bar, double scale, double limit)
{
    double x = 0;
    fputs("<svg class=\"bar\" height=\"22\" aria-hidden=\"true\"><rect class=\"bed\" width=\"100%\" "
          "height=\"22\"/>",
          out);
    for (int k = 0; k < bar->nparts; k++) {
        double width = bar->parts[k] > 0 ? bar->parts[k] * scale : 0;
        if (width > 0)
            fprintf(out,
                    "<rect class=\"f\" x=\"%.3f%%\" y=\"2\" width=\"%.3f%%\" height=\"18\" "
                    "fill=\"url(#p%d)\"/>",
                    x, width, (bar->first + k) % CHART_SERIES);
        x += width;
    }
    if (bar->high > 0)
        fprintf(out,
                "<line class=\"w\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"11\" y2=\"11\"/><line class=\"w\" "
                "x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"6\" y2=\"16\"/><line class=\"w\" x1=\"%.3f%%\" "
                "x2=\"%.3f%%\" y1=\"6\" y2=\"16\"/>",
                bar->low * scale, bar->high * scale, bar->low * scale, bar->low * scale, bar->high * scale,
                bar->high * scale);
    if (limit > 0)
        fprintf(out, "<line class=\"limit\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"0\" y2=\"22\"/>", limit * scale,
                limit * scale);
    fputs("</svg>", out);
}

void chart_limit(FILE *out, const char *text)
{
    fputs("<p class=\"note\"><svg width=\"18\" height=\"14\" aria-hidden=\"true\"><line class=\"limit\" "
          "x1=\"9\" x2=\"9\" y1=\"0\" y2=\"14\"/></svg>",
          out);
    html_text(out, text);
    fputs("</p>\n", out);
}

void chart_bars(FILE *out, const chart_bar *bars, int count, double limit, const char *limit_text)
{
    double most = limit > 0 ? limit : 0;
    for (int i = 0; i < count; i++) most = fmax(most, fmax(length_of(&bars[i]), bars[i].high));
    double scale = most > 0 ? 99 / most : 0;
    fputs("<div class=\"bars\">\n", out);
    for (int i = 0; i < count; i++) {
        fputs("<span class=\"name\">", out);
        html_text(out, bars[i].label);
        fputs("</span>", out);
        draw_bar(out, &bars[i], scale, limit);
        fputs("<span class=\"value\">", out);
        html_text(out, bars[i].value);
        fputs("</span>\n", out);
        if (bars[i].note) html_paragraph(out, "under", "%s", bars[i].note);
    }
    fputs("</div>\n", out);
    if (limit > 0) chart_limit(out, limit_text);
}

/* As far as the picture goes, `to`. */
static void draw_span(FILE *out, const chart_span *s, double to, double scale)
{
    double x = s->start * scale, width = (fmin(s->end, to) - s->start) * scale;
    int y = s->thin ? ROW_HEIGHT - 9 : 1, height = s->thin ? 8 : ROW_HEIGHT - 2;
    fprintf(out, "<rect class=\"f\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\" fill=\"url(#p%d)\"",
            x, y, fmax(width, 0.02), height, s->series % CHART_SERIES);
    if (s->title[0]) {
        fputs("><title>", out);
        html_text(out, s->title);
        fputs("</title></rect>", out);
    } else
        fputs("/>", out);
    /* Room by the width of the page: the classes are hidden on narrow ones. */
    double each = 0;
    for (const char *c = s->label; *c; c++) each++;
    const char *room = width >= 4.2 * each + 1    ? ""
                       : width >= 1.3 * each + .4 ? " m"
                       : width >= .48 * each + .2 ? " b"
                                                  : NULL;
    if (!s->thin && each > 0 && room) {
        fprintf(out, "<text class=\"t%s\" x=\"%.3f%%\" y=\"15\">", room, x + width / 2);
        html_text(out, s->label);
        fputs("</text>", out);
    }
}

static void draw_axis(FILE *out, double end, const char *unit)
{
    double step = chart_step(end, 5);
    fputs("<span class=\"name\">", out);
    html_text(out, unit);
    fputs(
        "</span><svg class=\"axis\" height=\"20\" aria-hidden=\"true\"><line class=\"w\" x1=\"0\" x2=\"99%\" "
        "y1=\"1\" y2=\"1\"/>",
        out);
    for (int k = 0; k * step <= end * (1 + 1e-9); k++) {
        double x = 99 * k * step / end;
        fprintf(out,
                "<line class=\"w\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"1\" y2=\"5\"/><text class=\"t\" "
                "style=\"text-anchor:%s\" x=\"%.3f%%\" y=\"17\">%.6g</text>",
                x, x,
                k == 0   ? "start"
                : x > 96 ? "end"
                         : "middle",
                x, k * step);
    }
    fputs("</svg>\n", out);
}

void chart_spans(FILE *out, const char *const *rows, int nrows, const chart_span *spans, int count,
                 double end, const char *unit, const char *about)
{
    int shown = nrows < ROWS_MOST ? nrows : ROWS_MOST, drawn = 0, kept = count;
    for (int i = 0; i < count; i++) {
        if (spans[i].row >= shown || ++drawn <= SPANS_MOST) continue;
        kept = i;
        break;
    }
    double to = kept < count ? spans[kept].start : end, scale = to > 0 ? 99 / to : 0;
    fputs("<div class=\"spans\" role=\"img\" aria-label=\"", out);
    html_text(out, about);
    fputs("\">\n", out);
    for (int r = 0; r < shown; r++) {
        fputs("<span class=\"name\">", out);
        html_text(out, rows[r]);
        fprintf(
            out,
            "</span><svg class=\"row\" height=\"%d\"><rect class=\"bed\" width=\"99%%\" height=\"%d\"/>\n",
            ROW_HEIGHT, ROW_HEIGHT);
        for (int thin = 0; thin < 2; thin++)
            for (int i = 0; i < kept; i++)
                if (spans[i].row == r && spans[i].thin == (thin == 1) && spans[i].end > spans[i].start)
                    draw_span(out, &spans[i], to, scale);
        fputs("</svg>\n", out);
    }
    if (to > 0) draw_axis(out, to, unit);
    fputs("</div>\n", out);
    if (kept < count) {
        html_word drawn_to, all;
        html_paragraph(out, "note", "Drawn to %s of %s%s%s; the rest has no room on a page.",
                       word_number(drawn_to, to), word_number(all, end), unit[0] ? " " : "", unit);
    }
    if (shown < nrows)
        html_paragraph(out, "note", "The first %d rows of %d; the rest has no room on a page.", shown, nrows);
}
