/* Token for token what Hugging Face's tokenizers gives (see make.py), and what decoding gives back. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "data/tokenizer/tokenizer.h"
#include "text.h"

/* Those that give any text back come first. */
static const char *const names[] = {"gpt2",   "llama3",  "mixed", "smollm", /* and these do not: */
                                    "llama2", "mistral", "holes", "qwen"};
enum { EXACT = 4, NAMES = sizeof names / sizeof *names, SEED = 2024, BYTES = 1 << 20, BLOCK = 512 };

static yoke_tokenizer *open_tokenizer(const char *name)
{
    char path[1024];
    yoke_tokenizer *tokenizer = NULL;
    snprintf(path, sizeof path, "%s/%s.json", YKI_TOKENIZERS, name);
    if (yoke_tokenizer_create(&tokenizer, path) == YOKE_OK) return tokenizer;
    if (strstr(yoke_error_get()->message, "without utf8proc"))
        print_message("%s is left out: %s\n", name, yoke_error_get()->message);
    else
        fail_msg("%s: %s", yoke_error_get()->key, yoke_error_get()->message);
    return tokenizer;
}

static FILE *open_golden(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.golden", YKI_TOKENIZERS, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    return file;
}

static uint32_t fnv(const void *data, size_t count)
{
    const unsigned char *bytes = data;
    uint32_t value = 0x811c9dc5;
    for (size_t i = 0; i < count; i++) value = (value ^ bytes[i]) * 0x01000193;
    return value;
}

static void check_round_trip(const yoke_tokenizer *tokenizer, const char *text, size_t count)
{
    int32_t *ids = NULL;
    int64_t nids;
    char *back = NULL;
    size_t bytes;
    assert_int_equal(yoke_tokenizer_encode(tokenizer, text, count, &ids, &nids), YOKE_OK);
    assert_true(nids <= (int64_t)count);
    assert_int_equal(yoke_tokenizer_decode(tokenizer, ids, nids, &back, &bytes), YOKE_OK);
    assert_int_equal(bytes, count);
    assert_memory_equal(back, text, count);
    assert_int_equal(back[bytes], 0);
    free(back);
    free(ids);
}

static void a_mebibyte_is_encoded_as_hugging_face_does(void **state)
{
    (void)state;
    size_t count;
    char *text = test_text(SEED, BYTES, &count);
    for (int n = 0; n < NAMES; n++) {
        yoke_tokenizer *tokenizer = open_tokenizer(names[n]);
        if (!tokenizer) continue;
        FILE *golden = open_golden(names[n]);
        unsigned hash;
        long long bytes, want;
        assert_int_equal(fscanf(golden, "text %x %lld\nids %lld\n", &hash, &bytes, &want), 3);
        assert_int_equal(bytes, count);
        assert_int_equal(hash, fnv(text, count)); /* else the generators differ */
        int32_t *ids = NULL;
        int64_t nids;
        clock_t start = clock();
        assert_int_equal(yoke_tokenizer_encode(tokenizer, text, count, &ids, &nids), YOKE_OK);
        print_message("%s: %lld tokens of %zu bytes in %.3f s\n", names[n], (long long)nids, count,
                      (double)(clock() - start) / CLOCKS_PER_SEC);
        for (int64_t i = 0; i < want && i < nids; i += BLOCK) {
            int64_t length = nids - i < BLOCK ? nids - i : BLOCK;
            assert_int_equal(fscanf(golden, "block %x\n", &hash), 1);
            if (hash != fnv(ids + i, (size_t)length * 4))
                fail_msg("%s: ids %lld to %lld differ", names[n], (long long)i, (long long)(i + length - 1));
        }
        assert_int_equal(nids, want);
        free(ids);
        fclose(golden);
        if (n < EXACT) check_round_trip(tokenizer, text, count);
        yoke_tokenizer_destroy(tokenizer);
    }
    free(text);
}

static size_t unhex(const char *hex, char *out)
{
    size_t count = 0;
    unsigned byte;
    for (; hex[0] != '-' && sscanf(hex, "%2x", &byte) == 1; hex += 2) out[count++] = (char)byte;
    return count;
}

typedef struct golden_line {
    const char *kind, *hex;
    char text[1 << 13];
    size_t count;
    int32_t ids[1 << 12];
    int64_t nids;
} golden_line;

