/* RECALL and RECALL_GQA, included by each isa_*.c behind attention.c, whose blocks serve runs of rows: those
 * of one slot that follow each other, as of a prompt. A row by itself, as of a token that was just drawn,
 * reads keys and values where they lie, once and in a row, at the speed of memory: its scores are made VL
 * keys at a time, whose partial sums are transposed, so that no sum goes across a vector. */

enum { RECALL_RUN = 8 };         /* rows that are a run; fewer are taken one by one */
enum { RECALL_ALONE = 1 << 15 }; /* elements of the cache below which a team's start takes longer */

typedef struct recall {
    attention s; /* of any run: what all have alike */
    const int32_t *at;
    const yki_view *keys, *values;
    int64_t rows, slots, room; /* room: tokens of a slot */
    int parts;
} recall;

/* Rows of one slot at positions that follow each other. */
typedef struct recall_rows {
    int64_t first, count, slot, position;
} recall_rows;

static recall recall_shape(const yki_launch *launch, int threads)
{
    const yki_view *v = launch->views;
    const yki_attr *attr = launch->attr;
    bool packed = launch->kernel == YKI_KERNEL_RECALL;
    const yki_view *at = &v[packed ? 1 : 3], *y = at + 1;
    recall r = {.at = at->data, .keys = at + 2, .values = at + 3, .rows = v[0].dims[0]};
    attention *s = &r.s;
    r.slots = r.keys->dims[0], r.room = r.keys->dims[2];
    s->H = y->dims[2], s->d = y->dims[3], s->G = r.keys->dims[1];
    s->D = (s->d + VL - 1) / VL * VL;
    s->n = 1;
    s->group = packed ? 1 : attr->group;
    s->shift = packed ? 0 : attr->offset - attr->first_group * attr->group;
    s->causal = true;
    s->window = attr->window;
    s->scale = s->d > 0 ? (float)(1 / sqrt((double)s->d)) : 0;
    int64_t width = s->H * s->d, other = s->G * s->d;
    s->q = head_rows_of(v, packed ? 3 * width : width, 0);
    s->k = packed ? head_rows_of(v, 3 * width, width) : head_rows_of(v + 1, other, 0);
    s->v = packed ? head_rows_of(v, 3 * width, 2 * width) : head_rows_of(v + 2, other, 0);
    s->y = head_rows_of(y, width, 0);
    r.parts = r.rows * s->H < threads ? (int)(r.rows * s->H) : threads;
    if (r.parts < 1 || s->G * s->d * r.room < RECALL_ALONE) r.parts = 1;
    return r;
}

/* The row's run, of which it is the first; false: it has no place in the cache. */
static bool recall_find(const recall *r, int64_t row, recall_rows *run)
{
    const int32_t *at = r->at + 2 * row;
    *run = (recall_rows){row, 1, at[0], at[1]};
    if (at[0] < 0 || at[0] >= r->slots || at[1] < 0 || at[1] >= r->room) return false;
    while (row + run->count < r->rows && at[2 * run->count] == at[0] &&
           at[2 * run->count + 1] == at[1] + run->count && at[1] + run->count < r->room)
        run->count++;
    if (run->count < RECALL_RUN) run->count = 1;
    return true;
}

/* Where the tokens of a slot's head begin in the cache, in elements. */
static int64_t recall_head(const recall *r, int64_t slot, int64_t head)
{
    return (slot * r->s.G + head) * r->room * r->s.d;
}

/* Puts rows' k and v of one head into the cache. */
static void recall_store(const recall *r, int64_t head)
{
    const attention *s = &r->s;
    for (int64_t row = 0; row < r->rows; row++) {
        int64_t slot = r->at[2 * row], position = r->at[2 * row + 1];
        if (slot < 0 || slot >= r->slots || position < 0 || position >= r->room) continue;
        int64_t to = recall_head(r, slot, head) + position * s->d;
        vf_copy(r->keys->data, r->keys->dtype, to, s->k.data, s->k.type,
                row * s->k.step + s->k.first + head * s->d, s->d, 1);
        vf_copy(r->values->data, r->values->dtype, to, s->v.data, s->v.type,
                row * s->v.step + s->v.first + head * s->d, s->d, 1);
    }
}

