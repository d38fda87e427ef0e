/* The life of a rank: device, arena, groups, channels, prepared kernels. Runs on the rank's own thread. */
#include "run/rank.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

/* All ranks split the world by one row after the other. */
static yoke_status open_groups(yki_rank *rank)
{
    const yki_plan *plan = rank->plan;
    rank->groups = calloc((size_t)plan->ngroups + 1, sizeof *rank->groups);
    if (!rank->groups) return yki_fail_memory("groups");
    for (int g = 0; g < plan->ngroups; g++)
        YKI_TRY(yki_comm_split(rank->world, yki_group_first(&plan->mesh, &plan->groups[g], rank->place),
                               yki_group_member(&plan->groups[g], rank->place), &rank->groups[g]));
    if (rank->run->clustered)
        YKI_TRY(yki_comm_split(rank->world, rank->rank == rank->run->first ? 0 : -1, rank->rank,
                               &rank->processes));
    return YOKE_OK;
}

static yoke_status open_channels(yki_rank *rank)
{
    const yki_plan *plan = rank->plan;
    size_t count = yki_channel_index(plan, plan->nedges, false, 0);
    rank->channels = calloc(count + 1, sizeof *rank->channels);
    rank->sends = calloc(count + 1, sizeof *rank->sends);
    rank->handed = calloc(count + 1, sizeof *rank->handed);
    if (!rank->channels || !rank->sends || !rank->handed) return yki_fail_memory("channels");
    for (int e = 0; e < plan->nedges; e++) {
        int stages[2] = {plan->stage_of[plan->edges[e].from], plan->stage_of[plan->edges[e].to]};
        for (int gradient = 0; gradient < 2; gradient++) {
            int from = stages[gradient], to = stages[!gradient], here = rank->place[YKI_AXIS_PP];
            if (from == to || (here != from && here != to)) continue;
            int place[YKI_AXIS_COUNT];
            memcpy(place, rank->place, sizeof place);
            place[YKI_AXIS_PP] = here == from ? to : from;
            int peer = yki_mesh_rank(&plan->mesh, place);
            for (int m = 0; m < plan->microbatches; m++) {
                size_t index = yki_channel_index(plan, e, gradient, m);
                YKI_TRY(
                    yki_channel_open(rank->world, peer, (int)index, here == from, &rank->channels[index]));
            }
        }
    }
    return YOKE_OK;
}

/* The plan reserves what steps need; only a forward pass may find less, which then gets a block of its own.
 */
static yoke_status grow_workspace(yki_rank *rank, int64_t bytes)
{
    if (bytes <= rank->workspace_bytes) return YOKE_OK;
    void *memory;
    YKI_TRY(rank->backend->synchronize(rank->queue)); /* what it has to do yet is done there */
    YKI_TRY(rank->backend->alloc(rank->device, (size_t)bytes, &memory));
    if (rank->workspace != rank->memory + rank->program->workspace_offset)
        rank->backend->free(rank->device, rank->workspace);
    rank->workspace = memory;
    rank->workspace_bytes = bytes;
    return YOKE_OK;
}

static yoke_status prepare_code(yki_rank *rank, const yki_code *code, const yki_variant *variant)
{
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        if (in->kind != YKI_DO_KERNEL) continue;
        yki_launch shapes;
        yki_instruction_shapes(in, variant->samples, &shapes);
        yki_rank_localise(rank, in, &shapes);
        YKI_TRY(grow_workspace(
            rank, (int64_t)rank->backend->workspace_bytes(&shapes, rank->plan->options.threads)));
        YKI_TRY(rank->backend->prepare(rank->device, &shapes, &variant->prepared[in->as.kernel.number]));
    }
    return YOKE_OK;
}

yoke_status yki_rank_prepare(yki_rank *rank, int64_t samples, const yki_variant **variant_out)
{
    for (int i = 0; i < rank->nvariants; i++)
        if (rank->variants[i].samples == samples) {
            *variant_out = &rank->variants[i];
            return YOKE_OK;
        }
    if (rank->nvariants == YKI_MAX_VARIANTS) { /* evaluations of many sizes: the last one makes room */
        rank->nvariants--;
        free(rank->variants[rank->nvariants].prepared);
    }
    yki_variant *variant = &rank->variants[rank->nvariants];
    variant->samples = samples;
    variant->prepared = calloc((size_t)rank->program->nkernels + 1, sizeof *variant->prepared);
    if (!variant->prepared) return yki_fail_memory("kernels");
    rank->nvariants++;
    for (int c = 0; c < rank->program->nparts; c++)
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            YKI_TRY(prepare_code(rank, &rank->program->parts[c].body[body], variant));
    for (int end = 0; end < YKI_END_COUNT; end++)
        YKI_TRY(prepare_code(rank, &rank->program->ends[end], variant));
    *variant_out = variant;
    return YOKE_OK;
}

/* Constants of kernels that the lane does not share with its class. */
static yoke_status find_attrs(yki_rank *rank)
{
    const yki_program *program = rank->program;
    int lane = yki_mesh_lane(&rank->plan->mesh, rank->place), count = 0;
    const yki_begins *begins = rank->plan->lanes[lane].begins;
    if (!begins) return YOKE_OK;
    for (int c = 0; c < program->nparts; c++) count += begins[program->parts[c].part].count;
    rank->attrs = calloc((size_t)program->nkernels + 1, sizeof *rank->attrs);
    rank->own_attrs = calloc((size_t)count + 1, sizeof *rank->own_attrs);
    if (!rank->attrs || !rank->own_attrs) return yki_fail_memory("a rank");
    yki_attr *next = rank->own_attrs;
    for (int c = 0; c < program->nparts; c++)
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            for (int i = 0; i < program->parts[c].body[body].count; i++) {
                const yki_instruction *in = &program->parts[c].body[body].instructions[i];
                if (in->kind == YKI_DO_KERNEL &&
                    yki_lane_attr(rank->plan, lane, program->parts[c].part, in, next))
                    rank->attrs[in->as.kernel.number] = next++;
            }
    return YOKE_OK;
}

