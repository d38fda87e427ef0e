/* What the readers of datasets share. A format is a file that fills a struct beginning with a yoke_data, and
 * a row in the table of data.c. Invariants of a dataset that was handed out: samples > 0, both rows valid,
 * and every sample that its `read` accepts is finite (f32) or in 0..INT32_MAX (i32); memory and callbacks are
 * the caller's own and are not checked. */
#ifndef YKI_DATA_DATA_H
#define YKI_DATA_DATA_H

#include "data/names.h"
#include "yoke/data.h"
#include "yoke/job.h"

typedef struct yki_facts yki_facts;
struct yki_file;
struct yki_files;
struct yki_chat;

typedef struct yki_data_ops {
    /* Writes sample `index`, which is in range, in the format's own types. Either may be NULL: the other
     * alone. */
    yoke_status (*read)(yoke_data *data, int64_t index, void *input, void *target);
    /* Writes the inputs of sample `index` with all the digits that they have, where these are `real`. */
    yoke_status (*read_real)(yoke_data *data, int64_t index, double *input);
    /* YOKE_INVALID, naming the place in the file: some sample, of all, has a token that is not below `inputs`
     * or a class that is not below `targets` (0: those are no tokens, no classes). NULL: every sample is
     * read. */
    yoke_status (*check)(yoke_data *data, int64_t inputs, int64_t targets);
    /* Gives back what the dataset holds, but not the struct itself. May be NULL. */
    void (*release)(yoke_data *data);
    /* How many of sample `index`'s inputs are no padding. NULL: all are. */
    int64_t (*length)(yoke_data *data, int64_t index);
} yki_data_ops;

struct yoke_data {
    const yki_data_ops *ops;
    int64_t samples;
    yoke_row native_input, native_target; /* what `read` writes */
    yoke_row input, target; /* what yoke_data_get promises: the same, or a view (yki_data_view) */
    int64_t input_elements, target_elements;
    /* csv: of its input columns in the order of a sample, of its target columns, and of classes where the
     * target's values are words; else none */
    yki_names columns, targets, classes;
    bool no_targets; /* inputs alone were opened: there is one row of zeros for targets */
    bool made_up;    /* random: nothing is in them */
    bool tokens;     /* text, tokens, jsonl: ids that are never numbers */
    bool real;       /* inputs may have more digits than f32 holds: `read_real` is there */
    /* that samples are read from as they are asked for; NULL: none, or no second. And when they were looked
     * at */
    const struct yki_file *files[2];
    const struct yki_files *list; /* text, tokens: those; NULL: none */
    int64_t looked_ns;
    const char *input_file, *target_file; /* for sentences; NULL: none, or not known. Owned by the format */
    int byte_most;                        /* npy: rows of bytes that are no pictures: the largest; else 0 */
    int64_t uncounted; /* targets that are YOKE_UNCOUNTED, of all samples; 0: none, or not known */
    int64_t padding;   /* inputs that are there to fill rows up, of all samples */
    int64_t left_out;  /* jsonl: rows of which nothing would be left to learn */
    int odd_line;      /* csv: of the first target that is no class, and what it is */
    char odd_shown[48];
    yki_names notes; /* sentences that whoever opened it should hear */
};

/* Elements of one row (1 when ndim is 0); YOKE_INVALID, naming `what`, unless 0 <= ndim <= YOKE_MAX_DIMS,
 * every dim is positive, and the row's bytes can be counted. */
yoke_status yki_row_check(const yoke_row *row, const char *what, int64_t *elements_out);

/* A zeroed dataset of `size` bytes (a struct that begins with a yoke_data); the caller fills it in, then
 * calls yki_data_finish. Destroyed by yoke_data_destroy at any stage: so `release` accepts a struct that is
 * still zero. */
yoke_status yki_data_create(void *data_out, size_t size, const yki_data_ops *ops);

/* Checks samples and rows, which the reader has set in `native_*`, and hands the dataset out; destroys it on
 * failure. */
yoke_status yki_data_finish(yoke_data *data, int64_t samples, const yoke_row *input, const yoke_row *target,
                            yoke_data **data_out);

/* Whether a row can mean one thing as another: its dims are the same but for those of 1; or, with `flattens`,
 * they are laid out in one row in their order, or a row is one picture [h, w]. i32 may become f32 (never the
 * other way round). Both must be valid. */
bool yki_row_fits(const yoke_row *has, const yoke_row *wanted, bool flattens);

/* Presents the rows as a model wants them, where they fit (of inputs, with `flattens`). NULL leaves a row as
 * the file has it. YOKE_INVALID, naming both shapes, where they don't agree. A later view starts from the
 * file's own rows again. */
yoke_status yki_data_view(yoke_data *data, const yoke_row *input, const yoke_row *target);

