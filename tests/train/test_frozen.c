/* What does not train (train.freeze, yoke_model_freeze): no gradient, no moment, no part in the norm, nothing
 * computed back to where nothing trains; the rest is as if all trained. test_matrix.c has it under layouts.
 */
#include "train/by_hand.h"

#include "folder.h"

static float *gradients_of(yoke_trainer *trainer, double *norm)
{
    yki_step_result result;
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    *norm = result.gradient_norm;
    return read_values(trainer, YKI_TENSOR_GRADIENT);
}

/* Of the tensors that train, gradients are those of a run in which all do, and make the norm. */
static void same_gradients(const char *model, const char *layout, const char *freeze)
{
    char text[512];
    yoke_job *jobs[2];
    double norm, all_norm, squares = 0;
    snprintf(text, sizeof text, "%s; train.freeze=%s", layout, freeze);
    yoke_trainer *some = start_job(model, text, &jobs[0]), *all = start_job(model, layout, &jobs[1]);
    float *got = gradients_of(some, &norm), *want = gradients_of(all, &all_norm);
    int64_t at = 0;
    int frozen = 0;
    for (int p = 0; p < some->model->nparameters; p++) {
        const yki_parameter *of = &some->model->parameters[p];
        int64_t n = of->buffer ? 0 : yki_trainer_elems(some, p);
        frozen += of->frozen;
        for (int64_t i = at; i < at + n; i++) {
            float expected = of->frozen ? 0 : want[i];
            squares += (double)expected * (double)expected;
            if (!(fabsf(got[i] - expected) <= 1e-6f * (1 + fabsf(expected))))
                fail_msg("%s [%s]: gradient %lld of '%s' is %g, not %g", model, text, (long long)(i - at),
                         of->name, (double)got[i], (double)expected);
        }
        at += n;
    }
    assert_true(frozen > 0 && frozen < some->model->nparameters);
    assert_true(fabs(norm - sqrt(squares)) <= 1e-5 * norm && norm < all_norm);
    free(got);
    free(want);
    finish_job(some, jobs[0]);
    finish_job(all, jobs[1]);
}

static void test_gradients(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"gpt2", "[wte.*]"},
        {"gpt2", "[\"*.weight\"]"},           /* of norms the bias alone trains */
        {"gpt2", "[\"*.bias\", \"*c_fc*\"]"}, /* and the weight alone */
        {"llama_tied", "[\"*q_proj*\", \"model.layers.0.*\", lm_head.weight]"},
        {"groupnorm", "[\"1.weight\", \"7.bias\", 0.weight]"},
        {"batchnorm", "[\"*.bias\"]"},
        {"conv", "[\"*[24680].*\"]"},
    };
    static const char *const layouts[] = {
        "", "layout.dp=2; layout.zero=2", "layout.tp=2",
        "layout.dp=2; layout.zero=3; layout.recompute=full; layout.microbatches=2"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++)
            if (is_taken(i + k)) same_gradients(cases[i][0], layouts[k], cases[i][1]);
}

/* Under context parallelism keys or values alone may train. */
static void test_values_alone(void **state)
{
    (void)state;
    static const char *const kinds[] = {"ring", "ulysses"};
    static const char *const names[] = {"q_proj", "k_proj", "v_proj"};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            char text[256], freeze[256];
            snprintf(text, sizeof text, "layout.cp=2; layout.cp_kind=%s", kinds[i]);
            snprintf(freeze, sizeof freeze,
                     "[\"model.embed*\", \"*.[1-9].*\", \"*norm*\", \"*mlp*\", \"*o_proj*\", "
                     "\"*[!%c]_proj.weight\", lm_head.weight]",
                     names[k][0]);
            same_gradients("llama", text, freeze);
        }
}

static int count_kernels(const yoke_trainer *trainer, int kernel)
{
    const yki_program *program = yki_plan_program(trainer->plan, 0);
    int count = 0;
    for (int c = 0; c < program->nparts; c++) {
        const yki_code *code = &program->parts[c].body[YKI_BODY_BW];
        for (int i = 0; i < code->count; i++)
            count += code->instructions[i].kind == YKI_DO_KERNEL && code->instructions[i].op == kernel;
    }
    return count;
}

/* With the last block alone, nothing is computed back to those before it: of its four products three have
 * something below them that trains, and so has the head. */
static void test_backward_stops(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer =
        start_job("gpt2", "train.freeze=[\"wte*\", \"wpe*\", \"h.[01].*\", \"h.2.ln_1*\"]", &job);
    assert_int_equal(count_kernels(trainer, YKI_KERNEL_LINEAR_DW), 4);
    assert_int_equal(count_kernels(trainer, YKI_KERNEL_LINEAR_DX), 4);
    assert_int_equal(count_kernels(trainer, YKI_KERNEL_ATTENTION_GRAD), 1);
    assert_int_equal(count_kernels(trainer, YKI_KERNEL_EMBED_GRAD), 0);
    finish_job(trainer, job);
}

