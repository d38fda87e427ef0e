/* The model of a job file: family `layers` layer by layer, with moves where `device:` changes, or a
 * transformer. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "job/job.h"
#include "model/adapter.h"

static yoke_tensor layer(yoke_model *model, const yoke_layer *spec, yoke_tensor x);

/* x + layers(x); the inner layers' names are "N.layers.0" and so on. */
static yoke_tensor residual(yoke_model *model, const yoke_layer *spec, yoke_tensor x)
{
    char prefix[sizeof model->prefix], name[16];
    int number = model->number;
    memcpy(prefix, model->prefix, sizeof prefix);
    snprintf(name, sizeof name, "%d", number);
    snprintf(model->prefix, sizeof model->prefix, "%.60s%s.layers.", prefix, name);
    model->number = 0;
    yoke_tensor y = x;
    int first = model->nlayers;
    for (int i = 0; i < spec->nlayers; i++) y = layer(model, &spec->layers[i], y);
    for (int i = first; i < model->nlayers; i++) model->layers[i].cut = i == first;
    memcpy(model->prefix, prefix, sizeof prefix);
    model->number = number + 1;
    if (model->error.status == YOKE_OK) {
        const yki_value *a = &model->values[x.index], *b = &model->values[y.index];
        if (a->ndim != b->ndim || memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof *a->dims) != 0)
            yki_graph_fail(model,
                           "residual '%s%s': its layers change the shape, so their output cannot be added to "
                           "their input",
                           prefix, name);
        else if (model->device >= 0)
            x = yoke_move(model, x, model->device);
    }
    yoke_model_name(model, name);
    y = yoke_add(model, x, y);
    if (model->nlayers > first + 1) model->layers[model->nlayers - 1].cut = false;
    return y;
}

static yoke_tensor layer(yoke_model *model, const yoke_layer *spec, yoke_tensor x)
{
    if (model->error.status != YOKE_OK) return x;
    if (spec->device >= 0) yoke_model_on(model, spec->device);
    if (model->device >= 0) x = yoke_move(model, x, model->device);
    switch (spec->type) {
    case YOKE_LAYER_LINEAR:
        return yoke_linear(model, x, spec->out, spec->bias);
    case YOKE_LAYER_CONV2D:
        return yoke_conv2d(model, x, spec->out, spec->kernel, spec->stride, spec->padding, spec->bias);
    case YOKE_LAYER_MAXPOOL2D:
        return yoke_maxpool2d(model, x, spec->kernel, spec->stride);
    case YOKE_LAYER_AVGPOOL2D:
        return yoke_avgpool2d(model, x, spec->kernel, spec->stride);
    case YOKE_LAYER_FLATTEN:
        return yoke_flatten(model, x);
    case YOKE_LAYER_EMBEDDING:
        return yoke_embedding(model, x, spec->rows, spec->out);
    case YOKE_LAYER_LAYERNORM:
        return yoke_layernorm(model, x, spec->eps);
    case YOKE_LAYER_RMSNORM:
        return yoke_rmsnorm(model, x, spec->eps);
    case YOKE_LAYER_BATCHNORM:
        return yoke_batchnorm(model, x, spec->eps, spec->momentum, spec->affine, spec->statistics);
    case YOKE_LAYER_GROUPNORM:
        return yoke_groupnorm(model, x, spec->groups, spec->eps, spec->affine);
    case YOKE_LAYER_ACTIVATION:
        return yoke_activate(model, x, spec->activation);
    case YOKE_LAYER_SOFTMAX:
        return yoke_softmax(model, x);
    case YOKE_LAYER_DROPOUT:
        return yoke_dropout(model, x, spec->p);
    case YOKE_LAYER_RESIDUAL:
        return residual(model, spec, x);
    }
    return x;
}

static bool names_devices(const yoke_layer *layers, int count)
{
    for (int i = 0; i < count; i++)
        if (layers[i].device >= 0 || names_devices(layers[i].layers, layers[i].nlayers)) return true;
    return false;
}

/* layers[0..] of a job; the line of the layer at fault goes into the record. */
static yoke_tensor row_of_layers(yoke_model *model, const yoke_job *job)
{
    const yoke_model_spec *spec = &job->model;
    bool tokens = spec->nlayers > 0 && spec->layers[0].type == YOKE_LAYER_EMBEDDING;
    yoke_tensor x = tokens && spec->input_ndim == 1 ? yoke_input_tokens(model, spec->input[0])
                                                    : yoke_input(model, spec->input_ndim, spec->input);
    if (names_devices(spec->layers, spec->nlayers)) yoke_model_on(model, 0);
    for (int i = 0; i < spec->nlayers; i++) {
        x = layer(model, &spec->layers[i], x);
        if (model->error.status != YOKE_OK && model->error.line == 0) {
            snprintf(model->error.file, sizeof model->error.file, "%.255s", job->path);
            model->error.line = spec->layers[i].line;
            snprintf(model->error.key, sizeof model->error.key, "model.layers.%d", i);
        }
    }
    return x;
}

