/* yoke bench: the order of measurements, and the machine that they make. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/fail.h"
#include "base/usage.h"
#include "bench/bench.h"
#include "bench/jobs.h"
#include "comm/cluster.h"
#include "predict/measured.h"
#include "yoke/version.h"

enum { PARTS_OF_STEPS = YOKE_BENCH_PRODUCTS | YOKE_BENCH_KERNELS, LEAST_DEVICES = 4, MOST_RUNS = 256 };

typedef struct bench {
    const yoke_bench_options *options;
    int parts, cores;
    yoke_machine *machine;
    double *times; /* of machine->kernels, of each row so far: sums of logarithms */
    int *counts;
    int nrooms;
    double launches[MOST_RUNS], beside[MOST_RUNS], spreads[MOST_RUNS];
    int nruns;                     /* alone on the machine */
    double begun_ns, seconds_each; /* of a run */
    double share;                  /* of all, done */
} bench;

static void tell(bench *b, double share, const char *what)
{
    b->share = share;
    if (b->options->progress) b->options->progress(b->options->context, share, what);
}

static double elapsed(const bench *b)
{
    return (yki_now_ns() - b->begun_ns) * 1e-9;
}

/* To the digits that mean something, as people read them. */
static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", value);
    return strtod(text, NULL);
}

/* So much of the time is gone that nothing else is begun; of it runs on one device have the larger part. */
static bool late(const bench *b, int ranks)
{
    return elapsed(b) > (b->options->quick ? 5.5 : 44) * (ranks > 1 ? 1 : 0.7);
}

/* --- rows of kernels --- */

static bool wanted(const bench *b, const yoke_machine_kernel *row)
{
    bool product = yoke_machine_kernel_flops(row, NULL) > 0;
    return b->parts & (product ? YOKE_BENCH_PRODUCTS : YOKE_BENCH_KERNELS);
}

