/* Models: a graph of logical tensors, described once, without a word of how it is split.
 *
 * A builder keeps the first error it meets; later calls on it do nothing and return an invalid tensor, so
 * that a model can be written down in a row and checked once, by yoke_model_finish (yoke_model_status tells
 * it before). Nothing can be added after that. Shapes are those of one sample: the batch is a dimension of
 * its own that no call names. Builders are used by one thread at a time.
 */
#ifndef YOKE_MODEL_H
#define YOKE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YOKE_MAX_DIMS 6

typedef struct yoke_model yoke_model;

/* A logical tensor of a model; index < 0 is no tensor (the model's status says why). */
typedef struct yoke_tensor {
    int32_t index;
    uint32_t model; /* which made it */
} yoke_tensor;

typedef enum yoke_activation {
    YOKE_RELU,
    YOKE_GELU,      /* exact, by the error function */
    YOKE_GELU_TANH, /* the tanh approximation that GPT-2 uses */
    YOKE_TANH,
    YOKE_SIGMOID,
    YOKE_SILU,
} yoke_activation;

typedef enum yoke_loss { YOKE_CROSS_ENTROPY, YOKE_MSE } yoke_loss;

/* The shape of a GPT-2. All are counts; dropout is a probability in [0, 1). */
typedef struct yoke_gpt2_options {
    int64_t layers, heads, width, context, vocab;
    int64_t sequence; /* tokens per sample, at most context */
    double dropout;
    double norm_eps; /* 0: 1e-5 */
} yoke_gpt2_options;

/* How rotary positions are stretched past the context that a model was first trained on, after Llama 3.1:
 * turns longer than context / low tokens get `factor` times as long, turns shorter than context / high stay,
 * and between the two the change is gradual. low, high and context 0: all turns get `factor` times as long.
 * factor 0: not at all. */
typedef struct yoke_rope_scaling {
    double factor, low, high, context;
} yoke_rope_scaling;

/* The shape of a Llama, or of what is built as one is: Mistral (a window), Qwen2 (biases of q, k and v),
 * Qwen3 (norms of q and k). Counts, and a probability in [0, 1) of dropping attention's weights. */
typedef struct yoke_llama_options {
    int64_t layers, heads, width, context, vocab;
    int64_t kv_heads; /* heads of keys and values, a divisor of heads; 0: heads */
    int64_t head_dim; /* width of a head, even; 0: width / heads */
    int64_t hidden;   /* between the products of a block's second half */
    int64_t sequence; /* tokens per sample, at most context */
    int64_t window;   /* token t sees t-window+1 .. t; 0: all before it and itself */
    double dropout;
    double norm_eps;   /* 0: 1e-6 */
    double rope_theta; /* 0: 10000 */
    yoke_rope_scaling rope_scaling;
    bool qkv_bias, o_bias, mlp_bias; /* of the products of attention's inputs, its output, the second half */
    bool qk_norm;                    /* RMSNorm over each head of q and k, before positions turn them */
    bool tied;                       /* the head's weight is the embedding's */
} yoke_llama_options;

/* Creates an empty model. Owns: the caller, who destroys it with yoke_model_destroy. */
YOKE_API yoke_status yoke_model_create(yoke_model **model_out);
YOKE_API void yoke_model_destroy(yoke_model *model);

/* YOKE_OK, or the first error that building met; the record is set anew. */
YOKE_API yoke_status yoke_model_status(const yoke_model *model);

/* Layers made from here on belong to part `device`: the device-th of a replica's devices. A model in which no
 * device was named has one part, and the layout may split it. */
YOKE_API void yoke_model_on(yoke_model *model, int device);

/* Names the layers made from here on: parameters become "NAME.weight", "NAME.bias". Without a name a layer
 * takes its number, counted from 0 over all layers, as in PyTorch's nn.Sequential. The string is copied. */
YOKE_API void yoke_model_name(yoke_model *model, const char *name);

/* Parameters that do not train: those whose names the shell pattern matches (`*` passes dots, as all else),
 * of the layers made so far. A tied tensor has two names, and a leading "transformer." is allowed for. They
 * have no gradient, no moments and no part in the gradient's norm, and nothing is computed back through
 * layers before which nothing trains. A pattern that matches none is an error, which names what is near.
 * Under bf16 they are kept in bf16 alone. */
YOKE_API void yoke_model_freeze(yoke_model *model, const char *pattern);

/* LoRA: low-rank adapters beside linear layers of a gpt2 or llama, y = W x + b + (alpha / rank) B A
 * dropout(x). */
typedef struct yoke_adapter {
    int64_t rank;
    double alpha, dropout;
    bool rank_stabilized; /* alpha / sqrt(rank) instead */
    int ntargets;
    const char *const
        *targets; /* last parts of the layers' names, "q_proj"; "all-linear": all but the head */
} yoke_adapter;

/* Adapters for what yoke_gpt2 or yoke_llama makes after it; all other weights are frozen. They are called as
 * the package PEFT calls them: A begins uniform in +-1/sqrt(in), B with zeros. yoke_model_finish refuses a
 * target that is no linear layer's. Strings are copied. */
YOKE_API void yoke_model_adapt(yoke_model *model, const yoke_adapter *adapter);

