/* ATTENTION against loops in double, and ATTENTION_GRAD against finite differences of those loops. */
#include "base/rng.h"
#include "products.h"

typedef struct shape {
    int64_t n, T, H, d, global, offset, sample_offset;
    bool causal;
    double p;
    int64_t window;
} shape;

static const uint64_t key = 77, step = 5;

static double kept(const shape *s, int64_t sample, int64_t head, int64_t q, int64_t k)
{
    if (s->p == 0) return 1;
    int64_t plane = (sample + s->sample_offset) * s->global + s->offset + head;
    uint64_t at = (uint64_t)(plane * s->T * s->T + q * s->T + k);
    return yki_rng_uniformf(yki_rng_bits(key, step), at) >= s->p ? 1 / (1 - s->p) : 0;
}

/* y and lse of one head, from qkv in double. */
static void naive_head(const shape *s, const double *qkv, int64_t sample, int64_t head, double *y,
                       double *lse)
{
    int64_t T = s->T, d = s->d, row = 3 * s->H * d;
    double *score = malloc((size_t)(T + 1) * sizeof *score);
    for (int64_t q = 0; q < T; q++) {
        const double *at = qkv + (sample * T + q) * row + head * d;
        double max = -INFINITY, sum = 0;
        int64_t keys = s->causal ? q + 1 : T, start = s->window > 0 && q >= s->window ? q - s->window + 1 : 0;
        for (int64_t k = start; k < keys; k++) {
            const double *other = qkv + (sample * T + k) * row + (s->H + head) * d;
            score[k] = 0;
            for (int64_t i = 0; i < d; i++) score[k] += at[i] * other[i] / sqrt((double)d);
            if (score[k] > max) max = score[k];
        }
        for (int64_t k = start; k < keys; k++) sum += exp(score[k] - max);
        double *to = y + ((sample * T + q) * s->H + head) * d;
        for (int64_t i = 0; i < d; i++) to[i] = 0;
        for (int64_t k = start; k < keys; k++) {
            double p = exp(score[k] - max) / sum * kept(s, sample, head, q, k);
            const double *v = qkv + (sample * T + k) * row + (2 * s->H + head) * d;
            for (int64_t i = 0; i < d; i++) to[i] += p * v[i];
        }
        lse[(sample * s->H + head) * T + q] = max + log(sum);
    }
    free(score);
}

typedef struct operands {
    yki_view qkv, y, lse, dy, dqkv;
    double *exact_qkv, *exact_y, *exact_lse;
} operands;

static operands make(const shape *s, yki_dtype type)
{
    operands o = {VIEW(1, type, s->n, s->T, 3, s->H, s->d),
                  VIEW(2, type, s->n, s->T, s->H, s->d),
                  VIEW(3, YKI_F32, s->n, s->H, s->T),
                  VIEW(4, type, s->n, s->T, s->H, s->d),
                  VIEW(5, type, s->n, s->T, 3, s->H, s->d),
                  NULL,
                  NULL,
                  NULL};
    for (int64_t i = 0; i < yki_view_elems(&o.qkv); i++) value_set(&o.qkv, i, 3 * (float)value_at(&o.qkv, i));
    o.exact_qkv = malloc((size_t)yki_view_elems(&o.qkv) * 8 + 8);
    o.exact_y = malloc((size_t)yki_view_elems(&o.y) * 8 + 8);
    o.exact_lse = malloc((size_t)yki_view_elems(&o.lse) * 8 + 8);
    for (int64_t i = 0; i < yki_view_elems(&o.qkv); i++) o.exact_qkv[i] = value_at(&o.qkv, i);
    for (int64_t sample = 0; sample < s->n; sample++)
        for (int64_t head = 0; head < s->H; head++)
            naive_head(s, o.exact_qkv, sample, head, o.exact_y, o.exact_lse);
    return o;
}

static void discard(operands *o)
{
    free(o->qkv.data), free(o->y.data), free(o->lse.data), free(o->dy.data), free(o->dqkv.data);
    free(o->exact_qkv), free(o->exact_y), free(o->exact_lse);
}

