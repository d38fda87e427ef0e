/* Inside the tokenizer: what its files share. A tokenizer is parts: normalizers rewrite a text,
 * pre-tokenizers divide it in words, the model makes tokens of a word, the post-processor adds a beginning
 * and an end, decoders turn tokens back. Each kind of part has a table of types (part.c): a type is a row and
 * a loader, and what a loader makes is a yki_tokenizer_part with a function to run; encoding and decoding
 * know no type.
 *
 * Invariants of one that was handed out: ids are below `size`, and one that is a hole has no bytes; the bytes
 * of a merge's result are those of its halves, joined. */
#ifndef YKI_DATA_TOKENIZER_H
#define YKI_DATA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/text.h"
#include "yoke/tokenizer.h"

/* PCRE2's compiled pattern, named here so that only split.c includes its header. */
typedef struct yki_pattern yki_pattern;
typedef struct yki_matcher yki_matcher;
typedef struct yki_encoder yki_encoder;
typedef struct yki_tokenizer_part yki_tokenizer_part;

enum { YKI_MOST_PARTS = 16, YKI_MOST_TOKENS = 1 << 22 };

typedef struct yki_token {
    const char *bytes; /* as words are spelled, '\0' after the last; NULL: not in the vocabulary */
    const char *text;  /* what it decodes to, '\0' after the last; NULL: the id is a hole */
    const char *first; /* and as the first of a list */
    uint32_t count, text_count, first_count;
    bool plain; /* a word may become it */
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

typedef struct yki_added_item {
    char *content; /* what is looked for: normalized, where the token is */
    uint32_t length;
    int32_t id, order; /* order: of equal contents the lower one is found */
    bool single_word, lstrip, rstrip;
} yki_added_item;

/* Added tokens of one pass, sorted by content (bytewise, shorter first). */
typedef struct yki_added {
    yki_added_item *items;
    int count;
    int first[257]; /* contents that begin with byte b are first[b] .. first[b + 1] - 1 */
} yki_added;

/* Text on its way. `first`: it begins where the stretch of text began. */
typedef struct yki_tokenizer_text {
    const char *text;
    size_t count;
    bool first;
} yki_tokenizer_text;

/* One loaded part. What the fields hold is its loader's to say. */
struct yki_tokenizer_part {
    /* a normalizer: appends what text becomes */
    yoke_status (*normalize)(const yoke_tokenizer *tokenizer, const yki_tokenizer_part *part,
                             yki_encoder *encoder, yki_tokenizer_text piece, yki_text *out);
    /* a pre-tokenizer: hands pieces on to yki_encoder_pass(encoder, level + 1, ...) */
    yoke_status (*divide)(yki_encoder *encoder, const yki_tokenizer_part *part, int level,
                          yki_tokenizer_text piece);
    /* a decoder of single tokens: appends what one becomes; first: of a list; added: see yki_decoders_finish
     */
    void (*decode)(const yki_tokenizer_part *part, const char *text, size_t count, bool first, bool added,
                   yki_text *out);
    yki_pattern *pattern;
    char *from, *to;
    size_t from_count, to_count;
    int mode, start, stop;
    bool lossy; /* of a pre-tokenizer: words do not join to the text that it was given */
};

typedef struct yki_parts {
    yki_tokenizer_part items[YKI_MOST_PARTS];
    int count;
} yki_parts;

struct yoke_tokenizer {
    uint64_t seed; /* of its hashes: a secret, so that no file can be made whose words all meet in one slot */
    char *path;
    char *source; /* the file, to be saved beside a model */
    size_t source_bytes;
    int32_t size;
    yki_token *tokens;
    char *pool, *texts; /* where tokens' bytes and texts lie */
    yki_merges merges;
    int32_t *words; /* a hash of plain tokens by their bytes, -1 an empty slot; NULL: not needed */
    size_t words_mask;

    bool byte_level;          /* a letter of a word is a byte, else a character */
    int32_t byte_ids[256];    /* of letters of one byte; -1: none */
    int32_t spelled_ids[256]; /* byte_fallback: of "<0x00>" to "<0xFF>"; -1: none */
    int32_t unknown;          /* -1: letters without a token are left out */
    bool lacks_unknown;       /* unk_token is no token: letters without one are refused */
    bool every_byte;          /* each of the 256 has its letter */
    bool byte_fallback, fuse_unknown, ignore_merges;
    bool cut; /* no merge joins U+2581 to what stands before it: a word may be cut there */

    struct {
        char *content, *text; /* text: normalized, where the token is; it is found and decoded so */
        int32_t id;
    } * names; /* of all added tokens, in the file's order */
    int nnames;
    yki_added added[2];          /* looked for in this order: those matched before normalizing, and after */
    yki_pattern *word_character; /* where added tokens have single_word */
    yki_parts normalizers, dividers, decoders;
    bool exact;        /* decoding gives every text back, byte for byte */
    bool byte_decoder; /* tokens decode to their bytes */
    int decoded;       /* while decoders are loaded: how far tokens are joined, see decode.c */
    bool spaced;       /* without a decoder: spaces between tokens */
    char strip[5];     /* off the ends of a whole text, at most so often */
    int strip_start, strip_stop;
    int32_t *begin, *end; /* what the post_processor puts around a text */
    int64_t nbegin, nend;
};

/* The file as it was read: borrowed. */
const char *yki_tokenizer_source(const yoke_tokenizer *tokenizer, size_t *bytes_out);

/* --- load.c, vocab.c, merges.c: from JSON; `tokenizer` is zeroed but for path and source --- */
yoke_status yki_tokenizer_load(yoke_tokenizer *tokenizer, const json_t *root);
yoke_status yki_tokenizer_load_vocab(yoke_tokenizer *tokenizer, const json_t *model, const json_t *added);
yoke_status yki_tokenizer_load_added(yoke_tokenizer *tokenizer, const json_t *vocab, const json_t *added);
yoke_status yki_tokenizer_load_merges(yoke_tokenizer *tokenizer, const json_t *vocab, const json_t *merges);
/* The texts of all tokens, by the decoders. */
yoke_status yki_decoders_finish(yoke_tokenizer *tokenizer, const json_t *vocab);
/* YOKE_INVALID naming the tokenizer's file and a dotted key. */
yoke_status yki_tokenizer_fail(const yoke_tokenizer *tokenizer, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- part.c --- */
typedef struct yki_part_type {
    const char *name;
    yoke_status (*load)(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
} yki_part_type;
typedef struct yki_part_table {
    const char *key, *list; /* in the file; of a Sequence */
    const yki_part_type *types;
    int ntypes;
} yki_part_table;
extern const yki_part_table yki_normalizers, yki_pre_tokenizers, yki_post_processors, yki_decoders;
/* Loads root's part of this kind, and the parts of its Sequences in order; absent or null: none. */
yoke_status yki_parts_load(yoke_tokenizer *tokenizer, const json_t *root, const yki_part_table *table);
/* A new part at the end of `parts`, zeroed. */
yoke_status yki_part_add(const yoke_tokenizer *tokenizer, yki_parts *parts, const char *key,
                         yki_tokenizer_part **part_out);
void yki_parts_release(yki_parts *parts);
/* Members of a part. A flag that is absent is `standard`; a text must be there; a count is at least 0. */
yoke_status yki_part_flag(const yoke_tokenizer *tokenizer, const json_t *part, const char *key,
                          const char *name, bool standard, bool *value_out);
yoke_status yki_part_text(const yoke_tokenizer *tokenizer, const json_t *part, const char *key,
                          const char *name, char **text_out, size_t *count_out);
yoke_status yki_part_count(const yoke_tokenizer *tokenizer, const json_t *part, const char *key,
                           const char *name, int *value_out);
/* The member "pattern": {"String": ...}, whose text is *literal_out, or {"Regex": ...}, *regex_out; the other
 * is NULL. Borrowed. */
yoke_status yki_part_pattern(const yoke_tokenizer *tokenizer, const json_t *part, const char *key,
                             const char **literal_out, const char **regex_out);

/* --- unicode.c, metaspace.c: loaders of the tables of normalize.c, divide.c, decode.c --- */
yoke_status yki_load_nfc(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
yoke_status yki_load_nfd(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
yoke_status yki_load_nfkc(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
yoke_status yki_load_nfkd(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
yoke_status yki_load_metaspace(yoke_tokenizer *tokenizer, const json_t *part, const char *key);
yoke_status yki_load_metaspace_decoder(yoke_tokenizer *tokenizer, const json_t *part, const char *key);

/* --- normalize.c --- */
/* `piece` by all normalizers; what comes out is borrowed, from `piece` or from one of two buffers. encoder:
 * NULL outside of a text, where patterns are given a matcher of their own. */
yoke_status yki_normalize(const yoke_tokenizer *tokenizer, yki_encoder *encoder, yki_text buffers[2],
                          yki_tokenizer_text piece, yki_tokenizer_text *piece_out);
/* Appends text with `from` (not empty) replaced by `to`. */
void yki_replace(yki_text *out, const char *text, size_t count, const char *from, size_t from_count,
                 const char *to, size_t to_count);

/* --- bytes.c --- */
/* GPT-2's byte alphabet: printable bytes stand for themselves, the other 68 for U+0100 and on. Turns text in
 * it into the bytes meant (out holds strlen(text)); -1: a character outside of it. */
long yki_alphabet_bytes(const char *text, char *out);
/* The character that stands for a byte, as one or two bytes of UTF-8; returns how many. */
int yki_alphabet_letter(int byte, char out[2]);
uint64_t yki_bytes_hash(uint64_t seed, const char *bytes, size_t count);

/* --- added.c --- */
/* Sorts; items are filled in. Of those with one content, the first stays. */
yoke_status yki_added_finish(yki_added *added);
/* The leftmost longest added token at or after `at`: its place, and which in *index_out; `count`: none. */
size_t yki_added_find(const yki_added *added, const char *text, size_t count, size_t at, int *index_out);
void yki_added_release(yki_added *added);
/* How far white space reaches from `at` to the left, not past `least`; and to the right. */
size_t yki_space_before(const char *text, size_t least, size_t at);
size_t yki_space_after(const char *text, size_t count, size_t at);

/* --- dialect.c --- */
/* HF's patterns are Oniguruma's (Ruby's dialect); this rewrites one in PCRE2's, or refuses by name what the
 * two do not mean alike. *pattern_out is freed by the caller. */
yoke_status yki_dialect_translate(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                                  char **pattern_out);

/* --- split.c --- */
extern const char yki_gpt2_pattern[];
yoke_status yki_pattern_create(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                               yki_pattern **pattern_out);
/* A pattern of this library's own, in PCRE2's dialect. */
yoke_status yki_pattern_create_own(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                                   yki_pattern **pattern_out);
void yki_pattern_destroy(yki_pattern *pattern);
/* What matching needs, of one thread. NULL: out of memory. */
yki_matcher *yki_matcher_create(void);
/* A text of so many bytes is next: how many of its matches may take long. */
void yki_matcher_begin(yki_matcher *matcher, size_t bytes);
void yki_matcher_destroy(yki_matcher *matcher);
/* The next match of at least one byte at or after `at` in valid UTF-8; *begin_out == count: none. */
yoke_status yki_pattern_next(const yoke_tokenizer *tokenizer, const yki_pattern *pattern,
                             yki_matcher *matcher, const char *text, size_t count, size_t at,
                             size_t *begin_out, size_t *end_out);

/* --- letters.c --- */
/* The most tokens that a word's letters can be. */
size_t yki_letters_most(const yoke_tokenizer *tokenizer, size_t count);
/* The tokens of a word's letters, before merging. */
yoke_status yki_letters(const yoke_tokenizer *tokenizer, const char *word, size_t count, int32_t *ids,
                        size_t *count_out);
/* The id of a plain token by its bytes; -1: none. The tokenizer has `words`. */
int32_t yki_word_find(const yoke_tokenizer *tokenizer, const char *word, size_t count);

/* --- merge.c --- */
yoke_status yki_merges_init(yki_merges *merges, size_t count, uint64_t seed);
/* False: the pair is there already. */
bool yki_merges_put(yki_merges *merges, int32_t left, int32_t right, int32_t rank, int32_t id);
const yki_merge *yki_merges_get(const yki_merges *merges, int32_t left, int32_t right);
/* Merges the ids of a word's letters in place, lowest rank first, leftmost among equals; returns how many are
 * left. scratch: yki_merge_scratch(count) bytes, aligned to 8. */
size_t yki_merge_scratch(size_t count);
size_t yki_merge_word(const yki_merges *merges, int32_t *ids, size_t count, void *scratch);

/* --- encode.c: many texts, of which words are remembered, on one thread --- */
yoke_status yki_encoder_create(const yoke_tokenizer *tokenizer, yki_encoder **encoder_out);
void yki_encoder_destroy(yki_encoder *encoder);
/* Whether the texts from here on are inner parts of one, which get no prefix. */
void yki_encoder_go_on(yki_encoder *encoder, bool inner);
/* yoke_tokenizer_encode; *ids_out is borrowed until the next text. before[i]: how many of the tokens end at
 * or before the i-th of `nmarks` (0: none are wanted) ascending places of the text, each before a character
 * or at its end; a token that reaches over the place is not among them. */
yoke_status yki_encoder_encode(yki_encoder *encoder, const char *text, size_t bytes, const size_t *marks,
                               size_t nmarks, int64_t *before, const int32_t **ids_out, int64_t *count_out);

/* --- encode.c: for pre-tokenizers --- */
/* A piece for the pre-tokenizer of this level, or past the last one, a word. Empty pieces vanish. */
yoke_status yki_encoder_pass(yki_encoder *encoder, int level, yki_tokenizer_text piece);
/* A buffer of this level's own, empty. */
yki_text *yki_encoder_buffer(yki_encoder *encoder, int level);
/* Does a piece go on after bytes that are no UTF-8, in the middle of what was one text? It gets no prefix
 * then, so that decoding gives the text back. */
bool yki_encoder_goes_on(const yki_encoder *encoder, yki_tokenizer_text piece);
const yoke_tokenizer *yki_encoder_tokenizer(const yki_encoder *encoder);
yki_matcher *yki_encoder_matcher(yki_encoder *encoder);

#endif
