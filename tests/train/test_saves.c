/* Saves of a run: beside it or between its steps, the same bytes; what fails ends the run or is said; the
 * last finite step stays; a request to stop is neither lost nor kept for another run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/disk.h"
#include "folder.h"
#include "train/jobs.h"

/* Every write fails while the disk is "full"; a save may be held up at its first flush. */
static _Atomic bool full, held;
static _Atomic int flushing;

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    if (atomic_load(&full)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite64(fd, data, bytes, offset);
}

int fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&flushing, 1);
    while (atomic_load(&held)) usleep(1000);
    return 0;
}

static char notices[4096];
static int nnotices;

static void on_notice(void *context, const yoke_error *notice)
{
    (void)context;
    size_t at = strlen(notices);
    nnotices++;
    snprintf(notices + at, sizeof notices - at, "%s|", notice->message);
}

static yoke_trainer *start(const char *model, const char *dir, const char *overrides, yoke_job **job_out)
{
    char all[1024];
    snprintf(all, sizeof all, "checkpoint.dir=%s/%s; %s", folder, dir, overrides);
    yoke_trainer *trainer = start_job(model, all, job_out);
    yoke_trainer_on_notice(trainer, on_notice, NULL);
    notices[0] = '\0';
    nnotices = 0;
    return trainer;
}

static void resumes(yoke_trainer *trainer, const char *path)
{
    if (yoke_trainer_resume(trainer, path) != YOKE_OK)
        fail_msg("%s: %s", yoke_error_get()->file, yoke_error_get()->message);
}

static bool has_step(const char *dir, int step)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/step-%08d/state.json", folder, dir, step);
    return yki_path_exists(path);
}

/* Names in a folder, but for . and .. and what says who holds it. */
static int count_names(const char *dir)
{
    char path[256];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", folder, dir);
    DIR *listing = opendir(path);
    for (struct dirent *found; listing && (found = readdir(listing));)
        count +=
            strcmp(found->d_name, ".") && strcmp(found->d_name, "..") && strcmp(found->d_name, ".yoke-run");
    if (listing) closedir(listing);
    return count;
}

/* Bytes of state.json before it names the run, which is another one each time. */
static size_t before_run(const char *text, size_t bytes)
{
    const char *run = strstr(text, "\"run\"");
    return run ? (size_t)(run - text) : bytes;
}

static bool same_steps(const char *a, const char *b, int step)
{
    static const char *const names[] = {"model.safetensors", "optimizer.safetensors", "hashes.json",
                                        "state.json"};
    bool same = true;
    for (int i = 0; i < 4 && same; i++) {
        char path[2][256], *text[2] = {NULL, NULL};
        size_t bytes[2] = {0, 0};
        for (int k = 0; k < 2; k++) {
            snprintf(path[k], sizeof *path, "%s/%s/step-%08d/%s", folder, k ? b : a, step, names[i]);
            same &= yki_disk_read(path[k], (size_t)1 << 30, &text[k], &bytes[k]) == YOKE_OK;
        }
        for (int k = 0; i == 3 && same && k < 2; k++) bytes[k] = before_run(text[k], bytes[k]);
        same = same && bytes[0] == bytes[1] && memcmp(text[0], text[1], bytes[0]) == 0;
        free(text[0]);
        free(text[1]);
    }
    return same;
}

/* Every kind of share. */
static const struct {
    const char *model, *layout;
} cases[] = {{"gpt2", ""},
             {"gpt2", "layout.dp=4; layout.zero=3"},
             {"gpt2", "layout.tp=2; layout.dp=2; layout.zero=1"},
             {"llama_tied", "layout.pp=2; layout.microbatches=2"},
             {"batchnorm", "layout.dp=2"},
             {"mlp", "layout.tp=3; train.precision=bf16"}};

