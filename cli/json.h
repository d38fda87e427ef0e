/* Writing one JSON document into memory. Values are written in order; keys are given inside objects and NULL
 * inside arrays. Doubles have the fewest digits that read back to the same value; one that is not finite is
 * null. Reading JSON is deliberately absent. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct json json;

/* NULL when memory is out. */
json *out_create(void);
void out_destroy(json *document);

void put_begin_object(json *document, const char *key);
void put_end_object(json *document);
void put_begin_array(json *document, const char *key);
void put_end_array(json *document);
/* All that is open but the outermost. */
void put_end_inner(json *document);
/* NULL text is null; bytes that are no UTF-8 are escaped as \xNN. */
void put_string(json *document, const char *key, const char *text);
/* UTF-8 of so many bytes, zero bytes among them. */
void put_text(json *document, const char *key, const char *text, size_t bytes);
void put_integer(json *document, const char *key, int64_t value);
void put_unsigned(json *document, const char *key, uint64_t value);
void put_number(json *document, const char *key, double value);
void put_boolean(json *document, const char *key, bool value);
void put_null(json *document, const char *key);

/* A string as JSON has it, in quotes. */
void json_text(FILE *out, const char *text);

/* Closes what is open and returns the text, owned by the document; NULL when memory was out. Nothing may be
 * written afterwards. */
const char *out_text(json *document);

#endif
