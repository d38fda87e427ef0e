/* C and YAML mean the same by the same words: a model, options and a layout made by calls train to the bits
 * of the job file that says the same, defaults included; and what the file's reader refuses, a trainer
 * refuses. */
#include <unistd.h>

#include "folder.h"
#include "train/by_hand.h"

enum { STEPS = 6, MANY = 60 };

typedef struct same {
    const char *job; /* model, and what of train differs from batch and steps */
    yoke_tensor (*make)(yoke_model *model);
    yoke_row input, target;
    int64_t input_limit, target_limit;
    yoke_loss loss;
    void (*set)(yoke_train_options *options, yoke_layout *layout);
} same;

static yoke_tensor make_rows(yoke_model *m)
{
    yoke_tensor x = yoke_linear(m, yoke_input(m, 1, (int64_t[]){6}), 8, true);
    x = yoke_batchnorm(m, x, 0, 0.1, true, YOKE_STATISTICS_GLOBAL);
    x = yoke_activate(m, yoke_groupnorm(m, yoke_layernorm(m, x, 0), 2, 0, true), YOKE_GELU);
    x = yoke_dropout(m, yoke_rmsnorm(m, x, 0), 0.25);
    return yoke_linear(m, x, 3, false);
}

static yoke_tensor make_pictures(yoke_model *m)
{
    yoke_tensor x = yoke_conv2d(m, yoke_input(m, 3, (int64_t[]){2, 9, 9}), 4, 3, 1, 0, true);
    x = yoke_maxpool2d(m, yoke_activate(m, x, YOKE_SILU), 2, 2);
    x = yoke_avgpool2d(m, yoke_activate(m, x, YOKE_TANH), 3, 3);
    return yoke_linear(m, yoke_flatten(m, x), 5, true);
}

static yoke_tensor make_gpt2(yoke_model *m)
{
    return yoke_gpt2(m, &(yoke_gpt2_options){2, 2, 8, 12, 19, 12, 0.1, 0});
}

static yoke_tensor make_llama(yoke_model *m)
{
    return yoke_llama(
        m, &(yoke_llama_options){
               .layers = 1, .heads = 2, .width = 8, .hidden = 12, .context = 9, .vocab = 17, .sequence = 9});
}

static void set_adamw(yoke_train_options *o, yoke_layout *l)
{
    o->optimizer = YOKE_ADAMW, l->dp = 2;
}

static void set_moving(yoke_train_options *o, yoke_layout *l)
{
    o->momentum = 0.9, o->nesterov = true, o->rate = YOKE_RATE_COSINE, o->warmup = 2, o->final_lr = 1e-4,
    o->clip = 0.5;
    o->weight_decay = 0.01, o->decay_matrices = true, o->holdout = 0.1, l->microbatches = 3;
}

static void set_adam(yoke_train_options *o, yoke_layout *l)
{
    o->optimizer = YOKE_ADAM, o->shuffle = false, o->drop_last = true, o->precision = YOKE_PRECISION_BF16,
    l->tp = 2;
}

static void set_linear(yoke_train_options *o, yoke_layout *l)
{
    (void)l;
    o->rate = YOKE_RATE_LINEAR, o->lr = 0.01, o->seed = 7;
}

static void set_lion(yoke_train_options *o, yoke_layout *l)
{
    o->optimizer = YOKE_LION, o->weight_decay = 0.1, l->dp = 2, l->zero = 1;
}

static void set_muon(yoke_train_options *o, yoke_layout *l)
{
    o->optimizer = YOKE_MUON, o->lr = 0.02, o->ns_steps = 4, o->ns_coefficients[0] = 3, o->adamw_lr = 1e-3,
    o->adjust_lr_fn = YOKE_ADJUST_LR_MATCH_RMS_ADAMW, o->adamw_betas[1] = 0.98, o->adamw_eps = 1e-7,
    l->dp = 2, l->zero = 3;
}