/* Under each, a step's folder is the same whoever wrote it, and so are the losses. */
static void test_beside_and_between(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        static outcome runs[2];
        char names[2][32];
        for (int async = 0; async < 2; async++) {
            char overrides[512];
            yoke_job *job;
            snprintf(names[async], sizeof names[async], "%s-%zu", async ? "beside" : "between", c);
            snprintf(overrides, sizeof overrides,
                     "train.steps=6; checkpoint.every=2; checkpoint.async=%s; %s", async ? "true" : "false",
                     cases[c].layout);
            yoke_trainer *trainer = start(cases[c].model, names[async], overrides, &job);
            if (yoke_trainer_run(trainer, 0, NULL, NULL) != YOKE_OK)
                fail_msg("%s", yoke_error_get()->message);
            collect(trainer, &runs[async]);
            assert_int_equal(runs[async].report.saves, 3);
            assert_int_equal(runs[async].report.failed_saves, 0);
            int64_t elems, total = 0;
            for (int i = 0; i < yoke_trainer_parameters(trainer); i++) {
                yoke_trainer_parameter(trainer, i, &elems);
                total += elems;
            }
            int64_t staging = runs[async].report.staging_bytes;
            assert_true(async ? staging >= 4 * total && staging <= 12 * total : staging == 0);
            assert_null(bytes_wrong(&runs[async]));
            finish_job(trainer, job);
        }
        same_bits(&runs[0], &runs[1]);
        for (int step = 2; step <= 6; step += 2)
            if (!same_steps(names[0], names[1], step))
                fail_msg("%s [%s]: step %d differs", cases[c].model, cases[c].layout, step);
        assert_int_equal(count_names(names[1]), 3);
    }
}

/* One process has all ranks, and so the copy that it saves from has all of every tensor, once. */
static void test_alone_the_copy_is_whole(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        yoke_job *job;
        yki_stored_tensor *tensors;
        yki_staging *staging;
        int count;
        size_t bytes;
        yoke_trainer *trainer = start_job(cases[c].model, cases[c].layout, &job);
        assert_int_equal(yki_saved_tensors(trainer, &tensors, &count, &bytes), YOKE_OK);
        assert_int_equal(yki_staging_create(trainer->run, tensors, count, &staging), YOKE_OK);
        assert_int_equal(yki_staging_bytes(staging), bytes);
        assert_true(yki_staging_whole(staging));
        assert_int_equal(yki_run_stage(trainer->run, staging), YOKE_OK);
        yki_staging_destroy(staging);
        free(tensors);
        finish_job(trainer, job);
    }
}

/* Whether the process's first thread sleeps in the system. */
static bool first_thread_sleeps(void)
{
    char path[64], *text = NULL, *name_end = NULL;
    size_t bytes = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
    FILE *file = fopen(path, "r");
    if (file && getdelim(&text, &bytes, EOF, file) > 0) name_end = strrchr(text, ')');
    bool sleeps = name_end && name_end[1] == ' ' && name_end[2] == 'S';
    if (file) fclose(file);
    free(text);
    return sleeps;
}

/* Steps go on while a save is held up at its flush; the next save waits for it, and the run's end too. */
typedef struct holder {
    pthread_t thread;
    yoke_trainer *trainer;
    int64_t steps, saves; /* saves: begun, when the trainer was seen to wait */
    int flushes_before;
} holder;

/* Lets the save go once the trainer sleeps: after the hook, it has nothing to wait for but the save. */
static void *release_who_waits(void *argument)
{
    holder *h = argument;
    while (!first_thread_sleeps()) usleep(1000);
    h->saves = h->trainer->saves;
    atomic_store(&held, false);
    return NULL;
}

static void hold(void *context, const yoke_step_report *report)
{
    holder *h = context;
    h->steps = report->step + 1;
    if (report->step == 1) { /* the save after the second step is the first */
        h->flushes_before = atomic_load(&flushing);
        atomic_store(&held, true);
    }
    if (report->step == 3) {
        for (int i = 0; i < 5000 && atomic_load(&flushing) == h->flushes_before; i++) usleep(1000);
        assert_true(atomic_load(&flushing) > h->flushes_before);
        assert_false(has_step("held", 2)); /* two steps later it is still under way */
        assert_int_equal(pthread_create(&h->thread, NULL, release_who_waits, h), 0);
    }
}

