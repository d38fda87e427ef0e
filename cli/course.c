/* Which steps are kept: when there is no room left, every second one goes, and from then on half as many
 * come. */
#include "course.h"

#include <math.h>

void course_note(course *c, const yoke_step_report *r)
{
    if (c->every == 0) c->every = 1;
    if (c->seen++ % c->every != 0) return;
    if (c->count == COURSE_MOST) {
        for (int i = 0; i < COURSE_MOST / 2; i++) c->steps[i] = c->steps[2 * i];
        c->count = COURSE_MOST / 2;
        c->every *= 2; /* the step at hand is the next of these */
    }
    c->steps[c->count++] =
        (course_step){r->step, r->lr, r->gradient_norm, 1e3 * r->seconds, r->samples_per_s, r->tokens_per_s};
}

void course_write(const course *c, json *j)
{
    put_begin_array(j, "course");
    for (int i = 0; i < c->count; i++) {
        const course_step *s = &c->steps[i];
        put_begin_object(j, NULL);
        put_integer(j, "step", s->step);
        put_number(j, "lr", s->lr);
        put_number(j, "gradient_norm", s->gradient_norm);
        put_number(j, "step_ms", s->step_ms);
        put_number(j, "samples_per_s", s->samples_per_s);
        put_number(j, "tokens_per_s", s->tokens_per_s > 0 ? s->tokens_per_s : NAN);
        put_end_object(j);
    }
    put_end_array(j);
}
