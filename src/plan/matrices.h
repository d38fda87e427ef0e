/* Updates of whole matrices at a step's end (optim/optimizer.h: rules that are orthogonal). */
#ifndef YKI_PLAN_MATRICES_H
#define YKI_PLAN_MATRICES_H

#include "plan/builder.h"

/* Temporary memory that they need, one after the other. */
int64_t yki_matrices_bytes(const yki_builder *b);
/* How many instructions they are at most. */
int yki_matrices_instructions(const yki_builder *b);
/* From the direction of each update, in its gradient's memory, to the update that is orthogonal, there. */
void yki_add_matrices(yki_builder *b, yki_code *code);

#endif
