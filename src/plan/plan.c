/* The compiler's front: options checked, passes run in their order, and what a plan answers. */
#include "plan/passes.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"

/* Bytes that can be counted: all samples of a batch, of each tensor. */
static yoke_status check_sizes(const yki_plan_options *options)
{
    const int64_t most = INT64_C(1) << 46;
    const yoke_model *model = options->model;
    for (int i = 0; i < model->nvalues; i++) {
        int64_t elems = yki_value_elems(&model->values[i]);
        if (model->values[i].per_sample && elems > most / options->batch)
            return yki_fail(YOKE_INVALID,
                            "a batch of %lld samples with a tensor of %lld elements each is more than "
                            "can be counted",
                            (long long)options->batch, (long long)elems);
    }
    return YOKE_OK;
}

/* Devices that a layout names: as many as it needs, and such as there can be. The plan keeps a copy. */
static yoke_status check_devices(yki_plan *plan)
{
    yoke_layout *l = &plan->options.layout;
    if (!yki_plan_trains(plan)) { /* where that runs is its caller's matter */
        l->ndevices = 0;
        l->devices = NULL;
    }
    if (l->ndevices == 0) return YOKE_OK;
    if (l->ndevices != plan->mesh.nranks)
        return yki_fail(YOKE_INVALID, "%d device%s named, and the layout needs %d", l->ndevices,
                        l->ndevices == 1 ? " is" : "s are", plan->mesh.nranks);
    for (int i = 0; i < l->ndevices && l->devices; i++)
        if (l->devices[i] < 0) return yki_fail(YOKE_INVALID, "device %d is none", l->devices[i]);
    if (l->devices)
        l->devices = yki_arena_own(&plan->arena, l->devices, sizeof *l->devices * (size_t)l->ndevices);
    return YOKE_OK;
}

yoke_status yki_degrees_check(const yoke_layout *l)
{
    if (l->dp < 1 || l->tp < 1 || l->pp < 1 || l->cp < 1 || l->microbatches < 1 || l->chunks < 1)
        return yki_fail(YOKE_INVALID,
                        "dp %d, tp %d, pp %d, cp %d, microbatches %d, chunks %d: each must be at least 1",
                        l->dp, l->tp, l->pp, l->cp, l->microbatches, l->chunks);
    if (yki_devices_product(l->dp, l->tp, l->pp, l->cp) > YOKE_MAX_DEVICES)
        return yki_fail(YOKE_INVALID, "dp %d x tp %d x pp %d x cp %d is more than %d devices", l->dp, l->tp,
                        l->pp, l->cp, YOKE_MAX_DEVICES);
    return YOKE_OK;
}

static bool has_sequences(const yoke_model *model)
{
    const yki_value *input = &model->values[model->input];
    return input->role == YKI_ROLE_INDEX || input->ndim == 2;
}

/* Over how many neighbours along dp zero deals states; 0: dp_shard and dp_replicate do not make dp. */
static int shards_of(const yoke_layout *l)
{
    if (l->dp_shard < 0 || l->dp_replicate < 0) return 0;
    int shards = l->dp_shard > 0 ? l->dp_shard : l->dp_replicate > 0 ? l->dp / l->dp_replicate : l->dp;
    int replicas = l->dp_replicate > 0 ? l->dp_replicate : shards > 0 ? l->dp / shards : 0;
    return (int64_t)shards * replicas == l->dp ? shards : 0;
}

static yoke_status check_trains(const yoke_model *model)
{
    int frozen = 0;
    for (int i = 0; i < model->nparameters; i++) {
        if (!model->parameters[i].frozen && !model->parameters[i].buffer) return YOKE_OK;
        frozen += model->parameters[i].frozen;
    }
    return frozen == 0
               ? YOKE_OK
               : yki_fail(YOKE_INVALID,
                          "train.freeze leaves no weight to train: all %d tensors of the model are frozen",
                          frozen);
}

static yoke_status check_options(const yki_plan_options *options)
{
    const yoke_layout *l = &options->layout;
    YKI_TRY(yki_degrees_check(l));
    if (l->sp && l->tp > 1 && !has_sequences(options->model))
        return yki_fail(YOKE_INVALID,
                        "sp: sequence parallelism cuts samples of tokens or of rows, [positions, width], and "
                        "this model's have neither; choose sp false");
    enum { MOST_MICROBATCHES = 1 << 16 };
    if (l->microbatches > MOST_MICROBATCHES)
        return yki_fail(YOKE_INVALID, "microbatches %d: %d at most", l->microbatches, MOST_MICROBATCHES);
    if (l->threads < 0 || l->device_memory_bytes < 0 || l->bucket_bytes < 0)
        return yki_fail(YOKE_INVALID, "threads %d, device_memory %lld, bucket %lld: none may be below 0",
                        l->threads, (long long)l->device_memory_bytes, (long long)l->bucket_bytes);
    if (l->zero < 0 || l->zero > 3 || (unsigned)l->recompute > YOKE_RECOMPUTE_FULL ||
        (unsigned)l->cp_kind > YOKE_CP_ULYSSES)
        return yki_fail(YOKE_INVALID,
                        "zero %d, recompute %d, cp_kind %d: zero is 0 to 3, recompute none, selective or "
                        "full, cp_kind ring or ulysses",
                        l->zero, (int)l->recompute, (int)l->cp_kind);
    if (shards_of(l) == 0)
        return yki_fail(YOKE_INVALID,
                        "dp %d cannot be dp_shard %d x dp_replicate %d (0: what the other leaves)", l->dp,
                        l->dp_shard, l->dp_replicate);
    if (l->zero == 0 && l->dp_shard > 1)
        return yki_fail(
            YOKE_INVALID,
            "dp_shard %d says over how many ranks zero deals states, but zero is 0; choose zero 1, "
            "2 or 3",
            l->dp_shard);
    YKI_TRY(check_sizes(options));
    if (options->purpose == YKI_PURPOSE_TRAIN) YKI_TRY(check_trains(options->model));
    int64_t parts = (int64_t)l->dp * l->microbatches;
    if (options->purpose == YKI_PURPOSE_TRAIN && options->batch < parts)
        return yki_fail(YOKE_INVALID,
                        "a batch of %lld samples is smaller than dp %d x microbatches %d = %lld: every "
                        "micro-batch needs a sample",
                        (long long)options->batch, l->dp, l->microbatches, (long long)parts);
    return YOKE_OK;
}

