/* What a device cannot be faster than: the FLOP/s of a large product, and the bytes/s of operands of some
 * size, as both are reached here and now. */
#include <math.h>

#include "base/clock.h"
#include "base/fail.h"
#include "predict/predict.h"

/* Of three operands together: in a core's cache, in that of all cores, in memory. */
static const int64_t sizes[YKI_ROOF_SIZES] = {96 << 10, 768 << 10, 6 << 20, 96 << 20};
static const double LEAST_NS = 5e6; /* a size is timed for so long, and */
enum { LEAST_ROUNDS = 5 };          /* so often */

/* The best of some sums of two operands; a line that is written is read first. */
static yoke_status time_sum(yki_queue *queue, int64_t bytes, double *bytes_s_out)
{
    const yki_backend_ops *backend = queue->backend;
    yki_device *device = queue->device;
    static const yki_attr none;
    int64_t elems = bytes / 3 / 4;
    yki_launch sum = {.kernel = YKI_KERNEL_ADD, .attr = &none, .nviews = 3};
    yki_prepared *prepared;
    double best = INFINITY, began = yki_now_ns();
    for (int i = 0; i < 3; i++) {
        sum.views[i] = (yki_view){.dtype = YKI_F32, .ndim = 1, .dims = {elems}};
        YKI_TRY(backend->alloc(device, (size_t)elems * 4, &sum.views[i].data));
    }
    sum.workspace_bytes = backend->workspace_bytes(&sum, 1);
    YKI_TRY(backend->alloc(device, sum.workspace_bytes + 1, &sum.workspace));
    YKI_TRY(backend->prepare(device, &sum, &prepared));
    for (int round = 0; round < LEAST_ROUNDS || yki_now_ns() - began < LEAST_NS; round++) {
        double start = yki_now_ns();
        backend->launch(queue, prepared, &sum);
        YKI_TRY(backend->synchronize(queue));
        best = fmin(best, yki_now_ns() - start);
    }
    for (int i = 0; i < 3; i++) backend->free(device, sum.views[i].data);
    backend->free(device, sum.workspace);
    *bytes_s_out = (double)elems * 4 * 4 / (best * 1e-9);
    return YOKE_OK;
}

yoke_status yki_measure_roof(const yki_plan *plan, yki_roof *roof_out)
{
    const yki_backend_ops *backend = plan->options.backend;
    yki_roof roof = {0};
    yki_device *device;
    yki_queue *queue = NULL;
    YKI_TRY(yki_measure_peak(plan, &roof.flops_s));
    roof.flops_s /= plan->mesh.nranks;
    YKI_TRY(backend->device_create(0, plan->options.threads, &device));
    yoke_status status = backend->queue_create(device, &queue);
    for (int i = 0; i < YKI_ROOF_SIZES && status == YOKE_OK; i++)
        status = time_sum(queue, sizes[i], &roof.bytes_s[i]);
    backend->queue_destroy(queue);
    backend->device_destroy(device);
    for (int i = YKI_ROOF_SIZES - 2; i >= 0; i--)
        roof.bytes_s[i] = fmax(roof.bytes_s[i], roof.bytes_s[i + 1]);
    *roof_out = roof;
    return status;
}

double yki_roof_seconds(const yki_roof *roof, double flops, double bytes, bool *of_bytes_out)
{
    int at = 0;
    while (at + 1 < YKI_ROOF_SIZES && bytes >= (double)sizes[at + 1]) at++;
    double computing = flops / roof->flops_s, moving = bytes / roof->bytes_s[at];
    *of_bytes_out = moving > computing;
    return fmax(computing, moving);
}

double yki_states_bytes(const yki_plan *plan, const yki_program *program, const yki_states *states,
                        const yki_instruction *in, int64_t *launches_out)
{
    const struct yki_do_states *of = &in->as.states;
    double bytes = 0;
    int64_t launches = 0;
    for (int i = 0; i < of->nparameters; i++) {
        const yki_kept *kept = &states->kept[of->parameters[i]];
        launches += kept->runs;
        for (int v = 0; v < of->ntensors; v++) {
            yki_tensor_kind tensor = of->tensors[v];
            if (tensor == YKI_TENSOR_NONE || kept->offset[tensor] < 0) continue;
            size_t size = yki_dtype_bytes(yki_tensor_dtype(plan, program, tensor, of->parameters[i]));
            bytes += (double)(kept->runs * kept->run_elems) * (double)size * (v == 0 ? 1 : 2);
        }
    }
    if (launches_out) *launches_out = launches;
    return bytes;
}
