/* Hashes of a saved step: hashes.json beside the tensors, of each tensor one for every block of its bytes as
 * the file has them, so that they depend on no layout and a fault can be told to a block. XXH3, 64 bits (Yann
 * Collet, xxHash 0.8: doc/xxhash_spec.md); they find accidents, not forgers. Other tools do not see the file.
 */
#ifndef YKI_CHECKPOINT_HASHES_H
#define YKI_CHECKPOINT_HASHES_H

#include "checkpoint/checkpoint.h"

enum { YKI_HASH_BLOCK_BYTES = 1 << 20 };

/* Blocks of a tensor of so many bytes; the last one may be shorter. */
static inline int64_t yki_hash_blocks(size_t bytes)
{
    return (int64_t)((bytes + YKI_HASH_BLOCK_BYTES - 1) / YKI_HASH_BLOCK_BYTES);
}

/* Bytes of block `block` of them. */
static inline size_t yki_hash_block_bytes(size_t bytes, int64_t block)
{
    size_t left = bytes - (size_t)block * YKI_HASH_BLOCK_BYTES;
    return left < YKI_HASH_BLOCK_BYTES ? left : YKI_HASH_BLOCK_BYTES;
}

uint64_t yki_hash(const void *bytes, size_t count);

/* Hashes of a tensor's blocks, of bytes that come one after the other. */
typedef struct yki_hasher yki_hasher;
/* YOKE_SYSTEM: memory. */
yoke_status yki_hasher_create(yki_hasher **hasher_out);
void yki_hasher_destroy(yki_hasher *hasher);
/* A tensor begins; its hashes go to blocks_out, one for every block. */
void yki_hasher_begin(yki_hasher *hasher, uint64_t *blocks_out);
void yki_hasher_add(yki_hasher *hasher, const void *bytes, size_t count);
/* There are no more bytes: the last block may be shorter. */
void yki_hasher_end(yki_hasher *hasher);

typedef struct yki_hashes yki_hashes;

/* An empty one; freed with yki_hashes_destroy. */
yoke_status yki_hashes_create(yki_hashes **hashes_out);
/* Adds a tensor of `bytes` in `file`. YOKE_SYSTEM: memory. */
yoke_status yki_hashes_add(yki_hashes *hashes, const char *file, const char *tensor, size_t bytes,
                           const uint64_t *blocks);
/* Writes FOLDER/hashes.json, flushed. */
yoke_status yki_hashes_save(const yki_hashes *hashes, const char *folder);
/* Reads FOLDER/hashes.json; *hashes_out is NULL where the folder has none. YOKE_INVALID names file and key.
 */
yoke_status yki_hashes_read(const char *folder, yki_hashes **hashes_out);
/* The hashes of a tensor, one for every block, into blocks_out. YOKE_INVALID: it has none there, or of
 * another size.
 */
yoke_status yki_hashes_find(const yki_hashes *hashes, const yki_safetensor *tensor, uint64_t *blocks_out);
void yki_hashes_destroy(yki_hashes *hashes);

/* That a block of a mapped tensor is what was saved. YOKE_INVALID names file, tensor and bytes. */
yoke_status yki_hash_check(const yki_safetensor *tensor, int64_t block, uint64_t saved);

#endif
