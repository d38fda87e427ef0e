/* Sequence parallelism: what tensor-parallel products do not need whole, each device has its rows of. The
 * same run as on one device, whatever it meets; as many bytes moved as without it; less stashed. (Losses and
 * gradients are also in the matrix of test_matrix.c and in the random models of test_graphs.c.) */
#include "run/rank.h"
#include "train/by_hand.h"

static void must_verify(const char *model, const char *overrides)
{
    yoke_job *job = open_job(model, overrides);
    yoke_verification *v;
    if (!job || yoke_verify(job, NULL, NULL, 0, &v) != YOKE_OK)
        fail_msg("%s [%s]: %s", model, overrides, yoke_error_get()->message);
    if (!v->passed)
        fail_msg("%s [%s]: %s is off by %.2g", model, overrides, v->tensors[0].name, v->tensors[0].rel_err);
    yoke_verification_destroy(v);
    yoke_job_destroy(job);
}

/* Sequences of 7, 8 and 5 over degrees that do not divide them, and that are more than they have; heads of k
 * and v on several devices and on all; a tied table at both ends of a pipeline. */
static void layouts_agree_with_one_device(void **state)
{
    (void)state;
    static const struct {
        const char *model, *layout;
    } cases[] = {
        {"gpt2", "layout.tp=3; layout.microbatches=5"},
        {"gpt2", "layout.tp=12; layout.dp=2"},
        {"gpt2", "layout.tp=2; layout.pp=2; layout.dp=2; layout.microbatches=2; layout.schedule=zb-h1"},
        {"gpt2", "layout.tp=4; layout.pp=2; layout.microbatches=4; layout.schedule=zb-v"},
        {"gpt2", "layout.tp=2; train.batch=13; layout.dp=3; layout.microbatches=3; layout.threads=2"},
        {"gpt2", "layout.tp=2; train.sequence=1"},
        {"gpt2", "layout.tp=12; train.sequence=9; layout.pp=5; layout.schedule=zb-h2; layout.microbatches=6"},
        {"llama", "layout.tp=2; layout.pp=2; layout.microbatches=3"},
        {"llama", "layout.tp=4; layout.dp=3; layout.microbatches=2"},
        {"llama", "layout.tp=6; layout.pp=2; layout.schedule=zb-v; layout.microbatches=4"},
        {"llama", "layout.tp=12; layout.microbatches=5; train.sequence=3"},
        {"llama", "layout.tp=3; layout.pp=2; layout.chunks=2; layout.schedule=interleaved; "
                  "layout.microbatches=4"},
        {"llama_tied", "layout.tp=3; layout.pp=4; layout.schedule=zb-h1; layout.microbatches=4"},
        {"llama_tied", "layout.tp=6; layout.pp=2; layout.dp=2; layout.schedule=gpipe"},
        {"tokens", "layout.tp=2; layout.pp=5; layout.microbatches=3"},
        {"tokens", "layout.tp=3; layout.dp=2; layout.microbatches=2"},
        {"tokens", "layout.tp=7"},
        {"gpt2", "layout.tp=3; layout.pp=2; layout.schedule=zb-h1; layout.microbatches=3; "
                 "layout.recompute=selective"},
        {"llama", "layout.tp=4; layout.recompute=selective"},
        {"llama_tied", "layout.tp=3; layout.pp=2; layout.microbatches=3; layout.recompute=full"},
        {"regress", "layout.tp=2; layout.dp=2; layout.recompute=selective; layout.zero=3"},
        {"gpt2", "layout.tp=2; layout.dp=2; layout.zero=1"},
        {"gpt2", "layout.tp=3; layout.dp=2; layout.pp=2; layout.microbatches=3; layout.zero=2"},
        {"llama", "layout.tp=6; layout.dp=2; layout.microbatches=2; layout.zero=3"},
        {"regress", "layout.tp=2; layout.pp=4; layout.microbatches=3"},
        {"regress", "layout.tp=4; layout.dp=2"},
        {"tokens", "layout.tp=4; layout.pp=2; layout.schedule=zb-h2; layout.microbatches=4"},
    };
    static outcome one, many;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!is_taken(i)) continue;
        char overrides[512], alone[128] = "";
        const char *batch = strstr(cases[i].layout, "train.");
        if (batch) snprintf(alone, sizeof alone, "%.*s", (int)strcspn(batch, ";"), batch);
        snprintf(overrides, sizeof overrides, "layout.sp=true; %s", cases[i].layout);
        assert_int_equal(run_job(cases[i].model, alone, &one), YOKE_OK);
        if (run_job(cases[i].model, overrides, &many) != YOKE_OK)
            fail_msg("%s [%s]: %s", cases[i].model, overrides, many.message);
        double d = worst_difference(&many, &one);
        if (!(d <= 1e-5)) fail_msg("%s [%s]: losses differ by %.2g", cases[i].model, overrides, d);
        if (bytes_wrong(&many)) fail_msg("%s [%s]: %s", cases[i].model, overrides, bytes_wrong(&many));
        must_verify(cases[i].model, overrides);
        if (i % 2 == 0) {
            strcat(overrides, "; train.precision=bf16");
            must_verify(cases[i].model, overrides);
        }
    }
}

