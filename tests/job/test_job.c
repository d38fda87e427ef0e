/* Good jobs: the two files of the contract field by field, defaults, overrides, and printing that reads back.
 */
#include "job_files.h"

#include "comma.h"

#include "base/disk.h"
#include "job/job.h"
#include "job/key.h"

#define SET(...)                                                                                             \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[])                     \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static const char *const gpt_tail = "\ndata: {format: text, path: a.txt}\ntrain: {steps: 1}\n";

static void the_gpt_file_is_read_whole(void **state)
{
    (void)state;
    yoke_job *job = load(GPT, 0, NULL);
    assert_string_equal(job->path, GPT);
    const yoke_model_spec *m = &job->model;
    assert_int_equal(m->family, YOKE_FAMILY_GPT2);
    assert_int_equal(m->depth, 12);
    assert_int_equal(m->heads, 12);
    assert_int_equal(m->width, 768);
    assert_int_equal(m->context, 1024);
    assert_int_equal(m->vocab, 50257);
    assert_int_equal(m->kv_heads + m->hidden + m->nlayers + m->input_ndim, 0);
    assert_int_equal(m->tied, -1);
    assert_string_equal(m->from, "");
    assert_true(m->dropout == 0 && m->norm_eps == 0 && m->rope_theta == 0);

    assert_int_equal(job->data.format, YOKE_DATA_TEXT);
    assert_string_equal(job->data.paths.list[0], YKI_JOB_FILES "/input.txt");
    assert_true(job->data.shuffle && !job->data.drop_last && job->data.holdout == 0.1);

    const yoke_train_options *t = &job->train;
    assert_int_equal(t->steps, 200);
    assert_true(t->epochs == 0);
    assert_int_equal(t->batch, 8);
    assert_int_equal(t->sequence, 256);
    assert_int_equal(t->loss, YOKE_CROSS_ENTROPY);
    assert_int_equal(t->optimizer, YOKE_ADAMW);
    assert_true(t->lr == 3e-4 && t->beta1 == 0.9 && t->beta2 == 0.95 && t->eps == 1e-8 &&
                t->weight_decay == 0.1);
    assert_true(t->decay_matrices && !t->nesterov && t->momentum == 0);
    assert_int_equal(t->rate, YOKE_RATE_COSINE);
    assert_int_equal(t->warmup, 20);
    assert_true(t->final_lr == 3e-5 && t->clip == 1.0);
    assert_int_equal(t->precision, YOKE_PRECISION_F32);
    assert_int_equal(t->seed, 1);
    assert_true(t->shuffle && !t->drop_last && t->holdout == 0.1);

    const yoke_layout *l = &job->layout;
    assert_true(job->has_layout);
    assert_int_equal(l->ndevices, 2);
    assert_int_equal(yoke_layout_device(l, 0), 0);
    assert_int_equal(yoke_layout_device(l, 1), 1);
    assert_int_equal(l->dp, 2);
    assert_true(l->tp == 1 && l->pp == 1 && l->cp == 1 && l->microbatches == 1 && l->chunks == 1);
    assert_true(!l->sp && l->zero == 0 && l->recompute == YOKE_RECOMPUTE_NONE && l->threads == 0);
    assert_string_equal(l->schedule, "1f1b");
    assert_int_equal(l->device_memory_bytes, 0);

    assert_string_equal(job->checkpoint.dir, YKI_JOB_FILES "/runs/gpt");
    assert_int_equal(job->checkpoint.every, 100);
    assert_int_equal(job->checkpoint.keep, 3);
    yoke_job_destroy(job);
}

