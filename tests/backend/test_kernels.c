/* Every implementation of every kernel against the reference: types, shapes from nothing to large, teams, in
 * place. `test_kernels --bench NAME [THREADS]` measures instead; NAME may be `all`. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/bench_kernels.h"
#include "backend/cases.h"
#include "backend/cpu/reference/reference.h"
#include "backend/held.h"
#include "backend/signature.h"

enum { MOST_SHAPES = 12 };

typedef struct family {
    yki_kernel kernels[8];           /* ends with YKI_KERNEL_COUNT, or full */
    const char *shapes[MOST_SHAPES]; /* ends with NULL, or full */
} family;

#define END YKI_KERNEL_COUNT
static const family families[] = {
    {{YKI_KERNEL_LINEAR, YKI_KERNEL_LINEAR_DX, YKI_KERNEL_LINEAR_DW, YKI_KERNEL_BIAS_GRAD,
      YKI_KERNEL_LINEAR_ADD, YKI_KERNEL_LINEAR_DX_ADD, END},
     {"R0 K3 N2", "R1 K1 N1", "R5 K0 N3", "R7 K13 N5", "R67 K33 N70", "R130 K100 N96"}},
    {{YKI_KERNEL_BIAS_GRAD, END}, {"R4 N0", "R1 N1", "R65 N1030", "R300 N515"}},
    {{YKI_KERNEL_CONV2D, YKI_KERNEL_CONV2D_DX, YKI_KERNEL_CONV2D_DW, YKI_KERNEL_CONV2D_BIAS_GRAD, END},
     {"n0 C2 h5 w5 O3 k3 s1 q1", "n1 C1 h1 w1 O1 k1 s1", "n2 C3 h7 w6 O5 k3 s2 q1",
      "n3 C4 h9 w9 O17 k3 s1 q1", "n2 C3 h8 w11 O4 k5 s3 q2", "n5 C8 h14 w14 O16 k3 s1 q1"}},
    {{YKI_KERNEL_CONV2D_BIAS_GRAD, END}, {"n4 O9 h40 w41 k1 s1"}},
    {{YKI_KERNEL_MAXPOOL2D, YKI_KERNEL_MAXPOOL2D_GRAD, YKI_KERNEL_AVGPOOL2D, YKI_KERNEL_AVGPOOL2D_GRAD, END},
     {"n0 C2 h4 w4 k2 s2", "n1 C1 h1 w1 k1 s1", "n2 C3 h7 w5 k2 s2", "n2 C3 h9 w8 k3 s2", "n1 C2 h9 w9 k2 s3",
      "n8 C16 h28 w28 k2 s2", "n3 C5 h13 w13 k3 s1"}},
    {{YKI_KERNEL_EMBED, YKI_KERNEL_EMBED_GRAD, END},
     {"R0 V5 D3", "R3 V0 D2", "R1 V1 D1", "R9 V5 D3", "R300 V50 D37 @50", "R150 V3 D70", "R40 V3000 D24"}},
    {{YKI_KERNEL_POSITION, YKI_KERNEL_POSITION_GRAD, END},
     {"n0 T3 D5 P4", "n2 T0 D3 P2", "n2 T2 D0 P2", "n1 T1 D1 P1", "n3 T5 D7 P9 @2", "n2 T64 D200 P64",
      "n70 T3 D31 P3", "n2 T7 D33 P20 @2 a1 b3 j5"}},
    {{YKI_KERNEL_LAYERNORM, YKI_KERNEL_LAYERNORM_DX, YKI_KERNEL_LAYERNORM_DW, YKI_KERNEL_SOFTMAX,
      YKI_KERNEL_SOFTMAX_GRAD, YKI_KERNEL_RMSNORM, YKI_KERNEL_RMSNORM_DX, YKI_KERNEL_RMSNORM_DW},
     {"R0 D5", "R2 D0", "R1 D1", "R3 D7", "R4 D33", "R130 D768", "R65 D1000"}},
    {{YKI_KERNEL_HEADNORM, YKI_KERNEL_HEADNORM_DX, YKI_KERNEL_HEADNORM_DW, END},
     {"n0 T3 H2 d6", "n1 T1 H1 d1", "n2 T5 H3 d10", "n3 T40 H2 d64", "n1 T9 H4 d300"}},
    {{YKI_KERNEL_GROUPNORM, YKI_KERNEL_GROUPNORM_DX, YKI_KERNEL_GROUPNORM_DW, END},
     {"n0 C4 i4 g2", "n1 C1 i1 g1", "n3 C6 i7 g3", "n5 C36 i1 g4", "n130 C96 i1 g96", "n2 C64 i49 g8",
      "n3 C6 i2500 g1", "n2 C0 i3 g0"}},
    {{YKI_KERNEL_BATCH_SUM, YKI_KERNEL_BATCH_SQUARES, YKI_KERNEL_BATCHNORM, YKI_KERNEL_BATCHNORM_SUMS,
      YKI_KERNEL_BATCHNORM_DX, YKI_KERNEL_BATCH_STATS, YKI_KERNEL_BATCH_TRACK, YKI_KERNEL_BATCHNORM_DW},
     {"n0 C3 i4", "n1 C1 i1", "n3 C5 i7", "n5 C37 i1", "n130 C100 i1", "n4 C3 i49", "n3 C6 i2500",
      "n0 C2 i1"}},
    {{YKI_KERNEL_ACTIVATE, YKI_KERNEL_ACTIVATE_GRAD, END},
     {"E0 A0", "E1 A1", "E100003 A0", "E100003 A1", "E100003 A2", "E100003 A3", "E100003 A4", "E100003 A5"}},
    {{YKI_KERNEL_DROPOUT, YKI_KERNEL_COPY_SLICE, END},
     {"n0 o2 g4 l2 i3", "n1 o1 g1 l1 i1", "n2 o3 g7 l3 i5 @2", "n3 o1 g5 l0 i2", "n4 o64 g768 l384 i1 @384",
      "n2 o3 g9 l3 i700 @6", "n2 o5 g7 l3 i5 @2 a1 b2 j3 L9"}},
    {{YKI_KERNEL_LINEAR_ADD, YKI_KERNEL_LINEAR_DX_ADD, END},
     {"R2 K64 N300", "R130 K8 N768", "R300 K768 N8", "R9 K200 N3"}},
    {{YKI_KERNEL_ADD, YKI_KERNEL_CAST, YKI_KERNEL_MSE_LOSS, YKI_KERNEL_MSE_GRAD, YKI_KERNEL_ZERO,
      YKI_KERNEL_SUM_SQUARES, YKI_KERNEL_SCALE, END},
     {"E0", "E1", "E15", "E64", "E1001", "E200003"}},
    {{YKI_KERNEL_ADAM, YKI_KERNEL_SGD, YKI_KERNEL_LION, YKI_KERNEL_MOMENTUM, YKI_KERNEL_UNIT,
      YKI_KERNEL_COMBINE, END},
     {"E0", "E1", "E15", "E64", "E1001", "E200003"}},
    {{YKI_KERNEL_BLEND, END}, {"E0", "E1", "E1001"}},
    {{YKI_KERNEL_XENT_MAX, YKI_KERNEL_XENT_SUM, YKI_KERNEL_XENT_LOSS, YKI_KERNEL_XENT_GRAD, END},
     {"R0 V5", "R2 V0", "R1 V1", "R5 V3 @3", "R7 V129", "R9 V5000", "R64 V1003 @1003"}},
    {{YKI_KERNEL_ROPE, END},
     {"n0 T3 H2 d4", "n1 T1 H1 d2", "n2 T5 H3 d6 @7", "n1 T70 H2 d64 I1", "n3 T33 H1 d18 f8 @40",
      "n1 T129 H2 d300 f8 I1", "n4 T200 H4 d64", "n2 T0 H2 d4"}},
    {{YKI_KERNEL_ROPE, END}, {"n2 T45 H2 d6 a5 b37 j11", "n1 T9 H1 d4 @3 b2 j1 I1"}},
    {{YKI_KERNEL_GATE, YKI_KERNEL_GATE_GRAD, END}, {"E0", "E1", "E15", "E1001", "E100003"}},
    {{YKI_KERNEL_GQA, YKI_KERNEL_GQA_GRAD, END},
     {"n0 T3 H4 G2 d4 g4 u2", "n1 T1 H1 G1 d1 g1 u1", "n2 T5 H4 G2 d7 g8 u2 @4 e2 c1",
      "n1 T33 H3 G3 d16 g12 u4 @3 c1", "n1 T20 H6 G1 d8 g6 u6", "n2 T70 H4 G2 d32 g4 u2 c1",
      "n1 T9 H2 G4 d5 g8 u2 @6 c1", "n1 T70 H4 G2 d6 g4 u2 c1 W5", "n1 T400 H2 G1 d8 g2 u2 c1 W140"}},
    {{YKI_KERNEL_ATTEND, YKI_KERNEL_ATTEND_GRAD, END},
     {"n0 T3 S2 H4 G2 d4 g4 u2 L9", "n1 T1 S1 H1 G1 d1 g1 u1 c1 L1",
      "n2 T5 S6 H4 G2 d7 g8 u2 @4 e2 c1 a2 b3 j9 m2 p2 r9 L20",
      "n1 T70 S60 H2 G1 d16 g2 u2 c1 a40 b37 j90 p30 r170 L300",
      "n1 T150 S330 H2 G2 d8 g2 u1 c1 a37 b37 j250 p290 r7 L500", "n1 T8 S4 H2 G2 d4 g2 u1 c1 a5 m9 L20",
      "n2 T9 S0 H2 G1 d5 g2 u2 c1 L9", "n1 T20 S33 H3 G3 d20 g12 u4 @3 b2 j1 L60",
      "n1 T70 S60 H2 G1 d8 g2 u2 c1 a40 b37 j90 p30 r170 L300 W20",
      "n1 T150 S330 H2 G2 d8 g2 u1 c1 a37 b37 j250 p290 r7 L500 W90",
      "n1 T8 S4 H2 G2 d4 g2 u1 c1 a5 m9 L20 W2"}},
    {{YKI_KERNEL_POSITION_AT, YKI_KERNEL_PICK, END},
     {"n0 D3 P4 S2 V3", "n3 D0 P2 S3 V2", "n1 D1 P1 S1 V1", "n5 D7 P9 S4 V9", "n70 D200 P64 S40 V64"}},
    {{YKI_KERNEL_ROPE_AT, END},
     {"n0 H2 d4 V4", "n1 H1 d2 V3", "n5 H3 d6 V9", "n70 H2 d64 V1000 f8", "n3 H1 d300 V40 f8"}},
    {{YKI_KERNEL_RECALL, END},
     {"n0 H2 d4 S1 C3 V2", "n1 H1 d1 S1 C1 V1", "n9 H3 d7 S4 C5 V5", "n5 H2 d64 S3 C40 V9",
      "n40 H2 d20 S3 C40 V40", "n9 H3 d8 S3 C6 V6", "n4 H12 d64 S3 C130 V5"}},
    {{YKI_KERNEL_RECALL_GQA, END},
     {"n0 H2 G1 d4 S1 C3 V2 u2", "n1 H1 G1 d1 S1 C1 V1 u1", "n9 H4 G2 d7 S12 C12 V6 u2 @4 e2",
      "n5 H6 G2 d32 S3 C40 V9 u3", "n1 H2 G4 d5 S15 C15 V6 u2 @6", "n150 H4 G2 d64 S2 C130 V100 u2",
      "n6 H8 G2 d128 S2 C150 V9 u4 W9", "n90 H2 G1 d20 S2 C100 V9 u2 W30"}},
    {{YKI_KERNEL_JOIN, YKI_KERNEL_SPLIT, END},
     {"R0 A2 B3 C5", "R1 A1 B1 C2", "R7 A5 B40 C45", "R4 A0 B3 C3", "R300 A64 B128 C192"}},
    {{YKI_KERNEL_ATTENTION, YKI_KERNEL_ATTENTION_GRAD, END},
     {"n0 T3 H2 d4 g2", "n1 T1 H1 d1 g1", "n2 T5 H3 d7 g6 @3 c1", "n1 T33 H2 d16 g2 c1", "n1 T20 H2 d8 g2",
      "n2 T70 H2 d64 g2 c1", "n2 T70 H2 d20 g2 c1 W9"}},
};

