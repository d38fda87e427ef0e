/* The copy that saves beside the run are made from: what the ranks of this process own of the tensors, and
 * nothing else. A tensor of which they own all lies in it as the file has it, and is written in one go; of
 * others each rank's blocks lie one after the other. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/holding.h"
#include "run/output.h"

/* A block that a rank owns, and where the copy has it. */
typedef struct piece {
    yki_block block;
    int64_t at, step, row_elems; /* elements: of its first row in the copy, to the next; of a logical row */
} piece;

typedef struct staged {
    yki_stored_tensor tensor;
    int64_t at; /* where the copy has all of it; -1: only pieces */
} staged;

struct yki_staging {
    const yki_run *run;
    float *copy;
    int64_t elems;
    int ntensors, npieces, room;
    bool whole; /* all tensors are */
    staged *tensors;
    piece *pieces;
    /* of a tensor and a local rank */
    yki_holding *held; /* [ntensors * nlocal] */
    int *first;        /* [ntensors * nlocal + 1]: of its pieces */
};

void yki_staging_destroy(yki_staging *stage)
{
    if (!stage) return;
    for (int i = 0; stage->held && i < stage->ntensors * stage->run->nlocal; i++)
        yki_holding_release(&stage->held[i]);
    free(stage->copy);
    free(stage->tensors);
    free(stage->pieces);
    free(stage->held);
    free(stage->first);
    free(stage);
}

size_t yki_staging_bytes(const yki_staging *stage)
{
    return sizeof(float) * (size_t)stage->elems;
}

bool yki_staging_whole(const yki_staging *stage)
{
    return stage->whole;
}

