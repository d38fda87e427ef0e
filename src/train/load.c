/* Loading: tensors of a file or folder by name, checked against the model before the first is taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

enum { BLOCK = 1 << 18 };

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

/* Every parameter's tensor must be there, in shape and finite, before any is taken. */
static yoke_status check_all(yoke_trainer *trainer, const yki_safetensors *file, const char *path,
                             const char *suffix)
{
    const yoke_model *model = trainer->model;
    for (int i = 0; i < model->nparameters; i++) {
        if (*suffix && model->parameters[i].buffer) continue;
        const yki_safetensor *tensor = find(file, model->parameters[i].name, suffix);
        if (!tensor)
            return yki_fail_at(YOKE_INVALID, path, 0, "", "has no tensor '%s%s', which the model needs",
                               model->parameters[i].name, suffix);
        YKI_TRY(check_shape(tensor, &model->parameters[i], path, suffix));
        YKI_TRY(yki_safetensors_check_finite(file, tensor));
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

static yoke_status take_all(yoke_trainer *trainer, const yki_safetensors *file, yki_tensor_kind kind,
                            const char *suffix)
{
    float *block = malloc(sizeof *block * BLOCK);
    if (!block) return yki_fail_memory("weights");
    yoke_status status = YOKE_OK;
    for (int i = 0; i < trainer->model->nparameters && status == YOKE_OK; i++) {
        if (*suffix && trainer->model->parameters[i].buffer) continue;
        const yki_safetensor *tensor = find(file, trainer->model->parameters[i].name, suffix);
        for (int64_t first = 0; first < tensor->elems && status == YOKE_OK; first += BLOCK) {
            int64_t count = tensor->elems - first < BLOCK ? tensor->elems - first : BLOCK;
            status = yki_safetensors_read_f32(file, tensor, first, count, block);
            if (status == YOKE_OK) yki_run_write(trainer->run, kind, i, first, count, block);
        }
    }
    free(block);
    if (status == YOKE_OK && kind == YKI_TENSOR_WEIGHT) take_counters(trainer, file);
    return status;
}

yoke_status yki_trainer_load_weights(yoke_trainer *trainer, const char *path)
{
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    yoke_status status = check_all(trainer, file, path, "");
    if (status == YOKE_OK) status = take_all(trainer, file, YKI_TENSOR_WEIGHT, "");
    yki_safetensors_close(file);
    return status;
}

/* Weights and optimizer state of a step's folder: both are checked before the first tensor is taken, so that
 * a refusal leaves the trainer as it was. */
static yoke_status load_step(yoke_trainer *trainer, const char *folder)
{
    bool sgd = trainer->options.optimizer == YOKE_SGD, moments = !sgd || trainer->options.momentum != 0;
    const char *first = sgd ? ".momentum_buffer" : ".exp_avg";
    char path[1300];
    snprintf(path, sizeof path, "%s/optimizer.safetensors", folder);
    yki_safetensors *weights, *state = NULL;
    YKI_TRY(yki_safetensors_open(folder, &weights));
    yoke_status status = check_all(trainer, weights, folder, "");
    if (status == YOKE_OK && moments) status = yki_safetensors_open(path, &state);
    if (status == YOKE_OK && moments) status = check_all(trainer, state, path, first);
    if (status == YOKE_OK && !sgd) status = check_all(trainer, state, path, ".exp_avg_sq");
    if (status == YOKE_OK) status = take_all(trainer, weights, YKI_TENSOR_WEIGHT, "");
    if (status == YOKE_OK && moments) status = take_all(trainer, state, YKI_TENSOR_MOMENT1, first);
    if (status == YOKE_OK && !sgd) status = take_all(trainer, state, YKI_TENSOR_MOMENT2, ".exp_avg_sq");
    yki_safetensors_close(weights);
    if (state) yki_safetensors_close(state);
    return status;
}

yoke_status yoke_trainer_resume(yoke_trainer *trainer, const char *dir)
{
    char folder[YKI_FOLDER_BYTES];
    int is_step;
    YKI_TRY(yki_checkpoint_find(dir, folder, &is_step, NULL));
    if (!is_step)
        return yki_fail(YOKE_INVALID,
                        "%s holds weights but no state to resume from; start from them with model.from",
                        folder);
    yki_saved_state state;
    YKI_TRY(yki_checkpoint_state(folder, &state));
    if (state.batch != trainer->options.batch)
        return yki_fail(YOKE_INVALID,
                        "%s was saved in a run with batch %lld, and this job's is %lld: its place in the "
                        "data would be another",
                        folder, (long long)state.batch, (long long)trainer->options.batch);
    YKI_TRY(load_step(trainer, folder));
    trainer->first_step = trainer->next_step = state.step;
    trainer->last_loss = state.last_loss;
    return YOKE_OK;
}
