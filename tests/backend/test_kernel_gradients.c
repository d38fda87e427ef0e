/* Gradients of the reference against finite differences of its forward kernels, all in double.
 *
 * For a forward kernel y = f(x...), dy is random and L = sum dy y; what the backward kernel returns for an
 * input must be (L(x + h) - L(x - h)) / 2h for every element of that input. */
#include "cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cases.h"
#include "backend/cpu/reference/reference.h"

/* operands: of the backward kernel in order; a digit is that operand of the forward kernel, d is dy, + a
 * fresh output. The fresh outputs are the gradients of the forward kernel's inputs listed in `of`. */
typedef struct rule {
    yki_kernel forward, backward;
    const char *operands, *of, *shape;
} rule;

#define CONV "n2 C3 h6 w5 O2 k3 s2 q1"
#define POOL "n2 C2 h7 w6 k3 s2"
static const rule rules[] = {
    {YKI_KERNEL_LINEAR, YKI_KERNEL_LINEAR_DX, "d1+", "0", "R3 K4 N5"},
    {YKI_KERNEL_LINEAR, YKI_KERNEL_LINEAR_DW, "0d+", "1", "R3 K4 N5"},
    {YKI_KERNEL_LINEAR, YKI_KERNEL_BIAS_GRAD, "d+", "2", "R3 K4 N5"},
    {YKI_KERNEL_LINEAR_ADD, YKI_KERNEL_LINEAR_DX, "d2+", "1", "R3 K4 N5"},
    {YKI_KERNEL_LINEAR_ADD, YKI_KERNEL_LINEAR_DW, "1d+", "2", "R3 K4 N5"},
    {YKI_KERNEL_SCALE, YKI_KERNEL_SCALE, "d+", "0", "E20"},
    {YKI_KERNEL_CONV2D, YKI_KERNEL_CONV2D_DX, "d1+", "0", CONV},
    {YKI_KERNEL_CONV2D, YKI_KERNEL_CONV2D_DW, "0d+", "1", CONV},
    {YKI_KERNEL_CONV2D, YKI_KERNEL_CONV2D_BIAS_GRAD, "d+", "2", CONV},
    {YKI_KERNEL_MAXPOOL2D, YKI_KERNEL_MAXPOOL2D_GRAD, "d2+", "0", POOL},
    {YKI_KERNEL_AVGPOOL2D, YKI_KERNEL_AVGPOOL2D_GRAD, "d+", "0", POOL},
    {YKI_KERNEL_EMBED, YKI_KERNEL_EMBED_GRAD, "0d+", "1", "R9 V4 D3 @2"},
    {YKI_KERNEL_POSITION, YKI_KERNEL_POSITION_GRAD, "d+", "1", "n3 T2 D3 P5 @1"},
    {YKI_KERNEL_LAYERNORM, YKI_KERNEL_LAYERNORM_DX, "d0145+", "0", "R3 D6"},
    {YKI_KERNEL_LAYERNORM, YKI_KERNEL_LAYERNORM_DW, "d045++", "12", "R3 D6"},
    {YKI_KERNEL_RMSNORM, YKI_KERNEL_RMSNORM_DX, "d013+", "0", "R3 D6"},
    {YKI_KERNEL_RMSNORM, YKI_KERNEL_RMSNORM_DW, "d03+", "1", "R3 D6"},
    {YKI_KERNEL_HEADNORM, YKI_KERNEL_HEADNORM_DX, "d013+", "0", "n2 T3 H2 d6"},
    {YKI_KERNEL_HEADNORM, YKI_KERNEL_HEADNORM_DW, "d03+", "1", "n2 T3 H2 d6"},
    {YKI_KERNEL_GROUPNORM, YKI_KERNEL_GROUPNORM_DX, "d0145+", "0", "n2 C6 i5 g3"},
    {YKI_KERNEL_GROUPNORM, YKI_KERNEL_GROUPNORM_DW, "d045++", "12", "n2 C6 i5 g3"},
    {YKI_KERNEL_GROUPNORM, YKI_KERNEL_GROUPNORM_DX, "d0145+", "0", "n3 C4 i1 g2"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d1+", "0", "E40 A0"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d0+", "0", "E40 A1"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d0+", "0", "E40 A2"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d1+", "0", "E40 A3"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d1+", "0", "E40 A4"},
    {YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, "d0+", "0", "E40 A5"},
    {YKI_KERNEL_SOFTMAX, YKI_KERNEL_SOFTMAX_GRAD, "d1+", "0", "R3 D5"},
    {YKI_KERNEL_DROPOUT, YKI_KERNEL_DROPOUT, "d+", "0", "n2 o2 g5 l3 i2 @1"},
    {YKI_KERNEL_ATTENTION, YKI_KERNEL_ATTENTION_GRAD, "d012+", "0", "n2 T4 H2 d3 g4 @1 c1"},
    {YKI_KERNEL_ATTENTION, YKI_KERNEL_ATTENTION_GRAD, "d012+", "0", "n1 T3 H1 d2 g1"},
    {YKI_KERNEL_GQA, YKI_KERNEL_GQA_GRAD, "d01234+++", "012", "n2 T4 H4 G2 d3 g8 u2 @4 e2 c1"},
    {YKI_KERNEL_GQA, YKI_KERNEL_GQA_GRAD, "d01234+++", "012", "n1 T3 H3 G3 d2 g6 u2 @3"},
    {YKI_KERNEL_GQA, YKI_KERNEL_GQA_GRAD, "d01234+++", "012", "n1 T5 H2 G1 d3 g2 u2 c1 W2"},
    {YKI_KERNEL_ROPE, YKI_KERNEL_ROPE, "d+", "0", "n2 T3 H2 d6 @5 f8"},
    {YKI_KERNEL_GATE, YKI_KERNEL_GATE_GRAD, "d01++", "01", "E20"},
    {YKI_KERNEL_ATTEND, YKI_KERNEL_ATTEND_GRAD, ".d2345++", "23",
     "n2 T4 S3 H4 G2 d3 g8 u2 @4 e2 c1 a3 b2 j4 p2 r5 L20"},
    {YKI_KERNEL_ATTEND, YKI_KERNEL_ATTEND_GRAD, ".d2345++", "23", "n1 T3 S4 H2 G2 d2 g2 u1 L7"},
    {YKI_KERNEL_JOIN, YKI_KERNEL_SPLIT, "d++", "01", "R3 A2 B4 C6"},
    {YKI_KERNEL_POSITION, YKI_KERNEL_POSITION_GRAD, "d+", "1", "n2 T4 D3 P9 @1 b2 j3"},
    {YKI_KERNEL_ROPE, YKI_KERNEL_ROPE, "d+", "0", "n2 T4 H2 d6 @1 b2 j3"},
};

static const yki_cpu_kernel *reference_of(yki_kernel kernel)
{
    return &yki_cpu_reference()->kernel[kernel][0];
}

/* L of the forward case as it stands: its first output times dy. */
static double dot_of(kernel_case *forward, const yki_view *dy)
{
    case_run(forward, reference_of(forward->launch.kernel), 1);
    const yki_view *y = &forward->launch.views[forward->ninputs];
    double dot = 0;
    for (int64_t i = 0; i < yki_view_elems(y); i++) dot += yki_get(y, i) * yki_get(dy, i);
    return dot;
}

static void expect_gradient(kernel_case *forward, int input, const yki_view *dy, const yki_view *gradient,
                            const rule *r)
{
    const yki_view *x = &forward->launch.views[input];
    assert_int_equal(yki_view_elems(gradient), yki_view_elems(x));
    for (int64_t i = 0; i < yki_view_elems(x); i++) {
        const double h = 1e-5;
        double here = yki_get(x, i);
        yki_set(x, i, here + h);
        double above = dot_of(forward, dy);
        yki_set(x, i, here - h);
        double below = dot_of(forward, dy);
        yki_set(x, i, here);
        double want = (above - below) / (2 * h), got = yki_get(gradient, i);
        if (fabs(want - got) > 1e-7 * (1 + fabs(want)))
            fail_msg("%s of %s, \"%s\", input %d, element %lld: %.12g, by differences %.12g",
                     yki_kernel_name(r->backward), yki_kernel_name(r->forward), r->shape, input, (long long)i,
                     got, want);
    }
}

static void check_rule(const rule *r)
{
    kernel_case forward, backward;
    case_make(&forward, r->forward, r->shape, YKI_REFERENCE_F64, 11);
    case_make(&backward, r->backward, r->shape, YKI_REFERENCE_F64, 12);
    case_run(&forward, reference_of(r->forward), 1);
    const yki_view *dy = NULL;
    for (int i = 0; r->operands[i] != '\0'; i++) {
        yki_view *view = &backward.launch.views[i];
        if (r->operands[i] == 'd') {
            dy = view;
        } else if (r->operands[i] == '.') {
            free(view->data);
            *view = (yki_view){0};
        } else if (r->operands[i] != '+') {
            assert_int_equal(backward.bytes[i], forward.bytes[r->operands[i] - '0']);
            memcpy(view->data, forward.launch.views[r->operands[i] - '0'].data, backward.bytes[i]);
        }
    }
    assert_non_null(dy);
    backward.attr.inverse = r->backward == YKI_KERNEL_ROPE; /* its gradient turns back */
    case_run(&backward, reference_of(r->backward), 1);
    for (int i = 0; r->of[i] != '\0'; i++)
        expect_gradient(&forward, r->of[i] - '0', dy, &backward.launch.views[backward.ninputs + i], r);
    case_release(&forward);
    case_release(&backward);
}

static void gradients_are_those_of_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) check_rule(&rules[i]);
}

