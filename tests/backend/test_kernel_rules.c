/* What kernels promise beyond agreeing with the reference: PyTorch's optimizers, dropout that no split can
 * see, functions accurate over their whole range, sums that tell what is not finite. Each on the reference
 * and on every instruction set. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cases.h"
#include "backend/cpu/fused/fused.h"
#include "backend/cpu/reference/reference.h"
#include "backend/rope.h"

enum { TABLES_MAX = 8 };
static yki_cpu_table tables[TABLES_MAX];
static int ntables;

/* Table 0 is the reference alone; then one per compilation of the fused kernels that this CPU runs. */
static int make_tables(void **state)
{
    (void)state;
    yki_cpu_register_reference(&tables[0]);
    for (ntables = 1; yki_fused_variant(ntables - 1) != NULL; ntables++) {
        yki_cpu_register_reference(&tables[ntables]);
        yki_fused_register(&tables[ntables], yki_fused_variant(ntables - 1));
    }
    return 0;
}

static const yki_cpu_kernel *pick(int table, const kernel_case *c)
{
    yki_launch shapes = c->launch;
    shapes.attr = &c->attr;
    return yki_cpu_select(&tables[table], &shapes, 1);
}

static void run_on(int table, kernel_case *c, int threads)
{
    case_run(c, pick(table, c), threads);
}

/* Three steps on three weights, from the formulas of torch.optim's documentation, and of Lion's paper,
 * evaluated in double elsewhere. */
static const double first_weights[3] = {0.5, -1.25, 2.0};
static const double gradients[3][3] = {{0.1, -0.2, 0.3}, {0.05, 0.4, -0.1}, {-0.3, 0.0, 0.2}};

typedef struct optimizer_case {
    const char *name;
    yki_kernel kernel;
    yki_update update;
    double want[3];
} optimizer_case;

#define ADAM_UPDATE                                                                                          \
    .lr = 0.1, .grad_scale = 0.5, .weight_decay = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8
#define SGD_UPDATE .lr = 0.1, .grad_scale = 0.5, .weight_decay = 0.01
static const optimizer_case optimizer_cases[] = {
    {"Adam", YKI_KERNEL_ADAM, {ADAM_UPDATE}, {0.33901899594406193, -1.2070600168039467, 1.78794262123903}},
    {"AdamW",
     YKI_KERNEL_ADAM,
     {ADAM_UPDATE, .decoupled = true},
     {0.3402990241624869, -1.2113273025864226, 1.7939154214248811}},
    {"SGD", YKI_KERNEL_SGD, {SGD_UPDATE}, {0.5135264895, -1.26625372875, 1.954055968}},
    {"momentum", YKI_KERNEL_SGD, {SGD_UPDATE, .momentum = 0.9}, {0.4906403895, -1.26482947875, 1.906593568}},
    {"Nesterov",
     YKI_KERNEL_SGD,
     {SGD_UPDATE, .momentum = 0.9, .nesterov = true},
     {0.5051634119805, -1.27963754924625, 1.870132436512}},
    {"Lion",
     YKI_KERNEL_LION,
     {SGD_UPDATE, .beta1 = 0.9, .beta2 = 0.99},
     {0.3988013995, -1.34635364875, 1.8941058979999998}},
};

static void check_optimizer(const optimizer_case *o, int table)
{
    kernel_case c;
    case_make(&c, o->kernel, "E3", YKI_F32, 1);
    float *g = c.launch.views[0].data, *w = c.launch.views[1].data;
    int copy = c.launch.nviews - 1;
    for (int v = 2; v < copy; v++) memset(c.launch.views[v].data, 0, c.bytes[v]);
    for (int i = 0; i < 3; i++) w[i] = (float)first_weights[i];
    c.update = o->update;
    for (int step = 1; step <= 3; step++) {
        c.update.bias1 = 1 - pow(0.9, step);
        c.update.bias2 = 1 - pow(0.999, step);
        for (int i = 0; i < 3; i++) g[i] = 2 * (float)gradients[step - 1][i];
        run_on(table, &c, 1);
    }
    for (int i = 0; i < 3; i++) {
        if (fabs(w[i] - o->want[i]) > 4e-7)
            fail_msg("%s, %s, weight %d: %.9g, want %.9g", o->name, pick(table, &c)->source, i, w[i],
                     o->want[i]);
        assert_int_equal(((uint16_t *)c.launch.views[copy].data)[i], yki_bf16_from_f32(w[i]));
    }
    case_release(&c);
}

