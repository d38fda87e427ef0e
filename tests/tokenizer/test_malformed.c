/* Files that are no tokenizer, or of another kind: refused with the file, the key and what is wrong; and
 * bytes changed at random, which must be refused or work. */
#include "base/text.h"
#include "folder.h"
#include "text.h"
#include "yoke/tokenizer.h"

#define SCRATCH in_folder("tokenizer.json")

static yoke_status load(const char *bytes, size_t count, yoke_tokenizer **tokenizer_out)
{
    write_file(SCRATCH, bytes, count);
    return yoke_tokenizer_create(tokenizer_out, SCRATCH);
}

/* ---- the table ---- */

/* A small good file in parts, any of which a case replaces. The vocabulary is the byte alphabet, then "ab"
 * (256) and "abc" (257); "<s>" is added as 258. */
typedef struct parts {
    const char *version, *added, *normalizer, *pre_tokenizer, *post, *decoder, *model, *vocab, *merges;
} parts;

#define ADDED      "{\"id\":258,\"content\":\"<s>\",\"special\":true}"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define SPLIT(regex)                                                                                         \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex          \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL "]}"

#define SEQUENCE(list, parts) "{\"type\":\"Sequence\",\"" list "\":[" parts "]}"
#define THREE(parts)          SEQUENCE("normalizers", SEQUENCE("normalizers", SEQUENCE("normalizers", parts)))
#define REPLACE(kind, from, to)                                                                              \
    "{\"type\":\"Replace\",\"pattern\":{\"" kind "\":\"" from "\"},\"content\":\"" to "\"}"
#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"
#define STRIP(content, start)                                                                                \
    "{\"type\":\"Strip\",\"content\":\"" content "\",\"start\":" start ",\"stop\":0}"
#define THE_TEXT  "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define THE_BEGIN "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}}"
#define TEMPLATE(single, id)                                                                                 \
    "{\"type\":\"TemplateProcessing\",\"single\":[" single                                                   \
    "],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[" id "],\"tokens\":[\"<s>\"]}}}"

static void add_alphabet(yki_text *text)
{
    int stranger = 256;
    for (int byte = 0; byte < 256; byte++) {
        int kept = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
        char utf8[5] = "";
        test_utf8((uint32_t)(kept ? byte : stranger++), utf8);
        yki_text_append(text, "%s\"%s%s\":%d", byte ? "," : "", byte == '"' || byte == '\\' ? "\\" : "", utf8,
                        byte);
    }
}

static char *print(const parts *p)
{
    yki_text text = {0};
    yki_text_append(&text,
                    "{\"version\":%s,\"added_tokens\":%s,\"normalizer\":%s,\"pre_tokenizer\":%s,"
                    "\"post_processor\":%s,\"decoder\":%s,",
                    p->version ? p->version : "\"1.0\"", p->added ? p->added : "[" ADDED "]",
                    p->normalizer ? p->normalizer : "null", p->pre_tokenizer ? p->pre_tokenizer : BYTE_LEVEL,
                    p->post ? p->post : "null", p->decoder ? p->decoder : "{\"type\":\"ByteLevel\"}");
    yki_text_append(&text, "\"model\":{%s,\"vocab\":{", p->model ? p->model : "\"type\":\"BPE\"");
    add_alphabet(&text);
    yki_text_append(&text, "%s},\"merges\":%s}}", p->vocab ? p->vocab : ",\"ab\":256,\"abc\":257",
                    p->merges ? p->merges : "[\"a b\",[\"ab\",\"c\"]]");
    return yki_text_take(&text);
}

