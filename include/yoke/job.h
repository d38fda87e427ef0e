/* Job files: one YAML file describes a run. Reading checks keys, types and ranges; what depends on the data
 * or on the layout is checked when a trainer is made. */
#ifndef YOKE_JOB_H
#define YOKE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/layout.h"
#include "yoke/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum yoke_family {
    YOKE_FAMILY_LAYERS,
    YOKE_FAMILY_GPT2,
    YOKE_FAMILY_LLAMA, /* and what is built as it is: */
    YOKE_FAMILY_MISTRAL,
    YOKE_FAMILY_QWEN2,
    YOKE_FAMILY_QWEN3,
} yoke_family;

typedef enum yoke_layer_type {
    YOKE_LAYER_LINEAR,
    YOKE_LAYER_CONV2D,
    YOKE_LAYER_MAXPOOL2D,
    YOKE_LAYER_AVGPOOL2D,
    YOKE_LAYER_FLATTEN,
    YOKE_LAYER_EMBEDDING,
    YOKE_LAYER_LAYERNORM,
    YOKE_LAYER_RMSNORM,
    YOKE_LAYER_ACTIVATION, /* relu, gelu, tanh, sigmoid, silu */
    YOKE_LAYER_SOFTMAX,
    YOKE_LAYER_DROPOUT,
    YOKE_LAYER_RESIDUAL,
    YOKE_LAYER_BATCHNORM,
    YOKE_LAYER_GROUPNORM,
} yoke_layer_type;

/* A layer of family `layers`. Fields that its type does not use are 0. */
typedef struct yoke_layer {
    yoke_layer_type type;
    int line;                        /* in the job file */
    int device;                      /* -1: that of the layer before it */
    int64_t out, rows;               /* linear, conv2d, embedding */
    int64_t kernel, stride, padding; /* conv2d, pools (stride filled in) */
    bool bias;
    yoke_activation activation;
    double p, eps;
    int64_t groups;  /* groupnorm */
    double momentum; /* batchnorm */
    bool affine;     /* batchnorm, groupnorm */
    yoke_statistics statistics;
    int nlayers; /* residual: its layers, owned by the job */
    struct yoke_layer *layers;
} yoke_layer;

/* Texts of a list, owned by the job. */
typedef struct yoke_texts {
    int count, line; /* line: in the job file */
    char **list;
} yoke_texts;

typedef enum yoke_adapter_kind { YOKE_ADAPTER_NONE, YOKE_ADAPTER_LORA } yoke_adapter_kind;

/* Adapters of a job's model. Absent are 0, "" and no targets; dropout below 0. */
typedef struct yoke_adapter_spec {
    yoke_adapter_kind kind;
    int64_t rank;
    double alpha, dropout;
    bool rank_stabilized; /* of `from` alone */
    yoke_texts targets;
    char from[1024]; /* a folder of adapters saved earlier, absolute */
} yoke_adapter_spec;

typedef struct yoke_model_spec {
    yoke_family family;
    char from[1024]; /* absolute; "" none */
    int input_ndim;  /* layers */
    int64_t input[YOKE_MAX_DIMS];
    int nlayers;
    yoke_layer *layers;
    /* gpt2, llama; 0 where absent: `from` gives them */
    int64_t depth, heads, kv_heads, width, hidden, context, vocab; /* kv_heads 0 without `from`: heads */
    /* vocab 0 also with data.tokenizer: its size */
    int64_t head_dim; /* llama: of a head, 0: width / heads */
    int64_t window;   /* llama: what a token sees of those before it and itself, 0: all */
    double rope_theta, norm_eps, dropout;
    yoke_rope_scaling rope_scaling; /* llama; of `from` alone, and the next two */
    bool o_bias, mlp_bias;
    int tied;              /* llama: -1 absent */
    int qkv_bias, qk_norm; /* llama: -1 absent, as the family has them */
    yoke_texts freeze;     /* train.freeze: yoke_model_freeze takes them */
    yoke_adapter_spec adapter;
} yoke_model_spec;

typedef enum yoke_data_format {
    YOKE_DATA_TEXT,
    YOKE_DATA_TOKENS,
    YOKE_DATA_NPY,
    YOKE_DATA_CSV,
    YOKE_DATA_IDX,
    YOKE_DATA_RANDOM,
    YOKE_DATA_JSONL,
} yoke_data_format;

/* Which samples `holdout` keeps: the last ones, or a draw that depends on the seed and their number alone. */
typedef enum yoke_holdout { YOKE_HOLDOUT_END, YOKE_HOLDOUT_DRAW } yoke_holdout;
/* How inputs are scaled, column by column, by what the samples trained on have: to mean 0 and standard
 * deviation 1, or to 0 .. 1. */
typedef enum yoke_scale { YOKE_SCALE_NONE, YOKE_SCALE_STANDARD, YOKE_SCALE_MINMAX } yoke_scale;

