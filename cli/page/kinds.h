/* Bytes of a device by what they hold, as bars. */
#ifndef CLI_PAGE_KINDS_H
#define CLI_PAGE_KINDS_H

#include <jansson.h>
#include <stdio.h>

#include "chart.h"

/* The parts of a bar, of an object `bytes`. */
void kinds_of_bytes(chart_bar *bar, const json_t *bytes);
void kinds_legend(FILE *out);
/* The bars against what one device may take, 0: not known. A limit that is far beyond them is said instead of
 * drawn: bars that nobody sees say nothing. */
void kinds_bars(FILE *out, const chart_bar *bars, int count, double limit);

#endif
