/* Strict JSON from files, and text made safe to show. */
#include "base/json_file.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/text.h"

const char *yki_file_kind(const void *bytes, size_t count)
{
    static const struct {
        const char *start;
        bool text; /* spaces before it and the case of its letters do not matter */
        const char *kind;
    } kinds[] = {
        {"version https://git-lfs", false,
         "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"},
        {"<!doctype html", true,
         "an HTML page, not the file itself: the download was answered with a web page"},
        {"<html", true, "an HTML page, not the file itself: the download was answered with a web page"},
        {"<?xml", true, "an XML page, not the file itself: the download was answered with an error"},
        {"PK\003\004", false, "a zip archive, perhaps PyTorch's: convert it to safetensors"},
        {"\200\002", false, "a Python pickle, perhaps PyTorch's: convert it to safetensors"},
        {"GGUF", false, "a GGUF file: convert it to safetensors"},
        {"\037\213", false, "a gzip archive: unpack it"},
    };
    const char *at = bytes;
    size_t blank = 0;
    while (blank < count && strchr(" \t\r\n", at[blank]) && at[blank]) blank++;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].start), skip = kinds[i].text ? blank : 0;
        if (count - skip < length) continue;
        if (kinds[i].text ? strncasecmp(at + skip, kinds[i].start, length) == 0
                          : memcmp(at, kinds[i].start, length) == 0)
            return kinds[i].kind;
    }
    return NULL;
}

/* Whether the text makes more values and keys than YKI_JSON_MOST_VALUES: a tree takes some hundred bytes for
 * each, so that "[[],[],..." would take thirty times its own length. */
static bool has_too_many(const char *bytes, size_t count)
{
    size_t values = 0;
    bool quoted = false;
    for (size_t i = 0; i < count; i++) {
        char c = bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else
            values += !quoted && (c == ',' || c == ':' || c == '[' || c == '{');
    }
    return values > YKI_JSON_MOST_VALUES;
}

/* jansson 2.14 drops characters that it has no memory for, and goes on, reading as writing; a text that lost
 * its end is read past it. So what it takes is watched, around whatever functions the program has it take
 * memory by: parsing is left at once, and gives back what it had; what was written is thrown away. */
typedef struct parse {
    jmp_buf escape;
    void **taken;
    size_t count, room;
    bool starved;
} parse;

static json_malloc_t taking;
static json_free_t giving;
static _Thread_local bool out_of_memory;
static _Thread_local parse *parsing;
static pthread_once_t watching = PTHREAD_ONCE_INIT;

static bool note(parse *p, void *taken)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        void **grown = realloc(p->taken, room * sizeof *grown);
        if (!grown) return false;
        p->taken = grown;
        p->room = room;
    }
    p->taken[p->count++] = taken;
    return true;
}

static void *take(size_t bytes)
{
    void *taken = taking(bytes);
    if (parsing && taken && !note(parsing, taken)) {
        giving(taken);
        taken = NULL;
    }
    if (parsing && !taken) {
        parsing->starved = true;
        longjmp(parsing->escape, 1);
    }
    out_of_memory |= !taken;
    return taken;
}

static void give(void *taken)
{
    size_t i = parsing && taken ? parsing->count : 0;
    while (i > 0 && parsing->taken[i - 1] != taken) i--; /* most is given back soon */
    if (i > 0) parsing->taken[i - 1] = parsing->taken[--parsing->count];
    giving(taken);
}

static void watch(void)
{
    json_get_alloc_funcs(&taking, &giving);
    json_set_alloc_funcs(take, give);
}

char *yki_json_dump(const json_t *value, size_t flags)
{
    pthread_once(&watching, watch);
    out_of_memory = false;
    char *text = json_dumps(value, flags);
    if (!out_of_memory) return text;
    free(text);
    return NULL;
}

static void print_line(yki_text *text, int depth)
{
    yki_text_append(text, "\n%*s", 2 * depth, "");
}

static void print_pretty(yki_text *text, const json_t *value, int depth)
{
    char real[32];
    if (json_is_real(value)) {
        yki_text_append(text, "%s", yki_json_real(real, json_real_value(value)));
    } else if (json_array_size(value) > 0) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            yki_text_append(text, i ? "," : "[");
            print_line(text, depth + 1);
            print_pretty(text, json_array_get(value, i), depth + 1);
        }
        print_line(text, depth);
        yki_text_append(text, "]");
    } else if (json_object_size(value) > 0) {
        const char *key, *comma = "{";
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            json_t *name_of = json_string(key);
            char *name = name_of ? yki_json_dump(name_of, JSON_ENCODE_ANY) : NULL;
            json_decref(name_of);
            yki_text_append(text, "%s", comma);
            print_line(text, depth + 1);
            yki_text_append(text, "%s: ", name ? name : "");
            text->failed |= !name;
            free(name);
            print_pretty(text, member, depth + 1);
            comma = ",";
        }
        print_line(text, depth);
        yki_text_append(text, "}");
    } else {
        char *plain = yki_json_dump(value, JSON_ENCODE_ANY);
        yki_text_append(text, "%s", plain ? plain : "");
        text->failed |= !plain;
        free(plain);
    }
}

char *yki_json_pretty(const json_t *value)
{
    yki_text text = {0};
    print_pretty(&text, value, 0);
    return yki_text_take(&text);
}

