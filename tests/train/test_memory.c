/* Memory and movement of real runs: bytes predicted are bytes held, nothing sizeable lives outside the
 * devices' arenas, steps allocate nothing, resident memory does not grow; bytes moved are what arithmetic by
 * hand says. */
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/crowd.h"
#include "folder.h"
#include "train/jobs.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __GLIBC__
enum { COUNTING = 0 };
static long counted;
#else
enum { COUNTING = 1 };
static atomic_long counted;

/* Visible, so that the libraries' calls come here too. The watch over the cores allocates beside the steps,
 * when others begin to use them. */
#pragma GCC visibility push(default)
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    counted += !yki_crowd_is_beside();
    return __libc_malloc(bytes);
}
void *calloc(size_t items, size_t bytes)
{
    counted += !yki_crowd_is_beside();
    return __libc_calloc(items, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes)
{
    counted += !yki_crowd_is_beside();
    return __libc_memalign(alignment, bytes);
}
void *realloc(void *data, size_t bytes)
{
    counted += !yki_crowd_is_beside();
    return __libc_realloc(data, bytes);
}
#pragma GCC visibility pop
#endif

static const char *const layouts[] = {
    "",
    "layout.dp=2",
    "layout.tp=2; layout.microbatches=3",
    "layout.pp=3; layout.microbatches=4",
    "layout.dp=2; layout.pp=2; layout.microbatches=2; layout.schedule=zb-h1",
    "layout.tp=2; layout.dp=2; layout.zero=2; train.optimizer=muon"};
enum { NLAYOUTS = sizeof layouts / sizeof *layouts };

/* Steps, ragged ones among them, allocate nothing: not on the caller's thread, not on the ranks'. Small
 * products are served by our own kernels; a library's allocations would be its own business. */
static void steps_allocate_nothing(bool recorded)
{
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2"};
    if (!COUNTING) skip();
    for (int m = 0; m < 5; m++)
        for (int k = 0; k < NLAYOUTS; k++) {
            if (!strcmp(models[m], "conv")) continue; /* convolutions are the library's */
            yoke_job *job;
            char overrides[256];
            snprintf(overrides, sizeof overrides, "train.steps=40; %s", layouts[k]);
            counted = 0;
            yoke_trainer *trainer = start_job(models[m], overrides, &job);
            assert_true(counted > 100); /* the counter counts */
            yki_step_result result;
            yoke_trace *trace = NULL;
            yoke_trace_options options = {.last_step = -1, .bytes_per_rank = 1 << 15};
            if (recorded) assert_int_equal(yoke_trace_open(&trace, trainer, "/dev/null", &options), YOKE_OK);
            /* yoke_trainer_run reserves room for the figures of its steps first: count steps alone */
            for (int s = 0; s < 40; s++) {
                if (s == 1) counted = 0;
                assert_int_equal(yki_trainer_step(trainer, YKI_RUN_TRAIN, &result), YOKE_OK);
                trainer->next_step++;
            }
            long n = counted;
            if (n != 0) fail_msg("%s [%s]: 39 steps made %ld allocations", models[m], overrides, n);
            assert_int_equal(yoke_trace_close(trace, NULL), YOKE_OK);
            finish_job(trainer, job);
        }
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    steps_allocate_nothing(false);
}

static void test_steps_of_a_trace_allocate_nothing(void **state)
{
    (void)state;
    steps_allocate_nothing(true);
}

/* What a log and TensorBoard's events are told of a step. */
static void test_recorders_allocate_nothing(void **state)
{
    (void)state;
    if (!COUNTING) skip();
    yoke_job *job;
    yoke_recorder *log, *events;
    yoke_trainer *trainer = start_job("mlp", "train.steps=40", &job);
    assert_int_equal(make_folder(state), 0);
    assert_int_equal(yoke_log_open(&log, trainer, "/dev/null"), YOKE_OK);
    assert_int_equal(yoke_tensorboard_open(&events, trainer, folder), YOKE_OK);
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    yoke_step_report report = {.step = 1, .loss = 1, .seconds = 1, .samples = 1, .samples_per_s = 1};
    counted = 0;
    for (int s = 0; s < 40; s++) yki_trainer_tell(trainer, &report);
    assert_int_equal(counted, 0);
    assert_int_equal(yoke_recorder_close(log), YOKE_OK);
    assert_int_equal(yoke_recorder_close(events), YOKE_OK);
    assert_int_equal(remove_folder(state), 0);
    finish_job(trainer, job);
}

static long resident_kib(void)
{
    char text[256] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    assert_true(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    return atol(strchr(text, ' ')) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_resident_memory_stays(void **state)
{
    (void)state;
    for (int k = 0; k < NLAYOUTS; k++) {
        yoke_job *job;
        char overrides[256];
        snprintf(overrides, sizeof overrides, "train.steps=53; %s", layouts[k]);
        yoke_trainer *trainer = start_job("gpt2", overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 3, NULL, NULL), YOKE_OK);
        long before = resident_kib();
        assert_int_equal(yoke_trainer_run(trainer, 50, NULL, NULL), YOKE_OK);
        long grown = resident_kib() - before;
        if (grown >= 1024) fail_msg("[%s]: 50 steps grew the process by %ld KiB", layouts[k], grown);
        finish_job(trainer, job);
    }
}

/* Pages touched by making and running a trainer of some 100 MiB, held against what its devices say. */
static void test_touched_pages(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* shadow memory is no page of ours */
#endif
#ifdef __SANITIZE_THREAD__
    skip();
#endif
    static const char *const large[] = {"", "layout.dp=2", "layout.tp=2",
                                        "layout.pp=2; layout.microbatches=2", "train.precision=bf16"};
    const char *model = "model.layers.0.out=1300; model.layers.2.out=1500; model.layers.5.out=1400; "
                        "train.optimizer={name: adamw, lr: 1e-3}; train.batch=16; train.steps=2";
    yoke_job *job;
    outcome out;
    assert_int_equal(run_job("mlp", "train.steps=2", &out), YOKE_OK); /* libraries are loaded, code is made */
    for (int k = 0; k < 5; k++) {
        char overrides[384];
        snprintf(overrides, sizeof overrides, "%s; %s", model, large[k]);
        long before = resident_kib();
        yoke_trainer *trainer = start_job("mlp", overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        long grown = resident_kib() - before;
        collect(trainer, &out);
        int64_t measured = 0;
        for (int r = 0; r < out.ndevices; r++) measured += out.devices[r].measured_peak_bytes;
        assert_null(bytes_wrong(&out));
        double arena = (double)measured / 1024;
        if ((double)grown > 1.03 * arena + 6 * 1024 || (double)grown < 0.9 * arena)
            fail_msg("[%s]: the devices hold %.0f KiB, and the process has grown by %ld KiB", large[k], arena,
                     grown);
        finish_job(trainer, job);
    }
}

static void check_moved(const char *model, const char *overrides, int64_t dp, int64_t tp, int64_t pp)
{
    outcome out;
    char text[512];
    snprintf(text, sizeof text, "train.steps=2; %s", overrides);
    if (run_job(model, text, &out) != YOKE_OK) fail_msg("%s [%s]: %s", model, text, out.message);
    const yoke_run_report *r = &out.report;
    if (r->moved_dp != dp || r->moved_tp != tp || r->moved_pp != pp)
        fail_msg("%s [%s]: moved %lld, %lld, %lld over dp, tp, pp; by hand %lld, %lld, %lld", model, text,
                 (long long)r->moved_dp, (long long)r->moved_tp, (long long)r->moved_pp, (long long)dp,
                 (long long)tp, (long long)pp);
    assert_int_equal(r->moved_bytes_per_step, dp + tp + pp);
    assert_null(bytes_wrong(&out));
}

/* dp: each of n ranks receives 2 (n-1)/n of the gradients, in f32, once a step. */
static void test_moved_over_dp(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2"};
    for (int m = 0; m < 5; m++)
        for (int n = 1; n <= 4; n++) {
            char overrides[160];
            yoke_job *job;
            yoke_trainer *trainer = start_job(models[m], "", &job);
            int64_t gradients = 4 * yoke_model_parameters(trainer->model);
            finish_job(trainer, job);
            snprintf(overrides, sizeof overrides, "layout.dp=%d; layout.microbatches=2; train.precision=%s",
                     n, n % 2 ? "f32" : "bf16");
            check_moved(models[m], overrides, 2 * (n - 1) * gradients, 0, 0);
        }
}

/* gpt2.yaml: 12 samples of 7 tokens, width 36, 3 blocks, vocabulary 101. Forward: one all-reduce for the
 * table cut by rows, two a block (after attention's and after the MLP's last product); backward: two a block
 * (before c_attn and before c_fc) and one before the head; the loss: one of the largest logit and one of two
 * sums, of each token. */
static void test_moved_over_tp(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, W = 36, L = 3 };
    for (int n = 2; n <= 4; n++)
        for (int m = 1; m <= 3; m += 2) {
            char overrides[160];
            snprintf(overrides, sizeof overrides, "layout.tp=%d; layout.microbatches=%d", n, m);
            check_moved("gpt2", overrides, 0, 2 * (n - 1) * (int64_t)4 * (ROWS * W * (4 * L + 2) + ROWS * 3),
                        0);
        }
    /* in bf16 activations are half; the loss' statistics stay f32 */
    check_moved("gpt2", "layout.tp=2; train.precision=bf16", 0,
                2 * (int64_t)(2 * ROWS * W * (4 * L + 2) + 4 * ROWS * 3), 0);
}

/* llama.yaml: as gpt2.yaml, but wider; and where a head of k and v (4 of 12 x 48 a head) is on several
 * devices, they sum its gradients, once a step. Under tp 2 and 4 all three heads are on all, under tp 3 each
 * on one, under tp 6 each on two, under tp 12 each on four. */
static void test_moved_for_grouped_heads(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, W = 48, L = 3, HEAD = 2 * 4 * W * L };
    static const int degrees[] = {2, 3, 4, 6, 12}, holders[] = {2, 1, 4, 2, 4}, groups[] = {1, 3, 1, 3, 3},
                     heads[] = {3, 1, 3, 1, 1};
    for (int i = 0; i < 5; i++)
        for (int m = 1; m <= 3; m += 2) {
            char overrides[160];
            int64_t n = degrees[i];
            snprintf(overrides, sizeof overrides, "layout.tp=%d; layout.microbatches=%d", degrees[i], m);
            check_moved("llama", overrides, 0,
                        2 * (n - 1) * 4 * (ROWS * W * (4 * L + 2) + ROWS * 3) +
                            2 * (holders[i] - 1) * (int64_t)4 * heads[i] * HEAD * groups[i],
                        0);
        }
}

/* pp: what crosses a boundary goes there and its gradient comes back, each sample once whatever the
 * micro-batches; the tied table's two gradients are summed over two stages. */
static void test_moved_over_pp(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, W = 36, V = 101 };
    for (int m = 1; m <= 4; m++)
        for (int p = 2; p <= 4; p++) {
            char overrides[160];
            snprintf(overrides, sizeof overrides, "layout.pp=%d; layout.microbatches=%d; layout.schedule=%s",
                     p, m,
                     m == 2   ? "gpipe"
                     : m == 3 ? "zb-h1"
                              : "1f1b");
            check_moved("gpt2", overrides, 0, 0, (p - 1) * 2 * 4 * ROWS * W + 2 * 4 * V * W);
        }
    /* by hand: 13-12|9|9 ... devices.yaml, in its order: 0 to 1: 12; 1 to 0: 9; 0 to 1: 9, into the residual;
     * 1 to 2: 11; 2 to 0: 11 (silu is on 2, the linear after it on 0); the residual's input again, from 0 to
     * 0: nothing; 0 to 1: 9; 1 to 0: 9. There and back, 12 samples of f32. */
    check_moved("devices", "layout.microbatches=3", 0, 0, 2 * 4 * 12 * (12 + 9 + 9 + 11 + 11 + 9 + 9));
    check_moved("devices", "layout.dp=2; train.batch=12",
                2 * 4 * (13 * 12 + 12 + 9 * 13 + 11 * 10 + 9 * 12 + 18 + 30), 0,
                2 * 4 * 12 * (12 + 9 + 9 + 11 + 11 + 9 + 9));
}

