/* Strings: a growing buffer, sizes for people, characters, the nearest known word. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(yki_text *text, size_t more)
{
    if (text->failed) return false;
    if (text->length + more + 1 <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < text->length + more + 1) capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void yki_text_append_bytes(yki_text *text, const char *bytes, size_t count)
{
    if (!reserve(text, count)) return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = '\0';
}

void yki_text_append(yki_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (count >= 0 && reserve(text, (size_t)count)) {
        vsnprintf(text->data + text->length, (size_t)count + 1, format, again);
        text->length += (size_t)count;
    }
    va_end(again);
}

char *yki_text_take(yki_text *text)
{
    if (!text->data) yki_text_append_bytes(text, "", 0);
    char *data = text->failed ? NULL : text->data;
    if (text->failed) free(text->data);
    *text = (yki_text){0};
    return data;
}

void yki_text_release(yki_text *text)
{
    free(text->data);
    *text = (yki_text){0};
}

char *yki_size_print(char buffer[24], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(buffer, 24, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
    return buffer;
}

/* --- characters --- */

/* Ranges by Unicode's table 3-7. */
size_t yki_utf8_character(const char *text, size_t count)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (bytes[0] < 0x80) return 1;
    size_t length = bytes[0] >= 0xc2 && bytes[0] <= 0xdf   ? 2
                    : bytes[0] >= 0xe0 && bytes[0] <= 0xef ? 3
                    : bytes[0] >= 0xf0 && bytes[0] <= 0xf4 ? 4
                                                           : 0;
    if (length == 0 || length > count) return 0;
    unsigned char least = bytes[0] == 0xe0 ? 0xa0 : bytes[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = bytes[0] == 0xed ? 0x9f : bytes[0] == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < least || bytes[1] > most) return 0;
    for (size_t i = 2; i < length; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf) return 0;
    return length;
}

/* The character that can be shown as it is; 0: none, or a control character. */
static size_t shown(const char *text, size_t count)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = yki_utf8_character(text, count);
    bool control =
        bytes[0] < 0x20 || bytes[0] == 0x7f || (length == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0);
    return control ? 0 : length;
}

size_t yki_utf8_prefix(const char *bytes, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t length = yki_utf8_character(bytes + at, count - at);
        if (length == 0) break;
        at += length;
    }
    return at;
}

size_t yki_plain(char *out, size_t size, const char *text)
{
    size_t count = strlen(text), at = 0, n = 0;
    while (at < count) {
        size_t length = shown(text + at, count - at);
        if (n + (length > 0 ? length : 4) >= size) break;
        if (length > 0)
            memcpy(out + n, text + at, length);
        else
            snprintf(out + n, 5, "\\x%02x", (unsigned char)text[at]);
        n += length > 0 ? length : 4;
        at += length > 0 ? length : 1;
    }
    out[n] = '\0';
    return at;
}

char *yki_quote(char buffer[YKI_QUOTE_BYTES], const char *text)
{
    buffer[0] = '\'';
    size_t taken = yki_plain(buffer + 1, YKI_QUOTE_BYTES - 6, text);
    strcat(buffer, text[taken] ? "...'" : "'");
    return buffer;
}

/* --- the nearest word --- */

static int edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 48 };
    int previous[LONGEST + 1], current[LONGEST + 1];
    int la = (int)strlen(a), lb = (int)strlen(b);
    if (la > LONGEST || lb > LONGEST) return LONGEST;
    for (int j = 0; j <= lb; j++) previous[j] = j;
    for (int i = 1; i <= la; i++) {
        current[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = previous[j - 1] + (a[i - 1] != b[j - 1]);
            if (previous[j] + 1 < best) best = previous[j] + 1;
            if (current[j - 1] + 1 < best) best = current[j - 1] + 1;
            current[j] = best;
        }
        memcpy(previous, current, sizeof previous);
    }
    return previous[lb];
}

const char *yki_nearest(const char *word, const char *const *names, int count)
{
    const char *nearest = NULL;
    int best = ((int)strlen(word) + 1) / 2;
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(word, names[i]);
        if (distance <= best) {
            best = distance - 1;
            nearest = names[i];
        }
    }
    return nearest;
}
