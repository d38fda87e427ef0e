/* The ground of placed graphs: adding values and nodes, and what they are. */
#include "plan/placed.h"

int64_t yki_placed_elems(const yki_placed_value *value)
{
    int64_t elems = 1;
    for (int i = 0; i < value->ndim; i++) elems *= value->dims[i];
    return elems;
}

yki_dtype yki_placed_dtype(const yki_plan *plan, const yki_placed_value *value)
{
    if (value->role == YKI_ROLE_INDEX) return YKI_I32;
    if (value->role == YKI_ROLE_STATISTIC || value->is_gradient || value->summed) return YKI_F32;
    return plan->options.precision == YOKE_PRECISION_BF16 ? YKI_BF16 : YKI_F32;
}

int yki_placed_value_add(yki_plan *plan, yki_placed *placed, const yki_placed_value *value)
{
    yki_placed_value *added = YKI_APPEND(&plan->arena, placed, values);
    if (!added) return -1;
    *added = *value;
    added->storage = -1;
    return placed->nvalues - 1;
}

yki_placed_node *yki_placed_node_add(yki_plan *plan, yki_placed *placed, int op, yki_body body, int layer)
{
    yki_placed_node *node = YKI_APPEND(&plan->arena, placed, nodes);
    if (!node) return NULL;
    *node =
        (yki_placed_node){.op = op, .layer = layer, .body = body, .order = placed->nnodes - 1, .edge = -1};
    return node;
}
