/* Prompts as tokens: through the tokenizer, as bytes or numbers, by a chat template, or from a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "data/chat.h"
#include "generate/generator.h"

/* The token that texts begin with, where the tokenizer has one; -1. */
static int32_t first_token(const yoke_tokenizer *tokenizer)
{
    static const char *const starts[] = {"<|begin_of_text|>", "<|endoftext|>", "<s>", "<|startoftext|>"};
    int32_t id = -1;
    for (int i = 0; i < 4 && id < 0; i++) id = yoke_tokenizer_added(tokenizer, starts[i]);
    return id;
}

static yoke_status encode(const yoke_tokenizer *tokenizer, yoke_prompt_kind kind, const char *text,
                          size_t bytes, int32_t **tokens_out, int64_t *count_out)
{
    yoke_status (*const way)(const yoke_tokenizer *, const char *, size_t, int32_t **, int64_t *) =
        kind == YOKE_PROMPT_TEXT ? yoke_tokenizer_encode_special : yoke_tokenizer_encode;
    YKI_TRY(way(tokenizer, text, bytes, tokens_out, count_out));
    if (bytes > 0 || *count_out > 0) return YOKE_OK;
    int32_t id = kind == YOKE_PROMPT_TEXT ? first_token(tokenizer) : -1;
    if (id < 0) return YOKE_OK;
    free(*tokens_out);
    *tokens_out = malloc(sizeof **tokens_out);
    if (!*tokens_out) return yki_fail_memory("a prompt");
    (*tokens_out)[0] = id;
    *count_out = 1;
    return YOKE_OK;
}

/* Without a tokenizer: bytes, or numbers where the model's tokens are no bytes. */
static yoke_status read_text(const yoke_generator *g, const char *text, size_t bytes, int32_t **tokens_out,
                             int64_t *count_out)
{
    int64_t vocab = g->spec.vocab, count = 0;
    int32_t *tokens = malloc(sizeof *tokens * (bytes + 1));
    char *copy = strndup(text, bytes);
    yoke_status status = tokens && copy ? YOKE_OK : yki_fail_memory("a prompt");
    for (char *at = copy; status == YOKE_OK && vocab != 256 && *at;) {
        char *end;
        long long id = strtoll(at, &end, 10);
        while (*end == ' ' || *end == '\n') end++;
        if (end == at || id < 0 || id >= vocab)
            status = yki_fail(YOKE_INVALID,
                              "the model's %lld tokens are no bytes and it has no tokenizer.json, so the "
                              "prompt must be token "
                              "numbers below that with spaces between; '%.20s' is none",
                              (long long)vocab, at);
        else
            tokens[count++] = (int32_t)id;
        at = end;
    }
    for (; status == YOKE_OK && vocab == 256 && count < (int64_t)bytes; count++)
        tokens[count] = (unsigned char)text[count];
    if (status == YOKE_OK && count == 0) tokens[count++] = vocab == 256 ? '\n' : 0;
    free(copy);
    if (status != YOKE_OK) {
        free(tokens);
        return status;
    }
    *tokens_out = tokens;
    *count_out = count;
    return YOKE_OK;
}

/* A user's turn, and the beginning of the assistant's; what ends that one ends an answer from here on. */
static yoke_status encode_chat(yoke_generator *g, const char *text, size_t bytes, int32_t **tokens_out,
                               int64_t *count_out)
{
    yki_chat chat;
    yki_text whole = {0};
    yki_turn turn = {.role = YKI_USER, .content = text, .bytes = bytes};
    if (!g->tokenizer)
        return yki_fail(YOKE_INVALID, "%s has no tokenizer.json, which a chat's turns need", g->folder);
    YKI_TRY(yki_chat_find(g->folder, g->job->data.chat, &chat));
    YKI_TRY(yki_chat_need(&chat));
    yki_chat_render(&chat, &turn, 1, true, &whole, NULL);
    yoke_status status =
        whole.failed ? yki_fail_memory("a prompt")
                     : yoke_tokenizer_encode(g->tokenizer, whole.data, whole.length, tokens_out, count_out);
    yki_text_release(&whole);
    if (status == YOKE_OK) g->chat_end = yoke_tokenizer_added(g->tokenizer, yki_chat_end(&chat));
    return status;
}

