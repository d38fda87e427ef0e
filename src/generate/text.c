/* The text of an answer: what its tokens add to the prompt's, as UTF-8, as far as no stop has begun. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "generate/generator.h"

/* The bytes of tokens: the tokenizer's, or the tokens themselves, or none. */
static yoke_status decode(const yki_answer_text *t, const int32_t *tokens, int64_t count, char **bytes_out,
                          size_t *length_out)
{
    const yoke_generator *g = t->generator;
    if (g->tokenizer) {
        /* a model may have more tokens than its tokenizer: they are no text */
        int64_t size = yoke_tokenizer_size(g->tokenizer), known = 0, before = 0;
        int32_t *ids = malloc(sizeof *ids * (size_t)(t->nprompt + count + 1));
        if (!ids) return yki_fail_memory("a text");
        for (int64_t i = 0; i < t->nprompt; i++)
            if (t->prompt[i] < size) ids[before++] = t->prompt[i];
        for (int64_t i = 0; i < count; i++)
            if (tokens[i] < size) ids[before + known++] = tokens[i];
        yoke_status status = yoke_tokenizer_decode_after(g->tokenizer, ids, before, ids + before, known,
                                                         bytes_out, length_out);
        free(ids);
        return status;
    }
    *length_out = yki_generator_has_bytes(g) ? (size_t)count : 0;
    *bytes_out = malloc(*length_out + 1);
    if (!*bytes_out) return yki_fail_memory("a text");
    for (size_t i = 0; i < *length_out; i++) (*bytes_out)[i] = (char)tokens[i];
    return YOKE_OK;
}

/* Length of the well-formed character at bytes[0..count); 0: none begins there. *cut_out: it is one's
 * beginning, of so many bytes, which U+FFFD stands for as a whole. */
static size_t character(const unsigned char *bytes, size_t count, size_t *cut_out)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t length;
    } kinds[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    *cut_out = 1;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (bytes[0] < kinds[k].first || bytes[0] > kinds[k].last) continue;
        for (size_t i = 1; i < kinds[k].length; i++) {
            unsigned char low = i == 1 ? kinds[k].low : 0x80, high = i == 1 ? kinds[k].high : 0xbf;
            if (i >= count || bytes[i] < low || bytes[i] > high) {
                *cut_out = i;
                return 0;
            }
        }
        return kinds[k].length;
    }
    return 0;
}

static const char replacement[] = "\xef\xbf\xbd";
enum { REPLACEMENT = sizeof replacement - 1 };

/* The bytes as UTF-8, three times as long at most. */
static char *as_utf8(const char *bytes, size_t count, size_t *length_out)
{
    char *text = malloc(REPLACEMENT * count + 1);
    size_t at = 0;
    for (size_t i = 0, cut; i < count && text;) {
        size_t length = character((const unsigned char *)bytes + i, count - i, &cut);
        memcpy(text + at, length ? bytes + i : replacement, length ? length : REPLACEMENT);
        at += length ? length : REPLACEMENT;
        i += length ? length : cut;
    }
    if (text) text[at] = '\0';
    *length_out = at;
    return text;
}

static bool is_at(const yki_answer_text *t, size_t at, const char *stop, size_t length)
{
    return at + length <= t->bytes && memcmp(t->text + at, stop, length) == 0;
}

/* Ends the text before the first stop in it. */
static void find_stop(yki_answer_text *t)
{
    for (size_t at = 0; at < t->bytes && !t->stopped; at++)
        for (int i = 0; i < t->wish->nstops; i++)
            if (is_at(t, at, t->wish->stops[i], strlen(t->wish->stops[i]))) {
                t->stopped = true;
                t->bytes = at;
                t->text[at] = '\0';
                break;
            }
}

yoke_status yki_answer_text_make(yki_answer_text *t, const int32_t *tokens, int64_t count)
{
    char *bytes;
    size_t length;
    YKI_TRY(decode(t, tokens, count, &bytes, &length));
    free(t->text);
    t->text = as_utf8(bytes, length, &t->bytes);
    free(bytes);
    if (!t->text) return yki_fail_memory("a text");
    t->stopped = false;
    find_stop(t);
    return YOKE_OK;
}

size_t yki_answer_text_certain(const yki_answer_text *t, bool ended)
{
    size_t end = t->bytes;
    if (ended || t->stopped) return end;
    /* what is no character yet may become one */
    while (end >= REPLACEMENT && memcmp(t->text + end - REPLACEMENT, replacement, REPLACEMENT) == 0)
        end -= REPLACEMENT;
    for (int i = 0; i < t->wish->nstops; i++) {
        size_t length = strlen(t->wish->stops[i]);
        size_t from = t->bytes >= length ? t->bytes - length + 1 : 0;
        for (size_t at = from; at < end; at++)
            if (memcmp(t->text + at, t->wish->stops[i], t->bytes - at) == 0) end = at;
    }
    return end;
}

void yki_answer_text_release(yki_answer_text *t)
{
    free(t->text);
    t->text = NULL;
}
