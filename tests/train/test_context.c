/* Context parallelism: losses and gradients are those of one device whatever else the layout does; bytes
 * moved are what arithmetic by hand says; causal work is dealt evenly; hops are under way while parts are
 * computed, and no rank holds all keys and values. */
#include "base/fail.h"
#include "plan/placed.h"
#include "run/rank.h"
#include "train/jobs.h"

/* Losses of all steps, every gradient of the first by name, and bytes. */
static void check_layout(const char *model, const char *base, const char *layout, const outcome *one)
{
    static outcome many;
    char overrides[512];
    bool bf16 = strstr(base, "bf16") != NULL;
    snprintf(overrides, sizeof overrides, "%s%s%s", base, *base ? "; " : "", layout);
    if (run_job(model, overrides, &many) != YOKE_OK) fail_msg("%s [%s]: %s", model, overrides, many.message);
    double d = worst_difference(&many, one);
    if (!(d <= (bf16 ? 2e-3 : 1e-5))) fail_msg("%s [%s]: losses differ by %.2g", model, overrides, d);
    if (bytes_wrong(&many)) fail_msg("%s [%s]: %s", model, overrides, bytes_wrong(&many));
    yoke_job *job = open_job(model, overrides);
    yoke_verification *v;
    assert_int_equal(yoke_verify(job, NULL, NULL, 0, &v), YOKE_OK);
    if (!v->passed)
        fail_msg("%s [%s]: %s is off by %.2g", model, overrides, v->tensors[0].name, v->tensors[0].rel_err);
    yoke_verification_destroy(v);
    yoke_job_destroy(job);
}

typedef struct set {
    const char *model, *base, *layouts[14];
} set;

#define ULYSSES "; layout.cp_kind=ulysses"
static const set sets[] = {
    /* 7 tokens: chunks of one and of two, some empty, and ranks without any */
    {"gpt2",
     "",
     {"layout.cp=2", "layout.cp=3", "layout.cp=5", "layout.cp=8; layout.microbatches=2",
      "layout.cp=2; layout.tp=2; layout.dp=2", "layout.cp=3; layout.pp=2; layout.microbatches=4",
      "layout.cp=2; layout.pp=2; layout.schedule=zb-v; layout.microbatches=4",
      "layout.cp=2; layout.pp=3; layout.schedule=zb-h1; layout.microbatches=3; layout.tp=2",
      "layout.cp=2" ULYSSES, "layout.cp=3; layout.tp=2; layout.dp=2" ULYSSES, "layout.cp=12" ULYSSES,
      "layout.cp=4; layout.pp=2; layout.schedule=zb-h2; layout.microbatches=5" ULYSSES,
      "layout.cp=2; layout.dp=3; layout.pp=2; layout.microbatches=2" ULYSSES}},
    /* three heads of k and v: divided by cp 3 alone */
    {"llama",
     "",
     {"layout.cp=2", "layout.cp=3; layout.dp=2", "layout.cp=4; layout.microbatches=3",
      "layout.cp=2; layout.tp=3; layout.pp=2; layout.microbatches=2", "layout.cp=2; layout.tp=4",
      "layout.cp=2; layout.tp=6", "layout.cp=2" ULYSSES, "layout.cp=3; layout.tp=2" ULYSSES,
      "layout.cp=3; layout.pp=2; layout.schedule=interleaved; layout.chunks=2; layout.microbatches=2" ULYSSES,
      "layout.cp=4; layout.dp=2" ULYSSES, "layout.cp=2; layout.tp=6" ULYSSES}},
    /* tied over stages; ragged: 45 samples in batches of 13 */
    {"llama_tied",
     "train.batch=13",
     {"layout.cp=2; layout.pp=2; layout.microbatches=3", "layout.cp=3; layout.tp=2; layout.dp=2",
      "layout.cp=2; layout.pp=4; layout.schedule=zb-h1; layout.microbatches=4",
      "layout.cp=3; layout.pp=2; layout.microbatches=5" ULYSSES,
      "layout.cp=2; layout.dp=4; layout.microbatches=3" ULYSSES}},
    /* long enough for blocks of queries and of keys to end inside a chunk */
    {"gpt2",
     "train.sequence=333; model.context=400; train.batch=3; train.steps=2; data.samples=9",
     {"layout.cp=2", "layout.cp=3; layout.tp=2", "layout.cp=2" ULYSSES}},
    {"llama",
     "train.sequence=401; model.context=401; train.batch=3; train.steps=2; data.samples=9; "
     "train.precision=bf16",
     {"layout.cp=3", "layout.cp=2; layout.pp=2; layout.microbatches=2", "layout.cp=4" ULYSSES}},
    {"gpt2",
     "train.precision=bf16",
     {"layout.cp=2; layout.tp=2", "layout.cp=4; layout.pp=2; layout.microbatches=2", "layout.cp=3" ULYSSES}},
    {"tokens", "", {"layout.cp=2", "layout.cp=3; layout.tp=2", "layout.cp=2; layout.pp=2" ULYSSES}},
};

