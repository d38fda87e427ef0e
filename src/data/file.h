/* A file of samples, mapped read-only. Invariants of an open map: a regular file of at least one byte.
 *
 * The size is taken once, when the file is opened, and every check is made against it. A file that another
 * program truncates while it is mapped makes the kernel raise SIGBUS at the next access past its new end,
 * which ends the process: the library owns no signals, so it can't turn that into a status. Replace files by
 * renaming; a map keeps the old one. */
#ifndef YKI_DATA_FILE_H
#define YKI_DATA_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

typedef struct yki_map {
    char *path; /* a copy, for messages */
    const unsigned char *bytes;
    int64_t size;
} yki_map;

/* YOKE_INVALID for a file that is missing, unreadable, empty, or no regular file (never blocks on a FIFO);
 * YOKE_SYSTEM where the system refuses. On failure the map is empty. Released by yki_map_release, which
 * accepts a zeroed map. */
yoke_status yki_map_open(yki_map *map, const char *path);
void yki_map_release(yki_map *map);

/* YOKE_INVALID naming the file. */
yoke_status yki_map_fail(const yki_map *map, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a file that isn't of the kind it should be: where its first bytes are those of another kind (a
 * Git LFS pointer, HTML, gzip, zip, npy, ...) the message ends by saying so. */
yoke_status yki_map_fail_kind(const yki_map *map, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the first bytes say the file is, as a phrase for messages; NULL if nothing known. `surely`: only kinds
 * whose first bytes are too long to be there by chance in a file of bare numbers. Static storage. */
const char *yki_map_kind(const yki_map *map, bool surely);

/* Numbers at any address, of the byte order in the name. */
static inline uint32_t yki_le16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static inline uint32_t yki_le32(const unsigned char *p)
{
    return yki_le16(p) | yki_le16(p + 2) << 16;
}
static inline uint64_t yki_le64(const unsigned char *p)
{
    return yki_le32(p) | (uint64_t)yki_le32(p + 4) << 32;
}
static inline uint32_t yki_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
