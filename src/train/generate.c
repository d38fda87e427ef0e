/* Text from a saved model, and its loss on data: jobs read back from a checkpoint's folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "base/rng.h"
#include "model/source.h"
#include "train/trainer.h"

yoke_status yki_job_of_folder(const char *folder, yoke_job **job_out)
{
    char path[1300];
    struct stat info;
    snprintf(path, sizeof path, "%s/job.yaml", folder);
    static const char *const without[] = {"layout=", "checkpoint="}; /* which may name files that are gone */
    if (stat(path, &info) == 0) return yoke_job_load(path, 2, without, job_out);
    char type[64];
    YKI_TRY(yki_config_type(folder, type));
    yoke_job *job = calloc(1, sizeof *job);
    if (!job) return yki_fail_memory("a job");
    *job = (yoke_job){
        .model = {.family = !strcmp(type, "llama") ? YOKE_FAMILY_LLAMA : YOKE_FAMILY_GPT2, .tied = -1},
        .train = YOKE_TRAIN_DEFAULT,
        .layout = YOKE_LAYOUT_DEFAULT};
    if (strcmp(type, "gpt2") != 0 && strcmp(type, "llama") != 0) {
        free(job);
        return yki_fail(YOKE_INVALID, "%s holds a model of type '%s' and no job.yaml to build it from",
                        folder, type);
    }
    snprintf(job->path, sizeof job->path, "%.1000s/config.json", folder);
    *job_out = job;
    return YOKE_OK;
}

/* The prompt through a tokenizer. An empty one is the token that texts begin with, where there is one. */
static yoke_status encode_prompt(const yoke_tokenizer *tokenizer, const char *prompt, int32_t **tokens_out,
                                 int *count_out)
{
    static const char *const starts[] = {"<|begin_of_text|>", "<|endoftext|>", "<s>", "<|startoftext|>"};
    int64_t count = 0;
    YKI_TRY(yoke_tokenizer_encode(tokenizer, *prompt ? prompt : "\n", strlen(*prompt ? prompt : "\n"),
                                  tokens_out, &count));
    int64_t nbegin = 0;
    const int32_t *begin = yoke_tokenizer_begin(tokenizer, &nbegin);
    int32_t id = nbegin > 0 ? begin[0] : -1;
    for (int i = 0; i < 4 && id < 0; i++) id = yoke_tokenizer_added(tokenizer, starts[i]);
    if (!*prompt && id >= 0) {
        (*tokens_out)[0] = id;
        count = 1;
    }
    if (count < 1 || count > INT32_MAX / 8) {
        free(*tokens_out);
        return yki_fail(YOKE_INVALID, "the prompt has %lld tokens; it needs at least 1, and at most %d",
                        (long long)count, INT32_MAX / 8);
    }
    *count_out = (int)count;
    return YOKE_OK;
}

/* The prompt as tokens without a tokenizer: bytes, or numbers where the model's tokens are no bytes. */
static yoke_status read_prompt(const char *prompt, int64_t vocab, int32_t **tokens_out, int *count_out)
{
    size_t length = strlen(prompt);
    int32_t *tokens = malloc(sizeof *tokens * (length + 1));
    int count = 0;
    if (!tokens) return yki_fail_memory("a prompt");
    const char *at = prompt;
    while (vocab != 256 && *at) {
        char *end;
        long long id = strtoll(at, &end, 10);
        while (*end == ' ') end++;
        if (end == at || id < 0 || id >= vocab) {
            free(tokens);
            return yki_fail(
                YOKE_INVALID,
                "the model's %lld tokens are no bytes and it has no tokenizer.json, so the prompt "
                "must be token numbers below that with spaces between; '%.20s' is none",
                (long long)vocab, at);
        }
        tokens[count++] = (int32_t)id;
        at = end;
    }
    for (; vocab == 256 && count < (int)length; count++) tokens[count] = (unsigned char)prompt[count];
    if (count == 0) tokens[count++] = vocab == 256 ? '\n' : 0;
    *tokens_out = tokens;
    *count_out = count;
    return YOKE_OK;
}

