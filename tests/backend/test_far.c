/* The backend that is far away keeps the contract as badly as the contract allows: late, out of order, out of
 * reach. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/backend.h"

enum { N = 6, BYTES = N * sizeof(float) };

typedef struct far {
    const yki_backend_ops *ops;
    yki_device *device;
    yki_queue *queue, *other;
    float *a, *b; /* of the device: N elements each */
} far;

static far open_far(void)
{
    far f = {.ops = yki_backend_get("far")};
    void *data;
    assert_non_null(f.ops);
    assert_int_equal(f.ops->memory, YKI_MEMORY_FAR);
    assert_int_equal(f.ops->device_create(0, 1, &f.device), YOKE_OK);
    assert_int_equal(f.ops->queue_create(f.device, &f.queue), YOKE_OK);
    assert_int_equal(f.ops->queue_create(f.device, &f.other), YOKE_OK);
    assert_int_equal(f.ops->alloc(f.device, BYTES, &data), YOKE_OK);
    f.a = data;
    assert_int_equal(f.ops->alloc(f.device, BYTES, &data), YOKE_OK);
    f.b = data;
    return f;
}

static void close_far(far *f)
{
    f->ops->queue_destroy(f->queue);
    f->ops->queue_destroy(f->other);
    f->ops->free(f->device, f->a);
    f->ops->free(f->device, f->b);
    f->ops->device_destroy(f->device);
}

static void test_nobody_else_has_the_memory(void **state)
{
    (void)state;
    far f = open_far();
    assert_null(f.ops->host_address(f.device, f.a));
    assert_int_equal(f.ops->peak_bytes(f.device), 2 * BYTES);
    for (int writes = 0; writes < 2; writes++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL); /* the test library's own would go on with the tests */
            volatile float *data = f.a;
            float found = 0;
            if (writes)
                data[0] = 1;
            else
                found = data[0];
            _exit(found == found ? 0 : 1); /* it never comes here */
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
    close_far(&f);
}

