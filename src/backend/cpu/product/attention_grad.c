/* ATTENTION_GRAD, GQA_GRAD and ATTEND_GRAD, included by each isa_*.c after attention.c, whose layout it
 * shares.
 *
 * With P = exp(scores - lse) recomputed, and for each query D = sum over the head's width of dy y:
 * dV = P^T dy, dP = dy V^T, dS = P (dP - D), dQ = dS K / sqrt(d), dK = dS^T Q / sqrt(d); dropout multiplies P
 * in dV and dP in dS. Keys are taken GRAD_KEYS at a time, so that scores and their gradients stay in the
 * second-level cache. One thread works on one head of k and v at a time, for all query heads that read it. */
enum {
    GRAD_KEYS = 4 * BQ
}; /* a multiple of BQ: a diagonal's square lies in one block of keys, which begin
      where it does, modulo BQ, but for the first */

typedef struct grad_space {
    float *K, *V, *dK, *dV; /* [S,D] */
    float *Q, *dY, *dQ;     /* [BQ,D] */
    float *P, *dP;          /* [keys of a block, BQ] */
    float lse[BQ], D[BQ];   /* of the queries of the block, lse in units of log 2 */
} grad_space;

static int64_t grad_keys(const attention *s)
{
    return s->S < GRAD_KEYS ? s->S : GRAD_KEYS;
}

static size_t grad_floats(const attention *s)
{
    return (size_t)(4 * s->S * s->D + 3 * BQ * s->D + 2 * grad_keys(s) * BQ);
}

static size_t attention_grad_workspace_bytes(const yki_launch *shapes, int threads)
{
    attention s = attention_shape(shapes, threads);
    return grad_floats(&s) * sizeof(float) * (size_t)s.parts;
}

/* scores and dP become P (after dropout) and dS, for one vector of queries and keys first..last-1. */
static void grad_column(const attention *s, const query_block *b, int64_t column, int64_t first, int64_t last,
                        const grad_space *w)
{
    int64_t end = column_end(s, b, column, last);
    vf lse = vf_load(w->lse + column), D = vf_load(w->D + column);
    mask_corners(s, b, column, first, last, -INFINITY, w->P);
    mask_corners(s, b, column, first, last, 0, w->dP);
    for (int64_t key = column_begin(b, column, first); key < end; key++) {
        float *at = w->P + (key - first) * BQ + column, *dat = w->dP + (key - first) * BQ + column;
        vf p = vf_exp2(vf_load(at) - lse);
        vf_store(at, p);
        vf_store(dat, p * (vf_load(dat) - D));
    }
}

/* The same with dropout, for one key of a strip and the queries that it has. */
static void grad_row_dropped(const attention *s, const query_block *b, const strip *at, int64_t key,
                             int64_t first, const grad_space *w)
{
    float kept[BQ], *P = w->P + (key - first) * BQ, *dP = w->dP + (key - first) * BQ;
    drop_factors(s, b, key, kept);
    int64_t diagonal = s->causal ? key - b->diagonal : 0, low = key - b->low;
    for (int64_t column = at->from; column < at->to; column += VL) {
        for (int64_t i = column; i < column + VL; i++) {
            if (i >= diagonal && i <= low) continue;
            P[i] = -INFINITY;
            dP[i] = 0;
        }
        vf factor = vf_load(kept + column), p = vf_exp2(vf_load(P + column) - vf_load(w->lse + column));
        vf_store(P + column, p * factor);
        vf_store(dP + column, p * (vf_load(dP + column) * factor - vf_load(w->D + column)));
    }
}

static void grad_keys_block(const attention *s, const query_block *b, int64_t first, int64_t last,
                            const grad_space *w)
{
    strips_score(s, b, first, last, w->K, w->Q, w->P);
    strips_score(s, b, first, last, w->V, w->dY, w->dP);
    if (s->drop) FOR_STRIPS(at, s, b, first, last)
    for (int64_t key = at.key; key < at.key + at.keys; key++) grad_row_dropped(s, b, &at, key, first, w);
    else for (int64_t column = 0; column < b->columns; column += VL)
        grad_column(s, b, column, first, last, w);
    strips_to_keys(s, b, first, last, w->P, w->dY, w->dV);
    strips_to_keys(s, b, first, last, w->dP, w->Q, w->dK);
    strips_to_queries(s, b, first, last, w->dP, w->K, w->dQ);
}

