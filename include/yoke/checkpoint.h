/* Checkpoints: what is in one, without loading it. */
#ifndef YOKE_CHECKPOINT_H
#define YOKE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor of a checkpoint, as its file describes it. */
typedef struct yoke_inspected_tensor {
    char *name;
    char dtype[12]; /* safetensors' names: F32, BF16, I64, ... */
    int ndim;       /* 0: one element */
    int64_t dims[8];
    int64_t elems, bytes;
    const char *from; /* "model" or "optimizer"; static storage */
} yoke_inspected_tensor;

/* What yoke_inspect found. Strings are empty and numbers -1 where the path does not say. */
typedef struct yoke_inspection {
    char path[YOKE_PATH_BYTES]; /* the folder or file that was read: of a DIR, its newest complete step */
    char note[256];             /* newer steps that were passed over, and why; "" none */
    char model_type[64];        /* "gpt2", "llama", "yoke-layers", or what config.json says */
    bool is_step;               /* saved by yoke: the fields of the next three lines are known */
    int64_t step, batch;        /* updates done; samples per step */
    uint64_t seed;
    double loss;  /* of the last step done; NaN: not known or not finite */
    char run[33]; /* which run saved it, 32 hexadecimal digits; "": an older yoke did */
    char layout[256], optimizer[16], precision[8];
    int64_t
        parameters; /* elements of the model, without constant buffers (causal masks, rotary frequencies) */
    int64_t model_bytes, optimizer_bytes;
    int ntensors;
    yoke_inspected_tensor
        *tensors; /* the model's by name, then the optimizer's by name; owned by the inspection */
} yoke_inspection;

/* Describes `path`: a DIR of steps (its newest complete one is taken), a step's folder, a folder as Hugging
 * Face lays it out, sharded or not, or one .safetensors file (`from` is then "model"). Reads and validates
 * headers only, never values. Returns: YOKE_INVALID where there is no checkpoint or a file of it is
 * malformed, with the file named; YOKE_SYSTEM out of memory or input failed. Owns: the caller;
 * yoke_inspection_destroy. Threads: any. */
YOKE_API yoke_status yoke_inspect(const char *path, yoke_inspection **inspection_out);
/* The newest complete step of DIR that `run` saved (as in an inspection; NULL or "": any run): its folder,
 * "" and step 0 where there is none, or no DIR. YOKE_SYSTEM: memory or the disk. Threads: any. */
YOKE_API yoke_status yoke_checkpoint_newest(const char *dir, const char *run, char folder_out[1200],
                                            int64_t *step_out);
/* The run that holds DIR, or held it when it was killed; "": none is known. */
YOKE_API void yoke_checkpoint_holder(const char *dir, char run_out[33]);
/* NULL is allowed. */
YOKE_API void yoke_inspection_destroy(yoke_inspection *inspection);

/* What yoke_merge made. */
typedef struct yoke_merged {
    char adapter[YOKE_PATH_BYTES], base[YOKE_PATH_BYTES];
    char note[256]; /* newer steps that were passed over, and why; "" none */
    int tensors;    /* that adapters changed */
} yoke_merged;

/* Writes a base and its adapters as one model into the folder `out`, which is not there yet, or empty: each
 * adapted weight is W + (alpha / rank) B A in its own type, all other tensors and files of the base are as
 * they are, but for those that a run keeps of itself. dir: a DIR of steps (its newest complete one), one
 * step's folder, or a folder as the package PEFT saves it. base: the model's folder; NULL: the one that the
 * adapters were trained beside. YOKE_INVALID: there are none, the base is not known, or another one than they
 * were trained beside; `out` is there. YOKE_SYSTEM: the disk, memory; then `out` is not there. Threads: any.
 */
YOKE_API yoke_status yoke_merge(const char *dir, const char *base, const char *out, yoke_merged *merged_out);

#ifdef __cplusplus
}
#endif
#endif
