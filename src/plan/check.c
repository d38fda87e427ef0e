/* check: what a device cannot hold, named with its layers. (What layouts cannot do is refused by the pass
 * that meets it: parts.c, the operators' cuts, the schedule's checker.) */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "plan/passes.h"

void yki_plan_stage_layers(const yki_plan *plan, int stage, char *text, int size)
{
    const yoke_model *model = plan->options.model;
    int length = 0;
    text[0] = '\0';
    for (int i = 0, end; i < model->nlayers && length < size - 1; i = end) {
        end = i + 1;
        if (plan->stage_of[plan->part_of_layer[i]] != stage) continue;
        while (end < model->nlayers && plan->part_of_layer[end] == plan->part_of_layer[i]) end++;
        const char *first = model->layers[i].name, *last = model->layers[end - 1].name;
        int n = end == i + 1
                    ? snprintf(text + length, (size_t)(size - length), "%s%s", length ? ", " : "", first)
                    : snprintf(text + length, (size_t)(size - length), "%s%s .. %s", length ? ", " : "",
                               first, last);
        length += n;
    }
}

int64_t yki_plan_total_bytes(const yki_plan *plan)
{
    int64_t total = 0, replicas = plan->mesh.degree[YKI_AXIS_DP] / plan->shards;
    for (int i = 0; i < yki_plan_programs(plan); i++)
        for (int c = 0; c < plan->nshard_classes; c++)
            total += plan->states[i * plan->nshard_classes + c].total_bytes * plan->shard_classes[c].count *
                     replicas * plan->lane_classes[plan->programs[i].lane_class].count;
    return total;
}

/* "1.50 MiB (1572864 bytes)"; of few bytes the number alone. */
static const char *exactly(char buffer[64], int64_t bytes)
{
    char size[24];
    yki_size_print(size, (double)bytes);
    snprintf(buffer, 64, bytes < 1024 ? "%s" : "%s (%lld bytes)", size, (long long)bytes);
    return buffer;
}

/* Each device may fit in what it was given, and all of them not in what there is. */
static yoke_status check_all(const yki_plan *plan)
{
    int64_t most = plan->options.all_memory_bytes, total = yki_plan_total_bytes(plan);
    char wanted[64], has[64];
    if (most <= 0 || total <= most) return YOKE_OK;
    return yki_fail(
        YOKE_DOES_NOT_FIT,
        "%d device%s would need %s together, and all the memory there is for them is %s; --dry-run plans for "
        "devices that are not here",
        plan->mesh.nranks, plan->mesh.nranks == 1 ? "" : "s", exactly(wanted, total), exactly(has, most));
}

/* The rank that holds most, the first of equals: what it lacks is what the layout lacks. */
static int fullest(const yki_plan *plan)
{
    int most = 0;
    for (int rank = 1; rank < plan->mesh.nranks; rank++)
        if (yki_rank_states(plan, rank)->total_bytes > yki_rank_states(plan, most)->total_bytes) most = rank;
    return most;
}

yoke_status yki_plan_check(yki_plan *plan)
{
    const yki_plan_options *options = &plan->options;
    int64_t most = options->device_memory_bytes;
    int rank = most > 0 ? fullest(plan) : 0;
    const yki_states *states = yki_rank_states(plan, rank);
    if (most > 0 && states->total_bytes > most) {
        const yki_program *program = yki_plan_program(plan, rank);
        char layers[96], wanted[64], has[64], missing[64], weights[24], gradients[24], state[24],
            activations[24], rest[24], cache[24], cached[48] = "";
        yki_plan_stage_layers(plan, program->stage, layers, sizeof layers);
        char device[YOKE_DEVICE_NAME_BYTES];
        yoke_layout_device_name(&options->layout, rank, device);
        if (options->described)
            snprintf(device, sizeof device, "device %d", yoke_layout_device(&options->layout, rank));
        const yoke_bytes *b = &states->bytes;
        if (b->cache > 0)
            snprintf(cached, sizeof cached, "keys and values %s, ", yki_size_print(cache, (double)b->cache));
        return yki_fail(
            YOKE_DOES_NOT_FIT,
            "%s%s holds layers %s and would need %s, but may use %s: %s short; weights %s, gradients %s, "
            "optimizer %s, activations %s, %smovement and workspace %s",
            device, rank == 0 && plan->mesh.nranks > 1 ? ", the first device," : "", layers,
            exactly(wanted, states->total_bytes), exactly(has, most),
            exactly(missing, states->total_bytes - most), yki_size_print(weights, (double)b->weights),
            yki_size_print(gradients, (double)b->gradients), yki_size_print(state, (double)b->optimizer),
            yki_size_print(activations, (double)b->activations), cached,
            yki_size_print(rest, (double)(b->movement + b->workspace)));
    }
    return check_all(plan);
}
