/* merge: a base and its adapters as one model's folder, as the base's files are laid out: W + (alpha / rank)
 * B A in the type that W has, all other tensors and files as they are. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bf16.h"
#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "model/model.h"
#include "model/source.h"
#include "train/trainer.h"
#include "yoke/checkpoint.h"

typedef struct merging {
    yki_source source;
    yoke_model *model;
    yki_safetensors *base, *adapter;
    yki_safetensors_writer *writer;
    int *low; /* of each parameter of the base, its adapter's lora_A; -1 */
    char temporary[YKI_FOLDER_BYTES + 64];
    int count; /* tensors that are merged */
} merging;

/* ---- what goes together ---- */

/* The module's weight that a lora_A is beside; -1: the parameter is none. */
static int base_of(const yoke_model *model, int parameter)
{
    static const char end[] = ".lora_A.weight", begin[] = YKI_ADAPTER_PREFIX;
    const char *name = model->parameters[parameter].name + sizeof begin - 1,
               *above = model->adapter.above ? model->adapter.above : "";
    char weight[300];
    size_t length = strlen(model->parameters[parameter].name), module;
    if (!model->parameters[parameter].of_adapter || length < sizeof end + sizeof begin ||
        strcmp(model->parameters[parameter].name + length - (sizeof end - 1), end) != 0)
        return -1;
    module = length - (sizeof begin - 1) - (sizeof end - 1) - strlen(above);
    snprintf(weight, sizeof weight, "%.*s.weight", (int)module, name + strlen(above));
    return yki_graph_find(model, weight);
}

static yoke_status pair(merging *m)
{
    m->low = malloc(sizeof *m->low * (size_t)m->model->nparameters);
    if (!m->low) return yki_fail_memory("a merge");
    for (int i = 0; i < m->model->nparameters; i++) m->low[i] = -1;
    for (int i = 0; i < m->model->nparameters; i++) {
        int base = base_of(m->model, i);
        if (base < 0) continue;
        m->low[base] = i;
        m->count++;
    }
    return YOKE_OK;
}

/* The adapter's tensors are the model's, and finite. */
static yoke_status check_adapter(const merging *m, const char *path)
{
    for (int i = 0; i < m->model->nparameters; i++) {
        const yki_parameter *p = &m->model->parameters[i];
        if (!p->of_adapter) continue;
        const yki_safetensor *tensor = yki_safetensors_find(m->adapter, p->name);
        if (!tensor)
            return yki_fail_at(YOKE_INVALID, path, 0, "", "has no tensor '%s', which the adapter needs",
                               p->name);
        YKI_TRY(yki_tensor_check_shape(tensor, p, path, ""));
        YKI_TRY(yki_safetensors_check_finite(m->adapter, tensor));
    }
    for (int i = 0; i < yki_safetensors_count(m->adapter); i++) {
        const char *name = yki_safetensors_get(m->adapter, i)->name;
        int known = yki_graph_find(m->model, name);
        if (known < 0 || !m->model->parameters[known].of_adapter)
            return yki_fail_at(YOKE_INVALID, path, 0, "",
                               "has tensor '%.150s', for which the model has no place", name);
    }
    return YOKE_OK;
}

/* Every parameter of the base has its tensor in the base's file. */
static yoke_status check_base(const merging *m)
{
    for (int i = 0; i < m->model->nparameters; i++) {
        const yki_parameter *p = &m->model->parameters[i];
        if (p->of_adapter) continue;
        const yki_safetensor *tensor = yki_tensor_find(m->base, p->name, "");
        if (!tensor)
            return yki_fail_at(YOKE_INVALID, m->source.from, 0, "",
                               "has no tensor '%s', which the model needs", p->name);
        YKI_TRY(yki_tensor_check_shape(tensor, p, m->source.from, ""));
    }
    return YOKE_OK;
}

/* ---- arithmetic ---- */

/* row[0..columns) += scale * sum over k of left[k] * right[k * columns + i] */
static void add_row(float *row, double *sum, const float *left, int64_t step, const float *right,
                    int64_t rank, int64_t columns, double scale)
{
    memset(sum, 0, sizeof *sum * (size_t)columns);
    for (int64_t k = 0; k < rank; k++) {
        double factor = scale * (double)left[k * step];
        const float *from = right + k * columns;
        for (int64_t i = 0; i < columns; i++) sum[i] += factor * (double)from[i];
    }
    for (int64_t i = 0; i < columns; i++) row[i] = (float)((double)row[i] + sum[i]);
}

