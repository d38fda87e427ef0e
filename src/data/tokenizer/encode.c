/* Encoding: stretches of valid UTF-8 are divided at added tokens, normalized between them, divided at those
 * that are looked for in normalized text, then by the pre-tokenizers in turn, and each piece left is a word:
 * its letters' tokens, merged. Words that come again are remembered. All of the state is one call's, so that
 * a tokenizer serves many threads. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

enum { CACHED_BYTES = 24, CACHED_IDS = 9, LEAST_SLOTS = 64, MOST_SLOTS = 1 << 14 };

typedef struct cached {
    char bytes[CACHED_BYTES]; /* zeros after the word */
    uint8_t length, nids;     /* length 0: an empty slot */
    bool part;                /* of a word, see encode_word */
    int32_t ids[CACHED_IDS];
} cached;

struct yki_encoder {
    const yoke_tokenizer *tokenizer;
    yki_matcher *matcher;
    int32_t *ids;
    size_t count, capacity;
    cached *cache;
    size_t cache_mask;
    void *scratch;
    size_t scratch_bytes;
    yki_text normalized[2], buffers[YKI_MOST_PARTS];
    bool goes_on;     /* the stretch comes after bytes that are no UTF-8, or the text is inner: */
    bool inner;       /* it comes after another */
    const char *text; /* that is encoded, and the places in it whose tokens are counted, ascending */
    const size_t *marks;
    int64_t *before;
    size_t nmarks, mark; /* mark: the next */
};

yki_text *yki_encoder_buffer(yki_encoder *e, int level)
{
    e->buffers[level].length = 0;
    return &e->buffers[level];
}

bool yki_encoder_goes_on(const yki_encoder *e, yki_tokenizer_text piece)
{
    return e->goes_on && piece.first;
}

const yoke_tokenizer *yki_encoder_tokenizer(const yki_encoder *e)
{
    return e->tokenizer;
}

yki_matcher *yki_encoder_matcher(yki_encoder *e)
{
    return e->matcher;
}

static yoke_status reserve(yki_encoder *e, size_t more)
{
    if (e->capacity - e->count >= more) return YOKE_OK;
    size_t capacity = e->capacity + e->capacity / 2 + more;
    int32_t *ids = capacity <= SIZE_MAX / sizeof *ids ? realloc(e->ids, capacity * sizeof *ids) : NULL;
    if (!ids) return yki_fail_memory("a text's tokens");
    e->ids = ids;
    e->capacity = capacity;
    return YOKE_OK;
}

static yoke_status put(yki_encoder *e, int32_t id)
{
    YKI_TRY(reserve(e, 1));
    e->ids[e->count++] = id;
    return YOKE_OK;
}

/* Appends a word's tokens. */
static yoke_status merge(yki_encoder *e, const char *word, size_t count, bool part)
{
    const yoke_tokenizer *t = e->tokenizer;
    if (count > INT32_MAX / 2)
        return yki_fail_at(YOKE_INVALID, t->path, 0, "", "the text has a word of %zu bytes; at most %d fit",
                           count, INT32_MAX / 2);
    int32_t id = t->ignore_merges && !part ? yki_word_find(t, word, count) : -1;
    if (id >= 0) return put(e, id);
    YKI_TRY(reserve(e, yki_letters_most(t, count)));
    int32_t *ids = e->ids + e->count;
    YKI_TRY(yki_letters(t, word, count, ids, &count));
    size_t needed = yki_merge_scratch(count);
    if (needed > e->scratch_bytes) {
        free(e->scratch);
        e->scratch = malloc(needed);
        e->scratch_bytes = e->scratch ? needed : 0;
        if (!e->scratch) return yki_fail_memory("a text's tokens");
    }
    e->count += yki_merge_word(&t->merges, ids, count, e->scratch);
    return YOKE_OK;
}

