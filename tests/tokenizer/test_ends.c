/* The ids that end a text: which file says them, and what is refused. */
#include "data/ends.h"
#include "folder.h"

/* NULL: no such file. */
static void put(const char *name, const char *text)
{
    if (text)
        write_text(in_folder(name), text);
    else
        unlink(in_folder(name));
}

static yoke_tokenizer *tokenizer(const char *name)
{
    char path[1024];
    yoke_tokenizer *made = NULL;
    snprintf(path, sizeof path, "%s/%s.json", YKI_TOKENIZERS, name);
    assert_int_equal(yoke_tokenizer_create(&made, path), YOKE_OK);
    return made;
}

/* generation, config: what the files hold; NULL: there is none. */
static void expect(const char *generation, const char *config, const yoke_tokenizer *with, size_t count,
                   const int32_t *ids)
{
    yki_ends ends;
    put("generation_config.json", generation);
    put("config.json", config);
    if (yki_ends_read(folder, with, &ends) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(ends.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(ends.ids[i], ids[i]);
    assert_true(count == 0 || (yki_ends_have(&ends, ids[count - 1]) && !yki_ends_have(&ends, 12345)));
    yki_ends_free(&ends);
    assert_null(ends.ids);
}

static void test_which(void **state)
{
    (void)state;
    yoke_tokenizer *gpt2 = tokenizer("gpt2"), *llama2 = tokenizer("llama2");
    static const int32_t seven[] = {7}, list[] = {9, 4}, zero[] = {0};
    expect("{\"eos_token_id\": 7}", "{\"eos_token_id\": 3}", gpt2, 1, seven);
    expect("{\"eos_token_id\": [9, 4, 9]}", "{}", gpt2, 2, list);
    expect("{\"bos_token_id\": 1}", "{\"eos_token_id\": 7}", gpt2, 1, seven);
    expect("{\"eos_token_id\": null}", "{\"eos_token_id\": [9, 4]}", gpt2, 2, list);
    expect("{\"eos_token_id\": []}", "{\"eos_token_id\": 0}", gpt2, 1, zero);
    expect(NULL, "{\"eos_token_id\": 7}", NULL, 1, seven);
    expect(NULL, "{}", gpt2, 1, (int32_t[]){2000});
    expect(NULL, NULL, llama2, 1, (int32_t[]){2});
    expect("{}", NULL, NULL, 0, NULL);
    yki_ends ends;
    assert_int_equal(yki_ends_read(NULL, llama2, &ends), YOKE_OK);
    assert_int_equal(ends.ids[0], 2);
    yki_ends_free(&ends);
    yki_ends_free(&ends);
    yoke_tokenizer_destroy(gpt2);
    yoke_tokenizer_destroy(llama2);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"eos_token_id\": -1}",
                                      "{\"eos_token_id\": 2147483648}",
                                      "{\"eos_token_id\": \"</s>\"}",
                                      "{\"eos_token_id\": [1, null]}",
                                      "{\"eos_token_id\": 1.5}",
                                      "{\"eos_token_id\": {\"a\": 1}}",
                                      "[2]",
                                      "{\"eos_token_id\": 2"};
    put("config.json", "{\"eos_token_id\": 3}");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        yki_ends ends = {0};
        put("generation_config.json", bad[i]);
        assert_int_equal(yki_ends_read(folder, NULL, &ends), YOKE_INVALID);
        assert_non_null(strstr(yoke_error_get()->file, "generation_config.json"));
        if (i < 6) assert_string_equal(yoke_error_get()->key, "eos_token_id");
        assert_null(ends.ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_which), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
