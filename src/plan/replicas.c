/* What a micro-batch's samples give together: sums over data-parallel replicas, and buffers that are tracked.
 */
#include "plan/placed.h"

int yki_placed_sum(yki_plan *plan, yki_placed *placed, int value, yki_body body, int layer)
{
    yki_placed_value sum = placed->values[value];
    if (plan->options.layout.dp == 1) return value;
    int added = yki_placed_value_add(plan, placed, &sum);
    yki_placed_node *move =
        added >= 0 ? yki_placed_node_add(plan, placed, YKI_OP_MOVE + YKI_MOVE_ALL_REDUCE, body, layer) : NULL;
    if (!move) return -1;
    move->nin = move->nout = 1;
    move->in[0] = value;
    move->out[0] = added;
    move->axis = YKI_AXIS_DP;
    move->reduction = YKI_SUM;
    placed->values[added].producer = placed->nnodes - 1;
    return added;
}

int yki_placed_over_replicas(yki_plan *plan, yki_placed *placed, const yki_node *node, int value)
{
    bool of_samples = false;
    for (int i = 0; i < node->nin; i++)
        of_samples |= node->in[i] >= 0 && plan->options.model->values[node->in[i]].per_sample;
    if (!yki_plan_trains(plan) || node->attr.own_statistics || placed->values[value].per_sample ||
        !of_samples)
        return value;
    return yki_placed_sum(plan, placed, value, YKI_BODY_F, node->layer);
}

bool yki_placed_write_buffers(yki_plan *plan, yki_placed *placed, int at)
{
    for (int i = 0; i < placed->nodes[at].nin; i++) {
        yki_placed_value buffer = placed->values[placed->nodes[at].in[i]];
        if (buffer.parameter < 0) continue;
        buffer.is_gradient = true;
        buffer.producer = at;
        int value = yki_placed_value_add(plan, placed, &buffer);
        if (value < 0) return false;
        yki_placed_node *node = &placed->nodes[at];
        node->out[node->nout++] = value;
    }
    return true;
}
