/* A small YAML reader: text to a tree of scalars, mappings and sequences, with the line of every node.
 *
 * Only the part of YAML that a person writes in a settings file: anchors, aliases, tags, merge keys, keys
 * that are not words, repeated keys and several documents are refused. Invariant: a tree is at most
 * YKI_YAML_DEPTH deep, and its strings are valid UTF-8 without NUL. */
#ifndef YKI_JOB_YAML_H
#define YKI_JOB_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "yoke/status.h"

#define YKI_YAML_DEPTH 32
#define YKI_YAML_BYTES (1 << 20)

typedef enum yki_yaml_kind { YKI_YAML_SCALAR, YKI_YAML_MAPPING, YKI_YAML_SEQUENCE } yki_yaml_kind;

typedef struct yki_yaml {
    yki_yaml_kind kind;
    bool quoted; /* a scalar written in quotes: text, whatever it looks like */
    int line;    /* of the key, for an entry of a mapping; from 1 */
    int origin;  /* 0 from reading; callers that change a tree may number their changes */
    char *key;   /* entries of a mapping; else NULL */
    char *text;  /* scalars; else NULL */
    int count, capacity;
    struct yki_yaml **items; /* of mappings (in the order written) and sequences */
} yki_yaml;

/* Reads a file of at most YKI_YAML_BYTES. YOKE_INVALID, with file and line: not such a file, or not YAML as
 * above. An empty document is an error. Owns: the caller, yki_yaml_destroy. */
yoke_status yki_yaml_read(const char *path, yki_yaml **root_out);
/* The same from memory; `file` is named in errors ("" for none: then lines are not named either). */
yoke_status yki_yaml_parse(const char *text, size_t length, const char *file, yki_yaml **root_out);
/* YOKE_INVALID where a text is not UTF-8, or has control characters other than tabs and ends of lines. */
yoke_status yki_yaml_check_characters(const char *text, size_t length, const char *file);
/* NULL is nothing. */
void yki_yaml_destroy(yki_yaml *node);

/* The entry `key` of a mapping, borrowed; NULL where there is none, or `node` is no mapping. */
yki_yaml *yki_yaml_get(const yki_yaml *node, const char *key);
/* The node at a dotted path; items of sequences by their number. An empty path is `node` itself. */
yki_yaml *yki_yaml_find(yki_yaml *node, const char *path);
/* A scalar written as nothing, ~ or null. */
bool yki_yaml_is_null(const yki_yaml *node);

/* A node without entries; `text` is copied, and only for scalars. NULL when memory is out. */
yki_yaml *yki_yaml_create(yki_yaml_kind kind, const char *text, size_t length, int line);
/* Makes `child` the entry `key` (copied) of a mapping, destroying the one that was there, or, with key NULL,
 * the next item of a sequence. Takes `child` over, on failure too; a NULL child is taken for memory that was
 * out. */
yoke_status yki_yaml_put(yki_yaml *parent, const char *key, yki_yaml *child);
/* Takes the entry `key` out of a mapping and destroys it; nothing where there is none. */
void yki_yaml_remove(yki_yaml *mapping, const char *key);

/* Text of a user for a sentence: at most some 60 bytes, control characters as \xNN. Returns buffer. */
char *yki_yaml_shown(char buffer[96], const char *text);

#endif
