/* Parameters to and from files, by all ranks at once. A rank writes what is its own straight to its place in
 * the files, and reads what it holds: it needs its own memory, paths and places, and a sum over all at the
 * end. A fault of a file loses no rank: it is noted, all ranks end, and the caller hands the first one on. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "run/holding.h"
#include "run/output.h"

enum { BUFFER = 1 << 18 }; /* elements, a rank's, for what lies in memory in another order or precision */

static void note(yki_rank *rank, int tensor)
{
    rank->fault = *yoke_error_get();
    rank->fault.rank = rank->rank;
    rank->fault_at = tensor;
}

/* Blocks as long as can be where memory is as the file is, else as large as the buffer. */
static int64_t most_of(const yki_holding *held)
{
    return yki_holding_plain(held) ? INT64_MAX : BUFFER;
}

/* Whole rows, `step` elements apart in memory as in the file, are one long one. */
static yki_block joined(const yki_holding *held, yki_block block, int64_t step)
{
    if (block.columns != held->row_elems || step != held->row_elems) return block;
    block.columns *= block.rows;
    block.rows = 1;
    return block;
}

/* What a rank writes with. */
typedef struct writer {
    yki_output output;
    float *buffer;
} writer;

static yoke_status write_block(writer *w, const yki_holding *held, const yki_block *block, size_t place,
                               bool whole)
{
    bool plain = yki_holding_plain(held);
    const float *from = plain ? (const float *)(void *)held->data + block->at : w->buffer;
    int64_t step = plain ? held->row_step : block->columns;
    if (!plain) yki_holding_pack(held, block, w->buffer, step);
    yki_block part = joined(held, *block, step);
    size_t bytes = sizeof(float) * (size_t)part.columns;
    for (int64_t i = 0; i < part.rows; i++) {
        size_t at = place + sizeof(float) * (size_t)(part.first + i * held->row_elems);
        YKI_TRY(yki_output_write(&w->output, from + i * step, bytes, at, whole));
    }
    return YOKE_OK;
}

static yoke_status write_tensor(const yki_rank *rank, writer *w, const yki_stored_tensor *tensor,
                                uint64_t *hashes)
{
    yki_holding held;
    yki_holding_walk walk = {0};
    yki_tensor_kind kind = yki_logical_kind(rank->plan, tensor->kind, tensor->parameter);
    bool whole = yki_owned_whole(rank->plan, kind, tensor->parameter);
    yoke_status status = yki_holding_init(rank, kind, tensor->parameter, true, &held);
    if (status == YOKE_OK) status = yki_holding_fetch(&held);
    yki_hasher_begin(w->output.hasher, hashes);
    for (yki_block block; status == YOKE_OK && yki_holding_next(&held, &walk, most_of(&held), &block);)
        status = write_block(w, &held, &block, tensor->place, whole);
    yki_hasher_end(w->output.hasher);
    yki_holding_release(&held);
    return status;
}

static yoke_status write_file(yki_rank *rank, const yki_stored *stored, int file, writer *w, uint64_t *hashes)
{
    yoke_status status = YOKE_OK;
    int t = 0;
    yki_output_begin(&w->output, &stored->files[file]);
    for (; t < stored->ntensors && status == YOKE_OK; t++) {
        const yki_stored_tensor *tensor = &stored->tensors[t];
        if (tensor->file == file) status = write_tensor(rank, w, tensor, hashes);
        hashes += yki_hash_blocks(tensor->bytes);
    }
    status = yki_output_end(&w->output, status);
    if (status != YOKE_OK) note(rank, t);
    return status;
}

static yoke_status write_files(yki_rank *rank, const yki_stored *stored, writer *w, uint64_t *hashes)
{
    yoke_status status = yki_output_init(&w->output, NULL);
    if (status == YOKE_OK && (!w->buffer || !hashes)) status = yki_fail_memory("a save");
    if (status != YOKE_OK) note(rank, 0);
    /* ranks begin with different files: a system lets one at a time write into each */
    for (int f = 0; f < stored->nfiles && status == YOKE_OK; f++)
        status = write_file(rank, stored, (rank->rank + f) % stored->nfiles, w, hashes);
    return status;
}

static yoke_status store(yki_rank *rank, void *of)
{
    const yki_stored *stored = of;
    writer w = {.buffer = malloc(sizeof(float) * BUFFER)};
    uint64_t *hashes = calloc((size_t)yki_stored_blocks(stored) + 1, sizeof *hashes);
    rank->fault.status = YOKE_OK;
    double sums[2] = {write_files(rank, stored, &w, hashes) != YOKE_OK, w.output.bytes};
    yki_output_release(&w.output);
    free(w.buffer);
    yoke_status status = yki_sum_scalars(rank->world, sums, 2);
    if (status == YOKE_OK) {
        rank->stored_bytes = sums[0] > 0 ? -1 : sums[1];
        if (sums[0] == 0) status = yki_rank_hash(rank, stored, hashes, w.output.finite);
    }
    free(hashes);
    return status;
}

