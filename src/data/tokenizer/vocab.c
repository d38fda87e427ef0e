/* Vocabulary, added tokens and merges. Sizes come from what the file holds, never from numbers in it: ids
 * must be a permutation of 0 .. tokens - 1. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

_Static_assert(YKI_JSON_MOST_VALUES < INT32_MAX / 2, "tokens and merges are counted by an int32_t");

/* Puts bytes in the pool and takes the id, which must be free and in range. `text`: as the file has it. */
static yoke_status take_id(yoke_tokenizer *t, const char *key, const json_t *number, const char *text,
                           int32_t *id_out)
{
    char quoted[YKI_QUOTE_BYTES];
    if (!json_is_integer(number))
        return yki_tokenizer_fail(t, key, "token %s has an id that is no whole number",
                                  yki_quote(quoted, text));
    json_int_t id = json_integer_value(number);
    if (id < 0 || id >= t->size)
        return yki_tokenizer_fail(t, key, "token %s has id %lld; %ld tokens need the ids 0 to %ld, each once",
                                  yki_quote(quoted, text), (long long)id, (long)t->size, (long)t->size - 1);
    if (t->tokens[id].bytes)
        return yki_tokenizer_fail(t, key, "token %s has id %lld, which another token has too",
                                  yki_quote(quoted, text), (long long)id);
    *id_out = (int32_t)id;
    return YOKE_OK;
}

static yoke_status put_token(yoke_tokenizer *t, const char *text, const json_t *number, char **pool)
{
    int32_t id;
    YKI_TRY(take_id(t, "model.vocab", number, text, &id));
    if (!*text) return yki_tokenizer_fail(t, "model.vocab", "token %ld is empty", (long)id);
    long count = yki_alphabet_bytes(text, *pool);
    yki_token *token = &t->tokens[id];
    *token = (yki_token){.bytes = *pool, .plain = count >= 0};
    if (count < 0) { /* no word can become it: it is text as it stands */
        count = (long)strlen(text);
        memcpy(*pool, text, (size_t)count);
    }
    token->count = (uint32_t)count;
    (*pool)[count] = '\0';
    *pool += count + 1;
    if (token->plain && count == 1) t->byte_ids[(unsigned char)*token->bytes] = id;
    return YOKE_OK;
}

/* ---- added tokens ---- */

static const char *content_of(const json_t *added, size_t i)
{
    return json_string_value(json_object_get(json_array_get(added, i), "content"));
}

/* Before anything is allocated: contents are texts, flags are supported; counts what the vocabulary lacks. */
static yoke_status check_added(const yoke_tokenizer *t, const json_t *vocab, const json_t *added,
                               size_t *new_out, size_t *bytes_out)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    /* MOST_ADDED_BYTES: every place of a text may cost the length of the longest */
    enum { REFUSED = 3, FLAGS = 5, MOST_ADDED_BYTES = 4096 };
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *item = json_array_get(added, i);
        const char *content = content_of(added, i);
        char key[64], quoted[YKI_QUOTE_BYTES];
        snprintf(key, sizeof key, "added_tokens.%zu", i);
        if (!content || !*content) return yki_tokenizer_fail(t, key, "has no content, or an empty one");
        if (strlen(content) > MOST_ADDED_BYTES)
            return yki_tokenizer_fail(t, key, "is longer than %d bytes", MOST_ADDED_BYTES);
        for (int f = 0; f < FLAGS; f++) {
            const json_t *flag = json_object_get(item, flags[f]);
            if (flag && !json_is_boolean(flag))
                return yki_tokenizer_fail(t, key, "has a %s that is neither true nor false", flags[f]);
            if (f < REFUSED && json_is_true(flag))
                return yki_tokenizer_fail(t, key, "token %s has %s, which is not supported",
                                          yki_quote(quoted, content), flags[f]);
        }
        *new_out += !json_object_get(vocab, content);
        *bytes_out += strlen(content) + 1;
    }
    return YOKE_OK;
}