/* The samples. dims: shape of one sample of f32 values. */
YOKE_API yoke_tensor yoke_input(yoke_model *model, int ndim, const int64_t *dims);
/* Samples of token ids (int32): [length]. */
YOKE_API yoke_tensor yoke_input_tokens(yoke_model *model, int64_t length);

/* y = x W^T + b over the last dim: weight [out, in], bias [out]. First values uniform, +-1/sqrt(in). */
YOKE_API yoke_tensor yoke_linear(yoke_model *model, yoke_tensor x, int64_t out, bool bias);
/* x [C,H,W] -> [out,H',W']: weight [out, C, kernel, kernel]. */
YOKE_API yoke_tensor yoke_conv2d(yoke_model *model, yoke_tensor x, int64_t out, int64_t kernel,
                                 int64_t stride, int64_t padding, bool bias);
YOKE_API yoke_tensor yoke_maxpool2d(yoke_model *model, yoke_tensor x, int64_t kernel, int64_t stride);
YOKE_API yoke_tensor yoke_avgpool2d(yoke_model *model, yoke_tensor x, int64_t kernel, int64_t stride);
YOKE_API yoke_tensor yoke_flatten(yoke_model *model, yoke_tensor x);
/* Token ids [T] -> [T, out]: weight [rows, out], first values normal(0, 1). */
YOKE_API yoke_tensor yoke_embedding(yoke_model *model, yoke_tensor ids, int64_t rows, int64_t out);
/* Over the last dim, with weight and bias. eps 0: 1e-5. */
YOKE_API yoke_tensor yoke_layernorm(yoke_model *model, yoke_tensor x, double eps);
/* Over the last dim, with weight. eps 0: 1e-6. */
YOKE_API yoke_tensor yoke_rmsnorm(yoke_model *model, yoke_tensor x, double eps);
/* Group norm, as PyTorch's GroupNorm: x [C], [C,L] or [C,H,W], each sample's channels in `groups` of as many,
 * which C must divide by; each group over its channels and places, with biased variance. affine: with weight
 * and bias of each channel. eps 0: 1e-5. */
YOKE_API yoke_tensor yoke_groupnorm(yoke_model *model, yoke_tensor x, int64_t groups, double eps,
                                    bool affine);
/* Batch norm of each channel over samples and places: x [C], [C,L] or [C,H,W], as PyTorch's BatchNorm1d and
 * 2d. In training by mean and biased variance of the micro-batch, which are tracked in the buffers
 * running_mean and running_var (unbiased): running = (1 - momentum) running + momentum now, once a
 * micro-batch; forward-only passes use those. A micro-batch that has one value of a channel is tracked by
 * none. statistics: of a micro-batch's samples on all data-parallel ranks, or of each rank's own (then rank
 * 0's are tracked). affine: with weight and bias. eps 0: 1e-5; momentum in [0, 1]. */
typedef enum yoke_statistics { YOKE_STATISTICS_GLOBAL, YOKE_STATISTICS_LOCAL } yoke_statistics;
YOKE_API yoke_tensor yoke_batchnorm(yoke_model *model, yoke_tensor x, double eps, double momentum,
                                    bool affine, yoke_statistics statistics);
YOKE_API yoke_tensor yoke_activate(yoke_model *model, yoke_tensor x, yoke_activation kind);
/* Over the last dim. */
YOKE_API yoke_tensor yoke_softmax(yoke_model *model, yoke_tensor x);
YOKE_API yoke_tensor yoke_dropout(yoke_model *model, yoke_tensor x, double p);
/* Same shapes. */
YOKE_API yoke_tensor yoke_add(yoke_model *model, yoke_tensor a, yoke_tensor b);
/* The same values on part `device`: what `copy` moves. Every operator's inputs must be on its own part; one
 * that is not is refused by name. */
YOKE_API yoke_tensor yoke_move(yoke_model *model, yoke_tensor x, int device);

/* A whole GPT-2 from tokens to logits [T, vocab], with Hugging Face's tensor names and a tied head. */
YOKE_API yoke_tensor yoke_gpt2(yoke_model *model, const yoke_gpt2_options *options);

/* A whole Llama from tokens to logits [T, vocab], with Hugging Face's tensor names and its order of rows in q
 * and k (positions turn element i of a head with element i + d/2). */
YOKE_API yoke_tensor yoke_llama(yoke_model *model, const yoke_llama_options *options);

/* Ends the model: `output` is what predictions return and what `loss` compares with the targets.
 * Cross-entropy: output [..., classes], targets int32 [...]; mean squared error: targets of the output's
 * shape, mean over elements. */
YOKE_API yoke_status yoke_model_finish(yoke_model *model, yoke_tensor output, yoke_loss loss);

/* What a finished model is made of. */
YOKE_API int64_t yoke_model_parameters(const yoke_model *model); /* elements, tied tensors once */
YOKE_API int yoke_model_output_dims(const yoke_model *model, int64_t dims[YOKE_MAX_DIMS]); /* returns ndim */
/* Layers in order: name and part of layer i; NULL past the last. Borrowed. */
YOKE_API const char *yoke_model_layer(const yoke_model *model, int i, int *device_out);

#ifdef __cplusplus
}
#endif
#endif
