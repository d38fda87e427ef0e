/* Checkpoints without a layout: DIR/step-00000100/{config.json, model.safetensors, optimizer.safetensors, state.json,
 * job.yaml}. This file knows folders, names, complete and incomplete saves; the trainer brings the tensors. */
#ifndef YKI_CHECKPOINT_CHECKPOINT_H
#define YKI_CHECKPOINT_CHECKPOINT_H

#include <stdint.h>

#include "checkpoint/safetensors.h"
#include "yoke/job.h"

/* What state.json holds. */
typedef struct yki_saved_state {
    int64_t step;     /* updates done */
    uint64_t seed;
    int64_t batch;    /* samples per step: with step, the position in the data */
    double last_loss; /* of the last step done; NaN: none */
    char layout[256]; /* the layout it was saved under, as text */
    char optimizer[16];
    char precision[8];
} yki_saved_state;

/* A save under way: a folder with a temporary name beside its final one. */
typedef struct yki_save {
    char temporary[1200], final[1200], dir[1024];
} yki_save;

/* Makes DIR (and its parents) and the temporary folder for step `step`; leftovers of a killed save are removed. */
yoke_status yki_save_begin(const char *dir, int64_t step, yki_save *save);
/* Writes state.json and a text file into the temporary folder, flushed. */
yoke_status yki_save_state(const yki_save *save, const yki_saved_state *state);
yoke_status yki_save_text(const yki_save *save, const char *name, const char *text);
/* Flushes the folder, renames it into place, flushes DIR, and removes the oldest complete steps beyond `keep` (0: none).
 * The step is then complete; a failure leaves what was there before. */
yoke_status yki_save_commit(yki_save *save, int64_t keep);
void yki_save_abandon(yki_save *save);

/* Finds what `path` means: a step's folder, or a DIR whose newest complete step is taken. Writes the step's folder.
 * YOKE_INVALID: no such folder, or no complete step in it. A folder as Hugging Face lays it out (no state.json) is
 * found too; *is_step_out says which it was. */
yoke_status yki_checkpoint_find(const char *path, char folder_out[1200], int *is_step_out);
yoke_status yki_checkpoint_state(const char *folder, yki_saved_state *state_out);

/* config.json of a model: writes gpt2's and llama's as Hugging Face does ("model_type", ...), a `layers` model's with
 * the job's own model section under "yoke". Freed by the caller with free(); NULL when memory is out. */
char *yki_config_print(const yoke_model_spec *model, const char *job_text);
/* Reads FOLDER/config.json into the shape of a gpt2 or llama model (layers, heads, width, context, vocab, eps, ...):
 * fields that the job file gave (not 0) must agree. Older and newer spellings are read. */
yoke_status yki_config_read(const char *folder, yoke_model_spec *model);

#endif
