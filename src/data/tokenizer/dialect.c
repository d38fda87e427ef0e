/* From Oniguruma's Ruby dialect, which Hugging Face's patterns are written in, to PCRE2's. Only what this
 * file knows to mean the same passes; the rest is refused by name, for a pattern that means something a
 * little different would give other tokens without a word. Rewritten: \s and \S, whose Unicode sets differ
 * (PCRE2's has U+180E). Elsewhere (split.c): ^ and $ match at lines' ends. Refused though both know it: \w,
 * \b and \h (other sets), \v, \x and \u, names of properties longer than two letters (scripts count
 * extensions in PCRE2), possessive or lazy {n,m} (in Ruby a quantifier of a quantifier), {,m}, && and nested
 * sets, back references. Known difference: a letter pair in (?i:) does not match its ligature ("ss" and
 * U+00DF). */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"

/* White space of Unicode, as in Oniguruma and Rust; each list ends in a range, so that a '-' after it is
 * itself. */
#define SPACE                                                                                                \
    "\\x{85}\\x{a0}\\x{1680}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000} \\x{2000}-\\x{200a}\\t-\\r"
#define NOT_SPACE                                                                                            \
    "\\x{3001}-\\x{10ffff}\\x{2060}-\\x{2fff}\\x{2030}-\\x{205e}\\x{202a}-\\x{202e}\\x{200b}-\\x{2027}"      \
    "\\x{1681}-\\x{1fff}\\x{a1}-\\x{167f}\\x{86}-\\x{9f}\\x{21}-\\x{84}\\x{e}-\\x{1f}\\x{0}-\\x{8}"

typedef struct walk {
    const yoke_tokenizer *tokenizer;
    const char *key, *at;
    yki_text out;
    int depth;       /* of groups */
    bool repeatable; /* what stands before `at` may be repeated */
} walk;

static yoke_status refuse(const walk *w, const char *what, size_t count)
{
    char piece[64], quoted[YKI_QUOTE_BYTES];
    size_t length = 0;
    while (length < count && length + 1 < sizeof piece && w->at[length]) length++;
    memcpy(piece, w->at, length);
    piece[length] = '\0';
    return yki_tokenizer_fail(w->tokenizer, w->key, "%s in the pattern is not supported: %s", what,
                              yki_quote(quoted, piece));
}

static void take(walk *w, size_t count)
{
    yki_text_append_bytes(&w->out, w->at, count);
    w->at += count;
}

/* \p{L}, \P{Lu}: categories by their one or two letters. */
static yoke_status property(walk *w)
{
    static const char *const known =
        " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So "
        "Z Zs Zl Zp C Cc Cf Co Cn ";
    char name[5] = " ";
    const char *end = w->at[2] == '{' ? strchr(w->at, '}') : NULL;
    size_t length = end ? (size_t)(end - w->at) - 3 : 0;
    if (length == 1 || length == 2) {
        memcpy(name + 1, w->at + 3, length);
        name[1 + length] = ' ';
        if (strstr(known, name)) {
            take(w, length + 4);
            return YOKE_OK;
        }
    }
    return refuse(w, "a property that is no general category of one or two letters",
                  end ? (size_t)(end - w->at) + 1 : 8);
}

