/* Tokenizers: text to numbers and back, as a tokenizer.json of Hugging Face describes it: token for token
 * what its package `tokenizers` gives. Read are those whose model is BPE, of bytes or of characters: GPT-2's,
 * Llama 2's and 3's, Mistral's, Qwen's and SmolLM's kinds.
 *
 *   model           BPE: merges as "a b" or ["a", "b"], ignore_merges, byte_fallback, unk_token, fuse_unk
 *   added_tokens    with normalized, lstrip, rstrip, single_word
 *   normalizer      NFC, NFD, NFKC, NFKD (where yoke was built with utf8proc), Prepend, Replace
 *   pre_tokenizer   ByteLevel, Split, Digits, Metaspace; absent: a text is one word
 *   post_processor  TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing: of one text
 *   decoder         ByteLevel, Replace of a text, ByteFallback, Fuse, Strip, Metaspace
 *
 * and Sequences of them. Everything else (dropout, affixes, WordPiece, Unigram, ...) is refused by name.
 * truncation and padding play no part. A vocabulary may lack letters, and its ids may have holes.
 *
 * A tokenizer is immutable: any threads may use it at once. */
#ifndef YOKE_TOKENIZER_H
#define YOKE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_tokenizer yoke_tokenizer;

/* Reads and checks a tokenizer.json of at most 100 MB. YOKE_INVALID names the file, the key and the fault.
 * Owns: the caller; yoke_tokenizer_destroy. On failure *tokenizer_out is as it was. */
YOKE_API yoke_status yoke_tokenizer_create(yoke_tokenizer **tokenizer_out, const char *path);
/* NULL is allowed. */
YOKE_API void yoke_tokenizer_destroy(yoke_tokenizer *tokenizer);

/* One more than the highest id, added tokens included: what a model's vocabulary must have. Ids below it may
 * be holes, which are no tokens. */
YOKE_API int64_t yoke_tokenizer_size(const yoke_tokenizer *tokenizer);
/* What a token decodes to in the middle of a text (*bytes_out bytes, and a '\0' after the last; they may hold
 * others), borrowed from the tokenizer. NULL where there is no such id. */
YOKE_API const char *yoke_tokenizer_token(const yoke_tokenizer *tokenizer, int32_t id, size_t *bytes_out);
/* The id of the added token (special or not) that is written `content`; -1: none. */
YOKE_API int32_t yoke_tokenizer_added(const yoke_tokenizer *tokenizer, const char *content);

/* The ids that the post_processor puts before a text, and behind it: *count_out of them, borrowed from the
 * tokenizer; NULL where there are none. */
YOKE_API const int32_t *yoke_tokenizer_begin(const yoke_tokenizer *tokenizer, int64_t *count_out);
YOKE_API const int32_t *yoke_tokenizer_end(const yoke_tokenizer *tokenizer, int64_t *count_out);

/* Text to ids, those that Hugging Face's encode(text, add_special_tokens=False) gives. Added tokens that the
 * text spells out become their ids. A letter without a token is spelled in bytes where byte_fallback has
 * those, else it is the unknown token, else it is left out. Bytes that are no UTF-8: each longest run of them
 * is a word of its own, merged like others, and ends the text before it as the file's end would; what follows
 * it gets no prefix. So any bytes can be encoded, and decoding gives them back wherever every byte has a
 * token, and neither normalizers nor added tokens' lstrip and rstrip changed the text. *ids_out: *count_out
 * of them, freed by the caller with free(); never NULL. YOKE_INVALID: a pattern of the tokenizer takes more
 * steps on this text than it is allowed; a letter has no token and the unk_token is none. */
YOKE_API yoke_status yoke_tokenizer_encode(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                           int32_t **ids_out, int64_t *count_out);
/* The same between what the post_processor adds: encode(text). */
YOKE_API yoke_status yoke_tokenizer_encode_special(const yoke_tokenizer *tokenizer, const char *text,
                                                   size_t bytes, int32_t **ids_out, int64_t *count_out);
/* Ids to the bytes they stand for, as decode(ids, skip_special_tokens=False), but for bytes that are no
 * UTF-8, which stay as they are, and byte-level tokenizers' added tokens, which are always their content. Ids
 * that are holes are nothing. *text_out: *bytes_out bytes and a '\0', freed by the caller with free().
 * YOKE_INVALID: an id that is none. bytes_out may be NULL. */
YOKE_API yoke_status yoke_tokenizer_decode(const yoke_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                                           char **text_out, size_t *bytes_out);
/* What the ids add to the text of those `before`: a tokenizer may drop the space that a text begins with, and
 * only there. Decoding a list piece by piece so gives its whole text, where the decoder strips no ends;
 * pieces may begin and end inside a character. */
YOKE_API yoke_status yoke_tokenizer_decode_after(const yoke_tokenizer *tokenizer, const int32_t *before,
                                                 int64_t nbefore, const int32_t *ids, int64_t count,
                                                 char **text_out, size_t *bytes_out);

#ifdef __cplusplus
}
#endif
#endif
