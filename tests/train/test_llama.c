/* Llama: layouts that its grouped heads make special, tensors as Hugging Face names them, folders of weights
 * in and out, options refused in words. (Losses and gradients of it are also in the matrix of test_matrix.c,
 * and against PyTorch's in the golden cases.) */
#include "folder.h"
#include "train/jobs.h"

/* Three heads of k and v: under tp 2 and 4 all on every device, and read across their borders; under tp 6 and
 * 12 each on two and four devices. One head, tied weights: on all. */
static void layouts_agree_with_one_device(void **state)
{
    (void)state;
    static const char *const models[] = {"llama", "llama_tied"};
    static const char *const layouts[] = {
        "layout.tp=2; layout.pp=2; layout.microbatches=3",
        "layout.tp=4; layout.dp=3; layout.microbatches=2",
        "layout.tp=6; layout.dp=2",
        "layout.tp=6; layout.pp=2; layout.schedule=zb-v; layout.microbatches=4",
        "layout.tp=12; layout.microbatches=5",
        "layout.tp=3; layout.pp=4; layout.schedule=zb-h1; layout.microbatches=4",
        "layout.dp=12"};
    static outcome one, many;
    for (int m = 0; m < 2; m++) {
        assert_int_equal(run_job(models[m], "", &one), YOKE_OK);
        for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
            if (run_job(models[m], layouts[l], &many) != YOKE_OK)
                fail_msg("%s [%s]: %s", models[m], layouts[l], many.message);
            double d = worst_difference(&many, &one);
            if (!(d <= 1e-5)) fail_msg("%s [%s]: losses differ by %.2g", models[m], layouts[l], d);
            if (bytes_wrong(&many)) fail_msg("%s [%s]: %s", models[m], layouts[l], bytes_wrong(&many));
            yoke_job *job = open_job(models[m], layouts[l]);
            yoke_verification *v;
            assert_int_equal(yoke_verify(job, NULL, NULL, 0, &v), YOKE_OK);
            if (!v->passed)
                fail_msg("%s [%s]: %s is off by %.2g", models[m], layouts[l], v->tensors[0].name,
                         v->tensors[0].rel_err);
            yoke_verification_destroy(v);
            yoke_job_destroy(job);
        }
    }
}

static int64_t share(int64_t n, int k, int i)
{
    return n / k + (i < n % k);
}

/* A device has the heads of k and v that its query heads read, where all have as many. llama.yaml: width 48,
 * heads of 4, hidden 37, vocabulary 101. */
static void devices_hold_the_heads_they_read(void **state)
{
    (void)state;
    static const int degrees[] = {1, 2, 3, 4, 6, 12}, heads[] = {3, 3, 1, 3, 1, 1};
    enum { W = 48 };
    static outcome out;
    for (int d = 0; d < 6; d++) {
        char overrides[64];
        int tp = degrees[d];
        snprintf(overrides, sizeof overrides, "train.steps=1; layout.tp=%d", tp);
        assert_int_equal(run_job("llama", overrides, &out), YOKE_OK);
        for (int i = 0; i < tp; i++) {
            int64_t block = 2 * W * (48 / tp) + 2 * W * 4 * heads[d] + 3 * W * share(37, tp, i) + 2 * W;
            assert_int_equal(out.devices[i].bytes.weights, 4 * (3 * block + W + 2 * W * share(101, tp, i)));
        }
    }
}

