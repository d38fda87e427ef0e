/* Attention part by part against attention over all keys at once: whatever the positions of queries and keys,
 * parts put together give the same results, and their gradients sum to the same. (Grouped attention over all
 * keys is held against plain attention in test_grouped_attention.c, and that against loops.) */
#include "products.h"

enum { MOST_PARTS = 3 };

typedef struct run {
    int64_t count;
    yki_positions at;
} run;

/* Some queries of a sequence of T, and keys that cover it. */
typedef struct shape {
    int64_t n, T, H, G, d, group;
    bool causal;
    double p;
    run queries, keys[MOST_PARTS];
} shape;

static const shape shapes[] = {
    /* a ring of three: chunks 0 and 5, 2 and 3, 1 and 4; of 20, and one more in the first */
    {1,
     121,
     2,
     1,
     16,
     2,
     true,
     0,
     {41, {0, 21, 80}},
     {{41, {0, 21, 80}}, {40, {41, 20, 0}}, {40, {21, 20, 40}}}},
    {1,
     121,
     2,
     1,
     16,
     2,
     true,
     0.3,
     {40, {21, 20, 40}},
     {{40, {21, 20, 40}}, {41, {0, 21, 80}}, {40, {41, 20, 0}}}},
    {2, 11, 4, 2, 5, 2, true, 0.2, {4, {4, 2, 0}}, {{4, {4, 2, 0}}, {3, {0, 2, 8}}, {4, {2, 2, 4}}}},
    /* queries and keys cut at different places, blocks ending anywhere */
    {1,
     650,
     2,
     2,
     20,
     1,
     true,
     0,
     {370, {30, 101, 77}},
     {{331, {0, 300, 319}}, {319, {300, 319, 0}}, {0, {0, 0, 0}}}},
    {1,
     650,
     1,
     1,
     8,
     1,
     true,
     0.4,
     {300, {350, 0, 0}},
     {{9, {0, 4, 60}}, {60, {4, 60, 0}}, {581, {69, 0, 0}}}},
    {1,
     650,
     1,
     1,
     33,
     1,
     false,
     0.1,
     {70, {5, 3, 100}},
     {{400, {0, 7, 200}}, {200, {7, 0, 0}}, {50, {600, 0, 0}}}},
    /* queries that see nothing of the second part; no queries at all */
    {1, 40, 3, 3, 7, 1, true, 0, {10, {0, 0, 0}}, {{10, {0, 0, 0}}, {30, {10, 0, 0}}, {0, {40, 0, 0}}}},
    {1, 40, 3, 1, 7, 3, true, 0, {0, {0, 0, 0}}, {{40, {0, 0, 0}}}},
    /* all queries but the first few, keys in an order of their own */
    {1,
     650,
     1,
     1,
     8,
     1,
     true,
     0,
     {645, {5, 0, 0}},
     {{100, {0, 50, 500}}, {500, {50, 500, 0}}, {50, {600, 0, 0}}}},
};

/* Of some of them once more with a window: within a chunk, over the jump of the keys, and over all but the
 * farthest. */
static const struct {
    int shape;
    int64_t window;
} windows[] = {{0, 5}, {1, 50}, {3, 90}, {4, 340}, {8, 333}, {2, 1}};

/* Rows of a whole sequence, as a part has them: from `from` [n,T,width] to `to` [n,count,step] at element
 * `first`; or added back. */
static void take_rows(const shape *s, const run *r, const yki_view *from, yki_view *to, int64_t width,
                      int64_t step, int64_t first)
{
    for (int64_t sample = 0; sample < s->n; sample++)
        for (int64_t t = 0; t < r->count; t++)
            for (int64_t i = 0; i < width; i++)
                value_set(to, (sample * r->count + t) * step + first + i,
                          (float)value_at(from, (sample * s->T + yki_position(&r->at, t)) * width + i));
}

static void run_kernel(int source, yki_kernel kernel, const yki_attr *attr, int threads, int count,
                       const yki_view *views)
{
    yki_launch l = {.kernel = kernel, .nviews = count, .attr = attr, .training = true, .step = 5};
    memcpy(l.views, views, (size_t)count * sizeof *views);
    l.sample_offset = 1;
    assert_true(launch_run(source, &l, threads));
}

/* Every element of `part`'s rows [n,count,step] from `first` on, against the whole's. */
static void check_rows(const shape *s, const run *r, const yki_view *part, int64_t step, int64_t first,
                       const yki_view *whole, int64_t width)
{
    for (int64_t sample = 0; sample < s->n; sample++)
        for (int64_t t = 0; t < r->count; t++)
            for (int64_t i = 0; i < width; i++) {
                double want = value_at(whole, (sample * s->T + yki_position(&r->at, t)) * width + i);
                assert_close(part, (sample * r->count + t) * step + first + i, want,
                             4 + (whole->dtype == YKI_BF16 ? fabs(want) * 2000 : 0), 3e-6);
            }
}

