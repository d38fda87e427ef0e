/* Recomputation changes what is held, not what is computed: under every layout, losses, gradients and weights
 * have the bits that they have without it, and bytes held are bytes predicted. */
#include "train/jobs.h"

enum { SAMPLES = 90 };

typedef struct bits {
    outcome run;
    float *gradients, *weights; /* of all parameters, end to end */
    int64_t elems;
} bits;

static void run(const char *model, const char *overrides, bits *out)
{
    yki_step_result result;
    yoke_job *job;
    yoke_trainer *trainer = start_job(model, overrides, &job);
    out->elems = yoke_model_parameters(trainer->model);
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    out->gradients = read_values(trainer, YKI_TENSOR_GRADIENT);
    if (yoke_trainer_run(trainer, 0, NULL, NULL) != YOKE_OK)
        fail_msg("%s [%s]: %s", model, overrides, yoke_error_get()->message);
    out->weights = read_values(trainer, YKI_TENSOR_WEIGHT);
    collect(trainer, &out->run);
    if (bytes_wrong(&out->run)) fail_msg("%s [%s]: %s", model, overrides, bytes_wrong(&out->run));
    finish_job(trainer, job);
}

static void forget(bits *b)
{
    free(b->gradients);
    free(b->weights);
}

static void must_be_same(const char *model, const char *overrides, const bits *a, const bits *b)
{
    assert_int_equal(a->run.count, b->run.count);
    if (memcmp(a->run.losses, b->run.losses, sizeof(double) * (size_t)a->run.count) != 0)
        fail_msg("%s [%s]: losses differ", model, overrides);
    for (int64_t i = 0; i < a->elems; i++) {
        if (memcmp(&a->gradients[i], &b->gradients[i], sizeof(float)) != 0)
            fail_msg("%s [%s]: gradients differ: %g, %g", model, overrides, (double)a->gradients[i],
                     (double)b->gradients[i]);
        if (memcmp(&a->weights[i], &b->weights[i], sizeof(float)) != 0)
            fail_msg("%s [%s]: weights differ: %g, %g", model, overrides, (double)a->weights[i],
                     (double)b->weights[i]);
    }
}

static void check(const char *model, const char *layout, const char *kind)
{
    static bits plain, again;
    char overrides[512];
    snprintf(overrides, sizeof overrides, "train.steps=5; %s", layout);
    run(model, overrides, &plain);
    snprintf(overrides, sizeof overrides, "train.steps=5; %s; layout.recompute=%s", layout, kind);
    run(model, overrides, &again);
    must_be_same(model, overrides, &plain, &again);
    const yoke_run_report *a = &plain.run.report, *b = &again.run.report;
    if (a->moved_pp != b->moved_pp) fail_msg("%s [%s]: copies between parts changed", model, overrides);
    /* zero 3 gathers biases too, for the products that are run again */
    if (strstr(layout, "zero=3") ? b->moved_dp < a->moved_dp : b->moved_dp != a->moved_dp)
        fail_msg("%s [%s]: movement over dp changed", model, overrides);
    forget(&plain);
    forget(&again);
}

/* Where all of a model's operators meet each split alone. */
static void test_each(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2", "llama", "llama_tied"};
    static const char *const layouts[] = {"",
                                          "layout.tp=2",
                                          "layout.pp=2; layout.microbatches=3",
                                          "layout.dp=3",
                                          "layout.pp=2; layout.schedule=zb-h1",
                                          "train.precision=bf16; layout.microbatches=2"};
    for (int m = 0; m < 7; m++)
        for (int l = 0; l < 6; l++) {
            check(models[m], layouts[l], "full");
            check(models[m], layouts[l], "selective");
        }
    check("devices", "layout.microbatches=3", "full");
    check("devices", "layout.dp=2", "[full, none, selective]");
    check("gpt2", "layout.pp=3; layout.tp=2; layout.microbatches=4", "[none, full, selective]");
}

static void list_of(uint64_t *state, int stages, char *text)
{
    static const char *const names[] = {"none", "selective", "full"};
    int n = sprintf(text, "[");
    for (int i = 0; i < stages; i++) n += sprintf(text + n, "%s%s", i ? ", " : "", names[draw(state) % 3]);
    sprintf(text + n, "]");
}

