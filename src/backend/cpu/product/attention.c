/* ATTENTION, GQA and ATTEND on our own product, included by each isa_*.c; attention_grad.c shares the
 * helpers.
 *
 * They differ in where heads lie, in which of k and v a query head reads, in which positions queries and keys
 * have, and in whether a result is added to, no more. One thread works on
 * one head of one sample at a time. Its q, k and v are copied to f32 panels [rows, D], D the width of a head
 * rounded up to whole vectors and padded with zeros. Queries are taken BQ at a time, and their scores stored
 * transposed, keys x queries: a vector holds one key's scores for VL queries, so that the softmax needs no
 * sums across a vector, and both products read the scores where they lie. q is scaled by log2(e) / sqrt(d),
 * so that exp(score - max) is exp2 of a difference. Causal: a block's keys end at its last query, and the
 * square on the diagonal is done in strips of VL keys, each for the queries from its first key on. What lies
 * above the diagonal is never computed, but for corners of VL x VL. With a window keys before it are passed
 * over, and the band's lower edge is done as its upper one is. Source of the gradient's recomputation:
 * Dao et al., "FlashAttention", 2022, appendix B.2. */
#include <math.h>

#include "base/rng.h"

enum { BQ = 64 };    /* queries of a block */
enum { AHEAD = 16 }; /* rows of a head fetched ahead */
#define LOG2_E 1.44269504088896340736
#define LN_2   0.69314718055994530942

/* Heads of one operand: [n, rows] rows of `step` elements, in which the first head begins at element `first`.
 */
typedef struct head_rows {
    void *data;
    yki_dtype type;
    int64_t rows, step, first;
} head_rows;

typedef struct attention {
    int64_t n, T, S, H, d, D; /* T queries, S keys */
    int64_t G, group, shift;  /* heads of k and v; query head h reads (h + shift) / group of them */
    head_rows q, k, v, y;     /* y: and its gradient, but for the data */
    float *lse;               /* [n,H,T] */
    head_rows before;         /* what y, or dq, is added to; data NULL: nothing */
    const float *lse_before;
    bool causal;
    int64_t window;           /* causal: keys that a query sees; 0: all */
    yki_positions rows, keys; /* positions of queries and keys */
    int64_t length;           /* of the whole sequence */
    int parts;
    float scale; /* 1 / sqrt(d) */
    bool drop;
    uint64_t key;      /* dropout: of this step */
    int32_t threshold; /* dropped where 24 random bits are below */
    float kept_scale;
} attention;

/* A block of queries of one head. */
typedef struct query_block {
    int64_t first, count, columns; /* columns: count rounded up to whole vectors */
    int64_t start, keys;           /* start..keys-1 are seen by any of it; keys = 0: none */
    int64_t diagonal;      /* causal: the last key that its first query sees; each query sees one more */
    int64_t low;           /* the first, at `start` or before; each query sees one less */
    int64_t first_element; /* dropout: global index of (query `first`, position 0) of this head */
} query_block;

static head_rows head_rows_of(const yki_view *view, int64_t step, int64_t first)
{
    return (head_rows){view->data, view->dtype, view->dims[1], step, first};
}

/* Where the heads of q, k and v lie, from views[0]: qkv; q, k and v; or q and kv. */
static void attention_rows(const yki_launch *launch, const yki_view *views, const attention *s, head_rows *q,
                           head_rows *k, head_rows *v)
{
    int64_t width = s->H * s->d, other = s->G * s->d;
    switch (launch->kernel) {
    case YKI_KERNEL_ATTENTION:
    case YKI_KERNEL_ATTENTION_GRAD:
        *q = head_rows_of(views, 3 * width, 0), *k = head_rows_of(views, 3 * width, width);
        *v = head_rows_of(views, 3 * width, 2 * width);
        break;
    case YKI_KERNEL_GQA:
    case YKI_KERNEL_GQA_GRAD:
        *q = head_rows_of(views, width, 0), *k = head_rows_of(views + 1, other, 0);
        *v = head_rows_of(views + 2, other, 0);
        break;
    default:
        *q = head_rows_of(views, width, 0), *k = head_rows_of(views + 1, 2 * other, 0);
        *v = head_rows_of(views + 1, 2 * other, other);
    }
}