static const struct {
    parts parts;
    const char *key, *message;
} cases[] = {
    {{.version = "\"2.0\""}, "version", "1.0"},
    {{.version = "1"}, "version", "1.0"},
    {{.added = "{}"}, "added_tokens", "no list"},
    {{.added = "[7]"}, "added_tokens.0", "no content"},
    {{.added = "[{\"id\":258,\"content\":\"\"}]"}, "added_tokens.0", "empty"},
    {{.added = "[{\"id\":259,\"content\":\"<s>\"}]"}, "added_tokens.0", "it is number 258"},
    {{.added = "[{\"id\":-1,\"content\":\"<s>\"}]"}, "added_tokens.0", "has id -1"},
    {{.added = "[{\"id\":258,\"content\":\"ab\",\"special\":null}]"}, "added_tokens.0", "neither true"},
    {{.added = "[{\"id\":258.0,\"content\":\"<s>\"}]"}, "added_tokens.0", "no whole number"},
    {{.added = "[{\"content\":\"<s>\"}]"}, "added_tokens.0", "no whole number"},
    {{.added = "[{\"id\":97,\"content\":\"<s>\"}]"}, "added_tokens.0", "has id 97; behind"},
    {{.added = "[" ADDED "," ADDED "]"}, "added_tokens.1", "it is number 259"},
    {{.added = "[{\"id\":256,\"content\":\"ab\"},{\"id\":256,\"content\":\"ab\"}]"},
     "added_tokens.1",
     "twice"},
    {{.added = "[{\"id\":255,\"content\":\"ab\"}]"}, "added_tokens.0", "another id"},
    {{.added = "[{\"id\":233,\"content\":\"é\"}]"}, "added_tokens.0", "other bytes"},
    {{.added = "[{\"id\":258,\"content\":\"<s>\",\"normalized\":0}]"},
     "added_tokens.0",
     "neither true nor false"},
    {{.normalizer = "{\"type\":\"Lowercase\"}"}, "normalizer", "'Lowercase'"},
    {{.normalizer = "\"NFC\""}, "normalizer", "no object"},
    {{.normalizer = "{}"}, "normalizer", "no type"},
    {{.normalizer = "{\"type\":\"Prepend\"}"}, "normalizer", "no text as its prepend"},
    {{.normalizer = "{\"type\":\"Replace\",\"content\":\"x\"}"}, "normalizer", "no pattern"},
    {{.normalizer = REPLACE("String", "", "x")}, "normalizer", "nothing at all"},
    {{.normalizer = REPLACE("Regex", "a*", "x")}, "normalizer", "nothing at all"},
    {{.normalizer = REPLACE("String", "<s>", ""),
      .added = "[{\"id\":258,\"content\":\"<s>\",\"normalized\":true}]"},
     "added_tokens.0",
     "empty once it is normalized"},
    {{.normalizer = "{\"type\":\"Sequence\"}"}, "normalizer.normalizers", "no list"},
    {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}"},
     "normalizer.normalizers.0",
     "'Nmt'"},
    {{.normalizer = THREE(THREE(THREE(SEQUENCE("normalizers", ""))))},
     "normalizer.normalizers.0.normalizers",
     "within 8 others"},
    {{.pre_tokenizer = "{\"type\":\"Whitespace\"}"}, "pre_tokenizer", "'Whitespace'"},
    {{.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":1}"},
     "pre_tokenizer",
     "neither true nor false"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\"}"}, "pre_tokenizer.pretokenizers", "no list"},
    {{.pre_tokenizer = SEQUENCE("pretokenizers", BYTE_LEVEL ",{\"type\":\"Digits\"}")},
     "pre_tokenizer.pretokenizers.1",
     "must be the last"},
    {{.pre_tokenizer = SEQUENCE("pretokenizers", BYTE_LEVEL "," BYTE_LEVEL)},
     "pre_tokenizer.pretokenizers.1",
     "must be the last"},
    {{.pre_tokenizer = SEQUENCE("pretokenizers", BYTE_LEVEL "," METASPACE(""))},
     "pre_tokenizer.pretokenizers.1",
     "must be the last"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\" \"},\"behavior\":\"Away\"}"},
     "pre_tokenizer",
     "'Away'"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"behavior\":\"Isolated\"}"}, "pre_tokenizer", "no pattern"},
    {{.pre_tokenizer = "{\"type\":\"Metaspace\"}"}, "pre_tokenizer", "no text as its replacement"},
    {{.pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"},
     "pre_tokenizer",
     "not one character"},
    {{.pre_tokenizer = METASPACE(",\"prepend_scheme\":\"last\"")}, "pre_tokenizer", "'last'"},
    {{.pre_tokenizer = METASPACE(",\"prepend_scheme\":7")}, "pre_tokenizer", "prepend_scheme"},
    {{.pre_tokenizer = METASPACE(",\"add_prefix_space\":false")}, "pre_tokenizer", "add_prefix_space false"},
    {{.pre_tokenizer = SPLIT("(a")}, "pre_tokenizer.pretokenizers.0", "( without"},
    {{.pre_tokenizer = SPLIT("a)")}, "pre_tokenizer.pretokenizers.0", ") without"},
    {{.pre_tokenizer = SPLIT("a*")}, "pre_tokenizer.pretokenizers.0", "nothing at all"},
    {{.pre_tokenizer = SPLIT("")}, "pre_tokenizer.pretokenizers.0", "nothing at all"},
    {{.pre_tokenizer = SPLIT("\\\\w+")}, "pre_tokenizer.pretokenizers.0", "this escape"},
    {{.pre_tokenizer = SPLIT("a\\\\")}, "pre_tokenizer.pretokenizers.0", "this escape"},
    {{.pre_tokenizer = SPLIT("(a)\\\\1")}, "pre_tokenizer.pretokenizers.0", "this escape"},
    {{.pre_tokenizer = SPLIT("\\\\p{Han}")}, "pre_tokenizer.pretokenizers.0", "no general category"},
    {{.pre_tokenizer = SPLIT("\\\\p{L")}, "pre_tokenizer.pretokenizers.0", "no general category"},
    {{.pre_tokenizer = SPLIT("\\\\p")}, "pre_tokenizer.pretokenizers.0", "no general category"},
    {{.pre_tokenizer = SPLIT("[a")}, "pre_tokenizer.pretokenizers.0", "without an end"},
    {{.pre_tokenizer = SPLIT("[]a]")}, "pre_tokenizer.pretokenizers.0", "an empty set"},
    {{.pre_tokenizer = SPLIT("[^]a]")}, "pre_tokenizer.pretokenizers.0", "an empty set"},
    {{.pre_tokenizer = SPLIT("[a[:alpha:]]")}, "pre_tokenizer.pretokenizers.0", "a set within a set"},
    {{.pre_tokenizer = SPLIT("[a&&b]")}, "pre_tokenizer.pretokenizers.0", "an intersection"},
    {{.pre_tokenizer = SPLIT("[z-a]")}, "pre_tokenizer.pretokenizers.0", "not valid"},
    {{.pre_tokenizer = SPLIT("[+-\\\\s]")}, "pre_tokenizer.pretokenizers.0", "ends in a set"},
    {{.pre_tokenizer = SPLIT("(*FAIL)")}, "pre_tokenizer.pretokenizers.0", "kind of group"},
    {{.pre_tokenizer = SPLIT("(?R)")}, "pre_tokenizer.pretokenizers.0", "kind of group"},
    {{.pre_tokenizer = SPLIT("a{2}+")}, "pre_tokenizer.pretokenizers.0", "quantifier of a quantifier"},
    {{.pre_tokenizer = SPLIT("a{,2}")}, "pre_tokenizer.pretokenizers.0", "this use of {"},
    {{.pre_tokenizer = SPLIT("+a")}, "pre_tokenizer.pretokenizers.0", "quantifier of nothing"},
    {{.pre_tokenizer = SPLIT("(?:(?:(?:a{1000}){1000}){1000})")},
     "pre_tokenizer.pretokenizers.0",
     "not valid"},
    {{.pre_tokenizer = SPLIT("(?<=a+)b")}, "pre_tokenizer.pretokenizers.0", "not valid"},
    {{.decoder = "{\"type\":\"WordPiece\"}"}, "decoder", "'WordPiece'"},
    {{.decoder = SEQUENCE("decoders", BYTE_LEVEL "," METASPACE(""))}, "decoder.decoders.1", "joins tokens"},
    {{.decoder = SEQUENCE("decoders", "{\"type\":\"Fuse\"}," REPLACE("String", "a", "b"))},
     "decoder.decoders.1",
     "joins tokens"},
    {{.decoder = REPLACE("Regex", "a", "b")}, "decoder", "a Regex"},
    {{.decoder = SEQUENCE("decoders", "{\"type\":\"ByteFallback\"}," STRIP("a", "1"))},
     "decoder.decoders.1",
     "joins tokens"},
    {{.decoder = STRIP("ab", "1")}, "decoder", "not one character"},
    {{.decoder = STRIP("a", "-1")}, "decoder", "no whole number of at least 0"},
    {{.post = "{\"type\":\"Other\"}"}, "post_processor", "'Other'"},
    {{.post = "{\"type\":\"TemplateProcessing\"}"}, "post_processor", "no list as its single"},
    {{.post = TEMPLATE("", "258")}, "post_processor", "without the Sequence A"},
    {{.post = TEMPLATE(THE_TEXT "," THE_TEXT, "258")}, "post_processor.single.1", "other than one A"},
    {{.post = TEMPLATE("{\"Sequence\":{\"id\":\"B\"}}", "258")},
     "post_processor.single.0",
     "other than one A"},
    {{.post = TEMPLATE("{\"SpecialToken\":{\"id\":\"x\"}}", "258")},
     "post_processor.single.0",
     "no ids for 'x'"},
    {{.post = TEMPLATE(THE_BEGIN "," THE_TEXT, "259")}, "post_processor.single.0", "none of the tokenizer's"},
    {{.post = "{\"type\":\"BertProcessing\",\"cls\":[\"<s>\",258]}"},
     "post_processor",
     "none of the tokenizer's"},
    {{.model = "\"type\":\"WordPiece\""}, "model", "'WordPiece'"},
    {{.model = "\"type\":3"}, "model", "no type"},
    {{.model = "\"type\":\"BPE\",\"dropout\":0.1"}, "model", "dropout"},
    {{.model = "\"type\":\"BPE\",\"byte_fallback\":1"}, "model", "byte_fallback"},
    {{.model = "\"type\":\"BPE\",\"unk_token\":1"}, "model", "unk_token"},
    {{.model = "\"type\":\"BPE\",\"ignore_merges\":null"}, "model", "ignore_merges"},
    {{.model = "\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\""}, "model", "end_of_word_suffix"},
    {{.model = "\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\""},
     "model",
     "continuing_subword_prefix"},
    {{.vocab = ",\"ab\":256,\"abc\":4194304"}, "model.vocab", "'abc' has id 4194304"},
    {{.vocab = ",\"ab\":256,\"abc\":9223372036854775807"}, "model.vocab", "has id 9223372036854775807"},
    {{.vocab = ",\"ab\":256,\"abc\":256"}, "model.vocab", "has id 256"},
    {{.vocab = ",\"ab\":256,\"abc\":\"257\""}, "model.vocab", "no whole number"},
    {{.vocab = ",\"ab\":256,\"abc\":256.5"}, "model.vocab", "no whole number"},
    {{.vocab = ",\"ab\":256,\"\":257"}, "model.vocab", "is empty"},
    {{.vocab = ",\"ab\":256,\"ab\":257"}, "", "duplicate"},
    {{.merges = "7"}, "model.merges", "no list"},
    {{.merges = "[\"a b\",7]"}, "model.merges.1", "no merge"},
    {{.merges = "[\"ab\"]"}, "model.merges.0", "no merge"},
    {{.merges = "[\"a b c\"]"}, "model.merges.0", "no merge"},
    {{.merges = "[[\"a\"]]"}, "model.merges.0", "no merge"},
    {{.merges = "[[\"a\",\"b\",\"c\"]]"}, "model.merges.0", "no merge"},
    {{.merges = "[[\"a\",98]]"}, "model.merges.0", "no merge"},
    {{.merges = "[\"a bcd\"]"}, "model.merges.0", "'bcd'"},
    {{.merges = "[\"xxxxxxxxxxxxxxxxxxxxxxxx yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"]"},
     "model.merges.0",
     "no merge"},
    {{.merges = "[[\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"y\"]]"}, "model.merges.0", "'xxxxxx"},
    {{.merges = "[\"b a\"]"}, "model.merges.0", "makes 'ba'"},
    {{.merges = "[\"a b\",\"a b\"]"}, "model.merges.1", "twice"},
};

