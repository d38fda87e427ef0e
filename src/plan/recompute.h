/* Recomputation: which values of a part's forward pass are not kept for its backward pass, but made there
 * again, by clones of the nodes that made them. */
#ifndef YKI_PLAN_RECOMPUTE_H
#define YKI_PLAN_RECOMPUTE_H

#include "plan/placed.h"

typedef struct yki_recompute {
    int nvalues;   /* of the forward pass */
    bool *again;   /* of each value: made again where the backward pass reads it */
    int *clone;    /* of each value: what makes it again has made; -1: nothing yet */
    bool *needed;  /* of each node, while clones are made */
    int *gathered; /* zero 3: by parameter, its copy gathered for the backward pass; -1 */
} yki_recompute;

/* YOKE_INVALID: a list that has not an entry for each stage. */
yoke_status yki_recompute_check(yki_plan *plan);
/* Finds what is made again in a part whose placed graph holds its forward pass alone. */
yoke_status yki_recompute_find(yki_plan *plan, int part, const yki_placed *placed, yki_recompute *out);
/* The value that a node of the backward pass, of `layer`, reads where it asks for `value`: itself, or its
 * clone, whose makers are added to the end of body B where they are not there yet; a parameter that was
 * gathered for the forward pass is gathered again. -1: memory is out. */
int yki_recompute_value(yki_plan *plan, yki_placed *placed, yki_recompute *recompute, int value, int layer);

#endif
