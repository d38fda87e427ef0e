/* GPT-2 steps beside what bounds them, both sides in one run, alternating; medians.
 *
 *     bench_gpt2 [--layers 12] [--width 768] [--heads 12] [--vocab 50257] [--batch 4] [--sequence 256]
 * [--rounds 5] [--bf16]
 *
 * 1. One rank, one thread: the step, against its matrix products alone (each product of the step's program,
 * on the same shapes, by the same kernels). The ratio is the share of the product rate that the whole step
 * reaches.
 * 2. Two data-parallel ranks of `batch` samples each, against two independent one-rank runs at the same time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/rank.h"
#include "train/trainer.h"
#include "yoke/yoke.h"

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    fprintf(stderr, "bench_gpt2: %s\n", yoke_error_get()->message);
    exit(yoke_status_exit_code(status));
}

static yoke_gpt2_options shape = {
    .layers = 12, .heads = 12, .width = 768, .context = 1024, .vocab = 50257, .sequence = 256};
static int64_t batch = 4, rounds = 5;
static yoke_precision precision = YOKE_PRECISION_F32;

typedef struct side {
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
} side;

static side make(int dp)
{
    side s;
    check(yoke_model_create(&s.model));
    yoke_tensor logits = yoke_gpt2(s.model, &shape);
    check(yoke_model_finish(s.model, logits, YOKE_CROSS_ENTROPY));
    yoke_row row = {YOKE_I32, 1, {shape.sequence}};
    check(yoke_data_random(&s.data, 64, &row, shape.vocab, &row, shape.vocab, 1));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 1000000;
    options.batch = batch * dp;
    options.optimizer = YOKE_ADAMW;
    options.weight_decay = 0.1;
    options.clip = 1;
    options.precision = precision;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.dp = dp;
    layout.threads = 1;
    check(yoke_trainer_create(&s.trainer, s.model, s.data, &options, &layout));
    check(yoke_trainer_run(s.trainer, 1, NULL, NULL));
    return s;
}

static void drop(side *s)
{
    yoke_trainer_destroy(s->trainer);
    yoke_data_destroy(s->data);
    yoke_model_destroy(s->model);
}

static double step_seconds(yoke_trainer *trainer)
{
    double start = yki_now_ns();
    check(yoke_trainer_run(trainer, 1, NULL, NULL));
    return (yki_now_ns() - start) * 1e-9;
}

static bool is_product(int op)
{
    return op == YKI_KERNEL_LINEAR || op == YKI_KERNEL_LINEAR_DX || op == YKI_KERNEL_LINEAR_DW;
}

/* Every product of the step once more, on the rank's own buffers. */
static double products_seconds(yoke_trainer *trainer, double *flops_out)
{
    yki_rank *rank = &trainer->run->ranks[0];
    const yki_variant *variant;
    check(yki_rank_prepare(rank, batch, &variant));
    const yki_part_program *part = &rank->program->parts[0];
    double seconds = 0, flops = 0;
    const yki_body bodies[] = {YKI_BODY_F, YKI_BODY_BW};
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < part->body[bodies[b]].count; i++) {
            const yki_instruction *in = &part->body[bodies[b]].instructions[i];
            if (!is_product(in->op)) continue;
            yki_launch launch;
            yki_instruction_shapes(in, batch, &launch);
            for (int k = 0; k < in->noperands; k++) {
                const yki_operand *o = &in->operands[k];
                int64_t base = o->space == YKI_SPACE_TEMP    ? rank->program->temp_offset
                               : o->space == YKI_SPACE_STASH ? part->area_offset[0]
                                                             : 0;
                launch.views[k].data = o->space == YKI_SPACE_NONE ? NULL : rank->memory + base + o->offset;
            }
            launch.workspace = rank->memory + rank->program->workspace_offset;
            launch.workspace_bytes = (size_t)rank->program->workspace_bytes;
            double start = yki_now_ns();
            rank->backend->launch(rank->queue, variant->prepared[in->as.kernel.number], &launch);
            seconds += (yki_now_ns() - start) * 1e-9;
            flops += yki_launch_flops(&launch);
        }
    *flops_out = flops;
    return seconds;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int64_t n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void one_rank(void)
{
    side s = make(1);
    double step[100], products[100], ratio[100], flops = 0;
    for (int64_t i = 0; i < rounds; i++) {
        step[i] = step_seconds(s.trainer);
        products[i] = products_seconds(s.trainer, &flops);
        ratio[i] = products[i] / step[i];
    }
    double tokens = (double)(batch * shape.sequence), seconds = median(step, rounds);
    printf("one rank, one thread, %lld x %lld tokens: step %.0f ms, %.1f tokens/s, products %.1f GFLOP/s in "
           "the step\n",
           (long long)batch, (long long)shape.sequence, seconds * 1e3, tokens / seconds,
           flops / seconds * 1e-9);
    printf("its products alone: %.0f ms, %.1f GFLOP/s; the step reaches %.3f of that rate (medians of %lld "
           "rounds)\n",
           median(products, rounds) * 1e3, flops / median(products, rounds) * 1e-9, median(ratio, rounds),
           (long long)rounds);
    drop(&s);
}

typedef struct worker {
    int core;
    yoke_trainer *trainer;
    pthread_barrier_t *barrier;
} worker;

static void *run_alone(void *argument)
{
    worker *w = argument;
    yki_rank *rank = &w->trainer->run->ranks[0];
    check(rank->backend->device_bind(rank->device, w->core, 2));
    for (int64_t i = 0; i < rounds; i++) {
        pthread_barrier_wait(w->barrier);
        check(yoke_trainer_run(w->trainer, 1, NULL, NULL));
        pthread_barrier_wait(w->barrier);
    }
    return NULL;
}

static void two_ranks(void)
{
    side both = make(2), alone[2] = {make(1), make(1)};
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 3);
    worker workers[2] = {{0, alone[0].trainer, &barrier}, {1, alone[1].trainer, &barrier}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, run_alone, &workers[i]);
    double together[100], apart[100], ratio[100];
    for (int64_t i = 0; i < rounds; i++) {
        together[i] = step_seconds(both.trainer);
        double start = yki_now_ns();
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        apart[i] = (yki_now_ns() - start) * 1e-9;
        ratio[i] = apart[i] / together[i];
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    double tokens = (double)(2 * batch * shape.sequence);
    printf("two data-parallel ranks: %.1f tokens/s; two independent runs at once: %.1f tokens/s; ratio %.3f "
           "(median of %lld rounds)\n",
           tokens / median(together, rounds), tokens / median(apart, rounds), median(ratio, rounds),
           (long long)rounds);
    drop(&both);
    drop(&alone[0]);
    drop(&alone[1]);
}

int main(int argc, char **argv)
{
    struct {
        const char *name;
        int64_t *value;
    } numbers[] = {{"--layers", &shape.layers}, {"--width", &shape.width}, {"--heads", &shape.heads},
                   {"--vocab", &shape.vocab},   {"--batch", &batch},       {"--sequence", &shape.sequence},
                   {"--rounds", &rounds}};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bf16")) precision = YOKE_PRECISION_BF16;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers && i + 1 < argc; k++)
            if (!strcmp(argv[i], numbers[k].name)) *numbers[k].value = atoll(argv[i + 1]);
    }
    if (rounds < 1 || rounds > 100) rounds = 5;
    one_rank();
    two_ranks();
    return 0;
}
