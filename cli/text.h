/* Text for people: bytes made printable, sizes, rates, times, and the nearest known word. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Writes `text` as valid UTF-8: bytes that are no UTF-8 and control characters (C1 too) become \xNN, so that
 * input in a message can neither break a terminal nor a JSON document. lines: newlines and tabs stay as they
 * are. */
void text_escape(FILE *out, const char *text, bool lines);
/* The same of so many bytes, zero bytes among them; a NUL, or more text, follows. */
void text_escape_bytes(FILE *out, const char *text, size_t bytes, bool lines);
/* The same into a new string, freed by the caller; NULL when memory is out. */
char *text_escaped(const char *text, bool lines);

/* Length in bytes of the well-formed UTF-8 character at `text` (a NUL-terminated string); 0 where there is
 * none. */
int text_utf8_length(const char *text);
/* Columns that UTF-8 text takes: its characters, each taken as one. */
int text_columns(const char *text);

/* "1.50 GiB", "12 bytes". Returns buffer. */
char *text_size(char buffer[32], double bytes);
/* "12.3k" for counts and rates. */
char *text_count(char buffer[32], double count);
/* "312 TFLOP/s", "3.4 us": with the prefix that leaves 1 to 999 before the point. */
char *text_si(char buffer[32], double value, const char *unit);
/* "68.9 ms", "1.31 s", "3:20": of a step. */
char *text_milliseconds(char buffer[32], double ms);
/* "0.9 s", "2:05", "1:02:03", "4 d 02 h". */
char *text_duration(char buffer[32], double seconds);
/* "1,234,567". */
char *text_thousands(char buffer[32], int64_t number);

/* The nearest of `count` names by edit distance, letters exchanged counting once; NULL if none is near.
 * names[i] lies `stride` bytes after names[i - 1], so that a table's own column can be given. */
const char *text_nearest(const char *word, const char *const *names, int count, size_t stride);

/* A word as a shell reads it back. */
void text_shell_word(FILE *out, const char *word);

/* Prints `text` with lines broken at spaces before column `width`; every line starts with `indent` spaces,
 * the first one where the caller stands already. */
void text_wrap(FILE *out, const char *text, int indent, int width);
/* The same where the caller stands at `column`, each line that is broken ending in `end`. */
void text_wrap_with(FILE *out, const char *text, int column, int indent, int width, const char *end);

#endif
