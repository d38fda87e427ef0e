/* Speed of kernels at the shapes of a GPT-2 of 124 million parameters (1024 tokens) and of a small
 * convolutional network. */
#include "backend/bench_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cases.h"
#include "backend/cpu/fused/fused.h"

typedef struct bench_row {
    yki_kernel kernel;
    const char *shape;
} bench_row;

#define POOL_SHAPE "n128 C32 h28 w28 k2 s2 O64"
static const bench_row rows[] = {
    {YKI_KERNEL_ZERO, "E20000000"},
    {YKI_KERNEL_CAST, "E20000000"},
    {YKI_KERNEL_ADD, "E20000000"},
    {YKI_KERNEL_COPY_SLICE, "n1024 o1 g3072 l1536 i1 @1536"},
    {YKI_KERNEL_ACTIVATE, "E8000000 A0"},
    {YKI_KERNEL_ACTIVATE, "E8000000 A1"},
    {YKI_KERNEL_ACTIVATE, "E8000000 A2"},
    {YKI_KERNEL_ACTIVATE, "E8000000 A3"},
    {YKI_KERNEL_ACTIVATE, "E8000000 A5"},
    {YKI_KERNEL_ACTIVATE_GRAD, "E8000000 A0"},
    {YKI_KERNEL_ACTIVATE_GRAD, "E8000000 A1"},
    {YKI_KERNEL_ACTIVATE_GRAD, "E8000000 A2"},
    {YKI_KERNEL_ACTIVATE_GRAD, "E8000000 A5"},
    {YKI_KERNEL_DROPOUT, "n4 o256 l768 g768 i1"},
    {YKI_KERNEL_LAYERNORM, "R8192 D768"},
    {YKI_KERNEL_LAYERNORM_DX, "R8192 D768"},
    {YKI_KERNEL_LAYERNORM_DW, "R8192 D768"},
    {YKI_KERNEL_RMSNORM, "R8192 D768"},
    {YKI_KERNEL_RMSNORM_DX, "R8192 D768"},
    {YKI_KERNEL_RMSNORM_DW, "R8192 D768"},
    {YKI_KERNEL_HEADNORM, "n4 T1024 H12 d64"},
    {YKI_KERNEL_HEADNORM_DX, "n4 T1024 H12 d64"},
    {YKI_KERNEL_HEADNORM_DW, "n4 T1024 H12 d64"},
    {YKI_KERNEL_GROUPNORM, "n32 C64 i1024 g8"},
    {YKI_KERNEL_GROUPNORM_DX, "n32 C64 i1024 g8"},
    {YKI_KERNEL_GROUPNORM_DW, "n32 C64 i1024 g8"},
    {YKI_KERNEL_SOFTMAX, "R8192 D768"},
    {YKI_KERNEL_SOFTMAX_GRAD, "R8192 D768"},
    {YKI_KERNEL_BIAS_GRAD, "R1024 N3072"},
    {YKI_KERNEL_BIAS_GRAD, "R100000 N10"},
    {YKI_KERNEL_EMBED, "R8192 V50257 D768"},
    {YKI_KERNEL_EMBED_GRAD, "R1024 V50257 D768"},
    {YKI_KERNEL_POSITION, "n8 T1024 D768 P1024"},
    {YKI_KERNEL_POSITION_GRAD, "n8 T1024 D768 P1024"},
    {YKI_KERNEL_XENT_MAX, "R1024 V50257"},
    {YKI_KERNEL_XENT_SUM, "R1024 V50257"},
    {YKI_KERNEL_XENT_GRAD, "R1024 V50257"},
    {YKI_KERNEL_MSE_LOSS, "E20000000"},
    {YKI_KERNEL_MSE_GRAD, "E20000000"},
    {YKI_KERNEL_SUM_SQUARES, "E40000000"},
    {YKI_KERNEL_ADAM, "E20000000"},
    {YKI_KERNEL_SGD, "E20000000"},
    {YKI_KERNEL_LION, "E20000000"},
    {YKI_KERNEL_MOMENTUM, "E20000000"},
    {YKI_KERNEL_UNIT, "E2359296"},
    {YKI_KERNEL_COMBINE, "E2359296"},
    {YKI_KERNEL_CONV2D_BIAS_GRAD, POOL_SHAPE},
    {YKI_KERNEL_MAXPOOL2D, POOL_SHAPE},
    {YKI_KERNEL_MAXPOOL2D_GRAD, POOL_SHAPE},
    {YKI_KERNEL_AVGPOOL2D, POOL_SHAPE},
    {YKI_KERNEL_AVGPOOL2D_GRAD, POOL_SHAPE},
    {YKI_KERNEL_ATTENTION, "n4 T256 H12 d64 g12 c1"},
    {YKI_KERNEL_ATTENTION_GRAD, "n4 T256 H12 d64 g12 c1"},
    {YKI_KERNEL_GQA, "n4 T256 H12 G12 d64 g12 u1 c1"},
    {YKI_KERNEL_GQA, "n4 T256 H12 G4 d64 g12 u3 c1"},
    {YKI_KERNEL_GQA_GRAD, "n4 T256 H12 G12 d64 g12 u1 c1"},
    {YKI_KERNEL_GQA_GRAD, "n4 T256 H12 G4 d64 g12 u3 c1"},
    {YKI_KERNEL_GQA, "n1 T4096 H2 G2 d64 g2 u1 c1"},
    {YKI_KERNEL_GQA, "n1 T4096 H2 G2 d64 g2 u1 c1 W256"},
    {YKI_KERNEL_GQA_GRAD, "n1 T4096 H2 G2 d64 g2 u1 c1"},
    {YKI_KERNEL_GQA_GRAD, "n1 T4096 H2 G2 d64 g2 u1 c1 W256"},
    {YKI_KERNEL_ROPE, "n4 T1024 H12 d64"},
    {YKI_KERNEL_GATE, "E12582912"},
    {YKI_KERNEL_GATE_GRAD, "E12582912"},
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Every operand once; what an update reads and writes twice. */
static double moved_bytes(const kernel_case *c)
{
    double bytes = 0;
    bool updates = c->launch.kernel == YKI_KERNEL_ADAM || c->launch.kernel == YKI_KERNEL_SGD ||
                   c->launch.kernel == YKI_KERNEL_LION;
    for (int i = 0; i < c->launch.nviews; i++)
        bytes += (double)c->bytes[i] *
                 (updates && c->launch.views[i].dtype != YKI_BF16 && i >= c->ninputs ? 2 : 1);
    if (c->launch.kernel == YKI_KERNEL_EMBED) bytes = 2.0 * (double)c->bytes[2]; /* not the whole table */
    return bytes;
}

static double fastest_s(kernel_case *c, const yki_cpu_kernel *kernel, int threads)
{
    double best = 1e9, total = 0;
    for (int run = 0; run < 200 && (run < 3 || total < 0.4); run++) {
        double start = now_s();
        case_run(c, kernel, threads);
        double took = now_s() - start;
        total += took;
        if (took < best) best = took;
    }
    return best;
}

/* What a plain copy and a + s b = c reach, all streams counted. */
static void print_memory(int threads)
{
    enum { ELEMS = 20000000 };
    float *a = aligned_alloc(64, ELEMS * 4), *b = aligned_alloc(64, ELEMS * 4),
          *c = aligned_alloc(64, ELEMS * 4);
    if (a == NULL || b == NULL || c == NULL) exit(1);
    for (int i = 0; i < ELEMS; i++) a[i] = b[i] = c[i] = 1;
    double copy = 1e9, triad = 1e9;
    for (int run = 0; run < 10; run++) {
        double start = now_s();
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static)
#endif
        for (int part = 0; part < threads; part++) {
            size_t first = (size_t)ELEMS / (size_t)threads * (size_t)part;
            memcpy(b + first, a + first, (size_t)ELEMS / (size_t)threads * 4);
        }
        double middle = now_s();
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static)
#endif
        for (int i = 0; i < ELEMS; i++) c[i] = a[i] + 3.0f * b[i];
        double end = now_s();
        if (middle - start < copy) copy = middle - start;
        if (end - middle < triad) triad = end - middle;
    }
    printf("%-18s %-34s %-5s %-17s %8.2f GB/s\n", "memcpy", "E20000000", "f32", "libc", ELEMS * 8e-9 / copy);
    printf("%-18s %-34s %-5s %-17s %8.2f GB/s (%g)\n", "triad", "E20000000", "f32", "plain loop",
           ELEMS * 12e-9 / triad, c[7]);
    free(a), free(b), free(c);
}

