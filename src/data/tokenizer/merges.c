/* Merges, as a file lists them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"

static const char meta[] = "\xe2\x96\x81"; /* U+2581, which stands for spaces */
enum { SPACE = sizeof meta - 1 };

/* The two halves of a merge: ["a", "b"], or "a b", which is cut at its space in `buffer`. */
static bool halves(const json_t *item, char *buffer, size_t size, const char **left_out,
                   const char **right_out)
{
    if (json_is_array(item)) {
        *left_out = json_string_value(json_array_get(item, 0));
        *right_out = json_string_value(json_array_get(item, 1));
        return json_array_size(item) == 2 && *left_out && *right_out;
    }
    const char *text = json_string_value(item), *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' ') || strlen(text) >= size) return false;
    strcpy(buffer, text);
    buffer[space - text] = '\0';
    *left_out = buffer;
    *right_out = buffer + (space - text) + 1;
    return true;
}

/* The id of a text in the vocabulary, whose ids have been checked; -1: none. */
static int32_t id_of(const json_t *vocab, const char *text)
{
    const json_t *number = json_object_get(vocab, text);
    return number ? (int32_t)json_integer_value(number) : -1;
}

static yoke_status put_merge(yoke_tokenizer *t, const json_t *vocab, const json_t *item, size_t rank,
                             char *buffer, size_t size)
{
    const char *left, *right;
    char key[64], quoted[YKI_QUOTE_BYTES];
    snprintf(key, sizeof key, "model.merges.%zu", rank);
    if (!halves(item, buffer, size / 2, &left, &right))
        return yki_tokenizer_fail(t, key, "is no merge: \"a b\" or [\"a\", \"b\"] of two tokens");
    int32_t a = id_of(vocab, left), b = id_of(vocab, right);
    if (a < 0 || b < 0)
        return yki_tokenizer_fail(t, key, "merges %s, which is no token of model.vocab",
                                  yki_quote(quoted, a < 0 ? left : right));
    char *joined = buffer + size / 2; /* both are tokens: no longer than the longest */
    snprintf(joined, size / 2, "%s%s", left, right);
    int32_t id = id_of(vocab, joined);
    size_t before = strlen(left);
    if (strncmp(right, meta, SPACE) == 0 &&
        (before < SPACE || memcmp(left + before - SPACE, meta, SPACE) != 0))
        t->cut = false;
    if (id < 0)
        return yki_tokenizer_fail(t, key, "makes %s, which is no token of model.vocab",
                                  yki_quote(quoted, joined));
    if (!yki_merges_put(&t->merges, a, b, (int32_t)rank, id))
        return yki_tokenizer_fail(t, key, "is there twice: it makes %s", yki_quote(quoted, joined));
    return YOKE_OK;
}

/* Where there is a token for it, and no letter before it can vanish and bring two of them together. */
static bool can_cut(const yoke_tokenizer *t, const json_t *vocab)
{
    bool whole = t->unknown >= 0;
    for (int byte = 0; byte < 256 && !whole; byte++) {
        if (t->spelled_ids[byte] < 0) break;
        whole = byte == 255;
    }
    return !t->byte_level && whole && id_of(vocab, meta) >= 0;
}

yoke_status yki_tokenizer_load_merges(yoke_tokenizer *t, const json_t *vocab, const json_t *merges)
{
    if (!json_is_array(merges)) return yki_tokenizer_fail(t, "model.merges", "is missing or no list");
    size_t count = json_array_size(merges), longest = 0;
    const char *text;
    json_t *number;
    json_object_foreach((json_t *)vocab, text, number) if (strlen(text) > longest) longest = strlen(text);
    YKI_TRY(yki_merges_init(&t->merges, count, t->seed));
    size_t size = 2 * (2 * longest + 2);
    char *buffer = malloc(size);
    if (!buffer) return yki_fail_memory("a tokenizer's merges");
    yoke_status status = YOKE_OK;
    t->cut = can_cut(t, vocab);
    for (size_t i = 0; i < count && status == YOKE_OK; i++)
        status = put_merge(t, vocab, json_array_get(merges, i), i, buffer, size);
    free(buffer);
    return status;
}