static void tensors_are_hugging_faces(void **state)
{
    (void)state;
    static const struct tensor {
        const char *name;
        int ndim;
        int64_t dims[2];
    } wanted[] = {{"model.embed_tokens.weight", 2, {101, 48}},
                  {"model.layers.2.input_layernorm.weight", 1, {48}},
                  {"model.layers.2.self_attn.q_proj.weight", 2, {48, 48}},
                  {"model.layers.2.self_attn.k_proj.weight", 2, {12, 48}},
                  {"model.layers.2.self_attn.v_proj.weight", 2, {12, 48}},
                  {"model.layers.2.self_attn.o_proj.weight", 2, {48, 48}},
                  {"model.layers.2.post_attention_layernorm.weight", 1, {48}},
                  {"model.layers.2.mlp.gate_proj.weight", 2, {37, 48}},
                  {"model.layers.2.mlp.up_proj.weight", 2, {37, 48}},
                  {"model.layers.2.mlp.down_proj.weight", 2, {48, 37}},
                  {"model.norm.weight", 1, {48}},
                  {"lm_head.weight", 2, {101, 48}}};
    yoke_job *job;
    yoke_trainer *trainer = start_job("llama", "", &job);
    const yoke_model *model = trainer->model;
    assert_int_equal(model->nparameters, 3 + 3 * 9);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const yki_parameter *p = NULL;
        for (int k = 0; k < model->nparameters; k++)
            if (!strcmp(model->parameters[k].name, wanted[i].name)) p = &model->parameters[k];
        if (!p) fail_msg("no tensor %s", wanted[i].name);
        assert_int_equal(p->ndim, wanted[i].ndim);
        for (int d = 0; d < p->ndim; d++) assert_int_equal(p->dims[d], wanted[i].dims[d]);
    }
    /* first weights: norms one, the others normal, residual projections narrower */
    static float values[101 * 48];
    static const char *const sampled[] = {
        "model.norm.weight", "lm_head.weight", "model.layers.1.self_attn.k_proj.weight",
        "model.layers.1.mlp.down_proj.weight", "model.layers.1.self_attn.o_proj.weight"};
    static const double deviation[] = {0, 0.02, 0.02, 0.008165, 0.008165}; /* 0.02 / sqrt(6) */
    static const int counts[] = {48, 101 * 48, 12 * 48, 48 * 37, 48 * 48};
    for (int i = 0; i < 5; i++) {
        double mean = i == 0 ? 1 : 0, sum = 0;
        assert_int_equal(yoke_trainer_get(trainer, sampled[i], values), YOKE_OK);
        for (int e = 0; e < counts[i]; e++) sum += (values[e] - mean) * (values[e] - mean);
        assert_true(fabs(sqrt(sum / counts[i]) - deviation[i]) <= 0.1 * deviation[i]);
    }
    finish_job(trainer, job);
    trainer = start_job("llama_tied", "", &job);
    for (int k = 0; k < trainer->model->nparameters; k++)
        assert_string_not_equal(trainer->model->parameters[k].name, "lm_head.weight");
    finish_job(trainer, job);
}

/* Saved where heads are on two devices each, read where they are on one, and the other way round. */
static void checkpoints_know_no_layout(void **state)
{
    (void)state;
    static const char *const layouts[] = {"", "layout.tp=6", "layout.tp=2; layout.pp=2"};
    static outcome whole, rest;
    assert_int_equal(run_job("llama", "", &whole), YOKE_OK);
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++) {
            char dir[128];
            snprintf(dir, sizeof dir, "%s/%d-%d", folder, from, to);
            yoke_job *jobs[2] = {open_job("llama", layouts[from]), open_job("llama", layouts[to])};
            yoke_trainer *a = make_trainer(jobs[0]), *b = make_trainer(jobs[1]);
            assert_int_equal(yoke_trainer_run(a, 9, NULL, NULL), YOKE_OK);
            assert_int_equal(yoke_trainer_save(a, dir, NULL), YOKE_OK);
            assert_int_equal(yoke_trainer_resume(b, dir), YOKE_OK);
            assert_int_equal(yoke_trainer_run(b, 0, NULL, NULL), YOKE_OK);
            collect(b, &rest);
            assert_int_equal(rest.count, 11);
            for (int i = 0; i < 11; i++)
                assert_true(fabs(rest.losses[i] - whole.losses[9 + i]) <= 1e-5 * whole.losses[9 + i]);
            finish_job(a, jobs[0]);
            finish_job(b, jobs[1]);
        }
}

static void replace(char *text, size_t size, const char *old, const char *new)
{
    char *at = strstr(text, old);
    assert_non_null(at);
    size_t tail = strlen(at + strlen(old)) + 1;
    assert_true((size_t)(at - text) + strlen(new) + tail <= size);
    memmove(at + strlen(new), at + strlen(old), tail);
    memcpy(at, new, strlen(new));
}

