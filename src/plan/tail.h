/* The end of a step as instructions: gradients over all who have parts of their sums, the norm, what all
 * ranks agree on, the update, and the gathering of what it changed. */
#ifndef YKI_PLAN_TAIL_H
#define YKI_PLAN_TAIL_H

#include "plan/builder.h"

/* Whether replicas reduce gradients that each has whole: there are several, and zero leaves each its own. */
bool yki_reduces_whole(const yki_plan *plan);
/* How many requests are the step's: the first of a program's, for what one body starts and another waits for.
 */
int yki_step_requests(const yki_plan *plan);
/* That reduction along dp, of some of the program's parameters: of `count` in `list`, which is copied. */
yki_instruction yki_reduce_whole(yki_builder *b, const int *list, int count);
/* The wait for such a reduction that a body started under this request of the step. */
yki_instruction yki_bucket_wait(const yki_builder *b, int request);
/* The program's ends, once all its bodies are made. */
void yki_make_ends(yki_builder *b);
/* Marks who writes a gradient first in a step, and so need not add to it. */
void yki_find_first_writers(yki_builder *b);

#endif