static void the_mlp_file_is_read_whole(void **state)
{
    (void)state;
    static const struct {
        yoke_layer_type type;
        int64_t out;
        int device, line;
    } want[] = {{YOKE_LAYER_LINEAR, 512, 0, 6},  {YOKE_LAYER_ACTIVATION, 0, -1, 7},
                {YOKE_LAYER_LINEAR, 256, 1, 8},  {YOKE_LAYER_ACTIVATION, 0, -1, 9},
                {YOKE_LAYER_LINEAR, 128, 1, 10}, {YOKE_LAYER_ACTIVATION, 0, -1, 11},
                {YOKE_LAYER_LINEAR, 10, 0, 12}};
    yoke_job *job = load(MLP, 0, NULL);
    const yoke_model_spec *m = &job->model;
    assert_int_equal(m->family, YOKE_FAMILY_LAYERS);
    assert_int_equal(m->input_ndim, 1);
    assert_int_equal(m->input[0], 1024);
    assert_int_equal(m->nlayers, 7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(m->layers[i].type, want[i].type);
        assert_int_equal(m->layers[i].out, want[i].out);
        assert_int_equal(m->layers[i].device, want[i].device);
        assert_int_equal(m->layers[i].line, want[i].line);
        assert_int_equal(m->layers[i].bias, want[i].type == YOKE_LAYER_LINEAR);
        assert_int_equal(m->layers[i].activation, YOKE_RELU);
        assert_int_equal(m->layers[i].nlayers, 0);
    }
    assert_int_equal(job->data.format, YOKE_DATA_NPY);
    assert_string_equal(job->data.inputs, YKI_JOB_FILES "/x.npy");
    assert_string_equal(job->data.targets, YKI_JOB_FILES "/y.npy");
    assert_int_equal(job->data.paths.count, 0);
    assert_int_equal(job->train.steps, 100);
    assert_int_equal(job->train.batch, 128);
    assert_int_equal(job->train.sequence, 0);
    assert_int_equal(job->train.optimizer, YOKE_SGD);
    assert_true(job->train.lr == 0.01 && job->train.momentum == 0.9 && job->train.weight_decay == 0);
    assert_true(job->train.shuffle && job->train.holdout == 0 && job->train.clip == 0);
    assert_int_equal(job->train.rate, YOKE_RATE_CONSTANT);
    assert_false(job->has_layout);
    assert_int_equal(job->layout.dp, 1);
    assert_int_equal(job->layout.ndevices, 0);
    assert_string_equal(job->checkpoint.dir, "");
    assert_int_equal(yki_job_parts(job), 2);
    yoke_job_destroy(job);
}