static void malformed_files_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_tokenizer *tokenizer = NULL;
        char *text = print(&cases[i].parts);
        yoke_status status = load(text, strlen(text), &tokenizer);
        const yoke_error *error = yoke_error_get();
        if (status != YOKE_INVALID || tokenizer || !strstr(error->message, cases[i].message) ||
            strncmp(error->key, cases[i].key, strlen(cases[i].key)) != 0 || strcmp(error->file, SCRATCH) != 0)
            fail_msg("case %zu (%s): status %d, %s: %s: %s", i, cases[i].message, status, error->file,
                     error->key, error->message);
        free(text);
    }
}

static void the_file_that_the_cases_change_is_good(void **state)
{
    (void)state;
    static const parts good[] = {
        {0},
        {.decoder = "null",
         .version = "\"1.0\"",
         .added = "null",
         .model = "\"dropout\":null,\"unk_token\":\"\""},
        {.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL "]}"},
        {.pre_tokenizer = SPLIT("(?i:x)|[^\\\\s\\\\]]{2,3}|\\\\P{Lu}++|[\\\\S-]|$x|^.|(?<!y)z*?a|(b)|\\\\[")},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        yoke_tokenizer *tokenizer = NULL;
        char *text = print(&good[i]);
        if (load(text, strlen(text), &tokenizer) != YOKE_OK)
            fail_msg("%zu: %s: %s", i, yoke_error_get()->key, yoke_error_get()->message);
        assert_int_equal(yoke_tokenizer_size(tokenizer), i == 1 ? 258 : 259);
        int32_t *ids = NULL;
        int64_t count;
        assert_int_equal(yoke_tokenizer_encode(tokenizer, "abc", 3, &ids, &count), YOKE_OK);
        assert_true(count == 1 || i == 3);
        free(ids);
        yoke_tokenizer_destroy(tokenizer);
        free(text);
    }
}

