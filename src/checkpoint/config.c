/* config.json: the shape of a model, in the spellings of Hugging Face's tools, older and newer.
 *
 * One table per family says which key means which field, its range and what is assumed where it is absent; a
 * second one lists the keys whose other values would change what the model computes, so that nothing is read
 * and then quietly not done. Bounds keep every product of two fields far inside 63 bits. Deliberately absent:
 * dropout, which is training's business, and tokens' ids. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"

#define LAYERS_TYPE "yoke-layers"

typedef struct count_field {
    const char *keys[3]; /* the first is the one named in errors */
    const char *job_key;
    size_t place; /* in yoke_model_spec, an int64_t */
    int64_t most;
    bool optional;
} count_field;

#define PLACE(field) offsetof(yoke_model_spec, field)

static const count_field gpt2_counts[] = {
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

static const count_field llama_counts[] = {
    {{"num_hidden_layers"}, "model.layers", PLACE(depth), 10000, false},
    {{"num_attention_heads"}, "model.heads", PLACE(heads), 65536, false},
    {{"num_key_value_heads"}, "model.kv_heads", PLACE(kv_heads), 65536, true},
    {{"hidden_size"}, "model.width", PLACE(width), 1 << 24, false},
    {{"intermediate_size"}, "model.hidden", PLACE(hidden), 1 << 26, false},
    {{"max_position_embeddings"}, "model.context", PLACE(context), (int64_t)1 << 31, false},
    {{"vocab_size"}, "model.vocab", PLACE(vocab), (int64_t)1 << 31, false},
    {.job_key = NULL},
};

/* Keys of which only some values are computed. Absent and null are always among them. */
typedef struct fixed_field {
    const char *key;
    const char *values[3]; /* strings; "true", "false": booleans; none: nothing but absent or null */
} fixed_field;

static const fixed_field gpt2_fixed[] = {
    {"activation_function", {"gelu_new", "gelu_pytorch_tanh"}}, /* two names of the tanh approximation */
    {"tie_word_embeddings", {"true"}},
    {"scale_attn_weights", {"true"}},
    {"scale_attn_by_inverse_layer_idx", {"false"}},
    {"add_cross_attention", {"false"}},
    {"quantization_config", {NULL}},
    {NULL, {NULL}},
};

static const fixed_field llama_fixed[] = {
    {"hidden_act", {"silu", "swish"}},
    {"attention_bias", {"false"}},
    {"mlp_bias", {"false"}},
    {"quantization_config", {NULL}},
    {NULL, {NULL}},
};

static const char *family_name(yoke_family family)
{
    return family == YOKE_FAMILY_GPT2 ? "gpt2" : family == YOKE_FAMILY_LLAMA ? "llama" : "layers";
}

/* A JSON value as people write it, cut to fit. */
static char *print_value(char buffer[YKI_QUOTE_BYTES], json_t *value)
{
    char *text = yki_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (json_is_string(value))
        yki_quote(buffer, json_string_value(value));
    else
        snprintf(buffer, YKI_QUOTE_BYTES, "%.80s", json_is_object(value) ? "an object" : text ? text : "?");
    free(text);
    return buffer;
}

/* The value of the first of a field's keys that is there; two that are there must agree. */
static yoke_status read_count(const char *path, json_t *config, const count_field *field, int64_t *out)
{
    char shown[YKI_QUOTE_BYTES];
    *out = 0;
    const char *first = NULL;
    for (int i = 0; i < 3 && field->keys[i]; i++) {
        json_t *value = json_object_get(config, field->keys[i]);
        if (!value || json_is_null(value)) continue;
        if (!json_is_integer(value) || json_integer_value(value) < 1 ||
            json_integer_value(value) > field->most)
            return yki_fail_at(YOKE_INVALID, path, 0, field->keys[i],
                               "is %s; it must be a whole number from 1 to %lld", print_value(shown, value),
                               (long long)field->most);
        if (first && *out != json_integer_value(value))
            return yki_fail_at(YOKE_INVALID, path, 0, field->keys[i],
                               "is %lld, but %s, which means the same, is %lld",
                               (long long)json_integer_value(value), first, (long long)*out);
        if (!first) first = field->keys[i];
        *out = json_integer_value(value);
    }
    return YOKE_OK;
}

static yoke_status merge_count(const char *path, json_t *config, const count_field *field,
                               yoke_model_spec *model)
{
    int64_t value, given;
    memcpy(&given, (char *)model + field->place, sizeof given);
    YKI_TRY(read_count(path, config, field, &value));
    if (value == 0 && given == 0 && !field->optional)
        return yki_fail_at(YOKE_INVALID, path, 0, field->keys[0], "is missing, and the job has no %s",
                           field->job_key);
    if (value != 0 && given != 0 && value != given)
        return yki_fail_at(YOKE_INVALID, path, 0, field->keys[0], "is %lld, but the job's %s is %lld",
                           (long long)value, field->job_key, (long long)given);
    if (value != 0) memcpy((char *)model + field->place, &value, sizeof value);
    return YOKE_OK;
}

/* A positive number; 0 where `value` is absent. */
static yoke_status merge_real(const char *path, const char *key, json_t *value, double fallback, double most,
                              const char *job_key, double *field)
{
    char shown[YKI_QUOTE_BYTES], given[32];
    if (!value || json_is_null(value)) {
        if (*field == 0) *field = fallback;
        return YOKE_OK;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 && number <= most))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s; it must be a number above 0 and at most %g",
                           print_value(shown, value), most);
    if (*field != 0 && *field != number)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s, but the job's %s is %s",
                           print_value(shown, value), job_key, yki_json_real(given, *field));
    *field = number;
    return YOKE_OK;
}