static yki_attr attr_of(const shape *s)
{
    return (yki_attr){.causal = s->causal,
                      .window = s->window,
                      .p = s->p,
                      .key = key,
                      .global = s->global,
                      .offset = s->offset};
}

static void run_forward(int source, const shape *s, operands *o, int threads)
{
    yki_attr attr = attr_of(s);
    yki_launch l = {
        .kernel = YKI_KERNEL_ATTENTION, .nviews = 3, .attr = &attr, .views = {o->qkv, o->y, o->lse}};
    l.training = true;
    l.step = step;
    l.sample_offset = s->sample_offset;
    memset(o->y.data, 0xff, view_bytes(&o->y));
    memset(o->lse.data, 0xff, view_bytes(&o->lse));
    assert_true(launch_run(source, &l, threads));
}

static void run_gradient(int source, const shape *s, operands *o, int threads)
{
    yki_attr attr = attr_of(s);
    yki_launch l = {.kernel = YKI_KERNEL_ATTENTION_GRAD,
                    .nviews = 5,
                    .attr = &attr,
                    .views = {o->dy, o->qkv, o->y, o->lse, o->dqkv}};
    l.training = true;
    l.step = step;
    l.sample_offset = s->sample_offset;
    memset(o->dqkv.data, 0xff, view_bytes(&o->dqkv));
    assert_true(launch_run(source, &l, threads));
}

static void forward_matches_loops(void **unused)
{
    (void)unused;
    static const shape shapes[] = {
        {0, 4, 2, 3, 2, 0, 0, true, 0, 0},       {1, 1, 1, 1, 1, 0, 0, true, 0, 0},
        {2, 7, 3, 5, 3, 0, 0, true, 0, 0},       {1, 16, 2, 16, 2, 0, 0, false, 0, 0},
        {2, 65, 2, 20, 5, 2, 0, true, 0.3, 0},   {1, 64, 1, 64, 1, 0, 0, true, 0, 0},
        {1, 130, 2, 33, 4, 1, 3, false, 0.5, 0}, {1, 300, 1, 64, 1, 0, 0, true, 0, 0},
        {3, 17, 2, 8, 2, 0, 0, true, 0, 0},      {1, 20, 2, 8, 2, 0, 0, true, 0, 1},
        {1, 90, 1, 20, 1, 0, 0, true, 0, 7},     {1, 200, 1, 9, 1, 0, 0, true, 0.3, 70},
        {1, 40, 1, 8, 1, 0, 0, true, 0, 40},     {1, 330, 2, 16, 2, 0, 0, true, 0, 129}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int type = YKI_F32; type <= YKI_BF16; type++) {
            const shape *s = &shapes[i];
            operands o = make(s, (yki_dtype)type);
            for (int source = 0; source <= (int)yki_isa_get(); source++)
                for (int threads = 1; threads <= 3; threads++) {
                    run_forward(source, s, &o, threads);
                    for (int64_t j = 0; j < yki_view_elems(&o.y); j++)
                        assert_close(&o.y, j, o.exact_y[j], 3 / (1 - s->p), 2e-6);
                    for (int64_t j = 0; j < yki_view_elems(&o.lse); j++)
                        assert_close(&o.lse, j, o.exact_lse[j], 1 + fabs(o.exact_lse[j]), 2e-6);
                    yki_view again = view_copy(&o.y);
                    run_forward(source, s, &o, threads);
                    assert_memory_equal(again.data, o.y.data, view_bytes(&o.y));
                    free(again.data);
                }
            discard(&o);
        }
}

/* sum over a head of dy y, which the gradient differentiates. */
static double weighted(const shape *s, const operands *o, int64_t sample, int64_t head, double *y,
                       double *lse)
{
    double sum = 0;
    naive_head(s, o->exact_qkv, sample, head, y, lse);
    for (int64_t q = 0; q < s->T; q++)
        for (int64_t i = 0; i < s->d; i++) {
            int64_t at = ((sample * s->T + q) * s->H + head) * s->d + i;
            sum += y[at] * value_at(&o->dy, at);
        }
    return sum;
}