static void layouts_agree_with_one_device(void **state)
{
    (void)state;
    static outcome one;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        assert_int_equal(run_job(sets[s].model, sets[s].base, &one), YOKE_OK);
        for (size_t l = 0; l < 14 && sets[s].layouts[l]; l++)
            if (is_taken(s + l)) check_layout(sets[s].model, sets[s].base, sets[s].layouts[l], &one);
    }
}

/* Products of everything: drawn at random. */
static void random_products_agree(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama", "llama_tied"},
                             *const schedules[] = {"1f1b",  "gpipe", "zb-h1",
                                                   "zb-h2", "zb-v",  "interleaved; layout.chunks=2"},
                             *const recomputes[] = {"none", "none", "selective", "full"};
    static outcome one[3];
    uint64_t seed = 4;
    const char *base = "train.steps=4; train.batch=13";
    for (int m = 0; m < 3; m++) assert_int_equal(run_job(models[m], base, &one[m]), YOKE_OK);
    for (int rows = 0; rows < 40 / one_in();) {
        char layout[320];
        int m = (int)(draw(&seed) % 3), cp = 2 + (int)(draw(&seed) % 3), tp = 1 + (int)(draw(&seed) % 3),
            dp = 1 + (int)(draw(&seed) % 3), pp = 1 + (int)(draw(&seed) % 2),
            parts = 1 + (int)(draw(&seed) % 4), s = (int)(draw(&seed) % 6), zero = (int)(draw(&seed) % 4),
            r = (int)(draw(&seed) % 4);
        bool ulysses = draw(&seed) % 2, sp = draw(&seed) % 2;
        if (dp * parts > 13 || (s == 5 && parts % pp) || (ulysses && 12 / tp % cp)) continue;
        snprintf(layout, sizeof layout,
                 "layout.cp=%d; layout.cp_kind=%s; layout.tp=%d; layout.dp=%d; layout.pp=%d; "
                 "layout.microbatches=%d; "
                 "layout.schedule=%s; layout.zero=%d; layout.sp=%s; layout.recompute=%s",
                 cp, ulysses ? "ulysses" : "ring", tp, dp, pp, parts, schedules[s], zero,
                 sp ? "true" : "false", recomputes[r]);
        check_layout(models[m], base, layout, &one[m]);
        rows++;
    }
}

static void check_moved(const char *model, const char *overrides, int64_t cp)
{
    static outcome out;
    char text[512];
    snprintf(text, sizeof text, "train.steps=2; %s", overrides);
    if (run_job(model, text, &out) != YOKE_OK) fail_msg("%s [%s]: %s", model, text, out.message);
    if (out.report.moved_cp != cp)
        fail_msg("%s [%s]: moved %lld over cp; by hand %lld", model, text, (long long)out.report.moved_cp,
                 (long long)cp);
    const yoke_run_report *r = &out.report;
    assert_int_equal(r->moved_bytes_per_step, r->moved_dp + r->moved_tp + r->moved_pp + r->moved_cp);
}

