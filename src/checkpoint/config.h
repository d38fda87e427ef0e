/* config.json, between the files that know it: what all families read alike, and a row for each model_type. A
 * family is a file with its rows, and their places in the table of config.c. */
#ifndef YKI_CHECKPOINT_CONFIG_H
#define YKI_CHECKPOINT_CONFIG_H

#include <jansson.h>

#include "base/text.h"
#include "checkpoint/checkpoint.h"

typedef struct yki_config_count {
    const char *keys[3]; /* the first is the one named in errors */
    const char *job_key; /* NULL: the table's end */
    size_t place;        /* in yoke_model_spec, an int64_t */
    int64_t most;
    bool optional;
} yki_config_count;

/* Keys of which only some values are computed. Absent and null are always among them. */
typedef struct yki_config_fixed {
    const char *key;       /* NULL: the table's end */
    const char *values[3]; /* strings; "true", "false": booleans; none: nothing but absent or null */
} yki_config_fixed;

typedef struct yki_config_row yki_config_row;
struct yki_config_row {
    const char *name; /* model_type */
    yoke_family family;
    const yki_config_count *counts;
    const yki_config_fixed *fixed;
    /* What the tables leave, once they are read. */
    yoke_status (*read)(const yki_config_row *type, const char *path, json_t *config, yoke_model_spec *model);
    /* Whether a model of this type can be that one. */
    bool (*has)(const yki_config_row *type, const yoke_model_spec *model);
    /* All but what ends the object. */
    void (*print)(const yki_config_row *type, yki_text *text, const yoke_model_spec *model);
    const void *more; /* the family's own */
};

/* config_gpt2.c, config_llama.c */
extern const yki_config_row yki_config_gpt2;
extern const yki_config_row yki_config_llama, yki_config_mistral, yki_config_qwen2, yki_config_qwen3,
    yki_config_own;

/* --- config_rope.c --- */

yoke_status yki_config_read_rope(const char *path, json_t *config, yoke_model_spec *model);
/* The key rope_scaling; the base is apart. */
void yki_config_print_rope(yki_text *text, const yoke_rope_scaling *scaling);

/* --- config_fields.c --- */

/* A JSON value as people write it, cut to fit. */
char *yki_config_shown(char buffer[YKI_QUOTE_BYTES], json_t *value);
/* Whether it is that string, or that boolean. */
bool yki_config_is(json_t *value, const char *text);
yoke_status yki_config_read_counts(const char *path, json_t *config, const yki_config_count *counts,
                                   yoke_model_spec *model);
yoke_status yki_config_check_fixed(const char *path, json_t *config, const yki_config_fixed *fixed);
/* A positive number at most `most`; `fallback` where it is absent and the job says nothing (0). */
yoke_status yki_config_real(const char *path, const char *key, json_t *value, double fallback, double most,
                            const char *job_key, double *field);
/* true or false; `fallback` where it is absent and the job says nothing (-1). job_key NULL: the field is not
 * the job's. */
yoke_status yki_config_switch(const char *path, json_t *config, const char *key, int fallback,
                              const char *job_key, int *field);

#endif
