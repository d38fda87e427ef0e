/* Pre-tokenizers: the table of their types, and those that divide by patterns. Each divides the pieces that
 * the one before it made; what the last one makes are words. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/tokenizer/tokenizer.h"

/* What becomes of a match: bits of a split's mode. A piece is held back until it is known what follows it. */
enum {
    JOIN_REST_MATCH = 1, /* what lies between matches takes a match behind it in */
    JOIN_MATCH_REST = 2, /* a match takes what lies behind it in */
    JOIN_ALIKE = 4,      /* matches become one; so does what lies between, where there are several */
    DROP_MATCH = 8,
    INVERT = 16, /* matches and the rest change places */
};

static const struct {
    const char *name;
    int mode;
} behaviors[] = {{"Isolated", 0},
                 {"Removed", DROP_MATCH},
                 {"MergedWithPrevious", JOIN_REST_MATCH},
                 {"MergedWithNext", JOIN_MATCH_REST},
                 {"Contiguous", JOIN_ALIKE}};

typedef struct division {
    yki_encoder *encoder;
    yki_tokenizer_text whole;
    size_t begin, end; /* held back; begin == end: nothing */
    bool match;
    int level, mode;
} division;

static yoke_status emit(division *d)
{
    yki_tokenizer_text piece = {d->whole.text + d->begin, d->end - d->begin, d->whole.first && d->begin == 0};
    if (d->match && (d->mode & DROP_MATCH)) return YOKE_OK;
    return yki_encoder_pass(d->encoder, d->level + 1, piece);
}

static yoke_status take(division *d, size_t begin, size_t end, bool match)
{
    match ^= (d->mode & INVERT) != 0;
    int joins = d->match == match ? JOIN_ALIKE : match ? JOIN_REST_MATCH : JOIN_MATCH_REST;
    if (d->end > d->begin && (d->mode & joins)) {
        d->end = end;
    } else {
        if (d->end > d->begin) YKI_TRY(emit(d));
        d->begin = begin;
        d->end = end;
    }
    d->match = match;
    return YOKE_OK;
}

static yoke_status split(yki_encoder *e, const yki_tokenizer_part *part, int level, yki_tokenizer_text piece)
{
    division d = {.encoder = e, .whole = piece, .level = level, .mode = part->mode};
    for (size_t at = 0, begin, end; at < piece.count; at = end) {
        YKI_TRY(yki_pattern_next(yki_encoder_tokenizer(e), part->pattern, yki_encoder_matcher(e), piece.text,
                                 piece.count, at, &begin, &end));
        if (begin > at) YKI_TRY(take(&d, at, begin, false));
        if (end > begin) YKI_TRY(take(&d, begin, end, true));
    }
    return d.end > d.begin ? emit(&d) : YOKE_OK;
}

static yoke_status add_split(yoke_tokenizer *t, const char *key, const char *pattern, int mode)
{
    yki_tokenizer_part *made;
    if (t->byte_level) return yki_tokenizer_fail(t, key, "stands behind ByteLevel, which must be the last");
    YKI_TRY(yki_part_add(t, &t->dividers, key, &made));
    made->divide = split;
    made->mode = mode;
    made->lossy = (mode & DROP_MATCH) != 0;
    return yki_pattern_create(t, key, pattern, &made->pattern);
}

/* A text as a pattern that matches it. */
static yoke_status add_literal(yoke_tokenizer *t, const char *key, const char *literal, int mode)
{
    yki_text pattern = {0};
    for (const char *at = literal; *at; at++)
        yki_text_append(&pattern, *at > ' ' && *at < 0x7f && strchr("\\^$.|?*+()[]{}", *at) ? "\\%c" : "%c",
                        *at);
    yoke_status status =
        pattern.failed ? yki_fail_memory("a pattern") : add_split(t, key, pattern.data, mode);
    yki_text_release(&pattern);
    return status;
}

static yoke_status load_split(yoke_tokenizer *t, const json_t *part, const char *key)
{
    const char *literal, *regex, *behavior = json_string_value(json_object_get(part, "behavior"));
    char quoted[YKI_QUOTE_BYTES];
    bool invert;
    int known = sizeof behaviors / sizeof *behaviors, at = 0;
    YKI_TRY(yki_part_pattern(t, part, key, &literal, &regex));
    while (at < known && strcmp(behaviors[at].name, behavior ? behavior : "") != 0) at++;
    if (at == known)
        return yki_tokenizer_fail(
            t, key,
            "has the behavior %s; Isolated, Removed, MergedWithPrevious, MergedWithNext "
            "and Contiguous are supported",
            yki_quote(quoted, behavior ? behavior : ""));
    YKI_TRY(yki_part_flag(t, part, key, "invert", false, &invert));
    int mode = behaviors[at].mode | (invert ? INVERT : 0);
    return literal ? add_literal(t, key, literal, mode) : add_split(t, key, regex, mode);
}

static yoke_status load_digits(yoke_tokenizer *t, const json_t *part, const char *key)
{
    bool individual;
    YKI_TRY(yki_part_flag(t, part, key, "individual_digits", false, &individual));
    return add_split(t, key, individual ? "\\p{N}" : "\\p{N}+", 0);
}

static yoke_status put_space(yki_encoder *e, const yki_tokenizer_part *part, int level,
                             yki_tokenizer_text piece)
{
    (void)part;
    if (piece.text[0] == ' ' || yki_encoder_goes_on(e, piece)) return yki_encoder_pass(e, level + 1, piece);
    yki_text *buffer = yki_encoder_buffer(e, level);
    yki_text_append_bytes(buffer, " ", 1);
    yki_text_append_bytes(buffer, piece.text, piece.count);
    if (buffer->failed) return yki_fail_memory("a text");
    return yki_encoder_pass(e, level + 1, (yki_tokenizer_text){buffer->data, buffer->length, piece.first});
}

static yoke_status load_byte_level(yoke_tokenizer *t, const json_t *part, const char *key)
{
    bool prefix = false, pattern = false;
    yki_tokenizer_part *made;
    YKI_TRY(yki_part_flag(t, part, key, "add_prefix_space", true, &prefix));
    YKI_TRY(yki_part_flag(t, part, key, "use_regex", true, &pattern));
    if (t->byte_level) return yki_tokenizer_fail(t, key, "stands behind ByteLevel, which must be the last");
    if (prefix) {
        YKI_TRY(yki_part_add(t, &t->dividers, key, &made));
        made->divide = put_space;
        made->lossy = true;
    }
    if (pattern) YKI_TRY(add_split(t, key, yki_gpt2_pattern, 0));
    t->byte_level = true;
    return YOKE_OK;
}

static const yki_part_type types[] = {{"ByteLevel", load_byte_level},
                                      {"Split", load_split},
                                      {"Digits", load_digits},
                                      {"Metaspace", yki_load_metaspace}};
const yki_part_table yki_pre_tokenizers = {"pre_tokenizer", "pretokenizers", types,
                                           sizeof types / sizeof *types};
