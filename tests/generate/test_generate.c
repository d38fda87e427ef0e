/* Programs that generate: what they compute with the keys and values that are kept is what the whole window
 * gives, of one prompt and of several, under every layout; and their cache is proved. */
#include "generate/generator.h"
#include "plan/proved.h"

static const char *const models[] = {"gpt2", "llama", "mistral", "qwen3"};
enum { MODELS = 4, CONTEXT = 48, VOCAB = 96, NEW = 20 };

static const char *folder_of(const char *model, char path[512])
{
    snprintf(path, 512, "%s/%s", YKI_GENERATED, model);
    return path;
}

static yoke_generator *open_model(const char *model, const char *layout, int64_t prompts)
{
    char path[512];
    yoke_layout l = YOKE_LAYOUT_DEFAULT;
    yoke_generator_options options = {.layout = &l, .prompts = prompts};
    yoke_generator *g = NULL;
    assert_int_equal(yoke_layout_parse(&l, layout), YOKE_OK);
    if (yoke_generator_open(folder_of(model, path), &options, &g) != YOKE_OK)
        fail_msg("%s", yoke_error_get()->message);
    return g;
}

/* Logits as they come, of one prompt. */
typedef struct heard {
    const yoke_generator *g;
    float logits[NEW][VOCAB];
    int32_t tokens[NEW];
    int count;
} heard;

static bool listen(void *context, int prompt, int32_t token, const char *text, size_t bytes)
{
    heard *h = context;
    (void)prompt, (void)text, (void)bytes;
    if (token < 0) return true;
    memcpy(h->logits[h->count], h->g->logits, sizeof h->logits[0]);
    h->tokens[h->count++] = token;
    return true;
}

static const yoke_sampling likeliest = {
    .tokens = NEW, .repeat_penalty = 1, .top_p = 1, .ignore_eos = true, .seed = 1};

/* A whole window at once, in which nothing is kept. */
static void expect_as_window(const char *model, const int32_t *prompt, int64_t count, const heard *h)
{
    char path[512];
    yoke_predictor *p;
    int32_t window[CONTEXT] = {0};
    float *logits = malloc(sizeof(float) * CONTEXT * VOCAB);
    memcpy(window, prompt, sizeof *prompt * (size_t)count);
    for (int i = 0; i < h->count; i++) window[count + i] = h->tokens[i];
    assert_int_equal(yoke_predictor_open(folder_of(model, path), &p), YOKE_OK);
    if (yoke_predictor_run(p, 1, window, logits) != YOKE_OK) fail_msg("%s", yoke_error_get()->message);
    yoke_predictor_close(p);
    for (int i = 0; i < h->count; i++)
        for (int v = 0; v < VOCAB; v++) {
            double want = logits[(count - 1 + i) * VOCAB + v], got = h->logits[i][v];
            if (!(fabs(got - want) <= 2e-5 * (1 + fabs(want))))
                fail_msg("%s: token %d, logit %d is %.9g, and %.9g of the whole window", model, i, v, got,
                         want);
        }
    free(logits);
}

static void kept_keys_and_values_are_the_windows(void **state)
{
    (void)state;
    static const char *const layouts[] = {"", "tp=2", "pp=3", "dp=2", "tp=4,pp=2,dp=2"};
    int32_t prompt[25];
    for (int i = 0; i < 25; i++) prompt[i] = (i * 29 + 7) % VOCAB;
    for (int m = 0; m < MODELS; m++)
        for (int i = 0; i < 5; i++) {
            yoke_generator *g = open_model(models[m], layouts[i], 1);
            heard h = {.g = g};
            yoke_answer answer;
            yoke_prompt p = {prompt, i == 1 ? 1 : 9 + 4 * i};
            if (yoke_generator_run(g, 1, &p, &likeliest, listen, &h, &answer) != YOKE_OK)
                fail_msg("%s", yoke_error_get()->message);
            assert_int_equal(h.count, answer.count);
            expect_as_window(models[m], prompt, p.count, &h);
            yoke_answers_release(1, &answer);
            yoke_generator_report told;
            yoke_generator_tell(g, &told);
            assert_true(told.bytes.cache > 0);
            assert_int_equal(told.predicted_peak_bytes, told.measured_peak_bytes);
            yoke_generator_close(g);
        }
}

