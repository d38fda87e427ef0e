/* Folders that Hugging Face's transformers wrote (make.py) give its logits here, under every layout, and
 * after training, saving and opening again still those that it has after the same steps. With
 * YOKE_TEST_KEEP=DIR what was saved stays there, beside the logits as f32, for check.py to hold against the
 * package itself. */
#include "checkpoint/safetensors.h"
#include "folder.h"
#include "train/jobs.h"

enum { SAMPLES = 2, SEQUENCE = 12, VOCAB = 31, LOGITS = SAMPLES * SEQUENCE * VOCAB, TOKENS_HEADER = 1024 };

static const char *const cases[] = {"gpt2",  "llama", "llama3", "biased",
                                    "qwen2", "qwen3", "mistral"}; /* from the fourth on with gradients */
static const char *const layouts[] = {"",
                                      "dp=2",
                                      "tp=2",
                                      "pp=2",
                                      "dp=2,tp=2,pp=2,microbatches=2",
                                      "dp=2,zero=3",
                                      "tp=2,sp=true,recompute=full",
                                      "cp=2"};
enum { NCASES = 7, FIRST_WITH_GRADIENTS = 3, NLAYOUTS = sizeof layouts / sizeof *layouts };

static int make_or_keep(void **state)
{
    const char *keep = getenv("YOKE_TEST_KEEP");
    if (keep) return snprintf(folder, sizeof folder, "%s", keep) < (int)sizeof folder ? 0 : -1;
    return make_folder(state);
}

static int remove_or_keep(void **state)
{
    return getenv("YOKE_TEST_KEEP") ? 0 : remove_folder(state);
}

static void read_tokens(const char *name, int32_t tokens[SAMPLES * SEQUENCE])
{
    char path[512];
    uint16_t ids[SAMPLES * SEQUENCE];
    snprintf(path, sizeof path, YKI_TEST_TRANSFORMERS "/%s/tokens.bin", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, TOKENS_HEADER, SEEK_SET), 0);
    assert_int_equal(fread(ids, sizeof *ids, SAMPLES * SEQUENCE, file), SAMPLES * SEQUENCE);
    fclose(file);
    for (int i = 0; i < SAMPLES * SEQUENCE; i++) tokens[i] = ids[i];
}

static void read_golden(const char *name, const char *which, float logits[LOGITS])
{
    char path[512];
    yki_safetensors *file;
    snprintf(path, sizeof path, YKI_TEST_TRANSFORMERS "/%s/logits.golden", name);
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    const yki_safetensor *tensor = yki_safetensors_find(file, which);
    assert_non_null(tensor);
    assert_int_equal(tensor->elems, LOGITS);
    assert_int_equal(yki_safetensors_read_f32(file, tensor, 0, LOGITS, logits), YOKE_OK);
    yki_safetensors_close(file);
}

/* A trainer of a case's job; from: a folder of weights in place of the job's own, or NULL. */
static yoke_trainer *start(const char *name, const char *layout, const char *from, yoke_job **job_out)
{
    char path[512], overrides[1600];
    snprintf(path, sizeof path, YKI_TEST_TRANSFORMERS "/%s/job.yaml", name);
    int n = snprintf(overrides, sizeof overrides, "%s%s", *layout ? "--layout=" : "", layout);
    if (from) snprintf(overrides + n, sizeof overrides - (size_t)n, "; model.from=%s", from);
    return start_job(path, overrides, job_out);
}

static void check_logits(yoke_trainer *trainer, const char *name, const char *layout, const char *which,
                         float logits[LOGITS])
{
    static float wanted[LOGITS];
    int32_t tokens[SAMPLES * SEQUENCE];
    double largest = 0, difference = 0;
    read_tokens(name, tokens);
    read_golden(name, which, wanted);
    assert_int_equal(yoke_trainer_predict(trainer, SAMPLES, tokens, logits), YOKE_OK);
    for (int i = 0; i < LOGITS; i++) {
        assert_true(isfinite(logits[i]));
        largest = fmax(largest, fabs(wanted[i]));
        difference = fmax(difference, fabs((double)logits[i] - (double)wanted[i]));
    }
    if (!(difference <= 1e-5 * largest))
        fail_msg("%s [%s]: logits %s differ from transformers' by %.2g of %.2g", name, layout, which,
                 difference, largest);
}