/* Two shards of 4 and 5 classes give one cross-entropy: maxima and sums are combined between the pieces. */
typedef struct shards {
    kernel_case max[2], sum[2], loss, grad[2];
} shards;

static const char *const shard_shapes[] = {"R3 V4", "R3 V5 @4"};

static double sharded_loss(shards *s, const double *logits)
{
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < 3; r++)
            for (int v = 0; v < 4 + k; v++) {
                double l = logits[r * 9 + 4 * k + v];
                yki_set(&s->max[k].launch.views[0], r * (4 + k) + v, l);
                yki_set(&s->sum[k].launch.views[0], r * (4 + k) + v, l);
                yki_set(&s->grad[k].launch.views[0], r * (4 + k) + v, l);
            }
    for (int k = 0; k < 2; k++) case_run(&s->max[k], reference_of(YKI_KERNEL_XENT_MAX), 1);
    for (int r = 0; r < 3; r++) {
        double max = fmax(yki_get(&s->max[0].launch.views[1], r), yki_get(&s->max[1].launch.views[1], r));
        for (int k = 0; k < 2; k++) yki_set(&s->sum[k].launch.views[2], r, max);
        yki_set(&s->loss.launch.views[0], r, max);
    }
    for (int k = 0; k < 2; k++) case_run(&s->sum[k], reference_of(YKI_KERNEL_XENT_SUM), 1);
    for (int i = 0; i < 6; i++)
        yki_set(&s->loss.launch.views[1], i,
                yki_get(&s->sum[0].launch.views[3], i) + yki_get(&s->sum[1].launch.views[3], i));
    s->loss.loss[0] = 0;
    case_run(&s->loss, reference_of(YKI_KERNEL_XENT_LOSS), 1);
    return s->loss.loss[0];
}

