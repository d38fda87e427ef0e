/* What a transformer layer keeps from its forward to its backward pass, in closed form: the table of
 * docs/memory.md, which has Korthikanti et al.'s terms beside it. */
#include "train/jobs.h"

enum {
    B = 8,
    T = 32,
    W = 48,
    HEADS = 12,
    KV = 3,
    HIDDEN = 36
}; /* B * T elements fill whole lines of 64 bytes */

/* What is kept: elements a position, or statistics in f32; whole on every rank of tp, or cut over them. */
typedef struct term {
    const char *what;
    int elements, statistics;
    bool cut;
} term;

static const term gpt2_terms[] = {
    {"inputs of the two norms", 2 * W, 0, false},          {"their means and deviations", 0, 4, false},
    {"inputs of the first products", 2 * W, 0, false},     {"queries, keys and values", 3 * W, 0, true},
    {"logarithms of attention's sums", 0, HEADS, true},    {"attention's output", W, 0, true},
    {"the activation's input and output", 8 * W, 0, true},
};

static const term llama_terms[] = {
    {"inputs of the two norms", 2 * W, 0, false},
    {"their roots of mean squares", 0, 2, false},
    {"inputs of the first products", 2 * W, 0, false},
    {"queries", W, 0, true},
    {"keys and values", 2 * W / HEADS *KV, 0, true},
    {"logarithms of attention's sums", 0, HEADS, true},
    {"attention's output", W, 0, true},
    {"gate, up, and their product", 3 * HIDDEN, 0, true},
};

static int64_t sum(const term *terms, int count, int tp, int element_bytes)
{
    int64_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += (terms[i].elements * element_bytes + terms[i].statistics * 4) / (terms[i].cut ? tp : 1);
    return bytes * B * T;
}

/* Bytes that a layer more stashes; on each tp rank the same. */
static int64_t stash_of_a_layer(const char *model, const char *overrides)
{
    int64_t bytes[2] = {0};
    for (int more = 0; more < 2; more++) {
        char text[512];
        snprintf(text, sizeof text,
                 "model.layers=%d; model.heads=%d; model.width=%d; model.context=%d; train.sequence=%d; "
                 "train.batch=%d; %s",
                 3 + more, HEADS, W, T, T, B, overrides);
        yoke_job *job = open_job(model, text);
        yoke_trainer *trainer = job ? make_trainer(job) : NULL;
        if (!trainer) fail_msg("%s [%s]: %s", model, text, yoke_error_get()->message);
        const yki_part_program *part = &yki_plan_program(trainer->plan, 0)->parts[0];
        bytes[more] = part->group_bytes[0];
        assert_int_equal(part->group_bytes[1] + part->group_bytes[2], 0); /* B and W are one */
        yoke_trainer_destroy(trainer);
        yoke_job_destroy(job);
    }
    return bytes[1] - bytes[0];
}

static void check(const char *model, const term *terms, int count, int tp, bool bf16, const char *more)
{
    char overrides[256];
    snprintf(overrides, sizeof overrides, "layout.tp=%d; train.precision=%s%s", tp, bf16 ? "bf16" : "f32",
             more);
    int64_t stash = stash_of_a_layer(model, overrides), wanted = sum(terms, count, tp, bf16 ? 2 : 4);
    if (stash != wanted)
        fail_msg("%s [%s]: a layer keeps %lld bytes, by the table %lld", model, overrides, (long long)stash,
                 (long long)wanted);
}

static void test_layers(void **state)
{
    (void)state;
    char llama[64];
    snprintf(llama, sizeof llama, "; model.kv_heads=%d; model.hidden=%d", KV, HIDDEN);
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (int tp = 1; tp <= 3; tp++) {
            check("gpt2", gpt2_terms, sizeof gpt2_terms / sizeof *gpt2_terms, tp, bf16, "");
            check("gpt2", gpt2_terms, sizeof gpt2_terms / sizeof *gpt2_terms, tp, bf16, "; model.dropout=0");
            /* under two, three heads of keys and values would be whole on both */
            if (tp != 2)
                check("llama", llama_terms, sizeof llama_terms / sizeof *llama_terms, tp, bf16, llama);
        }
}

/* The table's sums, in units of tokens x width: under bf16 the paper's 34 less two masks, and no scores. */
static void test_sums(void **state)
{
    (void)state;
    int count = sizeof gpt2_terms / sizeof *gpt2_terms;
    for (int tp = 1; tp <= 4; tp++) {
        int64_t statistics = B * T * (4 * 4 + 4 * HEADS / tp), unit = B * T * W;
        assert_int_equal(sum(gpt2_terms, count, tp, 2) - statistics, unit * 8 + unit * 24 / tp);
        assert_int_equal(sum(gpt2_terms, count, tp, 4) - statistics, unit * 16 + unit * 48 / tp);
    }
}

static void test_documentation_has_the_terms(void **state)
{
    (void)state;
    static char page[1 << 16];
    FILE *file = fopen(YKI_TEST_DATA "/../../docs/memory.md", "r");
    assert_non_null(file);
    size_t bytes = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    assert_true(bytes > 0 && bytes < sizeof page - 1);
    page[bytes] = '\0';
    for (size_t i = 0; i < sizeof gpt2_terms / sizeof *gpt2_terms; i++)
        assert_non_null(strstr(page, gpt2_terms[i].what));
    for (size_t i = 0; i < sizeof llama_terms / sizeof *llama_terms; i++)
        assert_non_null(strstr(page, llama_terms[i].what));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_documentation_has_the_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
