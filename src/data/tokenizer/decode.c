/* Decoding: the table of decoders, what every token becomes by them, and lists of tokens as text. Decoders of
 * single tokens run once, when a tokenizer is loaded; what they leave to be done to a list is to treat its
 * first token apart, and to strip what tokens that were joined begin or end with. Bytes stay bytes: what is
 * no UTF-8 is not replaced, so that tokens cut out of a list join again. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"

enum { SINGLE, SPELLED_JOINED, ALL_JOINED }; /* yoke_tokenizer.decoded */

static yoke_status add(yoke_tokenizer *t, const char *key, yki_tokenizer_part **made_out)
{
    if (t->decoded != SINGLE)
        return yki_tokenizer_fail(t, key,
                                  "stands behind a decoder that joins tokens, which is not supported");
    return yki_part_add(t, &t->decoders, key, made_out);
}

/* ---- ByteLevel ---- */

/* An added token is the text that it was found as. */
static void decode_bytes(const yki_tokenizer_part *part, const char *text, size_t count, bool first,
                         bool added, yki_text *out)
{
    (void)part, (void)first;
    char few[256], *bytes = count < sizeof few ? few : malloc(count + 1);
    if (!bytes) {
        out->failed = true;
        return;
    }
    long length = added || strlen(text) != count ? -1 : yki_alphabet_bytes(text, bytes);
    yki_text_append_bytes(out, length < 0 ? text : bytes, length < 0 ? count : (size_t)length);
    if (bytes != few) free(bytes);
}

static yoke_status load_byte_level(yoke_tokenizer *t, const json_t *part, const char *key)
{
    (void)part;
    yki_tokenizer_part *made;
    YKI_TRY(add(t, key, &made));
    made->decode = decode_bytes;
    t->byte_decoder = t->byte_level && t->decoders.count == 1;
    t->decoded = ALL_JOINED;
    return YOKE_OK;
}

/* ---- ByteFallback: "<0xE2>" is a byte ---- */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

static void decode_spelled(const yki_tokenizer_part *part, const char *text, size_t count, bool first,
                           bool added, yki_text *out)
{
    (void)part, (void)first, (void)added;
    bool spelled =
        count == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>' && hex(text[3]) >= 0 && hex(text[4]) >= 0;
    char byte = spelled ? (char)(hex(text[3]) << 4 | hex(text[4])) : 0;
    yki_text_append_bytes(out, spelled ? &byte : text, spelled ? 1 : count);
}

static yoke_status load_byte_fallback(yoke_tokenizer *t, const json_t *part, const char *key)
{
    (void)part;
    yki_tokenizer_part *made;
    YKI_TRY(add(t, key, &made));
    made->decode = decode_spelled;
    t->decoded = SPELLED_JOINED;
    return YOKE_OK;
}

static yoke_status load_fuse(yoke_tokenizer *t, const json_t *part, const char *key)
{
    (void)part, (void)key;
    t->decoded = ALL_JOINED;
    return YOKE_OK;
}

/* ---- Replace: from, to ---- */

static void decode_replaced(const yki_tokenizer_part *part, const char *text, size_t count, bool first,
                            bool added, yki_text *out)
{
    (void)first, (void)added;
    yki_replace(out, text, count, part->from, part->from_count, part->to, part->to_count);
}

static yoke_status load_replace(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const char *literal, *regex;
    yki_tokenizer_part *made;
    YKI_TRY(yki_part_pattern(t, part, key, &literal, &regex));
    if (regex)
        return yki_tokenizer_fail(t, key,
                                  "has a pattern that is a Regex; of a decoder, a String is supported");
    YKI_TRY(add(t, key, &made));
    made->decode = decode_replaced;
    made->from = strdup(literal);
    made->from_count = strlen(literal);
    if (!made->from) return yki_fail_memory("a tokenizer's part");
    return yki_part_text(t, part, key, "content", &made->to, &made->to_count);
}

/* ---- Strip: at most `start` and `stop` times the character `from`, off the two ends ---- */

static size_t lead(const char *text, size_t count, const char *from, size_t length, int most)
{
    size_t at = 0;
    for (int i = 0; i < most && count - at >= length && memcmp(text + at, from, length) == 0; i++)
        at += length;
    return at;
}

