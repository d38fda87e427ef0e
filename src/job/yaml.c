/* The YAML reader: libfyaml's events, made into a tree of our own.
 *
 * Events instead of libfyaml's documents: what is refused is refused before the library works on it, repeated
 * keys are found by sorting instead of by comparing all pairs, and the tree can be changed by overrides.
 * Size, characters and nesting are bounded before the text is handed over. Its diagnostics are collected,
 * never printed. */
#include "job/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

typedef struct frame {
    yki_yaml *node;
    char *key; /* of a mapping: read, its value still to come */
    int key_line;
} frame;

typedef struct reader {
    const char *file;
    struct fy_parser *parser;
    struct fy_diag *diag;
    yki_yaml *root;
    yki_text text; /* of the last scalar */
    bool in_document, done;
    int depth, line;
    frame stack[YKI_YAML_DEPTH];
} reader;

yki_yaml *yki_yaml_create(yki_yaml_kind kind, const char *text, size_t length, int line)
{
    yki_yaml *node = calloc(1, sizeof *node);
    if (!node) return NULL;
    node->kind = kind;
    node->line = line;
    if (kind == YKI_YAML_SCALAR) {
        node->text = strndup(text, length);
        if (!node->text) {
            free(node);
            return NULL;
        }
    }
    return node;
}

void yki_yaml_destroy(yki_yaml *node)
{
    if (!node) return;
    for (int i = 0; i < node->count; i++) yki_yaml_destroy(node->items[i]);
    free(node->items);
    free(node->key);
    free(node->text);
    free(node);
}

static int index_of(const yki_yaml *node, const char *key)
{
    for (int i = 0; node && node->kind == YKI_YAML_MAPPING && i < node->count; i++)
        if (strcmp(node->items[i]->key, key) == 0) return i;
    return -1;
}

yki_yaml *yki_yaml_get(const yki_yaml *node, const char *key)
{
    int i = index_of(node, key);
    return i < 0 ? NULL : node->items[i];
}

yki_yaml *yki_yaml_find(yki_yaml *node, const char *path)
{
    while (node && *path) {
        size_t length = strcspn(path, ".");
        char name[128];
        if (length >= sizeof name) return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        if (node->kind == YKI_YAML_SEQUENCE) {
            char *end;
            long i = strtol(name, &end, 10);
            bool number = name[0] >= '0' && name[0] <= '9' && !*end;
            node = number && i < node->count ? node->items[i] : NULL;
        } else {
            node = yki_yaml_get(node, name);
        }
        path += length + (path[length] == '.');
    }
    return node;
}

