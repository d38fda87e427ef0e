/* What a trainer needs of a job beyond reading it. */
#ifndef YKI_JOB_JOB_H
#define YKI_JOB_JOB_H

#include "yoke/job.h"

/* A family of models: a row for each yoke_family. */
typedef struct yki_family {
    const char *name;
    bool as_llama;            /* built as Llama is */
    bool qkv_bias, qk_norm;   /* where nobody says otherwise */
    const char *constants[3]; /* ends of names of tensors that files have, and that the model makes itself */
} yki_family;

extern const yki_family yki_families[];
/* Their names, NULL at the end; and other names, in pairs: the name and the one that it means. */
extern const char *const yki_family_names[];
extern const char *const yki_family_synonyms[];

/* A model of which nothing is said. */
static inline yoke_model_spec yki_spec_absent(yoke_family family)
{
    return (yoke_model_spec){
        .family = family, .tied = -1, .qkv_bias = -1, .qk_norm = -1, .adapter.dropout = -1};
}

static inline bool yki_spec_has_qkv_bias(const yoke_model_spec *model)
{
    return model->qkv_bias < 0 ? yki_families[model->family].qkv_bias : model->qkv_bias > 0;
}

static inline bool yki_spec_has_qk_norm(const yoke_model_spec *model)
{
    return model->qk_norm < 0 ? yki_families[model->family].qk_norm : model->qk_norm > 0;
}

/* A job of what would stand in its file; otherwise as yoke_job_load. */
yoke_status yki_job_of_text(const char *text, int noverrides, const char *const *overrides,
                            yoke_job **job_out);
/* Settles degrees and devices, for a job whose layout was changed as for one just read: a dp of 0 becomes
 * what the devices leave, or 1. The devices needed are dp * cp * tp * pp, or dp times the distinct `device:`
 * keys of the layers. YOKE_INVALID: other numbers of devices, `device:` keys beside tp, pp or cp, or with
 * gaps in their numbers. Doing it again changes nothing. */
yoke_status yki_job_resolve_devices(yoke_job *job);
/* YOKE_INVALID where a full batch has fewer samples than dp * microbatches. */
yoke_status yki_job_check_batch(const yoke_job *job);
/* YOKE_INVALID names the first of a C program's options that a job's reader would refuse. */
yoke_status yki_options_check(const yoke_train_options *options);
/* data.path is this one instead. */
yoke_status yki_job_take_path(yoke_job *job, const char *path);
/* Whether the data are sequences of tokens: text, tokens, jsonl. */
bool yki_job_is_written(const yoke_job *job);
/* The devices that the layers of a replica are on, from 0 to the highest, 0 where none is named: then the
 * layout may split the model. */
int yki_job_parts(const yoke_job *job);
/* A product of four degrees, or one above YOKE_MAX_DEVICES where it is larger than that. */
int yki_devices_product(int a, int b, int c, int d);
/* "cpu", "cuda"; static: what its devices' names begin with, and its backend's name. */
const char *yki_device_kind_name(yoke_device_kind kind);
/* Whether the layout's devices are what their number says: cpu:0, cpu:1, ... */
bool yki_layout_is_counted(const yoke_layout *layout);
/* Makes dp of its two factors along zero; false where that is more than YOKE_MAX_DEVICES. */
bool yki_layout_multiply_shards(yoke_layout *layout);
/* yoke_layout_print that says where memory is out (YOKE_SYSTEM). */
yoke_status yki_layout_text(const yoke_layout *layout, char *text, int size);

/* Keys of a layout as bits, for what a job names of it. */
typedef enum yki_layout_key {
    YKI_LAYOUT_DEVICES,
    YKI_LAYOUT_DP,
    YKI_LAYOUT_TP,
    YKI_LAYOUT_PP,
    YKI_LAYOUT_CP,
    YKI_LAYOUT_CP_KIND,
    YKI_LAYOUT_SP,
    YKI_LAYOUT_MICROBATCHES,
    YKI_LAYOUT_SCHEDULE,
    YKI_LAYOUT_CHUNKS,
    YKI_LAYOUT_ZERO,
    YKI_LAYOUT_DP_SHARD,
    YKI_LAYOUT_DP_REPLICATE,
    YKI_LAYOUT_BUCKET,
    YKI_LAYOUT_RECOMPUTE,
    YKI_LAYOUT_THREADS,
    YKI_LAYOUT_MEMORY,
    YKI_LAYOUT_KEYS
} yki_layout_key;
/* yoke_layout_flags for a job that names these keys: they are given whatever their value, so that the flags
 * mean the same with that job's file, and beside flags that were given before. Never "". */
void yki_layout_flags(const yoke_layout *layout, uint32_t named, char *text, int size);

#endif
