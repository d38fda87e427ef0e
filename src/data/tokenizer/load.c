/* From a tokenizer.json's value to a tokenizer: the order in which its members are read, and what its model
 * says of itself. */
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

static yoke_status load_model(yoke_tokenizer *t, const json_t *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    char quoted[YKI_QUOTE_BYTES];
    const char *type = "BPE"; /* older files do not say it of GPT-2's kind */
    if (!json_is_object(model)) return yki_tokenizer_fail(t, "model", "is missing or no object");
    if (json_object_get(model, "type") || !json_object_get(model, "merges"))
        type = json_string_value(json_object_get(model, "type"));
    if (!type) return yki_tokenizer_fail(t, "model", "has no type");
    if (strcmp(type, "BPE") != 0)
        return yki_tokenizer_fail(t, "model", "is of type %s, which is not supported; BPE is",
                                  yki_quote(quoted, type));
    for (int i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (affix && !json_is_null(affix) && (!json_is_string(affix) || json_string_length(affix) > 0))
            return yki_tokenizer_fail(t, "model", "has %s, which is not supported", affixes[i]);
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return yki_tokenizer_fail(t, "model", "has dropout, which is not supported");
    YKI_TRY(yki_part_flag(t, model, "model", "byte_fallback", false, &t->byte_fallback));
    YKI_TRY(yki_part_flag(t, model, "model", "fuse_unk", false, &t->fuse_unknown));
    return yki_part_flag(t, model, "model", "ignore_merges", false, &t->ignore_merges);
}

static bool is_exact(const yoke_tokenizer *t)
{
    bool exact = t->byte_decoder && t->every_byte && t->normalizers.count == 0 && !t->strip[0];
    for (int i = 0; i < t->dividers.count; i++) exact &= !t->dividers.items[i].lossy;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < t->added[pass].count; i++)
            exact &= !t->added[pass].items[i].lstrip && !t->added[pass].items[i].rstrip;
    for (int i = 0; i < t->nnames; i++) { /* an added token may have a word's id, and is what it decodes to */
        const yki_token *token = &t->tokens[t->names[i].id];
        exact &= !token->bytes || strcmp(token->bytes, t->names[i].text) == 0;
    }
    return exact;
}

yoke_status yki_tokenizer_load(yoke_tokenizer *t, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *version = json_object_get(root, "version");
    const json_t *vocab = json_object_get(model, "vocab"), *added = json_object_get(root, "added_tokens");
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return yki_tokenizer_fail(t, "version", "is not \"1.0\"");
    YKI_TRY(load_model(t, model));
    YKI_TRY(yki_parts_load(t, root, &yki_normalizers));
    YKI_TRY(yki_parts_load(t, root, &yki_pre_tokenizers));
    YKI_TRY(yki_parts_load(t, root, &yki_decoders));
    YKI_TRY(yki_tokenizer_load_vocab(t, model, added));
    YKI_TRY(yki_tokenizer_load_added(t, vocab, added));
    YKI_TRY(yki_tokenizer_load_merges(t, vocab, json_object_get(model, "merges")));
    YKI_TRY(yki_decoders_finish(t, vocab));
    t->exact = is_exact(t);
    return yki_parts_load(t, root, &yki_post_processors);
}
