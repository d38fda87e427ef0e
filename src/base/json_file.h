/* JSON from strangers: strict reading, and sentences for what is not JSON at all.
 * Strict: UTF-8 throughout, no duplicate keys, no NaN, nothing after the value, nesting at most 2048 deep
 * (jansson's own bound), at most YKI_JSON_LIMIT_BYTES and YKI_JSON_MOST_VALUES, counted before the parser
 * sees them. Deliberately absent: comments, relaxed numbers, streaming. */
#ifndef YKI_BASE_JSON_FILE_H
#define YKI_BASE_JSON_FILE_H

#include <stddef.h>

#include <jansson.h>

#include "yoke/status.h"

#define YKI_JSON_LIMIT_BYTES 100000000 /* the bound that the safetensors format sets for its header */
#define YKI_JSON_MOST_VALUES (1 << 22) /* twice what the largest tokenizers have */

/* Parses count bytes that came from `path` (`what` in it: "header", or "" for the whole file). The value is
 * an object. YOKE_INVALID names the file, the line and the fault; YOKE_SYSTEM: out of memory. The caller
 * json_decref's it. */
yoke_status yki_json_parse(const char *path, const char *what, const char *bytes, size_t count,
                           json_t **object_out);

/* The same of one line of a file of JSON objects. Texts may hold zero bytes; all numbers are reals. The
 * record has the line. */
yoke_status yki_json_parse_line(const char *path, int line, const char *bytes, size_t count,
                                json_t **object_out);

/* Reads a whole file as one JSON object. YOKE_INVALID also where the file is missing, no plain file or too
 * long. */
yoke_status yki_json_load(const char *path, json_t **object_out);

/* A value as text, freed with free(); NULL where memory is out. flags: jansson's, of json_dumps. */
char *yki_json_dump(const json_t *value, size_t flags);

/* The same on lines of their own, indented by 2, every number the shortest that reads back to it: what other
 * tools wrote like that is the same text again. */
char *yki_json_pretty(const json_t *value);

/* What a file that should be something else looks like by its first bytes ("a Git LFS pointer, ..."); NULL:
 * no idea. */
const char *yki_file_kind(const void *bytes, size_t count);

/* `text` as a JSON string with its quotes, in at most `size` bytes (at least 4): cut short, at a character's
 * edge, where it is longer; a byte that is not UTF-8 is '?'. Returns buffer. */
char *yki_json_string(char *buffer, size_t size, const char *text);

/* The shortest decimal that reads back to `value`, as a JSON real; "null" for what is not finite. Any locale.
 */
char *yki_json_real(char buffer[32], double value);

#endif