/* Every size that micro-batches of a step of `batch` samples have on this rank. */
static yoke_status prepare_step(yki_rank *rank, int64_t batch)
{
    const yki_variant *variant;
    int64_t first;
    for (int m = 0; m < rank->plan->microbatches && batch > 0; m++)
        YKI_TRY(yki_rank_prepare(
            rank, yki_plan_samples(rank->plan, batch, rank->place[YKI_AXIS_DP], m, &first), &variant));
    return YOKE_OK;
}

/* Among the ranks that share its cores: those of its process, where the launcher has dealt the cores out. */
static yoke_status bind(yki_rank *rank)
{
    int place, processes = yki_cluster_neighbours(&place), nlocal = rank->run->nlocal;
    bool shared = rank->run->clustered && !yki_cluster_bound();
    return rank->backend->device_bind(rank->device,
                                      rank->rank - rank->run->first + (shared ? place * nlocal : 0),
                                      shared ? processes * nlocal : nlocal);
}

/* The arena, the queue that works in it, and how others reach it. */
static yoke_status open_memory(yki_rank *rank)
{
    const yki_plan *plan = rank->plan;
    const yoke_model *model = plan->options.model;
    size_t bytes = (size_t)rank->states->total_bytes;
    void *memory;
    YKI_TRY(rank->backend->queue_create(rank->device, &rank->queue));
    YKI_TRY(rank->backend->event_create(rank->device, &rank->uploaded));
    YKI_TRY(rank->backend->alloc(rank->device, bytes, &memory));
    rank->memory = memory;
    YKI_TRY(yki_comm_use(rank->world, rank->queue, memory, bytes, &rank->reached));
    if (plan->options.precision != YOKE_PRECISION_BF16) return YOKE_OK;
    int64_t elems[] = {yki_value_elems(&model->values[model->input]),
                       model->target >= 0 ? yki_value_elems(&model->values[model->target]) : 0};
    int64_t most = (elems[0] > elems[1] ? elems[0] : elems[1]) * plan->largest;
    rank->halves = malloc(sizeof *rank->halves * ((size_t)most + 1));
    return rank->halves ? YOKE_OK : yki_fail_memory("inputs");
}

yoke_status yki_rank_open(yki_rank *rank, void *unused)
{
    (void)unused;
    const yki_plan_options *options = &rank->plan->options;
    int device = yoke_layout_device(&options->layout, rank->rank);
    const yki_program *program = rank->program;
    rank->segments = calloc((size_t)program->nsegments + 1, sizeof *rank->segments);
    rank->pieces = calloc((size_t)program->npieces + 1, sizeof *rank->pieces);
    rank->requests = calloc((size_t)program->nrequests + 1, sizeof *rank->requests);
    size_t nran = (size_t)program->nactions + (size_t)program->nparts + YKI_END_COUNT + YKI_MOST_TOLD;
    rank->ran = calloc(nran, sizeof *rank->ran);
    rank->spans = calloc((size_t)yki_rank_most_spans(program) + (size_t)program->nparts, sizeof *rank->spans);
    if (!rank->segments || !rank->pieces || !rank->requests || !rank->ran || !rank->spans)
        return yki_fail_memory("a rank");
    YKI_TRY(find_attrs(rank));
    YKI_TRY(rank->backend->device_create(device, options->threads, &rank->device));
    if (rank->started) YKI_TRY(bind(rank));
    YKI_TRY(open_memory(rank));
    rank->workspace = rank->memory + rank->program->workspace_offset;
    rank->workspace_bytes = rank->program->workspace_bytes;
    YKI_TRY(open_groups(rank));
    YKI_TRY(open_channels(rank));
    YKI_TRY(prepare_step(rank, options->batch));
    return prepare_step(rank, rank->run->ragged);
}

void yki_rank_close(yki_rank *rank)
{
    size_t count = rank->channels ? yki_channel_index(rank->plan, rank->plan->nedges, false, 0) : 0;
    for (size_t i = 0; i < count; i++) yki_channel_close(rank->channels[i]);
    for (int g = 0; g < rank->plan->ngroups && rank->groups; g++) yki_comm_destroy(rank->groups[g]);
    free(rank->groups);
    yki_comm_destroy(rank->processes);
    yki_comm_destroy(rank->world);
    yki_comm_memory_destroy(rank->reached);
    for (int i = 0; i < rank->nvariants; i++) free(rank->variants[i].prepared);
    if (rank->device) {
        rank->backend->queue_destroy(rank->queue);
        rank->backend->event_destroy(rank->uploaded);
        if (rank->workspace_bytes > rank->program->workspace_bytes)
            rank->backend->free(rank->device, rank->workspace);
        rank->backend->free(rank->device, rank->memory);
        rank->backend->device_destroy(rank->device);
    }
    free(rank->channels);
    free(rank->sends);
    free(rank->requests);
    free(rank->handed);
    free(rank->segments);
    free(rank->pieces);
    free(rank->ran);
    free(rank->spans);
    free(rank->halves);
    free(rank->attrs);
    free(rank->own_attrs);
}