/* Prompts of any lengths, more than are worked on at once, each as if it were alone; a later run finds
 * nothing of an earlier one. */
static void several_prompts_are_each_alone(void **state)
{
    (void)state;
    enum { PROMPTS = 7 };
    static const int64_t lengths[PROMPTS] = {3, 31, 1, 12, 48, 5, 20};
    static const char *const layouts[] = {"", "dp=2", "dp=3,tp=2"};
    int32_t tokens[PROMPTS][CONTEXT];
    yoke_prompt prompts[PROMPTS];
    yoke_answer alone[PROMPTS], together[PROMPTS];
    yoke_sampling wish = likeliest;
    wish.temperature = 0.7;
    for (int i = 0; i < PROMPTS; i++) {
        prompts[i] = (yoke_prompt){tokens[i], lengths[i]};
        for (int k = 0; k < lengths[i]; k++) tokens[i][k] = (i * 11 + k * 5) % VOCAB;
    }
    for (int m = 0; m < MODELS; m++)
        for (int l = 0; l < 3; l++) {
            yoke_generator *g = open_model(models[m], layouts[l], 3), *one = open_model(models[m], "", 1);
            assert_int_equal(yki_generator_load(g, CONTEXT, 11), YOKE_OK); /* a prompt is several passes */
            for (int round = 0; round < 2; round++) {
                if (yoke_generator_run(g, PROMPTS, prompts, &wish, NULL, NULL, together) != YOKE_OK)
                    fail_msg("%s", yoke_error_get()->message);
                for (int i = 0; i < PROMPTS; i++) {
                    /* the first of several draws as one alone does */
                    yoke_sampling same = wish;
                    if (i > 0) same.temperature = 0;
                    assert_int_equal(yoke_generator_run(one, 1, &prompts[i], &same, NULL, NULL, &alone[i]),
                                     YOKE_OK);
                    int64_t most = CONTEXT - lengths[i] < NEW ? CONTEXT - lengths[i] : NEW;
                    assert_int_equal(together[i].count, most);
                    assert_int_equal(together[i].stopped,
                                     most < NEW ? YOKE_STOPPED_CONTEXT : YOKE_STOPPED_LENGTH);
                    if (i == 0)
                        assert_memory_equal(together[i].tokens, alone[i].tokens,
                                            sizeof(int32_t) * (size_t)most);
                }
                yoke_answers_release(PROMPTS, alone);
                yoke_answers_release(PROMPTS, together);
                if (yoke_generator_run(g, PROMPTS, prompts, &likeliest, NULL, NULL, together) != YOKE_OK)
                    fail_msg("%s", yoke_error_get()->message);
                for (int i = 0; i < PROMPTS; i++) {
                    assert_int_equal(
                        yoke_generator_run(one, 1, &prompts[i], &likeliest, NULL, NULL, &alone[i]), YOKE_OK);
                    assert_int_equal(together[i].count, alone[i].count);
                    if (memcmp(together[i].tokens, alone[i].tokens,
                               sizeof(int32_t) * (size_t)alone[i].count) != 0)
                        fail_msg("%s [%s]: prompt %d is answered otherwise among others", models[m],
                                 layouts[l], i);
                }
                yoke_answers_release(PROMPTS, alone);
                yoke_answers_release(PROMPTS, together);
            }
            yoke_generator_close(one);
            yoke_generator_close(g);
        }
}

static bool stop_at_three(void *context, int prompt, int32_t token, const char *text, size_t bytes)
{
    int *count = context;
    (void)prompt, (void)text, (void)bytes;
    if (token >= 0) ++*count;
    return *count < 3;
}