/* The id of an added token: the vocabulary's own for one that it has, else a new one. */
static yoke_status put_added(yoke_tokenizer *t, const json_t *vocab, const json_t *item, const char *key,
                             char **pool, int32_t *id_out)
{
    const char *content = json_string_value(json_object_get(item, "content"));
    const json_t *number = json_object_get(item, "id"), *known = json_object_get(vocab, content);
    size_t count = strlen(content);
    char quoted[YKI_QUOTE_BYTES];
    if (!known) {
        YKI_TRY(take_id(t, key, number, content, id_out));
    } else {
        if (!json_is_integer(number) || json_integer_value(number) != json_integer_value(known))
            return yki_tokenizer_fail(t, key, "token %s has another id in model.vocab",
                                      yki_quote(quoted, content));
        *id_out = (int32_t)json_integer_value(known);
        const yki_token *token = &t->tokens[*id_out];
        if (token->count != count || memcmp(token->bytes, content, count) != 0)
            return yki_tokenizer_fail(t, key, "token %s stands for other bytes in model.vocab",
                                      yki_quote(quoted, content));
        return YOKE_OK;
    }
    memcpy(*pool, content, count + 1);
    t->tokens[*id_out] = (yki_token){.bytes = *pool, .count = (uint32_t)count};
    *pool += count + 1;
    return YOKE_OK;
}

static yoke_status load_added(yoke_tokenizer *t, const json_t *vocab, const json_t *added, char *pool)
{
    size_t count = json_array_size(added);
    for (int pass = 0; pass < 2; pass++) {
        yki_added *a = &t->added[pass];
        a->contents = calloc(count + 1, sizeof *a->contents);
        a->lengths = calloc(count + 1, sizeof *a->lengths);
        a->ids = calloc(count + 1, sizeof *a->ids);
        if (!a->contents || !a->lengths || !a->ids) return yki_fail_memory("a tokenizer's added tokens");
    }
    bool *seen = calloc((size_t)t->size, sizeof *seen);
    if (!seen) return yki_fail_memory("a tokenizer's added tokens");
    yoke_status status = YOKE_OK;
    for (size_t i = 0; i < count && status == YOKE_OK; i++) {
        const json_t *item = json_array_get(added, i);
        yki_added *a = &t->added[json_is_true(json_object_get(item, "normalized"))];
        char key[64];
        int32_t id = 0;
        snprintf(key, sizeof key, "added_tokens.%zu", i);
        status = put_added(t, vocab, item, key, &pool, &id);
        if (status == YOKE_OK && seen[id])
            status = yki_tokenizer_fail(t, key, "is there twice: id %ld", (long)id);
        if (status != YOKE_OK) break;
        seen[id] = true;
        a->contents[a->count] = t->tokens[id].bytes;
        a->lengths[a->count] = t->tokens[id].count;
        a->ids[a->count++] = id;
    }
    free(seen);
    YKI_TRY(status);
    YKI_TRY(yki_added_finish(&t->added[0]));
    return yki_added_finish(&t->added[1]);
}

/* ---- the vocabulary ---- */

