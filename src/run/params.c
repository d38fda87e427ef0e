/* Parameters between steps: logical elements to and from the ranks that hold them, and first values. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/rng.h"
#include "run/holding.h"

/* Elements [first, first + count) of a rank's share: to `values`, or from them. */
static void move(const yki_holding *held, int64_t first, int64_t count, float *values, bool reads)
{
    yki_holding_walk walk = {0};
    for (yki_block block; yki_holding_next(held, &walk, INT64_MAX, &block);) {
        int64_t skipped = (first - block.first - block.columns) / held->row_elems;
        for (int64_t i = skipped > 0 ? skipped : 0; i < block.rows; i++) {
            int64_t begin = block.first + i * held->row_elems, end = begin + block.columns,
                    from = begin > first ? begin : first, to = end < first + count ? end : first + count;
            if (begin >= first + count) break;
            if (from >= to) continue;
            yki_block part = {.rows = 1,
                              .columns = to - from,
                              .at = block.at + i * held->row_step + (from - begin) * held->column_step};
            if (reads)
                yki_holding_pack(held, &part, values + (from - first), part.columns);
            else
                yki_holding_unpack(held, &part, values + (from - first));
        }
    }
}

/* What this process's ranks have read, to be whole in all processes. */
typedef struct read_values {
    yoke_status status;
    float *values;
    int64_t count;
} read_values;

static yoke_status share_values(yki_rank *rank, void *of)
{
    const read_values *read = of;
    if (read->status != YOKE_OK) return yki_fail_memory("a rank's share of a tensor");
    return yki_rank_share(rank, read->values, read->count);
}

yoke_status yki_run_read(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                         float *values)
{
    yoke_status status = YOKE_OK;
    kind = yki_logical_kind(run->plan, kind, parameter);
    if (run->clustered) memset(values, 0, sizeof *values * (size_t)count);
    for (int r = 0; r < run->nlocal && status == YOKE_OK; r++) {
        yki_holding held;
        status = yki_holding_init(&run->ranks[r], kind, parameter, true, &held);
        if (status == YOKE_OK) status = yki_holding_fetch(&held);
        if (status == YOKE_OK) move(&held, first, count, values, true);
        yki_holding_release(&held);
    }
    if (!run->clustered) return status;
    return yki_run_command(run, share_values, &(read_values){status, values, count});
}

/* What this process's ranks hold of a tensor, to be written: of weights the f32 master, and the copy that
 * computes. */
typedef struct holders {
    yki_holding *held;
    int count;
} holders;

static void close_holders(holders *all)
{
    for (int i = 0; i < all->count; i++) yki_holding_release(&all->held[i]);
    free(all->held);
}

static yoke_status open_holders(yki_run *run, yki_tensor_kind kind, int parameter, holders *all)
{
    yki_tensor_kind kinds[] = {kind, yki_logical_kind(run->plan, kind, parameter)};
    int nkinds = kinds[0] == kinds[1] ? 1 : 2;
    *all = (holders){calloc((size_t)(run->nlocal * nkinds), sizeof *all->held), run->nlocal * nkinds};
    if (!all->held) {
        all->count = 0;
        return yki_fail_memory("a rank's share of a tensor");
    }
    for (int i = 0; i < all->count; i++) {
        YKI_TRY(
            yki_holding_init(&run->ranks[i / nkinds], kinds[i % nkinds], parameter, false, &all->held[i]));
        YKI_TRY(yki_holding_fetch(&all->held[i]));
    }
    return YOKE_OK;
}

static void write_holders(const holders *all, int64_t first, int64_t count, const float *values)
{
    for (int i = 0; i < all->count; i++) move(&all->held[i], first, count, (float *)(uintptr_t)values, false);
}

static yoke_status flush_holders(const holders *all)
{
    for (int i = 0; i < all->count; i++) YKI_TRY(yki_holding_flush(&all->held[i]));
    return YOKE_OK;
}

yoke_status yki_run_write(yki_run *run, yki_tensor_kind kind, int parameter, int64_t first, int64_t count,
                          const float *values)
{
    holders all;
    yoke_status status = open_holders(run, kind, parameter, &all);
    if (status == YOKE_OK) write_holders(&all, first, count, values);
    if (status == YOKE_OK) status = flush_holders(&all);
    close_holders(&all);
    return status;
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

enum { BLOCK = 1 << 16 };

static yoke_status init_parameter(yki_run *run, int parameter, uint64_t seed, float *block)
{
    const yoke_model *model = run->plan->options.model;
    const yki_parameter *p = &model->parameters[parameter];
    int64_t elems = yki_value_elems(&model->values[p->value]);
    uint64_t key = yki_rng_key(seed, p->name, 0);
    holders all;
    yoke_status status = open_holders(run, YKI_TENSOR_WEIGHT, parameter, &all);
    for (int64_t first = 0; first < elems && status == YOKE_OK; first += BLOCK) {
        int64_t count = elems - first < BLOCK ? elems - first : BLOCK;
        for (int64_t e = 0; e < count; e++) block[e] = first_value(p, key, first + e);
        write_holders(&all, first, count, block);
    }
    if (status == YOKE_OK) status = flush_holders(&all);
    close_holders(&all);
    return status;
}

yoke_status yki_run_init_weights(yki_run *run, uint64_t seed, bool adapters)
{
    const yoke_model *model = run->plan->options.model;
    float *block = malloc(sizeof(float) * BLOCK);
    if (!block) return yki_fail_memory("first weights");
    yoke_status status = YOKE_OK;
    for (int i = 0; i < model->nparameters && status == YOKE_OK; i++)
        if (!adapters || model->parameters[i].of_adapter) status = init_parameter(run, i, seed, block);
    free(block);
    return status;
}
