/* Pictures of a page, as SVG without scripts. Lengths along a picture are percent, so that it is as wide as
 * the page while its text keeps its size; what has a colour has a pattern, a shape or a text too. */
#ifndef CLI_PAGE_CHART_H
#define CLI_PAGE_CHART_H

#include <stdbool.h>
#include <stdio.h>

/* Fillings, and strokes, that can be told apart; further ones begin again. */
enum { CHART_SERIES = 8 };

/* What all pictures of a page draw with, once, before the first. */
void chart_patterns(FILE *out);

/* The names of series 0 to count - 1 (NULL: that one is not there), each with its filling. */
void chart_legend(FILE *out, const char *const *names, int count);

/* A bar a row. parts: lengths that follow each other, in the filling of their place, from `first` on. low,
 * high: the ends of a line across its end, where high > 0. */
typedef struct chart_bar {
    const char *label, *value; /* before and behind it; value "": nothing */
    int first, nparts;
    double parts[CHART_SERIES];
    double low, high;
    const char *note; /* a line below it; NULL: none */
} chart_bar;

/* limit: where a line stands across all bars, with limit_text in a line below; 0: none. */
void chart_bars(FILE *out, const chart_bar *bars, int count, double limit, const char *limit_text);

/* What a line of a limit is, in a line. */
void chart_limit(FILE *out, const char *text);

/* A curve of (x, y); points that are not finite are gaps. */
typedef struct chart_curve {
    const char *name;
    int series, count;
    const double *x, *y;
    bool dots; /* a mark at each point */
} chart_curve;

/* All in one picture; of curves that lie on each other, the later ones are thinner. `about` says in a
 * sentence what is seen. */
void chart_curves(FILE *out, const chart_curve *curves, int count, const char *x_name, const char *y_name,
                  const char *about);

/* A point of (x, y), numbered from 1 in the order of the list. */
typedef struct chart_point {
    double x, y;
    int kind; /* which of the picture's marks it has */
    char title[400];
} chart_point;

enum { CHART_MARKS = 3 };

/* kinds: the names of the marks, NULL: there is none of it. A point has its number beside it, where there is
 * room. limit: of x, where a line stands across the picture, limit_text in a line below; 0: none. */
void chart_points(FILE *out, const chart_point *points, int count, const char *const kinds[CHART_MARKS],
                  double limit, const char *limit_text, const char *x_name, const char *y_name,
                  const char *about);

/* What a row did, and when; label: in it, where there is room. */
typedef struct chart_span {
    int row, series;
    bool thin; /* half as high, in front of others */
    double start, end;
    char label[16];
    char title[200]; /* for who points at it */
} chart_span;

/* A time line of rows, from 0 to `end`. As many rows and spans are drawn as can be read; what is left out is
 * said. unit: of times, "" for none. spans are in the order in which they start. */
void chart_spans(FILE *out, const char *const *rows, int nrows, const chart_span *spans, int count,
                 double end, const char *unit, const char *about);

/* 1, 2 or 5 times a power of ten, so that about `most` such steps are `range`. */
double chart_step(double range, int most);

#endif
