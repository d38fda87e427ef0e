/* Rows of JSON token for token as transformers' (see make.py), and what is refused, with file and line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_file.h"
#include "data/chat.h"
#include "data/chat_template.h"
#include "data/data.h"
#include "data/ids.h"
#include "data/lines.h"
#include "data/tokenizer/tokenizer.h"
#include "folder.h"

enum { LONGEST = 128 };

static yoke_tokenizer *open_tokenizer(const char *name)
{
    char path[1024];
    yoke_tokenizer *made = NULL;
    snprintf(path, sizeof path, "%s/%s.json", YKI_JSONL, name);
    if (yoke_tokenizer_create(&made, path) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    return made;
}

static yoke_chat chat_of(const char *name)
{
    return strcmp(name, "chatml") == 0   ? YOKE_CHAT_CHATML
           : strcmp(name, "llama3") == 0 ? YOKE_CHAT_LLAMA3
                                         : YOKE_CHAT_AUTO;
}

/* The next line of numbers, and what fills it up. */
static void read_line(FILE *golden, int32_t *row, int length, int32_t padding)
{
    int count = 0;
    assert_int_equal(fscanf(golden, "%d", &count), 1);
    assert_in_range(count, 0, length);
    for (int i = 0; i < length; i++) row[i] = padding;
    for (int i = 0; i < count; i++) assert_int_equal(fscanf(golden, "%" SCNd32, &row[i]), 1);
}

static void test_as_transformers(void **state)
{
    (void)state;
    char path[1024], name[16], file[16], chat_name[16], paths[2][1024];
    snprintf(path, sizeof path, "%s/rows.golden", YKI_JSONL);
    FILE *golden = fopen(path, "r");
    int pack, length, eos, samples, left_out, cases = 0;
    assert_non_null(golden);
    for (; fscanf(golden, " case %15s %15s %15s %d %d %d %d %d", name, file, chat_name, &pack, &length, &eos,
                  &samples, &left_out) == 8;
         cases++) {
        bool mixed = strcmp(file, "mixed") == 0;
        int32_t row[2][LONGEST], wanted[2][LONGEST];
        const char *listed[] = {paths[0], paths[1]};
        yoke_data *data = NULL;
        yki_chat chat = {.kind = chat_of(chat_name)};
        yoke_tokenizer *tokenizer = open_tokenizer(name);
        snprintf(paths[0], sizeof paths[0], "%s/%s.jsonl", YKI_JSONL, mixed ? "pairs" : file);
        snprintf(paths[1], sizeof paths[1], "%s/text[s].jsonl", YKI_JSONL);
        assert_in_range(length, 1, LONGEST);
        yki_data_spec spec = {.npaths = mixed ? 2 : 1,
                              .paths = listed,
                              .sequence = length,
                              .tokenizer = tokenizer,
                              .eos = eos,
                              .chat = &chat,
                              .pack = pack,
                              .skip_long = true};
        if (yki_data_from_jsonl(&data, &spec) != YOKE_OK)
            fail_msg("%s %s: line %d: %s", name, file, yoke_error_get()->line, yoke_error_get()->message);
        assert_int_equal(yoke_data_samples(data), samples);
        assert_int_equal(data->left_out, left_out);
        int64_t uncounted = 0, padding = 0;
        for (int i = 0; i < samples; i++) {
            read_line(golden, wanted[0], length, eos);
            read_line(golden, wanted[1], length, YOKE_UNCOUNTED);
            assert_int_equal(yoke_data_get(data, i, row[0], row[1]), YOKE_OK);
            padding += length - data->ops->length(data, i);
            for (int t = 0; t < length; t++) {
                if (row[0][t] != wanted[0][t] || row[1][t] != wanted[1][t])
                    fail_msg("%s %s %s: sample %d at %d: %d -> %d, not %d -> %d", name, file, chat_name, i, t,
                             row[0][t], row[1][t], wanted[0][t], wanted[1][t]);
                uncounted += row[1][t] == YOKE_UNCOUNTED;
            }
        }
        assert_int_equal(data->uncounted, uncounted);
        assert_int_equal(data->padding, padding);
        yoke_data_destroy(data);
        yoke_tokenizer_destroy(tokenizer);
    }
    assert_int_equal(cases, 24);
    fclose(golden);
}

/* ---- refused ---- */

typedef struct refusal {
    const char *text, *says;
    int line, pack;
    yoke_chat chat;
} refusal;