bool yki_yaml_is_null(const yki_yaml *node)
{
    return node->kind == YKI_YAML_SCALAR && !node->quoted &&
           (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

/* Appends without looking for the key: reading finds repeated ones at the end of a mapping. */
static yoke_status append(yki_yaml *parent, char *key, yki_yaml *child)
{
    if (child && parent->count == parent->capacity) {
        int capacity = parent->capacity ? 2 * parent->capacity : 4;
        yki_yaml **items = realloc(parent->items, (size_t)capacity * sizeof(yki_yaml *));
        if (!items) {
            yki_yaml_destroy(child);
            child = NULL;
        } else {
            parent->items = items;
            parent->capacity = capacity;
        }
    }
    if (!child) {
        free(key);
        return yki_fail_memory("a YAML document");
    }
    free(child->key);
    child->key = key;
    parent->items[parent->count++] = child;
    return YOKE_OK;
}

yoke_status yki_yaml_put(yki_yaml *parent, const char *key, yki_yaml *child)
{
    char *copy = NULL;
    if (!child || (key && !(copy = strdup(key)))) {
        yki_yaml_destroy(child);
        return yki_fail_memory("a YAML document");
    }
    int i = key ? index_of(parent, key) : -1;
    if (i < 0) return append(parent, copy, child);
    free(child->key);
    child->key = copy;
    yki_yaml_destroy(parent->items[i]);
    parent->items[i] = child;
    return YOKE_OK;
}

void yki_yaml_remove(yki_yaml *mapping, const char *key)
{
    int i = index_of(mapping, key);
    if (i < 0) return;
    yki_yaml_destroy(mapping->items[i]);
    mapping->count--;
    memmove(mapping->items + i, mapping->items + i + 1, (size_t)(mapping->count - i) * sizeof(yki_yaml *));
}

/* ---- what is checked before libfyaml sees a byte ---- */

char *yki_yaml_shown(char buffer[96], const char *text)
{
    int n = 0;
    const unsigned char *p = (const unsigned char *)text;
    while (*p && n < 60) {
        size_t length = yki_utf8_character((const char *)p, strnlen((const char *)p, 4));
        bool control = *p < 32 || *p == 127 || (*p == 0xc2 && p[1] < 0xa0);
        if (length == 0 || control) {
            n += snprintf(buffer + n, 5, "\\x%02x", *p++);
            continue;
        }
        memcpy(buffer + n, p, length);
        n += (int)length;
        p += length;
    }
    snprintf(buffer + n, 4, "%s", *p ? "..." : "");
    return buffer;
}

yoke_status yki_yaml_check_characters(const char *text, size_t length, const char *file)
{
    const unsigned char *bytes = (const unsigned char *)text;
    int line = 1;
    for (size_t i = 0; i < length;) {
        size_t n = yki_utf8_character(text + i, length - i);
        int shown_line = *file ? line : 0;
        if (n == 0)
            return yki_fail_at(YOKE_INVALID, file, shown_line, "", "is not UTF-8: byte 0x%02x", bytes[i]);
        if ((bytes[i] < 32 && !strchr("\t\n\r", bytes[i])) || bytes[i] == 0 || bytes[i] == 127)
            return yki_fail_at(YOKE_INVALID, file, shown_line, "", "has a control character: byte 0x%02x",
                               bytes[i]);
        line += bytes[i] == '\n';
        i += n;
    }
    return YOKE_OK;
}

/* ---- events to tree ---- */

static yoke_status refuse(const reader *r, const char *what)
{
    return yki_fail_at(YOKE_INVALID, r->file, *r->file ? r->line : 0, "", "%s", what);
}

static yoke_status syntax_error(const reader *r)
{
    void *iterator = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(r->diag, &iterator);
    char shown[96];
    int line = e && e->line > 0 ? e->line : r->line;
    return yki_fail_at(YOKE_INVALID, r->file, *r->file ? line : 0, "", "is not valid YAML: %s",
                       e && e->msg ? yki_yaml_shown(shown, e->msg) : "cannot be read");
}

/* The text of a scalar's token into r->text. By its chunks: fy_token_get_text of libfyaml 0.7.12 leaks where
 * there are many, as escapes make them. */
static yoke_status token_text(reader *r, struct fy_token *token)
{
    const char *const bad = "has an escape that is no character of a text";
    int error = 0;
    r->text.length = 0;
    yki_text_append_bytes(&r->text, "", 0);
    struct fy_token_iter *chunks = token ? fy_token_iter_create(token) : NULL;
    if (token && !chunks) return yki_fail_memory("a YAML document");
    for (const struct fy_iter_chunk *c = NULL; chunks && (c = fy_token_iter_chunk_next(chunks, c, &error));)
        yki_text_append_bytes(&r->text, c->str, c->len);
    fy_token_iter_destroy(chunks);
    if (r->text.failed) return yki_fail_memory("a YAML document");
    for (size_t i = 0; i < r->text.length;) { /* escapes can make what the file itself must not hold */
        size_t n = yki_utf8_character(r->text.data + i, r->text.length - i);
        if (n == 0 || r->text.data[i] == '\0') return refuse(r, bad);
        i += n;
    }
    return error ? refuse(r, bad) : YOKE_OK;
}

/* Puts a node where the document stands: takes it over, on failure too. */
static yoke_status place(reader *r, yki_yaml *node)
{
    if (!node) return yki_fail_memory("a YAML document");
    if (r->depth == 0) {
        r->root = node;
        return YOKE_OK;
    }
    frame *top = &r->stack[r->depth - 1];
    char *key = top->key;
    top->key = NULL;
    if (key) node->line = top->key_line;
    return append(top->node, key, node);
}

static bool expects_key(const reader *r)
{
    const frame *top = r->depth ? &r->stack[r->depth - 1] : NULL;
    return top && top->node->kind == YKI_YAML_MAPPING && !top->key;
}

static yoke_status scalar(reader *r, struct fy_token *token)
{
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    bool quoted = style != FYSS_PLAIN;
    /* a setting needs none, and libfyaml 0.7.12 gives some that are wrongly indented with bytes it never
     * wrote */
    if (style == FYSS_LITERAL || style == FYSS_FOLDED) {
        if (r->depth && r->stack[r->depth - 1].key) r->line = r->stack[r->depth - 1].key_line;
        return refuse(r, "blocks of text (| and >) are not read: write the text in one line");
    }
    YKI_TRY(token_text(r, token));
    const char *text = r->text.data;
    size_t length = r->text.length;
    if (!expects_key(r)) {
        yki_yaml *node = yki_yaml_create(YKI_YAML_SCALAR, text, length, r->line);
        if (node) node->quoted = quoted;
        return place(r, node);
    }
    frame *top = &r->stack[r->depth - 1];
    if (!quoted && length == 2 && memcmp(text, "<<", 2) == 0)
        return refuse(r, "merge keys (<<) are not read: write the keys out");
    if (length == 0) return refuse(r, "a key is empty");
    top->key = strndup(text, length);
    top->key_line = r->line;
    return top->key ? YOKE_OK : yki_fail_memory("a YAML document");
}

static yoke_status open_collection(reader *r, yki_yaml_kind kind)
{
    if (expects_key(r)) return refuse(r, "a key must be a word, not a list or a mapping");
    if (r->depth == YKI_YAML_DEPTH) return refuse(r, "is nested too deep");
    yki_yaml *node = yki_yaml_create(kind, NULL, 0, r->line);
    YKI_TRY(place(r, node));
    r->stack[r->depth++] = (frame){.node = node};
    return YOKE_OK;
}

static int by_key(const void *a, const void *b)
{
    const yki_yaml *x = *(yki_yaml *const *)a, *y = *(yki_yaml *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static yoke_status close_mapping(reader *r)
{
    const frame *top = &r->stack[--r->depth];
    const yki_yaml *node = top->node;
    yki_yaml **sorted = malloc((size_t)(node->count + 1) * sizeof(yki_yaml *));
    if (!sorted) return yki_fail_memory("a YAML document");
    yoke_status status = YOKE_OK;
    if (node->count) memcpy(sorted, node->items, (size_t)node->count * sizeof(yki_yaml *));
    qsort(sorted, (size_t)node->count, sizeof(yki_yaml *), by_key);
    for (int i = 1; i < node->count && status == YOKE_OK; i++) {
        if (strcmp(sorted[i]->key, sorted[i - 1]->key) != 0) continue;
        char shown[96];
        status = yki_fail_at(YOKE_INVALID, r->file, *r->file ? sorted[i]->line : 0, "",
                             "key '%s' is given twice, first in line %d",
                             yki_yaml_shown(shown, sorted[i]->key), sorted[i - 1]->line);
    }
    free(sorted);
    return status;
}

static yoke_status take_event(reader *r, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark && mark->line >= 0 && event->type != FYET_STREAM_START && event->type != FYET_STREAM_END)
        r->line = mark->line + 1;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (r->in_document) return refuse(r, "holds more than one document");
        r->in_document = true;
        return YOKE_OK;
    case FYET_ALIAS:
        return refuse(r, "aliases (*name) are not read: write the value out");
    case FYET_SCALAR:
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START:
        if (fy_event_get_anchor_token(event))
            return refuse(r, "anchors (&name) are not read: write the value out");
        if (fy_event_get_tag_token(event)) return refuse(r, "tags (!name) are not read: leave it out");
        if (event->type == FYET_SCALAR) return scalar(r, fy_event_get_token(event));
        return open_collection(r, event->type == FYET_MAPPING_START ? YKI_YAML_MAPPING : YKI_YAML_SEQUENCE);
    case FYET_MAPPING_END:
        return close_mapping(r);
    case FYET_SEQUENCE_END:
        r->depth--;
        return YOKE_OK;
    case FYET_STREAM_END:
        r->done = true;
        return YOKE_OK;
    default:
        return YOKE_OK;
    }
}

static yoke_status take_events(reader *r)
{
    while (!r->done) {
        errno = 0; /* libfyaml does not tell text that it has no memory for from text that is wrong */
        struct fy_event *event = fy_parser_parse(r->parser);
        if (errno == ENOMEM) {
            if (event) fy_parser_event_free(r->parser, event);
            return yki_fail_memory("a YAML document");
        }
        if (!event) return syntax_error(r);
        yoke_status status = take_event(r, event);
        fy_parser_event_free(r->parser, event);
        YKI_TRY(status);
    }
    if (fy_diag_got_error(r->diag)) return syntax_error(r);
    if (!r->root || (yki_yaml_is_null(r->root) && !*r->root->text))
        return yki_fail_at(YOKE_INVALID, r->file, 0, "", "is empty");
    return YOKE_OK;
}

static yoke_status open_parser(reader *r, const char *text, size_t length)
{
    struct fy_diag_cfg config;
    fy_diag_cfg_default(&config);
    config.fp = NULL;
    config.colorize = false;
    r->diag = fy_diag_create(&config);
    if (!r->diag) return yki_fail_memory("a YAML parser");
    fy_diag_set_collect_errors(r->diag, true);
    /* JSON mode off: the name of a file must not change what its text means. Lists and mappings in brackets
     * may be indented as one likes, as other readers of YAML let people do. */
    const enum fy_parse_cfg_flags flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 |
                                          FYPCF_JSON_NONE | FYPCF_SLOPPY_FLOW_INDENTATION;
    const struct fy_parse_cfg parse = {.flags = flags, .diag = r->diag};
    r->parser = fy_parser_create(&parse);
    if (!r->parser || fy_parser_set_string(r->parser, text, length)) return yki_fail_memory("a YAML parser");
    return YOKE_OK;
}

yoke_status yki_yaml_parse(const char *text, size_t length, const char *file, yki_yaml **root_out)
{
    if (length > YKI_YAML_BYTES)
        return yki_fail_at(YOKE_INVALID, file, 0, "", "is longer than %d bytes", YKI_YAML_BYTES);
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* the mark some editors begin UTF-8 with */
        text += 3;
        length -= 3;
    }
    YKI_TRY(yki_yaml_check_characters(text, length, file));
    reader r = {.file = file, .line = 1};
    yoke_status status = open_parser(&r, text, length);
    if (status == YOKE_OK) status = take_events(&r);
    for (int i = 0; i < YKI_YAML_DEPTH; i++) free(r.stack[i].key);
    yki_text_release(&r.text);
    if (r.parser) fy_parser_destroy(r.parser);
    if (r.diag) fy_diag_destroy(r.diag);
    if (status != YOKE_OK) {
        yki_yaml_destroy(r.root);
        return status;
    }
    *root_out = r.root;
    return YOKE_OK;
}

yoke_status yki_yaml_read(const char *path, yki_yaml **root_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return yki_fail_errno("read", path);
    char *text = malloc(YKI_YAML_BYTES + 1);
    size_t length = 0;
    yoke_status status = text ? YOKE_OK : yki_fail_memory("a file's text");
    while (status == YOKE_OK && length <= YKI_YAML_BYTES) {
        ssize_t n = read(fd, text + length, YKI_YAML_BYTES + 1 - length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = yki_fail_errno("read", path);
        if (n <= 0) break;
        length += (size_t)n;
    }
    close(fd);
    if (status == YOKE_OK) status = yki_yaml_parse(text, length, path, root_out);
    free(text);
    return status;
}
