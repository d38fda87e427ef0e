/* The same run again: the same bits from the same layout, and from a run that was saved and resumed. */
#include <unistd.h>

#include "folder.h"
#include "train/jobs.h"

static const struct {
    const char *model, *overrides;
} cases[] = {
    {"mlp", ""},
    {"mlp", "layout.dp=2; train.clip=0.5"},
    {"mlp", "layout.dp=3; layout.microbatches=2; train.optimizer={name: sgd, lr: 0.05, momentum: 0.9}"},
    {"mlp", "layout.tp=2; train.optimizer={name: sgd, lr: 0.05}"},
    {"regress", "layout.pp=2; layout.microbatches=3"},
    {"regress", "layout.tp=4; data.shuffle=false"},
    {"conv", "layout.dp=2; layout.microbatches=2"},
    {"conv", "train.precision=bf16"},
    {"tokens", "layout.tp=3; train.precision=bf16"},
    {"gpt2", "layout.dp=2; train.precision=bf16; data.drop_last=true"},
    {"gpt2", "layout.tp=2; layout.pp=2; layout.microbatches=2; layout.schedule=zb-h1"},
    {"gpt2", "layout.pp=2; layout.chunks=2; layout.schedule=interleaved; layout.microbatches=4"},
    {"devices", "layout.dp=2; layout.microbatches=2"},
    {"conv", "layout.dp=2; layout.zero=2; train.optimizer={name: lion, lr: 1e-3}; train.precision=bf16"},
    {"mlp", "layout.threads=2; layout.dp=2"},
    {"mlp", "layout.tp=2; layout.dp=2; layout.zero=2; train.optimizer={name: muon, lr: 0.02}"},
    {"gpt2", "layout.threads=2; layout.dp=2; layout.zero=1; train.optimizer=muon; train.precision=bf16"},
};
enum { NCASES = sizeof cases / sizeof *cases };

/* All weights, end to end; freed by the caller. */
static float *weights_of(yoke_trainer *trainer, int64_t *count_out)
{
    int64_t total = 0, elems, at = 0;
    int n = yoke_trainer_parameters(trainer);
    for (int i = 0; i < n; i++) {
        assert_non_null(yoke_trainer_parameter(trainer, i, &elems));
        total += elems;
    }
    float *values = malloc(sizeof(float) * (size_t)total);
    assert_non_null(values);
    for (int i = 0; i < n; i++) {
        const char *name = yoke_trainer_parameter(trainer, i, &elems);
        assert_int_equal(yoke_trainer_get(trainer, name, values + at), YOKE_OK);
        at += elems;
    }
    *count_out = total;
    return values;
}

static void test_twice(void **state)
{
    (void)state;
    static outcome first, again;
    for (int i = 0; i < NCASES; i++)
        for (int k = 0; k < 3 && is_taken((size_t)i); k++) {
            if (run_job(cases[i].model, cases[i].overrides, k ? &again : &first) != YOKE_OK)
                fail_msg("%s [%s]: %s", cases[i].model, cases[i].overrides, yoke_error_get()->message);
            if (k) same_bits(&again, &first);
        }
}

/* Saved after 7 of 20 steps (within an epoch, or in the second) and resumed by another trainer: losses and
 * final weights are those of the run that was never interrupted, bit for bit. */
