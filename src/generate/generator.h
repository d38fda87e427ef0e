/* Inside generation: what its files share. */
#ifndef YKI_GENERATE_GENERATOR_H
#define YKI_GENERATE_GENERATOR_H

#include "data/ends.h"
#include "train/trainer.h"
#include "yoke/generate.h"

struct yoke_generator {
    char folder[YKI_FOLDER_BYTES], note[512];
    bool base_apart; /* the folder has adapters that others take the place of: weights are its job's base */
    yoke_job *job;
    yoke_model_spec spec;
    yoke_layout layout;
    yoke_tokenizer *tokenizer;  /* NULL: there is none, or: */
    yoke_error tokenizer_fault; /* it cannot be read; status YOKE_OK: it can */
    yki_ends ends;
    int32_t chat_end; /* what ends a turn, once a prompt was one; -1 */
    int64_t prompts;  /* at once */
    /* what is loaded; NULL: nothing is */
    yoke_trainer *trainer;
    int64_t slots, room, rows; /* of a replica: sequences, tokens of each, and rows of a pass */
    /* of a pass, of all replicas */
    int32_t *inputs, *places, *picked;
    int64_t *shares;
    float *logits; /* [replicas, slots, vocab] */
    double prefill_seconds, tokens_per_s;
};

/* Has the model loaded with room for so many tokens of a prompt and its answer, and for passes of so many
 * rows. */
yoke_status yki_generator_load(yoke_generator *generator, int64_t room, int64_t rows);

/* --- sample.c --- */

yoke_status yki_sampling_check(const yoke_sampling *sampling);

/* Choosing among `vocab` logits. */
typedef struct yki_sampler {
    const yoke_sampling *wish;
    int64_t vocab;
    struct yki_choice *choices; /* scratch */
    uint8_t *seen;              /* by id */
} yki_sampler;
yoke_status yki_sampler_create(const yoke_sampling *wish, int64_t vocab, yki_sampler *sampler_out);
void yki_sampler_release(yki_sampler *sampler);
/* The next token of a sequence; `uniform` in [0, 1). YOKE_INVALID: the logits are not finite. They are
 * changed. */
yoke_status yki_sampler_draw(yki_sampler *sampler, float *logits, const int32_t *tokens, int64_t count,
                             double uniform, int32_t *token_out);

/* --- text.c --- */

/* The text of an answer as it grows. */
typedef struct yki_answer_text {
    const yoke_generator *generator;
    const yoke_sampling *wish;
    const int32_t *prompt;
    int64_t nprompt;
    char *text; /* so far, UTF-8 throughout */
    size_t bytes, told;
    bool stopped; /* by a stop, before which it ends */
} yki_answer_text;
/* Makes the text of `count` tokens; ended: there will be no more. */
yoke_status yki_answer_text_make(yki_answer_text *text, const int32_t *tokens, int64_t count);
/* How many bytes of it are certain. */
size_t yki_answer_text_certain(const yki_answer_text *text, bool ended);
void yki_answer_text_release(yki_answer_text *text);
/* Whether the model's tokens are bytes. */
static inline bool yki_generator_has_bytes(const yoke_generator *generator)
{
    return !generator->tokenizer && generator->tokenizer_fault.status == YOKE_OK &&
           generator->spec.vocab == 256;
}

#endif
