/* The JSON writer. Invariant: depth objects and arrays are open, and ends[depth - 1] closes the innermost. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { DEPTH_MAX = 16 };

struct json {
    FILE *stream; /* NULL: closed */
    char *buffer;
    size_t size;
    int depth;
    char ends[DEPTH_MAX];
    bool empty; /* nothing yet in the innermost object or array */
    bool failed;
};

json *out_create(void)
{
    json *document = calloc(1, sizeof *document);
    if (!document) return NULL;
    document->stream = open_memstream(&document->buffer, &document->size);
    document->empty = true;
    if (!document->stream) {
        free(document);
        return NULL;
    }
    return document;
}

void out_destroy(json *document)
{
    if (!document) return;
    if (document->stream) fclose(document->stream);
    free(document->buffer);
    free(document);
}

static void put_escaped(FILE *out, const char *text, size_t bytes)
{
    fputc('"', out);
    for (const char *end = text + bytes; text < end;) {
        unsigned char c = (unsigned char)*text;
        int length = c ? text_utf8_length(text) : 1;
        if (length == 0)
            fprintf(out, "\\\\x%02x", c);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20 || c == 0x7F)
            fprintf(out, "\\u%04x", c);
        else
            fwrite(text, 1, (size_t)length, out);
        text += length ? length : 1;
    }
    fputc('"', out);
}

void json_text(FILE *out, const char *text)
{
    put_escaped(out, text, strlen(text));
}

/* The comma, line and key before a value. Lines are broken down to the third level, which reads well and
 * stays small. */
static FILE *value(json *document, const char *key)
{
    FILE *out = document->stream;
    if (document->depth > 0) {
        if (!document->empty) fputc(',', out);
        if (document->depth <= 2)
            fprintf(out, "\n%*s", 2 * document->depth, "");
        else if (!document->empty)
            fputc(' ', out);
    }
    document->empty = false;
    if (key) {
        json_text(out, key);
        fputs(": ", out);
    }
    return out;
}

static void begin(json *document, const char *key, char open, char close)
{
    fputc(open, value(document, key));
    if (document->depth == DEPTH_MAX) {
        document->failed = true;
        return;
    }
    document->ends[document->depth++] = close;
    document->empty = true;
}

static void end(json *document)
{
    if (document->depth == 0) return;
    document->depth--;
    if (!document->empty && document->depth < 2) fprintf(document->stream, "\n%*s", 2 * document->depth, "");
    fputc(document->ends[document->depth], document->stream);
    document->empty = false;
}

void put_begin_object(json *document, const char *key)
{
    begin(document, key, '{', '}');
}
void put_end_object(json *document)
{
    end(document);
}
void put_begin_array(json *document, const char *key)
{
    begin(document, key, '[', ']');
}
void put_end_array(json *document)
{
    end(document);
}
void put_end_inner(json *document)
{
    while (document->depth > 1) end(document);
}

void put_text(json *document, const char *key, const char *text, size_t bytes)
{
    put_escaped(value(document, key), text, bytes);
}

void put_string(json *document, const char *key, const char *text)
{
    if (text)
        json_text(value(document, key), text);
    else
        put_null(document, key);
}

void put_integer(json *document, const char *key, int64_t number)
{
    fprintf(value(document, key), "%lld", (long long)number);
}

void put_unsigned(json *document, const char *key, uint64_t number)
{
    fprintf(value(document, key), "%llu", (unsigned long long)number);
}

void put_number(json *document, const char *key, double number)
{
    char digits[40];
    if (!isfinite(number)) {
        put_null(document, key);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    fputs(digits, value(document, key));
}

void put_boolean(json *document, const char *key, bool truth)
{
    fputs(truth ? "true" : "false", value(document, key));
}
void put_null(json *document, const char *key)
{
    fputs("null", value(document, key));
}

const char *out_text(json *document)
{
    if (document->stream) {
        while (document->depth > 0) end(document);
        fputc('\n', document->stream);
        bool failed = ferror(document->stream) != 0;
        document->failed |= (fclose(document->stream) != 0) | failed;
        document->stream = NULL;
    }
    return document->failed ? NULL : document->buffer;
}
