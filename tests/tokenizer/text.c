/* The generator of text.py, line by line. */
#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {
    "the",    "of",    "and",   "to",    "in",    "a",      "is",
    "that",   "it",    "was",   "for",   "on",    "are",    "with",
    "as",     "his",   "they",  "be",    "at",    "one",    "have",
    "this",   "from",  "or",    "had",   "by",    "hot",    "but",
    "some",   "what",  "there", "we",    "can",   "out",    "other",
    "were",   "all",   "your",  "when",  "up",    "use",    "word",
    "how",    "said",  "an",    "each",  "she",   "which",  "do",
    "their",  "time",  "if",    "will",  "way",   "about",  "many",
    "then",   "them",  "would", "write", "like",  "so",     "these",
    "her",    "long",  "make",  "thing", "see",   "him",    "two",
    "has",    "look",  "more",  "day",   "could", "go",     "come",
    "did",    "my",    "sound", "no",    "most",  "number", "who",
    "over",   "know",  "water", "than",  "call",  "first",  "people",
    "may",    "down",  "side",  "been",  "now",   "find",   "internationalization",
    "straße", "naïve", "café",  "Ω",     "e",     "int",    "return",
    "self",   "x",     "i",     "http",  "www",   "com",    "n't"};
static const char *const contractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d",
                                           "'S", "'T", "'RE", "'Ve", "'M", "'lL", "'D",
                                           "’s", "'ſ", "'",   "''s", "'x", "'st", "'re's"};
static const char *const spaces[] = {" ",      " ",        " ",      " ",      "  ",     "\t",     "\n",
                                     "\n",     "\r",       "\r\n",   "\v",     "\f",     "\u00a0", "\u2003",
                                     "\u3000", "\xc2\x85", "\u2028", "\u180e", "\u200b", "\u1680"};
static const char *const odd[] = {"\ufffd",
                                  "\ufeff",
                                  "\ufffe",
                                  "\ufdd0",
                                  "\ue000",
                                  "\U0010ffff",
                                  "\\xff\\xfe",
                                  "Ã©â‚¬",
                                  "%C3%28",
                                  "\u202e",
                                  "\u00ad",
                                  "½",
                                  "²³",
                                  "Ⅷ",
                                  "①",
                                  "٣٤٥",
                                  "१२३",
                                  "ﬁ",
                                  "ß",
                                  "İ",
                                  "K",
                                  "ſ",
                                  "ǅ",
                                  "ª",
                                  "𝒳",
                                  "𝟘𝟙",
                                  "_",
                                  "__init__",
                                  "#version: 0.2"};
static const char *const added[] = {
    "<|endoftext|>", "<|endof", "<|begin_of_text|>", "<|eot_id|>",     "<|eot_id|", "<tag>", "<tag>>",
    "<tag",          "ag>",     "<|endoftext|>>",    "<<|endoftext|>", "[é]"};
static const struct {
    uint32_t first, last;
} scripts[] = {{0xc0, 0x24f},      {0x391, 0x3a1},   {0x3b1, 0x3c9},     {0x410, 0x44f},   {0x5d0, 0x5ea},
               {0x627, 0x64a},     {0x904, 0x94d},   {0xe01, 0xe3a},     {0xac00, 0xd7a3}, {0x3041, 0x3096},
               {0x4e00, 0x9fa5},   {0x4e00, 0x4eff}, {0x20000, 0x2a6d6}, {0x10a0, 0x10c5}, {0x16a0, 0x16ea},
               {0x1d400, 0x1d454}, {0x2c00, 0x2c2e}};

typedef struct maker {
    uint64_t state;
    char *text;
    size_t count, capacity;
} maker;

uint32_t test_below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

size_t test_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(leads[length] | code);
    return length;
}

static void put(maker *m, const char *bytes, size_t count)
{
    if (m->count + count + 1 > m->capacity) {
        m->capacity = 2 * (m->count + count + 1);
        m->text = realloc(m->text, m->capacity);
        if (!m->text) abort();
    }
    memcpy(m->text + m->count, bytes, count);
    m->count += count;
    m->text[m->count] = '\0';
}

static void put_code(maker *m, uint32_t code)
{
    char bytes[4];
    put(m, bytes, test_utf8(code, bytes));
}

#define BELOW(n)       test_below(&m->state, (n))
#define COUNT(table)   (uint32_t)(sizeof(table) / sizeof *(table))
#define PUT_ONE(table) put_text(m, (table)[BELOW(COUNT(table))])

static void put_text(maker *m, const char *text)
{
    put(m, text, strlen(text));
}

static void put_word(maker *m)
{
    if (BELOW(8) > 0) put_text(m, " ");
    const char *word = words[BELOW(COUNT(words))];
    uint32_t kind = BELOW(6);
    for (size_t i = 0; word[i]; i++) {
        char c = word[i];
        bool upper = c >= 'a' && c <= 'z' && (kind == 1 || (kind == 0 && i == 0));
        if (upper) c = (char)(c - 'a' + 'A');
        put(m, &c, 1);
    }
}

static void put_run(maker *m, uint32_t kind)
{
    static const char marks[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    uint32_t script = BELOW(COUNT(scripts)), length = 1 + BELOW(6);
    for (uint32_t i = 0; i < length; i++) {
        if (kind == 0)
            put_code(m, '0' + BELOW(10));
        else if (kind == 1)
            put_code(m, scripts[script].first + BELOW(scripts[script].last - scripts[script].first + 1));
        else if (kind == 2)
            PUT_ONE(spaces);
        else
            put(m, marks + BELOW(sizeof marks - 1), 1);
    }
}

static void put_emoji(maker *m)
{
    put_code(m, 0x1f600 + BELOW(0x50));
    uint32_t kind = BELOW(5);
    if (kind == 0) put_code(m, 0x1f3fb + BELOW(5));
    if (kind == 1) put_code(m, 0xfe0f);
    if (kind == 2) {
        put_code(m, 0x200d);
        put_code(m, 0x1f400 + BELOW(0x3f));
    }
}

static void put_marked(maker *m)
{
    put_code(m, 'a' + BELOW(26));
    uint32_t count = 1 + BELOW(3);
    for (uint32_t i = 0; i < count; i++) put_code(m, 0x300 + BELOW(0x70));
}

static void put_unit(maker *m)
{
    static const char *const lines[] = {"\n", "\r\n", "\n\n", " \n", "\n "};
    uint32_t kind = BELOW(100);
    if (kind < 40)
        put_word(m);
    else if (kind < 50)
        put_run(m, 0);
    else if (kind < 55)
        PUT_ONE(contractions);
    else if (kind < 67)
        put_run(m, 1);
    else if (kind < 73)
        put_run(m, 2);
    else if (kind < 81)
        put_run(m, 3);
    else if (kind < 86)
        put_emoji(m);
    else if (kind < 89)
        put_marked(m);
    else if (kind < 92)
        PUT_ONE(odd);
    else if (kind < 94)
        put_code(m, BELOW(33) == 32 ? 0x7f : BELOW(32));
    else if (kind < 97)
        PUT_ONE(added);
    else
        PUT_ONE(lines);
}

char *test_text(uint64_t seed, size_t least, size_t *bytes_out)
{
    maker m = {.state = seed};
    put(&m, "", 0);
    while (m.count < least) put_unit(&m);
    *bytes_out = m.count;
    return m.text;
}
