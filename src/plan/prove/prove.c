/* prove: the last pass. Earlier passes choose where tensors lie, when movements start and end, and who takes
 * which slot; this one trusts none of them. It goes through the programs as the run will and refuses one that
 * does not hold: so a fault of the compiler is a sentence, not a wrong number. Linear in the size of programs
 * and action lists, but for sorting. */
#include "plan/prove/prove.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "plan/passes.h"

/* --- the sentence --- */

enum { PLACE = 192, TENSOR = 256 };

/* "stage 1, lane 0, part 2, body B, instruction 12 (linear.dx)" */
static void print_place(const yki_prover *p, char text[PLACE])
{
    static const char *const bodies[] = {"F", "B", "W", "BW"};
    static const char *const ends[] = {[YKI_END_FORWARD] = "the end of a forward pass",
                                       [YKI_END_REDUCE] = "the step's reductions",
                                       [YKI_END_UPDATE] = "the step's update"};
    int n = 0;
    text[0] = '\0';
    if (p->program) n = snprintf(text, PLACE, "stage %d, lane %d", p->program->stage, p->program->lane);
    if (p->program && p->chunk >= 0)
        n += snprintf(text + n, (size_t)(PLACE - n), ", part %d", yki_prover_part(p)->part);
    if (p->program && p->body < YKI_BODY_COUNT)
        n += snprintf(text + n, (size_t)(PLACE - n), ", body %s", bodies[p->body]);
    if (p->end) n += snprintf(text + n, (size_t)(PLACE - n), ", %s", ends[p->end - p->program->ends]);
    if (p->at < 0 || (p->body == YKI_BODY_COUNT && !p->end)) return;
    const yki_instruction *in = &yki_prover_code(p)->instructions[p->at];
    bool known = in->op >= 0 && in->op < YKI_OP_COUNT;
    snprintf(text + n, (size_t)(PLACE - n), ", instruction %d (%s)", p->at,
             in->what ? in->what
             : known  ? yki_op_name(in->op)
                      : "none");
}

static const char *parameter_name(const yki_prover *p, int index)
{
    if (index < 0 || index >= yki_kept_count(p->program)) return "none";
    return p->plan->options.model->parameters[p->program->parameters[index].parameter].name;
}

/* ", tensor 17 (output of linear.dx, layer 'h.2.mlp')" */
static void print_tensor(const yki_prover *p, const yki_operand *operand, char text[TENSOR])
{
    const yki_placed *placed = p->chunk >= 0 ? yki_prover_placed(p) : NULL;
    text[0] = '\0';
    if (!operand) return;
    if (operand->space == YKI_SPACE_WEIGHT || operand->space == YKI_SPACE_GRADIENT) {
        snprintf(text, TENSOR, ", %s of '%s'", operand->space == YKI_SPACE_WEIGHT ? "weight" : "gradient",
                 parameter_name(p, operand->index));
        return;
    }
    int value = operand->value, n = snprintf(text, TENSOR, ", tensor %d", value);
    if (p->end && value >= 0 && value < p->program->nmade)
        snprintf(text + n, (size_t)(TENSOR - n), " (of '%s')",
                 parameter_name(p, p->program->made[value].parameter));
    if (!placed || value < 0 || value >= placed->nvalues || placed->values[value].producer < 0) return;
    const yki_placed_node *node = &placed->nodes[placed->values[value].producer];
    n += snprintf(text + n, (size_t)(TENSOR - n), " (output of %s", yki_op_name(node->op));
    if (node->layer >= 0)
        n += snprintf(text + n, (size_t)(TENSOR - n), ", layer '%s'",
                      p->plan->options.model->layers[node->layer].name);
    if (n < TENSOR) snprintf(text + n, (size_t)(TENSOR - n), ")");
}

yoke_status yki_fault(const yki_prover *p, const yki_operand *operand, const char *format, ...)
{
    char place[PLACE], tensor[TENSOR], what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print_place(p, place);
    print_tensor(p, operand, tensor);
    return yki_fail(YOKE_CHECK_FAILED,
                    "the compiler made a program that does not hold: %s%s: %s; please report this", place,
                    tensor, what);
}

yoke_status yki_gradient_fault(const yki_prover *p, int parameter, const char *what)
{
    yki_operand gradient = {.space = YKI_SPACE_GRADIENT, .index = parameter};
    return yki_fault(p, &gradient, "%s", what);
}

/* --- what the parts share --- */

void yki_prover_leave(yki_prover *p)
{
    p->program = NULL;
    p->end = NULL;
    p->chunk = p->at = -1;
    p->body = YKI_BODY_COUNT;
}

void yki_prover_renew(yki_prover *p, void *array, int *capacity, int count, size_t bytes)
{
    void *table;
    yki_arena_grow(p->arena, array, capacity, count, bytes);
    memcpy(&table, array, sizeof table);
    if (count > 0) memset(table, 0, (size_t)count * bytes);
}

bool yki_claim_apart(yki_prover *p, yki_claims *claims, int first, int count, int limit)
{
    if (first < 0 || count < 0 || first > limit - count) return false;
    if (count == 0) return true;
    int at = claims->nlist;
    while (at > 0 && claims->list[at - 1].first >= first + count) at--;
    if (at > 0 && claims->list[at - 1].end > first) return false;
    if (at > 0 && claims->list[at - 1].end == first) {
        claims->list[at - 1].end += count;
        return true;
    }
    *YKI_APPEND(p->arena, claims, list) = (yki_stretch){0};
    memmove(&claims->list[at + 1], &claims->list[at],
            sizeof *claims->list * (size_t)(claims->nlist - 1 - at));
    claims->list[at] = (yki_stretch){first, first + count};
    return true;
}

/* --- the pass --- */

static yoke_status prove(yki_prover *p)
{
    YKI_TRY(yki_prove_arena(p));
    YKI_TRY(yki_prove_contents(p));
    YKI_TRY(yki_prove_order(p));
    return yki_prove_turns(p);
}

yoke_status yki_plan_prove(yki_plan *plan)
{
    yki_arena_mark mark = yki_arena_mark_of(&plan->arena);
    yki_prover p = {.plan = plan, .arena = &plan->arena};
    yki_prover_leave(&p);
    yoke_status status = prove(&p);
    yki_arena_rewind(&plan->arena, mark);
    return status;
}
