/* What instructions do, for the proof: all it knows of their form stands here and in uses.c. */
#ifndef YKI_PLAN_PROVE_USES_H
#define YKI_PLAN_PROVE_USES_H

#include "plan/plan.h"

/* The ends of a copy between stages. */
static inline bool yki_receives(const yki_instruction *in)
{
    return in->kind == YKI_DO_COPY && !in->as.copy.sends;
}
static inline bool yki_sends(const yki_instruction *in)
{
    return in->kind == YKI_DO_COPY && in->as.copy.sends;
}
/* A parameter is gathered from its shards to temporary memory, else its gradient is scattered from there. */
static inline bool yki_gathers(const yki_instruction *in)
{
    return in->op == YKI_OP_MOVE + YKI_MOVE_ALL_GATHER;
}

/* How many of its operands an instruction reads, the first ones; it writes the rest. */
static inline int yki_inputs(const yki_instruction *in)
{
    switch (in->kind) {
    case YKI_DO_KERNEL:
        return in->as.kernel.ninputs;
    case YKI_DO_COPY:
        return in->as.copy.sends ? in->noperands : 0;
    case YKI_DO_MOVE:
        return 1;
    default:
        return 0;
    }
}

/* Operands of a micro-batch's memory that it reads, and those that it writes; one that it adds to is both. Of
 * space NONE: absent. */
static inline int yki_reads(const yki_instruction *in)
{
    if (in->kind == YKI_DO_MOVE_STATES) return yki_gathers(in) ? 0 : in->as.move_states.npieces;
    return in->kind == YKI_DO_KERNEL && in->as.kernel.adds ? in->noperands : yki_inputs(in);
}
static inline int yki_writes(const yki_instruction *in)
{
    if (in->kind == YKI_DO_MOVE_STATES) return yki_gathers(in) ? in->as.move_states.npieces : 0;
    return in->noperands - yki_inputs(in);
}
static inline const yki_operand *yki_read(const yki_instruction *in, int k)
{
    return in->kind == YKI_DO_MOVE_STATES ? &in->as.move_states.pieces[k].all : &in->operands[k];
}
static inline const yki_operand *yki_written(const yki_instruction *in, int k)
{
    return in->kind == YKI_DO_MOVE_STATES ? &in->as.move_states.pieces[k].all
                                          : &in->operands[yki_inputs(in) + k];
}

/* The usual three dims without a loop: it is asked of every operand. */
static inline int64_t yki_elems_of(int ndim, const int64_t *dims)
{
    int64_t elems = ndim > 0 ? dims[0] : 1;
    if (ndim > 1) elems *= dims[1];
    if (ndim > 2) elems *= dims[2];
    for (int i = 3; i < ndim; i++) elems *= dims[i];
    return elems;
}
static inline int64_t yki_operand_elems(const yki_operand *operand)
{
    return yki_elems_of(operand->ndim, operand->dims);
}

/* Whether an instruction may write its first output where it reads its input number `read`. */
bool yki_works_in_place(const yki_instruction *in, int read);
/* Whether a wait ends what `start` has begun. */
bool yki_is_end_of(const yki_instruction *wait, const yki_instruction *start);
/* Whether two members of a group begin the same movement, each in its program. */
bool yki_is_same_movement(const yki_plan *plan, const yki_program *program, const yki_instruction *in,
                          const yki_program *other, const yki_instruction *first);
/* Whether operands of a movement along a group are as large as its cut says for a member. */
bool yki_fits_cut(const yki_instruction *in, int member, int members);

#endif
