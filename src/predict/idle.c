/* The idle share of a plan: its own action lists as events, each part as long as its work. A kernel takes as
 * long as its arithmetic or its memory traffic, whichever is slower, on a nominal core; parts differ by what
 * they hold. */
#include <math.h>
#include <stdlib.h>

#include "predict/predict.h"

/* A nominal core: FLOP/s of a product, bytes/s of memory, bytes/s between ranks. Ratios as on the CPUs of
 * docs/performance.md; only they matter. */
static const double core_flops = 60e9, core_bytes = 10e9, link_bytes = 5e9;

static double kernel_seconds(const yki_instruction *in, int64_t samples)
{
    yki_launch launch;
    yki_instruction_shapes(in, samples, &launch);
    return fmax(yki_launch_flops(&launch) / core_flops, yki_launch_bytes(&launch) / core_bytes);
}

static double body_seconds(const yki_part_program *part, yki_body body, int64_t samples)
{
    double seconds = 0;
    for (int i = 0; i < part->body[body].count; i++)
        if (part->body[body].instructions[i].kind == YKI_DO_KERNEL)
            seconds += kernel_seconds(&part->body[body].instructions[i], samples);
    return seconds;
}

void yki_predict_times(const yki_plan *plan, yoke_times *times_out)
{
    for (int part = 0; part < plan->nparts; part++) {
        const yki_part_program *program =
            &plan->programs[plan->stage_of[part] * plan->nlane_classes].parts[plan->chunk_of[part]];
        yoke_times *t = &times_out[part];
        *t = (yoke_times){.forward = body_seconds(program, YKI_BODY_F, plan->largest)};
        if (program->present[YKI_BODY_B]) {
            t->input_gradient = body_seconds(program, YKI_BODY_B, plan->largest);
            t->weight_gradient = body_seconds(program, YKI_BODY_W, plan->largest);
        } else {
            t->input_gradient = t->weight_gradient = body_seconds(program, YKI_BODY_BW, plan->largest) / 2;
        }
    }
    for (int e = 0; e < plan->nedges; e++)
        times_out[plan->edges[e].from].transfer +=
            (double)plan->edge_bytes[0][e] * (double)plan->largest / link_bytes;
}

/* What a stage computes at a step's end: of its own elements a kernel reads the first tensor, and reads and
 * writes the others; of whole matrices it does what it does in bodies. */
static double ends_seconds(const yki_plan *plan, int stage)
{
    const yki_program *program = &plan->programs[stage * plan->nlane_classes];
    const yki_kept *kept = plan->states[stage * plan->nlane_classes * plan->nshard_classes].kept;
    double bytes = 0, seconds = 0;
    for (int end = YKI_END_REDUCE; end < YKI_END_COUNT; end++)
        for (int i = 0; i < program->ends[end].count; i++) {
            const yki_instruction *in = &program->ends[end].instructions[i];
            if (in->kind == YKI_DO_KERNEL) seconds += kernel_seconds(in, 0);
            for (int k = 0; in->kind == YKI_DO_STATES && k < in->as.states.nparameters; k++) {
                const yki_kept *of = &kept[in->as.states.parameters[k]];
                for (int v = 0; v < in->as.states.ntensors; v++) {
                    yki_tensor_kind tensor = in->as.states.tensors[v];
                    if (tensor == YKI_TENSOR_NONE || of->offset[tensor] < 0) continue;
                    bytes += (double)(of->runs * of->run_elems) * (v == 0 ? 4 : 8);
                }
            }
        }
    return seconds + bytes / core_bytes;
}

double yki_predict_idle(const yki_plan *plan)
{
    yoke_times *times = calloc((size_t)plan->nparts, sizeof *times);
    if (!times) return NAN;
    yki_predict_times(plan, times);
    yoke_timeline timeline;
    double idle = NAN;
    if (yoke_schedule_simulate(plan->schedule, times, plan->nparts, &timeline) == YOKE_OK) {
        double busy = timeline.makespan * plan->parts.nstages * (1 - timeline.idle_share), longest = 0;
        for (int stage = 0; stage < plan->parts.nstages; stage++) {
            double update = ends_seconds(plan, stage);
            longest = fmax(longest, update);
            busy += update;
        }
        idle = 1 - busy / ((timeline.makespan + longest) * plan->parts.nstages);
        yoke_timeline_release(&timeline);
    }
    free(times);
    return idle;
}
