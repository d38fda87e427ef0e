/* Metaspace: spaces become a character of their own (U+2581), which also stands before a text, and words
 * begin with it; and back. from = that character; mode = when it stands before a text. */
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

typedef enum scheme { ALWAYS, FIRST, NEVER } scheme;
static const char *const schemes[] = {"always", "first", "never"};

/* part->start: are words cut? */
static yoke_status divide(yki_encoder *e, const yki_tokenizer_part *part, int level, yki_tokenizer_text piece)
{
    yki_text *out = yki_encoder_buffer(e, level);
    bool there = piece.text[0] == ' ' ||
                 (piece.count >= part->from_count && memcmp(piece.text, part->from, part->from_count) == 0);
    bool wanted = part->mode == ALWAYS || (part->mode == FIRST && piece.first);
    if (wanted && !there && !yki_encoder_goes_on(e, piece))
        yki_text_append_bytes(out, part->from, part->from_count);
    yki_replace(out, piece.text, piece.count, " ", 1, part->from, part->from_count);
    if (out->failed) return yki_fail_memory("a text");
    const char *text = out->data;
    size_t count = out->length;
    for (size_t at = 0, end; at < count; at = end) {
        const char *next =
            !part->start ? NULL : memmem(text + at + 1, count - at - 1, part->from, part->from_count);
        end = next ? (size_t)(next - text) : count;
        YKI_TRY(yki_encoder_pass(e, level + 1,
                                 (yki_tokenizer_text){text + at, end - at, piece.first && at == 0}));
    }
    return YOKE_OK;
}

static void decode(const yki_tokenizer_part *part, const char *text, size_t count, bool first, bool added,
                   yki_text *out)
{
    (void)added;
    yki_replace(out, text, count, part->from, part->from_count, " ", first && part->mode != NEVER ? 0 : 1);
}

static yoke_status load(yoke_tokenizer *t, const json_t *part, const char *key, yki_tokenizer_part *made)
{
    const json_t *scheme_value = json_object_get(part, "prepend_scheme");
    const char *name = json_string_value(scheme_value);
    char quoted[YKI_QUOTE_BYTES];
    bool prefix, split;
    YKI_TRY(yki_part_text(t, part, key, "replacement", &made->from, &made->from_count));
    if (made->from_count == 0 || yki_utf8_character(made->from, made->from_count) != made->from_count)
        return yki_tokenizer_fail(t, key, "has a replacement that is not one character");
    while (name && made->mode <= NEVER && strcmp(schemes[made->mode], name) != 0) made->mode++;
    if (made->mode > NEVER || (scheme_value && !name))
        return yki_tokenizer_fail(t, key, "has the prepend_scheme %s; always, first and never are supported",
                                  yki_quote(quoted, name ? name : ""));
    YKI_TRY(yki_part_flag(t, part, key, "add_prefix_space", true, &prefix));
    if (!prefix && made->mode != NEVER)
        return yki_tokenizer_fail(t, key,
                                  "has add_prefix_space false, and a prepend_scheme that is not never");
    YKI_TRY(yki_part_flag(t, part, key, "split", true, &split));
    made->start = split;
    return YOKE_OK;
}

yoke_status yki_load_metaspace(yoke_tokenizer *t, const json_t *part, const char *key)
{
    yki_tokenizer_part *made;
    if (t->byte_level) return yki_tokenizer_fail(t, key, "stands behind ByteLevel, which must be the last");
    YKI_TRY(yki_part_add(t, &t->dividers, key, &made));
    made->divide = divide;
    made->lossy = true;
    return load(t, part, key, made);
}

yoke_status yki_load_metaspace_decoder(yoke_tokenizer *t, const json_t *part, const char *key)
{
    yki_tokenizer_part *made;
    if (t->decoded > 0)
        return yki_tokenizer_fail(t, key,
                                  "stands behind a decoder that joins tokens, which is not supported");
    YKI_TRY(yki_part_add(t, &t->decoders, key, &made));
    made->decode = decode;
    return load(t, part, key, made);
}
