/* What a rank keeps of parameters and buffers, and which elements of it are its own, as views. */
#include "run/rank.h"

/* Buffers are f32 and whole, whatever the precision and zero's stage. */
static bool is_buffer(const yki_rank *rank, int parameter)
{
    return parameter >= rank->program->nparameters;
}

static yki_view view_of(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t first,
                        int64_t elems)
{
    int64_t offset = rank->states->kept[parameter].offset[kind];
    bool bf16 = rank->plan->options.precision == YOKE_PRECISION_BF16 && !is_buffer(rank, parameter);
    yki_dtype dtype = bf16 && kind == YKI_TENSOR_WEIGHT ? YKI_BF16 : YKI_F32;
    if (offset < 0) return (yki_view){0};
    return (yki_view){.data = rank->memory + offset + first * (int64_t)yki_dtype_bytes(dtype),
                      .dtype = dtype,
                      .ndim = 1,
                      .dims = {elems}};
}

yki_view yki_rank_tensor(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    const yki_kept *kept = &rank->states->kept[parameter];
    bool shard = yki_states_sharded(rank->plan, kind) && !is_buffer(rank, parameter);
    return view_of(rank, kind, parameter, 0,
                   shard ? kept->runs * kept->run_elems : rank->program->parameters[parameter].elems);
}

yki_view yki_rank_run(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t k)
{
    const yki_kept *kept = &rank->states->kept[parameter];
    bool dealt = yki_states_sharded(rank->plan, kind);
    return view_of(rank, kind, parameter, dealt ? k * kept->run_elems : kept->first + k * kept->stride,
                   kept->run_elems);
}
