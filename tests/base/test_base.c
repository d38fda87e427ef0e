/* The error record, strings, the nearest word, the bounds of JSON. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/fail.h"
#include "base/json_file.h"
#include "base/text.h"
#include "yoke/version.h"

static void the_record_holds_the_last_failure(void **state)
{
    (void)state;
    assert_int_equal(yki_fail_at(YOKE_INVALID, "job.yaml", 3, "train.lr", "is %d", 7), YOKE_INVALID);
    const yoke_error *e = yoke_error_get();
    assert_string_equal(e->message, "is 7");
    assert_string_equal(e->file, "job.yaml");
    assert_int_equal(e->line, 3);
    assert_string_equal(e->key, "train.lr");
    yki_fail(YOKE_SYSTEM, "after: %s", e->message);
    assert_string_equal(yoke_error_get()->message, "after: is 7");
    assert_string_equal(yoke_error_get()->file, "");
}

/* As the program prints it, cut where there is no room. */
static void a_sentence_says_where(void **state)
{
    (void)state;
    char text[YOKE_SENTENCE_BYTES], little[8];
    yki_fail_at(YOKE_INVALID, "job.yaml", 3, "train.lr", "is %d", 7);
    assert_ptr_equal(yoke_error_sentence(text, sizeof text), text);
    assert_string_equal(text, "job.yaml:3: train.lr: is 7");
    yoke_error other = *yoke_error_get();
    yki_fail_at(YOKE_INVALID, "x.npy", 0, "", "is empty");
    assert_string_equal(yoke_error_sentence(text, sizeof text), "x.npy: is empty");
    assert_string_equal(yoke_error_print(&other, little, sizeof little), "job.yam");
    yki_fail(YOKE_INVALID, "alone");
    assert_string_equal(yoke_error_sentence(text, sizeof text), "alone");
    assert_string_equal(yoke_error_sentence(NULL, 7), "");
    assert_true(sizeof text >= sizeof other.file + sizeof other.key + sizeof other.message + 20);
}

static void the_version_is_one(void **state)
{
    (void)state;
    char numbers[32];
    snprintf(numbers, sizeof numbers, "%d.%d.%d", YOKE_VERSION_MAJOR, YOKE_VERSION_MINOR, YOKE_VERSION_PATCH);
    assert_string_equal(numbers, YOKE_VERSION);
    assert_string_equal(numbers, yoke_version());
}

static void exit_codes_are_those_of_the_contract(void **state)
{
    (void)state;
    const int codes[] = {0, 1, 1, 2, 3, 4, 5, 75};
    for (int i = 0; i < 8; i++) assert_int_equal(yoke_status_exit_code((yoke_status)i), codes[i]);
    assert_string_equal(yoke_status_name(YOKE_DOES_NOT_FIT), "DOES_NOT_FIT");
}

static void text_grows(void **state)
{
    (void)state;
    yki_text text = {0};
    for (int i = 0; i < 1000; i++) yki_text_append(&text, "%d,", i % 10);
    char *data = yki_text_take(&text);
    assert_int_equal(strlen(data), 2000);
    free(data);
    char size[24];
    assert_string_equal(yki_size_print(size, 1536.0 * 1024), "1.50 MiB");
    assert_string_equal(yki_size_print(size, 12), "12 bytes");
}

static void the_nearest_word_is_near(void **state)
{
    (void)state;
    const char *const names[] = {"width", "heads", "layers"};
    assert_string_equal(yki_nearest("widht", names, 3), "width");
    assert_null(yki_nearest("zzzzzz", names, 3));
}

/* What a sentence quotes is a stranger's: nothing in it moves a terminal's cursor, and what is cut ends in a
 * whole character. */
