/* Jobs whose text goes through a tokenizer: what is trained on, what is saved beside the model, and prompts.
 */
#include <sys/stat.h>

#include "data/data.h"
#include "folder.h"
#include "text.h"
#include "yoke/yoke.h"

#define TOKENIZER YKI_TOKENIZERS "/mixed.json"
enum { SIZE = 807 }; /* of its vocabulary */

static char text_path[128];
static char *text;
static size_t text_bytes;

static int begin(void **state)
{
    if (make_folder(state) != 0) return -1;
    snprintf(text_path, sizeof text_path, "%s/input.txt", folder);
    text = test_text(4, 3000, &text_bytes);
    write_file(text_path, text, text_bytes);
    return 0;
}

static int end(void **state)
{
    free(text);
    return remove_folder(state);
}

static const char job_text[] =
    "model: {family: gpt2, layers: 1, heads: 2, width: 16, context: 16}\n"
    "data: {format: text, path: input.txt, tokenizer: " TOKENIZER "}\n"
    "train: {steps: 2, batch: 4, loss: cross_entropy, optimizer: {name: sgd, lr: 0.1}}\n"
    "checkpoint: {dir: run}\n";

static yoke_job *load(int noverrides, const char *const *overrides)
{
    const char *path = in_folder("job.yaml");
    yoke_job *job = NULL;
    write_text(path, job_text);
    if (yoke_job_load(path, noverrides, overrides, &job) != YOKE_OK)
        fail_msg("%s: %s", yoke_error_get()->key, yoke_error_get()->message);
    return job;
}

/* Makes a trainer that must be refused, and returns the record. */
static const yoke_error *refused(int noverrides, const char *const *overrides)
{
    yoke_job *job = load(noverrides, overrides);
    yoke_trainer *trainer = NULL;
    assert_int_equal(yoke_trainer_create_from_job(&trainer, job), YOKE_INVALID);
    assert_null(trainer);
    yoke_job_destroy(job);
    return yoke_error_get();
}

static void samples_are_the_tokens_of_the_whole_text(void **state)
{
    (void)state;
    yoke_tokenizer *tokenizer = NULL;
    yoke_data *data = NULL;
    int32_t *ids = NULL, input[7], target[7];
    int64_t count;
    yoke_row row;
    assert_int_equal(yoke_tokenizer_create(&tokenizer, TOKENIZER), YOKE_OK);
    assert_int_equal(yoke_tokenizer_encode(tokenizer, text, text_bytes, &ids, &count), YOKE_OK);
    assert_int_equal(yoke_data_from_tokenized(&data, text_path, 7, tokenizer), YOKE_OK);
    assert_int_equal(yoke_data_samples(data), (count - 1) / 7);
    yoke_data_rows(data, &row, NULL);
    assert_true(row.type == YOKE_I32 && row.ndim == 1 && row.dims[0] == 7);
    for (int64_t i = 0; i < yoke_data_samples(data); i++) {
        assert_int_equal(yoke_data_get(data, i, input, target), YOKE_OK);
        assert_memory_equal(input, ids + 7 * i, sizeof input);
        assert_memory_equal(target, ids + 7 * i + 1, sizeof target);
    }
    yoke_data_destroy(data);
    data = NULL;
    assert_int_equal(yoke_data_from_tokenized(&data, text_path, count - 1, tokenizer), YOKE_OK);
    yoke_data_destroy(data);
    data = NULL;
    assert_int_equal(yoke_data_from_tokenized(&data, text_path, count, tokenizer), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "one more"));
    assert_int_equal(yoke_data_from_tokenized(&data, text_path, 0, tokenizer), YOKE_INVALID);
    assert_int_equal(yoke_data_from_tokenized(&data, "/nonexistent", 7, tokenizer), YOKE_INVALID);
    assert_null(data);
    free(ids);
    yoke_tokenizer_destroy(tokenizer);
}

/* Long text is encoded in windows, which give the tokens of the whole, whatever stands at their ends. */
static void windows_give_the_tokens_of_the_whole(void **state)
{
    (void)state;
    enum { BYTES = 60000, HALF = BYTES / 2 };
    static const char *const names[] = {"gpt2",   "llama3",  "mixed", "smollm",
                                        "llama2", "mistral", "holes", "qwen"};
    size_t bytes;
    char *long_text = test_text(11, BYTES, &bytes), path[1024];
    memset(long_text + 20000, ' ', 9000); /* a place that no window can end in */
    memset(long_text + 40000, 'x', 3000);
    long_text[35000] = '\xff';
    const char *parts[] = {in_folder("a.txt"), in_folder("b.txt")};
    write_file(parts[0], long_text, HALF);
    write_file(parts[1], long_text + HALF, bytes - HALF);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        yoke_tokenizer *tokenizer = NULL;
        yoke_data *data = NULL;
        int32_t *ids = NULL, *row;
        int64_t count;
        snprintf(path, sizeof path, "%s/%s.json", YKI_TOKENIZERS, names[i]);
        if (yoke_tokenizer_create(&tokenizer, path) != YOKE_OK) continue; /* without utf8proc */
        assert_int_equal(yoke_tokenizer_encode(tokenizer, long_text, bytes, &ids, &count), YOKE_OK);
        row = malloc(sizeof *row * (size_t)count);
        for (int64_t window = 700; window < BYTES; window = 7 * window + 1) {
            yki_data_spec spec = {
                .npaths = 2, .paths = parts, .sequence = count - 1, .tokenizer = tokenizer, .window = window};
            if (yki_data_from_tokenized(&data, &spec) != YOKE_OK)
                fail_msg("%s, %d bytes: %s", names[i], (int)window, yoke_error_get()->message);
            assert_int_equal(yoke_data_samples(data), 1);
            assert_int_equal(yoke_data_get(data, 0, row, row + 1), YOKE_OK);
            for (int64_t t = 0; t < count; t++)
                if (row[t] != ids[t])
                    fail_msg("%s, %d bytes: token %d differs", names[i], (int)window, (int)t);
            yoke_data_destroy(data);
        }
        free(row);
        free(ids);
        yoke_tokenizer_destroy(tokenizer);
    }
    free(long_text);
}