static yoke_status check_ids(const yoke_generator *g, const char *file, const int32_t *tokens, int64_t count)
{
    if (count == 0)
        return yki_fail_at(YOKE_INVALID, file, 0, "",
                           "%s has no tokens, and the model needs one to go on from",
                           file[0] ? "the list" : "the prompt");
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= g->spec.vocab)
            return yki_fail_at(
                YOKE_INVALID, file, 0, "",
                "token %lld of the prompt, counted from 0, is %ld, and the model's are 0 to %lld",
                (long long)i, (long)tokens[i], (long long)g->spec.vocab - 1);
    return YOKE_OK;
}

yoke_status yoke_generator_encode(yoke_generator *g, yoke_prompt_kind kind, const char *text, size_t bytes,
                                  int32_t **tokens_out, int64_t *count_out)
{
    YKI_NEED(g, text, tokens_out, count_out);
    int32_t *tokens = NULL;
    int64_t count = 0;
    if ((unsigned)kind > YOKE_PROMPT_CHAT)
        return yki_fail(YOKE_INVALID, "%d is no kind of prompt", (int)kind);
    if (g->tokenizer_fault.status != YOKE_OK) {
        yki_error_set(&g->tokenizer_fault);
        return g->tokenizer_fault.status;
    }
    yoke_status status = kind == YOKE_PROMPT_CHAT ? encode_chat(g, text, bytes, &tokens, &count)
                         : g->tokenizer           ? encode(g->tokenizer, kind, text, bytes, &tokens, &count)
                                                  : read_text(g, text, bytes, &tokens, &count);
    if (status == YOKE_OK) status = check_ids(g, "", tokens, count);
    if (status != YOKE_OK) {
        free(tokens);
        return status;
    }
    *tokens_out = tokens;
    *count_out = count;
    return YOKE_OK;
}

static yoke_status take_list(const char *path, const json_t *list, int32_t **tokens_out, int64_t *count_out)
{
    size_t count = json_array_size(list);
    int32_t *tokens = malloc(sizeof *tokens * (count + 1));
    if (!tokens) return yki_fail_memory("a prompt");
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(list, i);
        json_int_t id = json_integer_value(number);
        if (!json_is_integer(number) || id < 0 || id > INT32_MAX) {
            free(tokens);
            return yki_fail_at(
                YOKE_INVALID, path, 0, "",
                "is to be a list of token numbers, as [1, 2, 3]; number %zu, counted from 0, is "
                "none",
                i);
        }
        tokens[i] = (int32_t)id;
    }
    *tokens_out = tokens;
    *count_out = (int64_t)count;
    return YOKE_OK;
}

yoke_status yoke_generator_read(yoke_generator *g, const char *path, int32_t **tokens_out, int64_t *count_out)
{
    YKI_NEED(g, path, tokens_out, count_out);
    char *bytes;
    size_t length;
    YKI_TRY(yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &bytes, &length));
    json_error_t error;
    json_t *list = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (!json_is_array(list)) {
        json_decref(list);
        return yki_fail_at(YOKE_INVALID, path, list || error.line < 0 ? 0 : error.line, "",
                           "is to be a JSON list of token numbers, as [1, 2, 3]%s%s", list ? "" : ": ",
                           list ? "" : error.text);
    }
    int32_t *tokens = NULL;
    int64_t count = 0;
    yoke_status status = take_list(path, list, &tokens, &count);
    json_decref(list);
    if (status == YOKE_OK) status = check_ids(g, path, tokens, count);
    if (status != YOKE_OK) {
        free(tokens);
        return status;
    }
    *tokens_out = tokens;
    *count_out = count;
    return YOKE_OK;
}
