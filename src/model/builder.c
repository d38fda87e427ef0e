/* The public model builder: layers as a person writes them, over the graph. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "model/adapter.h"

yoke_status yoke_model_create(yoke_model **model_out)
{
    static _Atomic uint32_t made;
    YKI_NEED(model_out);
    yoke_model *model = calloc(1, sizeof *model);
    if (!model) return yki_fail_memory("a model");
    model->serial = ++made;
    model->device = YKI_NO_DEVICE;
    model->input = model->target = model->output = model->places = model->picked = -1;
    *model_out = model;
    return YOKE_OK;
}

void yoke_model_destroy(yoke_model *model)
{
    if (!model) return;
    yki_arena_release(&model->arena);
    free(model);
}

yoke_status yoke_model_status(const yoke_model *model)
{
    YKI_NEED(model);
    if (model->error.status != YOKE_OK) yki_error_set(&model->error);
    return model->error.status;
}

/* Whether a builder's call has a model that can still grow; else it is said, in the model where there is one.
 */
bool yki_model_grows(yoke_model *model, const char *function)
{
    if (!model)
        yki_fail(YOKE_INVALID, "%s: model is NULL", function);
    else if (model->finished)
        yki_graph_fail(model, "%s: the model is finished, nothing can be added to it", function);
    return model && model->error.status == YOKE_OK;
}

void yoke_model_on(yoke_model *model, int device)
{
    if (!yki_model_grows(model, __func__)) return;
    if (device < 0 || device >= YOKE_MAX_DEVICES) {
        yki_graph_fail(model, "device %d: a part is on device 0 .. %d", device, YOKE_MAX_DEVICES - 1);
        return;
    }
    for (int i = 0; i < model->nlayers && model->device == YKI_NO_DEVICE; i++) model->layers[i].device = 0;
    for (int i = 0; i < model->nvalues && model->device == YKI_NO_DEVICE; i++)
        if (model->values[i].device == YKI_NO_DEVICE) model->values[i].device = 0;
    model->device = device;
}

void yoke_model_name(yoke_model *model, const char *name)
{
    if (!yki_model_grows(model, __func__)) return;
    if (!name || strlen(name) >= sizeof model->name) {
        yki_graph_fail(model, name ? "a layer's name '%.40s...' has more than %zu bytes" : "%s: name is NULL",
                       name ? name : __func__, sizeof model->name - 1);
        return;
    }
    snprintf(model->name, sizeof model->name, "%s", name);
}

/* Whether x is a tensor of this model, to which something may be added. */
static bool is_of(yoke_model *model, yoke_tensor x, const char *kind)
{
    if (!yki_model_grows(model, kind)) return false;
    if (x.index >= 0 && x.index < model->nvalues && x.model == model->serial) return true;
    yki_graph_fail(model, "%s number %d is given a tensor that is none of this model's", kind,
                   model->nlayers);
    return false;
}

enum { ANY = YOKE_MAX_DIMS };

/* Whether a layer may take x: it is a tensor of this model, on the current part, of `least` to `most` dims.
 * kind names the layer in the sentence. */
static bool takes_any(yoke_model *model, yoke_tensor x, const char *kind, int least, int most,
                      const char *shape)
{
    if (!is_of(model, x, kind)) return false;
    const yki_value *value = &model->values[x.index];
    if (value->device != YKI_ANY_DEVICE && value->device != model->device) {
        const char *from = value->producer >= 0 && model->nodes[value->producer].layer >= 0
                               ? model->layers[model->nodes[value->producer].layer].name
                               : "the input";
        char name[224];
        snprintf(name, sizeof name, "%s%s", model->prefix, model->name);
        if (!model->name[0]) snprintf(name, sizeof name, "%s%d", model->prefix, model->number);
        yki_graph_fail(model,
                       "%s '%s' is on device %d, but its input, the output of '%s', is on device %d; move it "
                       "there with yoke_move",
                       kind, name, model->device, from, value->device);
        return false;
    }
    if (value->ndim < least || value->ndim > most) {
        yki_graph_fail(model, "%s '%s%d' wants samples of shape %s, and is given %d dimension%s", kind,
                       model->prefix, model->number, shape, value->ndim, value->ndim == 1 ? "" : "s");
        return false;
    }
    return true;
}

