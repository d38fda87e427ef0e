/* Loading: tensors of a file or folder by name, checked against the model before the
 * first is taken; then every rank reads what it holds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "train/trainer.h"

/* The tensor of a parameter; Hugging Face saves some models with a leading "transformer.". */
static const yki_safetensor *find(const yki_safetensors *file, const char *name, const char *suffix)
{
    char full[300];
    snprintf(full, sizeof full, "%.200s%s", name, suffix);
    const yki_safetensor *tensor = yki_safetensors_find(file, full);
    if (tensor) return tensor;
    snprintf(full, sizeof full, "transformer.%.200s%s", name, suffix);
    return yki_safetensors_find(file, full);
}

static yoke_status check_shape(const yki_safetensor *tensor, const yki_parameter *p, const char *path,
                               const char *suffix)
{
    bool same = tensor->ndim == p->ndim;
    for (int i = 0; same && i < p->ndim; i++) same = tensor->dims[i] == p->dims[i];
    if (same) return YOKE_OK;
    char has[128] = "", wants[128] = "";
    for (int i = 0, n = 0; i < tensor->ndim && n < 100; i++)
        n += snprintf(has + n, sizeof has - (size_t)n, "%s%lld", i ? ", " : "", (long long)tensor->dims[i]);
    for (int i = 0, n = 0; i < p->ndim && n < 100; i++)
        n += snprintf(wants + n, sizeof wants - (size_t)n, "%s%lld", i ? ", " : "", (long long)p->dims[i]);
    return yki_fail_at(YOKE_INVALID, path, 0, "", "tensor '%s%s' has shape [%s], and the model's has [%s]",
                       p->name, suffix, has, wants);
}

/* What a load takes, and from where. */
typedef struct load {
    yki_safetensors *files[2];
    int nfiles;
    yki_taken_tensor *tensors;
    int ntensors;
    yki_hashes *hashes; /* NULL: the folder has none */
    uint64_t *blocks;   /* of all tensors */
} load;

static void release(load *l)
{
    for (int i = 0; i < l->nfiles; i++) yki_safetensors_close(l->files[i]);
    free(l->tensors);
    free(l->blocks);
    yki_hashes_destroy(l->hashes);
}

/* What was saved of all tensors, where the folder says it. */
static yoke_status find_hashes(load *l)
{
    int64_t count = 0;
    if (!l->hashes) return YOKE_OK;
    for (int t = 0; t < l->ntensors; t++) count += yki_hash_blocks(l->tensors[t].tensor->bytes);
    uint64_t *at = l->blocks = malloc(sizeof *at * (size_t)(count + 1));
    if (!at) return yki_fail_memory("hashes");
    for (int t = 0; t < l->ntensors; t++) {
        YKI_TRY(yki_hashes_find(l->hashes, l->tensors[t].tensor, at));
        l->tensors[t].hashes = at;
        at += yki_hash_blocks(l->tensors[t].tensor->bytes);
    }
    return YOKE_OK;
}

/* Adds every parameter's tensor of some kinds in a file: all must be there, in shape and of numbers. */
static yoke_status add(yoke_trainer *trainer, const char *path, const yki_tensor_kind *kinds, int nkinds,
                       load *l)
{
    const yoke_model *model = trainer->model;
    size_t room = (size_t)(l->ntensors + nkinds * model->nparameters);
    yki_taken_tensor *grown = realloc(l->tensors, sizeof *grown * (room + 1));
    if (!grown) return yki_fail_memory("weights");
    l->tensors = grown;
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    l->files[l->nfiles++] = file;
    for (int k = 0; k < nkinds; k++)
        for (int i = 0; i < model->nparameters; i++) {
            const yki_parameter *p = &model->parameters[i];
            const char *suffix = yki_trainer_suffix(trainer, kinds[k], i);
            if (!suffix) continue;
            const yki_safetensor *tensor = find(file, p->name, suffix);
            if (!tensor)
                return yki_fail_at(YOKE_INVALID, path, 0, "", "has no tensor '%s%s', which the model needs",
                                   p->name, suffix);
            YKI_TRY(check_shape(tensor, p, path, suffix));
            YKI_TRY(yki_safetensors_read_f32(file, tensor, 0, 0, NULL));
            l->tensors[l->ntensors++] = (yki_taken_tensor){kinds[k], i, file, tensor, NULL};
        }
    return YOKE_OK;
}

static yoke_status check_counters(const yoke_trainer *trainer, const load *l)
{
    for (int i = 0; i < trainer->model->ncounters && l->hashes; i++) {
        uint64_t saved;
        const yki_safetensor *tensor = find(l->files[0], trainer->model->counters[i].name, "");
        if (!tensor || yki_hash_blocks(tensor->bytes) != 1) continue;
        YKI_TRY(yki_hashes_find(l->hashes, tensor, &saved));
        YKI_TRY(yki_hash_check(tensor, 0, saved));
    }
    return YOKE_OK;
}

/* Counts of micro-batches, of any integer or floating type; a file without them starts from 0. */
static void take_counters(yoke_trainer *trainer, const yki_safetensors *file)
{
    for (int i = 0; i < trainer->model->ncounters; i++) {
        const yki_safetensor *tensor = find(file, trainer->model->counters[i].name, "");
        float value = 0;
        trainer->tracked[i] = 0;
        if (!tensor || tensor->elems != 1) continue;
        if (tensor->dtype[0] == 'I' || tensor->dtype[0] == 'U')
            memcpy(&trainer->tracked[i], tensor->data, (size_t)yki_safetensors_bits(tensor->dtype) / 8);
        else if (yki_safetensors_read_f32(file, tensor, 0, 1, &value) == YOKE_OK)
            trainer->tracked[i] = (int64_t)value;
    }
}

