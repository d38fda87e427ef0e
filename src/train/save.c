/* Saving: weights, optimizer state and position by logical name, without a word of the layout but its text.
 * Here files are made, named and given their place; the tensors in them are written by the ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/hashes.h"
#include "job/job.h"
#include "train/trainer.h"

const char *yki_trainer_suffix(const yoke_trainer *trainer, yki_tensor_kind kind, int parameter)
{
    const yoke_train_options *o = &trainer->options;
    if (kind == YKI_TENSOR_WEIGHT) return "";
    if (trainer->model->parameters[parameter].buffer) return NULL;
    if (o->optimizer == YOKE_SGD)
        return kind == YKI_TENSOR_MOMENT1 && o->momentum != 0 ? ".momentum_buffer" : NULL;
    return kind == YKI_TENSOR_MOMENT1 ? ".exp_avg" : ".exp_avg_sq";
}

/* The files of tensors, by kind. */
enum { NFILES = 2 };
static const char *const file_names[NFILES] = {"model.safetensors", "optimizer.safetensors"};
static const yki_tensor_kind kinds[] = {YKI_TENSOR_WEIGHT, YKI_TENSOR_MOMENT1, YKI_TENSOR_MOMENT2};
static const int file_of[] = {[YKI_TENSOR_WEIGHT] = 0, [YKI_TENSOR_MOMENT1] = 1, [YKI_TENSOR_MOMENT2] = 1};
enum { NKINDS = sizeof kinds / sizeof *kinds };

/* Headers and room for all tensors, before the first is written; and their hashes, as they become known. */
typedef struct tensor_files {
    yki_safetensors_writer *writers[NFILES];
    char names[NFILES][YKI_FOLDER_BYTES + 64];
    yki_stored_file files[NFILES];
    yki_stored_tensor *tensors;
    uint64_t *blocks; /* of all tensors */
    int ntensors;
    yki_hashes *hashes;
    bool finite;
} tensor_files;

static size_t tensor_bytes(const yoke_trainer *trainer, int parameter)
{
    return sizeof(float) * (size_t)yki_trainer_elems(trainer, parameter);
}

static void print_name(const yoke_trainer *trainer, yki_tensor_kind kind, int parameter, char name[256])
{
    snprintf(name, 256, "%.200s%s", trainer->model->parameters[parameter].name,
             yki_trainer_suffix(trainer, kind, parameter));
}

yoke_status yki_saved_tensors(const yoke_trainer *trainer, yki_stored_tensor **tensors_out, int *count_out,
                              size_t *bytes_out)
{
    const yoke_model *model = trainer->model;
    yki_stored_tensor *tensors = malloc(sizeof *tensors * (size_t)(NKINDS * model->nparameters + 1));
    int count = 0;
    size_t bytes = 0;
    if (!tensors) return yki_fail_memory("a save");
    for (int k = 0; k < NKINDS; k++)
        for (int i = 0; i < model->nparameters; i++) {
            if (!yki_trainer_suffix(trainer, kinds[k], i)) continue;
            tensors[count++] = (yki_stored_tensor){kinds[k], i, file_of[kinds[k]], bytes, NULL};
            bytes += tensor_bytes(trainer, i);
        }
    *tensors_out = tensors;
    *count_out = count;
    *bytes_out = bytes;
    return YOKE_OK;
}

/* What counts micro-batches: an integer each, beside the weights. */
static yoke_status write_counters(const yoke_trainer *trainer, const yki_snapshot *snapshot,
                                  tensor_files *files, bool declares)
{
    const yoke_model *model = trainer->model;
    int file = file_of[YKI_TENSOR_WEIGHT];
    for (int i = 0; i < model->ncounters; i++) {
        const char *name = model->counters[i].name;
        const int64_t *value = &snapshot->tracked[i];
        uint64_t hash = yki_hash(value, sizeof *value);
        if (declares) {
            YKI_TRY(yki_safetensors_declare(files->writers[file], name, "I64", 0, NULL));
            continue;
        }
        YKI_TRY(yki_safetensors_write(files->writers[file], name, 0, value, sizeof *value));
        YKI_TRY(yki_hashes_add(files->hashes, file_names[file], name, sizeof *value, &hash));
    }
    return YOKE_OK;
}

