/* Normalizers: the table of their types, and those that need no Unicode. They rewrite the text between added
 * tokens, before it is divided in words. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

void yki_replace(yki_text *out, const char *text, size_t count, const char *from, size_t from_count,
                 const char *to, size_t to_count)
{
    const char *end = text + count;
    for (const char *found; (found = memmem(text, (size_t)(end - text), from, from_count)) != NULL;
         text = found + from_count) {
        yki_text_append_bytes(out, text, (size_t)(found - text));
        yki_text_append_bytes(out, to, to_count);
    }
    yki_text_append_bytes(out, text, (size_t)(end - text));
}

/* ---- Prepend: to = what every text begins with ---- */

static yoke_status prepend(const yoke_tokenizer *t, const yki_tokenizer_part *part, yki_encoder *e,
                           yki_tokenizer_text piece, yki_text *out)
{
    (void)t;
    if (piece.count == 0) return YOKE_OK;
    if (!e || !yki_encoder_goes_on(e, piece)) yki_text_append_bytes(out, part->to, part->to_count);
    yki_text_append_bytes(out, piece.text, piece.count);
    return YOKE_OK;
}

static yoke_status load_prepend(yoke_tokenizer *t, const json_t *part, const char *key)
{
    yki_tokenizer_part *made;
    YKI_TRY(yki_part_add(t, &t->normalizers, key, &made));
    made->normalize = prepend;
    return yki_part_text(t, part, key, "prepend", &made->to, &made->to_count);
}

/* ---- Replace: `from` or the pattern becomes `to` ---- */

static yoke_status replace_text(const yoke_tokenizer *t, const yki_tokenizer_part *part, yki_encoder *e,
                                yki_tokenizer_text piece, yki_text *out)
{
    (void)t, (void)e;
    yki_replace(out, piece.text, piece.count, part->from, part->from_count, part->to, part->to_count);
    return YOKE_OK;
}

static yoke_status replace_matches(const yoke_tokenizer *t, const yki_tokenizer_part *part, yki_encoder *e,
                                   yki_tokenizer_text piece, yki_text *out)
{
    yki_matcher *own = e ? NULL : yki_matcher_create();
    if (own) yki_matcher_begin(own, piece.count);
    if (!e && !own) return yki_fail_memory("a text");
    yoke_status status = YOKE_OK;
    for (size_t at = 0, begin, end; at < piece.count && status == YOKE_OK; at = end) {
        status = yki_pattern_next(t, part->pattern, own ? own : yki_encoder_matcher(e), piece.text,
                                  piece.count, at, &begin, &end);
        if (status != YOKE_OK) break;
        yki_text_append_bytes(out, piece.text + at, begin - at);
        if (end > begin) yki_text_append_bytes(out, part->to, part->to_count);
    }
    yki_matcher_destroy(own);
    return status;
}

static yoke_status load_replace(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const char *literal, *regex;
    yki_tokenizer_part *made;
    YKI_TRY(yki_part_pattern(t, part, key, &literal, &regex));
    YKI_TRY(yki_part_add(t, &t->normalizers, key, &made));
    YKI_TRY(yki_part_text(t, part, key, "content", &made->to, &made->to_count));
    made->normalize = regex ? replace_matches : replace_text;
    if (regex) return yki_pattern_create(t, key, regex, &made->pattern);
    made->from = strdup(literal);
    made->from_count = strlen(literal);
    return made->from ? YOKE_OK : yki_fail_memory("a tokenizer's part");
}

/* ---- all of them ---- */

yoke_status yki_normalize(const yoke_tokenizer *t, yki_encoder *e, yki_text buffers[2],
                          yki_tokenizer_text piece, yki_tokenizer_text *piece_out)
{
    for (int i = 0; i < t->normalizers.count; i++) {
        const yki_tokenizer_part *part = &t->normalizers.items[i];
        yki_text *out = &buffers[i % 2];
        out->length = 0;
        yki_text_append_bytes(out, "", 0);
        YKI_TRY(part->normalize(t, part, e, piece, out));
        if (out->failed) return yki_fail_memory("a text");
        piece.text = out->data;
        piece.count = out->length;
    }
    *piece_out = piece;
    return YOKE_OK;
}

static const yki_part_type types[] = {
    {"NFC", yki_load_nfc},   {"NFD", yki_load_nfd},     {"NFKC", yki_load_nfkc},
    {"NFKD", yki_load_nfkd}, {"Prepend", load_prepend}, {"Replace", load_replace},
};
const yki_part_table yki_normalizers = {"normalizer", "normalizers", types, sizeof types / sizeof *types};