static const yki_tensor_kind weights[] = {YKI_TENSOR_WEIGHT},
                             moments[] = {YKI_TENSOR_MOMENT1, YKI_TENSOR_MOMENT2};

/* All of it, if adding it went well, in all processes; releases it. */
static yoke_status take(yoke_trainer *trainer, load *l, yoke_status status)
{
    if (status == YOKE_OK) status = find_hashes(l);
    if (status == YOKE_OK) status = check_counters(trainer, l);
    status = yki_trainer_agree(trainer, status, "", 0);
    if (status == YOKE_OK) status = yki_run_take(trainer->run, l->tensors, l->ntensors);
    if (status == YOKE_OK) take_counters(trainer, l->files[0]);
    release(l);
    return status;
}

yoke_status yki_trainer_load_weights(yoke_trainer *trainer, const char *path)
{
    load l = {.nfiles = 0};
    yoke_status status = yki_path_is_folder(path) ? yki_hashes_read(path, &l.hashes) : YOKE_OK;
    if (status == YOKE_OK) status = add(trainer, path, weights, 1, &l);
    return take(trainer, &l, status);
}

/* Weights and optimizer state of a step's folder: both are checked before the first tensor is taken, so that
 * a refusal leaves the trainer as it was. */
static yoke_status load_step(yoke_trainer *trainer, const char *folder, bool hashed)
{
    bool has_moments = trainer->options.optimizer != YOKE_SGD || trainer->options.momentum != 0;
    char path[1300];
    load l = {.nfiles = 0};
    yoke_status status = hashed ? yki_hashes_read(folder, &l.hashes) : YOKE_OK;
    snprintf(path, sizeof path, "%s/optimizer.safetensors", folder);
    if (status == YOKE_OK) status = add(trainer, folder, weights, 1, &l);
    if (status == YOKE_OK && has_moments) status = add(trainer, path, moments, 2, &l);
    return take(trainer, &l, status);
}

static yoke_status find_step(const yoke_trainer *trainer, const char *dir, char folder[YKI_FOLDER_BYTES],
                             char passed_over[256], yki_saved_state *state)
{
    int is_step;
    YKI_TRY(yki_checkpoint_find(dir, folder, &is_step, passed_over));
    if (!is_step)
        return yki_fail(YOKE_INVALID,
                        "%s holds weights but no state to resume from; start from them with model.from",
                        folder);
    YKI_TRY(yki_checkpoint_state(folder, state));
    if (state->batch != trainer->options.batch)
        return yki_fail(YOKE_INVALID,
                        "%s was saved in a run with batch %lld, and this job's is %lld: its place in the "
                        "data would be another",
                        folder, (long long)state->batch, (long long)trainer->options.batch);
    if (state->seed != trainer->options.seed)
        return yki_fail(YOKE_INVALID,
                        "%s was saved in a run with seed %llu, and this job's is %llu: the order of its data "
                        "and its random numbers would be others",
                        folder, (unsigned long long)state->seed, (unsigned long long)trainer->options.seed);
    return YOKE_OK;
}

yoke_status yoke_trainer_resume(yoke_trainer *trainer, const char *dir)
{
    YKI_NEED(trainer, dir);
    char folder[YKI_FOLDER_BYTES] = "", passed_over[256] = "";
    yki_saved_state state = {.step = 0};
    yoke_status status = find_step(trainer, dir, folder, passed_over, &state);
    if (status == YOKE_OK) status = yki_trainer_resume_facts(trainer, folder);
    uint64_t hash = yki_hash_text(folder, (uint64_t)state.step);
    YKI_TRY(yki_trainer_agree(trainer, status, "newest step in the checkpoint", hash));
    YKI_TRY(load_step(trainer, folder, state.hashed));
    trainer->first_step = trainer->next_step = state.step;
    trainer->last_loss = state.last_loss;
    trainer->nevaluations = 0;
    trainer->evaluation_seconds = 0;
    trainer->stopped_early = trainer->suspect = false;
    trainer->skipped = trainer->skipped_before = state.skipped;
    trainer->skipped_in_a_row = state.skipped_in_a_row;
    trainer->standing = (yki_standing){.least_loss = state.least_step > 0 ? state.least_loss : (double)NAN,
                                       .best_loss = state.best_step > 0 ? state.best_loss : (double)NAN,
                                       .least_step = state.least_step,
                                       .best_step = state.best_step,
                                       .no_better = state.no_better};
    snprintf(trainer->saved, sizeof trainer->saved, "%s", folder);
    trainer->saved_step = state.step;
    yki_trainer_event(trainer, YOKE_RUN_RESUMED, folder);
    yki_fail(YOKE_OK, "resumed from %s%s%s%s%s", folder, passed_over[0] ? " (" : "", passed_over,
             passed_over[0] ? ")" : "",
             state.hashed ? "" : "; it has no hashes, so its tensors were not checked against any");
    yki_trainer_notice(trainer);
    return YOKE_OK;
}
