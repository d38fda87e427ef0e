/* A word's letters as tokens, which merging begins with: bytes or characters. A letter without a token is
 * spelled in bytes ("<0xE2>") where the vocabulary has those for all of its bytes; else it is the unknown
 * token, one for a run of them where they are fused; else it is left out. */
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

typedef struct spelling {
    const yoke_tokenizer *tokenizer;
    int32_t *ids;
    size_t count;
    bool pending; /* an unknown token is to come before the next letter that has one: behind spelled bytes */
} spelling;

int32_t yki_word_find(const yoke_tokenizer *t, const char *word, size_t count)
{
    for (size_t i = yki_bytes_hash(t->seed, word, count) & t->words_mask; t->words[i] >= 0;
         i = (i + 1) & t->words_mask) {
        const yki_token *token = &t->tokens[t->words[i]];
        if (token->count == count && memcmp(token->bytes, word, count) == 0) return t->words[i];
    }
    return -1;
}

size_t yki_letters_most(const yoke_tokenizer *t, size_t count)
{
    return t->byte_level && !t->every_byte ? 2 * count
                                           : count; /* a byte's letter is spelled by one byte or two */
}

static void flush(spelling *s)
{
    if (s->pending) s->ids[s->count++] = s->tokenizer->unknown;
    s->pending = false;
}

static yoke_status missing(spelling *s, const char *letter, size_t count)
{
    const yoke_tokenizer *t = s->tokenizer;
    bool spelled = t->byte_fallback;
    for (size_t i = 0; i < count && spelled; i++) spelled = t->spelled_ids[(unsigned char)letter[i]] >= 0;
    for (size_t i = 0; i < count && spelled; i++)
        s->ids[s->count++] = t->spelled_ids[(unsigned char)letter[i]];
    if (spelled) return YOKE_OK;
    if (t->lacks_unknown)
        return yki_tokenizer_fail(t, "model.unk_token",
                                  "is no token of model.vocab, and a letter of the text has none either");
    if (!t->fuse_unknown) flush(s);
    s->pending = t->unknown >= 0;
    return YOKE_OK;
}

static int32_t id_of(const yoke_tokenizer *t, const char *letter, size_t count)
{
    return count == 1 ? t->byte_ids[(unsigned char)*letter] : yki_word_find(t, letter, count);
}

yoke_status yki_letters(const yoke_tokenizer *t, const char *word, size_t count, int32_t *ids,
                        size_t *count_out)
{
    *count_out = count;
    if (t->byte_level && t->every_byte) {
        for (size_t i = 0; i < count; i++) ids[i] = t->byte_ids[(unsigned char)word[i]];
        return YOKE_OK;
    }
    spelling s = {.tokenizer = t, .ids = ids};
    for (size_t at = 0, length; at < count; at += length) {
        length = t->byte_level ? 1 : yki_utf8_character(word + at, count - at);
        if (length == 0) length = 1; /* a byte that is no UTF-8 */
        int32_t id = id_of(t, word + at, length);
        if (id >= 0) {
            flush(&s);
            ids[s.count++] = id;
            continue;
        }
        char letter[2];
        if (t->byte_level)
            YKI_TRY(missing(&s, letter, (size_t)yki_alphabet_letter((unsigned char)word[at], letter)));
        else
            YKI_TRY(missing(&s, word + at, length));
    }
    flush(&s);
    *count_out = s.count;
    return YOKE_OK;
}