/* What in-place launches are promised: the output may be input 0. */
static bool may_be_in_place(yki_kernel kernel)
{
    const yki_signature *signature = yki_kernel_signature(kernel);
    return signature->words[signature->ninputs].in_place != YKI_IN_PLACE_NO;
}

/* How many terms an output element sums: the error of an f32 sum grows with the root of it, and where terms
 * pile up with it. */
static double terms_of(const kernel_case *c)
{
    double in = 1, out = 1;
    for (int i = 0; i < c->ninputs; i++) in = fmax(in, (double)yki_view_elems(&c->launch.views[i]));
    for (int i = c->ninputs; i < c->launch.nviews; i++) {
        double elems = (double)yki_view_elems(&c->launch.views[i]);
        out = i == c->ninputs ? fmax(1, elems) : fmin(out, fmax(1, elems));
    }
    switch (c->launch.kernel) {
    case YKI_KERNEL_BATCHNORM:
    case YKI_KERNEL_BATCHNORM_DX:
        return 2;
    case YKI_KERNEL_SOFTMAX_GRAD:
    case YKI_KERNEL_LAYERNORM_DX:
    case YKI_KERNEL_RMSNORM_DX:
    case YKI_KERNEL_LINEAR:
    case YKI_KERNEL_LINEAR_DX:
        return (double)c->launch.views[0].dims[1];
    case YKI_KERNEL_HEADNORM_DX:
        return (double)c->launch.views[0].dims[3];
    case YKI_KERNEL_LINEAR_ADD:
    case YKI_KERNEL_LINEAR_DX_ADD:
        return 1 + (double)c->launch.views[1].dims[1];
    case YKI_KERNEL_LINEAR_DW:
        return (double)c->launch.views[0].dims[0];
    case YKI_KERNEL_CONV2D:
    case YKI_KERNEL_CONV2D_DX:
        return (double)(c->launch.views[1].dims[0] * c->launch.views[1].dims[1] * 25);
    case YKI_KERNEL_CONV2D_DW: {
        const int64_t *dims = c->launch.views[1].dims;
        return (double)(dims[0] * dims[2] * dims[3]);
    }
    case YKI_KERNEL_ATTENTION:
    case YKI_KERNEL_ATTENTION_GRAD:
        return 4.0 * (double)c->launch.views[1].dims[1];
    case YKI_KERNEL_GQA:
    case YKI_KERNEL_GQA_GRAD:
        return 4.0 * (double)(c->launch.views[1].dims[1] * c->attr.group);
    case YKI_KERNEL_ATTEND:
    case YKI_KERNEL_ATTEND_GRAD:
        return 4.0 * (double)((c->launch.views[2].dims[1] + c->launch.views[3].dims[1]) * c->attr.group);
    case YKI_KERNEL_RECALL:
    case YKI_KERNEL_RECALL_GQA:
        return 4.0 * (double)c->launch.views[c->launch.nviews - 1].dims[2];
    case YKI_KERNEL_ROPE:
    case YKI_KERNEL_ROPE_AT:
        return 2;
    default:
        return fmax(1, in / out);
    }
}

