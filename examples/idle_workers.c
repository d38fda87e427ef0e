/* Why devices idle: a model in three parts on three devices. As one piece, a batch passes part 1, then part
 * 2, then part 3, and two devices wait at any time; cut into micro-batches, the parts work at the same time.
 *
 *     idle_workers [BATCH MICROBATCHES] */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

enum { PARTS = 3, WIDTH = 512 };

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* Trains and prints how much the devices waited. */
static void train(const yoke_model *model, int batch, int microbatches)
{
    yoke_row row = {YOKE_F32, 1, {WIDTH}};
    yoke_data *data;
    yoke_trainer *trainer;
    yoke_run_report report;
    check(yoke_data_random(&data, batch, &row, 0, &row, 0, 1));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 20;
    options.batch = batch;
    options.loss = YOKE_MSE;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.microbatches = microbatches;
    layout.threads = 1;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout));
    check(yoke_trainer_run(trainer, 0, NULL, NULL));
    check(yoke_trainer_report(trainer, &report));
    printf("%3d samples as %2d micro-batch%s  devices idle: simulated %4.1f %%, measured %4.1f %%\n", batch,
           microbatches, microbatches == 1 ? ":  " : "es:", 100 * report.simulated_idle_fraction,
           100 * report.idle_fraction);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
}

int main(int argc, char **argv)
{
    int batch = argc > 1 ? atoi(argv[1]) : 90, microbatches = argc > 2 ? atoi(argv[2]) : 9;
    yoke_model *model;
    check(yoke_model_create(&model));
    yoke_tensor x = yoke_input(model, 1, (int64_t[]){WIDTH});
    for (int part = 0; part < PARTS; part++) {
        yoke_model_on(model, part);
        if (part > 0) x = yoke_move(model, x, part);
        for (int i = 0; i < 4; i++) x = yoke_activate(model, yoke_linear(model, x, WIDTH, true), YOKE_TANH);
    }
    check(yoke_model_finish(model, x, YOKE_MSE));
    train(model, batch, 1);
    train(model, batch, microbatches);
    yoke_model_destroy(model);
    yoke_device_info here = {.cores = PARTS};
    if (yoke_devices(&here, 1) > 0 && here.cores < PARTS)
        printf("(three devices share %d cores here: they also wait for a core)\n", here.cores);

    /* Parts that nothing connects would wait for ever: they are named before anything runs. */
    check(yoke_model_create(&model));
    yoke_model_on(model, 0);
    x = yoke_input(model, 1, (int64_t[]){WIDTH});
    yoke_linear(model, x, WIDTH, true); /* nobody uses what part 0 computes ... */
    yoke_model_on(model, 1);
    x = yoke_linear(model, yoke_move(model, x, 1), WIDTH, true); /* ... for part 1 goes back to the input */
    if (yoke_model_finish(model, x, YOKE_MSE) != YOKE_OK)
        printf("a model with a loose part is refused: %s\n", yoke_error_get()->message);
    yoke_model_destroy(model);
    return 0;
}
