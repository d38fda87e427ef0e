/* Parts: which layers form one, which stage runs it; and the schedule over them.
 * Layers with `device:` form a part for each run of layers on one device. Otherwise a pipeline of k parts is
 * cut where the costliest part is cheapest, by FLOPs; of equals the first parts get more. */
#include <string.h>

#include "base/fail.h"
#include "plan/passes.h"

/* FLOPs of one sample's forward pass, by layer. */
static void layer_costs(const yoke_model *model, double *cost)
{
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (node->layer < 0 || node->op >= YKI_KERNEL_COUNT) continue;
        yki_launch launch = {.kernel = (yki_kernel)node->op, .attr = &node->attr};
        int inputs = yki_op_inputs(node->op, node->nin);
        for (int k = 0; k < inputs + node->nout; k++) {
            int index = k < inputs ? node->in[k] : node->out[k - inputs];
            yki_view *view = &launch.views[launch.nviews++];
            if (index < 0) continue;
            const yki_value *value = &model->values[index];
            *view = yki_word_view(yki_op_word(node->op, k), &node->attr, YKI_F32, value->per_sample,
                                  value->ndim, value->dims);
        }
        cost[node->layer] += yki_launch_flops(&launch);
    }
}

bool yki_units_of(yki_arena *arena, const yoke_model *model, yki_units *out)
{
    size_t n = (size_t)model->nlayers + 1;
    double *layer = yki_arena_alloc(arena, sizeof *layer * n);
    *out = (yki_units){0, yki_arena_alloc(arena, sizeof *out->cost * n),
                       yki_arena_alloc(arena, sizeof *out->of_layer * n)};
    if (arena->failed) return false;
    layer_costs(model, layer);
    for (int i = 0; i < model->nlayers; i++) {
        out->count += i == 0 || model->layers[i].cut;
        out->of_layer[i] = out->count - 1;
        out->cost[out->count - 1] += layer[i];
    }
    return true;
}

/* An exact table over (units, runs). */
bool yki_cut_evenly(yki_arena *arena, const double *cost, int n, int k, int *run)
{
    double *sum = yki_arena_alloc(arena, sizeof(double) * (size_t)(n + 1));
    double *best = yki_arena_alloc(arena, sizeof(double) * (size_t)(n + 1) * (size_t)(k + 1));
    int *from = yki_arena_alloc(arena, sizeof(int) * (size_t)(n + 1) * (size_t)(k + 1));
    if (arena->failed) return false;
#define AT(i, j) ((size_t)(j) * (size_t)(n + 1) + (size_t)(i))
    for (int i = 0; i < n; i++) sum[i + 1] = sum[i] + cost[i];
    for (int i = 1; i <= n; i++) best[AT(i, 1)] = sum[i];
    for (int j = 2; j <= k; j++)
        for (int i = j; i <= n; i++) {
            best[AT(i, j)] = -1;
            for (int at = j - 1; at < i; at++) {
                double last = sum[i] - sum[at], before = best[AT(at, j - 1)];
                double most = last > before ? last : before;
                if (best[AT(i, j)] < 0 || most <= best[AT(i, j)]) { /* of equals, the longest head */
                    best[AT(i, j)] = most;
                    from[AT(i, j)] = at;
                }
            }
        }
    for (int j = k, end = n; j >= 1; j--) {
        int start = j == 1 ? 0 : from[AT(end, j)];
        for (int i = start; i < end; i++) run[i] = j - 1;
        end = start;
    }
#undef AT
    return true;
}

static yoke_status split_by_cost(yki_plan *plan, int nparts)
{
    const yoke_model *model = plan->options.model;
    int pp = plan->options.layout.pp;
    yki_units units;
    if (!yki_units_of(&plan->arena, model, &units)) return yki_fail_memory("a plan");
    int nunits = units.count, *run = yki_arena_alloc(&plan->arena, sizeof *run * (size_t)nunits);
    if (!run) return yki_fail_memory("a plan");
    if (nparts > nunits)
        return yki_fail(YOKE_INVALID,
                        "pp %d%s needs %d parts of at least one layer each, and the model has %d layers to "
                        "cut between; choose a pp of at most %d",
                        pp, nparts > pp ? ", of more than one part a stage," : "", nparts, nunits,
                        nunits / (nparts / pp) > 0 ? nunits / (nparts / pp) : 1);
    if (!yki_cut_evenly(&plan->arena, units.cost, nunits, nparts, run)) return yki_fail_memory("a plan");
    for (int i = 0; i < model->nlayers; i++) plan->part_of_layer[i] = run[units.of_layer[i]];
    return YOKE_OK;
}