/* The same, and x is numbers, not token ids. */
static bool takes(yoke_model *model, yoke_tensor x, const char *kind, int least, int most, const char *shape)
{
    if (!takes_any(model, x, kind, least, most, shape)) return false;
    if (model->values[x.index].role != YKI_ROLE_INDEX) return true;
    yki_graph_fail(model, "%s '%s%d' is given token ids, not numbers; an embedding makes numbers of them",
                   kind, model->prefix, model->number);
    return false;
}

static bool counts_to(yoke_model *model, const char *kind, const char *what, int64_t count, int64_t least,
                      int64_t most)
{
    if (count >= least && count <= most) return true;
    yki_graph_fail(model, "%s '%s%d': %s is %lld, and must be %lld to %lld", kind, model->prefix,
                   model->number, what, (long long)count, (long long)least, (long long)most);
    return false;
}

/* Refuses a count below `least`, and one that no tensor can have. */
static bool counts(yoke_model *model, const char *kind, const char *what, int64_t count, int64_t least)
{
    return counts_to(model, kind, what, count, least, YKI_MOST_ELEMS);
}

/* The same for windows over images: libraries count these in 32 bits. */
static bool counts_window(yoke_model *model, const char *kind, const char *what, int64_t count, int64_t least)
{
    return counts_to(model, kind, what, count, least, 1 << 20);
}

static int source(yoke_model *model, int op, yki_role role, int ndim, const int64_t *dims)
{
    int value = -1;
    if (model->error.status == YOKE_OK && yki_graph_node(model, op, NULL, 0, NULL) < 0 &&
        model->error.status == YOKE_OK) {
        value = yki_graph_value(model, role, true, ndim, dims);
        yki_node *node = &model->nodes[model->nnodes - 1];
        node->out[node->nout++] = value;
        node->layer = -1;
        if (value >= 0) model->values[value].device = YKI_ANY_DEVICE;
    }
    return value;
}

yoke_tensor yoke_input(yoke_model *model, int ndim, const int64_t *dims)
{
    if (!yki_model_grows(model, __func__)) return yki_tensor(model, -1);
    if (!dims) yki_graph_fail(model, "%s: dims is NULL", __func__);
    if (ndim < 1 || ndim > YOKE_MAX_DIMS - 2)
        yki_graph_fail(model, "a sample has %d dimensions; it may have 1 to %d", ndim, YOKE_MAX_DIMS - 2);
    for (int i = 0; i < ndim && model->error.status == YOKE_OK; i++)
        counts(model, "input", "a dimension", dims[i], 1);
    if (model->input >= 0) yki_graph_fail(model, "a model has one input");
    return yki_tensor(model, model->input = source(model, YKI_OP_INPUT, YKI_ROLE_ACTIVATION, ndim, dims));
}

yoke_tensor yoke_input_tokens(yoke_model *model, int64_t length)
{
    if (!yki_model_grows(model, __func__)) return yki_tensor(model, -1);
    counts(model, "input", "the length", length, 1);
    if (model->input >= 0) yki_graph_fail(model, "a model has one input");
    model->input = source(model, YKI_OP_INPUT, YKI_ROLE_INDEX, 1, &length);
    model->is_sequence = true;
    return yki_tensor(model, model->input);
}

static int parameter(yoke_model *model, const char *layer, const char *name, int ndim, const int64_t *dims,
                     yki_init init, double scale)
{
    char full[160];
    snprintf(full, sizeof full, "%.120s.%s", layer, name);
    return yki_graph_parameter(model, full, ndim, dims, false, init, scale);
}

yoke_tensor yoke_linear(yoke_model *model, yoke_tensor x, int64_t out, bool bias)
{
    if (!takes(model, x, "linear layer", 1, ANY, "[..., in]") ||
        !counts(model, "linear layer", "out", out, 1))
        return yki_tensor(model, -1);
    const yki_value *value = &model->values[x.index];
    int64_t dims[2] = {out, value->dims[value->ndim - 1]};
    double scale = 1 / sqrt((double)dims[1]);
    const char *name = yki_graph_layer(model, true);
    int in[3] = {x.index, parameter(model, name, "weight", 2, dims, YKI_INIT_UNIFORM, scale), -1};
    if (bias) in[2] = parameter(model, name, "bias", 1, dims, YKI_INIT_UNIFORM, scale);
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_LINEAR, NULL, 3, in));
}

