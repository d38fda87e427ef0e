/* Generation: a saved language model goes on from prompts, several at once. Keys and values of all tokens so
 * far are kept: a prompt is one pass (of 2,048 tokens at a time on a device), each further token one row.
 *
 *   yoke_generator *g;
 *   yoke_generator_open("runs/gpt", NULL, &g);
 *   yoke_generator_encode(g, YOKE_PROMPT_TEXT, "Once upon", 9, &prompt.tokens, &prompt.count);
 *   yoke_generator_run(g, 1, &prompt, NULL, on_token, NULL, &answer);
 *   yoke_answers_release(1, &answer);
 *   yoke_generator_close(g);
 *
 * A generator belongs to one thread at a time. Its devices are this process's, whatever the cluster. */
#ifndef YOKE_GENERATE_H
#define YOKE_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/job.h"
#include "yoke/layout.h"
#include "yoke/status.h"
#include "yoke/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_generator yoke_generator;

/* Zeroed: one device, one prompt at once, in the precision that the model was trained in. */
typedef struct yoke_generator_options {
    const yoke_layout *layout; /* NULL: one device. dp shares out prompts, tp and pp the model; of the rest
                                  threads and device_memory count */
    const yoke_precision *precision; /* NULL: the model's job's, else f32. Of weights, keys and values */
    const char *adapter;             /* a folder of LoRA adapters to apply to the model; NULL: none */
    int64_t prompts;                 /* that are worked on at once, at most; 0: 1 */
    int64_t room;                    /* tokens that a prompt and its answer may have together: their keys and
                                        values have a place. 0: what the first run needs. A run that needs more
                                        has the model loaded again. Never more than the model's context */
} yoke_generator_options;

/* Opens a checkpoint (its newest step), one step's folder, or a folder as Hugging Face lays it out, with its
 * tokenizer and the ids that end a text. Weights are loaded now where options has `room`, else by the first
 * run. options: NULL is zeroes; what it points to is copied. YOKE_INVALID: no such folder, or a model that
 * generates no text. YOKE_DOES_NOT_FIT. Owns: the caller; yoke_generator_close, which NULL may be given to.
 */
YOKE_API yoke_status yoke_generator_open(const char *dir, const yoke_generator_options *options,
                                         yoke_generator **generator_out);
YOKE_API void yoke_generator_close(yoke_generator *generator);

typedef enum yoke_prompt_kind {
    YOKE_PROMPT_TEXT,  /* with what the tokenizer puts around a text */
    YOKE_PROMPT_PLAIN, /* as it stands */
    YOKE_PROMPT_CHAT,  /* what a user says, by the model's chat template; the answer is the assistant's turn,
                          and  ends with it */
} yoke_prompt_kind;

/* A text (it may hold any bytes) as tokens. Models without a tokenizer.json take bytes where they know 256
 * tokens, else token numbers with spaces between. An empty text is the token that texts begin with.
 * *tokens_out: *count_out of them, freed by the caller with free(). YOKE_INVALID: no tokens; a number that is
 * none; a tokenizer.json that cannot be read; a chat template that is neither chatml nor llama3. */
YOKE_API yoke_status yoke_generator_encode(yoke_generator *generator, yoke_prompt_kind kind, const char *text,
                                           size_t bytes, int32_t **tokens_out, int64_t *count_out);
/* The token numbers of a file, a JSON list. Otherwise the same. */
YOKE_API yoke_status yoke_generator_read(yoke_generator *generator, const char *path, int32_t **tokens_out,
                                         int64_t *count_out);

typedef struct yoke_prompt {
    int32_t *tokens; /* borrowed */
    int64_t count;   /* at least 1 */
} yoke_prompt;

/* How tokens are chosen; as transformers does it, in this order. YOKE_SAMPLING_DEFAULT is all of them drawn
 * as the model has them. */
