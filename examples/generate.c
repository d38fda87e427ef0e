/* A saved language model goes on from prompts, all of them at once: generate DIR PROMPT... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoke/yoke.h>

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* The first answer's text as it comes. */
static bool on_token(void *context, int prompt, int32_t token, const char *text, size_t bytes)
{
    (void)context, (void)token;
    if (prompt == 0) fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    return true; /* false would end this answer */
}

int main(int argc, char **argv)
{
    enum { MOST = 16 };
    static const char *const why[] = {"a token that ends it", "a stop", "its length", "the context",
                                      "the caller"};
    yoke_generator *generator;
    yoke_prompt prompts[MOST];
    yoke_answer answers[MOST];
    int count = argc - 2 < MOST ? argc - 2 : MOST;
    if (count < 1) {
        fprintf(stderr, "usage: %s DIR PROMPT...\n", argv[0]);
        return 2;
    }
    yoke_sampling wish = YOKE_SAMPLING_DEFAULT;
    wish.tokens = 24;
    wish.temperature = 0.7;
    wish.top_p = 0.95;

    check(yoke_generator_open(argv[1], &(yoke_generator_options){.prompts = count}, &generator));
    for (int i = 0; i < count; i++)
        check(yoke_generator_encode(generator, YOKE_PROMPT_TEXT, argv[2 + i], strlen(argv[2 + i]),
                                    &prompts[i].tokens, &prompts[i].count));
    printf("%s", argv[2]);
    check(yoke_generator_run(generator, count, prompts, &wish, on_token, NULL, answers));
    printf("\n");
    for (int i = 0; i < count; i++) {
        printf("prompt %d: %lld tokens, %lld new ones, ended by %s\n", i, (long long)prompts[i].count,
               (long long)answers[i].count, why[answers[i].stopped]);
        free(prompts[i].tokens);
    }
    yoke_answers_release(count, answers);
    yoke_generator_close(generator);
    return 0;
}