yoke_tensor yoke_conv2d(yoke_model *model, yoke_tensor x, int64_t out, int64_t kernel, int64_t stride,
                        int64_t padding, bool bias)
{
    const char *kind = "conv2d layer";
    if (!takes(model, x, kind, 3, 3, "[channels, height, width]") || !counts(model, kind, "out", out, 1) ||
        !counts_window(model, kind, "kernel", kernel, 1) ||
        !counts_window(model, kind, "stride", stride, 1) ||
        !counts_window(model, kind, "padding", padding, 0))
        return yki_tensor(model, -1);
    const yki_value *value = &model->values[x.index];
    for (int i = 1; i < 3; i++)
        if (value->dims[i] + 2 * padding < kernel)
            yki_graph_fail(
                model,
                "conv2d layer '%s%d': a kernel of %lld does not fit images of %lld x %lld with padding %lld",
                model->prefix, model->number, (long long)kernel, (long long)value->dims[1],
                (long long)value->dims[2], (long long)padding);
    int64_t dims[4] = {out, value->dims[0], kernel, kernel};
    double scale = 1 / sqrt((double)(dims[1] * kernel * kernel));
    yki_attr attr = {.kernel = kernel, .stride = stride, .padding = padding};
    const char *name = yki_graph_layer(model, true);
    int in[3] = {x.index, parameter(model, name, "weight", 4, dims, YKI_INIT_UNIFORM, scale), -1};
    if (bias) in[2] = parameter(model, name, "bias", 1, dims, YKI_INIT_UNIFORM, scale);
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_CONV2D, &attr, 3, in));
}

static yoke_tensor pool(yoke_model *model, yoke_tensor x, int64_t kernel, int64_t stride, int op,
                        const char *kind)
{
    if (!takes(model, x, kind, 3, 3, "[channels, height, width]") ||
        !counts_window(model, kind, "kernel", kernel, 1) || !counts_window(model, kind, "stride", stride, 1))
        return yki_tensor(model, -1);
    const yki_value *value = &model->values[x.index];
    if (value->dims[1] < kernel || value->dims[2] < kernel)
        yki_graph_fail(model, "%s '%s%d': a kernel of %lld does not fit images of %lld x %lld", kind,
                       model->prefix, model->number, (long long)kernel, (long long)value->dims[1],
                       (long long)value->dims[2]);
    yki_attr attr = {.kernel = kernel, .stride = stride};
    yki_graph_layer(model, true);
    return yki_tensor(model, yki_graph_node(model, op, &attr, 1, &x.index));
}

yoke_tensor yoke_maxpool2d(yoke_model *model, yoke_tensor x, int64_t kernel, int64_t stride)
{
    return pool(model, x, kernel, stride, YKI_KERNEL_MAXPOOL2D, "maxpool2d layer");
}

yoke_tensor yoke_avgpool2d(yoke_model *model, yoke_tensor x, int64_t kernel, int64_t stride)
{
    return pool(model, x, kernel, stride, YKI_KERNEL_AVGPOOL2D, "avgpool2d layer");
}

yoke_tensor yoke_flatten(yoke_model *model, yoke_tensor x)
{
    if (!takes(model, x, "flatten layer", 1, ANY, "[...]")) return yki_tensor(model, -1);
    yki_graph_layer(model, true);
    return yki_tensor(model, yki_graph_node(model, YKI_OP_RESHAPE, NULL, 1, &x.index));
}

yoke_tensor yoke_embedding(yoke_model *model, yoke_tensor ids, int64_t rows, int64_t out)
{
    if (!takes_any(model, ids, "embedding", 1, ANY, "[tokens]") ||
        !counts(model, "embedding", "rows", rows, 1) || !counts(model, "embedding", "out", out, 1))
        return yki_tensor(model, -1);
    if (model->values[ids.index].role != YKI_ROLE_INDEX) {
        yki_graph_fail(model, "embedding '%s%d' is given numbers, not token ids", model->prefix,
                       model->number);
        return yki_tensor(model, -1);
    }
    int64_t dims[2] = {rows, out};
    const char *name = yki_graph_layer(model, true);
    int in[2] = {ids.index, parameter(model, name, "weight", 2, dims, YKI_INIT_NORMAL, 1)};
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_EMBED, NULL, 2, in));
}

