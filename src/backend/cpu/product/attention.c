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
 * above the diagonal is never computed, but for corners of VL x VL. Source of the gradient's recomputation:
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
    int64_t keys;                  /* seen by any of it */
    int64_t diagonal;      /* causal: the last key that its first query sees; each query sees one more */
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
    attention s = {.causal = attr->causal};
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

/* A strip is what one product covers: some keys, and the queries of the block from column `from` on. */
typedef struct strip {
    int64_t key, keys, from;
} strip;

/* Strip number `index` of keys first..last-1 of a block, or keys = 0 past the last. The part below the
 * diagonal's square is the first; then one for each VL keys of the square. */
static strip strip_get(const attention *s, const query_block *b, int64_t first, int64_t last, int64_t index)
{
    int64_t below = s->causal && b->diagonal < last ? (b->diagonal > first ? b->diagonal : first) : last;
    if (below > first) {
        if (index == 0) return (strip){first, below - first, 0};
        index--;
    }
    int64_t key = below + index * VL;
    if (key >= last) return (strip){0, 0, 0};
    return (strip){key, last - key < VL ? last - key : VL, key - b->diagonal};
}

#define FOR_STRIPS(strip_, s, b, first, last)                                                                \
    for (int64_t index_ = 0; index_ >= 0; index_ = -1)                                                       \
        for (strip strip_ = strip_get(s, b, first, last, index_); strip_.keys > 0;                           \
             strip_ = strip_get(s, b, first, last, ++index_))

/* scores[keys, queries] = X[keys, d] Y[queries, d]^T, for keys first..last-1; scores starts at key `first`.
 */
static void strips_score(const attention *s, const query_block *b, int64_t first, int64_t last,
                         const float *X, const float *Y, float *scores)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(0, 1, at.keys, b->columns - at.from, s->d, 1, X + at.key * s->D, s->D, Y + at.from * s->D, s->D,
             0, scores + (at.key - first) * BQ + at.from, BQ);
    }
}

/* Y[queries, D] += scores^T X[keys, D]. */
static void strips_to_queries(const attention *s, const query_block *b, int64_t first, int64_t last,
                              const float *scores, const float *X, float *Y)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(1, 0, b->count - at.from, s->D, at.keys, 1, scores + (at.key - first) * BQ + at.from, BQ,
             X + at.key * s->D, s->D, 1, Y + at.from * s->D, s->D);
    }
}

/* X[keys, D] += scores Y[queries, D]. */
static void strips_to_keys(const attention *s, const query_block *b, int64_t first, int64_t last,
                           const float *scores, const float *Y, float *X)
{
    FOR_STRIPS(at, s, b, first, last)
    {
        gemm(0, 0, at.keys, s->D, b->count - at.from, 1, scores + (at.key - first) * BQ + at.from, BQ,
             Y + at.from * s->D, s->D, 1, X + at.key * s->D, s->D);
    }
}

/* Keys first..last-1 that the vector of queries at `column` sees: the end of their range. */
INLINE int64_t column_end(const attention *s, const query_block *b, int64_t column, int64_t last)
{
    int64_t end = s->causal ? b->diagonal + column + VL : last;
    return end < last ? end : last;
}

/* Writes `value` over the corner of the scores above the diagonal, for the vector of queries at `column`. */
static void mask_corner(const attention *s, const query_block *b, int64_t column, int64_t first, int64_t last,
                        float value, float *scores)
{
    if (!s->causal) return;
    int64_t start = b->diagonal + column, end = column_end(s, b, column, last);
    for (int64_t key = start > first ? start : first; key < end; key++)
        for (int64_t i = 0; i < key - start; i++) scores[(key - first) * BQ + column + i] = value;
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

/* Softmax over keys 0..last-1 for the vector of queries at `column`: scores become exp2(score - max), not yet
 * divided by their sum. */
static void soften_column(const attention *s, const query_block *b, int64_t column, int64_t last,
                          float *scores, float *max, float *sum)
{
    int64_t end = column_end(s, b, column, last), key = 0;
    float *at = scores + column;
    mask_corner(s, b, column, 0, last, -INFINITY, scores);
    vf m0 = vf_load(at), m1 = m0, m2 = m0, m3 = m0;
    for (; key + 4 <= end; key += 4) {
        m0 = vf_max(m0, vf_load(at + key * BQ));
        m1 = vf_max(m1, vf_load(at + (key + 1) * BQ));
        m2 = vf_max(m2, vf_load(at + (key + 2) * BQ));
        m3 = vf_max(m3, vf_load(at + (key + 3) * BQ));
    }
    for (; key < end; key++) m0 = vf_max(m0, vf_load(at + key * BQ));
    m0 = vf_max(vf_max(m0, m1), vf_max(m2, m3));
    vf total = vf_set(0);
    for (key = 0; key < end; key++) {
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

static void attention_block(const attention *s, const query_block *b, const attention_space *w,
                            int64_t sample, int64_t head)
{
    float max[BQ], sum[BQ], kept[BQ];
    strips_score(s, b, 0, b->keys, w->K, w->Q, w->scores);
    for (int64_t column = 0; column < b->columns && b->keys > 0; column += VL)
        soften_column(s, b, column, b->keys, w->scores, max, sum);
    if (s->drop)
        for (int64_t key = 0; key < b->keys; key++) {
            drop_factors(s, b, key, kept);
            int64_t from = s->causal && key > b->diagonal ? (key - b->diagonal) / VL * VL : 0;
            for (int64_t i = from; i < b->columns; i += VL) {
                float *at = w->scores + key * BQ + i;
                vf_store(at, vf_load(at) * vf_load(kept + i));
            }
        }
    memset(w->Y, 0, (size_t)(b->count * s->D) * sizeof(float));
    strips_to_queries(s, b, 0, b->keys, w->scores, w->V, w->Y);
    attention_write(s, b, w, max, sum, sample, head);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Which keys a block sees. It ends where positions jump, of queries, or of keys under it: so each query sees
 * one key more than the one before it, or as many. */
static void attention_keys(const attention *s, query_block *b)
{
    int64_t position = yki_position(&s->rows, b->first);
    int64_t second = s->keys.first + s->keys.split + s->keys.jump; /* where the second run of keys starts */
    if (s->rows.split > b->first) b->count = smaller(b->count, s->rows.split - b->first);
    b->keys = s->S;
    if (!s->causal) return;
    if (position < second) b->count = smaller(b->count, second - position);
    if (position < s->keys.first) b->count = smaller(b->count, s->keys.first - position);
    b->diagonal = position - s->keys.first - (position < second ? 0 : s->keys.jump);
    int64_t run = position < second ? smaller(s->keys.split, s->S) : s->S;
    b->keys = b->diagonal < 0 ? 0 : smaller(run, b->diagonal + b->count);
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
