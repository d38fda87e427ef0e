/* safetensors: tensors in one file. Format: reference of the format's own README (8 bytes of header length,
 * JSON, data). Both sides keep the same limits, so what is written here can be read here and by the format's
 * reference reader. */
#ifndef YKI_CHECKPOINT_SAFETENSORS_H
#define YKI_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

#define YKI_SAFETENSORS_HEADER_LIMIT 100000000 /* bytes of JSON */
#define YKI_SAFETENSORS_MAX_DIMS     8

typedef struct yki_safetensor {
    char *name;
    char dtype[12]; /* as the file says: F32, BF16, F16, F64, I64, ... */
    int ndim;       /* 0: one element */
    int64_t dims[YKI_SAFETENSORS_MAX_DIMS];
    int64_t elems;
    const void *data; /* in the mapped file; not aligned */
    size_t bytes;
    const char *path; /* the file it lies in: a shard's, where there are shards */
} yki_safetensor;

typedef struct yki_safetensors yki_safetensors; /* an open file, mapped, or a folder's shards as one */

/* Bits of one element of a dtype of the format; 0: no such dtype. */
int yki_safetensors_bits(const char *dtype);

/* Opens `path`: a file, or a folder with model.safetensors or model.safetensors.index.json. Everything is
 * validated before anything is allocated for it, in the order of the format's reference reader. YOKE_INVALID
 * names file and fault (a Git LFS pointer or an HTML page by name). Of shards, the tensors of the index's
 * weight_map are seen, each from the shard the map names. An open file is only read: any number of threads
 * may use it at once. The file must not be shortened while it is open. */
yoke_status yki_safetensors_open(const char *path, yki_safetensors **file_out);
void yki_safetensors_close(yki_safetensors *file);
int yki_safetensors_count(const yki_safetensors *file);
const yki_safetensor *yki_safetensors_get(const yki_safetensors *file, int i); /* sorted by name */
const yki_safetensor *yki_safetensors_find(const yki_safetensors *file, const char *name); /* NULL: none */
/* NULL: none. Of shards, the first that has the key answers. Borrowed. */
const char *yki_safetensors_metadata(const yki_safetensors *file, const char *key);

/* Elements [first, first + count) as f32 (F32, F16, BF16, F64; YOKE_INVALID for other dtypes, naming tensor
 * and dtype, and for a range outside the tensor). */
yoke_status yki_safetensors_read_f32(const yki_safetensors *file, const yki_safetensor *tensor, int64_t first,
                                     int64_t count, float *values);

/* That every element, as f32, is finite: the format allows NaN and infinity, weights to load should have
 * neither. YOKE_INVALID names tensor, element and value, or a dtype that read_f32 refuses; integers are
 * always finite. */
yoke_status yki_safetensors_check_finite(const yki_safetensors *file, const yki_safetensor *tensor);
/* The same of elements [first, first + count) alone. */
yoke_status yki_safetensors_check_finite_part(const yki_safetensors *file, const yki_safetensor *tensor,
                                              int64_t first, int64_t count);

/* Writing. The header is written first, from all declarations; then each tensor's bytes at its place, in any
 * order. The file appears under its name when it is finished, replacing one that was there; until then a file
 * of that name is left as it is. */
typedef struct yki_safetensors_writer yki_safetensors_writer;
yoke_status yki_safetensors_writer_create(const char *path, yki_safetensors_writer **writer_out);
/* YOKE_INVALID: a name twice, "__metadata__", an unknown dtype, a size that overflows. */
yoke_status yki_safetensors_declare(yki_safetensors_writer *writer, const char *name, const char *dtype,
                                    int ndim, const int64_t *dims);
/* Strings only. "format" is "pt" unless set: other tools look for it. */
yoke_status yki_safetensors_metadata_set(yki_safetensors_writer *writer, const char *key, const char *value);
/* Ends declaring: reserves the file's bytes on the disk and writes the header, padded to a multiple of 8.
 * Tensors lie in the order of the reference writer: wide dtypes first, then by name. YOKE_SYSTEM where the
 * disk is too full, with file, bytes needed and bytes free; begin every file of a save before writing to any.
 */
yoke_status yki_safetensors_begin(yki_safetensors_writer *writer);
/* `bytes` of tensor `name` from byte `offset` of it. Several threads may write at once, other tensors or
 * other parts of the same one; every other function of a writer is called by one thread alone. */
yoke_status yki_safetensors_write(yki_safetensors_writer *writer, const char *name, size_t offset,
                                  const void *data, size_t bytes);
/* For writers that see this file, but not this struct, after begin: the path under which it is written, and
 * its bytes; and the byte of it where tensor `name` begins, which from then on counts as written: they answer
 * for all of it. */
const char *yki_safetensors_unfinished(const yki_safetensors_writer *writer, size_t *bytes_out);
yoke_status yki_safetensors_hand_out(yki_safetensors_writer *writer, const char *name, size_t *place_out);
/* Flushes its bytes to the disk (fsync), closes and gives the file its name, which is on the disk when the
 * folder is flushed; the file is complete, or the status says why not (a tensor of which fewer bytes were
 * written than it has: YOKE_INVALID) and it is removed. Destroys the writer. */
yoke_status yki_safetensors_finish(yki_safetensors_writer *writer);
/* Gives up: closes and removes the unfinished file. NULL is allowed. */
void yki_safetensors_abandon(yki_safetensors_writer *writer);

#endif
