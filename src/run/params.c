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

/* Where a rank keeps its tensor of a kind. */
static char *tensor_of(const yki_rank *rank, int parameter, yki_tensor_kind kind)
{
    const yki_kept *kept = &rank->states->kept[rank->program->local_of[parameter]];
    const int64_t offset[] = {[YKI_TENSOR_WEIGHT] = kept->weight,
                              [YKI_TENSOR_MASTER] = kept->master,
                              [YKI_TENSOR_GRADIENT] = kept->gradient,
                              [YKI_TENSOR_MOMENT1] = kept->moment1,
                              [YKI_TENSOR_MOMENT2] = kept->moment2};
    return rank->memory + offset[kind];
}

/* Which shard has element `offset` of a lane's tensor, and where in the shard; returns how many of the
 * `count` elements from there on it has one after the other. */
static int64_t shard_find(const yki_cut *cut, int shards, int64_t offset, int64_t count, int *shard,
                          int64_t *at)
{
    int64_t size = yki_shares_before(cut->share, shards), rows = offset / cut->inner, row = rows % size;
    int owner = 0;
    while (row >= cut->share[owner]) row -= cut->share[owner++];
    *shard = owner;
    *at = (rows / size * cut->share[owner] + row) * cut->inner + offset % cut->inner;
    int64_t left = (cut->share[owner] - row) * cut->inner - offset % cut->inner;
    return count < left ? count : left;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static bool is_buffer(const yki_run *run, int parameter)
{
    return run->plan->options.model->parameters[parameter].buffer;
}

/* Whether shards have a tensor each a part. */
static bool is_apart(const yki_run *run, int parameter, yki_tensor_kind kind)
{
    return !is_buffer(run, parameter) && yki_states_sharded(run->plan, kind);
}

static bool is_bf16(const yki_run *run, int parameter, yki_tensor_kind kind)
{
    return !is_buffer(run, parameter) && kind == YKI_TENSOR_WEIGHT &&
           run->plan->options.precision == YOKE_PRECISION_BF16;
}

/* The kind that has what people call a weight: the f32 master where there is one. */
static yki_tensor_kind logical(const yki_run *run, int parameter, yki_tensor_kind kind)
{
    return is_bf16(run, parameter, kind) && !run->plan->options.inference ? YKI_TENSOR_MASTER : kind;
}

void yki_run_read(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                  float *values)
{
    const yki_plan *plan = run->plan;
    int place[YKI_AXIS_COUNT] = {0};
    place[YKI_AXIS_PP] = plan->param_places[parameter].first_stage;
    kind = logical(run, parameter, kind);
    /* after a step, a gradient is whole in no rank's memory, even where each has room for all of it */
    bool shards = plan->zero >= 1 && kind != YKI_TENSOR_WEIGHT && !is_buffer(run, parameter),
         apart = is_apart(run, parameter, kind);
    map m;
    if (!map_init(&m, plan, parameter)) {
        map_release(&m);
        memset(values, 0, sizeof(float) * (size_t)count);
        return;
    }
    for (int64_t e = first, run_length; e < first + count; e += run_length) {
        int64_t offset, at;
        run_length = map_find(&m, e, &place[YKI_AXIS_TP], &offset);
        if (run_length > first + count - e) run_length = first + count - e;
        const yki_program *program = run->ranks[yki_mesh_rank(&plan->mesh, place)].program;
        place[YKI_AXIS_DP] = 0;
        if (shards || apart)
            run_length = shard_find(&program->parameters[program->local_of[parameter]].cut, plan->shards,
                                    offset, run_length, &place[YKI_AXIS_DP], &at);
        if (apart) offset = at;
        const char *from = tensor_of(&run->ranks[yki_mesh_rank(&plan->mesh, place)], parameter, kind);
        if (!is_bf16(run, parameter, kind)) {
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

/* The elements of a rank's tensor. */
static void write_rank(yki_rank *rank, const map *m, yki_tensor_kind kind, int parameter, int64_t first,
                       int64_t count, const float *values)
{
    const yki_plan *plan = rank->plan;
    yki_spec spec = plan->param_places[parameter].spec;
    int copies = yki_spec_copies(spec), mine = rank->place[YKI_AXIS_DP] % plan->shards;
    bool apart = is_apart(rank->run, parameter, kind), bf16 = is_bf16(rank->run, parameter, kind);
    const yki_cut *cut = &rank->program->parameters[rank->program->local_of[parameter]].cut;
    char *to = tensor_of(rank, parameter, kind);
    for (int64_t e = first, run_length; e < first + count; e += run_length) {
        int owner, shard = mine;
        int64_t offset, at;
        run_length = map_find(m, e, &owner, &offset);
        if (run_length > first + count - e) run_length = first + count - e;
        if (spec.state == YKI_SHARDED && owner / copies != rank->place[YKI_AXIS_TP] / copies) continue;
        if (apart) {
            run_length = shard_find(cut, plan->shards, offset, run_length, &shard, &at);
            offset = at;
        }
        if (shard != mine) continue;
        if (!bf16) memcpy((float *)to + offset, values + (e - first), sizeof(float) * (size_t)run_length);
        for (int64_t i = 0; i < run_length && bf16; i++)
            ((uint16_t *)to)[offset + i] = to_bf16(values[e - first + i]);
    }
}

void yki_run_write(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                   const float *values)
{
    map m;
    if (!map_init(&m, run->plan, parameter)) {
        map_release(&m);
        return;
    }
    for (int r = 0; r < run->nranks; r++) {
        yki_rank *rank = &run->ranks[r];
        if (rank->program->local_of[parameter] < 0) continue;
        write_rank(rank, &m, kind, parameter, first, count, values);
        if (logical(run, parameter, kind) != kind)
            write_rank(rank, &m, logical(run, parameter, kind), parameter, first, count, values);
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
