/* Tokenizers: text to numbers and back, as a tokenizer.json of Hugging Face describes it. Read are byte-level
 * BPE tokenizers (GPT-2's and Llama 3's kinds): model.type BPE with a vocabulary of the byte alphabet, merges
 * as "a b" or ["a", "b"], ignore_merges, added tokens; before it ByteLevel (with or without its pattern), or
 * a Sequence of Splits by a pattern (behavior Isolated) that ends in ByteLevel. Everything else (normalizers,
 * prefix spaces, dropout, byte fallback, WordPiece, Unigram, ...) is refused by name. post_processor,
 * truncation and padding play no part: encoding is plain, without added beginnings and ends.
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

/* How many tokens there are, added ones included: ids are 0 .. size - 1, none is missing. */
YOKE_API int64_t yoke_tokenizer_size(const yoke_tokenizer *tokenizer);
/* The bytes of a token (*bytes_out of them, and a '\0' after the last; they may hold others), borrowed from
 * the tokenizer. NULL where there is no such id. */
YOKE_API const char *yoke_tokenizer_token(const yoke_tokenizer *tokenizer, int32_t id, size_t *bytes_out);
/* The id of the added token (special or not) that is written `content`; -1: none. */
YOKE_API int32_t yoke_tokenizer_added(const yoke_tokenizer *tokenizer, const char *content);

/* Text to ids, those that Hugging Face's encode(text, add_special_tokens=False) gives. Added tokens that the
 * text spells out become their ids. Bytes that are no UTF-8: each longest run of them is a word of its own,
 * merged like others, and ends the text before it as the file's end would; so any bytes can be encoded, and
 * decoding gives them back. *ids_out: *count_out of them, freed by the caller with free(); never NULL.
 * YOKE_INVALID: a pattern of the tokenizer takes more steps on this text than it is allowed. */
YOKE_API yoke_status yoke_tokenizer_encode(const yoke_tokenizer *tokenizer, const char *text, size_t bytes,
                                           int32_t **ids_out, int64_t *count_out);
/* Ids to the bytes they stand for: decode(encode(x)) is x for every x. Ids cut out of a longer list may begin
 * and end inside a character. *text_out: *bytes_out bytes and a '\0', freed by the caller with free().
 * YOKE_INVALID: an id that is none. bytes_out may be NULL. */
YOKE_API yoke_status yoke_tokenizer_decode(const yoke_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                                           char **text_out, size_t *bytes_out);

#ifdef __cplusplus
}
#endif
#endif