static void every_layer_type_has_its_defaults(void **state)
{
    (void)state;
    yoke_job *job = load_text(
        "model:\n  family: layers\n  input: [3, 11, 13]\n  layers:\n"
        "    - {type: conv2d, out: 8, kernel: 3}\n    - {type: conv2d, out: 8, kernel: 3, stride: 2, "
        "padding: 1, bias: false}\n"
        "    - {type: maxpool2d, kernel: 3}\n    - {type: avgpool2d, kernel: 2, stride: 1}\n    - {type: "
        "flatten}\n"
        "    - {type: embedding, rows: 10, out: 4}\n    - {type: layernorm}\n    - {type: rmsnorm}\n"
        "    - {type: gelu}\n    - {type: gelu, approximate: tanh}\n    - {type: tanh}\n    - {type: "
        "sigmoid}\n"
        "    - {type: silu}\n    - {type: softmax}\n    - {type: dropout, p: 0.25}\n"
        "    - type: residual\n      layers: [{type: linear, out: 4, bias: false}, {type: residual, layers: "
        "[{type: relu}]}]\n"
        "    - {type: groupnorm, groups: 3}\n"
        "data: {format: random}\ntrain: {epochs: 2.5, optimizer: adamw}\n");
    const yoke_layer *l = job->model.layers;
    assert_int_equal(job->model.nlayers, 17);
    assert_int_equal(job->model.input_ndim, 3);
    assert_true(l[0].kernel == 3 && l[0].stride == 1 && l[0].padding == 0 && l[0].bias && l[0].out == 8);
    assert_true(l[1].stride == 2 && l[1].padding == 1 && !l[1].bias);
    assert_true(l[2].type == YOKE_LAYER_MAXPOOL2D && l[2].kernel == 3 && l[2].stride == 3);
    assert_true(l[3].type == YOKE_LAYER_AVGPOOL2D && l[3].kernel == 2 && l[3].stride == 1);
    assert_int_equal(l[4].type, YOKE_LAYER_FLATTEN);
    assert_true(l[5].type == YOKE_LAYER_EMBEDDING && l[5].rows == 10 && l[5].out == 4);
    assert_true(l[6].type == YOKE_LAYER_LAYERNORM && l[6].eps == 1e-5);
    assert_true(l[7].type == YOKE_LAYER_RMSNORM && l[7].eps == 1e-6);
    assert_int_equal(l[8].activation, YOKE_GELU);
    assert_int_equal(l[9].activation, YOKE_GELU_TANH);
    assert_int_equal(l[10].activation, YOKE_TANH);
    assert_int_equal(l[11].activation, YOKE_SIGMOID);
    assert_int_equal(l[12].activation, YOKE_SILU);
    for (int i = 8; i <= 12; i++) assert_int_equal(l[i].type, YOKE_LAYER_ACTIVATION);
    assert_int_equal(l[13].type, YOKE_LAYER_SOFTMAX);
    assert_true(l[14].type == YOKE_LAYER_DROPOUT && l[14].p == 0.25);
    assert_int_equal(l[15].type, YOKE_LAYER_RESIDUAL);
    assert_int_equal(l[15].nlayers, 2);
    assert_true(l[15].layers[0].out == 4 && !l[15].layers[0].bias);
    assert_int_equal(l[15].layers[1].nlayers, 1);
    assert_int_equal(l[15].layers[1].layers[0].activation, YOKE_RELU);
    assert_true(l[16].type == YOKE_LAYER_GROUPNORM && l[16].groups == 3 && l[16].eps == 1e-5 && l[16].affine);
    assert_int_equal(job->data.samples, 1024);
    assert_true(job->train.epochs == 2.5 && job->train.steps == 0 && job->train.batch == 1);
    assert_true(job->train.weight_decay == 0.01 && job->train.beta2 == 0.999 && job->train.eps == 1e-8);
    yoke_job_destroy(job);
}

static void defaults_follow_other_keys(void **state)
{
    (void)state;
    char text[512];
    const char *const model = "model: {family: gpt2, layers: 1, heads: 1, width: 4, context: 16}";
    snprintf(text, sizeof text, "%s%s", model, gpt_tail);
    yoke_job *job = load_text(text);
    assert_int_equal(job->model.vocab, 256);
    assert_int_equal(job->train.sequence, 16);
    assert_int_equal(job->train.optimizer, YOKE_SGD);
    assert_true(job->train.lr == 1e-3 && job->train.weight_decay == 0);
    assert_int_equal(job->checkpoint.every + job->checkpoint.keep, 0);
    yoke_job_destroy(job);

    job = load_text(
        "model: {family: gpt2, from: ./gpt2/.//x}\ndata: {format: tokens, path: /a//b.bin}\n"
        "train: {steps: 0, sequence: 8, optimizer: adam, schedule: linear, seed: 18446744073709551615}\n");
    char from[96];
    snprintf(from, sizeof from, "%s/gpt2/x", folder);
    assert_string_equal(job->model.from, from);
    assert_string_equal(job->data.paths.list[0], "/a/b.bin");
    assert_int_equal(job->model.depth + job->model.vocab, 0);
    assert_true(job->train.steps == 0 && job->train.epochs == 0);
    assert_true(job->train.optimizer == YOKE_ADAM && job->train.weight_decay == 0);
    assert_int_equal(job->train.rate, YOKE_RATE_LINEAR);
    assert_true(job->train.seed == UINT64_MAX);
    yoke_job_destroy(job);

    job = load(GPT, SET("train.optimizer={name: lion}"));
    const yoke_train_options *t = &job->train;
    assert_true(t->optimizer == YOKE_LION && t->beta1 == 0.9 && t->beta2 == 0.99 && t->weight_decay == 0);
    yoke_job_destroy(job);

    job = load(GPT, SET("train.optimizer={name: muon, adamw_betas: [0.8, 0.9]}"));
    t = &job->train;
    assert_true(t->optimizer == YOKE_MUON && t->momentum == 0.95 && t->nesterov == 1 && t->eps == 1e-7);
    assert_true(t->weight_decay == 0.1 && t->lr == 1e-3 && t->adamw_lr == 0 && t->adamw_eps == 1e-8);
    assert_true(t->ns_steps == 5 && t->ns_coefficients[1] == -4.775 && t->adamw_betas[1] == 0.9);
    assert_int_equal(t->adjust_lr_fn, YOKE_ADJUST_LR_ORIGINAL);
    yoke_job_destroy(job);
    job = load(GPT, SET("train.optimizer={name: muon, momentum: 0}"));
    assert_int_equal(job->train.nesterov, 0); /* there is nothing to look ahead to */
    yoke_job_destroy(job);

    job = load_text("model: {family: llama, layers: 2, heads: 4, kv_heads: 2, width: 8, hidden: 16, context: "
                    "8, vocab: 9, "
                    "rope_theta: 1e4, norm_eps: 1e-5, tied: true, dropout: 0.0}\ndata: {format: csv, path: "
                    "a.csv, targets: y}\n"
                    "train: {steps: 1}\nlayout: {device_memory: 1.5 GiB}\n");
    assert_true(job->model.tied == 1 && job->model.kv_heads == 2 && job->model.hidden == 16);
    assert_true(job->model.rope_theta == 1e4 && job->model.norm_eps == 1e-5);
    assert_int_equal(job->data.ntarget_columns, 1);
    assert_string_equal(job->data.target_columns[0], "y");
    assert_int_equal(job->layout.device_memory_bytes, 3ll << 29);
    yoke_job_destroy(job);
}

