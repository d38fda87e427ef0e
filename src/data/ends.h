/* The ids that end a text, as Hugging Face's folders say them. Invariant: what was read is different ids,
 * each at least 0. Whether a model or a tokenizer has them is the caller's to ask. */
#ifndef YKI_DATA_ENDS_H
#define YKI_DATA_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/tokenizer.h"

/* Zeroed: none are known. */
typedef struct yki_ends {
    int32_t *ids; /* the first ends texts that are trained on; each of them ends one that is generated */
    size_t count;
} yki_ends;

/* `eos_token_id`, a number or a list, of the folder's generation_config.json, else of its config.json; else
 * the tokenizer's added token <|endoftext|>, else </s>. A file that is not there, or says null or an empty
 * list, is passed over. folder, tokenizer: NULL where there is none. No ids, where nothing says one, is
 * YOKE_OK. YOKE_INVALID names the file and the key: it is no JSON object, or the value is no id. Owns: the
 * caller, yki_ends_free; on failure none. */
yoke_status yki_ends_read(const char *folder, const yoke_tokenizer *tokenizer, yki_ends *ends);
/* Accepts a zeroed one, and leaves one. */
void yki_ends_free(yki_ends *ends);
bool yki_ends_have(const yki_ends *ends, int32_t id);

#endif
