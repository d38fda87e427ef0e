/* Writing much of a file once, past the system's memory of files where the file system can: that memory would
 * hold a copy that nobody reads, and making room for it costs a core more than the disk takes. What is
 * written need not lie on the borders that such writes ask for, and may lie anywhere in the file; what
 * follows what was written before it is gathered. Deliberately absent: creating files, reading. */
#ifndef YKI_BASE_STREAM_H
#define YKI_BASE_STREAM_H

#include "base/disk.h"

typedef struct yki_stream {
    const char *name; /* as people know the file; borrowed */
    size_t need;      /* bytes in all, for sentences */
    int fd;           /* to write as usual, for callers too */
    int direct;       /* past the system's memory; -1: the file system has no such writes */
    char *block; /* gathered of the file: bytes from `from` until `end`, of those that begin at `start` */
    size_t start, from, end;
} yki_stream;

/* Opens a file that is there. YOKE_INVALID, YOKE_SYSTEM: nothing to close. */
yoke_status yki_stream_open(yki_stream *stream, const char *path, const char *name, size_t need);
/* Errors are those of yki_disk_write, here or later. */
yoke_status yki_stream_write(yki_stream *stream, const void *data, size_t bytes, size_t offset);
/* All of it to the disk itself. */
yoke_status yki_stream_flush(yki_stream *stream);
/* What was not flushed may be missing. */
void yki_stream_close(yki_stream *stream);

#endif
