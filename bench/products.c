/* Speed of the products: `bench_products [threads [seconds per figure [name]]]` prints for each kernel and
 * shape the GFLOP/s (and, for tiny ones, microseconds a call) of every implementation in the table, f32 and
 * bf16, side by side. `name` restricts the run to kernels whose line contains it. Figures are the best of the
 * repetitions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef YOKE_HAVE_OPENMP
#include <omp.h>
#endif

#include "backend/cpu/cpu.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static yki_view view_of(yki_dtype dtype, int ndim, const int64_t *dims)
{
    yki_view v = {.dtype = dtype, .ndim = ndim};
    memcpy(v.dims, dims, (size_t)ndim * sizeof *dims);
    size_t bytes = ((size_t)yki_view_elems(&v) * yki_dtype_bytes(dtype) + 127) / 64 * 64;
    v.data = aligned_alloc(64, bytes);
    if (v.data == NULL) exit(1);
    uint32_t seed = 1;
    for (int64_t i = 0; i < yki_view_elems(&v); i++) {
        seed = seed * 1664525 + 1013904223;
        float x = (float)(int32_t)seed * 0x1p-31f;
        uint32_t bits;
        memcpy(&bits, &x, 4);
        if (dtype == YKI_BF16)
            ((uint16_t *)v.data)[i] = (uint16_t)(bits >> 16);
        else
            ((float *)v.data)[i] = x;
    }
    return v;
}

#define VIEW(dtype, ...)                                                                                     \
    view_of(dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static double best_seconds(const yki_cpu_kernel *kernel, yki_launch *launch, int threads, double limit)
{
    void *state = NULL;
    if (kernel->prepare && kernel->prepare(launch, threads, &state) != YOKE_OK) return 0;
    launch->workspace_bytes = kernel->workspace_bytes ? kernel->workspace_bytes(launch, threads) : 0;
    launch->workspace = aligned_alloc(64, (launch->workspace_bytes + 127) / 64 * 64);
    kernel->run(launch, state, threads);
    double best = 1e9, end = now() + limit;
    long calls = 1;
    do {
        double start = now();
        for (long i = 0; i < calls; i++) kernel->run(launch, state, threads);
        double each = (now() - start) / (double)calls;
        if (each < best) best = each;
        if (each * (double)calls < 20e-6) calls *= 2;
    } while (now() < end);
    free(launch->workspace);
    if (kernel->discard) kernel->discard(state);
    return best;
}

static int threads = 1;
static double limit = 0.3;
static const char *only = "";

static void measure(const char *label, yki_launch *launch, double flops)
{
    if (strstr(label, only) == NULL) return;
    yki_cpu_table table = {0};
    yki_cpu_register_products(&table, yki_isa_get());
    yki_cpu_register_onednn(&table);
    printf("%-40s", label);
    for (int i = 0; i < table.count[launch->kernel]; i++) {
        const yki_cpu_kernel *kernel = &table.kernel[launch->kernel][i];
        double seconds = best_seconds(kernel, launch, threads, limit);
        bool taken = kernel->accepts == NULL || kernel->accepts(launch, threads);
        printf("  %-15s %8.2f us %7.1f GFLOP/s%s", kernel->source, seconds * 1e6, flops / seconds * 1e-9,
               taken ? "" : " (refused)");
    }
    printf("\n");
    fflush(stdout);
}

static void release(yki_launch *launch)
{
    for (int i = 0; i < launch->nviews; i++) free(launch->views[i].data);
}

static void linear(int64_t R, int64_t K, int64_t N, yki_dtype type)
{
    const char *name = type == YKI_F32 ? "f32" : "bf16";
    char label[80];
    double flops = 2.0 * (double)R * (double)K * (double)N;
    yki_launch y = {.kernel = YKI_KERNEL_LINEAR, .nviews = 4};
    y.views[0] = VIEW(type, R, K), y.views[1] = VIEW(type, N, K), y.views[2] = VIEW(type, N),
    y.views[3] = VIEW(type, R, N);
    snprintf(label, sizeof label, "linear    %s %ldx%ldx%ld", name, (long)R, (long)K, (long)N);
    measure(label, &y, flops);
    yki_launch dx = {
        .kernel = YKI_KERNEL_LINEAR_DX, .nviews = 3, .views = {y.views[3], y.views[1], y.views[0]}};
    snprintf(label, sizeof label, "linear.dx %s %ldx%ldx%ld", name, (long)R, (long)K, (long)N);
    measure(label, &dx, flops);
    yki_launch dw = {
        .kernel = YKI_KERNEL_LINEAR_DW, .nviews = 3, .views = {y.views[0], y.views[3]}, .accumulate = true};
    dw.views[2] = VIEW(YKI_F32, N, K);
    snprintf(label, sizeof label, "linear.dw %s %ldx%ldx%ld", name, (long)R, (long)K, (long)N);
    measure(label, &dw, flops);
    free(dw.views[2].data);
    release(&y);
}

static void conv(int64_t n, int64_t C, int64_t size, int64_t O, int64_t kernel, int64_t stride,
                 int64_t padding, yki_dtype type)
{
    const char *name = type == YKI_F32 ? "f32" : "bf16";
    char label[80];
    yki_attr attr = {.kernel = kernel, .stride = stride, .padding = padding};
    int64_t out = (size + 2 * padding - kernel) / stride + 1;
    double flops = 2.0 * (double)(n * O * out * out) * (double)(C * kernel * kernel);
    yki_launch y = {.kernel = YKI_KERNEL_CONV2D, .nviews = 4, .attr = &attr};
    y.views[0] = VIEW(type, n, C, size, size), y.views[1] = VIEW(type, O, C, kernel, kernel);
    y.views[2] = VIEW(type, O), y.views[3] = VIEW(type, n, O, out, out);
    snprintf(label, sizeof label, "conv2d    %s %ldx%ldx%ld^2 -> %ld, %ld^2/%ld", name, (long)n, (long)C,
             (long)size, (long)O, (long)kernel, (long)stride);
    measure(label, &y, flops);
    yki_launch dx = {.kernel = YKI_KERNEL_CONV2D_DX, .nviews = 3, .attr = &attr};
    dx.views[0] = y.views[3], dx.views[1] = y.views[1], dx.views[2] = y.views[0];
    memcpy(label, "conv2d.dx", 9);
    measure(label, &dx, flops);
    yki_launch dw = {.kernel = YKI_KERNEL_CONV2D_DW, .nviews = 3, .attr = &attr, .accumulate = true};
    dw.views[0] = y.views[0], dw.views[1] = y.views[3], dw.views[2] = VIEW(YKI_F32, O, C, kernel, kernel);
    memcpy(label, "conv2d.dw", 9);
    measure(label, &dw, flops);
    free(dw.views[2].data);
    release(&y);
}

/* FLOPs are those of all T x T scores, halved where causal. */
static void attention(int64_t n, int64_t T, int64_t H, int64_t d, bool causal, double p, yki_dtype type)
{
    const char *name = type == YKI_F32 ? "f32" : "bf16";
    char label[80];
    yki_attr attr = {.causal = causal, .global = H, .p = p, .key = 1};
    double flops = 4.0 * (double)(n * H * T) * (double)T * (double)d * (causal ? 0.5 : 1);
    yki_launch y = {.kernel = YKI_KERNEL_ATTENTION, .nviews = 3, .attr = &attr, .training = true};
    y.views[0] = VIEW(type, n, T, 3, H, d), y.views[1] = VIEW(type, n, T, H, d),
    y.views[2] = VIEW(YKI_F32, n, H, T);
    snprintf(label, sizeof label, "attention      %s T=%ld d=%ld%s%s", name, (long)T, (long)d,
             causal ? " causal" : "", p > 0 ? " dropout" : "");
    measure(label, &y, flops);
    yki_launch g = {.kernel = YKI_KERNEL_ATTENTION_GRAD, .nviews = 5, .attr = &attr, .training = true};
    g.views[0] = VIEW(type, n, T, H, d), g.views[1] = y.views[0], g.views[2] = y.views[1],
    g.views[3] = y.views[2];
    g.views[4] = VIEW(type, n, T, 3, H, d);
    memcpy(label, "attention.grad", 14);
    measure(label, &g, 2.5 * flops);
    free(g.views[0].data);
    free(g.views[4].data);
    release(&y);
}