/* values [out, in], or as files have it transposed [in, out], += scale B A. */
static yoke_status add_product(float *values, const float *a, const float *b, int64_t out, int64_t in,
                               const yki_model_adapter *of, bool transposed)
{
    int64_t rows = transposed ? in : out, columns = transposed ? out : in, rank = of->rank;
    double *sum = malloc(sizeof *sum * (size_t)columns);
    float *turned = transposed ? malloc(sizeof *turned * (size_t)(rank * out)) : NULL; /* B^T */
    if (sum && turned)
        for (int64_t k = 0; k < rank; k++)
            for (int64_t o = 0; o < out; o++) turned[k * out + o] = b[o * rank + k];
    for (int64_t r = 0; r < rows && sum && (turned || !transposed); r++)
        add_row(values + r * columns, sum, transposed ? a + r : b + r * rank, transposed ? in : 1,
                transposed ? turned : a, rank, columns, of->scale);
    bool made = sum && (turned || !transposed);
    free(sum);
    free(turned);
    return made ? YOKE_OK : yki_fail_memory("a merge");
}

/* To the nearest, ties to even; what is too large is infinity. */
static uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest >= 0x7f800000) return (uint16_t)(sign | 0x7c00 | (rest > 0x7f800000 ? 0x200 : 0));
    if (rest < 0x38800000) { /* below the least normal number: in steps of 2^-24 */
        float scaled;
        memcpy(&scaled, &rest, sizeof scaled);
        scaled = scaled * 0x1p24f + 0x1p23f; /* rounds */
        memcpy(&rest, &scaled, sizeof rest);
        return (uint16_t)(sign | (rest & 0x7fffff));
    }
    rest += 0xfff + (rest >> 13 & 1);
    return (uint16_t)(sign | (rest >= 0x47800000 ? 0x7c00 : (rest - 0x38000000) >> 13));
}

/* f32 values to a type of files, in place of them or behind: `to` has room for 8 bytes each. */
static bool store_as(const char *dtype, const float *values, int64_t count, void *to)
{
    if (strcmp(dtype, "F32") == 0)
        memcpy(to, values, sizeof *values * (size_t)count);
    else if (strcmp(dtype, "BF16") == 0)
        for (int64_t i = 0; i < count; i++) ((uint16_t *)to)[i] = yki_bf16_from_f32(values[i]);
    else if (strcmp(dtype, "F16") == 0)
        for (int64_t i = 0; i < count; i++) ((uint16_t *)to)[i] = half_of(values[i]);
    else if (strcmp(dtype, "F64") == 0)
        for (int64_t i = 0; i < count; i++) ((double *)to)[i] = (double)values[i];
    else
        return false;
    return true;
}

/* ---- files ---- */

static yoke_status write_merged(merging *m, const yki_safetensor *tensor, const yki_parameter *p, int low)
{
    const yki_parameter *a = &m->model->parameters[low], *b = &m->model->parameters[low + 1];
    int64_t rank = a->dims[0], in = a->dims[1], out = b->dims[0];
    float *values = malloc(sizeof *values * (size_t)tensor->elems),
          *left = malloc(sizeof *left * (size_t)(out * rank)),
          *right = malloc(sizeof *right * (size_t)(rank * in));
    void *stored = malloc(8 * (size_t)tensor->elems + 1);
    yoke_status status = values && left && right && stored ? YOKE_OK : yki_fail_memory("a merge");
    if (status == YOKE_OK) status = yki_safetensors_read_f32(m->base, tensor, 0, tensor->elems, values);
    if (status == YOKE_OK)
        status = yki_safetensors_read_f32(m->adapter, yki_safetensors_find(m->adapter, b->name), 0,
                                          out * rank, left);
    if (status == YOKE_OK)
        status = yki_safetensors_read_f32(m->adapter, yki_safetensors_find(m->adapter, a->name), 0, rank * in,
                                          right);
    if (status == YOKE_OK)
        status = add_product(values, right, left, out, in, &m->model->adapter, p->transposed);
    if (status == YOKE_OK && !store_as(tensor->dtype, values, tensor->elems, stored))
        status =
            yki_fail_at(YOKE_INVALID, tensor->path, 0, "",
                        "tensor '%.100s' is of type %s, which is not merged", tensor->name, tensor->dtype);
    if (status == YOKE_OK) status = yki_safetensors_write(m->writer, tensor->name, 0, stored, tensor->bytes);
    free(values);
    free(left);
    free(right);
    free(stored);
    return status;
}

