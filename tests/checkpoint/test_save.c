/* Saves are complete or absent: whatever stage a save dies at, the one before it is found; rotation;
 * inspection. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "checkpoint/hashes.h"
#include "yoke/checkpoint.h"

enum { STAGES = 6 };

static yoke_status write_tensors(const char *path, int64_t value)
{
    const int64_t dims[] = {3};
    const float values[] = {(float)value, 1, 2};
    yki_safetensors_writer *writer;
    YKI_TRY(yki_safetensors_writer_create(path, &writer));
    yoke_status status = yki_safetensors_declare(writer, "w", "F32", 1, dims);
    if (status == YOKE_OK) status = yki_safetensors_begin(writer);
    if (status == YOKE_OK) status = yki_safetensors_write(writer, "w", 0, values, sizeof values);
    if (status == YOKE_OK) return yki_safetensors_finish(writer);
    yki_safetensors_abandon(writer);
    return status;
}

/* The first `stages` of a save's stages; 5 of them end before the commit. */
static yoke_status save_some(yki_save *save, const char *dir, int64_t step, double loss, int stages)
{
    char path[YKI_FOLDER_BYTES + 64];
    yki_saved_state kept = {.step = step,
                            .seed = 1,
                            .batch = 2,
                            .last_loss = loss,
                            .layout = "dp=2",
                            .optimizer = "sgd",
                            .precision = "f32"};
    YKI_TRY(yki_save_begin(dir, step, save));
    if (stages > 1) YKI_TRY(yki_save_text(save, "config.json", "{\"model_type\": \"yoke-layers\"}"));
    snprintf(path, sizeof path, "%s/model.safetensors", save->temporary);
    if (stages > 2) YKI_TRY(write_tensors(path, step));
    snprintf(path, sizeof path, "%s/optimizer.safetensors", save->temporary);
    if (stages > 3) YKI_TRY(write_tensors(path, step));
    if (stages > 4) YKI_TRY(yki_save_state(save, &kept));
    return YOKE_OK;
}

static yoke_status save_step(const char *dir, int64_t step, double loss, int64_t keep)
{
    yki_save save;
    YKI_TRY(save_some(&save, dir, step, loss, STAGES));
    return yki_save_commit(&save, keep);
}

/* Where the process has closed its standard input, files are number 0 too. */
static void file_number_0_is_a_file(void **state)
{
    (void)state;
    static const char run[] = "0123456789abcdef0123456789abcdef";
    yki_claim claim;
    char found[YKI_RUN_BYTES];
    const yki_claim_wish wish = {.run = run};
    int input = fcntl(0, F_DUPFD_CLOEXEC, 3);
    close(0);
    yoke_status taken = yki_claim_take(in_folder("zero"), &wish, &claim);
    int lock = taken == YOKE_OK ? claim.lock : -1;
    if (lock == 0) { /* the next file is number 0, again */
        claim.lock = fcntl(0, F_DUPFD_CLOEXEC, 3);
        close(0);
    }
    yoke_status seen = yki_claim_seen(in_folder("zero"), run);
    yoke_checkpoint_holder(in_folder("zero"), found);
    if (taken == YOKE_OK) yki_claim_release(&claim);
    if (input >= 0) {
        dup2(input, 0);
        close(input);
    }
    assert_int_equal(taken, YOKE_OK);
    assert_int_equal(lock, 0);
    assert_int_equal(seen, YOKE_OK);
    assert_string_equal(found, run);
}

static int64_t found_step(const char *dir, char *note)
{
    char step_folder[YKI_FOLDER_BYTES];
    int is_step;
    yki_saved_state found;
    if (yki_checkpoint_find(dir, step_folder, &is_step, note) != YOKE_OK) return -1;
    assert_true(is_step);
    assert_int_equal(yki_checkpoint_state(step_folder, &found), YOKE_OK);
    return found.step;
}

