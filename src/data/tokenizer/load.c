/* From a tokenizer.json's value to a tokenizer: what kind it is, and what must be absent. The vocabulary and
 * the merges are vocab.c's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

yoke_status yki_tokenizer_fail(const yoke_tokenizer *tokenizer, const char *key, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yki_fail_at(YOKE_INVALID, tokenizer->path, 0, key, "%s", message);
}

/* The "type" of a part; *type_out is borrowed. */
static yoke_status type_of(const yoke_tokenizer *t, const json_t *part, const char *key,
                           const char **type_out)
{
    if (!json_is_object(part)) return yki_tokenizer_fail(t, key, "is no object");
    *type_out = json_string_value(json_object_get(part, "type"));
    return *type_out ? YOKE_OK : yki_tokenizer_fail(t, key, "has no type");
}

/* A member that is true or false, or absent. */
static yoke_status flag(const yoke_tokenizer *t, const json_t *part, const char *key, const char *name,
                        bool standard, bool *value_out)
{
    const json_t *value = json_object_get(part, name);
    if (value && !json_is_boolean(value))
        return yki_tokenizer_fail(t, key, "has a %s that is neither true nor false", name);
    *value_out = value ? json_is_true(value) : standard;
    return YOKE_OK;
}

static yoke_status refuse_true(const yoke_tokenizer *t, const json_t *part, const char *key, const char *name)
{
    bool value = false;
    YKI_TRY(flag(t, part, key, name, false, &value));
    return value ? yki_tokenizer_fail(t, key, "has %s, which is not supported", name) : YOKE_OK;
}

static yoke_status add_split(yoke_tokenizer *t, const char *key, const char *pattern)
{
    if (t->nsplits == YKI_MOST_SPLITS)
        return yki_tokenizer_fail(t, key, "is one pattern too many: at most %d are supported",
                                  YKI_MOST_SPLITS);
    YKI_TRY(yki_pattern_create(t, key, pattern, &t->splits[t->nsplits]));
    t->nsplits++;
    return YOKE_OK;
}

static yoke_status load_byte_level(yoke_tokenizer *t, const json_t *part, const char *key)
{
    bool prefix = false, pattern = false;
    YKI_TRY(flag(t, part, key, "add_prefix_space", true, &prefix));
    if (prefix) return yki_tokenizer_fail(t, key, "has add_prefix_space, which is not supported");
    YKI_TRY(flag(t, part, key, "use_regex", true, &pattern));
    return pattern ? add_split(t, key, yki_gpt2_pattern) : YOKE_OK;
}

static yoke_status load_split(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const json_t *pattern = json_object_get(part, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *behavior = json_string_value(json_object_get(part, "behavior"));
    char quoted[YKI_QUOTE_BYTES];
    if (!regex)
        return yki_tokenizer_fail(t, key, "has %s; a Regex is supported",
                                  json_object_get(pattern, "String") ? "a pattern that is a String"
                                                                     : "no pattern");
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return yki_tokenizer_fail(t, key, "has the behavior %s; Isolated is supported",
                                  yki_quote(quoted, behavior ? behavior : ""));
    YKI_TRY(refuse_true(t, part, key, "invert"));
    return add_split(t, key, regex);
}

static yoke_status refuse_type(const yoke_tokenizer *t, const char *key, const char *type, const char *known)
{
    char quoted[YKI_QUOTE_BYTES];
    return yki_tokenizer_fail(t, key, "is of type %s, which is not supported; %s", yki_quote(quoted, type),
                              known);
}

static yoke_status load_sequence(yoke_tokenizer *t, const json_t *sequence)
{
    const json_t *parts = json_object_get(sequence, "pretokenizers");
    size_t count = json_array_size(parts);
    if (count == 0) return yki_tokenizer_fail(t, "pre_tokenizer.pretokenizers", "is no list of at least one");
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type;
        char key[64];
        snprintf(key, sizeof key, "pre_tokenizer.pretokenizers.%zu", i);
        YKI_TRY(type_of(t, part, key, &type));
        bool last = i + 1 == count, bytes = strcmp(type, "ByteLevel") == 0;
        if (last && !bytes) return refuse_type(t, key, type, "a Sequence must end in ByteLevel");
        if (!last && strcmp(type, "Split") != 0)
            return refuse_type(t, key, type, "before the ByteLevel at its end a Sequence may have Splits");
        YKI_TRY(last ? load_byte_level(t, part, key) : load_split(t, part, key));
    }
    return YOKE_OK;
}

static yoke_status load_pre_tokenizer(yoke_tokenizer *t, const json_t *root)
{
    static const char key[] = "pre_tokenizer";
    const json_t *part = json_object_get(root, key);
    const char *type;
    if (!part || json_is_null(part))
        return yki_tokenizer_fail(t, key, "is missing: only byte-level tokenizers are supported");
    YKI_TRY(type_of(t, part, key, &type));
    if (strcmp(type, "ByteLevel") == 0) return load_byte_level(t, part, key);
    if (strcmp(type, "Sequence") == 0) return load_sequence(t, part);
    return refuse_type(t, key, type, "ByteLevel is, and a Sequence of Splits and ByteLevel");
}

/* A part that must be absent, or of the one type that changes nothing here. */
static yoke_status check_part(const yoke_tokenizer *t, const json_t *root, const char *key,
                              const char *allowed, const char *known)
{
    const json_t *part = json_object_get(root, key);
    const char *type;
    if (!part || json_is_null(part)) return YOKE_OK;
    YKI_TRY(type_of(t, part, key, &type));
    return allowed && strcmp(type, allowed) == 0 ? YOKE_OK : refuse_type(t, key, type, known);
}

static yoke_status check_model(const yoke_tokenizer *t, const json_t *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = "BPE"; /* older files do not say it of GPT-2's kind */
    if (!json_is_object(model)) return yki_tokenizer_fail(t, "model", "is missing or no object");
    if (json_object_get(model, "type") || !json_object_get(model, "merges"))
        YKI_TRY(type_of(t, model, "model", &type));
    if (strcmp(type, "BPE") != 0) return refuse_type(t, "model", type, "BPE is");
    for (int i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (affix && !json_is_null(affix) && (!json_is_string(affix) || json_string_length(affix) > 0))
            return yki_tokenizer_fail(t, "model", "has %s, which is not supported", affixes[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return yki_tokenizer_fail(t, "model", "has dropout, which is not supported");
    return refuse_true(t, model, "model", "byte_fallback");
}

yoke_status yki_tokenizer_load(yoke_tokenizer *t, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *version = json_object_get(root, "version");
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return yki_tokenizer_fail(t, "version", "is not \"1.0\"");
    YKI_TRY(check_model(t, model));
    YKI_TRY(flag(t, model, "model", "ignore_merges", false, &t->ignore_merges));
    YKI_TRY(check_part(t, root, "normalizer", NULL, "only tokenizers without a normalizer are"));
    YKI_TRY(check_part(t, root, "decoder", "ByteLevel", "ByteLevel is"));
    YKI_TRY(load_pre_tokenizer(t, root));
    const json_t *vocab = json_object_get(model, "vocab");
    YKI_TRY(yki_tokenizer_load_vocab(t, vocab, json_object_get(root, "added_tokens")));
    return yki_tokenizer_load_merges(t, vocab, json_object_get(model, "merges"));
}
