/* Backends as their users see them: names, memory, preparing and launching; and what the CPU backend chooses.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/machine.h"

static const char *const backends[] = {"cpu", "null"};

static void backends_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const yki_backend_ops *ops = yki_backend_get(backends[i]);
        assert_non_null(ops);
        assert_string_equal(ops->name, backends[i]);
        assert_true(ops->count() >= 1);
        assert_true(ops->memory_bytes(0) > 1 << 20);
    }
    assert_null(yki_backend_get("abacus"));
    assert_null(yki_backend_get(""));
}

static void kernels_have_names(void **state)
{
    (void)state;
    assert_string_equal(yki_kernel_name(YKI_KERNEL_LINEAR), "linear");
    assert_string_equal(yki_kernel_name(YKI_KERNEL_SGD), "sgd");
    for (int i = 0; i < YKI_KERNEL_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(yki_kernel_name((yki_kernel)i), yki_kernel_name((yki_kernel)j));
}

static void memory_is_zero_aligned_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const yki_backend_ops *ops = yki_backend_get(backends[i]);
        yki_device *device;
        assert_int_equal(ops->device_create(0, 1, &device), YOKE_OK);
        assert_int_equal(ops->peak_bytes(device), 0);
        const size_t sizes[] = {1, 0, 12345, 3 << 20};
        void *data[4];
        size_t total = 0;
        for (int k = 0; k < 4; k++) {
            assert_int_equal(ops->alloc(device, sizes[k], &data[k]), YOKE_OK);
            assert_non_null(data[k]);
            assert_true((uintptr_t)data[k] % 64 == 0);
            for (size_t at = 0; at < sizes[k]; at++) assert_int_equal(((char *)data[k])[at], 0);
            memset(data[k], 7, sizes[k]);
            total += sizes[k];
        }
        assert_int_equal(ops->peak_bytes(device), total);
        ops->free(device, data[3]);
        ops->free(device, data[1]);
        ops->free(device, NULL);
        assert_int_equal(ops->alloc(device, 3 << 20, &data[3]), YOKE_OK); /* reused room, no new peak */
        assert_int_equal(((char *)data[3])[12345], 0);
        assert_int_equal(ops->peak_bytes(device), total);
        assert_int_equal(ops->alloc(device, SIZE_MAX - 100, &data[1]), YOKE_SYSTEM);
        assert_int_equal(yoke_error_get()->status, YOKE_SYSTEM);
        assert_int_equal(ops->peak_bytes(device), total);
        ops->device_destroy(device); /* with what is left */
        unsigned char there[1];
        assert_true(mincore(data[3], 1, there) == -1 && errno == ENOMEM); /* the system has it back */
        ops->device_destroy(NULL);
    }
}

static int64_t resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static void memory_costs_nothing_until_it_is_touched(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const yki_backend_ops *ops = yki_backend_get(backends[i]);
        yki_device *device;
        assert_int_equal(ops->device_create(0, 1, &device), YOKE_OK);
        void *data;
        int64_t before = resident_bytes();
        assert_int_equal(ops->alloc(device, 512 << 20, &data), YOKE_OK);
        assert_true(resident_bytes() - before < 8 << 20);
        ops->device_destroy(device);
    }
    yki_device *device; /* a plan for a machine that is not here */
    void *data;
    const yki_backend_ops *null = yki_backend_get("null");
    assert_int_equal(null->device_create(12345, 64, &device), YOKE_OK);
    assert_int_equal(null->alloc(device, (size_t)1 << 38, &data), YOKE_OK);
    assert_int_equal(null->peak_bytes(device), (int64_t)1 << 38);
    null->device_destroy(device);
}

static yki_launch addition(float *a, float *b, float *y, int64_t elems)
{
    return (yki_launch){
        .kernel = YKI_KERNEL_ADD,
        .nviews = 3,
        .views = {{a, YKI_F32, 1, {elems}}, {b, YKI_F32, 1, {elems}}, {y, YKI_F32, 1, {elems}}}};
}

