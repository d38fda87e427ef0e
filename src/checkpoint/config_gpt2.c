/* config.json of GPT-2, in the spellings of older and newer tools. Deliberately absent: dropout, which is
 * training's business, and tokens' ids. */
#include <stddef.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "checkpoint/config.h"

#define PLACE(field) offsetof(yoke_model_spec, field)

static const yki_config_count gpt2_counts[] = {
    {{"n_layer", "num_hidden_layers"}, "model.layers", PLACE(depth), 10000, false},
    {{"n_head", "num_attention_heads"}, "model.heads", PLACE(heads), 65536, false},
    {{"n_embd", "hidden_size"}, "model.width", PLACE(width), 1 << 24, false},
    {{"n_positions", "n_ctx", "max_position_embeddings"},
     "model.context",
     PLACE(context),
     (int64_t)1 << 31,
     false},
    {{"vocab_size"}, "model.vocab", PLACE(vocab), (int64_t)1 << 31, false},
    {.job_key = NULL},
};

static const yki_config_fixed gpt2_fixed[] = {
    {"activation_function", {"gelu_new", "gelu_pytorch_tanh"}}, /* two names of the tanh approximation */
    {"tie_word_embeddings", {"true"}},
    {"scale_attn_weights", {"true"}},
    {"scale_attn_by_inverse_layer_idx", {"false"}},
    {"add_cross_attention", {"false"}},
    {"quantization_config", {NULL}},
    {NULL, {NULL}},
};

static yoke_status read_gpt2(const yki_config_row *type, const char *path, json_t *config,
                             yoke_model_spec *model)
{
    (void)type;
    char shown[YKI_QUOTE_BYTES];
    json_t *inner = json_object_get(config, "n_inner");
    if (model->width % model->heads != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, "n_embd", "is %lld, which %lld heads do not divide",
                           (long long)model->width, (long long)model->heads);
    if (inner && !json_is_null(inner) &&
        !(json_is_integer(inner) && json_integer_value(inner) == 4 * model->width))
        return yki_fail_at(YOKE_INVALID, path, 0, "n_inner",
                           "is %s; yoke's gpt2 has null, or 4 times n_embd (%lld)",
                           yki_config_shown(shown, inner), (long long)(4 * model->width));
    YKI_TRY(yki_config_real(path, "layer_norm_epsilon", json_object_get(config, "layer_norm_epsilon"), 1e-5,
                            1, "model.norm_eps", &model->norm_eps));
    model->tied = 1;
    return YOKE_OK;
}

static bool has_gpt2(const yki_config_row *type, const yoke_model_spec *model)
{
    return model->family == type->family;
}

static void print_gpt2(const yki_config_row *type, yki_text *text, const yoke_model_spec *model)
{
    (void)type;
    char eps[32], dropout[32];
    yki_json_real(eps, model->norm_eps != 0 ? model->norm_eps : 1e-5);
    yki_json_real(dropout, model->dropout);
    /* The end-of-text token of GPT-2's own vocabulary; another vocabulary has none that is known here. */
    const char *end = model->vocab == 50257 ? "50256" : "null";
    yki_text_append(
        text,
        "{\n  \"activation_function\": \"gelu_new\",\n  \"architectures\": [\n    \"GPT2LMHeadModel\"\n  ],\n"
        "  \"attn_pdrop\": %s,\n  \"bos_token_id\": %s,\n  \"embd_pdrop\": %s,\n  \"eos_token_id\": %s,\n"
        "  \"initializer_range\": 0.02,\n  \"layer_norm_epsilon\": %s,\n  \"model_type\": \"gpt2\",\n",
        dropout, end, dropout, end, eps);
    yki_text_append(
        text,
        "  \"n_ctx\": %lld,\n  \"n_embd\": %lld,\n  \"n_head\": %lld,\n  \"n_inner\": null,\n"
        "  \"n_layer\": %lld,\n  \"n_positions\": %lld,\n  \"resid_pdrop\": %s,\n"
        "  \"scale_attn_weights\": true,\n  \"tie_word_embeddings\": true,\n  \"torch_dtype\": \"float32\",\n"
        "  \"use_cache\": true,\n  \"vocab_size\": %lld",
        (long long)model->context, (long long)model->width, (long long)model->heads, (long long)model->depth,
        (long long)model->context, dropout, (long long)model->vocab);
}

const yki_config_row yki_config_gpt2 = {.name = "gpt2",
                                        .family = YOKE_FAMILY_GPT2,
                                        .counts = gpt2_counts,
                                        .fixed = gpt2_fixed,
                                        .read = read_gpt2,
                                        .has = has_gpt2,
                                        .print = print_gpt2};