/* eps, or where it is 0 what is usual; it must be at least 0. */
static bool takes_eps(yoke_model *model, const char *kind, double eps, double usual, double *eps_out)
{
    *eps_out = eps == 0 ? usual : eps;
    if (eps >= 0 && isfinite(eps)) return true;
    yki_graph_fail(model, "%s '%s%d': eps is %g, and must be at least 0", kind, model->prefix, model->number,
                   eps);
    return false;
}

yoke_tensor yoke_layernorm(yoke_model *model, yoke_tensor x, double eps)
{
    yki_attr attr = {0};
    if (!takes(model, x, "layernorm", 1, ANY, "[..., width]") ||
        !takes_eps(model, "layernorm", eps, 1e-5, &attr.eps))
        return yki_tensor(model, -1);
    const yki_value *value = &model->values[x.index];
    int64_t width = value->dims[value->ndim - 1];
    const char *name = yki_graph_layer(model, true);
    int in[3] = {x.index, parameter(model, name, "weight", 1, &width, YKI_INIT_ONE, 0),
                 parameter(model, name, "bias", 1, &width, YKI_INIT_ZERO, 0)};
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_LAYERNORM, &attr, 3, in));
}

yoke_tensor yoke_rmsnorm(yoke_model *model, yoke_tensor x, double eps)
{
    yki_attr attr = {0};
    if (!takes(model, x, "rmsnorm", 1, ANY, "[..., width]") ||
        !takes_eps(model, "rmsnorm", eps, 1e-6, &attr.eps))
        return yki_tensor(model, -1);
    const yki_value *value = &model->values[x.index];
    int64_t width = value->dims[value->ndim - 1];
    const char *name = yki_graph_layer(model, true);
    int in[2] = {x.index, parameter(model, name, "weight", 1, &width, YKI_INIT_ONE, 0)};
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_RMSNORM, &attr, 2, in));
}

/* A weight and a bias of each channel, or neither. */
static void norm_weights(yoke_model *model, const char *name, int64_t channels, bool affine, int weights[2])
{
    weights[0] = affine ? parameter(model, name, "weight", 1, &channels, YKI_INIT_ONE, 0) : -1;
    weights[1] = affine ? parameter(model, name, "bias", 1, &channels, YKI_INIT_ZERO, 0) : -1;
}

yoke_tensor yoke_groupnorm(yoke_model *model, yoke_tensor x, int64_t groups, double eps, bool affine)
{
    const char *kind = "groupnorm", *shape = "[channels], [channels, length] or [channels, height, width]";
    double used;
    if (!takes(model, x, kind, 1, 3, shape) || !takes_eps(model, kind, eps, 1e-5, &used) ||
        !counts(model, kind, "groups", groups, 1))
        return yki_tensor(model, -1);
    int64_t channels = model->values[x.index].dims[0];
    if (channels % groups != 0) {
        yki_graph_fail(
            model,
            "groupnorm '%s%d': its input has %lld channels, which %lld groups cannot share evenly; choose "
            "a divisor of %lld",
            model->prefix, model->number, (long long)channels, (long long)groups, (long long)channels);
        return yki_tensor(model, -1);
    }
    yki_attr attr = {.eps = used, .global = groups};
    int in[3] = {x.index};
    norm_weights(model, yki_graph_layer(model, true), channels, affine, in + 1);
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_GROUPNORM, &attr, 3, in));
}

/* Its parameters and buffers, with the names that PyTorch gives them. */
static void batchnorm_tensors(yoke_model *model, const char *name, int64_t channels, const yki_attr *attr,
                              bool affine, int weights[2], int running[2])
{
    char full[160];
    norm_weights(model, name, channels, affine, weights);
    snprintf(full, sizeof full, "%.120s.running_mean", name);
    running[0] = yki_graph_buffer(model, full, channels, YKI_INIT_ZERO, attr);
    snprintf(full, sizeof full, "%.120s.running_var", name);
    running[1] = yki_graph_buffer(model, full, channels, YKI_INIT_ONE, attr);
    yki_counter *counter = running[1] >= 0 ? YKI_APPEND(&model->arena, model, counters) : NULL;
    if (!counter) {
        yki_graph_fail_memory(model);
        return;
    }
    counter->name = yki_arena_print(&model->arena, "%s.num_batches_tracked", name);
    counter->of = model->parameters[model->nparameters - 1].buffer;
    if (!counter->name) yki_graph_fail_memory(model);
}