/* How wide the ids of a token file without a header are (data.token_bytes); AUTO: uint32 where the vocabulary
 * is above 65536, else uint16. */
typedef enum yoke_token_type { YOKE_TOKENS_AUTO, YOKE_TOKENS_UINT16, YOKE_TOKENS_UINT32 } yoke_token_type;

/* How messages become text; AUTO: by the template beside the tokenizer. */
typedef enum yoke_chat { YOKE_CHAT_AUTO, YOKE_CHAT_CHATML, YOKE_CHAT_LLAMA3 } yoke_chat;

typedef struct yoke_data_spec {
    yoke_data_format format;
    yoke_texts paths; /* text, tokens, jsonl: files and patterns of them, in order; csv: one. Absolute */
    char inputs[1024], targets[1024]; /* absolute */
    char tokenizer[1024]; /* text, tokens, jsonl: a tokenizer.json, absolute; "": that of model.from, or text
                             is bytes */
    yoke_token_type token_type; /* tokens */
    yoke_chat chat;             /* jsonl, and the next two: */
    int pack;                   /* rows one behind the other; -1: where they are all of text */
    bool skip_long;             /* rows of which nothing is left to learn are left out */
    int ntarget_columns;        /* csv */
    char **target_columns;
    int64_t samples; /* random; default 1024 */
    bool shuffle, drop_last;
    double holdout;
    yoke_holdout holdout_by;
    yoke_scale scale; /* csv, npy */
} yoke_data_spec;

typedef enum yoke_optimizer { YOKE_SGD, YOKE_ADAM, YOKE_ADAMW, YOKE_LION, YOKE_MUON } yoke_optimizer;
/* How muon's learning rate depends on a matrix's shape: sqrt(max(1, rows / columns)), or 0.2 sqrt(max(rows,
 * columns)), with which its updates are about as large as AdamW's. */
typedef enum yoke_adjust_lr { YOKE_ADJUST_LR_ORIGINAL, YOKE_ADJUST_LR_MATCH_RMS_ADAMW } yoke_adjust_lr;
typedef enum yoke_rate_schedule {
    YOKE_RATE_CONSTANT,
    YOKE_RATE_LINEAR,
    YOKE_RATE_COSINE,
    YOKE_RATE_POLYNOMIAL,
    YOKE_RATE_WSD, /* warm-up, stable, decay */
} yoke_rate_schedule;
/* How the rate of YOKE_RATE_WSD falls: by half a cosine, in a line, or by 1 - sqrt(x). */
typedef enum yoke_decay_shape {
    YOKE_DECAY_COSINE,
    YOKE_DECAY_LINEAR,
    YOKE_DECAY_1_SQRT,
} yoke_decay_shape;

typedef struct yoke_train_options {
    int64_t steps;    /* 0: epochs say, and with epochs 0 a run of no steps */
    double epochs;    /* 0: absent */
    int64_t batch;    /* samples per optimizer step, over all devices and micro-batches */
    int64_t sequence; /* tokens per sample; 0: samples are not tokens. A job's default: the model's context */
    yoke_loss loss;   /* of a job; a model made in C has the one it was finished with */
    yoke_optimizer optimizer;
    double lr; /* above 0 */
    /* YOKE_USUAL: what the optimizer usually has, as docs/job-file.md says. What it does not take is refused
     */
    double momentum, beta1, beta2, eps, weight_decay;
    int nesterov;        /* true, false; -1: as the optimizer usually has it */
    bool decay_matrices; /* only tensors of two or more dims decay */
    /* muon: the iteration that makes updates of matrices orthogonal; and what AdamW has, by which all else is
     * updated */
    int64_t ns_steps;
    double ns_coefficients[3];
    yoke_adjust_lr adjust_lr_fn;
    double adamw_lr; /* where lr is the learning rate; 0: lr */
    double adamw_betas[2], adamw_eps;
    yoke_rate_schedule rate;
    int64_t warmup;
    double final_lr;
    double power;        /* polynomial: above 0 */
    int64_t decay_steps; /* wsd: the last so many steps; at least 1 */
    yoke_decay_shape decay_shape;
    double clip; /* 0: none */
    yoke_precision precision;
    uint64_t seed;
    bool shuffle, drop_last; /* order of the samples; a job's data section says, and the next three */
    double holdout;
    yoke_holdout holdout_by;
    yoke_scale scale; /* inputs that are token ids have none */
    /* steps in a row whose loss or gradient is not finite that are left out; 0: the first ends the run */
    int64_t skip_nonfinite;
    /* the samples held out are evaluated each so many steps, and after the last; 0: not on the way */
    int64_t eval_every;
    int64_t eval_batches; /* over the first so many batches of them; 0: all */
    int64_t patience;     /* the run ends when so many evaluations in a row were no better; 0: never */
    double timeout;       /* seconds in which no rank goes on before a step is lost; 0: any time */
} yoke_train_options;

