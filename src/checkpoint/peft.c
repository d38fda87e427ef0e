/* adapter_config.json: what the package PEFT says of adapters. Keys that change nothing of what is computed
 * may have any value; those that yoke computes are read; all others must be null, false or empty, so that
 * nothing is read and then quietly not done. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/kept.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"

static const char *const harmless[] = {"auto_mapping",      "base_model_name_or_path",
                                       "revision",          "peft_version",
                                       "inference_mode",    "task_type",
                                       "megatron_core",     "fan_in_fan_out",
                                       "qalora_group_size", "runtime_config",
                                       "layers_pattern",    "loftq_config",
                                       "eva_config",        "corda_config",
                                       "lora_ga_config",    "ensure_weight_tying"};
static const char *const computed[] = {
    "peft_type",         "r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "bias",
    "init_lora_weights", NULL};

static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count && names[i]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static bool is_nothing(json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static yoke_status fail_value(const char *path, const char *key, json_t *value, const char *wants)
{
    char *text = yki_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    char shown[120];
    yki_plain(shown, sizeof shown, text ? text : "?");
    free(text);
    return yki_fail_at(YOKE_INVALID, path, 0, key, "is %.80s, %s", shown, wants);
}

/* Ways to begin that leave the base as it is: others take from it what they put into the adapters. */
static bool is_plain_start(json_t *value)
{
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    return !value || json_is_null(value) || json_is_boolean(value) ||
           (json_is_string(value) && is_among(plain, 3, json_string_value(value)));
}

static yoke_status check_keys(const char *path, json_t *config)
{
    const char *key;
    json_t *value;
    json_t *type = json_object_get(config, "peft_type"), *bias = json_object_get(config, "bias"),
           *start = json_object_get(config, "init_lora_weights");
    if (!type) return yki_fail_at(YOKE_INVALID, path, 0, "peft_type", "is missing: it must be \"LORA\"");
    if (!json_is_string(type) || strcmp(json_string_value(type), "LORA") != 0)
        return fail_value(path, "peft_type", type, "and yoke computes adapters of type \"LORA\" alone");
    if (bias && !(json_is_string(bias) && strcmp(json_string_value(bias), "none") == 0))
        return fail_value(path, "bias", bias,
                          "and yoke trains no biases beside adapters: it must be \"none\"");
    if (!is_plain_start(start))
        return fail_value(path, "init_lora_weights", start,
                          "which changes the base's weights too, and yoke does not compute that");
    json_object_foreach(config, key, value) if (
        !is_among(computed, sizeof computed / sizeof *computed, key) &&
        !is_among(harmless, sizeof harmless / sizeof *harmless, key) &&
        !is_nothing(value)) return fail_value(path, key, value,
                                              "which yoke does not compute: it must be null, false or empty");
    return YOKE_OK;
}

/* Texts that stay, whoever asks for them: there are few different ones. */
static bool keep_targets(json_t *list, yoke_texts *texts)
{
    size_t count = json_is_string(list) ? 1 : json_array_size(list);
    const char **made = calloc(count + 1, sizeof *made);
    bool kept = made;
    for (size_t i = 0; i < count && kept; i++) {
        const char *text = json_string_value(json_is_string(list) ? list : json_array_get(list, i));
        kept = (made[i] = yki_keep(text, strlen(text) + 1));
    }
    *texts = (yoke_texts){.count = (int)count};
    if (kept) texts->list = (char **)(uintptr_t)yki_keep(made, sizeof *made * (count + 1));
    free(made);
    return texts->list;
}

static bool has_target(const yoke_texts *texts, const char *text)
{
    for (int i = 0; i < texts->count; i++)
        if (strcmp(texts->list[i], text) == 0) return true;
    return false;
}

static yoke_status read_targets(const char *path, json_t *config, yoke_adapter_spec *adapter)
{
    static const char key[] = "target_modules";
    json_t *list = json_object_get(config, key);
    bool all = json_is_string(list) && strcmp(json_string_value(list), "all-linear") == 0;
    bool fits = all || (json_is_array(list) && json_array_size(list) > 0 && json_array_size(list) <= 4096);
    for (size_t i = 0; fits && !all && i < json_array_size(list); i++)
        fits = json_string_length(json_array_get(list, i)) > 0;
    if (!list) return yki_fail_at(YOKE_INVALID, path, 0, key, "is missing");
    if (!fits) return fail_value(path, key, list, "and must be a list of names, or \"all-linear\"");
    yoke_texts given = adapter->targets;
    if (!keep_targets(list, &adapter->targets)) return yki_fail_memory("an adapter's targets");
    bool same = given.count == adapter->targets.count;
    for (int i = 0; i < given.count && same; i++) same = has_target(&adapter->targets, given.list[i]);
    if (given.count > 0 && !same)
        return fail_value(path, key, list, "and the job's model.adapter.targets are others");
    return YOKE_OK;
}

static yoke_status read_number(const char *path, json_t *config, const char *key, double least, double most,
                               double usual, double *number)
{
    json_t *value = json_object_get(config, key);
    double read = json_is_number(value) ? json_number_value(value) : usual;
    char wants[96];
    snprintf(wants, sizeof wants, "and must be a number from %g to %g", least, most);
    if ((value && !json_is_number(value)) || !(read >= least && read <= most))
        return value ? fail_value(path, key, value, wants)
                     : yki_fail_at(YOKE_INVALID, path, 0, key, "is missing");
    *number = read;
    return YOKE_OK;
}