/* The views from q on, and those of a part's result so far. */
static void attention_operands(const yki_launch *launch, bool forward, attention *s)
{
    const yki_view *views = launch->views, *q = &views[forward ? 0 : 1], *y = q + 3;
    const yki_attr *attr = launch->attr;
    bool packed = launch->kernel == YKI_KERNEL_ATTENTION || launch->kernel == YKI_KERNEL_ATTENTION_GRAD;
    bool part = launch->kernel == YKI_KERNEL_ATTEND || launch->kernel == YKI_KERNEL_ATTEND_GRAD;
    if (packed) y = q + 1;
    if (part) q = &views[2], y = q + 2;
    s->n = q->dims[0], s->T = q->dims[1], s->S = part ? q[1].dims[1] : s->T;
    s->H = q->dims[q->ndim - 2], s->d = q->dims[q->ndim - 1];
    s->G = packed ? s->H : part ? q[1].dims[3] : q[1].dims[2];
    s->group = packed ? 1 : attr->group;
    s->shift = packed ? 0 : attr->offset - attr->first_group * attr->group;
    attention_rows(launch, q, s, &s->q, &s->k, &s->v);
    s->y = head_rows_of(y, s->H * s->d, 0);
    s->lse = y[1].data;
    if (!part) return;
    s->rows = attr->rows, s->keys = attr->keys;
    s->before = head_rows_of(views, s->H * s->d, 0);
    s->lse_before = forward ? views[1].data : NULL;
}

static attention attention_shape(const yki_launch *launch, int threads)
{
    const yki_attr *attr = launch->attr;
    attention s = {.causal = attr->causal, .window = attr->causal ? attr->window : 0};
    bool forward = launch->kernel == YKI_KERNEL_ATTENTION || launch->kernel == YKI_KERNEL_GQA ||
                   launch->kernel == YKI_KERNEL_ATTEND;
    attention_operands(launch, forward, &s);
    s.D = (s.d + VL - 1) / VL * VL;
    s.length = attr->length > 0 ? attr->length : s.T;
    s.scale = s.d > 0 ? (float)(1 / sqrt((double)s.d)) : 0;
    int64_t items = s.n * (forward ? s.H : s.G);
    s.parts = items < threads ? (int)items : threads;
    if (s.parts < 1) s.parts = 1;
    s.drop = launch->training && attr->p > 0;
    s.key = yki_rng_bits(attr->key, launch->step);
    s.threshold = (int32_t)ceil(attr->p * 0x1p24); /* u 2^-24 >= p exactly where u >= ceil(p 2^24) */
    s.kept_scale = attr->p < 1 ? (float)(1 / (1 - attr->p)) : 0;
    return s;
}

/* Rows first..first+count-1 of a head into a panel [count, D], times `scale`. */
static void head_read(const attention *s, head_rows from, int64_t sample, int64_t head, int64_t first,
                      int64_t count, float scale, float *panel)
{
    const void *data = from.data;
    const int64_t bytes = (int64_t)yki_dtype_bytes(from.type), step = from.step;
    int64_t at = (sample * from.rows + first) * step + from.first + head * s->d;
    for (int64_t t = 0; t < count; t++, at += step, panel += s->D) {
        /* The rows of a head lie pages apart, where no prefetcher of the CPU's follows. */
        const char *ahead = (const char *)data + (at + AHEAD * step) * bytes;
        for (int64_t i = 0; t + AHEAD < count && i < s->d * bytes; i += 64) __builtin_prefetch(ahead + i);
        if (s->D > s->d) vf_store(panel + s->D - VL, vf_set(0));
        vf_copy(panel, YKI_F32, 0, data, from.type, at, s->d, scale);
    }
}

