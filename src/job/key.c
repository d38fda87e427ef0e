/* The table of keys. A selector stands before the keys it decides about. */
#include "job/key.h"

#include <stdio.h>

#include "job/job.h"
#include "optim/optimizer.h"
#include "optim/rate.h"

#define FIELD(member)    .offset = offsetof(yoke_job, member), .size = sizeof(((yoke_job *)0)->member)
#define LFIELD(member)   .offset = offsetof(yoke_layer, member), .size = sizeof(((yoke_layer *)0)->member)
#define BETAS            .offset = offsetof(yoke_job, train.beta1), .size = 2 * sizeof(double) /* and beta2 */
#define RANGE(low, high) .least = (low), .most = (high)
#define FROM(low)        .least = (low)
#define SHARE            .least = 0, .most = 1, .below = true /* [0, 1) */
#define BIT(value)       (1u << (value))
#define TAKE(what)       YKI_OPTIMIZERS_THAT_TAKE(YKI_TAKES_##what)
#define RATES_TAKE(what) YKI_RATES_THAT_TAKE(YKI_RATE_TAKES_##what)

enum {
    GPT2 = BIT(YOKE_FAMILY_GPT2),
    LLAMA =
        BIT(YOKE_FAMILY_LLAMA) | BIT(YOKE_FAMILY_MISTRAL) | BIT(YOKE_FAMILY_QWEN2) | BIT(YOKE_FAMILY_QWEN3),
    LAYERS = BIT(YOKE_FAMILY_LAYERS),
    TRANSFORMER = GPT2 | LLAMA,
    JSONL = BIT(YOKE_DATA_JSONL),
    WRITTEN = BIT(YOKE_DATA_TEXT) | BIT(YOKE_DATA_TOKENS) | JSONL,
    PATHS = WRITTEN | BIT(YOKE_DATA_CSV),
    ARRAYS = BIT(YOKE_DATA_NPY) | BIT(YOKE_DATA_IDX),
    CSV = BIT(YOKE_DATA_CSV),
    RANDOM = BIT(YOKE_DATA_RANDOM),
};

/* Bounds that keep every product of two of them in an int64_t, and a file from asking for endless work. */
#define MANY      2147483647.0
#define MAX_DEPTH 10000
#define MAX_WIDTH 16777216
#define MAX_STEPS 1e15

static const char *const adapters[] = {"none", "lora", NULL};
static const char *const formats[] = {"text", "tokens", "npy", "csv", "idx", "random", "jsonl", NULL};
static const char *const losses[] = {"cross_entropy", "mse", NULL};
static const char *const decays[] = {"all", "matrices", NULL};
static const char *const precisions[] = {"f32", "bf16", NULL};
static const char *const schedules[] = {"gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v", NULL};
static const char *const cp_kinds[] = {"ring", "ulysses", NULL};
static const char *const recomputes[] = {"none", "selective", "full", NULL};
static const char *const statistics[] = {"global", "local", NULL};
static const char *const on_errors[] = {"stop", "continue", NULL};
static const char *const token_bytes[] = {"auto", "2", "4", NULL};
static const char *const chats[] = {"auto", "chatml", "llama3", NULL};
static const char *const holdouts[] = {"end", "draw", NULL};
static const char *const scales[] = {"none", "standard", "minmax", NULL};
static const char *const approximations[] = {"none", "tanh", NULL};

