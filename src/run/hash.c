/* Hashes of what ranks wrote, by all ranks at once. What one rank has all of it hashed when it wrote it. Of
 * the rest each reads back an even share of all blocks, whoever wrote them: a block is of the logical tensor,
 * and where a layout cuts columns no rank has one whole. Those bytes were flushed and are in the system's
 * memory still, or in a file system's that other machines see. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "run/holding.h"

bool yki_all_finite(const void *values, size_t bytes)
{
    const char *at = values;
    uint32_t bits, found = 0;
    for (size_t i = 0; i < bytes; i += sizeof bits) {
        memcpy(&bits, at + i, sizeof bits);
        found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return found == 0;
}

/* A file that is read, and the blocks that are wanted. */
typedef struct input {
    const yki_stored *stored;
    int file, fd; /* -1: none is open */
    char *buffer;
    int64_t first, end; /* of all tensors' blocks */
    const atomic_bool *quit;
    uint64_t *hashes;
    bool finite;
} input;

static yoke_status open_file(input *in, int file)
{
    size_t bytes;
    if (in->file == file) return YOKE_OK;
    if (in->fd >= 0) close(in->fd);
    in->file = in->fd = -1;
    YKI_TRY(yki_disk_open(in->stored->files[file].path, &in->fd, &bytes));
    in->file = file;
    return YOKE_OK;
}

/* Those of a tensor's blocks, the first of them number `before`, that are wanted. */
static yoke_status hash_tensor(const yki_stored_tensor *tensor, int64_t before, input *in)
{
    int64_t count = yki_hash_blocks(tensor->bytes), from = in->first > before ? in->first - before : 0,
            end = in->end - before < count ? in->end - before : count;
    for (int64_t b = from; b < end; b++) {
        size_t length = yki_hash_block_bytes(tensor->bytes, b);
        if (in->quit && atomic_load(in->quit)) return yki_fail(YOKE_STOPPED, "a save was given up");
        YKI_TRY(open_file(in, tensor->file));
        YKI_TRY(yki_disk_read_at(in->fd, in->stored->files[tensor->file].name, in->buffer, length,
                                 tensor->place + (size_t)b * YKI_HASH_BLOCK_BYTES));
        in->hashes[before + b] = yki_hash(in->buffer, length);
        in->finite &= yki_all_finite(in->buffer, length);
    }
    return YOKE_OK;
}

int64_t yki_stored_blocks(const yki_stored *stored)
{
    int64_t count = 0;
    for (int t = 0; t < stored->ntensors; t++) count += yki_hash_blocks(stored->tensors[t].bytes);
    return count;
}

/* But for the tensors that an only owner has hashed under `plan`; NULL: of all. */
static yoke_status hash_blocks(const yki_plan *plan, const yki_stored *stored, int64_t first, int64_t end,
                               const atomic_bool *quit, uint64_t *hashes, bool *finite_out)
{
    input in = {stored, -1, -1, malloc(YKI_HASH_BLOCK_BYTES), first, end, quit, hashes, true};
    yoke_status status = in.buffer ? YOKE_OK : yki_fail_memory("a save's hashes");
    int64_t before = 0;
    for (int t = 0; t < stored->ntensors && status == YOKE_OK; t++) {
        const yki_stored_tensor *tensor = &stored->tensors[t];
        bool hashed = plan && yki_owned_whole(plan, yki_logical_kind(plan, tensor->kind, tensor->parameter),
                                              tensor->parameter);
        if (!hashed) status = hash_tensor(tensor, before, &in);
        before += yki_hash_blocks(tensor->bytes);
    }
    if (in.fd >= 0) close(in.fd);
    free(in.buffer);
    *finite_out = in.finite;
    return status;
}

yoke_status yki_stored_hash(const yki_stored *stored, int64_t first, int64_t end, const atomic_bool *quit,
                            uint64_t *hashes, bool *finite_out)
{
    return hash_blocks(NULL, stored, first, end, quit, hashes, finite_out);
}

/* Every rank ends with all hashes; the caller takes the first rank's. */
static yoke_status share_hashes(yki_rank *rank, const yki_stored *stored, int64_t nblocks, uint64_t *hashes)
{
    yki_request request;
    yki_segment segment = {hashes, 2 * nblocks}; /* a word is 0 on all ranks but one */
    YKI_TRY(yki_all_reduce_start(rank->world, &segment, 1, YKI_I32, YKI_SUM, &request));
    YKI_TRY(yki_wait(&request));
    if (rank->rank != 0) return YOKE_OK;
    for (int t = 0; t < stored->ntensors; t++) {
        int64_t count = yki_hash_blocks(stored->tensors[t].bytes);
        memcpy(stored->tensors[t].hashes, hashes, sizeof *hashes * (size_t)count);
        hashes += count;
    }
    return YOKE_OK;
}

yoke_status yki_rank_hash(yki_rank *rank, const yki_stored *stored, uint64_t *hashes, bool finite)
{
    int nranks = rank->run->nranks;
    int64_t nblocks = yki_stored_blocks(stored), first = yki_share_start(nblocks, nranks, rank->rank);
    bool others_finite;
    yoke_status status =
        hash_blocks(rank->plan, stored, first, first + yki_share(nblocks, nranks, rank->rank), NULL, hashes,
                    &others_finite);
    if (status != YOKE_OK) {
        rank->fault = *yoke_error_get();
        rank->fault.rank = rank->rank;
        rank->fault_at = 0;
    }
    double sums[2] = {status != YOKE_OK, !finite || !others_finite};
    YKI_TRY(yki_sum_scalars(rank->world, sums, 2));
    rank->stored_not_finite = sums[1] > 0;
    return sums[0] == 0 ? share_hashes(rank, stored, nblocks, hashes) : YOKE_OK;
}