/* A family goes by Hugging Face's name for it, or by that of a model that is one, however it is written. */
static void families_have_several_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        yoke_family family;
    } cases[] = {
        {"llama", YOKE_FAMILY_LLAMA},     {"mistral", YOKE_FAMILY_MISTRAL}, {"qwen2", YOKE_FAMILY_QWEN2},
        {"qwen3", YOKE_FAMILY_QWEN3},     {"SmolLM2", YOKE_FAMILY_LLAMA},   {"tinyllama", YOKE_FAMILY_LLAMA},
        {"TinyLlama", YOKE_FAMILY_LLAMA}, {"Llama 3.2", YOKE_FAMILY_LLAMA}, {"llama-3.1", YOKE_FAMILY_LLAMA},
        {"Qwen2.5", YOKE_FAMILY_QWEN2},   {"GPT-2", YOKE_FAMILY_GPT2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        bool gpt2 = cases[i].family == YOKE_FAMILY_GPT2;
        snprintf(text, sizeof text,
                 "model: {family: %s, layers: 2, heads: 4, width: 8, context: 8, vocab: 9%s}\n"
                 "data: {format: random}\ntrain: {steps: 1, loss: cross_entropy}\n",
                 cases[i].name, gpt2 ? "" : ", hidden: 16, head_dim: 6, qk_norm: true, sliding_window: 3");
        yoke_job *job = load_text(text);
        const yoke_model_spec *m = &job->model;
        assert_int_equal(m->family, cases[i].family);
        assert_true(gpt2 || (m->head_dim == 6 && m->qk_norm == 1 && m->qkv_bias == -1 && m->window == 3));
        yoke_job_destroy(job);
    }
}

