/* Answers: passes over rows of all sequences under way. A sequence has tokens that are known and of which
 * some are in the cache: a pass takes as many rows as there is room for, slot by slot, and where the last
 * known one is among them, the next token is chosen. So a prompt is a pass, or a few, and a token a row; a
 * slot that is free takes the next prompt. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/rng.h"
#include "generate/generator.h"

typedef struct sequence {
    int number; /* of the prompt; -1: the slot is free */
    int32_t *tokens;
    int64_t prompt, known, cached, most; /* most: tokens that it may come to have */
    yki_answer_text text;
    bool ended, taken_in; /* taken_in: its first token was chosen */
} sequence;

typedef struct generation {
    yoke_generator *g;
    const yoke_sampling *wish;
    const yoke_prompt *prompts;
    yoke_answer *answers;
    yoke_on_token tell;
    void *context;
    int nprompts, next, waiting; /* waiting: prompts that are not taken in yet */
    sequence *slots;             /* of all replicas */
    int64_t nslots;
    yki_sampler sampler;
    double start_ns, prefilled_ns;
    int64_t drawn; /* after that */
} generation;

static yoke_status check_prompts(const yoke_generator *g, int nprompts, const yoke_prompt *prompts)
{
    for (int i = 0; i < nprompts; i++) {
        const yoke_prompt *p = &prompts[i];
        if (!p->tokens || p->count < 1)
            return yki_fail(YOKE_INVALID, "prompt %d has no tokens, and the model needs one to go on from",
                            i);
        if (p->count > g->spec.context)
            return yki_fail(YOKE_INVALID, "the prompt has %lld tokens, and the model's context is %lld",
                            (long long)p->count, (long long)g->spec.context);
        for (int64_t k = 0; k < p->count; k++)
            if (p->tokens[k] < 0 || p->tokens[k] >= g->spec.vocab)
                return yki_fail(YOKE_INVALID, "token %lld of prompt %d is %ld, and the model's are 0 to %lld",
                                (long long)k, i, (long)p->tokens[k], (long long)g->spec.vocab - 1);
    }
    return YOKE_OK;
}

/* Tokens of the longest prompt and its answer, and of all prompts that a replica takes in at once. */
static void find_sizes(const yoke_generator *g, int nprompts, const yoke_prompt *prompts, int64_t tokens,
                       int64_t *room_out, int64_t *rows_out)
{
    int64_t slots = (g->prompts + g->layout.dp - 1) / g->layout.dp;
    *room_out = *rows_out = 0;
    for (int i = 0; i < nprompts; i++) {
        int64_t count = prompts[i].count;
        int64_t all = tokens < g->spec.context - count ? count + tokens : g->spec.context;
        if (all > *room_out) *room_out = all;
        if (i % g->prompts < slots) *rows_out += count;
    }
}

/* --- sequences --- */

static yoke_status begin(generation *n, sequence *s)
{
    yoke_generator *g = n->g;
    const yoke_prompt *p = &n->prompts[n->next];
    int64_t left = g->spec.context - p->count;
    *s = (sequence){.number = n->next++, .prompt = p->count, .known = p->count};
    s->most = p->count + (n->wish->tokens < left ? n->wish->tokens : left);
    s->tokens = malloc(sizeof *s->tokens * (size_t)s->most);
    if (!s->tokens) return yki_fail_memory("a generation");
    memcpy(s->tokens, p->tokens, sizeof *s->tokens * (size_t)p->count);
    s->text = (yki_answer_text){.generator = g, .wish = n->wish, .prompt = p->tokens, .nprompt = p->count};
    return YOKE_OK;
}

/* What is certain of an answer's text goes to whoever listens. */
static bool tell(generation *n, sequence *s, int32_t token, bool ended)
{
    size_t end = yki_answer_text_certain(&s->text, ended), from = s->text.told;
    if (!n->tell || (token < 0 && end <= from)) return true;
    if (end < from) end = from; /* the decoder took something back */
    s->text.told = end;
    return n->tell(n->context, s->number, token, s->text.text ? s->text.text + from : "", end - from);
}