static void head_write(const attention *s, head_rows to, int64_t sample, int64_t head, int64_t first,
                       int64_t count, float scale, const float *panel)
{
    for (int64_t t = 0; t < count; t++) {
        int64_t at = (sample * to.rows + first + t) * to.step + to.first + head * s->d;
        vf_copy(to.data, to.type, at, panel + t * s->D, YKI_F32, 0, s->d, scale);
    }
}

/* Row `row` of a head: `share` of what was there before, and `scale` of the panel's (NULL: nothing) row. */
static void head_add(const attention *s, head_rows to, int64_t sample, int64_t head, int64_t row, float share,
                     float scale, const float *panel)
{
    head_rows before = s->before;
    int64_t at = (sample * to.rows + row) * to.step + to.first + head * s->d;
    if (!panel && before.data == to.data) return;
    for (int64_t i = 0; i < s->d; i += VL) {
        int count = s->d - i < VL ? (int)(s->d - i) : VL;
        vf sum = vf_set(0);
        if (panel) sum += vf_read(panel, YKI_F32, i, count) * scale;
        if (before.data) sum += vf_read(before.data, before.type, at + i, count) * share;
        vf_write(to.data, to.type, at + i, sum, count);
    }
}

/* A strip is what one product covers: some keys, and the columns from..to-1 of the block's queries. */
typedef struct strip {
    int64_t key, keys, from, to;
} strip;

INLINE int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

INLINE int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How far `key` is past the last multiple of `step` keys from the diagonal. */
INLINE int64_t past_diagonal(const query_block *b, int64_t key, int64_t step)
{
    int64_t past = (key - b->diagonal) % step;
    return past < 0 ? past + step : past;
}

/* The strip that starts at `key`, of a block's keys up to last-1, or keys = 0 past them. What all queries see
 * is one; along the band's edges there is one for each VL keys. */
static strip strip_get(const attention *s, const query_block *b, int64_t key, int64_t last)
{
    if (key >= last) return (strip){0, 0, 0, 0};
    if (!s->causal) return (strip){key, last - key, 0, b->columns};
    bool inside = key < b->diagonal && key >= b->low + b->count - 1;
    int64_t end = smaller(last, inside ? b->diagonal : key + VL - past_diagonal(b, key, VL));
    int64_t seen = (end - b->low + VL - 1) / VL * VL; /* by fewer columns than these */
    return (strip){key, end - key, larger(0, key - b->diagonal), smaller(b->columns, seen)};
}

#define FOR_STRIPS(strip_, s, b, first, last)                                                                \
    for (strip strip_ = strip_get(s, b, first, last); strip_.keys > 0;                                       \
         strip_ = strip_get(s, b, strip_.key + strip_.keys, last))

/* scores[keys, queries] = X[keys, d] Y[queries, d]^T, for keys first..last-1; scores starts at key `first`.
 */
static void strips_score(const attention *s, const query_block *b, int64_t first, int64_t last,
                         const float *X, const float *Y, float *scores)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(0, 1, at.keys, at.to - at.from, s->d, 1, X + at.key * s->D, s->D, Y + at.from * s->D, s->D, 0,
             scores + (at.key - first) * BQ + at.from, BQ);
    }
}

/* Y[queries, D] += scores^T X[keys, D]. */
static void strips_to_queries(const attention *s, const query_block *b, int64_t first, int64_t last,
                              const float *scores, const float *X, float *Y)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(1, 0, smaller(b->count, at.to) - at.from, s->D, at.keys, 1,
             scores + (at.key - first) * BQ + at.from, BQ, X + at.key * s->D, s->D, 1, Y + at.from * s->D,
             s->D);
    }
}

/* X[keys, D] += scores Y[queries, D]. */
static void strips_to_keys(const attention *s, const query_block *b, int64_t first, int64_t last,
                           const float *scores, const float *Y, float *X)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(0, 0, at.keys, s->D, smaller(b->count, at.to) - at.from, 1,
             scores + (at.key - first) * BQ + at.from, BQ, Y + at.from * s->D, s->D, 1, X + at.key * s->D,
             s->D);
    }
}

