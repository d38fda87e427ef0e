/* Holdings: what a rank has of a logical tensor, and moving blocks of it. */
#include "run/holding.h"

#include <stdlib.h>
#include <string.h>

#include "base/bf16.h"
#include "base/fail.h"

static bool is_frozen(const yki_plan *plan, int parameter)
{
    return plan->options.model->parameters[parameter].frozen;
}

static bool is_buffer(const yki_plan *plan, int parameter)
{
    return plan->options.model->parameters[parameter].buffer;
}

yki_tensor_kind yki_logical_kind(const yki_plan *plan, yki_tensor_kind kind, int parameter)
{
    bool has_master = plan->options.precision == YOKE_PRECISION_BF16 && yki_plan_trains(plan) &&
                      !is_buffer(plan, parameter) && !is_frozen(plan, parameter);
    return kind == YKI_TENSOR_WEIGHT && has_master ? YKI_TENSOR_MASTER : kind;
}

/* Of the indexes that a lane has, those from `from` to `end` are wanted, and kept from `kept` on. */
typedef struct window {
    int64_t from, end, kept;
} window;

static void add(yki_stretch *list, int *count, window w, int64_t first, int64_t local, int64_t n)
{
    int64_t from = local > w.from ? local : w.from, end = local + n < w.end ? local + n : w.end;
    if (from >= end) return;
    yki_stretch made = {first + from - local, from - w.kept, end - from};
    yki_stretch *last = *count > 0 ? &list[*count - 1] : NULL;
    if (last && last->first + last->count == made.first && last->local + last->count == made.local)
        last->count += made.count;
    else
        list[(*count)++] = made;
}

/* Neighbours along dp that own shards of it. After a step, a gradient is whole in no rank's memory, even
 * where each has room for all of it. */
static int owners_of(const yki_plan *plan, yki_tensor_kind kind, int parameter)
{
    bool whole = is_buffer(plan, parameter) || (kind == YKI_TENSOR_WEIGHT && !yki_states_sharded(plan, kind));
    return whole ? 1 : plan->shards;
}

bool yki_owned_whole(const yki_plan *plan, yki_tensor_kind kind, int parameter)
{
    yki_spec spec = plan->param_places[parameter].spec;
    return owners_of(plan, kind, parameter) == 1 &&
           (spec.state != YKI_SHARDED || plan->mesh.degree[YKI_AXIS_TP] == yki_spec_copies(spec));
}

/* Of those who have the same elements one owns them: the last along tp, the first along all other axes; where
 * zero deals them, the first that has the shard. */
static bool is_owner(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    const yki_plan *plan = rank->plan;
    const yki_param_place *place = &plan->param_places[parameter];
    int tp = rank->place[YKI_AXIS_TP], copies = yki_spec_copies(place->spec);
    return rank->place[YKI_AXIS_PP] == place->first_stage && rank->place[YKI_AXIS_CP] == 0 &&
           rank->place[YKI_AXIS_DP] < owners_of(plan, kind, parameter) &&
           (place->spec.state == YKI_SHARDED ? tp % copies == copies - 1 : tp == 0);
}

/* What the rank has along tp, in each section, of a dim of `size` between `outer` and `inner` indexes. */
static void add_cut(yki_stretch *list, int *count, window w, const yki_rank *rank, int parameter,
                    int64_t size, int64_t outer, int64_t inner)
{
    yki_spec spec = rank->plan->param_places[parameter].spec;
    int degree = rank->plan->mesh.degree[YKI_AXIS_TP], tp = rank->place[YKI_AXIS_TP];
    int64_t start = yki_spec_start(spec, size, degree, tp), section = size / spec.sections,
            each = yki_spec_share(spec, size, degree, tp) / spec.sections;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t s = 0; s < spec.sections; s++)
            add(list, count, w, (o * size + s * section + start) * inner,
                (o * spec.sections + s) * each * inner, each * inner);
}

/* Rows that are kept: a shard of the lane's, or all of them; and which of them are wanted. */
static window rows_window(const yki_rank *rank, yki_tensor_kind kind, int parameter, bool own, int64_t *kept)
{
    const yki_plan *plan = rank->plan;
    const yki_cut *cut = &rank->program->parameters[rank->program->local_of[parameter]].cut;
    int mine = rank->place[YKI_AXIS_DP] % plan->shards;
    int64_t before = yki_shares_before(cut->share, mine), end = before + cut->share[mine];
    bool dealt = !is_buffer(plan, parameter), apart = dealt && yki_states_sharded(plan, kind),
         shard = apart || (dealt && own && plan->shards > 1 && kind != YKI_TENSOR_WEIGHT);
    *kept = apart ? cut->share[mine] : yki_shares_before(cut->share, plan->shards);
    return (window){shard ? before : 0, shard ? end : INT64_MAX, apart ? before : 0};
}

