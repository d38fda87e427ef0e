/* Batch norm: the statistics of a micro-batch are of all its samples, however a layout deals them out. Each
 * layout against one device that takes the same micro-batches: losses, every gradient by name, buffers. */
#include "folder.h"
#include "run/rank.h"
#include "train/by_hand.h"

#define LOCAL                                                                                                \
    "; model.layers.1.statistics=local; model.layers.4.layers.1.statistics=local;"                           \
    " model.layers.6.statistics=local; model.layers.9.statistics=local"

static yoke_trainer *start(const char *overrides, bool alone, yoke_job **job_out)
{
    yoke_trainer *trainer = NULL;
    yoke_job *job = *job_out = open_job("batchnorm", overrides);
    if (!job) fail_msg("[%s]: %s %s", overrides, yoke_error_get()->key, yoke_error_get()->message);
    yoke_layout one = YOKE_LAYOUT_DEFAULT;
    one.threads = 1;
    yki_trainer_options options = {.job = job};
    if (alone) {
        options.layout = &one;
        options.ignore_devices = true;
        assert_int_equal(yki_reference_set(job, &one, &options), YOKE_OK);
    }
    if (yki_trainer_create(&trainer, &options) != YOKE_OK)
        fail_msg("[%s]: %s", overrides, yoke_error_get()->message);
    return trainer;
}

static float *tensor_of(yoke_trainer *trainer, yki_tensor_kind kind, int parameter)
{
    int64_t elems = yki_trainer_elems(trainer, parameter);
    float *values = malloc(sizeof(float) * (size_t)elems);
    assert_non_null(values);
    yki_run_read(trainer->run, kind, parameter, 0, elems, values);
    return values;
}

static double distance(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/* The worst of the tensors that are (buffers) or are not weights' gradients: relative as `verify` has it. */
static double difference(yoke_trainer *a, yoke_trainer *reference, bool buffers, const char **name_out)
{
    const yoke_model *model = a->model;
    yki_tensor_kind kind = buffers ? YKI_TENSOR_WEIGHT : YKI_TENSOR_GRADIENT;
    double global = 0, worst = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < model->nparameters; i++) {
            if ((model->parameters[i].buffer != NULL) != buffers) continue;
            float *x = tensor_of(a, kind, i), *r = tensor_of(reference, kind, i);
            int64_t n = yki_trainer_elems(a, i);
            double norm = distance(r, NULL, n);
            double e = distance(x, r, n) / fmax(fmax(norm, 1e-3 * sqrt(global)), 1e-30);
            if (pass == 0) global += norm * norm;
            if (pass == 1 && !(e <= worst)) {
                worst = e;
                *name_out = model->parameters[i].name;
            }
            free(x);
            free(r);
        }
    return worst;
}

static float *buffers_of(yoke_trainer *trainer, int64_t *count_out)
{
    int64_t count = 0;
    float *all = NULL;
    for (int i = 0; i < trainer->model->nparameters; i++) {
        if (!trainer->model->parameters[i].buffer) continue;
        int64_t n = yki_trainer_elems(trainer, i);
        all = realloc(all, sizeof(float) * (size_t)(count + n));
        assert_non_null(all);
        yki_run_read(trainer->run, YKI_TENSOR_WEIGHT, i, 0, n, all + count);
        count += n;
    }
    *count_out = count;
    return all;
}

/* What a rank's device has of a buffer. Owns: the caller. */
static float *buffer_of(const yki_rank *rank, int buffer)
{
    yki_view view = yki_rank_tensor(rank, YKI_TENSOR_WEIGHT, buffer);
    size_t bytes = sizeof(float) * (size_t)yki_view_elems(&view);
    float *values = malloc(bytes + 1);
    yki_queue_transfer(rank->queue, YKI_DOWNLOAD, values, view.data, bytes);
    assert_int_equal(rank->backend->synchronize(rank->queue), YOKE_OK);
    return values;
}

/* A rank's own buffers are as its neighbours' along dp: what evaluation on any of them reads. */
static bool replicas_agree(const yoke_trainer *trainer)
{
    const yki_plan *plan = trainer->plan;
    for (int r = 0; r < trainer->run->nranks; r++) {
        const yki_rank *rank = &trainer->run->ranks[r];
        int place[YKI_AXIS_COUNT];
        memcpy(place, rank->place, sizeof place);
        place[YKI_AXIS_DP] = 0;
        const yki_rank *first = &trainer->run->ranks[yki_mesh_rank(&plan->mesh, place)];
        const yki_program *p = rank->program;
        for (int i = p->nparameters; i < p->nparameters + p->nbuffers; i++) {
            float *own = buffer_of(rank, i), *other = buffer_of(first, i);
            bool same = memcmp(own, other, sizeof(float) * (size_t)p->parameters[i].elems) == 0;
            free(own);
            free(other);
            if (!same) return false;
        }
    }
    return true;
}