/* The size of a term: operands lie within 3; products multiply two of them, gradients of norms, softmax and
 * attention three. */
static double term_size(yki_kernel kernel)
{
    switch (kernel) {
    case YKI_KERNEL_GROUPNORM:
    case YKI_KERNEL_GROUPNORM_DX:
    case YKI_KERNEL_GROUPNORM_DW:
    case YKI_KERNEL_BATCHNORM:
    case YKI_KERNEL_BATCH_SQUARES:
    case YKI_KERNEL_BATCHNORM_SUMS:
        return 27;
    case YKI_KERNEL_BATCHNORM_DX: /* rstd of 3 twice */
        return 3 * 3 * (3 + 3 + 6 * 3 * 3);
    case YKI_KERNEL_SOFTMAX_GRAD:
    case YKI_KERNEL_LAYERNORM_DX:
    case YKI_KERNEL_RMSNORM_DX:
    case YKI_KERNEL_HEADNORM_DX:
    case YKI_KERNEL_ATTENTION_GRAD:
    case YKI_KERNEL_GQA_GRAD:
    case YKI_KERNEL_ATTEND_GRAD:
    case YKI_KERNEL_GATE_GRAD:
        return 27;
    case YKI_KERNEL_LINEAR:
    case YKI_KERNEL_LINEAR_DX:
    case YKI_KERNEL_LINEAR_DW:
    case YKI_KERNEL_LINEAR_ADD:
    case YKI_KERNEL_LINEAR_DX_ADD:
    case YKI_KERNEL_SCALE:
    case YKI_KERNEL_CONV2D:
    case YKI_KERNEL_CONV2D_DX:
    case YKI_KERNEL_CONV2D_DW:
    case YKI_KERNEL_GATE:
        return 9;
    default:
        return 3;
    }
}