/* Central differences in double for `probes` elements of dqkv spread over all of them. */
static void check_gradient(const shape *s, operands *o, int64_t probes, double tolerance)
{
    int64_t elems = yki_view_elems(&o->dqkv), stride = elems > probes ? elems / probes | 1 : 1;
    double *y = malloc((size_t)yki_view_elems(&o->y) * 8 + 8),
           *lse = malloc((size_t)yki_view_elems(&o->lse) * 8 + 8);
    for (int64_t i = 0; i < elems; i += stride) {
        int64_t head = i / s->d % s->H, sample = i / (3 * s->H * s->d * s->T);
        double keep = o->exact_qkv[i], h = 1e-5;
        o->exact_qkv[i] = keep + h;
        double up = weighted(s, o, sample, head, y, lse);
        o->exact_qkv[i] = keep - h;
        double down = weighted(s, o, sample, head, y, lse);
        o->exact_qkv[i] = keep;
        assert_close(&o->dqkv, i, (up - down) / (2 * h), 1, tolerance);
    }
    free(y);
    free(lse);
}

static void gradient_matches_differences(void **unused)
{
    (void)unused;
    static const shape shapes[] = {
        {0, 4, 2, 3, 2, 0, 0, true, 0, 0},     {1, 1, 1, 1, 1, 0, 0, true, 0, 0},
        {2, 7, 3, 5, 3, 0, 0, true, 0, 0},     {1, 16, 2, 16, 2, 0, 0, false, 0, 0},
        {2, 65, 2, 20, 5, 2, 0, true, 0.3, 0}, {1, 130, 2, 33, 4, 1, 3, false, 0.5, 0},
        {1, 300, 1, 64, 1, 0, 0, true, 0, 0},  {1, 300, 1, 16, 1, 0, 0, true, 0.1, 0},
        {1, 20, 2, 8, 2, 0, 0, true, 0, 1},    {1, 90, 1, 20, 1, 0, 0, true, 0.3, 7},
        {1, 200, 1, 9, 1, 0, 0, true, 0, 70},  {1, 420, 1, 8, 1, 0, 0, true, 0.2, 330}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int type = YKI_F32; type <= YKI_BF16; type++) {
            const shape *s = &shapes[i];
            operands o = make(s, (yki_dtype)type);
            for (int64_t j = 0; j < yki_view_elems(&o.y); j++) value_set(&o.y, j, (float)o.exact_y[j]);
            for (int64_t j = 0; j < yki_view_elems(&o.lse); j++) value_set(&o.lse, j, (float)o.exact_lse[j]);
            yki_view first = o.dqkv;
            for (int source = (int)yki_isa_get(); source >= 0; source--) {
                /* bf16 rounds y, and with it the sum of dy y that every score's gradient has subtracted */
                run_gradient(source, s, &o, 1);
                check_gradient(s, &o, source == (int)yki_isa_get() ? 60 : 15, type == YKI_F32 ? 2e-5 : 4e-2);
                first = view_copy(&o.dqkv);
                for (int threads = 1; threads <= 3; threads++) {
                    run_gradient(source, s, &o, threads);
                    assert_memory_equal(first.data, o.dqkv.data, view_bytes(&first));
                }
                free(first.data);
            }
            discard(&o);
        }
}

static void not_a_number_spreads(void **unused)
{
    (void)unused;
    static const shape s = {1, 20, 1, 8, 1, 0, 0, true, 0, 0};
    operands o = make(&s, YKI_F32);
    value_set(&o.qkv, 10 * 3 * 8, NAN); /* the query at 10 */
    for (int source = 0; source <= (int)yki_isa_get(); source++) {
        run_forward(source, &s, &o, 1);
        assert_true(isnan(value_at(&o.y, 10 * 8)));
        assert_false(isnan(value_at(&o.y, 9 * 8)));
    }
    discard(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_matches_loops),
        cmocka_unit_test(gradient_matches_differences),
        cmocka_unit_test(not_a_number_spreads),
    };
    return cmocka_run_group_tests_name("products: attention", tests, NULL, NULL);
}