static int64_t share(int64_t n, int k, int i)
{
    return n / k + (i < n % k);
}

/* gpt2.yaml: 12 samples of 7 tokens, width 36, 3 blocks; llama.yaml: width 48, of which 12 for k and as many
 * for v. Ring: k and v visit all others, forward and back, and their gradients, in f32, go home. Then all
 * gradients of weights are summed. */
static void bytes_of_a_ring(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama"};
    static const int kv_width[] = {2 * 36, 2 * 12};
    enum { ROWS = 12 * 7, L = 3 };
    for (int m = 0; m < 2; m++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job(models[m], "", &job);
        int64_t weights = 2 * 4 * yoke_model_parameters(trainer->model);
        finish_job(trainer, job);
        for (int cp = 2; cp <= 4; cp++)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                if (!is_taken((size_t)(m + cp + bf16))) continue;
                char overrides[160];
                snprintf(overrides, sizeof overrides,
                         "layout.cp=%d; layout.microbatches=%d; train.precision=%s", cp, cp,
                         bf16 ? "bf16" : "f32");
                int64_t hop = (int64_t)L * ROWS * kv_width[m] * (bf16 ? 2 + 2 + 4 : 4 + 4 + 4);
                check_moved(models[m], overrides, (cp - 1) * (hop + weights));
                snprintf(overrides, sizeof overrides, "layout.cp=%d; layout.dp=3; train.precision=%s", cp,
                         bf16 ? "bf16" : "f32");
                check_moved(models[m], overrides, (cp - 1) * (hop + 3 * weights));
            }
    }
}

/* Rows of `width` elements in `units` that change from tokens to units: what stays where it was does not
 * move.
 */
static int64_t exchanged(int cp, int64_t width, int64_t units)
{
    int64_t stays = 0;
    for (int r = 0; r < cp; r++) stays += share(7, cp, r) * share(units, cp, r);
    return 12 * width / units * (7 * units - stays);
}

/* Ulysses: q, k, v and y change their cut, forward and back; k and v whose heads cp does not divide go whole
 * to everybody, and their gradients are summed back. */
static void bytes_of_ulysses(void **state)
{
    (void)state;
    enum { ROWS = 12 * 7, L = 3 };
    for (int m = 0; m < 2; m++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job(m ? "llama" : "gpt2", "", &job);
        int64_t weights = 2 * 4 * yoke_model_parameters(trainer->model);
        finish_job(trainer, job);
        for (int cp = 2; cp <= 4; cp++) {
            char overrides[160];
            snprintf(overrides, sizeof overrides, "layout.cp=%d; layout.microbatches=2" ULYSSES, cp);
            int64_t once = 4 * exchanged(cp, 36, 12);
            if (m)
                once = 2 * exchanged(cp, 48, 12) +
                       (cp == 3 ? 2 * exchanged(3, 12, 3) : (cp - 1) * 2 * ROWS * 12);
            check_moved(m ? "llama" : "gpt2", overrides, 2 * L * 4 * once + (cp - 1) * weights);
        }
    }
}

/* Pairs of a query and a key that a rank's parts see, of one sample and head; and that it would if none were
 * masked. */
static int64_t pairs_of(const yki_program *program, int *nparts)
{
    int64_t pairs = 0;
    *nparts = 0;
    const yki_code *code = &program->parts[0].body[YKI_BODY_F];
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        if (in->op != YKI_KERNEL_ATTEND) continue;
        ++*nparts;
        for (int64_t t = 0; t < in->operands[2].dims[1]; t++)
            for (int64_t u = 0; u < in->operands[3].dims[1]; u++)
                pairs +=
                    yki_position(&in->as.kernel.attr->keys, u) <= yki_position(&in->as.kernel.attr->rows, t);
    }
    return pairs;
}

