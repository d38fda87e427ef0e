/* memory: programs with an offset for every buffer. One arena a device:
 * weights | master copies | gradients | moments | slots of each part | gradients on their way | temporaries |
 * workspace. */
#include <string.h>

#include "base/fail.h"
#include "plan/builder.h"

static int64_t take(yki_builder *b, int64_t bytes)
{
    int64_t at = b->at;
    b->at += yki_align(bytes);
    b->own += bytes;
    return at;
}

static int optimizer_moments(const yki_plan_options *options)
{
    return options->optimizer == YOKE_SGD ? options->momentum : 2;
}

/* Weights, gradients and optimizer state of the parameters that this stage holds. */
static bool place_parameters(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    const yoke_model *model = plan->options.model;
    bool bf16 = plan->options.precision == YOKE_PRECISION_BF16, trains = !plan->options.inference;
    int *local_of = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)(model->nparameters + 1));
    program->parameters =
        yki_arena_alloc(&plan->arena, sizeof *program->parameters * (size_t)(model->nparameters + 1));
    if (plan->arena.failed) return false;
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
            .parameter = i, .elems = 1, .master = -1, .gradient = -1, .moment1 = -1, .moment2 = -1};
        for (int d = 0; d < value->ndim; d++) {
            bool cut = place->spec.state == YKI_SHARDED && place->spec.dim == d;
            local->dims[d] =
                cut ? yki_spec_share(place->spec, value->dims[d], plan->options.layout.tp, program->tp_rank)
                    : value->dims[d];
            local->elems *= local->dims[d];
        }
        local->decays = !plan->options.decay_matrices || value->ndim >= 2;
        local->counts =
            program->stage == place->first_stage &&
            (place->spec.state == YKI_SHARDED ? program->tp_rank % yki_spec_copies(place->spec) == 0
                                              : program->tp_rank == 0);
    }
    for (int kind = 0; kind < 5; kind++)
        for (int i = 0; i < program->nparameters; i++) {
            yki_local_parameter *local = &program->parameters[i];
            int64_t f32 = 4 * local->elems, before = b->own;
            if (kind == 0) {
                local->weight = take(b, bf16 ? 2 * local->elems : f32);
                program->bytes.weights += b->own - before;
            } else if (kind == 1 && trains) {
                local->gradient = take(b, f32);
                program->bytes.gradients += b->own - before;
            } else if (kind == 2 && bf16 && trains) {
                local->master = take(b, f32);
                program->bytes.optimizer += b->own - before;
            } else if (kind >= 3 && trains && optimizer_moments(&plan->options) > kind - 3) {
                *(kind == 3 ? &local->moment1 : &local->moment2) = take(b, f32);
                program->bytes.optimizer += b->own - before;
            }
        }
    for (int i = 0; i < program->nbuffers; i++) {
        yki_local_parameter *local = &program->parameters[program->nparameters + i];
        int64_t before = b->own;
        local->weight = take(b, 4 * local->elems);
        if (trains) local->gradient = take(b, 4 * local->elems);
        program->bytes.weights += b->own - before;
    }
    program->local_of = local_of;
    return true;
}

static bool place_slots(yki_builder *b, yki_part_program *part, yki_part_storage *storage)
{
    yki_plan *plan = b->plan;
    const yki_action_times *t = b->times;
    int m = plan->microbatches, count;
    yoke_schedule_actions(plan->schedule, b->program->stage, &count);
    int *never = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)m);
    if (!never) return false;
    for (int i = 0; i < m; i++) never[i] = count;
    const int *start[YKI_GROUPS] = {t->forward[part->part], t->forward[part->part], t->input[part->part]};
    const int *end[YKI_GROUPS] = {t->input[part->part], t->weight[part->part], t->weight[part->part]};
    for (int g = 0; g < YKI_GROUPS; g++) {
        int *slot = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)m);
        if (!slot) return false;
        int slots =
            yki_slots_assign(&plan->arena, start[g], plan->options.inference ? never : end[g], m, slot);
        part->slot[g] = slot;
        part->group_slots[g] = slots;
        part->group_bytes[g] = storage->group_bytes[g];
        part->group_offset[g] = b->at;
        b->at += slots * storage->group_bytes[g];
        b->own += slots * (storage->group_own[g] + storage->group_moved[g]);
        b->program->bytes.activations += slots * storage->group_own[g];
        b->program->bytes.movement += slots * storage->group_moved[g];
    }
    return true;
}

