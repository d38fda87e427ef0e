/* A deeper network over two devices: 1024-512-256-128-10 with ReLU between, its four linear layers on the
 * devices 0, 1, 1 and 0. Prints where each layer ran, and what moved between the devices. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

enum { LAYERS = 4, BATCH = 64, STEPS = 20 };

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

/* The device that part `part` of the model ran its forward pass on, in the last step; -1: it did not run. */
static int device_of(const yoke_trainer *trainer, int part)
{
    int count;
    const yoke_ran *ran = yoke_trainer_ran(trainer, &count);
    for (int i = 0; i < count; i++)
        if (ran[i].action.kind == YOKE_ACTION_F && ran[i].part == part) return ran[i].device;
    return -1;
}

int main(void)
{
    const int64_t sizes[LAYERS + 1] = {1024, 512, 256, 128, 10};
    const int devices[LAYERS] = {0, 1, 1, 0};
    yoke_model *model;
    check(yoke_model_create(&model));
    yoke_model_on(model, devices[0]);
    yoke_tensor x = yoke_input(model, 1, sizes);
    for (int i = 0; i < LAYERS; i++) {
        if (i > 0 && devices[i] != devices[i - 1]) {
            yoke_model_on(model, devices[i]);
            x = yoke_move(model, x, devices[i]);
        }
        x = yoke_linear(model, x, sizes[i + 1], true);
        if (i + 1 < LAYERS) x = yoke_activate(model, x, YOKE_RELU);
    }
    check(yoke_model_finish(model, x, YOKE_CROSS_ENTROPY));

    yoke_data *data;
    yoke_row input = {YOKE_F32, 1, {1024}}, target = {YOKE_I32, 0, {0}}; /* a class from 0 to 9 */
    check(yoke_data_random(&data, 640, &input, 0, &target, 10, 1));
    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = STEPS;
    options.batch = BATCH;
    options.lr = 0.05;
    options.loss = YOKE_CROSS_ENTROPY;
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    yoke_trainer *trainer;
    yoke_run_report report;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout));
    check(yoke_trainer_run(trainer, 0, NULL, NULL));
    check(yoke_trainer_report(trainer, &report));

    for (int i = 0, part = 0; i < LAYERS; i++) {
        part += i > 0 && devices[i] != devices[i - 1]; /* a part ends where the device changes */
        printf("linear %4lld -> %3lld  ran on device %d\n", (long long)sizes[i], (long long)sizes[i + 1],
               device_of(trainer, part));
        if (i + 1 < LAYERS && devices[i + 1] != devices[i])
            printf("    %lld numbers of each sample move from device %d to device %d, their gradients back\n",
                   (long long)sizes[i + 1], devices[i], devices[i + 1]);
    }
    printf("moved in each step of %d samples: %lld bytes\n", BATCH, (long long)report.moved_pp);
    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    return 0;
}