/* Where the keys of the vector of queries at `column` begin and end in first..last-1, in whole strips. */
INLINE int64_t column_begin(const query_block *b, int64_t column, int64_t first)
{
    return larger(first, b->low + column - VL + 1);
}

INLINE int64_t column_end(const attention *s, const query_block *b, int64_t column, int64_t last)
{
    return s->causal ? smaller(last, b->diagonal + column + VL) : last;
}

/* Writes `value` over the scores that are computed and not seen, for the vector of queries at `column`: the
 * corners of the band's edges. */
static void mask_corners(const attention *s, const query_block *b, int64_t column, int64_t first,
                         int64_t last, float value, float *scores)
{
    if (!s->causal) return;
    int64_t above = b->diagonal + column, below = b->low + column;
    int64_t end = column_end(s, b, column, last);
    for (int64_t key = larger(above, first); key < end; key++)
        for (int64_t i = 0; i < key - above; i++) scores[(key - first) * BQ + column + i] = value;
    end = smaller(last, below + VL);
    for (int64_t key = column_begin(b, column, first); key < end; key++)
        for (int64_t i = larger(0, key - below + 1); i < VL; i++)
            scores[(key - first) * BQ + column + i] = value;
}

typedef uint64_t vl __attribute__((vector_size(VL * 4)));
typedef int32_t vi_half __attribute__((vector_size(VL * 2), may_alias));