/* scores[0..VL) of keys first.., of which `count` are there, with q [D]. */
INLINE vf recall_scores(const attention *s, const void *keys, const yki_dtype type, int64_t first, int count,
                        const float *q)
{
    vf sum[VL];
    UNROLL for (int k = 0; k < VL; k++) sum[k] = vf_set(0);
    for (int64_t i = 0; i < s->d; i += VL) {
        int part = s->d - i < VL ? (int)(s->d - i) : VL;
        vf x = vf_load(q + i);
        UNROLL for (int k = 0; k < VL; k++) sum[k] +=
            x * vf_read(keys, type, (first + (k < count ? k : 0)) * s->d + i, part);
    }
    vf_transpose(sum);
    for (int step = 1; step < VL; step *= 2)
        for (int k = 0; k + step < VL; k += 2 * step) sum[k] += sum[k + step];
    return sum[0];
}

/* y[0..d) = the sum of weights times values of keys first .. end-1. */
INLINE void recall_sum(const attention *s, const void *values, const yki_dtype type, int64_t count,
                       const float *weights, float *y)
{
    for (int64_t i = 0; i < s->d; i += 4 * VL) {
        vf sum[4];
        int part[4];
        for (int j = 0; j < 4; j++) {
            int64_t left = s->d - i - j * VL;
            part[j] = left < 0 ? 0 : left < VL ? (int)left : VL;
            sum[j] = vf_set(0);
        }
        if (part[3] == VL) {
            for (int64_t k = 0; k < count; k++)
                UNROLL for (int j = 0; j < 4; j++) sum[j] +=
                    weights[k] * vf_read(values, type, k * s->d + i + j * VL, VL);
        } else {
            for (int64_t k = 0; k < count; k++)
                for (int j = 0; j < 4 && part[j] > 0; j++)
                    sum[j] += weights[k] * vf_read(values, type, k * s->d + i + j * VL, part[j]);
        }
        for (int j = 0; j < 4 && part[j] > 0; j++) vf_store(y + i + j * VL, sum[j]);
    }
}

/* The functions of a type, so that it is known where elements are read. */
static vf recall_scores_f32(const attention *s, const void *keys, int64_t first, int count, const float *q)
{
    return recall_scores(s, keys, YKI_F32, first, count, q);
}
static vf recall_scores_bf16(const attention *s, const void *keys, int64_t first, int count, const float *q)
{
    return recall_scores(s, keys, YKI_BF16, first, count, q);
}
static void recall_sum_f32(const attention *s, const void *values, int64_t count, const float *weights,
                           float *y)
{
    recall_sum(s, values, YKI_F32, count, weights, y);
}
static void recall_sum_bf16(const attention *s, const void *values, int64_t count, const float *weights,
                            float *y)
{
    recall_sum(s, values, YKI_BF16, count, weights, y);
}

static const void *recall_at(const yki_view *view, int64_t element)
{
    return (const char *)view->data + element * (int64_t)yki_dtype_bytes(view->dtype);
}

/* One head of one row; space: scores of all keys, q and y. */
static void recall_row(const recall *r, const recall_rows *run, int64_t head, float *space)
{
    const attention *s = &r->s;
    bool bf16 = r->keys->dtype == YKI_BF16;
    int64_t low = s->window > 0 && s->window <= run->position ? run->position - s->window + 1 : 0;
    int64_t count = run->position + 1 - low;
    int64_t from = recall_head(r, run->slot, (head + s->shift) / s->group) + low * s->d;
    const void *keys = recall_at(r->keys, from), *values = recall_at(r->values, from);
    float *scores = space, *q = scores + (r->room + VL - 1) / VL * VL, *y = q + s->D;
    vf_store(q + s->D - VL, vf_set(0));
    vf_copy(q, YKI_F32, 0, s->q.data, s->q.type, run->first * s->q.step + s->q.first + head * s->d, s->d,
            s->scale * (float)LOG2_E);
    vf most = vf_set(-INFINITY), total = vf_set(0);
    for (int64_t k = 0; k < count; k += VL) {
        int part = count - k < VL ? (int)(count - k) : VL;
        vf x = (bf16 ? recall_scores_bf16 : recall_scores_f32)(s, keys, k, part, q);
        for (int i = part; i < VL; i++) x[i] = -INFINITY;
        vf_store(scores + k, x);
        most = vf_max(most, x);
    }
    float largest = most[0];
    for (int i = 1; i < VL; i++) largest = largest > most[i] ? largest : most[i];
    for (int64_t k = 0; k < count; k += VL) {
        vf e = vf_exp2(vf_load(scores + k) - largest);
        vf_store(scores + k, e);
        total += e;
    }
    (bf16 ? recall_sum_bf16 : recall_sum_f32)(s, values, count, scores, y);
    vf_copy(s->y.data, s->y.type, run->first * s->y.step + head * s->d, y, YKI_F32, 0, s->d,
            1 / vf_sum(total));
}

