/* Curves over steps. The lines are in a picture that is stretched to the page's width; numbers stand beside
 * it, as text of the page. */
#include <math.h>
#include <stdlib.h>

#include "axis.h"
#include "chart.h"
#include "html.h"

enum { POINTS = 500, HEIGHT = 400, WIDTH = 1000 };

static double place_x(const chart_axis *x, double value)
{
    return WIDTH * axis_place(x, value);
}

static double place_y(const chart_axis *y, double value)
{
    return HEIGHT - HEIGHT * axis_place(y, value);
}

/* Of many points each bucket's mean. */
static void draw_curve(FILE *out, const chart_curve *c, const chart_axis *x, const chart_axis *y,
                       double width)
{
    int each = (c->count + POINTS - 1) / POINTS;
    bool draws = false;
    fprintf(out, "<path class=\"c c%d\" style=\"stroke-width:%.3gpx\" d=\"", c->series % CHART_SERIES, width);
    for (int i = 0; i < c->count; i += each) {
        double at = 0, sum = 0;
        int n = 0;
        for (int k = i; k < i + each && k < c->count; k++)
            if (isfinite(c->y[k])) at += c->x[k], sum += c->y[k], n++;
        if (n == 0) {
            draws = false;
            continue;
        }
        fprintf(out, "%s%.2f %.2f", draws ? "L" : "M", place_x(x, at / n), place_y(y, sum / n));
        if (!draws) fprintf(out, "h.01"); /* a lone point shows */
        draws = true;
    }
    fputs("\"/>", out);
    for (int i = 0; i < c->count && c->dots && c->count <= POINTS; i++)
        if (isfinite(c->y[i]))
            fprintf(out, "<path class=\"c c%d d\" d=\"M%.2f %.2fh.01\"/>", c->series % CHART_SERIES,
                    place_x(x, c->x[i]), place_y(y, c->y[i]));
    fputc('\n', out);
}

static void name_curves(FILE *out, const chart_curve *curves, int count)
{
    fputs("<ul class=\"legend\">", out);
    for (int i = 0; i < count; i++) {
        fprintf(out,
                "<li><svg width=\"34\" height=\"14\" aria-hidden=\"true\"><path class=\"c c%d\" "
                "style=\"stroke-width:3px\" d=\"M1 7H33\"/>",
                curves[i].series % CHART_SERIES);
        if (curves[i].dots)
            fprintf(out, "<path class=\"c c%d d\" d=\"M17 7h.01\"/>", curves[i].series % CHART_SERIES);
        fputs("</svg>", out);
        html_text(out, curves[i].name);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

void chart_curves(FILE *out, const chart_curve *curves, int count, const char *x_name, const char *y_name,
                  const char *about)
{
    chart_axis x = CHART_AXIS_EMPTY, y = CHART_AXIS_EMPTY;
    double mark;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < curves[i].count; k++)
            if (isfinite(curves[i].y[k])) axis_take_in(&x, curves[i].x[k]), axis_take_in(&y, curves[i].y[k]);
    if (!(y.high >= y.low)) return; /* nothing is known */
    axis_round_out(&y);
    if (count > 1) name_curves(out, curves, count);
    fputs("<div class=\"curves\"><div class=\"yname\">", out);
    html_text(out, y_name);
    fputs("</div>", out);
    axis_marks(out, &y);
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"", WIDTH,
            HEIGHT);
    html_text(out, about);
    fputs("\">\n", out);
    for (int k = 0; isfinite(mark = axis_mark(&y, k)); k++)
        fprintf(out, "<path class=\"g\" d=\"M0 %.2fH%d\"/>", place_y(&y, mark), WIDTH);
    fputc('\n', out);
    for (int i = 0; i < count; i++)
        draw_curve(out, &curves[i], &x, &y, count > 2 ? fmax(2.5 * (count - i) - .5, 2) : 2);
    fprintf(out, "</svg><div class=\"xs\"><span>%.10g</span><span>", x.low);
    html_text(out, x_name);
    fprintf(out, "</span><span>%.10g</span></div></div>\n", x.high);
}
