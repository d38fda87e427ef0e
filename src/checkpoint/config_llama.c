/* config.json of Llama and of what is built as it is: a row for each model_type, which says what such a model
 * has always, what it may have, and what its own tools assume where a key is absent. Deliberately absent:
 * dropout, which is training's business, and tokens' ids. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "checkpoint/config.h"
#include "job/job.h"

#define PLACE(field) offsetof(yoke_model_spec, field)

static const yki_config_count counts[] = {
    {{"num_hidden_layers"}, "model.layers", PLACE(depth), 10000, false},
    {{"num_attention_heads"}, "model.heads", PLACE(heads), 65536, false},
    {{"num_key_value_heads"}, "model.kv_heads", PLACE(kv_heads), 65536, true},
    {{"head_dim"}, "model.head_dim", PLACE(head_dim), 1 << 20, true},
    {{"hidden_size"}, "model.width", PLACE(width), 1 << 24, false},
    {{"intermediate_size"}, "model.hidden", PLACE(hidden), 1 << 26, false},
    {{"max_position_embeddings"}, "model.context", PLACE(context), (int64_t)1 << 31, false},
    {{"vocab_size"}, "model.vocab", PLACE(vocab), (int64_t)1 << 31, false},
    {.job_key = NULL},
};

static const yki_config_count window[] = {
    {{"sliding_window"}, "model.sliding_window", PLACE(window), (int64_t)1 << 31, true},
    {.job_key = NULL},
};

#define COMMON                                                                                               \
    {"hidden_act", {"silu", "swish"}},                                                                       \
    {                                                                                                        \
        "quantization_config",                                                                               \
        {                                                                                                    \
            NULL                                                                                             \
        }                                                                                                    \
    }
#define NO_BIAS(key)                                                                                         \
    {                                                                                                        \
        key,                                                                                                 \
        {                                                                                                    \
            "false"                                                                                          \
        }                                                                                                    \
    }

static const yki_config_fixed llama_fixed[] = {COMMON, {NULL, {NULL}}};
static const yki_config_fixed mistral_fixed[] = {
    COMMON, NO_BIAS("attention_bias"), NO_BIAS("mlp_bias"), {NULL, {NULL}}};
static const yki_config_fixed qwen_fixed[] = {
    COMMON, {"use_sliding_window", {"false"}}, NO_BIAS("mlp_bias"), {NULL, {NULL}}};

/* What models of a type have. */
typedef struct traits {
    const char *class;   /* of transformers */
    bool qkv_bias;       /* always: of q, k and v alone */
    bool qk_norm;        /* always */
    bool attention_bias; /* as the key says: of all of attention's products */
    bool mlp_bias;       /* as the key says */
    bool window;         /* as sliding_window says */
    bool divides;        /* transformers refuses a width that the heads do not divide */
    bool own;            /* keys of yoke's own say the rest */
    int64_t heads_absent, window_absent,
        head_dim_absent; /* what an absent key means; 0: what the others say */
} traits;

static const traits *traits_of(const yki_config_row *type)
{
    return type->more;
}

/* What a type has always, where a job may say otherwise. */
static yoke_status settle(const yki_config_row *type, const char *path, bool has, const char *what,
                          const char *job_key, int *field)
{
    if (*field >= 0 && *field != has)
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type",
                           "is '%s', which %s %s, but the job's %s is %s", type->name, has ? "has" : "has no",
                           what, job_key, *field ? "true" : "false");
    *field = has;
    return YOKE_OK;
}

static yoke_status read_biases(const yki_config_row *type, const char *path, json_t *config,
                               yoke_model_spec *model)
{
    static const char *const qkv = "model.qkv_bias";
    const traits *t = traits_of(type);
    int o = 0, mlp = 0;
    if (t->own) {
        YKI_TRY(yki_config_switch(path, config, "qkv_bias", 0, qkv, &model->qkv_bias));
        YKI_TRY(yki_config_switch(path, config, "o_bias", 0, NULL, &o));
        YKI_TRY(yki_config_switch(path, config, "qk_norm", 0, "model.qk_norm", &model->qk_norm));
    } else {
        YKI_TRY(settle(type, path, t->qk_norm, "norms of q and k", "model.qk_norm", &model->qk_norm));
        if (t->attention_bias) {
            YKI_TRY(yki_config_switch(path, config, "attention_bias", 0, qkv, &model->qkv_bias));
            o = model->qkv_bias;
        } else {
            YKI_TRY(settle(type, path, t->qkv_bias, "biases of q, k and v", qkv, &model->qkv_bias));
        }
    }
    if (t->mlp_bias) YKI_TRY(yki_config_switch(path, config, "mlp_bias", 0, NULL, &mlp));
    model->o_bias = o, model->mlp_bias = mlp;
    return YOKE_OK;
}