/* Names in a folder, sorted, with spaces between; hidden ones too. */
static const char *listing(const char *dir)
{
    static char text[2000];
    struct dirent **names;
    int count = scandir(dir, &names, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                     names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return text;
}

static void a_save_is_found(void **state)
{
    (void)state;
    char dir[200], found[YKI_FOLDER_BYTES], note[256] = "x", wanted[300];
    int is_step;
    snprintf(dir, sizeof dir, "%s", in_folder("a/deep//runs"));
    assert_int_equal(save_step(dir, 0, NAN, 0), YOKE_OK);
    assert_int_equal(save_step(dir, 100, 0.5, 0), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000000 step-00000100");
    assert_string_equal(listing(in_folder("a/deep/runs/step-00000100")),
                        "config.json model.safetensors optimizer.safetensors state.json");
    snprintf(wanted, sizeof wanted, "%s/step-00000100", dir);
    assert_int_equal(yki_checkpoint_find(dir, found, &is_step, note), YOKE_OK);
    assert_string_equal(found, wanted);
    assert_string_equal(note, "");
    assert_true(is_step);
    snprintf(wanted, sizeof wanted, "%s/step-00000000/", dir);
    assert_int_equal(yki_checkpoint_find(wanted, found, &is_step, NULL), YOKE_OK);
    wanted[strlen(wanted) - 1] = '\0';
    assert_string_equal(found, wanted);
    refused(yki_checkpoint_find(in_folder("a"), found, &is_step, NULL), in_folder("a"),
            "holds no checkpoint");
    refused(yki_checkpoint_find(in_folder("none"), found, &is_step, NULL), in_folder("none"),
            "no such folder");
    refused(yki_checkpoint_find(in_folder("a/deep/runs/step-00000000/state.json"), found, &is_step, NULL), "",
            "is a file");
    yki_save save;
    write_text(in_folder("file"), "");
    refused(yki_save_begin(in_folder("file/below"), 1, &save), in_folder("file"),
            "is a file where a folder is needed");
    yki_save_abandon(&save);
    refused(yki_save_begin("", 1, &save), "", "1 to 1023 bytes");
    refused(yki_save_begin(dir, -1, &save), dir, "no step can have the number -1");
    yki_save zero = {0};
    yki_save_abandon(&zero); /* must not close descriptor 0 */
    refused(yki_save_commit(&zero, 0), "", "no save is under way");
    assert_int_equal(fcntl(0, F_GETFD) == -1 && errno == EBADF, 0);
}

static void a_save_killed_at_any_stage_leaves_the_one_before(void **state)
{
    (void)state;
    char dir[200];
    snprintf(dir, sizeof dir, "%s", in_folder("killed"));
    assert_int_equal(save_step(dir, 1, 1, 0), YOKE_OK);
    for (int stages = 1; stages < STAGES; stages++) {
        pid_t child = fork();
        if (child == 0) {
            yki_save save;
            if (save_some(&save, dir, 2, 1, stages) != YOKE_OK) _exit(1);
            kill(getpid(), SIGKILL);
        }
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        assert_non_null(strstr(listing(dir), ".step-00000002.tmp-"));
        assert_int_equal(found_step(dir, NULL), 1);
        yki_save save; /* the next save removes what is left */
        assert_int_equal(yki_save_begin(dir, 3, &save), YOKE_OK);
        assert_null(strstr(listing(dir), ".step-00000002"));
        yki_save_abandon(&save);
        assert_string_equal(listing(dir), "step-00000001");
    }
}

/* Containers count processes anew: what a dead save left may have the number of one that lives. */
static void what_is_left_counts_by_its_lock(void **state)
{
    (void)state;
    char dir[200], left[300];
    yki_save save;
    snprintf(dir, sizeof dir, "%s", in_folder("numbers"));
    snprintf(left, sizeof left, "%s/.step-00000002.tmp-%ld", dir, (long)getppid());
    assert_int_equal(yki_disk_make_folders(left), YOKE_OK);
    assert_int_equal(yki_save_begin(dir, 3, &save), YOKE_OK);
    assert_null(strstr(listing(dir), ".step-00000002"));
    yki_save_abandon(&save);
}

static void saves_killed_at_random_moments_leave_complete_steps(void **state)
{
    (void)state;
    char dir[200];
    uint64_t seed = 4711;
    snprintf(dir, sizeof dir, "%s", in_folder("random"));
    assert_int_equal(save_step(dir, 1, 1, 0), YOKE_OK);
    for (int round = 0; round < 25; round++) {
        int64_t before = found_step(dir, NULL);
        pid_t child = fork();
        if (child == 0) {
            for (int64_t step = before;; step++) /* the same number first: replaced in place */
                if (save_step(dir, step, 1, 2) != YOKE_OK) _exit(1);
        }
        usleep((useconds_t)(next_random(&seed) % 20000));
        kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        char note[256];
        int64_t after = found_step(dir, note);
        assert_true(after >= before);
        assert_string_equal(note, "");
    }
    assert_int_equal(save_step(dir, 1000000, 1, 1), YOKE_OK);
    assert_string_equal(listing(dir), "step-01000000");
}

static void a_save_under_way_is_left_alone(void **state)
{
    (void)state;
    char dir[200];
    yki_save first, second;
    snprintf(dir, sizeof dir, "%s", in_folder("two"));
    assert_int_equal(save_some(&first, dir, 1, 1, STAGES), YOKE_OK);
    assert_int_equal(save_some(&second, dir, 2, 1, STAGES), YOKE_OK);
    assert_int_equal(yki_save_commit(&second, 0), YOKE_OK);
    assert_int_equal(yki_save_begin(dir, 1, &second), YOKE_SYSTEM);
    assert_non_null(strstr(yoke_error_get()->message, "is being saved already"));
    assert_int_equal(yki_save_commit(&first, 0), YOKE_OK);
    yki_save_abandon(&first);
    assert_string_equal(listing(dir), "step-00000001 step-00000002");
}

static void an_incomplete_save_is_not_committed(void **state)
{
    (void)state;
    char dir[200];
    yki_save save;
    snprintf(dir, sizeof dir, "%s", in_folder("partial"));
    for (int stages = 1; stages < STAGES - 1; stages++) {
        assert_int_equal(save_some(&save, dir, 5, 1, stages), YOKE_OK);
        refused(yki_save_commit(&save, 0), "",
                stages == 2 ? "has neither model.safetensors" : "No such file");
        assert_string_equal(listing(dir), "");
    }
    refused(yki_save_commit(&save, 0), "", "no save is under way");
}

static void the_same_step_is_replaced(void **state)
{
    (void)state;
    char dir[200];
    yki_saved_state found;
    snprintf(dir, sizeof dir, "%s", in_folder("again"));
    assert_int_equal(save_step(dir, 4, 1, 3), YOKE_OK);
    write_text(in_folder("again/step-00000004/notes.txt"), "of the old one");
    assert_int_equal(save_step(dir, 4, 2, 3), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000004");
    assert_false(yki_path_exists(in_folder("again/step-00000004/notes.txt")));
    assert_int_equal(yki_checkpoint_state(in_folder("again/step-00000004"), &found), YOKE_OK);
    assert_true(found.last_loss == 2);

    /* A replacement killed between its renames, on a file system that cannot exchange two names. */
    assert_int_equal(
        rename(in_folder("again/step-00000004"), in_folder("again/.step-00000004.old-999999999")), 0);
    char note[256];
    assert_int_equal(found_step(dir, note), 4);
    yki_save save;
    assert_int_equal(yki_save_begin(dir, 5, &save), YOKE_OK);
    yki_save_abandon(&save);
    assert_string_equal(listing(dir), "step-00000004");
    /* Killed after them: the old one is rubbish. */
    assert_int_equal(mkdir(in_folder("again/.step-00000004.old-999999999"), 0777), 0);
    assert_int_equal(mkdir(in_folder("again/.step-00000003.gone-999999999"), 0777), 0);
    assert_int_equal(save_step(dir, 5, 2, 0), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000004 step-00000005");
}

static void a_broken_step_is_passed_over_and_said(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "model.safetensors", "optimizer.safetensors",
                                        "state.json"};
    char dir[200], note[256], broken[300], found[YKI_FOLDER_BYTES];
    int is_step;
    snprintf(dir, sizeof dir, "%s", in_folder("broken"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(save_step(dir, 100, 1, 0), YOKE_OK);
        assert_int_equal(save_step(dir, 200, 1, 0), YOKE_OK);
        snprintf(broken, sizeof broken, "%s/step-00000200/%s", dir, files[i]);
        assert_int_equal(truncate(broken, 9), 0);
        assert_int_equal(found_step(dir, note), 100);
        snprintf(broken, sizeof broken, "step-00000200 is incomplete (%s: ", files[i]);
        assert_int_equal(strncmp(note, broken, strlen(broken)), 0);
        assert_non_null(strstr(note, "); took step-00000100"));
        snprintf(broken, sizeof broken, "%s/step-00000200/%s", dir, files[i]);
        assert_int_equal(unlink(broken), 0);
        assert_int_equal(found_step(dir, note), 100);
        if (i == 1) assert_non_null(strstr(note, "(has neither model.safetensors nor"));
        refused(yki_checkpoint_find(in_folder("broken/step-00000200"), found, &is_step, NULL),
                i == 1 ? in_folder("broken/step-00000200") : broken, i == 1 ? "has neither" : "No such file");
    }
    snprintf(broken, sizeof broken, "%s/step-00000100/state.json", dir);
    assert_int_equal(unlink(broken), 0);
    refused(yki_checkpoint_find(dir, found, &is_step, NULL), dir,
            "has no complete step: step-00000200 is incomplete");
}

static void rotation_keeps_what_is_worth_keeping(void **state)
{
    (void)state;
    char dir[200];
    snprintf(dir, sizeof dir, "%s", in_folder("rotation"));
    for (int64_t step = 1; step <= 4; step++) assert_int_equal(save_step(dir, step, 1, 3), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000002 step-00000003 step-00000004");
    /* Not finite from here on: 4 stays however many come after it. */
    for (int64_t step = 5; step <= 8; step++)
        assert_int_equal(save_step(dir, step, step % 2 ? NAN : INFINITY, 2), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000004 step-00000007 step-00000008");
    assert_int_equal(save_step(dir, 9, 1, 1), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000009");
    /* Resumed from further back: the step just saved stays, though a newer number is there. */
    assert_int_equal(save_step(dir, 6, 1, 1), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000006 step-00000009");
    /* What is broken is neither counted nor removed. */
    assert_int_equal(truncate(in_folder("rotation/step-00000009/state.json"), 3), 0);
    assert_int_equal(save_step(dir, 7, 1, 1), YOKE_OK);
    assert_string_equal(listing(dir), "step-00000007 step-00000009");
}

/* A step that says it is hashed is complete with its hashes.json alone, and with one that can be read. */
static void a_hashed_step_has_hashes(void **state)
{
    (void)state;
    static const char *const others[] = {NULL, "{\"version\": 9}", ""};
    yki_saved_state kept = {.step = 1, .batch = 2, .last_loss = 1, .hashed = true, .not_finite = true};
    for (int i = 0; i < 3; i++) {
        yki_save save;
        yki_hashes *hashes;
        const uint64_t block = 7;
        assert_int_equal(save_some(&save, in_folder("hashed"), 1, 1, STAGES), YOKE_OK);
        assert_int_equal(yki_save_state(&save, &kept), YOKE_OK);
        if (others[i] && *others[i])
            assert_int_equal(yki_save_text(&save, "hashes.json", others[i]), YOKE_OK);
        if (i < 2) {
            assert_int_equal(yki_save_commit(&save, 0), YOKE_INVALID);
            assert_non_null(strstr(yoke_error_get()->file, "hashes.json"));
            assert_non_null(strstr(yoke_error_get()->message, i ? "is not 1" : "is missing"));
            continue;
        }
        assert_int_equal(yki_hashes_create(&hashes), YOKE_OK);
        assert_int_equal(yki_hashes_add(hashes, "model.safetensors", "w", 12, &block), YOKE_OK);
        assert_int_equal(yki_hashes_save(hashes, save.temporary), YOKE_OK);
        yki_hashes_destroy(hashes);
        assert_int_equal(yki_save_commit(&save, 0), YOKE_OK);
    }
    yki_saved_state found;
    assert_int_equal(yki_checkpoint_state(in_folder("hashed/step-00000001"), &found), YOKE_OK);
    assert_true(found.hashed && found.not_finite);
}

/* Bytes that come in any portions have the hashes of whole blocks. */
static void blocks_are_hashed_as_they_come(void **state)
{
    (void)state;
    enum { BYTES = 2 * YKI_HASH_BLOCK_BYTES + 12345, BLOCKS = 3 };
    static char bytes[BYTES];
    static const size_t ends[] = {BYTES, 2 * YKI_HASH_BLOCK_BYTES, YKI_HASH_BLOCK_BYTES, 5, 0};
    static const size_t portions[] = {1 << 30, YKI_HASH_BLOCK_BYTES, 77777, 4096};
    yki_hasher *hasher;
    for (int i = 0; i < BYTES; i++) bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(yki_hasher_create(&hasher), YOKE_OK);
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++)
        for (size_t p = 0; p < sizeof portions / sizeof *portions; p++) {
            uint64_t found[BLOCKS + 1] = {1, 1, 1, 1};
            yki_hasher_begin(hasher, found);
            for (size_t at = 0; at < ends[e]; at += portions[p])
                yki_hasher_add(hasher, bytes + at, portions[p] < ends[e] - at ? portions[p] : ends[e] - at);
            yki_hasher_end(hasher);
            int64_t count = yki_hash_blocks(ends[e]);
            for (int64_t b = 0; b < count; b++)
                assert_true(found[b] ==
                            yki_hash(bytes + b * YKI_HASH_BLOCK_BYTES, yki_hash_block_bytes(ends[e], b)));
            assert_true(found[count] == 1);
        }
    yki_hasher_destroy(hasher);
}

/* What a path means that names no step: a model's folder, the root, one too long, several broken steps. */
static void folders_are_told_apart(void **state)
{
    (void)state;
    static const char *const alone[] = {"config.json", "model.safetensors", "model.safetensors.index.json"};
    char found[YKI_FOLDER_BYTES], note[256], path[300], long_path[1300] = "";
    int is_step;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "alone%d", i);
        assert_int_equal(mkdir(in_folder(path), 0700), 0);
        snprintf(path, sizeof path, "%s/alone%d/%s", folder, i, alone[i]);
        write_text(path, "{}");
        snprintf(path, sizeof path, "%s/alone%d//", folder, i);
        assert_int_equal(yki_checkpoint_find(path, found, &is_step, note), YOKE_OK);
        assert_int_equal(is_step, 0);
        assert_int_equal(found[strlen(found) - 1], '0' + i);
    }
    refused(yki_checkpoint_find("/", found, &is_step, NULL), "/", "holds no checkpoint");
    while (strlen(long_path) < 1280) strcat(long_path, "/./");
    assert_int_equal(yki_checkpoint_find(long_path, found, &is_step, NULL), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "too long"));
    yki_hashes *hashes;
    assert_int_equal(yki_hashes_read(long_path, &hashes), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "too long"));
    assert_null(hashes);
    struct rlimit files, none; /* that the system has no file left says nothing of the folder */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    none = files;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    yoke_status status = yki_checkpoint_find("/", found, &is_step, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(status, YOKE_SYSTEM);
    for (int step = 1; step <= 3; step++)
        assert_int_equal(save_step(in_folder("several"), step, 1, 0), YOKE_OK);
    write_text(in_folder("several/step-00000002/state.json"), "{");
    char header[300] = "", file[320]; /* a tensor with so long a name that the sentence is cut */
    snprintf(header, sizeof header, "{\"%0100d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]}}",
             0);
    memset(file, 0, sizeof file);
    file[0] = (char)strlen(header);
    memcpy(file + 8, header, strlen(header));
    write_file(in_folder("several/step-00000003/model.safetensors"), file, 8 + strlen(header));
    assert_int_equal(found_step(in_folder("several"), note), 1);
    assert_non_null(strstr(note, "...), so are others; took step-00000001"));
}

static void steps_are_told_from_other_names(void **state)
{
    (void)state;
    assert_int_equal(yki_step_number("step-00000100", NULL), 100);
    assert_int_equal(yki_step_number("step-7", NULL), 7);
    assert_int_equal(yki_step_number("step-", NULL), -1);
    assert_int_equal(yki_step_number("step--1", NULL), -1);
    assert_int_equal(yki_step_number("step-1x", NULL), -1);
    assert_int_equal(yki_step_number("step-99999999999999999999", NULL), -1);
    assert_int_equal(yki_step_number(".step-00000002.tmp-17", "tmp"), 2);
    assert_int_equal(yki_step_number(".step-00000002.tmp-17", "old"), -1);
    assert_int_equal(yki_step_number(".step-00000002.tmp", "tmp"), -1);
    assert_int_equal(yki_step_number(".", "tmp"), -1);
    assert_int_equal(yki_step_number("", NULL), -1);
}

static void best_is_the_step_that_its_link_names(void **state)
{
    (void)state;
    static const char *const others[] = {"step-1x", ".step-00000003.tmp-1", "elsewhere/step-00000003",
                                         "best"};
    assert_int_equal(mkdir(in_folder("best"), 0777), 0);
    char dir[200], link[240];
    snprintf(dir, sizeof dir, "%s", in_folder("best"));
    snprintf(link, sizeof link, "%s/best", dir);
    assert_int_equal(yki_best_step(dir), -1);
    assert_int_equal(yki_best_step(in_folder("best/nowhere")), -1);
    for (int step = 7; step <= 123456789; step += 123456782) { /* a link takes the place of another */
        assert_int_equal(yki_best_set(dir, step), YOKE_OK);
        assert_int_equal(yki_best_step(dir), step);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(unlink(link), 0);
        assert_int_equal(symlink(others[i], link), 0);
        assert_int_equal(yki_best_step(dir), -1);
    }
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkdir(link, 0777), 0);
    assert_int_equal(yki_best_step(dir), -1);
    refused(yki_best_set(dir, 7), link, "is no link");
}

static void checkpoints_are_inspected(void **state)
{
    (void)state;
    char dir[200];
    yoke_inspection *found;
    snprintf(dir, sizeof dir, "%s", in_folder("inspected"));
    assert_int_equal(save_step(dir, 3, 0.25, 0), YOKE_OK);
    assert_int_equal(yoke_inspect(dir, &found), YOKE_OK);
    assert_string_equal(found->path, in_folder("inspected/step-00000003"));
    assert_string_equal(found->model_type, "yoke-layers");
    assert_string_equal(found->layout, "dp=2");
    assert_true(found->is_step && found->step == 3 && found->loss == 0.25 && found->batch == 2 &&
                found->seed == 1);
    assert_true(found->parameters == 3 && found->model_bytes == 12 && found->optimizer_bytes == 12);
    assert_int_equal(found->ntensors, 2);
    assert_string_equal(found->tensors[0].name, "w");
    assert_string_equal(found->tensors[0].from, "model");
    assert_string_equal(found->tensors[1].from, "optimizer");
    assert_true(found->tensors[1].ndim == 1 && found->tensors[1].dims[0] == 3 &&
                found->tensors[1].bytes == 12);
    yoke_inspection_destroy(found);

    assert_int_equal(yoke_inspect(in_folder("inspected/step-00000003/model.safetensors"), &found), YOKE_OK);
    assert_true(!found->is_step && found->step == -1 && isnan(found->loss) && found->optimizer_bytes == -1);
    assert_int_equal(found->ntensors, 1);
    yoke_inspection_destroy(found);

    assert_int_equal(mkdir(in_folder("hub"), 0777),
                     0); /* a folder of Hugging Face's, with a mask that is no parameter */
    write_text(in_folder("hub/config.json"), "{\"model_type\":\"gpt2\"}");
    put_tensors(in_folder("hub/model.safetensors"),
                "{\"h.0.attn.bias\":{\"dtype\":\"U8\",\"shape\":[1,1,2,2],\"data_offsets\":[0,4]},"
                "\"h.0.attn.c_attn.bias\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[4,10]}}",
                10);
    assert_int_equal(yoke_inspect(in_folder("hub"), &found), YOKE_OK);
    assert_true(!found->is_step && found->parameters == 3 && found->model_bytes == 10 &&
                found->ntensors == 2);
    yoke_inspection_destroy(found);
    yoke_inspection_destroy(NULL);

    refused(yoke_inspect(in_folder("nothing"), &found), in_folder("nothing"), "no such folder");
    write_text(in_folder("hub/config.json"), "{");
    refused(yoke_inspect(in_folder("hub"), &found), in_folder("hub/config.json"), "is not valid JSON");
    refused(yoke_inspect(in_folder("hub/config.json"), &found), in_folder("hub/config.json"),
            "is a file where a checkpoint's folder or a .safetensors file is needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_is_found),
        cmocka_unit_test(file_number_0_is_a_file),
        cmocka_unit_test(a_save_killed_at_any_stage_leaves_the_one_before),
        cmocka_unit_test(what_is_left_counts_by_its_lock),
        cmocka_unit_test(saves_killed_at_random_moments_leave_complete_steps),
        cmocka_unit_test(a_save_under_way_is_left_alone),
        cmocka_unit_test(an_incomplete_save_is_not_committed),
        cmocka_unit_test(the_same_step_is_replaced),
        cmocka_unit_test(a_broken_step_is_passed_over_and_said),
        cmocka_unit_test(rotation_keeps_what_is_worth_keeping),
        cmocka_unit_test(a_hashed_step_has_hashes),
        cmocka_unit_test(blocks_are_hashed_as_they_come),
        cmocka_unit_test(folders_are_told_apart),
        cmocka_unit_test(steps_are_told_from_other_names),
        cmocka_unit_test(best_is_the_step_that_its_link_names),
        cmocka_unit_test(checkpoints_are_inspected),
    };
    return cmocka_run_group_tests(tests, make_folder_on_disk, remove_folder);
}
