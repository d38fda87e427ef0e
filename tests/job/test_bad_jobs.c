/* Bad jobs: each is refused with a sentence, the line and the key at fault. */
#include "job_files.h"

typedef struct bad_job {
    const char *path;      /* a file of the contract, or NULL: `to` is the whole job */
    const char *from, *to; /* the change that makes it bad; from NULL: none */
    const char *override;  /* or what the command line says over it */
    const char *says;      /* part of the sentence */
    int line;              /* 0: none, for overrides */
    const char *key;
} bad_job;

#define ONE_LAYER(text)                                                                                      \
    NULL, NULL,                                                                                              \
        "model: {family: layers, input: [4], layers: [\n" text                                               \
        "]}\ndata: {format: random}\ntrain: {steps: 1}\n",                                                   \
        NULL

static const bad_job bad_jobs[] = {
    /* YAML that is not read */
    {GPT, "heads: 12", "heads: [12", NULL, "not valid YAML", 7, ""},
    {GPT, "heads: 12", "heads: &h 12", NULL, "anchors", 5, ""},
    {GPT, "heads: 12", "heads: *h", NULL, "aliases", 5, ""},
    {GPT, "heads: 12", "heads: !!int 12", NULL, "tags", 5, ""},
    {GPT, "heads: 12", "heads: |\n    12", NULL, "blocks of text", 5, ""},
    {GPT, "heads: 12", "heads: >-\n    12", NULL, "blocks of text", 5, ""},
    {GPT, "heads: 12", "<<: {heads: 12}", NULL, "merge keys", 5, ""},
    {GPT, "heads: 12", "layers: 13", NULL, "key 'layers' is given twice, first in line 4", 5, ""},
    {GPT, "heads: 12", "? [heads]\n  : 12", NULL, "a key must be a word", 5, ""},
    {GPT, "layout:  ", "---\nlayout:", NULL, "more than one document", 31, ""},
    {GPT, "heads: 12", "heads: \xff", NULL, "not UTF-8", 5, ""},
    {GPT, "heads: 12", "heads: \x07", NULL, "control character", 5, ""},
    {GPT, "input.txt", "\"a\\0b\"", NULL, "escape", 13, ""},
    {NULL, NULL, "", NULL, "is empty", 0, ""},
    {NULL, NULL, "# nothing\n", NULL, "is empty", 0, ""},
    {NULL, NULL, "[model]\n", NULL, "must be a mapping with model, data and train", 1, ""},
    {NULL, NULL, "[model]\n", "layout.dp=2", "must be a mapping with model, data and train", 1, ""},
    /* keys that are unknown, misplaced or missing */
    {GPT, "width:", "widht:", NULL, "unknown key 'widht' in model; did you mean 'width'?", 6, "model.widht"},
    {GPT, "batch:", "lr: 3\n  batch:", NULL, "unknown key 'lr' in train; did you mean 'optimizer.lr'?", 21,
     "train.lr"},
    {GPT, "batch:", "learning_rate: 3\n  batch:", NULL,
     "unknown key 'learning_rate' in train; did you mean 'optimizer.lr'?", 21, "train.learning_rate"},
    {GPT, "batch:", "batch_size: 3\n  batch:", NULL,
     "unknown key 'batch_size' in train; did you mean 'batch'?", 21, "train.batch_size"},
    {GPT, "width:", "n_embd:", NULL, "unknown key 'n_embd' in model; did you mean 'width'?", 6,
     "model.n_embd"},
    {GPT, "train:", "batch-size: 3\ntrain:", NULL,
     "unknown key 'batch-size' in a job; did you mean 'train.batch'?", 19, "batch-size"},
    {ONE_LAYER("{type: linear, in: 4, out: 3}"),
     "unknown key 'in' in a layer of type linear: a layer takes it from what comes before it; leave it out",
     2, "model.layers.0.in"},
    {ONE_LAYER("{type: linear, out_features: 3}"), "did you mean 'out'?", 2, "model.layers.0.out_features"},
    {ONE_LAYER("{type: conv2d, out: 3, kernel_size: 3}"), "did you mean 'kernel'?", 2,
     "model.layers.0.kernel_size"},
    {ONE_LAYER("{type: Dense, out: 3}"), "unknown layer type 'Dense'; did you mean 'linear'?", 2,
     "model.layers.0.type"},
    {ONE_LAYER("{type: ReLU}"), "unknown layer type 'ReLU'; did you mean 'relu'?", 2, "model.layers.0.type"},
    {ONE_LAYER("{type: linear, out: 3, device: cpu:0}"),
     "must be a whole number, 0 for the first of a replica's devices (layout.devices names them), not "
     "'cpu:0'",
     2, "model.layers.0.device"},
    {GPT, "batch:", "heads: 3\n  batch:", NULL, "did you mean 'model.heads'?", 21, "train.heads"},
    {GPT, "lr: 3e-4", "lrate: 3e-4", NULL, "unknown key 'lrate' in train.optimizer", 24,
     "train.optimizer.lrate"},
    {GPT, "checkpoint:", "checkpiont:", NULL, "did you mean 'checkpoint'?", 45, "checkpiont"},
    {GPT, "heads: 12", "kv_heads: 12", NULL,
     "'kv_heads' is a key of family llama, mistral, qwen2 and qwen3, not of gpt2", 5, "model.kv_heads"},
    {GPT, "family: gpt2", "family: gemma", NULL,
     "must be layers, gpt2, llama, mistral, qwen2 or qwen3, not 'gemma'", 3, "model.family"},
    {GPT, "betas:", "momentum: 0.9, betas:", NULL,
     "'momentum' is a key of optimizer sgd and muon, not of adamw", 24, "train.optimizer.momentum"},
    {GPT, "name: adamw", "name: lion", NULL, "'eps' is a key of optimizer adam, adamw and muon, not of lion",
     24, "train.optimizer.eps"},
    {GPT, "  path: input.txt", "", NULL, "'path' is missing: data format text needs it", 11, "data.path"},
    {GPT, "path: input.txt", "path: []", NULL, "must be a path, or a list of paths", 13, "data.path"},
    {GPT, "path: input.txt", "path: [a, [b]]", NULL, "must be a path, not a list", 13, "data.path"},
    {GPT, "path: input.txt", "path: [a, '']", NULL, "not an empty text", 13, "data.path"},
    {GPT, "format: text", "format: csv\n  targets: [a]", "data.path=[a, b]", "a csv is one file", 0,
     "data.path"},
    {GPT, "path: input.txt", "path: a\n  token_type: uint16", NULL, "did you mean 'token_bytes'", 14,
     "data.token_type"},
    {GPT, "path: input.txt", "path: a\n  pack: true", NULL,
     "'pack' is a key of data format jsonl, not of text", 14, "data.pack"},
    {GPT, "path: ", "path: x.txt\n  inputs: ", NULL,
     "'inputs' is a key of data format npy and idx, not of text", 14, "data.inputs"},
    {GPT, "name: cosine", "name: constant", NULL,
     "'final_lr' is a key of schedule linear, cosine, polynomial and wsd, not of constant", 27,
     "train.schedule.final_lr"},
    {GPT, "warmup: 20", "warmup: 20, power: 2", NULL,
     "'power' is a key of schedule polynomial, not of cosine", 27, "train.schedule.power"},
    {GPT, "name: cosine", "name: wsd", NULL, "'decay_steps' is missing: schedule wsd needs it", 27,
     "train.schedule.decay_steps"},
    {GPT, "name: cosine", "name: wsd, decay_steps: 0", NULL, "must be at least 1, not 0", 27,
     "train.schedule.decay_steps"},
    {GPT, "name: cosine", "name: wsd, decay_steps: 9, decay_shape: root", NULL,
     "must be cosine, linear or 1-sqrt, not 'root'", 27, "train.schedule.decay_shape"},
    {GPT, "warmup: 20", "warmup: 20, decay_steps: 2", NULL,
     "'decay_steps' is a key of schedule wsd, not of cosine", 27, "train.schedule.decay_steps"},
    {GPT, "name: cosine", "name: polynomial, power: 0", NULL, "must be above 0, not 0", 27,
     "train.schedule.power"},
    {GPT, "  family: gpt2", "", NULL,
     "'family' is missing: one of layers, gpt2, llama, mistral, qwen2 and qwen3", 2, "model.family"},
    {GPT, "  heads: 12", "", NULL, "'heads' is missing: family gpt2 needs it, or a folder", 2, "model.heads"},
    {GPT, "format: text", "", NULL, "'format' is missing", 11, "data.format"},
    {GPT, "steps: 200", "", NULL, "'steps' is missing: say how long to train, in steps or in epochs", 19,
     "train.steps"},
    {GPT, "steps: 200", "epochs: 3\n  steps: 200", NULL, "beside train.steps", 20, "train.epochs"},
    {GPT, "train:", "trian:", NULL, "unknown key 'trian' in a job; did you mean 'train'?", 19, "trian"},
    {GPT, "{dir: runs/gpt, every: 100, keep: 3}", "{every: 100}", NULL, "needs checkpoint.dir", 45,
     "checkpoint.every"},
    {GPT, "{dir: runs/gpt, every: 100, keep: 3}", "runs", NULL,
     "must be a mapping of keys, not a single value", 45, "checkpoint"},
    {NULL, NULL,
     "model: {family: layers, input: [2, 2], layers: [{type: relu}]}\ndata: {format: tokens, path: "
     "a}\ntrain: {steps: 1}\n",
     NULL, "'sequence' is missing", 3, "train.sequence"},
    {NULL, NULL,
     "model: {family: gpt2, layers: 1, heads: 1, width: 1, context: 2}\ndata: {format: tokens, path: "
     "a}\ntrain: {steps: 1}\n",
     NULL, "'vocab' is missing", 1, "model.vocab"},
    /* values */
    {GPT, "family: gpt2", "family: gpt3", NULL,
     "must be layers, gpt2, llama, mistral, qwen2 or qwen3, not 'gpt3'", 3, "model.family"},
    {GPT, "layers: 12", "layers: [{type: relu}]", NULL, "a list of layers belongs to family layers", 4,
     "model.layers"},
    {GPT, "heads: 12", "heads: 1_2", NULL, "must be a whole number, not '1_2'", 5, "model.heads"},
    {GPT, "heads: 12", "heads: 12.0", NULL, "must be a whole number, not '12.0'", 5, "model.heads"},
    {GPT, "heads: 12", "heads: \"12\"", NULL, "not the text \"12\"", 5, "model.heads"},
    {GPT, "heads: 12", "heads: 99999999999999999999", NULL, "out of range", 5, "model.heads"},
    {GPT, "heads: 12", "heads: 0", NULL, "must be at least 1, not 0", 5, "model.heads"},
    {GPT, "heads: 12", "heads:", NULL, "has no value", 5, "model.heads"},
    {GPT, "heads: 12", "heads: {a: 1}", NULL, "must be a whole number, not a mapping", 5, "model.heads"},
    {GPT, "heads: 12", "heads: 5", NULL, "a width of 768 cannot be divided among 5 heads", 5, "model.heads"},
    {GPT, "sequence: 256", "sequence: 1025", NULL, "1025 tokens is longer than the model's context of 1024",
     22, "train.sequence"},
    {GPT, "holdout: 0.1", "holdout_by: draw", NULL, "needs data.holdout, the share", 18, "data.holdout_by"},
    {MLP, NULL, NULL, "data.holdout_by=draw", "needs data.holdout", 0, "data.holdout_by"},
    {GPT, "holdout: 0.1", "holdout: 1", NULL, "at least 0 and below 1", 18, "data.holdout"},
    {GPT, "shuffle: true", "shuffle: yes", NULL, "must be true or false, not 'yes'", 16, "data.shuffle"},
    {GPT, "lr: 3e-4", "lr: 0", NULL, "must be above 0, not 0", 24, "train.optimizer.lr"},
    {GPT, "lr: 3e-4", "lr: 1e999", NULL, "out of range", 24, "train.optimizer.lr"},
    {GPT, "lr: 3e-4", "lr: .inf", NULL, "must be a number, not '.inf'", 24, "train.optimizer.lr"},
    {GPT, "lr: 3e-4", "lr: nan", NULL, "must be a number, not 'nan'", 24, "train.optimizer.lr"},
    {GPT, "[0.9, 0.95]", "[0.9, 1.0]", NULL, "below 1, not 1.0", 24, "train.optimizer.betas"},
    {GPT, "[0.9, 0.95]", "[0.9]", NULL, "a list of two numbers", 24, "train.optimizer.betas"},
    {GPT, "decay: matrices", "decay: some", NULL, "must be all or matrices, not 'some'", 24,
     "train.optimizer.decay"},
    {GPT, "name: adamw", "name: muon", NULL,
     "'betas' is a key of optimizer adam, adamw and lion, not of muon", 24, "train.optimizer.betas"},
    {GPT, "betas:", "adamw_lr: 1e-3, betas:", NULL, "'adamw_lr' is a key of optimizer muon, not of adamw", 24,
     "train.optimizer.adamw_lr"},
    {GPT, "name: adamw, lr: 3e-4, betas: [0.9, 0.95]", "name: muon, lr: 3e-4, ns_coefficients: [3, -3]", NULL,
     "must be a list of three numbers", 24, "train.optimizer.ns_coefficients"},
    {GPT, "name: adamw, lr: 3e-4, betas: [0.9, 0.95]", "name: muon, lr: 3e-4, ns_steps: 100", NULL,
     "must be at most 99, not 100", 24, "train.optimizer.ns_steps"},
    {GPT, "name: adamw, lr: 3e-4, betas: [0.9, 0.95]", "name: muon, lr: 3e-4, adjust_lr_fn: keller", NULL,
     "must be original or match_rms_adamw, not 'keller'", 24, "train.optimizer.adjust_lr_fn"},
    {GPT, "name: adamw, lr: 3e-4, betas: [0.9, 0.95]", "name: muon, lr: 3e-4, adamw_betas: [0.9, 1]", NULL,
     "below 1, not 1", 24, "train.optimizer.adamw_betas"},
    {GPT, "name: adamw, lr: 3e-4, betas: [0.9, 0.95]", "name: muon, lr: 3e-4, momentum: 0, nesterov: true",
     NULL, "needs a momentum above 0", 24, "train.optimizer.nesterov"},
    {GPT, "name: adamw", "name: adamx", NULL, "must be sgd, adam, adamw, lion or muon, not 'adamx'", 24,
     "train.optimizer.name"},
    {GPT, "steps: 200", "steps: -1", NULL, "must be at least 0, not -1", 20, "train.steps"},
    {GPT, "steps: 200", "epochs: 0", NULL, "must be above 0, not 0", 20, "train.epochs"},
    {GPT, "batch: 8", "batch: 0", NULL, "must be at least 1, not 0", 21, "train.batch"},
    {GPT, "clip: 1.0", "clip: -1", NULL, "must be at least 0, not -1", 28, "train.clip"},
    {GPT, "precision: f32", "precision: f7", NULL, "must be f32 or bf16, not 'f7'", 29, "train.precision"},
    {GPT, "seed: 1", "seed: 18446744073709551616", NULL, "out of range", 30, "train.seed"},
    {GPT, "loss: cross_entropy", "loss: mse", NULL, "text and tokens need cross_entropy", 23, "train.loss"},
    {GPT, "zero: 0", "zero: 4", NULL, "must be at most 3, not 4", 41, "layout.zero"},
    {GPT, "device_memory: 0", "device_memory: 5M", NULL,
     "is ambiguous: '5M'; write 5MB (thousands) or 5MiB (1024s)", 44, "layout.device_memory"},
    {GPT, "device_memory: 0", "device_memory: 5 apples", NULL, "a size like 512MiB", 44,
     "layout.device_memory"},
    {GPT, "schedule: 1f1b", "schedule: nope", NULL, "unknown schedule 'nope': neither gpipe, 1f1b", 39,
     "layout.schedule"},
    /* devices and batches */
    {GPT, "devices: 2 ", "devices: 3 ", NULL, "dp 2 x tp 1 x pp 1 x cp 1 need 2 devices, but 3 are given", 32,
     "layout.devices"},
    {GPT, "devices: 2 ", "devices: [cpu:0, cuda:1]", NULL, "names cuda:1", 32, "layout.devices"},
    {GPT, "devices: 2 ", "devices: [cpu:1, cpu:1]", NULL, "names cpu:1 twice", 32, "layout.devices"},
    {GPT, "devices: 2 ", "devices: [gpu]", NULL, "a list like [cpu:0, cpu:1], not 'gpu'", 32,
     "layout.devices"},
    {GPT, "devices: 2 ", "devices: 0", NULL, "from 1 to 1048576", 32, "layout.devices"},
    {GPT, "batch: 8", "batch: 1", NULL, "a batch of 1 samples is smaller than dp 2 x 1 micro-batches", 21,
     "train.batch"},
    {MLP, "{type: linear, out: 10, device: 0}", "{type: linear, out: 10, device: 3}", NULL,
     "a layer is on device 3, but none is on device 2", 12, "model.layers.6.device"},
    {MLP, "data:", "layout: {tp: 2}\ndata:", NULL,
     "layers placed by hand (model.layers.2.device) cannot be split by tp 2", 14, "layout.tp"},
    {MLP, "data:", "layout: {pp: 2}\ndata:", NULL, "cannot be split by pp 2", 14, "layout.pp"},
    {MLP, "data:", "layout: {devices: 3}\ndata:", NULL,
     "3 devices cannot be shared by replicas of the layers' 2 devices", 14, "layout.devices"},
    {MLP, "data:", "layout: {devices: 4, dp: 1}\ndata:", NULL,
     "dp 1 x the layers' 2 devices need 2 devices, but 4 are given", 14, "layout.devices"},
    /* layers */
    {MLP, "{type: relu}", "{type: rulu}", NULL,
     "unknown layer type 'rulu'; did you mean 'relu'? There are linear, conv2d", 7, "model.layers.1.type"},
    {MLP, "{type: relu}", "{out: 3}", NULL, "'type' is missing: one of linear", 7, "model.layers.1.type"},
    {MLP, "{type: relu}", "relu", NULL, "must be a layer, like {type: linear, out: 10}", 7, "model.layers.1"},
    {MLP, "{type: relu}", "{type: relu, out: 3}", NULL,
     "'out' is a key of layer type linear, conv2d and embedding, not of relu", 7, "model.layers.1.out"},
    {MLP, "{type: relu}", "{type: relu, devise: 3}", NULL,
     "unknown key 'devise' in a layer of type relu; did you mean 'device'?", 7, "model.layers.1.devise"},
    {MLP, "out: 512, ", "", NULL, "'out' is missing: layer type linear needs it", 6, "model.layers.0.out"},
    {MLP, "device: 1}", "device: -1}", NULL, "must be at least 0, not -1", 8, "model.layers.2.device"},
    {MLP, "[1024]", "[]", NULL, "the shape of one sample", 4, "model.input"},
    {MLP, "[1024]", "[0]", NULL, "must be at least 1, not 0", 4, "model.input"},
    {MLP, "[1024]", "[2000000000, 2000000000]", NULL, "more than 2^40 elements", 4, "model.input"},
    {MLP, "family: layers", "family: layers\n  heads: 3", NULL,
     "'heads' is a key of family gpt2, llama, mistral, qwen2 and qwen3, not of layers", 4, "model.heads"},
    {NULL, NULL,
     "model: {family: layers, input: [3], layers: [{type: relu}, {type: linear, out: 3}]}\n"
     "data: {format: random}\ntrain: {steps: 1, optimizer:\n  {name: muon}}\n",
     NULL,
     "muon updates the matrices of linear layers but for the last one, which makes the output, and this "
     "model has "
     "none",
     4, "train.optimizer.name"},
    {MLP, "momentum: 0.9", "nesterov: true", NULL, "needs a momentum above 0", 15,
     "train.optimizer.nesterov"},
    {MLP, "format: npy, inputs: x.npy, targets: y.npy", "format: csv, path: a, targets: [a, a]", NULL,
     "names column 'a' twice", 14, "data.targets"},
    {MLP, "format: npy, inputs: x.npy, targets: y.npy", "format: csv, path: a", NULL, "'targets' is missing",
     14, "data.targets"},
    {NULL, NULL,
     "model: {family: layers, input: [8], layers: [{type: embedding, rows: 256, out: 4}]}\ndata: {format: "
     "text, path: a}\ntrain: {steps: 1, sequence: 9}\n",
     NULL, "samples of 9 tokens do not fit model.input, which must be [9]", 3, "train.sequence"},
    {ONE_LAYER("{type: dropout, p: 1}"), "at least 0 and below 1, not 1", 2, "model.layers.0.p"},
    {ONE_LAYER("{type: dropout}"), "'p' is missing", 2, "model.layers.0.p"},
    {ONE_LAYER("{type: gelu, approximate: exact}"), "must be none or tanh, not 'exact'", 2,
     "model.layers.0.approximate"},
    {ONE_LAYER("{type: residual}"), "'layers' is missing", 2, "model.layers.0.layers"},
    {ONE_LAYER("{type: residual, layers: []}"), "is empty: at least one layer", 2, "model.layers.0.layers"},
    {ONE_LAYER("{type: residual, layers: [\n{type: linear, out: 0}]}"), "must be at least 1", 3,
     "model.layers.0.layers.0.out"},
    {ONE_LAYER(""), "is empty: at least one layer", 1, "model.layers"},
    /* the command line */
    {GPT, NULL, NULL, "train.lr=3",
     "--set train.lr=3: unknown key 'lr' in train; did you mean 'optimizer.lr'?", 0, "train.lr"},
    {GPT, NULL, NULL, "model.widht=3",
     "--set model.widht=3: unknown key 'widht' in model; did you mean 'width'?", 0, "model.widht"},
    {GPT, NULL, NULL, "model.heads=5", "--set model.heads=5: a width of 768", 0, "model.heads"},
    {GPT, NULL, NULL, "--dp=0", "--dp 0: must be at least 1", 0, "layout.dp"},
    {GPT, NULL, NULL, "--dp=x", "--dp x: must be a whole number", 0, "layout.dp"},
    {GPT, NULL, NULL, "--threads=2000", "--threads 2000: must be at most 1024, not 2000", 0,
     "layout.threads"},
    {GPT, NULL, NULL, "--dp=64", "--dp 64: a batch of 8 samples is smaller than dp 64", 0, "train.batch"},
    {GPT, NULL, NULL, "--device=3", "did you mean --devices?", 0, ""},
    {GPT, NULL, NULL, "--devices=3", "need 2 devices, but 3 are given", 0, "layout.devices"},
    {GPT, NULL, NULL, "--layout=dp=2,zero=9", "--layout dp=2,zero=9: must be at most 3", 0, "layout.zero"},
    {GPT, NULL, NULL, "train.steps", "must be KEY=VALUE", 0, ""},
    {GPT, NULL, NULL, "train..steps=3", "must be KEY=VALUE", 0, ""},
    {GPT, NULL, NULL, "train.optimizer.betas=[0.9", "the value is not valid YAML", 0,
     "train.optimizer.betas"},
    {GPT, NULL, NULL, "train.steps.x=3", "train.steps is a single value", 0, "train.steps.x"},
    {GPT, NULL, NULL, "model=3", "must be a mapping of keys", 0, "model"},
    {GPT, NULL, NULL, "data.format=npy", "--set data.format=npy: 'inputs' is missing", 0, "data.inputs"},
    {GPT, NULL, NULL, "model.heads=null", "'heads' is missing", 2, "model.heads"},
    {GPT, NULL, NULL, "model.\xff=3", "must be KEY=VALUE", 0, ""},
    {GPT, NULL, NULL, "train.loss=a\xff", "--set train.loss=a\\xff: the value is not UTF-8", 0, "train.loss"},
    {GPT, NULL, NULL, "data.path=a\x01", "--set data.path=a\\x01: the value has a control", 0, "data.path"},
    {MLP, NULL, NULL, "model.layers.9.out=3", "there is no model.layers.9", 0, "model.layers.9.out"},
    {MLP, NULL, NULL, "model.layers.9={type: relu}", "the list has 7 items", 0, "model.layers.9"},
    {MLP, NULL, NULL, "model.layers=12", "a count of layers belongs to the other families", 0,
     "model.layers"},
    {MLP, NULL, NULL, "--tp=2", "--tp 2: layers placed by hand", 0, "layout.tp"},
};

