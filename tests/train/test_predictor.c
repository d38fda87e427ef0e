/* A predictor of a saved model: what the trainer that saved it predicts, without its data and without an
 * optimizer's state. */
#include <unistd.h>

#include "folder.h"
#include "train/by_hand.h"

enum { ROWS = 40, WIDE = 200 };

/* A csv of two columns, words of three classes, and a job of it. */
static void write_job(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/t.csv", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("a,kind,b\n", file);
    for (int i = 0; i < ROWS; i++)
        fprintf(file, "%d,%s,%d\n", i,
                i % 3 == 0   ? "red"
                : i % 3 == 1 ? "green"
                             : "blue",
                1000 * (i % 3) - i);
    fclose(file);
    snprintf(path, sizeof path, "%s/job.yaml", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "model: {family: layers, input: [2], layers: [{type: linear, out: %d}, {type: tanh}, {type: "
            "linear, out: "
            "%d}, {type: tanh}, {type: linear, out: 3}]}\n"
            "data: {format: csv, path: t.csv, targets: kind, scale: standard}\n"
            "train: {steps: 5, batch: 8, optimizer: {name: adam, lr: 0.01}}\n"
            "checkpoint: {dir: run}\nlayout: {dp: 2}\n",
            WIDE, WIDE);
    fclose(file);
}

static void test_same_as_the_trainer(void **state)
{
    (void)state;
    char job_file[300], dir[300], step[400], table[300];
    write_job();
    snprintf(job_file, sizeof job_file, "%s/job.yaml", folder);
    snprintf(dir, sizeof dir, "%s/run", folder);
    snprintf(step, sizeof step, "%s/run/step-00000005", folder);
    snprintf(table, sizeof table, "%s/t.csv", folder);
    yoke_job *job;
    yoke_trainer *trainer = start_job(job_file, "", &job);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    static float given[3 * ROWS * 2], wanted[3 * ROWS * 3], got[3 * ROWS * 3], shares[3 * ROWS];
    static int32_t said[3 * ROWS];
    for (int i = 0; i < 3 * ROWS; i++)
        given[2 * i] = (float)i, given[2 * i + 1] = (float)(1000 * (i % 3) - i);
    assert_int_equal(yoke_trainer_predict(trainer, 3 * ROWS, given, wanted), YOKE_OK);
    int64_t weights = 4 * yoke_model_parameters(trainer->model);
    finish_job(trainer, job);
    assert_int_equal(unlink(table), 0);
    assert_int_equal(unlink(job_file), 0);

    const char *const opened[] = {dir, step};
    for (int k = 0; k < 2; k++) {
        yoke_predictor *p = NULL;
        if (yoke_predictor_open(opened[k], &p) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        yoke_row in, out;
        yoke_predictor_rows(p, &in, &out);
        assert_true(in.type == YOKE_F32 && in.ndim == 1 && in.dims[0] == 2);
        assert_true(out.type == YOKE_F32 && out.ndim == 1 && out.dims[0] == 3);
        assert_int_equal(yoke_predictor_classes(p), 3);
        static const char *const words[] = {"blue", "green", "red"}, *const columns[] = {"a", "b"};
        for (int i = 0; i < 3; i++) assert_string_equal(yoke_predictor_class(p, i), words[i]);
        for (int i = 0; i < 2; i++) assert_string_equal(yoke_predictor_column(p, i), columns[i]);
        assert_string_equal(yoke_predictor_target(p, 0), "kind");
        assert_null(yoke_predictor_class(p, 3));
        assert_null(yoke_predictor_class(p, -1));
        assert_null(yoke_predictor_column(p, 2));
        assert_string_equal(yoke_predictor_folder(p), step);
        /* weights, and a batch of what passes through: with gradients and moments it were four times as much
         */
        assert_true(yoke_predictor_bytes(p) > weights && yoke_predictor_bytes(p) < 2 * weights);
        assert_int_equal(yoke_predictor_run(p, 3 * ROWS, given, got), YOKE_OK);
        for (int i = 0; i < 3 * ROWS * 3; i++) assert_true(fabsf(got[i] - wanted[i]) <= 1e-5f);
        assert_int_equal(yoke_predictor_classify(p, 3 * ROWS, given, said, shares), YOKE_OK);
        for (int i = 0; i < 3 * ROWS; i++) {
            const float *row = got + 3 * i;
            int best = row[1] > row[0];
            best = row[2] > row[best] ? 2 : best;
            assert_int_equal(said[i], best);
            double sum = exp((double)row[0]) + exp((double)row[1]) + exp((double)row[2]);
            assert_true(fabs(shares[i] - exp((double)row[best]) / sum) < 1e-6);
        }
        assert_int_equal(yoke_predictor_run(p, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_predictor_run(p, -1, given, got), YOKE_INVALID);
        assert_int_equal(yoke_predictor_classify(p, 1, NULL, said, NULL), YOKE_INVALID);
        yoke_predictor_close(p);
    }
}

/* Folders that hold no model, and outputs that are no classes. */
static void test_others(void **state)
{
    (void)state;
    yoke_predictor *p = NULL;
    assert_int_equal(yoke_predictor_open("/nonexistent", &p), YOKE_INVALID);
    assert_int_equal(yoke_predictor_open(folder, &p), YOKE_INVALID);
    assert_null(p);
    char overrides[300], dir[200];
    snprintf(dir, sizeof dir, "%s/numbers", folder);
    snprintf(overrides, sizeof overrides, "train.steps=2; checkpoint.dir=%s", dir);
    yoke_job *job;
    yoke_trainer *trainer = start_job("regress", overrides, &job);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    finish_job(trainer, job);
    assert_int_equal(yoke_predictor_open(dir, &p), YOKE_OK);
    assert_int_equal(yoke_predictor_classes(p), 0);
    int32_t said[4];
    float given[4096] = {0};
    assert_int_equal(yoke_predictor_classify(p, 1, given, said, NULL), YOKE_INVALID);
    assert_true(nothing_missing("numbers, not classes"));
    assert_null(yoke_predictor_column(p, 0));
    yoke_predictor_close(p);
}

/* One device, and what the job says of its threads: nothing else of the layout. */
static void test_threads_of_the_job(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        char overrides[80];
        snprintf(overrides, sizeof overrides, "layout.dp=2; layout.zero=1; layout.threads=%d", threads);
        yoke_job *job = open_job("mlp", overrides);
        assert_non_null(job);
        yoke_layout one;
        yoke_trainer *trainer;
        yki_trainer_options options = yki_inference_options(job, NULL, &one);
        assert_int_equal(yki_trainer_create(&trainer, &options), YOKE_OK);
        assert_int_equal(trainer->plan->options.threads, threads);
        assert_int_equal(trainer->plan->mesh.nranks, 1);
        assert_int_equal(trainer->plan->options.layout.zero, 0);
        finish_job(trainer, job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_as_the_trainer, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_others, make_folder, remove_folder),
        cmocka_unit_test(test_threads_of_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