static void files_that_are_no_json_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *message;
    } files[] = {{"", "JSON"},
                 {"{", "JSON"},
                 {"[]", "not a JSON object"},
                 {"{}", "missing or no object"},
                 {"{\"model\":[]}", "missing or no object"},
                 {"{\"model\":{\"vocab\":{}}}", "no type"},
                 {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
                 {"{\"a\":\"\xff\"}", "not UTF-8"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        yoke_tokenizer *tokenizer = NULL;
        assert_int_equal(load(files[i].bytes, strlen(files[i].bytes), &tokenizer), YOKE_INVALID);
        if (!strstr(yoke_error_get()->message, files[i].message)) fail_msg("%s", yoke_error_get()->message);
    }
    yoke_tokenizer *tokenizer = NULL;
    assert_int_equal(yoke_tokenizer_create(&tokenizer, "/nonexistent/tokenizer.json"), YOKE_INVALID);
    assert_int_equal(yoke_tokenizer_create(&tokenizer, "/"), YOKE_INVALID);
    assert_null(tokenizer);
}

/* A pattern that would run for ages is stopped with a sentence. */
static void a_pattern_that_takes_too_long_is_stopped(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = NULL;
    const parts slow = {.pre_tokenizer = SPLIT("(?:(?:a|aa)+)+b")};
    char *text = print(&slow), many[200];
    memset(many, 'a', sizeof many);
    many[198] = '!'; /* and a b further on, for a match without one is refused at a glance */
    many[199] = 'b';
    assert_int_equal(load(text, strlen(text), &tokenizer), YOKE_OK);
    int32_t *ids = NULL;
    int64_t count;
    assert_int_equal(yoke_tokenizer_encode(tokenizer, many, 200, &ids, &count), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "steps"));
    assert_null(ids);
    yoke_tokenizer_destroy(tokenizer);
    free(text);
}

