/* safetensors: tensors in one file. Format: reference of the format's own README (8 bytes of header length, JSON, data). */
#ifndef YKI_CHECKPOINT_SAFETENSORS_H
#define YKI_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "yoke/status.h"

typedef struct yki_safetensor {
    char *name;
    char dtype[12]; /* as the file says: F32, BF16, F16, F64, I64, ... */
    int ndim;
    int64_t dims[8];
    int64_t elems;
    const void *data; /* in the mapped file; not aligned */
    size_t bytes;
} yki_safetensor;

typedef struct yki_safetensors yki_safetensors; /* an open file, mapped, or a folder's shards as one */

/* Opens `path`: a file, or a folder with model.safetensors or model.safetensors.index.json. Everything is validated
 * before anything is allocated for it, in the order of the format's reference reader. YOKE_INVALID names file and fault
 * (a Git LFS pointer or an HTML page by name). */
yoke_status yki_safetensors_open(const char *path, yki_safetensors **file_out);
void yki_safetensors_close(yki_safetensors *file);
int yki_safetensors_count(const yki_safetensors *file);
const yki_safetensor *yki_safetensors_get(const yki_safetensors *file, int i); /* sorted by name */
const yki_safetensor *yki_safetensors_find(const yki_safetensors *file, const char *name); /* NULL: none */
const char *yki_safetensors_metadata(const yki_safetensors *file, const char *key); /* NULL: none */

/* Elements [first, first + count) as f32 (F32, F16, BF16, F64; YOKE_INVALID for other dtypes, naming tensor and dtype). */
yoke_status yki_safetensors_read_f32(const yki_safetensors *file, const yki_safetensor *tensor, int64_t first,
                                     int64_t count, float *values);

/* Writing. The header is written first, from all declarations; then each tensor's bytes at its place, in any order. */
typedef struct yki_safetensors_writer yki_safetensors_writer;
yoke_status yki_safetensors_writer_create(const char *path, yki_safetensors_writer **writer_out);
yoke_status yki_safetensors_declare(yki_safetensors_writer *writer, const char *name, const char *dtype, int ndim,
                                    const int64_t *dims);
yoke_status yki_safetensors_metadata_set(yki_safetensors_writer *writer, const char *key, const char *value);
/* Ends declaring: sizes the file and writes the header, padded to a multiple of 8. */
yoke_status yki_safetensors_begin(yki_safetensors_writer *writer);
/* `bytes` of tensor `name` from byte `offset` of it. */
yoke_status yki_safetensors_write(yki_safetensors_writer *writer, const char *name, size_t offset, const void *data,
                                  size_t bytes);
/* Flushes to the disk (fsync) and closes; the file is complete, or the status says why not. Destroys the writer. */
yoke_status yki_safetensors_finish(yki_safetensors_writer *writer);
/* Gives up: closes and removes the file. */
void yki_safetensors_abandon(yki_safetensors_writer *writer);

#endif