static void a_job_names_its_tokenizer(void **state)
{
    (void)state;
    yoke_job *job = load(0, NULL);
    assert_string_equal(job->data.tokenizer, TOKENIZER);
    assert_int_equal(job->model.vocab, 0); /* the tokenizer's, once it is read */
    char *printed = yoke_job_print(job);
    assert_non_null(strstr(printed, "tokenizer: " TOKENIZER));
    free(printed);
    yoke_job_destroy(job);
    static const char *const small[] = {"model.vocab=806"};
    const yoke_error *error = refused(1, small);
    assert_string_equal(error->key, "model.vocab");
    assert_non_null(strstr(error->message, "806 tokens"));
    assert_non_null(strstr(error->message, "mixed.json has 807"));
    static const char *const absent[] = {"data.tokenizer=/nonexistent.json"};
    assert_non_null(strstr(refused(1, absent)->file, "nonexistent"));
    static const char *const layers[] = {"model={family: layers, input: [16], layers: [{type: embedding, "
                                         "rows: 900, out: 4}, {type: linear, out: 806}]}"};
    assert_string_equal(refused(1, layers)->key, "model.layers");
}

/* Trains, then speaks and evaluates from what was saved, with the tokenizer's own file gone. */
/* A generation's text is what the tokenizer makes of its tokens, but for those that the model alone knows,
 * and for bytes that are no UTF-8: here its other characters, of ASCII, are compared. */
static void expect_text(const yoke_tokenizer *tokenizer, const int32_t *before, int64_t nbefore,
                        const yoke_generation *g)
{
    int32_t known[64];
    int count = 0;
    char *want = NULL;
    size_t length;
    for (int i = 0; i < g->ntokens; i++) {
        assert_true(g->tokens[i] >= 0);
        if (g->tokens[i] < yoke_tokenizer_size(tokenizer)) known[count++] = g->tokens[i];
    }
    assert_int_equal(yoke_tokenizer_decode_after(tokenizer, before, nbefore, known, count, &want, &length),
                     YOKE_OK);
    const char *at = g->text;
    for (size_t i = 0; i < length; i++) {
        if (want[i] & 0x80 || !want[i]) continue;
        while (*at & 0x80) at++;
        assert_int_equal(*at++, want[i]);
    }
    while (*at & 0x80) at++;
    assert_int_equal(*at, 0);
    free(want);
}