static void causal_work_is_balanced(void **state)
{
    (void)state;
    static const int lengths[] = {48, 96, 53, 71};
    for (int i = 0; i < 4; i++)
        for (int cp = 2; cp <= 4; cp++) {
            char overrides[160];
            int64_t T = lengths[i], all = 0, least = INT64_MAX, most = 0;
            snprintf(overrides, sizeof overrides,
                     "model.layers=1; model.context=100; train.sequence=%d; layout.cp=%d", lengths[i], cp);
            yoke_job *job;
            yoke_trainer *trainer = start_job("gpt2", overrides, &job);
            for (int r = 0; r < cp; r++) {
                int nparts;
                int64_t pairs = pairs_of(yki_plan_program(trainer->plan, r), &nparts);
                assert_int_equal(nparts, cp);
                all += pairs;
                least = pairs < least ? pairs : least;
                most = pairs > most ? pairs : most;
            }
            assert_int_equal(all, T * (T + 1) / 2);
            if (T % (2 * cp) == 0) assert_int_equal(least, most);
            /* else a token more or less in each of two chunks: each sees at most T keys */
            assert_true(most - least <= 2 * T);
            finish_job(trainer, job);
        }
}

/* Between the start of every hop and its wait a part is computed, forward and back; and none is waited for
 * before the next one is under way, but the last. */
static void hops_are_under_way_while_parts_are_computed(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job("llama", "layout.cp=4", &job);
    static const yki_body bodies[] = {YKI_BODY_F, YKI_BODY_BW};
    for (int b = 0; b < 2; b++) {
        const yki_code *code = &yki_plan_program(trainer->plan, 1)->parts[0].body[bodies[b]];
        int hops = 0;
        for (int i = 0; i < code->count; i++) {
            const yki_instruction *in = &code->instructions[i];
            if (in->op != YKI_OP_MOVE + YKI_MOVE_COPY || in->phase != YKI_PHASE_START) continue;
            hops++;
            int parts = 0, k = i + 1;
            for (; code->instructions[k].op < YKI_OP_MOVE || code->instructions[k].request != in->request;
                 k++)
                parts += code->instructions[k].op == YKI_KERNEL_ATTEND ||
                         code->instructions[k].op == YKI_KERNEL_ATTEND_GRAD;
            /* the last gradient comes home while nothing else is left of this layer */
            if (parts == 0) assert_true(b == 1 && hops % 6 == 0);
        }
        assert_int_equal(hops, b == 0 ? 3 * 3 : 3 * 6);
    }
    finish_job(trainer, job);
}

/* Of a sequence that is nearly all that is held, each of four ranks has a quarter, and a few parts of keys
 * and values. */
static void no_rank_holds_all_keys(void **state)
{
    (void)state;
    static outcome one, four;
    const char *base = "model.layers=4; model.context=512; train.sequence=512; train.batch=2; train.steps=1; "
                       "data.samples=4";
    char overrides[256];
    assert_int_equal(run_job("gpt2", base, &one), YOKE_OK);
    snprintf(overrides, sizeof overrides, "%s; layout.cp=4", base);
    assert_int_equal(run_job("gpt2", overrides, &four), YOKE_OK);
    assert_null(bytes_wrong(&four));
    for (int r = 0; r < 4; r++) {
        const yoke_bytes *b = &four.devices[r].bytes;
        double ratio = (double)(b->activations + b->movement) / (double)one.devices[0].bytes.activations;
        if (!(ratio <= 0.30)) fail_msg("rank %d holds %.3f of one device's activations", r, ratio);
    }
    yoke_job *job;
    yoke_trainer *trainer = start_job("gpt2", overrides, &job);
    const yki_placed *placed = &trainer->plan->placed[1][0];
    for (int v = 0; v < placed->nvalues; v++)
        if (placed->values[v].per_sample && placed->values[v].role != YKI_ROLE_STATISTIC)
            assert_int_equal(placed->values[v].dims[0], 128);
    finish_job(trainer, job);
}