static void records_are_plain_text(void **state)
{
    (void)state;
    yki_fail_at(YOKE_INVALID, "a\x1b[2J", 0, "k\n", "is '%s'", "\x07\xff\xc2\x9b\xc3\xa9\x7f");
    assert_string_equal(yoke_error_get()->message, "is '\\x07\\xff\\xc2\\x9b\xc3\xa9\\x7f'");
    assert_string_equal(yoke_error_get()->file, "a\\x1b[2J");
    assert_string_equal(yoke_error_get()->key, "k\\x0a");
    char text[2000] = "";
    while (strlen(text) < 1500) strcat(text, "\xe4\xb8\x80");
    yki_fail(YOKE_INVALID, "%s", text);
    assert_int_equal(strlen(yoke_error_get()->message), 1023 / 3 * 3);
}

/* Any bytes make a JSON string that reads back, cut at a character's edge where there is no more room. */
static void any_text_is_a_json_string(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *text, *says;
    } cases[] = {
        {64, "loss", "\"loss\""},
        {64, "a\"b\\c\nd", "\"a\\u0022b\\u005cc\\u000ad\""},
        {64, "\xc3\xa9\xff\xe4\xb8", "\"\xc3\xa9???\""},
        {7, "abcdefgh", "\"abcd\""},
        {7, "abc\xc3\xa9", "\"abc\""},
        {4, "\n", "\"\""},
        {4, "", "\"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buffer[64];
        assert_string_equal(yki_json_string(buffer, cases[i].size, cases[i].text), cases[i].says);
        assert_true(strlen(buffer) < cases[i].size);
        json_t *back = json_loads(buffer, JSON_DECODE_ANY, NULL);
        assert_true(json_is_string(back));
        json_decref(back);
    }
}

/* A tree of JSON is many times larger than its text: values are counted first. */
static void json_of_too_many_values_is_refused(void **state)
{
    (void)state;
    static const char *const items[] = {"0,", "[],", "\"[,,\\\"\":"};
    for (int i = 0; i < 3; i++) {
        yki_text text = {0};
        json_t *root = NULL;
        yki_text_append(&text, "{\"a\":[");
        for (int k = 0; k < (i < 2 ? YKI_JSON_MOST_VALUES : 100); k++)
            yki_text_append_bytes(&text, items[i], strlen(items[i]));
        yki_text_append(&text, "0]}");
        assert_false(text.failed);
        assert_int_equal(yki_json_parse("x", "", text.data, text.length, &root), YOKE_INVALID);
        const char *says = strstr(yoke_error_get()->message, "has more than 4194304 values");
        assert_true(i < 2 ? says != NULL : says == NULL);
        yki_text_release(&text);
    }
}

/* What is taken is zero, and stays as it is while what came after it is given back and taken again. */
static void an_arena_rewinds(void **state)
{
    (void)state;
    static const unsigned char zeros[1 << 17];
    yki_arena arena = {0};
    char *kept = yki_arena_copy(&arena, "kept");
    for (int round = 0; round < 3; round++) {
        yki_arena_mark mark = yki_arena_mark_of(&arena);
        for (size_t bytes = 1; bytes <= sizeof zeros; bytes *= 2) {
            unsigned char *taken = yki_arena_alloc(&arena, bytes);
            assert_memory_equal(taken, zeros, bytes);
            memset(taken, 0xa5, bytes);
        }
        yki_arena_rewind(&arena, mark);
        assert_string_equal(kept, "kept");
    }
    yki_arena_release(&arena);
    yki_arena_mark empty = yki_arena_mark_of(&arena);
    assert_non_null(yki_arena_alloc(&arena, 100));
    yki_arena_rewind(&arena, empty);
    assert_null(arena.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_holds_the_last_failure),
        cmocka_unit_test(a_sentence_says_where),
        cmocka_unit_test(the_version_is_one),
        cmocka_unit_test(exit_codes_are_those_of_the_contract),
        cmocka_unit_test(an_arena_rewinds),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(the_nearest_word_is_near),
        cmocka_unit_test(records_are_plain_text),
        cmocka_unit_test(any_text_is_a_json_string),
        cmocka_unit_test(json_of_too_many_values_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