static void a_prepared_launch_runs(void **state)
{
    (void)state;
    const yki_backend_ops *ops = yki_backend_get("cpu");
    yki_device *device;
    assert_int_equal(ops->device_create(0, 0, &device), YOKE_INVALID);
    assert_int_equal(ops->device_create(3, 2, &device), YOKE_OK);
    assert_int_equal(ops->device_bind(device, 0, 1), YOKE_OK);
    float a[5] = {1, 2, 3, 4, 5}, b[5] = {10, 20, 30, 40, 50}, y[5] = {0};
    yki_launch launch = addition(a, b, y, 5), other = addition(b, a, y, 5), shorter = addition(a, b, y, 4);
    yki_prepared *first, *again, *third;
    assert_int_equal(ops->workspace_bytes(&launch, 2), 0);
    assert_int_equal(ops->prepare(device, &launch, &first), YOKE_OK);
    assert_int_equal(ops->prepare(device, &other, &again), YOKE_OK);
    assert_int_equal(ops->prepare(device, &shorter, &third), YOKE_OK);
    assert_ptr_equal(first, again); /* equal shapes share */
    assert_ptr_not_equal(first, third);
    yki_queue *queue;
    assert_int_equal(ops->queue_create(device, &queue), YOKE_OK);
    ops->launch(queue, third, &shorter);
    assert_true(y[3] == 44 && y[4] == 0);
    yki_event *event;
    assert_int_equal(ops->event_create(device, &event), YOKE_OK);
    ops->record(queue, event);
    ops->wait(queue, event);
    ops->launch(queue, first, &launch);
    assert_int_equal(ops->synchronize(queue), YOKE_OK);
    assert_true(y[0] == 11 && y[4] == 55);
    ops->event_destroy(event);
    ops->queue_destroy(queue);
    ops->device_destroy(device);
}

static void preparing_tells_attributes_and_absent_operands_apart(void **state)
{
    (void)state;
    const yki_backend_ops *ops = yki_backend_get("cpu");
    yki_device *device;
    assert_int_equal(ops->device_create(0, 1, &device), YOKE_OK);
    yki_attr relu = {.activation = YOKE_RELU}, tanh = {.activation = YOKE_TANH};
    yki_launch launch = {.kernel = YKI_KERNEL_ACTIVATE,
                         .attr = &relu,
                         .nviews = 2,
                         .views = {{NULL, YKI_F32, 1, {3}}, {NULL, YKI_F32, 1, {3}}}};
    yki_prepared *a, *b, *c;
    assert_int_equal(ops->prepare(device, &launch, &a), YOKE_OK);
    launch.attr = &tanh;
    assert_int_equal(ops->prepare(device, &launch, &b), YOKE_OK);
    launch.views[0].dtype = launch.views[1].dtype = YKI_BF16;
    assert_int_equal(ops->prepare(device, &launch, &c), YOKE_OK);
    assert_true(a != b && b != c && a != c);
    float w[2] = {0};
    yki_launch sgd = {.kernel = YKI_KERNEL_SGD,
                      .nviews = 4,
                      .views = {{w, YKI_F32, 1, {2}}, {w, YKI_F32, 1, {2}}, {w, YKI_F32, 1, {2}}, {0}}};
    assert_int_equal(ops->prepare(device, &sgd, &a), YOKE_OK);
    sgd.views[2] = (yki_view){0};
    assert_int_equal(ops->prepare(device, &sgd, &b), YOKE_OK);
    assert_ptr_not_equal(a, b);
    ops->device_destroy(device);
}

