/* Rates of kernels and links. A kernel takes as long as its arithmetic at the share of the peak that a
 * product of so much work reaches, or as its memory traffic, whichever is slower. Movements over a group are
 * rings that follow the levels: each boundary is crossed once in each direction by all that a member receives
 * (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009). */
#include "predict/simulate/cost.h"

#include <math.h>
#include <string.h>

#include "backend/signature.h"
#include "base/fail.h"

yoke_status yki_costs_of(const yoke_machine *machine, const yki_plan *plan, yki_costs *costs_out)
{
    const char *wanted = plan->options.precision == YOKE_PRECISION_BF16 ? "bf16" : "f32";
    double rate;
    YKI_TRY(yoke_machine_rate(machine, wanted, &rate));
    int cores = machine->device.cores, threads = plan->options.layout.threads;
    if (threads == 0) threads = cores / plan->mesh.nranks;
    *costs_out = (yki_costs){.machine = machine,
                             .product = {rate, rate},
                             .threads = threads > 1 ? threads : 1,
                             .precision = {yki_precision_of(false), yki_precision_of(true)}};
    /* an f32 product of a bf16 job: what updates compute */
    double other = machine->device.rates[costs_out->precision[0]];
    if (other > 0) costs_out->product[0] = other;
    /* measured rates are of all cores */
    if (machine->nkernels > 0 && costs_out->threads < cores)
        for (int i = 0; i < 2; i++) costs_out->product[i] *= (double)costs_out->threads / cores;
    for (int k = 0, row = 0; k <= YKI_KERNEL_COUNT; k++) {
        while (row < machine->nkernels && machine->kernels[row].kernel < k) row++;
        costs_out->first[k] = row;
    }
    return YOKE_OK;
}

/* Attention reaches a little less than half of what products of its size do: between its two products lies a
 * softmax, and where it is causal, tiles that are half masked are computed whole (Dao, "FlashAttention-2",
 * arXiv 2307.08691, figures 4 and 5, beside products at 80 to 90 % of the peak). */
static double share_of_peak(const yki_costs *costs, yki_kernel kernel, double work)
{
    const double attention = 0.45;
    double share = yoke_machine_efficiency(costs->machine, work);
    bool pairs = strpbrk(yki_kernel_signature(kernel)->work, "cP") != NULL; /* of queries and keys */
    return pairs ? attention * share : share;
}

bool yki_launch_is_half(const yki_launch *launch)
{
    for (int i = 0; i < launch->nviews; i++)
        if (launch->views[i].ndim > 0 && launch->views[i].dtype == YKI_BF16) return true;
    return false;
}

/* What a window leaves of the work that was measured without one. */
static double share_in_window(const yki_launch *launch)
{
    if (!launch->attr || launch->attr->window == 0) return 1;
    yki_attr all = *launch->attr;
    yki_launch whole = *launch;
    all.window = 0;
    whole.attr = &all;
    double work = yki_launch_flops(&whole);
    return work > 0 ? yki_launch_flops(launch) / work : 1;
}

double yki_kernel_seconds(const yki_costs *costs, const yki_launch *launch)
{
    const yoke_machine *machine = costs->machine;
    int64_t dims[YOKE_MACHINE_DIMS];
    if (costs->first[launch->kernel] < costs->first[launch->kernel + 1]) {
        yki_launch_dims(launch, dims);
        double measured = yki_measured_kernel(costs, launch->kernel, yki_launch_is_half(launch), dims);
        if (measured > 0) return measured * share_in_window(launch);
    }
    double seconds = yki_launch_bytes(launch) / machine->device.bandwidth;
    if (!*yki_kernel_signature(launch->kernel)->work) return seconds;
    double work = yki_launch_flops(launch), rate = costs->product[launch->views[0].dtype == YKI_BF16];
    return work > 0 ? fmax(seconds, work / (rate * share_of_peak(costs, launch->kernel, work))) : seconds;
}

/* Bytes/s that leave the member of a level which has this device. */
static double member_bandwidth(const yoke_machine *machine, int l, int64_t members_devices, int64_t device)
{
    const yoke_machine_level *level = &machine->levels[l];
    double one = level->bandwidth;
    for (int i = 0; i < machine->nlinks; i++)
        if (machine->links[i].level == l && machine->links[i].group == device / members_devices)
            one = machine->links[i].bandwidth;
    double links = level->adapters > 0 ? (double)level->adapters : (double)members_devices;
    return one * links / (level->oversubscription > 1 ? level->oversubscription : 1);
}

/* How many steps a ring takes round so many, or a tree there and back, where that is fewer. */
static double steps_over(int64_t members)
{
    return fmin((double)members - 1, 2 * ceil(log2((double)members)));
}

yki_route yki_route_of(const yki_costs *costs, const int *ranks, int size)
{
    const yoke_machine *machine = costs->machine;
    yki_route route = {.level = -1, .nlevels = 0, .bytes_s = INFINITY, .crossing = INFINITY};
    int64_t devices = 1; /* of a member of the level */
    for (int l = 0; l < machine->nlevels; devices *= machine->levels[l++].count) {
        int64_t whole = devices * machine->levels[l].count, units = 0, most = 0, here = 0, spanned = 1,
                widest = 1;
        double slowest = INFINITY;
        for (int i = 0; i < size; i++) { /* ranks ascend, so those of a member are neighbours */
            bool next = i == 0 || ranks[i] / devices != ranks[i - 1] / devices;
            if (next) {
                spanned = i > 0 && ranks[i] / whole == ranks[i - 1] / whole ? spanned + 1 : 1;
                here = 0, units++;
                slowest = fmin(slowest, member_bandwidth(machine, l, devices, ranks[i]));
            }
            widest = spanned > widest ? spanned : widest;
            most = ++here > most ? here : most;
        }
        if (widest < 2) continue;
        /* what leaves a member is shared by all its devices, whose groups do the same at the same time */
        double share = slowest * (double)most / (double)devices;
        route.level = l;
        route.nlevels++;
        route.latency_s += steps_over(widest) * machine->levels[l].latency_s;
        route.bytes_s = fmin(route.bytes_s, share);
        double leaves = (double)most * (double)(size - most) / (double)(size > 1 ? size - 1 : 1);
        route.crossing = fmin(route.crossing, share / leaves);
    }
    return route;
}