static size_t recall_row_floats(const recall *r)
{
    return (size_t)((r->room + VL - 1) / VL * VL + 2 * r->s.D + 4 * VL);
}

/* A run's head as a block of attention's; space: its logarithms of sums, and what attention needs. */
static void recall_run_head(const recall *r, const yki_launch *launch, const recall_rows *run, int64_t head,
                            int64_t *loaded, float *space)
{
    attention s = r->s;
    s.T = run->count, s.S = s.length = run->position + run->count;
    s.rows = (yki_positions){.first = run->position};
    s.q.first += run->first * s.q.step, s.y.first += run->first * s.y.step;
    s.lse = space - head * s.T; /* the head's rows come first */
    int64_t other = (head + s.shift) / s.group, from = recall_head(r, run->slot, other);
    attention_space w = {.K = space + r->rows, .V = space + r->rows + r->room * s.D};
    w.scores = w.V + r->room * s.D;
    w.Q = w.scores + r->room * BQ;
    w.Y = w.Q + BQ * s.D;
    if (*loaded != run->first * s.G + other)
        for (int64_t t = 0; t < s.S; t++) {
            if (s.D > s.d) vf_store(w.K + (t + 1) * s.D - VL, vf_set(0));
            if (s.D > s.d) vf_store(w.V + (t + 1) * s.D - VL, vf_set(0));
            vf_copy(w.K + t * s.D, YKI_F32, 0, r->keys->data, r->keys->dtype, from + t * s.d, s.d, 1);
            vf_copy(w.V + t * s.D, YKI_F32, 0, r->values->data, r->values->dtype, from + t * s.d, s.d, 1);
        }
    *loaded = run->first * s.G + other;
    for (int64_t first = 0, count; first < s.T; first += count) {
        query_block b = attention_queries(&s, launch, 0, head, first);
        count = b.count;
        memset(w.Q + b.count * s.D, 0, (size_t)((b.columns - b.count) * s.D) * sizeof(float));
        head_read(&s, s.q, 0, head, first, b.count, s.scale * (float)LOG2_E, w.Q);
        attention_block(&s, &b, &w, 0, head);
    }
}

static size_t recall_floats(const recall *r)
{
    attention s = r->s;
    s.S = r->room;
    size_t alone = recall_row_floats(r);
    size_t run = r->rows < RECALL_RUN ? 0 : (size_t)r->rows + attention_floats(&s);
    return ((alone > run ? alone : run) + VL - 1) / VL * VL;
}

static size_t recall_workspace_bytes(const yki_launch *shapes, int threads)
{
    recall r = recall_shape(shapes, threads);
    return recall_floats(&r) * sizeof(float) * (size_t)r.parts;
}

/* Heads begin .. end-1 of all rows. */
static void recall_heads(const recall *r, const yki_launch *launch, int64_t begin, int64_t end, float *space)
{
    const attention *s = &r->s;
    int64_t loaded = -1;
    recall_rows run;
    for (int64_t row = 0; row < r->rows; row += run.count) {
        bool there = recall_find(r, row, &run);
        int64_t from = row * s->H, to = (row + run.count) * s->H;
        if (to <= begin || from >= end) continue;
        /* of a run, heads are dealt as if each stood for all of its rows */
        int64_t first = begin <= from ? 0 : (begin - from + run.count - 1) / run.count;
        int64_t last = end >= to ? s->H : (end - from + run.count - 1) / run.count;
        for (int64_t head = first; head < last; head++) {
            if (run.count > 1)
                recall_run_head(r, launch, &run, head, &loaded, space);
            else if (there)
                recall_row(r, &run, head, space);
            else
                for (int64_t i = 0; i < s->d; i++)
                    vf_write(s->y.data, s->y.type, row * s->y.step + head * s->d + i, vf_set(0), 1);
        }
    }
}

static void recall_run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    recall r = recall_shape(launch, threads);
    int64_t items = r.rows * r.s.H;
    if (items == 0 || r.s.d == 0) return;
    if (r.parts == 1) {
        for (int64_t g = 0; g < r.s.G; g++) recall_store(&r, g);
        recall_heads(&r, launch, 0, items, launch->workspace);
        return;
    }
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(r.parts)
#endif
    for (int part = 0; part < r.parts; part++)
        for (int64_t g = r.s.G * part / r.parts; g < r.s.G * (part + 1) / r.parts; g++) recall_store(&r, g);
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(r.parts)
#endif
    for (int part = 0; part < r.parts; part++)
        recall_heads(&r, launch, items * part / r.parts, items * (part + 1) / r.parts,
                     (float *)launch->workspace + recall_floats(&r) * (size_t)part);
}