static void overrides_change_what_the_file_says(void **state)
{
    (void)state;
    yoke_job *job = load(GPT, SET("train.steps=3", "train.optimizer.betas=[0.8, 0.9]", "train.optimizer.lr=1",
                                  "train.batch=12", "data.path=other #1.txt", "train.schedule=constant",
                                  "checkpoint={dir: /ck}", "layout.device_memory=2GB", "--recompute=full",
                                  "train.steps=4"));
    char current[1024], path[1100];
    assert_non_null(getcwd(current, sizeof current));
    snprintf(path, sizeof path, "%s/other #1.txt", current);
    assert_int_equal(job->train.steps, 4);
    assert_true(job->train.beta1 == 0.8 && job->train.beta2 == 0.9 && job->train.lr == 1);
    assert_int_equal(job->train.optimizer, YOKE_ADAMW);
    assert_int_equal(job->train.batch, 12);
    assert_string_equal(job->data.paths.list[0], path);
    assert_int_equal(job->train.rate, YOKE_RATE_CONSTANT);
    assert_int_equal(job->train.warmup, 0);
    assert_string_equal(job->checkpoint.dir, "/ck");
    assert_int_equal(job->checkpoint.every, 0);
    assert_int_equal(job->layout.device_memory_bytes, 2000000000);
    assert_int_equal(job->layout.recompute, YOKE_RECOMPUTE_FULL);
    assert_int_equal(job->layout.ndevices, 2);
    yoke_job_destroy(job);

    job = load(MLP, SET("model.layers.0.out=3", "data.path='it''s.csv'", "data.format=csv",
                        "data.targets=[a, \"b c\"]", "train.epochs=2", "layout.dp=2", "train.optimizer=adamw",
                        "train.optimizer.lr=2e-3"));
    assert_int_equal(job->model.layers[0].out, 3);
    assert_true(strstr(job->data.paths.list[0], "/it's.csv"));
    assert_int_equal(job->data.ntarget_columns, 2);
    assert_string_equal(job->data.target_columns[1], "b c");
    assert_true(job->train.epochs == 2 && job->train.steps == 0);
    assert_true(job->has_layout && job->layout.dp == 2);
    assert_true(job->train.optimizer == YOKE_ADAMW && job->train.lr == 2e-3 && job->train.momentum == 0);
    yoke_job_destroy(job);

    job = load(GPT, SET("data.format=random", "train.clip=null", "checkpoint=", "train.optimizer.name=sgd"));
    assert_int_equal(job->data.format, YOKE_DATA_RANDOM);
    assert_int_equal(job->data.paths.count, 0);
    assert_true(job->train.clip == 0 && job->train.weight_decay == 0.1 && job->train.optimizer == YOKE_SGD);
    assert_string_equal(job->checkpoint.dir, "");
    yoke_job_destroy(job);

    write_changed(GPT, "holdout: 0.1", "holdout: 0.1\n  holdout_by: draw");
    job = load(written, SET("train.seed=2"));
    assert_int_equal(job->train.holdout_by, YOKE_HOLDOUT_DRAW);
    yoke_job_destroy(job);
    job = load(written, SET("data.holdout=0")); /* how it is held out is void then */
    assert_int_equal(job->train.holdout_by, YOKE_HOLDOUT_END);
    yoke_job_destroy(job);
}