/* The relative error allowed of a stored value. Storing rounds to half a unit, and an implementation may land
 * on the neighbour of the reference. */
static double unit_of(yki_dtype stored, yki_dtype activations, yki_kernel kernel)
{
    bool exponentials =
        kernel == YKI_KERNEL_XENT_SUM || kernel == YKI_KERNEL_XENT_GRAD || kernel == YKI_KERNEL_SOFTMAX;
    if (stored == YKI_BF16) return 0x1p-7;
    if (exponentials && activations == YKI_BF16) return 0x1p-16; /* rough exponentials */
    return exponentials ? 0x1p-20
                        : 0x1p-22; /* the rounding of an exponent near 8 is one of the value by 2^-21 */
}

/* Where derivatives cross 0, what is left of rough functions in bf16. */
static double crossing_error(const kernel_case *c)
{
    return c->launch.kernel == YKI_KERNEL_ACTIVATE_GRAD && c->launch.views[0].dtype == YKI_BF16 ? 0x1p-13 : 0;
}

static void compare(const kernel_case *got, const kernel_case *want, const char *shape, const char *source,
                    int threads)
{
    double terms = terms_of(want),
           sum_error = 0x1p-23 * (4 * sqrt(terms) + terms / 4) * term_size(want->launch.kernel) +
                       crossing_error(want);
    for (int v = 0; v < want->launch.nviews; v++) {
        const yki_view *a = &got->launch.views[v], *b = &want->launch.views[v];
        if (a->data != NULL && memcmp(a->data, b->data, want->bytes[v]) == 0) continue;
        for (int64_t i = 0; a->data != NULL && i < yki_view_elems(a); i++) {
            double x = yki_get(a, i), y = yki_get(b, i);
            double allowed = v < want->ninputs ? 0
                                               : sum_error + unit_of(a->dtype, want->launch.views[0].dtype,
                                                                     want->launch.kernel) *
                                                                 fabs(y);
            if (x == y || fabs(x - y) <= allowed || (isnan(x) && isnan(y))) continue;
            fail_msg(
                "%s by %s, %d threads, \"%s\", operand %d, element %lld: %.9g, reference %.9g, allowed %.2g",
                yki_kernel_name(want->launch.kernel), source, threads, shape, v, (long long)i, x, y, allowed);
        }
    }
    if (fabs(got->loss[0] - want->loss[0]) > 1e-6 * fabs(want->loss[0]))
        fail_msg("%s by %s, %d threads, \"%s\": loss %.17g, reference %.17g",
                 yki_kernel_name(want->launch.kernel), source, threads, shape, got->loss[0], want->loss[0]);
}

