/* Text for people. Nothing here knows of commands or of the library. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

int text_utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return s[0] != 0;
    int length = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                 : (s[0] & 0xF0) == 0xE0        ? 3
                 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                : 0;
    for (int i = 1; i < length; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    /* overlong forms, surrogates, past U+10FFFF */
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return length;
}

void text_escape_bytes(FILE *out, const char *text, size_t bytes, bool lines)
{
    const char *end = text + bytes;
    while (text < end) {
        unsigned char c = (unsigned char)*text;
        int length = c ? text_utf8_length(text) : 1;
        bool control = c < 0x20 || c == 0x7F || (c == 0xC2 && length == 2 && (unsigned char)text[1] < 0xA0);
        if (lines && (c == '\n' || c == '\t')) control = false;
        if (length == 0 || control) {
            for (int i = 0; i < (length ? length : 1); i++) fprintf(out, "\\x%02x", (unsigned char)*text++);
            continue;
        }
        fwrite(text, 1, (size_t)length, out);
        text += length;
    }
}

void text_escape(FILE *out, const char *text, bool lines)
{
    text_escape_bytes(out, text, strlen(text), lines);
}

char *text_escaped(const char *text, bool lines)
{
    char *buffer = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&buffer, &size);
    if (!out) return NULL;
    text_escape(out, text, lines);
    if (fclose(out) != 0) {
        free(buffer);
        return NULL;
    }
    return buffer;
}

int text_columns(const char *text)
{
    int columns = 0;
    for (; *text; text++) columns += ((unsigned char)*text & 0xC0) != 0x80;
    return columns;
}

char *text_size(char buffer[32], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(buffer, 32, unit == 0 ? "%.0f %s" : bytes < 10 ? "%.2f %s" : "%.1f %s", bytes, units[unit]);
    return buffer;
}

char *text_count(char buffer[32], double count)
{
    static const char units[] = {0, 'k', 'M', 'G', 'T'};
    int unit = 0;
    while (count >= 1e4 && unit < 4) {
        count /= 1e3;
        unit++;
    }
    int digits = count >= 1000 ? 0 : count >= 100 ? 1 : count >= 10 ? 2 : 3;
    if (unit > 0) digits = count >= 100 ? 0 : 1;
    snprintf(buffer, 32, "%.*f%s", digits, count, unit ? (char[]){units[unit], 0} : "");
    return buffer;
}

char *text_si(char buffer[32], double value, const char *unit)
{
    static const char *const prefixes[] = {"n", "u", "m", "", "k", "M", "G", "T", "P"};
    enum { ONE = 3, LAST = 8 };
    int at = ONE;
    for (; value >= 999.95 && at < LAST; at++) value /= 1e3;
    for (; value > 0 && value < 1 && at > 0; at--) value *= 1e3;
    snprintf(buffer, 32, "%.4g %s%s", value, prefixes[at], unit);
    return buffer;
}

char *text_duration(char buffer[32], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9))
        snprintf(buffer, 32, "?");
    else if (seconds < 9.95)
        snprintf(buffer, 32, "%.1f s", seconds);
    else if (seconds < 86400) {
        long s = (long)(seconds + .5);
        if (s < 3600)
            snprintf(buffer, 32, "%ld:%02ld", s / 60, s % 60);
        else
            snprintf(buffer, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else
        snprintf(buffer, 32, "%ld d %02ld h", (long)(seconds / 86400), (long)(seconds / 3600) % 24);
    return buffer;
}

char *text_milliseconds(char buffer[32], double ms)
{
    if (!(ms < 1e5)) return text_duration(buffer, ms * 1e-3);
    snprintf(buffer, 32, ms < 1000 ? "%.3g ms" : "%.3g s", ms < 1000 ? ms : ms * 1e-3);
    return buffer;
}

char *text_thousands(char buffer[32], int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

enum { WORD_MAX = 40 };

/* Optimal string alignment: insertions, deletions, changes and exchanges of neighbours cost 1 each. */
static int distance(const char *a, const char *b)
{
    int n = (int)strnlen(a, WORD_MAX), m = (int)strnlen(b, WORD_MAX), d[WORD_MAX + 1][WORD_MAX + 1];
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int least = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < least) least = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < least) least = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < least)
                least = d[i - 2][j - 2] + 1;
            d[i][j] = least;
        }
    return d[n][m];
}

const char *text_nearest(const char *word, const char *const *names, int count, size_t stride)
{
    const char *best = NULL;
    int least = (int)strnlen(word, WORD_MAX) / 2 + 2;
    for (int i = 0; i < count; i++) {
        const char *name = *(const char *const *)((const char *)names + stride * (size_t)i);
        int d = distance(word, name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

/* Columns of the first `length` bytes. */
static int columns_in(const char *text, int length)
{
    int columns = 0;
    for (int i = 0; i < length; i++) columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    return columns;
}

void text_wrap_with(FILE *out, const char *text, int column, int indent, int width, const char *end)
{
    int begin = column; /* of this line's text */
    while (*text) {
        int length = (int)strcspn(text, " \n"), columns = columns_in(text, length);
        if (column > begin && column + 1 + columns > width - (int)strlen(end)) {
            fprintf(out, "%s\n%*s", end, indent, "");
            column = begin = indent;
        } else if (column > begin) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, (size_t)length, out);
        column += columns;
        text += length;
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] ? indent : 0, "");
            column = begin = indent;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

void text_wrap(FILE *out, const char *text, int indent, int width)
{
    text_wrap_with(out, text, indent, indent, width, "");
}

void text_shell_word(FILE *out, const char *word)
{
    if (word[0] && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") ==
                       strlen(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) fprintf(out, *word == '\'' ? "'\\''" : "%c", *word);
    fputc('\'', out);
}