static int64_t moved(const char *model, const char *overrides, int64_t *pp_out)
{
    static outcome out;
    char text[512];
    snprintf(text, sizeof text, "train.steps=2; %s", overrides);
    if (run_job(model, text, &out) != YOKE_OK) fail_msg("%s [%s]: %s", model, text, out.message);
    *pp_out = out.report.moved_pp;
    return out.report.moved_tp;
}

/* A gather and a scatter move what an all-reduce moves. What comes with it: gradients of what works on rows,
 * summed once a step. A boundary between stages is crossed once, not by every tensor-parallel rank. */
static void moves_what_tensor_parallelism_moves(void **state)
{
    (void)state;
    enum { W = 36, C = 9, V = 101, L = 3, LW = 48, ROWS_OF_BATCH = 12 * 7 };
    static const int degrees[] = {2, 3, 4, 6};
    for (int i = 0; i < 4; i++)
        for (int pp = 1; pp <= 2; pp++)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                if (!is_taken((size_t)(i + pp + bf16))) continue;
                int n = degrees[i];
                char plain[256], cut[288];
                int64_t pp_plain, pp_cut, tp_plain, tp_cut, tied = 2 * 4 * V * W;
                snprintf(plain, sizeof plain,
                         "layout.tp=%d; layout.pp=%d; layout.microbatches=3; train.precision=%s", n, pp,
                         bf16 ? "bf16" : "f32");
                snprintf(cut, sizeof cut, "%s; layout.sp=true", plain);
                tp_plain = moved("gpt2", plain, &pp_plain), tp_cut = moved("gpt2", cut, &pp_cut);
                /* two norms a block and one at the end, weight and bias, and the positions */
                assert_int_equal(tp_cut, tp_plain + 2 * (n - 1) * 4 * (2 * W * (2 * L + 1) + C * W));
                if (pp > 1) assert_int_equal((pp_cut - tied) * n, pp_plain - tied);
                tp_plain = moved("llama", plain, &pp_plain), tp_cut = moved("llama", cut, &pp_cut);
                assert_int_equal(tp_cut, tp_plain + 2 * (n - 1) * 4 * LW * (2 * L + 1));
                assert_int_equal(pp_cut, (pp - 1) * 2 * (bf16 ? 2 : 4) * ROWS_OF_BATCH * LW);
                assert_int_equal(pp_plain, n * pp_cut);
            }
}

/* Bytes that one more layer stashes on rank 0 from forward to backward. */
static int64_t stash_of_a_layer(const char *overrides)
{
    int64_t bytes[2];
    for (int k = 0; k < 2; k++) {
        char text[512];
        snprintf(text, sizeof text, "model.layers=%d; %s", 3 + k, overrides);
        yoke_job *job;
        yoke_trainer *trainer = start_job("gpt2", text, &job);
        bytes[k] = yki_plan_program(trainer->plan, 0)->parts[0].area_bytes[0];
        finish_job(trainer, job);
    }
    return bytes[1] - bytes[0];
}

