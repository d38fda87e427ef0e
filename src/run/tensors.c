/* What a rank keeps of parameters and buffers, and which elements of it are its own, as views. */
#include "run/rank.h"

static yki_view view_of(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t first,
                        int64_t elems)
{
    int64_t offset = rank->states->kept[parameter].offset[kind];
    yki_dtype dtype = yki_tensor_dtype(rank->plan, rank->program, kind, parameter);
    if (offset < 0) return (yki_view){0};
    return (yki_view){.data = rank->memory + offset + first * (int64_t)yki_dtype_bytes(dtype),
                      .dtype = dtype,
                      .ndim = 1,
                      .dims = {elems}};
}

yki_view yki_rank_tensor(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    const yki_kept *kept = &rank->states->kept[parameter];
    bool buffer = parameter >= rank->program->nparameters; /* whole, whatever zero's stage */
    bool shard = yki_states_sharded(rank->plan, kind) && !buffer;
    return view_of(rank, kind, parameter, 0,
                   shard ? kept->runs * kept->run_elems : rank->program->parameters[parameter].elems);
}

yki_view yki_rank_run(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t k)
{
    const yki_kept *kept = &rank->states->kept[parameter];
    bool dealt = yki_states_sharded(rank->plan, kind);
    return view_of(rank, kind, parameter,
                   dealt ? k * kept->run_elems : yki_own_first(kept, rank->shard) + k * kept->stride,
                   kept->run_elems);
}
