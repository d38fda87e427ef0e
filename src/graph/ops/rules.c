/* Rules that several operators share: cuts, gradients, constants of a share. */
#include "graph/ops/rules.h"

void yki_cut_nothing(yki_cut_query *query)
{
    for (int i = 0; i < query->node->nin; i++) query->in[i] = YKI_SPEC_REPLICATED;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = YKI_SPEC_REPLICATED;
}

/* Every row is worked on alone: between the rows any cut will do. (Sequence parallelism: Korthikanti et al.,
 * Reducing Activation Recomputation in Large Transformer Models, 2022.) */
yoke_status yki_cut_rows(yki_cut_query *query)
{
    yki_cut_nothing(query);
    if (!query->sp || !yki_has_rows(yki_cut_input(query, 0))) return YOKE_OK;
    query->in[0] = YKI_SPEC_ROWS;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = YKI_SPEC_ROWS;
    return YOKE_OK;
}

/* The output is cut as the first input is. */
yoke_status yki_cut_follow(yki_cut_query *query)
{
    if (query->in[0].state == YKI_PARTIAL) query->in[0] = YKI_SPEC_REPLICATED;
    for (int i = 0; i < query->node->nout; i++) query->out[i] = query->in[0];
    return YOKE_OK;
}

/* Of two inputs: as both are, if they are alike. */
yoke_status yki_cut_alike(yki_cut_query *query)
{
    if (query->in[0].state == YKI_SHARDED && yki_spec_equal(query->in[0], query->in[1]))
        query->out[0] = query->in[0];
    else if (query->sp && yki_has_rows(yki_cut_input(query, 0)))
        query->in[0] = query->in[1] = query->out[0] = YKI_SPEC_ROWS;
    else
        yki_cut_nothing(query);
    return YOKE_OK;
}

/* Positions of the first input's rows, of which this rank may have a share of the lane's. */
yki_positions yki_local_positions(const yki_locality *l)
{
    yki_spec spec = l->query->in[0];
    bool cut = spec.state == YKI_SHARDED && spec.dim == 0;
    return yki_positions_from(l->positions, cut ? yki_local_start(l, spec, yki_local_rows(l)) : 0);
}

void yki_localise_rows(yki_locality *l)
{
    l->attr->rows = yki_local_positions(l);
}