static const same sames[] = {
    {"model: {family: layers, input: [6], layers: [{type: linear, out: 8}, {type: batchnorm}, {type: "
     "layernorm}, "
     "{type: groupnorm, groups: 2}, {type: gelu}, {type: rmsnorm}, {type: dropout, p: 0.25}, {type: linear, "
     "out: 3, bias: false}]}\n"
     "layout: {dp: 2}\n"
     "train: {optimizer: adamw",
     make_rows,
     {YOKE_F32, 1, {6}},
     {YOKE_I32, 0, {0}},
     256,
     3,
     YOKE_CROSS_ENTROPY,
     set_adamw},
    {"model: {family: layers, input: [2, 9, 9], layers: [{type: conv2d, out: 4, kernel: 3}, {type: silu}, "
     "{type: "
     "maxpool2d, kernel: 2}, {type: tanh}, {type: avgpool2d, kernel: 3}, {type: flatten}, {type: linear, "
     "out: 5}]}\n"
     "layout: {microbatches: 3}\n"
     "train: {loss: mse, clip: 0.5, schedule: {name: cosine, warmup: 2, final_lr: 1e-4}, optimizer: {name: "
     "sgd, "
     "momentum: 0.9, nesterov: true, weight_decay: 0.01, decay: matrices}",
     make_pictures,
     {YOKE_F32, 3, {2, 9, 9}},
     {YOKE_F32, 1, {5}},
     256,
     5,
     YOKE_MSE,
     set_moving},
    {"model: {family: gpt2, layers: 2, heads: 2, width: 8, context: 12, vocab: 19, dropout: 0.1}\n"
     "layout: {tp: 2}\n"
     "train: {optimizer: adam, precision: bf16",
     make_gpt2,
     {YOKE_I32, 1, {12}},
     {YOKE_I32, 1, {12}},
     19,
     19,
     YOKE_CROSS_ENTROPY,
     set_adam},
    {"model: {family: llama, layers: 1, heads: 2, width: 8, hidden: 12, context: 9, vocab: 17}\n"
     "train: {seed: 7, schedule: linear, optimizer: {lr: 0.01}",
     make_llama,
     {YOKE_I32, 1, {9}},
     {YOKE_I32, 1, {9}},
     17,
     17,
     YOKE_CROSS_ENTROPY,
     set_linear},
    {"model: {family: gpt2, layers: 2, heads: 2, width: 8, context: 12, vocab: 19, dropout: 0.1}\n"
     "layout: {dp: 2, zero: 1}\n"
     "train: {optimizer: {name: lion, weight_decay: 0.1}",
     make_gpt2,
     {YOKE_I32, 1, {12}},
     {YOKE_I32, 1, {12}},
     19,
     19,
     YOKE_CROSS_ENTROPY,
     set_lion},
    {"model: {family: gpt2, layers: 2, heads: 2, width: 8, context: 12, vocab: 19, dropout: 0.1}\n"
     "layout: {dp: 2, zero: 3}\n"
     "train: {optimizer: {name: muon, lr: 0.02, ns_steps: 4, ns_coefficients: [3, -4.7750, 2.0315], "
     "adamw_lr: 1e-3, "
     "adjust_lr_fn: match_rms_adamw, adamw_betas: [0.9, 0.98], adamw_eps: 1e-7}",
     make_gpt2,
     {YOKE_I32, 1, {12}},
     {YOKE_I32, 1, {12}},
     19,
     19,
     YOKE_CROSS_ENTROPY,
     set_muon},
};

/* The rest of a job: what its `set` says of data, and the sizes. */
static const char *const of_data[] = {"", ", holdout: 0.1", ", shuffle: false, drop_last: true", "", "", ""};