/* The hash of plain tokens by their bytes. */
static yoke_status index_words(yoke_tokenizer *t)
{
    size_t capacity = 16;
    while (capacity < 2 * (size_t)t->size) capacity *= 2;
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

yoke_status yki_tokenizer_load_vocab(yoke_tokenizer *t, const json_t *vocab, const json_t *added)
{
    if (!json_is_object(vocab)) return yki_tokenizer_fail(t, "model.vocab", "is missing or no object");
    if (added && !json_is_null(added) && !json_is_array(added))
        return yki_tokenizer_fail(t, "added_tokens", "is no list");
    size_t new = 0, bytes = 0;
    YKI_TRY(check_added(t, vocab, added, &new, &bytes));
    json_t *changing = (json_t *)vocab; /* jansson's loops take no const */
    const char *text;
    json_t *number;
    json_object_foreach(changing, text, number) bytes += strlen(text) + 1;
    t->size = (int32_t)(json_object_size(vocab) + new);
    t->tokens = calloc((size_t)t->size + 1, sizeof *t->tokens);
    t->pool = malloc(bytes + 1);
    if (!t->tokens || !t->pool) return yki_fail_memory("a tokenizer's vocabulary");
    char *pool = t->pool;
    for (int byte = 0; byte < 256; byte++) t->byte_ids[byte] = -1;
    json_object_foreach(changing, text, number) YKI_TRY(put_token(t, text, number, &pool));
    for (int byte = 0; byte < 256; byte++)
        if (t->byte_ids[byte] < 0)
            return yki_tokenizer_fail(
                t, "model.vocab", "has no token for the byte 0x%02x: it is no byte-level vocabulary", byte);
    YKI_TRY(load_added(t, vocab, added, pool));
    return t->ignore_merges ? index_words(t) : YOKE_OK;
}

/* ---- merges ---- */

/* The two halves of a merge: ["a", "b"], or "a b", which is cut at its space in `buffer`. */
static bool halves(const json_t *item, char *buffer, size_t size, const char **left_out,
                   const char **right_out)
{
    if (json_is_array(item)) {
        *left_out = json_string_value(json_array_get(item, 0));
        *right_out = json_string_value(json_array_get(item, 1));
        return json_array_size(item) == 2 && *left_out && *right_out;
    }
    const char *text = json_string_value(item), *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' ') || strlen(text) >= size) return false;
    strcpy(buffer, text);
    buffer[space - text] = '\0';
    *left_out = buffer;
    *right_out = buffer + (space - text) + 1;
    return true;
}

/* The id of a text in the vocabulary, whose ids have been checked; -1: none. */
static int32_t id_of(const json_t *vocab, const char *text)
{
    const json_t *number = json_object_get(vocab, text);
    return number ? (int32_t)json_integer_value(number) : -1;
}

static yoke_status put_merge(yoke_tokenizer *t, const json_t *vocab, const json_t *item, size_t rank,
                             char *buffer, size_t size)
{
    const char *left, *right;
    char key[64], quoted[YKI_QUOTE_BYTES];
    snprintf(key, sizeof key, "model.merges.%zu", rank);
    if (!halves(item, buffer, size / 2, &left, &right))
        return yki_tokenizer_fail(t, key, "is no merge: \"a b\" or [\"a\", \"b\"] of two tokens");
    int32_t a = id_of(vocab, left), b = id_of(vocab, right);
    if (a < 0 || b < 0)
        return yki_tokenizer_fail(t, key, "merges %s, which is no token of model.vocab",
                                  yki_quote(quoted, a < 0 ? left : right));
    char *joined = buffer + size / 2; /* both are tokens: no longer than the longest */
    snprintf(joined, size / 2, "%s%s", left, right);
    int32_t id = id_of(vocab, joined);
    if (id < 0)
        return yki_tokenizer_fail(t, key, "makes %s, which is no token of model.vocab",
                                  yki_quote(quoted, joined));
    if (!yki_merges_put(&t->merges, a, b, (int32_t)rank, id))
        return yki_tokenizer_fail(t, key, "is there twice: it makes %s", yki_quote(quoted, joined));
    return YOKE_OK;
}

yoke_status yki_tokenizer_load_merges(yoke_tokenizer *t, const json_t *vocab, const json_t *merges)
{
    if (!json_is_array(merges)) return yki_tokenizer_fail(t, "model.merges", "is missing or no list");
    size_t count = json_array_size(merges), longest = 0;
    const char *text;
    json_t *number;
    json_object_foreach((json_t *)vocab, text, number) if (strlen(text) > longest) longest = strlen(text);
    YKI_TRY(yki_merges_init(&t->merges, count, t->seed));
    size_t size = 2 * (2 * longest + 2);
    char *buffer = malloc(size);
    if (!buffer) return yki_fail_memory("a tokenizer's merges");
    yoke_status status = YOKE_OK;
    for (size_t i = 0; i < count && status == YOKE_OK; i++)
        status = put_merge(t, vocab, json_array_get(merges, i), i, buffer, size);
    free(buffer);
    return status;
}
