/* Programs: one replica of many runs what one device runs; every size of micro-batch fits the scratch memory;
 * weights, gradients and optimizer state lie where arithmetic by hand puts them. */
#include "run/rank.h"
#include "train/jobs.h"

static void same_program(const yki_program *a, const yki_program *b)
{
    assert_int_equal(a->states_offset, b->states_offset);
    assert_memory_equal(&a->bytes, &b->bytes, sizeof a->bytes);
    assert_int_equal(a->nkernels, b->nkernels);
    assert_int_equal(a->nparameters, b->nparameters);
    assert_int_equal(a->nactions, b->nactions);
    assert_int_equal(a->nparts, b->nparts);
    for (int p = 0; p < a->nparts; p++)
        for (int body = 0; body < YKI_BODY_COUNT; body++) {
            const yki_code *x = &a->parts[p].body[body], *y = &b->parts[p].body[body];
            int i = 0;
            for (int j = 0; j < y->count; j++) {
                if (yki_runs_once(&y->instructions[j])) continue; /* replicas reduce their gradients */
                assert_true(i < x->count);
                const yki_instruction *one = &x->instructions[i++], *other = &y->instructions[j];
                assert_int_equal(one->op, other->op);
                assert_int_equal(one->noperands, other->noperands);
                for (int k = 0; k < one->noperands; k++) {
                    assert_int_equal(one->operands[k].space, other->operands[k].space);
                    assert_int_equal(one->operands[k].offset, other->operands[k].offset);
                }
            }
            assert_int_equal(i, x->count);
        }
}

/* Data parallelism over one rank costs nothing, and over n ranks each runs the program of one device with its
 * share of the batch. */
static void test_replicas(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2"};
    for (int i = 0; i < 5; i++) {
        yoke_job *jobs[3];
        yoke_trainer *one = start_job(models[i], "train.batch=6", &jobs[0]),
                     *single = start_job(models[i], "train.batch=6; layout.dp=1; layout.devices=1", &jobs[1]),
                     *three = start_job(models[i], "train.batch=18; layout.dp=3", &jobs[2]);
        assert_int_equal(three->plan->mesh.nranks, 3);
        same_program(yki_plan_program(one->plan, 0), yki_plan_program(single->plan, 0));
        for (int r = 0; r < 3; r++)
            same_program(yki_plan_program(one->plan, 0), yki_plan_program(three->plan, r));
        finish_job(one, jobs[0]);
        finish_job(single, jobs[1]);
        finish_job(three, jobs[2]);
    }
}

/* A program does not grow with its micro-batches: bodies are shared. */
static void test_size_of_a_program(void **state)
{
    (void)state;
    yoke_job *jobs[2];
    yoke_trainer *few = start_job("gpt2", "train.batch=40; layout.pp=2; layout.microbatches=2", &jobs[0]),
                 *many = start_job("gpt2", "train.batch=40; layout.pp=2; layout.microbatches=40", &jobs[1]);
    for (int r = 0; r < 2; r++)
        assert_int_equal(yki_plan_program(few->plan, r)->nkernels, yki_plan_program(many->plan, r)->nkernels);
    finish_job(few, jobs[0]);
    finish_job(many, jobs[1]);
}

/* Scratch bytes that the hungriest operator of a rank needs for n samples. */
static int64_t scratch(const yki_plan *plan, const yki_program *program, int64_t n)
{
    int64_t most = 0;
    for (int p = 0; p < program->nparts; p++)
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            for (int i = 0; i < program->parts[p].body[body].count; i++) {
                const yki_instruction *in = &program->parts[p].body[body].instructions[i];
                yki_launch shapes;
                if (in->kind != YKI_DO_KERNEL) continue;
                yki_instruction_shapes(in, n, &shapes);
                int64_t bytes =
                    (int64_t)plan->options.backend->workspace_bytes(&shapes, plan->options.threads);
                most = bytes > most ? bytes : most;
            }
    return most;
}

/* A rank's micro-batches of full and ragged steps fit the scratch memory that was planned; fewer samples may
 * need more of it than many, since other kernels serve them. */
