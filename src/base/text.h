/* Strings: a growing one, UTF-8, and strangers' text made safe to show. Invariant of the growing one: data is
 * NULL or ends with '\0' at data[length]; after a failed allocation `failed` is set and further appends do
 * nothing. */
#ifndef YKI_BASE_TEXT_H
#define YKI_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct yki_text {
    char *data;
    size_t length, capacity;
    bool failed;
} yki_text;

void yki_text_append(yki_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void yki_text_append_bytes(yki_text *text, const char *bytes, size_t count);
/* Hands the string over to the caller, who frees it; NULL if an allocation failed. Leaves the text empty. */
char *yki_text_take(yki_text *text);
void yki_text_release(yki_text *text);

/* "1.5 GiB", "12 bytes": a size for people, in at most 16 bytes of `buffer`. Returns buffer. */
char *yki_size_print(char buffer[24], double bytes);

/* Bytes of the UTF-8 character that bytes[0..count) begin with (count > 0); 0: none. */
size_t yki_utf8_character(const char *bytes, size_t count);
/* Bytes of the longest prefix of valid UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). */
size_t yki_utf8_prefix(const char *bytes, size_t count);

/* `text` into out[size] as plain UTF-8: what a sentence quotes may come from a stranger's file, and a
 * terminal would obey its control characters. Those, and bytes that are no character, become \xNN; what is
 * too long is cut at a character's edge. Returns how many bytes of `text` were taken. */
size_t yki_plain(char *out, size_t size, const char *text);

#define YKI_QUOTE_BYTES 96
/* `text` in quotes, control characters escaped, shortened in the middle of nothing: at a character's edge,
 * with "...". */
char *yki_quote(char buffer[YKI_QUOTE_BYTES], const char *text);

/* The entry of names[0..count) nearest to `word` by edit distance, or NULL if none is near. */
const char *yki_nearest(const char *word, const char *const *names, int count);

#endif
