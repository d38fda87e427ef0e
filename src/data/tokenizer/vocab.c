/* The vocabulary and its letters. Sizes come from what the file holds, never from numbers in it, but for ids,
 * which are bounded: they may have holes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"

_Static_assert(YKI_JSON_MOST_VALUES < INT32_MAX / 2, "tokens and merges are counted by an int32_t");

/* All ids are in range; how many there are, and how many bytes the tokens have. */
static yoke_status measure(yoke_tokenizer *t, json_t *vocab, size_t *bytes_out)
{
    const char *text;
    json_t *number;
    char quoted[YKI_QUOTE_BYTES];
    json_object_foreach(vocab, text, number)
    {
        json_int_t id = json_integer_value(number);
        if (!json_is_integer(number))
            return yki_tokenizer_fail(t, "model.vocab", "token %s has an id that is no whole number",
                                      yki_quote(quoted, text));
        if (id < 0 || id >= YKI_MOST_TOKENS)
            return yki_tokenizer_fail(t, "model.vocab", "token %s has id %lld; ids are 0 to %d",
                                      yki_quote(quoted, text), (long long)id, YKI_MOST_TOKENS - 1);
        if (!*text) return yki_tokenizer_fail(t, "model.vocab", "token %lld is empty", (long long)id);
        if (id >= t->size) t->size = (int32_t)id + 1;
        *bytes_out += strlen(text) + 1;
    }
    return YOKE_OK;
}

static yoke_status put_token(yoke_tokenizer *t, const char *text, int32_t id, char **pool)
{
    yki_token *token = &t->tokens[id];
    char quoted[YKI_QUOTE_BYTES];
    if (token->bytes)
        return yki_tokenizer_fail(t, "model.vocab", "token %s has id %ld, which another token has too",
                                  yki_quote(quoted, text), (long)id);
    long count = t->byte_level ? yki_alphabet_bytes(text, *pool) : -1;
    *token = (yki_token){.bytes = *pool, .plain = !t->byte_level || count >= 0};
    if (count < 0) { /* as it stands; no word of bytes can become it */
        count = (long)strlen(text);
        memcpy(*pool, text, (size_t)count);
    }
    token->count = (uint32_t)count;
    (*pool)[count] = '\0';
    *pool += count + 1;
    if (token->plain && count == 1) t->byte_ids[(unsigned char)*token->bytes] = id;
    return YOKE_OK;
}

/* The hash of plain tokens by their bytes. */
static yoke_status index_words(yoke_tokenizer *t, size_t count)
{
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    t->words = malloc(capacity * sizeof *t->words);
    if (!t->words) return yki_fail_memory("a tokenizer's words");
    memset(t->words, 0xff, capacity * sizeof *t->words);
    t->words_mask = capacity - 1;
    for (int32_t id = 0; id < t->size; id++) {
        const yki_token *token = &t->tokens[id];
        if (!token->plain) continue;
        size_t i = yki_bytes_hash(t->seed, token->bytes, token->count) & t->words_mask;
        while (t->words[i] >= 0) i = (i + 1) & t->words_mask;
        t->words[i] = id;
    }
    return YOKE_OK;
}

/* What stands for letters that have no token. */
static yoke_status load_unknown(yoke_tokenizer *t, const json_t *model, const json_t *vocab)
{
    const json_t *name = json_object_get(model, "unk_token");
    if (name && !json_is_null(name) && !json_is_string(name))
        return yki_tokenizer_fail(t, "model", "has an unk_token that is no text");
    const json_t *id = json_is_string(name) ? json_object_get(vocab, json_string_value(name)) : NULL;
    t->unknown = id ? (int32_t)json_integer_value(id) : -1;
    t->lacks_unknown = json_is_string(name) && !id;
    for (int byte = 0; byte < 256; byte++) {
        char spelled[8];
        snprintf(spelled, sizeof spelled, "<0x%02X>", (unsigned)byte);
        id = t->byte_fallback ? json_object_get(vocab, spelled) : NULL;
        t->spelled_ids[byte] = id ? (int32_t)json_integer_value(id) : -1;
    }
    return YOKE_OK;
}

yoke_status yki_tokenizer_load_vocab(yoke_tokenizer *t, const json_t *model, const json_t *added)
{
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) return yki_tokenizer_fail(t, "model.vocab", "is missing or no object");
    size_t bytes = 0;
    YKI_TRY(measure(t, vocab, &bytes));
    size_t most = (size_t)t->size + json_array_size(added) + 1; /* added ones come behind all, at most */
    t->tokens = calloc(most, sizeof *t->tokens);
    t->pool = malloc(bytes + 1);
    if (!t->tokens || !t->pool) return yki_fail_memory("a tokenizer's vocabulary");
    char *pool = t->pool;
    const char *text;
    json_t *number;
    for (int byte = 0; byte < 256; byte++) t->byte_ids[byte] = -1;
    json_object_foreach(vocab, text, number)
        YKI_TRY(put_token(t, text, (int32_t)json_integer_value(number), &pool));
    t->every_byte = true;
    for (int byte = 0; byte < 256; byte++) t->every_byte &= t->byte_ids[byte] >= 0;
    YKI_TRY(load_unknown(t, model, vocab));
    return t->ignore_merges || !t->byte_level ? index_words(t, json_object_size(vocab)) : YOKE_OK;
}
