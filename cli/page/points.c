/* Points, with their numbers beside them. The picture is stretched, its marks and text are not: places are
 * percent, sizes pixels. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "axis.h"
#include "chart.h"
#include "html.h"

/* The picture where a page is narrowest: on wider ones all is farther apart. Pixels. */
enum { NARROW = 270, HEIGHT = 240, MARK = 6, LINE = 14, DIGIT = 8 };

static const char *const marks[CHART_MARKS] = {
    "M0 -8L8 0L0 8L-8 0Z",                /* one that is chosen */
    "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z", /* others */
    "M-5 -5L5 5M-5 5L5 -5",               /* that cannot be */
};

typedef struct box {
    double left, top, right, bottom;
} box;

static bool meets(const box *a, const box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

typedef struct picture {
    chart_axis x, y;
    const chart_point *points;
    int count, taken;
    box *boxes; /* of marks, then of the numbers that have a place */
} picture;

static bool stands(const chart_point *p)
{
    return isfinite(p->x) && isfinite(p->y);
}

static box mark_of(const picture *p, int i)
{
    double x = NARROW * axis_place(&p->x, p->points[i].x),
           y = HEIGHT * (1 - axis_place(&p->y, p->points[i].y));
    return (box){x - MARK, y - MARK, x + MARK, y + MARK};
}

/* Where a number of a point stands from its middle, without lying on anything; false: nowhere. */
static bool place_number(picture *p, int i, double width, double *dx_out, double *dy_out)
{
    const double far = MARK + 3;
    const double places[][2] = {
        {far, 5},        {-far - width, 5},        {-width / 2, -far}, {-width / 2, far + 10},
        {far, -far + 2}, {-far - width, -far + 2}, {far, far + 8},     {-far - width, far + 8}};
    box mark = mark_of(p, i);
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        double x = mark.left + MARK + places[k][0], y = mark.top + MARK + places[k][1];
        box at = {x, y - LINE + 3, x + width, y + 3};
        bool free = at.left >= 0 && at.right <= NARROW && at.top >= -MARK && at.bottom <= HEIGHT + MARK;
        for (int b = 0; b < p->taken && free; b++) free = !meets(&at, &p->boxes[b]);
        if (!free) continue;
        p->boxes[p->taken++] = at;
        *dx_out = places[k][0];
        *dy_out = places[k][1];
        return true;
    }
    return false;
}

static void begin_at(FILE *out, const picture *p, int i)
{
    fprintf(out, "<svg x=\"%.3f%%\" y=\"%.3f%%\" class=\"at\">", 100 * axis_place(&p->x, p->points[i].x),
            100 * (1 - axis_place(&p->y, p->points[i].y)));
}

static void draw_mark(FILE *out, const picture *p, int i)
{
    const chart_point *point = &p->points[i];
    begin_at(out, p, i);
    fprintf(out, "<path class=\"mk m%d\" d=\"%s\"><title>", point->kind, marks[point->kind]);
    html_text(out, point->title);
    fputs("</title></path></svg>\n", out);
}

static void draw_number(FILE *out, picture *p, int i)
{
    double dx, dy;
    if (!place_number(p, i, i < 9 ? DIGIT : 2 * DIGIT, &dx, &dy)) return;
    begin_at(out, p, i);
    fprintf(out, "<text class=\"t m%dt\" x=\"%.3g\" y=\"%.3g\">%d</text></svg>\n", p->points[i].kind, dx, dy,
            i + 1);
}

static void draw_axis(FILE *out, const chart_axis *x, const char *name)
{
    double mark;
    fputs("<svg class=\"axis\" aria-hidden=\"true\">", out);
    for (int k = 0; isfinite(mark = axis_mark(x, k)); k++)
        fprintf(out, "<text class=\"t\" style=\"text-anchor:%s\" x=\"%.3f%%\" y=\"15\">%.5g</text>",
                k == 0                          ? "start"
                : isfinite(axis_mark(x, k + 1)) ? "middle"
                                                : "end",
                100 * axis_place(x, mark), mark);
    fputs("</svg><div class=\"xname\">", out);
    html_text(out, name);
    fputs("</div>", out);
}

static void name_marks(FILE *out, const char *const kinds[CHART_MARKS])
{
    fputs("<ul class=\"legend\">", out);
    for (int k = 0; k < CHART_MARKS; k++) {
        if (!kinds[k]) continue;
        fprintf(out,
                "<li><svg class=\"points\" width=\"18\" height=\"16\" aria-hidden=\"true\"><path class=\"mk "
                "m%d\" transform=\"translate(9 8)\" d=\"%s\"/></svg>",
                k, marks[k]);
        html_text(out, kinds[k]);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

static void draw(FILE *out, picture *p, double limit, const char *about)
{
    double mark;
    fputs("<svg class=\"points\" role=\"img\" aria-label=\"", out);
    html_text(out, about);
    fputs("\">\n", out);
    for (int k = 0; isfinite(mark = axis_mark(&p->y, k)); k++)
        fprintf(out, "<line class=\"g\" x1=\"0\" x2=\"100%%\" y1=\"%.2f%%\" y2=\"%.2f%%\"/>",
                100 * (1 - axis_place(&p->y, mark)), 100 * (1 - axis_place(&p->y, mark)));
    if (limit > 0)
        fprintf(out, "<line class=\"limit\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"0\" y2=\"100%%\"/>\n",
                100 * axis_place(&p->x, limit), 100 * axis_place(&p->x, limit));
    for (int i = 0; i < p->count; i++)
        if (stands(&p->points[i])) p->boxes[p->taken++] = mark_of(p, i);
    for (int i = p->count - 1; i >= 0; i--) /* the first ones lie above */
        if (stands(&p->points[i])) draw_mark(out, p, i);
    for (int i = 0; i < p->count; i++)
        if (stands(&p->points[i])) draw_number(out, p, i);
    fputs("</svg>\n", out);
}

void chart_points(FILE *out, const chart_point *points, int count, const char *const kinds[CHART_MARKS],
                  double limit, const char *limit_text, const char *x_name, const char *y_name,
                  const char *about)
{
    picture p = {.x = CHART_AXIS_EMPTY, .y = CHART_AXIS_EMPTY, .points = points, .count = count};
    for (int i = 0; i < count; i++)
        if (stands(&points[i])) axis_take_in(&p.x, points[i].x), axis_take_in(&p.y, points[i].y);
    if (!(p.y.high >= p.y.low)) return;
    if (limit > 0) axis_take_in(&p.x, limit);
    axis_round_out(&p.x);
    axis_round_out(&p.y);
    p.boxes = calloc(2 * (size_t)count, sizeof *p.boxes);
    if (!p.boxes) return;
    name_marks(out, kinds);
    fputs("<div class=\"curves\"><div class=\"yname\">", out);
    html_text(out, y_name);
    fputs("</div>", out);
    axis_marks(out, &p.y);
    draw(out, &p, limit, about);
    draw_axis(out, &p.x, x_name);
    fputs("</div>\n", out);
    if (limit > 0) chart_limit(out, limit_text);
    free(p.boxes);
}
