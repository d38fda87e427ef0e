#include "axis.h"

#include <math.h>

#include "chart.h"

void axis_take_in(chart_axis *axis, double value)
{
    if (!isfinite(value)) return;
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

void axis_round_out(chart_axis *axis)
{
    if (!(axis->high > axis->low)) {
        double around = fabs(axis->high) > 0 ? fabs(axis->high) / 10 : 1;
        axis->low -= around;
        axis->high += around;
    }
    axis->step = chart_step(axis->high - axis->low, 4);
    axis->low = axis->step * floor(axis->low / axis->step + 1e-9);
    axis->high = axis->step * ceil(axis->high / axis->step - 1e-9);
}

double axis_place(const chart_axis *axis, double value)
{
    return axis->high > axis->low ? (value - axis->low) / (axis->high - axis->low) : 0.5;
}

double axis_mark(const chart_axis *axis, int k)
{
    double value = axis->low + k * axis->step;
    if (value > axis->high + axis->step / 2) return NAN;
    return fabs(value) < axis->step * 1e-6 ? 0 : value;
}

void axis_marks(FILE *out, const chart_axis *y)
{
    double value;
    fputs("<div class=\"marks\" aria-hidden=\"true\">", out);
    for (int k = 0; isfinite(value = axis_mark(y, k)); k++)
        fprintf(out, "<span style=\"top:%.2f%%\">%.5g</span>", 100 * (1 - axis_place(y, value)), value);
    fputs("</div>", out);
}
