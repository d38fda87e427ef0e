/* Classes of ranks: those that do the same at the same time, since they run the same program on equal devices
 * and whoever they move data with is alike, class by class. A step of 16,384 devices is then simulated as one
 * of a few dozen. */
#ifndef YKI_PREDICT_SIMULATE_CLASSES_H
#define YKI_PREDICT_SIMULATE_CLASSES_H

#include "predict/simulate/cost.h"

typedef struct yki_rank_class {
    int first, count; /* its first rank, and how many there are */
    double slower;    /* all that it computes takes so many times as long */
    int *meetings;    /* by the plan's groups: the row of yki_classes.meetings; -1: it is in none */
    int *peers;       /* by stage: the class of the rank at the same place there */
} yki_rank_class;

/* Who move data with each other: groups of one row of the plan whose members are of the same classes. */
typedef struct yki_meeting {
    int group, size, nclasses;
    int *classes;
    int64_t groups; /* how many there are of them */
    yki_route route;
} yki_meeting;

typedef struct yki_classes {
    yki_arena arena;
    int count, nmeetings;
    yki_rank_class *list;
    yki_meeting *meetings;
    int *of; /* by rank */
} yki_classes;

/* slow: stragglers are as slow as the machine says; else as fast as all others. YOKE_SYSTEM: memory. */
yoke_status yki_classes_of(const yki_plan *plan, const yki_costs *costs, bool slow, yki_classes *classes_out);
void yki_classes_release(yki_classes *classes);

#endif
