/* Why a layout is the choice: strategies by themselves, and where the choice changes. */
#ifndef YKI_PREDICT_WHY_WHY_H
#define YKI_PREDICT_WHY_WHY_H

#include "predict/simulate/simulate.h"
#include "yoke/planning.h"

enum { YKI_CONTESTANTS = 20 };

/* A layout that may become the first. Contestants of the same degrees are of one kind: a choice among them is
 * no other choice. */
typedef struct yki_contestant {
    yoke_layout layout;
    int kind;
} yki_contestant;

typedef struct yki_why {
    yoke_job job; /* what its model is, is said in full; `from` is not looked at any more */
    yoke_machine machine;
    int devices;
    uint32_t named;
    const yoke_planned *planned;
    yoke_reasons *out;
    bool is_first;    /* no contestant of another kind is faster than the choice */
    int ncontestants; /* the first is the choice */
    yki_contestant contestants[YKI_CONTESTANTS];
} yki_why;

/* --- strategies.c --- */

/* Adds each strategy, and what takes part in what follows. */
yoke_status yki_why_strategies(yki_why *why, const yki_plan_options *options);
/* As the plan's rows have it; never "". */
void yki_why_text(const yki_why *why, const yoke_layout *layout, char text[512]);
/* Unless it is there already, or there are too many. */
void yki_why_compete(yki_why *why, const yoke_layout *layout);

/* --- break_even.c --- */

/* Adds all points at which another kind becomes the first. */
yoke_status yki_why_break_even(yki_why *why);

/* --- sentences.c --- */

void yki_why_tell(yki_why *why);

#endif
