/* compare's rows: what was measured of them, and the sentences under them. */
#ifndef YKI_TRAIN_COMPARE_H
#define YKI_TRAIN_COMPARE_H

#include "base/usage.h"
#include "train/trainer.h"

/* What was measured of a row. */
typedef struct yki_measured {
    int rounds, devices;
    double *seconds; /* of timed steps, round after round */
    double idle, simulated_idle;
    int64_t moved_pp;
    yki_usage used; /* while it was timed */
} yki_measured;

/* explain.c: what limits each row, in a sentence, or why its figures cannot be so; and, in the comparison's
 * notice, why times are not to be trusted. By rows whose figures stand. */
void yki_compare_explain(const yoke_job *job, yoke_comparison *c, const yki_measured *measured);

#endif
