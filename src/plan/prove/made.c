/* What a step's update makes of matrices, in temporary memory. As in bodies (contents.c) a write says what
 * lies there from then on, and a read must find what it is of; but nothing is under way meanwhile, and every
 * tensor is written once. What was only brought together, and not yet computed with, is raw. */
#include "base/fail.h"
#include "plan/prove/prove.h"
#include "plan/prove/uses.h"

void yki_made_begin(yki_prover *p)
{
    p->nlying = 0;
}

static int64_t end_of(const yki_operand *operand)
{
    return operand->offset + 4 * yki_operand_elems(operand);
}

/* Whether it is the tensor that it names, and within temporary memory. */
static yoke_status check_operand(const yki_prover *p, const yki_operand *operand)
{
    const yki_program *program = p->program;
    int64_t limit = program->workspace_offset - program->temp_offset;
    if (operand->space != YKI_SPACE_TEMP || operand->value < 0 || operand->value >= program->nmade)
        return yki_fault(p, NULL, "it names tensor %d, which the step does not make", operand->value);
    if (operand->dtype != YKI_F32 || operand->per_sample ||
        yki_operand_elems(operand) != program->made[operand->value].elems)
        return yki_fault(p, operand, "it is taken for %lld elements, and is %lld of f32",
                         (long long)yki_operand_elems(operand),
                         (long long)program->made[operand->value].elems);
    if (operand->offset < 0 || end_of(operand) > limit)
        return yki_fault(p, operand, "it lies at %lld .. %lld of a space of %lld bytes",
                         (long long)operand->offset, (long long)end_of(operand), (long long)limit);
    return YOKE_OK;
}

yoke_status yki_made_read(yki_prover *p, const yki_operand *operand, bool *raw_out)
{
    YKI_TRY(check_operand(p, operand));
    for (int i = 0; i < p->nlying; i++)
        if (p->lying[i].made == operand->value && p->lying[i].start == operand->offset) {
            *raw_out = p->lying[i].raw;
            return YOKE_OK;
        }
    return yki_fault(p, operand, "it is read where it does not lie, or not whole");
}

/* Whether an instruction may write an output where `at` lies, which it may read. */
static bool may_replace(const yki_instruction *in, const yki_operand *output, const yki_lying *at)
{
    bool same = at->start == output->offset && at->end == end_of(output);
    for (int k = 0; k < yki_inputs(in); k++) {
        if (in->operands[k].space != YKI_SPACE_TEMP || in->operands[k].value != at->made) continue;
        if (!same || in->operands[0].value != at->made || !yki_works_in_place(in, k)) return false;
    }
    return true;
}

yoke_status yki_made_write(yki_prover *p, const yki_instruction *in, const yki_operand *operand, bool raw)
{
    YKI_TRY(check_operand(p, operand));
    int64_t start = operand->offset, end = end_of(operand);
    int kept = 0;
    for (int i = 0; i < p->nlying; i++) {
        const yki_lying *at = &p->lying[i];
        if (at->made == operand->value) return yki_fault(p, operand, "it is made twice");
        if (at->end <= start || at->start >= end) {
            if (kept < i) p->lying[kept] = *at;
            kept++;
            continue;
        }
        if (!may_replace(in, operand, at))
            return yki_fault(p, operand, "it is written over tensor %d, which the same instruction reads",
                             at->made);
    }
    if (kept == p->clying) yki_arena_grow(p->arena, &p->lying, &p->clying, kept + 1, sizeof *p->lying);
    p->lying[kept] = (yki_lying){start, end, operand->value, raw};
    p->nlying = kept + 1;
    return YOKE_OK;
}