static void check_layout(const char *overrides, double tolerance)
{
    yoke_job *jobs[2];
    yoke_trainer *trainers[2];
    static outcome outcomes[2];
    yki_step_result result;
    const char *name = "";
    for (int k = 0; k < 2; k++) {
        int64_t count;
        trainers[k] = start(overrides, k == 0, &jobs[k]);
        float *before = buffers_of(trainers[k], &count), *after;
        assert_int_equal(yki_trainer_step(trainers[k], YKI_RUN_GRADIENTS, &result), YOKE_OK);
        after = buffers_of(trainers[k], &count);
        assert_memory_equal(before, after, sizeof(float) * (size_t)count);
        free(before);
        free(after);
    }
    double gradient = difference(trainers[1], trainers[0], false, &name);
    if (!(gradient <= 10 * tolerance))
        fail_msg("[%s]: gradients of %s differ by %.3g", overrides, name, gradient);
    for (int k = 0; k < 2; k++) {
        if (yoke_trainer_run(trainers[k], 0, NULL, NULL) != YOKE_OK)
            fail_msg("[%s]: %s", overrides, yoke_error_get()->message);
        collect(trainers[k], &outcomes[k]);
    }
    double loss = worst_difference(&outcomes[1], &outcomes[0]),
           buffer = difference(trainers[1], trainers[0], true, &name);
    if (!(loss <= tolerance)) fail_msg("[%s]: losses differ by %.3g", overrides, loss);
    /* one device tracks all micro-batches, replicas with statistics of their own the first one's */
    if (!strstr(overrides, "local") && !(buffer <= 10 * tolerance))
        fail_msg("[%s]: buffers %s differ by %.3g", overrides, name, buffer);
    const char *bytes = bytes_wrong(&outcomes[1]);
    if (bytes) fail_msg("[%s]: %s", overrides, bytes);
    assert_true(replicas_agree(trainers[1]));
    for (int i = 0; i < trainers[1]->model->ncounters; i++) {
        if (!strstr(overrides, "local")) assert_int_equal(trainers[1]->tracked[i], trainers[0]->tracked[i]);
        assert_true(trainers[1]->tracked[i] > 0);
    }
    for (int k = 0; k < 2; k++) {
        finish_job(trainers[k], jobs[k]);
    }
}

static void layouts_agree_with_one_device(void **state)
{
    (void)state;
    static const char *const layouts[] = {
        "layout.microbatches=3",
        "layout.dp=2",
        "layout.dp=3",
        "train.batch=7; layout.dp=3",
        "train.batch=11; layout.dp=2; layout.microbatches=3",
        "layout.dp=3; layout.microbatches=4",
        "layout.tp=2",
        "layout.tp=3; layout.dp=2",
        "layout.pp=3; layout.microbatches=4",
        "layout.dp=2; layout.pp=2; layout.microbatches=2; layout.schedule=gpipe",
        "layout.dp=2; layout.tp=2; layout.pp=2; layout.microbatches=3; layout.schedule=zb-h1",
        "layout.pp=2; layout.microbatches=4; layout.schedule=interleaved; layout.chunks=2",
        "layout.dp=2; layout.pp=2; layout.microbatches=3; layout.schedule=zb-v",
        "layout.dp=2; layout.zero=1; layout.microbatches=2",
        "layout.dp=3; layout.tp=2; layout.zero=1",
        "layout.dp=2; layout.zero=2; layout.microbatches=2",
        "layout.dp=3; layout.zero=3; layout.pp=2; layout.microbatches=2",
        "layout.dp=2; layout.zero=3; layout.tp=2",
        "layout.dp=2; layout.recompute=full",
        "layout.dp=2; layout.tp=2; layout.pp=2; layout.microbatches=2; layout.recompute=full; layout.zero=3",
        "layout.dp=2; train.optimizer={name: adamw, lr: 3e-3, weight_decay: 0.2, decay: all}",
        "layout.dp=2; train.clip=0.3",
    };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) check_layout(layouts[i], 2e-5);
}

