/* Inside the tokenizer: what its files share. Invariants of one that was handed out: every id below `size`
 * has bytes, every byte has a token, and the bytes of a merge's result are those of its halves, joined. */
#ifndef YKI_DATA_TOKENIZER_H
#define YKI_DATA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "yoke/tokenizer.h"

/* PCRE2's compiled pattern, named here so that only split.c includes its header. */
typedef struct yki_pattern yki_pattern;
typedef struct yki_matcher yki_matcher;

enum { YKI_MOST_SPLITS = 16 };

typedef struct yki_token {
    const char *bytes; /* in the pool, '\0' after the last; NULL: the id is not taken yet */
    uint32_t count;
    bool plain; /* spelled in the byte alphabet: a word may become it */
} yki_token;

/* A hash of pairs: open addressing, capacity a power of two, never full. */
typedef struct yki_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: an empty slot */
    int32_t rank, id;
} yki_merge;
typedef struct yki_merges {
    uint64_t seed;
    yki_merge *slots;
    size_t mask;
} yki_merges;

/* Added tokens of one pass, sorted by content (bytewise, shorter first). */
typedef struct yki_added {
    const char **contents;
    uint32_t *lengths;
    int32_t *ids;
    int count;
    int first[257]; /* contents that begin with byte b are first[b] .. first[b + 1] - 1 */
} yki_added;

struct yoke_tokenizer {
    uint64_t seed; /* of its hashes: a secret, so that no file can be made whose words all meet in one slot */
    char *path;
    char *source; /* the file, to be saved beside a model */
    size_t source_bytes;
    int32_t size;
    yki_token *tokens;
    char *pool;
    int32_t byte_ids[256];
    yki_merges merges;
    bool ignore_merges;
    int32_t *words; /* ignore_merges: a hash of plain tokens by their bytes, -1 an empty slot */
    size_t words_mask;
    yki_added added[2]; /* looked for in this order: first those that HF matches before normalizing */
    int nsplits;
    yki_pattern *splits[YKI_MOST_SPLITS]; /* each divides the pieces that the one before it made */
};

/* The file as it was read: borrowed. */
const char *yki_tokenizer_source(const yoke_tokenizer *tokenizer, size_t *bytes_out);

/* --- load.c, vocab.c: from JSON; `tokenizer` is zeroed but for path and source --- */
yoke_status yki_tokenizer_load(yoke_tokenizer *tokenizer, const json_t *root);
yoke_status yki_tokenizer_load_vocab(yoke_tokenizer *tokenizer, const json_t *vocab, const json_t *added);
yoke_status yki_tokenizer_load_merges(yoke_tokenizer *tokenizer, const json_t *vocab, const json_t *merges);
/* YOKE_INVALID naming the tokenizer's file and a dotted key. */
yoke_status yki_tokenizer_fail(const yoke_tokenizer *tokenizer, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- bytes.c --- */
/* GPT-2's byte alphabet: printable bytes stand for themselves, the other 68 for U+0100 and on. Turns text in
 * it into the bytes meant (out holds strlen(text)); -1: a character outside of it. */
long yki_alphabet_bytes(const char *text, char *out);
uint64_t yki_bytes_hash(uint64_t seed, const char *bytes, size_t count);

/* --- added.c --- */
/* Sorts; contents, lengths and ids are filled in and distinct. */
yoke_status yki_added_finish(yki_added *added);
/* The leftmost longest added token at or after `at`: its place, and which in *index_out; `count`: none. */
size_t yki_added_find(const yki_added *added, const char *text, size_t count, size_t at, int *index_out);
void yki_added_release(yki_added *added);

/* --- dialect.c --- */
/* HF's patterns are Oniguruma's (Ruby's dialect); this rewrites one in PCRE2's, or refuses by name what the
 * two do not mean alike. *pattern_out is freed by the caller. */
yoke_status yki_dialect_translate(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                                  char **pattern_out);

/* --- split.c --- */
extern const char yki_gpt2_pattern[];
yoke_status yki_pattern_create(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                               yki_pattern **pattern_out);
void yki_pattern_destroy(yki_pattern *pattern);
/* What matching in a text of so many bytes needs, of one thread. NULL: out of memory. */
yki_matcher *yki_matcher_create(size_t bytes);
void yki_matcher_destroy(yki_matcher *matcher);
/* The next match of at least one byte at or after `at` in valid UTF-8; *begin_out == count: none. */
yoke_status yki_pattern_next(const yoke_tokenizer *tokenizer, const yki_pattern *pattern,
                             yki_matcher *matcher, const char *text, size_t count, size_t at,
                             size_t *begin_out, size_t *end_out);

/* --- merge.c --- */
yoke_status yki_merges_init(yki_merges *merges, size_t count, uint64_t seed);
/* False: the pair is there already. */
bool yki_merges_put(yki_merges *merges, int32_t left, int32_t right, int32_t rank, int32_t id);
const yki_merge *yki_merges_get(const yki_merges *merges, int32_t left, int32_t right);
/* Merges the ids of a word's bytes in place, lowest rank first, leftmost among equals; returns how many are
 * left. scratch: yki_merge_scratch(count) bytes, aligned to 8. */
size_t yki_merge_scratch(size_t count);
size_t yki_merge_word(const yki_merges *merges, int32_t *ids, size_t count, void *scratch);

#endif
