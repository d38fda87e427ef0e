/* Ranks that form a group begin the same movements in the same order. Lanes of one stage run the same list of
 * actions, so that it is enough that their bodies agree; stages meet in the step's end alone (contents.c); of
 * replicas, of shards and of the lanes of a class the program is one and the same. */
#include "base/fail.h"
#include "plan/prove/prove.h"
#include "plan/prove/uses.h"

/* The next movement that code begins over a group from instruction `at` on; the code's length: none. */
static int next_over(const yki_code *code, int at, int group)
{
    while (at < code->count &&
           (yki_group_of(&code->instructions[at]) != group || code->instructions[at].phase == YKI_PHASE_WAIT))
        at++;
    return at;
}

/* Code of a member against the first one's. */
static yoke_status compare(yki_prover *p, const yki_program *other, const yki_code *first, int group)
{
    const char *axis = yki_axis_names[p->plan->groups[group].axis];
    const yki_code *code = yki_prover_code(p);
    for (int a = next_over(first, 0, group), b = next_over(code, 0, group);;
         a = next_over(first, a + 1, group), b = next_over(code, b + 1, group)) {
        p->at = b < code->count ? b : -1;
        if (b == code->count && a == first->count) return YOKE_OK;
        if (b == code->count || a == first->count)
            return yki_fault(p, NULL, "it begins %s movements over %s than the group's first member",
                             b == code->count ? "fewer" : "more", axis);
        const yki_instruction *in = &code->instructions[b];
        if (!yki_is_same_movement(p->plan, p->program, in, other, &first->instructions[a]))
            return yki_fault(
                p, in->kind == YKI_DO_MOVE ? &in->operands[1] : NULL,
                "the first member of its group over %s begins another movement instead, or one of "
                "other bytes or another type",
                axis);
    }
}

/* A program against the first member's of a group. */
static yoke_status prove_group(yki_prover *p, const yki_program *other, int group)
{
    const yki_program *program = p->program;
    bool lanes = p->plan->groups[group].axis != YKI_AXIS_PP;
    for (p->chunk = 0; p->chunk < program->nparts && lanes; p->chunk++)
        for (int body = 0; body < YKI_BODY_COUNT; body++) {
            p->body = (yki_body)body;
            YKI_TRY(compare(p, other, &other->parts[p->chunk].body[body], group));
        }
    p->chunk = -1;
    p->body = YKI_BODY_COUNT;
    for (int end = 0; end < YKI_END_COUNT; end++) {
        p->end = &program->ends[end];
        YKI_TRY(compare(p, other, &other->ends[end], group));
    }
    p->end = NULL;
    return YOKE_OK;
}

/* Which programs were compared over a group, [program's class][class of the first member's]. */
typedef struct compared {
    char *pairs;
    int cpairs;
} compared;

/* Each lane of a stage with the first member of each of its groups; lanes of a class run one program, and so
 * two classes are compared once. */
static yoke_status prove_stage(yki_prover *p, compared *c, int stage, int g)
{
    const yki_plan *plan = p->plan;
    const yki_group *group = &plan->groups[g];
    int classes = plan->nlane_classes, place[YKI_AXIS_COUNT];
    yki_prover_renew(p, &c->pairs, &c->cpairs, classes * classes, sizeof *c->pairs);
    for (int lane = 0; lane < plan->nlanes; lane++) {
        yki_lane_place(plan, lane, stage, place);
        if (yki_group_member(group, place) <= 0) continue;
        const yki_program *first = yki_plan_program(plan, yki_group_first(&plan->mesh, group, place));
        p->program = &plan->programs[stage * classes + plan->lanes[lane].class];
        char *pair = &c->pairs[p->program->lane_class * classes + first->lane_class];
        if (!*pair && first != p->program) YKI_TRY(prove_group(p, first, g));
        *pair = 1;
    }
    return YOKE_OK;
}

yoke_status yki_prove_order(yki_prover *p)
{
    compared c = {0};
    for (int g = 0; g < p->plan->ngroups; g++)
        for (int stage = 0; stage < p->plan->parts.nstages && p->plan->groups[g].size > 1; stage++)
            YKI_TRY(prove_stage(p, &c, stage, g));
    yki_prover_leave(p);
    return YOKE_OK;
}