typedef struct yoke_sampling {
    int64_t tokens;        /* new ones at most; 0 is legal */
    double repeat_penalty; /* of tokens that came before, the prompt's too: logits above 0 are divided by it,
                              others multiplied; above 0, 1: none */
    double temperature;    /* 0: the likeliest each time, of equals the lowest id */
    int64_t top_k;         /* of the k likeliest; 0: of all */
    double top_p;          /* of the likeliest that make up this share, at least one; above 0, 1: of all */
    uint64_t seed;   /* the same seed: the same tokens, whatever the layout, as far as its sums' order lets */
    bool ignore_eos; /* go on after a token that ends a text */
    int nstops;      /* texts that end it */
    const char *const *stops;
} yoke_sampling;
#define YOKE_SAMPLING_DEFAULT                                                                                \
    {                                                                                                        \
        .tokens = 100, .repeat_penalty = 1, .temperature = 1, .top_p = 1, .seed = 1                          \
    }

typedef enum yoke_stopped {
    YOKE_STOPPED_EOS,     /* a token that ends a text; it is the last of `tokens` */
    YOKE_STOPPED_STOP,    /* one of the stops */
    YOKE_STOPPED_LENGTH,  /* there are as many as were asked for */
    YOKE_STOPPED_CONTEXT, /* prompt and answer fill the model's context */
    YOKE_STOPPED_CALLER,  /* on_token said so */
} yoke_stopped;

typedef struct yoke_answer {
    int32_t *tokens; /* the new ones */
    int64_t count;
    char *
        text; /* what they add to the prompt's text, UTF-8 (bytes that are none are U+FFFD), without the token
                 that ends it and what begins a stop; it may hold zero bytes. "" where tokens are no text */
    size_t bytes; /* of it; a '\0' follows */
    yoke_stopped stopped;
} yoke_answer;

/* A token of answer `prompt`, and what is certain of its text since the last call: whole characters, and
 * nothing that may still be a stop's beginning. A last call, with token -1, may bring the rest. Returns false
 * to end this answer. */
typedef bool (*yoke_on_token)(void *context, int prompt, int32_t token, const char *text, size_t bytes);

/* Answers all prompts, as many at once as the generator was opened for. sampling: NULL is the default;
 * on_token: NULL tells nobody. answers[nprompts]: ended by yoke_answers_release; zeroed on failure.
 * YOKE_INVALID: a prompt of no tokens, of more than the context, or with ids that the model has not; a wish
 * that is none; outputs that are not finite. */
YOKE_API yoke_status yoke_generator_run(yoke_generator *generator, int nprompts, const yoke_prompt *prompts,
                                        const yoke_sampling *sampling, yoke_on_token on_token, void *context,
                                        yoke_answer *answers);
YOKE_API void yoke_answers_release(int count, yoke_answer *answers);

typedef struct yoke_generator_report {
    const char *folder;     /* the weights came from; borrowed */
    const char *note;       /* which newer step was passed over, and why, or why there is no tokenizer; "" */
    int64_t vocab, context; /* of the model */
    int devices;
    int64_t predicted_peak_bytes, measured_peak_bytes; /* of all of them; 0: not loaded yet */
    yoke_bytes bytes;                                  /* predicted, by kind */
    double prefill_seconds;                            /* of the last run: until all prompts were taken in */
    double tokens_per_s;                               /* new ones, after that */
} yoke_generator_report;
YOKE_API void yoke_generator_tell(const yoke_generator *generator, yoke_generator_report *report_out);

typedef struct yoke_generation {
    char *text; /* of models of text; "" for models of other tokens */
    int ntokens;
    int32_t *tokens;         /* those generated, without the prompt */
    char stepped_from[1200]; /* the folder the weights came from */
    char note[256];          /* which newer step was passed over, and why; "" */
} yoke_generation;

/* All of it in one call, of one prompt; it ends early only where the context does. Owns: the caller;
 * yoke_generation_destroy. */
YOKE_API yoke_status yoke_generate(const char *dir, const char *prompt, int tokens, double temperature,
                                   int top_k, uint64_t seed, yoke_generation **generation_out);
YOKE_API void yoke_generation_destroy(yoke_generation *generation);

#ifdef __cplusplus
}
#endif
#endif
