/* Patterns by PCRE2: UTF with Unicode's properties, translated to machine code where the system allows that.
 * Every match is bounded in steps and memory, and so is how often one may take many of them, so that a
 * pattern from a file cannot stop the program: a long run of spaces or capitals takes a step for each, once;
 * what takes as many at place after place is no pattern of words. Unicode's version is PCRE2's (14 in 10.42):
 * characters that are younger are no letters or digits to it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

enum {
    MOST_PATTERN_BYTES = 1 << 16,
    FEW_STEPS = 20000,
    MOST_STEPS = 10000000,
    LONG_MATCHES = 16, /* of more than FEW_STEPS, in any text, and one more for so many bytes: */
    BYTES_A_LONG_MATCH = 4096,
    MOST_HEAP_KIB = 256 << 10,
    FIRST_STACK_BYTES = 32 << 10,
    MOST_STACK_BYTES = 4 << 20,
};

const char yki_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct yki_pattern {
    pcre2_code *code;
};

struct yki_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    size_t long_matches; /* that may still come */
};

/* PCRE2 takes its memory from here, where tests can let it run out. */
static void *take(size_t bytes, void *unused)
{
    (void)unused;
    return malloc(bytes);
}

static void give(void *block, void *unused)
{
    (void)unused;
    free(block);
}

void yki_pattern_destroy(yki_pattern *pattern)
{
    pcre2_code_free(pattern->code);
    free(pattern);
}

static yoke_status compile(const yoke_tokenizer *tokenizer, const char *key, const char *text,
                           pcre2_code **code_out)
{
    int error;
    PCRE2_SIZE offset;
    uint32_t empty = 0;
    pcre2_general_context *general = pcre2_general_context_create(take, give, NULL);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    pcre2_general_context_free(general); /* what is made with it has its functions */
    if (!context) return yki_fail_memory("a tokenizer's pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, strlen(text),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                     &error, &offset, context);
    pcre2_compile_context_free(context);
    if (!code && error == PCRE2_ERROR_NOMEMORY) return yki_fail_memory("a tokenizer's pattern");
    if (!code) {
        char message[160] = "", quoted[YKI_QUOTE_BYTES];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        return yki_tokenizer_fail(tokenizer, key, "the pattern is not valid: %s", yki_quote(quoted, message));
    }
    pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) {
        pcre2_code_free(code);
        return yki_tokenizer_fail(tokenizer, key,
                                  "the pattern can match nothing at all, which is not supported");
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it fails, matching interprets */
    *code_out = code;
    return YOKE_OK;
}

yoke_status yki_pattern_create_own(const yoke_tokenizer *tokenizer, const char *key, const char *text,
                                   yki_pattern **pattern_out)
{
    yki_pattern *made = calloc(1, sizeof *made);
    yoke_status status = made ? compile(tokenizer, key, text, &made->code) : yki_fail_memory("a pattern");
    if (status != YOKE_OK) {
        free(made);
        return status;
    }
    *pattern_out = made;
    return YOKE_OK;
}

yoke_status yki_pattern_create(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                               yki_pattern **pattern_out)
{
    if (strlen(pattern) > MOST_PATTERN_BYTES)
        return yki_tokenizer_fail(tokenizer, key, "the pattern has %zu bytes; at most %d are supported",
                                  strlen(pattern), MOST_PATTERN_BYTES);
    char *text;
    YKI_TRY(yki_dialect_translate(tokenizer, key, pattern, &text));
    yoke_status status = yki_pattern_create_own(tokenizer, key, text, pattern_out);
    free(text);
    return status;
}

void yki_matcher_begin(yki_matcher *matcher, size_t bytes)
{
    matcher->long_matches = LONG_MATCHES + bytes / BYTES_A_LONG_MATCH;
}

yki_matcher *yki_matcher_create(void)
{
    yki_matcher *matcher = calloc(1, sizeof *matcher);
    if (!matcher) return NULL;
    pcre2_general_context *general = pcre2_general_context_create(take, give, NULL);
    if (general) {
        matcher->data = pcre2_match_data_create(1, general);
        matcher->context = pcre2_match_context_create(general);
        /* NULL: where machine code needs one, the match is interpreted */
        matcher->stack = pcre2_jit_stack_create(FIRST_STACK_BYTES, MOST_STACK_BYTES, general);
    }
    pcre2_general_context_free(general);
    if (!matcher->data || !matcher->context) {
        yki_matcher_destroy(matcher);
        return NULL;
    }
    yki_matcher_begin(matcher, 0);
    pcre2_set_match_limit(matcher->context, FEW_STEPS);
    pcre2_set_heap_limit(matcher->context, MOST_HEAP_KIB);
    if (matcher->stack) pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    return matcher;
}

void yki_matcher_destroy(yki_matcher *matcher)
{
    if (!matcher) return;
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    pcre2_jit_stack_free(matcher->stack);
    free(matcher);
}

static int match(const yki_pattern *pattern, yki_matcher *matcher, const char *text, size_t count, size_t at)
{
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int result =
        pcre2_match(pattern->code, (PCRE2_SPTR)text, count, at, options, matcher->data, matcher->context);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
        result = pcre2_match(pattern->code, (PCRE2_SPTR)text, count, at, options | PCRE2_NO_JIT,
                             matcher->data, matcher->context);
    return result;
}

yoke_status yki_pattern_next(const yoke_tokenizer *tokenizer, const yki_pattern *pattern,
                             yki_matcher *matcher, const char *text, size_t count, size_t at,
                             size_t *begin_out, size_t *end_out)
{
    int result = match(pattern, matcher, text, count, at);
    if (result == PCRE2_ERROR_MATCHLIMIT && matcher->long_matches == 0)
        return yki_fail_at(YOKE_INVALID, tokenizer->path, 0, "pre_tokenizer",
                           "its pattern takes more than %d steps at too many places of the text", FEW_STEPS);
    if (result == PCRE2_ERROR_MATCHLIMIT) {
        matcher->long_matches--;
        pcre2_set_match_limit(matcher->context, MOST_STEPS);
        result = match(pattern, matcher, text, count, at);
        pcre2_set_match_limit(matcher->context, FEW_STEPS);
    }
    *begin_out = *end_out = count;
    if (result == PCRE2_ERROR_NOMATCH) return YOKE_OK;
    if (result == PCRE2_ERROR_NOMEMORY) return yki_fail_memory("a match");
    if (result < 0)
        return yki_fail_at(
            YOKE_INVALID, tokenizer->path, 0, "pre_tokenizer",
            "its pattern takes more than %d steps or %d MiB on a piece of the text that is %zu "
            "bytes long",
            MOST_STEPS, MOST_HEAP_KIB >> 10, count);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(matcher->data);
    *begin_out = place[0];
    *end_out = place[1];
    return YOKE_OK;
}
