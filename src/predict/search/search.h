/* The search for a layout: what there is to choose from, what none of it can beat, and which is best. */
#ifndef YKI_PREDICT_SEARCH_SEARCH_H
#define YKI_PREDICT_SEARCH_SEARCH_H

#include "predict/simulate/cost.h"

/* One schedule that pipelines are tried with. */
typedef struct yki_tried_schedule {
    const char *name;
    int chunks;
    double waits; /* at least so much of a micro-batch's pass over a stage is waited for by the next ones,
                     filling and draining */
} yki_tried_schedule;

typedef struct yki_candidate {
    int dp, tp, cp, pp, microbatches;
    int8_t zero, recompute, schedule; /* schedule: of yki_tried_schedules */
    bool sp;
    int64_t least_bytes; /* the fullest device holds no less */
    double least_s;      /* a step takes no less */
} yki_candidate;

typedef struct yki_candidates {
    yki_candidate *list; /* owned: free() */
    int count, room;
} yki_candidates;

extern const yki_tried_schedule yki_tried_schedules[];

/* --- candidates.c --- */

/* Adds every layout of exactly so many devices that degrees, heads and batch allow by their divisors.
 * YOKE_SYSTEM: memory. */
yoke_status yki_candidates_over(const yki_plan_options *options, int devices, yki_candidates *found);
/* The layout of a candidate; what it does not say is as in `like`. */
yoke_layout yki_candidate_layout(const yki_candidate *candidate, const yoke_layout *like);

/* --- bound.c --- */

/* What one replica without stages takes and holds under tp, cp and sp: what candidates of the same are
 * bounded by. */
typedef struct yki_reference {
    int tp, cp;
    bool sp, possible;
    double bodies_s, ends_s; /* of a full step */
    yoke_bytes bytes;
} yki_reference;

typedef struct yki_bounds {
    const yki_plan_options *options;
    const yoke_machine *machine;
    int count;
    yki_reference list[64]; /* as they were asked for */
} yki_bounds;

/* Sets what the candidate takes and holds at least. False: its tp and cp cannot be, or there is no memory to
 * find out. */
bool yki_bound(yki_bounds *bounds, yki_candidate *candidate);

#endif