static void wishes_are_checked(void **state)
{
    (void)state;
    yoke_generator *g = open_model("gpt2", "", 1);
    int32_t ids[2] = {1, VOCAB};
    yoke_prompt p = {ids, 1}, empty = {ids, 0}, far = {ids, 2};
    yoke_answer answer;
    int count = 0;
    assert_int_equal(yoke_generator_run(g, 1, &p, &likeliest, stop_at_three, &count, &answer), YOKE_OK);
    assert_int_equal(answer.count, 3);
    assert_int_equal(answer.stopped, YOKE_STOPPED_CALLER);
    yoke_answers_release(1, &answer);
    assert_int_equal(yoke_generator_run(g, 1, &empty, NULL, NULL, NULL, &answer), YOKE_INVALID);
    assert_int_equal(yoke_generator_run(g, 1, &far, NULL, NULL, NULL, &answer), YOKE_INVALID);
    assert_int_equal(yoke_generator_run(g, 0, &p, NULL, NULL, NULL, &answer), YOKE_INVALID);
    yoke_sampling wrong[5] = {likeliest, likeliest, likeliest, likeliest, likeliest};
    wrong[0].tokens = -1, wrong[1].repeat_penalty = 0, wrong[2].temperature = NAN, wrong[3].top_p = 0;
    wrong[4].top_k = -1;
    for (int i = 0; i < 5; i++)
        assert_int_equal(yoke_generator_run(g, 1, &p, &wrong[i], NULL, NULL, &answer), YOKE_INVALID);
    assert_null(answer.tokens);
    assert_int_equal(yoke_generator_encode(g, (yoke_prompt_kind)9, "1", 1, &p.tokens, &p.count),
                     YOKE_INVALID);
    yoke_generator_close(g);
    yoke_generator_close(NULL);
    yoke_answers_release(0, NULL);
}

/* What the program does with its cache, damaged. */
static bool recalls(const yki_instruction *in)
{
    return is_kernel(in) && in->noperands > 2 && in->operands[in->noperands - 1].space == YKI_SPACE_CACHE;
}

static yki_operand *cache_of(yki_plan *plan, int number)
{
    yki_code *code = code_of(plan, 0, 0, YKI_BODY_F);
    for (int i = 0; i < code->count; i++)
        if (recalls(&code->instructions[i]) && number-- == 0)
            return &code->instructions[i].operands[code->instructions[i].noperands - 1];
    fail_msg("there is no such cache");
    return NULL;
}

static void move_cache(yki_plan *plan)
{
    cache_of(plan, 0)->offset += 64;
}
static void share_cache(yki_plan *plan)
{
    *cache_of(plan, 1) = *cache_of(plan, 0);
}
static void take_cache_for_less(yki_plan *plan)
{
    cache_of(plan, 0)->dims[2]--;
}
static void put_elsewhere(yki_plan *plan)
{
    cache_of(plan, 0)->space = YKI_SPACE_TEMP;
}
static void lay_on_slots(yki_plan *plan)
{
    plan->placed[0][0].values[cache_of(plan, 0)->value].offset = plan->programs[0].temp_offset;
}

static void a_damaged_cache_is_refused(void **state)
{
    (void)state;
    static const struct {
        void (*damage)(yki_plan *plan);
        const char *says;
    } cases[] = {{move_cache, "of a space of"},
                 {share_cache, "written twice in a step"},
                 {take_cache_for_less, "is taken for"},
                 {put_elsewhere, "of a space of"},
                 {lay_on_slots, "overlap"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_generator *g = open_model("llama", "tp=2", 2);
        assert_int_equal(yki_generator_load(g, CONTEXT, 8), YOKE_OK);
        assert_int_equal(yki_plan_prove(g->trainer->plan), YOKE_OK);
        cases[i].damage(g->trainer->plan);
        assert_int_equal(yki_plan_prove(g->trainer->plan), YOKE_CHECK_FAILED);
        if (!strstr(yoke_error_get()->message, cases[i].says)) fail_msg("%s", yoke_error_get()->message);
        yoke_generator_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_keys_and_values_are_the_windows),
        cmocka_unit_test(several_prompts_are_each_alone),
        cmocka_unit_test(wishes_are_checked),
        cmocka_unit_test(a_damaged_cache_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