/* A token drawn from softmax(logits / temperature) over the top_k likeliest. */
static int draw(const float *logits, int vocab, double temperature, int top_k, double uniform, float *scratch)
{
    int best = 0;
    for (int i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    if (temperature <= 0 || top_k == 1) return best;
    float least = -INFINITY;
    if (top_k > 0 && top_k < vocab) { /* the k-th largest, by taking the largest k times */
        memcpy(scratch, logits, sizeof(float) * (size_t)vocab);
        for (int k = 0; k < top_k; k++) {
            int at = 0;
            for (int i = 1; i < vocab; i++)
                if (scratch[i] > scratch[at]) at = i;
            least = scratch[at];
            scratch[at] = -INFINITY;
        }
    }
    double sum = 0;
    for (int i = 0; i < vocab; i++)
        if (logits[i] >= least) sum += exp(((double)logits[i] - logits[best]) / temperature);
    double aim = uniform * sum;
    for (int i = 0; i < vocab; i++) {
        if (logits[i] < least) continue;
        aim -= exp(((double)logits[i] - logits[best]) / temperature);
        if (aim < 0) return i;
    }
    return best;
}

/* Draws `count` tokens below `limit`. */
static yoke_status sample(yoke_trainer *trainer, int32_t *tokens, int prompt, int count, int64_t limit,
                          double temperature, int top_k, uint64_t seed)
{
    const yoke_model *model = trainer->model;
    const yki_value *output = &model->values[model->output];
    int64_t T = model->values[model->input].dims[0], vocab = output->dims[1];
    float *logits = malloc(sizeof(float) * (size_t)(T * vocab)),
          *scratch = malloc(sizeof(float) * (size_t)vocab);
    int32_t *window = malloc(sizeof(int32_t) * (size_t)T);
    yoke_status status = logits && scratch && window ? YOKE_OK : yki_fail_memory("a generation");
    uint64_t key = yki_rng_key(seed, "generate", 0);
    for (int at = prompt; at < prompt + count && status == YOKE_OK; at++) {
        int start = at > T ? (int)(at - T) : 0, used = at - start;
        memset(window, 0, sizeof(int32_t) * (size_t)T);
        memcpy(window, tokens + start, sizeof(int32_t) * (size_t)used);
        status = yoke_trainer_predict(trainer, 1, window, logits);
        tokens[at] = status == YOKE_OK ? draw(logits + (int64_t)(used - 1) * vocab, (int)limit, temperature,
                                              top_k, yki_rng_uniform(key, (uint64_t)(at - prompt)), scratch)
                                       : 0;
    }
    free(logits);
    free(scratch);
    free(window);
    return status;
}

/* The text of what was generated behind `used` tokens of g: "" where tokens are neither bytes nor a
 * tokenizer's. */
static yoke_status print_text(yoke_generation *g, const yoke_tokenizer *tokenizer, int64_t vocab, int used)
{
    if (tokenizer)
        return yoke_tokenizer_decode_after(tokenizer, g->tokens, used, g->tokens + used, g->ntokens, &g->text,
                                           NULL);
    g->text = calloc((size_t)g->ntokens + 1, 1);
    if (!g->text) return yki_fail_memory("a generation");
    for (int i = 0; i < g->ntokens && vocab == 256; i++) g->text[i] = (char)g->tokens[used + i];
    return YOKE_OK;
}

static yoke_status generate(const yoke_job *job, const char *folder, const yoke_tokenizer *tokenizer,
                            const char *prompt, int count, double temperature, int top_k, uint64_t seed,
                            yoke_generation *g)
{
    yoke_model_spec spec = job->model;
    if (spec.family == YOKE_FAMILY_LAYERS)
        return yki_fail(YOKE_INVALID, "%s holds a model of layers, which generates no text", folder);
    YKI_TRY(yki_config_read(folder, &spec));
    int32_t *tokens = NULL;
    int used = 0;
    int64_t limit = tokenizer ? yoke_tokenizer_size(tokenizer) : spec.vocab;
    if (limit > spec.vocab)
        return yki_fail(YOKE_INVALID, "the model of %s knows %lld tokens, and its tokenizer has %lld", folder,
                        (long long)spec.vocab, (long long)limit);
    YKI_TRY(tokenizer ? encode_prompt(tokenizer, prompt, &tokens, &used)
                      : read_prompt(prompt, spec.vocab, &tokens, &used));
    int32_t *grown = realloc(tokens, sizeof *tokens * (size_t)(used + count + 1));
    if (!grown) {
        free(tokens);
        return yki_fail_memory("a generation");
    }
    tokens = grown;
    yoke_layout one;
    yki_trainer_options options = yki_inference_options(job, folder, &one);
    options.purpose = YKI_PURPOSE_PREDICT;
    options.no_data = true;
    options.batch = 1;
    options.sequence = used + count < spec.context ? used + count : spec.context;
    yoke_trainer *trainer = NULL;
    yoke_status status = yki_trainer_create(&trainer, &options);
    if (status == YOKE_OK) status = sample(trainer, tokens, used, count, limit, temperature, top_k, seed);
    yoke_trainer_destroy(trainer);
    g->tokens = tokens;
    g->ntokens = count;
    if (status == YOKE_OK) status = print_text(g, tokenizer, spec.vocab, used);
    memmove(tokens, tokens + used, sizeof *tokens * (size_t)count);
    return status;
}

yoke_status yoke_generate(const char *dir, const char *prompt, int tokens, double temperature, int top_k,
                          uint64_t seed, yoke_generation **generation_out)
{
    YKI_NEED(dir, prompt, generation_out);
    if (tokens < 1 || tokens > 1000000 || !(temperature >= 0) || top_k < 0)
        return yki_fail(YOKE_INVALID, "tokens must be 1 to 1000000, temperature and top-k at least 0");
    char folder[YKI_FOLDER_BYTES];
    char passed_over[256];
    int is_step;
    YKI_TRY(yki_checkpoint_find(dir, folder, &is_step, passed_over));
    yoke_job *job;
    YKI_TRY(yki_job_of_folder(folder, &job));
    yoke_tokenizer *tokenizer = NULL;
    yoke_generation *g = calloc(1, sizeof *g);
    yoke_status status =
        g ? yki_tokenizer_open(job, folder, "", &tokenizer) : yki_fail_memory("a generation");
    if (status == YOKE_OK)
        status = generate(job, folder, tokenizer, prompt, tokens, temperature, top_k, seed, g);
    yoke_tokenizer_destroy(tokenizer);
    yoke_job_destroy(job);
    if (status != YOKE_OK) {
        yoke_generation_destroy(g);
        return status;
    }
    snprintf(g->stepped_from, sizeof g->stepped_from, "%s", folder);
    memcpy(g->note, passed_over, sizeof g->note);
    *generation_out = g;
    return YOKE_OK;
}

void yoke_generation_destroy(yoke_generation *generation)
{
    if (!generation) return;
    free(generation->text);
    free(generation->tokens);
    free(generation);
}