static yoke_status write_tensors(merging *m)
{
    char path[YKI_FOLDER_BYTES + 128];
    YKI_TRY(yki_path_join(path, sizeof path, m->temporary, "model.safetensors"));
    YKI_TRY(yki_safetensors_writer_create(path, &m->writer));
    int count = yki_safetensors_count(m->base);
    for (int i = 0; i < count; i++) {
        const yki_safetensor *t = yki_safetensors_get(m->base, i);
        YKI_TRY(yki_safetensors_declare(m->writer, t->name, t->dtype, t->ndim, t->dims));
    }
    YKI_TRY(yki_safetensors_begin(m->writer));
    for (int i = 0; i < count; i++) {
        const yki_safetensor *t = yki_safetensors_get(m->base, i);
        int known = yki_graph_find(m->model, t->name);
        if (known < 0 && strncmp(t->name, "transformer.", 12) == 0)
            known = yki_graph_find(m->model, t->name + 12);
        if (known >= 0 && m->low[known] >= 0)
            YKI_TRY(write_merged(m, t, &m->model->parameters[known], m->low[known]));
        else
            YKI_TRY(yki_safetensors_write(m->writer, t->name, 0, t->data, t->bytes));
    }
    yki_safetensors_writer *writer = m->writer;
    m->writer = NULL;
    return yki_safetensors_finish(writer);
}

/* Where it is not there yet. */
static yoke_status copy_file(const merging *m, const char *folder, const char *name)
{
    char from[YKI_FOLDER_BYTES + 300], to[YKI_FOLDER_BYTES + 400], *bytes;
    size_t count;
    struct stat about;
    YKI_TRY(yki_path_join(from, sizeof from, folder, name));
    YKI_TRY(yki_path_join(to, sizeof to, m->temporary, name));
    if (stat(from, &about) != 0 || !S_ISREG(about.st_mode) || yki_path_exists(to)) return YOKE_OK;
    YKI_TRY(yki_disk_read(from, YKI_JSON_LIMIT_BYTES, &bytes, &count));
    yoke_status status = yki_disk_create(to, bytes, count);
    free(bytes);
    return status;
}

/* Tokenizer, configurations and the like, of the base, else of the adapter's step; where there is no
 * config.json, one is made. */
static yoke_status copy_files(const merging *m)
{
    char path[YKI_FOLDER_BYTES + 128];
    const char *const folders[] = {m->source.folder, m->source.adapter};
    for (int i = 0; i < 2 * YKI_BESIDE_COUNT; i++) {
        const char *folder = folders[i / YKI_BESIDE_COUNT];
        if (folder[0]) YKI_TRY(copy_file(m, folder, yki_beside_name(i % YKI_BESIDE_COUNT)));
    }
    YKI_TRY(yki_path_join(path, sizeof path, m->temporary, "config.json"));
    if (yki_path_exists(path)) return YOKE_OK;
    char *config = yki_config_print(&m->source.job.model, NULL, NULL, NULL);
    if (!config) return yki_fail_memory("config.json");
    yoke_status status = yki_disk_create(path, config, strlen(config));
    free(config);
    return status;
}

/* ---- the whole ---- */

/* What a folder of adapters is beside: as its job says, or as the caller does. */
static yoke_status find_job(const char *folder, const char *base, yoke_job **job_out)
{
    bool own = yki_folder_has(folder, "job.yaml");
    int is_step;
    char found[YKI_FOLDER_BYTES];
    if (!own && !base)
        return yki_fail(YOKE_INVALID,
                        "%s does not say which base its adapters belong to: --base FOLDER names it", folder);
    if (own) YKI_TRY(yki_job_of_folder(folder, job_out));
    if (base) YKI_TRY(yki_checkpoint_find(base, found, &is_step, NULL));
    if (!own) YKI_TRY(yki_job_of_folder(found, job_out));
    yoke_model_spec *spec = &(*job_out)->model;
    if (base) snprintf(spec->from, sizeof spec->from, "%.1000s", found);
    if (!own) {
        spec->adapter.kind = YOKE_ADAPTER_LORA;
        spec->adapter.dropout = -1;
    }
    return YOKE_OK;
}

