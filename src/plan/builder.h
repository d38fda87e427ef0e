/* Building one program: what memory.c (where buffers lie) and bodies.c (what instructions do) share. */
#ifndef YKI_PLAN_BUILDER_H
#define YKI_PLAN_BUILDER_H

#include "plan/slots.h"
#include "plan/storage.h"

typedef struct yki_builder {
    yki_plan *plan;
    yki_program *program;
    const yki_action_times *times;
    const yki_send_slots *sends;
    int64_t at;                /* the arena's end so far */
    yki_part_storage *storage; /* [chunk] */
} yki_builder;

/* An operand: a placed value as a kernel sees it by its word and constants (NULL: as elements in a row), in
 * its space. */
yki_operand yki_make_operand(yki_builder *b, const yki_placed *placed, int index, const yki_word *word,
                             const yki_attr *attr, yki_body body, const yki_part_storage *storage);
/* The parameters of the program's stage. */
yoke_status yki_plan_parameters(yki_plan *plan, yki_program *program);
/* How many stretches of elements lie apart in what is a rank's own of a parameter (yki_kept). */
int64_t yki_own_runs(const yki_plan *plan, const yki_local_parameter *p);
/* Which bodies the part's actions need, and when they run. */
void yki_find_bodies(yki_builder *b, yki_part_program *part);
/* Those bodies, parts in the order in which their gradients are complete. False: out of memory. */
bool yki_make_bodies(yki_builder *b, yki_part_program *part, const yki_part_storage *storage);

#endif
