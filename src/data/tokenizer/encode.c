/* Encoding: stretches of valid UTF-8 are divided at added tokens, then by the patterns in turn, and each
 * piece left is a word: its bytes' tokens, merged. Words that come again are remembered. All of the state is
 * one call's, so that a tokenizer serves many threads. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

enum { CACHED_BYTES = 24, CACHED_IDS = 9, LEAST_SLOTS = 64, MOST_SLOTS = 1 << 14 };

typedef struct cached {
    char bytes[CACHED_BYTES]; /* zeros after the word */
    uint8_t length, nids;     /* length 0: an empty slot */
    int32_t ids[CACHED_IDS];
} cached;

typedef struct encoder {
    const yoke_tokenizer *tokenizer;
    yki_matcher *matcher;
    int32_t *ids;
    size_t count, capacity;
    cached *cache;
    size_t cache_mask;
    void *scratch;
    size_t scratch_bytes;
} encoder;

static yoke_status reserve(encoder *e, size_t more)
{
    if (e->capacity - e->count >= more) return YOKE_OK;
    size_t capacity = e->capacity + e->capacity / 2 + more;
    int32_t *ids = capacity <= SIZE_MAX / sizeof *ids ? realloc(e->ids, capacity * sizeof *ids) : NULL;
    if (!ids) return yki_fail_memory("a text's tokens");
    e->ids = ids;
    e->capacity = capacity;
    return YOKE_OK;
}

/* The id of a whole word, where the tokenizer takes those before merging; -1: none. */
static int32_t whole_word(const yoke_tokenizer *t, const char *word, size_t count)
{
    for (size_t i = yki_bytes_hash(t->seed, word, count) & t->words_mask; t->words[i] >= 0;
         i = (i + 1) & t->words_mask) {
        const yki_token *token = &t->tokens[t->words[i]];
        if (token->count == count && memcmp(token->bytes, word, count) == 0) return t->words[i];
    }
    return -1;
}

/* Appends a word's tokens. */
static yoke_status merge(encoder *e, const char *word, size_t count)
{
    const yoke_tokenizer *t = e->tokenizer;
    if (count > INT32_MAX)
        return yki_fail_at(YOKE_INVALID, t->path, 0, "", "the text has a word of %zu bytes; at most %d fit",
                           count, INT32_MAX);
    YKI_TRY(reserve(e, count));
    int32_t *ids = e->ids + e->count, id = t->ignore_merges ? whole_word(t, word, count) : -1;
    if (id >= 0) {
        e->ids[e->count++] = id;
        return YOKE_OK;
    }
    size_t needed = yki_merge_scratch(count);
    if (needed > e->scratch_bytes) {
        free(e->scratch);
        e->scratch = malloc(needed);
        e->scratch_bytes = e->scratch ? needed : 0;
        if (!e->scratch) return yki_fail_memory("a text's tokens");
    }
    for (size_t i = 0; i < count; i++) ids[i] = t->byte_ids[(unsigned char)word[i]];
    e->count += yki_merge_word(&t->merges, ids, count, e->scratch);
    return YOKE_OK;
}

static yoke_status encode_word(encoder *e, const char *word, size_t count)
{
    if (count > CACHED_BYTES) return merge(e, word, count);
    char padded[CACHED_BYTES] = {0};
    memcpy(padded, word, count);
    cached *slot = &e->cache[yki_bytes_hash(e->tokenizer->seed, word, count) & e->cache_mask];
    if (slot->length == count && memcmp(slot->bytes, padded, CACHED_BYTES) == 0) {
        YKI_TRY(reserve(e, CACHED_IDS));
        memcpy(e->ids + e->count, slot->ids, sizeof slot->ids); /* all: a fixed size is quicker */
        e->count += slot->nids;
        return YOKE_OK;
    }
    size_t before = e->count;
    YKI_TRY(merge(e, word, count));
    size_t nids = e->count - before;
    if (nids > CACHED_IDS) return YOKE_OK;
    memcpy(slot->bytes, padded, CACHED_BYTES);
    memcpy(slot->ids, e->ids + before, nids * sizeof *slot->ids);
    slot->length = (uint8_t)count;
    slot->nids = (uint8_t)nids;
    return YOKE_OK;
}

/* Divides a piece by splits[level] and what follows; matches and what lies between them are pieces. */
static yoke_status split(encoder *e, int level, const char *text, size_t count)
{
    const yoke_tokenizer *t = e->tokenizer;
    if (level == t->nsplits) return encode_word(e, text, count);
    for (size_t at = 0, begin, end; at < count; at = end) {
        YKI_TRY(yki_pattern_next(t, t->splits[level], e->matcher, text, count, at, &begin, &end));
        if (begin > at) YKI_TRY(split(e, level + 1, text + at, begin - at));
        if (end > begin) YKI_TRY(split(e, level + 1, text + begin, end - begin));
    }
    return YOKE_OK;
}

/* Divides a stretch at the added tokens of pass 0, what is between them at those of pass 1. */
static yoke_status divide(encoder *e, int pass, const char *text, size_t count)
{
    if (pass == 2) return split(e, 0, text, count);
    const yki_added *added = &e->tokenizer->added[pass];
    for (size_t at = 0; at < count;) {
        int index = 0;
        size_t found = yki_added_find(added, text, count, at, &index);
        if (found > at) YKI_TRY(divide(e, pass + 1, text + at, found - at));
        if (found == count) break;
        YKI_TRY(reserve(e, 1));
        e->ids[e->count++] = added->ids[index];
        at = found + added->lengths[index];
    }
    return YOKE_OK;
}

static yoke_status encode(encoder *e, const char *text, size_t count)
{
    size_t slots = LEAST_SLOTS;
    while (slots < MOST_SLOTS && slots < count / 16) slots *= 2;
    e->cache = calloc(slots, sizeof *e->cache);
    e->cache_mask = slots - 1;
    e->matcher = yki_matcher_create(count);
    if (!e->cache || !e->matcher) return yki_fail_memory("a text's tokens");
    YKI_TRY(reserve(e, count / 4 + 16));
    for (size_t at = 0; at < count;) {
        size_t valid = yki_utf8_prefix(text + at, count - at), bad = at + valid;
        if (valid > 0) YKI_TRY(divide(e, 0, text + at, valid));
        at = bad;
        while (bad < count && yki_utf8_prefix(text + bad, count - bad < 4 ? count - bad : 4) == 0) bad++;
        if (bad > at) YKI_TRY(encode_word(e, text + at, bad - at));
        at = bad;
    }
    return YOKE_OK;
}

yoke_status yoke_tokenizer_encode(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                  int32_t **ids_out, int64_t *count_out)
{
    YKI_NEED(tokenizer, ids_out, count_out);
    if (!text && bytes > 0) return yki_fail(YOKE_INVALID, "yoke_tokenizer_encode: text is NULL");
    encoder e = {.tokenizer = tokenizer};
    yoke_status status = encode(&e, text, bytes);
    free(e.cache);
    free(e.scratch);
    yki_matcher_destroy(e.matcher);
    if (status != YOKE_OK) {
        free(e.ids);
        return status;
    }
    *ids_out = e.ids;
    *count_out = (int64_t)e.count;
    return YOKE_OK;
}