static void devices_fit_the_degrees(void **state)
{
    (void)state;
    static const struct {
        const char *file, *overrides[3];
        int dp, tp, ndevices, first;
    } cases[] = {
        {GPT, {"layout.dp=3"}, 3, 1, 0, 0}, /* the file's devices are void */
        {GPT, {"layout.tp=2"}, 2, 2, 0, 0},
        {GPT, {"--layout=tp=2,dp=1"}, 1, 2, 0, 0},
        {GPT, {"layout=tp=2,devices=[cpu:3,cpu:1,cpu:5,cpu:0]"}, 2, 2, 4, 3},
        {GPT, {"layout.dp=null", "layout.devices=4", "layout.tp=2"}, 2, 2, 4, 0},
        {GPT, {"layout={devices: 4}"}, 4, 1, 4, 0},
        {GPT, {"layout.dp=null", "--devices=cpu:7"}, 1, 1, 1, 7},
        {GPT, {"--devices=cpu:1,cpu:0"}, 2, 1, 2, 1},
        {MLP, {"layout.devices=2"}, 1, 1, 2, 0},
        {MLP, {"layout.devices=4"}, 2, 1, 4, 0},
        {MLP, {"layout.devices=4", "layout.dp=2"}, 2, 1, 4, 0},
        {MLP, {"layout.dp=3"}, 3, 1, 0, 0},
        {MLP, {"layout.zero=1"}, 1, 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = 0;
        while (n < 3 && cases[i].overrides[n]) n++;
        yoke_job *job = load(cases[i].file, n, cases[i].overrides);
        assert_int_equal(job->layout.dp, cases[i].dp);
        assert_int_equal(job->layout.tp, cases[i].tp);
        assert_int_equal(job->layout.ndevices, cases[i].ndevices);
        assert_int_equal(yoke_layout_device(&job->layout, 0), cases[i].first);
        assert_int_equal(yki_job_resolve_devices(job), YOKE_OK); /* again changes nothing */
        assert_int_equal(job->layout.dp, cases[i].dp);
        yoke_job_destroy(job);
    }
}

/* ---- printing ---- */

static void assert_same_layers(const yoke_layer *a, const yoke_layer *b, int count)
{
    for (int i = 0; i < count; i++) {
        yoke_layer x = a[i], y = b[i];
        assert_int_equal(x.nlayers, y.nlayers);
        if (x.nlayers) assert_same_layers(x.layers, y.layers, x.nlayers);
        x.line = y.line = 0;
        x.layers = y.layers = NULL;
        assert_true(x.type == y.type && x.device == y.device && x.out == y.out && x.rows == y.rows);
        assert_true(x.kernel == y.kernel && x.stride == y.stride && x.padding == y.padding &&
                    x.bias == y.bias);
        assert_true(x.activation == y.activation && x.p == y.p && x.eps == y.eps);
        assert_true(x.momentum == y.momentum && x.affine == y.affine && x.statistics == y.statistics);
    }
}

static void assert_same_job(const yoke_job *a, const yoke_job *b)
{
    const yoke_model_spec *m = &a->model, *n = &b->model;
    assert_int_equal(m->family, n->family);
    assert_string_equal(m->from, n->from);
    assert_int_equal(m->input_ndim, n->input_ndim);
    assert_memory_equal(m->input, n->input, sizeof m->input);
    assert_int_equal(m->nlayers, n->nlayers);
    assert_same_layers(m->layers, n->layers, m->nlayers);
    assert_true(m->depth == n->depth && m->heads == n->heads && m->kv_heads == n->kv_heads &&
                m->width == n->width);
    assert_true(m->hidden == n->hidden && m->context == n->context && m->vocab == n->vocab &&
                m->tied == n->tied);
    assert_true(m->rope_theta == n->rope_theta && m->norm_eps == n->norm_eps && m->dropout == n->dropout);
    const yoke_data_spec *d = &a->data, *e = &b->data;
    assert_int_equal(d->format, e->format);
    assert_int_equal(d->paths.count, e->paths.count);
    for (int i = 0; i < d->paths.count; i++) assert_string_equal(d->paths.list[i], e->paths.list[i]);
    assert_true(d->token_type == e->token_type && d->chat == e->chat && d->pack == e->pack &&
                d->skip_long == e->skip_long);
    assert_string_equal(d->inputs, e->inputs);
    assert_string_equal(d->targets, e->targets);
    assert_int_equal(d->ntarget_columns, e->ntarget_columns);
    for (int i = 0; i < d->ntarget_columns; i++)
        assert_string_equal(d->target_columns[i], e->target_columns[i]);
    assert_true(d->samples == e->samples && d->shuffle == e->shuffle && d->drop_last == e->drop_last &&
                d->holdout == e->holdout);
    const yoke_train_options *t = &a->train, *u = &b->train;
    assert_true(t->steps == u->steps && t->epochs == u->epochs && t->batch == u->batch &&
                t->sequence == u->sequence);
    assert_true(t->loss == u->loss && t->optimizer == u->optimizer && t->lr == u->lr &&
                t->momentum == u->momentum);
    assert_true(t->beta1 == u->beta1 && t->beta2 == u->beta2 && t->eps == u->eps &&
                t->weight_decay == u->weight_decay);
    assert_true(t->nesterov == u->nesterov && t->decay_matrices == u->decay_matrices && t->rate == u->rate);
    assert_true(t->warmup == u->warmup && t->final_lr == u->final_lr && t->power == u->power &&
                t->clip == u->clip);
    assert_true(t->decay_steps == u->decay_steps && t->decay_shape == u->decay_shape);
    assert_true(t->precision == u->precision && t->seed == u->seed && t->shuffle == u->shuffle);
    assert_true(t->drop_last == u->drop_last && t->holdout == u->holdout);
    const yoke_layout *l = &a->layout, *k = &b->layout;
    assert_true(l->dp == k->dp && l->tp == k->tp && l->pp == k->pp && l->cp == k->cp && l->sp == k->sp);
    assert_true(l->microbatches == k->microbatches && l->chunks == k->chunks && l->zero == k->zero);
    assert_true(l->recompute == k->recompute && l->threads == k->threads && l->ndevices == k->ndevices);
    assert_int_equal(l->nrecompute, k->nrecompute);
    assert_ptr_equal(l->recompute_of, k->recompute_of);
    assert_true(l->device_memory_bytes == k->device_memory_bytes);
    assert_string_equal(l->schedule, k->schedule);
    assert_ptr_equal(l->devices, k->devices);
    assert_int_equal(a->has_layout, b->has_layout);
    assert_string_equal(a->checkpoint.dir, b->checkpoint.dir);
    assert_true(a->checkpoint.every == b->checkpoint.every && a->checkpoint.keep == b->checkpoint.keep);
}

static void assert_prints_itself(yoke_job *job)
{
    char *text = yoke_job_print(job);
    assert_non_null(text);
    yoke_job *again = load_text(text);
    assert_same_job(job, again);
    char *second = yoke_job_print(again);
    assert_string_equal(text, second);
    free(text);
    free(second);
    yoke_job_destroy(again);
    yoke_job_destroy(job);
}

static void a_printed_job_reads_back_the_same(void **state)
{
    (void)state;
    assert_prints_itself(load(GPT, 0, NULL));
    assert_prints_itself(load(MLP, 0, NULL));
    assert_prints_itself(
        load(MLP, SET("layout.devices=[cpu:3, cpu:1]", "train.optimizer.nesterov=true", "layout.sp=true")));
    assert_prints_itself(load(MLP, SET("layout.recompute=[full, none]")));
    assert_prints_itself(load(
        MLP, SET("layout={}", "train.steps=0", "train.optimizer.lr=0.1", "train.clip=0.3333333333333333")));
    assert_prints_itself(
        load(MLP, SET("layout.devices=4", "train.optimizer=adam", "train.optimizer.weight_decay=0.5")));
    assert_prints_itself(load(GPT, SET("train.optimizer={name: lion, betas: [0.95, 0.98]}",
                                       "train.schedule={name: polynomial, power: 2.5}")));
    assert_prints_itself(load(GPT, SET("train.optimizer=lion",
                                       "train.schedule={name: wsd, decay_steps: 40, decay_shape: 1-sqrt}")));
    assert_prints_itself(load(GPT, SET("train.optimizer=muon")));
    assert_prints_itself(
        load(GPT, SET("train.optimizer={name: muon, lr: 0.02, nesterov: false, ns_steps: 3, adamw_lr: 1e-3, "
                      "ns_coefficients: [2, -1.5, 0.5], adjust_lr_fn: match_rms_adamw, adamw_eps: 1e-6}")));
    assert_prints_itself(load(GPT, SET("data.format=csv", "data.path=/a: b/\"#\\é\t.csv",
                                       "data.targets=[a, 'b, c', \"3\", 'true', \"\\u00e9\\n\"]")));
    assert_prints_itself(
        load(GPT, SET("data.format=jsonl", "data.path=['a b.jsonl', /c/*.jsonl]", "data.tokenizer=t.json",
                      "data.chat=llama3", "data.pack=false", "data.skip_long=true")));
    assert_prints_itself(
        load(GPT, SET("data.format=tokens", "data.path=[a.bin]", "data.token_bytes=4", "model.vocab=300")));
    assert_prints_itself(
        load(GPT, SET("train.optimizer.weight_decay=0.01", "train.schedule={warmup: 3}", "train.epochs=0.5",
                      "layout=dp=2,pp=2,microbatches=4,schedule=zb-h1,zero=3,recompute=selective,threads=2,"
                      "device_memory=512MiB,chunks=2",
                      "train.precision=bf16", "train.seed=18446744073709551615", "layout.schedule=" MLP)));
    assert_prints_itself(load_text(
        "model:\n  family: layers\n  from: w\n  input: [3, 8, 8]\n  layers:\n"
        "  - {type: conv2d, out: 8, kernel: 3, stride: 2, padding: 1, bias: false, device: 1}\n"
        "  - {type: maxpool2d, kernel: 3}\n  - {type: avgpool2d, kernel: 3, stride: 1, device: 0}\n"
        "  - {type: residual, layers: [{type: layernorm, eps: 1e-3}, {type: residual, layers: "
        "[{type: gelu, approximate: tanh}, {type: rmsnorm}]}]}\n"
        "  - {type: dropout, p: 0.1}\n  - {type: embedding, rows: 3, out: 4}\n  - {type: softmax}\n"
        "  - {type: dropout, p: 0}\n  - {type: batchnorm}\n"
        "  - {type: batchnorm, momentum: 0, affine: false, statistics: local, eps: 0.5}\n"
        "  - {type: groupnorm, groups: 4}\n  - {type: groupnorm, groups: 2, affine: false, eps: 1e-3}\n"
        "data: {format: random, samples: 77, shuffle: false, holdout: 0.25, drop_last: true}\n"
        "train: {epochs: 1, batch: 3, loss: mse}\n"));
    assert_prints_itself(
        load_text("model: {family: llama, from: ., tied: false}\ndata: {format: tokens, path: t}\n"
                  "train: {steps: 2, sequence: 3}\ncheckpoint: {dir: ., keep: 2}\n"));
}

static void a_locale_with_a_decimal_comma_changes_nothing(void **state)
{
    (void)state;
    take_decimal_comma();
    assert_prints_itself(load(GPT, 0, NULL));
    yoke_job *job = load(GPT, 0, NULL);
    assert_true(job->train.lr == 3e-4);
    yoke_job_destroy(job);
    setlocale(LC_NUMERIC, "C");
}

/* `name` on the page, as a whole or as the end of a dotted one. */
static bool is_on(const char *page, const char *name)
{
    char word[64], end[64];
    snprintf(word, sizeof word, "`%s`", name);
    snprintf(end, sizeof end, ".%s`", name);
    return strstr(page, word) || strstr(page, end);
}

static void the_page_names_every_key(void **state)
{
    (void)state;
    char *page;
    size_t bytes;
    assert_int_equal(yki_disk_read(YKI_JOB_FILES "/../../docs/job-file.md", 1 << 20, &page, &bytes), YOKE_OK);
    for (int i = 0; i < yki_job_nkeys + yki_layer_nkeys; i++) {
        const char *path = i < yki_job_nkeys ? yki_job_keys[i].path : yki_layer_keys[i - yki_job_nkeys].path;
        const char *dot = strrchr(path, '.');
        if (!is_on(page, dot ? dot + 1 : path)) fail_msg("docs/job-file.md has no `%s`", path);
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gpt_file_is_read_whole),
        cmocka_unit_test(the_mlp_file_is_read_whole),
        cmocka_unit_test(every_layer_type_has_its_defaults),
        cmocka_unit_test(defaults_follow_other_keys),
        cmocka_unit_test(families_have_several_names),
        cmocka_unit_test(overrides_change_what_the_file_says),
        cmocka_unit_test(devices_fit_the_degrees),
        cmocka_unit_test(a_printed_job_reads_back_the_same),
        cmocka_unit_test(the_page_names_every_key),
        cmocka_unit_test(a_locale_with_a_decimal_comma_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_job_folder, remove_folder);
}