static yoke_tensor gpt2(yoke_model *model, const yoke_job *job)
{
    const yoke_model_spec *spec = &job->model;
    yoke_gpt2_options options = {.layers = spec->depth,
                                 .heads = spec->heads,
                                 .width = spec->width,
                                 .context = spec->context,
                                 .vocab = spec->vocab,
                                 .sequence = job->train.sequence,
                                 .dropout = spec->dropout,
                                 .norm_eps = spec->norm_eps};
    return yoke_gpt2(model, &options);
}

static yoke_tensor llama(yoke_model *model, const yoke_job *job)
{
    const yoke_model_spec *spec = &job->model;
    yoke_llama_options options = {.layers = spec->depth,
                                  .heads = spec->heads,
                                  .kv_heads = spec->kv_heads,
                                  .head_dim = spec->head_dim,
                                  .width = spec->width,
                                  .hidden = spec->hidden,
                                  .context = spec->context,
                                  .vocab = spec->vocab,
                                  .sequence = job->train.sequence,
                                  .window = spec->window,
                                  .dropout = spec->dropout,
                                  .norm_eps = spec->norm_eps,
                                  .rope_theta = spec->rope_theta,
                                  .rope_scaling = spec->rope_scaling,
                                  .qkv_bias = yki_spec_has_qkv_bias(spec),
                                  .o_bias = spec->o_bias,
                                  .mlp_bias = spec->mlp_bias,
                                  .qk_norm = yki_spec_has_qk_norm(spec),
                                  .tied = spec->tied > 0};
    return yoke_llama(model, &options);
}

/* An error, if there is one, is of that key. */
static void blame(yoke_model *model, const yoke_job *job, const char *key, int line)
{
    if (model->error.status == YOKE_OK) return;
    snprintf(model->error.file, sizeof model->error.file, "%.255s", job->path);
    model->error.line = line;
    snprintf(model->error.key, sizeof model->error.key, "%s", key);
}

static void adapt(yoke_model *model, const yoke_job *job)
{
    const yoke_adapter_spec *a = &job->model.adapter;
    if (a->kind != YOKE_ADAPTER_LORA) return;
    yoke_model_adapt(model, &(yoke_adapter){.rank = a->rank,
                                            .alpha = a->alpha,
                                            .dropout = a->dropout,
                                            .rank_stabilized = a->rank_stabilized,
                                            .ntargets = a->targets.count,
                                            .targets = (const char *const *)a->targets.list});
}

/* What a job adapts is there. */
static void check_adapter(yoke_model *model, const yoke_job *job)
{
    if (model->error.status != YOKE_OK) return;
    yki_model_check_adapter(model);
    blame(model, job, "model.adapter.targets", job->model.adapter.targets.line);
}

/* What a job freezes; the line at fault goes into the record. */
static void freeze(yoke_model *model, const yoke_job *job)
{
    const yoke_model_spec *spec = &job->model;
    for (int i = 0; i < spec->freeze.count && model->error.status == YOKE_OK; i++) {
        yoke_model_freeze(model, spec->freeze.list[i]);
        blame(model, job, "train.freeze", spec->freeze.line);
    }
}

yoke_status yki_model_from_job(const yoke_job *job, yoke_model **model_out)
{
    static yoke_tensor (*const builders[])(yoke_model *, const yoke_job *) = {
        [YOKE_FAMILY_LAYERS] = row_of_layers, [YOKE_FAMILY_GPT2] = gpt2,   [YOKE_FAMILY_LLAMA] = llama,
        [YOKE_FAMILY_MISTRAL] = llama,        [YOKE_FAMILY_QWEN2] = llama, [YOKE_FAMILY_QWEN3] = llama};
    yoke_model *model;
    YKI_TRY(yoke_model_create(&model));
    adapt(model, job);
    yoke_tensor output = builders[job->model.family](model, job);
    check_adapter(model, job);
    freeze(model, job);
    yoke_status status = yoke_model_status(model);
    if (status == YOKE_OK) status = yoke_model_finish(model, output, job->train.loss);
    if (status != YOKE_OK) {
        yoke_model_destroy(model);
        return status;
    }
    *model_out = model;
    return YOKE_OK;
}