/* Areas of gradients on their way from this stage's parts. */
static yoke_status place_sends(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    size_t n = (size_t)plan->nedges + 1;
    const int **slots = yki_arena_alloc(&plan->arena, sizeof *slots * n);
    program->send_offset = yki_arena_alloc(&plan->arena, sizeof *program->send_offset * n);
    program->send_bytes = yki_arena_alloc(&plan->arena, sizeof *program->send_bytes * n);
    int *free_at = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)plan->microbatches);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int e = 0; e < plan->nedges; e++) {
        const yki_edge *edge = &plan->edges[e];
        program->send_offset[e] = -1;
        if (plan->stage_of[edge->to] != program->stage || edge->gradient_sent < 0) continue;
        int *slot = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)plan->microbatches);
        if (!slot) return yki_fail_memory("a plan");
        YKI_TRY(yki_gradient_release(plan, b->times, edge, free_at));
        for (int m = 0; m < plan->microbatches; m++) free_at[m]--;
        int count =
            yki_slots_assign(&plan->arena, b->times->input[edge->to], free_at, plan->microbatches, slot);
        if (count < 0) return yki_fail_memory("a plan");
        int64_t bytes = plan->edge_bytes[program->tp_rank][e] * plan->largest;
        slots[e] = slot;
        program->send_bytes[e] = yki_align(bytes);
        program->send_offset[e] = b->at;
        b->at += count * program->send_bytes[e];
        b->own += count * bytes;
        program->bytes.movement += count * bytes;
    }
    program->send_slot = slots;
    return YOKE_OK;
}

static void find_output(yki_builder *b)
{
    b->program->output_chunk = -1;
    for (int chunk = 0; chunk < b->program->nparts; chunk++) {
        const yki_placed *placed = &b->plan->placed[b->program->tp_rank][b->program->parts[chunk].part];
        if (placed->output < 0) continue;
        yki_placed_node whole = {.op = YKI_OP_RESHAPE};
        b->program->output_chunk = chunk;
        b->program->output =
            yki_make_operand(b, placed, &whole, placed->output, YKI_BODY_F, &b->storage[chunk]);
        b->program->output_spec = placed->output_spec;
    }
}

enum { MOST_SIZES = 96 };

static int add_size(int64_t *sizes, int count, int64_t size)
{
    for (int i = 0; i < count; i++)
        if (sizes[i] == size) return count;
    if (count == MOST_SIZES) return count;
    sizes[count] = size;
    return count + 1;
}

/* Sizes of micro-batches that scratch memory is measured for: all of full and ragged steps, and powers of two
 * for evaluations. Fewer samples may need more: another kernel serves them. */
static int sizes_of(const yki_plan *plan, int64_t sizes[MOST_SIZES])
{
    int count = add_size(sizes, 0, plan->largest);
    const int64_t steps[] = {plan->options.inference ? 0 : plan->options.batch, plan->options.ragged};
    for (int k = 0; k < 2; k++) /* shares differ by one at most, along each axis: the ends show all of them */
        for (int d = 0; d < plan->options.layout.dp && steps[k] > 0; d++)
            for (int m = 0; m < 2; m++) {
                int64_t first;
                int at = m == 0 ? 0 : plan->microbatches - 1;
                count = add_size(sizes, count, yki_plan_samples(plan, steps[k], d, at, &first));
            }
    for (int64_t size = 1; size < plan->largest; size *= 2) count = add_size(sizes, count, size);
    return count;
}