/* Tensors and room for their blocks' hashes. */
static yoke_status list_tensors(const yoke_trainer *trainer, tensor_files *out)
{
    size_t bytes;
    int64_t nblocks = 0;
    YKI_TRY(yki_hashes_create(&out->hashes));
    YKI_TRY(yki_saved_tensors(trainer, &out->tensors, &out->ntensors, &bytes));
    for (int t = 0; t < out->ntensors; t++)
        nblocks += yki_hash_blocks(tensor_bytes(trainer, out->tensors[t].parameter));
    if (!(out->blocks = malloc(sizeof *out->blocks * (size_t)(nblocks + 1))))
        return yki_fail_memory("a save");
    uint64_t *at = out->blocks;
    for (int t = 0; t < out->ntensors; t++) {
        out->tensors[t].hashes = at;
        at += yki_hash_blocks(tensor_bytes(trainer, out->tensors[t].parameter));
    }
    return YOKE_OK;
}

static yoke_status make_files(const yoke_trainer *trainer, const yki_save *save, const yki_snapshot *snapshot,
                              tensor_files *out)
{
    const yoke_model *model = trainer->model;
    char name[256];
    YKI_TRY(list_tensors(trainer, out));
    for (int f = 0; f < NFILES; f++) {
        YKI_TRY(yki_path_join(out->names[f], sizeof out->names[f], save->temporary, file_names[f]));
        YKI_TRY(yki_safetensors_writer_create(out->names[f], &out->writers[f]));
    }
    for (int t = 0; t < out->ntensors; t++) {
        const yki_stored_tensor *tensor = &out->tensors[t];
        const yki_parameter *p = &model->parameters[tensor->parameter];
        print_name(trainer, tensor->kind, tensor->parameter, name);
        YKI_TRY(yki_safetensors_declare(out->writers[tensor->file], name, "F32", p->ndim, p->dims));
    }
    YKI_TRY(write_counters(trainer, snapshot, out, true));
    for (int f = 0; f < NFILES; f++) {
        YKI_TRY(yki_safetensors_begin(out->writers[f]));
        out->files[f].name = out->names[f];
        out->files[f].path = yki_safetensors_unfinished(out->writers[f], &out->files[f].bytes);
    }
    return write_counters(trainer, snapshot, out, false);
}

/* The ranks write from their memory. */
static yoke_status write_by_ranks(yoke_trainer *trainer, tensor_files *files)
{
    char name[256];
    for (int t = 0; t < files->ntensors; t++) {
        yki_stored_tensor *tensor = &files->tensors[t];
        print_name(trainer, tensor->kind, tensor->parameter, name);
        YKI_TRY(yki_safetensors_hand_out(files->writers[tensor->file], name, &tensor->place));
    }
    return yki_run_store(trainer->run, files->files, NFILES, files->tensors, files->ntensors, &files->finite);
}

/* This thread writes what the ranks staged. */
static yoke_status write_staged(const yoke_trainer *trainer, const char *image, tensor_files *files)
{
    char name[256];
    files->finite = true;
    for (int t = 0; t < files->ntensors; t++) {
        const yki_stored_tensor *tensor = &files->tensors[t];
        const char *data = image + tensor->place;
        size_t bytes = tensor_bytes(trainer, tensor->parameter);
        print_name(trainer, tensor->kind, tensor->parameter, name);
        for (int64_t b = 0; b < yki_hash_blocks(bytes); b++) {
            size_t from = (size_t)b * YKI_HASH_BLOCK_BYTES, length = yki_hash_block_bytes(bytes, b);
            tensor->hashes[b] = yki_hash(data + from, length);
            files->finite &= yki_all_finite(data + from, length);
            YKI_TRY(yki_safetensors_write(files->writers[tensor->file], name, from, data + from, length));
        }
    }
    return YOKE_OK;
}

static yoke_status add_hashes(const yoke_trainer *trainer, tensor_files *files)
{
    char name[256];
    for (int t = 0; t < files->ntensors; t++) {
        const yki_stored_tensor *tensor = &files->tensors[t];
        print_name(trainer, tensor->kind, tensor->parameter, name);
        YKI_TRY(yki_hashes_add(files->hashes, file_names[tensor->file], name,
                               tensor_bytes(trainer, tensor->parameter), tensor->hashes));
    }
    return YOKE_OK;
}

