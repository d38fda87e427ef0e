/* The copy that saves beside the run are made from: what the ranks of this process own of the tensors, and
 * nothing else. A tensor of which they own all lies in it as the file has it, and is written in one go; of
 * others each rank's blocks lie one after the other. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "run/holding.h"

/* A block that a rank owns, and where the copy has it. */
typedef struct piece {
    yki_block block;
    int64_t at, step, row_elems; /* elements: of its first row in the copy, to the next; of a logical row */
} piece;

typedef struct staged {
    yki_stored_tensor tensor;
    int64_t at; /* where the copy has all of it; -1: only pieces */
} staged;

struct yki_stage {
    const yki_run *run;
    float *copy;
    int64_t elems;
    int ntensors, npieces, room;
    staged *tensors;
    piece *pieces;
    int *first; /* [ntensors * nlocal + 1]: of the pieces of a tensor and a local rank */
};

void yki_stage_destroy(yki_stage *stage)
{
    if (!stage) return;
    free(stage->copy);
    free(stage->tensors);
    free(stage->pieces);
    free(stage->first);
    free(stage);
}

size_t yki_stage_bytes(const yki_stage *stage)
{
    return sizeof(float) * (size_t)stage->elems;
}

static yoke_status hold(const yki_rank *rank, const yki_stored_tensor *tensor, yki_holding *held)
{
    return yki_holding_init(rank, yki_logical_kind(rank->plan, tensor->kind, tensor->parameter),
                            tensor->parameter, true, held);
}

static yoke_status add_piece(yki_stage *stage, const yki_block *block, int64_t row_elems)
{
    if (stage->npieces == stage->room) {
        int room = stage->room ? 2 * stage->room : 64;
        piece *grown = realloc(stage->pieces, sizeof *grown * (size_t)room);
        if (!grown) return yki_fail_memory("the copy that checkpoint.async saves from");
        stage->pieces = grown;
        stage->room = room;
    }
    stage->pieces[stage->npieces++] = (piece){*block, 0, 0, row_elems};
    return YOKE_OK;
}

/* The pieces of a tensor, of all ranks here, and their places in the copy. */
static yoke_status plan_tensor(yki_stage *stage, int t)
{
    const yki_run *run = stage->run;
    staged *s = &stage->tensors[t];
    int64_t owned = 0, from = stage->npieces;
    for (int i = 0; i < run->nlocal; i++) {
        yki_holding held;
        yki_holding_walk walk = {0};
        yoke_status status = hold(&run->ranks[i], &s->tensor, &held);
        for (yki_block block; status == YOKE_OK && yki_holding_next(&held, &walk, INT64_MAX, &block);) {
            status = add_piece(stage, &block, held.row_elems);
            owned += block.rows * block.columns;
        }
        yki_holding_release(&held);
        YKI_TRY(status);
        stage->first[t * run->nlocal + i + 1] = stage->npieces;
    }
    bool whole = sizeof(float) * (size_t)owned == s->tensor.bytes;
    s->at = whole ? stage->elems : -1;
    for (int64_t p = from; p < stage->npieces; p++) {
        piece *at = &stage->pieces[p];
        at->step = whole ? at->row_elems : at->block.columns;
        at->at = stage->elems + (whole ? at->block.first : 0);
        if (!whole) stage->elems += at->block.rows * at->block.columns;
    }
    if (whole) stage->elems += owned;
    return YOKE_OK;
}

static yoke_status plan(yki_stage *stage, const yki_stored_tensor *tensors, int ntensors)
{
    stage->ntensors = ntensors;
    stage->tensors = calloc((size_t)ntensors + 1, sizeof *stage->tensors);
    stage->first = calloc((size_t)ntensors * (size_t)stage->run->nlocal + 1, sizeof *stage->first);
    if (!stage->tensors || !stage->first) return yki_fail_memory("the copy that checkpoint.async saves from");
    for (int t = 0; t < ntensors; t++) {
        stage->tensors[t].tensor = tensors[t];
        YKI_TRY(plan_tensor(stage, t));
    }
    if (!(stage->copy = malloc(yki_stage_bytes(stage) + 1)))
        return yki_fail_memory("the copy that checkpoint.async saves from");
    /* The system hands its pages out now, not in the first save. Zeros would be calloc's to a compiler, which
     * touches none. */
    memset(stage->copy, 0xff, yki_stage_bytes(stage) + 1);
    return YOKE_OK;
}

yoke_status yki_stage_create(const yki_run *run, const yki_stored_tensor *tensors, int ntensors,
                             yki_stage **stage_out)
{
    yki_stage *stage = calloc(1, sizeof *stage);
    if (!stage) return yki_fail_memory("the copy that checkpoint.async saves from");
    stage->run = run;
    yoke_status status = plan(stage, tensors, ntensors);
    if (status != YOKE_OK) {
        yki_stage_destroy(stage);
        return status;
    }
    *stage_out = stage;
    return YOKE_OK;
}

