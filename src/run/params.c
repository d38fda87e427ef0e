/* Parameters between steps: logical elements to and from the ranks that hold them, and first values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/rng.h"
#include "run/rank.h"

/* Where the logical elements of a parameter lie: in which tp rank's memory, and where in it. */
typedef struct map {
    bool transposed;
    int64_t rows, columns; /* transposed: logical [rows, columns] is kept [columns, rows] */
    int64_t size, inner;   /* else: [outer, size, inner], cut along size */
    int cut;               /* kept dim that is cut */
    int *owner;            /* by index along the cut dim: tp rank (0 where whole), the last of several */
    int64_t *local;        /* its index there */
    int64_t local_size[YOKE_MAX_DEVICES]; /* of the cut dim, by tp rank */
} map;

static bool map_init(map *m, const yki_plan *plan, int parameter)
{
    const yki_parameter *p = &plan->options.model->parameters[parameter];
    const yki_value *value = &plan->options.model->values[p->value];
    yki_spec spec = plan->param_places[parameter].spec;
    int tp = spec.state == YKI_SHARDED ? plan->mesh.degree[YKI_AXIS_TP] : 1;
    memset(m, 0, sizeof *m);
    m->transposed = p->transposed;
    m->cut = spec.state == YKI_SHARDED ? spec.dim : 0;
    m->rows = p->dims[0];
    m->columns = p->ndim > 1 ? p->dims[1] : 1;
    m->size = value->dims[m->cut];
    m->inner = 1;
    for (int i = m->cut + 1; i < value->ndim; i++) m->inner *= value->dims[i];
    m->owner = malloc(sizeof *m->owner * (size_t)m->size);
    m->local = malloc(sizeof *m->local * (size_t)m->size);
    if (!m->owner || !m->local) return false;
    int64_t sections = spec.state == YKI_SHARDED ? spec.sections : 1, section = m->size / sections;
    for (int r = 0; r < tp; r++) {
        int64_t mine = yki_spec_share(spec, m->size, tp, r), each = mine / sections,
                start = yki_spec_start(spec, m->size, tp, r);
        m->local_size[r] = mine;
        for (int64_t s = 0; s < sections; s++)
            for (int64_t i = 0; i < each; i++) {
                m->owner[s * section + start + i] = r;
                m->local[s * section + start + i] = s * each + i;
            }
    }
    return true;
}

static void map_release(map *m)
{
    free(m->owner);
    free(m->local);
}

/* Element e: its rank and offset; returns how many elements from e on lie one after the other there. */
static inline int64_t map_find(const map *m, int64_t e, int *rank, int64_t *offset)
{
    if (m->transposed) {
        int64_t a = e / m->columns, b = e % m->columns;
        int64_t index = m->cut == 0 ? b : a;
        *rank = m->owner[index];
        *offset = m->cut == 0 ? m->local[b] * m->rows + a : b * m->local_size[*rank] + m->local[a];
        return 1;
    }
    int64_t i = e % m->inner, s = e / m->inner % m->size, o = e / m->inner / m->size;
    *rank = m->owner[s];
    *offset = (o * m->local_size[*rank] + m->local[s]) * m->inner + i;
    return m->inner - i;
}