/* Runs of layers on one device become parts; devices become stages. */
static yoke_status parts_by_device(yki_plan *plan)
{
    const yoke_model *model = plan->options.model;
    int nparts = 0, ndevices = 0;
    for (int i = 0; i < model->nlayers; i++)
        if (model->layers[i].device >= ndevices) ndevices = model->layers[i].device + 1;
    int *chunks = yki_arena_alloc(&plan->arena, sizeof *chunks * (size_t)ndevices);
    if (!chunks) return yki_fail_memory("a plan");
    for (int i = 0; i < model->nlayers; i++) {
        int device = model->layers[i].device;
        if (i == 0 || device != model->layers[i - 1].device) {
            plan->stage_of[nparts] = device;
            plan->chunk_of[nparts] = chunks[device]++;
            nparts++;
        }
        plan->part_of_layer[i] = nparts - 1;
    }
    for (int d = 0; d < ndevices; d++)
        if (chunks[d] == 0)
            return yki_fail(
                YOKE_INVALID,
                "no layer is on device %d, but one is on device %d; number the devices from 0 without a gap",
                d, ndevices - 1);
    if (plan->options.layout.pp != 1 || plan->options.layout.tp != 1 || plan->options.layout.cp != 1)
        return yki_fail(YOKE_INVALID,
                        "the model's layers name their devices, and the layout asks for pp %d, tp %d, cp %d "
                        "too; name devices or degrees, not both",
                        plan->options.layout.pp, plan->options.layout.tp, plan->options.layout.cp);
    plan->nparts = nparts;
    plan->options.layout.pp = ndevices;
    return yki_degrees_check(&plan->options.layout);
}

static bool chunked(const char *schedule)
{
    return !strcmp(schedule, "interleaved") || !strcmp(schedule, "zb-v");
}

yoke_status yki_plan_parts(yki_plan *plan)
{
    const yoke_model *model = plan->options.model;
    yoke_layout *layout = &plan->options.layout;
    int64_t asked = 2 * (int64_t)layout->pp * layout->chunks;
    if (asked > INT32_MAX / 2)
        return yki_fail(YOKE_INVALID, "pp %d x chunks %d is more parts than any model has layers", layout->pp,
                        layout->chunks);
    size_t most = (size_t)(model->nlayers > asked ? model->nlayers : asked) + 1;
    plan->stage_of = yki_arena_alloc(&plan->arena, sizeof(int) * most);
    plan->chunk_of = yki_arena_alloc(&plan->arena, sizeof(int) * most);
    plan->part_of_layer = yki_arena_alloc(&plan->arena, sizeof(int) * most);
    if (plan->arena.failed) return yki_fail_memory("a plan");
    if (model->nlayers == 0) return yki_fail(YOKE_INVALID, "the model has no layers");
    bool by_device = false;
    for (int i = 0; i < model->nlayers; i++) by_device |= model->layers[i].device >= 0;
    if (by_device && yki_plan_trains(plan) && !plan->options.one_part) {
        YKI_TRY(parts_by_device(plan));
    } else {
        int chunks = chunked(layout->schedule) || layout->chunks > 1 ? layout->chunks : 1;
        if (!strcmp(layout->schedule, "zb-v")) chunks = 2;
        plan->nparts = layout->pp * chunks;
        YKI_TRY(split_by_cost(plan, plan->nparts));
        for (int part = 0; part < plan->nparts; part++) {
            bool back = !strcmp(layout->schedule, "zb-v") && part >= layout->pp;
            plan->stage_of[part] = back ? 2 * layout->pp - 1 - part : part % layout->pp;
            plan->chunk_of[part] = part / layout->pp;
        }
    }
    plan->parts = (yoke_parts){.nstages = layout->pp,
                               .nparts = plan->nparts,
                               .stage_of = plan->stage_of,
                               .chunk_of = plan->chunk_of};
    plan->mesh = yki_mesh_of(layout);
    return YOKE_OK;
}

static bool names_file(const char *schedule)
{
    return strchr(schedule, '/') || strchr(schedule, '.');
}

yoke_status yki_plan_schedule(yki_plan *plan)
{
    const yoke_layout *layout = &plan->options.layout;
    const char *name = layout->schedule;
    bool looped = plan->nparts != layout->pp * (chunked(name) ? layout->chunks : 1);
    if (!yki_plan_trains(plan))
        YKI_TRY(yoke_schedule_create_over(&plan->schedule, "gpipe", &plan->parts, 1));
    else if (names_file(name))
        YKI_TRY(yoke_schedule_read(&plan->schedule, name, &plan->parts, plan->microbatches));
    else if (looped || (!strcmp(name, "1f1b") || !strcmp(name, "gpipe")))
        YKI_TRY(yoke_schedule_create_over(&plan->schedule, name, &plan->parts, plan->microbatches));
    else
        YKI_TRY(yoke_schedule_create(&plan->schedule, name, layout->pp, plan->microbatches, layout->chunks));
    return yoke_schedule_check(plan->schedule);
}
