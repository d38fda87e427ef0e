/* The lines of a file, one after the other, of which one at a time is in memory. */
#ifndef YKI_DATA_LINES_H
#define YKI_DATA_LINES_H

#include "data/file.h"

enum { YKI_LINES_MOST_BYTES = 64 << 20 };

/* Zeroed but for its file: at the first line. */
typedef struct yki_lines {
    const yki_file *file;
    int64_t read; /* bytes of the file that were */
    char *bytes;
    size_t begin, end, room; /* those that are left of them are bytes[begin .. end) */
    int line;                /* the last one's number, from 1; INT_MAX stays so */
} yki_lines;

/* The next line without its end ("\n"), borrowed until the next call; *text_out NULL: there is none. A byte
 * order mark before the first is left out. YOKE_INVALID, with file and line: it is longer than
 * YKI_LINES_MOST_BYTES. */
yoke_status yki_lines_next(yki_lines *lines, const char **text_out, size_t *count_out);
void yki_lines_release(yki_lines *lines);

#endif
