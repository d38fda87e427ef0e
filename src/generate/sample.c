/* Which token comes next: what transformers' processors of logits do, in their order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "generate/generator.h"

typedef struct yki_choice {
    float logit;
    int32_t id;
    double weight; /* of exp(logit - the largest) */
} yki_choice;

yoke_status yki_sampling_check(const yoke_sampling *s)
{
    if (s->tokens < 0) return yki_fail(YOKE_INVALID, "tokens is %lld: at least 0", (long long)s->tokens);
    if (!(s->repeat_penalty > 0 && isfinite(s->repeat_penalty)))
        return yki_fail(YOKE_INVALID, "repeat-penalty is %g: it must be above 0; 1 is none",
                        s->repeat_penalty);
    if (!(s->temperature >= 0 && isfinite(s->temperature)))
        return yki_fail(YOKE_INVALID, "temperature is %g: it must be at least 0", s->temperature);
    if (s->top_k < 0)
        return yki_fail(YOKE_INVALID, "top-k is %lld: it must be at least 0, which is all",
                        (long long)s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return yki_fail(YOKE_INVALID, "top-p is %g: it must be above 0, and 1, which is all, at most",
                        s->top_p);
    for (int i = 0; i < s->nstops; i++)
        if (!s->stops || !s->stops[i] || !s->stops[i][0])
            return yki_fail(YOKE_INVALID, "stop %d is an empty text, which is everywhere", i);
    return YOKE_OK;
}

yoke_status yki_sampler_create(const yoke_sampling *wish, int64_t vocab, yki_sampler *sampler)
{
    *sampler = (yki_sampler){.wish = wish,
                             .vocab = vocab,
                             .choices = malloc(sizeof *sampler->choices * (size_t)vocab),
                             .seen = malloc((size_t)vocab)};
    return sampler->choices && sampler->seen ? YOKE_OK : yki_fail_memory("a generation");
}

void yki_sampler_release(yki_sampler *sampler)
{
    free(sampler->choices);
    free(sampler->seen);
}

/* Each token that came before once, however often it came. */
static void penalise(yki_sampler *s, float *logits, const int32_t *tokens, int64_t count)
{
    float penalty = (float)s->wish->repeat_penalty;
    if (penalty == 1) return;
    memset(s->seen, 0, (size_t)s->vocab);
    for (int64_t i = 0; i < count; i++) {
        int32_t id = tokens[i];
        if (s->seen[id]) continue;
        s->seen[id] = 1;
        logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
    }
}

/* Of equals the lower id first. */
static int likelier_first(const void *a, const void *b)
{
    const yki_choice *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b)
{
    const yki_choice *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The k-th largest logit: a heap of k, the least on top. */
static float kth_largest(const float *logits, int64_t vocab, int64_t k, yki_choice *heap)
{
    for (int64_t i = 0; i < vocab; i++) {
        int64_t at = i;
        if (i < k) {
            for (; at > 0 && heap[(at - 1) / 2].logit > logits[i]; at = (at - 1) / 2)
                heap[at].logit = heap[(at - 1) / 2].logit;
            heap[at].logit = logits[i];
        } else if (logits[i] > heap[0].logit) {
            for (at = 0;;) {
                int64_t least = 2 * at + 1;
                if (least >= k) break;
                if (least + 1 < k && heap[least + 1].logit < heap[least].logit) least++;
                if (heap[least].logit >= logits[i]) break;
                heap[at].logit = heap[least].logit;
                at = least;
            }
            heap[at].logit = logits[i];
        }
    }
    return heap[0].logit;
}

/* Leaves the likeliest that make up a share of the sum, at least one; of all that are `count`. Those that are
 * left out with certainty need no order. */
static int64_t cut_share(yki_choice *choices, int64_t count, double sum, double share)
{
    double most = (1 - share) * sum, left = 0;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        if (choices[i].weight * (double)count < most)
            left += choices[i].weight;
        else
            choices[kept++] = choices[i];
    }
    qsort(choices, (size_t)kept, sizeof *choices, likelier_first);
    while (kept > 1 && left + choices[kept - 1].weight <= most) left += choices[--kept].weight;
    qsort(choices, (size_t)kept, sizeof *choices, by_id);
    return kept;
}

yoke_status yki_sampler_draw(yki_sampler *s, float *logits, const int32_t *tokens, int64_t count,
                             double uniform, int32_t *token_out)
{
    const yoke_sampling *wish = s->wish;
    int64_t best = 0, kept = 0;
    bool finite = true;
    for (int64_t i = 0; i < s->vocab; i++) finite &= !isnan(logits[i]);
    penalise(s, logits, tokens, count);
    for (int64_t i = 1; i < s->vocab; i++)
        if (logits[i] > logits[best]) best = i;
    if (!finite || !isfinite(logits[best]))
        return yki_fail(YOKE_INVALID, "the model's outputs after %lld tokens are not finite numbers",
                        (long long)count);
    *token_out = (int32_t)best;
    if (wish->temperature <= 0 || wish->top_k == 1) return YOKE_OK;
    float top = logits[best], least = -INFINITY;
    if (wish->top_k > 0 && wish->top_k < s->vocab)
        least = kth_largest(logits, s->vocab, wish->top_k, s->choices);
    double sum = 0;
    for (int64_t i = 0; i < s->vocab; i++) {
        if (!(logits[i] >= least)) continue;
        double weight = exp(((double)logits[i] - top) / wish->temperature);
        s->choices[kept++] = (yki_choice){logits[i], (int32_t)i, weight};
        sum += weight;
    }
    if (wish->top_p < 1) {
        kept = cut_share(s->choices, kept, sum, wish->top_p);
        sum = 0;
        for (int64_t i = 0; i < kept; i++) sum += s->choices[i].weight;
    }
    double aim = uniform * sum;
    for (int64_t i = 0; i < kept; i++) {
        aim -= s->choices[i].weight;
        if (aim < 0) {
            *token_out = s->choices[i].id;
            break;
        }
    }
    return YOKE_OK;
}