#define YOKE_USUAL (-1e300)

/* The defaults of a job file: sgd, lr 1e-3, the rest of it as usual, batch 1. What a job's reader refuses of
 * these a trainer refuses too. */
YOKE_API void yoke_train_options_default(yoke_train_options *options);
#ifdef __cplusplus
static inline yoke_train_options yoke_train_options_made()
{
    yoke_train_options made;
    yoke_train_options_default(&made);
    return made;
}
#define YOKE_TRAIN_DEFAULT yoke_train_options_made()
#else
#define YOKE_TRAIN_DEFAULT                                                                                   \
    {                                                                                                        \
        .steps = 0, .batch = 1, .optimizer = YOKE_SGD, .lr = 1e-3, .momentum = YOKE_USUAL,                   \
        .beta1 = YOKE_USUAL, .beta2 = YOKE_USUAL, .eps = YOKE_USUAL, .weight_decay = YOKE_USUAL,             \
        .nesterov = -1, .ns_steps = 5, .ns_coefficients = {3.4445, -4.7750, 2.0315},                         \
        .adamw_betas = {0.9, 0.999}, .adamw_eps = 1e-8, .power = 1, .seed = 1, .shuffle = true,              \
        .timeout = 60                                                                                        \
    }
#endif

typedef enum yoke_on_error { YOKE_ON_ERROR_STOP, YOKE_ON_ERROR_CONTINUE } yoke_on_error;

typedef struct yoke_checkpoint_spec {
    char dir[1024];         /* absolute; "" none */
    int64_t every, keep;    /* 0: only the last step; keep 0: all */
    bool async;             /* a thread of the trainer's writes, from a copy in memory, while steps go on */
    bool best;              /* the step with the least held-out loss is saved too, and kept, as DIR/best */
    yoke_on_error on_error; /* what a save that fails before the last step does to the run */
} yoke_checkpoint_spec;

/* What `yoke launch` does where ranks are lost. */
typedef struct yoke_launch_spec {
    char fallbacks[1024]; /* layouts as yoke_layout_parse takes them, "; " between; "" none */
} yoke_launch_spec;

typedef struct yoke_job {
    char path[1024]; /* absolute */
    yoke_model_spec model;
    yoke_data_spec data;
    yoke_train_options train;
    yoke_layout layout;
    bool has_layout;
    uint32_t layout_named; /* the library's own: which keys of the layout the file or an override names */
    yoke_checkpoint_spec checkpoint;
    yoke_launch_spec launch;
} yoke_job;

/* Reads a job. overrides: "train.steps=20", in order, each as --set takes it: values are YAML in one line,
 * paths and schedules are taken as they are, null or nothing takes the key out. A flag of `yoke train` with
 * its value, "--dp=2" or "--layout=dp=2,zero=1", is an override too, and is what a sentence about it names.
 * Paths in overrides are relative to the current folder, those in the file to its own. Overrides void what of
 * the file they contradict: a degree of the layout its `devices`, steps its epochs and the other way round,
 * another optimizer, data format, ... what only the old one has.
 *
 * YOKE_INVALID with file, line and key (for overrides "" and 0: the sentence begins with them): bad YAML
 * (anchors, aliases, tags, blocks of text and several documents are refused), an unknown key (the nearest is
 * named), a value out of range, keys that contradict each other, a number of devices that does not fit the
 * degrees, a batch smaller than dp * microbatches. In the job, a dp that was not named is what the devices
 * leave. Owns: the caller; yoke_job_destroy. */
YOKE_API yoke_status yoke_job_load(const char *path, int noverrides, const char *const *overrides,
                                   yoke_job **job_out);
YOKE_API void yoke_job_destroy(yoke_job *job);

/* Devices that a job needs under a layout (NULL: its own): dp x cp x tp x pp, or dp times the devices that
 * its layers name. */
YOKE_API int yoke_job_devices(const yoke_job *job, const yoke_layout *layout);

/* The key of a job that a word means to most people: a key itself, the last name of only one ("lr"), or what
 * other programs call it ("learning-rate"). NULL: none. Static storage. */
YOKE_API const char *yoke_job_key_of(const char *word);
/* The words that are values of a key, NULL at the end: "true", "false" of a switch. NULL: it takes numbers,
 * texts or lists, or is none. Static storage. */
YOKE_API const char *const *yoke_job_key_values(const char *key);

/* The job as YAML with absolute paths, overrides applied and most defaults left out; it reads back as the
 * same job. Freed by the caller with free(). NULL when memory is out. */
YOKE_API char *yoke_job_print(const yoke_job *job);

#ifdef __cplusplus
}
#endif
#endif