/* Meshes, schedules, precisions, micro-batches, ragged batches, lists: at random. */
static void test_products(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2", "llama", "llama_tied"};
    static const int units[] = {10, 7, 11, 5, 5, 5, 4};
    static const char *const schedules[] = {"1f1b", "gpipe", "interleaved", "zb-h1", "zb-h2", "zb-v"};
    uint64_t seed = 1974;
    const char *from = getenv("YOKE_TEST_SEED");
    if (from) seed = strtoull(from, NULL, 0);
    for (int rows = 0; rows < SAMPLES;) {
        int m = (int)(draw(&seed) % 7), dp = 1 + (int)(draw(&seed) % 3), tp = 1 + (int)(draw(&seed) % 3),
            pp = 1 + (int)(draw(&seed) % 3), parts = 1 + (int)(draw(&seed) % 4), s = (int)(draw(&seed) % 6),
            batch = (int[]){7, 12, 13, 5}[draw(&seed) % 4], zero = (int)(draw(&seed) % 4);
        bool looped = s == 2 || s == 5, bf16 = draw(&seed) % 3 == 0;
        if (dp * tp * pp > 8 || batch < dp * parts || (looped ? 2 * pp : pp) > units[m] ||
            (s == 2 && parts % pp))
            continue;
        char layout[384], list[64];
        snprintf(layout, sizeof layout,
                 "train.batch=%d; train.precision=%s; layout.dp=%d; layout.tp=%d; layout.pp=%d; "
                 "layout.microbatches=%d; layout.schedule=%s; layout.chunks=%d; layout.zero=%d",
                 batch, bf16 ? "bf16" : "f32", dp, tp, pp, parts, schedules[s], s == 2 ? 2 : 1, zero);
        list_of(&seed, pp, list);
        check(models[m], layout, draw(&seed) % 2 ? "full" : list);
        rows++;
    }
}

/* A stage of a list holds what it holds where all stages are like it. */
static void test_stages_hold_their_own(void **state)
{
    (void)state;
    static const char *const kinds[] = {"none", "selective", "full"};
    static outcome all[3], mixed;
    const char *base = "train.steps=1; layout.pp=3; layout.microbatches=4; layout.tp=2";
    char overrides[256];
    for (int k = 0; k < 3; k++) {
        snprintf(overrides, sizeof overrides, "%s; layout.recompute=%s", base, kinds[k]);
        assert_int_equal(run_job("gpt2", overrides, &all[k]), YOKE_OK);
    }
    for (int d = 0; d < 6; d++)
        assert_true(all[0].devices[d].bytes.activations > all[1].devices[d].bytes.activations &&
                    all[1].devices[d].bytes.activations > all[2].devices[d].bytes.activations);
    for (int a = 0; a < 27; a++) {
        int of[3] = {a % 3, a / 3 % 3, a / 9};
        snprintf(overrides, sizeof overrides, "%s; layout.recompute=[%s, %s, %s]", base, kinds[of[0]],
                 kinds[of[1]], kinds[of[2]]);
        assert_int_equal(run_job("gpt2", overrides, &mixed), YOKE_OK);
        for (int d = 0; d < 6; d++)
            assert_int_equal(mixed.devices[d].measured_peak_bytes,
                             all[of[d / 2]].devices[d].measured_peak_bytes);
    }
}

/* gpt2.yaml and llama.yaml in test_memory.c move four all-reduces a block and two more; run again is the one
 * after attention's last product. The one after the MLP's goes to the next block: nobody asks for it again.
 * Attention's core has none. */
static void test_moved_again(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, L = 3 };
    static const struct {
        const char *model;
        int width, degree;
    } cases[] = {{"gpt2", 36, 2}, {"gpt2", 36, 3}, {"llama", 48, 3}};
    static outcome out;
    for (int i = 0; i < 3; i++)
        for (int kind = 1; kind < 3; kind++) {
            char overrides[160];
            int64_t n = cases[i].degree, w = cases[i].width, again = kind == 2 ? 1 : 0;
            snprintf(overrides, sizeof overrides,
                     "train.steps=2; layout.tp=%d; layout.microbatches=3; "
                     "layout.recompute=%s",
                     cases[i].degree, kind == 2 ? "full" : "selective");
            assert_int_equal(run_job(cases[i].model, overrides, &out), YOKE_OK);
            assert_int_equal(out.report.moved_tp,
                             2 * (n - 1) * 4 * (ROWS * w * ((4 + again) * L + 2) + ROWS * 3));
        }
}

static void must_refuse(const char *model, const char *overrides, const char *says)
{
    static outcome out;
    assert_int_equal(run_job(model, overrides, &out), YOKE_INVALID);
    if (!strstr(out.message, says)) fail_msg("%s [%s]: %s", model, overrides, out.message);
}

