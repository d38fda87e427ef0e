/* Saving: weights, optimizer state and position by logical name, without a word of the layout but its text.
 * Here files are made, named and given their place; the tensors in them are written by the ranks. */
#include <stdio.h>
#include <stdlib.h>

#include "base/disk.h"
#include "base/fail.h"
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

/* What counts micro-batches: an integer each, beside the weights. */
static yoke_status write_counters(yoke_trainer *trainer, yki_safetensors_writer *writer, bool declares)
{
    const yoke_model *model = trainer->model;
    for (int i = 0; i < model->ncounters; i++) {
        const char *name = model->counters[i].name;
        YKI_TRY(declares ? yki_safetensors_declare(writer, name, "I64", 0, NULL)
                         : yki_safetensors_write(writer, name, 0, &trainer->tracked[i],
                                                 sizeof trainer->tracked[i]));
    }
    return YOKE_OK;
}

/* Headers and room for all tensors, before ranks write the first. */
typedef struct tensor_files {
    yki_safetensors_writer *writers[NFILES];
    char names[NFILES][YKI_FOLDER_BYTES + 64];
    yki_stored_file files[NFILES];
    yki_stored_tensor *tensors;
    int ntensors;
} tensor_files;

static yoke_status make_files(yoke_trainer *trainer, const yki_save *save, tensor_files *out)
{
    const yoke_model *model = trainer->model;
    char name[256];
    out->tensors = malloc(sizeof *out->tensors * (size_t)(NKINDS * model->nparameters + 1));
    if (!out->tensors) return yki_fail_memory("a save");
    for (int f = 0; f < NFILES; f++) {
        YKI_TRY(yki_path_join(out->names[f], sizeof out->names[f], save->temporary, file_names[f]));
        YKI_TRY(yki_safetensors_writer_create(out->names[f], &out->writers[f]));
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < NKINDS; k++)
            for (int i = 0; i < model->nparameters; i++) {
                const yki_parameter *p = &model->parameters[i];
                const char *suffix = yki_trainer_suffix(trainer, kinds[k], i);
                yki_safetensors_writer *writer = out->writers[file_of[kinds[k]]];
                if (!suffix) continue;
                snprintf(name, sizeof name, "%.200s%s", p->name, suffix);
                if (pass == 0) {
                    YKI_TRY(yki_safetensors_declare(writer, name, "F32", p->ndim, p->dims));
                    continue;
                }
                yki_stored_tensor *tensor = &out->tensors[out->ntensors++];
                *tensor = (yki_stored_tensor){kinds[k], i, file_of[kinds[k]], 0};
                YKI_TRY(yki_safetensors_hand_out(writer, name, &tensor->place));
            }
        YKI_TRY(write_counters(trainer, out->writers[file_of[YKI_TENSOR_WEIGHT]], pass == 0));
        for (int f = 0; f < NFILES && pass == 0; f++) YKI_TRY(yki_safetensors_begin(out->writers[f]));
    }
    for (int f = 0; f < NFILES; f++) {
        out->files[f].name = out->names[f];
        out->files[f].path = yki_safetensors_unfinished(out->writers[f], &out->files[f].bytes);
    }
    return YOKE_OK;
}

static yoke_status write_tensors(yoke_trainer *trainer, const yki_save *save)
{
    tensor_files files = {.ntensors = 0};
    yoke_status status = make_files(trainer, save, &files);
    if (status == YOKE_OK)
        status = yki_run_store(trainer->run, files.files, NFILES, files.tensors, files.ntensors);
    for (int f = 0; f < NFILES && status == YOKE_OK; f++) {
        status = yki_safetensors_finish(files.writers[f]);
        files.writers[f] = NULL;
    }
    yoke_error error = *yoke_error_get();
    for (int f = 0; f < NFILES; f++) yki_safetensors_abandon(files.writers[f]);
    free(files.tensors);
    if (status != YOKE_OK) yki_error_set(&error);
    return status;
}

static yoke_status write_texts(yoke_trainer *trainer, const yki_save *save)
{
    static const char *const optimizers[] = {
        [YOKE_SGD] = "sgd", [YOKE_ADAM] = "adam", [YOKE_ADAMW] = "adamw"};
    yki_saved_state state = {.step = trainer->next_step,
                             .seed = trainer->options.seed,
                             .batch = trainer->options.batch,
                             .last_loss = trainer->last_loss};
    yoke_layout_print(&trainer->plan->options.layout, state.layout, sizeof state.layout);
    snprintf(state.optimizer, sizeof state.optimizer, "%s", optimizers[trainer->options.optimizer]);
    snprintf(state.precision, sizeof state.precision, "%s",
             trainer->options.precision == YOKE_PRECISION_BF16 ? "bf16" : "f32");
    char *job = trainer->job ? yoke_job_print(trainer->job) : NULL;
    char *config = yki_config_print(&trainer->spec, job);
    yoke_status status = (trainer->job && !job) || !config ? yki_fail_memory("a save") : YOKE_OK;
    if (status == YOKE_OK) status = yki_save_text(save, "config.json", config);
    if (status == YOKE_OK && job) status = yki_save_text(save, "job.yaml", job);
    free(job);
    free(config);
    if (status == YOKE_OK) status = yki_tokenizer_save(trainer, save);
    return status == YOKE_OK ? yki_save_state(save, &state) : status;
}

yoke_status yoke_trainer_save(yoke_trainer *trainer, const char *dir, char *folder)
{
    yki_save save;
    YKI_TRY(yki_save_begin(dir, trainer->next_step, &save));
    yoke_status status = write_tensors(trainer, &save);
    if (status == YOKE_OK) status = write_texts(trainer, &save);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yki_save_abandon(&save);
        yki_error_set(&error);
        return status;
    }
    YKI_TRY(yki_save_commit(&save, trainer->job ? trainer->job->checkpoint.keep : 0));
    if (folder) snprintf(folder, 1200, "%s", save.final);
    yki_trainer_event(trainer, YOKE_RUN_SAVED, save.final);
    return YOKE_OK;
}