#define USER "{\"role\": \"user\", \"content\": \"a\"}"
static const refusal refusals[] = {
    {"{\"text\": \"a\"}\n{\"text\": \"b", "is not valid JSON", 2, -1, 0},
    {"{\"text\": 3}", "a text that is no text", 1, -1, 0},
    {"{\"prompt\": \"a\"}", "has a prompt and no completion", 1, -1, 0},
    {"{\"completion\": \"a\"}", "has a completion and no prompt", 1, -1, 0},
    {"{\"prompt\": [], \"completion\": \"a\"}", "a prompt that is no text", 1, -1, 0},
    {"{\"txet\": \"a\"}", "did you mean \"text\"", 1, -1, 0},
    {"{}", "has none of text, prompt and completion, messages", 1, -1, 0},
    {"[\"a\"]", "begins a list", 1, -1, 0},
    {"[\n{\"text\": \"a\"}\n]", "jq -c", 1, -1, 0},
    {"\x1f\x8b\x08", "looks like compressed by gzip", 0, -1, 0},
    {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", 0, -1, 0},
    {"3", "is not a JSON object", 1, -1, 0},
    {"{\"text\": \"a\"} x", "is not valid JSON", 1, -1, 0},
    {"{\"text\": \"a\", \"text\": \"b\"}", "is not valid JSON", 1, -1, 0},
    {"{\"text\": \"\\ud800\"}", "is not valid JSON", 1, -1, 0},
    {"{\"text\": \"a\xff\"}", "is not UTF-8: byte 0xff at column 12", 1, -1, 0},
    {"{\"text\": \"a\"}\n\n{\"text\": \"a\"}", "is a line without a row", 2, -1, 0},
    {"\n", "has no rows", 0, -1, 0},
    {"{\"text\": \"a\", \"messages\": []}", "has text and messages", 1, -1, 0},
    {"{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}", "data.pack says", 2, -1, 0},
    {"{\"prompt\": \"aaaaaaaaa bbbbbbbbb ccccccccc ddddd\", \"completion\": \"b\"}", "data.skip_long", 1, -1,
     0},
    {"{\"text\": \"\"}", "one sample of 8 tokens needs one more", 0, -1, 0},
    {"{\"messages\": [" USER "]}", "no message of the assistant", 1, -1, YOKE_CHAT_CHATML},
    {"{\"messages\": []}", "no list of messages", 1, -1, YOKE_CHAT_CHATML},
    {"{\"messages\": \"a\"}", "no list of messages", 1, -1, YOKE_CHAT_CHATML},
    {"{\"messages\": [1]}", "message 1 (counted from 1) is no object with a role", 1, -1, YOKE_CHAT_CHATML},
    {"{\"messages\": [" USER ", {\"role\": \"tool\", \"content\": \"\"}]}", "message 2 has role 'tool'", 1,
     -1, YOKE_CHAT_CHATML},
    {"{\"messages\": [{\"role\": \"assistant\", \"content\": null}]}", "message 1 has a content", 1, -1,
     YOKE_CHAT_LLAMA3},
    {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [1]}]}", "tool_calls", 1,
     -1, YOKE_CHAT_CHATML},
    {"{\"messages\": [" USER "]}", "is missing: messages become text by chatml or llama3", 0, -1,
     YOKE_CHAT_AUTO},
};

static yoke_status open_text(const char *path, const yoke_tokenizer *tokenizer, const refusal *r, int32_t eos,
                             bool skip_long, yoke_data **data_out)
{
    yki_chat chat = {.kind = r->chat};
    yki_data_spec spec = {.npaths = 1,
                          .paths = &path,
                          .sequence = 8,
                          .tokenizer = tokenizer,
                          .eos = eos,
                          .chat = &chat,
                          .pack = r->pack,
                          .skip_long = skip_long};
    return yki_data_from_jsonl(data_out, &spec);
}

static void test_refused(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = open_tokenizer("level");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        const char *path = in_folder("bad.jsonl");
        yoke_data *data = NULL;
        write_file(path, r->text, strlen(r->text));
        assert_int_equal(open_text(path, tokenizer, r, 421, false, &data), YOKE_INVALID);
        assert_null(data);
        if (!strstr(yoke_error_get()->message, r->says))
            fail_msg("%s\nis refused by: %s", r->text, yoke_error_get()->message);
        assert_int_equal(yoke_error_get()->line, r->line);
        if (r->line) assert_string_equal(yoke_error_get()->file, path);
    }
    yoke_tokenizer_destroy(tokenizer);
}