static void test_lists_have_an_entry_a_stage(void **state)
{
    (void)state;
    must_refuse("gpt2", "layout.pp=2; layout.recompute=[full]",
                "recompute has 1 entry, and the layout 2 stages; give one each, or one for all");
    must_refuse("gpt2", "layout.recompute=[full, none]",
                "recompute has 2 entries, and the layout 1 stage; give one each, or one for all");
    must_refuse("devices", "layout.recompute=[full, none]",
                "recompute has 2 entries, and the layout 3 stages; give one each, or one for all");
    yoke_job *job = open_job("gpt2", "layout.pp=2; layout.recompute=[full, none]");
    job->layout.recompute_of = (const yoke_recompute[]){YOKE_RECOMPUTE_FULL, (yoke_recompute)7};
    assert_null(make_trainer(job));
    assert_non_null(strstr(yoke_error_get()->message, "recompute of stage 1 is 7"));
    job->layout.recompute_of = NULL;
    assert_null(make_trainer(job));
    assert_non_null(strstr(yoke_error_get()->message, "recompute has 2 entries, and its list is NULL"));
    yoke_job_destroy(job);
}

static bool has_degree(const char *flags)
{
    return strstr(flags, "--dp ") || strstr(flags, "--tp ") || strstr(flags, "--pp ");
}

/* A batch of one sample cannot be run in parts: on one device recomputing all is what fits. */
static void test_would_fit(void **state)
{
    (void)state;
    static outcome none, selective, full, out;
    const char *base = "train.batch=1; train.steps=1; model.layers=8; model.context=64; train.sequence=64";
    char overrides[256];
    assert_int_equal(run_job("gpt2", base, &none), YOKE_OK);
    snprintf(overrides, sizeof overrides, "%s; layout.recompute=selective", base);
    assert_int_equal(run_job("gpt2", overrides, &selective), YOKE_OK);
    snprintf(overrides, sizeof overrides, "%s; layout.recompute=full", base);
    assert_int_equal(run_job("gpt2", overrides, &full), YOKE_OK);
    const outcome *at[] = {&selective, &full};
    static const char *const flag[] = {"--recompute selective", "--recompute full"};
    for (int k = 0; k < 2; k++) {
        snprintf(overrides, sizeof overrides, "%s; layout.device_memory=%lld", base,
                 (long long)at[k]->devices[0].predicted_peak_bytes);
        assert_int_equal(run_job("gpt2", overrides, &out), YOKE_DOES_NOT_FIT);
        const yoke_error *error = yoke_error_get();
        assert_true(error->nwould_fit > 1);
        assert_int_equal(strncmp(error->would_fit[0], flag[k], strlen(flag[k])), 0); /* one device */
        for (int i = 1; i < error->nwould_fit; i++) /* the same with more to recompute is no news */
            assert_true(has_degree(error->would_fit[i]));
    }
    snprintf(overrides, sizeof overrides, "%s; layout.device_memory=%lld", base,
             (long long)full.devices[0].predicted_peak_bytes - 1);
    assert_int_equal(run_job("gpt2", overrides, &out), YOKE_DOES_NOT_FIT);
    for (int i = 0; i < yoke_error_get()->nwould_fit; i++)
        assert_true(has_degree(yoke_error_get()->would_fit[i]));
    /* nothing does in a few bytes, and that is said */
    snprintf(overrides, sizeof overrides, "%s; layout.device_memory=1000", base);
    assert_int_equal(run_job("gpt2", overrides, &out), YOKE_DOES_NOT_FIT);
    assert_int_equal(yoke_error_get()->nwould_fit, 0);
    assert_non_null(strstr(yoke_error_get()->message, "no layout over up to 8 devices that was tried fits"));
    assert_non_null(strstr(yoke_error_get()->message, "may use 1000 bytes: "));
}

/* Two samples for two replicas: what fits without more devices is states dealt out. */
static void test_zero_would_fit(void **state)
{
    (void)state;
    static outcome dealt, out;
    const char *base = "train.batch=2; train.steps=1; layout.dp=2";
    char overrides[256];
    for (int zero = 1; zero <= 3; zero++) {
        snprintf(overrides, sizeof overrides, "%s; layout.zero=%d", base, zero);
        assert_int_equal(run_job("gpt2", overrides, &dealt), YOKE_OK);
        snprintf(overrides, sizeof overrides, "%s; layout.device_memory=%lld", base,
                 (long long)dealt.devices[0].predicted_peak_bytes);
        assert_int_equal(run_job("gpt2", overrides, &out), YOKE_DOES_NOT_FIT);
        bool named = false;
        for (int i = 0; i < yoke_error_get()->nwould_fit; i++) {
            const char *text = yoke_error_get()->would_fit[i];
            named |= strncmp(text, "--dp 2 --zero ", 14) == 0 ||
                     strncmp(text, "--dp 2 --microbatches 1 --zero ", 31) == 0;
        }
        if (!named) fail_msg("no stage of zero is among what fits in %s", overrides);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_stages_hold_their_own),
        cmocka_unit_test(test_moved_again),
        cmocka_unit_test(test_lists_have_an_entry_a_stage),
        cmocka_unit_test(test_would_fit),
        cmocka_unit_test(test_zero_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