/* Muon's kernels, by hand: a running mean and a step ahead; a matrix of norm 1, or 0; two combined. */
static void matrices_are_by_their_formulas(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++) {
        kernel_case c;
        case_make(&c, YKI_KERNEL_MOMENTUM, "E3", YKI_F32, 1);
        float *g = c.launch.views[0].data, *u = c.launch.views[1].data, *m = c.launch.views[2].data;
        g[0] = 2, g[1] = -4, g[2] = 0;
        m[0] = 1, m[1] = 0, m[2] = -8;
        c.update = (yki_update){.grad_scale = 0.5, .momentum = 0.75, .nesterov = true};
        run_on(table, &c, 1); /* halves of g are 1, -2, 0 */
        assert_true(m[0] == 1 && m[1] == -0.5f && m[2] == -6);
        assert_true(u[0] == 1 && u[1] == -0.875f && u[2] == -4.5f);
        c.update.nesterov = false;
        run_on(table, &c, 1);
        assert_true(m[1] == -0.875f && u[1] == m[1] && u[2] == -4.5f);
        case_release(&c);
        case_make(&c, YKI_KERNEL_UNIT, "E2", YKI_F32, 1);
        float *x = c.launch.views[0].data, *y = c.launch.views[1].data;
        x[0] = 3, x[1] = -4;
        run_on(table, &c, 1);
        assert_true(fabsf(y[0] - 0.6f) < 1e-7f && fabsf(y[1] + 0.8f) < 1e-7f);
        x[0] = 0, x[1] = 1e-9f; /* less than eps */
        run_on(table, &c, 1);
        assert_true(y[0] == 0 && fabs((double)y[1] - 1e-9 / c.attr.eps) < 1e-10);
        case_release(&c);
        case_make(&c, YKI_KERNEL_COMBINE, "E1", YKI_F32, 1);
        c.attr.of_a = 0.5, c.attr.of_b = -2;
        *(float *)c.launch.views[0].data = 6, *(float *)c.launch.views[1].data = 4;
        run_on(table, &c, 1);
        assert_true(*(float *)c.launch.views[2].data == -5);
        case_release(&c);
    }
}

static void optimizers_are_by_their_formulas(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++)
        for (size_t i = 0; i < sizeof optimizer_cases / sizeof optimizer_cases[0]; i++)
            check_optimizer(&optimizer_cases[i], table);
}

/* Dropout of ones: n samples of [outer, global, inner], cut into `shards` along `global`, from sample `first`
 * on. */
static void dropout_shard(int table, float *out, int64_t n, int64_t first, int64_t outer, int64_t global,
                          int64_t inner, int64_t from, int64_t local)
{
    char shape[128];
    snprintf(shape, sizeof shape, "n%d o%d g%d l%d i%d @%d", (int)n, (int)outer, (int)global, (int)local,
             (int)inner, (int)from);
    kernel_case c;
    case_make(&c, YKI_KERNEL_DROPOUT, shape, YKI_F32, 1);
    c.launch.sample_offset = first;
    float *x = c.launch.views[0].data, *y = c.launch.views[1].data;
    for (int64_t i = 0; i < n * outer * local * inner; i++) x[i] = 1;
    run_on(table, &c, 2);
    for (int64_t row = 0; row < n * outer; row++) /* into its place in the whole */
        memcpy(out + (((first * outer) + row) * global + from) * inner, y + row * local * inner,
               (size_t)(local * inner) * 4);
    case_release(&c);
}

static void dropout_does_not_see_how_a_tensor_is_split(void **state)
{
    (void)state;
    enum { N = 4, OUTER = 3, GLOBAL = 10, INNER = 7, ALL = N * OUTER * GLOBAL * INNER };
    float whole[ALL], other[ALL];
    dropout_shard(0, whole, N, 0, OUTER, GLOBAL, INNER, 0, GLOBAL);
    for (int table = 0; table < ntables; table++) {
        memset(other, 0, sizeof other);
        for (int64_t sample = 0; sample < N; sample++) /* by samples and by uneven slices */
            for (int64_t slice = 0; slice < 3; slice++)
                dropout_shard(table, other, 1, sample, OUTER, GLOBAL, INNER, slice * 4, slice < 2 ? 4 : 2);
        assert_memory_equal(whole, other, sizeof whole);
        memset(other, 0, sizeof other);
        dropout_shard(table, other, N, 0, 1, OUTER * GLOBAL, INNER, 0,
                      OUTER * GLOBAL); /* other dims, same elements */
        assert_memory_equal(whole, other, sizeof whole);
    }
}