static void a_trained_folder_holds_its_tokenizer(void **state)
{
    (void)state;
    char dir[128], saved[256], copy[256];
    snprintf(copy, sizeof copy, "data.tokenizer=%s/copy.json", folder);
    snprintf(dir, sizeof dir, "%s/run", folder);
    char *source = malloc(1 << 16), *again = malloc(1 << 16);
    assert_true(source && again);
    FILE *file = fopen(TOKENIZER, "rb");
    assert_non_null(file);
    size_t bytes = fread(source, 1, 1 << 16, file);
    fclose(file);
    write_file(in_folder("copy.json"), source, bytes);

    const char *const overrides[] = {copy, "model.vocab=832"};
    yoke_job *job = load(2, overrides);
    yoke_trainer *trainer = NULL;
    if (yoke_trainer_create_from_job(&trainer, job) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_evaluation scored, there;
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    assert_int_equal(unlink(strchr(copy, '=') + 1), 0);

    snprintf(saved, sizeof saved, "%s/step-00000002/tokenizer.json", dir);
    file = fopen(saved, "rb");
    assert_non_null(file);
    assert_int_equal(fread(again, 1, 1 << 16, file), bytes);
    fclose(file);
    assert_memory_equal(again, source, bytes);

    yoke_generation *g = NULL;
    yoke_tokenizer *tokenizer = NULL;
    assert_int_equal(yoke_tokenizer_create(&tokenizer, saved), YOKE_OK);
    static const char *const prompts[] = {"", "the <|endoftext|>", "日本語"};
    for (int i = 0; i < 3; i++) {
        if (yoke_generate(dir, prompts[i], 40, 1, 0, 3, &g) != YOKE_OK)
            fail_msg("%s", yoke_error_get()->message);
        assert_true(g->ntokens > 1 && g->ntokens < 40); /* the context ends it */
        expect_text(tokenizer, NULL, 0, g);
        yoke_generation_destroy(g);
    }
    yoke_tokenizer_destroy(tokenizer);
    if (yoke_eval(dir, 0, NULL, NULL, NULL, NULL, NULL, &scored) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(chdir(folder), 0);
    static const char *const from[] = {"data.tokenizer=null", "model.from=run/step-00000002"};
    assert_int_equal(yoke_eval("job.yaml", 2, from, NULL, NULL, NULL, NULL, &there), YOKE_OK);
    assert_true(there.loss == scored.loss && scored.loss > 1);
    assert_int_equal(there.samples, scored.samples);
    free(source);
    free(again);
}

/* A model made elsewhere, trained on token files: its tokenizer.json goes along, read or not. */
/* Of characters, and with holes: the vocabulary is as large as the highest id says, and what is told of a
 * prompt's continuation is what it adds to the prompt's text. */
static void all_kinds_are_trained_on_and_speak(void **state)
{
    (void)state;
    static const char *const kinds[] = {"llama2", "mistral", "holes"};
    for (int i = 0; i < 3; i++) {
        char named[512], where[256], dir[128];
        snprintf(named, sizeof named, "data.tokenizer=%s/%s.json", YKI_TOKENIZERS, kinds[i]);
        snprintf(dir, sizeof dir, "%s/%s", folder, kinds[i]);
        snprintf(where, sizeof where, "checkpoint.dir=%s", dir);
        const char *const overrides[] = {named, where};
        yoke_job *job = load(2, overrides);
        yoke_trainer *trainer = NULL;
        if (yoke_trainer_create_from_job(&trainer, job) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
        assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
        yoke_trainer_destroy(trainer);
        yoke_tokenizer *tokenizer = NULL;
        yoke_generation *g = NULL;
        int32_t *ids = NULL;
        int64_t nids;
        assert_int_equal(yoke_tokenizer_create(&tokenizer, job->data.tokenizer), YOKE_OK);
        yoke_job_destroy(job);
        if (yoke_generate(dir, "the first", 12, 1, 0, 3, &g) != YOKE_OK)
            fail_msg("%s", yoke_error_get()->message);
        assert_int_equal(yoke_tokenizer_encode(tokenizer, "the first", 9, &ids, &nids), YOKE_OK);
        assert_true(g->ntokens > 1 && g->ntokens <= 12);
        expect_text(tokenizer, ids, nids, g);
        free(ids);
        yoke_generation_destroy(g);
        yoke_tokenizer_destroy(tokenizer);
    }
}

static void a_tokenizer_beside_the_first_weights_goes_along(void **state)
{
    (void)state;
    char path[256], odd[] = "{\"model\":{\"type\":\"Unigram\"}}", found[64] = "";
    uint16_t ids[200];
    for (int i = 0; i < 200; i++) ids[i] = (uint16_t)(i * 31 % SIZE);
    write_file(in_folder("ids.bin"), ids, sizeof ids);
    write_text(in_folder("run/step-00000002/tokenizer.json"), odd);
    assert_int_equal(chdir(folder), 0);
    static const char *const text_too[] = {"data.tokenizer=null", "model.from=run/step-00000002"};
    assert_non_null(strstr(refused(2, text_too)->message, "'Unigram'")); /* text would silently be bytes */
    static const char *const overrides[] = {"data={format: tokens, path: ids.bin}",
                                            "model.from=run/step-00000002", "checkpoint.dir=other"};
    yoke_job *job = load(3, overrides);
    yoke_trainer *trainer = NULL;
    if (yoke_trainer_create_from_job(&trainer, job) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    yoke_trainer_destroy(trainer);
    yoke_job_destroy(job);
    snprintf(path, sizeof path, "%s/other/step-00000002/tokenizer.json", folder);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), strlen(odd));
    fclose(file);
    assert_string_equal(found, odd);
    yoke_generation *g = NULL;
    assert_int_equal(yoke_generate("other", "the", 2, 0, 0, 1, &g), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "'Unigram'"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink("run/step-00000002/tokenizer.json"), 0);
    assert_int_equal(yoke_generate("other", "1 2", 2, 0, 0, 1, &g), YOKE_OK); /* numbers, without one */
    assert_string_equal(g->text, "");
    yoke_generation_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_the_tokens_of_the_whole_text),
        cmocka_unit_test(windows_give_the_tokens_of_the_whole),
        cmocka_unit_test(a_job_names_its_tokenizer),
        cmocka_unit_test(a_trained_folder_holds_its_tokenizer),
        cmocka_unit_test(all_kinds_are_trained_on_and_speak),
        cmocka_unit_test(a_tokenizer_beside_the_first_weights_goes_along),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
