/* The graph's storage, and the check that its parts hang together. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/rng.h"
#include "graph/ops.h"

int64_t yki_value_elems(const yki_value *value)
{
    int64_t elems = 1;
    for (int i = 0; i < value->ndim; i++) elems *= value->dims[i];
    return elems;
}

void yki_graph_fail(yoke_model *model, const char *format, ...)
{
    if (model->error.status != YOKE_OK) return;
    char message[sizeof model->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    yki_fail(YOKE_INVALID, "%s", message);
    model->error = *yoke_error_get();
}

void yki_graph_fail_memory(yoke_model *model)
{
    if (model->error.status != YOKE_OK) return;
    yki_fail_memory("a model");
    model->error = *yoke_error_get();
}

/* Shapes that can be counted: every product of dims, samples and bytes that is formed later fits 64 bits. */
static bool is_countable(int ndim, const int64_t *dims)
{
    int64_t elems = 1;
    for (int i = 0; i < ndim; i++)
        if (dims[i] < 1 || __builtin_mul_overflow(elems, dims[i], &elems) || elems > YKI_MOST_ELEMS)
            return false;
    return true;
}

int yki_graph_value(yoke_model *model, yki_role role, bool per_sample, int ndim, const int64_t *dims)
{
    if (!is_countable(ndim, dims)) {
        const char *layer = model->nlayers > 0 ? model->layers[model->nlayers - 1].name : "the input";
        yki_graph_fail(model, "layer '%s': a tensor of it would have no elements or more than %lld", layer,
                       (long long)YKI_MOST_ELEMS);
        return -1;
    }
    yki_value *value = YKI_APPEND(&model->arena, model, values);
    if (!value) {
        yki_graph_fail_memory(model);
        return -1;
    }
    value->role = role;
    value->per_sample = per_sample;
    value->ndim = ndim;
    memcpy(value->dims, dims, (size_t)ndim * sizeof *dims);
    value->producer = model->nnodes - 1;
    value->parameter = -1;
    value->device = model->device;
    return model->nvalues - 1;
}

int yki_graph_node_cut(yoke_model *model, int op, const yki_attr *attr, int nin, const int *in,
                       int64_t sections, int64_t unit)
{
    if (model->error.status != YOKE_OK) return -1;
    if (model->finished) {
        yki_graph_fail(model, "the model is finished: %s cannot be added to it", yki_op_name(op));
        return -1;
    }
    yki_node *node = YKI_APPEND(&model->arena, model, nodes);
    if (!node) {
        yki_graph_fail_memory(model);
        return -1;
    }
    node->op = op;
    if (attr) node->attr = *attr;
    node->nin = nin;
    for (int i = 0; i < nin; i++) node->in[i] = in[i];
    node->layer = model->nlayers - 1;
    node->sections = sections;
    node->unit = unit;
    yki_infer(model, node);
    return model->error.status == YOKE_OK && node->nout > 0 ? node->out[0] : -1;
}

int yki_graph_node(yoke_model *model, int op, const yki_attr *attr, int nin, const int *in)
{
    return yki_graph_node_cut(model, op, attr, nin, in, 1, 1);
}

/* Where the hash has `name`, or would have it. */
static int *named(const yoke_model *model, const char *name)
{
    size_t mask = (size_t)model->cnamed - 1, i = (size_t)yki_rng_key(0, name, 0) & mask;
    while (model->named[i] && strcmp(model->parameters[model->named[i] - 1].name, name) != 0)
        i = (i + 1) & mask;
    return &model->named[i];
}

/* Room for one name more; false where memory is out. */
static bool grow_named(yoke_model *model)
{
    if (2 * (model->nparameters + 1) <= model->cnamed) return true;
    int slots = model->cnamed ? 2 * model->cnamed : 64;
    int *fresh = yki_arena_alloc(&model->arena, (size_t)slots * sizeof *fresh);
    if (!fresh) return false;
    model->named = fresh;
    model->cnamed = slots;
    for (int i = 0; i < model->nparameters; i++) *named(model, model->parameters[i].name) = i + 1;
    return true;
}

int yki_graph_find(const yoke_model *model, const char *name)
{
    return model->cnamed ? *named(model, name) - 1 : -1;
}

int yki_graph_parameter(yoke_model *model, const char *name, int ndim, const int64_t *dims, bool transposed,
                        yki_init init, double init_scale)
{
    if (model->error.status != YOKE_OK) return -1;
    bool room = grow_named(model);
    if (room && *named(model, name)) {
        yki_graph_fail(model, "two layers have a parameter named '%s'; give layers different names", name);
        return -1;
    }
    char *copy = yki_arena_copy(&model->arena, name);
    yki_parameter *parameter = room && copy ? YKI_APPEND(&model->arena, model, parameters) : NULL;
    int64_t kept[YOKE_MAX_DIMS];
    for (int i = 0; i < ndim; i++) kept[i] = dims[transposed ? ndim - 1 - i : i];
    int value = parameter ? yki_graph_value(model, YKI_ROLE_PARAMETER, false, ndim, kept) : -1;
    if (value < 0) {
        yki_graph_fail_memory(model);
        return -1;
    }
    *parameter = (yki_parameter){.name = copy,
                                 .ndim = ndim,
                                 .transposed = transposed,
                                 .init = init,
                                 .init_scale = init_scale,
                                 .of_adapter = model->adapter.making,
                                 .frozen = model->adapter.rank > 0 && !model->adapter.making,
                                 .value = value};
    memcpy(parameter->dims, dims, (size_t)ndim * sizeof *dims);
    model->values[value].producer = -1;
    model->values[value].parameter = model->nparameters - 1;
    *named(model, name) = model->nparameters;
    return value;
}