/* A block keeps the inputs of two norms and of two products, q, k and v, attention's output, the MLP's width
 * before and after its activation; and statistics. Tensor parallelism cuts all but the first four; with
 * sequence parallelism the norms' inputs are cut too, and only what the products read is whole; selective
 * recompute gathers that again, and makes attention's output again. (Korthikanti et al.'s table without masks
 * of dropout, which are made again here.) */
static void stashes_less(void **state)
{
    (void)state;
    enum { B = 8, T = 24, W = 48, H = 12 };
    const char *sizes = "model.heads=12; model.width=48; model.context=24; train.sequence=24; train.batch=8";
    for (int n = 1; n <= 4; n++)
        for (int sp = 0; sp < 2; sp++)
            for (int selective = 0; selective < 2; selective++) {
                char overrides[256];
                int64_t whole = sp && n > 1 ? (selective ? 0 : 2) : 4, all = selective ? 15 : 16;
                snprintf(overrides, sizeof overrides, "%s; layout.tp=%d; layout.sp=%s; layout.recompute=%s",
                         sizes, n, sp ? "true" : "false", selective ? "selective" : "none");
                int64_t rows = 4 * 4 * B * T; /* statistics of norms, and of attention */
                int64_t heads = selective ? 0 : 4 * B * T * H;
                assert_int_equal(stash_of_a_layer(overrides), 4 * B * T * W * whole +
                                                                  4 * B * T * W * (all - whole) / n +
                                                                  heads / n + (sp ? rows / n : rows));
            }
    static outcome plain, rows;
    assert_int_equal(run_job("gpt2", "layout.tp=4; train.steps=1", &plain), YOKE_OK);
    assert_int_equal(run_job("gpt2", "layout.tp=4; train.steps=1; layout.sp=true", &rows), YOKE_OK);
    for (int i = 0; i < 4; i++) {
        assert_true(rows.devices[i].bytes.activations < plain.devices[i].bytes.activations);
        assert_int_equal(rows.devices[i].bytes.weights, plain.devices[i].bytes.weights);
    }
}

/* Movements of a body, by kind. */
static void count_moves(const yki_code *code, int counts[YKI_MOVE_COUNT])
{
    memset(counts, 0, sizeof *counts * YKI_MOVE_COUNT);
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        if (in->op >= YKI_OP_MOVE && in->phase != YKI_PHASE_WAIT) counts[in->op - YKI_OP_MOVE]++;
    }
}

/* Forward, each block gathers twice and scatters twice; the table scatters, the head gathers, and the loss
 * sums its statistics. Backward, the other way round. */
static void places_gathers_and_scatters(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama", "llama_tied"};
    static const int blocks[] = {3, 3, 2};
    for (int m = 0; m < 3; m++) {
        int n = 2 * blocks[m] + 1, forward[YKI_MOVE_COUNT], backward[YKI_MOVE_COUNT];
        yoke_job *job;
        yoke_trainer *trainer = start_job(models[m], "layout.tp=3; layout.sp=true", &job);
        const yki_part_program *part = &yki_plan_program(trainer->plan, 1)->parts[0];
        count_moves(&part->body[YKI_BODY_F], forward);
        count_moves(&part->body[YKI_BODY_BW], backward);
        assert_int_equal(forward[YKI_MOVE_ALL_GATHER], n);
        assert_int_equal(forward[YKI_MOVE_REDUCE_SCATTER], n);
        assert_int_equal(forward[YKI_MOVE_ALL_REDUCE], 2);
        assert_int_equal(backward[YKI_MOVE_ALL_GATHER], n);
        assert_int_equal(backward[YKI_MOVE_REDUCE_SCATTER], n);
        assert_int_equal(backward[YKI_MOVE_ALL_REDUCE], 0);
        assert_int_equal(forward[YKI_MOVE_SHARD] + backward[YKI_MOVE_SHARD], 0);
        finish_job(trainer, job);
    }
}

enum { POSITIONS = 5, COUNT_OF_ROWS = 6 };

/* Rows of numbers through a column- and a row-parallel product into a norm: the loss and the model's output
 * are cut between rows. `flat`: then one number, of a product that the flattened rows reach cut. */