/* Products of axes: each moves what its part of the mesh holds. */
static void test_moved_over_products(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, W = 36, V = 101, C = 9, L = 3 };
    int64_t tied = 2 * 4 * V * W; /* over pp, each tp rank its own rows */
    /* dp 2 x pp 2: every stage's gradients; the table's on both stages */
    int64_t parameters = V * W + C * W + L * (4 * W + 12 * W * W + 9 * W) + 2 * W;
    check_moved("gpt2", "layout.dp=2; layout.pp=2", 2 * 4 * (parameters + V * W), 0,
                2 * 4 * ROWS * W + 2 * tied);
    /* tp 2 x pp 2: the boundary is whole on both tp ranks, so it crosses twice */
    check_moved("gpt2", "layout.tp=2; layout.pp=2", 0, 2 * 4 * (ROWS * W * (4 * L + 2) + ROWS * 3),
                2 * (2 * 4 * ROWS * W) + tied);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touched_pages), /* first: while the heap is small */
        cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_steps_of_a_trace_allocate_nothing),
        cmocka_unit_test(test_recorders_allocate_nothing),
        cmocka_unit_test(test_resident_memory_stays),
        cmocka_unit_test(test_moved_over_dp),
        cmocka_unit_test(test_moved_over_tp),
        cmocka_unit_test(test_moved_for_grouped_heads),
        cmocka_unit_test(test_moved_over_pp),
        cmocka_unit_test(test_moved_over_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
