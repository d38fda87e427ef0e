/* Time lines of what ran, from the documents: of a schedule's `actions`, by stage, and of a run's `timeline`,
 * by device. */
#ifndef CLI_PAGE_SPANS_H
#define CLI_PAGE_SPANS_H

#include <jansson.h>
#include <stdio.h>

/* Of the document of `yoke schedule`. */
void spans_of_stages(FILE *out, const json_t *data);
/* Of `timeline: [{device, kind, microbatch, chunk, start_ms, end_ms}]`; nothing where it is empty. about: a
 * sentence. */
void spans_of_devices(FILE *out, const json_t *timeline, const char *about);
/* The same as shares of the time to the last end, a bar for each device: what it computed, by kind and
 * without the movements within, what it moved or waited for, and the rest, idle. */
void spans_shares(FILE *out, const json_t *timeline);

#endif
