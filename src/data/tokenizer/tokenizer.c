/* A tokenizer's life, its tokens, and decoding. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/disk.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"

/* A number that the author of a file cannot know. */
static uint64_t secret(const void *address)
{
    uint64_t seed = (uint64_t)(uintptr_t)address; /* where the system has none at once */
    return getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed ? seed : seed ^ (uint64_t)clock();
}

static yoke_status load_file(yoke_tokenizer *tokenizer, const char *path)
{
    tokenizer->seed = secret(tokenizer);
    tokenizer->path = strdup(path);
    if (!tokenizer->path) return yki_fail_memory("a tokenizer");
    YKI_TRY(yki_disk_read(path, YKI_JSON_LIMIT_BYTES, &tokenizer->source, &tokenizer->source_bytes));
    const char *kind = yki_file_kind(tokenizer->source, tokenizer->source_bytes);
    if (kind) return yki_fail_at(YOKE_INVALID, path, 0, "", "is %s", kind);
    json_t *root;
    YKI_TRY(yki_json_parse(path, "", tokenizer->source, tokenizer->source_bytes, &root));
    yoke_status status = yki_tokenizer_load(tokenizer, root);
    json_decref(root);
    return status;
}

yoke_status yoke_tokenizer_create(yoke_tokenizer **tokenizer_out, const char *path)
{
    YKI_NEED(tokenizer_out, path);
    yoke_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) return yki_fail_memory("a tokenizer");
    yoke_status status = load_file(tokenizer, path);
    if (status != YOKE_OK) {
        yoke_tokenizer_destroy(tokenizer);
        return status;
    }
    *tokenizer_out = tokenizer;
    return YOKE_OK;
}

void yoke_tokenizer_destroy(yoke_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    for (int i = 0; i < tokenizer->nsplits; i++) yki_pattern_destroy(tokenizer->splits[i]);
    for (int i = 0; i < 2; i++) yki_added_release(&tokenizer->added[i]);
    free(tokenizer->words);
    free(tokenizer->merges.slots);
    free(tokenizer->tokens);
    free(tokenizer->pool);
    free(tokenizer->source);
    free(tokenizer->path);
    free(tokenizer);
}

int64_t yoke_tokenizer_size(const yoke_tokenizer *tokenizer)
{
    if (!tokenizer) return 0;
    return tokenizer->size;
}

const char *yki_tokenizer_source(const yoke_tokenizer *tokenizer, size_t *bytes_out)
{
    *bytes_out = tokenizer->source_bytes;
    return tokenizer->source;
}

const char *yoke_tokenizer_token(const yoke_tokenizer *tokenizer, int32_t id, size_t *bytes_out)
{
    if (!tokenizer) return NULL;
    if (id < 0 || id >= tokenizer->size) return NULL;
    *bytes_out = tokenizer->tokens[id].count;
    return tokenizer->tokens[id].bytes;
}

int32_t yoke_tokenizer_added(const yoke_tokenizer *tokenizer, const char *content)
{
    if (!tokenizer || !content) return -1;
    size_t count = strlen(content);
    for (int pass = 0; pass < 2; pass++) {
        const yki_added *added = &tokenizer->added[pass];
        for (int i = 0; i < added->count; i++)
            if (added->lengths[i] == count && memcmp(added->contents[i], content, count) == 0)
                return added->ids[i];
    }
    return -1;
}

yoke_status yoke_tokenizer_decode(const yoke_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                                  char **text_out, size_t *bytes_out)
{
    YKI_NEED(tokenizer, text_out);
    if (count < 0 || (!ids && count > 0))
        return yki_fail(YOKE_INVALID, "yoke_tokenizer_decode: %lld ids, and they are NULL", (long long)count);
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->size)
            return yki_fail_at(
                YOKE_INVALID, tokenizer->path, 0, "",
                "has no token %ld (number %lld of the list, counted from 0); its ids are 0 to %ld",
                (long)ids[i], (long long)i, (long)tokenizer->size - 1);
        if (__builtin_add_overflow(bytes, tokenizer->tokens[ids[i]].count, &bytes))
            return yki_fail_memory("a text");
    }
    char *text = bytes < SIZE_MAX ? malloc(bytes + 1) : NULL, *at = text;
    if (!text) return yki_fail_memory("a text");
    for (int64_t i = 0; i < count; i++) {
        const yki_token *token = &tokenizer->tokens[ids[i]];
        memcpy(at, token->bytes, token->count);
        at += token->count;
    }
    *at = '\0';
    *text_out = text;
    if (bytes_out) *bytes_out = bytes;
    return YOKE_OK;
}
