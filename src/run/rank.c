/* The life of a rank: device, arena, groups, channels, prepared kernels. Runs on the rank's own thread. */
#include "run/rank.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

/* Groups along each axis: ranks that agree in all other places. */
static yoke_status open_groups(yki_rank *rank)
{
    const yki_mesh *mesh = &rank->plan->mesh;
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) {
        int place[YKI_AXIS_COUNT];
        memcpy(place, rank->place, sizeof place);
        place[axis] = 0;
        YKI_TRY(
            yki_comm_split(rank->world, yki_mesh_rank(mesh, place), rank->place[axis], &rank->axis[axis]));
    }
    int d = rank->place[YKI_AXIS_DP], shards = rank->plan->shards;
    YKI_TRY(yki_comm_split(rank->axis[YKI_AXIS_DP], d / shards, d, &rank->shards));
    YKI_TRY(yki_comm_split(rank->axis[YKI_AXIS_DP], d % shards, d, &rank->replicas));
    rank->sums = calloc((size_t)rank->plan->nsums + 1, sizeof *rank->sums);
    if (!rank->sums) return yki_fail_memory("groups");
    for (int k = 0; k < rank->plan->nsums; k++) {
        int here = rank->place[YKI_AXIS_TP];
        YKI_TRY(yki_comm_split(rank->axis[YKI_AXIS_TP], here / rank->plan->sums[k], here, &rank->sums[k]));
    }
    rank->ties = calloc((size_t)rank->plan->nties + 1, sizeof *rank->ties);
    if (!rank->ties) return yki_fail_memory("groups");
    for (int t = 0; t < rank->plan->nties; t++) {
        int at[YKI_AXIS_COUNT], here = rank->place[YKI_AXIS_PP];
        memcpy(at, rank->place, sizeof at);
        at[YKI_AXIS_PP] = 0;
        int colour = rank->plan->ties[t][here] ? yki_mesh_rank(mesh, at) : -1;
        YKI_TRY(yki_comm_split(rank->world, colour, here, &rank->ties[t]));
    }
    if (rank->run->processes)
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
    YKI_TRY(rank->backend->alloc(rank->device, (size_t)bytes, &memory));
    if (rank->workspace != rank->memory + rank->program->workspace_offset)
        rank->backend->free(rank->device, rank->workspace);
    rank->workspace = memory;
    rank->workspace_bytes = bytes;
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
            for (int i = 0; i < rank->program->parts[c].body[body].count; i++) {
                const yki_instruction *in = &rank->program->parts[c].body[body].instructions[i];
                if (in->number < 0) continue;
                yki_launch shapes;
                yki_instruction_shapes(in, samples, &shapes);
                YKI_TRY(grow_workspace(
                    rank, (int64_t)rank->backend->workspace_bytes(&shapes, rank->plan->options.threads)));
                YKI_TRY(rank->backend->prepare(rank->device, &shapes, &variant->prepared[in->number]));
            }
    *variant_out = variant;
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
    bool shared = rank->run->processes && !yki_cluster_bound();
    return rank->backend->device_bind(rank->device,
                                      rank->rank - rank->run->first + (shared ? place * nlocal : 0),
                                      shared ? processes * nlocal : nlocal);
}

yoke_status yki_rank_open(yki_rank *rank)
{
    const yki_plan_options *options = &rank->plan->options;
    int device = options->layout.ndevices > rank->rank ? options->layout.devices[rank->rank] : rank->rank;
    int64_t segments = 1;
    for (int i = 0; i < rank->program->nparameters; i++) segments += yki_rank_pieces(rank, i);
    rank->segments = calloc((size_t)segments, sizeof *rank->segments);
    size_t bucketed = (size_t)rank->program->nbucketed + 1;
    rank->bucket_segments = calloc(bucketed, sizeof *rank->bucket_segments);
    rank->bucket_pieces = calloc(bucketed, sizeof *rank->bucket_pieces);
    rank->pieces =
        calloc((size_t)(rank->program->nparameters + rank->program->npieces) + 1, sizeof *rank->pieces);
    rank->requests = calloc((size_t)rank->program->nrequests + 1, sizeof *rank->requests);
    rank->written = calloc((size_t)rank->program->nparameters + (size_t)rank->program->nbuffers + 1,
                           sizeof *rank->written);
    rank->ran =
        calloc((size_t)rank->program->nactions + (size_t)rank->program->nparts + 1, sizeof *rank->ran);
    if (!rank->bucket_segments || !rank->bucket_pieces || !rank->segments || !rank->pieces ||
        !rank->written || !rank->ran || !rank->requests)
        return yki_fail_memory("a rank");
    YKI_TRY(rank->backend->device_create(device, options->threads, &rank->device));
    if (rank->started) YKI_TRY(bind(rank));
    void *memory;
    YKI_TRY(rank->backend->alloc(rank->device, (size_t)rank->states->total_bytes, &memory));
    rank->memory = memory;
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
    for (int k = 0; k < rank->plan->nsums && rank->sums; k++) yki_comm_destroy(rank->sums[k]);
    free(rank->sums);
    yki_comm_destroy(rank->shards);
    yki_comm_destroy(rank->replicas);
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) yki_comm_destroy(rank->axis[axis]);
    for (int t = 0; t < rank->plan->nties && rank->ties; t++) yki_comm_destroy(rank->ties[t]);
    free(rank->ties);
    yki_comm_destroy(rank->processes);
    yki_comm_destroy(rank->world);
    for (int i = 0; i < rank->nvariants; i++) free(rank->variants[i].prepared);
    if (rank->device) {
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
    free(rank->bucket_segments);
    free(rank->bucket_pieces);
    free(rank->written);
    free(rank->ran);
}