static yoke_status escape(walk *w, bool in_set)
{
    char c = w->at[1];
    if (c == 'p' || c == 'P') return property(w);
    if (c == 's' || c == 'S') {
        yki_text_append(&w->out, in_set ? "%s" : "[%s]", c == 's' ? SPACE : NOT_SPACE);
        w->at += 2;
        return YOKE_OK;
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
    bool known = letter ? strchr("dDrntf", c) != NULL : !digit && c > ' ' && c < 0x7f;
    if (!known) return refuse(w, "this escape", 2);
    take(w, 2);
    return YOKE_OK;
}

static yoke_status set(walk *w)
{
    const char *before = w->at;
    take(w, w->at[1] == '^' ? 2 : 1);
    for (bool first = true, range = false; *w->at != ']'; first = false) {
        if (!*w->at) {
            w->at = before;
            return refuse(w, "a set without an end", 20);
        }
        if (*w->at == '[') return refuse(w, "a set within a set", 8);
        if (w->at[0] == '&' && w->at[1] == '&') return refuse(w, "an intersection of sets", 8);
        bool hyphen = *w->at == '-';
        if (*w->at == '\\') {
            if (range && strchr("sSpPdD", w->at[1])) return refuse(w, "a range that ends in a set", 4);
            YKI_TRY(escape(w, true));
        } else {
            take(w, 1);
        }
        range = hyphen && !first;
    }
    if (w->at == before + 1 || (before[1] == '^' && w->at == before + 2)) { /* "[]": Ruby's empty set */
        w->at = before;
        return refuse(w, "an empty set", 3);
    }
    take(w, 1);
    w->repeatable = true;
    return YOKE_OK;
}

static yoke_status group(walk *w)
{
    static const struct {
        const char *start;
        bool looks;
    } kinds[] = {{"(?:", false}, {"(?i:", false}, {"(?>", false}, {"(?=", true},
                 {"(?!", true},  {"(?<=", true},  {"(?<!", true}};
    w->depth++;
    w->repeatable = false;
    if (w->at[1] != '?' && w->at[1] != '*') {
        take(w, 1);
        return YOKE_OK;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].start);
        if (strncmp(w->at, kinds[i].start, length) != 0) continue;
        take(w, length);
        return YOKE_OK;
    }
    return refuse(w, "this kind of group", 4);
}

/* {n}, {n,} or {n,m}. */
static yoke_status interval(walk *w)
{
    const char *end = w->at + 1;
    size_t digits = strspn(end, "0123456789");
    end += digits;
    if (digits > 0 && *end == ',') end += 1 + strspn(end + 1, "0123456789");
    if (digits == 0 || *end != '}' || !w->repeatable) return refuse(w, "this use of {", 10);
    if (end[1] && strchr("?*+{", end[1])) return refuse(w, "a quantifier of a quantifier", 10);
    take(w, (size_t)(end - w->at) + 1);
    w->repeatable = false;
    return YOKE_OK;
}

static yoke_status quantifier(walk *w)
{
    if (!w->repeatable) return refuse(w, "a quantifier of nothing", 3);
    take(w, w->at[1] == '?' || w->at[1] == '+' ? 2 : 1);
    w->repeatable = false;
    if (*w->at && strchr("?*+{", *w->at)) return refuse(w, "a quantifier of a quantifier", 4);
    return YOKE_OK;
}

static yoke_status step(walk *w)
{
    switch (*w->at) {
    case '\\':
        w->repeatable = true;
        return escape(w, false);
    case '[':
        return set(w);
    case '(':
        return group(w);
    case ')':
        if (w->depth == 0) return refuse(w, "a ) without its (", 1);
        w->depth--;
        w->repeatable = true;
        take(w, 1);
        return YOKE_OK;
    case '{':
        return interval(w);
    case '?':
    case '*':
    case '+':
        return quantifier(w);
    case '|':
    case '^':
    case '$':
        w->repeatable = false;
        take(w, 1);
        return YOKE_OK;
    default:
        w->repeatable = true;
        take(w, 1);
        while ((*w->at & 0xc0) == 0x80) take(w, 1); /* the rest of a character */
        return YOKE_OK;
    }
}

yoke_status yki_dialect_translate(const yoke_tokenizer *tokenizer, const char *key, const char *pattern,
                                  char **pattern_out)
{
    walk w = {.tokenizer = tokenizer, .key = key, .at = pattern};
    yoke_status status = YOKE_OK;
    yki_text_append_bytes(&w.out, "", 0);
    while (status == YOKE_OK && *w.at) status = step(&w);
    if (status == YOKE_OK && w.depth > 0)
        status = yki_tokenizer_fail(tokenizer, key, "the pattern has a ( without its )");
    if (status != YOKE_OK) {
        yki_text_release(&w.out);
        return status;
    }
    *pattern_out = yki_text_take(&w.out);
    return *pattern_out ? YOKE_OK : yki_fail_memory("a tokenizer's pattern");
}
