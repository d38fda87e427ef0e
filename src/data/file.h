/* A file of samples, open to read at any place. Invariants of an open one: a regular file that had at least
 * one byte.
 *
 * Files are read, not mapped: one that another program cuts short while a dataset uses it is a status with a
 * sentence here, where a map would raise a signal, which the library does not own. Those of up to
 * YKI_FILE_HELD bytes are read once, when they are opened, since a call to the system for every sample is
 * dear where steps are short. The size is taken then, and every check is made against it; what is appended
 * later is not looked at. A file that is replaced by renaming stays the old one. */
#ifndef YKI_DATA_FILE_H
#define YKI_DATA_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"

enum { YKI_FILE_HEAD = 512, YKI_FILE_HELD = 64 << 20 };

typedef struct yki_file {
    char *path;              /* a copy, for messages */
    int descriptor;          /* of an open file, which has a path; -1: shut */
    uint64_t device, number; /* which file it is */
    int64_t size;
    int head_size; /* the first bytes: what kind of file it is */
    unsigned char head[YKI_FILE_HEAD];
    unsigned char *held; /* all of it, where it is not large and was asked for; else NULL */
} yki_file;

/* YOKE_INVALID for a file that is missing, unreadable, empty, or no regular file (never blocks on a FIFO);
 * YOKE_SYSTEM where the system refuses. On failure nothing is held. Released by yki_file_release, which
 * accepts a zeroed file. */
yoke_status yki_file_open(yki_file *file, const char *path);
void yki_file_release(yki_file *file);

/* Bytes [offset, offset + bytes), which the file had when it was opened. YOKE_INVALID where it has been cut
 * short since; YOKE_SYSTEM where the disk fails. */
yoke_status yki_file_read(const yki_file *file, int64_t offset, void *to, int64_t bytes);
/* Closes it, and opens it for each read from then on: of many files only some can be open. One that was
 * replaced by then is YOKE_INVALID. */
void yki_file_shut(yki_file *file);
/* Holds a file that is not large in memory: it is read there from then on. */
yoke_status yki_file_hold(yki_file *file);
/* YOKE_INVALID: the file is shorter than when it was opened. */
yoke_status yki_file_look(const yki_file *file);
/* All of it, with a '\0' after the last byte; the caller frees *bytes_out. */
yoke_status yki_file_load(const yki_file *file, unsigned char **bytes_out);

/* YOKE_INVALID naming the file. */
yoke_status yki_file_fail(const yki_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a file that isn't of the kind it should be: where its first bytes are those of another kind (a
 * Git LFS pointer, HTML, gzip, zip, npy, ...) the message ends by saying so. */
yoke_status yki_file_fail_kind(const yki_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the first bytes say the file is, as a phrase for messages; NULL if nothing known. `surely`: only kinds
 * whose first bytes are too long to be there by chance in a file of bare numbers. Static storage. */
const char *yki_file_is(const yki_file *file, bool surely);

/* What a file that is read as text rather is: JSON lines, a table, something packed or binary, UTF-16. NULL:
 * text, or nothing known. */
const char *yki_file_is_no_text(const yki_file *file);

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