static int64_t tensor_offset(const yki_run *run, const yki_local_parameter *p, yki_tensor_kind kind)
{
    bool buffer = run->plan->options.model->parameters[p->parameter].buffer;
    bool master = !buffer && run->plan->options.precision == YOKE_PRECISION_BF16 && !run->plan->options.inference;
    switch (kind) {
    case YKI_TENSOR_WEIGHT:
        return master ? p->master : p->weight;
    case YKI_TENSOR_GRADIENT:
        return p->gradient;
    case YKI_TENSOR_MOMENT1:
        return p->moment1;
    case YKI_TENSOR_MOMENT2:
        return p->moment2;
    }
    return -1;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static bool weight_is_bf16(const yki_run *run, int parameter)
{
    return !run->plan->options.model->parameters[parameter].buffer && run->plan->options.precision == YOKE_PRECISION_BF16;
}

void yki_run_read(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                  float *values)
{
    const yki_plan *plan = run->plan;
    int place[YKI_AXIS_COUNT] = {0};
    place[YKI_AXIS_PP] = plan->param_places[parameter].first_stage;
    const yki_rank *base =
        &run->ranks[yki_mesh_rank(&plan->mesh, place)]; /* tp runs fastest: its neighbours hold the rest */
    const yki_local_parameter *local = &base->program->parameters[base->program->local_of[parameter]];
    bool bf16 = kind == YKI_TENSOR_WEIGHT && weight_is_bf16(run, parameter) && plan->options.inference;
    map m;
    if (!map_init(&m, plan, parameter)) {
        map_release(&m);
        memset(values, 0, sizeof(float) * (size_t)count);
        return;
    }
    for (int64_t e = first, run_length; e < first + count; e += run_length) {
        int rank;
        int64_t offset;
        run_length = map_find(&m, e, &rank, &offset);
        if (run_length > first + count - e) run_length = first + count - e;
        const yki_rank *owner = base + rank;
        local = &owner->program->parameters[owner->program->local_of[parameter]];
        const char *from = owner->memory + tensor_offset(run, local, kind);
        if (!bf16) {
            memcpy(values + (e - first), (const float *)from + offset, sizeof(float) * (size_t)run_length);
            continue;
        }
        for (int64_t i = 0; i < run_length; i++) {
            uint32_t bits = (uint32_t)((const uint16_t *)from)[offset + i] << 16;
            memcpy(&values[e - first + i], &bits, sizeof bits);
        }
    }
    map_release(&m);
}

void yki_run_write(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                   const float *values)
{
    const yki_plan *plan = run->plan;
    yki_spec spec = plan->param_places[parameter].spec;
    int copies = yki_spec_copies(spec);
    map m;
    if (!map_init(&m, plan, parameter)) {
        map_release(&m);
        return;
    }
    for (int r = 0; r < run->nranks; r++) {
        yki_rank *rank = &run->ranks[r];
        int at = rank->program->local_of[parameter];
        if (at < 0) continue;
        const yki_local_parameter *local = &rank->program->parameters[at];
        int64_t offset_bytes = tensor_offset(run, local, kind);
        bool both = kind == YKI_TENSOR_WEIGHT && weight_is_bf16(run, parameter),
             f32 = !(both && plan->options.inference);
        for (int64_t e = first, run_length; e < first + count; e += run_length) {
            int owner;
            int64_t offset;
            run_length = map_find(&m, e, &owner, &offset);
            if (run_length > first + count - e) run_length = first + count - e;
            if (spec.state == YKI_SHARDED && owner / copies != rank->place[YKI_AXIS_TP] / copies) continue;
            if (f32)
                memcpy((float *)(rank->memory + offset_bytes) + offset, values + (e - first),
                       sizeof(float) * (size_t)run_length);
            for (int64_t i = 0; i < run_length && both; i++)
                ((uint16_t *)(rank->memory + local->weight))[offset + i] = to_bf16(values[e - first + i]);
        }
    }
    map_release(&m);
}

static float first_value(const yki_parameter *p, uint64_t key, int64_t e)
{
    switch (p->init) {
    case YKI_INIT_ZERO:
        return 0;
    case YKI_INIT_ONE:
        return 1;
    case YKI_INIT_UNIFORM:
        return (float)((2 * yki_rng_uniform(key, (uint64_t)e) - 1) * p->init_scale);
    case YKI_INIT_NORMAL:
        return (float)(p->init_scale * (double)yki_rng_normal(key, (uint64_t)e));
    }
    return 0;
}

yoke_status yki_run_init_weights(yki_run *run, uint64_t seed)
{
    enum { BLOCK = 1 << 16 };
    const yoke_model *model = run->plan->options.model;
    float *block = malloc(sizeof(float) * BLOCK);
    if (!block) return yki_fail_memory("first weights");
    for (int i = 0; i < model->nparameters; i++) {
        const yki_parameter *p = &model->parameters[i];
        int64_t elems = yki_value_elems(&model->values[p->value]);
        uint64_t key = yki_rng_key(seed, p->name, 0);
        for (int64_t first = 0; first < elems; first += BLOCK) {
            int64_t count = elems - first < BLOCK ? elems - first : BLOCK;
            for (int64_t e = 0; e < count; e++) block[e] = first_value(p, key, first + e);
            yki_run_write(run, YKI_TENSOR_WEIGHT, i, first, count, block);
        }
    }
    free(block);
    return YOKE_OK;
}
