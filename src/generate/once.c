/* One prompt in one call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "generate/generator.h"

static yoke_status answer(yoke_generator *g, const char *prompt, const yoke_sampling *wish,
                          yoke_generation *out)
{
    yoke_prompt p;
    yoke_answer answer;
    YKI_TRY(yoke_generator_encode(g, YOKE_PROMPT_TEXT, prompt, strlen(prompt), &p.tokens, &p.count));
    yoke_status status = yoke_generator_run(g, 1, &p, wish, NULL, NULL, &answer);
    free(p.tokens);
    YKI_TRY(status);
    out->text = answer.text;
    out->tokens = answer.tokens;
    out->ntokens = (int)answer.count;
    snprintf(out->stepped_from, sizeof out->stepped_from, "%s", g->folder);
    snprintf(out->note, sizeof out->note, "%.*s", (int)sizeof out->note - 1, g->note);
    return YOKE_OK;
}

yoke_status yoke_generate(const char *dir, const char *prompt, int tokens, double temperature, int top_k,
                          uint64_t seed, yoke_generation **generation_out)
{
    YKI_NEED(dir, prompt, generation_out);
    yoke_sampling wish = YOKE_SAMPLING_DEFAULT;
    wish.tokens = tokens, wish.temperature = temperature, wish.top_k = top_k, wish.seed = seed;
    wish.ignore_eos = true;
    yoke_generator *g;
    yoke_generation *out = calloc(1, sizeof *out);
    if (!out) return yki_fail_memory("a generation");
    yoke_status status = yki_sampling_check(&wish);
    if (status == YOKE_OK) status = yoke_generator_open(dir, NULL, &g);
    if (status == YOKE_OK) {
        status = answer(g, prompt, &wish, out);
        yoke_generator_close(g);
    }
    if (status != YOKE_OK) {
        yoke_generation_destroy(out);
        return status;
    }
    *generation_out = out;
    return YOKE_OK;
}

void yoke_generation_destroy(yoke_generation *generation)
{
    if (!generation) return;
    free(generation->text);
    free(generation->tokens);
    free(generation);
}
