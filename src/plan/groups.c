/* groups: the table of those who move data together. Rows for the axes, for zero's shards and for who has the
 * same shard, and those that parameters ask for: sums of gradients over neighbours along tp that share a
 * tensor, ties of the stages that share one, and the ranks whose shares along tp make a matrix whole. */
#include "plan/passes.h"

static int group_add(yki_plan *plan, yki_group group)
{
    for (int g = YKI_GROUP_FIRST_MADE; g < plan->ngroups; g++) {
        const yki_group *other = &plan->groups[g];
        if (other->axis != group.axis || other->size != group.size || other->stride != group.stride) continue;
        if (!group.stages || memcmp(group.stages, other->stages, (size_t)plan->parts.nstages) == 0) return g;
    }
    plan->groups[plan->ngroups] = group;
    return plan->ngroups++;
}

yoke_status yki_plan_groups(yki_plan *plan)
{
    const int *degree = plan->mesh.degree;
    int n = plan->options.model->nparameters;
    plan->groups =
        yki_arena_alloc(&plan->arena, sizeof *plan->groups * (size_t)(YKI_GROUP_FIRST_MADE + 3 * n));
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        plan->groups[axis] = (yki_group){.axis = (yki_axis)axis, .size = degree[axis], .stride = 1};
    plan->groups[YKI_GROUP_SHARDS] = (yki_group){.axis = YKI_AXIS_DP, .size = plan->shards, .stride = 1};
    plan->groups[YKI_GROUP_REPLICAS] =
        (yki_group){.axis = YKI_AXIS_DP, .size = degree[YKI_AXIS_DP] / plan->shards, .stride = plan->shards};
    plan->ngroups = YKI_GROUP_FIRST_MADE;
    for (int i = 0; i < n; i++) {
        yki_param_place *place = &plan->param_places[i];
        place->sum_group = place->tie_group = place->whole_group = -1;
        if (plan->options.model->parameters[i].frozen) continue; /* nobody sums, nobody updates */
        if (place->gradient_parts > 1)
            place->sum_group =
                group_add(plan, (yki_group){.axis = YKI_AXIS_TP, .size = place->gradient_parts, .stride = 1});
        if (place->nheld > 1)
            place->tie_group = group_add(
                plan,
                (yki_group){.axis = YKI_AXIS_PP, .size = place->nheld, .stride = 1, .stages = place->held});
        int copies = yki_spec_copies(place->spec), tp = degree[YKI_AXIS_TP];
        if (yki_plan_trains(plan) && yki_plan_rule(plan, i)->orthogonal && place->spec.state == YKI_SHARDED &&
            tp > copies)
            place->whole_group =
                copies == 1
                    ? YKI_AXIS_TP
                    : group_add(plan,
                                (yki_group){.axis = YKI_AXIS_TP, .size = tp / copies, .stride = copies});
    }
    return YOKE_OK;
}