static void folders_of_transformers_give_its_logits(void **state)
{
    (void)state;
    static float logits[LOGITS];
    yoke_job *job;
    for (int c = 0; c < NCASES; c++)
        for (int l = 0; l < NLAYOUTS; l++) {
            yoke_trainer *trainer = start(cases[c], layouts[l], NULL, &job);
            check_logits(trainer, cases[c], layouts[l], "before", logits);
            finish_job(trainer, job);
        }
}

static void gradients_are_transformers(void **state)
{
    (void)state;
    for (int c = FIRST_WITH_GRADIENTS; c < NCASES; c++)
        for (int l = 0; l < NLAYOUTS; l++) {
            char path[512], overrides[64], against[512];
            yoke_verification *v;
            snprintf(path, sizeof path, YKI_TEST_TRANSFORMERS "/%s/job.yaml", cases[c]);
            snprintf(against, sizeof against, YKI_TEST_TRANSFORMERS "/%s/gradients.golden", cases[c]);
            snprintf(overrides, sizeof overrides, "%s%s", *layouts[l] ? "--layout=" : "", layouts[l]);
            yoke_job *job = open_job(path, overrides);
            if (yoke_verify(job, against, NULL, 1e-4, &v) != YOKE_OK)
                fail_msg("%s [%s]: %s", cases[c], layouts[l], yoke_error_get()->message);
            if (!v->passed)
                fail_msg("%s [%s]: %s is off by %.2g", cases[c], layouts[l], v->tensors[0].name,
                         v->tensors[0].rel_err);
            yoke_verification_destroy(v);
            yoke_job_destroy(job);
        }
}

static void keep_logits(const char *dir, const float logits[LOGITS])
{
    char path[640];
    snprintf(path, sizeof path, "%s/logits.f32", dir);
    write_file(path, logits, sizeof *logits * LOGITS);
}

/* Their config.json is saved as transformers wrote it, to the byte. */
static void check_config(const char *name, const char *step)
{
    char path[1300], *came, *saved;
    size_t count;
    snprintf(path, sizeof path, YKI_TEST_TRANSFORMERS "/%s/config.json", name);
    assert_int_equal(yki_disk_read(path, 1 << 20, &came, &count), YOKE_OK);
    snprintf(path, sizeof path, "%s/config.json", step);
    assert_int_equal(yki_disk_read(path, 1 << 20, &saved, &count), YOKE_OK);
    assert_string_equal(saved, came);
    free(saved);
    free(came);
}

static void trained_and_saved_they_still_do(void **state)
{
    (void)state;
    static float logits[LOGITS];
    yoke_job *job;
    for (int c = 0; c < NCASES; c++)
        for (int l = 0; l < NLAYOUTS; l++) {
            char dir[600], step[1200];
            snprintf(dir, sizeof dir, "%s/%s-%d", folder, cases[c], l);
            yoke_trainer *trainer = start(cases[c], layouts[l], NULL, &job);
            assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
            check_logits(trainer, cases[c], layouts[l], "after", logits);
            assert_int_equal(yoke_trainer_save(trainer, dir, step), YOKE_OK);
            check_config(cases[c], step);
            finish_job(trainer, job);
            trainer = start(cases[c], "", step, &job); /* config.json and weights alone */
            check_logits(trainer, cases[c], layouts[l], "after", logits);
            finish_job(trainer, job);
            keep_logits(dir, logits);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_of_transformers_give_its_logits),
        cmocka_unit_test(gradients_are_transformers),
        cmocka_unit_test(trained_and_saved_they_still_do),
    };
    return cmocka_run_group_tests(tests, make_or_keep, remove_or_keep);
}