static bool is_value(json_t *value, const char *text)
{
    if (json_is_string(value)) return strcmp(json_string_value(value), text) == 0;
    return strcmp(text, "true") == 0 ? json_is_true(value)
                                     : strcmp(text, "false") == 0 && json_is_false(value);
}

static yoke_status check_fixed(const char *path, json_t *config, const fixed_field *fixed)
{
    char shown[YKI_QUOTE_BYTES];
    for (; fixed->key; fixed++) {
        json_t *value = json_object_get(config, fixed->key);
        bool known = !value || json_is_null(value);
        for (int i = 0; i < 3 && fixed->values[i]; i++) known |= is_value(value, fixed->values[i]);
        if (!known)
            return yki_fail_at(YOKE_INVALID, path, 0, fixed->key, "is %s, which yoke does not compute%s%s",
                               print_value(shown, value), fixed->values[0] ? "; it computes " : "",
                               fixed->values[0] ? fixed->values[0] : "");
    }
    return YOKE_OK;
}

static yoke_status check_heads(const char *path, const char *key, const yoke_model_spec *model)
{
    if (model->width % model->heads != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %lld, which %lld heads do not divide",
                           (long long)model->width, (long long)model->heads);
    return YOKE_OK;
}

static yoke_status read_gpt2(const char *path, json_t *config, yoke_model_spec *model)
{
    char shown[YKI_QUOTE_BYTES];
    json_t *inner = json_object_get(config, "n_inner");
    YKI_TRY(check_heads(path, "n_embd", model));
    if (inner && !json_is_null(inner) &&
        !(json_is_integer(inner) && json_integer_value(inner) == 4 * model->width))
        return yki_fail_at(YOKE_INVALID, path, 0, "n_inner",
                           "is %s; yoke's gpt2 has null, or 4 times n_embd (%lld)", print_value(shown, inner),
                           (long long)(4 * model->width));
    YKI_TRY(merge_real(path, "layer_norm_epsilon", json_object_get(config, "layer_norm_epsilon"), 1e-5, 1,
                       "model.norm_eps", &model->norm_eps));
    model->tied = 1;
    return YOKE_OK;
}

