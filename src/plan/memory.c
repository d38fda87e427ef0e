/* memory: programs with an offset for every buffer. One arena a device:
 * slots and cache of each part | gradients on their way | temporaries | workspace | totals | states
 * (states.c). */
#include <string.h>

#include "base/fail.h"
#include "plan/builder.h"
#include "plan/matrices.h"
#include "plan/passes.h"
#include "plan/tail.h"

static bool place_slots(yki_builder *b, yki_part_program *part, yki_part_storage *storage)
{
    yki_plan *plan = b->plan;
    const yki_action_times *t = b->times;
    int m = plan->microbatches, count;
    yoke_schedule_actions(plan->schedule, b->program->stage, &count);
    int *never = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)m);
    if (!never) return false;
    for (int i = 0; i < m; i++) never[i] = count;
    const int *start[YKI_AREAS] = {t->forward[part->part], t->forward[part->part], t->input[part->part]};
    const int *end[YKI_AREAS] = {t->input[part->part], t->weight[part->part], t->weight[part->part]};
    for (int g = 0; g < YKI_AREAS; g++) {
        int *slot = yki_arena_alloc(&plan->arena, sizeof(int) * (size_t)m);
        if (!slot) return false;
        int slots =
            yki_slots_assign(&plan->arena, start[g], !yki_plan_trains(plan) ? never : end[g], m, slot);
        part->slot[g] = slot;
        part->area_slots[g] = slots;
        part->area_bytes[g] = storage->area_bytes[g];
        part->area_offset[g] = b->at;
        b->at += slots * storage->area_bytes[g];
        b->program->bytes.activations += slots * storage->area_own[g];
        b->program->bytes.movement += slots * storage->area_moved[g];
    }
    return true;
}

/* What the part keeps from step to step. */
static void place_cache(yki_builder *b, const yki_part_program *part)
{
    yki_placed *placed = &b->plan->placed[b->program->lane_class][part->part];
    for (int i = 0; i < placed->nvalues; i++) {
        yki_placed_value *value = &placed->values[i];
        if (!value->cached) continue;
        int64_t bytes = yki_placed_elems(value) * (int64_t)yki_dtype_bytes(yki_placed_dtype(b->plan, value));
        value->offset = b->at;
        b->at += yki_align(bytes);
        b->program->bytes.cache += bytes;
    }
}

/* Areas of gradients on their way from this stage's parts. */
static yoke_status place_sends(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    size_t n = (size_t)plan->nedges + 1;
    program->send_offset = yki_arena_alloc(&plan->arena, sizeof *program->send_offset * n);
    program->send_bytes = yki_arena_alloc(&plan->arena, sizeof *program->send_bytes * n);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    for (int e = 0; e < plan->nedges; e++) {
        const yki_edge *edge = &plan->edges[e];
        program->send_offset[e] = -1;
        if (plan->stage_of[edge->to] != program->stage || edge->gradient_sent < 0) continue;
        int64_t bytes = plan->edge_bytes[program->lane_class][e] * plan->largest;
        program->send_bytes[e] = yki_align(bytes);
        program->send_offset[e] = b->at;
        b->at += b->sends->count[e] * program->send_bytes[e];
        program->bytes.movement += b->sends->count[e] * bytes;
    }
    program->send_slot = b->sends->slot;
    return YOKE_OK;
}