/* Each match of this one stays below the bound, but at every place it comes near it. */
static void a_pattern_that_is_slow_everywhere_is_stopped(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = NULL;
    const parts slow = {.pre_tokenizer = SPLIT("(?:(?:a|aa)+b|[^q])")};
    char *text = print(&slow), many[3300];
    for (size_t i = 0; i < sizeof many; i++) many[i] = i % 33 < 31 ? 'a' : i % 33 == 31 ? '!' : 'b';
    assert_int_equal(load(text, strlen(text), &tokenizer), YOKE_OK);
    int32_t *ids = NULL;
    int64_t count;
    assert_int_equal(yoke_tokenizer_encode(tokenizer, many, sizeof many, &ids, &count), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "at too many places"));
    assert_int_equal(yoke_tokenizer_encode(tokenizer, many, 33, &ids, &count), YOKE_OK);
    free(ids);
    yoke_tokenizer_destroy(tokenizer);
    free(text);
}

/* Too long a pattern or added token is refused before it is looked at; one that machine code has no stack for
 * is interpreted. */
static void patterns_and_added_tokens_have_bounds(void **state)
{
    (void)state;
    static char long_added[5000], long_pattern[(1 << 16) + 512];
    static const char start[] =
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\","
        "\"pattern\":{\"Regex\":\"";
    static const char end[] = "\"}}," BYTE_LEVEL "]}";
    yoke_tokenizer *tokenizer = NULL;
    memset(long_pattern, 'a', sizeof long_pattern - 1);
    memcpy(long_pattern, start, sizeof start - 1);
    memcpy(long_pattern + sizeof long_pattern - sizeof end, end, sizeof end);
    const parts many = {.pre_tokenizer = long_pattern}, deep = {.pre_tokenizer = SPLIT("(?:(a)|(b))+c")};
    char *text = print(&many), *nested = print(&deep);
    snprintf(long_added, sizeof long_added, "[{\"id\":258,\"content\":\"%04097d\"}]", 0);
    const parts added = {.added = long_added};
    char *added_text = print(&added);
    assert_int_equal(load(added_text, strlen(added_text), &tokenizer), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->message, "is longer than 4096 bytes");
    free(added_text);
    assert_int_equal(load(text, strlen(text), &tokenizer), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "at most 65536"));
    assert_int_equal(load(nested, strlen(nested), &tokenizer), YOKE_OK);
    enum { WORD = 1 << 18 };
    char *word = malloc(WORD);
    assert_non_null(word);
    for (int i = 0; i < WORD; i++) word[i] = (char)('a' + i % 2);
    word[WORD - 1] = 'c';
    int32_t *ids = NULL;
    int64_t count;
    assert_int_equal(yoke_tokenizer_encode(tokenizer, word, WORD, &ids, &count), YOKE_OK);
    free(ids);
    free(word);
    yoke_tokenizer_destroy(tokenizer);
    free(nested);
    free(text);
}

