/* Unicode's normal forms, by utf8proc: its tables, its decomposition and composition. Only stretches that a
 * form can change are looked at, and their marks are put in order here: utf8proc does that by moving one mark
 * at a time, which a text of nothing but marks would make take forever. */
#include "data/tokenizer/tokenizer.h"

#if YOKE_HAVE_UTF8PROC
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/fail.h"

enum { FEW = 16, ROOM = 64, CLASSES = 256 }; /* ROOM: more than any character's decomposition */

typedef struct points {
    utf8proc_int32_t *codes, *sorted;
    size_t count, capacity, sorted_capacity;
} points;

static bool grow(utf8proc_int32_t **codes, size_t *capacity, size_t needed)
{
    if (needed <= *capacity) return true;
    size_t more = needed + needed / 2;
    utf8proc_int32_t *grown = more < SIZE_MAX / sizeof *grown ? realloc(*codes, more * sizeof *grown) : NULL;
    if (!grown) return false;
    *codes = grown;
    *capacity = more;
    return true;
}

static bool decompose(points *p, const char *text, size_t count, int options)
{
    p->count = 0;
    for (size_t at = 0; at < count;) {
        utf8proc_int32_t code;
        int boundary = 0;
        if (!grow(&p->codes, &p->capacity, p->count + ROOM)) return false;
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(count - at),
                                       &code);
        p->count += (size_t)utf8proc_decompose_char(code, p->codes + p->count,
                                                    (utf8proc_ssize_t)(p->capacity - p->count),
                                                    (utf8proc_option_t)options, &boundary);
    }
    return true;
}

static inline int class_of(utf8proc_int32_t code)
{
    return code < 0x300 ? 0 : utf8proc_get_property(code)->combining_class;
}

/* Sorts marks codes[0..count) by their classes; those of one class stay in order. */
static bool sort_marks(points *p, utf8proc_int32_t *codes, size_t count)
{
    if (count <= FEW) {
        for (size_t i = 1; i < count; i++) {
            utf8proc_int32_t code = codes[i];
            size_t at = i;
            for (; at > 0 && class_of(codes[at - 1]) > class_of(code); at--) codes[at] = codes[at - 1];
            codes[at] = code;
        }
        return true;
    }
    size_t places[CLASSES + 1] = {0};
    if (!grow(&p->sorted, &p->sorted_capacity, count)) return false;
    for (size_t i = 0; i < count; i++) places[class_of(codes[i]) + 1]++;
    for (int c = 0; c < CLASSES; c++) places[c + 1] += places[c];
    for (size_t i = 0; i < count; i++) p->sorted[places[class_of(codes[i])]++] = codes[i];
    memcpy(codes, p->sorted, count * sizeof *codes);
    return true;
}

static bool order(points *p)
{
    for (size_t at = 0, end; at < p->count; at = end) {
        end = at + 1;
        if (class_of(p->codes[at]) == 0) continue;
        while (end < p->count && class_of(p->codes[end]) > 0) end++;
        if (end - at > 1 && !sort_marks(p, p->codes + at, end - at)) return false;
    }
    return true;
}

static void append(yki_text *out, const utf8proc_int32_t *codes, size_t count)
{
    char bytes[256 + 4];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)utf8proc_encode_char(codes[i], (utf8proc_uint8_t *)bytes + used);
        if (used < 256) continue;
        yki_text_append_bytes(out, bytes, used);
        used = 0;
    }
    yki_text_append_bytes(out, bytes, used);
}

static bool rewrite(points *p, const char *text, size_t count, int options, yki_text *out)
{
    if (!decompose(p, text, count, options) || !order(p)) return false;
    size_t left = p->count;
    if ((options & UTF8PROC_COMPOSE) && left > 0)
        left = (size_t)utf8proc_normalize_utf32(p->codes, (utf8proc_ssize_t)left,
                                                (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    append(out, p->codes, left);
    return true;
}

static size_t back(const char *text, size_t at)
{
    while (at > 0 && (text[--at] & 0xc0) == 0x80) {}
    return at;
}

/* part->mode: utf8proc's options; part->start: a form leaves bytes below it as they are, but for the last
 * before one that is not below. */
static yoke_status normal_form(const yoke_tokenizer *t, const yki_tokenizer_part *part, yki_encoder *e,
                               yki_tokenizer_text piece, yki_text *out)
{
    (void)t, (void)e;
    const unsigned char *bytes = (const unsigned char *)piece.text;
    points p = {0};
    bool good = true;
    for (size_t at = 0; at < piece.count && good;) {
        size_t odd = at, end;
        while (odd < piece.count && (bytes[odd] < part->start || (bytes[odd] & 0xc0) == 0x80)) odd++;
        for (end = odd; end < piece.count && (bytes[end] >= part->start || (bytes[end] & 0xc0) == 0x80);
             end++) {}
        size_t begin = odd > at && odd < piece.count ? back(piece.text, odd) : odd;
        yki_text_append_bytes(out, piece.text + at, begin - at);
        if (end > begin) good = rewrite(&p, piece.text + begin, end - begin, part->mode, out);
        at = end;
    }
    free(p.codes);
    free(p.sorted);
    return good ? YOKE_OK : yki_fail_memory("a text");
}

static yoke_status load_form(yoke_tokenizer *t, const char *key, int options, int start)
{
    yki_tokenizer_part *made;
    YKI_TRY(yki_part_add(t, &t->normalizers, key, &made));
    made->normalize = normal_form;
    made->mode = options;
    made->start = start;
    return YOKE_OK;
}

/* 0xcc begins U+0300, the first that composing changes; 0xc2 U+0080, the first that decomposes. */
#define FORM(name, NAME, options, start)                                                                     \
    yoke_status yki_load_##name(yoke_tokenizer *t, const json_t *part, const char *key)                      \
    {                                                                                                        \
        (void)part;                                                                                          \
        return load_form(t, key, options, start);                                                            \
    }
#else
#define FORM(name, NAME, options, start)                                                                     \
    yoke_status yki_load_##name(yoke_tokenizer *t, const json_t *part, const char *key)                      \
    {                                                                                                        \
        (void)part;                                                                                          \
        return yki_tokenizer_fail(t, key,                                                                    \
                                  "is of type '" NAME "', and this yoke was built without utf8proc, "        \
                                  "which has Unicode's normal forms");                                       \
    }
#endif

FORM(nfc, "NFC", UTF8PROC_COMPOSE | UTF8PROC_STABLE, 0xcc)
FORM(nfd, "NFD", UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, 0xc2)
FORM(nfkc, "NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, 0xc2)
FORM(nfkd, "NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, 0xc2)