static void dropout_keeps_its_share_and_its_mean(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++) {
        kernel_case c;
        case_make(&c, YKI_KERNEL_DROPOUT, "n1 o1 g200000 l200000 i1", YKI_F32, 1);
        float *x = c.launch.views[0].data, *y = c.launch.views[1].data, *first = malloc(c.bytes[1]);
        for (int i = 0; i < 200000; i++) x[i] = 1;
        run_on(table, &c, 1);
        int kept = 0, changed = 0;
        for (int i = 0; i < 200000; i++) {
            assert_true(y[i] == 0 || fabs(y[i] - 1 / 0.7) < 1e-6);
            kept += y[i] != 0;
        }
        assert_true(abs(kept - 140000) < 5 * 205); /* five standard deviations */
        memcpy(first, y, c.bytes[1]);
        c.launch.step++;
        run_on(table, &c, 1);
        for (int i = 0; i < 200000; i++) changed += (first[i] != 0) != (y[i] != 0);
        assert_true(abs(changed - 84000) <
                    5 * 221); /* another step, another mask: 2 p (1 - p) of them differ */
        c.launch.training = false;
        run_on(table, &c, 1);
        assert_memory_equal(x, y, c.bytes[1]);
        case_release(&c);
        free(first);
    }
}

/* The error of a function in units of f32's last place at the true value, at least `floor` of it. */
static void check_activation(yoke_activation kind, int table, double relative, double absolute)
{
    enum { POINTS = 200001 };
    char shape[32];
    snprintf(shape, sizeof shape, "E%d A%d", POINTS, (int)kind);
    for (int gradient = 0; gradient < 2; gradient++) {
        kernel_case c, want;
        case_make(&c, gradient ? YKI_KERNEL_ACTIVATE_GRAD : YKI_KERNEL_ACTIVATE, shape, YKI_F32, 1);
        float *x = c.launch.views[gradient].data;
        bool from_result = gradient && (kind == YOKE_TANH || kind == YOKE_SIGMOID);
        for (int i = 0; i < POINTS; i++) { /* dense near 0 and far out */
            double u = (double)i / (POINTS - 1) * 2 - 1;
            x[i] = (float)(from_result ? u : i % 2 ? 90 * u * u * u : 12 * u);
        }
        const double ends[] = {0, -0.0, 1e-30, -1e-30, 1e30, -1e30, 200, -200};
        for (int i = 0; i < 8 && !from_result; i++) x[i] = (float)ends[i];
        for (int i = 0; gradient && i < POINTS; i++) ((float *)c.launch.views[0].data)[i] = 1;
        case_copy(&want, &c);
        run_on(0, &want, 1);
        run_on(table, &c, 1);
        for (int i = 0; i < POINTS; i++) {
            double got = yki_get(&c.launch.views[c.ninputs], i),
                   true_value = yki_get(&want.launch.views[c.ninputs], i);
            if (fabs(got - true_value) <= relative * fabs(true_value) + absolute) continue;
            fail_msg("activation %d%s, %s: at %.9g it is %.9g, truly %.9g", kind,
                     gradient ? ", derivative" : "", pick(table, &c)->source, x[i], got, true_value);
        }
        case_release(&c);
        case_release(&want);
    }
}

static void functions_are_accurate_over_their_range(void **state)
{
    (void)state;
    for (int table = 1; table < ntables; table++) {
        check_activation(YOKE_RELU, table, 0, 0);
        check_activation(YOKE_TANH, table, 4.8e-7, 0);
        check_activation(YOKE_SIGMOID, table, 4.8e-7, 1e-37);
        check_activation(YOKE_SILU, table, 1e-6, 4e-7);
        check_activation(YOKE_GELU, table, 4.8e-7, 2e-7);
        check_activation(YOKE_GELU_TANH, table, 4.8e-7, 1e-6);
    }
}

/* e^x by way of softmax's denominator: the sum of one exponential. */
static void exponentials_are_within_two_units(void **state)
{
    (void)state;
    enum { POINTS = 100000 };
    for (int table = 1; table < ntables; table++) {
        kernel_case c;
        case_make(&c, YKI_KERNEL_XENT_SUM, "R100000 V1", YKI_F32, 1);
        float *logits = c.launch.views[0].data, *max = c.launch.views[2].data,
              *stats = c.launch.views[3].data;
        for (int i = 0; i < POINTS; i++) {
            logits[i] = (float)(-86.5 + 175.0 * i / POINTS);
            max[i] = 0;
        }
        run_on(table, &c, 1);
        for (int i = 0; i < POINTS; i++) {
            double want = exp((double)logits[i]), unit = ldexp(1, ilogb(want) - 23);
            if (fabs(stats[2 * i] - want) > 2 * unit)
                fail_msg("e^%.9g is %.9g, not %.9g", logits[i], want, stats[2 * i]);
        }
        const float ends[] = {-INFINITY, -200, -87, 88.7f, 100, INFINITY};
        memcpy(logits, ends, sizeof ends);
        logits[6] = NAN;
        run_on(table, &c, 1);
        assert_true(stats[0] == 0 && stats[2] == 0 && stats[4] < 2e-38f && stats[6] > 3.3e38f &&
                    isfinite(stats[6]));
        assert_true(isinf(stats[8]) && isinf(stats[10]) && isnan(stats[12]));
        case_release(&c);
    }
}