static char *read_tokenizer(const char *name, size_t *count_out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.json", YKI_TOKENIZERS, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *count_out = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static int every_byte_has_a_token(const yoke_tokenizer *tokenizer)
{
    int known = 1;
    for (int byte = 0; byte < 256 && known; byte++) {
        const char text = (char)byte;
        int32_t *ids = NULL;
        int64_t count = 0;
        known = yoke_tokenizer_encode(tokenizer, &text, 1, &ids, &count) == YOKE_OK && count == 1;
        free(ids);
    }
    return known;
}

/* Bytes changed, taken out or doubled; what is still read must encode, decode and, where every byte still
 * has its token, give the text back. */
static void changed_bytes_are_refused_or_work(void **state)
{
    (void)state;
    static const char *const names[] = {"mixed", "llama3"};
    static const char likely[] = "\"{}[]:,0123456789\\(?*+|^$-eE. ptfn";
    uint64_t lcg = 11;
    int loaded = 0, whole = 0;
    size_t bytes;
    char *sample = test_text(8, 2000, &bytes);
    for (int round = 0; round < 600; round++) {
        size_t count;
        char *text = read_tokenizer(names[round % 8 == 7], &count);
        size_t head = round % 2 ? 2600 : count; /* every other time where the kinds are said */
        if (head > count) head = count;
        for (uint32_t change = 0, changes = 1 + test_below(&lcg, 3); change < changes; change++) {
            size_t at = test_below(&lcg, (uint32_t)head), kind = test_below(&lcg, 4);
            if (kind == 0) text[at] = (char)test_below(&lcg, 256);
            if (kind == 1) text[at] = likely[test_below(&lcg, sizeof likely - 1)];
            if (kind == 2) memmove(text + at, text + at + 1, --count - at);
            if (kind == 3) text[at] = text[test_below(&lcg, (uint32_t)head)];
        }
        yoke_tokenizer *tokenizer = NULL;
        yoke_status status = load(text, count, &tokenizer);
        free(text);
        if (status != YOKE_OK) {
            assert_int_equal(status, YOKE_INVALID);
            assert_true(!tokenizer && yoke_error_get()->message[0]);
            continue;
        }
        loaded++;
        int32_t *ids = NULL;
        int64_t nids;
        if (yoke_tokenizer_encode(tokenizer, sample, bytes, &ids, &nids) == YOKE_OK) {
            char *back = NULL;
            size_t nback;
            assert_int_equal(yoke_tokenizer_decode(tokenizer, ids, nids, &back, &nback), YOKE_OK);
            if (every_byte_has_a_token(tokenizer)) {
                whole++;
                assert_int_equal(nback, bytes);
                assert_memory_equal(back, sample, bytes);
            }
            free(back);
        }
        free(ids);
        yoke_tokenizer_destroy(tokenizer);
    }
    free(sample);
    assert_true(loaded > 10 && loaded < 590 && whole > 5);
    print_message("%d of 600 changed files were read\n", loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_that_the_cases_change_is_good),
        cmocka_unit_test(malformed_files_are_refused_by_name),
        cmocka_unit_test(files_that_are_no_json_are_refused),
        cmocka_unit_test(a_pattern_that_takes_too_long_is_stopped),
        cmocka_unit_test(a_pattern_that_is_slow_everywhere_is_stopped),
        cmocka_unit_test(patterns_and_added_tokens_have_bounds),
        cmocka_unit_test(changed_bytes_are_refused_or_work),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
