/* Llama and what is built as it is: rotary positions, RMSNorm before each half of a block, grouped-query
 * attention, gated products. Mistral has heads of a width of their own and a window, Qwen2 biases of q, k and
 * v, Qwen3 norms of q and k. Names and shapes are Hugging Face's. Sources: Touvron et al., LLaMA, 2023;
 * Ainslie et al., GQA, 2023; Shazeer, GLU Variants Improve Transformer, 2020; Jiang et al., Mistral 7B, 2023;
 * Qwen3 Technical Report, 2025. A layer is what a pipeline may cut before: the embedding, each block, the
 * head. */
#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "model/adapter.h"

typedef struct builder {
    yoke_model *model;
    const yoke_llama_options *options;
    int64_t kv_heads, head; /* head: its width */
    char prefix[40];        /* of the block's names */
} builder;

static int parameter(builder *b, const char *name, int ndim, const int64_t *dims, yki_init init, double scale)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s.weight", b->prefix, name);
    return yki_graph_parameter(b->model, full, ndim, dims, false, init, scale);
}

static int bias_of(builder *b, const char *name, int64_t elems)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s.bias", b->prefix, name);
    return yki_graph_parameter(b->model, full, 1, &elems, false, YKI_INIT_ZERO, 0);
}

static int product_of(builder *b, const char *name, int x, int weight, int bias, int64_t unit, bool even)
{
    char module[96];
    snprintf(module, sizeof module, "%s%s", b->prefix, name);
    yki_product p = {
        .x = x, .weight = weight, .bias = bias, .own = true, .sections = 1, .unit = unit, .even = even};
    return yki_model_product(b->model, module, &p);
}

static int product(builder *b, int x, const char *name, int64_t in, int64_t out, bool biased, double scale)
{
    int64_t dims[2] = {out, in};
    int weight = parameter(b, name, 2, dims, YKI_INIT_NORMAL, scale);
    return product_of(b, name, x, weight, biased ? bias_of(b, name, out) : -1, 1, false);
}

/* One of q, k and v: whole heads stay together. */
static int heads_of(builder *b, int x, const char *name, int64_t heads, bool even)
{
    int64_t dims[2] = {heads * b->head, b->options->width};
    int weight = parameter(b, name, 2, dims, YKI_INIT_NORMAL, 0.02);
    int bias = b->options->qkv_bias ? bias_of(b, name, dims[0]) : -1;
    return product_of(b, name, x, weight, bias, b->head, even);
}

static double eps_of(const builder *b)
{
    return b->options->norm_eps > 0 ? b->options->norm_eps : 1e-6;
}

static int norm(builder *b, int x, const char *name)
{
    yki_attr attr = {.eps = eps_of(b)};
    int weight = parameter(b, name, 1, &b->options->width, YKI_INIT_ONE, 0);
    return yki_graph_node(b->model, YKI_KERNEL_RMSNORM, &attr, 2, (int[]){x, weight});
}

/* q or k with each head normed, where the model does that, and turned by its position. */
static int placed(builder *b, int x, const char *name)
{
    const yoke_llama_options *o = b->options;
    yki_attr rope = {
        .theta = o->rope_theta > 0 ? o->rope_theta : 10000, .scaling = o->rope_scaling, .width = b->head};
    yki_attr normed = {.eps = eps_of(b), .width = b->head};
    if (o->qk_norm) {
        int weight = parameter(b, name, 1, &b->head, YKI_INIT_ONE, 0);
        x = yki_graph_node(b->model, YKI_KERNEL_HEADNORM, &normed, 2, (int[]){x, weight});
    }
    return yki_graph_node(b->model, YKI_KERNEL_ROPE, &rope, 1, &x);
}

static int attention(builder *b, int x)
{
    const yoke_llama_options *o = b->options;
    char key[96];
    snprintf(key, sizeof key, "%sself_attn.dropout", b->prefix);
    yki_attr attr = {.causal = true,
                     .window = o->window,
                     .width = b->head,
                     .global = o->heads,
                     .group = o->heads / b->kv_heads,
                     .p = o->dropout,
                     .key = yki_rng_key(0, key, 0)};
    int q = heads_of(b, x, "self_attn.q_proj", o->heads, false);
    int k = heads_of(b, x, "self_attn.k_proj", b->kv_heads, true);
    int v = heads_of(b, x, "self_attn.v_proj", b->kv_heads, true);
    q = placed(b, q, "self_attn.q_norm");
    k = placed(b, k, "self_attn.k_norm");
    return yki_graph_node(b->model, YKI_KERNEL_GQA, &attr, 3, (int[]){q, k, v});
}

static int block(builder *b, int x)
{
    const yoke_llama_options *o = b->options;
    double residual = 0.02 / sqrt(2.0 * (double)o->layers);
    int h = attention(b, norm(b, x, "input_layernorm"));
    h = product(b, h, "self_attn.o_proj", o->heads * b->head, o->width, o->o_bias, residual);
    x = yki_graph_node(b->model, YKI_KERNEL_ADD, NULL, 2, (int[]){x, h});
    h = norm(b, x, "post_attention_layernorm");
    int gate = product(b, h, "mlp.gate_proj", o->width, o->hidden, o->mlp_bias, 0.02);
    int up = product(b, h, "mlp.up_proj", o->width, o->hidden, o->mlp_bias, 0.02);
    h = yki_graph_node(b->model, YKI_KERNEL_GATE, NULL, 2, (int[]){gate, up});
    h = product(b, h, "mlp.down_proj", o->hidden, o->width, o->mlp_bias, residual);
    return yki_graph_node(b->model, YKI_KERNEL_ADD, NULL, 2, (int[]){x, h});
}