/* The answer is complete: why, and its text without the token that ends it. */
static yoke_status end(generation *n, sequence *s, yoke_stopped stopped)
{
    yoke_answer *answer = &n->answers[s->number];
    int64_t count = s->known - s->prompt, words = count - (stopped == YOKE_STOPPED_EOS);
    YKI_TRY(yki_answer_text_make(&s->text, s->tokens + s->prompt, words));
    tell(n, s, -1, true);
    memmove(s->tokens, s->tokens + s->prompt, sizeof *s->tokens * (size_t)count);
    *answer = (yoke_answer){.tokens = s->tokens,
                            .count = count,
                            .text = s->text.text,
                            .bytes = s->text.bytes,
                            .stopped = stopped};
    s->tokens = NULL;
    s->text.text = NULL;
    s->ended = true;
    return YOKE_OK;
}

/* A sequence without its next token: whether there is to be one. */
static yoke_status look_at_end(generation *n, sequence *s)
{
    if (s->known - s->prompt >= n->wish->tokens) return end(n, s, YOKE_STOPPED_LENGTH);
    if (s->known >= n->g->spec.context) return end(n, s, YOKE_STOPPED_CONTEXT);
    return YOKE_OK;
}

static bool ends_text(const yoke_generator *g, int32_t token)
{
    return yki_ends_have(&g->ends, token) || token == g->chat_end;
}

/* The next token of a sequence, from its logits. */
static yoke_status choose(generation *n, sequence *s, float *logits)
{
    yoke_generator *g = n->g;
    int64_t number = s->known - s->prompt;
    int32_t token;
    uint64_t key = yki_rng_key(n->wish->seed, "generate", (uint64_t)s->number);
    YKI_TRY(yki_sampler_draw(&n->sampler, logits, s->tokens, s->known, yki_rng_uniform(key, (uint64_t)number),
                             &token));
    s->tokens[s->known++] = token;
    if (!s->taken_in)
        n->waiting--;
    else if (n->waiting == 0)
        n->drawn++;
    s->taken_in = true;
    bool eos = ends_text(g, token) && !n->wish->ignore_eos;
    if (eos) {
        if (n->tell) n->tell(n->context, s->number, token, "", 0);
        return end(n, s, YOKE_STOPPED_EOS);
    }
    if (n->tell || n->wish->nstops > 0)
        YKI_TRY(yki_answer_text_make(&s->text, s->tokens + s->prompt, number + 1));
    bool goes_on = tell(n, s, token, false);
    if (s->text.stopped) return end(n, s, YOKE_STOPPED_STOP);
    return goes_on ? look_at_end(n, s) : end(n, s, YOKE_STOPPED_CALLER);
}

/* --- passes --- */

/* The rows of replica d: of its slots one after the other, as many as a pass has room for. */
static void take_rows(generation *n, int64_t d, int64_t *rows)
{
    yoke_generator *g = n->g;
    int64_t first = *rows;
    for (int64_t k = 0; k < g->slots; k++) {
        int64_t slot = d * g->slots + k;
        sequence *s = &n->slots[slot];
        g->picked[slot] = -1;
        if (s->number < 0) continue;
        while (s->cached < s->known && *rows - first < g->rows) {
            g->inputs[*rows] = s->tokens[s->cached];
            g->places[2 * *rows] = (int32_t)k;
            g->places[2 * *rows + 1] = (int32_t)s->cached++;
            ++*rows;
        }
        if (s->cached == s->known) g->picked[slot] = (int32_t)(*rows - 1 - first);
    }
    g->shares[d] = *rows - first;
}

/* Takes waiting prompts into free slots. A prompt that asks for nothing is answered at once. */
static yoke_status fill_slots(generation *n)
{
    for (int64_t i = 0; i < n->nslots; i++)
        while (n->slots[i].number < 0 && n->next < n->nprompts) {
            sequence *s = &n->slots[i];
            YKI_TRY(begin(n, s));
            YKI_TRY(look_at_end(n, s));
            if (!s->ended) continue;
            n->waiting--;
            s->number = -1;
        }
    return YOKE_OK;
}

