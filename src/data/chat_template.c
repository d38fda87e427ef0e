/* Which of the known templates a chat template is: it is run on a few conversations, and what comes out is
 * compared with what the known ones give. So spelling does not matter, and a template that adds a system turn
 * or tools' texts of its own is neither.
 *
 * What runs is the part of Jinja that such templates are written in: for, if, set, generation; texts, whole
 * numbers, and, or, not, ==, !=, in, is defined, +, ~, a if b else c, members, items, slices, trim, strip().
 * Whitespace as transformers sets it (trim_blocks, lstrip_blocks). All else, and whatever takes too many
 * steps, makes it neither. Written after Jinja's documentation, "Template Designer Documentation". */
#include "data/chat_template.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/chat.h"

enum { MOST_NODES = 4096, MOST_STEPS = 100000, MOST_VARIABLES = 16, POOL_BYTES = 1 << 16, DEEPEST = 64 };

typedef enum kind { UNDEFINED, NUMBER, TEXT, TURNS, TURN, LOOP } kind;

typedef struct value {
    kind kind;
    long number;      /* NUMBER, also of true and false; TURN: which; TURNS: the first */
    long end;         /* TURNS: past the last */
    const char *text; /* TEXT */
    size_t count;
} value;

typedef struct node {
    char type; /* 't' text, 'e' expression, 's' statement */
    const char *from, *to;
} node;

typedef struct variable {
    const char *name;
    size_t count;
    value value;
} variable;

typedef struct runner {
    node *nodes;
    int nnodes, nvariables, steps, depth;
    variable variables[MOST_VARIABLES];
    const yki_turn *turns;
    long index, length;  /* of the innermost loop */
    const char *at, *to; /* in the expression that is read */
    bool failed;
    char *pool;
    size_t used;
    yki_text out;
} runner;

static value fail(runner *r)
{
    r->failed = true;
    return (value){.kind = UNDEFINED};
}

static value of_number(long number)
{
    return (value){.kind = NUMBER, .number = number};
}

static value of_text(const char *text, size_t count)
{
    return (value){.kind = TEXT, .text = text, .count = count};
}

/* ---- the template in pieces ---- */

/* The end of a tag's inside: where `close` is, outside of quotes. NULL: it has none. */
static const char *tag_end(const char *at, const char *close)
{
    for (char quote = 0; *at; at++) {
        if (quote && *at == '\\' && at[1])
            at++;
        else if (quote)
            quote = *at == quote ? 0 : quote;
        else if (close[0] != '#' && (*at == '"' || *at == '\''))
            quote = *at;
        else if (at[0] == close[0] && at[1] == close[1])
            return at;
    }
    return NULL;
}

static bool add_node(runner *r, char type, const char *from, const char *to)
{
    if (from >= to && type == 't') return true;
    if (r->nnodes == MOST_NODES) return false;
    r->nodes[r->nnodes++] = (node){type, from, to};
    return true;
}

/* Where the text from `begin` to a tag ends: without the white space that the tag takes. begins_line: the
 * text is at the beginning of a line. */
static const char *text_end(const char *begin, const char *tag, bool block, bool begins_line)
{
    const char *end = tag;
    if (tag[2] == '-') {
        while (end > begin && isspace((unsigned char)end[-1])) end--;
    } else if (block && tag[2] != '+') { /* lstrip_blocks: it takes the beginning of its line */
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) end--;
        if (end > begin ? end[-1] != '\n' : !begins_line) end = tag;
    }
    return end;
}

static bool divide(runner *r, const char *text)
{
    const char *begin = text, *at = text;
    while (*at) {
        if (at[0] != '{' || !at[1] || !strchr("{%#", at[1])) {
            at++;
            continue;
        }
        char type = at[1], close[3] = {type == '{' ? '}' : type, '}', 0};
        bool block = type != '{', line = begin == text || begin[-1] == '\n';
        const char *from = at + 2 + (at[2] == '-' || at[2] == '+'), *end = tag_end(from, close);
        if (!end) return false;
        bool takes = end > from && end[-1] == '-';
        const char *inner = end > from && (end[-1] == '-' || end[-1] == '+') ? end - 1 : end;
        if (!add_node(r, 't', begin, text_end(begin, at, block, line))) return false;
        if (type != '#' && !add_node(r, type == '{' ? 'e' : 's', from, inner)) return false;
        at = end + 2;
        if (takes)
            while (*at && isspace((unsigned char)*at)) at++;
        else if (block && *at == '\n') /* trim_blocks */
            at++;
        begin = at;
    }
    return add_node(r, 't', begin, at > begin && at[-1] == '\n' ? at - 1 : at);
}