static void test_steps_do_not_wait(void **state)
{
    (void)state;
    yoke_job *job;
    holder h = {.saves = -1};
    yoke_trainer *trainer = h.trainer =
        start("mlp", "held", "train.steps=6; checkpoint.every=2; checkpoint.async=true; layout.dp=2", &job);
    if (yoke_trainer_run(trainer, 0, hold, &h) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(h.steps, 6);
    assert_int_equal(pthread_join(h.thread, NULL), 0);
    assert_int_equal(h.saves, 1); /* the save after step 4 waited, and had not begun */
    for (int step = 2; step <= 6; step += 2) assert_true(has_step("held", step));
    finish_job(trainer, job);
}

/* The disk is full from step 3 to step 5 (of 8, saved every second). */
static void fill(void *context, const yoke_step_report *report)
{
    for (int i = 0; report->step == 2 && i < 5000 && !has_step(context, 2); i++) usleep(1000);
    atomic_store(&full, report->step >= 2 && report->step < 6);
}

static void test_disk_full(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++)
        for (int policy = 0; policy < 2; policy++) {
            yoke_job *job;
            char overrides[256], dir[32];
            snprintf(dir, sizeof dir, "full-%d-%d", async, policy);
            snprintf(
                overrides, sizeof overrides,
                "train.steps=8; checkpoint.every=2; checkpoint.async=%s; checkpoint.on_error=%s; layout.dp=2",
                async ? "true" : "false", policy ? "continue" : "stop");
            yoke_trainer *trainer = start("mlp", dir, overrides, &job);
            yoke_status status = yoke_trainer_run(trainer, 0, fill, dir);
            atomic_store(&full, false);
            yoke_run_report report;
            int64_t first, count;
            assert_int_equal(yoke_trainer_report(trainer, &report), YOKE_OK);
            yoke_trainer_losses(trainer, &first, &count);
            assert_true(has_step(dir, 2));
            assert_false(has_step(dir, 4));
            if (policy) {
                if (status != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
                assert_int_equal(count, 8);
                assert_true(has_step(dir, 8));
                /* beside the run, the save of step 6 may begin before or after the disk has room again */
                assert_int_equal(nnotices, (int)report.failed_saves);
                assert_in_range(nnotices, 1, 2);
                if (!strstr(notices,
                            "step 4 was not saved, and the run goes on: cannot write it: No space left"))
                    fail_msg("%s", notices);
            } else {
                assert_int_equal(status, YOKE_SYSTEM);
                assert_non_null(strstr(yoke_error_get()->message, "No space left"));
                assert_in_range(count, 4, async ? 6 : 4);
                assert_int_equal(nnotices, 0);
            }
            /* nothing of the failed saves is left; and the trainer can save where it stands */
            char path[128], step[1200];
            assert_int_equal(count_names(dir), policy ? 3 - (int)report.failed_saves + 1 : 1);
            snprintf(path, sizeof path, "%s/%s", folder, dir);
            assert_int_equal(yoke_trainer_save(trainer, path, step), YOKE_OK);
            finish_job(trainer, job);
        }
}

/* The last step's save has nothing to go on to. */
static void fill_last(void *context, const yoke_step_report *report)
{
    for (int i = 0; report->step == 3 && i < 5000 && !has_step(context, 2); i++) usleep(1000);
    atomic_store(&full, report->step == 3);
}

static void test_last_save(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++) {
        yoke_job *job;
        char overrides[256], dir[32];
        snprintf(dir, sizeof dir, "last-%d", async);
        snprintf(overrides, sizeof overrides,
                 "train.steps=4; checkpoint.every=2; checkpoint.async=%s; checkpoint.on_error=continue",
                 async ? "true" : "false");
        yoke_trainer *trainer = start("mlp", dir, overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 0, fill_last, dir), YOKE_SYSTEM);
        atomic_store(&full, false);
        assert_int_equal(nnotices, 0);
        assert_true(has_step(dir, 2));
        finish_job(trainer, job);
    }
}

static void ask_in_last(void *context, const yoke_step_report *report)
{
    if (report->step == 3) yoke_trainer_stop(context);
}

/* A request in the last of all steps is over; one in the last of a bounded run stops that run, once. */
static void test_requests_in_the_last_step(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++) {
        yoke_job *job;
        char overrides[256], dir[128], asked[2][32];
        for (int i = 0; i < 2; i++) snprintf(asked[i], sizeof asked[i], "asked-%d-%d", async, i);
        snprintf(overrides, sizeof overrides, "train.steps=4; checkpoint.every=2; checkpoint.async=%s",
                 async ? "true" : "false");
        yoke_trainer *trainer = start("mlp", asked[0], overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 0, ask_in_last, trainer), YOKE_OK);
        snprintf(dir, sizeof dir, "%s/%s/step-00000002", folder, asked[0]);
        resumes(trainer, dir);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK); /* not stopped */
        finish_job(trainer, job);

        snprintf(overrides, sizeof overrides, "train.steps=8; checkpoint.every=2; checkpoint.async=%s",
                 async ? "true" : "false");
        trainer = start("mlp", asked[1], overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 4, ask_in_last, trainer), YOKE_STOPPED);
        assert_true(has_step(asked[1], 4)); /* no save is under way */
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        yoke_trainer_stop(trainer); /* between runs: the next one stops at once */
        yoke_trainer_stop(trainer);
        snprintf(dir, sizeof dir, "%s/%s/step-00000004", folder, asked[1]);
        resumes(trainer, dir);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_STOPPED);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        finish_job(trainer, job);
    }
}