/* How much of text[least..count) stays. */
static size_t trail(const char *text, size_t least, size_t count, const char *from, size_t length, int most)
{
    for (int i = 0; i < most && count - least >= length && memcmp(text + count - length, from, length) == 0;
         i++)
        count -= length;
    return count;
}

static void decode_stripped(const yki_tokenizer_part *part, const char *text, size_t count, bool first,
                            bool added, yki_text *out)
{
    (void)first, (void)added;
    size_t begin = lead(text, count, part->from, part->from_count, part->start);
    size_t end = trail(text, begin, count, part->from, part->from_count, part->stop);
    yki_text_append_bytes(out, text + begin, end - begin);
}

static yoke_status load_strip(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const char *content = json_string_value(json_object_get(part, "content"));
    int start, stop;
    if (!content || !*content || yki_utf8_character(content, strlen(content)) != strlen(content))
        return yki_tokenizer_fail(t, key, "has a content that is not one character");
    YKI_TRY(yki_part_count(t, part, key, "start", &start));
    YKI_TRY(yki_part_count(t, part, key, "stop", &stop));
    if (t->decoded == ALL_JOINED && !t->strip[0]) {
        memcpy(t->strip, content, strlen(content));
        t->strip_start = start;
        t->strip_stop = stop;
        return YOKE_OK;
    }
    yki_tokenizer_part *made;
    YKI_TRY(add(t, key, &made));
    made->decode = decode_stripped;
    made->start = start;
    made->stop = stop;
    return yki_part_text(t, part, key, "content", &made->from, &made->from_count);
}

static const yki_part_type types[] = {{"ByteLevel", load_byte_level},
                                      {"Replace", load_replace},
                                      {"ByteFallback", load_byte_fallback},
                                      {"Fuse", load_fuse},
                                      {"Strip", load_strip},
                                      {"Metaspace", yki_load_metaspace_decoder}};
const yki_part_table yki_decoders = {"decoder", "decoders", types, sizeof types / sizeof *types};

/* ---- what tokens become ---- */

/* Texts are put one behind the other; until the last is there, tokens hold their places. */
typedef struct texts {
    const yoke_tokenizer *tokenizer;
    yki_text all, step[2];
} texts;

/* A place in `all`, as a pointer: 1 is the first, for NULL is none. */
static const char *place_of(size_t offset)
{
    return (const char *)(uintptr_t)(offset + 1);
}

static size_t put(texts *x, const char *text, size_t count, bool first, bool added)
{
    const yki_parts *parts = &x->tokenizer->decoders;
    for (int i = 0; i < parts->count; i++) {
        yki_text *out = &x->step[i % 2];
        out->length = 0;
        yki_text_append_bytes(out, "", 0);
        parts->items[i].decode(&parts->items[i], text, count, first, added, out);
        x->all.failed |= out->failed;
        if (out->failed) return 0;
        text = out->data;
        count = out->length;
    }
    yki_text_append_bytes(&x->all, text, count);
    yki_text_append_bytes(&x->all, "", 1);
    return count;
}

static void decode_token(texts *x, yki_token *token, const char *text, bool added)
{
    size_t begin = x->all.length, count = put(x, text, strlen(text), false, added), again = x->all.length;
    token->text = token->first = place_of(begin);
    token->text_count = token->first_count = (uint32_t)count;
    if (x->tokenizer->decoders.count == 0) return;
    count = put(x, text, strlen(text), true, added);
    if (x->all.failed) return;
    if (count == token->text_count && memcmp(x->all.data + begin, x->all.data + again, count) == 0) {
        x->all.length = again;
        return;
    }
    token->first = place_of(again);
    token->first_count = (uint32_t)count;
}

