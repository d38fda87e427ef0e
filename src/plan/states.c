/* states: weights, master copies, gradients and moments of the parameters that a stage holds, at the end of
 * each device's arena. Zero deals a tensor's rows (as files have it) over the shards of a replica group,
 * earlier ranks taking one more where they don't divide: of moments and master copies (1), of gradients too
 * (2), of weights too (3). Ranks whose shards differ share a program: it names parameters, and only the table
 * made here knows offsets. Shards that are dealt as much of everything are a class, and share a row of it. */
#include "base/fail.h"
#include "plan/builder.h"
#include "plan/passes.h"

bool yki_lane_counts(const yki_plan *plan, int parameter, int lane)
{
    yki_spec spec = plan->param_places[parameter].spec;
    int tp = plan->mesh.degree[YKI_AXIS_TP];
    return lane < tp && (spec.state == YKI_SHARDED ? lane % yki_spec_copies(spec) == 0 : lane == 0);
}

/* What a program's lane holds of each parameter of its stage. */
static bool place_parameters(yki_plan *plan, yki_program *program)
{
    const yoke_model *model = plan->options.model;
    int *local_of = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(model->nparameters + 1));
    program->parameters =
        yki_arena_alloc(&plan->arena, sizeof *program->parameters * (size_t)(model->nparameters + 1));
    if (plan->arena.failed) return false;
    program->local_of = local_of;
    for (int k = 0; k < 2 * model->nparameters; k++) { /* weights, then buffers */
        int i = k % model->nparameters;
        const yki_param_place *place = &plan->param_places[i];
        bool buffer = model->parameters[i].buffer;
        if (k < model->nparameters) local_of[i] = -1;
        if (!place->held[program->stage] || buffer != (k >= model->nparameters)) continue;
        local_of[i] = program->nparameters + program->nbuffers;
        yki_local_parameter *local = &program->parameters[local_of[i]];
        *(buffer ? &program->nbuffers : &program->nparameters) += 1;
        const yki_value *value = &model->values[model->parameters[i].value];
        *local = (yki_local_parameter){
            .parameter = i, .elems = 1, .frozen = model->parameters[i].frozen && yki_plan_trains(plan)};
        for (int d = 0; d < value->ndim; d++) {
            bool cut = place->spec.state == YKI_SHARDED && place->spec.dim == d;
            local->dims[d] =
                cut ? yki_spec_share(place->spec, value->dims[d], plan->options.layout.tp, program->tp_rank)
                    : value->dims[d];
            local->elems *= local->dims[d];
        }
        const yki_parameter *p = &model->parameters[i];
        if (yki_plan_rule(plan, i)->orthogonal)
            local->scale = yki_orthogonal_scale(&plan->options.orthogonal, p->dims[0], p->dims[1]);
        local->decays = !plan->options.decay_matrices || value->ndim >= 2;
        local->counts =
            !local->frozen && program->stage == place->first_stage && yki_lane_counts(plan, i, program->lane);
        if (!yki_shards_cut(plan, i, local->dims, &local->cut)) return false;
    }
    return true;
}

static int64_t take(yki_states *states, int64_t *kind, int64_t bytes)
{
    int64_t at = states->total_bytes;
    states->total_bytes += yki_align(bytes);
    *kind += bytes;
    return at;
}

int64_t yki_own_runs(const yki_plan *plan, const yki_local_parameter *p)
{
    /* in a tensor that is kept whole, a shard's rows may lie apart */
    return plan->zero == 1 || plan->zero == 2 ? p->cut.outer : 1;
}

/* Which elements are the shard's own; no offsets yet. */
static yki_kept own_elements(const yki_plan *plan, const yki_local_parameter *p, int shard, bool buffer)
{
    const yki_cut *cut = &p->cut;
    int64_t row = cut->share[shard] * cut->inner;
    yki_kept kept = {.runs = 1, .run_elems = cut->outer * row};
    for (int kind = 0; kind < YKI_TENSOR_KINDS; kind++) kept.offset[kind] = -1;
    if (buffer) {
        kept.run_elems = p->elems;
    } else if (plan->zero == 1 || plan->zero == 2) {
        kept.runs = yki_own_runs(plan, p);
        kept.run_elems = row;
        kept.first = yki_shares_before(cut->share, shard) * cut->inner;
        kept.stride = yki_shares_before(cut->share, plan->shards) * cut->inner;
    }
    return kept;
}

