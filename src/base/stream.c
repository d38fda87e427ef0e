/* Files written once, past the system's memory of them. */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"

#ifndef O_DIRECT
#define O_DIRECT 0
#endif

enum {
    BORDER = 4096, /* no disk of today asks for more; one that does refuses, and is written to as usual */
    BLOCK = 1 << 20
};

yoke_status yki_stream_open(yki_stream *stream, const char *path, const char *name, size_t need)
{
    *stream = (yki_stream){.name = name, .need = need, .fd = -1, .direct = -1};
    YKI_TRY(yki_disk_open_to_write(path, name, &stream->fd));
    if (O_DIRECT != 0) stream->direct = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
    if (stream->direct < 0) return YOKE_OK;
    stream->block = aligned_alloc(BORDER, BLOCK);
    if (stream->block) return YOKE_OK;
    yki_stream_close(stream);
    return yki_fail_memory("writing a file");
}

void yki_stream_close(yki_stream *stream)
{
    if (stream->fd >= 0) close(stream->fd);
    if (stream->direct >= 0) close(stream->direct);
    free(stream->block);
    stream->block = NULL;
    stream->fd = stream->direct = -1;
}

/* Bytes of the block, as usual. */
static yoke_status write_part(const yki_stream *stream, size_t from, size_t end)
{
    return yki_disk_write(stream->fd, stream->name, stream->block + from, end - from, stream->start + from,
                          stream->need);
}

/* Whole pages of it, past the system's memory. */
static yoke_status write_pages(yki_stream *stream, size_t from, size_t end)
{
    ssize_t done = pwrite(stream->direct, stream->block + from, end - from, (off_t)(stream->start + from));
    if (done == (ssize_t)(end - from)) return YOKE_OK;
    if (done < 0 && errno == EINVAL) { /* it can be opened so, and no more */
        close(stream->direct);
        stream->direct = -1;
    }
    return write_part(stream, from + (done > 0 ? (size_t)done : 0), end); /* or its sentence */
}

static yoke_status drain(yki_stream *stream)
{
    size_t from = stream->from, end = stream->end, first = (from + BORDER - 1) / BORDER * BORDER,
           last = end / BORDER * BORDER;
    stream->from = stream->end = 0;
    if (from == end) return YOKE_OK;
    if (first >= last) return write_part(stream, from, end);
    YKI_TRY(write_part(stream, from, first));
    YKI_TRY(write_pages(stream, first, last));
    return write_part(stream, last, end);
}

yoke_status yki_stream_write(yki_stream *stream, const void *data, size_t bytes, size_t offset)
{
    const char *at = data;
    if (stream->end > 0 && offset != stream->start + stream->end) YKI_TRY(drain(stream));
    while (bytes > 0 && stream->direct >= 0) {
        if (stream->end == 0) {
            stream->from = stream->end = offset % BORDER;
            stream->start = offset - stream->from;
        }
        size_t part = bytes < BLOCK - stream->end ? bytes : BLOCK - stream->end;
        memcpy(stream->block + stream->end, at, part);
        stream->end += part;
        at += part;
        offset += part;
        bytes -= part;
        if (stream->end == BLOCK) YKI_TRY(drain(stream));
    }
    return bytes > 0 ? yki_disk_write(stream->fd, stream->name, at, bytes, offset, stream->need) : YOKE_OK;
}

yoke_status yki_stream_flush(yki_stream *stream)
{
    YKI_TRY(drain(stream));
    return yki_disk_flush(stream->fd, stream->name, stream->need);
}
