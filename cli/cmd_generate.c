/* yoke generate: text from a saved model. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"
#include "yoke/generate.h"

enum { MOST_STOPS = 64 };

static struct {
    const char *prompt, *prompt_file, *tokens_file, *adapter, *stops[MOST_STOPS];
    int64_t tokens, top_k, seed, nstops;
    double temperature, top_p, repeat_penalty;
    bool ignore_eos, no_bos, chat;
} given = {.tokens = 100, .seed = 1, .temperature = 1, .top_p = 1, .repeat_penalty = 1};

static const option_group group_generate = {
    "Generation",
    (const option[]){
        OPTION("prompt", "TEXT", OPTION_TEXT, "what the text begins with", .target = &given.prompt),
        OPTION("prompt-file", "FILE", OPTION_TEXT, "the same, from a file", .target = &given.prompt_file),
        OPTION("tokens-file", "FILE", OPTION_TEXT, "the same as a JSON list of token numbers",
               .target = &given.tokens_file),
        OPTION("no-bos", NULL, OPTION_SWITCH, "without the token that the tokenizer puts before a text",
               .target = &given.no_bos),
        OPTION("chat", NULL, OPTION_SWITCH, "the prompt is what a user says, by the model's chat template",
               .target = &given.chat),
        OPTION("tokens", "N", OPTION_COUNT, "how many tokens to add at most (100)", .target = &given.tokens,
               .least = 0, .most = 1 << 24),
        OPTION("stop", "TEXT", OPTION_LIST, "end before this text; may be given several times",
               .target = given.stops, .count = &given.nstops, .most = MOST_STOPS),
        OPTION("adapter", "DIR", OPTION_TEXT, "with these adapters, without merging them into the model",
               .target = &given.adapter),
        OPTION("ignore-eos", NULL, OPTION_SWITCH, "go on after a token that ends a text",
               .target = &given.ignore_eos),
        {0},
    },
};

static const option_group group_sampling = {
    "Choosing tokens",
    (const option[]){
        OPTION("temperature", "X", OPTION_NUMBER, "how freely to choose; 0 takes the likeliest each time (1)",
               .target = &given.temperature),
        OPTION("top-k", "N", OPTION_COUNT, "choose among the N likeliest; 0: among all (0)",
               .target = &given.top_k, .least = 0, .most = 1 << 24),
        OPTION("top-p", "X", OPTION_NUMBER,
               "choose among the likeliest that make up this share; 1: among all (1)",
               .target = &given.top_p),
        OPTION("repeat-penalty", "X", OPTION_NUMBER, "how much less likely what came before is; 1: not (1)",
               .target = &given.repeat_penalty),
        OPTION("seed", "N", OPTION_COUNT, "the same seed gives the same text (1)", .target = &given.seed,
               .least = 0),
        {0},
    },
};

static const option_group group_running = {
    "Running",
    (const option[]){
        OPTION("precision", "NAME", OPTION_KEY, "f32 | bf16; else what the model was trained in",
               .key = "train.precision"),
        OPTION("dp", "N", OPTION_KEY, "share out prompts over N devices", .key = "layout.dp"),
        OPTION("tp", "N", OPTION_KEY, "split every layer over N devices", .key = "layout.tp"),
        OPTION("pp", "N", OPTION_KEY, "deal the layers to N devices", .key = "layout.pp"),
        OPTION("device-memory", "SIZE", OPTION_KEY, "bytes that one device may use, e.g. 512MiB or 2GB",
               .key = "layout.device_memory"),
        OPTION("threads", "N", OPTION_KEY, "threads per device; 0: the cores shared out evenly",
               .key = "layout.threads"),
        OPTION("layout", "TEXT", OPTION_LAYOUT, "the same keys as one text, e.g. tp=2,threads=1"),
        {0},
    },
};

/* What was typed for the layout and the precision; an exit code, 0: all of it is right. */
static int read_overrides(cli *run, yoke_layout *layout, yoke_precision *precision, bool *named)
{
    static const char *const precisions[] = {"f32", "bf16"};
    for (int i = 0; i < run->arguments.noverrides; i++) {
        const char *text = run->arguments.overrides[i];
        if (strncmp(text, "layout", 6) == 0) {
            if (yoke_layout_parse(layout, text + 7) != YOKE_OK) return cli_fail_library(run);
            continue;
        }
        text = strchr(text, '=') + 1;
        *named = true;
        int k = 0;
        while (k < 2 && strcmp(text, precisions[k]) != 0) k++;
        if (k == 2)
            return cli_fail(run, 2, "precision", "--precision: '%.40s' is none; f32 and bf16 are known",
                            text);
        *precision = (yoke_precision)k;
    }
    return 0;
}

