/* Post-processors: what stands before a text and behind it, where it is encoded with special tokens. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

/* Puts an id where a later processor puts it: outside of what is there already. */
static yoke_status put(yoke_tokenizer *t, const char *key, const json_t *number, bool behind, int64_t at)
{
    int64_t *count = behind ? &t->nend : &t->nbegin;
    int32_t **ids = behind ? &t->end : &t->begin;
    json_int_t id = json_integer_value(number);
    if (!json_is_integer(number) || id < 0 || id >= t->size || !t->tokens[id].text)
        return yki_tokenizer_fail(t, key, "adds a token whose id is none of the tokenizer's");
    int32_t *grown = realloc(*ids, sizeof **ids * (size_t)(*count + 1));
    if (!grown) return yki_fail_memory("a tokenizer's post_processor");
    *ids = grown;
    memmove(grown + at + 1, grown + at, sizeof *grown * (size_t)(*count - at));
    grown[at] = (int32_t)id;
    ++*count;
    return YOKE_OK;
}

static yoke_status load_nothing(yoke_tokenizer *t, const json_t *part, const char *key)
{
    (void)t, (void)part, (void)key; /* ByteLevel changes offsets alone */
    return YOKE_OK;
}

/* {"SpecialToken": {"id": NAME}}: the ids that special_tokens.NAME lists; *at counts them. */
static yoke_status put_special(yoke_tokenizer *t, const json_t *part, const char *key, const json_t *special,
                               bool behind, int64_t *at)
{
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *token = name ? json_object_get(json_object_get(part, "special_tokens"), name) : NULL;
    const json_t *ids = json_object_get(token, "ids");
    char quoted[YKI_QUOTE_BYTES];
    if (!json_is_array(ids))
        return yki_tokenizer_fail(t, key, "has no ids for %s among its special_tokens",
                                  yki_quote(quoted, name ? name : ""));
    for (size_t i = 0; i < json_array_size(ids); i++)
        YKI_TRY(put(t, key, json_array_get(ids, i), behind, (*at)++));
    return YOKE_OK;
}

static yoke_status load_template(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const json_t *single = json_object_get(part, "single");
    bool behind = false;
    int64_t at = 0;
    if (!json_is_array(single)) return yki_tokenizer_fail(t, key, "has no list as its single");
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i), *sequence = json_object_get(piece, "Sequence");
        const char *id = json_string_value(json_object_get(sequence, "id"));
        char place[320];
        snprintf(place, sizeof place, "%s.single.%zu", key, i);
        if (sequence && (behind || !id || strcmp(id, "A") != 0))
            return yki_tokenizer_fail(t, place, "is a Sequence other than one A, which is not supported");
        if (sequence) {
            behind = true;
            at = t->nend;
        } else {
            YKI_TRY(put_special(t, part, place, json_object_get(piece, "SpecialToken"), behind, &at));
        }
    }
    return behind ? YOKE_OK : yki_tokenizer_fail(t, key, "has a single without the Sequence A");
}

/* "cls": [token, id] before, "sep" behind. */
static yoke_status load_pair(yoke_tokenizer *t, const json_t *part, const char *key)
{
    YKI_TRY(put(t, key, json_array_get(json_object_get(part, "cls"), 1), false, 0));
    return put(t, key, json_array_get(json_object_get(part, "sep"), 1), true, t->nend);
}

static const yki_part_type types[] = {{"ByteLevel", load_nothing},
                                      {"TemplateProcessing", load_template},
                                      {"BertProcessing", load_pair},
                                      {"RobertaProcessing", load_pair}};
const yki_part_table yki_post_processors = {"post_processor", "processors", types,
                                            sizeof types / sizeof *types};