/* The same of one that may have been seen. */
static yoke_status recall(yki_encoder *e, const char *word, size_t count, bool part)
{
    if (count > CACHED_BYTES) return merge(e, word, count, part);
    char padded[CACHED_BYTES] = {0};
    memcpy(padded, word, count);
    cached *slot = &e->cache[yki_bytes_hash(e->tokenizer->seed, word, count) & e->cache_mask];
    if (slot->length == count && slot->part == part && memcmp(slot->bytes, padded, CACHED_BYTES) == 0) {
        YKI_TRY(reserve(e, CACHED_IDS));
        memcpy(e->ids + e->count, slot->ids, sizeof slot->ids); /* all: a fixed size is quicker */
        e->count += slot->nids;
        return YOKE_OK;
    }
    size_t before = e->count;
    YKI_TRY(merge(e, word, count, part));
    size_t nids = e->count - before;
    if (nids > CACHED_IDS) return YOKE_OK;
    memcpy(slot->bytes, padded, CACHED_BYTES);
    memcpy(slot->ids, e->ids + before, nids * sizeof *slot->ids);
    slot->length = (uint8_t)count;
    slot->nids = (uint8_t)nids;
    slot->part = part;
    return YOKE_OK;
}

/* The next U+2581 behind something else, at or after `at`; `count`: none. */
static size_t next_cut(const char *word, size_t count, size_t at)
{
    static const char space[] = "\xe2\x96\x81";
    for (const char *found; at < count && (found = memmem(word + at, count - at, space, 3)) != NULL;
         at += 3) {
        at = (size_t)(found - word);
        if (at > 0 && (at < 3 || memcmp(found - 3, space, 3) != 0)) return at;
    }
    return count;
}

/* A word; where spaces are letters, a whole text may be one, and is cut before them where nothing joins them
 * to what they follow, so that its parts are remembered. */
static yoke_status encode_word(yki_encoder *e, const char *word, size_t count)
{
    const yoke_tokenizer *t = e->tokenizer;
    size_t end = t->cut ? next_cut(word, count, 1) : count;
    if (end == count) return recall(e, word, count, false);
    int32_t id = t->ignore_merges ? yki_word_find(t, word, count) : -1;
    if (id >= 0) return put(e, id);
    for (size_t at = 0; at < count; at = end) {
        end = next_cut(word, count, at + 1);
        YKI_TRY(recall(e, word + at, end - at, true));
    }
    return YOKE_OK;
}

yoke_status yki_encoder_pass(yki_encoder *e, int level, yki_tokenizer_text piece)
{
    const yki_parts *parts = &e->tokenizer->dividers;
    if (piece.count == 0) return YOKE_OK;
    if (level == parts->count) return encode_word(e, piece.text, piece.count);
    return parts->items[level].divide(e, &parts->items[level], level, piece);
}

/* Is there a letter of words at `at`? */
static yoke_status in_word(yki_encoder *e, yki_tokenizer_text piece, size_t at, bool *word_out)
{
    size_t begin, end, length = at < piece.count ? yki_utf8_character(piece.text + at, piece.count - at) : 0;
    *word_out = false;
    if (length == 0) return YOKE_OK;
    YKI_TRY(yki_pattern_next(e->tokenizer, e->tokenizer->word_character, e->matcher, piece.text + at, length,
                             0, &begin, &end));
    *word_out = begin < end;
    return YOKE_OK;
}

/* Does a token at [begin, end) of the text stand by itself? */
static yoke_status alone(yki_encoder *e, yki_tokenizer_text piece, size_t begin, size_t end, bool *alone_out)
{
    size_t before = begin;
    bool left = false, right = false;
    while (before > 0 && (piece.text[--before] & 0xc0) == 0x80) {}
    if (begin > 0) YKI_TRY(in_word(e, piece, before, &left));
    YKI_TRY(in_word(e, piece, end, &right));
    *alone_out = !left && !right;
    return YOKE_OK;
}

static yoke_status divide(yki_encoder *e, int pass, yki_tokenizer_text piece);

/* What lies between added tokens. */
static yoke_status between(yki_encoder *e, int pass, yki_tokenizer_text piece, size_t begin, size_t end)
{
    yki_tokenizer_text part = {piece.text + begin, end - begin, piece.first && begin == 0};
    if (pass == 1) return yki_encoder_pass(e, 0, part);
    if (e->tokenizer->normalizers.count > 0)
        YKI_TRY(yki_normalize(e->tokenizer, e, e->normalized, part, &part));
    return divide(e, 1, part);
}