/* dk and dv of the queries alone: what the whole's would be if the others had no gradient. */
static void check(const shape *s, int64_t window, yki_dtype type, int source, int threads)
{
    int64_t T = s->T, qw = s->H * s->d, kw = s->G * s->d, count = s->queries.count;
    yki_attr attr = {.causal = s->causal,
                     .window = window,
                     .p = s->p,
                     .key = 77,
                     .global = s->H,
                     .group = s->group,
                     .width = s->d};
    yki_view q = VIEW(1, type, s->n, T, s->H, s->d), k = VIEW(2, type, s->n, T, s->G, s->d),
             v = VIEW(3, type, s->n, T, s->G, s->d), y = VIEW(4, type, s->n, T, s->H, s->d),
             dy = VIEW(5, type, s->n, T, s->H, s->d), lse = VIEW(6, YKI_F32, s->n, s->H, T),
             dq = view_copy(&q), dk = view_copy(&k), dv = view_copy(&v);
    yki_view mq = VIEW(7, type, s->n, count, s->H, s->d), mdy = view_copy(&mq), my = view_copy(&mq),
             mdq = view_copy(&mq);
    yki_view sum = VIEW(8, YKI_F32, s->n, count, s->H, s->d), msum = view_copy(&sum),
             mlse = VIEW(9, YKI_F32, s->n, s->H, count);
    take_rows(s, &s->queries, &q, &mq, qw, qw, 0);
    take_rows(s, &s->queries, &dy, &mdy, qw, qw, 0);
    memset(dy.data, 0, view_bytes(&dy)); /* of all other queries: none */
    for (int64_t sample = 0; sample < s->n; sample++)
        for (int64_t t = 0; t < count; t++)
            for (int64_t i = 0; i < qw; i++)
                value_set(&dy, (sample * T + yki_position(&s->queries.at, t)) * qw + i,
                          (float)value_at(&mdy, (sample * count + t) * qw + i));
    run_kernel(source, YKI_KERNEL_GQA, &attr, threads, 5, (yki_view[]){q, k, v, y, lse});
    run_kernel(source, YKI_KERNEL_GQA_GRAD, &attr, threads, 9, (yki_view[]){dy, q, k, v, y, lse, dq, dk, dv});
    attr.rows = s->queries.at;
    attr.length = T;
    yki_view kv[MOST_PARTS], dkv[MOST_PARTS];
    for (int j = 0; j < MOST_PARTS; j++) {
        bool last = j == MOST_PARTS - 1;
        kv[j] = VIEW(10, type, s->n, s->keys[j].count, 2, s->G, s->d);
        dkv[j] = VIEW(11, YKI_F32, s->n, s->keys[j].count, 2, s->G, s->d);
        take_rows(s, &s->keys[j], &k, &kv[j], kw, 2 * kw, 0);
        take_rows(s, &s->keys[j], &v, &kv[j], kw, 2 * kw, kw);
        attr.keys = s->keys[j].at;
        yki_view none = {0};
        run_kernel(source, YKI_KERNEL_ATTEND, &attr, threads, 6,
                   (yki_view[]){j ? sum : none, j ? mlse : none, mq, kv[j], last ? my : sum, mlse});
    }
    check_rows(s, &s->queries, &my, qw, 0, &y, qw);
    for (int64_t row = 0; row < s->n * s->H; row++)
        for (int64_t t = 0; t < count; t++)
            assert_close(&mlse, row * count + t, value_at(&lse, row * T + yki_position(&s->queries.at, t)), 4,
                         1e-6);
    for (int j = 0; j < MOST_PARTS; j++) {
        bool last = j == MOST_PARTS - 1;
        attr.keys = s->keys[j].at;
        run_kernel(
            source, YKI_KERNEL_ATTEND_GRAD, &attr, threads, 8,
            (yki_view[]){j ? msum : (yki_view){0}, mdy, mq, kv[j], my, mlse, last ? mdq : msum, dkv[j]});
        check_rows(s, &s->keys[j], &dkv[j], 2 * kw, 0, &dk, kw);
        check_rows(s, &s->keys[j], &dkv[j], 2 * kw, kw, &dv, kw);
        free(kv[j].data), free(dkv[j].data);
    }
    check_rows(s, &s->queries, &mdq, qw, 0, &dq, qw);
    yki_view *all[] = {&q, &k, &v, &y, &dy, &lse, &dq, &dk, &dv, &mq, &mdy, &my, &mdq, &sum, &msum, &mlse};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
}

static void check_everywhere(const shape *s, int64_t window)
{
    for (int type = YKI_F32; type <= YKI_BF16; type++)
        for (int source = 0; source <= (int)yki_isa_get(); source++)
            for (int threads = 1; threads <= 3; threads += 2)
                check(s, window, (yki_dtype)type, source, threads);
}

static void parts_are_the_whole(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_everywhere(&shapes[i], 0);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        check_everywhere(&shapes[windows[i].shape], windows[i].window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_are_the_whole)};
    return cmocka_run_group_tests_name("products: attention in parts", tests, NULL, NULL);
}