static void a_sum_of_squares_tells_what_is_not_finite(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++)
        for (int where = 0; where < 5003; where += 617) {
            kernel_case c;
            case_make(&c, YKI_KERNEL_SUM_SQUARES, "E5003", YKI_F32, 1);
            float *g = c.launch.views[0].data;
            g[where] = 3e38f; /* its square is beyond f32, and finite all the same */
            run_on(table, &c, 1);
            assert_true(isfinite(c.loss[0]) && c.loss[0] > 8e76);
            const float bad[] = {INFINITY, -INFINITY, NAN};
            g[where] = bad[where % 3];
            run_on(table, &c, 1);
            assert_false(isfinite(c.loss[0]));
            case_release(&c);
        }
}

/* Every f32 near a tie, both signs, and what is not a number, against rounding in double. */
static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++) {
        kernel_case c;
        case_make(&c, YKI_KERNEL_CAST, "E65536", YKI_F32, 1);
        uint32_t *x = c.launch.views[0].data;
        uint16_t *y = c.launch.views[1].data;
        static const uint32_t low[] = {0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF};
        for (int k = 0; k < 6; k++) {
            for (uint32_t i = 0; i < 65536; i++) x[i] = i << 16 | low[k];
            run_on(table, &c, 1);
            for (uint32_t i = 0; i < 65536; i++) {
                float value;
                memcpy(&value, &x[i], 4);
                if (isnan(value)) {
                    assert_true(isnan(yki_bf16_to_f32(y[i])) && (y[i] & 0x8000) == (i & 0x8000));
                    continue;
                }
                if ((i & 0x7F80) == 0) continue; /* below the normal range instructions may round to 0 */
                uint32_t up = low[k] > 0x8000 || (low[k] == 0x8000 && (i & 1));
                assert_int_equal(y[i], i + up);
            }
        }
        case_release(&c);
    }
}

/* Frequencies from transformers' formula of rope type llama3, evaluated elsewhere: base 500000, heads of 64,
 * factor 8, turns 1 and 4, context 8192. */
static void rope_scales_as_llama_3_1(void **state)
{
    (void)state;
    static const struct {
        int64_t pair;
        double frequency;
    } want[] = {{0, 1},
                {10, 0.0165604400809944},
                {15, 0.00137189356776114},
                {17, 0.000178507812767996},
                {18, 7.78465527393245e-05},
                {19, 5.16590687481896e-05},
                {31, 3.76732269017396e-07}};
    yki_attr attr = {.theta = 500000, .scaling = {8, 1, 4, 8192}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(fabs(yki_rope_frequency(&attr, want[i].pair, 64) / want[i].frequency - 1) < 1e-13);
    attr.scaling.factor = 0;
    assert_true(fabs(yki_rope_frequency(&attr, 16, 64) / sqrt(1.0 / 500000) - 1) < 1e-13);
}

/* A head of 4 turns its elements 0 and 2, and 1 and 3; there and back it is what it was; far out it is still
 * exact. */
static void rope_turns_halves_against_each_other(void **state)
{
    (void)state;
    for (int table = 0; table < ntables; table++) {
        kernel_case c;
        case_make(&c, YKI_KERNEL_ROPE, "n1 T2 H1 d4 @100000", YKI_F32, 1);
        float *x = c.launch.views[0].data, *y = c.launch.views[1].data;
        const float rows[8] = {1, 0, 0, 0, 0, 2, 0, 1};
        memcpy(x, rows, sizeof rows);
        run_on(table, &c, 1);
        const double want[8] = {cos(100000.0),
                                0,
                                sin(100000.0),
                                0,
                                0,
                                2 * cos(10000.1) - sin(10000.1),
                                0,
                                cos(10000.1) + 2 * sin(10000.1)};
        for (int i = 0; i < 8; i++) assert_true(fabs(y[i] - want[i]) < 3e-7); /* base 100: 1 and 1/10 */
        memcpy(x, y, sizeof rows);
        c.attr.inverse = true;
        run_on(table, &c, 1);
        for (int i = 0; i < 8; i++) assert_true(fabs(y[i] - rows[i]) < 3e-7);
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optimizers_are_by_their_formulas),
        cmocka_unit_test(matrices_are_by_their_formulas),
        cmocka_unit_test(dropout_does_not_see_how_a_tensor_is_split),
        cmocka_unit_test(dropout_keeps_its_share_and_its_mean),
        cmocka_unit_test(functions_are_accurate_over_their_range),
        cmocka_unit_test(exponentials_are_within_two_units),
        cmocka_unit_test(a_sum_of_squares_tells_what_is_not_finite),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(rope_scales_as_llama_3_1),
        cmocka_unit_test(rope_turns_halves_against_each_other),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}
