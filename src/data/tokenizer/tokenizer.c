/* A tokenizer's life, and what it tells of its tokens. */
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
    yki_parts_release(&tokenizer->normalizers);
    yki_parts_release(&tokenizer->dividers);
    yki_parts_release(&tokenizer->decoders);
    if (tokenizer->word_character) yki_pattern_destroy(tokenizer->word_character);
    for (int i = 0; i < 2; i++) yki_added_release(&tokenizer->added[i]);
    for (int i = 0; i < tokenizer->nnames; i++) {
        free(tokenizer->names[i].content);
        free(tokenizer->names[i].text);
    }
    free(tokenizer->names);
    free(tokenizer->words);
    free(tokenizer->merges.slots);
    free(tokenizer->tokens);
    free(tokenizer->pool);
    free(tokenizer->texts);
    free(tokenizer->begin);
    free(tokenizer->end);
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
    if (id < 0 || id >= tokenizer->size || !tokenizer->tokens[id].text) return NULL;
    *bytes_out = tokenizer->tokens[id].text_count;
    return tokenizer->tokens[id].text;
}

int32_t yoke_tokenizer_added(const yoke_tokenizer *tokenizer, const char *content)
{
    if (!tokenizer || !content) return -1;
    for (int i = 0; i < tokenizer->nnames; i++)
        if (strcmp(tokenizer->names[i].content, content) == 0) return tokenizer->names[i].id;
    return -1;
}

const int32_t *yoke_tokenizer_begin(const yoke_tokenizer *tokenizer, int64_t *count_out)
{
    if (!tokenizer || !count_out) return NULL;
    *count_out = tokenizer->nbegin;
    return tokenizer->begin;
}

const int32_t *yoke_tokenizer_end(const yoke_tokenizer *tokenizer, int64_t *count_out)
{
    if (!tokenizer || !count_out) return NULL;
    *count_out = tokenizer->nend;
    return tokenizer->end;
}