/* Weights that overflowed in the last update: such steps are saved, and never drive out the last finite one.
 */
static void test_last_finite_stays(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++) {
        yoke_job *job;
        char overrides[256], text[160], dir[32];
        snprintf(dir, sizeof dir, "finite-%d", async);
        snprintf(overrides, sizeof overrides,
                 "train.steps=9; checkpoint.every=1; checkpoint.keep=1; checkpoint.async=%s; layout.dp=2; "
                 "train.optimizer.momentum=0",
                 async ? "true" : "false");
        yoke_trainer *trainer = start("mlp", dir, overrides, &job);
        assert_int_equal(yoke_trainer_run(trainer, 3, NULL, NULL), YOKE_OK);
        assert_int_equal(count_names(dir), 1);
        trainer->options.lr = 1e300; /* the update overflows, the step's own loss does not */
        yoke_status status = yoke_trainer_run(trainer, 0, NULL, NULL);
        assert_int_equal(status, YOKE_NON_FINITE);
        assert_true(has_step(dir, 3));
        assert_true(count_names(dir) >= 2);
        snprintf(text, sizeof text, "%s/%s", folder, dir);
        assert_int_equal(yoke_trainer_resume(trainer, text), YOKE_INVALID);
        snprintf(text, sizeof text, "%s/%s/step-00000003", folder, dir);
        resumes(trainer, text);
        finish_job(trainer, job);
    }
}

/* Resuming with another seed would be another run. */
static void test_another_seed(void **state)
{
    (void)state;
    yoke_job *job;
    char dir[128];
    yoke_trainer *trainer = start("mlp", "seed", "train.steps=2", &job);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    finish_job(trainer, job);
    trainer = start("mlp", "seed", "train.steps=2; train.seed=77", &job);
    snprintf(dir, sizeof dir, "%s/seed", folder);
    assert_int_equal(yoke_trainer_resume(trainer, dir), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "and this job's is 77"));
    finish_job(trainer, job);
}

/* A folder that another run holds is refused, to a run's claim and to a save by itself; and who was refused
 * gives nothing back, and closes nothing, that was never its own. */
static void test_a_held_folder_stays_its_holders(void **state)
{
    (void)state;
    yoke_job *jobs[2];
    yoke_trainer *trainers[2];
    char dir[128], whose[33];
    snprintf(dir, sizeof dir, "%s/taken", folder);
    for (int i = 0; i < 2; i++) trainers[i] = start("mlp", "taken", "train.steps=2", &jobs[i]);
    assert_int_equal(yoke_trainer_claim(trainers[0]), YOKE_OK);
    /* number 0 is the file that a claim of zeros would close, were it taken for one that holds something */
    if (fcntl(0, F_GETFD) < 0) assert_int_equal(open("/dev/null", O_RDONLY), 0);
    for (int saves = 0; saves < 2; saves++) {
        yoke_status status =
            saves ? yoke_trainer_save(trainers[1], dir, NULL) : yoke_trainer_claim(trainers[1]);
        assert_int_equal(status, YOKE_INVALID);
        assert_non_null(strstr(yoke_error_get()->message, "belongs to a run that is under way"));
    }
    finish_job(trainers[1], jobs[1]);
    assert_true(fcntl(0, F_GETFD) >= 0);
    yoke_checkpoint_holder(dir, whose);
    assert_string_equal(whose, trainers[0]->identity.run);
    assert_int_equal(yoke_trainer_run(trainers[0], 0, NULL, NULL), YOKE_OK);
    assert_true(has_step("taken", 2));
    finish_job(trainers[0], jobs[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_and_between),
        cmocka_unit_test(test_alone_the_copy_is_whole),
        cmocka_unit_test(test_steps_do_not_wait),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_last_save),
        cmocka_unit_test(test_requests_in_the_last_step),
        cmocka_unit_test(test_last_finite_stays),
        cmocka_unit_test(test_another_seed),
        cmocka_unit_test(test_a_held_folder_stays_its_holders),
    };
    return cmocka_run_group_tests(tests, make_folder_on_disk, remove_folder);
}