static void check_scratch(const char *model, const char *overrides)
{
    yoke_job *job;
    yoke_trainer *trainer = start_job(model, overrides, &job);
    const yki_plan *plan = trainer->plan;
    const int64_t steps[2] = {plan->options.batch, plan->options.ragged};
    for (int r = 0; r < plan->mesh.nranks; r++)
        for (int k = 0; k < 2; k++)
            for (int m = 0; m < plan->microbatches && steps[k] > 0; m++) {
                int place[YKI_AXIS_COUNT];
                int64_t first;
                yki_mesh_place(&plan->mesh, r, place);
                int64_t n = yki_plan_samples(plan, steps[k], place[YKI_AXIS_DP], m, &first);
                const yki_program *program = yki_plan_program(plan, r);
                int64_t bytes = scratch(plan, program, n);
                if (bytes > program->workspace_bytes)
                    fail_msg("%s [%s]: %lld samples need %lld scratch bytes, and there are %lld", model,
                             overrides, (long long)n, (long long)bytes, (long long)program->workspace_bytes);
            }
    finish_job(trainer, job);
}

static void test_scratch(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2"};
    static const char *const layouts[] = {"", "layout.threads=4", "layout.tp=3; layout.microbatches=2",
                                          "layout.pp=2; layout.threads=2",
                                          "layout.dp=3; layout.microbatches=4"};
    for (int m = 0; m < 5; m++)
        for (int o = 0; o < 5; o++)
            for (int ragged = 0; ragged < 40; ragged += 13)
                for (int bf16 = 0; bf16 < 2; bf16++) {
                    char overrides[256];
                    snprintf(overrides, sizeof overrides,
                             "train.batch=40; data.samples=%d; train.precision=%s; %s", 40 + ragged,
                             bf16 ? "bf16" : "f32", layouts[o]);
                    check_scratch(models[m], overrides);
                }
    for (int ragged = 1; ragged < 64; ragged += 9) {
        char overrides[160];
        snprintf(overrides, sizeof overrides,
                 "train.batch=64; layout.threads=2; layout.pp=2; train.precision=bf16; data.samples=%d",
                 64 + ragged);
        check_scratch("mlp", overrides);
    }
}

/* Forward passes of any size have the scratch memory they need: what steps need, or a block of its own. */
static void test_scratch_of_evaluations(void **state)
{
    (void)state;
    yoke_job *job;
    yoke_trainer *trainer = start_job(
        "mlp", "train.batch=96; layout.threads=2; train.precision=bf16; data.samples=96; layout.dp=2", &job);
    float inputs[96 * 13] = {0}, outputs[96 * 3];
    for (int64_t n = 1; n <= 96; n++) {
        assert_int_equal(yoke_trainer_predict(trainer, n, inputs, outputs), YOKE_OK);
        for (int r = 0; r < 2; r++)
            for (int v = 0; v < trainer->run->ranks[r].nvariants; v++)
                assert_true(trainer->run->ranks[r].workspace_bytes >=
                            scratch(trainer->plan, yki_plan_program(trainer->plan, r),
                                    trainer->run->ranks[r].variants[v].samples));
    }
    assert_int_equal(yoke_trainer_run(trainer, 2, NULL, NULL), YOKE_OK);
    finish_job(trainer, job);
}

/* Elements of each logical parameter that a rank holds, all summed. */
static int64_t held(const yki_plan *plan, int rank)
{
    int64_t elems = 0;
    const yki_program *program = yki_plan_program(plan, rank);
    for (int i = 0; i < program->nparameters; i++) elems += program->parameters[i].elems;
    return elems;
}

