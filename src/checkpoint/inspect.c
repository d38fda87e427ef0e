/* yoke_inspect: a checkpoint's folder, state and tensors as one description. */
#include "yoke/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/checkpoint.h"

void yoke_inspection_destroy(yoke_inspection *inspection)
{
    if (!inspection) return;
    for (int i = 0; i < inspection->ntensors; i++) free(inspection->tensors[i].name);
    free(inspection->tensors);
    free(inspection);
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Buffers that some files carry beside the weights; nothing trains them. */
static bool is_buffer(const char *model_type, const char *name)
{
    if (strcmp(model_type, "gpt2") == 0)
        return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias");
    return strcmp(model_type, "llama") == 0 && ends_with(name, ".rotary_emb.inv_freq");
}

static yoke_status append(yoke_inspection *made, const yki_safetensors *file, const char *from,
                          int64_t *bytes)
{
    int count = yki_safetensors_count(file);
    *bytes = 0;
    yoke_inspected_tensor *grown =
        realloc(made->tensors, ((size_t)made->ntensors + (size_t)count + 1) * sizeof *grown);
    if (!grown) return yki_fail_memory("tensor descriptions");
    made->tensors = grown;
    for (int i = 0; i < count; i++) {
        const yki_safetensor *tensor = yki_safetensors_get(file, i);
        yoke_inspected_tensor *out = &grown[made->ntensors];
        *out = (yoke_inspected_tensor){.ndim = tensor->ndim, .elems = tensor->elems, .from = from};
        out->bytes = (int64_t)tensor->bytes;
        memcpy(out->dtype, tensor->dtype, sizeof out->dtype);
        memcpy(out->dims, tensor->dims, sizeof out->dims);
        if (!(out->name = strdup(tensor->name))) return yki_fail_memory("tensor names");
        made->ntensors++;
        *bytes += out->bytes;
        if (strcmp(from, "model") == 0 && !is_buffer(made->model_type, out->name))
            made->parameters += out->elems;
    }
    return YOKE_OK;
}

static yoke_status read_tensors(yoke_inspection *made, const char *path, const char *from, int64_t *bytes)
{
    yki_safetensors *file;
    YKI_TRY(yki_safetensors_open(path, &file));
    yoke_status status = append(made, file, from, bytes);
    yki_safetensors_close(file);
    return status;
}

static yoke_status read_folder(yoke_inspection *made, const char *folder)
{
    char path[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_path_join(path, sizeof path, folder, "config.json"));
    if (yki_path_exists(path)) YKI_TRY(yki_config_type(folder, made->model_type));
    if (yki_is_adapter(folder)) YKI_TRY(yki_adapter_file(folder, path));
    YKI_TRY(read_tensors(made, yki_is_adapter(folder) ? path : folder, "model", &made->model_bytes));
    if (!made->is_step) return YOKE_OK;
    yki_saved_state state;
    YKI_TRY(yki_checkpoint_state(folder, &state));
    made->step = state.step;
    made->batch = state.batch;
    made->seed = state.seed;
    made->loss = state.last_loss;
    memcpy(made->run, state.identity.run, sizeof made->run);
    memcpy(made->layout, state.layout, sizeof made->layout);
    memcpy(made->optimizer, state.optimizer, sizeof made->optimizer);
    memcpy(made->precision, state.precision, sizeof made->precision);
    YKI_TRY(yki_path_join(path, sizeof path, folder, "optimizer.safetensors"));
    return read_tensors(made, path, "optimizer", &made->optimizer_bytes);
}

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), of_end = strlen(end);
    return length > of_end && strcmp(path + length - of_end, end) == 0;
}

static yoke_status inspect(yoke_inspection *made, const char *path)
{
    if (yki_path_exists(path) && !yki_path_is_folder(path)) {
        snprintf(made->path, sizeof made->path, "%.1199s", path);
        yoke_status status = read_tensors(made, path, "model", &made->model_bytes);
        return status == YOKE_INVALID && !ends_in(path, ".safetensors")
                   ? yki_fail_at(YOKE_INVALID, path, 0, "",
                                 "is a file where a checkpoint's folder or a .safetensors file is needed")
                   : status;
    }
    int is_step;
    YKI_TRY(yki_checkpoint_find(path, made->path, &is_step, made->note));
    made->is_step = is_step;
    return read_folder(made, made->path);
}

yoke_status yoke_inspect(const char *path, yoke_inspection **inspection_out)
{
    YKI_NEED(path, inspection_out);
    yoke_inspection *made = calloc(1, sizeof *made);
    if (!made) return yki_fail_memory("an inspection");
    made->step = made->batch = made->optimizer_bytes = -1;
    made->loss = (double)NAN;
    yoke_status status = inspect(made, path);
    if (status != YOKE_OK) {
        yoke_inspection_destroy(made);
        return status;
    }
    *inspection_out = made;
    return YOKE_OK;
}