static bool is_shape(const yoke_machine_kernel *a, const yoke_machine_kernel *b)
{
    return a->kernel == b->kernel && a->precision == b->precision && a->threads == b->threads &&
           memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

static yoke_status make_room(bench *b)
{
    yoke_machine *m = b->machine;
    if (m->nkernels < b->nrooms) return YOKE_OK;
    size_t room = (size_t)b->nrooms * 2 + 256;
    yoke_machine_kernel *kernels = realloc(m->kernels, sizeof *kernels * room);
    if (kernels) m->kernels = kernels;
    double *times = realloc(b->times, sizeof *times * room);
    if (times) b->times = times;
    int *counts = realloc(b->counts, sizeof *counts * room);
    if (counts) b->counts = counts;
    if (!kernels || !times || !counts) return yki_fail_memory("times of kernels");
    b->nrooms = (int)room;
    return YOKE_OK;
}

/* The rows of a run's steps. rate: of each of its devices, as a share of what one has alone; a shape that was
 * measured alone stays as it is. */
static yoke_status keep_rows(bench *b, const yki_bench_steps *steps, double rate)
{
    yoke_machine *m = b->machine;
    for (int i = 0; i < steps->nrows; i++) {
        const yki_bench_row *row = &steps->rows[i];
        if (!wanted(b, &row->shape) || !(row->ns > 0) || m->nkernels == YOKE_MACHINE_KERNELS) continue;
        int at = 0;
        while (at < m->nkernels && !is_shape(&m->kernels[at], &row->shape)) at++;
        if (at == m->nkernels) {
            YKI_TRY(make_room(b));
            m->kernels[m->nkernels++] = row->shape;
            b->times[at] = 0, b->counts[at] = 0;
        } else if (rate < 1) {
            continue;
        }
        b->times[at] += log(row->ns * 1e-9 * rate);
        b->counts[at]++;
    }
    return YOKE_OK;
}

/* --- runs --- */

typedef struct variant {
    const char *layout;
    bool all_cores;
    int ranks, allows; /* bits of the sample that it needs */
} variant;

static const variant variants[] = {
    {"", true, 1, 0},
    {"", false, 1, 0},
    {"microbatches=4", false, 1, 0},
    {"tp=2", false, 2, YKI_BENCH_TP},
    {"cp=2", false, 2, YKI_BENCH_CP},
};
enum { NVARIANTS = sizeof variants / sizeof *variants };

static yoke_status run_variant(bench *b, const yki_bench_job *job, const variant *v)
{
    yki_bench_steps steps;
    int threads = v->all_cores ? b->cores : 1;
    yoke_status status = yki_bench_run(job, v->layout, threads, 1, b->seconds_each, &steps);
    bool refused = status == YOKE_INVALID || status == YOKE_DOES_NOT_FIT;
    if (refused && *v->layout) return YOKE_OK; /* the job cannot be split so */
    if (status != YOKE_OK) return status;
    status = keep_rows(b, &steps, v->ranks > 1 ? yoke_machine_shared_rate(b->machine, v->ranks) : 1);
    if (v->ranks == 1 && b->nruns < MOST_RUNS) {
        b->launches[b->nruns] = steps.launch_s;
        b->beside[b->nruns] = steps.beside_s;
        b->spreads[b->nruns++] = steps.spread;
    }
    yki_bench_steps_release(&steps);
    return status;
}

/* How fast each of k devices is beside k - 1 others: kernels of one alone and of k that have the same shapes,
 * each of one thread. Where there are fewer cores than devices, a launch's median says nothing: means do. */
static yoke_status measure_sharing(bench *b, const yki_bench_job *job)
{
    yoke_machine_device *device = &b->machine->device;
    yki_bench_steps alone, beside;
    char layout[32];
    YKI_TRY(yki_bench_run(job, "", 1, 1, b->seconds_each, &alone));
    device->nshared = 0;
    yoke_status status = YOKE_OK;
    double before = 1;
    for (int k = 2; k <= b->machine->ndevices && k <= 2 * b->cores && status == YOKE_OK; k *= 2) {
        snprintf(layout, sizeof layout, "dp=%d", k);
        status = yki_bench_run(job, layout, 1, k, b->seconds_each, &beside);
        if (status != YOKE_OK) break;
        double rate =
            k > b->cores ? alone.kernel_mean_s / beside.kernel_mean_s : alone.kernel_s / beside.kernel_s;
        before = fmin(rate, before);
        device->shared[device->nshared++] = (yoke_machine_shared){k, rounded(before)};
        yki_bench_steps_release(&beside);
    }
    yki_bench_steps_release(&alone);
    return status;
}

/* The variants of a sample on one device, or those on several. The very first runs, of each precision, are
 * made however long the machine takes: without them there are no rates. */
static yoke_status run_sample(bench *b, const yki_bench_sample *sample, bool several)
{
    static const char *const precisions[] = {"train.precision=f32", "train.precision=bf16"};
    for (int v = 0; v < NVARIANTS; v++)
        for (int p = 0; p < 2; p++) {
            const variant *of = &variants[v];
            yki_bench_job job = {sample->text, b->options->job, 1, &precisions[p]};
            if ((of->allows & sample->allows) != of->allows || (of->ranks > 1) != several) continue;
            if (b->cores == 1 && (of->all_cores || of->ranks > 1)) continue;
            if (b->nruns >= 2 && late(b, of->ranks)) return YOKE_OK;
            YKI_TRY(run_variant(b, &job, of));
        }
    return YOKE_OK;
}

static bool takes(const bench *b, const yki_bench_sample *sample)
{
    return !(b->options->quick || b->options->job) || (sample->allows & YKI_BENCH_QUICK);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    if (count == 0) return 0;
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* Peak rates, and shares of them by work, of all cores: for kernels and shapes that nothing was measured of.
 */
static void sum_up_products(bench *b)
{
    yoke_machine_device *device = &b->machine->device;
    double sums[24] = {0}, counts[24] = {0}, works[24] = {0};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < b->machine->nkernels; i++) {
            const yoke_machine_kernel *row = &b->machine->kernels[i];
            int64_t mnk[3];
            double flops = yoke_machine_kernel_flops(row, mnk), *rate = &device->rates[row->precision];
            if (mnk[0] == 0 || row->threads != b->cores || !(flops > 0)) continue;
            if (pass == 0) {
                *rate = fmax(*rate, rounded(flops / row->seconds));
                continue;
            }
            int at = (int)fmin(fmax(2 * log10(flops), 0), 23);
            sums[at] += fmin(flops / row->seconds / *rate, 1), works[at] += log(flops), counts[at]++;
        }
    device->npoints = 0;
    for (int at = 0; at < 24; at++)
        if (counts[at] > 0)
            device->points[device->npoints++] =
                (yoke_machine_point){rounded(exp(works[at] / counts[at])), rounded(sums[at] / counts[at])};
}

static void drop_rows(bench *b)
{
    yoke_machine *m = b->machine;
    int kept = 0;
    for (int i = 0; i < m->nkernels; i++)
        if (!wanted(b, &m->kernels[i])) m->kernels[kept++] = m->kernels[i];
    m->nkernels = kept;
}

static yoke_status measure_steps(bench *b, double from, double to, double seconds)
{
    yki_bench_sample own = {NULL, YKI_BENCH_TP | YKI_BENCH_CP};
    static const char *const none[] = {"train.precision=f32"};
    int samples = b->options->job ? 1 : 0, done = 0, known;
    for (int i = 0; yki_bench_samples[i].text; i++) samples += takes(b, &yki_bench_samples[i]);
    /* about four runs a sample and precision, of each of which about a half is measured */
    b->seconds_each = seconds / (samples * 8.5 + 4) / 2;
    drop_rows(b);
    memset(b->machine->device.rates, 0,
           (b->parts & YOKE_BENCH_PRODUCTS) ? sizeof b->machine->device.rates : 0);
    known = b->machine->nkernels;
    if (known > 0) {
        b->nrooms = known;
        b->times = calloc((size_t)known, sizeof *b->times);
        b->counts = calloc((size_t)known, sizeof *b->counts);
        if (!b->times || !b->counts) return yki_fail_memory("times of kernels");
    }
    yki_bench_job first = {yki_bench_samples[0].text, NULL, 1, none};
    for (int several = 0; several < 2; several++) {
        if (several) tell(b, from + (to - from) * 0.7, "devices that share cores");
        if (several) YKI_TRY(measure_sharing(b, &first));
        if (b->options->job) YKI_TRY(run_sample(b, &own, several));
        for (int i = 0; yki_bench_samples[i].text; i++) {
            if (!takes(b, &yki_bench_samples[i])) continue;
            tell(b, from + (to - from) * (several ? 0.7 + 0.3 * done++ / samples : 0.7 * done++ / samples),
                 "kernels");
            YKI_TRY(run_sample(b, &yki_bench_samples[i], several));
        }
        done = 0;
    }
    for (int i = known; i < b->machine->nkernels; i++)
        b->machine->kernels[i].seconds = rounded(exp(b->times[i] / b->counts[i]));
    b->machine->device.launch_s = rounded(median(b->launches, b->nruns));
    b->machine->device.step_s = rounded(median(b->beside, b->nruns));
    if (b->parts & YOKE_BENCH_PRODUCTS) sum_up_products(b);
    return YOKE_OK;
}

/* --- movements --- */

static double move_of(const yoke_machine *machine, const char *op, bool largest, double *bytes_out)
{
    double seconds = 0;
    for (int i = 0; i < machine->nmoves; i++) {
        const yoke_machine_move *m = &machine->moves[i];
        if (strcmp(yoke_machine_move_name(m->op), op) != 0) continue;
        if (seconds > 0 && !largest) break;
        if (m->ranks > 2 && seconds > 0) break;
        seconds = m->seconds, *bytes_out = (double)m->bytes;
    }
    return seconds;
}

static yoke_status measure_links(bench *b, double from, double to, double seconds)
{
    yoke_machine *m = b->machine;
    bool alone = yki_cluster_size() == 1;
    int most = alone ? (int)m->ndevices : 2, count = 0;
    int64_t largest = (b->options->quick ? 1 : 4) << 20;
    m->nmoves = 0;
    for (int ranks = 2; ranks <= most && ranks <= 2 * b->cores + 2; ranks *= 2) count++;
    for (int ranks = 2, i = 0; i < count; ranks *= 2, i++) {
        tell(b, from + (to - from) * i / (count + 1), "movements");
        YKI_TRY(yki_bench_moves(m, alone ? ranks : 0, largest, seconds / (count + 1)));
    }
    double few = 0, many = 0, small = move_of(m, "all_reduce", false, &few),
           large = move_of(m, "all_reduce", true, &many);
    m->nlevels = 1;
    m->levels[0] = (yoke_machine_level){.count = m->ndevices, .oversubscription = 1};
    snprintf(m->levels[0].name, sizeof m->levels[0].name, alone ? "local" : "mpi");
    m->levels[0].latency_s = rounded(small / 2);
    m->levels[0].bandwidth = rounded(many / fmax(large - small, large / 10));
    tell(b, to, "contention");
    if (alone) YKI_TRY(yki_bench_contention(&m->contention));
    m->contention = rounded(m->contention);
    for (int i = 0; i < m->nmoves; i++) m->moves[i].seconds = rounded(m->moves[i].seconds);
    return YOKE_OK;
}

/* --- the whole --- */

static void describe(bench *b)
{
    yoke_machine *m = b->machine;
    const yki_backend_ops *backend = yki_backend_of_runs();
    time_t now = time(NULL);
    struct tm day;
    int place, neighbours = yki_cluster_neighbours(&place);
    snprintf(m->name, sizeof m->name, "this machine");
    snprintf(m->device.name, sizeof m->device.name, "CPU of %d core%s", b->cores, b->cores == 1 ? "" : "s");
    m->device.memory_bytes = backend->memory_bytes(0);
    m->device.cores = b->cores * (yki_cluster_bound() && neighbours > 0 ? neighbours : 1);
    m->ndevices = yki_cluster_size() > 1     ? yki_cluster_size()
                  : b->cores > LEAST_DEVICES ? b->cores
                                             : LEAST_DEVICES;
    localtime_r(&now, &day);
    strftime(m->measured_on, sizeof m->measured_on, "%Y-%m-%d", &day);
    snprintf(m->measured_by, sizeof m->measured_by, "yoke %s", yoke_version());
    snprintf(m->measured_command, sizeof m->measured_command, "yoke bench%s%.200s%s",
             b->options->job ? " --job " : "", b->options->job ? b->options->job : "",
             b->options->quick ? " --quick" : "");
}

/* What is known, but for what it owns. */
static yoke_status begin(bench *b)
{
    const yoke_machine *known = b->options->known;
    yoke_machine *m = calloc(1, sizeof *m);
    b->machine = m;
    if (!m) return yki_fail_memory("a machine");
    if (!known) return YOKE_OK;
    *m = *known;
    m->nstragglers = m->nlinks = 0, m->stragglers = NULL, m->links = NULL;
    m->kernels = malloc(sizeof *m->kernels * ((size_t)known->nkernels + 1));
    m->moves = malloc(sizeof *m->moves * ((size_t)known->nmoves + 1));
    if (!m->kernels || !m->moves) return yki_fail_memory("a machine");
    if (known->nkernels > 0) memcpy(m->kernels, known->kernels, sizeof *m->kernels * (size_t)known->nkernels);
    if (known->nmoves > 0) memcpy(m->moves, known->moves, sizeof *m->moves * (size_t)known->nmoves);
    return YOKE_OK;
}

static yoke_status measure(bench *b)
{
    bool quick = b->options->quick, first = yki_cluster_rank() == 0;
    yoke_status status = begin(b);
    if (status == YOKE_OK) describe(b);
    if (status == YOKE_OK && (b->parts & YOKE_BENCH_MEMORY) && first) {
        tell(b, 0, "memory");
        status = yki_bench_memory(&b->machine->device.bandwidth);
        b->machine->device.bandwidth = rounded(b->machine->device.bandwidth);
    }
    /* several processes: the first one measures its cores while the others wait for it */
    if (status == YOKE_OK && (b->parts & PARTS_OF_STEPS) && first)
        status = measure_steps(b, 0.02, 0.8, quick ? 5 : 38);
    YKI_TRY(yki_cluster_agree(status, "what was measured", 0));
    if (b->parts & YOKE_BENCH_COLLECTIVES) YKI_TRY(measure_links(b, 0.8, 1, quick ? 1.5 : 8));
    yki_machine_sort_tables(b->machine);
    return YOKE_OK;
}

static yoke_bench_noise judge(bench *b, const yki_usage *used)
{
    yoke_bench_noise noise = {
        .spread = median(b->spreads, b->nruns), .cores_taken = yki_usage_taken(used), .seconds = elapsed(b)};
    noise.noisy = noise.spread > 0.1 || noise.cores_taken > 0.05;
    return noise;
}

yoke_status yoke_bench(const yoke_bench_options *options, yoke_machine **machine_out,
                       yoke_bench_noise *noise_out)
{
    YKI_NEED(options, machine_out, noise_out);
    if (options->parts & ~YOKE_BENCH_ALL)
        return yki_fail(YOKE_INVALID, "yoke_bench: parts has bits that mean nothing: %d", options->parts);
    YKI_TRY(yki_backend_check());
    bench b = {.options = options,
               .parts = options->parts ? options->parts : YOKE_BENCH_ALL,
               .cores = yki_backend_of_runs()->count(),
               .begun_ns = yki_now_ns()};
    yki_usage begun, ended, used = {0};
    bool known = yki_usage_get("", &begun);
    yoke_status status = measure(&b);
    if (known && yki_usage_get("", &ended)) yki_usage_add(&used, &begun, &ended);
    if (status == YOKE_OK) {
        *noise_out = judge(&b, &used);
        *machine_out = b.machine;
    } else {
        yoke_machine_destroy(b.machine);
    }
    free(b.times);
    free(b.counts);
    return status;
}

yoke_status yoke_bench_write(const yoke_machine *machine, const char *path, char path_out[1200])
{
    YKI_NEED(machine, path_out);
    if (path)
        snprintf(path_out, 1200, "%s", path);
    else
        YKI_TRY(yki_machine_here(path_out));
    char folder[1200], part[1232];
    snprintf(folder, sizeof folder, "%s", path_out);
    char *slash = strrchr(folder, '/');
    if (slash && slash > folder && !path) {
        *slash = '\0';
        YKI_TRY(yki_disk_make_folders(folder));
    }
    char *text = yoke_machine_print(machine);
    if (!text) return yki_fail_memory("a machine's file");
    snprintf(part, sizeof part, "%s.part", path_out);
    remove(part);
    yoke_status status = yki_disk_create(part, text, strlen(text));
    free(text);
    if (status == YOKE_OK && rename(part, path_out) != 0) status = yki_fail_errno("write", path_out);
    if (status != YOKE_OK) remove(part);
    return status;
}
