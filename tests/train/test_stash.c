/* What a transformer layer keeps from its forward to its backward pass, in closed form: the table of
 * docs/memory.md, which has Korthikanti et al.'s terms beside it. */
#include "train/jobs.h"

/* Every degree's share of B x T elements fills whole lines of 64 bytes. */
enum { B = 8, T = 48, W = 48, HEADS = 12, KV = 3, HIDDEN = 36 };

/* What is kept: elements a position, or statistics in f32; cut over the ranks of tp, or with sp too, or whole
 * on all (selective recomputation gathers it again, where sp cuts what is gathered); `core`: it makes it
 * again. */
typedef struct term {
    const char *what;
    int elements, statistics;
    enum { GATHERED, WITH_SP, CUT } over;
    bool core;
} term;

static const term gpt2_terms[] = {
    {"inputs of the two norms", 2 * W, 0, WITH_SP, false},
    {"their means and deviations", 0, 4, WITH_SP, false},
    {"inputs of the first products", 2 * W, 0, GATHERED, false},
    {"queries, keys and values", 3 * W, 0, CUT, false},
    {"logarithms of attention's sums", 0, HEADS, CUT, true},
    {"attention's output", W, 0, CUT, true},
    {"the activation's input and output", 8 * W, 0, CUT, false},
};

static const term llama_terms[] = {
    {"inputs of the two norms", 2 * W, 0, WITH_SP, false},
    {"their roots of mean squares", 0, 2, WITH_SP, false},
    {"inputs of the first products", 2 * W, 0, GATHERED, false},
    {"queries", W, 0, CUT, false},
    {"keys and values", 2 * W / HEADS *KV, 0, CUT, false},
    {"logarithms of attention's sums", 0, HEADS, CUT, true},
    {"attention's output", W, 0, CUT, true},
    {"gate, up, and their product", 3 * HIDDEN, 0, CUT, false},
};

typedef struct layout {
    int tp;
    bool sp, bf16;
    yoke_recompute recompute;
} layout;

/* Full recomputation keeps a layer's input alone, which is the first norm's. */
static int64_t sum(const term *terms, int count, layout l)
{
    int64_t bytes = 0, size = l.bf16 ? 2 : 4;
    if (l.recompute == YOKE_RECOMPUTE_FULL) return B * T * W * size / (l.sp ? l.tp : 1);
    for (int i = 0; i < count; i++) {
        bool selective = l.recompute == YOKE_RECOMPUTE_SELECTIVE;
        bool cut = terms[i].over == CUT || (l.sp && (terms[i].over == WITH_SP || selective));
        if (selective && terms[i].core) continue;
        bytes += B * T * (terms[i].elements * size + terms[i].statistics * 4) / (cut ? l.tp : 1);
    }
    return bytes;
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
        yoke_job *job;
        yoke_trainer *trainer = start_job(model, text, &job);
        const yki_part_program *part = &yki_plan_program(trainer->plan, 0)->parts[0];
        bytes[more] = part->area_bytes[0];
        assert_int_equal(part->area_bytes[1] + part->area_bytes[2], 0); /* B and W are one */
        finish_job(trainer, job);
    }
    return bytes[1] - bytes[0];
}

static void check(const char *model, const term *terms, int count, layout l, const char *more)
{
    static const char *const recomputes[] = {"none", "selective", "full"};
    char overrides[256];
    snprintf(overrides, sizeof overrides,
             "layout.tp=%d; layout.sp=%s; layout.recompute=%s; train.precision=%s%s", l.tp,
             l.sp ? "true" : "false", recomputes[l.recompute], l.bf16 ? "bf16" : "f32", more);
    int64_t stash = stash_of_a_layer(model, overrides), wanted = sum(terms, count, l);
    if (stash != wanted)
        fail_msg("%s [%s]: a layer keeps %lld bytes, by the table %lld", model, overrides, (long long)stash,
                 (long long)wanted);
}

enum { NGPT2 = sizeof gpt2_terms / sizeof *gpt2_terms, NLLAMA = sizeof llama_terms / sizeof *llama_terms };

static void test_layers(void **state)
{
    (void)state;
    char llama[64];
    snprintf(llama, sizeof llama, "; model.kv_heads=%d; model.hidden=%d", KV, HIDDEN);
    for (int tp = 1; tp <= 4; tp++)
        for (int i = 0; i < 12; i++) {
            layout l = {tp, i % 2, i / 2 % 2, (yoke_recompute)(i / 4)};
            check("gpt2", gpt2_terms, NGPT2, l, "");
            check("gpt2", gpt2_terms, NGPT2, l, "; model.dropout=0");
            /* under two and four, three heads of keys and values would be whole on all */
            if (tp % 2) check("llama", llama_terms, NLLAMA, l, llama);
        }
}

/* The table's sums, in units of tokens x width, statistics aside. */
static void test_sums(void **state)
{
    (void)state;
    for (int tp = 1; tp <= 4; tp++) {
        int64_t unit = B * T * W, core = 4 * B * T * HEADS / tp, norms = 4 * B * T * 4;
        layout l = {tp, false, true, YOKE_RECOMPUTE_NONE};
        assert_int_equal(sum(gpt2_terms, NGPT2, l), unit * 8 + unit * 24 / tp + core + norms);
        l.recompute = YOKE_RECOMPUTE_SELECTIVE;
        assert_int_equal(sum(gpt2_terms, NGPT2, l), unit * 8 + unit * 22 / tp + norms);
        l.sp = true;
        assert_int_equal(sum(gpt2_terms, NGPT2, l), unit * 30 / tp + norms / tp);
        l.recompute = YOKE_RECOMPUTE_NONE;
        assert_int_equal(sum(gpt2_terms, NGPT2, l), unit * 4 + unit * 28 / tp + core + norms / tp);
        l.bf16 = false;
        assert_int_equal(sum(gpt2_terms, NGPT2, l), unit * 8 + unit * 56 / tp + core + norms / tp);
    }
}

static void test_documentation_has_the_terms(void **state)
{
    (void)state;
    char *page = read_page("memory.md");
    for (size_t i = 0; i < sizeof gpt2_terms / sizeof *gpt2_terms; i++)
        assert_non_null(strstr(page, gpt2_terms[i].what));
    for (size_t i = 0; i < sizeof llama_terms / sizeof *llama_terms; i++)
        assert_non_null(strstr(page, llama_terms[i].what));
    free(page);
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
