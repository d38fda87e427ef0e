/* The keys of a job file: one table that drives reading, overrides, flags, suggestions and printing. */
#ifndef YKI_JOB_KEY_H
#define YKI_JOB_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "yoke/job.h"

/* How a value is written and where it goes. */
typedef enum yki_key_kind {
    YKI_KEY_INT,  /* a whole number: int or int64_t, by size */
    YKI_KEY_SEED, /* uint64_t */
    YKI_KEY_DOUBLE,
    YKI_KEY_BOOL,
    YKI_KEY_SWITCH,   /* true or false in an int that is -1 where absent */
    YKI_KEY_NAME,     /* one of `names`: an enum whose first value is `first`, or a bool */
    YKI_KEY_PATH,     /* char[size], made absolute */
    YKI_KEY_BYTES,    /* int64_t */
    YKI_KEY_SCHEDULE, /* char[size]: a name of `names`, or a file, made absolute */
    YKI_KEY_DEVICES,  /* ndevices and devices of the layout */
    YKI_KEY_SHAPE,    /* input_ndim and input of the model */
    YKI_KEY_NUMBERS,  /* as many doubles as the field, or a row of them, has */
    YKI_KEY_PATHS,    /* yoke_texts of the data, made absolute: one, or a list of them */
    YKI_KEY_COLUMNS,  /* ntarget_columns and target_columns */
    YKI_KEY_TEXTS,    /* yoke_texts: one text, or a list of them */
    YKI_KEY_STAGES,   /* recompute of the layout: one of `names` for all stages, or a list of them */
    YKI_KEY_LAYOUTS,  /* char[size]: layouts as text, "; " between, or a list of them */
    YKI_KEY_LAYERS,   /* a list of layers: nlayers and layers */
} yki_key_kind;

/* What decides whether a key means anything. */
typedef enum yki_selector {
    YKI_BY_NONE,
    YKI_BY_FAMILY,
    YKI_BY_FORMAT,
    YKI_BY_OPTIMIZER,
    YKI_BY_RATE,
    YKI_BY_LAYER, /* the type of a layer, see yki_layer_names */
} yki_selector;

typedef struct yki_key {
    const char *path; /* dotted; of a layer's keys the name */
    yki_key_kind kind;
    size_t offset, size;      /* of the field in yoke_job, or yoke_layer */
    double least, most;       /* numbers: the range; most 0: no end */
    bool above, below;        /* the ends themselves are excluded */
    const char *const *names; /* YKI_KEY_NAME, _SCHEDULE: what may be said, NULL at the end */
    int first;
    const char *const *synonyms; /* YKI_KEY_NAME: more names, in any case and without marks, each before the
                                    one it means, NULL at the end */
    yki_selector by;
    unsigned of, need; /* bits of the selector's values: the key belongs to them (0: to all); they need it */
    bool from_gives;   /* not needed where model.from is given */
    bool always;       /* printed even where it is the default */
    const char *standard; /* the default as text; NULL: what an empty job holds */
    const char *flag;     /* of yoke train, without the dashes */
    const char *words;    /* what other programs call a layer's key, spaces between */
} yki_key;

extern const yki_key yki_job_keys[];
extern const int yki_job_nkeys;
extern const yki_key yki_layer_keys[];
extern const int yki_layer_nkeys;

/* The types of layers by name, NULL at the end; a bit of `of` in yki_layer_keys is an index into it. */
extern const char *const yki_layer_names[];
/* What other programs call them, spaces between. */
extern const char *const yki_layer_words[];
/* Fills type, activation and the defaults that depend on them. variant: an index into yki_layer_names. */
void yki_layer_init(yoke_layer *layer, int variant);
/* The index of a layer's type in yki_layer_names. */
int yki_layer_variant(const yoke_layer *layer);

/* The dotted key of a selector, its values' names, and what a value is called in a sentence. */
const char *yki_selector_path(yki_selector by);
const char *const *yki_selector_names(yki_selector by);
const char *yki_selector_word(yki_selector by);
/* The value a job has for a selector; not for YKI_BY_LAYER. */
int yki_selector_value(const yoke_job *job, yki_selector by);

static inline bool yki_key_fits(const yki_key *key, int variant)
{
    return !key->of || (key->of >> variant & 1);
}

/* Whether a job, or a layer, without the key is refused. from: the job has model.from. */
static inline bool yki_key_needed(const yki_key *key, int variant, bool from)
{
    return (key->need >> variant & 1) && !(from && key->from_gives);
}

/* The field of the options that a key is about; NULL: it is about something else. */
const void *yki_key_option(const yki_key *key, const yoke_train_options *options);

/* "a, b and c": those of the names, NULL at the end, whose bit is set. */
void yki_names_list(char *out, size_t size, const char *const *names, unsigned bits);

/* A job that says nothing: every field absent or at the default that depends on nothing. Its layout.dp is 0,
 * "not named", which yki_job_resolve_devices ends. */
void yki_job_init(yoke_job *job);

#endif