/* Layers of several kinds: all must be the one that is computed. */
static yoke_status check_layer_types(const char *path, json_t *config)
{
    char shown[YKI_QUOTE_BYTES];
    size_t i;
    json_t *types = json_object_get(config, "layer_types"), *each;
    json_array_foreach(types, i, each)
    {
        if (!yki_config_is(each, "full_attention"))
            return yki_fail_at(YOKE_INVALID, path, 0, "layer_types",
                               "has %s, which yoke does not compute; it computes full_attention",
                               yki_config_shown(shown, each));
    }
    return YOKE_OK;
}

static yoke_status read_heads(const yki_config_row *type, const char *path, json_t *config,
                              yoke_model_spec *model)
{
    const traits *t = traits_of(type);
    if (model->head_dim == 0) model->head_dim = t->head_dim_absent;
    if (model->head_dim == 0 && model->width % model->heads != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, "hidden_size", "is %lld, which %lld heads do not divide",
                           (long long)model->width, (long long)model->heads);
    int64_t head = model->head_dim ? model->head_dim : model->width / model->heads;
    if (head % 2 != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, model->head_dim ? "head_dim" : "hidden_size",
                           "gives heads a width of %lld, and it must be even, as rotary positions need",
                           (long long)head);
    if (model->kv_heads == 0 && !json_object_get(config, "num_key_value_heads"))
        model->kv_heads = t->heads_absent;
    if (model->kv_heads == 0) model->kv_heads = model->heads;
    if (model->heads % model->kv_heads != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, "num_key_value_heads",
                           "is %lld, which does not divide %lld heads", (long long)model->kv_heads,
                           (long long)model->heads);
    return YOKE_OK;
}

static yoke_status read_llama(const yki_config_row *type, const char *path, json_t *config,
                              yoke_model_spec *model)
{
    const traits *t = traits_of(type);
    YKI_TRY(read_heads(type, path, config, model));
    YKI_TRY(read_biases(type, path, config, model));
    if (t->window) {
        YKI_TRY(yki_config_read_counts(path, config, window, model));
        if (model->window == 0 && !json_object_get(config, "sliding_window"))
            model->window = t->window_absent;
    } else {
        YKI_TRY(check_layer_types(path, config));
    }
    YKI_TRY(yki_config_real(path, "rms_norm_eps", json_object_get(config, "rms_norm_eps"), 1e-6, 1,
                            "model.norm_eps", &model->norm_eps));
    YKI_TRY(yki_config_read_rope(path, config, model));
    return yki_config_switch(path, config, "tie_word_embeddings", 0, "model.tied", &model->tied);
}

static bool has_llama(const yki_config_row *type, const yoke_model_spec *model)
{
    const traits *t = traits_of(type);
    bool qkv = yki_spec_has_qkv_bias(model), normed = yki_spec_has_qk_norm(model);
    if (!yki_families[model->family].as_llama) return false;
    if (t->own) return true;
    bool attention = t->attention_bias ? qkv == model->o_bias : qkv == t->qkv_bias && !model->o_bias;
    if (t->divides && (model->heads < 1 || model->width % model->heads != 0)) return false;
    return attention && normed == t->qk_norm && (t->mlp_bias || !model->mlp_bias) &&
           (t->window || model->window == 0);
}

static void print_switch(yki_text *text, bool given, const char *key, bool value)
{
    if (given) yki_text_append(text, "  \"%s\": %s,\n", key, value ? "true" : "false");
}

static void print_window(yki_text *text, const traits *t, int64_t tokens)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)tokens);
    if (t->window || t->head_dim_absent || t->qkv_bias)
        yki_text_append(text, "  \"sliding_window\": %s,\n", tokens > 0 ? number : "null");
}