static void test_resume(void **state)
{
    (void)state;
    for (int i = 0; i < NCASES; i++) {
        if (!is_taken((size_t)i + 1)) continue;
        static outcome whole, rest;
        yoke_job *jobs[3];
        int64_t count, again;
        char dir[128];
        snprintf(dir, sizeof dir, "%s/%d", folder, i);
        yoke_trainer *a = start_job(cases[i].model, cases[i].overrides, &jobs[0]);
        assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
        collect(a, &whole);
        yoke_trainer *b = start_job(cases[i].model, cases[i].overrides, &jobs[1]);
        assert_int_equal(yoke_trainer_run(b, 7, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(b, dir, NULL), YOKE_OK);
        yoke_trainer *c = start_job(cases[i].model, cases[i].overrides, &jobs[2]);
        if (i % 2)
            assert_int_equal(yoke_trainer_run(c, 3, NULL, NULL), YOKE_OK); /* what it did is forgotten */
        if (yoke_trainer_resume(c, dir) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        assert_int_equal(yoke_trainer_run(c, 0, NULL, NULL), YOKE_OK);
        collect(c, &rest);
        assert_int_equal(rest.count, 13);
        assert_int_equal(rest.report.steps_done, 20);
        if (memcmp(rest.losses, whole.losses + 7, sizeof(double) * 13) != 0)
            fail_msg("%s [%s]: the resumed run's losses are others", cases[i].model, cases[i].overrides);
        float *x = weights_of(a, &count), *y = weights_of(c, &again);
        assert_int_equal(count, again);
        if (memcmp(x, y, sizeof(float) * (size_t)count) != 0)
            fail_msg("%s [%s]: the resumed run's weights are others", cases[i].model, cases[i].overrides);
        free(x);
        free(y);
        finish_job(a, jobs[0]);
        finish_job(b, jobs[1]);
        finish_job(c, jobs[2]);
    }
}

/* Saved under one layout, resumed under others: no layout is in a checkpoint. */
static void resume_elsewhere(const char *optimizer)
{
    static const char *const layouts[] = {
        "", "layout.dp=2", "layout.tp=3", "layout.pp=3; layout.microbatches=2",
        "layout.tp=2; layout.pp=2; layout.schedule=gpipe; layout.microbatches=3"};
    static outcome whole, rest;
    assert_int_equal(run_job("gpt2", optimizer, &whole), YOKE_OK);
    for (int from = 0; from < 5; from++) {
        yoke_job *job;
        char dir[128], text[256];
        snprintf(dir, sizeof dir, "%s/%zu-from-%d", folder, strlen(optimizer), from);
        snprintf(text, sizeof text, "%s; %s", optimizer, layouts[from]);
        yoke_trainer *trainer = start_job("gpt2", text, &job);
        assert_int_equal(yoke_trainer_run(trainer, 9, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(trainer, dir, NULL), YOKE_OK);
        finish_job(trainer, job);
        for (int to = 0; to < 5; to++) {
            if (!is_taken((size_t)(from + to))) continue;
            snprintf(text, sizeof text, "%s; %s", optimizer, layouts[to]);
            trainer = start_job("gpt2", text, &job);
            assert_int_equal(yoke_trainer_resume(trainer, dir), YOKE_OK);
            assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
            collect(trainer, &rest);
            assert_int_equal(rest.count, 11);
            for (int i = 0; i < 11; i++)
                assert_true(fabs(rest.losses[i] - whole.losses[9 + i]) <= 1e-5 * whole.losses[9 + i]);
            finish_job(trainer, job);
        }
    }
}

static void test_resume_elsewhere(void **state)
{
    (void)state;
    resume_elsewhere("");
    resume_elsewhere("train.optimizer={name: lion, lr: 3e-4, weight_decay: 0.1}");
    resume_elsewhere("train.optimizer={name: muon, lr: 0.01, adamw_lr: 1e-3}");
}

/* Resuming a finished run does no steps; resuming what does not fit leaves the trainer as it was. */
static void test_resume_refused(void **state)
{
    (void)state;
    yoke_job *jobs[5];
    int64_t first, count;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/refused", folder);
    yoke_trainer *a = start_job("mlp", "", &jobs[0]);
    assert_int_equal(yoke_trainer_run(a, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_save(a, dir, NULL), YOKE_OK);
    yoke_trainer *b = start_job("mlp", "", &jobs[1]);
    assert_int_equal(yoke_trainer_resume(b, dir), YOKE_OK);
    assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
    yoke_trainer_losses(b, &first, &count);
    assert_int_equal(count, 0);
    assert_int_equal(first, 20);
    /* other batch, other optimizer, other model: refused, and what the trainer had is still there */
    static const char *const others[] = {"train.batch=5", "train.optimizer={name: adamw, lr: 0.1}",
                                         "train.optimizer={name: lion, lr: 0.1}", "train.optimizer=muon",
                                         "model.layers.2.out=18"};
    for (int i = 0; i < 5; i++) {
        int64_t elems;
        yoke_trainer *c = start_job("mlp", others[i], &jobs[2]);
        assert_int_equal(yoke_trainer_run(c, 2, NULL, NULL), YOKE_OK);
        float *before = weights_of(c, &elems);
        assert_int_equal(yoke_trainer_resume(c, dir), YOKE_INVALID);
        assert_true(strlen(yoke_error_get()->message) > 10);
        float *after = weights_of(c, &elems);
        if (memcmp(before, after, sizeof(float) * (size_t)elems))
            fail_msg("[%s]: a refused resume changed the weights", others[i]);
        assert_int_equal(yoke_trainer_run(c, 2, NULL, NULL), YOKE_OK);
        free(before);
        free(after);
        finish_job(c, jobs[2]);
    }
    assert_int_equal(yoke_trainer_resume(b, "/nonexistent"), YOKE_INVALID);
    finish_job(a, jobs[0]);
    finish_job(b, jobs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_elsewhere),
        cmocka_unit_test(test_resume_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