/* How many of the tokens from `first` on, which are those of `part`, end at or before part[0..inner). The
 * tokens of that beginning alone say it: where they are not the same, text before the mark was taken together
 * with text behind it, and of those few tokens the lengths say which one reaches over it. */
static yoke_status count_inside(yki_encoder *e, yki_tokenizer_text piece, size_t begin, size_t inner,
                                size_t first, size_t *count_out)
{
    size_t after = e->count, same = 0, bytes = 0;
    const yki_token *tokens = e->tokenizer->tokens;
    YKI_TRY(between(e, 0, piece, begin, inner));
    const int32_t *all = e->ids + first, *prefix = e->ids + after;
    size_t nall = after - first, nprefix = e->count - after;
    while (same < nall && same < nprefix && all[same] == prefix[same]) same++;
    bool apart = same < nprefix;
    for (size_t i = same; i < nprefix; i++) bytes += tokens[prefix[i]].text_count;
    for (; apart && same < nall && tokens[all[same]].text_count <= bytes; same++)
        bytes -= tokens[all[same]].text_count;
    e->count = after;
    *count_out = same;
    return YOKE_OK;
}

/* The same as `between` on the text as it was given, and the marks up to its end. */
static yoke_status between_marks(yki_encoder *e, int pass, yki_tokenizer_text piece, size_t begin, size_t end)
{
    size_t first = e->count, offset = (size_t)(piece.text - e->text), inside = 0;
    YKI_TRY(between(e, pass, piece, begin, end));
    for (; pass == 0 && e->mark < e->nmarks && e->marks[e->mark] <= offset + end; e->mark++) {
        size_t at = e->marks[e->mark] - offset;
        if (at > begin && at < end)
            YKI_TRY(count_inside(e, piece, begin, at, first, &inside));
        else
            inside = at == end ? e->count - first : 0;
        e->before[e->mark] = (int64_t)(first + inside);
    }
    return YOKE_OK;
}

/* The marks before `end` that are left: an added token reaches over them, or nothing is behind them. */
static void pass_marks(yki_encoder *e, size_t end)
{
    for (; e->mark < e->nmarks && e->marks[e->mark] < end; e->mark++) e->before[e->mark] = (int64_t)e->count;
}

/* Divides a piece at the added tokens of pass 0, what is between them at those of pass 1. */
static yoke_status divide(yki_encoder *e, int pass, yki_tokenizer_text piece)
{
    const yki_added *added = &e->tokenizer->added[pass];
    size_t done = 0, space_begin = 0, space_end = 0; /* white space that has been walked */
    for (size_t at = 0; at < piece.count;) {
        int index = 0;
        size_t begin = yki_added_find(added, piece.text, piece.count, at, &index);
        if (begin == piece.count) break;
        const yki_added_item *item = &added->items[index];
        size_t end = at = begin + item->length;
        bool taken = true;
        if (item->single_word) YKI_TRY(alone(e, piece, begin, end, &taken));
        if (!taken) continue;
        if (item->lstrip && begin > done) begin = yki_space_before(piece.text, done, begin);
        if (item->rstrip && end >= space_begin && end <= space_end) {
            end = space_end;
        } else if (item->rstrip) {
            space_begin = end;
            space_end = end = yki_space_after(piece.text, piece.count, end);
        }
        if (begin > done) YKI_TRY(between_marks(e, pass, piece, done, begin));
        if (pass == 0) pass_marks(e, (size_t)(piece.text - e->text) + end);
        YKI_TRY(put(e, item->id));
        done = end; /* which the next token, found in this one's white space, may move back */
    }
    return piece.count > done ? between_marks(e, pass, piece, done, piece.count) : YOKE_OK;
}

