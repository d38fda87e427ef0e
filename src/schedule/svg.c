/* A timeline as an SVG picture: a row per stage, a rectangle per action with its micro-batch, a time axis, a
 * legend. It stands alone: no scripts, no fonts or styles from elsewhere. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "schedule/schedule.h"

enum {
    LEFT = 76, /* all in pixels */
    RIGHT = 24,
    TOP = 74,
    ROW = 34,
    BAR = 28,
    BOTTOM = 52,
    MIN_PLOT = 720,
    MAX_PLOT = 6000,
    BEST_CELL = 22,    /* width of the shortest action, where that fits MAX_PLOT */
    MAX_TITLES = 4096, /* above as many events their rectangles have no text to hover for */
    SHADES = 4
};

typedef struct colour {
    int red, green, blue;
} colour;

static const struct {
    const char *name;
    colour fill;
} kinds[] = {[YOKE_ACTION_F] = {"forward", {120, 169, 255}},
             [YOKE_ACTION_B] = {"input gradient", {255, 170, 110}},
             [YOKE_ACTION_W] = {"weight gradient", {111, 207, 140}},
             [YOKE_ACTION_BW] = {"backward", {255, 148, 148}}};
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

typedef struct plot {
    bool has[NKINDS][SHADES];
    int nshades;
    double scale; /* pixels per unit of time */
    int width, rows;
} plot;

/* Later chunks are paler; from the fifth on the shades repeat. */
static colour shade_colour(const plot *p, int kind, int shade)
{
    double white = p->nshades > 1 ? 0.62 * shade / (p->nshades - 1) : 0;
    colour c = kinds[kind].fill;
    return (colour){(int)(c.red + (255 - c.red) * white), (int)(c.green + (255 - c.green) * white),
                    (int)(c.blue + (255 - c.blue) * white)};
}

static void survey(plot *p, const yoke_schedule *schedule, const yoke_timeline *timeline)
{
    double shortest = INFINITY;
    p->nshades = 1;
    for (int i = 0; i < timeline->nevents; i++) {
        const yoke_event *e = &timeline->events[i];
        int shade = e->action.chunk % SHADES;
        p->has[e->action.kind][shade] = true;
        p->nshades = shade >= p->nshades ? shade + 1 : p->nshades;
        if (e->end > e->start) shortest = fmin(shortest, e->end - e->start);
    }
    p->rows = schedule->parts.nstages;
    double width = timeline->makespan > 0 ? timeline->makespan / shortest * BEST_CELL : MIN_PLOT;
    p->width = (int)fmin(fmax(width, MIN_PLOT), MAX_PLOT);
    p->scale = timeline->makespan > 0 ? p->width / timeline->makespan : 0;
}

static void append_head(yki_text *text, const plot *p, const yoke_schedule *schedule,
                        const yoke_timeline *timeline)
{
    int width = LEFT + p->width + RIGHT, height = TOP + p->rows * ROW + BOTTOM;
    yki_text_append(
        text,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"Helvetica, Arial, sans-serif\">\n<style>\n"
        "text{fill:#262626;font-size:13px}.n{font-size:12px;text-anchor:middle}"
        ".t{font-size:11px;fill:#6f6f6f;text-anchor:middle}.s{text-anchor:end}.h{font-size:15px}"
        "rect.a{stroke:#fff;stroke-width:1}",
        width, height, width, height);
    for (int kind = 0; kind < NKINDS; kind++)
        for (int shade = 0; shade < p->nshades; shade++) {
            colour c = shade_colour(p, kind, shade);
            yki_text_append(text, ".%s%d{fill:#%02x%02x%02x}", yki_action_kind_name(kind), shade, c.red,
                            c.green, c.blue);
        }
    int stages = schedule->parts.nstages, microbatches = schedule->microbatches;
    yki_text_append(
        text,
        "\n</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        "<text class=\"h\" x=\"%d\" y=\"26\">%d stage%s, %d micro-batch%s: makespan %.6g, bubble %.2f %%, "
        "idle %.2f %%</text>\n",
        LEFT, stages, stages == 1 ? "" : "s", microbatches, microbatches == 1 ? "" : "es", timeline->makespan,
        100 * timeline->bubble_rate, 100 * timeline->idle_share);
}