/* Keys stand in the order of the alphabet, but for yoke's own. */
static void print_llama(const yki_config_row *type, yki_text *text, const yoke_model_spec *model)
{
    const traits *t = traits_of(type);
    char eps[32], theta[32], dropout[32];
    int64_t head = model->head_dim ? model->head_dim : model->heads > 0 ? model->width / model->heads : 0;
    bool qkv = yki_spec_has_qkv_bias(model), qwen = t->qkv_bias || t->head_dim_absent;
    yki_json_real(dropout, model->dropout);
    yki_json_real(eps, model->norm_eps != 0 ? model->norm_eps : 1e-6);
    yki_json_real(theta, model->rope_theta != 0 ? model->rope_theta : 10000);
    yki_text_append(text, "{\n  \"architectures\": [\n    \"%s\"\n  ],\n", t->class);
    print_switch(text, t->attention_bias, "attention_bias", qkv);
    yki_text_append(text,
                    "  \"attention_dropout\": %s,\n  \"bos_token_id\": null,\n  \"eos_token_id\": null,\n"
                    "  \"head_dim\": %lld,\n  \"hidden_act\": \"silu\",\n  \"hidden_size\": %lld,\n"
                    "  \"initializer_range\": 0.02,\n  \"intermediate_size\": %lld,\n"
                    "  \"max_position_embeddings\": %lld,\n",
                    dropout, (long long)head, (long long)model->width, (long long)model->hidden,
                    (long long)model->context);
    print_switch(text, t->mlp_bias, "mlp_bias", model->mlp_bias);
    yki_text_append(text,
                    "  \"model_type\": \"%s\",\n"
                    "  \"num_attention_heads\": %lld,\n  \"num_hidden_layers\": %lld,\n  "
                    "\"num_key_value_heads\": %lld,\n",
                    type->name, (long long)model->heads, (long long)model->depth,
                    (long long)(model->kv_heads ? model->kv_heads : model->heads));
    print_switch(text, t->own, "o_bias", model->o_bias);
    print_switch(text, t->own, "qk_norm", yki_spec_has_qk_norm(model));
    print_switch(text, t->own, "qkv_bias", qkv);
    yki_text_append(text, "  \"rms_norm_eps\": %s,\n", eps);
    yki_config_print_rope(text, &model->rope_scaling);
    yki_text_append(text, "  \"rope_theta\": %s,\n", theta);
    print_window(text, t, model->window);
    yki_text_append(text,
                    "  \"tie_word_embeddings\": %s,\n  \"torch_dtype\": \"float32\",\n"
                    "  \"use_cache\": true,\n",
                    model->tied > 0 ? "true" : "false");
    print_switch(text, qwen, "use_sliding_window", false);
    yki_text_append(text, "  \"vocab_size\": %lld", (long long)model->vocab);
}

#define TYPE(id, type_name, of, fixed_keys, ...)                                                             \
    static const traits id##_traits = {__VA_ARGS__};                                                         \
    const yki_config_row yki_config_##id = {.name = type_name,                                               \
                                            .family = of,                                                    \
                                            .counts = counts,                                                \
                                            .fixed = fixed_keys,                                             \
                                            .read = read_llama,                                              \
                                            .has = has_llama,                                                \
                                            .print = print_llama,                                            \
                                            .more = &id##_traits}

TYPE(llama, "llama", YOKE_FAMILY_LLAMA, llama_fixed, .class = "LlamaForCausalLM", .attention_bias = true,
     .mlp_bias = true, .divides = true);
TYPE(mistral, "mistral", YOKE_FAMILY_MISTRAL, mistral_fixed, .class = "MistralForCausalLM", .window = true,
     .window_absent = 4096, .heads_absent = 8);
TYPE(qwen2, "qwen2", YOKE_FAMILY_QWEN2, qwen_fixed, .class = "Qwen2ForCausalLM", .qkv_bias = true,
     .heads_absent = 32);
TYPE(qwen3, "qwen3", YOKE_FAMILY_QWEN3, qwen_fixed, .class = "Qwen3ForCausalLM", .attention_bias = true,
     .qk_norm = true, .head_dim_absent = 128, .heads_absent = 32);
/* What no model_type of Hugging Face's has together: other tools refuse it, rather than read another model.
 */
TYPE(own, "yoke-llama", YOKE_FAMILY_LLAMA, llama_fixed, .class = "YokeLlama", .mlp_bias = true,
     .window = true, .own = true);
