/* Added tokens, as a file lists them. Their ids are those that Hugging Face's `tokenizers` gives them: the
 * vocabulary's own, or the next number past the vocabulary's size, which a vocabulary with holes may have
 * given away already: such a number is then read as the added token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "data/tokenizer/tokenizer.h"

typedef struct loading {
    yoke_tokenizer *tokenizer;
    const json_t *vocab, *added;
    int64_t most; /* the highest id of an added token so far; -1: none */
    bool *seen;
} loading;

static const char *content_of(const json_t *item)
{
    return json_string_value(json_object_get(item, "content"));
}

static yoke_status check(const yoke_tokenizer *t, const json_t *item, const char *key)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    enum { MOST_ADDED_BYTES = 4096 }; /* every place of a text may cost the length of the longest */
    const char *content = content_of(item);
    bool value;
    if (!content || !*content) return yki_tokenizer_fail(t, key, "has no content, or an empty one");
    if (strlen(content) > MOST_ADDED_BYTES)
        return yki_tokenizer_fail(t, key, "is longer than %d bytes", MOST_ADDED_BYTES);
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        YKI_TRY(yki_part_flag(t, item, key, flags[f], false, &value));
    return YOKE_OK;
}

/* The id of an added token. */
static yoke_status number(loading *l, const json_t *item, const char *key, int32_t *id_out)
{
    yoke_tokenizer *t = l->tokenizer;
    const char *content = content_of(item);
    const json_t *given = json_object_get(item, "id"), *known = json_object_get(l->vocab, content);
    int64_t words = (int64_t)json_object_size(l->vocab), next = l->most >= words ? l->most + 1 : words;
    bool holes = t->size > words;
    char quoted[YKI_QUOTE_BYTES];
    yki_quote(quoted, content);
    if (!json_is_integer(given))
        return yki_tokenizer_fail(t, key, "token %s has an id that is no whole number", quoted);
    if (!known && !holes && json_integer_value(given) != next)
        return yki_tokenizer_fail(t, key,
                                  "token %s has id %lld; behind the tokens before it, it is number %lld",
                                  quoted, (long long)json_integer_value(given), (long long)next);
    if (known && json_integer_value(given) != json_integer_value(known))
        return yki_tokenizer_fail(t, key, "token %s has another id in model.vocab", quoted);
    *id_out = (int32_t)(known ? json_integer_value(known) : next);
    const yki_token *token = &t->tokens[*id_out];
    if (known && t->byte_level &&
        (token->count != strlen(content) || memcmp(token->bytes, content, token->count) != 0))
        return yki_tokenizer_fail(t, key, "token %s stands for other bytes in model.vocab", quoted);
    return YOKE_OK;
}

/* What is looked for in texts: the content, normalized where the token is. */
static yoke_status look_for(const yoke_tokenizer *t, const json_t *item, const char *key,
                            yki_added_item *made)
{
    const char *content = content_of(item);
    yki_text buffers[2] = {{0}, {0}};
    yki_tokenizer_text piece = {content, strlen(content), true};
    yoke_status status = YOKE_OK;
    if (json_is_true(json_object_get(item, "normalized")))
        status = yki_normalize(t, NULL, buffers, piece, &piece);
    if (status == YOKE_OK && piece.count == 0)
        status = yki_tokenizer_fail(t, key, "is empty once it is normalized");
    if (status == YOKE_OK) {
        made->content = malloc(piece.count + 1);
        made->length = (uint32_t)piece.count;
        if (made->content)
            memcpy(made->content, piece.text, piece.count);
        else
            status = yki_fail_memory("a tokenizer's added tokens");
    }
    for (int i = 0; i < 2; i++) yki_text_release(&buffers[i]);
    return status;
}

static yoke_status load_item(loading *l, int at)
{
    yoke_tokenizer *t = l->tokenizer;
    const json_t *item = json_array_get(l->added, (size_t)at);
    yki_added *added = &t->added[json_is_true(json_object_get(item, "normalized"))];
    yki_added_item made = {0};
    char key[64];
    snprintf(key, sizeof key, "added_tokens.%d", at);
    YKI_TRY(check(t, item, key));
    YKI_TRY(number(l, item, key, &made.id));
    if (l->seen[made.id]) return yki_tokenizer_fail(t, key, "is there twice: id %ld", (long)made.id);
    l->seen[made.id] = true;
    t->names[at].id = made.id;
    t->names[at].content = strdup(content_of(item));
    t->nnames = at + 1;
    if (!t->names[at].content) return yki_fail_memory("a tokenizer's added tokens");
    if (made.id > l->most) l->most = made.id;
    made.single_word = json_is_true(json_object_get(item, "single_word"));
    made.lstrip = json_is_true(json_object_get(item, "lstrip"));
    made.rstrip = json_is_true(json_object_get(item, "rstrip"));
    /* those that are special stand before the others */
    made.order = json_is_true(json_object_get(item, "special")) ? at : at + (int)json_array_size(l->added);
    if (made.single_word && !t->word_character)
        YKI_TRY(yki_pattern_create_own(t, key, "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]",
                                       &t->word_character));
    YKI_TRY(look_for(t, item, key, &made));
    added->items[added->count++] = made;
    t->names[at].text = strndup(made.content, made.length);
    if (!t->names[at].text) return yki_fail_memory("a tokenizer's added tokens");
    return YOKE_OK;
}

yoke_status yki_tokenizer_load_added(yoke_tokenizer *t, const json_t *vocab, const json_t *added)
{
    if (added && !json_is_null(added) && !json_is_array(added))
        return yki_tokenizer_fail(t, "added_tokens", "is no list");
    size_t count = json_array_size(added);
    loading l = {.tokenizer = t, .vocab = vocab, .added = added, .most = -1};
    l.seen = calloc((size_t)t->size + json_object_size(vocab) + count + 1, sizeof *l.seen);
    for (int pass = 0; pass < 2; pass++)
        t->added[pass].items = calloc(count + 1, sizeof *t->added[pass].items);
    t->names = calloc(count + 1, sizeof *t->names);
    yoke_status status = l.seen && t->names && t->added[0].items && t->added[1].items
                             ? YOKE_OK
                             : yki_fail_memory("a tokenizer's added tokens");
    for (size_t i = 0; i < count && status == YOKE_OK; i++) status = load_item(&l, (int)i);
    free(l.seen);
    YKI_TRY(status);
    if (l.most >= t->size) t->size = (int32_t)l.most + 1;
    if (t->size == 0) return yki_tokenizer_fail(t, "model.vocab", "is empty");
    YKI_TRY(yki_added_finish(&t->added[0]));
    return yki_added_finish(&t->added[1]);
}