static yoke_status encode(yki_encoder *e, const char *text, size_t count)
{
    yki_matcher_begin(e->matcher, count);
    e->text = text;
    e->mark = 0;
    YKI_TRY(reserve(e, count / 4 + 16));
    for (size_t at = 0; at < count;) {
        size_t valid = yki_utf8_prefix(text + at, count - at), bad = at + valid;
        e->goes_on = at > 0 || e->inner;
        if (valid > 0) YKI_TRY(divide(e, 0, (yki_tokenizer_text){text + at, valid, true}));
        at = bad;
        while (bad < count && yki_utf8_prefix(text + bad, count - bad < 4 ? count - bad : 4) == 0) bad++;
        if (bad > at) YKI_TRY(recall(e, text + at, bad - at, false));
        at = bad;
    }
    pass_marks(e, SIZE_MAX);
    return YOKE_OK;
}

/* Ready for texts of about so many bytes in all. */
static yoke_status begin(yki_encoder *e, const yoke_tokenizer *tokenizer, size_t bytes)
{
    size_t slots = LEAST_SLOTS;
    while (slots < MOST_SLOTS && slots < bytes / 16) slots *= 2;
    *e = (yki_encoder){.tokenizer = tokenizer};
    e->cache = calloc(slots, sizeof *e->cache);
    e->cache_mask = slots - 1;
    e->matcher = yki_matcher_create();
    return e->cache && e->matcher ? YOKE_OK : yki_fail_memory("a text's tokens");
}

static void release(yki_encoder *e)
{
    free(e->cache);
    free(e->scratch);
    free(e->ids);
    yki_matcher_destroy(e->matcher);
    for (int i = 0; i < 2; i++) yki_text_release(&e->normalized[i]);
    for (int i = 0; i < YKI_MOST_PARTS; i++) yki_text_release(&e->buffers[i]);
}

yoke_status yki_encoder_create(const yoke_tokenizer *tokenizer, yki_encoder **encoder_out)
{
    yki_encoder *e = malloc(sizeof *e);
    if (!e) return yki_fail_memory("a text's tokens");
    yoke_status status = begin(e, tokenizer, SIZE_MAX);
    if (status != YOKE_OK)
        yki_encoder_destroy(e);
    else
        *encoder_out = e;
    return status;
}

void yki_encoder_destroy(yki_encoder *e)
{
    if (e) release(e);
    free(e);
}

void yki_encoder_go_on(yki_encoder *e, bool inner)
{
    e->inner = inner;
}

yoke_status yki_encoder_encode(yki_encoder *e, const char *text, size_t bytes, const size_t *marks,
                               size_t nmarks, int64_t *before, const int32_t **ids_out, int64_t *count_out)
{
    e->count = 0;
    e->marks = marks;
    e->nmarks = nmarks;
    e->before = before;
    YKI_TRY(encode(e, text, bytes));
    *ids_out = e->ids;
    *count_out = (int64_t)e->count;
    return YOKE_OK;
}

static yoke_status encode_between(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                  bool special, int32_t **ids_out, int64_t *count_out)
{
    YKI_NEED(tokenizer, ids_out, count_out);
    if (!text && bytes > 0) return yki_fail(YOKE_INVALID, "yoke_tokenizer_encode: text is NULL");
    const yoke_tokenizer *t = tokenizer;
    yki_encoder e;
    yoke_status status = begin(&e, t, bytes);
    for (int64_t i = 0; special && i < t->nbegin && status == YOKE_OK; i++) status = put(&e, t->begin[i]);
    if (status == YOKE_OK) status = encode(&e, text, bytes);
    for (int64_t i = 0; special && i < t->nend && status == YOKE_OK; i++) status = put(&e, t->end[i]);
    if (status == YOKE_OK) {
        *ids_out = e.ids;
        *count_out = (int64_t)e.count;
        e.ids = NULL;
    }
    release(&e);
    return status;
}

yoke_status yoke_tokenizer_encode(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                  int32_t **ids_out, int64_t *count_out)
{
    return encode_between(tokenizer, text, bytes, false, ids_out, count_out);
}

yoke_status yoke_tokenizer_encode_special(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                          int32_t **ids_out, int64_t *count_out)
{
    return encode_between(tokenizer, text, bytes, true, ids_out, count_out);
}