yoke_status yki_holding_init(const yki_rank *rank, yki_tensor_kind kind, int parameter, bool own,
                             yki_holding *held)
{
    const yki_parameter *p = &rank->plan->options.model->parameters[parameter];
    yki_spec spec = rank->plan->param_places[parameter].spec;
    *held = (yki_holding){.rank = rank};
    if (rank->program->local_of[parameter] < 0 || (own && !is_owner(rank, kind, parameter))) return YOKE_OK;
    held->tensor = yki_rank_tensor(rank, kind, rank->program->local_of[parameter]);
    if (!held->tensor.data) return YOKE_OK;
    int cut = spec.state != YKI_SHARDED ? -1 : p->transposed ? 1 - spec.dim : spec.dim;
    int64_t rows = p->ndim > 0 ? p->dims[0] : 1, kept_rows, outer = 1, inner = 1;
    window w = rows_window(rank, kind, parameter, own, &kept_rows), all = {0, INT64_MAX, 0};
    held->row_elems = 1;
    for (int d = 1; d < p->ndim; d++) {
        held->row_elems *= p->dims[d];
        if (d < cut) outer *= p->dims[d];
        if (d > cut) inner *= p->dims[d];
    }
    int64_t sections = cut >= 0 ? spec.sections : 1;
    held->rows = malloc(sizeof *held->rows * (size_t)sections);
    held->columns = malloc(sizeof *held->columns * (size_t)(sections * outer));
    if (!held->rows || !held->columns) return yki_fail_memory("a rank's share of a tensor");
    if (cut == 0)
        add_cut(held->rows, &held->nrows, w, rank, parameter, rows, 1, 1);
    else
        add(held->rows, &held->nrows, w, 0, 0, rows);
    if (cut > 0)
        add_cut(held->columns, &held->ncolumns, all, rank, parameter, p->dims[cut], outer, inner);
    else
        add(held->columns, &held->ncolumns, all, 0, 0, held->row_elems);
    for (int i = 0; i < held->ncolumns; i++) held->kept_columns += held->columns[i].count;
    held->row_step = p->transposed ? 1 : held->kept_columns;
    held->column_step = p->transposed ? kept_rows : 1;
    return YOKE_OK;
}

void yki_holding_forget(yki_holding *held)
{
    free(held->fetched);
    held->data = held->fetched = NULL;
}

void yki_holding_release(yki_holding *held)
{
    yki_holding_forget(held);
    free(held->rows);
    free(held->columns);
}

static size_t bytes_of(const yki_holding *held)
{
    return (size_t)yki_view_elems(&held->tensor) * yki_dtype_bytes(held->tensor.dtype);
}

yoke_status yki_holding_fetch(yki_holding *held)
{
    const yki_rank *rank = held->rank;
    if (held->nrows == 0) return YOKE_OK;
    held->data = rank->backend->host_address(rank->device, held->tensor.data);
    if (held->data) return YOKE_OK;
    held->data = held->fetched = malloc(bytes_of(held) + 1);
    if (!held->fetched) return yki_fail_memory("a copy of a tensor of the device");
    yki_queue_transfer(rank->queue, YKI_DOWNLOAD, held->data, held->tensor.data, bytes_of(held));
    return rank->backend->synchronize(rank->queue);
}

yoke_status yki_holding_flush(yki_holding *held)
{
    const yki_rank *rank = held->rank;
    if (!held->fetched) return YOKE_OK;
    yki_queue_transfer(rank->queue, YKI_UPLOAD, held->tensor.data, held->data, bytes_of(held));
    return rank->backend->synchronize(rank->queue);
}

bool yki_holding_plain(const yki_holding *held)
{
    return held->tensor.dtype == YKI_F32 && held->column_step == 1;
}

bool yki_holding_next(const yki_holding *held, yki_holding_walk *walk, int64_t most, yki_block *block)
{
    if (walk->column == held->ncolumns) { /* of these rows, all columns were taken */
        walk->column = 0;
        walk->row_offset += walk->rows_taken;
        walk->rows_taken = 0;
        if (walk->row < held->nrows && walk->row_offset == held->rows[walk->row].count) {
            walk->row_offset = 0;
            walk->row++;
        }
    }
    if (walk->row >= held->nrows || held->ncolumns == 0) return false;
    const yki_stretch *rows = &held->rows[walk->row], *columns = &held->columns[walk->column];
    if (walk->rows_taken == 0) { /* as many rows as there is room for, whatever the columns' stretches */
        int64_t left = rows->count - walk->row_offset, room = most / held->kept_columns;
        walk->rows_taken = room < 1 ? 1 : room < left ? room : left;
    }
    int64_t row = rows->first + walk->row_offset, local_row = rows->local + walk->row_offset,
            column = columns->first + walk->column_offset,
            local_column = columns->local + walk->column_offset, left = columns->count - walk->column_offset;
    *block = (yki_block){.first = row * held->row_elems + column,
                         .rows = walk->rows_taken,
                         .columns = left < most ? left : most,
                         .at = local_row * held->row_step + local_column * held->column_step};
    walk->column_offset += block->columns;
    if (walk->column_offset == columns->count) {
        walk->column_offset = 0;
        walk->column++;
    }
    /* rows that follow each other in both places are one long one */
    if (block->columns == held->row_elems && held->column_step == 1 && held->row_step == held->row_elems) {
        block->columns *= block->rows;
        block->rows = 1;
    }
    return true;
}