/* The next line about a text; false: none. */
static bool read_line(FILE *golden, golden_line *g)
{
    static char line[1 << 15];
    while (fgets(line, sizeof line, golden)) {
        char *rest = NULL;
        g->kind = strtok_r(line, " \n", &rest);
        if (!strcmp(g->kind, "text") || !strcmp(g->kind, "ids") || !strcmp(g->kind, "block")) continue;
        g->hex = strtok_r(NULL, " \n", &rest);
        g->count = unhex(g->hex, g->text);
        g->nids = 0;
        for (char *word; (word = strtok_r(NULL, " \n", &rest));) g->ids[g->nids++] = atoi(word);
        return true;
    }
    return false;
}

static void check_encoding(const char *name, const golden_line *g, const int32_t *ids, int64_t nids)
{
    for (int64_t i = 0; i < g->nids; i++)
        if (i >= nids || ids[i] != g->ids[i])
            fail_msg("%s: %s: id %lld of %s is %d, not %d", name, g->kind, (long long)i, g->hex,
                     i < nids ? ids[i] : -1, g->ids[i]);
    assert_int_equal(g->nids, nids);
}

/* What ids decode to, and the same in two parts, cut at every place. */
static void check_decoding(const char *name, const yoke_tokenizer *tokenizer, const golden_line *g)
{
    for (int64_t cut = 0; cut <= g->nids; cut++) {
        char *first = NULL, *second = NULL;
        size_t nfirst, nsecond;
        assert_int_equal(yoke_tokenizer_decode(tokenizer, g->ids, cut, &first, &nfirst), YOKE_OK);
        assert_int_equal(yoke_tokenizer_decode_after(tokenizer, g->ids, cut, g->ids + cut, g->nids - cut,
                                                     &second, &nsecond),
                         YOKE_OK);
        if (nfirst + nsecond != g->count || memcmp(first, g->text, nfirst) != 0 ||
            memcmp(second, g->text + nfirst, nsecond) != 0)
            fail_msg("%s: %s decodes to '%s' and '%s', cut at %lld", name, g->hex, first, second,
                     (long long)cut);
        free(first);
        free(second);
    }
}

static void short_texts_are_encoded_as_hugging_face_does(void **state)
{
    (void)state;
    static golden_line g;
    for (int n = 0; n < NAMES; n++) {
        yoke_tokenizer *tokenizer = open_tokenizer(names[n]);
        FILE *golden = open_golden(names[n]);
        int strings = 0, wholes = 0, decoded = 0;
        while (tokenizer && read_line(golden, &g)) {
            int32_t *ids = NULL;
            int64_t nids = 0;
            if (strcmp(g.kind, "decoded") == 0) {
                decoded++;
                check_decoding(names[n], tokenizer, &g);
                continue;
            }
            bool whole = strcmp(g.kind, "whole") == 0;
            assert_int_equal((whole ? yoke_tokenizer_encode_special
                                    : yoke_tokenizer_encode)(tokenizer, g.text, g.count, &ids, &nids),
                             YOKE_OK);
            check_encoding(names[n], &g, ids, nids);
            free(ids);
            if (n < EXACT) check_round_trip(tokenizer, g.text, g.count);
            whole ? wholes++ : strings++;
        }
        int64_t begins = 0;
        yoke_tokenizer_begin(tokenizer, &begins);
        assert_true(!tokenizer || (strings > 250 && decoded > 100 && (wholes > 250) == (begins > 0)));
        fclose(golden);
        yoke_tokenizer_destroy(tokenizer);
    }
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    uint64_t lcg = 5;
    char text[600];
    for (int n = 0; n < EXACT; n++) {
        yoke_tokenizer *tokenizer = open_tokenizer(names[n]);
        for (int round = 0; round < 400; round++) {
            size_t count = 0, least = test_below(&lcg, 300);
            int kind = round % 3; /* characters of all planes, bytes, bytes between letters */
            while (count < least) {
                uint32_t code = test_below(&lcg, test_below(&lcg, 2) ? 0x110000 : 0x500);
                if (kind == 0 && code >= 0xd800 && code < 0xe000) continue;
                if (kind == 0)
                    count += test_utf8(code, text + count);
                else
                    text[count++] = (char)(kind == 2 && test_below(&lcg, 4) ? 'a' + code % 3 : code);
            }
            check_round_trip(tokenizer, text, count);
        }
        yoke_tokenizer_destroy(tokenizer);
    }
}