/* mlp.yaml: 13-31-17(no bias)-norm 17-11-rms 11-3. Weights by hand. */
static void test_held_by_hand(void **state)
{
    (void)state;
    enum { L0 = 31 * 13 + 31, L2 = 17 * 31, L4 = 2 * 17, L5 = 11 * 17 + 11, L8 = 11, L9 = 3 * 11 + 3 };
    static const struct {
        const char *overrides;
        int ranks;
        int64_t elems[6];
    } cases[] = {
        {"train.batch=12", 1, {L0 + L2 + L4 + L5 + L8 + L9}},
        {"train.batch=12; layout.dp=3",
         3,
         {L0 + L2 + L4 + L5 + L8 + L9, L0 + L2 + L4 + L5 + L8 + L9, L0 + L2 + L4 + L5 + L8 + L9}},
        /* tp 2: the first linear by outputs (16, 15), the second by inputs (whole output, no bias), the norms
         * whole, the third by outputs (6, 5), the norm after it whole, and the last by outputs (2, 1) */
        {"train.batch=12; layout.tp=2",
         2,
         {16 * 13 + 16 + 17 * 16 + L4 + 6 * 17 + 6 + L8 + 2 * 11 + 2,
          15 * 13 + 15 + 17 * 15 + L4 + 5 * 17 + 5 + L8 + 1 * 11 + 1}},
        /* tp 4: 31 as 8, 8, 8, 7; 11 as 3, 3, 3, 2; 3 as 1, 1, 1, 0 */
        {"train.batch=12; layout.tp=4",
         4,
         {8 * 14 + 17 * 8 + L4 + 3 * 18 + L8 + 12, 8 * 14 + 17 * 8 + L4 + 3 * 18 + L8 + 12,
          8 * 14 + 17 * 8 + L4 + 3 * 18 + L8 + 12, 7 * 14 + 17 * 7 + L4 + 2 * 18 + L8 + 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 4; k++) {
            /* bytes of optimizer state an element, and of weights */
            static const char *const optimizers[] = {"{name: sgd, lr: 0.1}",
                                                     "{name: sgd, lr: 0.1, momentum: 0.5}",
                                                     "{name: adamw, lr: 0.1}", "{name: adam, lr: 0.1}"};
            int state_bytes[] = {0, 4, 8, 8 + 4};
            char overrides[256];
            snprintf(overrides, sizeof overrides, "%s; train.optimizer=%s%s", cases[i].overrides,
                     optimizers[k], k == 3 ? "; train.precision=bf16" : "");
            yoke_job *job;
            yoke_trainer *trainer = start_job("mlp", overrides, &job);
            assert_int_equal(trainer->plan->mesh.nranks, cases[i].ranks);
            for (int r = 0; r < cases[i].ranks; r++) {
                const yoke_bytes *bytes = &yki_rank_states(trainer->plan, r)->bytes;
                int64_t elems = cases[i].elems[r];
                if (held(trainer->plan, r) != elems)
                    fail_msg("[%s] rank %d holds %lld elements, not %lld", overrides, r,
                             (long long)held(trainer->plan, r), (long long)elems);
                assert_int_equal(bytes->weights, elems * (k == 3 ? 2 : 4));
                assert_int_equal(bytes->gradients, elems * 4);
                assert_int_equal(bytes->optimizer, elems * state_bytes[k]);
            }
            finish_job(trainer, job);
        }
}

/* gpt2.yaml under tp and pp: vocabulary 101 over 2 and 3, three blocks over the stages, a tied head that the
 * last stage holds a second time. */
static void test_gpt2_by_hand(void **state)
{
    (void)state;
    enum { W = 36, V = 101, C = 9, NORMS = 4 * W, WHOLE = 3 * W * W + W * W + 8 * W * W };
    static const struct {
        const char *overrides;
        int tp, pp;
    } cases[] = {{"", 1, 1},
                 {"layout.tp=2", 2, 1},
                 {"layout.tp=3", 3, 1},
                 {"layout.pp=2", 1, 2},
                 {"layout.tp=2; layout.pp=2", 2, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_job *job;
        int tp = cases[i].tp, pp = cases[i].pp;
        yoke_trainer *trainer = start_job("gpt2", cases[i].overrides, &job);
        for (int r = 0; r < tp * pp; r++) {
            int t = r % tp, stage = r / tp;
            int64_t vocab = V / tp + (t < V % tp); /* all else divides by 2 and 3 */
            /* a block: its four products cut, the biases of the two that are cut by inputs whole */
            int64_t block = NORMS + WHOLE / tp + 3 * W / tp + W + 4 * W / tp + W;
            int first_stage_blocks = pp == 1 ? 3 : 0, blocks = 0;
            for (int l = 0; l < trainer->model->nlayers; l++)
                blocks += trainer->model->layers[l].name[0] == 'h' &&
                          trainer->plan->stage_of[trainer->plan->part_of_layer[l]] == stage;
            if (pp == 1) assert_int_equal(blocks, first_stage_blocks);
            int64_t elems = blocks * block;
            if (stage == 0) elems += vocab * W + C * W;
            if (stage == pp - 1) elems += 2 * W + (pp > 1 ? vocab * W : 0);
            if (held(trainer->plan, r) != elems)
                fail_msg("[%s] rank %d holds %lld elements, not %lld", cases[i].overrides, r,
                         (long long)held(trainer->plan, r), (long long)elems);
        }
        finish_job(trainer, job);
    }
}

/* Whether the end of a name, from its start or a dot on, is a word of a list. */
static bool is_listed(const char *name, const char *list)
{
    char word[128];
    for (const char *end = name; end; end = strchr(end, '.')) {
        end += *end == '.';
        snprintf(word, sizeof word, " %s ", end);
        if (strstr(list, word)) return true;
    }
    return false;
}

/* Which weights an optimizer may update as whole matrices: those of linear and attention layers, but for the
 * output's and tables of embeddings, tied to the output or not. */
static void test_hidden_matrices(void **state)
{
    (void)state;
    static const char products[] =
        " q_proj.weight k_proj.weight v_proj.weight o_proj.weight gate_proj.weight "
        "up_proj.weight down_proj.weight ";
    static const struct {
        const char *model, *matrices, *others; /* others of two dims */
    } cases[] = {
        {"gpt2", " attn.c_attn.weight attn.c_proj.weight mlp.c_fc.weight mlp.c_proj.weight ",
         " wte.weight wpe.weight "},
        {"llama", products, " embed_tokens.weight lm_head.weight "},
        {"llama_tied", products, " embed_tokens.weight "},
        {"conv", " 8.weight ", " 10.weight "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yoke_job *job;
        yoke_trainer *trainer = start_job(cases[i].model, "", &job);
        for (int k = 0; k < trainer->model->nparameters; k++) {
            const yki_parameter *p = &trainer->model->parameters[k];
            if (p->matrix ? !is_listed(p->name, cases[i].matrices)
                          : p->ndim == 2 && !is_listed(p->name, cases[i].others))
                fail_msg("%s: %s is%s a hidden matrix", cases[i].model, p->name, p->matrix ? "" : " not");
        }
        finish_job(trainer, job);
    }
}

/* More stages than a word has bits: each holds its own, and the first and the last the tied table. */
static void test_many_stages(void **state)
{
    (void)state;
    static outcome one, many;
    const char *deep = "model.layers=70; model.width=12; model.heads=2; train.steps=3; train.batch=2; "
                       "model.dropout=0; train.optimizer={name: adamw, lr: 1e-2}";
    char overrides[256];
    yoke_job *job;
    snprintf(overrides, sizeof overrides, "%s; layout.pp=70", deep);
    yoke_trainer *trainer = start_job("gpt2", overrides, &job);
    int64_t elems = 0;
    for (int r = 0; r < 70; r++) elems += held(trainer->plan, r);
    assert_int_equal(elems, yoke_model_parameters(trainer->model) + 101 * 12);
    finish_job(trainer, job);
    assert_int_equal(run_job("gpt2", deep, &one), YOKE_OK);
    assert_int_equal(run_job("gpt2", overrides, &many), YOKE_OK);
    assert_true(worst_difference(&many, &one) <= 1e-5);
}

/* Each logical element counts once in the norm, and is held somewhere: over tp by shares without a gap. */
static void test_counted_once(void **state)
{
    (void)state;
    static const char *const layouts[] = {"layout.tp=4", "layout.pp=4; layout.microbatches=2",
                                          "layout.tp=2; layout.pp=2", "layout.tp=3; layout.pp=3",
                                          "layout.dp=2; layout.tp=2"};
    static const char *const models[] = {"mlp", "regress", "conv", "tokens", "gpt2"};
    for (int m = 0; m < 5; m++)
        for (int k = 0; k < 5; k++) {
            yoke_job *job;
            yoke_trainer *trainer = start_job(models[m], layouts[k], &job);
            int64_t counted = 0;
            for (int r = 0; r < trainer->plan->mesh.nranks; r++) {
                int place[YKI_AXIS_COUNT];
                const yki_program *program = yki_plan_program(trainer->plan, r);
                yki_mesh_place(&trainer->plan->mesh, r, place);
                for (int i = 0; i < program->nparameters && place[YKI_AXIS_DP] == 0; i++)
                    if (program->parameters[i].counts) counted += program->parameters[i].elems;
            }
            assert_int_equal(counted, yoke_model_parameters(trainer->model));
            finish_job(trainer, job);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas),     cmocka_unit_test(test_size_of_a_program),
        cmocka_unit_test(test_scratch),      cmocka_unit_test(test_scratch_of_evaluations),
        cmocka_unit_test(test_held_by_hand), cmocka_unit_test(test_gpt2_by_hand),
        cmocka_unit_test(test_counted_once), cmocka_unit_test(test_hidden_matrices),
        cmocka_unit_test(test_many_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
