/* The n-th allocation, and the n-th read, write, open, map, flush, rename of a small job fails, for every n:
 * each gives a status with a sentence, gives all memory back, and ends; what is asked for again then works as
 * ever.
 *
 *     test_failures [STRIDE]    every so many-th call: 397 of memory and 13 of files, unless said; 1 is all
 */
#include <dirent.h>
#include <unistd.h>

#include "checkpoint/hashes.h"
#include "folder.h"
#include "inject.h"
#include "train/jobs.h"

static char saved[1200], job_path[128];
static int strides[] = {[INJECT_MEMORY] = 397, [INJECT_FILES] = 13};

/* ---- what is done ---- */

static yoke_status load(const char *overrides, yoke_job **job_out)
{
    const char *list[8] = {"layout.threads=1"};
    char text[512];
    int count = 1;
    snprintf(text, sizeof text, "%s", overrides);
    for (char *rest = NULL, *word = strtok_r(text, ";", &rest); word && count < 8;
         word = strtok_r(NULL, ";", &rest))
        if (word[strspn(word, " ")]) list[count++] = word + strspn(word, " ");
    return yoke_job_load(job_path, count, list, job_out);
}

/* Trains two steps, saved after each, and resumes from the second under the same layout for one more. */
static yoke_status train(const char *overrides, double *value)
{
    char all[512], dir[128];
    snprintf(dir, sizeof dir, "%s/run", folder);
    snprintf(all, sizeof all, "checkpoint.dir=%s; checkpoint.every=1; train.steps=3; %s", dir, overrides);
    yoke_job *job = NULL;
    yoke_status status = load(all, &job);
    for (int run = 0; run < 2 && status == YOKE_OK; run++) {
        yoke_trainer *trainer = NULL;
        const yoke_start named = {.run = "0123456789abcdef0123456789abcdef"}; /* in state.json */
        status = yoke_trainer_create_to_start(&trainer, job, &named);
        if (status == YOKE_OK) status = yoke_trainer_start(trainer);
        if (status == YOKE_OK && run == 1) status = yoke_trainer_resume(trainer, dir);
        if (status == YOKE_OK) status = yoke_trainer_run(trainer, run == 0 ? 2 : 0, NULL, NULL);
        int64_t first, count;
        const double *losses = status == YOKE_OK ? yoke_trainer_losses(trainer, &first, &count) : NULL;
        if (losses) *value = losses[count - 1];
        yoke_run_report report;
        if (status == YOKE_OK) status = yoke_trainer_report(trainer, &report);
        yoke_error kept = *yoke_error_get();
        yoke_trainer_destroy(trainer);
        if (status != YOKE_OK && strcmp(kept.message, yoke_error_get()->message) != 0)
            fail_msg("destroying wrote over '%s': '%s'", kept.message, yoke_error_get()->message);
    }
    yoke_job_destroy(job);
    return status;
}

static yoke_status verify(const char *overrides, double *value)
{
    yoke_job *job = NULL;
    yoke_verification *made = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/gradients.safetensors", folder);
    yoke_status status = load(overrides, &job);
    if (status == YOKE_OK) status = yoke_verify(job, NULL, path, 0, &made);
    if (status == YOKE_OK) *value = made->loss;
    yoke_verification_destroy(made);
    yoke_job_destroy(job);
    return status;
}

static yoke_status eval(const char *unused, double *value)
{
    (void)unused;
    yoke_evaluation e;
    yoke_status status = yoke_eval(saved, 0, NULL, NULL, NULL, NULL, NULL, &e);
    if (status != YOKE_OK) return status;
    *value = e.loss;
    yoke_evaluation_release(&e);
    return YOKE_OK;
}

static yoke_status generate(const char *unused, double *value)
{
    (void)unused;
    yoke_generation *made = NULL;
    yoke_status status = yoke_generate(saved, "ab", 3, 0, 0, 1, &made);
    if (status == YOKE_OK) *value = made->tokens[0] * 65536. + made->tokens[1] * 256. + made->tokens[2];
    yoke_generation_destroy(made);
    return status;
}

static yoke_status inspect(const char *unused, double *value)
{
    (void)unused;
    yoke_inspection *made = NULL;
    yoke_status status = yoke_inspect(saved, &made);
    if (status == YOKE_OK) *value = (double)made->ntensors;
    yoke_inspection_destroy(made);
    return status;
}

/* A table with a column of words; all classes as one number. */
static yoke_status table(const char *unused, double *value)
{
    (void)unused;
    yoke_data *data = NULL;
    float x;
    int32_t class = 0;
    yoke_status status = yoke_data_from_csv(&data, in_folder("t.csv"), 1, (const char *const[]){"kind"});
    *value = 0;
    for (int64_t i = 0; status == YOKE_OK && i < yoke_data_samples(data); i++) {
        status = yoke_data_get(data, i, &x, &class);
        *value = 3 * *value + class;
    }
    yoke_data_destroy(data);
    return status;
}

static yoke_status schedule(const char *overrides, double *value)
{
    yoke_job *job = NULL;
    yoke_schedule *made = NULL;
    yoke_status status = load(overrides, &job);
    if (status == YOKE_OK) status = yoke_job_schedule(job, &made);
    if (status == YOKE_OK) *value = yoke_schedule_stages(made);
    yoke_schedule_destroy(made);
    yoke_job_destroy(job);
    return status;
}