/* Loads q, dy and the statistics of a block of queries. */
static void grad_load(const attention *s, const query_block *b, head_rows dy, int64_t sample, int64_t head,
                      grad_space *w)
{
    const float *lse = s->lse + (sample * s->H + head) * s->T + b->first;
    int64_t pad = b->columns - b->count;
    head_read(s, s->q, sample, head, b->first, b->count, s->scale * (float)LOG2_E, w->Q);
    head_read(s, dy, sample, head, b->first, b->count, 1, w->dY);
    head_read(s, s->y, sample, head, b->first, b->count, 1, w->dQ);
    for (int64_t i = 0; i < b->count; i++) {
        vf sum = vf_set(0);
        for (int64_t j = 0; j < s->D; j += VL)
            sum += vf_load(w->dY + i * s->D + j) * vf_load(w->dQ + i * s->D + j);
        w->D[i] = vf_sum(sum);
        w->lse[i] = lse[i] * (float)LOG2_E;
    }
    for (int64_t i = b->count; i < b->columns; i++) w->D[i] = w->lse[i] = 0;
    memset(w->Q + b->count * s->D, 0, (size_t)(pad * s->D) * sizeof(float));
    memset(w->dY + b->count * s->D, 0, (size_t)(pad * s->D) * sizeof(float));
    memset(w->dQ, 0, (size_t)(b->columns * s->D) * sizeof(float));
}

/* Where gradients come from and go to. */
typedef struct grad_rows {
    head_rows dy, dq, dk, dv;
} grad_rows;

static grad_rows grad_operands(const attention *s, const yki_launch *launch)
{
    bool part = launch->kernel == YKI_KERNEL_ATTEND_GRAD;
    grad_rows r = {.dy = s->y};
    r.dy.data = launch->views[part ? 1 : 0].data;
    attention_rows(launch,
                   &launch->views[launch->nviews - (part                                    ? 2
                                                    : launch->kernel == YKI_KERNEL_GQA_GRAD ? 3
                                                                                            : 1)],
                   s, &r.dq, &r.dk, &r.dv);
    return r;
}

static void grad_head(const attention *s, const grad_rows *r, const yki_launch *launch, int64_t sample,
                      int64_t head, grad_space *w)
{
    for (int64_t query = 0, count; query < s->T; query += count) {
        query_block b = attention_queries(s, launch, sample, head, query);
        count = b.count;
        if (b.keys > 0) grad_load(s, &b, r->dy, sample, head, w);
        for (int64_t first = b.start, last; first < b.keys; first = last) {
            last = smaller(b.keys, first + GRAD_KEYS - past_diagonal(&b, first, BQ));
            grad_keys_block(s, &b, first, last, w);
        }
        if (!s->before.data && b.keys > 0)
            head_write(s, r->dq, sample, head, query, b.count, s->scale, w->dQ);
        else
            for (int64_t i = 0; i < b.count; i++)
                head_add(s, r->dq, sample, head, query + i, 1, s->scale,
                         b.keys > 0 ? w->dQ + i * s->D : NULL);
    }
}

/* Head number `index` of k and v, over all samples. */
static void attention_grad_head(const attention *s, const grad_rows *r, const yki_launch *launch,
                                int64_t index, float *space)
{
    int64_t sample = index / s->G, other = index % s->G, size = s->S * s->D;
    grad_space w = {.K = space, .V = space + size, .dK = space + 2 * size, .dV = space + 3 * size};
    w.Q = w.dV + size;
    w.dY = w.Q + BQ * s->D;
    w.dQ = w.dY + BQ * s->D;
    w.P = w.dQ + BQ * s->D;
    w.dP = w.P + grad_keys(s) * BQ;
    head_read(s, s->k, sample, other, 0, s->S, 1, w.K);
    head_read(s, s->v, sample, other, 0, s->S, 1, w.V);
    memset(w.dK, 0, (size_t)(2 * size) * sizeof(float));
    int64_t begin = other * s->group - s->shift, end = begin + s->group;
    for (int64_t head = begin > 0 ? begin : 0; head < end && head < s->H; head++)
        grad_head(s, r, launch, sample, head, &w);
    head_write(s, r->dk, sample, other, 0, s->S, (float)LN_2, w.dK);
    head_write(s, r->dv, sample, other, 0, s->S, 1, w.dV);
}

static void attention_grad_run(const yki_launch *launch, void *state, int threads)
{
    (void)state;
    attention s = attention_shape(launch, threads);
    grad_rows r = grad_operands(&s, launch);
    int64_t heads = s.n * s.G;
    if (s.parts == 1) {
        for (int64_t i = 0; i < heads; i++) attention_grad_head(&s, &r, launch, i, launch->workspace);
        return;
    }
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(s.parts)
#endif
    for (int part = 0; part < s.parts; part++)
        for (int64_t i = heads * part / s.parts; i < heads * (part + 1) / s.parts; i++)
            attention_grad_head(&s, &r, launch, i,
                                (float *)launch->workspace + grad_floats(&s) * (size_t)part);
}
