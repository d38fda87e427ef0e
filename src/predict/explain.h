/* The sentences of compare: what limits a row, from its idle share, moved bytes and the speed of the others.
 */
#ifndef YKI_PREDICT_EXPLAIN_H
#define YKI_PREDICT_EXPLAIN_H

#include "base/usage.h"
#include "yoke/compare.h"

/* What was measured of a row. */
typedef struct yki_measured {
    int rounds, devices;
    double *seconds; /* of timed steps, round after round */
    double idle, simulated_idle;
    int64_t moved_pp;
    yki_usage used; /* while it was timed */
} yki_measured;

/* What limits each row, in a sentence, or why its figures cannot be so; and, in the comparison's
 * notice, why times are not to be trusted. By rows whose figures stand. */
void yki_compare_explain(const yoke_job *job, yoke_comparison *c, const yki_measured *measured);
/* Sets the comparison's verdict: the fastest row, by its limit, and the fastest of those that hold less. */
void yki_compare_verdict(const yoke_job *job, yoke_comparison *c);

#endif
