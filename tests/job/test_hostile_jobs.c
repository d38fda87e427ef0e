/* Input that means harm, or none: answered with a job or a sentence, never with a crash, in bounded time. The
 * mutations are those of the contract's check `refusals`, and some of YAML's own words. */
#include "job_files.h"

#include "base/rng.h"
#include "job/yaml.h"
#include "model/model.h"

static uint64_t random_state;

static unsigned draw(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % below);
}

enum { LONGEST = 1 << 16 };

static const struct {
    const char *bytes;
    size_t length;
} insertions[] = {{"{", 1},      {"[", 1},
                  {": ", 2},     {"99999999999999999999", 20},
                  {"-1", 2},     {"&a *a", 5},
                  {"\0", 1},     {"\xff", 1},
                  {"!!str ", 6}, {"? ", 2},
                  {"- ", 2},     {"|\n", 2},
                  {"\"", 1},     {"'", 1},
                  {"}", 1},      {"]", 1},
                  {"\n", 1},     {"%YAML 1.1\n---\n", 14},
                  {"<<: ", 4},   {"\xe2\x80\xa8", 3}};

static size_t mutate(char *bytes, size_t length)
{
    for (unsigned changes = 1 + draw(6); changes > 0 && length > 0; changes--) {
        size_t at = draw(length);
        unsigned kind = draw(10);
        if (kind < 4) {
            bytes[at] = (char)draw(256);
        } else if (kind < 7) {
            size_t count = 1 + draw(9);
            count = count < length - at ? count : length - at;
            memmove(bytes + at, bytes + at + count, length - at - count);
            length -= count;
        } else {
            size_t which = draw(sizeof insertions / sizeof *insertions), count = insertions[which].length;
            memmove(bytes + at + count, bytes + at, length - at);
            memcpy(bytes + at, insertions[which].bytes, count);
            length += count;
        }
    }
    return length;
}

static void mutated_jobs_are_answered(void **state)
{
    (void)state;
    static const char *const files[] = {GPT, MLP};
    static const char *const overrides[] = {"train.steps=1", "layout.device_memory=1GiB",
                                            "train.optimizer.lr=1e-3"};
    int read = 0;
    random_state = 88172645463325252u;
    for (int f = 0; f < 2; f++) {
        size_t length;
        char *text = read_text(files[f], &length), *bytes = malloc(LONGEST);
        assert_non_null(bytes);
        for (int i = 0; i < 3000; i++) {
            memcpy(bytes, text, length);
            write_file(written, bytes, mutate(bytes, length));
            yoke_job *job = NULL;
            yoke_status status = yoke_job_load(written, 3, overrides, &job);
            if (status == YOKE_OK) { /* what it was read as prints, and reads back */
                read++;
                char *printed = yoke_job_print(job);
                yoke_job_destroy(job);
                yoke_job_destroy(load_text(printed));
                free(printed);
            } else {
                assert_int_equal(status, YOKE_INVALID);
                assert_true(strlen(yoke_error_get()->message) > 0);
                assert_null(job);
            }
        }
        free(bytes);
        free(text);
    }
    assert_true(read > 100); /* some mutations are harmless; if none were, the rest would prove nothing */
}

static void mutated_overrides_are_answered(void **state)
{
    (void)state;
    static const char *const texts[] = {"train.optimizer={name: adamw, lr: 3e-4, betas: [0.9, 0.95]}",
                                        "layout=dp=2,devices=[cpu:0,cpu:1],schedule=gpipe",
                                        "--devices=cpu:0,cpu:1", "model.layers.3.out=\"12\""};
    random_state = 3;
    for (int i = 0; i < 2000; i++) {
        char text[512];
        const char *from = texts[i % 4];
        memcpy(text, from, strlen(from));
        text[mutate(text, strlen(from))] = '\0';
        yoke_job *job = NULL;
        const char *const overrides[] = {text};
        yoke_status status = yoke_job_load(i & 4 ? GPT : MLP, 1, overrides, &job);
        assert_true(status == YOKE_OK || status == YOKE_INVALID);
        yoke_job_destroy(job);
        yoke_layout layout = YOKE_LAYOUT_DEFAULT;
        status = yoke_layout_parse(&layout, text);
        assert_true(status == YOKE_OK || status == YOKE_INVALID);
    }
}

static void truncated_jobs_are_answered(void **state)
{
    (void)state;
    size_t length;
    char *text = read_text(MLP, &length);
    for (size_t n = 0; n <= length; n++) {
        yoke_job *job = NULL;
        write_file(written, text, n);
        yoke_status status = yoke_job_load(written, 0, NULL, &job);
        assert_int_equal(status == YOKE_OK, job != NULL);
        yoke_job_destroy(job);
    }
    free(text);
}

/* Repeats `word` up to the longest text that is read, or one byte more. */
static yoke_status parse_many(const char *before, const char *word, size_t bytes)
{
    char *text = malloc(bytes + 64);
    assert_non_null(text);
    size_t length = strlen(before), step = strlen(word);
    memcpy(text, before, length);
    for (; length + step <= bytes; length += step) memcpy(text + length, word, step);
    yki_yaml *root = NULL;
    yoke_status status = yki_yaml_parse(text, length, "job.yaml", &root);
    yki_yaml_destroy(root);
    free(text);
    return status;
}

