/* ATTENTION and GQA on our own product, included by each isa_*.c; attention_grad.c shares the helpers.
 *
 * The two differ in where heads lie and in which of k and v a query head reads, no more. One thread works on
 * one head of one sample at a time. Its q, k and v are copied to f32 panels [T, D], D the width of a head
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

/* Heads of one operand: [n, T] rows of `step` elements, in which the first head begins at element `first`. */
typedef struct head_rows {
    void *data;
    int64_t step, first;
} head_rows;

typedef struct attention {
    int64_t n, T, H, d, D;
    int64_t G, group, shift; /* heads of k and v; query head h reads (h + shift) / group of them */
    head_rows q, k, v, y;    /* y: and its gradient, but for the data */
    float *lse;              /* [n,H,T] */
    bool causal;
    yki_dtype type;
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
    int64_t first_element;         /* dropout: global index of (query 0, key 0) of this head */
} query_block;

static bool attention_is_packed(const yki_launch *launch)
{
    return launch->kernel == YKI_KERNEL_ATTENTION || launch->kernel == YKI_KERNEL_ATTENTION_GRAD;
}

/* Where the heads of q, k and v lie, from views[0]: qkv, or each by itself. */
static void attention_rows(const yki_view *views, bool packed, const attention *s, head_rows *q, head_rows *k,
                           head_rows *v)
{
    int64_t width = s->H * s->d, other = s->G * s->d;
    *q = (head_rows){views[0].data, packed ? 3 * width : width, 0};
    *k = packed ? (head_rows){views[0].data, 3 * width, width} : (head_rows){views[1].data, other, 0};
    *v = packed ? (head_rows){views[0].data, 3 * width, 2 * width} : (head_rows){views[2].data, other, 0};
}

static attention attention_shape(const yki_launch *launch, int threads)
{
    bool packed = attention_is_packed(launch);
    bool forward = launch->kernel == YKI_KERNEL_ATTENTION || launch->kernel == YKI_KERNEL_GQA;
    const yki_view *views = &launch->views[forward ? 0 : 1], *q = &views[0];
    const yki_attr *attr = launch->attr;
    attention s = {.n = q->dims[0], .T = q->dims[1], .type = q->dtype};
    s.H = q->dims[q->ndim - 2], s.d = q->dims[q->ndim - 1];
    s.G = packed ? s.H : views[1].dims[2];
    s.group = packed ? 1 : attr->group;
    s.shift = packed ? 0 : attr->offset - attr->first_group * attr->group;
    attention_rows(views, packed, &s, &s.q, &s.k, &s.v);
    const yki_view *y = &views[packed ? 1 : 3];
    s.y = (head_rows){y->data, s.H * s.d, 0};
    s.lse = y[1].data;
    s.D = (s.d + VL - 1) / VL * VL;
    s.causal = attr->causal;
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
    const int64_t bytes = (int64_t)yki_dtype_bytes(s->type), step = from.step;
    int64_t at = (sample * s->T + first) * step + from.first + head * s->d;
    for (int64_t t = 0; t < count; t++, at += step, panel += s->D) {
        /* The rows of a head lie pages apart, where no prefetcher of the CPU's follows. */
        const char *ahead = (const char *)data + (at + AHEAD * step) * bytes;
        for (int64_t i = 0; t + AHEAD < count && i < s->d * bytes; i += 64) __builtin_prefetch(ahead + i);
        if (s->D > s->d) vf_store(panel + s->D - VL, vf_set(0));
        vf_copy(panel, YKI_F32, 0, data, s->type, at, s->d, scale);
    }
}