static yoke_status read_config(const char *path, json_t *config, yoke_adapter_spec *adapter)
{
    double rank, alpha, dropout;
    json_t *stable = json_object_get(config, "use_rslora");
    YKI_TRY(check_keys(path, config));
    YKI_TRY(read_number(path, config, "r", 1, 65536, NAN, &rank));
    YKI_TRY(read_number(path, config, "lora_alpha", 1e-12, 1e12, 8, &alpha));
    YKI_TRY(read_number(path, config, "lora_dropout", 0, 0.999999, 0, &dropout));
    if (rank != floor(rank))
        return fail_value(path, "r", json_object_get(config, "r"), "and must be a whole number");
    if (stable && !json_is_boolean(stable))
        return fail_value(path, "use_rslora", stable, "and must be true or false");
    if (adapter->rank > 0 && adapter->rank != (int64_t)rank)
        return yki_fail_at(YOKE_INVALID, path, 0, "r", "is %g, but the job's model.adapter.rank is %lld",
                           rank, (long long)adapter->rank);
    if (adapter->alpha > 0 && adapter->alpha != alpha)
        return yki_fail_at(YOKE_INVALID, path, 0, "lora_alpha",
                           "is %g, but the job's model.adapter.alpha is %g", alpha, adapter->alpha);
    YKI_TRY(read_targets(path, config, adapter));
    adapter->rank = (int64_t)rank;
    adapter->alpha = alpha;
    if (adapter->dropout < 0) adapter->dropout = dropout; /* of training alone: the job may have another */
    adapter->rank_stabilized = json_is_true(stable);
    return YOKE_OK;
}

bool yki_is_adapter(const char *folder)
{
    char path[YKI_FOLDER_BYTES + 64];
    return yki_path_join(path, sizeof path, folder, YKI_ADAPTER_CONFIG) == YOKE_OK && yki_path_exists(path);
}

yoke_status yki_adapter_file(const char *folder, char path[YKI_FOLDER_BYTES + 64])
{
    YKI_TRY(yki_path_join(path, YKI_FOLDER_BYTES + 64, folder, YKI_ADAPTER_FILE));
    if (yki_path_exists(path)) return YOKE_OK;
    char pickled[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_path_join(pickled, sizeof pickled, folder, "adapter_model.bin"));
    if (yki_path_exists(pickled))
        return yki_fail_at(YOKE_INVALID, pickled, 0, "",
                           "is a pickle, which is not read; save the adapter as " YKI_ADAPTER_FILE
                           " (safe_serialization=True)");
    return yki_fail_at(YOKE_INVALID, path, 0, "", "is missing");
}

yoke_status yki_adapter_read(const char *folder, yoke_adapter_spec *adapter)
{
    char path[YKI_FOLDER_BYTES + 64];
    json_t *config;
    yoke_adapter_spec read = *adapter;
    YKI_TRY(yki_path_join(path, sizeof path, folder, YKI_ADAPTER_CONFIG));
    YKI_TRY(yki_json_load(path, &config));
    yoke_status status = read_config(path, config, &read);
    json_decref(config);
    if (status == YOKE_OK) *adapter = read;
    return status;
}

yoke_status yki_adapter_settle(yoke_adapter_spec *adapter, bool gpt2)
{
    static const char *const usual[2][2] = {{"q_proj", "v_proj"}, {"c_attn"}};
    adapter->kind = YOKE_ADAPTER_LORA;
    if (adapter->rank == 0) adapter->rank = 8;
    if (adapter->alpha == 0) adapter->alpha = 8;
    if (adapter->dropout < 0) adapter->dropout = 0;
    if (adapter->targets.count > 0) return YOKE_OK;
    adapter->targets.count = gpt2 ? 1 : 2;
    adapter->targets.list = (char **)(uintptr_t)usual[gpt2];
    return YOKE_OK;
}

static void print_targets(yki_text *text, const yoke_texts *targets)
{
    char name[512];
    if (targets->count == 1 && strcmp(targets->list[0], "all-linear") == 0) {
        yki_text_append(text, "\"all-linear\"");
        return;
    }
    for (int i = 0; i < targets->count; i++)
        yki_text_append(text, "%s\n    %s", i ? "," : "[",
                        yki_json_string(name, sizeof name, targets->list[i]));
    yki_text_append(text, "\n  ]");
}

char *yki_adapter_print(const yoke_adapter_spec *adapter, bool gpt2, const char *base)
{
    yki_text text = {0};
    char alpha[32], dropout[32], name[2048];
    yki_json_real(alpha, adapter->alpha);
    if (adapter->alpha == floor(adapter->alpha) && adapter->alpha < 1e15)
        snprintf(alpha, sizeof alpha, "%lld", (long long)adapter->alpha);
    yki_text_append(
        &text,
        "{\n  \"base_model_name_or_path\": %s,\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": %s,\n"
        "  \"inference_mode\": true,\n  \"init_lora_weights\": true,\n  \"lora_alpha\": %s,\n"
        "  \"lora_dropout\": %s,\n  \"modules_to_save\": null,\n  \"peft_type\": \"LORA\",\n"
        "  \"r\": %lld,\n  \"target_modules\": ",
        yki_json_string(name, sizeof name, base), gpt2 ? "true" : "false", alpha,
        yki_json_real(dropout, adapter->dropout), (long long)adapter->rank);
    print_targets(&text, &adapter->targets);
    yki_text_append(&text,
                    ",\n  \"task_type\": \"CAUSAL_LM\",\n  \"use_dora\": false,\n  \"use_rslora\": %s\n}\n",
                    adapter->rank_stabilized ? "true" : "false");
    return yki_text_take(&text);
}