static void test_nothing_happens_before_it_must(void **state)
{
    (void)state;
    far f = open_far();
    float in[N] = {1, 2, 3, 4, 5, 6}, out[N] = {0};
    double ns = 0;
    yki_queue_transfer(f.queue, YKI_UPLOAD, f.a, in, BYTES);
    f.ops->stamp(f.queue, &ns);
    yki_queue_transfer(f.queue, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_true(ns == 0 && out[5] == 0);
    in[5] = 60; /* too soon: the upload finds this */
    assert_int_equal(f.ops->synchronize(f.queue), YOKE_OK);
    assert_true(ns > 0 && out[0] == 1 && out[5] == 60);
    close_far(&f);
}

static void test_queues_know_each_other_by_events_alone(void **state)
{
    (void)state;
    far f = open_far();
    yki_event *event;
    float one[N] = {1, 1, 1, 1, 1, 1}, out[N] = {7};
    assert_int_equal(f.ops->event_create(f.device, &event), YOKE_OK);
    assert_int_equal(f.ops->reach(event), YOKE_OK); /* never recorded: nothing to wait for */
    yki_queue_transfer(f.queue, YKI_UPLOAD, f.a, one, BYTES);
    f.ops->record(f.queue, event);
    f.ops->fill(f.queue, f.a, 0, BYTES);
    yki_queue_transfer(f.other, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_int_equal(f.ops->synchronize(f.other), YOKE_OK);
    assert_true(out[0] == 0); /* before the upload: zeros of new memory */
    f.ops->wait(f.other, event);
    yki_queue_transfer(f.other, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_int_equal(f.ops->synchronize(f.other), YOKE_OK);
    assert_true(out[0] == 1); /* behind the event, and before what came after it */
    yki_queue_transfer(f.other, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_int_equal(f.ops->synchronize(f.queue), YOKE_OK);
    assert_int_equal(f.ops->synchronize(f.other), YOKE_OK);
    assert_true(out[0] == 0);
    f.ops->event_destroy(event);
    close_far(&f);
}

/* y = a + a, then w -= 0.5 y, of structs that are gone when it runs. */
static void test_a_launch_is_read_when_it_is_put_in(void **state)
{
    (void)state;
    far f = open_far();
    float in[N] = {1, 2, 3, 4, 5, 6}, out[N];
    yki_attr *attr = calloc(1, sizeof *attr);
    yki_update *update = calloc(1, sizeof *update);
    *update = (yki_update){.lr = 0.5, .grad_scale = 1};
    yki_view a = {f.a, YKI_F32, 1, {N}}, b = {f.b, YKI_F32, 1, {N}};
    yki_launch add = {.kernel = YKI_KERNEL_ADD, .attr = attr, .nviews = 3, .views = {a, a, b}},
               sgd = {.kernel = YKI_KERNEL_SGD, .attr = attr, .nviews = 4, .views = {b, a}, .update = update};
    yki_queue_transfer(f.queue, YKI_UPLOAD, f.a, in, BYTES);
    f.ops->launch(f.queue, NULL, &add);
    f.ops->launch(f.queue, NULL, &sgd);
    memset(attr, 0xff, sizeof *attr);
    memset(update, 0xff, sizeof *update);
    free(attr);
    free(update);
    memset(&add, 0, sizeof add);
    yki_queue_transfer(f.queue, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_int_equal(f.ops->synchronize(f.queue), YOKE_OK);
    for (int i = 0; i < N; i++) assert_true(out[i] == 0); /* a - 0.5 (a + a) */
    close_far(&f);
}

static void test_more_tasks_than_are_put_off(void **state)
{
    (void)state;
    far f = open_far();
    float out[N] = {0};
    yki_view a = {f.a, YKI_F32, 1, {N}}, b = {f.b, YKI_F32, 1, {N}};
    yki_launch add = {.kernel = YKI_KERNEL_ADD, .nviews = 3, .views = {a, b, a}};
    static const float one = 1;
    for (int i = 0; i < N; i++) yki_queue_transfer(f.queue, YKI_UPLOAD, f.b + i, &one, sizeof one);
    for (int i = 0; i < 10000; i++) f.ops->launch(f.queue, NULL, &add);
    yki_queue_transfer(f.queue, YKI_DOWNLOAD, out, f.a, BYTES);
    assert_int_equal(f.ops->synchronize(f.queue), YOKE_OK);
    for (int i = 0; i < N; i++) assert_true(out[i] == 10000);
    close_far(&f);
}

static void test_rows_lie_apart(void **state)
{
    (void)state;
    far f = open_far();
    float in[N] = {1, 2, 3, 4, 5, 6}, out[N] = {0};
    size_t size = sizeof(float);
    /* rows of one element, every second one; then within the device, every third place; then all */
    f.ops->transfer(f.queue, YKI_UPLOAD, &(yki_rect){f.a, in + 1, size, 3, size, 2 * size});
    f.ops->transfer(f.queue, YKI_COPY, &(yki_rect){f.b, f.a, size, 2, 3 * size, size});
    f.ops->transfer(f.queue, YKI_DOWNLOAD, &(yki_rect){out, f.b, BYTES, 1, 0, 0});
    assert_int_equal(f.ops->synchronize(f.queue), YOKE_OK);
    assert_memory_equal(out, ((float[N]){2, 0, 0, 4, 0, 0}), BYTES);
    close_far(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_else_has_the_memory),
        cmocka_unit_test(test_nothing_happens_before_it_must),
        cmocka_unit_test(test_queues_know_each_other_by_events_alone),
        cmocka_unit_test(test_a_launch_is_read_when_it_is_put_in),
        cmocka_unit_test(test_more_tasks_than_are_put_off),
        cmocka_unit_test(test_rows_lie_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