static yoke_model *model_of_rows(bool flat, yoke_loss loss)
{
    yoke_model *model = new_model();
    yoke_tensor x = input_of(model, 2, POSITIONS, IN, 0);
    yoke_tensor h = yoke_activate(model, yoke_linear(model, x, 7, true), YOKE_GELU);
    x = yoke_add(model, x, yoke_linear(model, h, IN, true));
    x = yoke_dropout(model, yoke_layernorm(model, x, 0.1), 0.2);
    x = flat ? yoke_linear(model, yoke_flatten(model, x), 3, true) : yoke_softmax(model, x);
    assert_int_equal(yoke_model_finish(model, x, loss), YOKE_OK);
    return model;
}

/* Losses of training and evaluation, and outputs, of models that end in rows. */
static void outputs_are_put_together(void **state)
{
    (void)state;
    static float in[COUNT_OF_ROWS * POSITIONS * IN], out[2][COUNT_OF_ROWS * POSITIONS * IN];
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) in[i] = (float)(draw(&seed) % 1000) / 500 - 1;
    for (int kind = 0; kind < 4; kind++)
        for (int tp = 2; tp <= 7; tp++) {
            yoke_model *model = model_of_rows(kind % 2, kind / 2 ? YOKE_MSE : YOKE_CROSS_ENTROPY);
            yoke_row input = {.type = YOKE_F32, .ndim = 2, .dims = {POSITIONS, IN}};
            yoke_row target = {.type = kind / 2 ? YOKE_F32 : YOKE_I32};
            yoke_data *data;
            static outcome outcomes[2];
            double losses[2];
            target.ndim = yoke_model_output_dims(model, target.dims) - (kind / 2 ? 0 : 1);
            assert_int_equal(yoke_data_random(&data, 22, &input, 0, &target, 3, 5), YOKE_OK);
            for (int k = 0; k < 2; k++) {
                yoke_layout layout = small_layout(1, k ? tp : 1, k && tp % 2 ? 2 : 1);
                layout.sp = k;
                yoke_trainer *trainer = small_trainer(model, data, 6, layout);
                assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
                assert_int_equal(yoke_trainer_predict(trainer, COUNT_OF_ROWS, in, out[k]), YOKE_OK);
                collect(trainer, &outcomes[k]);
                losses[k] = outcomes[k].losses[5];
                assert_null(bytes_wrong(&outcomes[k]));
                yoke_trainer_destroy(trainer);
            }
            assert_true(worst_difference(&outcomes[1], &outcomes[0]) <= 1e-5);
            assert_true(fabs(losses[1] - losses[0]) <= 1e-5 * losses[0]);
            int64_t dims[YOKE_MAX_DIMS], elems = COUNT_OF_ROWS;
            int ndim = yoke_model_output_dims(model, dims);
            for (int i = 0; i < ndim; i++) elems *= dims[i];
            for (int64_t i = 0; i < elems; i++)
                if (!(fabsf(out[1][i] - out[0][i]) <= 1e-4f))
                    fail_msg("model %d, tp %d: output %lld is %g, not %g", kind, tp, (long long)i, out[1][i],
                             out[0][i]);
            yoke_data_destroy(data);
            yoke_model_destroy(model);
        }
}

/* Samples without positions have nothing to cut; without tensor parallelism there is nobody to cut for. */
static void refuses_what_has_no_sequence(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp", "conv"};
    static outcome out;
    for (int m = 0; m < 2; m++) {
        assert_int_equal(run_job(models[m], "layout.tp=2; layout.sp=true", &out), YOKE_INVALID);
        assert_non_null(strstr(out.message, "choose sp false"));
        assert_int_equal(run_job(models[m], "layout.dp=2; layout.sp=true; train.steps=2", &out), YOKE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree_with_one_device),
        cmocka_unit_test(moves_what_tensor_parallelism_moves),
        cmocka_unit_test(stashes_less),
        cmocka_unit_test(places_gathers_and_scatters),
        cmocka_unit_test(outputs_are_put_together),
        cmocka_unit_test(refuses_what_has_no_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