/* Outputs come back in the order of the tokens, and weights go from layout to layout. */
static void predictions_are_put_together(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama"};
    static const char *const layouts[] = {"layout.cp=3", "layout.cp=2; layout.tp=2; layout.dp=2",
                                          "layout.cp=4" ULYSSES, "layout.cp=2; layout.pp=2",
                                          "layout.cp=2; layout.tp=3; layout.sp=true"};
    enum { N = 5, T = 7, V = 101 };
    static float want[N * T * V], got[N * T * V];
    int32_t ids[N * T];
    for (int i = 0; i < N * T; i++) ids[i] = (i * 37 + 5) % V;
    for (int m = 0; m < 2; m++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job(models[m], "data.holdout=0.2", &job);
        double loss, here;
        assert_int_equal(yoke_trainer_predict(trainer, N, ids, want), YOKE_OK);
        assert_int_equal(yoke_trainer_eval(trainer, NULL, &loss, NULL, NULL), YOKE_OK);
        finish_job(trainer, job);
        for (size_t l = 0; l < 5; l++) {
            if (!is_taken(l + (size_t)m)) continue;
            char overrides[160];
            snprintf(overrides, sizeof overrides, "data.holdout=0.2; %s", layouts[l]);
            trainer = start_job(models[m], overrides, &job);
            assert_int_equal(yoke_trainer_predict(trainer, N, ids, got), YOKE_OK);
            for (int i = 0; i < N * T * V; i++)
                if (fabsf(got[i] - want[i]) > 1e-5f)
                    fail_msg("%s [%s]: output %d is %g, not %g", models[m], overrides, i, (double)got[i],
                             (double)want[i]);
            assert_int_equal(yoke_trainer_eval(trainer, NULL, &here, NULL, NULL), YOKE_OK);
            assert_true(fabs(here - loss) <= 1e-6 * loss);
            finish_job(trainer, job);
        }
    }
}

static void refused(const char *model, const char *overrides, const char *words)
{
    static outcome out;
    assert_int_equal(run_job(model, overrides, &out), YOKE_INVALID);
    if (!strstr(out.message, words)) fail_msg("no '%s' in '%s'", words, out.message);
}

static void what_has_no_sequences_is_refused(void **state)
{
    (void)state;
    refused("mlp", "layout.cp=2", "this model's samples are none; choose cp 1");
    refused("conv", "layout.cp=2", "this model's samples are none; choose cp 1");
    refused("gpt2", "layout.cp=5" ULYSSES, "12 attention heads on a device");
    refused("gpt2", "layout.cp=4; layout.tp=2" ULYSSES, "6 attention heads on a device");
    refused("gpt2", "layout.cp=2; layout.cp_kind=rung", "ring");
    refused("devices", "layout.cp=2", "cp");
    yoke_model *model;
    assert_int_equal(yoke_model_create(&model), YOKE_OK);
    yoke_tensor x = yoke_embedding(model, yoke_input_tokens(model, 4), 9, 6);
    x = yoke_linear(model, yoke_flatten(model, x), 3, true);
    assert_int_equal(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY), YOKE_OK);
    yoke_row input = {.type = YOKE_I32, .ndim = 1, .dims = {4}}, target = {.type = YOKE_I32};
    yoke_data *data;
    assert_int_equal(yoke_data_random(&data, 8, &input, 9, &target, 3, 1), YOKE_OK);
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 1, options.batch = 2;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.cp = 2;
    yoke_trainer *trainer;
    assert_int_equal(yoke_trainer_create(&trainer, model, data, &options, &layout), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "sees several tokens of a sequence at once"));
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree_with_one_device),
        cmocka_unit_test(random_products_agree),
        cmocka_unit_test(bytes_of_a_ring),
        cmocka_unit_test(bytes_of_ulysses),
        cmocka_unit_test(causal_work_is_balanced),
        cmocka_unit_test(hops_are_under_way_while_parts_are_computed),
        cmocka_unit_test(no_rank_holds_all_keys),
        cmocka_unit_test(predictions_are_put_together),
        cmocka_unit_test(what_has_no_sequences_is_refused),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