static void positions_may_be_channels(void **state)
{
    (void)state;
    static const char *const layouts[] = {
        "layout.dp=2", "layout.tp=2; layout.sp=true",
        "layout.dp=2; layout.tp=3; layout.sp=true; layout.recompute=full; layout.microbatches=2"};
    for (int i = 0; i < 3; i++) {
        yoke_verification *v;
        yoke_job *job = open_job("batchnorm_tokens", layouts[i]);
        assert_non_null(job);
        if (yoke_verify(job, NULL, NULL, 0, &v) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        if (!v->passed) fail_msg("[%s]: %s differs by %.3g", layouts[i], v->tensors[0].name, v->max_rel_err);
        yoke_verification_destroy(v);
        yoke_job_destroy(job);
    }
}

static void own_statistics_are_each_replicas(void **state)
{
    (void)state;
    check_layout("layout.dp=2" LOCAL, 2e-5);
    check_layout("train.batch=11; layout.dp=2; layout.tp=2" LOCAL, 2e-5);
    check_layout("train.batch=15; layout.dp=3; layout.pp=2; layout.microbatches=2" LOCAL, 2e-5);
}

static void bf16_keeps_statistics_in_f32(void **state)
{
    (void)state;
    check_layout("train.precision=bf16; layout.dp=2", 5e-3);
    check_layout("train.precision=bf16; layout.dp=3; layout.pp=2; layout.microbatches=2", 5e-3);
    check_layout("train.precision=bf16; layout.dp=2; layout.zero=1", 5e-3);
    check_layout("train.precision=bf16; layout.dp=3; layout.zero=3; layout.microbatches=2", 5e-3);
}

/* Sums, squares and the two of the backward pass, each all-reduced over dp once a micro-batch: 4 C floats a
 * layer; and the gradients, once a step. Statistics of a replica's own: its buffers, once a step. */
static void moved_bytes_are_the_formulas(void **state)
{
    (void)state;
    const int64_t channels = 5 + 5 + 80 + 7;
    for (int local = 0; local < 2; local++)
        for (int dp = 2; dp <= 3; dp++)
            for (int m = 1; m <= 2; m++) {
                char overrides[400];
                yoke_job *job;
                yki_step_result result;
                snprintf(overrides, sizeof overrides, "layout.dp=%d; layout.microbatches=%d%s", dp, m,
                         local ? LOCAL : "");
                yoke_trainer *trainer = start(overrides, false, &job);
                assert_int_equal(yki_trainer_step(trainer, YKI_RUN_TRAIN, &result), YOKE_OK);
                int64_t want = 2 * (dp - 1) * 4 * yoke_model_parameters(trainer->model);
                want += local ? (dp - 1) * 4 * 2 * channels : m * 2 * (dp - 1) * 4 * 4 * channels;
                assert_int_equal(trainer->moved[YKI_AXIS_DP], want);
                finish_job(trainer, job);
            }
}

static void runs_resume_bit_for_bit(void **state)
{
    (void)state;
    static const char *const layouts[] = {"", "layout.dp=2; layout.tp=2; train.precision=bf16",
                                          "layout.dp=2; layout.zero=3; layout.microbatches=2",
                                          "layout.pp=2; layout.microbatches=3; layout.dp=2" LOCAL};
    for (int i = 0; i < 4; i++) {
        yoke_job *jobs[3];
        char dir[128];
        int64_t count;
        snprintf(dir, sizeof dir, "%s/%d", folder, i);
        yoke_trainer *whole = start(layouts[i], false, &jobs[0]), *half = start(layouts[i], false, &jobs[1]),
                     *rest = start(layouts[i], false, &jobs[2]);
        assert_int_equal(yoke_trainer_run(whole, 0, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_run(half, 3, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(half, dir, NULL), YOKE_OK);
        if (yoke_trainer_resume(rest, dir) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        assert_int_equal(yoke_trainer_run(rest, 0, NULL, NULL), YOKE_OK);
        assert_memory_equal(rest->losses, whole->losses + 3, sizeof(double) * 5);
        float *a = buffers_of(whole, &count), *b = buffers_of(rest, &count);
        assert_int_equal(count, 2 * (5 + 5 + 80 + 7));
        assert_memory_equal(a, b, sizeof(float) * (size_t)count);
        assert_memory_equal(rest->tracked, whole->tracked, sizeof(int64_t) * 4);
        free(a);
        free(b);
        yoke_trainer_destroy(whole), yoke_trainer_destroy(half), yoke_trainer_destroy(rest);
        for (int k = 0; k < 3; k++) yoke_job_destroy(jobs[k]);
    }
}

/* Saved under one layout, taken up under others: the same buffers, and the same evaluation. */
static void checkpoints_know_no_layout(void **state)
{
    (void)state;
    static const char *const layouts[] = {"", "layout.tp=3", "layout.dp=3; layout.zero=1", "layout.pp=2"};
    char dir[128];
    yoke_job *job;
    int64_t count, again;
    double loss, other;
    snprintf(dir, sizeof dir, "%s/elsewhere", folder);
    yoke_trainer *from = start("layout.dp=2; layout.tp=2; data.holdout=0.2", false, &job);
    assert_int_equal(yoke_trainer_run(from, 3, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_save(from, dir, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_eval(from, NULL, &loss, NULL, NULL), YOKE_OK);
    float *a = buffers_of(from, &count);
    for (int i = 0; i < 4; i++) {
        yoke_job *to_job;
        char overrides[128];
        snprintf(overrides, sizeof overrides, "data.holdout=0.2; %s", layouts[i]);
        yoke_trainer *to = start(overrides, false, &to_job);
        assert_int_equal(yoke_trainer_resume(to, dir), YOKE_OK);
        float *b = buffers_of(to, &again);
        assert_int_equal(count, again);
        assert_memory_equal(a, b, sizeof(float) * (size_t)count);
        assert_memory_equal(to->tracked, from->tracked, sizeof(int64_t) * 4);
        assert_int_equal(yoke_trainer_eval(to, NULL, &other, NULL, NULL), YOKE_OK);
        assert_true(fabs(other - loss) < 1e-5 * loss);
        free(b);
        finish_job(to, to_job);
    }
    free(a);
    finish_job(from, job);
}

static yoke_model *rows_model(yoke_statistics statistics)
{
    yoke_model *model = new_model();
    yoke_tensor x = yoke_batchnorm(model, input_of(model, 1, IN, 0, 0), 0, 0.25, true, statistics);
    x = yoke_linear(model, x, CLASSES, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    return model;
}

static yoke_trainer *rows_trainer(const yoke_model *model, yoke_data *data, int64_t batch, int dp, int m)
{
    yoke_trainer *trainer = NULL;
    yoke_train_options options = small_options(20);
    yoke_layout layout = small_layout(dp, 1, 1);
    options.batch = batch;
    options.shuffle = false;
    layout.microbatches = m;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_OK);
    return trainer;
}

/* The first replica's samples are what is tracked, on all replicas. */
static void own_statistics_track_the_first_replica(void **state)
{
    (void)state;
    yoke_model *model = rows_model(YOKE_STATISTICS_LOCAL);
    yoke_data *data = small_data();
    yoke_trainer *trainer = rows_trainer(model, data, 7, 2, 1);
    int64_t count;
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    assert_true(replicas_agree(trainer));
    float *now = buffers_of(trainer, &count);
    for (int i = 0; i < IN; i++) {
        double mean = 0, squares = 0;
        for (int s = 0; s < 4; s++) mean += (double)inputs[s * IN + i] / 4;
        for (int s = 0; s < 4; s++) squares += pow((double)inputs[s * IN + i] - mean, 2);
        assert_true(fabs(now[i] - 0.25 * mean) < 1e-6);
        assert_true(fabs(now[IN + i] - (0.75 + 0.25 * squares / 3)) < 1e-6);
    }
    free(now);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* Micro-batch after micro-batch, as PyTorch's layer does, whatever the schedule. */
static void buffers_follow_micro_batches_in_order(void **state)
{
    (void)state;
    yoke_model *model = rows_model(YOKE_STATISTICS_GLOBAL);
    yoke_data *data = small_data();
    yoke_trainer *trainer = rows_trainer(model, data, 7, 1, 3);
    int64_t count;
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    float *now = buffers_of(trainer, &count);
    for (int i = 0; i < IN; i++) {
        static const int sizes[] = {3, 2, 2};
        double running[2] = {0, 1};
        for (int m = 0, first = 0; m < 3; first += sizes[m++]) {
            double mean = 0, squares = 0;
            for (int s = first; s < first + sizes[m]; s++) mean += (double)inputs[s * IN + i] / sizes[m];
            for (int s = first; s < first + sizes[m]; s++)
                squares += pow((double)inputs[s * IN + i] - mean, 2);
            running[0] = 0.75 * running[0] + 0.25 * mean;
            running[1] = 0.75 * running[1] + 0.25 * squares / (sizes[m] - 1);
        }
        assert_true(fabs(now[i] - running[0]) < 1e-6 && fabs(now[IN + i] - running[1]) < 1e-6);
    }
    assert_int_equal(trainer->tracked[0], 3);
    free(now);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* A step that is not finite changes no buffer. */
static void steps_that_are_not_finite_change_nothing(void **state)
{
    (void)state;
    for (int dp = 1; dp <= 2; dp++) {
        yoke_model *model = rows_model(YOKE_STATISTICS_GLOBAL);
        yoke_data *data = small_data();
        inputs[13 * IN + 2] = INFINITY; /* in the second batch */
        yoke_trainer *trainer = rows_trainer(model, data, 8, dp, 2);
        int64_t count;
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
        float *before = buffers_of(trainer, &count);
        assert_int_equal(trainer->tracked[0], 2);
        assert_true(before[0] != 0);
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_NON_FINITE);
        float *after = buffers_of(trainer, &count);
        assert_memory_equal(before, after, sizeof(float) * (size_t)count);
        assert_int_equal(trainer->tracked[0], 2);
        free(before);
        free(after);
        yoke_trainer_destroy(trainer);
        yoke_data_destroy(data);
        yoke_model_destroy(model);
    }
}

/* Of micro-batches of 2 samples and of 1, the one has a variance to track, the other none. */
static void one_value_says_nothing_of_variance(void **state)
{
    (void)state;
    yoke_model *model = rows_model(YOKE_STATISTICS_GLOBAL);
    yoke_data *data = small_data();
    yoke_trainer *trainer = rows_trainer(model, data, 3, 1, 2);
    int64_t count;
    assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
    float *now = buffers_of(trainer, &count);
    assert_int_equal(count, 2 * IN);
    assert_int_equal(trainer->tracked[0], 1);
    for (int i = 0; i < IN; i++) {
        double a = inputs[i], b = inputs[IN + i], mean = (a + b) / 2, variance = (a - b) * (a - b) / 2;
        assert_true(fabs(now[i] - 0.25 * mean) < 1e-6);
        assert_true(fabs(now[IN + i] - (0.75 + 0.25 * variance)) < 1e-6);
    }
    free(now);
    yoke_trainer_destroy(trainer);
    trainer = rows_trainer(model, data, 1, 1, 1);
    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
    now = buffers_of(trainer, &count);
    for (int i = 0; i < 2 * IN; i++) assert_true(now[i] == (i < IN ? 0 : 1));
    assert_int_equal(trainer->tracked[0], 0);
    free(now);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

static void what_it_cannot_norm_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        yoke_model *model = new_model();
        yoke_tensor x = i == 1 ? yoke_input_tokens(model, 4) : input_of(model, i == 0 ? 4 : 1, 3, 2, 2);
        yoke_batchnorm(model, x, 0, i == 2 ? 1.5 : 0.1, true, YOKE_STATISTICS_GLOBAL);
        assert_int_equal(yoke_model_status(model), YOKE_INVALID);
        assert_true(nothing_missing(i == 0 ? "[channels]" : i == 1 ? "token ids" : "momentum is 1.5"));
        yoke_model_destroy(model);
    }
    yoke_job *job = open_job("batchnorm", "layout.dp=2; model.layers.1.statistics=local");
    yoke_verification *v;
    assert_int_equal(yoke_verify(job, NULL, NULL, 0, &v), YOKE_INVALID);
    assert_true(nothing_missing("choose one kind"));
    yoke_job_destroy(job);
    job = open_job("batchnorm_tokens", "layout.cp=2");
    assert_null(make_trainer(job));
    assert_true(nothing_missing("cp 2: layer '1'"));
    yoke_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree_with_one_device),
        cmocka_unit_test(positions_may_be_channels),
        cmocka_unit_test(own_statistics_are_each_replicas),
        cmocka_unit_test(bf16_keeps_statistics_in_f32),
        cmocka_unit_test(moved_bytes_are_the_formulas),
        cmocka_unit_test(runs_resume_bit_for_bit),
        cmocka_unit_test(checkpoints_know_no_layout),
        cmocka_unit_test(own_statistics_track_the_first_replica),
        cmocka_unit_test(buffers_follow_micro_batches_in_order),
        cmocka_unit_test(steps_that_are_not_finite_change_nothing),
        cmocka_unit_test(one_value_says_nothing_of_variance),
        cmocka_unit_test(what_it_cannot_norm_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
