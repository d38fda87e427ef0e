/* Axes of pictures of points: from a round number to a round number. */
#ifndef CLI_PAGE_AXIS_H
#define CLI_PAGE_AXIS_H

#include <stdio.h>

typedef struct chart_axis {
    double low, high, step;
} chart_axis;

/* That holds nothing yet; takes in a value, where it is finite; and, when all are in, is made round. */
#define CHART_AXIS_EMPTY ((chart_axis){.low = INFINITY, .high = -INFINITY})
void axis_take_in(chart_axis *axis, double value);
void axis_round_out(chart_axis *axis);
/* Where along it a value lies, 0 to 1; in its middle, where it has no length. */
double axis_place(const chart_axis *axis, double value);
/* The k-th of its round numbers; past the last NaN. */
double axis_mark(const chart_axis *axis, int k);
/* The numbers beside a picture. */
void axis_marks(FILE *out, const chart_axis *y);

#endif
