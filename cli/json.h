/* Writing one JSON document into memory. Values are written in order; keys are given inside objects and NULL
 * inside arrays. Doubles have the fewest digits that read back to the same value; one that is not finite is
 * null. Reading JSON is deliberately absent. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

typedef struct json json;

/* NULL when memory is out. */
json *json_create(void);
void json_destroy(json *document);

void json_begin_object(json *document, const char *key);
void json_end_object(json *document);
void json_begin_array(json *document, const char *key);
void json_end_array(json *document);
/* NULL text is null; bytes that are no UTF-8 are escaped as \xNN. */
void json_string(json *document, const char *key, const char *text);
void json_integer(json *document, const char *key, int64_t value);
void json_number(json *document, const char *key, double value);
void json_boolean(json *document, const char *key, bool value);
void json_null(json *document, const char *key);

/* Closes what is open and returns the text, owned by the document; NULL when memory was out. Nothing may be
 * written afterwards. */
const char *json_text(json *document);

#endif