static void nothing_happens_on_the_null_backend(void **state)
{
    (void)state;
    const yki_backend_ops *ops = yki_backend_get("null");
    yki_device *device;
    assert_int_equal(ops->device_create(0, 1, &device), YOKE_OK);
    assert_int_equal(ops->device_bind(device, 5, 100), YOKE_OK);
    float a[2] = {1, 2}, y[2] = {9, 9};
    yki_launch launch = addition(a, a, y, 2);
    yki_prepared *prepared;
    yki_event *event;
    assert_int_equal(ops->workspace_bytes(&launch, 4), 0);
    assert_int_equal(ops->prepare(device, &launch, &prepared), YOKE_OK);
    yki_queue *queue;
    assert_int_equal(ops->queue_create(device, &queue), YOKE_OK);
    ops->launch(queue, prepared, &launch);
    yki_queue_transfer(queue, YKI_UPLOAD, y, a, sizeof a);
    ops->fill(queue, y, 1, sizeof y);
    assert_int_equal(ops->event_create(device, &event), YOKE_OK);
    ops->record(queue, event);
    ops->wait(queue, event);
    assert_int_equal(ops->reach(event), YOKE_OK);
    assert_int_equal(ops->synchronize(queue), YOKE_OK);
    assert_true(y[0] == 9 && y[1] == 9);
    ops->event_destroy(event);
    ops->queue_destroy(queue);
    ops->device_destroy(device);
}

static void the_environment_lowers_the_instruction_set(void **state)
{
    (void)state;
    assert_true(yki_isa_get() <= yki_isa_native());
    assert_string_equal(yki_isa_name(YKI_ISA_AVX2), "avx2");
    const char *wish = getenv("YOKE_ISA");
    if (wish != NULL && strcmp(wish, "base") == 0) assert_int_equal(yki_isa_get(), YKI_ISA_BASE);
    if (wish == NULL) assert_int_equal(yki_isa_get(), yki_isa_native());
}

static void the_last_implementation_that_accepts_is_chosen(void **state)
{
    (void)state;
    float a[1] = {0};
    yki_launch launch = addition(a, a, a, 1);
    yki_cpu_table table = {0};
    yki_cpu_register_reference(&table);
    assert_string_equal(yki_cpu_select(&table, &launch, 1)->source, "reference");
    yki_cpu_register_fused(&table, YKI_ISA_BASE);
    assert_string_equal(yki_cpu_select(&table, &launch, 1)->source, "fused base");
    launch.views[0].dtype = YKI_BF16; /* a mixture */
    assert_string_equal(yki_cpu_select(&table, &launch, 1)->source, "reference");
}

/* Last: it binds this thread. */
static void ranks_are_bound_to_their_share(void **state)
{
    (void)state;
    const yki_backend_ops *ops = yki_backend_get("cpu");
    int cores = ops->count();
    assert_int_equal(cores, yki_machine_cores());
    assert_true(cores <= sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    yki_device *device;
    assert_int_equal(ops->device_create(0, cores, &device), YOKE_OK); /* too many threads for two ranks */
    assert_int_equal(ops->device_bind(device, 1, 2), YOKE_OK);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    ops->device_destroy(device);
#ifdef YOKE_HAVE_HWLOC
    if (cores < 2) return;
    assert_int_equal(ops->device_create(0, 1, &device), YOKE_OK);
    assert_int_equal(ops->device_bind(device, 1, 2), YOKE_OK);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_COUNT(&after) >= 1 && CPU_COUNT(&after) < CPU_COUNT(&before));
    assert_int_equal(ops->count(), cores); /* the binding of a thread does not shrink the machine */
    ops->device_destroy(device);
    sched_setaffinity(0, sizeof before, &before);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_have_names),
        cmocka_unit_test(kernels_have_names),
        cmocka_unit_test(memory_is_zero_aligned_and_counted),
        cmocka_unit_test(memory_costs_nothing_until_it_is_touched),
        cmocka_unit_test(a_prepared_launch_runs),
        cmocka_unit_test(preparing_tells_attributes_and_absent_operands_apart),
        cmocka_unit_test(nothing_happens_on_the_null_backend),
        cmocka_unit_test(the_environment_lowers_the_instruction_set),
        cmocka_unit_test(the_last_implementation_that_accepts_is_chosen),
        cmocka_unit_test(ranks_are_bound_to_their_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
