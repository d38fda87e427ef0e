/* Recomputation by arithmetic: what is kept of each layer, and what is run again. */
#include "train/jobs.h"

static yoke_trainer *start(const char *model, const char *overrides, const char *kind, yoke_job **job_out)
{
    char text[512];
    snprintf(text, sizeof text, "%s; layout.recompute=%s", overrides, kind);
    return start_job(model, text, job_out);
}

static int64_t kept(const char *model, const char *overrides, const char *kind)
{
    yoke_job *job;
    yoke_trainer *trainer = start(model, overrides, kind, &job);
    const yki_program *program = yki_plan_program(trainer->plan, 0);
    assert_int_equal(program->nparts, 1);
    assert_int_equal(program->parts[0].area_slots[0], 1);
    int64_t bytes = program->parts[0].area_bytes[0];
    finish_job(trainer, job);
    return bytes;
}

static void must_keep(const char *model, const char *overrides, const char *kind, int64_t bytes)
{
    int64_t is = kept(model, overrides, kind);
    if (is != bytes)
        fail_msg("%s [%s] recompute %s: keeps %lld bytes, by hand %lld", model, overrides, kind,
                 (long long)is, (long long)bytes);
}

/* Sizes that are multiples of 16 floats over the batch, so that nothing is alignment. */
static void test_transformers(void **state)
{
    (void)state;
    enum { N = 4 * 16, W = 48, H = 12, L = 3, V = 101, F = 37, G = 3, D = 4 };
    const char *sizes = "train.batch=4; model.context=16; train.sequence=16";
    char gpt2[128], bf16[256];
    snprintf(gpt2, sizeof gpt2, "%s; model.width=48", sizes);
    snprintf(bf16, sizeof bf16, "%s; train.precision=bf16", gpt2);
    /* x, norm, qkv, y, x + y, norm, 4 W before and after GELU; two statistics a norm, one a head */
    enum { BLOCK = 16 * W, STATISTICS = 4 + H, TOKENS = 2, LOSS = 1 };
    must_keep("gpt2", gpt2, "none", 4 * N * (L * (BLOCK + STATISTICS) + 2 * W + 2 + V + LOSS + TOKENS));
    must_keep("gpt2", gpt2, "selective",
              4 * N * (L * (BLOCK + STATISTICS - W - H) + 2 * W + 2 + V + LOSS + TOKENS));
    must_keep("gpt2", gpt2, "full", 4 * N * (L * W + W + V + LOSS + TOKENS));
    must_keep("gpt2", bf16, "none",
              2 * N * (L * BLOCK + 2 * W + V) + 4 * N * (L * STATISTICS + 2 + LOSS + TOKENS));
    must_keep("gpt2", bf16, "full", 2 * N * (L * W + W + V) + 4 * N * (LOSS + TOKENS));
    /* x, norm, q, y, x + y, norm; k, v; gate, up, their product */
    enum { LLAMA = 6 * W + 2 * G * D + 3 * F };
    must_keep("llama", sizes, "none", 4 * N * (L * (LLAMA + 2 + H) + 2 * W + 1 + V + LOSS + TOKENS));
    must_keep("llama", sizes, "selective", 4 * N * (L * (LLAMA + 2 - W) + 2 * W + 1 + V + LOSS + TOKENS));
    must_keep("llama", sizes, "full", 4 * N * (L * W + W + V + LOSS + TOKENS));
}

/* mlp.yaml: 13 | 31 relu | 17 tanh norm | 11 gelu dropout norm | 3. A group ends before the next matrix; of a
 * norm at its end the statistics stay, they are small. */
static void test_layers(void **state)
{
    (void)state;
    enum { N = 16 };
    must_keep("mlp", "train.batch=16", "none",
              4 * N * (13 + 31 + 17 + 2 + 17 + 11 + 11 + 1 + 11 + 3 + 1 + 1));
    must_keep("mlp", "train.batch=16", "full", 4 * N * (13 + 31 + 2 + 17 + 1 + 11 + 3 + 1 + 1));
    must_keep("mlp", "train.batch=16", "selective", kept("mlp", "train.batch=16", "none"));
    /* conv.yaml: 2 x 9 x 8 | 5 x 9 x 8 relu, pooled to 5 x 4 x 4 | 3 x 3 x 3 sigmoid dropout, pooled to 3 x 2
     * x 2, flat | 7 relu | 3. Without recomputation relu's and sigmoid's outputs and where each largest was
     * are kept too; relu before the last layer is the next group's input */
    must_keep("conv", "train.batch=16", "none",
              4 * N * (2 * 72 + 5 * 72 + 2 * 5 * 16 + 3 * 9 + 3 * 4 + 7 + 3 + 1 + 1));
    must_keep("conv", "train.batch=16", "full", 4 * N * (2 * 72 + 5 * 16 + 3 * 4 + 7 + 3 + 1 + 1));
}

static int count(const yki_program *program, yki_body body, int op)
{
    int n = 0;
    for (int p = 0; p < program->nparts; p++)
        for (int i = 0; i < program->parts[p].body[body].count; i++)
            n += program->parts[p].body[body].instructions[i].op == op;
    return n;
}

/* Kernels of the forward pass in the backward body: nothing that nobody asks for, a loss never. */
static void test_run_again(void **state)
{
    (void)state;
    enum { KINDS = 7, L = 3 };
    static const int ops[KINDS] = {YKI_KERNEL_LINEAR,   YKI_KERNEL_ATTENTION, YKI_KERNEL_LAYERNORM,
                                   YKI_KERNEL_ACTIVATE, YKI_KERNEL_EMBED,     YKI_KERNEL_XENT_MAX,
                                   YKI_KERNEL_XENT_LOSS};
    static const char *const kinds[] = {"none", "selective", "full"};
    static const int wanted[3][KINDS] = {
        {0}, {0, L}, {3 * L, L, 2 * L + 1, L}}; /* c_attn, c_proj, c_fc; not the MLP's last */
    for (int k = 0; k < 3; k++)
        for (int split = 0; split < 2; split++) {
            yoke_job *job;
            yoke_trainer *trainer =
                start("gpt2", split ? "layout.schedule=zb-h1; layout.microbatches=2" : "", kinds[k], &job);
            const yki_program *program = yki_plan_program(trainer->plan, 0);
            for (int i = 0; i < KINDS; i++) {
                int n = count(program, split ? YKI_BODY_B : YKI_BODY_BW, ops[i]);
                if (n != wanted[k][i])
                    fail_msg("%s: %s runs %d times again, by hand %d", kinds[k], yki_op_name(ops[i]), n,
                             wanted[k][i]);
                assert_int_equal(count(program, YKI_BODY_W, ops[i]), 0);
            }
            finish_job(trainer, job);
        }
}

/* What is there anyway is not made again: another view of what the next group reads, and what went to another
 * part. */
static void test_not_run_again(void **state)
{
    (void)state;
    static const char *const models[] = {
        "model.layers=[{type: linear, out: 5}, {type: relu}, {type: flatten}, {type: linear, out: 3}]",
        "model.layers=[{type: linear, out: 5}, {type: relu}, {type: linear, out: 3, device: 1}]"};
    for (int m = 0; m < 2; m++) {
        yoke_job *job;
        yoke_trainer *trainer = start("mlp", models[m], "full", &job);
        assert_int_equal(count(yki_plan_program(trainer->plan, 0), YKI_BODY_BW, YKI_KERNEL_LINEAR), 0);
        finish_job(trainer, job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_run_again),
        cmocka_unit_test(test_not_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
