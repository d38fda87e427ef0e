/* Placing one lane's parts: what place.c (which part, in which state), forms.c (states and movements) and
 * localise.c (constants) share. Pointers that are returned are NULL when memory is out. */
#ifndef YKI_PLAN_PLACER_H
#define YKI_PLAN_PLACER_H

#include "plan/placed.h"

/* A logical value in a part: its state now, and other forms made of it. */
typedef struct yki_form {
    int logical, value;
    yki_spec spec;
    bool primary; /* what operators are asked about */
    struct yki_form *next;
} yki_form;

typedef struct yki_placer {
    yki_plan *plan;
    const yoke_model *model;
    int tp, tp_rank, lane;
    int64_t tokens; /* of a sequence that this lane has; -1: all, whatever a sample is */
    yki_positions positions;
    yki_placed *parts;
    yki_form **forms; /* [part] */
    int *root;        /* of each logical value: the one it is a moved copy of */
    int *part_of;     /* of each logical value: where it is made; -1: anywhere */
    int edge;         /* the next edge to be met: the same for every lane */
} yki_placer;

/* A dim of a value as the ranks of this lane's tp group hold it together. */
int64_t yki_placer_extent(const yki_placer *p, int logical, int dim);
/* The value of one sample (or the parameter) as this rank holds it under `spec`. */
yki_placed_value yki_placer_value(const yki_placer *p, int logical, yki_spec spec);

/* The form that operators are asked about; NULL: the part has none. */
yki_form *yki_form_find(const yki_placer *p, int part, int logical);
yki_form *yki_form_add(yki_placer *p, int part, int logical, int value, yki_spec spec, bool primary);
/* What a sum becomes when it is taken: under sequence parallelism each rank's rows of it. */
yki_spec yki_form_summed(const yki_placer *p, int logical);
/* The form of f's value in state `spec`, made of it by movements if it isn't there. */
yki_form *yki_form_convert(yki_placer *p, int part, yki_form *f, yki_spec spec, int layer);

/* Constants of a placed node that depend on which share this rank has. */
void yki_localise(const yki_placer *p, const yki_node *node, const yki_cut_query *query,
                  yki_placed_node *placed);

#endif
