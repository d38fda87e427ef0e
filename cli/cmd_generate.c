/* yoke generate: text from a saved model. */
#include "cli.h"
#include "text.h"
#include "yoke/compare.h"

static struct {
    const char *prompt;
    int64_t tokens, top_k, seed;
    double temperature;
} given = {.prompt = "", .tokens = 100, .seed = 1, .temperature = 1};

static const option_group group_generate = {
    "Generation",
    (const option[]){
        OPTION("prompt", "TEXT", OPTION_TEXT, "what the text begins with", .target = &given.prompt),
        OPTION("tokens", "N", OPTION_COUNT, "how many tokens to add (100)", .target = &given.tokens,
               .least = 1, .most = 1 << 24),
        OPTION("temperature", "X", OPTION_NUMBER, "how freely to choose; 0 takes the likeliest each time (1)",
               .target = &given.temperature),
        OPTION("top-k", "N", OPTION_COUNT, "choose among the N likeliest; 0: among all (0)",
               .target = &given.top_k, .least = 0, .most = 1 << 24),
        OPTION("seed", "N", OPTION_COUNT, "the same seed gives the same text (1)", .target = &given.seed,
               .least = 0),
        {0},
    },
};

static int command_run(cli *run)
{
    yoke_generation *text = NULL;
    if (yoke_generate(run->arguments.positional[0], given.prompt, (int)given.tokens, given.temperature,
                      (int)given.top_k, (uint64_t)given.seed, &text) != YOKE_OK)
        return cli_fail_library(run);
    if (text->note[0]) cli_notice(run, "%s", text->note);
    if (run->json) {
        put_string(run->json, "text", text->text);
        put_begin_array(run->json, "tokens");
        for (int i = 0; i < text->ntokens; i++) put_integer(run->json, NULL, text->tokens[i]);
        put_end_array(run->json);
        put_string(run->json, "from", text->stepped_from);
    }
    if (text->text[0]) {
        text_escape(run->out, given.prompt, true);
        text_escape(run->out, text->text, true);
    } else
        for (int i = 0; i < text->ntokens; i++) fprintf(run->out, i ? " %d" : "%d", text->tokens[i]);
    fputc('\n', run->out);
    yoke_generation_destroy(text);
    return 0;
}

const command command_generate = {
    .name = "generate",
    .summary = "text from a saved language model",
    .usage = "DIR [options]",
    .operand = "DIR",
    .least = 1,
    .most = 1,
    .about = "Goes on from a prompt with a saved model: a checkpoint (its newest step), one step's folder, "
             "or a folder as "
             "Hugging Face lays it out. Prompt and text go through the folder's tokenizer.json. Models "
             "without one "
             "know bytes, or else take and print the tokens' numbers.",
    .groups = (const option_group *const[]){&group_generate, &options_general, NULL},
    .examples = "yoke generate runs/gpt --prompt 'Once upon' --tokens 200\n"
                "yoke generate runs/gpt --prompt 'The ' --temperature 0.8 --top-k 40 --seed 7",
    .codes = "0   done\n1   the system refused\n2   bad usage, or a folder that holds no such model",
    .run = command_run,
};
