/* Grouped attention against plain attention on the same heads written out: with k and v repeated for every
 * query head that reads them, the results are the same bits, and their gradients' sums are the grouped ones'.
 * (Plain attention is held against loops in test_attention.c.) */
#include "products.h"

typedef struct shape {
    int64_t n, T, H, G, d, group, offset, first_group;
    bool causal;
    double p;
    int64_t window;
} shape;

/* Query heads of a share of a model with more; a head of k and v that nobody here reads; one for all. */
static const shape shapes[] = {
    {0, 4, 4, 2, 3, 2, 0, 0, true, 0, 0},     {1, 1, 1, 1, 1, 1, 0, 0, true, 0, 0},
    {2, 7, 4, 2, 5, 2, 4, 2, true, 0, 0},     {1, 16, 6, 1, 16, 6, 0, 0, false, 0, 0},
    {2, 65, 3, 3, 20, 2, 3, 0, true, 0.3, 0}, {1, 70, 4, 4, 33, 1, 0, 0, false, 0.5, 0},
    {1, 300, 4, 2, 32, 2, 0, 0, true, 0, 0},  {1, 20, 2, 5, 8, 4, 6, 0, true, 0, 0},
    {1, 80, 4, 2, 12, 2, 4, 2, true, 0.2, 11}};

static int64_t read_by(const shape *s, int64_t head)
{
    return (s->offset + head) / s->group - s->first_group;
}

/* Element i of head `head` of `heads`, at token t of a sample. */
static int64_t at(const shape *s, int64_t heads, int64_t sample, int64_t t, int64_t head, int64_t i)
{
    return ((sample * s->T + t) * heads + head) * s->d + i;
}

#define FOR_ELEMENTS(s, heads)                                                                               \
    for (int64_t sample = 0; sample < (s)->n; sample++)                                                      \
        for (int64_t t = 0; t < (s)->T; t++)                                                                 \
            for (int64_t head = 0; head < (heads); head++)                                                   \
                for (int64_t i = 0; i < (s)->d; i++)

/* q, k and v side by side, with k and v as each query head reads them. */
static yki_view written_out(const shape *s, const yki_view *q, const yki_view *k, const yki_view *v)
{
    yki_view qkv = VIEW(1, q->dtype, s->n, s->T, 3, s->H, s->d);
    FOR_ELEMENTS(s, s->H)
    {
        int64_t row = 3 * (sample * s->T + t) * s->H * s->d, to = head * s->d + i;
        value_set(&qkv, row + to, (float)value_at(q, at(s, s->H, sample, t, head, i)));
        for (int which = 1; which < 3; which++)
            value_set(&qkv, row + which * s->H * s->d + to,
                      (float)value_at(which == 1 ? k : v, at(s, s->G, sample, t, read_by(s, head), i)));
    }
    return qkv;
}

static yki_attr attr_of(const shape *s)
{
    return (yki_attr){.causal = s->causal,
                      .window = s->window,
                      .p = s->p,
                      .key = 77,
                      .global = s->H + s->offset + 3,
                      .offset = s->offset,
                      .group = s->group,
                      .first_group = s->first_group,
                      .width = s->d};
}

static void run(int source, yki_kernel kernel, const yki_attr *attr, int threads, int count,
                const yki_view *views)
{
    yki_launch l = {.kernel = kernel, .nviews = count, .attr = attr, .training = true, .step = 5};
    memcpy(l.views, views, (size_t)count * sizeof *views);
    l.sample_offset = 1;
    assert_true(launch_run(source, &l, threads));
}

/* The grouped gradients from those of the heads written out. */
static void check_gradients(const shape *s, const yki_view *dqkv, const yki_view *grouped)
{
    FOR_ELEMENTS(s, s->H)
    {
        int64_t row = 3 * (sample * s->T + t) * s->H * s->d;
        double want = value_at(dqkv, row + head * s->d + i);
        assert_true(value_at(&grouped[0], at(s, s->H, sample, t, head, i)) == want);
    }
    double rounding = grouped[0].dtype == YKI_BF16 ? 0x1p-8 : 0; /* of each part */
    for (int which = 1; which < 3; which++) FOR_ELEMENTS(s, s->G)
        {
            double sum = 0, size = 0;
            for (int64_t reader = 0; reader < s->H; reader++) {
                if (read_by(s, reader) != head) continue;
                int64_t row = 3 * (sample * s->T + t) * s->H * s->d;
                double part = value_at(dqkv, row + (which * s->H + reader) * s->d + i);
                sum += part;
                size += fabs(part);
            }
            assert_close(&grouped[which], at(s, s->G, sample, t, head, i), sum, rounding * size + 1e-6, 1);
        }
}

static void check(const shape *s, yki_dtype type, int source, int threads)
{
    yki_attr attr = attr_of(s);
    yki_view q = VIEW(11, type, s->n, s->T, s->H, s->d), k = VIEW(12, type, s->n, s->T, s->G, s->d),
             v = VIEW(13, type, s->n, s->T, s->G, s->d), dy = VIEW(14, type, s->n, s->T, s->H, s->d);
    yki_view y = view_copy(&q), lse = VIEW(15, YKI_F32, s->n, s->H, s->T), other_y = view_copy(&q),
             other_lse = view_copy(&lse);
    yki_view grouped[3] = {view_copy(&q), view_copy(&k), view_copy(&v)};
    yki_view qkv = written_out(s, &q, &k, &v), dqkv = view_copy(&qkv);
    for (int i = 0; i < 3; i++) memset(grouped[i].data, 0xff, view_bytes(&grouped[i]));
    run(source, YKI_KERNEL_GQA, &attr, threads, 5, (yki_view[]){q, k, v, y, lse});
    run(source, YKI_KERNEL_ATTENTION, &attr, 1, 3, (yki_view[]){qkv, other_y, other_lse});
    assert_memory_equal(y.data, other_y.data, view_bytes(&y));
    assert_memory_equal(lse.data, other_lse.data, view_bytes(&lse));
    run(source, YKI_KERNEL_GQA_GRAD, &attr, threads, 9,
        (yki_view[]){dy, q, k, v, y, lse, grouped[0], grouped[1], grouped[2]});
    run(source, YKI_KERNEL_ATTENTION_GRAD, &attr, 1, 5, (yki_view[]){dy, qkv, y, lse, dqkv});
    check_gradients(s, &dqkv, grouped);
    yki_view *all[] = {&q,         &k,          &v,          &dy,         &y,   &lse, &other_y,
                       &other_lse, &grouped[0], &grouped[1], &grouped[2], &qkv, &dqkv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
}

static void groups_are_heads_written_out(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int type = YKI_F32; type <= YKI_BF16; type++)
            for (int source = 0; source <= (int)yki_isa_get(); source++)
                for (int threads = 1; threads <= 3; threads += 2)
                    check(&shapes[i], (yki_dtype)type, source, threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups_are_heads_written_out)};
    return cmocka_run_group_tests_name("products: grouped attention", tests, NULL, NULL);
}