/* A whole file; NULL: said. */
static char *read_file(cli *run, const char *path, size_t *bytes_out, int *code)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0, count = 0;
    while (file) {
        if (count == room) {
            char *grown = realloc(text, room = 2 * room + 4096);
            if (!grown) break;
            text = grown;
        }
        size_t got = fread(text + count, 1, room - count, file);
        count += got;
        if (got == 0) break;
    }
    if (!file || ferror(file)) {
        *code = cli_fail(run, 2, "prompt-file", "--prompt-file: %s cannot be read", path);
        free(text);
        text = NULL;
    }
    if (file) fclose(file);
    *bytes_out = count;
    return text;
}

/* The prompt's tokens; an exit code, 0: there they are. */
static int take_prompt(cli *run, yoke_generator *g, yoke_prompt *prompt)
{
    yoke_prompt_kind kind = given.chat     ? YOKE_PROMPT_CHAT
                            : given.no_bos ? YOKE_PROMPT_PLAIN
                                           : YOKE_PROMPT_TEXT;
    const char *text = given.prompt ? given.prompt : "";
    size_t bytes = strlen(text);
    char *file = NULL;
    int code = 0;
    if (given.tokens_file)
        return yoke_generator_read(g, given.tokens_file, &prompt->tokens, &prompt->count) == YOKE_OK
                   ? 0
                   : cli_fail_library(run);
    if (given.prompt_file && !(text = file = read_file(run, given.prompt_file, &bytes, &code))) return code;
    yoke_status status = yoke_generator_encode(g, kind, text, bytes, &prompt->tokens, &prompt->count);
    free(file);
    return status == YOKE_OK ? 0 : cli_fail_library(run);
}

/* The prompt stands before the first of the text: where nothing came of it, it is not printed either. */
static void print_prompt(cli *run)
{
    static bool printed;
    if (given.prompt && !printed) text_escape(run->out, given.prompt, true);
    printed = true;
}

static bool on_token(void *context, int prompt, int32_t token, const char *text, size_t bytes)
{
    cli *run = context;
    (void)prompt;
    print_prompt(run);
    if (bytes > 0) {
        text_escape_bytes(run->out, text, bytes, true);
        if (run->out_terminal) fflush(run->out);
    }
    (void)token;
    return true;
}

static void put_tokens(json *j, const char *key, const int32_t *tokens, int64_t count)
{
    put_begin_array(j, key);
    for (int64_t i = 0; i < count; i++) put_integer(j, NULL, tokens[i]);
    put_end_array(j);
}