int bench_kernels(const char *name, int threads)
{
    bool found = false;
    print_memory(threads);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        if (strstr(yki_kernel_name(rows[row].kernel), name) == NULL && strcmp(name, "all") != 0) continue;
        found = true;
        for (int type = 0; type < 2; type++)
            for (int variant = 0; yki_fused_variant(variant) != NULL; variant++) {
                yki_cpu_table table = {0};
                yki_cpu_register_reference(&table);
                yki_fused_register(&table, yki_fused_variant(variant));
                yki_cpu_register_products(&table, yki_fused_variant(variant)->isa);
                kernel_case c;
                case_make(&c, rows[row].kernel, rows[row].shape, type == 0 ? YKI_F32 : YKI_BF16, 1);
                const yki_cpu_kernel *kernel = yki_cpu_select(&table, &c.launch, threads);
                double seconds = fastest_s(&c, kernel, threads);
                printf("%-18s %-34s %-5s %-17s %8.2f GB/s %10.1f us\n", yki_kernel_name(rows[row].kernel),
                       rows[row].shape, type == 0 ? "f32" : "bf16", kernel->source,
                       moved_bytes(&c) * 1e-9 / seconds, seconds * 1e6);
                case_release(&c);
            }
    }
    return found ? 0 : 2;
}