/* The tokens that a folder of config.json and weights alone generates, after a change of config.json. */
static void generate_from(const char *step, const char *old, const char *new, int32_t tokens[5])
{
    char command[1600], path[128], text[4096];
    snprintf(command, sizeof command,
             "rm -rf %s/hf && mkdir %s/hf && cp %s/model.safetensors %s/config.json %s/hf", folder, folder,
             step, step, folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/hf/config.json", folder);
    FILE *file = fopen(path, "r");
    size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = '\0';
    replace(text, sizeof text, old, new);
    write_text(path, text);
    snprintf(path, sizeof path, "%s/hf", folder);
    yoke_generation *g;
    if (yoke_generate(path, "3 1 4 1", 5, 0, 0, 1, &g) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(g->ntokens, 5);
    memcpy(tokens, g->tokens, sizeof *tokens * 5);
    yoke_generation_destroy(g);
}

static void folders_generate_and_evaluate(void **state)
{
    (void)state;
    char step[1200], dir[128];
    snprintf(dir, sizeof dir, "%s/trained", folder);
    yoke_job *job = open_job("llama", "train.steps=40; layout.tp=6; data.holdout=0.2");
    yoke_trainer *trainer = make_trainer(job);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    assert_int_equal(yoke_trainer_save(trainer, dir, step), YOKE_OK);
    double loss, here;
    assert_int_equal(yoke_trainer_eval(trainer, NULL, &here, NULL, NULL), YOKE_OK);
    yoke_evaluation saved;
    assert_int_equal(yoke_eval(dir, 0, NULL, NULL, NULL, NULL, NULL, &saved), YOKE_OK);
    assert_true(fabs(saved.loss - here) <= 1e-5 * here);
    assert_true(saved.perplexity == exp(saved.loss));
    assert_true(saved.accuracy >= 0 && saved.accuracy <= 1 && saved.tokens > saved.samples &&
                !saved.confusion);
    assert_int_equal(saved.scored, YOKE_SCORED_HELD_OUT);
    assert_string_equal(saved.weights, step);
    yoke_evaluation_release(&saved);
    finish_job(trainer, job);
    yoke_generation *g;
    assert_int_equal(yoke_generate(dir, "3 1 4 1", 5, 0, 0, 1, &g), YOKE_OK);
    int32_t plain[5], other[5];
    generate_from(step, "\"use_cache\": true", "\"use_cache\": false", plain);
    assert_memory_equal(plain, g->tokens, sizeof plain);
    yoke_generation_destroy(g);
    /* a factor of 1 changes nothing, another one does */
    static const char *const factors[] = {"1.0", "8.0"};
    for (int i = 0; i < 2; i++) {
        char scaling[256], overrides[256];
        snprintf(scaling, sizeof scaling,
                 "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": %s, \"low_freq_factor\": 1.0, "
                 "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 9}",
                 factors[i]);
        generate_from(step, "\"rope_scaling\": null", scaling, other);
        if (i == 0) assert_memory_equal(plain, other, sizeof plain);
        snprintf(overrides, sizeof overrides, "data.holdout=0.2; model.from=%s/hf", folder);
        job = open_job("llama", overrides);
        trainer = make_trainer(job);
        assert_int_equal(yoke_trainer_eval(trainer, NULL, &loss, NULL, NULL), YOKE_OK);
        assert_true((fabs(loss - here) <= 1e-5 * here) == (i == 0));
        assert_true(trainer->spec.rope_scaling.context == 9);
        finish_job(trainer, job);
    }
}

/* What lies beside the weights when a run begins is in each of its steps, byte for byte, from step to step;
 * and where it came from may be gone by then. */
static void steps_have_what_the_model_came_with(void **state)
{
    (void)state;
    static const char *const files[] = {"generation_config.json",  "tokenizer_config.json",
                                        "special_tokens_map.json", "merges.txt",
                                        "chat_template.jinja",     "tokenizer.model"};
    enum { NFILES = sizeof files / sizeof *files };
    char base[128], dir[128], step[1200], path[1300], overrides[400], command[1600], text[64], *kept;
    size_t count;
    yoke_job *job;
    snprintf(base, sizeof base, "%s/base", folder);
    snprintf(dir, sizeof dir, "%s/kept", folder);
    yoke_trainer *trainer = start_job("llama_tied", "train.steps=1", &job);
    assert_int_equal(yoke_trainer_save(trainer, base, step), YOKE_OK);
    finish_job(trainer, job);
    snprintf(command, sizeof command,
             "cp -r %s %s/came && cd %s/came && rm state.json job.yaml optimizer.safetensors hashes.json",
             step, folder, folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < NFILES; i++) {
        snprintf(path, sizeof path, "%s/came/%s", folder, files[i]);
        snprintf(text, sizeof text, "{\"this is\": \"%s\"}", files[i]);
        write_text(path, text);
    }
    snprintf(overrides, sizeof overrides, "model={family: llama, from: %s/came}; train.steps=2", folder);
    for (int round = 0; round < 2; round++) {
        trainer = start_job("llama_tied", overrides, &job);
        if (round == 1) assert_int_equal(yoke_trainer_resume(trainer, dir), YOKE_OK);
        snprintf(command, sizeof command, "rm %s/came/merges.txt", folder);
        if (round == 0) assert_int_equal(system(command), 0);
        assert_int_equal(yoke_trainer_run(trainer, 1, NULL, NULL), YOKE_OK);
        assert_int_equal(yoke_trainer_save(trainer, dir, step), YOKE_OK);
        finish_job(trainer, job);
        for (int i = 0; i < NFILES; i++) {
            snprintf(path, sizeof path, "%s/%s", step, files[i]);
            snprintf(text, sizeof text, "{\"this is\": \"%s\"}", files[i]);
            if (round == 1 && strcmp(files[i], "merges.txt") == 0) continue; /* begun anew, without it */
            assert_int_equal(yki_disk_read(path, 4096, &kept, &count), YOKE_OK);
            assert_string_equal(kept, text);
            free(kept);
        }
    }
}

static void refused(yoke_llama_options options, const char *words)
{
    yoke_model *model;
    assert_int_equal(yoke_model_create(&model), YOKE_OK);
    assert_true(yoke_llama(model, &options).index < 0);
    assert_int_equal(yoke_model_status(model), YOKE_INVALID);
    if (!strstr(yoke_error_get()->message, words))
        fail_msg("no '%s' in '%s'", words, yoke_error_get()->message);
    yoke_model_destroy(model);
}

static void options_are_refused_in_words(void **state)
{
    (void)state;
    const yoke_llama_options good = {.layers = 1,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .width = 16,
                                     .hidden = 5,
                                     .context = 8,
                                     .vocab = 3,
                                     .sequence = 8};
    yoke_llama_options o = good;
    o.hidden = 0, refused(o, "hidden is 0");
    o = good, o.kv_heads = -1, refused(o, "kv_heads is -1");
    o = good, o.width = 18, refused(o, "a width of 18 does not divide into 4 heads");
    o = good, o.width = 12, refused(o, "of an even width");
    o = good, o.head_dim = 5, refused(o, "head_dim is 5, and must be even");
    o = good, o.head_dim = -2, refused(o, "head_dim is -2");
    o = good, o.window = -1, refused(o, "window is -1");
    o = good, o.kv_heads = 3, refused(o, "4 heads cannot be divided among 3 kv_heads");
    o = good, o.sequence = 9, refused(o, "longer than the context of 8");
    o = good, o.dropout = 1, refused(o, "dropout is 1");
    o = good, o.rope_theta = -1, refused(o, "rope_theta is -1");
    o = good, o.rope_scaling = (yoke_rope_scaling){2, 4, 4, 64}, refused(o, "rope scaling by 2");
    o = good, o.rope_scaling = (yoke_rope_scaling){0.5, 1, 4, 64}, refused(o, "rope scaling by 0.5");
    o = good, o.rope_scaling = (yoke_rope_scaling){0.5, 0, 0, 0}, refused(o, "rope scaling by 0.5");
    o = good, o.rope_scaling = (yoke_rope_scaling){NAN, 1, 4, 64}, refused(o, "makes no sense");
    static outcome out;
    assert_int_equal(run_job("llama", "layout.tp=5", &out), YOKE_INVALID);
    assert_non_null(strstr(out.message, "12 attention heads"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree_with_one_device),
        cmocka_unit_test(devices_hold_the_heads_they_read),
        cmocka_unit_test(tensors_are_hugging_faces),
        cmocka_unit_test(checkpoints_know_no_layout),
        cmocka_unit_test(folders_generate_and_evaluate),
        cmocka_unit_test(options_are_refused_in_words),
        cmocka_unit_test(steps_have_what_the_model_came_with),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