static void find_output(yki_builder *b)
{
    b->program->output_chunk = -1;
    for (int chunk = 0; chunk < b->program->nparts; chunk++) {
        const yki_placed *placed = &b->plan->placed[b->program->lane_class][b->program->parts[chunk].part];
        if (placed->output < 0) continue;
        b->program->output_chunk = chunk;
        b->program->output =
            yki_make_operand(b, placed, placed->output, NULL, NULL, YKI_BODY_F, &b->storage[chunk]);
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
    const int64_t steps[] = {!yki_plan_trains(plan) ? 0 : plan->options.batch, plan->options.ragged};
    int dp = plan->options.layout.dp;
    for (int k = 0; k < 2; k++) /* shares differ by one at most, along each axis: the ends show all of them */
        for (int end = 0; end < 4 && steps[k] > 0; end++) {
            int64_t first;
            int d = end < 2 ? 0 : dp - 1, m = end % 2 == 0 ? 0 : plan->microbatches - 1;
            count = add_size(sizes, count, yki_plan_samples(plan, steps[k], d, m, &first));
        }
    int64_t most = plan->largest * dp < plan->options.batch ? plan->largest * dp : plan->options.batch;
    const int64_t parts[] = {most < plan->options.evaluated ? most : 0,
                             most > 0 ? plan->options.evaluated % most : 0};
    for (int k = 0; k < 2; k++) /* an evaluation's full passes, and its last one; none allocates */
        for (int d = 0; d < dp && parts[k] > 0; d += dp > 1 ? dp - 1 : 1)
            count = add_size(sizes, count, yki_share(parts[k], dp, d));
    for (int64_t size = 1; size < plan->largest; size *= 2) count = add_size(sizes, count, size);
    return count;
}

static void measure(yki_builder *b, const yki_launch *launch)
{
    const yki_plan_options *options = &b->plan->options;
    int64_t bytes = (int64_t)options->backend->workspace_bytes(launch, options->threads);
    if (bytes > b->program->workspace_bytes) b->program->workspace_bytes = bytes;
}

/* On each of the parameters, as if all of it were the rank's own. */
static void measure_states(yki_builder *b, const yki_instruction *in)
{
    const struct yki_do_states *states = &in->as.states;
    for (int i = 0; i < states->nparameters; i++) {
        yki_launch launch = {.kernel = (yki_kernel)in->op, .nviews = states->ntensors};
        for (int v = 0; v < states->ntensors; v++)
            launch.views[v] = (yki_view){
                .ndim = 1, .dims = {b->program->parameters[states->parameters[i]].elems}, .dtype = YKI_F32};
        measure(b, &launch);
    }
}

static void measure_code(yki_builder *b, const yki_code *code, const int64_t *sizes, int nsizes)
{
    for (int i = 0; i < code->count; i++)
        if (code->instructions[i].kind == YKI_DO_STATES) measure_states(b, &code->instructions[i]);
    for (int i = 0; i < code->count; i++)
        for (int k = 0; k < nsizes && code->instructions[i].kind == YKI_DO_KERNEL; k++) {
            yki_launch launch;
            yki_instruction_shapes(&code->instructions[i], sizes[k], &launch);
            measure(b, &launch);
        }
}

/* Scratch memory of the hungriest kernel. */
static void measure_workspace(yki_builder *b)
{
    const yki_program *program = b->program;
    int64_t sizes[MOST_SIZES];
    int nsizes = sizes_of(b->plan, sizes);
    for (int c = 0; c < program->nparts; c++)
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            measure_code(b, &program->parts[c].body[body], sizes, nsizes);
    for (int end = 0; end < YKI_END_COUNT; end++) measure_code(b, &program->ends[end], sizes, 1);
}

/* In the order in which gradients are complete, which is the order of buckets. A schedule that holds has a
 * last action of each chunk. */
static bool make_all_bodies(yki_builder *b)
{
    yki_program *program = b->program;
    for (int i = 0; i < program->nactions; i++) {
        int chunk = program->actions[i].chunk;
        if (program->parts[chunk].last_weight == i &&
            !yki_make_bodies(b, &program->parts[chunk], &b->storage[chunk]))
            return false;
    }
    return true;
}

static yoke_status build(yki_builder *b)
{
    yki_plan *plan = b->plan;
    yki_program *program = b->program;
    for (int part = 0; part < plan->nparts; part++) program->nparts += plan->stage_of[part] == program->stage;
    program->parts = yki_arena_alloc(&plan->arena, sizeof *program->parts * (size_t)(program->nparts + 1));
    b->storage = yki_arena_alloc(&plan->arena, sizeof *b->storage * (size_t)(program->nparts + 1));
    if (plan->arena.failed) return yki_fail_memory("a plan");
    YKI_TRY(yki_plan_parameters(plan, program));
    program->actions = yoke_schedule_actions(plan->schedule, program->stage, &program->nactions);
    int64_t temp = 0, temp_own = 0, temp_moved = 0;
    for (int part = 0; part < plan->nparts; part++) {
        if (plan->stage_of[part] != program->stage) continue;
        int chunk = plan->chunk_of[part];
        program->parts[chunk].part = part;
        YKI_TRY(yki_storage_plan(plan, program->lane_class, part, b->times->split[part], &b->storage[chunk]));
        if (!place_slots(b, &program->parts[chunk], &b->storage[chunk])) return yki_fail_memory("a plan");
        place_cache(b, &program->parts[chunk]);
        if (b->storage[chunk].temp_bytes > temp) {
            temp = b->storage[chunk].temp_bytes;
            temp_own = b->storage[chunk].temp_own;
            temp_moved = b->storage[chunk].temp_moved;
        }
    }
    YKI_TRY(place_sends(b));
    program->temp_offset = b->at;
    int64_t matrices = yki_matrices_bytes(b); /* when bodies need none of it */
    b->at += temp > matrices ? temp : matrices;
    program->bytes.activations += temp_own;
    program->bytes.movement += temp_moved;
    for (int chunk = 0; chunk < program->nparts; chunk++) yki_find_bodies(b, &program->parts[chunk]);
    if (!make_all_bodies(b)) return yki_fail_memory("a plan");
    yki_make_ends(b);
    yki_find_first_writers(b);
    find_output(b);
    /* what does not fit anyway is refused without its scratch memory: finding that out may take memory itself
     */
    if (plan->options.device_memory_bytes <= 0 || b->at <= plan->options.device_memory_bytes)
        measure_workspace(b);
    program->workspace_offset = b->at;
    program->totals_offset = b->at + yki_align(program->workspace_bytes);
    program->states_offset = program->totals_offset + yki_align(YKI_TOTALS * (int64_t)sizeof(double));
    return YOKE_OK;
}

yoke_status yki_plan_memory(yki_plan *plan)
{
    yki_action_times times;
    yki_send_slots sends;
    YKI_TRY(yki_action_times_find(plan, &times));
    YKI_TRY(yki_gradient_slots(plan, &times, &sends));
    int classes = plan->nlane_classes, count = yki_plan_programs(plan);
    plan->programs = yki_arena_alloc(&plan->arena, sizeof *plan->programs * (size_t)count);
    if (!plan->programs) return yki_fail_memory("a plan");
    for (int i = 0; i < count; i++) {
        int lane = plan->lane_classes[i % classes].first;
        plan->programs[i] = (yki_program){.stage = i / classes,
                                          .lane_class = i % classes,
                                          .lane = lane,
                                          .tp_rank = lane % plan->mesh.degree[YKI_AXIS_TP]};
        yki_builder b = {.plan = plan, .program = &plan->programs[i], .times = &times, .sends = &sends};
        YKI_TRY(build(&b));
    }
    return plan->arena.failed ? yki_fail_memory("a plan") : YOKE_OK;
}