/* Ids of one text after those of another are those of both, where a run of bytes that is no UTF-8 starts. */
static void bytes_that_are_no_utf8_are_words_of_their_own(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = open_tokenizer("gpt2");
    static const char *const parts[] = {"the end ", "\xff\xfe\xc3", " the",
                                        "\xe2\x82", "\xc3\xa9",     "\xed\xa0\x80"};
    int32_t *all = NULL, joined[64];
    int64_t nall, njoined = 0;
    char text[64] = "";
    for (int i = 0; i < 6; i++) {
        int32_t *ids = NULL;
        int64_t nids;
        strcat(text, parts[i]);
        assert_int_equal(yoke_tokenizer_encode(tokenizer, parts[i], strlen(parts[i]), &ids, &nids), YOKE_OK);
        memcpy(joined + njoined, ids, (size_t)nids * sizeof *ids);
        njoined += nids;
        free(ids);
    }
    assert_int_equal(yoke_tokenizer_encode(tokenizer, text, strlen(text), &all, &nall), YOKE_OK);
    assert_int_equal(nall, njoined);
    assert_memory_equal(all, joined, (size_t)nall * sizeof *all);
    free(all);
    yoke_tokenizer_destroy(tokenizer);
}

/* Lowest rank first, leftmost among equals, by the book. */
static size_t merge_plainly(const yki_merges *merges, int32_t *ids, size_t count)
{
    for (;;) {
        const yki_merge *best = NULL;
        size_t place = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const yki_merge *merge = yki_merges_get(merges, ids[i], ids[i + 1]);
            if (!merge || (best && merge->rank >= best->rank)) continue;
            best = merge;
            place = i;
        }
        if (!best) return count;
        ids[place] = best->id;
        count--;
        memmove(ids + place + 1, ids + place + 2, (count - place - 1) * sizeof *ids);
    }
}

/* The end of `bytes` of memory that can be touched, before some that cannot; given back by remove_wall. */
static char *wall_after(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + room, page, PROT_NONE), 0);
    return memory + room;
}

static void remove_wall(char *wall, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    assert_int_equal(munmap(wall - room, room + page), 0);
}

/* And no further than the word and its scratch memory go. */
static void words_of_all_lengths_are_merged_alike(void **state)
{
    (void)state;
    enum { MOST = 700 };
    yoke_tokenizer *tokenizer = open_tokenizer("gpt2");
    uint64_t lcg = 3;
    int32_t want[MOST];
    char *ids_end = wall_after(sizeof want), *scratch_end = wall_after(yki_merge_scratch(MOST));
    for (size_t count = 1; count <= MOST; count += count < 70 ? 1 : 63) {
        int32_t *ids = (int32_t *)(void *)(ids_end - count * sizeof *ids);
        for (size_t i = 0; i < count; i++)
            ids[i] = want[i] = tokenizer->byte_ids[(unsigned char)"theinoras"[test_below(&lcg, 9)]];
        size_t left = merge_plainly(&tokenizer->merges, want, count);
        void *scratch = scratch_end - yki_merge_scratch(count);
        assert_int_equal(yki_merge_word(&tokenizer->merges, ids, count, scratch), left);
        assert_memory_equal(ids, want, left * sizeof *ids);
        assert_true(count < 40 || left < count);
    }
    remove_wall(ids_end, sizeof want);
    remove_wall(scratch_end, yki_merge_scratch(MOST));
    yoke_tokenizer_destroy(tokenizer);
}

/* One word of many bytes, where merging by repeated search would take forever. */
static void long_words_are_merged_in_time(void **state)
{
    (void)state;
    enum { LONG = 1 << 19 };
    char *text = malloc(LONG);
    assert_non_null(text);
    uint64_t lcg = 9;
    for (int i = 0; i < LONG; i++) text[i] = "theinoras"[test_below(&lcg, 9)];
    for (int n = 0; n < NAMES; n++) {
        yoke_tokenizer *tokenizer = open_tokenizer(names[n]);
        if (!tokenizer) continue;
        int32_t *ids = NULL;
        int64_t nids;
        assert_int_equal(yoke_tokenizer_encode(tokenizer, text, LONG, &ids, &nids), YOKE_OK);
        assert_true(nids < LONG / 10 * 9);
        free(ids);
        if (n < EXACT) check_round_trip(tokenizer, text, LONG);
        yoke_tokenizer_destroy(tokenizer);
    }
    free(text);
}