static void by_calls(const same *s, double *losses)
{
    yoke_model *model = new_model();
    yoke_data *data;
    yoke_trainer *trainer;
    yoke_train_options options;
    yoke_layout layout;
    yoke_train_options_default(&options);
    yoke_layout_default(&layout);
    layout.threads = 1;
    options.steps = STEPS, options.batch = 7, options.loss = s->loss;
    s->set(&options, &layout);
    assert_int_equal(yoke_model_finish(model, s->make(model), s->loss), YOKE_OK);
    assert_int_equal(
        yoke_data_random(&data, MANY, &s->input, s->input_limit, &s->target, s->target_limit, options.seed),
        YOKE_OK);
    if (yoke_trainer_create(&trainer, model, data, &options, &layout) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    int64_t first, count;
    memcpy(losses, yoke_trainer_losses(trainer, &first, &count), STEPS * sizeof *losses);
    assert_int_equal(count, STEPS);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

static void test_same_losses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sames / sizeof *sames; i++) {
        char text[1200], path[300];
        snprintf(text, sizeof text, "%s, steps: %d, batch: 7}\ndata: {format: random, samples: %d%s}\n",
                 sames[i].job, STEPS, MANY, of_data[i]);
        snprintf(path, sizeof path, "%s/job.yaml", folder);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
        outcome out;
        if (run_job(path, "", &out) != YOKE_OK) fail_msg("%s: %s", text, out.message);
        assert_int_equal(out.count, STEPS);
        double losses[STEPS];
        by_calls(&sames[i], losses);
        for (int k = 0; k < STEPS; k++)
            if (losses[k] != out.losses[k])
                fail_msg("job %zu, step %d: %.17g in C, %.17g in YAML", i, k, losses[k], out.losses[k]);
    }
}