yoke_status yki_decoders_finish(yoke_tokenizer *t, const json_t *vocab)
{
    const char *text;
    json_t *number;
    texts x = {.tokenizer = t};
    if (t->decoders.count == 0 && t->byte_level) { /* none at all is taken for ByteLevel */
        yki_tokenizer_part *made;
        YKI_TRY(yki_part_add(t, &t->decoders, "decoder", &made));
        made->decode = decode_bytes;
        t->byte_decoder = true;
    }
    t->spaced = t->decoders.count == 0 && t->decoded == SINGLE;
    if (!t->byte_decoder)
        json_object_foreach((json_t *)vocab, text, number)
            decode_token(&x, &t->tokens[json_integer_value(number)], text, false);
    for (int i = 0; i < t->nnames; i++) /* in place of that of a vocabulary's token of the same id */
        decode_token(&x, &t->tokens[t->names[i].id], t->names[i].text, true);
    for (int i = 0; i < 2; i++) yki_text_release(&x.step[i]);
    if (x.all.failed) {
        yki_text_release(&x.all);
        return yki_fail_memory("a tokenizer's texts");
    }
    t->texts = yki_text_take(&x.all);
    for (int32_t id = 0; id < t->size; id++) {
        yki_token *token = &t->tokens[id];
        if (token->text) {
            token->text = t->texts + ((uintptr_t)token->text - 1);
            token->first = t->texts + ((uintptr_t)token->first - 1);
        } else if (token->bytes) {
            token->text = token->first = token->bytes;
            token->text_count = token->first_count = token->count;
        }
    }
    return YOKE_OK;
}

/* ---- lists ---- */

static yoke_status check(const yoke_tokenizer *t, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= t->size)
            return yki_fail_at(
                YOKE_INVALID, t->path, 0, "",
                "has no token %ld (number %lld of the list, counted from 0); its ids are 0 to %ld",
                (long)ids[i], (long long)i, (long)t->size - 1);
    return YOKE_OK;
}

/* Appends the texts; *any: a token has come before. Two calls, one to measure (at NULL), one to write. */
static bool join(const yoke_tokenizer *t, const int32_t *ids, int64_t count, bool *any, char *at,
                 size_t *bytes)
{
    for (int64_t i = 0; i < count; i++) {
        const yki_token *token = &t->tokens[ids[i]];
        if (!token->text) continue; /* a hole */
        uint32_t length = *any ? token->text_count : token->first_count;
        bool space = *any && t->spaced;
        if (at && space) at[*bytes] = ' ';
        if (at) memcpy(at + *bytes + space, *any ? token->text : token->first, length);
        if (__builtin_add_overflow(*bytes, (size_t)length + space, bytes)) return false;
        *any = true;
    }
    return true;
}

yoke_status yoke_tokenizer_decode_after(const yoke_tokenizer *tokenizer, const int32_t *before,
                                        int64_t nbefore, const int32_t *ids, int64_t count, char **text_out,
                                        size_t *bytes_out)
{
    YKI_NEED(tokenizer, text_out);
    const yoke_tokenizer *t = tokenizer;
    if (count < 0 || nbefore < 0 || (!ids && count > 0) || (!before && nbefore > 0))
        return yki_fail(YOKE_INVALID, "yoke_tokenizer_decode: %lld ids after %lld, and they are NULL",
                        (long long)count, (long long)nbefore);
    YKI_TRY(check(t, before, nbefore));
    YKI_TRY(check(t, ids, count));
    size_t old = 0, bytes = 0;
    bool any = false, good = join(t, before, nbefore, &any, NULL, &old);
    bytes = old;
    good = good && join(t, ids, count, &any, NULL, &bytes);
    char *text = good && bytes < SIZE_MAX ? malloc(bytes + 1) : NULL;
    if (!text) return yki_fail_memory("a text");
    any = false;
    old = 0;
    join(t, before, nbefore, &any, text, &old);
    bytes = old;
    join(t, ids, count, &any, text, &bytes);
    size_t length = strlen(t->strip), begin = old, end = bytes;
    if (length > 0) {
        size_t stripped = lead(text, bytes, t->strip, length, t->strip_start);
        if (stripped > begin) begin = stripped;
        end = trail(text, begin, bytes, t->strip, length, t->strip_stop);
    }
    memmove(text, text + begin, end - begin);
    text[end - begin] = '\0';
    *text_out = text;
    if (bytes_out) *bytes_out = end - begin;
    return YOKE_OK;
}

yoke_status yoke_tokenizer_decode(const yoke_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                                  char **text_out, size_t *bytes_out)
{
    return yoke_tokenizer_decode_after(tokenizer, NULL, 0, ids, count, text_out, bytes_out);
}
