/* Batches through the parts of a model: which part sees which batch, and on which device, under model
 * parallelism and under data parallelism. All of it is read off the actions that ran. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

enum { MOST = 16, SAMPLES = 4 /* in each batch */ };
static int device[MOST][MOST]; /* of batch b, part p: where it ran */

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* Trains one step of a model of `parts` layers and notes where each batch passed each layer. */
static void run(int batches, int parts, const yoke_layout *layout)
{
    yoke_model *model;
    yoke_data *data;
    yoke_trainer *trainer;
    check(yoke_model_create(&model));
    yoke_tensor x = yoke_input(model, 1, (int64_t[]){8});
    for (int p = 0; p < parts; p++) x = yoke_linear(model, x, 8, true);
    check(yoke_model_finish(model, x, YOKE_MSE));
    yoke_row row = {YOKE_F32, 1, {8}};
    check(yoke_data_random(&data, batches * SAMPLES, &row, 0, &row, 0, 1));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 1;
    options.batch = batches * SAMPLES;
    options.loss = YOKE_MSE;
    check(yoke_trainer_create(&trainer, model, data, &options, layout));
    check(yoke_trainer_run(trainer, 0, NULL, NULL));

    int count;
    const yoke_ran *ran = yoke_trainer_ran(trainer, &count);
    for (int i = 0; i < count; i++) {
        if (ran[i].action.kind != YOKE_ACTION_F) continue;
        if (layout->pp > 1) /* a stage runs its part, a micro-batch is a batch */
            device[ran[i].action.microbatch][ran[i].part] = ran[i].device;
        else /* a replica runs all parts on the batch that is its own */
            for (int p = 0; p < parts; p++) device[ran[i].dp + ran[i].action.microbatch][p] = ran[i].device;
    }
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
}

/* Names the pairs of batch and part that ran on device `on`, or all of them (on < 0). */
static void print_pairs(int batches, int parts, int on)
{
    const char *before = on < 0 ? "" : " ";
    for (int i = 0; i < batches * parts; i++)
        if (on < 0 || device[i / parts][i % parts] == on) {
            printf("%sbatch%d-layer%c", before, i / parts + 1, 'A' + i % parts);
            before = ", ";
        }
    printf("\n");
}

int main(int argc, char **argv)
{
    int batches = argc > 1 ? atoi(argv[1]) : 3, parts = argc > 2 ? atoi(argv[2]) : 2;
    if (batches < 1 || parts < 1 || batches > MOST || parts > MOST) return 2; /* at most 16 each */
    yoke_layout model = YOKE_LAYOUT_DEFAULT, data = YOKE_LAYOUT_DEFAULT;
    model.pp = parts; /* model parallelism: a device for every part, the batches one after the other */
    model.microbatches = batches;
    run(batches, parts, &model);
    print_pairs(batches, parts, -1);
    printf("\nUnder model parallelism a device holds one part and sees every batch:\n");
    for (int d = 0; d < parts; d++) printf("  device %d:", d), print_pairs(batches, parts, d);

    data.dp = batches; /* data parallelism: a device for every batch, with a copy of the whole model */
    run(batches, parts, &data);
    printf("\nUnder data parallelism a device holds every part and sees one batch:\n");
    for (int d = 0; d < batches; d++) printf("  device %d:", d), print_pairs(batches, parts, d);
    return 0;
}