/* One word wrong, in a job and in the options: both refuse, and name it. */
static void test_same_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *set, *word;
        size_t offset; /* of a double, an int64_t or an enum in the options */
        char kind;
        double value;
    } wrongs[] = {
#define AT(member) offsetof(yoke_train_options, member)
        {"train.optimizer.lr=0", "lr", AT(lr), 'd', 0},
        {"train.optimizer.lr=-1", "lr", AT(lr), 'd', -1},
        {"train.optimizer={name: adam, eps: 0}", "eps", AT(eps), 'd', 0},
        {"train.optimizer.momentum=1", "momentum", AT(momentum), 'd', 1},
        {"train.optimizer={name: adamw, momentum: 0.9}", "momentum", AT(momentum), 'd', 0.9},
        {"train.optimizer={name: lion, eps: 1e-8}", "eps", AT(eps), 'd', 1e-8},
        {"train.optimizer.nesterov=true", "nesterov", AT(nesterov), 'e', 1},
        {"train.optimizer={name: adamw, ns_steps: 3}", "ns_steps", AT(ns_steps), 'i', 3},
        {"train.optimizer={name: adamw, adamw_lr: 0.1}", "adamw_lr", AT(adamw_lr), 'd', 0.1},
        {"train.optimizer={name: muon, ns_steps: 0}", "ns_steps", AT(ns_steps), 'i', 0},
        {"train.optimizer={name: muon, adamw_eps: 0}", "adamw_eps", AT(adamw_eps), 'd', 0},
        {"train.optimizer={name: muon, adamw_betas: [1, 0.9]}", "adamw_betas", AT(adamw_betas), 'd', 1},
        {"train.optimizer={name: muon, ns_coefficients: [1e9, 1, 1]}", "ns_coefficients", AT(ns_coefficients),
         'd', 1e9},
        {"train.optimizer={name: muon, adjust_lr_fn: unclamped}", "adjust_lr_fn", AT(adjust_lr_fn), 'e', 7},
        {"train.optimizer.weight_decay=-1", "weight_decay", AT(weight_decay), 'd', -1},
        {"train.schedule.final_lr=0.1", "final_lr", AT(final_lr), 'd', 0.1},
        {"train.schedule.power=2", "power", AT(power), 'd', 2},
        {"train.schedule={name: polynomial, power: -1}", "power", AT(power), 'd', -1},
        {"train.schedule.decay_steps=2", "decay_steps", AT(decay_steps), 'i', 2},
        {"train.schedule={name: wsd, decay_steps: -1}", "decay_steps", AT(decay_steps), 'i', -1},
        {"train.schedule={name: wsd}", "decay_steps", AT(rate), 'e', YOKE_RATE_WSD},
        {"train.schedule.warmup=-1", "warmup", AT(warmup), 'i', -1},
        {"train.batch=0", "batch", AT(batch), 'i', 0},
        {"train.batch=4294967296", "batch", AT(batch), 'i', 4294967296},
        {"train.steps=2000000000000000", "steps", AT(steps), 'i', 2e15},
        {"train.epochs=2", "epochs", AT(epochs), 'd', 2}, /* beside steps */
        {"train.clip=-1", "clip", AT(clip), 'd', -1},
        {"data.holdout=1", "holdout", AT(holdout), 'd', 1},
        {"train.timeout=-1", "timeout", AT(timeout), 'd', -1},
#undef AT
    };
    char path[300];
    snprintf(path, sizeof path, "%s/small.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("model: {family: layers, input: [5], layers: [{type: linear, out: 4}]}\n"
          "data: {format: random}\ntrain: {steps: 3, batch: 8, optimizer: sgd}\n",
          file);
    fclose(file);
    yoke_model *model = small_model();
    yoke_data *data = small_data();
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        bool both =
            strcmp(wrongs[i].set, "train.epochs=2") == 0; /* an override would void the file's steps */
        const char *sets[] = {wrongs[i].set, "train.steps=3"};
        yoke_job *job = NULL;
        assert_int_equal(yoke_job_load(path, both ? 2 : 1, sets, &job), YOKE_INVALID);
        if (!strstr(yoke_error_get()->key, wrongs[i].word) &&
            !strstr(yoke_error_get()->message, wrongs[i].word))
            fail_msg("%s: %s", wrongs[i].set, yoke_error_get()->message);
        yoke_train_options options = YOKE_TRAIN_DEFAULT;
        yoke_layout layout = YOKE_LAYOUT_DEFAULT;
        options.steps = 3, options.batch = 8;
        char *field = (char *)&options + wrongs[i].offset;
        if (wrongs[i].kind == 'd') memcpy(field, &wrongs[i].value, sizeof(double));
        if (wrongs[i].kind == 'i') memcpy(field, &(int64_t){(int64_t)wrongs[i].value}, sizeof(int64_t));
        if (wrongs[i].kind == 'e') memcpy(field, &(int){(int)wrongs[i].value}, sizeof(int));
        if (strstr(wrongs[i].set, "adam"))
            options.optimizer = strstr(wrongs[i].set, "adamw") ? YOKE_ADAMW : YOKE_ADAM;
        if (strstr(wrongs[i].set, "lion")) options.optimizer = YOKE_LION;
        if (strstr(wrongs[i].set, "muon")) options.optimizer = YOKE_MUON;
        yoke_trainer *trainer = NULL;
        if (yoke_trainer_create(&trainer, model, data, &options, &layout) != YOKE_INVALID)
            fail_msg("%s is taken in C", wrongs[i].set);
        assert_true(nothing_missing(wrongs[i].word));
    }
    /* what only C can say twice */
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    yoke_trainer *trainer = NULL;
    options.steps = 3, options.loss = YOKE_MSE;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_INVALID);
    assert_true(nothing_missing("cross_entropy"));
    options.loss = YOKE_CROSS_ENTROPY, options.sequence = 4;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_INVALID);
    assert_true(nothing_missing("sequence"));
    options.sequence = 0, options.optimizer = YOKE_MUON;
    yoke_model *alone = new_model();
    yoke_tensor only = yoke_linear(alone, input_of(alone, 1, IN, 0, 0), CLASSES, true);
    assert_int_equal(yoke_model_finish(alone, only, YOKE_CROSS_ENTROPY), YOKE_OK);
    assert_int_equal(yoke_trainer_create(&trainer, alone, data, &options, &layout), YOKE_INVALID);
    assert_true(nothing_missing("this model has none"));
    yoke_model_destroy(alone);
    yoke_model_destroy(model);
    yoke_data_destroy(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_losses, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_same_refusals, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