static yoke_status add_piece(yki_staging *stage, const yki_block *block, int64_t row_elems)
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
static yoke_status plan_tensor(yki_staging *stage, int t)
{
    const yki_run *run = stage->run;
    staged *s = &stage->tensors[t];
    int64_t owned = 0, from = stage->npieces;
    for (int i = 0; i < run->nlocal; i++) {
        const yki_rank *rank = &run->ranks[i];
        yki_holding *held = &stage->held[t * run->nlocal + i];
        yki_holding_walk walk = {0};
        YKI_TRY(yki_holding_init(rank, yki_logical_kind(rank->plan, s->tensor.kind, s->tensor.parameter),
                                 s->tensor.parameter, true, held));
        for (yki_block block; yki_holding_next(held, &walk, INT64_MAX, &block);) {
            YKI_TRY(add_piece(stage, &block, held->row_elems));
            owned += block.rows * block.columns;
        }
        stage->first[t * run->nlocal + i + 1] = stage->npieces;
    }
    bool whole = sizeof(float) * (size_t)owned == s->tensor.bytes;
    stage->whole &= whole;
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

static yoke_status plan(yki_staging *stage, const yki_stored_tensor *tensors, int ntensors)
{
    size_t shares = (size_t)ntensors * (size_t)stage->run->nlocal;
    stage->ntensors = ntensors;
    stage->whole = true;
    stage->tensors = calloc((size_t)ntensors + 1, sizeof *stage->tensors);
    stage->held = calloc(shares + 1, sizeof *stage->held);
    stage->first = calloc(shares + 1, sizeof *stage->first);
    if (!stage->tensors || !stage->held || !stage->first)
        return yki_fail_memory("the copy that checkpoint.async saves from");
    for (int t = 0; t < ntensors; t++) {
        stage->tensors[t].tensor = tensors[t];
        YKI_TRY(plan_tensor(stage, t));
    }
    if (!(stage->copy = malloc(yki_staging_bytes(stage) + 1)))
        return yki_fail_memory("the copy that checkpoint.async saves from");
    /* The system hands its pages out now, not in the first save. Zeros would be calloc's to a compiler, which
     * touches none. */
    memset(stage->copy, 0xff, yki_staging_bytes(stage) + 1);
    return YOKE_OK;
}

yoke_status yki_staging_create(const yki_run *run, const yki_stored_tensor *tensors, int ntensors,
                               yki_staging **stage_out)
{
    yki_staging *stage = calloc(1, sizeof *stage);
    if (!stage) return yki_fail_memory("the copy that checkpoint.async saves from");
    stage->run = run;
    yoke_status status = plan(stage, tensors, ntensors);
    if (status != YOKE_OK) {
        yki_staging_destroy(stage);
        return status;
    }
    *stage_out = stage;
    return YOKE_OK;
}

/* --- copying --- */

/* One tensor's pieces of a rank; their bytes. */
static yoke_status copy_tensor(const yki_staging *stage, int share, double *bytes)
{
    yki_holding *held = &stage->held[share];
    YKI_TRY(yki_holding_fetch(held));
    for (int p = stage->first[share]; p < stage->first[share + 1]; p++) {
        const piece *of = &stage->pieces[p];
        yki_holding_pack(held, &of->block, stage->copy + of->at, of->step);
        *bytes += (double)sizeof(float) * (double)(of->block.rows * of->block.columns);
    }
    yki_holding_forget(held);
    return YOKE_OK;
}

/* By the rank's team: a core alone does not use all that memory gives. What comes through the device's queue,
 * which is one thread's, by that. */
static yoke_status copy(yki_rank *rank, void *of)
{
    const yki_staging *stage = of;
    int nlocal = stage->run->nlocal, place = rank->rank - stage->run->first, failed = 0;
    bool here = rank->backend->host_address(rank->device, rank->memory) != NULL;
    int threads = here ? rank->plan->options.threads : 1;
    double bytes = 0;
#ifdef YOKE_HAVE_OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) reduction(+ : bytes, failed)
#endif
    for (int t = 0; t < stage->ntensors; t++)
        failed += copy_tensor(stage, t * nlocal + place, &bytes) != YOKE_OK;
    (void)threads;
    if (failed > 0) return yoke_error_get()->status; /* of this thread: it was alone */
    YKI_TRY(yki_sum_scalars(rank->world, &bytes, 1));
    rank->stored_bytes = bytes;
    return YOKE_OK;
}

yoke_status yki_run_stage(yki_run *run, yki_staging *stage)
{
    double bytes = 0;
    YKI_TRY(yki_run_command(run, copy, stage));
    for (int t = 0; t < stage->ntensors; t++) bytes += (double)stage->tensors[t].tensor.bytes;
    if (run->ranks[0].stored_bytes == bytes) return YOKE_OK;
    return yki_fail(YOKE_SYSTEM, "the ranks copied %.0f bytes of tensors that have %.0f",
                    run->ranks[0].stored_bytes, bytes);
}

/* --- writing --- */

static yoke_status write_tensor(const yki_staging *stage, const yki_stored_tensor *tensor, int t,
                                yki_output *out)
{
    int nlocal = stage->run->nlocal, end = stage->first[(t + 1) * nlocal];
    const float *whole = stage->tensors[t].at >= 0 ? stage->copy + stage->tensors[t].at : NULL;
    if (whole && !stage->whole) return yki_output_write(out, whole, tensor->bytes, tensor->place, false);
    if (whole) {
        yki_hasher_begin(out->hasher, tensor->hashes);
        YKI_TRY(yki_output_write(out, whole, tensor->bytes, tensor->place, true));
        yki_hasher_end(out->hasher);
        return YOKE_OK;
    }
    for (int p = stage->first[t * nlocal]; p < end; p++) {
        const piece *of = &stage->pieces[p];
        for (int64_t i = 0; i < of->block.rows; i++)
            YKI_TRY(yki_output_write(
                out, stage->copy + of->at + i * of->step, sizeof(float) * (size_t)of->block.columns,
                tensor->place + sizeof(float) * (size_t)(of->block.first + i * of->row_elems), false));
    }
    return YOKE_OK;
}

/* As the files have them: what lies next to each other is written together. */
static int compare_places(const void *a, const void *b)
{
    const yki_stored_tensor *x = *(const yki_stored_tensor *const *)a,
                            *y = *(const yki_stored_tensor *const *)b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static yoke_status write_files(const yki_staging *stage, const yki_stored *stored, yki_output *out)
{
    const yki_stored_tensor **order = malloc(sizeof *order * ((size_t)stored->ntensors + 1));
    if (!order) return yki_fail_memory("a save");
    for (int t = 0; t < stored->ntensors; t++) order[t] = &stored->tensors[t];
    qsort(order, (size_t)stored->ntensors, sizeof *order, compare_places);
    yoke_status status = YOKE_OK;
    for (int f = 0; f < stored->nfiles && status == YOKE_OK; f++) {
        /* processes begin with different files: a system lets one at a time write into each */
        int file = (stage->run->first / stage->run->nlocal + f) % stored->nfiles;
        yki_output_begin(out, &stored->files[file]);
        for (int i = 0; i < stored->ntensors && status == YOKE_OK; i++)
            if (order[i]->file == file)
                status = write_tensor(stage, order[i], (int)(order[i] - stored->tensors), out);
        status = yki_output_end(out, status);
    }
    free(order);
    return status;
}

yoke_status yki_staging_write(const yki_staging *stage, const yki_stored *stored, const atomic_bool *quit,
                              bool *finite_out)
{
    yki_output out;
    YKI_TRY(yki_output_init(&out, quit));
    yoke_status status = write_files(stage, stored, &out);
    *finite_out = out.finite;
    yki_output_release(&out);
    return status;
}