static void huge_texts_are_bounded(void **state)
{
    (void)state;
    static const char *const refused[] = {"[",  "{",   "{a: ",  "- ",   "? ",     "a: 1\n",
                                          "\"", "&a ", "---\n", "- - ", "[a, #\n"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(parse_many("", refused[i], YKI_YAML_BYTES), YOKE_INVALID);
    assert_int_equal(parse_many("a: b\n", "# \n", YKI_YAML_BYTES), YOKE_OK);
    assert_int_equal(parse_many("", "a", YKI_YAML_BYTES), YOKE_OK);
    assert_int_equal(parse_many("", "a", YKI_YAML_BYTES + 1), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "longer than"));
    char *keys = malloc(YKI_YAML_BYTES); /* many keys, all different: found so without comparing all pairs */
    assert_non_null(keys);
    int length = 0;
    for (int i = 0; i < 60000; i++) length += sprintf(keys + length, "k%d: %d\n", i, i);
    yki_yaml *root = NULL;
    assert_int_equal(yki_yaml_parse(keys, (size_t)length, "", &root), YOKE_OK);
    assert_int_equal(root->count, 60000);
    assert_int_equal(root->items[59999]->line, 60000);
    yki_yaml_destroy(root);
    free(keys);
}

static void many_columns_are_refused(void **state)
{
    (void)state;
    static const char end[] = "]}\ntrain: {steps: 1, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1}}\n";
    char *text = malloc(YKI_YAML_BYTES);
    yoke_job *job = NULL;
    assert_non_null(text);
    int length = sprintf(text, "model: {family: layers, input: [4], layers: [{type: relu}]}\n"
                               "data: {format: csv, path: x, targets: [a");
    for (int i = 0; i < 100000; i++) length += sprintf(text + length, ",%x", i);
    length += sprintf(text + length, "%s", end);
    write_file(written, text, (size_t)length);
    assert_int_equal(yoke_job_load(written, 0, NULL, &job), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->message, "names more than 4096 columns");
    free(text);
}

/* Each of 20,000 parameters is found by its name in a few steps, so that none is compared with all others. */
static void many_layers_are_named_at_once(void **state)
{
    (void)state;
    enum { LAYERS = 10000 };
    char *text = malloc(YKI_YAML_BYTES);
    yoke_job *job = NULL;
    yoke_model *model = NULL;
    assert_non_null(text);
    int length = sprintf(text, "model: {family: layers, input: [4], layers: [");
    for (int i = 0; i < LAYERS; i++)
        length += sprintf(text + length, "%s{type: linear, out: 4}", i ? "," : "");
    length +=
        sprintf(text + length, "]}\ndata: {format: random, samples: 4}\n"
                               "train: {steps: 1, batch: 1, loss: mse, optimizer: {name: sgd, lr: 1}}\n");
    write_file(written, text, (size_t)length);
    free(text);
    assert_int_equal(yoke_job_load(written, 0, NULL, &job), YOKE_OK);
    assert_int_equal(yki_model_from_job(job, &model), YOKE_OK);
    assert_int_equal(model->nparameters, 2 * LAYERS);
    assert_true(model->cnamed >= 2 * model->nparameters);
    int64_t steps = 0;
    for (int i = 0; i < model->cnamed; i++) {
        if (!model->named[i]) continue;
        size_t home = (size_t)yki_rng_key(0, model->parameters[model->named[i] - 1].name, 0);
        steps += (int64_t)(((size_t)i - home) & ((size_t)model->cnamed - 1));
    }
    assert_true(steps < 4 * model->nparameters);
    yoke_model_destroy(model);
    yoke_job_destroy(job);
}

static void nothing_is_printed(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "%s/stderr", folder);
    fflush(stderr);
    int kept = dup(2);
    assert_non_null(freopen(path, "w", stderr));
    yki_yaml *root = NULL;
    assert_int_equal(yki_yaml_parse("a: [b\nc: \"", 10, "job.yaml", &root), YOKE_INVALID);
    assert_int_equal(yki_yaml_parse("a: 'b\n\tc: : }", 14, "job.yaml", &root), YOKE_INVALID);
    fflush(stderr);
    long length = ftell(stderr);
    dup2(kept, 2);
    close(kept);
    size_t written_bytes;
    char *text = read_text(path, &written_bytes);
    unlink(path);
    assert_int_equal(length > 0 ? length : 0, 0);
    assert_int_equal(written_bytes, 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_jobs_are_answered),   cmocka_unit_test(mutated_overrides_are_answered),
        cmocka_unit_test(truncated_jobs_are_answered), cmocka_unit_test(huge_texts_are_bounded),
        cmocka_unit_test(many_columns_are_refused),    cmocka_unit_test(many_layers_are_named_at_once),
        cmocka_unit_test(nothing_is_printed),
    };
    return cmocka_run_group_tests(tests, make_job_folder, remove_folder);
}