static json_t *parse_watched(parse *p, const char *bytes, size_t count, size_t flags, json_error_t *error)
{
    if (setjmp(p->escape) != 0) return NULL;
    parsing = p;
    return json_loadb(bytes, count, JSON_REJECT_DUPLICATES | flags, error);
}

/* NULL, and *starved: memory was out. */
static json_t *load(const char *bytes, size_t count, size_t flags, json_error_t *error, bool *starved)
{
    parse p = {.count = 0};
    pthread_once(&watching, watch);
    json_t *value = parse_watched(&p, bytes, count, flags, error);
    parsing = NULL;
    *starved = p.starved;
    for (size_t i = 0; i < p.count && p.starved; i++) giving(p.taken[i]);
    free(p.taken);
    return value;
}

yoke_status yki_json_parse(const char *path, const char *what, const char *bytes, size_t count,
                           json_t **object_out)
{
    char quoted[YKI_QUOTE_BYTES];
    const char *of = *what ? "its " : "", *gap = *what ? " " : "";
    size_t valid = yki_utf8_prefix(bytes, count);
    if (valid < count)
        return yki_fail_at(YOKE_INVALID, path, 0, "", "%s%s%sis not UTF-8: byte 0x%02x at offset %zu", of,
                           what, gap, (unsigned char)bytes[valid], valid);
    const char *end = memchr(bytes, '\0', count);
    if (end)
        return yki_fail_at(YOKE_INVALID, path, 0, "", "%s%s%shas a byte of zero at offset %zu", of, what, gap,
                           (size_t)(end - bytes));
    if (has_too_many(bytes, count))
        return yki_fail_at(YOKE_INVALID, path, 0, "", "%s%s%shas more than %d values", of, what, gap,
                           YKI_JSON_MOST_VALUES);
    json_error_t error;
    bool starved;
    json_t *value = load(bytes, count, 0, &error, &starved);
    if (starved) return yki_fail_memory("JSON");
    if (!value)
        return yki_fail_at(YOKE_INVALID, path, *what ? 0 : error.line, "",
                           "%s%s%sis not valid JSON at byte %d: %s", of, what, gap, error.position,
                           yki_quote(quoted, error.text));
    if (!json_is_object(value)) {
        json_decref(value);
        return yki_fail_at(YOKE_INVALID, path, 0, "", "%s%s%sis not a JSON object", of, what, gap);
    }
    *object_out = value;
    return YOKE_OK;
}

yoke_status yki_json_parse_line(const char *path, int line, const char *bytes, size_t count,
                                json_t **object_out)
{
    char quoted[YKI_QUOTE_BYTES];
    size_t valid = yki_utf8_prefix(bytes, count);
    if (valid < count)
        return yki_fail_at(YOKE_INVALID, path, line, "", "is not UTF-8: byte 0x%02x at column %zu",
                           (unsigned char)bytes[valid], valid + 1);
    if (has_too_many(bytes, count))
        return yki_fail_at(YOKE_INVALID, path, line, "", "has more than %d values in one line",
                           YKI_JSON_MOST_VALUES);
    json_error_t error;
    bool starved;
    json_t *value =
        load(bytes, count, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &error, &starved);
    if (starved) return yki_fail_memory("JSON");
    if (!value)
        return yki_fail_at(YOKE_INVALID, path, line, "", "is not valid JSON at column %d: %s", error.position,
                           yki_quote(quoted, error.text));
    if (!json_is_object(value)) {
        json_decref(value);
        return yki_fail_at(YOKE_INVALID, path, line, "", "is not a JSON object, like {\"text\": \"...\"}");
    }
    *object_out = value;
    return YOKE_OK;
}

yoke_status yki_json_load(const char *path, json_t **object_out)
{
    char *bytes = NULL;
    size_t count = 0;
    YKI_TRY(yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &bytes, &count));
    const char *kind = yki_file_kind(bytes, count);
    yoke_status status = kind ? yki_fail_at(YOKE_INVALID, path, 0, "", "is %s", kind)
                              : yki_json_parse(path, "", bytes, count, object_out);
    free(bytes);
    return status;
}

char *yki_json_string(char *buffer, size_t size, const char *text)
{
    size_t at = 0, left = strlen(text);
    buffer[at++] = '"';
    while (left > 0) {
        char escaped[8];
        size_t bytes = yki_utf8_character(text, left), length = bytes;
        const char *put = text;
        if (bytes == 0) {
            put = "?";
            bytes = length = 1;
        } else if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') {
            length = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *text);
            put = escaped;
        }
        if (at + length + 2 > size) break;
        memcpy(buffer + at, put, length);
        at += length;
        text += bytes;
        left -= bytes;
    }
    memcpy(buffer + at, "\"", 2);
    return buffer;
}

char *yki_json_real(char buffer[32], double value)
{
    if (!isfinite(value)) {
        strcpy(buffer, "null");
        return buffer;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buffer, 32, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) break;
    }
    bool real = false;
    for (char *at = buffer; *at; at++) {
        if (!strchr("0123456789+-e", *at)) *at = '.'; /* a locale may print a comma */
        real |= *at == '.' || *at == 'e';
    }
    if (!real) strcat(buffer, ".0");
    return buffer;
}