static void append_legend(yki_text *text, const plot *p)
{
    int x = LEFT, y = 42;
    for (int kind = 0; kind < NKINDS; kind++) {
        int swatches = 0;
        for (int shade = 0; shade < p->nshades; shade++)
            if (p->has[kind][shade])
                yki_text_append(text, "<rect class=\"%s%d\" x=\"%d\" y=\"%d\" width=\"16\" height=\"16\"/>\n",
                                yki_action_kind_name(kind), shade, x + 17 * swatches++, y);
        if (swatches == 0) continue;
        x += 17 * swatches + 6;
        yki_text_append(text, "<text x=\"%d\" y=\"%d\">%s (%s)</text>\n", x, y + 13, kinds[kind].name,
                        yki_action_kind_name(kind));
        x += 8 * (int)strlen(kinds[kind].name) + 56;
    }
    yki_text_append(
        text,
        "<rect x=\"%d\" y=\"%d\" width=\"16\" height=\"16\" fill=\"#f4f4f4\" stroke=\"#c6c6c6\"/>\n"
        "<text x=\"%d\" y=\"%d\">idle%s</text>\n",
        x, y, x + 23, y + 13, p->nshades > 1 ? "; paler: later chunks" : "");
}

/* A step of 1, 2 or 5 times a power of ten, so that labels stand about 90 pixels apart. */
static double axis_step(double units_per_label)
{
    double power = pow(10, floor(log10(units_per_label)));
    double factor = units_per_label / power;
    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

static void append_axis(yki_text *text, const plot *p, double makespan)
{
    int bottom = TOP + p->rows * ROW;
    yki_text_append(text, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#f4f4f4\"/>\n", LEFT,
                    TOP, p->width, p->rows * ROW - (ROW - BAR));
    double step = p->scale > 0 ? axis_step(90 / p->scale) : 0;
    for (int k = 0; p->scale > 0 && k * step <= makespan * (1 + 1e-9); k++) {
        double x = LEFT + k * step * p->scale;
        yki_text_append(
            text,
            "<path d=\"M%.1f %dV%d\" stroke=\"#c6c6c6\"/><text class=\"t\" x=\"%.1f\" y=\"%d\">%.6g</text>\n",
            x, TOP - 4, bottom + 2, x, bottom + 16, k * step);
    }
    yki_text_append(text, "<text class=\"t\" x=\"%d\" y=\"%d\">time</text>\n", LEFT + p->width / 2,
                    bottom + 34);
}

static void append_event(yki_text *text, const plot *p, const yoke_event *e, bool with_title)
{
    double x = LEFT + e->start * p->scale, width = (e->end - e->start) * p->scale;
    int y = TOP + e->stage * ROW;
    if (!(width > 0)) return;
    char name[YKI_ACTION_TEXT];
    yki_action_print(name, e->action);
    yki_text_append(text, "<rect class=\"a %s%d\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"",
                    yki_action_kind_name(e->action.kind), e->action.chunk % SHADES, x, y, width, BAR);
    if (with_title)
        yki_text_append(text, "><title>%s on stage %d, %.6g to %.6g</title></rect>", name, e->stage, e->start,
                        e->end);
    else
        yki_text_append(text, "/>");
    char label[16];
    int length = snprintf(label, sizeof label, "%d", e->action.microbatch);
    if (7 * length + 1 <= width)
        yki_text_append(text, "<text class=\"n\" x=\"%.2f\" y=\"%d\">%s</text>", x + width / 2,
                        y + BAR / 2 + 4, label);
    yki_text_append(text, "\n");
}

char *yoke_timeline_svg(const yoke_schedule *schedule, const yoke_timeline *timeline)
{
    if (!schedule || !timeline) return NULL;
    plot p = {0};
    survey(&p, schedule, timeline);
    yki_text text = {0};
    append_head(&text, &p, schedule, timeline);
    append_legend(&text, &p);
    append_axis(&text, &p, timeline->makespan);
    for (int s = 0; s < p.rows; s++)
        yki_text_append(&text, "<text class=\"s\" x=\"%d\" y=\"%d\">stage %d</text>\n", LEFT - 10,
                        TOP + s * ROW + BAR / 2 + 4, s);
    for (int i = 0; i < timeline->nevents; i++)
        append_event(&text, &p, &timeline->events[i], timeline->nevents <= MAX_TITLES);
    yki_text_append(&text, "</svg>\n");
    return yki_text_take(&text);
}