/* A tensor with two names is frozen by either. */
static void test_ties(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"gpt2", "wte.weight", "lm_head.weight"},
                                           {"gpt2", "transformer.wte.*", "lm_*"},
                                           {"llama_tied", "model.embed_tokens.*", "lm_head.*"}};
    for (int i = 0; i < 3; i++) {
        static outcome a, b;
        char text[128];
        snprintf(text, sizeof text, "train.steps=3; train.freeze=%s", names[i][1]);
        assert_int_equal(run_job(names[i][0], text, &a), YOKE_OK);
        snprintf(text, sizeof text, "train.steps=3; layout.pp=2; train.freeze=%s", names[i][2]);
        assert_int_equal(run_job(names[i][0], text, &b), YOKE_OK);
        assert_true(worst_difference(&a, &b) <= 1e-5);
        assert_null(bytes_wrong(&b));
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"gpt2", "[\"h.0.atn.c_attn.weight\"]", "did you mean 'h.0.attn.c_attn.weight'"},
        {"llama", "[\"model.embed_token.*\"]", "did you mean 'model.embed_tokens.*'"},
        {"batchnorm", "[\"*.running_mean\"]", "matches no weight"},
        {"gpt2", "[\"?\"]", "names are like"},
        {"gpt2", "[\"*\"]", "no weight to train"},
        {"gpt2", "{a: b}", "a list of"},
        {"gpt2", "[\"\"]", "list of texts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static outcome out;
        char text[128];
        snprintf(text, sizeof text, "train.freeze=%s", cases[i][1]);
        assert_int_equal(run_job(cases[i][0], text, &out), YOKE_INVALID);
        if (!strstr(out.message, cases[i][2])) fail_msg("no \"%s\" in: %s", cases[i][2], out.message);
    }
}

/* Frozen weights stay as they are, bit for bit; a resumed run's are those of one that was not interrupted,
 * and what was frozen otherwise is refused unless it is named. */
static void test_resume(void **state)
{
    (void)state;
    static const char *const layouts[] = {"", "layout.dp=2; layout.zero=1; train.precision=bf16"};
    for (int i = 0; i < 2; i++) {
        static outcome whole, rest;
        char text[256], dir[128], step[YOKE_PATH_BYTES];
        yoke_job *job;
        snprintf(text, sizeof text, "train.steps=8; train.freeze=[\"h.1.*\", \"wpe*\"]; %s", layouts[i]);
        snprintf(dir, sizeof dir, "%s/%d", folder, i);
        yoke_trainer *trainer = start_job("gpt2", text, &job);
        float *before = read_values(trainer, YKI_TENSOR_WEIGHT);
        assert_int_equal(yoke_trainer_run(trainer, 3, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(trainer, dir, step), YOKE_OK);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        float *after = read_values(trainer, YKI_TENSOR_WEIGHT);
        collect(trainer, &whole);
        int64_t at = 0;
        for (int p = 0; p < trainer->model->nparameters; p++) {
            size_t bytes = sizeof(float) * (size_t)yki_trainer_elems(trainer, p);
            bool same = memcmp(before + at, after + at, bytes) == 0;
            assert_true(same == trainer->model->parameters[p].frozen);
            at += yki_trainer_elems(trainer, p);
        }
        finish_job(trainer, job);
        yki_safetensors *file;
        snprintf(dir, sizeof dir, "%.100s/optimizer.safetensors", step);
        assert_int_equal(yki_safetensors_open(dir, &file), YOKE_OK);
        assert_null(yki_safetensors_find(file, "h.1.ln_1.weight.exp_avg"));
        assert_non_null(yki_safetensors_find(file, "h.0.ln_1.weight.exp_avg"));
        yki_safetensors_close(file);
        trainer = start_job("gpt2", text, &job);
        assert_int_equal(yoke_trainer_resume(trainer, step), YOKE_OK);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        float *again = read_values(trainer, YKI_TENSOR_WEIGHT);
        collect(trainer, &rest);
        assert_memory_equal(again, after, sizeof(float) * (size_t)at);
        assert_memory_equal(rest.losses, whole.losses + 3, sizeof(double) * 5);
        finish_job(trainer, job);
        job = open_job("gpt2", layouts[i]);
        yoke_start start = {.resume = step};
        assert_int_equal(yoke_trainer_create_to_start(&trainer, job, &start), YOKE_OK);
        assert_int_equal(yoke_trainer_start(trainer), YOKE_INVALID);
        assert_true(nothing_missing("train.freeze"));
        yoke_trainer_destroy(trainer);
        start.changed = "train.freeze";
        assert_int_equal(yoke_trainer_create_to_start(&trainer, job, &start), YOKE_OK);
        if (yoke_trainer_start(trainer) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        finish_job(trainer, job);
        free(before);
        free(after);
        free(again);
    }
}

static void test_in_c(void **state)
{
    (void)state;
    yoke_model *model = new_model();
    yoke_tensor x = input_of(model, 1, IN, 0, 0);
    x = yoke_activate(model, yoke_linear(model, x, 8, true), YOKE_TANH);
    yoke_model_freeze(model, "0.*");
    x = yoke_linear(model, x, CLASSES, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    yoke_data *data = small_data();
    yoke_trainer *trainer = small_trainer(model, data, 4, small_layout(2, 1, 1));
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_freeze(model, "2.*");
    assert_int_equal(yoke_model_status(model), YOKE_INVALID);
    yoke_model_destroy(model);
    model = new_model();
    yoke_model_freeze(model, NULL);
    assert_int_equal(yoke_model_status(model), YOKE_INVALID);
    yoke_model_destroy(model);
    yoke_model_freeze(NULL, "*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),      cmocka_unit_test(test_values_alone),
        cmocka_unit_test(test_backward_stops), cmocka_unit_test(test_ties),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_in_c),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
