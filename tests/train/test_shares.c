/* Checkpoints that every rank writes and reads its share of: the same bytes under every layout, the same run
 * from them, and a save that fails in one rank's share is absent. */
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/disk.h"
#include "folder.h"
#include "train/jobs.h"

/* What the system does, but for the faults that a test asks for: these names stand before the C library's. */
static _Atomic int fail_write, fail_flush; /* the so many-th call from now fails; 0: none does */
static _Atomic int writes, thread_flushes; /* all of them; those of others than the first thread */
static _Atomic bool short_writes;

static bool is_due(_Atomic int *count)
{
    return atomic_load(count) > 0 && atomic_fetch_sub(count, 1) == 1;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    atomic_fetch_add(&writes, 1);
    if (is_due(&fail_write)) {
        errno = ENOSPC;
        return -1;
    }
    if (atomic_load(&short_writes) && bytes > 100) bytes = bytes / 2 + 1;
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite64(fd, data, bytes, offset);
}

int fsync(int fd)
{
    if (is_due(&fail_flush)) {
        errno = EIO;
        return -1;
    }
    (void)fd;
    atomic_fetch_add(&thread_flushes, syscall(SYS_gettid) != getpid());
    return 0; /* nothing here has to outlive the machine */
}

static void run(yoke_trainer *trainer, int64_t steps)
{
    if (yoke_trainer_run(trainer, steps, NULL, NULL) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
}

static void save(yoke_trainer *trainer, const char *dir, char *step)
{
    if (yoke_trainer_save(trainer, dir, step) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
}

/* The same in a folder of the test's. */
static void save_as(yoke_trainer *trainer, const char *name, char *step)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    /* another run's, or later steps of this one */
    if (!strcmp(name, "again")) assert_int_equal(yki_disk_remove_folder(dir), YOKE_OK);
    save(trainer, dir, step);
}

__attribute__((noinline)) static char *read_all(const char *dir, const char *name, size_t *bytes)
{
    char path[1400], *text = NULL;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (yki_disk_read(path, (size_t)1 << 30, &text, bytes) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    return text;
}

/* Whether two steps' folders hold the same tensors, byte for byte. */
static bool same_tensors(const char *a, const char *b)
{
    static const char *const names[] = {"model.safetensors", "optimizer.safetensors", "hashes.json"};
    bool same = true;
    for (int i = 0; i < 3; i++) {
        size_t m, n;
        char *x = read_all(a, names[i], &m), *y = read_all(b, names[i], &n);
        same &= m == n && memcmp(x, y, m) == 0;
        free(x);
        free(y);
    }
    return same;
}

static const char *const layouts[] = {
    "",
    "layout.dp=3; layout.zero=1",
    "layout.dp=4; layout.zero=3",
    "layout.tp=2",
    "layout.tp=3",
    "layout.pp=2",
    "layout.dp=2; layout.tp=2; layout.zero=3",
    "layout.dp=2; layout.pp=2; layout.microbatches=2; layout.zero=2",
    "train.precision=bf16",
    "layout.dp=3; layout.tp=2; layout.zero=1; train.precision=bf16",
    "layout.dp=4; layout.dp_replicate=2; layout.zero=2",
};
enum { NLAYOUTS = sizeof layouts / sizeof *layouts, BEFORE = 3, AFTER = 3 };

/* Saved under one layout and resumed under another, which saves the same bytes again, weights, moments and
 * master copies alike, and trains on to the same losses: bit for bit where the layouts are one. */
static void check_pair(const char *model, int from, int to, const char *step, const outcome *whole,
                       const char *finished)
{
    yoke_job *job;
    static outcome rest;
    char again[1200];
    yoke_trainer *trainer = start_job(model, layouts[to], &job);
    if (to % 2) run(trainer, 1); /* what it did is forgotten */
    if (yoke_trainer_resume(trainer, step) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    save_as(trainer, "again", again);
    if (!same_tensors(step, again))
        fail_msg("%s: saved under [%s], [%s] reads or writes other bytes", model, layouts[from], layouts[to]);
    run(trainer, AFTER);
    collect(trainer, &rest);
    bool bf16 = strstr(layouts[from], "bf16") || strstr(layouts[to], "bf16");
    /* batch norm's statistics are of a micro-batch: another number of them is another run */
    bool other_run = !strcmp(model, "batchnorm") &&
                     !strstr(layouts[from], "microbatches") != !strstr(layouts[to], "microbatches");
    for (int i = 0; i < AFTER && !other_run; i++) {
        double is = rest.losses[i], was = whole->losses[BEFORE + i];
        if (from == to ? is != was : !(fabs(is - was) <= (bf16 ? 2e-2 : 1e-5) * was))
            fail_msg("%s: saved under [%s], resumed under [%s], step %d: %.9g, not %.9g", model,
                     layouts[from], layouts[to], BEFORE + i, is, was);
    }
    save_as(trainer, "again", again);
    if (from == to && !same_tensors(finished, again))
        fail_msg("%s [%s]: the resumed run ends elsewhere", model, layouts[from]);
    finish_job(trainer, job);
}

static void test_every_layout_from_every_other(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama_tied", "mlp", "conv", "batchnorm"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (int from = 0; from < NLAYOUTS; from++) {
            yoke_job *job;
            static outcome whole;
            char name[64], step[1200], finished[1200];
            yoke_trainer *trainer = start_job(models[m], layouts[from], &job);
            run(trainer, BEFORE);
            snprintf(name, sizeof name, "%s-%d", models[m], from);
            save_as(trainer, name, step);
            run(trainer, AFTER);
            save_as(trainer, name, finished);
            collect(trainer, &whole);
            finish_job(trainer, job);
            for (int to = 0; to < NLAYOUTS; to++)
                if (m < 2 || to == from || to == (from + 1) % NLAYOUTS || from == (to + 1) % NLAYOUTS)
                    check_pair(models[m], from, to, step, &whole, finished);
        }
}

/* Names in a folder, but for . and .. */
static int count_names(const char *dir)
{
    int count = 0;
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    for (struct dirent *found; (found = readdir(listing));)
        count += strcmp(found->d_name, ".") && strcmp(found->d_name, "..");
    closedir(listing);
    return count;
}

/* Each write and each flush of a save fails once: the save is absent, the one before stays, the run goes on,
 * and the save that nothing disturbs is right. */
static void test_failed_shares(void **state)
{
    (void)state;
    static const struct {
        const char *model, *layout;
    } cases[] = {{"mlp", "layout.dp=3; layout.zero=1"}, {"mlp", "layout.tp=2; layout.dp=2; layout.zero=3"}};
    for (int c = 0; c < 2; c++) {
        yoke_job *jobs[2];
        char dir[128], before[1200], step[1200];
        snprintf(dir, sizeof dir, "%s/failed-%d", folder, c);
        yoke_trainer *trainer = start_job(cases[c].model, cases[c].layout, &jobs[0]);
        run(trainer, 2);
        save(trainer, dir, before);
        run(trainer, 1);
        for (int flushes = 0; flushes < 2; flushes++) {
            _Atomic int *fault = flushes ? &fail_flush : &fail_write;
            int k = 1;
            for (yoke_status status = YOKE_SYSTEM; status != YOKE_OK; k++) {
                atomic_store(fault, k);
                status = yoke_trainer_save(trainer, dir, step);
                if (atomic_exchange(fault, 0) > 0) break; /* there was no k-th */
                if (k > 1000) fail_msg("no save has %d writes", k);
                const yoke_error *error = yoke_error_get();
                const char *reason = flushes ? "Input/output error" : "No space left on device";
                if (status != YOKE_SYSTEM || !strstr(error->message, reason) || !error->file[0])
                    fail_msg("call %d: %s '%s' '%s'", k, yoke_status_name(status), error->file,
                             error->message);
                if (count_names(dir) == 1) continue;
                /* its name is there: only the flush of the folder above failed */
                assert_true(flushes && count_names(dir) == 2);
                assert_int_equal(yki_disk_remove_folder(step), YOKE_OK);
            }
            assert_true(k > 8);
            assert_int_equal(count_names(dir), 2);
            if (!flushes) assert_int_equal(yki_disk_remove_folder(step), YOKE_OK);
        }
        yoke_trainer *other = start_job(cases[c].model, "", &jobs[1]);
        if (yoke_trainer_resume(other, before) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        char again[1200];
        save_as(other, "again", again);
        assert_true(same_tensors(before, again));
        if (yoke_trainer_resume(other, step) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        atomic_store(&short_writes, true);
        save_as(other, "again", again);
        atomic_store(&short_writes, false);
        assert_true(same_tensors(step, again));
        finish_job(other, jobs[1]);
        finish_job(trainer, jobs[0]);
    }
}

/* Whole rows of tensors that memory has transposed, and neighbours, are written at once; each of four ranks
 * flushes both files. */
static void test_writes_are_long(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("gpt2", "layout.dp=4; layout.zero=3", &job);
    run(trainer, 1);
    int before = atomic_load(&writes);
    atomic_store(&thread_flushes, 0);
    save_as(trainer, "long", NULL);
    int tensors = 3 * yoke_trainer_parameters(trainer);
    assert_in_range(atomic_load(&writes) - before, tensors, 4 * tensors + 16);
    assert_int_equal(atomic_load(&thread_flushes), 8);
    finish_job(trainer, job);
}

/* Makes a step's folder one of those saved before there were hashes. */
static void forget_hashes(const char *step)
{
    char path[1400];
    size_t bytes;
    char *state = read_all(step, "state.json", &bytes), *word = strstr(state, "\"hashed\": true");
    assert_true(word != NULL);
    memcpy(word, "\"hashed\":false", 14);
    assert_true((word = strstr(state, "\"hash\":")) != NULL);
    memcpy(word, "\"mush\":", 7);
    snprintf(path, sizeof path, "%s/state.json", step);
    assert_int_equal(yki_disk_create(path, state, bytes), YOKE_OK);
    free(state);
    snprintf(path, sizeof path, "%s/hashes.json", step);
    assert_int_equal(unlink(path), 0);
}

static void flip_bit(const char *path, long offset, int bit)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1 << bit, file), EOF);
    assert_int_equal(fclose(file), 0);
}

/* Where in its file a tensor begins: tensors lie one after the other up to its end. */
static long place_of(const char *path, const yki_safetensors *file, const yki_safetensor *tensor)
{
    struct stat at;
    const char *end = tensor->data;
    for (int i = 0; i < yki_safetensors_count(file); i++) {
        const yki_safetensor *other = yki_safetensors_get(file, i);
        const char *others = (const char *)other->data + other->bytes;
        end = others > end ? others : end;
    }
    assert_int_equal(stat(path, &at), 0);
    return (long)at.st_size - (long)(end - (const char *)tensor->data);
}

/* One bit of any tensor, counts of batches included: refused by file, tensor and block under every layout,
 * and nothing was taken; whole again, it is read. */
static void test_flipped_bits(void **state)
{
    (void)state;
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors"};
    yoke_job *jobs[3];
    char step[1200], before[1200], after[1200], path[1400], name[128];
    yoke_trainer *a = start_job("batchnorm", "layout.dp=2", &jobs[0]),
                 *b = start_job("batchnorm", "", &jobs[1]),
                 *c = start_job("batchnorm", "layout.dp=3; layout.zero=2", &jobs[2]);
    run(a, 2);
    save_as(a, "flip", step);
    run(b, 1);
    save_as(b, "flip-before", before);
    uint64_t seed = 7;
    for (int f = 0; f < 2; f++) {
        yki_safetensors *file;
        snprintf(path, sizeof path, "%s/%s", step, files[f]);
        assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
        for (int i = 0; i < yki_safetensors_count(file); i++) {
            const yki_safetensor *tensor = yki_safetensors_get(file, i);
            long offset = place_of(path, file, tensor) + (long)(draw(&seed) % tensor->bytes);
            int bit = (int)(draw(&seed) % 8);
            snprintf(name, sizeof name, "'%.60s' is not what was saved", tensor->name);
            flip_bit(path, offset, bit);
            for (int t = 0; t < 2; t++) {
                assert_int_equal(yoke_trainer_resume(t ? c : b, step), YOKE_INVALID);
                const yoke_error *error = yoke_error_get();
                if (!strstr(error->message, name) || !strstr(error->message, "(block 1 of 1)") ||
                    !strstr(error->file, files[f]))
                    fail_msg("%s of %s is not named: %s: %s", name, files[f], error->file, error->message);
            }
            flip_bit(path, offset, bit);
        }
        yki_safetensors_close(file);
    }
    save_as(b, "flip-after", after);
    assert_true(same_tensors(before, after));
    if (yoke_trainer_resume(b, step) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    finish_job(a, jobs[0]);
    finish_job(b, jobs[1]);
    finish_job(c, jobs[2]);
}

static char noticed[4096];

static void note_notice(void *context, const yoke_error *notice)
{
    (void)context;
    size_t at = strlen(noticed);
    snprintf(noticed + at, sizeof noticed - at, "%s|", notice->message);
}

/* A tensor of several blocks names the right one; hashes.json that is none, or of other tensors, is refused;
 * a folder of before there were hashes loads, and says so once. */
static void test_blocks_and_older_folders(void **state)
{
    (void)state;
    yoke_job *jobs[2];
    char step[1200], path[1400];
    static const char wide[] = "train.optimizer.name=adamw; train.optimizer.lr=0.001; model.vocab=70000";
    char split[160];
    snprintf(split, sizeof split, "%s; layout.tp=2", wide);
    yoke_trainer *a = start_job("gpt2", wide, &jobs[0]), *b = start_job("gpt2", split, &jobs[1]);
    run(a, 1);
    save_as(a, "blocks", step);
    yki_safetensors *file;
    snprintf(path, sizeof path, "%s/optimizer.safetensors", step);
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    const yki_safetensor *last = yki_safetensors_find(file, "wte.weight.exp_avg_sq");
    assert_true(last && last->bytes > (2 << 20) && last->bytes < (10 << 20));
    long offset = place_of(path, file, last) + (1 << 20) + 5;
    char expected[64];
    snprintf(expected, sizeof expected, "(block 2 of %d)", (int)((last->bytes + (1 << 20) - 1) >> 20));
    yki_safetensors_close(file);
    flip_bit(path, offset, 3);
    assert_int_equal(yoke_trainer_resume(b, step), YOKE_INVALID);
    if (!strstr(yoke_error_get()->message, expected)) fail_msg("%s", yoke_error_get()->message);
    flip_bit(path, offset, 3);

    snprintf(path, sizeof path, "%s/hashes.json", step);
    size_t bytes;
    char *text = read_all(step, "hashes.json", &bytes);
    static const struct {
        const char *word, *other, *says;
    } wrongs[] = {{"\"version\": 1", "\"version\": 2", "is not 1"},
                  {"xxh3-64", "xxh2-64", "xxh3-64"},
                  {"1048576", "1048577", "is not 1048576"},
                  {"wte.weight\"", "wtf.weight\"", "has no hashes of tensor 'wte.weight'"},
                  {"\"wte.weight\": \"", "\"wte.weight\":\"q", "hexadecimal"},
                  {"\"wte.weight\": \"", "\"wte.weight\":\"0", "hexadecimal"},
                  {"model.safetensors", "mudel.safetensors", "has no hashes"}};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        char *word = strstr(text, wrongs[i].word);
        assert_true(word != NULL);
        memcpy(word, wrongs[i].other, strlen(wrongs[i].other));
        assert_int_equal(yki_disk_create(path, text, bytes), YOKE_OK);
        memcpy(word, wrongs[i].word, strlen(wrongs[i].word));
        assert_int_equal(yoke_trainer_resume(b, step), YOKE_INVALID);
        if (!strstr(yoke_error_get()->message, wrongs[i].says))
            fail_msg("%s: %s", wrongs[i].other, yoke_error_get()->message);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(yoke_trainer_resume(b, step), YOKE_INVALID); /* state.json says that there are some */
    assert_int_equal(yki_disk_create(path, text, bytes), YOKE_OK);
    free(text);
    yoke_trainer_on_notice(b, note_notice, NULL);
    noticed[0] = '\0';
    assert_int_equal(yoke_trainer_resume(b, step), YOKE_OK);
    assert_null(strstr(noticed, "hashes"));
    forget_hashes(step);
    assert_int_equal(yoke_trainer_resume(b, step), YOKE_OK);
    assert_non_null(strstr(noticed, "has no hashes"));
    finish_job(a, jobs[0]);
    finish_job(b, jobs[1]);
}

/* A number that is none, in a share of whichever rank: refused by its name, and nothing was taken. */
static void test_not_finite(void **state)
{
    (void)state;
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors"};
    yoke_job *jobs[2];
    char step[1200], before[1200], after[1200], path[1400], text[64];
    yoke_trainer *a = start_job("mlp", "", &jobs[0]),
                 *b = start_job("mlp", "layout.dp=2; layout.tp=2", &jobs[1]);
    run(a, 2);
    save_as(a, "nan", step);
    forget_hashes(step);
    run(b, 1);
    for (int f = 1; f >= 0; f--) { /* the second time, both are wrong */
        yki_safetensors *file;
        snprintf(path, sizeof path, "%s/%s", step, files[f]);
        assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
        const yki_safetensor *tensor = yki_safetensors_get(file, 1);
        snprintf(text, sizeof text, "%s", tensor->name);
        long offset = place_of(path, file, tensor) + 4 * (long)(tensor->elems - 1);
        yki_safetensors_close(file);
        FILE *out = fopen(path, "r+b");
        assert_non_null(out);
        float none = NAN;
        assert_int_equal(fseek(out, offset, SEEK_SET), 0);
        assert_int_equal(fwrite(&none, 4, 1, out), 1);
        assert_int_equal(fclose(out), 0);
        save_as(b, "nan-before", before);
        assert_int_equal(yoke_trainer_resume(b, step), YOKE_INVALID);
        if (!strstr(yoke_error_get()->message, text) || !strstr(yoke_error_get()->message, "not a number"))
            fail_msg("'%s' is not named: %s", text, yoke_error_get()->message);
        save_as(b, "nan-after", after);
        assert_true(same_tensors(before, after));
        run(b, 1);
    }
    finish_job(a, jobs[0]);
    finish_job(b, jobs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layout_from_every_other),
        cmocka_unit_test(test_failed_shares),
        cmocka_unit_test(test_writes_are_long),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_blocks_and_older_folders),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