void yki_graph_also(yoke_model *model, const char *name)
{
    if (model->error.status != YOKE_OK || model->nparameters == 0) return;
    const char *copy = yki_arena_copy(&model->arena, name);
    if (!copy) yki_graph_fail_memory(model);
    model->parameters[model->nparameters - 1].also = copy;
}

int yki_graph_buffer(yoke_model *model, const char *name, int64_t elems, yki_init init, const yki_attr *of)
{
    int value = yki_graph_parameter(model, name, 1, &elems, false, init, 0);
    yki_attr *copy = value >= 0 ? yki_arena_alloc(&model->arena, sizeof *copy) : NULL;
    if (!copy) {
        yki_graph_fail_memory(model);
        return -1;
    }
    *copy = *of;
    model->parameters[model->nparameters - 1].buffer = copy;
    model->values[value].role = YKI_ROLE_STATISTIC;
    return value;
}

const char *yki_graph_layer(yoke_model *model, bool cut)
{
    yki_layer *layer = YKI_APPEND(&model->arena, model, layers);
    if (!layer) {
        yki_graph_fail_memory(model);
        return "";
    }
    char number[24];
    snprintf(number, sizeof number, "%d", model->number);
    if (model->name[0] == '\0') model->number++;
    layer->name =
        yki_arena_print(&model->arena, "%s%s", model->prefix, model->name[0] ? model->name : number);
    layer->device = model->device;
    layer->cut = cut;
    model->name[0] = '\0';
    if (layer->name) return layer->name;
    yki_graph_fail_memory(model);
    return layer->name = "";
}

void yki_graph_find_matrices(yoke_model *model)
{
    int last = -1;
    for (int i = 0; i < model->nnodes; i++) {
        int at = yki_op(model->nodes[i].op)->matrix, of = at > 0 ? model->nodes[i].in[at] : -1;
        if (of < 0 || model->values[of].parameter < 0) continue;
        last = model->values[of].parameter;
        model->parameters[last].matrix = model->parameters[last].ndim == 2;
    }
    if (last >= 0) model->parameters[last].matrix = false;
    for (int i = 0; i < model->nnodes; i++)
        for (int k = 0; k < model->nodes[i].nin; k++) {
            int of = model->nodes[i].in[k];
            if (of >= 0 && model->values[of].parameter >= 0 && k != yki_op(model->nodes[i].op)->matrix)
                model->parameters[model->values[of].parameter].matrix = false;
        }
}

/* Marks what the loss depends on, and what depends on the samples; a node must be both. */
yoke_status yki_graph_check_connected(const yoke_model *model)
{
    yki_arena arena = {0};
    bool *used = yki_arena_alloc(&arena, (size_t)model->nvalues + 1);
    bool *fed = yki_arena_alloc(&arena, (size_t)model->nvalues + 1);
    if (arena.failed) {
        yki_arena_release(&arena);
        return yki_fail_memory("the check of a model");
    }
    used[model->output] = true;
    for (int i = model->nnodes - 1; i >= 0; i--) {
        const yki_node *node = &model->nodes[i];
        bool needed = yki_op(node->op)->root || yki_op(node->op)->keeps_state;
        for (int k = 0; k < node->nout; k++) needed |= used[node->out[k]];
        for (int k = 0; k < node->nin && needed; k++)
            if (node->in[k] >= 0) used[node->in[k]] = true;
    }
    yoke_status status = YOKE_OK;
    for (int i = 0; i < model->nnodes && status == YOKE_OK; i++) {
        const yki_node *node = &model->nodes[i];
        const char *name = node->layer >= 0 ? model->layers[node->layer].name : "input";
        int device = node->layer >= 0 ? model->layers[node->layer].device : -1;
        bool reached = yki_is_source(node->op),
             needed = yki_op(node->op)->root || yki_op(node->op)->keeps_state;
        for (int k = 0; k < node->nin; k++) reached |= node->in[k] >= 0 && fed[node->in[k]];
        for (int k = 0; k < node->nout; k++) {
            fed[node->out[k]] = reached;
            needed |= used[node->out[k]];
        }
        char part[32] = "";
        if (device >= 0) snprintf(part, sizeof part, " on device %d", device);
        if (!needed && node->op != YKI_OP_TARGET)
            status = yki_fail(YOKE_INVALID,
                              "layer '%s'%s is not connected: nothing that the loss needs uses its output",
                              name, part);
        else if (!reached)
            status =
                yki_fail(YOKE_INVALID, "layer '%s'%s is not connected: no sample reaches it", name, part);
    }
    yki_arena_release(&arena);
    return status;
}
