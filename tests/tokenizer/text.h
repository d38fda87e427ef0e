/* Text to test tokenizers with, the same in text.py: words, numbers, contractions, scripts, emoji, marks,
 * white space, control characters, oddities. No character is younger than Unicode 14, which is what
 * PCRE2 10.42 knows.
 */
#ifndef YKI_TEST_TEXT_H
#define YKI_TEST_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Units of text until there are at least `least` bytes; freed by the caller. */
char *test_text(uint64_t seed, size_t least, size_t *bytes_out);

/* The LCG that it is made with: a number below n. */
uint32_t test_below(uint64_t *state, uint32_t n);

/* A character as UTF-8 at `out`; returns its bytes. */
size_t test_utf8(uint32_t code, char *out);

#endif
