/* zlib takes one member at a time and counts in 32 bits: so in pieces, and from member to member. */
#include "data/gzip.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

static const unsigned char magic[] = {0x1F, 0x8B};

bool yki_file_is_gzip(const yki_file *file)
{
    return file->head_size >= 2 && memcmp(file->head, magic, sizeof magic) == 0;
}

yoke_status yki_gzip_begin(yki_gzip *gzip, const yki_file *file)
{
    *gzip = (yki_gzip){.file = file, .in_member = true};
    return inflateInit2(&gzip->stream, 16 + MAX_WBITS) == Z_OK /* 16: with gzip's header and checksum */
               ? YOKE_OK
               : yki_fail_memory("inflating a file");
}

void yki_gzip_end(yki_gzip *gzip)
{
    inflateEnd(&gzip->stream);
}

/* Gives the stream more, where it has nothing left. */
static yoke_status feed(yki_gzip *gzip)
{
    int64_t left = gzip->file->size - gzip->next;
    if (gzip->stream.avail_in > 0 || left == 0) return YOKE_OK;
    gzip->stream.next_in = gzip->piece;
    gzip->stream.avail_in = (uInt)(left < YKI_GZIP_PIECE ? left : YKI_GZIP_PIECE);
    YKI_TRY(yki_file_read(gzip->file, gzip->next, gzip->piece, gzip->stream.avail_in));
    gzip->next += gzip->stream.avail_in;
    return YOKE_OK;
}

/* After the end of a member: another one follows, or nothing does. */
static yoke_status next_member(yki_gzip *gzip)
{
    gzip->in_member = false;
    YKI_TRY(feed(gzip));
    if (gzip->stream.avail_in == 0) return YOKE_OK;
    if (gzip->stream.next_in[0] != magic[0])
        return yki_file_fail(gzip->file, "is too long: something follows its gzip data");
    gzip->in_member = true;
    return inflateReset(&gzip->stream) == Z_OK ? YOKE_OK : yki_fail_memory("inflating a file");
}

yoke_status yki_gzip_read(yki_gzip *gzip, unsigned char *to, int64_t wanted, int64_t *got)
{
    enum { MOST = 1 << 30 };
    z_stream *stream = &gzip->stream;
    *got = 0;
    while (*got < wanted && gzip->in_member) {
        YKI_TRY(feed(gzip));
        if (stream->avail_in == 0)
            return yki_file_fail(gzip->file, "is cut off: the end of its gzip data is missing");
        uInt room = (uInt)(wanted - *got < MOST ? wanted - *got : MOST);
        stream->next_out = to + *got;
        stream->avail_out = room;
        int result = inflate(stream, Z_NO_FLUSH);
        *got += room - stream->avail_out;
        if (result == Z_STREAM_END)
            YKI_TRY(next_member(gzip));
        else if (result == Z_MEM_ERROR)
            return yki_fail_memory("inflating a file");
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return yki_file_fail(gzip->file, "is damaged: its gzip data can't be inflated (%s)",
                                 stream->msg ? stream->msg : "corrupt");
    }
    return YOKE_OK;
}

/* Into *bytes, which grows as far as there is something to hold. */
static yoke_status load(yki_gzip *gzip, unsigned char **bytes, int64_t *size)
{
    int64_t room = 0, got;
    *size = 0;
    do {
        room = room ? 2 * room : 1 << 16;
        unsigned char *grown = realloc(*bytes, (size_t)room + 1);
        if (!grown) return yki_fail_memory("an inflated file");
        *bytes = grown;
        YKI_TRY(yki_gzip_read(gzip, *bytes + *size, room - *size, &got));
        *size += got;
    } while (*size == room);
    (*bytes)[*size] = '\0';
    return YOKE_OK;
}

yoke_status yki_gzip_load(const yki_file *file, unsigned char **bytes_out, int64_t *size_out)
{
    yki_gzip gzip;
    unsigned char *bytes = NULL;
    YKI_TRY(yki_gzip_begin(&gzip, file));
    yoke_status status = load(&gzip, &bytes, size_out);
    yki_gzip_end(&gzip);
    if (status == YOKE_OK)
        *bytes_out = bytes;
    else
        free(bytes);
    return status;
}