static void check_scaling(yoke_model *model, const yoke_rope_scaling *s)
{
    bool alike = s->low == 0 && s->high == 0 && s->context == 0;
    if (s->factor == 0 || (alike && s->factor >= 1 && isfinite(s->factor))) return;
    if (!(s->factor >= 1 && s->low > 0 && s->high > s->low && s->context >= 1) || !isfinite(s->factor) ||
        !isfinite(s->high) || !isfinite(s->context) || s->context != floor(s->context))
        yki_graph_fail(model,
                       "llama: rope scaling by %g between %g and %g turns of a context of %g makes no sense: "
                       "the factor is at least 1, the turns grow, and the context is a whole number",
                       s->factor, s->low, s->high, s->context);
}

static void check(builder *b)
{
    yoke_model *model = b->model;
    const yoke_llama_options *o = b->options;
    const int64_t counts[] = {o->layers, o->heads,   b->kv_heads, o->width,
                              o->hidden, o->context, o->vocab,    o->sequence};
    static const char *const names[] = {"layers", "heads",   "kv_heads", "width",
                                        "hidden", "context", "vocab",    "sequence"};
    for (int i = 0; i < 8; i++)
        if (counts[i] < 1 || counts[i] > (1 << 28))
            yki_graph_fail(model, "llama: %s is %lld, and must be at least 1", names[i],
                           (long long)counts[i]);
    if (model->error.status != YOKE_OK) return;
    if (o->head_dim < 0 || o->head_dim > (1 << 20) || o->head_dim % 2)
        yki_graph_fail(model,
                       "llama: head_dim is %lld, and must be even and above 0, as rotary positions need",
                       (long long)o->head_dim);
    else if (o->head_dim == 0 && (o->width % o->heads || o->width / o->heads % 2))
        yki_graph_fail(model,
                       "llama: a width of %lld does not divide into %lld heads of an even width, as rotary "
                       "positions need",
                       (long long)o->width, (long long)o->heads);
    else if (o->heads % b->kv_heads)
        yki_graph_fail(model, "llama: %lld heads cannot be divided among %lld kv_heads", (long long)o->heads,
                       (long long)b->kv_heads);
    if (o->sequence > o->context)
        yki_graph_fail(model, "llama: a sequence of %lld tokens is longer than the context of %lld",
                       (long long)o->sequence, (long long)o->context);
    if (o->window < 0)
        yki_graph_fail(model, "llama: window is %lld, and must be at least 1", (long long)o->window);
    if (!(o->dropout >= 0 && o->dropout < 1))
        yki_graph_fail(model, "llama: dropout is %g, and must be at least 0 and below 1", o->dropout);
    if (!(o->rope_theta >= 0) || !isfinite(o->rope_theta))
        yki_graph_fail(model, "llama: rope_theta is %g, and must be above 0", o->rope_theta);
    if (!(o->norm_eps >= 0 && isfinite(o->norm_eps)))
        yki_graph_fail(model, "llama: norm_eps is %g, and must be at least 0", o->norm_eps);
    check_scaling(model, &o->rope_scaling);
}

yoke_tensor yoke_llama(yoke_model *model, const yoke_llama_options *options)
{
    const yoke_llama_options *o = options;
    if (!yki_model_grows(model, __func__)) return yki_tensor(model, -1);
    if (!o) {
        yki_graph_fail(model, "%s: options is NULL", __func__);
        return yki_tensor(model, -1);
    }
    builder b = {.model = model, .options = o, .kv_heads = o->kv_heads ? o->kv_heads : o->heads};
    check(&b);
    if (model->error.status != YOKE_OK) return yki_tensor(model, -1);
    b.head = o->head_dim ? o->head_dim : o->width / o->heads;
    yoke_tensor ids = yoke_input_tokens(model, o->sequence);
    yoke_model_name(model, "model.embed_tokens");
    yki_graph_layer(model, true);
    int64_t table[2] = {o->vocab, o->width};
    int embedding = parameter(&b, "model.embed_tokens", 2, table, YKI_INIT_NORMAL, 0.02);
    if (o->tied) yki_graph_also(model, "lm_head.weight");
    int x = yki_graph_node_cut(model, YKI_KERNEL_EMBED, NULL, 2, (int[]){ids.index, embedding}, 0, 1);
    for (int64_t i = 0; i < o->layers && x >= 0; i++) {
        snprintf(b.prefix, sizeof b.prefix, "model.layers.%lld", (long long)i);
        yoke_model_name(model, b.prefix);
        yki_graph_layer(model, true);
        snprintf(b.prefix, sizeof b.prefix, "model.layers.%lld.", (long long)i);
        x = block(&b, x);
    }
    b.prefix[0] = '\0';
    yoke_model_name(model, "model.norm");
    yki_graph_layer(model, true);
    x = norm(&b, x, "model.norm");
    int head = o->tied ? embedding : parameter(&b, "lm_head", 2, table, YKI_INIT_NORMAL, 0.02);
    yki_product p = {.x = x, .weight = head, .bias = -1, .own = !o->tied, .sections = 1, .unit = 1};
    return yki_tensor(model, yki_model_product(model, "lm_head", &p));
}
