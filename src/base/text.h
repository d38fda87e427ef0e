/* A growing string. Invariant: data is NULL or ends with '\0' at data[length]; after a failed allocation
 * `failed` is set and further appends do nothing. */
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

/* The entry of names[0..count) nearest to `word` by edit distance, or NULL if none is near. */
const char *yki_nearest(const char *word, const char *const *names, int count);

#endif
