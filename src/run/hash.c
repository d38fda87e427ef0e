/* Hashes of what ranks wrote, by all ranks at once. Each reads back an even share of all blocks, whoever
 * wrote them: a block is of the logical tensor, and where a layout cuts columns no rank has one whole. The
 * bytes were flushed and are in the system's memory still, or in a file system's that other machines see. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "run/rank.h"

static size_t bytes_of(const yki_run *run, const yki_stored_tensor *tensor)
{
    const yoke_model *model = run->plan->options.model;
    return sizeof(float) *
           (size_t)yki_value_elems(&model->values[model->parameters[tensor->parameter].value]);
}

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

/* A file that this rank reads, and the blocks that are its own. */
typedef struct input {
    int file, fd; /* -1: none is open */
    char *buffer;
    int64_t first, end; /* of all tensors' blocks */
    uint64_t *hashes;
    bool not_finite;
} input;

static yoke_status open_file(const yki_run *run, input *in, int file)
{
    size_t bytes;
    if (in->file == file) return YOKE_OK;
    if (in->fd >= 0) close(in->fd);
    in->file = in->fd = -1;
    YKI_TRY(yki_disk_open(run->files[file].path, &in->fd, &bytes));
    in->file = file;
    return YOKE_OK;
}

/* Those of a tensor's blocks, the first of them number `before`, that are the rank's. */
static yoke_status hash_tensor(const yki_run *run, const yki_stored_tensor *tensor, int64_t before, input *in)
{
    size_t bytes = bytes_of(run, tensor);
    int64_t count = yki_hash_blocks(bytes), from = in->first > before ? in->first - before : 0,
            end = in->end - before < count ? in->end - before : count;
    for (int64_t b = from; b < end; b++) {
        size_t length = yki_hash_block_bytes(bytes, b);
        YKI_TRY(open_file(run, in, tensor->file));
        YKI_TRY(yki_disk_read_at(in->fd, run->files[tensor->file].name, in->buffer, length,
                                 tensor->place + (size_t)b * YKI_HASH_BLOCK_BYTES));
        in->hashes[before + b] = yki_hash(in->buffer, length);
        in->not_finite |= !yki_all_finite(in->buffer, length);
    }
    return YOKE_OK;
}

static int64_t count_blocks(const yki_run *run)
{
    int64_t count = 0;
    for (int t = 0; t < run->ntensors; t++) count += yki_hash_blocks(bytes_of(run, &run->stored[t]));
    return count;
}

static yoke_status hash_share(yki_rank *rank, int64_t nblocks, input *in)
{
    const yki_run *run = rank->run;
    yoke_status status = YOKE_OK;
    in->buffer = malloc(YKI_HASH_BLOCK_BYTES);
    in->first = yki_share_start(nblocks, run->nranks, rank->rank);
    in->end = in->first + yki_share(nblocks, run->nranks, rank->rank);
    if (!in->hashes || !in->buffer) status = yki_fail_memory("a save's hashes");
    int64_t before = 0;
    for (int t = 0; t < run->ntensors && status == YOKE_OK; t++) {
        status = hash_tensor(run, &run->stored[t], before, in);
        before += yki_hash_blocks(bytes_of(run, &run->stored[t]));
    }
    if (in->fd >= 0) close(in->fd);
    free(in->buffer);
    return status;
}

/* Every rank ends with all hashes; the caller takes the first rank's. */
static yoke_status share_hashes(yki_rank *rank, int64_t nblocks, input *in)
{
    yki_request request;
    yki_segment segment = {in->hashes, 2 * nblocks}; /* a word is 0 on all ranks but one */
    YKI_TRY(yki_all_reduce_start(rank->world, &segment, 1, YKI_I32, YKI_SUM, &request));
    YKI_TRY(yki_wait(&request));
    if (rank->rank != 0) return YOKE_OK;
    int64_t before = 0;
    for (int t = 0; t < rank->run->ntensors; t++) {
        int64_t count = yki_hash_blocks(bytes_of(rank->run, &rank->run->stored[t]));
        memcpy(rank->run->stored[t].hashes, in->hashes + before, sizeof(uint64_t) * (size_t)count);
        before += count;
    }
    return YOKE_OK;
}

yoke_status yki_rank_hash(yki_rank *rank)
{
    int64_t nblocks = count_blocks(rank->run);
    input in = {.file = -1, .fd = -1, .hashes = calloc((size_t)nblocks + 1, sizeof(uint64_t))};
    yoke_status status = hash_share(rank, nblocks, &in);
    if (status != YOKE_OK) {
        rank->fault = *yoke_error_get();
        rank->fault.rank = rank->rank;
        rank->fault_at = 0;
    }
    double sums[2] = {status != YOKE_OK, in.not_finite};
    yoke_status lost = yki_sum_scalars(rank->world, sums, 2);
    rank->stored_not_finite = sums[1] > 0;
    if (lost == YOKE_OK && sums[0] == 0) lost = share_hashes(rank, nblocks, &in);
    free(in.hashes);
    return lost;
}
