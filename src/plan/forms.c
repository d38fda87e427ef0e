/* Forms: a logical value in a part under one state along tp, and the movements that make another of it. */
#include <assert.h>

#include "plan/placer.h"

yki_form *yki_form_find(const yki_placer *p, int part, int logical)
{
    for (yki_form *f = p->forms[part]; f; f = f->next)
        if (f->logical == logical && f->primary) return f;
    return NULL;
}

yki_form *yki_form_add(yki_placer *p, int part, int logical, int value, yki_spec spec, bool primary)
{
    yki_form *f = yki_arena_alloc(&p->plan->arena, sizeof *f);
    if (!f) return NULL;
    *f = (yki_form){logical, value, spec, primary, p->forms[part]};
    p->forms[part] = f;
    return f;
}

int64_t yki_placer_extent(const yki_placer *p, int logical, int dim)
{
    const yki_value *value = &p->model->values[logical];
    return p->tokens >= 0 && value->per_sample && dim == 0 ? p->tokens : value->dims[dim];
}

yki_placed_value yki_placer_value(const yki_placer *p, int logical, yki_spec spec)
{
    const yki_value *value = &p->model->values[logical];
    yki_placed_value local = {.role = value->role,
                              .per_sample = value->per_sample,
                              .ndim = value->ndim,
                              .parameter = value->parameter,
                              .cached = value->cached,
                              .gathered = -1,
                              .producer = -1,
                              .storage = -1};
    for (int i = 0; i < value->ndim; i++) local.dims[i] = yki_placer_extent(p, logical, i);
    if (spec.state == YKI_SHARDED)
        local.dims[spec.dim] = yki_spec_share(spec, local.dims[spec.dim], p->tp, p->tp_rank);
    return local;
}

static yki_cut cut_of(yki_placer *p, int logical, yki_spec spec)
{
    const yki_value *value = &p->model->values[logical];
    yki_cut cut = {.outer = 1, .inner = 1};
    int64_t *share = yki_arena_alloc(&p->plan->arena, sizeof(int64_t) * (size_t)p->tp);
    for (int i = 0; i < spec.dim; i++) cut.outer *= yki_placer_extent(p, logical, i);
    for (int i = spec.dim + 1; i < value->ndim; i++) cut.inner *= yki_placer_extent(p, logical, i);
    for (int i = 0; i < p->tp && share; i++)
        share[i] = yki_spec_share(spec, yki_placer_extent(p, logical, spec.dim), p->tp, i);
    cut.share = share;
    return cut;
}

/* A movement along tp: from a form to a new one. The gradient of what each rank does a share with is partial,
 * any other has the value's own state. */
static yki_form *move(yki_placer *p, int part, const yki_form *from, yki_move kind, yki_spec to, int layer)
{
    yki_placed *placed = &p->parts[part];
    yki_placed_value local = yki_placer_value(p, from->logical, to);
    local.wants = placed->values[from->value].wants;
    int value = yki_placed_value_add(p->plan, placed, &local);
    yki_placed_node *node =
        value >= 0 ? yki_placed_node_add(p->plan, placed, YKI_OP_MOVE + (int)kind, YKI_BODY_F, layer) : NULL;
    if (!node) return NULL;
    node->nin = node->nout = 1;
    node->in[0] = from->value;
    node->out[0] = value;
    if (kind == YKI_MOVE_ALL_REDUCE) node->reduction = from->spec.reduction;
    if (kind == YKI_MOVE_ALL_GATHER) node->cut = cut_of(p, from->logical, from->spec);
    if (kind == YKI_MOVE_SHARD || kind == YKI_MOVE_REDUCE_SCATTER) node->cut = cut_of(p, from->logical, to);
    node->gradient_state = to.divided ? YKI_PARTIAL : to.state;
    placed->values[value].producer = placed->nnodes - 1;
    return yki_form_add(p, part, from->logical, value, to, false);
}

yki_spec yki_form_summed(const yki_placer *p, int logical)
{
    const yki_value *value = &p->model->values[logical];
    bool rows = p->plan->options.layout.sp && value->role == YKI_ROLE_ACTIVATION && yki_has_rows(value);
    return rows ? yki_spec_sharded(0, 1, 1) : YKI_SPEC_REPLICATED;
}

yki_form *yki_form_convert(yki_placer *p, int part, yki_form *f, yki_spec spec, int layer)
{
    if (yki_spec_equal(f->spec, spec)) return f;
    /* other uses would each need a part of their gradient */
    assert(!f->spec.divided && yki_spec_copies(f->spec) == 1 && yki_spec_copies(spec) == 1);
    if (f->spec.state == YKI_PARTIAL) { /* everybody from here on sees the sum */
        yki_spec to = yki_form_summed(p, f->logical);
        yki_move kind = to.state == YKI_SHARDED ? YKI_MOVE_REDUCE_SCATTER : YKI_MOVE_ALL_REDUCE;
        yki_form *sum = move(p, part, f, kind, to, layer);
        if (!sum) return NULL;
        f->primary = false;
        sum->primary = true;
        return yki_form_convert(p, part, sum, spec, layer);
    }
    for (yki_form *other = p->forms[part]; other; other = other->next)
        if (other->logical == f->logical && yki_spec_equal(other->spec, spec)) return other;
    if (f->spec.state == YKI_SHARDED) {
        yki_spec all = spec.divided ? YKI_SPEC_DIVIDED : YKI_SPEC_REPLICATED;
        yki_form *whole = move(p, part, f, YKI_MOVE_ALL_GATHER, all, layer);
        return whole ? yki_form_convert(p, part, whole, spec, layer) : NULL;
    }
    return move(p, part, f, spec.divided ? YKI_MOVE_BROADCAST : YKI_MOVE_SHARD, spec, layer);
}