typedef struct work {
    const char *name;
    yoke_status (*run)(const char *overrides, double *value);
    const char *overrides;
} work;

static const work works[] = {
    {"train", train, ""},
    {"train beside", train, "checkpoint.async=true; checkpoint.keep=1"},
    {"train dp zero", train, "layout.dp=2; layout.zero=3"},
    {"train judged", train, "eval.every=1; stop.patience=3; checkpoint.best=true; checkpoint.keep=1"},
    {"train pp", train, "layout.pp=2; layout.microbatches=2"},
    {"verify", verify, "layout.tp=2"},
    {"eval", eval, ""},
    {"generate", generate, ""},
    {"inspect", inspect, ""},
    {"table", table, ""},
    {"schedule", schedule, "layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1"},
};

/* ---- every n ---- */

/* Of the files of the last step that a run saved, but for its tensors, whose hashes they hold; 0: there is
 * none. */
static uint64_t digest(void)
{
    static const char *const names[] = {"job.yaml", "state.json", "hashes.json", "config.json"};
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        char path[200], *text = NULL;
        size_t bytes;
        snprintf(path, sizeof path, "%s/run/step-00000003/%s", folder, names[i]);
        if (yki_disk_read(path, 1 << 20, &text, &bytes) == YOKE_OK) sum = sum * 31 + yki_hash(text, bytes);
        free(text);
    }
    return sum;
}

static void clean(void)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s/run", folder);
    yki_disk_remove_folder(dir);
}

static void fail_each(const work *w, inject_kind kind)
{
    double expected = 0, value = 0;
    bool failed;
    const char *what, *kinds[] = {"", "memory", "files"};
    for (int i = 0; i < 2; i++) { /* the second time, what libraries keep for good is there */
        clean();
        if (w->run(w->overrides, &expected) != YOKE_OK)
            fail_msg("%s: %s: %s", w->name, yoke_error_get()->key, yoke_error_get()->message);
    }
    clean();
    inject_begin(kind, 0);
    assert_int_equal(w->run(w->overrides, &value), YOKE_OK);
    int total = inject_end(&failed, &what), tolerated = 0;
    if (inject_live() > 0) {
        inject_print_live();
        fail_msg("%s leaves %d blocks though nothing fails", w->name, inject_live());
    }
    assert_true(value == expected);
    uint64_t files = digest();
    for (int n = 1; n <= total + 20; n += strides[kind]) {
        clean();
        value = -1;
        inject_begin(kind, n);
        yoke_status status = w->run(w->overrides, &value);
        inject_end(&failed, &what);
        const yoke_error *error = yoke_error_get();
        if (status == YOKE_OK) {
            if (value != expected || digest() != files)
                fail_msg("%s: call %d of %s failed, and the result is %g, not %g", w->name, n, what, value,
                         expected);
            if (!failed) break; /* past the last */
            tolerated++;
            inject_print_failed();
        } else if (!failed || error->status != status || !error->message[0])
            fail_msg("%s: call %d (%s): %s '%s'", w->name, n, what ? what : "none failed",
                     yoke_status_name(status), error->message);
        else if (kind == INJECT_MEMORY && status != YOKE_SYSTEM)
            fail_msg("%s: allocation %d (%s): %s, '%s'", w->name, n, what, yoke_status_name(status),
                     error->message);
        if (inject_live() > 0) {
            inject_print_live();
            fail_msg("%s: call %d of %d (%s, '%s') leaves %d blocks", w->name, n, total, what ? what : "none",
                     status == YOKE_OK ? "" : error->message, inject_live());
        }
    }
    clean();
    assert_int_equal(w->run(w->overrides, &value), YOKE_OK);
    assert_true(value == expected);
    print_message("%s: %d calls for %s, %d of them needed by nobody\n", w->name, total, kinds[kind],
                  tolerated);
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) fail_each(&works[i], INJECT_MEMORY);
}

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) fail_each(&works[i], INJECT_FILES);
}

/* A job whose data and weights lie in files, and a step saved by it. */
static int prepare(void **state)
{
    char text[40 * 32 + 1] = "";
    if (make_folder(state) != 0) return -1;
    snprintf(job_path, sizeof job_path, "%s/job.yaml", folder);
    for (int i = 0; i < 40; i++) strcat(text, "a text of few words, read again ");
    write_text(in_folder("text.txt"), text);
    write_text(in_folder("t.csv"), "x,kind\n1,red\n2,blue\n3,green\n4,red\n");
    write_text(job_path, "model: {family: gpt2, layers: 2, heads: 2, width: 4, context: 8, dropout: 0.1}\n"
                         "data: {format: text, path: text.txt, holdout: 0.2}\n"
                         "train: {steps: 2, batch: 4, optimizer: {name: adamw, lr: 1e-3}}\n");
    yoke_job *job;
    yoke_trainer *trainer;
    if (load("", &job) != YOKE_OK || yoke_trainer_create_from_job(&trainer, job) != YOKE_OK ||
        yoke_trainer_save(trainer, folder, saved) != YOKE_OK)
        return -1;
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory), cmocka_unit_test(test_files)};
    if (argc > 1 && atoi(argv[1]) > 0) strides[INJECT_MEMORY] = strides[INJECT_FILES] = atoi(argv[1]);
    inject_open();
    return cmocka_run_group_tests(tests, prepare, remove_folder);
}
