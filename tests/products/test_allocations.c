/* A launch allocates nothing. The program's own malloc counts every call in the process, the library's inside
 * included: our products must make none. oneDNN makes a few a call: its table of arguments, and where it has
 * no AVX-512 or the like copies of blocks of the operands. All must be given back in the call, so that
 * nothing grows, and blocks are of some MiB a thread at most. */
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>

#include "products.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __GLIBC__
#define COUNTING 0
static long counted, held, most;
#else
#define COUNTING 1
static atomic_long counted, held, most;

/* Visible, so that the libraries' calls come here too. */
#pragma GCC visibility push(default)
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *data);

static void *count(void *data)
{
    counted++;
    long bytes = data ? (long)malloc_usable_size(data) : 0;
    held += bytes;
    if (held > most) most = held;
    return data;
}

void *malloc(size_t bytes)
{
    return count(__libc_malloc(bytes));
}
void *calloc(size_t items, size_t bytes)
{
    return count(__libc_calloc(items, bytes));
}
void *memalign(size_t alignment, size_t bytes)
{
    return count(__libc_memalign(alignment, bytes));
}
void *aligned_alloc(size_t alignment, size_t bytes)
{
    return count(__libc_memalign(alignment, bytes));
}
int posix_memalign(void **data_out, size_t alignment, size_t bytes)
{
    *data_out = count(__libc_memalign(alignment, bytes));
    return *data_out ? 0 : 12;
}
void *realloc(void *data, size_t bytes)
{
    if (data) held -= (long)malloc_usable_size(data);
    return count(__libc_realloc(data, bytes));
}
void free(void *data)
{
    if (data) held -= (long)malloc_usable_size(data);
    __libc_free(data);
}
#pragma GCC visibility pop
#endif

enum { BLOCKS_BYTES = 4 << 20 };

/* Prepares once, launches often, and counts what the launches after the first allocate. */
static void check(int source, yki_launch *launch, int threads)
{
    yki_cpu_table table;
    source_table(source, &table);
    if (table.count[launch->kernel] == 0) return;
    const yki_cpu_kernel *kernel = &table.kernel[launch->kernel][0];
    if (kernel->accepts && !kernel->accepts(launch, threads)) return;
    void *state = NULL;
#ifdef YOKE_HAVE_OPENMP
    omp_set_num_threads(threads);
#endif
    if (kernel->prepare) assert_int_equal(kernel->prepare(launch, threads, &state), YOKE_OK);
    launch->workspace_bytes = kernel->workspace_bytes ? kernel->workspace_bytes(launch, threads) : 0;
    launch->workspace = aligned_alloc(64, (launch->workspace_bytes + 127) / 64 * 64);
    kernel->run(launch, state, threads);
    launch->accumulate = true;
    kernel->run(launch, state, threads);
    long calls = counted, before = held, bytes = before;
    most = bytes;
    for (int i = 0; i < 10; i++) {
        launch->accumulate = i % 2;
        kernel->run(launch, state, threads);
    }
    calls = counted - calls;
    bytes = held - bytes;
    if (source <= (int)yki_isa_get()) assert_int_equal(calls, 0);
    assert_int_equal(bytes, 0);
    long taken = (long)most - before;
    if (calls)
        printf("  %s, kernel %d, %d threads: %ld allocations in 10 launches, up to %ld bytes\n",
               kernel->source, (int)launch->kernel, threads, calls, taken);
    assert_true(taken <= threads * BLOCKS_BYTES);
    free(launch->workspace);
    if (kernel->discard) kernel->discard(state);
}

static void counting_counts(void **unused)
{
    (void)unused;
    if (!COUNTING) skip();
    long before = counted;
    FILE *file = fopen("/dev/null", "r"); /* allocates inside the C library */
    assert_non_null(file);
    fclose(file);
    assert_true(counted > before);
}

static void launches_allocate_nothing(void **unused)
{
    (void)unused;
    if (!COUNTING) skip();
    for (int type = YKI_F32; type <= YKI_BF16; type++)
        for (int source = 0; source < sources(); source++)
            for (int threads = 1; threads <= 2; threads++) {
                yki_dtype t = (yki_dtype)type;
                yki_attr attr = {
                    .kernel = 3, .stride = 1, .padding = 1, .causal = true, .p = 0.1, .global = 2};
                yki_view x = VIEW(1, t, 128, 130), w = VIEW(2, t, 140, 130), b = VIEW(3, t, 140),
                         y = VIEW(4, t, 128, 140);
                yki_view dw = VIEW(5, YKI_F32, 140, 130);
                yki_launch linear[] = {{.kernel = YKI_KERNEL_LINEAR, .nviews = 4, .views = {x, w, b, y}},
                                       {.kernel = YKI_KERNEL_LINEAR_DX, .nviews = 3, .views = {y, w, x}},
                                       {.kernel = YKI_KERNEL_LINEAR_DW, .nviews = 3, .views = {x, y, dw}}};
                yki_view image = VIEW(1, t, 4, 16, 9, 9), k = VIEW(2, t, 17, 16, 3, 3), kb = VIEW(3, t, 17);
                yki_view out = VIEW(4, t, 4, 17, 9, 9), dk = VIEW(5, YKI_F32, 17, 16, 3, 3);
                yki_launch conv[] = {
                    {.kernel = YKI_KERNEL_CONV2D, .nviews = 4, .views = {image, k, kb, out}},
                    {.kernel = YKI_KERNEL_CONV2D_DX, .nviews = 3, .views = {out, k, image}},
                    {.kernel = YKI_KERNEL_CONV2D_DW, .nviews = 3, .views = {image, out, dk}}};
                yki_view qkv = VIEW(1, t, 2, 20, 3, 2, 8), a = VIEW(2, t, 2, 20, 2, 8),
                         lse = VIEW(3, YKI_F32, 2, 2, 20);
                yki_view dqkv = VIEW(1, t, 2, 20, 3, 2, 8);
                yki_launch attention[] = {
                    {.kernel = YKI_KERNEL_ATTENTION, .nviews = 3, .views = {qkv, a, lse}},
                    {.kernel = YKI_KERNEL_ATTENTION_GRAD, .nviews = 5, .views = {a, qkv, a, lse, dqkv}}};
                for (int i = 0; i < 3; i++) check(source, &linear[i], threads);
                for (int i = 0; i < 3; i++) conv[i].attr = &attr, check(source, &conv[i], threads);
                for (int i = 0; i < 2; i++) attention[i].attr = &attr, check(source, &attention[i], threads);
                yki_view *all[] = {&x, &w, &b, &y, &dw, &image, &k, &kb, &out, &dk, &qkv, &a, &lse, &dqkv};
                for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counting_counts),
                                       cmocka_unit_test(launches_allocate_nothing)};
    return cmocka_run_group_tests_name("products: allocations", tests, NULL, NULL);
}
