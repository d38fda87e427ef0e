/* The model's output: from the devices to the host's array. */
#include <stdlib.h>
#include <string.h>

#include "base/bf16.h"
#include "base/fail.h"
#include "run/rank.h"

/* Elements of the output from `at` on, as f32. */
static void put(yki_dtype dtype, const char *from, int64_t at, int64_t count, float *to)
{
    if (dtype == YKI_BF16)
        for (int64_t i = 0; i < count; i++)
            to[i] = yki_bf16_to_f32(((const uint16_t *)(const void *)from)[at + i]);
    else
        memcpy(to, from + at * (int64_t)sizeof *to, (size_t)count * sizeof *to);
}

/* Where the output has a share of every sequence: [tokens, width], each token to its place. */
static void put_tokens(const yki_frame *f, const yki_value *value, const char *from, float *to)
{
    const yki_rank *rank = f->rank;
    yki_spec spec = rank->program->output_spec;
    int tp = rank->plan->mesh.degree[YKI_AXIS_TP], here = rank->place[YKI_AXIS_TP];
    int64_t tokens, first = 0, width = value->dims[1], mine = width;
    yki_positions at = yki_context_positions(rank->plan, rank->place[YKI_AXIS_CP], &tokens);
    if (spec.state == YKI_SHARDED && spec.dim == 0) {
        at = yki_positions_from(at, yki_spec_start(spec, tokens, tp, here));
        tokens = yki_spec_share(spec, tokens, tp, here);
    } else {
        mine = yki_spec_share(spec, width, tp, here);
        first = yki_spec_start(spec, width, tp, here);
    }
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t t = 0; t < tokens; t++)
            put(rank->program->output.dtype, from, (s * tokens + t) * mine, mine,
                to + (s * value->dims[0] + yki_position(&at, t)) * width + first);
}

/* This rank's share of the model's output, as the host has it at `from`, to its place among all samples'
 * outputs. */
static void put_output(const yki_frame *f, const char *from)
{
    const yki_rank *rank = f->rank;
    const yki_program *program = rank->program;
    const yoke_model *model = rank->plan->options.model;
    const yki_value *value = &model->values[model->output];
    yki_spec spec = program->output_spec;
    int dim = spec.state == YKI_SHARDED ? spec.dim : 0, tp = rank->plan->mesh.degree[YKI_AXIS_TP];
    int64_t first = value->per_sample ? f->first : rank->place[YKI_AXIS_DP],
            samples = value->per_sample ? f->samples : 1;
    float *to = rank->run->step->outputs + first * yki_value_elems(value);
    if (rank->plan->mesh.degree[YKI_AXIS_CP] > 1) {
        put_tokens(f, value, from, to);
        return;
    }
    int64_t outer = samples, inner = 1, size = value->dims[dim],
            local = yki_spec_share(spec, size, tp, rank->place[YKI_AXIS_TP]);
    int64_t start = yki_spec_start(spec, size, tp, rank->place[YKI_AXIS_TP]);
    for (int i = 0; i < dim; i++) outer *= value->dims[i];
    for (int i = dim + 1; i < value->ndim; i++) inner *= value->dims[i];
    for (int64_t o = 0; o < outer; o++)
        put(program->output.dtype, from, o * local * inner, local * inner, to + (o * size + start) * inner);
}

yoke_status yki_rank_output(yki_rank *rank)
{
    const yki_program *program = rank->program;
    if (program->output_chunk < 0) return YOKE_OK;
    if (program->output_spec.state != YKI_SHARDED && rank->place[YKI_AXIS_TP] != 0) return YOKE_OK;
    yki_frame f = {.rank = rank};
    const yki_part_program *part = &program->parts[program->output_chunk];
    for (int g = 0; g < YKI_AREAS; g++)
        f.area[g] = rank->memory + part->area_offset[g] + part->slot[g][0] * part->area_bytes[g];
    f.samples = yki_rank_samples(rank, 0, &f.first);
    yki_view view = yki_operand_view(&program->output, f.samples);
    size_t bytes = (size_t)yki_view_elems(&view) * yki_dtype_bytes(view.dtype);
    void *from = yki_frame_address(&f, &program->output), *fetched = NULL;
    YKI_TRY(rank->backend->synchronize(rank->queue));
    char *here = rank->backend->host_address(rank->device, from);
    yoke_status status = YOKE_OK;
    if (!here) {
        here = fetched = malloc(bytes + 1);
        if (!fetched) return yki_fail_memory("outputs");
        yki_queue_transfer(rank->queue, YKI_DOWNLOAD, fetched, from, bytes);
        status = rank->backend->synchronize(rank->queue);
    }
    if (status == YOKE_OK) put_output(&f, here);
    free(fetched);
    return status;
}