/* clang-format off */
const yki_key yki_job_keys[] = {
    {"model.family", YKI_KEY_NAME, FIELD(model.family), .names = yki_family_names, .synonyms = yki_family_synonyms, .need = ~0u},
    {"model.from", YKI_KEY_PATH, FIELD(model.from)},
    {"model.input", YKI_KEY_SHAPE, FIELD(model.input), .by = YKI_BY_FAMILY, .of = LAYERS, .need = LAYERS},
    {"model.layers", YKI_KEY_LAYERS, FIELD(model.layers), .by = YKI_BY_FAMILY, .of = LAYERS, .need = LAYERS},
    {"model.layers", YKI_KEY_INT, FIELD(model.depth), RANGE(1, MAX_DEPTH), .by = YKI_BY_FAMILY, .of = TRANSFORMER, .need = TRANSFORMER, .from_gives = true},
    {"model.heads", YKI_KEY_INT, FIELD(model.heads), RANGE(1, 65536), .by = YKI_BY_FAMILY, .of = TRANSFORMER, .need = TRANSFORMER, .from_gives = true},
    {"model.kv_heads", YKI_KEY_INT, FIELD(model.kv_heads), RANGE(1, 65536), .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.width", YKI_KEY_INT, FIELD(model.width), RANGE(1, MAX_WIDTH), .by = YKI_BY_FAMILY, .of = TRANSFORMER, .need = TRANSFORMER, .from_gives = true},
    {"model.hidden", YKI_KEY_INT, FIELD(model.hidden), RANGE(1, MAX_WIDTH), .by = YKI_BY_FAMILY, .of = LLAMA, .need = LLAMA, .from_gives = true},
    {"model.context", YKI_KEY_INT, FIELD(model.context), RANGE(1, MANY), .by = YKI_BY_FAMILY, .of = TRANSFORMER, .need = TRANSFORMER, .from_gives = true},
    {"model.vocab", YKI_KEY_INT, FIELD(model.vocab), RANGE(1, MANY), .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.head_dim", YKI_KEY_INT, FIELD(model.head_dim), RANGE(1, 1 << 20), .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.qkv_bias", YKI_KEY_SWITCH, FIELD(model.qkv_bias), .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.qk_norm", YKI_KEY_SWITCH, FIELD(model.qk_norm), .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.sliding_window", YKI_KEY_INT, FIELD(model.window), RANGE(1, MANY), .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.rope_theta", YKI_KEY_DOUBLE, FIELD(model.rope_theta), FROM(0), .above = true, .by = YKI_BY_FAMILY, .of = LLAMA},
    {"model.norm_eps", YKI_KEY_DOUBLE, FIELD(model.norm_eps), FROM(0), .above = true, .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.dropout", YKI_KEY_DOUBLE, FIELD(model.dropout), SHARE, .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.tied", YKI_KEY_SWITCH, FIELD(model.tied), .by = YKI_BY_FAMILY, .of = LLAMA},

    {"model.adapter.kind", YKI_KEY_NAME, FIELD(model.adapter.kind), .names = adapters, .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.adapter.rank", YKI_KEY_INT, FIELD(model.adapter.rank), RANGE(1, 65536), .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.adapter.alpha", YKI_KEY_DOUBLE, FIELD(model.adapter.alpha), FROM(0), .above = true, .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.adapter.dropout", YKI_KEY_DOUBLE, FIELD(model.adapter.dropout), SHARE, .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.adapter.targets", YKI_KEY_TEXTS, FIELD(model.adapter.targets), .by = YKI_BY_FAMILY, .of = TRANSFORMER},
    {"model.adapter.from", YKI_KEY_PATH, FIELD(model.adapter.from), .by = YKI_BY_FAMILY, .of = TRANSFORMER},

    {"data.format", YKI_KEY_NAME, FIELD(data.format), .names = formats, .need = ~0u},
    {"data.path", YKI_KEY_PATHS, FIELD(data.paths), .by = YKI_BY_FORMAT, .of = PATHS, .need = PATHS},
    {"data.tokenizer", YKI_KEY_PATH, FIELD(data.tokenizer), .by = YKI_BY_FORMAT, .of = WRITTEN},
    {"data.token_bytes", YKI_KEY_NAME, FIELD(data.token_type), .names = token_bytes, .by = YKI_BY_FORMAT, .of = BIT(YOKE_DATA_TOKENS)},
    {"data.chat", YKI_KEY_NAME, FIELD(data.chat), .names = chats, .by = YKI_BY_FORMAT, .of = JSONL},
    {"data.pack", YKI_KEY_SWITCH, FIELD(data.pack), .by = YKI_BY_FORMAT, .of = JSONL},
    {"data.skip_long", YKI_KEY_BOOL, FIELD(data.skip_long), .by = YKI_BY_FORMAT, .of = JSONL},
    {"data.inputs", YKI_KEY_PATH, FIELD(data.inputs), .by = YKI_BY_FORMAT, .of = ARRAYS, .need = ARRAYS},
    {"data.targets", YKI_KEY_PATH, FIELD(data.targets), .by = YKI_BY_FORMAT, .of = ARRAYS, .need = ARRAYS},
    {"data.targets", YKI_KEY_COLUMNS, FIELD(data.target_columns), .by = YKI_BY_FORMAT, .of = CSV, .need = CSV},
    {"data.samples", YKI_KEY_INT, FIELD(data.samples), RANGE(1, 1e12), .by = YKI_BY_FORMAT, .of = RANDOM, .standard = "1024"},
    {"data.shuffle", YKI_KEY_BOOL, FIELD(data.shuffle), .standard = "true"},
    {"data.drop_last", YKI_KEY_BOOL, FIELD(data.drop_last)},
    {"data.holdout", YKI_KEY_DOUBLE, FIELD(data.holdout), SHARE},
    {"data.holdout_by", YKI_KEY_NAME, FIELD(data.holdout_by), .names = holdouts},
    {"data.scale", YKI_KEY_NAME, FIELD(data.scale), .names = scales, .by = YKI_BY_FORMAT, .of = CSV | BIT(YOKE_DATA_NPY)},

    {"train.steps", YKI_KEY_INT, FIELD(train.steps), RANGE(0, MAX_STEPS), .flag = "steps"},
    {"train.epochs", YKI_KEY_DOUBLE, FIELD(train.epochs), RANGE(0, 1e9), .above = true},
    {"train.batch", YKI_KEY_INT, FIELD(train.batch), RANGE(1, MANY), .always = true},
    {"train.sequence", YKI_KEY_INT, FIELD(train.sequence), RANGE(1, MANY)},
    {"train.loss", YKI_KEY_NAME, FIELD(train.loss), .names = losses, .always = true},
    {"train.optimizer.name", YKI_KEY_NAME, FIELD(train.optimizer), .names = yki_optimizer_names, .always = true},
    {"train.optimizer.lr", YKI_KEY_DOUBLE, FIELD(train.lr), FROM(0), .above = true, .always = true},
    {"train.optimizer.momentum", YKI_KEY_DOUBLE, FIELD(train.momentum), SHARE, .by = YKI_BY_OPTIMIZER, .of = TAKE(MOMENTUM)},
    {"train.optimizer.nesterov", YKI_KEY_SWITCH, FIELD(train.nesterov), .by = YKI_BY_OPTIMIZER, .of = TAKE(NESTEROV)},
    {"train.optimizer.betas", YKI_KEY_NUMBERS, BETAS, SHARE, .by = YKI_BY_OPTIMIZER, .of = TAKE(BETAS)},
    {"train.optimizer.eps", YKI_KEY_DOUBLE, FIELD(train.eps), FROM(0), .above = true, .by = YKI_BY_OPTIMIZER, .of = TAKE(EPS)},
    {"train.optimizer.ns_steps", YKI_KEY_INT, FIELD(train.ns_steps), RANGE(1, 99), .by = YKI_BY_OPTIMIZER, .of = TAKE(NEWTON_SCHULZ)},
    {"train.optimizer.ns_coefficients", YKI_KEY_NUMBERS, FIELD(train.ns_coefficients), RANGE(-1000, 1000), .by = YKI_BY_OPTIMIZER, .of = TAKE(NEWTON_SCHULZ)},
    {"train.optimizer.adjust_lr_fn", YKI_KEY_NAME, FIELD(train.adjust_lr_fn), .names = yki_adjust_lr_names, .by = YKI_BY_OPTIMIZER, .of = TAKE(NEWTON_SCHULZ)},
    {"train.optimizer.adamw_lr", YKI_KEY_DOUBLE, FIELD(train.adamw_lr), FROM(0), .by = YKI_BY_OPTIMIZER, .of = TAKE(ADAMW)},
    {"train.optimizer.adamw_betas", YKI_KEY_NUMBERS, FIELD(train.adamw_betas), SHARE, .by = YKI_BY_OPTIMIZER, .of = TAKE(ADAMW)},
    {"train.optimizer.adamw_eps", YKI_KEY_DOUBLE, FIELD(train.adamw_eps), FROM(0), .above = true, .by = YKI_BY_OPTIMIZER, .of = TAKE(ADAMW)},
    {"train.optimizer.weight_decay", YKI_KEY_DOUBLE, FIELD(train.weight_decay), FROM(0)},
    {"train.optimizer.decay", YKI_KEY_NAME, FIELD(train.decay_matrices), .names = decays},
    {"train.schedule.name", YKI_KEY_NAME, FIELD(train.rate), .names = yki_rate_names},
    {"train.schedule.warmup", YKI_KEY_INT, FIELD(train.warmup), RANGE(0, MAX_STEPS)},
    {"train.schedule.final_lr", YKI_KEY_DOUBLE, FIELD(train.final_lr), FROM(0), .by = YKI_BY_RATE, .of = RATES_TAKE(FINAL_LR)},
    {"train.schedule.power", YKI_KEY_DOUBLE, FIELD(train.power), FROM(0), .above = true, .by = YKI_BY_RATE, .of = RATES_TAKE(POWER)},
    {"train.schedule.decay_steps", YKI_KEY_INT, FIELD(train.decay_steps), RANGE(1, MAX_STEPS), .by = YKI_BY_RATE, .of = RATES_TAKE(DECAY), .need = RATES_TAKE(DECAY)},
    {"train.schedule.decay_shape", YKI_KEY_NAME, FIELD(train.decay_shape), .names = yki_decay_shape_names, .by = YKI_BY_RATE, .of = RATES_TAKE(DECAY)},
    {"train.clip", YKI_KEY_DOUBLE, FIELD(train.clip), FROM(0)},
    {"train.precision", YKI_KEY_NAME, FIELD(train.precision), .names = precisions, .flag = "precision"},
    {"train.skip_nonfinite", YKI_KEY_INT, FIELD(train.skip_nonfinite), RANGE(0, MAX_STEPS)},
    {"train.timeout", YKI_KEY_DOUBLE, FIELD(train.timeout), RANGE(0, 1e9)},
    {"train.freeze", YKI_KEY_TEXTS, FIELD(model.freeze)},
    {"train.seed", YKI_KEY_SEED, FIELD(train.seed), .always = true},

    {"layout.devices", YKI_KEY_DEVICES, FIELD(layout.ndevices), .flag = "devices"},
    {"layout.dp", YKI_KEY_INT, FIELD(layout.dp), RANGE(1, YOKE_MAX_DEVICES), .flag = "dp"},
    {"layout.tp", YKI_KEY_INT, FIELD(layout.tp), RANGE(1, YOKE_MAX_DEVICES), .flag = "tp"},
    {"layout.pp", YKI_KEY_INT, FIELD(layout.pp), RANGE(1, YOKE_MAX_DEVICES), .flag = "pp"},
    {"layout.cp", YKI_KEY_INT, FIELD(layout.cp), RANGE(1, YOKE_MAX_DEVICES), .flag = "cp"},
    {"layout.cp_kind", YKI_KEY_NAME, FIELD(layout.cp_kind), .names = cp_kinds},
    {"layout.sp", YKI_KEY_BOOL, FIELD(layout.sp)},
    {"layout.microbatches", YKI_KEY_INT, FIELD(layout.microbatches), RANGE(1, 65536), .flag = "microbatches"},
    {"layout.schedule", YKI_KEY_SCHEDULE, FIELD(layout.schedule), .names = schedules, .flag = "schedule"},
    {"layout.chunks", YKI_KEY_INT, FIELD(layout.chunks), RANGE(1, 1024), .flag = "chunks"},
    {"layout.zero", YKI_KEY_INT, FIELD(layout.zero), RANGE(0, 3), .flag = "zero"},
    {"layout.dp_shard", YKI_KEY_INT, FIELD(layout.dp_shard), RANGE(0, YOKE_MAX_DEVICES)},
    {"layout.dp_replicate", YKI_KEY_INT, FIELD(layout.dp_replicate), RANGE(0, YOKE_MAX_DEVICES)},
    {"layout.bucket", YKI_KEY_BYTES, FIELD(layout.bucket_bytes)},
    {"layout.recompute", YKI_KEY_STAGES, FIELD(layout.recompute), .names = recomputes, .flag = "recompute"},
    {"layout.threads", YKI_KEY_INT, FIELD(layout.threads), RANGE(0, 1024), .flag = "threads"},
    {"layout.device_memory", YKI_KEY_BYTES, FIELD(layout.device_memory_bytes), .flag = "device-memory"},

    {"eval.every", YKI_KEY_INT, FIELD(train.eval_every), RANGE(0, MAX_STEPS)},
    {"eval.batches", YKI_KEY_INT, FIELD(train.eval_batches), RANGE(0, MANY)},

    {"stop.patience", YKI_KEY_INT, FIELD(train.patience), RANGE(0, MAX_STEPS)},

    {"checkpoint.dir", YKI_KEY_PATH, FIELD(checkpoint.dir)},
    {"checkpoint.every", YKI_KEY_INT, FIELD(checkpoint.every), RANGE(0, MAX_STEPS)},
    {"checkpoint.keep", YKI_KEY_INT, FIELD(checkpoint.keep), RANGE(0, 1e9)},
    {"checkpoint.async", YKI_KEY_BOOL, FIELD(checkpoint.async)},
    {"checkpoint.best", YKI_KEY_BOOL, FIELD(checkpoint.best)},
    {"checkpoint.on_error", YKI_KEY_NAME, FIELD(checkpoint.on_error), .names = on_errors},

    {"launch.fallbacks", YKI_KEY_LAYOUTS, FIELD(launch.fallbacks)},
};
const int yki_job_nkeys = sizeof yki_job_keys / sizeof *yki_job_keys;

/* ---- layers ---- */

/* id, name in a job, type, activation, what others call it */
#define LAYER_TYPES(X) \
    X(LINEAR, "linear", YOKE_LAYER_LINEAR, 0, "dense fc fully_connected gemm") \
    X(CONV2D, "conv2d", YOKE_LAYER_CONV2D, 0, "conv convolution conv2") \
    X(MAXPOOL2D, "maxpool2d", YOKE_LAYER_MAXPOOL2D, 0, "maxpool max_pool max_pool2d maxpooling2d") \
    X(AVGPOOL2D, "avgpool2d", YOKE_LAYER_AVGPOOL2D, 0, "avgpool avg_pool avg_pool2d averagepooling2d") \
    X(FLATTEN, "flatten", YOKE_LAYER_FLATTEN, 0, "") \
    X(EMBEDDING, "embedding", YOKE_LAYER_EMBEDDING, 0, "embed") \
    X(LAYERNORM, "layernorm", YOKE_LAYER_LAYERNORM, 0, "layer_norm ln") \
    X(RMSNORM, "rmsnorm", YOKE_LAYER_RMSNORM, 0, "rms_norm") \
    X(RELU, "relu", YOKE_LAYER_ACTIVATION, YOKE_RELU, "") \
    X(GELU, "gelu", YOKE_LAYER_ACTIVATION, YOKE_GELU, "") \
    X(TANH, "tanh", YOKE_LAYER_ACTIVATION, YOKE_TANH, "") \
    X(SIGMOID, "sigmoid", YOKE_LAYER_ACTIVATION, YOKE_SIGMOID, "") \
    X(SILU, "silu", YOKE_LAYER_ACTIVATION, YOKE_SILU, "swish") \
    X(SOFTMAX, "softmax", YOKE_LAYER_SOFTMAX, 0, "") \
    X(DROPOUT, "dropout", YOKE_LAYER_DROPOUT, 0, "") \
    X(RESIDUAL, "residual", YOKE_LAYER_RESIDUAL, 0, "skip shortcut") \
    X(BATCHNORM, "batchnorm", YOKE_LAYER_BATCHNORM, 0, "batchnorm1d batchnorm2d batch_norm bn") \
    X(GROUPNORM, "groupnorm", YOKE_LAYER_GROUPNORM, 0, "group_norm gn")

#define VARIANT(id, ...) VARIANT_##id,
#define LAYER_BIT(id, ...) id = BIT(VARIANT_##id),
#define NAME(id, name, ...) name,
#define TYPE(id, name, type, activation, words) {type, activation},
#define WORDS(id, name, type, activation, words) words,
enum { LAYER_TYPES(VARIANT) NTYPES };
enum { LAYER_TYPES(LAYER_BIT) POOLS = MAXPOOL2D | AVGPOOL2D };

const char *const yki_layer_names[] = {LAYER_TYPES(NAME) NULL};
const char *const yki_layer_words[] = {LAYER_TYPES(WORDS) NULL};

static const struct {
    yoke_layer_type type;
    yoke_activation activation;
} layer_types[] = {LAYER_TYPES(TYPE)};

const yki_key yki_layer_keys[] = {
    {"rows", YKI_KEY_INT, LFIELD(rows), RANGE(1, MANY), .by = YKI_BY_LAYER, .of = EMBEDDING, .need = EMBEDDING, .words = "num_embeddings vocab vocab_size num_words"},
    {"out", YKI_KEY_INT, LFIELD(out), RANGE(1, MANY), .by = YKI_BY_LAYER, .of = LINEAR | CONV2D | EMBEDDING, .need = LINEAR | CONV2D | EMBEDDING, .words = "out_features out_channels units filters embedding_dim width size"},
    {"kernel", YKI_KEY_INT, LFIELD(kernel), RANGE(1, 65536), .by = YKI_BY_LAYER, .of = CONV2D | POOLS, .need = CONV2D | POOLS, .words = "kernel_size"},
    {"stride", YKI_KEY_INT, LFIELD(stride), RANGE(1, 65536), .by = YKI_BY_LAYER, .of = CONV2D, .standard = "1"},
    {"stride", YKI_KEY_INT, LFIELD(stride), RANGE(1, 65536), .by = YKI_BY_LAYER, .of = POOLS},
    {"padding", YKI_KEY_INT, LFIELD(padding), RANGE(0, 65536), .by = YKI_BY_LAYER, .of = CONV2D},
    {"bias", YKI_KEY_BOOL, LFIELD(bias), .by = YKI_BY_LAYER, .of = LINEAR | CONV2D, .standard = "true", .words = "use_bias"},
    {"approximate", YKI_KEY_NAME, LFIELD(activation), .names = approximations, .first = YOKE_GELU, .by = YKI_BY_LAYER, .of = GELU},
    {"p", YKI_KEY_DOUBLE, LFIELD(p), SHARE, .by = YKI_BY_LAYER, .of = DROPOUT, .need = DROPOUT, .words = "prob rate dropout"},
    {"groups", YKI_KEY_INT, LFIELD(groups), RANGE(1, MANY), .by = YKI_BY_LAYER, .of = GROUPNORM, .need = GROUPNORM, .words = "num_groups"},
    {"eps", YKI_KEY_DOUBLE, LFIELD(eps), FROM(0), .above = true, .by = YKI_BY_LAYER, .of = LAYERNORM | BATCHNORM | GROUPNORM, .standard = "1e-5", .words = "epsilon"},
    {"eps", YKI_KEY_DOUBLE, LFIELD(eps), FROM(0), .above = true, .by = YKI_BY_LAYER, .of = RMSNORM, .standard = "1e-6"},
    {"momentum", YKI_KEY_DOUBLE, LFIELD(momentum), RANGE(0, 1), .by = YKI_BY_LAYER, .of = BATCHNORM, .standard = "0.1"},
    {"affine", YKI_KEY_BOOL, LFIELD(affine), .by = YKI_BY_LAYER, .of = BATCHNORM | GROUPNORM, .standard = "true"},
    {"statistics", YKI_KEY_NAME, LFIELD(statistics), .names = statistics, .by = YKI_BY_LAYER, .of = BATCHNORM},
    {"layers", YKI_KEY_LAYERS, LFIELD(layers), .by = YKI_BY_LAYER, .of = RESIDUAL, .need = RESIDUAL},
    {"device", YKI_KEY_INT, LFIELD(device), RANGE(0, YOKE_MAX_DEVICES - 1), .by = YKI_BY_LAYER},
};
/* clang-format on */
const int yki_layer_nkeys = sizeof yki_layer_keys / sizeof *yki_layer_keys;

void yki_layer_init(yoke_layer *layer, int variant)
{
    *layer = (yoke_layer){
        .type = layer_types[variant].type, .activation = layer_types[variant].activation, .device = -1};
}

int yki_layer_variant(const yoke_layer *layer)
{
    yoke_activation activation = layer->activation == YOKE_GELU_TANH ? YOKE_GELU : layer->activation;
    for (int i = 0; i < NTYPES; i++)
        if (layer_types[i].type == layer->type &&
            (layer->type != YOKE_LAYER_ACTIVATION || layer_types[i].activation == activation))
            return i;
    return 0;
}

/* ---- selectors ---- */

static const struct {
    const char *path, *word;
    const char *const *names;
} selectors[] = {
    [YKI_BY_NONE] = {"", "", NULL},
    [YKI_BY_FAMILY] = {"model.family", "family", yki_family_names},
    [YKI_BY_FORMAT] = {"data.format", "data format", formats},
    [YKI_BY_OPTIMIZER] = {"train.optimizer.name", "optimizer", yki_optimizer_names},
    [YKI_BY_RATE] = {"train.schedule.name", "schedule", yki_rate_names},
    [YKI_BY_LAYER] = {"type", "layer type", yki_layer_names},
};

const char *yki_selector_path(yki_selector by)
{
    return selectors[by].path;
}
const char *const *yki_selector_names(yki_selector by)
{
    return selectors[by].names;
}
const char *yki_selector_word(yki_selector by)
{
    return selectors[by].word;
}

int yki_selector_value(const yoke_job *job, yki_selector by)
{
    switch (by) {
    case YKI_BY_FAMILY:
        return (int)job->model.family;
    case YKI_BY_FORMAT:
        return (int)job->data.format;
    case YKI_BY_OPTIMIZER:
        return (int)job->train.optimizer;
    case YKI_BY_RATE:
        return (int)job->train.rate;
    default:
        return 0;
    }
}

void yki_names_list(char *out, size_t size, const char *const *names, unsigned bits)
{
    size_t n = 0;
    int left = 0;
    for (int i = 0; names[i]; i++) left += bits >> i & 1;
    out[0] = '\0';
    for (int i = 0; names[i] && n < size; i++) {
        if (!(bits >> i & 1)) continue;
        left--;
        n += (size_t)snprintf(out + n, size - n, "%s%s", names[i],
                              left > 1    ? ", "
                              : left == 1 ? " and "
                                          : "");
    }
}

void yoke_train_options_default(yoke_train_options *options)
{
    if (options) *options = (yoke_train_options)YOKE_TRAIN_DEFAULT;
}

void yki_job_init(yoke_job *job)
{
    *job = (yoke_job){.train = YOKE_TRAIN_DEFAULT, .layout = YOKE_LAYOUT_DEFAULT};
    job->model = yki_spec_absent(YOKE_FAMILY_LAYERS);
    job->data.pack = -1;
    job->train.steps = -1; /* absent: 0 is a run of no steps */
    job->layout.dp = 0;
}