static void read_row(const yki_holding *held, int64_t at, int64_t count, float *values)
{
    int64_t step = held->column_step;
    if (held->tensor.dtype == YKI_BF16) {
        const uint16_t *from = (const uint16_t *)(void *)held->data + at;
        for (int64_t i = 0; i < count; i++) values[i] = yki_bf16_to_f32(from[i * step]);
        return;
    }
    const float *from = (const float *)(void *)held->data + at;
    if (step == 1)
        memcpy(values, from, sizeof *values * (size_t)count);
    else
        for (int64_t i = 0; i < count; i++) values[i] = from[i * step];
}

static void write_row(const yki_holding *held, int64_t at, int64_t count, float *values)
{
    int64_t step = held->column_step;
    if (held->tensor.dtype == YKI_BF16) {
        uint16_t *to = (uint16_t *)(void *)held->data + at;
        for (int64_t i = 0; i < count; i++) to[i * step] = yki_bf16_from_f32(values[i]);
        return;
    }
    float *to = (float *)(void *)held->data + at;
    if (step == 1)
        memcpy(to, values, sizeof *values * (size_t)count);
    else
        for (int64_t i = 0; i < count; i++) to[i * step] = values[i];
}

/* Of a transposed tensor, a few rows and columns at a time: neighbours in memory are in different rows. */
enum { TILE = 16 }; /* a cache line */

/* A tile of f32 whose columns lie one after the other: each line of memory is read once, whole. Lines whose
 * distance is a power of two or near push each other out of a first cache, so none is come back to. */
static void turn_tile(const float *from, int64_t from_step, float *to, int64_t to_step)
{
    float tile[TILE][TILE];
    for (int c = 0; c < TILE; c++)
        for (int r = 0; r < TILE; r++) tile[r][c] = from[c * from_step + r];
    for (int r = 0; r < TILE; r++) memcpy(to + r * to_step, tile[r], sizeof tile[r]);
}

/* Whether a tile can be turned: columns of f32 in memory, a row's next element next to it. */
static bool turns(const yki_holding *held)
{
    return held->column_step != 1 && held->row_step == 1 && held->tensor.dtype == YKI_F32;
}

static void turn(const yki_holding *held, int64_t at, float *outside, int64_t step, bool packs)
{
    float *inside = (float *)(void *)held->data + at;
    if (packs)
        turn_tile(inside, held->column_step, outside, step);
    else
        turn_tile(outside, step, inside, held->column_step);
}

static void move_rows(const yki_holding *held, int64_t at, int64_t rows, int64_t columns, float *outside,
                      int64_t step, bool packs)
{
    for (int64_t i = 0; i < rows; i++)
        (packs ? read_row : write_row)(held, at + i * held->row_step, columns, outside + i * step);
}

/* Elements of a block between memory and values whose rows lie `step` apart. */
static void move(const yki_holding *held, const yki_block *block, float *values, int64_t step, bool packs)
{
    int64_t width = held->column_step == 1 ? block->columns : TILE;
    for (int64_t r = 0; r < block->rows; r += TILE)
        for (int64_t c = 0; c < block->columns; c += width) {
            int64_t at = block->at + r * held->row_step + c * held->column_step,
                    rows = block->rows - r < TILE ? block->rows - r : TILE,
                    columns = block->columns - c < width ? block->columns - c : width;
            float *outside = values + r * step + c;
            if (turns(held) && rows == TILE && columns == TILE)
                turn(held, at, outside, step, packs);
            else
                move_rows(held, at, rows, columns, outside, step, packs);
        }
}

void yki_holding_pack(const yki_holding *held, const yki_block *block, float *values, int64_t step)
{
    move(held, block, values, step, true);
}

void yki_holding_unpack(const yki_holding *held, const yki_block *block, const float *values)
{
    move(held, block, (float *)(uintptr_t)values, block->columns, false);
}
