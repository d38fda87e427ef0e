/* Files compressed by gzip (RFC 1952), of one member or several (as bgzip, pigz and `cat a.gz b.gz` make
 * them), inflated from the beginning. */
#ifndef YKI_DATA_GZIP_H
#define YKI_DATA_GZIP_H

#include <stdbool.h>
#include <zlib.h>

#include "data/file.h"

enum { YKI_GZIP_PIECE = 1 << 14 };

/* A file on its way through zlib. */
typedef struct yki_gzip {
    const yki_file *file; /* borrowed */
    z_stream stream;
    int64_t next;   /* of the file's bytes: the first that the stream hasn't been given */
    bool in_member; /* its end, with the checksum, is still to come */
    unsigned char piece[YKI_GZIP_PIECE];
} yki_gzip;

bool yki_file_is_gzip(const yki_file *file);

/* Ended by yki_gzip_end. */
yoke_status yki_gzip_begin(yki_gzip *gzip, const yki_file *file);
void yki_gzip_end(yki_gzip *gzip);

/* Fills to[0..wanted) as far as the data go; *got says how far. YOKE_INVALID: they are damaged, cut off, or
 * something that is none follows them. */
yoke_status yki_gzip_read(yki_gzip *gzip, unsigned char *to, int64_t wanted, int64_t *got);

/* All of it, with a zero byte after it. Owns: the caller, with free(). */
yoke_status yki_gzip_load(const yki_file *file, unsigned char **bytes_out, int64_t *size_out);

#endif
