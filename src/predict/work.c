/* The arithmetic of a model's step, and the most that this machine does of it. */
#include <math.h>

#include "base/clock.h"
#include "base/fail.h"
#include "predict/predict.h"

/* Of a sample, on a lane: what attention sees depends on where its share of the tokens is. */
static double forward_flops(const yki_plan *plan, int lane, const yki_part_program *part)
{
    const yki_code *code = &part->body[YKI_BODY_F];
    double flops = 0;
    for (int k = 0; k < code->count; k++) {
        const yki_instruction *in = &code->instructions[k];
        yki_launch launch;
        yki_attr own;
        if (in->kind != YKI_DO_KERNEL || !*yki_kernel_signature((yki_kernel)in->op)->work) continue;
        yki_instruction_shapes(in, 1, &launch);
        if (yki_lane_attr(plan, lane, part->part, in, &own)) launch.attr = &own;
        flops += yki_launch_flops(&launch);
    }
    return flops;
}

double yki_predict_flops(const yki_plan *plan)
{
    double flops = 0;
    for (int i = 0; i < plan->parts.nstages * plan->nlanes; i++) {
        int lane = i % plan->nlanes, stage = i / plan->nlanes;
        const yki_program *program = &plan->programs[stage * plan->nlane_classes + plan->lanes[lane].class];
        for (int c = 0; c < program->nparts; c++) flops += forward_flops(plan, lane, &program->parts[c]);
    }
    return 3 * flops; /* as convention has it: the backward pass is two products for each one */
}

enum { PEAK_SIZE = 1024, PEAK_ROUNDS = 8, GUESS_ROUNDS = 2 };

/* The best of a few products of PEAK_SIZE cubed. */
static yoke_status time_product(yki_queue *queue, yki_dtype dtype, int rounds, double *seconds_out)
{
    const yki_backend_ops *backend = queue->backend;
    yki_device *device = queue->device;
    static const yki_attr none;
    yki_launch product = {.kernel = YKI_KERNEL_LINEAR, .attr = &none, .nviews = 4};
    const int operands[] = {0, 1, 3}; /* no bias */
    yki_prepared *prepared;
    for (int i = 0; i < 3; i++) {
        yki_view *view = &product.views[operands[i]];
        *view = (yki_view){.dtype = dtype, .ndim = 2, .dims = {PEAK_SIZE, PEAK_SIZE}};
        YKI_TRY(backend->alloc(device, PEAK_SIZE * PEAK_SIZE * yki_dtype_bytes(dtype), &view->data));
    }
    product.workspace_bytes = backend->workspace_bytes(&product, 1);
    YKI_TRY(backend->alloc(device, product.workspace_bytes + 1, &product.workspace));
    YKI_TRY(backend->prepare(device, &product, &prepared));
    *seconds_out = INFINITY;
    for (int round = 0; round < rounds; round++) {
        double start = yki_now_ns();
        backend->launch(queue, prepared, &product);
        YKI_TRY(backend->synchronize(queue));
        *seconds_out = fmin(*seconds_out, (yki_now_ns() - start) * 1e-9);
    }
    for (int i = 0; i < 3; i++) backend->free(device, product.views[operands[i]].data);
    backend->free(device, product.workspace);
    return YOKE_OK;
}

static yoke_status measure(const yki_plan *plan, int rounds, double *flops_per_s_out)
{
    const yki_backend_ops *backend = plan->options.backend;
    int threads = plan->options.threads * plan->mesh.nranks, cores = backend->count();
    yki_dtype dtype = plan->options.precision == YOKE_PRECISION_BF16 ? YKI_BF16 : YKI_F32;
    yki_device *device;
    double seconds;
    if (threads > cores) threads = cores;
    YKI_TRY(backend->device_create(0, 1, &device));
    yki_queue *queue = NULL;
    yoke_status status = backend->queue_create(device, &queue);
    if (status == YOKE_OK) status = time_product(queue, dtype, rounds, &seconds);
    backend->queue_destroy(queue);
    backend->device_destroy(device);
    if (status == YOKE_OK) *flops_per_s_out = threads * 2.0 * PEAK_SIZE * PEAK_SIZE * PEAK_SIZE / seconds;
    return status;
}

yoke_status yki_measure_peak(const yki_plan *plan, double *flops_per_s_out)
{
    return measure(plan, PEAK_ROUNDS, flops_per_s_out);
}

yoke_status yki_guess_peak(const yki_plan *plan, double *flops_per_s_out)
{
    return measure(plan, GUESS_ROUNDS, flops_per_s_out);
}
