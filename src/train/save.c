/* Saving: weights, optimizer state and position, gathered by logical name, without a word of the layout but
 * its text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

enum { BLOCK = 1 << 18 };

/* Names of the optimizer's moments, after the parameter's. */
static const char *moment_suffix(const yoke_trainer *trainer, yki_tensor_kind kind)
{
    if (trainer->options.optimizer == YOKE_SGD)
        return kind == YKI_TENSOR_MOMENT1 && trainer->options.momentum != 0 ? ".momentum_buffer" : NULL;
    return kind == YKI_TENSOR_MOMENT1 ? ".exp_avg" : ".exp_avg_sq";
}

static yoke_status write_tensor(yoke_trainer *trainer, yki_safetensors_writer *writer, yki_tensor_kind kind,
                                int parameter, const char *name, float *block)
{
    int64_t elems = yki_trainer_elems(trainer, parameter);
    for (int64_t first = 0; first < elems; first += BLOCK) {
        int64_t count = elems - first < BLOCK ? elems - first : BLOCK;
        yki_run_read(trainer->run, kind, parameter, first, count, block);
        YKI_TRY(yki_safetensors_write(writer, name, (size_t)first * 4, block, (size_t)count * 4));
    }
    return YOKE_OK;
}

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

/* One file: tensors of kinds[0..nkinds), or of the weights. */
static yoke_status write_file(yoke_trainer *trainer, const char *folder, const char *file,
                              const yki_tensor_kind *kinds, int nkinds)
{
    const yoke_model *model = trainer->model;
    char path[1300], name[256];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    yki_safetensors_writer *writer;
    YKI_TRY(yki_safetensors_writer_create(path, &writer));
    float *block = malloc(sizeof *block * BLOCK);
    yoke_status status = block ? YOKE_OK : yki_fail_memory("a save");
    for (int pass = 0; pass < 2 && status == YOKE_OK; pass++) {
        for (int k = 0; k < nkinds && status == YOKE_OK; k++)
            for (int i = 0; i < model->nparameters && status == YOKE_OK; i++) {
                const yki_parameter *p = &model->parameters[i];
                const char *suffix = kinds[k] == YKI_TENSOR_WEIGHT ? "" : moment_suffix(trainer, kinds[k]);
                if (!suffix || (*suffix && p->buffer)) continue;
                snprintf(name, sizeof name, "%.200s%s", p->name, suffix);
                status = pass == 0 ? yki_safetensors_declare(writer, name, "F32", p->ndim, p->dims)
                                   : write_tensor(trainer, writer, kinds[k], i, name, block);
            }
        if (status == YOKE_OK && kinds[0] == YKI_TENSOR_WEIGHT)
            status = write_counters(trainer, writer, pass == 0);
        if (pass == 0 && status == YOKE_OK) status = yki_safetensors_begin(writer);
    }
    free(block);
    if (status == YOKE_OK) return yki_safetensors_finish(writer);
    yoke_error error = *yoke_error_get();
    yki_safetensors_abandon(writer);
    yki_error_set(&error);
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
    const yki_tensor_kind weights[] = {YKI_TENSOR_WEIGHT},
                          moments[] = {YKI_TENSOR_MOMENT1, YKI_TENSOR_MOMENT2};
    yoke_status status = write_file(trainer, save.temporary, "model.safetensors", weights, 1);
    if (status == YOKE_OK) status = write_file(trainer, save.temporary, "optimizer.safetensors", moments, 2);
    if (status == YOKE_OK) status = write_texts(trainer, &save);
    if (status != YOKE_OK) {
        yoke_error error = *yoke_error_get();
        yki_save_abandon(&save);
        yki_error_set(&error);
        return status;
    }
    YKI_TRY(yki_save_commit(&save, trainer->job ? trainer->job->checkpoint.keep : 0));
    if (folder) snprintf(folder, 1200, "%s", save.final);
    return YOKE_OK;
}
