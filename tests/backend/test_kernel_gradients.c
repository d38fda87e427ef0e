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
    s->loss.loss = 0;
    case_run(&s->loss, reference_of(YKI_KERNEL_XENT_LOSS), 1);
    return s->loss.loss;
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
            loss.loss = 0;
            yki_set(&loss.launch.views[0], i, here + (side == 0 ? 1e-5 : -1e-5));
            case_run(&loss, reference_of(YKI_KERNEL_MSE_LOSS), 1);
            value[side] = loss.loss;
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
        cmocka_unit_test(squared_error_has_its_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