/* Scratch memory of the hungriest kernel. */
static void measure_workspace(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    int64_t sizes[MOST_SIZES];
    int nsizes = sizes_of(plan, sizes);
    for (int c = 0; c < program->nparts; c++)
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            for (int i = 0; i < program->parts[c].body[body].count; i++) {
                const yki_instruction *in = &program->parts[c].body[body].instructions[i];
                for (int k = 0; k < nsizes && in->number >= 0; k++) {
                    yki_launch launch;
                    yki_instruction_shapes(in, sizes[k], &launch);
                    int64_t bytes =
                        (int64_t)plan->options.backend->workspace_bytes(&launch, plan->options.threads);
                    if (bytes > program->workspace_bytes) program->workspace_bytes = bytes;
                }
            }
}

static yoke_status build(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    for (int part = 0; part < plan->nparts; part++) program->nparts += plan->stage_of[part] == program->stage;
    program->parts = yki_arena_alloc(&plan->arena, sizeof *program->parts * (size_t)(program->nparts + 1));
    b->storage = yki_arena_alloc(&plan->arena, sizeof *b->storage * (size_t)(program->nparts + 1));
    if (plan->arena.failed || !place_parameters(b)) return yki_fail_memory("a plan");
    program->actions = yoke_schedule_actions(plan->schedule, program->stage, &program->nactions);
    int64_t temp = 0, temp_own = 0, temp_moved = 0;
    for (int part = 0; part < plan->nparts; part++) {
        if (plan->stage_of[part] != program->stage) continue;
        int chunk = plan->chunk_of[part];
        program->parts[chunk].part = part;
        YKI_TRY(yki_storage_plan(plan, program->tp_rank, part, b->times->split[part], &b->storage[chunk]));
        if (!place_slots(b, &program->parts[chunk], &b->storage[chunk])) return yki_fail_memory("a plan");
        if (b->storage[chunk].temp_bytes > temp) {
            temp = b->storage[chunk].temp_bytes;
            temp_own = b->storage[chunk].temp_own;
            temp_moved = b->storage[chunk].temp_moved;
        }
    }
    YKI_TRY(place_sends(b));
    program->temp_offset = b->at;
    b->at += temp;
    b->own += temp_own + temp_moved;
    program->bytes.activations += temp_own;
    program->bytes.movement += temp_moved;
    for (int chunk = 0; chunk < program->nparts; chunk++)
        if (!yki_make_bodies(b, &program->parts[chunk], &b->storage[chunk])) return yki_fail_memory("a plan");
    find_output(b);
    /* what does not fit anyway is refused without its scratch memory: finding that out may take memory itself
     */
    if (plan->options.device_memory_bytes <= 0 || b->at <= plan->options.device_memory_bytes)
        measure_workspace(b);
    program->workspace_offset = b->at;
    program->total_bytes = b->at + yki_align(program->workspace_bytes);
    program->bytes.workspace = program->total_bytes - b->own;
    return YOKE_OK;
}

yoke_status yki_plan_memory(yki_plan *plan)
{
    yki_action_times times;
    YKI_TRY(yki_action_times_find(plan, &times));
    int tp = plan->options.layout.tp, count = plan->parts.nstages * tp;
    plan->programs = yki_arena_alloc(&plan->arena, sizeof *plan->programs * (size_t)count);
    if (!plan->programs) return yki_fail_memory("a plan");
    for (int i = 0; i < count; i++) {
        plan->programs[i] = (yki_program){.stage = i / tp, .tp_rank = i % tp};
        yki_builder b = {.plan = plan, .program = &plan->programs[i], .times = &times};
        YKI_TRY(build(&b));
    }
    return plan->arena.failed ? yki_fail_memory("a plan") : YOKE_OK;
}