static void expect_same_bits(const kernel_case *a, const kernel_case *b, int view_a, int view_b,
                             const char *what)
{
    const void *x = a->launch.views[view_a].data, *y = b->launch.views[view_b].data;
    if (x != NULL && memcmp(x, y, a->bytes[view_a]) != 0)
        fail_msg("%s: %s", yki_kernel_name(a->launch.kernel), what);
}

/* Tables whose implementations are held against the reference. */
static held_table tables[HELD_MOST];
static int ntables, checked[HELD_MOST]; /* launches that a table's implementations took */

static int fill_tables(void **state)
{
    (void)state;
    ntables = held_tables(tables);
    return 0;
}

/* Runs a launch again, by a team that may be another, and expects the bits of `got`. */
static void check_again(const kernel_case *start, const kernel_case *got, const yki_cpu_kernel *kernel,
                        int threads, bool in_place)
{
    kernel_case again;
    int out = start->ninputs;
    case_copy(&again, start);
    void *spare = again.launch.views[out].data;
    if (in_place) again.launch.views[out].data = again.launch.views[0].data;
    case_run(&again, kernel, threads);
    for (int v = in_place ? out : 0; v < (in_place ? out + 1 : got->launch.nviews); v++)
        expect_same_bits(got, &again, v, v, in_place ? "in place differs" : "two runs differ");
    assert_true(in_place || memcmp(&got->loss, &again.loss, sizeof got->loss) == 0);
    again.launch.views[out].data = spare;
    case_release(&again);
}

/* One implementation on one launch with several teams. Where bits are the same whatever the team, other teams
 * are the ones that run again. */
static void check_implementation(const kernel_case *start, const kernel_case *want, const held_table *held,
                                 const yki_cpu_kernel *kernel, const char *shape)
{
    bool may = may_be_in_place(start->launch.kernel) && start->launch.views[0].data != NULL &&
               start->bytes[0] == start->bytes[start->ninputs];
    for (int i = 0; i < (held->same_bits ? 1 : HELD_TEAMS) && held->teams[i]; i++) {
        int threads = held->teams[i];
        kernel_case got;
        case_copy(&got, start);
        case_run(&got, kernel, threads);
        compare(&got, want, shape, kernel->source, threads);
        check_again(start, &got, kernel, held->same_bits ? held->teams[1] : threads, false);
        if (held->same_bits || may)
            check_again(start, &got, kernel, held->same_bits ? held->teams[2] : threads, may);
        case_release(&got);
    }
}

