/* What the pages of simulate and explain have alike: of a simulated step. */
#ifndef CLI_PAGE_SIMULATED_H
#define CLI_PAGE_SIMULATED_H

#include <jansson.h>
#include <stdio.h>

void simulated_title(FILE *out, const json_t *data, const char *what);
/* A sentence: layout, machine, time. */
void simulated_lead(FILE *out, const json_t *data);
void simulated_figures(FILE *out, const json_t *data);
/* Sections: bytes of each stage against the limit; the time line; all figures of the stages, and which
 * devices do the same. */
void simulated_memory(FILE *out, const json_t *data);
void simulated_time(FILE *out, const json_t *data);
void simulated_table(FILE *out, const json_t *data);

#endif