/* The sample's inputs alone; a callback's need room for targets too. */
yoke_status yki_data_get_inputs(yoke_data *data, int64_t index, void *input);
/* The sample as yoke_data_get gives it, and its inputs, which are numbers, with all the digits that they
 * have.
 */
yoke_status yki_data_get_real(yoke_data *data, int64_t index, float *input, void *target, double *real);
/* Its targets alone. */
yoke_status yki_data_get_target(yoke_data *data, int64_t index, void *target);

/* Once in a while, since it asks the system: YOKE_INVALID where a file that samples are read from has been
 * cut short since it was opened. */
yoke_status yki_data_look(yoke_data *data);

/* YOKE_INVALID as of yki_data_ops.check, in the rows that the view gives. */
yoke_status yki_data_check(yoke_data *data, int64_t inputs, int64_t targets);
/* The sentences of such checks: sample `sample` of `file` (NULL: not known). least, most: of the file's
 * classes. */
yoke_status yki_fail_token(const char *file, int64_t sample, int64_t token, int64_t limit);
const char *yki_class_advice(int64_t limit, int64_t least, int64_t most); /* what they end with, or "" */
yoke_status yki_fail_class(const char *file, int64_t sample, int64_t value, int64_t limit, int64_t least,
                           int64_t most);

/* Adds a sentence to the notes. YOKE_SYSTEM: memory. */
yoke_status yki_data_note(yoke_data *data, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "f32 [3, 8, 8]": a row for people. Returns buffer. */
char *yki_row_print(char buffer[192], const yoke_row *row);

/* Whether samples come from a function of the caller's, which need not give the same ones each time. */
bool yki_data_is_called(const yoke_data *data);

/* The data of a job: which fields count depends on the format. Everything is borrowed for the call. */
typedef struct yki_data_spec {
    const char *format; /* data.format */
    int npaths;         /* data.path: text, tokens, jsonl, csv */
    const char *const *paths;
    const char *inputs;              /* data.inputs: npy, idx */
    const char *targets;             /* data.targets: npy, idx */
    int ncolumns;                    /* csv: */
    const char *const *columns;      /*   data.targets, the names of the target columns */
    const yki_facts *facts;          /* csv: of the model that reads it; NULL: it is made from these data */
    bool no_targets;                 /* inputs alone; not random */
    int64_t sequence;                /* text, tokens: tokens per sample */
    const yoke_tokenizer *tokenizer; /* jsonl; text: NULL: its bytes are the tokens */
    int64_t window;                  /* text with a tokenizer: bytes that are encoded at once; 0: as usual */
    int32_t eos;                     /* jsonl: what ends a text; -1: not known */
    const struct yki_chat *chat;     /*   how messages become text */
    int pack;                        /*   data.pack; -1: as the rows are */
    bool skip_long;                  /*   data.skip_long */
    int64_t vocab;                   /* tokens: ids are below it */
    yoke_token_type token_type;      /* tokens: of a bare file */
    int64_t samples;                 /* random: */
    yoke_row input, target;          /*   what fits the model */
    int64_t input_limit, target_limit;
    uint64_t seed;
} yki_data_spec;

/* Opens the dataset that a job describes. An unknown format is YOKE_INVALID and names the nearest one; so is
 * a key that the format needs and that is missing. Owns: the caller, who destroys it. */
yoke_status yki_data_open(yoke_data **data_out, const yki_data_spec *spec);

/* Name of the i-th format in the table, NULL past the last. */
const char *yki_data_format(int i);

/* Notes where files that are read as text look like something else. */
yoke_status yki_text_kind(yoke_data *data, const struct yki_files *files);

/* --- the formats, with what only a job can say --- */

/* targets: NULL: inputs alone. */
yoke_status yki_data_from_npy(yoke_data **data_out, const char *inputs, const char *targets);
yoke_status yki_data_from_idx(yoke_data **data_out, const char *inputs, const char *targets);
/* The fields that count are npaths, paths, sequence; and tokenizer, which is there. */
yoke_status yki_data_from_text(yoke_data **data_out, const yki_data_spec *spec);
yoke_status yki_data_from_tokenized(yoke_data **data_out, const yki_data_spec *spec);
/* npaths, paths, sequence, vocab, token_type. */
yoke_status yki_data_from_tokens(yoke_data **data_out, const yki_data_spec *spec);
/* npaths, paths, sequence, tokenizer, eos, chat, pack, skip_long. */
yoke_status yki_data_from_jsonl(yoke_data **data_out, const yki_data_spec *spec);
/* The fields that count are paths, of one, ncolumns, columns, facts and no_targets. With facts, input columns
 * are found by the names of training and stand in its order; others are passed over, which is a note; words
 * are the classes of training. YOKE_INVALID names a column or a word that is missing there. */
yoke_status yki_data_from_csv(yoke_data **data_out, const yki_data_spec *spec);

#endif