static yoke_status open_all(merging *m, const char *folder, const yoke_job *job)
{
    char path[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_source_read(job, folder, true, 1, &m->source));
    YKI_TRY(yki_model_from_job(&m->source.job, &m->model));
    YKI_TRY(pair(m));
    YKI_TRY(yki_safetensors_open(m->source.from, &m->base));
    YKI_TRY(yki_adapter_file(m->source.adapter, path));
    YKI_TRY(yki_safetensors_open(path, &m->adapter));
    YKI_TRY(check_adapter(m, path));
    YKI_TRY(check_base(m));
    uint64_t hash = 0;
    for (int i = 0; i < m->model->nparameters; i++)
        if (!m->model->parameters[i].of_adapter)
            hash = yki_hash_tensor(yki_tensor_find(m->base, m->model->parameters[i].name, ""), hash);
    return yki_base_check(m->source.adapter, m->source.from, hash);
}

/* Nothing is there, or a folder with nothing in it. */
static yoke_status check_out(const char *out)
{
    DIR *listing = yki_path_exists(out) ? opendir(out) : NULL;
    int count = 0;
    if (!yki_path_exists(out)) return YOKE_OK;
    if (!listing) return yki_fail_at(YOKE_INVALID, out, 0, "", "is no folder to write a model into");
    for (struct dirent *found; (found = readdir(listing));)
        count += strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0;
    closedir(listing);
    return count == 0 ? YOKE_OK
                      : yki_fail_at(YOKE_INVALID, out, 0, "",
                                    "is there already, and not empty; a merged model goes into a new folder");
}

/* Under a temporary name beside it, which is then the folder's. */
static yoke_status write_out(merging *m, const char *out)
{
    char above[YKI_FOLDER_BYTES];
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--;
    if (length == 0 || length >= sizeof above)
        return yki_fail_at(YOKE_INVALID, out, 0, "", "is no path for a folder");
    snprintf(m->temporary, sizeof m->temporary, "%.*s.tmp-%ld", (int)length, out, (long)getpid());
    YKI_TRY(yki_disk_make_folders(m->temporary));
    YKI_TRY(write_tensors(m));
    YKI_TRY(copy_files(m));
    YKI_TRY(yki_disk_flush_folder(m->temporary));
    snprintf(above, sizeof above, "%.*s", (int)length, out);
    if (rename(m->temporary, above) != 0)
        return yki_fail_at(YOKE_SYSTEM, above, 0, "", "cannot take its name: %s", strerror(errno));
    m->temporary[0] = '\0';
    return YOKE_OK;
}

static yoke_status merge(const char *folder, const char *base, const char *out, yoke_merged *merged_out)
{
    merging m = {.low = NULL};
    yoke_job *job = NULL;
    yoke_status status = find_job(folder, base, &job);
    if (status == YOKE_OK) status = open_all(&m, folder, job);
    if (status == YOKE_OK) status = check_out(out);
    if (status == YOKE_OK) status = write_out(&m, out);
    if (status == YOKE_OK) {
        snprintf(merged_out->adapter, sizeof merged_out->adapter, "%s", folder);
        snprintf(merged_out->base, sizeof merged_out->base, "%.1199s", m.source.from);
        merged_out->tensors = m.count;
    }
    YKI_KEEP_RECORD;
    if (m.temporary[0]) yki_disk_remove_folder(m.temporary);
    yki_safetensors_abandon(m.writer);
    yki_safetensors_close(m.base);
    yki_safetensors_close(m.adapter);
    yoke_model_destroy(m.model);
    yoke_tokenizer_destroy(m.source.tokenizer);
    yoke_job_destroy(job);
    free(m.low);
    return status;
}

yoke_status yoke_merge(const char *dir, const char *base, const char *out, yoke_merged *merged_out)
{
    YKI_NEED(dir, out, merged_out);
    char folder[YKI_FOLDER_BYTES];
    int is_step;
    *merged_out = (yoke_merged){.tensors = 0};
    if (yki_is_adapter(dir) && strlen(dir) < sizeof folder)
        snprintf(folder, sizeof folder, "%s", dir);
    else
        YKI_TRY(yki_checkpoint_find(dir, folder, &is_step, merged_out->note));
    if (!yki_is_adapter(folder))
        return yki_fail(YOKE_INVALID, "%s holds a whole model, and no adapters to merge into a base", folder);
    return merge(folder, base, out, merged_out);
}