static void cross_entropy_is_one_loss_over_shards(void **state)
{
    (void)state;
    shards s;
    double logits[27], want = 0;
    const int targets[3] = {0, 8, 4};
    case_make(&s.loss, YKI_KERNEL_XENT_LOSS, "R3", YKI_REFERENCE_F64, 1);
    for (int k = 0; k < 2; k++) {
        case_make(&s.max[k], YKI_KERNEL_XENT_MAX, shard_shapes[k], YKI_REFERENCE_F64, 1);
        case_make(&s.sum[k], YKI_KERNEL_XENT_SUM, shard_shapes[k], YKI_REFERENCE_F64, 1);
        case_make(&s.grad[k], YKI_KERNEL_XENT_GRAD, shard_shapes[k], YKI_REFERENCE_F64, 1);
        for (int r = 0; r < 3; r++) {
            yki_set(&s.sum[k].launch.views[1], r, targets[r]);
            yki_set(&s.grad[k].launch.views[1], r, targets[r]);
        }
        s.grad[k].launch.scale = 1.0f;
    }
    for (int i = 0; i < 27; i++) logits[i] = 3 * case_random(5, (uint64_t)i);
    for (int r = 0; r < 3; r++) {
        double sum = 0;
        for (int v = 0; v < 9; v++) sum += exp(logits[r * 9 + v]);
        want += log(sum) - logits[r * 9 + targets[r]];
    }
    assert_true(fabs(sharded_loss(&s, logits) - want) < 1e-12);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            yki_set(&s.grad[k].launch.views[2], i, yki_get(&s.loss.launch.views[2], i));
    for (int k = 0; k < 2; k++) case_run(&s.grad[k], reference_of(YKI_KERNEL_XENT_GRAD), 1);
    for (int i = 0; i < 27; i++) {
        double here = logits[i], h = 1e-5;
        logits[i] = here + h;
        double above = sharded_loss(&s, logits);
        logits[i] = here - h;
        double below = sharded_loss(&s, logits);
        logits[i] = here;
        int r = i / 9, v = i % 9, k = v >= 4;
        double got = yki_get(&s.grad[k].launch.views[3], r * (4 + k) + v - 4 * k);
        assert_true(fabs(got - (above - below) / (2 * h)) < 1e-8);
    }
    case_release(&s.loss);
    for (int k = 0; k < 2; k++) case_release(&s.max[k]), case_release(&s.sum[k]), case_release(&s.grad[k]);
}

