/* Words that people bring from other programs, and what yoke calls the same thing. */
#ifndef YKI_JOB_WORDS_H
#define YKI_JOB_WORDS_H

#include "job/key.h"

/* The key of a job that `word` means: a dotted key itself, the last name of only one key, or a usual word for
 * one, in any spelling of case, '-' and '_'. NULL: none. Static storage. */
const char *yki_key_of_word(const char *word);
/* The key of a layer that a usual word means; "" where a layer takes that from its input; NULL: none. */
const char *yki_layer_key_of_word(const char *word);
/* The type of layer; NULL: none. */
const char *yki_layer_type_of_word(const char *word);

/* How many sections a key lies in. */
int yki_key_depth(const char *path);

#endif