/* yki_rng_mix and yki_rng_bits, lane by lane. */
INLINE vl drop_mix(vl x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

INLINE vl drop_bits(uint64_t key, vl counter)
{
    uint64_t second = ((key << 32) | (key >> 32)) + UINT64_C(0x6A09E667F3BCC908);
    return drop_mix(drop_mix(((counter + 1) * UINT64_C(0x9E3779B97F4A7C15)) ^ key) ^ second);
}

/* kept[0..columns) = what dropout multiplies the scores of one key by. */
static void drop_factors(const attention *s, const query_block *b, int64_t key, float *kept)
{
    uint64_t first = (uint64_t)(b->first_element + yki_position(&s->keys, key));
    uint64_t stride = (uint64_t)s->length;
    vl at = {0};
    for (int i = 0; i < VL / 2; i++) at[i] = first + (uint64_t)i * stride;
    int32_t bits[BQ];
    for (int64_t i = 0; i < b->columns; i += VL / 2) {
        vi_half half = __builtin_convertvector(drop_bits(s->key, at) >> 40, vi_half);
        memcpy(bits + i, &half, sizeof half);
        at += stride * (VL / 2);
    }
    vi scale = (vi)vf_set(s->kept_scale), threshold = (vi){0} + s->threshold;
    for (int64_t i = 0; i < b->columns; i += VL) {
        vi each;
        memcpy(&each, bits + i, sizeof each);
        vf_store(kept + i, (vf)(scale & (vi)(each >= threshold)));
    }
}

/* Softmax over the block's keys for the vector of queries at `column`: scores, which start at the first of
 * them, become exp2(score - max), not yet divided by their sum. */
static void soften_column(const attention *s, const query_block *b, int64_t column, float *scores, float *max,
                          float *sum)
{
    int64_t begin = column_begin(b, column, b->start), key = begin, end = column_end(s, b, column, b->keys);
    float *at = scores + column - b->start * BQ;
    mask_corners(s, b, column, b->start, b->keys, -INFINITY, scores);
    vf m0 = vf_load(at + begin * BQ), m1 = m0, m2 = m0, m3 = m0;
    for (; key + 4 <= end; key += 4) {
        m0 = vf_max(m0, vf_load(at + key * BQ));
        m1 = vf_max(m1, vf_load(at + (key + 1) * BQ));
        m2 = vf_max(m2, vf_load(at + (key + 2) * BQ));
        m3 = vf_max(m3, vf_load(at + (key + 3) * BQ));
    }
    for (; key < end; key++) m0 = vf_max(m0, vf_load(at + key * BQ));
    m0 = vf_max(vf_max(m0, m1), vf_max(m2, m3));
    vf total = vf_set(0);
    for (key = begin; key < end; key++) {
        vf e = vf_exp2(vf_load(at + key * BQ) - m0);
        vf_store(at + key * BQ, e);
        total += e;
    }
    vf_store(max + column, m0);
    vf_store(sum + column, total);
}

typedef struct attention_space {
    float *K, *V, *scores, *Q, *Y; /* [S,D] [S,D] [S,BQ] [BQ,D] [BQ,D] */
} attention_space;

static size_t attention_floats(const attention *s)
{
    return (size_t)(2 * s->S * s->D + s->S * BQ + 2 * BQ * s->D);
}

static size_t attention_workspace_bytes(const yki_launch *shapes, int threads)
{
    attention s = attention_shape(shapes, threads);
    return attention_floats(&s) * sizeof(float) * (size_t)s.parts;
}

/* Writes the queries of a block: scores' products in w->Y, to be divided by their sums. */
static void attention_write(const attention *s, const query_block *b, const attention_space *w,
                            const float *max, const float *sum, int64_t sample, int64_t head)
{
    int64_t at = (sample * s->H + head) * s->T + b->first;
    for (int64_t i = 0; i < b->count; i++) {
        float lse = b->keys > 0 ? max[i] * (float)LN_2 + logf(sum[i]) : -INFINITY;
        if (!s->before.data) {
            if (b->keys > 0)
                head_write(s, s->y, sample, head, b->first + i, 1, 1 / sum[i], w->Y + i * s->D);
            else
                head_add(s, s->y, sample, head, b->first + i, 0, 0, NULL);
            s->lse[at + i] = lse;
            continue;
        }
        float old = s->lse_before[at + i], high = old > lse ? old : lse;
        float all = b->keys > 0 ? high + logf(expf(old - high) + expf(lse - high)) : old;
        head_add(s, s->y, sample, head, b->first + i, b->keys > 0 ? expf(old - all) : 1,
                 b->keys > 0 ? expf(lse - all) / sum[i] : 0, b->keys > 0 ? w->Y + i * s->D : NULL);
        s->lse[at + i] = all;
    }
}

static void drop_scores(const attention *s, const query_block *b, float *scores)
{
    float kept[BQ];
    FOR_STRIPS(at, s, b, b->start, b->keys)
    for (int64_t key = at.key; key < at.key + at.keys; key++) {
        float *row = scores + (key - b->start) * BQ;
        drop_factors(s, b, key, kept);
        for (int64_t i = at.from; i < at.to; i += VL) vf_store(row + i, vf_load(row + i) * vf_load(kept + i));
    }
}

static void attention_block(const attention *s, const query_block *b, const attention_space *w,
                            int64_t sample, int64_t head)
{
    float max[BQ], sum[BQ];
    strips_score(s, b, b->start, b->keys, w->K, w->Q, w->scores);
    for (int64_t column = 0; column < b->columns && b->keys > 0; column += VL)
        soften_column(s, b, column, w->scores, max, sum);
    if (s->drop) drop_scores(s, b, w->scores);
    memset(w->Y, 0, (size_t)(b->count * s->D) * sizeof(float));
    strips_to_queries(s, b, b->start, b->keys, w->scores, w->V, w->Y);
    attention_write(s, b, w, max, sum, sample, head);
}

/* Where a block's window begins, of the `run` keys that end where its last query's do; it is shortened so
 * that each query sees one key less than the one before it, or as many, and all see some or none. */
static void attention_window(const attention *s, query_block *b, int64_t position, int64_t run)
{
    int64_t low = position - s->window + 1 - s->keys.first, split = smaller(s->keys.split, s->S);
    if (s->keys.jump > 0 && low < split) {
        b->count = smaller(b->count, split - low);
    } else if (s->keys.jump > 0) {
        low -= s->keys.jump;
        b->start = split;
    }
    if (low < run) b->count = smaller(b->count, run - low);
    b->low = low;
    b->start = larger(b->start, low);
    if (b->start >= run) b->start = b->low = run = 0;
    b->keys = smaller(run, b->diagonal + b->count);
}

/* Which keys a block sees. It ends where positions jump, of queries, or of keys under it: so each query sees
 * one key more than the one before it, or as many. */
static void attention_keys(const attention *s, query_block *b)
{
    int64_t position = yki_position(&s->rows, b->first);
    int64_t second = s->keys.first + s->keys.split + s->keys.jump; /* where the second run of keys starts */
    if (s->rows.split > b->first) b->count = smaller(b->count, s->rows.split - b->first);
    b->start = 0, b->keys = s->S;
    b->low = -(INT64_C(1) << 60); /* before all keys */
    if (!s->causal) return;
    if (position < second) b->count = smaller(b->count, second - position);
    if (position < s->keys.first) b->count = smaller(b->count, s->keys.first - position);
    b->diagonal = position - s->keys.first - (position < second ? 0 : s->keys.jump);
    int64_t run = position < second ? smaller(s->keys.split, s->S) : s->S;
    b->keys = b->diagonal < 0 ? 0 : smaller(run, b->diagonal + b->count);
    if (s->window > 0 && b->keys > 0) attention_window(s, b, position, run);
}

/* The block of queries that starts at `first`. */
static query_block attention_queries(const attention *s, const yki_launch *launch, int64_t sample,
                                     int64_t head, int64_t first)
{
    query_block b = {.first = first, .count = s->T - first < BQ ? s->T - first : BQ};
    attention_keys(s, &b);
    b.columns = (b.count + VL - 1) / VL * VL;
    int64_t plane = (sample + launch->sample_offset) * launch->attr->global + launch->attr->offset + head;
    b.first_element = (plane * s->length + yki_position(&s->rows, first)) * s->length;
    return b;
}

/* Query heads begin..end-1 of all samples, end to end. Those that share a head of k and v follow each other.
 */
static void attention_heads(const attention *s, const yki_launch *launch, int64_t begin, int64_t end,
                            float *space)
{
    int64_t size = s->S * s->D, loaded = -1;
    attention_space w = {.K = space, .V = space + size, .scores = space + 2 * size};
    w.Q = w.scores + s->S * BQ;
    w.Y = w.Q + BQ * s->D;
    for (int64_t index = begin; index < end; index++) {
        int64_t sample = index / s->H, head = index % s->H, other = (head + s->shift) / s->group;
        if (loaded != sample * s->G + other) {
            loaded = sample * s->G + other;
            head_read(s, s->k, sample, other, 0, s->S, 1, w.K);
            head_read(s, s->v, sample, other, 0, s->S, 1, w.V);
        }
        for (int64_t first = 0, count; first < s->T; first += count) {
            query_block b = attention_queries(s, launch, sample, head, first);
            count = b.count;
            memset(w.Q + b.count * s->D, 0, (size_t)((b.columns - b.count) * s->D) * sizeof(float));
            head_read(s, s->q, sample, head, first, b.count, s->scale * (float)LOG2_E, w.Q);
            attention_block(s, &b, &w, sample, head);
        }
    }
}

static void attention_run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    attention s = attention_shape(launch, threads);
    int64_t heads = s.n * s.H;
    if (s.parts == 1) {
        attention_heads(&s, launch, 0, heads, launch->workspace);
        return;
    }
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(s.parts)
#endif
    for (int part = 0; part < s.parts; part++)
        attention_heads(&s, launch, heads * part / s.parts, heads * (part + 1) / s.parts,
                        (float *)launch->workspace + attention_floats(&s) * (size_t)part);
}