yoke_status yki_run_store(yki_run *run, const yki_stored *stored, bool *finite_out)
{
    double bytes = 0;
    YKI_TRY(yki_run_command(run, store, (void *)(uintptr_t)stored));
    YKI_TRY(yki_run_first_fault(run));
    for (int t = 0; t < stored->ntensors; t++) bytes += (double)stored->tensors[t].bytes;
    *finite_out = !run->ranks[0].stored_not_finite;
    if (run->ranks[0].stored_bytes == bytes) return YOKE_OK;
    return yki_fail(YOKE_SYSTEM, "the ranks wrote %.0f bytes of tensors that have %.0f",
                    run->ranks[0].stored_bytes, bytes);
}

/* Tensors to take. */
typedef struct wanted {
    const yki_taken_tensor *tensors;
    int count;
} wanted;

/* The rank's blocks of tensor `t`: dealt round, since most tensors have one. */
static yoke_status check_hashes(const yki_rank *rank, const yki_taken_tensor *taken, int t)
{
    int64_t count = taken->hashes ? yki_hash_blocks(taken->tensor->bytes) : 0;
    for (int64_t b = 0; b < count; b++)
        if ((b + t) % rank->run->nranks == rank->rank)
            YKI_TRY(yki_hash_check(taken->tensor, b, taken->hashes[b]));
    return YOKE_OK;
}

/* This rank's part of looking at all elements of all tensors, whoever holds them. */
static yoke_status check(yki_rank *rank, const wanted *all)
{
    const yki_run *run = rank->run;
    for (int t = 0; t < all->count; t++) {
        const yki_taken_tensor *taken = &all->tensors[t];
        int64_t elems = taken->tensor->elems;
        yoke_status status = check_hashes(rank, taken, t);
        if (status == YOKE_OK)
            status = yki_safetensors_check_finite_part(taken->file, taken->tensor,
                                                       yki_share_start(elems, run->nranks, rank->rank),
                                                       yki_share(elems, run->nranks, rank->rank));
        if (status == YOKE_OK) continue;
        note(rank, t);
        return status;
    }
    return YOKE_OK;
}

static yoke_status read_block(const yki_taken_tensor *taken, const yki_holding *held, const yki_block *block,
                              float *buffer)
{
    bool plain = yki_holding_plain(held);
    float *to = plain ? (float *)(void *)held->data + block->at : buffer;
    int64_t step = plain ? held->row_step : block->columns;
    yki_block part = joined(held, *block, step);
    for (int64_t i = 0; i < part.rows; i++)
        YKI_TRY(yki_safetensors_read_f32(taken->file, taken->tensor, part.first + i * held->row_elems,
                                         part.columns, to + i * step));
    if (!plain) yki_holding_unpack(held, block, buffer);
    return YOKE_OK;
}

static yoke_status read_tensor(yki_rank *rank, const yki_taken_tensor *taken, yki_tensor_kind kind,
                               float *buffer)
{
    yki_holding held;
    yki_holding_walk walk = {0};
    yoke_status status = yki_holding_init(rank, kind, taken->parameter, false, &held);
    if (status == YOKE_OK) status = yki_holding_fetch(&held);
    for (yki_block block; status == YOKE_OK && yki_holding_next(&held, &walk, most_of(&held), &block);)
        status = read_block(taken, &held, &block, buffer);
    if (status == YOKE_OK) status = yki_holding_flush(&held);
    yki_holding_release(&held);
    return status;
}

static yoke_status take(yki_rank *rank, void *of)
{
    const wanted *all = of;
    rank->fault.status = YOKE_OK;
    float *buffer = malloc(sizeof *buffer * BUFFER);
    yoke_status status = buffer ? check(rank, all) : yki_fail_memory("a load");
    if (!buffer) note(rank, 0);
    double failed = status != YOKE_OK;
    yoke_status lost = yki_sum_scalars(rank->world, &failed, 1);
    for (int t = 0; t < all->count && failed == 0 && lost == YOKE_OK && status == YOKE_OK; t++) {
        const yki_taken_tensor *taken = &all->tensors[t];
        yki_tensor_kind logical = yki_logical_kind(rank->plan, taken->kind, taken->parameter);
        status = read_tensor(rank, taken, taken->kind, buffer);
        if (status == YOKE_OK && logical != taken->kind) status = read_tensor(rank, taken, logical, buffer);
        if (status != YOKE_OK) note(rank, t);
    }
    free(buffer);
    return lost;
}

yoke_status yki_run_take(yki_run *run, const yki_taken_tensor *tensors, int ntensors)
{
    wanted all = {tensors, ntensors};
    YKI_TRY(yki_run_command(run, take, &all));
    return yki_run_first_fault(run);
}