static yoke_status pass(generation *n, bool *busy_out)
{
    yoke_generator *g = n->g;
    int64_t rows = 0;
    YKI_TRY(fill_slots(n));
    for (int64_t d = 0; d < g->layout.dp; d++) take_rows(n, d, &rows);
    *busy_out = rows > 0;
    if (rows == 0) return YOKE_OK;
    yki_step step = {.mode = YKI_RUN_PREDICT,
                     .samples = rows,
                     .inputs = g->inputs,
                     .places = g->places,
                     .picked = g->picked,
                     .shares = g->shares,
                     .outputs = g->logits};
    yki_step_result result;
    YKI_TRY(yki_run_step(g->trainer->run, &step, &result));
    for (int64_t i = 0; i < n->nslots; i++) {
        if (n->slots[i].number < 0 || g->picked[i] < 0) continue;
        YKI_TRY(choose(n, &n->slots[i], g->logits + i * g->spec.vocab));
        if (n->slots[i].ended) n->slots[i].number = -1;
    }
    if (n->waiting == 0 && n->prefilled_ns == 0) n->prefilled_ns = yki_now_ns();
    return YOKE_OK;
}

static void tell_times(generation *n, int64_t all)
{
    double now = yki_now_ns(), from = n->drawn > 0 ? n->prefilled_ns : n->start_ns;
    if (n->prefilled_ns == 0) n->prefilled_ns = now;
    n->g->prefill_seconds = 1e-9 * (n->prefilled_ns - n->start_ns);
    n->g->tokens_per_s = (double)(n->drawn > 0 ? n->drawn : all) / (1e-9 * (now - from));
}

static yoke_status answer_all(generation *n)
{
    yoke_generator *g = n->g;
    bool busy = true;
    n->nslots = g->slots * g->layout.dp;
    n->slots = calloc((size_t)n->nslots, sizeof *n->slots);
    if (!n->slots) return yki_fail_memory("a generation");
    for (int64_t i = 0; i < n->nslots; i++) n->slots[i].number = -1;
    YKI_TRY(yki_sampler_create(n->wish, g->spec.vocab, &n->sampler));
    n->start_ns = yki_now_ns();
    while (busy) YKI_TRY(pass(n, &busy));
    int64_t all = 0;
    for (int i = 0; i < n->nprompts; i++) all += n->answers[i].count;
    tell_times(n, all);
    return YOKE_OK;
}

yoke_status yoke_generator_run(yoke_generator *g, int nprompts, const yoke_prompt *prompts,
                               const yoke_sampling *sampling, yoke_on_token on_token, void *context,
                               yoke_answer *answers)
{
    static const yoke_sampling usual = YOKE_SAMPLING_DEFAULT;
    YKI_NEED(g, prompts, answers);
    if (nprompts < 1) return yki_fail(YOKE_INVALID, "%d prompts: there is to be one at least", nprompts);
    const yoke_sampling *wish = sampling ? sampling : &usual;
    memset(answers, 0, sizeof *answers * (size_t)nprompts);
    YKI_TRY(yki_sampling_check(wish));
    YKI_TRY(check_prompts(g, nprompts, prompts));
    int64_t room, rows;
    find_sizes(g, nprompts, prompts, wish->tokens, &room, &rows);
    YKI_TRY(yki_generator_load(g, room, rows));
    generation n = {.g = g,
                    .wish = wish,
                    .prompts = prompts,
                    .answers = answers,
                    .tell = on_token,
                    .context = context,
                    .nprompts = nprompts,
                    .waiting = nprompts};
    yoke_status status = answer_all(&n);
    for (int64_t i = 0; i < n.nslots && n.slots; i++) {
        if (n.slots[i].number < 0) continue;
        free(n.slots[i].tokens);
        yki_answer_text_release(&n.slots[i].text);
    }
    free(n.slots);
    yki_sampler_release(&n.sampler);
    if (status != YOKE_OK) yoke_answers_release(nprompts, answers);
    return status;
}

void yoke_answers_release(int count, yoke_answer *answers)
{
    for (int i = 0; i < count && answers; i++) {
        free(answers[i].tokens);
        free(answers[i].text);
        answers[i] = (yoke_answer){0};
    }
}
