/* The search for a layout: what there is to choose from, what none of it can beat, and which is best. */
#ifndef YKI_PREDICT_SEARCH_SEARCH_H
#define YKI_PREDICT_SEARCH_SEARCH_H

#include "predict/simulate/simulate.h"

/* One schedule that pipelines are tried with. */
typedef struct yki_tried_schedule {
    const char *name;
    int chunks;
    bool splits;  /* gradients of weights are actions of their own, which may come late */
    bool returns; /* a stage's second part is as far from the end as its first from the start */
    int held;     /* micro-batches that are between F and B on a stage, at least, as a multiple of the stages
                     from it to the last; 0: as many as there are, -1: one */
} yki_tried_schedule;

typedef struct yki_candidate {
    int dp, tp, cp, pp, microbatches, shard;   /* shard: replicas that zero deals over; 0: all */
    int8_t zero, recompute, schedule, cp_kind; /* schedule: of yki_tried_schedules */
    bool sp;
    int64_t least_bytes;     /* the fullest device holds no less */
    double least_s, guess_s; /* a step takes no less; about what it takes */
} yki_candidate;

typedef struct yki_candidates {
    yki_candidate *list; /* owned: free() */
    int64_t count, room;
} yki_candidates;

extern const yki_tried_schedule yki_tried_schedules[]; /* the last has no name */

/* --- candidates.c --- */

/* What candidates are listed for. */
typedef struct yki_listing {
    const yki_plan_options *options;
    const yoke_machine *machine;
    bool attends, placed;
    int each;  /* devices of a replica whose layers name them; else 1 */
    int units; /* that pipelines are cut between */
} yki_listing;

yki_listing yki_listing_of(const yki_plan_options *options, const yoke_machine *machine, int units);
/* Adds every mesh of exactly so many devices that degrees, units and batch allow: candidates that say no
 * more. YOKE_SYSTEM: memory. */
yoke_status yki_candidates_over(const yki_listing *listing, int devices, yki_candidates *found);
/* Adds all that a mesh can be run as, axis by axis; from = the first axis that is not chosen yet. */
yoke_status yki_candidates_of(const yki_listing *listing, const yki_candidate *mesh, yki_candidates *found);
yoke_status yki_candidate_add(yki_candidates *found, const yki_candidate *one);
/* How many those are. */
int64_t yki_candidates_count(const yki_listing *listing, const yki_candidate *mesh);
/* The layout of a candidate; what it does not say is as in `like`. */
yoke_layout yki_candidate_layout(const yki_candidate *candidate, const yoke_layout *like);

/* --- reference.c: what the units of a model take and hold, each as a stage of its own --- */

typedef struct yki_unit_bytes {
    int64_t weights, gradients, optimizer;
    double kept;     /* from F to B, of a sample */
    double update_s; /* of its own parameters */
} yki_unit_bytes;

/* Seconds of so many samples, summed over the units before each: [units + 1]. */
typedef struct yki_unit_times {
    int64_t samples;
    double *forward, *input, *weight;     /* in kernels */
    double *with_forward, *with_backward; /* and waiting for what lanes move meanwhile */
    struct yki_unit_times *next;
} yki_unit_times;

/* Of one way to share a layer and to keep what it makes. */
typedef struct yki_reference {
    int tp, cp;
    int8_t cp_kind, recompute;
    bool sp, prepared, possible;
    yki_plan *plan;
    yki_prepared of;
    yki_unit_bytes *bytes; /* summed over the units before each: [units + 1] */
    double edge_bytes;     /* of a sample, from one unit to the next */
    yki_unit_times *times;
} yki_reference;

enum { YKI_REFERENCES = 512 };

typedef struct yki_references {
    yki_arena arena;
    const yki_plan_options *options; /* of the whole model */
    const yoke_machine *machine;
    const yoke_model *model; /* what is compiled: the whole one, or one of fewer blocks that are alike */
    yki_units units;         /* of the whole one */
    int compiled_units;      /* of what is compiled */
    int count;
    yki_reference *list[YKI_REFERENCES];
    double effort; /* about how many seconds this has taken */
} yki_references;

/* shorter: a model that differs in the number of its blocks alone; NULL: there is none. YOKE_SYSTEM: memory.
 */
yoke_status yki_references_make(yki_references *out, const yki_plan_options *options,
                                const yoke_machine *machine, const yoke_model *shorter);
void yki_references_release(yki_references *all);
/* NULL: tp and cp cannot be, or there is no memory. */
yki_reference *yki_reference_of(yki_references *all, const yki_candidate *candidate);
/* NULL: no memory. */
const yki_unit_times *yki_reference_times(yki_references *all, yki_reference *of, int64_t samples);

/* --- bound.c --- */

typedef struct yki_parted {
    int parts;
    int *end; /* [parts]: the unit after the part's last */
    struct yki_parted *next;
} yki_parted;

/* What candidates that differ in what zero deals out have in common. */
typedef struct yki_figures {
    const yki_tried_schedule *schedule;
    yki_reference *r;
    int64_t largest, smallest;          /* samples of a micro-batch, of a replica that has most */
    const yki_unit_times *least, *most; /* of those; NULL: not asked for yet */
    const yki_parted *cut;
    int pp, microbatches, chunks, nlarge; /* micro-batches that are of the largest size */
    double passes, guess;                 /* seconds of forward and backward passes, at least and about */
    double gradients, weights, update;    /* bytes and seconds of the stage that has most, undealt */
} yki_figures;

enum { YKI_KNOWN_ROUTES = 64 };

typedef struct yki_bounds {
    const yki_listing *listing;
    yki_references *references;
    yki_parted *cuts;
    struct yki_known_route {
        int replicas, apart; /* so many, so many devices apart */
        yki_route route;
    } routes[YKI_KNOWN_ROUTES];
    bool known, possible;
    yki_candidate last; /* of which the figures are */
    yki_figures figures;
} yki_bounds;

/* Sets what all that a mesh can be run as takes and holds at least. False: it cannot be. */
bool yki_bound_mesh(yki_bounds *bounds, yki_candidate *mesh);
/* Sets all three figures of a candidate. What cannot be, or holds more than most_bytes, has least_s INFINITY.
 */
void yki_bound(yki_bounds *bounds, yki_candidate *candidate, double most_bytes);

#endif