static yoke_status write_tensors(yoke_trainer *trainer, const yki_save *save, yki_snapshot *snapshot)
{
    tensor_files files = {.ntensors = 0};
    yoke_status status = make_files(trainer, save, snapshot, &files);
    if (status == YOKE_OK)
        status = snapshot->image ? write_staged(trainer, snapshot->image, &files)
                                 : write_by_ranks(trainer, &files);
    for (int f = 0; f < NFILES && status == YOKE_OK; f++) {
        status = yki_safetensors_finish(files.writers[f]);
        files.writers[f] = NULL;
    }
    if (status == YOKE_OK) status = add_hashes(trainer, &files);
    if (status == YOKE_OK) status = yki_hashes_save(files.hashes, save);
    snapshot->state.hashed = true;
    snapshot->state.not_finite = !files.finite;
    yoke_error error = *yoke_error_get();
    for (int f = 0; f < NFILES; f++) yki_safetensors_abandon(files.writers[f]);
    yki_hashes_destroy(files.hashes);
    free(files.tensors);
    free(files.blocks);
    if (status != YOKE_OK) yki_error_set(&error);
    return status;
}

static yoke_status write_texts(const yoke_trainer *trainer, const yki_save *save,
                               const yki_snapshot *snapshot)
{
    char *job = trainer->job ? yoke_job_print(trainer->job) : NULL;
    char *config = yki_config_print(&trainer->spec, job);
    yoke_status status = (trainer->job && !job) || !config ? yki_fail_memory("a save") : YOKE_OK;
    if (status == YOKE_OK) status = yki_save_text(save, "config.json", config);
    if (status == YOKE_OK && job) status = yki_save_text(save, "job.yaml", job);
    free(job);
    free(config);
    if (status == YOKE_OK) status = yki_tokenizer_save(trainer, save);
    return status == YOKE_OK ? yki_save_state(save, &snapshot->state) : status;
}

yoke_status yki_snapshot_take(const yoke_trainer *trainer, yki_snapshot *snapshot)
{
    static const char *const optimizers[] = {
        [YOKE_SGD] = "sgd", [YOKE_ADAM] = "adam", [YOKE_ADAMW] = "adamw"};
    size_t counters = sizeof(int64_t) * ((size_t)trainer->model->ncounters + 1);
    *snapshot = (yki_snapshot){.state = {.step = trainer->next_step,
                                         .seed = trainer->options.seed,
                                         .batch = trainer->options.batch,
                                         .last_loss = trainer->last_loss}};
    yki_saved_state *state = &snapshot->state;
    YKI_TRY(yki_layout_text(&trainer->plan->options.layout, state->layout, sizeof state->layout));
    snprintf(state->optimizer, sizeof state->optimizer, "%s", optimizers[trainer->options.optimizer]);
    snprintf(state->precision, sizeof state->precision, "%s",
             trainer->options.precision == YOKE_PRECISION_BF16 ? "bf16" : "f32");
    if (!(snapshot->tracked = malloc(counters))) return yki_fail_memory("a save");
    memcpy(snapshot->tracked, trainer->tracked, counters);
    return YOKE_OK;
}

yoke_status yki_snapshot_write(yoke_trainer *trainer, yki_snapshot *snapshot, const char *dir)
{
    yki_save save;
    YKI_TRY(yki_save_begin(dir, snapshot->state.step, &save));
    yoke_status status = write_tensors(trainer, &save, snapshot);
    if (status == YOKE_OK) status = write_texts(trainer, &save, snapshot);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yki_save_abandon(&save);
        yki_error_set(&error);
        return status;
    }
    YKI_TRY(yki_save_commit(&save, trainer->job ? trainer->job->checkpoint.keep : 0));
    snprintf(snapshot->folder, sizeof snapshot->folder, "%s", save.final);
    return YOKE_OK;
}

yoke_status yoke_trainer_save(yoke_trainer *trainer, const char *dir, char *folder)
{
    yki_snapshot snapshot;
    YKI_TRY(yki_saves_look(trainer, true));
    YKI_TRY(yki_snapshot_take(trainer, &snapshot));
    yoke_status status = yki_snapshot_write(trainer, &snapshot, dir);
    free(snapshot.tracked);
    if (status != YOKE_OK) return status;
    if (folder) snprintf(folder, 1200, "%s", snapshot.folder);
    yki_trainer_event(trainer, YOKE_RUN_SAVED, snapshot.folder);
    return YOKE_OK;
}