yoke_tensor yoke_batchnorm(yoke_model *model, yoke_tensor x, double eps, double momentum, bool affine,
                           yoke_statistics statistics)
{
    const char *kind = "batchnorm", *shape = "[channels], [channels, length] or [channels, height, width]";
    double used;
    if (!takes(model, x, kind, 1, 3, shape) || !takes_eps(model, kind, eps, 1e-5, &used))
        return yki_tensor(model, -1);
    if (statistics != YOKE_STATISTICS_GLOBAL && statistics != YOKE_STATISTICS_LOCAL) {
        yki_graph_fail(model, "batchnorm '%s%d': %d is no kind of statistics", model->prefix, model->number,
                       (int)statistics);
        return yki_tensor(model, -1);
    }
    yki_value value = model->values[x.index];
    if (!(momentum >= 0 && momentum <= 1)) {
        yki_graph_fail(model, "batchnorm '%s%d': momentum is %g, and must be 0 to 1", model->prefix,
                       model->number, momentum);
        return yki_tensor(model, -1);
    }
    yki_attr attr = {.eps = used,
                     .momentum = momentum,
                     .own_statistics = statistics == YOKE_STATISTICS_LOCAL,
                     .inner = yki_value_elems(&value) / value.dims[0]};
    int weights[2], running[2];
    batchnorm_tensors(model, yki_graph_layer(model, true), value.dims[0], &attr, affine, weights, running);
    int sum = yki_graph_node(model, YKI_KERNEL_BATCH_SUM, &attr, 1, &x.index);
    int squares = yki_graph_node(model, YKI_KERNEL_BATCH_SQUARES, &attr, 2, (int[]){x.index, sum});
    int track[4] = {sum, squares, running[0], running[1]};
    int stats = yki_graph_node(model, YKI_KERNEL_BATCH_STATS, &attr, 4, track);
    yki_graph_node(model, YKI_KERNEL_BATCH_TRACK, &attr, 4, track);
    int in[4] = {x.index, stats, weights[0], weights[1]};
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_BATCHNORM, &attr, 4, in));
}

yoke_tensor yoke_activate(yoke_model *model, yoke_tensor x, yoke_activation kind)
{
    if (!takes(model, x, "activation", 1, ANY, "[...]")) return yki_tensor(model, -1);
    if ((unsigned)kind > YOKE_SILU) {
        yki_graph_fail(model, "activation '%s%d': %d is no kind of activation", model->prefix, model->number,
                       (int)kind);
        return yki_tensor(model, -1);
    }
    yki_attr attr = {.activation = kind};
    yki_graph_layer(model, true);
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_ACTIVATE, &attr, 1, &x.index));
}

yoke_tensor yoke_softmax(yoke_model *model, yoke_tensor x)
{
    if (!takes(model, x, "softmax", 1, ANY, "[...]")) return yki_tensor(model, -1);
    yki_graph_layer(model, true);
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_SOFTMAX, NULL, 1, &x.index));
}

yoke_tensor yoke_dropout(yoke_model *model, yoke_tensor x, double p)
{
    if (!takes(model, x, "dropout", 1, ANY, "[...]")) return yki_tensor(model, -1);
    if (!(p >= 0 && p < 1)) {
        yki_graph_fail(model, "dropout '%s%d': p is %g, and must be at least 0 and below 1", model->prefix,
                       model->number, p);
        return yki_tensor(model, -1);
    }
    const char *name = yki_graph_layer(model, true);
    return yki_tensor(model, p > 0 ? yki_model_dropout(model, x.index, p, name) : x.index);
}

yoke_tensor yoke_add(yoke_model *model, yoke_tensor a, yoke_tensor b)
{
    if (!takes(model, a, "sum", 1, ANY, "[...]") || !takes(model, b, "sum", 1, ANY, "[...]"))
        return yki_tensor(model, -1);
    const yki_value *x = &model->values[a.index], *y = &model->values[b.index];
    if (x->ndim != y->ndim || memcmp(x->dims, y->dims, (size_t)x->ndim * sizeof *x->dims) != 0) {
        yki_graph_fail(model, "sum '%s%d': the shapes of its two inputs differ", model->prefix,
                       model->number);
        return yki_tensor(model, -1);
    }
    yki_graph_layer(model, true);
    int in[2] = {a.index, b.index};
    return yki_tensor(model, yki_graph_node(model, YKI_KERNEL_ADD, NULL, 2, in));
}

