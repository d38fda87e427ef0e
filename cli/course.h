/* The course of a training run, for its JSON: rate, norm, time and speed of steps. Of a long run evenly
 * spaced ones are kept, in memory that does not grow with it. */
#ifndef CLI_COURSE_H
#define CLI_COURSE_H

#include "json.h"
#include "yoke/train.h"

enum { COURSE_MOST = 2000 };

typedef struct course_step {
    int64_t step;
    double lr, gradient_norm, step_ms, samples_per_s, tokens_per_s;
} course_step;

/* Zeroed before the first step. */
typedef struct course {
    int64_t seen, every; /* steps told of; every so many-th is kept */
    int count;
    course_step steps[COURSE_MOST];
} course;

void course_note(course *c, const yoke_step_report *report);
/* As `course`. */
void course_write(const course *c, json *j);

#endif
