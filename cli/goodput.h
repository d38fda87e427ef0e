/* Time that trained: the seconds of steps in a run's log, each step once, as it was done last. */
#ifndef CLI_GOODPUT_H
#define CLI_GOODPUT_H

#include <stdint.h>
#include <stdio.h>

typedef struct goodput {
    const char *path; /* borrowed */
    long from;        /* the byte where this launch's lines begin */
    double *seconds;  /* [step] */
    int64_t steps;
} goodput;

/* Notes where the log (which may not be there yet) ends now. */
void goodput_open(goodput *g, const char *path);
/* Reads what was written since; a log that cannot be read holds no steps. */
void goodput_read(goodput *g);
double goodput_seconds(const goodput *g);
void goodput_release(goodput *g);

#endif