yoke_tensor yoke_move(yoke_model *model, yoke_tensor x, int device)
{
    if (!is_of(model, x, "move")) return yki_tensor(model, -1);
    int from = model->device;
    yoke_model_on(model, device);
    if (model->error.status != YOKE_OK || model->values[x.index].device == YKI_ANY_DEVICE ||
        model->values[x.index].device == device)
        return model->error.status == YOKE_OK ? x : yki_tensor(model, -1);
    int value = yki_graph_node(model, YKI_OP_MOVE + YKI_MOVE_COPY, NULL, 1, &x.index);
    model->device = from == YKI_NO_DEVICE ? 0 : from;
    if (value >= 0)
        model->nodes[model->nnodes - 1].layer = model->nodes[model->values[x.index].producer].layer;
    return yki_tensor(model, value);
}

/* The loss belongs to the layer of the output, on its device. */
yoke_status yoke_model_finish(yoke_model *model, yoke_tensor output, yoke_loss loss)
{
    YKI_NEED(model);
    YKI_TRY(yoke_model_status(model));
    yki_model_check_adapter(model);
    YKI_TRY(yoke_model_status(model));
    if (model->finished) return yki_fail(YOKE_INVALID, "the model is finished already");
    if (output.index < 0 || output.index >= model->nvalues || output.model != model->serial ||
        model->values[output.index].producer < 0)
        return yki_fail(YOKE_INVALID, "the model's output is no layer's");
    if (model->input < 0) return yki_fail(YOKE_INVALID, "the model has no input");
    if (loss != YOKE_CROSS_ENTROPY && loss != YOKE_MSE)
        return yki_fail(YOKE_INVALID, "%d is no kind of loss", (int)loss);
    yki_value y = model->values[output.index];
    if (y.device != YKI_ANY_DEVICE) model->device = y.device;
    model->output = output.index;
    model->loss = loss;
    int layer = model->nodes[y.producer].layer, before = model->nnodes;
    if (layer < 0) return yki_fail(YOKE_INVALID, "the model has no layers");
    if (loss == YOKE_MSE) {
        model->target = source(model, YKI_OP_TARGET, YKI_ROLE_STATISTIC, y.ndim, y.dims);
        yki_graph_node(model, YKI_KERNEL_MSE_LOSS, NULL, 2, (int[]){output.index, model->target});
    } else {
        model->target = source(model, YKI_OP_TARGET, YKI_ROLE_INDEX, y.ndim - 1, y.dims);
        int max = yki_graph_node(model, YKI_KERNEL_XENT_MAX, NULL, 1, &output.index);
        int sum =
            yki_graph_node(model, YKI_KERNEL_XENT_SUM, NULL, 3, (int[]){output.index, model->target, max});
        yki_graph_node(model, YKI_KERNEL_XENT_LOSS, NULL, 4, (int[]){max, sum, output.index, model->target});
    }
    YKI_TRY(yoke_model_status(model));
    for (int i = before + 1; i < model->nnodes; i++) model->nodes[i].layer = layer; /* all but the target's */
    YKI_TRY(yki_graph_check_connected(model));
    yki_graph_find_matrices(model);
    model->finished = true;
    return YOKE_OK;
}

int64_t yoke_model_parameters(const yoke_model *model)
{
    int64_t elems = 0;
    for (int i = 0; model && i < model->nparameters; i++)
        if (!model->parameters[i].buffer)
            elems += yki_value_elems(&model->values[model->parameters[i].value]);
    return elems;
}

int yoke_model_output_dims(const yoke_model *model, int64_t dims[YOKE_MAX_DIMS])
{
    if (!model || !dims || model->output < 0) return 0;
    const yki_value *value = &model->values[model->output];
    memcpy(dims, value->dims, sizeof value->dims);
    return value->ndim;
}

const char *yoke_model_layer(const yoke_model *model, int i, int *device_out)
{
    if (!model || i < 0 || i >= model->nlayers) return NULL;
    if (device_out) *device_out = model->layers[i].device < 0 ? 0 : model->layers[i].device;
    return model->layers[i].name;
}