/* What counts nothing, and has no end, by what the tokenizer is. */
static void test_nothing_is_learnt(void **state)
{
    (void)state;
    static const refusal alone = {.pack = 0}, packed = {.pack = 1};
    const char *path = in_folder("few.jsonl");
    yoke_tokenizer *plain = open_tokenizer("plain"), *level = open_tokenizer("level");
    yoke_data *data = NULL;
    write_file(path, "{\"text\": \"\"}", 12);
    assert_int_equal(open_text(path, plain, &alone, 420, true, &data), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "is empty"));
    assert_int_equal(open_text(path, plain, &alone, -1, true, &data), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "no token is known that ends a text"));
    assert_int_equal(open_text(path, level, &alone, 421, true, &data), YOKE_OK); /* <|begin_of_text|>, eos */
    yoke_data_destroy(data);
    static const char cut[] =
        "{\"prompt\": \"a b c d e f g h i j k l m n o p q r s t\", \"completion\": \"u v w x y z\"}\n";
    write_file(path, cut, sizeof cut - 1);
    assert_int_equal(open_text(path, level, &alone, 421, true, &data), YOKE_INVALID);
    assert_non_null(
        strstr(yoke_error_get()->message, "no target that is counted in any of its 1 rows, 1 of"));
    assert_int_equal(open_text(path, level, &packed, 421, false, &data), YOKE_OK);
    assert_true(data->uncounted < 8 * yoke_data_samples(data));
    assert_int_equal(yki_data_check(data, 421, 421), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "becomes token 421, which ends a text"));
    assert_int_equal(yki_data_check(data, 422, 0), YOKE_OK);
    yoke_data_destroy(data);
    yoke_tokenizer_destroy(plain);
    yoke_tokenizer_destroy(level);
}

/* ---- templates ---- */

#define CHATML_BODY "'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'"
static const struct {
    yoke_chat kind;
    const char *template;
} templates[] = {
    {YOKE_CHAT_CHATML, "{% for message in messages %}{{" CHATML_BODY "}}{% endfor %}"
                       "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {YOKE_CHAT_CHATML,
     "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
     "{%- for message in messages -%}\n  {{- '<|im_start|>' ~ message.role ~ \"\\n\" -}}\n"
     "  {% generation %}{{ message.content }}{% endgeneration %}<|im_end|>{{ '\\n' }}{%- endfor %}"
     "{# the answer #}{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}\n"},
    {YOKE_CHAT_CHATML,
     "{% for message in messages %}\n  {% if loop.first and messages[0]['role'] != 'system' %}\n"
     "  {% endif %}\n{{ '<|im_start|>' + message['role'] }}\n{{ message['content'] + '<|im_end|>'"
     " }}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"},
    {YOKE_CHAT_LLAMA3, "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
                       "'<|start_header_id|>' + "
                       "message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + "
                       "'<|eot_id|>' %}{% if loop.index0 == 0 "
                       "%}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if "
                       "add_generation_prompt %}{{ "
                       "'<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    /* a system turn of its own; no end of the last; trims; no beginning; tools; runs for ever; no Jinja */
    {YOKE_CHAT_AUTO,
     "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nHi<|im_end|>\\n' }}{% endif %}"
     "{% for message in messages %}{{" CHATML_BODY "}}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {YOKE_CHAT_AUTO, "{% for message in messages %}{{" CHATML_BODY "}}{% endfor %}"},
    {YOKE_CHAT_AUTO,
     "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content.strip() "
     "+ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
     "{% endif %}"},
    {YOKE_CHAT_AUTO,
     "{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' "
     "+ message.content | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
     "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    {YOKE_CHAT_AUTO, "{% for t in tools %}{{ t | tojson }}{% endfor %}{% macro a() %}{% endmacro %}"},
    {YOKE_CHAT_AUTO,
     "{% for a in messages %}{% for b in messages %}{% for c in messages %}{% for d in messages %}"
     "{% for e in messages %}{% for f in messages %}{% for g in messages %}{% for h in messages %}"
     "{% for i in messages %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}"
     "{% endfor %}{% endfor %}{% endfor %}"},
    {YOKE_CHAT_AUTO, "{% for m in messages %}{{ raise_exception('no') }}{% endfor %}"},
    {YOKE_CHAT_AUTO, "{{ ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1"},
    {YOKE_CHAT_AUTO, "{% if"},
    {YOKE_CHAT_AUTO, "{% endif %}{% else %}"},
    {YOKE_CHAT_AUTO, ""},
};

static void test_templates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (yki_chat_template_kind(templates[i].template) != templates[i].kind)
            fail_msg("template %zu is taken for %d", i, (int)yki_chat_template_kind(templates[i].template));
}

static void put(const char *name, const char *text)
{
    write_file(in_folder(name), text, strlen(text));
}

/* Where a folder's template is, and what stands beside it. */
static void test_template_of_a_folder(void **state)
{
    (void)state;
    yki_chat chat;
    yki_text config = {0};
    char quoted[4096];
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_AUTO, &chat), YOKE_OK);
    assert_string_equal(chat.file, "");
    assert_int_equal(yki_chat_need(&chat), YOKE_INVALID);
    yki_json_string(quoted, sizeof quoted, templates[3].template);
    yki_text_append(
        &config,
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}, {\"name\": \"default\", "
        "\"template\": %s}], \"bos_token\": {\"content\": \"<B>\"}}",
        quoted);
    put("tokenizer_config.json", config.data);
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_AUTO, &chat), YOKE_OK);
    assert_int_equal(chat.kind, YOKE_CHAT_LLAMA3);
    assert_string_equal(chat.bos, "<B>");
    put("chat_template.jinja", templates[0].template);
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_AUTO, &chat), YOKE_OK);
    assert_int_equal(chat.kind, YOKE_CHAT_CHATML);
    put("chat_template.jinja", "{{ messages }}");
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_AUTO, &chat), YOKE_OK);
    assert_int_equal(yki_chat_need(&chat), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->file, "chat_template.jinja"));
    assert_non_null(strstr(yoke_error_get()->message, "neither chatml nor llama3"));
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_LLAMA3, &chat), YOKE_OK);
    assert_int_equal(yki_chat_need(&chat), YOKE_OK);
    put("tokenizer_config.json", "{");
    assert_int_equal(yki_chat_find(folder, YOKE_CHAT_AUTO, &chat), YOKE_INVALID);
    yki_text_release(&config);
}

