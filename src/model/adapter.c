/* LoRA: beside a product of the base, y = W x + b, two small ones whose product is added to it, scaled (Hu et
 * al., LoRA: Low-Rank Adaptation of Large Language Models, 2021). Names and first values are those of the
 * package PEFT. The scale is put to the few columns between the two. */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void yoke_model_adapt(yoke_model *model, const yoke_adapter *a)
{
    if (!yki_model_grows(model, __func__)) return;
    if (!a || a->ntargets < 0 || (a->ntargets > 0 && !a->targets)) {
        yki_graph_fail(model, "%s: %s is NULL", __func__, a ? "targets" : "adapter");
        return;
    }
    if (a->rank < 1 || a->rank > 65536)
        yki_graph_fail(model, "an adapter's rank is %lld, and must be 1 to 65536", (long long)a->rank);
    if (!(a->alpha > 0) || !isfinite(a->alpha))
        yki_graph_fail(model, "an adapter's alpha is %g, and must be above 0", a->alpha);
    if (!(a->dropout >= 0 && a->dropout < 1))
        yki_graph_fail(model, "an adapter's dropout is %g, and must be at least 0 and below 1", a->dropout);
    if (a->ntargets == 0) yki_graph_fail(model, "an adapter has no targets");
    if (model->nparameters > 0)
        yki_graph_fail(model, "%s: layers were made already; it comes before them", __func__);
    yki_model_adapter *of = &model->adapter;
    of->targets = yki_arena_alloc(&model->arena, sizeof *of->targets * (size_t)a->ntargets);
    for (int i = 0; i < a->ntargets && of->targets && model->error.status == YOKE_OK; i++) {
        of->targets[i].name = yki_arena_copy(&model->arena, a->targets[i] ? a->targets[i] : "");
        if (!of->targets[i].name) yki_graph_fail_memory(model);
        of->ntargets = i + 1;
    }
    if (!of->targets) yki_graph_fail_memory(model);
    of->rank = a->rank;
    of->scale = a->alpha / (a->rank_stabilized ? sqrt((double)a->rank) : (double)a->rank);
    of->dropout = a->dropout;
}

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), of_end = strlen(end);
    return of_end > 0 && length >= of_end && strcmp(name + length - of_end, end) == 0 &&
           (length == of_end || name[length - of_end - 1] == '.');
}

static bool is_head(const char *module)
{
    return strcmp(module, "lm_head") == 0;
}

/* Whether a module is a target: by the last parts of its name, or as one of all but the head. */
static bool is_target(yoke_model *model, const char *module)
{
    bool found = false;
    char full[200];
    snprintf(full, sizeof full, "%s%.150s", model->adapter.above ? model->adapter.above : "", module);
    for (int i = 0; i < model->adapter.ntargets; i++) {
        bool all = strcmp(model->adapter.targets[i].name, "all-linear") == 0;
        if (all ? is_head(module) : !ends_in(full, model->adapter.targets[i].name)) continue;
        model->adapter.targets[i].matched = found = true;
    }
    return found;
}

/* Remembers the last part of a module's name, for sentences. */
static void remember(yoke_model *model, const char *module)
{
    const char *dot = strrchr(module, '.'), *last = dot ? dot + 1 : module;
    for (int i = 0; i < model->adapter.nseen; i++)
        if (strcmp(model->adapter.seen[i], last) == 0) return;
    if (model->adapter.nseen == YKI_MOST_SEEN) return;
    const char *copy = yki_arena_copy(&model->arena, last);
    if (copy) model->adapter.seen[model->adapter.nseen++] = copy;
}

static int parameter(yoke_model *model, const char *module, const char *name, const int64_t dims[2],
                     yki_init init, double scale)
{
    char full[256];
    snprintf(full, sizeof full, YKI_ADAPTER_PREFIX "%s%.150s.%s.weight",
             model->adapter.above ? model->adapter.above : "", module, name);
    model->adapter.making = true;
    int value = yki_graph_parameter(model, full, 2, dims, false, init, scale);
    model->adapter.making = false;
    return value;
}

/* The few columns, scaled. */
static int lower(yoke_model *model, const char *module, int x, int64_t in)
{
    const yki_model_adapter *a = &model->adapter;
    char key[256];
    yki_attr few = {.low_rank = true}, scale = {.of_a = a->scale};
    int weight =
        parameter(model, module, "lora_A", (int64_t[]){a->rank, in}, YKI_INIT_UNIFORM, 1 / sqrt((double)in));
    snprintf(key, sizeof key, "%.200s.lora_dropout", module);
    if (a->dropout > 0) x = yki_model_dropout(model, x, a->dropout, key);
    int low = yki_graph_node(model, YKI_KERNEL_LINEAR, &few, 3, (int[]){x, weight, -1});
    return yki_graph_node(model, YKI_KERNEL_SCALE, &scale, 1, &low);
}

int yki_model_product(yoke_model *model, const char *module, const yki_product *p)
{
    if (model->error.status != YOKE_OK || p->x < 0 || p->weight < 0) return -1;
    const yki_value *w = &model->values[p->weight];
    int64_t out = w->dims[0], in = w->dims[1];
    if (model->adapter.rank > 0) remember(model, module);
    bool adapted = model->adapter.rank > 0 && is_target(model, module);
    if (adapted && is_head(module) && !p->own)
        yki_graph_fail(model,
                       "adapter target 'lm_head': the model's head is its embedding, and is not adapted");
    int low = adapted ? lower(model, module, p->x, in) : -1;
    int y = yki_graph_node_cut(model, YKI_KERNEL_LINEAR, NULL, 3, (int[]){p->x, p->weight, p->bias},
                               p->sections, p->unit);
    if (y >= 0) model->nodes[model->nnodes - 1].even = p->even;
    if (!adapted) return y;
    int high = parameter(model, module, "lora_B", (int64_t[]){out, model->adapter.rank}, YKI_INIT_ZERO, 0);
    return yki_graph_node(model, YKI_KERNEL_LINEAR_ADD, NULL, 3, (int[]){y, low, high});
}

void yki_model_check_adapter(yoke_model *model)
{
    const yki_model_adapter *a = &model->adapter;
    for (int i = 0; i < a->ntargets && model->error.status == YOKE_OK; i++) {
        char shown[YKI_QUOTE_BYTES], list[200] = "";
        if (a->targets[i].matched) continue;
        const char *near = yki_nearest(a->targets[i].name, a->seen, a->nseen);
        for (int k = 0; k < a->nseen; k++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", k ? ", " : "", a->seen[k]);
        yki_quote(shown, a->targets[i].name);
        yki_graph_fail(model, "adapter target %s is no linear layer of the model%s%s%s; it has %s", shown,
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
                       list[0] ? list : "none that can be adapted");
    }
}