static void tokens_are_told(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = open_tokenizer("llama3");
    size_t bytes;
    assert_int_equal(yoke_tokenizer_size(tokenizer), 3003);
    assert_null(yoke_tokenizer_token(tokenizer, -1, &bytes));
    assert_null(yoke_tokenizer_token(tokenizer, 3003, &bytes));
    assert_string_equal(yoke_tokenizer_token(tokenizer, 3001, &bytes), "<|endoftext|>");
    assert_int_equal(bytes, 13);
    assert_int_equal(yoke_tokenizer_added(tokenizer, "<|begin_of_text|>"), 3000);
    assert_int_equal(yoke_tokenizer_added(tokenizer, "the"), -1);
    assert_string_equal(yoke_tokenizer_token(tokenizer, 0, &bytes), "!");
    bool spaced = false;
    for (int32_t id = 0; id < 3003; id++)
        spaced |= !strcmp(yoke_tokenizer_token(tokenizer, id, &bytes), " the");
    assert_true(spaced);
    char *text = NULL;
    assert_int_equal(yoke_tokenizer_decode(tokenizer, NULL, 0, &text, &bytes), YOKE_OK);
    assert_int_equal(bytes, 0);
    free(text);
    text = NULL;
    assert_int_equal(yoke_tokenizer_decode(tokenizer, (const int32_t[]){5, 3003}, 2, &text, NULL),
                     YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "no token 3003"));
    assert_null(text);
    yoke_tokenizer_destroy(tokenizer);
    yoke_tokenizer_destroy(NULL);
}

/* Spelled bytes make a text of characters exact too, but for the space that it begins with; what comes after
 * bytes that are no UTF-8 gets no space of its own. Cut anywhere, ids join again, characters and all. */
static void characters_give_any_bytes_back(void **state)
{
    (void)state;
    static const char text[] = "e\xff\xfe the \xe2\x82 \xe2\x82\xac\xf0\x9f\x98\x80\n\xc3";
    yoke_tokenizer *tokenizer = open_tokenizer("llama2");
    int32_t *ids = NULL;
    int64_t nids;
    assert_int_equal(yoke_tokenizer_encode(tokenizer, text, sizeof text - 1, &ids, &nids), YOKE_OK);
    for (int64_t cut = 0; cut <= nids; cut++) {
        char *first = NULL, *second = NULL, joined[64] = "";
        size_t nfirst, nsecond;
        assert_int_equal(yoke_tokenizer_decode(tokenizer, ids, cut, &first, &nfirst), YOKE_OK);
        assert_int_equal(
            yoke_tokenizer_decode_after(tokenizer, ids, cut, ids + cut, nids - cut, &second, &nsecond),
            YOKE_OK);
        assert_int_equal(nfirst + nsecond, sizeof text - 1);
        memcpy(joined, first, nfirst);
        memcpy(joined + nfirst, second, nsecond);
        assert_memory_equal(joined, text, sizeof text);
        free(first);
        free(second);
    }
    free(ids);
    yoke_tokenizer_destroy(tokenizer);
}

static void what_a_post_processor_adds_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t nbegin, nend;
        int32_t begin, end;
    } want[] = {
        {"gpt2", 0, 0, 0, 0}, {"llama3", 1, 0, 3000, 0}, {"llama2", 1, 0, 1, 0}, {"mistral", 1, 1, 1, 2}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        yoke_tokenizer *tokenizer = open_tokenizer(want[i].name);
        int64_t nbegin = -1, nend = -1;
        const int32_t *begin = yoke_tokenizer_begin(tokenizer, &nbegin),
                      *end = yoke_tokenizer_end(tokenizer, &nend);
        assert_int_equal(nbegin, want[i].nbegin);
        assert_int_equal(nend, want[i].nend);
        if (nbegin) assert_int_equal(begin[0], want[i].begin);
        if (nend) assert_int_equal(end[0], want[i].end);
        yoke_tokenizer_destroy(tokenizer);
    }
}

/* An id that is a hole is no token, and decodes to nothing; the highest id says the size. */
static void ids_may_have_holes(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = open_tokenizer("holes");
    int64_t size = yoke_tokenizer_size(tokenizer), missing = 0;
    size_t bytes;
    char *text = NULL;
    for (int32_t id = 0; id < size; id++) {
        if (yoke_tokenizer_token(tokenizer, id, &bytes)) continue;
        missing++;
        assert_int_equal(yoke_tokenizer_decode(tokenizer, &id, 1, &text, &bytes), YOKE_OK);
        assert_int_equal(bytes, 0);
        free(text);
    }
    assert_true(missing > 10 && size == 899);
    yoke_tokenizer_destroy(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mebibyte_is_encoded_as_hugging_face_does),
        cmocka_unit_test(short_texts_are_encoded_as_hugging_face_does),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(bytes_that_are_no_utf8_are_words_of_their_own),
        cmocka_unit_test(words_of_all_lengths_are_merged_alike),
        cmocka_unit_test(long_words_are_merged_in_time),
        cmocka_unit_test(tokens_are_told),
        cmocka_unit_test(characters_give_any_bytes_back),
        cmocka_unit_test(what_a_post_processor_adds_is_told),
        cmocka_unit_test(ids_may_have_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