static void head_write(const attention *s, head_rows to, int64_t sample, int64_t head, int64_t first,
                       int64_t count, float scale, const float *panel)
{
    for (int64_t t = 0; t < count; t++) {
        int64_t at = (sample * s->T + first + t) * to.step + to.first + head * s->d;
        vf_copy(to.data, s->type, at, panel + t * s->D, YKI_F32, 0, s->d, scale);
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
    int64_t below = s->causal && b->first < last ? (b->first > first ? b->first : first) : last;
    if (below > first) {
        if (index == 0) return (strip){first, below - first, 0};
        index--;
    }
    int64_t key = below + index * VL;
    if (key >= last) return (strip){0, 0, 0};
    return (strip){key, last - key < VL ? last - key : VL, key - b->first};
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
    int64_t end = s->causal ? b->first + column + VL : last;
    return end < last ? end : last;
}

/* Writes `value` over the corner of the scores above the diagonal, for the vector of queries at `column`. */
static void mask_corner(const attention *s, const query_block *b, int64_t column, int64_t first, int64_t last,
                        float value, float *scores)
{
    if (!s->causal) return;
    int64_t start = b->first + column, end = column_end(s, b, column, last);
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
    uint64_t first = (uint64_t)(b->first_element + b->first * s->T + key), stride = (uint64_t)s->T;
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
    float *K, *V, *scores, *Q, *Y; /* [T,D] [T,D] [T,BQ] [BQ,D] [BQ,D] */
} attention_space;

static size_t attention_floats(const attention *s)
{
    return (size_t)(2 * s->T * s->D + s->T * BQ + 2 * BQ * s->D);
}

static size_t attention_workspace_bytes(const yki_launch *shapes, int threads)
{
    attention s = attention_shape(shapes, threads);
    return attention_floats(&s) * sizeof(float) * (size_t)s.parts;
}

static void attention_block(const attention *s, const query_block *b, const attention_space *w,
                            int64_t sample, int64_t head)
{
    float *lse = s->lse + (sample * s->H + head) * s->T;
    float max[BQ], sum[BQ], kept[BQ];
    int64_t keys = s->causal ? b->first + b->count : s->T;
    strips_score(s, b, 0, keys, w->K, w->Q, w->scores);
    for (int64_t column = 0; column < b->columns; column += VL)
        soften_column(s, b, column, keys, w->scores, max, sum);
    if (s->drop)
        for (int64_t key = 0; key < keys; key++) {
            drop_factors(s, b, key, kept);
            int64_t from = s->causal && key > b->first ? (key - b->first) / VL * VL : 0;
            for (int64_t i = from; i < b->columns; i += VL) {
                float *at = w->scores + key * BQ + i;
                vf_store(at, vf_load(at) * vf_load(kept + i));
            }
        }
    memset(w->Y, 0, (size_t)(b->count * s->D) * sizeof(float));
    strips_to_queries(s, b, 0, keys, w->scores, w->V, w->Y);
    for (int64_t i = 0; i < b->count; i++) {
        head_write(s, s->y, sample, head, b->first + i, 1, 1 / sum[i], w->Y + i * s->D);
        lse[b->first + i] = max[i] * (float)LN_2 + logf(sum[i]);
    }
}

/* The block of queries that starts at `first`. */
static query_block attention_queries(const attention *s, const yki_launch *launch, int64_t sample,
                                     int64_t head, int64_t first)
{
    query_block b = {.first = first, .count = s->T - first < BQ ? s->T - first : BQ};
    b.columns = (b.count + VL - 1) / VL * VL;
    int64_t plane = (sample + launch->sample_offset) * launch->attr->global + launch->attr->offset + head;
    b.first_element = plane * s->T * s->T;
    return b;
}

/* Query heads begin..end-1 of all samples, end to end. Those that share a head of k and v follow each other.
 */
static void attention_heads(const attention *s, const yki_launch *launch, int64_t begin, int64_t end,
                            float *space)
{
    int64_t size = s->T * s->D, loaded = -1;
    attention_space w = {.K = space, .V = space + size, .scores = space + 2 * size};
    w.Q = w.scores + s->T * BQ;
    w.Y = w.Q + BQ * s->D;
    for (int64_t index = begin; index < end; index++) {
        int64_t sample = index / s->H, head = index % s->H, other = (head + s->shift) / s->group;
        if (loaded != sample * s->G + other) {
            loaded = sample * s->G + other;
            head_read(s, s->k, sample, other, 0, s->T, 1, w.K);
            head_read(s, s->v, sample, other, 0, s->T, 1, w.V);
        }
        for (int64_t first = 0; first < s->T; first += BQ) {
            query_block b = attention_queries(s, launch, sample, head, first);
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
