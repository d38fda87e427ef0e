/* GPT-2: learnt positions, pre-norm blocks, GELU by tanh, tied head. Names and shapes are Hugging Face's:
 * products are stored [in, out] in files and kept [out, in] in memory. Source: Radford et al., Language
 * Models are Unsupervised Multitask Learners, 2019. A layer is what a pipeline may cut before: the embedding,
 * each block, the head. */
#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "model/adapter.h"

int yki_model_dropout(yoke_model *model, int x, double p, const char *name)
{
    if (x < 0) return -1;
    int64_t elems = yki_value_elems(&model->values[x]);
    yki_attr attr = {
        .p = p, .key = yki_rng_key(0, name, 0), .outer = 1, .global = elems, .local = elems, .inner = 1};
    return yki_graph_node(model, YKI_KERNEL_DROPOUT, &attr, 1, &x);
}

typedef struct builder {
    yoke_model *model;
    const yoke_gpt2_options *options;
    char prefix[32];
} builder;

static int parameter(builder *b, const char *name, int ndim, const int64_t *dims, bool transposed,
                     yki_init init, double scale)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    return yki_graph_parameter(b->model, full, ndim, dims, transposed, init, scale);
}

static int product(builder *b, int x, const char *name, int64_t in, int64_t out, double scale,
                   int64_t sections, int64_t unit)
{
    char weight[64], bias[64], module[96];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    snprintf(module, sizeof module, "%s%s", b->prefix, name);
    int64_t dims[2] = {in, out};
    yki_product p = {.x = x,
                     .weight = parameter(b, weight, 2, dims, true, YKI_INIT_NORMAL, scale),
                     .bias = parameter(b, bias, 1, &out, false, YKI_INIT_ZERO, 0),
                     .own = true,
                     .sections = sections,
                     .unit = unit};
    return yki_model_product(b->model, module, &p);
}

static int norm(builder *b, int x, const char *name)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    yki_attr attr = {.eps = b->options->norm_eps > 0 ? b->options->norm_eps : 1e-5};
    int64_t width = b->options->width;
    int inputs[3] = {x, parameter(b, weight, 1, &width, false, YKI_INIT_ONE, 0),
                     parameter(b, bias, 1, &width, false, YKI_INIT_ZERO, 0)};
    return yki_graph_node(b->model, YKI_KERNEL_LAYERNORM, &attr, 3, inputs);
}

static int dropout(builder *b, int x, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    return b->options->dropout > 0 ? yki_model_dropout(b->model, x, b->options->dropout, full) : x;
}

static int block(builder *b, int x)
{
    const yoke_gpt2_options *o = b->options;
    double residual = 0.02 / sqrt(2.0 * (double)o->layers);
    char key[96];
    snprintf(key, sizeof key, "%sattn.dropout", b->prefix);
    yki_attr attention = {.causal = true,
                          .width = o->width / o->heads,
                          .global = o->heads,
                          .p = o->dropout,
                          .key = yki_rng_key(0, key, 0)};
    int h = norm(b, x, "ln_1");
    h = product(b, h, "attn.c_attn", o->width, 3 * o->width, 0.02, 3, o->width / o->heads);
    h = yki_graph_node(b->model, YKI_KERNEL_ATTENTION, &attention, 1, &h);
    h = product(b, h, "attn.c_proj", o->width, o->width, residual, 1, 1);
    h = dropout(b, h, "attn.resid_dropout");
    x = yki_graph_node(b->model, YKI_KERNEL_ADD, NULL, 2, (int[]){x, h});
    yki_attr gelu = {.activation = YOKE_GELU_TANH};
    h = norm(b, x, "ln_2");
    h = product(b, h, "mlp.c_fc", o->width, 4 * o->width, 0.02, 1, 1);
    h = yki_graph_node(b->model, YKI_KERNEL_ACTIVATE, &gelu, 1, &h);
    h = product(b, h, "mlp.c_proj", 4 * o->width, o->width, residual, 1, 1);
    h = dropout(b, h, "mlp.dropout");
    return yki_graph_node(b->model, YKI_KERNEL_ADD, NULL, 2, (int[]){x, h});
}

yoke_tensor yoke_gpt2(yoke_model *model, const yoke_gpt2_options *options)
{
    const yoke_gpt2_options *o = options;
    if (!yki_model_grows(model, __func__)) return yki_tensor(model, -1);
    if (!o) {
        yki_graph_fail(model, "%s: options is NULL", __func__);
        return yki_tensor(model, -1);
    }
    const int64_t counts[] = {o->layers, o->heads, o->width, o->context, o->vocab, o->sequence};
    const char *const names[] = {"layers", "heads", "width", "context", "vocab", "sequence"};
    for (int i = 0; i < 6; i++)
        if (counts[i] < 1 || counts[i] > (1 << 28))
            yki_graph_fail(model, "gpt2: %s is %lld, and must be at least 1", names[i], (long long)counts[i]);
    if (model->error.status == YOKE_OK && o->width % o->heads)
        yki_graph_fail(model, "gpt2: a width of %lld does not divide into %lld heads", (long long)o->width,
                       (long long)o->heads);
    if (o->sequence > o->context)
        yki_graph_fail(model, "gpt2: a sequence of %lld tokens is longer than the context of %lld",
                       (long long)o->sequence, (long long)o->context);
    if (!(o->dropout >= 0 && o->dropout < 1))
        yki_graph_fail(model, "gpt2: dropout is %g, and must be at least 0 and below 1", o->dropout);
    if (!(o->norm_eps >= 0 && isfinite(o->norm_eps)))
        yki_graph_fail(model, "gpt2: norm_eps is %g, and must be at least 0", o->norm_eps);
    if (model->error.status != YOKE_OK) return yki_tensor(model, -1);

    builder b = {.model = model, .options = options};
    model->adapter.above = "transformer.";
    yoke_tensor ids = yoke_input_tokens(model, o->sequence);
    yoke_model_name(model, "wte");
    yki_graph_layer(model, true);
    int64_t table[2] = {o->vocab, o->width}, positions[2] = {o->context, o->width};
    int wte = parameter(&b, "wte.weight", 2, table, false, YKI_INIT_NORMAL, 0.02);
    yki_graph_also(model, "lm_head.weight");
    int wpe = parameter(&b, "wpe.weight", 2, positions, false, YKI_INIT_NORMAL, 0.02);
    int x = yki_graph_node_cut(model, YKI_KERNEL_EMBED, NULL, 2, (int[]){ids.index, wte}, 0, 1);
    x = yki_graph_node(model, YKI_KERNEL_POSITION, NULL, 2, (int[]){x, wpe});
    x = dropout(&b, x, "drop");
    for (int64_t i = 0; i < o->layers && x >= 0; i++) {
        snprintf(b.prefix, sizeof b.prefix, "h.%lld", (long long)i);
        yoke_model_name(model, b.prefix);
        yki_graph_layer(model, true);
        snprintf(b.prefix, sizeof b.prefix, "h.%lld.", (long long)i);
        x = block(&b, x);
    }
    b.prefix[0] = '\0';
    yoke_model_name(model, "ln_f");
    yki_graph_layer(model, true);
    x = norm(&b, x, "ln_f");
    yki_product head = {.x = x, .weight = wte, .bias = -1, .sections = 1, .unit = 1};
    return yki_tensor(model, yki_model_product(model, "lm_head", &head));
}