/* Batch norm over shards of 2 and of 3 samples: sums are added up between the kernels. */
typedef struct batch {
    kernel_case sum, squares, stats, norm, sums, dx, dw;
} batch;

enum { CHANNELS = 3, PLACES = 4, VALUES = CHANNELS * PLACES };

static const char *const batch_shapes[] = {"n2 C3 i4", "n3 C3 i4"};

static void add_up(const yki_view *a, const yki_view *b)
{
    for (int64_t i = 0; i < yki_view_elems(a); i++) {
        double sum = yki_get(a, i) + yki_get(b, i);
        yki_set(a, i, sum);
        yki_set(b, i, sum);
    }
}

static void copy_view(const yki_view *to, const yki_view *from)
{
    assert_int_equal(yki_view_elems(to), yki_view_elems(from));
    for (int64_t i = 0; i < yki_view_elems(to); i++) yki_set(to, i, yki_get(from, i));
}

/* The forward pass: dy y, summed. */
static double run_batch(batch b[2])
{
    double dot = 0;
    for (int k = 0; k < 2; k++) case_run(&b[k].sum, reference_of(YKI_KERNEL_BATCH_SUM), 1);
    add_up(&b[0].sum.launch.views[1], &b[1].sum.launch.views[1]);
    for (int k = 0; k < 2; k++) {
        copy_view(&b[k].squares.launch.views[0], &b[k].sum.launch.views[0]);
        copy_view(&b[k].squares.launch.views[1], &b[k].sum.launch.views[1]);
        case_run(&b[k].squares, reference_of(YKI_KERNEL_BATCH_SQUARES), 1);
    }
    add_up(&b[0].squares.launch.views[2], &b[1].squares.launch.views[2]);
    for (int k = 0; k < 2; k++) {
        copy_view(&b[k].stats.launch.views[0], &b[k].sum.launch.views[1]);
        copy_view(&b[k].stats.launch.views[1], &b[k].squares.launch.views[2]);
        case_run(&b[k].stats, reference_of(YKI_KERNEL_BATCH_STATS), 1);
        copy_view(&b[k].norm.launch.views[0], &b[k].sum.launch.views[0]);
        copy_view(&b[k].norm.launch.views[1], &b[k].stats.launch.views[4]);
        dot += dot_of(&b[k].norm, &b[k].dx.launch.views[0]);
    }
    return dot;
}

static double slope(batch b[2], const yki_view *of, const yki_view *copy, int64_t i)
{
    const double h = 1e-5;
    double here = yki_get(of, i), value[2];
    for (int side = 0; side < 2; side++) {
        yki_set(of, i, here + (side == 0 ? h : -h));
        if (copy) yki_set(copy, i, yki_get(of, i));
        value[side] = run_batch(b);
    }
    yki_set(of, i, here);
    if (copy) yki_set(copy, i, here);
    return (value[0] - value[1]) / (2 * h);
}

static void make_batch(batch b[2])
{
    static const yki_kernel kernels[] = {
        YKI_KERNEL_BATCH_SUM,      YKI_KERNEL_BATCH_SQUARES, YKI_KERNEL_BATCH_STATS, YKI_KERNEL_BATCHNORM,
        YKI_KERNEL_BATCHNORM_SUMS, YKI_KERNEL_BATCHNORM_DX,  YKI_KERNEL_BATCHNORM_DW};
    for (int k = 0; k < 2; k++) {
        kernel_case *cases[] = {&b[k].sum,  &b[k].squares, &b[k].stats, &b[k].norm,
                                &b[k].sums, &b[k].dx,      &b[k].dw};
        for (int i = 0; i < 7; i++) {
            case_make(cases[i], kernels[i], batch_shapes[k], YKI_REFERENCE_F64, 21 + (uint64_t)k);
            cases[i]->launch.group_samples = 5;
        }
    }
    for (int i = 2; i < 4; i++) copy_view(&b[1].norm.launch.views[i], &b[0].norm.launch.views[i]);
}