static void report(cli *run, const yoke_generator *g, const yoke_prompt *prompt, const yoke_answer *answer)
{
    static const char *const stopped[] = {"eos", "stop", "length", "context", "caller"};
    yoke_generator_report told;
    yoke_generator_tell(g, &told);
    print_prompt(run);
    bool text = answer->bytes > 0 || answer->count == 0;
    if (!text)
        for (int64_t i = 0; i < answer->count; i++)
            fprintf(run->out, i ? " %ld" : "%ld", (long)answer->tokens[i]);
    fputc('\n', run->out);
    if (answer->stopped == YOKE_STOPPED_CONTEXT)
        cli_notice(run, "the text ends here: prompt and answer fill the model's context of %lld tokens",
                   (long long)told.context);
    if (!run->json) return;
    put_text(run->json, "text", answer->text, answer->bytes);
    put_tokens(run->json, "tokens", answer->tokens, answer->count);
    put_tokens(run->json, "prompt_tokens", prompt->tokens, prompt->count);
    put_string(run->json, "stopped", stopped[answer->stopped]);
    put_number(run->json, "prefill_ms", 1e3 * told.prefill_seconds);
    put_number(run->json, "tokens_per_s", told.tokens_per_s);
    put_integer(run->json, "predicted_peak_bytes", told.predicted_peak_bytes);
    put_integer(run->json, "measured_peak_bytes", told.measured_peak_bytes);
    put_integer(run->json, "cache_bytes", told.bytes.cache);
    put_string(run->json, "from", told.folder);
}

static int answer_prompt(cli *run, yoke_generator *g)
{
    yoke_prompt prompt = {0};
    yoke_answer answer;
    yoke_sampling wish = {.tokens = given.tokens,
                          .repeat_penalty = given.repeat_penalty,
                          .temperature = given.temperature,
                          .top_k = given.top_k,
                          .top_p = given.top_p,
                          .seed = (uint64_t)given.seed,
                          .ignore_eos = given.ignore_eos,
                          .nstops = (int)given.nstops,
                          .stops = given.stops};
    int code = take_prompt(run, g, &prompt);
    if (code == 0 && yoke_generator_run(g, 1, &prompt, &wish, on_token, run, &answer) != YOKE_OK)
        code = cli_fail_library(run);
    else if (code == 0) {
        report(run, g, &prompt, &answer);
        yoke_answers_release(1, &answer);
    }
    free(prompt.tokens);
    return code;
}

static int command_run(cli *run)
{
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    yoke_precision precision = YOKE_PRECISION_F32;
    bool named = false;
    yoke_generator *g;
    if ((given.prompt != NULL) + (given.prompt_file != NULL) + (given.tokens_file != NULL) > 1)
        return cli_fail(run, 2, "prompt",
                        "--prompt, --prompt-file and --tokens-file each say the whole prompt; choose one");
    if (given.chat && given.tokens_file)
        return cli_fail(run, 2, "chat",
                        "--chat makes a turn of a text, and --tokens-file has tokens; choose one");
    int code = read_overrides(run, &layout, &precision, &named);
    if (code != 0) return code;
    yoke_generator_options options = {
        .layout = &layout, .precision = named ? &precision : NULL, .adapter = given.adapter};
    if (yoke_generator_open(run->arguments.positional[0], &options, &g) != YOKE_OK)
        return cli_fail_library(run);
    yoke_generator_report told;
    yoke_generator_tell(g, &told);
    if (told.note[0]) cli_notice(run, "%s", told.note);
    code = answer_prompt(run, g);
    yoke_generator_close(g);
    return code;
}

const command command_generate = {
    .name = "generate",
    .summary = "text from a saved language model",
    .usage = "DIR [options]",
    .operand = "DIR",
    .least = 1,
    .most = 1,
    .about =
        "Goes on from a prompt with a saved model: a checkpoint (its newest step), one step's folder, "
        "or a folder as Hugging Face lays it out. Prompt and text go through the folder's tokenizer.json. "
        "Models without one know bytes, or else take and print the tokens' numbers. Text comes as it is "
        "made, until a token that ends it, a --stop, --tokens new ones, or the end of the model's context.",
    .groups = (const option_group *const[]){&group_generate, &group_sampling, &group_running,
                                            &options_general, NULL},
    .examples = "yoke generate runs/gpt --prompt 'Once upon' --tokens 200\n"
                "yoke generate ./smollm --prompt 'The ' --temperature 0.8 --top-k 40 --top-p 0.95 --seed 7\n"
                "yoke generate ./llama --prompt-file question.txt --precision bf16 --tp 2",
    .codes = "0   done\n1   the system refused\n2   bad usage, or a folder that holds no such model\n"
             "3   does not fit in memory",
    .run = command_run,
};