/* ---- expressions ---- */

static void skip_space(runner *r)
{
    while (r->at < r->to && isspace((unsigned char)*r->at)) r->at++;
}

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Takes `word` where it comes next: an operator, or a whole word. */
static bool take(runner *r, const char *word)
{
    size_t length = strlen(word);
    skip_space(r);
    if ((size_t)(r->to - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    if (is_letter(word[0]) && r->at + length < r->to && is_letter(r->at[length])) return false;
    r->at += length;
    return true;
}

static size_t take_name(runner *r, const char **name_out)
{
    skip_space(r);
    const char *begin = r->at;
    if (begin < r->to && !isdigit((unsigned char)*begin))
        while (r->at < r->to && is_letter(*r->at)) r->at++;
    *name_out = begin;
    return (size_t)(r->at - begin);
}

static bool same(const char *text, size_t count, const char *word)
{
    return strlen(word) == count && memcmp(text, word, count) == 0;
}

static value expression(runner *r);

static char *reserve(runner *r, size_t count)
{
    if (POOL_BYTES - r->used < count) {
        r->failed = true;
        return NULL;
    }
    r->used += count;
    return r->pool + r->used - count;
}

static value joined(runner *r, value a, value b)
{
    if (a.kind == NUMBER && b.kind == NUMBER) return of_number(a.number + b.number);
    if (a.kind != TEXT || b.kind != TEXT) return fail(r);
    char *text = reserve(r, a.count + b.count + 1);
    if (!text) return fail(r);
    memcpy(text, a.text, a.count);
    memcpy(text + a.count, b.text, b.count);
    return of_text(text, a.count + b.count);
}

static value literal(runner *r, char quote)
{
    static const char escapes[] = "n\nt\tr\r\\\\\"\"''";
    const char *begin = r->at;
    char *text = reserve(r, (size_t)(r->to - begin) + 1);
    size_t count = 0;
    if (!text) return fail(r);
    for (; r->at < r->to && *r->at != quote; r->at++) {
        char c = *r->at;
        if (c == '\\' && r->at + 1 < r->to) {
            const char *found = NULL;
            r->at++;
            for (const char *e = escapes; *e && !found; e += 2) found = *e == *r->at ? e + 1 : NULL;
            if (!found) return fail(r);
            c = *found;
        }
        text[count++] = c;
    }
    if (r->at++ >= r->to) return fail(r);
    return of_text(text, count);
}

static value named(runner *r, const char *name, size_t count)
{
    if (same(name, count, "true") || same(name, count, "True")) return of_number(1);
    if (same(name, count, "false") || same(name, count, "False")) return of_number(0);
    if (same(name, count, "none") || same(name, count, "None")) return (value){.kind = UNDEFINED};
    for (int i = r->nvariables - 1; i >= 0; i--)
        if (r->variables[i].count == count && memcmp(r->variables[i].name, name, count) == 0)
            return r->variables[i].value;
    skip_space(r);
    return r->at < r->to && *r->at == '(' ? fail(r)
                                          : (value){.kind = UNDEFINED}; /* a function: none is known */
}

static value primary(runner *r)
{
    const char *name;
    skip_space(r);
    if (take(r, "(")) {
        value v = expression(r);
        return take(r, ")") ? v : fail(r);
    }
    if (r->at < r->to && (*r->at == '"' || *r->at == '\'')) return literal(r, *r->at++);
    if (r->at < r->to && (isdigit((unsigned char)*r->at) || *r->at == '-')) {
        char *end;
        long number = strtol(r->at, &end, 10);
        if (end == r->at || end > r->to) return fail(r);
        r->at = end;
        return of_number(number);
    }
    size_t count = take_name(r, &name);
    return count ? named(r, name, count) : fail(r);
}

static value trimmed(value v)
{
    while (v.count > 0 && isspace((unsigned char)v.text[0])) v.text++, v.count--;
    while (v.count > 0 && isspace((unsigned char)v.text[v.count - 1])) v.count--;
    return v;
}

static value member(runner *r, value v, const char *name, size_t count)
{
    const char *role = v.kind == TURN ? yki_speakers[r->turns[v.number].role] : NULL;
    if (role && same(name, count, "role")) return of_text(role, strlen(role));
    if (role && same(name, count, "content"))
        return of_text(r->turns[v.number].content, r->turns[v.number].bytes);
    if (role) return (value){.kind = UNDEFINED};
    if (v.kind == LOOP && same(name, count, "index0")) return of_number(r->index);
    if (v.kind == LOOP && same(name, count, "index")) return of_number(r->index + 1);
    if (v.kind == LOOP && same(name, count, "first")) return of_number(r->index == 0);
    if (v.kind == LOOP && same(name, count, "last")) return of_number(r->index == r->length - 1);
    if (v.kind == LOOP && same(name, count, "length")) return of_number(r->length);
    if (v.kind == TEXT && (same(name, count, "strip") || same(name, count, "trim")))
        return take(r, "(") && take(r, ")") ? trimmed(v) : fail(r);
    return fail(r);
}

/* v[...], behind the bracket. */
static value item(runner *r, value v)
{
    value first = {.kind = UNDEFINED}, last = {.kind = UNDEFINED};
    bool slice = take(r, ":");
    if (!slice) {
        first = expression(r);
        slice = take(r, ":");
    }
    if (slice && !take(r, "]")) {
        last = expression(r);
        if (!take(r, "]")) return fail(r);
    } else if (!slice && !take(r, "]")) {
        return fail(r);
    }
    if (first.kind == TEXT && !slice) return member(r, v, first.text, first.count);
    long count = v.end - v.number;
    if (v.kind != TURNS || (first.kind != NUMBER && !slice)) return fail(r);
    long from = first.kind == NUMBER ? first.number : 0, to = last.kind == NUMBER ? last.number : count;
    from = from < 0 ? from + count : from;
    to = to < 0 ? to + count : to;
    if (!slice && (from < 0 || from >= count)) return (value){.kind = UNDEFINED};
    if (!slice) return (value){.kind = TURN, .number = v.number + from};
    from = from < 0 ? 0 : from > count ? count : from;
    to = to < from ? from : to > count ? count : to;
    return (value){.kind = TURNS, .number = v.number + from, .end = v.number + to};
}

static value filtered(runner *r, value v)
{
    const char *name;
    size_t count = take_name(r, &name);
    if (same(name, count, "trim") && v.kind == TEXT) return trimmed(v);
    if (same(name, count, "length") && v.kind == TURNS) return of_number(v.end - v.number);
    return fail(r);
}

static value postfix(runner *r)
{
    value v = primary(r);
    const char *name;
    while (!r->failed) {
        if (take(r, ".")) {
            size_t count = take_name(r, &name);
            v = member(r, v, name, count);
        } else if (take(r, "[")) {
            v = item(r, v);
        } else if (take(r, "|")) {
            v = filtered(r, v);
        } else {
            break;
        }
    }
    return v;
}

static value sum(runner *r)
{
    value v = postfix(r);
    while (!r->failed && (take(r, "+") || take(r, "~"))) v = joined(r, v, postfix(r));
    return v;
}

static bool truth(value v)
{
    return v.kind == NUMBER  ? v.number != 0
           : v.kind == TEXT  ? v.count > 0
           : v.kind == TURNS ? v.end > v.number
                             : v.kind != UNDEFINED;
}

static bool equal(value a, value b)
{
    if (a.kind != b.kind) return false;
    return a.kind == TEXT ? a.count == b.count && memcmp(a.text, b.text, a.count) == 0 : a.number == b.number;
}

static value tested(runner *r, value v)
{
    bool no = take(r, "not");
    const char *name;
    size_t count = take_name(r, &name);
    if (same(name, count, "defined")) return of_number((v.kind != UNDEFINED) != no);
    if (same(name, count, "string")) return of_number((v.kind == TEXT) != no);
    if (same(name, count, "undefined") || same(name, count, "none"))
        return of_number((v.kind == UNDEFINED) != no);
    return fail(r);
}

static value compared(runner *r)
{
    value v = sum(r);
    while (!r->failed) {
        if (take(r, "=="))
            v = of_number(equal(v, sum(r)));
        else if (take(r, "!="))
            v = of_number(!equal(v, sum(r)));
        else if (take(r, "is"))
            v = tested(r, v);
        else if (take(r, "in")) {
            value in = sum(r);
            bool turn = in.kind == TURN && v.kind == TEXT;
            if (!turn) return fail(r);
            v = of_number(same(v.text, v.count, "role") || same(v.text, v.count, "content"));
        } else
            break;
    }
    return v;
}

static value negated(runner *r)
{
    if (++r->depth > DEEPEST) return fail(r);
    value v = take(r, "not") ? of_number(!truth(negated(r))) : compared(r);
    r->depth--;
    return v;
}

static value conjoined(runner *r)
{
    value v = negated(r);
    while (!r->failed && take(r, "and")) {
        value other = negated(r);
        v = truth(v) ? other : v;
    }
    return v;
}

static value either(runner *r)
{
    value v = conjoined(r);
    while (!r->failed && take(r, "or")) {
        value other = conjoined(r);
        v = truth(v) ? v : other;
    }
    return v;
}

static value expression(runner *r)
{
    if (r->failed || ++r->steps > MOST_STEPS || ++r->depth > DEEPEST) return fail(r);
    value v = either(r);
    if (take(r, "if")) {
        bool taken = truth(either(r));
        value other = take(r, "else") ? expression(r) : (value){.kind = UNDEFINED};
        v = taken ? v : other;
    }
    r->depth--;
    return v;
}

/* All of what is left of the tag. */
static value whole(runner *r)
{
    value v = expression(r);
    skip_space(r);
    return r->at == r->to ? v : fail(r);
}

/* ---- statements ---- */

static bool begins(const node *n, const char *word)
{
    runner r = {.at = n->from, .to = n->to};
    return n->type == 's' && take(&r, word);
}

/* The next of a block's own tags after `at`: elif, else, endif or endfor; nnodes: there is none. */
static int next_of(const runner *r, int at)
{
    int depth = 0;
    for (at++; at < r->nnodes; at++) {
        const node *n = &r->nodes[at];
        bool end = begins(n, "endif") || begins(n, "endfor");
        if (depth == 0 && (end || begins(n, "elif") || begins(n, "else"))) return at;
        depth += (begins(n, "if") || begins(n, "for")) - end;
    }
    return at;
}

static void set(runner *r, const char *name, size_t count, value v)
{
    for (int i = 0; i < r->nvariables; i++)
        if (r->variables[i].count == count && memcmp(r->variables[i].name, name, count) == 0) {
            r->variables[i].value = v;
            return;
        }
    if (r->nvariables == MOST_VARIABLES || count == 0)
        r->failed = true;
    else
        r->variables[r->nvariables++] = (variable){name, count, v};
}

static void run(runner *r, int at, int end);

/* Returns where the template goes on. */
static int run_if(runner *r, int at)
{
    bool done = false;
    for (;;) {
        const node *n = &r->nodes[at];
        int next = next_of(r, at);
        if (next == r->nnodes || begins(&r->nodes[next], "endfor")) return r->failed = true, next;
        r->at = n->from, r->to = n->to;
        bool other = take(r, "else");
        if (!other && !take(r, "elif")) take(r, "if");
        if (!done && (other || truth(whole(r)))) {
            run(r, at + 1, next);
            done = true;
        }
        if (r->failed || begins(&r->nodes[next], "endif")) return next + 1;
        at = next;
    }
}

static int run_for(runner *r, int at)
{
    const node *n = &r->nodes[at];
    const char *name;
    int end = next_of(r, at);
    r->at = n->from, r->to = n->to;
    take(r, "for");
    size_t count = take_name(r, &name);
    bool in = take(r, "in");
    value over = in ? whole(r) : fail(r);
    if (r->failed || over.kind != TURNS || end == r->nnodes || !begins(&r->nodes[end], "endfor"))
        return r->failed = true, end;
    long index = r->index, length = r->length;
    int variables = r->nvariables;
    r->length = over.end - over.number;
    set(r, "loop", 4, (value){.kind = LOOP});
    for (long i = 0; i < r->length && !r->failed; i++) {
        r->index = i;
        set(r, name, count, (value){.kind = TURN, .number = over.number + i});
        run(r, at + 1, end);
        r->length = over.end - over.number;
    }
    r->index = index, r->length = length;
    r->nvariables = variables < r->nvariables ? variables : r->nvariables; /* what a loop sets ends with it */
    return end + 1;
}

static void run_set(runner *r)
{
    const char *name;
    size_t count = take_name(r, &name);
    if (!take(r, "="))
        r->failed = true;
    else
        set(r, name, count, whole(r));
}

static void run(runner *r, int at, int end)
{
    if (++r->depth > DEEPEST) r->failed = true;
    while (at < end && !r->failed) {
        const node *n = &r->nodes[at];
        if (++r->steps > MOST_STEPS) r->failed = true;
        if (begins(n, "if")) {
            at = run_if(r, at);
            continue;
        }
        if (begins(n, "for")) {
            at = run_for(r, at);
            continue;
        }
        at++;
        r->at = n->from, r->to = n->to;
        if (n->type == 't') {
            yki_text_append_bytes(&r->out, n->from, (size_t)(n->to - n->from));
        } else if (n->type == 'e') {
            value v = whole(r);
            if (v.kind == TEXT)
                yki_text_append_bytes(&r->out, v.text, v.count);
            else
                r->failed = true;
        } else if (take(r, "set")) {
            run_set(r);
        } else if (!take(r, "generation") && !take(r, "endgeneration")) {
            r->failed = true;
        }
    }
    r->depth--;
}

/* ---- which it is ---- */

#define TURN_OF(role, text)                                                                                  \
    {                                                                                                        \
        role, text, sizeof(text) - 1                                                                         \
    }
static const yki_turn probes[][4] = {
    {TURN_OF(YKI_USER, " a b\n"), TURN_OF(YKI_ASSISTANT, "c'd \n"), TURN_OF(YKI_USER, "e"),
     TURN_OF(YKI_ASSISTANT, "\tf")},
    {TURN_OF(YKI_SYSTEM, " s\n"), TURN_OF(YKI_USER, "u "), TURN_OF(YKI_ASSISTANT, "v"),
     TURN_OF(YKI_USER, "w")},
    {TURN_OF(YKI_USER, "x")},
};
static const size_t counts[] = {4, 4, 1};
enum { PROBES = sizeof counts / sizeof *counts };

/* Whether the template gives what the kind does. */
static bool gives(runner *r, yoke_chat chat, int probe, bool prompt)
{
    yki_chat known = {.kind = chat, .bos = "<B>"};
    yki_text wanted = {0};
    r->nvariables = r->steps = r->depth = 0;
    r->used = r->out.length = 0;
    r->failed = false;
    r->turns = probes[probe];
    set(r, "messages", 8, (value){.kind = TURNS, .end = (long)counts[probe]});
    set(r, "add_generation_prompt", 21, of_number(prompt));
    set(r, "bos_token", 9, of_text("<B>", 3));
    set(r, "eos_token", 9, of_text("<E>", 3));
    run(r, 0, r->nnodes);
    yki_chat_render(&known, probes[probe], counts[probe], prompt, &wanted, NULL);
    bool same_text = !r->failed && !r->out.failed && !wanted.failed && r->out.length == wanted.length &&
                     memcmp(r->out.data, wanted.data, wanted.length) == 0;
    yki_text_release(&wanted);
    return same_text;
}

yoke_chat yki_chat_template_kind(const char *jinja)
{
    static const yoke_chat known[] = {YOKE_CHAT_CHATML, YOKE_CHAT_LLAMA3};
    runner r = {.nodes = malloc(sizeof(node) * MOST_NODES), .pool = malloc(POOL_BYTES)};
    yoke_chat found = YOKE_CHAT_AUTO;
    bool ready = r.nodes && r.pool && divide(&r, jinja);
    for (int k = 0; k < 2 && ready && found == YOKE_CHAT_AUTO; k++) {
        bool is = true;
        for (int i = 0; i < 2 * PROBES && is; i++) is = gives(&r, known[k], i / 2, i % 2);
        if (is) found = known[k];
    }
    free(r.nodes);
    free(r.pool);
    yki_text_release(&r.out);
    return found;
}