static void check_batch(batch b[2])
{
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < (2 + k) * VALUES; i++) {
            double want = slope(b, &b[k].sum.launch.views[0], NULL, i),
                   got = yki_get(&b[k].dx.launch.views[5], i);
            if (fabs(want - got) > 1e-7 * (1 + fabs(want)))
                fail_msg("batch norm's dx, shard %d, element %d: %.12g, by differences %.12g", k, (int)i, got,
                         want);
        }
    for (int of = 0; of < 2; of++)
        for (int64_t c = 0; c < CHANNELS; c++) {
            double want = slope(b, &b[0].norm.launch.views[2 + of], &b[1].norm.launch.views[2 + of], c),
                   got = 0;
            for (int k = 0; k < 2; k++) got += yki_get(&b[k].dw.launch.views[1 + of], c);
            assert_true(fabs(want - got) < 1e-7 * (1 + fabs(want)));
        }
}

static void batch_norm_has_its_gradient_over_shards(void **state)
{
    (void)state;
    batch b[2];
    make_batch(b);
    run_batch(b);
    for (int k = 0; k < 2; k++) {
        const yki_view *x = &b[k].sum.launch.views[0], *dy = &b[k].dx.launch.views[0],
                       *stats = &b[k].stats.launch.views[4];
        copy_view(&b[k].sums.launch.views[0], dy);
        copy_view(&b[k].sums.launch.views[1], x);
        copy_view(&b[k].sums.launch.views[2], stats);
        case_run(&b[k].sums, reference_of(YKI_KERNEL_BATCHNORM_SUMS), 1);
        copy_view(&b[k].dw.launch.views[0], &b[k].sums.launch.views[3]);
        case_run(&b[k].dw, reference_of(YKI_KERNEL_BATCHNORM_DW), 1);
        copy_view(&b[k].dx.launch.views[1], x);
        copy_view(&b[k].dx.launch.views[2], stats);
        copy_view(&b[k].dx.launch.views[4], &b[k].norm.launch.views[2]);
    }
    add_up(&b[0].sums.launch.views[3], &b[1].sums.launch.views[3]);
    for (int k = 0; k < 2; k++) {
        copy_view(&b[k].dx.launch.views[3], &b[k].sums.launch.views[3]);
        case_run(&b[k].dx, reference_of(YKI_KERNEL_BATCHNORM_DX), 1);
    }
    check_batch(b);
    for (int k = 0; k < 2; k++) {
        case_release(&b[k].sum), case_release(&b[k].squares), case_release(&b[k].stats);
        case_release(&b[k].norm), case_release(&b[k].sums), case_release(&b[k].dx), case_release(&b[k].dw);
    }
}

static void squared_error_has_its_gradient(void **state)
{
    (void)state;
    kernel_case loss, grad;
    case_make(&loss, YKI_KERNEL_MSE_LOSS, "E7", YKI_REFERENCE_F64, 3);
    case_make(&grad, YKI_KERNEL_MSE_GRAD, "E7", YKI_REFERENCE_F64, 3);
    case_run(&grad, reference_of(YKI_KERNEL_MSE_GRAD), 1);
    for (int i = 0; i < 7; i++) {
        double here = yki_get(&loss.launch.views[0], i), value[2];
        for (int side = 0; side < 2; side++) {
            loss.loss[0] = 0;
            yki_set(&loss.launch.views[0], i, here + (side == 0 ? 1e-5 : -1e-5));
            case_run(&loss, reference_of(YKI_KERNEL_MSE_LOSS), 1);
            value[side] = loss.loss[0];
        }
        yki_set(&loss.launch.views[0], i, here);
        assert_true(fabs((value[0] - value[1]) / 2e-5 * 0.125 - yki_get(&grad.launch.views[2], i)) < 1e-8);
    }
    case_release(&loss);
    case_release(&grad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_finite_differences),
        cmocka_unit_test(cross_entropy_is_one_loss_over_shards),
        cmocka_unit_test(batch_norm_has_its_gradient_over_shards),
        cmocka_unit_test(squared_error_has_its_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
