/* A file whose words, or merges, all meet in one slot of a hash whose seed is known: in the hash of one that
 * reads it they do not, for its seed is another. Counted in steps from where a word belongs to where it is.
 */
#include "base/text.h"
#include "data/tokenizer/tokenizer.h"
#include "folder.h"
#include "text.h"

enum { WORDS = 400, FEW = 4 * WORDS, MANY = WORDS * (WORDS - 1) / 2, MOST_SLOTS = 4096 };

static void add_byte(yki_text *text, int byte, int *stranger)
{
    int kept = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    char utf8[5] = "";
    test_utf8((uint32_t)(kept ? byte : (*stranger)++), utf8);
    yki_text_append(text, "%s\"%s%s\":%d", byte ? "," : "", byte == '"' || byte == '\\' ? "\\" : "", utf8,
                    byte);
}

/* A tokenizer of the bytes and of these words. */
static yoke_tokenizer *load(char (*words)[16])
{
    yki_text text = {0};
    int stranger = 256;
    yki_text_append(&text, "{\"version\":\"1.0\",\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                           "\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,"
                           "\"merges\":[],\"vocab\":{");
    for (int byte = 0; byte < 256; byte++) add_byte(&text, byte, &stranger);
    for (int i = 0; i < WORDS; i++) yki_text_append(&text, ",\"%s\":%d", words[i], 256 + i);
    yki_text_append(&text, "}}}");
    char *bytes = yki_text_take(&text);
    write_text(in_folder("words.json"), bytes);
    free(bytes);
    yoke_tokenizer *made = NULL;
    if (yoke_tokenizer_create(&made, in_folder("words.json")) != YOKE_OK)
        fail_msg("%s: %s", yoke_error_get()->key, yoke_error_get()->message);
    return made;
}

/* Steps from where each word belongs under a seed, in a table that is filled in the order of ids. */
static size_t steps(const yoke_tokenizer *t, uint64_t seed)
{
    static bool taken[MOST_SLOTS];
    size_t all = 0;
    assert_true(t->words_mask < MOST_SLOTS);
    memset(taken, 0, sizeof taken);
    for (int32_t id = 0; id < t->size; id++) {
        size_t i = yki_bytes_hash(seed, t->tokens[id].bytes, t->tokens[id].count) & t->words_mask;
        for (; taken[i]; i = (i + 1) & t->words_mask) all++;
        taken[i] = true;
        if (seed == t->seed) assert_int_equal(t->words[i], id); /* this is how the table was made */
    }
    return all;
}

static void words_made_to_meet_do_not(void **state)
{
    (void)state;
    char words[WORDS][16];
    for (int i = 0; i < WORDS; i++) snprintf(words[i], sizeof words[i], "w%d", i);
    yoke_tokenizer *known = load(words);
    assert_true(steps(known, known->seed) < FEW);
    for (int i = 0, n = 0; i < WORDS; n++) {
        int length = snprintf(words[i], sizeof words[i], "w%d", n);
        i += (yki_bytes_hash(known->seed, words[i], (size_t)length) & known->words_mask) == 7;
    }
    yoke_tokenizer *attacked = load(words);
    assert_int_equal(attacked->words_mask, known->words_mask);
    assert_true(steps(attacked, known->seed) >= MANY); /* so the words are what they should be */
    assert_true(attacked->seed != known->seed);
    assert_int_equal(attacked->merges.seed, attacked->seed);
    assert_true(steps(attacked, attacked->seed) < FEW);
    yoke_tokenizer_destroy(attacked);
    yoke_tokenizer_destroy(known);
}

static size_t merge_steps(const int32_t (*pairs)[2], uint64_t seed)
{
    yki_merges merges = {0};
    size_t all = 0;
    assert_int_equal(yki_merges_init(&merges, WORDS, seed), YOKE_OK);
    for (int i = 0; i < WORDS; i++) {
        yki_merges alone = {0}; /* where it goes when nothing is there */
        assert_int_equal(yki_merges_init(&alone, WORDS, seed), YOKE_OK);
        assert_true(yki_merges_put(&alone, pairs[i][0], pairs[i][1], i, i));
        const yki_merge *home = yki_merges_get(&alone, pairs[i][0], pairs[i][1]);
        assert_true(yki_merges_put(&merges, pairs[i][0], pairs[i][1], i, i));
        const yki_merge *at = yki_merges_get(&merges, pairs[i][0], pairs[i][1]);
        all += (size_t)((at - merges.slots) - (home - alone.slots)) & merges.mask;
        free(alone.slots);
    }
    free(merges.slots);
    return all;
}

static void merges_made_to_meet_do_not(void **state)
{
    (void)state;
    static int32_t pairs[WORDS][2];
    const uint64_t known = 12345, other = 54321;
    yki_merges one = {0};
    assert_int_equal(yki_merges_init(&one, WORDS, known), YOKE_OK);
    for (int32_t i = 0, n = 0; i < WORDS; n++) {
        assert_true(yki_merges_put(&one, n, n + 1, 0, 0));
        const yki_merge *at = yki_merges_get(&one, n, n + 1);
        bool meets = at == &one.slots[7];
        one.slots[at - one.slots].pair = UINT64_MAX;
        if (meets) pairs[i][0] = n, pairs[i++][1] = n + 1;
    }
    free(one.slots);
    assert_true(merge_steps(pairs, known) >= MANY);
    assert_true(merge_steps(pairs, other) < FEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_made_to_meet_do_not),
                                       cmocka_unit_test(merges_made_to_meet_do_not)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