static bool is_in(const yki_cpu_table *table, yki_kernel k, const yki_cpu_kernel *kernel)
{
    for (int i = 1; i < table->count[k]; i++)
        if (table->kernel[k][i].run == kernel->run && table->kernel[k][i].source == kernel->source)
            return true;
    return false;
}

/* All implementations of the tables that take a launch, each once. */
static void check_case(const kernel_case *start, const char *shape)
{
    yki_kernel k = start->launch.kernel;
    kernel_case want;
    case_copy(&want, start);
    case_run(&want, &yki_cpu_reference()->kernel[k][0], 1);
    for (int t = 0; t < ntables; t++)
        for (int i = 1; i < tables[t].table->count[k]; i++) {
            const yki_cpu_kernel *kernel = &tables[t].table->kernel[k][i];
            yki_launch shapes = start->launch;
            shapes.attr = &start->attr;
            bool known = false;
            for (int before = 0; before < t; before++) known |= is_in(tables[before].table, k, kernel);
            if (known || (kernel->accepts != NULL && !kernel->accepts(&shapes, 1))) continue;
            check_implementation(start, &want, &tables[t], kernel, shape);
            checked[t]++;
        }
    case_release(&want);
}

static void lose(kernel_case *c, int view)
{
    free(c->launch.views[view].data);
    c->launch.views[view] = (yki_view){0};
    c->bytes[view] = 0;
}

/* Variants of a launch that one more flag makes. */
static void check_variants(yki_kernel k, const char *shape, yki_dtype type)
{
    for (int variant = 0; variant < 4; variant++) {
        kernel_case c;
        case_make(&c, k, shape, type, 5 + (uint64_t)variant);
        size_t bytes = 0;
        for (int v = 0; v < c.launch.nviews; v++) bytes += c.bytes[v];
        if (variant > 0 && tables[0].most_bytes > 0 && bytes > tables[0].most_bytes) {
            case_release(&c);
            continue;
        }
        c.launch.accumulate = variant & 1;
        c.launch.training = !(variant & 2);
        c.update.decoupled = variant & 1;
        c.update.nesterov = variant & 1;
        const yki_signature *signature = yki_kernel_signature(k);
        for (int i = 0; i < signature->nwords; i++) /* inputs; outputs */
            if (signature->words[i].optional && (variant & (i < signature->ninputs ? 1 : 2))) lose(&c, i);
        case_settle(&c);
        check_case(&c, shape);
        case_release(&c);
    }
}

static void check_family(const family *f)
{
    for (int k = 0; k < 8 && f->kernels[k] != END; k++)
        for (int s = 0; s < MOST_SHAPES && f->shapes[s] != NULL; s++)
            for (int type = 0; type < 2; type++)
                check_variants(f->kernels[k], f->shapes[s], type == 0 ? YKI_F32 : YKI_BF16);
}

static void all_agree_with_the_reference(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) check_family(&families[f]);
    for (int t = 0; t < ntables; t++) /* else nothing was taken, and nothing was tested */
        assert_true(checked[t] > 1000 || (t == ntables - 1 && !tables[t].complete));
}

static void the_reference_is_complete(void **state)
{
    (void)state;
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        if (yki_cpu_reference()->count[k] != 1)
            fail_msg("%s has no reference", yki_kernel_name((yki_kernel)k));
        const yki_cpu_kernel *kernel = &yki_cpu_reference()->kernel[k][0];
        assert_non_null(kernel->run);
        assert_null(kernel->accepts);
        assert_string_equal(kernel->source, "reference");
        assert_ptr_equal(yki_cpu_best()->kernel[k][0].run, kernel->run);
    }
}

static void every_kernel_is_in_a_family(void **state)
{
    (void)state;
    for (int k = 0; k < YKI_KERNEL_COUNT; k++) {
        bool found = false;
        for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
            for (int i = 0; i < 8 && families[f].kernels[i] != END; i++)
                found |= families[f].kernels[i] == (yki_kernel)k;
        if (!found) fail_msg("%s is in no family of this test", yki_kernel_name((yki_kernel)k));
    }
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--bench") == 0)
        return bench_kernels(argv[2], argc > 3 ? atoi(argv[3]) : 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_complete),
        cmocka_unit_test(every_kernel_is_in_a_family),
        cmocka_unit_test(all_agree_with_the_reference),
    };
    return cmocka_run_group_tests(tests, fill_tables, NULL);
}
