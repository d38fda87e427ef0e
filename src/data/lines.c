/* The lines of a file, read in pieces. */
#include "data/lines.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

/* Reads on, behind what is left. */
static yoke_status read_more(yki_lines *lines)
{
    int64_t left = lines->file->size - lines->read;
    size_t kept = lines->end - lines->begin, count = left < PIECE ? (size_t)left : PIECE;
    if (lines->begin > 0) memmove(lines->bytes, lines->bytes + lines->begin, kept);
    lines->begin = 0;
    lines->end = kept;
    if (lines->room < kept + count) {
        size_t room = 2 * kept + PIECE;
        char *bytes = realloc(lines->bytes, room);
        if (!bytes) return yki_fail_memory("a line of a file");
        lines->bytes = bytes;
        lines->room = room;
    }
    YKI_TRY(yki_file_read(lines->file, lines->read, lines->bytes + kept, (int64_t)count));
    lines->read += (int64_t)count;
    lines->end += count;
    return YOKE_OK;
}

yoke_status yki_lines_next(yki_lines *lines, const char **text_out, size_t *count_out)
{
    const char *end = NULL;
    size_t looked = 0; /* of the line: no end is there */
    *text_out = NULL;
    lines->line += lines->line < INT_MAX;
    for (;;) {
        size_t count = lines->end - lines->begin;
        end = count > looked ? memchr(lines->bytes + lines->begin + looked, '\n', count - looked) : NULL;
        if (end || lines->read == lines->file->size) break;
        if (count > YKI_LINES_MOST_BYTES)
            return yki_fail_at(YOKE_INVALID, lines->file->path, lines->line, "",
                               "is a line of more than %d MiB", YKI_LINES_MOST_BYTES >> 20);
        looked = count;
        YKI_TRY(read_more(lines));
    }
    if (!end && lines->begin == lines->end) return YOKE_OK;
    const char *text = lines->bytes + lines->begin;
    size_t count = (size_t)((end ? end : lines->bytes + lines->end) - text), mark = 0;
    lines->begin += count + (end != NULL);
    if (lines->line == 1 && count >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) mark = 3;
    *text_out = text + mark;
    *count_out = count - mark;
    return YOKE_OK;
}

void yki_lines_release(yki_lines *lines)
{
    free(lines->bytes);
    *lines = (yki_lines){0};
}