int main(int argc, char **argv)
{
    if (argc > 1) threads = atoi(argv[1]);
    if (argc > 2) limit = atof(argv[2]);
    if (argc > 3) only = argv[3];
#ifdef YOKE_HAVE_OPENMP
    omp_set_num_threads(threads);
#endif
    static const int64_t linears[][3] = {
        {10, 10, 5},        {1, 768, 768},     {4, 768, 3072},   {5, 768, 3072},  {16, 16, 16},
        {32, 32, 32},       {64, 64, 64},      {128, 128, 128},  {256, 256, 256}, {512, 512, 512},
        {1024, 1024, 1024}, {128, 1024, 512},  {128, 512, 256},  {128, 128, 10},  {1024, 768, 2304},
        {1024, 768, 768},   {1024, 768, 3072}, {1024, 3072, 768}};
    for (int type = YKI_F32; type <= YKI_BF16; type++) {
        for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
            linear(linears[i][0], linears[i][1], linears[i][2], (yki_dtype)type);
        if (strstr("50257", only)) linear(256, 768, 50257, (yki_dtype)type);
        conv(128, 1, 28, 16, 3, 1, 1, (yki_dtype)type);
        conv(128, 16, 14, 32, 3, 1, 1, (yki_dtype)type);
        conv(16, 64, 56, 64, 3, 1, 1, (yki_dtype)type);
        conv(16, 64, 56, 128, 3, 2, 1, (yki_dtype)type);
        conv(16, 256, 14, 512, 1, 1, 0, (yki_dtype)type);
        attention(4, 256, 12, 64, true, 0, (yki_dtype)type);
        attention(1, 1024, 12, 64, true, 0, (yki_dtype)type);
        attention(1, 1024, 12, 64, false, 0, (yki_dtype)type);
        attention(4, 256, 12, 64, true, 0.1, (yki_dtype)type);
        attention(8, 33, 4, 20, true, 0, (yki_dtype)type);
    }
    return 0;
}
