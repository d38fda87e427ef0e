/* What a job says of its model, made complete by what lies beside its weights: config.json and
 * tokenizer.json. */
#ifndef YKI_MODEL_SOURCE_H
#define YKI_MODEL_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "data/chat.h"
#include "yoke/job.h"
#include "yoke/tokenizer.h"

typedef struct yki_source {
    char from[YKI_FOLDER_BYTES +
              64]; /* the job's model.from, found: a file, or a folder of one model; "" none */
    char folder[YKI_FOLDER_BYTES];  /* whose config.json and tokenizer.json belong to the weights; "" none */
    char adapter[YKI_FOLDER_BYTES]; /* where the job's adapters are read from; "": none, or new ones */
    char passed_over[256];          /* which newer step of model.from, and why; "" */
    yoke_tokenizer *tokenizer;      /* NULL: none was read */
    int32_t eos;   /* jsonl: what ends a text, see data/ends.h; -1: not known, or not asked for */
    yki_chat chat; /* jsonl: how messages become text */
    yoke_job job;  /* a shallow copy: spec and tokens of a sample are complete */
    bool natural;  /* those tokens are the context of model.from, which nobody named */
} yki_source;

/* weights: a step's folder that takes the place of model.from, or of model.adapter.from where it holds
 * adapters; or NULL. no_data: no tokenizer is read.
 * sequence: tokens of a sample, 0: the job's. YOKE_INVALID: nothing is there, or two models are, or something
 * is missing. Owns: the caller, the tokenizer. */
yoke_status yki_source_read(const yoke_job *job, const char *weights, bool no_data, int64_t sequence,
                            yki_source *source_out);

/* Whether a folder has a file of that name. */
bool yki_folder_has(const char *folder, const char *name);

/* The tokenizer.json of the folder `weights` (NULL: none), else the job's data.tokenizer, else that of
 * `from`, the folder of the job's model.from; "" where none of them has one. */
void yki_tokenizer_find(const yoke_job *job, const char *weights, const char *from, char path[1300]);
/* Reads it; *tokenizer_out is NULL where there is none. Owns: the caller. */
yoke_status yki_tokenizer_open(const yoke_job *job, const char *weights, const char *from,
                               yoke_tokenizer **tokenizer_out);

#endif