static yoke_status run_passes(yki_plan *plan)
{
    static yoke_status (*const passes[])(yki_plan *) = {yki_plan_parts,  check_devices,     yki_plan_lanes,
                                                        yki_plan_groups, yki_plan_schedule, yki_plan_memory,
                                                        yki_plan_states, yki_plan_check,    yki_plan_prove};
    yoke_status status = YOKE_OK;
    for (size_t i = 0; i < sizeof passes / sizeof *passes && status == YOKE_OK; i++) status = passes[i](plan);
    return status;
}

/* The passes take all they keep from the plan's arena, in hundreds of places; where it gives no more, none
 * goes on. */
static yoke_status compile(yki_plan *plan)
{
    jmp_buf escape;
    if (setjmp(escape) != 0) return yki_fail_memory("a plan");
    plan->arena.escape = plan->lane_arena.escape = &escape;
    yoke_status status = run_passes(plan);
    plan->arena.escape = plan->lane_arena.escape = NULL;
    return status;
}

yoke_status yki_plan_create(const yki_plan_options *options, yki_plan **plan_out)
{
    YKI_TRY(yki_backend_check());
    if (!options->backend)
        return yki_fail(YOKE_INVALID, "the layout is of %s devices, which this build does not have",
                        yki_device_kind_name(options->layout.device_kind));
    YKI_TRY(check_options(options));
    yki_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return yki_fail_memory("a plan");
    plan->options = *options;
    plan->shards =
        options->layout.zero > 0 && options->purpose == YKI_PURPOSE_TRAIN ? shards_of(&options->layout) : 1;
    plan->zero = plan->shards > 1 ? options->layout.zero : 0;
    plan->microbatches = options->purpose != YKI_PURPOSE_TRAIN ? 1 : options->layout.microbatches;
    int64_t first;
    plan->largest = yki_plan_samples(plan, options->batch, 0, 0, &first);
    yoke_status status = compile(plan);
    if (status != YOKE_OK) {
        yki_plan_destroy(plan);
        return status;
    }
    *plan_out = plan;
    return YOKE_OK;
}

void yki_plan_destroy(yki_plan *plan)
{
    if (!plan) return;
    yoke_schedule_destroy(plan->schedule);
    yki_arena_release(&plan->arena);
    yki_arena_release(&plan->lane_arena);
    free(plan);
}

const yki_program *yki_plan_program(const yki_plan *plan, int rank)
{
    int place[YKI_AXIS_COUNT];
    yki_mesh_place(&plan->mesh, rank, place);
    const yki_lane *lane = &plan->lanes[yki_mesh_lane(&plan->mesh, place)];
    return &plan->programs[place[YKI_AXIS_PP] * plan->nlane_classes + lane->class];
}

yki_rule_of yki_plan_rule_of(const yki_plan *plan, int parameter)
{
    return yki_optimizer_rule_of(plan->options.optimizer, plan->options.model->parameters[parameter].matrix);
}

const yki_rule *yki_plan_rule(const yki_plan *plan, int parameter)
{
    return &yki_optimizers[plan->options.optimizer].rules[yki_plan_rule_of(plan, parameter)];
}

int64_t yki_part_samples(int64_t batch, int dp, int microbatches, int d, int m, int64_t *first_out)
{
    int64_t share = yki_share(batch, dp, d);
    *first_out = yki_share_start(batch, dp, d) + yki_share_start(share, microbatches, m);
    return yki_share(share, microbatches, m);
}

int64_t yki_plan_samples(const yki_plan *plan, int64_t batch, int d, int m, int64_t *first_out)
{
    const yki_like *like = &plan->options.like;
    int64_t first, here = 0;
    if (like->dp == 0)
        return yki_part_samples(batch, plan->options.layout.dp, plan->microbatches, d, m, first_out);
    if (like->apart) {
        int each = plan->microbatches / like->dp;
        return yki_part_samples(batch, like->dp, each, m / each, m % each, first_out);
    }
    *first_out = 0;
    for (int k = 0; k <= m; k++) {
        *first_out += here;
        here = 0;
        for (int r = 0; r < like->dp; r++)
            here += yki_part_samples(batch, like->dp, plan->microbatches, r, k, &first);
    }
    return here;
}