/* Llama 3.1's stretched positions; every number must be there. */
static yoke_status read_llama3_rope(const char *path, const char *home_key, json_t *home,
                                    yoke_rope_scaling *scaling)
{
    static const char *const keys[] = {"factor", "low_freq_factor", "high_freq_factor",
                                       "original_max_position_embeddings"};
    yoke_rope_scaling read = {0};
    double *const fields[] = {&read.factor, &read.low, &read.high, &read.context};
    char key[80], shown[YKI_QUOTE_BYTES];
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s.%s", home_key, keys[i]);
        json_t *value = json_object_get(home, keys[i]);
        if (!value || json_is_null(value))
            return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing; rope of type 'llama3' needs it");
        YKI_TRY(merge_real(path, key, value, 0, 1e12, "", fields[i]));
    }
    if (read.context != floor(read.context))
        return yki_fail_at(YOKE_INVALID, path, 0, key, "is %s; it must be a whole number",
                           print_value(shown, json_object_get(home, keys[3])));
    if (read.factor < 1 || read.context < 1)
        return yki_fail_at(YOKE_INVALID, path, 0, home_key,
                           "has a factor of %g for a context of %g; each must be at least 1", read.factor,
                           read.context);
    if (read.high <= read.low)
        return yki_fail_at(YOKE_INVALID, path, 0, home_key,
                           "has a high_freq_factor of %s, which must be above low_freq_factor, %g",
                           print_value(shown, json_object_get(home, keys[2])), read.low);
    bool given = scaling->factor != 0;
    if (given && (scaling->factor != read.factor || scaling->low != read.low || scaling->high != read.high ||
                  scaling->context != read.context))
        return yki_fail_at(YOKE_INVALID, path, 0, home_key,
                           "differs from rope_scaling, which means the same");
    *scaling = read;
    return YOKE_OK;
}

/* Older files: rope_theta and rope_scaling; newer: both in rope_parameters. Computed are the plain rotation
 * and Llama 3.1's. */
static yoke_status read_rope(const char *path, json_t *config, yoke_model_spec *model)
{
    static const char *const homes[] = {"rope_scaling", "rope_parameters"};
    char shown[YKI_QUOTE_BYTES];
    for (int i = 0; i < 2; i++) {
        json_t *home = json_object_get(config, homes[i]);
        if (!home || json_is_null(home)) continue;
        json_t *type = json_object_get(home, "rope_type");
        if (!type) type = json_object_get(home, "type");
        bool llama3 = type && is_value(type, "llama3");
        if (!json_is_object(home) || (type && !llama3 && !is_value(type, "default")) ||
            (!type && json_object_get(home, "factor")))
            return yki_fail_at(YOKE_INVALID, path, 0, homes[i],
                               "is %s, which yoke does not compute; it computes 'default' and 'llama3'",
                               print_value(shown, type ? type : home));
        if (llama3) YKI_TRY(read_llama3_rope(path, homes[i], home, &model->rope_scaling));
        YKI_TRY(merge_real(path, "rope_parameters.rope_theta", json_object_get(home, "rope_theta"), 0, 1e12,
                           "model.rope_theta", &model->rope_theta));
    }
    return merge_real(path, "rope_theta", json_object_get(config, "rope_theta"), 10000, 1e12,
                      "model.rope_theta", &model->rope_theta);
}

static yoke_status read_llama(const char *path, json_t *config, yoke_model_spec *model)
{
    char shown[YKI_QUOTE_BYTES];
    YKI_TRY(check_heads(path, "hidden_size", model));
    if (model->kv_heads == 0) model->kv_heads = model->heads;
    if (model->heads % model->kv_heads != 0)
        return yki_fail_at(YOKE_INVALID, path, 0, "num_key_value_heads",
                           "is %lld, which does not divide %lld heads", (long long)model->kv_heads,
                           (long long)model->heads);
    json_t *head = json_object_get(config, "head_dim");
    if (head && !json_is_null(head) &&
        !(json_is_integer(head) && json_integer_value(head) == model->width / model->heads))
        return yki_fail_at(YOKE_INVALID, path, 0, "head_dim",
                           "is %s; yoke's llama has hidden_size over heads (%lld)", print_value(shown, head),
                           (long long)(model->width / model->heads));
    YKI_TRY(merge_real(path, "rms_norm_eps", json_object_get(config, "rms_norm_eps"), 1e-6, 1,
                       "model.norm_eps", &model->norm_eps));
    YKI_TRY(read_rope(path, config, model));
    json_t *tied = json_object_get(config, "tie_word_embeddings");
    if (tied && !json_is_boolean(tied) && !json_is_null(tied))
        return yki_fail_at(YOKE_INVALID, path, 0, "tie_word_embeddings", "is %s; it must be true or false",
                           print_value(shown, tied));
    int value = json_is_true(tied);
    if (json_is_boolean(tied) && model->tied >= 0 && model->tied != value)
        return yki_fail_at(YOKE_INVALID, path, 0, "tie_word_embeddings",
                           "is %s, but the job's model.tied is %s", value ? "true" : "false",
                           model->tied ? "true" : "false");
    if (json_is_boolean(tied) || model->tied < 0) model->tied = value;
    return YOKE_OK;
}