/* --- copying --- */

static yoke_status copy_tensor(const yki_rank *rank, const yki_stage *stage, int t, double *bytes)
{
    const int *first = &stage->first[t * stage->run->nlocal + rank->rank - stage->run->first];
    yki_holding held;
    if (first[0] == first[1]) return YOKE_OK;
    yoke_status status = hold(rank, &stage->tensors[t].tensor, &held);
    for (int p = first[0]; p < first[1] && status == YOKE_OK; p++) {
        const piece *of = &stage->pieces[p];
        yki_holding_pack(&held, &of->block, stage->copy + of->at, of->step);
        *bytes += (double)sizeof(float) * (double)(of->block.rows * of->block.columns);
    }
    yki_holding_release(&held);
    return status;
}

static yoke_status copy(yki_rank *rank)
{
    const yki_stage *stage = rank->run->stage;
    double bytes = 0;
    rank->fault.status = YOKE_OK;
    for (int t = 0; t < stage->ntensors && rank->fault.status == YOKE_OK; t++) {
        if (copy_tensor(rank, stage, t, &bytes) == YOKE_OK) continue;
        rank->fault = *yoke_error_get();
        rank->fault.rank = rank->rank;
        rank->fault_at = t;
    }
    YKI_TRY(yki_sum_scalars(rank->world, &bytes, 1));
    rank->stored_bytes = bytes;
    return YOKE_OK;
}

yoke_status yki_run_stage(yki_run *run, yki_stage *stage)
{
    double bytes = 0;
    run->stage = stage;
    YKI_TRY(yki_run_command(run, copy));
    YKI_TRY(yki_run_first_fault(run));
    for (int t = 0; t < stage->ntensors; t++) bytes += (double)stage->tensors[t].tensor.bytes;
    if (run->ranks[0].stored_bytes == bytes) return YOKE_OK;
    return yki_fail(YOKE_SYSTEM, "the ranks copied %.0f bytes of tensors that have %.0f",
                    run->ranks[0].stored_bytes, bytes);
}

/* --- writing --- */

/* A file under way; not so much at once that a run that ends waits for it. */
typedef struct output {
    const yki_stored_file *file;
    int fd; /* -1: not opened yet */
    const atomic_bool *quit;
} output;

enum { PART_BYTES = 1 << 20 };

static yoke_status write_bytes(output *out, const float *from, int64_t elems, size_t place)
{
    const char *at = (const char *)from;
    size_t bytes = sizeof *from * (size_t)elems;
    if (out->fd < 0 && bytes > 0) YKI_TRY(yki_disk_open_to_write(out->file->path, out->file->name, &out->fd));
    for (size_t done = 0; done < bytes; done += PART_BYTES) {
        size_t part = bytes - done < PART_BYTES ? bytes - done : PART_BYTES;
        if (atomic_load(out->quit)) return yki_fail(YOKE_STOPPED, "a save was given up");
        YKI_TRY(yki_disk_write(out->fd, out->file->name, at + done, part, place + done, out->file->bytes));
    }
    return YOKE_OK;
}

static yoke_status write_tensor(const yki_stage *stage, int t, size_t place, output *out)
{
    const staged *s = &stage->tensors[t];
    int nlocal = stage->run->nlocal, end = stage->first[(t + 1) * nlocal];
    if (s->at >= 0)
        return write_bytes(out, stage->copy + s->at, (int64_t)(s->tensor.bytes / sizeof(float)), place);
    for (int p = stage->first[t * nlocal]; p < end; p++) {
        const piece *of = &stage->pieces[p];
        for (int64_t i = 0; i < of->block.rows; i++)
            YKI_TRY(write_bytes(out, stage->copy + of->at + i * of->step, of->block.columns,
                                place + sizeof(float) * (size_t)(of->block.first + i * of->row_elems)));
    }
    return YOKE_OK;
}

yoke_status yki_stage_write(const yki_stage *stage, const yki_stored *stored, const atomic_bool *quit)
{
    for (int f = 0; f < stored->nfiles; f++) {
        /* processes begin with different files: a system lets one at a time write into each */
        int file = (stage->run->first / stage->run->nlocal + f) % stored->nfiles;
        output out = {&stored->files[file], -1, quit};
        yoke_status status = YOKE_OK;
        for (int t = 0; t < stage->ntensors && status == YOKE_OK; t++)
            if (stored->tensors[t].file == file)
                status = write_tensor(stage, t, stored->tensors[t].place, &out);
        if (out.fd >= 0 && status == YOKE_OK)
            status = yki_disk_flush(out.fd, out.file->name, out.file->bytes);
        if (out.fd >= 0) close(out.fd);
        YKI_TRY(status);
    }
    return YOKE_OK;
}
