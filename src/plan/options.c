/* What a run is planned with on this machine: its options, and its share of the machine's cores and memory.
 */
#include "base/fail.h"
#include "comm/cluster.h"
#include "job/job.h"
#include "plan/plan.h"

int yki_plan_ranks(const yoke_model *model, const yoke_layout *layout, bool one_part)
{
    int named = 1; /* of a replica's devices */
    for (int i = 0; i < model->nlayers && !one_part; i++)
        if (model->layers[i].device >= named) named = model->layers[i].device + 1;
    return named > 1 ? yki_devices_product(named, layout->dp, 1, 1) : yki_mesh_of(layout).nranks;
}

/* Ranks that share this machine: of this process, and of all that are on it. */
typedef struct share {
    int here, machine;
} share;

static share share_of(int nranks, bool alone)
{
    int place, here = alone ? nranks : nranks / yki_cluster_size();
    int neighbours = alone ? 1 : yki_cluster_neighbours(&place);
    here = here < 1 ? 1 : here;
    return (share){here, here * neighbours};
}

/* Bytes of a copy of weights and moments, of which dp * cp of the ranks have the same, that a machine's have.
 */
static int64_t copied_bytes(const yoke_model *model, const yoke_train_options *train,
                            const yoke_layout *layout, int nranks, int machine)
{
    int copies = layout->dp * layout->cp, holders = copies > 0 ? nranks / copies : 1;
    int64_t bytes = 0;
    for (int i = 0; i < model->nparameters; i++) {
        const yki_parameter *p = &model->parameters[i];
        int64_t elems = 1;
        for (int d = 0; d < p->ndim; d++) elems *= p->dims[d];
        yki_rule_of rule = yki_optimizer_rule_of(train->optimizer, p->matrix);
        bytes += 4 * elems * (p->buffer || p->frozen ? 1 : 1 + yki_optimizer_moments(train, rule));
    }
    return machine < holders ? bytes / holders * machine : bytes;
}

int64_t yki_machines_memory(bool alone)
{
    int place, processes = alone ? 1 : yki_cluster_size();
    int neighbours = alone ? 1 : yki_cluster_neighbours(&place);
    return yki_backend_of_runs()->memory_bytes(0) / neighbours * processes;
}

const yki_backend_ops *yki_layout_backend(const yoke_layout *layout)
{
    return layout->device_kind == YOKE_CPU ? yki_backend_of_runs()
                                           : yki_backend_get(yki_device_kind_name(layout->device_kind));
}

yoke_status yki_layout_check_devices(const yoke_layout *layout, int nranks)
{
    const yki_backend_ops *backend = yki_layout_backend(layout);
    if (!backend)
        return yki_fail(YOKE_INVALID, "the layout is of %s devices, which this build does not have",
                        yki_device_kind_name(layout->device_kind));
    for (int rank = 0; rank < nranks && backend->check; rank++)
        YKI_TRY(backend->check(yoke_layout_device(layout, rank)));
    return YOKE_OK;
}

/* What a rank of the device that has least may use, where all its ranks share it. */
static int64_t least_memory(const yki_backend_ops *backend, const yoke_layout *layout, int nranks)
{
    int64_t least = INT64_MAX;
    for (int rank = 0; backend && rank < nranks; rank++) {
        int device = yoke_layout_device(layout, rank), ranks = 0;
        for (int other = 0; other < nranks; other++) ranks += yoke_layout_device(layout, other) == device;
        int64_t bytes = backend->memory_bytes(device) / ranks;
        least = bytes < least ? bytes : least;
    }
    return least > 0 ? least : 1;
}

yki_plan_options yki_plan_options_of(const yoke_model *model, const yoke_train_options *train,
                                     const yoke_layout *layout, const yki_plan_use *use)
{
    const yki_backend_ops *backend = yki_layout_backend(layout);
    bool trains = use->purpose == YKI_PURPOSE_TRAIN, of_cpu = layout->device_kind == YOKE_CPU;
    int nranks = yki_plan_ranks(model, layout, use->one_part || !trains);
    share on = share_of(nranks, use->alone);
    int cores = of_cpu ? backend->count() : 1; /* who puts kernels into a GPU's queue has no team */
    int threads = cores / (yki_cluster_bound() ? on.here : on.machine);
    int64_t memory = of_cpu ? backend->memory_bytes(0) : least_memory(backend, layout, nranks);
    if (of_cpu && use->copies && trains) memory -= copied_bytes(model, train, layout, nranks, on.machine);
    if (of_cpu) memory = (memory > nranks ? memory : nranks) / on.machine;
    yki_plan_options options = {.model = model,
                                .layout = *layout,
                                .precision = train->precision,
                                .optimizer = train->optimizer,
                                .orthogonal = yki_optimizer_orthogonal(train),
                                .decay_matrices = train->decay_matrices,
                                .seed = train->seed,
                                .batch = train->batch,
                                .purpose = use->purpose,
                                .one_part = use->one_part,
                                .like = use->like,
                                .threads = layout->threads > 0 ? layout->threads
                                           : threads < 1       ? 1
                                                               : threads,
                                .backend = backend,
                                .device_memory_bytes =
                                    layout->device_memory_bytes > 0 ? layout->device_memory_bytes : memory};
    for (int rule = 0; rule < YKI_RULES && trains; rule++)
        options.moments[rule] = yki_optimizer_moments(train, (yki_rule_of)rule);
    return options;
}