static yoke_status read_config(const char *path, json_t *config, yoke_model_spec *model)
{
    char shown[YKI_QUOTE_BYTES];
    json_t *type = json_object_get(config, "model_type");
    bool gpt2 = model->family == YOKE_FAMILY_GPT2;
    if (!json_is_string(type))
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is missing or no string");
    if (!is_value(type, "gpt2") && !is_value(type, "llama") && !is_value(type, LAYERS_TYPE))
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is %s; yoke reads 'gpt2' and 'llama'",
                           print_value(shown, type));
    if (model->family == YOKE_FAMILY_LAYERS || !is_value(type, family_name(model->family)))
        return yki_fail_at(YOKE_INVALID, path, 0, "model_type", "is %s, but the job's model.family is %s",
                           print_value(shown, type), family_name(model->family));
    YKI_TRY(check_fixed(path, config, gpt2 ? gpt2_fixed : llama_fixed));
    for (const count_field *field = gpt2 ? gpt2_counts : llama_counts; field->keys[0]; field++)
        YKI_TRY(merge_count(path, config, field, model));
    return gpt2 ? read_gpt2(path, config, model) : read_llama(path, config, model);
}

static yoke_status load(const char *folder, char path[YKI_FOLDER_BYTES + 64], json_t **config_out)
{
    YKI_TRY(yki_path_join(path, YKI_FOLDER_BYTES + 64, folder, "config.json"));
    return yki_json_load(path, config_out);
}

yoke_status yki_config_read(const char *folder, yoke_model_spec *model)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    yoke_model_spec read = *model;
    yoke_status status = read_config(path, config, &read);
    json_decref(config);
    if (status == YOKE_OK) *model = read;
    return status;
}

yoke_status yki_config_dropout(const char *folder, double *most_out)
{
    static const char *const keys[] = {"attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout"};
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    *most_out = 0;
    YKI_TRY(load(folder, path, &config));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double p = json_number_value(json_object_get(config, keys[i]));
        if (p > *most_out) *most_out = p;
    }
    json_decref(config);
    return YOKE_OK;
}

yoke_status yki_config_type(const char *folder, char type_out[64])
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    snprintf(type_out, 64, "%.63s", type ? type : "");
    type_out[yki_utf8_prefix(type_out, strlen(type_out))] = '\0';
    json_decref(config);
    return YOKE_OK;
}

yoke_status yki_config_job(const char *folder, char **job_text_out)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    const char *job = json_string_value(json_object_get(json_object_get(config, "yoke"), "job"));
    yoke_status status = YOKE_OK;
    char *copy = NULL;
    if (!job)
        status =
            yki_fail_at(YOKE_INVALID, path, 0, "yoke.job", "is missing: no `layers` model was saved here");
    else if (!(copy = strdup(job)))
        status = yki_fail_memory("a job's text");
    json_decref(config);
    if (status == YOKE_OK) *job_text_out = copy;
    return status;
}

yoke_status yki_config_facts(const char *folder, yki_facts *facts)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    YKI_TRY(load(folder, path, &config));
    yoke_status status = yki_facts_read(path, config, facts);
    json_decref(config);
    return status;
}