/* Offsets for one shard, from the end of what the program needs. */
static bool place_states(yki_plan *plan, const yki_program *program, int shard, yki_states *states)
{
    bool bf16 = plan->options.precision == YOKE_PRECISION_BF16, trains = yki_plan_trains(plan);
    int all = program->nparameters + program->nbuffers;
    *states = (yki_states){.bytes = program->bytes, .total_bytes = program->states_offset};
    states->kept = yki_arena_alloc(&plan->arena, sizeof *states->kept * (size_t)(all + 1));
    if (!states->kept) return false;
    yoke_bytes *bytes = &states->bytes;
    for (int i = 0; i < all; i++)
        states->kept[i] = own_elements(plan, &program->parameters[i], shard, i >= program->nparameters);
    for (int kind = 0; kind < 3 + YKI_MAX_MOMENTS; kind++)
        for (int i = 0; i < program->nparameters; i++) {
            const yki_local_parameter *p = &program->parameters[i];
            if (kind - 3 >= plan->options.moments[yki_plan_rule_of(plan, p->parameter)]) continue;
            if (kind > 0 && p->frozen) continue;
            yki_kept *kept = &states->kept[i];
            int64_t mine = kept->runs * kept->run_elems, whole = p->elems;
            int64_t state = 4 * (plan->zero >= 1 ? mine : whole),
                    size = (int64_t)yki_dtype_bytes(yki_tensor_dtype(plan, program, YKI_TENSOR_WEIGHT, i));
            if (kind == 0)
                kept->offset[YKI_TENSOR_WEIGHT] =
                    take(states, &bytes->weights, size * (plan->zero >= 3 ? mine : whole));
            else if (kind == 1 && trains)
                kept->offset[YKI_TENSOR_GRADIENT] =
                    take(states, &bytes->gradients, 4 * (plan->zero >= 2 ? mine : whole));
            else if (kind == 2 && bf16 && trains)
                kept->offset[YKI_TENSOR_MASTER] = take(states, &bytes->optimizer, state);
            else if (kind >= 3 && trains)
                kept->offset[YKI_TENSOR_MOMENT + kind - 3] = take(states, &bytes->optimizer, state);
        }
    for (int i = program->nparameters; i < all; i++) {
        int64_t size = 4 * program->parameters[i].elems;
        states->kept[i].offset[YKI_TENSOR_WEIGHT] = take(states, &bytes->weights, size);
        if (trains) states->kept[i].offset[YKI_TENSOR_GRADIENT] = take(states, &bytes->weights, size);
    }
    /* alignment counts as workspace */
    bytes->workspace = 0;
    bytes->workspace = states->total_bytes - bytes->weights - bytes->gradients - bytes->optimizer -
                       bytes->activations - bytes->movement - bytes->cache;
    return true;
}

yoke_status yki_plan_parameters(yki_plan *plan, yki_program *program)
{
    return place_parameters(plan, program) ? YOKE_OK : yki_fail_memory("a plan");
}

/* The first rows % shards of the shards have one row more. */
static bool begins_class(const yki_plan *plan, int shard)
{
    bool begins = shard == 0;
    for (int i = 0; i < plan->ndeals; i++) begins |= plan->deals[i].rows % plan->shards == shard;
    return begins;
}

static bool find_shard_classes(yki_plan *plan)
{
    for (int s = 0; s < plan->shards; s++) {
        yki_shard_class *it = begins_class(plan, s) ? YKI_APPEND(&plan->arena, plan, shard_classes)
                                                    : &plan->shard_classes[plan->nshard_classes - 1];
        if (!it) return false;
        if (it->count++ == 0) it->first = s;
    }
    return true;
}

yoke_status yki_plan_states(yki_plan *plan)
{
    int programs = yki_plan_programs(plan);
    if (!find_shard_classes(plan)) return yki_fail_memory("a plan");
    int classes = plan->nshard_classes;
    plan->states = yki_arena_alloc(&plan->arena, sizeof *plan->states * (size_t)programs * (size_t)classes);
    if (!plan->states) return yki_fail_memory("a plan");
    for (int i = 0; i < programs; i++)
        for (int c = 0; c < classes; c++)
            if (!place_states(plan, &plan->programs[i], plan->shard_classes[c].first,
                              &plan->states[i * classes + c]))
                return yki_fail_memory("a plan");
    return YOKE_OK;
}

int yki_rank_shard(const yki_plan *plan, int rank, int *class_out)
{
    int place[YKI_AXIS_COUNT], c = 0;
    yki_mesh_place(&plan->mesh, rank, place);
    int shard = place[YKI_AXIS_DP] % plan->shards;
    while (shard - plan->shard_classes[c].first >= plan->shard_classes[c].count) c++;
    *class_out = c;
    return shard - plan->shard_classes[c].first;
}

const yki_states *yki_rank_states(const yki_plan *plan, int rank)
{
    int of_shards;
    yki_rank_shard(plan, rank, &of_shards);
    return &plan->states[(yki_plan_program(plan, rank) - plan->programs) * plan->nshard_classes + of_shards];
}

bool yki_states_sharded(const yki_plan *plan, yki_tensor_kind kind)
{
    int from = kind == YKI_TENSOR_WEIGHT ? 3 : kind == YKI_TENSOR_GRADIENT ? 2 : 1;
    return plan->zero >= from;
}

yki_dtype yki_tensor_dtype(const yki_plan *plan, const yki_program *program, yki_tensor_kind kind,
                           int parameter)
{
    bool computes = kind == YKI_TENSOR_WEIGHT && parameter < program->nparameters;
    return computes && plan->options.precision == YOKE_PRECISION_BF16 ? YKI_BF16 : YKI_F32;
}