/* ---- what is kept, and lines ---- */

static void test_ids_past_memory(void **state)
{
    (void)state;
    enum { MOST = 1 << 19, AT_ONCE = 1000 };
    yki_ids ids = {.most_held = 4 * AT_ONCE};
    static int32_t piece[3 * AT_ONCE];
    int64_t count = 0;
    for (int n = 1; count < MOST; n = n % AT_ONCE + 7) {
        for (int i = 0; i < n; i++) piece[i] = (int32_t)(3 * (count + i) - MOST);
        assert_int_equal(yki_ids_add(&ids, piece, n), YOKE_OK);
        count += n;
    }
    assert_int_equal(ids.count, count);
    assert_true(ids.descriptor > 0 && ids.filed > 4 * AT_ONCE && ids.filed < count);
    for (int64_t at = 0; at + 3 * AT_ONCE < count; at += 2 * AT_ONCE + 1) {
        assert_int_equal(yki_ids_get(&ids, at, 3 * AT_ONCE, piece), YOKE_OK);
        for (int i = 0; i < 3 * AT_ONCE; i++) assert_int_equal(piece[i], 3 * (at + i) - MOST);
    }
    assert_int_equal(yki_ids_get(&ids, ids.filed - 5, 10, piece), YOKE_OK); /* over its edge */
    for (int i = 0; i < 10; i++) assert_int_equal(piece[i], 3 * (ids.filed - 5 + i) - MOST);
    yki_ids_release(&ids);
}

static void test_lines(void **state)
{
    (void)state;
    enum { LONG = 3 << 20 };
    const char *path = in_folder("lines"), *text;
    size_t count, longest = 0;
    char *bytes = malloc(LONG + 8);
    memset(bytes, 'x', LONG + 8);
    memcpy(bytes,
           "\xef\xbb\xbf"
           "a\n\nb",
           6);
    bytes[LONG] = '\n';
    write_file(path, bytes, LONG + 8);
    free(bytes);
    yki_file file;
    assert_int_equal(yki_file_open(&file, path), YOKE_OK);
    yki_lines lines = {.file = &file};
    for (int n = 1; yki_lines_next(&lines, &text, &count) == YOKE_OK && text; n++) {
        assert_int_equal(lines.line, n);
        longest = count > longest ? count : longest;
        if (n == 1) assert_int_equal(count, 1);
        if (n == 2) assert_int_equal(count, 0);
        if (n == 4) assert_int_equal(count, 7);
    }
    assert_int_equal(lines.line, 5);
    assert_int_equal(longest, LONG - 6);
    yki_lines_release(&lines);
    yki_file_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_transformers),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_nothing_is_learnt),
                                       cmocka_unit_test(test_templates),
                                       cmocka_unit_test(test_template_of_a_folder),
                                       cmocka_unit_test(test_ids_past_memory),
                                       cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