static void print_gpt2(yki_text *text, const yoke_model_spec *model)
{
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

static void print_rope_scaling(yki_text *text, const yoke_rope_scaling *scaling)
{
    char factor[32], low[32], high[32];
    if (scaling->factor == 0) {
        yki_text_append(text, "  \"rope_scaling\": null,\n");
        return;
    }
    yki_text_append(text,
                    "  \"rope_scaling\": {\n    \"factor\": %s,\n    \"high_freq_factor\": %s,\n"
                    "    \"low_freq_factor\": %s,\n    \"original_max_position_embeddings\": %lld,\n"
                    "    \"rope_type\": \"llama3\"\n  },\n",
                    yki_json_real(factor, scaling->factor), yki_json_real(high, scaling->high),
                    yki_json_real(low, scaling->low), (long long)scaling->context);
}

static void print_llama(yki_text *text, const yoke_model_spec *model)
{
    char eps[32], theta[32], dropout[32];
    yki_json_real(dropout, model->dropout);
    yki_json_real(eps, model->norm_eps != 0 ? model->norm_eps : 1e-6);
    yki_json_real(theta, model->rope_theta != 0 ? model->rope_theta : 10000);
    yki_text_append(
        text,
        "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"attention_bias\": false,\n"
        "  \"attention_dropout\": %s,\n  \"bos_token_id\": null,\n  \"eos_token_id\": null,\n"
        "  \"head_dim\": %lld,\n  \"hidden_act\": \"silu\",\n  \"hidden_size\": %lld,\n"
        "  \"initializer_range\": 0.02,\n  \"intermediate_size\": %lld,\n"
        "  \"max_position_embeddings\": %lld,\n  \"mlp_bias\": false,\n  \"model_type\": \"llama\",\n",
        dropout, (long long)(model->heads > 0 ? model->width / model->heads : 0), (long long)model->width,
        (long long)model->hidden, (long long)model->context);
    yki_text_append(
        text,
        "  \"num_attention_heads\": %lld,\n  \"num_hidden_layers\": %lld,\n  \"num_key_value_heads\": %lld,\n"
        "  \"rms_norm_eps\": %s,\n",
        (long long)model->heads, (long long)model->depth,
        (long long)(model->kv_heads ? model->kv_heads : model->heads), eps);
    print_rope_scaling(text, &model->rope_scaling);
    yki_text_append(
        text,
        "  \"rope_theta\": %s,\n"
        "  \"tie_word_embeddings\": %s,\n  \"torch_dtype\": \"float32\",\n  \"use_cache\": true,\n"
        "  \"vocab_size\": %lld",
        theta, model->tied > 0 ? "true" : "false", (long long)model->vocab);
}

/* The job's text with whatever is not UTF-8 (paths can be) replaced: JSON can hold nothing else. */
static void append_utf8(yki_text *text, const char *bytes)
{
    size_t left = strlen(bytes);
    while (left > 0) {
        size_t valid = yki_utf8_prefix(bytes, left);
        yki_text_append_bytes(text, bytes, valid);
        bytes += valid;
        left -= valid;
        if (left > 0) {
            yki_text_append(text, "\xef\xbf\xbd");
            bytes++;
            left--;
        }
    }
}

static void print_layers(yki_text *text, const char *job_text)
{
    yki_text clean = {0};
    append_utf8(&clean, job_text ? job_text : "");
    char *bytes = yki_text_take(&clean);
    json_t *string = bytes ? json_string(bytes) : NULL;
    char *quoted = string ? yki_json_dump(string, JSON_ENCODE_ANY) : NULL;
    if (!quoted)
        text->failed = true;
    else if (job_text)
        yki_text_append(text, "{\n  \"model_type\": \"" LAYERS_TYPE "\",\n  \"yoke\": {\n    \"job\": ");
    else
        yki_text_append(text, "{\n  \"model_type\": \"" LAYERS_TYPE "\",\n  \"yoke\": {}");
    if (quoted && job_text) {
        yki_text_append_bytes(text, quoted, strlen(quoted));
        yki_text_append(text, "\n  }");
    }
    free(quoted);
    json_decref(string);
    free(bytes);
}

char *yki_config_print(const yoke_model_spec *model, const char *job_text, const yki_facts *facts)
{
    yki_text text = {0};
    if (model->family == YOKE_FAMILY_GPT2)
        print_gpt2(&text, model);
    else if (model->family == YOKE_FAMILY_LLAMA)
        print_llama(&text, model);
    else
        print_layers(&text, job_text);
    if (facts) yki_facts_print(&text, facts);
    yki_text_append(&text, "\n}\n");
    return yki_text_take(&text);
}
