/* Data parallelism: every device holds the whole model and works on its share of each batch; the gradients
 * are summed, so that all of them take the same step.
 *
 *     data_parallel [DEVICE ...]      the devices to train on: 0 1 unless told otherwise */
#include <stdio.h>
#include <stdlib.h>
#include <yoke/yoke.h>

static void check(yoke_status status)
{
    if (status == YOKE_OK) return;
    char sentence[YOKE_SENTENCE_BYTES];
    fprintf(stderr, "%s\n", yoke_error_sentence(sentence, sizeof sentence));
    exit(yoke_status_exit_code(status));
}

static void print_step(void *context, const yoke_step_report *report)
{
    (void)context;
    if (report->step % 10 == 0) printf("step %3lld  loss %.4f\n", (long long)report->step, report->loss);
}

int main(int argc, char **argv)
{
    /* The devices: ranks of the layout's list. */
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    int *devices = calloc((size_t)argc + 1, sizeof *devices);
    if (!devices) return 4;
    layout.ndevices = argc > 1 ? argc - 1 : 2;
    for (int i = 0; i < layout.ndevices; i++) devices[i] = argc > 1 ? atoi(argv[i + 1]) : i;
    layout.devices = devices;
    if (layout.ndevices > 1) /* all of them, when there is more than one */
        layout.dp = layout.ndevices;
    printf("devices [");
    for (int i = 0; i < layout.ndevices; i++) printf("%s%d", i ? ", " : "", devices[i]);
    printf("]\n");

    /* The model, described once: nothing in it knows of devices. */
    yoke_model *model;
    check(yoke_model_create(&model));
    yoke_tensor x = yoke_input(model, 1, (int64_t[]){10});
    check(yoke_model_finish(model, yoke_linear(model, x, 5, true), YOKE_MSE));

    /* 100 samples of 10 numbers in, 5 out. */
    yoke_data *data;
    yoke_row input = {YOKE_F32, 1, {10}}, target = {YOKE_F32, 1, {5}};
    check(yoke_data_random(&data, 100, &input, 0, &target, 0, 1));

    yoke_train_options options = YOKE_TRAIN_DEFAULT;
    options.steps = 50;
    options.batch = 10;
    options.lr = 0.01;
    options.loss = YOKE_MSE;

    yoke_trainer *trainer;
    yoke_run_report report;
    check(yoke_trainer_create(&trainer, model, data, &options, &layout));
    check(yoke_trainer_run(trainer, 0, print_step, NULL));
    check(yoke_trainer_report(trainer, &report));
    printf("%d devices, %lld bytes of gradients moved between them in each step\n", report.ndevices,
           (long long)report.moved_dp);
    printf("Training with data parallelism complete\n");

    yoke_trainer_destroy(trainer);
    yoke_data_destroy(data);
    yoke_model_destroy(model);
    free(devices);
    return 0;
}
