/* Saving: weights, optimizer state and position by logical name, without a word of the layout but its text.
 * Here files are made, named and given their place; the tensors in them are written by the ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "comm/cluster.h"
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
    char paths[NFILES][YKI_FOLDER_BYTES + 64]; /* that another process told */
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

/* What the other processes' ranks need of the files that the first one made. */
static yoke_status share_files(yoke_trainer *trainer, yoke_status status, tensor_files *files)
{
    struct {
        char names[NFILES][sizeof files->names[0]], paths[NFILES][sizeof files->names[0]];
        size_t bytes[NFILES];
        int ntensors;
    } told = {.ntensors = files->ntensors};
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    if (trainer->alone || yki_cluster_size() == 1) return YOKE_OK;
    bool leads = yki_trainer_leads(trainer);
    for (int f = 0; f < NFILES && leads; f++) {
        snprintf(told.names[f], sizeof told.names[f], "%s", files->files[f].name);
        snprintf(told.paths[f], sizeof told.paths[f], "%s", files->files[f].path);
        told.bytes[f] = files->files[f].bytes;
    }
    YKI_TRY(yki_trainer_share(trainer, &told, sizeof told));
    size_t bytes = sizeof *files->tensors * (size_t)(told.ntensors + 1);
    if (!leads) files->tensors = calloc(1, bytes);
    YKI_TRY(yki_trainer_agree(trainer, files->tensors ? YOKE_OK : yki_fail_memory("a save"), "", 0));
    YKI_TRY(yki_trainer_share(trainer, files->tensors, bytes));
    files->ntensors = told.ntensors;
    for (int f = 0; f < NFILES && !leads; f++) {
        memcpy(files->names[f], told.names[f], sizeof files->names[f]);
        memcpy(files->paths[f], told.paths[f], sizeof files->paths[f]);
        files->files[f] = (yki_stored_file){files->paths[f], files->names[f], told.bytes[f]};
    }
    return YOKE_OK;
}

static yoke_status write_tensors(yoke_trainer *trainer, const yki_save *save)
{
    tensor_files files = {.ntensors = 0};
    bool leads = yki_trainer_leads(trainer);
    yoke_status status = share_files(trainer, leads ? make_files(trainer, save, &files) : YOKE_OK, &files);
    if (status == YOKE_OK)
        status = yki_run_store(trainer->run, files.files, NFILES, files.tensors, files.ntensors);
    for (int f = 0; f < NFILES && status == YOKE_OK && leads; f++) {
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
    yki_save save = {.step = trainer->next_step};
    bool leads = yki_trainer_leads(trainer);
    yoke_status status = leads ? yki_save_begin(dir, trainer->next_step, &save) : YOKE_OK;
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    status = write_tensors(trainer, &save);
    if (status == YOKE_OK && leads) status = write_texts(trainer, &save);
    status = yki_trainer_agree(trainer, status, "", 0);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        if (leads) yki_save_abandon(&save);
        yki_error_set(&error);
        return status;
    }
    if (leads) status = yki_save_commit(&save, trainer->job ? trainer->job->checkpoint.keep : 0);
    YKI_TRY(yki_trainer_agree(trainer, status, "", 0));
    YKI_TRY(yki_trainer_share(trainer, save.final, sizeof save.final));
    if (folder) snprintf(folder, 1200, "%s", save.final);
    yki_trainer_event(trainer, YOKE_RUN_SAVED, save.final);
    return YOKE_OK;
}