static bool is_refused_in_place(const bad_job *bad)
{
    yoke_job *job = NULL;
    const char *const overrides[] = {bad->override};
    const char *path = bad->to ? written : bad->path;
    const char *what = bad->override ? bad->override : bad->to;
    if (bad->to) write_changed(bad->path, bad->from, bad->to);
    if (yoke_job_load(path, bad->override != NULL, overrides, &job) != YOKE_INVALID) {
        yoke_job_destroy(job);
        print_error("not refused: %s\n", what);
        return false;
    }
    const yoke_error *e = yoke_error_get();
    bool at_file = bad->line > 0 || !bad->override;
    bool good = strstr(e->message, bad->says) && e->line == bad->line && strcmp(e->key, bad->key) == 0 &&
                strcmp(e->file, at_file ? path : "") == 0 && !strchr(e->message, '\n');
    if (!good) print_error("%s: says %s:%d: %s: %s\n", what, e->file, e->line, e->key, e->message);
    return good;
}

static void bad_jobs_are_refused_in_place(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof bad_jobs / sizeof *bad_jobs; i++)
        wrong += !is_refused_in_place(&bad_jobs[i]);
    assert_int_equal(wrong, 0);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    yoke_job *job = NULL;
    assert_int_equal(yoke_job_load("/nonexistent/job.yaml", 0, NULL, &job), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->file, "/nonexistent/job.yaml");
    assert_int_equal(yoke_job_load(folder, 0, NULL, &job), YOKE_INVALID);
    assert_null(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_jobs_are_refused_in_place),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
    };
    return cmocka_run_group_tests(tests, make_job_folder, remove_folder);
}
